//! The same decision as the real curl's, setting by setting: through the proxy, past it, or none
//! at all. Two servers on loopback see which way curl took.
//!
//! Without curl on the machine the tests say so and pass; with `CI=true` they fail.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use paytoken_testing::has_tool;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Proxy,
    Direct,
    /// Neither: curl does not know how, we make an error of it.
    None,
}
use Way::{Direct, Proxy as Through};

type Set = &'static [(&'static str, &'static str)];

/// Each row: the host, and what is set; `@` stands for the proxy's address. What comes of it is
/// asked of curl, and stands here for the reader alone.
const TABLE: &[(Way, &str, Set)] = &[
    // Which variable counts.
    (Direct, "api.example", &[]),
    (Through, "api.example", &[("https_proxy", "http://@")]),
    (Through, "api.example", &[("HTTPS_PROXY", "http://@")]),
    (Through, "api.example", &[("all_proxy", "http://@")]),
    (Through, "api.example", &[("ALL_PROXY", "http://@")]),
    (Direct, "api.example", &[("http_proxy", "http://@")]),
    (Direct, "api.example", &[("HTTP_PROXY", "http://@"), ("REQUEST_METHOD", "GET")]),
    (Direct, "api.example", &[("Https_Proxy", "http://@")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("HTTPS_PROXY", "::::")]),
    (Way::None, "api.example", &[("https_proxy", "::::"), ("HTTPS_PROXY", "http://@")]),
    (Through, "api.example", &[("HTTPS_PROXY", "http://@"), ("all_proxy", "::::")]),
    (Through, "api.example", &[("all_proxy", "http://@"), ("ALL_PROXY", "::::")]),
    (Through, "api.example", &[("https_proxy", ""), ("HTTPS_PROXY", "http://@")]),
    (Through, "api.example", &[("HTTPS_PROXY", ""), ("all_proxy", "http://@")]),
    (Direct, "api.example", &[("https_proxy", ""), ("ALL_PROXY", "")]),
    (Direct, "api.example", &[("ftp_proxy", "http://@"), ("proxy", "http://@")]),
    // How the proxy is written.
    (Through, "api.example", &[("https_proxy", "@")]),
    (Through, "api.example", &[("https_proxy", "@/")]),
    (Through, "api.example", &[("https_proxy", "http://@/")]),
    (Through, "api.example", &[("https_proxy", "HTTP://@/path?x=1#y")]),
    (Through, "api.example", &[("https_proxy", "https://@")]),
    (Through, "api.example", &[("https_proxy", "http://user:not-a-password@@")]),
    (Through, "api.example", &[("https_proxy", "user:not-a-password@@")]),
    (Through, "api.example", &[("https_proxy", "http://user:a%40b%3Ac:d@@/")]),
    (Way::None, "api.example", &[("https_proxy", "http://user@corp:not-a-password@@")]),
    (Way::None, "api.example", &[("https_proxy", "::::")]),
    (Way::None, "api.example", &[("https_proxy", "http://")]),
    (Way::None, "api.example", &[("https_proxy", "http://:8080")]),
    (Way::None, "api.example", &[("https_proxy", "//@")]),
    (Way::None, "api.example", &[("https_proxy", " http://@")]),
    (Way::None, "api.example", &[("https_proxy", "http://@\n")]),
    (Way::None, "api.example", &[("https_proxy", " ")]),
    (Way::None, "api.example", &[("https_proxy", "http://127.0.0.1:99999")]),
    (Way::None, "api.example", &[("https_proxy", "http://127.0.0.1:+80")]),
    (Way::None, "api.example", &[("https_proxy", "ftp://@")]),
    (Way::None, "api.example", &[("https_proxy", "quic://@")]),
    (Way::None, "api.example", &[("https_proxy", "*")]),
    // What needs no proxy.
    (Direct, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "api.example")]),
    (Direct, "api.example", &[("https_proxy", "http://@"), ("NO_PROXY", "api.example")]),
    (Direct, "api.example", &[("https_proxy", "::::"), ("NO_PROXY", "api.example")]),
    (
        Through,
        "api.example",
        &[("https_proxy", "http://@"), ("no_proxy", "x"), ("NO_PROXY", "api.example")],
    ),
    (
        Direct,
        "api.example",
        &[("https_proxy", "http://@"), ("no_proxy", ""), ("NO_PROXY", "api.example")],
    ),
    (Direct, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "example")]),
    (Direct, "api.example", &[("https_proxy", "http://@"), ("no_proxy", ".example")]),
    (Direct, "api.example", &[("https_proxy", "http://@"), ("no_proxy", ".api.example")]),
    (Direct, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "API.EXAMPLE.")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "..example")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "i.example")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "x.api.example")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "api.example.com")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "*.example")]),
    (Direct, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "*")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "x,*")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("no_proxy", " *")]),
    (Direct, "api.example", &[("https_proxy", "http://@"), ("NO_PROXY", "localhost, api.example")]),
    (Direct, "api.example", &[("https_proxy", "http://@"), ("no_proxy", " a ,\tapi.example ")]),
    (Direct, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "a,,api.example,")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "a;api.example")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "api.example:443")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("no_proxy", "https://api.example")]),
    (Through, "api.example", &[("https_proxy", "http://@"), ("no_proxy", ".")]),
    (Direct, "API.Example.", &[("https_proxy", "http://@"), ("no_proxy", "api.example")]),
    (Direct, "api.example.", &[("https_proxy", "http://@"), ("no_proxy", "example.")]),
    (Direct, "vm", &[("https_proxy", "http://@"), ("NO_PROXY", "localhost, vm")]),
    (Direct, "vm", &[("https_proxy", "http://@"), ("NO_PROXY", ".vm")]),
    // Addresses and networks.
    (Direct, "10.1.2.3", &[("https_proxy", "http://@"), ("no_proxy", "10.1.2.3")]),
    (Direct, "10.1.2.3", &[("https_proxy", "http://@"), ("no_proxy", "a, 10.0.0.0/8")]),
    (Direct, "10.1.2.3", &[("https_proxy", "http://@"), ("no_proxy", "10.1.2.0/24")]),
    (Through, "10.1.2.3", &[("https_proxy", "http://@"), ("no_proxy", "10.1.3.0/24")]),
    (Direct, "10.1.2.3", &[("https_proxy", "http://@"), ("no_proxy", "10.1.2.3/32")]),
    (Through, "10.1.2.3", &[("https_proxy", "http://@"), ("no_proxy", "10.1.2.3/33")]),
    (Through, "10.1.2.3", &[("https_proxy", "http://@"), ("no_proxy", "0.0.0.0/0")]),
    (Through, "10.1.2.3", &[("https_proxy", "http://@"), ("no_proxy", "2.3")]),
    (Through, "10.1.2.3", &[("https_proxy", "http://@"), ("no_proxy", "10.")]),
    (Through, "10.1.2.3", &[("https_proxy", "http://@"), ("no_proxy", "10.1.2.*")]),
    (Direct, "[fd00::1]", &[("https_proxy", "http://@"), ("no_proxy", "fd00::1")]),
    (Through, "[fd00::1]", &[("https_proxy", "http://@"), ("no_proxy", "fd01::/16")]),
    (Through, "[fd00::1]", &[("https_proxy", "http://@"), ("no_proxy", "[fd00::1]")]),
    // This machine is a host like others.
    (Through, "localhost", &[("https_proxy", "http://@")]),
    (Through, "127.0.0.1", &[("https_proxy", "http://@")]),
    (Through, "[::1]", &[("https_proxy", "http://@")]),
    (Direct, "127.0.0.1", &[("https_proxy", "http://@"), ("no_proxy", "localhost,127.0.0.0/8")]),
    (Direct, "localhost", &[("https_proxy", "http://@"), ("no_proxy", "localhost,127.0.0.1,::1")]),
];

/// What curl's versions decide differently: older ones compare an IPv6 address as text, in newer
/// ones a blank without a comma ends the list. All of these are listed, so all are reached directly.
const BY_VERSION: &[(&str, &str)] = &[
    ("[fd00::1]", "FD00:0::0001"),
    ("[fd00::1]", "fd00::/16"),
    ("[fd00::1]", "10.0.0.0/8, fd00::/9"),
    ("api.example", "a api.example"),
];

/// Where curl goes through a proxy and we cannot: an error, and never past it.
const NOT_OURS: &[&str] = &["socks5://@", "socks5h://@", "SOCKS5://@", "socks4a://@", "socks://@"];

/// Tells each connection, and ends it.
fn listen(way: Way, told: &mpsc::Sender<Way>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let told = told.clone();
    thread::spawn(move || {
        for client in listener.incoming() {
            drop(client);
            let _ = told.send(way);
        }
    });
    address
}

struct Curl {
    proxy: SocketAddr,
    server: SocketAddr,
    seen: mpsc::Receiver<Way>,
}

impl Curl {
    fn new() -> Self {
        let (told, seen) = mpsc::channel();
        let (proxy, server) = (listen(Through, &told), listen(Direct, &told));
        Self { proxy, server, seen }
    }

    fn set<'a>(&self, settings: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
        let proxy = self.proxy.to_string();
        let value = |value: &str| match value.strip_suffix("@@") {
            Some(login) => format!("{login}@{proxy}"),
            None if value.contains("@@/") => value.replace("@@", &format!("@{proxy}")),
            None => value.replace("://@", &format!("://{proxy}")).replacen(
                "@",
                &proxy,
                usize::from(value.starts_with('@')),
            ),
        };
        settings.iter().map(|(name, text)| (*name, value(text))).collect()
    }

    fn way(&self, host: &str, settings: &[(&str, String)]) -> Way {
        let status = Command::new("curl")
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap())
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .args(["-q", "--silent", "--max-time", "20", "--connect-to"])
            .arg(format!("::{}", self.server))
            .arg(format!("https://{host}/"))
            .status()
            .expect("curl is installed");
        assert!(!status.success(), "nobody answers");
        // It has ended, so its connection was made; a server tells it as soon as it is scheduled.
        match status.code() {
            Some(3 | 5 | 7) => Way::None,
            _ => self.seen.recv_timeout(std::time::Duration::from_secs(20)).unwrap(),
        }
    }
}

fn ours(host: &str, settings: &[(&str, String)]) -> Result<Way> {
    let url = BaseUrl::parse(&format!("https://{host}")).unwrap();
    let variable = |name: &str| {
        let set = settings.iter().find(|(known, _)| *known == name);
        set.map(|(_, value)| OsString::from(value))
    };
    Ok(match from_variables(&variable, url.host())? {
        Some(_) => Through,
        None => Direct,
    })
}

#[test]
fn each_setting_leads_the_way_that_curl_takes() {
    if !has_tool("curl") {
        return;
    }
    let curl = Curl::new();
    assert!(TABLE.len() >= 40);
    let mut wrong = Vec::new();
    for (expected, host, settings) in TABLE {
        let set = curl.set(settings);
        let (theirs, ours) = (curl.way(host, &set), ours(host, &set));
        if theirs != *expected {
            wrong.push(format!("{host} {settings:?}: curl says {theirs:?}"));
        }
        match ours {
            Ok(way) if way == theirs => {}
            Err(error) if theirs == Way::None => {
                let name = settings[0].0;
                let text = error.message();
                if !text.starts_with(&format!("{name}: ")) || text.contains("not-a-password") {
                    wrong.push(format!("{host} {settings:?}: {error}"));
                }
            }
            other => wrong.push(format!("{host} {settings:?}: {other:?}, curl {theirs:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn where_curls_versions_differ_a_host_that_is_listed_is_reached_directly() {
    for (host, list) in BY_VERSION {
        let set = [("https_proxy", "http://p".to_owned()), ("no_proxy", (*list).to_owned())];
        assert_eq!(ours(host, &set).unwrap(), Direct, "{host} {list}");
    }
}

#[test]
fn what_only_curl_can_use_is_an_error_and_never_a_direct_connection() {
    if !has_tool("curl") {
        return;
    }
    let curl = Curl::new();
    for value in NOT_OURS {
        let set = curl.set(&[("all_proxy", value)]);
        assert_eq!(curl.way("api.example", &set), Through, "{value}");
        let error = ours("api.example", &set).unwrap_err();
        assert!(error.message().starts_with("all_proxy: not usable as a proxy (SOCKS"), "{error}");
        assert!(!error.message().contains("127.0.0.1"), "{error}");
    }
}
