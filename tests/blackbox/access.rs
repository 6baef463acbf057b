//! Who may ask for what: the file `access`, and what those who may not cannot do to others.

use crate::harness::{Machine, PATIENCE, as_user, command_of, kill, pause};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

const REFUSED: &str = "no only root, the user of pintle and whom `access` allows it may do this, not uid ";

/// A machine of `web-1`, `web-2`, `db`, which all run, with these rules.
fn ruled(rules: &str) -> Machine {
    let text = pause("");
    let services = ["web-1", "web-2", "db"].map(|name| (name, text.as_str()));
    let bundle = ("default", "type = bundle\nneeds = web-1 web-2 db\n");
    let machine = Machine::new(&[&services[..], &[bundle, ("access", rules)]].concat());
    machine.wait_phase("default", "up");
    machine
}

/// What this user, in these groups, is answered to each of these lines.
fn answers(machine: &Machine, uid: u32, groups: &[u32], lines: &[String]) -> Vec<String> {
    let place = machine.run_directory().join("control");
    as_user(uid, groups, move || {
        let mut stream = UnixStream::connect(place).expect("all may connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let mut answers = BufReader::new(stream.try_clone().expect("a copy")).lines();
        let mut ask = |line: &String| {
            stream.write_all(format!("{line}\n").as_bytes()).expect("sent");
            answers.next().expect("an answer").expect("text")
        };
        lines.iter().map(&mut ask).collect()
    })
}

/// The same of one.
fn asked(machine: &Machine, uid: u32, groups: &[u32], request: &str) -> String {
    answers(machine, uid, groups, &[request.to_string()]).remove(0)
}

#[test]
fn a_rule_allows_its_verbs_of_its_patterns_to_whom_it_names() {
    let machine = ruled(
        "# who keeps the sites\nallow 4242 restart,stop web-*\nallow @7777 emit,on net-*  # the network manager\n\
         allow * start web-1 web-2\nallow nobody signal web-1\nallow 4243 shutdown\nallow @0 * *\n\
         allow 4242 restart-with-dependents web-1\nallow 4242 restart-with-dependents web-2\n",
    );
    let is_allowed = |uid, groups: &[u32], request: &str| {
        let answer = asked(&machine, uid, groups, request);
        let is_allowed = answer.starts_with("ok ");
        assert!(is_allowed || answer == format!("{REFUSED}{uid}"), "{uid} {request}: {answer}");
        is_allowed
    };
    for (uid, groups, request, expected) in [
        (4242, &[4242][..], "restart web-1", true),
        (4242, &[4242], "wait restart web-1 web-2", true),
        (4242, &[4242], "wait restart-with-dependents web-1 web-2", true),
        (4242, &[4242], "restart db", false),
        (4242, &[4242], "restart web-1 db", false),
        (4242, &[4242], "restart nothing", false),
        (4242, &[4242], "reload web-1", false),
        (4242, &[4242], "signal TERM web-1", false),
        (4242, &[4242], "switch web-1", false),
        (4242, &[4242], "memory", false),
        (4242, &[4242], "shutdown", false),
        (4244, &[4242], "restart web-1", false),
        (65534, &[65534], "signal CONT web-1", true),
        (65534, &[65534], "signal CONT web-2", false),
        (5, &[5], "start web-1 web-2", true),
        (5, &[5], "start web-1 db", false),
        (5, &[5, 7777], "emit net-up IFACE=eth0", true),
        (5, &[7777], "on net-up IFACE=eth0", true),
        (5, &[5, 7777], "off net-up IFACE=eth0", false),
        (5, &[5, 7777], "hold net-up", false),
        (5, &[5, 7777], "emit disk-gone", false),
        (7777, &[5], "emit net-up", false),
        (5, &[5, 0], "stop db", true),
        (5, &[5, 0], "start db", true),
        (5, &[5, 0], "memory", false),
        (5, &[5, 0], "switch web-1", false),
        (5, &[5, 0], "shutdown", false),
        (5, &[5], "journal", true),
    ] {
        assert_eq!(is_allowed(uid, groups, request), expected, "{uid} {groups:?} {request}");
    }
    machine.wait_phase("db", "up");
    // As people do it, with an answer that says why.
    let other = |uid, words: &[&str]| {
        let mut command = command_of(uid, uid);
        command.args(words).env("PINTLE_RUN", machine.run_directory()).output().expect("the binary runs")
    };
    let pid = machine.pid("web-2");
    let done = other(4242, &["restart", "--wait", "web-2"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    machine.wait_new_life("web-2", pid);
    let pid = machine.pid("db");
    let done = other(4242, &["restart", "--wait", "web-2", "db"]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("whom `access` allows it may do this, not uid 4242"), "{said}");
    assert_eq!(machine.pid("db"), pid);
    assert!(is_allowed(4243, &[4243], "shutdown"));
    machine.wait("it is down", |machine| machine.ended().is_some());
}

#[test]
fn rules_are_dumped_and_compiled_again() {
    let machine = ruled("allow   www   restart,stop nginx   # a site\nstatus private\nallow @netdev emit net-*\n");
    let database = machine.folder.0.join("boot.db");
    let text = machine.expect(&["dump", database.to_str().expect("UTF-8")]);
    let expected = "\n#@ @access access\nallow www restart,stop nginx\nstatus private\nallow @netdev emit net-*\n";
    assert!(text.contains(expected), "{text}");
    let (written, again) = (machine.folder.write("dumped", &text), machine.folder.0.join("again.db"));
    machine.expect(&["compile", written.to_str().expect("UTF-8"), "-o", again.to_str().expect("UTF-8")]);
    assert_eq!(machine.expect(&["dump", again.to_str().expect("UTF-8")]), text);
}

#[test]
fn a_rule_that_is_none_is_refused_with_its_line() {
    let folder = crate::harness::Folder::new();
    folder.write("services/a.svc", "command = /bin/true\n");
    let rules = folder.write("services/access", "allow www restart a\nallow www restrat a\n");
    let services = folder.0.join("services");
    let ran = crate::harness::pintle(&["compile", services.to_str().expect("UTF-8"), "-o", "/nowhere"], &[]);
    assert_eq!(ran.code, 100, "{ran:?}");
    let expected = format!("{}:2:1: no verb \"restrat\", did you mean \"restart\"?", rules.display());
    assert!(ran.err.contains(&expected), "{}", ran.err);
}

#[test]
fn a_private_status_is_for_root_alone() {
    let machine = ruled("status private\nallow 4242 restart web-1\n");
    let other = |uid, words: &[&str]| {
        let mut command = command_of(uid, uid);
        command.args(words).env("PINTLE_RUN", machine.run_directory()).output().expect("the binary runs")
    };
    let modes = || {
        ["boot.db", "reports", "published", "control"].map(|name| {
            let status = std::fs::metadata(machine.run_directory().join(name)).expect("it is there");
            status.permissions().mode() & 0o777
        })
    };
    let hidden = [0o600, 0o600, 0o600, 0o666];
    assert_eq!(modes(), hidden);
    for words in [&["status"][..], &["status", "web-1"], &["why", "web-1"], &["conditions"]] {
        let said = other(4242, words);
        let error = String::from_utf8_lossy(&said.stderr);
        assert!(said.stdout.is_empty() && error.contains("Permission denied"), "{words:?}: {said:?}");
        assert!(said.status.code() == Some(111), "{words:?}: {said:?}");
    }
    for request in ["events", "follow", "journal last 3"] {
        assert_eq!(asked(&machine, 4242, &[4242], request), format!("{REFUSED}4242"), "{request}");
    }
    assert_eq!(asked(&machine, 4242, &[4242], "await 1"), format!("{REFUSED}4242"));
    let pid = machine.pid("web-1");
    let done = other(4242, &["restart", "--wait", "web-1"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    machine.wait_new_life("web-1", pid);
    assert_eq!(asked(&machine, 4242, &[4242], "restart web"), format!("{REFUSED}4242"));
    let notify = std::fs::metadata(machine.run_directory().join("notify")).expect("it is there");
    assert_eq!(notify.permissions().mode() & 0o777, 0o711);
    // What comes behind a crash is not laid open.
    kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait("commands are taken", |machine| machine.run(&["restart", "--wait", "web-1"]).code == 0);
    machine.expect(&["upgrade"]);
    assert_eq!(modes(), hidden);
}

#[test]
fn without_rules_a_private_machine_is_not_even_connected_to() {
    let machine = ruled("status private\n");
    let status = std::fs::metadata(machine.run_directory().join("control")).expect("it is there");
    assert_eq!(status.permissions().mode() & 0o777, 0o600);
    let place = machine.run_directory().join("control");
    let refused = as_user(4242, &[4242], || UnixStream::connect(place)).expect_err("nobody may");
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    machine.expect(&["restart", "--wait", "db"]);
}

#[test]
fn locks_of_others_keep_no_supervisor_from_starting() {
    let machine = ruled("");
    let directory = machine.run_directory();
    let lock_all = || {
        let files = std::fs::read_dir(&directory).expect("readable").map(|entry| entry.expect("an entry").path());
        let open = |path| std::fs::File::open(path).ok();
        let mut kept = Vec::new();
        for file in files.filter(|path| path.is_file()).filter_map(open) {
            // SAFETY: plain numbers.
            let mut lock: libc::flock = unsafe { std::mem::zeroed() };
            (lock.l_type, lock.l_whence) = (libc::F_RDLCK as _, libc::SEEK_SET as _);
            // SAFETY: the kernel reads the lock.
            let _ = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) };
            // SAFETY: no memory is involved.
            let _ = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
            kept.push(file);
        }
        kept
    };
    let alive = as_user(4242, &[4242], lock_all);
    assert!(!alive.is_empty(), "nothing can be read");
    kill(machine.supervisor(), libc::SIGKILL);
    machine.wait("it is dead", |machine| machine.ended().is_some());
    let dead = as_user(4242, &[4242], lock_all);
    machine.supervise_again(&["default"]);
    machine.wait_phase("default", "up");
    // And whether it lives is seen by all.
    let seen = |words: &[&str]| {
        let mut command = command_of(4242, 4242);
        let output = command.args(words).env("PINTLE_RUN", &directory).output().expect("the binary runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(!seen(&["status"]).contains("not running"), "{}", seen(&["status"]));
    let again = as_user(4242, &[4242], lock_all);
    kill(machine.supervisor(), libc::SIGKILL);
    machine.wait("it is dead", |machine| machine.ended().is_some());
    let late = as_user(4242, &[4242], lock_all);
    assert!(seen(&["status"]).contains("not running"), "{}", seen(&["status"]));
    drop((alive, dead, again, late));
}

#[test]
fn a_thousand_idle_connections_are_in_nobodys_way() {
    let machine = ruled("allow 4242 restart web-1\n");
    let place = machine.run_directory().join("control");
    // One that has asked and is idle, of a third user.
    let mut quiet = as_user(4243, &[4243], || UnixStream::connect(&place).expect("all may connect"));
    let mut answers = BufReader::new(quiet.try_clone().expect("a copy"));
    let mut still_answered = || {
        let mut line = String::new();
        quiet.write_all(b"follow nobody\n").expect("sent");
        answers.read_line(&mut line).expect("an answer");
        line.starts_with("bad ")
    };
    assert!(still_answered());
    let idle = as_user(4244, &[4244], || {
        let mut idle = Vec::new();
        while idle.len() < 1_000 {
            let stream = UnixStream::connect(&place).expect("all may connect");
            let _ = (&stream).write_all(b"half a li"); // it may have been ended
            idle.push(stream);
        }
        idle
    });
    machine.expect(&["restart", "--wait", "db"]);
    assert!(asked(&machine, 4242, &[4242], "restart web-1").starts_with("ok "));
    assert!(still_answered(), "one user's connections have ended another's");
    drop(idle);
    let own: Vec<UnixStream> = (0..1_000).map(|_| machine.connect()).collect();
    machine.expect(&["restart", "--wait", "db"]);
    drop(own);
    assert_eq!(machine.status()["engine"]["lives"], 1);
}

/// Sends a line with a descriptor whose last close waits an hour: a connection that nobody reads, with SO_LINGER.
fn send_lingering(stream: &impl AsRawFd, line: &[u8]) {
    let listening = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut writes = std::net::TcpStream::connect(listening.local_addr().expect("bound")).expect("connected");
    let (reads, _) = listening.accept().expect("connected");
    writes.set_nonblocking(true).expect("set");
    while writes.write(&[0; 65536]).is_ok() {}
    let linger = libc::linger { l_onoff: 1, l_linger: 3600 };
    let mut control = [0u64; 8];
    // SAFETY: the kernel reads the option, the line and the control message, which are there.
    unsafe {
        let at = (&raw const linger).cast();
        let set =
            libc::setsockopt(writes.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, at, size_of_val(&linger) as u32);
        assert_eq!(set, 0);
        let mut slice = libc::iovec { iov_base: line.as_ptr().cast_mut().cast(), iov_len: line.len() };
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut slice, 1);
        (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), libc::CMSG_SPACE(4) as _);
        let header = &mut *libc::CMSG_FIRSTHDR(&raw const message);
        (header.cmsg_level, header.cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        header.cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(writes.as_raw_fd());
        let sent = libc::sendmsg(stream.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL);
        // From Linux 6.16 on it does not even get there: ours is the last, and is not to wait.
        if sent < 0 {
            let none = libc::linger { l_onoff: 0, l_linger: 0 };
            let (number, at) = (writes.as_raw_fd(), (&raw const none).cast());
            assert_eq!(libc::setsockopt(number, libc::SOL_SOCKET, libc::SO_LINGER, at, size_of_val(&none) as u32), 0);
        }
    }
    std::mem::forget(reads); // for as long as the test lives: nobody reads
}

#[test]
fn a_descriptor_that_takes_an_hour_to_close_holds_up_nobody() {
    let machine = ruled("");
    let place = machine.run_directory().join("control");
    let stream = as_user(4242, &[4242], || UnixStream::connect(&place).expect("all may connect"));
    send_lingering(&stream, b"nonsense\n");
    machine.expect(&["restart", "--wait", "db"]);
    drop(stream);
    machine.expect(&["restart", "--wait", "db"]);
}

#[test]
fn nor_does_one_that_a_service_sends() {
    let text = format!("{}ready = notify\n", pause(""));
    let machine = Machine::new(&[("speaks", &text), ("db", &pause(""))]);
    machine.expect(&["start", "--no-wait", "speaks"]);
    machine.wait_phase("speaks", "starting");
    let place = std::fs::read_dir(machine.run_directory().join("notify")).expect("readable").next();
    let socket = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
    socket.connect(place.expect("its socket").expect("an entry").path()).expect("root may send");
    send_lingering(&socket, b"STATUS=nonsense");
    machine.expect(&["restart", "--wait", "db"]);
    socket.send(b"READY=1").expect("sent");
    machine.wait_phase("speaks", "up");
    machine.expect(&["stop", "--wait", "speaks"]);
}

#[test]
fn who_may_do_one_thing_leaves_room_for_root() {
    let slow = "command = /bin/sleep 1000\nready = fd 3\nstart-timeout = 1h\n";
    let machine = Machine::new(&[
        ("slow", slow),
        ("db", &pause("")),
        ("access", "allow 4242 start,stop slow\nallow 4242 on net-*\n"),
    ]);
    let crowded = "no the last quarter of the room for commands, conditions and instances is root's";
    let crowds = |lines: &mut dyn Iterator<Item = String>| {
        let answers = answers(&machine, 4242, &[4242], &lines.collect::<Vec<_>>());
        assert!(answers[0].starts_with("ok ") && answers.iter().any(|answer| answer == crowded), "{answers:?}");
    };
    crowds(&mut (0..200).map(|_| "start slow".to_string()));
    machine.expect(&["start", "--wait", "db"]);
    machine.expect(&["stop", "--wait", "slow"]);
    crowds(&mut (0..300).map(|at| format!("on net-{at}")));
    machine.expect(&["emit", "--on", "power-ac"]);
}

#[test]
fn one_user_who_waits_keeps_no_other_from_it() {
    let machine = ruled("");
    let place = machine.run_directory().join("control");
    let follow = |uid: u32| {
        as_user(uid, &[uid], || {
            let mut stream = UnixStream::connect(&place).expect("all may connect");
            stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
            stream.write_all(b"follow\n").expect("sent");
            let mut answer = String::new();
            BufReader::new(stream.try_clone().expect("a copy")).read_line(&mut answer).expect("an answer");
            (stream, answer.starts_with("ok "))
        })
    };
    let first: Vec<_> = (0..8).map(|_| follow(4242)).collect();
    assert_eq!(first.iter().filter(|(_, taken)| *taken).count(), 4);
    assert!(follow(4243).1);
}
