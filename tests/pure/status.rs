//! What readers are told: the words of `status`, `list`, `why` and `tree` over a machine that is made up.

use core::sync::atomic::AtomicU32;
use pintle::board::published::{self, Blocker, ConditionRow, Event, Published, PublishedRow, Reason};
use pintle::board::reports::{self, Exit, ReportRow, Reports, State};
use pintle::board::{Geometry, words};
use pintle::database::{Image, compile};
use pintle::graph::{Goal, Hold, Holds, Phase};
use pintle::lang::diagnostic::Source;
use pintle::lang::parse;
use pintle::limits::FACT_BYTES_MAX;
use pintle::status::{Paint, SystemWords, View, tree, why};
use pintle::time::Instant;

const SECOND: u64 = 1_000_000_000;
const NOW: Instant = Instant(10_000 * SECOND);

/// A machine in memory: a database, and boards to write into.
struct Machine {
    database: Vec<u8>,
    reports: Vec<AtomicU32>,
    published: Vec<AtomicU32>,
    engine_alive: bool,
}

impl Machine {
    fn new(files: &[(&str, &str)]) -> Machine {
        let sources: Vec<Source> = files
            .iter()
            .map(|(name, text)| Source { path: format!("/etc/{name}.svc"), text: text.as_bytes().to_vec() })
            .collect();
        let mut findings = Vec::new();
        let definitions =
            (0..).zip(files).filter_map(|(at, (name, text))| parse(at, name, text.as_bytes(), &mut findings)).collect();
        let database = compile(definitions, &sources).unwrap_or_else(|findings| panic!("{findings:?}"));
        let geometry = Geometry::of(&Image::open(&database).expect("just made"));
        let zeros = |count: usize| (0..count).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
        let machine = Machine {
            database,
            reports: zeros(reports::words(&geometry)),
            published: zeros(published::words(&geometry)),
            engine_alive: true,
        };
        machine.view().reports.format();
        machine.view().published.format();
        words::store(&machine.reports, reports::own::BOOT, u32::MAX);
        for slot in 0..geometry.services {
            machine
                .view()
                .published
                .write(pintle::ident::SlotId(slot), &PublishedRow { exists: true, ..Default::default() });
        }
        machine
    }

    fn view(&self) -> View<'_> {
        let image = Image::open(&self.database).expect("just made");
        let geometry = Geometry::of(&image);
        View {
            image,
            reports: Reports::new(&self.reports, geometry),
            published: Published::new(&self.published, geometry),
            now: NOW,
            wall_ns: (14 * 3600 + 30 * 60) * SECOND,
            supervisor_alive: true,
            engine_alive: self.engine_alive,
            words: SystemWords {
                failure: |word, to| {
                    to.write_str(match word {
                        1 => "chdir: No such file or directory",
                        2 => "exec: Permission denied",
                        3 => "no such user",
                        _ => "clone: Resource temporarily unavailable",
                    })
                },
            },
        }
    }

    /// Sets the published row of a service whose phase changed `ago` seconds before now.
    fn says(&self, name: &str, phase: Phase, goal: Goal, holds: u32, blocker: Blocker, ago: u64) -> &Machine {
        let view = self.view();
        let slot = view.find(name).unwrap_or_else(|| panic!("no {name}"));
        let since = Instant(NOW.0 - ago * SECOND);
        view.published.write(
            slot,
            &PublishedRow { phase, goal, holds: Holds(holds), since, blocker, exists: true, ..Default::default() },
        );
        self
    }

    fn reports(&self, name: &str, report: &ReportRow) -> &Machine {
        let view = self.view();
        view.reports.write(view.find(name).unwrap_or_else(|| panic!("no {name}")), report);
        self
    }

    fn slot(&self, name: &str) -> pintle::ident::SlotId {
        self.view().find(name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn why(&self, name: &str) -> String {
        let (view, mut text) = (self.view(), String::new());
        why::write(&view, &mut text, &view.row(self.slot(name)).expect("a row"));
        text
    }

    fn status(&self, name: &str) -> String {
        let (view, mut text) = (self.view(), String::new());
        view.write_service(&mut text, &view.row(self.slot(name)).expect("a row"), Paint::Plain);
        text
    }

    fn condition(&self, index: u32, fact: &str) {
        let mut text = [0; FACT_BYTES_MAX];
        text[..fact.len()].copy_from_slice(fact.replace(' ', "\0").as_bytes());
        let row = ConditionRow { value: 1, since: NOW, generation: 1, pid: 7, uid: 0, leased: false, text };
        self.view().published.write_condition(index, &row);
    }
}

const RUN: &str = "command = /bin/true\n";

fn web() -> Machine {
    Machine::new(&[
        ("default", "type = bundle\ncontains = app\n"),
        ("app", "command = /bin/app\ndescription = the application\nneeds = db\nwants = log\n"),
        ("db", "command = /bin/db\ndirectory = /srv/db\nuser = db\nstart-timeout = 30s\n"),
        ("log", RUN),
        ("nic", "command = /bin/true\nwhile = net-up IFACE=eth* and not (maintenance or up(db))\n"),
    ])
}

const NEED: u32 = Hold::Need as u32;
const BOOT: u32 = Hold::Boot as u32;

#[test]
fn why_is_a_chain_that_ends_in_a_cause() {
    let machine = web();
    let db = machine.slot("db");
    machine.says("app", Phase::Waiting, Goal::Up, NEED, Blocker::NeedsUp(db), 60);
    machine.says("db", Phase::Down, Goal::Down, NEED | Holds::MARK_ADMIN, Blocker::Marked, 1680);
    assert_eq!(machine.why("app"), "app waits for db; db is held down by an administrator since 14:02:00Z");

    let failed = ReportRow { state: State::Failed, exit: Exit::NotSpawned, failure: 1, ..Default::default() };
    machine.says("db", Phase::Failed, Goal::Up, NEED, Blocker::Nothing, 60).reports("db", &failed);
    assert_eq!(
        machine.why("app"),
        "app waits for db; db has failed: chdir /srv/db: No such file or directory since 14:29:00Z"
    );

    let starting = ReportRow {
        state: State::Starting,
        pid: 42,
        deadline: Instant(NOW.0 + 12 * SECOND),
        exit: Exit::Signal(9),
        ..Default::default()
    };
    machine.says("db", Phase::Starting, Goal::Up, NEED, Blocker::Ordered, 18).reports("db", &starting);
    assert_eq!(machine.why("app"), "app waits for db; db runs as process 42 and is not ready yet, 12 s of 30 s left");

    machine.says("default", Phase::Up, Goal::Up, BOOT, Blocker::Nothing, 5);
    machine.says("app", Phase::Up, Goal::Up, NEED, Blocker::Nothing, 5);
    let up = ReportRow { state: State::Up, pid: 42, ..Default::default() };
    machine.says("db", Phase::Up, Goal::Up, NEED, Blocker::Nothing, 5).reports("db", &up);
    assert_eq!(
        machine.why("db"),
        "db is up: app needs it; app is up: default needs it; default is up: the machine was booted into it"
    );

    // Why db is up is not why others are not.
    machine.says("app", Phase::Waiting, Goal::Up, NEED, Blocker::WhileOff, 5);
    machine.says("default", Phase::Waiting, Goal::Up, BOOT, Blocker::NeedsUp(machine.slot("app")), 5);
    assert_eq!(
        machine.why("db"),
        "db is up: app needs it; app is wished up: default needs it; default is wished up: the machine was booted into it"
    );
}

#[test]
fn why_shows_what_a_while_waits_for() {
    let machine = web();
    machine.says("nic", Phase::Waiting, Goal::Up, BOOT, Blocker::WhileOff, 60);
    machine.condition(3, "maintenance");
    assert_eq!(
        machine.why("nic"),
        "nic waits for its while: net-up IFACE=eth* (off) and not (maintenance (on) or up(db) (off))"
    );
    machine.condition(0, "net-up IFACE=eth0 SPEED='1 G'");
    machine.condition(1, "net-up IFACE=wl0");
    assert!(machine.why("nic").contains("net-up IFACE=eth* (on)"), "{}", machine.why("nic"));
    machine.condition(0, "net-up IFACE=wl1");
    assert!(machine.why("nic").contains("net-up IFACE=eth* (on only with other attributes)"), "{}", machine.why("nic"));
}

#[test]
fn an_instance_is_told_with_the_conditions_that_have_made_it() {
    let machine = Machine::new(&[
        ("default", "type = bundle\nwants = link@eth0\n"),
        ("link@", &format!("{RUN}for-each = net-up IFACE=e* UP=${{INSTANCE}}\ninstance = e${{N}}th${{M}}\n")),
        ("other@", &format!("{RUN}for-each = plug N=*\ninstance = ${{N}}\n")),
    ]);
    let condition = Hold::Condition as u32;
    machine.says("link@eth0", Phase::Up, Goal::Up, condition, Blocker::Nothing, 60);
    let slot = pintle::ident::SlotId(machine.view().image.services());
    let published = machine.view().published;
    published.write_instance(slot, machine.slot("other@"), b"7");
    let up =
        PublishedRow { phase: Phase::Up, goal: Goal::Up, holds: Holds(condition), exists: true, ..Default::default() };
    published.write(slot, &up);

    let on = |index: u32, fact: &str, ago: u64, value: u32, leased: bool| {
        machine.condition(index, fact);
        let row = published.read_condition(index).expect("just written");
        let since = Instant(NOW.0 - ago * SECOND);
        published.write_condition(index, &ConditionRow { value, leased, since, ..row });
    };
    on(1, "net-up IFACE=e UP=eth0 N= M=1", 1, 1, false);
    on(2, "net-up IFACE=f UP=eth0 N= M=0", 2, 1, false);
    on(3, "net-up IFACE=e UP=eth1 N= M=0", 3, 1, false);
    on(4, "net-up IFACE=e UP=eth0 M=0", 4, 1, false);
    on(5, "plug N=77", 5, 1, false);
    on(6, "plug N=7 A=1", 6, 1, true);
    assert_eq!(machine.why("link@eth0"), "link@eth0 is up: a condition made this instance", "of none of these");
    on(7, "net-up UP=eth0 IFACE=e M=0 N=", 7, 2, false);
    let made = " (net-up UP=eth0 IFACE=e M=0 N=, changing since 14:29:53Z, by process 7 of uid 0)";
    assert_eq!(machine.why("link@eth0"), format!("link@eth0 is up: a condition made this instance{made}"));
    let status = machine.status("link@eth0");
    assert!(status.contains(&format!("\n  goal       up: condition{made}\n")), "{status}");
    let made = " (plug N=7 A=1, on since 14:29:54Z, by process 7 of uid 0, while it lives)";
    assert_eq!(machine.why("other@7"), format!("other@7 is up: a condition made this instance{made}"));
    // Each that holds it is told.
    on(8, "plug B=2 N=7", 8, 1, false);
    let too = " (plug B=2 N=7, on since 14:29:52Z, by process 7 of uid 0)";
    assert_eq!(machine.why("other@7"), format!("other@7 is up: a condition made this instance{made}{too}"));
    on(6, "plug N=7 A=1", 6, 0, true);
    assert_eq!(machine.why("other@7"), format!("other@7 is up: a condition made this instance{too}"));
}

#[test]
fn why_shows_what_a_start_on_waits_for_and_what_is_too_old() {
    let files = [
        ("old", "command = /bin/true\nstart-on = disk sda and (started db or up(rest)) and go\nwithin = 30s\n"),
        ("plain", "command = /bin/true\nstart-on = disk 'a b' and go\n"),
        ("rest", "command = /bin/true\n"),
        ("t@", "command = /bin/true\nstart-on = x\nwithin = 1m\ninstance = ${I}\n"),
    ];
    let machine = Machine::new(&files);
    let view = machine.view();
    let latched = |name: &str, latches: u32| {
        let row = PublishedRow { exists: true, latches, ..Default::default() };
        view.published.write(machine.slot(name), &row);
    };
    latched("old", 0b11);
    latched("plain", 0b10);
    view.published.write_latch(0, 0, Instant(NOW.0 - 31 * SECOND));
    view.published.write_latch(0, 1, Instant(NOW.0 - 30 * SECOND));
    assert_eq!(
        machine.why("old"),
        "old is down: nothing wants it up; its start-on: disk sda (happened 31 s ago, which no longer counts: within 30 s) \
         and (started db (happened 30 s ago) or up(rest) (off)) and go (off)"
    );
    assert_eq!(
        machine.why("plain"),
        "plain is down: nothing wants it up; its start-on: disk 'a b' (off) and go (happened)"
    );
    assert_eq!(machine.why("rest"), "rest is down: nothing wants it up");
    // The first instance slot has its row behind those of services.
    let template = machine.slot("t@");
    let first = pintle::ident::SlotId(view.image.services());
    view.published.write_instance(first, template, b"i");
    view.published.write(first, &PublishedRow { exists: true, latches: 1, ..Default::default() });
    view.published.write_latch(2, 0, Instant(NOW.0 - SECOND));
    assert_eq!(machine.why("t@i"), "t@i is down: nothing wants it up; its start-on: x (happened 1 s ago)");
}

#[test]
fn a_chain_over_a_garbled_board_ends() {
    let machine = web();
    let (app, db) = (machine.slot("app"), machine.slot("db"));
    machine.says("app", Phase::Waiting, Goal::Up, NEED, Blocker::NeedsUp(db), 1);
    machine.says("db", Phase::Waiting, Goal::Up, NEED, Blocker::NeedsUp(app), 1);
    assert!(machine.why("app").ends_with("; and so on"));
    machine.says("db", Phase::Waiting, Goal::Up, NEED, Blocker::NeedsUp(pintle::ident::SlotId(9999)), 1);
    assert_eq!(machine.why("app"), "app waits for db; db waits for another service");
}

#[test]
fn status_of_a_service_says_all_there_is() {
    let machine = web();
    let report = ReportRow {
        state: State::Up,
        pid: 4123,
        exit: Exit::Code(3),
        restarts: 2,
        deaths: 2,
        deadline: Instant::NEVER,
        ..Default::default()
    };
    machine.says("app", Phase::Up, Goal::Up, NEED | Hold::Admin as u32, Blocker::Nothing, 7380).reports("app", &report);
    machine.says("default", Phase::Up, Goal::Up, BOOT, Blocker::Nothing, 7380);
    assert_eq!(
        machine.status("app"),
        "app: up for 2 h 3 min, since 12:27:00Z\n\
         \x20 the application\n\
         \x20 process    4123\n\
         \x20 goal       up: admin, need (default)\n\
         \x20 last exit  exit 3\n\
         \x20 restarts   2; 2 of 10 deaths within 5 min\n\
         \x20 limits     start 1 min, stop 10 s\n\
         \x20 file       /etc/app.svc\n"
    );

    let failed =
        ReportRow { state: State::Failed, exit: Exit::NotSpawned, failure: 3, deadline: Instant::NEVER, ..report };
    let failed = ReportRow { pid: 0, ..failed };
    machine.says("db", Phase::Failed, Goal::Up, NEED, Blocker::Nothing, 30).reports("db", &failed);
    assert_eq!(
        machine.status("db"),
        "db: failed for 30 s, since 14:29:30Z\n\
         \x20 goal       up: need (app)\n\
         \x20 because    db has failed: no such user db since 14:29:30Z\n\
         \x20 last exit  no such user db\n\
         \x20 restarts   2; 2 of 10 deaths within 5 min\n\
         \x20 limits     start 30 s, stop 10 s\n\
         \x20 file       /etc/db.svc\n"
    );
}

#[test]
fn what_is_skipped_says_which_test_does_not_hold() {
    let tests = "path /a and (env D or (path /e and env F)) and not (env B=1 or not kernel quiet) and not path '/c d'";
    let machine = Machine::new(&[("web", &format!("command = /bin/web\nonly-if = {tests}\n")), ("other", RUN)]);
    machine.says("web", Phase::Skipped, Goal::Up, BOOT, Blocker::Nothing, 30);
    for (test, says) in [
        (1, "path /a does not hold"),
        // Alternatives are told whole: all of them do not hold.
        (2, "env D or (path /e and env F) does not hold"),
        (3, "env D or (path /e and env F) does not hold"),
        (4, "env D or (path /e and env F) does not hold"),
        // ... or one of them does.
        (5, "not (env B=1 or not kernel quiet) does not hold"),
        (6, "not (env B=1 or not kernel quiet) does not hold"),
        (7, "not path '/c d' does not hold"),
        (8, "a precondition does not hold"),
        (0, "a precondition does not hold"),
    ] {
        let failure = 17 << 16 | test;
        machine.reports("web", &ReportRow { state: State::Skipped, failure, ..Default::default() });
        assert_eq!(machine.why("web"), format!("web is skipped since 14:29:30Z: {says}"));
    }
    // Seen before the report was.
    machine.reports("web", &ReportRow { state: State::Starting, failure: 17 << 16 | 1, ..Default::default() });
    assert!(machine.why("web").ends_with(": a precondition does not hold"));
}

#[test]
fn a_oneshot_says_which_attempt_it_is_at() {
    let machine = Machine::new(&[("once", "type = oneshot\ncommand = /bin/once\nretries = 3\n"), ("other", RUN)]);
    machine.says("once", Phase::Starting, Goal::Up, BOOT, Blocker::Ordered, 30);
    let life = pintle::ident::Life(2);
    let report = ReportRow { life, deaths: 1, exit: Exit::Code(1), deadline: Instant::NEVER, ..Default::default() };
    let machine = machine.reports("once", &ReportRow { state: State::Starting, pid: 7, ..report });
    assert_eq!(machine.why("once"), "once runs as process 7, attempt 2 of 4");
    // Nobody has looked yet whether it was executed, but it began, and has so long.
    let (spawned, deadline) = (Instant(NOW.0 - 10 * SECOND), Instant(NOW.0 + 50 * SECOND));
    machine.reports("once", &ReportRow { state: State::Spawning, pid: 7, spawned, deadline, ..report });
    assert_eq!(machine.why("once"), "once runs as process 7 since 14:29:50Z, 50 s of 5 min left, attempt 2 of 4");
    assert!(machine.status("once").contains("\n  attempt    2 of 4\n"));
    let due = Instant(NOW.0 + SECOND);
    machine.reports("once", &ReportRow { state: State::Delayed, deadline: due, ..report });
    assert_eq!(machine.why("once"), "once failed (exit 1) and is tried again in 1 s, attempt 2 of 4");
    machine.says("once", Phase::Failed, Goal::Up, BOOT, Blocker::Nothing, 30);
    let failed = ReportRow { state: State::Failed, deaths: 4, cleanup: Exit::Code(7), ..report };
    machine.reports("once", &failed);
    assert_eq!(machine.why("once"), "once has failed: exit 1, 4 attempts since 14:29:30Z");
    let status = machine.status("once");
    assert!(status.contains("attempt    4 of 4\n") && status.contains("cleanup    exit 7\n"), "{status}");
    // What cannot be tried again does not count.
    let plain = Machine::new(&[("once", "type = oneshot\ncommand = /bin/once\n")]);
    plain.says("once", Phase::Failed, Goal::Up, BOOT, Blocker::Nothing, 30);
    plain.reports("once", &ReportRow { deaths: 1, state: State::Failed, ..report });
    assert_eq!(plain.why("once"), "once has failed: exit 1 since 14:29:30Z");
    assert!(!plain.status("once").contains("attempt"));
}

#[test]
fn the_reports_count_where_the_engine_is_dead() {
    let mut machine = web();
    let died = ReportRow {
        state: State::Delayed,
        exit: Exit::Signal(11),
        since: Instant(NOW.0 - SECOND),
        ..Default::default()
    };
    machine.says("db", Phase::Up, Goal::Up, NEED, Blocker::Nothing, 100).reports("db", &died);
    let phase = |machine: &Machine| machine.view().row(machine.slot("db")).expect("a row").phase;
    // It has not looked yet: who saw `up` would ask a life for answers that is not there.
    assert_eq!(phase(&machine), Phase::Restarting);
    machine.says("db", Phase::Stopping, Goal::Down, 0, Blocker::Nothing, 100);
    assert_eq!(phase(&machine), Phase::Stopping);
    machine.engine_alive = false;
    assert_eq!(phase(&machine), Phase::Restarting);
}

#[test]
fn the_tree_shows_each_service_once() {
    let machine = Machine::new(&[
        ("default", "type = bundle\ncontains = a b\n"),
        ("a", "command = /bin/true\nneeds = c\n"),
        ("b", "command = /bin/true\nneeds = c\nwants = d\n"),
        ("c", "command = /bin/true\nbinds = d\n"),
        ("d", RUN),
    ]);
    machine.says("d", Phase::Up, Goal::Up, NEED, Blocker::Nothing, 1);
    machine.reports("d", &ReportRow { pid: 17, ..Default::default() });
    let view = machine.view();
    let mut text = String::new();
    tree::write(&view, &mut text, &tree::roots(&view), &tree::ASCII, Paint::Plain);
    assert_eq!(
        text,
        "default down\n\
         |- a down\n\
         |  `- c down\n\
         |     `- d up 17 (binds)\n\
         `- b down\n\
         \x20  |- c down ...\n\
         \x20  `- d up 17 (wants)\n"
    );
}

#[test]
fn json_of_any_board_is_json() {
    let machine = web();
    let mut seed = 1_u64;
    for round in 0..50 {
        for word in machine.published.iter().chain(&machine.reports).skip(words::HEADER) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Small values are more often meaningful; even ones let rows be read.
            let value = (seed >> 33) as u32 & if round % 2 == 0 { 0x1fe } else { !1 };
            word.store(value, core::sync::atomic::Ordering::Relaxed);
        }
        let view = machine.view();
        let mut text = String::new();
        text.push('[');
        view.write_machine_json(&mut text, "");
        for row in view.rows(true) {
            text.push(',');
            view.write_service_json(&mut text, &row, "a \"log\"\n");
        }
        text.push(']');
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let mut text = String::new();
        view.write_machine(&mut text, "", Paint::Plain);
        for row in view.rows(true) {
            view.write_service(&mut text, &row, Paint::Coloured);
        }
        view.write_lines(&mut text, &view.rows(true).map(|row| row.slot).collect::<Vec<_>>(), Paint::Plain);
    }
}

#[test]
fn a_choice_says_what_it_has_chosen_or_why_it_has_nothing() {
    let machine = Machine::new(&[
        ("a", RUN),
        ("b", RUN),
        ("c", "command = /bin/true\nprovides = m\n"),
        ("d", "command = /bin/true\nneeds = a|b\nwants = m\n"),
    ]);
    let a = machine.slot("a");
    assert_eq!(machine.slot("m"), machine.slot("c"), "one provides it");
    machine.says("d", Phase::Up, Goal::Up, Hold::Admin as u32, Blocker::Nothing, 5);
    machine.says("a|b", Phase::Up, Goal::Up, NEED, Blocker::Chosen(a), 5);
    machine.says("a", Phase::Up, Goal::Up, NEED, Blocker::Nothing, 5);
    assert_eq!(
        machine.why("a"),
        "a is up: a|b needs it; a|b is up by a: d needs it; d is up: an administrator started it"
    );
    assert!(machine.status("a|b").contains("\n  chosen     a\n"), "{}", machine.status("a|b"));
    let view = machine.view();
    let mut tree = String::new();
    tree::write(&view, &mut tree, &tree::roots(&view), &tree::ASCII, Paint::Plain);
    assert_eq!(
        tree,
        "d up\n\
         |- a|b up by a\n\
         |  |- a up (alternative)\n\
         |  `- b down (alternative)\n\
         `- c down (wants)\n"
    );

    let nothing = Blocker::NeedsUp(pintle::ident::SlotId(u32::MAX));
    machine.says("d", Phase::Waiting, Goal::Up, NEED, Blocker::NeedsUp(machine.slot("a|b")), 5);
    machine.says("a|b", Phase::Waiting, Goal::Up, NEED, nothing, 5);
    machine.says("a", Phase::Down, Goal::Down, Holds::MARK_ADMIN, Blocker::Nothing, 5);
    let failed = ReportRow { state: State::Failed, exit: Exit::Code(3), ..Default::default() };
    machine.says("b", Phase::Failed, Goal::Down, 0, Blocker::Nothing, 5).reports("b", &failed);
    assert_eq!(
        machine.why("d"),
        "d waits for a|b; a|b finds nothing to choose: a is held down by an administrator since 14:29:55Z, \
         b has failed: exit 3 since 14:29:55Z"
    );
}

#[test]
fn each_look_tells_the_same_time_of_the_same_instant() {
    let machine = Machine::new(&[("web", "command = /bin/web\n")]);
    // Clocks whose seconds do not begin together.
    let wall_ns = |now: Instant| 14 * 3600 * SECOND + 700_000_000 + now.0;
    let instant = Instant(5_000 * SECOND + 400_000_000);
    let slot = pintle::ident::SlotId(0);
    let (phase, holds) = (Phase::Up, Holds(Hold::Admin as u32));
    let row = PublishedRow { phase, goal: Goal::Up, holds, since: instant, exists: true, ..Default::default() };
    machine.view().published.write(slot, &row);
    let eighths = (instant.0 / published::EIGHTH_NS) as u32;
    let person = Reason { event: Event::Started, of: 1000, transaction: 3, eighths };
    let [a, b, c] = person.to_words();
    machine.view().published.write_reasons(slot, &[a, b, c, 0, 0, 0, 0, 0, 0, 0]);
    for later_ms in [0, 1, 299, 300, 301, 599, 600, 601, 999, 1_000, 3_599_950] {
        let now = instant.plus_ms(later_ms);
        let view = View { now, wall_ns: wall_ns(now), ..machine.view() };
        let row = view.row(slot).expect("there");
        let mut status = String::new();
        view.write_service(&mut status, &row, Paint::Plain);
        assert!(status.contains(", since 15:23:21Z\n"), "{later_ms}: {status}");
        assert!(status.contains("started it (transaction 3, 15:23:21Z, uid 1000)\n"), "{later_ms}: {status}");
        let mut json = String::new();
        view.write_service_json(&mut json, &row, "");
        assert!(json.contains(&format!("\"since\":{},", 15 * 3600 + 23 * 60 + 21)), "{later_ms}: {json}");
    }
}

#[test]
fn what_a_service_says_of_itself_is_told_and_steers_no_terminal() {
    let file = "command = /bin/web\nready = notify\n";
    let machine =
        Machine::new(&[("app", file), ("mute", RUN), ("web", file), ("one@", file), ("default", "type = bundle\n")]);
    let view = machine.view();
    let geometry = view.reports.geometry();
    assert_eq!((geometry.statuses, geometry.instance_statuses), (2, geometry.instances));
    let none = Geometry::of(&Image::open(&Machine::new(&[("mute", RUN)]).database).expect("just made"));
    assert_eq!((none.statuses, none.instance_statuses), (0, 0));
    view.reports.write_status(1, "50 \"%\" \u{e4}\u{1b}[2J\u{9b}1m\nnext".as_bytes());
    let text = machine.status("web");
    assert!(text.contains("\n  status     50 \"%\" \u{e4}\\u001b[2J\\u009b1m\\u000anext\n"), "{text}");
    for name in ["app", "mute"] {
        assert!(!machine.status(name).contains("status"), "{}", machine.status(name));
    }
    let json = |name: &str| {
        let (view, mut text) = (machine.view(), String::new());
        view.write_service_json(&mut text, &view.row(machine.slot(name)).expect("a row"), "");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["status"].clone()
    };
    assert_eq!(json("web"), "50 \"%\" \u{e4}\u{1b}[2J\u{9b}1m\nnext");
    assert!(json("app").is_null() && json("mute").is_null());
}

#[test]
fn of_what_a_service_says_of_itself_whole_characters_are_kept() {
    let machine = Machine::new(&[("web", "command = /bin/web\nready = notify\n")]);
    let reports = machine.view().reports;
    let kept = |said: &[u8]| {
        reports.write_status(0, said);
        reports.read_status(0, &mut [0; reports::STATUS_BYTES]).to_string()
    };
    let full = "x".repeat(reports::STATUS_BYTES);
    assert_eq!(kept(full.as_bytes()), full);
    assert_eq!(kept(format!("{full}y").as_bytes()), full);
    // The character that does not fit goes as a whole, and so does all behind what is no text.
    let cut = &full[2..];
    assert_eq!(kept(format!("{cut}\u{20ac}").as_bytes()), cut);
    assert_eq!(kept(b"good\xff bad"), "good");
    assert_eq!(kept(b"one\0two"), "one");
    assert_eq!(kept(b""), "");
    // There is no other row, and one that is being written is no news.
    reports.write_status(1, b"nobody's");
    assert_eq!(reports.read_status(1, &mut [0; reports::STATUS_BYTES]), "");
    assert_eq!(kept(b"whole"), "whole");
    words::store(&machine.reports, reports::statuses(&reports.geometry()).start, 1);
    assert_eq!(reports.read_status(0, &mut [0; reports::STATUS_BYTES]), "");
    // The next writer mends it.
    assert_eq!(kept(b"again"), "again");
}
