//! The Rust figure beside the C one: nanoseconds per cached `token()`, against the sandbox that
//! the environment leads to.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)] // a measurement

use std::hint::black_box;
use std::time::Instant;

use paytoken::{Credentials, Environment, Provider, TokenSource};

fn main() {
    let calls: u32 = std::env::args().nth(1).map_or(10_000_000, |text| text.parse().unwrap());
    let provider = Provider::SendPayments;
    let source =
        TokenSource::builder(Credentials::from_env(provider).unwrap(), Environment::Sandbox)
            .base_url(&std::env::var("SENDPAYMENTS_BASE_URL").unwrap())
            .root_certificates_pem(&std::fs::read(std::env::var("PAYTOKEN_CA").unwrap()).unwrap())
            .build()
            .unwrap();
    source.token().unwrap();
    let began = Instant::now();
    for _ in 0..calls {
        black_box(source.token().unwrap());
    }
    let each = began.elapsed().as_nanos() / u128::from(calls);
    println!("Rust token(): {calls} calls, {each} ns each");
}
