//! What a program finds around the token: a look without a request, whose address it is, accounts.

use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use paytoken::store::{Account, Store, StoreGuard, StoreKey};
use paytoken::{
    Attempt, Clock, Environment, Error, ErrorKind, FileStore, Now, Provider, Secret, TokenCache,
    TokenOptions, TokenSource,
};
use paytoken_sandbox::Sandbox;

use crate::store::Folder;
use crate::support::{ManualClock, builder, credentials, service, source};

const SANDBOX: Environment = Environment::Sandbox;

fn requests(sandbox: &Sandbox) -> usize {
    Provider::ALL.iter().map(|&provider| sandbox.token_requests(service(provider))).sum()
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
        assert_eq!(sandbox.token_requests(service(provider)), 1, "{provider}");
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
fn an_address_set_for_all_alike_is_refused_and_nothing_reaches_it() {
    let sandbox = Sandbox::start().unwrap();
    let send = sandbox.url(service(Provider::SendPayments));
    let cache = TokenCache::with(move |builder| builder.base_url(&send));
    for &provider in Provider::ALL {
        let error = cache.token(&credentials(&sandbox, provider), SANDBOX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{provider}");
        assert!(error.to_string().contains("use base_url_for"), "{error}");
    }
    assert_eq!(sandbox.counts(service(Provider::SendPayments)).connections, 0);
}

#[test]
fn an_address_set_for_one_provider_serves_that_one() {
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::SendPayments;
    let (url, ca) = (sandbox.url(service(provider)), sandbox.ca_pem().to_owned());
    let looked = {
        let (url, ca) = (url.clone(), ca.clone());
        TokenCache::with(move |builder| {
            let builder = builder.root_certificates_pem(ca.as_bytes());
            match builder.provider() {
                Provider::SendPayments => builder.base_url(&url),
                _ => builder,
            }
        })
    };
    let named = TokenCache::with(move |builder| {
        builder.base_url_for(provider, &url).root_certificates_pem(ca.as_bytes())
    });
    for cache in [looked, named] {
        cache.token(&credentials(&sandbox, provider), SANDBOX).unwrap();
        let others = cache.source(&credentials(&sandbox, Provider::NtxPay), SANDBOX).unwrap();
        assert_eq!(others.status().base_url, "https://sandbox.mx.ntxpay.com");
    }
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
    let nexter = |id: &str, secret: &str| {
        paytoken::Credentials::new(Provider::NexterPay, id, secret, None).unwrap()
    };
    for (id, secret) in [("a", "old"), ("a", "new"), ("b", "old")] {
        cache.source(&nexter(id, secret), SANDBOX).unwrap();
    }
    assert_eq!(cache.len(), 3);
    assert!(cache.remove(&nexter("a", "whatever"), SANDBOX));
    assert!(!cache.remove(&nexter("a", "new"), SANDBOX));
    let left: Vec<_> = cache.sources().iter().map(|source| source.id().to_owned()).collect();
    assert_eq!(left, ["b"]);
    cache.retain(|source| {
        // It may use the cache.
        cache.len() > 1 || source.environment() == Environment::Production
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
    unwinds::<(paytoken::Token, Error, paytoken::Credentials, paytoken::Event, FileStore)>();
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
