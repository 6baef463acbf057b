//! Every state that small graphs with choices can reach with a few inputs and deaths, in every order: who may start and
//! who has to stop first, what is chosen, that each is tried once, and that an engine that takes over anywhere thinks
//! the same.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;

use super::world::{World, database};
use pintle::board::orders::{OrderRow, Wish};
use pintle::board::published::Blocker;
use pintle::board::reports::{ReportRow, State};
use pintle::database::service::flags;
use pintle::engine::{Capacities, Engine, Input, NOBODY, Target, Verb};
use pintle::graph::{Goal, Phase, Relation};
use pintle::ident::SlotId;
use pintle::limits::ALTERNATIVES_MAX;
use pintle::time::Instant;

/// Inputs and deaths on a path; one less where the build is slow.
const BUDGET: u32 = if cfg!(debug_assertions) { 2 } else { 3 };
/// Moves after which a world without inputs and deaths must be at rest.
const BOUND: usize = 80;

const GRAPHS: [&str; 8] = [
    "a:\nb:\nd: needs = a|b",
    "a:\nb:\nd: binds = b|a",
    "a: provides = m; conflicts = m\nb: provides = m; conflicts = m\nd: needs = m",
    "a:\nb:\nd: needs = a|b\ne: wants = b|a",
    "a:\nb: needs = a\nd: needs-to-start = a|b; binds = b|a",
    "x:\na: needs = x\nb:\nd: needs = a|b",
    "x:\na: needs = x\nb: wants = x\nd: binds = a|b",
    "a:\nb:\nc: needs = a|b\nd: needs = c|b",
];

#[derive(Clone, Copy, Debug)]
enum Move {
    Command(Verb, SlotId),
    /// The supervisor acts on the newest order.
    Obey(SlotId),
    /// What its process does next when nothing goes wrong.
    Next(SlotId),
    Die(SlotId),
    Fail(SlotId),
}

#[derive(Clone)]
struct Saved {
    engine: Engine<'static>,
    words: Vec<u32>,
    reports: Vec<ReportRow>,
    acted: Vec<Wish>,
    stamp: u64,
    left: u32,
    path: Vec<Move>,
}

struct Explorer {
    world: World,
    acted: Vec<Wish>,
}

impl Explorer {
    fn ids(&self) -> impl Iterator<Item = SlotId> + use<> {
        (0..self.world.geometry.services).map(SlotId)
    }

    fn name(&self, at: SlotId) -> &'static str {
        self.world.image.name(at)
    }

    fn is_choice(&self, at: SlotId) -> bool {
        self.world.image.flags(at) & flags::CHOICE != 0
    }

    fn targets(&self, at: SlotId) -> impl Iterator<Item = (Relation, SlotId)> + use<> {
        self.world.image.edges(at).map(|edge| (edge.relation, edge.slot))
    }

    /// By its facts.
    fn has_chosen(&self, choice: SlotId) -> Option<SlotId> {
        let place = self.world.engine.facts(choice)[5] >> ALTERNATIVES_MAX;
        self.targets(choice).nth(place.checked_sub(1)? as usize).map(|(_, at)| at)
    }

    /// What the choice shows that it has chosen.
    fn chosen(&self, at: SlotId) -> Option<SlotId> {
        match self.world.engine.published(at).blocker {
            Blocker::Chosen(other) | Blocker::NeedsUp(other) => Some(other),
            _ => None,
        }
    }

    fn is_up(&self, at: SlotId) -> bool {
        if self.is_choice(at) {
            return self.targets(at).any(|(_, alternative)| self.is_up(alternative));
        }
        let (order, report) = (self.world.engine.order(at), &self.world.reports[at.index()]);
        order.wish == Wish::Up && report.order == order.number && report.state == State::Up
    }

    fn is_down(&self, at: SlotId) -> bool {
        let (order, report) = (self.world.engine.order(at), &self.world.reports[at.index()]);
        report.order == order.number && matches!(report.state, State::Down | State::Failed | State::Done)
    }

    fn save(&self, left: u32, path: Vec<Move>) -> Saved {
        let (engine, words) = (self.world.engine.clone(), self.world.words());
        let (reports, acted) = (self.world.reports.clone(), self.acted.clone());
        Saved { engine, words, reports, acted, stamp: self.world.stamp, left, path }
    }

    fn restore(&mut self, saved: &Saved) {
        for (word, value) in self.world.memory.iter().zip(&saved.words) {
            word.store(*value, Ordering::Relaxed);
        }
        self.world.engine = saved.engine.clone();
        self.world.reports.clone_from(&saved.reports);
        self.acted.clone_from(&saved.acted);
        self.world.stamp = saved.stamp;
    }

    fn moves(&self, with_inputs: bool) -> Vec<Move> {
        let mut moves = Vec::new();
        for at in self.ids() {
            let report = &self.world.reports[at.index()];
            if self.world.engine.order(at).number != report.order {
                moves.push(Move::Obey(at));
            }
            if matches!(report.state, State::Starting | State::Stopping | State::Delayed) {
                moves.push(Move::Next(at));
            }
            if with_inputs && matches!(report.state, State::Starting | State::Up) {
                moves.extend([Move::Die(at), Move::Fail(at)]);
            }
        }
        if with_inputs {
            for at in self.ids() {
                let verbs = [Verb::Start, Verb::Stop, Verb::Restart, Verb::Reset, Verb::Release];
                moves.extend(verbs.map(|verb| Move::Command(verb, at)));
            }
        }
        moves
    }

    fn with_input(&mut self, next: Move, act: &mut dyn FnMut(&mut Engine<'static>, Input<'_>)) {
        let engine = &mut self.world.engine;
        match next {
            Move::Command(verb, at) => act(engine, Input::Command { verb, targets: &[Target::Slot(at)], uid: NOBODY }),
            Move::Obey(at) | Move::Next(at) | Move::Die(at) | Move::Fail(at) => {
                act(engine, Input::Report(at, &self.world.reports[at.index()]));
            }
        }
    }

    fn turn(&mut self, next: Move) {
        let (Move::Obey(at) | Move::Next(at) | Move::Die(at) | Move::Fail(at)) = next else { return };
        let wish = self.world.engine.order(at);
        let (row, acted) = (&mut self.world.reports[at.index()], &mut self.acted[at.index()]);
        let stamp = &mut self.world.stamp;
        *stamp += 1;
        let begin = |row: &mut ReportRow| {
            (row.state, row.began, row.ready, row.attempt) = (State::Starting, *stamp, 0, (row.attempt + 1).min(2));
        };
        match next {
            Move::Obey(_) => {
                (row.order, row.attempt, *acted) = (wish.number, 0, wish.wish);
                match (row.state.has_process(), wish.wish) {
                    (true, _) => row.state = State::Stopping,
                    (false, Wish::Down) => row.state = State::Down,
                    (false, Wish::Up) => begin(row),
                }
            }
            Move::Next(_) if row.state == State::Starting => (row.state, row.ready) = (State::Up, *stamp),
            Move::Next(_) if *acted == Wish::Down => row.state = State::Down,
            Move::Next(_) => begin(row),
            Move::Die(_) => row.state = State::Delayed,
            Move::Fail(_) => row.state = State::Failed,
            Move::Command(..) => {}
        }
    }

    fn step(&mut self, next: Move) -> Result<(), String> {
        self.turn(next);
        let before: Vec<OrderRow> = self.ids().map(|at| self.world.engine.order(at)).collect();
        let chosen: Vec<Option<SlotId>> = self.ids().map(|at| self.has_chosen(at)).collect();
        self.with_input(next, &mut |engine, input| {
            // What is refused changes nothing, which is a state like any other.
            let _ = engine.step(Instant(1), input);
        });
        while self.world.engine.take_dirty().is_some() {}
        while self.world.engine.take_ended().is_some() {}
        for at in self.ids() {
            let order = self.world.engine.order(at);
            if order.number != before[at.index()].number {
                self.check_order(at, &order, &chosen)?;
            }
        }
        self.check_always()
    }

    /// Invariants 1 and 2. What needs a choice needs the alternative that this had chosen before this step, until
    /// another is up.
    fn check_order(&self, at: SlotId, order: &OrderRow, chosen: &[Option<SlotId>]) -> Result<(), String> {
        if order.wish == Wish::Up && !order.restart {
            for (relation, to) in self.targets(at) {
                let hard = matches!(relation, Relation::Needs | Relation::Binds | Relation::NeedsToStart);
                if hard && !self.is_up(to) {
                    return Err(format!("1: {} is started while {} is not up", self.name(at), self.name(to)));
                }
            }
        }
        if order.wish == Wish::Down {
            for edge in self.world.image.reverse(at) {
                let choice = self.is_choice(edge.slot);
                let others_up = choice && self.targets(edge.slot).any(|(_, other)| other != at && self.is_up(other));
                let others_up = others_up || chosen[edge.slot.index()] != Some(at);
                let (direct, through) = (edge, self.world.image.reverse(edge.slot));
                let sources = through.filter(|_| choice && !others_up).chain(Some(direct).filter(|_| !choice));
                for source in sources {
                    let follows = matches!(source.relation, Relation::Needs | Relation::Binds);
                    if follows && !self.is_down(source.slot) {
                        return Err(format!(
                            "2: {} is stopped while {} is not down",
                            self.name(at),
                            self.name(source.slot)
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Invariant 9, and: a choice is up only by one that is up or restarts.
    fn check_always(&self) -> Result<(), String> {
        for at in self.ids() {
            let has_process = |at: SlotId| !self.is_down(at) || self.world.reports[at.index()].state.has_process();
            for (relation, other) in self.targets(at) {
                if relation == Relation::Conflicts && has_process(at) && has_process(other) {
                    return Err(format!("9: {} and {}", self.name(at), self.name(other)));
                }
            }
            let row = self.world.engine.published(at);
            if self.is_choice(at) && row.phase == Phase::Up && row.blocker != Blocker::Ordered {
                let by = self.chosen(at).filter(|by| self.world.engine.published(*by).phase == Phase::Up);
                let going = matches!(row.blocker, Blocker::DependentStops(_));
                if by.is_none() && !going {
                    return Err(format!("{} is up by nothing: {row:?}", self.name(at)));
                }
            }
        }
        Ok(())
    }

    /// At rest: what comes up only when somebody repairs something.
    fn is_barred(&self, at: SlotId) -> bool {
        let row = self.world.engine.published(at);
        let mut targets = self.targets(at);
        let lacks = match self.is_choice(at) {
            true => targets.all(|(_, to)| self.is_barred(to)),
            false => targets.any(|(relation, to)| {
                let hard = [Relation::Needs, Relation::Binds, Relation::NeedsToStart];
                hard.contains(&relation) && self.is_barred(to)
            }),
        };
        row.phase != Phase::Up && (row.phase == Phase::Failed || row.holds.marked() || lacks)
    }

    /// Invariants 3 and 5 at rest.
    fn check_rest(&self) -> Result<(), String> {
        for at in self.ids() {
            let row = self.world.engine.published(at);
            let lacks = |relations: &[Relation]| {
                self.targets(at).any(|(relation, to)| {
                    let up = if self.is_choice(to) {
                        self.world.engine.published(to).phase == Phase::Up
                    } else {
                        self.is_up(to)
                    };
                    relations.contains(&relation) && !up
                })
            };
            let broken = |why: &str| Err(format!("3: {} {why}: {row:?}", self.name(at)));
            if self.is_choice(at) {
                let marked = |at: SlotId| self.world.engine.published(at).holds.marked();
                let ended = |at: SlotId| self.world.reports[at.index()].state == State::Failed;
                let usable = self.targets(at).any(|(_, other)| self.is_up(other) && !marked(other));
                let pulled = self.targets(at).filter(|(_, to)| Some(*to) == self.chosen(at)).count();
                match (row.goal, row.phase) {
                    (Goal::Down, Phase::Down) => {}
                    (Goal::Up, Phase::Up) if usable && pulled == 1 => {}
                    (Goal::Up, Phase::Waiting) if usable => return broken("waits though one is up"),
                    (Goal::Up, Phase::Waiting) if pulled == 1 => {
                        let to = self.chosen(at).expect("it is pulled");
                        if ended(to) && self.world.engine.published(to).phase == Phase::Failed || marked(to) {
                            return broken("waits for what will not come");
                        }
                        let tried = self.world.engine.facts(at)[5];
                        let better = |(place, (_, other)): (usize, (Relation, SlotId))| {
                            tried >> place & 1 == 0 && !self.is_barred(other)
                        };
                        if self.is_barred(to) && self.targets(at).enumerate().any(better) {
                            return broken("waits for what somebody has to repair, and there is another");
                        }
                    }
                    (Goal::Up, Phase::Waiting) => {}
                    _ => return broken("is no rest"),
                }
            } else if row.phase == Phase::Up {
                if row.goal == Goal::Down || lacks(&[Relation::Needs, Relation::Binds]) {
                    return broken("is up");
                }
            } else if row.goal == Goal::Up {
                let hard = [Relation::Needs, Relation::Binds, Relation::NeedsToStart];
                if row.phase != Phase::Failed && !lacks(&hard) {
                    return broken("is not up");
                }
            } else if !self.is_down(at) {
                return broken("is not down");
            }
        }
        Ok(())
    }

    /// Invariant 4: nothing bad happens any more, and each alternative is tried once.
    fn check_ends(&mut self) -> Result<(), String> {
        for _ in 0..BOUND {
            match self.moves(false).first() {
                Some(next) => self.step(*next)?,
                None => return self.check_rest(),
            }
        }
        Err("4: does not come to rest".to_string())
    }

    /// ... also where every start fails.
    fn check_ends_failing(&mut self) -> Result<(), String> {
        for _ in 0..BOUND {
            let Some(next) = self.moves(false).first().copied() else { return self.check_rest() };
            let next = match next {
                Move::Next(at) if self.world.reports[at.index()].state == State::Starting => Move::Fail(at),
                other => other,
            };
            self.step(next)?;
        }
        Err("4: does not come to rest where all fails".to_string())
    }

    /// Invariant 6.
    fn check_death(&mut self, last: Move) -> Result<(), String> {
        let ids: Vec<SlotId> = self.ids().collect();
        let look = |engine: &Engine<'static>| -> Vec<_> {
            ids.iter()
                .map(|&at| {
                    let row = engine.published(at);
                    let known = (row.phase, row.goal, row.holds.0, core::mem::discriminant(&row.blocker));
                    (engine.told_bits(at), engine.facts(at), engine.order(at), known)
                })
                .collect()
        };
        let before = look(&self.world.engine);
        let mut dying = Some(self.world.engine.clone());
        self.with_input(last, &mut |_, input| {
            dying.take().into_iter().for_each(|engine| engine.step_and_die(Instant(1), input));
        });
        let world = &self.world;
        let next = Engine::open(world.image, world.geometry, world.capacities, world.memory).ok_or("6: refused")?;
        let after = look(&next);
        if before == after { Ok(()) } else { Err(format!("6: {before:x?}\nbecame\n{after:x?}")) }
    }

    /// What makes this state another than the rest. Of stamps only matters which of two that are compared is newer.
    fn key(&self, left: u32) -> Vec<u32> {
        let mut key = vec![left];
        for at in self.ids() {
            let [holds, state, order, _, _, began, ready] = self.world.engine.facts(at);
            let report = &self.world.reports[at.index()];
            key.extend([holds, state, report.state as u32, report.attempt, u32::from(report.order.0 != order)]);
            key.extend([u32::from(order != 0), u32::from(report.order.0 != 0), self.acted[at.index()] as u32]);
            if self.is_choice(at) {
                key.push(began);
            }
            for other in self.ids().filter(|other| !self.is_choice(*other)) {
                let (facts, its) = (self.world.engine.facts(other), &self.world.reports[other.index()]);
                let newer = |ready: u32, began: u32| u32::from(ready > began);
                key.push(newer(ready, facts[5]) | newer(report.ready as u32, its.began as u32) << 1);
            }
        }
        key
    }

    fn explore(&mut self, text: &str) -> usize {
        while self.world.engine.take_dirty().is_some() {}
        let mut known = HashSet::from([self.key(BUDGET)]);
        let mut todo = VecDeque::from([self.save(BUDGET, Vec::new())]);
        while let Some(from) = todo.pop_front() {
            self.restore(&from);
            for next in self.moves(from.left > 0) {
                self.restore(&from);
                let is_input = !matches!(next, Move::Obey(_) | Move::Next(_));
                let left = from.left - u32::from(is_input);
                let mut result = self.step(next);
                if result.is_ok() && known.insert(self.key(left)) {
                    let saved = self.save(left, [from.path.as_slice(), &[next]].concat());
                    result = self.check_death(next);
                    self.restore(&saved);
                    result = result.and_then(|()| self.check_ends());
                    self.restore(&saved);
                    result = result.and_then(|()| self.check_ends_failing());
                    todo.push_back(saved);
                }
                if let Err(fault) = result {
                    panic!("{fault}\n{text}\n{:?} {next:?}", from.path);
                }
            }
        }
        known.len()
    }
}

#[test]
fn every_state_of_small_graphs_with_choices() {
    let mut states = 0;
    for text in GRAPHS {
        let world = World::over(database(text), Capacities { conditions: 1, transactions: 1, entries: 4 });
        let acted = vec![Wish::Down; world.geometry.services as usize];
        states += Explorer { world, acted }.explore(text);
    }
    println!("{} graphs with choices, {BUDGET} inputs and deaths: {states} states", GRAPHS.len());
}
