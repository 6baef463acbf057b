//! Choices: `needs = a|b`, and a name that several services provide. Semantics: `graph/mod.rs`.
//!
//! A choice is a bundle, whose one member is the chosen alternative. What is chosen and what was tried are facts. Of
//! the edges to its alternatives only the one to the chosen counts: `Engine::edges` gives no other, and whoever comes
//! from the other end asks `counts`. Where nothing is chosen that edge leads to a slot that there is not, which is
//! never up.

use super::Engine;
use super::expression::Value;
use super::memory::{Set, slot};
use super::slot::{Counter, Counts, Delta, OF_SOURCES, OF_TARGETS, Recount, state, told};
use crate::database::image::Edges;
use crate::database::service;
use crate::graph::{Holds, Phase, Relation};
use crate::ident::SlotId;
use crate::limits::ALTERNATIVES_MAX;

/// In `slot::CHOICE`: a bit for each alternative that was tried. Above them stands the place of the chosen one plus
/// one.
const TRIED: u32 = (1 << CHOSEN) - 1;
const CHOSEN: u32 = ALTERNATIVES_MAX as u32;

/// How good an alternative is: what is barred, if nothing else is left; what may come up; what is up.
const BARRED: u32 = 1;
const HOPEFUL: u32 = 2;
const UP: u32 = 3;

const _: () = assert!(ALTERNATIVES_MAX + (ALTERNATIVES_MAX.ilog2() as usize) < 32, "one word");

impl<'a> Engine<'a> {
    pub(super) fn is_choice(&self, at: SlotId) -> bool {
        self.memory.is_told(at, told::CHOICE)
    }

    /// The edge to the chosen alternative, the only one that counts.
    pub(super) fn chosen(&self, at: SlotId) -> Edges<'a> {
        self.alternative(at, self.memory.slot(at, slot::CHOICE) >> CHOSEN)
    }

    /// The edge to the alternative of this place plus one.
    fn alternative(&self, at: SlotId, place: u32) -> Edges<'a> {
        self.image.edges(at).one(place.wrapping_sub(1))
    }

    /// The chosen alternative, or a slot that there is not.
    fn chosen_slot(&self, at: SlotId) -> SlotId {
        self.chosen(at).next().map_or(SlotId(u32::MAX), |edge| edge.slot)
    }

    /// Whether an edge from `source` to `at` counts.
    #[inline]
    pub(super) fn counts(&self, relation: Relation, source: SlotId, at: SlotId) -> bool {
        relation != Relation::Alternative || self.chosen_slot(source) == at
    }

    /// Something by which choices go may have changed of this slot.
    pub(super) fn tell_choices(&self, at: SlotId) {
        for edge in self.image.reverse(at).only(Relation::Alternative) {
            self.memory.insert(Set::Choose, edge.slot);
        }
    }

    /// Whether it has not ended for good (or counts as up all the same) and has no mark. (What is told of one that has
    /// just been skipped may not be right yet.)
    fn is_usable(&self, at: SlotId) -> bool {
        let as_good = || {
            self.phase(at) == Phase::Skipped
                && self.memory.is_told(at, told::GOAL)
                && self.has_flag(at, service::flags::SKIP_OK)
        };
        self.lives(at) && (!self.process(at).ended() || as_good()) && !Holds(self.memory.slot(at, slot::HOLDS)).marked()
    }

    /// Whether something that this alternative needs keeps it down until somebody repairs that. (What is told of it may
    /// be that it failed, when that has just been forgotten.)
    fn is_barred(&self, at: SlotId) -> bool {
        self.memory.is_told(at, told::BARRED) && self.memory.counter(at, Counter::Barred) > 0
    }

    /// Whether it is up, or would be if only its goal were: what is left may just have let go of it.
    fn is_at_hand(&self, at: SlotId) -> bool {
        let bits = self.memory.told(at);
        let goes = bits & (told::GOAL | told::BROKEN | told::RESTARTING) != 0
            || self.memory.counter(at, Counter::Lost) > 0
            || self.gate(at) == Value::Off;
        bits & told::START_OK != 0 || self.phase(at) == Phase::Up && !goes
    }

    /// The alternative that is to be chosen, if any: how good it is, and its place plus one. The first of those that
    /// are equally good.
    #[inline(never)]
    fn best(&self, at: SlotId, tried: u32) -> (u32, u32) {
        let mut best = (0, 0);
        for (place, edge) in (1..).zip(self.image.edges(at)) {
            let good = if !self.is_usable(edge.slot) {
                0
            } else if self.is_at_hand(edge.slot) {
                UP
            } else if tried >> (place - 1) & 1 != 0 {
                0
            } else if self.is_barred(edge.slot) {
                BARRED
            } else {
                HOPEFUL
            };
            if good > best.0 {
                best = (good, place);
            }
        }
        best
    }

    /// Looks whether what was chosen may stay so. `surely`: what is told of the alternatives is right.
    #[inline(never)]
    pub(super) fn choose(&mut self, at: SlotId, surely: bool) {
        // While derived state is made anew, it is as the facts say.
        if !self.live_triggers {
            return;
        }
        let word = self.memory.slot(at, slot::CHOICE);
        let (chosen, mut tried) = (word >> CHOSEN, word & TRIED);
        let (mut next, now) = (chosen, self.chosen_slot(at));
        let (goal, usable) = (self.memory.is_told(at, told::GOAL), self.is_usable(now));
        if goal && usable && !self.is_barred(now) {
            return;
        }
        // The goal may rise again in this step, too.
        if (usable || !goal) && !surely {
            self.memory.insert(Set::NewLife, at);
            return;
        }
        if goal {
            let this = 1u32.checked_shl(chosen.wrapping_sub(1)).unwrap_or(0);
            if self.process(now).ended() {
                tried |= this;
            }
            // What needs the choice goes down before that moves to what is not up.
            let active = self.memory.state(at) & state::VIRTUAL_UP != 0;
            let least = if active { UP } else { u32::from(usable) * HOPEFUL };
            let (good, place) = self.best(at, tried);
            if good >= least {
                next = place;
                tried |= if usable { this } else { 0 };
            }
        } else if self.phase(at) == Phase::Down {
            (next, tried) = (0, 0);
        }
        let after = next << CHOSEN | tried;
        if next == chosen {
            self.memory.put_slot(at, slot::CHOICE, after);
        } else {
            self.count_chosen(at, false);
            self.memory.put_slot(at, slot::CHOICE, after);
            self.count_chosen(at, true);
        }
    }

    /// The edge to the chosen one counts from now on, or does not any more.
    #[inline(never)]
    fn count_chosen(&self, at: SlotId, counts: bool) {
        let memory = &self.memory;
        if let Some(edge) = self.chosen(at).next() {
            let (own, its) = (memory.near(at), memory.near(edge.slot));
            let (bits, its_bits) = (memory.told(at), memory.told(edge.slot));
            let recount = |table: &[Counts], bits, row| {
                let (old, new) = if counts { (None, Some(bits)) } else { (Some(bits), None) };
                Recount::of(table, old, new).apply_once(row, edge.relation);
            };
            recount(&OF_TARGETS, its_bits, own);
            recount(&OF_SOURCES, bits, its);
            if bits & told::GOAL != 0 {
                Delta::of(Counter::Pulls, counts).add_to(its);
            }
            for set in &[Set::Goal, Set::Stop, Set::Start, Set::Tell, Set::DirtyPublished] {
                memory.insert(*set, edge.slot);
            }
            if counts && its_bits & told::START_OK != 0 && self.pass_on_ready(edge.slot, at) {
                self.tell_ready(at);
            }
        }
        memory.insert(Set::Work, at);
        // It has moved while it is up: to what binds to it that is a new life.
        if counts && memory.state(at) & state::VIRTUAL_UP != 0 {
            memory.put_state(at, memory.state(at) | state::RESTART_WANTED);
        }
    }

    /// What a start of this choice leads to: the edge to what it has chosen or would choose, or else to the first.
    pub(super) fn to_start(&self, at: SlotId) -> Edges<'a> {
        let chosen = self.chosen_slot(at);
        if self.is_usable(chosen) && !self.is_barred(chosen) {
            return self.chosen(at);
        }
        self.alternative(at, self.best(at, 0).1.max(1))
    }

    /// Start and reset forget what was tried, of what asks for a choice.
    pub(super) fn retry_choices(&mut self, at: SlotId) {
        for edge in self.edges(at).filter(|edge| edge.relation.is_in(Relation::PULLS)) {
            self.retry(edge.slot);
        }
    }

    /// ... and of the choice itself, or of an alternative.
    pub(super) fn retry(&mut self, at: SlotId) {
        if self.is_choice(at) {
            self.memory.put_slot(at, slot::CHOICE, self.memory.slot(at, slot::CHOICE) & !TRIED);
            self.image.edges(at).for_each(|edge| self.forgive(edge.slot));
            self.memory.insert(Set::Choose, at);
        }
        for choice in self.image.reverse(at).only(Relation::Alternative) {
            self.forget_trial(choice.slot, at);
            self.memory.insert(Set::Choose, choice.slot);
        }
    }

    /// This alternative was not tried.
    pub(super) fn forget_trial(&self, choice: SlotId, at: SlotId) {
        let place = self.image.edges(choice).position(|edge| edge.slot == at).unwrap_or_default();
        let word = self.memory.slot(choice, slot::CHOICE);
        self.memory.put_slot(choice, slot::CHOICE, word & !(1 << place));
    }
}
