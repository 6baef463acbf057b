//! A machine that is pushed: relations between real processes, orders that contradict each other, an engine that dies
//! over and over, noise where services tell that they are ready.

use crate::harness::{Folder, Machine, kill, lives, parent, program};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixDatagram;

/// Processes that run this program with this argument.
fn copies(program: &str, argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let wanted = [program.as_bytes(), b"\0", argument.as_bytes(), b"\0"].concat();
    lines.filter(|line| *line == wanted).count()
}

#[test]
fn what_binds_follows_a_new_life_and_what_conflicts_makes_room() {
    let pause = format!("command = {}\nrestart-delay = 10ms\n", program("pause"));
    let machine = Machine::new(&[
        ("base", &pause),
        ("bound", &format!("{pause}binds = base\n")),
        ("needing", &format!("{pause}needs = base\n")),
        ("day", &format!("{pause}conflicts = night\n")),
        ("night", &pause),
    ]);
    machine.expect(&["start", "--wait", "bound", "needing"]);
    let [base, bound, needing] = ["base", "bound", "needing"].map(|name| machine.pid(name));
    kill(base, libc::SIGKILL);
    machine.wait_new_life("bound", bound);
    machine.wait_new_life("base", base);
    assert_eq!(machine.pid("needing"), needing, "needing is not binding");

    machine.expect(&["start", "--wait", "day"]);
    let day = machine.pid("day");
    machine.expect(&["start", "--wait", "night"]);
    assert!(!lives(day) && machine.phase("day") == "down" && machine.phase("night") == "up");
    assert!(machine.expect(&["why", "day"]).starts_with("day waits until night, with which it conflicts, is down"));
}

#[test]
fn wants_is_no_need_and_after_and_before_are_an_order_of_real_processes() {
    let folder = Folder::new();
    let (trace, gate) = (folder.0.join("trace"), folder.0.join("gate"));
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().is_ok_and(|status| status.success()));
    let tells = |word: &str| format!("type = oneshot\ncommand = {} {} {word}\n", program("tell"), trace.display());
    let late = format!(
        "type = oneshot\ncommand = /bin/sh -c \"read word <{}; {} {} late\"\n",
        gate.display(),
        program("tell"),
        trace.display()
    );
    let machine = Machine::new(&[
        ("main", &format!("{}wants = broken extra\nafter = late\n", tells("main"))),
        ("broken", &format!("type = oneshot\ncommand = {} 1\n", program("exit"))),
        ("extra", &tells("extra")),
        ("late", &late),
        ("first", &format!("{}before = late main\n", tells("first"))),
        ("idle", &format!("{}after = main\n", tells("idle"))),
        ("default", "type = bundle\ncontains = main late first\n"),
    ]);
    machine.wait_phase("broken", "failed");
    machine.wait_phase("first", "up");
    // Main waits for this one, too, as long as it is under way.
    machine.wait_phase("extra", "up");
    machine.wait_phase("late", "starting");
    assert_eq!(machine.phase("main"), "waiting");
    assert!(machine.expect(&["why", "main"]).contains("late"), "it says for whom it waits");
    std::fs::write(&gate, "go\n").expect("the gate opens");
    for name in ["late", "main"] {
        machine.wait_phase(name, "up");
    }
    let order = std::fs::read_to_string(&trace).expect("the trace");
    let order: Vec<&str> = order.lines().filter(|word| *word != "extra").collect();
    assert_eq!(
        order,
        ["first", "late", "main"],
        "what is wanted goes first, too, but no further order is given for it"
    );
    assert_eq!(machine.phase("idle"), "down", "after alone pulls nothing up");
}

#[test]
fn events_start_and_stop_and_instances_are_made_of_them() {
    let pause = format!("command = {}\n", program("pause"));
    let machine = Machine::new(&[
        ("eager", &format!("{pause}start-on = plug KIND=net\nstop-on = unplug\n")),
        ("port@", &format!("{pause}for-each = link PORT=*\ninstance = ${{PORT}}\npass = PORT\n")),
    ]);
    machine.expect(&["emit", "--wait", "plug", "KIND=disk"]);
    assert_eq!(machine.phase("eager"), "down");
    machine.expect(&["emit", "--wait", "plug", "KIND=net"]);
    assert_eq!(machine.phase("eager"), "up");
    machine.expect(&["emit", "--wait", "unplug"]);
    assert_eq!((machine.phase("eager").as_str(), machine.pid("eager")), ("down", 0));

    machine.expect(&["emit", "--on", "link", "PORT=one"]);
    machine.expect(&["emit", "--on", "link", "PORT=two"]);
    machine.wait_phase("port@one", "up");
    machine.wait_phase("port@two", "up");
    let two = machine.pid("port@two");
    machine.expect(&["emit", "--off", "link", "PORT=one"]);
    machine.wait("the instance is gone", |machine| machine.phase("port@one").is_empty());
    assert_eq!(machine.pid("port@two"), two);

    machine.expect(&["start", "--wait", "port@by-hand"]);
    assert_eq!(machine.phase("port@by-hand"), "up");
    let long = format!("port@{}", "x".repeat(64));
    for name in ["port@", "port@a b", "port@../x", "port@x@y", "port@\u{e9}", &long] {
        let ran = machine.run(&["start", "--wait", name]);
        assert!(ran.code == 100 && ran.err.starts_with("pintle: "), "{name}: {ran:?}");
    }
}

#[test]
fn the_newest_order_wins_and_there_is_one_copy() {
    let (stubborn, mark) = (program("stubborn"), Folder::new());
    let file = mark.write("mark", "");
    let argument = file.to_str().expect("UTF-8");
    let machine = Machine::new(&[(
        "deaf",
        &format!("command = {stubborn} {argument}\nready = fd 3\nstart-timeout = 1h\nstop-timeout = 50ms\n"),
    )]);
    let waiter = machine.spawn(&["start", "--wait", "deaf"]);
    machine.wait_phase("deaf", "starting");
    for _ in 0..20 {
        machine.expect(&["stop", "--no-wait", "deaf"]);
        machine.expect(&["start", "--no-wait", "deaf"]);
        assert!(copies(&stubborn, argument) <= 1);
    }
    let told = waiter.wait_with_output().expect("it ends");
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stderr).contains("superseded"), "{told:?}");
    machine.wait("it is started anew", |machine| machine.phase("deaf") == "starting" && machine.pid("deaf") != 0);
    machine.expect(&["stop", "--wait", "deaf"]);
    assert_eq!(copies(&stubborn, argument), 0);
}

#[test]
fn an_engine_that_dies_over_and_over_still_brings_all_up_and_down() {
    let ready = format!("command = {} 3 5\nready = fd 3\n", program("ready"));
    let texts: Vec<(String, String)> = (0..20)
        .map(|at: u32| {
            let needs = at.checked_sub(1).map_or(String::new(), |before| format!("needs = link-{before}\n"));
            (format!("link-{at}"), format!("{ready}{needs}"))
        })
        .collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let machine = Machine::new(&files);
    for (verb, name, phase) in [("start", "link-19", "up"), ("stop", "link-0", "down"), ("start", "link-19", "up")] {
        let mut waiter = machine.spawn(&[verb, "--wait", name]);
        let mut last = 0;
        for _ in 0..2 {
            let engine = machine.engine();
            if ![0, last].contains(&engine) && waiter.try_wait().expect("our child").is_none() {
                kill(engine, libc::SIGKILL);
                last = engine;
            }
            machine.wait_new_engine(last);
        }
        assert_eq!(waiter.wait().expect("it ends").code(), Some(0), "{verb}");
        assert_eq!(machine.phase(name), phase);
        let live = machine.services().iter().filter(|service| service["pid"].as_u64().is_some()).count();
        assert_eq!(live, if phase == "up" { 20 } else { 0 }, "{verb}");
    }
}

#[test]
fn a_condition_that_flutters_leaves_what_it_says_at_the_end() {
    let pause = format!("command = {}\n", program("pause"));
    let machine =
        Machine::new(&[("gated", &format!("{pause}while = fair\n")), ("behind", &format!("{pause}needs = gated\n"))]);
    machine.expect(&["start", "--no-wait", "behind"]);
    let mut stream = machine.connect();
    let mut answers = BufReader::new(stream.try_clone().expect("a copy")).lines();
    for _ in 0..1000 {
        stream.write_all(b"on fair\noff fair\n").expect("sent");
        for _ in 0..2 {
            let answer = answers.next().expect("an answer").expect("text");
            assert!(answer.starts_with("ok "), "{answer}");
        }
    }
    machine.wait("both are down again", |machine| {
        machine.pid("gated") == 0 && machine.pid("behind") == 0 && machine.phase("gated") == "waiting"
    });
    machine.expect(&["emit", "--on", "fair"]);
    machine.wait_phase("behind", "up");
    assert_eq!(machine.status()["engine"]["lives"], 1);
}

#[test]
fn what_failed_and_is_repaired_brings_up_what_waited_for_it() {
    let folder = Folder::new();
    let disk = folder.0.join("disk");
    let machine = Machine::new(&[
        ("mount", &format!("type = oneshot\ncommand = /bin/sh -c 'test -e {}'\n", disk.display())),
        ("store", &format!("command = {}\nneeds = mount\n", program("pause"))),
        ("shop", &format!("command = {}\nneeds = store\n", program("pause"))),
    ]);
    assert_eq!(machine.run(&["start", "--wait", "shop"]).code, 1);
    machine.wait_phase("mount", "failed");
    let why = machine.expect(&["why", "shop"]);
    assert!(why.starts_with("shop waits for store; store waits for mount; mount has failed: exit 1"), "{why}");
    std::fs::write(&disk, "").expect("written");
    machine.expect(&["reset", "--wait", "mount"]);
    machine.wait_phase("shop", "up");
}

#[test]
fn noise_and_floods_on_a_notify_socket_change_nothing() {
    let notify = program("notify");
    let machine = Machine::new(&[
        ("mute", &format!("command = {notify} -d 100000000\nready = notify\nstart-timeout = 1h\nstop = signal KILL\n")),
        ("other", &format!("command = {notify}\nready = notify\n")),
    ]);
    machine.expect(&["start", "--no-wait", "mute"]);
    machine.wait_phase("mute", "starting");
    let socket = || {
        let mut sockets = std::fs::read_dir(machine.run_directory().join("notify")).expect("a directory");
        sockets.next()?.ok().map(|entry| entry.path())
    };
    machine.wait("it has a socket", |_| socket().is_some());
    let path = socket().expect("just seen");
    let sender = UnixDatagram::unbound().expect("a socket");
    sender.set_nonblocking(true).expect("set");
    let noise: Vec<u8> = (0..8000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for at in 0..5000_usize {
        let _ = sender.send_to(&noise[at % 4000..at % 4000 + at % 3900], &path); // full: some are lost
    }
    sender.set_nonblocking(false).expect("set");
    for text in ["READY=2", "READY", "XREADY=1", "ready=1", "\n\n=", "MAINPID=1", "MAINPID=-1", "EXTEND_TIMEOUT_USEC=x"]
    {
        sender.send_to(text.as_bytes(), &path).expect("sent");
    }
    // Everybody else is served meanwhile and afterwards.
    machine.expect(&["start", "--wait", "other"]);
    assert_eq!((machine.phase("mute").as_str(), machine.phase("other").as_str()), ("starting", "up"));
    sender.send_to(b"FOO=1\nREADY=1\n", &path).expect("sent");
    machine.wait_phase("mute", "up");
    machine.expect(&["stop", "--wait", "mute"]);
}

#[test]
fn status_of_one_service_tells_all() {
    let machine = Machine::new(&[(
        "web",
        &format!(
            "description = a web server\ncommand = /bin/sh -c 'echo said; exec {}'\nrestart-delay = 10ms\n\
             while = net-up\n",
            program("pause")
        ),
    )]);
    machine.expect(&["start", "--no-wait", "web"]);
    machine.wait_phase("web", "waiting");
    let text = machine.run(&["status", "web"]);
    assert!(text.out.contains("because    web waits for its while: net-up (off)"), "{text:?}");
    machine.expect(&["emit", "--on", "--wait", "net-up"]);
    let first = machine.pid("web");
    kill(first, libc::SIGTERM);
    machine.wait_new_life("web", first);
    machine.wait("its words are logged", |machine| machine.run(&["status", "web"]).out.contains(" said\n"));
    let (text, pid) = (machine.expect(&["status", "web"]), machine.pid("web"));
    let file = machine.folder.0.join("services/web.svc");
    for part in [
        "web: up for ",
        ", since ",
        "\n  a web server\n",
        &format!("\n  process    {pid}\n"),
        "\n  goal       up: admin\n",
        "\n  last exit  killed by signal 15 (TERM)\n",
        "\n  restarts   1; 1 of 10 deaths within 5 min\n",
        "\n  limits     start 1 min, stop 10 s\n",
        &format!("\n  file       {}\n", file.display()),
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

/// The process of this name whose parent this is.
fn child(of: u32, name: &str) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let its = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        its.trim() == name && parent(*pid) == of
    })
}

#[test]
fn signals_that_were_meant_for_others_end_nothing() {
    let machine = Machine::new(&[("speaker", "command = /bin/sh -c 'echo said; exec sleep 1000'\n")]);
    machine.expect(&["start", "--wait", "speaker"]);
    let (supervisor, engine) = (machine.supervisor(), machine.engine());
    machine.wait("there is a logger", |_| child(supervisor, "pintle-log").is_some());
    let logger = child(supervisor, "pintle-log").expect("just seen");
    for signal in [libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, libc::SIGPIPE, libc::SIGALRM, libc::SIGQUIT] {
        for pid in [supervisor, engine, logger] {
            kill(pid, signal);
        }
    }
    kill(engine, libc::SIGTERM);
    kill(engine, libc::SIGINT);
    // Where a panic is a trap, its signal is caught; one that somebody sends is none.
    for pid in [supervisor, engine, logger] {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).expect("the mask");
        if u64::from_str_radix(caught, 16).expect("a number") >> (libc::SIGILL - 1) & 1 == 1 {
            kill(pid, libc::SIGILL);
        }
    }
    let said = |machine: &Machine| machine.run(&["status", "speaker"]).out.matches(" said\n").count();
    // Up is when the shell runs; a restart could come before it has said anything.
    machine.wait("the first life is logged", |machine| said(machine) == 1);
    machine.expect(&["restart", "--wait", "speaker"]);
    machine.wait("both lives are logged", |machine| said(machine) == 2);
    assert_eq!((machine.engine(), child(supervisor, "pintle-log")), (engine, Some(logger)));
    assert_eq!(machine.status()["engine"]["lives"], 1);
}

#[test]
fn however_many_wait_or_hold_a_command_is_taken() {
    use pintle::limits::{CLIENTS_KEPT, CLIENTS_MAX};
    let hanging = "command = /bin/sleep 1000\nready = fd 3\nstart-timeout = 1h\n";
    for requests in [&["wait start slow"][..], &["hold x"], &["wait start slow", "hold x", "follow"]] {
        // A new one each time: who looks for a change of the one before may still have a place there.
        let machine = Machine::new(&[("slow", hanging), ("quick", &format!("command = {}\n", program("pause")))]);
        let mut answers = Vec::new();
        for at in 0..CLIENTS_MAX + 6 {
            let mut stream = machine.connect();
            let request = requests[at % requests.len()];
            let number = if request.starts_with("hold") { at.to_string() } else { String::new() };
            stream.write_all(format!("{request}{number}\n").as_bytes()).expect("sent");
            let mut reader = BufReader::new(stream);
            let mut answer = String::new();
            reader.read_line(&mut answer).expect("an answer");
            answers.push((answer, reader));
        }
        let taken = answers.iter().filter(|(answer, _)| answer.starts_with("ok ")).count();
        assert_eq!(taken, CLIENTS_MAX - CLIENTS_KEPT, "{requests:?}");
        let refused = |answer: &str| {
            answer == "no 48 clients wait, follow or hold, or 16 of users who may not do everything: no more may\n"
        };
        assert!(answers.iter().skip(taken).all(|(answer, _)| refused(answer)), "{requests:?}");
        machine.expect(&["start", "--no-wait", "quick"]);
        let waits = machine.run(&["start", "--wait", "quick"]);
        assert_eq!((waits.code, waits.err.starts_with("pintle: 48 clients")), (1, true), "{waits:?}");
        drop(answers);
        // Their places are free again.
        machine.expect(&["stop", "--no-wait", "quick"]);
        machine.wait("one more may wait", |machine| machine.run(&["stop", "--wait", "quick"]).code == 0);
    }
}

#[test]
fn a_board_of_another_version_is_not_read() {
    let machine = Machine::new(&[]);
    let shown = machine.expect(&["status"]);
    assert!(shown.starts_with("boot "), "{shown}");
    let (reports, at) = (machine.run_directory().join("reports"), 4);
    let before = std::fs::read(&reports).expect("the reports");
    let file = std::fs::OpenOptions::new().write(true).open(&reports).expect("ours");
    std::os::unix::fs::FileExt::write_all_at(&file, &99u32.to_ne_bytes(), at).expect("it has room");
    let status = machine.run(&["status"]);
    std::os::unix::fs::FileExt::write_all_at(&file, &before[4..8], at).expect("it has room");
    assert_eq!((status.code, status.out.as_str()), (111, ""));
    assert!(
        status.err.ends_with("/reports: not the reports of this database, or another version's\n"),
        "{}",
        status.err
    );
    assert_eq!(machine.run(&["status"]).code, 0);
}
