//! Every phase by every input, as a table that a person can read: `tests/pure/golden/grid.txt`. Made anew by running
//! with `UPDATE_GOLDEN=1`; what changes in it is to be read, not waved through.
//!
//! `s` needs `d`, which is up; `u` needs `s` and is wished only where the row says so; `x` has the one place to start
//! where `s` waits for one.

use super::world::World;
use pintle::board::reports::State;
use pintle::engine::{Input, NOBODY, Verb};
use pintle::graph::Goal;
use pintle::time::Instant;

const TEXT: &str = "d:\ns: needs = d; while = net; start-on = go; stop-on = halt\nu: needs = s\nx:";

type Act = (&'static str, fn(&mut World));

fn command(world: &mut World, verb: Verb) {
    // What is refused shows as a row in which nothing moves.
    let _ = world.command(verb, &["s"]);
}

/// Refused where it is not on.
fn changing(world: &mut World) {
    let _ = world.step(Input::Changing { fact: b"net", for_ms: 1000 });
}

fn up(world: &mut World) {
    world.on("net").expect("on");
    world.start("s");
    world.settle();
}

const PHASES: [Act; 15] = [
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
    ("waiting, no slot", |world| {
        world.limit(1);
        world.on("net").expect("on");
        world.start("x");
        world.start("s");
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
    ("stopping, stuck", |world| {
        up(world);
        world.stop("s");
        world.obey("s");
        world.stick("s");
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

const INPUTS: [Act; 30] = [
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
    ("while changing", |world| changing(world)),
    ("while changed late", |world| {
        changing(world);
        world.now = world.now.max(world.engine.next_deadline().0.min(1 << 50));
        let _ = world.step(Input::Tick);
    }),
    ("start-on fires", |world| {
        let _ = world.emit("go");
    }),
    ("stop-on fires", |world| {
        let _ = world.emit("halt");
    }),
    ("shutdown", |world| {
        let _ = world.step(Input::Shutdown(NOBODY));
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
fn what_has_no_process_moves_once_in_a_step_and_again_a_second_later() {
    let mut world = World::new("a: type = bundle; start-on = go; stop-on = started SERVICE=a");
    world.emit("go").expect("event");
    assert_eq!((world.phases().as_str(), world.goal("a")), ("a up", Goal::Down));
    let due = Instant(world.now).plus_ms(1000);
    assert_eq!(world.engine.next_deadline(), due);
    world.engine.step(Instant(due.0 - 1), Input::Tick).expect("tick");
    assert_eq!(world.phases(), "a up", "not sooner");
    world.engine.step(due, Input::Tick).expect("tick");
    assert_eq!(world.phases(), "a down");
    assert_eq!(world.engine.next_deadline(), Instant::NEVER);
}

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
    compare("grid.txt", &table);
}

pub fn compare(name: &str, table: &str) {
    let path = format!("{}/tests/pure/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, table).expect("the golden table can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden table is in the tree");
    for (number, (found, expected)) in table.lines().zip(golden.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of {name}", number + 1);
    }
    assert_eq!(table.lines().count(), golden.lines().count());
}

fn ask(world: &mut World, verb: Verb, names: &[&str]) {
    world.command(verb, names).expect("it is not refused");
}

const CHOICE: &str = "a:\nb:\nd: needs = a|b\nt: binds = a|b";

const CHOICE_PHASES: [Act; 10] = [
    ("down", |_| {}),
    ("waits for a", |world| {
        world.start("d");
    }),
    ("up by a", |world| {
        world.start("d");
        world.settle();
    }),
    ("up by a, t, b up", |world| {
        world.command(Verb::Start, &["d", "t", "b"]).expect("start");
        world.settle();
    }),
    ("a restarts", |world| {
        world.start("d");
        world.settle();
        world.dies("a");
    }),
    ("moves to b, t up", |world| {
        world.command(Verb::Start, &["d", "t", "b"]).expect("start");
        world.settle();
        world.fails("a");
    }),
    ("a failed, d up", |world| {
        world.start("d");
        world.settle();
        world.fails("a");
    }),
    ("up by b, a failed", |world| {
        world.start("d");
        world.settle();
        world.fails("a");
        world.settle();
    }),
    ("both failed", |world| {
        world.start("d");
        world.obey("a");
        world.fails("a");
        world.obey("b");
        world.fails("b");
    }),
    ("both marked", |world| {
        world.command(Verb::Stop, &["a", "b"]).expect("stop");
        let at = world.slot("d");
        world.step(Input::Boot(at)).expect("boot");
    }),
];

const CHOICE_INPUTS: [Act; 17] = [
    ("start d", |world| ask(world, Verb::Start, &["d"])),
    ("start a|b", |world| ask(world, Verb::Start, &["a|b"])),
    ("start a", |world| ask(world, Verb::Start, &["a"])),
    ("start b", |world| ask(world, Verb::Start, &["b"])),
    ("stop d", |world| ask(world, Verb::Stop, &["d"])),
    ("stop a|b", |world| ask(world, Verb::Stop, &["a|b"])),
    ("stop a", |world| ask(world, Verb::Stop, &["a"])),
    ("stop b", |world| ask(world, Verb::Stop, &["b"])),
    ("reset d", |world| ask(world, Verb::Reset, &["d"])),
    ("reset a|b", |world| ask(world, Verb::Reset, &["a|b"])),
    ("reset a", |world| ask(world, Verb::Reset, &["a"])),
    ("restart a|b", |world| ask(world, Verb::Restart, &["a|b"])),
    ("release all", |world| ask(world, Verb::Release, &["a", "b", "d"])),
    ("a is up", |world| world.report("a", State::Up)),
    ("a dies", |world| world.dies("a")),
    ("a fails", |world| world.fails("a")),
    ("b fails", |world| world.fails("b")),
];

/// What a choice does in each of its states.
#[test]
fn every_state_of_a_choice_by_every_input() {
    let mut table = String::from(
        "# state of a|b, which d needs and t binds to, input -> its phase, what it has chosen or waits for; orders; at rest\n",
    );
    for (phase, prepare) in CHOICE_PHASES {
        table.push('\n');
        for (input, act) in CHOICE_INPUTS {
            let mut world = World::new(CHOICE);
            prepare(&mut world);
            world.orders();
            act(&mut world);
            let (now, orders) = (world.phase("a|b").name(), world.orders());
            let blocker = world.blocker("a|b");
            world.restart_engine();
            world.settle();
            let rest = [world.phase("a|b").name(), &world.blocker("a|b"), &world.orders()].join(" ");
            let line = format!("{phase:17} {input:12} -> {now:10} {blocker:12} {orders:8} | {rest}");
            table += line.trim_end();
            table.push('\n');
        }
    }
    compare("choices.txt", &table);
}

const RUN: &str = "o: type = oneshot; remain = no; start-on = go; stop-on = halt; while = not off; overlap = ";

const RUN_PHASES: [Act; 6] = [
    ("down", |_| {}),
    ("waits", |world| {
        world.on("off").expect("on");
        world.emit("go").expect("taken");
    }),
    ("runs", |world| {
        world.emit("go").expect("taken");
        world.obey("o");
    }),
    ("runs, fired again", |world| {
        world.emit("go").expect("taken");
        world.obey("o");
        world.emit("go").expect("taken");
    }),
    ("is stopped", |world| {
        world.emit("go").expect("taken");
        world.obey("o");
        world.emit("halt").expect("taken");
    }),
    ("done", |world| {
        world.emit("go").expect("taken");
        world.settle();
    }),
];

const RUN_INPUTS: [Act; 9] = [
    ("fires", |world| {
        world.emit("go").expect("taken");
    }),
    ("stop-on fires", |world| {
        world.emit("halt").expect("taken");
    }),
    ("while off", |world| {
        world.on("off").expect("on");
    }),
    ("while on", |world| {
        world.off("off").expect("off");
    }),
    ("start", |world| ask(world, Verb::Start, &["o"])),
    ("stop", |world| ask(world, Verb::Stop, &["o"])),
    ("restart", |world| ask(world, Verb::Restart, &["o"])),
    ("ends well", |world| world.report("o", State::Done)),
    ("fails", |world| world.fails("o")),
];

/// What a oneshot that does not remain does with a second trigger: `overlap`.
#[test]
fn every_state_of_a_run_by_every_input() {
    let mut table =
        String::from("# overlap, state of o, input -> its phase, goal; orders; what is ordered until all is well\n");
    for overlap in ["queue", "skip", "restart"] {
        for (phase, prepare) in RUN_PHASES {
            table.push('\n');
            for (input, act) in RUN_INPUTS {
                let mut world = World::new(&format!("{RUN}{overlap}"));
                prepare(&mut world);
                world.orders();
                act(&mut world);
                let (now, orders) = (world.phase("o").name(), world.orders());
                let goal = if world.goal("o") == pintle::graph::Goal::Up { "up" } else { "down" };
                world.restart_engine();
                world.off("off").expect("off");
                world.settle();
                let rest = [world.orders().as_str(), world.phase("o").name()].join(" ");
                let line = format!("{overlap:8} {phase:17} {input:13} -> {now:10} goal {goal:4} {orders:6} | {rest}");
                table += line.trim_end();
                table.push('\n');
            }
        }
    }
    compare("runs.txt", &table);
}
