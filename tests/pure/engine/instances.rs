//! Instances of templates: by condition, by event, by command.

use super::world::World;
use pintle::engine::{Refusal, Verb};
use pintle::graph::Phase;

const DHCP: &str = "dhcp@: for-each = net-up IFACE=wl*; instance = ${IFACE}; pass = IFACE; needs = base\nbase:";

#[test]
fn each_matching_condition_makes_one_and_takes_it_away() {
    let mut world = World::new(DHCP);
    world.on("net-up IFACE=eth0").expect("on");
    assert_eq!(world.phases(), "base down");
    world.on("net-up IFACE=wlan0").expect("on");
    world.on("net-up IFACE=wlan1").expect("on");
    assert_eq!(world.orders(), "+base");
    world.settle();
    assert_eq!(world.phases(), "base up, dhcp@wlan0 up, dhcp@wlan1 up");
    world.restart_engine();
    world.orders();
    world.off("net-up IFACE=wlan0").expect("off");
    world.settle();
    assert_eq!(world.orders(), "-dhcp@wlan0");
    assert_eq!(world.phases(), "base up, dhcp@wlan1 up");
    world.off("net-up IFACE=wlan1").expect("off");
    world.settle();
    assert_eq!(world.orders(), "-dhcp@wlan1 -base");
    assert_eq!(world.phases(), "base down");
}

#[test]
fn an_instance_takes_the_attributes_of_the_oldest_condition() {
    let mut world = World::new("d@: for-each = net; instance = ${I}; pass = I N");
    world.on("net I=x N=1").expect("on");
    world.on("net I=x N=2").expect("on");
    let pass = |world: &World| String::from_utf8_lossy(&world.pass("d@x")).trim_end_matches('\0').replace('\0', " ");
    assert_eq!(pass(&world), "I=x N=1");
    world.settle();
    world.off("net I=x N=1").expect("off");
    assert_eq!(world.phase("d@x"), Phase::Up, "another still holds it");
    assert_eq!(pass(&world), "I=x N=1", "a life keeps what it began with");
}

#[test]
fn a_new_life_waits_for_the_end_of_the_old_one() {
    let mut world = World::new(DHCP);
    world.on("net-up IFACE=wlan0").expect("on");
    world.settle();
    world.orders();
    world.off("net-up IFACE=wlan0").expect("off");
    world.on("net-up IFACE=wlan0").expect("on");
    assert_eq!(world.orders(), "-dhcp@wlan0");
    world.obey("dhcp@wlan0");
    assert_eq!(world.orders(), "+dhcp@wlan0");
}

#[test]
fn what_an_instance_needs_stops_after_it() {
    let mut world = World::new(DHCP);
    world.on("net-up IFACE=wlan0").expect("on");
    world.settle();
    world.orders();
    world.stop("base");
    assert_eq!(world.orders(), "-dhcp@wlan0");
    world.settle();
    assert_eq!(world.phases(), "base down, dhcp@wlan0 waiting");
}

#[test]
fn a_person_starts_an_instance_where_only_the_template_exists() {
    let mut world = World::new(DHCP);
    assert_eq!(world.command(Verb::Start, &["dhcp@a/b"]), Err(Refusal::BadInstanceName));
    let template = world.slot("dhcp@");
    assert_eq!(world.command(Verb::Stop, &["dhcp@eth0"]), Err(Refusal::NoSuchInstance(template)));
    assert_eq!(world.command(Verb::Start, &["dhcp@"]), Err(Refusal::Template(template)));
    let number = world.command(Verb::Start, &["dhcp@eth0"]).expect("start");
    world.settle();
    assert_eq!(world.phases(), "base up, dhcp@eth0 up");
    assert_eq!(world.results(number), "base up, dhcp@eth0 up");
    world.stop("dhcp@eth0");
    world.settle();
    assert_eq!(world.phases(), "base down, dhcp@eth0 down", "the mark keeps the slot");
    world.command(Verb::Release, &["dhcp@eth0"]).expect("release");
    assert_eq!(world.phases(), "base down");
}

#[test]
fn an_event_makes_an_instance_and_latches_are_its_own() {
    let mut world = World::new("m@: start-on = disk and fsck; instance = ${DEV}; stop-on = gone");
    world.emit("disk DEV=sda").expect("event");
    world.emit("fsck DEV=sdb").expect("event");
    assert_eq!(world.phases(), "m@sda down, m@sdb down");
    world.restart_engine();
    world.emit("fsck DEV=sda").expect("event");
    world.settle();
    assert_eq!(world.phases(), "m@sda up, m@sdb down");
    world.emit("gone DEV=sda").expect("event");
    world.settle();
    assert_eq!(world.phases(), "m@sdb down");
}

#[test]
fn a_static_instance_hears_what_names_it_and_what_names_none() {
    let mut world = World::new(
        "m@: start-on = disk; instance = ${DEV}; stop-on = gone or sleep\nboot: type = bundle; after = m@sda m@sdb",
    );
    for dev in ["sda", "sdb", "sdc"] {
        world.emit(&format!("disk DEV={dev}")).expect("event");
    }
    world.settle();
    assert_eq!(world.phases(), "boot down, m@sda up, m@sdb up, m@sdc up");
    world.emit("gone DEV=sdb").expect("event");
    world.settle();
    assert_eq!(world.phases(), "boot down, m@sda up, m@sdb down, m@sdc up");
    world.emit("sleep").expect("event");
    world.settle();
    assert_eq!(world.phases(), "boot down, m@sda down, m@sdb down");
}

#[test]
fn the_instance_stands_in_globs_of_its_template() {
    let mut world = World::new(
        "d@: while = carrier IFACE=${INSTANCE}; stop-on = stopped radio ${INSTANCE}*; start-on = go\n\
         boot: type = bundle; after = d@e0",
    );
    for name in ["d@e0", "d@e1"] {
        world.start(name);
    }
    world.on("carrier IFACE=e1").expect("on");
    world.settle();
    assert_eq!(world.phases(), "boot down, d@e0 waiting, d@e1 up");
    world.on("carrier IFACE=e0").expect("on");
    world.off("carrier IFACE=e1").expect("off");
    world.emit("go").expect("event");
    for name in ["d@e0", "d@e1"] {
        world.command(Verb::Release, &[name]).expect("release");
    }
    world.settle();
    assert_eq!(world.phases(), "boot down, d@e0 up, d@e1 waiting", "the trigger holds both");
    world.emit("stopped SERVICE=radio INSTANCE=e0-5GHz").expect("event");
    world.settle();
    assert_eq!(world.phases(), "boot down, d@e0 down, d@e1 waiting");
    world.emit("stopped SERVICE=radio INSTANCE=e1").expect("event");
    world.settle();
    assert_eq!(world.phases(), "boot down, d@e0 down");
}

#[test]
fn instances_beyond_capacity_are_refused_and_slots_are_used_again() {
    let mut world = World::new(DHCP);
    let room = world.geometry.instances;
    assert!(room > 8);
    for number in 0..room {
        world.command(Verb::Start, &[&format!("dhcp@i{number}")]).expect("there is room");
        world.settle();
    }
    assert_eq!(world.command(Verb::Start, &["dhcp@more"]), Err(Refusal::InstancesFull));
    assert_eq!(world.on("net-up IFACE=wlan0"), Err(Refusal::InstancesFull));
    world.command(Verb::Release, &["dhcp@i7"]).expect("release");
    world.settle();
    world.on("net-up IFACE=wlan0").expect("there is room again");
    world.settle();
    assert_eq!(world.phase("dhcp@wlan0"), Phase::Up);
}

#[test]
fn the_end_of_an_instance_is_told_though_its_slot_is_freed() {
    let mut world = World::new(
        "d@: for-each = net; instance = ${I}
         seen: start-on = stopped SERVICE=d INSTANCE=x
         other: start-on = stopped SERVICE=d INSTANCE=y",
    );
    world.on("net I=x").expect("on");
    world.settle();
    world.off("net I=x").expect("off");
    world.settle();
    assert_eq!(world.phases(), "other down, seen up");
}

/// A world of `t@` and `u@` in which every slot is taken: by `t@i0`, which has failed, and by what runs.
fn full(more: &str) -> World {
    let mut world = World::new(&format!("t@: start-on = disk; instance = ${{DEV}}\nu@: instance = ${{DEV}}; {more}"));
    for number in 0..world.geometry.instances {
        world.start(&format!("t@i{number}"));
        world.settle();
    }
    world.fails("t@i0");
    world.command(Verb::Release, &["t@i0"]).expect("release");
    assert_eq!(world.phase("t@i0"), Phase::Failed, "it is kept");
    world.orders();
    world
}

#[test]
fn what_a_command_makes_takes_no_slot_of_what_it_names() {
    for names in [["t@new", "t@i0"], ["t@i0", "t@new"]] {
        let mut world = full("start-on = never");
        let before = world.phases();
        assert_eq!(world.command(Verb::Start, &names), Err(Refusal::InstancesFull), "{names:?}");
        assert_eq!((world.orders(), world.phases()), (String::new(), before), "nothing has changed");
        // With another one that is spent there is room for both.
        world.fails("t@i1");
        world.command(Verb::Release, &["t@i1"]).expect("release");
        world.command(Verb::Start, &names).expect("there is room");
        world.settle();
        assert_eq!((world.phase("t@i0"), world.phase("t@new")), (Phase::Up, Phase::Up));
        assert_eq!(world.command(Verb::Stop, &["t@i1"]), Err(Refusal::NoSuchInstance(world.slot("t@"))));
    }
}

#[test]
fn one_that_is_named_twice_takes_one_slot() {
    let mut world = full("start-on = never");
    world.command(Verb::Start, &["t@new", "t@new"]).expect("there is room for one");
    world.settle();
    assert_eq!(world.phase("t@new"), Phase::Up);
    let mut world = full("start-on = usb A=1 or usb B=1");
    world.emit("usb DEV=x A=1 B=1").expect("there is room for one");
    world.settle();
    assert_eq!(world.phase("u@x"), Phase::Up);
}

#[test]
fn what_a_fact_makes_takes_no_slot_of_what_it_names() {
    let mut world = full("start-on = disk");
    let before = world.phases();
    assert_eq!(world.emit("disk DEV=i0"), Err(Refusal::InstancesFull));
    assert_eq!((world.orders(), world.phases()), (String::new(), before), "nothing has changed");
    let mut world = full("for-each = disk");
    assert_eq!(world.on("disk DEV=i0"), Err(Refusal::InstancesFull));
    world.fails("t@i1");
    world.command(Verb::Release, &["t@i1"]).expect("release");
    world.on("disk DEV=i0").expect("there is room");
    world.settle();
    assert_eq!((world.phase("t@i0"), world.phase("u@i0")), (Phase::Up, Phase::Up));
}

#[test]
fn a_derived_event_for_which_there_is_no_room_is_heard_by_what_needs_none() {
    let mut world = World::new(
        "t@: start-on = never; instance = ${DEV}
         u@: start-on = failed; instance = ${SERVICE}
         seen: start-on = failed INSTANCE=i0",
    );
    for number in 0..world.geometry.instances {
        world.start(&format!("t@i{number}"));
        world.settle();
    }
    world.fails("t@i0");
    world.settle();
    assert_eq!(world.phase("seen"), Phase::Up);
    // It was told of by its name, before its slot could be taken.
    assert_eq!(world.phase("t@i0"), Phase::Failed);
}
