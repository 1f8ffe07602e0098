//! Calls that a program makes in its own way: a header where a token is meant, a look that sends
//! nothing, a hook that asks the source that told it.

use paytoken::store::Account;
use paytoken::{Environment, Provider};
use paytoken_sandbox::Sandbox;

use crate::store::Folder;
use crate::support::{PATIENCE, builder, credentials, source};

const NTX: Provider = Provider::NtxPay;

/// What a program may have at hand of a token that the API answered 401 to.
fn texts_of(token: &str) -> [String; 9] {
    [
        token.to_owned(),
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("BEARER  {token}"),
        format!("Bearer\t{token}"),
        format!("  Bearer {token} \r\n"),
        format!("{token}\n"),
        format!("Authorization: Bearer {token}\r\n"),
        format!("Token {token}"),
    ]
}

#[test]
fn a_rejected_token_is_known_with_and_without_its_scheme() {
    let sandbox = Sandbox::start().unwrap();
    let (source, _) = source(&sandbox, NTX);
    let count = texts_of("").len();
    for index in 0..count {
        let token = source.refresh().unwrap();
        let text = &texts_of(token.secret())[index];
        source.invalidate_secret(text).unwrap();
        assert!(source.cached().is_none(), "text {index} had no effect");
    }
    assert_eq!(source.status().invalidations, count as u64);
    let kept = source.refresh().unwrap();
    for other in ["", " ", "Bearer", "Bearer ", "bearer bearer", "Authorization:"] {
        source.invalidate_secret(other).unwrap();
        source.invalidate_secret(&format!("Bearer{}", kept.secret())).unwrap();
        source.invalidate_secret(&format!("Bearer {}x", kept.secret())).unwrap();
        assert!(source.cached().is_some(), "{other:?}");
    }
}

#[test]
fn a_rejected_token_is_known_in_a_store_with_and_without_its_scheme() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let url = sandbox.url(NTX);
    let account = Account::new(&credentials(&sandbox, NTX), Environment::Sandbox, Some(&url));
    let account = account.unwrap();
    let source = builder(&sandbox, NTX).store(folder.store()).build().unwrap();
    for index in 0..texts_of("").len() {
        let token = source.refresh().unwrap();
        let text = &texts_of(token.secret())[index];
        assert!(account.invalidate(&folder.store(), text, PATIENCE).unwrap(), "text {index}");
    }
}
