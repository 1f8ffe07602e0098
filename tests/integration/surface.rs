//! What a program finds around the token: a look without a request, whose address it is, accounts.

use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use paytoken::store::{Account, Store, StoreGuard, StoreKey};
use paytoken::{
    Attempt, Clock, Credentials, Environment, Error, ErrorKind, FileStore, Now, Provider, Secret,
    TokenCache, TokenOptions, TokenSource,
};
use paytoken_sandbox::Sandbox;
use paytoken_testing::{ManualClock, builder, credentials, credentials_with, reach};

use crate::processes::Folder;
use crate::support::{source, together};

const SANDBOX: Environment = Environment::Sandbox;

fn requests(sandbox: &Sandbox) -> usize {
    Provider::ALL.iter().map(|&provider| sandbox.token_requests(provider)).sum()
}

#[test]
fn a_look_at_the_cache_sends_nothing_and_counts_nothing() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (source, clock) = source(&sandbox, provider);
        assert!(source.cached().is_none());
        assert_eq!(source.status().requests + source.status().failures, 0);
        let token = source.token().unwrap();
        assert_eq!(source.cached().unwrap().secret(), token.secret());
        // In the renewal window it is still good, and the look does not renew it.
        clock.advance(token.lifetime() * 92 / 100);
        assert_eq!(source.cached().unwrap().secret(), token.secret());
        source.invalidate(&token).unwrap();
        assert!(source.cached().is_none());
        assert_eq!(sandbox.token_requests(provider), 1, "{provider}");
    }
}

#[test]
fn a_look_at_the_cache_sees_what_another_process_did_to_the_token() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let process = || {
        let builder = builder(&sandbox, Provider::NtxPay).clock(clock.clone());
        builder.store(folder.store()).build().unwrap()
    };
    let (one, other) = (process(), process());
    let token = one.token().unwrap();
    other.token().unwrap();
    other.invalidate(&token).unwrap();
    clock.advance(Duration::from_secs(2));
    assert!(one.cached().is_none());
}

#[test]
fn a_cache_is_not_given_another_account_s_builder() {
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::SendPayments;
    let (url, ca) = (sandbox.url(provider), sandbox.ca_pem().to_owned());
    let first = OnceLock::new();
    let cache = TokenCache::with(move |builder| {
        let reach = || builder.base_url_for(provider, &url).root_certificates_pem(ca.as_bytes());
        first.get_or_init(reach).clone()
    });
    cache.token(&credentials(&sandbox, provider), SANDBOX).unwrap();
    let merchant = Credentials::new(provider, "merchant-7", "not-a-real-secret", None).unwrap();
    let error = cache.token(&merchant, SANDBOX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("configure: "), "{error}");
    assert_eq!((requests(&sandbox), cache.len()), (1, 1));
}

#[test]
fn an_address_set_for_one_provider_serves_that_one() {
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::SendPayments;
    let (url, ca) = (sandbox.url(provider), sandbox.ca_pem().to_owned());
    let cache = TokenCache::with(move |builder| {
        builder.base_url_for(provider, &url).root_certificates_pem(ca.as_bytes())
    });
    cache.token(&credentials(&sandbox, provider), SANDBOX).unwrap();
    let others = cache.source(&credentials(&sandbox, Provider::NtxPay), SANDBOX).unwrap();
    assert_eq!(others.status().base_url, "https://sandbox.mx.ntxpay.com");
}

#[test]
fn another_provider_s_documented_address_is_refused() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        for other in Provider::ALL.iter().filter(|other| **other != provider) {
            for environment in Environment::ALL {
                let Some(url) = other.facts().in_environment(*environment).base_url else {
                    continue;
                };
                let error = TokenSource::builder(credentials(&sandbox, provider), SANDBOX)
                    .base_url(&url.to_uppercase().replacen("HTTPS", "https", 1))
                    .build()
                    .unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Configuration, "{provider}, {url}");
                assert!(error.to_string().contains(other.facts().title), "{error}");
            }
        }
    }
}

#[test]
fn each_environment_has_an_entry_of_its_own() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let credentials = credentials(&sandbox, provider);
        let key = |environment| {
            let account =
                Account::new(&credentials, environment, Some("https://gateway.example")).unwrap();
            account.key().to_string()
        };
        assert_ne!(key(Environment::Sandbox), key(Environment::Production), "{provider}");
    }
}

#[test]
fn an_account_is_forgotten_whatever_its_secret_was() {
    let sandbox = Sandbox::start().unwrap();
    let cache = TokenCache::new();
    let nexter =
        |id: &str, secret: &str| Credentials::new(Provider::NexterPay, id, secret, None).unwrap();
    for (id, secret) in [("a", "old"), ("a", "new"), ("b", "old")] {
        cache.source(&nexter(id, secret), SANDBOX).unwrap();
    }
    assert_eq!(cache.len(), 3);
    assert!(cache.remove(&nexter("a", "whatever"), SANDBOX));
    assert!(!cache.remove(&nexter("a", "new"), SANDBOX));
    let left: Vec<_> = cache.sources().iter().map(|source| source.id().to_owned()).collect();
    assert_eq!(left, ["b"]);
    cache.retain(|source| {
        // It may change the cache.
        cache.remove(&nexter("c", "old"), SANDBOX)
            || source.environment() == Environment::Production
    });
    assert!(cache.is_empty());
    assert_eq!(requests(&sandbox), 0);
}

#[test]
fn a_call_gives_up_getting_tokens_when_its_deadline_has_passed() {
    let sandbox = Sandbox::start().unwrap();
    let (source, _) = source(&sandbox, Provider::NtxPay);
    let now = TokenOptions::new().deadline(Duration::ZERO);
    let mut calls = 0;
    let error = source
        .call_with(&now, |_| {
            calls += 1;
            Ok::<_, Error>(Attempt::Done(()))
        })
        .unwrap_err();
    assert_eq!((error.kind(), calls, requests(&sandbox)), (ErrorKind::Timeout, 0, 0));
    source.token().unwrap();
    // There is a token now; the replay's would have to be fetched, and there is no time.
    let error = source.call_with(&now, |_| {
        calls += 1;
        Ok::<_, Error>(Attempt::Unauthorized(()))
    });
    assert_eq!((error.unwrap_err().kind(), calls), (ErrorKind::Timeout, 1));
    assert_eq!(requests(&sandbox), 1);
}

/// Its lock is always taken.
struct Locked(FileStore);

impl Store for Locked {
    fn read(&self, key: &StoreKey) -> paytoken::Result<Option<Vec<u8>>> {
        self.0.read(key)
    }

    fn lock(
        &self,
        _: &StoreKey,
        _: Duration,
        _: Duration,
    ) -> paytoken::Result<Option<Box<dyn StoreGuard + '_>>> {
        Ok(None)
    }
}

#[test]
fn an_api_s_answer_is_handed_back_also_where_the_store_cannot_be_told() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    builder(&sandbox, Provider::NtxPay).store(folder.store()).build().unwrap().token().unwrap();
    // A store that is reached through a box or a reference is one, too.
    let store: Box<dyn Store> = Box::new(Locked(folder.store()));
    let source = builder(&sandbox, Provider::NtxPay).store(store).build().unwrap();
    let answer = source.call(|_| Ok::<_, Error>(Attempt::UnauthorizedFinal("401, and why")));
    assert_eq!(answer.unwrap(), "401, and why");
    assert!(source.cached().is_none());
}

#[test]
fn renewal_in_the_background_is_refused_where_it_would_end_the_token_in_use() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let built = builder(&sandbox, provider).renew_in_background(true).build();
        match provider {
            Provider::SendPayments => {
                let error = built.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Configuration);
                assert!(error.to_string().contains("renew_in_background"), "{error}");
            }
            _ => assert!(built.is_ok(), "{provider}"),
        }
    }
}

#[test]
fn a_store_for_one_fetch_without_a_cache_is_an_error() {
    let folder = Folder::new();
    let error = paytoken::provider::nexter_pay::fetch_token(
        "merchant",
        &Secret::new("not-a-real-secret"),
        SANDBOX,
        |builder| builder.store(folder.store()),
    )
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("store: "), "{error}");
}

#[test]
fn a_panic_may_be_caught_around_a_source_and_a_cache() {
    let sandbox = Sandbox::start().unwrap();
    let (source, _) = source(&sandbox, Provider::NtxPay);
    let cache = TokenCache::new();
    let builder = builder(&sandbox, Provider::NtxPay);
    assert!(catch_unwind(|| source.token().is_ok()).unwrap());
    assert!(catch_unwind(|| cache.len()).is_ok());
    assert!(catch_unwind(|| drop(builder)).is_ok());
    fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
    unwinds::<(paytoken::Token, Error, Credentials, paytoken::Event, FileStore)>();
}

#[test]
fn a_clock_may_be_shared() {
    let sandbox = Sandbox::start().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    let before: Now = clock.now();
    let source = builder(&sandbox, Provider::NtxPay).clock(clock).build().unwrap();
    let token = source.token().unwrap();
    assert_eq!(token.expires_at(), before.wall + token.lifetime());
}

#[test]
fn an_event_names_the_account_and_the_program_s_own_label() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let events = seen.clone();
    for label in [Some("merchant-7"), None] {
        let credentials =
            Credentials::new(Provider::NexterPay, "the-user-name", "not-a-real-secret", None);
        let mut builder = TokenSource::builder(credentials.unwrap(), SANDBOX)
            .fetch_with(|| Ok((Secret::new("t-1"), Duration::from_secs(600))));
        if let Some(label) = label {
            builder = builder.label(label);
        }
        let events = events.clone();
        let source = builder.on_event(move |event| events.lock().unwrap().push(event.clone()));
        let source = source.build().unwrap();
        assert_eq!(source.label(), label);
        source.token().unwrap();
    }
    let seen = seen.lock().unwrap();
    let names: Vec<_> = seen.iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, ["request", "fetched", "request", "fetched"]);
    assert_eq!(seen[0].label.as_deref(), Some("merchant-7"));
    assert_eq!(seen[2].label, None);
    let credentials = Credentials::new(Provider::NexterPay, "the-user-name", "another", None);
    let account = Account::new(&credentials.unwrap(), SANDBOX, Some("https://nowhere.invalid"));
    assert_eq!(seen[0].account, *account.unwrap().key());
    assert!(!format!("{:?}", seen[0]).contains("the-user-name"));
    let builder = || {
        TokenSource::builder(
            Credentials::new(Provider::NexterPay, "u", "p", None).unwrap(),
            SANDBOX,
        )
    };
    let error = builder().label("two\nlines").build().unwrap_err();
    assert!(error.to_string().contains("label: "), "{error}");
}

#[test]
fn a_source_from_a_closure_caches_renews_and_fails_as_any_other() {
    for &provider in Provider::ALL {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let source =
            TokenSource::from_fn(provider, move || match counter.fetch_add(1, Ordering::SeqCst) {
                2 => Err(Error::for_tests(ErrorKind::Rejected, "no")),
                3.. => Ok((Secret::new("line\nend"), Duration::from_secs(600))),
                number => Ok((Secret::new(format!("t-{number}")), Duration::from_secs(600))),
            });
        for expected in ["t-0", "t-0"] {
            assert_eq!(source.token().unwrap().secret(), expected);
        }
        assert_eq!(source.refresh().unwrap().secret(), "t-1");
        assert_eq!(source.refresh().unwrap_err().kind(), ErrorKind::Rejected);
        // What could not go into a header is refused here as well.
        assert_eq!(source.refresh().unwrap_err().kind(), ErrorKind::InvalidResponse, "{provider}");
    }
}

#[test]
fn an_error_of_a_closure_holds_back_as_an_outage_does_whatever_its_kind() {
    use ErrorKind::*;

    for kind in [Rejected, Forbidden, Configuration, Certificate, Timeout, InvalidResponse] {
        let (calls, clock) = (Arc::new(AtomicUsize::new(0)), ManualClock::new());
        let count = calls.clone();
        let credentials = Credentials::new(Provider::NexterPay, "id", "secret", None).unwrap();
        let source = TokenSource::builder(credentials, SANDBOX).clock(clock.clone());
        let source = source.fetch_with(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Err(Error::for_tests(kind, "no"))
        });
        let source = source.build().unwrap();
        for (number, pause) in [(1, 1.0), (2, 2.0), (3, 5.0)] {
            let error = source.token().unwrap_err();
            let wait = error.retry_after().unwrap_or_default();
            assert!((pause..=pause * 1.2).contains(&wait.as_secs_f64()), "{kind:?}: {wait:?}");
            assert_eq!((error.kind(), error.status()), (kind, None));
            assert_eq!(source.token().unwrap_err().kind(), kind, "it is remembered");
            assert_eq!(calls.load(Ordering::SeqCst), number);
            clock.advance(wait);
        }
    }
}

#[test]
fn everybody_is_told_from_the_first_refusal_on_how_long_it_stands() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let credentials = credentials_with(&sandbox, provider, "wrong-secret");
        let source = reach(&sandbox, provider, credentials).build().unwrap();
        let errors = together(32, |_| source.token().unwrap_err());
        for error in errors {
            let wait = error.retry_after().expect("it is remembered").as_secs_f64();
            // A caller may have looked at the clock a little before the refusal came.
            assert!((30.0..62.0).contains(&wait), "{provider}: {wait}");
        }
        assert_eq!(sandbox.token_requests(provider), 1, "{provider}");
    }
}

#[test]
fn a_caller_without_time_to_compare_secrets_is_told_so_and_holds_back_nobody() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let with = |secret: &str| {
            let credentials = credentials_with(&sandbox, provider, secret);
            reach(&sandbox, provider, credentials).store(folder.store()).build().unwrap()
        };
        with("wrong-secret").token().unwrap_err();
        let good = sandbox.client_secret(provider).to_owned();
        let source = with(&good);
        let hurried = TokenOptions::new().deadline(Duration::from_millis(20));
        let error = source.token_with(&hurried).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{provider}: {error}");
        assert_eq!(sandbox.token_requests(provider), 1, "{provider}");
        source.token().unwrap();
    }
}

#[test]
fn an_error_s_debug_is_its_sentence_with_the_kind_behind_it() {
    let error = Error::for_tests(ErrorKind::Transport, "the connection was cut")
        .with_source(std::io::Error::other("reset"));
    let text = format!("{error:?}");
    assert!(text.starts_with("the connection was cut (kind: Transport"), "{text}");
    assert!(text.contains("reset"), "{text}");
    assert_eq!(ErrorKind::RateLimited.to_string(), "rate limited");
}
