//! Each bad input gives one error of the right kind that names the field, before any request.

use std::time::Duration;

use paytoken::{
    Builder, ClientCertificate, Credentials, Environment, Error, ErrorKind, Provider, Secret,
    StoreTls, TokenSource,
};
use paytoken_sandbox::Sandbox;
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};
use paytoken_testing::{builder, credentials_with, reach, temporary_folder, write_private};

/// What is wrong, what came of it, the kind it has to be, and what its text has to say.
type Row = (&'static str, Result<TokenSource, Error>, ErrorKind, &'static str);

fn check(rows: Vec<Row>) {
    for (what, result, kind, says) in rows {
        let error = result.err().unwrap_or_else(|| panic!("{what}: was accepted"));
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(error.to_string().contains(says), "{what}: {error}");
        assert!(!error.is_retryable(), "{what}");
        assert!(error.provider().is_some() || kind == ErrorKind::Certificate, "{what}");
    }
}

fn no_request(sandbox: &Sandbox) {
    for &provider in Provider::ALL {
        assert_eq!(sandbox.counts(provider).connections, 0, "{provider} was reached");
    }
}

#[test]
fn bad_credentials_name_the_field() {
    let sandbox = Sandbox::start().unwrap();
    let mut rows: Vec<Row> = Vec::new();
    for (bad, says) in [
        ("", "is empty"),
        ("   ", "is empty"),
        (" padded", "white space"),
        ("padded ", "white space"),
        ("two\r\nlines", "control character"),
        ("line\nend", "control character"),
        ("trailing line end\n", "control character"),
        ("nul\0", "control character"),
        ("\u{feff}pasted", "invisible"),
        ("pasted\u{200b}", "invisible"),
    ] {
        for &provider in Provider::ALL {
            let with_secret = credentials_with(&sandbox, provider, bad);
            rows.push((
                "secret",
                reach(&sandbox, provider, with_secret).build(),
                ErrorKind::Configuration,
                says,
            ));
            let good = credentials_with(&sandbox, provider, "good-secret");
            let certificate = good.certificate().cloned();
            let with_id = Credentials::new(provider, bad, "good-secret", certificate).unwrap();
            rows.push((
                "id",
                reach(&sandbox, provider, with_id).build(),
                ErrorKind::Configuration,
                says,
            ));
        }
    }
    check(rows);
    let fields = |provider, secret: &str| {
        let error = reach(&sandbox, provider, credentials_with(&sandbox, provider, secret)).build();
        error.unwrap_err().to_string()
    };
    assert!(fields(Provider::NtxPay, "").starts_with("ntx-pay: client_secret: "));
    assert!(fields(Provider::NexterPay, "").starts_with("nexter-pay: password: "));
    assert!(fields(Provider::SendPayments, "").starts_with("send-payments: client_secret: "));
    for &provider in Provider::ALL {
        let given = ClientCertificate::from_pem(sandbox.client_certificate_pem()).unwrap();
        // Not what it takes.
        let (certificate, says) = match provider.facts().takes_certificate {
            true => (None, "certificate: not set; give"),
            false => (Some(given), "certificate: this provider takes none"),
        };
        let error = Credentials::new(provider, "id", "secret", certificate).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(says), "{error}");
    }
    no_request(&sandbox);
}

#[test]
fn bad_settings_name_the_field() {
    let sandbox = Sandbox::start().unwrap();
    let ntx = || builder(&sandbox, Provider::NtxPay);
    let configuration =
        |what, builder: Builder, says| (what, builder.build(), ErrorKind::Configuration, says);
    let mut rows = vec![
        configuration("time-out of zero", ntx().timeout(Duration::ZERO), "timeout: is zero"),
        configuration(
            "connect time-out of zero",
            ntx().connect_timeout(Duration::ZERO),
            "connect_timeout: is zero",
        ),
        configuration("many retries", ntx().retries(11), "retries: "),
        configuration(
            "roots without a certificate",
            ntx().root_certificates_pem(b""),
            "root_certificates_pem: no CERTIFICATE",
        ),
        configuration(
            "roots that are none",
            ntx().root_certificates_pem(
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            ),
            "root_certificates_pem: a certificate in it",
        ),
        configuration(
            "torn roots",
            ntx().root_certificates_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n"),
            "root_certificates_pem: a PEM block is damaged",
        ),
        configuration("user agent with a line end", ntx().user_agent("a\r\nb: c"), "user_agent: "),
        configuration("empty user agent", ntx().user_agent(""), "user_agent: "),
        configuration(
            "header name with a colon",
            ntx().authorization_header("A:", "Bearer"),
            "authorization_header: the name",
        ),
        configuration(
            "header prefix with a line end",
            ntx().authorization_header("A", "B\n"),
            "authorization_header: the prefix",
        ),
        configuration("proxy that is none", ntx().proxy("::"), "proxy: "),
        configuration("SOCKS proxy", ntx().proxy("socks5://127.0.0.1:1080"), "proxy: "),
    ];
    for (url, says) in [
        ("api.example", "base_url: has no scheme"),
        ("https://u:p@api.example", "base_url: holds a user name or password"),
        ("https://api.example?x=1", "base_url: has a query"),
        ("http://api.example", "base_url: is plain http"),
        ("", "base_url: is empty"),
    ] {
        rows.push(configuration(url, ntx().base_url(url), says));
    }
    let plain = |provider, environment| {
        TokenSource::new(credentials_with(&sandbox, provider, "good-secret"), environment)
    };
    rows.push((
        "NexterPay in production without an address",
        plain(Provider::NexterPay, Environment::Production),
        ErrorKind::Configuration,
        "base_url: NexterPay's document does not state",
    ));
    for environment in [Environment::Sandbox, Environment::Production] {
        rows.push((
            "Send without an address",
            plain(Provider::SendPayments, environment),
            ErrorKind::Configuration,
            "base_url: Send Payments gives each client an address",
        ));
    }
    check(rows);
    // Those whose document states one need none.
    for (provider, environment) in [
        (Provider::NtxPay, Environment::Sandbox),
        (Provider::NtxPay, Environment::Production),
        (Provider::NexterPay, Environment::Sandbox),
    ] {
        assert!(plain(provider, environment).is_ok());
    }
    no_request(&sandbox);
}

#[test]
fn bad_certificates_and_keys_name_the_field() {
    let sandbox = Sandbox::start().unwrap();
    let good = sandbox.client_certificate_pem();
    let good_key = sandbox.client_key_pem();
    let other_key = sandbox.issue_client_certificate("other").key_pem;
    let encrypted = format!(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n{}\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "A".repeat(64)
    );
    let old_encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let torn = &good[..good.len() / 2];
    let p521 = p521_key();
    let many_names = (0..400).map(|n| format!("name-{n}.merchant.example")).collect();
    let too_long = issue(&sandbox, |params| params.subject_alt_names = many_names_of(many_names));
    let source = |certificate: Result<ClientCertificate, Error>| {
        let credentials = Credentials::NtxPay {
            client_id: "id".into(),
            client_secret: Secret::from("good-secret"),
            certificate: certificate?,
        };
        reach(&sandbox, Provider::NtxPay, credentials).build()
    };
    let pem = |pem: &str| source(ClientCertificate::from_pem(pem));
    let with_key =
        |key: &str| source(ClientCertificate::from_pem(good).unwrap().with_private_key(key));
    let expired = issue(&sandbox, |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let early = issue(&sandbox, |params| {
        params.not_before = date_time_ymd(2090, 1, 1);
        params.not_after = date_time_ymd(2091, 1, 1);
    });
    let certificate = ErrorKind::Certificate;
    check(vec![
        ("nothing", pem(""), certificate, "certificate: no -----BEGIN CERTIFICATE-----"),
        ("text", pem("not a PEM"), certificate, "certificate: no -----BEGIN CERTIFICATE-----"),
        (
            "key only",
            pem(good_key),
            certificate,
            "certificate: holds a private key but no certificate",
        ),
        (
            "encrypted key only",
            pem(&encrypted),
            certificate,
            "certificate: holds a private key but no certificate",
        ),
        ("torn", pem(torn), certificate, "certificate: a PEM block is damaged"),
        (
            "not X.509",
            pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            certificate,
            "certificate: the first CERTIFICATE block is not",
        ),
        (
            "encrypted key beside the certificate",
            pem(&format!("{good}{encrypted}")),
            certificate,
            "certificate: the private key is encrypted",
        ),
        (
            "foreign key beside the certificate",
            pem(&format!("{good}{other_key}")),
            certificate,
            "private_key: it does not belong",
        ),
        ("no key", with_key(""), certificate, "private_key: no PRIVATE KEY block"),
        (
            "a certificate for a key",
            with_key(good),
            certificate,
            "private_key: no PRIVATE KEY block",
        ),
        ("foreign key", with_key(&other_key), certificate, "private_key: it does not belong"),
        (
            "encrypted key",
            with_key(&encrypted),
            certificate,
            "private_key: the private key is encrypted",
        ),
        (
            "old encrypted key",
            with_key(old_encrypted),
            certificate,
            "private_key: the private key is encrypted",
        ),
        ("P-521 key", with_key(&p521), certificate, "private_key: EC P-521"),
        (
            "broken key",
            with_key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            certificate,
            "private_key: not usable",
        ),
        ("too long for the header", pem(&too_long), certificate, "over the 8171"),
        ("expired", pem(&expired), certificate, "certificate: it has expired"),
        ("not valid yet", pem(&early), certificate, "certificate: it is not valid yet"),
    ]);
    let injected = ClientCertificate::injected_by_proxy().with_private_key(good_key).unwrap_err();
    assert_eq!(injected.kind(), ErrorKind::Configuration);
    let missing = ClientCertificate::from_pem_file("no/such/file.pem").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Configuration);
    assert!(missing.to_string().contains("certificate: cannot read no/such/file.pem"), "{missing}");
    no_request(&sandbox);
}

#[test]
fn a_correction_after_bad_input_works_and_a_held_token_survives_it() {
    let sandbox = Sandbox::start().unwrap();
    let source = builder(&sandbox, Provider::NtxPay).build().unwrap();
    let token = source.token().unwrap();
    assert!(source.token_valid_for(Duration::from_secs(1_000_000)).is_err());
    assert!(builder(&sandbox, Provider::NtxPay).timeout(Duration::ZERO).build().is_err());
    assert_eq!(source.token().unwrap().secret(), token.secret());
    assert_eq!(sandbox.token_requests(Provider::NtxPay), 1);
}

fn issue(sandbox: &Sandbox, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::new(vec!["merchant.example".into()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let issued = sandbox.authority().sign(params, &key);
    format!("{}{}", issued.certificate_pem, issued.key_pem)
}

fn many_names_of(names: Vec<String>) -> Vec<SanType> {
    CertificateParams::new(names).unwrap().subject_alt_names
}

/// A PKCS#8 key on the curve P-521 (RFC 5915 inside RFC 5208), made by hand: rcgen cannot.
fn p521_key() -> String {
    let mut der = vec![0x30, 0x60, 0x02, 0x01, 0x00];
    der.extend([0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]);
    der.extend([0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23]);
    der.extend([0x04, 0x49, 0x30, 0x47, 0x02, 0x01, 0x01, 0x04, 0x42]);
    der.extend([1; 66]);
    let key = KeyPair::generate().unwrap();
    // Any PEM writer will do; this one is at hand.
    let pem = key.serialize_pem();
    let (first, last) = (pem.lines().next().unwrap(), pem.lines().last().unwrap());
    format!("{first}\n{}\n{last}\n", base64(&der))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .map(|chunk| {
            let bits = chunk.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            (0..4)
                .map(|place| match place <= chunk.len() {
                    true => char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]),
                    false => '=',
                })
                .collect::<String>()
        })
        .collect()
}

#[test]
fn a_file_for_a_servers_tls_that_cannot_be_used_is_named_by_its_setting() {
    let folder = temporary_folder();
    let [none, empty] = ["none", "empty"].map(|name| folder.path().join(name));
    write_private(&empty, "");
    for (ca, certificate, key, says) in [
        (Some(&none), None, None, "store_ca: cannot read"),
        (Some(&empty), None, None, "store_ca: no CERTIFICATE"),
        (None, Some(&none), None, "store_certificate: cannot read"),
        (None, None, Some(&none), "store_private_key: set without a certificate"),
        (None, Some(&empty), Some(&none), "store_private_key: cannot read"),
    ] {
        let paths = [ca, certificate, key].map(|path| path.map(|path| path.as_path()));
        let error = StoreTls::from_files(paths[0], paths[1], paths[2]).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().starts_with(says), "{error}");
    }
}
