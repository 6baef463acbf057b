//! What a dry run shows is what happens then: over random worlds, with programs that do well and in any order.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::engine::world::{World, database, words};
use crate::simulate::generate::generate;
use crate::simulate::plan::Plan;
use crate::simulate::random::Random;
use pintle::board::orders::Wish;
use pintle::board::published::{self, Published};
use pintle::board::reports::{self, Reports, State};
use pintle::board::words::store_u64;
use pintle::database::service;
use pintle::engine::{Capacities, Engine, Input, NOBODY, Refusal, Sender, Standing, Target, Verb};
use pintle::graph::{Phase, Relation};
use pintle::ident::SlotId;
use pintle::simulation::{Change, Program, Simulation, Transition};
use pintle::time::Instant;

/// What one dry run shows, and how it ends.
struct Shown {
    transitions: Vec<(String, Transition)>,
    /// Of each transition, what it says that it waited for.
    waited: Vec<Vec<SlotId>>,
    phases: Vec<(String, Phase)>,
    taken: Result<Option<Standing>, Refusal>,
    cut: bool,
}

fn zeros(count: usize) -> Vec<AtomicU32> {
    (0..count).map(|_| AtomicU32::new(0)).collect()
}

fn name(engine: &Engine<'_>, slot: SlotId) -> String {
    engine.name(slot).as_str().to_string()
}

/// An input, as it can be told to several engines.
#[derive(Clone, Debug)]
enum Act {
    Command(Verb, Vec<String>),
    On(&'static str),
    Off(&'static str),
    Emit(&'static str),
    Shutdown,
}

impl Act {
    fn tell(&self, engine: &mut Engine<'_>, now: Instant) -> Result<u32, Refusal> {
        match self {
            Act::Command(verb, names) => {
                let targets: Result<Vec<Target<'_>>, Refusal> =
                    names.iter().map(|name| engine.target(name.as_bytes()).ok_or(Refusal::NoSuchService)).collect();
                engine.step(now, Input::Command { verb: *verb, targets: &targets?, uid: NOBODY })
            }
            Act::On(fact) => engine.step(now, Input::On { fact: &words(fact), sender: Sender::default(), lease: 0 }),
            Act::Off(fact) => engine.step(now, Input::Off { fact: &words(fact) }),
            Act::Emit(fact) => engine.step(now, Input::Event { fact: &words(fact) }),
            Act::Shutdown => engine.step(now, Input::Shutdown(NOBODY)),
        }
    }
}

/// The dry run of these acts, in the world as it is now.
fn dry_run(world: &World, acts: &[Act], program: &dyn Fn(SlotId) -> Program) -> Shown {
    let before = world.words();
    let memory = zeros(world.memory.len());
    for (word, kept) in memory.iter().zip(world.engine.kept()) {
        word.store(kept.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    let geometry = world.geometry;
    let engine = Engine::open(world.image, geometry, world.capacities, &memory).expect("a copy of its memory");
    let (report_words, published_words) = (zeros(reports::words(&geometry)), zeros(published::words(&geometry)));
    let reports = Reports::new(&report_words, geometry);
    for (slot, row) in world.reports.iter().enumerate() {
        reports.write(SlotId(slot as u32), row);
    }
    store_u64(&report_words, reports::own::STAMP, world.stamp);
    let notes = zeros(Simulation::words(geometry));
    let published = Published::new(&published_words, geometry);
    let mut simulation = Simulation::new(engine, world.image, reports, published, &notes, program);
    simulation.begin(Instant(world.now));
    let mut taken = Ok(None);
    for act in acts {
        let now = simulation.now();
        let number = act.tell(&mut simulation.engine, now);
        simulation.look();
        taken = number.map(Some);
    }
    let (mut transitions, mut waited) = (Vec::new(), Vec::new());
    while let Some(transition) = simulation.next_transition() {
        transitions.push((name(&simulation.engine, transition.slot), transition));
        let mut others = Vec::new();
        simulation.waited_for(&transition, &mut |slot| others.push(slot));
        waited.push(others);
    }
    assert!(world.words() == before, "a dry run changes nothing");
    Shown {
        transitions,
        waited,
        phases: phases(&simulation.engine, geometry.slots()),
        taken: taken.map(|number| number.map(|number| simulation.engine.transaction(number))),
        cut: simulation.was_cut(),
    }
}

fn phases(engine: &Engine<'_>, slots: u32) -> Vec<(String, Phase)> {
    let published = (0..slots).map(SlotId).map(|at| (at, engine.published(at)));
    published.filter(|(_, row)| row.exists).map(|(at, row)| (name(engine, at), row.phase)).collect()
}

/// `1 start db; 1 start cache; 2 start app`.
fn text(shown: &Shown) -> String {
    let lines = shown.transitions.iter().map(|(name, one)| format!("{} {} {name}", one.round, one.change.name()));
    lines.collect::<Vec<_>>().join("; ")
}

fn well(_: SlotId) -> Program {
    Program::Well
}

#[test]
fn rounds_are_what_waits_for_each_other() {
    let mut world = World::new("db:\ncache:\napp: needs = db cache\nall: type = bundle; contains = app");
    let start = [Act::Command(Verb::Start, vec!["all".to_string()])];
    let shown = dry_run(&world, &start, &well);
    assert_eq!(text(&shown), "1 start cache; 1 start db; 2 start app; 2 up all");
    assert_eq!(shown.waited[2], [world.slot("cache"), world.slot("db")]);
    assert_eq!(shown.waited[3], [world.slot("app")]);
    assert_eq!(shown.taken, Ok(Some(Standing::Done)));
    world.start("all");
    world.obey("db");
    let shown = dry_run(&world, &[Act::Command(Verb::Stop, vec!["db".to_string()])], &well);
    assert_eq!(text(&shown), "1 stop db", "what is under way already goes on");
    world.settle();
    let shown = dry_run(&world, &[Act::Command(Verb::Stop, vec!["db".to_string()])], &well);
    assert_eq!(text(&shown), "1 down all; 1 stop app; 2 stop db");
    let shown = dry_run(&world, &[Act::Command(Verb::RestartWithDependents, vec!["db".to_string()])], &well);
    assert_eq!(text(&shown), "1 down all; 1 stop app; 2 restart db; 3 start app; 3 up all");
    assert_eq!(text(&dry_run(&world, &start, &well)), "");
}

#[test]
fn programs_may_fail_or_hang() {
    let world = World::new("db: start-timeout = 7s\napp: needs = db\nweb: wants = db");
    let start = |name: &str| [Act::Command(Verb::Start, vec![name.to_string()])];
    for how in [Program::Fails, Program::Hangs] {
        let db = world.slot("db");
        let program = move |slot| if slot == db { how } else { Program::Well };
        let shown = dry_run(&world, &start("app"), &program);
        assert_eq!(text(&shown), "1 start db");
        assert_eq!(shown.taken, Ok(Some(Standing::Failed)));
        let shown = dry_run(&world, &start("web"), &program);
        assert_eq!(text(&shown), "1 start db; 2 start web");
        assert_eq!(shown.taken, Ok(Some(Standing::Done)));
    }
}

#[test]
fn what_is_skipped_stays_so_where_it_is_not_asked_for() {
    let mut world = World::new("a:\nb:\nc: wants = a");
    world.start("a");
    world.obey("a");
    world.report("a", State::Skipped);
    world.settle();
    for (name, shows, phase) in [("b", "1 start b", Phase::Skipped), ("a", "1 start a", Phase::Up)] {
        let shown = dry_run(&world, &[Act::Command(Verb::Start, vec![name.to_string()])], &well);
        assert_eq!(text(&shown), shows);
        assert_eq!(shown.phases[0], ("a".to_string(), phase));
    }
}

#[test]
fn what_goes_round_for_ever_is_cut() {
    let world = World::new(
        "a: type = oneshot; remain = no; start-on = go or stopped SERVICE=b\n\
                            b: type = oneshot; remain = no; start-on = stopped SERVICE=a\n",
    );
    let shown = dry_run(&world, &[Act::Emit("go")], &well);
    assert!(shown.cut, "{}", text(&shown));
}

#[test]
fn what_is_refused_changes_nothing_in_it_either() {
    let world = World::new("a:");
    let shown = dry_run(&world, &[Act::Command(Verb::Reload, vec!["a".to_string()])], &well);
    assert!(shown.taken.is_err() && shown.transitions.is_empty());
}

/// A world of the simulator's in which the order of ends decides nothing: without conflicts, choices and triggers.
fn plan(seed: u64) -> Plan {
    let mut plan = generate(seed);
    for service in &mut plan.services {
        service
            .keys
            .retain(|(key, _)| !matches!(key.as_str(), "conflicts" | "start-on" | "stop-on" | "overlap" | "within"));
    }
    plan
}

/// One random thing that the supervisor does. Notes changes, but for orders that were given before.
fn progress(world: &mut World, random: &mut Random, given: &[(u32, u32)], log: &mut Vec<(String, Change)>) -> bool {
    let unseen: Vec<u32> = world.unseen.keys().copied().collect();
    let mut starting = Vec::new();
    for (slot, row) in world.reports.iter().enumerate() {
        // One that has a newer order is not ready any more before that is looked at.
        if row.state == State::Starting && !world.unseen.contains_key(&(slot as u32)) {
            starting.push(slot as u32);
        }
    }
    let count = unseen.len() + starting.len();
    if count == 0 {
        return false;
    }
    let one = random.below(count as u64) as usize;
    let Some(slot) = unseen.get(one) else {
        let slot = SlotId(starting[one - unseen.len()]);
        let definition = world.engine.instance(slot).map_or(slot, |(template, _)| template);
        let done = world.image.flags(definition) & service::flags::NO_REMAIN != 0;
        world.report(&name(&world.engine, slot), if done { State::Done } else { State::Up });
        return true;
    };
    let (order, state) = (world.unseen[slot], world.reports[*slot as usize].state);
    let called = name(&world.engine, SlotId(*slot));
    if !given.contains(&(*slot, order.number.0)) {
        let is_down = matches!(state, State::Down | State::Failed | State::Done);
        match order.wish {
            Wish::Down if is_down => {}
            Wish::Down => log.push((called.clone(), Change::Stop)),
            Wish::Up if is_down => log.push((called.clone(), Change::Start)),
            Wish::Up => log.push((called.clone(), Change::Restart)),
        }
    }
    world.obey(&called);
    true
}

fn act(plan: &Plan, random: &mut Random) -> Act {
    let facts = ["c0", "c1 K=x", "c2", "link IFACE=a", "link IFACE=b UP=1"];
    let fact: &'static str = facts[random.below(5) as usize];
    let name = random.pick(&plan.services).name.clone();
    let names = vec![if name.ends_with('@') { name + "a" } else { name }];
    match random.below(12) {
        0 | 1 => Act::Command(Verb::Start, names),
        2 => Act::Command(Verb::Stop, names),
        3 => Act::Command(Verb::Restart, names),
        4 => Act::Command(Verb::RestartWithDependents, names),
        5 => Act::Command(Verb::Release, names),
        6 | 7 => Act::Command(Verb::Switch, names),
        8 => Act::Command(Verb::Switch, vec!["boot".to_string()]),
        9 | 10 => Act::On(fact),
        _ => Act::Off(fact),
    }
}

#[test]
fn what_is_shown_is_what_happens() {
    let first = std::env::var("PINTLE_SIM_FIRST").map_or(0, |text| text.parse().expect("a number"));
    let count = std::env::var("PINTLE_SIM_SEEDS").map_or(300, |text| text.parse().expect("a number"));
    let mut moves = 0;
    for seed in first..first + count {
        let plan = plan(seed);
        let mut random = Random::new(seed);
        let bytes: &'static [u8] = Vec::leak(plan.compile().expect("generated").bytes);
        let entries = 8 * (plan.services.len() as u32 + 32);
        let mut world = World::over(bytes, Capacities { conditions: 16, transactions: 32, entries });
        world.boot("boot");
        let mut ignored = Vec::new();
        for _ in 0..random.below(8) {
            let _ = act(&plan, &mut random).tell(&mut world.engine, Instant(world.now));
            world.look();
            for _ in 0..random.below(12) {
                progress(&mut world, &mut random, &[], &mut ignored);
            }
        }
        if random.chance(70) {
            while progress(&mut world, &mut random, &[], &mut ignored) {}
        }
        let last = if random.chance(10) { Act::Shutdown } else { act(&plan, &mut random) };
        let shown = dry_run(&world, std::slice::from_ref(&last), &well);
        let given: Vec<(u32, u32)> = world.unseen.iter().map(|(slot, order)| (*slot, order.number.0)).collect();
        let number = last.tell(&mut world.engine, Instant(world.now));
        world.look();
        let mut log = Vec::new();
        while progress(&mut world, &mut random, &given, &mut log) {}
        let told = || format!("seed {seed}: {last:?}\n{plan}\nshown: {}\nhappened: {log:?}", text(&shown));
        assert!(!shown.cut, "{}", told());
        assert_eq!(shown.phases, phases(&world.engine, world.geometry.slots()), "{}", told());
        let processes = |change: Change| matches!(change, Change::Start | Change::Restart | Change::Stop);
        let listed = shown.transitions.iter().map(|(name, one)| (name.clone(), one.change));
        let sorted = |list: Vec<(String, Change)>| {
            let set: BTreeSet<String> =
                list.into_iter().map(|(name, change)| format!("{} {name}", change.name())).collect();
            set
        };
        assert_eq!(
            sorted(listed.filter(|(_, change)| processes(*change)).collect()),
            sorted(log.clone()),
            "{}",
            told()
        );
        assert_eq!(shown.taken.is_ok(), number.is_ok(), "{}", told());
        if let (Ok(Some(standing)), Ok(number)) = (shown.taken, number) {
            assert_eq!(standing, world.standing(number), "{}", told());
        }
        check_order(&world, &shown, &told);
        moves += log.len();
    }
    println!("{count} worlds, {moves} moves");
    assert!(moves as u64 > count, "nothing happened");
}

/// What an edge puts into an order is shown in this order: a start behind that of what it needs, a stop before.
fn check_order(world: &World, shown: &Shown, told: &dyn Fn() -> String) {
    let at = |slot: SlotId, change: Change| {
        shown.transitions.iter().position(|(_, one)| one.slot == slot && one.change == change)
    };
    for (place, (_, one)) in shown.transitions.iter().enumerate() {
        if one.slot.0 >= world.geometry.services {
            continue;
        }
        for edge in world.image.edges(one.slot) {
            let hard = matches!(edge.relation, Relation::Needs | Relation::Binds);
            let other = match one.change {
                Change::Start if hard || edge.relation == Relation::NeedsToStart => at(edge.slot, Change::Start),
                Change::Stop if hard => at(edge.slot, Change::Stop),
                _ => None,
            };
            if let Some(other) = other {
                let in_order = if one.change == Change::Start { other < place } else { place < other };
                let rounds = shown.transitions[other].1.round != one.round;
                assert!(in_order && rounds, "{} {}\n{}", one.change.name(), world.image.name(one.slot), told());
            }
        }
    }
}

#[test]
fn a_database_of_the_engines_tests_is_taken_too() {
    // The widest graph of the cost tests in one go: a whole boot shows each service once.
    let world = World::over(
        database(&crate::engine::world::layers(6, 10, 3)),
        Capacities { conditions: 1, transactions: 4, entries: 600 },
    );
    let shown = dry_run(&world, &[Act::Command(Verb::Start, vec!["boot".to_string()])], &well);
    assert_eq!((shown.transitions.len(), shown.transitions.last().map(|(_, one)| one.round)), (61, Some(6)));
}
