//! Attempts beside each other on real sockets of loopback: some answer, some refuse, some do neither.

#[cfg(target_os = "linux")]
use std::collections::BTreeSet;
use std::io;
#[cfg(target_os = "linux")]
use std::io::Read as _;
use std::net::TcpListener;

use super::clock::Deadline;
#[allow(unused_imports)] // the library's tests use it, the store's do not
pub(crate) use super::look_up::tests::{hang, know};
use super::race::State;
use super::*;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses connections: the port is that of a client, which keeps it.
pub(crate) fn refusing() -> SocketAddr {
    let (listener, address) = listener();
    let client = TcpStream::connect(address).unwrap();
    let address = client.local_addr().unwrap();
    std::mem::forget((listener, client));
    address
}

/// An address that does not answer: the queue of its listener is full.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))] // what it holds on to
pub(crate) struct BlackHole {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    waiting: Vec<TcpStream>,
}

impl BlackHole {
    pub(crate) fn new() -> Self {
        let (listener, address) = listener();
        // On loopback a connection is made at once, or not at all.
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let waiting = std::iter::from_fn(connect).collect();
        Self { listener, address, waiting }
    }

    /// Waits until somebody asks this address for a connection.
    #[cfg(target_os = "linux")]
    fn is_asked(&self) {
        // The columns: number, own address, the other's, state (02: the request was sent).
        let asks = format!(":{:04X} 02", self.address.port());
        let sockets = || std::fs::read_to_string("/proc/net/tcp").unwrap();
        wait_for(|| sockets().contains(&asks).then_some(()));
    }

    /// From now on it answers. Gives the first connection of those that were not answered.
    #[cfg(target_os = "linux")]
    fn answer(&self) -> TcpStream {
        let known: BTreeSet<_> =
            self.waiting.iter().map(|stream| stream.local_addr().unwrap()).collect();
        self.listener.set_nonblocking(true).unwrap();
        wait_for(|| {
            let (stream, from) = self.listener.accept().ok()?;
            (!known.contains(&from)).then_some(stream)
        })
    }
}

#[cfg(target_os = "linux")]
fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(PATIENCE);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(!deadline.remaining().is_zero(), "waited in vain");
        std::thread::yield_now();
    }
}

impl Dialer {
    /// To see whether one is at work when the dialer is gone.
    #[allow(dead_code)] // the store's tests use it, the library's do not
    pub(crate) fn threads(&self) -> Arc<sync::Background> {
        self.threads.clone()
    }
}

fn run(addresses: &[SocketAddr], limit: Duration, pace: Duration) -> State {
    let race = Arc::<Race>::default();
    race.run(addresses, limit, Until::OneConnects(pace), &Arc::default())
}

fn tried(state: &State) -> Vec<SocketAddr> {
    state.attempts.iter().map(|attempt| attempt.address).collect()
}

fn winner(state: &State) -> Option<SocketAddr> {
    state.won.as_ref().map(|(address, _)| *address)
}

/// A name that no other test has.
fn name(addresses: &[SocketAddr]) -> (String, u16) {
    let (host, port) = (format!("several-{}.test", addresses[0].port()), 1);
    know(&host, port, addresses);
    (host, port)
}

fn find(dialer: &Dialer, (host, port): &(String, u16)) -> Route {
    dialer.find(host, *port, PATIENCE, Some((PATIENCE, Deadline::after(PATIENCE)))).unwrap()
}

#[test]
fn families_alternate_what_worked_last_is_first_and_no_address_is_tried_twice() {
    for (found, last, expected) in [
        ("6a 6b 4a 4b", "", "6a 4a 6b 4b"),
        ("4a 6a 6b 6c", "", "4a 6a 6b 6c"),
        ("6a 6b 6c", "", "6a 6b 6c"),
        ("6a", "", "6a"),
        ("4a 4a 6a 4a 6a", "", "4a 6a"),
        ("6a 6b 4a 4b", "4b", "4b 6a 4a 6b"),
        ("6a 6b 4a 4b", "6b", "6b 4a 6a 4b"),
        ("6a 4a", "4z", "6a 4a"),
        (
            "6a 6b 6c 6d 6e 6f 6g 6h 6i 6j 6k 6l 6m 6n 6o 6p 6q 4a",
            "",
            "6a 4a 6b 6c 6d 6e 6f 6g 6h 6i 6j 6k 6l 6m 6n 6o",
        ),
    ] {
        let address = |word: &str| {
            let number = word.as_bytes()[1];
            match word.starts_with('6') {
                true => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()], 443)),
                false => SocketAddr::from(([192, 0, 2, number], 443)),
            }
        };
        let addresses = |words: &str| words.split_whitespace().map(address).collect::<Vec<_>>();
        let last = addresses(last).first().copied();
        assert_eq!(in_order(&addresses(found), last), addresses(expected), "{found}");
    }
}

#[test]
fn the_caller_connects_to_a_single_address_itself() {
    let (_open, address) = listener();
    let state = run(&[address], PATIENCE, PATIENCE);
    assert_eq!(winner(&state), Some(address));
    let own = std::thread::current().name().map(str::to_owned);
    assert!(own.is_some() && state.attempts[0].by == own, "{:?}", state.attempts[0].by);
}

#[test]
fn the_thread_of_the_look_up_connects_to_the_first_of_several_and_no_other_begins() {
    let (_open, live) = listener();
    let hole = BlackHole::new();
    let dialer = Dialer::default();
    let Route { addresses, race, .. } = find(&dialer, &name(&[live, hole.address]));
    let state = race.0.run(&addresses, PATIENCE, Until::OneConnects(PATIENCE), &dialer.threads);
    assert_eq!((winner(&state), tried(&state)), (Some(live), vec![live]));
    assert_eq!(state.attempts[0].by.as_deref(), Some("paytoken-lookup"));
    assert!(dialer.wait(PATIENCE));
}

#[test]
#[cfg(target_os = "linux")]
fn an_address_that_does_not_answer_is_not_given_up_for_the_next_one() {
    let holes = [BlackHole::new(), BlackHole::new(), BlackHole::new()];
    let addresses = holes.each_ref().map(|hole| hole.address);
    let dialer = Arc::<Dialer>::default();
    let route = find(&dialer, &name(&addresses));
    let (race, threads) = (route.race.0.clone(), dialer.threads.clone());
    let running = std::thread::spawn(move || {
        race.run(&addresses, PATIENCE, Until::OneConnects(Duration::from_millis(5)), &threads)
    });
    holes.iter().for_each(BlackHole::is_asked);
    let _kept = holes[0].answer();
    let state = running.join().unwrap();
    assert_eq!((winner(&state), tried(&state)), (Some(addresses[0]), addresses.to_vec()));
    assert!(state.attempts[1..].iter().all(|attempt| attempt.ended.is_none()));
    assert!(!dialer.wait(Duration::ZERO));
    drop(holes);
    assert!(dialer.wait(PATIENCE), "refused now, and yet there");
}

#[test]
fn a_thread_ends_with_the_time_for_connecting() {
    let holes = [BlackHole::new(), BlackHole::new()];
    let dialer = Dialer::default();
    let route = find(&dialer, &("127.0.0.1".to_owned(), holes[0].address.port()));
    let addresses = holes.each_ref().map(|hole| hole.address);
    let route = Route { addresses: addresses.to_vec(), ..route };
    assert!(dialer.connect(route, Duration::from_millis(30)).is_err());
    assert!(dialer.wait(PATIENCE));
}

#[test]
#[cfg(target_os = "linux")]
fn who_connects_too_late_is_closed_at_once() {
    let hole = BlackHole::new();
    let race = Arc::<Race>::default();
    let (own, address) = (race.clone(), hole.address);
    let number = race.begin(address).unwrap();
    let attempt = std::thread::spawn(move || own.attempt(number, address, PATIENCE));
    hole.is_asked();
    race.end();
    let mut late = hole.answer();
    late.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(late.read(&mut [0]).unwrap(), 0, "it stays open");
    attempt.join().unwrap();
    assert!(race.end().won.is_none());
}

#[test]
fn where_one_fails_the_next_is_tried_at_once() {
    let (_open, live) = listener();
    let addresses = [refusing(), refusing(), refusing(), live];
    // Nobody waits for as long as this.
    let state = run(&addresses, PATIENCE * 60, PATIENCE * 10);
    assert_eq!((winner(&state), tried(&state)), (Some(live), addresses.to_vec()));
}

#[test]
fn where_no_thread_is_to_be_had_one_address_is_tried_after_the_other() {
    let (_open, live) = listener();
    let hole = BlackHole::new();
    let threads = Arc::<sync::Background>::default();
    threads.finish(Duration::ZERO);
    let addresses = [refusing(), hole.address, live];
    let race = Arc::<Race>::default();
    let limit = Duration::from_millis(900);
    let state = race.run(&addresses, limit, Until::OneConnects(Duration::ZERO), &threads);
    assert_eq!((winner(&state), tried(&state)), (Some(live), addresses.to_vec()));
    assert_eq!(state.attempts[2].by.as_deref(), std::thread::current().name());
}

#[test]
fn what_worked_last_is_tried_first_and_alone_the_next_time() {
    let (_open, live) = listener();
    let hole = BlackHole::new();
    let dialer = Dialer::default();
    let name = name(&[hole.address, live]);
    let connect = |dialer: &Dialer| {
        let route = find(dialer, &name);
        let first = route.addresses[0];
        let stream = dialer.connect(route, Duration::from_secs(20)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
        first
    };
    assert_eq!(connect(&dialer), hole.address);
    assert_eq!(connect(&dialer), live);
    assert_eq!(connect(&Dialer::default()), hole.address, "another source knows nothing of it");
}

#[test]
fn a_failure_says_how_many_were_tried_and_what_they_have_in_common() {
    let hole = BlackHole::new();
    let fails = |addresses: &[SocketAddr], limit| {
        let dialer = Dialer::default();
        let failed = dialer.connect(find(&dialer, &name(addresses)), limit).unwrap_err();
        (failed.error.map(|error| error.kind()), failed.tried)
    };
    let refused = Some(io::ErrorKind::ConnectionRefused);
    let short = Duration::from_secs(1);
    for (addresses, limit, expected) in [
        (vec![refusing()], PATIENCE, (refused, "")),
        (vec![refusing(), refusing()], PATIENCE, (refused, " (2 addresses tried)")),
        (
            vec![refusing(), hole.address],
            short,
            (None, " (2 addresses tried: 1 refused, 1 silent)"),
        ),
        (vec![hole.address], short, (None, "")),
        (vec![hole.address, refusing()], Duration::ZERO, (None, " (1 of 2 addresses tried)")),
    ] {
        assert_eq!(fails(&addresses, limit), (expected.0, expected.1.to_owned()), "{addresses:?}");
    }
}

#[test]
fn all_addresses_can_be_tried_at_once_to_see_which_answer() {
    let (_open, live) = listener();
    let hole = BlackHole::new();
    let dialer = Dialer::default();
    let addresses = [live, hole.address, refusing()];
    let route = find(&dialer, &name(&addresses));
    let ended = |attempt: &Attempt| {
        let ended = attempt.ended.as_ref().map(|(_, result)| result.as_ref().map_err(|e| e.kind()));
        (attempt.address, ended.map(|result| result.is_ok()))
    };
    let attempts = dialer.try_all(&route, Duration::from_millis(300));
    let ended: Vec<_> = attempts.iter().map(ended).collect();
    assert_eq!(ended[0], (addresses[0], Some(true)));
    assert!(matches!(ended[1].1, None | Some(false)), "{ended:?}");
    assert_eq!(ended[2], (addresses[2], Some(false)));
}

#[test]
fn the_page_says_the_same_pace() {
    let says = format!("begins {} ms after the one before", PACE.as_millis());
    assert!(include_str!("../../../docs/architecture.md").contains(&says), "{says}");
}
