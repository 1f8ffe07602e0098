//! Heads that servers, firewalls and gateways send, and what becomes of them beside what the real curl
//! makes of each.

use std::process::Command;
use std::time::Duration;

use paytoken::{Environment, Error, ErrorKind, Provider, TokenSource};
use paytoken_testing::{Server, has_tool, injected_credentials};

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ours {
    /// Its token is used.
    Token,
    /// Its status decides, after one request.
    Status(u16),
    /// A success that is not used, with these words in its error.
    Unused(&'static str),
    /// There is no status.
    Nothing,
}

use Ours::{Nothing, Status, Token, Unused};

/// What curl makes of it.
#[derive(Clone, Copy)]
enum Curl {
    /// The same status, or none.
    Same,
    /// Something else, for this reason.
    Other(&'static str),
}

use Curl::{Other, Same};

const VERSIONS: Curl = Other("its versions differ");
const STRICTER: Curl = Other("it takes 1.0 and 1.1 alone; a refusal in any version is one");
const BLANK: Curl =
    Other("it calls it HTTP/0.9; the parser skips blank lines, as RFC 9112 has it for requests");

/// Heads: `/` ends a line with CR and LF, `|` with LF alone, `^` is CR alone, `~` is NUL.
#[rustfmt::skip]
const HEADS: &[(&str, Ours, Curl)] = &[
    ("HTTP/1.1 200 OK//", Token, Same),
    ("HTTP/1.1 401 Unauthorized/Content-Length: 7//", Status(401), Same),
    // Folded lines.
    ("HTTP/1.1 401 No/X-A: a,/ b//", Status(401), Same),
    ("HTTP/1.1 429 No/X-A: a,/\tb/Retry-After: 777//", Status(429), Same),
    ("HTTP/1.1 429 No/Retry-After:/ 777//", Status(429), Same),
    ("HTTP/1.1 401 No/ X-A: a//", Status(401), Same),
    ("HTTP/1.1 401 No|X-A: a| b||", Status(401), Same),
    ("HTTP/1.1 200 OK/X-A: a,/ b//", Unused("HTTP (line 3 of its head)"), Same),
    // Odd names, and none.
    ("HTTP/1.1 401 No/X-Waf[0]: a//", Status(401), Same),
    ("HTTP/1.1 429 No/X-Waf[0]: a/Retry-After: 777//", Status(429), Same),
    ("HTTP/1.1 200 OK/X-Waf[0]: a//", Unused("HTTP (line 2 (X-Waf[0]) of its head)"), Same),
    ("HTTP/1.1 401 No/X Waf: a//", Status(401), Same),
    ("HTTP/1.1 401 No/X-Waf : a//", Status(401), Same),
    ("HTTP/1.1 403 No/Whatever//", Status(403), Same),
    ("HTTP/1.1 200 OK/a.token.without_colon//", Unused("HTTP (line 2 of its head)"), Same),
    ("HTTP/1.1 401 No/: a//", Status(401), Same),
    ("HTTP/1.1 401 No/X-é: a//", Status(401), Same),
    ("HTTP/1.1 401 No/X-A: é//", Status(401), Same),
    // Ends of lines.
    ("HTTP/1.1 401 No|X-A: a||", Status(401), Same),
    ("HTTP/1.1 200 OK|X-A: a||", Token, Same),
    ("HTTP/1.1 429 No/X-A[0]: a|Retry-After: 777/|", Status(429), Same),
    ("HTTP/1.1 401 No/X-A: a^X-B: b//", Status(401), Same),
    // Control characters.
    ("HTTP/1.1 401 No/X-A: a~b//", Status(401), Same),
    ("HTTP/1.1 401 No/X~A: a//", Status(401), Same),
    ("HTTP/1.1 401 N~o/X-A: a//", Status(401), Same),
    ("HTTP/1.1 401 No/X-A: a\u{1}b//", Status(401), Same),
    ("HTTP/1.1 200 OK/X-A: a~b//", Unused("HTTP (line 2 (X-A) of its head)"), Same),
    // Interim answers.
    ("HTTP/1.1 100 Continue//HTTP/1.1 401 No/X[0]: a//", Status(401), Same),
    ("HTTP/1.1 100 Continue/X-A: a//HTTP/1.1 200 OK//", Token, Same),
    ("HTTP/1.1 103 Early Hints/Link[0]: a//HTTP/1.1 200 OK//", Token, Same),
    ("HTTP/1.1 102 Wait//HTTP/1.1 102 Wait/X: a/ b//HTTP/1.1 401 No/X: a/ b//", Status(401), Same),
    ("HTTP/1.1 101 Switching/Upgrade: x//", Status(101), Same),
    // Versions.
    ("HTTP/1.0 401 No/X[0]: a//", Status(401), Same),
    ("HTTP/1.0 200 OK/X-A: a//", Token, Same),
    ("HTTP/1.0 401 No/Transfer-Encoding: chunked/ a//", Status(401), Same),
    ("HTTP/1.2 401 No/X[0]: a//", Status(401), STRICTER),
    ("HTTP/2 401/X[0]: a//", Status(401), VERSIONS),
    ("http/1.1 401 No/X[0]: a//", Status(401), Other("it takes it for a 200, which it is not")),
    ("ICY 401 No/X[0]: a//", Nothing, Same),
    ("SSH-2.0-whatever/", Nothing, Same),
    // Status lines.
    ("HTTP/1.1 401/X[0]: a//", Status(401), Same),
    ("HTTP/1.1 401 /X[0]: a//", Status(401), Same),
    ("HTTP/1.1 200//", Token, Same),
    ("HTTP/1.1 401 Négatif/X-A: a//", Status(401), Same),
    ("HTTP/1.1  401 No/X[0]: a//", Status(401), VERSIONS),
    ("HTTP/1.1\t401 No/X[0]: a//", Nothing, Same),
    ("HTTP/1.1 4011 No/X[0]: a//", Nothing, Same),
    ("HTTP/1.1 40 No/X[0]: a//", Nothing, Same),
    ("HTTP/1.1 099 No/X-A: a//", Nothing, Same),
    ("HTTP/1.1 999 No/X[0]: a//", Status(999), Same),
    ("//HTTP/1.1 401 No/X[0]: a//", Status(401), BLANK),
    ("//HTTP/1.1 200 OK//", Token, BLANK),
    // How long the body is.
    ("HTTP/1.1 401 No/Content-Length: 1/Content-Length: 2//", Status(401), Same),
    ("HTTP/1.1 401 No/Content-Length: many//", Status(401), Same),
    ("HTTP/1.1 401 No/Content-Length: 1/Transfer-Encoding: chunked//", Status(401), Same),
    ("HTTP/1.1 200 OK/Content-Length: 1/Content-Length: 2//", Unused("conflicting content-length"), Same),
    // Waits.
    ("HTTP/1.1 429 No/RETRY-AFTER : 777//", Status(429), Same),
    ("HTTP/1.1 429 No/Retry-After: 777/Retry-After: 5/X[0]: a//", Status(429), Same),
    ("HTTP/1.1 103 Wait/Retry-After: 5//HTTP/1.1 429 No/Retry-After:777/X[0]:a//", Status(429), Same),
    ("HTTP/1.1 429 No/Date: Fri, 02 Jan 2026 00:00:00 GMT/ /Retry-After: Fri, 02 Jan 2026 00:12:57 GMT/X[0]: a//", Status(429), Same),
    // More than one.
    ("HTTP/1.1 401 No/X[0]: a//HTTP/1.1 200 OK//", Status(401), Same),
    ("HTTP/1.1 401 No^/X-A: a//", Status(401), Same),
    ("\u{feff}HTTP/1.1 401 No/X-A: a//", Nothing, Same),
    ("HTTP/1.1 200 OK/{\"access_token\":\"a.b.c\"}//", Unused("line 2 ({\"access_token\") of its head"), Same),
    ("HTTP/1.1 304 No/X[0]: a//", Status(304), Same),
    // Heads that do not end.
    ("HTTP/1.1 401 No/", Status(401), Same),
    ("HTTP/1.1 401 No/X-A: a", Status(401), Same),
    ("HTTP/1.1 429 No/Retry-After: 777/X-A", Status(429), Same),
    ("HTTP/1.1 200 OK/X-A: a", Unused("cut before the whole answer"), Same),
    ("HTTP/1.1 401", Nothing, Same),
];

/// All of them, the long ones too.
fn heads() -> Vec<(String, Ours, Curl)> {
    let long = |status: &str, line: &str, count: usize| format!("{status}{}/", line.repeat(count));
    let mut heads = vec![
        (long("HTTP/1.1 401 No/", "X-A: a/", 120), Status(401), Same),
        (long("HTTP/1.1 401 No/", "X-A: a/", 1_000), Status(401), Same),
        (long("HTTP/1.1 200 OK/", "X-A: a/", 1_000), Unused("too many headers"), Same),
        (long("HTTP/1.1 429 No/Retry-After: 777/X-A: ", "a", 60_000) + "/", Status(429), Same),
        (long("HTTP/1.1 429 No/Retry-After: 777/X-A: ", "a", 90_000) + "/", Status(429), Same),
        (long("HTTP/1.1 200 OK/X-A: ", "a", 90_000) + "/", Unused("too large"), Same),
    ];
    heads.extend(HEADS.iter().map(|(head, ours, curl)| ((*head).to_owned(), *ours, *curl)));
    heads
}

fn bytes_of(head: &str) -> Vec<u8> {
    // The slash of a version ends no line.
    let text = head.replace('/', "\r\n").replace("HTTP\r\n", "HTTP/").replace("http\r\n", "http/");
    let text = text.replace('|', "\n").replace('^', "\r").replace('~', "\0");
    [text.as_bytes(), b"\"a.b.c\""].concat()
}

fn source(url: &str) -> TokenSource {
    let credentials = injected_credentials(Provider::NexterPay, "me", "not-a-real-secret");
    let builder = TokenSource::builder(credentials, Environment::Sandbox).base_url(url);
    builder.timeout(Duration::from_secs(60)).build().unwrap()
}

fn token(url: &str) -> Result<(), Error> {
    source(url).token().map(drop)
}

fn status_by_curl(url: &str) -> u16 {
    let output = Command::new("curl")
        .args(["-qsS", "--noproxy", "*", "--max-time", "60", "-d", "{}"])
        .args(["-o", "/dev/null", "-w", "%{http_code}", url])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

#[test]
fn the_status_decides_whatever_the_other_lines_are_and_curl_sees_the_same_one() {
    let has_curl = has_tool("curl");
    for (head, ours, curl) in heads() {
        let shown = head.chars().take(70).collect::<String>();
        let server = Server::answering(bytes_of(&head));
        let seen = token(&server.url);
        let requests = server.received().len();
        let status = match (ours, seen) {
            (Token, Ok(())) => 200,
            (Status(status), Err(error)) => {
                assert_eq!((error.status(), requests), (Some(status), 1), "{shown}: {error}");
                if status == 429 {
                    let wait = error.retry_after().unwrap().as_secs();
                    assert!((700..=777).contains(&wait), "{shown}: {error}");
                }
                status
            }
            (Unused(words), Err(error)) => {
                assert_eq!(error.status(), Some(200), "{shown}: {error}");
                assert!(error.to_string().contains(words), "{shown}: {error}");
                200
            }
            (Nothing, Err(error)) => {
                assert_eq!(
                    (error.status(), error.kind()),
                    (None, ErrorKind::InvalidResponse),
                    "{shown}"
                );
                0
            }
            (ours, seen) => panic!("{shown}: {seen:?} in place of {ours:?}"),
        };
        match curl {
            Same if has_curl => assert_eq!(status_by_curl(&server.url), status, "curl: {shown}"),
            Same => {}
            Other(reason) => println!("{shown}: not as curl has it, since {reason}"),
        }
    }
}

#[test]
fn an_answer_that_is_compressed_unasked_names_the_encoding() {
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x53\x4a\xd4\x4b\xd2\x4b\x56\x02\0";
    let brotli = b"\x8f\x03\x80\x22a.b.c\x22\x03";
    for (head, body, words) in [
        ("200 OK\r\nContent-Encoding: gzip", &gzip[..], "compressed (Content-Encoding: gzip)"),
        ("200 OK\r\ncontent-encoding:br", brotli, "compressed (Content-Encoding: br)"),
        ("200 OK\r\nContent-Type: application/json", gzip, "not UTF-8"),
        (
            "401 No\r\nContent-Encoding: gzip",
            gzip,
            "401 with a compressed body (Content-Encoding: gzip)",
        ),
        ("401 No\r\nX[0]: a\r\nContent-Encoding: gzip", gzip, "401 with a compressed body"),
        ("503 No\r\nContent-Encoding: zstd\x1b", b"\xff", "(Content-Encoding: zstd); the"),
        ("403 No\r\nContent-Encoding: gzip", b"{\"error\":\"plain\"}", "403 (plain)"),
    ] {
        let head = format!("HTTP/1.1 {head}\r\n\r\n");
        let server = Server::answering([head.as_bytes(), body].concat());
        let error = token(&server.url).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let plain = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\"a.b.c\"";
    token(&Server::answering(plain).url).unwrap();
}

#[test]
fn a_probe_sees_the_status_and_the_clock_behind_an_odd_line() {
    let head = "HTTP/1.1 404 No\r\nX-Waf[0]: a\r\nDate: Fri, 02 Jan 2026 00:00:00 GMT\r\n\r\n";
    let server = Server::answering(head);
    let probe = source(&server.url).probe(Duration::from_secs(60)).unwrap();
    assert_eq!((probe.status, probe.clocks.is_some()), (404, true));
}
