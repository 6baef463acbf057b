//! Goals, phases and holds, with their names for people.

use crate::text::{nth, parts};

/// What is wished for a service now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Goal {
    /// Nothing holds it up, or a mark holds it down.
    #[default]
    Down = 0,
    /// At least one hold and no mark.
    Up = 1,
}

/// What a service is now, as people are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Phase {
    /// No process, and none wished.
    #[default]
    Down = 0,
    /// Wished up, not allowed yet.
    Waiting = 1,
    /// Ordered up, its first life not ready yet.
    Starting = 2,
    /// Ready; a oneshot that succeeded and remains.
    Up = 3,
    /// Between two lives, by policy or by command.
    Restarting = 4,
    /// Ordered down, not gone yet.
    Stopping = 5,
    /// Gave up; the report says why.
    Failed = 6,
    /// A precondition was not met.
    Skipped = 7,
    /// Ended for good, well.
    Done = 8,
}

/// In the order of their numbers.
const PHASES: &str = "down waiting starting up restarting stopping failed skipped done";

impl Phase {
    /// All phases, in the order of their numbers.
    pub const ALL: [Phase; 9] = [
        Phase::Down,
        Phase::Waiting,
        Phase::Starting,
        Phase::Up,
        Phase::Restarting,
        Phase::Stopping,
        Phase::Failed,
        Phase::Skipped,
        Phase::Done,
    ];

    /// The word people read.
    pub fn name(self) -> &'static str {
        nth(PHASES, b' ', self as usize)
    }

    /// The phase of this name.
    #[inline(never)]
    pub fn named(name: &str) -> Option<Phase> {
        let number = parts(PHASES, b' ').position(|known| known == name)?;
        Phase::ALL.get(number).copied()
    }

    /// The phase with this number; `Down` where there is none (a reader of a shared page must not fail).
    pub const fn from_number(number: u32) -> Phase {
        if number < Phase::ALL.len() as u32 { Phase::ALL[number as usize] } else { Phase::Down }
    }
}

/// A change of a phase, as people read it: `starting -> up`.
pub fn write_change(out: &mut dyn core::fmt::Write, from: Phase, to: Phase) -> core::fmt::Result {
    [from.name(), " -> ", to.name()].iter().try_for_each(|part| out.write_str(part))
}

/// A named reason for a service to be up. One bit each in `Holds`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Hold {
    /// The bundle that the machine was booted into.
    Boot = 1 << 0,
    /// A start command.
    Admin = 1 << 1,
    /// An event fired its `start-on`.
    Trigger = 1 << 2,
    /// An instance made by `for-each`.
    Condition = 1 << 3,
    /// Needed or wanted by a service that wants to be up.
    Need = 1 << 4,
    /// A socket or a path has work.
    Demand = 1 << 5,
    /// A timer.
    Schedule = 1 << 6,
}

/// A set of holds, and in the upper half the marks that keep a service down in spite of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Holds(pub u32);

impl Holds {
    /// An administrator's `stop`: down over all holds.
    pub const MARK_ADMIN: u32 = 1 << 16;
    /// A conflicting service has its goal up.
    pub const MARK_CONFLICT: u32 = 1 << 17;
    /// The machine is shutting down.
    pub const MARK_SHUTDOWN: u32 = 1 << 18;
    /// `Hold::Condition` is set aside by a switch: it does not count.
    pub const MARK_ASIDE: u32 = 1 << 19;

    /// The holds that count, without marks.
    pub const fn counted(self) -> u32 {
        let aside = if self.0 & Holds::MARK_ASIDE != 0 { Hold::Condition as u32 } else { 0 };
        self.0 & 0xffff & !aside
    }

    /// Names of the holds in this set that count, lowest bit first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        // By their bits.
        const NAMES: &str = "boot admin trigger condition need demand schedule";
        (0..7).filter(move |bit| self.counted() >> bit & 1 == 1).map(|bit| nth(NAMES, b' ', bit))
    }

    /// Whether a mark keeps the service down.
    pub const fn marked(self) -> bool {
        self.0 >> 16 != 0
    }

    /// Whether there is any hold that counts.
    pub const fn held(self) -> bool {
        self.counted() != 0
    }
}
