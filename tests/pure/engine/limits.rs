//! The limit on parallel starts: `graph/mod.rs` says what it means.

use super::world::World;
use pintle::board::reports::{Exit, State};
use pintle::engine::{Input, NOBODY, Standing, Verb};
use pintle::graph::Phase;

const FIVE: &str = "a:\nb:\nc:\nd:\ne:\nboot: type = bundle; contains = a b c d e";

#[test]
fn so_many_start_at_once_and_the_next_when_one_is_up() {
    let mut world = World::limited(FIVE, 2);
    world.boot("boot");
    assert_eq!(world.orders(), "+a +b");
    assert_eq!((world.blocker("c"), world.phase("c")), ("limit".to_string(), Phase::Waiting));
    world.obey("a");
    world.obey("b");
    assert_eq!(world.orders(), "");
    world.report("b", State::Up);
    assert_eq!(world.orders(), "+c");
    world.settle();
    assert_eq!(world.orders(), "+d +e");
    assert_eq!(world.engine.starting(), 0);
    assert_eq!(world.phase("boot"), Phase::Up);
}

#[test]
fn without_a_limit_all_start_at_once() {
    let mut world = World::limited(FIVE, 0);
    world.boot("boot");
    assert_eq!(world.orders(), "+a +b +c +d +e");
}

#[test]
fn first_come_is_first_served_also_by_the_next_engine() {
    let mut world = World::limited(FIVE, 1);
    for name in ["e", "c", "a", "d"] {
        world.start(name);
    }
    world.restart_engine();
    world.step(Input::Tick).expect("a tick");
    world.settle();
    assert_eq!(world.orders(), "+e +c +a +d");
}

#[test]
fn who_loses_its_goal_loses_its_turn() {
    let mut world = World::limited(FIVE, 1);
    for name in ["a", "b", "c"] {
        world.start(name);
    }
    world.stop("b");
    world.start("b");
    world.settle();
    assert_eq!(world.orders(), "+a +c +b");
}

#[test]
fn who_may_not_start_any_more_loses_its_turn_too() {
    let mut world = World::limited("a:\nb: while = net\nc: needs = d\nd:", 1);
    world.on("net").expect("on");
    for name in ["d", "a", "b", "c"] {
        world.start(name);
    }
    assert_eq!(world.orders(), "+d");
    world.off("net").expect("off");
    world.on("net").expect("on");
    world.settle();
    // c asked for a place only when d was up.
    assert_eq!(world.orders(), "+a +b +c");
}

#[test]
fn a_stop_of_a_start_that_hangs_frees_its_place_at_once() {
    let mut world = World::limited(FIVE, 1);
    world.start("a");
    world.obey("a");
    world.start("b");
    assert_eq!(world.orders(), "+a");
    world.stop("a");
    assert_eq!(world.orders(), "-a +b");
}

#[test]
fn a_failed_start_frees_its_place_and_so_does_the_end_of_the_first_life() {
    let mut world = World::limited(FIVE, 1);
    for name in ["a", "b", "c"] {
        world.start(name);
        let _ = world.orders();
    }
    world.obey("a");
    world.fails("a");
    assert_eq!(world.orders(), "+b");
    world.obey("b");
    world.dies("b");
    assert_eq!(world.orders(), "+c");
    // The next life is a restart by policy and takes no place.
    world.lives_again("b");
    assert_eq!((world.phase("b"), world.phase("c")), (Phase::Restarting, Phase::Starting));
}

#[test]
fn what_could_not_be_spawned_for_now_keeps_nobody_waiting() {
    for kind in ["", "type = oneshot"] {
        let mut world = World::limited(&format!("a: {kind}\nb:"), 1);
        world.start("a");
        world.start("b");
        world.obey("a");
        let at = world.slot("a");
        (world.reports[at.index()].attempt, world.reports[at.index()].exit) = (0, Exit::NotSpawned);
        world.report("a", State::Delayed);
        assert_eq!(world.orders(), "+a +b");
        world.report("a", State::Queued);
        assert_eq!((world.phase("a"), world.engine.starting()), (Phase::Restarting, 1), "{kind}");
    }
}

#[test]
fn restarts_in_place_stops_and_bundles_take_no_place() {
    let mut world = World::limited("a:\nb:\nc:\nset: type = bundle; contains = b", 1);
    world.start("b");
    world.settle();
    world.start("a");
    world.obey("a");
    let _ = world.orders();
    world.command(Verb::Restart, &["b"]).expect("taken");
    assert_eq!(world.orders(), "~b");
    world.obey("b");
    world.report("b", State::Up);
    world.start("set");
    assert_eq!(world.phase("set"), Phase::Up);
    world.stop("b");
    assert_eq!(world.orders(), "-b");
}

#[test]
fn a_service_that_waits_for_a_place_is_under_way() {
    let mut world = World::limited("a:\nb:\nc: after = b", 1);
    let number = world.command(Verb::Start, &["a", "b", "c"]).expect("taken");
    assert_eq!((world.blocker("b"), world.blocker("c")), ("limit".to_string(), "settles b".to_string()));
    assert_eq!(world.standing(number), Standing::Running);
    world.settle();
    assert_eq!(world.standing(number), Standing::Done);
    assert_eq!(world.orders(), "+a +b +c");
}

#[test]
fn a_shutdown_empties_the_line() {
    let mut world = World::limited(FIVE, 1);
    world.boot("boot");
    world.obey("a");
    let _ = world.orders();
    world.step(Input::Shutdown(NOBODY)).expect("taken");
    assert_eq!(world.orders(), "-a");
    world.settle();
    assert!(world.engine.all_down() && world.engine.starting() == 0);
}

/// A step costs the same however many stand in the line: what it writes into the engine's memory is counted.
#[test]
fn a_step_costs_the_same_however_many_wait() {
    let cost = |count: usize| {
        let mut text = String::from("boot: type = bundle; contains =");
        for at in 0..count {
            text += &format!(" s{at:04}");
        }
        text += "\n";
        for at in 0..count {
            text += &format!("s{at:04}:\n");
        }
        let mut world = World::limited(&text, 1);
        world.boot("boot");
        world.obey("s0000");
        let before = world.words();
        world.report("s0000", State::Up);
        assert_eq!(world.orders(), "+s0000 +s0001");
        world.words().iter().zip(&before).filter(|(now, before)| now != before).count()
    };
    let (few, many) = (cost(10), cost(1000));
    // Where a block of the journal begins there are a few more.
    assert!(many <= few + 16, "{few} words changed where 10 wait, {many} where 1000 do");
}
