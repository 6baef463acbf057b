//! A set of small numbers in three levels of words: insert, remove and "take out the lowest" cost a few words each,
//! whatever the size. A queue made of it never overflows, holds each member once, and is served in slot order.

use core::sync::atomic::{AtomicU32, Ordering};

/// A view of the set's words: a bit for each member, then a bit for each of those words that is not 0, then one for each of
/// those.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    words: &'a [AtomicU32],
    count: u32,
}

const LEVELS: u32 = 3;

impl<'a> Bits<'a> {
    /// Words for members below `count`.
    pub const fn words(count: u32) -> usize {
        let low = count.div_ceil(32);
        let middle = low.div_ceil(32);
        (low + middle + middle.div_ceil(32)) as usize
    }

    /// Over `words(count)` words.
    pub fn new(words: &'a [AtomicU32], count: u32) -> Bits<'a> {
        Bits { words, count }
    }

    fn word(&self, at: u32) -> u32 {
        self.words.get(at as usize).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    pub fn insert(&self, member: u32) {
        self.change(member, |word, bit| (word | bit, word == 0));
    }

    /// Says whether it was a member.
    pub fn remove(&self, member: u32) -> bool {
        let was = self.contains(member);
        if was {
            self.change(member, |word, bit| (word & !bit, word == bit));
        }
        was
    }

    /// Changes a member's bit, and those above as long as they are concerned: `change` gives the new word and whether the
    /// level above is.
    #[inline(always)]
    fn change(&self, member: u32, change: impl Fn(u32, u32) -> (u32, bool)) {
        let (mut at, mut start, mut count, mut level) = (member, 0, self.count, 0);
        while level < LEVELS && at < count {
            let Some(word) = self.words.get((start + (at >> 5)) as usize) else { return };
            let (after, further) = change(word.load(Ordering::Relaxed), 1 << (at & 31));
            word.store(after, Ordering::Relaxed);
            if !further {
                return;
            }
            count = count.div_ceil(32);
            start += count;
            at >>= 5;
            level += 1;
        }
    }

    pub fn contains(&self, member: u32) -> bool {
        member < self.count && self.word(member >> 5) >> (member & 31) & 1 == 1
    }

    /// Where the middle and the high level begin, and where the high one ends.
    fn starts(&self) -> (u32, u32, u32) {
        let low = self.count.div_ceil(32);
        let middle = low.div_ceil(32);
        (low, low + middle, low + middle + middle.div_ceil(32))
    }

    pub fn is_empty(&self) -> bool {
        let (_, high, end) = self.starts();
        (high..end).all(|at| self.word(at) == 0)
    }

    /// Takes out the lowest member.
    pub fn pop(&self) -> Option<u32> {
        let (middle, high, end) = self.starts();
        let mut top = high;
        while self.word(top) == 0 {
            top += 1;
            if top >= end {
                return None;
            }
        }
        let second = (top - high) * 32 + self.word(top).trailing_zeros();
        let first = second * 32 + self.word(middle + second).trailing_zeros();
        let member = first * 32 + self.word(first).trailing_zeros();
        // (Nothing is, where the words are not those of a set.)
        self.remove(member).then_some(member)
    }

    /// How many members are below this number.
    pub fn rank(&self, member: u32) -> u32 {
        let whole = member >> 5;
        let below: u32 = (0..whole).map(|at| self.word(at).count_ones()).sum();
        below + (self.word(whole) & ((1 << (member & 31)) - 1)).count_ones()
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
