//! The two HTTP messages, a request and its answer, as plain data: what providers write and read, and
//! what the transport carries.

use std::fmt;

use zeroize::Zeroizing;

use crate::base::shown::shown;

/// A `POST` to a token endpoint.
pub(crate) struct Request {
    /// Appended to the base URL; starts with `/`.
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// JSON.
    pub(crate) body: Zeroizing<Vec<u8>>,
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
