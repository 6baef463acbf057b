//! Who may ask for what: the file `access`, and what those who may not cannot do to others.

use crate::harness::{Machine, as_user, command_of, kill, pause};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

const REFUSED: &str = "no only root, the user of pintle and whom `access` allows it may do this, not uid ";

fn is_root() -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::getuid() == 0 }
}

/// A machine of `web-1`, `web-2`, `db`, which all run, with these rules.
fn ruled(rules: &str) -> Machine {
    let text = pause("");
    let services = ["web-1", "web-2", "db"].map(|name| (name, text.as_str()));
    let bundle = ("default", "type = bundle\nneeds = web-1 web-2 db\n");
    let machine = Machine::new(&[&services[..], &[bundle, ("access", rules)]].concat());
    machine.wait_phase("default", "up");
    machine
}

/// What this user, in these groups, is answered.
fn asked(machine: &Machine, uid: u32, groups: &[u32], request: &str) -> String {
    let place = machine.run_directory().join("control");
    as_user(uid, groups, move || {
        let mut stream = UnixStream::connect(place).expect("all may connect");
        stream.set_read_timeout(Some(crate::harness::PATIENCE)).expect("a time limit");
        stream.write_all(format!("{request}\n").as_bytes()).expect("sent");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("an answer");
        answer.trim_end().to_string()
    })
}

#[test]
fn a_rule_allows_its_verbs_of_its_patterns_to_whom_it_names() {
    if !is_root() {
        return; // nobody else's user can be taken
    }
    let machine = ruled(
        "# who keeps the sites\nallow 4242 restart,stop web-*\nallow @7777 emit,on net-*  # the network manager\n\
         allow * start web-1 web-2\nallow nobody signal web-1\nallow 4243 shutdown\nallow @0 * *\n",
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
        (4242, &[4242], "restart db", false),
        (4242, &[4242], "restart web-1 db", false),
        (4242, &[4242], "restart nothing", false),
        (4242, &[4242], "restart-with-dependents web-1", false),
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
fn a_private_status_is_for_root_and_who_is_allowed_something() {
    if !is_root() {
        return; // nobody else's user can be taken
    }
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
    assert_eq!(asked(&machine, 5, &[5], "await 1"), format!("{REFUSED}5"));
    let pid = machine.pid("web-1");
    let done = other(4242, &["restart", "--wait", "web-1"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    machine.wait_new_life("web-1", pid);
    assert!(asked(&machine, 4242, &[4242], "await 1").starts_with("ok "));
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
    machine.expect(&["restart", "--wait", "db"]);
}

#[test]
fn locks_of_others_keep_no_supervisor_from_starting() {
    if !is_root() {
        return; // nobody else's user can be taken
    }
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
    drop((alive, dead));
    assert!(!seen(&["status"]).contains("not running"), "{}", seen(&["status"]));
    kill(machine.supervisor(), libc::SIGKILL);
    machine.wait("it is dead", |machine| machine.ended().is_some());
    assert!(seen(&["status"]).contains("not running"), "{}", seen(&["status"]));
}

#[test]
fn a_thousand_idle_connections_are_in_nobodys_way() {
    if !is_root() {
        return; // nobody else's user can be taken
    }
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
