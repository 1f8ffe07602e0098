//! What nginx lets through, and that we write the header as it does.

use std::time::Duration;

use paytoken::{ClientCertificate, ErrorKind, Provider};
use paytoken_sandbox::{Sandbox, Service};

use crate::authority::{Authority, Identity, KINDS, new_key, padded, traditional};
use crate::backend::Backend;
use crate::nginx::Front;
use crate::tools::{are_here, builder, with_certificate};

#[test]
fn every_kind_and_form_of_key_gets_a_token_and_the_header_is_nginxs_own() {
    if !are_here() {
        return;
    }
    let (authority, backend) = (Authority::new("root"), Backend::start());
    let server = authority.server(&["127.0.0.1"], |_| ());
    let identities: Vec<_> = KINDS
        .iter()
        .flat_map(|(name, kind)| {
            let pkcs8 = authority.client_with_key(new_key(kind), |_| ());
            let other = (*name != "Ed25519").then(|| Identity {
                key: traditional(&pkcs8.key),
                certificate: pkcs8.certificate.clone(),
            });
            if let Some(other) = &other {
                assert_ne!(other.key, pkcs8.key, "{name}");
            }
            [Some(pkcs8), other].into_iter().flatten().map(move |identity| (*name, identity))
        })
        .collect();
    assert_eq!(identities.len(), 9);
    for protocols in ["TLSv1.2", "TLSv1.3", "TLSv1.2 TLSv1.3"] {
        let front = Front {
            server: &server,
            client_authority: &authority.pem(),
            more: &format!("ssl_protocols {protocols};"),
            location: Front::location_to(backend.address),
        };
        let nginx = front.start(&[]);
        for (name, identity) in &identities {
            let source = builder(&Front::url(&nginx), &authority.pem(), identity).build().unwrap();
            let token =
                source.token().unwrap_or_else(|error| panic!("{name} {protocols}: {error:?}"));
            assert_eq!(token.secret(), "token-from-behind-nginx");
            let seen = backend.seen().pop().unwrap();
            assert!(seen.by_nginx.starts_with("-----BEGIN%20CERTIFICATE-----%0A"), "{seen:?}");
            assert_eq!(seen.by_client, seen.by_nginx, "{name} {protocols}");
        }
    }
    assert_eq!(backend.seen().len(), 3 * 9);
}

#[test]
fn a_chain_of_three_is_sent_whole_and_its_leaf_alone_is_in_the_header() {
    if !are_here() {
        return;
    }
    let (root, backend) = (Authority::new("root"), Backend::start());
    let intermediate = root.intermediate("intermediate");
    let server = root.server(&["127.0.0.1"], |_| ());
    let front = Front {
        server: &server,
        client_authority: &root.pem(),
        more: "ssl_verify_depth 2;",
        location: Front::location_to(backend.address),
    };
    let nginx = front.start(&[]);
    let leaf = intermediate.client(|_| ());
    let alone = builder(&Front::url(&nginx), &root.pem(), &leaf).build().unwrap();
    assert_eq!(alone.token().unwrap_err().kind(), ErrorKind::Certificate, "nginx needs the chain");
    let chain = Identity {
        // As files look that were put together by hand.
        certificate: format!(
            "leaf\r\n{}subject=intermediate\n{}\n{}",
            leaf.certificate.replace('\n', "\r\n"),
            intermediate.pem(),
            root.pem()
        ),
        key: leaf.key.clone(),
    };
    builder(&Front::url(&nginx), &root.pem(), &chain).build().unwrap().token().unwrap();
    let seen = backend.seen().pop().unwrap();
    assert_eq!(seen.by_client, seen.by_nginx);
    let leaf = ClientCertificate::from_pem(&leaf.certificate).unwrap();
    assert_eq!(Some(&*seen.by_client), leaf.header_value());
}

#[test]
fn a_header_that_just_fits_nginxs_buffers_passes_and_a_larger_one_is_refused_here() {
    if !are_here() {
        return;
    }
    let (authority, backend) = (Authority::new("root"), Backend::start());
    let server = authority.server(&["127.0.0.1"], |_| ());
    let front = Front {
        server: &server,
        client_authority: &authority.pem(),
        more: "",
        location: Front::location_to(backend.address),
    };
    let nginx = front.start(&[]);
    let largest = of_header_length(&authority, 8_171);
    let fits = builder(&Front::url(&nginx), &authority.pem(), &largest).build().unwrap();
    fits.token().unwrap();
    let seen = backend.seen().pop().unwrap();
    assert_eq!((seen.by_client.len(), seen.by_client), (8_171, seen.by_nginx));

    let larger = authority.client(padded(6_200));
    let error = ClientCertificate::from_pem(&larger.certificate).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Certificate);
    assert!(error.to_string().contains("8171"), "{error}");
    assert_eq!(backend.seen().len(), 1, "nothing was sent");
}

/// A certificate whose header value has exactly this length. Each signature is another, so some
/// attempts are needed.
fn of_header_length(authority: &Authority, wanted: usize) -> Identity {
    for attempt in 0..20_000 {
        let identity = authority.client(padded(5_405 + attempt % 30));
        let value = ClientCertificate::from_pem(&identity.certificate)
            .map_or(0, |certificate| certificate.header_value().unwrap().len());
        if value == wanted {
            return identity;
        }
    }
    panic!("no certificate of that length came about");
}

#[test]
fn the_sandbox_behind_nginx_issues_a_token_that_its_api_knows() {
    if !are_here() {
        return;
    }
    let sandbox = Sandbox::start().unwrap();
    let server = Authority::new("front");
    let client = Identity {
        certificate: sandbox.client_certificate_pem().to_owned(),
        key: sandbox.client_key_pem().to_owned(),
    };
    let location = format!(
        "proxy_pass {};
         proxy_ssl_certificate client.pem;
         proxy_ssl_certificate_key client.key;
         proxy_ssl_trusted_certificate clients.pem;
         proxy_ssl_verify on;
         proxy_ssl_name localhost;
         proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;",
        sandbox.url(Service::NtxPay)
    );
    let front = Front {
        server: &server.server(&["127.0.0.1"], |_| ()),
        client_authority: sandbox.ca_pem(),
        more: "",
        location,
    };
    let nginx = front.start(&[("client.pem", &client.certificate), ("client.key", &client.key)]);
    let certificate = ClientCertificate::from_pem(&client.certificate)
        .unwrap()
        .with_private_key(&client.key)
        .unwrap();
    let credentials = paytoken::Credentials::NtxPay {
        client_id: sandbox.client_id(Service::NtxPay).into(),
        client_secret: sandbox.client_secret(Service::NtxPay).into(),
        certificate: certificate.clone(),
    };
    let source = paytoken::TokenSource::builder(credentials, paytoken::Environment::Sandbox)
        .base_url(&Front::url(&nginx))
        .root_certificates_pem(server.pem().as_bytes())
        .build()
        .unwrap();
    let token = source.token().unwrap();
    assert!(sandbox.is_valid(Service::NtxPay, token.secret()));
    assert_eq!(token.lifetime(), Duration::from_secs(600));
    assert_eq!(certificate.header_value().unwrap(), sandbox.client_certificate_header());

    // The wrong secret is the provider's own refusal, not the front's.
    let wrong = with_certificate(&Front::url(&nginx), &server.pem(), certificate).build().unwrap();
    let error = wrong.token().unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Rejected, Some(401)));
    assert_eq!(error.provider(), Some(Provider::NtxPay));
}
