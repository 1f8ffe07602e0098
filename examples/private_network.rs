//! Inside a company: an authority of its own, a proxy, and short time-outs.
//!
//! Set `PAYTOKEN_CA` to the PEM file of the authority, `COMPANY_PROXY` to the proxy (nothing: none),
//! and Send's variables (see docs/providers.md), then `cargo run --example private_network`.

#![allow(clippy::print_stdout)]

use std::time::Duration;

use paytoken::{ErrorKind, Provider, Settings};

fn main() -> Result<(), paytoken::Error> {
    // PAYTOKEN_CA is read here: these authorities are trusted, and no others.
    // (`Builder::root_certificates_pem` takes them as bytes.)
    let settings = Settings::from_env(Provider::SendPayments)?;
    let proxy = std::env::var("COMPANY_PROXY").unwrap_or_default();
    let source = settings
        .builder()?
        .proxy(&proxy) // "http://user:password@proxy:3128"; "" is none, whatever the environment says
        .connect_timeout(Duration::from_secs(2))
        .timeout(Duration::from_secs(5))
        .build()?;

    // Says what is wrong with the way there, and sends no credentials.
    match source.probe(Duration::from_secs(5)) {
        Ok(probe) => println!("the way is free: {} in {:?}", probe.status, probe.took),
        Err(error) if error.kind() == ErrorKind::Certificate => {
            println!("not the authority that PAYTOKEN_CA names? {error}");
            return Err(error);
        }
        Err(error) => return Err(error),
    }
    println!("a token that lives {:?}", source.token()?.lifetime());
    Ok(())
}
