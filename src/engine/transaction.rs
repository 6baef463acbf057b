//! Transactions: what a command or an event set in motion, and what became of it. A fixed table; those that ended are
//! forgotten oldest first when there is no room. Which services are in one, and when it ends: `graph/mod.rs`.
//!
//! All of it is facts, noted in the step in which something begins to move: an engine that takes over knows as much.

use core::sync::atomic::Ordering;

use super::journal::Kind;
use super::memory::{Set, Table, condition, derived, entry, machine, transaction};
use super::slot::{Counter, state, told};
use super::{Engine, Outcome, Standing, UNFOLLOWED};
use crate::graph::{Goal, Phase};
use crate::ident::SlotId;
use crate::limits::TRANSACTION_ENTRIES_MAX;
use crate::time::Instant;

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
    /// Nothing of it; but if it failed, nothing else may be left waiting.
    Pulled = 3,
    /// Up, or done, by the run that follows the one under way.
    Next = 4,
}

impl Wanted {
    fn reached_by(self, outcome: Outcome) -> bool {
        match self {
            Wanted::Any => outcome != Outcome::Failed,
            Wanted::Up | Wanted::Next => matches!(outcome, Outcome::Up | Outcome::Done),
            Wanted::Down => outcome == Outcome::Down,
            Wanted::Pulled => true,
        }
    }

    const fn is_particular(self) -> bool {
        matches!(self, Wanted::Up | Wanted::Down | Wanted::Next)
    }

    /// Which run does not matter.
    const fn in_the_end(self) -> Wanted {
        if matches!(self, Wanted::Next) { Wanted::Up } else { self }
    }

    const fn of_entry(what: u32) -> Wanted {
        match what >> WANTED_SHIFT & 0xf {
            1 => Wanted::Up,
            2 => Wanted::Down,
            3 => Wanted::Pulled,
            4 => Wanted::Next,
            _ => Wanted::Any,
        }
    }
}

/// Which transactions are the cause of what moves in this step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// None.
    Nothing,
    /// The open one.
    Command,
    /// The open one, of a restart: what goes down with it is to come back.
    Restart,
    /// The open one, of a switch (none, of a shutdown): whoever wanted otherwise of what turns is told so.
    Switch,
    /// The open one, which the first service opens.
    Fact,
    /// All in which this service is not decided.
    Report(SlotId),
    /// The open one, which the first service opens as a child of this step's.
    Derived,
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
        if number == 0 { None } else { self.row_of_number(number) }
    }

    /// The transaction of which this one is a child; 0 if it is nobody's.
    pub fn parent(&self, number: u32) -> u32 {
        self.row_of(number).map_or(0, |row| self.memory.transaction(row, transaction::PARENT))
    }

    /// The newest transaction under way in which this slot is not decided; 0 if there is none.
    pub(super) fn transaction_of(&self, at: SlotId) -> u32 {
        if self.memory.near(at)[derived::HEAD].load(Ordering::Relaxed) == 0 || self.memory.is_told(at, told::TEMPLATE) {
            return 0;
        }
        self.find_entry(at, &Self::is_pending).map_or(0, |index| self.number_of_entry(index))
    }

    /// The open transaction, else the one in which this slot is not decided.
    pub(super) fn transaction_here(&self, at: SlotId) -> u32 {
        match self.open {
            Some(row) => self.memory.transaction(row, transaction::NUMBER),
            None => self.transaction_of(at),
        }
    }

    /// When a transaction ended that has: what its services have been for longer, they were then.
    pub fn end_of(&self, number: u32) -> Instant {
        self.row_of(number).map_or(Instant(0), |row| self.memory.time(Table::Transactions, row, transaction::ENDED))
    }

    /// The row of this number; 0 is that of free rows.
    fn row_of_number(&self, number: u32) -> Option<u32> {
        let rows = self.memory.layout.capacities.transactions;
        (0..rows).find(|row| self.memory.transaction(*row, transaction::NUMBER) == number)
    }

    /// How a transaction stands.
    pub fn transaction(&self, number: u32) -> Standing {
        match self.row_of(number).map(|row| self.memory.transaction(row, transaction::STANDING)) {
            Some(0) => Standing::Running,
            Some(1) => Standing::Done,
            Some(2) => Standing::Failed,
            Some(3) => Standing::Superseded,
            Some(4) => Standing::Full,
            None if number == UNFOLLOWED => Standing::Full,
            Some(_) | None => Standing::Unknown,
        }
    }

    /// The next service of a transaction and what became of it. `cursor` is 0 for the first; `None` behind the last.
    pub fn transaction_next(&self, number: u32, cursor: &mut u32) -> Option<(SlotId, Outcome)> {
        let row = self.row_of(number)?;
        let next = match cursor.checked_sub(1) {
            None => self.memory.transaction(row, transaction::FIRST),
            Some(told) if self.memory.entry(told, entry::OWNER) == row + 1 => self.memory.entry(told, entry::NEXT),
            Some(_) => 0,
        };
        let what = self.memory.entry(next.checked_sub(1)?, entry::WHAT);
        *cursor = next;
        Some((SlotId(what & SLOT), Outcome::from_number(what >> OUTCOME_SHIFT)))
    }

    /// Makes sure that there is room for a transaction of so many services, forgetting what ended longest ago; also
    /// where there is room, but what ended takes more memory than it is worth.
    pub(super) fn make_room(&mut self, entries: u32) -> bool {
        while self.row_of_number(0).is_none() || self.free_entries < entries {
            if !self.forget_oldest() {
                return false;
            }
        }
        let remembered = TRANSACTION_ENTRIES_MAX.max(self.memory.layout.geometry.slots());
        while self.memory.layout.capacities.entries - self.free_entries > remembered && self.memory.is_empty(Set::Ended)
        {
            if !self.forget_oldest() {
                break;
            }
        }
        true
    }

    /// Forgets the oldest that has ended, if any has; one of which the end was not taken yet only when there is no
    /// other: who waits for it would never be told.
    fn forget_oldest(&mut self) -> bool {
        let (newest, ended) = (self.newest_transaction(), self.memory.bits(Set::Ended as u32));
        let mut oldest = None;
        for row in 0..self.memory.layout.capacities.transactions {
            let number = self.memory.transaction(row, transaction::NUMBER);
            let age = (!ended.contains(row), newest.wrapping_sub(number));
            if number != 0
                && oldest.is_none_or(|(most, _)| age > most)
                && self.memory.transaction(row, transaction::STANDING) != Standing::Running as u32
            {
                oldest = Some((age, row));
            }
        }
        if let Some((_, row)) = oldest {
            self.forget(row);
        }
        oldest.is_some()
    }

    /// For a used entry of no transaction.
    pub(super) fn release_entry(&mut self, index: u32) {
        self.memory.set(self.memory.row(Table::EntryNext, index), self.free_entry);
        self.free_entry = index + 1;
        self.free_entries += 1;
    }

    /// One that is free, of which there are some; those that were used before first.
    fn take_entry(&mut self) -> u32 {
        self.free_entries -= 1;
        match self.free_entry.checked_sub(1) {
            Some(index) => {
                self.free_entry = self.next_entry(index);
                index
            }
            None => {
                let index = self.memory.machine(machine::ENTRIES);
                self.memory.put_machine(machine::ENTRIES, index + 1);
                index
            }
        }
    }

    pub(super) fn forget(&mut self, row: u32) {
        let mut at = self.memory.transaction(row, transaction::FIRST);
        while let Some(index) = at.checked_sub(1) {
            at = self.memory.entry(index, entry::NEXT);
            self.memory.put_entry(index, entry::OWNER, 0);
            self.release_entry(index);
        }
        self.memory.put_transaction(row, transaction::FIRST, 0);
        self.memory.put_transaction(row, transaction::NUMBER, 0);
        self.memory.remove(Set::Ended, SlotId(row));
    }

    /// Opens a transaction, if there is room for one; it is added to until `close_transaction`.
    pub(super) fn open_transaction(&mut self) {
        let Some(row) = self.row_of_number(0) else { return };
        let number = self.newest_transaction().wrapping_add(1).max(1);
        self.memory.put_machine(machine::TRANSACTION, number);
        self.memory.put_transaction(row, transaction::NUMBER, number);
        self.memory.put_transaction(row, transaction::STANDING, Standing::Running as u32);
        self.memory.put_transaction(row, transaction::FIRST, 0);
        self.memory.put_transaction(row, transaction::PENDING, 0);
        let parent = if self.cause == Cause::Derived { self.parent } else { 0 };
        self.memory.put_transaction(row, transaction::PARENT, parent);
        self.open = Some(row);
        self.jot_within(number);
        self.jot(Kind::Begun, 0, SlotId(0), &[number, parent], b"");
    }

    /// Whether children under way leave the others a quarter of the rows.
    fn has_room_for_child(&self) -> bool {
        let rows = self.memory.layout.capacities.transactions;
        let mut running = 0;
        for row in 0..rows {
            let [number, standing] =
                [transaction::NUMBER, transaction::STANDING].map(|field| self.memory.transaction(row, field));
            running += u32::from(number != 0 && standing == Standing::Running as u32);
        }
        running < rows - rows / 4
    }

    /// Whether three quarters of the rows of commands, of conditions or of instances are in use: whoever may not do
    /// everything leaves the rest to who may.
    pub fn is_crowded(&self) -> bool {
        let capacities = self.memory.layout.capacities;
        let is_on = |index: &u32| self.memory.condition(*index, condition::VALUE) != 0;
        let on = (0..capacities.conditions).filter(is_on).count() as u32;
        let instances = self.memory.layout.geometry.slots() - self.services();
        let no_instances = instances > 0 && self.free_instances() <= instances / 4;
        !self.has_room_for_child() || on > capacities.conditions / 4 * 3 || no_instances
    }

    /// What is taken now is a derived event, or what `up()` or `failed()` of something has become: what comes of it is
    /// a child. Whatever was open gets no more services by this step.
    pub(super) fn begin_child(&mut self) {
        let number = self.close_open();
        if self.cause != Cause::Derived {
            self.number = number;
            if number != 0 && number != UNFOLLOWED {
                self.parent = number;
            }
        }
        self.cause = Cause::Derived;
    }

    /// A service that the command names or that hears the fact.
    pub(super) fn note(&mut self, at: SlotId, wanted: Wanted) {
        self.note_with(at, wanted, 0);
    }

    /// A service that what this step takes moves. It leaves room for those that commands name.
    pub(super) fn join(&mut self, at: SlotId, wanted: Wanted) {
        self.note_with(at, wanted, self.memory.layout.capacities.entries / 8);
    }

    fn note_with(&mut self, at: SlotId, wanted: Wanted, left: u32) {
        match self.cause {
            Cause::Nothing => return,
            Cause::Report(by) => {
                let mut list = self.memory.derived(by, derived::HEAD);
                while let Some(index) = list.checked_sub(1) {
                    list = self.next_entry(index);
                    if self.is_pending(index)
                        && let Some(row) = self.memory.entry(index, entry::OWNER).checked_sub(1)
                    {
                        self.note_in(row, at, wanted, left);
                    }
                }
                return;
            }
            Cause::Fact | Cause::Derived => {
                if self.open.is_none() && !self.unfollowed {
                    let may = self.cause == Cause::Fact || self.has_room_for_child();
                    self.unfollowed = !may || !self.make_room(1);
                    if may {
                        self.open_transaction();
                    }
                }
            }
            Cause::Command | Cause::Restart | Cause::Switch => {}
        }
        if let Some(row) = self.open {
            self.note_in(row, at, wanted, left);
        }
    }

    /// Adds a service to a transaction, or opens it there again. Afterwards `left` entries are free.
    fn note_in(&mut self, row: u32, at: SlotId, wanted: Wanted, left: u32) {
        if let Some(index) = self.entry_of(row, at) {
            let what = self.memory.entry(index, entry::WHAT);
            if what >> OUTCOME_SHIFT == Outcome::Superseded as u32 {
                return;
            }
            let before = Wanted::of_entry(what);
            let wanted = if wanted.is_particular() && !before.is_particular() { wanted } else { before };
            self.put_what(index, at, wanted, Outcome::Pending);
            if what >> OUTCOME_SHIFT != 0 {
                self.add_pending(row, at);
            }
            return;
        }
        while self.free_entries <= left && self.forget_oldest() {}
        if self.free_entries <= left {
            // It cannot be followed any more, and says so rather than that it succeeded.
            let pending = self.memory.transaction(row, transaction::PENDING);
            self.memory.put_transaction(row, transaction::PENDING, pending | OVERFLOWED);
            return;
        }
        let index = self.take_entry();
        self.memory.put_entry(index, entry::OWNER, row + 1);
        self.put_what(index, at, wanted, Outcome::Pending);
        self.memory.put_entry(index, entry::NEXT, self.memory.transaction(row, transaction::FIRST));
        self.memory.put_transaction(row, transaction::FIRST, index + 1);
        self.link_entry(at, index);
        self.add_pending(row, at);
    }

    fn put_what(&mut self, index: u32, at: SlotId, wanted: Wanted, outcome: Outcome) {
        let what = at.0 & SLOT | (wanted as u32) << WANTED_SHIFT | (outcome as u32) << OUTCOME_SHIFT;
        self.memory.put_entry(index, entry::WHAT, what);
    }

    fn add_pending(&mut self, row: u32, at: SlotId) {
        let pending = self.memory.transaction(row, transaction::PENDING);
        self.memory.put_transaction(row, transaction::PENDING, pending + 1);
        self.memory.insert(Set::Tell, at);
    }

    /// The entry of a slot in a transaction that is under way.
    fn entry_of(&self, row: u32, at: SlotId) -> Option<u32> {
        self.find_entry(at, &|engine, index| engine.memory.entry(index, entry::OWNER) == row + 1)
    }

    /// Whether a transaction waits for this slot.
    pub(super) fn is_awaited(&self, at: SlotId) -> bool {
        self.find_entry(at, &Self::is_pending).is_some()
    }

    fn is_pending(&self, index: u32) -> bool {
        self.memory.entry(index, entry::WHAT) >> OUTCOME_SHIFT == Outcome::Pending as u32
    }

    /// The first of the slot's entries, in transactions that are under way, of which this is so.
    fn find_entry(&self, at: SlotId, is: &dyn Fn(&Self, u32) -> bool) -> Option<u32> {
        let mut list = self.memory.derived(at, derived::HEAD);
        while let Some(index) = list.checked_sub(1) {
            if is(self, index) {
                return Some(index);
            }
            list = self.next_entry(index);
        }
        None
    }

    /// The slot's next entry plus one.
    fn next_entry(&self, index: u32) -> u32 {
        self.memory.word(Table::EntryNext, index, 0)
    }

    /// Into the list of its slot: the newest transaction comes first, whichever was joined first, so that an engine
    /// that takes over has the same list.
    pub(super) fn link_entry(&mut self, at: SlotId, index: u32) {
        let number = self.number_of_entry(index);
        let is_older = |engine: &Self, other: u32| engine.number_of_entry(other).wrapping_sub(number) as i32 <= 0;
        let next = self.find_entry(at, &is_older).map_or(0, |other| other + 1);
        self.memory.set(self.memory.row(Table::EntryNext, index), next);
        match self.find_entry(at, &|engine, before| engine.next_entry(before) == next) {
            Some(before) => self.memory.set(self.memory.row(Table::EntryNext, before), index + 1),
            None => self.memory.set_derived(at, derived::HEAD, index + 1),
        }
    }

    /// The number of its transaction.
    fn number_of_entry(&self, index: u32) -> u32 {
        let owner = self.memory.entry(index, entry::OWNER);
        owner.checked_sub(1).map_or(0, |row| self.memory.transaction(row, transaction::NUMBER))
    }

    /// Out of the list of its slot, which is as long as there are transactions under way that list it.
    fn unlink_entry(&mut self, at: SlotId, index: u32) {
        let next = self.next_entry(index);
        match self.find_entry(at, &|engine, before| engine.next_entry(before) == index + 1) {
            Some(before) => self.memory.set(self.memory.row(Table::EntryNext, before), next),
            None => self.memory.set_derived(at, derived::HEAD, next),
        }
    }

    /// The number of the transaction that this step's input has opened; 0 if there is none.
    pub(super) fn close_transaction(&mut self) -> u32 {
        let number = self.close_open();
        let derived = core::mem::replace(&mut self.cause, Cause::Nothing) == Cause::Derived;
        let own = core::mem::take(&mut self.number);
        self.parent = 0;
        if derived { own } else { number }
    }

    /// Closes the open transaction, if there is one; gives its number.
    fn close_open(&mut self) -> u32 {
        let unfollowed = core::mem::take(&mut self.unfollowed);
        let Some(row) = self.open.take() else { return if unfollowed { UNFOLLOWED } else { 0 } };
        if self.memory.transaction(row, transaction::PENDING) & !OVERFLOWED == 0 {
            self.end(row);
        }
        self.memory.transaction(row, transaction::NUMBER)
    }

    /// A command that wants the opposite of what earlier transactions wait for here.
    pub(super) fn supersede(&mut self, at: SlotId, wanted: Wanted) {
        self.decide_some(at, &|engine, index| {
            let its = Wanted::of_entry(engine.memory.entry(index, entry::WHAT)).in_the_end();
            let own = engine.open == engine.memory.entry(index, entry::OWNER).checked_sub(1);
            if its == wanted || !its.is_particular() || own { None } else { Some(Outcome::Superseded) }
        });
    }

    /// Decides those of the slot's open entries of which an outcome is known.
    fn decide_some(&mut self, at: SlotId, outcome: &dyn Fn(&Self, u32) -> Option<Outcome>) {
        let mut list = self.memory.derived(at, derived::HEAD);
        while let Some(index) = list.checked_sub(1) {
            // With it the transaction may end, and takes no other entry out of this list.
            list = self.next_entry(index);
            if self.is_pending(index)
                && let Some(outcome) = outcome(self, index)
            {
                self.decide(index, outcome);
            }
        }
    }

    /// A run has ended, and another follows: what waited for the one is decided, what waits for the other waits for it
    /// now.
    pub(super) fn end_run(&mut self, at: SlotId, outcome: Outcome) {
        self.decide_some(at, &|engine, index| {
            let wanted = Wanted::of_entry(engine.memory.entry(index, entry::WHAT));
            if wanted == Wanted::Next { None } else { Some(outcome) }
        });
        let mut list = self.memory.derived(at, derived::HEAD);
        while let Some(index) = list.checked_sub(1) {
            list = self.next_entry(index);
            if self.is_pending(index) {
                self.put_what(index, at, Wanted::Up, Outcome::Pending);
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
        let (mut missed, mut superseded, mut pulled_failed, mut left_waiting) = (false, false, false, false);
        let mut at = self.memory.transaction(row, transaction::FIRST);
        while let Some(index) = at.checked_sub(1) {
            at = self.memory.entry(index, entry::NEXT);
            let what = self.memory.entry(index, entry::WHAT);
            self.unlink_entry(SlotId(what & SLOT), index);
            let (wanted, outcome) = (Wanted::of_entry(what), Outcome::from_number(what >> OUTCOME_SHIFT));
            let pulled = wanted == Wanted::Pulled;
            superseded |= outcome == Outcome::Superseded;
            missed |= !wanted.reached_by(outcome);
            pulled_failed |= pulled && matches!(outcome, Outcome::Failed | Outcome::Skipped);
            left_waiting |= !pulled && outcome == Outcome::Waiting;
        }
        let standing = match (superseded, missed || pulled_failed && left_waiting) {
            (true, _) => Standing::Superseded,
            (false, true) => Standing::Failed,
            (false, false) if overflowed => Standing::Full,
            (false, false) => Standing::Done,
        };
        self.memory.put_transaction(row, transaction::STANDING, standing as u32);
        self.memory.put_time(Table::Transactions, row, transaction::ENDED, self.now);
        self.memory.insert(Set::Ended, SlotId(row));
        let number = self.memory.transaction(row, transaction::NUMBER);
        self.jot_within(number);
        self.jot(Kind::Ended, standing as u32, SlotId(0), &[number], b"");
    }

    /// The next transaction that ended since it was last asked: its number.
    pub fn take_ended(&mut self) -> Option<u32> {
        let SlotId(row) = self.memory.pop(Set::Ended)?;
        Some(self.memory.transaction(row, transaction::NUMBER))
    }

    /// Looks whether what transactions wait for at this slot is decided.
    pub(super) fn settle_entries(&mut self, at: SlotId, phase: Phase) {
        let bits = self.memory.told(at);
        if bits & told::TEMPLATE != 0 || self.memory.derived(at, derived::HEAD) == 0 {
            return;
        }
        let moving = bits & (told::UNDER_WAY | told::GOING | told::LEAVING) != 0
            || phase == Phase::Stopping
            || self.memory.state(at) & state::RESTART_WANTED != 0
            // A bundle that is up restarts with its members.
            || bits & told::BUNDLE != 0 && bits & told::GOAL != 0 && self.memory.counter(at, Counter::Unsettled) > 0;
        let stuck = self.process(at).stuck();
        if moving && !stuck {
            return;
        }
        self.decide_some(at, &|engine, index| {
            let wanted = Wanted::of_entry(engine.memory.entry(index, entry::WHAT));
            let down = engine.goal(at) == Goal::Down && wanted == Wanted::Down && !stuck;
            Some(if down { Outcome::Down } else { Outcome::of_phase(phase) })
        });
    }
}
