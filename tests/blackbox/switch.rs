//! `switch`, `restart --with-dependents`, `--dry-run`; and that whoever waits for what a later command contradicts is
//! told.

use crate::harness::{Folder, Machine, Ran, command_of};
use std::path::Path;
use std::process::{Child, Stdio};

const READY: &str = "command = /bin/sh -c 'echo >&3; exec sleep 1000'\nready = fd 3\nlog = null\n";
const NEVER: &str = "command = /bin/sleep 1000\nready = fd 3\nstart-timeout = 1h\nlog = null\n";

/// Ready at once; ends, once told to, when a file is there.
fn until(file: &Path) -> String {
    format!(
        "command = /bin/sh -c 'trap \"while ! test -e {}; do sleep 0.05; done; exit 0\" TERM; echo >&3; \
         while :; do sleep 0.05; done'\nready = fd 3\nstop-timeout = 1h\nlog = null\n",
        file.display()
    )
}

fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().expect("it ends");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn two_sets(go: &Path) -> Machine {
    Machine::new(&[
        ("default", "type = bundle\ncontains = web\n"),
        ("rescue", "type = bundle\ncontains = shell db\n"),
        ("web", &format!("{}needs = db\n", until(go))),
        ("db", READY),
        ("shell", READY),
        ("extra", READY),
        ("link@", &format!("{READY}for-each = link NAME=*\ninstance = ${{NAME}}\npass = NAME\n")),
        ("slow", NEVER),
    ])
}

#[test]
fn a_switch_is_one_transaction_that_outlives_the_engine() {
    let folder = Folder::new();
    let go = folder.0.join("go");
    let machine = two_sets(&go);
    machine.wait_phase("default", "up");
    machine.expect(&["start", "--wait", "extra"]);
    machine.expect(&["emit", "--on", "--wait", "link", "NAME=x"]);
    let db = machine.pid("db");

    let waiting = machine.spawn(&["switch", "--wait", "rescue"]);
    machine.wait("only web is still going", |machine| {
        let phases = ["extra", "link@x", "shell", "rescue", "web"].map(|name| machine.phase(name));
        phases == ["down", "down", "up", "up", "stopping"]
    });
    let engine = machine.engine();
    machine.kill(engine, libc::SIGKILL);
    machine.wait_new_engine(engine);
    assert_eq!(machine.phase("web"), "stopping");
    std::fs::write(&go, "").expect("a file");
    let ran = ended(waiting);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!((machine.phase("web").as_str(), machine.pid("db")), ("down", db), "what both hold runs on");

    let status = machine.status();
    assert_eq!((&status["current"], &status["boot"]["bundle"]), (&"rescue".into(), &"default".into()));
    assert_eq!((&status["boot"]["reached"], &status["boot"]["good"]), (&true.into(), &true.into()));
    assert!(machine.expect(&["status"]).contains("\ncurrent     rescue\n"));
    assert!(machine.expect(&["tree"]).starts_with("rescue up\n"));
    let why = machine.expect(&["why", "db"]);
    assert!(
        why.starts_with("db is up: rescue needs it; rescue is up: the machine was switched to it (transaction "),
        "{why}"
    );
    assert!(
        machine.expect(&["why", "link@x"]).starts_with("link@x is held by a condition that a switch has set aside")
    );

    // A person's start is as always; going home drops it, and takes up again what conditions hold.
    machine.expect(&["start", "--wait", "extra"]);
    machine.expect(&["switch", "--wait", "default"]);
    let phases = ["extra", "link@x", "shell", "rescue", "web"].map(|name| machine.phase(name));
    assert_eq!(phases, ["down", "up", "down", "down", "up"]);
    assert_eq!((machine.pid("db"), machine.status()["current"].as_str()), (db, Some("default")));
    assert!(!machine.expect(&["status"]).contains("current"));

    for (arguments, message) in [
        (&["switch", "rescu"][..], "pintle: no service \"rescu\", did you mean \"rescue\"?\n"),
        (&["switch", "link@"], "pintle: link@: a template; name an instance of it, as in NAME@INSTANCE\n"),
    ] {
        let ran = machine.run(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (100, message));
    }
    assert_eq!(machine.run(&["switch"]).code, 100);
    assert_eq!(machine.run(&["switch", "rescue", "default"]).code, 100);
    machine.expect(&["switch", "--wait", "shell"]);
    assert_eq!(machine.status()["current"], "shell", "any service will do");
}

#[test]
fn whoever_waits_for_the_opposite_is_told_and_the_newer_one_too() {
    const TOLD: &str = "pintle: a later command contradicted this one\n";
    let folder = Folder::new();
    let go = folder.0.join("go");
    let machine = two_sets(&go);
    machine.wait_phase("default", "up");

    let start = machine.spawn(&["start", "--wait", "slow"]);
    machine.wait_phase("slow", "starting");
    machine.expect(&["stop", "--wait", "slow"]);
    let ran = ended(start);
    assert!(ran.code == 1 && ran.err.ends_with(TOLD), "a stop, over a start: {ran:?}");

    let stop = machine.spawn(&["stop", "--wait", "web"]);
    machine.wait_phase("web", "stopping");
    let again = machine.spawn(&["start", "--wait", "web"]);
    let ran = ended(stop);
    assert!(ran.code == 1 && ran.err.ends_with(TOLD), "a start, over a stop: {ran:?}");
    std::fs::write(&go, "").expect("a file");
    assert_eq!(ended(again).code, 0);
    std::fs::remove_file(&go).expect("it is there");

    let start = machine.spawn(&["start", "--wait", "slow"]);
    machine.wait_phase("slow", "starting");
    let switch = machine.spawn(&["switch", "--wait", "rescue"]);
    let ran = ended(start);
    assert!(ran.code == 1 && ran.err.ends_with(TOLD), "a switch, over a start: {ran:?}");
    machine.wait_phase("web", "stopping");
    let start = machine.spawn(&["start", "--wait", "web"]);
    machine.wait("web is wished up", |machine| machine.service("web")["goal"] == "up");
    std::fs::write(&go, "").expect("a file");
    let ran = ended(switch);
    assert!(ran.code == 1 && ran.err.ends_with(TOLD), "a start, over a switch: {ran:?}");
    assert_eq!(ended(start).code, 0);
    assert_eq!(machine.phase("web"), "up");
}

#[test]
fn a_switch_to_shutdown_is_the_shutdown() {
    let machine = Machine::new(&[
        ("default", "type = bundle\ncontains = web\n"),
        ("shutdown", "type = bundle\ncontains = save\n"),
        ("save", "type = oneshot\ncommand = /bin/true\nlog = null\n"),
        ("web", READY),
    ]);
    machine.wait_phase("default", "up");
    let shown = "   1  down default\n      start save\n      stop web  after default\n      up shutdown  after save\n\
                 done: 2 up, 2 down\n";
    assert_eq!(machine.expect(&["shutdown", "--dry-run"]), shown);
    machine.expect(&["switch", "--wait", "shutdown"]);
    machine.wait("the supervisor has ended", |machine| machine.ended() == Some(0));
}

#[test]
fn a_restart_takes_its_dependents_along() {
    let machine = Machine::new(&[
        ("default", "type = bundle\ncontains = app web\n"),
        ("app", &format!("{READY}needs = web\n")),
        ("web", &format!("{READY}needs = db\n")),
        ("db", READY),
        ("log", READY),
    ]);
    machine.wait_phase("default", "up");
    let pids = || ["app", "web", "db"].map(|name| machine.pid(name));
    let before = pids();
    let shown = "   1  down default\n      stop app  after default\n   2  stop web  after app, default\n   \
                 3  restart db  after web\n   4  start web  after db\n   5  start app  after web\n      \
                 up default  after app, web\ndone: 4 up\n";
    assert_eq!(machine.expect(&["restart", "--with-dependents", "--dry-run", "db"]), shown);
    assert_eq!(pids(), before);
    machine.expect(&["restart", "--with-dependents", "--wait", "db"]);
    assert!(pids().iter().zip(before).all(|(new, old)| *new != 0 && *new != old), "{before:?} {:?}", pids());
    assert_eq!(machine.phase("default"), "up");
}

#[test]
fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let folder = Folder::new();
    let machine = two_sets(&folder.0.join("go"));
    std::fs::write(folder.0.join("go"), "").expect("a file");
    machine.wait_phase("default", "up");
    let all = || {
        let services = machine.services();
        let of = |service: &serde_json::Value| ["name", "phase", "pid", "holds"].map(|key| service[key].clone());
        services.iter().map(of).collect::<Vec<_>>()
    };
    let before = (all(), machine.engine());
    for (arguments, code, shown) in [
        (
            &["switch", "rescue"][..],
            0,
            "   1  down default\n      start shell\n      stop web  after default\n      \
                                         up rescue  after shell\ndone: 2 up, 2 down\n",
        ),
        (
            &["stop", "db"],
            0,
            "   1  down default\n      stop web  after default\n   2  stop db  after web\n\
                              done: 2 waiting, 1 down\n",
        ),
        (&["start", "db"], 0, "done: nothing would change\n"),
        (&["start", "link@y"], 0, "   1  start link@y\ndone: 1 up\n"),
        (&["emit", "--on", "link", "NAME=z"], 0, "   1  start link@z\ndone: 1 up\n"),
        (&["emit", "nothing"], 0, "done: nothing would change\n"),
    ] {
        let ran = machine.run(&[arguments, &["--dry-run"]].concat());
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (code, shown, ""), "{arguments:?}");
    }
    for (arguments, code, message) in [
        (&["start", "nonesuch"][..], 100, "pintle: no service \"nonesuch\"\n"),
        (&["switch", "link@"], 100, "pintle: link@: a template; name an instance of it, as in NAME@INSTANCE\n"),
        (&["emit", "no name"], 100, "pintle: a condition or event is named by letters, digits, or any of -_.\n"),
    ] {
        let ran = machine.run(&[arguments, &["--dry-run"]].concat());
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (code, "", message), "{arguments:?}");
    }
    assert_eq!(machine.run(&["emit", "--hold", "x", "--dry-run"]).code, 100);
    assert_eq!(all(), before.0);
    assert_eq!((machine.engine(), &machine.status()["engine"]["allocations"]), (before.1, &0.into()));

    machine.expect(&["stop", "--wait", "db"]);
    let ran = machine.run(&["release", "web", "--dry-run"]);
    assert!(ran.code == 0 && ran.out == "done: nothing would change\n", "{ran:?}");
    let ran = machine.run(&["emit", "--on", "--dry-run", "link"]);
    assert!(ran.code == 0 && ran.out == "done: nothing would change\n", "{ran:?}");
}

#[test]
fn a_dry_run_says_what_would_be_in_the_way() {
    let machine = Machine::new(&[
        ("nic", &format!("{READY}while = net-up IFACE=eth*\n")),
        ("app", &format!("{READY}wants = nic\n")),
        ("bad", "command = /nonexistent/program\nlog = null\n"),
        ("base", "type = bundle\nwants = bad\n"),
    ]);
    let ran = machine.run(&["start", "--dry-run", "nic", "app"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (1, "   1  start app\nfailed: 1 up; nic waits for its while: net-up IFACE=eth* (off)\n")
    );
    // What has failed stays so where nobody forgives it.
    assert_eq!(machine.run(&["start", "--wait", "bad"]).code, 1);
    assert_eq!(machine.expect(&["start", "--dry-run", "base"]), "   1  up base\ndone: 1 up\n");
}

#[test]
fn only_who_may_give_the_command_may_have_its_dry_run() {
    // SAFETY: no memory is involved.
    if unsafe { libc::getuid() } != 0 {
        return; // nobody else's user can be taken
    }
    let machine = Machine::new(&[("web", READY)]);
    let mut other = command_of(65534, 65534);
    other.args(["start", "--dry-run", "web"]).env("PINTLE_RUN", machine.run_directory());
    let output = other.stdout(Stdio::piped()).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("only root, the user of pintle and whom `access` allows it may do this"), "{said}");
}
