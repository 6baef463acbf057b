//! Preconditions, attempts and cleanups, with real files, a real kernel's command line and real processes; and oneshots
//! of which the engine dies at every turn.

use crate::harness::{Folder, Machine, kill, lives, program};
use std::path::Path;

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(String::from).collect()
}

/// A script that adds this word to the file, then goes on.
fn script(trace: &Path, word: &str, rest: &str) -> String {
    format!("<<END\necho {word} >>{}\n{rest}\nEND\n", trace.display())
}

#[test]
fn what_a_precondition_says_is_found_out_when_the_start_is_due() {
    let folder = Folder::new();
    let flag = folder.0.join("flag");
    let line = std::fs::read_to_string("/proc/cmdline").expect("/proc");
    let word = line.split_whitespace().next().expect("a word").to_string();
    let flag_text = flag.display();
    let pause = |tests: &str| format!("command = {}\nonly-if = {tests}\n", program("pause"));
    let machine = Machine::new(&[
        ("flagged", &pause(&format!("path {flag_text} and not path {flag_text}.not"))),
        ("without", &pause(&format!("not path {flag_text}"))),
        ("either", &pause(&format!("env PINTLE_NO_SUCH or (kernel '{word}' and env PATH)"))),
        ("neither", &pause("env PINTLE_NO_SUCH or kernel pintle.no-such=1 or path /no/such")),
        ("valued", &pause("not (env PATH=/no/such or kernel pintle.no-such)")),
        ("needing", &format!("command = {}\nneeds = flagged\n", program("pause"))),
        ("nobody", &format!("user = no-such-user\n{}", pause(&format!("path {flag_text}")))),
        ("bold", &format!("{}skip-ok = yes\n", pause("path /no/such"))),
        ("easy", &format!("command = {}\nneeds = bold\nwants = flagged\n", program("pause"))),
        (
            "default",
            "type = bundle\ncontains = flagged without either neither valued bold\nwants = easy needing nobody\n",
        ),
    ]);
    for (name, phase) in [
        ("flagged", "skipped"),
        ("without", "up"),
        ("either", "up"),
        ("neither", "skipped"),
        ("valued", "up"),
        ("bold", "skipped"),
        ("easy", "up"),
        ("needing", "waiting"),
        ("nobody", "skipped"),
        ("default", "up"),
    ] {
        machine.wait_phase(name, phase);
    }
    let why = machine.expect(&["why", "needing"]);
    assert!(why.contains(&format!("path {flag_text} does not hold")), "{why}");
    let all = "env PINTLE_NO_SUCH or kernel pintle.no-such=1 or path /no/such does not hold";
    assert!(machine.expect(&["why", "neither"]).contains(all), "none of them does");
    assert!(machine.run(&["status", "flagged"]).out.contains("does not hold"));
    assert_eq!(machine.status()["failed"], serde_json::json!([]));

    // Nothing looks until a start is due.
    std::fs::write(&flag, "").expect("a flag");
    machine.expect(&["start", "--wait", "needing"]);
    assert_eq!((machine.phase("flagged").as_str(), machine.phase("needing").as_str()), ("up", "up"));
    // What is wrong with it counts only where it is to start.
    assert_eq!(machine.run(&["start", "--wait", "nobody"]).code, 1);
    assert!(machine.expect(&["why", "nobody"]).contains("has failed: no such user no-such-user"));
    // A restart looks again, and one by policy does not.
    let without = machine.pid("without");
    kill(without, libc::SIGKILL);
    machine.wait_new_life("without", without);
    let again = machine.run(&["restart", "--wait", "without"]);
    assert_eq!((again.code, machine.phase("without").as_str()), (1, "skipped"), "{}{}", again.out, again.err);
    let why = machine.expect(&["why", "without"]);
    assert!(why.contains(&format!("not path {flag_text} does not hold")), "{why}");
    std::fs::remove_file(&flag).expect("a flag");
    machine.expect(&["reset", "--wait", "without"]);
    assert_eq!(machine.phase("without"), "up");
}

#[test]
fn a_path_of_an_instance_is_its_own() {
    let folder = Folder::new();
    folder.write("a b", "");
    let here = folder.0.display();
    let machine = Machine::new(&[
        (
            "port@",
            &format!(
                "command = {}\nstart-on = plug\ninstance = ${{PORT}}\npass = PORT NAME\n\
                 only-if = path {here}/${{NAME}} and not path {here}/${{INSTANCE}}\n",
                program("pause")
            ),
        ),
        ("default", "type = bundle\n"),
    ]);
    machine.run(&["emit", "--wait", "plug", "PORT=p1", "NAME=a b"]);
    machine.wait_phase("port@p1", "up");
    machine.run(&["emit", "--wait", "plug", "PORT=p2", "NAME=b"]);
    machine.wait_phase("port@p2", "skipped");
}

#[test]
fn a_oneshot_is_tried_again_and_cleaned_up_after_each_failed_attempt() {
    let folder = Folder::new();
    let (trace, tries) = (folder.0.join("trace"), folder.0.join("tries"));
    let nth = format!("echo >>{0}\n[ $(wc -l <{0}) -ge 3 ]", tries.display());
    let machine = Machine::new(&[
        (
            "third",
            &format!(
                "type = oneshot\nretries = 5\nretry-delay = 10ms\ncommand = {}stop = {}cleanup = {}",
                script(&trace, "run", &nth),
                script(&trace, "stop", ""),
                script(&trace, "cleanup", "exit 7"),
            ),
        ),
        (
            "never",
            &format!(
                "type = oneshot\nretries = 2\nretry-delay = 10ms\nstart-timeout = 100ms\ncommand = {} \n",
                program("stubborn")
            ),
        ),
        ("later", "type = oneshot\nretries = 3\nretry-delay = 1h\ncommand = /bin/false\n"),
        ("default", "type = bundle\n"),
    ]);
    machine.expect(&["start", "--wait", "third"]);
    assert_eq!(lines(&trace), ["run", "cleanup", "run", "cleanup", "run"]);
    let status = machine.expect(&["status", "third"]);
    assert!(status.contains("attempt    3 of 6") && status.contains("cleanup    exit 7"), "{status}");
    machine.expect(&["stop", "--wait", "third"]);
    assert_eq!(lines(&trace)[5..], ["stop", "cleanup"]);

    // Each attempt has its time.
    assert_eq!(machine.run(&["start", "--wait", "never"]).code, 1);
    let why = machine.expect(&["why", "never"]);
    assert!(why.contains("not ready within 100 ms") && why.contains("3 attempts"), "{why}");

    machine.expect(&["start", "later"]);
    machine.wait("it waits for its second attempt", |machine| machine.service("later")["attempt"] == 2);
    assert_eq!(machine.phase("later"), "starting");
    let why = machine.expect(&["why", "later"]);
    assert!(why.contains("is tried again in") && why.contains("attempt 2 of 4"), "{why}");
    machine.expect(&["stop", "--wait", "later"]);
    assert_eq!(machine.phase("later"), "down");
}

#[test]
fn a_oneshot_whose_goal_falls_is_ended_and_its_cleanup_is_never_beside_it() {
    let folder = Folder::new();
    let trace = folder.0.join("trace");
    let machine = Machine::new(&[
        (
            "slow",
            &format!(
                "type = oneshot\nstop-timeout = 60s\ncommand = {}stop = {}cleanup = {}",
                script(&trace, "run", "trap 'exit 1' TERM\nwhile :; do sleep 0.01; done"),
                script(&trace, "stop", ""),
                script(&trace, "cleanup", ""),
            ),
        ),
        (
            "daemon",
            &format!(
                "restart-delay = 10ms\nrestart-limit = 2\ncommand = {}\ncleanup = {}",
                program("pause"),
                script(&trace, "swept", ""),
            ),
        ),
        ("default", "type = bundle\n"),
    ]);
    machine.expect(&["start", "slow"]);
    machine.wait("it runs", |_| lines(&trace) == ["run"]);
    let pid = machine.pid("slow");
    machine.expect(&["stop", "--wait", "slow"]);
    assert!(!lives(pid), "it was asked, and did not have to be killed");
    // It never was up: there is nothing to take down.
    assert_eq!(lines(&trace), ["run", "cleanup"]);

    machine.expect(&["start", "--wait", "daemon"]);
    let first = machine.pid("daemon");
    kill(first, libc::SIGKILL);
    machine.wait_new_life("daemon", first);
    assert_eq!(lines(&trace)[2..], ["swept"]);
    kill(machine.pid("daemon"), libc::SIGKILL);
    machine.wait_phase("daemon", "failed");
    assert_eq!(lines(&trace)[2..], ["swept", "swept"]);
}

/// Each start is one run, whenever the engine dies: before it is ordered, between the spawn and the report, behind the
/// end.
#[test]
fn no_run_of_a_oneshot_is_lost_or_doubled_when_the_engine_dies_around_it() {
    // The younger an engine dies, the later comes the next.
    const ROUNDS: usize = 5;
    let folder = Folder::new();
    let trace = folder.0.join("trace");
    let machine = Machine::new(&[
        (
            "run",
            &format!(
                "type = oneshot\nremain = no\ncommand = {}",
                script(&trace, "begin", &format!("echo end >>{}", trace.display()))
            ),
        ),
        (
            "kept",
            &format!("type = oneshot\ncommand = {}stop = {}", script(&trace, "up", ""), script(&trace, "down", "")),
        ),
        ("default", "type = bundle\n"),
    ]);
    for round in 0..ROUNDS {
        let engine = machine.engine();
        machine.expect(&["start", "run"]);
        let count = |word: &str| lines(&trace).iter().filter(|line| *line == word).count();
        match round % 3 {
            0 => {}
            1 => machine.wait("it has begun", |_| count("begin") > round),
            _ => machine.wait("it has ended", |_| count("end") > round),
        }
        kill(engine, libc::SIGKILL);
        machine.wait("it has ended once", |_| count("end") == round + 1);
        // Who answers has read all reports before.
        machine.expect(&["start", "--wait", "default"]);
        assert_ne!(machine.engine(), engine);
        assert_eq!(machine.phase("run"), "done");
    }
    let expected: Vec<&str> = ["begin", "end"].into_iter().cycle().take(ROUNDS * 2).collect();
    assert_eq!(lines(&trace), expected);

    // The same of one that is brought up and taken down.
    for (verb, word, phase) in [("start", "up", "up"), ("stop", "down", "down")] {
        let engine = machine.engine();
        machine.expect(&[verb, "kept"]);
        if verb == "start" {
            machine.wait("it is at it", |_| lines(&trace).last().is_some_and(|last| last == word));
        }
        kill(engine, libc::SIGKILL);
        machine.expect(&["start", "--wait", "default"]);
        assert_ne!(machine.engine(), engine);
        machine.wait_phase("kept", phase);
    }
    assert_eq!(lines(&trace)[ROUNDS * 2..], ["up", "down"]);
}

#[test]
fn a_pre_start_runs_before_each_life_and_its_failure_is_that_of_the_start() {
    let folder = Folder::new();
    let (trace, bad) = (folder.0.join("trace"), folder.0.join("bad"));
    let say = |word: &str| format!("echo {word} >>{}", trace.display());
    let text = format!(
        "command = <<END\n  {}\n  exec {}\nEND\npre-start = <<END\n  {}\n  [ ! -e {} ]\nEND\ncleanup = <<END\n  {}\nEND\n\
         restart-delay = 0\nrestart-limit = 2\n",
        say("main"),
        program("pause"),
        say("before"),
        bad.display(),
        say("after")
    );
    let hangs =
        format!("command = {0}\npre-start = {0}\nstart-timeout = 300ms\nrestart = never\n", program("stubborn"));
    let skipped = format!(
        "command = {}\npre-start = /bin/sh -c '{}'\nonly-if = path /nonexistent\n",
        program("pause"),
        say("never")
    );
    let missing = format!("command = {}\npre-start = /nonexistent/program\nrestart = never\n", program("pause"));
    let machine = Machine::new(&[
        ("app", &text),
        ("hangs", &hangs),
        ("skipped", &skipped),
        ("missing", &missing),
        ("stopped", &format!("command = {0}\npre-start = {0}\nstop-timeout = 1h\n", program("stubborn"))),
        ("default", "type = bundle\nwants = app hangs skipped missing\n"),
    ]);
    machine.wait_phase("app", "up");
    let first = machine.pid("app");
    let ran = |count: usize| lines(&trace).iter().filter(|line| *line == "main").count() == count;
    machine.wait("its program runs", |_| ran(1));
    kill(first, libc::SIGKILL);
    machine.wait_new_life("app", first);
    machine.wait("its program runs anew", |_| ran(2));
    std::fs::write(&bad, "").expect("a file");
    machine.expect(&["stop", "--wait", "app"]);
    assert_eq!(machine.run(&["start", "--wait", "app"]).code, 1);
    assert_eq!(machine.phase("app"), "failed");
    let text = std::fs::read_to_string(&trace).expect("a trace");
    let (life, failed) = ("before\nmain\nafter\n", "before\nafter\n");
    assert_eq!(text, [life, life, failed, failed].concat());
    let text = machine.run(&["status", "app"]).out;
    assert!(text.contains("its pre-start command failed: exit "), "{text}");
    let told: serde_json::Value = serde_json::from_str(&machine.run(&["status", "app", "--json"]).out).expect("JSON");
    assert!(told[0]["last_exit"]["pre_start"]["code"].as_u64().is_some_and(|code| code > 0), "{told}");
    let text = machine.expect(&["events", "--all", "--no-follow", "app"]);
    assert!(text.contains("-> failed (its pre-start command failed)"), "{text}");
    // It has the time of a start, is killed at once by a stop, and nothing comes before a precondition.
    machine.wait_phase("hangs", "failed");
    assert!(machine.run(&["status", "hangs"]).out.contains("not ready within 300 ms"));
    machine.wait_phase("missing", "failed");
    machine.wait_phase("skipped", "skipped");
    machine.expect(&["start", "--no-wait", "stopped"]);
    machine.wait_phase("stopped", "starting");
    let text = machine.run(&["status", "stopped"]).out;
    assert!(text.contains("runs its pre-start command"), "{text}");
    machine.expect(&["stop", "--wait", "stopped"]);
    // A crash of the supervisor finds it where it was.
    std::fs::remove_file(&bad).expect("there");
    machine.expect(&["start", "--no-wait", "stopped"]);
    machine.wait_phase("stopped", "starting");
    kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait("it goes on", |machine| machine.status()["supervisor"]["recoveries"] == 1);
    assert_eq!((machine.phase("stopped").as_str(), machine.pid("stopped")), ("starting", 0));
    machine.expect(&["stop", "--wait", "stopped"]);
    machine.expect(&["start", "--wait", "app"]);
}
