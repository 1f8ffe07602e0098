//! curl's options: those that are passed on, with what their values are, and why some others are not.
//!
//! An option stands here when no value of it can lead the token, the certificate or the body to another
//! host, show the header, or make it unknown how many requests are sent and whether each can be sent
//! again. docs/cron.md gives the reason for each.

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
         U/proxy-user cacert pinnedpubkey output-dir",
    ),
    (Takes::Method, "X/request"),
    (Takes::Header, "H/header"),
    (Takes::Output, "o/output"),
    (Takes::Heads, "D/dump-header"),
    (Takes::Address, "url"),
    (Takes::Text, "d/data data-ascii data-binary json w/write-out"),
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

/// An option that may be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
}

/// An address without an option.
pub(super) const ADDRESS: Known = Known { name: "url", takes: Takes::Address };

/// The option that curl knows by exactly this name, without its dashes.
pub(super) fn named(name: &[u8]) -> Option<Known> {
    find(|_, known| known.as_bytes() == name)
}

pub(super) fn lettered(letter: u8) -> Option<Known> {
    find(|known, _| known == Some(letter))
}

fn find(is_meant: impl Fn(Option<u8>, &str) -> bool) -> Option<Known> {
    KNOWN.iter().find_map(|(takes, names)| {
        let (_, name) = split(names).find(|(letter, name)| is_meant(*letter, name))?;
        Some(Known { name, takes: *takes })
    })
}

/// Why an option of this name or letter is not passed on.
pub(super) fn reason(option: &str) -> &'static str {
    let is_it = |(letter, name): (Option<u8>, &str)| {
        option == name || letter.is_some_and(|letter| option.as_bytes() == [letter])
    };
    let known = REFUSED.iter().find(|(names, _)| split(names).any(is_it));
    known.map_or("it is not among the options that are known to be safe", |(_, reason)| reason)
}

fn split(names: &'static str) -> impl Iterator<Item = (Option<u8>, &'static str)> {
    names.split_ascii_whitespace().map(|name| match name.split_once('/') {
        Some((letter, name)) => (letter.bytes().next(), name),
        None => (None, name),
    })
}

impl Takes {
    /// Why this value is not passed on. `token` names the token's header, in small letters.
    pub(super) fn check(self, value: &[u8], token: &str) -> Result<(), &'static str> {
        /// Of the connection and of the body's frame: those are curl's own.
        const CURLS: [&[u8]; 7] = [
            b"connection",
            b"content-length",
            b"host",
            b"te",
            b"trailer",
            b"transfer-encoding",
            b"upgrade",
        ];
        // RFC 9110, section 5.6.2.
        let is_sign = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let is_token = |text: &[u8]| !text.is_empty() && text.iter().all(is_sign);
        if matches!(self, Self::Word | Self::Method | Self::Header)
            && value.iter().any(u8::is_ascii_control)
        {
            return Err("its value holds a control character");
        }
        match self {
            // TRACE has its header sent back in the answer's body.
            Self::Method => {
                let is_another =
                    [&b"trace"[..], b"connect"].contains(&&*value.to_ascii_lowercase());
                match is_token(value) && !is_another {
                    true => Ok(()),
                    false => Err("that is no method that can be used here"),
                }
            }
            Self::Header => {
                let end = value.iter().position(|byte| b":;".contains(byte));
                let name = value[..end.unwrap_or(0)].to_ascii_lowercase();
                if value.starts_with(b"@") {
                    Err("a file of headers is not read here; write each with an -H of its own")
                } else if !is_token(&name) {
                    Err("a header is written as \"Name: value\"")
                } else if name == token.as_bytes() {
                    Err("that header is the token's")
                } else if CURLS.contains(&&*name) {
                    Err("that header is curl's own: it says where a request goes, or where it ends")
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
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
        let behind =
            |sign: u8| bytes.iter().position(|byte| *byte == sign).map(|at| &bytes[at + 1..]);
        match self {
            Self::Text => bytes.strip_prefix(b"@").map_or(Source::None, file),
            Self::NamedText if bytes.contains(&b'=') => Source::None,
            Self::NamedText => behind(b'@').map_or(Source::None, file),
            Self::File if bytes == b"." => Source::Stdin,
            Self::File => file(bytes),
            Self::Form => match behind(b'=') {
                Some(text) if !text.iter().any(|byte| b"@<(\";".contains(byte)) => Source::None,
                // Quotes, lists of files and nested forms are curl's to read.
                Some([b'@' | b'<', rest @ ..])
                    if !rest.iter().any(|byte| b"@<(\", \\".contains(byte)) =>
                {
                    let mut parts = rest.split(|byte| *byte == b';');
                    let path = parts.next().unwrap_or_default();
                    let is_simple =
                        |part: &[u8]| part.starts_with(b"type=") || part.starts_with(b"filename=");
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
