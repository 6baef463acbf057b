//! Transactions: when they end, and what they say.

use super::world::World;
use pintle::engine::{Refusal, Standing, Verb};

#[test]
fn a_start_ends_when_it_is_up() {
    let mut world = World::new("a:\nb: needs = a");
    let number = world.start("b");
    assert_eq!(world.standing(number), Standing::Running);
    world.settle();
    assert_eq!(world.standing(number), Standing::Done);
    assert_eq!(world.results(number), "b up");
    let again = world.start("b");
    assert_eq!(world.standing(again), Standing::Done, "it is up already");
}

#[test]
fn a_start_that_cannot_come_up_ends_too() {
    let mut world = World::new("a:\nb: needs = a\nc: while = net");
    let number = world.start("b");
    world.obey("a");
    world.fails("a");
    assert_eq!(world.standing(number), Standing::Failed);
    assert_eq!(world.results(number), "b waiting");
    assert_eq!(world.blocker("b"), "needs a");
    let number = world.start("c");
    assert_eq!(world.results(number), "c waiting");
    assert_eq!(world.standing(number), Standing::Failed);
}

#[test]
fn a_later_command_that_contradicts_supersedes() {
    let mut world = World::new("a:");
    let start = world.start("a");
    world.obey("a");
    let stop = world.stop("a");
    assert_eq!(world.standing(start), Standing::Superseded);
    assert_eq!(world.standing(stop), Standing::Running);
    world.settle();
    assert_eq!(world.standing(stop), Standing::Done);
    assert_eq!(world.ended, [start, stop]);
}

#[test]
fn two_who_ask_the_same_are_both_told() {
    let mut world = World::new("a:");
    let (one, two) = (world.start("a"), world.start("a"));
    world.restart_engine();
    world.settle();
    assert_eq!((world.standing(one), world.standing(two)), (Standing::Done, Standing::Done));
}

#[test]
fn a_condition_waits_for_what_it_moves() {
    let mut world = World::new("a: while = net\nb: while = net");
    world.start("a");
    let number = world.on("net").expect("on");
    assert_eq!(world.standing(number), Standing::Running);
    world.settle();
    assert_eq!(world.results(number), "a up", "b is not wished");
    assert_eq!(world.on("other"), Ok(0), "it moves nothing");
}

#[test]
fn what_ended_longest_ago_is_forgotten_and_a_stop_needs_no_room() {
    let mut world = World::new(&(0..12).map(|n| format!("s{n:02}:\n")).collect::<String>());
    let numbers: Vec<u32> = (0..8).map(|n| world.start(&format!("s{n:02}"))).collect();
    assert_eq!(world.command(Verb::Start, &["s08"]), Err(Refusal::TransactionsFull));
    assert_eq!(world.stop("s09"), 0, "a stop is obeyed and cannot be waited for");
    world.settle();
    let more = world.start("s08");
    assert_eq!(world.standing(numbers[0]), Standing::Unknown);
    assert_eq!(world.standing(numbers[7]), Standing::Done);
    assert_eq!(world.standing(more), Standing::Running);
}

#[test]
fn what_derived_events_set_in_motion_is_not_waited_for() {
    let mut world = World::new("a: start-on = go\nb: start-on = starting SERVICE=a; needs = c\nc:");
    let number = world.emit("go").expect("event");
    assert_eq!(world.orders(), "+a +c");
    world.obey("a");
    world.report("a", pintle::board::reports::State::Up);
    assert_eq!(world.standing(number), Standing::Done);
    assert_eq!(world.results(number), "a up");
}
