//! Conditions, events, triggers: what fires when.

use super::world::World;
use pintle::board::reports::State;
use pintle::engine::{Input, Refusal, Sender};
use pintle::graph::{Goal, Phase};

#[test]
fn an_event_lays_the_trigger_hold_and_another_takes_it() {
    let mut world = World::new("a: start-on = go; stop-on = halt");
    world.emit("other").expect("event");
    assert_eq!(world.goal("a"), Goal::Down);
    world.emit("go").expect("event");
    world.settle();
    assert_eq!(world.phase("a"), Phase::Up);
    world.emit("halt").expect("event");
    world.settle();
    assert_eq!(world.phase("a"), Phase::Down);
}

#[test]
fn attributes_match_by_glob() {
    let mut world = World::new("a: start-on = net-up IFACE=eth* SPEED!=10");
    for (fact, goal) in [
        ("net-up", Goal::Down),
        ("net-up IFACE=wlan0", Goal::Down),
        ("net-up IFACE=eth0 SPEED=10", Goal::Down),
        ("net-up IFACE=eth0", Goal::Up),
    ] {
        world.emit(fact).expect("event");
        assert_eq!(world.goal("a"), goal, "{fact}");
    }
}

#[test]
fn values_without_a_key_match_by_their_place() {
    let mut world = World::new("a: start-on = runlevel [2-5] N PREVLEVEL!=S\nb: while = net eth* ''");
    for (fact, goal) in [
        ("runlevel", Goal::Down),
        ("runlevel RUNLEVEL=2", Goal::Down),
        ("runlevel PREVLEVEL=N RUNLEVEL=2", Goal::Down),
        ("runlevel RUNLEVEL=6 PREVLEVEL=N", Goal::Down),
        ("runlevel A=2 B=N PREVLEVEL=S", Goal::Down),
        ("runlevel RUNLEVEL=2 PREVLEVEL=N", Goal::Up),
    ] {
        world.emit(fact).expect("event");
        assert_eq!(world.goal("a"), goal, "{fact}");
    }
    world.start("b");
    world.on("net IFACE=eth0 MODE=").expect("on");
    world.settle();
    assert_eq!(world.phase("b"), Phase::Up);
    // The same condition, whatever the order; it keeps the one in which it came on.
    world.on("net MODE= IFACE=eth0").expect("on");
    assert_eq!(world.phase("b"), Phase::Up);
    world.restart_engine();
    world.off("net MODE= IFACE=eth0").expect("off");
    world.settle();
    assert_eq!(world.phase("b"), Phase::Waiting);
    world.on("net MODE= IFACE=eth0").expect("on");
    assert_eq!(world.phase("b"), Phase::Waiting, "the first value is the empty one");
}

#[test]
fn derived_events_are_matched_by_place_and_carry_what_was_passed() {
    let mut world = World::new(
        "rc: start-on = runlevel; stop-on = end; pass = RUNLEVEL\n\
         a: start-on = starting rc RUNLEVEL=[2345] and (net-device-up IFACE!=lo or local-filesystems)\n\
         b: start-on = started rc 2\nc: start-on = stopped rc failed",
    );
    world.on("local-filesystems").expect("on");
    world.emit("runlevel RUNLEVEL=1").expect("event");
    world.settle();
    assert_eq!(world.phases(), "a down, b down, c down, rc up");
    world.emit("end").expect("event");
    world.settle();
    world.emit("runlevel RUNLEVEL=2").expect("event");
    world.settle();
    assert_eq!(world.phases(), "a up, b up, c down, rc up");
    world.fails("rc");
    world.settle();
    assert_eq!(world.phases(), "a up, b up, c up, rc failed");
}

#[test]
fn an_expression_is_true_through_a_leaf_under_not() {
    let mut world =
        World::new("a: start-on = not (x or y); stop-on = halt\nb: start-on = not (x and y); stop-on = halt");
    for fact in ["x", "y"] {
        world.on(fact).expect("on");
    }
    world.off("x").expect("off");
    assert_eq!((world.goal("a"), world.goal("b")), (Goal::Down, Goal::Up), "y is still on");
    world.emit("halt").expect("event");
    world.off("y").expect("off");
    assert_eq!((world.goal("a"), world.goal("b")), (Goal::Up, Goal::Up));
}

#[test]
fn the_first_of_a_long_chain_counts_as_much_as_the_last() {
    let chain = |count| (0..count).map(|at| format!("f{at}")).collect::<Vec<_>>().join(" or ");
    let mut world = World::new(&format!("a: start-on = boot; while = {}", chain(120)));
    for fact in ["f0", "f60", "f119"] {
        world.emit("boot").expect("event");
        world.on(fact).expect("on");
        world.settle();
        assert_eq!(world.phase("a"), Phase::Up, "{fact}");
        world.off(fact).expect("off");
        world.settle();
        assert_eq!(world.phase("a"), Phase::Waiting, "{fact}");
    }
}

#[test]
fn a_latch_waits_for_the_other_half_and_is_used_up() {
    let mut world = World::new("a: start-on = x and y; stop-on = halt");
    world.emit("x").expect("event");
    world.restart_engine();
    assert_eq!(world.goal("a"), Goal::Down);
    world.emit("y").expect("event");
    assert_eq!(world.goal("a"), Goal::Up);
    world.emit("halt").expect("event");
    world.emit("y").expect("event");
    assert_eq!(world.goal("a"), Goal::Down, "the latch of x was used up");
}

#[test]
fn a_latch_counts_within_its_time_and_no_longer() {
    const SECOND: u64 = 1_000_000_000;
    let mut world = World::new("a: start-on = x and y; stop-on = p and q; within = 30s\nb: start-on = x and not y");
    world.emit("x").expect("event");
    world.now += 30 * SECOND;
    world.restart_engine();
    world.emit("y").expect("event");
    assert_eq!(world.goal("a"), Goal::Down, "30 s and a step ago");
    world.now += 29 * SECOND;
    world.emit("x").expect("event");
    assert_eq!(world.goal("a"), Goal::Up, "y was 29 s ago");
    world.settle();
    world.emit("p").expect("event");
    world.now += 25 * SECOND;
    world.emit("p").expect("event");
    world.now += 25 * SECOND;
    world.restart_engine();
    world.emit("q").expect("event");
    assert_eq!(world.goal("a"), Goal::Down, "the newest counts");
    assert_eq!(world.engine.next_deadline(), pintle::time::Instant::NEVER, "no time is waited for");
}

#[test]
fn an_instance_with_nothing_but_an_old_latch_makes_room() {
    let mut world = World::new("m@: start-on = disk and fsck; instance = ${DEV}; within = 1s");
    let room = world.geometry.instances;
    for number in 0..room {
        world.emit(&format!("disk DEV=d{number}")).expect("there is room");
    }
    assert_eq!(world.emit("disk DEV=more"), Err(Refusal::InstancesFull));
    world.now += 1_000_000_000;
    world.emit("disk DEV=more").expect("there is room again");
    world.emit("fsck DEV=d0").expect("event");
    world.emit("disk DEV=d0").expect("event");
    assert_eq!(world.goal("m@d0"), Goal::Up);
    world.emit("fsck DEV=more").expect("event");
    assert_eq!(world.goal("m@more"), Goal::Up);
}

#[test]
fn a_condition_is_never_used_up_and_repeating_it_touches_nothing() {
    let mut world = World::new("a: start-on = net and go; stop-on = halt");
    world.emit("go").expect("event");
    world.on("net").expect("on");
    assert_eq!(world.goal("a"), Goal::Up);
    world.emit("halt").expect("event");
    world.on("net").expect("on");
    assert_eq!(world.goal("a"), Goal::Down);
    world.emit("go").expect("event");
    assert_eq!(world.goal("a"), Goal::Up);
}

#[test]
fn an_expression_fires_only_through_what_was_touched() {
    let mut world = World::new("a: start-on = x and not calm; stop-on = halt");
    world.on("calm").expect("on");
    world.emit("x").expect("event");
    assert_eq!(world.goal("a"), Goal::Down);
    world.off("calm").expect("off");
    assert_eq!(world.goal("a"), Goal::Up, "going off makes `not calm` true, and x is latched");
    // `b` is true through d alone: c going off does not fire it.
    let mut world = World::new("b: start-on = c or d; stop-on = halt");
    world.on("c").expect("on");
    world.on("d").expect("on");
    world.emit("halt").expect("event");
    world.off("c").expect("off");
    assert_eq!(world.goal("b"), Goal::Down);
}

#[test]
fn a_hold_dropped_and_laid_by_the_same_event_causes_no_transition() {
    let mut world = World::new("a: start-on = go; stop-on = go");
    world.emit("go").expect("event");
    world.settle();
    world.orders();
    world.emit("go").expect("event");
    assert_eq!(world.orders(), "");
    assert_eq!(world.phase("a"), Phase::Up);
}

#[test]
fn a_trigger_while_it_may_not_be_up_is_not_lost() {
    let mut world = World::new("a: start-on = go; while = net");
    world.emit("go").expect("event");
    assert_eq!(world.phase("a"), Phase::Waiting);
    world.on("net").expect("on");
    world.settle();
    assert_eq!(world.phase("a"), Phase::Up);
}

#[test]
fn events_never_lift_a_mark() {
    let mut world = World::new("a: start-on = go");
    world.stop("a");
    world.emit("go").expect("event");
    assert_eq!(world.phases(), "a down");
    assert_eq!(world.blocker("a"), "marked");
}

#[test]
fn a_oneshot_that_does_not_remain_runs_once_per_event() {
    let mut world = World::new("a: type = oneshot; remain = no; start-on = go");
    for _ in 0..2 {
        let number = world.emit("go").expect("event");
        world.settle();
        assert_eq!(world.orders(), "+a");
        assert_eq!(world.phase("a"), Phase::Done);
        assert_eq!(world.results(number), "a done");
    }
}

#[test]
fn derived_events_set_others_in_motion() {
    let mut world = World::new(
        "a:\nb: start-on = started SERVICE=a; stop-on = stopping SERVICE=a\nc: start-on = failed SERVICE=a EXIT_STATUS=1",
    );
    world.start("a");
    world.settle();
    assert_eq!(world.phases(), "a up, b up, c down");
    world.fails("a");
    world.settle();
    assert_eq!(world.phases(), "a failed, b up, c up");
    world.start("a");
    world.settle();
    world.stop("a");
    world.settle();
    assert_eq!(world.phases(), "a down, b down, c up");
}

#[test]
fn up_and_failed_are_conditions_that_the_engine_keeps() {
    let mut world = World::new("a:\nb: while = up(a)\nc: start-on = failed(a)\nd: while = not up(a)");
    world.start("b");
    world.start("d");
    world.settle();
    assert_eq!(world.phases(), "a down, b waiting, c down, d up");
    world.start("a");
    world.settle();
    assert_eq!(world.phases(), "a up, b up, c down, d waiting");
    world.dies("a");
    world.settle();
    assert_eq!(world.phases(), "a restarting, b up, c down, d waiting", "restarting breaks nothing, starts nothing");
    world.fails("a");
    world.settle();
    assert_eq!(world.phases(), "a failed, b waiting, c up, d up");
}

#[test]
fn a_lease_holds_for_as_long_as_its_sender() {
    let mut world = World::new("a: while = net");
    world.start("a");
    for lease in [7, 8] {
        world.step(Input::On { fact: b"net", sender: Sender::default(), lease }).expect("on");
    }
    world.settle();
    assert_eq!(world.engine.leases().map(|(lease, _)| lease).collect::<Vec<_>>(), [7, 8]);
    world.step(Input::LeaseGone(7)).expect("lease");
    world.settle();
    assert_eq!(world.phase("a"), Phase::Up, "another still holds it");
    world.restart_engine();
    assert_eq!(world.engine.leases().map(|(lease, _)| lease).collect::<Vec<_>>(), [8]);
    world.step(Input::LeaseGone(8)).expect("lease");
    world.settle();
    assert_eq!(world.phase("a"), Phase::Waiting);
}

#[test]
fn conditions_beyond_capacity_are_refused_and_change_nothing() {
    let mut world = World::new("a: while = c8");
    for number in 0..8 {
        world.on(&format!("c{number}")).expect("there is room for eight");
    }
    assert_eq!(world.on("c8"), Err(Refusal::ConditionsFull));
    world.off("c3").expect("off");
    world.on("c8").expect("on");
}

#[test]
fn a_loop_of_triggers_between_bundles_does_not_spin() {
    let mut world = World::new(
        "a: type = bundle; start-on = stopped SERVICE=b; stop-on = started SERVICE=a\nb: type = bundle; start-on = started SERVICE=a; stop-on = started SERVICE=b",
    );
    world.emit("stopped SERVICE=b").expect("event");
    let mut moves = Vec::new();
    for _ in 0..6 {
        let due = world.engine.next_deadline();
        assert!(due < pintle::time::Instant::NEVER, "it goes round, a second each time");
        world.engine.step(due, Input::Tick).expect("tick");
        moves.push(world.phases());
    }
    let turns = moves.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns >= 3, "{moves:?}");
}

#[test]
fn the_machines_own_events() {
    let mut world = World::booted("a: start-on = boot\nb: start-on = boot; stop-on = shutdown\nboot: type = bundle");
    assert_eq!(world.phases(), "a up, b up, boot up");
    world.report("a", State::Up);
}
