//! Lives told from their beginning: what follows from what.

use super::*;

/// Runs inputs, each some milliseconds after the one before; gives the states.
fn run(policy: &Policy, inputs: &[(u32, Input)]) -> (Vec<State>, ReportRow) {
    let (mut row, mut record, mut now) = (ReportRow::default(), Record::default(), Instant(SECOND));
    let mut states = Vec::new();
    for (ms, input) in inputs {
        now = now.plus_ms(*ms);
        (row, record, _) = take(row, record, policy, *input, now);
        states.push(row.state);
    }
    (states, row)
}

const UP: Input = Input::Ordered(Order(1), Wish::Up);
const DOWN: Input = Input::Ordered(Order(2), Wish::Down);
const DIED: Input = Input::Ended(Exit::Code(1));

#[test]
fn a_death_after_the_delay_restarts_at_once_and_an_early_one_waits() {
    let (states, row) = run(&LONGRUN, &[(0, UP), (0, Input::Cloned(9)), (5, Input::Ready), (995, DIED)]);
    assert_eq!((states[3], row.restarts), (State::Queued, 1));
    let (states, row) = run(&LONGRUN, &[(0, UP), (0, Input::Cloned(9)), (5, Input::Ready), (994, DIED)]);
    assert_eq!((states[3], row.deadline), (State::Delayed, Instant(2 * SECOND)));
}

#[test]
fn a_life_that_was_stable_ends_a_row_of_deaths() {
    let policy = Policy { limit: 0, ..LONGRUN };
    let life = |up_ms| [(0, Input::Cloned(9)), (0, Input::Ready), (up_ms, DIED), (90_000, Input::Deadline)];
    // `restart-delay-max` is the longer time here: 60 s.
    for (up_ms, least, most) in [(60_000, 1000, 1000), (59_999, 4000, 4500)] {
        let inputs = [&[(0, UP)][..], &life(5), &life(5), &life(up_ms)[..3]].concat();
        let (_, row) = run(&policy, &inputs);
        assert!((least..=most).contains(&row.delay_ms), "up for {up_ms} ms: {}", row.delay_ms);
        assert_eq!((row.state, row.restarts), (State::Queued, 3), "its delay is past");
    }
}

#[test]
fn the_limit_of_deaths_in_the_window_fails_and_a_later_death_begins_a_new_window() {
    let life = [(0, Input::Cloned(9)), (2000, DIED), (60_000, Input::Deadline)];
    let mut inputs = vec![(0, UP)];
    inputs.extend(life.iter().cycle().take(8));
    let (_, row) = run(&LONGRUN, &inputs);
    assert_eq!((row.state, row.deaths, row.exit), (State::Failed, 3, Exit::Code(1)));
    let slow = Policy { window_ms: 100, ..LONGRUN };
    let (_, row) = run(&slow, &inputs);
    assert_eq!((row.state, row.deaths), (State::Delayed, 1));
}

#[test]
fn what_is_still_there_a_while_after_it_was_killed_is_stuck_until_it_is_gone() {
    let mut inputs = vec![(0, UP), (0, Input::Cloned(9)), (5, Input::Ready), (5, Input::Ordered(Order(2), Wish::Down))];
    inputs.extend([(10_000, Input::Deadline), (1, Input::Extend(90_000))]);
    assert!(!run(&LONGRUN, &inputs).1.stuck);
    inputs.push((KILL_GRACE_MS - 1, Input::Deadline));
    let (_, row) = run(&LONGRUN, &inputs);
    assert_eq!((row.state, row.stuck, row.pid, row.deadline), (State::Stopping, true, 9, Instant::NEVER));
    inputs.push((60_000, Input::Ended(Exit::Signal(9))));
    let (_, row) = run(&LONGRUN, &inputs);
    assert_eq!((row.state, row.stuck), (State::Down, false));
}

#[test]
fn not_ready_in_time_is_killed_and_counts_as_a_death() {
    let inputs = [
        (0, UP),
        (0, Input::Cloned(9)),
        (1, Input::Executed),
        (60_000, Input::Deadline),
        (1, Input::Ended(Exit::Signal(9))),
    ];
    let (states, row) = run(&LONGRUN, &inputs);
    assert_eq!(&states[2..], [State::Starting, State::Stopping, State::Queued]);
    assert_eq!((row.exit, row.deaths), (Exit::TimedOut, 1));
}

#[test]
fn a_program_that_does_not_exist_fails_at_once_and_lack_of_memory_is_tried_again() {
    let broken = |trouble| {
        [(0, UP), (0, Input::Cloned(9)), (1, Input::StepFailed(7, trouble)), (1, Input::Ended(Exit::Code(111)))]
    };
    let (_, row) = run(&LONGRUN, &broken(Trouble::Lasting));
    assert_eq!((row.state, row.exit, row.failure), (State::Failed, Exit::NotSpawned, 7));
    let (_, row) = run(&FLEETING, &broken(Trouble::Passing));
    assert_eq!((row.state, row.exit), (State::Delayed, Exit::NotSpawned));
}

#[test]
fn what_cannot_be_spawned_for_now_is_tried_again_without_end() {
    let refused = [(0, Input::Refused(9, Trouble::Passing)), (60_000, Input::Deadline)];
    let mut inputs = vec![(0, UP)];
    inputs.extend(refused.iter().cycle().take(20));
    let (_, row) = run(&Policy { window_ms: u32::MAX, ..LONGRUN }, &inputs);
    assert_eq!((row.state, row.deaths, row.restarts), (State::Queued, 0, 10));
}

#[test]
fn what_is_tried_for_want_of_something_is_tried_every_few_seconds_and_is_no_row_of_deaths() {
    let again = [(0, Input::Refused(9, Trouble::Passing)), (60_000, Input::Deadline)];
    let tries = |policy: &Policy, more: &[(u32, Input)]| {
        let mut inputs = vec![(0, UP)];
        inputs.extend(again.iter().cycle().take(19));
        inputs.extend(more);
        run(policy, &inputs).1
    };
    assert_eq!(tries(&LONGRUN, &[]).delay_ms, RETRY_MS_MAX);
    let slow = Policy { delay_ms: 30_000, ..LONGRUN };
    assert_eq!(tries(&slow, &[]).delay_ms, 30_000);
    let life = [(60_000, Input::Deadline), (0, Input::Cloned(9)), (0, Input::Ready), (5, DIED)];
    assert_eq!(tries(&LONGRUN, &life).delay_ms, LONGRUN.delay_ms);
}

#[test]
fn a_command_that_could_not_be_spawned_says_why_where_nothing_else_ends() {
    let refused = Input::AuxiliaryRefused(9, Trouble::Passing);
    let policy = ONESHOT;
    let (states, row) = run(
        &policy,
        &[
            (0, UP),
            (0, Input::Cloned(9)),
            (0, Input::Executed),
            (5, Input::Ended(Exit::Code(0))),
            (0, DOWN),
            (0, refused),
        ],
    );
    assert_eq!((states[4], row.state, row.exit, row.failure), (State::Stopping, State::Down, Exit::NotSpawned, 9));
}

#[test]
fn a_cause_that_is_over_does_not_colour_the_next_stop() {
    let record = Record { cause: Cause::TimedOut, wish: Wish::Up, ..Record::default() };
    let (row, _) = in_state(State::Up, &LONGRUN);
    let (_, after, _) = take(row, record, &LONGRUN, Input::Ordered(Order(5), Wish::Up), NOW);
    assert_eq!(after.cause, Cause::Ordered);
}

#[test]
fn a_reload_command_that_was_not_spawned_yet_is_given_up_when_a_stop_comes() {
    let (row, record) = in_state(State::Up, &COMMANDED);
    let (row, record, asked) = take(row, record, &COMMANDED, Input::ReloadAsked, NOW);
    assert_eq!(asked.spawn_auxiliary, Some(Role::Reload));
    let (_, record, asked) = take(row, record, &COMMANDED, Input::Ordered(Order(5), Wish::Down), NOW);
    assert_eq!((asked.cancel, asked.spawn_auxiliary, record.role), (true, Some(Role::Stop), Some(Role::Stop)));
}

/// Found by the simulator, seed 205796: it was spawned afterwards, and nothing bounded it.
#[test]
fn a_reload_command_that_was_not_spawned_in_its_time_is_given_up() {
    let (row, record) = in_state(State::Up, &COMMANDED);
    let (row, record, _) = take(row, record, &COMMANDED, Input::ReloadAsked, NOW);
    let due = row.deadline;
    let (given_up, after, asked) = take(row, record, &COMMANDED, Input::Deadline, due);
    assert_eq!((given_up.state, asked.cancel, after.role), (State::Up, true, None));
    // Asked for again meanwhile, it is tried again, with a time of its own.
    let (row, record, _) = take(row, record, &COMMANDED, Input::ReloadAsked, NOW);
    let (row, _, asked) = take(row, record, &COMMANDED, Input::Deadline, due);
    assert_eq!((asked.cancel, asked.spawn_auxiliary), (true, Some(Role::Reload)));
    assert!(row.deadline > due && row.deadline != Instant::NEVER);
}

/// One attempt of a oneshot: cloned, and ended like this a second later.
fn attempt(exit: Exit) -> [(u32, Input); 2] {
    [(0, Input::Cloned(9)), (1000, Input::Ended(exit))]
}

#[test]
fn a_oneshot_is_tried_again_after_its_delay_as_often_as_it_says() {
    let policy = Policy { limit: 3, stop: Means::Nothing, ..ONESHOT };
    let mut inputs = vec![(0, UP)];
    for _ in 0..3 {
        inputs.extend(attempt(Exit::Code(1)));
        inputs.push((1000, Input::Deadline));
    }
    inputs.pop();
    let (states, row) = run(&policy, &inputs);
    let again = [State::Spawning, State::Delayed, State::Queued];
    assert_eq!(states[1..], [&again[..], &again, &[State::Spawning, State::Failed]].concat());
    assert_eq!((row.deaths, row.exit, row.attempt), (3, Exit::Code(1), 3));
    // The delay begins with the end of the attempt, and neither grows nor wavers.
    let (_, row) = run(&policy, &inputs[..6]);
    assert_eq!(row.deadline, Instant(SECOND + 4 * SECOND));
    // The second one does it.
    let well: Vec<_> = inputs[..4].iter().copied().chain(attempt(Exit::Code(0))).collect();
    assert_eq!(run(&policy, &well).1.state, State::Up);
    // An order begins to count anew, and a stop ends the wait at once.
    let (_, row) = run(&policy, &[&inputs[..6], &[(0, Input::Ordered(Order(2), Wish::Up))]].concat());
    assert_eq!((row.state, row.deaths), (State::Queued, 0));
    let (_, row) = run(&policy, &[&inputs[..6], &[(0, Input::Ordered(Order(2), Wish::Down))]].concat());
    assert_eq!((row.state, row.deadline), (State::Down, Instant::NEVER));
}

#[test]
fn each_attempt_has_a_time_of_its_own_and_one_that_took_too_long_has_failed() {
    let policy = Policy { limit: 2, ..ONESHOT };
    let slow = [(0, Input::Cloned(9)), (60_000, Input::Deadline), (1, Input::Ended(Exit::Signal(9)))];
    let inputs = [&[(0, UP)][..], &slow, &[(1000, Input::Deadline)], &slow].concat();
    let (states, row) = run(&policy, &inputs);
    assert_eq!(states[3..], [State::Delayed, State::Queued, State::Spawning, State::Stopping, State::Failed]);
    assert_eq!((row.exit, row.deaths), (Exit::TimedOut, 2));
}

#[test]
fn a_oneshot_that_is_told_to_go_is_asked_first_and_killed_in_the_end() {
    let begun = [(0, UP), (0, Input::Cloned(9)), (1, Input::Executed)];
    let down = (0, Input::Ordered(Order(2), Wish::Down));
    let (mut row, mut record, mut asked) = (ReportRow::default(), Record::default(), Requests::default());
    for (_, input) in [&begun[..], &[down]].concat() {
        (row, record, asked) = take(row, record, &ONESHOT, input, NOW);
    }
    assert_eq!((row.state, asked.signal, asked.kill, asked.spawn_auxiliary), (State::Stopping, 15, false, None));
    let (late, _, asked) = take(row, record, &ONESHOT, Input::Deadline, row.deadline);
    assert_eq!((late.state, asked.kill), (State::Stopping, true));
    // It failed, so there is nothing to take down; had it succeeded, there would be.
    let (gone, _, asked) = take(row, record, &ONESHOT, Input::Ended(Exit::Signal(15)), NOW);
    assert_eq!((gone.state, asked), (State::Down, Requests::default()));
    let (well, _, asked) = take(row, record, &ONESHOT, Input::Ended(Exit::Code(0)), NOW);
    assert_eq!((well.state, asked.spawn_auxiliary), (State::Stopping, Some(Role::Stop)));
}

#[test]
fn a_cleanup_comes_after_each_life_and_before_the_next_and_does_not_decide() {
    let died = [(0, UP), (0, Input::Cloned(9)), (2000, DIED)];
    for (how, end) in [
        ("failed", Input::AuxiliaryEnded(Exit::Code(1))),
        ("well", Input::AuxiliaryEnded(Exit::Code(0))),
        ("refused", REFUSED),
    ] {
        let (states, row) = run(&TIDY, &[&died[..], &[(0, Input::AuxiliaryCloned(10)), (0, end)]].concat());
        assert_eq!(states[2..], [State::Stopping, State::Stopping, State::Queued], "{how}");
        assert_eq!((row.exit, row.restarts), (Exit::Code(1), 1), "{how}");
    }
    // One that hangs is killed, and what it was for goes on.
    let hangs = [(0, Input::AuxiliaryCloned(10)), (10_000, Input::Deadline)];
    let (_, row) = run(&TIDY, &[&died[..], &hangs, &[(1, Input::AuxiliaryEnded(Exit::Signal(9)))]].concat());
    assert_eq!((row.state, row.cleanup), (State::Queued, Exit::Signal(9)));
    // Of what could not be executed nothing is cleaned up.
    let never = [(0, UP), (0, Input::Cloned(9)), (0, Input::StepFailed(7, Trouble::Lasting)), (0, DIED)];
    assert_eq!(run(&TIDY, &never).1.state, State::Failed);
}

#[test]
fn what_is_up_is_taken_down_then_cleaned_up_after() {
    let up = [(0, UP), (0, Input::Cloned(9)), (1, Input::Ended(Exit::Code(0)))];
    let down = [
        (0, Input::Ordered(Order(2), Wish::Down)),
        (0, Input::AuxiliaryCloned(10)),
        (9000, Input::AuxiliaryEnded(Exit::Code(0))),
    ];
    let (mut row, mut record, mut now) = (ReportRow::default(), Record::default(), Instant(SECOND));
    let mut roles = Vec::new();
    for (ms, input) in [&up[..], &down].concat() {
        now = now.plus_ms(ms);
        let asked;
        (row, record, asked) = take(row, record, &STUBBORN, input, now);
        roles.extend(asked.spawn_auxiliary);
    }
    assert_eq!((roles, row.state), (vec![Role::Stop, Role::Cleanup], State::Stopping));
    assert_eq!(row.deadline, now.plus_ms(10_000), "it has a time of its own");
    // What everything ends with does not wait for a cleanup.
    let (killed, record, asked) = take(row, record, &STUBBORN, Input::Kill, now);
    assert!(asked.cancel && killed.state == State::Down && !record.dirty);
}

#[test]
fn what_does_not_hold_is_skipped_and_no_life() {
    let unmet = [
        (0, UP),
        (0, Input::Cloned(9)),
        (1, Input::StepFailed(0x110001, Trouble::Unmet)),
        (1, Input::Ended(Exit::Code(111))),
    ];
    let (_, row) = run(&STUBBORN, &unmet);
    assert_eq!((row.state, row.exit, row.failure, row.deaths), (State::Skipped, Exit::None, 0x110001, 0));
    let (_, row) = run(&STUBBORN, &[(0, UP), (0, Input::Refused(0x110002, Trouble::Unmet))]);
    assert_eq!((row.state, row.failure), (State::Skipped, 0x110002));
    // A stop that comes between, and a start behind it.
    let stopped = [&unmet[..3], &[(0, Input::Ordered(Order(2), Wish::Down)), unmet[3]]].concat();
    assert_eq!(run(&STUBBORN, &stopped).1.state, State::Down);
    let again = [&unmet[..], &[(0, Input::Ordered(Order(2), Wish::Up))]].concat();
    assert_eq!(run(&STUBBORN, &again).1.state, State::Queued);
}

#[test]
fn a_service_that_does_not_tell_its_watchdog_in_time_has_failed() {
    let up = [(0, UP), (0, Input::Cloned(9)), (1, Input::Executed), (5000, Input::Ready)];
    // Each ping gives the whole time anew.
    let pings = [(1999, Input::Deadline), (0, Input::Ping), (1999, Input::Ping), (1999, Input::Deadline)];
    let lives = [&up[..], &pings].concat();
    assert_eq!(run(&WATCHED, &lives).0[4..], [State::Up; 4]);
    let bitten = [&lives[..], &[(1, Input::Deadline)]].concat();
    assert_eq!(run(&WATCHED, &bitten).1.state, State::Stopping);
    let gone = [&bitten[..], &[(10_000, Input::Deadline), (0, Input::Ended(Exit::Signal(9)))]].concat();
    let (states, row) = run(&WATCHED, &gone);
    assert_eq!((states[9], row.state, row.exit, row.deaths), (State::Stopping, State::Queued, Exit::Watchdog, 1));
    // Whatever it says by its end.
    let (_, row) = run(&WATCHED, &[&bitten[..], &[(1, Input::Ended(Exit::Code(0)))]].concat());
    assert_eq!((row.state, row.exit), (State::Queued, Exit::Watchdog));
    // What was ordered meanwhile counts.
    let down = [(0, Input::Ordered(Order(2), Wish::Down)), (1, Input::Ended(Exit::Signal(6)))];
    assert_eq!(run(&WATCHED, &[&bitten[..], &down].concat()).1.state, State::Down);
}

#[test]
fn what_the_watchdog_asks_for_is_sigabrt_then_sigkill_and_no_stop_command() {
    let (row, record) = in_state(State::Up, &WATCHED);
    let (row, record, asked) = take(row, record, &WATCHED, Input::Deadline, NOW);
    assert_eq!((row.state, asked), (State::Stopping, Requests { signal: 6, ..Requests::default() }));
    assert_eq!(row.deadline, NOW.plus_ms(10_000));
    let (row, _, asked) = take(row, record, &WATCHED, Input::Deadline, row.deadline);
    assert_eq!((row.state, asked), (State::Stopping, Requests { kill: true, ..Requests::default() }));
    // A reload command in its way is killed, and no stop command follows it.
    let (row, mut record) = in_state(State::Up, &WATCHED);
    record.role = Some(Role::Reload);
    let row = ReportRow { auxiliary: 200, deadline: NOW.plus_ms(50_000), ..row };
    let (row, record, asked) = take(row, record, &WATCHED, Input::Deadline, NOW);
    assert_eq!((asked.signal, asked.kill_auxiliary), (6, true));
    let (row, _, asked) = take(row, record, &WATCHED, Input::AuxiliaryEnded(Exit::Signal(9)), NOW);
    assert_eq!((row.state, asked), (State::Stopping, Requests::default()));
}

#[test]
fn a_watchdog_that_is_looked_at_much_too_late_waits_anew() {
    let (row, record) = in_state(State::Up, &WATCHED);
    let late = NOW.plus_ms(pintle::supervision::LATE_MS as u32 + 1);
    let (row, record, asked) = take(row, record, &WATCHED, Input::Deadline, late);
    assert_eq!((row.state, asked, record.due(&row)), (State::Up, Requests::default(), late.plus_ms(2000)));
    let (row, ..) = take(row, record, &WATCHED, Input::Deadline, late.plus_ms(2000));
    assert_eq!(row.state, State::Stopping);
}

#[test]
fn a_service_sets_its_watchdog_and_the_next_life_has_that_of_its_file() {
    let begun = [(0, UP), (0, Input::Cloned(9)), (1, Input::Executed)];
    let set = |ms, rest: &[(u32, Input)]| {
        run(&WATCHED, &[&begun[..], &[(0, Input::Watchdog(ms)), (0, Input::Ready)], rest].concat()).1
    };
    assert_eq!(set(500, &[(500, Input::Deadline)]).state, State::Stopping);
    assert_eq!(set(5000, &[(4999, Input::Deadline)]).state, State::Up);
    assert_eq!(set(0, &[(1_000_000, Input::Deadline)]).state, State::Up);
    assert_eq!(set(5000, &[(0, Input::Watchdog(100)), (100, Input::Deadline)]).state, State::Stopping);
    let next = [(5000, DIED), (0, Input::Cloned(10)), (0, Input::Ready), (2000, Input::Deadline)];
    assert_eq!(set(0, &next).state, State::Stopping);
    // It says itself that it is not well, also before it is up, and where nothing watches.
    for policy in [WATCHED, LONGRUN] {
        let (_, row) = run(&policy, &[&begun[..], &[(0, Input::Trigger), (1, Input::Ended(Exit::Signal(6)))]].concat());
        assert_eq!(row.exit, Exit::Watchdog);
    }
}

/// As `run`; gives what was asked for, too.
fn asked(policy: &Policy, inputs: &[(u32, Input)]) -> (Vec<String>, ReportRow) {
    let (mut row, mut record, mut now) = (ReportRow::default(), Record::default(), Instant(SECOND));
    let mut all = Vec::new();
    for (ms, input) in inputs {
        now = now.plus_ms(*ms);
        let requests;
        (row, record, requests) = take(row, record, policy, *input, now);
        all.push(words(&requests).trim_start().to_string());
    }
    (all, row)
}

const CHECKS: (u32, Input) = (0, Input::AuxiliaryCloned(20));
const WELL: (u32, Input) = (10, Input::AuxiliaryEnded(Exit::Code(0)));
const ILL: (u32, Input) = (10, Input::AuxiliaryEnded(Exit::Code(1)));

#[test]
fn a_check_is_run_until_one_says_that_it_is_ready() {
    let begun = [(0, UP), (0, Input::Cloned(9)), (1, Input::Executed), CHECKS];
    // One after the other, never two.
    let rounds = [&begun[..], &[ILL, (999, Input::Deadline), (1, Input::Deadline), CHECKS, WELL]].concat();
    let (told, row) = asked(&CHECKED, &rounds);
    assert_eq!(told[2..], ["spawn-check", "", "", "", "spawn-check", "", ""]);
    assert_eq!((row.state, row.deadline, row.auxiliary), (State::Up, Instant::NEVER, 0));
    // One that takes too long is killed, and the next comes when it is gone.
    let slow = [(1000, Input::Deadline), (1, Input::AuxiliaryEnded(Exit::Signal(9))), (1000, Input::Deadline)];
    let (told, row) = asked(&CHECKED, &[&begun[..], &slow].concat());
    assert_eq!(
        (&told[4..], row.state),
        (&["kill-command".into(), String::new(), "spawn-check".into()][..], State::Starting)
    );
    // One that could not be spawned in its time, or at all, says nothing.
    let (told, row) = asked(&CHECKED, &[&begun[..3], &[(1000, Input::Deadline), (1000, Input::Deadline)]].concat());
    assert_eq!((&told[3..], row.state), (&["cancel".to_string(), "spawn-check".into()][..], State::Starting));
    let refused = [(0, REFUSED), (1000, Input::Deadline)];
    let (told, _) = asked(&CHECKED, &[&begun[..3], &refused].concat());
    assert_eq!(told[4], "spawn-check");
}

#[test]
fn a_check_has_no_more_time_than_the_start_and_is_gone_before_the_next_life() {
    let begun = [(0, UP), (0, Input::Cloned(9)), (1, Input::Executed), CHECKS];
    let late = Policy { check_interval_ms: 100_000, ..CHECKED };
    let (told, row) = asked(&late, &[&begun[..], &[(60_000, Input::Deadline)]].concat());
    assert_eq!((told[4].as_str(), row.state), ("kill kill-command", State::Stopping));
    let gone =
        [(60_000, Input::Deadline), (1, Input::Ended(Exit::Signal(9))), (1, Input::AuxiliaryEnded(Exit::Code(0)))];
    let (told, row) = asked(&late, &[&begun[..], &gone].concat());
    assert_eq!((told[6].as_str(), row.exit), ("spawn", Exit::TimedOut));
    // It dies while it is checked: what the check says then is about nobody.
    let (told, row) = asked(&CHECKED, &[&begun[..], &[(5000, DIED), WELL]].concat());
    assert_eq!((&told[4..], row.state), (&["kill-command".to_string(), "spawn".into()][..], State::Queued));
    // It is told to go while it is checked: it is asked, and no stop command is run, since it never was up.
    let commanded = Policy { stop: Means::Command, ..CHECKED };
    let stopped = [(0, Input::Ordered(Order(2), Wish::Down)), WELL, (1, Input::Ended(Exit::Signal(15)))];
    let (told, row) = asked(&commanded, &[&begun[..], &stopped].concat());
    assert_eq!(
        (&told[4..], row.state),
        (&["TERM kill-command".to_string(), String::new(), String::new()][..], State::Down)
    );
}

#[test]
fn health_checks_that_fail_in_a_row_end_the_life() {
    let signalled = Policy { stop: Means::Signals, restart: Restart::OnFailure, ..LOOKED_AT };
    let begun = [(0, UP), (0, Input::Cloned(9)), (1, Input::Executed)];
    let look = [(30_000, Input::Deadline), CHECKS];
    let ill = [&look[..], &[ILL]].concat();
    // One that is well between begins the count anew.
    let between = [&begun[..], &ill, &look, &[WELL], &ill].concat();
    let (told, row) = asked(&signalled, &between);
    assert_eq!((told[3].as_str(), row.state), ("spawn-health", State::Up));
    let sick = [&between[..], &ill].concat();
    let (told, row) = asked(&signalled, &sick);
    assert_eq!((told[14].as_str(), row.state), ("stop-signals", State::Stopping));
    let (_, row) = asked(&signalled, &[&sick[..], &[(1, Input::Ended(Exit::Code(0)))]].concat());
    assert_eq!((row.exit, row.restarts, row.deaths), (Exit::Unhealthy, 1, 1));
    // The next life begins well.
    let next = [(1, Input::Ended(Exit::Code(0))), (0, Input::Cloned(10)), (0, Input::Executed)];
    assert_eq!(asked(&signalled, &[&sick[..], &next, &ill].concat()).1.state, State::Up);
    // Too late is ill; not spawned is nothing.
    let late = [&look[..], &[(10_000, Input::Deadline), (1, Input::AuxiliaryEnded(Exit::Signal(9)))]].concat();
    let (told, row) = asked(&signalled, &[&begun[..], &late, &late].concat());
    assert_eq!((told[5].as_str(), row.state), ("kill-command", State::Stopping));
    let never = [(30_000, Input::Deadline), (0, REFUSED)];
    assert_eq!(asked(&signalled, &[&begun[..], &never, &never, &never].concat()).1.state, State::Up);
}

#[test]
fn a_stable_life_ends_a_row_of_deaths_whatever_ends_it() {
    let (row, record) = in_state(State::Up, &WATCHED);
    let record = Record { in_a_row: 5, ..record };
    let late = NOW.plus_ms(WATCHED.stable_ms());
    for (since, left) in [(late, 5), (NOW, 0)] {
        let (row, record, _) = take(ReportRow { since, ..row }, record, &WATCHED, Input::Trigger, late);
        assert_eq!((row.state, record.in_a_row), (State::Stopping, left), "watchdog");
    }
    let (row, record) = in_state(State::Up, &LOOKED_AT);
    let sick = LOOKED_AT.health_failures - 1;
    let record = Record { in_a_row: 5, role: Some(Role::Health), sick, ..record };
    for (since, left) in [(late, 5), (NOW, 0)] {
        let (row, record, _) = take(ReportRow { since, auxiliary: 200, ..row }, record, &LOOKED_AT, ILL.1, late);
        assert_eq!((row.state, record.in_a_row), (State::Stopping, left), "health");
    }
}

#[test]
fn a_reload_and_a_health_check_wait_for_each_other() {
    let begun = [(0, UP), (0, Input::Cloned(9)), (1, Input::Executed)];
    let during =
        [(30_000, Input::Deadline), CHECKS, (1, Input::ReloadAsked), WELL, CHECKS, (30_000, Input::Deadline), WELL];
    let (told, row) = asked(&LOOKED_AT, &[&begun[..], &during, &[(30_000, Input::Deadline)]].concat());
    assert_eq!(told[3..], ["spawn-health", "", "", "spawn-reload", "", "", "", "spawn-health"]);
    assert_eq!(row.state, State::Up);
    // A stop while it is looked at waits for the look, which is killed.
    let stop = [(30_000, Input::Deadline), CHECKS, (1, Input::Ordered(Order(2), Wish::Down)), ILL];
    let (told, _) = asked(&LOOKED_AT, &[&begun[..], &stop].concat());
    assert_eq!(told[5..], ["kill-command", "spawn-stop"]);
}

#[test]
fn ends_that_are_named_are_as_good_as_exit_0_or_the_last() {
    let ended = |policy: Policy, exit| {
        let (_, row) = run(&policy, &[(0, UP), (0, Input::Cloned(9)), (0, Input::Executed), (0, Input::Ended(exit))]);
        row.state
    };
    let good = Ends::NONE.with(Exit::Code(3)).with(Exit::Signal(15));
    let last = Ends::NONE.with(Exit::Code(7)).with(Exit::Code(3));
    let policy = |restart, kind| Policy { restart, kind, success: good, no_restart: last, limit: 2, ..FLEETING };
    let (longrun, oneshot) = (|restart| policy(restart, Kind::Longrun), policy(Restart::Never, Kind::Oneshot));
    let [code, signal] = [Exit::Code, Exit::Signal as fn(u8) -> Exit];
    use State::{Delayed, Done, Failed};
    for (what, exit, always, on_failure, never, retries) in [
        ("good", signal(15), Delayed, Done, Done, Done),
        ("good and last", code(3), Done, Done, Done, Done),
        ("last", code(7), Failed, Failed, Failed, Failed),
        ("neither", code(1), Delayed, Delayed, Failed, Delayed),
        ("neither, a signal of the number of a code", signal(7), Delayed, Delayed, Failed, Delayed),
        ("exit 0", code(0), Delayed, Done, Done, Done),
    ] {
        let found = [Restart::Always, Restart::OnFailure, Restart::Never].map(|restart| ended(longrun(restart), exit));
        assert_eq!(found, [always, on_failure, never], "{what}");
        assert_eq!(ended(oneshot, exit), retries, "{what}");
    }
    // A oneshot that remains is up.
    assert_eq!(ended(Policy { success: good, ..ONESHOT }, code(3)), State::Up);
}

#[test]
fn what_a_life_leaves_behind_is_gone_before_anything_else_begins() {
    const REST: (u32, Input) = (0, Input::Occupied);
    const GONE: (u32, Input) = (5, Input::Emptied);
    let begun = [(0, UP), (0, Input::Cloned(9)), (1, Input::Executed)];
    let died = [REST, (5000, Input::Ended(Exit::Code(1)))];
    let (told, row) = asked(&COMMANDED, &[&begun[..], &died].concat());
    assert_eq!((told[4].as_str(), row.state, row.pid), ("kill-rest", State::Stopping, 0));
    let (told, row) = asked(&COMMANDED, &[&begun[..], &died, &[GONE]].concat());
    assert_eq!((told[5].as_str(), row.state, row.exit), ("spawn", State::Queued, Exit::Code(1)));
    // A cleanup comes behind it, and may leave something, too.
    let (told, _) = asked(&TIDY, &[&begun[..], &died, &[GONE, CHECKS, REST, WELL, GONE]].concat());
    assert_eq!(told[4..], ["kill-rest", "spawn-cleanup", "", "", "kill-rest", "spawn"]);
    // What cannot be killed is stuck, and what was ordered goes on when it is gone.
    let down = [(0, Input::Ordered(Order(2), Wish::Down)), REST, (10, Input::Ended(Exit::Code(0)))];
    let late = [(KILL_GRACE_MS, Input::Deadline)];
    let (_, row) = asked(&LONGRUN, &[&begun[..], &down, &late].concat());
    assert_eq!((row.state, row.stuck), (State::Stopping, true));
    assert_eq!(asked(&LONGRUN, &[&begun[..], &down, &late, &[GONE]].concat()).1.state, State::Down);
    // What a oneshot has left is what it is for, until it is taken down.
    let up = [(0, UP), (0, Input::Cloned(9)), (1, Input::Executed), (1, Input::Ended(Exit::Code(0))), REST];
    let (told, row) = asked(&ONESHOT, &up);
    assert_eq!((told[4].as_str(), row.state), ("", State::Up));
    let (told, row) = asked(&ONESHOT, &[&up[..], &[(0, Input::Ordered(Order(2), Wish::Down)), CHECKS, WELL]].concat());
    assert_eq!(
        (&told[5..], row.state),
        (&["spawn-stop".to_string(), "".into(), "kill-rest".into()][..], State::Stopping)
    );
}

#[test]
fn what_runs_before_a_life_has_time_of_its_own_and_is_cleaned_up_after() {
    let cleaned = Input::AuxiliaryEnded(Exit::Code(0));
    let done = Input::AuxiliaryEnded(Exit::Code(0));
    // It is there before the life, and the life has its own time.
    let (asked, row) = asked(&PREPARED, &[(0, UP), (59_000, done), (0, Input::Cloned(9)), (59_000, Input::Executed)]);
    assert_eq!(asked, ["spawn-pre-start", "spawn", "", ""]);
    assert_eq!((row.state, row.pid), (State::Up, 9));
    // Its failure, and its time, are deaths; what it has done is taken back each time, also where no life came of it.
    let failed = Input::AuxiliaryEnded(Exit::Code(3));
    let late = [(60_000, Input::Deadline), (0, Input::AuxiliaryEnded(Exit::Signal(9)))];
    let begun = (0, Input::AuxiliaryCloned(7));
    for (inputs, exit, deaths) in [
        (vec![(0, UP), (0, failed), (0, cleaned)], Exit::PreStart(Status::Code(3)), 1),
        (vec![(0, UP), begun, late[0], late[1], (0, cleaned)], Exit::TimedOut, 1),
        (vec![(0, UP), (0, done), (0, Input::Refused(9, Trouble::Passing)), (0, cleaned)], Exit::NotSpawned, 0),
    ] {
        let (states, row) = run(&PREPARED, &inputs);
        assert_eq!(states[states.len() - 2..], [State::Stopping, row.state], "{exit:?}");
        assert_eq!((row.exit, row.deaths), (exit, deaths));
    }
    // One that could not run is no death, as for the main process.
    for (trouble, state) in [(Trouble::Passing, State::Delayed), (Trouble::Lasting, State::Failed)] {
        for input in [Input::AuxiliaryRefused(9, trouble), Input::StepFailed(9, trouble)] {
            let ended = Input::AuxiliaryEnded(Exit::Code(111));
            let inputs =
                if matches!(input, Input::StepFailed(..)) { vec![(0, input), (0, ended)] } else { vec![(0, input)] };
            let (_, row) = run(&PREPARED, &[vec![(0, UP), begun], inputs].concat());
            assert_eq!((row.state, row.exit, row.failure, row.deaths), (state, Exit::NotSpawned, 9, 0), "{input:?}");
        }
    }
    let (asked, row) = self::asked(&PREPARED, &[(0, UP), (0, done), (0, DOWN), (0, cleaned)]);
    assert_eq!((asked[2].as_str(), row.state), ("cancel spawn-cleanup", State::Down));
    // One that is told to stop meanwhile is killed at once.
    let (asked, row) = self::asked(&PREPARED, &[(0, UP), (0, Input::AuxiliaryCloned(7)), (0, DOWN)]);
    assert_eq!((asked[2].as_str(), row.state), ("kill-command", State::Stopping));
    // What does not hold is nobody's life, and leaves nothing to clean up.
    let unmet = [(0, Input::StepFailed(0x110001, Trouble::Unmet)), (0, Input::AuxiliaryEnded(Exit::Code(111)))];
    let (states, row) = run(&PREPARED, &[[(0, UP), (0, Input::AuxiliaryCloned(7))], unmet].concat());
    assert_eq!((states[3], row.deaths, row.exit), (State::Skipped, 0, Exit::None));
}

#[test]
fn what_goes_into_the_background_too_late_is_asked_to_end_and_killed_then() {
    let inputs = [(0, UP), (0, Input::Cloned(9)), (0, Input::Executed), (60_000, Input::Deadline)];
    let (asked, row) = asked(&FORKED, &inputs);
    assert_eq!((asked[3].as_str(), row.state), ("stop-signals signal", State::Stopping));
    let ends = [(1, Input::Ended(Exit::Signal(15)))];
    let (_, row) = run(&FORKED, &[&inputs[..], &ends[..]].concat());
    assert_eq!((row.state, row.exit), (State::Queued, Exit::TimedOut)); // its delay is past
    let (asked, _) = self::asked(&FORKED, &[&inputs[..], &[(10_000, Input::Deadline)][..]].concat());
    assert_eq!(asked[4], "kill");
}
