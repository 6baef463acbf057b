//! Words shared by one writer and many readers: rows under a sequence counter, and the ring of slots changed last.

use core::sync::atomic::{AtomicU32, Ordering, fence};

use super::Geometry;
use crate::ident::SlotId;
use crate::limits::RING_ENTRIES;

/// Words of every mapping's header.
pub const HEADER: usize = 64;
/// Word numbers that all headers share.
pub mod header {
    /// Magic of the mapping.
    pub const MAGIC: usize = 0;
    /// Layout version.
    pub const VERSION: usize = 1;
    /// `Geometry::services`.
    pub const SERVICES: usize = 2;
    /// `Geometry::instances`.
    pub const INSTANCES: usize = 3;
    /// `Geometry::texts`.
    pub const TEXTS: usize = 4;
    /// How many changes were ever pushed to the ring, wrapping.
    pub const RING_HEAD: usize = 5;
    /// 1 while this mapping's writer sleeps and wants its doorbell rung.
    pub const ASLEEP: usize = 6;
    /// Words of a row.
    pub const ROW: usize = 7;
    /// First word that a mapping uses for itself.
    pub const OWN: usize = 8;
}
/// First word of the ring.
pub const RING: usize = HEADER;
/// First word of the rows.
pub const ROWS: usize = HEADER + RING_ENTRIES as usize;
/// How often a reader tries a row that is being written before it takes it as "no news".
const TRIES: usize = 64;

/// The header of a mapping: its words are there, so nothing is asked of a length.
pub type Head = [AtomicU32; HEADER];

/// The header of what is no mapping.
static NO_HEAD: Head = [const { AtomicU32::new(0) }; HEADER];

/// The header of these words; zeros where there is none.
pub fn head(words: &[AtomicU32]) -> &Head {
    words.first_chunk().unwrap_or(&NO_HEAD)
}

/// A word; 0 where there is none.
pub fn load(words: &[AtomicU32], at: usize) -> u32 {
    words.get(at).map_or(0, |word| word.load(Ordering::Relaxed))
}

/// Stores a word; nothing where there is none. Only the mapping's one writer calls it.
pub fn store(words: &[AtomicU32], at: usize, value: u32) {
    if let Some(word) = words.get(at) {
        word.store(value, Ordering::Relaxed);
    }
}

/// What a mapping is called and how it is laid out, its own part of the header: magic, layout version, words of a row.
pub type Layout = [u32; 3];

/// Fills in what all headers share.
pub fn format(words: &[AtomicU32], layout: Layout, geometry: &Geometry) {
    for (at, value) in &[
        (header::MAGIC, layout[0]),
        (header::VERSION, layout[1]),
        (header::ROW, layout[2]),
        (header::SERVICES, geometry.services),
        (header::INSTANCES, geometry.instances),
        (header::TEXTS, geometry.texts),
    ] {
        store(words, *at, *value);
    }
}

/// Whether these words begin as those of such a mapping do.
pub fn is_of(words: &[AtomicU32], layout: Layout, geometry: &Geometry) -> bool {
    [header::VERSION, header::ROW].iter().zip(&layout[1..]).all(|(at, value)| load(words, *at) == *value)
        && is_kin(words, layout[0], geometry)
}

/// The same for a mapping of any version.
pub fn is_kin(words: &[AtomicU32], magic: u32, geometry: &Geometry) -> bool {
    [header::MAGIC, header::SERVICES, header::INSTANCES].map(|at| load(words, at))
        == [magic, geometry.services, geometry.instances]
}

/// Copies what a mapping of another version says into one of ours: what is in front of `first`, then `count` rows, of
/// `widths` words there and here, then what is behind the rows. Of a wider row what we know nothing of is left behind,
/// and to a narrower one zeros are added: from one version to the next, words are only ever put behind the others.
pub fn carry_over(from: &[AtomicU32], to: &[AtomicU32], first: usize, count: usize, widths: [usize; 2]) {
    let behind = widths.map(|width| first + count * width);
    let rows = (0..count).map(|row| (widths.map(|width| first + row * width), widths[0].min(widths[1])));
    let parts = [([0, 0], first), (behind, from.len().saturating_sub(behind[0]))];
    for ([from_at, to_at], count) in rows.chain(parts) {
        for word in 0..count {
            store(to, to_at + word, load(from, from_at + word));
        }
    }
}

/// Two words as one number, low word first.
#[inline(never)]
pub fn load_u64(words: &[AtomicU32], at: usize) -> u64 {
    u64::from(load(words, at)) | u64::from(load(words, at + 1)) << 32
}

/// See `load_u64`.
pub fn store_u64(words: &[AtomicU32], at: usize, value: u64) {
    store(words, at, value as u32);
    store(words, at + 1, (value >> 32) as u32);
}

/// Reads a row, or its first words, of which the very first is its sequence counter. False while it is being written.
#[inline(never)]
pub fn read_row(words: &[AtomicU32], at: usize, copy: &mut [u32]) -> bool {
    let Some(row) = words.get(at..at + copy.len()) else { return false };
    let Some(counter) = row.first() else { return false };
    for _ in 0..TRIES {
        let before = counter.load(Ordering::Acquire);
        if before & 1 == 1 {
            core::hint::spin_loop();
            continue;
        }
        for (to, from) in copy.iter_mut().zip(row) {
            *to = from.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        if counter.load(Ordering::Relaxed) == before {
            return true;
        }
    }
    false
}

/// Writes a row: the words behind its counter become these.
pub fn write_row(words: &[AtomicU32], at: usize, new: &[u32]) {
    let Some(row) = words.get(at..) else { return };
    let Some((counter, row)) = row.split_first() else { return };
    let before = counter.load(Ordering::Relaxed);
    counter.store(before | 1, Ordering::Relaxed);
    fence(Ordering::Release);
    for (word, new) in row.iter().zip(new) {
        word.store(*new, Ordering::Relaxed);
    }
    // A writer that died inside left the counter odd; this makes it even again.
    counter.store((before | 1).wrapping_add(1), Ordering::Release);
}

/// Says that a slot has changed. After the row, before the doorbell.
pub fn push_change(words: &[AtomicU32], slot: SlotId) {
    let head = load(words, header::RING_HEAD);
    store(words, RING + (head % RING_ENTRIES) as usize, slot.0);
    if let Some(word) = words.get(header::RING_HEAD) {
        word.store(head.wrapping_add(1), Ordering::SeqCst);
    }
}

/// Says that every slot may have changed.
pub fn push_all(words: &[AtomicU32]) {
    let head = load(words, header::RING_HEAD);
    if let Some(word) = words.get(header::RING_HEAD) {
        word.store(head.wrapping_add(RING_ENTRIES), Ordering::SeqCst);
    }
}

/// Says whether the writer is about to sleep. To be followed by one more `Follower::behind`.
pub fn set_asleep(words: &[AtomicU32], asleep: bool) {
    if let Some(word) = words.get(header::ASLEEP) {
        word.store(u32::from(asleep), Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

/// Whether the writer of this mapping sleeps, and its doorbell must be rung.
pub fn is_asleep(words: &[AtomicU32]) -> bool {
    fence(Ordering::SeqCst);
    words.get(header::ASLEEP).is_some_and(|word| word.load(Ordering::SeqCst) != 0)
}

/// What a follower finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// This slot has changed (perhaps more than once).
    Slot(SlotId),
    /// The ring was overrun: look at every slot. The follower is at the head again.
    All,
}

/// A reader's place in another's ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Follower {
    tail: u32,
}

impl Follower {
    /// A follower that sees only what comes from now on; look at every slot once after making it.
    pub fn at_head(words: &[AtomicU32]) -> Follower {
        Follower { tail: words.get(header::RING_HEAD).map_or(0, |word| word.load(Ordering::SeqCst)) }
    }

    /// Whether there is news.
    pub fn behind(&self, words: &[AtomicU32]) -> bool {
        words.get(header::RING_HEAD).is_some_and(|word| word.load(Ordering::SeqCst) != self.tail)
    }

    /// The next change. Slots come as written by the other side: check them against your own number of slots.
    pub fn next(&mut self, words: &[AtomicU32]) -> Option<Change> {
        let head = words.get(header::RING_HEAD)?.load(Ordering::SeqCst);
        let behind = head.wrapping_sub(self.tail);
        if behind == 0 {
            return None;
        }
        let slot = load(words, RING + (self.tail % RING_ENTRIES) as usize);
        fence(Ordering::Acquire);
        let now = words.get(header::RING_HEAD)?.load(Ordering::SeqCst);
        // An entry may be overwritten while it is read: then the head has moved by the whole ring.
        if now.wrapping_sub(self.tail) > RING_ENTRIES - 1 {
            self.tail = now;
            return Some(Change::All);
        }
        self.tail = self.tail.wrapping_add(1);
        Some(Change::Slot(SlotId(slot)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// What a reader is told of so many changes, slots 0, 1, 2, ...
    fn told(changes: u32) -> Vec<Change> {
        let memory: Vec<AtomicU32> = (0..ROWS).map(|_| AtomicU32::new(0)).collect();
        let mut follower = Follower::at_head(&memory);
        assert!(!follower.behind(&memory));
        (0..changes).for_each(|slot| push_change(&memory, SlotId(slot)));
        assert_eq!(follower.behind(&memory), changes > 0);
        let told = core::iter::from_fn(|| follower.next(&memory)).collect();
        assert!(!follower.behind(&memory));
        told
    }

    #[test]
    fn a_reader_that_fell_behind_by_more_than_the_ring_looks_at_all() {
        for changes in [0, 1, RING_ENTRIES - 1] {
            assert!(told(changes).into_iter().eq((0..changes).map(|slot| Change::Slot(SlotId(slot)))), "{changes}");
        }
        for changes in [RING_ENTRIES, RING_ENTRIES + 1, 3 * RING_ENTRIES] {
            assert_eq!(told(changes), [Change::All], "{changes}");
        }
    }
}
