//! What nginx does not let through, and the servers we do not talk to.

use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use paytoken::{ClientCertificate, ErrorKind};
use paytoken_sandbox::rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, date_time_ymd,
};
use paytoken_testing::{ManualClock, not_run};

use crate::authority::{Authority, Identity, expired, self_signed_server, with_serial};
use crate::backend::Backend;
use crate::nginx::Front;
use crate::tools::{are_here, builder, with_certificate};

/// On a machine whose clock is wrong.
fn middle_of_2020() -> ManualClock {
    ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_592_000_000))
}

#[test]
fn nginx_refuses_bad_client_certificates_and_we_say_which_kind_of_error_it_is() {
    if !are_here() {
        return;
    }
    let (authority, other) = (Authority::new("root"), Authority::new("another root"));
    let backend = Backend::start();
    let server = authority.server(&["127.0.0.1"], |_| ());
    let revoked = authority.client(with_serial(7));
    let front = Front {
        server: &server,
        client_authority: &authority.pem(),
        more: "ssl_crl revoked.pem;",
        location: Front::location_to(backend.address),
    };
    let nginx = front.start(&[("revoked.pem", &authority.revocation_list(7))]);
    let (url, roots) = (Front::url(&nginx), authority.pem());

    let good = authority.client(with_serial(8));
    builder(&url, &roots, &good).build().unwrap().token().unwrap();
    assert_eq!(backend.seen().len(), 1);

    let old = authority.client(expired);
    let error = builder(&url, &roots, &old).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Certificate, "an expired one is refused here");
    assert!(error.to_string().contains("expired"), "{error}");

    let without_key = ClientCertificate::from_pem(&good.certificate).unwrap();
    let refused = [
        ("revoked", "did not accept the client certificate", builder(&url, &roots, &revoked)),
        (
            "expired, on a machine that does not know",
            "did not accept the client certificate",
            builder(&url, &roots, &old).clock(middle_of_2020()),
        ),
        (
            "untrusted",
            "did not accept the client certificate",
            builder(&url, &roots, &other.client(|_| ())),
        ),
        (
            "missing",
            "no client certificate arrived at the server in front; give certificate and private key",
            with_certificate(&url, &roots, without_key),
        ),
    ];
    for (what, says, builder) in refused {
        let source = builder.build().unwrap();
        let error = source.token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Certificate, "{what}: {error:?}");
        assert_eq!(error.status(), Some(400), "{what}: {error:?}");
        assert!(error.to_string().contains(says), "{what}: {error}");
        assert!(!error.is_retryable(), "{what}");
        // Remembered: nginx is not asked again at once.
        assert!(source.token().unwrap_err().retry_after().is_some(), "{what}");
        assert_eq!(source.status().requests, 1, "{what}");
    }
    assert_eq!(backend.seen().len(), 1, "nothing came through");
}

#[test]
fn a_server_certificate_of_another_host_or_expired_or_self_signed_gets_nothing() {
    if !are_here() {
        return;
    }
    let (authority, backend) = (Authority::new("root"), Backend::start());
    let client = authority.client(|_| ());
    let of_this_host =
        |change: fn(&mut CertificateParams)| authority.server(&["127.0.0.1"], change);
    let servers = [
        (
            "of another host",
            authority.server(&["api.example", "api2.example"], |_| ()),
            &["is for api.example, api2.example, not for 127.0.0.1", "base_url"][..],
        ),
        (
            "expired",
            of_this_host(expired),
            &["expired on 2021-01-01 00:00:00 UTC, and this machine's clock says 20", "renew it"],
        ),
        (
            "not yet valid",
            of_this_host(|params| params.not_before = date_time_ymd(2048, 1, 1)),
            &["not valid before 2048-01-01 00:00:00 UTC, and this machine's clock says 20", "set"],
        ),
        ("self-signed", self_signed_server(), &["authority that is not trusted here", "root_"]),
        (
            "of another authority",
            Authority::new("other").server(&["127.0.0.1"], |_| ()),
            &["authority that is not trusted here", "root_certificates_pem"],
        ),
        (
            "for clients",
            of_this_host(|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            &["it is not meant for servers", "ask its operator"],
        ),
        (
            "an authority's own",
            of_this_host(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            &["it is an authority's own certificate", "ask its operator"],
        ),
    ];
    for (what, server, says) in &servers {
        let front = Front {
            server,
            client_authority: &authority.pem(),
            more: "",
            location: Front::location_to(backend.address),
        };
        let nginx = front.start(&[]);
        let source = builder(&Front::url(&nginx), &authority.pem(), &client).build().unwrap();
        let error = source.token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Certificate, "{what}: {error:?}");
        assert!(error.to_string().contains("server's certificate"), "{what}: {error}");
        assert!(says.iter().all(|part| error.to_string().contains(part)), "{what}: {error}");
        assert_eq!(source.status().requests, 1, "{what}: it is not tried again");
    }
    assert_eq!(backend.seen(), []);
}

#[test]
fn a_server_that_speaks_only_tls_1_1_is_refused() {
    if !are_here() {
        return;
    }
    let (authority, backend) = (Authority::new("root"), Backend::start());
    let client = authority.client(|_| ());
    let front = Front {
        server: &authority.server(&["127.0.0.1"], |_| ()),
        client_authority: &authority.pem(),
        more: "ssl_protocols TLSv1.1; ssl_ciphers DEFAULT@SECLEVEL=0;",
        location: Front::location_to(backend.address),
    };
    let nginx = front.start(&[]);
    if !speaks_tls_1_1(&nginx.address.to_string()) {
        return not_run("this openssl cannot speak TLS 1.1");
    }
    let source =
        builder(&Front::url(&nginx), &authority.pem(), &client).retries(0).build().unwrap();
    let error = source.token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error:?}");
    assert!(error.to_string().contains("TLS"), "{error}");
    assert_eq!(backend.seen(), []);
}

/// A client that still can.
fn speaks_tls_1_1(address: &str) -> bool {
    let said = Command::new("openssl")
        .args(["s_client", "-connect", address, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&said.stdout).contains("Protocol  : TLSv1.1")
}

#[test]
fn a_key_of_another_certificate_is_refused_before_anything_is_sent() {
    if !are_here() {
        return;
    }
    let authority = Authority::new("root");
    let (one, two) = (authority.client(|_| ()), authority.client(|_| ()));
    let mixed = Identity { certificate: one.certificate, key: two.key };
    let error = ClientCertificate::from_pem(&mixed.certificate)
        .and_then(|certificate| certificate.with_private_key(&mixed.key))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Certificate);
}
