//! NTX Pay: the balance of a SPEI account, over mutual TLS.
//!
//! Set `NTXPAY_CLIENT_ID`, `NTXPAY_CLIENT_SECRET`, `NTXPAY_CLIENT_CERT` and `NTXPAY_CLIENT_KEY`, then
//! `cargo run --example spei_balance`.
//! (In the sandbox's shell: `SSL_CERT_FILE=$PAYTOKEN_CA cargo run --example spei_balance`.)

#![allow(clippy::print_stdout)]

use std::error::Error;

use paytoken::{Attempt, Provider, TokenSource};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

fn main() -> Result<(), Box<dyn Error>> {
    // Once, at the start; clone it into every thread.
    let source = TokenSource::from_env(Provider::NtxPay)?;
    let agent = agent()?;
    let url = format!("{}/api/balance", source.status().base_url);

    // For each request; a 401 gets a new token and one replay.
    let balance = source.call(|token| {
        let request = agent.get(&url).header(token.header_name(), token.header_value());
        let mut response = request.call()?;
        let body = response.body_mut().read_to_string()?;
        Ok::<_, Box<dyn Error>>(match response.status().as_u16() {
            401 => Attempt::Unauthorized(body),
            _ => Attempt::Done(body),
        })
    })?;
    println!("{balance}");
    Ok(())
}

/// The API wants the client certificate, as the token endpoint does.
fn agent() -> Result<ureq::Agent, Box<dyn Error>> {
    let file = |variable: &str| -> Result<Vec<u8>, Box<dyn Error>> {
        Ok(std::fs::read(std::env::var(variable)?)?)
    };
    let certificate = Certificate::from_pem(&file("NTXPAY_CLIENT_CERT")?)?;
    let key = PrivateKey::from_pem(&file("NTXPAY_CLIENT_KEY")?)?;
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier) // the authorities that this system trusts
        .client_cert(Some(ClientCert::new_with_certs(&[certificate], key)))
        .build();
    Ok(ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false) // a 401 is an answer
        .build()
        .new_agent())
}
