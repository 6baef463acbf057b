//! What an administrator does in a hurry or by mistake, and what a machine is told about it.

use crate::harness::{Folder, Machine, binary, command, kill, lives, pintle, program};
use std::process::{Command, Stdio};

#[test]
fn directories_may_be_named_from_where_one_stands() {
    let notify = format!("command = {}\nready = notify\n", program("notify"));
    let speaker = "command = /bin/sh -c 'echo heard; exec sleep 1000'\n";
    // One that runs already lends its database.
    let machine = Machine::new(&[
        ("told", &notify),
        ("speaker", speaker),
        ("default", "type = bundle\ncontains = told speaker\n"),
    ]);
    let place = machine.folder.0.clone();
    let mut second = command()
        .args(["supervise", "--db", "boot.db", "--run", "other", "--log-dir", "logs"])
        .current_dir(&place)
        .spawn()
        .expect("the binary runs");
    let other = place.join("other");
    let there = [("PINTLE_RUN", other.as_os_str())];
    machine.wait("the service that tells is up", |_| pintle(&["status", "told"], &there).code == 0);
    machine.wait("what was said is logged", |_| {
        std::fs::read_to_string(place.join("logs/speaker.log")).is_ok_and(|text| text.ends_with(" heard\n"))
    });
    // Started, it stands nowhere that somebody may want to unmount.
    // To see that of one that is not dumpable takes CAP_SYS_PTRACE; a child inherits it, and no call changes that.
    let told = pintle(&["status", "--json", "told"], &there).out;
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let child = told[0]["pid"].as_u64().expect("it is up") as u32;
    let place_of = |pid: u32| std::fs::read_link(format!("/proc/{pid}/cwd"));
    let stands = place_of(second.id()).or_else(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => place_of(child),
        _ => Err(error),
    });
    assert_eq!(stands.expect("it runs"), std::path::Path::new("/"));
    assert_eq!(pintle(&["shutdown"], &there).code, 0);
    assert_eq!(second.wait().expect("it ends").code(), Some(0));
}

#[test]
fn what_has_to_wait_is_told_at_once_with_its_reason() {
    let machine = Machine::new(&[("nic", "command = /bin/sleep 1000\nwhile = net-up\n")]);
    let ran = machine.run(&["start", "--wait", "nic"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "nic waiting: waits for its while: net-up (off)\n"));
    assert_eq!(ran.err, "pintle: nic: waiting: nic waits for its while: net-up (off)\n");
}

#[test]
fn no_supervisor_runs_in_a_directory_that_anybody_may_write_in() {
    use std::os::unix::fs::PermissionsExt;
    let folder = crate::harness::Folder::new();
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)).expect("changed");
    let place = folder.0.to_str().expect("UTF-8");
    let ran = pintle(&["supervise", "--db", "/nonexistent", "--run", place], &[]);
    let told = format!("pintle: cannot trust {place}: it must be root's or your own, and only its owner's to write\n");
    assert_eq!((ran.code, ran.err), (111, told));
}

#[test]
fn process_1_needs_no_proc() {
    let pause = format!("command = {}\n", program("pause"));
    // One service by way of the chain-loader.
    let rich = format!("{pause}env-file = -/nonexistent\n");
    let machine =
        Machine::new(&[("plain", &pause), ("rich", &rich), ("default", "type = bundle\ncontains = plain rich\n")]);
    let run = machine.folder.0.join("other");
    // SAFETY: no memory is involved.
    let rootless: &[&str] = if unsafe { libc::geteuid() } == 0 { &[] } else { &["--user", "--map-root-user"] };
    let mut inside = Command::new("unshare")
        .args(rootless)
        .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec"])
        .arg("mount -t tmpfs none /proc; exec \"$0\" supervise --db \"$1\" --run \"$2\"")
        .args([binary().as_os_str(), machine.folder.0.join("boot.db").as_os_str(), run.as_os_str()])
        .env_remove("PINTLE_RUN")
        .env_remove("PINTLE_LOG")
        .stdin(Stdio::null())
        .spawn()
        .expect("unshare");
    let there = [("PINTLE_RUN", run.as_os_str())];
    machine.wait("both are up where there is no /proc", |_| pintle(&["status", "plain", "rich"], &there).code == 0);
    assert_eq!(pintle(&["restart", "--wait", "plain"], &there).code, 0);
    assert_eq!(pintle(&["shutdown"], &there).code, 0);
    assert_eq!(inside.wait().expect("it ends").code(), Some(0));
}

#[test]
fn who_has_said_all_and_heard_all_is_let_go() {
    use std::io::{Read, Write};
    let machine = Machine::new(&[("pause", &format!("command = {}\n", program("pause")))]);
    machine.wait_phase("default", "up");
    let many = "start pause\n".repeat(300);
    for text in ["start pause\n", many.as_str(), "wait start pause\nwait stop pause\n", "", "half a line"] {
        let mut stream = machine.connect();
        stream.write_all(text.as_bytes()).expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("half closed");
        let mut answers = String::new();
        stream.read_to_string(&mut answers).expect("an end, in time");
        // More than can be remembered at once may be refused, but each is answered.
        let answered = answers.lines().filter(|line| line.starts_with("ok ") || line.starts_with("no ")).count();
        assert_eq!(answered, text.matches('\n').count());
    }
}

#[test]
fn a_start_that_takes_too_long_has_failed_for_who_waits_for_it() {
    let pause = program("pause");
    let machine = Machine::new(&[
        ("brief", &format!("type = oneshot\ncommand = {pause}\nstart-timeout = 200ms\n")),
        ("mute", &format!("command = {pause}\nready = fd 3\nstart-timeout = 200ms\nrestart = never\n")),
    ]);
    for name in ["brief", "mute"] {
        let ran = machine.run(&["start", "--wait", name]);
        assert_eq!(ran.code, 1);
        assert!(ran.err.starts_with(&format!("pintle: {name}: failed: not ready within 200 ms")), "{ran:?}");
        assert!(ran.out.starts_with(&format!("{name} starting\n{name} failed: ")), "{ran:?}");
    }
}

#[test]
fn what_a_killed_supervisor_left_is_ended_before_the_next_one_starts_anything() {
    let [pause, stubborn] = ["pause", "stubborn"].map(|name| format!("command = {}\n", program(name)));
    let machine = Machine::new(&[
        ("a", &pause),
        ("b", &format!("{pause}needs = a\n")),
        ("deaf", &format!("{stubborn}stop-timeout = 200ms\n")),
        ("default", "type = bundle\ncontains = a b deaf\n"),
    ]);
    machine.wait_phase("default", "up");
    let old = ["a", "b", "deaf"].map(|name| machine.pid(name));
    kill(machine.supervisor(), libc::SIGKILL);
    machine.wait("the supervisor has ended", |machine| machine.ended().is_some());
    assert!(old.into_iter().all(lives), "services outlive it");
    let told = machine.run(&["status"]);
    assert!(told.out.contains("supervisor  not running"), "{told:?}");
    machine.supervise_again(&["default"]);
    // The next one was ready just now.
    assert!(!old.into_iter().any(lives), "{}", machine.messages());
    machine.wait_phase("default", "up");
    assert!(machine.messages().contains("an earlier supervisor has left behind are ended first: 3"));
    // One that ended in order leaves nothing to be ended.
    machine.expect(&["shutdown"]);
    machine.wait("the supervisor has ended", |machine| machine.ended().is_some());
    machine.supervise_again(&["default"]);
    machine.wait_phase("default", "up");
    assert_eq!(machine.messages().matches("left behind").count(), 1);
}

#[test]
fn what_only_waits_as_it_was_asked_to_is_no_complaint() {
    let machine = Machine::new(&[("nic", &format!("command = {}\nwhile = net-up\n", program("pause")))]);
    machine.expect(&["emit", "--on", "net-up"]);
    machine.expect(&["start", "--wait", "nic"]);
    let off = machine.run(&["emit", "--off", "--wait", "net-up"]);
    assert_eq!((off.code, off.err.as_str()), (0, ""), "{}", off.out);
    assert_eq!(machine.phase("nic"), "waiting");
    let start = machine.run(&["start", "--wait", "nic"]);
    assert_eq!((start.code, start.err.starts_with("pintle: nic: waiting: ")), (1, true), "{start:?}");
}

#[test]
fn conditions_are_shown_as_they_can_be_said_again() {
    let machine = Machine::new(&[]);
    machine.expect(&["emit", "--on", "net-up", "IFACE=a b", "KIND=it's", "SPEED=10"]);
    let shown = machine.expect(&["conditions"]);
    assert!(shown.starts_with("net-up 'IFACE=a b' 'KIND=it'\\''s' SPEED=10  on for "), "{shown}");
}

#[test]
fn a_run_directory_without_room_is_named() {
    let folder = Folder::new();
    folder.write("services/default.svc", "type = bundle\n");
    let path = |name: &str| folder.0.join(name).to_str().expect("UTF-8").to_string();
    assert_eq!(pintle(&["compile", &path("services"), "-o", &path("boot.db")], &[]).code, 0);
    // A limit on the length of files stands for a full disk.
    let mut command = Command::new("/bin/sh");
    let script = "ulimit -f 1; exec \"$0\" supervise --db \"$1\" --run \"$2\"";
    command.args(["-c", script]).arg(binary()).args([path("boot.db"), path("run")]);
    let told = command.env_remove("PINTLE_RUN").env_remove("PINTLE_LOG").output().expect("it runs");
    let said = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(111), "{said}");
    assert!(said.starts_with(&format!("pintle: cannot make room for {}/", path("run"))), "{said}");
}

#[test]
fn without_a_run_directory_looking_says_what_is_missing() {
    use std::os::fd::IntoRawFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    use std::os::unix::process::CommandExt;
    // SAFETY: asks for a number.
    let root = unsafe { libc::getuid() } == 0;
    // In a view of the machine that shows no other pintle. Whoever is nobody in it has this number.
    let (user, own) = if root { (0, 0) } else { (65_534, libc::CLONE_NEWUSER) };
    let address = SocketAddr::from_abstract_name(format!("pintle-{user}")).expect("a name");
    let look = |listens: bool| {
        let mut command = command();
        command.arg("status");
        let address = address.clone();
        // SAFETY: only system calls, on strings that last.
        unsafe {
            command.pre_exec(move || {
                let none = std::ptr::null();
                let private = (libc::MS_PRIVATE | libc::MS_REC) as libc::c_ulong;
                let mount =
                    |on: &std::ffi::CStr| libc::mount(c"none".as_ptr(), on.as_ptr(), c"tmpfs".as_ptr(), 0, none);
                // With a network of its own, abstract names are its own.
                let done = libc::unshare(own | libc::CLONE_NEWNS | libc::CLONE_NEWNET) == 0
                    && libc::mount(c"none".as_ptr(), c"/".as_ptr(), none.cast(), private, none) == 0
                    && mount(c"/run") == 0
                    && mount(c"/dev/shm") == 0;
                if !done {
                    return Err(std::io::Error::last_os_error());
                }
                if listens {
                    // Lasts as long as the process.
                    let number = UnixListener::bind_addr(&address)?.into_raw_fd();
                    libc::fcntl(number, libc::F_SETFD, 0);
                }
                Ok(())
            });
        }
        let told = command.output().expect("a view of its own: run tests/needs");
        (told.status.code(), String::from_utf8_lossy(&told.stderr).into_owned())
    };
    let (code, said) = look(false);
    assert_eq!(code, Some(111), "{said}");
    assert!(said.contains("there is no run directory: is a supervisor running?"), "{said}");
    let (code, said) = look(true);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("pintle: status and its kin need a run directory"), "{said}");
}

#[test]
fn a_fact_that_gives_no_name_to_an_instance_says_so() {
    let pause = format!("command = {}\n", program("pause"));
    let machine = Machine::new(&[
        ("dhcp@", &format!("{pause}for-each = net-up\ninstance = ${{IFACE}}\n")),
        ("fsck@", &format!("{pause}start-on = disk\ninstance = ${{DEV}}\n")),
        ("other", &format!("{pause}start-on = net-up\n")),
    ]);
    let note = |of: &str| format!("pintle: note: no instance of {of} is made: its attributes give no valid name\n");
    for (arguments, said) in [
        (&["--on", "net-up", "IFACE=a b"][..], note("dhcp@")),
        (&["--on", "net-up"], note("dhcp@")),
        (&["disk", "DEV=/dev/sda"], note("fsck@")),
        (&["--off", "net-up", "IFACE=a b"], String::new()),
        // Said of no instance: those that are there are meant.
        (&["disk"], String::new()),
        (&["--on", "--wait", "net-up", "IFACE=eth0"], String::new()),
        (&["--wait", "disk", "DEV=sda"], String::new()),
    ] {
        let ran = machine.run(&[&["emit"], arguments].concat());
        assert_eq!((ran.code, ran.err), (0, said), "{arguments:?}");
    }
    for name in ["other", "dhcp@eth0", "fsck@sda"] {
        machine.wait_phase(name, "up");
    }
    assert_eq!(
        machine.services().iter().filter(|one| one["name"].as_str().is_some_and(|n| n.contains('@'))).count(),
        2
    );
}

#[test]
fn a_supervisor_that_is_dead_is_not_alive_though_its_number_is_taken() {
    let machine = Machine::new(&[]);
    machine.wait("both are seen to be alive", |machine| {
        let status = machine.status();
        status["supervisor"]["alive"] == true && status["engine"]["alive"] == true
    });
    assert_eq!(
        machine
            .run(&["supervise", "--db", "/nonexistent", "--run", machine.run_directory().to_str().expect("UTF-8")])
            .code,
        1
    );
    // A zombie keeps the number: we are its parent, and do not wait for it here.
    kill(machine.supervisor(), libc::SIGKILL);
    machine.wait("the supervisor is seen to be dead", |machine| machine.status()["supervisor"]["alive"] == false);
    assert!(std::fs::exists(format!("/proc/{}", machine.supervisor())).expect("asked"));
    let ran = machine.run(&["status"]);
    assert!(ran.code == 1 && ran.out.contains("\nsupervisor  not running"), "{ran:?}");
    assert!(ran.out.contains("\nengine      not running"), "{ran:?}");
    let status = machine.status();
    assert_eq!((&status["engine"]["alive"], &status["engine"]["pid"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(status["supervisor"]["pid"], serde_json::Value::Null);
    // What it reported last is shown, and that it is that.
    for (arguments, code) in [
        (&["status", "default"][..], 1),
        (&["status", "--json", "default"], 1),
        (&["list"], 0),
        (&["why", "default"], 0),
        (&["tree"], 0),
        (&["conditions"], 0),
    ] {
        let ran = machine.run(arguments);
        let said = "pintle: no supervisor runs: this was reported last\n";
        assert_eq!((ran.code, ran.err.as_str()), (code, said), "{arguments:?}");
    }
    // Who looks is in nobody's way.
    machine.supervise_again(&["default"]);
    assert_eq!(machine.status()["supervisor"]["pid"], machine.supervisor());
    machine.wait_phase("default", "up");
    let ran = machine.run(&["status", "default"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

/// What the machine says to who starts `late` with `--wait` on a terminal of this kind.
/// It gets ready when `gate` is there, which is made once it is said to be starting.
fn told_on_a_terminal(machine: &Machine, kind: &str, gate: &std::path::Path) -> String {
    use std::io::Read;
    use std::os::fd::{FromRawFd, OwnedFd};
    let (mut ours, mut theirs) = (0, 0);
    let (none, mut size) = (std::ptr::null_mut(), libc::winsize { ws_row: 25, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 });
    // SAFETY: it writes two numbers, and reads the size.
    assert_eq!(unsafe { libc::openpty(&mut ours, &mut theirs, none, none.cast(), &raw mut size) }, 0);
    // SAFETY: they are open, and nobody else's.
    let (mut ours, theirs) = unsafe { (std::fs::File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    let mut child = command();
    child.args(["start", "--wait", "late"]).env("PINTLE_RUN", machine.run_directory()).env("TERM", kind).stdout(theirs);
    let mut running = child.spawn().expect("the binary runs");
    drop(child); // it has the other end, too
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    // EIO: nobody has the other end any more.
    while let Ok(count @ 1..) = ours.read(&mut bytes) {
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if text.contains("late starting") {
            std::fs::write(gate, "").expect("a file");
        }
    }
    assert_eq!(running.wait().expect("it ends").code(), Some(0), "{text:?}");
    text
}

#[test]
fn a_dumb_terminal_is_told_in_plain_lines() {
    for kind in ["dumb", "xterm"] {
        let folder = Folder::new();
        let gate = folder.0.join("gate");
        let late = format!(
            "ready = fd 3\ncommand = <<END\n  while ! [ -e {} ]; do sleep 0.01; done\n  echo >&3\n  exec sleep 1000\nEND\n",
            gate.display()
        );
        let machine = Machine::new(&[("late", &late)]);
        let text = told_on_a_terminal(&machine, kind, &gate);
        assert_eq!(text.contains('\x1b'), kind != "dumb", "{text:?}");
    }
}
