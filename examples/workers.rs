//! A token per worker, as NTX Pay advises under high load: each worker has a slot of its own.
//!
//! Where a new token invalidates the previous one (Send Payments), `worker()` gives the shared slot
//! instead, so the same code is right for every provider.
//!
//! Set NTX Pay's and Send's variables (see docs/providers.md), then `cargo run --example workers`.

#![allow(clippy::print_stdout)]

use std::collections::HashSet;
use std::thread;

use paytoken::{Error, Provider, TokenSource};

const WORKERS: usize = 4;

fn main() -> Result<(), Error> {
    for provider in [Provider::NtxPay, Provider::SendPayments] {
        let source = TokenSource::from_env(provider)?;
        let tokens: Vec<Result<String, Error>> = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|_| {
                    let worker = source.worker(); // the same settings and refusals
                    scope.spawn(move || worker.token().map(|token| token.secret().to_owned()))
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
        });
        let different: HashSet<String> = tokens.into_iter().collect::<Result<_, _>>()?;
        println!("{provider}: {WORKERS} workers, different tokens: {}", different.len());
    }
    Ok(())
}
