//! Small work on texts: cut at a byte, numbers, bytes that may be no text. core's searching by patterns does the same
//! and much more, with a machine for each kind of pattern. No allocation.

use core::fmt::{self, Write};

/// The number that decimal digits, and nothing else, stand for. `None` for none, and for one above 64 bits.
#[inline(never)]
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// The same, of 32 bits.
#[inline(never)]
pub fn small_number(digits: &[u8]) -> Option<u32> {
    u32::try_from(number(digits)?).ok()
}

/// The decimal digits of a number, at the end of `room`.
#[inline(never)]
pub fn digits(mut number: u32, room: &mut [u8; 10]) -> &[u8] {
    let mut first = room.len();
    loop {
        first -= 1; // ten digits at most
        room[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &room[first..];
        }
    }
}

/// What is before the first of these bytes (of ASCII) and what is behind it.
#[inline(never)]
pub fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// The parts of a text, see `parts`.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    rest: Option<&'a str>,
    at: u8,
}

/// What stands between these bytes (of ASCII): one part more than there are of them.
pub fn parts(text: &str, at: u8) -> Parts<'_> {
    Parts { rest: Some(text), at }
}

/// What each of these bytes ends, and what is behind the last of them, if there is something.
#[inline(never)]
pub fn ended(text: &str, at: u8) -> Parts<'_> {
    let rest = match text.as_bytes().split_last() {
        None => None,
        Some((last, before)) if *last == at => text.get(..before.len()),
        Some(_) => Some(text),
    };
    Parts { rest, at }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    #[inline(never)]
    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        let (part, rest) = match cut(text, self.at) {
            Some((part, rest)) => (part, Some(rest)),
            None => (text, None),
        };
        self.rest = rest;
        Some(part)
    }
}

/// One of the parts of a list, counted from 0; empty where there are not so many. Names of a dozen things take a third
/// of the room so that a table of texts would.
#[inline(never)]
pub fn nth(list: &'static str, at: u8, number: usize) -> &'static str {
    parts(list, at).nth(number).unwrap_or_default()
}

/// A number in hexadecimal, with so many digits at least.
pub struct Hex(pub u64, pub u32);

impl fmt::Display for Hex {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(to)
    }
}

impl Hex {
    /// Writes it.
    pub fn write(&self, to: &mut dyn Write) -> fmt::Result {
        for place in (0..16).rev() {
            let rest = self.0 >> (4 * place);
            if place < self.1 || rest != 0 {
                to.write_char(b"0123456789abcdef"[rest as usize & 15].into())?;
            }
        }
        Ok(())
    }
}

/// Writes these in turn. What `out` refuses is `out`'s to remember.
#[inline(never)]
pub fn put(out: &mut dyn Write, parts: &[&str]) {
    for part in parts {
        let _ = out.write_str(part);
    }
}

/// Writes bytes as text; what is no UTF-8 becomes U+FFFD.
#[inline(never)]
pub fn write_lossy(mut bytes: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    loop {
        let error = match core::str::from_utf8(bytes) {
            Ok(text) => return out.write_str(text),
            Err(error) => error,
        };
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        out.write_str(core::str::from_utf8(valid).unwrap_or_default())?;
        out.write_char(char::REPLACEMENT_CHARACTER)?;
        bytes = rest.get(error.error_len().unwrap_or(rest.len())..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    #[test]
    fn numbers_are_digits_alone() {
        for (text, expected) in [
            ("0", Some(0)),
            ("018", Some(18)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("+1", None),
            ("1 ", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text}");
        }
        assert_eq!((small_number(b"4294967295"), small_number(b"4294967296")), (Some(u32::MAX), None));
        for number in [0, 9, 10, 123, u32::MAX] {
            assert_eq!(digits(number, &mut [0; 10]), number.to_string().as_bytes());
        }
    }

    #[test]
    fn hexadecimal_has_its_zeros() {
        let table = [(0, 1, "0"), (0x1f, 4, "001f"), (0xdead_beef, 8, "deadbeef"), (u64::MAX, 1, "ffffffffffffffff")];
        for (number, digits, expected) in table {
            assert_eq!(alloc::format!("{}", Hex(number, digits)), expected);
        }
    }

    #[test]
    fn parts_are_those_of_the_library() {
        for text in ["", "a", "a,", ",", ",a", "a,b", "a,,b,", "\u{e4},\u{20ac}"] {
            assert_eq!(parts(text, b',').collect::<Vec<_>>(), text.split(',').collect::<Vec<_>>(), "{text}");
            assert_eq!(ended(text, b',').collect::<Vec<_>>(), text.split_terminator(',').collect::<Vec<_>>(), "{text}");
            assert_eq!(cut(text, b','), text.split_once(','), "{text}");
        }
    }

    #[test]
    fn what_is_no_text_is_replaced_as_by_the_library() {
        for bytes in [&b""[..], b"plain", b"a\xffb", b"\xe2\x82", b"\xe2\x82\xac\xe2\x82x", b"\xf0\x90\x80\xc0\xaf"] {
            let mut out = String::new();
            write_lossy(bytes, &mut out).expect("a String takes everything");
            assert_eq!(out, String::from_utf8_lossy(bytes));
        }
    }
}
