//! Log records to a function of the caller's.
//!
//! Only this library's own records are passed on: those of the HTTP and TLS layers may hold
//! headers and bodies.

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::sync::{Once, PoisonError, RwLock};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::boundary;
use crate::code;
use crate::error::{Failure, c_string};

/// `void (*)(void *context, uint32_t level, const char *message)`
type Callback = extern "C" fn(*mut c_void, u32, *const c_char);

struct Receiver {
    callback: Callback,
    context: Context,
}

struct Context(*mut c_void);

// SAFETY: the pointer is never followed here; the header asks for a callback that may be called
// from any thread with it.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// Read while a callback runs, so that no callback is running any more once it was replaced.
static RECEIVER: RwLock<Option<Receiver>> = RwLock::new(None);

thread_local! {
    /// A callback that uses the library must not come back here: it would wait for itself.
    static IS_IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target == "paytoken" || target.starts_with("paytoken::")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || IS_IN_CALLBACK.get() {
            return;
        }
        let receiver = RECEIVER.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = &*receiver {
            let message = c_string(record.args().to_string());
            IS_IN_CALLBACK.set(true);
            (receiver.callback)(receiver.context.0, number(record.level()), message.as_ptr());
            IS_IN_CALLBACK.set(false);
        }
    }

    fn flush(&self) {}
}

fn number(level: Level) -> u32 {
    match level {
        Level::Error => 1,
        Level::Warn => 2,
        Level::Info => 3,
        Level::Debug | Level::Trace => 4,
    }
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_set_log_callback(
    level: u32,
    callback: Option<Callback>,
    context: *mut c_void,
) -> i32 {
    boundary::code("paytoken_set_log_callback", || {
        let level = match level {
            0 => LevelFilter::Off,
            1 => LevelFilter::Error,
            2 => LevelFilter::Warn,
            3 => LevelFilter::Info,
            4 => LevelFilter::Debug,
            _ => return Err(Failure::new(code::INVALID_ARGUMENT, "level: not known")),
        };
        if IS_IN_CALLBACK.get() {
            return Err(Failure::new(code::INVALID_ARGUMENT, "called from a log callback"));
        }
        static ONCE: Once = Once::new();
        // The `log` crate inside this library is nobody else's, so this cannot fail.
        ONCE.call_once(|| _ = log::set_logger(&Logger));
        let receiver = callback.map(|callback| Receiver { callback, context: Context(context) });
        let level = if receiver.is_some() { level } else { LevelFilter::Off };
        *RECEIVER.write().unwrap_or_else(PoisonError::into_inner) = receiver;
        log::set_max_level(level);
        Ok(code::OK)
    })
}
