//! The table as Markdown: a summary of one screen for users, and the whole for who changes the code.

use paytoken::{Provider, Renewal};

use crate::cell::{Cell, State};
use crate::expect::{Bound, Expect, Row};
use crate::statuses::PREFIX;

const HEAD: &str = "\
# What happens when

A test makes each fault happen to each provider, with default settings, and prints this page: observed behaviour, not a specification.
[Every fault](../tests/faults/observed.md).

- **Without a token**, a call fails with the error below.
- **NTX Pay and NexterPay**: while the old token is good, no caller sees that a renewal failed.
- **Send Payments**: the old token is dropped as soon as the request for a new one may have arrived.

| what comes | the error | requests | Send's old token | next request |
|---|---|--:|---|---|
";

const NOTES: &str = "
- *Requests*: every attempt counts, even if no connection is made. While NTX Pay or NexterPay has a good token there is one attempt.
- *Next request*: how long *remembered* and a *growing pause* are, [the table](safe-use.md#when-the-provider-is-asked-again) says.
- What an error means and how to fix it: [errors](errors.md). A 401 of the *API* is another matter: [concepts](concepts.md).
";

const OBSERVED: &str = "\
# Every fault, and what happened

For people who change the code; users have [the summary](../../docs/what-happens-when.md). `UPDATE_DOCS=1 cargo test --test faults`
writes this page.

- **No token**: a new source, or one whose token has expired; `token()` is called. The two behave alike in every line.
- **Good token, NTX Pay and NexterPay**: it is due for renewal, and `token()` is called.
- **Good token, Send Payments**: its tokens are not renewed early, so `refresh()` is called.
- A name in `code` is the `ErrorKind` of the error. *Old token dropped*: the request may have arrived. *Stays*: it cannot have made a
  new token.
- **Time**: *at once* is what the network takes, and the pauses between attempts, 0.3 s in all at most. *Time-out* is what
  `timeout` allows, for all attempts together; *connect time-outs* is `connect_timeout` for each.
- A host name that is not found is tried without a token alone: there is no server to get a first one from.
";

/// The page for users.
pub fn summary_of(rows: &[Row]) -> String {
    [HEAD, &summary(rows), NOTES].concat()
}

/// The whole table.
pub fn observed(rows: &[Row]) -> String {
    let mut text = OBSERVED.to_owned();
    let (statuses, others): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row.name.starts_with(PREFIX));
    let (waits, faults): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|row| row.name.starts_with(['4', '5']));
    for (title, rows) in [
        ("Network, TLS, HTTP, body", ranges(&faults, line)),
        ("`Retry-After`", ranges(&waits, line)),
        ("Every status from 300 to 599", ranges(&statuses, line)),
    ] {
        text += &format!(
            "\n## {title}\n\n| fault | no token | good token, NTX Pay and NexterPay | good token, Send Payments | time |\n|---|---|---|---|---|\n"
        );
        for (name, line) in rows {
            text += &format!("| {name} | {line} |\n");
        }
    }
    text
}

/// A line for each outcome, with some of the faults that lead to it.
fn summary(rows: &[Row]) -> String {
    let mut outcomes: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in rows {
        let outcome = outcome(row.expected_of(Provider::SendPayments));
        match outcomes.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, rows)) => rows.push(row),
            None => outcomes.push((outcome, vec![row])),
        }
    }
    outcomes.iter().map(|(outcome, rows)| format!("| {} | {outcome} |\n", faults(rows))).collect()
}

fn outcome(expect: Expect) -> String {
    let Some(kind) = expect.kind else {
        return "none: a new token | 1 | replaced | none needed".to_owned();
    };
    let old = if expect.keeps { "stays" } else { "dropped" };
    let next = match expect.silent {
        0 => "growing pause",
        _ => "remembered",
    };
    format!("`{kind:?}` | {} | {old} | {next}", expect.requests)
}

/// Statuses in full, else the first two; and how many more.
fn faults(rows: &[&Row]) -> String {
    let (statuses, others): (Vec<&Row>, Vec<&Row>) =
        rows.iter().copied().partition(|row| row.name.starts_with(PREFIX));
    // What stands between may belong to another outcome: only neighbours make a range.
    let mut parts: Vec<String> = Vec::new();
    let mut last = 0;
    for status in statuses.iter().filter_map(|row| row.name[PREFIX.len()..].parse::<u32>().ok()) {
        match parts.last_mut() {
            Some(range) if last + 1 == status => {
                let first = range.split('–').next().unwrap_or_default().to_owned();
                *range = format!("{first}–{status}");
            }
            _ => parts.push(status.to_string()),
        }
        last = status;
    }
    // `Retry-After` has a part of its own in the whole table.
    let named = others.iter().filter(|row| !row.name.starts_with(['4', '5', '…']));
    let named: Vec<_> = named.map(|row| row.name.clone()).collect();
    let shown = if parts.is_empty() { named.len().min(2) } else { 0 };
    parts.extend_from_slice(&named[..shown]);
    match named.len() - shown {
        0 => parts.join("; "),
        more => format!("{}; {more} more", parts.join("; ")),
    }
}

/// Statuses that behave alike share a line.
fn ranges(rows: &[&Row], line: impl Fn(&Row) -> String) -> Vec<(String, String)> {
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
    let replaces = |provider: &Provider| provider.facts().renewal == Renewal::ReplacesPrevious;
    format!(
        "{} | {} | {} | {time}",
        column(row, State::Empty, |_| true),
        column(row, State::Valid, |provider| !replaces(provider)),
        column(row, State::Valid, replaces),
    )
}

/// What these providers have in common is said once.
fn column(row: &Row, state: State, whose: impl Fn(&Provider) -> bool) -> String {
    if !Cell::all(row).any(|cell| cell.state == state) {
        return "—".to_owned();
    }
    let mut parts: Vec<(String, String)> = Vec::new();
    for &provider in Provider::ALL.iter().filter(|provider| whose(provider)) {
        let text = Cell { provider, state }.expected(row);
        match parts.iter_mut().find(|(_, same)| *same == text) {
            Some((names, _)) => *names += &format!(", {provider}"),
            None => parts.push((provider.to_string(), text)),
        }
    }
    if let [(_, text)] = &*parts {
        return text.clone();
    }
    let parts: Vec<_> = parts.iter().map(|(names, text)| format!("{names}: {text}")).collect();
    parts.join("; ")
}
