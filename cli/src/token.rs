//! `paytoken token` and `paytoken header`.

use std::time::UNIX_EPOCH;

use log::debug;
use paytoken::{Token, TokenOptions};
use serde_json::json;

use crate::command_line::Wanted;
use crate::exit::Failure;
use crate::settings::Target;
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
        "token_type": target.provider().facts().scheme,
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

/// From the store when it is good there: then no secret and no key is read, and no TLS is set up. What
/// becomes of a store that cannot be read, the library says.
pub(crate) fn obtain(target: &Target, wanted: &Wanted) -> Result<Token, Failure> {
    let store = target.store()?;
    describe(target, store.as_ref());
    if let Some(store) = &store
        && !wanted.force
    {
        match target.account()?.stored_token(store.store(), wanted.min_validity) {
            Ok(Some(token)) => {
                debug!("{}: the stored token is good for {:?}", target.name, token.remaining());
                return Ok(token);
            }
            Ok(None) => debug!("{}: no stored token serves", target.name),
            // A store that stands still may have taken all of the time.
            Err(error) if target.deadline().left().is_zero() => return Err(target.failure(&error)),
            Err(error) => debug!("{}: {error}", target.name),
        }
    }
    fetch(target, store, wanted)
}

/// What the library finds in the store, or a new one.
pub(crate) fn fetch(
    target: &Target,
    store: Option<SharedStore>,
    wanted: &Wanted,
) -> Result<Token, Failure> {
    let asked = TokenOptions::new().min_validity(wanted.min_validity).force(wanted.force);
    target.deadline().watch(|| {
        let source = target.source(store)?;
        let token = target.deadline().ask(|left| match left {
            Some(left) => source.token_with(&asked.clone().deadline(left)),
            None => source.token_with(&asked),
        });
        token.map_err(|error| target.failure(&error))
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
