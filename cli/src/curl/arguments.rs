//! curl's arguments, as far as they matter here: which addresses they name, what they read, and
//! whether the same call can be made again.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::Path;

use crate::settings::is_no_file;

/// Long options that take a value.
const VALUED: &str = " abstract-unix-socket alt-svc aws-sigv4 cacert capath cert cert-type ciphers config connect-timeout \
    connect-to continue-at cookie cookie-jar create-file-mode crlfile curves data data-ascii data-binary data-raw \
    data-urlencode delegation dns-interface dns-ipv4-addr dns-ipv6-addr dns-servers doh-url dump-header ech egd-file engine \
    etag-compare etag-save expect100-timeout form form-string ftp-account ftp-alternative-to-user ftp-method ftp-port \
    ftp-ssl-ccc-mode happy-eyeballs-timeout-ms haproxy-clientip header hostpubmd5 hostpubsha256 hsts interface ip-tos \
    ipfs-gateway json keepalive-cnt keepalive-time key key-type krb libcurl limit-rate local-port login-options mail-auth \
    mail-from mail-rcpt max-filesize max-redirs max-time netrc-file noproxy oauth2-bearer output output-dir parallel-max \
    parallel-max-host pass pinnedpubkey preproxy proto proto-default proto-redir proxy proxy-cacert proxy-capath proxy-cert \
    proxy-cert-type proxy-ciphers proxy-crlfile proxy-header proxy-key proxy-key-type proxy-pass proxy-pinnedpubkey \
    proxy-service-name proxy-tls13-ciphers proxy-tlsauthtype proxy-tlspassword proxy-tlsuser proxy-user proxy1.0 pubkey \
    quote random-file range rate referer request request-target resolve retry retry-delay retry-max-time sasl-authzid \
    service-name sigalgs socks4 socks4a socks5 socks5-gssapi-service socks5-hostname speed-limit speed-time stderr \
    telnet-option tftp-blksize time-cond tls-max tls13-ciphers tlsauthtype tlspassword tlsuser trace trace-ascii \
    trace-config unix-socket upload-file upload-flags url url-query user user-agent variable vlan-priority write-out ";

/// Letters that take a value, and what they are in long.
const LETTERS: &[(u8, &str)] = &[
    (b'A', "user-agent"),
    (b'b', "cookie"),
    (b'c', "cookie-jar"),
    (b'C', "continue-at"),
    (b'd', "data"),
    (b'D', "dump-header"),
    (b'e', "referer"),
    (b'E', "cert"),
    (b'F', "form"),
    (b'H', "header"),
    (b'K', "config"),
    (b'm', "max-time"),
    (b'o', "output"),
    (b'P', "ftp-port"),
    (b'Q', "quote"),
    (b'r', "range"),
    (b't', "telnet-option"),
    (b'T', "upload-file"),
    (b'u', "user"),
    (b'U', "proxy-user"),
    (b'w', "write-out"),
    (b'x', "proxy"),
    (b'X', "request"),
    (b'y', "speed-time"),
    (b'Y', "speed-limit"),
    (b'z', "time-cond"),
];

/// Letters that take none and matter here.
const SWITCHES: &[(u8, &str)] =
    &[(b':', "next"), (b'g', "globoff"), (b'J', "remote-header-name"), (b's', "silent")];

/// Switches in long that matter here: curl takes the beginning of a name for the whole, too.
const LONG_SWITCHES: [&str; 6] =
    ["location-trusted", "next", "globoff", "no-clobber", "remote-header-name", "silent"];

/// The whole name of an option. What is short for none of these is left as it is: where it takes a
/// value, that counts as an address, and is checked as one.
fn whole(name: &str) -> &str {
    // One letter, or two, are short for several; and these are names of their own.
    let is_short = name.len() > 2 && !["location", "no-"].contains(&name);
    let of_it = |known: &&&str| is_short && known.starts_with(name);
    LONG_SWITCHES.iter().find(of_it).copied().unwrap_or(name)
}

pub(super) struct Arguments {
    words: Vec<OsString>,
    pub(super) parts: Vec<Part>,
}

/// An option with its value, a switch, or an address.
pub(super) struct Part {
    /// The long name; `url` for an address without an option.
    pub(super) name: String,
    pub(super) value: Option<OsString>,
    /// The words that it consists of.
    words: Range<usize>,
}

impl Arguments {
    pub(super) fn read(words: Vec<OsString>) -> Self {
        let mut parts = Vec::new();
        let mut at = 0;
        let mut only_addresses = false;
        while let Some(word) = words.get(at) {
            let begin = at;
            at += 1;
            let mut add = |name: &str, value: Option<OsString>, end: usize| {
                parts.push(Part { name: name.to_owned(), value, words: begin..end });
            };
            let bytes = word.as_encoded_bytes();
            if only_addresses || !bytes.starts_with(b"-") || bytes == b"-" {
                add("url", Some(word.clone()), at);
            } else if bytes == b"--" {
                only_addresses = true;
            } else if let Some(name) = word.to_str().and_then(|word| word.strip_prefix("--")) {
                let (name, given) = match name.split_once('=') {
                    Some((name, value)) => (name, Some(OsString::from(value))),
                    None => (name, None),
                };
                let name = whole(name.strip_prefix("expand-").unwrap_or(name));
                let takes_a_value = VALUED.contains(&format!(" {name} "));
                let value = given.or_else(|| {
                    let next = words.get(at).filter(|_| takes_a_value).cloned();
                    at += usize::from(next.is_some());
                    next
                });
                add(name, value, at);
            } else {
                // Several switches in one word; the first that takes a value takes the rest of it.
                for (index, letter) in bytes.iter().enumerate().skip(1) {
                    if let Some((_, name)) = SWITCHES.iter().find(|(known, _)| known == letter) {
                        add(name, None, at);
                    }
                    let Some((_, name)) = LETTERS.iter().find(|(known, _)| known == letter) else {
                        continue;
                    };
                    let rest = &bytes[index + 1..];
                    let value = match rest.is_empty() {
                        true => words.get(at).cloned(),
                        false => {
                            use std::os::unix::ffi::OsStrExt as _;
                            Some(OsStr::from_bytes(rest).to_owned())
                        }
                    };
                    at += usize::from(rest.is_empty() && value.is_some());
                    add(name, value, at);
                    break;
                }
            }
        }
        Self { words, parts }
    }

    /// All addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &OsStr> {
        self.values("url")
    }

    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &OsStr> {
        self.parts
            .iter()
            .filter(move |part| part.name == name)
            .filter_map(|part| part.value.as_deref())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.name == name)
    }

    /// How many answers there will be, if that is known.
    pub(super) fn calls(&self) -> Option<usize> {
        let has_globs = |address: &OsStr| {
            let address = address.as_encoded_bytes();
            // Those around an IPv6 address are none.
            let from = address.windows(2).position(|two| two == b"]:" || two == b"]/");
            address[from.map_or(0, |end| end + 1)..].iter().any(|byte| b"{[".contains(byte))
        };
        let is_known = !self.has("config")
            && (self.has("globoff") || !self.addresses().any(has_globs))
            && !self.addresses().any(|address| address.as_encoded_bytes().starts_with(b"@"));
        is_known.then(|| self.addresses().count()).filter(|calls| *calls > 0)
    }

    /// Whether something is read from stdin.
    pub(super) fn read_stdin(&self) -> bool {
        self.sources().any(|source| matches!(source.as_encoded_bytes(), b"-" | b"."))
    }

    /// Why the same call could not be made again.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        const KEPT: [&str; 3] = ["continue-at", "no-clobber", "remote-header-name"];
        if self.calls().is_none() {
            Some("what it asked for in all is not known")
        } else if KEPT.iter().any(|name| self.has(name)) {
            Some("it would not write its file as the first time")
        } else if self
            .sources()
            .any(|source| is_no_file(Path::new(source)) && source != "/dev/null")
        {
            Some("it reads from a pipe, which is read once")
        } else {
            None
        }
    }

    /// Files that are read and sent; `-` is stdin.
    fn sources(&self) -> impl Iterator<Item = &OsStr> {
        use std::os::unix::ffi::OsStrExt as _;

        self.parts.iter().filter_map(|part| {
            let value = part.value.as_deref()?;
            let bytes = value.as_bytes();
            match part.name.as_str() {
                "upload-file" | "config" | "cookie" => Some(value),
                "data" | "data-ascii" | "data-binary" | "json" | "header" | "write-out" | "url"
                | "variable" => bytes.strip_prefix(b"@").map(OsStr::from_bytes),
                "data-urlencode" | "url-query" | "form" => {
                    // name@file, name=@file;type=…, name=<file
                    let start = bytes.iter().position(|byte| b"@<".contains(byte))? + 1;
                    let file = &bytes[start..];
                    let end =
                        file.iter().position(|byte| b";,".contains(byte) && part.name == "form");
                    Some(OsStr::from_bytes(&file[..end.unwrap_or(file.len())]))
                }
                _ => None,
            }
        })
    }

    /// The words for curl: `config` before each of its calls, and without the parts that
    /// `is_replaced` names.
    pub(super) fn words(
        &self,
        mut config: impl FnMut() -> Vec<OsString>,
        is_replaced: impl Fn(&Part) -> bool,
    ) -> Vec<OsString> {
        let mut words = Vec::with_capacity(self.words.len() + 2);
        // That it reads no .curlrc has to be said first.
        let begins = self
            .words
            .first()
            .is_some_and(|word| word.as_encoded_bytes().starts_with(b"-q") || word == "--disable");
        words.extend_from_slice(&self.words[..usize::from(begins)]);
        words.extend(config());
        for index in usize::from(begins)..self.words.len() {
            let mut parts = self.parts.iter().filter(|part| part.words.contains(&index));
            if parts.clone().any(&is_replaced) {
                continue;
            }
            words.push(self.words[index].clone());
            if parts.any(|part| part.name == "next") {
                words.extend(config());
            }
        }
        words
    }

    /// How many configurations are needed.
    pub(super) fn operations(&self) -> usize {
        1 + self.parts.iter().filter(|part| part.name == "next").count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Arguments {
        Arguments::read(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn addresses_are_told_from_the_values_of_options() {
        for (words, addresses) in [
            (&["https://a"][..], &["https://a"][..]),
            (&["-sS", "--fail", "https://a", "b"], &["https://a", "b"]),
            (&["-H", "https://no", "-d", "https://no", "https://a"], &["https://a"]),
            (&["-sSo", "no", "https://a"], &["https://a"]),
            (&["-sSono", "https://a"], &["https://a"]),
            (&["-XPOST", "https://a"], &["https://a"]),
            (&["-X", "POST", "--url", "https://a"], &["https://a"]),
            (&["--url=https://a", "-e", "https://no"], &["https://a"]),
            (&["--proxy", "http://no", "-x", "http://no", "a"], &["a"]),
            (&["--future-option", "https://a"], &["https://a"]),
            (&["a", "--next", "-d", "x", "b"], &["a", "b"]),
            (&["--", "-a", "b"], &["-a", "b"]),
            (&["--expand-url", "{{x}}"], &["{{x}}"]),
            (&["-H"], &[]),
            (&["--head", "a"], &["a"]),
            (&["--version"], &[]),
        ] {
            let arguments = read(words);
            assert_eq!(arguments.addresses().collect::<Vec<_>>(), addresses, "{words:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_counted_where_that_is_possible() {
        for (words, calls) in [
            (&["https://a"][..], Some(1)),
            (&["a", "b", "--next", "c"], Some(3)),
            (&["https://a/{x,y}"], None),
            (&["https://a/[1-3]"], None),
            (&["-g", "https://a/[1-3]"], Some(1)),
            (&["-sgS", "https://a/{x}"], Some(1)),
            (&["https://[::1]:443/a"], Some(1)),
            (&["https://[::1]/{x}"], None),
            (&["-K", "file", "https://a"], None),
            (&["--version"], None),
            (&["--url", "@file"], None),
        ] {
            assert_eq!(read(words).calls(), calls, "{words:?}");
        }
    }

    #[test]
    fn it_is_known_what_is_read_from_stdin() {
        for (words, reads) in [
            (&["-d", "@-", "a"][..], true),
            (&["-d@-", "a"], true),
            (&["--data-binary", "@-", "a"], true),
            (&["--data-urlencode", "name@-", "a"], true),
            (&["-F", "file=@-;type=text/plain", "a"], true),
            (&["-F", "file=<-", "a"], true),
            (&["-T", "-", "a"], true),
            (&["-T.", "a"], true),
            (&["-K", "-"], true),
            (&["-H", "@-", "a"], true),
            (&["--json", "@-", "a"], true),
            (&["-d", "-", "a"], false),
            (&["-d", "@file", "a"], false),
            (&["--data-raw", "@-", "a"], false),
            (&["--form-string", "a=@-", "a"], false),
            (&["-o", "-", "a"], false),
            (&["-D", "-", "a"], false),
        ] {
            assert_eq!(read(words).read_stdin(), reads, "{words:?}");
        }
    }

    #[test]
    fn each_call_has_a_configuration_and_replaced_options_are_gone() {
        for (words, expected) in [
            (&["a"][..], "K1 a"),
            (&["-q", "a"], "-q K1 a"),
            (&["-qsS", "a"], "-qsS K1 a"),
            (&["a", "--next", "b", "-:", "c"], "K1 a --next K2 b -: K3 c"),
            (&["a", "--nex", "b"], "K1 a --nex K2 b"),
            (&["-D", "file", "a"], "K1 a"),
            (&["-Dfile", "-s", "a"], "K1 -s a"),
            (&["--dump-header", "file", "a", "-q"], "K1 a -q"),
        ] {
            let arguments = read(words);
            let mut count = 0;
            let config = || {
                count += 1;
                vec![format!("K{count}").into()]
            };
            let words = arguments.words(config, |part| part.name == "dump-header");
            assert_eq!(words.join(OsStr::new(" ")), expected);
            assert_eq!(arguments.operations(), count);
        }
    }
}
