//! The program: starts the sandbox, says how to reach it, and serves until it is stopped.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod directory;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;
use std::{fs, io};

use directory::{Directory, export_lines, quoted};
use paytoken_sandbox::{Sandbox, Service, control_help, token_body};

const HELP: &str = "\
The payment providers' token endpoints over real TLS on 127.0.0.1.

usage: paytoken-sandbox [--describe FILE]... [--assertion-key FILE] [--directory DIR] [--run COMMAND ARGS...]

  --describe FILE        play the providers that this file describes, too: [providers.NAME] in
                         TOML, or one as JSON; the three are always there
  --assertion-key FILE   the private key (PEM) of their clients' assertions; without it that of
                         the client certificate, which is no RSA key
  --directory DIR        write certificates, key and env.sh there (default: a private
                         temporary directory, removed at the end)
  --run COMMAND ARGS...  run a command with the variables set, exit with its status;
                         everything after --run belongs to the command
  --help                 this text

Without --run it prints addresses and variables and serves until Ctrl-C.
Then, in another shell: . DIR/env.sh
";

enum Task {
    Help,
    Serve(Wishes),
}

#[derive(Default)]
struct Wishes {
    descriptions: Vec<PathBuf>,
    assertion_key: Option<PathBuf>,
    directory: Option<PathBuf>,
    command: Option<Vec<OsString>>,
}

fn main() -> ExitCode {
    let task = match read_arguments(std::env::args_os().skip(1)) {
        Ok(task) => task,
        Err(problem) => {
            eprintln!("paytoken-sandbox: {problem}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let outcome = match task {
        Task::Help => {
            print!("{HELP}\nHow to make it fail on purpose, while it runs:\n\n{}", control_help());
            return ExitCode::SUCCESS;
        }
        Task::Serve(wishes) => serve(wishes),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("paytoken-sandbox: {error}");
        ExitCode::FAILURE
    })
}

fn read_arguments(mut arguments: impl Iterator<Item = OsString>) -> Result<Task, String> {
    let mut wishes = Wishes::default();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--help" | "-h") => return Ok(Task::Help),
            Some(option @ ("--describe" | "--assertion-key" | "--directory")) => {
                let path = arguments.next().ok_or(format!("{option} needs a path"))?.into();
                match option {
                    "--describe" => wishes.descriptions.push(path),
                    "--assertion-key" => wishes.assertion_key = Some(path),
                    _ => wishes.directory = Some(path),
                }
            }
            Some("--run") => {
                let words: Vec<OsString> = arguments.by_ref().collect();
                if words.is_empty() {
                    return Err("--run needs a command".to_owned());
                }
                wishes.command = Some(words);
            }
            _ => return Err(format!("unexpected argument {argument:?}")),
        }
    }
    Ok(Task::Serve(wishes))
}

fn serve(wishes: Wishes) -> io::Result<ExitCode> {
    let sandbox = Sandbox::start()?;
    for path in &wishes.descriptions {
        let described = describe(&sandbox, path, wishes.assertion_key.as_deref());
        described.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    }
    // Not before: a description may be a pipe that nobody writes, and a signal ends that.
    let (sender, signals) = mpsc::channel();
    ctrlc::set_handler(move || {
        let _ = sender.send(());
    })
    .map_err(io::Error::other)?;
    let directory = Directory::open(wishes.directory)?;
    let variables = directory.fill(&sandbox, wishes.assertion_key.as_deref())?;
    match wishes.command {
        Some(words) => {
            let child = Command::new(&words[0]).args(&words[1..]).envs(variables).spawn().map_err(
                |error| io::Error::new(error.kind(), format!("cannot run {:?}: {error}", words[0])),
            )?;
            Ok(exit_code(wait(child, &signals)?))
        }
        None => {
            print_addresses(&sandbox, &directory, &variables);
            // An error would mean that the handler is gone, and nothing could end the program.
            let _ = signals.recv();
            println!("Ended.");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Plays what a file describes: one provider as JSON, or tables `[providers.NAME]`.
fn describe(sandbox: &Sandbox, path: &Path, assertion_key: Option<&Path>) -> io::Result<()> {
    let text = fs::read_to_string(path)?;
    let mut descriptions = Vec::new();
    if text.trim_start().starts_with('{') {
        descriptions.push(text);
    } else {
        let file: toml::Table = text.parse().map_err(io::Error::other)?;
        let providers = file.get("providers").and_then(toml::Value::as_table);
        let providers = providers.ok_or_else(|| io::Error::other("has no [providers.NAME]"))?;
        for (name, keys) in providers {
            let mut keys = keys.clone().try_into::<toml::Table>().map_err(io::Error::other)?;
            keys.insert("name".to_owned(), name.clone().into());
            descriptions.push(serde_json::to_string(&keys).map_err(io::Error::other)?);
        }
    }
    for json in descriptions {
        let service = sandbox.describe(&json)?;
        if let Some(path) = assertion_key {
            sandbox.set_assertion_key(service, &fs::read_to_string(path)?)?;
        }
    }
    Ok(())
}

/// Waits for the command. At a signal it gets two seconds to end by itself (Ctrl-C reaches it
/// too), then it is killed.
fn wait(mut child: Child, signals: &Receiver<()>) -> io::Result<ExitStatus> {
    const STEP: Duration = Duration::from_millis(10);
    let mut steps_left = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        match signals.recv_timeout(STEP) {
            Ok(()) => steps_left = steps_left.or(Some(200)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return child.wait(),
        }
        if let Some(left) = &mut steps_left {
            if *left == 0 {
                child.kill()?;
                return child.wait();
            }
            *left -= 1;
        }
    }
}

/// The command's status as a shell would report it.
fn exit_code(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    let code = status.code().or(signal.map(|signal| 128 + signal));
    ExitCode::from(u8::try_from(code.unwrap_or(1)).unwrap_or(1))
}

fn print_addresses(sandbox: &Sandbox, directory: &Directory, variables: &[(String, String)]) {
    let path = |name| quoted(&directory.file(name).to_string_lossy());
    let url = |service| format!("{}{}", sandbox.url(service), service.facts().endpoint);
    println!("The payment providers are simulated here (Ctrl-C ends it):\n");
    for service in sandbox.services() {
        println!("  {service:<14} {}", url(service));
    }
    println!("  {:<14} {}/", "control", sandbox.control_url());
    println!("  {:<14} {}\n", "CA", path("ca.pem"));
    println!("{}", export_lines(variables));
    println!("In another shell:  . {}\n", path("env.sh"));
    println!("Requests to try:\n");
    for &service in Service::ALL {
        let certificate = match service.facts().takes_certificate {
            true => format!(
                " --cert {} --key {} -H @{}",
                path("client.cert.pem"),
                path("client.key.pem"),
                path("client.header"),
            ),
            false => String::new(),
        };
        let body = token_body(service, sandbox.client_id(service), sandbox.client_secret(service));
        println!(
            "curl --cacert {}{certificate} -H 'Content-Type: application/json' -d {} {}\n",
            path("ca.pem"),
            quoted(&body),
            url(service),
        );
    }
}
