//! A set of small numbers in three levels of words: insert, remove and "take out the lowest" cost a few words each,
//! whatever the size. A queue made of it never overflows, holds each member once, and is served in slot order.

use core::sync::atomic::{AtomicU32, Ordering};

/// A view of the set's words: a bit for each member, then for each word a bit that says whether it is not zero, and once
/// more.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    words: &'a [AtomicU32],
    /// Where the levels begin.
    starts: [usize; 3],
}

impl<'a> Bits<'a> {
    /// Words for members below `count`.
    pub const fn words(count: u32) -> u32 {
        let low = count.div_ceil(32);
        let middle = low.div_ceil(32);
        low + middle + middle.div_ceil(32)
    }

    /// Over `words(count)` words.
    pub fn new(words: &'a [AtomicU32], count: u32) -> Bits<'a> {
        let low = count.div_ceil(32);
        Bits { words, starts: [0, low as usize, (low + low.div_ceil(32)) as usize] }
    }

    fn load(&self, at: usize) -> u32 {
        self.words.get(at).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Sets or clears the member's bit, and on each level above the bit of a word that left or became zero.
    fn put(&self, member: u32, is: bool) {
        let mut at = member;
        for start in self.starts {
            let Some(word) = self.words.get(start + (at >> 5) as usize) else { return };
            let (before, bit) = (word.load(Ordering::Relaxed), 1 << (at & 31));
            let after = if is { before | bit } else { before & !bit };
            word.store(after, Ordering::Relaxed);
            if before & after != 0 {
                return;
            }
            at >>= 5;
        }
    }

    pub fn insert(&self, member: u32) {
        self.put(member, true);
    }

    /// Says whether it was a member.
    pub fn remove(&self, member: u32) -> bool {
        let was = self.contains(member);
        if was {
            self.put(member, false);
        }
        was
    }

    pub fn contains(&self, member: u32) -> bool {
        member as usize >> 5 < self.starts[1] && self.load(member as usize >> 5) >> (member & 31) & 1 == 1
    }

    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// The lowest member.
    fn first(&self) -> Option<u32> {
        let high = (self.starts[2]..self.words.len()).find(|at| self.load(*at) != 0)?;
        let mut at = high - self.starts[2];
        for start in self.starts.iter().rev() {
            at = at * 32 + self.load(start + at).trailing_zeros() as usize;
        }
        Some(at as u32)
    }

    /// Takes out the lowest member.
    pub fn pop(&self) -> Option<u32> {
        let member = self.first()?;
        self.put(member, false);
        Some(member)
    }

    /// How many members are below this number.
    pub fn rank(&self, member: u32) -> u32 {
        let whole = member as usize >> 5;
        let mut below = 0;
        for at in 0..=whole {
            let counted = if at == whole { (1 << (member & 31)) - 1 } else { u32::MAX };
            below += (self.load(at) & counted).count_ones();
        }
        below
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn members_come_out_once_and_in_order() {
        let words: Vec<AtomicU32> = (0..Bits::words(40_000)).map(|_| AtomicU32::new(0)).collect();
        let bits = Bits::new(&words, 40_000);
        for member in [39_999, 0, 31, 32, 1023, 1024, 32_768, 32] {
            bits.insert(member);
        }
        assert_eq!(bits.rank(1024), 4);
        assert!(bits.remove(31) && !bits.remove(31));
        let out: Vec<u32> = core::iter::from_fn(|| bits.pop()).collect();
        assert_eq!(out, [0, 32, 1023, 1024, 32_768, 39_999]);
        assert!(bits.is_empty());
    }
}
