//! Processes that are killed at random moments and at each step of a write; disks and directories
//! that fail.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken::Renewal;
use paytoken_sandbox::Service;
use paytoken_testing::{has_tool, say};

use crate::support::{PAYTOKEN, World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "after_two_hundred_kills_the_next_process_always_has_a_valid_token",
            two_hundred_kills,
        ),
        trial(
            "after_a_kill_at_each_step_of_the_write_the_next_process_has_a_valid_token",
            kill_at_each_step,
        ),
        trial("a_full_disk_costs_the_store_and_for_send_the_token", full_disk),
        trial(
            "a_directory_that_cannot_be_written_is_told_and_no_send_token_is_fetched",
            read_only_directory,
        ),
        trial("somebody_elses_directory_and_file_are_not_used", foreign_files),
    ]
}

const KILLS: usize = 200;

fn two_hundred_kills() {
    let world = World::new();
    for &service in Service::ALL {
        world.token(service);
    }
    // How long an undisturbed run takes decides where the kills fall.
    let run = || {
        let began = Instant::now();
        text(world.paytoken(&["token", "ntx-pay", "--force"]).output().unwrap());
        began.elapsed()
    };
    // The shortest, as one that something disturbed would let most of them fall after the end.
    let whole = (0..5).map(|_| run()).min().unwrap();
    let mut landed = 0;
    for kill in 0..KILLS {
        let service = Service::ALL[kill % Service::ALL.len()];
        let before = world.sandbox.token_requests(service);
        let mut writer =
            world.paytoken(&["token", service.facts().name, "--force"]).spawn().unwrap();
        spin(random_part_of(whole * 5 / 4));
        writer.kill().unwrap(); // SIGKILL
        landed += usize::from(!writer.wait_with_output().unwrap().status.success());
        let began = Instant::now();
        let token = world.token(service);
        assert!(began.elapsed() < Duration::from_secs(15), "kill {kill}: a hang");
        assert!(world.sandbox.is_valid(service, &token), "kill {kill}: a dead token");
        let requests = world.sandbox.token_requests(service) - before;
        // The killed one's own, and at most one extra.
        assert!(requests <= 2, "kill {kill}: {requests} requests");
    }
    println!("{landed} of {KILLS} kills hit a running process (a run takes {whole:?})");
    assert!(landed > KILLS / 4, "too few kills hit: {landed}");
}

/// The system calls of one `--force` run that change the store, each replaced by a SIGKILL in turn.
fn kill_at_each_step() {
    if !has_tool("strace") {
        return;
    }
    let world = World::new();
    let service = Service::SendPayments;
    for call in ["openat", "flock", "unlink", "fsync", "rename", "write"] {
        for occurrence in 1..=60 {
            world.token(service);
            let before = world.sandbox.token_requests(service);
            let inject = format!("inject={call}:signal=KILL:when={occurrence}");
            let mut strace = world.program("strace");
            strace.args([
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={call}"),
                "-e",
                &inject,
            ]);
            let output =
                strace.args([PAYTOKEN, "token", service.facts().name, "--force"]).output().unwrap();
            let token = world.token(service);
            assert!(world.sandbox.is_valid(service, &token), "{inject}: a dead token");
            let requests = world.sandbox.token_requests(service) - before;
            assert!(requests <= 2, "{inject}: {requests} requests");
            if output.status.success() {
                assert!(
                    occurrence > 1 || call == "rename" && !cfg!(target_arch = "x86_64"),
                    "{call} never happens"
                );
                break; // there are no more of it
            }
        }
    }
}

fn full_disk() {
    let world = World::new();
    for &service in Service::ALL {
        // No file may grow: writes fail as on a full disk, instead of the signal that comes first.
        let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" token \"$1\" -v";
        let mut shell = world.program("/bin/sh");
        let output = shell.args(["-c", script, PAYTOKEN, service.facts().name]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("store: ") && told.contains("cannot be written"), "{told}");
        if service.facts().renewal == Renewal::ReplacesPrevious {
            // Unshared, its token would end those of others: nothing is sent.
            assert_eq!(output.status.code(), Some(74), "{told}");
            assert_eq!(world.sandbox.token_requests(service), 0);
        } else {
            let token = text(output);
            assert!(world.sandbox.is_valid(service, &token), "{service}");
            assert!(!told.contains(&token));
        }
        // With room again, all is well, and nothing is left behind.
        let next = world.token(service);
        assert_eq!(world.token(service), next);
        let left: Vec<_> = fs::read_dir(world.store())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "new"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn read_only_directory() {
    let world = World::new();
    let token = world.token(Service::NtxPay);
    let mode = |mode| fs::set_permissions(world.store(), fs::Permissions::from_mode(mode)).unwrap();
    let Some(user) = AnotherUser::new(&world) else { return };
    mode(0o500);
    // What is there can still be read.
    assert_eq!(text(user.run(&world, &["token", "ntx-pay"])), token);
    let coexisting = user.run(&world, &["token", "nexter-pay"]);
    let replacing = user.run(&world, &["token", "send-payments"]);
    mode(0o700);
    let told = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    for said in [told(&coexisting), told(&replacing)] {
        assert!(said.contains("store: ") && said.contains("cannot be locked"), "{said}");
    }
    assert!(told(&coexisting).contains("goes on without sharing"), "{coexisting:?}");
    assert!(world.sandbox.is_valid(Service::NexterPay, &text(coexisting)));
    assert_eq!(replacing.status.code(), Some(74), "{replacing:?}");
    assert!(replacing.stdout.is_empty());
    assert_eq!(world.sandbox.token_requests(Service::SendPayments), 0, "nothing was asked for");
}

fn foreign_files() {
    let world = World::new();
    let token = world.token(Service::NtxPay);
    let Some(user) = AnotherUser::new(&world) else { return };
    if !user.is_another("somebody_elses_directory_and_file_are_not_used") {
        return;
    }
    // The directory is another user's by now: root does not use it.
    let output = world.paytoken(&["token", "ntx-pay"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(74), "{told}");
    assert!(told.contains("another user"), "{told}");
    // And root's file in it is not that user's: a miss.
    assert!(Command::new("chown").arg("0").arg(world.entry()).status().unwrap().success());
    let entry = fs::read(world.entry()).unwrap();
    fs::remove_file(world.entry()).unwrap();
    let path = world.store().join("aside");
    fs::write(&path, entry).unwrap();
    assert_ne!(text(user.run(&world, &["token", "ntx-pay"])), token);
}

/// Root may write everywhere, so root runs the command as another user, to whom the folder is given.
pub(crate) struct AnotherUser(Option<&'static str>);

impl AnotherUser {
    pub(crate) const ID: &'static str = "65534";

    pub(crate) fn new(world: &World) -> Option<Self> {
        let is_root =
            text(Command::new("id").arg("-u").stdout(Stdio::piped()).output().unwrap()) == "0";
        if !is_root {
            return Some(Self(None));
        }
        if !has_tool("setpriv") {
            return None;
        }
        let chown =
            Command::new("chown").args(["-R", Self::ID]).arg(&world.folder).status().unwrap();
        assert!(chown.success());
        Some(Self(Some(Self::ID)))
    }

    /// Whether there is one beside us; that a test goes without is said aloud.
    pub(crate) fn is_another(&self, test: &str) -> bool {
        if self.0.is_none() {
            say(&format!("not run without root: {test}"));
        }
        self.0.is_some()
    }

    pub(crate) fn run(&self, world: &World, arguments: &[&str]) -> Output {
        self.command(world).args(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, world: &World) -> Command {
        self.command_of(world, self.copy(world))
    }

    pub(crate) fn command_of(&self, world: &World, program: impl AsRef<Path>) -> Command {
        match self.0 {
            None => world.program(program),
            Some(id) => {
                let mut command = world.program("setpriv");
                command.args(["--reuid", id, "--clear-groups"]).arg(program.as_ref());
                command
            }
        }
    }

    /// A copy that this user may run: the build directory may be private.
    pub(crate) fn copy(&self, world: &World) -> PathBuf {
        if self.0.is_none() {
            return PAYTOKEN.into();
        }
        let copy = world.folder.join("paytoken-copy");
        if !copy.exists() {
            // By another process: a child that is forked here meanwhile would hold it open for
            // writing, and it could not be run.
            assert!(Command::new("cp").arg(PAYTOKEN).arg(&copy).status().unwrap().success());
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        }
        copy
    }
}

fn random_part_of(whole: Duration) -> Duration {
    let random = std::hash::RandomState::new().build_hasher().finish();
    whole.mul_f64((random % 10_000) as f64 / 10_000.0)
}

/// A moment, not an event: where a kill falls.
fn spin(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}
