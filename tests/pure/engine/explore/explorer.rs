//! One graph's world between its moves: saved, restored, moved on, and told apart from others by a key.

use std::sync::atomic::{AtomicU32, Ordering};

use super::choices::Before;
use super::graphs::{Graph, Kind, MOST};
use super::moves::{Move, Net, Row, commands, orders, with_input};
use super::spec::{Edges, Spec};
use pintle::board::Geometry;
use pintle::board::reports::State;
use pintle::database::Image;
use pintle::engine::{Capacities, Engine, Refusal, probe};
use pintle::graph::{Goal, Phase, Relation};
use pintle::ident::SlotId;
use pintle::time::Instant;

/// Room for what is under way within one step of a test.
pub const CAPACITIES: Capacities = Capacities { conditions: 1, transactions: 2, entries: 64 };
/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// When a process-less slot that had to wait may move again, and when a condition has been changing for too long.
const SOON: Instant = Instant(SECOND * 2);
const LATE: Instant = Instant(SECOND * 20);

/// A state that is to be looked at.
pub struct Saved<'e> {
    engine: Engine<'e>,
    words: Box<[u32]>,
    rows: [Row; MOST],
    net: Net,
    booted: bool,
    pub key: u128,
    pub index: u32,
    pub used: u32,
}

pub struct Explorer<'e> {
    pub graph: &'e Graph,
    pub image: Image<'e>,
    pub geometry: Geometry,
    pub memory: &'e [AtomicU32],
    ranges: [std::ops::Range<usize>; 5],
    pub edges: Edges,
    pub engine: Engine<'e>,
    pub rows: [Row; MOST],
    pub net: Net,
    booted: bool,
    stamp: u32,
    /// The limit on parallel starts; where there is one, processes may be unkillable, too.
    pub limit: u32,
    /// Every transition is killed once, and every stale report is told in every state.
    pub thorough: bool,
}

impl<'e> Explorer<'e> {
    pub fn new(
        graph: &'e Graph,
        image: Image<'e>,
        memory: &'e [AtomicU32],
        limit: u32,
        thorough: bool,
    ) -> Explorer<'e> {
        let geometry = Geometry::of(&image);
        let mut engine = Engine::open(image, geometry, CAPACITIES, memory).expect("memory is as large as asked for");
        engine.limit_starts(limit);
        // The text of the condition stands in its row from now on.
        for next in [Move::On, Move::Off] {
            let _ = with_input(next, &[], |input| engine.step(Instant(1), input));
        }
        while engine.take_dirty().is_some() {}
        while engine.take_condition().is_some() {}
        engine.forget_transactions();
        let [facts, derived, sets] = probe::state_ranges(geometry, CAPACITIES);
        Explorer {
            graph,
            image,
            geometry,
            memory,
            ranges: [
                facts,
                probe::condition_range(geometry, CAPACITIES, 0),
                derived,
                sets,
                probe::line_range(geometry, CAPACITIES),
            ],
            edges: edges(graph, &image),
            engine,
            rows: [Row::default(); MOST],
            net: Net::Off,
            booted: false,
            stamp: 0,
            limit,
            thorough,
        }
    }

    pub fn count(&self) -> usize {
        self.graph.count
    }

    pub fn slots(&self) -> impl Iterator<Item = (usize, SlotId)> + use<> {
        (0..self.graph.count).map(|at| (at, SlotId(at as u32)))
    }

    fn words(&self) -> impl Iterator<Item = &'e AtomicU32> + use<'_, 'e> {
        self.ranges.iter().flat_map(|range| &self.memory[range.clone()])
    }

    pub fn save(&self, key: u128, index: u32, used: u32) -> Saved<'e> {
        let words = self.words().map(|word| word.load(Ordering::Relaxed)).collect();
        let (rows, net, booted) = (self.rows, self.net, self.booted);
        Saved { engine: self.engine.clone(), words, rows, net, booted, key, index, used }
    }

    pub fn restore(&mut self, saved: &Saved<'e>) {
        for (word, value) in self.words().zip(&saved.words) {
            word.store(*value, Ordering::Relaxed);
        }
        self.engine = saved.engine.clone();
        (self.rows, self.net, self.booted) = (saved.rows, saved.net, saved.booted);
    }

    /// All that can happen now.
    pub fn moves(&self, inputs: bool, moves: &mut Vec<Move>) {
        moves.clear();
        for (at, slot) in self.slots() {
            let (order, kind) = (self.engine.order(slot), self.edges.kinds[at]);
            self.rows[at].moves(at as u8, &order, kind, inputs, moves);
            if inputs && self.limit != 0 && self.rows[at].state == State::Stopping {
                moves.push(if self.rows[at].stuck { Move::GoneAtLast(at as u8) } else { Move::Stick(at as u8) });
            }
            if inputs {
                // A reset of who asks for a choice has it forget what was tried.
                let forgets = self.edges.has_choice();
                commands(at as u8, self.engine.published(slot).phase, forgets, moves);
                if self.graph.services() <= 2 {
                    moves.extend([Move::Switch(at as u8), Move::RestartWithDependents(at as u8)]);
                }
                if self.graph.services() <= 2 && self.edges.targets_first.last() == Some(&at) && !self.booted {
                    moves.push(Move::Boot(at as u8));
                }
            }
        }
        if self.waits_for_time() {
            moves.push(Move::Tick);
        }
        if inputs {
            if self.edges.gated.contains(&true) {
                moves.extend(match self.net {
                    Net::Off => &[Move::On][..],
                    Net::Changing => &[Move::On, Move::Off, Move::ChangedTooLong],
                    Net::On if self.graph.changes => &[Move::Off, Move::Changing],
                    Net::On => &[Move::Off],
                });
            }
            if !self.engine.shutting_down() {
                moves.push(Move::Shutdown);
            }
        }
    }

    /// A process-less slot has to.
    pub fn waits_for_time(&self) -> bool {
        self.engine.next_deadline() <= SOON
    }

    /// The world's part of a move.
    pub fn turn(&mut self, next: Move) {
        match next {
            Move::On => self.net = Net::On,
            Move::Changing => self.net = Net::Changing,
            Move::Off | Move::ChangedTooLong => self.net = Net::Off,
            Move::Boot(_) => self.booted = true,
            _ => {}
        }
        if let Some(at) = next.told() {
            let order = self.engine.order(SlotId(u32::from(at)));
            let at = usize::from(at);
            self.rows[at].turn(next, &order, self.edges.kinds[at], &mut self.stamp);
        }
    }

    /// Makes a move and checks the orders that it led to; gives the engine's answer.
    pub fn step(&mut self, next: Move) -> Result<Result<u32, Refusal>, String> {
        let before = orders(&self.engine, self.count());
        let goals_before: [Goal; MOST] = std::array::from_fn(|at| self.engine.published(SlotId(at as u32)).goal);
        let choices = Before::of(&self.edges, &self.engine);
        self.turn(next);
        let now = match next {
            Move::Tick => SOON,
            Move::ChangedTooLong => LATE,
            _ => Instant(1),
        };
        let result = with_input(next, &self.rows, |input| self.engine.step(now, input));
        while self.engine.take_dirty().is_some() {}
        while self.engine.take_condition().is_some() {}
        self.engine.forget_transactions();
        while self.engine.take_ended().is_some() {}
        let mut spec = None;
        for (at, slot) in self.slots() {
            let order = self.engine.order(slot);
            if order.number != before[at].number {
                let now = || orders(&self.engine, self.count());
                let rows = &self.rows[..self.count()];
                let spec = spec.get_or_insert_with(|| Spec::of(&self.edges, &self.engine, &now(), rows, self.net));
                self.check_order(at, &order, spec, &choices.choices)?;
            }
            let row = self.engine.published(slot);
            if goals_before[at] == Goal::Down && row.goal == Goal::Up && row.phase == Phase::Failed {
                return Err(format!("goal: that of {} rises, and it stays failed", self.image.name(slot)));
            }
        }
        if self.edges.has_choice() {
            let now = orders(&self.engine, self.count());
            let rows = &self.rows[..self.count()];
            let spec = spec.unwrap_or_else(|| Spec::of(&self.edges, &self.engine, &now, rows, self.net));
            // An input from outside may have ended that one is barred.
            let forgets = next.told().is_none() && next != Move::Tick;
            for (at, slot) in self.slots() {
                // What a switch turns off and on again in one step has chosen anew.
                let rises = goals_before[at] == Goal::Down || forgets;
                spec.check_turn(&choices, at, rises)
                    .map_err(|fault| format!("choice: {}: {fault}", self.image.name(slot)))?;
            }
        }
        Ok(result)
    }

    /// Facts of all slots, but for the words that only say when.
    pub fn facts(&self) -> [[u32; 7]; MOST] {
        let mut facts = [[0; 7]; MOST];
        for (at, slot) in self.slots() {
            facts[at] = self.engine.facts(slot);
        }
        facts
    }

    /// All that decides anything, as a number. Left out is what cannot matter: of a slot that has no process and no
    /// order to have one, how it came to that; of one whose newest order is not seen yet, how far its old process is;
    /// which of two lives began first, but where one binds to the other.
    pub fn key(&self) -> u128 {
        let mut key = Key::default();
        for (at, slot) in self.slots() {
            let facts = self.engine.facts(slot);
            let [holds, state, order, start, stop, _, ready] = facts;
            let told = self.engine.told_bits(slot);
            let row = &self.rows[at];
            let mut word = holds & 0xffff | start << 16 | stop << 17;
            if self.edges.kinds[at].is_bundle() {
                word |= (state >> 14 & 1) << 20;
                if self.edges.kinds[at] == Kind::Choice {
                    key.add(facts[CHOICE]);
                    key.add(state & (RESTART_WANTED | TOLD_PHASE));
                }
                for (relation, to) in &self.edges.targets[at] {
                    if matches!(relation, Relation::Contains | Relation::Alternative) {
                        let member = self.engine.facts(SlotId(*to as u32))[6];
                        word |= u32::from(member > ready) << (24 + to);
                    }
                }
            } else if told & TOLD_ACTIVE == 0 && state & STUCK == 0 {
                let ended = row.order == order && state & FORGIVEN == 0;
                word |= match row.state {
                    State::Failed if ended => 1 << 20,
                    State::Done if ended => 2 << 20,
                    State::Skipped if ended => 5 << 20,
                    _ => 0,
                } | (state & RESTART_WANTED) << 14;
            } else if state & CURRENT == 0 {
                let delayed = state & RESTART != 0 && state & 0xf == State::Delayed as u32;
                let old = match row.state {
                    State::Down | State::Failed | State::Done | State::Skipped => 0,
                    State::Delayed | State::Queued => 1,
                    State::Spawning | State::Starting | State::Up => 2,
                    State::Stopping => 3 + u32::from(row.wishes_up) + u32::from(row.wishes_up && row.attempt > 0),
                };
                word |= 3 << 20 | u32::from(delayed) << 23 | old << 24;
                key.add(state & (WISH_UP | RESTART | RESTART_WANTED | WITH_DEPENDENTS));
            } else {
                word |=
                    4 << 20 | (row.state as u32) << 26 | u32::from(row.wishes_up) << 30 | (told & TOLD_BROKEN) << 16;
                key.add((state & (RETRIED | WISH_UP | RESTART | RESTART_WANTED | WITH_DEPENDENTS)) | row.attempt);
            }
            key.add(word | (state & WAS_SKIPPED) << 11);
            if self.limit != 0 {
                key.add(self.engine.place_in_line(slot) | u32::from(row.stuck) << 8 | state & STUCK);
            }
        }
        let flags = [self.booted, self.engine.shutting_down()];
        key.add(flags.iter().fold(self.net as u32, |all, flag| all << 1 | u32::from(*flag)));
        if self.waits_for_time() {
            // Process-less slots that wait for their time.
            for word in &self.memory[self.ranges[3].clone()] {
                key.add(word.load(Ordering::Relaxed));
            }
        }
        key.end()
    }
}

/// Bits of facts and of told words, as in `engine/slot.rs`.
const CURRENT: u32 = 1 << 4;
const RETRIED: u32 = 1 << 5;
const WISH_UP: u32 = 1 << 6;
const RESTART: u32 = 1 << 7;
const RESTART_WANTED: u32 = 1 << 8;
const WITH_DEPENDENTS: u32 = 1 << 17;
const FORGIVEN: u32 = 1 << 9;
const WAS_SKIPPED: u32 = 1 << 20;
const STUCK: u32 = 1 << 19;
const TOLD_PHASE: u32 = 0xf << 10;
const TOLD_ACTIVE: u32 = 1 << 2;
const TOLD_BROKEN: u32 = 1 << 15;

/// Facts that only tests read: see `Engine::facts`. Of a choice, in the place of another.
pub const CHOICE: usize = 5;

/// Two independent sums of 64 bits.
struct Key(u64, u64);

impl Default for Key {
    fn default() -> Key {
        Key(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
    }
}

impl Key {
    fn add(&mut self, word: u32) {
        self.0 = (self.0 ^ u64::from(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
        self.1 = (self.1.rotate_left(23) ^ u64::from(word)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.1 ^= self.1 >> 32;
    }

    fn end(self) -> u128 {
        u128::from(self.0) << 64 | u128::from(self.1)
    }
}

/// The edges, as they stand in the database.
fn edges(graph: &Graph, image: &Image<'_>) -> Edges {
    let slots = || (0..graph.count).map(|at| SlotId(at as u32));
    let of = |edges: pintle::database::image::Edges<'_>| {
        edges.map(|edge| (edge.relation, edge.slot.index())).collect::<Vec<_>>()
    };
    let numbers = graph.numbers();
    let slot = |number: usize| numbers.iter().position(|its| *its == number).expect("each has a slot");
    let observed = |number| graph.observed(number).into_iter().map(|(of, not)| (slot(of), not)).collect();
    Edges {
        targets: slots().map(|at| of(image.edges(at))).collect(),
        sources: slots().map(|at| of(image.reverse(at))).collect(),
        targets_first: (0..graph.count).map(slot).collect(),
        kinds: numbers.iter().map(|number| graph.kind(*number)).collect(),
        gated: numbers.iter().map(|number| graph.is_gated(*number)).collect(),
        observed: numbers.iter().map(|number| observed(*number)).collect(),
    }
}
