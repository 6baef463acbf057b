//! The design's fine print, line by line, where no other file has it. A test's name is the sentence that it is about.

use super::world::{World, compiles};
use pintle::board::reports::State;
use pintle::engine::{Engine, Input, NOBODY, Refusal, Standing, Target, Verb};
use pintle::graph::{Goal, Hold, Phase};
use pintle::limits::INSTANCES_MAX;
use pintle::time::Instant;

// Restart in place.

#[test]
fn what_restarts_is_up_for_what_runs_and_not_for_what_is_to_start() {
    for relation in ["needs", "binds", "needs-to-start"] {
        let mut world = World::new(&format!("a:\nb: needs = a\nc: {relation} = a"));
        world.start("b");
        world.settle();
        world.dies("a");
        world.start("c");
        assert_eq!(world.phases(), "a restarting, b up, c waiting", "{relation}");
        assert_eq!(world.blocker("c"), "needs a", "{relation}");
        world.lives_again("a");
        assert_eq!(world.phase("c"), Phase::Waiting, "{relation}: a second life that is not ready");
        world.settle();
        assert_eq!(world.phases(), "a up, b up, c up", "{relation}");
    }
}

#[test]
fn a_restart_leaves_holds_alone() {
    let mut world = World::booted("a:\nboot: type = bundle; contains = a");
    let holds = world.row("a").holds;
    world.command(Verb::Restart, &["a"]).expect("restart");
    world.settle();
    assert_eq!(world.row("a").holds, holds);
}

#[test]
fn a_restart_ends_well_only_when_up_again() {
    let mut world = World::new("a:");
    world.start("a");
    world.settle();
    let number = world.command(Verb::Restart, &["a"]).expect("restart");
    world.obey("a");
    assert_eq!(world.standing(number), Standing::Running, "begun is not up");
    world.fails("a");
    assert_eq!(world.standing(number), Standing::Failed);
}

// Goals.

#[test]
fn a_goal_that_is_up_pulls_though_it_waits() {
    let mut world = World::new("a:\nb: needs = a; while = net");
    world.start("b");
    world.settle();
    assert_eq!(world.phases(), "a up, b waiting");
    world.on("net").expect("on");
    world.settle();
    world.off("net").expect("off");
    world.settle();
    assert_eq!(world.phases(), "a up, b waiting");
}

#[test]
fn a_goal_that_is_up_pulls_though_it_failed() {
    let mut world = World::new("a:\nb: needs = a\nc: needs = b");
    world.start("c");
    world.obey("a");
    world.report("a", State::Up);
    world.obey("b");
    world.fails("b");
    world.settle();
    assert_eq!(world.phases(), "a up, b failed, c waiting");
    assert_eq!((world.goal("a"), world.goal("b")), (Goal::Up, Goal::Up));
}

#[test]
fn a_goal_that_is_down_pulls_nothing() {
    let mut world = World::new("a:\nb: needs = a\nc: needs = b");
    world.start("c");
    world.settle();
    world.stop("b");
    world.settle();
    assert_eq!(world.phases(), "a down, b down, c waiting", "c pulls b, whose goal is down: nothing pulls a");
    assert_eq!((world.goal("a"), world.goal("b"), world.goal("c")), (Goal::Down, Goal::Down, Goal::Up));
}

// Start, stop, release.

#[test]
fn a_start_lifts_marks_and_failures_on_hard_dependencies_to_any_depth() {
    for relation in ["needs", "binds", "needs-to-start"] {
        let mut world = World::new(&format!("a:\nb: {relation} = a\nc: {relation} = b\nd:\ne: wants = d; after = a"));
        world.start("a");
        world.obey("a");
        world.fails("a");
        world.stop("b");
        world.start("c");
        world.settle();
        assert_eq!(world.phases(), "a up, b up, c up, d down, e down", "{relation}");
        world.stop("d");
        world.start("e");
        world.settle();
        assert_eq!(world.phase("d"), Phase::Down, "{relation}: what is only wanted stays marked");
    }
}

#[test]
fn a_start_of_a_bundle_lifts_the_marks_of_its_members() {
    let mut world = World::new("a:\nb: type = bundle; contains = a");
    world.stop("a");
    world.start("b");
    world.settle();
    assert_eq!(world.phases(), "a up, b up");
}

#[test]
fn a_hold_by_need_never_lifts_a_mark() {
    let mut world = World::new("a:\nb: needs = a; start-on = go\nc: needs = b; start-on = go");
    world.stop("a");
    world.emit("go").expect("event");
    world.settle();
    assert_eq!(world.phases(), "a down, b waiting, c waiting");
    assert_eq!(world.blocker("b"), "needs a");
    assert_eq!(world.blocker("a"), "marked");
}

#[test]
fn the_newest_command_of_a_person_wins() {
    let mut world = World::booted("a:\nboot: type = bundle; contains = a");
    for (verb, phases) in [
        (Verb::Stop, "a down, boot waiting"),
        (Verb::Start, "a up, boot up"),
        (Verb::Stop, "a down, boot waiting"),
        (Verb::Release, "a up, boot up"),
        (Verb::Start, "a up, boot up"),
        (Verb::Release, "a up, boot up"),
    ] {
        world.command(verb, &["a"]).expect("a command");
        world.settle();
        assert_eq!(world.phases(), phases, "{verb:?}");
        world.restart_engine();
    }
    assert!(world.row("a").holds.names().eq(["need"]));
}

#[test]
fn losing_the_last_hold_stops_and_no_sooner() {
    let mut world = World::new("a: start-on = go; stop-on = halt\nb: needs = a");
    world.emit("go").expect("event");
    world.start("a");
    world.start("b");
    world.settle();
    world.emit("halt").expect("event");
    world.settle();
    assert_eq!(world.phases(), "a up, b up");
    world.command(Verb::Release, &["a"]).expect("release");
    world.settle();
    assert_eq!(world.phases(), "a up, b up", "b still needs it");
    world.orders();
    world.command(Verb::Release, &["b"]).expect("release");
    world.settle();
    assert_eq!(world.orders(), "-b -a");
}

// Cycles.

#[test]
fn a_cycle_in_any_order_relation_is_refused() {
    let kinds = ["needs", "binds", "needs-to-start", "wants", "after", "before"];
    for one in kinds {
        for other in kinds {
            let turned = (one == "before") != (other == "before");
            let text = format!("a: {one} = b\nb: {other} = a");
            assert_eq!(compiles(&text), turned, "{text}");
        }
        let bundle = format!("a: {one} = b\nb: type = bundle; contains = a");
        assert_eq!(compiles(&bundle), one == "before", "{bundle}");
        for expression in ["up(b)", "failed(b)", "not up(b)", "net and not failed(b)"] {
            let text = format!("a: while = {expression}\nb: {one} = a");
            assert_eq!(compiles(&text), one == "before", "{text}");
        }
    }
    assert!(compiles("a: start-on = up(b)\nb: needs = a"), "a trigger orders nothing");
    assert!(!compiles("a: needs = a"));
}

// Done, failed, skipped.

#[test]
fn needing_what_does_not_remain_is_refused() {
    for relation in ["needs", "binds", "needs-to-start"] {
        assert!(!compiles(&format!("a: type = oneshot; remain = no\nb: {relation} = a")), "{relation}");
    }
    assert!(compiles("a: type = oneshot; remain = no\nb: wants = a; after = a"));
}

#[test]
fn what_is_done_starts_again_only_by_start_reset_or_a_new_trigger() {
    let world = |text: &str| {
        let mut world = World::new(text);
        world.start("b");
        world.emit("go").expect("event");
        world.settle();
        world.report("a", State::Done);
        world.settle();
        assert_eq!((world.phase("a"), world.phase("b")), (Phase::Done, Phase::Waiting));
        world
    };
    let text = "a: restart = on-failure; start-on = go\nb: needs = a";
    let mut again = world(text);
    assert_eq!(again.row("a").holds.0, Hold::Need as u32, "the trigger's hold is dropped");
    again.stop("b");
    again.command(Verb::Release, &["b"]).expect("release");
    again.settle();
    assert_eq!(again.phase("a"), Phase::Done);
    let mut rises = world("a: restart = on-failure; start-on = go\nb: needs = a\nc: needs = a");
    rises.command(Verb::Release, &["b"]).expect("release");
    rises.settle();
    assert_eq!(rises.goal("a"), Goal::Down);
    rises.step(Input::Boot(rises.slot("c"))).expect("boot");
    rises.settle();
    assert_eq!(rises.phases(), "a done, b down, c waiting", "a goal that rises again does not leave done");
    for how in ["start", "reset", "trigger"] {
        let mut world = world(text);
        match how {
            "start" => drop(world.start("a")),
            "reset" => drop(world.command(Verb::Reset, &["a"]).expect("reset")),
            _ => drop(world.emit("go").expect("event")),
        }
        world.settle();
        assert_eq!(world.phases(), "a up, b up", "{how}");
    }
}

#[test]
fn what_failed_is_left_by_start_reset_a_new_trigger_or_a_goal_that_rises_again() {
    for how in ["start", "reset", "trigger", "rise"] {
        let mut world = World::new("a: start-on = go\nb: needs = a\nc: wants = a");
        world.step(Input::Boot(world.slot("b"))).expect("boot");
        world.obey("a");
        world.fails("a");
        world.settle();
        assert_eq!(world.phases(), "a failed, b waiting, c down", "{how}");
        world.start("c");
        world.settle();
        assert_eq!(world.phases(), "a failed, b waiting, c up", "one more who pulls is no rise");
        match how {
            "start" => drop(world.start("a")),
            "reset" => drop(world.command(Verb::Reset, &["a"]).expect("reset")),
            "trigger" => drop(world.emit("go").expect("event")),
            _ => {
                world.stop("b");
                world.stop("c");
                world.settle();
                assert_eq!(world.phase("a"), Phase::Failed, "a goal that falls does not hide it");
                world.command(Verb::Release, &["b"]).expect("release");
            }
        }
        world.settle();
        assert_eq!((world.phase("a"), world.phase("b")), (Phase::Up, Phase::Up), "{how}");
    }
}

// Conflicts.

#[test]
fn the_mark_of_a_conflict_names_the_other_and_goes_with_its_goal() {
    let mut world = World::booted("a: conflicts = b\nb:\nboot: type = bundle; contains = a");
    world.start("b");
    world.settle();
    assert_eq!(world.phases(), "a down, b up, boot waiting");
    assert_eq!(world.blocker("a"), "conflict b");
    world.restart_engine();
    world.command(Verb::Release, &["b"]).expect("release");
    world.settle();
    assert_eq!(world.phases(), "a up, b down, boot up");
}

#[test]
fn a_person_who_starts_the_other_turns_the_mark_round() {
    let mut world = World::new("a: conflicts = b\nb:");
    world.start("a");
    world.start("b");
    world.settle();
    world.start("a");
    world.settle();
    assert_eq!(world.phases(), "a up, b down");
    assert_eq!(world.blocker("b"), "conflict a");
}

#[test]
fn an_event_displaces_what_is_not_there_for_a_person() {
    for held in ["boot", "trigger"] {
        let mut world = World::new(
            "a: conflicts = b; start-on = one\nb: start-on = go; stop-on = halt\nboot: type = bundle; contains = a",
        );
        match held {
            "boot" => world.boot("boot"),
            _ => drop(world.emit("one").expect("event")),
        }
        world.settle();
        world.orders();
        world.emit("go").expect("event");
        assert_eq!(world.orders(), "-a", "{held}");
        world.settle();
        assert_eq!((world.phase("a"), world.phase("b")), (Phase::Down, Phase::Up), "{held}");
        world.restart_engine();
        world.emit("halt").expect("event");
        world.settle();
        assert_eq!((world.phase("a"), world.phase("b")), (Phase::Up, Phase::Down), "{held}");
    }
}

#[test]
fn what_is_not_a_command_never_displaces_what_is_there_for_a_person_and_waits() {
    let mut world =
        World::new("a: conflicts = b\nb: start-on = go\nm: needs = a\nz: wants = m\nx: wants = b; start-on = on");
    world.start("z");
    world.settle();
    world.emit("go").expect("event");
    world.emit("on").expect("event");
    world.settle();
    assert_eq!(world.phases(), "a up, b down, m up, x up, z up", "z, which a person started, pulls a");
    assert_eq!(world.blocker("b"), "conflict a");
    world.restart_engine();
    world.command(Verb::Release, &["z"]).expect("release");
    world.settle();
    assert_eq!(world.phases(), "a down, b up, m down, x up, z down", "it waited");
}

#[test]
fn what_would_displace_what_pulls_it_stays_down() {
    let mut world = World::new("a:\nm: wants = a\nx: wants = m; conflicts = a; start-on = go");
    world.emit("go").expect("event");
    world.settle();
    assert_eq!(world.phases(), "a down, m up, x up");
    world.stop("m");
    world.settle();
    world.command(Verb::Release, &["m"]).expect("release");
    world.settle();
    assert_eq!(world.phases(), "a down, m up, x up");
    assert_eq!(world.blocker("a"), "conflict x");
}

#[test]
fn needing_what_conflicts_is_refused() {
    for relation in ["needs", "binds", "needs-to-start"] {
        assert!(!compiles(&format!("a: conflicts = b\nb: {relation} = a")), "{relation}");
        assert!(
            !compiles(&format!("a: conflicts = b\nc: {relation} = a\nb: {relation} = c")),
            "{relation}: by way of c"
        );
    }
    assert!(compiles("a: conflicts = b\nb: after = a"));
}

// Bundles.

#[test]
fn a_bundle_restarts_with_a_member_and_is_up_only_with_all() {
    let mut world = World::booted("a:\nb:\nboot: type = bundle; contains = a b");
    world.dies("a");
    assert_eq!(world.phase("boot"), Phase::Restarting);
    world.lives_again("a");
    world.settle();
    assert_eq!(world.phase("boot"), Phase::Up);
    world.fails("b");
    assert_eq!(world.phases(), "a up, b failed, boot waiting");
}

#[test]
fn what_needs_a_bundle_stops_before_its_members_and_bundles_nest() {
    let mut world = World::new("a:\ni: type = bundle; contains = a\no: type = bundle; contains = i\nz: needs = o");
    world.start("z");
    world.settle();
    assert_eq!(world.phases(), "a up, i up, o up, z up");
    world.orders();
    world.command(Verb::Release, &["z"]).expect("release");
    world.settle();
    assert_eq!(world.orders(), "-z -a");
    assert_eq!(world.phases(), "a down, i down, o down, z down");
}

// Oneshots.

#[test]
fn a_oneshot_whose_goal_falls_is_ordered_down_at_once() {
    let mut world = World::new("a: type = oneshot\nb: needs = a");
    world.start("b");
    world.obey("a");
    world.orders();
    world.command(Verb::Release, &["b"]).expect("release");
    assert_eq!(world.orders(), "-a");
}

#[test]
fn a_stop_that_is_ordered_finishes_then_the_start_comes_anew() {
    for kind in ["oneshot", "longrun"] {
        let mut world = World::new(&format!("a: type = {kind}"));
        world.start("a");
        world.settle();
        world.orders();
        world.stop("a");
        let at = world.slot("a");
        world.reports[at.index()].order = world.unseen.remove(&at.0).expect("ordered").number;
        world.report("a", State::Stopping);
        world.start("a");
        assert_eq!(world.orders(), "-a", "{kind}: not before it is down");
        assert_eq!(world.phase("a"), Phase::Stopping, "{kind}");
        world.report("a", State::Down);
        assert_eq!(world.orders(), "+a", "{kind}");
    }
}

// Instances.

#[test]
fn an_instance_is_freed_only_when_nothing_is_left_of_it() {
    let mut world = World::new("d@: for-each = net IFACE=*; instance = ${IFACE}; pass = IFACE");
    world.on("net IFACE=eth0").expect("on");
    world.settle();
    world.stop("d@eth0");
    world.settle();
    world.off("net IFACE=eth0").expect("off");
    world.settle();
    assert_eq!(world.phases(), "d@eth0 down", "a person's mark keeps it");
    world.command(Verb::Release, &["d@eth0"]).expect("release");
    world.settle();
    assert_eq!(world.phases(), "");
    let template = world.slot("d@");
    assert_eq!(world.command(Verb::Stop, &["d@eth0"]), Err(Refusal::NoSuchInstance(template)));
}

#[test]
fn an_instance_lives_as_long_as_one_condition_makes_it() {
    let mut world = World::new("d@: for-each = net IFACE=*; instance = ${IFACE}");
    world.on("net IFACE=eth0 V=4").expect("on");
    world.on("net IFACE=eth0 V=6").expect("on");
    world.settle();
    assert_eq!(world.phases(), "d@eth0 up");
    world.off("net IFACE=eth0 V=4").expect("off");
    world.settle();
    assert_eq!(world.phases(), "d@eth0 up");
    world.restart_engine();
    world.off("net IFACE=eth0 V=6").expect("off");
    world.settle();
    assert_eq!(world.phases(), "");
}

#[test]
fn slots_of_instances_are_used_again_and_never_run_out_by_coming_and_going() {
    let mut world = World::new("d@: for-each = net IFACE=*; instance = ${IFACE}");
    for at in 0..INSTANCES_MAX * 2 {
        world.on(&format!("net IFACE=i{at}")).expect("on");
        world.settle();
        assert_eq!(world.phases(), format!("d@i{at} up"));
        world.off(&format!("net IFACE=i{at}")).expect("off");
        world.settle();
        assert_eq!(world.phases(), "");
    }
}

// Missed lives.

#[test]
fn several_missed_lives_are_told_as_one_end_and_one_beginning_with_count() {
    for (event, lives, hears) in [
        ("stopped SERVICE=a", 1, true),
        ("stopped SERVICE=a COUNT=*", 1, false),
        ("stopped SERVICE=a COUNT=3", 3, true),
        ("started SERVICE=a COUNT=3", 3, true),
        ("stopped SERVICE=a COUNT=255", 1000, true),
    ] {
        let mut world = World::new(&format!("a:\nb: start-on = {event}"));
        world.start("a");
        world.settle();
        let at = world.slot("a");
        world.stamp += 2;
        let row = &mut world.reports[at.index()];
        row.life.0 += lives;
        (row.attempt, row.restarts, row.began, row.ready) = (lives + 1, lives, world.stamp - 1, world.stamp);
        world.restart_engine();
        world.tell(at);
        world.settle();
        assert_eq!(world.phase("b") == Phase::Up, hears, "{event}");
    }
    let mut world = World::new("a:\nb: start-on = stopped SERVICE=a COUNT=3");
    world.start("a");
    world.settle();
    let at = world.slot("a");
    world.reports[at.index()].life.0 += 2;
    world.dies("a");
    world.settle();
    assert_eq!(world.phase("b"), Phase::Up, "the one that was seen and two that were not");
}

#[test]
fn a_oneshot_that_is_up_has_no_process_to_signal() {
    let mut world = World::new("a: type = oneshot");
    world.start("a");
    world.obey("a");
    assert_eq!(world.command(Verb::Signal(1), &["a"]), Ok(0), "its command runs");
    world.settle();
    assert_eq!(world.command(Verb::Signal(1), &["a"]), Err(Refusal::NotUp(world.slot("a"))));
}

#[test]
fn what_ends_well_while_its_restart_waits_is_started_again() {
    let mut world = World::new("a: restart = on-failure\nd: binds = a");
    world.start("a");
    world.start("d");
    world.settle();
    let number = world.command(Verb::Restart, &["a"]).expect("restart");
    world.report("a", State::Done);
    world.settle();
    assert_eq!(world.phases(), "a up, d up");
    assert_eq!(world.standing(number), Standing::Done);
}

#[test]
fn a_choice_of_nothing_has_nothing_to_leave_unneeded() {
    let mut world = World::new("a:\nb:\nx:\nd: needs = a|b x");
    world.start("d");
    world.settle();
    world.command(Verb::Stop, &["a", "b"]).expect("stop");
    world.settle();
    let at = world.slot("d");
    let now = Instant(world.now + 1);
    world
        .engine
        .clone()
        .step_and_die(now, Input::Command { verb: Verb::Stop, targets: &[Target::Slot(at)], uid: NOBODY });
    world.engine = Engine::open(world.image, world.geometry, world.capacities, world.memory).expect("its own memory");
    assert_eq!((world.goal("d"), world.phase("x")), (Goal::Up, Phase::Up), "the step is undone, whole");
    world.stop("d");
    world.settle();
    assert_eq!(world.phases(), "a down, a|b down, b down, d down, x down");
}
