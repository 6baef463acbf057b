//! Conditions: who holds them, what changing does, generations, and what is shown of them.

use std::collections::BTreeMap;

use super::world::{World, words};
use pintle::engine::{Input, Refusal, Sender};
use pintle::graph::{Goal, Phase};
use pintle::time::Instant;

/// Conditions as they are shown, over all steps of a world.
#[derive(Default)]
struct Shown(BTreeMap<u32, String>);

impl Shown {
    /// `net-up IFACE=eth0 on 3 leased`, sorted.
    fn look(&mut self, world: &mut World) -> String {
        while let Some((index, row)) = world.engine.take_condition() {
            let value = ["off", "on", "changing"][row.value as usize];
            let text: Vec<_> = row.words().map(String::from_utf8_lossy).collect();
            let leased = if row.leased { " leased" } else { "" };
            self.0.insert(index, format!("{} {value} {}{leased}", text.join(" "), row.generation));
            if row.value == 0 {
                self.0.remove(&index);
            }
        }
        let mut rows: Vec<_> = self.0.values().cloned().collect();
        rows.sort();
        rows.join(", ")
    }
}

fn hold(world: &mut World, fact: &str, lease: u32) {
    world.step(Input::On { fact: &words(fact), sender: Sender::default(), lease }).expect("there is room");
}

fn changing(world: &mut World, fact: &str, for_ms: u32) -> Result<u32, Refusal> {
    world.step(Input::Changing { fact: &words(fact), for_ms })
}

/// The time for which the engine asked.
fn wait(world: &mut World) {
    // An engine that has just taken over asks for one at once.
    world.step(Input::Tick).expect("tick");
    let due = world.engine.next_deadline();
    assert!(due != Instant::NEVER, "nothing is to be waited for");
    world.now = due.0 - 1_000_000;
    world.step(Input::Tick).expect("tick");
}

#[test]
fn a_row_that_is_used_again_shows_the_new_text_alone() {
    let mut world = World::new("a: while = x");
    let mut shown = Shown::default();
    for length in [240, 4, 239, 238, 5, 237, 236, 235, 8, 7, 6, 240, 3, 12, 9] {
        let fact = if length < 5 { "n".repeat(length) } else { format!("n K={}", "x".repeat(length - 4)) };
        world.on(&fact).expect("there is room");
        let now = shown.look(&mut world);
        assert!(now.starts_with(&format!("{fact} on ")), "{length}: {now}");
        world.restart_engine();
        assert_eq!(shown.look(&mut world), now, "a new engine reads the same");
        world.off(&fact).expect("off");
        assert_eq!(shown.look(&mut world), "", "{length}: it goes by the same text");
    }
}

#[test]
fn what_is_changing_starts_nothing_and_stops_nothing() {
    let text = "a: while = net\nb: while = not net\nc: while = net and not x\nd: while = net or x\ne: while = net; start-on = net";
    let mut world = World::new(text);
    for name in ["a", "b", "c"] {
        world.start(name);
    }
    world.on("net").expect("on");
    world.settle();
    assert_eq!(world.phases(), "a up, b waiting, c up, d down, e up");
    changing(&mut world, "net", 1000).expect("it is on");
    world.start("d");
    world.stop("e");
    world.start("e");
    world.settle();
    assert_eq!(world.phases(), "a up, b waiting, c up, d waiting, e waiting");
    world.on("x").expect("on");
    world.settle();
    assert_eq!(world.phases(), "a up, b waiting, c waiting, d up, e waiting", "x alone decides c and d");
    world.off("x").expect("off");
    world.settle();
    assert_eq!(world.phases(), "a up, b waiting, c waiting, d up, e waiting");
    world.restart_engine();
    world.on("net").expect("on");
    world.settle();
    assert_eq!(world.phases(), "a up, b waiting, c up, d up, e up");
    assert_eq!(world.engine.next_deadline(), Instant::NEVER);
}

#[test]
fn what_has_been_changing_for_too_long_is_off() {
    let mut world = World::new("a: while = net\nb: start-on = not net");
    world.start("a");
    world.on("net").expect("on");
    world.settle();
    changing(&mut world, "net", 500).expect("it is on");
    let first = world.engine.next_deadline();
    changing(&mut world, "net", 1500).expect("it is still there");
    assert!(world.engine.next_deadline() > first, "each time it is said there is time anew");
    world.restart_engine();
    wait(&mut world);
    world.settle();
    assert_eq!(world.phases(), "a waiting, b up");
    assert_eq!(world.engine.next_deadline(), Instant::NEVER);
    assert_eq!(Shown::default().look(&mut world), "");
    assert_eq!(changing(&mut world, "net", 500), Err(Refusal::NotOn));
}

#[test]
fn what_was_due_is_off_before_the_next_input_is_looked_at() {
    let mut world = World::new("a: start-on = go and net");
    world.on("net").expect("on");
    changing(&mut world, "net", 500).expect("it is on");
    world.now += 500_000_000;
    world.emit("go").expect("event");
    assert_eq!(world.goal("a"), Goal::Down);
    world.on("net").expect("on");
    assert_eq!(world.goal("a"), Goal::Up, "it comes on, and go is latched");
}

#[test]
fn an_owner_may_end_and_come_back_while_it_is_changing() {
    let mut world = World::new("a: while = net");
    let mut shown = Shown::default();
    world.start("a");
    hold(&mut world, "net", 7);
    world.settle();
    assert_eq!(shown.look(&mut world), "net on 1 leased");
    changing(&mut world, "net", 5000).expect("it is on");
    world.step(Input::LeaseGone(7)).expect("lease");
    assert_eq!(world.engine.leases().count(), 0);
    world.restart_engine();
    world.settle();
    assert_eq!(world.phase("a"), Phase::Up);
    assert_eq!(shown.look(&mut world), "net changing 1");
    hold(&mut world, "net", 8);
    assert_eq!(shown.look(&mut world), "net on 2 leased", "one holder, and it came on anew");
    assert_eq!(world.engine.leases().map(|(lease, _)| lease).collect::<Vec<_>>(), [8]);
    world.step(Input::LeaseGone(8)).expect("lease");
    world.settle();
    assert_eq!(world.phase("a"), Phase::Waiting);
    assert_eq!(shown.look(&mut world), "");
}

#[test]
fn what_was_changing_is_on_again_for_those_who_hold_it() {
    let mut world = World::new("a: while = net");
    let mut shown = Shown::default();
    hold(&mut world, "net", 7);
    changing(&mut world, "net", 5000).expect("it is on");
    world.on("net").expect("on");
    assert_eq!(shown.look(&mut world), "net on 2 leased", "nobody but the lease holds it");
    world.on("net").expect("on");
    assert_eq!(shown.look(&mut world), "net on 2, net on 2 leased");
}

#[test]
fn an_owner_that_does_not_come_back_has_lost_it() {
    let mut world = World::new("a: while = net");
    world.start("a");
    hold(&mut world, "net", 7);
    world.settle();
    changing(&mut world, "net", 5000).expect("it is on");
    world.step(Input::LeaseGone(7)).expect("lease");
    wait(&mut world);
    world.settle();
    assert_eq!(world.phase("a"), Phase::Waiting);
}

#[test]
fn a_condition_has_one_generation_whoever_holds_it() {
    let mut world = World::new("a: while = net");
    let mut shown = Shown::default();
    world.on("other").expect("on");
    world.on("net A=1 B=2").expect("on");
    hold(&mut world, "net B=2 A=1", 7);
    assert_eq!(shown.look(&mut world), "net A=1 B=2 on 2, net A=1 B=2 on 2 leased, other on 1");
    changing(&mut world, "net B=2 A=1", 5000).expect("it is on");
    assert_eq!(shown.look(&mut world), "net A=1 B=2 changing 2, net A=1 B=2 changing 2 leased, other on 1");
    world.step(Input::LeaseGone(7)).expect("lease");
    world.on("net A=1 B=2").expect("on");
    assert_eq!(shown.look(&mut world), "net A=1 B=2 on 3, other on 1");
    world.off("net B=2 A=1").expect("off");
    world.on("net B=2 A=1").expect("on");
    assert_eq!(shown.look(&mut world), "net B=2 A=1 on 4, other on 1");
}

#[test]
fn an_instance_stays_while_its_condition_is_changing() {
    let mut world = World::new("d@: for-each = net; instance = ${I}");
    world.on("net I=x").expect("on");
    world.settle();
    world.orders();
    changing(&mut world, "net I=x", 1000).expect("it is on");
    world.settle();
    world.on("net I=x").expect("on");
    world.settle();
    assert_eq!((world.orders().as_str(), world.phases().as_str()), ("", "d@x up"));
    changing(&mut world, "net I=x", 1000).expect("it is on");
    wait(&mut world);
    world.settle();
    assert_eq!((world.orders().as_str(), world.phases().as_str()), ("-d@x", ""));
}

#[test]
fn on_again_fires_what_changing_did_not() {
    let mut world = World::new("a: start-on = net; stop-on = halt");
    world.on("net").expect("on");
    world.emit("halt").expect("event");
    changing(&mut world, "net", 1000).expect("it is on");
    assert_eq!(world.goal("a"), Goal::Down);
    world.on("net").expect("on");
    assert_eq!(world.goal("a"), Goal::Up);
}
