//! Every reachable state of small graphs, breadth first, with the invariants of the design at each state.
//!
//! Graphs: two or three services; each pair has one of `needs`, `binds`, `wants`, `after`, `conflicts` or nothing, always
//! from the later to the earlier by name, and once more with the names turned round, so that the order of slots and that
//! of dependencies agree and disagree. Any acyclic graph is one of these under some naming; what is left out are namings
//! that change only which of two equals comes first. One service has `while = net`.
//!
//! Inputs: start, stop, restart of each, the condition on and off. The supervisor acts on orders and tells it; processes
//! become ready, die, fail, end, in any order, also those of an earlier order while a newer one is not seen yet. All that
//! can be reached with as many inputs and deaths as `BUDGET`, in every order; all there is with `PINTLE_EXPLORE=all`.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;

use super::world::{World, database};
use pintle::board::orders::{OrderRow, Wish};
use pintle::board::published::{Blocker, PublishedRow};
use pintle::board::reports::{ReportRow, State};
use pintle::engine::{Capacities, Engine, Input, Sender, Target, Verb};
use pintle::graph::{Goal, Phase, Relation};
use pintle::ident::SlotId;
use pintle::time::Instant;

/// Inputs and deaths on a path through a graph of two, and of three; without bound where `PINTLE_EXPLORE=all`.
const BUDGET: [u32; 2] = [5, 2];
/// Moves after which a world without inputs and deaths must be at rest.
const BOUND: usize = 60;

/// What can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Move {
    Command(Verb, SlotId),
    On,
    Off,
    /// The supervisor acts on the newest order.
    Obey(SlotId),
    /// A process becomes ready.
    Ready(SlotId),
    /// A process that was told to go is gone.
    Gone(SlotId),
    /// Policy begins the next life.
    Again(SlotId),
    Die(SlotId),
    Fail(SlotId),
}

/// A world between two moves.
#[derive(Clone)]
struct Saved {
    engine: Engine<'static>,
    words: Vec<u32>,
    reports: Vec<ReportRow>,
    acted: Vec<Wish>,
    on: bool,
    stamp: u64,
    left: u32,
    from: Option<(usize, Move)>,
}

struct Explorer {
    world: World,
    slots: u32,
    acted: Vec<Wish>,
    on: bool,
    text: String,
}

impl Explorer {
    fn new(text: &str) -> Explorer {
        let world = World::over(database(text), Capacities { conditions: 1, transactions: 1, entries: 3 });
        let slots = world.geometry.services;
        Explorer { world, slots, acted: vec![Wish::Down; slots as usize], on: false, text: text.to_string() }
    }

    fn ids(&self) -> impl Iterator<Item = SlotId> + use<> {
        (0..self.slots).map(SlotId)
    }

    fn save(&self, left: u32, from: Option<(usize, Move)>) -> Saved {
        Saved {
            engine: self.world.engine.clone(),
            words: self.world.words(),
            reports: self.world.reports.clone(),
            acted: self.acted.clone(),
            on: self.on,
            stamp: self.world.stamp,
            left,
            from,
        }
    }

    fn restore(&mut self, saved: &Saved) {
        for (word, value) in self.world.memory.iter().zip(&saved.words) {
            word.store(*value, Ordering::Relaxed);
        }
        self.world.engine = saved.engine.clone();
        self.world.reports.clone_from(&saved.reports);
        self.acted.clone_from(&saved.acted);
        self.on = saved.on;
        self.world.stamp = saved.stamp;
    }

    /// All that can happen now.
    fn moves(&self, with_inputs: bool) -> Vec<Move> {
        let mut moves = Vec::new();
        for at in self.ids() {
            let report = &self.world.reports[at.index()];
            if self.world.engine.order(at).number != report.order {
                moves.push(Move::Obey(at));
            }
            match report.state {
                State::Starting => moves.push(Move::Ready(at)),
                State::Stopping => moves.push(Move::Gone(at)),
                State::Delayed => moves.push(Move::Again(at)),
                _ => {}
            }
        }
        if with_inputs {
            for at in self.ids() {
                moves.extend([Verb::Start, Verb::Stop, Verb::Restart].map(|verb| Move::Command(verb, at)));
                if matches!(self.world.reports[at.index()].state, State::Starting | State::Up) {
                    moves.extend([Move::Die(at), Move::Fail(at)]);
                }
            }
            moves.push(if self.on { Move::Off } else { Move::On });
        }
        moves
    }

    /// The supervisor's side of a move about a slot.
    fn turn(&mut self, at: SlotId, next: Move) {
        let wish = self.world.engine.order(at);
        let acted = &mut self.acted[at.index()];
        let row = &mut self.world.reports[at.index()];
        let begin = |row: &mut ReportRow, stamp: &mut u64| {
            *stamp += 1;
            (row.state, row.began, row.ready, row.attempt) = (State::Starting, *stamp, 0, (row.attempt + 1).min(2));
        };
        let stamp = &mut self.world.stamp;
        match next {
            Move::Obey(_) => {
                (row.order, row.attempt, *acted) = (wish.number, 0, wish.wish);
                match (row.state.has_process(), wish.wish) {
                    (true, _) => row.state = State::Stopping,
                    (false, Wish::Down) => row.state = State::Down,
                    (false, Wish::Up) => begin(row, stamp),
                }
            }
            Move::Gone(_) if *acted == Wish::Up => begin(row, stamp),
            Move::Gone(_) => row.state = State::Down,
            Move::Again(_) => begin(row, stamp),
            Move::Ready(_) => {
                *stamp += 1;
                (row.state, row.ready) = (State::Up, *stamp);
            }
            Move::Die(_) => row.state = State::Delayed,
            Move::Fail(_) => row.state = State::Failed,
            Move::Command(..) | Move::On | Move::Off => {}
        }
    }

    /// Gives `act` the engine's input of a move.
    fn with_input(&mut self, next: Move, act: &mut dyn FnMut(&mut Engine<'static>, Input<'_>)) {
        let sender = Sender::default();
        let engine = &mut self.world.engine;
        match next {
            Move::Command(verb, at) => act(engine, Input::Command { verb, targets: &[Target::Slot(at)] }),
            Move::On => act(engine, Input::On { fact: b"net", sender, lease: 0 }),
            Move::Off => act(engine, Input::Off { fact: b"net" }),
            Move::Obey(at) | Move::Ready(at) | Move::Gone(at) | Move::Again(at) | Move::Die(at) | Move::Fail(at) => {
                act(engine, Input::Report(at, &self.world.reports[at.index()]))
            }
        }
    }

    /// Makes a move and checks the orders that it led to.
    fn step(&mut self, next: Move) -> Result<(), String> {
        match next {
            Move::On => self.on = true,
            Move::Off => self.on = false,
            Move::Command(..) => {}
            Move::Obey(at) | Move::Ready(at) | Move::Gone(at) | Move::Again(at) | Move::Die(at) | Move::Fail(at) => {
                self.turn(at, next)
            }
        }
        let before: Vec<OrderRow> = self.ids().map(|at| self.world.engine.order(at)).collect();
        self.with_input(next, &mut |engine, input| {
            // A refused command (a restart of what is not wished) changes nothing, which is a state like any other.
            let _ = engine.step(Instant(1), input);
        });
        while self.world.engine.take_dirty().is_some() {}
        for at in self.ids() {
            let order = self.world.engine.order(at);
            if order.number != before[at.index()].number {
                self.check_order(at, &order)?;
            }
        }
        self.check_always()
    }

    fn is_up(&self, at: SlotId) -> bool {
        let (order, report) = (self.world.engine.order(at), &self.world.reports[at.index()]);
        order.wish == Wish::Up && report.order == order.number && report.state == State::Up
    }

    /// No process, and none ordered.
    fn is_down(&self, at: SlotId) -> bool {
        let (order, report) = (self.world.engine.order(at), &self.world.reports[at.index()]);
        report.order == order.number && matches!(report.state, State::Down | State::Failed | State::Done)
    }

    /// Invariants 1 and 2.
    fn check_order(&self, at: SlotId, order: &OrderRow) -> Result<(), String> {
        let name = |at: SlotId| self.world.image.name(at);
        if order.wish == Wish::Up && !order.restart {
            for edge in self.world.image.edges(at) {
                let hard = matches!(edge.relation, Relation::Needs | Relation::Binds | Relation::NeedsToStart);
                if hard && !self.is_up(edge.slot) {
                    return Err(format!("1: {} is started while {} is not up", name(at), name(edge.slot)));
                }
            }
        }
        if order.wish == Wish::Down {
            for edge in self.world.image.reverse(at) {
                if matches!(edge.relation, Relation::Needs | Relation::Binds) && !self.is_down(edge.slot) {
                    return Err(format!("2: {} is stopped while {} is not down", name(at), name(edge.slot)));
                }
            }
        }
        Ok(())
    }

    /// Invariant 9.
    fn check_always(&self) -> Result<(), String> {
        for at in self.ids() {
            let has_process = |at: SlotId| !self.is_down(at) || self.world.reports[at.index()].state.has_process();
            for edge in self.world.image.edges(at).filter(|edge| edge.relation == Relation::Conflicts) {
                if has_process(at) && has_process(edge.slot) {
                    return Err(format!("9: {} and {}", self.world.image.name(at), self.world.image.name(edge.slot)));
                }
            }
        }
        Ok(())
    }

    /// Invariants 3 and 5, at rest.
    fn check_rest(&self) -> Result<(), String> {
        for at in self.ids() {
            let row = self.world.engine.published(at);
            let name = self.world.image.name(at);
            let gated =
                !self.on && self.world.image.service(at, pintle::database::service::WHILE) != pintle::database::NONE;
            let edges = || self.world.image.edges(at);
            let lacks = |hard: fn(Relation) -> bool| edges().any(|edge| hard(edge.relation) && !self.is_up(edge.slot));
            if row.phase == Phase::Up {
                if row.goal == Goal::Down || gated || lacks(|r| matches!(r, Relation::Needs | Relation::Binds)) {
                    return Err(format!("3: {name} is up: {row:?}"));
                }
            } else if row.goal == Goal::Up {
                let unmet = lacks(|r| matches!(r, Relation::Needs | Relation::Binds | Relation::NeedsToStart));
                if !(matches!(row.phase, Phase::Failed | Phase::Done | Phase::Skipped) || gated || unmet) {
                    return Err(format!("3: {name} is not up: {row:?}"));
                }
            } else if !self.is_down(at) {
                return Err(format!("3: {name} is not down: {row:?}"));
            }
        }
        Ok(())
    }

    /// Invariant 4, then 3: from here on nothing bad happens any more.
    fn check_ends(&mut self) -> Result<(), String> {
        for _ in 0..BOUND {
            let moves = self.moves(false);
            let Some(next) = moves.first() else { return self.check_rest() };
            self.step(*next)?;
        }
        Err("4: does not come to rest".to_string())
    }

    /// Invariant 6: an engine that takes over, here or in the middle of a step that began here, thinks the same.
    fn check_death(&mut self, last: Option<Move>) -> Result<(), String> {
        let slots = self.slots;
        let seen = |engine: &Engine<'static>| -> Vec<(u32, [u32; 7], OrderRow, PublishedRow)> {
            let look = |at| {
                let mut row = engine.published(at);
                // Which of several it waits for is found from where the last search ended.
                row.blocker = match row.blocker {
                    Blocker::NeedsUp(_) => Blocker::NeedsUp(at),
                    Blocker::Settles(_) => Blocker::Settles(at),
                    Blocker::DependentStops(_) => Blocker::DependentStops(at),
                    Blocker::Conflict(_) => Blocker::Conflict(at),
                    other => other,
                };
                (engine.told_bits(at), engine.facts(at), engine.order(at), row)
            };
            (0..slots).map(SlotId).map(look).collect()
        };
        let before = seen(&self.world.engine);
        let dying = self.world.engine.clone();
        let mut dying = Some(dying);
        if let Some(next) = last {
            self.with_input(next, &mut |_, input| {
                if let Some(engine) = dying.take() {
                    engine.step_and_die(Instant(1), input);
                }
            });
        }
        let world = &self.world;
        let next =
            Engine::open(world.image, world.geometry, world.capacities, world.memory).ok_or("6: not taken over")?;
        let after = seen(&next);
        if before == after { Ok(()) } else { Err(format!("6: {before:?}\nbecame\n{after:?}")) }
    }

    /// What makes this state another than the rest. Of stamps only matters which of two that are ever compared is newer.
    fn key(&self, left: u32) -> Vec<u32> {
        let mut key = vec![left, u32::from(self.on)];
        for at in self.ids() {
            let [holds, state, order, start, stop, _, ready] = self.world.engine.facts(at);
            let report = &self.world.reports[at.index()];
            key.extend([holds, state, start, stop, report.state as u32, report.attempt]);
            key.push(
                u32::from(order != 0)
                    | u32::from(report.order.0 != order) << 1
                    | u32::from(report.order.0 != 0) << 2
                    | u32::from(self.acted[at.index()] == Wish::Up) << 3
                    | u32::from(ready == report.ready as u32) << 4,
            );
            for edge in self.world.image.edges(at).filter(|edge| edge.relation == Relation::Binds) {
                let target = &self.world.reports[edge.slot.index()];
                let target_facts = self.world.engine.facts(edge.slot);
                let began = self.world.engine.facts(at)[5];
                for began in [began, report.began as u32] {
                    key.extend([target_facts[6], target.ready as u32].map(|ready| u32::from(ready > began)));
                }
            }
        }
        key
    }

    /// All states; gives how many, and how many moves.
    fn explore(&mut self, budget: Option<u32>) -> (usize, usize) {
        let mut known: HashMap<Vec<u32>, ()> = HashMap::new();
        let mut states: Vec<Saved> = Vec::new();
        let mut todo = VecDeque::new();
        let mut moves = 0;
        while self.world.engine.take_dirty().is_some() {}
        let left = budget.unwrap_or(0);
        known.insert(self.key(left), ());
        states.push(self.save(left, None));
        todo.push_back(0);
        while let Some(index) = todo.pop_front() {
            let from = states[index].clone();
            // Only what lies ahead needs the memory; the path needs the moves alone.
            states[index].words = Vec::new();
            self.restore(&from);
            for next in self.moves(budget.is_none() || from.left > 0) {
                self.restore(&from);
                moves += 1;
                let is_input = !matches!(next, Move::Obey(_) | Move::Ready(_) | Move::Gone(_) | Move::Again(_));
                let left = from.left - u32::from(is_input && budget.is_some());
                let mut result = self.step(next);
                if result.is_ok() {
                    let key = self.key(left);
                    if known.contains_key(&key) {
                        continue;
                    }
                    known.insert(key, ());
                    let saved = self.save(left, Some((index, next)));
                    states.push(saved.clone());
                    todo.push_back(states.len() - 1);
                    result = self.check_death(Some(next));
                    self.restore(&saved);
                    result = result.and_then(|()| self.check_ends());
                }
                if let Err(fault) = result {
                    panic!("{fault}\n{}{}", self.text, path(&states, index, next));
                }
            }
        }
        (states.len(), moves)
    }
}

fn path(states: &[Saved], mut index: usize, last: Move) -> String {
    let mut moves = vec![last];
    while let Some((before, step)) = states[index].from {
        moves.push(step);
        index = before;
    }
    moves.iter().rev().map(|step| format!("\n  {step:?}")).collect()
}

const KINDS: [&str; 6] = ["", "needs", "binds", "wants", "after", "conflicts"];

/// The graphs of `count` services, one with each choice of a relation for each pair.
fn graphs(count: usize) -> Vec<String> {
    let pairs: Vec<(usize, usize)> = (1..count).flat_map(|from| (0..from).map(move |to| (from, to))).collect();
    let mut texts = Vec::new();
    for choice in 0..KINDS.len().pow(pairs.len() as u32) {
        for names in [["a", "b", "c"], ["c", "b", "a"]] {
            let mut lines = vec![String::new(); count];
            let mut rest = choice;
            for (from, to) in &pairs {
                let kind = KINDS[rest % KINDS.len()];
                rest /= KINDS.len();
                if !kind.is_empty() {
                    lines[*from] += &format!("{kind} = {};", names[*to]);
                }
            }
            lines[0] += "while = net;";
            if let Some(text) = text_of(&lines, &names) {
                texts.push(text);
            }
        }
    }
    texts
}

/// The files; nothing where one key would stand twice, or something needs what conflicts with what it needs.
fn text_of(lines: &[String], names: &[&str]) -> Option<String> {
    let mut text = String::new();
    for (line, name) in lines.iter().zip(names) {
        let mut keys: Vec<(String, Vec<String>)> = Vec::new();
        for part in line.split(';').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once(" = ")?;
            match keys.iter_mut().find(|(known, _)| known == key) {
                Some((_, values)) => values.push(value.to_string()),
                None => keys.push((key.to_string(), vec![value.to_string()])),
            }
        }
        let keys: Vec<String> = keys.iter().map(|(key, values)| format!("{key} = {}", values.join(" "))).collect();
        text += &format!("{name}: {}\n", keys.join("; "));
    }
    super::world::compiles(&text).then_some(text)
}

fn explore(count: usize) {
    let all = std::env::var_os("PINTLE_EXPLORE").is_some_and(|value| value == "all");
    let budget = (!all).then_some(BUDGET[count - 2]);
    let graphs = graphs(count);
    let (mut states, mut moves) = (0, 0);
    for text in &graphs {
        let (more, steps) = Explorer::new(text).explore(budget);
        states += more;
        moves += steps;
    }
    println!("{} graphs of {count} services, budget {budget:?}: {states} states, {moves} moves", graphs.len());
}

#[test]
fn states_of_two_services() {
    explore(2);
}

#[test]
fn states_of_three_services() {
    explore(3);
}
