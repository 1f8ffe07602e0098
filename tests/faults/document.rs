//! The table as Markdown, for people.

use paytoken::Provider;

use crate::cell::{Cell, State};
use crate::expect::{Bound, Row};
use crate::statuses::PREFIX;

const HEAD: &str = "\
# What happens when

This page is printed by a test (`tests/faults`) that does every line of it, for each provider: it is how the library
behaves, not how it is meant to. Settings are the defaults, two retries among them.

- **No token**: a new source, or one whose token has ended; `token()` is called. The two behave alike in every line.
- **Valid token**: the source holds one that is good. For NTX Pay and NexterPay it is due for renewal and `token()` is called;
  for Send Payments, whose tokens are not renewed before their time, `refresh()` is called.
- A name in `code` is the `ErrorKind` of the error. *Then none for N s*: the provider is not asked again so long, and every
  call is answered at once; `refresh()` overrides.
- A request is counted when it is tried, also where no connection comes about.
- *Old token dropped*: the request may have arrived, and a new token of Send's ends the one before. *Stays*: it cannot have
  made one.
- **Time**: *at once* is what the network takes, and the pauses between attempts, 0.3 s in all at most. *Time-out* is what
  `timeout` allows (15 s unless set), for all attempts together; *connect time-outs* is `connect_timeout` (5 s) for each.
- A name that is not found is tried without a token alone: there is no server to get a first one from.
";

pub fn of(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    let (statuses, others): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row.name.starts_with(PREFIX));
    let (waits, faults): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|row| row.name.starts_with(['4', '5']));
    for (title, rows) in [
        ("Network, TLS, HTTP, body", ranges(&faults)),
        ("`Retry-After`", ranges(&waits)),
        ("Every status from 300 to 599", ranges(&statuses)),
    ] {
        text += &format!(
            "\n## {title}\n\n| fault | no token | valid token | time |\n|---|---|---|---|\n"
        );
        for (name, line) in rows {
            text += &format!("| {name} | {line} |\n");
        }
    }
    text
}

/// Statuses that behave alike share a line.
fn ranges(rows: &[&Row]) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for row in rows {
        let line = line(row);
        let Some(status) = row.name.strip_prefix(PREFIX) else {
            lines.push((row.name.clone(), line));
            continue;
        };
        match lines.last_mut() {
            Some((name, same)) if *same == line => {
                let first = name.split('–').next().unwrap().to_owned();
                *name = format!("{first}–{status}");
            }
            _ => lines.push((status.to_owned(), line)),
        }
    }
    lines
}

fn line(row: &Row) -> String {
    let time = match row.time {
        Bound::AtOnce => "at once",
        Bound::TimeOut => "time-out at most",
        Bound::ConnectTimeOut => "connect time-outs",
    };
    format!("{} | {} | {time}", column(row, State::Empty), column(row, State::Valid))
}

/// What the providers have in common is said once.
fn column(row: &Row, state: State) -> String {
    if !Cell::all(row).any(|cell| cell.state == state) {
        return "—".to_owned();
    }
    let texts =
        Provider::ALL.iter().map(|&provider| (provider, Cell { provider, state }.expected(row)));
    let texts: Vec<_> = texts.collect();
    if texts.iter().all(|(_, text)| *text == texts[0].1) {
        return texts[0].1.clone();
    }
    let mut parts: Vec<(String, String)> = Vec::new();
    for (provider, text) in texts {
        match parts.iter_mut().find(|(_, same)| *same == text) {
            Some((names, _)) => *names += &format!(", {provider}"),
            None => parts.push((provider.to_string(), text)),
        }
    }
    let parts: Vec<_> = parts.iter().map(|(names, text)| format!("{names}: {text}")).collect();
    parts.join("; ")
}
