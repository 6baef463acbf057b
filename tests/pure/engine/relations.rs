//! The table of relations cell by cell, and the fine print about holds, marks and failures.

use super::world::World;
use pintle::board::reports::State;
use pintle::engine::{Refusal, Standing, Verb};
use pintle::graph::{Goal, Hold, Phase};

fn pair(relation: &str) -> World {
    World::new(&format!("a:\nb: {relation} = a"))
}

#[test]
fn what_pulls_up() {
    for (relation, pulls) in [
        ("needs", true),
        ("binds", true),
        ("needs-to-start", true),
        ("wants", true),
        ("after", false),
        ("before", false),
        ("conflicts", false),
    ] {
        let mut world = pair(relation);
        world.start("b");
        let goal = if pulls { Goal::Up } else { Goal::Down };
        assert_eq!(world.goal("a"), goal, "{relation}");
        assert_eq!(world.row("a").holds.0 & Hold::Need as u32 != 0, pulls, "{relation}");
    }
}

#[test]
fn a_start_waits_until_what_it_needs_is_up() {
    for relation in ["needs", "binds", "needs-to-start"] {
        let mut world = pair(relation);
        world.start("b");
        assert_eq!(world.orders(), "+a", "{relation}");
        assert_eq!(world.blocker("b"), "needs a");
        world.obey("a");
        assert_eq!(world.orders(), "", "{relation}: starting is not up");
        world.report("a", State::Up);
        assert_eq!(world.orders(), "+b", "{relation}");
    }
}

#[test]
fn a_soft_wait_ends_when_the_other_is_settled_however() {
    for relation in ["wants", "after"] {
        let mut world = pair(relation);
        world.start("a");
        world.start("b");
        assert_eq!(world.orders(), "+a", "{relation}");
        assert_eq!(world.blocker("b"), "settles a");
        world.obey("a");
        world.fails("a");
        assert_eq!(world.orders(), "+b", "{relation}");
    }
}

#[test]
fn a_soft_wait_does_not_wait_for_a_second_life() {
    let mut world = pair("wants");
    world.start("b");
    world.obey("a");
    world.dies("a");
    assert_eq!(world.phase("a"), Phase::Restarting);
    assert_eq!(world.orders(), "+a +b");
}

#[test]
fn before_is_after_written_from_the_other_end() {
    let mut world = pair("before");
    world.command(Verb::Start, &["a", "b"]).expect("start");
    assert_eq!(world.orders(), "+b");
    assert_eq!(world.blocker("a"), "settles b");
}

#[test]
fn conflicts_wait_until_the_other_is_down_and_never_meet() {
    let mut world = pair("conflicts");
    world.start("a");
    world.settle();
    world.orders();
    world.start("b");
    assert_eq!(world.orders(), "-a");
    assert_eq!(world.blocker("b"), "conflict a");
    world.obey("a");
    assert_eq!(world.orders(), "+b");
    // What was displaced comes back when the other's goal falls.
    world.settle();
    world.stop("b");
    world.settle();
    assert_eq!(world.phases(), "a up, b down");
}

#[test]
fn of_two_that_conflict_the_lower_wins_the_same_input() {
    let mut world = World::booted("a: conflicts = b\nb:\nboot: type = bundle; contains = a b");
    assert_eq!(world.phases(), "a up, b down, boot waiting");
    assert_eq!(world.blocker("b"), "conflict a");
    world.restart_engine();
}

#[test]
fn what_an_event_starts_never_displaces() {
    let mut world = World::new("a: conflicts = b\nb: start-on = go");
    world.start("a");
    world.settle();
    world.emit("go").expect("event");
    assert_eq!(world.phases(), "a up, b down");
    world.stop("a");
    world.settle();
    assert_eq!(world.phases(), "a down, b up");
}

#[test]
fn who_stops_first_when_the_other_is_to_stop() {
    for (relation, stops) in
        [("needs", true), ("binds", true), ("needs-to-start", false), ("wants", false), ("after", false)]
    {
        let mut world = pair(relation);
        world.start("a");
        world.start("b");
        world.settle();
        world.orders();
        world.stop("a");
        assert_eq!(world.orders(), if stops { "-b" } else { "-a" }, "{relation}");
        world.settle();
        assert_eq!(world.phases(), if stops { "a down, b waiting" } else { "a down, b up" }, "{relation}");
        world.orders();
        world.start("a");
        world.settle();
        assert_eq!(world.orders(), if stops { "+a +b" } else { "+a" }, "{relation}");
    }
}

#[test]
fn where_both_go_down_the_dependent_goes_first_on_every_row() {
    for relation in ["needs", "binds", "needs-to-start", "wants", "after"] {
        let mut world = pair(relation);
        world.start("a");
        world.start("b");
        world.settle();
        world.orders();
        world.command(Verb::Stop, &["a", "b"]).expect("stop");
        assert_eq!(world.orders(), "-b", "{relation}");
        assert_eq!(world.blocker("a"), "dependent b");
        world.obey("b");
        assert_eq!(world.orders(), "-a", "{relation}");
    }
}

#[test]
fn who_follows_when_it_dies_and_restarts() {
    for (relation, follows) in
        [("needs", false), ("binds", true), ("needs-to-start", false), ("wants", false), ("after", false)]
    {
        let mut world = pair(relation);
        world.start("a");
        world.start("b");
        world.settle();
        world.orders();
        world.dies("a");
        assert_eq!(world.orders(), if follows { "-b" } else { "" }, "{relation}");
        world.lives_again("a");
        world.settle();
        assert_eq!(world.phases(), "a up, b up", "{relation}");
        assert_eq!(world.orders(), if follows { "+b" } else { "" }, "{relation}");
    }
}

#[test]
fn a_life_missed_while_the_engine_was_dead_is_noticed_by_its_stamp() {
    let mut world = pair("binds");
    world.start("b");
    world.settle();
    world.orders();
    let at = world.slot("a");
    world.stamp += 2;
    let row = &mut world.reports[at.index()];
    (row.attempt, row.restarts, row.began, row.ready) = (2, 1, world.stamp - 1, world.stamp);
    world.restart_engine();
    world.tell(at);
    assert_eq!(world.orders(), "-b");
    world.settle();
    assert_eq!(world.orders(), "+b");
    assert_eq!(world.phases(), "a up, b up");
}

#[test]
fn binds_to_a_bundle_binds_to_its_members() {
    let mut world = World::new("a:\nb: type = bundle; contains = a\nc: binds = b");
    world.start("c");
    world.settle();
    world.orders();
    world.dies("a");
    assert_eq!(world.orders(), "-c");
    world.lives_again("a");
    world.settle();
    assert_eq!(world.phases(), "a up, b up, c up");
}

#[test]
fn who_stops_and_waits_when_it_fails_for_good() {
    for (relation, stops) in
        [("needs", true), ("binds", true), ("needs-to-start", false), ("wants", false), ("after", false)]
    {
        let mut world = pair(relation);
        world.start("a");
        world.start("b");
        world.settle();
        world.orders();
        world.fails("a");
        assert_eq!(world.orders(), if stops { "-b" } else { "" }, "{relation}");
        world.settle();
        assert_eq!(world.phase("b"), if stops { Phase::Waiting } else { Phase::Up }, "{relation}");
        // Repaired: what waited starts without being asked again.
        world.command(Verb::Reset, &["a"]).expect("reset");
        world.settle();
        assert_eq!(world.phases(), "a up, b up", "{relation}");
    }
}

#[test]
fn a_start_waits_for_a_pending_stop_across_the_edge() {
    let mut world = pair("needs");
    world.start("b");
    world.settle();
    world.orders();
    world.fails("a");
    world.start("a");
    assert_eq!(world.orders(), "-b", "b is still stopping");
    assert_eq!(world.blocker("a"), "dependent b");
    world.obey("b");
    assert_eq!(world.orders(), "+a");
}

#[test]
fn a_stop_pre_empts_a_start_that_hangs() {
    let mut world = pair("needs");
    world.start("b");
    world.obey("a");
    world.orders();
    world.stop("a");
    assert_eq!(world.orders(), "-a");
    assert_eq!(world.phases(), "a stopping, b waiting");
}

#[test]
fn starting_something_lifts_the_marks_on_what_it_needs() {
    let mut world = World::new("a:\nb: needs = a\nc: wants = a");
    world.start("b");
    world.settle();
    world.stop("a");
    world.settle();
    assert_eq!(world.phases(), "a down, b waiting, c down");
    world.start("c");
    world.settle();
    assert_eq!(world.phases(), "a down, b waiting, c up", "wants lifts nothing");
    world.start("b");
    world.settle();
    assert_eq!(world.phases(), "a up, b up, c up");
}

#[test]
fn release_drops_hold_and_mark() {
    let mut world = World::new("a:\nb: needs = a");
    world.start("b");
    world.settle();
    world.stop("a");
    world.settle();
    world.command(Verb::Release, &["a"]).expect("release");
    world.settle();
    assert_eq!(world.phases(), "a up, b up");
    world.command(Verb::Release, &["b"]).expect("release");
    world.settle();
    assert_eq!(world.phases(), "a down, b down", "losing the last hold stops a service");
}

#[test]
fn a_failed_goal_that_rises_again_is_tried_again() {
    let mut world = World::new("a:");
    world.start("a");
    world.obey("a");
    world.fails("a");
    world.stop("a");
    assert_eq!(world.phase("a"), Phase::Failed);
    world.orders();
    world.start("a");
    assert_eq!(world.orders(), "+a");
}

#[test]
fn done_drops_the_admin_hold_and_is_as_failure_to_dependents() {
    let mut world = World::new("a: restart = never\nb: needs = a");
    world.start("a");
    world.start("b");
    world.settle();
    world.orders();
    world.report("a", State::Done);
    assert_eq!(world.orders(), "-b");
    world.settle();
    assert_eq!(world.phases(), "a done, b waiting");
    assert_eq!(world.row("a").holds.0, Hold::Need as u32);
    world.start("a");
    world.settle();
    assert_eq!(world.phases(), "a up, b up");
}

#[test]
fn needing_a_bundle_is_needing_all_of_its_members() {
    let mut world = World::new("a:\nb:\ns: type = bundle; contains = a b\nz: needs = s");
    world.start("z");
    assert_eq!(world.orders(), "+a +b");
    world.obey("a");
    world.report("a", State::Up);
    assert_eq!(world.blocker("z"), "needs s");
    assert_eq!(world.blocker("s"), "needs b");
    world.settle();
    assert_eq!(world.phases(), "a up, b up, s up, z up");
    world.orders();
    world.stop("a");
    assert_eq!(world.orders(), "-z", "what needs the bundle stops before its member");
    world.settle();
    assert_eq!(world.phases(), "a down, b up, s waiting, z waiting");
}

#[test]
fn stopping_a_bundle_marks_the_bundle_only() {
    let mut world = World::new("a:\nb:\ns: type = bundle; contains = a b");
    world.start("s");
    world.start("a");
    world.settle();
    let stop = world.stop("s");
    assert_eq!(world.phase("s"), Phase::Stopping, "its members are going");
    world.settle();
    assert_eq!(world.phases(), "a up, b down, s down");
    assert_eq!(world.results(stop), "b down, s down");
}

#[test]
fn a_restart_in_place_takes_along_what_binds_and_nothing_else() {
    let mut world = World::new("a:\nb: binds = a\nc: needs = a");
    world.start("b");
    world.start("c");
    world.settle();
    world.orders();
    let restart = world.command(Verb::Restart, &["a"]).expect("restart");
    assert_eq!(world.orders(), "-b", "what binds goes first");
    world.obey("b");
    assert_eq!(world.orders(), "~a");
    world.obey("a");
    assert_eq!(world.phases(), "a restarting, b waiting, c up");
    assert!(world.ended.is_empty() || !world.ended.contains(&restart));
    world.settle();
    assert_eq!(world.phases(), "a up, b up, c up");
    assert_eq!(world.results(restart), "b up, a up");
}

#[test]
fn restarting_a_oneshot_acts_on_all_that_need_it() {
    let mut world = World::new("a: type = oneshot\nb: needs = a");
    world.start("b");
    world.settle();
    world.orders();
    world.command(Verb::Restart, &["a"]).expect("restart");
    world.settle();
    assert_eq!(world.orders(), "-b ~a +b");
}

#[test]
fn restarting_a_bundle_restarts_its_members() {
    let mut world = World::new("a:\nb:\ns: type = bundle; contains = a b");
    world.start("s");
    world.settle();
    world.orders();
    let number = world.command(Verb::Restart, &["s"]).expect("restart");
    assert_eq!(world.orders(), "~a ~b");
    assert!(!world.ended.contains(&number));
    world.settle();
    assert_eq!(world.results(number), "b up, a up, s up");
}

#[test]
fn a_restart_of_what_is_down_is_a_start() {
    let mut world = World::new("a:\nb: needs = a\nc@:");
    world.stop("a");
    let number = world.command(Verb::Restart, &["b", "c@x"]).expect("restart");
    assert_eq!(world.orders(), "+a +c@x", "the mark on what it needs is lifted");
    world.settle();
    assert_eq!(world.standing(number), Standing::Done);
    assert_eq!(world.phases(), "a up, b up, c@x up");
    assert!(world.row("b").holds.names().eq(["admin"]));
}

#[test]
fn a_signal_before_the_last_was_sent_is_refused() {
    let mut world = World::new("a:");
    world.start("a");
    world.settle();
    let at = world.slot("a");
    assert_eq!(world.command(Verb::Signal(10), &["a"]), Ok(0));
    assert_eq!(world.command(Verb::Signal(12), &["a"]), Err(Refusal::Signalling(at)));
    world.report("a", State::Up);
    world.restart_engine();
    assert_eq!(world.command(Verb::Signal(12), &["a"]), Err(Refusal::Signalling(at)), "an old report");
    world.reports[at.index()].signalled = world.engine.order(at).signal;
    world.tell(at);
    assert_eq!(world.command(Verb::Signal(12), &["a"]), Ok(0));
}

#[test]
fn a_while_gates_and_stops_in_order() {
    let mut world = World::new("a: while = net\nb: needs = a");
    world.start("b");
    assert_eq!(world.orders(), "");
    assert_eq!(world.blocker("a"), "while");
    world.on("net").expect("on");
    world.settle();
    assert_eq!(world.phases(), "a up, b up");
    world.orders();
    world.off("net").expect("off");
    world.settle();
    assert_eq!(world.orders(), "-b -a");
    assert_eq!(world.phases(), "a waiting, b waiting");
    world.on("net").expect("on");
    world.settle();
    assert_eq!(world.phases(), "a up, b up");
}

#[test]
fn news_of_an_earlier_order_is_dropped() {
    let mut world = World::new("a:");
    world.start("a");
    world.settle();
    let (at, old) = (world.slot("a"), world.reports[world.slot("a").index()]);
    world.stop("a");
    world.start("a");
    world.obey("a");
    world.orders();
    world.engine.step(pintle::time::Instant(world.now), pintle::engine::Input::Report(at, &old)).expect("report");
    assert_ne!(world.phase("a"), Phase::Up);
}

#[test]
fn a_shutdown_takes_everything_down_in_order() {
    let mut world = World::booted("a:\nb: needs = a\nboot: type = bundle; contains = b");
    world.orders();
    assert_eq!(world.engine.boot().state, 2);
    world.step(pintle::engine::Input::Shutdown(pintle::engine::NOBODY)).expect("shutdown");
    assert_eq!(world.orders(), "-b");
    assert!(!world.engine.all_down());
    world.settle();
    assert_eq!(world.orders(), "-a");
    assert!(world.engine.all_down());
    assert_eq!(world.command(Verb::Start, &["a"]), Err(Refusal::ShuttingDown));
    world.restart_engine();
    assert!(world.engine.all_down());
}

#[test]
fn boot_is_reached_though_one_fails_and_good_without_the_essential() {
    let mut world = World::new("a: essential = yes\nb:\nboot: type = bundle; contains = a b");
    world.boot("boot");
    world.obey("b");
    world.fails("b");
    assert_eq!(world.engine.boot().state, 0);
    world.settle();
    assert_eq!(world.engine.boot().state, 2);
    world.fails("a");
    assert_eq!(world.engine.boot().state, 1);
}
