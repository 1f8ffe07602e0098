//! Log records to a function of the caller's, and to a queue that the caller polls.
//!
//! Only this library's own records are passed on: those of the HTTP and TLS layers may hold
//! headers and bodies. No lock of this file is held while a callback runs, so a callback may wait
//! for whatever the host's other threads hold.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::{CString, c_char, c_void};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::boundary;
use crate::code;
use crate::error::{Failure, c_string};
use crate::memory::{Buffer, Out};
use crate::words;

/// `void (*)(void *context, uint32_t level, const char *message)`
type Callback = extern "C" fn(*mut c_void, u32, *const c_char);

/// For `*level` where the queue is empty, and to end one.
const OFF: u32 = 0;
const WARN: u32 = 2;

const LARGEST_CAPACITY: u32 = 65_536;

#[derive(Clone, Copy)]
struct Receiver {
    callback: Callback,
    context: Context,
    level: LevelFilter,
}

#[derive(Clone, Copy)]
struct Context(*mut c_void);

// SAFETY: the pointer is never followed here; the header asks for a callback that may be called
// from any thread with it.
unsafe impl Send for Context {}

/// Who gets records.
struct Receivers {
    callback: Option<Receiver>,
    /// Grows when the callback is replaced.
    generation: u64,
    /// Calls of the callback that is set,
    running: u32,
    /// and of those before it, which have not returned.
    outlasting: u32,
    queue: Option<Queue>,
}

static RECEIVERS: Mutex<Receivers> =
    Mutex::new(Receivers { callback: None, generation: 0, running: 0, outlasting: 0, queue: None });

struct Queue {
    level: LevelFilter,
    capacity: usize,
    entries: VecDeque<Entry>,
    /// Records that found no room since the last entry.
    dropped: u64,
}

struct Entry {
    level: u32,
    message: CString,
    dropped_before: u64,
}

thread_local! {
    /// What a callback makes the library say would lead to the callback again, without end.
    static IS_IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target == "paytoken" || target.starts_with("paytoken::")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = c_string(words::of_c(&record.args().to_string()));
        let (receiver, generation) = {
            let mut receivers = receivers();
            if let Some(queue) = &mut receivers.queue
                && record.level() <= queue.level
            {
                queue.push(number(record.level()), &message);
            }
            match receivers.callback {
                Some(receiver) if record.level() <= receiver.level && !IS_IN_CALLBACK.get() => {
                    receivers.running += 1;
                    (receiver, receivers.generation)
                }
                _ => return,
            }
        };
        IS_IN_CALLBACK.set(true);
        (receiver.callback)(receiver.context.0, number(record.level()), message.as_ptr());
        IS_IN_CALLBACK.set(false);
        let mut receivers = receivers();
        match generation == receivers.generation {
            true => receivers.running -= 1,
            false => receivers.outlasting -= 1,
        }
    }

    fn flush(&self) {}
}

impl Receivers {
    /// What is not wanted by anybody is not even formatted.
    fn set_max_level(&self) {
        // The `log` crate inside this library is nobody else's, so this cannot fail.
        static ONCE: Once = Once::new();
        ONCE.call_once(|| _ = log::set_logger(&Logger));
        let callback = self.callback.map_or(LevelFilter::Off, |receiver| receiver.level);
        let queue = self.queue.as_ref().map_or(LevelFilter::Off, |queue| queue.level);
        log::set_max_level(callback.max(queue));
    }
}

impl Queue {
    fn push(&mut self, level: u32, message: &CString) {
        if self.entries.len() == self.capacity {
            self.dropped += 1;
            return;
        }
        let dropped_before = std::mem::take(&mut self.dropped);
        self.entries.push_back(Entry { level, message: message.clone(), dropped_before });
    }

    /// The count of records that are missing next, where some are.
    fn missing(&mut self) -> &mut u64 {
        match self.entries.front_mut() {
            Some(entry) => &mut entry.dropped_before,
            None => &mut self.dropped,
        }
    }
}

fn receivers() -> MutexGuard<'static, Receivers> {
    RECEIVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(level: Level) -> u32 {
    match level {
        Level::Error => 1,
        Level::Warn => WARN,
        Level::Info => 3,
        Level::Debug | Level::Trace => 4,
    }
}

fn filter(level: u32) -> Result<LevelFilter, Failure> {
    Ok(match level {
        OFF => LevelFilter::Off,
        1 => LevelFilter::Error,
        WARN => LevelFilter::Warn,
        3 => LevelFilter::Info,
        4 => LevelFilter::Debug,
        _ => return Err(Failure::new(code::INVALID_ARGUMENT, "level: not known")),
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_set_log_callback(
    level: u32,
    callback: Option<Callback>,
    context: *mut c_void,
) -> i32 {
    boundary::code("paytoken_set_log_callback", || {
        let level = filter(level)?;
        let context = Context(context);
        let mut receivers = receivers();
        receivers.callback = callback
            .filter(|_| level != LevelFilter::Off)
            .map(|callback| Receiver { callback, context, level });
        receivers.generation += 1;
        receivers.outlasting += std::mem::take(&mut receivers.running);
        receivers.set_max_level();
        Ok(code::OK)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_log_callbacks_running() -> u32 {
    boundary::guard("paytoken_log_callbacks_running", u32::MAX, || receivers().outlasting)
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_set_log_queue(level: u32, capacity: u32) -> i32 {
    boundary::code("paytoken_set_log_queue", || {
        let level = filter(level)?;
        if level != LevelFilter::Off && !(1..=LARGEST_CAPACITY).contains(&capacity) {
            return Err(Failure::new(
                code::INVALID_ARGUMENT,
                format!("capacity: 1 to {LARGEST_CAPACITY} records"),
            ));
        }
        let queue = (level != LevelFilter::Off).then(|| Queue {
            level,
            capacity: capacity as usize,
            entries: VecDeque::new(),
            dropped: 0,
        });
        let mut receivers = receivers();
        let before = std::mem::replace(&mut receivers.queue, queue);
        receivers.set_max_level();
        drop(receivers);
        drop(before);
        Ok(code::OK)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_log_next(
    buffer: Buffer,
    capacity: usize,
    length: Out<usize>,
    level: Out<u32>,
) -> i32 {
    boundary::code("paytoken_log_next", || {
        buffer.check(capacity)?;
        level.check("level")?;
        let mut receivers = receivers();
        let Some(queue) = &mut receivers.queue else {
            return none(&buffer, capacity, &length, &level);
        };
        let missing = *queue.missing();
        if missing > 0 {
            let records = if missing == 1 { "record was" } else { "records were" };
            let note = format!("{missing} log {records} dropped: the queue was full");
            let code = buffer.fill(capacity, &length, &note)?;
            if code == code::OK {
                level.write(WARN);
                *queue.missing() = 0;
            }
            return Ok(code);
        }
        let Some(entry) = queue.entries.front() else {
            return none(&buffer, capacity, &length, &level);
        };
        let code = buffer.fill(capacity, &length, &entry.message.to_string_lossy())?;
        if code == code::OK {
            level.write(entry.level);
            queue.entries.pop_front();
        }
        Ok(code)
    })
}

/// There is no record: an empty text, for which a buffer of 0 bytes is large enough.
fn none(
    buffer: &Buffer,
    capacity: usize,
    length: &Out<usize>,
    level: &Out<u32>,
) -> Result<i32, Failure> {
    if capacity > 0 {
        buffer.fill(capacity, length, "")?;
    }
    length.write(0);
    level.write(OFF);
    Ok(code::OK)
}
