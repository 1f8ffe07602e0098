//! The settings file, and what counts where a setting is given twice.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

use libtest_mimic::Trial;
use paytoken_sandbox::Service;
use paytoken_testing::{has_tool, say, write_private};

use crate::support::{PAYTOKEN, World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("accounts_of_the_settings_file_are_used_by_their_names", accounts),
        trial("an_option_counts_before_a_variable_and_that_before_the_file", order),
        trial("what_all_accounts_share_stands_once_and_an_accounts_own_key_wins", defaults),
        trial("what_is_one_accounts_alone_is_no_default", no_defaults),
        trial("a_secret_comes_from_the_file_from_another_file_or_from_a_command", secrets),
        trial("a_mistake_in_the_file_is_named_with_the_way_out_and_no_secret", mistakes),
        trial("a_key_or_table_that_stands_twice_is_named_as_that", twice),
        trial("where_no_file_was_found_the_place_is_named_that_was_looked_at", looked_for),
        trial("a_file_that_others_can_read_or_change_is_refused", modes),
        trial("a_file_that_a_setting_names_is_refused_where_others_have_a_hand_in_it", named_files),
        trial("on_a_read_only_mount_owner_and_mode_of_a_file_do_not_count", read_only_mounts),
        #[cfg(feature = "pages")]
        trial("completions_know_the_providers_and_the_accounts_of_the_settings_file", completions),
        trial("the_file_is_found_where_the_user_keeps_settings", places),
    ]
}

/// `paytoken` with a settings file, and nothing in its environment but the path of that.
pub(crate) fn with_file(world: &World, content: &str, arguments: &[&str]) -> Command {
    let path = config(world, content);
    let mut command = world.paytoken(arguments);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("PAYTOKEN_CONFIG", path);
    command
}

fn config(world: &World, content: &str) -> PathBuf {
    let path = world.folder.join("config.toml");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A table for this service, complete but for the secret.
pub(crate) fn table(world: &World, name: &str, service: Service) -> String {
    let facts = service.facts();
    let mut table = format!(
        "[{name}]\nprovider = \"{}\"\nenvironment = \"sandbox\"\nbase_url = \"{}\"\n{} = \"{}\"\nca = \"ca.pem\"\nstore = \"store\"\n",
        facts.name,
        world.sandbox.url(service),
        facts.fields[0].name,
        world.sandbox.client_id(service),
    );
    if facts.takes_certificate {
        table += "certificate = \"client.cert.pem\"\nprivate_key = \"client.key.pem\"\n";
    }
    table
}

fn secret(world: &World, service: Service) -> String {
    let name = service.facts().fields[1].name;
    format!("{name} = \"{}\"\n", world.sandbox.client_secret(service))
}

pub(crate) fn whole(world: &World, name: &str, service: Service) -> String {
    table(world, name, service) + &secret(world, service)
}

pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn accounts() {
    let world = World::new();
    let send = Service::SendPayments;
    world.sandbox.add_client(send, "merchant-8", "secret of eight");
    let mut file: String =
        Service::ALL.iter().map(|&service| whole(&world, service.facts().name, service)).collect();
    file += &whole(&world, "merchant-7", send).replace("\"store\"", "\"other-store\"");
    let eight =
        table(&world, "merchant-8", send).replace(world.sandbox.client_id(send), "merchant-8");
    file += &(eight + "client_secret = \"secret of eight\"\n");
    let run = |arguments: &[&str]| with_file(&world, &file, arguments).output().unwrap();
    for &service in Service::ALL {
        let token = text(run(&["token", service.facts().name]));
        assert!(world.sandbox.is_valid(service, &token));
        assert_eq!(text(run(&["token", service.facts().name])), token);
    }
    let eight = text(run(&["token", "merchant-8"]));
    assert!(world.sandbox.is_valid(send, &eight));
    assert_eq!(world.sandbox.token_requests_by(send, "merchant-8"), 1);
    assert_ne!(text(run(&["token", "merchant-7"])), eight);
    assert!(world.folder.join("store").is_dir() && world.folder.join("other-store").is_dir());
    let status = text(run(&["status"]));
    assert_eq!(status.lines().count(), 5, "{status}");
    assert!(status.contains("merchant-8     token good for 4 min"), "{status}");
    // A provider's variables are not another account's.
    let mut command = with_file(&world, &file, &["token", "merchant-8"]);
    command.env("SENDPAYMENTS_CLIENT_ID", "x").env("SENDPAYMENTS_CLIENT_SECRET", "x");
    assert_eq!(text(command.output().unwrap()), eight);
    // Mistyped, it is suggested.
    let output = run(&["token", "merchnt-8"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(told(&output).contains("did you mean merchant-8?"), "{}", told(&output));
    let output = run(&["token", "no-such-thing"]);
    assert!(told(&output).contains("send-payments, merchant-7, merchant-8)"), "{}", told(&output));
}

fn order() {
    let world = World::new();
    let service = Service::NexterPay;
    let wrong = whole(&world, "nexter-pay", service)
        .replace(&world.sandbox.url(service), "https://127.0.0.1:1")
        .replace(world.sandbox.client_secret(service), "of-the-file")
        .replace("\"store\"", "\"of-file\"");
    let mut variables = world.variables.clone();
    variables.push(("PAYTOKEN_STORE".to_owned(), world.store().to_str().unwrap().to_owned()));
    let mut command = with_file(&world, &wrong, &["token", "nexter-pay"]);
    let token = text(command.envs(variables.clone()).output().unwrap());
    assert!(world.sandbox.is_valid(service, &token) && !world.folder.join("of-file").exists());
    // Either form of a variable hides both of the file.
    let path = world.folder.join("secret");
    write_private(&path, world.sandbox.client_secret(service));
    let mut command = with_file(&world, &wrong, &["token", "nexter-pay", "--force"]);
    command
        .envs(variables.clone())
        .env_remove("NEXTERPAY_PASSWORD")
        .env("NEXTERPAY_PASSWORD_FILE", &path);
    text(command.output().unwrap());
    let elsewhere = world.folder.join("of-option");
    let arguments =
        ["token", "nexter-pay", "--timeout", "2s", "--store", elsewhere.to_str().unwrap()];
    let mut command = with_file(
        &world,
        &wrong,
        &[&arguments[..], &["--base-url", "https://127.0.0.1:2"]].concat(),
    );
    let output = command.envs(variables).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", told(&output));
    assert!(elsewhere.exists());
}

fn defaults() {
    let world = World::new();
    let shared = "ca = \"ca.pem\"\nstore = \"store\"\n";
    let mut file = format!("[defaults]\n{shared}timeout = \"20s\"\nconnect_timeout = \"10s\"\n");
    for &service in Service::ALL {
        file += &whole(&world, service.facts().name, service).replace(shared, "");
    }
    let own = whole(&world, "merchant-7", Service::SendPayments);
    file += &own.replace("\"store\"", "\"own\"");
    let run = |arguments: &[&str]| with_file(&world, &file, arguments).output().unwrap();
    for name in ["ntx-pay", "nexter-pay", "send-payments"] {
        text(run(&["token", name]));
    }
    assert!(!world.folder.join("own").exists());
    text(run(&["token", "merchant-7"]));
    assert!(world.folder.join("own").is_dir(), "its own key wins");
    assert!(text(run(&["purge"])).starts_with("0 removed from /"));
    assert!(text(run(&["purge"])).contains(&*world.store().to_string_lossy()));
    // They are no account.
    let status = text(run(&["status"]));
    assert_eq!(status.lines().count(), 4, "{status}");
    let output = run(&["token", "defaults"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(told(&output).contains("[defaults] is what all accounts share"), "{}", told(&output));
    // Where a setting came from is told.
    let table = text(run(&["check", "nexter-pay"]));
    let row = format!("from store in [defaults] of {}/config.toml", world.folder.display());
    assert!(table.contains(&row), "{table}");
    let row = format!("from ca in {}/config.toml", world.folder.display());
    assert!(text(run(&["check", "merchant-7"])).contains(&row));
    // A variable and an option count before them, as before an account's own.
    let mut command = with_file(&world, &file, &["token", "nexter-pay"]);
    let elsewhere = world.folder.join("elsewhere");
    text(command.env("PAYTOKEN_STORE", &elsewhere).output().unwrap());
    assert!(elsewhere.is_dir());
    // An account that only the environment sets up shares them, too.
    let alone = file.split("[ntx-pay]").next().unwrap().replace("\"store\"", "\"of-defaults\"");
    let mut command = with_file(&world, &alone, &["token", "nexter-pay"]);
    command.envs(world.variables.iter().filter(|(name, _)| name != "PAYTOKEN_CA").cloned());
    text(command.output().unwrap());
    assert!(world.folder.join("of-defaults").is_dir());
    // The time is each account's.
    let brief = file.replace("timeout = \"20s\"", "timeout = \"700ms\"")
        + "[slow]\nprovider = \"nexter-pay\"\nuser_name = \"x\"\npassword_command = [\"sleep\", \"60\"]\n";
    for (own, says) in [("", "(700ms)"), ("timeout = \"900ms\"\n", "(900ms)")] {
        let mut command = with_file(&world, &(brief.clone() + own), &["token", "slow"]);
        let output = command.output().unwrap();
        assert!(told(&output).contains(says), "{}", told(&output));
    }
    // An account may turn one off: it goes to the store that it had without the defaults, and asks authorities
    // that do not know the sandbox.
    let home = world.folder.join("cache");
    let turned_off = |key: &str| {
        let line = format!("{key} = \"\"\n");
        let file = file.replace("[nexter-pay]\n", &format!("[nexter-pay]\n{line}"));
        let mut command = with_file(&world, &file, &["check", "nexter-pay"]);
        let output = command.env("XDG_CACHE_HOME", &home).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let table = turned_off("store");
    assert!(table.contains(&format!("{}/paytoken, the default", home.display())), "{table}");
    let table = turned_off("ca");
    assert!(table.contains("the built-in ones (Mozilla's)"), "{table}");
    for key in ["store_key_file", "accept_unsealed", "certificate_warning", "store_ca"] {
        let says = format!("{key}: is empty, and [defaults] has none that it could turn off");
        let table = turned_off(key);
        assert!(table.contains(&says), "{key}: {table}");
    }
    // A password in them is a secret in the file.
    let with_password = file.replace("\"store\"", "\"redis://x:hunter2@127.0.0.1:1\"");
    let mut command = with_file(&world, &with_password, &["token", "nexter-pay"]);
    let path = world.folder.join("config.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let output = command.output().unwrap();
    assert!(told(&output).contains("chmod 600"), "{}", told(&output));
    assert!(!told(&output).contains("hunter2"), "{}", told(&output));
}

fn no_defaults() {
    let world = World::new();
    let good = whole(&world, "send-payments", Service::SendPayments);
    for (line, says) in [
        ("client_secret = \"hunter2\"", "client_secret: belongs to one account"),
        ("client_id = \"x\"", "client_id: belongs to one account"),
        ("password_command = [\"x\"]", "password_command: belongs to one account"),
        ("certificate = \"x\"", "certificate: belongs to one account"),
        ("base_url = \"https://x\"", "base_url: belongs to one account"),
        ("environment = \"sandbox\"", "environment: belongs to one account"),
        ("provider = \"ntx-pay\"", "provider: belongs to one account"),
        ("stroe = \"x\"", "stroe: not known for [defaults]; did you mean store?"),
        ("quux = \"x\"", "quux: not known for [defaults]"),
        ("store = 5", "store: has to be a path"),
        ("store = \"~you/x\"", "store: only ~/ is understood"),
        ("timeout = \"soon\"", "timeout: not a time"),
    ] {
        let file = format!("[defaults]\n{line}\n{good}");
        let output = with_file(&world, &file, &["token", "send-payments"]).output().unwrap();
        let told = told(&output);
        assert_eq!(output.status.code(), Some(78), "{line}: {told}");
        assert!(told.contains("[defaults]") && told.contains(says), "{says}: {told}");
        assert!(!told.contains("hunter2") && told.lines().count() == 1, "{told}");
    }
    // A name that is meant as theirs would leave them out in silence.
    for name in ["default", "Defaults", "DEFAULTS", "defualts"] {
        let file = format!("{good}[{name}]\nstore = \"other\"\n");
        let output = with_file(&world, &file, &["token", "send-payments"]).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{name}: {output:?}");
        let says =
            format!("[{name}] has no provider, so it is no account: did you mean [defaults]?");
        assert!(told(&output).contains(&says), "{}", told(&output));
        let file = file.replace("\"other\"", "\"other\"\nprovider = \"ntx-pay\"");
        text(with_file(&world, &file, &["token", "send-payments"]).output().unwrap());
    }
    let output = with_file(&world, &format!("defaults = 5\n{good}"), &["token", "send-payments"]);
    let output = { output }.output().unwrap();
    assert!(told(&output).contains("defaults stands outside of a table"), "{}", told(&output));
}

fn secrets() {
    let world = World::new();
    let service = Service::NexterPay;
    let secret = world.sandbox.client_secret(service);
    write_private(world.folder.join("a secret"), format!("{secret}\n"));
    for way in [
        format!("password = '{secret}'"),
        "password_file = \"a secret\"".into(),
        format!("password_file = \"{}/a secret\"", world.folder.display()),
        format!("password_command = [\"cat\", \"{}/a secret\"]", world.folder.display()),
        format!("password_command = [\"printf\", \"%s\", \"{secret}\"]"),
    ] {
        let file = table(&world, "nexter-pay", service) + &way;
        let mut command = with_file(&world, &file, &["token", "nexter-pay", "--force"]);
        let token = text(command.current_dir("/").output().unwrap());
        assert!(world.sandbox.is_valid(service, &token), "{way}");
        // A stored token needs no secret, so the command is not run.
        let file = table(&world, "nexter-pay", service) + "password_command = [\"false\"]";
        assert_eq!(
            text(with_file(&world, &file, &["token", "nexter-pay"]).output().unwrap()),
            token
        );
    }
}

fn mistakes() {
    let world = World::new();
    let service = Service::SendPayments;
    let good = whole(&world, "send-payments", service);
    let secret = world.sandbox.client_secret(service);
    for (file, says) in [
        (good.replace("client_secret =", "client_sceret ="), "did you mean client_secret?"),
        (good.replace("base_url", "baseurl"), "did you mean base_url?"),
        (good.clone() + "password = \"x\"", "password: not known for send-payments"),
        (good.clone() + "certificate = \"x\"", "certificate: not known"),
        (good.clone() + "client_secret_file = \"x\"", "are both set; keep one"),
        (good.replace("client_secret = \"", "client_secret = "), "is not TOML"),
        (good.replace("[send-payments]", "[[send-payments]]"), "is a list of tables; write [send"),
        (good.clone() + "timeout = \"soon\"", "timeout: not a time"),
        (good.clone() + "timeout = 5", "timeout: has to be a text"),
        (good.replace("\"sandbox\"", "\"live\""), "environment"),
        (good.replace("\"send-payments\"", "\"sendpayments\""), "provider: not known"),
        (good.replace("\"send-payments\"", "\"ntx-pay\""), "another one than the table's name"),
        (format!("client_secret = \"{secret}\"\n{good}"), "stands outside of a table"),
        (good.replace("client_id =", "client_id_file ="), "cannot read"),
        (table(&world, "send-payments", service), "client_secret: not set"),
        (good.replace("\"ca.pem\"", "\"no-ca.pem\""), "ca: cannot read"),
        (good.replace("\"store\"", "\"~you/x\""), "store: only ~/ is understood"),
        (good.replace("ca =", "client_secret_command = 5\nca ="), "has to be an array"),
    ] {
        let output = with_file(&world, &file, &["token", "send-payments"]).output().unwrap();
        let told = told(&output);
        assert!(matches!(output.status.code(), Some(78 | 64)), "{file}: {told}");
        assert!(told.contains(says) && told.lines().count() == 1, "{says}: {told}");
        assert!(!told.contains(secret) && !told.contains("SENDPAYMENTS_CLIENT_S"), "{told}");
    }
    let file = good.replace("provider = \"send-payments\"\n", "").replace("[send-", "[merchant-");
    let output = with_file(&world, &file, &["token", "merchant-payments"]).output().unwrap();
    assert!(told(&output).contains("provider is missing"), "{}", told(&output));
    // Another account's mistake is none of this one's.
    let file = good + "[other]\nclient_sceret = \"x\"\n";
    text(with_file(&world, &file, &["token", "send-payments"]).output().unwrap());
    let table = text(with_file(&world, &file, &["check", "send-payments"]).output().unwrap());
    assert!(table.contains("warning  settings file") && table.contains("[other]"), "{table}");
    let mut command = world.paytoken(&["token", "send-payments"]);
    let output = command.env("PAYTOKEN_CONFIG", "/no/such/file").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(told(&output).contains("/no/such/file"), "{}", told(&output));
}

fn twice() {
    let world = World::new();
    let good = whole(&world, "send-payments", Service::SendPayments);
    let last = good.lines().count();
    for (more, line, says) in [
        ("client_id = \"hunter2\"\n", 1, ": client_id stands here for the second time"),
        ("\"client_id\" = \"hunter2\"\n", 1, ": \"client_id\" stands here for the second"),
        ("[x]\na = 1\n[send-payments]\n", 3, ": the table [send-payments] stands here for"),
        ("\n  [send-payments] # again\n", 2, ": the table [send-payments] stands here for"),
        ("[x]\ny = \"hunter2\"\ny = \"hunter2\"\n", 3, ": y stands here for the second time"),
        ("[x]\ny = {a = 1, a = 2}\n", 2, ": a stands here for the second time"),
        ("[x.y]\n[x]\ny = 1\n", 3, ": y stands here for the second time"),
        ("[[x]]\n[x]\n", 2, ": the table [x] stands here for the second time"),
        ("[[x]]\n[x]\n\n\ny = hunter2\n", 2, ": the table [x] stands here for the second time"),
        // What is no TOML is not said to stand twice.
        ("client_id = hunter2\n", 1, " is not TOML"),
    ] {
        let output = with_file(&world, &(good.clone() + more), &["token", "send-payments"]);
        let output = { output }.output().unwrap();
        let told = told(&output);
        assert_eq!(output.status.code(), Some(78), "{more}: {told}");
        assert!(told.contains(&format!("line {}{says}", last + line)), "{more}: {told}");
        assert!(!told.contains("hunter2") && told.lines().count() == 1, "{told}");
        // As a row, which monitoring reads.
        let mut run = with_file(&world, &(good.clone() + more), &["check", "--json"]);
        let output = run.output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let row = &json[0]["rows"][0];
        assert_eq!((&row["what"], output.status.code()), (&"settings file".into(), Some(78)));
        assert!(row["text"].as_str().unwrap().contains(says), "{json:#}");
    }
}

fn looked_for() {
    let world = World::new();
    let home = world.folder.to_str().unwrap();
    for (variables, path) in [
        (&[("HOME", home)][..], format!("{home}/.config/paytoken/config.toml")),
        (&[("HOME", "/x"), ("XDG_CONFIG_HOME", home)], format!("{home}/paytoken/config.toml")),
        // One that is not absolute does not count.
        (&[("HOME", home), ("XDG_CONFIG_HOME", "x")], format!("{home}/.config/paytoken/config")),
    ] {
        let mut command = world.paytoken(&["token", "merchant-7"]);
        command.env_clear().envs(variables.iter().copied());
        let output = command.output().unwrap();
        let told = told(&output);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(
            told.contains(&format!("PAYTOKEN_CONFIG is not set, and there is no {path}")),
            "{told}"
        );
    }
    // Where there is one, its accounts are named.
    let output = with_file(&world, "[x]\n", &["token", "merchant-7"]).output().unwrap();
    let told = told(&output);
    assert!(told.contains("(x)") && !told.contains("there is no"), "{told}");
}

fn modes() {
    let world = World::new();
    let service = Service::NexterPay;
    let inline = whole(&world, "nexter-pay", service);
    write_private(world.folder.join("secret"), world.sandbox.client_secret(service));
    let apart = table(&world, "nexter-pay", service) + "password_file = \"secret\"";
    for (content, mode, is_fine) in [
        (&inline, 0o600, true),
        (&inline, 0o400, true),
        (&inline, 0o640, false),
        (&inline, 0o604, false),
        (&inline, 0o644, false),
        (&apart, 0o644, true),
        (&apart, 0o664, false),
        (&apart, 0o646, false),
    ] {
        let mut command = with_file(&world, content, &["token", "nexter-pay"]);
        let path = world.folder.join("config.toml");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let output = command.output().unwrap();
        let told = told(&output);
        assert_eq!(output.status.success(), is_fine, "{mode:o}: {told}");
        assert!(is_fine || told.contains("chmod 600"), "{mode:o}: {told}");
        assert!(!told.contains(world.sandbox.client_secret(service)));
    }
    let mut command = with_file(&world, &inline, &["token", "nexter-pay"]);
    let path = world.folder.join("config.toml");
    if Command::new("chown").arg("65534").arg(&path).output().unwrap().status.success() {
        let output = command.output().unwrap();
        assert!(told(&output).contains("another user"), "{}", told(&output));
    }
}

/// The rule of docs/command.md, for each setting that names a file: by `token`, and by `check`, which
/// says the same.
fn named_files() {
    let world = World::new();
    let service = Service::NtxPay;
    let key = text(world.paytoken(&["new-store-key"]).output().unwrap()) + "\n";
    write_private(world.folder.join("secret"), world.sandbox.client_secret(service));
    write_private(world.folder.join("store.key"), key);
    let both = [world.sandbox.client_key_pem(), world.sandbox.client_certificate_pem()].concat();
    write_private(world.folder.join("both.pem"), both);
    let apart = table(&world, "ntx-pay", service)
        + "client_secret_file = \"secret\"\nstore_key_file = \"store.key\"\n";
    let together = apart
        .replace("client.cert.pem", "both.pem")
        .replace("private_key = \"client.key.pem\"\n", "");
    for (content, name, holds_a_secret) in [
        (&apart, "secret", true),
        (&apart, "store.key", true),
        (&apart, "client.key.pem", true),
        (&apart, "client.cert.pem", false),
        (&apart, "ca.pem", false),
        (&together, "both.pem", true),
    ] {
        let path = world.folder.join(name);
        for (mode, is_fine) in [
            (0o600, true),
            (0o400, true),
            (0o640, !holds_a_secret),
            (0o604, !holds_a_secret),
            (0o644, !holds_a_secret),
            (0o444, !holds_a_secret),
            (0o620, false),
            (0o602, false),
            (0o664, false),
            (0o666, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let run = |arguments: &[&str]| with_file(&world, content, arguments).output().unwrap();
            let output = run(&["token", "ntx-pay", "--force"]);
            let told = told(&output);
            assert_eq!(output.status.success(), is_fine, "{name} {mode:o}: {told}");
            let says = "; chmod 600 it";
            assert!(is_fine || told.contains(says), "{name} {mode:o}: {told}");
            let table = String::from_utf8(run(&["check", "ntx-pay"]).stdout).unwrap();
            let wrong = table.lines().find(|line| line.starts_with("wrong") && line.contains(says));
            assert_eq!(wrong.is_none(), is_fine, "{name} {mode:o}: {table}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        if Command::new("chown").arg("65534").arg(&path).output().unwrap().status.success() {
            let output = with_file(&world, content, &["token", "ntx-pay", "--force"]).output();
            let told = told(&output.unwrap());
            assert!(told.contains("belongs to another user"), "{name}: {told}");
            Command::new("chown").arg("0").arg(&path).output().unwrap();
        }
    }
    // A stored token needs no key, and curl would be given it.
    let run = |arguments: &[&str]| with_file(&world, &apart, arguments).output().unwrap();
    text(run(&["token", "ntx-pay"]));
    let url = world.sandbox.url(service);
    for (name, mode) in [("client.key.pem", 0o644), ("client.cert.pem", 0o666), ("ca.pem", 0o602)] {
        let path = world.folder.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let output = run(&["curl", "ntx-pay", "--", "-sS", &url]);
        assert_eq!(output.status.code(), Some(78), "{name}: {output:?}");
        assert!(told(&output).contains("; chmod 600 it"), "{name}: {output:?}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    // What the caller has opened is the caller's to judge, and a pipe has no readers but its own.
    fs::set_permissions(world.folder.join("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let script = "exec \"$0\" token ntx-pay --force < secret";
    for opened in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let path = config(&world, &apart.replace("\"secret\"", &format!("\"{opened}\"")));
        let mut shell = Command::new("sh");
        shell.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        shell.env("PAYTOKEN_CONFIG", path).current_dir(&world.folder);
        text(shell.args(["-c", script, PAYTOKEN]).output().unwrap());
    }
}

/// As Kubernetes (0644, behind links), Docker (0444) and compose (of a user of the host) hand in
/// secrets: in a mount namespace of the test's own.
fn read_only_mounts() {
    let world = World::new();
    let service = Service::NexterPay;
    let content = table(&world, "nexter-pay", service) + "password_file = \"m/..data/secret\"\n";
    let path = config(&world, &content);
    let script = r#"
        mkdir m && mount -t tmpfs none m || exit 99
        mkdir m/..2026 && cat > m/..2026/secret && ln -s ..2026 m/..data
        chmod "$2" m/..2026/secret && chown "$3" m/..2026/secret
        [ "$4" = rw ] || mount -o "remount,bind,$4" m
        exec "$1" token nexter-pay --force"#;
    let run = |mode: &str, owner: &str, mount: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh", PAYTOKEN, mode, owner, mount]);
        command.env("PAYTOKEN_CONFIG", &path).current_dir(&world.folder);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let secret = world.sandbox.client_secret(service);
        // Where nothing can be mounted, nobody reads it.
        let _ = child.stdin.take().unwrap().write_all(secret.as_bytes());
        let output = child.wait_with_output().unwrap();
        let _ = fs::remove_dir(world.folder.join("m"));
        output
    };
    if !has_tool("unshare") || !matches!(run("600", "0", "rw").status.code(), Some(0)) {
        return say("not run where nothing can be mounted: on_a_read_only_mount_owner_and_mode");
    }
    for (mode, owner) in [("644", "0"), ("444", "0"), ("644", "1000"), ("666", "1000")] {
        text(run(mode, owner, "ro"));
        let output = run(mode, owner, "rw");
        assert_eq!(output.status.code(), Some(78), "{mode} {owner}: {output:?}");
    }
}

fn places() {
    let world = World::new();
    let service = Service::NexterPay;
    let content = whole(&world, "nexter-pay", service)
        .replace("\"ca.pem\"", &format!("\"{}/ca.pem\"", world.folder.display()));
    let real = config(&world, &content);
    for (variable, folder) in [("HOME", ".config/paytoken"), ("XDG_CONFIG_HOME", "paytoken")] {
        let home = world.folder.join(format!("of-{variable}"));
        fs::create_dir_all(home.join(folder)).unwrap();
        // A link is fine: it is the file that counts.
        symlink(&real, home.join(folder).join("config.toml")).unwrap();
        let mut command = world.paytoken(&["token", "nexter-pay"]);
        command.env_clear().env(variable, &home).current_dir("/");
        text(command.output().unwrap());
        assert!(home.join(folder).join("store").is_dir(), "relative to where the file was found");
    }
}

#[cfg(feature = "pages")]
fn completions() {
    let world = World::new();
    let marker = world.folder.join("marker");
    let file = format!(
        "[defaults]\n[merchant-7]\n[ntx-pay]\n[\"Merch_8.b\"]\n[\"$(touch {})\"]\n[\"`x`\"]\n",
        marker.display()
    );
    let complete = |content: &str, shell: &str, script: &str| {
        let scripts = world.folder.join("completions");
        let written = world.paytoken(&["completions", shell]).output().unwrap();
        fs::write(&scripts, text(written)).unwrap();
        let path = std::path::Path::new(PAYTOKEN).parent().unwrap().display();
        let command = with_file(&world, content, &[]);
        let path = format!("{path}:{}", std::env::var("PATH").unwrap());
        let mut run = Command::new(shell);
        run.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        run.env("PATH", path).env("HOME", &world.folder).args(["-c", script]).arg(&scripts);
        text(run.output().unwrap())
    };
    let bash = |word: &str| {
        format!(
            ". \"$0\"; COMP_WORDS=(paytoken check '{word}'); COMP_CWORD=2; _paytoken paytoken '{word}' check; echo \"${{COMPREPLY[@]}}\""
        )
    };
    assert_eq!(complete(&file, "bash", &bash("mer")), "merchant-7");
    assert_eq!(complete(&file, "bash", &bash("Mer")), "Merch_8.b");
    assert_eq!(complete(&file, "bash", &bash("n")), "ntx-pay nexter-pay");
    // Where the file cannot be read, the providers are known, and nothing is said.
    assert_eq!(complete("no TOML", "bash", &bash("n")), "ntx-pay nexter-pay");
    assert!(!marker.exists());
    if has_tool("fish") {
        let fish = "source $argv[1]; complete -C 'paytoken token '";
        let found = complete(&file, "fish", fish);
        let mut found: Vec<_> = found.lines().collect();
        found.sort_unstable();
        assert_eq!(found, ["Merch_8.b", "merchant-7", "nexter-pay", "ntx-pay", "send-payments"]);
    }
    if has_tool("zsh") {
        // As _arguments evaluates what stands in parentheses.
        let script = text(world.paytoken(&["completions", "zsh"]).output().unwrap());
        let names = script.lines().find_map(|line| line.split_once(":(ntx-pay ")).unwrap().1;
        let names = names.strip_suffix(")' \\").unwrap();
        let zsh = format!("ws=(ntx-pay {names}); print -r -- $ws");
        let found = complete(&file, "zsh", &zsh);
        assert_eq!(found, "ntx-pay nexter-pay send-payments merchant-7 Merch_8.b");
    }
    assert!(!marker.exists());
}
