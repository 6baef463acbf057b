//! The clocks: where the library's `time::Instant` comes from.

use pintle::time::Instant;
use rustix::time::{ClockId, clock_gettime};

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

/// Seconds that local time is ahead of UTC at this moment (seconds since 1970); 0 where the zone is not known. Reads the
/// zone's file and allocates: for commands that show times to people.
pub fn zone_offset(seconds: i64) -> i64 {
    // struct tm, the same in musl and glibc: nine ints, then tm_gmtoff and tm_zone.
    #[repr(C)]
    struct Broken {
        parts: [core::ffi::c_int; 9],
        offset: core::ffi::c_long,
        zone: *const core::ffi::c_char,
    }
    // On 32-bit targets the name of the 64-bit call depends on the libc: UTC there.
    #[cfg(target_pointer_width = "64")]
    {
        unsafe extern "C" {
            fn localtime_r(time: *const i64, broken: *mut Broken) -> *mut Broken;
        }
        let mut broken = Broken { parts: [0; 9], offset: 0, zone: core::ptr::null() };
        // SAFETY: both are valid for the call; time_t has 64 bits here. One thread reads the environment.
        if unsafe { !localtime_r(&seconds, &mut broken).is_null() } {
            return broken.offset as i64;
        }
    }
    0
}
