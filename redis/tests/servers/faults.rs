//! A Redis that is away, refuses or talks nonsense: what is in memory goes on being served, nothing
//! is fetched without the lock where a new token ends the old, no call takes longer than the page
//! says, no message holds the password, and all is well once Redis is.

use std::fs;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken::ErrorKind;
use paytoken::store::Store as _;
use paytoken_redis::RedisStore;
use paytoken_sandbox::Sandbox;
use paytoken_testing::redis::Server;
use paytoken_testing::{builder, nobody_listens, until};

use crate::conformance::key;
use crate::proxy::Mode;
use crate::scene::{LIMIT, SLACK, Scene, make_user, store};
use crate::support::{SEND, logged};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_redis_that_was_stopped", stopped),
        trial("a_redis_that_stands_still", standing_still),
        trial("a_redis_that_was_restarted_empty", restarted_empty),
        trial("a_user_who_may_do_nothing", denied),
        trial("a_user_who_may_only_read", may_only_read),
        trial("a_password_that_was_changed", another_password),
        trial("a_read_only_replica", read_only_replica),
        trial("a_redis_out_of_memory", out_of_memory),
        trial("a_redis_that_is_loading", loading),
        trial("a_redis_busy_with_a_script", busy),
        trial("a_redis_that_cannot_save", cannot_save),
        trial("a_redis_with_all_its_clients", too_many_clients),
        trial("a_replica_that_lost_its_master", lost_master),
        trial("a_proxy_that_talks_nonsense", nonsense),
        trial("a_password_that_is_wrong_from_the_start_or_not_expected", wrong_from_the_start),
        trial("an_address_where_nothing_is", nothing_there),
    ]
}

fn stopped() {
    let mut scene = Scene::on_socket(&[]);
    scene.server.kill();
    scene.assert_served();
    scene.assert_others_fail();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("check that it runs", true);
    scene.server.start_again();
    make_user(&scene.server);
    scene.assert_well();
    let told = logged(&scene.server.folder.to_string_lossy());
    let at = |level: &str, words: &str| {
        told.iter().position(|line| line.starts_with(level) && line.contains(words))
    };
    let fails = at("WARN ", "tokens in memory are not compared with it");
    let answers = at("INFO ", "answers again");
    assert!(fails.is_some() && fails < answers, "{told:#?}");
}

fn standing_still() {
    let scene = Scene::on_socket(&[]);
    scene.server.pause();
    assert_one_waits_for_all(&scene);
    scene.assert_served();
    scene.assert_others_fail();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("did not answer within 400ms", true);
    scene.server.resume();
    scene.assert_well();
}

/// Who looks while another's look is not answered does not wait.
fn assert_one_waits_for_all(scene: &Scene) {
    let whole = Duration::from_secs(5);
    let store = RedisStore::builder(&scene.url).timeout(whole).build().unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let asked = Instant::now();
            store.stamp(&key()).unwrap_err();
            asked.elapsed()
        });
        // Those who look before it has begun, or has waited for a tenth of a second, wait with it.
        let mut waiting = Vec::new();
        until("one looks and does not wait, beside the first that does", || {
            let another = scope.spawn(|| store.stamp(&key()).unwrap_err());
            let began = Instant::now();
            while !another.is_finished() && began.elapsed() < whole / 12 {
                std::thread::yield_now();
            }
            let goes_on = another.is_finished() && !first.is_finished();
            waiting.push(another);
            assert!(waiting.len() < 8, "each look waits");
            goes_on
        });
        assert!(first.join().unwrap() >= whole * 9 / 10);
    });
}

fn restarted_empty() {
    let mut scene = Scene::on_socket(&[]);
    // With a connection that has ended when it is used again, as theirs have.
    let stores = [store(&scene.url), store(&scene.url)];
    stores.iter().for_each(|store| _ = store.read(&key()).unwrap());
    scene.server.kill();
    scene.server.start_again();
    make_user(&scene.server);
    stores[0].read(&key()).expect("it connects anew");
    let lock = stores[1].lock(&key(), Duration::ZERO, LIMIT).expect("it connects anew");
    drop(lock.expect("it is free"));
    let requests = scene.requests();
    scene.assert_served();
    assert_eq!(scene.requests(), requests);
    // Send's ends, and is fetched anew.
    scene.clock.advance(Duration::from_secs(285));
    scene.assert_well();
}

fn denied() {
    let scene = Scene::on_socket(&[]);
    scene.server.ask(&["ACL", "SETUSER", "paytoken", "-@all"]);
    scene.assert_served();
    scene.assert_others_fail();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("does not allow this user what is needed", false);
    make_user(&scene.server);
    scene.assert_well();
}

fn may_only_read() {
    let scene = Scene::on_socket(&[]);
    scene.server.ask(&["ACL", "SETUSER", "paytoken", "-set", "-hset"]);
    scene.assert_served();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("does not allow this user what is needed", false);
    make_user(&scene.server);
    scene.assert_well();
}

fn another_password() {
    let scene = Scene::on_socket(&[]);
    // Who is logged in stays so, until the connection is cut.
    scene.server.ask(&["ACL", "SETUSER", "paytoken", "resetpass", ">hunter3"]);
    scene.server.ask(&["CLIENT", "KILL", "USER", "paytoken"]);
    scene.assert_served();
    scene.assert_others_fail();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("does not know this user with this password", false);
    make_user(&scene.server);
    scene.assert_well();
}

fn read_only_replica() {
    let scene = Scene::on_socket(&[]);
    scene.server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    scene.assert_served();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("is a replica, which cannot be written", true);
    scene.server.ask(&["REPLICAOF", "NO", "ONE"]);
    scene.assert_well();
}

fn out_of_memory() {
    let scene = Scene::on_socket(&[]);
    scene.server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    scene.assert_served();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("has no memory left", false);
    scene.server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    scene.assert_well();
}

fn loading() {
    let mut scene = Scene::on_socket(&[]);
    let folder = scene.server.folder.clone();
    let fill = "for i = 1, 20000 do redis.call('SET', 'filler:' .. i, i) end";
    scene.server.ask(&["EVAL", fill, "0"]);
    scene.server.ask(&["SAVE"]);
    assert!(folder.join("dump.rdb").exists());
    scene.server.kill();
    // A millisecond for each of its keys.
    scene.server.start_again_with(&[
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
        "--user",
        "paytoken",
        "on",
        ">hunter2",
        "~*",
        "+@all",
    ]);
    scene.assert_served();
    scene.assert_others_fail();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("is still loading its data", true);
    fs::remove_file(folder.join("dump.rdb")).unwrap();
    scene.server.kill();
    scene.server.start_again();
    make_user(&scene.server);
    scene.assert_well();
}

fn busy() {
    let scene = Scene::on_socket(&["--busy-reply-threshold", "1"]);
    let url = scene.server.url.clone();
    let script = std::thread::spawn(move || {
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        redis::cmd("EVAL").arg("while true do end").arg(0).exec(&mut connection)
    });
    until(
        "the script runs",
        || matches!(scene.server.try_ask(&["PING"]), Err(error) if error.code() == Some("BUSY")),
    );
    scene.assert_served();
    scene.assert_others_fail();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("is busy with another client's script", true);
    scene.server.ask(&["SCRIPT", "KILL"]);
    assert!(script.join().unwrap().is_err());
    scene.assert_well();
}

fn cannot_save() {
    let scene = Scene::on_socket(&["--enable-protected-configs", "yes"]);
    // A folder in the place of its temporary file's.
    scene.server.ask(&["CONFIG", "SET", "save", "3600 1"]);
    scene.server.ask(&["CONFIG", "SET", "dbfilename", "nothing.rdb"]);
    fs::create_dir(scene.server.folder.join("nothing.rdb")).unwrap();
    fs::write(scene.server.folder.join("nothing.rdb/file"), "in the way").unwrap();
    scene.server.ask(&["BGSAVE"]);
    until("it cannot save", || {
        scene.server.text(&["INFO", "persistence"]).contains("rdb_last_bgsave_status:err")
    });
    scene.assert_served();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("refuses writes because it cannot save its data", false);
    scene.server.ask(&["CONFIG", "SET", "save", ""]);
    scene.assert_well();
}

fn too_many_clients() {
    let scene = Scene::on_socket(&[]);
    let client = redis::Client::open(scene.server.url.as_str()).unwrap();
    let mut admin = client.get_connection().unwrap();
    let mut ask = |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| _ = command.arg(word));
        command.query::<redis::Value>(&mut admin).unwrap()
    };
    ask(&["CONFIG", "SET", "maxclients", "1"]);
    ask(&["CLIENT", "KILL", "USER", "paytoken"]);
    scene.assert_served();
    scene.assert_others_fail();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("has as many clients as it takes", true);
    ask(&["CONFIG", "SET", "maxclients", "1000"]);
    scene.assert_well();
}

fn lost_master() {
    let scene = Scene::on_socket(&["--replica-serve-stale-data", "no"]);
    scene.server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    scene.assert_served();
    scene.assert_others_fail();
    scene.assert_send_is_not_fetched_without_the_lock();
    scene.assert_said("is a replica", true);
    scene.server.ask(&["REPLICAOF", "NO", "ONE"]);
    scene.assert_well();
}

fn nonsense() {
    let says = |text: &str| Mode::Says(text.as_bytes().to_vec());
    for mode in [
        Mode::Echo,
        Mode::Drip,
        Mode::Endless,
        Mode::Silent,
        Mode::Closes,
        says("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        says("+OK\r\n"),
        says(":1\r\n"),
        says(":0\r\n"),
        says("$-1\r\n"),
        says("$0\r\n\r\n"),
        says("$5\r\nhello\r\n"),
        says("$99999999999999999999999\r\n"),
        says("*-7\r\n"),
        says("*9223372036854775807\r\n"),
        says("*1000000000\r\n"),
        says(&"*1\r\n".repeat(100_000)),
        says("%9223372036854775807\r\n"),
        says("|4611686018427387903\r\n"),
        says("~1000000000000\r\n"),
        says(">1000000000000\r\n"),
        says("(12345678901234567890\r\n"),
        says("=5\r\nxx"),
        says("-\r\n"),
        says("- \r\n"),
        says("-NOAUTH\r\n"),
        says("\r\n\r\n\r\n"),
        Mode::Says(vec![0xff; 5_000]),
        Mode::Says((0..=255).cycle().take(100_000).collect()),
    ] {
        let scene = Scene::behind_proxy();
        scene.proxy().turn(mode.clone());
        let is_served = std::panic::AssertUnwindSafe(|| {
            scene.assert_served();
            scene.assert_send_is_not_fetched();
        });
        if std::panic::catch_unwind(is_served).is_err() {
            panic!("a proxy that {}", &format!("{mode:?}").chars().take(80).collect::<String>());
        }
        scene.proxy().turn(Mode::Forward);
        scene.assert_well();
    }
}

fn wrong_from_the_start() {
    let server = Server::start(&[]);
    make_user(&server);
    let sandbox = Sandbox::start().unwrap();
    for (settings, says) in [
        ("?user=paytoken&pass=hunter2x", "does not know this user with this password"),
        ("?user=nobody&pass=hunter2", "does not know this user with this password"),
        ("?pass=hunter2", "expects no password of its default user"),
        ("?db=99", "has no database of this number"),
    ] {
        let store = store(&format!("{}{settings}", server.url));
        assert!(!format!("{store:?}").contains("hunter2"));
        let error = builder(&sandbox, SEND).store(store).build().unwrap().token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.to_string().contains(says), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        assert_eq!(error.retry_after(), None, "{error}");
    }
    server.ask(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let error = builder(&sandbox, SEND).store(store(&server.url)).build().unwrap().token();
    let error = error.unwrap_err();
    assert!(error.to_string().contains("asks for a password"), "{error}");
    assert_eq!(sandbox.token_requests(SEND), 0);
}

fn nothing_there() {
    let sandbox = Sandbox::start().unwrap();
    let port = nobody_listens().port();
    for (url, says, may_be_over_soon) in [
        (format!("redis://127.0.0.1:{port}"), "nothing listens there", Some(true)),
        (format!("redis://[::1]:{port}"), "cannot be reached", None),
        ("redis://no-such-host.invalid".to_owned(), "was not found", None),
        ("unix:///no/such.sock".to_owned(), "no such socket", Some(true)),
        (format!("unix:///{}", "long/".repeat(50)), "cannot be reached", Some(false)),
        // Addresses that nobody answers at: the system may say so, or say nothing.
        ("redis://192.0.2.1".to_owned(), "", Some(true)),
        (
            format!("redis+sentinel://127.0.0.1:{port},127.0.0.1:{port}/main"),
            "cannot be reached",
            Some(true),
        ),
    ] {
        let asked = Instant::now();
        let error = builder(&sandbox, SEND).store(store(&url)).build().unwrap().token();
        let error = error.unwrap_err();
        assert!(asked.elapsed() < LIMIT + SLACK, "{url}: {:?}", asked.elapsed());
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        assert!(error.to_string().contains(says), "{url}: {error}");
        let is_asked_again = error.retry_after().is_some();
        assert_eq!(is_asked_again, may_be_over_soon.unwrap_or(is_asked_again), "{url}: {error}");
    }
    assert_eq!(sandbox.token_requests(SEND), 0);
}
