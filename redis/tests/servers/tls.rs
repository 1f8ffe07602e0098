//! TLS to a real server: with its authority, with a client certificate, and without either.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken::Secret;
use paytoken::store::{Store as _, conformance};
use paytoken_redis::{RedisStore, RedisStoreBuilder};
use paytoken_sandbox::Sandbox;
use paytoken_testing::redis::Server;

use crate::conformance::key;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("by_tls_a_redis_does_what_a_store_has_to_and_nobody_else_is_trusted", by_tls)]
}

fn by_tls() {
    let sandbox = Sandbox::start().unwrap();
    let (server, port) = Server::start_by_tls(&sandbox);
    let builder = |host: &str| RedisStore::builder(&format!("rediss://{host}:{port}"));
    let trusting: &(dyn Fn(RedisStoreBuilder) -> RedisStoreBuilder + Sync) =
        &|builder| builder.root_certificates_pem(sandbox.ca_pem().as_bytes());
    let known: &(dyn Fn(RedisStoreBuilder) -> RedisStoreBuilder + Sync) = &|builder| {
        let certificate = sandbox.client_certificate_pem().as_bytes();
        builder.client_certificate_pem(certificate, Secret::new(sandbox.client_key_pem()))
    };
    for host in ["localhost", "127.0.0.1"] {
        conformance::check(|| known(trusting(builder(host))).build().unwrap());
    }
    assert!(known(trusting(builder("localhost"))).build().unwrap().server().unwrap().is_encrypted);
    // Whoever is not trusted, or does not trust us, is told so, within the store's second.
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
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
        assert!(error.to_string().contains(says), "{error:?}");
    }
    let wrong = trusting(builder("h")).client_certificate_pem(b"none", Secret::new("hunter2"));
    let error = wrong.build().unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    assert!(builder("h").root_certificates_pem(b"none").build().is_err());
    // What is set for TLS is not left unused in silence.
    for without in ["redis://h", "redis+unix:///r.sock", "redis+sentinel://h/main"] {
        for builder in [trusting, known] {
            let error = builder(RedisStore::builder(without)).build().unwrap_err();
            assert!(error.to_string().contains("_pem: the URL asks for no TLS"), "{error}");
        }
    }
}
