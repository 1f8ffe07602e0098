//! Many merchants in one process: a `TokenCache` keeps a source for each.
//!
//! Here all use the sandbox's account of each provider; yours come from your database. Set the
//! providers' variables (see docs/providers.md), then `cargo run --example merchants`.

#![allow(clippy::print_stdout)]

use std::thread;

use paytoken::{Credentials, Environment, Provider, Settings, TokenCache};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings: Vec<Settings> =
        Provider::ALL.iter().map(|&one| Settings::from_env(one)).collect::<Result<_, _>>()?;
    let authorities = settings[0].root_certificates_pem()?;

    // Runs when a merchant is first asked for, and may run again. An address belongs to one provider.
    let cache = TokenCache::with(move |mut builder| {
        let label = format!("merchant {}", builder.id());
        if let Some(pem) = &authorities {
            builder = builder.root_certificates_pem(pem);
        }
        for one in &settings {
            if let Some(url) = &one.base_url {
                builder = builder.base_url_for(one.provider, url);
            }
        }
        builder.label(&label) // stands in events and log records
    });

    let merchants: Vec<Credentials> =
        Provider::ALL.iter().map(|&one| Credentials::from_env(one)).collect::<Result<_, _>>()?;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for merchant in &merchants {
                    // A slow provider for one merchant does not delay another.
                    if let Err(error) = cache.token(merchant, Environment::Sandbox) {
                        println!("{}: {error}", merchant.id());
                    }
                }
            });
        }
    });

    for source in cache.sources() {
        let status = source.status();
        println!("{}: {} request, {} token", source.provider(), status.requests, status.tokens);
    }

    // A merchant has left. A changed secret needs nothing: give the cache the new credentials.
    cache.remove(&merchants[0], Environment::Sandbox);
    println!("{} merchants are left", cache.len());
    Ok(())
}
