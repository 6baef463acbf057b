//! Sorting by index: one sort in the program, whatever is sorted.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// The indices of `count` things in order; equal ones stay as they are. Shell's sort (1959), which is a third of the
/// code of the library's and compares not many times more.
#[inline(never)]
pub fn order(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<u32> {
    let mut order = Vec::with_capacity(count);
    for index in 0..count as u32 {
        order.push(index);
    }
    let is_before = |a: u32, b: u32| compare(a as usize, b as usize).then(a.cmp(&b)).is_lt();
    let mut gap = count;
    while gap > 1 {
        gap = (gap * 4 / 9).max(1);
        for first in gap..count {
            let (mut at, moved) = (first, order[first]);
            while at >= gap && is_before(moved, order[at - gap]) {
                order[at] = order[at - gap];
                at -= gap;
            }
            order[at] = moved;
        }
    }
    order
}

/// Sorts the things themselves.
pub fn sort<T>(things: &mut [T], compare: &dyn Fn(&T, &T) -> Ordering) {
    let order = order(things.len(), &|a, b| compare(&things[a], &things[b]));
    arrange(order, &mut |a, b| things.swap(a, b));
}

/// Brings each of the things to its place, by an order of `order`.
#[inline(never)]
pub fn arrange(mut order: Vec<u32>, swap: &mut dyn FnMut(usize, usize)) {
    for first in 0..order.len() {
        // One cycle of places, each of which takes what belongs there from the next.
        let mut to = first;
        loop {
            let from = core::mem::replace(&mut order[to], to as u32) as usize;
            if from == first {
                break;
            }
            swap(to, from);
            to = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_as_by_the_stable_sort_of_the_library() {
        let mut things: Vec<(u32, u32)> = (0..1000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 26, n)).collect();
        let mut expected = things.clone();
        expected.sort_by_key(|thing| thing.0);
        sort(&mut things, &|a, b| a.0.cmp(&b.0));
        assert_eq!(things, expected);
        sort::<u32>(&mut [], &|a, b| a.cmp(b));
    }
}
