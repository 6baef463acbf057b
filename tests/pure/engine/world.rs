//! A small world for the engine: service files, its memory, and a supervisor that does as it is ordered, one stage at a
//! time and as the test says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use pintle::board::Geometry;
use pintle::board::orders::{OrderRow, PASS_BYTES_MAX, Wish};
use pintle::board::published::{Blocker, PublishedRow};
use pintle::board::reports::{Exit, ReportRow, State};
use pintle::database::{Image, compile, service};
use pintle::engine::{
    Capacities, Engine, Input, NOBODY, Outcome, Refusal, Sender, Standing, Target, Verb, words_needed,
};
use pintle::graph::{Goal, Phase};
use pintle::ident::SlotId;
use pintle::lang::diagnostic::{Source, has_errors, render};
use pintle::lang::parse;
use pintle::time::Instant;

/// The database of these files, `name: key = value; key = value` a line. A service without a command gets one.
pub fn database(text: &str) -> &'static [u8] {
    Vec::leak(try_database(text).unwrap_or_else(|findings| panic!("{findings}")))
}

/// Layers of services, each needing `fan` of the layer before; the bundle `boot` holds the last layer.
pub fn layers(layers: usize, width: usize, fan: usize) -> String {
    let mut text = String::from("boot: type = bundle; contains =");
    for at in 0..width {
        text += &format!(" l{:03}x{at:03}", layers - 1);
    }
    text += "\n";
    for layer in 0..layers {
        for at in 0..width {
            text += &format!("l{layer:03}x{at:03}:");
            if layer > 0 && fan > 0 {
                text += "needs =";
                for other in 0..fan {
                    text += &format!(" l{:03}x{:03}", layer - 1, (at + other) % width);
                }
            }
            text += "\n";
        }
    }
    text
}

/// Whether the compiler takes these files.
pub fn compiles(text: &str) -> bool {
    try_database(text).is_ok()
}

pub fn try_database(text: &str) -> Result<Vec<u8>, String> {
    let mut sources = Vec::new();
    let mut names = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, keys) = line.split_once(':').unwrap_or((line, ""));
        let mut file: String = keys.split(';').map(|key| format!("{}\n", key.trim())).collect();
        if !file.contains("type = bundle") && !file.contains("command =") {
            file += "command = /bin/true\n";
        }
        sources.push(Source { path: format!("{name}.svc"), text: file.into_bytes() });
        names.push(name.to_string());
    }
    let mut findings = Vec::new();
    let definitions: Vec<_> = names
        .iter()
        .enumerate()
        .filter_map(|(file, name)| parse(file as u32, name, &sources[file].text, &mut findings))
        .collect();
    let made = compile(definitions, &sources);
    if let Err(more) = &made {
        findings.extend(more.iter().cloned());
    }
    match made {
        Ok(bytes) if !has_errors(&findings) => Ok(bytes),
        Ok(_) | Err(_) => {
            let mut shown = String::new();
            for finding in &findings {
                render(finding, &sources, &mut shown);
            }
            Err(shown)
        }
    }
}

/// Engine, memory, and what the supervisor has.
pub struct World {
    pub image: Image<'static>,
    pub geometry: Geometry,
    pub capacities: Capacities,
    pub memory: &'static [AtomicU32],
    pub engine: Engine<'static>,
    pub reports: Vec<ReportRow>,
    pub now: u64,
    pub stamp: u64,
    /// Orders as they were given: `+web`, `-web`, `~web` (restart in place).
    pub log: Vec<String>,
    /// Slots of which a new phase was told.
    pub told: Vec<String>,
    /// Orders that the supervisor has not seen yet.
    pub unseen: BTreeMap<u32, OrderRow>,
    /// Transactions that ended.
    pub ended: Vec<u32>,
    /// The limit on parallel starts.
    pub parallel: u32,
}

impl World {
    pub fn new(text: &str) -> World {
        World::over(database(text), Capacities { conditions: 8, transactions: 8, entries: 32 })
    }

    pub fn over(bytes: &'static [u8], capacities: Capacities) -> World {
        let image = Image::open(bytes).expect("the compiler makes good databases");
        let geometry = Geometry::of(&image);
        let words = words_needed(&image, geometry, capacities);
        let memory: &'static [AtomicU32] = Vec::leak((0..words).map(|_| AtomicU32::new(0)).collect());
        let engine = Engine::open(image, geometry, capacities, memory).expect("memory is as large as asked for");
        let reports = vec![ReportRow::default(); geometry.slots() as usize];
        let mut world = World {
            image,
            geometry,
            capacities,
            memory,
            engine,
            reports,
            now: 0,
            stamp: 0,
            log: Vec::new(),
            told: Vec::new(),
            unseen: BTreeMap::new(),
            ended: Vec::new(),
            parallel: 0,
        };
        world.look();
        world
    }

    /// With a limit on parallel starts.
    pub fn limited(text: &str, parallel: u32) -> World {
        let mut world = World::new(text);
        world.limit(parallel);
        world
    }

    /// From now on so many may start at once.
    pub fn limit(&mut self, parallel: u32) {
        self.parallel = parallel;
        self.engine.limit_starts(parallel);
    }

    /// What is to be down was killed, and is still there.
    pub fn stick(&mut self, name: &str) {
        let at = self.slot(name);
        self.reports[at.index()].stuck = true;
        self.report(name, State::Stopping);
    }

    /// Boots into `boot`, and lets everything come up.
    pub fn booted(text: &str) -> World {
        let mut world = World::new(text);
        world.boot("boot");
        world.settle();
        world
    }

    pub fn slot(&self, name: &str) -> SlotId {
        match self.engine.target(name.as_bytes()) {
            Some(Target::Slot(at)) => at,
            other => panic!("no slot {name}: {other:?}"),
        }
    }

    pub fn step(&mut self, input: Input<'_>) -> Result<u32, Refusal> {
        self.now += 1_000_000;
        let number = self.engine.step(Instant(self.now), input);
        self.look();
        number
    }

    /// Takes what is dirty; new orders go to `unseen` and to the log.
    pub fn look(&mut self) {
        while let Some(dirty) = self.engine.take_dirty() {
            if dirty.phase {
                self.told.push(self.engine.name(dirty.slot).as_str().to_string());
            }
            if !dirty.order {
                continue;
            }
            let order = self.engine.order(dirty.slot);
            let known = self.unseen.get(&dirty.slot.0).map_or(self.reports[dirty.slot.index()].order, |row| row.number);
            if order.number != known {
                let sign = match (order.wish, order.restart) {
                    (Wish::Up, false) => "+",
                    (Wish::Up, true) => "~",
                    (Wish::Down, _) => "-",
                };
                self.log.push(format!("{sign}{}", self.engine.name(dirty.slot).as_str()));
                self.unseen.insert(dirty.slot.0, order);
            }
        }
        while let Some(number) = self.engine.take_ended() {
            self.ended.push(number);
        }
    }

    /// What was ordered since this was last asked.
    pub fn orders(&mut self) -> String {
        std::mem::take(&mut self.log).join(" ")
    }

    /// The supervisor acts on the order of this slot: a start is begun, a stop is done.
    pub fn obey(&mut self, name: &str) {
        let at = self.slot(name);
        let Some(order) = self.unseen.remove(&at.0) else { panic!("{name} has no new order") };
        let row = &mut self.reports[at.index()];
        row.order = order.number;
        row.attempt = 0;
        match order.wish {
            Wish::Down => row.state = State::Down,
            Wish::Up => {
                row.state = State::Starting;
                row.attempt = 1;
                row.life.0 += 1;
                self.stamp += 1;
                row.began = self.stamp;
                row.ready = 0;
            }
        }
        self.tell(at);
    }

    /// The supervisor says this state of the slot.
    pub fn report(&mut self, name: &str, state: State) {
        let at = self.slot(name);
        let row = &mut self.reports[at.index()];
        row.stuck &= state == State::Stopping;
        row.state = state;
        if state == State::Up {
            self.stamp += 1;
            row.ready = self.stamp;
        }
        self.tell(at);
    }

    /// A life ended and policy begins another: `Delayed`, then `Starting` again.
    pub fn dies(&mut self, name: &str) {
        self.report(name, State::Delayed);
    }

    pub fn lives_again(&mut self, name: &str) {
        let at = self.slot(name);
        let row = &mut self.reports[at.index()];
        row.attempt += 1;
        row.life.0 += 1;
        row.restarts += 1;
        self.stamp += 1;
        row.began = self.stamp;
        row.ready = 0;
        self.report(name, State::Starting);
    }

    pub fn fails(&mut self, name: &str) {
        let at = self.slot(name);
        self.reports[at.index()].exit = Exit::Code(1);
        self.report(name, State::Failed);
    }

    pub fn tell(&mut self, at: SlotId) {
        let row = self.reports[at.index()];
        self.step(Input::Report(at, &row)).expect("reports are not refused");
    }

    /// Obeys and readies everything until nothing is ordered any more.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            if let Some(at) = self.unseen.keys().next().copied() {
                let name = self.engine.name(SlotId(at));
                self.obey(name.as_str());
            } else if let Some(at) = self.reports.iter().position(|row| row.state == State::Starting) {
                let name = self.engine.name(SlotId(at as u32));
                let no_remain = self.image.flags(SlotId(at as u32)) & service::flags::NO_REMAIN != 0;
                self.report(name.as_str(), if no_remain { State::Done } else { State::Up });
            } else {
                return;
            }
        }
        panic!("never comes to rest");
    }

    pub fn boot(&mut self, name: &str) {
        let at = self.slot(name);
        self.step(Input::Boot(at)).expect("a service can be booted");
    }

    pub fn command(&mut self, verb: Verb, names: &[&str]) -> Result<u32, Refusal> {
        let targets: Vec<Target<'_>> = names
            .iter()
            .map(|name| self.engine.target(name.as_bytes()).ok_or(Refusal::NoSuchService))
            .collect::<Result<_, _>>()?;
        self.step(Input::Command { verb, targets: &targets, uid: NOBODY })
    }

    pub fn start(&mut self, name: &str) -> u32 {
        self.command(Verb::Start, &[name]).expect("start is not refused")
    }

    pub fn stop(&mut self, name: &str) -> u32 {
        self.command(Verb::Stop, &[name]).expect("stop is not refused")
    }

    pub fn on(&mut self, fact: &str) -> Result<u32, Refusal> {
        self.step(Input::On { fact: &words(fact), sender: Sender::default(), lease: 0 })
    }

    pub fn off(&mut self, fact: &str) -> Result<u32, Refusal> {
        self.step(Input::Off { fact: &words(fact) })
    }

    pub fn emit(&mut self, fact: &str) -> Result<u32, Refusal> {
        self.step(Input::Event { fact: &words(fact) })
    }

    pub fn row(&self, name: &str) -> PublishedRow {
        self.engine.published(self.slot(name))
    }

    pub fn phase(&self, name: &str) -> Phase {
        self.row(name).phase
    }

    pub fn goal(&self, name: &str) -> Goal {
        self.row(name).goal
    }

    /// Every living service as `name phase`, by blanks.
    pub fn phases(&self) -> String {
        (0..self.geometry.slots())
            .map(SlotId)
            .filter(|at| self.engine.published(*at).exists && !self.engine.name(*at).as_str().ends_with('@'))
            .map(|at| format!("{} {}", self.engine.name(at).as_str(), self.engine.published(at).phase.name()))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The attributes that its next life takes: `KEY=VALUE` strings, each ended by NUL, NUL-padded.
    pub fn pass(&self, name: &str) -> Vec<u8> {
        let text = self.engine.text(self.slot(name)).expect("it has a text");
        let bytes: Vec<u8> = text.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes[bytes.len() - PASS_BYTES_MAX..].to_vec()
    }

    /// What keeps it, with the other's name.
    pub fn blocker(&self, name: &str) -> String {
        let of = |word: &str, at: SlotId| format!("{word} {}", self.engine.name(at).as_str());
        match self.row(name).blocker {
            Blocker::Nothing => "nothing".to_string(),
            Blocker::NeedsUp(at) => of("needs", at),
            Blocker::Settles(at) => of("settles", at),
            Blocker::WhileOff => "while".to_string(),
            Blocker::Marked => "marked".to_string(),
            Blocker::Conflict(at) => of("conflict", at),
            Blocker::DependentStops(at) => of("dependent", at),
            Blocker::StartLimit => "limit".to_string(),
            Blocker::Ordered => "ordered".to_string(),
            Blocker::Chosen(at) => of("chosen", at),
        }
    }

    pub fn standing(&self, number: u32) -> Standing {
        self.engine.transaction(number)
    }

    /// What became of each service of a transaction.
    pub fn results(&self, number: u32) -> String {
        let mut cursor = 0;
        std::iter::from_fn(|| self.engine.transaction_next(number, &mut cursor))
            .map(|(at, outcome): (SlotId, Outcome)| format!("{} {}", self.engine.name(at).as_str(), outcome.name()))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The engine dies and a new one takes over. Everything that is shown must be the same.
    pub fn restart_engine(&mut self) {
        let slots = || (0..self.geometry.slots()).map(SlotId);
        let before: Vec<_> =
            slots().map(|at| (self.engine.told_bits(at), self.engine.order(at), self.engine.published(at))).collect();
        self.engine =
            Engine::open(self.image, self.geometry, self.capacities, self.memory).expect("the memory is its own");
        self.engine.limit_starts(self.parallel);
        let after: Vec<_> =
            slots().map(|at| (self.engine.told_bits(at), self.engine.order(at), self.engine.published(at))).collect();
        assert_eq!(before, after, "an engine that takes over thinks as its predecessor did");
        self.look();
    }

    /// The memory as it is now.
    pub fn words(&self) -> Vec<u32> {
        self.memory.iter().map(|word| word.load(Ordering::Relaxed)).collect()
    }
}

/// A fact as people write it, as the engine takes it.
pub fn words(fact: &str) -> Vec<u8> {
    fact.replace(' ', "\0").into_bytes()
}
