//! Clocks that disagree: whose is believed.

use std::time::Duration;

use paytoken::{Environment, Provider, TokenSource};
use paytoken_testing::{ManualClock, injected_credentials};

use crate::cell::start;
use crate::server::{Fault, Server, answer};

/// How long a Send Payments token lives that ends two seconds after the request by a provider's
/// `expiresAt`, where its answer is dated like this. By our clock the year has just begun.
fn lifetime(expires_at: &str, date: &str) -> Duration {
    let body = format!(r#"{{"accessToken":"t","expiresAt":"{expires_at}"}}"#);
    let bytes = answer(201, &format!("Date: {date}\r\n"), body.as_bytes());
    let server = Server::start(Provider::SendPayments, &Fault::Bytes(bytes));
    server.begin_fault();
    let credentials = injected_credentials(Provider::SendPayments, "merchant", "not-a-real-secret");
    TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&server.url)
        .clock(ManualClock::at(start()))
        .build()
        .unwrap()
        .token()
        .unwrap()
        .lifetime()
}

#[test]
fn a_short_token_is_short_whichever_clock_is_wrong() {
    let seconds = Duration::from_secs;
    // Nobody's.
    let right = lifetime("2026-01-01T00:00:02Z", "Thu, 01 Jan 2026 00:00:00 GMT");
    assert_eq!(right, seconds(2));
    // Ours: the provider's is a day ahead in both. `Date` is cut, so a second is lost.
    let ours = lifetime("2026-01-02T00:00:02Z", "Fri, 02 Jan 2026 00:00:00 GMT");
    assert_eq!(ours, seconds(1));
    // Only `Date`, as from a proxy that stamps answers with a clock of its own.
    let ahead = lifetime("2026-01-01T00:00:02Z", "Fri, 02 Jan 2026 00:00:00 GMT");
    assert_eq!(ahead, seconds(2));
}
