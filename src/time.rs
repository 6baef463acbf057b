//! Time is an argument. The library has no clock; whoever calls says what the time is.

/// Nanoseconds of CLOCK_MONOTONIC (clock_gettime(2)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// Later than anything: "no deadline".
    pub const NEVER: Instant = Instant(u64::MAX);

    /// This instant and `ms` milliseconds; saturates at `NEVER`.
    pub const fn plus_ms(self, ms: u32) -> Instant {
        Instant(self.0.saturating_add(ms as u64 * 1_000_000))
    }

    /// Milliseconds since `earlier`, rounded down, 0 if `earlier` is later.
    pub const fn ms_since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }
}
