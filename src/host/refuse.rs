//! The end of a process of pintle's own that cannot start: it says why and is gone, there and then, so that nothing on
//! the way hands errors on or tidies up what the kernel tidies up anyway. Only for what happens before anything runs.

use crate::sys::errno::Words;
use crate::sys::{Errno, clock, output, process, rebirth};
use alloc::string::String;
use core::fmt::Arguments;
use pintle::packed::Packed;

/// Between two tries. Milliseconds.
const AGAIN_MS: u32 = 1000;

/// `pintle: WHY`, and this exit code; of a supervisor that goes on after a crash, one crash more.
#[cold]
#[inline(never)]
pub fn refuse(code: u8, why: Arguments<'_>) -> ! {
    if rebirth::is_prepared() {
        output::say_now(format_args!("pintle: {why}"));
        rebirth::crash();
    }
    output::say(format_args!("pintle: {why}"));
    process::exit(code)
}

/// `pintle: WHAT: Permission denied`, and the exit code of a system call that failed; of a supervisor that goes on after a
/// crash, no end where the reason may pass: it tries once more after a while.
#[cold]
#[inline(never)]
pub fn refuse_call(what: Packed, error: Errno) -> ! {
    if rebirth::is_prepared() && error.may_pass() {
        output::say_now(format_args!("pintle: {what}: {}", Words(error)));
        rebirth::crash_later();
    }
    refuse(111, format_args!("{what}: {}", Words(error)))
}

/// What a call gives: while it fails for want of something, it is tried again, for ever. Only for who must not end.
pub fn insist<T>(what: Packed, mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(error) if error.may_pass() => {
                output::say_now(format_args!("pintle: {what}: {}", Words(error)));
                clock::sleep_ms(AGAIN_MS);
            }
            other => return other,
        }
    }
}

/// `pintle: WHY`, and the same exit code.
#[cold]
#[inline(never)]
pub fn refuse_text(why: String) -> ! {
    refuse(111, format_args!("{why}"))
}

/// What a call gave, or the end.
pub trait OrRefuse<T> {
    /// `what` is what could not be done: "cannot make an epoll".
    fn or_refuse(self, what: Packed) -> T;
}

impl<T> OrRefuse<T> for Result<T, Errno> {
    fn or_refuse(self, what: Packed) -> T {
        match self {
            Ok(value) => value,
            Err(error) => refuse_call(what, error),
        }
    }
}
