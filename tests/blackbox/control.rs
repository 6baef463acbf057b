//! Commands and their exit codes.

use crate::harness::{Folder, Machine, binary, command, lives, pintle};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::FromRawFd;

#[test]
fn every_command_says_what_it_is_for() {
    let links = pintle(&["--links"], &[]);
    assert_eq!(links.code, 0);
    assert!(links.out.lines().count() > 10);
    for link in links.out.lines() {
        let name = link.strip_prefix("pintle-").expect("every link begins with pintle-");
        let help = pintle(&[name, "--help"], &[]);
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{name}");
        assert!(help.out.starts_with(&format!("usage: pintle {name}")), "{}", help.out);
        assert!(help.out.lines().all(|line| line.chars().count() <= 80), "{}", help.out);
        let version = pintle(&[name, "--version"], &[]);
        assert_eq!((version.code, version.out.as_str()), (0, concat!("pintle ", env!("CARGO_PKG_VERSION"), "\n")));
    }
    let list = pintle(&[], &[]);
    assert_eq!(list.code, 0);
    assert!(list.out.lines().all(|line| line.chars().count() <= 80), "{}", list.out);
}

#[test]
fn a_command_is_matched_exactly() {
    for (arguments, expected) in [
        (&["strat"][..], "pintle: no command \"strat\", did you mean \"start\"?\n"),
        (&["Start"], "pintle: no command \"Start\", did you mean \"start\"?\n"),
        (&["xyzzy"], "pintle: no command \"xyzzy\"; pintle --help lists them\n"),
    ] {
        let ran = pintle(arguments, &[]);
        assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (100, expected, ""));
    }
}

#[test]
fn misuse_is_told_with_exit_code_100() {
    for arguments in [
        &["start"][..],
        &["start", "--nonsense", "x"],
        &["signal", "HUP"],
        &["status", "--lines", "x"],
        &["list", "--phase", "sideways"],
        &["why"],
        &["emit"],
        &["emit", "--on", "--off", "x"],
        &["emit", "--on", "x", "--", "true"],
        &["shutdown", "now"],
    ] {
        let ran = pintle(arguments, &[]);
        assert_eq!(ran.code, 100, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.starts_with("pintle ") && ran.out.is_empty(), "{arguments:?}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn options_are_taken_in_all_their_forms() {
    let folder = Folder::new();
    let log = folder.write("x.log", "one\ntwo\nthree\n");
    let directory = log.parent().and_then(|path| path.to_str()).expect("UTF-8");
    for options in
        [&["-n1", "x"][..], &["-n", "1", "x"], &["-n=1", "x"], &["x", "--lines", "1"], &["--lines=1", "--", "x"]]
    {
        let ran = pintle(&[&["log", "--dir", directory], options].concat(), &[]);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "three\n", ""), "{options:?}");
    }
    for (options, expected) in [
        (&["x", "--lines"][..], "a value is missing behind \"--lines\""),
        (&["x", "--follow=1"], "no value belongs to \"--follow\""),
        (&["x", "-fz"], "no such option \"-z\""),
        (&["--"], "the name of one service is needed"),
        (&["x", "y"], "unexpected argument \"y\""),
        (&["x", "-n", "many"], "not a number that can be meant \"many\""),
    ] {
        let ran = pintle(&[&["log", "--dir", directory], options].concat(), &[]);
        let expected = format!("pintle log: {expected}\ntry: pintle log --help\n");
        assert_eq!((ran.code, ran.err), (100, expected), "{options:?}");
    }
}

#[test]
fn without_a_supervisor_commands_fail_with_exit_code_111() {
    let nowhere = [("PINTLE_RUN", "/nonexistent/pintle".as_ref())];
    for arguments in [&["status"][..], &["list"], &["start", "x"], &["emit", "x"], &["shutdown"]] {
        let ran = pintle(arguments, &nowhere);
        assert_eq!(ran.code, 111, "{arguments:?}: {}{}", ran.out, ran.err);
        assert_eq!(ran.err, "pintle: cannot open /nonexistent/pintle: No such file or directory\n", "{arguments:?}");
    }
}

pub const SLEEP: &str = "command = /bin/sleep 1000\nlog = null\n";
const READY: &str = "command = /bin/sh -c 'echo >&3; exec sleep 1000'\nready = fd 3\nlog = null\n";

pub fn small() -> Machine {
    Machine::new(&[
        ("default", "type = bundle\ncontains = web\n"),
        ("web", &format!("{READY}needs = db\ndescription = a web server\n")),
        ("db", READY),
        ("nic", &format!("{SLEEP}while = net-up IFACE=eth*\n")),
        ("bad", "command = /nonexistent/program\nlog = null\n"),
        ("broken", &format!("{SLEEP}needs = bad\n")),
        ("once", "type = oneshot\ncommand = /bin/sh -c 'exit 3'\nlog = null\n"),
    ])
}

#[test]
fn start_stop_restart_and_release_do_what_they_say() {
    let machine = small();
    machine.wait_phase("default", "up");
    assert_eq!(
        machine.expect(&["stop", "--wait", "db"]),
        "default waiting: waits for web\nweb stopping\nweb waiting: waits for db\ndb stopping\ndb down\n"
    );
    assert!(
        machine.expect(&["why", "web"]).starts_with("web waits for db; db is held down by an administrator since ")
    );
    machine.expect(&["release", "db", "--wait"]);
    machine.wait_phase("web", "up");
    let (web, db) = (machine.pid("web"), machine.pid("db"));
    machine.expect(&["restart", "--wait", "db"]);
    assert_ne!(machine.pid("db"), db);
    assert_eq!(machine.pid("web"), web, "needing is not binding");
    assert_eq!(
        machine.expect(&["status", "web"]).lines().next().map(|line| line.starts_with("web: up for ")),
        Some(true)
    );
}

#[test]
fn exit_codes_tell_what_became_of_it() {
    let machine = small();
    for (arguments, code, message) in [
        (&["start", "--wait", "db"][..], 0, ""),
        (&["start", "--wait", "bad"], 1, "pintle: bad: failed: exec /nonexistent/program: No such file or directory\n"),
        (&["start", "--wait", "once"], 1, "pintle: once: failed: exit 3\n"),
        (&["start", "--no-wait", "bad"], 0, ""),
        (&["start", "wbe"], 100, "pintle: no service \"wbe\", did you mean \"web\"?\n"),
        (&["start", "web", "xyzzy"], 100, "pintle: no service \"xyzzy\"\n"),
        (&["reload", "db"], 1, "pintle: db: its file has no reload\n"),
        (&["signal", "NONSENSE", "db"], 100, "pintle: no signal \"NONSENSE\"\n"),
        (&["signal", "0", "db"], 100, "pintle: no signal \"0\"\n"),
        (&["signal", "USR1", "nic"], 1, "pintle: nic: not up\n"),
        (&["status", "nonesuch"], 100, "pintle: no service \"nonesuch\"\n"),
        (&["why", "wbe"], 100, "pintle: no service \"wbe\", did you mean \"web\"?\n"),
    ] {
        let ran = machine.run(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (code, message), "{arguments:?} {}", ran.out);
    }
    assert_eq!(machine.run(&["status", "db"]).code, 0);
    assert_eq!(machine.run(&["status", "db", "bad"]).code, 1);
    assert_eq!(machine.run(&["start", "--wait", "broken"]).code, 1);
    assert_eq!(
        cut_time(&machine.expect(&["why", "broken"])),
        "broken waits for bad; bad has failed: exec /nonexistent/program: No such file or directory"
    );
}

/// Without ` since 14:02:11Z` at the end.
fn cut_time(line: &str) -> &str {
    line.trim_end().rsplit_once(" since ").map_or(line, |(before, _)| before)
}

#[test]
fn json_says_what_the_text_says() {
    let machine = small();
    machine.wait_phase("default", "up");
    let web = machine.service("web");
    assert_eq!(
        (&web["type"], &web["goal"], &web["description"]),
        (&"longrun".into(), &"up".into(), &"a web server".into())
    );
    assert_eq!(web["holds"], serde_json::json!(["need"]));
    assert!(web["pid"].as_u64().is_some_and(|pid| pid > 1) && web["since"].as_u64().is_some());
    let named: serde_json::Value =
        serde_json::from_str(&machine.expect(&["status", "--json", "web", "db"])).expect("JSON");
    assert_eq!(named[1]["name"], "db");
    let status = machine.status();
    assert_eq!(status["boot"]["good"], true);
    assert_eq!((&status["engine"]["allocations"], &status["supervisor"]["allocations"]), (&0.into(), &0.into()));
}

/// Ready a moment after it has been started.
const SLOW: &str = "command = /bin/sh -c 'sleep 0.1; echo >&3; exec sleep 1000'\nready = fd 3\nlog = null\n";

#[test]
fn a_restart_is_done_when_what_it_took_down_is_up_again() {
    let machine = Machine::new(&[
        ("default", "type = bundle\ncontains = shop\n"),
        ("shop", &format!("{SLOW}needs = web\n")),
        ("web", &format!("{SLOW}binds = db\n")),
        ("db", READY),
    ]);
    machine.wait_phase("default", "up");
    let names = ["shop", "web", "db"];
    let pids = names.map(|name| machine.pid(name));
    machine.expect(&["restart", "--wait", "db"]);
    let services = machine.services();
    for (name, pid) in names.into_iter().zip(pids) {
        let service = services.iter().find(|service| service["name"] == name).expect("it is listed");
        assert_eq!(service["phase"], "up", "{service}");
        assert_ne!(service["pid"], pid, "{service}");
    }
}

#[test]
fn a_dependent_that_does_not_come_back_from_a_restart_is_told() {
    let folder = Folder::new();
    let may = folder.0.join("may");
    std::fs::write(&may, "").expect("a file");
    let once = format!("/bin/sh -c 'test -e {} || exit 7; echo >&3; exec sleep 1000'", may.display());
    let machine = Machine::new(&[
        ("default", "type = bundle\ncontains = web\n"),
        ("web", &format!("command = {once}\nready = fd 3\nrestart = never\nlog = null\nbinds = db\n")),
        ("db", READY),
    ]);
    machine.wait_phase("default", "up");
    std::fs::remove_file(&may).expect("it is there");
    let ran = machine.run(&["restart", "--wait", "db"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("pintle: web: failed: exit 7\n"), "{}", ran.err);
    std::fs::write(&may, "").expect("a file");
    machine.expect(&["reset", "--wait", "web"]);
    assert_eq!(machine.phase("default"), "up", "what waited for it is waited for");
}

#[test]
fn an_event_is_done_when_the_chain_that_it_started_is() {
    let machine = Machine::new(&[
        ("default", "type = bundle\ncontains = side\n"),
        ("top", &format!("{SLOW}start-on = go\nneeds = middle\n")),
        ("middle", &format!("{SLOW}needs = base\nwants = extra\n")),
        ("base", SLOW),
        ("extra", SLOW),
        ("side", &format!("{SLOW}while = up(top)\n")),
    ]);
    machine.wait_phase("side", "waiting");
    machine.expect(&["emit", "--wait", "go"]);
    let services = machine.services();
    let not_up = services.iter().find(|service| service["phase"] != "up");
    assert_eq!(not_up, None);
}

#[test]
fn what_is_not_waited_for_prints_the_number_to_wait_for() {
    let machine = Machine::new(&[("a", READY), ("b", READY)]);
    let first = machine.expect(&["start", "--no-wait", "a"]);
    let second = machine.expect(&["start", "--no-wait", "b"]);
    let numbers = [&first, &second].map(|text| text.trim_end().parse::<u32>().expect("a number"));
    assert_eq!(numbers[1], numbers[0] + 1);
    machine.expect(&["await", first.trim_end(), second.trim_end()]);
    assert_eq!((machine.phase("a").as_str(), machine.phase("b").as_str()), ("up", "up"));
    assert_eq!(machine.expect(&["emit", "nothing-hears-it"]), "");
    assert_eq!(machine.expect(&["stop", "a"]), "", "no number unless asked for");
}

#[test]
fn of_two_signals_at_once_none_is_lost_unsaid() {
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).display().to_string();
    let script = format!(
        "trap \": >{}\" USR1; trap \": >{}\" USR2; echo >&3; while :; do sleep 0.01; done",
        path("USR1"),
        path("USR2")
    );
    let machine = Machine::new(&[("trap", &format!("command = /bin/sh -c '{script}'\nready = fd 3\nlog = null\n"))]);
    machine.expect(&["start", "--wait", "trap"]);
    let mut stream = machine.connect();
    stream.write_all(b"signal USR1 trap\nsignal USR2 trap\n").expect("sent");
    let mut lines = BufReader::new(stream).lines();
    for name in ["USR1", "USR2"] {
        let line = lines.next().expect("an answer").expect("text");
        if line == "ok 0" {
            machine.wait(name, |_| folder.0.join(name).exists());
        } else {
            assert_eq!(line, "no trap: the signal before is still on its way; try again");
        }
    }
}

#[test]
fn a_restart_of_what_is_down_starts_it() {
    let machine = small();
    machine.wait_phase("default", "up");
    machine.expect(&["stop", "--wait", "db"]);
    machine.expect(&["restart", "--wait", "web"]);
    assert_eq!((machine.phase("db").as_str(), machine.phase("web").as_str()), ("up", "up"));
}

#[test]
fn looking_needs_no_engine() {
    let machine = small();
    machine.wait_phase("default", "up");
    // Stopped, it answers nobody.
    machine.kill(machine.engine(), libc::SIGSTOP);
    assert!(machine.expect(&["list"]).contains("web"));
    assert!(machine.expect(&["status", "web"]).starts_with("web: up"));
    assert!(machine.expect(&["tree"]).contains("db up"));
    assert!(machine.expect(&["why", "default"]).starts_with("default is up: the machine was booted into it ("));
    machine.kill(machine.engine(), libc::SIGCONT);
}

#[test]
fn damaged_files_are_refused_and_never_a_crash() {
    let machine = small();
    machine.wait_phase("default", "up");
    let copy = Folder::new();
    let names = ["boot.db", "reports", "published"];
    let originals = names.map(|name| std::fs::read(machine.run_directory().join(name)).expect("readable"));
    let environment = [("PINTLE_RUN", copy.0.as_os_str())];
    for (at, name) in names.iter().enumerate() {
        for (name, bytes) in names.iter().zip(&originals) {
            std::fs::write(copy.0.join(name), bytes).expect("written");
        }
        let whole = &originals[at];
        for cut in [0, 1, 4, 100, whole.len() / 2, whole.len() - 1] {
            std::fs::write(copy.0.join(name), &whole[..cut]).expect("written");
            for arguments in [&["list"][..], &["status"], &["status", "web"], &["list", "--json"], &["tree"]] {
                let ran = pintle(arguments, &environment);
                assert!((0..=1).contains(&ran.code) || ran.code == 111, "{name} cut to {cut}: {arguments:?} {ran:?}");
                assert!(*name != "boot.db" || ran.code == 111, "{name} cut to {cut}: {arguments:?} {ran:?}");
            }
        }
        let noise: Vec<u8> = (0..whole.len()).map(|at| ((at * 7919) >> 3) as u8).collect();
        std::fs::write(copy.0.join(name), &noise).expect("written");
        let ran = pintle(&["list", "--json"], &environment);
        assert!(ran.code == 0 || ran.code == 111, "{name} is noise: {ran:?}");
    }
}

#[test]
fn on_a_terminal_there_is_progress_and_colour() {
    let machine = small();
    machine.wait_phase("default", "up");
    let run = |arguments: &[&str], no_color: &str| {
        let (mut near, mut far) = (0, 0);
        // SAFETY: two places for descriptors; the rest is left to the system.
        let opened = unsafe {
            libc::openpty(&mut near, &mut far, std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut())
        };
        assert_eq!(opened, 0);
        // SAFETY: openpty has just made them, and nobody else has them.
        let (mut near, far) = unsafe { (std::fs::File::from_raw_fd(near), std::fs::File::from_raw_fd(far)) };
        let mut command = command();
        command
            .args(arguments)
            .env("PINTLE_RUN", machine.run_directory())
            .env("NO_COLOR", no_color)
            .env("TERM", "xterm");
        let mut child = command.stdout(far).spawn().expect("the binary runs");
        drop(command);
        let mut text = Vec::new();
        // The other end's last close is told as EIO.
        let _ = near.read_to_end(&mut text);
        assert!(child.wait().expect("it ends").success());
        String::from_utf8(text).expect("text")
    };
    assert!(run(&["list"], "").contains("\x1b[32mup\x1b[0m"));
    assert!(!run(&["list"], "1").contains('\x1b'));
    // It waits without being told to, and its last word stays.
    let text = run(&["restart", "db"], "");
    assert!(text.ends_with("db: \x1b[32mup\x1b[0m\r\n"), "{text:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_message() {
    let machine = small();
    let mut child = machine.spawn(&["list"]);
    drop(child.stdout.take());
    let mut message = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut message).expect("text");
    assert_eq!(message, "");
    child.wait().expect("it ends");
}

#[test]
fn shutdown_takes_everything_down_and_the_supervisor_with_it() {
    let machine = small();
    machine.wait_phase("default", "up");
    let pids = [machine.pid("web"), machine.pid("db"), machine.engine()];
    machine.expect(&["shutdown"]);
    machine.wait("the supervisor has ended", |machine| machine.ended().is_some());
    assert_eq!(machine.ended(), Some(0), "{}", machine.messages());
    assert!(!pids.into_iter().any(lives));
    assert_eq!(machine.run(&["start", "db"]).code, 111);
    let status = machine.run(&["status"]);
    assert_eq!(status.code, 1, "{status:?}");
    for told in
        ["; shut down\n", "supervisor  not running: everything was shut down; ", "engine      not running; 1 so far"]
    {
        assert!(status.out.contains(told), "{told}: {status:?}");
    }
}

#[test]
fn a_link_is_the_command_that_its_name_says() {
    let folder = Folder::new();
    for (link, code, start) in [
        ("pintle-start", 100, "pintle start: which service?\n"),
        ("pintle-emit", 100, "pintle emit: which event or condition?\n"),
        ("pintle-nonsense", 100, "pintle: no command \"nonsense\""),
        ("pintle", 0, ""),
        ("another-name", 0, ""),
    ] {
        let path = folder.0.join(link);
        std::os::unix::fs::symlink(binary(), &path).expect("a link");
        let output = std::process::Command::new(&path).output().expect("it runs");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{link}: {message}");
        assert!(message.starts_with(start), "{link}: {message}");
    }
}

#[test]
fn instances_are_named_as_people_name_them() {
    let machine = Machine::new(&[(
        "dhcp@",
        &format!(
            "{SLEEP}for-each = net-up IFACE=*\ninstance = ${{IFACE}}\ndescription = an address for each interface\n"
        ),
    )]);
    machine.expect(&["emit", "--wait", "--on", "net-up", "IFACE=eth0"]);
    machine.expect(&["emit", "--wait", "--on", "net-up", "IFACE=wl0"]);
    machine.wait_phase("dhcp@eth0", "up");
    machine.wait_phase("dhcp@wl0", "up");
    let status = machine.expect(&["status", "dhcp@eth0"]);
    assert!(status.contains("  an address for each interface\n"), "{status}");
    let rows: serde_json::Value = serde_json::from_str(&machine.expect(&["conditions", "--json"])).expect("JSON");
    let by = rows.as_array().and_then(|rows| rows.iter().find(|row| row["attributes"]["IFACE"] == "eth0"));
    let by = by.map(|row| format!("Z, by process {} of uid {})", row["pid"], row["uid"])).expect("it is on");
    let why = machine.expect(&["why", "dhcp@eth0"]);
    let begins = "dhcp@eth0 is up: a condition made this instance (net-up IFACE=eth0, on since ";
    assert!(why.starts_with(begins) && why.trim_end().ends_with(&by), "{why}");
    let goal = status.lines().find(|line| line.starts_with("  goal ")).expect("a line");
    let begins = "  goal       up: condition (net-up IFACE=eth0, on since ";
    assert!(goal.starts_with(begins) && goal.ends_with(&by), "{goal}");
    assert!(!why.contains("wl0") && !goal.contains("wl0"), "{why}{goal}");
    assert!(!machine.expect(&["list"]).lines().any(|line| line.starts_with("dhcp@ ")));
    assert!(machine.expect(&["list", "--all"]).lines().any(|line| line.starts_with("dhcp@ ")));
    machine.expect(&["restart", "--wait", "dhcp@eth0"]);
    machine.expect(&["emit", "--off", "net-up", "IFACE=eth0"]);
    machine.wait_phase("dhcp@eth0", "");
    assert_eq!(machine.phase("dhcp@wl0"), "up");
    assert_eq!(machine.run(&["status", "dhcp@eth0"]).code, 100);
    // The last news of an instance have its name, though it is no more.
    let mut stream = machine.connect();
    stream.write_all(b"wait off net-up IFACE=wl0\n").expect("the engine reads");
    let lines = BufReader::new(stream).lines().map(|line| line.expect("text"));
    let told: Vec<String> = lines.skip(1).take_while(|line| !line.starts_with("end ")).collect();
    assert_eq!(told, ["phase dhcp@wl0 stopping", "phase dhcp@wl0 down", "result dhcp@wl0 down"]);
}

#[test]
fn a_chain_of_commands_that_contradict_each_other_is_told_so() {
    let machine = Machine::new(&[("slow", "type = oneshot\ncommand = /bin/sleep 1000\nlog = null\n")]);
    let waiter = machine.spawn(&["start", "--wait", "slow"]);
    machine.wait_phase("slow", "starting");
    machine.expect(&["stop", "--wait", "slow"]);
    let done = waiter.wait_with_output().expect("it ends");
    assert_eq!(done.status.code(), Some(1));
    let message = String::from_utf8_lossy(&done.stderr);
    assert!(message.contains("a later command contradicted this one"), "{message}");
}
