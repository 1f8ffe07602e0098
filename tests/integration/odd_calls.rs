//! Calls that a program makes in its own way: a header where a token is meant, a look that sends
//! nothing, a hook that asks the source that told it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use paytoken::store::Account;
use paytoken::{Environment, ErrorKind, Provider, TokenOptions, TokenSource};
use paytoken_sandbox::Sandbox;

use crate::store::Folder;
use crate::support::{ManualClock, PATIENCE, builder, credentials, lifetime, source};

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

type Told = Arc<Mutex<Vec<&'static str>>>;

/// A source on the manual clock, in a store if there is one, and the names of what it tells.
fn told(
    sandbox: &Sandbox,
    provider: Provider,
    store: Option<&Folder>,
) -> (TokenSource, ManualClock, Told) {
    let (clock, told) = (ManualClock::new(), Told::default());
    let events = told.clone();
    let mut build = builder(sandbox, provider).clock(clock.clone());
    if let Some(folder) = store {
        build = build.store(folder.store());
    }
    let note = move |event: &paytoken::Event| events.lock().unwrap().push(event.kind.name());
    (build.on_event(note).build().unwrap(), clock, told)
}

#[test]
fn a_look_that_finds_nothing_counts_nothing_and_tells_nothing() {
    let sandbox = Sandbox::start().unwrap();
    let look = || TokenOptions::new().deadline(Duration::ZERO);
    for &provider in Provider::ALL {
        for store in [None, Some(&Folder::new())] {
            let (source, clock, told) = told(&sandbox, provider, store);
            let looks = [
                look(),
                look().force(true),
                look().min_validity(Duration::from_secs(60)),
                // Over before anything could be sent.
                TokenOptions::new().deadline(Duration::from_nanos(1)),
            ];
            let look_ten_times = |source: &TokenSource| {
                for options in looks.iter().cycle().take(12) {
                    let error = source.token_with(options).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Timeout, "{provider}: {error}");
                    assert_eq!(error.provider(), Some(provider));
                }
            };
            look_ten_times(&source);
            let status = source.status();
            assert_eq!((status.requests, status.failures, status.tokens), (0, 0, 0));
            assert!(status.last_error.is_none() && status.blocked_for.is_none());
            assert!(told.lock().unwrap().is_empty(), "{:?}", told.lock().unwrap());
            // They held nobody back, and what has ended is as if it were not there.
            source.token().unwrap();
            clock.advance(lifetime(provider));
            look_ten_times(&source);
            let status = source.status();
            assert_eq!((status.requests, status.failures, status.tokens), (1, 0, 1));
            assert_eq!(*told.lock().unwrap(), ["request", "fetched"]);
            assert_eq!(sandbox.token_requests(provider), 1);
            sandbox.reset_counts();
        }
    }
}

#[test]
fn a_look_finds_what_another_process_has_stored_and_tells_so() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let stored = builder(&sandbox, provider).store(folder.store()).build().unwrap();
        let stored = stored.token().unwrap();
        let (source, _, told) = told(&sandbox, provider, Some(&folder));
        for _ in 0..3 {
            let found = source.token_with(&TokenOptions::new().deadline(Duration::ZERO));
            assert_eq!(found.unwrap().secret(), stored.secret());
        }
        let status = source.status();
        assert_eq!((status.requests, status.failures, status.tokens), (0, 0, 1));
        assert_eq!(*told.lock().unwrap(), ["found"]);
    }
}
