//! Choices: that one leaves what waits for somebody to repair what it needs, and what does not count as that.

use super::anyof::{phases, reset, up};
use super::world::World;
use pintle::board::reports::State;
use pintle::engine::{Standing, Verb};
use pintle::graph::{Goal, Phase};

const NEEDING: &str = "x:\na: needs = x\nb:\nd: needs = a|b";

#[test]
fn it_moves_when_what_the_chosen_one_needs_has_failed_or_is_held_down() {
    for relation in ["needs", "binds", "needs-to-start"] {
        // On its way up.
        let mut world =
            World::new(&format!("x:\nm: type = bundle; contains = x\na: {relation} = m\nb:\nd: needs = a|b"));
        let start = world.start("d");
        world.obey("x");
        world.fails("x");
        assert_eq!(world.orders(), "+x +b", "{relation}");
        assert_eq!(world.standing(start), Standing::Running, "{relation}");
        world.restart_engine();
        world.settle();
        assert_eq!(phases(&mut world), "a down, a|b up, b up, d up, m down, x failed", "{relation}");
        assert_eq!(world.standing(start), Standing::Done, "{relation}");
    }
    let mut world = World::new(NEEDING);
    world.start("d");
    let stop = world.stop("x");
    world.settle();
    assert_eq!(phases(&mut world), "a down, a|b up, b up, d up, x down");
    assert_eq!(world.standing(stop), Standing::Done);
}

#[test]
fn it_leaves_one_that_is_up_when_what_that_needs_is_lost() {
    // What needs the choice stops first ...
    let mut world = up(NEEDING, "d");
    world.fails("x");
    assert_eq!(world.orders(), "-d", "a, too, stops behind d");
    world.restart_engine();
    world.settle();
    assert_eq!(world.orders(), "-a +b +d");
    assert_eq!(phases(&mut world), "a down, a|b up, b up, d up, x failed");
    // ... but where another is up it stays.
    let mut world = up(NEEDING, "d");
    world.start("b");
    world.settle();
    world.orders();
    world.fails("x");
    assert_eq!(world.orders(), "-a");
    world.settle();
    assert_eq!(phases(&mut world), "a down, a|b up, b up, d up, x failed");
}

#[test]
fn it_stays_where_what_the_chosen_one_needs_waits_for_the_world() {
    // For a condition, or for the end of what conflicts with it.
    for (text, waits) in [
        ("x: while = net\na: needs = x\nb:\nd: needs = a|b", "a waiting, a|b waiting, b down, d waiting, x waiting"),
        (
            "r:\nx: conflicts = r\na: needs = x\nb:\nd: needs = a|b; start-on = go",
            "a waiting, a|b waiting, b down, d waiting, r up, x down",
        ),
    ] {
        let mut world = World::new(text);
        if text.starts_with('r') {
            world.start("r");
            world.settle();
            world.emit("go").expect("event");
        } else {
            world.start("d");
        }
        world.settle();
        assert_eq!(phases(&mut world), waits);
        assert_eq!(world.blocker("a|b"), "needs a");
    }
}

#[test]
fn where_there_is_no_better_one_it_stays_and_is_repaired_from_below() {
    let mut world = World::new(NEEDING);
    world.stop("b");
    world.start("d");
    world.obey("x");
    world.fails("x");
    assert_eq!(phases(&mut world), "a waiting, a|b waiting, b down, d waiting, x failed");
    assert_eq!((world.blocker("d"), world.blocker("a|b")), ("needs a|b".to_string(), "needs a".to_string()));
    assert_eq!(world.goal("x"), Goal::Up, "it is still wanted");
    reset(&mut world, "x");
    world.settle();
    assert_eq!(phases(&mut world), "a up, a|b up, b down, d up, x up");
    // The other becomes free while this one is lost again.
    world.fails("x");
    world.settle();
    assert_eq!(phases(&mut world), "a waiting, a|b waiting, b down, d waiting, x failed");
    world.command(Verb::Release, &["b"]).expect("release");
    world.settle();
    assert_eq!(phases(&mut world), "a down, a|b up, b up, d up, x failed");
}

#[test]
fn one_that_was_left_is_tried_again_when_what_it_needs_is_repaired_and_not_before() {
    let mut world = World::new("x:\na: needs = x\nb:\nd: needs = a|b");
    world.start("d");
    world.obey("x");
    world.fails("x");
    world.settle();
    assert_eq!(world.blocker("a|b"), "chosen b");
    // Never back by itself, though it could come up.
    reset(&mut world, "x");
    assert_eq!(world.blocker("a|b"), "chosen b");
    world.orders();
    world.fails("b");
    world.settle();
    assert_eq!(world.orders(), "-d +x +a +d");
    assert_eq!(phases(&mut world), "a up, a|b up, b failed, d up, x up");
    // Where only another wish has brought it back, that is no repair.
    let mut world = World::new("x:\na: needs = x\nb:\nd: needs = a|b\nf: start-on = started b; wants = x");
    world.start("d");
    world.obey("x");
    world.fails("x");
    world.settle();
    assert_eq!((world.phase("x"), world.phase("f")), (Phase::Up, Phase::Up));
    world.fails("b");
    world.settle();
    assert_eq!(phases(&mut world), "a down, a|b waiting, b failed, d waiting, f up, x up");
    world.start("d");
    world.settle();
    assert_eq!(phases(&mut world), "a up, a|b up, b down, d up, f up, x up");
}

#[test]
fn a_choice_of_which_all_are_lost_is_lost_to_another() {
    let mut world = World::new("x:\ny:\na: needs = x|y\nb:\nd: needs = a|b");
    world.start("d");
    for name in ["x", "y"] {
        world.obey(name);
        assert_eq!(world.goal("a"), Goal::Up, "{name} may come");
        world.fails(name);
        world.restart_engine();
    }
    world.settle();
    assert_eq!(phases(&mut world), "a down, a|b up, b up, d up, x failed, x|y down, y failed");
}

#[test]
fn a_switch_that_goes_on_wishing_it_leaves_it_as_it_is() {
    // n rises only when all has fallen, since it conflicts with something.
    let mut world = World::new("a:\nb: needs = a\nd: needs = b|a\nn: needs = d\nr: conflicts = n");
    world.command(Verb::Switch, &["d"]).expect("switch");
    world.obey("a");
    world.report("a", State::Up);
    assert_eq!(world.orders(), "+a +b");
    world.command(Verb::Switch, &["n"]).expect("switch");
    assert_eq!((world.orders().as_str(), world.goal("b")), ("", Goal::Up));
}

#[test]
fn an_engine_that_takes_over_does_not_take_what_is_to_go_for_ready() {
    // While the successor does not know yet that e failed, d seems to be as ready as it was.
    let mut world = World::new(
        "e: provides = m\nd: provides = m; while = not failed(e)\nc: needs = e; binds = d; provides = m\nb: needs-to-start = c",
    );
    world.start("m");
    world.obey("e");
    world.report("e", State::Up);
    world.obey("d");
    world.report("d", State::Up);
    world.fails("e");
    let at = world.slot("m");
    let before = world.engine.facts(at);
    world.restart_engine();
    assert_eq!(world.engine.facts(at), before);
}
