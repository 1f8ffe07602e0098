//! Which flights a thread is in the middle of. Code of the program that is called from there (an event
//! hook, a log callback, a source of tokens, a store) and asks for a token must not wait for itself.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::base::sync::thread_local;

thread_local! {
    /// The addresses of what this thread leads a flight of, the innermost last.
    static LED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, the thread that made it leads a flight of `flights`, or tells what became of it.
pub(super) struct Within(PhantomData<*const ()>);

impl Within {
    pub(super) fn of<T>(flights: &Arc<T>) -> Self {
        // A thread that is ending has no list any more: it goes without.
        let _ = LED.try_with(|led| led.borrow_mut().push(address(flights)));
        Self(PhantomData)
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        let _ = LED.try_with(|led| led.borrow_mut().pop());
    }
}

pub(super) fn is_within<T>(flights: &Arc<T>) -> bool {
    LED.try_with(|led| led.borrow().contains(&address(flights))).unwrap_or(false)
}

fn address<T>(flights: &Arc<T>) -> usize {
    Arc::as_ptr(flights) as usize
}
