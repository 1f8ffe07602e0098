//! The pages' crontab lines and units, as cron and systemd would use them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

use libtest_mimic::Trial;
use paytoken::Provider;
use paytoken_sandbox::{Service, example_call};
use paytoken_testing::{has_tool, is_installed, say, write_private};

use crate::support::{PAYTOKEN, World};
use crate::trial;

const PAGES: [&str; 2] =
    [include_str!("../../../README.md"), include_str!("../../../docs/cron.md")];

/// Each breaks some way of writing secrets down.
const SECRETS: [&str; 8] = [
    "plain",
    "pa$$word$HOME${HOME}$(id)",
    "two words  and more",
    "x;y#z",
    "back`id`tick",
    "quote\"and'quote",
    "back\\slash\\n\\\\",
    "all of it: $ \" ' # ; \\ ` % & | < > ( ) * ? ~ !",
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "the_pages_crontab_lines_work_in_dash_with_crons_environment_and_any_secret",
            crontab,
        ),
        trial("the_pages_units_are_ones_that_systemd_takes", units),
        trial("the_debian_packages_units_are_the_pages", examples),
    ]
}

/// The blocks of this language on a page.
pub(crate) fn blocks(page: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    let rest = page.split(&begin).skip(1);
    rest.map(|rest| rest.split("\n```").next().unwrap().to_owned() + "\n").collect()
}

fn crontab() {
    if !has_tool("curl") || !has_tool("dash") {
        return;
    }
    let mut lines = 0;
    for page in PAGES {
        let settings: String = blocks(page, "toml")
            .into_iter()
            .filter(|block| block.contains("environment"))
            .collect();
        for line in blocks(page, "crontab") {
            lines += 1;
            for (number, secret) in SECRETS.iter().enumerate() {
                // A file of its own, literal text, and a basic string, in turn.
                run(&settings, &line, secret, number % 3);
            }
        }
    }
    assert_eq!(lines, 3);
}

fn run(settings: &str, line: &str, secret: &str, way: usize) {
    let world = World::new();
    let home = world.folder.join("home");
    let folder = home.join(".config/paytoken");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(home.join(".cargo/bin")).unwrap();
    symlink(PAYTOKEN, home.join(".cargo/bin/paytoken")).unwrap();
    let (schedule, command) = split(line);
    assert!(schedule.starts_with("*/5 ") && !command.contains('%'), "{line}");
    let account = command.split_whitespace().nth(2).unwrap();
    let service = service_of(settings, account);
    world.sandbox.add_client(service, "merchant-7", secret);
    for name in ["cert", "key"] {
        fs::copy(
            world.folder.join(format!("client.{name}.pem")),
            folder.join(format!("client.{name}.pem")),
        )
        .unwrap();
    }
    // The page's table, with the sandbox's address and authority, and this secret.
    let own = settings.split("\n\n").find(|table| table.contains(&format!("[{account}]"))).unwrap();
    let key = service.facts().fields[1].name;
    let kept = own.lines().filter(|line| !line.starts_with(key) && !line.starts_with("base_url"));
    let mut file: String = kept.map(|line| line.to_owned() + "\n").collect();
    file += &format!(
        "base_url = \"{}\"\nca = \"{}\"\n",
        world.sandbox.url(service),
        world.folder.join("ca.pem").display()
    );
    file += &match way {
        0 => {
            write_private(folder.join("the secret"), format!("{secret}\n"));
            format!("{key}_file = \"the secret\"\n")
        }
        1 => format!("{key} = '''{secret}'''\n"),
        _ => format!("{key} = \"{}\"\n", secret.replace('\\', "\\\\").replace('"', "\\\"")),
    };
    fs::write(folder.join("config.toml"), file).unwrap();
    fs::set_permissions(folder.join("config.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let address = command.split_whitespace().find(|word| word.starts_with("https://")).unwrap();
    let (_, path) = example_call(service);
    let command = command.replace(address, &format!("{}{path}", world.sandbox.url(service)));
    let run = || in_cron(&home, &command);
    let log = home.join(command.rsplit_once("$HOME/").unwrap().1.trim());
    for expected in [1, 1, 2] {
        if expected == 2 {
            world.sandbox.revoke_all(service);
        }
        let output = run();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{command} {secret}: {output:?}"
        );
        assert!(output.stdout.is_empty(), "cron would mail it: {output:?}");
        assert_eq!(world.sandbox.token_requests_by(service, "merchant-7"), expected, "{secret}");
    }
    let log = fs::read_to_string(log).unwrap();
    assert!(!log.contains("401") && log.len() > 10, "{log}");
    assert_eq!(world.sandbox.counts(service).api_unauthorized, 1);
}

/// As cron does: its shell, and nothing in the environment but what it sets.
fn in_cron(home: &PathBuf, command: &str) -> Output {
    Command::new("dash")
        .args(["-c", command])
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("SHELL", "/bin/sh"), ("LOGNAME", "merchant")])
        .env("HOME", home)
        .current_dir(home)
        .output()
        .unwrap()
}

/// The five fields, and the command.
fn split(line: &str) -> (&str, &str) {
    let mut end = 0;
    for _ in 0..5 {
        end += line[end..].find(' ').unwrap() + 1;
    }
    (&line[..end], line[end..].trim_end())
}

fn service_of(settings: &str, account: &str) -> Service {
    let table = settings.split(&format!("[{account}]")).nth(1).unwrap();
    let named = table
        .split("\n\n")
        .next()
        .unwrap()
        .lines()
        .find_map(|line| line.strip_prefix("provider = "));
    let name = named.map_or(account, |name| name.trim_matches('"'));
    let provider: Provider = name.parse().unwrap();
    *Service::ALL.iter().find(|service| service.facts().name == provider.facts().name).unwrap()
}

fn examples() {
    let page = blocks(PAGES[1], "ini");
    let example = |name| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/debian/examples/");
        fs::read_to_string(format!("{folder}{name}")).unwrap()
    };
    assert_eq!(page, ["balance.service", "balance.timer"].map(example));
}

fn units() {
    // It comes with an init system, which a machine that only tests need not have.
    if !is_installed("systemd-analyze") {
        return say("not run: systemd-analyze is not installed here");
    }
    let world = World::new();
    let with_units = PAGES.iter().filter(|page| !blocks(page, "ini").is_empty());
    let mut pages = 0;
    for page in with_units {
        pages += 1;
        let folder = world.folder.join(format!("units-{pages}"));
        fs::create_dir(&folder).unwrap();
        let mut units = BTreeMap::new();
        for block in blocks(page, "ini") {
            let name = if block.contains("[Timer]") { "balance.timer" } else { "balance.service" };
            let block = block.replace("%h/.cargo/bin/paytoken", PAYTOKEN);
            assert!(units.insert(name, folder.join(name)).is_none(), "one of each");
            fs::write(folder.join(name), block).unwrap();
        }
        assert_eq!(units.len(), 2);
        let output =
            Command::new("systemd-analyze").arg("verify").args(units.values()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        // Of others' units on this machine it may complain.
        let ours: Vec<_> = told.lines().filter(|line| line.contains("balance")).collect();
        assert!(ours.is_empty(), "{told}");
    }
    assert_eq!(pages, 1);
}
