//! A Redis server of one's own: on a Unix socket in a folder of its own, or on a free port, with
//! nothing kept on disk. It is ended, and its folder removed, on drop.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use paytoken_sandbox::Sandbox;
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{PATIENCE, nobody_listens, temporary_folder, until};

/// A Redis server, or one that speaks as it does.
pub struct Server {
    child: Child,
    /// Its own; its socket, `redis.sock`, is there.
    pub folder: PathBuf,
    program: String,
    arguments: Vec<String>,
    /// As a store is given it.
    pub url: String,
    /// Where it listens on one.
    pub port: Option<u16>,
    _temporary: TempDir,
}

impl Server {
    /// On a Unix socket.
    pub fn start(more: &[&str]) -> Self {
        Self::start_as("redis-server", more)
    }

    /// A program of another name, on a Unix socket.
    pub fn start_as(program: &str, more: &[&str]) -> Self {
        let folder = temporary_folder();
        let socket = folder.path().join("redis.sock").to_string_lossy().into_owned();
        let url = format!("redis+unix://{socket}");
        let mut arguments = vec!["--port".to_owned(), "0".to_owned()];
        arguments.extend(["--unixsocket".to_owned(), socket]);
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        Self::launch(program, folder, arguments, url, None).expect("it listens on its own socket")
    }

    /// On a free port: one that another takes first is another port's turn.
    pub fn start_on_port(more: &[&str]) -> Self {
        (0..10)
            .find_map(|_| {
                let port = nobody_listens().port();
                let mut arguments = vec!["--port".to_owned(), port.to_string()];
                arguments.extend(["--bind".to_owned(), "127.0.0.1".to_owned()]);
                arguments.extend(more.iter().map(|&word| word.to_owned()));
                let url = format!("redis://127.0.0.1:{port}");
                Self::launch("redis-server", temporary_folder(), arguments, url, Some(port))
            })
            .expect("one of ten ports is free")
    }

    /// By TLS on this port as well, with a certificate of the sandbox's authority for `localhost` and
    /// `127.0.0.1`; clients have to show one of the same authority.
    pub fn start_by_tls(sandbox: &Sandbox) -> (Self, u16) {
        let folder = temporary_folder();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let certificate = sandbox.authority().sign(params.unwrap(), &KeyPair::generate().unwrap());
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.to_string_lossy().into_owned()
        };
        let port = nobody_listens().port();
        let server = Self::start_on_port(&[
            "--bind",
            "127.0.0.1",
            "127.0.0.2",
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &file("cert.pem", &certificate.certificate_pem),
            "--tls-key-file",
            &file("key.pem", &certificate.key_pem),
            "--tls-ca-cert-file",
            &file("ca.pem", sandbox.ca_pem()),
        ]);
        (server, port)
    }

    /// A replica of this one, which has to have a port; it has said that it has all.
    pub fn start_replica(&self) -> Self {
        let port = self.port.unwrap().to_string();
        let replica = Self::start_on_port(&["--replicaof", "127.0.0.1", &port]);
        // "online" alone is said of one that is still loading, and that confirms nothing.
        self.ask(&["PUBLISH", "nobody", "listens"]);
        until("the replica has all", || {
            let information = self.text(&["INFO", "replication"]);
            let of = |name: &str| {
                let rest = information.split_once(name)?.1;
                rest.split([',', '\r']).next()?.parse::<u64>().ok()
            };
            information.contains("state=online") && of(",offset=") == of("master_repl_offset:")
        });
        replica
    }

    /// A Sentinel on a free port, with a copy of these settings, which it changes.
    pub fn start_sentinel(settings: &Path) -> Self {
        (0..10)
            .find_map(|_| {
                let (port, folder) = (nobody_listens().port(), temporary_folder());
                let own = folder.path().join("sentinel.conf");
                let text = fs::read_to_string(settings).unwrap();
                let dir = folder.path().display();
                fs::write(&own, format!("port {port}\nbind 127.0.0.1\ndir {dir}\n{text}")).unwrap();
                let arguments = vec![own.to_string_lossy().into_owned(), "--sentinel".to_owned()];
                let url = format!("redis://127.0.0.1:{port}");
                Self::launch("redis-server", folder, arguments, url, Some(port))
            })
            .expect("one of ten ports is free")
    }

    fn launch(
        program: &str,
        temporary: TempDir,
        arguments: Vec<String>,
        url: String,
        port: Option<u16>,
    ) -> Option<Self> {
        let (folder, program) = (temporary.path().to_owned(), program.to_owned());
        let child = spawn(&program, &folder, &arguments);
        let mut server =
            Self { child, folder, program, arguments, url, port, _temporary: temporary };
        server.has_come_up().then_some(server)
    }

    fn has_come_up(&mut self) -> bool {
        let mut listens = false;
        until("redis-server comes up", || {
            listens = self.listens();
            listens || self.child.try_wait().unwrap().is_some()
        });
        listens
    }

    fn listens(&self) -> bool {
        // By its own answer: the port could be another's by now.
        match self.try_ask(&["CONFIG", "GET", "dir"]) {
            Ok(redis::Value::Array(words)) => {
                let folder =
                    redis::Value::BulkString(self.folder.to_string_lossy().as_bytes().to_vec());
                words.contains(&folder)
            }
            // Sentinel has no such command, and others ask for a password.
            Ok(_) => false,
            Err(error) => error.code().is_some(),
        }
    }

    /// Killed, as by a power cut.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// After [`kill`](Self::kill): with nothing in it.
    pub fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// As [`start_again`](Self::start_again), with more arguments.
    pub fn start_again_with(&mut self, more: &[&str]) {
        let mut arguments = self.arguments.clone();
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        self.child = spawn(&self.program, &self.folder, &arguments);
        assert!(self.has_come_up());
    }

    /// It listens, and answers nothing.
    pub fn pause(&self) {
        stop(&self.child);
    }

    /// After [`pause`](Self::pause).
    pub fn resume(&self) {
        signal(&self.child, Signal::CONT);
    }

    /// What it answers to a command.
    pub fn try_ask(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url.as_str())?;
        let mut connection = client.get_connection_with_timeout(PATIENCE)?;
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| _ = command.arg(word));
        command.query(&mut connection)
    }

    /// What it answers to a command that is no error.
    pub fn ask(&self, words: &[&str]) -> redis::Value {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same as text.
    pub fn text(&self, words: &[&str]) -> String {
        redis::from_redis_value(self.ask(words)).unwrap()
    }

    /// How often each command was called, those in scripts too, since this was last set to zero.
    pub fn calls(&self) -> Vec<(String, u64)> {
        let text = self.text(&["INFO", "commandstats"]);
        let line = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A master, a replica, and a Sentinel that makes the one of the other.
pub struct Trio {
    /// The first one.
    pub master: Server,
    /// Of the first, and a master after its death.
    pub replica: Server,
    /// Takes half a second without an answer for a death.
    pub sentinel: Server,
}

impl Trio {
    /// Once the Sentinel knows the replica.
    pub fn start() -> Self {
        let master = Server::start_on_port(&[]);
        let port = master.port.unwrap().to_string();
        let replica = master.start_replica();
        let folder = temporary_folder();
        let settings = folder.path().join("sentinel.conf");
        fs::write(
            &settings,
            format!(
                "sentinel monitor main 127.0.0.1 {port} 1\n\
                 sentinel down-after-milliseconds main 500\n\
                 sentinel failover-timeout main 3000\n"
            ),
        )
        .unwrap();
        let sentinel = Server::start_sentinel(&settings);
        until("Sentinel knows the replica", || {
            format!("{:?}", sentinel.ask(&["SENTINEL", "REPLICAS", "main"]))
                .contains(&replica.port.unwrap().to_string())
        });
        Self { master, replica, sentinel }
    }

    /// As a store is given it.
    pub fn url(&self) -> String {
        // The first of them does not answer.
        let (nobody, port) = (nobody_listens().port(), self.sentinel.port.unwrap());
        format!("redis+sentinel://127.0.0.1:{nobody},127.0.0.1:{port}/main")
    }

    /// Waits for the fail-over.
    pub fn until_the_replica_is_master(&self) {
        let port = self.replica.port.unwrap().to_string();
        let address = redis::Value::Array(
            ["127.0.0.1", &port].map(|part| redis::Value::BulkString(part.into())).to_vec(),
        );
        until("the replica is made the master", || {
            self.sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]) == address
        });
    }
}

fn spawn(program: &str, folder: &Path, arguments: &[String]) -> Child {
    let mut command = Command::new(program);
    if let [first, ..] = arguments
        && first.ends_with(".conf")
    {
        command.args(arguments);
    } else {
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(folder).args(arguments);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Sends a signal to a child.
pub fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id() as i32).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Stops a child, and waits until each of its threads stands still: the signal alone leaves those that run
/// on another processor a moment, in which they may answer.
pub fn stop(child: &Child) {
    signal(child, Signal::STOP);
    until("all of its threads stand still", || {
        let threads = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        threads.map(|thread| thread.unwrap().path().join("stat")).all(|stat| {
            let stat = fs::read_to_string(stat).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|after| after.starts_with('T'))
        })
    });
}
