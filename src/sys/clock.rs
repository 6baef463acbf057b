//! The clocks: where the library's `time::Instant` comes from.

use pintle::time::Instant;
use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC now. Does not run while the machine sleeps.
pub fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
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
