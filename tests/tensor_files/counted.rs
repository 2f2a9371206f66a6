//! An allocator that counts, for each thread, what is asked of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub struct Counted;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

fn took(bytes: usize) {
    LARGEST.set(LARGEST.get().max(bytes));
    HELD.set(HELD.get().saturating_add(bytes));
    MOST.set(MOST.get().max(HELD.get()));
}

fn gave(bytes: usize) {
    // What another thread took may be given back here.
    HELD.set(HELD.get().saturating_sub(bytes));
}

// SAFETY: every call is passed to the system's allocator as it came; the counters are cells of the thread, without
// destructors, and counting allocates nothing.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        gave(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        gave(layout.size());
        took(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What this thread asked for while `work` ran: the largest piece, and the most that it held at once beyond
/// what it held before.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = HELD.get();
    LARGEST.set(0);
    MOST.set(before);
    let result = work();
    (result, LARGEST.get(), MOST.get() - before)
}
