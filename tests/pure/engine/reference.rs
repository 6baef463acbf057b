//! A second evaluator of expressions and triggers, written from the prose of `graph/mod.rs` and for reading alone, and
//! that the engine's agrees with it: on random expressions, over random streams of facts.

use std::collections::BTreeMap;
use std::fmt;

use super::world::{World, database, words};
use crate::simulate::random::Random;
use pintle::board::orders::Wish;
use pintle::board::reports::State;
use pintle::engine::{Capacities, Input, Refusal, Sender, Verb};
use pintle::graph::{Goal, Hold, Phase};

/// Rows for conditions that a world has.
const CONDITIONS: usize = 8;
/// How many worlds are tried, and how many inputs in each.
const WORLDS: u64 = 3_000;
const INPUTS: usize = 40;
/// Bits of a latch word: leaves of one expression.
const LEAVES: usize = 32;
const MS: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Value {
    Off,
    Changing,
    On,
}

impl Value {
    fn not(self) -> Value {
        match self {
            Value::Off => Value::On,
            Value::Changing => Value::Changing,
            Value::On => Value::Off,
        }
    }
}

/// A condition or an event: its name, and its attributes in the order in which they were said.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Fact {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Fact {
    fn is(&self, other: &Fact) -> bool {
        let sorted = |fact: &Fact| fact.attributes.iter().cloned().collect::<BTreeMap<_, _>>();
        self.name == other.name && sorted(self) == sorted(other)
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.name)?;
        self.attributes.iter().try_for_each(|(key, value)| write!(to, " {key}={value}"))
    }
}

/// What an expression asks of a fact.
#[derive(Clone, Debug)]
struct Asked {
    name: String,
    places: Vec<String>,
    /// Key, whether it is `!=`, glob.
    named: Vec<(String, bool, String)>,
}

impl Asked {
    fn matches(&self, fact: &Fact) -> bool {
        let place = |(at, pattern): (usize, &String)| match fact.attributes.get(at) {
            Some((_, value)) => glob(pattern.as_bytes(), value.as_bytes()),
            None => false,
        };
        let named = |(key, negated, pattern): &(String, bool, String)| {
            let value = fact.attributes.iter().find(|(known, _)| known == key).map(|(_, value)| value);
            let equal = value.is_some_and(|value| glob(pattern.as_bytes(), value.as_bytes()));
            equal != *negated
        };
        self.name == fact.name && self.places.iter().enumerate().all(place) && self.named.iter().all(named)
    }
}

/// `*`, `?`, `[..]` and `[!..]` without ranges.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        ([b'*', rest @ ..], text) => (0..=text.len()).any(|eaten| glob(rest, &text[eaten..])),
        (_, []) => false,
        ([b'?', rest @ ..], [_, more @ ..]) => glob(rest, more),
        ([b'[', rest @ ..], [byte, more @ ..]) => {
            let end = rest.iter().position(|byte| *byte == b']').expect("a pattern of ours is closed");
            let (listed, negated) = match &rest[..end] {
                [b'!', listed @ ..] => (listed, true),
                listed => (listed, false),
            };
            listed.contains(byte) != negated && glob(&rest[end + 1..], more)
        }
        ([plain, rest @ ..], [byte, more @ ..]) => plain == byte && glob(rest, more),
    }
}

/// An expression. Leaves have their number, from left to right.
#[derive(Clone, Debug)]
enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Fact(usize, Asked),
    Up(usize),
    Failed(usize),
}

impl Expression {
    /// Random, so deep at most, with so many leaves at most; `leaves` counts them.
    fn random(random: &mut Random, depth: u32, leaves: &mut usize) -> Expression {
        let room = *leaves + 2 < LEAVES;
        match random.below(if depth == 0 || !room { 4 } else { 10 }) {
            0 if random.chance(20) => {
                *leaves += 1;
                if random.chance(50) { Expression::Up(*leaves - 1) } else { Expression::Failed(*leaves - 1) }
            }
            0..=3 => {
                *leaves += 1;
                let globs = ["*", "a*", "?", "[ab]", "[!a]", "*b", "ab", ""];
                let glob = |random: &mut Random| random.pick(&globs).to_string();
                let name = random.pick(&["x", "y", "z"]).to_string();
                let places = (0..random.below(5).saturating_sub(2)).map(|_| glob(random)).collect();
                let mut named = Vec::new();
                for key in ["K", "L"] {
                    if random.chance(20) {
                        named.push((key.to_string(), random.chance(40), glob(random)));
                    }
                }
                Expression::Fact(*leaves - 1, Asked { name, places, named })
            }
            4..=5 => Expression::Not(Box::new(Expression::random(random, depth - 1, leaves))),
            kind => {
                let left = Box::new(Expression::random(random, depth - 1, leaves));
                let right = Box::new(Expression::random(random, depth - 1, leaves));
                if kind < 8 { Expression::And(left, right) } else { Expression::Or(left, right) }
            }
        }
    }

    /// All leaves of which something is so.
    fn leaves(&self, is: &dyn Fn(&Expression) -> bool, found: &mut Vec<usize>) {
        match self {
            Expression::And(left, right) | Expression::Or(left, right) => {
                left.leaves(is, found);
                right.leaves(is, found);
            }
            Expression::Not(inner) => inner.leaves(is, found),
            Expression::Fact(number, _) | Expression::Up(number) | Expression::Failed(number) => {
                if is(self) {
                    found.push(*number);
                }
            }
        }
    }

    fn value(&self, world: &Model, latches: &Latches) -> Value {
        match self {
            Expression::And(left, right) => left.value(world, latches).min(right.value(world, latches)),
            Expression::Or(left, right) => left.value(world, latches).max(right.value(world, latches)),
            Expression::Not(inner) => inner.value(world, latches).not(),
            Expression::Fact(number, asked) => {
                let latched = latches.0.get(number).is_some_and(|set| world.counts(*set));
                let rows = world.rows.iter().filter(|row| asked.matches(&row.fact)).map(|row| row.value());
                rows.max().unwrap_or(Value::Off).max(if latched { Value::On } else { Value::Off })
            }
            Expression::Up(_) => world.up,
            Expression::Failed(_) if world.failed => Value::On,
            Expression::Failed(_) => Value::Off,
        }
    }

    /// The value of the whole, if that of this leaf goes up to it unchanged by what stands beside it.
    fn through(&self, leaf: usize, world: &Model, latches: &Latches) -> Option<Value> {
        let own = self.value(world, latches);
        match self {
            Expression::And(left, right) | Expression::Or(left, right) => {
                let below = left.through(leaf, world, latches).or(right.through(leaf, world, latches))?;
                (below == own).then_some(own)
            }
            Expression::Not(inner) => inner.through(leaf, world, latches).map(Value::not),
            Expression::Fact(number, _) | Expression::Up(number) | Expression::Failed(number) => {
                (*number == leaf).then_some(own)
            }
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::And(left, right) => write!(to, "({left} and {right})"),
            Expression::Or(left, right) => write!(to, "({left} or {right})"),
            Expression::Not(inner) => write!(to, "not {inner}"),
            Expression::Up(_) => write!(to, "up(o)"),
            Expression::Failed(_) => write!(to, "failed(o)"),
            Expression::Fact(_, asked) => {
                write!(to, "{}", asked.name)?;
                asked
                    .places
                    .iter()
                    .try_for_each(|glob| write!(to, " {}", if glob.is_empty() { "''" } else { glob }))?;
                let sign = |negated: bool| if negated { "!=" } else { "=" };
                asked.named.iter().try_for_each(|(key, negated, glob)| write!(to, " {key}{}{glob}", sign(*negated)))
            }
        }
    }
}

/// Leaves that are latched, and since when.
#[derive(Clone, Default, Debug)]
struct Latches(BTreeMap<usize, u64>);

impl Latches {
    fn word(&self) -> u32 {
        self.0.keys().fold(0, |word, leaf| word | 1 << leaf)
    }
}

/// A condition as one holds it: plainly (0) or by a lease; `None` where that ended while it was changing.
#[derive(Clone, Debug)]
struct Row {
    fact: Fact,
    holder: Option<u32>,
    /// When it is off, if it is changing.
    until: Option<u64>,
}

impl Row {
    fn value(&self) -> Value {
        if self.until.is_some() { Value::Changing } else { Value::On }
    }
}

/// A service with a trigger, and what it looks at.
struct Model {
    start_on: Expression,
    stop_on: Expression,
    within_ms: Option<u64>,
    now: u64,
    rows: Vec<Row>,
    up: Value,
    failed: bool,
    start_latches: Latches,
    stop_latches: Latches,
    trigger: bool,
    admin: bool,
    mark: bool,
    goal: bool,
    /// From its start until it is down.
    active: bool,
}

impl Model {
    /// Whether a latch that was set then is young enough.
    fn counts(&self, set: u64) -> bool {
        self.within_ms.is_none_or(|ms| self.now <= set + ms * MS)
    }

    /// These leaves, of either expression, were touched, if what fell made them off: `stop-on` comes first.
    fn touch(&mut self, fell: bool, is: &dyn Fn(&Expression) -> bool) {
        let fires = |expression: &Expression, latches: &Latches| {
            let mut touched = Vec::new();
            let is = |leaf: &Expression| is(leaf) && (!fell || leaf.value(self, latches) == Value::Off);
            expression.leaves(&is, &mut touched);
            touched.iter().any(|leaf| expression.through(*leaf, self, latches) == Some(Value::On))
        };
        let stops = fires(&self.stop_on, &self.stop_latches);
        let starts = fires(&self.start_on, &self.start_latches);
        if stops {
            self.stop_latches.0.clear();
            self.trigger = false;
        }
        if starts {
            self.start_latches.0.clear();
            self.trigger = true;
        }
        self.look_at_goal();
    }

    fn touch_facts(&mut self, fell: bool, facts: &[Fact]) {
        let is = |asked: &Asked| facts.iter().any(|fact| asked.matches(fact));
        self.touch(fell, &|leaf| matches!(leaf, Expression::Fact(_, asked) if is(asked)));
    }

    /// Goals come after all else; a start uses up latches.
    fn look_at_goal(&mut self) {
        self.goal = (self.trigger || self.admin) && !self.mark;
        if self.goal && !self.active {
            self.active = true;
            self.stop_latches.0.clear();
            if !self.trigger {
                self.start_latches.0.clear();
            }
        }
    }

    /// What has been changing for too long is off, the first first.
    fn advance(&mut self, now: u64) {
        self.now = now;
        loop {
            let late = self.rows.iter().filter_map(|row| row.until.filter(|until| *until <= now)).min();
            let Some(row) = self.rows.iter().find(|row| row.until.is_some() && row.until == late) else { return };
            let fact = row.fact.clone();
            self.off(&fact);
        }
    }

    fn event(&mut self, fact: &Fact) {
        let now = self.now;
        for (expression, latches) in
            [(&self.start_on, &mut self.start_latches), (&self.stop_on, &mut self.stop_latches)]
        {
            let mut matching = Vec::new();
            let matches = |leaf: &Expression| matches!(leaf, Expression::Fact(_, asked) if asked.matches(fact));
            expression.leaves(&matches, &mut matching);
            latches.0.extend(matching.into_iter().map(|leaf| (leaf, now)));
        }
        self.touch_facts(false, std::slice::from_ref(fact));
    }

    /// False where there is no room.
    fn on(&mut self, fact: &Fact, holder: u32) -> bool {
        let known = self.rows.iter().find(|row| row.fact.is(fact)).cloned();
        let mine = self.rows.iter().any(|row| row.fact.is(fact) && row.holder == Some(holder));
        let orphan = self.rows.iter().any(|row| row.fact.is(fact) && row.holder.is_none());
        // Said plainly, it ends what was changing for those who hold it.
        let is_changing = known.as_ref().is_some_and(|row| row.until.is_some());
        let held = self.rows.iter().any(|row| row.fact.is(fact) && row.holder.is_some());
        let restores = is_changing && holder == 0 && held && !mine;
        if !mine && !orphan && !restores && self.rows.len() == CONDITIONS {
            return false;
        }
        // One that is on already keeps the order of its attributes.
        let fact = known.as_ref().map_or(fact, |row| &row.fact).clone();
        self.rows.retain(|row| !(row.fact == fact && row.holder.is_none()));
        for row in self.rows.iter_mut().filter(|row| row.fact == fact) {
            row.until = None;
        }
        if !mine && !restores {
            self.rows.push(Row { fact: fact.clone(), holder: Some(holder), until: None });
        }
        if known.is_none_or(|row| row.until.is_some()) {
            self.touch_facts(false, &[fact]);
        }
        true
    }

    fn off(&mut self, fact: &Fact) {
        let Some(row) = self.rows.iter().find(|row| row.fact.is(fact)).cloned() else { return };
        self.rows.retain(|other| other.fact != row.fact);
        self.touch_facts(true, &[row.fact]);
    }

    /// False where it is not on.
    fn changing(&mut self, fact: &Fact, for_ms: u64) -> bool {
        let until = Some(self.now + for_ms * MS);
        let mut rows = self.rows.iter_mut().filter(|row| row.fact.is(fact)).peekable();
        let is_on = rows.peek().is_some();
        rows.for_each(|row| row.until = until);
        is_on
    }

    fn lease_gone(&mut self, lease: u32) {
        let mut facts: Vec<Fact> = Vec::new();
        for row in self.rows.iter_mut().filter(|row| row.holder == Some(lease)) {
            match row.until {
                Some(_) => row.holder = None,
                None => facts.push(row.fact.clone()),
            }
        }
        self.rows.retain(|row| row.holder != Some(lease));
        facts.retain(|fact| self.rows.iter().all(|row| row.fact != *fact));
        self.touch_facts(true, &facts);
    }

    /// What `up(o)` and `failed(o)` are now.
    fn observe(&mut self, phase: Phase) {
        let up = match phase {
            Phase::Up => Value::On,
            Phase::Restarting => Value::Changing,
            _ => Value::Off,
        };
        let failed = phase == Phase::Failed;
        let (up_flips, failed_flips) = (up != self.up, failed != self.failed);
        (self.up, self.failed) = (up, failed);
        if up_flips || failed_flips {
            self.touch(false, &|leaf| match leaf {
                Expression::Up(_) => up_flips,
                Expression::Failed(_) => failed_flips,
                _ => false,
            });
        }
    }
}

/// Both, side by side.
struct Pair {
    world: World,
    model: Model,
    allowed: Expression,
    trace: Vec<String>,
}

impl Pair {
    fn new(random: &mut Random) -> Pair {
        let mut expression = || Expression::random(random, 5, &mut 0);
        let (start_on, stop_on, allowed) = (expression(), expression(), expression());
        let within_ms = random.chance(50).then(|| 1 + random.below(60));
        let within = within_ms.map_or(String::new(), |ms| format!("; within = {ms}ms"));
        let text = format!("o:\ns: start-on = {start_on}; stop-on = {stop_on}{within}\nw: while = {allowed}");
        // Room for a transaction of every input: none is refused.
        let capacities = Capacities { conditions: CONDITIONS as u32, transactions: 64, entries: 512 };
        let mut world = World::over(database(&text), capacities);
        world.start("w");
        let model = Model {
            start_on,
            stop_on,
            within_ms,
            now: world.now,
            rows: Vec::new(),
            up: Value::Off,
            failed: false,
            start_latches: Latches::default(),
            stop_latches: Latches::default(),
            trigger: false,
            admin: false,
            mark: false,
            goal: false,
            active: false,
        };
        let mut pair = Pair { world, model, allowed, trace: vec![text] };
        pair.settle();
        pair
    }

    /// One step of the engine, and the same of the model; then both are the same.
    fn step<R>(&mut self, what: String, engine: impl FnOnce(&mut World) -> R, model: impl FnOnce(&mut Model) -> R)
    where
        R: PartialEq + fmt::Debug,
    {
        self.trace.push(format!("{} ms: {what}", self.world.now / MS));
        self.model.advance(self.world.now + MS);
        let (said, expected) = (engine(&mut self.world), model(&mut self.model));
        self.model.observe(self.world.phase("o"));
        let holds = self.world.row("s").holds.0;
        let facts = self.world.engine.facts(self.world.slot("s"));
        let shown = (said, holds & Hold::Trigger as u32 != 0, self.world.goal("s") == Goal::Up, facts[3], facts[4]);
        let model = &self.model;
        let latches = (model.start_latches.word(), model.stop_latches.word());
        let expected = (expected, model.trigger, model.goal, latches.0, latches.1);
        assert_eq!(shown, expected, "(answer, trigger, goal, latches)\n{}", self.trace.join("\n"));
    }

    /// The supervisor does what was ordered, but of `o`, which is steered.
    fn settle(&mut self) {
        for _ in 0..10 {
            for name in ["s", "w"] {
                let at = self.world.slot(name);
                if let Some(order) = self.world.unseen.get(&at.0) {
                    let is_down = name == "s" && order.wish == Wish::Down;
                    let down = |model: &mut Model| {
                        model.active &= !is_down;
                        model.look_at_goal();
                    };
                    self.step(format!("{name} obeys"), |world| world.obey(name), down);
                }
                if self.world.phase(name) == Phase::Starting {
                    self.step(format!("{name} is up"), |world| world.report(name, State::Up), |_| ());
                }
            }
        }
        let allowed = self.allowed.value(&self.model, &Latches::default());
        let up = self.world.phase("w") == Phase::Up;
        // What it observes may be under way: then it waits for that, too.
        let ordered = self.world.unseen.contains_key(&self.world.slot("o").0);
        let right = match allowed {
            Value::Off => !up,
            Value::Changing => true,
            Value::On => up || ordered || self.world.phase("o") == Phase::Starting,
        };
        assert!(right, "{allowed:?}\n{}", self.trace.join("\n"));
    }

    fn input(&mut self, random: &mut Random) {
        let fact = random_fact(random);
        let text = fact.to_string();
        let bytes = words(&text);
        let lease = random.below(3) as u32;
        let sender = Sender::default();
        match random.below(100) {
            0..30 => self.step(
                format!("emit {text}"),
                |world| world.step(Input::Event { fact: &bytes }).is_ok(),
                |model| {
                    model.event(&fact);
                    true
                },
            ),
            30..50 => self.step(
                format!("on {text} by {lease}"),
                |world| match world.step(Input::On { fact: &bytes, sender, lease }) {
                    Ok(_) => true,
                    Err(refusal) => {
                        assert_eq!(refusal, Refusal::ConditionsFull);
                        false
                    }
                },
                |model| model.on(&fact, lease),
            ),
            50..65 => self.step(
                format!("off {text}"),
                |world| world.step(Input::Off { fact: &bytes }).map(drop),
                |model| {
                    model.off(&fact);
                    Ok(())
                },
            ),
            65..75 => {
                // Of what is on, mostly; no two end at the same time.
                let fact = match self.model.rows.len() as u64 {
                    0 => fact,
                    count => self.model.rows[random.below(count) as usize].fact.clone(),
                };
                let bytes = words(&fact.to_string());
                let for_ms = 1 + random.below(40);
                let until = self.world.now + MS + for_ms * MS;
                if self.model.rows.iter().all(|row| row.until != Some(until)) {
                    self.step(
                        format!("changing {for_ms}ms {fact}"),
                        |world| {
                            world.step(Input::Changing { fact: &bytes, for_ms: for_ms as u32 }).map_err(|_| ()).is_ok()
                        },
                        |model| model.changing(&fact, for_ms),
                    );
                }
            }
            75..80 => self.step(
                format!("lease {lease} is gone"),
                |world| _ = world.step(Input::LeaseGone(lease)),
                |model| {
                    if lease != 0 {
                        model.lease_gone(lease)
                    }
                },
            ),
            80..85 => {
                let verb = *random.pick(&[Verb::Start, Verb::Stop, Verb::Release]);
                self.step(
                    format!("{verb:?} s"),
                    |world| _ = world.command(verb, &["s"]),
                    |model| {
                        (model.admin, model.mark) = (verb == Verb::Start, verb == Verb::Stop);
                        model.look_at_goal();
                    },
                );
            }
            85..95 => self.steer(random),
            95..98 => {
                self.trace.push("engine restarts".to_string());
                self.world.restart_engine();
            }
            _ => {
                let now = self.world.now + random.below(60) * MS;
                self.world.now = now;
                self.step("time".to_string(), |world| _ = world.step(Input::Tick), |_| ());
            }
        }
        self.settle();
    }

    /// Something happens to `o`.
    fn steer(&mut self, random: &mut Random) {
        let phase = self.world.phase("o");
        let ordered = self.world.unseen.contains_key(&self.world.slot("o").0);
        let what = format!("o was {}", phase.name());
        match phase {
            _ if ordered => self.step(what, |world| world.obey("o"), |_| ()),
            Phase::Starting => self.step(what, |world| world.report("o", State::Up), |_| ()),
            Phase::Up if random.chance(40) => self.step(what, |world| world.dies("o"), |_| ()),
            Phase::Restarting if self.world.reports[self.world.slot("o").index()].state == State::Delayed => {
                self.step(what, |world| world.lives_again("o"), |_| ());
            }
            Phase::Restarting if random.chance(60) => self.step(what, |world| world.report("o", State::Up), |_| ()),
            Phase::Up | Phase::Restarting if random.chance(60) => self.step(what, |world| world.fails("o"), |_| ()),
            Phase::Up | Phase::Restarting => self.step(what, |world| _ = world.stop("o"), |_| ()),
            _ => self.step(what, |world| _ = world.start("o"), |_| ()),
        }
    }
}

/// Of few names, keys and values, in any order.
fn random_fact(random: &mut Random) -> Fact {
    let mut attributes = Vec::new();
    for key in ["K", "L", "M"] {
        if random.chance(40) {
            let value = random.pick(&["", "a", "b", "ab"]).to_string();
            let at = random.below(attributes.len() as u64 + 1) as usize;
            attributes.insert(at, (key.to_string(), value));
        }
    }
    Fact { name: random.pick(&["x", "y", "z"]).to_string(), attributes }
}

/// `PINTLE_REFERENCE=FIRST,COUNT` tries these worlds instead.
#[test]
fn the_engine_agrees_with_the_reference() {
    let given = std::env::var("PINTLE_REFERENCE").ok();
    let parse = |text: &str| text.parse::<u64>().expect("a number");
    let (first, count) = given
        .as_deref()
        .and_then(|text| text.split_once(','))
        .map_or((0, WORLDS), |(first, count)| (parse(first), parse(count)));
    for seed in first..first + count {
        let mut random = Random::new(seed);
        let mut pair = Pair::new(&mut random);
        pair.trace.insert(0, format!("seed {seed}"));
        for _ in 0..INPUTS {
            pair.input(&mut random);
        }
    }
    println!("{count} worlds of {INPUTS} inputs");
}
