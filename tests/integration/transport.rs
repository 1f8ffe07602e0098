//! What the way to the server does: certificates of the server, time-outs of any length.

use std::io::Write as _;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use paytoken::{Credentials, Environment, ErrorKind, Provider, Secret, TokenOptions, TokenSource};
use paytoken_sandbox::Sandbox;
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair, date_time_ymd};
use paytoken_testing::{builder, server_config};
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConnection, StreamOwned};

use crate::proxy::dripping;

pub(crate) fn send_source(url: &str, roots: Option<&str>) -> TokenSource {
    let credentials = Credentials::SendPayments {
        client_id: "u".into(),
        client_secret: Secret::from("not-a-real-secret"),
    };
    let builder =
        TokenSource::builder(credentials, Environment::Sandbox).base_url(url).proxy("").retries(0);
    match roots {
        Some(roots) => builder.root_certificates_pem(roots.as_bytes()),
        None => builder,
    }
    .build()
    .unwrap()
}

/// A server with a certificate of these params, from the sandbox's authority.
fn serve(sandbox: &Sandbox, params: CertificateParams) -> u16 {
    let issued = sandbox.authority().sign(params, &KeyPair::generate().unwrap());
    let config = server_config(&issued, WebPkiClientVerifier::no_client_auth());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let _ = StreamOwned::new(connection, stream).write_all(b"x");
        }
    });
    port
}

#[test]
fn each_fault_of_the_servers_certificate_says_what_it_is() {
    let sandbox = Sandbox::start().unwrap();
    let params = |name: &str, from, to| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) =
            (date_time_ymd(from, 2, 3), date_time_ymd(to, 2, 3));
        params
    };
    let other = Sandbox::start().unwrap();
    for (authority, params, parts) in [
        (&sandbox, params("127.0.0.1", 2000, 2001), ["expired on 2001-02-03", "clock says 20"]),
        (&sandbox, params("127.0.0.1", 2100, 2101), ["before 2100-02-03", "clock says 20"]),
        (
            &sandbox,
            params("other.example", 2000, 2100),
            ["for other.example, not for 127.0.0.1", "base_url"],
        ),
        (&other, params("127.0.0.1", 2000, 2100), ["not trusted", "root_certificates_pem"]),
    ] {
        let url = format!("https://127.0.0.1:{}", serve(authority, params));
        let error = send_source(&url, Some(sandbox.ca_pem())).token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Certificate, "{error:?}");
        for part in parts {
            assert!(error.to_string().contains(part), "{error}");
        }
        let is_name = error.to_string().contains("other.example");
        assert_eq!(error.to_string().contains("base_url"), is_name, "{error}");
    }
}

#[test]
fn a_handshake_that_drips_ends_with_the_time_for_a_connection() {
    // The head of a record of 16 KiB, and then what it holds.
    let url = dripping(&[0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc, 0, 0, 0, 0, 0, 0, 0]);
    let sandbox = Sandbox::start().unwrap();
    let source = builder(&sandbox, Provider::SendPayments)
        .base_url(&url.replace("http:", "https:"))
        .connect_timeout(Duration::from_millis(400))
        .timeout(Duration::from_secs(600))
        .retries(0)
        .build()
        .unwrap();
    let error = source.token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert!(error.to_string().contains("handshake"), "{error}");
}

#[test]
fn a_time_out_of_any_length_is_fine() {
    let sandbox = Sandbox::start().unwrap();
    let centuries = Duration::from_secs(500 * 365 * 24 * 3600);
    for limit in [Duration::MAX, Duration::MAX / 2, Duration::from_secs(u64::MAX), centuries] {
        for &provider in Provider::ALL {
            let source =
                builder(&sandbox, provider).timeout(limit).connect_timeout(limit).build().unwrap();
            source.token().unwrap();
            source.token_with(&TokenOptions::new().deadline(limit).force(true)).unwrap();
            assert_eq!(sandbox.counts(provider).token_requests % 2, 0);
        }
    }
}
