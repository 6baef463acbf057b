//! The engine is a process of its own without privilege: whatever one does that is not ours any more, the supervisor
//! runs nothing that the database does not say, stays up, and gets an engine again that works.

use crate::harness::{Folder, Machine, kill, program};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// As whom the engine runs here.
const ENGINE: &str = "nobody";

fn machine(folder: &Folder) -> Machine {
    let path = |name: &str| folder.0.join(name).display().to_string();
    let (tell, pause, exit) = (program("tell"), program("pause"), program("exit"));
    let each = "for-each = net-up\ninstance = ${IFACE}\npass = IFACE\ntype = oneshot\n";
    let files = [
        ("plain", format!("command = {pause} {}\nreload = signal HUP\n", path("plain"))),
        ("user", format!("command = {pause}\nuser = daemon\n")),
        ("stops", format!("command = {pause}\nstop = {tell} {} stopped\nstop-timeout = 1s\n", path("told"))),
        ("once", format!("type = oneshot\ncommand = {exit} 0\n")),
        (
            "never",
            format!("type = oneshot\nonly-if = path {}\ncommand = {tell} {} never\n", path("not-there"), path("told")),
        ),
        ("link@", format!("{each}command = {tell} {} link ${{INSTANCE}} ${{IFACE}}\n", path("told"))),
        (
            "rich@",
            format!(
                "{each}make-directory = {}/${{IFACE}}\ncommand = {tell} {} rich ${{IFACE}}\n",
                path("dirs"),
                path("told")
            ),
        ),
    ];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    Machine::with(&files, &["--engine-user", ENGINE])
}

/// What this supervisor gives to each engine, from 3 on: it has them at the same numbers.
fn descriptors_of(pid: u32) -> Vec<OwnedFd> {
    // SAFETY: numbers alone; what comes out is a descriptor of ours.
    unsafe {
        let handle = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
        assert!(handle >= 0, "{}", std::io::Error::last_os_error());
        let handle = OwnedFd::from_raw_fd(handle);
        let get = |number: i32| {
            let fd = libc::syscall(libc::SYS_pidfd_getfd, handle.as_raw_fd(), number, 0) as i32;
            assert!(fd >= 0, "{number}: {}", std::io::Error::last_os_error());
            // Out of the way of the numbers that they are to have.
            OwnedFd::from_raw_fd(libc::fcntl(OwnedFd::from_raw_fd(fd).as_raw_fd(), libc::F_DUPFD_CLOEXEC, 100))
        };
        (3..11).map(get).collect()
    }
}

/// The program `hostile` in the engine's place: as its user, with its descriptors.
fn hostile(machine: &Machine, descriptors: Vec<OwnedFd>, rounds: u32) -> std::process::Output {
    const PROGRAM: i32 = 99;
    let status = std::fs::read_to_string(format!("/proc/{}/status", machine.engine())).expect("it is there");
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key}"));
        line.split_whitespace().next().expect("a value").to_string()
    };
    for key in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(of(key), "0000000000000000", "{key}");
    }
    assert_eq!((of("NoNewPrivs:").as_str(), of("Groups:").parse::<u32>().is_ok()), ("1", true), "{status}");
    let (uid, gid): (u32, u32) = (of("Uid:").parse().expect("a number"), of("Gid:").parse().expect("a number"));
    assert_ne!(uid, 0);
    // SAFETY: numbers alone.
    assert_eq!(unsafe { libc::getsid(machine.engine() as i32) }, machine.engine() as i32, "a session of its own");
    let path = std::ffi::CString::new(program("hostile")).expect("no NUL");
    let mut command = Command::new(format!("/proc/self/fd/{PROGRAM}"));
    command.arg0("hostile").args([machine.supervisor().to_string(), rounds.to_string()]);
    // SAFETY: only system calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            let opened = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            let dropped = opened >= 0
                && libc::dup2(opened, PROGRAM) == PROGRAM
                && descriptors.iter().zip(3..).all(|(fd, number)| libc::dup2(fd.as_raw_fd(), number) == number)
                && libc::setsid() > 0
                && libc::setgroups(0, std::ptr::null()) == 0
                && libc::setgid(gid) == 0
                && libc::setuid(uid) == 0
                && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
            if dropped { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    command.stdin(Stdio::null()).output().expect("it runs")
}

/// The words of `["one", "two"]` in a line of strace.
fn list(text: &str) -> Vec<&str> {
    let inside = text.strip_prefix('[').and_then(|text| text.split("\"], ").next()).unwrap_or_default();
    inside.trim_start_matches('"').split("\", \"").collect()
}

#[test]
fn a_hostile_engine_runs_nothing_that_the_database_does_not_say() {
    let folder = Folder::new();
    let machine = machine(&folder);
    let trace = folder.0.join("trace");
    let mut tracer = Command::new("strace");
    tracer.args(["-f", "-v", "-s", "4096", "-e", "trace=execve,execveat", "-e", "signal=none", "-o"]).arg(&trace);
    tracer.args(["-p", &machine.supervisor().to_string()]).stderr(Stdio::piped());
    let mut tracer = tracer.spawn().expect("strace runs");
    let mut said = BufReader::new(tracer.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let first = said.next().expect("a line");
    assert!(first.ends_with(" attached"), "{first}");
    let engine = machine.engine();
    kill(engine, libc::SIGSTOP);
    let done = hostile(&machine, descriptors_of(machine.supervisor()), 800);
    assert!(done.status.success(), "{:?}: {}", done.status, String::from_utf8_lossy(&done.stderr));
    assert_eq!(machine.ended(), None, "{}", machine.messages());

    // What it has left is no engine's to live with: the next ones die of it, until the supervisor makes it anew.
    kill(engine, libc::SIGKILL);
    machine.wait("an engine can be asked", |machine| machine.run(&["start", "plain", "user", "--wait"]).code == 0);
    let status = machine.status();
    assert_eq!((&status["supervisor"]["recoveries"], machine.ended()), (&0.into(), None), "{}", machine.messages());
    assert_eq!(status["supervisor"]["allocations"], 0);
    assert!(machine.messages().contains("the next one begins with an empty memory"), "{}", machine.messages());
    kill(tracer.id(), libc::SIGTERM);
    tracer.wait().expect("it ends");
    look_at(&std::fs::read_to_string(&trace).expect("a trace"), &folder.0);
}

fn look_at(trace: &str, folder: &Path) {
    let told = folder.join("told").display().to_string();
    let plain = folder.join("plain").display().to_string();
    let programs = ["pause", "tell", "exit"].map(program);
    let [pause, tell, exit] = programs.each_ref().map(String::as_str);
    let mut seen = std::collections::BTreeMap::<&str, u32>::new();
    for line in trace.lines().filter(|line| line.contains("execve(") && !line.contains("resumed>")) {
        let call = line.split_once("execve(").expect("found").1;
        let (file, rest) = call.split_once(", ").unwrap_or_else(|| panic!("{line}"));
        let arguments = list(rest);
        let environment = list(rest.split_once("], ").map_or("", |(_, rest)| rest));
        let kind = match (file.trim_matches('"'), arguments.as_slice()) {
            (_, [name, ..]) if *name == "pintle-engine" || *name == "pintle-log" => "pintle",
            // Into a group in which somebody was killed it goes by itself; what it becomes then is looked at, too.
            (_, ["pintle-exec", _, "-C", group, "--", ..]) if group.starts_with('/') && group.ends_with(".svc") => {
                "enters"
            }
            (_, [name, options @ ..]) if *name == "pintle-exec" => {
                let end = options.iter().position(|word| *word == "--").unwrap_or_else(|| panic!("{line}"));
                let Some(directory) = options[..end].iter().find(|word| word.contains("/dirs/")) else {
                    panic!("{line}")
                };
                assert!(!directory.contains("..") && !directory.contains(':'), "{line}");
                assert_eq!((options[end + 1], options.get(end + 3)), (tell, Some(&"rich")), "{line}");
                "rich"
            }
            (file, [_, at]) if file == pause && *at == plain => "plain",
            (file, [_]) if file == pause => "pause",
            (file, [_, "0"]) if file == exit => "once",
            (file, [_, at, "stopped"]) if file == tell && *at == told => "stops",
            (file, [_, at, "link", _, _]) if file == tell && *at == told => "link",
            (file, [_, at, "rich", _]) if file == tell && *at == told => "told",
            _ => panic!("the database says nothing of {line}"),
        };
        let foreign = ["LD_PRELOAD=", "PATH=/hostile", "EVIL=", "PINTLE_HELD="];
        assert!(!environment.iter().any(|word| foreign.iter().any(|foreign| word.starts_with(foreign))), "{line}");
        *seen.entry(kind).or_default() += 1;
    }
    for kind in ["plain", "pause", "once", "link", "rich"] {
        assert!(seen.get(kind).is_some_and(|count| *count > 0), "none of {kind}: {seen:?}");
    }
    assert!(!folder.join("escaped").exists() && !folder.parent().expect("a folder").join("escaped").exists());
}
