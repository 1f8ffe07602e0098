//! Why no address of a host could be connected to.

use std::io::{self, ErrorKind};

use super::race::Attempt;

#[derive(Debug)]
pub(crate) struct NotConnected {
    /// `None`: time was up while an address had not answered.
    pub(crate) error: Option<io::Error>,
    /// How many addresses were tried, in brackets and with a space before; nothing where there is one.
    pub(crate) tried: String,
}

impl NotConnected {
    pub(super) fn of(attempts: Vec<Attempt>, addresses: usize) -> Self {
        let (mut refused, mut unreachable, mut failed, mut silent) = (0, 0, 0, 0);
        let tried = attempts.len();
        let mut errors = Vec::new();
        for attempt in attempts {
            match attempt.ended {
                Some((_, Err(error))) if error.kind() != ErrorKind::TimedOut => {
                    let (count, rank) = match error.kind() {
                        ErrorKind::ConnectionRefused => (&mut refused, 0),
                        // A machine without IPv6 says so of each such address.
                        ErrorKind::HostUnreachable
                        | ErrorKind::NetworkUnreachable
                        | ErrorKind::NetworkDown
                        | ErrorKind::AddrNotAvailable => (&mut unreachable, 2),
                        _ => (&mut failed, 1),
                    };
                    *count += 1;
                    errors.push((rank, error));
                }
                _ => silent += 1,
            }
        }
        let counts = [
            (refused, "refused"),
            (unreachable, "unreachable"),
            (failed, "failed"),
            (silent, "silent"),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, what)| format!("{count} {what}")).collect();
        let of = if tried < addresses { format!(" of {addresses}") } else { String::new() };
        let tried = match &*counts {
            _ if addresses == 1 => String::new(),
            [_] => format!(" ({tried}{of} addresses tried)"),
            several => format!(" ({tried}{of} addresses tried: {})", several.join(", ")),
        };
        let says_most = errors.into_iter().min_by_key(|(rank, _)| *rank).filter(|_| silent == 0);
        Self { error: says_most.map(|(_, error)| error), tried }
    }
}
