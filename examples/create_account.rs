//! Send Payments: an account is created, and never twice.
//!
//! A 401 says that nothing was done, so the request may be sent once more. After a time-out, a cut
//! connection or a 5xx nobody knows: the program looks for the account and sends nothing.
//! (Path and fields are the sandbox's; yours are in the document that Send gave you.)
//!
//! Set `SENDPAYMENTS_CLIENT_ID`, `SENDPAYMENTS_CLIENT_SECRET` and `SENDPAYMENTS_BASE_URL`, then
//! `cargo run --example create_account`.
//! (In the sandbox's shell: `SSL_CERT_FILE=$PAYTOKEN_CA cargo run --example create_account`.)

#![allow(clippy::print_stdout)]

use std::time::Duration;

use paytoken::{Attempt, Error, Provider, TokenSource};
use ureq::tls::{RootCerts, TlsConfig};

const REFERENCE: &str = "shop-1001"; // of your own, stored before anything is sent

fn main() -> Result<(), Error> {
    let source = TokenSource::from_env(Provider::SendPayments)?;
    let url = format!("{}/accounts", source.status().base_url);
    let agent = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .new_agent();

    let answer = source.call(|token| {
        let request = agent.post(&url).header("Authorization", token.bearer());
        let request = request.content_type("application/json");
        let answer = request.send(format!("{{\"reference\": \"{REFERENCE}\"}}")).and_then(read);
        Ok::<_, Error>(match answer {
            Ok((401, _)) => Attempt::Unauthorized(answer),
            _ => Attempt::Done(answer), // a failure, too: it may have arrived
        })
    })?;

    match answer {
        Ok((201, body)) => {
            println!("created: {body}");
            return Ok(());
        }
        Ok((status @ ..=499, body)) => {
            println!("refused, nothing was done: {status}: {body}");
            return Ok(());
        }
        Ok((status, body)) => println!("unknown ({status}: {body})"),
        Err(error) => println!("unknown ({error})"),
    }
    println!("looking for {REFERENCE} before anything is sent again");
    let token = source.token()?;
    let found = agent.get(&url).header("Authorization", token.bearer()).call().and_then(read);
    match found {
        Ok((200, all)) if all.contains(REFERENCE) => println!("it was created"),
        Ok((200, _)) => println!("it is not there: a person, or a later run, may send it again"),
        other => println!("still unknown: {other:?}"),
    }
    Ok(())
}

type Answer = ureq::http::Response<ureq::Body>;

fn read(mut answer: Answer) -> Result<(u16, String), ureq::Error> {
    Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
}
