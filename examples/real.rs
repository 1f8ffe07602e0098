//! The lines to paste into a program: NTX Pay's balance, with a token that is always good.
//!
//! Set `NTXPAY_CLIENT_ID`, `NTXPAY_CLIENT_SECRET`, `NTXPAY_CLIENT_CERT` and `NTXPAY_CLIENT_KEY`,
//! then `cargo run --example real`.

#![allow(clippy::print_stdout)]

use paytoken::{Attempt, Credentials, Environment, Provider, TokenSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Once, at the start; clone it into every thread.
    let credentials = Credentials::from_env(Provider::NtxPay)?;
    let source = TokenSource::new(credentials, Environment::Sandbox)?;

    // For each request; a 401 is replayed once, with a new token.
    let balance =
        source.call(|token| get("https://sandbox.mx.ntxpay.com/api/balance", token.bearer()))?;
    println!("{balance}");
    Ok(())
}

/// Your HTTP client goes here; this one is ureq. (The API wants the client certificate, too.)
fn get(url: &str, authorization: &str) -> Result<Attempt<String>, Box<dyn std::error::Error>> {
    let request = ureq::get(url).config().http_status_as_error(false).build();
    let mut response = request.header("Authorization", authorization).call()?;
    let body = response.body_mut().read_to_string()?;
    Ok(match response.status().as_u16() {
        401 => Attempt::Unauthorized(body),
        _ => Attempt::Done(body),
    })
}
