//! Leftovers of services where there are no control groups: ended by their session and their mark, or shown as strays.

use crate::harness::{Folder, Machine, binary, children, lives, pause, program};

/// A service that leaves two behind in sessions of their own, and its file's further lines.
fn leaver(keys: &str) -> String {
    format!("command = /bin/sh -c '{} 2; exec {}'\n{keys}", program("forker"), program("pause"))
}

fn machine(files: &[(&str, &str)]) -> Machine {
    Machine::with(files, &["--no-cgroups", files[0].0])
}

/// What a `leaver` that is up has left.
fn settled(machine: &Machine) -> Vec<u32> {
    machine.wait("both are left", |machine| {
        machine.phase("web") == "up" && children(machine, "pause") == [machine.pid("web")]
    });
    let left = children(machine, "forker");
    assert_eq!(left.len(), 2, "{left:?}");
    left
}

/// The processes that `status` calls strays, each with its service.
fn strays(machine: &Machine) -> Vec<(u32, Option<String>)> {
    let status = machine.status();
    let all = status["stray"].as_array().expect("an array").iter();
    all.map(|one| (one["pid"].as_u64().expect("a number") as u32, one["service"].as_str().map(String::from))).collect()
}

#[test]
fn what_has_left_its_session_ends_with_its_service() {
    let machine = machine(&[("web", &leaver("restart-delay = 0s"))]);
    let left = settled(&machine);
    assert_eq!(strays(&machine), []); // their service is up
    machine.expect(&["stop", "web", "--wait"]);
    assert!(!left.iter().any(|pid| lives(*pid)), "{left:?}");
    // A death that nobody asked for: they are gone before the next life begins.
    machine.expect(&["start", "web", "--wait"]);
    let (left, main) = (settled(&machine), machine.pid("web"));
    machine.kill(main, libc::SIGKILL);
    machine.wait_new_life("web", main);
    assert!(!left.iter().any(|pid| lives(*pid)), "{left:?}");
    // A crash of the supervisor forgets none of them.
    let left = settled(&machine);
    machine.kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait("it has recovered", |machine| machine.status()["supervisor"]["recoveries"] == 1);
    machine.expect(&["stop", "web", "--wait"]);
    assert!(!left.iter().any(|pid| lives(*pid)), "{left:?}");
}

#[test]
fn what_is_in_another_group_of_its_session_ends_with_it_whatever_its_environment() {
    let leaves = format!("{} -g 2; exec {}", program("forker"), program("pause"));
    let plain = format!("command = /usr/bin/env -i /bin/sh -c '{leaves}'\n");
    let stopped = "stop = /bin/sh -c 'kill $MAINPID; while kill -0 $MAINPID; do :; done'\n";
    // A daemon's session is not that of its pid.
    let folder = Folder::new();
    let forks = format!(
        "command = <<END\n  env -i setsid sh -c 'echo $$ >{0}; exec sh -c \"{leaves}\"' &\nEND\nready = fork\npid-file = {0}\n",
        folder.0.join("pid").display()
    );
    for text in [&plain, &format!("{plain}{stopped}"), &forks] {
        let machine = machine(&[("web", text)]);
        machine.wait("they are left", |machine| {
            machine.phase("web") == "up" && !children(machine, "pause").is_empty() && left(machine).len() == 2
        });
        let all = left(&machine);
        machine.expect(&["stop", "web", "--wait"]);
        assert!(!all.iter().any(|pid| lives(*pid)), "{text}");
        assert_eq!(strays(&machine), []);
    }
}

/// All forkers that are the supervisor's or its services' children.
fn left(machine: &Machine) -> Vec<u32> {
    let mut all = children(machine, "forker");
    let main = machine.pid("web");
    let text = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap_or_default();
    all.extend(text.split_whitespace().map(|pid| pid.parse::<u32>().expect("a number")));
    all
}

#[test]
fn marks_of_other_users_are_read_without_the_right_to_trace_them() {
    // SAFETY: no memory is involved.
    if unsafe { libc::geteuid() } != 0 {
        return; // there are no others
    }
    let folder = Folder::new();
    let script =
        format!("#!/bin/sh\nexec setpriv --bounding-set=-sys_ptrace,-sys_admin {} \"$@\"\n", binary().display());
    let supervisor = folder.write("supervisor", &script);
    std::fs::set_permissions(&supervisor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let text = leaver("user = 65534\ngroup = 65534\n");
    let machine = Machine::of_program(&supervisor, &[("web", &text)], &["--no-cgroups", "web"]);
    let left = settled(&machine);
    assert_eq!(strays(&machine), []);
    machine.expect(&["stop", "web", "--wait"]);
    assert!(!left.iter().any(|pid| lives(*pid)), "{left:?}");
}

#[test]
fn who_has_neither_session_nor_mark_is_a_stray_and_ends_with_the_machine() {
    let text = format!(
        "command = /bin/sh -c 'env -u PINTLE_SERVICE {0} && exec {1}'\nrestart-delay = 0s\n",
        program("forker"),
        program("pause")
    );
    let machine = machine(&[("web", &text)]);
    machine.wait("it is left", |machine| {
        machine.phase("web") == "up" && children(machine, "pause") == [machine.pid("web")]
    });
    let [left] = children(&machine, "forker")[..] else { panic!("one is left") };
    // Nobody can say whose it is, though its service is up.
    assert_eq!(strays(&machine), [(left, None)]);
    machine.expect(&["stop", "web", "--wait"]);
    assert!(lives(left));
    assert!(machine.run(&["status"]).out.contains(&format!("\nstray       {left} forker\n")));
    machine.expect(&["shutdown", "--wait"]);
    assert!(!lives(left));
}

#[test]
fn kill_mode_says_what_ends_with_the_main_process() {
    let machine = machine(&[("web", &leaver("kill-mode = group")), ("all", &pause(""))]);
    let left = settled(&machine);
    machine.expect(&["stop", "web", "--wait"]);
    let of_web = |pid: &u32| (*pid, Some("web".to_string()));
    assert_eq!(strays(&machine), left.iter().map(of_web).collect::<Vec<_>>());
    let said = machine.run(&["status"]).out;
    assert!(said.contains(&format!("\nstray       {} forker of web, {} forker of web\n", left[0], left[1])), "{said}");
    // Its next life answers for them.
    machine.expect(&["start", "web", "--wait"]);
    machine.wait("it has left two more", |machine| children(machine, "forker").len() == 4);
    assert_eq!(strays(&machine), []);
    machine.expect(&["shutdown", "--wait"]);
    assert!(!left.iter().any(|pid| lives(*pid)), "{left:?}");
}

#[test]
fn with_kill_mode_process_its_group_stays() {
    let text = format!("command = /bin/sh -c '{0} & exec {0}'\nkill-mode = process\n", program("pause"));
    for options in [&["--no-cgroups", "web"][..], &["web"]] {
        let machine = Machine::with(&[("web", &text)], options);
        machine.wait("there are two", |machine| {
            let main = machine.pid("web");
            let text = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap_or_default();
            children(machine, "pause") == [main] && !text.is_empty()
        });
        machine.expect(&["stop", "web", "--wait"]);
        let left = children(&machine, "pause");
        assert_eq!(strays(&machine), left.iter().map(|pid| (*pid, Some("web".into()))).collect::<Vec<_>>());
        assert_eq!(left.len(), 1, "{left:?}");
        machine.expect(&["shutdown", "--wait"]);
        assert!(!lives(left[0]));
    }
}

#[test]
fn what_a_oneshot_has_left_stays_until_it_is_taken_down() {
    let text = format!("type = oneshot\ncommand = {} 2\n", program("forker"));
    let machine = machine(&[("brings", &text)]);
    machine.wait_phase("brings", "up");
    let left = children(&machine, "forker");
    assert_eq!(left.len(), 2);
    assert_eq!(strays(&machine), []);
    machine.expect(&["stop", "brings", "--wait"]);
    assert!(!left.iter().any(|pid| lives(*pid)), "{left:?}");
}

/// Has a `web` that has left many stopped until the search for them could be caught, which stops there. Gives its pid, and
/// who was left.
fn caught(machine: &Machine) -> (u32, Vec<u32>) {
    for _ in 0..100 {
        machine.expect(&["start", "web", "--wait"]);
        machine.wait("all are left", |machine| children(machine, "pause") == [machine.pid("web")]);
        let left = children(machine, "forker");
        let mut stop = machine.spawn(&["stop", "web", "--wait"]);
        while stop.try_wait().expect("our child").is_none() {
            if let [search] = children(machine, "pintle-sweep")[..] {
                machine.kill(search, libc::SIGSTOP);
                let state = std::fs::read_to_string(format!("/proc/{search}/stat")).unwrap_or_default();
                if state.contains(") T ") {
                    stop.kill().expect("it waits");
                    stop.wait().expect("our child");
                    return (search, left);
                }
            }
        }
    }
    panic!("the search was never seen");
}

fn many() -> String {
    leaver("stop-timeout = 1s").replace("forker 2", "forker 300")
}

#[test]
fn a_search_that_hangs_holds_nobody_up() {
    let machine = machine(&[("web", &many()), ("other", &pause(""))]);
    let (search, left) = caught(&machine);
    // Others are not concerned.
    machine.expect(&["start", "other", "--wait"]);
    machine.wait_phase("web", "down");
    assert!(!lives(search));
    // What it has not come to is shown.
    let all = strays(&machine);
    let expected: Vec<_> = left.iter().filter(|pid| lives(**pid)).map(|pid| (*pid, Some("web".into()))).collect();
    assert_eq!(all, expected);
    // Another one ends them, with those of the next life.
    machine.expect(&["start", "web", "--wait"]);
    machine.expect(&["stop", "web", "--wait"]);
    assert_eq!(strays(&machine), []);
    assert!(children(&machine, "forker").is_empty());
}

#[test]
fn a_supervisor_that_crashes_while_it_searches_searches_again() {
    let machine = machine(&[("web", &many())]);
    let (search, left) = caught(&machine);
    machine.kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait_phase("web", "down");
    assert!(!lives(search));
    assert!(!left.iter().any(|pid| lives(*pid)));
    assert!(children(&machine, "pintle-sweep").is_empty());
}
