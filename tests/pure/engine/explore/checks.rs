//! What is looked at in a state: the invariants by their numbers, see `explore.rs`.

use super::choices::Choice;
use super::explorer::{CAPACITIES, Explorer, Saved};
use super::graphs::{Kind, MOST};
use super::moves::{Move, Net, Row, with_input};
use super::spec::{Seen, Spec};
use pintle::board::orders::{OrderRow, Wish};
use pintle::board::published::{Blocker, PublishedRow};
use pintle::board::reports::State;
use pintle::engine::Engine;
use pintle::graph::{Goal, Phase, Relation};
use pintle::ident::SlotId;
use pintle::time::Instant;

impl<'e> Explorer<'e> {
    pub fn is_up(&self, at: usize) -> bool {
        let slot = SlotId(at as u32);
        match self.edges.kinds[at] {
            Kind::Bundle => {
                let mut members = self.edges.targets[at].iter().filter(|(relation, _)| *relation == Relation::Contains);
                return self.engine.published(slot).phase == Phase::Up
                    && members.all(|(relation, to)| self.satisfies(*relation, *to));
            }
            Kind::Choice => {
                let chosen = self.edges.choice(&self.engine, at).chosen;
                return self.engine.published(slot).phase == Phase::Up
                    && chosen.is_some_and(|to| self.satisfies(Relation::Alternative, to));
            }
            Kind::Longrun | Kind::Oneshot | Kind::Once | Kind::Skips | Kind::SkipsWell => {}
        }
        let (order, row) = (self.engine.order(slot), &self.rows[at]);
        order.wish == Wish::Up && row.order == order.number.0 && row.state == State::Up
    }

    /// Up, or skipped where that is as good.
    pub fn satisfies(&self, relation: Relation, at: usize) -> bool {
        let seen = self.engine.published(SlotId(at as u32));
        let skipped = seen.phase == Phase::Skipped && seen.goal == Goal::Up && self.rows[at].state == State::Skipped;
        let as_good = relation == Relation::Contains || self.edges.kinds[at] == Kind::SkipsWell;
        self.is_up(at) || skipped && as_good
    }

    /// No process, and none ordered; of a bundle: that of no member.
    pub fn is_down(&self, at: usize) -> bool {
        let slot = SlotId(at as u32);
        if self.edges.kinds[at].is_bundle() {
            return matches!(self.engine.published(slot).phase, Phase::Down | Phase::Waiting | Phase::Stopping);
        }
        let (order, row) = (self.engine.order(slot), &self.rows[at]);
        row.order == order.number.0 && matches!(row.state, State::Down | State::Failed | State::Done | State::Skipped)
    }

    pub fn name(&self, at: usize) -> &'e str {
        self.image.name(SlotId(at as u32))
    }

    /// Invariants 1 and 2, and that all that an order had to wait for has come. What needs a choice needs the
    /// alternative that this had chosen before this step, until another is up.
    pub fn check_order(
        &self,
        at: usize,
        order: &OrderRow,
        spec: &Spec<'_>,
        choices: &[Choice; MOST],
    ) -> Result<(), String> {
        if !spec.allows(at, order) {
            return Err(format!("order: {} is told {:?}, and may not", self.name(at), order.wish));
        }
        if order.wish == Wish::Up && !order.restart {
            for (relation, to) in &self.edges.targets[at] {
                let hard = matches!(relation, Relation::Needs | Relation::Binds | Relation::NeedsToStart);
                if hard && !self.satisfies(*relation, *to) {
                    return Err(format!("1: {} is started while {} is not up", self.name(at), self.name(*to)));
                }
            }
        }
        if order.wish == Wish::Down {
            let mut sources = self.edges.sources[at].clone();
            for (relation, choice) in &self.edges.sources[at] {
                let is_chosen = *relation == Relation::Alternative && choices[*choice].chosen == Some(at);
                let mut others = self.edges.targets[*choice].iter().filter(|(_, other)| *other != at);
                if is_chosen && others.all(|(relation, other)| !self.satisfies(*relation, *other)) {
                    sources.extend(&self.edges.sources[*choice]);
                }
            }
            for (relation, from) in &sources {
                let hard = matches!(relation, Relation::Needs | Relation::Binds | Relation::Contains);
                if hard && !self.is_down(*from) && !self.rows[*from].stuck {
                    return Err(format!("2: {} is stopped while {} is not down", self.name(at), self.name(*from)));
                }
            }
        }
        Ok(())
    }

    /// What must hold in every state: 5 and 9.
    pub fn check_state(&self, spec: &Spec<'_>) -> Result<(), String> {
        let has_process = |at: usize| !self.is_down(at) || self.rows[at].state.has_process();
        for (at, _) in self.slots() {
            for (relation, to) in &self.edges.targets[at] {
                let bundles = [at, *to].iter().any(|at| self.edges.kinds[*at].is_bundle());
                if *relation == Relation::Conflicts && !bundles && has_process(at) && has_process(*to) {
                    return Err(format!("9: {} and {} both have processes", self.name(at), self.name(*to)));
                }
            }
        }
        spec.check(&self.engine, self.waits_for_time(), self.limit as usize)
    }

    /// Invariant 3, where nothing moves by itself any more.
    pub fn check_rest(&self, spec: &Spec<'_>) -> Result<(), String> {
        let rest = |seen: &Seen| seen.is_at_rest();
        if !self.engine.at_rest() || !spec.seen[..self.count()].iter().all(rest) {
            return Err("4: nothing moves any more, and it is not at rest".to_string());
        }
        for (at, slot) in self.slots() {
            let row = self.engine.published(slot);
            let (name, seen) = (self.name(at), &spec.seen[at]);
            let off = self.edges.gated[at] && self.net == Net::Off
                || self.edges.observed[at].iter().any(|(of, not_failed)| {
                    let phase = self.engine.published(SlotId(*of as u32)).phase;
                    if *not_failed { phase == Phase::Failed } else { phase != Phase::Up }
                });
            let chosen = self.edges.choice(&self.engine, at).chosen;
            let none = self.edges.kinds[at] == Kind::Choice && chosen.is_none();
            let lacks = |all: &[Relation]| {
                let counts = |(relation, to): &&(Relation, usize)| {
                    all.contains(relation) && (*relation != Relation::Alternative || chosen == Some(*to))
                };
                none || self.edges.targets[at]
                    .iter()
                    .filter(counts)
                    .any(|(relation, to)| !self.satisfies(*relation, *to))
            };
            let stays = [Relation::Needs, Relation::Binds, Relation::Contains, Relation::Alternative];
            if row.phase == Phase::Up {
                if row.goal == Goal::Down || off || lacks(&stays) {
                    return Err(format!("3: {name} is up: {row:?}"));
                }
            } else if row.goal == Goal::Up {
                let ended = matches!(row.phase, Phase::Failed | Phase::Done | Phase::Skipped);
                if !(ended
                    || off
                    || self.edges.gated[at] && self.net == Net::Changing
                    || seen.stuck
                    || seen.waits_for_stuck
                    || lacks(&stays)
                    || lacks(&[Relation::NeedsToStart]))
                {
                    return Err(format!("3: {name} is not up: {row:?}"));
                }
            } else if !self.is_down(at) && !seen.stuck {
                return Err(format!("3: {name} is not down: {row:?}"));
            }
        }
        Ok(())
    }

    /// Invariant 6: an engine that takes over here thinks the same.
    pub fn check_successor(&self) -> Result<(), String> {
        let seen = |engine: &Engine<'e>, at| {
            let mut row = engine.published(at);
            // Which of several it waits for is found from where the last search ended.
            row.blocker = match row.blocker {
                Blocker::NeedsUp(_) => Blocker::NeedsUp(at),
                Blocker::Settles(_) => Blocker::Settles(at),
                Blocker::DependentStops(_) => Blocker::DependentStops(at),
                Blocker::Conflict(_) => Blocker::Conflict(at),
                other => other,
            };
            (engine.derived_words(at), engine.facts(at), engine.order(at), row)
        };
        type Seen = ([u32; 8], [u32; 7], OrderRow, PublishedRow);
        let mut before: [Option<Seen>; MOST] = [None; MOST];
        for (at, slot) in self.slots() {
            before[at] = Some(seen(&self.engine, slot));
        }
        let mut next = Engine::open(self.image, self.geometry, CAPACITIES, self.memory).ok_or("6: not taken over")?;
        next.limit_starts(self.limit);
        for (at, slot) in self.slots() {
            let after = seen(&next, slot);
            if before[at] != Some(after) {
                return Err(format!("6: {}: {:x?}\nbecame\n{after:x?}", self.name(at), before[at]));
            }
        }
        Ok(())
    }

    /// ... and one that takes over after a step was killed just before its commit finds the facts as they were.
    pub fn check_killed(&mut self, from: &Saved<'e>, next: Move) -> Result<(), String> {
        self.restore(from);
        let before = self.facts();
        self.turn(next);
        let dying = self.engine.clone();
        with_input(next, &self.rows, |input| dying.step_and_die(Instant(1), input));
        let next = Engine::open(self.image, self.geometry, CAPACITIES, self.memory).ok_or("6: not taken over")?;
        self.engine = next;
        let after = self.facts();
        if before == after { Ok(()) } else { Err(format!("6: killed: {before:x?}\nbecame\n{after:x?}")) }
    }

    /// Invariant 9: what is known, and what is of an earlier order, changes nothing. (Only for slots with an order.)
    pub fn check_told_again(&mut self) -> Result<(), String> {
        let key = self.key();
        for (at, slot) in self.slots() {
            let (order, row) = (self.engine.order(slot), self.rows[at]);
            if order.number.0 == 0 {
                continue;
            }
            let earlier = order.number.0 - 1;
            let stale = [State::Up, State::Failed, State::Down].map(|state| Row { state, order: earlier, ..row });
            let known = Row { ready: if row.order == order.number.0 { row.ready } else { row.ready + 1 }, ..row };
            for told in stale.into_iter().chain([known]) {
                let report = told.report();
                let _ = self.engine.step(Instant(1), pintle::engine::Input::Report(slot, &report));
                if self.key() != key {
                    return Err(format!("9: {} is told {told:?} again, and it changes something", self.name(at)));
                }
            }
        }
        while self.engine.take_dirty().is_some() {}
        Ok(())
    }
}
