//! What a request is to do, and what became of the transaction that it was.

use std::collections::BTreeSet;

use pintle::board::reports::State;
use pintle::engine::{Engine, Outcome, Standing, Verb};
use pintle::graph::{Holds, Phase, Relation};
use pintle::ident::SlotId;

use super::super::world::Broken;
use super::Judge;

/// What a request is to do, if it is accepted.
pub enum Expected {
    Command(Verb, Vec<String>),
    On(String, u32),
    Off(String),
    /// For so many milliseconds.
    Changing(String, u64),
    Drop(u32),
}

/// The lease of what is held by a connection that ended while it was changing.
const ENDED: u32 = u32::MAX;

/// A transaction that is followed to its end.
pub struct Followed {
    /// Services that were seen decided.
    decided: BTreeSet<SlotId>,
    /// What a restart has to end: the life that each service had.
    lives: Vec<(SlotId, u32)>,
}

impl Judge<'_> {
    /// `number`: that of the transaction, none if it was refused.
    pub fn take_expected(&mut self, engine: &Engine<'_>, number: Option<u32>) {
        let (Some(expected), Some(number)) = (self.expected.take(), number) else { return };
        let lives = match &expected {
            Expected::Command(Verb::Restart | Verb::RestartWithDependents, names) => {
                let found = names.iter().filter_map(|name| self.find(engine, name));
                let acts = |at: &SlotId| !self.is_bundle(engine, *at) && self.seen[at.index()].state == State::Up;
                found.filter(acts).map(|at| (at, self.seen[at.index()].life.0)).collect()
            }
            _ => Vec::new(),
        };
        if number != 0 {
            self.open.insert(number, Followed { decided: BTreeSet::new(), lives });
        }
        match expected {
            Expected::Command(
                verb @ (Verb::Start | Verb::Restart | Verb::RestartWithDependents | Verb::Switch),
                names,
            ) => {
                let mut open: Vec<SlotId> = names.iter().filter_map(|name| self.find(engine, name)).collect();
                // A restart of what is active and has its goal up leaves the marks alone. (The told bits of both, as
                // they were before this step.)
                open.retain(|at| {
                    let bits =
                        self.told[at.index()] | if self.is_bundle(engine, *at) && !self.is_choice(*at) { 4 } else { 0 };
                    matches!(verb, Verb::Start | Verb::Switch) || bits & 5 != 5
                });
                let mut seen = BTreeSet::new();
                // Behind a choice: which of these it comes to is looked at where choices are.
                let mut perhaps = BTreeSet::new();
                while let Some(at) = open.pop() {
                    let marked = engine.published(at).holds.0 & Holds::MARK_ADMIN != 0;
                    if !(perhaps.contains(&at) && marked) {
                        self.marks.remove(engine.name(at).as_str());
                    }
                    let behind = perhaps.contains(&at) || self.is_choice(at);
                    if self.is_choice(at) {
                        for edge in self.image.edges(at) {
                            if seen.insert(edge.slot) {
                                perhaps.insert(edge.slot);
                                open.push(edge.slot);
                            }
                        }
                    }
                    for (relation, to) in self.targets(engine, at) {
                        let hard = matches!(
                            relation,
                            Relation::Needs | Relation::Binds | Relation::NeedsToStart | Relation::Contains
                        );
                        if hard && seen.insert(to) {
                            if behind {
                                perhaps.insert(to);
                            }
                            open.push(to);
                        }
                    }
                }
            }
            Expected::Command(Verb::Stop, names) => self.marks.extend(names),
            Expected::Command(Verb::Release, names) => {
                for name in names {
                    self.marks.remove(&name);
                }
            }
            Expected::Command(Verb::Reload | Verb::Signal(_) | Verb::Reset, _) => {}
            Expected::On(fact, lease) => {
                let fact = sorted(&fact);
                let was_changing = self.changing.remove(&fact).is_some();
                self.facts.remove(&(fact.clone(), ENDED));
                // Said plainly, it gives what was changing back to those who hold it.
                let held = self.facts.iter().any(|(known, _)| *known == fact);
                if !(was_changing && held && lease == 0) {
                    self.facts.insert((fact, lease));
                }
            }
            Expected::Changing(fact, for_ms) => {
                self.changing.insert(sorted(&fact), self.now + for_ms * 1_000_000);
            }
            Expected::Off(fact) => {
                let fact = sorted(&fact);
                self.facts.retain(|(known, _)| *known != fact);
                self.changing.remove(&fact);
            }
            Expected::Drop(0) => {}
            Expected::Drop(lease) => {
                let (dropped, kept) = std::mem::take(&mut self.facts).into_iter().partition(|(_, held)| *held == lease);
                let dropped: BTreeSet<(String, u32)> = dropped;
                self.facts = kept;
                // What is changing waits for its owner to come back.
                let waiting = dropped.into_iter().filter(|(fact, _)| self.changing.contains_key(fact));
                self.facts.extend(waiting.map(|(fact, _)| (fact, ENDED)));
            }
        }
    }

    /// What a transaction says became of a service is so, when it says it.
    pub(super) fn check_outcomes(&mut self, engine: &Engine<'_>, now: u64) -> Result<(), Broken> {
        let mut ended = Vec::new();
        let mut open = std::mem::take(&mut self.open);
        for (number, followed) in &mut open {
            let mut cursor = 0;
            let mut listed = BTreeSet::new();
            while let Some((at, outcome)) = engine.transaction_next(*number, &mut cursor) {
                if !listed.insert(at) {
                    let name = engine.name(at);
                    return Err(Broken(format!("transactions: {number} lists {} twice", name.as_str())));
                }
                if outcome == Outcome::Pending {
                    followed.decided.remove(&at);
                    continue;
                }
                if !followed.decided.insert(at) {
                    continue;
                }
                let row = self.seen[at.index()];
                let published = engine.published(at);
                let phase = published.phase;
                // What the time moves comes behind what is reported, in one step: it was up, and is taken down.
                let just_stopped = phase == Phase::Stopping && published.since.0 == now;
                let is_so = self.is_bundle(engine, at)
                    || match outcome {
                        Outcome::Pending | Outcome::Superseded | Outcome::Waiting => true,
                        Outcome::Up => row.state == State::Up && (phase == Phase::Up || just_stopped),
                        Outcome::Down => self.is_down(engine, at),
                        Outcome::Done => row.state == State::Done,
                        Outcome::Failed => row.state == State::Failed,
                        Outcome::Skipped => row.state == State::Skipped,
                    };
                let old = followed.lives.iter().any(|(of, life)| *of == at && *life == row.life.0);
                if !is_so || outcome == Outcome::Up && old {
                    let (name, outcome) = (engine.name(at), outcome.name());
                    return Err(Broken(format!(
                        "transactions: {number} says that {} is {outcome}, and it is {}, {:?}",
                        name.as_str(),
                        phase.name(),
                        row.state
                    )));
                }
            }
            if engine.transaction(*number) != Standing::Running {
                ended.push(*number);
            }
        }
        open.retain(|number, _| !ended.contains(number));
        self.open = open;
        Ok(())
    }
}

/// A fact's words with its attributes sorted.
pub fn sorted(fact: &str) -> String {
    let mut words: Vec<&str> = fact.split(' ').collect();
    words[1..].sort_unstable();
    words.join(" ")
}
