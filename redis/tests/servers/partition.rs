//! A machine that is cut off from Redis, by a real network: Redis in a network namespace of its own,
//! with a link for each of two machines. It all ends with the process that made the namespaces.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken::{ErrorKind, TokenSource};
use paytoken_redis::RedisStore;
use paytoken_sandbox::Sandbox;
use paytoken_testing::{PATIENCE, builder, has_tool, say, until};

use crate::support::{SEND, settle};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("a_machine_that_is_cut_off_from_redis_fetches_nothing_and_comes_back", cut_off)]
}

/// Runs itself once more, where it may make networks.
fn cut_off() {
    if !["ip", "unshare", "nsenter"].into_iter().all(has_tool) {
        return;
    }
    let unshared = |program: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "--"]).arg(program);
        command
    };
    if !unshared("true").stderr(Stdio::null()).status().unwrap().success() {
        say("not run: a machine that is cut off; network namespaces are not allowed here");
        return;
    }
    let own = std::env::current_exe().unwrap();
    let output = unshared(&own.to_string_lossy()).arg("cut-off").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// LIMIT of the store's calls.
const LIMIT: Duration = Duration::from_millis(500);

/// For some of them, on a busy machine. A source's own time-out is ten seconds.
const SOME_LIMITS: Duration = Duration::from_secs(8);

struct Network {
    redis: Child,
}

impl Network {
    fn new() -> Self {
        ip("link set lo up");
        let redis = Command::new("unshare")
            .args(["--net", "--", "redis-server", "--save", "", "--protected-mode", "no"])
            .args(["--bind", "0.0.0.0", "--dir", "/tmp"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = redis.id();
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        until("Redis has a namespace of its own", || {
            std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|other| other != own)
        });
        for machine in [1, 2] {
            ip(&format!("link add to{machine} type veth peer name from{machine} netns {pid}"));
            ip(&format!("addr add 10.77.{machine}.1/24 dev to{machine}"));
            ip(&format!("link set to{machine} up"));
            inside(pid, &format!("addr add 10.77.{machine}.2/24 dev from{machine}"));
            inside(pid, &format!("link set from{machine} up"));
        }
        let network = Self { redis };
        until("Redis answers", || ask(&["PING"]).is_ok());
        network
    }

    /// Nothing comes through, and nobody is told.
    fn cut(&self) {
        inside(self.redis.id(), "link set from2 down");
    }

    fn mend(&self) {
        inside(self.redis.id(), "link set from2 up");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.redis.kill();
        let _ = self.redis.wait();
    }
}

fn ip(words: &str) {
    assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
}

fn inside(pid: u32, words: &str) {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &pid.to_string(), "--", "ip"]).args(words.split(' '));
    assert!(command.status().unwrap().success(), "ip {words}");
}

/// By the link that stays.
fn ask(words: &[&str]) -> redis::RedisResult<redis::Value> {
    let client = redis::Client::open("redis://10.77.1.2")?;
    let mut connection = client.get_connection_with_timeout(PATIENCE)?;
    let mut command = redis::cmd(words[0]);
    words[1..].iter().for_each(|word| _ = command.arg(word));
    command.query(&mut connection)
}

/// In the namespace.
pub(crate) fn run() {
    let (network, sandbox) = (Network::new(), Sandbox::start().unwrap());
    let sources = [1, 2].map(|machine| {
        let url = format!("redis://10.77.{machine}.2");
        let store = RedisStore::builder(&url).timeout(LIMIT).build().unwrap();
        builder(&sandbox, SEND).store(store).timeout(Duration::from_secs(10)).build().unwrap()
    });
    sandbox.set_lifetime(SEND, Duration::from_secs(5));
    goes_on_until_its_token_ends(&network, &sandbox, &sources);
    sandbox.set_lifetime(SEND, Duration::from_secs(300));
    is_cut_off_with_the_lock(&network, &sandbox, &sources);
}

fn goes_on_until_its_token_ends(network: &Network, sandbox: &Sandbox, sources: &[TokenSource; 2]) {
    let tokens = [0, 1].map(|index: usize| sources[index].token().unwrap());
    assert_eq!(tokens[0].secret(), tokens[1].secret());
    network.cut();
    let mut longest = Duration::ZERO;
    let error = loop {
        let asked = Instant::now();
        let answer = sources[1].token();
        longest = longest.max(asked.elapsed());
        match answer {
            Ok(token) => assert_eq!(token.secret(), tokens[1].secret()),
            Err(error) => break error,
        }
        // As a program that makes a hundred calls a second.
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    assert!(tokens[1].remaining() < Duration::from_secs(1), "it failed before its token had ended");
    assert!(longest < SOME_LIMITS, "{longest:?}");
    let newer = sources[0].token().unwrap();
    assert_ne!(newer.secret(), tokens[0].secret());
    assert_eq!(sources[1].token().unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(sandbox.token_requests(SEND), 2, "who was cut off has fetched");
    network.mend();
    until("it is back", || sources[1].token().is_ok());
    settle(sandbox, sources);
    assert_eq!(sandbox.counts(SEND).max_concurrent_token_requests, 1);
}

fn is_cut_off_with_the_lock(network: &Network, sandbox: &Sandbox, sources: &[TokenSource; 2]) {
    let requests = || sandbox.token_requests(SEND);
    let (before, hold) = (requests(), sandbox.hold(SEND));
    std::thread::scope(|scope| {
        let cut_off = scope.spawn(|| sources[1].refresh());
        until("its request is there", || requests() == before + 1);
        network.cut();
        ask(&["CONFIG", "RESETSTAT"]).unwrap();
        let follower = scope.spawn(|| sources[0].refresh());
        // Its lease keeps the other out, as long as it lasts; 15 s are too long for a test.
        until("the other has asked for the lock twenty times", || {
            let stats: String =
                redis::from_redis_value(ask(&["INFO", "commandstats"]).unwrap()).unwrap();
            let calls =
                stats.split("cmdstat_eval:calls=").nth(1).and_then(|rest| rest.split(',').next());
            calls.is_some_and(|calls| calls.parse::<u64>().unwrap() >= 20)
        });
        assert_eq!(requests(), before + 1);
        let Ok(redis::Value::Array(keys)) = ask(&["KEYS", "*:lock"]) else { panic!() };
        let [redis::Value::BulkString(lock)] = &keys[..] else { panic!("{keys:?}") };
        ask(&["PEXPIRE", std::str::from_utf8(lock).unwrap(), "500"]).unwrap();
        until("the other asks when the lease is over", || requests() == before + 2);
        drop(hold);
        let asked = Instant::now();
        assert!(cut_off.join().unwrap().is_ok(), "what it has fetched is a token");
        assert!(asked.elapsed() < SOME_LIMITS, "{:?}", asked.elapsed());
        follower.join().unwrap().unwrap();
    });
    network.mend();
    settle(sandbox, sources);
    assert!(requests() <= before + 3, "{}", requests() - before);
    assert!(sandbox.counts(SEND).max_concurrent_token_requests <= 2);
}
