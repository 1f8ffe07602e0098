//! Reaching a provider without credentials: its name, the way there, TLS and its clock.

use std::sync::Arc;
use std::time::SystemTime;

use super::failure::RequestFailure;
use super::wire::Wire;
use super::{LARGEST_BODY, LONGEST_WAIT, Transport};
use crate::base::clock::Deadline;
use crate::base::date;
use crate::policy::outcome::Cause;
use crate::types::error::Result;

impl Transport {
    /// `HEAD /`: the status, and what the server's clock says.
    pub(crate) fn probe(
        &self,
        deadline: Deadline,
        wall: impl FnOnce() -> SystemTime,
    ) -> Result<(u16, Option<(SystemTime, SystemTime)>)> {
        let left = deadline.remaining().min(LONGEST_WAIT);
        if left.is_zero() {
            return Err(
                Cause::NoTimeLeft.error("no time was left to send a request; allow more time")
            );
        }
        let wire = Arc::new(Wire::new(
            Vec::new().into(),
            left,
            self.connect_timeout,
            self.proxy.is_some(),
            !self.base_url.is_https,
            LARGEST_BODY,
        ));
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
}
