//! The supervisor's policy: every pair of state and input as a text to read, and what a row of inputs comes to.

mod lives;

use std::fmt::Write;

use pintle::board::orders::Wish;
use pintle::board::reports::{Exit, ReportRow, State, Status};
use pintle::ident::{Life, Order};
use pintle::lang::definition::{KillMode, Kind, Restart};
use pintle::supervision::{
    Cause, Clears, Ends, Input, KILL_GRACE_MS, Means, Policy, RETRY_MS_MAX, Ready, Record, Requests, Role, Slot,
    Trouble, step,
};
use pintle::time::Instant;

const NOW: Instant = Instant(1_000_000_000_000);
const SECOND: u64 = 1_000_000_000;

const LONGRUN: Policy = Policy {
    kind: Kind::Longrun,
    remain: true,
    ready: Ready::Descriptor(3),
    success: Ends::NONE,
    no_restart: Ends::NONE,
    restart: Restart::Always,
    delay_ms: 1000,
    delay_ms_max: 60_000,
    limit: 3,
    window_ms: 300_000,
    start_timeout_ms: 60_000,
    stop_timeout_ms: 10_000,
    watchdog_ms: 0,
    check_interval_ms: 1000,
    health_failures: 0,
    health_interval_ms: 30_000,
    health_timeout_ms: 10_000,
    kill_mode: KillMode::All,
    stop: Means::Signals,
    reload: Means::Signals,
    cleanup: false,
    pre_start: false,
    clears: Clears::Nothing,
};

const COMMANDED: Policy = Policy {
    ready: Ready::Executed,
    restart: Restart::OnFailure,
    stop: Means::Command,
    reload: Means::Command,
    limit: 0,
    ..LONGRUN
};

const ONESHOT: Policy =
    Policy { kind: Kind::Oneshot, limit: 1, stop: Means::Command, reload: Means::Nothing, ..LONGRUN };

const FLEETING: Policy =
    Policy { kind: Kind::Oneshot, limit: 1, remain: false, stop: Means::Nothing, reload: Means::Nothing, ..LONGRUN };

const TIDY: Policy = Policy { cleanup: true, ..COMMANDED };

const STUBBORN: Policy = Policy { cleanup: true, limit: 4, ..ONESHOT };

const WATCHED: Policy = Policy { ready: Ready::Notify, watchdog_ms: 2000, ..COMMANDED };

const CHECKED: Policy = Policy { ready: Ready::Check, ..LONGRUN };

const LOOKED_AT: Policy = Policy { health_failures: 2, ..COMMANDED };

const FORKED: Policy = Policy { ready: Ready::Forked, ..LONGRUN };

const PREPARED: Policy = Policy { pre_start: true, cleanup: true, ..COMMANDED };

const POLICIES: [(&str, Policy); 11] = [
    ("longrun, ready by descriptor, stopped by signal, restart always", LONGRUN),
    ("longrun, ready when executed, stopped by command, restart on failure", COMMANDED),
    ("oneshot that remains, with a stop command", ONESHOT),
    ("oneshot that does not remain", FLEETING),
    ("longrun as the second, with a cleanup", TIDY),
    ("oneshot that remains, with a stop command, a cleanup and three retries", STUBBORN),
    ("longrun as the second, ready by notify, with a watchdog that has waited long enough", WATCHED),
    ("longrun as the first, ready by a check, which is due", CHECKED),
    ("longrun as the second, with a health check that is due", LOOKED_AT),
    ("longrun as the first, which goes into the background", FORKED),
    ("longrun as the second, with a pre-start and a cleanup", PREPARED),
];

/// A slot in this state as it comes there: order 4, life 7.
fn in_state(state: State, policy: &Policy) -> (ReportRow, Record) {
    let longrun = policy.kind == Kind::Longrun;
    let runs =
        matches!(state, State::Spawning | State::Starting) || longrun && matches!(state, State::Up | State::Stopping);
    let stops = state == State::Stopping && !longrun;
    let row = ReportRow {
        state,
        order: Order(4),
        life: Life(7),
        attempt: 1,
        pid: if runs { 100 } else { 0 },
        auxiliary: if stops { 200 } else { 0 },
        began: 50,
        ready: if state == State::Up { 60 } else { 0 },
        since: Instant(NOW.0 - 2 * SECOND),
        spawned: Instant(NOW.0 - 3 * SECOND),
        deadline: match state {
            State::Spawning | State::Starting | State::Stopping | State::Delayed => Instant(NOW.0 + 5 * SECOND),
            State::Down | State::Queued | State::Up | State::Failed | State::Done | State::Skipped => Instant::NEVER,
        },
        ..ReportRow::default()
    };
    let wish = if matches!(state, State::Down | State::Stopping) { Wish::Down } else { Wish::Up };
    let dirty = policy.cleanup && (runs || stops || state == State::Up);
    let (watchdog_ms, watchdog) = if runs { (policy.watchdog_ms, NOW) } else { (0, Instant(0)) };
    let is_checked = policy.ready == Ready::Check && state == State::Starting;
    let is_looked_at = policy.health_failures > 0 && state == State::Up;
    let check = if is_checked || is_looked_at { NOW } else { Instant(0) };
    let role = stops.then_some(Role::Stop);
    (row, Record { wish, role, dirty, watchdog_ms, watchdog, check, ..Record::default() })
}

fn inputs() -> Vec<(&'static str, Input)> {
    vec![
        ("order up", Input::Ordered(Order(5), Wish::Up)),
        ("order down", Input::Ordered(Order(5), Wish::Down)),
        ("reload", Input::ReloadAsked),
        ("signal 10", Input::SignalAsked(10)),
        ("cloned", Input::Cloned(101)),
        ("refused for now", Input::Refused(0x48000b, Trouble::Passing)),
        ("refused for good", Input::Refused(0x400000, Trouble::Lasting)),
        ("refused, unmet", Input::Refused(0x110001, Trouble::Unmet)),
        ("command cloned", Input::AuxiliaryCloned(201)),
        ("command refused", REFUSED),
        ("executed", Input::Executed),
        ("step failed", Input::StepFailed(0xe0002, Trouble::Lasting)),
        ("unmet", Input::StepFailed(0x110001, Trouble::Unmet)),
        ("exit 0", Input::Ended(Exit::Code(0))),
        ("exit 1", Input::Ended(Exit::Code(1))),
        ("command exit 0", Input::AuxiliaryEnded(Exit::Code(0))),
        ("command exit 1", Input::AuxiliaryEnded(Exit::Code(1))),
        ("occupied", Input::Occupied),
        ("emptied", Input::Emptied),
        ("ready", Input::Ready),
        ("extend 20 s", Input::Extend(20_000)),
        ("ping", Input::Ping),
        ("trigger", Input::Trigger),
        ("watchdog 5 s", Input::Watchdog(5000)),
        ("deadline", Input::Deadline),
        ("kill", Input::Kill),
    ]
}

fn take(row: ReportRow, record: Record, policy: &Policy, input: Input, now: Instant) -> (ReportRow, Record, Requests) {
    let mut slot = Slot { row, record, policy, now, stamp: 100, salt: 0, requests: Requests::default() };
    step(&mut slot, input);
    (slot.row, slot.record, slot.requests)
}

fn words(requests: &Requests) -> String {
    let mut text = String::new();
    for (asked, word) in [
        (requests.cancel, "cancel"),
        (requests.stop_signals, "stop-signals"),
        (requests.reload_signals, "reload-signals"),
        (requests.signal == 15, "TERM"),
        (requests.signal == 6, "ABRT"),
        (!matches!(requests.signal, 0 | 6 | 15), "signal"),
        (requests.kill, "kill"),
        (requests.kill_auxiliary, "kill-command"),
        (requests.spawn, "spawn"),
        (requests.spawn_auxiliary == Some(Role::Stop), "spawn-stop"),
        (requests.spawn_auxiliary == Some(Role::Reload), "spawn-reload"),
        (requests.spawn_auxiliary == Some(Role::Cleanup), "spawn-cleanup"),
        (requests.spawn_auxiliary == Some(Role::Check), "spawn-check"),
        (requests.spawn_auxiliary == Some(Role::Health), "spawn-health"),
        (requests.kill_rest, "kill-rest"),
        (requests.spawn_auxiliary == Some(Role::PreStart), "spawn-pre-start"),
    ] {
        if asked {
            text += " ";
            text += word;
        }
    }
    text
}

fn changes(before: &ReportRow, after: &ReportRow) -> String {
    let mut text = String::new();
    if after.order != before.order {
        let _ = write!(text, " order={}", after.order.0);
    }
    if after.life != before.life {
        let _ = write!(text, " life={}", after.life.0);
    }
    for (name, old, new) in [
        ("pid", before.pid, after.pid),
        ("command", before.auxiliary, after.auxiliary),
        ("failure", before.failure, after.failure),
        ("restarts", before.restarts, after.restarts),
        ("deaths", before.deaths, after.deaths),
        ("delay", before.delay_ms, after.delay_ms),
    ] {
        if old != new {
            let _ = write!(text, " {name}={new}");
        }
    }
    if after.cleanup != before.cleanup {
        let _ = write!(text, " cleanup={:?}", after.cleanup);
    }
    if after.exit != before.exit {
        let _ = write!(text, " exit={:?}", after.exit);
    }
    if after.ready != before.ready {
        let _ = write!(text, " ready={}", after.ready);
    }
    if after.deadline != before.deadline {
        match after.deadline {
            Instant::NEVER => text += " deadline=never",
            due => {
                let _ = write!(text, " deadline=+{} ms", due.ms_since(NOW));
            }
        }
    }
    text
}

#[test]
fn every_state_and_input_does_what_is_written_down() {
    let mut text = String::from(
        "Every state by every input: the state after it, what is asked for (behind the arrow), what changes in the report.\n\
         Pairs that do nothing are left out.\n",
    );
    for (name, policy) in &POLICIES {
        let _ = write!(text, "\n== {name}\n");
        for state in State::ALL {
            for (input_name, input) in inputs() {
                let (mut row, record) = in_state(state, policy);
                // One that is past, unless the life has one that is.
                if input == Input::Deadline && row.deadline != Instant::NEVER && record.due(&row) > NOW {
                    row.deadline = NOW;
                }
                let (after, record_after, requests) = take(row, record, policy, input, NOW);
                if after == row && record_after == record && requests == Requests::default() {
                    continue;
                }
                let same = if after.state == state { "stays".to_string() } else { format!("{:?}", after.state) };
                let (asked, mut changed) = (words(&requests), changes(&row, &after));
                if record_after.watchdog != record.watchdog || record_after.watchdog_ms != record.watchdog_ms {
                    let left = record_after.watchdog.ms_since(NOW);
                    let _ = write!(changed, " watchdog={} ms, +{left} ms", record_after.watchdog_ms);
                }
                let _ = writeln!(text, "{:<9} {input_name:<17} {same:<9} ->{asked};{changed}", format!("{state:?}"));
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/supervision.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        text == golden,
        "tests/golden/supervision.txt differs from what supervision does: run with BLESS=1 and read"
    );
}

/// What must hold whatever happens.
fn check(policy: &Policy, row: &ReportRow, record: &Record, requests: &Requests, what: &str) {
    assert!(!requests.spawn || row.pid == 0, "{what}: a second copy is asked for");
    assert!(!requests.spawn || row.state == State::Queued, "{what}: a spawn that is not queued");
    assert!(!requests.kill || row.pid != 0, "{what}: nothing to kill");
    assert!(row.pid == 0 || row.state.has_process(), "{what}: {:?} with a process", row.state);
    assert!(requests.spawn_auxiliary != Some(Role::Cleanup) || row.pid == 0, "{what}: a cleanup beside what runs");
    let checks = matches!(record.role, Some(Role::Check | Role::Health));
    assert!(!checks || row.state.has_process(), "{what}: a check of nothing");
    assert!(!requests.spawn || !record.dirty || policy.pre_start, "{what}: the next before the cleanup");
    let prepares = requests.spawn_auxiliary == Some(Role::PreStart);
    assert!(!prepares || row.pid == 0 && row.state == State::Starting, "{what}: a pre-start beside what runs");
    let waits = row.state == State::Stopping && row.pid == 0;
    assert!(!waits || record.role.is_some(), "{what}: stopping, but nothing runs");
    assert!(row.state != State::Delayed || row.deadline != Instant::NEVER, "{what}: delayed for ever");
    let bounded =
        matches!(row.state, State::Spawning | State::Starting) || row.state == State::Stopping && !record.killed;
    assert!(!bounded || row.deadline != Instant::NEVER, "{what}: {:?} without a deadline", row.state);
}

const REFUSED: Input = Input::AuxiliaryRefused(0x48000b, Trouble::Passing);
const TROUBLES: [Trouble; 3] = [Trouble::Lasting, Trouble::Passing, Trouble::Unmet];

/// A random walk over inputs that can really come, with the processes that there would be.
#[test]
fn whatever_comes_there_is_one_main_process_and_an_end() {
    for seed in 0..3000_u32 {
        let mut random = seed.wrapping_mul(0x9e37_79b9).wrapping_add(1);
        let mut draw = |below: u32| {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            random % below
        };
        let mut policy = POLICIES[draw(POLICIES.len() as u32) as usize].1;
        policy.restart = [Restart::Always, Restart::OnFailure, Restart::Never][draw(3) as usize];
        policy.limit = draw(5) + u32::from(policy.kind == Kind::Oneshot);
        let (mut row, mut record) = (ReportRow::default(), Record::default());
        row.deadline = Instant::NEVER;
        let (mut now, mut order, mut pid) = (Instant(SECOND), 0, 1);
        let (mut wants_main, mut wants_command, mut command) = (false, false, 0);
        let mut history = String::new();
        for round in 0..60 {
            now = now.plus_ms(draw(3) * draw(2000));
            let ends = round >= 50; // then it is ordered down, and everything that runs ends
            let due = record.due(&row) <= now;
            let input = match draw(12) {
                _ if ends && round == 50 => {
                    order += 1;
                    Input::Ordered(Order(order), Wish::Down)
                }
                0 if !ends => {
                    order += 1;
                    Input::Ordered(Order(order), if draw(3) == 0 { Wish::Down } else { Wish::Up })
                }
                1 if !ends => Input::ReloadAsked,
                2 if row.pid != 0 => Input::Executed,
                3 if row.pid != 0 => Input::Ready,
                4 if row.pid != 0 && !ends => Input::StepFailed(7, TROUBLES[draw(3) as usize]),
                5 if due => Input::Deadline,
                8 if row.pid != 0 => Input::Ping,
                9 if row.pid != 0 && !ends => Input::Trigger,
                10 if row.pid != 0 => Input::Watchdog(draw(3) * 1000),
                _ if wants_main => {
                    wants_main = false;
                    pid += 1;
                    if draw(5) == 0 { Input::Refused(9, TROUBLES[draw(3) as usize]) } else { Input::Cloned(pid) }
                }
                _ if wants_command => {
                    wants_command = false;
                    pid += 1;
                    if draw(5) == 0 {
                        Input::AuxiliaryRefused(9, TROUBLES[draw(3) as usize])
                    } else {
                        command = pid;
                        Input::AuxiliaryCloned(pid)
                    }
                }
                _ if due => Input::Deadline,
                6 | 7 if command != 0 => {
                    command = 0;
                    Input::AuxiliaryEnded(Exit::Code(draw(2) as u8))
                }
                _ if row.pid != 0 => Input::Ended(Exit::Code(draw(2) as u8)),
                _ if command != 0 => {
                    command = 0;
                    Input::AuxiliaryEnded(Exit::Code(0))
                }
                _ => continue,
            };
            let before = row.state;
            let requests;
            (row, record, requests) = take(row, record, &policy, input, now);
            let _ = writeln!(history, "{before:?} {input:?} -> {:?} {}", row.state, words(&requests));
            check(&policy, &row, &record, &requests, &format!("seed {seed}\n{history}"));
            if requests.cancel {
                (wants_main, wants_command) = (false, false);
            }
            wants_main |= requests.spawn;
            wants_command |= requests.spawn_auxiliary.is_some();
            assert!(!wants_command || command == 0, "seed {seed}: a second command\n{history}");
        }
        assert!(
            matches!(row.state, State::Down | State::Failed) && !record.dirty,
            "seed {seed}: {:?}\n{history}",
            row.state
        );
        assert_eq!(row.pid, 0, "seed {seed}\n{history}");
    }
}
