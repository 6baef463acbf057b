//! The global allocator: the system's, counted. After [`freeze`] every allocation counts, so that `status` can show
//! that the supervisor and the engine allocate nothing once they run.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::alloc::System;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static FROZEN: AtomicBool = AtomicBool::new(false);
static AFTER_FREEZE: AtomicU64 = AtomicU64::new(0);

/// From here on allocations are counted. They still succeed: a bug must not end process 1.
pub fn freeze() {
    FROZEN.store(true, Relaxed);
}

/// How many allocations (and reallocations) there were since [`freeze`].
pub fn allocations_after_freeze() -> u64 {
    AFTER_FREEZE.load(Relaxed)
}

fn count() {
    if FROZEN.load(Relaxed) {
        AFTER_FREEZE.fetch_add(1, Relaxed);
    }
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's.
        unsafe { System.realloc(old, layout, size) }
    }
    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(old, layout) }
    }
}
