//! Keeps ureq's `trace` records, which hold what is sent, out of everybody's log.

use std::sync::Mutex;

use log::Level;

use crate::sync::lock;

/// While one of these lives, no `trace` record is written by anybody in the process.
///
/// At that level ureq's protocol layer logs every byte it sends and receives, the secret and the
/// token among them, and has no switch of its own.
pub(super) struct Quiet(());

static QUIET: Mutex<usize> = Mutex::new(0);

impl Quiet {
    pub(super) fn begin() -> Option<Self> {
        let mut count = lock(&QUIET);
        if *count == 0 && log::max_level() < Level::Trace {
            return None;
        }
        *count += 1;
        log::set_max_level(log::LevelFilter::Debug);
        Some(Self(()))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let mut count = lock(&QUIET);
        *count -= 1;
        // Whatever the program itself has set in the meantime stays.
        if *count == 0 && log::max_level() == log::LevelFilter::Debug {
            log::set_max_level(log::LevelFilter::Trace);
        }
    }
}
