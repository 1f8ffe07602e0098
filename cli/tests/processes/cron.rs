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

use crate::settings::{table, with_file};
use crate::support::{PAYTOKEN, World, text};
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
        trial("going_live_as_the_page_says_gives_each_environment_a_token_of_its_own", going_live),
        trial("the_pages_units_are_ones_that_systemd_takes", units),
        trial("what_the_pages_unit_runs_works_with_what_the_unit_gives_it", unit_runs),
        trial("the_pages_lines_give_a_new_certificate_in_one_step", new_certificate),
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
        for line in blocks(page, "crontab").into_iter().chain(shell_line(page)) {
            lines += 1;
            for (number, secret) in SECRETS.iter().enumerate() {
                // A file of its own, literal text, and a basic string, in turn.
                run(&settings, &line, secret, number % 3);
            }
        }
    }
    assert_eq!(lines, 3);
}

/// What the README runs by hand, as the line of a crontab.
fn shell_line(page: &str) -> Option<String> {
    let run = blocks(page, "sh").into_iter().find(|block| block.starts_with("paytoken curl "))?;
    let run = run.replace("\\\n", "");
    Some(format!("*/5 * * * * $HOME/.cargo/bin/{} >> $HOME/balance.log\n", run.trim()))
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

fn going_live() {
    let world = World::new();
    let page = include_str!("../../../docs/going-live.md");
    let file: String = blocks(page, "toml")[0]
        .lines()
        .filter(|line| !line.starts_with("base_url"))
        .map(|line| line.to_owned() + "\n")
        .collect();
    let here =
        format!("base_url = \"{}\"\nca = \"ca.pem\"\n", world.sandbox.url(Service::NexterPay));
    let file = file.replace("environment", &format!("{here}environment"));
    world.sandbox.add_client(Service::NexterPay, "merchant-7", "of-this-test");
    for name in ["nexter-sandbox", "nexter-production"] {
        write_private(world.folder.join(name), "of-this-test\n");
    }
    let run = |arguments: &[&str]| text(with_file(&world, &file, arguments).output().unwrap());
    let requests = || world.sandbox.token_requests(Service::NexterPay);
    let lines = &blocks(page, "sh")[0];
    let lines: Vec<Vec<&str>> = lines
        .lines()
        .map(|line| line.split('#').next().unwrap().split_whitespace().skip(1).collect())
        .collect();
    for (line, sent) in lines.iter().zip([0, 1]) {
        run(line);
        assert_eq!(requests(), sent, "{line:?}");
    }
    assert_eq!(lines.len(), 2);
    assert_ne!(run(&["token", "shop"]), run(&["token", "shop-sandbox"]));
    assert_eq!(requests(), 2, "the one from `check --fetch` is kept");
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

/// The line of the page's unit that begins with these words, for the account `merchant-7`.
fn of_unit(begin: &str) -> String {
    let unit = &blocks(PAGES[1], "ini")[0];
    let line = unit.lines().find_map(|line| line.strip_prefix(begin)).unwrap();
    line.replace("%i", "merchant-7")
}

/// As systemd does: credentials under their names in a folder, `$CURL` split at blanks.
fn unit_runs() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    let service = Service::SendPayments;
    let example = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/debian/examples/");
        fs::read_to_string(format!("{folder}{name}")).unwrap()
    };
    let credentials = world.folder.join("credentials");
    fs::create_dir(&credentials).unwrap();
    assert_eq!(of_unit("LoadCredential=config.toml:"), "/etc/paytoken/config.toml");
    assert_eq!(of_unit("LoadCredential=account:"), "/etc/paytoken/merchant-7");
    let url = world.sandbox.url(service);
    let own = format!("{url}\"\nca = \"{}", world.folder.join("ca.pem").display());
    let file = example("config.toml").replace("https://send.example", &own);
    world.sandbox.add_client(service, "merchant-7", "its secret");
    write_private(credentials.join("config.toml"), file);
    write_private(credentials.join("account_secret"), "its secret\n");
    assert_eq!(of_unit("EnvironmentFile="), "/etc/paytoken/merchant-7.env");
    let curl = example("merchant-7.env")
        .replace("https://send.example/balance", &format!("{url}/accounts"));
    let curl = curl.lines().find_map(|line| line.strip_prefix("CURL=")).unwrap().to_owned();
    let config = of_unit("Environment=PAYTOKEN_CONFIG=");
    let config = config.replace("%d", &credentials.display().to_string());
    let run = |line: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &line.replace("/usr/bin/paytoken", PAYTOKEN)]).env_clear();
        shell.env("PATH", std::env::var_os("PATH").unwrap());
        shell.envs([("PAYTOKEN_CONFIG", &config), ("CURL", &curl)]);
        shell.env("CACHE_DIRECTORY", world.folder.join("cache")).output().unwrap()
    };
    for _ in 0..2 {
        let output = run(&of_unit("ExecStart="));
        assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
    }
    assert_eq!(world.sandbox.token_requests_by(service, "merchant-7"), 1);
    let output = run("/usr/bin/paytoken status merchant-7");
    assert!(text(output).contains("token good for"));
}

/// The page's lines, in a folder with the old pair and the new one, while another process watches.
fn new_certificate() {
    let world = World::new();
    let folder = |name: &str, days| {
        crate::status::certificate_for(&world, days);
        let folder = world.folder.join(name);
        fs::create_dir(&folder).unwrap();
        for (from, to) in
            [("client.cert.pem", "certificate.pem"), ("client.key.pem", "private.pem")]
        {
            fs::rename(world.folder.join(from), folder.join(to)).unwrap();
        }
    };
    folder("2025-09", 10);
    folder("2026-09", 300);
    symlink("2025-09", world.folder.join("current")).unwrap();
    let file = table(&world, "ntx-pay", Service::NtxPay)
        .replace("client.cert.pem", "current/certificate.pem")
        .replace("client.key.pem", "current/private.pem")
        + &format!("client_secret = \"{}\"\n", world.sandbox.client_secret(Service::NtxPay));
    let run = |words: &[&str]| with_file(&world, &file, words).output().unwrap();
    assert_eq!(run(&["status", "ntx-pay"]).status.code(), Some(2), "it ends soon");
    let old = text(run(&["token", "ntx-pay"]));
    let lines = blocks(PAGES[1], "sh").into_iter().find(|block| block.contains("mv -T")).unwrap();
    let mut shell = with_file(&world, &file, &[]);
    let path = format!("{}:{}", world.folder.join("bin").display(), std::env::var("PATH").unwrap());
    fs::create_dir(world.folder.join("bin")).unwrap();
    symlink(PAYTOKEN, world.folder.join("bin/paytoken")).unwrap();
    let config = shell.get_envs().find(|(name, _)| *name == "PAYTOKEN_CONFIG").unwrap().1.unwrap();
    let config = config.to_owned();
    shell = Command::new("sh");
    shell.args(["-ec", &lines]).env_clear().env("PATH", path).env("PAYTOKEN_CONFIG", config);
    let told = text(shell.current_dir(&world.folder).output().unwrap());
    assert!(
        told.contains("fits the certificate") && told.contains("expires in 299 days"),
        "{told}"
    );
    let new = text(run(&["token", "ntx-pay"]));
    assert_ne!(new, old);
    assert_eq!(text(run(&["token", "ntx-pay"])), new);
    assert_eq!(run(&["status", "ntx-pay"]).status.code(), Some(0));
    // And back.
    let back = "ln -s 2025-09 next; mv -T next current";
    text(Command::new("sh").args(["-ec", back]).current_dir(&world.folder).output().unwrap());
    assert_eq!(text(run(&["token", "ntx-pay"])), old);
    assert_eq!(world.sandbox.token_requests(Service::NtxPay), 2);
}

fn examples() {
    let page = blocks(PAGES[1], "ini");
    let example = |name| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/debian/systemd/");
        fs::read_to_string(format!("{folder}{name}")).unwrap()
    };
    assert_eq!(page, ["paytoken@.service", "paytoken@.timer"].map(example));
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
            let kind = if block.contains("[Timer]") { "timer" } else { "service" };
            let name = format!("paytoken@merchant-7.{kind}");
            let block = block.replace("/usr/bin/paytoken", PAYTOKEN);
            fs::write(folder.join(&name), block).unwrap();
            let path = folder.join(&name);
            assert!(units.insert(name, path).is_none(), "one of each");
        }
        assert_eq!(units.len(), 2);
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .args(units.values())
            .output();
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        // Of others' units on this machine it may complain.
        let ours: Vec<_> = told.lines().filter(|line| line.contains("paytoken")).collect();
        assert!(ours.is_empty(), "{told}");
    }
    assert_eq!(pages, 1);
}
