//! The engine's memory: facts in rows under an undo log, and what is derived from them.
//!
//! The memory outlives the engine: it may be killed between any two stores. *Facts* are changed only by `Memory::put`,
//! which first copies the whole row to the log, once a row and step (the row's first word is the step that logged it), so
//! the log never holds more than every row once. Emptying the log is the one store that commits a step; an engine that
//! finds a log puts the rows back. Stores of a killed thread become visible in program order, so only the compiler has to
//! be kept from moving them: `compiler_fence`. What is *derived* is not logged; `Engine::open` computes it anew.

use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use super::Capacities;
use super::bits::Bits;
use crate::board::Geometry;
use crate::board::orders::PASS_BYTES_MAX;
use crate::database::{Image, header};
use crate::ident::SlotId;
use crate::limits::{FACT_BYTES_MAX, INSTANCE_BYTES_MAX};

/// "PNTE".
const MAGIC: u32 = u32::from_le_bytes(*b"PNTE");
/// Layout version.
const VERSION: u32 = 1;

/// Words of the header: what the memory belongs to, the step, and the log's length.
const HEADER: usize = 16;
const LOG_LENGTH: usize = 8;
const STEP: usize = 9;

/// The one row of facts about the machine.
pub mod machine {
    /// Words.
    pub const ROW: usize = 8;
    /// Boot slot plus one.
    pub const BOOT: usize = 1;
    /// `Boot::state`.
    pub const BOOT_STATE: usize = 2;
    /// Two words: `Boot::since`.
    pub const BOOT_SINCE: usize = 3;
    /// 1 once a shutdown was asked for.
    pub const SHUTDOWN: usize = 5;
    /// Number of the newest transaction.
    pub const TRANSACTION: usize = 6;
    /// Counts conditions that came on, so that the oldest is known.
    pub const GENERATION: usize = 7;
}

/// Facts about a slot.
pub mod slot {
    /// Words.
    pub const ROW: usize = 12;
    /// `Holds`, without what is derived (`Hold::Need`, `MARK_SHUTDOWN`).
    pub const HOLDS: usize = 1;
    /// Bits, see `super::super::slot`.
    pub const STATE: usize = 2;
    /// Number of the newest order.
    pub const ORDER: usize = 3;
    /// Signal to send in bits 0 to 7, how many were asked for in 8 to 19, reloads asked for in 20 to 31.
    pub const ASKED: usize = 4;
    /// Latches of `start-on`.
    pub const LATCH_START: usize = 5;
    /// Latches of `stop-on`.
    pub const LATCH_STOP: usize = 6;
    /// Two words: when the phase last changed.
    pub const SINCE: usize = 7;
    /// Low word of the stamp at which the current life began.
    pub const BEGAN: usize = 9;
    /// Low word of the stamp at which it became ready.
    pub const READY: usize = 10;
    /// Instance slots: the template plus one; 0 is free.
    pub const TEMPLATE: usize = 11;
}

/// Facts about texts: an instance's name, attributes to pass.
pub mod text {
    use super::{INSTANCE_BYTES_MAX, PASS_BYTES_MAX};
    /// Words.
    pub const ROW: usize = PASS + PASS_BYTES_MAX / 4;
    /// The instance's name.
    pub const NAME: usize = 1;
    /// `KEY=VALUE` NUL ...
    pub const PASS: usize = NAME + (INSTANCE_BYTES_MAX + 1) / 4;
}

/// Facts about conditions.
pub mod condition {
    use super::FACT_BYTES_MAX;
    /// Words.
    pub const ROW: usize = TEXT + FACT_BYTES_MAX / 4;
    /// 0 free, else a value of `expression::Value`.
    pub const VALUE: usize = 1;
    /// The machine's `GENERATION` when it came on.
    pub const GENERATION: usize = 2;
    /// Two words: when it came on.
    pub const SINCE: usize = 3;
    /// Sender.
    pub const PID: usize = 5;
    /// Sender.
    pub const UID: usize = 6;
    /// Connection for whose life it is on, or 0.
    pub const LEASE: usize = 7;
    /// Hash of the text's name, so that most comparisons are one word.
    pub const HASH: usize = 8;
    /// NUL-divided words, attributes sorted, zeros behind.
    pub const TEXT: usize = 9;
}

/// Facts about transactions.
pub mod transaction {
    /// Words.
    pub const ROW: usize = 5;
    /// Its number; 0 is free.
    pub const NUMBER: usize = 1;
    /// `Standing`.
    pub const STANDING: usize = 2;
    /// First entry plus one.
    pub const FIRST: usize = 3;
    /// Entries whose outcome is not known.
    pub const PENDING: usize = 4;
}

/// Facts about a service in a transaction.
pub mod entry {
    /// Words.
    pub const ROW: usize = 4;
    /// Row of its transaction plus one; 0 is free.
    pub const OWNER: usize = 1;
    /// Slot in bits 0 to 23, `Wanted` in 24 to 27, `Outcome` in 28 to 31.
    pub const WHAT: usize = 2;
    /// Next entry of the transaction plus one.
    pub const NEXT: usize = 3;
}

/// Derived words of a slot: six pairs of 16-bit counters, then whole words.
pub mod derived {
    /// Words.
    pub const ROW: usize = 10;
    /// `told` bits, see `super::super::slot`.
    pub const TOLD: usize = 6;
    /// Code in the high 4 bits, slot below.
    pub const BLOCKER: usize = 7;
    /// Edge at which the search for a blocker goes on.
    pub const CURSOR: usize = 8;
    /// First open entry plus one; for a template its first instance (index among instances) plus one.
    pub const HEAD: usize = 9;
}

/// Sets of slots: what is to be looked at, and what is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Set {
    /// The goal may have changed.
    Goal,
    /// The goal is to fall, after all rises.
    Fall,
    /// The goal is to rise, but something conflicts: after all else, lowest first.
    Rise,
    /// The goal has changed in this step.
    Turned,
    /// What neighbours were told may be wrong.
    Work,
    /// May be stopped now.
    Stop,
    /// May be started now.
    Start,
    /// Phase, blocker or transactions may have changed.
    Tell,
    /// Derived events are due.
    Event,
    /// `up()` or `failed()` of it changed, for those that listen.
    Flipped,
    /// A trigger listens to something in `Flipped`.
    Listen,
    /// Became ready anew, unseen by its neighbours.
    NewLife,
    /// A process-less slot that has moved in this step.
    Moved,
    /// ... and wants to move again, later.
    Later,
    /// Visited by a walk.
    Seen,
    /// Anything of it is to be written.
    Dirty,
    /// Its order is.
    DirtyOrder,
    /// Its published row is.
    DirtyPublished,
    /// Its phase changed.
    DirtyPhase,
    /// Has `pass`: for the number of its text row.
    Passing,
}
const SETS: usize = 20;

/// Where everything lies. A function of geometry and capacities.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub geometry: Geometry,
    pub capacities: Capacities,
    pub slots: usize,
    pub texts: usize,
    pub conditions: usize,
    pub transactions: usize,
    pub entries: usize,
    pub log: usize,
    pub derived: usize,
    pub instance_next: usize,
    pub entry_next: usize,
    pub sets: usize,
    pub set_words: usize,
    pub free_entries: usize,
    pub dirty_conditions: usize,
    pub ended: usize,
    pub end: usize,
}

impl Layout {
    pub fn of(geometry: Geometry, capacities: Capacities) -> Layout {
        let (slots, texts) = (geometry.slots() as usize, geometry.texts as usize);
        let rows = [
            (1, machine::ROW),
            (slots, slot::ROW),
            (texts, text::ROW),
            (capacities.conditions as usize, condition::ROW),
            (capacities.transactions as usize, transaction::ROW),
            (capacities.entries as usize, entry::ROW),
        ];
        let mut at = HEADER;
        let mut starts = [0; 6];
        let mut log = 0;
        for (start, (count, words)) in starts.iter_mut().zip(rows) {
            *start = at;
            at += count * words;
            // Each row once, with where it stands and how long it is.
            log += count * (words + 2);
        }
        let mut take = |words: usize| {
            let start = at;
            at += words;
            start
        };
        let set_words = Bits::words(slots as u32);
        Layout {
            geometry,
            capacities,
            slots: starts[1],
            texts: starts[2],
            conditions: starts[3],
            transactions: starts[4],
            entries: starts[5],
            log: take(log),
            derived: take(slots * derived::ROW),
            instance_next: take(geometry.instances as usize),
            entry_next: take(capacities.entries as usize),
            sets: take(SETS * set_words),
            set_words,
            free_entries: take(Bits::words(capacities.entries)),
            dirty_conditions: take(Bits::words(capacities.conditions)),
            ended: take(Bits::words(capacities.transactions)),
            end: take(0),
        }
    }
}

/// The memory with its layout.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    words: &'a [AtomicU32],
    pub layout: Layout,
}

impl<'a> Memory<'a> {
    /// `None` if it is too small or belongs to something else. Puts back what an unfinished step changed, and clears what
    /// is derived. Says whether there was a predecessor.
    pub fn open(image: &Image<'_>, layout: Layout, words: &'a [AtomicU32]) -> Option<(Memory<'a>, bool)> {
        let words = words.get(..layout.end)?;
        let memory = Memory { words, layout };
        let belongs = [
            VERSION,
            image.header(header::CRC),
            layout.geometry.services,
            layout.geometry.instances,
            layout.capacities.conditions,
            layout.capacities.transactions,
            layout.capacities.entries,
        ];
        let fresh = memory.get(0) == 0;
        if fresh {
            for (at, value) in belongs.into_iter().enumerate() {
                memory.set(1 + at, value);
            }
            compiler_fence(Ordering::SeqCst);
            memory.set(0, MAGIC);
        } else if memory.get(0) != MAGIC || (0..belongs.len()).any(|at| memory.get(1 + at) != belongs[at]) {
            return None;
        }
        memory.roll_back();
        if !fresh {
            for at in layout.derived..layout.end {
                memory.set(at, 0);
            }
        }
        Some((memory, !fresh))
    }

    pub fn get(&self, at: usize) -> u32 {
        self.words.get(at).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// For derived words and the log itself; facts go through `put`.
    pub fn set(&self, at: usize, value: u32) {
        if let Some(word) = self.words.get(at) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Opens a step.
    pub fn begin(&self) {
        let step = self.get(STEP).wrapping_add(1);
        if step == 0 {
            // Once in 2^32 steps: no row may seem to be logged already.
            self.clear_stamps();
            self.set(STEP, 1);
        } else {
            self.set(STEP, step);
        }
        compiler_fence(Ordering::SeqCst);
    }

    /// Commits a step.
    pub fn commit(&self) {
        compiler_fence(Ordering::SeqCst);
        self.set(LOG_LENGTH, 0);
        compiler_fence(Ordering::SeqCst);
    }

    /// Changes word `field` of the fact row of `length` words at `row`.
    pub fn put(&self, row: usize, length: usize, field: usize, value: u32) {
        if self.get(row + field) == value {
            return;
        }
        self.log(row, length);
        self.set(row + field, value);
    }

    fn log(&self, row: usize, length: usize) {
        let step = self.get(STEP);
        if self.get(row) == step {
            return;
        }
        let used = self.get(LOG_LENGTH) as usize;
        let at = self.layout.log + used;
        self.set(at, row as u32);
        self.set(at + 1, length as u32);
        for word in 0..length {
            self.set(at + 2 + word, self.get(row + word));
        }
        compiler_fence(Ordering::SeqCst);
        self.set(LOG_LENGTH, (used + 2 + length) as u32);
        compiler_fence(Ordering::SeqCst);
        self.set(row, step);
    }

    fn roll_back(&self) {
        let used = (self.get(LOG_LENGTH) as usize).min(self.layout.derived - self.layout.log);
        let mut at = 0;
        while at + 2 < used {
            let (row, length) = (self.get(self.layout.log + at) as usize, self.get(self.layout.log + at + 1) as usize);
            if length == 0 || row + length > self.layout.log {
                break;
            }
            for word in 0..length {
                self.set(row + word, self.get(self.layout.log + at + 2 + word));
            }
            at += 2 + length;
        }
        self.commit();
    }

    fn clear_stamps(&self) {
        let layout = &self.layout;
        for (start, count, words) in [
            (HEADER, 1, machine::ROW),
            (layout.slots, layout.geometry.slots(), slot::ROW),
            (layout.texts, layout.geometry.texts, text::ROW),
            (layout.conditions, layout.capacities.conditions, condition::ROW),
            (layout.transactions, layout.capacities.transactions, transaction::ROW),
            (layout.entries, layout.capacities.entries, entry::ROW),
        ] {
            for row in 0..count as usize {
                self.set(start + row * words, 0);
            }
        }
    }

    /// A fact about the machine.
    pub fn machine(&self, field: usize) -> u32 {
        self.get(HEADER + field)
    }

    pub fn put_machine(&self, field: usize, value: u32) {
        self.put(HEADER, machine::ROW, field, value);
    }

    /// A fact about a slot.
    pub fn slot(&self, at: SlotId, field: usize) -> u32 {
        self.get(self.layout.slots + at.index() * slot::ROW + field)
    }

    pub fn put_slot(&self, at: SlotId, field: usize, value: u32) {
        self.put(self.layout.slots + at.index() * slot::ROW, slot::ROW, field, value);
    }

    /// First word of a text row.
    pub fn text_row(&self, row: u32) -> usize {
        self.layout.texts + row as usize * text::ROW
    }

    /// First word of a condition's row.
    pub fn condition_row(&self, index: u32) -> usize {
        self.layout.conditions + index as usize * condition::ROW
    }

    pub fn condition(&self, index: u32, field: usize) -> u32 {
        self.get(self.condition_row(index) + field)
    }

    pub fn put_condition(&self, index: u32, field: usize, value: u32) {
        self.put(self.condition_row(index), condition::ROW, field, value);
    }

    pub fn transaction(&self, index: u32, field: usize) -> u32 {
        self.get(self.layout.transactions + index as usize * transaction::ROW + field)
    }

    pub fn put_transaction(&self, index: u32, field: usize, value: u32) {
        let row = self.layout.transactions + index as usize * transaction::ROW;
        self.put(row, transaction::ROW, field, value);
    }

    pub fn entry(&self, index: u32, field: usize) -> u32 {
        self.get(self.layout.entries + index as usize * entry::ROW + field)
    }

    pub fn put_entry(&self, index: u32, field: usize, value: u32) {
        self.put(self.layout.entries + index as usize * entry::ROW, entry::ROW, field, value);
    }

    /// A derived word of a slot.
    pub fn derived(&self, at: SlotId, field: usize) -> u32 {
        self.get(self.layout.derived + at.index() * derived::ROW + field)
    }

    pub fn set_derived(&self, at: SlotId, field: usize, value: u32) {
        self.set(self.layout.derived + at.index() * derived::ROW + field, value);
    }

    /// Copies bytes out of words, little-endian.
    pub fn read_bytes(&self, at: usize, to: &mut [u8]) {
        for (word, chunk) in to.chunks_mut(4).enumerate() {
            let bytes = self.get(at + word).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }

    /// Puts bytes into the words of a fact row from `field` on, zeros behind them up to `words` words.
    pub fn put_bytes(&self, row: usize, length: usize, field: usize, words: usize, from: &[u8]) {
        for word in 0..words {
            let mut bytes = [0; 4];
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = from.get(word * 4 + at).copied().unwrap_or(0);
            }
            self.put(row, length, field + word, u32::from_le_bytes(bytes));
        }
    }

    fn bits(&self, set: Set) -> Bits<'a> {
        let start = self.layout.sets + set as usize * self.layout.set_words;
        Bits::new(&self.words[start..start + self.layout.set_words], self.layout.geometry.slots())
    }

    pub fn insert(&self, set: Set, slot: SlotId) {
        self.bits(set).insert(slot.0);
    }

    /// Takes it out; says whether it was in.
    pub fn remove(&self, set: Set, slot: SlotId) -> bool {
        self.bits(set).remove(slot.0)
    }

    pub fn contains(&self, set: Set, slot: SlotId) -> bool {
        self.bits(set).contains(slot.0)
    }

    /// Takes out the lowest.
    pub fn pop(&self, set: Set) -> Option<SlotId> {
        self.bits(set).pop().map(SlotId)
    }

    pub fn is_empty(&self, set: Set) -> bool {
        self.bits(set).is_empty()
    }

    /// How many are below this one.
    pub fn rank(&self, set: Set, slot: SlotId) -> u32 {
        self.bits(set).rank(slot.0)
    }

    pub fn free_entries(&self) -> Bits<'a> {
        self.bits_at(self.layout.free_entries, self.layout.capacities.entries)
    }

    pub fn dirty_conditions(&self) -> Bits<'a> {
        self.bits_at(self.layout.dirty_conditions, self.layout.capacities.conditions)
    }

    /// Rows of transactions that ended and were not taken yet.
    pub fn ended(&self) -> Bits<'a> {
        self.bits_at(self.layout.ended, self.layout.capacities.transactions)
    }

    fn bits_at(&self, start: usize, count: u32) -> Bits<'a> {
        Bits::new(&self.words[start..start + Bits::words(count)], count)
    }
}
