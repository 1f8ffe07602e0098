//! curl's options: those that are passed on, with what their values are, and why some others are not.
//!
//! An option stands here when no value of it can lead the token, the certificate or the body to another
//! host, show the header, or make it unknown how many requests are sent and whether each can be sent
//! again. docs/command.md lists them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// A word that is sent in a head, or counts for curl alone.
    Word,
    Method,
    Header,
    /// Where an answer is written.
    Output,
    /// Where the heads are written: we write that, since we read them.
    Heads,
    Address,
    /// Text, or `@` and the file that holds it.
    Text,
    /// As `--data-urlencode` has it: `name=text`, or `name@file`.
    NamedText,
    /// As `--form` has it.
    Form,
    /// A file that is sent.
    File,
    /// Text that is sent as it stands, whatever is in it.
    Raw,
    /// What is shown of an answer, or `@` and the file that holds it.
    Format,
    /// A file that curl reads for itself.
    Path,
    /// The folder of what is written.
    Folder,
}

/// The exact names, each behind its letter where it has one.
const KNOWN: &[(Takes, &str)] = &[
    (
        Takes::Nothing,
        "q/disable s/silent S/show-error f/fail fail-with-body fail-early #/progress-bar no-progress-meter \
         N/no-buffer G/get I/head g/globoff i/include O/remote-name remote-name-all R/remote-time \
         remove-on-error create-dirs compressed retry-connrefused retry-all-errors 4/ipv4 6/ipv6 \
         0/http1.0 http1.1 http2 tlsv1.2 tlsv1.3 no-keepalive tcp-nodelay",
    ),
    (
        Takes::Word,
        "m/max-time connect-timeout y/speed-time Y/speed-limit limit-rate max-filesize keepalive-time \
         expect100-timeout retry retry-delay retry-max-time A/user-agent e/referer r/range x/proxy \
         U/proxy-user",
    ),
    (Takes::Method, "X/request"),
    (Takes::Header, "H/header"),
    (Takes::Output, "o/output"),
    (Takes::Heads, "D/dump-header"),
    (Takes::Address, "url"),
    (Takes::Text, "d/data data-ascii data-binary json"),
    (Takes::Format, "w/write-out"),
    (Takes::Path, "cacert pinnedpubkey"),
    (Takes::Folder, "output-dir"),
    (Takes::NamedText, "data-urlencode"),
    (Takes::Form, "F/form"),
    (Takes::File, "T/upload-file"),
    (Takes::Raw, "data-raw form-string"),
];

/// What people use elsewhere, and why it is not passed on.
const REFUSED: &[(&str, &str)] = &[
    ("K/config", "a file of options is not read here; write them as arguments"),
    (
        "L/location location-trusted max-redirs",
        "after a redirect curl sends its headers, the body and the certificate to another address",
    ),
    ("k/insecure", "the token would go to whoever answers; name the authority in --ca"),
    ("connect-to resolve unix-socket", "it leads the token to another machine or program"),
    ("proto proto-default proto-redir", "https alone is used"),
    (":/next Z/parallel", "whether all of several calls failed would not be known"),
    (
        "u/user n/netrc netrc-file netrc-optional oauth2-bearer",
        "the token is what the call is authorised with",
    ),
    ("E/cert key", "the account's own certificate is what the provider is shown"),
    ("v/verbose trace trace-ascii trace-config", "it shows the header with the token"),
    ("libcurl", "it writes the header with the token into a file"),
    (
        "C/continue-at no-clobber J/remote-header-name",
        "a second run would not write its file as the first",
    ),
    ("b/cookie c/cookie-jar", "files of cookies are for hosts that nobody has checked"),
];

/// The name of an option that may be passed on.
pub(super) type Known = (&'static str, Takes);

/// An address without an option.
pub(super) const ADDRESS: Known = ("url", Takes::Address);

/// The option that curl knows by exactly this name, or letter.
pub(super) fn known(option: &[u8], by_letter: bool) -> Option<Known> {
    let is_it =
        |(letter, name): &(&str, &str)| option == if by_letter { letter } else { name }.as_bytes();
    KNOWN.iter().find_map(|(takes, names)| Some((split(names).find(is_it)?.1, *takes)))
}

/// Why an option of this name or letter is not passed on.
pub(super) fn reason(option: &str) -> &'static str {
    let is_it = |(letter, name): (&str, &str)| [letter, name].contains(&option);
    let refused = REFUSED.iter().find(|(names, _)| split(names).any(is_it));
    refused.map_or("it is not among the options that are known to be safe", |(_, reason)| reason)
}

/// Letters, where there is one, and names.
fn split(names: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    names.split_ascii_whitespace().map(|name| name.split_once('/').unwrap_or(("", name)))
}

/// Of the connection and of the body's frame: those are curl's own.
const CURLS: &str = "connection content-length host te trailer transfer-encoding upgrade";

/// TRACE is none of them: it has its header sent back in the answer's body.
const METHODS: &str = "GET HEAD POST PUT PATCH DELETE OPTIONS";

impl Takes {
    /// Why this value is not passed on. `token` names the token's header, in small letters.
    pub(super) fn check(self, value: &OsStr, token: &str) -> Result<(), &'static str> {
        let is_one_of = |all: &str, word: &str| all.split(' ').any(|known| known == word);
        // What is no UTF-8 is no header's name and no method.
        let text = value.to_string_lossy();
        let name = text.split([':', ';']).next().unwrap_or_default().to_ascii_lowercase();
        // RFC 9110, section 5.6.2.
        let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match self {
            Self::Word | Self::Header if text.contains(|c: char| c.is_ascii_control()) => {
                Err("its value holds a control character")
            }
            Self::Method if !is_one_of(METHODS, &text) => {
                Err("it is one of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS here")
            }
            Self::Header if text.starts_with('@') => {
                Err("a file of headers is not read here; write each with an -H of its own")
            }
            Self::Header
                if name.len() == text.len() || name.is_empty() || !name.bytes().all(is_sign) =>
            {
                Err("a header is written as \"Name: value\"")
            }
            Self::Header if name == token => Err("that header is the token's"),
            Self::Header if is_one_of(CURLS, &name) => {
                Err("that header is curl's own: it says where a request goes, or where it ends")
            }
            _ => Ok(()),
        }
    }

    /// Whether it makes a request that does more than ask.
    pub(super) fn sends(self, value: &OsStr) -> bool {
        match self {
            Self::Text | Self::NamedText | Self::Form | Self::File | Self::Raw => true,
            Self::Method => value != "GET" && value != "HEAD",
            _ => false,
        }
    }

    /// What curl reads for this value.
    pub(super) fn source(self, value: &OsStr) -> Source<'_> {
        fn file(path: &[u8]) -> Source<'_> {
            match path {
                b"-" => Source::Stdin,
                // curl would take it for stdin, or for nothing.
                b"" => Source::Unknown,
                path => Source::File(OsStr::from_bytes(path)),
            }
        }
        let bytes = value.as_bytes();
        let behind = |sign| bytes.iter().position(|byte| *byte == sign).map(|at| &bytes[at + 1..]);
        let is_simple = |part: &[u8]| part.starts_with(b"type=") || part.starts_with(b"filename=");
        match self {
            Self::Text | Self::Format => bytes.strip_prefix(b"@").map_or(Source::None, file),
            Self::Path => Source::File(value),
            Self::NamedText if bytes.contains(&b'=') => Source::None,
            Self::NamedText => behind(b'@').map_or(Source::None, file),
            Self::File if bytes == b"." => Source::Stdin,
            Self::File => file(bytes),
            Self::Form => match behind(b'=').unwrap_or(b"(") {
                text if !text.iter().any(|byte| b"@<(\";".contains(byte)) => Source::None,
                // Quotes, lists of files and nested forms are curl's to read.
                [b'@' | b'<', rest @ ..]
                    if !rest.iter().any(|byte| b"@<(\", \\".contains(byte)) =>
                {
                    let mut parts = rest.split(|byte| *byte == b';');
                    let path = parts.next().unwrap_or_default();
                    if parts.all(is_simple) { file(path) } else { Source::Unknown }
                }
                _ => Source::Unknown,
            },
            _ => Source::None,
        }
    }
}

/// Where a value comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source<'a> {
    /// It is the value.
    None,
    Stdin,
    File(&'a OsStr),
    /// Only curl can tell.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_value_is_read_from_is_known_or_said_to_be_unknown() {
        let file = |path| Source::File(OsStr::new(path));
        for (takes, value, source) in [
            (Takes::Text, "a@b", Source::None),
            (Takes::Text, "@b", file("b")),
            (Takes::Text, "@-", Source::Stdin),
            (Takes::Text, "@", Source::Unknown),
            (Takes::Raw, "@b", Source::None),
            (Takes::NamedText, "n@b", file("b")),
            (Takes::NamedText, "n@-", Source::Stdin),
            (Takes::NamedText, "n=@b", Source::None),
            (Takes::NamedText, "a@b=c", Source::None),
            (Takes::NamedText, "text", Source::None),
            (Takes::File, "-", Source::Stdin),
            (Takes::File, ".", Source::Stdin),
            (Takes::File, "", Source::Unknown),
            (Takes::File, "b", file("b")),
            (Takes::Form, "n=text, and more", Source::None),
            (Takes::Form, "n=@b", file("b")),
            (Takes::Form, "n=<b", file("b")),
            (Takes::Form, "n=@-", Source::Stdin),
            (Takes::Form, "n=@b;type=a/b;filename=c", file("b")),
            (Takes::Form, "n=@b;headers=@c", Source::Unknown),
            (Takes::Form, "n=@b,c", Source::Unknown),
            (Takes::Form, "n=@\"-\"", Source::Unknown),
            (Takes::Form, "n= @-", Source::Unknown),
            (Takes::Form, "n=text;headers=@c", Source::Unknown),
            (Takes::Form, "=(;type=a/b", Source::Unknown),
            (Takes::Form, "n", Source::Unknown),
            (Takes::Word, "@b", Source::None),
        ] {
            assert_eq!(takes.source(OsStr::new(value)), source, "{takes:?} {value}");
        }
    }

    #[test]
    fn a_head_says_nothing_that_is_not_the_callers_to_say() {
        for (takes, value, is_fine) in [
            (Takes::Header, "X-A: b", true),
            (Takes::Header, "X-A:", true),
            (Takes::Header, "X-A;", true),
            (Takes::Header, "Expect:", true),
            (Takes::Header, "X-A: caf\u{e9}", true),
            (Takes::Header, "X-A: b\r\nHost: c", false),
            (Takes::Header, "X-A: b\0", false),
            (Takes::Header, "Authorization: b", false),
            (Takes::Header, "AUTHORIZATION;", false),
            (Takes::Header, "Authorization : b", false),
            (Takes::Header, " Authorization: b", false),
            (Takes::Header, "Host: b", false),
            (Takes::Header, "host;", false),
            (Takes::Header, "Content-Length: 1", false),
            (Takes::Header, "Transfer-Encoding: chunked", false),
            (Takes::Header, "Connection: authorization", false),
            (Takes::Header, "@file", false),
            (Takes::Header, "@-", false),
            (Takes::Header, "X-A", false),
            (Takes::Header, ": b", false),
            (Takes::Header, "", false),
            (Takes::Method, "PUT", true),
            (Takes::Method, "put", false),
            (Takes::Method, "TRACE", false),
            (Takes::Method, "GET / HTTP/1.1\r\nA: b", false),
            (Takes::Method, "", false),
            (Takes::Word, "Mozilla/5.0 (\u{e9})", true),
            (Takes::Word, "a\r\nHost: b", false),
            (Takes::Raw, "a\r\nb", true),
        ] {
            let result = takes.check(OsStr::new(value), "authorization");
            assert_eq!(result.is_ok(), is_fine, "{takes:?} {value}");
        }
    }

    #[test]
    fn each_option_is_known_once_and_none_is_known_and_refused() {
        let known = KNOWN.iter().flat_map(|(_, names)| split(names));
        let refused = REFUSED.iter().flat_map(|(names, _)| split(names));
        let all: Vec<&str> =
            known.chain(refused).flat_map(|(letter, name)| [letter, name]).collect();
        for (at, name) in all.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            assert!(!all[..at].contains(name), "{name}");
            assert!(name.len() == 1 || *name == name.to_ascii_lowercase(), "{name}");
        }
    }

    /// docs/command.md names each option that is passed on once, and no other: why one is refused, the message says.
    #[test]
    fn the_page_has_each_option_that_is_passed_on_and_no_other() {
        let page = include_str!("../../../docs/command.md");
        let page = page.split("## What `paytoken curl` does").nth(1).unwrap();
        let shown = |(letter, name): (&str, &str)| match letter {
            "" => format!("`--{name}`"),
            letter => format!("`-{letter}` `--{name}`"),
        };
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `-")).collect();
        let in_rows = |option: &str| rows.iter().filter(|row| row.contains(option)).count();
        for (_, names) in KNOWN {
            split(names).for_each(|option| assert_eq!(in_rows(&shown(option)), 1, "{option:?}"));
        }
        let of_rows = rows.iter().map(|row| row.matches("`--").count()).sum::<usize>();
        let of_table = KNOWN.iter().flat_map(|(_, names)| split(names)).count();
        assert_eq!(of_rows, of_table, "an option of the page is not known");
    }
}
