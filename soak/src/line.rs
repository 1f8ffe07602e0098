//! What happens in each process, told to the one judge: a line each, with the moment by the clock of
//! the machine that they all share.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use paytoken::{ErrorKind, Event, EventKind};

pub(crate) type Teller = Arc<dyn Fn(Line) + Send + Sync>;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Microseconds since 1970.
    pub(crate) at: u64,
    pub(crate) account: String,
    pub(crate) what: What,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A request is about to be sent.
    Asks {
        attempt: u32,
        is_forced: bool,
    },
    Fetched,
    /// A fetch failed; `status` is 0 where there was none.
    Failed {
        status: u16,
        has_token: bool,
        is_local: bool,
    },
    /// A caller who began to ask at that moment got this token.
    Handed {
        began: u64,
        token: String,
    },
    /// A caller got an error.
    Nothing,
    /// `invalidate` of this token has returned Ok.
    Invalidated {
        token: String,
    },
    /// The process has ended, which the parent says.
    Died,
}

thread_local! {
    /// The calls of this thread are forced.
    static IS_FORCED: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn forced<T>(ask: impl FnOnce() -> T) -> T {
    IS_FORCED.set(true);
    let answer = ask();
    IS_FORCED.set(false);
    answer
}

pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map(|since| since.as_micros() as u64).unwrap_or_default()
}

impl Line {
    pub(crate) fn new(account: &str, what: What) -> Self {
        Self { at: now(), account: account.to_owned(), what }
    }

    /// What an event of the library says, if the judge is to know it.
    pub(crate) fn of_event(account: &str, event: &Event) -> Option<Self> {
        let what = match &event.kind {
            EventKind::Request { attempt, .. } => {
                What::Asks { attempt: *attempt, is_forced: IS_FORCED.get() }
            }
            EventKind::Fetched { .. } => What::Fetched,
            EventKind::Failed { error, still_has_token, .. } => What::Failed {
                status: error.status().unwrap_or_default(),
                has_token: *still_has_token,
                is_local: matches!(
                    error.kind(),
                    ErrorKind::Configuration | ErrorKind::Certificate | ErrorKind::Store
                ),
            },
            _ => return None,
        };
        Some(Self::new(account, what))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.at, self.account)?;
        match &self.what {
            What::Asks { attempt, is_forced } => write!(f, "asks {attempt} {is_forced}"),
            What::Fetched => f.write_str("fetched"),
            What::Failed { status, has_token, is_local } => {
                write!(f, "failed {status} {has_token} {is_local}")
            }
            What::Handed { began, token } => write!(f, "handed {began} {token}"),
            What::Nothing => f.write_str("nothing"),
            What::Invalidated { token } => write!(f, "invalidated {token}"),
            What::Died => f.write_str("died"),
        }
    }
}

impl FromStr for Line {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        fn read<T: FromStr>(word: Option<&str>) -> Result<T, ()> {
            word.and_then(|word| word.parse().ok()).ok_or(())
        }
        let mut words = text.split_ascii_whitespace();
        let (at, account) = (read(words.next())?, read(words.next())?);
        let what = match words.next() {
            Some("asks") => {
                What::Asks { attempt: read(words.next())?, is_forced: read(words.next())? }
            }
            Some("fetched") => What::Fetched,
            Some("failed") => What::Failed {
                status: read(words.next())?,
                has_token: read(words.next())?,
                is_local: read(words.next())?,
            },
            Some("handed") => {
                What::Handed { began: read(words.next())?, token: read(words.next())? }
            }
            Some("nothing") => What::Nothing,
            Some("invalidated") => What::Invalidated { token: read(words.next())? },
            _ => return Err(()),
        };
        Ok(Self { at, account, what })
    }
}
