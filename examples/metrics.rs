//! Metrics from events: a `/metrics` text for Prometheus, without a framework.
//!
//! Set Send's variables (see docs/providers.md), then `cargo run --example metrics`.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use paytoken::{Provider, Settings};

type Counts = Arc<Mutex<BTreeMap<(String, &'static str), u64>>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let counts = Counts::default();
    let count = counts.clone();
    let source = Settings::from_env(Provider::SendPayments)?
        .builder()?
        .label("merchant-7")
        .on_event(move |event| {
            // A name for each kind, and the account; never a secret.
            let account = event.label.as_deref().unwrap_or("-").to_owned();
            let mut counts = count.lock().unwrap_or_else(PoisonError::into_inner);
            *counts.entry((account, event.kind.name())).or_default() += 1;
        })
        .build()?;
    let first = source.token()?;
    source.invalidate(&first)?;
    source.token()?;

    // What Prometheus would do: GET /metrics.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut scraper = TcpStream::connect(listener.local_addr()?)?;
    let server = thread::spawn(move || serve(&listener, &counts));
    scraper.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    scraper.read_to_string(&mut answer)?;
    server.join().expect("no panic")?;
    println!("{answer}");
    Ok(())
}

/// The ten lines: one answer.
fn serve(listener: &TcpListener, counts: &Counts) -> std::io::Result<()> {
    let (mut socket, _) = listener.accept()?;
    _ = socket.read(&mut [0; 1024])?;
    let mut text = "# TYPE paytoken_events_total counter\n".to_owned();
    for ((account, kind), count) in &*counts.lock().unwrap_or_else(PoisonError::into_inner) {
        text +=
            &format!("paytoken_events_total{{account=\"{account}\",kind=\"{kind}\"}} {count}\n");
    }
    let (ok, kind) = ("HTTP/1.1 200 OK\r\nConnection: close", "text/plain; version=0.0.4");
    let head = format!("{ok}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", text.len());
    socket.write_all((head + &text).as_bytes())
}
