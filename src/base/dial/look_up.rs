//! The system's look-up of a name. It cannot be given a time-out, so it has a thread of its own; one that
//! hangs is waited for by all who ask for the same name, so there is never more than one for each.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::clock::Deadline;
use super::in_order;
use super::race::Race;
use super::sync::{Background, lock};

/// Why a name led to no address.
#[derive(Debug)]
pub(crate) enum NotFound {
    NoThread(io::Error),
    TooSlow,
    /// The look-up's own error, if it was one.
    Unknown(Option<Arc<io::Error>>),
}

/// The first of several attempts to connect, which the thread of a look-up makes.
pub(super) struct First {
    pub(super) race: Arc<Race>,
    pub(super) threads: Arc<Background>,
    pub(super) last: Option<SocketAddr>,
    pub(super) time: Duration,
    pub(super) end: Deadline,
}

/// Look-ups under way, by process: a forked child has none of its parent's threads.
static UNDER_WAY: Mutex<Option<HashMap<Name, Arc<Pending>>>> = Mutex::new(None);

type Name = (u32, String, u16);

#[derive(Default)]
struct Pending {
    found: Mutex<Option<Result<Vec<SocketAddr>, Arc<io::Error>>>>,
    is_done: Condvar,
}

pub(super) fn look_up(
    host: &str,
    port: u16,
    limit: Duration,
    first: Option<First>,
) -> Result<Vec<SocketAddr>, NotFound> {
    let pending = join(host, port, first).map_err(NotFound::NoThread)?;
    let (found, _) = pending
        .is_done
        .wait_timeout_while(lock(&pending.found), limit, |found| found.is_none())
        .unwrap_or_else(PoisonError::into_inner);
    match &*found {
        Some(Ok(found)) if !found.is_empty() => Ok(found.clone()),
        Some(Ok(_)) => Err(NotFound::Unknown(None)),
        Some(Err(error)) => Err(NotFound::Unknown(Some(error.clone()))),
        None => Err(NotFound::TooSlow),
    }
}

/// The look-up of this name that is under way, or a new one: only its thread makes the first attempt.
fn join(host: &str, port: u16, first: Option<First>) -> io::Result<Arc<Pending>> {
    let mut under_way = lock(&UNDER_WAY);
    let under_way = under_way.get_or_insert_default();
    let name: Name = (std::process::id(), host.to_owned(), port);
    if let Some(pending) = under_way.get(&name) {
        return Ok(pending.clone());
    }
    let pending = Arc::<Pending>::default();
    let (own, key) = (pending.clone(), name.clone());
    thread::Builder::new().name("paytoken-lookup".to_owned()).spawn(move || {
        let found = addresses(&key.1, key.2);
        // Whoever waits for the addresses has to know that an attempt is being made.
        let first = first.zip(found.as_ref().ok()).and_then(|(first, found)| first.begin(found));
        *lock(&own.found) = Some(found.map_err(Arc::new));
        if let Some(under_way) = &mut *lock(&UNDER_WAY) {
            under_way.remove(&key);
        }
        own.is_done.notify_all();
        if let Some(attempt) = first {
            attempt();
        }
    })?;
    under_way.insert(name, pending.clone());
    Ok(pending)
}

impl First {
    /// Where there are several addresses: an attempt that has to be made now.
    fn begin(self, found: &[SocketAddr]) -> Option<impl FnOnce() + use<>> {
        let addresses = in_order(found, self.last);
        if addresses.len() < 2 {
            return None;
        }
        let number = self.race.begin(addresses[0])?;
        let is_at_work = self.threads.enter();
        Some(move || {
            self.race.attempt(number, addresses[0], self.time.min(self.end.remaining()));
            drop(is_at_work);
        })
    }
}

fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    #[cfg(test)]
    if let Some(known) = lock(&tests::NAMES).get(&(host.to_owned(), port)) {
        return Ok(known.clone());
    }
    Ok(Vec::from_iter((host, port).to_socket_addrs()?))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Names = BTreeMap<(String, u16), Vec<SocketAddr>>;

    pub(super) static NAMES: Mutex<Names> = Mutex::new(BTreeMap::new());

    /// From now on this name has these addresses.
    pub(crate) fn know(host: &str, port: u16, addresses: &[SocketAddr]) {
        lock(&NAMES).insert((host.to_owned(), port), addresses.to_vec());
    }

    /// A look-up that never ends, as far as others can see.
    pub(crate) fn hang(host: &str, port: u16) {
        let key = (std::process::id(), host.to_owned(), port);
        lock(&UNDER_WAY).get_or_insert_default().insert(key, Arc::default());
    }

    #[test]
    fn a_look_up_that_hangs_is_waited_for_by_all_who_ask_for_the_name_and_has_one_thread() {
        hang("hangs.example", 1);
        for _ in 0..20 {
            let found = look_up("hangs.example", 1, Duration::from_millis(2), None);
            assert!(matches!(found, Err(NotFound::TooSlow)));
        }
        assert_eq!(Arc::strong_count(&join("hangs.example", 1, None).unwrap()), 2);
        let found = look_up("localhost", 1, Duration::from_secs(20), None).unwrap();
        assert_eq!(found[0].port(), 1);
    }
}
