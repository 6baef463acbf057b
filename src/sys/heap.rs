//! The global allocator: blocks of a few sizes on the kernel's pages, counted. After [`freeze`] every allocation
//! counts, so that `status` can show that the supervisor and the engine allocate nothing once they run.
//!
//! Rust says the size of a block again when it frees it, so blocks have no headers. One that is freed goes on the list
//! of its size (the newest goes back where it came from); nothing is split or joined. Large ones are the kernel's own
//! mappings. The program is one thread, and children that share its memory do not allocate: there is no lock.

use super::errno::Words;
use super::{Errno, clock, output, process, rebirth};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::Relaxed};
use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mremap, munmap};

static LAST_WORDS: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
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

/// What a process does that ends for want of memory, before it does. It gets none.
pub fn before_the_end(words: fn(Errno)) {
    LAST_WORDS.store(words as *mut (), Relaxed);
}

fn count() {
    if FROZEN.load(Relaxed) {
        AFTER_FREEZE.fetch_add(1, Relaxed);
    }
}

/// The exit code of a process without memory.
const SYSTEM: u8 = 111;
/// Between two tries to have some. Milliseconds.
const AGAIN_MS: u32 = 1000;

/// What every block is aligned to, and the size of the smallest.
const ALIGN: usize = 16;
/// The largest block that comes from a chunk.
const SMALL_MAX: usize = 32 * 1024;
/// What is asked of the kernel at once for small blocks. Pages of it become real when they are touched.
const CHUNK: usize = 256 * 1024;
/// Sizes are powers of two, and from 64 on the one halfway down to the next; see `size_class`.
const CLASSES: usize = 2 * (SMALL_MAX.ilog2() as usize + 1);

/// Index and bytes of the smallest class that holds `size` bytes, 1 to `SMALL_MAX`.
fn size_class(size: usize) -> (usize, usize) {
    let power = size.max(ALIGN).next_power_of_two();
    let index = 2 * power.ilog2() as usize;
    let between = power / 4 * 3;
    if power >= 4 * ALIGN && size <= between { (index, between) } else { (index + 1, power) }
}

/// Whether a block is a mapping of its own: no chunk has pages' alignment.
fn is_large(layout: Layout) -> bool {
    layout.size() > SMALL_MAX || layout.align() > ALIGN
}

struct Heap {
    /// The first free block of each class; in it is the address of the next.
    free: [*mut u8; CLASSES],
    /// What is left of the newest chunk.
    next: *mut u8,
    left: usize,
}

impl Heap {
    const NEW: Heap = Heap { free: [ptr::null_mut(); CLASSES], next: ptr::null_mut(), left: 0 };

    /// Null for an alignment of more than a page.
    ///
    /// # Safety
    /// As of `GlobalAlloc::alloc`, and so the others.
    unsafe fn take(&mut self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return if layout.align() <= 4096 { map(layout.size()) } else { ptr::null_mut() };
        }
        let (class, bytes) = size_class(layout.size());
        let block = self.free[class];
        // SAFETY: a free block is at least as long as a pointer, and `give` has put one in; `left` bytes follow `next`.
        unsafe {
            if !block.is_null() {
                self.free[class] = block.cast::<*mut u8>().read();
                return block;
            }
            if self.left < bytes {
                (self.next, self.left) = (map(CHUNK), CHUNK);
            }
            let block = self.next;
            self.next = block.add(bytes);
            self.left -= bytes;
            block
        }
    }

    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: nobody uses the block any more, which is as long as its class says.
        unsafe {
            if is_large(layout) {
                let _ = munmap(block.cast(), layout.size());
                return;
            }
            let (class, bytes) = size_class(layout.size());
            if block.add(bytes) == self.next {
                self.next = block;
                self.left += bytes;
            } else {
                block.cast::<*mut u8>().write(self.free[class]);
                self.free[class] = block;
            }
        }
    }

    unsafe fn resize(&mut self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        // SAFETY: the caller's; `mremap` moves what is a mapping of its own.
        unsafe {
            if is_large(old) && is_large(new) {
                loop {
                    match mremap(block.cast(), old.size(), new.size(), MremapFlags::MAYMOVE) {
                        Ok(moved) => return moved.cast(),
                        Err(error) => want(error.into()),
                    }
                }
            }
            if !is_large(old) && !is_large(new) {
                let (before, after) = (size_class(old.size()).1, size_class(new.size()).1);
                if before == after {
                    return block;
                }
                // The newest of its chunk grows and shrinks where it is.
                if block.add(before) == self.next && after <= before + self.left {
                    self.next = block.add(after);
                    self.left = before + self.left - after;
                    return block;
                }
            }
            let fresh = self.take(new);
            if !fresh.is_null() {
                ptr::copy_nonoverlapping(block, fresh, old.size().min(new.size()));
                self.give(block, old);
            }
            fresh
        }
    }
}

/// Fresh pages, all zero. Where there are none the process ends; one that goes on after a crash waits until
/// there are.
fn map(bytes: usize) -> *mut u8 {
    loop {
        // SAFETY: the kernel chooses the place, so nothing of ours is replaced.
        let mapped =
            unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
        match mapped {
            Ok(mapped) => return mapped.cast(),
            Err(error) => want(error.into()),
        }
    }
}

#[cold]
#[inline(never)]
fn want(error: Errno) {
    output::say_now(format_args!("pintle: {}", Words(error)));
    if rebirth::left().is_none() {
        let last = LAST_WORDS.load(Relaxed);
        if !last.is_null() {
            // SAFETY: only `before_the_end` stores here, and only such a function.
            unsafe { core::mem::transmute::<*mut (), fn(Errno)>(last)(error) };
        }
        process::exit(SYSTEM);
    }
    clock::sleep_ms(AGAIN_MS);
}

struct Counting(UnsafeCell<Heap>);

// SAFETY: the program is one thread. (Its tests are not: they have the system's allocator.)
unsafe impl Sync for Counting {}

#[cfg_attr(not(test), global_allocator)]
static ALLOCATOR: Counting = Counting(UnsafeCell::new(Heap::NEW));

// SAFETY: blocks of `Heap` are as long as asked, aligned, and nobody else's until they are given back. Each borrow of the
// heap ends within its call, and nothing in there allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: see above.
        unsafe { (*self.0.get()).take(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: see above. Mappings are zero, and stay untouched.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() && !is_large(layout) {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: see above; the caller has seen to it that the new layout is one.
        unsafe { (*self.0.get()).resize(old, layout, Layout::from_size_align_unchecked(size, layout.align())) }
    }
    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: see above.
        unsafe { (*self.0.get()).give(old, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_a_class_of_its_own_that_holds_it() {
        let mut last = (0, 0);
        for size in 1..=SMALL_MAX {
            let (class, bytes) = size_class(size);
            assert!(bytes >= size && bytes.is_multiple_of(ALIGN) && class < CLASSES, "{size}");
            assert!(bytes <= 2 * size.max(ALIGN) && (class, bytes) >= last, "{size}");
            assert_eq!(class == last.0, bytes == last.1, "{size}");
            last = (class, bytes);
        }
    }

    /// Blocks of all sizes come, grow, shrink and go, by a fixed sequence; each holds a pattern of its own.
    #[test]
    fn no_block_ever_shares_a_byte_with_another() {
        let (mut heap, mut seed) = (Heap::NEW, 1u64);
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % below
        };
        let layout = |size| Layout::from_size_align(size, 8).expect("small");
        let mut blocks: Vec<(*mut u8, usize, u8)> = Vec::new();
        for round in 0..20_000usize {
            let bits = 1 + random(17);
            let size = 1 + random(1 << bits);
            let (kind, at) = (random(4), random(blocks.len().max(1)));
            // SAFETY: what the heap gave is used as long as it says, and given back once.
            unsafe {
                if kind < 2 || blocks.is_empty() {
                    let block = heap.take(layout(size));
                    assert!(!block.is_null() && (block as usize).is_multiple_of(ALIGN));
                    blocks.push((block, size, round as u8));
                } else {
                    let (block, length, mark) = blocks.swap_remove(at);
                    let text = core::slice::from_raw_parts(block, length);
                    assert!(text.iter().all(|byte| *byte == mark));
                    if kind == 2 {
                        heap.give(block, layout(length));
                        continue;
                    }
                    let moved = heap.resize(block, layout(length), layout(size));
                    let kept = core::slice::from_raw_parts(moved, size.min(length));
                    assert!(kept.iter().all(|byte| *byte == mark));
                    blocks.push((moved, size, round as u8));
                }
                if let Some((block, size, mark)) = blocks.last() {
                    block.write_bytes(*mark, *size);
                }
            }
        }
    }
}
