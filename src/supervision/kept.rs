//! What a slot's row keeps for the supervisor itself, and how another one goes on from it.

use super::{Cause, Input, Record, Requests, Role, Slot, Trouble, step};
use crate::board::orders::Wish;
use crate::board::reports::{Exit, KEPT, ROW, State, TIMES};
use crate::time::Instant;

/// By their numbers; 0 is none.
const ROLES: [Option<Role>; 8] = [
    None,
    Some(Role::Stop),
    Some(Role::Reload),
    Some(Role::Cleanup),
    Some(Role::Check),
    Some(Role::Health),
    Some(Role::PreStart),
    None,
];
const CAUSES: [Cause; 8] = [
    Cause::Ordered,
    Cause::TimedOut,
    Cause::Died,
    Cause::Watchdog,
    Cause::Unhealthy,
    Cause::Ordered,
    Cause::Ordered,
    Cause::Ordered,
];
const TROUBLES: [Option<Trouble>; 4] = [None, Some(Trouble::Lasting), Some(Trouble::Passing), Some(Trouble::Unmet)];

impl Record {
    /// Puts it into a row.
    pub fn put(&self, row: &mut [u32; ROW]) {
        let flags = u32::from(self.in_a_row)
            | u32::from(self.wish == Wish::Up) << 16
            | (self.cause as u32) << 17
            | self.role.map_or(0, |role| role as u32) << 20
            | self.trouble.map_or(0, |trouble| trouble as u32) << 23
            | u32::from(self.killed) << 25
            | u32::from(self.dirty) << 26
            | u32::from(self.reload_again) << 27
            | u32::from(self.rest) << 28
            | u32::from(self.keeps) << 29;
        let words = [self.window.0 as u32, (self.window.0 >> 32) as u32, flags];
        row[KEPT..KEPT + words.len()].copy_from_slice(&words);
        let (watchdog, check) = (self.watchdog.0, self.check.0);
        let times =
            [watchdog as u32, (watchdog >> 32) as u32, check as u32, (check >> 32) as u32, self.watchdog_ms, self.sick];
        row[TIMES..TIMES + times.len()].copy_from_slice(&times);
    }

    /// As it stands in a row.
    pub fn of_words(row: &[u32; ROW]) -> Record {
        let flags = row[KEPT + 2];
        let (is, of) = (|bit: u32| flags >> bit & 1 == 1, |bit: u32, mask: u32| (flags >> bit & mask) as usize);
        let time = |at: usize| Instant(u64::from(row[at]) | u64::from(row[at + 1]) << 32);
        Record {
            window: time(KEPT),
            in_a_row: flags as u16,
            wish: if is(16) { Wish::Up } else { Wish::Down },
            cause: CAUSES[of(17, 7)],
            role: ROLES[of(20, 7)],
            trouble: TROUBLES[of(23, 3)],
            killed: is(25),
            dirty: is(26),
            reload_again: is(27),
            rest: is(28),
            keeps: is(29),
            watchdog_ms: row[TIMES + 4],
            watchdog: time(TIMES),
            check: time(TIMES + 2),
            sick: row[TIMES + 5],
        }
    }
}

impl Requests {
    /// In one word; 0 is none.
    pub fn to_word(&self) -> u32 {
        u32::from(self.signal)
            | u32::from(self.cancel) << 8
            | u32::from(self.stop_signals) << 9
            | u32::from(self.reload_signals) << 10
            | u32::from(self.kill) << 11
            | u32::from(self.kill_auxiliary) << 12
            | u32::from(self.spawn) << 13
            | self.spawn_auxiliary.map_or(0, |role| role as u32) << 14
            | u32::from(self.kill_rest) << 17
    }

    /// See `to_word`.
    pub fn of(word: u32) -> Requests {
        let is = |bit: u32| word >> bit & 1 == 1;
        Requests {
            signal: word as u8,
            cancel: is(8),
            stop_signals: is(9),
            reload_signals: is(10),
            kill: is(11),
            kill_auxiliary: is(12),
            spawn: is(13),
            spawn_auxiliary: ROLES[(word >> 14 & 7) as usize],
            kill_rest: is(17),
        }
    }
}

/// What became of a process that a row names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// It is there, or its death waits to be taken.
    There,
    /// It is nobody's child any more.
    Gone,
    /// It is there, and its status pipe has not been read to its end yet.
    Unread,
    /// It is there, or dead, and has executed nothing; nor will it.
    Unexecuted,
}

/// Goes on with a slot whose supervisor has crashed. `row` is as it stands on the board, with the pids that clone
/// wrote; `main` and `command` are what became of these. `lost` is the failure of a start whose news are lost. What was owed
/// (`Reports::take_over`) is done by itself.
pub fn recover(slot: &mut Slot<'_>, main: Found, command: Found, lost: u32) {
    if slot.row.state == State::Queued && slot.row.pid != 0 {
        step(slot, Input::Cloned(slot.row.pid));
    }
    match main {
        Found::There | Found::Gone => step(slot, Input::Executed),
        Found::Unread => {}
        Found::Unexecuted => {
            // It is tried again as the same attempt, with a look at whether it may start at all.
            slot.row.attempt = slot.row.attempt.saturating_sub(1);
            step(slot, Input::StepFailed(lost, Trouble::Passing));
        }
    }
    if slot.row.pid != 0 && main == Found::Gone {
        step(slot, Input::Ended(Exit::Unknown));
    }
    if slot.row.auxiliary != 0 && command == Found::Gone {
        step(slot, Input::AuxiliaryEnded(Exit::Unknown));
    }
    // The queue went, too.
    slot.requests.spawn = slot.row.state == State::Queued;
    slot.requests.spawn_auxiliary = slot.record.role.filter(|_| slot.row.auxiliary == 0);
    // Nobody waits any more for the end of what is left.
    let alone = slot.row.pid == 0 && slot.record.role.is_none();
    slot.requests.kill_rest = slot.row.state == State::Stopping && slot.record.rest && alone;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_kept_comes_back() {
        for number in 0..1u32 << 14 {
            let record = Record {
                window: Instant(u64::from(number) << 31 | 7),
                in_a_row: (number as u16).wrapping_mul(37),
                wish: if number & 1 == 0 { Wish::Down } else { Wish::Up },
                cause: CAUSES[number as usize >> 1 & 7],
                role: ROLES[number as usize >> 4 & 7],
                trouble: TROUBLES[number as usize >> 7 & 3],
                killed: number >> 9 & 1 == 1,
                dirty: number >> 10 & 1 == 1,
                reload_again: number >> 11 & 1 == 1,
                rest: number >> 12 & 1 == 1,
                keeps: number >> 13 & 1 == 1,
                watchdog_ms: number << 22 | 3,
                watchdog: Instant(u64::from(number) << 30 | 5),
                check: Instant(u64::from(number) << 29 | 6),
                sick: number << 20 | 9,
            };
            let mut row = [0; ROW];
            record.put(&mut row);
            assert_eq!(Record::of_words(&row), record);
        }
        for word in 0..7 << 14 {
            assert_eq!(Requests::of(word).to_word(), word);
            assert_eq!(Requests::of(word | 1 << 17).to_word(), word | 1 << 17);
        }
        assert_eq!(Record::of_words(&[0; ROW]), Record::default());
    }
}
