//! Answers: status, headers and body, and how they reach the client.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::clock;

/// How an answer reaches the client, or fails to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    /// Half of the body, then the end of the connection.
    Truncated,
    /// One byte at a time.
    Drip(Duration),
    /// The connection ends without an answer.
    Cut,
    /// The connection is reset without an answer.
    Reset,
    /// These bytes instead of an HTTP answer, then the end of the connection.
    Raw(Vec<u8>),
}

/// One answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Seconds added to the `Date` header.
    pub(crate) date_offset: i64,
    pub(crate) delivery: Delivery,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status,
            content_type: content_type.to_owned(),
            headers: Vec::new(),
            body: body.into(),
            date_offset: 0,
            delivery: Delivery::Whole,
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Answer {
        Answer::new(status, "application/json; charset=utf-8", body.to_string())
    }

    /// Head and body in one piece, so that they leave in one write.
    pub(crate) fn bytes(&self, keep_alive: bool, to_head_request: bool) -> Vec<u8> {
        let seconds = clock::wall_milliseconds().div_euclid(1_000) + self.date_offset;
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nDate: {}\r\n",
            self.status,
            reason(self.status),
            clock::http_date(seconds),
        );
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !keep_alive {
            head.push_str("Connection: close\r\n");
        }
        // These two statuses have no body by definition; sending one would break the framing.
        let bodiless = matches!(self.status, 204 | 304);
        if !bodiless {
            let _ = write!(
                head,
                "Content-Type: {}\r\nContent-Length: {}\r\n",
                self.content_type,
                self.body.len()
            );
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !bodiless && !to_head_request {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// The words that go with a status.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
