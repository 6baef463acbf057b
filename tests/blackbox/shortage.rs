//! What is short, at every stage: processes, descriptors, memory, room in the run directory. Whoever is affected says
//! so and is tried again, nobody else notices, nothing spins, and all goes on by itself when the shortage ends.

use super::harness::{Folder, Machine, children, command, command_of, kill, lives, pause, program};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A user with no process but those of the test.
const SOMEBODY: u32 = 54_321;

fn is_root() -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::geteuid() == 0 }
}

/// No process can be made by one, or no descriptor, until it is dropped.
struct Shortage {
    pid: u32,
    /// As this user, where that is not ours: root may not do it everywhere.
    uid: u32,
    resource: libc::__rlimit_resource_t,
    before: libc::rlimit,
}

impl Shortage {
    /// Its user can make none: a user other than root.
    fn of_processes(machine: &Machine) -> Shortage {
        let uid = if is_root() { SOMEBODY } else { 0 };
        Shortage::of(machine.supervisor(), uid, (libc::RLIMIT_NPROC, "Max processes"), 0)
    }

    /// It gets no number above the standard ones.
    fn of_descriptors(pid: u32) -> Shortage {
        Shortage::of(pid, 0, (libc::RLIMIT_NOFILE, "Max open files"), 3)
    }

    fn of(pid: u32, uid: u32, (resource, name): (libc::__rlimit_resource_t, &str), soft: u64) -> Shortage {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it lives");
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect("a line for each");
        let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap_or(libc::RLIM_INFINITY));
        let [rlim_cur, rlim_max] = [numbers.next(), numbers.next()].map(|number| number.expect("soft and hard"));
        let short = Shortage { pid, uid, resource, before: libc::rlimit { rlim_cur, rlim_max } };
        short.set(libc::rlimit { rlim_cur: soft, rlim_max });
        short
    }

    fn set(&self, limit: libc::rlimit) {
        let &Shortage { pid, uid, resource, .. } = self;
        let mut setter = Command::new("/bin/true");
        // SAFETY: only system calls, on memory of the closure.
        unsafe {
            setter.pre_exec(move || {
                let set = (uid == 0 || libc::setgid(uid) == 0 && libc::setuid(uid) == 0)
                    && libc::prlimit(pid as i32, resource, &raw const limit, std::ptr::null_mut()) == 0;
                if set { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            })
        };
        assert!(setter.status().expect("the limit is set").success());
    }
}

impl Drop for Shortage {
    fn drop(&mut self) {
        if lives(self.pid) {
            self.set(self.before);
        }
    }
}

/// With a supervisor that can be short of processes: of a user other than root.
fn machine_of_somebody(files: &[(&str, &str)], arguments: &[&str]) -> Machine {
    machine_of(supervisor_of_somebody(), files, arguments)
}

fn supervisor_of_somebody() -> Command {
    if is_root() { command_of(SOMEBODY, SOMEBODY) } else { command() }
}

fn machine_of(supervisor: Command, files: &[(&str, &str)], arguments: &[&str]) -> Machine {
    let folder = Folder::new();
    if is_root() {
        std::os::unix::fs::chown(&folder.0, Some(SOMEBODY), None).expect("root may");
    }
    Machine::of(folder, supervisor, files, arguments)
}

/// What a process has used of the processor, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("ticks")).sum()
}

/// These processes sleep, nearly all of a second long.
fn assert_asleep(pids: &[u32]) {
    let before: Vec<u64> = pids.iter().map(|pid| ticks(*pid)).collect();
    assert!(Command::new("sleep").arg("1").status().expect("a second").success());
    for (pid, before) in pids.iter().zip(before) {
        let used = ticks(*pid) - before;
        assert!(used < 15, "{pid} has used {used} ticks of a second");
    }
}

/// `pintle status NAME`, also where it fails.
fn status(machine: &Machine, name: &str) -> String {
    machine.run(&["status", name]).out
}

#[test]
fn who_connects_when_the_engine_has_no_descriptor_waits_and_nothing_spins() {
    let machine = Machine::new(&[("web", &pause(""))]);
    let engine = machine.engine();
    let short = Shortage::of_descriptors(engine);
    let mut waits = machine.spawn(&["start", "--wait", "web"]);
    assert_asleep(&[engine, machine.supervisor()]);
    assert!(waits.try_wait().expect("ours").is_none(), "nobody has taken it");
    drop(short);
    assert_eq!(waits.wait().expect("it ends").code(), Some(0));
    assert_eq!((machine.phase("web").as_str(), machine.engine()), ("up", engine));
}

#[test]
fn a_supervisor_that_crashes_without_descriptors_goes_on_when_there_are_some() {
    let few = [("web", pause("")), ("more", pause("")), ("default", "type = bundle\ncontains = web\n".into())];
    let machine = Machine::with(&texts(&few), &["default"]);
    crash_without_descriptors(&machine);
    // And one with so many that it shares their table with children.
    let names: Vec<String> = (0..240).map(|at| format!("s{at}")).collect();
    let many: Vec<(&str, String)> =
        names.iter().map(|name| (name.as_str(), pause("log = file\n"))).chain(few).collect();
    let machine = Machine::with(&texts(&many), &["default"]);
    crash_without_descriptors(&machine);
}

fn crash_without_descriptors(machine: &Machine) {
    machine.wait_phase("web", "up");
    let (web, engine, supervisor) = (machine.pid("web"), machine.engine(), machine.supervisor());
    let short = Shortage::of_descriptors(supervisor);
    kill(supervisor, libc::SIGSEGV);
    machine.wait("it says what it lacks", |machine| machine.messages().contains("Too many open files"));
    // More often than a crash that is no shortage would be tolerated.
    for _ in 0..7 {
        assert_asleep(&[supervisor]);
    }
    assert!(lives(web) && lives(engine) && machine.ended().is_none(), "{}", machine.messages());
    drop(short);
    machine.wait("it goes on", |machine| machine.status()["supervisor"]["recoveries"] == 1);
    machine.expect(&["start", "--wait", "more"]);
    assert_eq!((machine.pid("web"), machine.engine()), (web, engine), "{}", machine.messages());
}

#[test]
fn what_cannot_be_spawned_says_why_is_tried_again_and_nobody_else_notices() {
    let files = [
        ("dies", pause("restart-delay = 100ms\nrestart-delay-max = 200ms\n")),
        ("never", pause("restart = never\n")),
        ("lives", pause("")),
        ("default", "type = bundle\ncontains = dies lives\n".into()),
    ];
    let machine = machine_of_somebody(&texts(&files), &["default"]);
    machine.wait_phase("default", "up");
    let (dies, quiet) = (machine.pid("dies"), machine.pid("lives"));
    let short = Shortage::of_processes(&machine);
    kill(dies, libc::SIGKILL);
    assert_eq!(machine.run(&["start", "--wait", "never"]).code, 1);
    for name in ["dies", "never"] {
        machine
            .wait("it says why", |machine| status(machine, name).contains("clone: Resource temporarily unavailable"));
        assert_eq!(machine.phase(name), "restarting");
    }
    assert_asleep(&[machine.supervisor(), machine.engine()]);
    drop(short);
    machine.wait_new_life("dies", dies);
    machine.wait_phase("never", "up");
    assert_eq!(machine.pid("lives"), quiet);
}

#[test]
fn an_engine_and_a_logger_that_cannot_be_spawned_are_missed_aloud_and_come_back() {
    let speaker = format!(
        "command = /bin/sh -c 'echo begun; trap \"echo again\" USR1; while :; do {} & wait; done'\nlog = file\n",
        program("pause")
    );
    let files = [("speaker", speaker), ("default", "type = bundle\ncontains = speaker\n".into())];
    let machine = machine_of_somebody(&texts(&files), &["default"]);
    let said = |machine: &Machine, text: &str| machine.run(&["log", "speaker"]).out.contains(&format!(" {text}\n"));
    machine.wait("it is logged", |machine| said(machine, "begun"));
    let (speaker, engine, logger) = (machine.pid("speaker"), machine.engine(), children(&machine, "pintle-log")[0]);
    let short = Shortage::of_processes(&machine);
    for (pid, name) in [(engine, "engine"), (logger, "log")] {
        kill(pid, libc::SIGKILL);
        let reason = format!("pintle: cannot start pintle-{name}: clone: Resource temporarily unavailable\n");
        machine.wait("it says so", |machine| machine.messages().contains(&reason));
    }
    kill(speaker, libc::SIGUSR1);
    assert_asleep(&[machine.supervisor()]);
    assert_eq!(machine.messages().matches("cannot start").count(), 2, "once each: {}", machine.messages());
    drop(short);
    machine.wait("there is another", |machine| machine.engine() != engine);
    machine.wait("what was said is logged", |machine| said(machine, "again"));
    assert_eq!(machine.pid("speaker"), speaker);
}

#[test]
fn commands_of_a_service_that_cannot_be_spawned_are_run_later() {
    let folder = Folder::new();
    let done = folder.0.join("done");
    std::fs::write(&done, "")
        .and_then(|()| std::fs::set_permissions(&done, std::os::unix::fs::PermissionsExt::from_mode(0o666)))
        .expect("a file");
    let note =
        |word: &str| format!("/bin/sh -c 'echo {word} >>{}; test -z \"$MAINPID\" || kill $MAINPID'", done.display());
    let reload = format!("/bin/sh -c 'echo reload >>{}'", done.display());
    let files = [
        ("daemon", pause(&format!("stop = {}\n", note("stop")))),
        ("reloads", pause(&format!("reload = {reload}\n"))),
        ("once", format!("type = oneshot\ncommand = /bin/true\nstop = {}\n", note("down"))),
        ("cleans", pause(&format!("cleanup = {}\n", note("cleanup")))),
        ("default", "type = bundle\ncontains = daemon reloads once cleans\n".into()),
    ];
    let machine = machine_of_somebody(&texts(&files), &["default"]);
    machine.wait_phase("default", "up");
    let short = Shortage::of_processes(&machine);
    machine.expect(&["reload", "reloads"]);
    machine.expect(&["stop", "--no-wait", "daemon", "once", "cleans"]);
    assert_asleep(&[machine.supervisor(), machine.engine()]);
    for name in ["daemon", "once", "cleans"] {
        assert_eq!(machine.phase(name), "stopping", "{name}");
    }
    drop(short);
    machine.wait("all are run", |_| {
        let text = std::fs::read_to_string(&done).expect("ours");
        let mut words: Vec<&str> = text.lines().collect();
        words.sort_unstable();
        words == ["cleanup", "down", "reload", "stop"]
    });
    for name in ["daemon", "once", "cleans"] {
        machine.wait_phase(name, "down");
    }
}

/// A file system in memory of so many KB, where root may mount one.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: &Path, kilobytes: u32) -> Disk {
        std::fs::create_dir_all(at).expect("a directory");
        let disk = Disk(at.into());
        disk.change(0, &format!("size={kilobytes}k,nr_inodes=200,mode=755"));
        disk
    }

    fn change(&self, flags: libc::c_ulong, options: &str) {
        let text = |text: &str| std::ffi::CString::new(text).expect("no NUL");
        let (kind, place, options) = (text("tmpfs"), text(self.0.to_str().expect("UTF-8")), text(options));
        // SAFETY: texts that are ended by NUL.
        let made = unsafe { libc::mount(kind.as_ptr(), place.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) };
        assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    }

    fn make_read_only(&self, is: bool) {
        self.change(libc::MS_REMOUNT | if is { libc::MS_RDONLY } else { 0 }, "");
    }

    /// Nothing more has room, no name either.
    fn fill(&self) {
        use std::io::Write;
        let mut filler = std::fs::File::create(self.0.join("filler")).expect("a file");
        while filler.write_all(&[0; 4096]).is_ok() {}
        let mut at = 0;
        while std::fs::File::create(self.0.join(format!("filler{at}"))).is_ok() {
            at += 1;
        }
    }

    fn empty(&self) {
        for entry in std::fs::read_dir(&self.0).expect("it is there").flatten() {
            if entry.file_name().to_string_lossy().starts_with("filler") {
                std::fs::remove_file(entry.path()).expect("removed");
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let place = std::ffi::CString::new(self.0.to_str().expect("UTF-8")).expect("no NUL");
        // SAFETY: a text that is ended by NUL.
        unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
    }
}

#[test]
fn a_run_directory_that_takes_nothing_fails_no_service_for_good() {
    if !is_root() {
        return; // nobody else mounts
    }
    let folder = Folder::new();
    let disk = Disk::mount(&folder.0.join("run"), 16 << 10);
    let notifies = format!(
        "command = {}\nready = notify\nrestart-delay = 0\nrestart-delay-max = 200ms\nrestart = never\n",
        program("notify")
    );
    let files = [
        ("first", notifies.clone()),
        ("second", notifies),
        ("lives", pause("")),
        ("default", "type = bundle\ncontains = lives\n".into()),
    ];
    let machine = Machine::inside(folder, &texts(&files), &["default"]);
    machine.wait_phase("lives", "up");
    let lives = machine.pid("lives");
    for (crashes, name, reason) in [(1, "first", "Read-only file system"), (2, "second", "No space left on device")] {
        // Where files are open to be written nothing becomes read-only; so that comes on top.
        let above = (crashes == 1).then(|| Disk::mount(&disk.0.join("notify"), 64));
        match &above {
            Some(above) => above.make_read_only(true),
            None => disk.fill(),
        }
        let started = machine.run(&["start", "--wait", name]);
        assert_eq!(started.code, 1, "{started:?} {}", status(&machine, name));
        machine.wait("it says why", |machine| status(machine, name).contains(&format!("notify socket: {reason}")));
        assert_eq!(machine.phase(name), "restarting");
        // Neither an engine nor a supervisor that goes on needs any room there.
        let engine = machine.engine();
        kill(engine, libc::SIGKILL);
        machine.wait_new_engine(engine);
        kill(machine.supervisor(), libc::SIGSEGV);
        machine.wait("it goes on", |machine| machine.status()["supervisor"]["recoveries"] == crashes);
        assert_eq!((machine.phase(name).as_str(), machine.pid("lives")), ("restarting", lives));
        match above {
            Some(above) => drop(above),
            None => disk.empty(),
        }
        machine.wait_phase(name, "up");
    }
    machine.expect(&["shutdown"]);
    drop(disk);
}

/// As the harness takes them.
fn texts<'a>(files: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    files.iter().map(|(name, text)| (*name, text.as_str())).collect()
}

/// `pintle ARGUMENTS` with this soft limit: how it ended, and what it said.
fn limited(
    run: &Path,
    arguments: &[&str],
    resource: libc::__rlimit_resource_t,
    soft: u64,
) -> (std::process::ExitStatus, String) {
    let mut command = command();
    command.args(arguments).env("PINTLE_RUN", run).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: only system calls, on memory of the closure.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: libc::RLIM_INFINITY };
            let hard = libc::rlimit { rlim_cur: soft, rlim_max: soft };
            let set =
                libc::setrlimit(resource, &raw const limit) == 0 || libc::setrlimit(resource, &raw const hard) == 0;
            if set { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        })
    };
    let done = command.output().expect("it runs");
    (done.status, format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
}

/// Tried with less and less: whatever is short, the tool says what, and ends with the code of a system call that failed.
fn fails_well(
    run: &Path,
    arguments: &[&str],
    resource: libc::__rlimit_resource_t,
    least: u64,
    step: u64,
    reason: &str,
) -> usize {
    let (mut failures, mut soft) = (0, least);
    loop {
        let (ended, said) = limited(run, arguments, resource, soft);
        if ended.code() == Some(0) {
            return failures;
        }
        // Executed with too little, it is ended by the kernel before its first instruction.
        let begins = ended.code().is_some() || failures > 0;
        if begins {
            // What cannot be read of service files is a finding of theirs.
            let code =
                if arguments[0] == "compile" && ended.code() == Some(100) { 111 } else { ended.code().unwrap_or(0) };
            assert!(code == 111 && said.contains(reason), "{arguments:?} with {soft}: {ended}: {said:?}");
            failures += 1;
        }
        soft += step;
    }
}

#[test]
fn tools_without_memory_or_descriptors_say_so() {
    let machine = Machine::new(&[("web", &pause("log = file\n"))]);
    machine.expect(&["start", "--wait", "web"]);
    let run = machine.run_directory();
    let services = machine.folder.0.join("services");
    let (services, database) = (services.to_str().expect("UTF-8"), machine.folder.0.join("other.db"));
    for arguments in [
        &["list"][..],
        &["status", "web"],
        &["start", "--wait", "web"],
        &["why", "web"],
        &["compile", services, "-o", database.to_str().expect("UTF-8")],
    ] {
        let few = fails_well(&run, arguments, libc::RLIMIT_NOFILE, 3, 1, "Too many open files");
        let little = fails_well(&run, arguments, libc::RLIMIT_AS, 64 << 10, 64 << 10, "Cannot allocate memory");
        assert!(few > 0 && little > 0, "{arguments:?}: {few} {little}");
    }
}

#[test]
fn a_supervisor_that_cannot_begin_says_why_and_begins_when_it_can() {
    let folder = Folder::new();
    folder.compile(&[
        ("web", &format!("command = {}\nready = notify\n", program("notify"))),
        ("default", "type = bundle\n"),
    ]);
    let path = |name: &str| folder.0.join(name).to_str().expect("UTF-8").to_string();
    let (database, run) = (path("boot.db"), path("run"));
    let supervise = |run: &str, resource, soft| {
        limited(Path::new(run), &["supervise", "--db", &database, "default"], resource, soft)
    };
    const NO_LIMIT: (libc::__rlimit_resource_t, u64) = (libc::RLIMIT_CORE, 0);
    let refused = |run: &str, (resource, soft), reason: &str| {
        let (ended, said) = supervise(run, resource, soft);
        let named = said.lines().count() == 1 && said.starts_with("pintle: ") && said.contains(reason);
        assert!(ended.code() == Some(111) && named, "{run}, {soft}: {ended}: {said:?}");
    };
    folder.write("file", "");
    refused(&path("file/run"), NO_LIMIT, &format!("cannot create {}: Not a directory", path("file/run")));
    for soft in [3, 5, 20, 70, 90] {
        refused(&run, (libc::RLIMIT_NOFILE, soft), "Too many open files");
    }
    for megabytes in 1..3 {
        refused(&run, (libc::RLIMIT_AS, megabytes << 20), "Cannot allocate memory");
    }
    refused(&run, (libc::RLIMIT_FSIZE, 4096), "File too large");
    if is_root() {
        let disk = Disk::mount(Path::new(&path("disk")), 1 << 10);
        disk.fill();
        refused(&path("disk"), NO_LIMIT, "No space left on device");
        disk.empty();
        disk.make_read_only(true);
        refused(&path("disk"), NO_LIMIT, "Read-only file system");
    }
    // Nothing of all that is in its way.
    let machine = Machine::inside(folder, &[], &["default"]);
    machine.expect(&["start", "--wait", "web"]);
}

#[test]
fn a_supervisor_without_processes_at_its_start_begins_when_there_are_some() {
    let files = [("web", pause("")), ("default", "type = bundle\ncontains = web\n".into())];
    let mut supervisor = supervisor_of_somebody();
    // SAFETY: only system calls, on memory of the closure.
    unsafe {
        supervisor.pre_exec(|| {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            let got = libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit) == 0;
            let none = libc::rlimit { rlim_cur: 0, ..limit };
            let set = got && libc::setrlimit(libc::RLIMIT_NPROC, &raw const none) == 0;
            if set { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        })
    };
    let machine = machine_of(supervisor, &texts(&files), &["default"]);
    let mut short = Shortage::of_processes(&machine);
    short.before.rlim_cur = short.before.rlim_max;
    machine.wait("it says so", |machine| machine.messages().contains("cannot start pintle-engine: clone: "));
    assert_asleep(&[machine.supervisor()]);
    drop(short);
    machine.wait_phase("web", "up");
    assert_eq!(machine.messages().lines().count(), 1, "{}", machine.messages());
}

#[test]
fn a_logger_without_descriptors_logs_later_and_loses_nothing() {
    let speaker = |text: &str| format!("command = /bin/sh -c 'echo {text}; exec {}'\nlog = file\n", program("pause"));
    let files = [
        ("first", speaker("one")),
        ("second", speaker("two")),
        ("default", "type = bundle\ncontains = first\n".into()),
    ];
    let machine = Machine::with(&texts(&files), &["default"]);
    let said =
        |machine: &Machine, name: &str, text: &str| machine.run(&["log", name]).out.contains(&format!(" {text}\n"));
    machine.wait("it is logged", |machine| said(machine, "first", "one"));
    let logger = children(&machine, "pintle-log")[0];
    let short = Shortage::of_descriptors(logger);
    machine.expect(&["start", "--wait", "second"]);
    machine.wait("it says so", |machine| machine.messages().contains("pintle-log: too many open files"));
    assert_asleep(&[logger, machine.supervisor()]);
    drop(short);
    machine.wait("it is logged", |machine| said(machine, "second", "two"));
    assert_eq!(children(&machine, "pintle-log"), [logger]);
    assert_eq!(machine.messages().matches("too many open files").count(), 1, "{}", machine.messages());
}

#[test]
fn a_logger_without_memory_goes_on_with_the_same_pipes() {
    let speaker = |name: &str| {
        let trap = format!("trap \"echo {name} again\" USR1; while :; do {} & wait; done", program("pause"));
        format!("command = /bin/sh -c 'echo {name}; {trap}'\nlog = file\n")
    };
    let files = [
        ("first", speaker("one")),
        ("second", speaker("two")),
        ("default", "type = bundle\ncontains = first\n".into()),
    ];
    let machine = Machine::with(&texts(&files), &["default"]);
    let said = |name: &str, text: &str| machine.run(&["log", name]).out.contains(&format!(" {text}\n"));
    machine.wait("it is logged", |_| said("first", "one"));
    let logger = children(&machine, "pintle-log")[0];
    for (fault, name, text) in
        [("recvmsg:error=ENOMEM", "second", "two"), ("read:error=ENOMEM,splice:error=ENOMEM", "first", "one again")]
    {
        let faults: Vec<&str> = fault.split(',').collect();
        let injection = Injection::new(logger, &faults);
        if name == "second" {
            machine.expect(&["start", "--wait", "second"]);
        } else {
            kill(machine.pid("first"), libc::SIGUSR1);
        }
        assert_asleep(&[logger, machine.supervisor()]);
        assert!(!said(name, text), "{fault}");
        drop(injection);
        machine.wait(&format!("it is logged behind {fault}"), |_| said(name, text));
    }
    assert_eq!(children(&machine, "pintle-log"), [logger]);
}

#[test]
fn a_chain_loader_without_memory_is_a_spawn_that_failed() {
    // Somewhere between too little for its exec and enough.
    let sizes: Vec<u32> = (8..20).map(|at| at * 64).collect();
    let names: Vec<String> = sizes.iter().map(|size| format!("s{size}")).collect();
    let text = |size: &u32| pause(&format!("limit-as = {size}K\noom-score-adj = 500\nrestart-delay-max = 1s\n"));
    let files: Vec<(&str, String)> = names.iter().map(String::as_str).zip(sizes.iter().map(text)).collect();
    let machine = Machine::new(&texts(&files));
    let mut short = 0;
    for name in &names {
        let _ = machine.run(&["start", "--wait", name]);
        let shown = status(&machine, name);
        assert!(!shown.contains("exit 111"), "{shown}");
        short += u32::from(shown.contains("Cannot allocate memory") && machine.phase(name) == "restarting");
    }
    assert!(short > 0, "{}", machine.expect(&["list"]));
    assert_eq!(machine.phase("s1216"), "up");
}

#[test]
fn what_a_service_gives_into_keeping_waits_until_it_can_be_taken() {
    let folder = Folder::new();
    let gate = folder.0.join("gate");
    let keeper = format!(
        "command = /bin/sh -c 'until [ -e {} ]; do read -t 0.01 x; done; exec {} -g kept'\n\
         ready = notify\nfd-store-max = 1\nlog = file\n",
        gate.display(),
        program("sockets")
    );
    let machine = Machine::new(&[("keeper", &keeper.replace("/bin/sh", "/bin/bash"))]);
    machine.expect(&["start", "--no-wait", "keeper"]);
    machine.wait_phase("keeper", "starting");
    let short = Shortage::of_descriptors(machine.supervisor());
    std::fs::write(&gate, "").expect("a file");
    let pid = machine.pid("keeper");
    machine.wait("it has said all", |_| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sockets\n")
    });
    assert_asleep(&[machine.supervisor()]);
    assert_eq!(machine.phase("keeper"), "starting");
    drop(short);
    machine.wait_phase("keeper", "up");
    machine.expect(&["restart", "--wait", "keeper"]);
    machine.wait("it gets it back", |machine| machine.run(&["log", "keeper"]).out.contains(&format!("fds kept={pid}")));
    assert!(!machine.messages().contains("is lost"), "{}", machine.messages());
}

/// Has these system calls of a process fail, with these errors, until it is dropped.
struct Injection {
    strace: std::process::Child,
    said: BufReader<std::process::ChildStderr>,
    pid: u32,
}

impl Injection {
    fn new(pid: u32, faults: &[&str]) -> Injection {
        let calls: Vec<&str> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        let mut strace = Command::new("strace");
        strace.arg(format!("--trace={}", calls.join(",")));
        strace.args(faults.iter().map(|fault| format!("--inject={fault}")));
        strace.arg("--attach").arg(pid.to_string()).stderr(Stdio::piped());
        let mut strace = strace.spawn().expect("strace (Debian package strace)");
        let said = BufReader::new(strace.stderr.take().expect("a pipe"));
        let mut injection = Injection { strace, said, pid };
        injection.read_until(" attached");
        injection
    }

    fn read_until(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            let count = self.said.read_line(&mut line).unwrap_or(0);
            assert!(count > 0 || std::thread::panicking(), "strace has ended before {text}");
            if count == 0 {
                return;
            }
        }
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        // Not in the middle of a call, which would fail as an unknown one.
        kill(self.pid, libc::SIGSTOP);
        self.read_until("stopped by SIGSTOP");
        kill(self.strace.id(), libc::SIGINT);
        let _ = self.strace.wait();
        kill(self.pid, libc::SIGCONT);
    }
}

#[test]
fn whichever_call_finds_nothing_left_all_comes_up_behind_it() {
    let folder = Folder::new();
    let (notify, ready, trace) = (program("notify"), program("ready"), folder.0.join("trace"));
    let quick = "restart-delay = 0\nrestart-delay-max = 200ms\nstart-timeout = 1h\n";
    let files = [
        ("plain", pause(quick)),
        ("logged", format!("command = /bin/sh -c 'echo said; exec {}'\nlog = file\n{quick}", program("pause"))),
        ("told", format!("command = {ready} 3\nready = fd 3\n{quick}")),
        ("notifies", format!("command = {notify}\nready = notify\n{quick}")),
        ("rich", pause(&format!("make-directory = {}\n{quick}", folder.0.join("own").display()))),
        (
            "listens",
            format!(
                "command = {} -n\nready = notify\nlisten = a=unix:{}\n{quick}",
                program("sockets"),
                folder.0.join("socket").display()
            ),
        ),
        ("checked", pause(&format!("ready = check /bin/true\ncheck-interval = 100ms\n{quick}"))),
        ("forks", format!("command = {} 1\nready = fork\n{quick}", program("forker"))),
        ("once", format!("type = oneshot\ncommand = /bin/true\nstop = /bin/sh -c 'echo down >>{}'\n", trace.display())),
        // Which process is the main one comes by a notice, at the last moment; to receive one takes no memory in truth.
        ("most", "type = bundle\ncontains = plain logged told notifies rich listens checked once\n".into()),
        ("all", "type = bundle\ncontains = most forks\n".into()),
        ("lives", pause("")),
        ("default", "type = bundle\ncontains = lives\n".into()),
    ];
    for (at, faults) in [
        &["clone:error=EAGAIN", "clone3:error=EAGAIN", "vfork:error=EAGAIN"][..],
        &["clone:error=ENOMEM", "clone3:error=ENOMEM"],
        &["pipe2:error=EMFILE"],
        &["pipe2:error=ENFILE"],
        &["socket:error=ENFILE", "socketpair:error=ENFILE"],
        &["bind:error=ENOSPC"],
        &["epoll_ctl:error=ENOMEM"],
        &["epoll_ctl:error=ENOSPC"],
        &["openat:error=EMFILE"],
        &["openat:error=ENFILE", "mkdirat:error=ENOSPC"],
        &["sendmsg:error=ENOMEM"],
        &["recvmsg:error=ENOMEM"],
        &["tee:error=ENOMEM", "fcntl:error=ENOMEM"],
    ]
    .into_iter()
    .enumerate()
    {
        let machine = Machine::with(&texts(&files), &["default"]);
        machine.wait_phase("lives", "up");
        let (lives, engine) = (machine.pid("lives"), machine.engine());
        let injection = Injection::new(machine.supervisor(), faults);
        let all = if faults[0].starts_with("recvmsg") { "most" } else { "all" };
        machine.expect(&["start", "--no-wait", all]);
        assert_asleep(&[machine.supervisor(), engine]);
        let bad = |machine: &Machine| machine.services().iter().any(|service| service["phase"] == "failed");
        assert!(!bad(&machine), "{faults:?}: {}", machine.expect(&["list"]));
        drop(injection);
        machine.wait(&format!("all is up behind {faults:?}"), |machine| machine.phase(all) == "up");
        assert_eq!((machine.pid("lives"), machine.engine()), (lives, engine));
        // And down.
        let injection = Injection::new(machine.supervisor(), faults);
        machine.expect(&["stop", "--no-wait", all]);
        assert_asleep(&[machine.supervisor(), engine]);
        drop(injection);
        machine.wait(&format!("all is down behind {faults:?}"), |machine| {
            let stays = |service: &serde_json::Value| service["name"] == "lives" || service["name"] == "default";
            machine.services().iter().all(|service| stays(service) || service["phase"] == "down")
        });
        let downs = std::fs::read_to_string(&trace).expect("a file").lines().count();
        assert_eq!(downs, at + 1, "{faults:?}: {} {}", status(&machine, "once"), machine.messages());
        assert_eq!((machine.pid("lives"), machine.engine()), (lives, engine));
    }
}

#[test]
fn a_recovery_waits_for_whatever_it_lacks() {
    let files = [
        ("web", pause("")),
        ("logged", format!("command = /bin/sh -c 'echo said; exec {}'\nlog = file\n", program("pause"))),
        ("default", "type = bundle\ncontains = web logged\n".into()),
    ];
    for (fault, reason) in [
        ("execveat:error=ENOMEM", ""),
        ("mmap:error=ENOMEM", "Cannot allocate memory"),
        ("epoll_create1:error=ENFILE", "Too many open files in system"),
        ("signalfd4:error=EMFILE", "Too many open files"),
        ("pipe2:error=ENFILE", "Too many open files in system"),
    ] {
        let machine = Machine::with(&texts(&files), &["default"]);
        machine.wait_phase("default", "up");
        let pids = || ["web", "logged"].map(|name| machine.pid(name));
        let (before, engine, supervisor) = (pids(), machine.engine(), machine.supervisor());
        let injection = Injection::new(supervisor, &[fault]);
        kill(supervisor, libc::SIGSEGV);
        machine.wait(&format!("it says that of {fault}"), |machine| machine.messages().contains(reason));
        for _ in 0..3 {
            assert_asleep(&[supervisor, engine]);
        }
        assert_eq!(machine.status()["supervisor"]["recoveries"], 0, "{fault}");
        drop(injection);
        machine.wait("it goes on", |machine| machine.status()["supervisor"]["recoveries"] == 1);
        assert_eq!((pids(), machine.engine()), (before, engine), "{fault}: {}", machine.messages());
        assert!(!machine.messages().contains("again and again"), "{fault}: {}", machine.messages());
        kill(before[0], libc::SIGKILL);
        machine.wait_new_life("web", before[0]);
    }
}

#[test]
fn a_lease_whose_holder_cannot_be_watched_stays_until_it_can() {
    let machine = Machine::new(&[("nic", &pause("while = net-up\n"))]);
    machine.expect(&["start", "--no-wait", "nic"]);
    let mut holder = machine.spawn(&["emit", "--hold", "net-up"]);
    machine.wait_phase("nic", "up");
    let pid = machine.pid("nic");
    kill(holder.id(), libc::SIGSTOP);
    let before = machine.engine();
    kill(before, libc::SIGKILL);
    machine.wait_new_engine(before);
    let engine = machine.engine();
    let short = Shortage::of_descriptors(engine);
    // Longer than an engine waits for holders to connect again.
    for _ in 0..4 {
        assert_asleep(&[engine]);
    }
    assert_eq!((machine.phase("nic").as_str(), machine.pid("nic"), machine.engine()), ("up", pid, engine));
    drop(short);
    holder.kill().expect("it is there");
    holder.wait().expect("it ends");
    machine.wait_phase("nic", "waiting");
}
