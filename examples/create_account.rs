//! Send Payments: an account is created, and never twice.
//!
//! A 401 says that nothing was done, so the request may be sent once more. After a time-out, a cut
//! connection or a 5xx nobody knows: the program asks what became of it and sends nothing.
//! (Path and fields are the sandbox's; yours stand in the document that Send gave you.)
//!
//! Set `SENDPAYMENTS_CLIENT_ID`, `SENDPAYMENTS_CLIENT_SECRET` and `SENDPAYMENTS_BASE_URL`, then
//! `cargo run --example create_account`.

#![allow(clippy::print_stdout)]

use std::time::Duration;

use paytoken::{Attempt, Provider, TokenSource};
use ureq::tls::{RootCerts, TlsConfig};

const REFERENCE: &str = "shop-1001"; // of your own, stored before anything is sent

enum Outcome {
    Answered(u16, String),
    Unknown(String),
}

fn main() -> Result<(), paytoken::Error> {
    let source = TokenSource::from_env(Provider::SendPayments)?;
    let url = format!("{}/accounts", source.status().base_url);
    let agent = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .new_agent();

    let outcome = source.call(|token| {
        let request = agent.post(&url).header("Authorization", token.bearer());
        let request = request.content_type("application/json");
        let answer = request.send(format!("{{\"reference\": \"{REFERENCE}\"}}"));
        let outcome = match answer {
            // It may have arrived. This is no error of the token's: `call` must not see one.
            Err(error) => Outcome::Unknown(error.to_string()),
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                let body = answer.body_mut().read_to_string().unwrap_or_default();
                match status {
                    500..=599 => Outcome::Unknown(format!("{status}: {body}")),
                    _ => Outcome::Answered(status, body),
                }
            }
        };
        Ok::<_, paytoken::Error>(match outcome {
            Outcome::Answered(401, _) => Attempt::Unauthorized(outcome),
            _ => Attempt::Done(outcome),
        })
    })?;

    match outcome {
        Outcome::Answered(201, body) => println!("created: {body}"),
        Outcome::Answered(status, body) => println!("refused, nothing was done: {status}: {body}"),
        Outcome::Unknown(why) => {
            println!("unknown ({why}): looking for {REFERENCE} before anything is sent again");
            let token = source.token()?;
            let answer = agent.get(&url).header("Authorization", token.bearer()).call();
            let found = answer.and_then(|mut answer| answer.body_mut().read_to_string());
            match found {
                Ok(all) if all.contains(REFERENCE) => println!("it was created"),
                Ok(_) => println!("it is not there: a person, or a later run, may send it again"),
                Err(error) => println!("still unknown: {error}"),
            }
        }
    }
    Ok(())
}
