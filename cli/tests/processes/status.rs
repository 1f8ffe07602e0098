//! `paytoken status`: each state in which an account can be, brought about, with its exit code, its
//! JSON and its text.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, SystemTime};

use libtest_mimic::Trial;
use paytoken_sandbox::{Fault, Service};
use paytoken_testing::{has_tool, nobody_listens, write_private};
use rcgen::{CertificateParams, KeyPair};
use ring::digest;
use serde_json::{Value, json};

use crate::cron::blocks;
use crate::settings::{table, with_file};
use crate::support::{PAYTOKEN, World, text};
use crate::trial;

const COMMAND: &str = include_str!("../../../docs/command.md");
const CRON: &str = include_str!("../../../docs/cron.md");
const NAME: &str = "ntx-pay";
const NTX: Service = Service::NtxPay;
const DAY: u64 = 86_400;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("status_tells_each_state_by_its_code_its_json_and_its_text", states),
        trial("a_token_ends_what_status_tells_of_an_outage", recovery),
        trial("a_wrong_setting_is_78_whatever_is_stored", wrong_settings),
        trial("status_runs_no_secret_s_command_and_reads_no_secret_s_file", unread),
        trial("of_all_accounts_the_worst_code_counts_and_what_is_not_set_up_does_not", all),
        trial("the_pages_example_for_nagios_tells_all_three_states", nagios),
        trial("the_pages_example_for_node_exporter_writes_a_metric_for_each_account", prometheus),
    ]
}

/// What brings a state about; the variables that `status` then runs with, beside the world's.
type Bring = fn(&World) -> Vec<(&'static str, String)>;

/// Name, what brings it about, exit code, a part of the text, members of the JSON by their place.
type Row = (&'static str, Bring, i32, &'static str, Value);

/// A number where it has to be one, whichever.
const NUMBER: &str = "a number";
const TEXT: &str = "a text";

fn rows() -> Vec<Row> {
    let failed = |kind: &str, blocked_for: Value| {
        json!({
            "/last_error": kind, "/last_error_at": NUMBER, "/last_error_message": TEXT,
            "/blocked_for": blocked_for, "/token": null, "/error": null,
        })
    };
    vec![
        (
            "no token yet",
            |_| vec![],
            0,
            "ntx-pay        no token;",
            json!({
                "/token": null, "/last_success_at": null, "/last_error": null, "/last_error_at": null,
                "/refused_in_last_hour": 0, "/blocked_for": null, "/error": null,
                "/renewals_failing": false, "/certificate_days_left": NUMBER,
                "/store/place": TEXT, "/store/reachable": true, "/store/sealed": false,
                "/store/entry_unreadable": false, "/configured": true,
            }),
        ),
        (
            "good",
            good,
            0,
            "token good for 9 min",
            json!({
                "/token/good": true, "/last_success_at": NUMBER, "/last_error": null,
                "/renewals_failing": false,
            }),
        ),
        (
            "due",
            |world| {
                good(world);
                pass(world, 500)
            },
            0,
            "8 min old",
            json!({
                "/token/good": true, "/last_error": null, "/renewals_failing": false,
            }),
        ),
        (
            "ended",
            |world| {
                good(world);
                pass(world, 700)
            },
            0,
            "token expired ",
            json!({
                "/token/good": false, "/last_error": null, "/last_success_at": NUMBER,
            }),
        ),
        (
            "revoked",
            revoked,
            0,
            "the API rejected the last one",
            json!({
                "/token": null, "/rejected_by_api": true, "/last_success_at": NUMBER, "/last_error": null,
            }),
        ),
        (
            "refused",
            refused,
            77,
            "refused (Rejected), not asked again for ",
            failed("Rejected", NUMBER.into()),
        ),
        (
            "refused, and the pause is over",
            |world| {
                refused(world);
                pass(world, 1_000)
            },
            77,
            "1 refused within the hour",
            failed("Rejected", Value::Null),
        ),
        (
            "refused a day ago",
            |world| {
                refused(world);
                pass(world, DAY)
            },
            77,
            "no token has come yet",
            json!({"/refused_in_last_hour": 0, "/last_error": "Rejected"}),
        ),
        (
            "suspended",
            |world| fails(world, Fault::Status(403)),
            77,
            "refused (Forbidden)",
            failed("Forbidden", NUMBER.into()),
        ),
        (
            "outage in its pause",
            |world| fails(world, Fault::Unavailable { retry_after: Some("600".into()) }),
            69,
            "the provider fails (ServerUnavailable), not asked again for ",
            failed("ServerUnavailable", NUMBER.into()),
        ),
        (
            "outage after its pause",
            |world| {
                fails(world, Fault::Status(503));
                pass(world, 180)
            },
            69,
            "the provider fails (ServerUnavailable), last 3 min ago",
            failed("ServerUnavailable", Value::Null),
        ),
        (
            "outage three days ago",
            |world| {
                fails(world, Fault::Reset);
                pass(world, 3 * DAY)
            },
            69,
            "the provider fails (Transport), last 3 days ago",
            failed("Transport", Value::Null),
        ),
        (
            "outage after a token",
            outage_after_a_token,
            69,
            "the last token came ",
            json!({
                "/token/good": false, "/last_error": "ServerUnavailable", "/last_success_at": NUMBER,
                "/renewals_failing": false,
            }),
        ),
        (
            "this machine's proxy is gone",
            no_proxy,
            69,
            "the provider fails (Transport)",
            failed("Transport", Value::Null),
        ),
        (
            "too many requests, and the pause is over",
            |world| {
                fails(world, Fault::TooManyRequests { retry_after: None });
                pass(world, 1_000)
            },
            75,
            "asked to go slower (RateLimited)",
            failed("RateLimited", Value::Null),
        ),
        (
            "too slow",
            too_slow,
            75,
            "the provider fails (Timeout)",
            json!({"/last_error": "Timeout"}),
        ),
        (
            "not what is documented",
            |world| {
                fails(world, Fault::MalformedJson);
                pass(world, 60)
            },
            76,
            "(InvalidResponse)",
            failed("InvalidResponse", Value::Null),
        ),
        (
            "nothing at the address",
            |world| fails(world, Fault::Status(404)),
            78,
            "(Configuration)",
            failed("Configuration", NUMBER.into()),
        ),
        (
            "good, and renewals fail",
            |world| renewal(world, Fault::Status(503)),
            1,
            "renewals fail: the provider fails (ServerUnavailable)",
            json!({
                "/token/good": true, "/renewals_failing": true, "/last_error": "ServerUnavailable",
                "/last_error_at": NUMBER,
            }),
        ),
        (
            "good, and renewals are refused",
            |world| renewal(world, Fault::Status(401)),
            1,
            "renewals fail: refused (Rejected)",
            json!({
                "/token/good": true, "/renewals_failing": true, "/last_error": "Rejected",
                "/refused_in_last_hour": 1,
            }),
        ),
        (
            "unreadable",
            |world| {
                good(world);
                fs::write(world.entry(), "not an entry").unwrap();
                vec![]
            },
            0,
            "there is an entry that cannot be read",
            json!({
                "/store/entry_unreadable": true, "/entry_unreadable": true, "/token": null,
            }),
        ),
        (
            "the store is away",
            away,
            74,
            "store: ",
            json!({
                "/store/reachable": false, "/store/place": TEXT, "/token": null, "/error": TEXT,
                "/certificate_days_left": NUMBER, "/last_error": null, "/configured": true,
            }),
        ),
        (
            "the store's server is away",
            |_| vec![("PAYTOKEN_STORE", format!("redis://u:hunter2@{}", nobody_listens()))],
            if cfg!(feature = "redis") { 74 } else { 78 },
            if cfg!(feature = "redis") { "cannot be reached" } else { "--features redis" },
            match cfg!(feature = "redis") {
                true => json!({"/store/reachable": false, "/store/place": TEXT, "/error": TEXT}),
                false => json!({"/store/reachable": null, "/store/place": null, "/error": TEXT}),
            },
        ),
        (
            "the certificate ends soon",
            |world| certificate(world, 10),
            2,
            "the certificate expires in ",
            json!({"/certificate_days_left": 9, "/token/good": true}),
        ),
        (
            "the certificate ends soon, and there is no token yet",
            |world| {
                certificate(world, 10);
                fs::remove_dir_all(world.store()).unwrap();
                vec![]
            },
            2,
            "the certificate expires in ",
            json!({"/certificate_days_left": 9, "/token": null}),
        ),
        (
            "the certificate ends, though not soon by the settings file",
            |world| {
                certificate(world, 10);
                vec![warning(world, "9d")]
            },
            0,
            "certificate 9 days",
            json!({"/certificate_days_left": 9, "/token/good": true}),
        ),
        (
            "the certificate ends soon by the settings file",
            |world| {
                good(world);
                vec![warning(world, "366d")]
            },
            2,
            "the certificate expires in ",
            json!({"/token/good": true}),
        ),
        (
            "the certificate ends soon, and renewals fail",
            |world| {
                certificate(world, 10);
                renewal(world, Fault::Status(503))
            },
            1,
            "the certificate expires in ",
            json!({"/renewals_failing": true, "/certificate_days_left": 9}),
        ),
        (
            "the certificate ends soon, and the provider is down",
            |world| {
                certificate(world, 10);
                fs::remove_dir_all(world.store()).unwrap();
                fails(world, Fault::Status(503))
            },
            69,
            "the certificate expires in ",
            failed("ServerUnavailable", NUMBER.into()),
        ),
        (
            "the certificate has expired",
            |world| certificate(world, -1),
            78,
            "the certificate has expired",
            json!({"/certificate_days_left": 0, "/token": null, "/error": null}),
        ),
        (
            "a setting is wrong",
            |world| {
                good(world);
                vec![("NTXPAY_CLIENT_SECRET", String::new())]
            },
            78,
            "NTXPAY_CLIENT_SECRET: not set",
            json!({
                "/error": TEXT, "/problem": TEXT, "/token/good": true, "/store/reachable": true,
            }),
        ),
    ]
}

fn states() {
    let mut codes = BTreeSet::new();
    for (state, bring, code, says, members) in rows() {
        let world = World::new();
        let variables = bring(&world);
        let run = |options: &[&str]| {
            let mut command = world.paytoken(&[&["status", NAME], options].concat());
            command.envs(variables.iter().map(|(name, value)| (name, value))).output().unwrap()
        };
        let output = run(&[]);
        let said = String::from_utf8([&*output.stdout, &*output.stderr].concat()).unwrap();
        assert!(said.contains(says) && !said.contains("hunter2"), "{state}: {said}");
        assert_eq!(output.status.code(), Some(code), "{state}: {said}");
        let output = run(&["--json"]);
        assert_eq!(output.status.code(), Some(code), "{state}: {output:?}");
        let json = value(&output);
        let json = &json[0];
        assert_eq!((&json["exit_code"], &json["account"]), (&code.into(), &NAME.into()), "{state}");
        for (place, expected) in members.as_object().unwrap() {
            let found = json.pointer(place).unwrap_or_else(|| match expected {
                Value::Null => &Value::Null,
                _ => panic!("{state}: no {place} in {json:#}"),
            });
            let is_right = match expected.as_str() {
                Some(NUMBER) => found.is_number(),
                Some(TEXT) => found.as_str().is_some_and(|text| !text.is_empty()),
                _ => found == expected,
            };
            assert!(is_right, "{state}: {place} is {found} in {json:#}");
        }
        codes.insert(code);
    }
    // The tables of the page and of the help have these, and no other.
    let first = |line: &str| line.split_whitespace().next()?.parse().ok();
    let page = COMMAND.split("| code | `paytoken status` |\n").nth(1).unwrap();
    let page = page.lines().map_while(|line| line.strip_prefix('|'));
    assert_eq!(page.filter_map(first).collect::<BTreeSet<i32>>(), codes);
    let help = text(World::new().paytoken(&["status", "--help"]).output().unwrap());
    let help = help.split("highest\n").nth(1).unwrap().lines();
    assert_eq!(help.filter_map(first).collect::<BTreeSet<i32>>(), codes);
}

fn good(world: &World) -> Vec<(&'static str, String)> {
    world.token(NTX);
    vec![]
}

fn revoked(world: &World) -> Vec<(&'static str, String)> {
    let token = world.token(NTX);
    let mut shell = world.program("sh");
    let script = format!("echo {token} | \"$0\" invalidate {NAME}");
    text(shell.args(["-c", &script, PAYTOKEN]).output().unwrap());
    vec![]
}

fn refused(world: &World) -> Vec<(&'static str, String)> {
    let mut command = world.paytoken(&["token", NAME]);
    let output = command.env("NTXPAY_CLIENT_SECRET", "wrong").output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    vec![]
}

fn fails(world: &World, fault: Fault) -> Vec<(&'static str, String)> {
    world.sandbox.fault_always(NTX, Some(fault));
    let output = world.paytoken(&["token", NAME]).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    vec![]
}

fn outage_after_a_token(world: &World) -> Vec<(&'static str, String)> {
    good(world);
    pass(world, 700);
    fails(world, Fault::Status(503));
    pass(world, 60)
}

fn no_proxy(world: &World) -> Vec<(&'static str, String)> {
    let mut command = world.paytoken(&["token", NAME]);
    let output = command.env("https_proxy", "http://127.0.0.1:1").output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    vec![]
}

fn too_slow(world: &World) -> Vec<(&'static str, String)> {
    world.sandbox.fault_always(NTX, Some(Fault::Delay(Duration::from_secs(60))));
    let output = world.paytoken(&["token", NAME, "--timeout", "1s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    vec![]
}

/// The token is handed out all the same.
pub(crate) fn renewal(world: &World, fault: Fault) -> Vec<(&'static str, String)> {
    let token = world.token(NTX);
    pass(world, 500);
    world.sandbox.fault_always(NTX, Some(fault));
    assert_eq!(world.token(NTX), token);
    vec![]
}

fn away(world: &World) -> Vec<(&'static str, String)> {
    good(world);
    // Not a store alone, so its mode is left as it is.
    fs::write(world.store().join("notes"), "").unwrap();
    fs::set_permissions(world.store(), fs::Permissions::from_mode(0o755)).unwrap();
    vec![]
}

/// A certificate that ends so many days from now; with a token, unless it has expired: then nothing is sent.
pub(crate) fn certificate(world: &World, days: i64) -> Vec<(&'static str, String)> {
    certificate_for(world, days);
    if days > 0 { good(world) } else { vec![] }
}

/// As it is issued, in the folder.
pub(crate) fn certificate_for(world: &World, days: i64) {
    let mut params = CertificateParams::new(vec!["merchant.example".into()]).unwrap();
    let now = SystemTime::now();
    let by = Duration::from_secs(DAY * days.unsigned_abs());
    params.not_before = (now - Duration::from_secs(30 * DAY)).into();
    params.not_after = if days > 0 { now + by } else { now - by }.into();
    let issued = world.sandbox.authority().sign(params, &KeyPair::generate().unwrap());
    write_private(world.folder.join("client.cert.pem"), issued.certificate_pem);
    write_private(world.folder.join("client.key.pem"), issued.key_pem);
}

/// `[defaults]` with this for a certificate's warning.
fn warning(world: &World, time: &str) -> (&'static str, String) {
    let path = world.folder.join("config.toml");
    write_private(&path, format!("[defaults]\ncertificate_warning = \"{time}\"\n"));
    ("PAYTOKEN_CONFIG", path.display().to_string())
}

/// Lets time pass: all moments in the entry lie further back. (Its checksum is none of secrecy.)
pub(crate) fn pass(world: &World, seconds: u64) -> Vec<(&'static str, String)> {
    let entry = fs::read_to_string(world.entry()).unwrap();
    let (head, content) = entry.split_once('\n').unwrap();
    let mut content: Value = serde_json::from_str(content).unwrap();
    move_back(&mut content, Duration::from_secs(seconds).as_nanos() as u64);
    let content = content.to_string();
    let hash = digest::digest(&digest::SHA256, content.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let magic = head.rsplit_once(' ').unwrap().0;
    fs::write(world.entry(), format!("{magic} {hash}\n{content}")).unwrap();
    vec![]
}

fn move_back(value: &mut Value, by: u64) {
    /// Nanoseconds since 1970, in the year 2001: less is no moment.
    const MOMENT: u64 = 1_000_000_000_000_000_000;
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value.as_u64()) {
                    ("up_for", Some(up_for)) => *value = up_for.saturating_sub(by).into(),
                    _ => move_back(value, by),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| move_back(value, by)),
        _ => {
            if let Some(moment) = value.as_u64().filter(|number| *number > MOMENT) {
                *value = (moment - by).into();
            }
        }
    }
}

fn value(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn status(world: &World) -> (Option<i32>, Value) {
    let output = world.paytoken(&["status", NAME, "--json"]).output().unwrap();
    (output.status.code(), value(&output)[0].clone())
}

fn recovery() {
    let world = World::new();
    let failing: [(Bring, i32); 4] = [
        (|world| fails(world, Fault::Status(503)), 69),
        (|world| renewal(world, Fault::Status(503)), 1),
        (refused, 77),
        (no_proxy, 69),
    ];
    for (bring, code) in failing {
        let _ = fs::remove_dir_all(world.store());
        world.sandbox.fault_always(NTX, None);
        bring(&world);
        pass(&world, 60);
        let (found, state) = status(&world);
        assert_eq!(found, Some(code), "{state:#}");
        world.sandbox.fault_always(NTX, None);
        world.token(NTX);
        let (found, state) = status(&world);
        assert_eq!(found, Some(0), "{state:#}");
        assert_eq!(state["last_error"], Value::Null, "{state:#}");
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let came = state["last_success_at"].as_u64().unwrap();
        assert!(came <= since && since - came < 600, "{came} {since}");
    }
}

/// What cannot be read, what is not there, and what is misspelt: told with a good token in the store and
/// without, as text and as JSON.
fn wrong_settings() {
    let world = World::new();
    let secret = world.folder.join("secret");
    write_private(&secret, world.sandbox.client_secret(NTX));
    write_private(world.folder.join("empty"), "");
    std::os::unix::fs::symlink("nothing", world.folder.join("link")).unwrap();
    let open = world.folder.join("open");
    write_private(&open, world.sandbox.client_secret(NTX));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let good = table(&world, NAME, NTX) + "client_secret_file = \"secret\"\n";
    let cases = [
        (
            "no secret",
            good.replace("client_secret_file = \"secret\"\n", ""),
            "client_secret: not set",
        ),
        (
            "its file is gone",
            good.replace("\"secret\"", "\"gone\""),
            "client_secret_file: cannot read",
        ),
        ("it is a folder", good.replace("\"secret\"", "\".\""), "it is a directory"),
        (
            "it is empty",
            good.replace("\"secret\"", "\"empty\""),
            "client_secret_file: that file is empty",
        ),
        (
            "a link to nothing",
            good.replace("\"secret\"", "\"link\""),
            "client_secret_file: cannot read",
        ),
        (
            "no such program",
            good.replace("file = \"secret\"", "command = [\"./get\"]"),
            "there is no program",
        ),
        ("others read it", good.replace("\"secret\"", "\"open\""), "others can read it"),
        ("empty", good.replace("_file = \"secret\"", " = \"\""), "client_secret: not set"),
        ("a misspelt key", good.replace("base_url", "bas_url"), "did you mean base_url?"),
        ("not TOML", good.replace("ca = ", "ca "), "is not TOML"),
        ("no id", good.replace("client_id", "# client_id"), "client_id: not set"),
        ("no certificate", good.replace("client.cert", "gone"), "certificate: cannot read"),
        ("a broken one", good.replace("client.cert.pem", "secret"), "certificate: "),
        ("no key", good.replace("client.key", "gone"), "private_key: cannot read"),
        ("no authorities", good.replace("ca.pem", "gone.pem"), "ca: cannot read"),
        ("authorities in a folder", good.replace("ca.pem", "."), "ca: cannot read"),
        ("no such environment", good.replace("\"sandbox\"", "\"test\""), "sandbox or production"),
        ("plain http", good.replace("https://", "http://merchant.example:1/"), "plain http"),
        (
            "no key of the store",
            good.clone() + "store_key_file = \"gone\"\n",
            "store_key_file: cannot",
        ),
        ("not a store", good.replace("\"store\"", "\"redis:6379\""), "store: "),
        ("no time", good.clone() + "timeout = \"soon\"\n", "timeout: not a time"),
    ];
    for has_token in [false, true] {
        if has_token {
            text(with_file(&world, &good, &["token", NAME]).output().unwrap());
        }
        let output = with_file(&world, &good, &["status", NAME]).output().unwrap();
        assert_eq!(text(output).contains("token good for"), has_token);
        for (case, file, says) in &cases {
            assert_ne!(file, &good, "{case}");
            for arguments in [&["status", NAME][..], &["status"]] {
                let output = with_file(&world, file, arguments).output().unwrap();
                let told = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(78), "{case}: {output:?}");
                assert!(told.contains(says), "{case}: {told}");
                let json = [arguments, &["--json"]].concat();
                let output = with_file(&world, file, &json).output().unwrap();
                assert_eq!(output.status.code(), Some(78), "{case}: {output:?}");
                let states = value(&output);
                let mut states = states.as_array().unwrap().iter();
                let its = states
                    .find(|state| state["error"].as_str().is_some_and(|text| text.contains(says)));
                let its = its.unwrap_or_else(|| panic!("{case}: {output:?}"));
                assert_eq!(
                    (&its["exit_code"], &its["configured"]),
                    (&78.into(), &true.into()),
                    "{case}"
                );
            }
        }
    }
    // No settings at all where they were named.
    let mut command = world.paytoken(&["status", NAME, "--json"]);
    let output = command.env("PAYTOKEN_CONFIG", "/no/such/file.toml").output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(value(&output)[0]["error"].as_str().unwrap().contains("/no/such/file.toml"));
    // What is wrong with the command line is none of them.
    for arguments in [&["status", "ntx", "--json"][..], &["status", NAME, "--json", "--no-store"]] {
        let output = world.paytoken(arguments).output().unwrap();
        assert!(output.status.code() == Some(64) && output.stdout.is_empty(), "{output:?}");
    }
}

fn unread() {
    let world = World::new();
    let ran = world.folder.join("ran");
    let command = format!("client_secret_command = [\"touch\", \"{}\"]\n", ran.display());
    let file = table(&world, NAME, NTX) + &command;
    for arguments in [&["status", NAME][..], &["status", NAME, "--json"], &["status"]] {
        text(with_file(&world, &file, arguments).output().unwrap());
    }
    assert!(!ran.exists());
    // It would have run.
    with_file(&world, &file, &["token", NAME]).output().unwrap();
    assert!(ran.exists());
    // A pipe that nobody writes to is neither read nor waited for.
    let pipe = world.folder.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for variable in ["NTXPAY_CLIENT_SECRET_FILE", "NTXPAY_CLIENT_KEY", "PAYTOKEN_CA"] {
        let mut command = world.paytoken(&["status", NAME]);
        if variable.ends_with("SECRET_FILE") {
            command.env_remove("NTXPAY_CLIENT_SECRET");
        }
        assert!(text(command.env(variable, &pipe).output().unwrap()).contains("no token"));
    }
    if !has_tool("strace") {
        return;
    }
    let secret = world.folder.join("the-secret");
    write_private(&secret, world.sandbox.client_secret(NTX));
    let log = world.folder.join("log");
    let mut strace = world.program("strace");
    strace.args(["-f", "-y", "-e", "trace=read,pread64,openat", "-o", log.to_str().unwrap()]);
    strace.args([PAYTOKEN, "status", NAME]);
    strace.env_remove("NTXPAY_CLIENT_SECRET").env("NTXPAY_CLIENT_SECRET_FILE", &secret);
    text(strace.output().unwrap());
    let log = fs::read_to_string(log).unwrap();
    let lines = |what: &str, file: &str| {
        log.lines().filter(|line| line.contains(what) && line.contains(file)).count()
    };
    for file in ["the-secret", "client.key.pem"] {
        assert!(lines("openat(", file) > 0, "{file} is looked at: {log}");
        assert_eq!(lines("read(", file) + lines("pread64(", file), 0, "{file}: {log}");
    }
    assert!(lines("read(", "client.cert.pem") > 0, "{log}");
}

fn all() {
    let world = World::new();
    let run = |change: &dyn Fn(&mut std::process::Command)| {
        let mut command = world.paytoken(&["status", "--json"]);
        change(&mut command);
        let output = command.output().unwrap();
        let states = value(&output);
        let codes = states.as_array().unwrap().iter().map(|state| state["exit_code"].clone());
        (output.status.code(), Value::from_iter(codes))
    };
    assert_eq!(run(&|_| ()), (Some(0), json!([0, 0, 0])));
    renewal(&world, Fault::Status(503));
    assert_eq!(run(&|_| ()), (Some(1), json!([1, 0, 0])));
    world.sandbox.fault_always(Service::NexterPay, Some(Fault::Status(503)));
    assert!(!world.paytoken(&["token", "nexter-pay"]).output().unwrap().status.success());
    assert_eq!(run(&|_| ()), (Some(69), json!([1, 69, 0])));
    let half = |command: &mut std::process::Command| {
        command.env_remove("SENDPAYMENTS_CLIENT_ID");
    };
    assert_eq!(run(&half), (Some(78), json!([1, 69, 78])));
    let not_set_up = |command: &mut std::process::Command| {
        command.env_remove("SENDPAYMENTS_CLIENT_ID").env_remove("SENDPAYMENTS_CLIENT_SECRET");
    };
    assert_eq!(run(&not_set_up), (Some(69), json!([1, 69, 78])));
    let nobody = |command: &mut std::process::Command| {
        command.env_clear().env("PAYTOKEN_STORE", world.store());
    };
    assert_eq!(run(&nobody), (Some(78), json!([78, 78, 78])));
}

/// The page's script that has this word in it, as a file.
fn script(world: &World, word: &str) -> std::path::PathBuf {
    let mut scripts = blocks(CRON, "sh").into_iter().filter(|block| block.contains(word));
    let path = world.folder.join("script");
    fs::write(&path, scripts.next().unwrap()).unwrap();
    let bin = world.folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    if !bin.join("paytoken").exists() {
        std::os::unix::fs::symlink(PAYTOKEN, bin.join("paytoken")).unwrap();
    }
    path
}

fn sh(world: &World, script: &Path, argument: &str, variables: &[(&str, String)]) -> Output {
    let mut shell = world.program("sh");
    let path = std::env::var("PATH").unwrap();
    shell.env("PATH", format!("{}:{path}", world.folder.join("bin").display()));
    shell.envs(variables.iter().map(|(name, value)| (name, value)));
    shell.arg(script).arg(argument).output().unwrap()
}

fn nagios() {
    if !has_tool("jq") {
        return;
    }
    let cases: [(Bring, &str, i32, &str); 8] = [
        (good, NAME, 0, "a token can be had"),
        (|world| certificate(world, 10), NAME, 1, "the certificate ends in 9 days"),
        (|world| certificate(world, -2), NAME, 2, "the certificate has expired"),
        (|world| renewal(world, Fault::Status(503)), NAME, 1, "503"),
        (outage_after_a_token, NAME, 2, "503"),
        (refused, NAME, 2, "401"),
        (away, NAME, 2, "store: "),
        (good, "no-such", 3, "cannot be run"),
    ];
    for (bring, name, code, says) in cases {
        let world = World::new();
        bring(&world);
        let output = sh(&world, &script(&world, "case $code"), name, &[]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(said.contains(says) && said.lines().count() <= 1, "{output:?}");
    }
}

fn prometheus() {
    if !has_tool("jq") {
        return;
    }
    let world = World::new();
    good(&world);
    let script = script(&world, "paytoken.prom");
    let folder = world.folder.to_str().unwrap();
    let metrics = |variables: &[(&str, String)]| {
        let output = sh(&world, &script, folder, variables);
        assert!(output.status.success(), "{output:?}");
        fs::read_to_string(world.folder.join("paytoken.prom")).unwrap()
    };
    let found = metrics(&[
        ("SENDPAYMENTS_CLIENT_ID", String::new()),
        ("SENDPAYMENTS_CLIENT_SECRET", String::new()),
    ]);
    for says in [
        "paytoken_exit_code{account=\"ntx-pay\"} 0\n",
        "paytoken_exit_code{account=\"nexter-pay\"} 0\n",
        "paytoken_refused_in_last_hour{account=\"ntx-pay\"} 0\n",
        "paytoken_certificate_days_left{account=\"ntx-pay\"} 36",
        "paytoken_last_success_at{account=\"ntx-pay\"} 1",
    ] {
        assert!(found.contains(says), "{says}: {found}");
    }
    assert!(!found.contains("send-payments") && !found.contains("null"), "{found}");
    let found = metrics(&[("SENDPAYMENTS_CLIENT_SECRET", String::new())]);
    assert!(found.contains("paytoken_exit_code{account=\"send-payments\"} 78\n"), "{found}");
}
