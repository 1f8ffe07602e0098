//! Where the store is, what is made on the way to it, with which modes, and under whose home: in a
//! login shell, under cron, in a unit and under sudo.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libtest_mimic::Trial;
use paytoken_sandbox::Service;

use crate::crashes::AnotherUser;
use crate::settings::{table, with_file};
use crate::support::{PAYTOKEN, World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_login_shell_and_cron_share_one_store", login_shell_and_cron),
        trial("a_unit_has_its_store_in_its_cache_directory_be_it_a_link", unit),
        trial("without_a_home_the_password_file_says_where_it_is", no_home),
        trial("looking_makes_nothing", looking),
        trial("under_sudo_nothing_is_made_in_the_users_home", sudo),
        trial("whatever_the_umask_the_store_is_private_and_works", umasks),
        trial("what_another_umask_left_without_modes_is_mended", left_without_modes),
        trial("a_tilde_is_not_a_directory", tilde),
        trial("a_link_is_refused_however_it_is_written", links),
        trial("what_looks_like_an_address_or_a_secret_is_no_directory", addresses),
        trial("an_address_with_a_password_is_refused_before_it_is_shown", passwords),
        trial("a_settings_file_s_path_that_may_be_a_secret_is_not_repeated", settings_paths),
        trial("a_store_that_somebody_opened_is_closed_again_and_that_is_told_once", opened),
    ]
}

const NTX: Service = Service::NtxPay;

/// The command without a named store, and with these variables beside the provider's.
fn unnamed(world: &World, variables: &[(&str, &Path)], arguments: &[&str]) -> Output {
    let mut command = world.paytoken(arguments);
    command.env_remove("PAYTOKEN_STORE").envs(variables.iter().copied());
    command.output().unwrap()
}

fn folder(world: &World, name: &str) -> PathBuf {
    let folder = world.folder.join(name);
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn login_shell_and_cron() {
    let world = World::new();
    let (home, session, cache) =
        (folder(&world, "home"), folder(&world, "session"), folder(&world, "cache"));
    let run = |variables: &[(&str, &Path)]| text(unnamed(&world, variables, &["token", "ntx-pay"]));
    let in_a_shell = run(&[("HOME", &home), ("XDG_RUNTIME_DIR", &session)]);
    assert_eq!(run(&[("HOME", &home)]), in_a_shell);
    assert_eq!(world.sandbox.token_requests(NTX), 1);
    assert_eq!(mode(&home.join(".cache/paytoken")), 0o700);
    assert!(!session.join("paytoken").exists());
    // Asked for another place, both are there.
    let elsewhere = run(&[("HOME", &home), ("XDG_CACHE_HOME", &cache)]);
    assert_ne!(elsewhere, in_a_shell);
    assert_eq!(mode(&cache.join("paytoken")), 0o700);
    // A variable that is empty or not absolute counts as not set.
    let (empty, relative) = (Path::new(""), Path::new("cache"));
    for ignored in [empty, relative] {
        let variables =
            [("HOME", home.as_path()), ("XDG_CACHE_HOME", ignored), ("CACHE_DIRECTORY", ignored)];
        assert_eq!(run(&variables), in_a_shell, "{ignored:?}");
    }
}

fn unit() {
    let world = World::new();
    // What systemd makes for DynamicUser=: a link to a directory in one that is private.
    let (private, other) = (folder(&world, "private"), folder(&world, "other"));
    let link = world.folder.join("balance");
    symlink(&private, &link).unwrap();
    let both = PathBuf::from(format!("{}:{}", link.display(), other.display()));
    // The mode is the unit's choice, systemd's default is 0755.
    for mode_of_unit in [0o755, 0o700] {
        fs::set_permissions(&private, fs::Permissions::from_mode(mode_of_unit)).unwrap();
        for named in [&link, &both] {
            text(unnamed(&world, &[("CACHE_DIRECTORY", named)], &["token", "ntx-pay"]));
        }
    }
    assert_eq!(world.sandbox.token_requests(NTX), 1);
    assert_eq!(mode(&private.join("paytoken")), 0o700);
    assert_eq!(fs::read_dir(other).unwrap().count(), 0);
}

fn no_home() {
    let world = World::new();
    let Some(user) = AnotherUser::new(&world) else { return };
    if !user.is_another("without_a_home_the_password_file_says_where_it_is") {
        return;
    }
    // Of the user `nobody` the password file says a home that is not there, so nothing is made.
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(AnotherUser::ID)).unwrap();
    let home = line.split(':').nth(5).unwrap();
    assert!(!Path::new(home).exists(), "{home}");
    let mut command = user.command(&world);
    let output = command.env_remove("PAYTOKEN_STORE").args(["status"]).output().unwrap();
    let told = told(&output);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains(home) && told.contains("store: "), "{told}");
}

fn looking() {
    let world = World::new();
    let store = world.store().join("deep");
    let mut command = world.paytoken(&["status"]);
    text(command.env("PAYTOKEN_STORE", &store).output().unwrap());
    let mut command = world.program("sh");
    let script = "echo some-token | \"$0\" invalidate send-payments";
    command.env("PAYTOKEN_STORE", &store).args(["-c", script, PAYTOKEN]);
    assert_eq!(command.output().unwrap().status.code(), Some(65));
    assert!(!world.store().exists());
    // The first that has something to keep makes it.
    text(world.paytoken(&["token", "ntx-pay"]).env("PAYTOKEN_STORE", &store).output().unwrap());
    assert_eq!((mode(&world.store()), mode(&store)), (0o700, 0o700));
}

/// Root with another's HOME: what sudo does in some configurations, and `su -m` in all.
fn sudo() {
    let world = World::new();
    let home = folder(&world, "home");
    let with_cache = folder(&world, "with-cache");
    fs::create_dir(with_cache.join(".cache")).unwrap();
    let Some(user) = AnotherUser::new(&world) else { return };
    if !user.is_another("under_sudo_nothing_is_made_in_the_users_home") {
        return;
    }
    let refused = |output: Output, what: &str| {
        let told = told(&output);
        // `status` looks at the settings first, and the key is another user's, too.
        let code = if what == "status" { 78 } else { 74 };
        assert_eq!(output.status.code(), Some(code), "{what}: {told}");
        assert!(told.contains("sudo -H") && told.contains("another user"), "{what}: {told}");
    };
    for home in [&home, &with_cache] {
        let before = fs::read_dir(home).unwrap().count();
        for arguments in [&["token", "ntx-pay"][..], &["status"], &["token", "ntx-pay", "--force"]]
        {
            let variables = [("HOME", home.as_path())];
            refused(unnamed(&world, &variables, arguments), &arguments.join(" "));
        }
        assert_eq!(fs::read_dir(home).unwrap().count(), before);
        assert!(!home.join(".cache/paytoken").exists());
        // Named, it is another's home all the same, whatever is missing below it.
        let named = home.join("a/b");
        let mut command = world.paytoken(&["token", "ntx-pay", "--store"]);
        refused(command.arg(&named).output().unwrap(), "named");
        assert!(!home.join("a").exists());
    }
    // The user has one of his own by now: it is not root's.
    let mut command = user.command(&world);
    command.env_remove("PAYTOKEN_STORE").env("HOME", &home).args(["token", "ntx-pay"]);
    text(command.output().unwrap());
    refused(unnamed(&world, &[("HOME", &home)], &["token", "ntx-pay"]), "the user's own");
    assert_eq!(world.sandbox.token_requests(NTX), 1);
    // Where all may write, as in /tmp, and nobody may take away what is mine, root may, too.
    let temporary = folder(&world, "temporary");
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(Command::new("chown").arg(AnotherUser::ID).arg(&temporary).status().unwrap().success());
    let of_root = || world.paytoken(&["token", "ntx-pay", "--store"]);
    // With files of root's own: those of the user are the user's to change.
    let output = of_root().arg(temporary.join("store")).output().unwrap();
    assert!(told(&output).contains("belongs to another user, who can change it"), "{output:?}");
    let files = fs::read_dir(&world.folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.is_file());
    assert!(Command::new("chown").arg("0").args(files).status().unwrap().success());
    text(of_root().arg(temporary.join("store")).output().unwrap());
}

fn umasks() {
    let world = World::new();
    let Some(user) = AnotherUser::new(&world) else { return };
    for umask in ["000", "022", "077", "177", "277", "377", "0777"] {
        let before = world.sandbox.token_requests(NTX);
        let parent = world.folder.join(format!("made-{umask}"));
        let store = parent.join("store");
        for _ in 0..2 {
            let mut command = user.command_of(&world, "sh");
            let script = format!("umask {umask}; exec \"$0\" token ntx-pay");
            command.env("PAYTOKEN_STORE", &store).args(["-c", &script]).arg(user.copy(&world));
            text(command.output().unwrap());
        }
        assert_eq!(world.sandbox.token_requests(NTX) - before, 1, "umask {umask}");
        assert_eq!((mode(&parent), mode(&store)), (0o700, 0o700), "umask {umask}");
        let files: Vec<_> =
            fs::read_dir(&store).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 2, "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "umask {umask}: {}", file.display());
        }
    }
}

/// Killed between making and setting the mode, or made by a version that did not set it.
fn left_without_modes() {
    let world = World::new();
    let Some(user) = AnotherUser::new(&world) else { return };
    let mut token = text(user.run(&world, &["token", "ntx-pay"]));
    let lock = world.entry().with_extension("lock");
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (of_directory, of_lock) in [(0o600, 0o600), (0, 0), (0o700, 0), (0o400, 0o400)] {
        set(&lock, of_lock);
        set(&world.store(), of_directory);
        // Where the entry cannot be read, the run locks, mends, and finds it after all.
        assert!(text(user.run(&world, &["token", "ntx-pay"])) == token);
        set(&world.store(), of_directory);
        token = text(user.run(&world, &["token", "ntx-pay", "--force"]));
        assert_eq!((mode(&world.store()), mode(&lock)), (0o700, 0o600));
    }
    assert_eq!(world.sandbox.token_requests(NTX), 5);
}

fn tilde() {
    let world = World::new();
    for named in ["~/x", "~", "~somebody/x"] {
        let mut by_variable = world.paytoken(&["token", "ntx-pay"]);
        by_variable.env("PAYTOKEN_STORE", named);
        let mut by_option = world.paytoken(&["token", "ntx-pay", "--store", named]);
        by_option.env_remove("PAYTOKEN_STORE");
        for command in [&mut by_variable, &mut by_option] {
            let output = command.current_dir(&world.folder).output().unwrap();
            let told = told(&output);
            assert_eq!(output.status.code(), Some(78), "{named}: {told}");
            assert!(told.contains("store: ") && told.contains('~'), "{told}");
            assert!(!world.folder.join(named).exists() && !world.folder.join("~").exists());
        }
    }
    // A directory of that name can still be meant.
    let mut command = world.paytoken(&["token", "ntx-pay", "--store", "./~x"]);
    text(command.current_dir(&world.folder).output().unwrap());
    assert_eq!(mode(&world.folder.join("~x")), 0o700);
    assert_eq!(world.sandbox.token_requests(NTX), 1);
}

/// Each of them, by option, by variable and by key: an error that does not repeat it, and nothing is
/// made.
fn addresses() {
    let world = World::new();
    let file = table(&world, "ntx-pay", NTX);
    for named in [
        "redis:/u:hunter2@host",
        "redis:hunter2",
        "rediss:u:hunter2@host",
        "valkey:hunter2:6379",
        "valkeys:hunter2",
        "unix:/run/hunter2.sock",
        "redis+unix:/run/hunter2.sock",
        "hunter2:6379",
        "u:hunter2@host",
        "//u:hunter2@host:6379",
        "-----BEGIN PRIVATE KEY-----hunter2",
        "hunter2Zq7wKpR4vM2tYx9kZq7wKpR4vM2tYx9kZq=",
        "hunter2\u{1b}[2J",
    ] {
        let before = fs::read_dir(&world.folder).unwrap().count();
        for command in ["token", "status", "check", "purge"] {
            let account: &[_] = if command == "purge" { &[] } else { &["ntx-pay"] };
            let arguments = [&[command], account].concat();
            let mut by_variable = world.paytoken(&arguments);
            by_variable.env("PAYTOKEN_STORE", named);
            let mut by_option = world.paytoken(&arguments);
            by_option.arg(format!("--store={named}"));
            by_option.env_remove("PAYTOKEN_STORE");
            let mut runs = vec![(by_variable, "PAYTOKEN_STORE: "), (by_option, "--store: ")];
            // The file has stores of accounts alone.
            if command != "purge" {
                let value = named.replace('\u{1b}', "\\u001b");
                let of_file = file.replace("\"store\"", &format!("\"{value}\""));
                runs.push((with_file(&world, &of_file, &arguments), "store: "));
            }
            for (mut run, setting) in runs {
                let output = run.current_dir(&world.folder).output().unwrap();
                let told = told(&output) + &String::from_utf8_lossy(&output.stdout);
                assert_eq!(output.status.code(), Some(78), "{named}: {told}");
                assert!(told.contains(setting) && !told.contains("hunter2"), "{named}: {told}");
            }
        }
        // But for the settings file.
        assert!(fs::read_dir(&world.folder).unwrap().count() <= before + 1, "{named}");
    }
    // Such a directory can still be meant.
    let mut command = world.paytoken(&["token", "ntx-pay", "--store", "./redis:6379"]);
    text(command.current_dir(&world.folder).output().unwrap());
    assert_eq!(mode(&world.folder.join("redis:6379")), 0o700);
}

fn passwords() {
    let world = World::new();
    let service = Service::SendPayments;
    let file = table(&world, "send-payments", service) + "client_secret = \"not-a-secret\"\n";
    for address in [
        "https://merchant:hunter2@send.example",
        "https://hunter2@send.example",
        "HTTPS://merchant:hunter2@send.example/path?x=y",
        "https://merchant:hun/hunter2@send.example",
        "https://merchant/hunter2@send.example",
        "https:merchant:hunter2@send.example",
        "merchant:hunter2@send.example",
        "https://send.example?password=hunter2",
        "https://send.example#hunter2",
        "https://hunter2\t@send.example",
        "ftp://merchant:hunter2@send.example",
    ] {
        for arguments in [
            &["check", "send-payments"][..],
            &["check", "send-payments", "--json"],
            &["check", "-v"],
            &["status", "send-payments"],
            &["status", "--json"],
            &["token", "send-payments", "-v"],
            &["header", "send-payments", "-v"],
            &["curl", "send-payments", "-v", "--", "-sS", "https://send.example"],
        ] {
            let mut by_variable = world.paytoken(arguments);
            by_variable.env("SENDPAYMENTS_BASE_URL", address);
            let mut by_option = world.paytoken(&[arguments, &[]].concat());
            if arguments[0] != "curl" {
                by_option = world.paytoken(&[arguments, &["--base-url", address]].concat());
            }
            let of_file = file.replace(&world.sandbox.url(service), &address.replace('\t', "\\t"));
            let mut by_key = with_file(&world, &of_file, arguments);
            for run in [&mut by_variable, &mut by_option, &mut by_key] {
                let output = run.output().unwrap();
                let told = told(&output) + &String::from_utf8_lossy(&output.stdout);
                assert!(!told.contains("hunter2"), "{address} {arguments:?}: {told}");
                assert!(!told.contains("Credentials"), "no word of the library's: {told}");
            }
            let output = by_variable.output().unwrap();
            let is_of_all = arguments == ["status", "--json"];
            assert!(is_of_all || output.status.code() == Some(78), "{address}: {output:?}");
        }
    }
    assert_eq!(world.sandbox.token_requests(service), 0);
}

fn settings_paths() {
    let world = World::new();
    for path in [
        "redis:/u:hunter2@host",
        "https://u:hunter2@host/config.toml",
        "u:hunter2@host",
        "/u:hunter2@host",
        "hunter2\u{1b}[2J",
        "client_secret = 'hunter2'\n",
        "-----BEGIN PRIVATE KEY-----hunter2",
        "hunter2Zq7wKpR4vM2tYx9kZq7wKpR4vM2tYx9kZq=",
    ] {
        for command in ["token", "status", "check"] {
            let mut command = world.paytoken(&[command, "ntx-pay"]);
            let output = command.env("PAYTOKEN_CONFIG", path).output().unwrap();
            let told = told(&output) + &String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(78), "{path:?}: {told}");
            assert!(told.contains("PAYTOKEN_CONFIG: ") && !told.contains("hunter2"), "{told}");
        }
    }
    // A named pipe that nobody writes to is not waited for.
    let pipe = world.folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = world.paytoken(&["token", "ntx-pay"]);
    let output = command.env("PAYTOKEN_CONFIG", &pipe).output().unwrap();
    assert!(told(&output).contains("in a regular file"), "{output:?}");
    // What stands where a path belongs may be the key itself.
    for variable in ["NTXPAY_CLIENT_KEY", "NTXPAY_CLIENT_CERT"] {
        for command in [&["check", "ntx-pay"][..], &["check", "ntx-pay", "--json"], &["status"]] {
            let output =
                world.paytoken(command).env(variable, "hunter2/MIGHAgEA").output().unwrap();
            let told = told(&output) + &String::from_utf8_lossy(&output.stdout);
            assert!(!told.contains("hunter2"), "{variable}: {told}");
        }
    }
    fs::write(world.folder.join("a:b@c"), "").unwrap();
    let mut command = world.paytoken(&["token", "ntx-pay"]);
    text(command.env("PAYTOKEN_CONFIG", "./a:b@c").current_dir(&world.folder).output().unwrap());
}

/// What kubelet does at each start of a pod with an `fsGroup`.
fn opened() {
    let world = World::new();
    let run = || world.paytoken(&["token", "ntx-pay"]).output().unwrap();
    let mut last = text(run());
    for requests in 2..4 {
        for file in fs::read_dir(world.store()).unwrap() {
            let path = file.unwrap().path();
            fs::set_permissions(path, fs::Permissions::from_mode(0o660)).unwrap();
        }
        fs::set_permissions(world.store(), fs::Permissions::from_mode(0o2770)).unwrap();
        let output = run();
        let warning = told(&output);
        assert!(warning.contains("is closed again (0700)"), "{warning}");
        assert_eq!(warning.lines().count(), 1, "{warning}");
        let token = text(output);
        assert_ne!(token, last);
        assert_eq!((mode(&world.store()), mode(&world.entry())), (0o700, 0o600));
        let output = run();
        assert_eq!(told(&output), "");
        assert_eq!(text(output), token);
        assert_eq!(world.sandbox.token_requests(NTX), requests);
        last = token;
    }
    let open = |mode: u32| {
        fs::set_permissions(world.store(), fs::Permissions::from_mode(mode)).unwrap();
    };
    // Another user may hold the lock for good, or put directories in the place of files.
    let lock = world.entry().with_extension("lock");
    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    open(0o777);
    assert_ne!(text(run()), last, "nobody waits for that lock");
    fs::remove_file(&lock).unwrap();
    for planted in [lock.join("x"), lock.with_extension("new").join("x")] {
        fs::create_dir_all(planted).unwrap();
    }
    open(0o777);
    last = text(run());
    // A file that has another name elsewhere is taken out, and keeps its mode.
    let other = world.folder.join("other");
    fs::hard_link(world.entry(), &other).unwrap();
    open(0o777);
    assert_ne!(text(run()), last);
    assert_eq!(mode(&other), 0o600);
    // Where there is more, it is not a store alone: nothing is closed, and nobody is told to.
    fs::write(world.store().join("notes"), "").unwrap();
    open(0o777);
    let output = run();
    assert!(
        told(&output)
            .contains("if it is for a store alone, run chmod 700 on it, else name another"),
        "{output:?}"
    );
    assert_eq!(mode(&world.store()), 0o777);
    fs::remove_file(world.store().join("notes")).unwrap();
    // A sealed entry cannot be made by others, but an older one can be put back.
    let key = world.folder.join("store.key");
    paytoken_testing::write_private(
        &key,
        text(world.paytoken(&["new-store-key"]).output().unwrap()),
    );
    let sealed = || {
        let mut command = world.paytoken(&["token", "ntx-pay"]);
        text(command.env("PAYTOKEN_STORE_KEY_FILE", &key).output().unwrap())
    };
    text(run());
    fs::remove_dir_all(world.store()).unwrap();
    let first = sealed();
    assert_eq!(sealed(), first);
    open(0o777);
    assert_ne!(sealed(), first);
}

fn links() {
    let world = World::new();
    let real = world.store();
    text(world.paytoken(&["token", "ntx-pay"]).output().unwrap());
    symlink(&real, world.folder.join("link")).unwrap();
    symlink(world.folder.join("nothing"), world.folder.join("dangling")).unwrap();
    symlink(&world.folder, world.folder.join("parent")).unwrap();
    symlink("link", world.folder.join("twice")).unwrap();
    let run = |named: &str| {
        let mut command = world.paytoken(&["token", "ntx-pay", "--store", named]);
        command.current_dir(&world.folder).output().unwrap()
    };
    let endings = ["", "/", "//", "/.", "/./", "//.//", "/././."];
    for link in ["link", "./link", ".//link", "parent/link", "dangling", "twice", "store/../link"] {
        for ending in endings {
            let named = format!("{link}{ending}");
            let output = run(&named);
            assert_eq!(output.status.code(), Some(78), "{named}: {}", told(&output));
            assert!(told(&output).contains("a link?"), "{named}: {}", told(&output));
        }
    }
    assert!(!world.folder.join("nothing").exists());
    // On the way to it a link is nobody's business: /var/run is one.
    for directory in ["store", "parent/store", "parent/parent/store", "link/../store"] {
        for ending in endings {
            let named = format!("{directory}{ending}");
            text(run(&named));
        }
    }
    assert_eq!(world.sandbox.token_requests(NTX), 1);
}
