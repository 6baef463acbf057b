//! The engine's host for the simulation: `src/host/engine.rs` without sockets. The engine itself is the real one. It
//! may be killed between any two pieces, and in the middle of a step.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

use pintle::board::orders::{self, Orders};
use pintle::board::published::ConditionRow;
use pintle::board::reports::{self, Reports};
use pintle::board::words::{self, Change, Follower};
use pintle::board::{Geometry, orders::OrderRow};
use pintle::database::Image;
use pintle::engine::{Capacities, Engine, Input, NOBODY, Refusal, Sender, Target, Verb};
use pintle::ident::SlotId;
use pintle::time::Instant;

use super::invariants::{Expected, Judge};
use super::random::Random;
use super::world::{Broken, Mutant, Trace};

/// Where its loop stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    Dead,
    Opening(u32),
    Booting,
    Reports(u32),
    Shutdown,
    Requests,
    Ticks,
    /// Then on to reports (`true`), or to sleep.
    Flush(bool),
    Drowse,
    LastLook,
    Asleep,
}

const REPORTS_A_TURN: u32 = 32;

pub struct Host<'a> {
    pub image: Image<'a>,
    pub geometry: Geometry,
    pub capacities: Capacities,
    /// The limit on parallel starts.
    pub parallel: u32,
    pub memory: &'a [AtomicU32],
    pub engine: Option<Engine<'a>>,
    pub orders: Orders<'a>,
    reports: Reports<'a>,
    follower: Follower,
    pub at: At,
    pub rung: bool,
    /// It wants to ring the supervisor's doorbell.
    pub rings: bool,
    wrote: bool,
    /// What clients ask.
    pub requests: VecDeque<String>,
    /// Transactions that were accepted.
    pub accepted: Vec<u32>,
    /// What was published of conditions.
    pub conditions: Vec<Option<ConditionRow>>,
    /// Steps in a hundred that are torn.
    pub tears: u64,
    /// It reads reports in which there is nothing new.
    pub rereads: bool,
    pub mutant: Option<Mutant>,
    pub steps: u64,
    /// Number of the journal's next line behind the last finished step.
    pub lines: u32,
}

impl<'a> Host<'a> {
    pub fn new(
        image: Image<'a>,
        geometry: Geometry,
        capacities: Capacities,
        memory: &'a [AtomicU32],
        orders: Orders<'a>,
        reports: Reports<'a>,
    ) -> Host<'a> {
        Host {
            image,
            geometry,
            capacities,
            parallel: 0,
            memory,
            engine: None,
            orders,
            reports,
            follower: Follower::default(),
            at: At::Opening(0),
            rung: false,
            rings: false,
            wrote: false,
            requests: VecDeque::new(),
            accepted: Vec::new(),
            conditions: vec![None; capacities.conditions as usize],
            tears: 0,
            rereads: false,
            mutant: None,
            steps: 0,
            lines: 0,
        }
    }

    pub fn next_deadline(&self) -> Option<u64> {
        let due = self.engine.as_ref()?.next_deadline();
        (due != Instant::NEVER && self.at == At::Asleep).then_some(due.0)
    }

    pub fn can_run(&self, now: u64) -> bool {
        match self.at {
            At::Dead => false,
            At::Asleep => self.rung || !self.requests.is_empty() || self.next_deadline().is_some_and(|due| due <= now),
            At::Opening(_)
            | At::Booting
            | At::Reports(_)
            | At::Shutdown
            | At::Requests
            | At::Ticks
            | At::Flush(_)
            | At::Drowse
            | At::LastLook => true,
        }
    }

    /// Killed here and now.
    pub fn die(&mut self, random: &mut Random) {
        if self.mutant == Some(Mutant::MemoryLost) {
            for word in self.memory {
                word.store(0, Ordering::Relaxed);
            }
        }
        // In the middle of writing a row of the orders: its counter stays odd, and half of it is new.
        if let Some(engine) = &self.engine
            && random.chance(20)
        {
            let slot = SlotId(random.below(u64::from(self.geometry.slots())) as u32);
            let at = words::ROWS + slot.index() * orders::ROW;
            let row = engine.order(slot);
            words::store(self.orders.words(), at, words::load(self.orders.words(), at) | 1);
            words::store(self.orders.words(), at + 1, row.number.0);
        }
        self.engine = None;
        self.at = At::Dead;
    }

    pub fn begin(&mut self) {
        self.at = At::Opening(0);
        // The connections of the one before are gone with it.
        self.requests.clear();
    }

    /// One small piece of its loop.
    pub fn run(
        &mut self,
        now: u64,
        judge: &mut Judge<'a>,
        random: &mut Random,
        trace: &mut Trace,
    ) -> Result<(), Broken> {
        let own = self.orders.words();
        match self.at {
            At::Dead => {}
            At::Opening(0) if self.engine.is_none() => {
                let Some(mut engine) = Engine::open(self.image, self.geometry, self.capacities, self.memory) else {
                    return Err(Broken("6: the engine does not know its own memory".to_string()));
                };
                trace.say(now, || "engine: opened".to_string());
                // Of a step that was cut, lines may stand there; of a finished one none is gone but the oldest.
                if engine.journal_number() < self.lines {
                    return Err(Broken("6: the journal does not go on where the last finished step ended".to_string()));
                }
                let (mut cursor, mut next) = (engine.journal_at(0), engine.journal_at(0).number());
                while let Some(record) = engine.journal_next(&mut cursor) {
                    if record.number != next {
                        return Err(Broken("6: the numbers of the journal's lines have a gap".to_string()));
                    }
                    next = cursor.number();
                }
                engine.limit_starts(self.parallel);
                judge.after_opening(&engine)?;
                self.engine = Some(engine);
                self.orders.format();
                self.follower = Follower::at_head(self.reports.words());
            }
            At::Opening(slot) if slot == self.geometry.slots() => self.at = At::Booting,
            At::Opening(slot) => {
                self.at = At::Opening(slot + 1);
                self.take_report(SlotId(slot), now, judge, random, trace)?;
            }
            At::Booting => {
                self.at = At::Flush(true);
                if let Some(boot) = self.image.find(b"boot") {
                    let _ = self.step(now, Input::Boot(boot), "boot", judge, random, trace)?;
                }
            }
            At::Reports(turn) => match self.follower.next(self.reports.words()) {
                None => self.at = if turn > 0 { At::Flush(true) } else { At::Shutdown },
                Some(change) => {
                    self.at = if turn + 1 == REPORTS_A_TURN { At::Flush(true) } else { At::Reports(turn + 1) };
                    match change {
                        Change::Slot(slot) => self.take_report(slot, now, judge, random, trace)?,
                        Change::All => {
                            for slot in 0..self.geometry.slots() {
                                self.take_report(SlotId(slot), now, judge, random, trace)?;
                            }
                        }
                    }
                }
            },
            At::Shutdown => {
                self.at = At::Requests;
                if self.rereads && random.chance(20) {
                    let slot = SlotId(random.below(u64::from(self.geometry.slots())) as u32);
                    self.take_report(slot, now, judge, random, trace)?;
                }
                let asked = words::load(self.reports.words(), reports::own::SHUTDOWN) != 0;
                if asked && self.engine.as_ref().is_some_and(|engine| !engine.shutting_down()) {
                    let to = self.image.find(b"shutdown").map(|at| self.image.name(at).to_string());
                    judge.expected = to.map(|to| Expected::Command(Verb::Switch, vec![to]));
                    let _ = self.step(now, Input::Shutdown(NOBODY), "shutdown", judge, random, trace)?;
                }
            }
            At::Requests => {
                self.at = At::Ticks;
                if let Some(request) = self.requests.pop_front() {
                    self.take_request(&request, now, judge, random, trace)?;
                }
            }
            At::Ticks => {
                self.at = At::Flush(false);
                if self.engine.as_ref().is_some_and(|engine| engine.next_deadline().0 <= now) {
                    let _ = self.step(now, Input::Tick, "tick", judge, random, trace)?;
                }
            }
            At::Flush(more) => {
                let Some(engine) = &mut self.engine else { return Ok(()) };
                if let Some(dirty) = engine.take_dirty() {
                    if dirty.order {
                        if let Some(text) = engine.text(dirty.slot) {
                            self.orders.write_text(text.row, &text.words);
                        }
                        let row: OrderRow = engine.order(dirty.slot);
                        self.orders.write(dirty.slot, &row);
                        self.wrote = true;
                    }
                    return Ok(());
                }
                while let Some((index, row)) = engine.take_condition() {
                    self.conditions[index as usize] = (row.value != 0).then_some(row);
                }
                while let Some(number) = engine.take_ended() {
                    trace.say(now, || format!("engine: transaction {number} ended"));
                }
                let all_down = u32::from(engine.shutting_down() && engine.all_down());
                if words::load(own, orders::own::ALL_DOWN) != all_down {
                    words::store(own, orders::own::ALL_DOWN, all_down);
                    self.rings = true;
                } else if self.wrote && words::is_asleep(self.reports.words()) {
                    self.rings = true;
                }
                self.wrote = false;
                self.at = if more { At::Reports(0) } else { At::Drowse };
            }
            At::Drowse => {
                words::set_asleep(own, true);
                self.at = At::LastLook;
            }
            At::LastLook => {
                if self.follower.behind(self.reports.words()) || !self.requests.is_empty() {
                    words::set_asleep(own, false);
                    self.at = At::Reports(0);
                } else {
                    self.at = At::Asleep;
                }
            }
            At::Asleep => {
                self.rung = false;
                words::set_asleep(own, false);
                self.at = At::Reports(0);
            }
        }
        Ok(())
    }

    fn take_report(
        &mut self,
        slot: SlotId,
        now: u64,
        judge: &mut Judge<'a>,
        random: &mut Random,
        trace: &mut Trace,
    ) -> Result<(), Broken> {
        let Some(mut row) = self.reports.read(slot) else { return Ok(()) };
        if self.mutant == Some(Mutant::StaleLife)
            && let Some(engine) = &self.engine
        {
            // What an earlier order's life says, taken for the newest one's.
            row.order = engine.order(slot).number;
        }
        self.step(now, Input::Report(slot, &row), "report", judge, random, trace).map(|_| ())
    }

    /// Takes one input; `None` if the engine died of it.
    fn step(
        &mut self,
        now: u64,
        input: Input<'_>,
        what: &str,
        judge: &mut Judge<'a>,
        random: &mut Random,
        trace: &mut Trace,
    ) -> Result<Option<Result<u32, Refusal>>, Broken> {
        let Some(engine) = &mut self.engine else { return Ok(None) };
        self.steps += 1;
        let torn = self.tears > 0
            && random.below(if judge.is_large() { u64::from(self.geometry.slots()) * 4000 } else { 1000 }) < self.tears;
        let before: Vec<u32> =
            if torn { self.memory.iter().map(|word| word.load(Ordering::Relaxed)).collect() } else { Vec::new() };
        // What a mutant makes of a report is not what the judge goes by.
        let read = if let Input::Report(slot, _) = input { self.reports.read(slot) } else { None };
        let taken = engine.step(Instant(now), input);
        if torn {
            trace.say(now, || format!("engine: dies in the middle of {what}"));
            self.engine = None;
            self.at = At::Dead;
            judge.expected = None;
            super::torn::tear(self.memory, &before, self.geometry, self.capacities, random);
            return Ok(None);
        }
        if let (Input::Report(slot, _), Some(row)) = (input, read) {
            judge.seen[slot.index()] = row;
        }
        self.lines = engine.journal_number();
        judge.expire(now);
        judge.take_expected(engine, taken.ok());
        judge.after_step(engine, now, what, trace)?;
        Ok(Some(taken))
    }

    fn take_request(
        &mut self,
        request: &str,
        now: u64,
        judge: &mut Judge<'a>,
        random: &mut Random,
        trace: &mut Trace,
    ) -> Result<(), Broken> {
        // Whatever is due goes first, so that a refused request is seen to change nothing.
        if self.step(now, Input::Tick, "tick", judge, random, trace)?.is_none() {
            return Ok(());
        }
        let (verb, rest) = request.split_once(' ').unwrap_or((request, ""));
        let fact = |text: &str| text.replace(' ', "\0").into_bytes();
        let Some(engine) = &self.engine else { return Ok(()) };
        let before = judge.picture(engine);
        let input_verb = match verb {
            "start" => Some(Verb::Start),
            "stop" => Some(Verb::Stop),
            "restart" => Some(Verb::Restart),
            "reload" => Some(Verb::Reload),
            "signal" => Some(Verb::Signal(15)),
            "reset" => Some(Verb::Reset),
            "release" => Some(Verb::Release),
            "restart-with-dependents" => Some(Verb::RestartWithDependents),
            "switch" => Some(Verb::Switch),
            _ => None,
        };
        let told = if let Some(verb) = input_verb {
            let names: Vec<&str> = rest.split_whitespace().collect();
            let targets: Option<Vec<Target<'_>>> = names.iter().map(|name| engine.target(name.as_bytes())).collect();
            let Some(targets) = targets else { return Ok(()) };
            let named = if verb == Verb::Switch { &names[..1] } else { &names[..] };
            let targets = &targets[..named.len()];
            judge.expected = Some(Expected::Command(verb, named.iter().map(|name| name.to_string()).collect()));
            self.step(now, Input::Command { verb, targets, uid: NOBODY }, request, judge, random, trace)?
        } else {
            let (lease, text) = match (verb, rest.split_once(' ')) {
                ("hold" | "changing", Some((number, text))) => (number.parse().unwrap_or(1), text),
                _ => (0, rest),
            };
            let words = fact(text);
            judge.expected = match verb {
                "on" | "hold" => Some(Expected::On(text.to_string(), lease)),
                "off" => Some(Expected::Off(text.to_string())),
                "changing" => Some(Expected::Changing(text.to_string(), u64::from(lease))),
                "drop" => Some(Expected::Drop(rest.parse().unwrap_or(0))),
                _ => None,
            };
            let input = match verb {
                "on" | "hold" => Input::On { fact: &words, sender: Sender::default(), lease },
                "off" => Input::Off { fact: &words },
                "changing" => Input::Changing { fact: &words, for_ms: lease },
                "emit" => Input::Event { fact: &words },
                "drop" => Input::LeaseGone(rest.parse().unwrap_or(0)),
                other => panic!("no such action: {other}"),
            };
            self.step(now, input, request, judge, random, trace)?
        };
        trace.say(now, || format!("client: {request}: {told:?}"));
        let Some(engine) = &self.engine else { return Ok(()) };
        match told {
            None => {}
            Some(Ok(number)) => self.accepted.extend((number != 0).then_some(number)),
            Some(Err(refusal)) if judge.picture(engine) != before => {
                return Err(Broken(format!("7: {request} was refused ({}), and changed something", refusal.text())));
            }
            Some(Err(_)) => {}
        }
        Ok(())
    }
}
