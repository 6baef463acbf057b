//! `overlap`: what a trigger does that fires while a oneshot with `remain = no` runs. `graph/mod.rs` says it.

use super::world::World;
use pintle::board::reports::State;
use pintle::engine::{Input, NOBODY, Standing, Verb};
use pintle::graph::{Goal, Phase};

fn world(overlap: &str) -> World {
    World::new(&format!(
        "a: type = oneshot; remain = no; start-on = go; stop-on = halt; while = not off; pass = N{overlap}\nb:"
    ))
}

/// The attributes that the next spawn of `a` takes.
fn pass(world: &World) -> String {
    let pass = world.pass("a");
    let end = pass.iter().position(|byte| *byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&pass[..end]).into_owned()
}

fn run(world: &mut World, outcome: State) {
    world.obey("a");
    world.report("a", outcome);
}

#[test]
fn a_queued_run_follows_the_one_under_way_and_is_one_however_many_fired() {
    for overlap in ["", "; overlap = queue"] {
        let mut world = world(overlap);
        world.emit("go N=1").expect("taken");
        for n in 2..5 {
            world.emit(&format!("go N={n}")).expect("taken");
        }
        world.obey("a");
        world.emit("go N=5").expect("taken");
        assert_eq!((world.orders(), pass(&world)), ("+a".to_string(), "N=1".to_string()));
        world.report("a", State::Done);
        assert_eq!((world.orders(), pass(&world)), ("+a".to_string(), "N=5".to_string()));
        run(&mut world, State::Done);
        assert_eq!((world.orders().as_str(), world.phase("a"), world.goal("a")), ("", Phase::Done, Goal::Down));
    }
}

#[test]
fn what_fires_before_the_run_has_begun_is_that_run_with_the_newest_attributes() {
    let mut world = world("");
    world.on("off").expect("taken");
    world.emit("go N=1").expect("taken");
    world.emit("go N=2").expect("taken");
    assert_eq!(world.orders(), "");
    world.off("off").expect("taken");
    assert_eq!((world.orders(), pass(&world)), ("+a".to_string(), "N=2".to_string()));
    run(&mut world, State::Done);
    assert_eq!((world.orders().as_str(), world.phase("a")), ("", Phase::Done));
}

#[test]
fn a_queued_run_follows_a_failed_one_too() {
    let mut world = world("");
    world.emit("go N=1").expect("taken");
    world.obey("a");
    world.emit("go N=2").expect("taken");
    world.fails("a");
    assert_eq!((world.orders(), world.phase("a")), ("+a +a".to_string(), Phase::Starting));
}

#[test]
fn a_queued_run_survives_the_engine_also_between_order_and_report() {
    let mut world = world("");
    world.emit("go N=1").expect("taken");
    world.restart_engine();
    world.emit("go N=2").expect("taken");
    world.restart_engine();
    world.obey("a");
    world.restart_engine();
    world.report("a", State::Done);
    world.restart_engine();
    assert_eq!((world.orders(), pass(&world)), ("+a +a".to_string(), "N=2".to_string()));
    // The report of the run before, read again, is old news.
    world.tell(world.slot("a"));
    run(&mut world, State::Done);
    world.restart_engine();
    world.step(Input::Tick).expect("a tick");
    assert_eq!((world.orders().as_str(), world.phase("a")), ("", Phase::Done));
}

#[test]
fn stop_and_stop_on_drop_what_is_queued() {
    for stop in ["stop", "stop-on"] {
        let mut world = world("");
        world.emit("go N=1").expect("taken");
        world.obey("a");
        world.emit("go N=2").expect("taken");
        if stop == "stop" {
            world.stop("a");
            world.obey("a");
            // The run that was ended is still what the event asked for; the one that was queued is not.
            world.command(Verb::Release, &["a"]).expect("taken");
            assert_eq!(world.orders(), "+a -a +a");
        } else {
            world.emit("halt").expect("taken");
            world.obey("a");
            world.emit("go N=3").expect("taken");
            assert_eq!(world.orders(), "+a -a +a");
        }
        run(&mut world, State::Done);
        assert_eq!((world.orders().as_str(), world.phase("a")), ("", Phase::Done), "{stop}");
    }
}

#[test]
fn a_run_that_its_while_ended_comes_again_and_then_the_queued_one() {
    let mut world = world("");
    world.emit("go N=1").expect("taken");
    world.obey("a");
    world.emit("go N=2").expect("taken");
    world.on("off").expect("taken");
    world.obey("a");
    world.off("off").expect("taken");
    assert_eq!((world.orders(), pass(&world)), ("+a -a +a".to_string(), "N=1".to_string()));
    run(&mut world, State::Done);
    assert_eq!((world.orders(), pass(&world)), ("+a".to_string(), "N=2".to_string()));
}

#[test]
fn skip_does_nothing_and_restart_ends_the_run_and_begins_another() {
    let mut skipping = world("; overlap = skip");
    skipping.emit("go N=1").expect("taken");
    skipping.obey("a");
    assert_eq!(skipping.emit("go N=2"), Ok(0), "there is nothing to wait for");
    assert_eq!((skipping.orders(), pass(&skipping)), ("+a".to_string(), "N=1".to_string()));
    skipping.report("a", State::Done);
    assert_eq!((skipping.orders().as_str(), skipping.phase("a")), ("", Phase::Done));

    let mut restarting = world("; overlap = restart");
    restarting.emit("go N=1").expect("taken");
    restarting.obey("a");
    restarting.emit("go N=2").expect("taken");
    assert_eq!((restarting.orders(), pass(&restarting)), ("+a ~a".to_string(), "N=2".to_string()));
    run(&mut restarting, State::Done);
    assert_eq!((restarting.orders().as_str(), restarting.phase("a")), ("", Phase::Done));
}

#[test]
fn a_run_that_is_being_stopped_is_not_overlapped_but_followed() {
    let mut world = world("; overlap = skip");
    world.emit("go N=1").expect("taken");
    world.obey("a");
    world.emit("halt").expect("taken");
    world.emit("go N=2").expect("taken");
    assert_eq!((world.orders(), pass(&world)), ("+a -a".to_string(), "N=2".to_string()));
    world.obey("a");
    assert_eq!(world.orders(), "+a");
}

#[test]
fn who_waits_is_told_of_the_run_that_the_event_began() {
    let mut world = world("");
    let first = world.emit("go N=1").expect("taken");
    world.obey("a");
    let second = world.emit("go N=2").expect("taken");
    world.report("a", State::Done);
    assert_eq!((world.standing(first), world.results(first)), (Standing::Done, "a done".to_string()));
    assert_eq!(world.standing(second), Standing::Running);
    world.obey("a");
    world.fails("a");
    assert_eq!((world.standing(second), world.results(second)), (Standing::Failed, "a failed".to_string()));
}

#[test]
fn a_stop_supersedes_what_was_queued() {
    let mut world = world("");
    let first = world.emit("go N=1").expect("taken");
    world.obey("a");
    let second = world.emit("go N=2").expect("taken");
    world.stop("a");
    world.settle();
    assert_eq!((world.standing(first), world.standing(second)), (Standing::Superseded, Standing::Superseded));
}

#[test]
fn each_run_has_its_events() {
    let mut world = World::new(
        "a: type = oneshot; remain = no; start-on = go
         begun: start-on = starting SERVICE=a; restart = never
         ended: start-on = stopped SERVICE=a RESULT=ok; restart = never",
    );
    world.emit("go").expect("taken");
    world.obey("a");
    world.emit("go").expect("taken");
    assert_eq!(world.orders(), "+a +begun");
    world.obey("begun");
    world.report("begun", State::Up);
    world.report("begun", State::Done);
    world.report("a", State::Done);
    // The second run is told to have begun, too.
    assert_eq!(world.orders(), "+a +begun +ended");
}

#[test]
fn with_a_limit_on_starts_the_queued_run_waits_for_its_turn() {
    let mut world = World::limited("a: type = oneshot; remain = no; start-on = go\nb:", 1);
    world.emit("go").expect("taken");
    world.obey("a");
    world.emit("go").expect("taken");
    world.start("b");
    world.report("a", State::Done);
    assert_eq!((world.orders().as_str(), world.blocker("a")), ("+a +b", "limit".to_string()));
    world.settle();
    assert_eq!(world.orders(), "+a");
}

#[test]
fn an_instance_stays_for_the_run_that_is_queued() {
    let mut world = World::new("job@: type = oneshot; remain = no; start-on = go; instance = ${N}; pass = V");
    world.emit("go N=a V=1").expect("taken");
    world.obey("job@a");
    world.emit("go N=a V=2").expect("taken");
    world.emit("go N=b V=3").expect("taken");
    assert_eq!(world.orders(), "+job@a +job@b");
    world.report("job@a", State::Done);
    assert_eq!(world.orders(), "+job@a");
    assert_eq!(&world.pass("job@a")[..4], b"V=2\0");
    world.restart_engine();
    world.obey("job@a");
    world.report("job@a", State::Done);
    world.obey("job@b");
    world.report("job@b", State::Done);
    assert_eq!((world.orders(), world.phases()), (String::new(), String::new()), "nothing is left of them");
}

#[test]
fn a_switch_drops_what_is_queued_and_so_does_a_shutdown() {
    for shutdown in [false, true] {
        let mut world = world("");
        world.emit("go N=1").expect("taken");
        world.obey("a");
        world.emit("go N=2").expect("taken");
        if shutdown {
            world.step(Input::Shutdown(NOBODY)).expect("taken");
        } else {
            world.command(Verb::Switch, &["b"]).expect("taken");
        }
        world.settle();
        let _ = world.orders();
        if !shutdown {
            world.emit("go N=3").expect("taken");
            run(&mut world, State::Done);
            assert_eq!((world.orders(), pass(&world)), ("+a".to_string(), "N=3".to_string()));
        }
        assert_ne!(world.phase("a"), Phase::Starting);
    }
}

#[test]
fn what_is_queued_is_shown_for_as_long_as_it_is() {
    let mut world = world("");
    let shown = |world: &World| world.row("a").queued;
    world.emit("go N=1").expect("taken");
    world.obey("a");
    assert!(!shown(&world));
    world.emit("go N=2").expect("taken");
    assert!(shown(&world));
    world.report("a", State::Done);
    assert!(!shown(&world), "it is the run now");
    world.obey("a");
    world.emit("go N=3").expect("taken");
    assert!(shown(&world));
    world.stop("a");
    assert!(!shown(&world));
}
