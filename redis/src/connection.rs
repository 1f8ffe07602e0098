//! One connection: opened, logged in, asked.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use log::{debug, warn};
use redis::{Parser, ServerError, Value};
use zeroize::{Zeroize, Zeroizing};

use crate::address::{Address, Host, Login, Place, is_word};
use crate::clock::Deadline;
use crate::dial::Dialer;
use crate::failure::{Failure, Refusal};
use crate::sync::lock;
use crate::tls;
use crate::wire::Timed;

/// An answer is an entry at most, and an entry 256 KiB.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// To connect, log in, and choose a database.
pub(crate) struct Target {
    pub(crate) address: Address,
    /// The Sentinels' own login.
    pub(crate) sentinel_login: Option<Login>,
    pub(crate) tls: Option<tls::Config>,
    /// The master that a Sentinel named last.
    pub(crate) named: Mutex<Option<Named>>,
    pub(crate) dialer: Dialer,
}

/// Where the master is, and which Sentinel says so.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) master: Host,
    pub(crate) sentinel: Host,
}

/// Of all log records.
pub(crate) const LOG_TARGET: &str = "paytoken";

pub(crate) struct Connection {
    stream: Stream,
    parser: Parser,
    /// A forked child has a copy of it, and must not use it.
    pub(crate) process: u32,
}

enum Stream {
    Plain(Timed),
    #[cfg(feature = "tls")]
    Encrypted(tls::Encrypted),
}

/// A command and its arguments, as Redis reads them; wiped on drop: it can hold a token.
pub(crate) struct Command(Zeroizing<Vec<u8>>);

impl Command {
    pub(crate) fn new(arguments: &[&[u8]]) -> Self {
        let mut copies: Vec<_> = arguments.iter().map(|argument| argument.to_vec()).collect();
        let packed = Zeroizing::new(redis::pack_command(&copies));
        copies.iter_mut().for_each(Zeroize::zeroize);
        Self(packed)
    }
}

impl Target {
    /// Logs where the master is, as a warning where that has changed: the new address gets the password
    /// and the tokens.
    fn tell(&self, name: &str, now: &Named) {
        let Named { master, sentinel } = now;
        match lock(&self.named).replace(now.clone()).map(|before| before.master) {
            Some(before) if before == *master => {}
            Some(before) => warn!(
                target: LOG_TARGET,
                "store: the master {name} is at {master} now, and was at {before}: the Sentinel at {sentinel} says so"
            ),
            None => debug!(
                target: LOG_TARGET,
                "store: the master {name} is at {master}: the Sentinel at {sentinel} says so"
            ),
        }
    }
}

impl Drop for Target {
    /// Nobody else waits for attempts to connect that came to nothing; each ends with the call's time.
    fn drop(&mut self) {
        self.dialer.wait(Duration::MAX);
    }
}

impl Connection {
    pub(crate) fn open(target: &Target, deadline: Deadline) -> Result<Self, Failure> {
        let address = &target.address;
        let mut connection = match &address.place {
            Place::Unix(path) => Self::plain(Timed::to_socket(path, deadline)?),
            Place::Tcp(host) => Self::to_host(host, target, deadline)?,
            Place::Sentinel(sentinels, master) => {
                let named = find_master(sentinels, master, target, deadline)?;
                target.tell(master, &named);
                Self::to_host(&named.master, target, deadline)?
            }
        };
        if let Some(login) = &address.login {
            connection.log_in(login, deadline)?;
        }
        if address.database != 0 {
            let number = address.database.to_string();
            connection.ask(&[Command::new(&[b"SELECT", number.as_bytes()])], deadline)?;
        }
        Ok(connection)
    }

    /// The other end's address, where it is on a network.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        match &self.stream {
            Stream::Plain(socket) => socket.peer(),
            #[cfg(feature = "tls")]
            Stream::Encrypted(stream) => stream.sock.peer(),
        }
    }

    fn to_host(host: &Host, target: &Target, deadline: Deadline) -> Result<Self, Failure> {
        let socket = Timed::to_host(host, &target.dialer, deadline)?;
        match &target.tls {
            None => Ok(Self::plain(socket)),
            #[cfg(feature = "tls")]
            Some(config) => {
                Ok(Self::of(Stream::Encrypted(tls::encrypted(config, &host.name, socket)?)))
            }
            #[cfg(not(feature = "tls"))]
            Some(never) => match *never {},
        }
    }

    fn plain(socket: Timed) -> Self {
        Self::of(Stream::Plain(socket))
    }

    fn of(stream: Stream) -> Self {
        Self { stream, parser: Parser::new(), process: std::process::id() }
    }

    fn log_in(&mut self, login: &Login, deadline: Deadline) -> Result<(), Failure> {
        let password = login.password.as_bytes();
        let command = match &login.user {
            Some(user) => Command::new(&[b"AUTH", user.as_bytes(), password]),
            None => Command::new(&[b"AUTH", password]),
        };
        self.ask(&[command], deadline).map(|_| ())
    }

    /// Sends the commands at once and reads an answer to each. The first error among them is the
    /// answer. After any failure but an error of Redis the connection is of no more use.
    pub(crate) fn ask(
        &mut self,
        commands: &[Command],
        deadline: Deadline,
    ) -> Result<Vec<Value>, Failure> {
        self.stream.set_deadline(deadline);
        if let Err(error) = self.send(commands) {
            // A server that refuses a client writes why and closes: its answer says more than our failure.
            return match self.answer() {
                Ok(Value::ServerError(error)) => Err(refusal(&error)),
                _ => Err(Failure::of_io(error)),
            };
        }
        let answers = commands.iter().map(|_| self.answer()).collect::<Result<Vec<_>, _>>()?;
        let error = answers.iter().find_map(|answer| match answer {
            Value::ServerError(error) => Some(refusal(error)),
            _ => None,
        });
        error.map_or(Ok(answers), Err)
    }

    fn send(&mut self, commands: &[Command]) -> io::Result<()> {
        for command in commands {
            self.stream.write_all(&command.0)?;
        }
        self.stream.flush()
    }

    fn answer(&mut self) -> Result<Value, Failure> {
        let mut limited = Limited { inner: &mut self.stream, left: LONGEST_ANSWER, failed: None };
        let answer = self.parser.parse_value(&mut limited);
        match (limited.failed, answer) {
            (Some(failure), _) => Err(failure),
            (None, Err(_)) => Err(Failure::Garbage),
            (None, Ok(answer)) => Ok(answer),
        }
    }
}

fn refusal(error: &ServerError) -> Failure {
    Failure::Refused(Refusal::of(error.code(), error.details().unwrap_or_default()))
}

/// The master's address, by the first Sentinel that knows it. Each has its share of the time.
fn find_master(
    sentinels: &[Host],
    master: &str,
    target: &Target,
    deadline: Deadline,
) -> Result<Named, Failure> {
    let question = || Command::new(&[b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", master.as_bytes()]);
    let ask = |sentinel: &Host, deadline: Deadline| {
        let mut connection = Connection::to_host(sentinel, target, deadline)?;
        if let Some(login) = &target.sentinel_login {
            connection.log_in(login, deadline)?;
        }
        match connection.ask(&[question()], deadline)?.pop() {
            Some(Value::Array(parts)) => master_of(&parts).ok_or(Failure::Garbage),
            _ => Err(Failure::NoMaster),
        }
    };
    let mut last = Failure::NoMaster;
    for (index, sentinel) in sentinels.iter().enumerate() {
        // The master has to be reached then, too.
        let shares = (sentinels.len() - index + 1) as u32;
        match ask(sentinel, Deadline::after(deadline.remaining() / shares)) {
            Ok(master) => return Ok(Named { master, sentinel: sentinel.clone() }),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

fn master_of(parts: &[Value]) -> Option<Host> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    };
    let [name, port] = parts else { return None };
    // It is shown.
    let name = text(name).filter(|name| is_word(name) || name.parse::<IpAddr>().is_ok())?;
    Some(Host { name, port: text(port)?.parse().ok()? })
}

impl Stream {
    fn set_deadline(&mut self, deadline: Deadline) {
        match self {
            Self::Plain(socket) => socket.deadline = deadline,
            #[cfg(feature = "tls")]
            Self::Encrypted(stream) => stream.sock.deadline = deadline,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            #[cfg(feature = "tls")]
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(buffer),
            #[cfg(feature = "tls")]
            Self::Encrypted(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            #[cfg(feature = "tls")]
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

/// Reads no more than an answer may have, and keeps what went wrong: the parser tells too little.
struct Limited<'a> {
    inner: &'a mut Stream,
    left: usize,
    failed: Option<Failure>,
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.left);
        if length == 0 {
            self.failed = Some(Failure::TooLong);
            return Err(io::ErrorKind::InvalidData.into());
        }
        match self.inner.read(&mut buffer[..length]) {
            Ok(0) => {
                let ended = io::Error::from(io::ErrorKind::UnexpectedEof);
                self.failed = Some(Failure::of_io(ended));
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Ok(count) => {
                self.left -= count;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(Failure::of_io(error));
                Err(kind.into())
            }
        }
    }
}
