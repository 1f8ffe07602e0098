//! Calls that a program makes in its own way: a header where a token is meant, a look that sends
//! nothing, a hook that asks the source that told it.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use paytoken::store::Store as _;
use paytoken::{
    Error, ErrorKind, Event, Provider, Result, Secret, Token, TokenOptions, TokenSource,
};
use paytoken_sandbox::{Fault, Sandbox};
use paytoken_testing::{ManualClock, PATIENCE, builder};

use crate::processes::{Folder, account};
use crate::support::{lifetime, source};

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
    let (source, _, events) = told(&sandbox, NTX, None);
    let count = texts_of("").len();
    for index in 0..count {
        let token = source.refresh().unwrap();
        let text = &texts_of(token.secret())[index];
        source.invalidate_secret(text).unwrap();
        assert!(source.cached().is_none(), "text {index} had no effect");
    }
    assert_eq!(source.status().invalidations, count as u64);
    let told = events.lock().unwrap().iter().filter(|name| **name == "invalidated").count();
    assert_eq!(told, count);
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
    let account = account(&sandbox, NTX);
    let source = builder(&sandbox, NTX).store(folder.store()).build().unwrap();
    for index in 0..texts_of("").len() {
        let token = source.refresh().unwrap();
        let text = &texts_of(token.secret())[index];
        assert!(account.invalidate(&folder.store(), text, PATIENCE).unwrap(), "text {index}");
    }
    // Where another process has the lock for all of the time, the token stays there, and that is said.
    let (store, token) = (folder.store(), source.refresh().unwrap());
    let _held = store.lock(account.key(), Duration::ZERO, PATIENCE).unwrap().unwrap();
    let error = account.invalidate(&folder.store(), token.secret(), Duration::ZERO).unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::Store, Some(NTX)), "{error}");
    let stored = account.stored_token(&folder.store(), Duration::ZERO).unwrap();
    assert_eq!(stored.unwrap().secret(), token.secret());
}

#[test]
fn a_stored_token_is_handed_out_without_a_source_until_it_is_due() {
    let sandbox = Sandbox::start().unwrap();
    for (provider, age, validity, is_handed_out) in [
        (NTX, 400, 0, true),
        (NTX, 400, 150, true),
        (NTX, 400, 210, false),
        // From 80 % of its life on.
        (NTX, 490, 0, false),
        (Provider::SendPayments, 270, 0, true),
        (Provider::SendPayments, 290, 0, false),
    ] {
        let folder = Folder::new();
        let clock = ManualClock::at(SystemTime::now() - Duration::from_secs(age));
        let source = builder(&sandbox, provider).store(folder.store()).clock(clock);
        let token = source.build().unwrap().token().unwrap();
        let stored = account(&sandbox, provider)
            .stored_token(&folder.store(), Duration::from_secs(validity))
            .unwrap();
        let expected = is_handed_out.then(|| token.secret());
        let stored = stored.as_ref().map(Token::secret);
        assert_eq!(stored, expected, "{provider}: {age} s old, for {validity} s");
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
    let note = move |event: &Event| events.lock().unwrap().push(event.kind.name());
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
fn what_another_process_has_stored_is_found_by_who_may_wait_and_told() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let stored = builder(&sandbox, provider).store(folder.store()).build().unwrap();
        let stored = stored.token().unwrap();
        let (source, _, told) = told(&sandbox, provider, Some(&folder));
        let at_once = TokenOptions::new().deadline(Duration::ZERO);
        assert_eq!(source.token_with(&at_once).unwrap_err().kind(), ErrorKind::Timeout);
        for _ in 0..3 {
            assert_eq!(source.token().unwrap().secret(), stored.secret());
        }
        let status = source.status();
        assert_eq!((status.requests, status.failures, status.tokens), (0, 0, 1));
        assert_eq!(*told.lock().unwrap(), ["found"]);
    }
}

/// What an event hook got when it asked the source that told it, by the event's name.
type Answers = Arc<Mutex<Vec<(&'static str, Result<Token>)>>>;

/// A source whose hook asks it in this way.
fn asks_itself(
    sandbox: &Sandbox,
    provider: Provider,
    store: Option<&Folder>,
    ask: fn(&TokenSource) -> Result<Token>,
) -> (TokenSource, ManualClock, Answers) {
    let (clock, answers) = (ManualClock::new(), Answers::default());
    let (own, heard) = (Arc::<OnceLock<TokenSource>>::default(), answers.clone());
    let itself = own.clone();
    let hook = move |event: &Event| {
        let Some(source) = itself.get() else { return };
        let answer = ask(source);
        heard.lock().unwrap().push((event.kind.name(), answer));
    };
    let mut build = builder(sandbox, provider).clock(clock.clone()).on_event(hook).retries(0);
    if let Some(folder) = store {
        build = build.store(folder.store());
    }
    let source = build.build().unwrap();
    own.set(source.clone()).unwrap();
    (source, clock, answers)
}

const WAYS_TO_ASK: [fn(&TokenSource) -> Result<Token>; 4] = [
    |source| source.token(),
    |source| source.clone().token_valid_for(Duration::from_secs(60)),
    |source| source.token_with(&TokenOptions::new().deadline(PATIENCE)),
    |source| source.call(|token| Ok(paytoken::Attempt::Done(token.clone()))),
];

/// Of each event: the kind of the error that its hook got, if it got no token.
fn kinds(answers: &Answers) -> Vec<(&'static str, Option<ErrorKind>)> {
    let kind =
        |(name, answer): (_, Result<_>)| (name, answer.err().map(|error: Error| error.kind()));
    std::mem::take(&mut *answers.lock().unwrap()).into_iter().map(kind).collect()
}

#[test]
fn an_event_hook_that_asks_its_own_source_is_answered_at_once() {
    const REFUSED: Option<ErrorKind> = Some(ErrorKind::Configuration);
    let sandbox = Sandbox::start().unwrap();
    let began = Instant::now();
    for &provider in Provider::ALL {
        for (ask, has_store) in WAYS_TO_ASK.iter().flat_map(|ask| [(ask, false), (ask, true)]) {
            let folder = has_store.then(Folder::new);
            let (source, clock, answers) = asks_itself(&sandbox, provider, folder.as_ref(), *ask);
            source.token().unwrap();
            assert_eq!(kinds(&answers), [("request", REFUSED), ("fetched", None)]);
            clock.advance(lifetime(provider));
            sandbox.fault_next(provider, 1, Fault::Status(401));
            let error = source.token().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Rejected);
            // The first is in the air; the last is over, and its refusal is remembered.
            assert_eq!(kinds(&answers), [("request", REFUSED), ("failed", Some(error.kind()))]);
            sandbox.reset_counts();
        }
    }
    assert!(began.elapsed() < PATIENCE, "somebody waited");
}

#[test]
fn a_hook_that_asks_its_own_source_in_the_window_is_served_and_leads_nothing() {
    let sandbox = Sandbox::start().unwrap();
    let (source, clock, answers) = asks_itself(&sandbox, NTX, None, TokenSource::token);
    source.token().unwrap();
    clock.advance(lifetime(NTX) * 9 / 10);
    answers.lock().unwrap().clear();
    sandbox.fault_next(NTX, 1, Fault::Status(500));
    source.token().unwrap();
    assert_eq!(kinds(&answers), [("request", None), ("failed", None)]);
    assert_eq!(sandbox.token_requests(NTX), 2);
}

#[test]
fn a_hook_that_forces_at_a_failure_does_not_go_round_in_circles() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (source, _, answers) = asks_itself(&sandbox, provider, None, TokenSource::refresh);
        sandbox.fault_always(provider, Some(Fault::Status(500)));
        source.token().unwrap_err();
        let refused = Some(ErrorKind::Configuration);
        assert_eq!(kinds(&answers), [("request", refused), ("failed", refused)]);
        assert_eq!(sandbox.token_requests(provider), 1);
        // Afterwards the same thread asks as it likes.
        sandbox.fault_always(provider, None);
        source.refresh().unwrap();
    }
}

#[test]
fn a_hook_may_ask_another_source_and_another_thread_waits_as_ever() {
    let sandbox = Sandbox::start().unwrap();
    let (other, _) = source(&sandbox, Provider::SendPayments);
    let (ask, answers) = (other.clone(), Answers::default());
    let heard = answers.clone();
    let hook = move |event: &Event| heard.lock().unwrap().push((event.kind.name(), ask.token()));
    let source = builder(&sandbox, NTX).on_event(hook).build().unwrap();
    let hold = sandbox.hold(NTX);
    thread::scope(|scope| {
        let leader = scope.spawn(|| source.token().unwrap());
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        let waits = [(); 4].map(|()| scope.spawn(|| source.token()));
        hold.release();
        let token = leader.join().unwrap();
        for wait in waits {
            assert_eq!(wait.join().unwrap().unwrap().secret(), token.secret());
        }
    });
    assert_eq!(kinds(&answers), [("request", None), ("fetched", None)]);
    assert_eq!(sandbox.token_requests(NTX), 1);
    assert_eq!(sandbox.token_requests(Provider::SendPayments), 1);
}

#[test]
fn two_sources_whose_hooks_ask_each_other_do_not_wait_for_themselves() {
    let began = Instant::now();
    let peers: Arc<[OnceLock<TokenSource>; 2]> = Arc::default();
    let answers = Answers::default();
    let sandbox = Sandbox::start().unwrap();
    for (index, provider) in [NTX, Provider::SendPayments].into_iter().enumerate() {
        let (known, heard) = (peers.clone(), answers.clone());
        let hook = move |event: &Event| {
            let answer = known[1 - index].get().unwrap().token();
            heard.lock().unwrap().push((event.kind.name(), answer));
        };
        let source = builder(&sandbox, provider).on_event(hook).build().unwrap();
        peers[index].set(source).unwrap();
    }
    peers[0].get().unwrap().token().unwrap();
    let refused = Some(ErrorKind::Configuration);
    // The second source asks the first, which is in the air, and lands before the first one is sent.
    assert_eq!(
        kinds(&answers),
        [("request", refused), ("fetched", refused), ("request", None), ("fetched", None)]
    );
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn a_supply_a_clone_and_a_hook_that_panics_are_no_exception() {
    let own = Arc::<OnceLock<TokenSource>>::default();
    let itself = own.clone();
    let source = TokenSource::from_fn(NTX, move || {
        itself.get().unwrap().clone().token()?;
        Ok((Secret::new("never"), Duration::from_secs(600)))
    });
    own.set(source.clone()).unwrap();
    assert_eq!(source.token().unwrap_err().kind(), ErrorKind::Configuration);

    let sandbox = Sandbox::start().unwrap();
    let has_panicked = std::sync::atomic::AtomicBool::new(false);
    let hook = move |_: &Event| {
        assert!(has_panicked.swap(true, std::sync::atomic::Ordering::SeqCst), "scripted");
    };
    let source = builder(&sandbox, NTX).on_event(hook).build().unwrap();
    std::panic::catch_unwind(|| source.token()).unwrap_err();
    source.token().expect("this thread is in the middle of nothing any more");
}

#[test]
fn a_caller_without_a_limit_fetches_with_a_store_too() {
    for provider in [NTX, Provider::SendPayments] {
        let (sandbox, folder) = (Sandbox::start().unwrap(), Folder::new());
        let source = builder(&sandbox, provider)
            .store(folder.store())
            .timeout(Duration::MAX)
            .build()
            .unwrap();
        source.token().unwrap();
        let no_limit = TokenOptions::new().deadline(Duration::MAX);
        source.token_with(&no_limit.force(true)).unwrap();
        assert_eq!(sandbox.token_requests(provider), 2);
    }
}
