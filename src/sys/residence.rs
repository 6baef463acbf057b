//! Giving memory back that only a busy time has needed: pages of the program's own text, of files that are mapped to be
//! read, and stack below the frame.
//!
//! The kernel maps file pages around each one that is touched and keeps them; a process that started once, decided a
//! lot and now sleeps for weeks needs few of them. What is used again comes back from the page cache.

use super::entry;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use rustix::mm::{Advice, madvise};

/// Bytes of stack below the caller's frame that stay: red zone, and what the next calls use at once.
const STACK_KEPT: usize = 8192;
/// There are three at most.
const SEGMENTS_MAX: usize = 4;
/// How far below it is looked: our deepest calls need less.
const STACK_REACH: usize = 512 * 1024;

/// Address and length of what is mapped to be read: the database, and the other side's half of the board.
static VIEWS: [[AtomicUsize; 2]; 2] = [const { [const { AtomicUsize::new(0) }; 2] }; 2];

/// Notes a mapping of a file that is only read and never unmapped, for `release`; one for which there is no room stays.
pub fn note_view(start: usize, length: usize) {
    if let Some([its_start, its_length]) = VIEWS.iter().find(|[_, length]| length.load(Relaxed) == 0) {
        its_start.store(start, Relaxed);
        its_length.store(length, Relaxed);
    }
}

/// Lets shared memory forget these words, as far as they are whole pages: they read as zero.
pub fn forget(words: &[AtomicU32]) {
    let page = page_bytes();
    let start = (words.as_ptr() as usize).next_multiple_of(page);
    let end = (words.as_ptr_range().end as usize) & !(page - 1);
    if start < end {
        // SAFETY: pages of these words alone, which may change at any time. What is no shared memory is left as it is.
        let _ = unsafe { madvise(start as *mut c_void, end - start, Advice::LinuxRemove) };
    }
}

/// The next wait (`Poll::wait`) begins with `release`.
static DUE: AtomicBool = AtomicBool::new(false);

/// Has memory given back as the last thing that is done before the process waits again.
pub fn release_before_sleep() {
    DUE.store(true, Relaxed);
}

pub(super) fn release_if_due() {
    if DUE.load(Relaxed) {
        DUE.store(false, Relaxed);
        release();
    }
}

/// Gives back what can come back by itself. Never fails: where the kernel does not want to, nothing is given back.
#[inline(never)]
pub fn release() {
    let here = 0u8;
    let page = page_bytes();
    let top = ((&raw const here) as usize).saturating_sub(STACK_KEPT) & !(page - 1);
    // A page at a time from the top, since what the stack never came to is not mapped, and ends it.
    for below in 1..STACK_REACH / page {
        if !give(top - below * page, page) {
            break;
        }
    }
    for [start, length] in &VIEWS {
        if length.load(Relaxed) > 0 {
            give(start.load(Relaxed), length.load(Relaxed));
        }
    }
    // Text goes last, and the table of where it is, which is part of it, is read before: each page that is used after
    // that brings 15 others with it.
    for (start, length) in segments() {
        if length > 0 {
            give(start, length);
        }
    }
}

/// The kernel's, which is not the same everywhere: it rounds what it is to take back up to whole pages, so with a
/// smaller one of ours it would take the stack in use, too.
fn page_bytes() -> usize {
    const AT_PAGESZ: usize = 6;
    match entry::auxiliary(AT_PAGESZ) {
        page if page.is_power_of_two() => page,
        _ => 65536, // the largest: a multiple of what it is
    }
}

/// Both in whole pages.
fn give(start: usize, length: usize) -> bool {
    // SAFETY: either pages of a file that we cannot write there (the program, or a view), which are read again from the
    // file; or pages of our one thread's stack below every frame that is in use, which read as zeros afterwards.
    unsafe { madvise(start as *mut c_void, length, Advice::LinuxDontNeed).is_ok() }
}

/// Address and length of each segment of the program that nobody can write: whole pages. 0 for the rest.
fn segments() -> [(usize, usize); SEGMENTS_MAX] {
    const AT_PHDR: usize = 3;
    const AT_PHNUM: usize = 5;
    const PT_LOAD: u32 = 1;
    const PF_W: u32 = 2;
    let page = page_bytes();
    let (table, count) = (entry::auxiliary(AT_PHDR) as *const Header, entry::auxiliary(AT_PHNUM));
    let count = if table.is_null() { 0 } else { count };
    let (mut found, mut places, mut base) = ([(0, 0); SEGMENTS_MAX], 0, None);
    for at in 0..count {
        // SAFETY: the kernel's word for where the program headers of this program are mapped.
        let header = unsafe { &*table.add(at) };
        if header.kind != PT_LOAD {
            continue;
        }
        // The first segment has the program headers in its first page, wherever it was loaded.
        let base = *base.get_or_insert((table as usize).wrapping_sub(header.address) & !(page - 1));
        if header.flags & PF_W == 0
            && let Some(place) = found.get_mut(places)
        {
            let start = base.wrapping_add(header.address);
            let end = start.wrapping_add(header.size);
            let start = start & !(page - 1);
            *place = (start, end.wrapping_sub(start).next_multiple_of(page));
            places += 1;
        }
    }
    found
}

/// A program header (elf(5)).
#[cfg(target_pointer_width = "64")]
#[repr(C)]
struct Header {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    size_of_file: usize,
    size: usize,
    align: usize,
}

/// A program header (elf(5)).
#[cfg(target_pointer_width = "32")]
#[repr(C)]
struct Header {
    kind: u32,
    offset: usize,
    address: usize,
    physical: usize,
    size_of_file: usize,
    size: usize,
    flags: u32,
    align: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_the_kernels() {
        unsafe extern "C" {
            safe fn getpagesize() -> core::ffi::c_int;
        }
        assert_eq!(page_bytes(), getpagesize() as usize);
        assert!(segments().iter().all(|(start, length)| (start | length) & (page_bytes() - 1) == 0));
    }

    #[test]
    fn code_that_was_given_back_still_runs() {
        let kept = [7u8; 64];
        release();
        assert!(segments().iter().any(|(start, length)| {
            let here = code_that_was_given_back_still_runs as *const () as usize;
            (*start..start + length).contains(&here)
        }));
        assert_eq!(kept.iter().map(|byte| u32::from(*byte)).sum::<u32>(), 7 * 64);
    }
}
