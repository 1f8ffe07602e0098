//! `paytoken_source`: gives tokens, to any thread.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use paytoken::{Invalidated, Token, TokenOptions, TokenSource};

use crate::boundary::{self, code_and_error, guard};
use crate::code;
use crate::config::Config;
use crate::error::Failure;
use crate::fork;
use crate::memory::{Buffer, Out, Plain, SizedIn, Text};

/// What C knows as `paytoken_source`.
pub(crate) struct Source {
    inner: TokenSource,
    /// `fork::count()` when it was made.
    forks: u32,
    /// The token that a forced call brought and whose text did not fit. Without it, to ask for the
    /// length and then for the token would be two fetches.
    undelivered: Mutex<Option<Token>>,
}

/// Whoever asks for a new token when that one is older means another.
const UNDELIVERED_FOR: Duration = Duration::from_secs(60);

/// What C knows as `paytoken_token_options`. Members are only ever added, at the end.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Options {
    size: u32,
    flags: u32,
    min_validity_ms: u64,
    deadline_ms: u64,
}

// SAFETY: repr(C), integers only, a u32 first; the assertion states that there is no gap.
unsafe impl Plain for Options {}
const _: () = assert!(size_of::<Options>() == 2 * 4 + 2 * 8);

/// The struct as it was in version 0.1.
const SMALLEST_OPTIONS: usize = size_of::<Options>();

const DROPPED: i32 = 1;
const SUPERSEDED: i32 = 2;
const UNKNOWN: i32 = 3;

const FORCE: u32 = 1;
const CACHED_ONLY: u32 = 2;
const AUTHORIZATION: u32 = 4;

impl Source {
    /// The source, unless there is none or it was made before a fork.
    pub(crate) fn usable(source: Option<&Self>) -> Result<&TokenSource, Failure> {
        let source = source.ok_or_else(|| Failure::null("source"))?;
        if source.forks != fork::count() {
            return Err(Failure::new(
                code::FORKED,
                "the source was made before fork() and this is the child; make a source in the child",
            ));
        }
        Ok(&source.inner)
    }

    /// What a forced call brought is delivered before another is fetched: that token, or the newer one
    /// that is in use by now.
    fn fill_forced(
        &self,
        options: TokenOptions,
        buffer: &Buffer,
        capacity: usize,
        length: &Out<usize>,
        part: fn(&Token) -> &str,
    ) -> Result<i32, Failure> {
        let source = Self::usable(Some(self))?;
        buffer.check(capacity)?;
        let is_undelivered = self.lock().take().is_some_and(|token| {
            token.lifetime().saturating_sub(token.remaining()) < UNDELIVERED_FOR
        });
        let token = source.token_with(&options.force(!is_undelivered))?;
        let code = buffer.fill(capacity, length, part(&token))?;
        if code == code::BUFFER_TOO_SMALL {
            *self.lock() = Some(token);
        }
        Ok(code)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Token>> {
        self.undelivered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_source_new(
    config: Option<&Config>,
    out: Out<*mut Source>,
    error: Out<*mut Failure>,
) -> i32 {
    code_and_error("paytoken_source_new", error, || {
        let config = config.ok_or_else(|| Failure::null("config"))?;
        out.check("out")?;
        fork::watch();
        #[cfg(windows)]
        crate::pin::stay_loaded();
        let source =
            Source { inner: config.build()?, forks: fork::count(), undelivered: Mutex::default() };
        out.write(Box::into_raw(Box::new(source)));
        Ok(code::OK)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_source_token(
    source: Option<&Source>,
    min_validity_ms: u64,
    buffer: Buffer,
    capacity: usize,
    length: Out<usize>,
    error: Out<*mut Failure>,
) -> i32 {
    code_and_error("paytoken_source_token", error, || {
        let options = valid_for(min_validity_ms);
        fill(source, &options, &buffer, capacity, &length, Token::secret)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_source_authorization(
    source: Option<&Source>,
    min_validity_ms: u64,
    buffer: Buffer,
    capacity: usize,
    length: Out<usize>,
    error: Out<*mut Failure>,
) -> i32 {
    code_and_error("paytoken_source_authorization", error, || {
        let options = valid_for(min_validity_ms);
        fill(source, &options, &buffer, capacity, &length, Token::header_value)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_source_token_with(
    source: Option<&Source>,
    options: SizedIn<Options>,
    buffer: Buffer,
    capacity: usize,
    length: Out<usize>,
    error: Out<*mut Failure>,
) -> i32 {
    code_and_error("paytoken_source_token_with", error, || {
        let asked = options.read(SMALLEST_OPTIONS)?;
        let part =
            if asked.flags & AUTHORIZATION != 0 { Token::header_value } else { Token::secret };
        let options = asked.checked()?;
        match source {
            Some(own) if asked.flags & FORCE != 0 => {
                own.fill_forced(options, &buffer, capacity, &length, part)
            }
            _ => fill(source, &options, &buffer, capacity, &length, part),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_source_invalidate(source: Option<&Source>, rejected_token: Text) -> i32 {
    boundary::code("paytoken_source_invalidate", || {
        let source = Source::usable(source)?;
        source.invalidate_secret(rejected_token.read("rejected_token")?)?;
        Ok(code::OK)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_source_invalidate_with(
    source: Option<&Source>,
    rejected_token: Text,
    result: Out<i32>,
    error: Out<*mut Failure>,
) -> i32 {
    code_and_error("paytoken_source_invalidate_with", error, || {
        let source = Source::usable(source)?;
        result.write(match source.invalidate_secret(rejected_token.read("rejected_token")?)? {
            Invalidated::Dropped => DROPPED,
            Invalidated::Superseded => SUPERSEDED,
            // The one that this list knows, and those that are newer than it.
            _ => UNKNOWN,
        });
        Ok(code::OK)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_source_free(source: Option<Box<Source>>) {
    guard("paytoken_source_free", (), || {
        // A forked child has none of its parent's threads.
        if let Some(source) = source.filter(|source| source.forks == fork::count()) {
            source.inner.finish(Duration::MAX);
        }
    });
}

/// The arguments are checked first: no token is fetched for a caller that cannot take it.
fn fill(
    source: Option<&Source>,
    options: &TokenOptions,
    buffer: &Buffer,
    capacity: usize,
    length: &Out<usize>,
    part: fn(&Token) -> &str,
) -> Result<i32, Failure> {
    let source = Source::usable(source)?;
    buffer.check(capacity)?;
    let token = source.token_with(options)?;
    buffer.fill(capacity, length, part(&token))
}

fn valid_for(min_validity_ms: u64) -> TokenOptions {
    TokenOptions::new().min_validity(Duration::from_millis(min_validity_ms))
}

impl Options {
    fn checked(&self) -> Result<TokenOptions, Failure> {
        let refuse = |message| Err(Failure::new(code::INVALID_ARGUMENT, message));
        if self.flags & !(FORCE | CACHED_ONLY | AUTHORIZATION) != 0 {
            return refuse("options: a flag that this version does not know");
        }
        if self.flags & FORCE != 0 && self.flags & CACHED_ONLY != 0 {
            return refuse("options: PAYTOKEN_FORCE and PAYTOKEN_CACHED_ONLY exclude each other");
        }
        let mut options = valid_for(self.min_validity_ms).force(self.flags & FORCE != 0);
        if self.flags & CACHED_ONLY != 0 {
            options = options.deadline(Duration::ZERO);
        } else if self.deadline_ms != 0 {
            options = options.deadline(Duration::from_millis(self.deadline_ms));
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_how_long_a_token_is_kept_that_did_not_fit() {
        let seconds = UNDELIVERED_FOR.as_secs();
        let says = format!("the next forced call within {seconds} s gives that token");
        assert!(include_str!("../include/paytoken.h").contains(&says), "{says}");
    }
}
