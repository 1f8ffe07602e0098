//! Tables of the pages, read from there and run row by row: a row that nobody runs fails, as does one
//! that is gone from its page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;
use paytoken::{Error, FileStore, Provider, TokenSource};
use paytoken_sandbox::{Fault, Service};
use paytoken_testing::{builder, write_private};
use serde_json::Value;

use crate::settings::with_file;
use crate::status::{certificate, renewal};
use crate::support::{PAYTOKEN, World, text};
use crate::trial;

const COMMAND: &str = include_str!("../../../docs/command.md");
const ERRORS: &str = include_str!("../../../docs/errors.md");
#[cfg(feature = "redis")]
pub(crate) const REDIS: &str = include_str!("../../../docs/redis.md");
const STORES: &str = include_str!("../../../docs/stores.md");
const SEND: Service = Service::SendPayments;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("each_exit_code_of_the_page_is_that_of_the_help_and_is_brought_about", exit_codes),
        trial("each_kind_of_error_of_the_page_comes_by_rust_and_by_the_command", kinds),
        trial("each_key_of_the_page_is_known_to_the_settings_file", settings_keys),
        trial("status_as_json_has_the_members_of_the_page_and_no_other", members),
        trial("the_steps_of_the_page_seal_a_running_fleet_and_unseal_it", sealing_steps),
    ]
}

/// The cells of the rows below this head, which is a line of the page.
pub(crate) fn rows(page: &'static str, head: &str) -> Vec<Vec<&'static str>> {
    let mut lines = page.lines().skip_while(|line| *line != head).skip(2);
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect();
    let rows: Vec<_> =
        lines.by_ref().map_while(|line| line.starts_with('|').then(|| cells(line))).collect();
    assert!(!rows.is_empty(), "there is no table {head}");
    rows
}

/// What brings a row about, given its cells.
#[cfg(feature = "redis")]
pub(crate) type Run<'a> = &'a dyn Fn(&[&str]);

/// Runs each row by what its first cell names; a row without a run fails, and a run without a row.
#[cfg(feature = "redis")]
pub(crate) fn run_each(rows: &[Vec<&str>], runs: &[(&str, Run)]) {
    let known: Vec<_> = runs.iter().map(|(name, _)| *name).collect();
    let named: Vec<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(named, known, "the rows of the page, and those that are run");
    for (row, (_, run)) in rows.iter().zip(runs) {
        run(row);
    }
}

/// What stands between backticks.
pub(crate) fn code_words(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn send(world: &World, more: &[&str]) -> Command {
    world.paytoken(&[&["token", "send-payments"], more].concat())
}

fn with_input(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // It may end without reading it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn failing(fault: Fault) -> Output {
    let world = World::new();
    world.sandbox.fault_always(SEND, Some(fault));
    send(&world, &["--timeout", "3s"]).output().unwrap()
}

/// A directory that is no store alone, and that others can read: it is left as it is, and refused.
fn no_store(world: &World) -> std::path::PathBuf {
    let folder = world.folder.join("notes");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("note"), "").unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// How commands end: several for a code, where the row has several causes.
fn ends(code: &str) -> Vec<Output> {
    let world = World::new();
    let status = || world.paytoken(&["status", "ntx-pay"]).output().unwrap();
    match code {
        "0" => vec![send(&world, &[]).output().unwrap(), status()],
        "1" => {
            renewal(&world, Fault::Status(503));
            vec![status()]
        }
        "2" => {
            certificate(&world, 10);
            vec![status()]
        }
        "64" => vec![send(&world, &["--quux"]).output().unwrap()],
        "65" => {
            let command = world.paytoken(&["invalidate", "send-payments"]);
            vec![with_input(command, "another-token\n")]
        }
        "66" => vec![with_input(world.paytoken(&["invalidate", "send-payments"]), "")],
        "69" => vec![failing(Fault::Status(503)), failing(Fault::Reset)],
        "74" => {
            let script = "exec \"$0\" token send-payments > /dev/full";
            vec![
                send(&world, &[]).env("PAYTOKEN_STORE", no_store(&world)).output().unwrap(),
                world.program("sh").args(["-c", script, PAYTOKEN]).output().unwrap(),
            ]
        }
        "75" => vec![
            failing(Fault::Delay(Duration::from_secs(60))),
            failing(Fault::TooManyRequests { retry_after: None }),
        ],
        "76" => vec![failing(Fault::MalformedJson)],
        "77" => vec![
            send(&world, &[]).env("SENDPAYMENTS_CLIENT_SECRET", "wrong").output().unwrap(),
            failing(Fault::Status(403)),
        ],
        "78" => {
            let mut check = world.paytoken(&["check", "send-payments"]);
            vec![
                send(&world, &[]).env_remove("SENDPAYMENTS_CLIENT_ID").output().unwrap(),
                check.env_remove("SENDPAYMENTS_CLIENT_ID").output().unwrap(),
                send(&world, &[]).env("PAYTOKEN_CA", "/no/such.pem").output().unwrap(),
            ]
        }
        "127" => {
            let url = format!("{}/accounts", world.sandbox.url(SEND));
            let mut curl = world.paytoken(&["curl", "send-payments", "--", "-sS", &url]);
            vec![curl.env("PATH", "/no/such/folder").output().unwrap()]
        }
        other => panic!("nothing brings code {other} about"),
    }
}

fn exit_codes() {
    let rows = rows(COMMAND, "| code | meaning | what to do |");
    for row in &rows {
        for output in ends(row[0]) {
            assert_eq!(output.status.code().unwrap().to_string(), row[0], "{row:?}: {output:?}");
        }
    }
    let codes: Vec<_> = rows.iter().map(|row| row[0]).collect();
    let world = World::new();
    let help = text(world.paytoken(&["--help"]).output().unwrap());
    let mut pages = vec![help];
    if cfg!(feature = "pages") {
        pages.push(text(world.paytoken(&["man"]).output().unwrap()).replace("\\-", "-"));
    }
    for page in pages {
        let list = page.rsplit("\nExit codes\n").next().unwrap().lines();
        let first = |line: &'_ str| line.split_whitespace().next().map(str::to_owned);
        let is_code = |word: &String| word.bytes().all(|byte| byte.is_ascii_digit());
        let listed: Vec<_> = list.filter_map(first).filter(is_code).collect();
        assert_eq!(listed, codes, "{page}");
    }
}

/// The kind that a library's caller gets, with one attempt.
fn by_rust(world: &World, change: impl Fn(paytoken::Builder) -> paytoken::Builder) -> Error {
    let source = change(builder(&world.sandbox, Provider::SendPayments).retries(0)).build();
    source.and_then(|source: TokenSource| source.token()).unwrap_err()
}

/// Each number of the cell that is an HTTP status, and of `5xx` some.
fn statuses(cell: &str) -> Vec<u16> {
    let words = cell.split(|letter: char| !letter.is_ascii_alphanumeric());
    words
        .flat_map(|word| match (word, word.parse()) {
            ("5xx", _) => vec![500, 502, 503, 504, 599],
            (_, Ok(status @ 400..=599)) => vec![status],
            _ => vec![],
        })
        .collect()
}

fn kinds() {
    let head = "| `ErrorKind` | cause | fix | try again? | command | C |";
    let rows = rows(ERRORS, head);
    let mut statuses_run = 0;
    for row in &rows {
        let [name, cause, _, again, code, _] = row[..] else { panic!("{row:?}") };
        let name = name.trim_matches('`');
        let is_it = |error: &Error, what: &str| {
            assert_eq!(format!("{:?}", error.kind()), name, "{what}: {error}");
            assert_eq!(error.is_retryable(), again == "yes", "{what}: {error}");
        };
        let ended = |output: Output, what: &str| {
            assert_eq!(output.status.code().unwrap().to_string(), code, "{what}: {output:?}");
        };
        let by_fault = |fault: Fault| {
            let world = World::new();
            world.sandbox.fault_always(SEND, Some(fault.clone()));
            let limit = match fault {
                Fault::Delay(_) => Duration::from_millis(500),
                _ => Duration::from_secs(30),
            };
            is_it(&by_rust(&world, |builder| builder.timeout(limit)), cause);
            ended(failing(fault), cause);
        };
        for status in statuses(cause) {
            by_fault(Fault::Status(status));
            statuses_run += 1;
        }
        let world = World::new();
        match name {
            "Configuration" => {
                let error = by_rust(&world, |builder| builder.base_url("http://merchant.example"));
                is_it(&error, "a setting is wrong");
                let mut command = send(&world, &["--base-url", "http://merchant.example"]);
                ended(command.output().unwrap(), "a setting is wrong");
            }
            "Certificate" => {
                // A server that is of none of these authorities.
                let another = world.sandbox.client_certificate_pem().as_bytes().to_vec();
                let change = |builder: paytoken::Builder| builder.root_certificates_pem(&another);
                is_it(&by_rust(&world, change), "not accepted");
                let mut command = send(&world, &[]);
                command.env("PAYTOKEN_CA", world.folder.join("client.cert.pem"));
                ended(command.output().unwrap(), "not accepted");
                // One of ours that has expired.
                certificate(&world, -1);
                let command = world.paytoken(&["token", "ntx-pay"]).output();
                ended(command.unwrap(), "expired");
            }
            "Transport" => {
                by_fault(Fault::Reset);
                by_fault(Fault::Truncated);
                let nowhere = format!("https://{}", paytoken_testing::nobody_listens());
                is_it(&by_rust(&world, |builder| builder.base_url(&nowhere)), "connection");
                let mut command = send(&world, &["--base-url", &nowhere]);
                ended(command.output().unwrap(), "connection");
            }
            "Timeout" => by_fault(Fault::Delay(Duration::from_secs(60))),
            "Rejected" => {
                let body = br#"{"error":"invalid_client"}"#.to_vec();
                by_fault(Fault::StatusBody(200, "application/json".into(), body));
            }
            "InvalidResponse" => {
                by_fault(Fault::MalformedJson);
                by_fault(Fault::WrongTypes);
                by_fault(Fault::Redirect("https://elsewhere.example/".into()));
            }
            "Store" => {
                let folder = no_store(&world);
                let error = FileStore::open(&folder).and_then(|store| {
                    let source = builder(&world.sandbox, Provider::SendPayments).store(store);
                    source.build()?.token()
                });
                is_it(&error.unwrap_err(), "open to others");
                let mut command = send(&world, &[]);
                command.env("PAYTOKEN_STORE", folder);
                ended(command.output().unwrap(), "no folder");
            }
            "Forbidden" | "RateLimited" | "ServerUnavailable" => {}
            other => panic!("nothing brings {other} about"),
        }
    }
    assert!(statuses_run >= 15, "{statuses_run}");
}

/// Each key of the table takes no number, and says so by its name; another one is not known.
fn settings_keys() {
    let world = World::new();
    for service in Service::ALL {
        let facts = service.facts();
        let known = |key: &str| {
            let file = format!("[merchant]\nprovider = \"{}\"\n{key} = 5\n", facts.name);
            let output = with_file(&world, &file, &["token", "merchant"]).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(78), "{key}: {told}");
            assert!(told.contains(&format!("{key}: ")), "{key}: {told}");
            !told.contains("not known for")
        };
        let is_of = |key: &str| match key {
            "client_id" | "client_secret" | "user_name" | "password" => {
                facts.fields.iter().any(|field| field.name == key)
            }
            "certificate" | "private_key" => facts.takes_certificate,
            _ => true,
        };
        let mut keys = 0;
        for row in rows(COMMAND, "| key | |").into_iter().skip(1) {
            for key in code_words(row[0]) {
                assert_eq!(known(key), is_of(key), "{service}: {key}");
                if row[1].contains("`…_file`") {
                    for way in ["file", "command"] {
                        assert_eq!(known(&format!("{key}_{way}")), is_of(key), "{service}: {key}");
                    }
                }
                assert!(!known(&format!("{key}x")), "{service}: {key}");
                keys += 1;
            }
        }
        assert!(keys >= 18, "{keys}");
    }
}

fn members() {
    let world = World::new();
    text(world.paytoken(&["token", "ntx-pay"]).output().unwrap());
    let json = text(world.paytoken(&["status", "ntx-pay", "--json"]).output().unwrap());
    let json: Value = serde_json::from_str(&json).unwrap();
    let state = json[0].as_object().unwrap();
    let mut known = BTreeSet::new();
    for row in rows(COMMAND, "| member | |") {
        let names = code_words(row[0]);
        known.extend(names.iter().copied());
        // An object's members, and other names of the same; not what else stands there.
        if row[1].starts_with("an object: ") {
            let object = state[names[0]].as_object().unwrap();
            let members: BTreeSet<_> = object.keys().map(String::as_str).collect();
            let described = code_words(row[1].split(" (").next().unwrap());
            assert_eq!(members, described.into_iter().collect(), "{row:?}");
        }
        if row[1].contains("also outside of `store`") {
            known.insert("entry_unreadable");
        }
        if let Some((_, rest)) = row[1].split_once("(also as ") {
            known.insert(code_words(rest)[0]);
        }
        if let Some((_, rest)) = row[1].split_once("also in ") {
            let [name, members @ ..] = &code_words(rest)[..] else { panic!("{row:?}") };
            known.insert(*name);
            let object = state[*name].as_object().unwrap();
            assert!(object.keys().all(|key| members.contains(&key.as_str())), "{row:?}");
        }
    }
    assert_eq!(state.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
}

/// What a job has in its environment, and the lines of its key file.
#[derive(Clone, Default, Debug, PartialEq)]
struct Sealing {
    keys: Vec<&'static str>,
    accepts: Option<&'static str>,
}

impl Sealing {
    /// After this cell of the page's table.
    fn after(&self, cell: &'static str) -> Self {
        let mut next = self.clone();
        for word in code_words(cell) {
            if let Some(value) = word.strip_prefix("PAYTOKEN_ACCEPT_UNSEALED=") {
                next.accepts = Some(value);
            }
        }
        match cell {
            _ if cell.starts_with("the key file, and ") => next.keys = vec!["new"],
            "remove `PAYTOKEN_ACCEPT_UNSEALED`" => next.accepts = None,
            "remove it and the key file" => next = Self::default(),
            "the new key as the **second** line" => next.keys = vec!["old", "new"],
            "the new key as the first line, the old one as the second" => {
                next.keys = vec!["new", "old"];
            }
            "remove the old key" => next.keys = vec!["new"],
            _ if next.accepts != self.accepts => {}
            _ => panic!("nobody knows what to do: {cell}"),
        }
        next
    }
}

fn sealing_steps() {
    let rows = rows(STORES, "| | turn sealing on | turn it off | change the key |");
    let new = || Sealing { keys: vec!["new"], accepts: None };
    let columns = [
        (1, Sealing::default(), new()),
        (2, new(), Sealing::default()),
        (3, Sealing { keys: vec!["old"], accepts: None }, new()),
    ];
    for (column, first, last) in columns {
        let world = World::new();
        let keys: BTreeMap<_, _> = ["old", "new"]
            .map(|name| (name, text(world.paytoken(&["new-store-key"]).output().unwrap())))
            .into();
        let mut steps = vec![first];
        for row in &rows {
            steps.push(steps[steps.len() - 1].after(row[column]));
        }
        assert_eq!(steps[steps.len() - 1], last, "column {column}");
        let run = |job: usize, has: &Sealing, more: &[&str]| {
            let mut command = send(&world, more);
            if !has.keys.is_empty() {
                let path = world.folder.join(format!("key-{job}"));
                let lines = has.keys.iter().map(|name| keys[name].clone() + "\n");
                write_private(&path, lines.collect::<String>());
                command.env("PAYTOKEN_STORE_KEY_FILE", path);
            }
            text(
                command
                    .envs(has.accepts.map(|to| ("PAYTOKEN_ACCEPT_UNSEALED", to)))
                    .output()
                    .unwrap(),
            )
        };
        // Three jobs, which have the next step one after the other; each renews, and all find its token.
        let mut jobs = vec![steps[0].clone(); 3];
        let mut requests = 0;
        for step in &steps {
            for next in 0..jobs.len() {
                jobs[next] = step.clone();
                for renewing in 0..jobs.len() {
                    let token = run(renewing, &jobs[renewing], &["--force"]);
                    requests += 1;
                    for (job, has) in jobs.iter().enumerate() {
                        assert_eq!(run(job, has, &[]), token, "column {column}: {jobs:?}");
                    }
                }
            }
        }
        assert_eq!(
            world.sandbox.token_requests(SEND),
            requests,
            "column {column}: a token was lost"
        );
        let entry = fs::read(world.entry()).unwrap();
        assert_eq!(entry.starts_with(b"paytoken-sealed"), !last.keys.is_empty(), "column {column}");
    }
}
