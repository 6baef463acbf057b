//! Transactions: when they end, and what they say.

use super::world::{World, database};
use pintle::board::reports::State;
use pintle::database::Image;
use pintle::engine::{Capacities, Input, Refusal, Standing, UNFOLLOWED, Verb};

#[test]
fn a_start_ends_when_it_is_up() {
    let mut world = World::new("a:\nb: needs = a");
    let number = world.start("b");
    assert_eq!(world.standing(number), Standing::Running);
    world.settle();
    assert_eq!(world.standing(number), Standing::Done);
    assert_eq!(world.results(number), "a up, b up");
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
    assert_eq!(world.results(number), "a failed, b waiting");
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
fn what_is_superseded_stays_so_when_it_moves_again() {
    let mut world = World::new("a:\nonce: type = oneshot; remain = no; wants = a");
    let number = world.command(Verb::Start, &["a", "once"]).expect("start");
    world.stop("a");
    world.obey("a");
    world.command(Verb::Release, &["a"]).expect("release");
    world.obey("a");
    world.report("a", State::Up);
    world.obey("once");
    assert_eq!(world.results(number), "once pending, a superseded");
    // Now nothing wants it any more, by a service of the first command.
    world.report("once", State::Done);
    assert_eq!(world.row("a").phase.name(), "stopping");
    assert_eq!(
        (world.standing(number), world.results(number).as_str()),
        (Standing::Superseded, "once done, a superseded")
    );
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
    let stop = world.stop("s09");
    assert_eq!((stop, world.standing(stop)), (UNFOLLOWED, Standing::Full), "a stop is obeyed and cannot be waited for");
    world.settle();
    let more = world.start("s08");
    assert_eq!(world.standing(numbers[0]), Standing::Unknown);
    assert_eq!(world.standing(numbers[7]), Standing::Done);
    assert_eq!(world.standing(more), Standing::Running);
}

#[test]
fn one_that_ends_is_told_before_it_is_forgotten() {
    let capacities = Capacities { conditions: 1, transactions: 8, entries: 9 };
    let mut world = World::over(database("a:\nx: conflicts = a\nb:\nc:\nd:"), capacities);
    let comes_up = |world: &mut World, name: &str| {
        let number = world.start(name);
        world.obey(name);
        world.report(name, State::Up);
        assert_eq!(world.standing(number), Standing::Done);
    };
    comes_up(&mut world, "x");
    let long = world.start("a");
    world.obey("x");
    world.report("x", State::Down);
    for name in ["b", "c", "d"] {
        comes_up(&mut world, name);
    }
    assert_eq!(world.standing(long), Standing::Running);
    // It ends, and what comes back for it needs the room of two.
    world.stop("a");
    assert_eq!(world.standing(long), Standing::Superseded);
    assert!(world.ended.contains(&long));
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

#[test]
fn what_a_derived_event_begins_is_a_child_with_a_number_of_its_own() {
    for dies in [false, true] {
        let mut world = World::new("a: start-on = go\nb: start-on = started SERVICE=a\nc: start-on = up(b)");
        let number = world.emit("go").expect("event");
        world.obey("a");
        world.report("a", State::Up);
        let (child, grandchild) = (number + 1, number + 2);
        assert_eq!((world.standing(number), world.standing(child)), (Standing::Done, Standing::Running));
        assert_eq!((world.engine.parent(number), world.engine.parent(child)), (0, number));
        if dies {
            world.restart_engine();
        }
        world.settle();
        assert_eq!((world.results(child).as_str(), world.results(grandchild).as_str()), ("b up", "c up"));
        assert_eq!((world.engine.parent(grandchild), world.standing(grandchild)), (child, Standing::Done));
        assert_eq!(world.ended, [number, child, grandchild]);
    }
}

#[test]
fn what_goes_off_by_time_is_a_transaction_of_its_own() {
    let mut world = World::new("a: while = net\nb:\nc: start-on = stopped SERVICE=a");
    world.on("net").expect("on");
    world.start("a");
    world.settle();
    world.step(Input::Changing { fact: b"net", for_ms: 1 }).expect("changing");
    world.now += 10_000_000;
    let number = world.start("b");
    assert_eq!((world.results(number).as_str(), world.results(number - 1).as_str()), ("b pending", "a pending"));
    world.settle();
    assert_eq!(world.results(number - 1), "a waiting");
    assert_eq!((world.results(number + 1).as_str(), world.engine.parent(number + 1)), ("c up", number - 1));
    assert_eq!(world.ended[world.ended.len() - 3..].len(), 3);
}

#[test]
fn children_leave_room_for_commands() {
    let children: String = (0..12).map(|n| format!("s{n:02}: start-on = up(a) and x{n}\n")).collect();
    let mut world = World::new(&format!("a:\nlast:\n{children}"));
    for n in 0..12 {
        world.on(&format!("x{n}")).ok();
    }
    world.start("a");
    world.settle();
    let running = (1..=world.engine.newest_transaction()).filter(|n| world.standing(*n) == Standing::Running).count();
    assert!(running <= 6, "{running} of 8");
    let number = world.start("last");
    world.settle();
    assert_eq!(world.standing(number), Standing::Done);
}

#[test]
fn what_had_to_wait_for_its_time_is_not_counted_to_the_command_that_comes_then() {
    for dies in [false, true] {
        let mut world =
            World::new("x: type = bundle; start-on = go; stop-on = started SERVICE=x\nc: while = up(x)\nb:");
        world.start("c");
        world.emit("go").expect("event");
        assert_eq!((world.phase("x").name(), world.orders().as_str()), ("up", "+c"), "its next move is a second later");
        world.obey("c");
        world.report("c", State::Up);
        world.now += 1_000_000_000;
        if dies {
            world.restart_engine();
        }
        let number = world.start("b");
        assert_eq!(world.orders(), "+b -c");
        assert_eq!(world.results(number), "b pending");
    }
}

#[test]
fn a_restart_ends_when_what_it_took_down_is_up_again() {
    let mut world = World::booted("boot: type = bundle; contains = top\ndb:\nweb: binds = db\ntop: needs = web");
    let number = world.command(Verb::Restart, &["db"]).expect("restart");
    for (step, names) in ["top", "web", "db"].into_iter().enumerate() {
        world.obey(names);
        assert_eq!(world.standing(number), Standing::Running, "{step}");
    }
    world.restart_engine();
    for name in ["db", "web", "top"] {
        assert_eq!(world.standing(number), Standing::Running);
        if name != "db" {
            world.obey(name);
        }
        world.report(name, State::Up);
    }
    assert_eq!(world.standing(number), Standing::Done);
    assert_eq!(world.results(number), "boot up, top up, web up, db up");
}

#[test]
fn a_dependent_that_does_not_come_back_is_told() {
    let mut world = World::booted("boot: type = bundle; contains = web\ndb:\nweb: binds = db");
    let number = world.command(Verb::Restart, &["db"]).expect("restart");
    for name in ["web", "db"] {
        world.obey(name);
    }
    world.report("db", State::Up);
    world.obey("web");
    world.fails("web");
    assert_eq!(world.standing(number), Standing::Failed);
    assert_eq!(world.results(number), "boot waiting, web failed, db up");
}

#[test]
fn a_stop_lists_what_stops_before_it_and_is_done_all_the_same() {
    let mut world = World::new("base:\ndb: needs = base\nweb: needs = db");
    world.start("web");
    world.settle();
    let number = world.stop("db");
    world.settle();
    assert_eq!(world.standing(number), Standing::Done);
    assert_eq!(world.results(number), "web waiting, base down, db down");
}

#[test]
fn a_stop_waits_for_what_it_leaves_without_use() {
    let mut world = World::new("base:\ndb: needs = base");
    world.start("db");
    world.settle();
    let number = world.stop("db");
    world.obey("db");
    assert_eq!(world.standing(number), Standing::Running);
    world.obey("base");
    assert_eq!((world.standing(number), world.results(number).as_str()), (Standing::Done, "base down, db down"));
}

#[test]
fn an_event_ends_with_all_that_it_started() {
    let mut world = World::new(
        "base:\nmid: needs = base\ntop: start-on = go; needs = mid; wants = extra\nextra:\nside: while = up(top)\n\
         far: while = up(side)",
    );
    world.start("side");
    world.start("far");
    let number = world.emit("go").expect("event");
    for name in ["base", "extra", "mid", "top", "side", "far"] {
        assert_eq!(world.standing(number), Standing::Running, "{name}");
        world.restart_engine();
        world.obey(name);
        world.report(name, State::Up);
    }
    assert_eq!(world.standing(number), Standing::Done);
    assert_eq!(world.results(number), "far up, side up, mid up, extra up, base up, top up");
}

#[test]
fn what_is_reset_ends_with_those_that_waited_for_it() {
    let mut world = World::new("a:\nb: needs = a");
    world.start("b");
    world.obey("a");
    world.fails("a");
    let number = world.command(Verb::Reset, &["a"]).expect("reset");
    world.obey("a");
    world.report("a", State::Up);
    assert_eq!(world.standing(number), Standing::Running);
    world.obey("b");
    world.fails("b");
    assert_eq!((world.standing(number), world.results(number).as_str()), (Standing::Failed, "b failed, a up"));
}

#[test]
fn what_is_only_wanted_may_fail() {
    let mut world = World::new("a: wants = w\nw:");
    let number = world.start("a");
    world.obey("w");
    world.fails("w");
    world.settle();
    assert_eq!((world.standing(number), world.results(number).as_str()), (Standing::Done, "w failed, a up"));
}

#[test]
fn what_is_pulled_up_and_fails_may_leave_nothing_waiting() {
    let mut world = World::new("boot: type = bundle; contains = a\na: needs = n\nn:");
    world.stop("a");
    world.boot("boot");
    let number = world.command(Verb::Release, &["a"]).expect("release");
    world.obey("n");
    world.fails("n");
    assert_eq!(world.standing(number), Standing::Failed);
    assert_eq!(world.results(number), "boot waiting, n failed, a waiting");
}

#[test]
fn a_service_is_listed_once_however_often_it_is_named() {
    let mut world = World::new("a:");
    let (one, two) = (world.start("a"), world.command(Verb::Start, &["a", "a", "a"]).expect("start"));
    assert_eq!((world.results(one).as_str(), world.results(two).as_str()), ("a pending", "a pending"));
    world.settle();
    assert_eq!((world.standing(one), world.standing(two)), (Standing::Done, Standing::Done));
}

#[test]
fn what_wants_nothing_in_particular_is_not_superseded() {
    let mut world = World::new("a: start-on = go\nb: needs = a");
    world.start("b");
    world.obey("a");
    world.fails("a");
    let number = world.command(Verb::Reset, &["a"]).expect("reset");
    world.stop("b");
    world.stop("a");
    world.settle();
    assert_eq!((world.standing(number), world.results(number).as_str()), (Standing::Done, "b down, a down"));
}

#[test]
fn what_moves_again_before_the_end_counts() {
    let mut world = World::new("a:\nb: needs = a");
    world.start("b");
    world.settle();
    let number = world.command(Verb::Restart, &["a", "b"]).expect("restart");
    world.obey("b");
    world.report("b", State::Up);
    assert_eq!(world.results(number), "b up, a pending");
    world.obey("a");
    world.fails("a");
    assert_eq!(world.results(number), "b pending, a failed");
    world.obey("b");
    assert_eq!((world.standing(number), world.results(number).as_str()), (Standing::Failed, "b waiting, a failed"));
}

#[test]
fn what_cannot_all_be_followed_does_not_say_that_it_was_done() {
    let text: String = (0..40).map(|n| format!("s{n:02}: wanted-by = all\n")).collect();
    let mut world = World::new(&format!("all: type = bundle\nlast:\n{text}"));
    let number = world.start("all");
    let other = world.start("last");
    world.settle();
    assert_eq!(world.standing(number), Standing::Full, "there was room for a part of it");
    assert_eq!(world.standing(other), Standing::Done, "room was left for who is named");
}

#[test]
fn what_fails_of_what_cannot_all_be_followed_is_told() {
    let text: String = (0..40).map(|n| format!("s{n:02}: wanted-by = all\n")).collect();
    let mut world = World::new(&format!("all: type = bundle; contains = s00\n{text}"));
    let number = world.start("all");
    world.obey("s00");
    world.fails("s00");
    world.settle();
    assert_eq!(world.standing(number), Standing::Failed);
}

#[test]
fn an_event_for_which_there_is_no_room_says_so() {
    let text: String = (0..9).map(|n| format!("s{n}: start-on = go\n")).collect();
    let mut world = World::new(&text);
    for n in 0..8 {
        world.start(&format!("s{n}"));
    }
    let number = world.emit("go").expect("event");
    assert_eq!((number, world.standing(number)), (UNFOLLOWED, Standing::Full));
    assert_eq!(world.on("nobody-listens"), Ok(0), "there is nothing to wait for");
}

#[test]
fn seven_commands_over_everything_are_followed_at_once() {
    let text: String = (0..1000).map(|n| format!("s{n:03}:\n")).collect();
    let members: String = (0..1000).map(|n| format!(" s{n:03}")).collect();
    let bytes = database(&format!("all: type = bundle; contains ={members}\n{text}"));
    let mut world = World::over(bytes, Capacities::of(&Image::open(bytes).expect("compiled")));
    let numbers: Vec<u32> = (0..7).map(|n| if n % 2 == 0 { world.start("all") } else { world.stop("all") }).collect();
    for number in &numbers {
        assert_eq!(world.results(*number).split(", ").count(), 1001);
    }
    world.restart_engine();
    world.settle();
    for number in &numbers[..6] {
        assert_eq!(world.standing(*number), Standing::Superseded);
    }
    assert_eq!(world.standing(numbers[6]), Standing::Done);
    // Those that have ended are forgotten rather than that new memory is taken.
    world.stop("all");
    assert_eq!(world.standing(numbers[5]), Standing::Unknown);
    assert_eq!(world.standing(numbers[6]), Standing::Done);
}

#[test]
fn a_first_life_that_ends_is_the_answer_though_policy_begins_another() {
    let mut world = World::new("a:\nb: needs = a");
    let number = world.start("b");
    world.obey("a");
    // It may have been up in between; nobody has looked.
    world.dies("a");
    assert_eq!((world.standing(number), world.results(number).as_str()), (Standing::Failed, "a waiting, b waiting"));
    assert_eq!(world.blocker("b"), "needs a");
    world.lives_again("a");
    world.settle();
    assert_eq!((world.phase("b"), world.standing(number)), (pintle::graph::Phase::Up, Standing::Failed));
    // Where it was seen up, b begins, and stays while a restarts.
    let mut world = World::new("a:\nb: needs = a");
    let number = world.start("b");
    world.obey("a");
    world.report("a", State::Up);
    world.dies("a");
    assert_eq!(world.standing(number), Standing::Running, "b starts");
    world.obey("b");
    world.report("b", State::Up);
    assert_eq!((world.standing(number), world.results(number).as_str()), (Standing::Done, "a up, b up"));
}
