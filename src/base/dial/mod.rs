//! From a host's name to a connection: its addresses are tried beside each other (RFC 8305).
//!
//! The caller connects to a single address itself. Of several, the first is tried by the thread that
//! looked the name up, and each further one by a short-lived thread; none outlives the time that was
//! given, and a connection that comes too late is closed at once.
//!
//! The Redis store needs the same, and none of it is public: `redis/src/dial` is a link to this folder.

mod failure;
mod look_up;
mod race;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) use self::failure::NotConnected;
pub(crate) use self::look_up::NotFound;
use self::look_up::{First, look_up};
pub(crate) use self::race::Attempt;
use self::race::{Race, Until};
use super::{clock, descriptor, sync};

/// The next attempt begins so long after the one before.
pub(crate) const PACE: Duration = Duration::from_millis(250);

/// More addresses of one name are not tried.
const MOST_ADDRESSES: usize = 16;

/// Makes the connections of one source, or of one store.
#[derive(Default)]
pub(crate) struct Dialer {
    threads: Arc<sync::Background>,
    /// The address that was connected to last, of hosts with several: it is tried first.
    last: Mutex<HashMap<String, SocketAddr>>,
}

/// The addresses of a host, in the order in which they are tried.
pub(crate) struct Route {
    host: String,
    pub(crate) addresses: Vec<SocketAddr>,
    race: Entry,
}

/// Without it nobody waits for a connection any more.
struct Entry(Arc<Race>);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Dialer {
    /// Looks a host up. Where it has several addresses, `ahead` lets the thread that found them begin at
    /// once to connect to the first: for so long, and not beyond that moment.
    pub(crate) fn find(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
        ahead: Option<(Duration, clock::Deadline)>,
    ) -> Result<Route, NotFound> {
        let last = sync::lock(&self.last).get(host).copied();
        let race = Entry(Arc::default());
        let found = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                let first = ahead.map(|(time, end)| {
                    let (race, threads) = (race.0.clone(), self.threads.clone());
                    First { race, threads, last, time, end }
                });
                look_up(host, port, limit, first)?
            }
        };
        Ok(Route { host: host.to_owned(), addresses: in_order(&found, last), race })
    }

    /// A connection to the address that answers first.
    pub(crate) fn connect(&self, route: Route, limit: Duration) -> Result<TcpStream, NotConnected> {
        let Route { host, addresses, race } = route;
        // Where time is short, every address has its turn all the same.
        let pace = PACE.min(limit / (addresses.len() as u32 + 1));
        let ended = race.0.run(&addresses, limit, Until::OneConnects(pace), &self.threads);
        let Some((address, stream)) = ended.won else {
            return Err(NotConnected::of(ended.attempts, addresses.len()));
        };
        if addresses.len() > 1 {
            sync::lock(&self.last).insert(host, address);
        }
        Ok(stream)
    }

    /// Connects to every address at the same time.
    pub(crate) fn try_all(&self, route: &Route, limit: Duration) -> Vec<Attempt> {
        route.race.0.run(&route.addresses, limit, Until::AllHaveEnded, &self.threads).attempts
    }

    /// Waits for the threads of attempts that nobody waits for any more: true once there is none.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        self.threads.wait(limit)
    }
}

/// The one that worked last is the first, and the families alternate: each address once.
fn in_order(found: &[SocketAddr], last: Option<SocketAddr>) -> Vec<SocketAddr> {
    let mut all = Vec::with_capacity(found.len());
    for address in last.iter().filter(|last| found.contains(last)).chain(found) {
        if !all.contains(address) {
            all.push(*address);
        }
    }
    let is_of_the_first_family = |address: &SocketAddr| address.is_ipv4() == all[0].is_ipv4();
    let (first, other): (Vec<_>, Vec<_>) = all.iter().partition(|it| is_of_the_first_family(it));
    let longer = first.len().max(other.len());
    let turns = (0..longer).flat_map(|turn| [first.get(turn), other.get(turn)]);
    turns.flatten().copied().take(MOST_ADDRESSES).collect()
}

#[cfg(test)]
pub(crate) mod tests;
