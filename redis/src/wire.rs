//! A connection's bytes, with one deadline for all of a call: the redis crate's own connections give
//! each read its whole time again, and a name look-up as long as it takes.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::address::Host;
use crate::clock::Deadline;
use crate::descriptor::occupy_standard;
use crate::dial::Dialer;
use crate::failure::Failure;

/// A socket whose reads and writes are over by its deadline.
pub(crate) struct Timed {
    socket: Socket,
    pub(crate) deadline: Deadline,
}

impl Timed {
    /// To the address of a host that answers first.
    pub(crate) fn to_host(
        host: &Host,
        dialer: &Dialer,
        deadline: Deadline,
    ) -> Result<Self, Failure> {
        let left = deadline.remaining();
        let route = dialer.find(&host.name, host.port, left, Some((left, deadline)))?;
        let stream = dialer.connect(route, deadline.remaining())?;
        Ok(Self { socket: stream.into(), deadline })
    }

    pub(crate) fn to_socket(path: &Path, deadline: Deadline) -> Result<Self, Failure> {
        let not_reached = Failure::not_reached;
        let address = SockAddr::unix(path).map_err(not_reached)?;
        occupy_standard();
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
