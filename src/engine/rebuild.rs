//! Everything derived, computed anew from facts and the database.
//!
//! Goals are the least set that holds, marks and pulls give; what neighbours are told is a function of facts and of
//! what is told along acyclic edges. Both have one solution, so a step continued after a death goes where it would have
//! gone.

use super::Engine;
use super::memory::{Set, condition, entry, machine, slot, transaction};
use super::slot::{state, told};
use crate::database::{NONE, service};
use crate::ident::SlotId;
use crate::time::Instant;

impl Engine<'_> {
    /// `everything`: somebody was here before, so all that is shown is to be shown again.
    #[inline(never)]
    pub(super) fn rebuild(&mut self, everything: bool) {
        let layout = self.memory.layout;
        let slots = || (0..layout.geometry.slots()).map(SlotId);
        self.live_triggers = false;
        for at in (0..self.services()).map(SlotId) {
            if self.image.service(at, service::PASS) != NONE {
                self.memory.insert(Set::Passing, at);
            }
            if self.image.service(at, service::WITHIN) != 0 {
                self.memory.insert(Set::Timed, at);
            }
        }
        for at in (self.services()..layout.geometry.slots()).rev().map(SlotId) {
            if self.memory.slot(at, slot::TEMPLATE) != 0 {
                self.link_instance(at);
            }
        }
        for at in slots() {
            self.define(at);
        }
        for index in 0..layout.capacities.conditions {
            if everything && self.memory.condition(index, condition::VALUE) != 0 {
                self.conditions_used = index + 1;
            }
            if everything {
                self.mark_condition(index);
            }
        }
        self.rebuild_entries();
        for at in slots() {
            if self.lives(at) {
                self.count_anew(at);
                self.memory.insert(Set::Goal, at);
            }
        }
        self.work_off(Set::PROPAGATE);
        for at in slots() {
            if self.lives(at) {
                self.look_at_while(at);
                self.look_at_binds(at);
                self.memory.insert(Set::Work, at);
            }
        }
        self.work_off(Set::REFRESH);
        self.heard = self.heard_events();
        self.live_triggers = true;
        for at in slots() {
            let shown = everything || self.lives(at) || self.is_template(at);
            if !shown {
                continue;
            }
            self.look_at_blocker(at, self.phase(at));
            self.mark_published(at);
            if everything {
                self.mark_order(at);
                self.memory.insert(Set::DirtyReasons, at);
            }
        }
        if everything {
            // A process-less slot may have waited for its time, which has come now.
            while let Some((_, at)) = self.memory.pop_first(Set::MOVES) {
                self.memory.insert(Set::Later, at);
            }
            self.deadline = Instant(0);
        }
    }

    #[inline(never)]
    fn rebuild_entries(&mut self) {
        let used = self.memory.machine(machine::ENTRIES);
        self.free_entries = self.memory.layout.capacities.entries - used;
        for index in (0..used).rev() {
            match self.memory.entry(index, entry::OWNER).checked_sub(1) {
                None => self.release_entry(index),
                Some(owner) => {
                    if self.memory.transaction(owner, transaction::STANDING) == 0 {
                        let what = self.memory.entry(index, entry::WHAT);
                        self.link_entry(SlotId(what & 0xff_ffff), index);
                    }
                }
            }
        }
    }

    /// The bits of a slot that are told, for tests that compare an engine with its successor.
    #[doc(hidden)]
    pub fn told_bits(&self, at: SlotId) -> u32 {
        self.memory.told(at) & !told::EVENTS
    }

    /// The facts of a slot that decide anything: holds, state, order, latches, stamps. For tests that tell states
    /// apart.
    #[doc(hidden)]
    pub fn facts(&self, at: SlotId) -> [u32; 7] {
        let mut facts =
            [slot::HOLDS, slot::STATE, slot::ORDER, slot::LATCH_START, slot::LATCH_STOP, slot::BEGAN, slot::READY]
                .map(|field| self.memory.slot(at, field));
        facts[1] &= !state::BEGUN; // what is told, not what is done
        facts
    }
}
