//! Services whose processes have numbers of their own (`private = pid`). Takes root; who is not told so.

use crate::environment::{fails, is_root, link, read, refused_without_root, up};
use crate::harness::{Folder, Machine, children, command, command_of, lives, parent, program};

const ALONE: &[&str] = &["--no-cgroups", "s"];

/// A machine with this service, which has numbers of its own.
fn machine(text: &str, arguments: &[&str]) -> Machine {
    let text = format!("private = pid\n{text}");
    Machine::with(&[("s", &text), ("default", "type = bundle\nwants = s\n")], arguments)
}

/// All processes that are in the namespace of this one, by their numbers out here.
fn beside(pid: u32) -> Vec<u32> {
    let space = link(pid, "ns/pid");
    let numbers = std::fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let in_it =
        |pid: &u32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|its| its.as_os_str() == &*space);
    numbers.filter(|pid| lives(*pid) && in_it(pid)).collect()
}

/// The only child of a process.
fn child(of: u32) -> u32 {
    let text = read(format!("/proc/{of}/task/{of}/children").as_ref());
    text.trim().parse().unwrap_or_else(|_| panic!("one child of {of}: {text:?}"))
}

/// The main process as it is out here, once it has its program.
fn main_of(machine: &Machine) -> u32 {
    let outer = up(machine);
    let main = child(child(outer));
    assert_eq!(link(outer, "exe"), link(child(outer), "exe"));
    main
}

#[test]
fn it_sees_its_own_processes_and_no_others() {
    if !is_root() {
        return fails("private = pid\n", "private pid: Operation not permitted");
    }
    let machine = machine(&format!("command = {}\nread-only = /\n", program("pause")), &[]);
    let main = main_of(&machine);
    let status = read(format!("/proc/{main}/status").as_ref());
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).expect("a kernel with namespaces");
    assert_eq!(numbers.split_whitespace().next_back(), Some("2"), "{status}");
    let inside = format!("/proc/{main}/root/proc");
    let seen = std::fs::read_dir(&inside)
        .expect("it has one")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().expect("UTF-8").parse::<u32>().ok());
    let mut seen: Vec<u32> = seen.collect();
    seen.sort();
    assert_eq!(seen, [1, 2]);
    // Who only waits holds nothing open that is the service's.
    for waits in [machine.pid("s"), child(machine.pid("s"))] {
        let open = std::fs::read_dir(format!("/proc/{waits}/fd")).expect("readable").flatten();
        let open: Vec<_> = open.map(|entry| link(waits, &format!("fd/{}", entry.file_name().display()))).collect();
        assert!(
            open.len() == 2 && open.iter().all(|to| to.starts_with("pipe:") || to.contains("signalfd")),
            "{open:?}"
        );
    }
    // And it is as read-only as the rest.
    let written = std::fs::write(format!("{inside}/sys/kernel/ns_last_pid"), "9").expect_err("it is read-only");
    assert_eq!(written.raw_os_error(), Some(libc::EROFS));
}

#[test]
fn its_end_is_that_of_its_main_process() {
    if refused_without_root() {
        return;
    }
    for (script, expected) in [("exit 7", "exit 7"), ("kill -USR1 $$", "USR1"), ("kill -KILL $$", "KILL")] {
        let machine = machine(&format!("restart = never\nready = fd 3\ncommand = /bin/sh -c '{script}'\n"), &[]);
        machine.wait_phase("s", "failed");
        let said = machine.run(&["status", "--lines", "0", "s"]).out;
        assert!(said.contains(expected), "{script}: {said}");
    }
    // What is missing is told as ever.
    let machine = machine("restart = never\ncommand = /no/such\n", &[]);
    machine.wait_phase("s", "failed");
    let said = machine.run(&["status", "--lines", "0", "s"]).out;
    assert!(said.contains("/no/such: No such file or directory"), "{said}");
}

#[test]
fn a_signal_reaches_who_handles_none() {
    if refused_without_root() {
        return;
    }
    let folder = Folder::new();
    let trace = folder.0.join("trace");
    // As process 1 it would not hear of it.
    let machine = machine(
        &format!(
            "stop-timeout = 10m\ncommand = {}\ncleanup = /bin/sh -c 'echo over >>{1}'\nreload = signal HUP\n",
            program("pause"),
            trace.display()
        ),
        &[],
    );
    let all = beside(main_of(&machine));
    assert_eq!(all.len(), 2);
    machine.expect(&["stop", "--wait", "s"]);
    assert_eq!((all.iter().filter(|pid| lives(**pid)).count(), &*read(&trace)), (0, "over\n"));
    let said = machine.run(&["status", "--lines", "0", "s"]).out;
    assert!(said.contains("TERM") && !said.contains("KILL"), "{said}");
}

#[test]
fn nothing_outlives_it_without_control_groups() {
    if refused_without_root() {
        return;
    }
    // Who has gone into sessions of their own, with nothing in their environment to know them by.
    let script = format!("env -i {} 3; exec {}", program("forker"), program("pause"));
    let machine = machine(&format!("restart-delay = 0s\ncommand = /bin/sh -c '{script}'\n"), ALONE);
    let settled = || {
        machine.wait("three are left", |machine| {
            machine.phase("s") == "up" && {
                let inner = read(format!("/proc/{0}/task/{0}/children", machine.pid("s")).as_ref());
                inner.trim().parse().is_ok_and(|first: u32| beside(first).len() == 5)
            }
        });
        beside(child(machine.pid("s")))
    };
    let all = settled();
    machine.expect(&["stop", "--wait", "s"]);
    assert!(!all.iter().any(|pid| lives(*pid)), "{all:?}");
    // Whoever of those that stand for it is killed: none is there when the next life begins.
    for which in 0..3 {
        machine.expect(&["start", "--wait", "s"]);
        let (all, outer) = (settled(), machine.pid("s"));
        let killed =
            [outer, child(outer), *all.iter().find(|pid| parent(**pid) == child(outer)).expect("the main one")];
        machine.kill(killed[which], libc::SIGKILL);
        machine.wait_new_life("s", outer);
        assert!(!all.iter().any(|pid| lives(*pid)), "{which}: {all:?}");
        machine.expect(&["stop", "--wait", "s"]);
    }
    assert!(children(&machine, "forker").is_empty());
}

#[test]
fn commands_beside_it_have_its_numbers() {
    if refused_without_root() {
        return;
    }
    let folder = Folder::new();
    let told = |name: &str| folder.0.join(name);
    let user = "user = 65534\ngroup = 65534\n";
    for (keys, name) in [("private = pid\n", "plain"), ("private = pid user\n", "users")] {
        let tell = |what: &str| {
            let file = folder.write(&format!("{name}.{what}"), "");
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("ours");
            format!("echo $MAINPID $(readlink /proc/self/ns/pid) >{}", file.display())
        };
        let text = format!(
            "{keys}{user}health-interval = 100ms\nhealth = /bin/sh -c '{}'\n\
             reload = /bin/sh -c '{}; kill -HUP $MAINPID'\nstop = /bin/sh -c '{}; kill $MAINPID'\n\
             command = /bin/sh -c 'trap \"echo $$ $WATCHDOG_PID >{}\" HUP; while :; do sleep 0.01; done'\n",
            tell("health"),
            tell("reload"),
            tell("stop"),
            told(&format!("{name}.heard")).display(),
        );
        tell("heard");
        let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
        let main = main_of(&machine);
        let expected = format!("2 {}\n", link(main, "ns/pid"));
        machine.wait("its health is looked at", |_| read(&told(&format!("{name}.health"))) == expected);
        machine.expect(&["reload", "s"]);
        machine.wait("it was told", |_| read(&told(&format!("{name}.heard"))).trim() == "2");
        assert_eq!(read(&told(&format!("{name}.reload"))), expected);
        machine.expect(&["stop", "--wait", "s"]);
        assert_eq!(read(&told(&format!("{name}.stop"))), expected);
    }
}

#[test]
fn what_names_its_main_process_has_its_numbers() {
    if refused_without_root() {
        return;
    }
    // It exits with 3 where WATCHDOG_PID is not its own.
    let text =
        format!("ready = notify\nwatchdog = 5m\nrestart-limit = 1\ncommand = {} -w 50 READY=1\n", program("notify"));
    let watched = machine(&text, &[]);
    watched.wait("it has said so", |machine| machine.run(&["log", "s"]).out.contains(" 2\n"));
    assert_eq!(watched.phase("s"), "up");
    let folder = Folder::new();
    let text = format!(
        "listen = unix:{}\nlog = file\ncommand = /bin/sh -c 'echo $$ $LISTEN_PID; exec {}'\n",
        folder.0.join("socket").display(),
        program("pause")
    );
    let listens = machine(&text, &[]);
    listens.wait("it has said so", |machine| machine.run(&["log", "s"]).out.contains(" 2 2\n"));
}

#[test]
fn a_number_that_it_names_is_nobody_elses() {
    if refused_without_root() {
        return;
    }
    let folder = Folder::new();
    let file = folder.0.join("pid");
    // A child of the supervisor that is nobody's, and a service that names its number when it ends.
    let leaves =
        format!("type = oneshot\nkill-mode = process\ncommand = {} -p {} 1\n", program("forker"), file.display());
    let names = format!(
        "private = pid\nready = notify\nrestart = never\nneeds-to-start = leaves\n\
         command = /bin/sh -c '{} -c READY=1\\\\nMAINPID=$(cat {})'\n",
        program("notify"),
        file.display()
    );
    let machine = Machine::with(
        &[("leaves", &leaves), ("s", &names), ("default", "type = bundle\nwants = s\n")],
        &["--no-cgroups", "default"],
    );
    machine.wait("it has ended", |machine| matches!(&*machine.phase("s"), "done" | "failed"));
    let left: u32 = read(&file).trim().parse().expect("a pid");
    assert!(lives(left), "the other one is left alone");
    machine.kill(left, libc::SIGKILL);
}

#[test]
fn a_getty_with_numbers_of_its_own_has_its_terminal() {
    if refused_without_root() {
        return;
    }
    let (mut master, mut slave, mut name) = (0, 0, [0; 64]);
    // SAFETY: all of it is ours, and the name of a terminal is short.
    let opened = unsafe {
        libc::openpty(&mut master, &mut slave, name.as_mut_ptr(), std::ptr::null_mut(), std::ptr::null_mut())
    };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: it ends in NUL.
    let name = unsafe { std::ffi::CStr::from_ptr(name.as_ptr()) }.to_str().expect("UTF-8");
    let machine = machine(&format!("tty = {name}\ncommand = {}\n", program("pause")), &[]);
    let main = main_of(&machine);
    let status = read(format!("/proc/{main}/stat").as_ref());
    let (_, behind) = status.rsplit_once(") ").expect("a name");
    let fields: Vec<&str> = behind.split(' ').collect();
    assert!(fields[3] == main.to_string() && fields[4] != "0", "its session has a terminal: {status}");
    assert_eq!(["fd/0", "fd/1", "fd/2"].map(|at| link(main, at)), [name; 3]);
}

#[test]
fn a_supervisor_that_crashes_goes_on_with_it() {
    if refused_without_root() {
        return;
    }
    let machine = machine(&format!("command = {}\n", program("pause")), &[]);
    let main = main_of(&machine);
    let outer = machine.pid("s");
    machine.kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait("it has recovered", |machine| machine.status()["supervisor"]["recoveries"] == 1);
    assert_eq!((machine.pid("s"), lives(main)), (outer, true));
    machine.expect(&["stop", "--wait", "s"]);
    assert!(!lives(outer) && !lives(main));
}

#[test]
fn what_is_bound_below_its_proc_is_so_there() {
    if refused_without_root() {
        return;
    }
    let folder = Folder::new();
    let file = folder.write("meminfo", "none\n");
    let text = format!(
        "bind = {}:/proc/meminfo\ninaccessible = /proc/cmdline\nread-only = /proc/sys\ncommand = {}\n",
        file.display(),
        program("pause")
    );
    let machine = machine(&text, &[]);
    let inside = std::path::PathBuf::from(format!("/proc/{}/root/proc", main_of(&machine)));
    assert_eq!(read(&inside.join("meminfo")), "none\n");
    assert!(std::fs::File::open(inside.join("cmdline")).is_err());
    let written = std::fs::write(inside.join("sys/kernel/ns_last_pid"), "9").expect_err("it is read-only");
    assert_eq!(written.raw_os_error(), Some(libc::EROFS));
}

#[test]
fn without_root_a_namespace_of_users_gives_it_too() {
    let mut command = if is_root() { command_of(65534, 65534) } else { command() };
    // The status pipe is descriptor 0, of which nobody reads here.
    command.args([
        "exec",
        "0",
        "-N",
        "user",
        "-N",
        "pid",
        "--",
        "/bin/sh",
        "-c",
        "echo $$ $(ls -d /proc/[0-9]*); exit 5",
    ]);
    let done = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout);
    let (first, rest) = said.split_once(' ').unwrap_or_default();
    if done.status.code() == Some(111) {
        // Some machines let nobody have one, or hide a part of /proc.
        return assert!(said.is_empty());
    }
    assert_eq!((first, done.status.code()), ("2", Some(5)));
    assert!(rest.starts_with("/proc/1 /proc/2 /proc/3"), "{said}");
}

#[test]
fn it_does_not_outlive_who_waits_for_it_though_nobody_supervises() {
    if refused_without_root() {
        return;
    }
    let machine = machine(&format!("command = {}\n", program("pause")), &[]);
    let (main, supervisor) = (main_of(&machine), machine.supervisor());
    let outer = machine.pid("s");
    machine.kill(supervisor, libc::SIGKILL);
    machine.wait("it has no parent", |_| !lives(supervisor) && parent(outer) != supervisor);
    machine.kill(outer, libc::SIGKILL);
    machine.wait("it has ended", |_| !lives(main));
}

#[test]
fn what_heeds_nothing_is_killed_in_time_with_all_that_stands_for_it() {
    if refused_without_root() {
        return;
    }
    let machine = machine(&format!("stop-timeout = 100ms\ncommand = {}\n", program("stubborn")), ALONE);
    let all = beside(main_of(&machine));
    machine.expect(&["stop", "--wait", "s"]);
    assert!(!all.iter().any(|pid| lives(*pid)), "{all:?}");
    let said = machine.run(&["status", "--lines", "0", "s"]).out;
    assert!(said.contains("KILL"), "{said}");
}

#[test]
fn a_supervisor_that_comes_after_one_that_was_killed_begins_it_anew() {
    if refused_without_root() {
        return;
    }
    let machine = machine(&format!("command = {}\n", program("pause")), ALONE);
    let main = main_of(&machine);
    let (outer, supervisor) = (machine.pid("s"), machine.supervisor());
    machine.kill(supervisor, libc::SIGKILL);
    machine.wait("it has ended", |_| !lives(supervisor));
    machine.supervise_again(ALONE);
    machine.wait_new_life("s", outer);
    assert!(!lives(main) && !lives(outer));
}

#[test]
fn below_a_root_it_has_its_proc_where_there_is_a_place() {
    if refused_without_root() {
        return;
    }
    for (place, expected) in [("proc", true), ("other", false)] {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.0.join("root").join(place)).expect("a folder");
        let root = folder.0.join("root");
        std::fs::copy(program("pause"), root.join("pause")).expect("a copy");
        let machine = machine(&format!("root = {}\ncommand = /pause\n", root.display()), &[]);
        let main = main_of(&machine);
        assert_eq!(read(format!("/proc/{main}/root/proc/2/comm").as_ref()) == "pause\n", expected);
        assert!(!root.join("proc/2").exists(), "nobody else sees it");
    }
}
