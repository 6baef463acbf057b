//! A service's policy as the database says it, and the arithmetic of delays.

use crate::board::reports::{Exit, Status};
use crate::database::{Image, NONE, action, exec, policy, service};
use crate::ident::SlotId;
use crate::lang::definition::{KillMode, Kind, Restart};

/// A life that was up for this long (or for `restart-delay-max`, if that is longer) ends a row of deaths. Milliseconds.
pub const STABLE_MS: u32 = 10_000;
/// The least delay, in milliseconds, before what the kernel refused for now is tried again.
pub const RETRY_MS: u32 = 100;

/// The longest, unless the least delay between two starts is longer.
pub const RETRY_MS_MAX: u32 = 5000;

/// How long what was killed may take to be gone before it is reported as stuck. Milliseconds.
pub const KILL_GRACE_MS: u32 = 10_000;

/// A watchdog that is looked at so much too late says nothing about its service. Milliseconds.
pub const LATE_MS: u64 = 1000;

/// How a service says that it is ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ready {
    /// It has been executed.
    Executed,
    /// A newline on this descriptor of its.
    Descriptor(u32),
    /// A datagram with `READY=1`.
    Notify,
    /// Its check exits with 0.
    Check,
    /// Its first process has ended, and another one is the main one.
    Forked,
}

/// How it is stopped or told to reload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Means {
    /// There is nothing to do.
    Nothing,
    /// Signals to the main process, in turn.
    Signals,
    /// A command.
    Command,
}

/// Some ends: a bit for each exit code, and for each signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ends([u32; 11]);

impl Ends {
    /// None at all.
    pub const NONE: Ends = Ends([0; 11]);

    /// Those of a list of the database.
    fn of(image: &Image<'_>, list: u32) -> Ends {
        let (mut ends, list) = (Ends::default(), image.list(list));
        for at in 0..list.len() {
            ends.add(Exit::from_word(list.get(at)));
        }
        ends
    }

    /// With this one.
    pub fn with(mut self, exit: Exit) -> Ends {
        self.add(exit);
        self
    }

    fn add(&mut self, exit: Exit) {
        if let Some(bit) = bit(exit)
            && let Some(word) = self.0.get_mut(bit / 32)
        {
            *word |= 1 << (bit % 32);
        }
    }

    /// Whether it is one of them.
    pub fn have(&self, exit: Exit) -> bool {
        bit(exit).and_then(|bit| Some(self.0.get(bit / 32)? >> (bit % 32) & 1 == 1)).unwrap_or(false)
    }
}

fn bit(exit: Exit) -> Option<usize> {
    exit.status().map(|status| match status {
        Status::Code(code) => code.into(),
        Status::Signal(signal) => 256 + usize::from(signal),
    })
}

/// What the database says about one service's lives. Times in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Longrun or oneshot (a bundle has no processes).
    pub kind: Kind,
    /// Of a oneshot: it is up after it ended well.
    pub remain: bool,
    /// Of a longrun.
    pub ready: Ready,
    /// Ends that are as good as exit 0.
    pub success: Ends,
    /// Ends after which it does not live again.
    pub no_restart: Ends,
    /// When it lives again.
    pub restart: Restart,
    /// Least time between two starts; of a oneshot, between a failed attempt and the next.
    pub delay_ms: u32,
    /// Where doubling ends.
    pub delay_ms_max: u32,
    /// Deaths in the window after which it has failed; 0 is no limit. Of a oneshot: attempts under one order.
    pub limit: u32,
    /// The window.
    pub window_ms: u32,
    /// Clone to readiness or end.
    pub start_timeout_ms: u32,
    /// Stop to SIGKILL.
    pub stop_timeout_ms: u32,
    /// How long the watchdog waits; 0 is no watchdog.
    pub watchdog_ms: u32,
    /// Between two checks, and the longest that one may take.
    pub check_interval_ms: u32,
    /// Health checks in a row that fail until it is ended; 0 is no health check.
    pub health_failures: u32,
    /// Between two of them.
    pub health_interval_ms: u32,
    /// The longest that one may take.
    pub health_timeout_ms: u32,
    /// What is killed with its main process.
    pub kill_mode: KillMode,
    /// How it is stopped.
    pub stop: Means,
    /// How it is told to reload.
    pub reload: Means,
    /// There is a command that cleans up behind each life.
    pub cleanup: bool,
    /// There is one that runs before each.
    pub pre_start: bool,
    /// When what it has at run time only is removed.
    pub clears: Clears,
}

/// When `runtime-directory` is removed, which is a part of the cleanup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clears {
    /// There is nothing.
    Nothing,
    /// Behind each life.
    EachLife,
    /// Behind the last one.
    LastLife,
}

impl Policy {
    /// Whether a service has one.
    pub fn is_there(image: &Image<'_>, slot: SlotId) -> bool {
        slot.0 < image.services() && image.service(slot, service::POLICY) != NONE
    }

    /// The policy of a service with a process; `None` for a bundle or what is out of range.
    pub fn of(image: &Image<'_>, slot: SlotId) -> Option<Policy> {
        if !Policy::is_there(image, slot) {
            return None;
        }
        let flags = image.flags(slot);
        let (stop, reload) =
            (means(image, image.service(slot, service::STOP)), means(image, image.service(slot, service::RELOAD)));
        let cleanup = image.service(slot, service::CLEANUP) != NONE;
        let record = image.policy_record(image.service(slot, service::POLICY));
        let word = |field: usize| record[field];
        let or = |field: usize, else_ms: u32| if record[field] == 0 { else_ms } else { record[field] };
        let health = image.service(slot, service::HEALTH) != NONE;
        Some(Policy {
            kind: if flags & 0xff == Kind::Oneshot as u32 { Kind::Oneshot } else { Kind::Longrun },
            remain: flags & service::flags::NO_REMAIN == 0,
            ready: match word(policy::READY) {
                1 => Ready::Descriptor(word(policy::READY_DESCRIPTOR)),
                policy::NOTIFY => Ready::Notify,
                policy::CHECK => Ready::Check,
                policy::FORK => Ready::Forked,
                _ => Ready::Executed,
            },
            restart: match word(policy::RESTART) {
                0 => Restart::Always,
                1 => Restart::OnFailure,
                _ => Restart::Never,
            },
            success: Ends::of(image, word(policy::SUCCESS_EXIT)),
            no_restart: Ends::of(image, word(policy::NO_RESTART_EXIT)),
            delay_ms: word(policy::DELAY_MS),
            delay_ms_max: word(policy::DELAY_MS_MAX),
            limit: word(policy::LIMIT),
            window_ms: word(policy::WINDOW_MS),
            start_timeout_ms: word(policy::START_TIMEOUT_MS),
            stop_timeout_ms: word(policy::STOP_TIMEOUT_MS),
            watchdog_ms: word(policy::WATCHDOG_MS),
            check_interval_ms: or(policy::CHECK_INTERVAL_MS, 1000),
            health_failures: if health { or(policy::HEALTH_FAILURES, 4) - 1 } else { 0 },
            health_interval_ms: or(policy::HEALTH_INTERVAL_MS, 30_000),
            health_timeout_ms: or(policy::HEALTH_TIMEOUT_MS, 10_000),
            kill_mode: match word(policy::KILL_MODE) {
                0 => KillMode::All,
                1 => KillMode::Group,
                _ => KillMode::Process,
            },
            stop,
            reload,
            cleanup,
            pre_start: image.service(slot, service::PRE_START) != NONE,
            clears: match image.exec(image.service(slot, service::EXEC), exec::CLEARS) {
                0 => Clears::Nothing,
                1 => Clears::EachLife,
                _ => Clears::LastLife,
            },
        })
    }

    /// The delay before the next life, when `in_a_row` deaths came before this one without a stable life between. The
    /// first is exact; later ones are stretched by up to an eighth, by `salt`, so that what died together does not for
    /// ever return together.
    pub fn delay_ms(&self, in_a_row: u16, salt: u32) -> u32 {
        let doubled = u64::from(self.delay_ms) << in_a_row.min(31);
        let most = self.delay_ms_max.max(self.delay_ms);
        let delay = doubled.min(u64::from(most)) as u32;
        if in_a_row == 0 {
            return delay;
        }
        // A multiplication spreads neighbouring salts over all of the range (Fibonacci hashing).
        let share = salt.wrapping_mul(0x9e37_79b1) >> 16;
        delay.saturating_add(((u64::from(delay / 8) * u64::from(share)) >> 16) as u32)
    }

    /// Whether there is something to do behind each life.
    pub fn cleans_each(&self) -> bool {
        self.cleanup || self.clears == Clears::EachLife
    }

    /// Whether an end is a good one.
    pub fn succeeds(&self, exit: Exit) -> bool {
        exit == Exit::Code(0) || self.success.have(exit)
    }

    /// How long a life must have been up to end a row of deaths.
    pub fn stable_ms(&self) -> u32 {
        self.delay_ms_max.max(STABLE_MS)
    }
}

fn means(image: &Image<'_>, list: u32) -> Means {
    let list = image.list(list);
    if list.len() < 2 {
        Means::Nothing
    } else if list.get(0) == action::COMMAND {
        Means::Command
    } else {
        Means::Signals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        kind: Kind::Longrun,
        remain: true,
        ready: Ready::Executed,
        success: Ends::NONE,
        no_restart: Ends::NONE,
        restart: Restart::Always,
        kill_mode: KillMode::All,
        delay_ms: 100,
        delay_ms_max: 1000,
        limit: 0,
        window_ms: 0,
        start_timeout_ms: 0,
        stop_timeout_ms: 0,
        watchdog_ms: 0,
        check_interval_ms: 0,
        health_failures: 0,
        health_interval_ms: 0,
        health_timeout_ms: 0,
        stop: Means::Nothing,
        reload: Means::Nothing,
        cleanup: false,
        pre_start: false,
        clears: Clears::Nothing,
    };

    #[test]
    fn delays_double_to_their_maximum_with_up_to_an_eighth_more() {
        for (in_a_row, least) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1000), (9, 1000), (u16::MAX, 1000)] {
            for salt in 0..100 {
                let delay = POLICY.delay_ms(in_a_row, salt);
                let most = if in_a_row == 0 { least } else { least + least / 8 };
                assert!((least..=most).contains(&delay), "{in_a_row} deaths, salt {salt}: {delay}");
            }
        }
    }

    #[test]
    fn ends_are_told_apart() {
        let ends =
            Ends::default().with(Exit::Code(0)).with(Exit::Code(255)).with(Exit::Signal(1)).with(Exit::Signal(64));
        for number in 0..=255 {
            assert_eq!(ends.have(Exit::Code(number)), matches!(number, 0 | 255), "{number}");
            assert_eq!(ends.have(Exit::Signal(number)), matches!(number, 1 | 64), "{number}");
        }
        assert!(!ends.with(Exit::TimedOut).have(Exit::TimedOut));
    }

    #[test]
    fn a_maximum_below_the_delay_does_not_shorten_it() {
        assert_eq!(Policy { delay_ms_max: 0, ..POLICY }.delay_ms(0, 7), 100);
    }

    #[test]
    fn no_delay_stays_none() {
        let none = Policy { delay_ms: 0, delay_ms_max: 0, ..POLICY };
        assert_eq!((none.delay_ms(0, 7), none.delay_ms(5, 7)), (0, 0));
    }
}
