//! The clocks: where the library's `time::Instant` comes from.

use pintle::time::Instant;
use rustix::time::{ClockId, Timespec};

/// Through libc, where its call has 64 bits: rustix brings a reader of the vDSO with it that libc has already.
#[cfg(target_pointer_width = "64")]
fn clock_gettime(clock: ClockId) -> Timespec {
    unsafe extern "C" {
        #[link_name = "clock_gettime"]
        fn libc_clock_gettime(clock: core::ffi::c_int, time: *mut Timespec) -> core::ffi::c_int;
    }
    let mut time = Timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for the call, and a struct timespec of two 64-bit numbers on these targets. It fails only
    // for clocks that the kernel does not know, and has then written nothing.
    unsafe { libc_clock_gettime(clock as core::ffi::c_int, &raw mut time) };
    time
}

/// On 32-bit targets the name of the 64-bit call depends on the libc.
#[cfg(not(target_pointer_width = "64"))]
use rustix::time::clock_gettime;

/// CLOCK_MONOTONIC now. Does not run while the machine sleeps.
pub fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    Instant((time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64))
}

/// CLOCK_BOOTTIME now: runs while the machine sleeps, too.
pub fn since_boot() -> Instant {
    let time = clock_gettime(ClockId::Boottime);
    Instant((time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64))
}

/// Seconds since 1970 (CLOCK_REALTIME), 0 before that.
pub fn realtime_seconds() -> u64 {
    u64::try_from(clock_gettime(ClockId::Realtime).tv_sec).unwrap_or(0)
}

/// Nanoseconds since 1970 (CLOCK_REALTIME), 0 before that.
pub fn realtime_ns() -> u64 {
    let time = clock_gettime(ClockId::Realtime);
    u64::try_from(time.tv_sec).unwrap_or(0).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}
