//! The judge: what must hold after each step of the engine, by the reports that it has read. It is written for clarity,
//! over definitions and edges, and knows nothing of the engine's counters.

use std::collections::{BTreeMap, BTreeSet};

use pintle::board::Geometry;
use pintle::board::orders::{OrderRow, Wish};
use pintle::board::published::{Blocker, PublishedRow};
use pintle::board::reports::{ReportRow, State};
use pintle::database::{Image, service};
use pintle::engine::Engine;
use pintle::graph::{Goal, Hold, Holds, Phase, Relation};
use pintle::ident::SlotId;
use pintle::lang::attribute;
use pintle::lang::definition::{Definition, Kind, Token, Word};
use pintle::lang::keys::number;
use pintle::limits::ALTERNATIVES_MAX;

mod expected;

pub use expected::{Expected, sorted};

use expected::Followed;

use super::generate::LARGE;
use super::world::{Broken, Trace};

/// Value of an expression.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Value {
    Off,
    Changing,
    On,
}

pub struct Judge<'a> {
    pub image: Image<'a>,
    pub geometry: Geometry,
    definitions: &'a BTreeMap<String, Definition>,
    /// Of each slot: the report that the engine has read last.
    pub seen: Vec<ReportRow>,
    orders: Vec<OrderRow>,
    told: Vec<u32>,
    /// Names with the mark of a person.
    marks: BTreeSet<String>,
    /// What each choice had chosen.
    chosen: Vec<Option<SlotId>>,
    /// Conditions that are on, words sorted, with their lease.
    pub facts: BTreeSet<(String, u32)>,
    /// Those of them that are changing, and until when.
    changing: BTreeMap<String, u64>,
    now: u64,
    pub expected: Option<Expected>,
    /// The limit on parallel starts; 0 is none.
    pub parallel: usize,
    steps: u64,
    opened: bool,
    /// Transactions that are not decided yet.
    open: BTreeMap<u32, Followed>,
}

impl<'a> Judge<'a> {
    pub fn new(image: Image<'a>, geometry: Geometry, definitions: &'a BTreeMap<String, Definition>) -> Judge<'a> {
        let slots = geometry.slots() as usize;
        Judge {
            image,
            geometry,
            definitions,
            seen: vec![ReportRow::default(); slots],
            orders: vec![OrderRow::default(); slots],
            told: vec![0; slots],
            marks: BTreeSet::new(),
            chosen: vec![None; slots],
            facts: BTreeSet::new(),
            changing: BTreeMap::new(),
            now: 0,
            expected: None,
            parallel: 0,
            steps: 0,
            opened: false,
            open: BTreeMap::new(),
        }
    }

    pub fn slots(&self) -> impl Iterator<Item = SlotId> + use<> {
        (0..self.geometry.slots()).map(SlotId)
    }

    // The graph, as it stands in the database, with instances in the place of their templates.

    pub fn is_template(&self, at: SlotId) -> bool {
        at.0 < self.geometry.services && self.image.flags(at) & service::flags::TEMPLATE != 0
    }

    pub fn lives(&self, engine: &Engine<'_>, at: SlotId) -> bool {
        if at.0 < self.geometry.services { !self.is_template(at) } else { engine.instance(at).is_some() }
    }

    fn record(&self, engine: &Engine<'_>, at: SlotId) -> Option<SlotId> {
        if at.0 < self.geometry.services { Some(at) } else { engine.instance(at).map(|(template, _)| template) }
    }

    pub fn kind(&self, engine: &Engine<'_>, at: SlotId) -> u32 {
        self.record(engine, at).map_or(0, |record| self.image.flags(record) & 0xff)
    }

    pub fn is_bundle(&self, engine: &Engine<'_>, at: SlotId) -> bool {
        self.kind(engine, at) == Kind::Bundle as u32
    }

    fn expand(&self, engine: &Engine<'_>, at: SlotId) -> Vec<SlotId> {
        if !self.is_template(at) {
            return vec![at];
        }
        let of = |slot: &SlotId| engine.instance(*slot).is_some_and(|(template, _)| template == at);
        (self.geometry.services..self.geometry.slots()).map(SlotId).filter(of).collect()
    }

    pub fn targets(&self, engine: &Engine<'_>, at: SlotId) -> Vec<(Relation, SlotId)> {
        let Some(record) = self.record(engine, at) else { return Vec::new() };
        let edges = self.image.edges(record).filter(|edge| self.counts(engine, edge.relation, at, edge.slot));
        edges.flat_map(|edge| self.expand(engine, edge.slot).into_iter().map(move |to| (edge.relation, to))).collect()
    }

    pub fn is_choice(&self, at: SlotId) -> bool {
        at.0 < self.geometry.services && self.image.flags(at) & service::flags::CHOICE != 0
    }

    /// The place that a choice has chosen, and a bit for each that was tried: what it remembers.
    fn remembers(&self, engine: &Engine<'_>, choice: SlotId) -> (Option<usize>, u32) {
        let word = engine.facts(choice)[5];
        ((word >> ALTERNATIVES_MAX).checked_sub(1).map(|place| place as usize), word & ((1 << ALTERNATIVES_MAX) - 1))
    }

    pub fn chosen(&self, engine: &Engine<'_>, choice: SlotId) -> Option<SlotId> {
        self.image.edges(choice).nth(self.remembers(engine, choice).0?).map(|edge| edge.slot)
    }

    /// Of the edges of a choice only that to the chosen one counts.
    fn counts(&self, engine: &Engine<'_>, relation: Relation, source: SlotId, target: SlotId) -> bool {
        relation != Relation::Alternative || self.chosen(engine, source) == Some(target)
    }

    /// Whether a choice may have it: it has no mark, and has not ended for good.
    fn is_usable(&self, engine: &Engine<'_>, at: SlotId) -> bool {
        let row = engine.published(at);
        let ended = match row.phase {
            Phase::Skipped => !self.satisfies(engine, Relation::Alternative, at),
            phase => matches!(phase, Phase::Failed | Phase::Done),
        };
        !row.holds.marked() && !ended
    }

    /// Whether a person has to repair something before it can come up, or stay. What was found of others is in `known`.
    fn is_barred(&self, engine: &Engine<'_>, at: SlotId, known: &mut BTreeMap<SlotId, bool>) -> bool {
        if let Some(known) = known.get(&at) {
            return *known;
        }
        let row = engine.published(at);
        let lives = matches!(row.phase, Phase::Up | Phase::Starting | Phase::Restarting);
        // With what was left the goal of what is skipped may have fallen, too.
        let is_skipped = |at| engine.published(at).phase == Phase::Skipped;
        let as_good = |at| self.satisfies(engine, Relation::Needs, at);
        let edges = self.image.edges(self.record(engine, at).unwrap_or(at));
        let barred = if self.is_choice(at) {
            row.phase != Phase::Up && edges.clone().all(|edge| self.is_barred(engine, edge.slot, known))
        } else if is_skipped(at) && as_good(at) {
            false
        } else {
            edges.clone().any(|edge| {
                let counts = match edge.relation {
                    Relation::Needs | Relation::Binds | Relation::Contains => true,
                    relation => relation == Relation::NeedsToStart && !lives,
                };
                let skipped = edge.relation != Relation::Contains && is_skipped(edge.slot) && !as_good(edge.slot);
                counts && (skipped || self.is_barred(engine, edge.slot, known))
            })
        };
        let marked = row.holds.0 & Holds::MARK_ADMIN != 0;
        let barred = barred || marked || matches!(row.phase, Phase::Failed | Phase::Done);
        known.insert(at, barred);
        barred
    }

    /// A choice that has nothing chosen has tried all that it could choose.
    pub fn check_none_is_left(&self, engine: &Engine<'_>, choice: SlotId) -> Result<(), Broken> {
        let (_, tried) = self.remembers(engine, choice);
        for (place, edge) in self.image.edges(choice).enumerate() {
            let usable = self.is_usable(engine, edge.slot);
            if usable && (tried >> place & 1 == 0 || engine.published(edge.slot).phase == Phase::Up) {
                let (name, other) = (engine.name(choice), engine.name(edge.slot));
                return Err(Broken(format!("choices: {} could choose {}", name.as_str(), other.as_str())));
            }
        }
        Ok(())
    }

    fn has_rivals(&self, engine: &Engine<'_>, at: SlotId) -> bool {
        let mut edges = self.image.edges(self.record(engine, at).unwrap_or(at));
        edges.any(|edge| edge.relation == Relation::Conflicts)
    }

    /// A choice pulls one alternative while its goal is up, and moves only from one that it may not have.
    fn check_choices(&mut self, engine: &Engine<'_>) -> Result<(), Broken> {
        let choices: Vec<SlotId> = self.slots().filter(|at| self.is_choice(*at)).collect();
        for at in choices {
            let chosen = self.chosen(engine, at);
            let before = std::mem::replace(&mut self.chosen[at.index()], chosen);
            let name = engine.name(at);
            if engine.published(at).goal == Goal::Down {
                self.chosen[at.index()] = None; // it chooses anew when that rises
                continue;
            }
            // (The mark of a conflict may have come and gone in this step.)
            let may_go = |left: SlotId| !self.is_usable(engine, left) || self.has_rivals(engine, left);
            let moved = before.filter(|left| chosen != Some(*left) && !may_go(*left));
            if let Some(left) = moved.filter(|left| !self.is_barred(engine, *left, &mut BTreeMap::new())) {
                let (name, left) = (name.as_str(), engine.name(left));
                return Err(Broken(format!("choices: {name} moves though {} is well", left.as_str())));
            }
            if chosen.is_none() {
                self.check_none_is_left(engine, at)?;
            }
        }
        Ok(())
    }

    pub fn sources(&self, engine: &Engine<'_>, at: SlotId) -> Vec<(Relation, SlotId)> {
        let Some(record) = self.record(engine, at) else { return Vec::new() };
        let edges = self.image.reverse(record).filter(|edge| self.counts(engine, edge.relation, edge.slot, at));
        edges.flat_map(|edge| self.expand(engine, edge.slot).into_iter().map(move |to| (edge.relation, to))).collect()
    }

    /// The services with processes that need or bind this one, through bundles too.
    fn dependents(&self, engine: &Engine<'_>, at: SlotId, found: &mut BTreeSet<SlotId>) {
        for (relation, source) in self.sources(engine, at) {
            if matches!(relation, Relation::Needs | Relation::Binds | Relation::Contains | Relation::Alternative) {
                if self.is_bundle(engine, source) {
                    self.dependents(engine, source, found);
                } else {
                    found.insert(source);
                }
            }
        }
    }

    // What is, by what the engine has read.

    fn is_current(&self, engine: &Engine<'_>, at: SlotId) -> bool {
        let order = engine.order(at);
        order.number.0 != 0 && self.seen[at.index()].order == order.number
    }

    /// Up by the reports: of the newest order, and that wishes it up.
    pub fn is_up(&self, engine: &Engine<'_>, at: SlotId) -> bool {
        if self.is_bundle(engine, at) {
            let targets = self.targets(engine, at);
            return engine.published(at).phase == Phase::Up
                && targets.iter().all(|(relation, to)| {
                    let member = matches!(relation, Relation::Contains | Relation::Alternative);
                    !member || self.satisfies(engine, *relation, *to)
                });
        }
        self.is_current(engine, at) && engine.order(at).wish == Wish::Up && self.seen[at.index()].state == State::Up
    }

    /// Up, or skipped where that is as good: to a bundle, and where its own file says so.
    pub fn satisfies(&self, engine: &Engine<'_>, relation: Relation, to: SlotId) -> bool {
        let row = engine.published(to);
        let skipped = row.phase == Phase::Skipped
            && row.goal == Goal::Up
            && self.is_current(engine, to)
            && self.seen[to.index()].state == State::Skipped;
        let record = self.record(engine, to);
        let skip_ok = || record.is_some_and(|record| self.image.flags(record) & service::flags::SKIP_OK != 0);
        self.is_up(engine, to) || skipped && (relation == Relation::Contains || skip_ok())
    }

    /// Down by the reports, with nothing ordered that says otherwise.
    fn is_down(&self, engine: &Engine<'_>, at: SlotId) -> bool {
        engine.order(at).number.0 == 0
            || self.is_current(engine, at)
                && match self.seen[at.index()].state {
                    State::Down => engine.order(at).wish == Wish::Down,
                    State::Failed | State::Done | State::Skipped => true,
                    State::Queued
                    | State::Spawning
                    | State::Starting
                    | State::Up
                    | State::Delayed
                    | State::Stopping => false,
                }
    }

    /// Down, or killed long ago and still there: what nothing that is to stop waits for.
    fn is_out_of_the_way(&self, engine: &Engine<'_>, at: SlotId) -> bool {
        self.is_down(engine, at) || self.seen[at.index()].stuck
    }

    /// The value of a slot's `while`.
    pub fn gate(&self, engine: &Engine<'_>, at: SlotId) -> Value {
        if self.is_choice(at) {
            return Value::On;
        }
        let name = engine.name(at);
        let template = name.as_str().split_once('@').map(|(before, _)| format!("{before}@"));
        let of = |name: &str| self.definitions.get(name);
        let definition = of(name.as_str()).or_else(|| of(&template?));
        match definition.and_then(|definition| definition.given(number("while"))) {
            Some(given) => self.value(engine, &mut &given.words[..]),
            None => Value::On,
        }
    }

    /// The value of the expression that these words begin with; they are taken away.
    fn value(&self, engine: &Engine<'_>, words: &mut &[Word]) -> Value {
        let phase = |name: &str| self.image.find_provider(name.as_bytes()).map(|at| engine.published(at).phase);
        let (node, rest) = words.split_first().expect("a node");
        *words = rest;
        match node.token {
            Token::And => self.value(engine, words).min(self.value(engine, words)),
            Token::Or => self.value(engine, words).max(self.value(engine, words)),
            Token::Not => match self.value(engine, words) {
                Value::Off => Value::On,
                Value::Changing => Value::Changing,
                Value::On => Value::Off,
            },
            Token::Up => match phase(node.text) {
                Some(Phase::Up) => Value::On,
                Some(Phase::Restarting) => Value::Changing,
                _ => Value::Off,
            },
            Token::Failed => {
                if phase(node.text) == Some(Phase::Failed) {
                    Value::On
                } else {
                    Value::Off
                }
            }
            Token::Fact => {
                let mut asked = Vec::new();
                while let [Word { token: Token::Attribute, text, .. }, rest @ ..] = *words {
                    *words = rest;
                    asked.push(attribute(text));
                }
                let value = |(fact, _): &(String, u32)| {
                    let mut words = fact.split(' ');
                    let named = words.next() == Some(node.text);
                    let words: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
                    let mut asked = asked.iter().enumerate();
                    let matches = named
                        && asked.all(|(place, (name, negated, pattern))| {
                            let is_meant = |at: usize, key: &str| key == *name || name.is_empty() && at == place;
                            let mut words = words.iter().enumerate();
                            let found = words.any(|(at, (key, value))| is_meant(at, key) && glob(pattern, value));
                            found != *negated
                        });
                    match matches {
                        false => Value::Off,
                        true if self.changing.contains_key(fact) => Value::Changing,
                        true => Value::On,
                    }
                };
                self.facts.iter().map(value).max().unwrap_or(Value::Off)
            }
            other => panic!("{other:?} is no node"),
        }
    }

    /// Everything that is shown of all slots.
    pub fn picture(&self, engine: &Engine<'_>) -> Vec<(u32, OrderRow, PublishedRow)> {
        self.slots().map(|at| (engine.told_bits(at), engine.order(at), engine.published(at))).collect()
    }

    // What is expected.

    /// A step at this time: what has been changing for too long is off.
    pub fn expire(&mut self, now: u64) {
        self.now = now;
        self.changing.retain(|fact, until| {
            let stays = *until > now;
            self.facts.retain(|(known, _)| stays || known != fact);
            stays
        });
    }

    fn find(&self, engine: &Engine<'_>, name: &str) -> Option<SlotId> {
        self.slots().find(|at| self.lives(engine, *at) && engine.name(*at).as_str() == name)
    }

    /// Too large for a look at every slot after each step.
    pub fn is_large(&self) -> bool {
        self.geometry.slots() as usize > LARGE
    }

    // The checks.

    /// A new engine thinks as the one before did: everything derived is a function of what was kept.
    pub fn after_opening(&mut self, engine: &Engine<'_>) -> Result<(), Broken> {
        if self.is_large() {
            return Ok(());
        }
        for at in self.slots() {
            let was = (std::mem::replace(&mut self.told[at.index()], engine.told_bits(at)), self.orders[at.index()]);
            let is = (engine.told_bits(at), engine.order(at));
            self.orders[at.index()] = is.1;
            if self.opened && was != is {
                let name = engine.name(at);
                return Err(Broken(format!("6: {} was {was:x?}, to the next engine it is {is:x?}", name.as_str())));
            }
        }
        self.opened = true;
        Ok(())
    }

    pub fn after_step(&mut self, engine: &Engine<'_>, now: u64, what: &str, trace: &mut Trace) -> Result<(), Broken> {
        self.steps += 1;
        if self.is_large() {
            // What may be looked at in any state, now and then: a look at every slot takes longer than the step.
            let looks = self.steps.is_multiple_of(1024);
            return if looks { self.check_goals(engine).and_then(|()| self.check_parallel(engine)) } else { Ok(()) };
        }
        let mut changed = Vec::new();
        for at in self.slots() {
            let order = engine.order(at);
            let before = std::mem::replace(&mut self.orders[at.index()], order);
            self.told[at.index()] = engine.told_bits(at);
            if before.number != order.number {
                changed.push((at, order));
            }
        }
        for (at, order) in changed {
            let name = engine.name(at);
            let name = name.as_str();
            trace.say(now, || {
                let how = if order.restart { "restart" } else { "" };
                format!("engine: {what}: {name} ({}) {:?} {how} order {}", at.0, order.wish, order.number.0)
            });
            match (order.wish, order.restart) {
                (Wish::Up, false) => self.check_start(engine, at, name)?,
                (Wish::Down, _) => self.check_stop(engine, at, name)?,
                (Wish::Up, true) => self.check_restart(engine, at, name)?,
            }
        }
        self.check_outcomes(engine, now)?;
        self.check_choices(engine)?;
        // Of large worlds not each step, for time's sake.
        if self.geometry.slots() < 40 || self.steps.is_multiple_of(32) {
            self.check_goals(engine)?;
            self.check_parallel(engine)?;
        }
        Ok(())
    }

    fn check_start(&self, engine: &Engine<'_>, at: SlotId, name: &str) -> Result<(), Broken> {
        let broken = |why: String| Err(Broken(format!("1: {name} is started, but {why}")));
        for (relation, to) in self.targets(engine, at) {
            let hard = matches!(relation, Relation::Needs | Relation::Binds | Relation::NeedsToStart);
            if hard && !self.satisfies(engine, relation, to) {
                return broken(format!("{} is not up", engine.name(to).as_str()));
            }
            if relation == Relation::Conflicts && !self.is_down(engine, to) {
                return broken(format!("{} is not down", engine.name(to).as_str()));
            }
        }
        if self.gate(engine, at) != Value::On {
            return broken("its while is not on".to_string());
        }
        if engine.published(at).goal != Goal::Up {
            return broken("its goal is down".to_string());
        }
        Ok(())
    }

    fn check_stop(&self, engine: &Engine<'_>, at: SlotId, name: &str) -> Result<(), Broken> {
        let mut dependents = BTreeSet::new();
        self.dependents(engine, at, &mut dependents);
        match dependents.iter().find(|source| !self.is_out_of_the_way(engine, **source)) {
            Some(source) => {
                Err(Broken(format!("2: {name} is stopped, but {} is not down", engine.name(*source).as_str())))
            }
            None => Ok(()),
        }
    }

    fn check_restart(&self, engine: &Engine<'_>, at: SlotId, name: &str) -> Result<(), Broken> {
        let binds = |(relation, source): &(Relation, SlotId)| {
            *relation == Relation::Binds && !self.is_bundle(engine, *source) && !self.is_out_of_the_way(engine, *source)
        };
        match self.sources(engine, at).iter().find(|one| binds(one)) {
            Some((_, source)) => {
                let source = engine.name(*source);
                Err(Broken(format!("2: {name} is restarted, but {}, which binds to it, is not down", source.as_str())))
            }
            None => Ok(()),
        }
    }

    /// Goals are the least set that holds, marks and pulls give; conflicting ones are never wished together.
    fn check_goals(&self, engine: &Engine<'_>) -> Result<(), Broken> {
        let shows: Vec<Option<PublishedRow>> =
            self.slots().map(|at| self.lives(engine, at).then(|| engine.published(at))).collect();
        let shutting_down = engine.shutting_down();
        let mut goals = vec![false; shows.len()];
        let mut pulled = vec![false; shows.len()];
        let own = !(Hold::Need as u32) & 0xffff;
        let wished = |at: SlotId, pulled: bool| {
            let Some(row) = &shows[at.index()] else { return false };
            let held =
                if shutting_down { self.image.find(b"shutdown") == Some(at) } else { row.holds.counted() & own != 0 };
            (held || pulled) && row.holds.0 & (Holds::MARK_ADMIN | Holds::MARK_CONFLICT) == 0
        };
        let mut open: Vec<SlotId> = self.slots().filter(|at| wished(*at, false)).collect();
        for at in &open {
            goals[at.index()] = true;
        }
        while let Some(at) = open.pop() {
            for (relation, to) in self.targets(engine, at) {
                let pulls = match relation {
                    Relation::Needs
                    | Relation::Binds
                    | Relation::NeedsToStart
                    | Relation::Wants
                    | Relation::Contains
                    | Relation::Alternative => true,
                    Relation::After | Relation::Conflicts | Relation::Observes | Relation::Listens => false,
                };
                if pulls {
                    pulled[to.index()] = true;
                    if !goals[to.index()] && wished(to, true) {
                        goals[to.index()] = true;
                        open.push(to);
                    }
                }
            }
        }
        for at in self.slots() {
            let Some(row) = &shows[at.index()] else { continue };
            let name = engine.name(at);
            let name = name.as_str();
            if (row.holds.0 & Hold::Boot as u32 != 0) != (engine.current() == Some(at)) {
                return Err(Broken(format!(
                    "goals: {name} has holds {:#x}, {:?} is current",
                    row.holds.0,
                    engine.current()
                )));
            }
            if (row.goal == Goal::Up) != goals[at.index()] {
                return Err(Broken(format!("goals: that of {name} is {:?}, holds {:#x}", row.goal, row.holds.0)));
            }
            if (row.holds.0 & Hold::Need as u32 != 0) != pulled[at.index()] {
                return Err(Broken(format!("goals: {name} is pulled: {}, and not shown so", pulled[at.index()])));
            }
            if (row.holds.0 & Holds::MARK_ADMIN != 0) != self.marks.contains(name) {
                return Err(Broken(format!("marks: {name} is marked: {}", row.holds.0 & Holds::MARK_ADMIN != 0)));
            }
            let rivals = self.targets(engine, at).into_iter().filter(|(relation, _)| *relation == Relation::Conflicts);
            let risen = rivals.filter(|(_, to)| goals[to.index()]).count() > 0;
            if risen && goals[at.index()] {
                return Err(Broken(format!("conflicts: {name} is wished together with what it conflicts with")));
            }
            if row.holds.0 & Holds::MARK_CONFLICT != 0 && !risen {
                return Err(Broken(format!(
                    "conflicts: {name} is marked, and nothing that it conflicts with is wished"
                )));
            }
        }
        Ok(())
    }

    /// Whatever may start now is requested now, as far as a limit lets it: a plain part of it, where nothing near is
    /// under way.
    fn check_parallel(&self, engine: &Engine<'_>) -> Result<(), Broken> {
        let starting = self.slots().filter(|at| engine.published(*at).phase == Phase::Starting).count();
        if self.parallel != 0 && starting >= self.parallel {
            let more = starting > self.parallel;
            return if more { Err(Broken(format!("5: {starting} start, and {} may", self.parallel))) } else { Ok(()) };
        }
        for at in self.slots() {
            if !self.lives(engine, at) || self.is_bundle(engine, at) {
                continue;
            }
            if engine.published(at).phase == Phase::Waiting && self.may_start(engine, at) {
                return Err(Broken(format!("5: {} may start, and waits", engine.name(at).as_str())));
            }
        }
        Ok(())
    }

    fn may_start(&self, engine: &Engine<'_>, at: SlotId) -> bool {
        let near_is_at_rest = |relation: Relation, to: SlotId| {
            let row = engine.published(to);
            match relation {
                Relation::Needs | Relation::Binds | Relation::NeedsToStart => self.satisfies(engine, relation, to),
                Relation::Contains | Relation::Wants | Relation::After | Relation::Observes => match row.phase {
                    Phase::Up => row.goal == Goal::Up && is_free(row.blocker),
                    Phase::Failed | Phase::Done | Phase::Skipped | Phase::Down => true,
                    Phase::Waiting | Phase::Starting | Phase::Restarting | Phase::Stopping => false,
                },
                Relation::Conflicts => !self.is_bundle(engine, to) && self.is_down(engine, to),
                Relation::Listens | Relation::Alternative => true,
            }
        };
        let source_is_at_rest = |source: SlotId| {
            let row = engine.published(source);
            match row.phase {
                Phase::Up => is_free(row.blocker),
                Phase::Failed | Phase::Done | Phase::Skipped | Phase::Down | Phase::Waiting => true,
                Phase::Starting | Phase::Restarting | Phase::Stopping => false,
            }
        };
        let hard = |relation| matches!(relation, Relation::Needs | Relation::Binds | Relation::NeedsToStart);
        self.gate(engine, at) == Value::On
            && self.targets(engine, at).into_iter().all(|(relation, to)| {
                near_is_at_rest(relation, to) && (!hard(relation) || is_free(engine.published(to).blocker))
            })
            && self.sources(engine, at).into_iter().all(|(_, source)| source_is_at_rest(source))
    }
}

/// Nothing is in its way.
fn is_free(blocker: Blocker) -> bool {
    matches!(blocker, Blocker::Nothing | Blocker::Chosen(_))
}

/// As much of globs as plans have: plain text, and `*` at the end.
fn glob(glob: &str, value: &str) -> bool {
    glob.strip_suffix('*').map_or(glob == value, |start| value.starts_with(start))
}
