//! Transactions: what a command or an event set in motion, and what became of it. A fixed table; those that ended are
//! forgotten oldest first when there is no room.

use super::memory::{Set, derived, entry, machine, transaction};
use super::slot::{state, told};
use super::{Engine, Outcome, Standing};
use crate::graph::{Goal, Phase};
use crate::ident::SlotId;

/// What of a service was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Wanted {
    /// Whatever comes of it, but failure.
    Any = 0,
    /// Up, or done.
    Up = 1,
    /// Down.
    Down = 2,
}

impl Wanted {
    fn reached_by(self, outcome: Outcome) -> bool {
        match self {
            Wanted::Any => !matches!(outcome, Outcome::Failed | Outcome::Superseded),
            Wanted::Up => matches!(outcome, Outcome::Up | Outcome::Done),
            Wanted::Down => outcome == Outcome::Down,
        }
    }

    const fn from_number(number: u32) -> Wanted {
        match number {
            1 => Wanted::Up,
            2 => Wanted::Down,
            _ => Wanted::Any,
        }
    }
}

/// In the count of pending entries: some service found no room.
const OVERFLOWED: u32 = 1 << 31;
const SLOT: u32 = 0xff_ffff;
const WANTED_SHIFT: u32 = 24;
const OUTCOME_SHIFT: u32 = 28;

impl Engine<'_> {
    /// The number of the newest transaction; `published::own::TRANSACTION`.
    pub fn newest_transaction(&self) -> u32 {
        self.memory.machine(machine::TRANSACTION)
    }

    fn row_of(&self, number: u32) -> Option<u32> {
        let rows = self.memory.layout.capacities.transactions;
        (0..rows).find(|row| number != 0 && self.memory.transaction(*row, transaction::NUMBER) == number)
    }

    /// How a transaction stands.
    pub fn transaction(&self, number: u32) -> Standing {
        match self.row_of(number).map(|row| self.memory.transaction(row, transaction::STANDING)) {
            Some(0) => Standing::Running,
            Some(1) => Standing::Done,
            Some(2) => Standing::Failed,
            Some(3) => Standing::Superseded,
            Some(_) | None => Standing::Unknown,
        }
    }

    /// Service `index` (from 0) of a transaction and what became of it; `None` behind the last.
    pub fn transaction_entry(&self, number: u32, index: u32) -> Option<(SlotId, Outcome)> {
        let mut at = self.memory.transaction(self.row_of(number)?, transaction::FIRST);
        for _ in 0..index {
            at = self.memory.entry(at.checked_sub(1)?, entry::NEXT);
        }
        let what = self.memory.entry(at.checked_sub(1)?, entry::WHAT);
        Some((SlotId(what & SLOT), Outcome::from_number(what >> OUTCOME_SHIFT)))
    }

    /// Makes sure that there is room for a transaction of so many services, forgetting what ended longest ago.
    pub(super) fn make_room(&mut self, entries: u32) -> bool {
        let capacities = self.memory.layout.capacities;
        if entries > capacities.entries {
            return false;
        }
        loop {
            let rows = 0..capacities.transactions;
            let free_row = rows.clone().any(|row| self.memory.transaction(row, transaction::NUMBER) == 0);
            if free_row && self.free_entries >= entries {
                return true;
            }
            let newest = self.newest_transaction();
            let oldest = rows
                .filter(|row| {
                    self.memory.transaction(*row, transaction::NUMBER) != 0
                        && self.memory.transaction(*row, transaction::STANDING) != Standing::Running as u32
                })
                .max_by_key(|row| newest.wrapping_sub(self.memory.transaction(*row, transaction::NUMBER)));
            let Some(row) = oldest else { return false };
            self.forget(row);
        }
    }

    fn forget(&mut self, row: u32) {
        let mut at = self.memory.transaction(row, transaction::FIRST);
        while let Some(index) = at.checked_sub(1) {
            at = self.memory.entry(index, entry::NEXT);
            self.memory.put_entry(index, entry::OWNER, 0);
            self.memory.free_entries().insert(index);
            self.free_entries += 1;
        }
        self.memory.put_transaction(row, transaction::FIRST, 0);
        self.memory.put_transaction(row, transaction::NUMBER, 0);
        self.memory.ended().remove(row);
    }

    /// Opens a transaction, if there is room for one; `note` then adds to it until `close_transaction`.
    pub(super) fn open_transaction(&mut self) {
        let rows = self.memory.layout.capacities.transactions;
        let free = (0..rows).find(|row| self.memory.transaction(*row, transaction::NUMBER) == 0);
        let Some(row) = free else { return };
        let number = self.newest_transaction().wrapping_add(1).max(1);
        self.memory.put_machine(machine::TRANSACTION, number);
        self.memory.put_transaction(row, transaction::NUMBER, number);
        self.memory.put_transaction(row, transaction::STANDING, Standing::Running as u32);
        self.memory.put_transaction(row, transaction::FIRST, 0);
        self.memory.put_transaction(row, transaction::PENDING, 0);
        self.open = Some(row);
    }

    /// Adds a service to the open transaction. For a fact the transaction is opened by its first service.
    pub(super) fn note(&mut self, at: SlotId, wanted: Wanted) {
        if self.noting && self.open.is_none() && self.make_room(1) {
            self.open_transaction();
        }
        let Some(row) = self.open else { return };
        if self.is_noted(row, at) {
            return;
        }
        let Some(index) = self.memory.free_entries().pop() else {
            // It cannot be followed any more, and says so rather than that it succeeded.
            let pending = self.memory.transaction(row, transaction::PENDING);
            self.memory.put_transaction(row, transaction::PENDING, pending | OVERFLOWED);
            return;
        };
        self.free_entries = self.free_entries.saturating_sub(1);
        self.memory.put_entry(index, entry::OWNER, row + 1);
        self.memory.put_entry(index, entry::WHAT, at.0 & SLOT | (wanted as u32) << WANTED_SHIFT);
        self.memory.put_entry(index, entry::NEXT, self.memory.transaction(row, transaction::FIRST));
        self.memory.put_transaction(row, transaction::FIRST, index + 1);
        let pending = self.memory.transaction(row, transaction::PENDING);
        self.memory.put_transaction(row, transaction::PENDING, pending + 1);
        self.link_entry(at, index);
        self.memory.insert(Set::Tell, at);
    }

    /// Whether the newest entry of this slot is of this transaction.
    fn is_noted(&self, row: u32, at: SlotId) -> bool {
        match self.memory.derived(at, derived::HEAD).checked_sub(1) {
            Some(index) => self.memory.entry(index, entry::OWNER) == row + 1,
            None => false,
        }
    }

    pub(super) fn link_entry(&mut self, at: SlotId, index: u32) {
        let head = self.memory.derived(at, derived::HEAD);
        self.memory.set(self.memory.layout.entry_next + index as usize, head);
        self.memory.set_derived(at, derived::HEAD, index + 1);
    }

    /// Its number; 0 if there is none.
    pub(super) fn close_transaction(&mut self) -> u32 {
        self.noting = false;
        let Some(row) = self.open.take() else { return 0 };
        if self.memory.transaction(row, transaction::PENDING) & !OVERFLOWED == 0 {
            self.end(row);
        }
        self.memory.transaction(row, transaction::NUMBER)
    }

    /// A command that wants the opposite of what earlier transactions wait for here.
    pub(super) fn supersede(&mut self, at: SlotId, wanted: Wanted) {
        let mut list = self.memory.derived(at, derived::HEAD);
        self.memory.set_derived(at, derived::HEAD, 0);
        while let Some(index) = list.checked_sub(1) {
            list = self.memory.get(self.memory.layout.entry_next + index as usize);
            let its = Wanted::from_number(self.memory.entry(index, entry::WHAT) >> WANTED_SHIFT & 0xf);
            if its == wanted || self.open == self.memory.entry(index, entry::OWNER).checked_sub(1) {
                self.link_entry(at, index);
            } else {
                self.decide(index, Outcome::Superseded);
            }
        }
    }

    fn decide(&mut self, index: u32, outcome: Outcome) {
        let what = self.memory.entry(index, entry::WHAT);
        self.memory.put_entry(index, entry::WHAT, what & !(0xf << OUTCOME_SHIFT) | (outcome as u32) << OUTCOME_SHIFT);
        let Some(row) = self.memory.entry(index, entry::OWNER).checked_sub(1) else { return };
        let pending = self.memory.transaction(row, transaction::PENDING).saturating_sub(1);
        self.memory.put_transaction(row, transaction::PENDING, pending);
        if pending & !OVERFLOWED == 0 && self.open != Some(row) {
            self.end(row);
        }
    }

    fn end(&mut self, row: u32) {
        let overflowed = self.memory.transaction(row, transaction::PENDING) & OVERFLOWED != 0;
        let mut standing = if overflowed { Standing::Failed } else { Standing::Done };
        let mut at = self.memory.transaction(row, transaction::FIRST);
        while let Some(index) = at.checked_sub(1) {
            at = self.memory.entry(index, entry::NEXT);
            let what = self.memory.entry(index, entry::WHAT);
            let outcome = Outcome::from_number(what >> OUTCOME_SHIFT);
            if outcome == Outcome::Superseded {
                standing = Standing::Superseded;
            } else if standing == Standing::Done && !Wanted::from_number(what >> WANTED_SHIFT & 0xf).reached_by(outcome)
            {
                standing = Standing::Failed;
            }
        }
        self.memory.put_transaction(row, transaction::STANDING, standing as u32);
        self.memory.ended().insert(row);
    }

    /// The next transaction that ended since it was last asked: its number.
    pub fn take_ended(&mut self) -> Option<u32> {
        let row = self.memory.ended().pop()?;
        Some(self.memory.transaction(row, transaction::NUMBER))
    }

    /// Looks whether what transactions wait for at this slot is decided.
    pub(super) fn settle_entries(&mut self, at: SlotId) {
        let bits = self.memory.told(at);
        if self.is_template(at) || self.memory.derived(at, derived::HEAD) == 0 {
            return;
        }
        let phase = self.phase(at);
        let moving = bits & (told::UNDER_WAY | told::GOING | told::LEAVING) != 0
            || phase == Phase::Stopping
            || self.memory.state(at) & state::RESTART_WANTED != 0;
        if moving {
            return;
        }
        let mut list = self.memory.derived(at, derived::HEAD);
        self.memory.set_derived(at, derived::HEAD, 0);
        while let Some(index) = list.checked_sub(1) {
            list = self.memory.get(self.memory.layout.entry_next + index as usize);
            let wanted = Wanted::from_number(self.memory.entry(index, entry::WHAT) >> WANTED_SHIFT & 0xf);
            let outcome = match self.goal(at) {
                Goal::Down if wanted == Wanted::Down => Outcome::Down,
                Goal::Down | Goal::Up => Outcome::of_phase(phase),
            };
            self.decide(index, outcome);
        }
    }
}
