//! Reaching a provider without credentials: its name, its addresses, the way there, TLS and its clock.

use std::io;
use std::time::SystemTime;

use super::failure::RequestFailure;
use super::unveil::Hidden;
use super::wire::Phase;
use super::{LARGEST_BODY, Transport, resolver, time_left};
use crate::base::clock::Deadline;
use crate::base::date;
use crate::base::dial::Attempt;
use crate::types::error::Result;
use crate::types::status::AddressProbe;

impl Transport {
    /// `HEAD /`: the status, and what the server's clock says.
    pub(crate) fn probe(
        &self,
        deadline: Deadline,
        wall: impl FnOnce() -> SystemTime,
    ) -> Result<(u16, Option<(SystemTime, SystemTime)>)> {
        let wire = self.wire(Hidden::default(), time_left(deadline)?, LARGEST_BODY);
        let answered = self
            .agent(&wire)
            .head(format!("{}/", self.base_url.as_str()))
            .header("User-Agent", &self.user_agent)
            .call()
            .map(|answer| answer.status().as_u16())
            .map_err(|error| RequestFailure::of(error, &wire).into_error(wire.was_sent()));
        let head = wire.head();
        let status = head.decides(answered)?;
        let now = wall();
        let date = head.value("date").and_then(|text| date::parse_http_date(&text, now));
        Ok((status, date.map(|date| (date, now))))
    }

    /// Connects to every address of the host that requests go to.
    pub(crate) fn probe_addresses(&self, deadline: Deadline) -> Result<AddressProbe> {
        let wire = self.wire(Hidden::default(), time_left(deadline)?, 0);
        let own = self.base_url.as_str().parse();
        let (uri, is_proxy) = match &self.proxy {
            Some(proxy) => (proxy.uri().clone(), true),
            None => (own.unwrap_or_default(), false),
        };
        let route = resolver::find(&wire, &uri, is_proxy, None)
            .map_err(|failure| failure.into_error(false))?;
        wire.reach(Phase::Connecting);
        let ended = |attempt: Attempt| match attempt.ended {
            Some((took, Ok(()))) => Ok(took),
            Some((_, Err(error))) => Err(error.kind()),
            None => Err(io::ErrorKind::TimedOut),
        };
        let attempts = self.dialer.try_all(&route, wire.remaining()).into_iter();
        Ok(AddressProbe {
            host: uri.host().unwrap_or_default().to_owned(),
            addresses: attempts.map(|attempt| (attempt.address, ended(attempt))).collect(),
        })
    }
}
