//! The way to Redis that all threads share: connections that are kept, a second try where a kept one
//! has ended, and a pause for those who need not wait while it does not answer.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use log::{info, warn};
use paytoken::Error;
use redis::Value;

use crate::clock::{self, Deadline};
use crate::connection::{Command, Connection, LOG_TARGET, Target};
use crate::failure::{Failure, Refusal};
use crate::sync::lock;

/// So many connections are kept; more are opened where more threads ask at once.
const MOST_KEPT: usize = 4;

/// A connection that was idle for longer is not used again: what stands between may have forgotten it
/// without a word.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// While one look takes longer than this, no other caller begins one.
const LOOK_IS_SLOW: Duration = Duration::from_millis(100);

/// No look takes so long.
const LOOK_IS_NO_MORE: Duration = Duration::from_secs(30);

/// After so many failures in a row nobody looks for so long.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5)];

pub(crate) struct Link {
    pub(crate) target: Target,
    /// For all of a call: to find, to connect, to log in, to be answered.
    pub(crate) limit: Duration,
    kept: Mutex<Vec<Kept>>,
    health: Mutex<Health>,
}

/// A connection, and when it was last used.
struct Kept {
    connection: Connection,
    used: Instant,
}

#[derive(Default)]
struct Health {
    failures: usize,
    paused_until: Option<Instant>,
    /// When the looks began that are under way.
    looks: Vec<Instant>,
}

impl Link {
    pub(crate) fn new(target: Target, limit: Duration) -> Self {
        Self { target, limit, kept: Mutex::default(), health: Mutex::default() }
    }

    /// One attempt, over within the limit and `more`; two where a kept connection had ended.
    pub(crate) fn ask(&self, commands: &[Command], more: Duration) -> Result<Vec<Value>, Failure> {
        let deadline = Deadline::after(self.limit.saturating_add(more));
        let result = match self.take() {
            None => self.ask_anew(commands, deadline),
            Some(connection) => match self.ask_by(connection, commands, deadline) {
                Err(failure) if failure.is_of_an_old_connection() => {
                    // The others are as old. What was sent may have been done: each command here
                    // can be done twice.
                    lock(&self.kept).clear();
                    self.ask_anew(commands, deadline)
                }
                result => result,
            },
        };
        self.record(result.as_ref().err().filter(|failure| !failure.is_answer()));
        result
    }

    /// As [`ask`](Self::ask), for who can go on without an answer: nobody is asked while Redis does
    /// not answer, except one caller now and then.
    pub(crate) fn look(&self, commands: &[Command]) -> Result<Vec<Value>, Failure> {
        let began = clock::monotonic();
        {
            let mut health = lock(&self.health);
            let is_paused = health.paused_until.is_some_and(|until| began < until);
            let lasts = |since: &Instant| began.saturating_duration_since(*since);
            // A forked child has its parent's looks, and nobody to end them.
            health.looks.retain(|since| lasts(since) < LOOK_IS_NO_MORE);
            if is_paused || health.looks.iter().any(|since| lasts(since) > LOOK_IS_SLOW) {
                return Err(Failure::Away);
            }
            health.looks.push(began);
        }
        let _under_way = Look { link: self, began };
        let result = self.ask(commands, Duration::ZERO);
        // Refused once, it is refused again.
        match &result {
            Err(Failure::Refused(Refusal::WrongType)) => {}
            Err(failure) if failure.is_answer() => self.record(Some(failure)),
            _ => {}
        }
        result
    }

    pub(crate) fn error(&self, failure: Failure) -> Error {
        failure.into_error(&self.target.address.place.to_string(), self.limit)
    }

    /// What an administrator should see, though calls go on.
    pub(crate) fn warn(&self, what: &str) {
        warn!(target: LOG_TARGET, "store: Redis at {} {what}", self.target.address.place);
    }

    fn ask_anew(&self, commands: &[Command], deadline: Deadline) -> Result<Vec<Value>, Failure> {
        self.ask_by(Connection::open(&self.target, deadline)?, commands, deadline)
    }

    fn ask_by(
        &self,
        mut connection: Connection,
        commands: &[Command],
        deadline: Deadline,
    ) -> Result<Vec<Value>, Failure> {
        let result = connection.ask(commands, deadline);
        let is_good = match &result {
            Ok(_) => true,
            Err(failure) => failure.leaves_the_connection_good(),
        };
        let mut kept = lock(&self.kept);
        if is_good && kept.len() < MOST_KEPT {
            kept.push(Kept { connection, used: clock::monotonic() });
        }
        result
    }

    /// The connection that was used last. A forked child has copies of its parent's, and closes them.
    fn take(&self) -> Option<Connection> {
        let (now, process) = (clock::monotonic(), std::process::id());
        let mut kept = lock(&self.kept);
        kept.retain(|Kept { connection, used }| {
            connection.process == process && now.saturating_duration_since(*used) < KEPT_FOR
        });
        kept.pop().map(|kept| kept.connection)
    }

    /// Looks pause after a failure. The first failure and the end of a row of them are told.
    fn record(&self, failure: Option<&Failure>) {
        let mut health = lock(&self.health);
        let place = &self.target.address.place;
        match failure {
            None if health.failures == 0 => {}
            None => {
                health.failures = 0;
                health.paused_until = None;
                drop(health);
                info!(target: LOG_TARGET, "store: Redis at {place} answers again");
            }
            Some(failure) => {
                let pause = PAUSES[health.failures.min(PAUSES.len() - 1)];
                health.failures += 1;
                health.paused_until = clock::monotonic().checked_add(pause);
                let is_first = health.failures == 1;
                drop(health);
                if is_first {
                    let error = self.error(failure.clone());
                    warn!(target: LOG_TARGET, "{error}; meanwhile tokens in memory are not compared with it");
                }
            }
        }
    }
}

/// A look that is under way.
struct Look<'a> {
    link: &'a Link,
    began: Instant,
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        let looks = &mut lock(&self.link.health).looks;
        if let Some(index) = looks.iter().position(|began| *began == self.began) {
            looks.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};

    use super::*;
    use crate::address::Address;
    use crate::dial::tests::{BlackHole, know, refusing};

    /// Answers PONG to everything, and says how many connections there were.
    fn server() -> (u16, std::sync::mpsc::Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = tell.send(());
                std::thread::spawn(move || {
                    while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {
                        let _ = stream.write_all(b"+PONG\r\n");
                    }
                });
            }
        });
        (port, told)
    }

    fn link(host: &str, port: u16) -> Link {
        let address = Address::parse(&format!("redis://{host}:{port}")).unwrap();
        let target = Target {
            address,
            sentinel_login: None,
            tls: None,
            named: Mutex::default(),
            dialer: Default::default(),
        };
        Link::new(target, Duration::from_secs(5))
    }

    #[test]
    fn a_name_leads_to_the_address_that_answers_and_no_attempt_outlives_the_link() {
        let (port, connections) = server();
        let (hole, live) = (BlackHole::new(), SocketAddr::from(([127, 0, 0, 1], port)));
        know("several.test", port, &[hole.address, refusing(), live]);
        let link = link("several.test", port);
        link.ask(&[Command::new(&[b"PING"])], Duration::ZERO).unwrap();
        connections.recv().unwrap();
        let threads = link.target.dialer.threads();
        assert!(!threads.wait(Duration::ZERO));
        drop(hole);
        drop(link);
        assert!(threads.wait(Duration::ZERO));
    }

    #[test]
    fn a_name_none_of_whose_addresses_answers_says_how_many_were_tried() {
        let (hole, [one, other]) = (BlackHole::new(), [refusing(), refusing()]);
        for (host, addresses, told) in [
            ("refused.test", vec![one, other], "(nothing listens there) (2 addresses tried);"),
            ("silent.test", vec![hole.address, one], "(2 addresses tried: 1 refused, 1 silent);"),
        ] {
            know(host, 1, &addresses);
            let link = Link { limit: Duration::from_secs(1), ..link(host, 1) };
            let failure = link.ask(&[Command::new(&[b"PING"])], Duration::ZERO).unwrap_err();
            let error = link.error(failure).to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_connection_is_used_again_but_not_an_old_one_nor_a_parents() {
        let (port, connections) = server();
        let link = link("127.0.0.1", port);
        let opens = |prepare: &dyn Fn(&mut Kept)| {
            lock(&link.kept).iter_mut().for_each(prepare);
            link.ask(&[Command::new(&[b"PING"])], Duration::ZERO).unwrap();
            connections.try_iter().count()
        };
        assert_eq!(opens(&|_| {}), 1);
        assert_eq!(opens(&|_| {}), 0);
        assert_eq!(opens(&|kept| kept.used -= Duration::from_secs(25)), 0);
        assert_eq!(opens(&|kept| kept.used -= Duration::from_secs(31)), 1);
        assert_eq!(opens(&|kept| kept.connection.process += 1), 1);
        assert_eq!(opens(&|_| {}), 0);
        for _ in 0..5 {
            let deadline = Deadline::after(link.limit);
            link.ask_anew(&[Command::new(&[b"PING"])], deadline).unwrap();
        }
        assert_eq!(lock(&link.kept).len(), 4);
    }
}
