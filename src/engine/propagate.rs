//! Propagate: wishes travel along edges. Goals come from holds, marks and pulls alone, never from phases.
//!
//! Rises go first, then falls, then rises of what conflicts with something, lowest slot first; so within one input a goal
//! that is dropped and laid again does not turn, and of two that conflict the lower one wins.

use super::Engine;
use super::memory::{Set, machine, slot};
use super::slot::{Counter, state, told};
use super::transaction::Wanted;
use crate::graph::{Hold, Holds, Phase, Relation};
use crate::ident::SlotId;

impl Engine<'_> {
    /// Whether something holds it up and no mark but that of a conflict keeps it down.
    fn wished(&self, at: SlotId) -> bool {
        let holds = self.memory.slot(at, slot::HOLDS);
        let pulled = self.memory.counter(at, Counter::Pulls) > 0;
        let held = if self.shutting_down() { self.shutdown_slot == Some(at) } else { Holds(holds).held() };
        (held || pulled) && holds & Holds::MARK_ADMIN == 0
    }

    fn wants_up(&self, at: SlotId) -> bool {
        self.lives(at) && self.wished(at) && self.memory.slot(at, slot::HOLDS) & Holds::MARK_CONFLICT == 0
    }

    pub(super) fn put_holds(&self, at: SlotId, set: u32, clear: u32) {
        let holds = self.memory.slot(at, slot::HOLDS);
        let after = holds & !clear | set;
        if after != holds {
            self.memory.put_slot(at, slot::HOLDS, after);
            self.memory.insert(Set::Goal, at);
            self.memory.insert(Set::Tell, at);
            self.mark_published(at);
        }
    }

    /// Runs until no goal changes. With `marks`, conflicts lay and lift marks; without, they are as the facts say.
    pub(super) fn propagate(&mut self, marks: bool) {
        loop {
            if let Some(at) = self.memory.pop(Set::Goal) {
                match (self.memory.is_told(at, told::GOAL), self.wants_up(at)) {
                    (false, true) if self.has_rivals(at) => self.memory.insert(Set::Rise, at),
                    (false, true) => self.turn(at, true, marks),
                    (true, false) => self.memory.insert(Set::Fall, at),
                    (false, false) | (true, true) => {}
                }
            } else if let Some(at) = self.memory.pop(Set::Fall) {
                if self.memory.is_told(at, told::GOAL) && !self.wants_up(at) {
                    self.turn(at, false, marks);
                }
            } else if let Some(at) = self.memory.pop(Set::Rise) {
                if !self.memory.is_told(at, told::GOAL) && self.wants_up(at) {
                    self.turn(at, true, marks);
                }
            } else {
                break;
            }
        }
        while let Some(at) = self.memory.pop(Set::Turned) {
            let bits = self.memory.told(at);
            let (now, before) = (bits & told::GOAL != 0, bits & told::GOAL_BEFORE != 0);
            if now == before {
                continue;
            }
            self.memory.set_told(at, bits ^ told::GOAL_BEFORE);
            // A goal that rises again leaves `failed` and `skipped`, not `done`.
            if marks && now && matches!(self.phase(at), Phase::Failed | Phase::Skipped) {
                self.forgive(at);
            }
            if marks && now {
                let held = Holds(self.memory.slot(at, slot::HOLDS)).held();
                self.join(at, if held { Wanted::Any } else { Wanted::Pulled });
            }
            self.memory.insert(Set::Work, at);
            self.mark_published(at);
        }
    }

    fn has_rivals(&self, at: SlotId) -> bool {
        self.edges(at).only(Relation::Conflicts).next().is_some()
    }

    fn turn(&mut self, at: SlotId, up: bool, marks: bool) {
        self.memory.set_told(at, self.memory.told(at) ^ told::GOAL);
        self.memory.insert(Set::Turned, at);
        for edge in self.edges(at) {
            match edge.relation {
                Relation::Needs | Relation::Binds | Relation::NeedsToStart | Relation::Wants | Relation::Contains => {
                    if self.memory.count(edge.slot, Counter::Pulls, up) {
                        self.memory.insert(Set::Goal, edge.slot);
                        self.memory.insert(Set::Tell, edge.slot);
                        self.mark_published(edge.slot);
                    }
                }
                Relation::Conflicts | Relation::After | Relation::Observes | Relation::Listens => {}
            }
        }
        if marks {
            self.mark_rivals(at, up);
        }
    }

    /// The goal of this one rose or fell: what conflicts with it is marked, or not any more.
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

    /// The first that conflicts with this one and has its goal up.
    pub(super) fn risen_rival(&self, at: SlotId) -> Option<SlotId> {
        self.find_rival(at, &|rival| self.memory.is_told(rival, told::GOAL))
    }

    /// The first that conflicts with this one and of which this is so.
    pub(super) fn find_rival(&self, at: SlotId, is: &dyn Fn(SlotId) -> bool) -> Option<SlotId> {
        for edge in self.edges(at).only(Relation::Conflicts) {
            let mut targets = self.live(edge.slot);
            while let Some(rival) = targets.next(self) {
                if is(rival) {
                    return Some(rival);
                }
            }
        }
        None
    }

    /// Forgets that it failed, was skipped or is done.
    pub(super) fn forgive(&mut self, at: SlotId) {
        let bits = self.memory.state(at);
        if self.process(at).ended() {
            self.memory.put_state(at, bits | state::FORGIVEN);
            self.memory.insert(Set::Work, at);
            self.memory.insert(Set::Tell, at);
        }
    }

    /// Drops what a service that is done no longer needs as a reason.
    pub(super) fn drop_holds_of_done(&mut self, at: SlotId) {
        let dropped = Hold::Admin as u32 | Hold::Trigger as u32 | Hold::Demand as u32 | Hold::Schedule as u32;
        self.put_holds(at, 0, dropped);
    }

    /// Every goal is looked at anew: a shutdown began.
    pub(super) fn propagate_all(&mut self) {
        for at in 0..self.memory.layout.geometry.slots() {
            self.memory.insert(Set::Goal, SlotId(at));
            // What was down already has another reason for it now.
            self.memory.insert(Set::Tell, SlotId(at));
            self.mark_published(SlotId(at));
        }
    }

    /// Whether a shutdown is under way; `published::own::SHUTDOWN`.
    pub fn shutting_down(&self) -> bool {
        self.memory.machine(machine::SHUTDOWN) != 0
    }
}
