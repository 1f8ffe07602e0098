//! The library's records and the command's own, on stderr: warnings always, since silence would be a
//! bug; each step with `-v`. Nobody else's: an HTTP library may log headers.

use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::exit::Failure;
use crate::terminal::tell;
use crate::words;

/// With `-v`, as they come.
struct AsTheyCome;

/// Without, warnings are kept until it is known whether they say the same as the failure.
struct Kept;

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("paytoken")
}

impl Log for AsTheyCome {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Debug && is_ours(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            tell(words::of_the_command(&record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

impl Log for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn && is_ours(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = words::of_the_command(&record.args().to_string());
            let mut warnings = WARNINGS.lock().unwrap_or_else(PoisonError::into_inner);
            // What is asked again can fail again.
            if !warnings.contains(&text) {
                warnings.push(text);
            }
        }
    }

    fn flush(&self) {}
}

pub(crate) fn start(is_verbose: bool) {
    let (logger, level): (&'static dyn Log, _) = match is_verbose {
        true => (&AsTheyCome, LevelFilter::Debug),
        false => (&Kept, LevelFilter::Warn),
    };
    if log::set_logger(logger).is_ok() {
        log::set_max_level(level);
    }
}

/// Those that the failure's own line does not say.
pub(crate) fn tell_warnings(failure: Option<&Failure>) {
    let warnings = std::mem::take(&mut *WARNINGS.lock().unwrap_or_else(PoisonError::into_inner));
    let said = failure.map(ToString::to_string).unwrap_or_default();
    for warning in warnings.iter().filter(|warning| !said.starts_with(warning.as_str())) {
        tell(warning);
    }
}
