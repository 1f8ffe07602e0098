//! NexterPay: the catalogue of countries.
//!
//! Set `NEXTERPAY_USERNAME` and `NEXTERPAY_PASSWORD`, then `cargo run --example catalogue`.
//! (In the sandbox's shell: `SSL_CERT_FILE=$PAYTOKEN_CA cargo run --example catalogue`.)

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Duration;

use paytoken::{Attempt, Provider, TokenSource};
use ureq::tls::{RootCerts, TlsConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let source = TokenSource::from_env(Provider::NexterPay)?;
    let agent = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .new_agent();
    let url = format!("{}/Catalog/GetCountries", source.status().base_url);

    let (status, countries) = source.call(|token| {
        let request = agent.post(&url).header("Authorization", token.bearer());
        let mut response = request.send_empty()?;
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_string()?;
        Ok::<_, Box<dyn Error>>(match status {
            401 => Attempt::Unauthorized((status, body)),
            _ => Attempt::Done((status, body)),
        })
    })?;
    match status {
        200 => println!("{countries}"),
        _ => return Err(format!("{status}: {countries}").into()),
    }
    Ok(())
}
