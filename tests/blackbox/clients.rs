//! Connections to the engine: leases, waiting, many requests at once, and clients that misbehave.

use crate::control::{SLEEP, small};
use crate::harness::{Machine, PATIENCE, command};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

#[test]
fn a_condition_gates_and_a_lease_ends_with_its_sender() {
    let machine = small();
    machine.expect(&["start", "--no-wait", "nic"]);
    machine.wait_phase("nic", "waiting");
    machine.expect(&["emit", "--on", "net-up", "IFACE=eth0"]);
    machine.wait_phase("nic", "up");
    assert!(machine.expect(&["conditions"]).starts_with("net-up IFACE=eth0  on for "));
    machine.expect(&["emit", "--off", "net-up", "IFACE=eth0"]);
    machine.wait_phase("nic", "waiting");

    let mut holder = machine.spawn(&["emit", "--hold", "net-up", "IFACE=eth1"]);
    machine.wait_phase("nic", "up");
    let pid = machine.pid("nic");
    // The engine dies; the holder connects to the next one, and the service notices nothing.
    let engine = machine.engine();
    machine.kill(engine, libc::SIGKILL);
    machine.wait_new_engine(engine);
    machine.wait("the lease is taken again", |machine| {
        machine.expect(&["conditions"]).contains(&format!("by process {}", holder.id()))
    });
    assert_eq!((machine.phase("nic").as_str(), machine.pid("nic")), ("up", pid));
    holder.kill().expect("it runs");
    holder.wait().expect("it ends");
    machine.wait_phase("nic", "waiting");

    let held = machine.run(&["emit", "--hold", "net-up", "IFACE=eth2", "--", "sh", "-c", "exit 7"]);
    assert_eq!(held.code, 7, "{}", held.err);
    machine.wait("the command's condition is off", |machine| machine.expect(&["conditions"]).is_empty());

    // A terminal's signal is for the command; what it makes of that is its own affair.
    const STAYS: &str = "trap 'echo caught' INT; echo trapped; sleep 1000; sleep 1000";
    let mut command = command();
    command.args(["emit", "--hold", "net-up", "IFACE=eth3", "--", "sh", "-c", STAYS]);
    command.env("PINTLE_RUN", machine.run_directory()).stdout(Stdio::piped()).process_group(0);
    // A shell cannot trap what is ignored when it begins, as for what a shell without job control runs behind itself.
    // SAFETY: signal(2) is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
    let mut holder = command.spawn().expect("the binary runs");
    let mut said = BufReader::new(holder.stdout.take().expect("a pipe")).lines().map(|line| line.expect("text"));
    assert_eq!(said.next().as_deref(), Some("trapped"));
    machine.wait_phase("nic", "up");
    let pid = machine.pid("nic");
    let group = i32::try_from(holder.id()).expect("a pid");
    // SAFETY: the group of the process that was just started, and is not waited for yet.
    assert_eq!(unsafe { libc::kill(-group, libc::SIGINT) }, 0);
    assert_eq!(said.next().as_deref(), Some("caught"));
    machine.expect(&["emit", "--wait", "something-else"]);
    assert_eq!((machine.phase("nic").as_str(), machine.pid("nic")), ("up", pid));
    // SAFETY: as above.
    assert_eq!(unsafe { libc::kill(-group, libc::SIGKILL) }, 0);
    holder.wait().expect("it ends");
    machine.wait_phase("nic", "waiting");

    for (arguments, message) in [
        (&["emit", "no name"][..], "pintle: a condition or event is named by"),
        (&["emit", "x", "1=2"], "pintle: an attribute is KEY=VALUE"),
        (&["emit", "x", "A=1", "A=2"], "pintle: an attribute is KEY=VALUE"),
    ] {
        let ran = machine.run(arguments);
        assert!(ran.code == 100 && ran.err.starts_with(message), "{arguments:?}: {} {}", ran.code, ran.err);
    }
}

#[test]
fn a_lease_outlives_the_engine_for_as_long_as_its_stopped_holder_lives() {
    let machine = small();
    machine.expect(&["start", "--no-wait", "nic"]);
    let is_on = |machine: &Machine, name: &str| machine.expect(&["conditions"]).contains(name);
    let hold = |words: &[&str]| {
        let child = machine.spawn(&[&["emit", "--hold"], words].concat());
        machine.wait("it is held", |machine| is_on(machine, words[0]));
        child
    };
    let next_engine = || {
        let engine = machine.engine();
        machine.kill(engine, libc::SIGKILL);
        machine.wait_new_engine(engine);
    };
    let mut holder = hold(&["net-up", "IFACE=eth1"]);
    machine.wait_phase("nic", "up");
    let pid = machine.pid("nic");
    machine.kill(holder.id(), libc::SIGSTOP);
    for round in 0..2 {
        // What is left of one that has died meanwhile says when the engine has looked at who is still there.
        let name = format!("passing-{round}");
        let mut passing = hold(&[&name]);
        machine.kill(passing.id(), libc::SIGSTOP);
        next_engine();
        passing.kill().expect("it is there");
        passing.wait().expect("it ends");
        machine.wait("the engine has looked", |machine| !is_on(machine, &name));
        assert_eq!((machine.phase("nic").as_str(), machine.pid("nic")), ("up", pid));
    }
    // It runs again, and says again what it holds.
    machine.kill(holder.id(), libc::SIGCONT);
    let held_by = format!("by process {}", holder.id());
    machine.wait("it holds by one connection", |machine| {
        let shown = machine.expect(&["conditions"]);
        shown.matches(&held_by).count() == 1
    });
    assert_eq!((machine.phase("nic").as_str(), machine.pid("nic")), ("up", pid));
    // One that ends without having run again holds nothing.
    machine.kill(holder.id(), libc::SIGSTOP);
    let mut passing = hold(&["passing"]);
    machine.kill(passing.id(), libc::SIGSTOP);
    next_engine();
    passing.kill().expect("it is there");
    passing.wait().expect("it ends");
    machine.wait("the engine has looked", |machine| !is_on(machine, "passing"));
    assert_eq!(machine.phase("nic"), "up");
    holder.kill().expect("it is there");
    holder.wait().expect("it ends");
    machine.wait_phase("nic", "waiting");
}

#[test]
fn an_engine_knows_which_it_is_however_late_the_supervisor_goes_on() {
    let machine = small();
    let mut holder = machine.spawn(&["emit", "--hold", "net-up", "IFACE=eth1"]);
    machine.wait("it is held", |machine| machine.expect(&["conditions"]).contains("net-up"));
    let engine = machine.engine();
    // The call that makes the next engine comes back to the supervisor long after that engine has begun.
    let mut tracer = Command::new("strace");
    tracer.args(["--trace=clone", "--inject=clone:delay_exit=1s", "--attach", &machine.supervisor().to_string()]);
    let mut tracer = tracer.stderr(Stdio::piped()).spawn().expect("strace runs");
    let mut said = BufReader::new(tracer.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let first = said.next().expect("a line");
    assert!(first.ends_with(" attached"), "{first}");
    // SAFETY: signals to a child of ours, which is there.
    let signal = |signal| assert_eq!(unsafe { libc::kill(holder.id() as i32, signal) }, 0);
    signal(libc::SIGSTOP);
    machine.kill(engine, libc::SIGKILL);
    machine.wait_new_engine(engine);
    signal(libc::SIGKILL);
    holder.wait().expect("it ends");
    machine.wait("what it held is off", |machine| !machine.expect(&["conditions"]).contains("net-up"));
    tracer.kill().expect("it is there");
    tracer.wait().expect("it ends");
    assert!(said.any(|line| line.contains("clone(") && line.contains("(DELAYED)")), "the call was not delayed");
}

#[test]
fn copies_of_the_engines_memory_that_nobody_receives_do_not_pile_up() {
    let machine = small();
    machine.wait_phase("default", "up");
    const REFUSED: &str = "no copies of the engine's memory wait to be received; receive them first\n";
    let ask = |stream: &mut std::os::unix::net::UnixStream| {
        stream.write_all(b"memory\n").expect("sent");
        let mut poll = libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure.
        assert_eq!(unsafe { libc::poll(&raw mut poll, 1, PATIENCE.as_millis() as i32) }, 1);
    };
    let read = |stream: &mut std::os::unix::net::UnixStream| {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("an answer");
        line
    };
    let mut one = machine.connect();
    one.write_all(b"memory\nmemory\n").expect("sent");
    let lines: Vec<String> = BufReader::new(one).lines().take(2).map(|line| line.expect("an answer") + "\n").collect();
    assert_eq!(lines[0], "ok 0\n");
    assert!(
        ["ok 0\n", REFUSED].contains(&lines[1].as_str()),
        "whether the first is received in time or not: {lines:?}"
    );
    let mut streams: Vec<_> = (0..5).map(|_| machine.connect()).collect();
    streams.iter_mut().for_each(ask);
    assert_eq!(read(&mut streams[4]), REFUSED);
    // One that has said all is let go when it has received what is its own.
    streams[0].shutdown(std::net::Shutdown::Write).expect("half closed");
    let mut rest = String::new();
    streams[0].read_to_string(&mut rest).expect("an end");
    assert_eq!(rest, "ok 0\n");
    ask(&mut streams[4]);
    assert_eq!(read(&mut streams[4]), "ok 0\n");
    assert_eq!(machine.run(&["start", "--dry-run", "db"]).code, 0);
}

#[test]
fn who_waits_outlives_the_engine() {
    let machine = small();
    machine.wait_phase("default", "up");
    machine.expect(&["start", "--no-wait", "nic"]);
    machine.wait_phase("nic", "waiting");
    let pids = (machine.pid("web"), machine.pid("db"));
    // Waits for a start that an engine later will finish.
    let folder = machine.folder.0.join("gate");
    let gate = format!("/bin/sh -c 'while [ ! -e {} ]; do sleep 0.05; done'", folder.display());
    let slow = Machine::new(&[("slow", &format!("type = oneshot\ncommand = {gate}\nlog = null\n"))]);
    let waiter = slow.spawn(&["start", "--wait", "slow"]);
    slow.wait_phase("slow", "starting");
    for _ in 0..2 {
        let engine = slow.engine();
        slow.kill(engine, libc::SIGKILL);
        slow.wait_new_engine(engine);
    }
    std::fs::write(&folder, "").expect("a file");
    let done = waiter.wait_with_output().expect("it ends");
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(slow.phase("slow"), "up");
    assert_eq!(pids, (machine.pid("web"), machine.pid("db")));
}

#[test]
fn requests_may_come_many_at_once_and_in_pieces() {
    let machine = small();
    machine.wait_phase("default", "up");
    let mut stream = machine.connect();
    stream
        .write_all(b"on a\noff a\nnonsense\nstart nonesuch\nwait start db\nemit e K='v w'\nawait 99999\non")
        .expect("sent");
    stream.write_all(b" late").expect("sent");
    stream.write_all(b"\n").expect("sent");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    let mut expect = |start: &str| {
        let line = lines.next().expect("an answer");
        assert!(line.starts_with(start), "{line}, not {start}");
    };
    for start in ["ok ", "ok ", "bad no verb \"nonsense\"", "bad no service \"nonesuch\""] {
        expect(start);
    }
    expect("ok ");
    expect("result db up");
    expect("end ");
    expect("ok ");
    expect("ok 99999");
    expect("end 99999 unknown");
    expect("ok ");
}

#[test]
fn clients_that_misbehave_hold_up_nobody() {
    let machine = small();
    machine.wait_phase("default", "up");
    // More half-sent lines than there are places.
    let half: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = machine.connect();
            stream.write_all(b"start w").expect("sent");
            stream
        })
        .collect();
    machine.expect(&["start", "--wait", "db"]);
    // A line that never ends: dropped, having read a little of it.
    let mut flood = machine.connect();
    let chunk = [b'x'; 4096];
    let refused = (0..10_000).any(|_| flood.write_all(&chunk).is_err());
    assert!(refused, "40 MB without a newline were taken");
    // Garbage, each line of it answered.
    let mut noise = machine.connect();
    let bytes: Vec<u8> = (0..2000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).chain(*b"\n").collect();
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    noise.write_all(&bytes).expect("sent");
    let mut noise = BufReader::new(noise).lines();
    for _ in 0..lines {
        let answer = noise.next().expect("an answer").expect("text");
        assert!(answer.starts_with("bad "), "{answer}");
    }
    // One that follows and asks and never reads.
    let mut deaf = machine.connect();
    deaf.set_nonblocking(true).expect("set");
    let _ = deaf.write_all(&b"nonsense nonsense nonsense\n".repeat(20_000));
    let mut follower = machine.connect();
    follower.write_all(b"follow\n").expect("sent");
    for _ in 0..20 {
        machine.expect(&["restart", "--wait", "db"]);
    }
    assert_eq!(machine.run(&["status", "db"]).code, 0);
    assert_eq!(machine.status()["engine"]["lives"], 1, "the engine has died: {}", machine.messages());
    assert_eq!(machine.status()["engine"]["allocations"], 0);
    drop(half);
}

#[test]
fn a_flood_of_events_is_answered_line_by_line_and_holds_up_nobody() {
    const LINES: usize = 30_000;
    let machine = small();
    machine.wait_phase("default", "up");
    let mut flood = machine.connect();
    let mut answers = BufReader::new(flood.try_clone().expect("a descriptor"));
    let sender = std::thread::spawn(move || {
        for at in 0..LINES / 3 {
            let lines = format!("emit heard-of N={at}\non lid-open\noff lid-open\n");
            flood.write_all(lines.as_bytes()).expect("sent");
        }
    });
    // In the middle of it, since nobody reads the answers yet that there are.
    machine.expect(&["restart", "--wait", "db"]);
    let mut line = String::new();
    for _ in 0..LINES {
        line.clear();
        answers.read_line(&mut line).expect("an answer");
        assert!(line.starts_with("ok "), "{line}");
    }
    sender.join().expect("all were sent");
    assert_eq!(machine.status()["engine"]["allocations"], 0);
}

#[test]
fn many_services_are_waited_for_by_one_client() {
    let names: Vec<String> = (0..300).map(|at| format!("service-with-a-long-name-{at}")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), SLEEP)).collect();
    let machine = Machine::new(&files);
    let arguments = |verb| [verb, "--wait"].into_iter().chain(names.iter().map(String::as_str)).collect::<Vec<_>>();
    machine.expect(&arguments("start"));
    let up = machine.services().iter().filter(|service| service["phase"] == "up").count();
    assert!(up >= 300, "{up} are up");
    machine.expect(&arguments("stop"));
    assert_eq!(machine.services().iter().filter(|service| !service["pid"].is_null()).count(), 0);
}
