//! Neither secret nor token shows in what a program can print: `{:?}` and `{}` of every public
//! type, every error, every event, every log record.
//!
//! A binary of its own: the logger is the whole process's.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, unreachable_pub)] // it is a test

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use paytoken::store::{Sealed, SealingKeys, Unsealed};
use paytoken::{
    Attempt, Environment, Error, Event, FileStore, Provider, TokenCache, TokenOptions, TokenSource,
};
use paytoken_sandbox::{Fault, Sandbox};
use paytoken_testing::{
    ManualClock, PATIENCE, bytes_logged, credentials_with, reach, temporary_folder,
};

/// A secret with characters that JSON, URLs and base64 write differently.
const SECRET: &str = "s3cr\"t/&+%-value";

/// The forms in which `SECRET` must not show.
const FORMS: [&str; 4] =
    [SECRET, "s3cr\\\"t/&+%-value", "s3cr%22t%2F%26%2B%25%2Dvalue", "czNjciJ0LyYrJS12YWx1Z"];

#[derive(Default)]
struct Prints(Vec<String>);

impl Prints {
    fn debug(&mut self, value: &dyn std::fmt::Debug) {
        self.0.push(format!("{value:?}"));
        self.0.push(format!("{value:#?}"));
    }

    /// With everything behind it.
    fn error(&mut self, error: &Error) {
        assert!(format!("{error:?}").contains("kind: "));
        self.debug(error);
        self.0.push(error.to_string());
        let mut cause = error.source();
        while let Some(error) = cause {
            self.0.push(format!("{error} {error:?}"));
            cause = error.source();
        }
    }

    fn check(&self, tokens: &[String], what: &str) {
        for print in &self.0 {
            for form in FORMS {
                assert!(!print.contains(form), "{what}: the secret shows in {print}");
            }
            for token in tokens {
                assert!(!print.contains(token.as_str()), "{what}: a token shows");
                // Nor its signature alone.
                let last = token.rsplit('.').next().unwrap();
                assert!(last.len() < 8 || !print.contains(last), "{what}: part of a token shows");
            }
        }
    }
}

/// Every record of every crate, at the finest level.
struct Recorder(Mutex<Vec<(String, String)>>);

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push((record.target().to_owned(), record.args().to_string()));
    }

    fn flush(&self) {}
}

static RECORDER: Recorder = Recorder(Mutex::new(Vec::new()));

fn record_everything() {
    record_nothing_yet();
    log::set_max_level(log::LevelFilter::Trace);
}

/// The level is raised later.
fn record_nothing_yet() {
    // Once per process; this is the only test binary's only logger.
    let _ = log::set_logger(&RECORDER);
    log::set_max_level(log::LevelFilter::Off);
}

/// The level is the whole process's.
static LEVEL: Mutex<()> = Mutex::new(());

fn source(sandbox: &Sandbox, provider: Provider, events: &Arc<Mutex<Vec<Event>>>) -> TokenSource {
    let events = events.clone();
    reach(sandbox, provider, credentials_with(sandbox, provider, SECRET))
        .clock(ManualClock::new())
        .retries(0)
        .on_event(move |event| events.lock().unwrap().push(event.clone()))
        .build()
        .unwrap()
}

#[test]
fn nothing_that_can_be_printed_shows_a_secret_or_a_token() {
    let _level = LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
    record_everything();
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let id = sandbox.client_id(provider).to_owned();
        sandbox.change_secret(provider, &id, SECRET);
        let events = Arc::new(Mutex::new(Vec::new()));
        let mut prints = Prints::default();
        let mut tokens = Vec::new();

        let source = source(&sandbox, provider, &events);
        let token = source.token().unwrap();
        tokens.push(token.secret().to_owned());
        let credentials = credentials_with(&sandbox, provider, SECRET);
        assert!(format!("{token:?}").contains("redacted("));
        prints.debug(&token);
        prints.debug(&credentials);
        // What tells one source from another does show.
        assert!(format!("{source:?}").contains(&sandbox.url(provider)));
        prints.debug(&source);
        prints.debug(&source.status());
        prints.debug(&source.worker());
        prints.debug(&reach(&sandbox, provider, credentials.clone()));
        prints.debug(
            &reach(&sandbox, provider, credentials.clone()).proxy("http://u:s3cr\"t/&+%-value@p"),
        );
        prints.debug(
            &reach(&sandbox, provider, credentials).base_url("https://u:s3cr\"t/&+%-value@p"),
        );
        prints.debug(&TokenCache::new());
        prints.debug(&TokenOptions::new());
        prints.debug(&Attempt::Done(token.clone()));
        prints.debug(&(provider, Environment::Sandbox));

        // Every error a response can cause, each of them echoing what it was sent.
        let repeated = |status| {
            Fault::StatusBody(status, "application/json".into(), {
                let quoted = format!("{SECRET:?}");
                format!(
                "{{\"error\":{quoted},\"error_description\":\"{}\",\"message\":[{quoted},\"{}\"],\"detail\":\"{}\",\"errors\":[{{\"message\":{quoted}}}]}}",
                FORMS[2], token.secret(), token.bearer()
            )
            .into_bytes()
            })
        };
        let mut faults: Vec<Fault> = Vec::new();
        for status in [400, 401, 403, 404, 408, 422, 429, 500, 503] {
            faults.push(Fault::EchoSecrets(status));
            faults.push(repeated(status));
        }
        faults.extend([200, 201, 299].map(repeated));
        faults.extend([
            Fault::Redirect("https://evil.example".into()),
            Fault::MalformedJson,
            Fault::WrongTypes,
        ]);
        faults.extend([
            Fault::Truncated,
            Fault::Reset,
            Fault::LostAnswer,
            Fault::Oversize(100_000),
        ]);
        faults.push(Fault::Raw(
            format!("HTTP/1.1 200 {SECRET}\r\nX: {}\r\n", token.secret()).into_bytes(),
        ));
        faults.push(Fault::Raw(format!("{SECRET} {}", token.secret()).into_bytes()));
        let count = faults.len();
        for fault in faults {
            sandbox.fault_next(provider, 1, fault);
            match source.refresh() {
                Err(error) => prints.error(&error),
                Ok(token) => panic!("a fault gave {token:?}"),
            }
            // The remembered form, where there is one.
            if let Err(error) =
                source.token_with(&TokenOptions::new().deadline(std::time::Duration::ZERO))
            {
                prints.error(&error);
            }
        }
        source.invalidate(&token).unwrap();
        tokens.push(source.refresh().unwrap().secret().to_owned());
        let events = events.lock().unwrap();
        assert!(events.len() > 2 * count, "{} events", events.len());
        events.iter().for_each(|event| prints.debug(event));
        assert!(prints.0.len() > 5 * count);
        prints.check(&tokens, "printed");

        let mut logged = Prints::default();
        let records = std::mem::take(&mut *RECORDER.0.lock().unwrap());
        logged.0.extend(records.iter().map(|(_, text)| text.clone()));
        logged.0.push(bytes_logged(&records));
        assert!(logged.0.last().unwrap().contains("POST "), "what ureq sees is there");
        assert!(
            logged.0.iter().any(|text| text.contains(&format!("{provider}: new token"))),
            "our own records are there"
        );
        logged.check(&tokens, "logged");
        let certificate = sandbox.client_certificate_header();
        assert!(!logged.0.last().unwrap().contains(&certificate), "values of headers are covered");
    }
}

#[test]
fn a_level_raised_in_the_middle_of_a_request_by_another_thread_shows_none_either() {
    /// When another thread raises it.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Moment {
        /// The hook is told that the request is about to be sent.
        BeforeItIsSent,
        /// The provider has the request and has not answered.
        BeforeTheAnswer,
        /// The token is there, and its event is told.
        AfterTheAnswer,
        /// Up and down all the time.
        AgainAndAgain,
    }
    let _level = LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
    let raise = || thread::spawn(|| log::set_max_level(log::LevelFilter::Trace)).join().unwrap();
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let id = sandbox.client_id(provider).to_owned();
        sandbox.change_secret(provider, &id, SECRET);
        for moment in [
            Moment::BeforeItIsSent,
            Moment::BeforeTheAnswer,
            Moment::AfterTheAnswer,
            Moment::AgainAndAgain,
        ] {
            record_nothing_yet();
            RECORDER.0.lock().unwrap().clear();
            let name = match moment {
                Moment::BeforeItIsSent => "request",
                Moment::AfterTheAnswer => "fetched",
                _ => "none of them",
            };
            let source = reach(&sandbox, provider, credentials_with(&sandbox, provider, SECRET))
                .on_event(move |event| {
                    if event.kind.name() == name {
                        raise();
                    }
                })
                .build()
                .unwrap();
            let hold = sandbox.hold(provider);
            let is_over = std::sync::atomic::AtomicBool::new(false);
            let token = thread::scope(|scope| {
                let asking = scope.spawn(|| source.token().unwrap());
                assert!(hold.wait_for_arrivals(1, PATIENCE));
                if moment == Moment::BeforeTheAnswer {
                    raise();
                }
                if moment == Moment::AgainAndAgain {
                    scope.spawn(|| {
                        while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                            log::set_max_level(log::LevelFilter::Trace);
                            thread::yield_now();
                            log::set_max_level(log::LevelFilter::Off);
                        }
                    });
                }
                hold.release();
                let token = asking.join();
                is_over.store(true, std::sync::atomic::Ordering::SeqCst);
                token.unwrap()
            });
            log::set_max_level(log::LevelFilter::Trace);
            source.invalidate(&token).unwrap();
            let mut tokens = vec![token.secret().to_owned()];
            tokens.push(source.token().unwrap().secret().to_owned());
            let records = std::mem::take(&mut *RECORDER.0.lock().unwrap());
            assert!(!records.is_empty(), "{moment:?}: nothing was recorded");
            let mut logged = Prints::default();
            logged.0.extend(records.iter().map(|(_, text)| text.clone()));
            logged.0.push(bytes_logged(&records));
            logged.check(&tokens, &format!("{provider}, {moment:?}"));
        }
    }
}

#[cfg(unix)]
#[test]
fn a_store_that_others_could_write_to_and_an_accounts_label_are_in_the_log() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    let _level = LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
    record_everything();
    let count = |part: &str| {
        let records = RECORDER.0.lock().unwrap();
        records.iter().filter(|(target, text)| target == "paytoken" && text.contains(part)).count()
    };
    let (sandbox, folder) = (Sandbox::start().unwrap(), temporary_folder());
    let path = folder.path().join("store");
    let open = || FileStore::open(&path).unwrap();
    let (keys, provider) = (SealingKeys::new(&[7; 32]), Provider::NexterPay);
    Sealed::new(open(), keys.clone());
    assert_eq!(count("accept_unsealed"), 0);
    for _ in 0..2 {
        Sealed::new(open(), keys.clone().accept_unsealed(Unsealed::Write));
    }
    assert_eq!(count("accept_unsealed: write is set, so entries that are not sealed are"), 1);
    let secret = sandbox.client_secret(provider).to_owned();
    let source = reach(&sandbox, provider, credentials_with(&sandbox, provider, &secret));
    source.label("merchant-7").store(open()).build().unwrap().token().unwrap();
    assert_eq!(count(" [merchant-7]"), 2, "the request, and its token");
    set_permissions(&path, Permissions::from_mode(0o770)).unwrap();
    open();
    assert_eq!(count("was open to other users and is closed again"), 1);
}

#[test]
fn bad_input_is_not_repeated_in_its_error() {
    let sandbox = Sandbox::start().unwrap();
    let mut prints = Prints::default();
    for &provider in Provider::ALL {
        for bad in [format!("{SECRET} "), format!("{SECRET}\n"), format!("{SECRET}\u{200b}")] {
            prints.error(
                &reach(&sandbox, provider, credentials_with(&sandbox, provider, &bad))
                    .build()
                    .unwrap_err(),
            );
        }
        for url in [format!("https://u:{SECRET}@host"), format!("https://host?{SECRET}")] {
            let good = credentials_with(&sandbox, provider, "good");
            prints.error(
                &reach(&sandbox, provider, good.clone()).base_url(&url).build().unwrap_err(),
            );
            prints.error(
                &reach(&sandbox, provider, good).proxy(&format!("{url} x")).build().unwrap_err(),
            );
        }
    }
    prints.check(&[], "bad input");
}
