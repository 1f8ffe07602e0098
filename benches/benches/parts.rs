//! The parts of a fetch and of a store: each parser beside serde_json alone, PEM → header beside
//! reading the PEM alone, the store beside reading and writing a file.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // it measures

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use paytoken::store::Store as _;
use paytoken::{ClientCertificate, FileStore};
use paytoken_bench::{Candidate, compare, rounds};
use paytoken_sandbox::{Sandbox, Service};
use paytoken_testing::{credentials, temporary_folder};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

fn main() {
    let sandbox = Sandbox::start().unwrap();
    for (service, body) in [
        (
            Service::NtxPay,
            r#"{"access_token":"TOKEN","token_type":"Bearer","expires_in":600,"scope":"api"}"#,
        ),
        (Service::NexterPay, r#""TOKEN""#),
        (Service::SendPayments, r#"{"accessToken":"TOKEN","expiresAt":"2100-01-01T00:00:00Z"}"#),
    ] {
        let token = format!("{}.{}.{}", "a".repeat(36), "b".repeat(300), "c".repeat(342));
        let body = body.replace("TOKEN", &token).into_bytes();
        let credentials = credentials(&sandbox, service);
        compare(
            &format!("{service}: reading the answer"),
            rounds(15),
            vec![
                Candidate::calls("serde_json to a `Value`", 20_000, || {
                    serde_json::from_slice::<Value>(&body).unwrap()
                }),
                Candidate::calls("paytoken: checked and wiped", 20_000, || {
                    paytoken::bench::parse(&credentials, &body).unwrap()
                }),
                Candidate::calls("paytoken: making the request", 20_000, || {
                    paytoken::bench::request(&credentials)
                }),
            ],
        );
    }
    let pem = sandbox.client_certificate_pem();
    compare(
        "PEM to header",
        rounds(15),
        vec![
            Candidate::calls("PEM to DER alone", 5_000, || {
                CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
            }),
            Candidate::calls("paytoken: checked, header made", 5_000, || {
                ClientCertificate::from_pem(pem).unwrap()
            }),
        ],
    );
    store();
}

fn store() {
    let folder = temporary_folder();
    let store = FileStore::open(folder.path().join("store")).unwrap();
    let key = paytoken::bench::store_key();
    let entry = vec![b'a'; 1200];
    let put = || {
        let mut guard =
            store.lock(&key, Duration::from_secs(1), Duration::from_secs(1)).unwrap().unwrap();
        let read = guard.read().unwrap();
        guard.write(&entry, Duration::from_secs(60)).unwrap();
        read
    };
    put();
    let (plain, new) = (folder.path().join("plain"), folder.path().join("new"));
    fs::write(&plain, &entry).unwrap();
    let replace = || {
        let read = fs::read(&plain).unwrap();
        let mut file = fs::File::create(&new).unwrap();
        file.write_all(&entry).unwrap();
        file.sync_all().unwrap();
        fs::rename(&new, &plain).unwrap();
        read
    };
    compare(
        "store: reading an entry",
        rounds(15),
        vec![
            Candidate::calls("`fs::read`", 2_000, || fs::read(&plain).unwrap()),
            Candidate::calls("paytoken", 2_000, || store.read(&key).unwrap().unwrap()),
        ],
    );
    compare(
        "store: reading and replacing an entry durably",
        rounds(15),
        vec![
            Candidate::calls("read, write, fsync, rename", 20, replace),
            Candidate::calls("paytoken, under the lock", 20, put),
        ],
    );
}
