//! Texts of the program at half their length: two characters that stand together often are one code of nine bits (byte
//! pair encoding). `build.rs` finds the pairs in the help and in the texts of `packed!`, which packs when the program
//! is compiled. No allocation.

use core::fmt::{self, Write};

/// Codes have so many bits; those below `PAIR` are characters of ASCII, the others stand for two codes each. `END` is
/// in no pair. These are `build.rs`'s, too.
const BITS: usize = 9;
const PAIR: u16 = 128;
const END: u16 = 0;

const PAIRS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/help.pairs"));

/// How deep pairs of pairs stand in each other at most.
const DEPTH: usize = 16;

/// A packed text: codes one behind the other, the lowest bits first.
#[derive(Clone, Copy, Debug)]
pub struct Packed(pub &'static [u8]);

/// Packs a text of ASCII that is known to the compiler.
#[macro_export]
macro_rules! packed {
    ($text:expr) => {{
        const TEXT: &[u8] = $text.as_bytes();
        const CODES: ([u16; TEXT.len()], usize) = $crate::packed::pack(TEXT);
        const PACKED: [u8; $crate::packed::bytes(CODES.1)] = $crate::packed::bits(&CODES.0);
        $crate::packed::Packed(&PACKED)
    }};
}

/// For `packed!`: the codes, and how many there are.
#[allow(long_running_const_eval)]
pub const fn pack<const N: usize>(text: &[u8]) -> ([u16; N], usize) {
    let (mut codes, mut length, mut at) = ([0; N], N, 0);
    while at < N {
        assert!(matches!(text[at], 0 | b'\n' | b' '..=b'~'), "printable ASCII, and NUL between parts");
        codes[at] = text[at] as u16;
        at += 1;
    }
    let mut pair = 0;
    while let (Some(first), Some(second)) = (code(PAIRS, 2 * pair), code(PAIRS, 2 * pair + 1)) {
        let (mut from, mut to) = (0, 0);
        while from < length {
            let is_pair = codes[from] == first && from + 1 < length && codes[from + 1] == second;
            codes[to] = if is_pair { PAIR + pair as u16 } else { codes[from] };
            (from, to) = (if is_pair { from + 2 } else { from + 1 }, to + 1);
        }
        (length, pair) = (to, pair + 1);
    }
    (codes, length)
}

/// For `packed!`: what so many codes take.
pub const fn bytes(codes: usize) -> usize {
    (codes * BITS).div_ceil(8)
}

/// For `packed!`: the first codes, as many as there is room for.
pub const fn bits<const N: usize>(codes: &[u16]) -> [u8; N] {
    let (mut bits, mut at) = ([0; N], 0);
    while (at + 1) * BITS <= 8 * N {
        let word = codes[at] << (at * BITS % 8);
        bits[at * BITS / 8] |= word as u8;
        bits[at * BITS / 8 + 1] |= (word >> 8) as u8;
        at += 1;
    }
    bits
}

/// One of the codes, counted from 0.
const fn code(bytes: &[u8], at: usize) -> Option<u16> {
    let place = at * BITS / 8;
    if place + 1 >= bytes.len() {
        return None;
    }
    let word = u16::from_le_bytes([bytes[place], bytes[place + 1]]);
    Some(word >> (at * BITS % 8) & ((1 << BITS) - 1))
}

impl Packed {
    /// The text, byte by byte.
    pub const fn bytes(self) -> Bytes {
        Bytes { text: self.0, at: 0, open: [0; DEPTH], count: 0 }
    }

    /// Writes one of its parts, counted from 0, behind each of which but the last is a NUL.
    #[inline(never)]
    pub fn write_part(self, number: usize, out: &mut dyn Write) -> fmt::Result {
        let mut bytes = self.bytes();
        let mut left = number;
        while left > 0 {
            let Some(code) = code(self.0, bytes.at) else { return Ok(()) };
            bytes.at += 1;
            left -= usize::from(code == END);
        }
        bytes.take_while(|byte| *byte != END as u8).try_for_each(|byte| out.write_char(byte.into()))
    }
}

impl fmt::Display for Packed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_part(0, to)
    }
}

/// See `Packed::bytes`.
#[derive(Clone)]
pub struct Bytes {
    text: &'static [u8],
    /// Of the next code.
    at: usize,
    /// Second halves of pairs that are still to come.
    open: [u16; DEPTH],
    count: usize,
}

impl Iterator for Bytes {
    type Item = u8;

    #[inline(never)]
    fn next(&mut self) -> Option<u8> {
        let mut next = match self.count.checked_sub(1) {
            Some(count) => {
                self.count = count;
                self.open[count]
            }
            None => {
                self.at += 1;
                code(self.text, self.at - 1)?
            }
        };
        while let Some(pair) = next.checked_sub(PAIR) {
            let pair = 2 * usize::from(pair);
            self.open[self.count] = code(PAIRS, pair + 1)?;
            (self.count, next) = (self.count + 1, code(PAIRS, pair)?);
        }
        Some(next as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    #[test]
    fn every_pair_is_read_in_the_room_that_there_is() {
        for pair in 0..PAIRS.len() * 8 / BITS / 2 {
            let text: &'static [u8] = Vec::leak(bits::<2>(&[PAIR + pair as u16]).to_vec());
            assert!(Packed(text).bytes().count() > 1);
        }
    }

    #[test]
    fn what_is_packed_reads_back_and_is_shorter() {
        const SAID: &str = "the service is started, and what it needs\nis started before: ~{}\n";
        let packed = packed!(SAID);
        assert!(packed.0.len() < SAID.len());
        assert_eq!(packed.bytes().collect::<Vec<_>>(), SAID.as_bytes());
        assert_eq!(packed.to_string(), SAID);
        let parts = packed!("one\0\0the third");
        for (number, expected) in ["one", "", "the third", ""].iter().enumerate() {
            let mut part = String::new();
            assert_eq!(parts.write_part(number, &mut part).map(|()| part.as_str()), Ok(*expected));
        }
        assert_eq!(packed!("").bytes().count(), 0);
    }
}
