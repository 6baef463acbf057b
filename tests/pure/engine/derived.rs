//! Which derived events are told at which step of a life: a table that a person can read,
//! `tests/pure/golden/derived.txt`. Made anew by running this with UPDATE_GOLDEN=1.

use pintle::board::reports::{Exit, State};
use pintle::engine::Verb;
use pintle::engine::journal::{Cursor, Kind};
use pintle::graph::Phase;

use super::grid::compare;
use super::world::World;

/// A step, and what is done in it.
type Step = (&'static str, fn(&mut World));

/// The supervisor takes the order of `s`: what runs is told to end.
fn takes(world: &mut World) {
    let at = world.slot("s");
    let order = world.unseen.remove(&at.0).expect("a new order");
    let row = &mut world.reports[at.index()];
    (row.order, row.attempt) = (order.number, 0);
    world.report("s", State::Stopping);
}

/// What ran has ended like this; the next is queued.
fn ends(world: &mut World, exit: Exit, state: State) {
    let at = world.slot("s");
    world.reports[at.index()].exit = exit;
    world.report("s", state);
}

fn spawned(world: &mut World) {
    let at = world.slot("s");
    let row = &mut world.reports[at.index()];
    (row.life.0, row.attempt) = (row.life.0 + 1, row.attempt + 1);
    world.stamp += 1;
    (row.began, row.ready) = (world.stamp, 0);
    world.report("s", State::Starting);
}

fn up(world: &mut World) {
    world.report("s", State::Up);
}

const START: Step = ("start", |world| {
    world.start("s");
});
const SPAWNED: Step = ("spawned", |world| world.obey("s"));
const OBEYED: Step = ("obeyed", |world| world.obey("s"));
const UP: Step = ("ready", up);
const STOP: Step = ("stop", |world| {
    world.stop("s");
});
const RESTART: Step = ("restart", |world| {
    world.command(Verb::Restart, &["s"]).expect("not refused");
});
const TOLD: Step = ("told to end", takes);
const AGAIN: Step = ("spawned again", spawned);
const EXITS: Step = ("ends with 7, next queued", |world| ends(world, Exit::Code(7), State::Queued));
const DOWN: Step = ("ends by SIGTERM", |world| ends(world, Exit::Signal(15), State::Down));
const DIES: Step = ("dies of 6, delayed", |world| ends(world, Exit::Signal(6), State::Delayed));

const LONGRUN: &str = "s:";
const ONESHOT: &str = "s: type = oneshot";
const BUNDLE: &str = "m:\nh: needs = s\ns: type = bundle; contains = m";
const MEMBER: Step = ("members come up", World::settle);

/// What is looked at: services and the steps in order.
const LIVES: &[(&str, &str, &[Step])] = &[
    ("a life", LONGRUN, &[START, SPAWNED, UP, STOP, TOLD, DOWN]),
    ("a restart by command", LONGRUN, &[START, SPAWNED, UP, RESTART, TOLD, EXITS, AGAIN, UP]),
    ("a restart that is given up", LONGRUN, &[START, SPAWNED, UP, RESTART, TOLD, EXITS, STOP, OBEYED]),
    ("a restart by policy", LONGRUN, &[START, SPAWNED, UP, DIES, AGAIN, DIES, AGAIN, UP]),
    ("a start while it stops", LONGRUN, &[START, SPAWNED, UP, STOP, TOLD, START, DOWN, SPAWNED, UP]),
    ("a start given up before it is spawned", LONGRUN, &[START, STOP, OBEYED]),
    (
        "a start that is refused",
        LONGRUN,
        &[
            START,
            ("no such program", |world| {
                let at = world.slot("s");
                let order = world.unseen.remove(&at.0).expect("a new order");
                world.reports[at.index()].order = order.number;
                ends(world, Exit::NotSpawned, State::Failed);
            }),
        ],
    ),
    (
        "ended by the signal of its file",
        "s: stop = signal INT",
        &[START, SPAWNED, UP, STOP, TOLD, ("ends by SIGINT", |world| ends(world, Exit::Signal(2), State::Down))],
    ),
    (
        "ended by a signal of nobody's",
        LONGRUN,
        &[START, SPAWNED, UP, STOP, TOLD, ("ends by SIGINT", |world| ends(world, Exit::Signal(2), State::Down))],
    ),
    ("failed at last", LONGRUN, &[START, SPAWNED, UP, DIES, AGAIN, ("fails", |world| world.fails("s"))]),
    (
        "a oneshot's second attempt",
        ONESHOT,
        &[START, SPAWNED, DIES, AGAIN, UP, STOP, TOLD, ("down", |world| ends(world, Exit::Code(0), State::Down))],
    ),
    ("a oneshot's restart", ONESHOT, &[START, SPAWNED, UP, RESTART, TOLD, EXITS, AGAIN, UP]),
    ("a oneshot that fails", ONESHOT, &[START, SPAWNED, DIES, AGAIN, ("fails", |world| world.fails("s"))]),
    (
        "a oneshot's run",
        "s: type = oneshot; remain = no",
        &[START, SPAWNED, ("done", |world| ends(world, Exit::Code(0), State::Done))],
    ),
    (
        "a bundle that something needs",
        BUNDLE,
        &[
            START,
            MEMBER,
            ("start h", |world| {
                world.start("h");
            }),
            MEMBER,
            STOP,
            ("h ends", |world| world.obey("h")),
            ("m ends", |world| world.obey("m")),
        ],
    ),
    (
        "a bundle whose member restarts",
        BUNDLE,
        &[
            START,
            MEMBER,
            ("m dies", |world| world.dies("m")),
            ("m lives again", |world| world.lives_again("m")),
            MEMBER,
            ("m dies", |world| world.dies("m")),
            STOP,
            ("m ends", |world| world.obey("m")),
        ],
    ),
];

/// The derived events of `s` from here on in the journal, with what became of the life.
fn told(world: &World, cursor: &mut Cursor) -> String {
    let (s, mut events) = (world.slot("s"), Vec::new());
    while let Some(record) = world.engine.journal_next(cursor) {
        match record.kind {
            Kind::Derived if record.slot == s => {
                let name = pintle::engine::DERIVED[record.extra as usize];
                events.push(String::from_utf8_lossy(name).into_owned());
            }
            Kind::Fired if ["good", "bad"].contains(&world.engine.journal_name(&record).as_str()) => {
                let result = if world.engine.journal_name(&record).as_str() == "good" { "(ok)" } else { "(failed)" };
                events.push(result.to_string());
            }
            _ => {}
        }
    }
    events.join(" ")
}

#[test]
fn every_step_of_a_life_and_the_events_that_tell_of_it() {
    const EARS: &str = "\near: type = oneshot; remain = no; start-on = stopping s or starting s or started s or failed s\n\
                        good: start-on = stopped s ok\nbad: start-on = stopped s failed";
    let mut table = String::from("# What is done, the phase of the service then, and the derived events of it.\n");
    for (life, services, steps) in LIVES {
        table += &format!("\n{life}\n");
        let mut world = World::new(&format!("{services}{EARS}"));
        let mut cursor = world.engine.journal_at(0);
        for (name, step) in *steps {
            step(&mut world);
            let line = format!("  {name:26} {:11} {}", world.phase("s").name(), told(&world, &mut cursor));
            table += line.trim_end();
            table.push('\n');
        }
    }
    compare("derived.txt", &table);
}

/// Each `stopped` ends what `starting`, `started` or a life has begun, whatever comes.
#[test]
fn nothing_is_told_to_have_stopped_twice() {
    let mut world = World::new("s:\near: start-on = stopped s or started s or starting s");
    world.start("s");
    world.settle();
    let mut cursor = world.engine.journal_at(0);
    told(&world, &mut cursor);
    world.command(Verb::Restart, &["s"]).expect("restart");
    takes(&mut world);
    world.stop("s");
    takes(&mut world);
    ends(&mut world, Exit::Signal(15), State::Down);
    assert_eq!((world.phase("s"), told(&world, &mut cursor).as_str()), (Phase::Down, "stopped"));
}
