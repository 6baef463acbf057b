//! Services that go into the background: which process is the main one then, and what of the rest is said and ended.

use crate::harness::{Folder, Machine, kill, lives, parent, program};

/// `status` of a service, with no lines of its log.
fn status(machine: &Machine, name: &str) -> String {
    machine.run(&["status", "--lines", "0", name]).out
}

/// A script that runs as `ready = fork`, has little time and is not tried again.
fn script(text: &str, more: &str) -> String {
    let text: String = text.lines().map(|line| format!("  {line}\n")).collect();
    format!("command = <<END\n{text}END\nready = fork\nstart-timeout = 1s\nrestart = never\n{more}\n")
}

#[test]
fn what_is_left_is_the_main_process_and_lives_and_dies_as_one() {
    let folder = Folder::new();
    let pid_file = folder.0.join("pid");
    let named =
        format!("command = {0} -p {1} 3\npid-file = {1}\nready = fork\n", program("forker"), pid_file.display());
    // Two forks, and nobody waits for what is between.
    let twice = format!(
        "command = <<END\n  (setsid /bin/sh -c '{0} & exit 0' &)\n  exit 0\nEND\nready = fork\n",
        program("pause")
    );
    let machine = Machine::new(&[
        ("plain", &format!("command = {}\nready = fork\nstop = signal USR1\n", program("forker"))),
        ("named", &named),
        ("twice", &twice),
        ("behind", &format!("command = {}\nneeds = plain named twice\n", program("pause"))),
        ("default", "type = bundle\nwants = behind\n"),
    ]);
    machine.wait_phase("behind", "up");
    let names = ["plain", "named", "twice"];
    let pids = names.map(|name| machine.pid(name));
    for pid in pids {
        assert_eq!(parent(pid), machine.supervisor());
    }
    assert_eq!(std::fs::read_to_string(&pid_file).expect("a file").trim(), pids[1].to_string());
    assert!(!status(&machine, "named").contains("\n  status "), "{}", status(&machine, "named"));
    // A crash of the supervisor is nobody's death.
    kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait("it goes on", |machine| machine.status()["supervisor"]["recoveries"] == 1);
    assert_eq!(names.map(|name| machine.pid(name)), pids);
    for (name, before) in names.into_iter().zip(pids) {
        kill(before, libc::SIGKILL);
        machine.wait_new_life(name, before);
        assert_eq!(machine.service(name)["restarts"], 1);
    }
    // It gets the signals that its file names.
    let last = machine.pid("plain");
    machine.expect(&["stop", "--wait", "plain"]);
    assert!(!lives(last));
    assert!(status(&machine, "plain").contains("killed by signal 10 (USR1)"), "{}", status(&machine, "plain"));
}

#[test]
fn what_is_no_main_process_is_named_and_nothing_of_it_stays() {
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).display().to_string();
    let pause = program("pause");
    // It says which processes it has begun.
    let begin = |count: u32, name: &str| format!("setsid {pause} & echo $! >>{}\n", path(name)).repeat(count as usize);
    let own = std::process::id();
    let pid_file = |name: &str| format!("pid-file = {}", path(name));
    let services = [
        ("two", script(&begin(2, "two"), ""), "2 processes are left, one of them the main one: name a pid-file"),
        ("none", script("exit 0", ""), "the command has exited with 0 and left no process"),
        ("fails", script(&(begin(1, "fails") + "exit 3"), ""), "exit 3"),
        ("killed", script(&(begin(1, "killed") + "kill -SEGV $$"), ""), "killed by signal 11 (SEGV)"),
        ("stays", script(&format!("{}exec {pause}", begin(1, "stays")), ""), "not ready within 1 s"),
        ("silent", script(&begin(1, "silent"), &pid_file("silent.pid")), "silent.pid: No such file or directory"),
        (
            "words",
            script(&(begin(1, "words") + &format!("echo me >{}", path("words.pid"))), &pid_file("words.pid")),
            "words.pid has no number",
        ),
        (
            "other",
            script(&(begin(1, "other") + &format!("echo {own} >{}", path("other.pid"))), &pid_file("other.pid")),
            &format!("other.pid names {own}, no process of this service"),
        ),
        // What an earlier life has left says nothing of this one.
        ("stale", script(&begin(1, "stale"), &pid_file("stale.pid")), "stale.pid: No such file or directory"),
    ];
    std::fs::write(path("stale.pid"), own.to_string()).expect("a file");
    let names: Vec<&str> = services.iter().map(|(name, ..)| *name).collect();
    let bundle = format!("type = bundle\nwants = {}\n", names.join(" "));
    let mut files: Vec<(&str, &str)> = services.iter().map(|(name, text, _)| (*name, text.as_str())).collect();
    files.push(("default", &bundle));
    let machine = Machine::new(&files);
    for (name, _, words) in &services {
        machine.wait_phase(name, "failed");
        let text = status(&machine, name);
        assert!(text.contains(words), "{name}: {text}");
        let begun = std::fs::read_to_string(path(name)).unwrap_or_default();
        for pid in begun.lines() {
            assert!(!lives(pid.parse().expect("a number")), "{name}: {pid} is left");
        }
    }
    assert!(lives(own));
}

#[test]
fn a_stop_ends_what_is_still_on_its_way_into_the_background() {
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).display().to_string();
    // Deaf to what asks it to end, whatever that is: it has three quarters of `stop-timeout`, then who waits for it kills it.
    let deaf = |name: &str, more: &str| {
        format!(
            "command = <<END\n  setsid {} & echo $! >{}\n  exit 0\nEND\nready = fork\npid-file = /nonexistent/pid\n\
             stop-timeout = 400ms\n{more}",
            program("stubborn"),
            path(name)
        )
    };
    // The command ends of the signal at once; what it has begun is told, too, and has its time.
    folder.write(
        "hears",
        &format!(
            "trap 'echo told >{}; exit 0' TERM\necho $$ >{}\n{} &\nwait\n",
            path("told"),
            path("pid"),
            program("pause")
        ),
    );
    let hears = format!("command = <<END\n  setsid /bin/sh {} & wait\nEND\nready = fork\n", path("hears"));
    let machine = Machine::new(&[
        ("deaf", &deaf("deaf.pid", "")),
        ("deaf-to-usr1", &deaf("deaf-to-usr1.pid", "stop = signal USR1\n")),
        ("hears", &hears),
        ("default", "type = bundle\nwants = deaf deaf-to-usr1 hears\n"),
    ]);
    for (name, file) in [("deaf", "deaf.pid"), ("deaf-to-usr1", "deaf-to-usr1.pid"), ("hears", "pid")] {
        let pid = || std::fs::read_to_string(path(file)).ok()?.trim().parse::<u32>().ok();
        machine.wait("it has begun", |_| pid().is_some());
        assert_eq!(machine.phase(name), "starting");
        machine.expect(&["stop", "--wait", name]);
        assert!(!lives(pid().expect("it was there")), "{name}");
        assert_eq!(machine.phase(name), "down");
    }
    assert_eq!(std::fs::read_to_string(path("told")).expect("it was told"), "told\n");
}

#[test]
fn workers_go_with_a_main_process_that_is_not_the_leader_of_their_group() {
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).display().to_string();
    let pause = program("pause");
    folder.write("master", &format!("{pause} & echo $! >{0}.new && mv {0}.new {0}\nexec {pause}\n", path("worker")));
    let twice = format!(
        "command = <<END\n  (setsid /bin/sh -c '/bin/sh {} & exit 0' &)\n  exit 0\nEND\nready = fork\n",
        path("master")
    );
    let machine = Machine::new(&[("twice", &twice), ("default", "type = bundle\nwants = twice\n")]);
    let worker = || std::fs::read_to_string(path("worker")).expect("a file").trim().parse::<u32>().expect("a number");
    machine.wait_phase("twice", "up");
    let (first, before) = (worker(), machine.pid("twice"));
    assert!(lives(first));
    kill(before, libc::SIGKILL);
    machine.wait_new_life("twice", before);
    assert!(!lives(first), "the worker of a master that has died");
    let second = worker();
    assert!(lives(second));
    machine.expect(&["stop", "--wait", "twice"]);
    machine.wait("the worker is gone", |_| !lives(second));
}
