//! Leftovers of services, where the machine has a cgroup v2 that we may write (in a container often without any
//! controller) and where not: the same services, with `--no-cgroups` and without. `boot.rs` has a whole one.

use crate::harness::{Folder, Machine, children, lives, pause, pintle, program};
use std::path::PathBuf;

/// The directory of the machine's groups, if it has any.
fn groups(machine: &Machine) -> Option<PathBuf> {
    std::fs::read_link(machine.run_directory().join("cgroup")).ok()
}

/// The processes of a service's group.
fn pids(machine: &Machine, service: &str) -> Vec<u32> {
    let path = groups(machine).expect("control groups").join(format!("{service}.svc/cgroup.procs"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|pid| pid.parse().expect("a number")).collect()
}

/// Those of a `leaver` that is up, once it has left both: then it has become `pause`.
fn settled(machine: &Machine, service: &str) -> Vec<u32> {
    machine.wait("both are left", |machine| {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", machine.pid(service))).unwrap_or_default();
        machine.phase(service) == "up" && name == "pause\n"
    });
    let all = pids(machine, service);
    assert_eq!(all.len(), 3, "{all:?}");
    all
}

/// Whether groups can be had here: what the supervisor is to find out by itself.
fn can_have_groups() -> bool {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (own, mounts) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"));
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").trim_end_matches('/').to_string();
    mounts.lines().filter(|line| line.contains(" - cgroup2 ")).any(|line| {
        let at = line.split(' ').nth(4).expect("a mount point");
        let inner = PathBuf::from(format!("{at}{own}/pintle-probe-{}", std::process::id()));
        let made = std::fs::create_dir(&inner).is_ok();
        let good = inner.join("cgroup.kill").exists();
        if made {
            std::fs::remove_dir(&inner).expect("it is empty");
        }
        made && good
    })
}

/// A service that leaves two behind in sessions of their own, and its file's further lines.
fn leaver(keys: &str) -> String {
    format!("command = /bin/sh -c '{} -p \"$PIDS\" 2; exec {}'\n{keys}", program("forker"), program("pause"))
}

#[test]
fn a_service_has_a_group_of_its_own_where_the_machine_has_groups() {
    let machine = Machine::new(&[("web", &pause("")), ("default", "type = bundle\nwants = web\n")]);
    machine.wait_phase("web", "up");
    assert_eq!(groups(&machine).is_some(), can_have_groups());
    let without = Machine::with(&[("web", &pause(""))], &["--no-cgroups", "web"]);
    without.wait_phase("web", "up");
    assert_eq!(groups(&without), None);
    let Some(groups) = groups(&machine) else { return };
    assert_eq!(pids(&machine, "web"), [machine.pid("web")]);
    machine.expect(&["stop", "web", "--wait"]);
    machine.wait("its group is gone", |_| !groups.join("web.svc").exists());
    machine.expect(&["shutdown", "--wait"]);
    assert!(!groups.exists(), "{}", groups.display());
}

#[test]
fn descendants_in_sessions_of_their_own_end_with_their_service() {
    let folder = Folder::new();
    let file = folder.0.join("pids");
    let text = leaver(&format!("env = PIDS={}\nrestart-delay = 0s\n", file.display()));
    let machine = Machine::with(&[("web", &text)], &["web"]);
    if groups(&machine).is_none() {
        assert!(!can_have_groups());
        return;
    }
    let all = settled(&machine, "web");
    machine.expect(&["stop", "web", "--wait"]);
    assert!(!all.iter().any(|pid| lives(*pid)), "{all:?}");
    // A death that nobody asked for: they are gone before the next life begins.
    machine.expect(&["start", "web", "--wait"]);
    let (all, main) = (settled(&machine, "web"), machine.pid("web"));
    machine.kill(main, libc::SIGKILL);
    machine.wait_new_life("web", main);
    assert!(!all.iter().any(|pid| lives(*pid)), "{all:?}");
    // A crash of the supervisor forgets none of them.
    let all = settled(&machine, "web");
    machine.kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait("it has recovered", |machine| machine.status()["supervisor"]["recoveries"] == 1);
    assert_eq!(pids(&machine, "web"), all);
    machine.expect(&["stop", "web", "--wait"]);
    assert!(!all.iter().any(|pid| lives(*pid)), "{all:?}");
}

#[test]
fn what_a_supervisor_that_was_killed_has_left_in_a_group_is_ended_by_the_next() {
    let folder = Folder::new();
    // No logger is on its way: between clone and exec it has the lock, too.
    let text = leaver(&format!("env = PIDS={}\nlog = null\n", folder.0.join("pids").display()));
    let machine = Machine::with(&[("web", &text), ("other", &pause("log = null"))], &["web"]);
    if groups(&machine).is_none() {
        assert!(!can_have_groups());
        return;
    }
    let all = settled(&machine, "web");
    machine.kill(machine.supervisor(), libc::SIGKILL);
    machine.supervise_again(&["other"]);
    machine.wait_phase("other", "up");
    assert!(!all.iter().any(|pid| lives(*pid)), "{all:?}");
    assert!(pids(&machine, "web").is_empty());
}

#[test]
fn what_a_oneshot_has_left_stays_until_it_is_taken_down() {
    let text = format!("type = oneshot\ncommand = {} 2\nstop = {} /\n", program("forker"), "/bin/ls");
    let machine = Machine::with(&[("brings", &text)], &["brings"]);
    machine.wait_phase("brings", "up");
    if groups(&machine).is_none() {
        assert!(!can_have_groups());
        return;
    }
    let all = pids(&machine, "brings");
    assert!(all.len() == 2 && all.iter().all(|pid| lives(*pid)));
    machine.expect(&["stop", "brings", "--wait"]);
    assert!(!all.iter().any(|pid| lives(*pid)), "{all:?}");
}

#[test]
fn instances_have_groups_by_their_names() {
    let machine = Machine::with(&[("c@", &pause("for-each = link IFACE=*\ninstance = ${IFACE}"))], &["default"]);
    if groups(&machine).is_none() {
        assert!(!can_have_groups());
        return;
    }
    for name in ["one", "two"] {
        let fact = format!("IFACE={name}");
        machine.expect(&["emit", "--on", "link", &fact]);
        let instance = format!("c@{name}");
        machine.wait_phase(&instance, "up");
        assert_eq!(pids(&machine, &instance), [machine.pid(&instance)]);
        machine.expect(&["emit", "--off", "link", &fact]);
        machine.wait("it is gone", |machine| machine.phase(&instance) != "up" && pids(machine, &instance).is_empty());
    }
    let path = groups(&machine).expect("control groups");
    machine.wait("nothing is left of them", |_| !path.join("c@one.svc").exists() && !path.join("c@two.svc").exists());
}

#[test]
fn limits_that_cannot_be_had_fail_the_start_and_say_so() {
    let text = pause("pids-max = 10\nrestart-limit = 1\n");
    let machine = Machine::with(&[("web", &text)], &["--no-cgroups", "web"]);
    machine.wait_phase("web", "failed");
    let said = machine.run(&["status", "--lines", "0", "web"]).out;
    assert!(said.contains("pids-max 10: Operation not supported"), "{said}");
    for (value, expected) in [
        ("memory-max = 64MB", "bad limit \"64MB\""),
        ("memory-high = 0", "bad limit \"0\""),
        ("cpu-max = 0%", "bad limit \"0%\""),
        ("cpu-weight = 10001", "bad limit \"10001\""),
        ("io-max = /dev/sda:bps=1", "bad limit \"/dev/sda:bps=1\""),
        ("io-max = sda:rbps=1", "\"sda\" is not an absolute path"),
    ] {
        let folder = Folder::new();
        let file = folder.write("web.svc", &pause(value));
        let ran = pintle(
            &[
                "compile",
                file.parent().and_then(|folder| folder.to_str()).expect("UTF-8"),
                "-o",
                folder.0.join("boot.db").to_str().expect("UTF-8"),
            ],
            &[],
        );
        assert!(ran.code == 100 && ran.err.contains(expected), "{value}: {}", ran.err);
    }
}

/// Writes a file of a group of ours, as an administrator or another program may.
fn write(path: PathBuf, text: &str) {
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[test]
fn a_group_that_somebody_else_kills_has_a_next_life() {
    let machine = Machine::with(&[("web", &pause("restart-delay = 0s\n"))], &["web"]);
    machine.wait_phase("web", "up");
    let Some(groups) = groups(&machine) else { return assert!(!can_have_groups()) };
    // From Linux 6.14 on what is made there from now on is killed.
    for _ in 0..2 {
        let before = machine.pid("web");
        write(groups.join("web.svc/cgroup.kill"), "1");
        machine.wait_new_life("web", before);
        let before = machine.pid("web");
        machine.expect(&["restart", "web", "--wait"]);
        machine.wait_new_life("web", before);
    }
    assert_eq!(machine.service("web")["restarts"], 2);
}

#[test]
fn a_supervisor_whose_groups_were_all_killed_begins_anew() {
    let machine = Machine::with(&[("web", &pause("log = null\n"))], &["web"]);
    machine.wait_phase("web", "up");
    let Some(groups) = groups(&machine) else { return assert!(!can_have_groups()) };
    let before = machine.pid("web");
    write(groups.join("cgroup.kill"), "1");
    machine.supervise_again(&["web"]);
    machine.wait_phase("web", "up");
    assert!(!lives(before));
    assert_eq!(machine.service("web")["restarts"], 0);
    machine.expect(&["restart", "web", "--wait"]);
    assert_eq!((machine.phase("web"), machine.service("web")["restarts"].clone()), ("up".into(), 0.into()));
}

#[test]
fn what_a_oneshot_leaves_that_brings_nothing_up_is_ended() {
    let (forker, keys) = (program("forker"), "type = oneshot\n");
    let folder = Folder::new();
    let begun = folder.0.join("begun");
    let stopped = format!(
        "{keys}command = /bin/sh -c 'trap \"exit 0\" TERM; {forker} 2; echo >{}; while :; do sleep 0.01; done'\n",
        begun.display()
    );
    let once = format!("{keys}remain = no\ncommand = {forker} 2\n");
    for options in [&[][..], &["--no-cgroups"]] {
        let options = [options, &["default"]].concat();
        let machine = Machine::with(&[("stopped", &stopped), ("once", &once)], &options);
        machine.expect(&["start", "once", "--wait"]);
        assert!(children(&machine, "forker").is_empty());
        // Stopped while it starts it exits with 0, and has left two.
        machine.expect(&["start", "stopped", "--no-wait"]);
        machine.wait("it has begun", |_| begun.exists());
        std::fs::remove_file(&begun).expect("it is there");
        assert_eq!(children(&machine, "forker").len(), 2);
        machine.expect(&["stop", "stopped", "--wait"]);
        assert!(children(&machine, "forker").is_empty());
    }
}

#[test]
fn without_descriptors_nobody_is_taken_for_gone() {
    let names: Vec<String> = (0..12).map(|at| format!("s{at}")).collect();
    let text = leaver("log = null\nenv = PIDS=/dev/null\nstop-timeout = 1s\n");
    let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), text.as_str())).collect();
    for options in [&[][..], &["--no-cgroups"]] {
        let arguments: Vec<&str> = options.iter().copied().chain(["default"]).collect();
        let bundle = format!("type = bundle\nwants = {}\n", names.join(" "));
        let files: Vec<(&str, &str)> = all.iter().copied().chain([("default", bundle.as_str())]).collect();
        let machine = Machine::with(&files, &arguments);
        machine.wait("all are left", |machine| children(machine, "forker").len() == 24);
        let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", machine.supervisor())).expect("it lives").count();
        let limit = |soft| {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: 4096 };
            let pid = machine.supervisor() as i32;
            // SAFETY: the limit is read, nothing is written.
            assert_eq!(unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) }, 0);
        };
        limit(descriptors() as u64 + 1);
        machine
            .expect(&[&["stop"], &names.iter().map(String::as_str).collect::<Vec<_>>()[..], &["--no-wait"]].concat());
        machine.wait("none is up", |machine| names.iter().all(|name| machine.phase(name) != "up"));
        // Whoever is said to be down is.
        let down = names.iter().filter(|name| machine.phase(name) == "down").count();
        assert!(children(&machine, "forker").len() <= 2 * (names.len() - down));
        limit(4096);
        machine.wait("all are down", |machine| names.iter().all(|name| machine.phase(name) == "down"));
        assert!(children(&machine, "forker").is_empty());
    }
}

#[test]
fn groups_in_a_service_that_lives_stay_whatever_happens_to_us() {
    let folder = Folder::new();
    let reloads = folder.0.join("reloads");
    let keys = format!("reload = {} 0 {}\n", program("exit"), reloads.display());
    let machine = Machine::with(&[("web", &pause(&keys))], &["web"]);
    machine.wait_phase("web", "up");
    let Some(groups) = groups(&machine) else { return assert!(!can_have_groups()) };
    let inner = groups.join("web.svc/spare/inner");
    std::fs::create_dir_all(&inner).expect("groups");
    machine.kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait("it has recovered", |machine| machine.status()["supervisor"]["recoveries"] == 1);
    for count in 1..=2 {
        machine.expect(&["reload", "web"]);
        machine.wait("it is done", |_| std::fs::read(&reloads).is_ok_and(|bytes| bytes.len() == count));
        assert!(inner.exists());
    }
    machine.expect(&["stop", "web", "--wait"]);
    machine.wait("they go with it", |_| !groups.join("web.svc").exists());
}

#[test]
fn groups_however_deep_and_however_many_do_not_keep_a_service_from_its_next_life() {
    let machine = Machine::with(&[("web", &leaver("restart-delay = 0s\nenv = PIDS=/dev/null\n"))], &["web"]);
    machine.wait("it is up", |machine| children(machine, "forker").len() == 2 && machine.phase("web") == "up");
    let Some(groups) = groups(&machine) else { return assert!(!can_have_groups()) };
    let group = groups.join("web.svc");
    let deep = (0..40).fold(group.join("deep"), |path, _| path.join("d"));
    std::fs::create_dir_all(&deep).expect("groups");
    for at in 0..200 {
        std::fs::create_dir(group.join(format!("wide{at}"))).expect("a group");
    }
    let before = machine.pid("web");
    machine.kill(before, libc::SIGKILL);
    machine.wait_new_life("web", before);
    machine.wait("it is up", |machine| children(machine, "forker").len() == 2 && machine.phase("web") == "up");
    assert_eq!(machine.service("web")["restarts"], 1);
    machine.expect(&["stop", "web", "--wait"]);
    machine.expect(&["start", "web", "--wait"]);
    machine.expect(&["shutdown", "--wait"]);
}

#[test]
fn what_a_pre_start_has_left_is_ended_also_behind_a_crash() {
    let folder = Folder::new();
    let (begun, go) = (folder.0.join("begun"), folder.0.join("go"));
    let text = pause(&format!(
        "restart-limit = 1\npre-start = /bin/sh -c '{} 2; echo >{}; until [ -e {} ]; do sleep 0.01; done; exit 1'\n",
        program("forker"),
        begun.display(),
        go.display()
    ));
    for options in [&[][..], &["--no-cgroups"]] {
        let machine = Machine::with(&[("web", &text)], &[options, &["web"]].concat());
        machine.wait("it has begun", |_| begun.exists());
        assert_eq!(children(&machine, "forker").len(), 2);
        machine.kill(machine.supervisor(), libc::SIGSEGV);
        machine.wait("it has recovered", |machine| machine.status()["supervisor"]["recoveries"] == 1);
        std::fs::write(&go, "").expect("a file");
        machine.wait_phase("web", "failed");
        assert!(children(&machine, "forker").is_empty());
        std::fs::remove_file(&begun).and_then(|()| std::fs::remove_file(&go)).expect("both are there");
    }
}
