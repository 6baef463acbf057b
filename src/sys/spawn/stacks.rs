//! The stacks that children run on, with guard pages, and the words that say which are free.
//!
//! One mapping: guard, area, guard, area, ..., each as long as the largest page of any architecture. The stack grows
//! down from within the area; what is above it is written by `draft` before the child begins.

use crate::sys::Result;
use alloc::boxed::Box;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};
use pintle::limits::STACKS;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect};

/// Bytes of one area: arguments, environment, plan and stack together.
pub const AREA_BYTES: usize = 65536;
/// From the end of one area to the end of the next.
const STRIDE: usize = 2 * AREA_BYTES;
/// Bytes of an area that a draft leaves to the stack. The child itself uses a few hundred; a signal frame, which only
/// a fault could bring, up to 11 KB with the widest registers.
pub const STACK_BYTES_MIN: usize = 16384;

/// The areas: one for each sharing child, and one more for forked ones.
pub struct Stacks {
    base: *mut u8,
    words: &'static [Words; STACKS + 1],
}

/// What parent, child and kernel say of a stack.
pub struct Words {
    /// Not 0 while a child is on it; the kernel clears it.
    pub taken: AtomicU32,
    /// The step that failed, as a quiet child has left it: to be read when `taken` is 0; 0 for none.
    pub step: AtomicU32,
    /// Goes with `step`.
    pub errno: AtomicU32,
}

impl Words {
    const fn new() -> Words {
        Words { taken: AtomicU32::new(0), step: AtomicU32::new(0), errno: AtomicU32::new(0) }
    }
}

impl Stacks {
    pub fn new() -> Result<Stacks> {
        let length = STRIDE * (STACKS + 1);
        // SAFETY: a fresh mapping, never unmapped; the parts made accessible are within it.
        let base: *mut u8 = unsafe {
            let base =
                mmap_anonymous(ptr::null_mut(), length, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)?;
            for index in 0..STACKS + 1 {
                let area = base.byte_add(index * STRIDE + STRIDE - AREA_BYTES);
                mprotect(area, AREA_BYTES, MprotectFlags::READ | MprotectFlags::WRITE)?;
            }
            base.cast()
        };
        // Where the kernel writes when a child lets go, at any time: it must never move.
        let words = Box::leak(Box::new([const { Words::new() }; STACKS + 1]));
        Ok(Stacks { base, words })
    }

    /// Gives the pages of all areas back. No child may be on any.
    pub fn release_pages(&self) {
        let length = STRIDE * (STACKS + 1);
        // SAFETY: our own mapping, private and without a file, and nothing in it is in use; it reads as zeros afterwards.
        let _ = unsafe { madvise(self.base.cast(), length, Advice::LinuxDontNeed) };
    }

    /// The end of an area; `AREA_BYTES` below it are to be used. `None`: the one for forked children.
    pub fn top(&self, index: Option<usize>) -> *mut u8 {
        // SAFETY: within the mapping for every index there is.
        unsafe { self.base.add((slot(index) + 1) * STRIDE) }
    }

    pub fn words(&self, index: Option<usize>) -> &'static Words {
        &self.words[slot(index)]
    }

    /// Whether no child is on this stack. Acquire: the child's last use of it comes before.
    pub fn is_clear(&self, index: usize) -> bool {
        self.words(Some(index)).taken.load(Ordering::Acquire) == 0
    }

    /// Whether it can be taken: nothing is left there that is to be read.
    pub fn is_free(&self, index: usize) -> bool {
        self.is_clear(index) && self.words(Some(index)).step.load(Ordering::Relaxed) == 0
    }
}

fn slot(index: Option<usize>) -> usize {
    index.map_or(STACKS, |index| index.min(STACKS - 1))
}
