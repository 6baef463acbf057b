//! What a service's life is watched for: checks that say whether it is ready, or well; its watchdog.

use crate::harness::{Folder, Machine, binary, kill, lives, pintle, program};

/// The number that a service has said last.
fn said(machine: &Machine, name: &str) -> u64 {
    let text = std::fs::read_to_string(machine.run_directory().join(format!("log/{name}.log"))).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(' ')?.1.parse().ok()).next_back().unwrap_or(0)
}

/// How often a process has gone to sleep.
fn sleeps(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).expect("a line of proc(5)");
    line.trim().parse().expect("a number")
}

#[test]
fn a_watchdog_ends_what_has_fallen_silent_and_nothing_else() {
    let watched = |arguments: &str, rest: &str| {
        format!("command = {} {arguments}\nready = notify\nrestart = never\n{rest}\n", program("notify"))
    };
    let (well, silent, says_so) = (
        watched("-w 100", "watchdog = 20s"),
        watched("-w 10 -n 7", "watchdog = 1s"),
        watched("READY=1 WATCHDOG=trigger", ""),
    );
    let deaf = format!(
        "command = <<END\n  trap '' ABRT\n  exec {} 'WATCHDOG_USEC=1000\\nREADY=1'\nEND\n\
         ready = notify\nrestart = never\nstop-timeout = 200ms\n",
        program("notify")
    );
    let machine = Machine::new(&[
        ("well", &well),
        ("silent", &silent),
        ("says-so", &says_so),
        ("deaf", &deaf),
        ("default", "type = bundle\nwants = well silent says-so deaf\n"),
    ]);
    for name in ["silent", "says-so", "deaf"] {
        machine.wait_phase(name, "failed");
        assert!(
            machine.run(&["status", name]).out.contains("ended by its watchdog"),
            "{}",
            machine.run(&["status", name]).out
        );
        let told: serde_json::Value =
            serde_json::from_str(&machine.run(&["status", name, "--json"]).out).expect("JSON");
        assert_eq!(told[0]["last_exit"]["watchdog"], true);
        let text = machine.expect(&["events", "--all", "--no-follow", name]);
        assert!(text.contains("-> failed (ended by its watchdog)\n"), "{text}");
    }
    // It had the pid that it was to have, and was heard as long as it spoke.
    machine.wait("all that it said is in its log", |machine| said(machine, "silent") == 7);
    let text = machine.run(&["status", "silent"]).out;
    assert!(text.contains("watchdog 1 s\n"), "{text}");
    // Each word from it wakes the supervisor once.
    machine.wait_phase("well", "up");
    let well = machine.pid("well");
    let (words, times) = (said(&machine, "well"), sleeps(machine.supervisor()));
    machine.wait("it has said more", |machine| said(machine, "well") >= words + 20);
    let times = sleeps(machine.supervisor()) - times;
    let words = said(&machine, "well") - words;
    assert!(times <= words + 3, "{times} wake-ups for {words} words");
    assert_eq!((machine.phase("well").as_str(), machine.pid("well")), ("up", well));
}

#[test]
fn a_supervisor_that_stood_still_blames_nobody() {
    let text = format!("command = {} -w 250\nready = notify\nwatchdog = 1s\n", program("notify"));
    let machine = Machine::new(&[("well", &text), ("default", "type = bundle\nwants = well\n")]);
    machine.wait_phase("well", "up");
    let (pid, words) = (machine.pid("well"), said(&machine, "well"));
    kill(machine.supervisor(), libc::SIGSTOP);
    // Its log goes on meanwhile, for longer than the watchdog waits; not for more words than a socket holds
    // (net.unix.max_dgram_qlen).
    machine.wait("the service has gone on", |machine| said(machine, "well") >= words + 8);
    kill(machine.supervisor(), libc::SIGCONT);
    let words = said(&machine, "well");
    machine.wait("it goes on", |machine| said(machine, "well") >= words + 3);
    assert_eq!((machine.phase("well").as_str(), machine.pid("well")), ("up", pid));
}

#[test]
fn a_check_says_when_a_service_is_ready_and_never_runs_twice() {
    let folder = Folder::new();
    let (ready, trace) = (folder.0.join("ready"), folder.0.join("trace"));
    // It says when it begins and when it ends, and with whose pid.
    let check = folder.write(
        "check",
        &format!(
            "echo begin $MAINPID >>{0}\n[ -e {1} ]; code=$?\necho end >>{0}\nexit $code\n",
            trace.display(),
            ready.display()
        ),
    );
    let text =
        format!("command = {}\nready = check /bin/sh {}\ncheck-interval = 20ms\n", program("pause"), check.display());
    let hangs = format!(
        "command = {0}\nready = check {0}\ncheck-interval = 100ms\nstart-timeout = 500ms\nrestart = never\n",
        program("stubborn")
    );
    let machine = Machine::new(&[
        ("polled", &text),
        ("hangs", &hangs),
        ("behind", &format!("command = {}\nneeds = polled\n", program("pause"))),
        ("default", "type = bundle\nwants = behind hangs\n"),
    ]);
    let read = || std::fs::read_to_string(&trace).unwrap_or_default();
    machine.wait("it was checked several times", |_| read().matches("end").count() >= 3);
    assert_eq!(machine.phase("polled"), "starting");
    let pid = machine.pid("polled");
    std::fs::write(&ready, "").expect("a file");
    machine.wait_phase("behind", "up");
    assert_eq!(machine.pid("polled"), pid);
    let text = read();
    for (at, line) in text.lines().enumerate() {
        let expected = if at % 2 == 0 { format!("begin {pid}") } else { "end".into() };
        assert_eq!(line, expected, "{text}");
    }
    // A check that hangs is killed, and so is what is never ready.
    machine.wait_phase("hangs", "failed");
    let text = machine.run(&["status", "hangs"]).out;
    assert!(text.contains("not ready within 500 ms"), "{text}");
    let text = machine.expect(&["events", "--all", "--no-follow", "hangs"]);
    assert!(text.contains("-> failed (not ready in time)\n"), "{text}");
}

#[test]
fn a_service_whose_health_checks_fail_is_begun_anew() {
    let folder = Folder::new();
    let (ill, looks) = (folder.0.join("ill"), folder.0.join("looks"));
    let check = format!("echo >>{}; [ ! -e {} ]", looks.display(), ill.display());
    let text = format!(
        "command = {}\nhealth = <<END\n  {check}\nEND\nhealth-interval = 20ms\nhealth-failures = 3\n",
        program("pause")
    );
    let machine = Machine::new(&[("app", &text), ("default", "type = bundle\nwants = app\n")]);
    machine.wait_phase("app", "up");
    let count = || std::fs::read(&looks).map_or(0, |text| text.len());
    machine.wait("it was looked at", |_| count() >= 5);
    let first = machine.pid("app");
    // A crash of the supervisor changes nothing.
    kill(machine.supervisor(), libc::SIGSEGV);
    let before = count();
    machine.wait("it goes on being looked at", |_| count() >= before + 5);
    assert_eq!(machine.pid("app"), first);
    std::fs::write(&ill, "").expect("a file");
    machine.wait("it was ended", |_| !lives(first));
    std::fs::remove_file(&ill).expect("there");
    machine.wait_new_life("app", first);
    let told: serde_json::Value = serde_json::from_str(&machine.run(&["status", "app", "--json"]).out).expect("JSON");
    assert_eq!(told[0]["last_exit"]["healthy"], false, "{told}");
    assert!(machine.run(&["status", "app"]).out.contains("its health checks failed"));
    let text = machine.expect(&["events", "--all", "--no-follow", "app"]);
    assert_eq!(text.matches(" (its health checks failed)\n").count(), 1, "{text}");
    assert!(text.contains("stopping -> restarting (its") || text.contains("up -> restarting (its"), "{text}");
}

#[test]
fn a_script_tells_how_it_is_by_pintle_notify() {
    let notify = format!("{} notify", binary().display());
    let script = format!(
        "command = <<END\n  {notify} --extend 1h --status 'half way' && echo 1\n  {notify} --ready --status 'serves 3 sites' && echo 2\n  \
         {notify} --watchdog WATCHDOG_USEC=60000000 && echo 3\n  {notify} --reloading && {notify} --ready --no-wait && echo 4\n  \
         sleep 1000 & {notify} --main-pid $! && echo $! && echo 5\n  wait\nEND\nready = notify\nstart-timeout = 100s\n",
    );
    let machine = Machine::new(&[("tells", &script), ("default", "type = bundle\nwants = tells\n")]);
    machine.wait_phase("tells", "up");
    machine.wait("all was told", |machine| said(machine, "tells") == 5);
    let text = machine.run(&["status", "tells"]).out;
    assert!(text.contains("\n  status     serves 3 sites\n"), "{text}");
    // What was waited for has been read: the main process is the one that was named, when the first one has ended.
    let first = machine.pid("tells");
    kill(first, libc::SIGKILL);
    machine.wait("the other one is the main process", |machine| {
        let pid = machine.pid("tells");
        pid != first && pid != 0
    });
    let text = std::fs::read_to_string(machine.run_directory().join("log/tells.log")).expect("a log");
    assert!(text.contains(&format!(" {}\n", machine.pid("tells"))), "{text}");
}

#[test]
fn pintle_notify_says_why_it_cannot_tell() {
    let folder = Folder::new();
    let nowhere = folder.0.join("nobody");
    for (arguments, code, words) in [
        (&["--ready"][..], 1, "NOTIFY_SOCKET is not set"),
        (&[], 100, "what is there to tell?"),
        (&["READY"], 100, "expected NAME=VALUE, not \"READY\""),
        (&["--status", "one\ntwo"], 100, "a line break"),
        (&["--extend", "soon"], 100, "bad time \"soon\""),
        (&["--main-pid", "me"], 100, "\"me\""),
        (&["--read"], 100, "no such option"),
    ] {
        let ran = pintle(&[&["notify"], arguments].concat(), &[]);
        assert!(ran.code == code && ran.err.contains(words), "{arguments:?}: {} {}", ran.code, ran.err);
    }
    let ran = pintle(&["notify", "--ready"], &[("NOTIFY_SOCKET", nowhere.as_os_str())]);
    assert!(ran.code == 111 && ran.err.contains("cannot tell"), "{} {}", ran.code, ran.err);
    // Somebody listens and does not read: told without a barrier, and not with one.
    let socket = std::os::unix::net::UnixDatagram::bind(&nowhere).expect("a socket");
    let told = |option: &str| pintle(&["notify", "--ready", option], &[("NOTIFY_SOCKET", nowhere.as_os_str())]).code;
    assert_eq!((told("--no-wait"), told("--stopping")), (0, 1));
    for expected in ["READY=1\n", "READY=1\nSTOPPING=1\n", "BARRIER=1"] {
        let mut read = [0; 64];
        let count = socket.recv(&mut read).expect("a datagram");
        assert_eq!(std::str::from_utf8(&read[..count]), Ok(expected));
    }
}

#[test]
fn each_instance_says_for_itself_how_it_is() {
    let says = |text: &str| format!("command = {} \"STATUS={text}\\nREADY=1\"\nready = notify\n", program("notify"));
    let machine = Machine::new(&[
        ("one@", &says("I am ${INSTANCE}")),
        ("plain", &says("I am plain")),
        ("mute", &format!("command = {}\n", program("pause"))),
        ("default", "type = bundle\nwants = plain mute\n"),
    ]);
    machine.expect(&["start", "--wait", "one@b", "one@a"]);
    machine.wait_phase("plain", "up");
    for (name, words) in [("plain", "I am plain"), ("one@a", "I am a"), ("one@b", "I am b")] {
        let text = machine.run(&["status", name]).out;
        assert!(text.contains(&format!("\n  status     {words}\n")), "{text}");
    }
    assert!(!machine.run(&["status", "mute"]).out.contains("\n  status "));
}
