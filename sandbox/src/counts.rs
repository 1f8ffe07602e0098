//! Counters of one service.

use std::collections::HashMap;

/// What one service has seen since the start or the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests at the token endpoint, counted when read completely, whatever came of them.
    pub token_requests: usize,
    /// Tokens issued, also those whose answer was lost.
    pub tokens_issued: usize,
    /// Requests at the example API endpoints.
    pub api_requests: usize,
    /// API requests refused because of their token (not those refused by a fault).
    pub api_unauthorized: usize,
    /// Those of them whose token had been ended by a newer one.
    pub api_superseded: usize,
    /// TCP connections accepted.
    pub connections: usize,
    /// TLS handshakes that resumed an earlier session.
    pub handshakes_resumed: usize,
    /// The most token requests in work at one time, from completely read until answered.
    pub max_concurrent_token_requests: usize,
}

/// The counters with what they need to go on counting.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) counts: Counts,
    pub(crate) by_client: HashMap<String, usize>,
    pub(crate) in_flight: usize,
    pub(crate) in_flight_by_client: HashMap<String, usize>,
    /// Requests that came while another one of the same client was in work.
    pub(crate) overlaps_by_client: HashMap<String, usize>,
}

impl Counters {
    pub(crate) fn reset(&mut self) {
        self.by_client.clear();
        self.overlaps_by_client.clear();
        // Requests in work stay in work; forgetting them would let the gauge fall below zero.
        self.counts = Counts { max_concurrent_token_requests: self.in_flight, ..Counts::default() };
    }
}
