//! Where everything lies in the engine's memory: the words of each row, the sets, the tables.

use core::sync::atomic::AtomicU32;

use crate::board::Geometry;
use crate::board::orders::PASS_BYTES_MAX;
use crate::engine::Capacities;
use crate::engine::bits::Bits;
use crate::limits::{FACT_BYTES_MAX, INSTANCE_BYTES_MAX};

/// Words of the header: what the memory belongs to, the step, and the log's length.
pub const HEADER: usize = 32;
pub const LOG_LENGTH: usize = 8;
pub const STEP: usize = 9;
/// Position at which the journal's oldest block begins. No fact: a step that is undone has overwritten what was before.
pub const JOURNAL_BEGIN: usize = 10;
/// Where the journal ends: two seals of three words each, the step that wrote it, the end, the number of the next line.
/// A step writes the older one, its number last, before it is committed; so the facts of every step but an unfinished
/// one are there, at three stores instead of a logged row.
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
    /// 0; while the machine is switched away from what it was booted into: 2 if all that is essential was up then, else
    /// 1.
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
    /// Words.
    pub const ROW: usize = 11;
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
}

/// Facts about the texts of conditions: rows of their own, since the same one comes and goes.
pub mod said {
    use super::FACT_BYTES_MAX;
    /// Words.
    pub const ROW: usize = TEXT + FACT_BYTES_MAX / 4;
    /// NUL-divided words, and a word of zeros behind where there is room; behind that, what an earlier text has left.
    /// The order of attributes is that in which the condition came on, in each row of it.
    pub const TEXT: usize = 1;
}

/// Facts about transactions.
pub mod transaction {
    /// Words.
    pub const ROW: usize = 8;
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
    /// Two words: when it ended.
    pub const ENDED: usize = 6;
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

/// Derived words of a slot: seven pairs of 16-bit counters, then whole words.
pub mod derived {
    /// Words.
    pub const ROW: usize = 11;
    /// `told` bits, see `super::super::slot`.
    pub const TOLD: usize = 7;
    /// Code in the high 4 bits, slot below.
    pub const BLOCKER: usize = 8;
    /// Edge at which the search for a blocker goes on.
    pub const CURSOR: usize = 9;
    /// First entry in a transaction under way plus one; for a template its first instance (index among instances) plus
    /// one.
    pub const HEAD: usize = 10;
}

/// Sets of slots, and of rows by their index: what is to be looked at, and what is to be written. Those that a step
/// works off come first, in the order in which it does: see `Memory::pop_first`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
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
    /// Became ready anew, unseen by its neighbours. A choice: may have to leave what it has chosen; it looks when all
    /// that is told of others is right, and before anybody is told that it is not up any more.
    NewLife,
    /// May be stopped now.
    Stop,
    /// May be started now.
    Start,
    /// Phase, blocker or transactions may have changed.
    Tell,
    /// The same of a bundle: behind its members.
    TellBundle,
    /// The same of what begins something: behind what that has waited for.
    TellBeginning,
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
    /// A bundle's published row is: it is shown behind its members.
    DirtyBundle,
    /// The published row is of one that begins something: as above.
    DirtyBeginning,
    /// Its reasons are.
    DirtyReasons,
    /// Its phase changed.
    DirtyPhase,
    /// Was needed by what the newest command started, and is no longer held down by a person.
    Lifted,
    /// Is named by what this step takes: no instance that is made takes its slot.
    Named,
    /// Rows of conditions that are to be written.
    DirtyCondition,
    /// Rows of transactions that ended and were not taken yet.
    Ended,
    /// Has `pass`: for the number of its text row. Nothing is taken out of this one and the next.
    Passing,
    /// Has `within`: for the number of its latch row.
    Timed,
}
const SETS: u32 = 34;

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
        | 1 << Set::DirtyBundle as u32
        | 1 << Set::DirtyBeginning as u32
        | 1 << Set::DirtyReasons as u32;
    /// All that a step works off.
    pub const STEP: u32 = (1 << Set::UpFlipped as u32) - 1;
    /// What is to be done once in a step, and was: forgotten at its end.
    pub const ONCE: u32 = 1 << Set::Moved as u32 | 1 << Set::Displacing as u32 | 1 << Set::Named as u32;
    /// What triggers listen to.
    pub const FLIPPED: u32 = 1 << Set::UpFlipped as u32 | 1 << Set::FailedFlipped as u32;
}

const _: () = assert!(Set::Passing as u32 <= 32 && Set::Timed as u32 + 1 == SETS, "a bit for each in one word");

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
    /// The text of each.
    Said,
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
    /// For each entry of a transaction under way the slot's next one plus one, for each free one the next free one.
    /// Last, since it is written before it is read, and not touched before.
    EntryNext,
}
const TABLES: usize = 17;
/// Words of a row of each.
pub const ROWS: [u8; TABLES] = [
    machine::ROW as u8,
    slot::ROW as u8,
    text::ROW as u8,
    queued::ROW as u8,
    latch::ROW as u8,
    condition::ROW as u8,
    said::ROW as u8,
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
];

/// Where everything lies. A function of geometry and capacities.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub geometry: Geometry,
    pub capacities: Capacities,
    /// Of each table, and the end.
    pub starts: [u32; TABLES + 1],
    /// Members of a set are below this; what it takes.
    pub members: u32,
    pub set_words: u32,
}

impl Layout {
    pub fn of(geometry: Geometry, capacities: Capacities) -> Layout {
        let slots = geometry.slots();
        let members = slots.max(capacities.conditions).max(capacities.transactions);
        let set_words = Bits::words(members);
        // Behind the last slot there is a row that stands for all that do not exist.
        let counts = [
            1,
            slots + 1,
            geometry.texts,
            geometry.texts,
            geometry.latches(),
            capacities.conditions,
            capacities.conditions,
            capacities.transactions,
            slots + 1,
            slots,
            capacities.journal_words(),
            capacities.entries,
            0,
            slots + 1,
            geometry.instances,
            1 + SETS * set_words,
            capacities.entries,
        ];
        let mut starts = [HEADER as u32; TABLES + 1];
        let mut log = 0;
        for (table, count) in counts.iter().enumerate() {
            let words = *count * u32::from(ROWS[table]);
            // Each row of facts once, with where it stands and how long it is.
            if table < Table::Log as usize && table != Table::Journal as usize {
                log += words + 2 * *count;
            }
            starts[table + 1] = starts[table] + if table == Table::Log as usize { log } else { words };
        }
        Layout { geometry, capacities, starts, members, set_words }
    }

    /// First word of a table.
    pub fn start(&self, table: Table) -> usize {
        self.starts[table as usize] as usize
    }

    /// Words of all.
    pub fn end(&self) -> usize {
        self.starts[TABLES] as usize
    }
}

/// What is derived of one slot.
pub type Derived = [AtomicU32; derived::ROW];
