//! What is no file where a setting names one: a pipe that nobody writes to, and what a shell puts in the
//! place of a file.

use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken_testing::write_private;

use crate::support::{PAYTOKEN, World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("no_pipe_is_waited_for_longer_than_the_time_out", silent),
        trial("what_a_shell_substitutes_for_a_file_is_read", substituted),
    ]
}

/// Unless `--timeout` counts, a pipe is waited for 15 seconds.
const UNBOUNDED: Duration = Duration::from_secs(10);

fn silent() {
    let world = World::new();
    let fifo = world.folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let names_of = |command: &str| match command {
        // They read no key, no authorities and no secret.
        "status" | "invalidate" => &["PAYTOKEN_STORE_KEY_FILE", "NTXPAY_CLIENT_CERT"][..],
        // Said at once: curl has to read the others, too.
        "curl" => &["PAYTOKEN_STORE_KEY_FILE", "NTXPAY_CLIENT_SECRET_FILE"],
        _ => &[
            "PAYTOKEN_STORE_KEY_FILE",
            "PAYTOKEN_CA",
            "NTXPAY_CLIENT_CERT",
            "NTXPAY_CLIENT_KEY",
            "NTXPAY_CLIENT_ID_FILE",
            "NTXPAY_CLIENT_SECRET_FILE",
            "PAYTOKEN_STORE_CA",
            "PAYTOKEN_STORE_CLIENT_CERT",
            "PAYTOKEN_STORE_CLIENT_KEY",
        ],
    };
    for name in ["token", "header", "check", "status", "invalidate", "curl"] {
        for variable in names_of(name) {
            let mut command = world.paytoken(&[name, "ntx-pay", "--timeout", "300ms"]);
            if name == "curl" {
                command.args(["--", "https://127.0.0.1:1/"]);
            }
            if let Some(inline) = variable.strip_suffix("_FILE") {
                command.env_remove(inline);
            }
            if variable.starts_with("PAYTOKEN_STORE_C") {
                command.env("PAYTOKEN_STORE", "rediss://127.0.0.1:1");
            }
            if variable.ends_with("STORE_CLIENT_KEY") {
                let certificate = world.sandbox.client_certificate_pem();
                write_private(world.folder.join("store.pem"), certificate);
                command.env("PAYTOKEN_STORE_CLIENT_CERT", world.folder.join("store.pem"));
            }
            let began = Instant::now();
            let output = command.env(variable, &fifo).output().unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(began.elapsed() < UNBOUNDED, "{name} {variable}: {said}");
            assert!(matches!(output.status.code(), Some(75 | 78)), "{name} {variable}: {said}");
            let in_vain = said.contains("waited in vain for 300ms");
            assert!(
                in_vain || said.contains(&format!("{variable}: ")),
                "{name} {variable}: {said}"
            );
        }
    }
}

fn substituted() {
    let world = World::new();
    let key = text(world.paytoken(&["new-store-key"]).output().unwrap());
    write_private(world.folder.join("key"), key);
    let token = "eyJ"; // as a JWT begins
    for (line, says) in [
        ("PAYTOKEN_STORE_KEY_FILE=<(cat \"$KEY\") paytoken token ntx-pay --force", token),
        ("PAYTOKEN_STORE_KEY_FILE=<(cat \"$KEY\") paytoken token ntx-pay", token),
        ("PAYTOKEN_STORE_KEY_FILE=<(cat \"$KEY\") paytoken status ntx-pay", ", sealed"),
        ("PAYTOKEN_STORE_KEY_FILE=<(cat \"$KEY\") paytoken check ntx-pay", "good for"),
        ("PAYTOKEN_STORE_KEY_FILE=/dev/fd/7 paytoken token ntx-pay 7< \"$KEY\"", token),
        ("PAYTOKEN_STORE_KEY_FILE=/dev/stdin paytoken token ntx-pay < \"$KEY\"", token),
        ("NTXPAY_CLIENT_CERT=<(cat \"$NTXPAY_CLIENT_CERT\") paytoken token ntx-pay --force", token),
        ("NTXPAY_CLIENT_CERT=<(cat \"$NTXPAY_CLIENT_CERT\") paytoken status ntx-pay", "365 days"),
        ("NTXPAY_CLIENT_CERT=<(cat \"$NTXPAY_CLIENT_CERT\") paytoken check ntx-pay", "read once"),
        ("NTXPAY_CLIENT_KEY=<(cat \"$NTXPAY_CLIENT_KEY\") paytoken token ntx-pay --force", token),
        ("NTXPAY_CLIENT_KEY=<(cat \"$NTXPAY_CLIENT_KEY\") paytoken check ntx-pay", "read once"),
        ("PAYTOKEN_CA=<(cat \"$PAYTOKEN_CA\") paytoken token ntx-pay --force", token),
        ("PAYTOKEN_CA=<(cat \"$PAYTOKEN_CA\") paytoken check ntx-pay", "read once"),
        (
            "NTXPAY_CLIENT_SECRET_FILE=<(printf %s \"$NTXPAY_CLIENT_SECRET\") NTXPAY_CLIENT_SECRET= paytoken token ntx-pay --force",
            token,
        ),
    ] {
        let script = format!("paytoken() {{ \"$0\" \"$@\"; }}; {line}");
        let mut shell = world.program("bash");
        let shell = shell.args(["-c", &script, PAYTOKEN]).env("KEY", world.folder.join("key"));
        let output = shell.output().unwrap();
        let said = String::from_utf8([&*output.stdout, &*output.stderr].concat()).unwrap();
        assert!(output.status.success() && said.contains(says), "{line}: {said}");
    }
}
