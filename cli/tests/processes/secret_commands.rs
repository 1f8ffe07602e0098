//! Secrets that a command prints: from where it runs, when its output ends, and how it is ended.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken_sandbox::Service;
use paytoken_testing::{has_tool, until};

use crate::settings::{table, told, with_file};
use crate::signals::WITH_SIGNALS;
use crate::support::{PAYTOKEN, World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_command_for_a_secret_is_bounded_and_no_shell", bounded),
        trial("it_runs_from_the_folder_of_the_settings_file", folder),
        trial("its_output_ends_with_it_whatever_it_leaves_behind", leaves_behind),
        trial("at_the_time_out_it_ends_with_all_that_it_has_started", killed),
        trial("a_signal_ends_it_with_all_that_it_has_started", interrupted),
        trial("on_a_terminal_it_may_ask", terminal),
        trial("it_sees_no_secret_of_ours_in_its_environment", environment),
        trial("a_parent_that_ignores_sigchld_changes_nothing", ignored_sigchld),
        trial("a_parent_that_blocks_sigchld_changes_nothing", blocked_sigchld),
        trial("without_descriptors_it_is_tried_later", shortage),
    ]
}

const SERVICE: Service = Service::NexterPay;

/// `paytoken token`, with a settings file in which this command prints the password.
fn asked(world: &World, command: &str, more: &[&str]) -> Command {
    let file = table(world, "nexter-pay", SERVICE) + &format!("password_command = {command}\n");
    with_file(world, &file, &[&["token", "nexter-pay", "--force"], more].concat())
}

/// A program that prints the password.
fn program(path: &Path, secret: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\necho '{secret}'\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}

fn bounded() {
    let world = World::new();
    let service = Service::NexterPay;
    let marker = world.folder.join("marker");
    let marker = marker.to_str().unwrap();
    for (command, code, says) in [
        ("[\"false\"]", 78, "failed (exit status: 1)"),
        ("[\"no-such-program-anywhere\"]", 78, "cannot run no-such-program-anywhere"),
        ("[\"true\"]", 78, "printed nothing"),
        ("[\"yes\"]", 78, "more than 64 KiB"),
        ("[\"sleep\", \"60\"]", 75, "has not ended within --timeout (1s)"),
        ("[\"sh\", \"-c\", \"exec >&-; exec sleep 60\"]", 75, "has not ended within"),
        ("[\"sh\", \"-c\", \"echo s; exec >&-; exec sleep 60\"]", 75, "has not ended within"),
        // EX_TEMPFAIL: a vault that is away.
        ("[\"sh\", \"-c\", \"exit 75\"]", 75, "cannot answer now (exit status: 75); try again"),
        ("[\"sh\", \"-c\", \"echo s; exit 75\"]", 75, "cannot answer now (exit status: 75)"),
        ("[\"sh\", \"-c\", \"exit 74\"]", 78, "failed (exit status: 74)"),
        ("[\"sh\", \"-c\", \"exit 127\"]", 78, "failed (exit status: 127)"),
        ("[\"sh\", \"-c\", \"kill -KILL $$\"]", 78, "failed (signal: 9"),
        ("[\"/etc/passwd\"]", 78, "cannot run /etc/passwd (Permission denied"),
        ("[\"/etc\"]", 78, "cannot run /etc (Permission denied"),
        ("[\"printf\", \"\\\\377\"]", 78, "UTF-8"),
        ("[]", 78, "program first"),
        ("\"pass show x\"", 78, "has to be an array"),
        ("[\"echo\", \"$(touch MARKER)\"]", 77, "refused"),
        ("[\"echo\", \"`touch MARKER`; touch MARKER\"]", 77, "refused"),
    ] {
        let file = table(&world, "nexter-pay", service)
            + &format!("password_command = {}", command.replace("MARKER", marker));
        let began = Instant::now();
        // What is refused needs time to be remembered.
        let limit = if code == 77 { "10s" } else { "1s" };
        let arguments = ["token", "nexter-pay", "--timeout", limit, "--force"];
        let output = with_file(&world, &file, &arguments).output().unwrap();
        // Without the limit it would be fifteen seconds, or a minute.
        assert!(began.elapsed() < Duration::from_secs(12) || code == 77, "{command}");
        assert_eq!(output.status.code(), Some(code), "{command}: {}", told(&output));
        assert!(told(&output).contains(says) || code == 77, "{command}: {}", told(&output));
    }
    assert!(!fs::exists(marker).unwrap(), "a shell was used");
}

fn folder() {
    let world = World::new();
    let secret = world.sandbox.client_secret(SERVICE);
    let [elsewhere, home, bin] = ["elsewhere", "home", "bin"].map(|name| world.folder.join(name));
    for name in ["get", "bin/get"] {
        program(&world.folder.join(name), secret);
        program(&elsewhere.join(name), "of another folder");
    }
    program(&home.join("bin/get"), secret);
    program(&bin.join("get-by-path"), secret);
    fs::write(world.folder.join("a secret"), secret).unwrap();
    let absolute = format!("[\"{}/get\"]", world.folder.display());
    for command in [
        "[\"./get\"]",
        "[\"bin/get\"]",
        "[\"bin/../get\"]",
        "[\"~/bin/get\"]",
        &absolute,
        "[\"get-by-path\"]",
        "[\"cat\", \"a secret\"]",
        "[\"sh\", \"-c\", \"./get\"]",
        // What it means, only the shell knows.
        "[\"sh\", \"-c\", \"test $0 = '~/x' && ./get\", \"~/x\"]",
    ] {
        let mut run = asked(&world, command, &[]);
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        run.current_dir(&elsewhere).env("HOME", &home).env("PATH", path);
        let output = run.output().unwrap();
        assert!(output.status.success(), "{command}: {}", told(&output));
    }
    for (command, says) in [
        ("[\"get\"]", "cannot run get "),
        ("[\"./no-such\"]", "no-such (No such file"),
        ("[\"~you/get\"]", "only ~/ is understood"),
        ("[\"\"]", "the program first"),
    ] {
        let output = asked(&world, command, &[]).current_dir(&elsewhere).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{command}: {}", told(&output));
        assert!(told(&output).contains(says), "{command}: {}", told(&output));
    }
    // Named by a path of the caller's folder, the file is still what counts.
    let mut run = asked(&world, "[\"./get\"]", &[]);
    run.current_dir(&elsewhere).env("PAYTOKEN_CONFIG", "../config.toml");
    text(run.output().unwrap());
}

/// The process whose number is in this file.
struct Left(String);

impl Left {
    fn of(world: &World) -> Self {
        let path = world.folder.join("left");
        until("its number is written", || {
            fs::read_to_string(&path).is_ok_and(|number| number.ends_with('\n'))
        });
        Self(fs::read_to_string(path).unwrap().trim().to_owned())
    }

    fn is_alive(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.0]).stderr(Stdio::null()).status();
    }
}

fn leaves_behind() {
    for what in [
        "sleep 600 & echo $! > left; cat secret",
        // It keeps nothing, and does not even begin with the secret.
        "cat secret; sleep 600 & echo $! > left",
        // In a session of its own, as daemons are.
        "setsid sleep 600 & echo $! > left; printf %s \\\"$(cat secret)\\\"",
    ] {
        let world = World::new();
        fs::write(world.folder.join("secret"), world.sandbox.client_secret(SERVICE)).unwrap();
        let began = Instant::now();
        let mut command = asked(&world, &format!("[\"sh\", \"-c\", \"{what}\"]"), &[]);
        // It inherits stderr, too, whose end is not waited for here.
        let output = command.stderr(Stdio::null()).output().unwrap();
        let left = Left::of(&world);
        text(output);
        assert!(began.elapsed() < Duration::from_secs(10), "{what}: {:?}", began.elapsed());
        assert!(left.is_alive(), "{what}: it lives on");
    }
}

fn killed() {
    for what in [
        "sleep 600 & echo $! > left; wait",
        "sleep 600 & echo $! > left; exec >&-; wait",
        "trap '' TERM INT HUP; sleep 600 & echo $! > left; wait",
        "(sleep 600 & echo $! > left; wait) | cat",
    ] {
        let world = World::new();
        let command = format!("[\"sh\", \"-c\", \"{what}\"]");
        // Without a terminal, as under cron.
        let mut command = without_terminal(&asked(&world, &command, &["--timeout", "1s"]));
        // What is left has stderr, too, so a pipe's end would have to wait for it.
        let path = world.folder.join("stderr");
        let status = command.stderr(fs::File::create(&path).unwrap()).status().unwrap();
        let left = Left::of(&world);
        let told = fs::read_to_string(path).unwrap();
        assert_eq!(status.code(), Some(75), "{what}: {told}");
        assert!(told.contains("has not ended within --timeout (1s)"), "{what}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        until("what it has started is ended", || !left.is_alive());
    }
}

fn interrupted() {
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let world = World::new();
        let command = "[\"sh\", \"-c\", \"sleep 600 & echo $! > left; wait\"]";
        let mut command = without_terminal(&asked(&world, command, &["--timeout", "60s"]));
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let left = Left::of(&world);
        let kill = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(128 + number), "{name}");
        until("what it has started is ended", || !left.is_alive());
    }
}

/// The same in a session of its own.
fn without_terminal(command: &Command) -> Command {
    let mut own = Command::new("setsid");
    own.arg("--wait")
        .args(WITH_SIGNALS)
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    own.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    own.stdin(Stdio::null()).stdout(Stdio::null());
    own
}

fn terminal() {
    if !has_tool("script") {
        return;
    }
    let world = World::new();
    let command = asked(&world, "[\"head\", \"-n\", \"1\", \"/dev/tty\"]", &[]);
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{PAYTOKEN} token nexter-pay --force > token"), "/dev/null"]);
    script.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.current_dir(&world.folder).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut script = script.spawn().unwrap();
    let mut typed = script.stdin.take().unwrap();
    typed.write_all(format!("{}\n", world.sandbox.client_secret(SERVICE)).as_bytes()).unwrap();
    assert!(script.wait().unwrap().success());
    drop(typed);
    let token = fs::read_to_string(world.folder.join("token")).unwrap();
    assert!(world.sandbox.is_valid(SERVICE, token.trim()), "{token}");
}

fn environment() {
    let world = World::new();
    fs::write(world.folder.join("secret"), world.sandbox.client_secret(SERVICE)).unwrap();
    let mut command = asked(&world, "[\"sh\", \"-c\", \"env > seen; cat secret\"]", &[]);
    let secrets = [
        ("NTXPAY_CLIENT_SECRET", "hunter1"),
        ("SENDPAYMENTS_CLIENT_SECRET", "hunter2"),
        ("PAYTOKEN_STORE", &*format!("{}/hunter3", world.folder.display())),
    ];
    command.envs(secrets).env("VAULT_TOKEN", "theirs");
    text(command.output().unwrap());
    let seen = fs::read_to_string(world.folder.join("seen")).unwrap();
    assert!(!seen.contains("hunter"), "{seen}");
    for needed in ["PATH=", "PAYTOKEN_CONFIG=", "VAULT_TOKEN=theirs"] {
        assert!(seen.contains(needed), "{needed}: {seen}");
    }
}

fn ignored_sigchld() {
    let world = World::new();
    fs::write(world.folder.join("secret"), world.sandbox.client_secret(SERVICE)).unwrap();
    // The program that is run finds the default, and so can wait for its own.
    let ignored = "grep -q '^SigIgn:.*[1-9a-f]....$' /proc/self/status && exit 9; cat secret";
    let command = asked(&world, &format!("[\"sh\", \"-c\", \"{ignored}\"]"), &[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' CHLD; \"$@\"", "sh"]).arg(command.get_program());
    shell.args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

/// A parent that blocks it: nothing tells that the program has ended.
fn blocked_sigchld() {
    if !has_tool("perl") {
        return;
    }
    let world = World::new();
    fs::write(world.folder.join("secret"), world.sandbox.client_secret(SERVICE)).unwrap();
    let asked = asked(&world, "[\"sh\", \"-c\", \"cat secret; sleep 60 & echo $! > left\"]", &[]);
    let script = "use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGCHLD)); exec @ARGV";
    let mut command = world.program("perl");
    command.args(["-e", script]).arg(asked.get_program()).args(asked.get_args());
    command.env_clear();
    command.envs(asked.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.stderr(Stdio::null()).output().unwrap();
    let _left = Left::of(&world);
    text(output);
}

fn shortage() {
    let world = World::new();
    let command = asked(&world, "[\"echo\", \"hi\"]", &["--no-store"]);
    for descriptors in 4..8 {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {descriptors}; exec \"$@\""), "sh"]);
        shell.arg(command.get_program()).args(command.get_args()).env_clear();
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = shell.output().unwrap();
        let says = told(&output);
        // Fewer than the system needs to load a program are none of ours.
        if !says.starts_with("paytoken: ") {
            continue;
        }
        assert_eq!(output.status.code(), Some(75), "{descriptors}: {says}");
        assert!(says.contains("try again"), "{descriptors}: {says}");
    }
}
