//! What services write: that it is kept, whoever dies.

use crate::harness::{Folder, Machine, kill, lives, parent, program};
use std::io::{BufRead, BufReader};

/// The log of a service without its stamps.
fn log(machine: &Machine, name: &str) -> Vec<String> {
    let ran = machine.run(&["log", "--lines", "100000", name]);
    ran.out.lines().map(|line| line.split_once(' ').map_or("?", |(_, text)| text).to_string()).collect()
}

/// The logger's process, 0 while there is none.
fn logger(machine: &Machine) -> u32 {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let mut pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let found = pids.find(|pid: &u32| {
        parent(*pid) == machine.supervisor()
            && lives(*pid)
            && std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"pintle-log"))
    });
    found.unwrap_or(0)
}

/// A service that says `ready`, and `N` at each SIGUSR1, N being how often it came.
const SPEAKER: &str = "command = <<END
  n=0
  trap 'n=$((n + 1)); echo said $n' USR1
  echo ready
  while :; do sleep 1000 & wait; kill $! 2>/dev/null; done
END
restart-delay = 10ms
";

#[test]
fn lines_have_their_time_and_are_shown() {
    let machine = Machine::new(&[("speaker", SPEAKER), ("default", "type = bundle\ncontains = speaker\n")]);
    // It may speak before it is known to be executed.
    machine.wait_phase("speaker", "up");
    machine.wait("the first line is logged", |machine| log(machine, "speaker") == ["ready"]);
    let line = machine.expect(&["log", "speaker"]);
    let stamp = line.split(' ').next().unwrap_or_default();
    assert!(stamp.len() == 27 && stamp.starts_with("20") && stamp.ends_with('Z'), "{line}");
    let shown = machine.expect(&["status", "speaker"]);
    assert!(shown.contains(line.trim_end()), "{shown}");
    // Who does not exist, in words as those of status; who has said nothing.
    for arguments in [&["log", "speker"][..], &["log", "--follow", "speker"], &["status", "speker"]] {
        let ran = machine.run(arguments);
        let said = "pintle: no service \"speker\", did you mean \"speaker\"?\n";
        assert_eq!((ran.code, ran.err.as_str()), (100, said), "{arguments:?}");
    }
    let run = machine.run_directory().to_str().expect("UTF-8").to_string();
    assert_eq!(crate::harness::pintle(&["log", "--run", &run, "speker"], &[]).code, 100);
    for arguments in [&["log", "default"][..], &["log", "--dir", &run, "nobody"]] {
        let ran = machine.run(arguments);
        assert!(ran.code == 1 && ran.err.starts_with("pintle: nothing is logged by that name in "), "{ran:?}");
    }

    let mut follower = machine.spawn(&["log", "-n", "0", "-f", "speaker"]);
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    // Said again until the one who follows is there to see it.
    let mut seen = false;
    let (told, news) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || told.send(lines.next()).is_ok());
    machine.wait("the follower has seen a line", |machine| {
        // Refused where the one before is still on its way.
        machine.run(&["signal", "USR1", "speaker"]);
        seen =
            seen || news.try_recv().is_ok_and(|line| line.is_some_and(|line| line.is_ok_and(|l| l.contains(" said "))));
        seen
    });
    let _ = (follower.kill(), follower.wait(), reader.join());
}

#[test]
fn what_is_said_while_the_logger_is_dead_is_kept() {
    let machine = Machine::new(&[("speaker", SPEAKER), ("default", "type = bundle\ncontains = speaker\n")]);
    // It may speak before it is known to be executed.
    machine.wait_phase("speaker", "up");
    machine.wait("the first line is logged", |machine| log(machine, "speaker") == ["ready"]);
    let (pid, before) = (machine.pid("speaker"), logger(&machine));
    kill(before, libc::SIGKILL);
    // Nobody reads now: the next logger comes after a second.
    machine.expect(&["signal", "USR1", "speaker"]);
    machine.wait("the next logger has written it", |machine| log(machine, "speaker") == ["ready", "said 1"]);
    assert_ne!(logger(&machine), before);
    assert_eq!(machine.pid("speaker"), pid);
}

#[test]
fn the_last_words_of_a_crash_are_a_line() {
    // The logger is told of the death beside the pipe: where the next life speaks before it has heard that, the two are
    // one line. So that life, which finds that another has been there, speaks when the gate is open.
    let folder = Folder::new();
    let (been, gate) = (folder.0.join("been"), folder.0.join("gate"));
    let brief = format!(
        "command = <<END\n  while [ -e {0} ] && [ ! -e {1} ]; do sleep 0.05; done\n  : >{0}\n  \
         printf 'last words'\n  kill -9 $$\nEND\nrestart-delay = 10ms\nrestart-limit = 2\n",
        been.display(),
        gate.display()
    );
    let machine = Machine::new(&[("brief", &brief), ("default", "type = bundle\nwants = brief\n")]);
    let file = machine.run_directory().join("log/brief.log");
    machine.wait("what the first life has said is a line", |_| {
        std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with(" last words\n"))
    });
    std::fs::write(&gate, "").expect("a file");
    machine.wait_phase("brief", "failed");
    machine.wait("both lives have spoken", |machine| log(machine, "brief") == ["last words", "last words"]);
}

#[test]
fn much_is_said_and_nothing_lost_at_the_end() {
    let machine = Machine::new(&[
        (
            "much",
            "type = oneshot\ncommand = <<END\n  n=0\n  while [ $n -lt 20000 ]; do echo $n; n=$((n + 1)); done\nEND\n",
        ),
        ("default", "type = bundle\nwants = much\n"),
    ]);
    machine.wait_phase("much", "up");
    machine.expect(&["shutdown"]);
    machine.wait("the supervisor has ended", |machine| machine.ended().is_some());
    // The supervisor waits for the logger: everything is there, without waiting any more.
    let text = std::fs::read_to_string(machine.run_directory().join("log/much.log")).expect("a log");
    let said: Vec<&str> = text.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    let expected: Vec<String> = (0..20000).map(|number| number.to_string()).collect();
    assert!(said == expected, "{} lines", said.len());
    // Neither a complaint of the logger nor a count of allocations, which is told where it is not 0.
    assert!(!machine.messages().contains("pintle-log"), "{}", machine.messages());
}

#[test]
fn a_silent_service_has_no_file() {
    let pause = format!("command = {}\n", program("pause"));
    let machine = Machine::new(&[
        ("silent", &pause),
        ("speaker", SPEAKER),
        ("default", "type = bundle\ncontains = silent speaker\n"),
    ]);
    machine.wait("another's first line is logged", |machine| log(machine, "speaker") == ["ready"]);
    assert!(!machine.run_directory().join("log/silent.log").exists());
}

#[test]
fn readers_find_the_logs_wherever_the_supervisor_writes_them() {
    let folder = Folder::new();
    let elsewhere = folder.0.join("elsewhere").to_str().expect("UTF-8").to_string();
    let files = [("speaker", SPEAKER), ("default", "type = bundle\ncontains = speaker\n")];
    let machine = Machine::with(&files, &["--log-dir", &elsewhere, "default"]);
    machine.wait("it is logged where that was asked for", |machine| log(machine, "speaker") == ["ready"]);
    let file = format!("{elsewhere}/speaker.log");
    assert!(std::fs::exists(&file).expect("asked"));
    let shown = machine.expect(&["status", "speaker"]);
    assert!(shown.contains(&format!("\n  log        {file}\n    20")), "{shown}");
    assert_eq!(machine.service("speaker")["log"], file);

    // The next one writes in the usual place, and the one after it elsewhere again, though there are logs in both.
    let usual = machine.run_directory().join("log").to_str().expect("UTF-8").to_string();
    for (arguments, place) in [(&["default"][..], &usual), (&["--log-dir", &elsewhere, "default"], &elsewhere)] {
        machine.expect(&["shutdown"]);
        machine.supervise_again(arguments);
        assert_eq!(machine.service("speaker")["log"], format!("{place}/speaker.log"));
        machine
            .wait("it is logged there", |machine| log(machine, "speaker").last().is_some_and(|line| line == "ready"));
    }
}
