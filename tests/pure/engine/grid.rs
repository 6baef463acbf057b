//! Every phase by every input, as a table that a person can read: `tests/pure/golden/grid.txt`. Made anew by running with
//! `UPDATE_GOLDEN=1`; what changes in it is to be read, not waved through.
//!
//! `s` needs `d`, which is up; `u` needs `s` and is wished only where the row says so.

use super::world::World;
use pintle::board::reports::State;
use pintle::engine::{Input, Verb};

const TEXT: &str = "d:\ns: needs = d; while = net; start-on = go; stop-on = halt\nu: needs = s";

type Act = (&'static str, fn(&mut World));

fn command(world: &mut World, verb: Verb) {
    // What is refused shows as a row in which nothing moves.
    let _ = world.command(verb, &["s"]);
}

fn up(world: &mut World) {
    world.on("net").expect("on");
    world.start("s");
    world.settle();
}

const PHASES: [Act; 13] = [
    ("down", |_| {}),
    ("down, marked", |world| {
        world.stop("s");
    }),
    ("waiting", |world| {
        world.start("s");
    }),
    ("starting", |world| {
        world.on("net").expect("on");
        world.start("s");
        world.obey("s");
    }),
    ("up", up),
    ("up, u up", |world| {
        up(world);
        world.start("u");
        world.settle();
    }),
    ("restarting", |world| {
        up(world);
        world.dies("s");
    }),
    ("stopping", |world| {
        up(world);
        world.stop("s");
    }),
    ("stopping, acted", |world| {
        up(world);
        world.stop("s");
        world.obey("s");
        world.report("s", State::Stopping);
    }),
    ("stopping, wished", |world| {
        up(world);
        world.off("net").expect("off");
    }),
    ("failed", |world| {
        up(world);
        world.fails("s");
    }),
    ("done", |world| {
        up(world);
        world.report("s", State::Done);
    }),
    ("skipped", |world| {
        world.on("net").expect("on");
        world.start("s");
        world.obey("s");
        world.report("s", State::Skipped);
    }),
];

const INPUTS: [Act; 28] = [
    ("start", |world| command(world, Verb::Start)),
    ("stop", |world| command(world, Verb::Stop)),
    ("restart", |world| command(world, Verb::Restart)),
    ("reset", |world| command(world, Verb::Reset)),
    ("release", |world| command(world, Verb::Release)),
    ("reload", |world| command(world, Verb::Reload)),
    ("signal", |world| command(world, Verb::Signal(1))),
    ("start u", |world| {
        let _ = world.command(Verb::Start, &["u"]);
    }),
    ("stop d", |world| {
        world.stop("d");
    }),
    ("restart d, all", |world| {
        let _ = world.command(Verb::RestartWithDependents, &["d"]);
    }),
    ("switch s", |world| command(world, Verb::Switch)),
    ("switch d", |world| {
        let _ = world.command(Verb::Switch, &["d"]);
    }),
    ("while on", |world| {
        let _ = world.on("net");
    }),
    ("while off", |world| {
        let _ = world.off("net");
    }),
    ("start-on fires", |world| {
        let _ = world.emit("go");
    }),
    ("stop-on fires", |world| {
        let _ = world.emit("halt");
    }),
    ("shutdown", |world| {
        let _ = world.step(Input::Shutdown);
    }),
    ("tick", |world| {
        let _ = world.step(Input::Tick);
    }),
    ("reported down", |world| world.report("s", State::Down)),
    ("reported starting", |world| world.report("s", State::Starting)),
    ("reported up", |world| world.report("s", State::Up)),
    ("reported delayed", |world| world.report("s", State::Delayed)),
    ("reported stopping", |world| world.report("s", State::Stopping)),
    ("reported failed", |world| world.report("s", State::Failed)),
    ("reported done", |world| world.report("s", State::Done)),
    ("reported skipped", |world| world.report("s", State::Skipped)),
    ("d dies", |world| world.dies("d")),
    ("d fails", |world| world.fails("d")),
];

#[test]
fn every_phase_by_every_input() {
    let mut table = String::from(
        "# phase of s, input -> phase of s, its goal, what it waits for; orders: + start, - stop, ~ restart in place\n",
    );
    for (phase, prepare) in PHASES {
        table.push('\n');
        for (input, act) in INPUTS {
            let mut world = World::new(TEXT);
            world.start("d");
            world.settle();
            prepare(&mut world);
            world.orders();
            act(&mut world);
            let row = world.row("s");
            let goal = if row.goal == pintle::graph::Goal::Up { "up" } else { "down" };
            let (now, blocker, orders) = (row.phase.name(), world.blocker("s"), world.orders());
            let line = format!("{phase:16} {input:18} -> {now:10} goal {goal:4} {blocker:12} {orders}");
            table += line.trim_end();
            table.push('\n');
            world.restart_engine();
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pure/golden/grid.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &table).expect("the golden table can be written");
    }
    let golden = std::fs::read_to_string(path).expect("the golden table is in the tree");
    for (number, (found, expected)) in table.lines().zip(golden.lines()).enumerate() {
        assert_eq!(found, expected, "line {}", number + 1);
    }
    assert_eq!(table.lines().count(), golden.lines().count());
}
