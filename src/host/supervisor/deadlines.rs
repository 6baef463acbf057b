//! Deadlines: a heap with one entry a slot, so that it can never be too small. Nothing here allocates after `new`.

use alloc::vec;
use alloc::vec::Vec;
use pintle::ident::SlotId;
use pintle::time::Instant;

/// The heap, and what it orders.
pub struct Deadlines {
    /// For each slot: when, its lower and its upper half; its place in the heap plus one (0: not in it). (Bare numbers:
    /// zeros of those are fresh pages, which nobody touches for a start.)
    nodes: Vec<[u32; 3]>,
    /// Slots, the earliest first. There is room for each, but what no deadline has come to is not touched.
    heap: Vec<u32>,
    /// How much of the heap is in use.
    count: usize,
}

impl Deadlines {
    /// For this many slots.
    pub fn new(slots: u32) -> Deadlines {
        Deadlines { nodes: vec![[0; 3]; slots as usize], heap: vec![0; slots as usize], count: 0 }
    }

    /// The earliest; `NEVER` where there is none.
    pub fn first(&self) -> Instant {
        if self.count > 0 { self.due(self.slot(0)) } else { Instant::NEVER }
    }

    /// Takes out a slot whose deadline is past.
    pub fn take_due(&mut self, now: Instant) -> Option<SlotId> {
        if self.first() > now {
            return None;
        }
        let slot = SlotId(self.slot(0));
        self.set(slot, Instant::NEVER);
        Some(slot)
    }

    /// Sets, moves or (`NEVER`) removes the deadline of a slot.
    #[inline(never)]
    pub fn set(&mut self, slot: SlotId, due: Instant) {
        let Some([low, high, place]) = self.nodes.get_mut(slot.index()) else { return };
        let at = *place as usize;
        match (at, due == Instant::NEVER) {
            (0, true) => {}
            (0, false) => {
                (*low, *high) = (due.0 as u32, (due.0 >> 32) as u32);
                let last = self.count;
                self.count += 1; // a slot is in the heap once, and the heap has a place for each
                self.put(last, slot.0);
                self.rise(last);
            }
            (_, true) => {
                *place = 0;
                self.count -= 1;
                let moved = self.slot(self.count);
                if at - 1 < self.count {
                    self.put(at - 1, moved);
                    self.settle(at - 1);
                }
            }
            (_, false) => {
                (*low, *high) = (due.0 as u32, (due.0 >> 32) as u32);
                self.settle(at - 1);
            }
        }
    }

    fn due(&self, slot: u32) -> Instant {
        let [low, high, _] = self.nodes[slot as usize];
        Instant(u64::from(low) | u64::from(high) << 32)
    }

    /// The slot at a place of the heap.
    fn slot(&self, at: usize) -> u32 {
        self.heap[at]
    }

    fn put(&mut self, at: usize, slot: u32) {
        self.heap[at] = slot;
        self.nodes[slot as usize][2] = at as u32 + 1;
    }

    fn settle(&mut self, at: usize) {
        let at = self.rise(at);
        self.sink(at);
    }

    fn rise(&mut self, mut at: usize) -> usize {
        let slot = self.slot(at);
        while at > 0 {
            let above = (at - 1) / 2;
            if self.due(self.slot(above)) <= self.due(slot) {
                break;
            }
            self.put(at, self.slot(above));
            at = above;
        }
        self.put(at, slot);
        at
    }

    fn sink(&mut self, mut at: usize) {
        let slot = self.slot(at);
        loop {
            let mut below = 2 * at + 1;
            if below >= self.count {
                break;
            }
            if below + 1 < self.count && self.due(self.slot(below + 1)) < self.due(self.slot(below)) {
                below += 1;
            }
            if self.due(slot) <= self.due(self.slot(below)) {
                break;
            }
            self.put(at, self.slot(below));
            at = below;
        }
        self.put(at, slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_set_moved_and_removed_comes_out_in_order() {
        let mut deadlines = Deadlines::new(50);
        let mut expected = [Instant::NEVER; 50];
        let mut random = 7u32;
        for _ in 0..5000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let slot = random >> 8 & 0xff;
            let due = if random >> 28 == 0 { Instant::NEVER } else { Instant(u64::from(random >> 16 & 0xff)) };
            if slot < 50 {
                deadlines.set(SlotId(slot), due);
                expected[slot as usize] = due;
            }
            assert_eq!(Some(deadlines.first()), expected.iter().copied().min());
            if random >> 20 & 3 == 0 {
                let now = Instant(u64::from(random >> 12 & 0x3f));
                while let Some(slot) = deadlines.take_due(now) {
                    assert!(expected[slot.index()] <= now);
                    expected[slot.index()] = Instant::NEVER;
                }
                assert!(expected.iter().all(|due| *due > now));
            }
        }
    }
}
