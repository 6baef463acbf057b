//! The limit on parallel starts: who is `starting` has a place, who may start and finds none stands in a line.
//!
//! The line is facts: a ring of slots, of which each knows the one before and the one behind it, closed by a row that
//! is no slot's. So each comes and goes at the same small cost, however many wait, and an engine that takes over finds
//! them in their order. Without a limit nobody stands there, and its memory is not touched.

use super::Engine;
use super::memory::{Set, Table, line};
use super::slot::Process;
use crate::graph::Phase;
use crate::ident::SlotId;

impl Engine<'_> {
    /// How many may be `starting` at once; 0 is no limit. To be said before the first step, each time that it is
    /// opened.
    pub fn limit_starts(&mut self, most: u32) {
        (self.starts_max, self.starting) = (most, 0);
        for at in 0..self.closing() {
            self.count_start(0, self.memory.state(SlotId(at)));
        }
    }

    /// How many have a place; 0 where there is no limit.
    pub fn starting(&self) -> u32 {
        self.starting
    }

    /// The facts of a slot have changed: it may have taken a place, or given it up.
    pub(super) fn count_start(&mut self, before: u32, after: u32) {
        if self.starts_max == 0 {
            return;
        }
        let has_place = |bits| Process { bits }.phase(true) == Phase::Starting;
        match (has_place(before), has_place(after)) {
            (false, true) => self.starting += 1,
            (true, false) => {
                self.starting = self.starting.saturating_sub(1);
                self.call_first();
            }
            (true, true) | (false, false) => {}
        }
    }

    /// Whether one that may start has a place, too; else it stands in the line.
    pub(super) fn has_turn(&mut self, at: SlotId) -> bool {
        if self.starts_max == 0 || self.starting < self.starts_max && self.first().is_none_or(|first| first == at) {
            return true;
        }
        let end = self.closing();
        if self.link(at.0, line::NEXT) == 0 {
            let last = match self.link(end, line::BEFORE) {
                0 => end,
                last => last - 1,
            };
            self.tie(last, at.0);
            self.tie(at.0, end);
        }
        false
    }

    /// One that has started, or may not any more, stands there no longer.
    pub(super) fn leave_line(&mut self, at: SlotId) {
        if self.starts_max == 0 {
            return;
        }
        let (before, next) = (self.link(at.0, line::BEFORE), self.link(at.0, line::NEXT));
        if next != 0 {
            self.tie(before - 1, next - 1);
            self.memory.put(Table::Line, at.0, line::NEXT, 0);
            self.memory.put(Table::Line, at.0, line::BEFORE, 0);
        }
        self.call_first();
    }

    /// If there is a place, it is the first one's turn.
    fn call_first(&mut self) {
        if self.starting < self.starts_max
            && let Some(first) = self.first()
        {
            self.memory.insert(Set::Start, first);
        }
    }

    fn first(&self) -> Option<SlotId> {
        let first = self.link(self.closing(), line::NEXT).checked_sub(1)?;
        (first != self.closing()).then_some(SlotId(first))
    }

    /// Where a slot stands: 0 nowhere, else the one before it plus one.
    pub fn place_in_line(&self, at: SlotId) -> u32 {
        self.link(at.0, line::BEFORE)
    }

    /// The row that closes the ring.
    fn closing(&self) -> u32 {
        self.memory.layout.geometry.slots()
    }

    /// A neighbour in the ring plus one; 0 for what is not in it.
    fn link(&self, row: u32, field: usize) -> u32 {
        self.memory.word(Table::Line, row, field)
    }

    fn tie(&mut self, before: u32, next: u32) {
        self.memory.put(Table::Line, before, line::NEXT, next + 1);
        self.memory.put(Table::Line, next, line::BEFORE, before + 1);
    }
}
