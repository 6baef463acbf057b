//! Choices: each sentence of the semantics, `needs = a|b` and names that several services provide.

use super::world::{World, compiles};
use pintle::board::reports::State;
use pintle::engine::{Input, NOBODY, Standing, Verb};
use pintle::graph::{Goal, Hold, Phase};

const PAIR: &str = "a:\nb:\nd: needs = a|b";

pub(super) fn up(text: &str, name: &str) -> World {
    let mut world = World::new(text);
    world.start(name);
    world.settle();
    world.orders();
    world
}

pub(super) fn reset(world: &mut World, name: &str) {
    world.command(Verb::Reset, &[name]).expect("reset");
}

/// What is left of it when the engine dies, and the same again.
pub(super) fn phases(world: &mut World) -> String {
    world.restart_engine();
    world.phases()
}

// What it chooses.

#[test]
fn the_first_as_written_is_pulled_and_no_other() {
    for (list, first) in [("a|b", "a"), ("b|a", "b")] {
        for relation in ["needs", "binds", "needs-to-start", "wants"] {
            let mut world = up(&format!("a:\nb:\nd: {relation} = {list}"), "d");
            let other = if first == "a" { "b" } else { "a" };
            assert_eq!((world.phase(first), world.phase(other)), (Phase::Up, Phase::Down), "{relation} {list}");
            assert_eq!((world.phase("d"), world.phase(list)), (Phase::Up, Phase::Up), "{relation} {list}");
            assert_eq!(world.blocker(list), format!("chosen {first}"));
            assert_eq!(world.row(first).holds.0, Hold::Need as u32);
            world.restart_engine();
        }
    }
}

#[test]
fn the_first_that_is_up_already_is_chosen_before_the_first() {
    let mut world = World::new("a:\nb:\nc:\nd: needs = a|b|c");
    world.start("c");
    world.settle();
    world.start("d");
    world.settle();
    assert_eq!(phases(&mut world), "a down, a|b|c up, b down, c up, d up");
    // ... and then it is needed: it stays when the person's hold goes.
    world.command(Verb::Release, &["c"]).expect("release");
    world.settle();
    assert_eq!(phases(&mut world), "a down, a|b|c up, b down, c up, d up");
}

#[test]
fn what_is_marked_or_failed_is_not_chosen_though_it_is_first() {
    let mut world = World::new(PAIR);
    world.stop("a");
    world.start("d");
    world.settle();
    assert_eq!(world.phases(), "a down, a|b up, b up, d up");
    let mut world = World::new(PAIR);
    world.start("a");
    world.obey("a");
    world.fails("a");
    world.command(Verb::Start, &["d"]).expect("start");
    world.settle();
    // The start has forgotten that a failed.
    assert_eq!(world.phases(), "a up, a|b up, b down, d up");
}

#[test]
fn what_was_done_before_is_not_chosen() {
    let mut world = World::new("a: restart = never\nb:\nd: needs = a|b; start-on = go");
    world.start("a");
    world.settle();
    world.report("a", State::Done);
    world.emit("go").expect("event");
    world.settle();
    assert_eq!(phases(&mut world), "a done, a|b up, b up, d up");
}

#[test]
fn what_a_conflict_keeps_down_is_not_chosen() {
    let mut world = World::new("a:\nb:\nr: conflicts = a\nd: needs = a|b");
    world.start("r");
    world.settle();
    world.start("d");
    world.settle();
    assert_eq!(phases(&mut world), "a down, a|b up, b up, d up, r up");
}

#[test]
fn those_that_write_the_same_list_share_one_choice_and_others_have_another() {
    let mut world = up("a:\nb:\nc: needs = b|a\nd: needs = a|b\ne: wants = a|b", "d");
    world.start("e");
    world.settle();
    assert_eq!(world.phases(), "a up, a|b up, b down, b|a down, c down, d up, e up");
    world.start("c");
    world.settle();
    assert_eq!(world.blocker("b|a"), "chosen a", "which is up");
}

// When it moves.

#[test]
fn it_moves_without_stopping_the_dependent_if_another_is_up() {
    let mut world = up(PAIR, "d");
    world.start("b");
    world.settle();
    world.orders();
    world.fails("a");
    world.settle();
    assert_eq!(world.orders(), "");
    assert_eq!(phases(&mut world), "a failed, a|b up, b up, d up");
    assert_eq!(world.blocker("a|b"), "chosen b");
    assert_eq!(world.goal("a"), Goal::Down, "nothing needs it any more");
}

#[test]
fn else_the_dependent_stops_and_starts_on_the_next() {
    let mut world = up(PAIR, "d");
    world.fails("a");
    assert_eq!(world.orders(), "-d", "b waits until d is down");
    assert_eq!(world.goal("b"), Goal::Down);
    world.restart_engine();
    world.obey("d");
    assert_eq!(world.orders(), "+b");
    world.settle();
    assert_eq!(world.orders(), "+d");
    assert_eq!(phases(&mut world), "a failed, a|b up, b up, d up");
}

#[test]
fn it_moves_when_the_chosen_one_is_marked_and_that_stops_behind_the_dependent() {
    let mut world = up(PAIR, "d");
    let stop = world.stop("a");
    assert_eq!(world.orders(), "-d", "d was promised to stop before a");
    world.obey("d");
    assert_eq!(world.orders(), "-a +b");
    world.settle();
    assert_eq!(world.orders(), "+d");
    assert_eq!(phases(&mut world), "a down, a|b up, b up, d up");
    assert_eq!(world.standing(stop), Standing::Done);
}

#[test]
fn it_moves_when_a_conflict_displaces_the_chosen_one() {
    let mut world = up("a:\nb:\nr: conflicts = a\nd: needs = a|b", "d");
    world.start("r");
    world.settle();
    assert_eq!(world.orders(), "-d -a +b +r +d");
    assert_eq!(phases(&mut world), "a down, a|b up, b up, d up, r up");
}

#[test]
fn it_does_not_move_while_the_chosen_one_only_dies_and_restarts() {
    let mut world = up(PAIR, "d");
    world.start("b");
    world.settle();
    world.dies("a");
    assert_eq!(phases(&mut world), "a restarting, a|b restarting, b up, d up");
    world.lives_again("a");
    world.settle();
    assert_eq!(world.blocker("a|b"), "chosen a");
}

#[test]
fn it_does_not_move_while_the_chosen_one_waits() {
    let mut world = up("a: while = net\nb:\nd: needs = a|b", "d");
    assert_eq!(phases(&mut world), "a waiting, a|b waiting, b down, d waiting");
    world.on("net").expect("on");
    world.settle();
    assert_eq!(world.phases(), "a up, a|b up, b down, d up");
}

#[test]
fn what_binds_to_the_choice_sees_a_new_life_when_it_moves() {
    let mut world = up("a:\nb:\nd: binds = a|b\ne: needs = a|b", "d");
    world.start("b");
    world.start("e");
    world.settle();
    world.orders();
    world.fails("a");
    assert_eq!(world.orders(), "-d");
    assert_eq!(phases(&mut world), "a failed, a|b restarting, b up, d stopping, e up");
    world.settle();
    assert_eq!(world.orders(), "+d");
    assert_eq!(phases(&mut world), "a failed, a|b up, b up, d up, e up");
}

#[test]
fn what_binds_to_the_choice_follows_each_life_of_the_chosen_one() {
    let mut world = up("a:\nb:\nd: binds = a|b", "d");
    world.dies("a");
    assert_eq!(world.orders(), "-d");
    world.lives_again("a");
    world.settle();
    assert_eq!(world.orders(), "+d");
    // One that nobody saw.
    let at = world.slot("a");
    world.stamp += 2;
    let row = &mut world.reports[at.index()];
    (row.attempt, row.restarts, row.began, row.ready) = (2, 1, world.stamp - 1, world.stamp);
    world.restart_engine();
    world.tell(at);
    world.settle();
    assert_eq!(world.orders(), "-d +d");
}

#[test]
fn what_is_only_needed_to_start_or_wanted_stays() {
    for relation in ["needs-to-start", "wants"] {
        let mut world = up(&format!("a:\nb:\nd: {relation} = a|b"), "d");
        world.fails("a");
        world.settle();
        assert_eq!(world.orders(), "+b", "{relation}");
        assert_eq!(phases(&mut world), "a failed, a|b up, b up, d up", "{relation}");
    }
}

#[test]
fn never_back_by_itself() {
    let mut world = up(PAIR, "d");
    world.fails("a");
    world.settle();
    world.orders();
    world.start("a");
    world.settle();
    assert_eq!(world.orders(), "+a");
    assert_eq!(world.blocker("a|b"), "chosen b");
    world.stop("b");
    world.settle();
    assert_eq!(world.blocker("a|b"), "chosen a");
}

#[test]
fn what_is_marked_while_it_is_left_waits_for_nothing_where_another_is_up() {
    let mut world = up(PAIR, "d");
    world.start("b");
    world.settle();
    world.orders();
    world.stop("a");
    assert_eq!(world.orders(), "-a");
    world.settle();
    assert_eq!(phases(&mut world), "a down, a|b up, b up, d up");
}

#[test]
fn a_skipped_alternative_is_as_one_that_failed_or_where_it_says_so_as_one_that_is_up() {
    for (skip_ok, phases_then) in [("no", "a skipped, a|b up, b up, d up"), ("yes", "a skipped, a|b up, b down, d up")]
    {
        let mut world = World::new(&format!("a: only-if = path /x; skip-ok = {skip_ok}\nb:\nd: needs = a|b"));
        world.start("d");
        world.obey("a");
        world.report("a", State::Skipped);
        world.settle();
        assert_eq!(phases(&mut world), phases_then, "skip-ok = {skip_ok}");
    }
}

#[test]
fn a_restart_with_dependents_takes_along_what_needs_the_choice() {
    for name in ["a", "a|b"] {
        let mut world = up(PAIR, "d");
        world.start("b");
        world.settle();
        world.orders();
        let restart = world.command(Verb::RestartWithDependents, &[name]).expect("restart");
        assert_eq!(world.orders(), "-d", "{name}");
        world.settle();
        assert_eq!(world.orders(), "~a +d", "{name}");
        assert_eq!(phases(&mut world), "a up, a|b up, b up, d up", "{name}");
        assert_eq!(world.standing(restart), Standing::Done, "{name}");
        assert_eq!(world.blocker("a|b"), "chosen a", "{name}");
    }
}

#[test]
fn a_switch_leaves_a_choice_that_the_bundle_does_not_need() {
    let mut world = up("a:\nb:\nd: needs = a|b\ne: needs = b|a\nt: type = bundle; contains = e", "d");
    world.command(Verb::Switch, &["t"]).expect("switch");
    world.settle();
    assert_eq!(phases(&mut world), "a up, a|b down, b down, b|a up, d down, e up, t up", "a was up");
}

// Each tried once.

#[test]
fn each_is_tried_once_and_then_the_dependent_waits() {
    let mut world = World::new("a:\nb:\nc:\nd: needs = a|b|c");
    let start = world.start("d");
    for name in ["a", "b", "c"] {
        assert_eq!(world.orders(), format!("+{name}"));
        world.obey(name);
        assert_eq!(world.standing(start), Standing::Running, "it is under way with {name}");
        world.fails(name);
        world.restart_engine();
    }
    assert_eq!(world.orders(), "");
    assert_eq!(phases(&mut world), "a failed, a|b|c waiting, b failed, c failed, d waiting");
    assert_eq!(world.standing(start), Standing::Failed);
    assert_eq!(world.goal("a"), Goal::Down);
    assert_eq!(world.blocker("d"), "needs a|b|c");
}

#[test]
fn one_that_was_tried_is_not_tried_again_though_another_wish_forgave_it() {
    let mut world = up("a:\nb:\nd: needs = a|b\ne: needs = a; start-on = go", "d");
    world.fails("a");
    world.settle();
    world.emit("go").expect("event");
    assert_eq!(world.orders(), "-d +b +d +a");
    // It is not up, and b fails: a was tried.
    world.fails("b");
    world.obey("d");
    assert_eq!(world.phases(), "a starting, a|b waiting, b failed, d waiting, e waiting");
    // Up it is taken.
    world.settle();
    assert_eq!(phases(&mut world), "a up, a|b up, b failed, d up, e up");
}

#[test]
fn start_of_the_dependent_or_of_the_choice_tries_all_again() {
    for name in ["d", "a|b"] {
        let mut world = up(PAIR, "d");
        for name in ["a", "b"] {
            world.fails(name);
            world.settle();
        }
        world.orders();
        assert_eq!(phases(&mut world), "a failed, a|b waiting, b failed, d waiting");
        let start = world.start(name);
        assert_eq!(world.orders(), "+a", "start {name}");
        world.settle();
        assert_eq!(phases(&mut world), "a up, a|b up, b down, d up", "start {name}");
        assert_eq!(world.standing(start), Standing::Done);
    }
}

#[test]
fn reset_of_the_dependent_or_of_the_choice_tries_all_again_and_of_an_alternative_that_one() {
    for (name, tried) in [("d", "+a"), ("a|b", "+a"), ("a", "+a"), ("b", "+b")] {
        let mut world = up(PAIR, "d");
        for name in ["a", "b"] {
            world.fails(name);
            world.settle();
        }
        world.orders();
        reset(&mut world, name);
        assert_eq!(world.orders(), tried, "reset {name}");
        world.settle();
        assert_eq!(world.phase("d"), Phase::Up, "reset {name}");
        world.restart_engine();
    }
}

#[test]
fn what_was_tried_is_forgotten_when_nothing_asks_any_more() {
    let mut world = up(PAIR, "d");
    world.fails("a");
    world.settle();
    world.command(Verb::Release, &["d"]).expect("release");
    world.settle();
    assert_eq!(phases(&mut world), "a failed, a|b down, b down, d down");
    reset(&mut world, "a");
    world.orders();
    world.start("d");
    assert_eq!(world.orders(), "+a");
}

// Marks, holds, the choice by its name.

#[test]
fn where_nothing_can_be_chosen_it_waits_until_something_can_be() {
    let mut world = World::new(PAIR);
    world.command(Verb::Stop, &["a", "b"]).expect("stop");
    let at = world.slot("d");
    world.step(Input::Boot(at)).expect("boot");
    assert_eq!(phases(&mut world), "a down, a|b waiting, b down, d waiting");
    world.command(Verb::Release, &["b"]).expect("release");
    world.settle();
    assert_eq!(phases(&mut world), "a down, a|b up, b up, d up");
}

#[test]
fn a_start_lifts_the_marks_of_the_first_only_where_all_have_some() {
    let mut world = World::new(PAIR);
    world.stop("a");
    world.start("d");
    world.settle();
    assert_eq!(world.phases(), "a down, a|b up, b up, d up");
    let mut world = World::new(PAIR);
    world.command(Verb::Stop, &["a", "b"]).expect("stop");
    world.start("d");
    world.settle();
    assert_eq!(phases(&mut world), "a up, a|b up, b down, d up");
}

#[test]
fn a_choice_is_started_stopped_released_and_restarted_by_its_name() {
    let mut world = World::new(PAIR);
    let start = world.start("a|b");
    world.settle();
    assert_eq!(phases(&mut world), "a up, a|b up, b down, d down");
    assert_eq!(world.standing(start), Standing::Done);
    world.start("d");
    world.settle();
    world.orders();
    let restart = world.command(Verb::Restart, &["a|b"]).expect("restart");
    assert_eq!(world.orders(), "~a");
    assert_eq!(world.standing(restart), Standing::Running);
    world.settle();
    assert_eq!(world.standing(restart), Standing::Done);
    let stop = world.stop("a|b");
    world.settle();
    assert_eq!(world.orders(), "-d -a");
    assert_eq!(phases(&mut world), "a down, a|b down, b down, d waiting");
    assert_eq!(world.standing(stop), Standing::Done);
    world.command(Verb::Release, &["a|b"]).expect("release");
    world.settle();
    assert_eq!(phases(&mut world), "a up, a|b up, b down, d up");
}

#[test]
fn the_dependent_stops_before_the_chosen_one_when_all_is_released() {
    let mut world = up(PAIR, "d");
    world.command(Verb::Release, &["d"]).expect("release");
    assert_eq!(world.orders(), "-d");
    world.restart_engine();
    world.obey("d");
    assert_eq!(world.orders(), "-a");
    world.settle();
    assert_eq!(phases(&mut world), "a down, a|b down, b down, d down");
}

#[test]
fn a_shutdown_takes_the_dependent_before_the_chosen_one() {
    let mut world = World::booted("a:\nb:\nd: needs = a|b\nboot: type = bundle; contains = d");
    world.orders();
    world.step(Input::Shutdown(NOBODY)).expect("shutdown");
    world.settle();
    assert_eq!(world.orders(), "-d -a");
    assert!(world.engine.all_down());
}

// Names that services provide.

const MAIL: &str =
    "exim: provides = mta; conflicts = mta\npostfix: provides = mta; conflicts = mta\nreader: needs = mta";

#[test]
fn a_name_that_one_service_provides_is_that_service() {
    let mut world = World::new("exim: provides = mta mail\nreader: needs = mta; after = mail");
    assert_eq!(world.slot("mta"), world.slot("exim"));
    world.start("mta");
    world.settle();
    assert_eq!(world.phases(), "exim up, reader down");
    world.start("reader");
    world.settle();
    assert_eq!(phases(&mut world), "exim up, reader up");
}

#[test]
fn a_name_that_several_provide_is_a_choice_of_these_by_their_names() {
    let mut world = up("postfix: provides = mta\nexim: provides = mta\nreader: needs = mta", "reader");
    assert_eq!(phases(&mut world), "exim up, mta up, postfix down, reader up");
}

#[test]
fn providers_may_conflict_with_each_other() {
    let mut world = up(MAIL, "reader");
    assert_eq!(phases(&mut world), "exim up, mta up, postfix down, reader up");
    world.fails("exim");
    world.settle();
    assert_eq!(world.orders(), "-reader +postfix +reader");
    assert_eq!(phases(&mut world), "exim failed, mta up, postfix up, reader up");
    world.fails("postfix");
    world.settle();
    assert_eq!(phases(&mut world), "exim failed, mta waiting, postfix failed, reader waiting");
    world.orders();
    // The administrator takes the other one.
    world.start("postfix");
    world.settle();
    assert_eq!(phases(&mut world), "exim failed, mta up, postfix up, reader up");
    world.orders();
    world.start("exim");
    world.settle();
    assert_eq!(world.orders(), "-reader -postfix +exim +reader");
    assert_eq!(phases(&mut world), "exim up, mta up, postfix down, reader up");
}

#[test]
fn a_list_may_name_what_is_provided() {
    let mut world = up(&format!("{MAIL}\nx:\nd: needs = x|mta"), "d");
    world.fails("x");
    world.settle();
    assert_eq!(phases(&mut world), "d up, exim up, mta down, postfix down, reader down, x failed, x|mta up");
}

#[test]
fn up_of_a_choice_is_a_condition() {
    let mut world = World::new(&format!("{MAIL}\nw: while = up(mta)"));
    world.start("w");
    world.settle();
    assert_eq!(world.phase("w"), Phase::Waiting);
    world.start("reader");
    world.settle();
    assert_eq!(world.phase("w"), Phase::Up);
}

#[test]
fn after_a_list_is_after_all_of_it() {
    let mut world = World::new("a:\nb:\nd: after = a|b");
    world.command(Verb::Start, &["b", "d"]).expect("start");
    assert_eq!(world.orders(), "+b");
    assert_eq!(world.blocker("d"), "settles b");
    assert_eq!(world.goal("a"), Goal::Down);
}

#[test]
fn a_bundle_can_be_an_alternative_and_need_one() {
    let mut world = up(
        "a:\nb:\nc:\ns: type = bundle; contains = a b\nd: needs = s|c\nt: type = bundle; contains = d; needs = c|s",
        "t",
    );
    assert_eq!(world.blocker("s|c"), "chosen s");
    world.restart_engine();
    world.stop("s");
    world.settle();
    assert_eq!(phases(&mut world), "a down, b down, c up, c|s up, d up, s down, s|c up, t up");
}

#[test]
fn an_instance_can_be_an_alternative() {
    let mut world = up("g@:\nb:\nd: needs = g@one|b\ne@: needs = b|g@one", "d");
    assert_eq!(world.phases(), "b down, b|g@one down, d up, g@one up, g@one|b up");
    world.start("e@x");
    world.settle();
    assert_eq!(world.blocker("b|g@one"), "chosen g@one");
    world.stop("g@one");
    world.settle();
    assert_eq!(phases(&mut world), "b up, b|g@one up, d up, g@one down, g@one|b up, e@x up");
}

#[test]
fn what_can_never_be_is_refused() {
    for (bad, text) in [
        ("a cycle through an alternative", "a: needs = d\nb:\nd: needs = a|b"),
        ("a cycle through a provider", "a: provides = m; wants = d\nb: provides = m\nd: needs = m"),
        ("a cycle through up()", "a: while = up(d)\nb:\nd: needs = a|b"),
        ("who needs it is an alternative", "a: provides = m\nb: provides = m; needs = m"),
        ("an alternative that one conflicts with", "a:\nb:\nd: needs = a|b; conflicts = b"),
        ("... over some steps", "a:\nb: needs = c\nc:\nd: needs = a|b; conflicts = c"),
        ("one that is never up", "a:\nb: type = oneshot; remain = no\nd: wants = a|b"),
        ("a provided name that is a service", "a: provides = b\nb:"),
        ("a provided name in contains", "a: provides = m\nb: provides = m\nd: type = bundle; contains = m"),
        ("conflicts with one of", "a:\nb:\nd: conflicts = a|b"),
        ("contains one of", "a:\nb:\nd: type = bundle; contains = a|b"),
        ("needed by one of", "a:\nb:\nd: needed-by = a|b"),
        ("a template", "a@:\nb:\nd: needs = a@|b"),
        ("a placeholder", "a@:\nb:\nd@: needs = b|a@${INSTANCE}"),
    ] {
        assert!(!compiles(text), "{bad}");
    }
    assert!(compiles("a: provides = m\nb: provides = m\nd: needed-by = m; wanted-by = a; before = a|b"));
}
