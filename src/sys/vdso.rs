//! The library that the kernel puts into each process, vdso(7): the clocks can be read there without a system call.
//!
//! It is a small ELF file (elf(5)) that lies in memory as it would lie in a file. Everything about it may be missing:
//! who asks for a function then has none, and makes the system call.

use super::entry;
use core::ffi::{CStr, c_char};

/// See clock_gettime(2). Nothing of it may run on the small stack of a child.
pub type ClockGettime = unsafe extern "C" fn(clock: usize, time: *mut [i64; 2]) -> i32;

/// Its name there, on architectures where it is called as any C function is and takes a time of two 64-bit numbers.
const CLOCK_GETTIME: Option<&CStr> = if cfg!(any(target_arch = "x86_64", target_arch = "riscv64")) {
    Some(c"__vdso_clock_gettime")
} else if cfg!(any(target_arch = "aarch64", target_arch = "s390x")) {
    Some(c"__kernel_clock_gettime")
} else {
    None
};

const AT_SYSINFO_EHDR: usize = 33;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_NULL: usize = 0;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;

/// What is used of Elf64_Ehdr.
#[repr(C)]
struct Header {
    _before: [u64; 4],
    segments_at: u64,
    _between: [u16; 8],
    segments: u16,
    _after: [u16; 3],
}

/// Elf64_Phdr.
#[repr(C)]
struct Segment {
    kind: u32,
    _flags: u32,
    offset: usize,
    address: usize,
    _after: [u64; 4],
}

/// Elf64_Sym.
#[repr(C)]
struct Symbol {
    name: u32,
    _kind: [u8; 2],
    section: u16,
    value: usize,
    _size: u64,
}

/// The function that reads the clocks, where the kernel gives one.
pub fn clock_gettime() -> Option<ClockGettime> {
    // SAFETY: the kernel's own address of the library.
    let address = unsafe { find(entry::auxiliary(AT_SYSINFO_EHDR), CLOCK_GETTIME?)? };
    // SAFETY: the function of that name has that type.
    Some(unsafe { core::mem::transmute::<usize, ClockGettime>(address) })
}

/// # Safety
/// `library` is 0, or where a whole ELF file of this architecture lies in memory, with 64-bit addresses.
unsafe fn find(library: usize, name: &CStr) -> Option<usize> {
    if library == 0 {
        return None;
    }
    // SAFETY: within the file, as itself says. Symbols stand before their names: every linker writes them so, and where
    // one does not, the loop has no turn.
    unsafe {
        let header = &*(library as *const Header);
        let first = (library + header.segments_at as usize) as *const Segment;
        let segments = core::slice::from_raw_parts(first, usize::from(header.segments));
        // From an address in the file to one in memory.
        let loaded = segments.iter().find(|segment| segment.kind == PT_LOAD)?;
        let bias = (library + loaded.offset).wrapping_sub(loaded.address);
        let dynamic = segments.iter().find(|segment| segment.kind == PT_DYNAMIC)?;
        let (mut names, mut symbol) = (0, 0);
        let mut entry = (library + dynamic.offset) as *const [usize; 2];
        loop {
            match *entry {
                [DT_NULL, _] => break,
                [DT_STRTAB, at] => names = at.wrapping_add(bias),
                [DT_SYMTAB, at] => symbol = at.wrapping_add(bias),
                _ => {}
            }
            entry = entry.add(1);
        }
        if symbol == 0 {
            return None;
        }
        while symbol + size_of::<Symbol>() <= names {
            let known = &*(symbol as *const Symbol);
            let text = CStr::from_ptr((names + known.name as usize) as *const c_char);
            if known.section != 0 && text == name {
                return Some(known.value.wrapping_add(bias));
            }
            symbol += size_of::<Symbol>();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::raw;

    fn by_system_call(clock: usize) -> [i64; 2] {
        let mut time = [0; 2];
        // SAFETY: the kernel writes that struct.
        let answer = unsafe { raw::syscall(raw::nr::CLOCK_GETTIME, clock, (&raw mut time) as usize, 0, 0, 0) };
        assert_eq!(answer, 0);
        time
    }

    #[test]
    fn the_clocks_read_there_are_the_kernels() {
        let (library, Some(name)) = (entry::auxiliary(AT_SYSINFO_EHDR), CLOCK_GETTIME) else { return };
        // SAFETY: the kernel's own address of the library; the function of that name has that type.
        let found = unsafe { find(library, name) };
        assert_eq!(found.is_some(), library != 0, "the kernel has a library, and the name is not found");
        let Some(address) = found else { return };
        let reader = unsafe { core::mem::transmute::<usize, ClockGettime>(address) };
        for clock in [0, 1, 7] {
            let (before, mut time) = (by_system_call(clock), [0; 2]);
            // SAFETY: it writes that struct.
            assert_eq!(unsafe { reader(clock, &mut time) }, 0);
            let after = by_system_call(clock);
            assert!(before <= time && time <= after, "clock {clock}: {before:?} {time:?} {after:?}");
        }
    }

    #[test]
    fn a_function_that_is_not_there_is_not_found() {
        // SAFETY: the kernel's own address of the library.
        assert_eq!(unsafe { find(entry::auxiliary(AT_SYSINFO_EHDR), c"__vdso_nothing") }, None);
        // SAFETY: no library.
        assert_eq!(unsafe { find(0, c"__vdso_clock_gettime") }, None);
    }
}
