//! Many merchants in one program.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use paytoken::{Credentials, Environment, ErrorKind, Provider, Secret, TokenCache};
use paytoken_sandbox::Sandbox;
use paytoken_testing::{ManualClock, PATIENCE, credentials, credentials_with};

use crate::processes::Folder;
use crate::support::together;

const ENV: Environment = Environment::Sandbox;

fn cache(sandbox: &Sandbox, provider: Provider) -> TokenCache {
    let (url, ca) = (sandbox.url(provider), sandbox.ca_pem().to_owned());
    TokenCache::with(move |builder| {
        builder.base_url_for(provider, &url).root_certificates_pem(ca.as_bytes())
    })
}

fn merchant(sandbox: &Sandbox, number: usize) -> Credentials {
    let id = format!("merchant-{number}");
    sandbox.add_client(Provider::SendPayments, &id, "merchant-secret");
    Credentials::SendPayments { client_id: id, client_secret: Secret::from("merchant-secret") }
}

#[test]
fn the_same_credentials_have_the_same_slot_also_when_sixty_four_threads_ask_first_at_once() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let cache = cache(&sandbox, provider);
        let credentials = credentials(&sandbox, provider);
        let tokens = together(64, |_| cache.token(&credentials, ENV).unwrap().secret().to_owned());
        assert!(tokens.iter().all(|token| *token == tokens[0]), "{provider}");
        assert_eq!(sandbox.token_requests(provider), 1, "{provider}");
        assert_eq!(cache.len(), 1);
    }
}

#[test]
fn known_credentials_are_not_set_up_again() {
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::NexterPay;
    let (url, ca) = (sandbox.url(provider), sandbox.ca_pem().to_owned());
    let set_up = Arc::new(AtomicUsize::new(0));
    let counter = set_up.clone();
    let cache = TokenCache::with(move |builder| {
        counter.fetch_add(1, Ordering::SeqCst);
        builder.base_url_for(provider, &url).root_certificates_pem(ca.as_bytes())
    });
    for _ in 0..3 {
        cache.token(&credentials(&sandbox, provider), ENV).unwrap();
    }
    assert_eq!(set_up.load(Ordering::SeqCst), 1);
}

#[test]
fn another_environment_is_another_entry_and_so_is_a_changed_secret_until_it_has_brought_a_token() {
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::NexterPay;
    let cache = cache(&sandbox, provider);
    let old = credentials_with(&sandbox, provider, "wrong-secret");
    let new = credentials(&sandbox, provider);
    assert_eq!(cache.token(&old, ENV).unwrap_err().kind(), ErrorKind::Rejected);
    cache.source(&new, ENV).unwrap();
    cache.source(&new, Environment::Production).unwrap();
    assert_eq!(cache.len(), 3);
    cache.token(&new, ENV).unwrap();
    cache.token(&new, Environment::Production).unwrap();
    assert_eq!(cache.len(), 2);
    assert_eq!(sandbox.token_requests(provider), 3);
    // Removed, whatever its secret was, and asked for again: a new slot.
    assert!(cache.remove(&old, ENV));
    assert!(!cache.remove(&new, ENV));
    assert_eq!(cache.len(), 1);
    cache.token(&new, ENV).unwrap();
    assert_eq!(sandbox.token_requests(provider), 4);
}

#[test]
fn an_account_whose_secret_was_changed_keeps_one_entry_once_the_new_one_has_brought_a_token() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let cache = cache(&sandbox, provider);
        let (id, first) = (sandbox.client_id(provider), credentials(&sandbox, provider));
        let held = cache.source(&first, ENV).unwrap();
        let old_token = held.token().unwrap();
        let other = Credentials::new(Provider::SendPayments, id, "another provider's", None);
        if provider != Provider::SendPayments {
            // Of the same name, and no business of the account.
            assert!(cache.token(&other.unwrap(), ENV).is_err());
        }
        let others = cache.len() - 1;
        for number in 0..20 {
            let secret = format!("secret-{number}");
            let next = credentials_with(&sandbox, provider, &secret);
            // Not yet known to the provider: the old one's entry is not displaced.
            let wrong = credentials_with(&sandbox, provider, "wrong");
            assert!(cache.token(&wrong, ENV).is_err());
            assert_eq!(cache.len(), 2 + others, "{provider} {number}");
            sandbox.change_secret(provider, id, &secret);
            // By either way to ask.
            let token = match number % 2 {
                0 => cache.token(&next, ENV).unwrap(),
                _ => {
                    let token = cache.source(&next, ENV).unwrap().token().unwrap();
                    cache.source(&next, ENV).unwrap();
                    token
                }
            };
            assert_eq!((cache.len(), cache.sources().len()), (1 + others, 1 + others), "{number}");
            assert_eq!(cache.token(&next, ENV).unwrap().secret(), token.secret());
        }
        // Who holds the first secret's source goes on with it.
        assert_eq!(held.token().unwrap().secret(), old_token.secret(), "{provider}");
        assert_eq!(held.status().requests, 1);
        assert!(cache.remove(&first, ENV) && cache.len() == others, "whatever the secret was");
    }
}

#[test]
fn a_program_that_uses_the_old_secret_beside_the_new_one_asks_once_more_and_then_no_more() {
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::NexterPay;
    let cache = cache(&sandbox, provider);
    let (old, new) = (credentials(&sandbox, provider), credentials_with(&sandbox, provider, "new"));
    cache.token(&old, ENV).unwrap();
    sandbox.change_secret(provider, sandbox.client_id(provider), "new");
    cache.token(&new, ENV).unwrap();
    assert_eq!(cache.len(), 1);
    let requests = sandbox.token_requests(provider);
    for _ in 0..100 {
        assert_eq!(cache.token(&old, ENV).unwrap_err().kind(), ErrorKind::Rejected);
        cache.token(&new, ENV).unwrap();
    }
    assert_eq!((sandbox.token_requests(provider) - requests, cache.len()), (1, 2));
    // And where both are good.
    sandbox.change_secret(provider, sandbox.client_id(provider), sandbox.client_secret(provider));
    cache.source(&old, ENV).unwrap().refresh().unwrap();
    let requests = sandbox.token_requests(provider);
    for _ in 0..100 {
        cache.token(&old, ENV).unwrap();
        cache.token(&new, ENV).unwrap();
    }
    assert_eq!((sandbox.token_requests(provider) - requests, cache.len()), (0, 2));
}

#[test]
fn a_token_found_in_a_store_says_nothing_for_a_secret() {
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::NtxPay;
    let folder = Folder::new();
    let (url, ca, store) =
        (sandbox.url(provider), sandbox.ca_pem().to_owned(), Arc::new(folder.store()));
    let cache = TokenCache::with(move |builder| {
        let builder = builder.base_url_for(provider, &url).root_certificates_pem(ca.as_bytes());
        builder.store(store.clone())
    });
    let right = credentials(&sandbox, provider);
    let token = cache.token(&right, ENV).unwrap();
    let wrong = credentials_with(&sandbox, provider, "wrong");
    for _ in 0..3 {
        assert_eq!(cache.token(&wrong, ENV).unwrap().secret(), token.secret());
    }
    assert_eq!((cache.len(), sandbox.token_requests(provider)), (2, 1));
}

#[test]
fn threads_that_ask_while_merchants_come_and_go_and_change_their_secrets_get_their_own_tokens() {
    let cache = TokenCache::with(|builder| {
        let token = builder.id().to_owned();
        builder.fetch_with(move || Ok((Secret::new(&*token), Duration::from_secs(600))))
    });
    let of = |merchant: usize, secret: usize| {
        let (id, secret) = (format!("merchant-{merchant}"), format!("secret-{secret}"));
        Credentials::new(Provider::NexterPay, id, secret, None).unwrap()
    };
    together(8, |thread| {
        for round in 0..300 {
            let merchant = (round * 7 + thread) % 50;
            let credentials = of(merchant, round / 100);
            let token = cache.token(&credentials, ENV).unwrap();
            assert_eq!(token.secret(), credentials.id());
            if thread == 0 && round % 10 == 0 {
                cache.remove(&credentials, ENV);
            }
        }
    });
    for merchant in 0..50 {
        cache.token(&of(merchant, 2), ENV).unwrap();
        cache.token(&of(merchant, 3), ENV).unwrap();
    }
    assert_eq!(cache.len(), 50, "a new secret has displaced all before");
    cache.retain(|source| source.id() == "merchant-7");
    assert_eq!((cache.len(), cache.sources()[0].id()), (1, "merchant-7"));
}

#[test]
fn a_slow_provider_for_one_merchant_delays_no_other() {
    let sandbox = Sandbox::start().unwrap();
    let cache = cache(&sandbox, Provider::SendPayments);
    let (slow, fast) = (merchant(&sandbox, 1), merchant(&sandbox, 2));
    let cached = cache.token(&fast, ENV).unwrap();
    let hold = sandbox.hold(Provider::SendPayments);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| cache.token(&slow, ENV));
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        // These would hang if the map were locked meanwhile.
        assert_eq!(cache.token(&fast, ENV).unwrap().secret(), cached.secret());
        cache.source(&merchant(&sandbox, 3), ENV).unwrap();
        assert_eq!(cache.len(), 3);
        hold.release();
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn sessions_are_resumed_where_identity_and_roots_are_equal_and_no_connection_is() {
    let sandbox = Sandbox::start().unwrap();
    let cache = cache(&sandbox, Provider::SendPayments);
    for number in 0..10 {
        cache.token(&merchant(&sandbox, number), ENV).unwrap();
    }
    let counts = sandbox.counts(Provider::SendPayments);
    assert_eq!((counts.token_requests, counts.connections), (10, 10));
    assert_eq!(counts.handshakes_resumed, 9);
    assert_eq!(sandbox.token_requests_by(Provider::SendPayments, "merchant-3"), 1);
}

#[test]
fn bad_credentials_leave_no_entry() {
    let sandbox = Sandbox::start().unwrap();
    let cache = cache(&sandbox, Provider::SendPayments);
    let bad = Credentials::SendPayments { client_id: "".into(), client_secret: Secret::from("x") };
    assert_eq!(cache.token(&bad, ENV).unwrap_err().kind(), ErrorKind::Configuration);
    assert!(cache.is_empty());
    // And one that configures itself into an error.
    let cache = TokenCache::with(|builder| builder.timeout(Duration::ZERO));
    assert!(cache.source(&merchant(&sandbox, 1), ENV).is_err());
    assert!(cache.is_empty());
}

#[test]
fn a_cache_says_how_much_it_holds_and_nothing_more() {
    let sandbox = Sandbox::start().unwrap();
    let cache = cache(&sandbox, Provider::SendPayments);
    let merchant = merchant(&sandbox, 1);
    assert!(TokenCache::default().is_empty());
    cache.source(&merchant, ENV).unwrap();
    assert!(!cache.is_empty());
    assert_eq!(format!("{cache:?}"), "TokenCache { len: 1, .. }");
    assert!(cache.remove(&merchant, ENV) && !cache.remove(&merchant, ENV));
    assert!(cache.is_empty());
}

#[test]
fn many_wrong_secrets_of_one_account_share_its_pace_and_do_not_stay() {
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::NexterPay;
    let (url, ca) = (sandbox.url(provider), sandbox.ca_pem().to_owned());
    let clock = ManualClock::new();
    let moved = clock.clone();
    let cache = TokenCache::with(move |builder| {
        let builder = builder.root_certificates_pem(ca.as_bytes()).clock(moved.clone());
        builder.base_url_for(provider, &url)
    });
    let good = credentials(&sandbox, provider);
    let wrong = |number: usize| credentials_with(&sandbox, provider, &format!("wrong-{number}"));
    for number in 0..300 {
        let error = cache.token(&wrong(number), Environment::Sandbox).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    }
    assert_eq!(sandbox.token_requests(provider), 6);
    assert_eq!(cache.len(), 8);
    // The right one is held back with them, and heals by itself.
    let error = cache.token(&good, Environment::Sandbox).unwrap_err();
    assert!(error.to_string().contains("another secret is tried once in 10 minutes"), "{error}");
    clock.advance(error.retry_after().unwrap());
    cache.token(&good, Environment::Sandbox).unwrap();
    assert_eq!((sandbox.token_requests(provider), cache.len()), (7, 1));
}
