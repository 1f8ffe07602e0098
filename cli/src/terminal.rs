//! stdout and stderr. What cannot be said on stderr changes nothing: it may be closed, or its disk
//! full.

use std::fmt;
use std::io::{self, Write as _};

use crate::exit::Failure;

/// Whoever reads may stop reading: a broken pipe is not an error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Output(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// One line on stderr.
pub(crate) fn tell(line: impl fmt::Display) {
    // In one piece, so that lines of several processes do not mix.
    let line = format!("paytoken: {line}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
}
