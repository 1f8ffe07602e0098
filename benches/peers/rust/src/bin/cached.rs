//! `cached paytoken|moka THREADS CALLS`: prints the nanoseconds that all calls took together.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use paytoken::{Credentials, Environment, Provider, TokenSource};
use paytoken_peers::{on_threads, variable};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let threads: usize = words[1].parse().expect("THREADS");
    let calls: u64 = words[2].parse().expect("CALLS");
    let each = calls.div_ceil(threads as u64);
    let took = match words[0].as_str() {
        "paytoken" => {
            let source = source();
            source.token().expect("a token");
            on_threads(threads, || {
                let source = source.clone();
                for _ in 0..each {
                    black_box(source.token().expect("a token"));
                }
            })
            .0
        }
        "moka" => {
            let cache = moka::sync::Cache::<String, Arc<str>>::builder()
                .max_capacity(100)
                .time_to_live(Duration::from_secs(600))
                .build();
            cache.insert("account".to_owned(), Arc::from("peer-benchmark-token"));
            on_threads(threads, || {
                let cache = cache.clone();
                for _ in 0..each {
                    black_box(cache.get("account").expect("a token"));
                }
            })
            .0
        }
        _ => panic!("paytoken or moka"),
    };
    println!("{} {}", took.as_nanos(), each * threads as u64);
}

fn source() -> TokenSource {
    let credentials = Credentials::from_env(Provider::NtxPay).expect("credentials");
    TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&variable("NTXPAY_BASE_URL"))
        .root_certificates_pem(&std::fs::read(variable("PAYTOKEN_CA")).expect("a CA"))
        .build()
        .expect("a source")
}
