//! The clocks: where the library's `time::Instant` comes from.

use super::poll::Interest;
use pintle::time::Instant;

const CLOCK_REALTIME: usize = 0;
const CLOCK_MONOTONIC: usize = 1;
const CLOCK_BOOTTIME: usize = 7;

/// Seconds and nanoseconds of a clock, by libc, which reads it without the kernel where it can: the engine asks several
/// times for each service that starts.
#[cfg(target_pointer_width = "64")]
fn read(clock: usize) -> (i64, i64) {
    unsafe extern "C" {
        fn clock_gettime(clock: core::ffi::c_int, time: *mut [i64; 2]) -> core::ffi::c_int;
    }
    let mut time = [0i64; 2];
    // SAFETY: a struct timespec of two 64-bit numbers on these targets; nothing is written for a clock that is not known.
    let _ = unsafe { clock_gettime(clock as core::ffi::c_int, &raw mut time) };
    (time[0], time[1])
}

/// On 32-bit targets the name of the call with 64 bits depends on the libc.
#[cfg(not(target_pointer_width = "64"))]
fn read(clock: usize) -> (i64, i64) {
    let mut time = [0i64; 2]; // struct __kernel_timespec: two 64-bit numbers everywhere
    // SAFETY: the kernel writes that struct, or nothing for a clock that it does not know.
    let _ = unsafe { super::raw::syscall(super::raw::nr::CLOCK_GETTIME, clock, time.as_mut_ptr() as usize, 0, 0, 0) };
    (time[0], time[1])
}

fn ns(clock: usize) -> u64 {
    let (seconds, ns) = read(clock);
    u64::try_from(seconds).unwrap_or(0).wrapping_mul(1_000_000_000).wrapping_add(ns as u64)
}

/// CLOCK_MONOTONIC now. Does not run while the machine sleeps.
pub fn now() -> Instant {
    Instant(ns(CLOCK_MONOTONIC))
}

/// CLOCK_BOOTTIME now: runs while the machine sleeps, too.
pub fn since_boot() -> Instant {
    Instant(ns(CLOCK_BOOTTIME))
}

/// Nanoseconds since 1970 (CLOCK_REALTIME), 0 before that.
pub fn realtime_ns() -> u64 {
    ns(CLOCK_REALTIME)
}

/// Sleeps so long, or until a signal comes.
pub fn sleep_ms(ms: u32) {
    super::poll::wait_for(None, Interest::NONE, ms);
}
