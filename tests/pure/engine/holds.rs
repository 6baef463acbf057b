//! Holds, marks, and commands about them: the newest command of a person wins, and says what it lifts.

use super::world::World;
use pintle::engine::{Standing, Verb};
use pintle::graph::{Goal, Hold, Holds, Phase};

fn lifted(world: &mut World) -> String {
    let mut names = Vec::new();
    while let Some(at) = world.engine.take_lifted() {
        names.push(world.engine.name(at).as_str().to_string());
    }
    names.join(" ")
}

fn holds(world: &World, name: &str) -> u32 {
    world.row(name).holds.0
}

const CHAIN: &str = "boot: type = bundle; contains = app; wants = side
    app: needs = db
    db: needs-to-start = disk
    disk:
    side:
    lone:";

#[test]
fn a_start_lifts_the_marks_on_what_it_needs_and_says_which() {
    let mut world = World::booted(CHAIN);
    for name in ["app", "db", "disk", "side"] {
        world.stop(name);
    }
    world.settle();
    let _ = (world.orders(), lifted(&mut world));
    let number = world.start("app");
    // What is named is no news, and what is only wanted elsewhere stays down.
    assert_eq!(lifted(&mut world), "db disk");
    assert_eq!(world.standing(number), Standing::Running);
    world.settle();
    assert_eq!((world.orders(), world.standing(number)), ("+disk +db +app".to_string(), Standing::Done));
    assert_eq!((world.phase("side"), holds(&world, "side") & Holds::MARK_ADMIN), (Phase::Down, Holds::MARK_ADMIN));
}

#[test]
fn what_one_command_names_it_does_not_say_and_the_next_says_nothing_old() {
    for names in [["app", "db"], ["db", "app"]] {
        let mut world = World::booted(CHAIN);
        world.stop("db");
        world.settle();
        world.command(Verb::Start, &names).expect("taken");
        assert_eq!(lifted(&mut world), "", "{names:?}");
        world.stop("disk");
        world.command(Verb::Start, &["app"]).expect("taken");
        world.command(Verb::Start, &["lone"]).expect("taken");
        assert_eq!(lifted(&mut world), "");
    }
}

#[test]
fn a_start_of_what_something_else_holds_up_is_done_at_once_and_outlives_that() {
    let mut world = World::booted(CHAIN);
    let _ = world.orders();
    let number = world.start("db");
    assert_eq!((world.standing(number), world.results(number)), (Standing::Done, "db up".to_string()));
    assert_eq!(world.orders(), "");
    world.stop("boot");
    world.settle();
    assert_eq!((world.phase("app"), world.phase("db")), (Phase::Down, Phase::Up));
    world.command(Verb::Release, &["db"]).expect("taken");
    world.settle();
    assert_eq!(world.phase("db"), Phase::Down);
}

#[test]
fn a_start_of_what_is_coming_up_already_waits_for_it() {
    let mut world = World::new(CHAIN);
    world.boot("boot");
    let number = world.start("db");
    assert_eq!(world.standing(number), Standing::Running);
    world.settle();
    assert_eq!(world.standing(number), Standing::Done);
}

#[test]
fn a_start_that_cannot_be_says_so_and_is_kept_until_it_can() {
    let mut world = World::new("a: while = net\nb: needs = a\nc: needs = d\nd:");
    let number = world.start("b");
    assert_eq!((world.standing(number), world.results(number)), { (Standing::Failed, world.results(number)) });
    assert!(world.results(number).contains("b waiting"), "{}", world.results(number));
    world.on("net").expect("on");
    world.settle();
    assert_eq!(world.phase("b"), Phase::Up);
    // The same of what failed and is repaired.
    world.start("c");
    world.obey("d");
    world.fails("d");
    assert_eq!((world.phase("c"), world.blocker("c")), (Phase::Waiting, "needs d".to_string()));
    world.command(Verb::Reset, &["d"]).expect("taken");
    world.settle();
    assert_eq!(world.phase("c"), Phase::Up);
}

#[test]
fn the_newest_command_wins_in_both_directions() {
    let mut world = World::booted(CHAIN);
    let start = world.start("app");
    assert_eq!(world.standing(start), Standing::Done);
    let stop = world.stop("db");
    assert_eq!(world.orders(), "+disk +side +db +app -app");
    let again = world.start("app");
    assert_eq!(lifted(&mut world), "db");
    assert_eq!(world.goal("db"), Goal::Up);
    world.settle();
    assert_eq!(world.standing(stop), Standing::Superseded);
    assert_eq!((world.phase("app"), world.standing(again)), (Phase::Up, Standing::Done));
    let stop = world.stop("app");
    world.settle();
    assert_eq!((world.phase("app"), world.standing(stop)), (Phase::Down, Standing::Done));
    assert_eq!(holds(&world, "app") & (Hold::Admin as u32 | Holds::MARK_ADMIN), Holds::MARK_ADMIN);
}

#[test]
fn a_mark_is_lifted_by_release_and_start_and_by_nothing_else() {
    let mut world = World::new("boot: type = bundle; contains = a b\na: start-on = go; while = not off\nb: needs = a");
    world.boot("boot");
    world.settle();
    world.stop("a");
    world.settle();
    let _ = world.orders();
    world.emit("go").expect("taken");
    world.on("off").expect("taken");
    world.off("off").expect("taken");
    world.command(Verb::Reset, &["a"]).expect("taken");
    world.command(Verb::Restart, &["boot"]).expect("taken");
    assert_eq!((world.orders().as_str(), world.blocker("a")), ("", "marked".to_string()));
    // What needs it waits, and comes back by itself.
    assert_eq!((world.phase("b"), world.goal("b")), (Phase::Waiting, Goal::Up));
    world.command(Verb::Release, &["a"]).expect("taken");
    world.settle();
    assert_eq!((world.orders(), world.phase("b")), ("+a +b".to_string(), Phase::Up));
}

#[test]
fn a_release_drops_both_the_hold_and_the_mark() {
    let mut world = World::new(CHAIN);
    world.start("lone");
    world.settle();
    world.command(Verb::Release, &["lone"]).expect("taken");
    world.settle();
    assert_eq!((world.phase("lone"), holds(&world, "lone")), (Phase::Down, 0));
    world.stop("lone");
    world.command(Verb::Release, &["lone"]).expect("taken");
    assert_eq!((world.phase("lone"), holds(&world, "lone")), (Phase::Down, 0));
}
