//! What the engine publishes for readers: phases, goals, holds, and the conditions that are on. A file of the run
//! directory, written by the engine alone; no part of pintle decides anything by it, and it holds no secret.

use core::sync::atomic::AtomicU32;

use super::orders::four;
use super::words::{self, Head, ROWS};
use super::{Geometry, SPARE};
use crate::graph::{Goal, Holds, Phase};
use crate::ident::SlotId;
use crate::limits::{CONDITIONS_MAX, FACT_BYTES_MAX, INSTANCE_BYTES_MAX, LATCHES_MAX};
use crate::time::Instant;

/// "PNTP".
const MAGIC: u32 = u32::from_le_bytes(*b"PNTP");
/// Layout version.
const VERSION: u32 = 5 + SPARE as u32;
/// How it is laid out.
pub const LAYOUT: words::Layout = [MAGIC, VERSION, ROW as u32];

/// Header words of its own.
pub mod own {
    use crate::board::words::header::OWN;
    /// Process id of the engine that wrote last.
    pub const ENGINE_PID: usize = OWN;
    /// Number of the newest transaction.
    pub const TRANSACTION: usize = OWN + 1;
    /// Two words: when boot was reached.
    pub const BOOT_SINCE: usize = OWN + 2;
    /// Boot: 0 under way (or none), 1 reached, 2 reached and good.
    pub const BOOT: usize = OWN + 4;
    /// 1 while a shutdown is under way.
    pub const SHUTDOWN: usize = OWN + 5;
    /// What has the boot hold, as a slot plus one: what was booted, or has been switched to. 0 is nothing.
    pub const CURRENT: usize = OWN + 6;
    /// Heap allocations of the engine since it froze its heap: 0.
    pub const ALLOCATIONS: usize = OWN + 7;
    /// Layout version of the engine's memory.
    pub const ENGINE_LAYOUT: usize = OWN + 8;
}
// They are written as they lie.
const _: () = assert!(own::BOOT_SINCE == own::TRANSACTION + 1 && own::ALLOCATIONS == own::TRANSACTION + 6);

/// Words of a slot's row.
pub const ROW: usize = 8 + SPARE;
/// Words of an instance's name row: template index, then the name.
const NAME_ROW: usize = 1 + (INSTANCE_BYTES_MAX + 1) / 4;
/// Words of a condition's row.
const CONDITION_ROW: usize = CONDITION_TEXT + FACT_BYTES_MAX / 4;
const CONDITION_TEXT: usize = 8;
/// Words of a row of times of latches.
const LATCH_ROW: usize = 2 * LATCHES_MAX;

/// Words of a row of reasons.
const REASONS_ROW: usize = 1 + Reasons::WORDS;

/// What once made a slot's goal what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Event {
    /// Nothing yet.
    #[default]
    Never = 0,
    /// A person started it.
    Started,
    /// A person stopped it.
    Stopped,
    /// A person released it, or started what needs it.
    Released,
    /// A person restarted it.
    Restarted,
    /// Its `start-on` fired; `of` is the leaf.
    Fired,
    /// Its `stop-on` fired; `of` is the leaf.
    StopFired,
    /// The machine was booted into it, or switched to it.
    Booted,
    /// The machine was switched to something else.
    Switched,
    /// Nothing needs it since slot `of` does not.
    Unneeded,
    /// The condition that made the instance went off.
    ConditionOff,
    /// It ended for good.
    Ended,
}

impl Event {
    const ALL: [Event; 12] = [
        Event::Never,
        Event::Started,
        Event::Stopped,
        Event::Released,
        Event::Restarted,
        Event::Fired,
        Event::StopFired,
        Event::Booted,
        Event::Switched,
        Event::Unneeded,
        Event::ConditionOff,
        Event::Ended,
    ];
}

/// Nanoseconds of an eighth of a second.
pub const EIGHTH_NS: u64 = 125_000_000;

/// One of them, with where and when it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reason {
    /// What.
    pub event: Event,
    /// What it is of, below 2^24: a slot, or a node of an expression; of what a person said, the user id, or `NOBODY`.
    pub of: u32,
    /// The transaction; 0 for none.
    pub transaction: u32,
    /// When, in eighths of a second of `time::Instant`: there are 17 years of them.
    pub eighths: u32,
}

impl Reason {
    /// Words of one.
    pub const WORDS: usize = 3;
    /// The user id of nobody that is known; greater ones have no room.
    pub const NOBODY: u32 = 0xff_ffff;

    /// In words.
    pub const fn to_words(self) -> [u32; Reason::WORDS] {
        [(self.event as u32) << 24 | self.of & 0xff_ffff, self.transaction, self.eighths]
    }

    /// See `to_words`.
    pub fn from_words(words: [u32; Reason::WORDS]) -> Reason {
        let event = Event::ALL.get((words[0] >> 24) as usize).copied().unwrap_or_default();
        Reason { event, of: words[0] & 0xff_ffff, transaction: words[1], eighths: words[2] }
    }
}

/// The newest reasons of a slot: what a person said, what a trigger did, and what else took its goal or gave it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reasons {
    /// In this order.
    pub all: [Reason; 3],
    /// Which of them is the newest.
    pub newest: u32,
}

impl Reasons {
    /// Words of a slot's.
    pub const WORDS: usize = 3 * Reason::WORDS + 1;
    /// What a person said.
    pub const PERSON: usize = 0;
    /// What a trigger did.
    pub const TRIGGER: usize = 1;
    /// What else.
    pub const OTHER: usize = 2;

    /// The newest.
    pub fn newest(&self) -> Reason {
        self.all.get(self.newest as usize).copied().unwrap_or_default()
    }

    /// Of words.
    pub fn from_words(words: &[u32; Reasons::WORDS]) -> Reasons {
        let one = |at: usize| Reason::from_words([words[at], words[at + 1], words[at + 2]]);
        Reasons { all: [one(0), one(Reason::WORDS), one(2 * Reason::WORDS)], newest: words[Reasons::WORDS - 1] }
    }
}

/// What keeps a slot from moving towards its goal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Blocker {
    /// Nothing: it is where it is wished.
    #[default]
    Nothing,
    /// A start waits for this one to be up (`needs`, `binds`, `needs-to-start`).
    NeedsUp(SlotId),
    /// A start waits until this one is no longer under way (`wants`, `after`).
    Settles(SlotId),
    /// Its `while` does not hold.
    WhileOff,
    /// A mark keeps it down (`Holds::MARK_*`).
    Marked,
    /// A start waits for this conflicting one to be down.
    Conflict(SlotId),
    /// A stop waits for this one, which needs it, to be down.
    DependentStops(SlotId),
    /// A start waits for one of the limited start slots.
    StartLimit,
    /// Ordered: the supervisor is at it.
    Ordered,
    /// Nothing: it is a choice, and this is what it has chosen.
    Chosen(SlotId),
}

impl Blocker {
    /// Code and slot.
    pub const fn to_words(self) -> (u32, u32) {
        match self {
            Blocker::Nothing => (0, 0),
            Blocker::NeedsUp(slot) => (1, slot.0),
            Blocker::Settles(slot) => (2, slot.0),
            Blocker::WhileOff => (3, 0),
            Blocker::Marked => (4, 0),
            Blocker::Conflict(slot) => (5, slot.0),
            Blocker::DependentStops(slot) => (6, slot.0),
            Blocker::StartLimit => (7, 0),
            Blocker::Ordered => (8, 0),
            Blocker::Chosen(slot) => (9, slot.0),
        }
    }

    /// See `to_words`; `Nothing` where there is no such code.
    pub const fn from_words(code: u32, slot: u32) -> Blocker {
        match code {
            1 => Blocker::NeedsUp(SlotId(slot)),
            2 => Blocker::Settles(SlotId(slot)),
            3 => Blocker::WhileOff,
            4 => Blocker::Marked,
            5 => Blocker::Conflict(SlotId(slot)),
            6 => Blocker::DependentStops(SlotId(slot)),
            7 => Blocker::StartLimit,
            8 => Blocker::Ordered,
            9 => Blocker::Chosen(SlotId(slot)),
            _ => Blocker::Nothing,
        }
    }
}

/// One slot as the engine sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PublishedRow {
    /// What it is.
    pub phase: Phase,
    /// What is wished.
    pub goal: Goal,
    /// Why.
    pub holds: Holds,
    /// When the phase last changed.
    pub since: Instant,
    /// What keeps it from its goal.
    pub blocker: Blocker,
    /// Whether this slot exists: false for an instance slot that is free.
    pub exists: bool,
    /// Latches of its `start-on` that are set, a bit for each leaf.
    pub latches: u32,
    /// Whether another run follows the one that is under way.
    pub queued: bool,
}

/// A condition as readers see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConditionRow {
    /// 1 on, 2 changing; 0 is a free row.
    pub value: u32,
    /// When it came on.
    pub since: Instant,
    /// Grows each time it comes on.
    pub generation: u32,
    /// Who set it: pid and uid of the sender.
    pub pid: u32,
    /// See `pid`.
    pub uid: u32,
    /// Held by a lease: off when the sender ends.
    pub leased: bool,
    /// The name and `KEY=VALUE` words, divided by NUL; zeros behind them.
    pub text: [u8; FACT_BYTES_MAX],
}

impl ConditionRow {
    /// The name, then each `KEY=VALUE`.
    pub fn words(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let end = self.text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.text[..end].split(|byte| *byte == 0)
    }
}

/// Words that the published file takes.
pub const fn words(geometry: &Geometry) -> usize {
    ROWS + geometry.slots() as usize * ROW
        + geometry.instances as usize * NAME_ROW
        + CONDITIONS_MAX as usize * CONDITION_ROW
        + geometry.latches() as usize * LATCH_ROW
        + geometry.slots() as usize * REASONS_ROW
}

/// The published file, whoever looks. Only the engine calls what writes.
#[derive(Clone, Copy, Debug)]
pub struct Published<'a> {
    head: &'a Head,
    words: &'a [AtomicU32],
    geometry: Geometry,
}

impl<'a> Published<'a> {
    /// Over `words(geometry)` words.
    pub fn new(words: &'a [AtomicU32], geometry: Geometry) -> Published<'a> {
        Published { head: words::head(words), words, geometry }
    }

    /// Fills in the header of a fresh mapping.
    pub fn format(&self) {
        words::format(self.words, LAYOUT, &self.geometry);
    }

    /// The words of the header.
    pub fn head(&self) -> &'a Head {
        self.head
    }

    /// The row of a slot.
    pub fn read(&self, slot: SlotId) -> Option<PublishedRow> {
        if slot.0 >= self.geometry.slots() {
            return None;
        }
        let mut row = [0; ROW];
        if !words::read_row(self.words, ROWS + slot.index() * ROW, &mut row) {
            return None;
        }
        Some(PublishedRow {
            phase: Phase::from_number(row[1] & 0xff),
            goal: if row[1] >> 8 & 1 == 1 { Goal::Up } else { Goal::Down },
            exists: row[1] >> 9 & 1 == 1,
            holds: Holds(row[2]),
            since: Instant(u64::from(row[3]) | u64::from(row[4]) << 32),
            blocker: Blocker::from_words(row[5], row[6]),
            latches: row[7],
            queued: row[1] >> 10 & 1 == 1,
        })
    }

    /// The same; a free row for `None`.
    #[inline(never)]
    pub fn get(&self, slot: SlotId) -> PublishedRow {
        self.read(slot).unwrap_or_default()
    }

    /// Writes the row of a slot.
    pub fn write(&self, slot: SlotId, published: &PublishedRow) {
        if slot.0 >= self.geometry.slots() {
            return;
        }
        let (code, on) = published.blocker.to_words();
        let is = published.phase as u32
            | (published.goal as u32) << 8
            | u32::from(published.exists) << 9
            | u32::from(published.queued) << 10;
        let since = published.since.0;
        let row = [is, published.holds.0, since as u32, (since >> 32) as u32, code, on, published.latches];
        words::write_row(self.words, ROWS + slot.index() * ROW, &row);
    }

    fn reasons_row(&self, slot: SlotId) -> Option<usize> {
        let behind = words(&self.geometry) - self.geometry.slots() as usize * REASONS_ROW;
        (slot.0 < self.geometry.slots()).then_some(behind + slot.index() * REASONS_ROW)
    }

    /// The reasons of a slot.
    pub fn read_reasons(&self, slot: SlotId) -> Reasons {
        let mut row = [0; REASONS_ROW];
        let read = self.reasons_row(slot).is_some_and(|at| words::read_row(self.words, at, &mut row));
        match row.split_first_chunk::<1>().and_then(|(_, reasons)| reasons.try_into().ok()) {
            Some(reasons) if read => Reasons::from_words(reasons),
            Some(_) | None => Reasons::default(),
        }
    }

    /// Writes them.
    pub fn write_reasons(&self, slot: SlotId, reasons: &[u32; Reasons::WORDS]) {
        if let Some(at) = self.reasons_row(slot) {
            words::write_row(self.words, at, reasons);
        }
    }

    fn name_row(&self, slot: SlotId) -> Option<usize> {
        let instance = slot.0.checked_sub(self.geometry.services)?;
        (instance < self.geometry.instances)
            .then(|| ROWS + self.geometry.slots() as usize * ROW + instance as usize * NAME_ROW)
    }

    /// Writes the template and the name of an instance slot.
    pub fn write_instance(&self, slot: SlotId, template: SlotId, name: &[u8]) {
        let Some(at) = self.name_row(slot) else { return };
        words::store(self.words, at, template.0);
        for word in 0..NAME_ROW - 1 {
            words::store(self.words, at + 1 + word, four(&name[..name.len().min(INSTANCE_BYTES_MAX)], word));
        }
    }

    /// The template of an instance slot, and its name (NUL-padded).
    pub fn read_instance(&self, slot: SlotId) -> Option<(SlotId, [u8; INSTANCE_BYTES_MAX + 1])> {
        let at = self.name_row(slot)?;
        let mut name = [0; INSTANCE_BYTES_MAX + 1];
        for word in 0..NAME_ROW - 1 {
            name[word * 4..word * 4 + 4].copy_from_slice(&words::load(self.words, at + 1 + word).to_le_bytes());
        }
        name[INSTANCE_BYTES_MAX] = 0;
        Some((SlotId(words::load(self.words, at)), name))
    }

    /// Where the time of a latch is, in a row of `Geometry::latches`. A reader looks at it after the slot's row.
    fn latch_at(&self, row: u32, latch: u32) -> usize {
        self.condition_at(CONDITIONS_MAX) + row as usize * LATCH_ROW + latch as usize * 2
    }

    /// When a latch of `start-on` was set last.
    pub fn read_latch(&self, row: u32, latch: u32) -> Instant {
        Instant(words::load_u64(self.words, self.latch_at(row, latch)))
    }

    /// Writes when a latch was set last.
    pub fn write_latch(&self, row: u32, latch: u32, set: Instant) {
        words::store_u64(self.words, self.latch_at(row, latch), set.0);
    }

    fn condition_at(&self, index: u32) -> usize {
        ROWS + self.geometry.slots() as usize * ROW
            + self.geometry.instances as usize * NAME_ROW
            + index as usize * CONDITION_ROW
    }

    /// Condition row `index`, below `CONDITIONS_MAX`.
    pub fn read_condition(&self, index: u32) -> Option<ConditionRow> {
        if index >= CONDITIONS_MAX {
            return None;
        }
        let mut row = [0; CONDITION_ROW];
        if !words::read_row(self.words, self.condition_at(index), &mut row) {
            return None;
        }
        let mut text = [0; FACT_BYTES_MAX];
        for word in 0..FACT_BYTES_MAX / 4 {
            text[word * 4..word * 4 + 4].copy_from_slice(&row[CONDITION_TEXT + word].to_le_bytes());
        }
        Some(ConditionRow {
            value: row[1],
            since: Instant(u64::from(row[2]) | u64::from(row[3]) << 32),
            generation: row[4],
            pid: row[5],
            uid: row[6],
            leased: row[7] != 0,
            text,
        })
    }

    /// Writes condition row `index`.
    pub fn write_condition(&self, index: u32, condition: &ConditionRow) {
        if index >= CONDITIONS_MAX {
            return;
        }
        let since = condition.since.0;
        let mut row = [0; CONDITION_ROW];
        row[1..CONDITION_TEXT].copy_from_slice(&[
            condition.value,
            since as u32,
            (since >> 32) as u32,
            condition.generation,
            condition.pid,
            condition.uid,
            u32::from(condition.leased),
        ]);
        for (word, to) in row[CONDITION_TEXT..].iter_mut().enumerate() {
            *to = four(&condition.text, word);
        }
        words::write_row(self.words, self.condition_at(index), &row[1..]);
    }
}
