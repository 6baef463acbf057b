//! Preconditions that do not hold, row by row of the table of relations; what leaves `skipped`; the attempts of a
//! oneshot.

use super::world::World;
use pintle::board::reports::State;
use pintle::engine::{Standing, Verb};
use pintle::graph::Phase;

const ONLY_IF: &str = "only-if = path /x";

/// `a` may be skipped and says so much about it; `b` has this relation to it.
fn pair(relation: &str, skip_ok: &str) -> World {
    World::new(&format!("a: {ONLY_IF}; skip-ok = {skip_ok}\nb: {relation} = a"))
}

/// Both are wished; `a` is skipped, and the orders that came of it are what is asked for next.
fn skipped(relation: &str, skip_ok: &str) -> World {
    let mut world = pair(relation, skip_ok);
    world.start("a");
    world.start("b");
    world.obey("a");
    world.orders();
    world.report("a", State::Skipped);
    assert_eq!(world.phase("a"), Phase::Skipped, "{relation}");
    world.restart_engine();
    world
}

#[test]
fn every_row_goes_on_with_a_skipped_one_as_it_should() {
    for (relation, if_no, if_yes) in [
        ("needs", "", "+b"),
        ("binds", "", "+b"),
        ("needs-to-start", "", "+b"),
        ("wants", "+b", "+b"),
        ("after", "+b", "+b"),
    ] {
        for (skip_ok, orders) in [("no", if_no), ("yes", if_yes)] {
            let mut world = skipped(relation, skip_ok);
            assert_eq!(world.orders(), orders, "{relation}, {skip_ok}");
            world.settle();
            let b = if orders.is_empty() { "waiting" } else { "up" };
            assert_eq!(world.phases(), format!("a skipped, b {b}"), "{relation}, {skip_ok}");
            if orders.is_empty() {
                assert_eq!(world.blocker("b"), "needs a", "{relation}");
            }
        }
    }
    // It has no process, so it is in nobody's way.
    let mut world = pair("conflicts", "no");
    world.start("a");
    world.obey("a");
    world.report("a", State::Skipped);
    world.orders();
    world.start("b");
    assert_eq!(world.orders(), "+b");
}

#[test]
fn what_is_up_with_a_skipped_one_stays_while_it_comes_up_after_all() {
    for (relation, orders) in [("needs", "+a"), ("binds", "-b"), ("needs-to-start", "+a"), ("wants", "+a")] {
        let mut world = skipped(relation, "yes");
        world.settle();
        world.orders();
        world.start("a");
        // What binds to it goes first, and comes back after it.
        assert_eq!(world.orders(), orders, "{relation}");
        world.restart_engine();
        world.settle();
        assert_eq!(world.phases(), "a up, b up", "{relation}");
        assert_eq!(world.orders(), if relation == "binds" { "+a +b" } else { "" }, "{relation}");
        world.restart_engine();
    }
}

#[test]
fn what_needs_it_goes_down_when_it_fails_on_its_way_up_or_cannot_go() {
    let mut world = skipped("needs", "yes");
    world.settle();
    world.start("a");
    world.obey("a");
    world.orders();
    world.fails("a");
    assert_eq!(world.orders(), "-b");
    world.settle();
    assert_eq!(world.phases(), "a failed, b waiting");
    // One that waits for what has failed is not on its way.
    let text = format!("a: {ONLY_IF}; skip-ok = yes; needs-to-start = c\nb: needs = a\nc:");
    let mut world = World::new(&text);
    world.start("b");
    world.obey("c");
    world.report("c", State::Up);
    world.obey("a");
    world.report("a", State::Skipped);
    world.settle();
    world.fails("c");
    world.orders();
    world.command(Verb::Reset, &["a"]).expect("reset");
    assert_eq!((world.phase("a"), world.orders().as_str()), (Phase::Waiting, "-b"));
    world.restart_engine();
}

#[test]
fn it_stands_for_up_only_while_it_is_wished() {
    let mut world = skipped("needs", "yes");
    world.settle();
    world.orders();
    world.stop("a");
    assert_eq!(world.orders(), "-b");
    world.settle();
    assert_eq!(world.phases(), "a skipped, b waiting");
    assert_eq!(world.blocker("b"), "needs a");
    world.restart_engine();
}

#[test]
fn a_dependency_that_turns_out_skipped_at_its_restart_takes_along_what_needs_it() {
    for (skip_ok, orders) in [("no", "-b"), ("yes", "")] {
        let mut world = pair("needs", skip_ok);
        world.start("b");
        world.settle();
        world.orders();
        world.command(Verb::Restart, &["a"]).expect("restart");
        assert_eq!(world.orders(), "~a");
        world.obey("a");
        world.report("a", State::Skipped);
        assert_eq!(world.orders(), orders, "{skip_ok}");
        world.restart_engine();
    }
}

#[test]
fn a_bundle_is_up_without_its_skipped_members_and_whatever_they_say() {
    let mut world = World::new(&format!("a: {ONLY_IF}\nb:\nset: type = bundle; contains = a b\nu: needs = set"));
    world.start("u");
    world.obey("a");
    world.report("a", State::Skipped);
    world.settle();
    assert_eq!(world.phases(), "a skipped, b up, set up, u up");
    world.restart_engine();
    // On its way up it takes nobody down, and comes up at last.
    world.orders();
    world.start("a");
    world.obey("a");
    assert_eq!(world.phases(), "a starting, b up, set restarting, u up");
    world.restart_engine();
    world.report("a", State::Up);
    assert_eq!(world.phases(), "a up, b up, set up, u up");
    assert_eq!(world.orders(), "+a");
    // A member that is held down is not as good.
    let mut world = World::new(&format!("a: {ONLY_IF}\nset: type = bundle; contains = a"));
    world.start("set");
    world.obey("a");
    world.report("a", State::Skipped);
    assert_eq!(world.phase("set"), Phase::Up);
    world.stop("a");
    assert_eq!(world.phase("set"), Phase::Waiting);
}

#[test]
fn what_leaves_skipped() {
    type Act = fn(&mut World);
    let acts: [(&str, Act, bool); 6] = [
        (
            "start",
            |world| {
                world.start("a");
            },
            true,
        ),
        (
            "reset",
            |world| {
                let _ = world.command(Verb::Reset, &["a"]);
            },
            true,
        ),
        (
            "restart",
            |world| {
                let _ = world.command(Verb::Restart, &["a"]);
            },
            true,
        ),
        (
            "a trigger",
            |world| {
                let _ = world.emit("go");
            },
            true,
        ),
        (
            "a condition",
            |world| {
                let _ = world.on("net");
            },
            false,
        ),
        (
            "a hold more",
            |world| {
                world.start("b");
            },
            false,
        ),
    ];
    for (name, act, leaves) in acts {
        let mut world = World::new(&format!("a: {ONLY_IF}; start-on = go\nb: wants = a; while = net"));
        world.start("a");
        world.obey("a");
        world.report("a", State::Skipped);
        world.orders();
        act(&mut world);
        assert_eq!(world.orders().contains("+a"), leaves, "{name}");
        assert_eq!(world.phase("a") != Phase::Skipped, leaves, "{name}");
        world.restart_engine();
    }
    // A goal that rises again.
    let mut world = skipped("wants", "no");
    world.settle();
    world.stop("a");
    world.orders();
    world.command(Verb::Release, &["a"]).expect("release");
    assert_eq!(world.orders(), "+a");
}

#[test]
fn a_start_that_is_skipped_is_not_reached_and_what_is_pulled_may_be() {
    let mut world = World::new(&format!("a: {ONLY_IF}\nb: needs = a\nc: wants = a\nset: type = bundle; contains = a"));
    let alone = world.start("a");
    world.obey("a");
    world.report("a", State::Skipped);
    assert_eq!((world.standing(alone), world.results(alone).as_str()), (Standing::Failed, "a skipped"));
    for (name, standing) in [("b", Standing::Failed), ("c", Standing::Done), ("set", Standing::Done)] {
        world.command(Verb::Release, &["a", "b", "c", "set"]).expect("release");
        world.settle();
        let number = world.start(name);
        world.obey("a");
        world.report("a", State::Skipped);
        world.settle();
        assert_eq!(world.standing(number), standing, "{name}: {}", world.results(number));
    }
}

#[test]
fn a_choice_goes_on_to_the_next_where_one_is_skipped() {
    for (skip_ok, phases) in [("no", "a skipped, b up, u up"), ("yes", "a skipped, b down, u up")] {
        let mut world = World::new(&format!("a: {ONLY_IF}; skip-ok = {skip_ok}\nb:\nu: needs = a|b"));
        world.start("u");
        world.obey("a");
        world.report("a", State::Skipped);
        world.settle();
        let shown: Vec<String> =
            world.phases().split(", ").filter(|one| !one.contains('|')).map(String::from).collect();
        assert_eq!(shown.join(", "), phases, "{skip_ok}");
        world.restart_engine();
    }
}

#[test]
fn the_attempts_of_a_oneshot_are_one_start() {
    let mut world = World::new("a: type = oneshot; retries = 3\nb: wants = a\nc: needs = a");
    world.command(Verb::Start, &["b", "c"]).expect("start");
    world.obey("a");
    for _ in 0..3 {
        world.dies("a");
        assert_eq!(world.phases(), "a starting, b waiting, c waiting");
        world.restart_engine();
        world.lives_again("a");
        assert_eq!(world.phases(), "a starting, b waiting, c waiting");
    }
    world.orders();
    world.fails("a");
    assert_eq!(world.orders(), "+b");
    // And from the beginning, with an end.
    world.start("a");
    world.obey("a");
    world.dies("a");
    world.lives_again("a");
    world.report("a", State::Up);
    world.settle();
    assert_eq!(world.phases(), "a up, b up, c up");
    // Its stop pre-empts an attempt that is to come.
    world.command(Verb::Restart, &["a"]).expect("restart");
    world.settle();
    world.orders();
}

#[test]
fn a_stop_pre_empts_an_attempt_that_is_to_come() {
    let mut world = World::new("a: type = oneshot; retries = 3");
    world.start("a");
    world.obey("a");
    world.dies("a");
    world.orders();
    world.stop("a");
    assert_eq!(world.orders(), "-a");
    world.obey("a");
    assert_eq!(world.phase("a"), Phase::Down);
}
