//! In place of libc's start code and of what it is there for: thread-local storage, which only `errno` would be in; a copy
//! of what the kernel passed, for getauxval(3); ends for `exit` to run. Here std, built with the program, calls nothing of
//! libc that needs these but the functions below, which stand in front of libc's of the same names.
//!
//! `cross/is-static` refuses a program in which anything of libc asks for its thread-local storage, which is not there.

use super::{entry, process, raw};

/// See main(3p).
type Main = unsafe extern "C" fn(count: i32, arguments: *const *const u8, environment: *const *const u8) -> i32;

/// What libc's first instructions call (after a static PIE has relocated itself), here without its own preparations.
///
/// # Safety
/// Called by them alone, with what the kernel has put onto the stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_start_main(main: Main, count: i32, arguments: *const *const u8) -> ! {
    // SAFETY: the environment stands behind the arguments and the null pointer that ends them; `main` is our own.
    process::exit(unsafe { main(count, arguments, arguments.add(count as usize + 1)) } as u8)
}

/// See close(2): of what std owns. Nobody looks at the answer, so there is no `errno`.
#[unsafe(no_mangle)]
pub extern "C" fn close(descriptor: i32) -> i32 {
    // SAFETY: the caller owns the descriptor. Never tried again: it is closed, even where an error is told.
    unsafe { raw::syscall(raw::nr::CLOSE, descriptor as usize, 0, 0, 0, 0) as i32 }
}

/// See getauxval(3): pairs of a kind and a value, which stand behind the environment and end with kind 0.
#[unsafe(no_mangle)]
pub extern "C" fn getauxval(kind: usize) -> usize {
    let mut environment = entry::environment();
    while environment.next_c_str().is_some() {}
    let mut pairs = environment.as_pointers().cast::<[usize; 2]>();
    // SAFETY: the null pointer that ends the environment, then the pairs: all of it lives as long as the process.
    unsafe {
        pairs = pairs.byte_add(size_of::<usize>());
        loop {
            match pairs.read() {
                [0, _] => return 0,
                [known, value] if known == kind => return value,
                _ => pairs = pairs.add(1),
            }
        }
    }
}
