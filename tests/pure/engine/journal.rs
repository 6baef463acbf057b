//! The journal: what is in it, that it survives deaths, and that a run can be replayed from it.

use super::world::{World, database};
use crate::simulate::random::Random;
use pintle::board::published::{Blocker, PublishedRow};
use pintle::board::reports::State;
use pintle::engine::journal::{Cursor, Kind, Record};
use pintle::engine::{Capacities, Engine, Input, NOBODY, Sender, Target, Verb};
use pintle::graph::{Goal, Phase};
use pintle::ident::SlotId;
use pintle::limits::JOURNAL_BLOCK_WORDS;
use pintle::time::Instant;

/// A ring of 64 KB.
const LARGE: Capacities = Capacities { conditions: 8, transactions: 128, entries: 256 };

fn records(engine: &Engine<'_>, from: u32) -> Vec<Record> {
    let mut cursor = engine.journal_at(from);
    std::iter::from_fn(|| engine.journal_next(&mut cursor)).collect()
}

/// The lines from a number on, each in a few words: number, transaction, what.
fn lines(engine: &Engine<'_>, from: u32) -> Vec<String> {
    let mut lines = Vec::new();
    for record in records(engine, from).iter().filter(|record| record.kind as u32 <= Kind::Shutdown as u32) {
        let name = || engine.journal_name(record).as_str().to_string();
        let fact = || match engine.journal_fact(record) {
            Some(fact) => {
                let text = engine.journal_text(&fact);
                String::from_utf8_lossy(text.as_bytes()).replace('\0', " ")
            }
            None => "?".to_string(),
        };
        let what = match record.kind {
            Kind::Phase => {
                let (old, new) = record.phases();
                format!("{} {} {}", name(), old.name(), new.name())
            }
            Kind::Holds => format!("{} holds +{:x} -{:x}", name(), record.words[0], record.words[1]),
            Kind::Fired => format!("{} fired {} by {}", name(), record.extra, fact()),
            Kind::CameOn => format!("on {}", fact()),
            Kind::WentOff => format!("off {}", fact()),
            Kind::Changes => format!("changing {}", fact()),
            Kind::Happened => format!("event {}", fact()),
            Kind::Begun => format!("begun {} of {}", record.words[0], record.words[1]),
            Kind::Ended => format!("ended {} {}", record.words[0], record.standing().name()),
            Kind::Refused => format!("refused {}", record.refusal().text()),
            Kind::Command => format!("command {:?}", record.verb().expect("a verb")),
            Kind::Boot => format!("boot {}", name()),
            Kind::Shutdown => "shutdown".to_string(),
            other => panic!("{other:?} is no line"),
        };
        lines.push(format!("{} [{}] {what}", record.number, record.transaction));
    }
    lines
}

#[test]
fn what_is_told_decided_and_moved_is_there_in_order() {
    let mut world = World::over(
        database(
            "d@: start-on = dev; instance = ${N}\nw: while = net\nx: start-on = started SERVICE=w\ny: start-on = up(x)",
        ),
        LARGE,
    );
    world.start("w");
    world.on("net").expect("on");
    world.settle();
    world.emit("dev N=1").expect("event");
    world.stop("w");
    world.command(Verb::Reload, &["y"]).expect_err("it has no reload");
    assert_eq!(
        lines(&world.engine, 0).join("\n"),
        "1 [0] command Start\n2 [1] begun 1 of 0\n3 [1] w holds +2 -0\n4 [1] w down waiting\n5 [1] ended 1 failed\n\
         6 [0] on net\n7 [2] begun 2 of 0\n8 [2] w waiting starting\n9 [2] w starting up\n10 [2] ended 2 done\n\
         11 [3] begun 3 of 2\n12 [3] x fired 0 by \n13 [3] x holds +4 -0\n14 [3] x down starting\n\
         15 [3] x starting up\n16 [3] ended 3 done\n17 [4] begun 4 of 3\n18 [4] y fired 0 by ?\n19 [4] y holds +4 -0\n\
         20 [4] y down starting\n21 [4] y starting up\n22 [4] ended 4 done\n\
         23 [0] event dev N=1\n24 [5] begun 5 of 0\n25 [5] d@1 fired 0 by dev N=1\n26 [5] d@1 holds +4 -0\n\
         27 [5] d@1 down starting\n\
         28 [0] command Stop\n29 [6] begun 6 of 0\n30 [6] w holds +10000 -2\n31 [6] w up stopping\n\
         32 [0] command Reload\n33 [0] refused its file has no reload"
    );
}

/// What has moved in one step is told in the order in which one made the other possible, whatever the slots are.
#[test]
fn what_comes_to_an_end_is_told_before_what_begins_behind_it() {
    // Slots are in the order of the names.
    let mut world =
        World::over(database("a: needs = m\nb: needs = a\nm: type = bundle; contains = y z\ny:\nz:"), LARGE);
    world.start("b");
    world.settle();
    world.stop("b");
    world.settle();
    let moves: Vec<String> = records(&world.engine, 0)
        .iter()
        .filter(|record| record.kind == Kind::Phase)
        .map(|record| format!("{} {}", world.engine.journal_name(record).as_str(), record.phases().1.name()))
        .collect();
    assert_eq!(
        moves.join(", "),
        "a waiting, b waiting, m waiting, y starting, z starting, y up, z up, m up, a starting, a up, b starting, b up, \
         b stopping, b down, a stopping, a down, m stopping, y stopping, z stopping, \
         y down, z down, m down"
    );
}

/// The same of what is told to those who follow.
#[test]
fn ends_are_told_before_beginnings() {
    let mut world =
        World::over(database("a: needs = m\nm: type = bundle; contains = y\ny:\nz: start-on = up(y)"), LARGE);
    let mut told = |name: &str, state: Option<State>| {
        world.told.clear();
        match state {
            Some(state) => {
                world.obey(name);
                world.report(name, state);
            }
            None => drop(world.start(name)),
        }
        world.told.join(" ")
    };
    assert_eq!(told("a", None), "a m y");
    assert_eq!(told("y", Some(State::Up)), "y m a z");
    assert_eq!(told("z", Some(State::Up)), "z");
}

#[test]
fn a_name_stays_that_of_its_time() {
    let mut world = World::over(database("d@: start-on = dev; stop-on = gone; instance = ${N}"), LARGE);
    for name in ["one", "two"] {
        world.emit(&format!("dev N={name}")).expect("event");
        world.settle();
        world.emit(&format!("gone N={name}")).expect("event");
        world.settle();
    }
    let text = lines(&world.engine, 0).join("\n");
    assert!(text.contains("d@one starting up") && text.contains("d@two starting up"), "{text}");
}

#[test]
fn the_oldest_goes_first_and_readers_are_told_how_many_they_missed() {
    let mut world = World::new("a:");
    let start = world.engine.journal_at(0);
    for _ in 0..200 {
        world.start("a");
        world.settle();
        world.stop("a");
        world.settle();
    }
    let (mut cursor, mut missed) = (start, 0);
    missed += world.engine.journal_missed(&mut cursor);
    let there = records(&world.engine, 0);
    let first = there.iter().find(|record| record.kind as u32 <= Kind::Shutdown as u32).expect("a line");
    assert!(first.number > 500, "4 KB of {}", first.number);
    assert_eq!(missed, first.number - start.number().max(1), "what is gone was counted");
    let next = world.engine.journal_next(&mut cursor).expect("a record");
    assert_eq!(next.number, first.number);
    // Numbers have no gaps, and whoever comes back with one goes on where it was.
    let numbers: Vec<u32> = there.iter().filter(|r| r.kind as u32 <= Kind::Shutdown as u32).map(|r| r.number).collect();
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1));
    for number in &numbers {
        let record = world.engine.journal_next(&mut world.engine.journal_at(*number)).expect("it is there");
        assert_eq!(record.number, *number);
    }
    assert_eq!(world.engine.journal_number(), numbers.last().expect("lines") + 1);
    assert!(world.engine.journal_next(&mut world.engine.journal_at(world.engine.journal_number())).is_none());
}

/// The engine has died in a step.
fn reopen(world: &mut World) {
    world.engine = Engine::open(world.image, world.geometry, world.capacities, world.memory).expect("its own memory");
}

#[test]
fn a_step_that_dies_leaves_what_was_before_but_for_what_it_overwrote() {
    let mut world = World::new("a:\nb: needs = a\nc: needs = b");
    for round in 0..400 {
        match round % 4 {
            0 => _ = world.start("c"),
            2 => _ = world.stop("a"),
            _ => world.settle(),
        }
        let before = lines(&world.engine, 0);
        let at = world.slot("c");
        let targets = [Target::Slot(at)];
        let input = match round % 3 {
            0 => Input::Command { verb: Verb::Restart, targets: &targets, uid: NOBODY },
            1 => Input::On { fact: b"some\0A=value that takes room\0B=and more", sender: Sender::default(), lease: 0 },
            _ => Input::Command { verb: Verb::Release, targets: &targets, uid: NOBODY },
        };
        world.engine.clone().step_and_die(Instant(world.now + 1), input);
        reopen(&mut world);
        let after = lines(&world.engine, 0);
        assert!(before.ends_with(&after), "round {round}: {:?} {:?}", before.last(), after.last());
        // A block at most is lost: what the step has written fits in one.
        assert!(before.len() - after.len() < JOURNAL_BLOCK_WORDS as usize, "round {round}");
    }
}

#[test]
fn a_step_larger_than_the_ring_leaves_an_empty_journal_when_it_dies() {
    let text: String = (0..4000).map(|n| format!("s{n:04}: wanted-by = all\n")).collect();
    let mut world = World::new(&format!("all: type = bundle\n{text}"));
    world.emit("x").expect("event");
    let at = world.slot("all");
    world.engine.clone().step_and_die(Instant(1), Input::Boot(at));
    let number = world.engine.journal_number();
    reopen(&mut world);
    assert_eq!(lines(&world.engine, 0), [""; 0]);
    world.emit("y").expect("event");
    assert_eq!(lines(&world.engine, 0), [format!("{number} [0] event y")]);
}

/// Gives the recorded inputs to a fresh engine over the same database.
fn replay(of: &World, bytes: &'static [u8], capacities: Capacities) -> World {
    let mut fresh = World::over(bytes, capacities);
    let engine = &of.engine;
    let mut cursor = engine.journal_at(0);
    while let Some(record) = engine.journal_next(&mut cursor) {
        let text = engine.journal_text(&record);
        let fact = text.as_bytes();
        let step = |fresh: &mut World, input: Input<'_>| {
            let _ = fresh.engine.step(record.time, input);
        };
        match record.kind {
            Kind::Report => step(&mut fresh, Input::Report(record.slot, &record.report())),
            Kind::Boot => step(&mut fresh, Input::Boot(record.slot)),
            Kind::On => {
                let [pid, uid, lease, ..] = record.words;
                step(&mut fresh, Input::On { fact, sender: Sender { pid, uid }, lease });
            }
            Kind::Changing => step(&mut fresh, Input::Changing { fact, for_ms: record.words[0] }),
            Kind::Off => step(&mut fresh, Input::Off { fact }),
            Kind::Event => step(&mut fresh, Input::Event { fact }),
            Kind::LeaseGone => step(&mut fresh, Input::LeaseGone(record.words[0])),
            Kind::Shutdown => step(&mut fresh, Input::Shutdown(record.words[0])),
            Kind::Tick => step(&mut fresh, Input::Tick),
            Kind::Command => {
                let names = targets_of(engine, cursor);
                let targets: Vec<Target<'_>> = names
                    .iter()
                    .map(|(slot, name)| match name {
                        None => Target::Slot(*slot),
                        Some(name) => Target::New { template: *slot, name },
                    })
                    .collect();
                step(
                    &mut fresh,
                    Input::Command { verb: record.verb().expect("a verb"), targets: &targets, uid: record.words[0] },
                );
            }
            Kind::Rest
            | Kind::Phase
            | Kind::Holds
            | Kind::Fired
            | Kind::CameOn
            | Kind::WentOff
            | Kind::Changes
            | Kind::Happened
            | Kind::Begun
            | Kind::Ended
            | Kind::Refused
            | Kind::Going
            | Kind::Target
            | Kind::NewTarget
            | Kind::Within
            | Kind::Named
            | Kind::Derived => {}
        }
    }
    fresh
}

fn targets_of(engine: &Engine<'_>, mut cursor: Cursor) -> Vec<(SlotId, Option<Vec<u8>>)> {
    let mut targets = Vec::new();
    while let Some(record) = engine.journal_next(&mut cursor) {
        match record.kind {
            Kind::Target => targets.push((record.slot, None)),
            Kind::NewTarget => {
                targets.push((record.slot, Some(engine.journal_text(&record).as_bytes().to_vec())));
            }
            Kind::Named | Kind::Going | Kind::Within => {}
            _ => break,
        }
    }
    targets
}

#[test]
fn a_run_can_be_replayed_from_its_journal() {
    let text = "boot: type = bundle; contains = web job\nbase:\ndb: needs = base\nweb: binds = db; while = net\n\
                job: type = oneshot; remain = no; start-on = go; stop-on = halt\n\
                echo: start-on = stopped SERVICE=web; stop-on = started SERVICE=web\n\
                d@: for-each = dev; instance = ${N}; pass = N\nrival: conflicts = web\nlate: while = up(web) and not failed(db)";
    let bytes = database(text);
    for seed in 1..=40_u64 {
        let mut world = World::over(bytes, LARGE);
        let mut random = Random::new(seed);
        let mut below = |bound: usize| random.index(bound);
        world.boot("boot");
        let names = ["base", "db", "web", "job", "echo", "rival", "late"];
        let verbs = [
            Verb::Start,
            Verb::Stop,
            Verb::Restart,
            Verb::Reset,
            Verb::Release,
            Verb::Signal(1),
            Verb::Reload,
            Verb::RestartWithDependents,
            Verb::Switch,
        ];
        let facts = ["go", "halt", "net", "dev N=1", "dev N=2"];
        for _ in 0..120 {
            let (name, fact) = (names[below(names.len())], facts[below(facts.len())]);
            match below(12) {
                0..3 => _ = world.command(verbs[below(verbs.len())], &[name, names[below(names.len())]]),
                3 => _ = world.on(fact),
                4 if below(3) == 0 => {
                    let words = super::world::words(fact);
                    let _ = world.step(Input::Changing { fact: &words, for_ms: 5 });
                }
                4 => _ = world.off(fact),
                5 => _ = world.emit(fact),
                6 => {
                    let words = super::world::words(fact);
                    let lease = 1 + below(2) as u32;
                    let _ = world.step(Input::On { fact: &words, sender: Sender { pid: 5, uid: 6 }, lease });
                }
                7 => _ = world.step(Input::LeaseGone(1 + below(2) as u32)),
                8 => _ = world.step(Input::Tick),
                9 => {
                    let up = (0..world.reports.len()).filter(|at| world.reports[*at].state == State::Up);
                    let up: Vec<u32> = up.map(|at| at as u32).collect();
                    if !up.is_empty() {
                        let name = world.engine.name(SlotId(up[below(up.len())]));
                        match below(3) {
                            0 => world.dies(name.as_str()),
                            1 => world.fails(name.as_str()),
                            _ => world.report(name.as_str(), State::Done),
                        }
                    }
                }
                10 if seed % 2 == 0 => reopen(&mut world),
                _ => {
                    let unseen: Vec<u32> = world.unseen.keys().copied().collect();
                    if !unseen.is_empty() {
                        let name = world.engine.name(SlotId(unseen[below(unseen.len())]));
                        world.obey(name.as_str());
                    }
                    let starting = world.reports.iter().position(|row| row.state == State::Starting);
                    if let Some(at) = starting {
                        let name = world.engine.name(SlotId(at as u32));
                        world.report(name.as_str(), State::Up);
                    }
                }
            }
        }
        let again = replay(&world, bytes, LARGE);
        assert_eq!(lines(&world.engine, 0), lines(&again.engine, 0), "seed {seed}");
        assert_eq!(world.engine.newest_transaction(), again.engine.newest_transaction());
        for at in (0..world.geometry.slots()).map(SlotId) {
            let of = |world: &World| {
                let engine = &world.engine;
                // Of several that it waits for, which is shown depends on where the search for one stood.
                let row = PublishedRow { blocker: Blocker::Nothing, ..engine.published(at) };
                (engine.told_bits(at), engine.facts(at), engine.order(at), row)
            };
            assert_eq!(of(&world), of(&again), "seed {seed}, {}", world.engine.name(at).as_str());
        }
        assert!((0..world.geometry.slots()).any(|at| world.engine.published(SlotId(at)).phase != Phase::Down));
    }
}

#[test]
fn what_counts_lives_and_what_is_stuck_is_replayed_too() {
    let bytes = database("a:\nb: start-on = stopped SERVICE=a COUNT=3\nc: needs = d\nd:");
    let mut world = World::over(bytes, LARGE);
    world.start("a");
    world.start("c");
    world.settle();
    let at = world.slot("a");
    world.reports[at.index()].life.0 += 2;
    world.dies("a");
    world.stop("c");
    world.unseen.remove(&world.slot("c").0).expect("ordered");
    let at = world.slot("c");
    world.reports[at.index()].order = world.engine.order(at).number;
    world.reports[at.index()].stuck = true;
    world.report("c", State::Stopping);
    let again = replay(&world, bytes, LARGE);
    assert_eq!(world.goal("b"), Goal::Up);
    for name in ["a", "b", "c", "d"] {
        let of = |world: &World| (world.engine.facts(world.slot(name)), world.phase(name), world.goal(name));
        assert_eq!(of(&world), of(&again), "{name}");
    }
}
