//! The library's sentences in C's words: it names fields of a builder, and here they are setters,
//! members and flags.

/// Where a sentence begins with the name of a field: the setter.
const FIELDS: &[(&str, &str)] = &[
    ("client_id: ", "paytoken_config_set_client_id: "),
    ("user_name: ", "paytoken_config_set_client_id: "),
    ("client_secret: ", "paytoken_config_set_client_secret: "),
    ("password: ", "paytoken_config_set_client_secret: "),
    ("certificate: ", "paytoken_config_set_certificate_pem: "),
    ("assertion_key: ", "paytoken_config_set_private_key_pem (or assertion_key): "),
    ("timeout: ", "paytoken_config_set_timeout_ms: "),
    ("connect_timeout: ", "paytoken_config_set_connect_timeout_ms: "),
    ("retries: ", "paytoken_config_set_retries: "),
    ("user_agent: ", "paytoken_config_set_user_agent: "),
    ("proxy: ", "paytoken_config_set_proxy: "),
    ("renew_in_background: ", "paytoken_config_set_renew_in_background: "),
    ("store: Redis at ", "paytoken_config_set_store_url: Redis at "),
    ("store: ", "paytoken_config_set_store_directory: "),
    ("accept_unsealed: ", "paytoken_config_set_accept_unsealed: "),
    ("sealing keys: ", "paytoken_config_set_store_key_file: "),
    ("store_ca: ", "paytoken_config_set_store_ca_file: "),
    ("store_certificate: ", "paytoken_config_set_store_certificate_file: "),
    ("store_private_key: ", "paytoken_config_set_store_private_key_file: "),
    ("min_validity: ", "min_validity_ms: "),
];

/// What the library says, and what that is here; the first that fits counts.
const PHRASES: &[(&str, &str)] = &[
    (
        "; change the credentials or call refresh() to override",
        "; change the credentials, or use PAYTOKEN_FORCE to ask now",
    ),
    ("call refresh() to override", "use PAYTOKEN_FORCE to ask now"),
    (
        "set root_certificates_pem to that authority's certificate",
        "pass that authority's certificate to paytoken_config_set_root_certificates_pem",
    ),
    ("root_certificates_pem", "paytoken_config_set_root_certificates_pem"),
    ("pass the key to with_private_key", "pass the key to paytoken_config_set_private_key_pem"),
    ("load it with from_pem instead", "pass it to paytoken_config_set_certificate_pem instead"),
    (
        "set it, or certificate and private_key, to the private key that signs",
        "give it the private key that signs",
    ),
    ("private_key: ", "paytoken_config_set_private_key_pem: "),
    ("key in private_key", "key of paytoken_config_set_private_key_pem"),
    ("key in assertion_key", "key of paytoken_config_set_private_key_pem (or assertion_key)"),
    ("with_private_key", "paytoken_config_set_private_key_pem"),
    ("allow more with timeout", "allow more with paytoken_config_set_timeout_ms"),
    ("allow more with connect_timeout", "allow more with paytoken_config_set_connect_timeout_ms"),
    ("set store_certificate, too", "call paytoken_config_set_store_certificate_file, too"),
    ("use cached() there", "use PAYTOKEN_CACHED_ONLY there"),
    ("(`base_url`)", "(paytoken_config_set_base_url)"),
    ("base_url", "paytoken_config_set_base_url"),
];

/// A sentence of the library's, perhaps with a provider's name before it.
pub(crate) fn of_c(text: &str) -> String {
    let known = paytoken::Provider::known();
    let facts = |name: &str| known.iter().map(|one| one.facts()).find(|one| one.name == name);
    let named = text.split_once(": ").and_then(|(name, rest)| Some((facts(name)?, rest)));
    let (mut result, mut rest) = match named {
        Some((facts, rest)) => (format!("{}: ", facts.name), rest),
        None => (String::with_capacity(text.len() + 64), text),
    };
    // A described provider may have fields of these names, which are set by their names.
    let is_described = named.is_some_and(|(facts, _)| facts.is_described);
    let is_own = |field: &str| is_described && matches!(field, "user_name: " | "password: ");
    let mut fields = FIELDS.iter().filter(|(field, _)| !is_own(field));
    if let Some((field, ours)) = fields.find(|(field, _)| rest.starts_with(field)) {
        result.push_str(ours);
        rest = &rest[field.len()..];
    }
    // From left to right, so that no replacement is replaced again.
    while let Some(first) = rest.chars().next() {
        match PHRASES.iter().find(|(phrase, _)| rest.starts_with(phrase)) {
            Some((phrase, ours)) => {
                result.push_str(ours);
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn fields_become_setters_and_advice_names_what_c_has() {
        for (theirs, ours) in [
            ("ntx-pay: base_url: set it", "ntx-pay: paytoken_config_set_base_url: set it"),
            ("404; check base_url", "404; check paytoken_config_set_base_url"),
            (
                "ntx-pay: certificate: it has expired; the server's certificate: x",
                "ntx-pay: paytoken_config_set_certificate_pem: it has expired; the server's certificate: x",
            ),
            (
                "nexter-pay: user_name: is empty; se\u{f1}or",
                "nexter-pay: paytoken_config_set_client_id: is empty; se\u{f1}or",
            ),
            (
                "send-payments: no [held; call refresh() to override]",
                "send-payments: no [held; use PAYTOKEN_FORCE to ask now]",
            ),
            (
                "send-payments: store: Redis at localhost:1 cannot be reached",
                "send-payments: paytoken_config_set_store_url: Redis at localhost:1 cannot be reached",
            ),
            ("store: no room", "paytoken_config_set_store_directory: no room"),
            (
                "sealing keys: line 1 of that file",
                "paytoken_config_set_store_key_file: line 1 of that file",
            ),
            ("NTXPAY_CLIENT_ID: not set", "NTXPAY_CLIENT_ID: not set"),
            (
                "signing_alg: is missing, and the RSA key in private_key signs PS256 or RS256",
                "signing_alg: is missing, and the RSA key of paytoken_config_set_private_key_pem signs PS256 or RS256",
            ),
        ] {
            assert_eq!(of_c(theirs), ours);
        }
    }

    /// Words that only a Rust program understands.
    fn rusts_words(sentence: &str) -> Option<&'static str> {
        let bare = sentence.replace("paytoken_config_set_", "<");
        [
            "()",
            "::",
            "call refresh",
            "uilder",
            "with_private_key",
            "from_pem",
            " base_url",
            "TokenSource",
            "Option",
            "panicked",
            "root_certificates_pem",
            "system_root",
            "allow more with timeout",
            "allow more with connect_timeout",
        ]
        .into_iter()
        .find(|word| bare.contains(word) && !bare.contains(&format!("<{word}")))
    }

    /// Sentences that no C program can be told.
    const NOT_FOR_C: [&str; 5] = [
        "a Rust program opens a server's store itself",
        "build a TokenSource with the store instead",
        "use base_url_for(provider, url)",
        "system_root_certificates: this system's",
        "it returned a builder of another account",
    ];

    #[test]
    fn no_sentence_of_the_library_has_rusts_words_in_c() {
        let of = |crate_: &str| files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(crate_));
        let (mut sentences, mut wrong) = (0, Vec::new());
        for file in of("../src").into_iter().chain(of("../redis/src")) {
            for sentence in literals(&fs::read_to_string(&file).unwrap()) {
                if NOT_FOR_C.iter().any(|known| sentence.contains(known)) {
                    continue;
                }
                sentences += 1;
                let told = of_c(&sentence);
                if let Some(word) = rusts_words(&told) {
                    wrong.push(format!("{word}: {}: {told}", file.display()));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(sentences > 100, "only {sentences} were found");
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let of_tests =
            ["simulation", "model.rs", "script.rs", "tests.rs", "conformance.rs", "reference.rs"];
        let mut all = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            match path.is_dir() {
                _ if of_tests.contains(&name) => {}
                true => all.extend(files(&path)),
                false => all.push(path),
            }
        }
        all
    }

    /// What could be a sentence: text with several words, outside of comments and tests.
    fn literals(text: &str) -> Vec<String> {
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let code = text.lines().filter(|line| {
            let line = line.trim_start();
            !line.starts_with("//") && !line.starts_with("#[")
        });
        code.flat_map(|line| {
            line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|literal| literal.split(' ').count() > 3)
        .collect()
    }
}
