//! Points in time for people and log lines: ISO 8601 in UTC, `2026-11-21T00:05:59.123456Z`, or TAI64N,
//! `@400000006b02fd3a07408b55` (<https://cr.yp.to/libtai/tai64.html>).

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

/// Bytes of a label of TAI64N.
pub const TAI64N_BYTES: usize = 25;
/// The label of 1970 in UTC, if the day had its leap seconds already: TAI is 37 seconds ahead since 2017, and no further
/// one is foreseen.
const TAI: u64 = (1 << 62) + 37;

/// The same as `stamp`, to the nanosecond, in TAI64N.
#[inline(never)]
pub fn tai64n(realtime_ns: u64) -> [u8; TAI64N_BYTES] {
    let mut text = [b'@'; TAI64N_BYTES];
    let mut number = u128::from(TAI + realtime_ns / 1_000_000_000) << 32 | u128::from(realtime_ns % 1_000_000_000);
    for place in text[1..].iter_mut().rev() {
        *place = b"0123456789abcdef"[number as usize % 16];
        number >>= 4;
    }
    text
}

/// Nanoseconds since 1970 of a stamp or a label, or of a date and time that a person wrote: parts of a stamp may be
/// left out from the end, the `T` may be a blank.
#[inline(never)]
pub fn parse(text: &[u8]) -> Option<u64> {
    if let Some(label) = text.strip_prefix(b"@") {
        let hexadecimal = |text: &[u8]| u64::from_str_radix(core::str::from_utf8(text).ok()?, 16).ok();
        let (seconds, ns) = label.split_at_checked(16).filter(|_| label.len() == TAI64N_BYTES - 1)?;
        return hexadecimal(seconds)?.checked_sub(TAI)?.checked_mul(1_000_000_000)?.checked_add(hexadecimal(ns)?);
    }
    let mut text = text.strip_suffix(b"Z").unwrap_or(text);
    let mut numbers = [0u32; 7];
    for (at, (number, parts)) in numbers.iter_mut().zip(["", "-", "-", "T ", ":", ":", "."]).enumerate() {
        if at > 0 {
            match text.split_first() {
                // A date, hours and minutes, or more: nothing else is a time.
                None if at == 3 || at > 4 => break,
                Some((first, rest)) if parts.as_bytes().contains(first) => text = rest,
                _ => return None,
            }
        }
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits != [4, 2, 2, 2, 2, 2, digits.clamp(1, 9)][at] {
            return None;
        }
        let (own, rest) = text.split_at(digits);
        // Of a fraction those digits that are not there are zeros.
        let width = if at == 6 { 9 } else { digits };
        *number = own.iter().chain(b"00000000").take(width).fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        text = rest;
    }
    let [year, month, day, hour, minute, second, ns] = numbers;
    if !text.is_empty() || year < 1970 || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, day)?;
    let seconds = u64::from(days) * 86_400 + u64::from((hour * 60 + minute) * 60 + second);
    seconds.checked_mul(1_000_000_000)?.checked_add(ns.into())
}

/// Days since 1970 of a day that there is.
fn days(year: u32, month: u32, day: u32) -> Option<u32> {
    // Years that begin in March.
    let (year_here, month_here) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = year_here * 365 + year_here / 4 - year_here / 100 + year_here / 400;
    let days = (before + (153 * month_here + 2) / 5 + day).wrapping_sub(1);
    (civil(days) == (year, month, day)).then_some(days.wrapping_sub(EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for seconds in (0..4_200_000_000).step_by(1_234_567) {
            let ns = seconds * 1_000_000_000 + 123_456_000;
            assert_eq!(parse(&stamp(ns)), Some(ns));
            assert_eq!(parse(&tai64n(ns + 789)), Some(ns + 789));
        }
        // As s6-log writes it.
        assert_eq!(&tai64n(1_795_357_973_121_670_485), b"@400000006b02fd3a07408b55");
    }

    #[test]
    fn people_may_leave_out_the_end() {
        let minute = 1_795_219_140_000_000_000;
        for (text, expected) in [
            ("2026-11-20", Some(1_795_132_800_000_000_000)),
            ("2026-11-20T23:59", Some(minute)),
            ("2026-11-20 23:59:00Z", Some(minute)),
            ("2026-11-20 23:59:01.5", Some(minute + 1_500_000_000)),
            ("2026-11-20 23:59:01.123456789", Some(minute + 1_123_456_789)),
            ("2026-11-20 23:59:01.1234567890", None),
            ("2026-11-20 23", None),
            ("2026-11-20 23:59:", None),
            ("2026-11-20 23:59:60", None),
            ("2026-11-31", None),
            ("2026-02-29", None),
            ("2026-00-01", None),
            ("2026-11-00", None),
            ("1969-12-31", None),
            ("26-11-20", None),
            ("2026-11", None),
            ("", None),
            ("@4000", None),
            ("@000000000000000000000000", None),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }

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
