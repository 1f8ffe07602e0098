//! `paytoken_status`: what a source is up to, as a struct that may grow.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::boundary;
use crate::code;
use crate::error::Failure;
use crate::memory::{Plain, SizedOut};
use crate::provider;
use crate::source::Source;

/// Members are only ever added, at the end.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Status {
    size: u32,
    last_error_code: i32,
    provider: u32,
    environment: u32,
    requests: u64,
    tokens: u64,
    failures: u64,
    invalidations: u64,
    token_age_ms: i64,
    token_remaining_ms: i64,
    token_expires_at_ms: i64,
    blocked_for_ms: i64,
    last_error_age_ms: i64,
    certificate_not_after_ms: i64,
    store_error_age_ms: i64,
}

// SAFETY: repr(C), integers only, a u32 first; the assertion states that there is no gap.
unsafe impl Plain for Status {}
const _: () = assert!(size_of::<Status>() == 4 * 4 + 11 * 8);

/// The struct as it was in version 0.1.
const SMALLEST: usize = size_of::<Status>();

impl Status {
    fn of(status: &paytoken::Status) -> Self {
        let token = status.token.as_ref();
        Self {
            size: size_of::<Self>() as u32,
            provider: provider::number_of(status.provider),
            environment: provider::number_of_environment(status.environment),
            requests: status.requests,
            tokens: status.tokens,
            failures: status.failures,
            invalidations: status.invalidations,
            token_age_ms: milliseconds(token.map(|token| token.age)),
            token_remaining_ms: milliseconds(token.map(|token| token.remaining)),
            token_expires_at_ms: milliseconds(token.map(|token| since_1970(token.expires_at))),
            blocked_for_ms: milliseconds(status.blocked_for),
            last_error_age_ms: milliseconds(status.last_error.map(|(_, age)| age)),
            last_error_code: status.last_error.map_or(code::OK, |(kind, _)| code::of(kind)),
            certificate_not_after_ms: milliseconds(status.certificate_not_after.map(since_1970)),
            store_error_age_ms: milliseconds(status.store_failed),
        }
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn milliseconds(duration: Option<Duration>) -> i64 {
    duration.map_or(-1, |duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_source_status(source: Option<&Source>, out: SizedOut<Status>) -> i32 {
    boundary::code("paytoken_source_status", || {
        let source = Source::usable(source)?;
        let size = out.size(SMALLEST)?;
        out.write(size, Status::of(&source.status()));
        Ok::<_, Failure>(code::OK)
    })
}
