//! Cached calls for an instruction counter, which is told to count in `one_thousand_calls` alone.

#![allow(clippy::unwrap_used)] // it measures

use std::hint::black_box;
use std::time::Duration;

use paytoken::{TokenCache, TokenOptions, TokenSource};
use paytoken_sandbox::{Sandbox, Service};
use paytoken_testing::credentials;

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let sandbox = Sandbox::start().unwrap();
    let service = Service::SendPayments;
    let credentials = credentials(&sandbox, service);
    let (url, roots) = (sandbox.url(service), sandbox.ca_pem().to_owned());
    let cache = TokenCache::with(move |builder| {
        builder
            .base_url_for(paytoken::Provider::SendPayments, &url)
            .root_certificates_pem(roots.as_bytes())
    });
    let source = cache.source(&credentials, paytoken::Environment::Sandbox).unwrap();
    source.token().unwrap();
    let source: &TokenSource = &source;
    match what.as_str() {
        "token" => one_thousand_calls(&|| drop(black_box(source.token().unwrap()))),
        "token_with" => {
            let options = TokenOptions::new().min_validity(Duration::from_secs(1));
            one_thousand_calls(&|| drop(black_box(source.token_with(&options).unwrap())));
        }
        "cache" => one_thousand_calls(&|| {
            drop(black_box(cache.token(&credentials, paytoken::Environment::Sandbox).unwrap()));
        }),
        "nothing" => one_thousand_calls(&|| _ = black_box(source)),
        _ => std::process::exit(64),
    }
}

#[inline(never)]
fn one_thousand_calls(call: &dyn Fn()) {
    for _ in 0..1_000 {
        call();
    }
}
