//! The limit on parallel starts, overlapping runs, and that down always wins, with real processes.

use super::harness::{Folder, Machine, kill, lives, program};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A fifo: who reads it hangs until the test writes a line.
fn fifo(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.0.join(name);
    let text = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("no NUL");
    // SAFETY: the path is ended by NUL.
    assert_eq!(unsafe { libc::mkfifo(text.as_ptr(), 0o666) }, 0, "{}", path.display());
    path
}

/// Lets whoever reads the fifo, or will, go on. It is kept open until then.
fn release(path: &Path) {
    let mut end = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("a fifo");
    end.write_all(b"go\n").expect("there is room");
    // Written to and closed before it is read, the line would be lost: whoever reads it opens it first.
    std::mem::forget(end);
}

/// A oneshot that hangs until its fifo is released.
fn gate(path: &Path) -> String {
    format!("type = oneshot\ncommand = /bin/sh -c 'read line < {}'\n", path.display())
}

/// Reads a file that may not be there.
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn so_many_start_at_once_and_why_names_one_of_them() {
    let folder = Folder::new();
    let gates: Vec<PathBuf> = ["a", "b", "c"].iter().map(|name| fifo(&folder, name)).collect();
    let (a, b, c) = (gate(&gates[0]), gate(&gates[1]), gate(&gates[2]));
    let machine = Machine::with(
        &[("a", &a), ("b", &b), ("c", &c), ("default", "type = bundle\ncontains = a b c\n")],
        &["--parallel", "2"],
    );
    machine.wait("two start", |machine| machine.phase("a") == "starting" && machine.phase("b") == "starting");
    machine.wait_phase("c", "waiting");
    let why = machine.expect(&["why", "c"]);
    assert!(why.starts_with("c waits for one of 2 start slots; a "), "{why}");
    assert!(machine.expect(&["status"]).contains("at most 2 start at once"));
    assert_eq!(machine.status()["parallel"], 2);
    // The place in the line outlives the engine.
    let engine = machine.engine();
    kill(engine, libc::SIGKILL);
    machine.wait_new_engine(engine);
    assert_eq!(machine.phase("c"), "waiting");
    // A stop frees a place at once.
    machine.expect(&["stop", "--wait", "b"]);
    machine.wait_phase("c", "starting");
    release(&gates[0]);
    release(&gates[2]);
    machine.wait_phase("c", "up");
    machine.wait_phase("a", "up");
    assert_eq!(machine.phase("b"), "down");
}

#[test]
fn a_dry_run_keeps_to_the_limit() {
    let pause = format!("command = {}\n", program("pause"));
    let machine = Machine::with(&[("a", &pause), ("b", &pause), ("c", &pause)], &["--parallel", "1"]);
    let shown = machine.expect(&["start", "--dry-run", "a", "b", "c"]);
    assert!(shown.contains("   1  start a\n   2  start b\n   3  start c\n"), "{shown}");
}

#[test]
fn one_run_is_queued_with_the_newest_attributes_and_there_are_never_two() {
    let folder = Folder::new();
    let (gate, runs) = (fifo(&folder, "gate"), folder.0.join("runs"));
    // Each says that it runs, and fails if another does.
    let job = format!(
        "type = oneshot\nremain = no\nstart-on = job\npass = N\n\
         command = <<END\nmkdir {0}/running || exit 1\nread line < {1}\necho $N >> {2}\nrmdir {0}/running\nEND\n",
        folder.0.display(),
        gate.display(),
        runs.display()
    );
    let machine = Machine::new(&[("job", &job)]);
    machine.expect(&["emit", "job", "N=1"]);
    machine.wait("it runs", |_| folder.0.join("running").exists());
    machine.expect(&["emit", "job", "N=2"]);
    machine.expect(&["emit", "job", "N=3"]);
    let engine = machine.engine();
    kill(engine, libc::SIGKILL);
    machine.wait_new_engine(engine);
    release(&gate);
    machine.wait("the first run has ended", |_| text(&runs) == "1\n");
    machine.wait("the next runs", |_| folder.0.join("running").exists());
    release(&gate);
    machine.wait_phase("job", "done");
    assert_eq!(text(&runs), "1\n3\n");
}

#[test]
fn a_second_trigger_is_skipped_or_begins_the_run_anew_where_the_file_says_so() {
    let folder = Folder::new();
    let (gates, runs) = ([fifo(&folder, "skip"), fifo(&folder, "again")], folder.0.join("runs"));
    let job = |overlap: &str, gate: &Path| {
        format!(
            "type = oneshot\nremain = no\noverlap = {overlap}\nstart-on = job\npass = N\n\
             command = /bin/sh -c 'echo {overlap} $N >> {}; read line < {}'\n",
            runs.display(),
            gate.display()
        )
    };
    let machine = Machine::new(&[("skip", &job("skip", &gates[0])), ("again", &job("restart", &gates[1]))]);
    let count = |what: &str| text(&runs).lines().filter(|line| *line == what).count();
    machine.expect(&["emit", "job", "N=1"]);
    machine.wait("both run", |_| text(&runs).lines().count() == 2);
    machine.expect(&["emit", "job", "N=2"]);
    machine.wait("the one begins anew", |_| count("restart 2") == 1);
    gates.iter().for_each(|gate| release(gate));
    machine.wait("both are done", |machine| machine.phase("skip") == "done" && machine.phase("again") == "done");
    assert_eq!((text(&runs).lines().count(), count("skip 2")), (3, 0));
}

#[test]
fn a_stop_pre_empts_every_start() {
    let folder = Folder::new();
    let gate = gate(&fifo(&folder, "never"));
    let mute = format!("command = {}\nready = fd 3\n", program("stubborn"));
    let deaf = format!("{mute}stop-timeout = 100ms\n");
    let waiting = format!("command = {}\nneeds = hanging\n", program("pause"));
    let machine = Machine::new(&[("hanging", &gate), ("deaf", &deaf), ("waiting", &waiting)]);
    machine.expect(&["start", "--no-wait", "waiting", "deaf"]);
    machine.wait("they hang", |machine| machine.phase("hanging") == "starting" && machine.phase("deaf") == "starting");
    let pids = [machine.pid("hanging"), machine.pid("deaf")];
    for name in ["deaf", "waiting"] {
        machine.expect(&["stop", "--wait", name]);
        assert_eq!(machine.phase(name), "down");
    }
    // Nothing wants it any more: the start that hung is over, too.
    machine.wait_phase("hanging", "down");
    assert!(!pids.iter().any(|pid| lives(*pid)));
}

/// Services that do all they can against a shutdown.
fn hostile(folder: &Folder) -> Vec<(String, String)> {
    let (stubborn, pause, forker) = (program("stubborn"), program("pause"), program("forker"));
    let never = fifo(folder, "never");
    let never = never.display();
    [
        ("deaf", format!("command = {stubborn} {}\nstop-timeout = 1h\n", folder.0.join("deaf").display())),
        ("hangs", format!("command = {pause}\nstop = /bin/sh -c 'read line < {never}'\nstop-timeout = 1h\n")),
        (
            "setup",
            format!(
                "type = oneshot\ncommand = /bin/true\nstop = /bin/sh -c 'read line < {never}'\nstop-timeout = 1h\n"
            ),
        ),
        (
            "begins",
            format!("type = oneshot\ncommand = /bin/sh -c 'trap : TERM; read line < {never}'\nstart-timeout = 1h\n"),
        ),
        ("mute", format!("command = {stubborn}\nready = fd 3\nstart-timeout = 1h\nstop-timeout = 1h\n")),
        ("forks", format!("type = oneshot\ncommand = {forker} -p {} 3\n", folder.0.join("forked").display())),
        ("crashes", "command = /bin/false\nrestart-delay = 0\nrestart-limit = 0\n".to_string()),
        ("boss", format!("command = {pause}\nneeds = deaf hangs setup forks\n")),
    ]
    .map(|(name, text)| (name.to_string(), text))
    .to_vec()
}

/// Shuts a machine of these down; `harass` is called until it has ended. All of it is gone then.
fn ends_within_its_bound(mut harass: impl FnMut(&Machine)) {
    let folder = Folder::new();
    let services = hostile(&folder);
    let mut files: Vec<(&str, &str)> = services.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("default", "type = bundle\ncontains = boss begins mute\nwants = crashes\n"));
    let machine = Machine::with(&files, &["--shutdown-timeout", "2s"]);
    machine.wait_phase("boss", "up");
    machine.wait("it ignores signals", |_| folder.0.join("deaf").exists());
    let services = machine.services();
    // (A number that is given away again so soon says nothing.)
    let lasting = services.iter().filter(|service| service["name"] != "crashes");
    let mut pids: Vec<u32> = lasting.filter_map(|service| service["pid"].as_u64()).map(|pid| pid as u32).collect();
    pids.push(text(&folder.0.join("forked")).trim().parse().expect("the pid of a fork"));
    kill(machine.supervisor(), libc::SIGTERM);
    machine.wait("the supervisor has ended", |machine| {
        harass(machine);
        machine.ended().is_some()
    });
    assert_eq!(machine.ended(), Some(1), "not in order: the bound was needed");
    assert!(!pids.iter().any(|pid| lives(*pid)));
}

#[test]
fn a_shutdown_ends_within_its_bound_whatever_the_services_do() {
    ends_within_its_bound(|_| {});
}

#[test]
fn a_shutdown_ends_within_its_bound_though_the_engine_stands_still() {
    let mut stopped = 0;
    ends_within_its_bound(|machine| {
        let engine = if machine.ended().is_none() { engine_of(machine) } else { 0 };
        if engine != 0 && engine != stopped {
            kill(engine, libc::SIGSTOP);
            stopped = engine;
        }
    });
}

#[test]
fn a_shutdown_ends_within_its_bound_though_the_engine_is_killed_again_and_again() {
    ends_within_its_bound(|machine| {
        let engine = if machine.ended().is_none() { engine_of(machine) } else { 0 };
        if engine != 0 {
            kill(engine, libc::SIGKILL);
        }
    });
}

const NOT_IN_ORDER: &str = "pintle: not all went down in order: services were killed, or the supervisor was\n";

#[test]
fn who_shuts_down_is_told_that_what_was_left_was_killed() {
    let folder = Folder::new();
    let ready = folder.0.join("deaf");
    let deaf = format!("command = {} {}\nstop-timeout = 1h\n", program("stubborn"), ready.display());
    let files = [("deaf", deaf.as_str()), ("default", "type = bundle\ncontains = deaf\n")];
    let machine = Machine::with(&files, &["default", "--shutdown-timeout", "1s"]);
    machine.wait("it ignores signals", |_| ready.exists());
    let pid = machine.pid("deaf");
    let ran = machine.run(&["shutdown"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, NOT_IN_ORDER), "{}", ran.out);
    machine.wait("the supervisor has ended", |machine| machine.ended().is_some());
    assert!(machine.ended() == Some(1) && !lives(pid));
    assert!(machine.run(&["status"]).out.contains("; shut down\n"));
}

#[test]
fn who_shuts_down_is_told_of_a_supervisor_that_was_killed() {
    let stubborn = format!("command = {}\nready = fd 3\nstop-timeout = 1h\n", program("stubborn"));
    let machine = Machine::new(&[("mute", &stubborn)]);
    machine.expect(&["start", "--no-wait", "mute"]);
    machine.wait_phase("mute", "starting");
    let pid = machine.pid("mute");
    let waiter = machine.spawn(&["shutdown"]);
    machine.wait_phase("mute", "stopping");
    kill(machine.supervisor(), libc::SIGKILL);
    let done = waiter.wait_with_output().expect("it ends");
    let message = String::from_utf8_lossy(&done.stderr);
    assert_eq!((done.status.code(), &*message), (Some(1), NOT_IN_ORDER));
    kill(pid, libc::SIGKILL);
}

/// The process of the engine, 0 where there is none now.
fn engine_of(machine: &Machine) -> u32 {
    let said = machine.run(&["status", "--json"]).out;
    let status: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
    let pid = status["engine"]["pid"].as_u64().unwrap_or(0) as u32;
    if pid > 1 && status["engine"]["alive"] == true { pid } else { 0 }
}

/// A process that hangs in the kernel, as far as its supervisor can see: what is traced and dead is not there to be
/// reaped before its tracer has looked (ptrace(2)). As real as it can be without a device that hangs.
#[test]
fn what_is_unkillable_stays_stopping_and_is_never_down_for_a_start() {
    let pause = program("pause");
    let machine = Machine::new(&[
        ("stuck", &format!("command = {pause}\nneeds = base\nconflicts = rival\nstop-timeout = 100ms\n")),
        ("base", &format!("command = {pause}\n")),
        ("rival", &format!("command = {pause}\n")),
    ]);
    machine.expect(&["start", "--wait", "stuck"]);
    let pid = machine.pid("stuck");
    // SAFETY: no memory is involved.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) };
    assert_eq!(seized, 0, "ptrace: {}", std::io::Error::last_os_error());
    // It cannot be stopped; whoever waits for that is told.
    let stop = machine.run(&["stop", "--wait", "stuck"]);
    let gone = format!("was killed, and process {pid} is still there");
    assert!(stop.code == 1 && stop.err.contains(&gone), "{stop:?}");
    assert_eq!(machine.phase("stuck"), "stopping");
    // What it needed may stop; what conflicts with it may not start.
    machine.wait_phase("base", "down");
    let rival = machine.run(&["start", "--wait", "rival"]);
    let why = format!("rival waits until stuck, with which it conflicts, is down; stuck {gone}");
    assert!(rival.code == 1 && machine.expect(&["why", "rival"]).contains(&why), "{rival:?}");
    let mut status = 0;
    // SAFETY: the status is ours.
    while unsafe { libc::waitpid(pid as i32, &mut status, libc::__WALL) } == pid as i32 && !libc::WIFSIGNALED(status) {
        // It stopped for its tracer on its way.
        // SAFETY: no memory is involved.
        unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, 0) };
    }
    machine.wait_phase("stuck", "down");
    machine.wait_phase("rival", "up");
}

#[test]
fn a_start_says_what_it_no_longer_holds_down() {
    let pause = program("pause");
    let machine = Machine::new(&[
        ("app", &format!("command = {pause}\nneeds = db\n")),
        ("db", &format!("command = {pause}\nneeds = disk\n")),
        ("disk", "type = oneshot\ncommand = /bin/true\n"),
    ]);
    machine.expect(&["stop", "--wait", "db", "disk"]);
    let started = machine.run(&["start", "--wait", "app"]);
    assert_eq!(started.code, 0, "{started:?}");
    assert!(started.err.contains("note: no longer held down: db, disk\n"), "{started:?}");
    // What is up for another reason is up for this one, too, and nothing is lifted.
    let again = machine.run(&["start", "--wait", "db"]);
    assert_eq!((again.code, again.err.as_str()), (0, ""));
}
