//! TLS to a real server: with its authority, with a client certificate, and without either.

use std::fs;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken::Secret;
use paytoken::store::{Store as _, conformance};
use paytoken_redis::{RedisStore, RedisStoreBuilder};
use paytoken_sandbox::Sandbox;
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair};
use paytoken_testing::redis::Server;
use paytoken_testing::{nobody_listens, temporary_folder};

use crate::conformance::key;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("by_tls_a_redis_does_what_a_store_has_to_and_nobody_else_is_trusted", by_tls)]
}

fn by_tls() {
    let (sandbox, folder) = (Sandbox::start().unwrap(), temporary_folder());
    let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let certificate = sandbox.authority().sign(params.unwrap(), &KeyPair::generate().unwrap());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let port = nobody_listens().port();
    let server = Server::start_on_port(&[
        "--bind",
        "127.0.0.1",
        "127.0.0.2",
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("cert.pem", &certificate.certificate_pem),
        "--tls-key-file",
        &file("key.pem", &certificate.key_pem),
        "--tls-ca-cert-file",
        &file("ca.pem", sandbox.ca_pem()),
    ]);
    let builder = |host: &str| RedisStore::builder(&format!("rediss://{host}:{port}"));
    let trusting =
        |builder: RedisStoreBuilder| builder.root_certificates_pem(sandbox.ca_pem().as_bytes());
    let known = |builder: RedisStoreBuilder| {
        let certificate = sandbox.client_certificate_pem().as_bytes();
        builder.client_certificate_pem(certificate, Secret::new(sandbox.client_key_pem()))
    };
    for host in ["localhost", "127.0.0.1"] {
        conformance::check(|| known(trusting(builder(host))).build().unwrap());
    }
    assert!(known(trusting(builder("localhost"))).build().unwrap().server().unwrap().is_encrypted);
    // Whoever is not trusted, or does not trust us, is told so, at once.
    let plain = RedisStore::builder(&format!("rediss://127.0.0.1:{}", server.port.unwrap()));
    for (builder, says) in [
        (known(builder("localhost")), "by TLS"),
        (trusting(builder("localhost")), ""),
        (known(trusting(builder("127.0.0.2"))), "by TLS"),
        (known(trusting(plain)), ""),
        (RedisStore::builder(&format!("redis://127.0.0.1:{port}")), ""),
    ] {
        let asked = Instant::now();
        let error = builder.build().unwrap().read(&key()).unwrap_err();
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        assert!(error.to_string().contains(says), "{error:?}");
    }
    let wrong = trusting(builder("h")).client_certificate_pem(b"none", Secret::new("hunter2"));
    let error = wrong.build().unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    assert!(builder("h").root_certificates_pem(b"none").build().is_err());
}
