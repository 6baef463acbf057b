//! The clocks: where the library's `time::Instant` comes from.

use super::poll::Interest;
use super::{raw, vdso};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use pintle::time::Instant;

const CLOCK_REALTIME: usize = 0;
const CLOCK_MONOTONIC: usize = 1;
const CLOCK_BOOTTIME: usize = 7;

/// How the clocks are read: 0 while nobody has looked, 1 by the system call, else the vDSO's function.
static READER: AtomicUsize = AtomicUsize::new(0);

/// Nanoseconds, 0 before the clock's beginning.
fn ns(clock: usize) -> u64 {
    let mut time = [0i64; 2]; // struct __kernel_timespec: two 64-bit numbers everywhere
    let mut reader = READER.load(Relaxed);
    if reader == 0 {
        reader = vdso::clock_gettime().map_or(1, |reader| reader as usize);
        READER.store(reader, Relaxed);
    }
    if reader == 1 {
        // SAFETY: the kernel writes that struct, or nothing for a clock that it does not know.
        let _ = unsafe { raw::syscall(raw::nr::CLOCK_GETTIME, clock, (&raw mut time) as usize, 0, 0, 0) };
    } else {
        // SAFETY: it was made of one. It makes the system call itself where it cannot read a clock.
        let _ = unsafe { core::mem::transmute::<usize, vdso::ClockGettime>(reader)(clock, &mut time) };
    }
    let [seconds, ns] = time;
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
