//! `paytoken token` and `paytoken header`.

use std::time::{Duration, UNIX_EPOCH};

use log::debug;
use paytoken::store::Account;
use paytoken::{Token, TokenOptions};
use serde_json::json;

use crate::command_line::Wanted;
use crate::exit::Failure;
use crate::settings::Target;
use crate::status::good_token;
use crate::store::SharedStore;
use crate::terminal::print;

pub(crate) fn print_token(target: &Target, wanted: &Wanted, as_json: bool) -> Result<(), Failure> {
    let token = obtain(target, wanted)?;
    if !as_json {
        return print(&format!("{}\n", token.secret()));
    }
    let expires_at = token.expires_at().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut answer = json!({
        "access_token": token.secret(),
        "token_type": "Bearer",
        "expires_in": token.remaining().as_secs(),
        "expires_at": expires_at.as_secs(),
    });
    if let Some(scope) = token.scope() {
        answer["scope"] = scope.into();
    }
    print(&format!("{answer}\n"))
}

pub(crate) fn print_header(target: &Target, wanted: &Wanted) -> Result<(), Failure> {
    let token = obtain(target, wanted)?;
    print(&format!("{}: {}\n", token.header_name(), token.header_value()))
}

/// From the store when it is good there: then no secret and no key is read, and no TLS is set up.
pub(crate) fn obtain(target: &Target, wanted: &Wanted) -> Result<Token, Failure> {
    let store = target.store()?;
    describe(target, store.as_ref());
    if let Some(store) = &store
        && !wanted.force
    {
        let account = target.account()?;
        if let Some(token) = stored(target, &account, store, wanted)? {
            return Ok(token);
        }
        // In the window a run has a good token in hand: it may try to renew it, and waits little.
        if let Some(wait) = wait_in_the_window(target, &account, store, wanted)?
            && let Ok(token) = fetch_within(target, Some(store.clone()), wanted, Some(wait))
        {
            return Ok(token);
        }
    }
    fetch(target, store, wanted)
}

/// Where the stored token is good, though it is due for renewal: how long to wait for another. A
/// provider that answers does so in less.
fn wait_in_the_window(
    target: &Target,
    account: &Account,
    store: &SharedStore,
    wanted: &Wanted,
) -> Result<Option<Duration>, Failure> {
    const LONGEST: Duration = Duration::from_secs(2);
    let status = account.stored_status(store.store()).map_err(|error| target.failure(&error))?;
    let spare =
        good_token(&status).map(|token| token.remaining.saturating_sub(wanted.min_validity));
    // The token must not end meanwhile.
    Ok(spare.filter(|spare| !spare.is_zero()).map(|spare| (spare / 4).min(LONGEST)))
}

fn stored(
    target: &Target,
    account: &Account,
    store: &SharedStore,
    wanted: &Wanted,
) -> Result<Option<Token>, Failure> {
    let token = account
        .stored_token(store.store(), wanted.min_validity)
        .map_err(|error| target.failure(&error))?;
    match &token {
        Some(token) => {
            debug!("{}: the stored token is good for {:?}", target.name, token.remaining());
        }
        None => debug!("{}: no stored token serves", target.name),
    }
    Ok(token)
}

/// What the library finds in the store, or a new one.
pub(crate) fn fetch(
    target: &Target,
    store: Option<SharedStore>,
    wanted: &Wanted,
) -> Result<Token, Failure> {
    fetch_within(target, store, wanted, None)
}

fn fetch_within(
    target: &Target,
    store: Option<SharedStore>,
    wanted: &Wanted,
    limit: Option<Duration>,
) -> Result<Token, Failure> {
    let mut asked = TokenOptions::new().min_validity(wanted.min_validity).force(wanted.force);
    if let Some(limit) = limit {
        asked = asked.deadline(limit);
    }
    target.deadline().watch(|| {
        let source = target.source(store)?;
        source.token_with(&asked).map_err(|error| target.failure(&error))
    })
}

/// For `-v`: enough to find a fault, and no secret.
fn describe(target: &Target, store: Option<&SharedStore>) {
    debug!(
        "{}: {}, {}, {}, store {}",
        target.name,
        target.provider().facts().title,
        target
            .settings
            .environment()
            .map_or("environment not set".into(), |known| known.to_string()),
        target.base_url().as_deref().unwrap_or("no address"),
        store.map_or("none".into(), SharedStore::to_string),
    );
}
