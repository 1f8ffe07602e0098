//! `-v`: the library's own records, on stderr. Nobody else's: an HTTP library may log headers.

use log::{Level, LevelFilter, Log, Metadata, Record};

struct ToStderr;

impl Log for ToStderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Debug && metadata.target().starts_with("paytoken")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("paytoken: {}", record.args());
        }
    }

    fn flush(&self) {}
}

pub(crate) fn to_stderr() {
    if log::set_logger(&ToStderr).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}
