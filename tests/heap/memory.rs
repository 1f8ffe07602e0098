//! An allocator that looks for a text in what is freed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static NEEDLE: Cell<Option<&'static str>> = const { Cell::new(None) };
    static FOUND: Cell<usize> = const { Cell::new(0) };
}

/// In how many blocks the needle was when this thread gave them back, while `work` was done.
pub(crate) fn leftovers(needle: &'static str, work: impl FnOnce()) -> usize {
    FOUND.set(0);
    NEEDLE.set(Some(needle));
    work();
    NEEDLE.set(None);
    FOUND.get()
}

#[global_allocator]
static SEARCHING: Searching = Searching;

struct Searching;

// SAFETY: everything is the system allocator's; the search allocates nothing. `realloc` is not
// written here, so it is the trait's own: allocate, copy, free.
unsafe impl GlobalAlloc for Searching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that what is searched later has a value in every byte.
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // A thread that is ending has no needle any more.
        if let Ok(Some(needle)) = NEEDLE.try_with(Cell::get) {
            // SAFETY: the block is the caller's until it is freed below, and `alloc` zeroed it, so
            // every byte has a value.
            let block = unsafe { std::slice::from_raw_parts(pointer, layout.size()) };
            if block.windows(needle.len()).any(|part| part == needle.as_bytes()) {
                FOUND.set(FOUND.get() + 1);
            }
        }
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
