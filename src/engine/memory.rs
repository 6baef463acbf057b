//! The engine's memory: facts in rows under an undo log, and what is derived from them.
//!
//! The memory outlives the engine: it may be killed between any two stores. *Facts* are changed only by what logs first
//! (`put`, `put_slot`, `put_bytes`): the whole row is copied to the log, once a row and step (the row's first word is
//! the step that logged it), so the log never holds more than every row once. Emptying the log is the one store that
//! commits a step; an engine that finds a log puts the rows back. Stores of a killed thread become visible in program
//! order, so only the compiler has to be kept from moving them: `compiler_fence`. What is *derived* is not logged;
//! `Engine::open` computes it anew.

mod layout;

pub use layout::{
    Derived, JOURNAL_BEGIN, Layout, SEALS, STEP, Set, Table, condition, derived, entry, latch, line, machine, queued,
    reasons, said, slot, text, transaction,
};

use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use super::bits::Bits;
use super::fact::Written;
use crate::database::{Image, header};
use crate::ident::SlotId;
use crate::time::Instant;
use layout::{HEADER, LOG_LENGTH, ROWS};

/// "PNTE".
const MAGIC: u32 = u32::from_le_bytes(*b"PNTE");
/// Layout version.
pub const VERSION: u32 = 13;

/// The memory with its layout.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    words: &'a [AtomicU32],
    /// The tables that are read most.
    slots: &'a [[AtomicU32; slot::ROW]],
    derived: &'a [Derived],
    /// The row of these that stands for all slots that do not exist.
    no_slot: usize,
    /// The first set; the others lie behind it.
    sets: Bits<'a>,
    /// The journal's ring: a power of two of words, or none.
    pub ring: &'a [AtomicU32],
    pub layout: Layout,
}

/// Takes the next four bytes off a text as a word, little-endian; zeros stand for those that are missing.
pub fn next_word(text: &mut &[u8]) -> u32 {
    match text.split_first_chunk() {
        Some((four, rest)) => {
            *text = rest;
            u32::from_le_bytes(*four)
        }
        None => core::mem::take(text).iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)),
    }
}

impl<'a> Memory<'a> {
    /// `None` if it is too small or belongs to something else. Puts back what an unfinished step changed, and clears
    /// what is derived. Says whether there was a predecessor.
    #[inline(never)]
    pub fn open(image: &Image<'_>, layout: Layout, words: &'a [AtomicU32]) -> Option<(Memory<'a>, bool)> {
        let words = words.get(..layout.end())?;
        let table = |table: Table| {
            words.get(layout.start(table)..layout.starts[table as usize + 1] as usize).unwrap_or_default()
        };
        let (slots, derived) = (table(Table::Slots).as_chunks().0, table(Table::Derived).as_chunks().0);
        let sets = Bits::new(table(Table::Sets).get(1..).unwrap_or_default(), layout.members);
        let no_slot = layout.geometry.slots() as usize;
        let memory = Memory { words, slots, derived, no_slot, sets, ring: table(Table::Journal), layout };
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
            for (at, value) in belongs.iter().enumerate() {
                memory.set(1 + at, *value);
            }
            compiler_fence(Ordering::SeqCst);
            memory.set(0, MAGIC);
        } else if memory.get(0) != MAGIC || (0..belongs.len()).any(|at| memory.get(1 + at) != belongs[at]) {
            return None;
        }
        memory.roll_back();
        if !fresh {
            for at in layout.start(Table::Derived)..layout.start(Table::EntryNext) {
                memory.set(at, 0);
            }
        }
        Some((memory, !fresh))
    }

    /// All facts, and of the entries those that were ever used. Behind them come the log, which is empty between two
    /// steps, and what is derived.
    pub fn kept(&self) -> &'a [AtomicU32] {
        let end = self.row(Table::Entries, self.machine(machine::ENTRIES));
        self.words.get(..end).unwrap_or(self.words)
    }

    #[inline(always)]
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

    /// First word of a row.
    #[inline(always)]
    pub fn row(&self, table: Table, index: u32) -> usize {
        self.layout.start(table) + index as usize * usize::from(ROWS[table as usize])
    }

    /// A word of a row.
    #[inline(never)]
    pub fn word(&self, table: Table, index: u32, field: usize) -> u32 {
        self.get(self.row(table, index) + field)
    }

    /// Changes a word of a row of facts.
    #[inline(never)]
    pub fn put(&self, table: Table, index: u32, field: usize, value: u32) {
        let row = self.row(table, index);
        if self.get(row + field) != value {
            self.log(row, usize::from(ROWS[table as usize]));
            self.set(row + field, value);
        }
    }

    fn log(&self, row: usize, length: usize) {
        debug_assert!(row + length <= self.layout.start(Table::Log), "a fact of what does not exist");
        let step = self.get(STEP);
        if self.get(row) == step {
            return;
        }
        let used = self.get(LOG_LENGTH) as usize;
        let at = self.layout.start(Table::Log) + used;
        self.set(at, row as u32);
        self.set(at + 1, length as u32);
        self.copy(row, at + 2, length);
        compiler_fence(Ordering::SeqCst);
        self.set(LOG_LENGTH, (used + 2 + length) as u32);
        compiler_fence(Ordering::SeqCst);
        self.set(row, step);
    }

    /// The undo log's.
    pub fn log_words(&self) -> &'a [AtomicU32] {
        self.words.get(self.layout.start(Table::Log)..self.layout.start(Table::Derived)).unwrap_or_default()
    }

    /// Which of the two seals is the newest.
    pub fn newest_seal(&self) -> usize {
        usize::from((self.get(SEALS[1]).wrapping_sub(self.get(SEALS[0])) as i32) > 0)
    }

    fn roll_back(&self) {
        let newest = self.newest_seal();
        if self.get(LOG_LENGTH) != 0 && self.get(SEALS[newest]) == self.get(STEP) {
            // Of the step that is undone: the other one counts, also for an engine that finds no log any more.
            self.set(SEALS[newest], self.get(SEALS[1 - newest]).wrapping_sub(1));
        }
        let log = self.layout.start(Table::Log);
        let used = (self.get(LOG_LENGTH) as usize).min(self.layout.start(Table::Derived) - log);
        let mut at = log;
        while at + 2 < log + used {
            let (row, length) = (self.get(at) as usize, self.get(at + 1) as usize);
            if length == 0 {
                break;
            }
            if row + length <= log {
                self.copy(at + 2, row, length);
            }
            at += 2 + length;
        }
        self.commit();
    }

    fn copy(&self, from: usize, to: usize, length: usize) {
        let words = |at: usize| self.words.get(at..at + length).unwrap_or_default();
        for (to, from) in words(to).iter().zip(words(from)) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    #[inline(never)]
    fn clear_stamps(&self) {
        for (table, words) in ROWS.iter().enumerate().take(Table::Log as usize) {
            if table == Table::Journal as usize {
                continue;
            }
            let mut row = self.layout.starts[table] as usize;
            while row < self.layout.starts[table + 1] as usize {
                self.set(row, 0);
                row += usize::from(*words);
            }
        }
    }

    /// A fact about the machine.
    #[inline(never)]
    pub fn machine(&self, field: usize) -> u32 {
        self.get(HEADER + field)
    }

    pub fn put_machine(&self, field: usize, value: u32) {
        self.put(Table::Machine, 0, field, value);
    }

    /// A fact about a slot.
    #[inline(never)]
    pub fn slot(&self, at: SlotId, field: usize) -> u32 {
        self.facts(at)[field].load(Ordering::Relaxed)
    }

    /// The facts about a slot.
    #[inline(always)]
    pub fn facts(&self, at: SlotId) -> &'a [AtomicU32; slot::ROW] {
        &self.slots[at.index().min(self.no_slot)]
    }

    #[inline(never)]
    pub fn put_slot(&self, at: SlotId, field: usize, value: u32) {
        let word = &self.facts(at)[field];
        if word.load(Ordering::Relaxed) != value {
            self.log(self.row(Table::Slots, at.0), slot::ROW);
            word.store(value, Ordering::Relaxed);
        }
    }

    #[inline(never)]
    pub fn condition(&self, index: u32, field: usize) -> u32 {
        self.word(Table::Conditions, index, field)
    }

    pub fn put_condition(&self, index: u32, field: usize, value: u32) {
        self.put(Table::Conditions, index, field, value);
    }

    #[inline(never)]
    pub fn transaction(&self, index: u32, field: usize) -> u32 {
        self.word(Table::Transactions, index, field)
    }

    pub fn put_transaction(&self, index: u32, field: usize, value: u32) {
        self.put(Table::Transactions, index, field, value);
    }

    #[inline(never)]
    pub fn entry(&self, index: u32, field: usize) -> u32 {
        self.word(Table::Entries, index, field)
    }

    pub fn put_entry(&self, index: u32, field: usize, value: u32) {
        self.put(Table::Entries, index, field, value);
    }

    /// A derived word of a slot.
    #[inline(never)]
    pub fn derived(&self, at: SlotId, field: usize) -> u32 {
        self.near(at)[field].load(Ordering::Relaxed)
    }

    #[inline(never)]
    pub fn set_derived(&self, at: SlotId, field: usize, value: u32) {
        self.near(at)[field].store(value, Ordering::Relaxed);
    }

    /// All that is derived of a slot.
    #[inline(always)]
    pub fn near(&self, at: SlotId) -> &'a Derived {
        &self.derived[at.index().min(self.no_slot)]
    }

    /// Two words of a row as a time, the low one first.
    #[inline(never)]
    pub fn time(&self, table: Table, index: u32, field: usize) -> Instant {
        let row = self.row(table, index) + field;
        Instant(u64::from(self.get(row)) | u64::from(self.get(row + 1)) << 32)
    }

    #[inline(never)]
    pub fn put_time(&self, table: Table, index: u32, field: usize, time: Instant) {
        self.put(table, index, field, time.0 as u32);
        self.put(table, index, field + 1, (time.0 >> 32) as u32);
    }

    /// The text of a condition.
    pub fn condition_fact(&self, index: u32) -> Written {
        let text = self.row(Table::Said, index) + said::TEXT;
        Written::of_words(self.words.get(text..).unwrap_or_default())
    }

    /// Copies words.
    pub fn read_words(&self, at: usize, to: &mut [u32]) {
        for (to, word) in to.iter_mut().zip(self.words.get(at..).unwrap_or_default()) {
            *to = word.load(Ordering::Relaxed);
        }
    }

    /// Copies bytes out of words, little-endian: as many as whole words have.
    pub fn read_bytes(&self, at: usize, to: &mut [u8]) {
        let words = self.words.get(at..).unwrap_or_default();
        for (four, word) in to.as_chunks_mut().0.iter_mut().zip(words) {
            *four = word.load(Ordering::Relaxed).to_le_bytes();
        }
    }

    /// Puts bytes into words of a row of facts from `field` on, zeros behind them up to `words` words.
    pub fn put_bytes(&self, table: Table, index: u32, field: usize, words: usize, from: &[u8]) {
        let row = self.row(table, index);
        let mut left = from;
        for at in row + field..row + field + words {
            let value = if left.is_empty() { 0 } else { next_word(&mut left) };
            if self.get(at) != value {
                self.log(row, usize::from(ROWS[table as usize]));
                self.set(at, value);
            }
        }
    }

    #[inline(always)]
    pub fn bits(&self, set: u32) -> Bits<'a> {
        self.sets.behind(set as usize * self.layout.set_words as usize)
    }

    /// The sets that have members, a bit each.
    #[inline(always)]
    fn filled(&self) -> Option<&'a AtomicU32> {
        self.words.get(self.layout.start(Table::Sets))
    }

    #[inline(never)]
    pub fn insert(&self, set: Set, slot: SlotId) {
        if self.bits(set as u32).insert(slot.0)
            && let Some(filled) = self.filled()
        {
            // The last ones have no bit.
            filled.store(filled.load(Ordering::Relaxed) | 1u32.checked_shl(set as u32).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Takes it out; says whether it was in.
    pub fn remove(&self, set: Set, slot: SlotId) -> bool {
        let members = self.bits(set as u32);
        let was = members.remove(slot.0);
        if was && members.is_empty() {
            self.set_empty(set as u32);
        }
        was
    }

    fn set_empty(&self, set: u32) {
        if let Some(filled) = self.filled() {
            filled.store(filled.load(Ordering::Relaxed) & !(1 << set), Ordering::Relaxed);
        }
    }

    pub fn contains(&self, set: Set, slot: SlotId) -> bool {
        self.bits(set as u32).contains(slot.0)
    }

    /// Whether any of these sets has a member.
    pub fn has_any(&self, sets: u32) -> bool {
        self.filled().is_some_and(|filled| filled.load(Ordering::Relaxed) & sets != 0)
    }

    /// Takes the lowest out of the first of these sets that has any: the set's number, and the slot.
    #[inline(never)]
    pub fn pop_first(&self, sets: u32) -> Option<(u32, SlotId)> {
        let filled = self.filled()?.load(Ordering::Relaxed) & sets;
        if filled == 0 {
            return None;
        }
        let set = filled.trailing_zeros();
        let members = self.bits(set);
        let slot = members.pop()?;
        if members.is_empty() {
            self.set_empty(set);
        }
        Some((set, SlotId(slot)))
    }

    /// Takes out the lowest.
    pub fn pop(&self, set: Set) -> Option<SlotId> {
        self.pop_first(1 << set as u32).map(|(_, slot)| slot)
    }

    pub fn is_empty(&self, set: Set) -> bool {
        self.bits(set as u32).is_empty()
    }

    /// How many are below this one.
    pub fn rank(&self, set: Set, slot: SlotId) -> u32 {
        self.bits(set as u32).rank(slot.0)
    }
}
