//! PEM in all its shapes; the header value; the TLS identity; and that no key leaves the machine.

use paytoken::{ClientCertificate, Provider};
use paytoken_sandbox::Sandbox;
use paytoken_sandbox::rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
};
use paytoken_testing::{temporary_folder, variables, with_certificate, write_private};

const NTX: Provider = Provider::NtxPay;

/// nginx's encoding of `$ssl_client_escaped_cert`, written a second time and differently.
fn escaped(pem: &str) -> String {
    pem.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[test]
fn the_header_value_is_the_canonical_leaf_whatever_the_file_looked_like() {
    let sandbox = Sandbox::start().unwrap();
    let pem = sandbox.client_certificate_pem().replace("\r\n", "\n");
    let expected = escaped(&pem);
    let one_line: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let indented: String = pem.lines().map(|line| format!("  {line} \n")).collect();
    for (what, text) in [
        ("as issued", pem.clone()),
        ("CRLF", pem.replace('\n', "\r\n")),
        ("CR", pem.replace('\n', "\r")),
        ("no final line end", pem.trim_end().to_owned()),
        ("byte order mark", format!("\u{feff}{pem}")),
        (
            "bag attributes in front",
            format!("Bag Attributes\n    friendlyName: client\nsubject=CN = a\n{pem}"),
        ),
        ("text behind", format!("{pem}\nissued for merchant 7\n")),
        ("indented", indented),
        (
            "one long line",
            format!("-----BEGIN CERTIFICATE-----\n{one_line}\n-----END CERTIFICATE-----\n"),
        ),
        ("chain behind", format!("{pem}{}", sandbox.ca_pem())),
        ("key behind", format!("{pem}{}", sandbox.client_key_pem())),
        ("key in front", format!("{}{pem}", sandbox.client_key_pem())),
    ] {
        let certificate = ClientCertificate::from_pem(&text).unwrap();
        assert_eq!(certificate.header_value(), Some(expected.as_str()), "{what}");
        assert_eq!(certificate.has_private_key(), what.starts_with("key"), "{what}");
    }
}

#[test]
fn every_kind_of_key_ring_can_use_makes_a_tls_identity() {
    let sandbox = Sandbox::start().unwrap();
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(vec!["merchant.example".into()]).unwrap();
        let issued = sandbox.authority().sign(params, &key);
        let certificate = ClientCertificate::from_pem(issued.certificate_pem)
            .unwrap()
            .with_private_key(issued.key_pem)
            .unwrap();
        with_certificate(&sandbox, certificate).build().unwrap().token().unwrap();
    }
}

#[test]
fn certificate_and_key_are_read_from_one_file_or_two() {
    let sandbox = Sandbox::start().unwrap();
    let folder = temporary_folder();
    variables(&sandbox, folder.path());
    let [certificate, key, both] =
        ["client.cert.pem", "client.key.pem", "both.pem"].map(|name| folder.path().join(name));
    write_private(&both, [sandbox.client_key_pem(), sandbox.client_certificate_pem()].concat());
    let two = ClientCertificate::from_pem_files(&certificate, &key);
    let one = ClientCertificate::from_pem_file(&both);
    let header_only = ClientCertificate::from_pem_file(&certificate);
    let a_folder = ClientCertificate::from_pem_file(&folder);
    assert!(two.unwrap().has_private_key());
    assert!(one.unwrap().has_private_key());
    assert!(!header_only.unwrap().has_private_key());
    assert!(a_folder.unwrap_err().to_string().contains("not a regular file"));
}

#[test]
fn a_private_key_in_the_same_pem_never_reaches_the_wire() {
    let sandbox = Sandbox::start().unwrap();
    let both = [sandbox.client_key_pem(), sandbox.client_certificate_pem()].concat();
    let certificate = ClientCertificate::from_pem(both).unwrap();
    with_certificate(&sandbox, certificate).build().unwrap().token().unwrap();
    let received = sandbox.received(NTX);
    assert_eq!(received.len(), 1);
    let text = String::from_utf8_lossy(&received[0]).to_ascii_uppercase();
    assert!(text.contains("BEGIN%20CERTIFICATE"), "the header is there");
    assert!(!text.contains("PRIVATE"));
    for line in sandbox.client_key_pem().lines().filter(|line| !line.starts_with('-')) {
        assert!(!text.contains(&escaped(line).to_ascii_uppercase()), "a line of the key");
        assert!(!text.contains(&line.to_ascii_uppercase()), "a line of the key");
    }
}

#[test]
fn a_certificate_knows_its_end() {
    let sandbox = Sandbox::start().unwrap();
    let certificate = ClientCertificate::from_pem(sandbox.client_certificate_pem()).unwrap();
    assert!(certificate.not_after().unwrap() > std::time::SystemTime::UNIX_EPOCH);
    let injected = ClientCertificate::injected_by_proxy();
    assert_eq!((injected.not_after(), injected.header_value()), (None, None));
}
