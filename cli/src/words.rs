//! The library's sentences in the command's words: it names fields of a builder, and here they are
//! options and variables.

use paytoken::{Error, ErrorKind, Provider};

/// What the library says, and what that is here; the first that fits counts.
const PHRASES: &[(&str, &str)] = &[
    (
        "; change the credentials or call refresh() to override",
        "; change the credentials, or use --force to ask now",
    ),
    ("call refresh() to override", "use --force to ask now"),
    ("set root_certificates_pem to", "set --ca or PAYTOKEN_CA to"),
    ("root_certificates_pem: ", "--ca (or PAYTOKEN_CA): "),
    ("root_certificates_pem", "--ca"),
    ("pass the key to with_private_key", "name the key's file in {PREFIX}_CLIENT_KEY"),
    ("with_private_key", "{PREFIX}_CLIENT_KEY"),
    ("allow more with timeout", "raise --timeout"),
    ("allow more with connect_timeout", "raise --connect-timeout"),
    ("allow more time", "raise --timeout"),
    ("min_validity", "--min-validity"),
    ("base_url: ", "--base-url (or {PREFIX}_BASE_URL): "),
    (" (`base_url`)", ""),
    ("base_url", "--base-url"),
    ("private_key: ", "{PREFIX}_CLIENT_KEY: "),
    ("use base_url_for(provider, url)", ""),
    ("the credentials go into Credentials", "the credentials have settings of their own"),
];

/// An error, in the words of the command.
pub(crate) fn sentence(error: &Error) -> String {
    let mut text = error.to_string();
    if error.kind() == ErrorKind::RateLimited
        && let Some(wait) = error.retry_after().filter(|_| !text.contains("[remembered: "))
    {
        text += &format!(" [the provider is not asked again for {} s]", wait.as_secs());
    }
    match error.provider() {
        Some(provider) => of_provider(&text, provider),
        None => of_the_command(&text),
    }
}

/// A sentence of the library that does not say whose it is.
pub(crate) fn of_the_command(text: &str) -> String {
    let named = Provider::known().into_iter().find(|provider| {
        text.strip_prefix(provider.facts().name).is_some_and(|rest| rest.starts_with(": "))
    });
    match named {
        Some(provider) => of_provider(text, provider),
        None => replaced(text, None),
    }
}

pub(crate) fn of_provider(text: &str, provider: Provider) -> String {
    let facts = provider.facts();
    let text = replaced(text, Some(facts.prefix));
    // Where a sentence begins with it, the certificate is the setting, not a certificate.
    let (name, rest) = match text.strip_prefix(facts.name).and_then(|rest| rest.strip_prefix(": "))
    {
        Some(rest) => (format!("{}: ", facts.name), rest),
        None => (String::new(), &*text),
    };
    match rest.strip_prefix("certificate: ") {
        Some(rest) => format!("{name}{}: {rest}", facts.variable("CLIENT_CERT")),
        None => text,
    }
}

fn replaced(text: &str, prefix: Option<&str>) -> String {
    // From left to right, so that no replacement is replaced again.
    let mut result = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match PHRASES.iter().find(|(phrase, _)| rest.starts_with(phrase)) {
            Some((phrase, ours)) => {
                result += &ours.replace("{PREFIX}", prefix.unwrap_or("NTXPAY"));
                rest = &rest[phrase.len()..];
            }
            None => {
                result.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    result
}

/// With another name for a variable: not where it is the beginning of another one's.
pub(crate) fn renamed(text: &str, variable: &str, name: &str) -> String {
    let mut parts = text.split(variable);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        let is_whole = !rest.starts_with(|next: char| next == '_' || next.is_alphanumeric());
        result += if is_whole { name } else { variable };
        result += rest;
    }
    result
}

/// The name that is meant, if one is close.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use paytoken::{Credentials, Environment, TokenSource};
    use paytoken_sandbox::{Fault, Sandbox};

    use super::*;

    #[test]
    fn the_librarys_fields_become_options_and_variables() {
        for (provider, theirs, ours) in [
            (
                Provider::SendPayments,
                "send-payments: base_url: set it",
                "send-payments: --base-url (or SENDPAYMENTS_BASE_URL): set it",
            ),
            (Provider::NtxPay, "404; check base_url", "404; check --base-url"),
            (
                Provider::NtxPay,
                "ntx-pay: certificate: it has expired; the server's certificate: x",
                "ntx-pay: NTXPAY_CLIENT_CERT: it has expired; the server's certificate: x",
            ),
            (Provider::NtxPay, "private_key: is señor", "NTXPAY_CLIENT_KEY: is señor"),
            (
                Provider::NexterPay,
                "no connection within 1ms; allow more with timeout, or check base_url",
                "no connection within 1ms; raise --timeout, or check --base-url",
            ),
            (
                Provider::NexterPay,
                "no connection within 5s; allow more with connect_timeout, or check base_url",
                "no connection within 5s; raise --connect-timeout, or check --base-url",
            ),
            (
                Provider::NexterPay,
                "no time to find out; allow more time",
                "no time to find out; raise --timeout",
            ),
        ] {
            assert_eq!(of_provider(theirs, provider), ours);
            assert_eq!(of_provider(ours, provider), ours, "not twice");
        }
        assert_eq!(
            of_the_command("ntx-pay: no [held; call refresh() to override]"),
            "ntx-pay: no [held; use --force to ask now]"
        );
    }

    #[test]
    fn too_many_requests_are_told_once_and_with_the_wait() {
        let sandbox = Sandbox::start().unwrap();
        let provider = Provider::SendPayments;
        let (id, secret) = (sandbox.client_id(provider), sandbox.client_secret(provider));
        let credentials = Credentials::new(provider, id, secret, None).unwrap();
        let source = TokenSource::builder(credentials, Environment::Sandbox)
            .base_url(&sandbox.url(provider))
            .root_certificates_pem(sandbox.ca_pem().as_bytes())
            .build()
            .unwrap();
        sandbox.fault_next(provider, 1, Fault::Status(429));
        let first = sentence(&source.token().unwrap_err());
        assert!(
            first.ends_with("between callers [the provider is not asked again for 60 s]"),
            "{first}"
        );
        let held = sentence(&source.token().unwrap_err());
        assert_eq!(held.matches("not asked again").count(), 1, "{held}");
        assert!(held.ends_with("; use --force to ask now]"), "{held}");
        assert!(!held.contains("credentials"), "{held}");
    }

    #[test]
    fn a_name_is_suggested_where_it_is_close() {
        let known = ["client_id", "client_secret", "base_url", "ca"];
        for (word, close) in [
            ("client_sceret", Some("client_secret")),
            ("clientid", Some("client_id")),
            ("baseurl", Some("base_url")),
            ("password", None),
            ("cb", Some("ca")),
            ("", None),
        ] {
            assert_eq!(closest(word, known), close, "{word}");
        }
    }
}
