//! `paytoken invalidate`: the token that the API answered 401 to, on stdin.

use std::io;

use paytoken::store::Account;
use zeroize::Zeroizing;

use crate::bounded::{Cut, read_all};
use crate::exit::Failure;
use crate::settings::Target;
use crate::store::SharedStore;
use crate::terminal::print;

pub(crate) fn run(target: &Target) -> Result<(), Failure> {
    let Some(store) = target.store()? else {
        return Err(Failure::Usage(
            "invalidate: there is nothing to invalidate without a store".into(),
        ));
    };
    let account = target.account()?;
    let text = read(target)?;
    let rejected = token_in(&text)?;
    match drop_from(&store, target, &account, &rejected)? {
        true => {
            print(&format!("{}: the token is dropped; the next run fetches another\n", target.name))
        }
        false => Err(Failure::NotDropped(format!(
            "{}: nothing is dropped: the token on stdin is not the one in the store {}; it may have been replaced already, or be another account's",
            target.name,
            store.place()
        ))),
    }
}

/// Whether it was the stored one.
pub(crate) fn drop_from(
    store: &SharedStore,
    target: &Target,
    account: &Account,
    rejected: &str,
) -> Result<bool, Failure> {
    let deadline = target.deadline();
    let is_dropped = deadline.ask(|_| account.invalidate(store.store(), rejected, deadline.left()));
    is_dropped.map_err(|error| target.failure(&error))
}

/// All of stdin, within the time that there is.
fn read(target: &Target) -> Result<Zeroizing<String>, Failure> {
    let whole = read_all(&io::stdin(), target.deadline()).map_err(|cut| match cut {
        Cut::TimeIsUp => target.deadline().passed("invalidate: waited for the token on stdin"),
        Cut::TooLarge => not_a_token("there is more than 64 KiB on stdin"),
        Cut::Failed(error) => Failure::NoInput(format!("invalidate: cannot read stdin ({error})")),
    })?;
    match std::str::from_utf8(whole.bytes()) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(not_a_token("what came on stdin is not text")),
    }
}

fn not_a_token(what: &str) -> Failure {
    Failure::NotDropped(format!(
        "invalidate: {what}, so nothing is dropped; pipe the rejected token into it"
    ))
}

/// The token alone, with its scheme, as the header it was sent in, or as `token --json` prints it.
fn token_in(text: &str) -> Result<Zeroizing<String>, Failure> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_scheme = |word: &str| word.eq_ignore_ascii_case("bearer");
    let is_header = |word: &str| word.ends_with(':');
    let token = match words[..] {
        [] => {
            return Err(Failure::NoInput(
                "invalidate: nothing on stdin; pipe the rejected token into it".into(),
            ));
        }
        _ if text.trim_start().starts_with('{') => {
            let answer: Option<serde_json::Value> = serde_json::from_str(text).ok();
            let token = answer.as_ref().and_then(|answer| answer["access_token"].as_str());
            let token =
                token.ok_or_else(|| not_a_token("there is no access_token in that JSON"))?;
            return Ok(Zeroizing::new(token.to_owned()));
        }
        [token] if !is_scheme(token) && !is_header(token) => token,
        [scheme, token] if is_scheme(scheme) => token,
        [header, token] if is_header(header) && !is_scheme(token) => token,
        [header, scheme, token] if is_header(header) && is_scheme(scheme) => token,
        _ => return Err(not_a_token("what came on stdin is neither a token nor its header")),
    };
    Ok(Zeroizing::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_the_forms_in_which_people_have_it() {
        for (text, token) in [
            ("t-1\n", Some("t-1")),
            ("  t-1\r\n", Some("t-1")),
            ("Bearer t-1", Some("t-1")),
            ("bearer  t-1", Some("t-1")),
            ("Authorization: Bearer t-1\r\n", Some("t-1")),
            ("X-Token: t-1", Some("t-1")),
            ("{\"access_token\": \"t-1\", \"expires_in\": 5}\n", Some("t-1")),
            ("{\"error\": \"x\"}", None),
            ("", None),
            ("Bearer", None),
            ("Authorization:", None),
            ("two tokens", None),
            ("paytoken: no such thing as a token", None),
        ] {
            assert_eq!(token_in(text).ok().as_deref().map(String::as_str), token, "{text}");
        }
    }
}
