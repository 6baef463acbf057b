//! The journal as people read it: `events`, across deaths of the engine; `await`; who asked, in `why` and `status`.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;

use serde_json::Value;

use super::harness::{Folder, Machine, PATIENCE, command_of, pause, program};

fn machine() -> Machine {
    let machine = Machine::new(&[
        ("default", "type = bundle\ncontains = web\n"),
        ("db", &pause("")),
        ("web", &pause("needs = db")),
        ("first", &pause("start-on = go KEY=v*\nstop-on = halt")),
        ("second", &pause("start-on = started first")),
        ("dhcp@", &pause("for-each = net-up\ninstance = ${IFACE}")),
    ]);
    machine.wait_phase("default", "up");
    machine
}

/// All lines that there are, by number.
fn all(machine: &Machine) -> Vec<Value> {
    let text = machine.expect(&["events", "--all", "--no-follow", "--json"]);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The other process of this test: an engine that is another one than this.
fn new_engine(machine: &Machine, before: u32) {
    machine.wait_new_engine(before);
}

#[test]
fn the_journal_says_what_happened_and_what_came_of_it() {
    let machine = machine();
    machine.expect(&["emit", "--wait", "go", "KEY=value"]);
    machine.wait_phase("second", "up");
    machine.expect(&["emit", "--on", "--wait", "net-up", "IFACE=eth0"]);
    assert_eq!(machine.run(&["reload", "web"]).code, 1);
    machine.expect(&["stop", "--wait", "db"]);
    let lines = all(&machine);
    let numbers: Vec<u64> = lines.iter().map(|line| line["number"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let texts: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {}", line["service"].as_str().unwrap_or("-"), line["text"].as_str().expect("a text")))
        .collect();
    // SAFETY: asks for a number.
    let uid = unsafe { libc::getuid() };
    let mut from = 0;
    for expected in [
        "default the machine is booted into it",
        "default held by boot",
        "web starting -> up",
        "default waiting -> up",
        "- event go KEY=value",
        "- transaction 1 begins",
        "first start-on fired by go KEY=value",
        "first held by trigger",
        "first down -> starting",
        "- transaction 2 begins, set in motion by transaction 1",
        "second start-on fired by started SERVICE=first",
        "second starting -> up",
        &format!("- condition net-up IFACE=eth0 is on (uid {uid})"),
        "dhcp@eth0 held by condition",
        "dhcp@eth0 starting -> up",
        &format!("- reload web (uid {uid})"),
        "- refused: its file has no reload",
        &format!("- stop db (uid {uid})"),
        "db mark laid: admin",
        "web up -> stopping",
        "db stopping -> down",
    ] {
        let found = texts[from..].iter().position(|text| text == expected);
        from += found.unwrap_or_else(|| panic!("no \"{expected}\" behind line {from} of {texts:#?}"));
    }
    // A person reads the same, and only of what was named.
    let text = machine.expect(&["events", "--all", "--no-follow", "second"]);
    assert!(
        text.lines().all(|line| line.contains(" second: ")) && text.contains(" second: starting -> up (transaction 2)")
    );
    assert_eq!(machine.expect(&["events", "-n", "3", "--no-follow"]).lines().count(), 3);
    // The last lines about it, whatever else there was since.
    let last = |count: usize| {
        text.lines().skip(text.lines().count() - count).map(|line| format!("{line}\n")).collect::<String>()
    };
    for count in [0, 1, 2] {
        let shown = machine.expect(&["events", "-n", &count.to_string(), "--no-follow", "second"]);
        assert_eq!(shown, last(count));
    }
    let mut reader = machine.spawn(&["events", "-n", "1", "second"]);
    let mut lines = BufReader::new(reader.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    assert_eq!(lines.next().map(|line| line + "\n"), Some(last(1)));
    machine.expect(&["emit", "nothing-hears-it"]);
    machine.expect(&["stop", "second"]);
    assert!(lines.next().is_some_and(|line| line.contains(" stop second")));
    reader.kill().expect("killed");
    reader.wait().expect("ended");
    // A child can be waited for, too, and a number that never was is not known.
    machine.expect(&["await", "1", "2"]);
    assert_eq!(machine.run(&["await", "99"]).code, 1);
    assert_eq!(machine.run(&["await", "x"]).code, 100);
}

#[test]
fn a_reader_goes_on_with_the_next_engine_where_it_was() {
    let machine = machine();
    let mut reader = machine.spawn(&["events", "--all", "--json"]);
    let mut lines = BufReader::new(reader.stdout.take().expect("piped")).lines();
    let mut numbers = Vec::new();
    for round in 0..4 {
        let fact = format!("ROUND={round}");
        machine.expect(&["emit", "nothing-hears-it", &fact]);
        if round % 2 == 0 {
            let engine = machine.engine();
            machine.kill(engine, 9);
            new_engine(&machine, engine);
        }
        // No time-out but that of the test: it waits for the line.
        let begun = std::time::Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "no {fact} in {numbers:?}");
            let line = lines.next().expect("it goes on").expect("text");
            let line: Value = serde_json::from_str(&line).expect("an object");
            numbers.push(line["number"].as_u64().expect("a number"));
            if line["text"].as_str().is_some_and(|text| text.contains(&fact)) {
                break;
            }
        }
    }
    reader.kill().expect("killed");
    reader.wait().expect("ended");
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "neither a gap nor a line twice");
}

#[test]
fn a_reader_that_is_too_slow_is_told_what_it_missed_and_holds_up_nobody() {
    let machine = machine();
    let mut slow = machine.connect();
    slow.write_all(b"events 1\n").expect("asked");
    let mut client = machine.connect();
    let mut answers = BufReader::new(client.try_clone().expect("a descriptor"));
    let mut line = String::new();
    for round in 0..100 {
        let many: String = (0..50).map(|n| format!("emit nothing-hears-it ROUND={round} N={n}\n")).collect();
        client.write_all(many.as_bytes()).expect("taken");
        for _ in 0..50 {
            line.clear();
            answers.read_line(&mut line).expect("answered");
            assert_eq!(line, "ok 0 no service listens to nothing-hears-it\n");
        }
    }
    let (mut missed, mut last, mut lines) = (0, 0, 0);
    for line in BufReader::new(slow).lines() {
        let line = line.expect("text");
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "ok" => {}
            "missed" => missed += words[1].parse::<u64>().expect("a number"),
            _ => {
                lines += 1;
                last = words[1].parse::<u64>().expect("a number");
                assert_eq!(last, lines + missed, "{line}");
            }
        }
        // On a machine that stands still for ten seconds it is dropped: then it ends before.
        if line.contains("ROUND=99 N=49") {
            assert!(missed > 0, "5,000 events are more than the ring has");
            break;
        }
    }
    assert!(last > 0);
}

#[test]
fn why_and_status_say_who_asked_and_in_which_transaction() {
    let machine = machine();
    let why = machine.expect(&["why", "db"]);
    assert!(why.starts_with(
        "db is up: web needs it; web is up: default needs it; default is up: the machine was booted into it ("
    ));
    machine.expect(&["emit", "--wait", "go", "KEY=value"]);
    let engine = machine.engine();
    machine.kill(engine, 9);
    new_engine(&machine, engine);
    let why = machine.expect(&["why", "first"]);
    assert!(why.starts_with("first is up: go KEY=v* fired its start-on (transaction 1, "), "{why}");
    assert_eq!(machine.service("first")["transaction"], 1);
    machine.expect(&["stop", "--wait", "first"]);
    let why = machine.expect(&["why", "first"]);
    assert!(why.starts_with("first is held down by an administrator since ") && why.contains("(transaction "), "{why}");
    // SAFETY: asks for a number.
    assert!(why.contains(&format!(", uid {})", unsafe { libc::getuid() })), "{why}");
    assert!(machine.run(&["status", "first"]).out.contains("\n  since      an administrator stopped it (transaction "));
    machine.expect(&["stop", "--wait", "web"]);
    let chain: Value = serde_json::from_str(&machine.expect(&["why", "--json", "db"])).expect("an array");
    assert_eq!(chain[0]["chain"][0]["service"], "db");
    assert!(chain[0]["chain"][0]["why"].as_str().expect("text").contains("web no longer needs it (transaction "));
    assert_eq!(chain[0]["chain"][1]["service"], "web");
}

#[test]
fn who_reads_all_of_the_journal_holds_up_nobody() {
    let machine = machine();
    let mut client = machine.connect();
    let mut answers = BufReader::new(client.try_clone().expect("a descriptor")).lines();
    // What the journal has room for, as short as lines are: told to all it takes some fifty turns of the engine's.
    const EVENTS: usize = 3_000;
    client.write_all(&b"emit x\n".repeat(EVENTS)).expect("taken");
    assert_eq!(
        answers
            .by_ref()
            .take(EVENTS)
            .filter(|answer| answer.as_ref().is_ok_and(|text| text == "ok 0 no service listens to x"))
            .count(),
        EVENTS
    );
    let whole = machine.expect(&["events", "--all", "--no-follow"]).len();
    let engine = machine.engine();
    machine.wait("a command is answered before all of the journal is told", |machine| {
        let mut readers: Vec<_> = (0..16).map(|_| machine.connect()).collect();
        for reader in &mut readers {
            // The engine has it.
            reader.write_all(b"\n").expect("sent");
            reader.read_exact(&mut [0; "bad empty line\n".len()]).expect("answered");
        }
        machine.kill(engine, libc::SIGSTOP);
        readers.iter_mut().for_each(|reader| reader.write_all(b"journal 0\n").expect("sent"));
        client.write_all(b"on lid-open\n").expect("sent");
        machine.kill(engine, libc::SIGCONT);
        assert_eq!(answers.next().expect("answered").expect("text"), "ok 0 no service listens to lid-open");
        // Taken with the next turn, when what the first has left to do is done.
        client.write_all(b"off lid-open\n").expect("sent");
        assert_eq!(answers.next().expect("answered").expect("text"), "ok 0 no service listens to lid-open");
        let told: usize = readers.iter().map(waiting).sum();
        for reader in &mut readers {
            // To the end, or it is dropped where this machine stands still for long.
            let (mut some, mut text) = ([0; 4096], Vec::new());
            while !text.ends_with(b"\nend 0 done\n")
                && let Ok(count @ 1..) = reader.read(&mut some)
            {
                text.extend_from_slice(&some[..count]);
            }
        }
        told < readers.len() * whole / 4
    });
}

/// Bytes that wait to be read.
fn waiting(stream: &std::os::unix::net::UnixStream) -> usize {
    let mut count = 0;
    // SAFETY: FIONREAD writes an int.
    assert_eq!(unsafe { libc::ioctl(stream.as_raw_fd(), libc::FIONREAD, &raw mut count) }, 0);
    count as usize
}

#[test]
fn only_who_may_command_is_told_what_attributes_say() {
    let machine = machine();
    machine.expect(&["emit", "--wait", "go", "KEY=value"]);
    machine.expect(&["emit", "--on", "--wait", "net-up", "IFACE=eth0"]);
    // Set in motion by the first, which waits for nothing of it.
    machine.wait_phase("second", "up");
    let own = machine.expect(&["events", "--all", "--no-follow"]);
    for told in ["start-on fired by go KEY=value (", "event go KEY=value", "condition net-up IFACE=eth0 is on"] {
        assert!(own.contains(told), "{told}: {own}");
    }
    // SAFETY: no memory is involved.
    if unsafe { libc::getuid() } != 0 {
        return; // nobody else's user can be taken
    }
    let mut other = command_of(65534, 65534);
    other.args(["events", "--all", "--no-follow"]).env("PINTLE_RUN", machine.run_directory());
    let other = String::from_utf8(other.output().expect("the binary runs").stdout).expect("text");
    for told in ["start-on fired by go KEY=... (", "event go KEY=...\n", "condition net-up IFACE=... is on"] {
        assert!(other.contains(told), "{told}: {other}");
    }
    assert_eq!(other.lines().count(), own.lines().count());
}

#[test]
fn what_is_awaited_after_its_end_is_told_with_no_reason_of_later() {
    let folder = Folder::new();
    let flag = folder.0.join("flag");
    let machine = Machine::new(&[
        ("default", "type = bundle\n"),
        ("once", &format!("type = oneshot\ncommand = /bin/ls {}\nlog = null\n", flag.display())),
        ("user", &format!("command = {}\nneeds = once\n", program("pause"))),
    ]);
    machine.wait_phase("default", "up");
    let ran = machine.run(&["start", "--wait", "user"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let number = machine.service("user")["transaction"].to_string();
    let then = machine.run(&["await", &number]);
    assert_eq!(then.code, 1, "{then:?}");
    let told = |text: &str| then.err.contains(text) || then.out.contains(text);
    assert!(told("exit 2") && told("waits for once"), "so it is still: {then:?}");
    std::fs::write(&flag, "").expect("a file");
    machine.expect(&["start", "--wait", "user"]);
    let now = machine.run(&["await", &number]);
    assert_eq!(now.code, 1, "{now:?}");
    assert_eq!(
        format!("{}{}", now.out, now.err),
        "pintle: once: failed: it has changed since\npintle: user: waiting: it has changed since\n"
    );
}
