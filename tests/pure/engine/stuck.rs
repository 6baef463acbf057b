//! What is unkillable: still there some time after SIGKILL. `graph/mod.rs` says what it is to others.

use super::world::World;
use pintle::board::reports::State;
use pintle::engine::{Input, NOBODY, Standing, Verb};
use pintle::graph::{Goal, Phase};

/// It was told to stop, was killed, and is still there.
fn sticks(world: &mut World, name: &str) {
    let at = world.slot(name);
    if let Some(order) = world.unseen.remove(&at.0) {
        world.reports[at.index()].order = order.number;
    }
    world.reports[at.index()].state = State::Stopping;
    world.reports[at.index()].stuck = true;
    world.tell(at);
}

/// At last it is gone.
fn goes(world: &mut World, name: &str) {
    let at = world.slot(name);
    world.reports[at.index()].stuck = false;
    world.report(name, State::Down);
}

fn up(text: &str, name: &str) -> World {
    let mut world = World::new(text);
    world.start(name);
    world.settle();
    let _ = world.orders();
    world
}

#[test]
fn what_is_unkillable_stays_stopping_and_a_stop_says_that_it_is_not_down() {
    let mut world = up("a:", "a");
    let number = world.stop("a");
    sticks(&mut world, "a");
    assert_eq!((world.phase("a"), world.goal("a")), (Phase::Stopping, Goal::Down));
    assert_eq!((world.standing(number), world.results(number)), (Standing::Failed, "a waiting".to_string()));
    assert!(world.engine.at_rest());
    world.restart_engine();
    goes(&mut world, "a");
    assert_eq!(world.phase("a"), Phase::Down);
}

#[test]
fn it_does_not_start_beside_itself() {
    let mut world = up("a:", "a");
    world.stop("a");
    sticks(&mut world, "a");
    let number = world.start("a");
    assert_eq!((world.orders(), world.phase("a")), ("-a".to_string(), Phase::Stopping));
    assert_eq!(world.standing(number), Standing::Failed);
    world.restart_engine();
    goes(&mut world, "a");
    assert_eq!(world.orders(), "+a");
}

#[test]
fn what_it_needs_stops_and_may_start_again() {
    let mut world = up("a: needs = b\nb:", "a");
    world.stop("b");
    assert_eq!(world.orders(), "-a");
    sticks(&mut world, "a");
    assert_eq!(world.orders(), "-b");
    world.obey("b");
    world.start("b");
    world.settle();
    assert_eq!((world.orders(), world.phase("b"), world.phase("a")), ("+b".to_string(), Phase::Up, Phase::Stopping));
    goes(&mut world, "a");
    assert_eq!(world.orders(), "+a");
}

#[test]
fn what_conflicts_with_it_waits_for_it_and_says_so() {
    for restarts in [false, true] {
        let mut world = up("a: conflicts = b\nb:\nc: after = b", "a");
        let number = world.command(Verb::Start, &["b", "c"]).expect("taken");
        assert_eq!(world.orders(), "-a");
        sticks(&mut world, "a");
        if restarts {
            world.restart_engine();
        }
        // c only waits for what is under way, and b is not.
        assert_eq!((world.orders(), world.blocker("b")), ("+c".to_string(), "conflict a".to_string()));
        world.settle();
        let shown = world.results(number);
        let mut results: Vec<&str> = shown.split(", ").collect();
        results.sort_unstable();
        assert_eq!((world.standing(number), results), (Standing::Failed, vec!["a waiting", "b waiting", "c up"]));
        goes(&mut world, "a");
        assert_eq!(world.orders(), "+b");
    }
}

#[test]
fn a_start_that_was_not_ready_in_time_and_cannot_be_killed_frees_its_place() {
    let mut world = World::limited("a:\nb:\nc: wants = a", 1);
    world.start("c");
    world.start("b");
    world.obey("a");
    assert_eq!(world.orders(), "+a");
    sticks(&mut world, "a");
    assert_eq!(world.orders(), "+b");
    world.settle();
    // Nor does who only wants it wait.
    assert_eq!((world.orders(), world.phase("c"), world.phase("a")), ("+c".to_string(), Phase::Up, Phase::Stopping));
}

#[test]
fn it_is_ordered_down_when_nothing_wishes_it_up_any_more() {
    let mut world = World::new("a:");
    world.start("a");
    world.obey("a");
    sticks(&mut world, "a");
    world.stop("a");
    assert_eq!(world.orders(), "+a -a");
    sticks(&mut world, "a");
    goes(&mut world, "a");
    assert_eq!((world.orders().as_str(), world.phase("a")), ("", Phase::Down));
}

#[test]
fn all_else_is_down_for_a_shutdown() {
    let mut world = up("a: needs = b\nb:", "a");
    world.step(Input::Shutdown(NOBODY)).expect("taken");
    sticks(&mut world, "a");
    world.settle();
    assert_eq!((world.phase("a"), world.phase("b")), (Phase::Stopping, Phase::Down));
    assert!(world.engine.all_down(), "nothing is left to order; the process that is there, the supervisor knows of");
}
