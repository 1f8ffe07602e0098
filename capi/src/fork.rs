//! Notices a fork: a source made before it must not be used in the child, where its locks may be
//! held by threads that are gone and its TLS connections are shared with the parent.
//!
//! `getpid` at each call would cost more than the call; a handler that counts costs nothing.

use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// How many forks this process descends from since the first source was made.
pub(crate) fn count() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Begins to count.
#[cfg(unix)]
pub(crate) fn watch() {
    static ONCE: std::sync::Once = std::sync::Once::new();

    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    ONCE.call_once(|| {
        // SAFETY: the handler only adds to an atomic, which is async-signal-safe, and lives as
        // long as the library: the C library drops it when the library is unloaded. Failure (no
        // memory) leaves a fork unnoticed, as it would be without this.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

#[cfg(windows)]
pub(crate) fn watch() {}
