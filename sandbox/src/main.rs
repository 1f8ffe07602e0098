//! The program: starts the sandbox, says how to reach it, and serves until it is stopped.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod directory;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use directory::{Directory, export_lines, quoted};
use paytoken_sandbox::{Sandbox, Service, control_help, token_body};

const HELP: &str = "\
The payment providers' token endpoints over real TLS on 127.0.0.1.

usage: paytoken-sandbox [--directory DIR] [--run COMMAND ARGS...]

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
    Serve { directory: Option<PathBuf>, command: Option<Vec<OsString>> },
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
        Task::Serve { directory, command } => serve(directory, command),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("paytoken-sandbox: {error}");
        ExitCode::FAILURE
    })
}

fn read_arguments(mut arguments: impl Iterator<Item = OsString>) -> Result<Task, String> {
    let mut directory = None;
    let mut command = None;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--help" | "-h") => return Ok(Task::Help),
            Some("--directory") => {
                let path = arguments.next().ok_or("--directory needs a path")?;
                directory = Some(PathBuf::from(path));
            }
            Some("--run") => {
                let words: Vec<OsString> = arguments.by_ref().collect();
                if words.is_empty() {
                    return Err("--run needs a command".to_owned());
                }
                command = Some(words);
            }
            _ => return Err(format!("unexpected argument {argument:?}")),
        }
    }
    Ok(Task::Serve { directory, command })
}

fn serve(directory: Option<PathBuf>, command: Option<Vec<OsString>>) -> io::Result<ExitCode> {
    let (sender, signals) = mpsc::channel();
    ctrlc::set_handler(move || {
        let _ = sender.send(());
    })
    .map_err(io::Error::other)?;

    let sandbox = Sandbox::start()?;
    let directory = Directory::open(directory)?;
    let variables = directory.fill(&sandbox)?;
    match command {
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
    for &service in Service::ALL {
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
