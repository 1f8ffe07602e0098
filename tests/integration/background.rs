//! Renewal in the background: nobody waits for it but who finishes a source.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use paytoken::{Builder, EventKind, Provider, TokenSource};
use paytoken_sandbox::Sandbox;
use paytoken_testing::{ManualClock, PATIENCE, builder};

const NTX: Provider = Provider::NtxPay;
const WINDOW: Duration = Duration::from_secs(480);

fn secret(source: &TokenSource) -> String {
    source.token().unwrap().secret().to_owned()
}

/// A source that renews in the background, its clock, and the names of the threads that fetched.
fn in_background(sandbox: &Sandbox) -> (Builder, ManualClock, Receiver<Option<String>>) {
    let clock = ManualClock::new();
    let (send, receive) = channel();
    let builder = builder(sandbox, NTX).clock(clock.clone()).renew_in_background(true).on_event(
        move |event| {
            if let EventKind::Fetched { .. } = event.kind {
                _ = send.send(thread::current().name().map(str::to_owned));
            }
        },
    );
    (builder, clock, receive)
}

#[test]
fn in_the_background_a_renewal_keeps_nobody_waiting_and_there_is_one_at_a_time() {
    let sandbox = Sandbox::start().unwrap();
    let (builder, clock, receive) = in_background(&sandbox);
    let source = builder.build().unwrap();
    let first = secret(&source);
    receive.recv_timeout(PATIENCE).unwrap();
    clock.advance(WINDOW);
    let hold = sandbox.hold(NTX);
    for _ in 0..100 {
        assert_eq!(secret(&source), first); // would hang if it waited for the renewal
    }
    assert!(hold.wait_for_arrivals(1, PATIENCE));
    hold.release();
    assert_eq!(receive.recv_timeout(PATIENCE).unwrap().as_deref(), Some("paytoken-fetch"));
    assert_ne!(secret(&source), first);
    assert_eq!(sandbox.token_requests(NTX), 2);
}

#[test]
fn to_finish_a_source_waits_for_the_renewal_and_then_callers_renew() {
    let sandbox = Sandbox::start().unwrap();
    let (builder, clock, receive) = in_background(&sandbox);
    let source = builder.build().unwrap();
    let first = secret(&source);
    clock.advance(WINDOW);
    let hold = sandbox.hold(NTX);
    assert_eq!(secret(&source), first);
    assert!(hold.wait_for_arrivals(1, PATIENCE));
    assert!(!source.finish(Duration::from_millis(20)), "it is under way");
    let finishing = source.clone();
    let finishing = thread::spawn(move || finishing.finish(Duration::MAX));
    hold.release();
    assert!(finishing.join().unwrap());
    receive.recv().unwrap();
    assert_eq!(receive.recv().unwrap().as_deref(), Some("paytoken-fetch"));
    let second = secret(&source);
    assert_ne!(second, first);
    clock.advance(WINDOW);
    assert_ne!(secret(&source), second, "this caller renews");
    assert_ne!(receive.recv().unwrap().as_deref(), Some("paytoken-fetch"));
    assert!(source.finish(Duration::ZERO), "there is nothing to wait for");
    assert_eq!(sandbox.token_requests(NTX), 3);
}

#[test]
fn to_drop_a_source_waits_for_nobody() {
    let sandbox = Sandbox::start().unwrap();
    let (builder, clock, receive) = in_background(&sandbox);
    let source = builder.build().unwrap();
    secret(&source);
    clock.advance(WINDOW);
    let hold = sandbox.hold(NTX);
    secret(&source);
    assert!(hold.wait_for_arrivals(1, PATIENCE));
    let began = Instant::now();
    drop(source);
    assert!(began.elapsed() < PATIENCE, "it waited for what is held");
    hold.release();
    receive.recv_timeout(PATIENCE).unwrap();
    assert_eq!(receive.recv_timeout(PATIENCE).unwrap().as_deref(), Some("paytoken-fetch"));
}

#[test]
fn a_thread_of_the_sources_own_does_not_wait_for_itself() {
    let sandbox = Sandbox::start().unwrap();
    let (send, receive) = channel();
    let (tell, told) = channel::<TokenSource>();
    let told = std::sync::Mutex::new(told);
    let clock = ManualClock::new();
    let source = builder(&sandbox, NTX)
        .clock(clock.clone())
        .renew_in_background(true)
        .on_event(move |event| {
            let EventKind::Fetched { .. } = event.kind else { return };
            if thread::current().name() == Some("paytoken-fetch") {
                let source = told.lock().unwrap().recv().unwrap();
                send.send(source.finish(Duration::MAX)).unwrap();
            }
        })
        .build()
        .unwrap();
    secret(&source);
    clock.advance(WINDOW);
    secret(&source);
    tell.send(source.clone()).unwrap();
    assert!(!receive.recv_timeout(PATIENCE).unwrap());
    assert!(source.finish(PATIENCE));
}
