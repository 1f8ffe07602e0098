//! A provider that is not built in, described in a few lines.
//!
//! What is described here is in truth Send Payments, so that the sandbox can play it: in the sandbox's
//! shell, `cargo run --example described`.

#![allow(clippy::print_stdout)]

use paytoken::{Credentials, Environment, Provider, Result, TokenSource};

/// What the provider's document says. It holds no secret.
const MARKET: &str = r#"{
    "name": "market",
    "token_endpoint": "/auth",
    "auth": "none",
    "body": "json",
    "fields": { "clientId": "{client_id}", "clientSecret": "{client_secret}" },
    "token": "/accessToken",
    "expires_at": "/expiresAt",
    "lifetime": "5m",
    "renewal": "replaces-previous"
}"#;

fn main() -> Result<()> {
    let market = Provider::described(MARKET)?;

    // Or `TokenSource::from_env(market)`, which reads MARKET_CLIENT_ID and so on.
    let values = ["CLIENT_ID", "CLIENT_SECRET"].map(|name| {
        (
            name.to_ascii_lowercase(),
            std::env::var(format!("SENDPAYMENTS_{name}")).unwrap_or_default(),
        )
    });
    let credentials = Credentials::described(market, values, None)?;
    let mut builder = TokenSource::builder(credentials, Environment::Sandbox);
    if let Ok(url) = std::env::var("SENDPAYMENTS_BASE_URL") {
        builder = builder.base_url(&url);
    }
    if let Some(pem) = std::env::var_os("PAYTOKEN_CA").and_then(|path| std::fs::read(path).ok()) {
        builder = builder.root_certificates_pem(&pem);
    }
    let source = builder.build()?;

    let token = source.token()?;
    println!("{market}: a token that lives {:?}", token.lifetime());
    println!("requests: {}", source.status().requests);
    Ok(())
}
