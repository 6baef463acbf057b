//! A set of small numbers in three levels of words: insert, remove and "take out the lowest" cost a few words each,
//! whatever the size. A queue made of it never overflows, holds each member once, and is served in slot order.

use core::sync::atomic::{AtomicU32, Ordering};

/// The most members: the highest level is one word.
pub const MEMBERS_MAX: u32 = 32 * 32 * 32;

/// A view of the set's words: one that has a bit for each of the next ones that is not zero, those, which have a bit
/// for each of the last ones that is not zero, and the last ones, with a bit for each member.
#[derive(Clone, Copy, Debug)]
pub struct Bits<'a> {
    words: &'a [AtomicU32],
    /// Where the last ones begin.
    low: usize,
    count: u32,
}

/// Where the middle words begin.
const MIDDLE: usize = 1;

/// Takes the lowest bit out of a word that holds this; says whether it was the only one.
#[inline(always)]
fn take_lowest(word: &AtomicU32, bits: u32) -> bool {
    let left = bits & bits.wrapping_sub(1);
    word.store(left, Ordering::Relaxed);
    left == 0
}

impl<'a> Bits<'a> {
    /// Words for members below `count`, which is at most `MEMBERS_MAX`.
    pub const fn words(count: u32) -> u32 {
        MIDDLE as u32 + count.div_ceil(1024) + count.div_ceil(32)
    }

    /// Over the first `words(count)` of these.
    pub fn new(words: &'a [AtomicU32], count: u32) -> Bits<'a> {
        Bits { words, low: MIDDLE + count.div_ceil(1024) as usize, count }
    }

    /// The set of as many that lies so many words behind this one.
    #[inline(always)]
    pub fn behind(&self, words: usize) -> Bits<'a> {
        Bits { words: self.words.get(words..).unwrap_or_default(), ..*self }
    }

    #[inline(always)]
    fn load(&self, at: usize) -> u32 {
        self.words.get(at).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Says whether it was empty.
    #[inline(always)]
    pub fn insert(&self, member: u32) -> bool {
        if member >= self.count {
            return false;
        }
        let set = |start: usize, at: u32| {
            let Some(word) = self.words.get(start + (at >> 5) as usize) else { return false };
            let before = word.load(Ordering::Relaxed);
            word.store(before | 1 << (at & 31), Ordering::Relaxed);
            before == 0
        };
        set(self.low, member) && set(MIDDLE, member >> 5) && set(0, member >> 10)
    }

    /// Says whether it was a member.
    pub fn remove(&self, member: u32) -> bool {
        let was = self.contains(member);
        if was {
            self.take_out(member);
        }
        was
    }

    /// Takes out a member.
    #[inline(always)]
    fn take_out(&self, member: u32) {
        // Of each level the word, as long as the one below has become zero.
        let (mut start, mut at) = (self.low, member);
        while let Some(word) = self.words.get(start + (at >> 5) as usize) {
            let after = word.load(Ordering::Relaxed) & !(1 << (at & 31));
            word.store(after, Ordering::Relaxed);
            if after != 0 || start == 0 {
                return;
            }
            (start, at) = (if start == self.low { MIDDLE } else { 0 }, at >> 5);
        }
    }

    #[inline(always)]
    pub fn contains(&self, member: u32) -> bool {
        member < self.count && self.load(self.low + (member >> 5) as usize) >> (member & 31) & 1 == 1
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.load(0) == 0
    }

    /// Takes out the lowest member.
    #[inline(always)]
    pub fn pop(&self) -> Option<u32> {
        let top = self.words.first()?;
        let tops = top.load(Ordering::Relaxed);
        if tops == 0 {
            return None;
        }
        let high = tops.trailing_zeros();
        let middle = self.words.get(MIDDLE + high as usize)?;
        let middles = middle.load(Ordering::Relaxed);
        let at = high * 32 + middles.trailing_zeros();
        let low = self.words.get(self.low + at as usize)?;
        let lows = low.load(Ordering::Relaxed);
        // The lowest bit goes, and those above it where no other is left.
        if take_lowest(low, lows) && take_lowest(middle, middles) {
            take_lowest(top, tops);
        }
        Some(at * 32 + lows.trailing_zeros())
    }

    /// How many members are below this number.
    pub fn rank(&self, member: u32) -> u32 {
        let whole = (member >> 5) as usize;
        let mut below = 0;
        for at in 0..whole + 1 {
            let counted = if at == whole { (1 << (member & 31)) - 1 } else { u32::MAX };
            below += (self.load(self.low + at) & counted).count_ones();
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
        let words: Vec<AtomicU32> = (0..Bits::words(32_768)).map(|_| AtomicU32::new(0)).collect();
        let bits = Bits::new(&words, 32_768);
        for member in [32_767, 0, 31, 32, 1023, 1024, 31_744, 32] {
            bits.insert(member);
        }
        assert_eq!(bits.rank(1024), 4);
        assert!(bits.remove(31) && !bits.remove(31));
        let out: Vec<u32> = core::iter::from_fn(|| bits.pop()).collect();
        assert_eq!(out, [0, 32, 1023, 1024, 31_744, 32_767]);
        assert!(bits.is_empty());
    }
}
