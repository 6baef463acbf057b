//! Texts of the program at two thirds of their length: two bytes that stand together often are one (byte pair encoding).
//! `build.rs` finds the pairs in the help; `packed!` packs other texts by them, when the program is compiled. No allocation.

/// Bytes from here on (behind 255 comes 0) stand for two others each. These two are `build.rs`'s, too.
const PAIR: u8 = 127;
const NEWLINE: u8 = 31;

const PAIRS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/help.pairs"));

/// How deep pairs of pairs stand in each other at most.
const DEPTH: usize = 16;

/// A packed text.
#[derive(Clone, Copy, Debug)]
pub struct Packed(pub &'static [u8]);

/// Packs a text of ASCII that is known to the compiler.
#[macro_export]
macro_rules! packed {
    ($text:expr) => {{
        const TEXT: &[u8] = $text.as_bytes();
        const ROOM: ([u8; TEXT.len()], usize) = $crate::packed::pack(TEXT);
        const PACKED: [u8; ROOM.1] = $crate::packed::head(&ROOM.0);
        $crate::packed::Packed(&PACKED)
    }};
}

/// For `packed!`: the packed text, and how much of the room it takes.
pub const fn pack<const N: usize>(text: &[u8]) -> ([u8; N], usize) {
    let (mut packed, mut length, mut at) = ([0; N], N, 0);
    while at < N {
        assert!(matches!(text[at], b'\n' | b' '..=b'~'), "printable ASCII");
        packed[at] = if text[at] == b'\n' { NEWLINE } else { text[at] };
        at += 1;
    }
    let mut pair = 0;
    while pair < PAIRS.len() {
        let (mut from, mut to) = (0, 0);
        while from < length {
            let is_pair = from + 1 < length && packed[from] == PAIRS[pair] && packed[from + 1] == PAIRS[pair + 1];
            packed[to] = if is_pair { PAIR.wrapping_add((pair / 2) as u8) } else { packed[from] };
            (from, to) = (if is_pair { from + 2 } else { from + 1 }, to + 1);
        }
        (length, pair) = (to, pair + 2);
    }
    (packed, length)
}

/// For `packed!`: the first bytes.
pub const fn head<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let (mut head, mut at) = ([0; N], 0);
    while at < N {
        head[at] = bytes[at];
        at += 1;
    }
    head
}

impl Packed {
    /// The text, byte by byte.
    pub const fn bytes(self) -> Bytes {
        Bytes { rest: self.0, open: [0; DEPTH], count: 0 }
    }
}

/// See `Packed::bytes`.
#[derive(Clone)]
pub struct Bytes {
    rest: &'static [u8],
    /// Second halves of pairs that are still to come.
    open: [u8; DEPTH],
    count: usize,
}

impl Iterator for Bytes {
    type Item = u8;

    #[inline(never)]
    fn next(&mut self) -> Option<u8> {
        let mut code = match self.count.checked_sub(1) {
            Some(count) => {
                self.count = count;
                self.open[count]
            }
            None => {
                let (first, rest) = self.rest.split_first()?;
                self.rest = rest;
                *first
            }
        };
        let at = |code: u8| 2 * usize::from(code.wrapping_sub(PAIR));
        while let Some([first, second]) = PAIRS.get(at(code)..at(code) + 2) {
            self.open[self.count] = *second;
            (self.count, code) = (self.count + 1, *first);
        }
        Some(if code == NEWLINE { b'\n' } else { code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn every_pair_is_read_in_the_room_that_there_is() {
        for code in 0..PAIRS.len() / 2 {
            let code: &'static [u8] = Vec::leak([PAIR.wrapping_add(code as u8)].to_vec());
            assert!(Packed(code).bytes().count() > 1);
        }
    }

    #[test]
    fn what_is_packed_reads_back_and_is_shorter() {
        const SAID: &str = "the service is started, and what it needs\nis started before: ~{}\n";
        let packed = packed!(SAID);
        assert!(packed.0.len() < SAID.len());
        assert_eq!(packed.bytes().collect::<Vec<_>>(), SAID.as_bytes());
        assert_eq!(packed!("").bytes().count(), 0);
    }
}
