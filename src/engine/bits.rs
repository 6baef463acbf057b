//! A set of small numbers in three levels of words: insert, remove and "take out the lowest" cost a few words each,
//! whatever the size. A queue made of it never overflows, holds each member once, and is served in slot order.

use core::sync::atomic::{AtomicU32, Ordering};

/// A view of the set's words.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    low: &'a [AtomicU32],
    middle: &'a [AtomicU32],
    high: &'a [AtomicU32],
}

impl<'a> Bits<'a> {
    /// Words for members below `count`.
    pub const fn words(count: u32) -> usize {
        let (low, middle, high) = Bits::levels(count);
        low + middle + high
    }

    const fn levels(count: u32) -> (usize, usize, usize) {
        let low = count.div_ceil(32);
        let middle = low.div_ceil(32);
        (low as usize, middle as usize, middle.div_ceil(32) as usize)
    }

    /// Over `words(count)` words.
    pub fn new(words: &'a [AtomicU32], count: u32) -> Bits<'a> {
        let (low, middle, _) = Bits::levels(count);
        let (low, rest) = words.split_at(low.min(words.len()));
        let (middle, high) = rest.split_at(middle.min(rest.len()));
        Bits { low, middle, high }
    }

    pub fn insert(&self, member: u32) {
        for (level, shift) in [(self.low, 0), (self.middle, 5), (self.high, 10)] {
            let at = member >> shift;
            let Some(word) = level.get((at >> 5) as usize) else { return };
            let before = word.load(Ordering::Relaxed);
            word.store(before | 1 << (at & 31), Ordering::Relaxed);
            if before != 0 {
                return;
            }
        }
    }

    /// Says whether it was a member.
    pub fn remove(&self, member: u32) -> bool {
        if !self.contains(member) {
            return false;
        }
        for (level, shift) in [(self.low, 0), (self.middle, 5), (self.high, 10)] {
            let at = member >> shift;
            let Some(word) = level.get((at >> 5) as usize) else { break };
            let after = word.load(Ordering::Relaxed) & !(1 << (at & 31));
            word.store(after, Ordering::Relaxed);
            if after != 0 {
                break;
            }
        }
        true
    }

    pub fn contains(&self, member: u32) -> bool {
        self.low.get((member >> 5) as usize).is_some_and(|word| word.load(Ordering::Relaxed) >> (member & 31) & 1 == 1)
    }

    pub fn is_empty(&self) -> bool {
        self.high.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }

    /// Takes out the lowest member.
    pub fn pop(&self) -> Option<u32> {
        let high = self.high.iter().position(|word| word.load(Ordering::Relaxed) != 0)?;
        let middle = high as u32 * 32 + self.high[high].load(Ordering::Relaxed).trailing_zeros();
        let low = middle * 32 + self.middle.get(middle as usize)?.load(Ordering::Relaxed).trailing_zeros();
        let member = low * 32 + self.low.get(low as usize)?.load(Ordering::Relaxed).trailing_zeros();
        self.remove(member);
        Some(member)
    }

    /// How many members are below this number.
    pub fn rank(&self, member: u32) -> u32 {
        let whole = (member >> 5) as usize;
        let below: u32 = self.low.iter().take(whole).map(|word| word.load(Ordering::Relaxed).count_ones()).sum();
        let rest = self.low.get(whole).map_or(0, |word| word.load(Ordering::Relaxed));
        below + (rest & ((1 << (member & 31)) - 1)).count_ones()
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
