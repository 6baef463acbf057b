//! In place of libc's start code and of what it is there for: thread-local storage, which only `errno` would be in; a
//! copy of what the kernel passed; ends for `exit` to run. Nothing of libc is called that needs these.
//!
//! `cross/is-static` refuses a program in which anything of libc asks for its thread-local storage, which is not there.

use super::process;

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

/// What Rust's library, where it comes built, names in its tables for unwinding. Nothing unwinds.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

/// The same, of what is built for arm.
#[cfg(target_arch = "arm")]
#[unsafe(no_mangle)]
pub extern "C" fn __aeabi_unwind_cpp_pr0() {}
#[cfg(target_arch = "arm")]
#[unsafe(no_mangle)]
pub extern "C" fn __aeabi_unwind_cpp_pr1() {}
