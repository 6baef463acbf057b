//! Propagate: wishes travel along edges. Goals come from holds, marks and pulls alone, never from phases.
//!
//! Rises go first, then falls, then rises of what conflicts with something, lowest slot first; so within one input a
//! goal that is dropped and laid again does not turn, and of two that conflict the lower one wins.

use super::Engine;
use super::journal::Kind;
use super::memory::{Set, machine, slot};
use super::slot::{Counter, Delta, state, told};
use super::transaction::{Cause, Wanted};
use crate::board::published::{Event, Reasons};
use crate::graph::{Hold, Holds, Phase, Relation};
use crate::ident::SlotId;

impl Engine<'_> {
    /// Whether something holds it up and no mark but that of a conflict keeps it down.
    fn wished(&self, at: SlotId) -> bool {
        let holds = self.memory.slot(at, slot::HOLDS);
        // In a shutdown no hold counts but that of the boot.
        let held = || Holds(holds).held() && (holds & Hold::Boot as u32 != 0 || !self.shutting_down());
        holds & Holds::MARK_ADMIN == 0 && (self.memory.counter(at, Counter::Pulls) > 0 || held())
    }

    fn wants_up(&self, at: SlotId) -> bool {
        self.lives(at) && self.wished(at) && !self.is_displaced(at)
    }

    fn is_displaced(&self, at: SlotId) -> bool {
        self.memory.slot(at, slot::HOLDS) & Holds::MARK_CONFLICT != 0
    }

    pub(super) fn put_holds(&self, at: SlotId, set: u32, clear: u32) {
        let holds = self.memory.slot(at, slot::HOLDS);
        let after = holds & !clear | set;
        if after != holds {
            let words = [after & !holds, holds & !after];
            self.jot_of(Kind::Holds, 0, at, self.transaction_here(at), &words);
            self.note_holds(at, words[0], words[1]);
            self.memory.put_slot(at, slot::HOLDS, after);
            if holds & !after & Hold::Trigger as u32 != 0 {
                self.drop_queued(at);
            }
            if Holds(after ^ holds).marked() {
                self.tell_choices(at);
                self.memory.insert(Set::Work, at);
            }
            self.mark_wish(at);
        }
    }

    /// What holds or pulls this one, or keeps it down, has changed.
    #[inline(never)]
    pub(super) fn mark_wish(&self, at: SlotId) {
        self.memory.insert(Set::Goal, at);
        self.memory.insert(Set::Tell, at);
        self.mark_published(at);
    }

    /// A goal that may have changed.
    #[inline(never)]
    pub(super) fn look_at_goal(&mut self, at: SlotId) {
        let bits = self.memory.told(at);
        let wished = bits & told::LIVES != 0 && self.wished(at);
        if wished != (bits & told::WISHED != 0) {
            self.memory.set_told(at, bits ^ told::WISHED);
            if wished && self.is_displaced(at) && self.live_triggers && self.may_displace(at) {
                self.memory.insert(Set::Displacing, at);
                self.put_holds(at, 0, Holds::MARK_CONFLICT);
            }
        }
        match (bits & told::GOAL != 0, wished && !self.is_displaced(at)) {
            (false, true) if bits & told::RIVALS != 0 => self.memory.insert(Set::Rise, at),
            (false, true) => self.turn(at, true),
            (true, false) => self.memory.insert(Set::Fall, at),
            (false, false) | (true, true) => {}
        }
    }

    /// One that is to fall or to rise, if that is still so.
    pub(super) fn turn_if(&mut self, at: SlotId, up: bool) {
        if self.memory.is_told(at, told::GOAL) != up && self.wants_up(at) == up {
            self.turn(at, up);
        }
    }

    /// A goal that has changed in this step, perhaps back again.
    #[inline(never)]
    pub(super) fn look_at_turned(&mut self, at: SlotId) {
        let bits = self.memory.told(at);
        let (now, before) = (bits & told::GOAL != 0, bits & told::GOAL_BEFORE != 0);
        if now == before {
            return;
        }
        self.memory.set_told(at, bits ^ told::GOAL_BEFORE);
        if self.live_triggers && now {
            // A goal that rises again leaves `failed` and `skipped`, not `done`.
            if matches!(self.phase(at), Phase::Failed | Phase::Skipped) {
                self.forgive(at);
            }
            let held = Holds(self.memory.slot(at, slot::HOLDS)).held();
            self.join(at, if held { Wanted::Any } else { Wanted::Pulled });
        }
        if self.cause == Cause::Switch {
            self.supersede(at, if now { Wanted::Up } else { Wanted::Down });
            if !now {
                self.join(at, Wanted::Down);
            }
        }
        self.memory.insert(Set::Work, at);
        self.mark_published(at);
    }

    fn turn(&mut self, at: SlotId, up: bool) {
        self.memory.set_told(at, self.memory.told(at) ^ told::GOAL);
        self.memory.insert(Set::Turned, at);
        if self.is_choice(at) {
            self.memory.insert(Set::Choose, at);
        }
        let pull = Delta::of(Counter::Pulls, up);
        for edge in self.edges(at) {
            if edge.relation.is_in(Relation::PULLS) && pull.add_to(self.memory.near(edge.slot)) {
                self.mark_wish(edge.slot);
                // A choice that has chosen nothing pulls nothing: that end is no slot.
                let unneeded = !up && self.cause != Cause::Switch && self.lives(edge.slot);
                if unneeded && !Holds(self.memory.slot(edge.slot, slot::HOLDS)).held() {
                    self.note_reason(edge.slot, Reasons::OTHER, Event::Unneeded, at.0);
                }
            }
        }
        // While derived state is made anew, marks are as the facts say.
        if self.live_triggers && self.memory.is_told(at, told::RIVALS) {
            self.mark_rivals(at, up);
        }
    }

    /// The goal of this one rose or fell: what conflicts with it is marked, or not any more.
    #[inline(never)]
    fn mark_rivals(&self, at: SlotId, up: bool) {
        self.find_rival(at, &|rival| {
            self.memory.insert(Set::Tell, rival);
            if up {
                self.put_holds(rival, Holds::MARK_CONFLICT, 0);
            } else if self.risen_rival(rival).is_none() {
                self.put_holds(rival, 0, Holds::MARK_CONFLICT);
            }
            false
        });
    }

    /// Whether what rises by anything but a person's start may displace all that conflicts with it: none of these is
    /// there for a person, and none rose in this step. Once a step: by way of a choice it may be pulled by what it
    /// displaces.
    #[inline(never)]
    fn may_displace(&self, at: SlotId) -> bool {
        if self.memory.contains(Set::Displacing, at) {
            return false;
        }
        let stays = |rival| {
            let bits = self.memory.told(rival);
            bits & told::GOAL != 0 && (bits & told::GOAL_BEFORE == 0 || self.is_there_for_a_person(rival))
        };
        self.find_rival(at, &stays).is_none()
    }

    /// Whether a person's start holds it, or holds something that pulls it.
    #[inline(never)]
    fn is_there_for_a_person(&self, at: SlotId) -> bool {
        self.memory.insert(Set::Ahead, at);
        let mut found = false;
        while let Some(at) = self.memory.pop(Set::Ahead) {
            found |= self.memory.slot(at, slot::HOLDS) & Hold::Admin as u32 != 0;
            self.memory.insert(Set::Seen, at);
            for edge in self.image.reverse(at) {
                let mut sources = self.live(edge.slot);
                while let Some(source) = sources.next(self) {
                    let pulls = edge.relation.is_in(Relation::PULLS)
                        && self.memory.is_told(source, told::GOAL)
                        && self.counts(edge.relation, source, at);
                    if pulls && !found && !self.memory.contains(Set::Seen, source) {
                        self.memory.insert(Set::Ahead, source);
                    }
                }
            }
        }
        while self.memory.pop(Set::Seen).is_some() {}
        found
    }

    /// The first that conflicts with this one and has its goal up.
    pub(super) fn risen_rival(&self, at: SlotId) -> Option<SlotId> {
        self.find_rival(at, &|rival| self.memory.is_told(rival, told::GOAL))
    }

    /// The first that conflicts with this one and of which this is so.
    pub(super) fn find_rival(&self, at: SlotId, is: &dyn Fn(SlotId) -> bool) -> Option<SlotId> {
        self.edges(at).only(Relation::Conflicts).find_map(|edge| self.find_live(edge.slot, is))
    }

    /// Forgets that it failed, was skipped or is done.
    pub(super) fn forgive(&mut self, at: SlotId) {
        let bits = self.memory.state(at);
        if self.process(at).ended() {
            self.memory.put_state(at, bits | state::FORGIVEN);
            self.tell_choices(at);
            self.memory.insert(Set::Work, at);
            self.memory.insert(Set::Tell, at);
        }
    }

    /// Drops what a service that is done no longer needs as a reason, but for these.
    pub(super) fn drop_holds_of_done(&mut self, at: SlotId, kept: u32) {
        let dropped = Hold::Admin as u32 | Hold::Trigger as u32 | Hold::Demand as u32 | Hold::Schedule as u32;
        self.put_holds(at, 0, dropped & !kept);
    }

    /// Whether a shutdown is under way; `published::own::SHUTDOWN`.
    pub fn shutting_down(&self) -> bool {
        self.memory.machine(machine::SHUTDOWN) != 0
    }
}
