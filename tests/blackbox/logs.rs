//! What services write: that it is kept, whoever dies.

use crate::bare::Bare;
use crate::harness::{Folder, Machine, kill, lives, parent, pause, program};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

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
fn who_follows_misses_no_file_however_fast_they_are_turned_over() {
    let text = "log-size = 4K\nlog-keep = 99\ncommand = <<END
  trap 'echo mark' USR1
  trap 'n=0; while [ $n -lt 3000 ]; do echo $n; n=$((n + 1)); done' USR2
  echo ready
  while :; do sleep 1000 & wait; kill $! 2>/dev/null; done
END
";
    let machine = Machine::new(&[("fast", text), ("default", "type = bundle\ncontains = fast\n")]);
    machine.wait_phase("fast", "up");
    machine.wait("the first line is logged", |machine| log(machine, "fast") == ["ready"]);
    let mut follower = machine.spawn(&["log", "-n", "0", "-f", "fast"]);
    let lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    let (told, news) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut texts = lines.map_while(|line| Some(line.ok()?.split_once(' ')?.1.to_string()));
        texts.all(|text| told.send(text).is_ok())
    });
    machine.wait("the follower is there", |machine| {
        machine.run(&["signal", "USR1", "fast"]);
        news.try_recv().is_ok()
    });
    // Once: four times as much would turn over more files than are kept.
    machine.expect(&["signal", "USR2", "fast"]);
    let mut numbers = vec![];
    machine.wait("it has come to the end", |_| {
        numbers.extend(news.try_iter().filter_map(|text| text.parse::<u32>().ok()));
        numbers.contains(&2999)
    });
    let _ = (follower.kill(), follower.wait(), reader.join());
    let first: Vec<u32> = numbers.into_iter().take(3000).collect();
    assert!(
        first == (0..3000).collect::<Vec<u32>>(),
        "{} lines, {:?}",
        first.len(),
        first.iter().zip(0..).find(|(a, b)| *a != b)
    );
}

#[test]
fn who_follows_need_not_wait_for_the_first_line() {
    let text = "ready = fd 3\ncommand = <<END
  trap 'echo first' USR1
  echo >&3
  while :; do sleep 1000 & wait; kill $! 2>/dev/null; done
END
";
    let machine = Machine::new(&[("late", text), ("default", "type = bundle\ncontains = late\n")]);
    machine.wait_phase("late", "up");
    let mut follower = machine.spawn(&["log", "-f", "late"]);
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    machine.expect(&["signal", "USR1", "late"]);
    assert!(lines.next().expect("a line").expect("readable").ends_with(" first"));
    let _ = (follower.kill(), follower.wait());
}

#[test]
fn a_supervisor_that_crashes_while_there_is_no_logger_begins_one() {
    let machine = Machine::new(&[("speaker", SPEAKER), ("default", "type = bundle\ncontains = speaker\n")]);
    machine.wait_phase("speaker", "up");
    machine.wait("the first line is logged", |machine| log(machine, "speaker") == ["ready"]);
    // Behind its second death it comes after a while.
    while let pid @ 1.. = logger(&machine) {
        kill(pid, libc::SIGKILL);
        machine.wait("it is dead", |_| !lives(pid));
    }
    kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait("it goes on", |machine| machine.status()["supervisor"]["recoveries"] == 1);
    let before = log(&machine, "speaker").len();
    machine.wait("a line is logged", |machine| {
        machine.run(&["signal", "USR1", "speaker"]);
        log(machine, "speaker").len() > before
    });
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

/// The files of a service, the oldest first.
fn files(folder: &Path, slot: usize) -> Vec<PathBuf> {
    let first = folder.join(format!("log/s{slot:03}.log"));
    let older = (1..100).map(|number| first.with_extension(format!("log.{number}")));
    let older: Vec<PathBuf> = older.take_while(|path| path.exists()).collect();
    older.into_iter().rev().chain([first]).collect()
}

/// Numbered lines, 10 MB of them (`make torture`: 100 MB), through a logger that is killed again and again while it
/// writes, with files turned over all the time.
#[test]
fn a_logger_that_is_killed_at_any_instant_loses_no_line_and_doubles_none() {
    const SERVICES: usize = 3;
    let (bytes, kills) = if std::env::var_os("PINTLE_TORTURE").is_some() { (100 << 20, 2000) } else { (10 << 20, 150) };
    let (bare, folder) = (Bare::new(SERVICES), Folder::new());
    // In files of 2 MB, each line with 28 bytes before it; never more than 98 files a service.
    let words = [0, 0, 2 << 20, 100, 0, 0, 0, 0];
    let writers: Vec<_> = bare
        .pipes
        .iter()
        .enumerate()
        .map(|(slot, [_, write])| {
            let mut pipe = std::fs::File::from(write.try_clone().expect("a descriptor"));
            std::thread::spawn(move || {
                let (mut text, mut number, mut seed) = (Vec::new(), 0u64, slot as u64 + 1);
                let mut written = 0;
                while written < bytes / SERVICES {
                    // Pieces of any length, which cut lines anywhere; some lines are long.
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let length = (seed >> 33) as usize % 20_000 + 1;
                    while text.len() < length {
                        let tail = "x".repeat((number as usize * 7919) % 211);
                        text.extend_from_slice(format!("{slot} {number} {tail}\n").as_bytes());
                        number += 1;
                    }
                    let rest = text.split_off(length);
                    pipe.write_all(&text).expect("written");
                    written += text.len();
                    text = rest;
                }
                pipe.write_all(&text).expect("written");
                number
            })
        })
        .collect();

    let logged = |folder: &Path| -> u64 {
        std::fs::read_dir(folder.join("log"))
            .map_or(0, |entries| entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|file| file.len()).sum())
    };
    let start = |continues| bare.start(crate::harness::command(), &folder.0, &words, continues);
    let mut logger = start(false);
    let mut seed = 1u64;
    let mut killed = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        // So many bytes on it is killed; or at once, when it has hardly begun.
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let until = logged(&folder.0) + (seed >> 33) % (3 * bytes as u64 / kills);
        while logged(&folder.0) < until && writers.iter().any(|writer| !writer.is_finished()) {}
        kill(logger.id(), libc::SIGKILL);
        logger.wait().expect("waited");
        killed += 1;
        logger = start(true);
    }
    assert!(killed >= kills / 20, "{killed}");
    let ends: Vec<_> = writers.into_iter().map(|writer| writer.join().expect("written")).collect();
    bare.close();
    assert!(logger.wait().expect("waited").success());
    for (slot, numbers) in ends.into_iter().enumerate() {
        let mut next = 0u64;
        for path in files(&folder.0, slot) {
            let file = BufReader::new(std::fs::File::open(&path).expect("a log"));
            for line in file.lines() {
                let line = line.expect("read");
                let expected = format!("{slot} {next} {}", "x".repeat((next as usize * 7919) % 211));
                assert_eq!(line.get(28..), Some(expected.as_str()), "{}: {line:?}", path.display());
                next += 1;
            }
        }
        assert_eq!(next, numbers);
    }
}

/// A oneshot that says these lines of shell, logged as these keys say.
fn once(keys: &str, script: &str) -> String {
    format!("type = oneshot\n{keys}\ncommand = <<END\n  {}\nEND\n", script.replace('\n', "\n  "))
}

#[test]
fn each_service_is_logged_as_its_file_says() {
    let count = "n=0; while [ $n -lt 2000 ]; do echo \"$n 0123456789\"; n=$((n + 1)); done";
    let machine = Machine::new(&[
        ("small", &once("log-size = 4K\nlog-keep = 2\nlog-stamp = none", count)),
        ("labels", &once("log-stamp = tai64n", "echo label")),
        ("short", &once("log-line = 64", &format!("echo {}", "s".repeat(150)))),
        ("old", &once("log-age = 1s", "echo first; sleep 1.1; echo second")),
        ("kept", &once("log = keep", count)),
        ("default", "type = bundle\nwants = small labels short old kept\n"),
    ]);
    for name in ["small", "labels", "short", "old", "kept"] {
        machine.wait_phase(name, "up");
    }
    let file = |name: &str| std::fs::read_to_string(machine.run_directory().join("log").join(name)).unwrap_or_default();
    machine.wait("all is logged", |machine| {
        let ends = |name: &str, end: &str| machine.run(&["log", name]).out.ends_with(end);
        ends("small", "\n1999 0123456789\n")
            && ends("labels", " label\n")
            && ends("kept", " 1999 0123456789\n")
            && ends("short", "s\n")
            && ends("old", " second\n")
    });
    // Files that are full, but not beyond their size, and no more of them than wanted.
    let sizes = ["small.log", "small.log.1", "small.log.2", "small.log.3"].map(|name| file(name).len());
    assert!(sizes[0] <= 4096 && (4000..=4096).contains(&sizes[1]) && (4000..=4096).contains(&sizes[2]), "{sizes:?}");
    assert_eq!(sizes[3], 0);
    let label = file("labels.log");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    let seconds = u64::from_str_radix(&label[1..17], 16).expect("hexadecimal") - (1 << 62) - 37;
    assert!(label.starts_with('@') && label.len() == 32 && seconds.abs_diff(now) < 300, "{label}");
    let texts: Vec<usize> = log(&machine, "short").iter().map(String::len).collect();
    assert_eq!(texts, [64 + 3, 3 + 64 + 3, 3 + 22]);
    assert_eq!((file("old.log.1").lines().count(), file("old.log").lines().count()), (1, 1));
    // What is kept is in memory, and bounded.
    let kept = machine.run_directory().join("kept/kept.log");
    assert!((1..=8192).contains(&std::fs::metadata(&kept).expect("kept").len()) && file("kept.log").is_empty());
    let shown = machine.expect(&["status", "kept"]);
    assert!(shown.contains("\n  log        keep\n    20") && shown.contains(" 1999 0123456789\n"), "{shown}");
}

#[test]
fn lines_are_shown_from_a_time_on() {
    let folder = Folder::new();
    let lines = |day: u32| {
        (0..24).map(|hour| format!("2026-11-{day:02}T{hour:02}:30:00.000000Z {day} {hour}\n")).collect::<String>()
    };
    folder.write("x.log.1", &lines(20));
    folder.write("x.log", &lines(21));
    let place = folder.0.to_str().expect("UTF-8");
    let shown = |time: &str| {
        let ran = crate::harness::pintle(&["log", "--dir", place, "--since", time, "x"], &[]);
        (
            ran.code,
            ran.out.lines().next().unwrap_or_default().get(28..).unwrap_or_default().to_string(),
            ran.out.lines().count(),
        )
    };
    assert_eq!(shown("2026-11-20T22:00"), (0, "20 22".into(), 26));
    assert_eq!(shown("2026-11-21"), (0, "21 0".into(), 24));
    assert_eq!(shown("2026-11-21 12:30:00.000000Z"), (0, "21 12".into(), 12));
    assert_eq!(shown("@400000006900000000000000"), (0, "20 0".into(), 48));
    let ran = crate::harness::pintle(&["log", "--dir", place, "--since", "2026-11-21", "-n", "3", "x"], &[]);
    assert_eq!(ran.out.lines().count(), 3);
    let ran = crate::harness::pintle(&["log", "--dir", place, "--since", "soon", "x"], &[]);
    assert_eq!(ran.code, 100);
    assert!(ran.err.contains("no time (10m, 2h, 2026-11-21T00:05:59)") && ran.err.contains("soon"), "{}", ran.err);

    let machine = Machine::new(&[("speaker", SPEAKER), ("default", "type = bundle\ncontains = speaker\n")]);
    machine.wait("the first line is logged", |machine| log(machine, "speaker") == ["ready"]);
    assert!(machine.expect(&["log", "--since", "1d", "speaker"]).ends_with(" ready\n"));
    assert_eq!(machine.expect(&["log", "--since", "0s", "speaker"]), "");
}

#[test]
fn lines_beyond_the_rate_are_dropped_and_counted() {
    let text = once("log-rate = 100", "n=0; while [ $n -lt 5000 ]; do echo $n; n=$((n + 1)); done");
    let machine = Machine::new(&[("loud", &text), ("default", "type = bundle\nwants = loud\n")]);
    machine.wait_phase("loud", "up");
    let count = |machine: &Machine| {
        let lines = log(machine, "loud");
        let told = lines.iter().filter_map(|line| {
            line.strip_prefix("pintle-log: ")?
                .strip_suffix(" lines dropped: more than 100 a second")?
                .parse::<usize>()
                .ok()
        });
        let (told, dropped) = told.fold((0, 0), |(told, dropped), more| (told + 1, dropped + more));
        (lines.len() - told, dropped)
    };
    machine.wait("all are written or counted", |machine| {
        let (written, dropped) = count(machine);
        written + dropped == 5000
    });
    let (written, _) = count(&machine);
    assert!((100..4000).contains(&written), "{written}");
    // Nobody is told twice, and then it sleeps without a deadline: epoll_pwait2 with no time.
    machine.wait("it sleeps", |machine| {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", logger(machine))).unwrap_or_default();
        call.split(' ').nth(4) == Some("0x0")
    });
}

#[test]
fn a_service_reads_what_another_writes_whoever_dies() {
    let folder = Folder::new();
    let got = folder.0.join("got");
    let reader = format!(
        "command = <<END\n  while read -r line; do echo \"$line\" >>{}; done\nEND\nrestart-delay = 10ms\nlog = null\n",
        got.display()
    );
    let writer = "log = pipe reader\ncommand = <<END\n  n=0; while [ $n -lt 3000 ]; do echo $n; n=$((n + 1)); done\n  exec sleep 1000\nEND\n";
    let machine =
        Machine::new(&[("reader", &reader), ("writer", writer), ("default", "type = bundle\nwants = writer\n")]);
    machine.wait_phase("writer", "up");
    // The writer wants the reader.
    machine.wait_phase("reader", "up");
    let numbers = || {
        std::fs::read_to_string(&got)
            .unwrap_or_default()
            .lines()
            .map(|line| line.parse().unwrap_or(u32::MAX))
            .collect::<Vec<u32>>()
    };
    machine.wait("some have come", |_| numbers().len() > 100);
    // Neither the one who reads (it has one line in hand at most), nor the supervisor, nor the engine, nor the one who writes.
    let before = machine.pid("reader");
    kill(before, libc::SIGSTOP);
    kill(machine.supervisor(), libc::SIGSEGV);
    kill(machine.engine(), libc::SIGKILL);
    kill(before, libc::SIGKILL);
    machine.wait_new_life("reader", before);
    machine.wait("all have come", |_| numbers().last() == Some(&2999));
    let numbers = numbers();
    assert!(numbers.len() >= 2999 && numbers.is_sorted_by(|a, b| a < b), "{}", numbers.len());
    let shown = machine.expect(&["status", "writer"]);
    assert!(shown.contains("\n  log        pipe reader\n"), "{shown}");
    assert_eq!(machine.service("writer")["log"], "pipe reader");
}

/// A file system of 64 KB, where this test may mount one.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Option<Small> {
        std::fs::create_dir_all(at).expect("a directory");
        let text = |text: &str| std::ffi::CString::new(text).expect("no NUL");
        let (kind, place, size) = (text("tmpfs"), text(at.to_str().expect("UTF-8")), text("size=64k"));
        // SAFETY: texts that are ended by NUL.
        let made = unsafe { libc::mount(kind.as_ptr(), place.as_ptr(), kind.as_ptr(), 0, size.as_ptr().cast()) };
        (made == 0).then(|| Small(at.into()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let place = std::ffi::CString::new(self.0.to_str().expect("UTF-8")).expect("no NUL");
        // SAFETY: a text that is ended by NUL.
        unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
    }
}

#[test]
fn with_a_full_disk_services_go_on_and_what_is_lost_is_counted_and_shown() {
    // SAFETY: no memory is involved. Only root mounts here; for others a directory that is none stands for the disk.
    let root = unsafe { libc::geteuid() } == 0;
    let folder = Folder::new();
    let place = folder.0.join("disk");
    let small = Small::mount(&place);
    assert!(small.is_some() || !root, "root mounts");
    if small.is_none() {
        std::fs::remove_dir(&place).expect("removed");
        std::fs::write(&place, "no directory").expect("written");
    } else {
        std::fs::write(place.join("filler"), vec![0; 32 << 10]).expect("written");
    }
    let loud = "command = <<END
  trap 'echo again' USR1
  n=0; while [ $n -lt 5000 ]; do echo $n; n=$((n + 1)); done
  while :; do sleep 1000 & wait; kill $! 2>/dev/null; done
END
";
    let files = [("loud", loud), ("default", "type = bundle\ncontains = loud\n")];
    let machine = Machine::with(&files, &["--log-dir", place.to_str().expect("UTF-8"), "default"]);
    machine.wait_phase("loud", "up");
    let numbers =
        |text: &str| text.lines().filter_map(|line| line.split(' ').nth(1)?.parse::<u32>().ok()).collect::<Vec<_>>();
    let written = || numbers(&std::fs::read_to_string(place.join("loud.log")).unwrap_or_default());
    let lost = |text: &str| {
        text.lines()
            .find_map(|line| line.split("pintle-log: ").nth(1)?.split_once(" lines lost")?.0.parse::<usize>().ok())
    };
    // The line that was torn where the disk was full counts as lost, and may look like another number.
    let all = |written: usize, lost: Option<usize>| {
        lost.is_some_and(|lost| lost > 0 && (5000..=5001).contains(&(written + lost)))
    };
    machine.wait("the loss is shown", |machine| all(written().len(), lost(&machine.expect(&["status", "loud"]))));
    let reason = if small.is_some() { "lines lost: No space left on device" } else { "lines lost: Not a directory" };
    assert!(machine.expect(&["status", "loud"]).contains(reason));
    assert!(machine.messages().contains("; going on without"), "{}", machine.messages());

    // The next logger knows of it.
    let before = logger(&machine);
    kill(before, libc::SIGKILL);
    match small {
        Some(_) => std::fs::remove_file(place.join("filler")).expect("removed"),
        None => std::fs::remove_file(&place).expect("removed"),
    }
    machine.expect(&["signal", "USR1", "loud"]);
    machine.wait("it writes again", |machine| log(machine, "loud").last().is_some_and(|line| line == "again"));
    let text = std::fs::read_to_string(place.join("loud.log")).expect("a log");
    assert!(all(numbers(&text).len(), lost(&text)), "{:?} of {}", lost(&text), numbers(&text).len());
    let shown = machine.expect(&["status", "loud"]);
    assert!(!shown.contains(reason), "{shown}");
}

#[test]
fn the_logger_starts_whatever_became_of_the_run_directory() {
    let folder = Folder::new();
    let place = folder.0.join("logs");
    let files = [("speaker", SPEAKER), ("default", "type = bundle\ncontains = speaker\n")];
    let machine = Machine::with(&files, &["--log-dir", place.to_str().expect("UTF-8"), "default"]);
    machine.wait("the first line is logged", |machine| log(machine, "speaker") == ["ready"]);
    let (speaker, before) = (machine.pid("speaker"), logger(&machine));
    let (run, away) = (machine.run_directory(), folder.0.join("away"));
    std::fs::rename(&run, &away).expect("renamed");
    kill(before, libc::SIGKILL);
    // The shell takes it when its child ends, or at once.
    kill(speaker, libc::SIGUSR1);
    let file = place.join("speaker.log");
    machine.wait("another one logs", |machine| {
        let pid = logger(machine);
        pid != 0 && pid != before && std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with(" said 1\n"))
    });
    // Nor has it made what was away anew.
    assert!(!run.exists());
    std::fs::rename(&away, &run).expect("renamed");
}

#[test]
fn a_log_is_where_the_file_says_by_now() {
    let folder = Folder::new();
    let place = folder.0.join("logs");
    let arguments = ["--log-dir", place.to_str().expect("UTF-8"), "default"];
    let default = ("default", "type = bundle\ncontains = speaker\n");
    let machine = Machine::with(&[("speaker", SPEAKER), default], &arguments);
    machine.wait("it is logged in a file", |machine| log(machine, "speaker") == ["ready"]);
    machine.expect(&["shutdown"]);
    // From now on the last lines are kept; the file stays, and tells of then.
    machine.folder.compile(&[("speaker", &format!("{SPEAKER}log = keep\n")), default]);
    machine.supervise_again(&arguments);
    machine.wait_phase("speaker", "up");
    machine.wait("it speaks", |machine| log(machine, "speaker") == ["ready"]);
    machine.expect(&["signal", "USR1", "speaker"]);
    machine.wait("what is kept is shown", |machine| log(machine, "speaker") == ["ready", "said 1"]);
    let shown = machine.expect(&["status", "speaker"]);
    assert_eq!(shown.matches(" ready").count(), 1, "{shown}");
    machine.expect(&["shutdown"]);
    // And the other way round: what was kept is no log of it.
    machine.folder.compile(&[("speaker", SPEAKER), default]);
    std::fs::remove_dir_all(&place).expect("removed");
    machine.supervise_again(&arguments);
    machine.wait("the file is shown", |machine| log(machine, "speaker") == ["ready"]);
    let shown = machine.expect(&["status", "speaker"]);
    assert!(!shown.contains("said 1"), "{shown}");
}

#[test]
fn an_instance_that_takes_another_ones_place_takes_none_of_its_lines() {
    let machine = Machine::new(&[
        (
            "link@",
            "for-each = link NAME=*\ninstance = ${NAME}\ncommand = <<END\n  echo hello\n  trap 'printf bye; exit' TERM\n  \
          while :; do sleep 1000 & wait; done\nEND\n",
        ),
        ("default", "type = bundle\n"),
    ]);
    machine.expect(&["emit", "--on", "--wait", "link", "NAME=a"]);
    machine.wait("the first one is logged", |machine| log(machine, "link@a") == ["hello"]);
    // There is no logger for a second. One says its last words, and then another one is in its slot.
    kill(logger(&machine), libc::SIGKILL);
    machine.expect(&["emit", "--off", "--wait", "link", "NAME=a"]);
    machine.expect(&["emit", "--on", "--wait", "link", "NAME=b"]);
    machine.wait("each has its own lines", |machine| {
        log(machine, "link@a") == ["hello", "bye"] && log(machine, "link@b") == ["hello"]
    });
}

/// A copy of another process's descriptor, of the same open file.
fn descriptor_of(pid: u32, number: i32) -> std::os::fd::OwnedFd {
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: no memory is involved, and what the calls give nobody else owns.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        assert!(process >= 0, "{}", std::io::Error::last_os_error());
        let process = OwnedFd::from_raw_fd(process as i32);
        let copy = libc::syscall(libc::SYS_pidfd_getfd, std::os::fd::AsRawFd::as_raw_fd(&process), number, 0);
        assert!(copy >= 0, "{}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(copy as i32)
    }
}

#[test]
fn no_life_finds_a_pipe_that_does_not_wait() {
    let pause = pause("restart-delay = 10ms");
    let machine = Machine::new(&[
        ("logged", &pause),
        ("reader", &pause),
        ("writer", &format!("{pause}log = pipe reader\n")),
        ("default", "type = bundle\ncontains = logged reader writer\n"),
    ]);
    for (name, number) in [("logged", 1), ("reader", 0), ("writer", 1)] {
        machine.wait_phase(name, "up");
        let before = machine.pid(name);
        let end = descriptor_of(before, number);
        // SAFETY: no memory is involved.
        unsafe { assert_eq!(libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&end), libc::F_SETFL, libc::O_NONBLOCK), 0) };
        kill(before, libc::SIGKILL);
        machine.wait_new_life(name, before);
        machine.wait_phase(name, "up");
        let end = descriptor_of(machine.pid(name), number);
        // SAFETY: as above.
        let flags = unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&end), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0, "{name}");
    }
}
