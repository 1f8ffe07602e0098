//! The figures of `docs/redis.md`: `cargo run --release -p paytoken-redis --example measure`.
//! Needs redis-server. A cached call beside one without a store; what a command takes; and a thousand
//! machines with ten thousand accounts, played by the real store over a thousand connections.

#![allow(clippy::print_stdout, clippy::unwrap_used)]
#![allow(clippy::disallowed_methods)] // it is an example

use std::thread;
use std::time::{Duration, Instant};

use paytoken::store::{Account, Store, StoreKey};
use paytoken::{Credentials, Environment, Provider, Secret, TokenSource};
use paytoken_redis::RedisStore;
use paytoken_testing::redis::Server;

const MACHINES: usize = 1_000;
const ACCOUNTS: usize = 10_000;
const ACCOUNTS_OF_A_MACHINE: usize = 10;
const LOAD: Duration = Duration::from_secs(10);
const DRIVERS: usize = 8;

fn main() {
    let redis = Server::start(&[]);
    cached_calls(&redis);
    commands(&redis);
    fleet(&redis);
}

fn source(store: Option<RedisStore>) -> TokenSource {
    let credentials =
        Credentials::new(Provider::SendPayments, "merchant", "not-real", None).unwrap();
    let builder = TokenSource::builder(credentials, Environment::Sandbox)
        .base_url("https://send.example")
        .fetch_with(|| Ok((Secret::new("token"), Duration::from_secs(300))));
    match store {
        Some(store) => builder.store(store).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

/// In turns, so that both meet the machine in the same moods.
fn cached_calls(redis: &Server) {
    const TURNS: usize = 10;
    let sources = [source(None), source(Some(RedisStore::open(&redis.url).unwrap()))];
    sources.iter().for_each(|source| _ = source.token().unwrap());
    let mut times = [const { Vec::new() }; 2];
    let mut longest = [Duration::ZERO; 2];
    for _ in 0..TURNS {
        for (index, source) in sources.iter().enumerate() {
            let (began, mut calls) = (Instant::now(), 0u32);
            let mut last = began;
            while last - began < Duration::from_millis(1_200) {
                for _ in 0..100 {
                    source.token().unwrap();
                }
                calls += 100;
                let now = Instant::now();
                longest[index] = longest[index].max(now - last);
                last = now;
            }
            times[index].push((last - began).as_nanos() as f64 / f64::from(calls));
        }
    }
    let [without, with] = times.map(|mut turns| {
        turns.sort_by(f64::total_cmp);
        turns[TURNS / 2]
    });
    println!(
        "a cached call: {without:.1} ns without a store, {with:.1} ns with Redis, {:.2} times; longest 100 calls {:?} and {:?}",
        with / without,
        longest[0],
        longest[1]
    );
}

fn key(number: usize) -> StoreKey {
    let id = format!("merchant-{number}");
    let credentials = Credentials::new(Provider::SendPayments, id, "not-real", None).unwrap();
    let url = Some("https://send.example");
    Account::new(&credentials, Environment::Sandbox, url).unwrap().key().clone()
}

fn commands(redis: &Server) {
    let (store, key) = (RedisStore::open(&redis.url).unwrap(), key(0));
    let median = |run: &dyn Fn()| {
        let mut times: Vec<Duration> = (0..2_000)
            .map(|_| {
                let began = Instant::now();
                run();
                began.elapsed()
            })
            .collect();
        times.sort();
        times[times.len() / 2]
    };
    let hold = Duration::from_secs(20);
    println!("stamp {:?}", median(&|| _ = store.stamp(&key).unwrap()));
    println!("read {:?}", median(&|| _ = store.read(&key).unwrap()));
    let lock = || drop(store.lock(&key, Duration::ZERO, hold).unwrap().unwrap());
    println!("lock and unlock {:?}", median(&lock));
}

fn number(redis: &Server, section: &str, name: &str) -> f64 {
    let text = redis.text(&["INFO", section]);
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
    line.trim().parse().unwrap()
}

fn fleet(redis: &Server) {
    let before = number(redis, "memory", "used_memory");
    let writer = RedisStore::open(&redis.url).unwrap();
    // As long as an entry with a token of 600 characters and a few revoked ones.
    let entry = [b'x'; 1_200];
    let keys: Vec<StoreKey> = (0..ACCOUNTS).map(key).collect();
    for key in &keys {
        let hold = Duration::from_secs(20);
        let mut guard = writer.lock(key, Duration::ZERO, hold).unwrap().unwrap();
        guard.write(&entry, Duration::from_secs(3600)).unwrap();
    }
    let memory = (number(redis, "memory", "used_memory") - before) / ACCOUNTS as f64;
    println!("{ACCOUNTS} accounts, entries of {} bytes: {memory:.0} bytes each", entry.len());

    let machines: Vec<RedisStore> =
        (0..MACHINES).map(|_| RedisStore::open(&redis.url).unwrap()).collect();
    machines.iter().for_each(|machine| _ = machine.stamp(&keys[0]).unwrap());
    let cpu = || number(redis, "cpu", "used_cpu_user") + number(redis, "cpu", "used_cpu_sys");
    let (cpu_before, began) = (cpu(), Instant::now());
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let share = MACHINES / DRIVERS;
        let drivers: Vec<_> = machines
            .chunks(share)
            .enumerate()
            .map(|(driver, machines)| {
                let keys = &keys;
                scope.spawn(move || drive(machines, keys, driver * share, began))
            })
            .collect();
        drivers.into_iter().flat_map(|driver| driver.join().unwrap()).collect()
    });
    let took = began.elapsed().as_secs_f64();
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!(
        "{MACHINES} machines, {ACCOUNTS_OF_A_MACHINE} accounts each, one look a second and account: {:.0} commands a second, median {:?}, 99 % within {:?}, longest {:?}; Redis used {:.0} % of a core",
        times.len() as f64 / took,
        at(0.5),
        at(0.99),
        at(1.0),
        (cpu() - cpu_before) / took * 100.0
    );
    let clients = number(redis, "clients", "connected_clients");
    println!(
        "{clients} connections; memory now {:.1} MiB",
        number(redis, "memory", "used_memory") / 1048576.0
    );
}

/// Each machine looks at each of its accounts once a second, one after the other.
fn drive(
    machines: &[RedisStore],
    keys: &[StoreKey],
    first: usize,
    began: Instant,
) -> Vec<Duration> {
    let mut times = Vec::new();
    let looks = machines.len() * ACCOUNTS_OF_A_MACHINE;
    for look in 0.. {
        let due = began + Duration::from_secs(1) * look as u32 / looks as u32;
        let now = Instant::now();
        if due - began >= LOAD {
            return times;
        }
        // The pace of a load that does not wait for answers.
        thread::sleep(due.saturating_duration_since(now));
        let machine = look % machines.len();
        let account = (first + machine) * ACCOUNTS_OF_A_MACHINE
            + look / machines.len() % ACCOUNTS_OF_A_MACHINE;
        let asked = Instant::now();
        machines[machine].stamp(&keys[account % keys.len()]).unwrap();
        times.push(asked.elapsed());
    }
    times
}
