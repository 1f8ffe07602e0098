//! The program, as a person starts it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use paytoken_sandbox::Service;

const PROGRAM: &str = env!("CARGO_BIN_EXE_paytoken-sandbox");

#[test]
fn help_and_wrong_arguments() {
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    // How to make it fail on purpose: which kinds there are, and how to ask for one.
    let ask = "curl -X POST \"$PAYTOKEN_SANDBOX_CONTROL/ntx-pay/fault?kind=status=503";
    for word in ["--run", "lost-answer", "truncated", "429[=RETRY-AFTER]", "lifetime=S", ask] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
    for wrong in [&["--nonsense"][..], &["--run"], &["--directory"]] {
        let output = Command::new(PROGRAM).args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
    let missing = ["--run", "/nowhere/at/all"];
    let output = Command::new(PROGRAM).args(missing).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[cfg(unix)]
#[test]
fn a_command_gets_the_variables_and_gives_its_status() {
    use std::os::unix::fs::PermissionsExt as _;
    let script = "env; ls -ld \"$(dirname \"$PAYTOKEN_CA\")\" \"$NTXPAY_CLIENT_KEY\"; exit 7";
    let output = Command::new(PROGRAM).args(["--run", "sh", "-c", script]).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    let text = String::from_utf8(output.stdout).unwrap();
    let value = |name: &str| {
        let start = format!("{name}=");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("{name} is missing")).to_owned()
    };
    for name in ["NTXPAY", "NEXTERPAY", "SENDPAYMENTS"] {
        assert!(value(&format!("{name}_BASE_URL")).starts_with("https://127.0.0.1:"));
        assert_eq!(value(&format!("{name}_ENVIRONMENT")), "sandbox");
    }
    for name in ["NTXPAY_CLIENT_SECRET", "NEXTERPAY_PASSWORD", "SENDPAYMENTS_CLIENT_SECRET"] {
        assert_eq!(value(name), "sandbox-secret-not-real");
    }
    for name in ["NTXPAY_CLIENT_ID", "NEXTERPAY_USERNAME", "SENDPAYMENTS_CLIENT_ID"] {
        assert_eq!(value(name), "sandbox-client");
    }
    assert!(value("PAYTOKEN_SANDBOX_CONTROL").starts_with("http://127.0.0.1:"));
    assert!(value("NTXPAY_CLIENT_CERT").ends_with("client.cert.pem"));
    assert!(text.contains("drwx------"), "{text}");
    assert!(text.contains("-rw-------"), "{text}");
    assert!(!PathBuf::from(value("PAYTOKEN_CA")).exists(), "removed at the end");

    // What programs trust there: the sandbox, and what they trusted before.
    let script = "cat \"$PAYTOKEN_CA\" \"$0\" | cmp - \"$SSL_CERT_FILE\"";
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("trusted before.pem");
    // With a comment in some other encoding.
    std::fs::write(&base, b"trusted at the caf\xe9 before\n").unwrap();
    let run = |bundle: &Path| {
        let mut program = Command::new(PROGRAM);
        program.env("SSL_CERT_FILE", bundle).args(["--run", "sh", "-c", script]).arg(&base);
        program.output().unwrap()
    };
    let output = run(&base);
    assert!(output.status.success(), "{output:?}");
    let output = run(Path::new(env!("CARGO_TARGET_TMPDIR")));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("SSL_CERT_FILE: "), "{output:?}");
    std::fs::remove_file(base).unwrap();

    // A named directory stays, with a file to source.
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("named directory");
    let script = "\
        \"$1\" --directory \"$0\" --run true; [ $? = 1 ] || exit
        . \"$0/env.sh\" && test -s \"$PAYTOKEN_CA\" && kill -s TERM $$";
    let output = Command::new(PROGRAM)
        .arg("--directory")
        .arg(&base)
        .args(["--run", "sh", "-c", script])
        .args([base.as_os_str(), PROGRAM.as_ref()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(128 + 15), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("another sandbox uses"), "{output:?}");
    let mode = std::fs::metadata(base.join("client.key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_dir_all(base).unwrap();
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_while_it_waits_for_a_description() {
    use std::os::unix::process::ExitStatusExt as _;
    let pipe = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("description from a pipe");
    let _ = std::fs::remove_file(&pipe);
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut child = Command::new(PROGRAM).arg("--describe").arg(&pipe).spawn().unwrap();
    // Opened when the other end is.
    let writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let kill = ["-s", "TERM", &child.id().to_string()];
    assert!(Command::new("kill").args(kill).status().unwrap().success());
    drop(writer);
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    std::fs::remove_file(pipe).unwrap();
}

#[cfg(unix)]
#[test]
fn it_serves_until_it_is_told_to_end() {
    let mut child = Command::new(PROGRAM).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ca = None;
    let mut curls = 0;
    for line in lines.by_ref().map(Result::unwrap) {
        if let Some(path) = line.strip_prefix("export PAYTOKEN_CA=") {
            ca = Some(PathBuf::from(path));
        }
        curls += usize::from(line.starts_with("curl "));
        if curls == Service::ALL.len() {
            break;
        }
    }
    let ca = ca.unwrap();
    assert!(ca.exists());
    let kill = ["-s", "TERM", &child.id().to_string()];
    assert!(Command::new("kill").args(kill).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    assert!(!ca.exists(), "the temporary directory is removed");
}
