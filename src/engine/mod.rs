//! The engine: one total function from inputs to what each slot's processes are to be. Semantics: `graph/mod.rs`.
//!
//! It has no clock, no heap and makes no system call: the same state, time and input give the same outputs. All its
//! state lies in memory that the caller gives (a private shared mapping that survives the engine's death).
//!
//! How a host uses it:
//!
//! ```text
//! open      finish or undo what a predecessor had begun, recompute what is derived, mark everything dirty
//! step      Report for every slot whose report there is, then Boot (harmless if done before), then what comes
//! after each step: `take_dirty` (text row, order, published row), `take_condition`, `take_ended`, the headers; doorbell
//! sleep     until news, or until `next_deadline`, then `Input::Tick`
//! ```
//!
//! Outputs are state marked dirty, not a queue: nothing overflows, and a host may look later or twice.

mod input;

pub use input::{Capacities, Dirty, Input, Outcome, Refusal, Sender, Standing, Target, Verb};

use core::sync::atomic::AtomicU32;

use crate::board::Geometry;
use crate::board::orders::{OrderRow, PASS_BYTES_MAX};
use crate::board::published::{ConditionRow, PublishedRow};
use crate::database::Image;
use crate::ident::SlotId;
use crate::limits::{INSTANCE_BYTES_MAX, NAME_BYTES_MAX};
use crate::time::Instant;

/// Bytes of a slot's whole name, `NAME@INSTANCE`.
pub const FULL_NAME_BYTES_MAX: usize = NAME_BYTES_MAX + INSTANCE_BYTES_MAX + 1;

/// An instance's name with its length.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    bytes: [u8; FULL_NAME_BYTES_MAX],
    length: usize,
}

impl Name {
    /// The name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }
}

/// The text that goes with an order: the instance's name and the attributes to pass.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Index of the text row.
    pub row: u32,
    /// The instance's name, NUL-padded.
    pub instance: [u8; INSTANCE_BYTES_MAX + 1],
    /// `KEY=VALUE` strings, each ended by NUL, NUL-padded.
    pub pass: [u8; PASS_BYTES_MAX],
}

/// How far the boot has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Boot {
    /// 0 under way (or none), 1 reached, 2 reached and good: `published::own::BOOT`.
    pub state: u32,
    /// When it was reached.
    pub since: Instant,
}

/// Words of memory that an engine over this database takes.
pub fn words_needed(_image: &Image<'_>, _geometry: Geometry, _capacities: Capacities) -> usize {
    0
}

/// The engine over a database and its memory.
#[derive(Debug)]
pub struct Engine<'a> {
    image: Image<'a>,
    geometry: Geometry,
    _memory: &'a [AtomicU32],
}

impl<'a> Engine<'a> {
    /// Over memory of `words_needed` words that is all zero (fresh), or that an engine over the same database used before:
    /// then a step that was not finished is undone, and everything is marked dirty. `None` if the memory is too small or
    /// belongs to another database or version: give zeroed memory then.
    pub fn open(
        image: Image<'a>,
        geometry: Geometry,
        _capacities: Capacities,
        memory: &'a [AtomicU32],
    ) -> Option<Engine<'a>> {
        Some(Engine { image, geometry, _memory: memory })
    }

    /// Takes one input. `Ok` is the number of the transaction, 0 where nothing can be waited for.
    pub fn step(&mut self, _now: Instant, _input: Input<'_>) -> Result<u32, Refusal> {
        Ok(0)
    }

    /// When the engine wants a `Tick`.
    pub fn next_deadline(&self) -> Instant {
        Instant::NEVER
    }

    /// The next slot of which something is to be written, each once.
    pub fn take_dirty(&mut self) -> Option<Dirty> {
        None
    }

    /// The next condition row that is to be written.
    pub fn take_condition(&mut self) -> Option<(u32, ConditionRow)> {
        None
    }

    /// The next transaction that ended since it was last asked: its number.
    pub fn take_ended(&mut self) -> Option<u32> {
        None
    }

    /// What the slot's order row is to be.
    pub fn order(&self, _slot: SlotId) -> OrderRow {
        OrderRow::default()
    }

    /// The text that goes with the slot's order, if any.
    pub fn text(&self, _slot: SlotId) -> Option<Text> {
        None
    }

    /// What the slot's published row is to be.
    pub fn published(&self, _slot: SlotId) -> PublishedRow {
        PublishedRow::default()
    }

    /// Template and instance name (the part behind `@`) of a run-time instance that exists.
    pub fn instance(&self, _slot: SlotId) -> Option<(SlotId, Name)> {
        None
    }

    /// The service or instance of this name, for a command. `NAME@INSTANCE` of a template that exists gives `Target::New`
    /// where there is no such instance yet.
    pub fn target<'n>(&self, name: &'n [u8]) -> Option<Target<'n>> {
        self.image.find(name).map(Target::Slot)
    }

    /// The whole name of a slot, `NAME@INSTANCE` for an instance.
    pub fn name(&self, slot: SlotId) -> Name {
        let mut name = Name { bytes: [0; FULL_NAME_BYTES_MAX], length: 0 };
        let text = self.image.name(slot).as_bytes();
        let length = text.len().min(FULL_NAME_BYTES_MAX);
        name.bytes[..length].copy_from_slice(&text[..length]);
        name.length = length;
        name
    }

    /// The number of the newest transaction; `published::own::TRANSACTION`.
    pub fn newest_transaction(&self) -> u32 {
        0
    }

    /// How a transaction stands.
    pub fn transaction(&self, _number: u32) -> Standing {
        Standing::Unknown
    }

    /// Service `index` (from 0) of a transaction and what became of it; `None` behind the last.
    pub fn transaction_entry(&self, _number: u32, _index: u32) -> Option<(SlotId, Outcome)> {
        None
    }

    /// How far the boot has come.
    pub fn boot(&self) -> Boot {
        Boot::default()
    }

    /// Whether a shutdown is under way; `published::own::SHUTDOWN`.
    pub fn shutting_down(&self) -> bool {
        false
    }

    /// Whether a shutdown has taken everything down: `orders::own::ALL_DOWN`.
    pub fn all_down(&self) -> bool {
        self.geometry.slots() == 0
    }
}
