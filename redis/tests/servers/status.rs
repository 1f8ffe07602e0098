//! What a server says of itself: for each right that a user has, and from whatever answers.

use libtest_mimic::Trial;
use paytoken::ErrorKind;
use paytoken_redis::ServerStatus;
use paytoken_testing::redis::Server;
use paytoken_testing::until;

use crate::conformance::make_page_user;
use crate::scene::store;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_server_tells_what_it_is_to_a_user_with_the_pages_rights", by_rights),
        trial("a_server_that_may_not_be_asked_is_well_all_the_same", renamed),
        trial("a_replica_and_its_master_say_so", replica),
        trial("a_server_that_does_not_serve_has_no_status", refused),
    ]
}

fn by_rights() {
    let server = Server::start(&[]);
    make_page_user(&server, "p");
    let store = store(&format!("{}?user=paytoken&pass=p&db=1", server.url));
    let told = |right: &str| -> ServerStatus {
        server.ask(&["ACL", "SETUSER", "paytoken", right]);
        store.server().unwrap()
    };
    let status = told("+get");
    let information = server.text(&["INFO", "server"]);
    let version = status.version.unwrap();
    assert!(information.contains(&format!("redis_version:{version}\r")), "{version}");
    assert_eq!(status.product.as_deref(), Some("redis"));
    assert_eq!((status.is_replica, status.is_cluster), (Some(false), Some(false)));
    assert_eq!((status.replicas, status.eviction), (Some(0), None));
    assert!(status.is_local && !status.is_encrypted);
    assert!(!status.latency.is_zero() && !status.connecting.is_zero());
    // One right more, and one less.
    assert_eq!(told("+info").eviction.as_deref(), Some("noeviction"));
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    assert_eq!(told("+info").eviction.as_deref(), Some("volatile-ttl"));
    let status = told("-wait");
    assert_eq!((status.replicas, status.is_replica), (None, Some(false)));
    assert!(status.refusal.is_none());
    for right in ["set", "get", "hset", "pexpire", "del"] {
        let refusal = told(&format!("-{right}")).refusal.unwrap();
        assert!(refusal.to_string().contains("docs/redis.md"), "{right}: {refusal}");
        told(&format!("+{right}"));
    }
    told("-del");
    assert!(told("+del").refusal.is_none());
    server.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let refusal = told("+del").refusal.unwrap();
    assert!(refusal.to_string().contains("has fewer replicas than it needs"), "{refusal}");
    // Nothing was changed, and the store goes on with its own connections.
    assert_eq!(server.ask(&["DBSIZE"]), redis::Value::Int(0));
}

/// As some who sell servers do.
fn renamed() {
    let renamed = ["HELLO", "INFO", "WAIT"].map(|name| {
        ["--rename-command", name, "other"]
            .map(|word| if word == "other" { format!("other-{name}") } else { word.to_owned() })
    });
    let words: Vec<_> = renamed.iter().flatten().map(String::as_str).collect();
    let server = Server::start(&words);
    let status = store(&server.url).server().unwrap();
    assert_eq!((status.product, status.version, status.eviction), (None, None, None));
    assert_eq!((status.is_replica, status.is_cluster, status.replicas), (None, None, None));
    assert!(status.refusal.is_none());
    server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let refusal = store(&server.url).server().unwrap().refusal.unwrap();
    assert!(refusal.to_string().contains("is a replica"), "{refusal}");
}

fn replica() {
    let master = Server::start_on_port(&[]);
    let replica = master.start_replica();
    let status = store(&replica.url).server().unwrap();
    assert_eq!((status.is_replica, status.replicas), (Some(true), None));
    assert!(status.is_local && status.refusal.is_some());
    // Those that answer at once are counted, and on a busy machine it may be late.
    until("the replica is counted", || {
        let status = store(&master.url).server().unwrap();
        assert_eq!(status.is_replica, Some(false));
        status.replicas == Some(1)
    });
}

fn refused() {
    let mut server = Server::start_on_port(&[]);
    make_page_user(&server, "hunter2");
    let port = server.port.unwrap();
    let fails = |login: &str, says: &str| {
        let error = store(&format!("redis://{login}127.0.0.1:{port}")).server().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        let text = format!("{error} {error:?}");
        assert!(text.contains(says) && !text.contains("hunter"), "{text}");
    };
    fails("paytoken:hunter3@", "does not know this user with this password");
    server.ask(&["ACL", "SETUSER", "paytoken", "-eval"]);
    fails("paytoken:hunter2@", "docs/redis.md");
    server.ask(&["CONFIG", "SET", "requirepass", "hunter2"]);
    fails("", "asks for a password");
    server.pause();
    fails("paytoken:hunter2@", "did not answer within");
    server.resume();
    server.kill();
    fails("paytoken:hunter2@", "nothing listens there");
}
