//! Who waits for something and does not get it is told which service it is, and why.

use crate::harness::{Machine, pause};

const NEVER: &str = "command = /bin/sleep 1000\nready = fd 3\nstart-timeout = 1h\nlog = null\n";

/// The lines of errors, times and numbers of transactions left out.
fn told(machine: &Machine, arguments: &[&str]) -> Vec<String> {
    let ran = machine.run(arguments);
    assert_eq!(ran.code, 1, "{arguments:?}: {ran:?}");
    ran.err.lines().map(timeless).collect()
}

fn timeless(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    let is_time = |word: &str| word.len() > 8 && word.as_bytes()[2] == b':' && word.as_bytes()[8] == b'Z';
    words.retain(|word| !is_time(word) && !word.starts_with(char::is_numeric));
    words.join(" ")
}

#[test]
fn what_lost_against_a_conflicting_service() {
    let machine = Machine::new(&[
        ("c1", &pause("start-on = ev\nconflicts = c2")),
        ("c2", &pause("start-on = ev")),
        ("mine", &pause("")),
        ("rival", &pause("start-on = other\nconflicts = mine")),
    ]);
    let lost = "pintle: c2: down: c2 waits until c1, with which it conflicts, is down; c1 is up: ev fired its start-on \
                (transaction";
    assert_eq!(told(&machine, &["emit", "--wait", "ev"]), [lost]);
    // An event does not displace what a person has started.
    machine.expect(&["start", "--wait", "mine"]);
    let lines = told(&machine, &["emit", "--wait", "other"]);
    assert!(lines.len() == 1 && lines[0].starts_with("pintle: rival: "), "{lines:?}");
    assert!(lines[0].contains("mine is up: an administrator started it"), "{lines:?}");
}

#[test]
fn what_is_skipped_and_by_which_precondition() {
    let machine = Machine::new(&[
        ("absent", &pause("only-if = path /nonexistent/file and env FOO=1")),
        ("triggered", &pause("only-if = path /nonexistent/other\nstart-on = ev")),
    ]);
    assert_eq!(
        told(&machine, &["start", "--wait", "absent"]),
        ["pintle: absent: skipped: absent is skipped since path /nonexistent/file does not hold"]
    );
    assert_eq!(
        told(&machine, &["emit", "--wait", "ev"]),
        ["pintle: triggered: skipped: triggered is skipped since path /nonexistent/other does not hold"]
    );
}

#[test]
fn what_a_person_holds_down() {
    let machine = Machine::new(&[
        ("link@", &pause("for-each = link NAME=*\ninstance = ${NAME}")),
        ("plain", &pause("start-on = ev")),
    ]);
    machine.expect(&["emit", "--on", "--wait", "link", "NAME=x"]);
    machine.expect(&["stop", "--wait", "link@x", "plain"]);
    machine.expect(&["emit", "--off", "--wait", "link", "NAME=x"]);
    assert_eq!(
        told(&machine, &["emit", "--on", "--wait", "link", "NAME=x"]),
        ["pintle: link@x: down: link@x is held down by an administrator since (transaction uid"]
    );
    assert_eq!(
        told(&machine, &["emit", "--wait", "ev"]),
        ["pintle: plain: down: plain is held down by an administrator (transaction uid"]
    );
}

#[test]
fn what_somebody_let_go_meanwhile() {
    let machine =
        Machine::new(&[("slow", NEVER), ("link@", &format!("{NEVER}for-each = link NAME=*\ninstance = ${{NAME}}\n"))]);
    for (asked, name, other) in [
        (&["start", "--wait", "slow"][..], "slow", &["release", "slow"][..]),
        (&["emit", "--on", "--wait", "link", "NAME=x"], "link@x", &["emit", "--off", "link", "NAME=x"]),
    ] {
        let waiter = machine.spawn(asked);
        machine.wait_phase(name, "starting");
        machine.expect(other);
        let done = waiter.wait_with_output().expect("it ends");
        let message = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{message}");
        let line = message.lines().find(|line| line.starts_with(&format!("pintle: {name}: ")));
        assert!(line.is_some_and(|line| line.len() > name.len() + 20), "{asked:?}: {message}");
    }
}

#[test]
fn what_is_down_as_it_was_asked_to_be_is_no_reason() {
    let machine = Machine::new(&[
        ("ends", &pause("start-on = begin\nstop-on = ev")),
        ("bad", "command = /nonexistent/program\nstart-on = ev\nlog = null\n"),
    ]);
    machine.expect(&["emit", "--wait", "begin"]);
    assert_eq!(
        told(&machine, &["emit", "--wait", "ev"]),
        ["pintle: bad: failed: exec /nonexistent/program: No such file or directory"]
    );
    assert_eq!(machine.phase("ends"), "down");
}
