//! For the tests that prove the engine (`tests/pure/engine/explore.rs`) and for nobody else: where the state lies that
//! decides anything, what is derived of a slot as raw words, and a way to forget what only answers questions.

use core::ops::Range;

use super::memory::{Layout, Table, condition, derived, line, machine, transaction};
use super::{Capacities, Engine};
use crate::board::Geometry;
use crate::ident::SlotId;

/// Words of the memory that tell one state from another, transactions and texts left out: machine and slots, what is
/// derived of slots, and the sets.
pub fn state_ranges(geometry: Geometry, capacities: Capacities) -> [Range<usize>; 3] {
    let layout = Layout::of(geometry, capacities);
    [
        layout.start(Table::Machine)..layout.start(Table::Texts),
        layout.start(Table::Derived)..layout.start(Table::InstanceNext),
        layout.start(Table::InstanceNext)..layout.start(Table::EntryNext),
    ]
}

/// ... and of who waits for a place to start.
pub fn line_range(geometry: Geometry, capacities: Capacities) -> Range<usize> {
    let start = Layout::of(geometry, capacities).start(Table::Line);
    start..start + (geometry.slots() as usize + 1) * line::ROW
}

/// ... and of a condition, but for its text.
pub fn condition_range(geometry: Geometry, capacities: Capacities, index: u32) -> Range<usize> {
    let start = Layout::of(geometry, capacities).start(Table::Conditions) + index as usize * condition::ROW;
    start..start + condition::ROW
}

impl Engine<'_> {
    /// Forgets all transactions, those that are under way too: they decide nothing.
    pub fn forget_transactions(&mut self) {
        self.memory.begin();
        for slot in 0..self.memory.layout.geometry.slots() {
            self.memory.set_derived(SlotId(slot), derived::HEAD, 0);
        }
        for row in 0..self.memory.layout.capacities.transactions {
            if self.memory.transaction(row, transaction::NUMBER) != 0 {
                self.forget(row);
            }
        }
        self.memory.put_machine(machine::ENTRIES, 0);
        (self.free_entries, self.free_entry) = (self.memory.layout.capacities.entries, 0);
        self.memory.commit();
    }

    /// The counters of a slot and what neighbours are told of it, but for events that are due: all that is derived and
    /// decides anything.
    pub fn derived_words(&self, at: SlotId) -> [u32; derived::TOLD + 1] {
        core::array::from_fn(
            |word| if word == derived::TOLD { self.told_bits(at) } else { self.memory.derived(at, word) },
        )
    }
}
