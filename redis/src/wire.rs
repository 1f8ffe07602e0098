//! A connection's bytes, with one deadline for all of a call: the redis crate's own connections give
//! each read its whole time again, and a name look-up as long as it takes.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::address::Host;
use crate::clock::Deadline;
use crate::failure::Failure;

/// A socket whose reads and writes are over by its deadline.
pub(crate) struct Timed {
    socket: Socket,
    pub(crate) deadline: Deadline,
}

impl Timed {
    /// Tries the addresses of a host in turn, each with its share of the time.
    pub(crate) fn to_host(host: &Host, deadline: Deadline) -> Result<Self, Failure> {
        let addresses = addresses(host, deadline)?;
        let mut last = Failure::Silent;
        for (index, address) in addresses.iter().enumerate() {
            let share = deadline.remaining() / (addresses.len() - index) as u32;
            if share.is_zero() {
                return Err(Failure::Silent);
            }
            match connect(*address, share) {
                Ok(socket) => return Ok(Self { socket, deadline }),
                Err(error) if is_timeout(&error) => last = Failure::Silent,
                Err(error) => last = Failure::NotReached(Arc::new(error)),
            }
        }
        Err(last)
    }

    pub(crate) fn to_socket(path: &Path, deadline: Deadline) -> Result<Self, Failure> {
        let not_reached = |error| Failure::NotReached(Arc::new(error));
        let address = SockAddr::unix(path).map_err(not_reached)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(not_reached)?;
        // A server that has stopped does not take connections: that must not be waited for.
        socket.set_nonblocking(true).map_err(not_reached)?;
        loop {
            match socket.connect(&address) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(not_reached(error)),
            }
            if deadline.remaining().is_zero() {
                return Err(Failure::Silent);
            }
            thread::sleep(Duration::from_millis(5).min(deadline.remaining()));
        }
        socket.set_nonblocking(false).map_err(not_reached)?;
        Ok(Self { socket, deadline })
    }

    /// The other end's address, where it is on a network.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        let address = self.socket.peer_addr().ok()?.as_socket()?;
        Some(address.ip().to_canonical())
    }

    fn left(&self) -> io::Result<Duration> {
        match self.deadline.remaining() {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            // The system would take less than a microsecond for no limit.
            left => Ok(left.max(Duration::from_millis(1))),
        }
    }
}

/// Where the other end has hung up, writing fails, and does not end a program in C by SIGPIPE. (On
/// Apple's systems socket2 has told the socket.)
#[cfg(all(unix, not(target_vendor = "apple")))]
const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
const NO_SIGNAL: i32 = 0;

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        self.socket.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        self.socket.send_with_flags(buffer, NO_SIGNAL)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connect(address: SocketAddr, limit: Duration) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.connect_timeout(&address.into(), limit)?;
    // A command is small, and its answer is waited for.
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// More addresses of one name are not tried.
const MOST_ADDRESSES: usize = 4;

fn addresses(host: &Host, deadline: Deadline) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, host.port)]);
    }
    let pending = join(host).map_err(|error| Failure::NotReached(Arc::new(error)))?;
    let is_open = |found: &mut Option<Found>| found.is_none();
    let (found, _) = pending
        .is_done
        .wait_timeout_while(lock(&pending.found), deadline.remaining(), is_open)
        .unwrap_or_else(PoisonError::into_inner);
    match &*found {
        Some(Ok(found)) if !found.is_empty() => {
            Ok(found.iter().copied().take(MOST_ADDRESSES).collect())
        }
        Some(Ok(_)) => Err(Failure::NotFound(Arc::new(io::ErrorKind::NotFound.into()))),
        Some(Err(error)) => Err(Failure::NotFound(error.clone())),
        None => Err(Failure::NotFound(Arc::new(io::ErrorKind::TimedOut.into()))),
    }
}

/// Look-ups under way, by process: a forked child has none of its parent's threads.
static UNDER_WAY: Mutex<Option<HashMap<Name, Arc<Pending>>>> = Mutex::new(None);

type Name = (u32, String, u16);
type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;

#[derive(Default)]
struct Pending {
    found: Mutex<Option<Found>>,
    is_done: Condvar,
}

/// The look-up of this name that is under way, or a new one. The system's look-up cannot be given a
/// time-out, so it has a thread; one that hangs is waited for by all who ask for the name.
fn join(host: &Host) -> io::Result<Arc<Pending>> {
    let mut under_way = lock(&UNDER_WAY);
    let under_way = under_way.get_or_insert_default();
    let name: Name = (std::process::id(), host.name.clone(), host.port);
    if let Some(pending) = under_way.get(&name) {
        return Ok(pending.clone());
    }
    let pending = Arc::<Pending>::default();
    let (own, key) = (pending.clone(), name.clone());
    thread::Builder::new().name("paytoken-lookup".to_owned()).spawn(move || {
        let found = (key.1.as_str(), key.2).to_socket_addrs();
        *lock(&own.found) = Some(found.map(Vec::from_iter).map_err(Arc::new));
        if let Some(under_way) = &mut *lock(&UNDER_WAY) {
            under_way.remove(&key);
        }
        own.is_done.notify_all();
    })?;
    under_way.insert(name, pending.clone());
    Ok(pending)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_that_hangs_is_waited_for_no_longer_than_allowed_and_has_one_thread() {
        let host = Host { name: "hangs.example".to_owned(), port: 1 };
        let name = (std::process::id(), host.name.clone(), host.port);
        lock(&UNDER_WAY).get_or_insert_default().insert(name, Arc::default());
        for _ in 0..20 {
            let began = crate::clock::now();
            let found = addresses(&host, Deadline::after(Duration::from_millis(2)));
            assert!(matches!(found, Err(Failure::NotFound(_))));
            assert!(began.elapsed() < Duration::from_secs(5));
        }
        assert_eq!(Arc::strong_count(&join(&host).unwrap()), 2);
    }
}
