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
use crate::time::Instant;

/// "PNTE".
const MAGIC: u32 = u32::from_le_bytes(*b"PNTE");
/// Layout version.
const VERSION: u32 = 10;

/// Words of the header: what the memory belongs to, the step, and the log's length.
const HEADER: usize = 32;
const LOG_LENGTH: usize = 8;
pub const STEP: usize = 9;
/// Position at which the journal's oldest block begins. No fact: a step that is undone has overwritten what was before.
pub const JOURNAL_BEGIN: usize = 10;
/// Where the journal ends: two seals of three words each, the step that wrote it, the end, the number of the next line. A
/// step writes the older one, its number last, before it is committed; so the facts of every step but an unfinished one are
/// there, at three stores instead of a logged row.
pub const SEALS: [usize; 2] = [16, 19];

/// The one row of facts about the machine.
pub mod machine {
    /// Words.
    pub const ROW: usize = 11;
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
    /// Entries that were ever used: those below this. The others' memory was never touched.
    pub const ENTRIES: usize = 8;
    /// The slot that has the boot hold plus one: another one than `BOOT` after a switch.
    pub const CURRENT: usize = 9;
    /// 0; while the machine is switched away from what it was booted into: 2 if all that is essential was up then, else 1.
    pub const BOOT_LEFT: usize = 10;
}

/// Facts about a slot.
pub mod slot {
    /// Words.
    pub const ROW: usize = 13;
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
    /// Of a choice, which has no life: what is chosen and what was tried, see `choice.rs`.
    pub const CHOICE: usize = BEGAN;
    /// Low word of the stamp at which it became ready.
    pub const READY: usize = 10;
    /// Instance slots: the template plus one; 0 is free.
    pub const TEMPLATE: usize = 11;
    /// Low word of the number of the newest life that was seen.
    pub const LIFE: usize = 12;
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

/// Facts about the attributes of a run that is queued, for each text row.
pub mod queued {
    use super::PASS_BYTES_MAX;
    /// Words.
    pub const ROW: usize = PASS + PASS_BYTES_MAX / 4;
    /// As `text::PASS`.
    pub const PASS: usize = 1;
}

/// Facts about the latches of a slot whose definition has `within`.
pub mod latch {
    /// Words: for each latch of `start-on`, then of `stop-on`, the time of the newest event that set it, in two.
    pub const ROW: usize = SET + 4 * crate::limits::LATCHES_MAX;
    /// First of these.
    pub const SET: usize = 1;
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
    /// Two words: since when it has this value.
    pub const SINCE: usize = 3;
    /// Sender.
    pub const PID: usize = 5;
    /// Sender.
    pub const UID: usize = 6;
    /// Connection for whose life it is on, or 0; `ORPHAN` for one that ended while the condition was changing.
    pub const LEASE: usize = 7;
    /// See `LEASE`.
    pub const ORPHAN: u32 = u32::MAX;
    /// Hash of the text's name, so that most comparisons are one word.
    pub const HASH: usize = 8;
    /// Two words: until when it may be changing.
    pub const UNTIL: usize = 9;
    /// NUL-divided words, zeros behind. The order of attributes is that in which the condition came on, in each row of it.
    pub const TEXT: usize = 11;
}

/// Facts about transactions.
pub mod transaction {
    /// Words.
    pub const ROW: usize = 6;
    /// Its number; 0 is free.
    pub const NUMBER: usize = 1;
    /// `Standing`.
    pub const STANDING: usize = 2;
    /// First entry plus one.
    pub const FIRST: usize = 3;
    /// Entries whose outcome is not known.
    pub const PENDING: usize = 4;
    /// Number of the transaction whose child it is; 0 for none.
    pub const PARENT: usize = 5;
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

/// Facts about who waits for a place to start.
pub mod line {
    /// Words.
    pub const ROW: usize = 3;
    /// Who stands behind, plus one.
    pub const NEXT: usize = 1;
    /// Who stands before, plus one.
    pub const BEFORE: usize = 2;
}

/// Facts about how a slot's goal came to be what it is.
pub mod reasons {
    /// Words.
    pub const ROW: usize = FIRST + crate::board::published::Reasons::WORDS;
    /// Words of `published::Reasons`.
    pub const FIRST: usize = 1;
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
    /// First entry in a transaction under way plus one; for a template its first instance (index among instances) plus one.
    pub const HEAD: usize = 9;
}

/// Sets of slots: what is to be looked at, and what is to be written. Those that a step works off come first, in the order
/// in which it does: see `Memory::pop_first`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Set {
    /// The goal may have changed.
    Goal,
    /// A choice of which the chosen alternative may be another: before anything falls, for it may pull that.
    Choose,
    /// The goal is to fall, after all rises.
    Fall,
    /// The goal is to rise, but something conflicts: after all else, lowest first.
    Rise,
    /// The goal has changed in this step.
    Turned,
    /// What neighbours were told may be wrong.
    Work,
    /// Became ready anew, unseen by its neighbours.
    NewLife,
    /// May be stopped now.
    Stop,
    /// May be started now.
    Start,
    /// Phase, blocker or transactions may have changed.
    Tell,
    /// The same of a bundle: behind its members.
    TellBundle,
    /// A trigger listens to something in `UpFlipped` or `FailedFlipped`.
    Listen,
    /// Derived events are due.
    Event,
    /// `up()` of it changed, for those that listen.
    UpFlipped,
    /// `failed()` of it changed.
    FailedFlipped,
    /// A process-less slot that has moved in this step.
    Moved,
    /// Has displaced what conflicts with it in this step: once is enough.
    Displacing,
    /// ... and wants to move again, later.
    Later,
    /// ... and whose time has come.
    Due,
    /// To be visited by a walk.
    Ahead,
    /// Visited by it.
    Seen,
    /// Its order is to be written.
    DirtyOrder,
    /// Its published row is.
    DirtyPublished,
    /// Its phase changed.
    DirtyPhase,
    /// A bundle's published row is: it is shown behind its members.
    DirtyBundle,
    /// Its reasons are.
    DirtyReasons,
    /// Has `pass`: for the number of its text row.
    Passing,
    /// Has `within`: for the number of its latch row.
    Timed,
    /// Was needed by what the newest command started, and is no longer held down by a person.
    Lifted,
}
const SETS: u32 = 29;

impl Set {
    /// Goals only.
    pub const PROPAGATE: u32 = (1 << Set::Work as u32) - 1;
    /// What neighbours are told.
    pub const REFRESH: u32 = 1 << Set::Work as u32;
    /// What may be stopped or started now.
    pub const MOVES: u32 = 1 << Set::Stop as u32 | 1 << Set::Start as u32;
    /// What is to be written, orders first.
    pub const DIRTY: u32 = 1 << Set::DirtyOrder as u32
        | 1 << Set::DirtyPublished as u32
        | 1 << Set::DirtyPhase as u32
        | 1 << Set::DirtyBundle as u32
        | 1 << Set::DirtyReasons as u32;
    /// All that a step works off.
    pub const STEP: u32 = (1 << Set::UpFlipped as u32) - 1;
    /// What triggers listen to.
    pub const FLIPPED: u32 = 1 << Set::UpFlipped as u32 | 1 << Set::FailedFlipped as u32;
}

const _: () = assert!(SETS <= 32 && Set::Lifted as u32 + 1 == SETS, "a bit for each in one word");

/// What lies in the memory, in this order: rows of facts, the undo log, and what is derived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Table {
    Machine,
    Slots,
    Texts,
    Queued,
    Latches,
    Conditions,
    Transactions,
    Line,
    Reasons,
    /// The journal's blocks, which are not logged.
    Journal,
    /// Last of the facts: most of it was never used.
    Entries,
    Log,
    Derived,
    /// For each instance the next of its template plus one.
    InstanceNext,
    /// A bit for each set that may have members, then the sets.
    Sets,
    DirtyConditions,
    Ended,
    /// For each entry of a transaction under way the slot's next one plus one, for each free one the next free one. Last,
    /// since it is written before it is read, and not touched before.
    EntryNext,
}
const TABLES: usize = 18;
/// Words of a row of each.
const ROWS: [u8; TABLES] = [
    machine::ROW as u8,
    slot::ROW as u8,
    text::ROW as u8,
    queued::ROW as u8,
    latch::ROW as u8,
    condition::ROW as u8,
    transaction::ROW as u8,
    line::ROW as u8,
    reasons::ROW as u8,
    1,
    entry::ROW as u8,
    1,
    derived::ROW as u8,
    1,
    1,
    1,
    1,
    1,
];

/// Where everything lies. A function of geometry and capacities.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub geometry: Geometry,
    pub capacities: Capacities,
    /// Of each table, and the end.
    starts: [usize; TABLES + 1],
    set_words: u32,
}

impl Layout {
    pub fn of(geometry: Geometry, capacities: Capacities) -> Layout {
        let slots = geometry.slots();
        // Behind the last slot there is a row that stands for all that do not exist.
        let counts = [
            1,
            slots + 1,
            geometry.texts,
            geometry.texts,
            geometry.latches(),
            capacities.conditions,
            capacities.transactions,
            slots + 1,
            slots,
            capacities.journal_words(),
            capacities.entries,
            0,
            slots + 1,
            geometry.instances,
            1 + SETS * Bits::words(slots),
            Bits::words(capacities.conditions),
            Bits::words(capacities.transactions),
            capacities.entries,
        ];
        let mut starts = [HEADER; TABLES + 1];
        let mut log = 0;
        for (table, count) in counts.into_iter().enumerate() {
            let words = count as usize * usize::from(ROWS[table]);
            // Each row of facts once, with where it stands and how long it is.
            if table < Table::Log as usize && table != Table::Journal as usize {
                log += words + 2 * count as usize;
            }
            starts[table + 1] = starts[table] + if table == Table::Log as usize { log } else { words };
        }
        Layout { geometry, capacities, starts, set_words: Bits::words(slots) }
    }

    /// First word of a table.
    pub fn start(&self, table: Table) -> usize {
        self.starts[table as usize]
    }

    /// Words of all.
    pub fn end(&self) -> usize {
        self.starts[TABLES]
    }
}

/// The memory with its layout.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    words: &'a [AtomicU32],
    /// The tables that are read most.
    slots: &'a [[AtomicU32; slot::ROW]],
    derived: &'a [Derived],
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

/// What is derived of one slot.
pub type Derived = [AtomicU32; derived::ROW];

impl<'a> Memory<'a> {
    /// `None` if it is too small or belongs to something else. Puts back what an unfinished step changed, and clears what
    /// is derived. Says whether there was a predecessor.
    pub fn open(image: &Image<'_>, layout: Layout, words: &'a [AtomicU32]) -> Option<(Memory<'a>, bool)> {
        let words = words.get(..layout.end())?;
        let table =
            |table: Table| words.get(layout.start(table)..layout.starts[table as usize + 1]).unwrap_or_default();
        let (slots, derived) = (table(Table::Slots).as_chunks().0, table(Table::Derived).as_chunks().0);
        let sets = Bits::new(table(Table::Sets).get(1..).unwrap_or_default(), layout.geometry.slots());
        let memory = Memory { words, slots, derived, sets, ring: table(Table::Journal), layout };
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
            for at in layout.start(Table::Derived)..layout.start(Table::EntryNext) {
                memory.set(at, 0);
            }
        }
        Some((memory, !fresh))
    }

    /// All facts, and of the entries those that were ever used. Behind them come the log, which is empty between two steps,
    /// and what is derived.
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

    fn clear_stamps(&self) {
        for (table, words) in ROWS.iter().enumerate().take(Table::Log as usize) {
            if table == Table::Journal as usize {
                continue;
            }
            let mut row = self.layout.starts[table];
            while row < self.layout.starts[table + 1] {
                self.set(row, 0);
                row += usize::from(*words);
            }
        }
    }

    /// A fact about the machine.
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
        &self.slots[at.index().min(self.slots.len() - 1)]
    }

    pub fn put_slot(&self, at: SlotId, field: usize, value: u32) {
        self.put(Table::Slots, at.0, field, value);
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
        &self.derived[at.index().min(self.derived.len() - 1)]
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
    #[inline(never)]
    pub fn condition_text(&self, index: u32) -> [u8; FACT_BYTES_MAX] {
        let mut text = [0; FACT_BYTES_MAX];
        self.read_bytes(self.row(Table::Conditions, index) + condition::TEXT, &mut text);
        text
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
    fn bits(&self, set: u32) -> Bits<'a> {
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
            filled.store(filled.load(Ordering::Relaxed) | 1 << set as u32, Ordering::Relaxed);
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

    pub fn dirty_conditions(&self) -> Bits<'a> {
        self.bits_at(self.layout.start(Table::DirtyConditions), self.layout.capacities.conditions)
    }

    /// Rows of transactions that ended and were not taken yet.
    pub fn ended(&self) -> Bits<'a> {
        self.bits_at(self.layout.start(Table::Ended), self.layout.capacities.transactions)
    }

    #[inline(always)]
    fn bits_at(&self, start: usize, count: u32) -> Bits<'a> {
        Bits::new(self.words.get(start..).unwrap_or_default(), count)
    }
}
