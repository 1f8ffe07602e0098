//! `client_secret_command`: a program that prints the secret, bounded in size and time. No shell.

use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::bounded::{Cut, read_all};
use crate::child::command;
use crate::deadline::Deadline;

/// Between looks at whether a program that has closed its output has ended, too.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Its standard output, without one line end.
pub(super) fn output_of(words: &[String], deadline: Deadline) -> Result<Zeroizing<String>, String> {
    let (program, arguments) = words.split_first().ok_or("is empty; name the program first")?;
    let mut child = command(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run {program} ({error})"))?;
    let result = match child.stdout.take() {
        Some(stdout) => read_all(&stdout, deadline)
            .map_err(|cut| match cut {
                Cut::TimeIsUp => has_not_ended(deadline),
                Cut::TooLarge => "printed more than 64 KiB; that is no secret".into(),
                Cut::Failed(error) => format!("cannot be read from ({error})"),
            })
            .and_then(|(bytes, length)| {
                ended(&mut child, deadline)?;
                text_of(&bytes[..length])
            }),
        None => Err("has no output".into()),
    };
    if result.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    result.map_err(|what| format!("{program} {what}"))
}

fn text_of(bytes: &[u8]) -> Result<Zeroizing<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "did not print UTF-8 text")?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text {
        "" => Err("printed nothing".into()),
        text => Ok(Zeroizing::new(text.to_owned())),
    }
}

fn ended(child: &mut Child, deadline: Deadline) -> Result<(), String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("failed ({status})")),
            Ok(None) if deadline.left().is_zero() => return Err(has_not_ended(deadline)),
            Ok(None) => thread::sleep(LOOK_AGAIN),
            Err(error) => return Err(format!("cannot be waited for ({error})")),
        }
    }
}

fn has_not_ended(deadline: Deadline) -> String {
    format!("has not ended within --timeout ({:?})", deadline.limit())
}
