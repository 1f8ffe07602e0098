//! Faults: what can go wrong on demand, and the small language that names it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Something that goes wrong with one answer.
///
/// Where a fault says "issued", the request is processed as usual first: a token comes into being
/// (at Send Payments it invalidates the previous one), and only the answer suffers. With wrong credentials
/// the usual error answer suffers instead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A pause before the request is processed (`delay=300`, in milliseconds).
    Delay(Duration),
    /// The request is processed at once, a token issued, and the answer comes later
    /// (`late=300`, in milliseconds).
    LateAnswer(Duration),
    /// A TCP reset (a real RST: linger time zero) instead of an answer; nothing is issued (`reset`).
    Reset,
    /// A token is issued, then the connection ends without an answer (`lost-answer`).
    LostAnswer,
    /// A token is issued; the answer promises more bytes than come, then ends (`truncated`).
    Truncated,
    /// A token is issued; the body is valid JSON padded to this many bytes (`oversize=100000`).
    Oversize(usize),
    /// A token is issued; the answer, head included, comes one byte at a time, this far apart
    /// (`drip=1000`, in milliseconds).
    Drip(Duration),
    /// This status with an error body in the provider's form; nothing is issued (`status=503`).
    Status(u16),
    /// This status, content type and body; nothing is issued (not in the small language).
    StatusBody(u16, String, Vec<u8>),
    /// Status 429; nothing is issued (`429` or `429=5`).
    TooManyRequests {
        /// The value of the `Retry-After` header, if there is to be one.
        retry_after: Option<String>,
    },
    /// Status 503; nothing is issued (`503` or `503=5`).
    Unavailable {
        /// The value of the `Retry-After` header, if there is to be one.
        retry_after: Option<String>,
    },
    /// Status 307 with this `Location`: a client that follows it sends the secret there.
    /// Nothing is issued (`redirect=https://…`).
    Redirect(String),
    /// A token is issued; the body breaks off in the middle, with a matching length (`malformed`).
    MalformedJson,
    /// A token is issued; every member of the answer has another type than documented
    /// (`wrong-types`).
    WrongTypes,
    /// A token is issued; only the `Date` header is off by this many seconds
    /// (`skewed-date=86400`).
    SkewedDate(i64),
    /// A token is issued; the provider's whole clock is off by this many seconds: `Date`,
    /// `expiresAt`, `iat` and `exp` (`skewed-clock=86400`).
    SkewedClock(i64),
    /// A token is issued that lives only this long, and says so (`lifetime=5`, in seconds).
    Lifetime(Duration),
    /// This status with an error body that repeats the request's body, all its headers and
    /// something like a token; nothing is issued (`echo` or `echo=500`).
    EchoSecrets(u16),
    /// These bytes as they are (inside TLS) instead of an HTTP answer, then the end; nothing is
    /// issued (not in the small language).
    Raw(Vec<u8>),
}

/// A text that names no fault or no service; its `Display` says what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(String);

impl ParseError {
    pub(crate) fn new(message: impl Into<String>) -> ParseError {
        ParseError(message.into())
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

/// The fault names, for help texts and error messages.
pub(crate) const NAMES: &str = "status=N, delay=MS, late=MS, reset, lost-answer, truncated, \
     oversize=BYTES, drip=MS, 429[=RETRY-AFTER], 503[=RETRY-AFTER], redirect=URL, malformed, \
     wrong-types, skewed-date=S, skewed-clock=S, lifetime=S, echo[=STATUS]";

/// The largest padded body that may be asked for in the small language.
const LARGEST_BODY: usize = 256 * 1024 * 1024;

impl FromStr for Fault {
    type Err = ParseError;

    /// Reads one fault of the small language, such as `status=503`.
    fn from_str(text: &str) -> Result<Fault, ParseError> {
        let text = text.trim();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (text, None),
        };
        let fault = match (name, value) {
            ("delay", Some(value)) => Fault::Delay(milliseconds(name, value)?),
            ("late", Some(value)) => Fault::LateAnswer(milliseconds(name, value)?),
            ("drip", Some(value)) => Fault::Drip(milliseconds(name, value)?),
            ("lifetime", Some(value)) => Fault::Lifetime(seconds(value)?),
            ("status", Some(value)) => Fault::Status(status(value)?),
            ("echo", value) => Fault::EchoSecrets(value.map_or(Ok(400), status)?),
            ("oversize", Some(value)) => match number::<usize>(name, value)? {
                size if size <= LARGEST_BODY => Fault::Oversize(size),
                _ => return Err(ParseError::new("oversize: at most 268435456 bytes")),
            },
            ("skewed-date", Some(value)) => Fault::SkewedDate(skew(name, value)?),
            ("skewed-clock", Some(value)) => Fault::SkewedClock(skew(name, value)?),
            ("redirect", Some(value)) => Fault::Redirect(value.to_owned()),
            ("429", value) => Fault::TooManyRequests { retry_after: value.map(str::to_owned) },
            ("503", value) => Fault::Unavailable { retry_after: value.map(str::to_owned) },
            ("reset", None) => Fault::Reset,
            ("lost-answer", None) => Fault::LostAnswer,
            ("truncated", None) => Fault::Truncated,
            ("malformed", None) => Fault::MalformedJson,
            ("wrong-types", None) => Fault::WrongTypes,
            _ => {
                return Err(ParseError::new(format!(
                    "{text:?} is not a fault: expected one of {NAMES}"
                )));
            }
        };
        Ok(fault)
    }
}

/// Reads several faults joined by `;`.
pub(crate) fn parse_list(text: &str) -> Result<Vec<Fault>, ParseError> {
    text.split(';').map(Fault::from_str).collect()
}

/// Reads a number of seconds, with or without a fraction.
pub(crate) fn seconds(value: &str) -> Result<Duration, ParseError> {
    value
        .parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        // A century; more would overflow the clock arithmetic.
        .filter(|duration| duration.as_secs() <= 3_200_000_000)
        .ok_or_else(|| ParseError::new(format!("{value:?} is not a number of seconds")))
}

/// Reads a whole number of milliseconds.
pub(crate) fn milliseconds(name: &str, value: &str) -> Result<Duration, ParseError> {
    number::<u32>(name, value).map(|number| Duration::from_millis(u64::from(number)))
}

fn status(value: &str) -> Result<u16, ParseError> {
    number::<u16>("status", value)
        .ok()
        .filter(|status| (200..600).contains(status))
        .ok_or_else(|| ParseError::new(format!("{value:?} is not a status from 200 to 599")))
}

fn skew(name: &str, value: &str) -> Result<i64, ParseError> {
    number::<i32>(name, value).map(i64::from)
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, ParseError> {
    value
        .parse()
        .map_err(|_| ParseError::new(format!("{name}: {value:?} is not an acceptable number")))
}
