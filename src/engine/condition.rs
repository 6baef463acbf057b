//! Conditions: who holds them, what is changing, and when one comes on or goes off.

use super::expression::Value;
use super::fact::Fact;
use super::journal::Kind;
use super::memory::{Set, Table, condition, machine, said};
use super::transaction::Cause;
use super::trigger::{News, TURNS};
use super::{Engine, Refusal, Sender};
use crate::ident::SlotId;
use crate::limits::FACT_BYTES_MAX;
use crate::time::Instant;

impl Engine<'_> {
    #[inline(never)]
    pub(super) fn condition_on(&mut self, fact: Fact<'_>, sender: Sender, lease: u32) -> Result<(), Refusal> {
        let (mut own, mut orphan, mut others, mut was, mut next) = (None, None, false, None, 0);
        while let Some(index) = self.next_holder(fact, &mut next) {
            was = Some(index);
            match self.memory.condition(index, condition::LEASE) {
                condition::ORPHAN => orphan = was,
                holder if holder == lease => own = was,
                _ => others = true,
            }
        }
        let was_on = was.is_some_and(|index| self.memory.condition(index, condition::VALUE) == Value::On as u32);
        if was_on && own.is_some() {
            return Ok(());
        }
        let rows = self.memory.layout.capacities.conditions;
        let free = |engine: &Self| (0..rows).find(|index| engine.memory.condition(*index, condition::VALUE) == 0);
        // Said plainly, it ends what was changing for those who hold it: it is on for as long as they do.
        let restores = others && !was_on && lease == 0 && own.is_none();
        let index = if restores { was } else { own.or(orphan).or_else(|| free(self)) };
        let index = index.ok_or(Refusal::ConditionsFull)?;
        let leaves = self.leaves(fact);
        if !was_on {
            self.check_room(fact, leaves.clone())?;
        }
        // All who hold it have the same text and generation.
        let mut generation = self.memory.machine(machine::GENERATION).wrapping_add(1);
        let known;
        let fact = match was {
            Some(was) => {
                known = self.memory.condition_fact(was);
                Fact::known(known.text())
            }
            None => fact,
        };
        match was {
            Some(was) if was_on => generation = self.memory.condition(was, condition::GENERATION),
            Some(_) => self.settle_changing(fact, generation),
            None => {}
        }
        if !was_on {
            self.memory.put_machine(machine::GENERATION, generation);
        }
        if !restores {
            self.put_value(index, Value::On);
            for (field, value) in &[
                (condition::GENERATION, generation),
                (condition::PID, sender.pid),
                (condition::UID, sender.uid),
                (condition::LEASE, lease),
                (condition::HASH, fact.hash()),
            ] {
                self.memory.put_condition(index, *field, *value);
            }
            let (text, words) = (fact.text(), (fact.text().len().div_ceil(4) + 1).min(FACT_BYTES_MAX / 4));
            self.memory.put_bytes(Table::Said, index, said::TEXT, words, text);
            self.conditions_used = self.conditions_used.max(index + 1);
        }
        if !was_on {
            self.jot_news(Kind::CameOn, fact);
            self.take_news(fact, leaves, News::On);
        }
        Ok(())
    }

    /// What was changing is on again, for all who held it, but for those that have ended.
    #[inline(never)]
    fn settle_changing(&mut self, fact: Fact<'_>, generation: u32) {
        let mut next = 0;
        while let Some(index) = self.next_holder(fact, &mut next) {
            if self.memory.condition(index, condition::LEASE) == condition::ORPHAN {
                self.clear_condition(index);
                continue;
            }
            self.put_value(index, Value::On);
            self.memory.put_condition(index, condition::GENERATION, generation);
        }
    }

    /// A row has this value from now on.
    #[inline(never)]
    fn put_value(&self, index: u32, value: Value) {
        self.memory.put_condition(index, condition::VALUE, value as u32);
        self.memory.put_time(Table::Conditions, index, condition::SINCE, self.now);
        self.mark_condition(index);
    }

    /// The owner of what is on changes it, for so long at most.
    #[inline(never)]
    pub(super) fn condition_changing(&mut self, fact: Fact<'_>, for_ms: u32) -> Result<(), Refusal> {
        let (mut was, mut next) = (None, 0);
        while let Some(index) = self.next_holder(fact, &mut next) {
            was = Some(index);
            if self.memory.condition(index, condition::VALUE) == Value::On as u32 {
                self.put_value(index, Value::Changing);
            }
            self.memory.put_time(Table::Conditions, index, condition::UNTIL, self.now.plus_ms(for_ms));
        }
        let written = self.memory.condition_fact(was.ok_or(Refusal::NotOn)?);
        let fact = Fact::known(written.text());
        self.changing = true;
        self.jot_news(Kind::Changes, fact);
        self.take_news(fact, self.leaves(fact), News::Changing);
        Ok(())
    }

    /// The condition that is changing and to be off first: when, and its row.
    pub(super) fn first_changing(&self) -> Option<(Instant, u32)> {
        let mut first = None;
        for index in 0..if self.changing { self.conditions_used } else { 0 } {
            let until = self.memory.time(Table::Conditions, index, condition::UNTIL);
            let is_changing = self.memory.condition(index, condition::VALUE) == Value::Changing as u32;
            if is_changing && first.is_none_or(|(least, _)| until < least) {
                first = Some((until, index));
            }
        }
        first
    }

    /// Puts off what has been changing for too long, each as if that were said by nobody.
    #[inline(never)]
    pub(super) fn end_changing(&mut self) {
        let mut first = self.first_changing();
        while let Some((_, index)) = first.filter(|(until, _)| *until <= self.now) {
            let written = self.memory.condition_fact(index);
            self.cause = Cause::Fact;
            self.condition_off(Fact::known(written.text()));
            self.work_off(Set::STEP);
            self.close_transaction();
            first = self.first_changing();
        }
        self.changing = first.is_some();
    }

    #[inline(never)]
    pub(super) fn condition_off(&mut self, fact: Fact<'_>) {
        let mut next = 0;
        let mut holder = self.next_holder(fact, &mut next);
        let Some(first) = holder else { return };
        let written = self.memory.condition_fact(first);
        let fact = Fact::known(written.text());
        while let Some(index) = holder {
            self.clear_condition(index);
            holder = self.next_holder(fact, &mut next);
        }
        self.jot_news(Kind::WentOff, fact);
        self.take_news(fact, self.leaves(fact), News::Off);
    }

    /// Leases that hold conditions now, and the process of each.
    pub fn leases(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let on = (0..self.conditions_used).filter(|index| self.memory.condition(*index, condition::VALUE) != 0);
        let field = |index, field| self.memory.condition(index, field);
        let leases = on.map(move |index| (field(index, condition::LEASE), field(index, condition::PID)));
        leases.filter(|(lease, _)| *lease != 0 && *lease != condition::ORPHAN)
    }

    #[inline(never)]
    pub(super) fn lease_gone(&mut self, lease: u32) {
        if lease == 0 {
            return;
        }
        let (used, mut told) = (self.conditions_used, false);
        let is_of = |engine: &Self, index, held: bool| {
            (engine.memory.condition(index, condition::VALUE) != 0) == held
                && engine.memory.condition(index, condition::LEASE) == lease
        };
        for index in 0..used {
            if !is_of(self, index, true) {
                continue;
            }
            if !core::mem::replace(&mut told, true) {
                self.jot_input(Kind::LeaseGone, 0, SlotId(0), &[lease], b"");
            }
            self.mark_condition(index);
            if self.memory.condition(index, condition::VALUE) == Value::Changing as u32 {
                // Perhaps it ends to come back: there is a time for that.
                self.memory.put_condition(index, condition::LEASE, condition::ORPHAN);
            } else {
                self.memory.put_condition(index, condition::VALUE, 0);
            }
        }
        // All go off at once. No free row has a lease, so that these are known.
        for turn in &TURNS {
            for index in 0..used {
                if !is_of(self, index, false) {
                    continue;
                }
                let written = self.memory.condition_fact(index);
                let fact = Fact::known(written.text());
                if self.next_holder(fact, &mut 0).is_none() {
                    if turn.is_none() {
                        self.jot_news(Kind::WentOff, fact);
                    }
                    self.take_turn(fact, self.leaves(fact), News::Off, *turn);
                }
            }
        }
        for index in 0..used {
            if is_of(self, index, false) {
                self.clear_condition(index);
            }
        }
    }

    fn clear_condition(&mut self, index: u32) {
        self.memory.put_condition(index, condition::VALUE, 0);
        self.memory.put_condition(index, condition::LEASE, 0);
        self.mark_condition(index);
        while self.conditions_used > 0 && self.memory.condition(self.conditions_used - 1, condition::VALUE) == 0 {
            self.conditions_used -= 1;
        }
    }

    /// The next row of a condition, on or changing, from this one on: one for each who holds it.
    #[inline(never)]
    fn next_holder(&self, fact: Fact<'_>, next: &mut u32) -> Option<u32> {
        let hash = fact.hash();
        while let Some(index) = self.next_condition(hash, next) {
            if fact.is(self.memory.condition_fact(index).text()) {
                return Some(index);
            }
        }
        None
    }

    /// The next row, from this one on, that is on or changing and has a name with this hash.
    #[inline(never)]
    pub(super) fn next_condition(&self, hash: u32, next: &mut u32) -> Option<u32> {
        while *next < self.conditions_used {
            let index = *next;
            *next += 1;
            if self.memory.condition(index, condition::VALUE) != 0
                && self.memory.condition(index, condition::HASH) == hash
            {
                return Some(index);
            }
        }
        None
    }
}
