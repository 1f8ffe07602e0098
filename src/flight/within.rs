//! Which single flights this thread leads a fetch of. Code of the program that is called from there (an
//! event hook, a log callback, a source of tokens, a store) and asks for that token would wait for its own fetch.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::base::sync::thread_local;

thread_local! {
    /// The addresses of what this thread leads a flight of, the innermost last.
    static LED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, the thread that made it leads a fetch of `single_flight`, or tells what became of it.
pub(super) struct Within(PhantomData<*const ()>);

impl Within {
    pub(super) fn of<T>(single_flight: &Arc<T>) -> Self {
        // A thread that is ending has no list any more: it goes without.
        let _ = LED.try_with(|led| led.borrow_mut().push(address(single_flight)));
        Self(PhantomData)
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        let _ = LED.try_with(|led| led.borrow_mut().pop());
    }
}

pub(super) fn is_within<T>(single_flight: &Arc<T>) -> bool {
    LED.try_with(|led| led.borrow().contains(&address(single_flight))).unwrap_or(false)
}

fn address<T>(single_flight: &Arc<T>) -> usize {
    Arc::as_ptr(single_flight) as usize
}
