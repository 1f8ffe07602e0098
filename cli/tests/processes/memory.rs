//! No secret is in the memory of a command whose curl runs: curl may run for hours, and a core dump or a
//! debugger shows what is there.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use libtest_mimic::Trial;
use paytoken_sandbox::{Service, example_call};
use paytoken_testing::{has_tool, say, until};

use crate::settings::{table, with_file};
use crate::support::World;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("while_curl_runs_no_accounts_secret_is_in_memory", while_curl_runs),
        trial("for_a_replay_the_secret_is_read_again_if_the_settings_are_the_same", replay),
    ]
}

const SEND: Service = Service::SendPayments;

/// Ends when it may.
const CURL: &str = "#!/bin/sh\necho > ready\nread line < go\n";

/// The secret of one account in five pieces, each of which is looked for.
fn secret(account: &str) -> String {
    (0..5).map(|piece| format!("{account}-{piece}-{}", account.repeat(3))).collect()
}

fn while_curl_runs() {
    let world = World::new();
    let own = secret("zebra");
    world.sandbox.add_client(SEND, "merchant-8", &own);
    let account =
        table(&world, "merchant-8", SEND).replace(world.sandbox.client_id(SEND), "merchant-8");
    let private = |name: &str, text: &str, mode: u32| {
        let path = world.folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    private("secret", &own, 0o600);
    private("get", &format!("#!/bin/sh\nprintf %s {own}"), 0o700);
    private("curl", CURL, 0o700);
    // Other accounts, in each form that TOML has for a text, and one that is not read.
    let [basic, literal, long, escaped, joined] =
        ["giraffe", "ostrich", "panther", "lemming", "buffalo"].map(secret);
    let others = [
        format!("client_secret = \"{basic}\""),
        format!("client_secret = '{literal}'"),
        format!("client_secret = '''\n{long}'''"),
        format!("client_secret = \"\\u007a{escaped}\""),
        format!("client_secret = \"\"\"\\\n  {joined}\"\"\""),
    ];
    let others: String = others
        .iter()
        .enumerate()
        .map(|(index, line)| table(&world, &format!("other-{index}"), SEND) + line + "\n")
        .collect();
    for way in [
        format!("client_secret = \"{own}\""),
        "client_secret_file = \"secret\"".to_owned(),
        "client_secret_command = [\"./get\"]".to_owned(),
    ] {
        let file = format!("{others}{account}{way}\n");
        let url = format!("{}/api/balance", world.sandbox.url(SEND));
        let mut command =
            with_file(&world, &file, &["curl", "--force", "merchant-8", "--", "-sS", &url]);
        let path = format!("{}:{}", world.folder.display(), std::env::var("PATH").unwrap());
        let (ready, go) = (world.folder.join("ready"), world.folder.join("go"));
        let made = std::process::Command::new("mkfifo").arg(&go).status().unwrap();
        assert!(made.success());
        command.env("PATH", path).current_dir(&world.folder).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        until("curl runs", || ready.exists() || child.try_wait().unwrap().is_some());
        let memory = memory_of(child.id());
        File::options().write(true).open(&go).unwrap().write_all(b"\n").unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        [ready, go].iter().for_each(|path| fs::remove_file(path).unwrap());
        let Some(memory) = memory else {
            return say("not run: the memory of another process cannot be read here");
        };
        let has = |text: &str| memory.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(has("merchant-8"), "what is there is found");
        for secret in [&own, &basic, &literal, &long, &escaped, &joined] {
            let length = secret.len() / 5;
            let found: Vec<_> = (0..5)
                // What begins a block that was given back is the system's.
                .map(|piece| &secret[piece * length + 4..][..16])
                .filter(|piece| has(piece))
                .collect();
            assert!(found.is_empty(), "{way}: {found:?}");
        }
    }
}

fn replay() {
    if !has_tool("curl") {
        return;
    }
    let inline = "client_secret = \"SECRET\"";
    let changed = Some("settings were changed");
    // How the secret is set, what happens to the settings while curl runs first, and what is said then.
    for (way, happens, says) in [
        (inline, "", None),
        ("client_secret_command = [\"cat\", \"secret\"]", "", None),
        ("client_secret_file = \"secret\"", "", None),
        (inline, "touch config.toml", None),
        (inline, "echo '[other-account]' >>config.toml", None),
        // With the new secret, which is wrong here.
        (inline, "sed -i s/SECRET/another/ config.toml", Some("endpoint answered 401")),
        (inline, "sed -i 's|^base_url.*|base_url = \"https://127.0.0.1:1\"|' config.toml", changed),
        (inline, "sed -i 's|^client_id.*|client_id = \"another\"|' config.toml", changed),
        (inline, "sed -i 's|^client_secret|client_secret_file|' config.toml", changed),
        (inline, "rm config.toml", changed),
        (inline, "chmod 666 config.toml", changed),
        (inline, ": >config.toml", changed),
    ] {
        let world = World::new();
        let secret = world.sandbox.client_secret(SEND).to_owned();
        let write = |name: &str, text: &str| {
            let path = world.folder.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        };
        write("secret", &secret);
        let file = table(&world, "send-payments", SEND) + &way.replace("SECRET", &secret) + "\n";
        let (method, path) = example_call(SEND);
        let url = format!("{}{path}", world.sandbox.url(SEND));
        world.store_revoked_token(SEND);
        let call = ["curl", "send-payments", "--", "-sS", "--fail", "-X", method, &url];
        let mut command = with_file(&world, &file, &call);
        let (bin, path) = (world.folder.join("bin"), std::env::var("PATH").unwrap());
        fs::create_dir(&bin).unwrap();
        let happens = happens.replace("SECRET", &secret);
        write("bin/curl", &format!("#!/bin/sh\n{happens}\nPATH='{path}' exec curl \"$@\"\n"));
        command.env("PATH", format!("{}:{path}", bin.display())).current_dir(&world.folder);
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        match says {
            None => assert!(output.status.success(), "{way} {happens}: {told}"),
            Some(says) => {
                assert_eq!(output.status.code(), Some(22), "{way} {happens}: {told}");
                assert!(told.contains(says), "{happens}: {told}");
            }
        }
        assert!(!told.contains(&secret), "{told}");
    }
}

/// All that it can write; `None` where that may not be looked at.
fn memory_of(process: u32) -> Option<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let mut file = File::open(format!("/proc/{process}/mem")).ok()?;
    let mut memory = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
        // The environment and the arguments are at the end of the stack, and hold no secret here.
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut part = vec![0; (to - from) as usize];
        if file.read_exact(&mut part).is_ok() {
            memory.extend(part);
        }
    }
    Some(memory)
}
