//! What `why` says of a machine as the engine has it: whatever it went through, each chain ends in a cause.

use core::sync::atomic::AtomicU32;
use std::collections::{BTreeMap, BTreeSet};

use super::world::{World, database};
use crate::simulate::random::Random;
use pintle::board::published::{self, ConditionRow, Event, Published, Reasons};
use pintle::board::reports::{self, Exit, Reports, State};
use pintle::engine::{Capacities, Input, NOBODY, Sender, Target, Verb};
use pintle::graph::Phase;
use pintle::ident::SlotId;
use pintle::status::{SystemWords, View, why};
use pintle::time::Instant;

/// The board as a reader has it.
struct Board {
    published: Vec<AtomicU32>,
    reports: Vec<AtomicU32>,
}

impl Board {
    fn of(world: &World, conditions: &BTreeMap<u32, ConditionRow>) -> Board {
        let zeros = |count: usize| (0..count).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
        let board = Board {
            published: zeros(published::words(&world.geometry)),
            reports: zeros(reports::words(&world.geometry)),
        };
        let (published, reports) =
            (Published::new(&board.published, world.geometry), Reports::new(&board.reports, world.geometry));
        published.format();
        reports.format();
        for at in (0..world.geometry.slots()).map(SlotId) {
            if let Some((template, name)) = world.engine.instance(at) {
                published.write_instance(at, template, name.as_bytes());
            }
            published.write(at, &world.engine.published(at));
            published.write_reasons(at, &world.engine.reasons(at));
            reports.write(at, &world.reports[at.index()]);
        }
        for (index, row) in conditions {
            published.write_condition(*index, row);
        }
        board
    }

    fn view(&self, world: &World) -> View<'_> {
        View {
            image: world.image,
            reports: Reports::new(&self.reports, world.geometry),
            published: Published::new(&self.published, world.geometry),
            now: Instant(world.now),
            wall_ns: 1_000_000_000_000_000 + world.now,
            supervisor_alive: true,
            engine_alive: true,
            words: SystemWords { failure: |_, to| to.write_str("exec: No such file or directory") },
        }
    }
}

fn why(world: &World, name: &str) -> String {
    let board = Board::of(world, &BTreeMap::new());
    let (view, mut text) = (board.view(world), String::new());
    why::write(&view, &mut text, &view.row(world.slot(name)).expect("a row"));
    text
}

/// How the last link of a chain may begin, behind the name: each says a cause.
const CAUSES: [&str; 19] = [
    "is held by a condition that a switch has set aside",
    "is up: an administrator",
    "is up: the machine was booted",
    "is up: a condition made this instance (dev N=1, on since ",
    "is up: a condition made this instance (dev N=2, on since ",
    "is up: go",
    "is up: up(",
    "is up: stopped",
    "is held down by an administrator",
    "is down for the shutdown",
    "is down: nothing wants it up",
    "has failed: ",
    "is done: ",
    "is skipped",
    "waits for its while: ",
    "runs as process",
    "runs its pre-start command",
    "died (",
    "was told to end",
];
/// Moments that pass by themselves: the supervisor has not answered yet.
const MOMENTS: [&str; 4] = ["is about to be ", "is being ", "is starting: the", "is restarting: the"];

#[test]
fn whatever_it_went_through_each_chain_ends_in_a_cause() {
    let bytes = database(
        "boot: type = bundle; contains = web job\nbase:\ndb: needs = base\nweb: binds = db; while = net\n\
         job: type = oneshot; remain = no; start-on = go; stop-on = halt\nmail: needs = db; wants = job\n\
         echo: start-on = stopped SERVICE=web; stop-on = go\nd@: for-each = dev; instance = ${N}\nlate: while = up(web)\n\
         rival: conflicts = web\nlistens: start-on = up(mail); stop-on = up(rival)",
    );
    let capacities = Capacities { conditions: 8, transactions: 128, entries: 256 };
    let (mut seen, mut longest, mut unknown) = (BTreeSet::new(), 0, Vec::new());
    for seed in 1..=12_u64 {
        let mut world = World::over(bytes, capacities);
        let (mut random, mut conditions) = (Random::new(seed), BTreeMap::new());
        let mut below = |bound: usize| random.index(bound);
        world.boot("boot");
        let names = ["base", "db", "web", "job", "echo", "mail", "late", "rival", "boot"];
        let verbs = [
            Verb::Start,
            Verb::Start,
            Verb::Stop,
            Verb::Restart,
            Verb::Reset,
            Verb::Release,
            Verb::RestartWithDependents,
            Verb::Switch,
        ];
        let facts = ["go", "halt", "net", "net", "dev N=1", "dev N=2"];
        for round in 0..100 {
            let (name, fact) = (names[below(names.len())], facts[below(facts.len())]);
            match below(9) {
                0 | 1 => _ = world.command(verbs[below(verbs.len())], &[name]),
                2 => _ = world.on(fact),
                3 => _ = world.off(fact),
                4 => _ = world.emit(fact),
                5 => {
                    let words = super::world::words(fact);
                    let _ = world.step(Input::On { fact: &words, sender: Sender::default(), lease: 1 });
                }
                6 => _ = world.step(Input::LeaseGone(1)),
                7 => {
                    let up: Vec<u32> = (0..world.geometry.slots())
                        .filter(|at| world.reports[*at as usize].state == State::Up)
                        .collect();
                    if !up.is_empty() {
                        let name = world.engine.name(SlotId(up[below(up.len())]));
                        let at = world.slot(name.as_str());
                        world.reports[at.index()].exit = Exit::Code(3);
                        match below(3) {
                            0 => world.dies(name.as_str()),
                            1 => world.fails(name.as_str()),
                            _ => world.report(name.as_str(), State::Done),
                        }
                    }
                }
                _ if round % 3 == 0 => world.settle(),
                _ => {
                    let unseen: Vec<u32> = world.unseen.keys().copied().collect();
                    if !unseen.is_empty() {
                        let name = world.engine.name(SlotId(unseen[below(unseen.len())]));
                        world.obey(name.as_str());
                    }
                }
            }
            if round == 99 && seed % 3 == 0 {
                let _ = world.step(Input::Shutdown(NOBODY));
            }
            while let Some((index, row)) = world.engine.take_condition() {
                conditions.insert(index, row);
            }
            let board = Board::of(&world, &conditions);
            let view = board.view(&world);
            for row in view.rows(false) {
                let mut text = String::new();
                why::write(&view, &mut text, &row);
                let last = text.rsplit("; ").find(|link| !link.starts_with("its start-on")).unwrap_or_default();
                // What is wished up has the causes of what is up.
                let behind = last.split_once(' ').map_or("", |(_, behind)| behind).replacen("is wished up", "is up", 1);
                let known = CAUSES.iter().chain(&MOMENTS).any(|cause| behind.starts_with(cause));
                if !known && !unknown.iter().any(|(known, ..): &(String, u64, String)| *known == behind) {
                    unknown.push((behind, seed, format!("{text}\n{}", world.phases())));
                }
                longest = longest.max(text.split("; ").count());
                let event = Reasons::from_words(&world.engine.reasons(row.slot)).newest().event;
                seen.insert((row.phase as u32, event as u32));
                let mut json = String::new();
                why::write_json(&view, &mut json, &row);
                serde_json::from_str::<serde_json::Value>(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
            }
        }
    }
    assert!(unknown.is_empty(), "these are no causes: {unknown:#?}");
    assert!(longest >= 3, "chains are walked");
    for phase in [Phase::Down, Phase::Waiting, Phase::Starting, Phase::Up, Phase::Stopping, Phase::Failed, Phase::Done]
    {
        let causes = seen.iter().filter(|(is, _)| *is == phase as u32).count();
        assert!(causes >= 3, "{} by {causes} causes", phase.name());
    }
    for event in [Event::Started, Event::Stopped, Event::Released, Event::Fired, Event::StopFired, Event::Unneeded] {
        assert!(seen.iter().any(|(_, is)| *is == event as u32), "{event:?}");
    }
}

#[test]
fn up_and_down_say_who_asked_when_and_in_which_transaction() {
    let mut world = World::booted(
        "boot: type = bundle; contains = web\nweb:\napp: needs = db\ndb:\nt: start-on = go KEY=v*; stop-on = halt",
    );
    assert_eq!(why(&world, "web"), "web is up: boot needs it; boot is up: the machine was booted into it (13:46:40Z)");
    let number = world.start("app");
    world.settle();
    assert!(why(&world, "db").contains(&format!("app is up: an administrator started it (transaction {number}, ")));
    let number = world.stop("app");
    world.settle();
    let text = why(&world, "db");
    assert!(
        text.starts_with(&format!("db is down: nothing wants it up: app no longer needs it (transaction {number}, "))
    );
    assert!(
        text.contains("; app is held down by an administrator since ")
            && text.ends_with(&format!("(transaction {number})"))
    );
    assert_eq!(why(&world, "t"), "t is down: nothing wants it up; its start-on: go KEY=v* (off)");
    let number = world.emit("go KEY=val").expect("event");
    world.settle();
    assert!(why(&world, "t").starts_with(&format!("t is up: go KEY=v* fired its start-on (transaction {number}, ")));
    let number = world.emit("halt").expect("event");
    assert!(
        why(&world, "t").contains(&format!("halt fired its stop-on (transaction {number}, ")),
        "{}",
        why(&world, "t")
    );
    world.settle();
    assert!(why(&world, "t").contains(&format!("nothing wants it up: halt fired its stop-on (transaction {number}, ")));
}

#[test]
fn a_command_is_told_with_the_user_who_gave_it() {
    let mut world = World::new("a:");
    let targets = [Target::Slot(world.slot("a"))];
    for (verb, uid, said) in [
        (Verb::Start, 1000, ", uid 1000)"),
        (Verb::Restart, 0, ", uid 0)"),
        (Verb::Stop, 65_534, ", uid 65534)"),
        (Verb::Start, NOBODY, "Z)"),
        (Verb::Start, 1 << 24, "Z)"),
    ] {
        world.step(Input::Command { verb, targets: &targets, uid }).expect("taken");
        world.settle();
        assert!(why(&world, "a").ends_with(said), "{verb:?} {uid}: {}", why(&world, "a"));
    }
}

#[test]
fn a_long_chain_is_cut_before_its_root_cause() {
    let text: String =
        (0..100).map(|n| if n == 0 { "s00:\n".into() } else { format!("s{n:02}: needs = s{:02}\n", n - 1) }).collect();
    let mut world = World::new(&text);
    world.start("s99");
    world.obey("s00");
    world.fails("s00");
    let text = why(&world, "s99");
    assert!(text.starts_with("s99 waits for s98; s98 waits for s97; "), "{text}");
    assert!(text.contains("; and so on through 84 more; s00 has failed: exit 1"), "{text}");
}
