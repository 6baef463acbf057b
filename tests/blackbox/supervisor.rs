//! The supervisor: spawns that fail, restarts, time limits, stops, what is left behind, and its own end.

use crate::harness::{Folder, Machine, kill, lives, parent, pintle, program};
use std::os::unix::process::CommandExt;
use std::path::Path;

/// Files of a machine: `pause` and the like stand for the small programs.
fn service(text: &str) -> String {
    let mut text = text.to_string();
    for name in ["pause", "ready", "exit", "notify", "crash", "stubborn", "forker", "tell"] {
        text = text.replace(&format!("@{name}"), &program(name));
    }
    format!("{text}\nlog = console\n")
}

fn machine(services: &[(&str, &str)], arguments: &[&str]) -> Machine {
    let texts: Vec<(&str, String)> = services.iter().map(|(name, text)| (*name, service(text))).collect();
    let mut files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let names: Vec<&str> = services.iter().map(|(name, _)| *name).collect();
    let default = format!("type = bundle\ncontains = {}\n", names.join(" "));
    files.push(("default", &default));
    Machine::with(&files, arguments)
}

fn status(machine: &Machine, name: &str) -> String {
    machine.run(&["status", name]).out
}

#[test]
fn a_spawn_that_fails_says_which_step_and_why_and_everything_else_goes_on() {
    let machine = machine(
        &[
            ("absent", "type = longrun\ncommand = /nonexistent/program\nrestart = always"),
            ("nowhere", "type = longrun\ncommand = @pause\ndirectory = /nonexistent"),
            ("noexec", "type = oneshot\ncommand = /etc/passwd"),
            ("waits", "type = longrun\ncommand = @pause\nneeds = absent"),
            ("fine", "type = longrun\ncommand = @pause"),
        ],
        &["default"],
    );
    machine.wait_phase("fine", "up");
    for (name, reason) in [
        ("absent", "exec /nonexistent/program: No such file or directory"),
        ("nowhere", "chdir /nonexistent: No such file or directory"),
        ("noexec", "exec /etc/passwd: Permission denied"),
    ] {
        machine.wait_phase(name, "failed");
        let text = status(&machine, name);
        assert!(text.contains(reason), "{name}: {text}");
    }
    machine.wait_phase("waits", "waiting");
}

#[test]
fn a_crash_is_followed_by_a_new_life_until_the_limit() {
    let machine = machine(
        &[
            ("kept", "type = longrun\ncommand = @pause\nrestart-delay = 0"),
            ("loops", "type = longrun\ncommand = @exit 3\nrestart-delay = 0\nrestart-limit = 4\nrestart-window = 1h"),
            ("ends", "type = longrun\ncommand = @exit 0\nrestart = on-failure"),
        ],
        &["default"],
    );
    machine.wait_phase("kept", "up");
    let first = machine.pid("kept");
    kill(first, libc::SIGKILL);
    machine.wait_new_life("kept", first);
    assert!(status(&machine, "kept").contains("killed by signal 9"), "{}", status(&machine, "kept"));
    machine.wait_phase("loops", "failed");
    let text = status(&machine, "loops");
    assert!(text.contains("exit 3") && text.contains("4 of 4 deaths"), "{text}");
    machine.wait_phase("ends", "done");
}

#[test]
fn what_is_not_ready_in_time_is_killed_and_what_says_so_is_up() {
    let machine = machine(
        &[
            ("pipe", "type = longrun\ncommand = @ready 5\nready = fd 5"),
            ("datagram", "type = longrun\ncommand = @notify\nready = notify"),
            ("silent", "type = longrun\ncommand = @pause\nready = fd 3\nstart-timeout = 200ms\nrestart = never"),
            ("endless", "type = oneshot\ncommand = @pause\nstart-timeout = 200ms"),
        ],
        &["default"],
    );
    for name in ["pipe", "datagram"] {
        machine.wait_phase(name, "up");
    }
    for name in ["silent", "endless"] {
        machine.wait_phase(name, "failed");
        assert_eq!(machine.pid(name), 0);
    }
}

#[test]
fn what_does_not_heed_its_stop_signal_is_killed_with_its_group() {
    let folder = Folder::new();
    let pids = folder.0.join("pid");
    // A shell that heeds nothing, and a child of it in its group that heeds nothing either.
    let script = format!("trap '' TERM; sleep 1000 & echo $! >{}; while :; do wait; done", pids.display());
    let text = format!("type = longrun\ncommand = /bin/sh -c \"{script}\"\nstop-timeout = 200ms");
    let machine = machine(&[("deaf", &text)], &["default"]);
    machine.wait_phase("deaf", "up");
    machine.wait("the shell has a child", |_| number_in(&pids) != 0);
    let (main, child) = (machine.pid("deaf"), number_in(&pids));
    machine.expect(&["stop", "--wait", "deaf"]);
    machine.wait("both are gone", |_| !lives(main) && !lives(child));
}

/// A shell that names a child in a session of its own as the main process, and dies of what it is sent.
fn handing_over(child: &str, pids: &Path, rest: &str) -> String {
    let notify = format!("{} -c \\\"MAINPID=$!\\nREADY=1\\\"", program("notify"));
    let script = format!("setsid {child} & echo $! >{}; {notify}; wait", pids.display());
    format!("type = longrun\ncommand = /bin/sh -c \"{script}\"\nready = notify\n{rest}")
}

#[test]
fn a_stop_reaches_the_process_that_was_named_as_the_main_one() {
    let folder = Folder::new();
    let [heeds, deaf] = ["heeds", "deaf"].map(|name| folder.0.join(name));
    let machine = machine(
        &[
            ("heeds", &handing_over("sleep 1000", &heeds, "stop-timeout = 10m")),
            ("deaf", &handing_over(&program("stubborn"), &deaf, "stop-timeout = 200ms")),
        ],
        &["default"],
    );
    for (name, pids) in [("heeds", &heeds), ("deaf", &deaf)] {
        machine.wait_phase(name, "up");
        machine.expect(&["stop", "--wait", name]);
        assert!(!lives(number_in(pids)), "{name}");
    }
}

fn number_in(path: &Path) -> u32 {
    std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[test]
fn what_a_dead_service_left_in_its_group_does_not_live_beside_the_next_one() {
    let folder = Folder::new();
    let pids = folder.0.join("pid");
    let script = format!("{} & echo $! >{}; exec {}", program("stubborn"), pids.display(), program("pause"));
    let text = format!("type = longrun\ncommand = /bin/sh -c \"{script}\"\nrestart-delay = 0");
    let machine = machine(&[("parent", &text)], &["default"]);
    machine.wait_phase("parent", "up");
    machine.wait("it has a child", |_| number_in(&pids) != 0);
    let (main, child) = (machine.pid("parent"), number_in(&pids));
    kill(main, libc::SIGKILL);
    machine.wait_new_life("parent", main);
    machine.wait("the child of the life before is gone", |_| !lives(child));
}

#[test]
fn each_of_several_stop_signals_arrives_and_the_last_is_not_the_only_one() {
    let folder = Folder::new();
    let (trace, script) = (folder.0.join("trace"), folder.0.join("script"));
    let says = |signal: &str, more: &str| format!("trap 'echo {signal} >>{}{more}' {signal}\n", trace.display());
    let text = format!(
        "{}{}{}echo up >&3\nexec 3>&-\nwhile :; do sleep 1000 & wait; done\n",
        says("HUP", ""),
        says("USR2", ""),
        says("TERM", "; exit 0")
    );
    std::fs::write(&script, text).expect("a script");
    let text = format!("command = /bin/sh {}\nready = fd 3\nstop = signal HUP USR2 TERM", script.display());
    let machine = machine(&[("shell", &text)], &["default"]);
    machine.wait_phase("shell", "up");
    machine.expect(&["stop", "--wait", "shell"]);
    assert_eq!(std::fs::read_to_string(&trace).expect("the trace"), "HUP\nUSR2\nTERM\n");
}

#[test]
fn a_oneshot_that_is_up_is_taken_down_by_its_stop_command() {
    let folder = Folder::new();
    let trace = folder.0.join("trace");
    let text = format!("type = oneshot\ncommand = @tell {0} up\nstop = @tell {0} down", trace.display());
    let machine = machine(&[("mount", &text)], &["default"]);
    machine.wait_phase("mount", "up");
    machine.expect(&["restart", "--wait", "mount"]);
    machine.expect(&["stop", "--wait", "mount"]);
    assert_eq!(std::fs::read_to_string(&trace).expect("the trace"), "up\ndown\nup\ndown\n");
}

#[test]
fn every_process_has_the_same_surroundings() {
    let folder = Folder::new();
    let told = folder.0.join("told");
    let script = format!(
        "(env | sort; pwd; umask; ls /proc/self/fd; sed -n 's/^Sig[BI].*:.//p' /proc/self/status; \
         cut -d' ' -f5-6 /proc/$$/stat) >{}.new; mv {0}.new {0}",
        told.display()
    );
    let text = format!("type = oneshot\ncommand = /bin/sh -c \"{script}\"\nenv = A=1 PATH=/bin:/usr/bin\numask = 027");
    let machine = machine(&[("shell", &text)], &["default"]);
    machine.wait_phase("shell", "up");
    let text = std::fs::read_to_string(&told).expect("what it told");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("_=") && !line.starts_with("SHLVL=")).collect();
    let (environment, rest) = lines.split_at(4);
    assert_eq!(environment, ["A=1", "PATH=/bin:/usr/bin", "PINTLE_SERVICE=shell", "PWD=/"], "{text}");
    // Directory, mask; descriptors 0 to 2 and the one that ls has open; no signal is blocked, and none ignored.
    let none = "0000000000000000";
    assert_eq!(&rest[..rest.len() - 1], ["/", "0027", "0", "1", "2", "3", none, none], "{text}");
    let (group, session) = rest[rest.len() - 1].split_once(' ').expect("two numbers");
    assert_eq!(group, session, "it leads a session of its own: {text}");
}

#[test]
fn services_and_their_pids_do_not_notice_that_the_engine_is_killed() {
    let machine =
        machine(&[("a", "type = longrun\ncommand = @pause"), ("b", "type = longrun\ncommand = @pause")], &["default"]);
    for name in ["a", "b"] {
        machine.wait_phase(name, "up");
    }
    for _ in 0..5 {
        let (engine, pids) = (machine.engine(), (machine.pid("a"), machine.pid("b")));
        kill(engine, libc::SIGKILL);
        machine.wait_new_engine(engine);
        machine.wait_phase("b", "up");
        assert_eq!(pids, (machine.pid("a"), machine.pid("b")));
    }
    let first = machine.pid("a");
    machine.expect(&["restart", "--wait", "a"]);
    assert_ne!(first, machine.pid("a"));
}

#[test]
fn what_daemons_leave_behind_is_adopted_reaped_and_gone_at_the_end() {
    let folder = Folder::new();
    let pids = folder.0.join("pid");
    let text = format!("type = oneshot\ncommand = @forker -p {}", pids.display());
    let machine = machine(&[("forks", &text)], &["default"]);
    machine.wait_phase("forks", "up");
    let orphan = number_in(&pids);
    assert!(lives(orphan));
    machine.wait("the supervisor has adopted it", |machine| parent(orphan) == machine.supervisor());
    kill(machine.supervisor(), libc::SIGTERM);
    machine.wait("the supervisor has ended", |machine| machine.ended().is_some());
    assert_eq!((machine.ended(), lives(orphan)), (Some(0), false));
}

#[test]
fn a_shutdown_has_a_bound_after_which_everything_is_killed() {
    let folder = Folder::new();
    let deaf = folder.0.join("deaf");
    let machine = machine(
        &[("deaf", &format!("type = longrun\ncommand = @stubborn {}\nstop-timeout = 1h", deaf.display()))],
        &["--shutdown-timeout", "300ms", "default"],
    );
    machine.wait_phase("deaf", "up");
    machine.wait("it ignores signals", |_| deaf.exists());
    let pid = machine.pid("deaf");
    kill(machine.supervisor(), libc::SIGTERM);
    machine.wait("the supervisor has ended", |machine| machine.ended().is_some());
    assert_eq!((machine.ended(), lives(pid)), (Some(1), false));
}

#[test]
fn one_run_directory_has_one_supervisor() {
    let machine = machine(&[("a", "type = longrun\ncommand = @pause")], &["default"]);
    machine.wait_phase("a", "up");
    let (database, run) = (machine.folder.0.join("boot.db"), machine.run_directory());
    let (database, run) = (database.to_str().expect("UTF-8"), run.to_str().expect("UTF-8"));
    let second = pintle(&["supervise", "--db", database, "--run", run], &[]);
    assert_eq!(second.code, 1);
    let expected = format!("pintle: {run}: another supervisor runs here, process {}\n", machine.supervisor());
    assert_eq!(second.err, expected);
    assert_eq!(machine.phase("a"), "up");
}

#[test]
fn a_database_that_is_none_or_has_no_such_bundle_is_refused_by_name() {
    let machine = machine(&[("a", "type = longrun\ncommand = @pause")], &["default"]);
    let database = machine.folder.0.join("boot.db");
    let run = machine.folder.0.join("other");
    let refused = |database: &Path, bundle: &str| {
        let (database, run) = (database.to_str().expect("UTF-8"), run.to_str().expect("UTF-8"));
        let ran = pintle(&["supervise", "--db", database, "--run", run, bundle], &[]);
        (ran.code, ran.err.replace(database, "DB"))
    };
    assert_eq!(refused(&database, "nothing"), (100, "pintle: DB: no service \"nothing\" to boot\n".into()));
    let bytes = std::fs::read(&database).expect("the database");
    let damaged = machine.folder.0.join("damaged.db");
    std::fs::write(&damaged, &bytes[..bytes.len() - 4]).expect("written");
    let (code, text) = refused(&damaged, "default");
    assert_eq!(code, 100, "{text}");
    assert!(text.starts_with("pintle: DB: "), "{text}");
    let (code, text) = refused(&machine.folder.0.join("absent.db"), "default");
    assert_eq!((code, text.as_str()), (111, "pintle: cannot open DB: No such file or directory\n"));
}

#[test]
fn truncating_the_files_of_readers_harms_nobody() {
    let machine = machine(&[("a", "type = longrun\ncommand = @pause\nrestart-delay = 0")], &["default"]);
    machine.wait_phase("a", "up");
    let pid = machine.pid("a");
    // The original: the supervisor has a copy.
    std::fs::File::create(machine.folder.0.join("boot.db")).expect("truncated");
    kill(pid, libc::SIGKILL);
    machine.wait_new_life("a", pid);
}

#[test]
fn the_supervisor_has_precedence_and_its_services_begin_with_none() {
    // SAFETY: getpriority(2) only looks.
    let nice = |pid: u32| unsafe { libc::getpriority(libc::PRIO_PROCESS, pid) };
    // What the tests' own nice value is, stays; less than it not everybody may have.
    let most = nice(std::process::id());
    let polite = most.max(7);
    let text = format!("type = longrun\ncommand = @pause\nnice = {polite}");
    let machine = machine(&[("usual", "type = longrun\ncommand = @pause"), ("polite", &text)], &["default"]);
    machine.wait_phase("usual", "up");
    machine.wait_phase("polite", "up");
    // By a capability or a limit, and not everybody has one, nor root in every container: whether it may be done is
    // tried.
    let mut other = std::process::Command::new("true");
    // SAFETY: a system call between fork and exec.
    unsafe {
        other.pre_exec(|| match libc::setpriority(libc::PRIO_PROCESS, 0, -10) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let may = other.status().is_ok();
    assert_eq!(nice(machine.supervisor()), if may && most == 0 { -10 } else { most });
    assert_eq!((nice(machine.pid("usual")), nice(machine.pid("polite"))), (most, polite));
}

#[test]
fn orphans_that_were_reaped_are_told_where_there_are_any() {
    let machine = Machine::new(&[("leaver", "command = /bin/sh -c '(/bin/true & exec /bin/true); exec sleep 1000'\n")]);
    assert!(!machine.run(&["status"]).out.contains("orphans"));
    machine.expect(&["start", "--wait", "leaver"]);
    machine
        .wait("an orphan is told", |machine| machine.run(&["status"]).out.contains(" after start, 1 orphans reaped\n"));
    assert_eq!(machine.status()["supervisor"]["orphans"], 1);
}

#[test]
fn ends_that_a_file_names_are_good_or_the_last() {
    let services = [
        ("good", "type = longrun\ncommand = @exit 3\nrestart = on-failure\nsuccess-exit = 3 TERM"),
        ("last", "type = longrun\ncommand = @exit 7\nno-restart-exit = 7"),
        ("killed", "type = longrun\ncommand = @crash 10 0\nno-restart-exit = USR1"),
        ("once", "type = oneshot\ncommand = @exit 3\nsuccess-exit = 3"),
        ("tried", "type = oneshot\ncommand = @exit 7\nretries = 5\nretry-delay = 1h\nno-restart-exit = 7"),
        ("heard", "type = oneshot\ncommand = @exit 0\nstart-on = stopped SERVICE=good RESULT=ok"),
        ("default", "type = bundle\nwants = good last killed once tried"),
    ];
    let texts =
        services.map(|(name, text)| (name, if name == "default" { format!("{text}\n") } else { service(text) }));
    let machine = Machine::new(&texts.each_ref().map(|(name, text)| (*name, text.as_str())));
    for (name, phase) in [
        ("good", "done"),
        ("last", "failed"),
        ("killed", "failed"),
        ("once", "up"),
        ("tried", "failed"),
        ("heard", "up"),
    ] {
        machine.wait_phase(name, phase);
    }
    assert!(!status(&machine, "last").contains("restarts   1"), "{}", status(&machine, "last"));
}
