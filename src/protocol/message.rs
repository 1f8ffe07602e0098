//! The two HTTP messages, a request and its answer, as plain data: what providers write and read, and
//! what the transport carries.

use std::borrow::Cow;
use std::fmt;

use zeroize::Zeroizing;

use crate::base::shown::shown;

/// What a token endpoint is sent.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Path and query, appended to the base URL; starts with `/`. It is logged: no secret stands in it.
    pub(crate) path: Cow<'static, str>,
    /// Each may be a secret.
    pub(crate) headers: Vec<(&'static str, Zeroizing<String>)>,
    /// `None`: the header is not sent.
    pub(crate) content_type: Option<&'static str>,
    /// Sent with its length, even an empty one. `GET` sends none.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Post,
    Get,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET",
        }
    }
}

/// An answer, whatever its status.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) date: Option<String>,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Response {
    /// How the body is encoded so that it is not the text that was asked for.
    pub(crate) fn unasked_encoding(&self) -> Option<String> {
        let is_text = std::str::from_utf8(&self.body).is_ok();
        self.content_encoding.as_deref().filter(|_| !is_text).map(shown)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}
