//! `needs = a|b` and `provides`, with real processes: what needs one of several lives on the next when that one is
//! lost.

use crate::harness::Machine;

/// Ready at once; a death is for good.
const MORTAL: &str = "command = /bin/sh -c 'echo >&3; exec sleep 1000'\nready = fd 3\nlog = null\nrestart = never\n";

fn mail() -> Machine {
    Machine::new(&[
        ("default", "type = bundle\ncontains = reader\n"),
        ("first", &format!("{MORTAL}provides = mta sendmail\n")),
        ("second", &format!("{MORTAL}provides = mta\n")),
        ("reader", &format!("{MORTAL}needs = mta\n")),
        ("binder", &format!("{MORTAL}binds = second|first\n")),
    ])
}

fn die(machine: &Machine, name: &str) {
    machine.kill(machine.pid(name), libc::SIGKILL);
}

#[test]
fn the_dependent_moves_when_the_chosen_one_dies_for_good() {
    let machine = mail();
    machine.wait_phase("default", "up");
    let phases = |machine: &Machine| ["first", "second", "mta", "reader"].map(|name| machine.phase(name));
    assert_eq!(phases(&machine), ["up", "down", "up", "up"]);
    let reader = machine.pid("reader");
    die(&machine, "first");
    machine.wait("the reader lives again, on the second", |machine| {
        ![0, reader].contains(&machine.pid("reader")) && phases(machine) == ["failed", "up", "up", "up"]
    });

    let shown = machine.expect(&["status", "mta"]);
    assert!(shown.contains("\n  chosen     second\n"), "{shown}");
    assert!(machine.expect(&["list"]).lines().any(|line| line.starts_with("mta") && line.ends_with("by second")));
    let tree = machine.expect(&["tree", "reader"]);
    assert!(tree.contains(" mta up by second\n"), "{tree}");
    let why = machine.expect(&["why", "second"]);
    assert!(why.starts_with("second is up: mta needs it; mta is up by second: reader needs it;"), "{why}");
    let service = machine.service("mta");
    assert_eq!((&service["type"], &service["chosen"]), (&"choice".into(), &"second".into()));
    // A name that one service provides is that service.
    assert!(machine.run(&["status", "sendmail"]).out.starts_with("first: failed"));

    // The second is lost while there is no engine.
    let engine = machine.engine();
    machine.kill(engine, libc::SIGSTOP);
    die(&machine, "second");
    machine.kill(engine, libc::SIGKILL);
    machine.wait_phase("reader", "waiting");
    machine.wait_phase("mta", "waiting");
    assert_eq!(phases(&machine), ["failed", "failed", "waiting", "waiting"], "each is tried once");
    let why = machine.expect(&["why", "reader"]);
    assert!(why.starts_with("reader waits for mta; mta finds nothing to choose: first has failed: killed"), "{why}");
    assert!(why.contains(", second has failed: killed by signal 9 (KILL)"), "{why}");

    machine.expect(&["start", "--wait", "reader"]);
    assert_eq!(phases(&machine), ["up", "down", "up", "up"], "start forgets what was tried");
}

#[test]
fn the_dependent_stays_where_another_is_up_and_what_binds_follows() {
    let machine = mail();
    machine.wait_phase("default", "up");
    machine.expect(&["start", "--wait", "second"]);
    machine.expect(&["start", "--wait", "binder"]);
    let (reader, binder) = (machine.pid("reader"), machine.pid("binder"));
    assert_eq!(machine.service("second|first")["chosen"], "second");
    die(&machine, "first");
    machine.wait("the choice moves", |machine| machine.service("mta")["chosen"] == "second");
    assert_eq!((machine.pid("reader"), machine.pid("binder")), (reader, binder));

    machine.expect(&["start", "--wait", "first"]);
    assert_eq!(machine.service("mta")["chosen"], "second", "never back by itself");
    machine.expect(&["stop", "--wait", "second"]);
    machine.wait("what binds has a new life", |machine| ![0, binder].contains(&machine.pid("binder")));
    machine.wait_phase("binder", "up");
    assert_eq!(machine.service("mta")["chosen"], "first");
    assert_eq!(machine.service("second|first")["chosen"], "first");
    assert_eq!((machine.phase("reader").as_str(), machine.pid("reader")), ("up", reader));

    machine.expect(&["stop", "--wait", "mta"]);
    assert_eq!(["reader", "mta"].map(|name| machine.phase(name)), ["waiting", "down"]);
    machine.expect(&["start", "--wait", "mta"]);
    machine.wait_phase("reader", "up");
}
