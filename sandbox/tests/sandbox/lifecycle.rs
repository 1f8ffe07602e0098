//! Holds, counters, many clients at once, and the end of the sandbox.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use paytoken_sandbox::{Counts, Fault, Sandbox, Service};
use paytoken_testing::until;

use crate::client::{Client, config, identity, token_request};

const LONG: Duration = Duration::from_secs(20);

/// Runs something that must end; says so if it does not.
fn must_end(what: impl FnOnce() + Send + 'static) {
    let (sender, done) = mpsc::channel();
    thread::spawn(move || {
        what();
        let _ = sender.send(());
    });
    // The sandbox itself gives up waiting for a thread after 5 s; that would be a failure.
    done.recv_timeout(Duration::from_secs(4)).expect("the sandbox ends promptly");
}

#[test]
fn the_sandbox_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Sandbox>();
}

#[test]
fn a_hold_keeps_requests_until_it_is_released() {
    let sandbox = Sandbox::start().unwrap();
    for &service in Service::ALL {
        let hold = sandbox.hold(service);
        assert!(!hold.wait_for_arrivals(1, Duration::ZERO));
        thread::scope(|scope| {
            let asking: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let question = token_request(&sandbox, service);
                        Client::new(&sandbox, service).send(&question).unwrap()
                    })
                })
                .collect();
            assert!(hold.wait_for_arrivals(3, LONG));
            assert_eq!(hold.arrivals(), 3);
            let counts = sandbox.counts(service);
            assert_eq!((counts.token_requests, counts.tokens_issued), (3, 0));
            assert_eq!(counts.max_concurrent_token_requests, 3);
            // A fault set while they wait is still in time.
            sandbox.fault_next(service, 1, Fault::Status(500));
            hold.release();
            let statuses: Vec<u16> =
                asking.into_iter().map(|asking| asking.join().unwrap().status).collect();
            assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 1);
        });
        assert_eq!(sandbox.counts(service).tokens_issued, 2);
        // Nothing is held any more.
        let question = token_request(&sandbox, service);
        assert!(Client::new(&sandbox, service).send(&question).unwrap().status < 300);
    }
}

#[test]
fn a_dropped_hold_releases() {
    let sandbox = Sandbox::start().unwrap();
    let service = Service::NexterPay;
    let hold = sandbox.hold(service);
    thread::scope(|scope| {
        let question = token_request(&sandbox, service);
        let mut client = Client::new(&sandbox, service);
        let asking = scope.spawn(move || client.send(&question).unwrap().status);
        assert!(hold.wait_for_arrivals(1, LONG));
        drop(hold);
        assert_eq!(asking.join().unwrap(), 200);
    });
}

#[test]
fn requests_one_after_the_other_are_never_seen_at_once() {
    let sandbox = Sandbox::start().unwrap();
    let service = Service::SendPayments;
    let question = token_request(&sandbox, service);
    // Two connections by turns: the next request is on its way the moment an answer is here.
    let tls = config(&sandbox, None);
    let mut one = Client::with_config(&sandbox, service, tls.clone());
    let mut two = Client::with_config(&sandbox, service, tls);
    for _ in 0..500 {
        assert_eq!(one.send(&question).unwrap().status, 201);
        assert_eq!(two.send(&question).unwrap().status, 201);
    }
    let counts = sandbox.counts(service);
    assert_eq!(counts.token_requests, 1000);
    assert_eq!(counts.max_concurrent_token_requests, 1);
    assert_eq!(counts.connections, 2);
}

#[test]
fn many_clients_at_once_are_served() {
    let sandbox = Sandbox::start().unwrap();
    let service = Service::NtxPay;
    let tls = config(&sandbox, Some(&identity(&sandbox)));
    thread::scope(|scope| {
        for _ in 0..96 {
            scope.spawn(|| {
                let mut client = Client::with_config(&sandbox, service, tls.clone());
                for _ in 0..3 {
                    let reply = client.send(&token_request(&sandbox, service)).unwrap();
                    assert!(sandbox.is_valid(service, &reply.token()));
                }
            });
        }
    });
    let counts = sandbox.counts(service);
    assert_eq!((counts.token_requests, counts.tokens_issued), (288, 288));
    assert_eq!(counts.connections, 96);
    assert_eq!(sandbox.received(service).len(), 64);
}

#[test]
fn sessions_resume_and_counters_reset() {
    let sandbox = Sandbox::start().unwrap();
    for &service in Service::ALL {
        let mut client = Client::new(&sandbox, service);
        for _ in 0..4 {
            client.send(&token_request(&sandbox, service)).unwrap();
            client.disconnect();
        }
        let counts = sandbox.counts(service);
        assert_eq!(counts.connections, 4);
        assert_eq!(counts.handshakes_resumed, 3);
        let id = sandbox.client_id(service);
        assert_eq!(sandbox.token_requests_by(service, id), 4);
        let hold = sandbox.hold(service);
        thread::scope(|scope| {
            scope.spawn(|| client.send(&token_request(&sandbox, service)).unwrap());
            assert!(hold.wait_for_arrivals(1, LONG));
            sandbox.reset_counts();
            assert_eq!(sandbox.token_requests_by(service, id), 0);
            let counts = sandbox.counts(service);
            assert_eq!(counts.token_requests, 0);
            assert_eq!(counts.max_concurrent_token_requests, 1, "one is in work");
            hold.release();
        });
        sandbox.reset_counts();
        assert_eq!(sandbox.counts(service), Counts::default());
    }
}

#[test]
fn the_end_waits_for_nobody() {
    let sandbox = Sandbox::start().unwrap();
    let service = Service::SendPayments;
    let question = token_request(&sandbox, service);
    // A connection that says nothing, one in the middle of a request, one kept idle.
    let mut silent = TcpStream::connect(sandbox.address(service)).unwrap();
    let mut control = TcpStream::connect(sandbox.control_address()).unwrap();
    let mut idle = Client::new(&sandbox, service);
    idle.send(&question).unwrap();
    let mut partial = Client::new(&sandbox, service).connect();
    partial.write_all(&question[..20]).unwrap();
    // One held, one in a delay of an hour.
    let hold = sandbox.hold(service);
    let ask = |sandbox: &Sandbox| {
        let mut client = Client::new(sandbox, service);
        let question = question.clone();
        thread::spawn(move || drop(client.send(&question)))
    };
    let held = ask(&sandbox);
    assert!(hold.wait_for_arrivals(1, LONG));
    sandbox.fault_next(Service::NexterPay, 1, Fault::Delay(Duration::from_secs(3600)));
    let delayed = token_request(&sandbox, Service::NexterPay);
    let mut client = Client::new(&sandbox, Service::NexterPay);
    let waiting = thread::spawn(move || drop(client.send(&delayed)));
    until("the request is read", || sandbox.token_requests(Service::NexterPay) > 0);
    let address = sandbox.address(service);
    must_end(move || drop(sandbox));
    held.join().unwrap();
    waiting.join().unwrap();
    // Whether ended or reset, they are not left open.
    let mut byte = [0u8; 1];
    for stream in [&mut silent, &mut control] {
        stream.set_read_timeout(Some(LONG)).unwrap();
        assert!(!matches!(stream.read(&mut byte), Ok(1)));
    }
    assert!(partial.read(&mut byte).map_or(true, |read| read == 0));
    assert!(TcpStream::connect(address).is_err());
    drop(hold);
}

#[test]
fn an_unread_answer_does_not_hinder_the_end() {
    let sandbox = Sandbox::start().unwrap();
    let service = Service::SendPayments;
    // Far more than the socket buffers hold, so that the writing thread is stuck.
    sandbox.fault_next(service, 1, Fault::Oversize(64 * 1024 * 1024));
    let mut stream = Client::new(&sandbox, service).connect();
    stream.write_all(&token_request(&sandbox, service)).unwrap();
    let mut start = [0u8; 16];
    stream.read_exact(&mut start).unwrap();
    must_end(move || drop(sandbox));
    drop(stream);
}
