//! Points in time for people and log lines: ISO 8601 in UTC, `2026-11-21T00:05:59.123456Z`.

/// Bytes of a stamp.
pub const STAMP_BYTES: usize = 27;

/// The stamp of this many nanoseconds since 1970 (CLOCK_REALTIME), rounded down to microseconds. Years up to 2554 exist
/// in 64 bits.
pub fn stamp(realtime_ns: u64) -> [u8; STAMP_BYTES] {
    let (seconds, microseconds) = (realtime_ns / 1_000_000_000, realtime_ns / 1_000 % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(EPOCH + days as u32); // at most 213,504
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    // From behind: what is no digit parts one number from the next.
    let numbers = [microseconds, second % 60, second / 60 % 60, second / 3600, day.into(), month.into(), year.into()];
    let (mut numbers, mut rest) = (numbers.iter(), 0);
    for place in text.iter_mut().rev() {
        if *place == b'0' {
            *place += (rest % 10) as u8;
            rest /= 10;
        } else {
            rest = numbers.next().copied().unwrap_or(0);
        }
    }
    text
}

/// 1970-01-01, in days from 0000-03-01.
pub const EPOCH: u32 = 719_468;

/// Year, month and day (both from 1) of a day counted from 0000-03-01, in the Gregorian calendar. Eras of 400 years
/// that begin on the first of March, so that the leap day is the last of its year.
#[inline(never)]
pub fn civil(days: u32) -> (u32, u32, u32) {
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u32::from(month >= 10);
    (year, if month < 10 { month + 3 } else { month - 9 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_those_of_date_u() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
            (1_795_219_199, "2026-11-20T23:59:59.000000Z"),
        ] {
            assert_eq!(core::str::from_utf8(&stamp(seconds * 1_000_000_000)), Ok(expected));
        }
        assert_eq!(&stamp(1_002_003_999), b"1970-01-01T00:00:01.002003Z");
    }
}
