//! Faults of the network, of TLS, of HTTP and of the body.

use paytoken::ErrorKind::{
    Forbidden, InvalidResponse, RateLimited, Rejected, ServerUnavailable, Timeout, Transport,
};
use paytoken::Provider::{self, NexterPay, NtxPay, SendPayments};

use crate::expect::{Bound, Expect, Row};
use crate::server::{After, Fault, TlsFault, answer, fetched, good};

const CUT: Expect = Expect::error(Transport).thrice();
const NOT_SENT: Expect = CUT.keeps();
const SLOW: Expect = Expect::error(Timeout);
const BAD: Expect = Expect::error(InvalidResponse);
const REFUSED: Expect = Expect::error(Rejected).keeps().silent(60);
const FORBIDDEN: Expect = Expect::error(Forbidden).keeps().silent(60);
const LIMITED: Expect = Expect::error(RateLimited).keeps().silent(120);

pub fn rows() -> Vec<Row> {
    let close = |bytes| Fault::Answer(bytes, After::Close);
    let bad = |name: &str, bytes| Row::new(name, Fault::Answer(bytes, After::Close), BAD);
    let fine =
        |name: &str, bytes| Row::new(name, Fault::Answer(bytes, After::Close), Expect::TOKEN);
    vec![
        Row::new("the host name is not found", Fault::NoSuchHost, NOT_SENT),
        Row::new("the connection is refused", Fault::Refused, NOT_SENT),
        Row::new("connections go into a black hole", Fault::BlackHole, SLOW.thrice().keeps())
            .takes(Bound::ConnectTimeOut),
        Row::new(
            "… and all the time is used up before the first is made",
            Fault::BlackHole,
            SLOW.keeps(),
        )
        .takes(Bound::TimeOut),
        Row::new("reset in the TLS handshake", Fault::Tls(TlsFault::ResetInHandshake), NOT_SENT),
        Row::new("reset while the request is sent", Fault::ResetDuring, CUT),
        Row::new("reset after the request", Fault::ResetAfter, CUT),
        Row::new("TLS alert in the handshake", Fault::Tls(TlsFault::Alert), NOT_SENT),
        Row::new("TLS handshake stalls", Fault::Tls(TlsFault::Stall), SLOW.keeps())
            .takes(Bound::TimeOut),
        Row::new("no TLS at an https address", Fault::Tls(TlsFault::NotTls), NOT_SENT),
        Row::new("broken TLS record instead of an answer", Fault::Tls(TlsFault::BrokenRecord), CUT),
        Row::new(
            "TLS connection cut after the request",
            Fault::Tls(TlsFault::CutWithoutFarewell),
            CUT,
        ),
        Row::new("end of the stream instead of an answer", close(|_| Vec::new()), CUT),
        Row::new("half-closed, no answer", Fault::Answer(|_| Vec::new(), After::HalfClose), CUT),
        Row::new("no answer at all", Fault::Answer(|_| Vec::new(), After::Stall), SLOW)
            .takes(Bound::TimeOut),
        Row::new(
            "the answer stops in the middle and stays open",
            Fault::Answer(half, After::Stall),
            SLOW,
        )
        .takes(Bound::TimeOut),
        Row::new("one byte every 40 ms", Fault::Drip(fetched), SLOW).takes(Bound::TimeOut),
        Row::new("truncated", close(half), CUT),
        Row::new(
            "endless `100 Continue`",
            Fault::Flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            BAD,
        )
        .takes(Bound::TimeOut),
        Row::new(
            "endless `103 Early Hints`",
            Fault::Flood(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
            BAD,
        )
        .takes(Bound::TimeOut),
        Row::new(
            "endless headers",
            Fault::Flood(b"HTTP/1.1 200 OK\r\n", b"X-More: aaaaaaaa\r\n"),
            BAD,
        )
        .takes(Bound::TimeOut),
        Row::new(
            "one endless header line",
            Fault::Flood(b"HTTP/1.1 200 OK\r\nX-Long: ", b"aaaaaaaaaaaaaaaa"),
            BAD,
        )
        .takes(Bound::TimeOut),
        Row::new(
            "an endless body",
            Fault::Flood(b"HTTP/1.1 200 OK\r\n\r\n", b"aaaaaaaaaaaaaaaa"),
            BAD,
        )
        .takes(Bound::TimeOut),
        bad("a body of 200 KiB", |_| answer(200, "", &[b' '; 200 * 1024])),
        Row::new("`Content-Length` too large", close(|p| with_length(p, "9999")), CUT),
        Row::new("a 401 whose body is cut in the middle", close(|_| cut(401, "")), REFUSED),
        Row::new("a 401 with a body of 70 KiB", close(|_| long(401, "")), REFUSED),
        Row::new("a 401 whose body is not UTF-8", close(|_| answer(401, "", b"\xff\xfe")), REFUSED),
        Row::new(
            "a 401 whose body is chunks of garbage",
            close(|_| {
                b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nno\r\n".to_vec()
            }),
            REFUSED,
        ),
        Row::new(
            "a 401 whose body stops in the middle and stays open",
            Fault::Answer(|_| cut(401, ""), After::Stall),
            REFUSED,
        ),
        Row::new(
            "a 401 with an endless body",
            Fault::Flood(b"HTTP/1.1 401 No\r\n\r\n", b"aaaaaaaaaaaaaaaa"),
            REFUSED,
        ),
        Row::new(
            "a 401 with a folded header line",
            close(|_| answer(401, "X-Folded: a,\r\n b\r\n", b"")),
            REFUSED,
        ),
        Row::new(
            "a 401 with a header line `X-Waf[0]:`",
            close(|_| answer(401, "X-Waf[0]: a\r\n", b"")),
            REFUSED,
        ),
        Row::new("a 401 whose head is cut", close(|_| b"HTTP/1.1 401 No\r\nX-A".to_vec()), REFUSED),
        Row::new(
            "a 401 whose head stops in the middle and stays open",
            Fault::Answer(|_| b"HTTP/1.1 401 No\r\nX-A".to_vec(), After::Stall),
            REFUSED,
        ),
        Row::new(
            "a 401 with endless headers",
            Fault::Flood(b"HTTP/1.1 401 No\r\n", b"X-More: aaaaaaaa\r\n"),
            REFUSED,
        ),
        Row::new("a 403 whose body is cut in the middle", close(|_| cut(403, "")), FORBIDDEN),
        Row::new(
            "a 429 with `Retry-After: 120` and a body of 70 KiB",
            close(|_| long(429, "Retry-After: 120\r\n")),
            LIMITED,
        ),
        Row::new(
            "a 429 with `Retry-After: 120` behind a header line `X-Waf[0]:`",
            close(|_| answer(429, "X-Waf[0]: a\r\nRetry-After: 120\r\n", b"")),
            LIMITED,
        ),
        Row::new(
            "a 429 with `Retry-After: 120` and a body that is cut",
            close(|_| cut(429, "Retry-After: 120\r\n")),
            LIMITED,
        ),
        Row::new(
            "a 503 with `Retry-After: 120` and a body that is cut",
            close(|_| cut(503, "Retry-After: 120\r\n")),
            Expect::error(ServerUnavailable).silent(120),
        ),
        Row::new(
            "a 500 whose body is cut in the middle",
            close(|_| cut(500, "")),
            Expect::error(ServerUnavailable).thrice(),
        ),
        bad("`Content-Length` too small", |p| with_length(p, "5")).but(NexterPay, BAD),
        bad("`Content-Length` that is no number", |p| with_length(p, "many")),
        bad("two different `Content-Length`s", |p| with_length(p, "5\r\nContent-Length: 6")),
        bad("chunks of garbage", |_| {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nwhat\r\n".to_vec()
        }),
        bad("a 200 with a folded header line", |_| answer(200, "X-Folded: a,\r\n b\r\n", b"")),
        bad("not HTTP", |_| b"SSH-2.0-whatever\r\n".to_vec()),
        bad("unrequested gzip", |_| {
            answer(
                200,
                "Content-Encoding: gzip\r\n",
                b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x04\0\x43\xbe\xb7\xe8\x01\0\0\0",
            )
        }),
        bad("not UTF-8", |_| answer(201, "", b"\"\xff\xfe.a.b\"")),
        bad("an empty body", |_| answer(200, "", b"")),
        bad("`204 No Content`", |_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        bad("an HTML page with 200", |_| {
            answer(200, "", b"<html><body>Please sign in</body></html>")
        }),
        bad("JSON nested 10,000 deep", |_| answer(200, "", &[b'['; 10_000])),
        bad("`null`", |_| answer(200, "", b"null")),
        bad("a token with a line break", |p| good(p, "a\\r\\nX-Injected: 1")),
        bad("a token that is empty", |p| good(p, "")),
        bad("a token of 20 KiB", |p| good(p, &"a".repeat(20 * 1024))),
        bad("a 200 whose body says `error`, but no code of OAuth for a refusal", |_| {
            answer(200, "", br#"{"error":"server_error"}"#)
        }),
        Row::new(
            "a 200 whose body is an OAuth error (RFC 6749)",
            close(|_| answer(200, "", br#"{"error":"invalid_client"}"#)),
            Expect::error(Rejected).keeps().silent(60),
        ),
        bad("`NaN` for a number", |_| {
            answer(200, "", br#"{"access_token":"new.token.fetched","accessToken":"new.token.fetched","expires_in":NaN,"expiresAt":NaN}"#)
        }),
        bad("a number beyond all bounds", |_| {
            answer(200, "", br#"{"access_token":"new.token.fetched","accessToken":"new.token.fetched","expires_in":1e999,"expiresAt":1e999}"#)
        }),
        fine("a huge number", |p| member(p, r#""expires_in":1e300,"expiresAt":1e300"#)),
        fine("a byte order mark before the body", |p| prefixed(p, b"\xef\xbb\xbf")),
        fine("a duplicate JSON key: the last value is used", |p| {
            member(p, r#""access_token":"new.token.fetched","accessToken":"new.token.fetched""#)
        }),
        fine("200 where 201 is documented", |p| {
            String::from_utf8(fetched(p)).unwrap().replacen("201", "200", 1).into_bytes()
        }),
        fine("`Date` a day behind", |p| dated(p, "Wed, 31 Dec 2025 00:00:00 GMT")),
        fine("`Date` a day ahead", |p| dated(p, "Fri, 02 Jan 2026 00:00:00 GMT")),
        fine("an unparsable `Date`", |p| dated(p, "yesterday")),
        Row::new(
            "a lifetime that is not positive",
            close(|p| member(p, r#""expires_in":0,"expiresAt":0"#)),
            Expect::TOKEN,
        )
        .but(NtxPay, BAD),
    ]
}

fn half(provider: Provider) -> Vec<u8> {
    let mut bytes = fetched(provider);
    bytes.truncate(bytes.len() - 5);
    bytes
}

/// An answer that says a longer body than it has.
fn cut(status: u16, headers: &str) -> Vec<u8> {
    let mut bytes = answer(status, headers, br#"{"error":"cut in the middle"}"#);
    bytes.truncate(bytes.len() - 5);
    bytes
}

/// An answer with a body longer than any that is read.
fn long(status: u16, headers: &str) -> Vec<u8> {
    answer(status, headers, &[b' '; 70 * 1024])
}

fn with_length(provider: Provider, length: &str) -> Vec<u8> {
    let text = String::from_utf8(fetched(provider)).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = head
        .replace(&format!("Content-Length: {}", body.len()), &format!("Content-Length: {length}"));
    format!("{head}\r\n\r\n{body}").into_bytes()
}

/// A success with these members first; NexterPay's has no members.
fn member(provider: Provider, members: &str) -> Vec<u8> {
    let body = match provider {
        NtxPay => {
            format!(r#"{{{members},"access_token":"new.token.fetched","token_type":"Bearer"}}"#)
        }
        NexterPay => return fetched(provider),
        SendPayments => format!(r#"{{{members},"accessToken":"new.token.fetched"}}"#),
        other => unreachable!("{other} has no row here"),
    };
    answer(201, "", body.as_bytes())
}

fn prefixed(provider: Provider, prefix: &[u8]) -> Vec<u8> {
    let bytes = fetched(provider);
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    answer(201, "", &[prefix, &bytes[at..]].concat())
}

fn dated(provider: Provider, date: &str) -> Vec<u8> {
    let text = String::from_utf8(fetched(provider)).unwrap();
    text.replacen("\r\n\r\n", &format!("\r\nDate: {date}\r\n\r\n"), 1).into_bytes()
}
