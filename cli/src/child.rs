//! The programs that the command runs: curl, and those that print a secret.

use std::ffi::OsStr;
use std::io;
use std::process::Command;
use std::sync::Arc;

use paytoken::Provider;
use rustix::io::Errno;

/// Hold a password, or a key that somebody put there by mistake.
const OF_THE_STORE: [&str; 2] = ["PAYTOKEN_STORE", "PAYTOKEN_STORE_KEY"];

/// A program with this command's environment, without the secrets of any provider and the store's
/// address: the environment of a process can be read by all that it starts.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    // Those that are known to this process: what others of the catalogue would read is another program's.
    for provider in Provider::known() {
        let facts = provider.facts();
        for field in facts.fields.iter().filter(|field| field.is_secret()) {
            command.env_remove(facts.variable(field.variable));
        }
    }
    // By it curl would write the keys of its connections into a file.
    command.env_remove("SSLKEYLOGFILE");
    for variable in OF_THE_STORE {
        command.env_remove(variable);
    }
    command
}

/// Whether a program could not be run because this machine has no process, memory or descriptor left,
/// or because its file is just being replaced: later it may run.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::TXTBSY];
    Errno::from_io_error(error).is_some_and(|number| shortages.contains(&number))
}

/// Has the system keep the exit status of what is run. A parent that ignores SIGCHLD, as with
/// `trap '' CHLD`, hands that down: no program could be waited for, and each would look as if it
/// had failed. A handler that does nothing is replaced by the default in a program that is run.
pub(crate) fn can_be_waited_for() {
    let _ = signal_hook::flag::register(signal_hook::consts::SIGCHLD, Arc::default());
}
