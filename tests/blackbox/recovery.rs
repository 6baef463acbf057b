//! The supervisor crashes, and goes on: the same process, the same children, nothing lost and nothing done twice.

use super::harness::{
    Folder, Machine, PATIENCE, binary, children, command, kill, lives, parent, pintle, pintle_at, program,
};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const FATAL: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGABRT, libc::SIGFPE];

fn recoveries(machine: &Machine) -> u64 {
    machine.status()["supervisor"]["recoveries"].as_u64().expect("a number")
}

/// Has the supervisor crash of this signal, and waits until it goes on.
fn crash(machine: &Machine, signal: i32) {
    let before = recoveries(machine);
    kill(machine.supervisor(), signal);
    machine.wait("it goes on", |machine| recoveries(machine) > before);
}

/// What is in a log, without the times.
fn log(machine: &Machine, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(machine.run_directory().join(format!("log/{name}.log"))).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(' ')).map(|(_, said)| said.to_string()).collect()
}

/// A script that says one number after the other, as fast as it can, until there is a file.
fn speaker(stop: &Path) -> String {
    format!(
        "type = oneshot\ncommand = <<END\n  n=0\n  while [ ! -e {} ]; do echo $n; n=$((n + 1)); sleep 0.001; done\n  echo end\nEND\n",
        stop.display()
    )
}

#[test]
fn no_service_notices_that_the_supervisor_has_crashed() {
    let folder = Folder::new();
    let (stop, go) = (folder.0.join("stop"), folder.0.join("go"));
    let waits = format!(
        "command = <<END\n  while [ ! -e {} ]; do sleep 0.02; done\n  echo >&3\n  exec {}\nEND\nready = fd 3\n",
        go.display(),
        program("pause")
    );
    let machine = Machine::new(&[
        ("plain", &format!("command = {}\n", program("pause"))),
        ("notified", &format!("command = {}\nready = notify\n", program("notify"))),
        ("waits", &waits),
        ("speaks", &speaker(&stop)),
        ("behind", &format!("command = {}\nneeds = waits\n", program("pause"))),
        ("default", "type = bundle\nwants = plain notified waits speaks behind\n"),
    ]);
    for name in ["plain", "notified"] {
        machine.wait_phase(name, "up");
    }
    let names = ["plain", "notified", "waits", "speaks"];
    machine.wait("all processes are there", |machine| names.iter().all(|name| machine.pid(name) != 0));
    let (supervisor, engine) = (machine.supervisor(), machine.engine());
    let pids = names.map(|name| machine.pid(name));
    for (at, signal) in FATAL.into_iter().cycle().take(7).enumerate() {
        if at == 3 {
            // Ready while the supervisor is on its way.
            std::fs::write(&go, "").expect("a file");
        }
        crash(&machine, signal);
        assert_eq!(names.map(|name| machine.pid(name)), pids);
        assert!(pids.iter().all(|pid| lives(*pid) && parent(*pid) == supervisor));
        assert_eq!((machine.engine(), machine.ended()), (engine, None));
    }
    machine.wait_phase("waits", "up");
    machine.wait_phase("behind", "up");
    std::fs::write(&stop, "").expect("a file");
    machine.wait_phase("speaks", "up");
    // Those that were up before are as they were, and everything works.
    machine.expect(&["restart", "--wait", "notified"]);
    assert_ne!(machine.pid("notified"), pids[1]);
    machine.expect(&["stop", "--wait", "plain"]);
    assert!(!lives(pids[0]));
    machine.expect(&["shutdown"]);
    machine.wait("the supervisor has ended", |machine| machine.ended().is_some());
    assert_eq!(machine.ended(), Some(0));
    let said = log(&machine, "speaks");
    let count = said.len() - 1;
    assert_eq!(said[count], "end");
    if let Some((at, line)) = said[..count].iter().enumerate().find(|(at, line)| **line != at.to_string()) {
        panic!(
            "line {at} of {count} is {line}; the lines around it: {:?}",
            &said[at.saturating_sub(3)..count.min(at + 4)]
        );
    }
    assert!(count > 100, "{count}");
}

#[test]
fn what_a_service_says_of_itself_outlives_supervisor_and_engine() {
    let said = |machine: &Machine| {
        let ran = machine.run(&["status", "speaks", "--json"]);
        let told: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
        told[0]["status"].as_str().map(String::from)
    };
    let folder = Folder::new();
    let quiet = folder.0.join("quiet");
    let script = format!(
        "command = <<END\n  [ -e {0} ] && exec {1}\n  >{0}\n  exec {1} 'STATUS=half way' \"STATUS=half the$(printf '\\033')[1m way\\nREADY=1\"\nEND\nready = notify\n",
        quiet.display(),
        program("notify")
    );
    let machine = Machine::new(&[("speaks", &script), ("default", "type = bundle\nwants = speaks\n")]);
    machine.wait_phase("speaks", "up");
    let (first, words) = (machine.pid("speaks"), Some("half the\u{1b}[1m way".to_string()));
    assert_eq!(said(&machine), words);
    crash(&machine, libc::SIGSEGV);
    assert_eq!(said(&machine), words);
    let engine = machine.engine();
    kill(engine, libc::SIGKILL);
    machine.wait_new_engine(engine);
    assert_eq!(said(&machine), words);
    let text = machine.run(&["status", "speaks"]).out;
    assert!(text.contains("\n  status     half the\\u001b[1m way\n"), "{text}");
    // The next life has said nothing yet.
    kill(first, libc::SIGKILL);
    machine.wait_new_life("speaks", first);
    assert_eq!(said(&machine), None);
}

#[test]
fn deaths_around_a_crash_are_taken_once() {
    let machine = Machine::new(&[
        ("brittle", &format!("command = {}\nrestart-delay = 0\nrestart-limit = 100\n", program("pause"))),
        ("brief", "type = oneshot\nremain = no\nretries = 0\ncommand = /bin/sh -c 'exit 3'\n"),
        ("default", "type = bundle\nwants = brittle\n"),
    ]);
    machine.wait_phase("brittle", "up");
    for round in 1..=10u64 {
        let pid = machine.pid("brittle");
        let signal = FATAL[round as usize % FATAL.len()];
        // One before the other, in turn.
        if round % 2 == 0 {
            kill(machine.supervisor(), signal);
            kill(pid, libc::SIGKILL);
        } else {
            kill(pid, libc::SIGKILL);
            kill(machine.supervisor(), signal);
        }
        machine.wait_new_life("brittle", pid);
        machine.wait("it goes on", |machine| recoveries(machine) == round);
        assert_eq!(machine.service("brittle")["restarts"].as_u64(), Some(round));
    }
    // Helpers' deaths, too.
    let engine = machine.engine();
    kill(engine, libc::SIGKILL);
    crash(&machine, libc::SIGSEGV);
    machine.wait_new_engine(engine);
    let ran = machine.run(&["start", "--wait", "brief"]);
    assert_eq!((ran.code, machine.phase("brief").as_str()), (1, "failed"), "{}", ran.err);
}

#[test]
fn a_shutdown_goes_on_after_a_crash() {
    let machine = Machine::with(
        &[
            ("stubborn", &format!("command = {}\nstop-timeout = 1h\n", program("stubborn"))),
            ("default", "type = bundle\nwants = stubborn\n"),
        ],
        &["--shutdown-timeout", "1s"],
    );
    machine.wait_phase("stubborn", "up");
    kill(machine.supervisor(), libc::SIGTERM);
    machine.wait("it is told to stop", |machine| machine.phase("stubborn") == "stopping");
    kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait("the supervisor has ended", |machine| machine.ended().is_some());
    assert_eq!(machine.ended(), Some(1), "{}", machine.messages());
}

#[test]
fn crashes_that_become_a_habit_bring_the_rescue_program() {
    let folder = Folder::new();
    let (began, go) = (folder.0.join("began"), folder.0.join("go"));
    let rescue = folder.0.join("rescue");
    let script =
        format!("#!/bin/sh\necho $PPID >>{}\nwhile [ ! -e {} ]; do sleep 0.02; done\n", began.display(), go.display());
    folder.write("rescue", &script);
    std::fs::set_permissions(&rescue, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let machine = Machine::with(
        &[
            ("plain", &format!("command = {}\nrestart-delay = 0\n", program("pause"))),
            ("default", "type = bundle\nwants = plain\n"),
        ],
        &["--rescue", rescue.to_str().expect("UTF-8")],
    );
    machine.wait_phase("plain", "up");
    let (supervisor, pid) = (machine.supervisor(), machine.pid("plain"));
    for _ in 0..3 {
        crash(&machine, libc::SIGSEGV);
    }
    assert!(!began.exists(), "three are none");
    kill(supervisor, libc::SIGSEGV);
    machine.wait("the rescue program runs", |_| began.exists());
    // Services live on, and what dies is not lost.
    assert!(lives(pid));
    kill(pid, libc::SIGKILL);
    std::fs::write(&go, "").expect("a file");
    machine.wait_new_life("plain", pid);
    assert_eq!((machine.supervisor(), recoveries(&machine)), (supervisor, 4));
    assert_eq!(std::fs::read_to_string(&began).expect("a file"), format!("{supervisor}\n"), "once");
    // Then it begins anew.
    crash(&machine, libc::SIGSEGV);
    assert_eq!(std::fs::read_to_string(&began).expect("a file"), format!("{supervisor}\n"));
}

/// A machine of a copy of the program, which can be replaced.
#[test]
fn an_upgrade_goes_on_as_the_new_program() {
    let folder = Folder::new();
    let copy = folder.0.join("pintle");
    std::fs::copy(binary(), &copy).expect("a copy");
    let machine = Machine::of_program(
        &copy,
        &[("plain", &format!("command = {}\n", program("pause"))), ("default", "type = bundle\nwants = plain\n")],
        &[],
    );
    machine.wait_phase("plain", "up");
    let (supervisor, mut engine, pid) = (machine.supervisor(), machine.engine(), machine.pid("plain"));
    let runs = || std::fs::read_link(format!("/proc/{supervisor}/exe")).expect("this takes root");
    // Of another file the supervisor knows nothing.
    let refused = machine.run(&["upgrade"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains(": call that one's upgrade"), "{}", refused.err);
    // As a package manager does it: a new file, renamed over the old one.
    let upgrade = || {
        std::fs::copy(binary(), folder.0.join("new")).expect("a copy");
        std::fs::rename(folder.0.join("new"), &copy).expect("a rename");
        assert!(runs().to_string_lossy().ends_with(" (deleted)"));
        pintle_at(&copy, &["upgrade"], &[("PINTLE_RUN", machine.run_directory().as_os_str())])
    };
    for round in 0..5 {
        let done = upgrade();
        assert_eq!((done.code, done.err.as_str()), (0, ""), "round {round}");
        assert_eq!(runs(), copy);
        // The engine is the new program, too.
        machine.wait_new_engine(engine);
        engine = machine.engine();
        assert_eq!((machine.supervisor(), machine.pid("plain")), (supervisor, pid));
    }
    assert_eq!(recoveries(&machine), 0, "it is no crash");
    // A crash behind it goes on as the new one.
    crash(&machine, libc::SIGSEGV);
    assert_eq!((runs(), machine.pid("plain")), (copy.clone(), pid));
    // What cannot be executed is not: everything stays as it is.
    std::fs::write(folder.0.join("new"), "no program").expect("a file");
    std::fs::rename(folder.0.join("new"), &copy).expect("a rename");
    kill(supervisor, 59);
    machine.wait("it says so", |machine| machine.messages().contains("pintle: cannot execute "));
    machine.expect(&["stop", "--wait", "plain"]);
    machine.expect(&["start", "--wait", "plain"]);
    assert_eq!((machine.supervisor(), machine.ended()), (supervisor, None));
}

/// What `pintle list` of this program says: phase and process of each.
fn listed(at: &std::path::Path, machine: &Machine) -> Vec<(String, String, u64)> {
    let ran = pintle_at(at, &["list", "--json"], &[("PINTLE_RUN", machine.run_directory().as_os_str())]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = |value: &serde_json::Value, key: &str| value[key].as_str().expect("a text").to_string();
    let services: Vec<serde_json::Value> = serde_json::from_str(&ran.out).expect("JSON");
    let of = |service| (text(service, "name"), text(service, "phase"), service["pid"].as_u64().unwrap_or(0));
    services.iter().map(of).collect()
}

fn engine_by(at: &std::path::Path, machine: &Machine) -> u64 {
    let ran = pintle_at(at, &["status", "--json"], &[("PINTLE_RUN", machine.run_directory().as_os_str())]);
    let status: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    status["engine"]["pid"].as_u64().unwrap_or(0)
}

#[test]
fn an_upgrade_goes_on_with_another_layout_of_the_board() {
    let folder = Folder::new();
    let copy = folder.0.join("pintle");
    let wide = program("wide/pintle");
    let (ours, theirs) = (binary(), std::path::Path::new(&wide));
    std::fs::copy(&ours, &copy).expect("a copy");
    let pause = format!("command = {}\n", program("pause"));
    let says = program("notify");
    let go = folder.0.join("go");
    assert!(std::process::Command::new("mkfifo").arg(&go).status().expect("it runs").success());
    let script = format!("read x <{}; echo >&3; exec sleep 1000", go.display());
    let unready = format!("command = /bin/sh -c '{script}'\nready = fd 3\nstart-timeout = 1h\n");
    let machine = Machine::of_program(
        &copy,
        &[
            ("default", "type = bundle\nwants = plain db remains says unready\n"),
            ("plain", &format!("{pause}needs = db\nenv = A=b\n")),
            ("db", &pause),
            ("remains", "type = oneshot\ncommand = /bin/true\nremain = yes\n"),
            ("says", &format!("command = {says} STATUS=well READY=1\nready = notify\n")),
            ("unready", &unready),
            ("held", &pause),
            ("nic@", &format!("{pause}for-each = net IFACE=*\ninstance = ${{IFACE}}\npass = IFACE\n")),
        ],
        &[],
    );
    machine.expect(&["start", "--wait", "held"]);
    machine.expect(&["emit", "--on", "net", "IFACE=eth0"]);
    for name in ["plain", "db", "remains", "says", "held", "nic@eth0"] {
        machine.wait_phase(name, "up");
    }
    machine.wait_phase("unready", "starting");
    let before = listed(&ours, &machine);
    let supervisor = machine.supervisor();
    for (round, (new, old)) in [(theirs, ours.as_path()), (&ours, theirs), (theirs, &ours)].into_iter().enumerate() {
        let engine = engine_by(old, &machine);
        std::fs::copy(new, folder.0.join("new")).expect("a copy");
        std::fs::rename(folder.0.join("new"), &copy).expect("a rename");
        let run = machine.run_directory();
        let environment = [("PINTLE_RUN", run.as_os_str())];
        let done = pintle_at(&copy, &["upgrade"], &environment);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "round {round}: {}", machine.messages());
        machine.wait("there is another engine", |machine| ![0, engine].contains(&engine_by(new, machine)));
        machine.wait("all is as it was", |machine| listed(new, machine) == before);
        let status = pintle_at(new, &["status", "says"], &environment);
        assert!(status.out.contains("well"), "{status:?}");
        // The one of before does not take it for its own.
        let refused = pintle_at(old, &["list"], &environment);
        assert!(refused.err.contains("another version's"), "{refused:?}");
        assert_eq!(machine.supervisor(), supervisor);
    }
    // What was under way goes on, and a crash changes nothing.
    kill(supervisor, libc::SIGSEGV);
    let run = machine.run_directory();
    let environment = [("PINTLE_RUN", run.as_os_str())];
    for words in [&["stop", "--wait", "db"][..], &["start", "--wait", "plain"], &["emit", "--off", "net", "IFACE=eth0"]]
    {
        let ran = pintle_at(theirs, words, &environment);
        assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
    }
    std::fs::write(&go, "\n").expect("it waits for it");
    machine
        .wait("it is ready", |machine| listed(theirs, machine).iter().any(|one| one.0 == "unready" && one.1 == "up"));
    machine.wait("its condition is off", |machine| listed(theirs, machine).iter().all(|(name, ..)| name != "nic@eth0"));
}

/// The memory in which the supervisor has written down what it holds.
fn held(supervisor: u32) -> std::path::PathBuf {
    let descriptors = std::fs::read_dir(format!("/proc/{supervisor}/fd")).expect("this takes root");
    let mut paths = descriptors.map(|entry| entry.expect("an entry").path());
    paths
        .find(|path| std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("pintle-held")))
        .expect("it is open")
}

#[test]
fn what_cannot_be_taken_over_is_ended_and_begun_anew() {
    let machine = Machine::new(&[
        ("plain", &format!("command = {}\n", program("pause"))),
        ("default", "type = bundle\nwants = plain\n"),
    ]);
    machine.wait_phase("plain", "up");
    let (supervisor, engine, pid) = (machine.supervisor(), machine.engine(), machine.pid("plain"));
    let (mut engine, mut pid) = (engine, pid);
    // All descriptors that are written down, as if there were none; then what it is, and its layout.
    for (from, count) in [(16, 12), (0, 1), (1, 1), (2, 1), (3, 1), (30, 1)] {
        let memory = std::fs::OpenOptions::new().write(true).open(held(supervisor)).expect("this takes root");
        std::os::unix::fs::FileExt::write_all_at(&memory, &vec![0; count * 4], from * 4).expect("it has room");
        drop(memory);
        kill(supervisor, libc::SIGSEGV);
        machine.wait_new_engine(engine);
        machine.wait_new_life("plain", pid);
        assert!(!lives(pid) && !lives(engine));
        assert_eq!((machine.supervisor(), machine.ended()), (supervisor, None));
        (engine, pid) = (machine.engine(), machine.pid("plain"));
    }
    assert!(machine.messages().contains("everything is ended, and begun anew"), "{}", machine.messages());
    // It can crash again.
    let pid = machine.pid("plain");
    crash(&machine, libc::SIGABRT);
    assert_eq!(machine.pid("plain"), pid);
}

/// Has this command, which is to become pintle, be a supervisor in the folder.
fn by_hand(folder: &Folder, files: &[(&str, &str)], mut command: std::process::Command) -> std::process::Command {
    folder.compile(files);
    let [database, run, logs] = ["boot.db", "run", "log"].map(|name| folder.0.join(name));
    command.arg("supervise").arg("--db").arg(database).arg("--run").arg(run).arg("--log-dir").arg(logs);
    command
}

/// What `status --json` says of a supervisor by hand, once it says something that is looked for.
fn wait_status(folder: &Folder, reached: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let run = folder.0.join("run");
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let ran = pintle(&["status", "--json"], &[("PINTLE_RUN", run.as_os_str())]);
        if let Ok(status) = serde_json::from_str(&ran.out)
            && reached(&status)
        {
            return status;
        }
        assert!(std::time::Instant::now() < end, "waited in vain: {ran:?}");
    }
}

#[test]
fn a_console_that_is_stopped_stops_no_recovery() {
    use std::os::fd::{FromRawFd, OwnedFd};
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are ours then.
    let (reader, writer) = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    let mut full = std::fs::File::from(writer.try_clone().expect("a copy"));
    while full.write(&[b'x'; 4096]).is_ok() {}
    // SAFETY: no memory is involved.
    unsafe { libc::fcntl(ends[1], libc::F_SETFL, 0) };
    let folder = Folder::new();
    let files = [("default", "type = bundle\n")];
    let mut child = by_hand(&folder, &files, command()).stderr(writer).spawn().expect("the binary runs");
    wait_status(&folder, |status| status["engine"]["pid"].as_u64().is_some_and(|pid| pid != 0));
    kill(child.id(), libc::SIGSEGV);
    wait_status(&folder, |status| status["supervisor"]["recoveries"] == 1);
    kill(child.id(), libc::SIGTERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    drop(reader);
}

#[test]
fn the_rescue_program_of_process_1_has_the_console() {
    use std::os::fd::{FromRawFd, OwnedFd};
    let (mut main, mut name) = (0, [0 as libc::c_char; 64]);
    // SAFETY: room for two descriptors and the name; they are ours then.
    let (main, terminal, name) = unsafe {
        let mut terminal = 0;
        let (modes, size) = (std::ptr::null_mut(), std::ptr::null_mut());
        assert_eq!(libc::openpty(&raw mut main, &raw mut terminal, name.as_mut_ptr(), modes, size), 0);
        let name = std::ffi::CStr::from_ptr(name.as_ptr()).to_str().expect("UTF-8").to_string();
        (OwnedFd::from_raw_fd(main), OwnedFd::from_raw_fd(terminal), name)
    };
    let folder = Folder::new();
    let rescue = folder.0.join("rescue");
    let said = folder.0.join("said");
    let script =
        format!("#!/bin/sh\n{{ test -t 0 && echo terminal; : </dev/tty && echo controls; }} >{}\n", said.display());
    folder.write("rescue", &script);
    std::fs::set_permissions(&rescue, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let mut starter = std::process::Command::new("unshare");
    let begin = format!("mount --bind {name} /dev/console && exec \"$@\"");
    starter
        .args(["--fork", "--pid", "--mount", "--mount-proc", "--kill-child", "sh", "-c", &begin, "sh"])
        .arg(binary());
    let mut starter = by_hand(&folder, &[("default", "type = bundle\n")], starter);
    let mut child = starter.args(["--rescue", rescue.to_str().expect("UTF-8")]).spawn().expect("unshare runs");
    wait_status(&folder, |status| status["engine"]["pid"].as_u64().is_some_and(|pid| pid != 0));
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let supervisor = std::fs::read_to_string(children).expect("it is there").trim().parse().expect("one");
    for round in 1..=4 {
        kill(supervisor, libc::SIGSEGV);
        wait_status(&folder, |status| status["supervisor"]["recoveries"] == round);
    }
    assert_eq!(std::fs::read_to_string(&said).expect("it has run"), "terminal\ncontrols\n");
    kill(supervisor, libc::SIGTERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    drop((main, terminal));
}

#[test]
fn what_is_said_in_time_counts_though_the_supervisor_is_late() {
    let folder = Folder::new();
    let (go, said) = (folder.0.join("go"), folder.0.join("said"));
    let script = format!(
        "command = <<END\n  while [ ! -e {} ]; do sleep 0.02; done\n  echo >&3\n  : >{}\n  exec {}\nEND\nready = fd 3\nstart-timeout = 2s\n",
        go.display(),
        said.display(),
        program("pause")
    );
    let machine = Machine::new(&[("late", &script), ("default", "type = bundle\nwants = late\n")]);
    machine.wait("it has begun", |machine| machine.pid("late") != 0);
    let (began, pid) = (std::time::Instant::now(), machine.pid("late"));
    kill(machine.supervisor(), libc::SIGSTOP);
    std::fs::write(&go, "").expect("a file");
    machine.wait("it has said so", |_| said.exists());
    machine.wait("its time is over", |_| began.elapsed().as_millis() > 2_100);
    kill(machine.supervisor(), libc::SIGCONT);
    machine.wait("it is taken", |machine| machine.phase("late") != "starting");
    assert_eq!((machine.phase("late").as_str(), machine.pid("late")), ("up", pid));
}

#[test]
fn an_upgrade_that_cannot_go_on_comes_back() {
    let folder = Folder::new();
    let copy = folder.0.join("pintle");
    std::fs::copy(binary(), &copy).expect("a copy");
    let pause = format!("command = {}\n", program("pause"));
    let machine = Machine::of_program(&copy, &[("plain", &pause), ("default", "type = bundle\nwants = plain\n")], &[]);
    machine.wait_phase("plain", "up");
    let (supervisor, pid) = (machine.supervisor(), machine.pid("plain"));
    let runs = || std::fs::read_link(format!("/proc/{supervisor}/exe")).expect("this takes root");
    let mut came_back = 0;
    for call in [60, 90, 120] {
        std::fs::copy(binary(), folder.0.join("new")).expect("a copy");
        std::fs::rename(folder.0.join("new"), &copy).expect("a rename");
        let environment = machine.run_directory();
        let interrupter = Interrupter::new(&machine, call, None, true);
        let done = pintle_at(&copy, &["upgrade"], &[("PINTLE_RUN", environment.as_os_str())]);
        drop(interrupter);
        let is_old = runs().to_string_lossy().ends_with(" (deleted)");
        assert_eq!(done.code, i32::from(is_old), "call {call}: {done:?} {}", machine.messages());
        came_back += i32::from(is_old);
        machine.wait("there is an engine", |machine| machine.phase("plain") == "up");
        let now = (machine.supervisor(), machine.pid("plain"));
        assert_eq!(now, (supervisor, pid), "call {call}: {done:?} {}", machine.messages());
    }
    assert!(came_back > 0, "{}", machine.messages());
}

/// Has the supervisor get SIGSEGV at the end of the so manyth system call from now on, and of the `again`th after that.
/// With `waits` they are counted from its next exec on.
/// A debugger of its own (ptrace(2)): it takes root, or CAP_SYS_PTRACE, since the supervisor lets nobody look into it.
struct Interrupter {
    supervisor: u32,
    end: Arc<AtomicBool>,
    /// How often it has.
    count: Arc<AtomicU32>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Interrupter {
    fn new(machine: &Machine, call: u32, again: Option<u32>, mut waits: bool) -> Interrupter {
        let (pid, end) = (machine.supervisor() as i32, Arc::new(AtomicBool::new(false)));
        let (told, attached) = std::sync::mpsc::channel();
        let count = Arc::new(AtomicU32::new(0));
        let (over, counts) = (end.clone(), count.clone());
        // Everything that a debugger does has to be done by the thread that attached.
        let thread = std::thread::spawn(move || {
            let trace = |request, data: usize| {
                // SAFETY: no memory of ours is involved.
                unsafe { libc::ptrace(request, pid, 0usize, data) }
            };
            let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_TRACEEXIT;
            let options = options as usize;
            let there = trace(libc::PTRACE_SEIZE, options) == 0 && trace(libc::PTRACE_INTERRUPT, 0) == 0;
            told.send(there).expect("the test waits");
            let (mut calls, mut next, mut inside) = (0, Some(call), false);
            if !there {
                return;
            }
            loop {
                // Stops alone: its end is for who waits for that.
                // SAFETY: all zeros are a siginfo_t, and it is ours.
                let mut about: libc::siginfo_t = unsafe { std::mem::zeroed() };
                let stops = libc::WSTOPPED | libc::__WALL;
                // SAFETY: as above.
                let (waited, status) =
                    unsafe { (libc::waitid(libc::P_PID, pid as libc::id_t, &mut about, stops), about.si_status()) };
                if waited != 0 {
                    return;
                }
                let (signal, event) = (status & 0xff, status >> 8);
                let mut deliver = 0;
                if signal == libc::SIGTRAP | 0x80 {
                    inside = !inside;
                    calls += u32::from(!inside && !waits);
                    if !inside && next == Some(calls) {
                        deliver = libc::SIGSEGV;
                        counts.fetch_add(1, Ordering::Relaxed);
                        next = again.map(|again| calls + again).filter(|_| calls == call);
                    }
                } else if event == libc::PTRACE_EVENT_EXEC {
                    waits = false;
                } else if event == 0 {
                    deliver = signal;
                }
                if over.load(Ordering::Relaxed) || event == libc::PTRACE_EVENT_EXIT {
                    trace(libc::PTRACE_DETACH, deliver as usize);
                    return;
                }
                trace(libc::PTRACE_SYSCALL, deliver as usize);
            }
        });
        assert!(attached.recv().expect("it tells"), "cannot attach to the supervisor: run this as root");
        Interrupter { supervisor: pid as u32, end, count, thread: Some(thread) }
    }
}

impl Interrupter {
    /// The supervisor is about to end, or is not interrupted any more.
    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(std::thread::JoinHandle::is_finished)
    }
}

impl Drop for Interrupter {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if !self.is_over() && lives(self.supervisor) {
            kill(self.supervisor, libc::SIGHUP); // it means nothing, but to be looked at
        }
        let _ = self.thread.take().map(std::thread::JoinHandle::join); // the supervisor has ended, or goes on
    }
}

/// One life of a machine with the supervisor interrupted there; how often that came to pass.
fn life(call: u32, again: Option<u32>) -> u32 {
    let folder = Folder::new();
    let trace = folder.0.join("trace");
    let step = |word: &str| format!("/bin/sh -c 'echo {word} >>{}'", trace.display());
    let ready = format!("command = {} 3\nready = fd 3\n", program("ready"));
    let machine = Machine::new(&[
        ("first", &format!("type = oneshot\ncommand = {}\nstop = {}\n", step("first"), step("last"))),
        ("second", "type = oneshot\nneeds = first\nlog = file\ncommand = /bin/sh -c 'echo said'\n"),
        ("third", &format!("{ready}needs = second\n")),
        ("notified", &format!("command = {}\nready = notify\nneeds = first\n", program("notify"))),
        ("crashes", &format!("command = {}\nrestart-delay = 0\nneeds = third\n", program("pause"))),
        ("forbidden", &format!("type = oneshot\nonly-if = path /no/such\ncommand = {}\n", step("forbidden"))),
        ("all", "type = bundle\ncontains = third notified crashes forbidden\n"),
        ("default", "type = bundle\n"),
    ]);
    machine.wait_phase("default", "up");
    let interrupter = Interrupter::new(&machine, call, again, false);
    machine.expect(&["start", "all"]);
    machine.wait_phase("all", "up");
    let pids = ["third", "notified"].map(|name| machine.pid(name));
    let brittle = machine.pid("crashes");
    kill(brittle, libc::SIGKILL);
    machine.wait_new_life("crashes", brittle);
    machine.expect(&["restart", "notified"]);
    machine.wait_new_life("notified", pids[1]);
    assert_eq!(machine.pid("third"), pids[0], "no life but those that were asked for");
    machine.expect(&["stop", "first"]);
    machine.wait_phase("first", "down");
    assert!(!lives(pids[0]) && machine.pid("crashes") == 0);
    let came = end(&machine, interrupter, call);
    assert_eq!(std::fs::read_to_string(&trace).expect("a trace"), "first\nlast\n", "call {call}");
    assert_eq!(log(&machine, "second"), ["said"], "call {call}");
    came
}

/// The end of such a machine; how often it was interrupted.
fn end(machine: &Machine, interrupter: Interrupter, call: u32) -> u32 {
    let came = interrupter.count.load(Ordering::Relaxed);
    if call.is_multiple_of(2) {
        machine.expect(&["shutdown"]);
    } else {
        kill(machine.supervisor(), libc::SIGTERM);
    }
    // Whoever waits for its end while it is traced may get what is the debugger's: a stop.
    machine.wait("the supervisor ends", |_| interrupter.is_over());
    drop(interrupter);
    machine.wait("the supervisor has ended", |machine| machine.ended().is_some());
    assert_eq!(machine.ended(), Some(0), "{}", machine.messages());
    came
}

/// The same for what goes into the background, what runs before a life, what is kept from life to life, what is left
/// behind where there are no control groups, and what has process numbers of its own and a directory that goes.
fn life_with_keepings(call: u32, again: Option<u32>) -> u32 {
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).display().to_string();
    let forks =
        format!("command = <<END\n  setsid {} {} &\n  exit 0\nEND\nready = fork\n", program("pause"), path("lives"));
    let gives = format!(
        "pre-start = /bin/sh -c 'echo before >>{}; exec {}'\ncommand = {} -g own -a\nready = notify\nfd-store-max = 1\n\
         listen = unix:{}\nlog = file\n",
        path("trace"),
        program("forker"),
        program("sockets"),
        path("socket")
    );
    let apart = format!(
        "command = /bin/sh -c 'echo life >>{}; exec {} 3'\nready = fd 3\nprivate = pid\nruntime-directory = {}\n\
         cleanup = /bin/sh -c 'echo behind >>{}'\n",
        path("own"),
        program("ready"),
        path("run"),
        path("cleaned")
    );
    let files = [
        ("forks", &*format!("{forks}restart-delay = 0\n")),
        ("gives", &format!("{gives}restart-delay = 0\nneeds = forks apart\n")),
        ("apart", &format!("{apart}restart-delay = 0\n")),
        ("default", "type = bundle\n"),
    ];
    // Behind a second crash it is control groups that tell, where there are any.
    let options = if again.is_none() { &["--no-cgroups", "default"][..] } else { &["default"] };
    let machine = Machine::with(&files, options);
    machine.wait_phase("default", "up");
    let interrupter = Interrupter::new(&machine, call, again, false);
    machine.expect(&["start", "gives"]);
    machine.wait_phase("gives", "up");
    let all = ["forks", "gives", "apart"];
    let pids = all.map(|name| machine.pid(name));
    for (name, pid) in all.into_iter().zip(pids) {
        kill(pid, libc::SIGKILL);
        machine.wait_new_life(name, pid);
    }
    let last = machine.pid("gives");
    let mut answer = String::new();
    let mut client = std::os::unix::net::UnixStream::connect(path("socket")).expect("it listens");
    std::io::Read::read_to_string(&mut client, &mut answer).expect("an answer");
    assert_eq!(answer.trim(), last.to_string(), "call {call}");
    machine.expect(&["stop", "forks", "apart"]);
    for name in ["forks", "apart"] {
        machine.wait_phase(name, "down");
    }
    assert!(children(&machine, "forker").is_empty() && !folder.0.join("run").exists(), "call {call}");
    let came = end(&machine, interrupter, call);
    assert_eq!(std::fs::read_to_string(path("lives")).expect("marks"), "++", "call {call}");
    assert_eq!(std::fs::read_to_string(path("own")).expect("a trace"), "life\nlife\n", "call {call}");
    assert_eq!(std::fs::read_to_string(path("cleaned")).expect("a trace"), "behind\nbehind\n", "call {call}");
    assert_eq!(std::fs::read_to_string(path("trace")).expect("a trace"), "before\nbefore\n", "call {call}");
    assert_eq!(log(&machine, "gives"), ["fds unix", &format!("fds unix own={}", pids[1])], "call {call}");
    came
}

/// The points of today. `make torture` goes through all of them, with a second crash behind each, too.
#[test]
fn wherever_the_supervisor_is_interrupted_it_goes_on() {
    const SAMPLE: u32 = 6;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    let all = std::env::var_os("PINTLE_TORTURE").is_some();
    for life in [life, life_with_keepings] {
        let mut call = if all { 1 } else { 1 + (now / 3600) as u32 % 40 };
        for round in 0.. {
            let mut out = std::io::stderr();
            let _ = writeln!(out, "interrupted behind system call {call}");
            // How many calls there are differs by a few from life to life: the first that did not come is the end.
            let came = life(call, None) > 0 && (!all && round % 3 > 0 || life(call, Some(60)) > 1);
            if !came {
                assert!(round > 0, "there is a first call");
                break;
            }
            if !all && round + 1 == SAMPLE {
                break;
            }
            call += if all { 1 } else { 40 };
        }
    }
}
