//! One run of a plan: engine, supervisor, kernel, clients and doorbells in any order that the seed says, in simulated
//! time. First the storm; then faults stop, and the world must come to rest; then what failed is forgiven; then all
//! goes down.

use std::fmt;
use std::sync::atomic::AtomicU32;

use pintle::board::orders::{self, Orders};
use pintle::board::reports::{self, Reports};
use pintle::board::{Geometry, words};
use pintle::database::{Image, service};
use pintle::engine::{Capacities, words_needed};
use pintle::graph::Phase;
use pintle::ident::SlotId;

use super::host::{At, Host};
use super::invariants::Judge;
use super::kernel::Kernel;
use super::plan::Plan;
use super::random::{Random, hash};
use super::rest;
use super::supervisor::Supervisor;

/// An invariant that does not hold: its number or name, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken(pub String);

impl Broken {
    /// What the shrinker keeps: the invariant, not the names in it.
    pub fn kind(&self) -> &str {
        self.0.split(':').next().unwrap_or("")
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A bug made on purpose, to see that the simulator finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// What an earlier order's life reports is taken for the newest one's.
    StaleLife,
    /// One ring of the engine for the supervisor never arrives.
    RingToSupervisorLost,
    /// One ring of the supervisor for the engine never arrives.
    RingToEngineLost,
    /// One death is reaped and never told.
    DeathLost,
    /// SIGKILL is never sent.
    KillForgotten,
    /// A process that took over as the main one is not told to stop.
    HeirForgotten,
    /// An order is acted on whenever it is looked at.
    OrderTwice,
    /// A longrun counts as up once it is executed.
    ReadyEarly,
    /// A killed engine's memory is lost.
    MemoryLost,
    /// What a crashed supervisor had still to do for a slot is never done.
    OwedForgotten,
    /// The engine's database lacks a relation.
    EdgeForgotten(&'static str),
}

/// What happened, for people; nothing unless it is wanted.
#[derive(Default)]
pub struct Trace(pub Option<Vec<String>>);

impl Trace {
    pub fn say(&mut self, now: u64, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            lines.push(format!("{:>12.3} ms  {}", now as f64 / 1e6, what()));
        }
    }
}

/// What a run did, so that a test can see that it did something.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stats {
    pub steps: u64,
    pub pieces: u64,
    pub spawns: u64,
    pub deaths_of_the_engine: u64,
    pub crashes_of_the_supervisor: u64,
}

/// Pieces after which it will never come to rest, and as many more for each slot. Most worlds take some ten thousands.
const PIECES_MAX: u64 = 2_000_000;
const PIECES_A_SLOT: u64 = 2_000;
/// Simulated time from the end of faults to rest. Every time limit of a plan is below 10 s, and so is each delay; a
/// chain of a few dozens of them is below this.
const CALM_MS: u64 = 3_600_000;

struct World<'a> {
    plan: &'a Plan,
    random: Random,
    kernel: Kernel,
    supervisor: Supervisor<'a>,
    engine: Host<'a>,
    judge: Judge<'a>,
    trace: Trace,
    stats: Stats,
    mutant: Option<Mutant>,
    /// When a dead engine is started again, and when doorbells that are under way arrive.
    engine_due: u64,
    ring_engine_due: Option<u64>,
    ring_supervisor_due: Option<u64>,
    /// The next action, and when.
    action: usize,
    action_due: u64,
    calm_since: Option<u64>,
}

fn zeros(count: usize) -> Vec<AtomicU32> {
    (0..count).map(|_| AtomicU32::new(0)).collect()
}

/// Runs a plan to its end.
pub fn run(plan: &Plan, mutant: Option<Mutant>, trace: &mut Trace) -> Result<Stats, Broken> {
    // Without a relation there are other choices, so other slots.
    let plain = matches!(mutant, Some(Mutant::EdgeForgotten(_))).then(|| plan.without_choices());
    let plan = plain.as_ref().unwrap_or(plan);
    let compiled = plan.compile().map_err(|shown| Broken(format!("plan: {shown}")))?;
    let image = Image::open(&compiled.bytes).expect("the compiler makes good databases");
    let forgetful = match mutant {
        Some(Mutant::EdgeForgotten(key)) => {
            let mut plan = plan.clone();
            plan.services.iter_mut().for_each(|service| service.keys.retain(|(name, _)| name != key));
            plan.compile().map_err(|shown| Broken(format!("plan: {shown}")))?.bytes
        }
        _ => compiled.bytes.clone(),
    };
    let engine_image = Image::open(&forgetful).expect("the compiler makes good databases");
    let mut geometry = Geometry::of(&image);
    if geometry.instances > 0 {
        let passing = geometry.texts - geometry.instances;
        geometry.instances = plan.capacities[3];
        geometry.texts = geometry.instances + passing;
    }
    let [conditions, transactions, entries, _, parallel] = plan.capacities;
    let capacities = Capacities { conditions, transactions, entries };
    let memory = zeros(words_needed(&engine_image, geometry, capacities));
    let (order_words, report_words) = (zeros(orders::words(&geometry)), zeros(reports::words(&geometry)));
    let orders = Orders::new(&order_words, geometry);
    let reports = Reports::new(&report_words, geometry);
    let mut world = World {
        plan,
        random: Random::new(hash("schedule", &[plan.seed])),
        kernel: Kernel::new(1_000_000),
        supervisor: Supervisor::new(image, plan, orders, reports),
        engine: Host::new(engine_image, geometry, capacities, &memory, orders, reports),
        judge: Judge::new(image, geometry, &compiled.definitions),
        trace: std::mem::take(trace),
        stats: Stats::default(),
        mutant,
        engine_due: 0,
        ring_engine_due: None,
        ring_supervisor_due: None,
        action: 0,
        action_due: 0,
        calm_since: None,
    };
    world.supervisor.mutant = mutant;
    world.engine.mutant = mutant;
    (world.engine.parallel, world.judge.parallel) = (parallel, parallel as usize);
    world.engine.tears = if plan.has("torn") { 4 } else { 0 };
    world.engine.rereads = plan.has("spurious");
    let result = world.life();
    *trace = world.trace;
    let crashes_of_the_supervisor = world.supervisor.crashes;
    result.map(|()| Stats { steps: world.engine.steps, crashes_of_the_supervisor, ..world.stats })
}

impl World<'_> {
    fn life(&mut self) -> Result<(), Broken> {
        self.action_due = self.kernel.now + self.plan.actions.first().map_or(0, |action| action.after_ms * 1_000_000);
        while self.action < self.plan.actions.len() {
            self.piece()?;
        }
        self.say("faults stop");
        self.come_to_rest()?;
        // Some resets may be refused (too many transactions), but not all of them.
        loop {
            let failed = self.failed();
            if failed.is_empty() {
                break;
            }
            self.say("what failed is forgiven");
            self.engine.requests.extend(failed.iter().map(|name| format!("reset {name}")));
            self.come_to_rest()?;
            let again = self.failed();
            if again.len() >= failed.len() {
                return Err(Broken(format!("5: {} fails again, though nothing fails any more", again[0])));
            }
        }
        self.say("shutdown");
        self.supervisor.begin_shutdown();
        self.come_to_rest()?;
        rest::check_end(&self.engine, &self.judge, &self.supervisor, &self.kernel)
    }

    fn say(&mut self, what: &str) {
        self.trace.say(self.kernel.now, || format!("---- {what}"));
    }

    fn failed(&self) -> Vec<String> {
        let Some(engine) = &self.engine.engine else { return Vec::new() };
        let failed = |at: &SlotId| self.judge.lives(engine, *at) && engine.published(*at).phase == Phase::Failed;
        self.judge.slots().filter(failed).map(|at| engine.name(at).as_str().to_string()).collect()
    }

    fn come_to_rest(&mut self) -> Result<(), Broken> {
        self.kernel.calm = true;
        // Doorbells that were lost stay so; somebody looks once more.
        (self.engine.rung, self.supervisor.rung) = (true, true);
        self.engine.tears = 0;
        self.calm_since = Some(self.kernel.now);
        while self.piece()? {}
        rest::check(&mut self.engine, &self.judge, &self.supervisor, &self.kernel)
    }

    /// One piece of anybody's work. `false`: there is none, and never will be.
    fn piece(&mut self) -> Result<bool, Broken> {
        self.stats.pieces += 1;
        let now = self.kernel.now;
        if self.stats.pieces > PIECES_MAX + PIECES_A_SLOT * u64::from(self.judge.geometry.slots())
            || self.calm_since.is_some_and(|since| now > since + CALM_MS * 1_000_000)
        {
            return Err(Broken("4: it never comes to rest".to_string()));
        }
        self.doorbells();
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now);
        let can = [
            self.engine.can_run(now),
            self.supervisor.can_run(&self.kernel),
            due(self.kernel.next()),
            due(self.ring_engine_due),
            due(self.ring_supervisor_due),
            self.engine.at == At::Dead && self.engine_due <= now,
            due(self.next_action()),
        ];
        let count = can.iter().filter(|one| **one).count() as u64;
        // Somebody may sleep through what is due; not when faults have stopped.
        if count == 0 || self.calm_since.is_none() && self.random.chance(3) {
            if let Some(next) = self.next_time() {
                self.kernel.now = next.max(now);
            } else if count == 0 {
                return Ok(false);
            }
            if count == 0 {
                return Ok(true);
            }
        }
        // The machine slept. Its clock does not go back.
        if self.calm_since.is_none() && self.plan.has("jump") && self.random.below(2000) == 0 {
            self.kernel.now += 3_600_000_000_000 + self.random.below(36_000_000_000_000);
            self.trace.say(self.kernel.now, || "---- hours have passed".to_string());
        }
        // Work takes time; when faults have stopped, too little for any time limit to matter.
        self.kernel.now += self.random.below(if self.calm_since.is_some() { 500 } else { 20_000 });
        let chosen = self.random.below(count) as usize;
        let actor = can.iter().enumerate().filter(|(_, can)| **can).nth(chosen).map_or(0, |(actor, _)| actor);
        self.act(actor)?;
        Ok(true)
    }

    /// Once in so many pieces; where there are many slots, once in such a share of them: the more there are, the longer
    /// it takes to begin anew.
    fn is_rare(&mut self, pieces: u64, share: u64) -> bool {
        let slots = u64::from(self.judge.geometry.slots());
        self.random.below(if self.judge.is_large() { slots / share } else { pieces }) == 0
    }

    fn next_action(&self) -> Option<u64> {
        (self.action < self.plan.actions.len()).then_some(self.action_due)
    }

    /// When something happens next by itself.
    fn next_time(&mut self) -> Option<u64> {
        let engine = (self.engine.at == At::Dead).then_some(self.engine_due);
        let times = [
            self.kernel.next(),
            self.supervisor.next_deadline(),
            self.engine.next_deadline(),
            self.ring_engine_due,
            self.ring_supervisor_due,
            engine,
            self.next_action(),
        ];
        times.into_iter().flatten().min()
    }

    fn act(&mut self, actor: usize) -> Result<(), Broken> {
        let now = self.kernel.now;
        match actor {
            0 => {
                self.engine.run(now, &mut self.judge, &mut self.random, &mut self.trace)?;
                let kills = self.calm_since.is_none() && self.plan.has("kill") && self.is_rare(150, 4);
                if kills && self.engine.at != At::Dead {
                    self.trace.say(now, || "engine: is killed".to_string());
                    self.engine.die(&mut self.random);
                }
                if self.engine.at == At::Dead {
                    self.stats.deaths_of_the_engine += 1;
                    self.engine_due = now + self.random.below(1_000_000_000);
                }
            }
            1 => {
                let before = self.kernel.processes.len();
                if self.calm_since.is_none() && self.plan.has("crash") && self.is_rare(150, 32) {
                    self.supervisor.crashes_in = 1 + self.random.below(8) as u32;
                }
                self.supervisor.run(&mut self.kernel, &mut self.random, &mut self.trace)?;
                if self.kernel.processes.len() > before {
                    self.stats.spawns += 1;
                    if !self.judge.is_large() || self.stats.spawns.is_multiple_of(1024) {
                        self.check_rivals()?;
                    }
                }
            }
            2 => {
                if let Some((pid, act)) = self.kernel.act() {
                    let slot = self.kernel.processes.get(&pid).map_or(0, |process| process.slot.0);
                    self.trace.say(now, || format!("process: {pid} of slot {slot}: {act:?}"));
                }
            }
            3 => {
                self.ring_engine_due = None;
                self.engine.rung = true;
            }
            4 => {
                self.ring_supervisor_due = None;
                self.supervisor.rung = true;
            }
            5 => self.engine.begin(),
            _ => self.take_action(),
        }
        Ok(())
    }

    fn take_action(&mut self) {
        let action = &self.plan.actions[self.action];
        if action.what != "wait" {
            self.engine.requests.push_back(action.what.clone());
        }
        self.action += 1;
        if let Some(next) = self.plan.actions.get(self.action) {
            self.action_due = self.kernel.now + next.after_ms * 1_000_000;
        }
    }

    /// Rings arrive at once, or late; some come for nothing.
    fn doorbells(&mut self) {
        let is_lost =
            |world: &mut Self| world.calm_since.is_none() && world.plan.has("lost") && world.random.chance(20);
        let late = |world: &mut Self| {
            let is_late = world.calm_since.is_none() && world.plan.has("late") && world.random.chance(30);
            world.kernel.now + if is_late { world.random.below(500_000_000) } else { 0 }
        };
        if std::mem::take(&mut self.engine.rings) {
            let due = late(self);
            if is_lost(self) || self.mutant == Some(Mutant::RingToSupervisorLost) && self.random.chance(20) {
                return;
            }
            self.ring_supervisor_due = Some(self.ring_supervisor_due.map_or(due, |before| before.min(due)));
        }
        if std::mem::take(&mut self.supervisor.rings) {
            let due = late(self);
            if is_lost(self) || self.mutant == Some(Mutant::RingToEngineLost) && self.random.chance(20) {
                return;
            }
            self.ring_engine_due = Some(self.ring_engine_due.map_or(due, |before| before.min(due)));
        }
        if self.calm_since.is_none() && self.plan.has("spurious") && self.random.below(500) == 0 {
            self.engine.rung = true;
            self.supervisor.rung = true;
        }
    }

    /// Invariant 9, by the processes that there really are.
    fn check_rivals(&self) -> Result<(), Broken> {
        let Some(engine) = &self.engine.engine else { return Ok(()) };
        for process in self.kernel.processes.values() {
            for (relation, rival) in self.judge.targets(engine, process.slot) {
                let meets = relation == pintle::graph::Relation::Conflicts && self.kernel.of(rival).next().is_some();
                if meets {
                    let (one, other) = (engine.name(process.slot), engine.name(rival));
                    let (one, other) = (one.as_str(), other.as_str());
                    return Err(Broken(format!("9: {one} and {other} conflict, and both have processes")));
                }
            }
        }
        Ok(())
    }
}

/// Whether a service's start is said by itself, and not by its exec.
pub fn tells_ready(image: &Image<'_>, record: SlotId) -> bool {
    let policy = image.service(record, service::POLICY);
    image.policy(policy, pintle::database::policy::READY) != 0
}

/// Whether the supervisor was asked for a shutdown.
pub fn is_shutting_down(reports: &Reports<'_>) -> bool {
    words::load(reports.words(), reports::own::SHUTDOWN) != 0
}
