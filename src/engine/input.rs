//! What the engine is told, and what it answers. A closed set: whoever adds an input adds its row to the grid.

use super::journal::number_of_refusal;
use crate::board::reports::ReportRow;
use crate::database::Image;
use crate::graph::Phase;
use crate::ident::SlotId;
use crate::limits::{ATTRIBUTES_MAX, CONDITIONS_MAX, FACT_BYTES_MAX, INSTANCES_MAX};
use crate::text::nth;

/// One input of `Engine::step`.
#[derive(Clone, Copy, Debug)]
pub enum Input<'i> {
    /// The supervisor's row of this slot as it is now. Repeating one changes nothing.
    Report(SlotId, &'i ReportRow),
    /// The machine is booted into this service (usually a bundle). Repeating it changes nothing.
    Boot(SlotId),
    /// A command of a person.
    Command {
        /// What to do.
        verb: Verb,
        /// To what, as `Engine::target` found it. All or none: if one is refused, nothing changes.
        targets: &'i [Target<'i>],
        /// User id of who asks, or `NOBODY`.
        uid: u32,
    },
    /// A condition comes on.
    On {
        /// Words divided by NUL: the name, then `KEY=VALUE` each.
        fact: &'i [u8],
        /// Who says so.
        sender: Sender,
        /// 0, or the number of the connection for whose life it is on.
        lease: u32,
    },
    /// A condition goes off, whoever set it.
    Off {
        /// As for `On`.
        fact: &'i [u8],
    },
    /// The owner of a condition that is on is reloading or restarting.
    Changing {
        /// As for `On`.
        fact: &'i [u8],
        /// After so many milliseconds it is off, unless it has come on again.
        for_ms: u32,
    },
    /// Something happened.
    Event {
        /// As for `On`.
        fact: &'i [u8],
    },
    /// The connection of this lease has ended: what it held goes off. 0 is none.
    LeaseGone(u32),
    /// Everything is to go down in order, by this user id, or `NOBODY`.
    Shutdown(u32),
    /// Nothing but the time: whatever `next_deadline` was for.
    Tick,
}

/// No user id: of whom nothing is known. The kernel has none that is this.
pub const NOBODY: u32 = u32::MAX;

/// What a person can ask of services.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Lays the admin hold; lifts marks and resets failures on them and on their hard dependencies.
    Start,
    /// Drops the admin hold and lays the mark.
    Stop,
    /// Restart in place; what binds to them follows. Of what is not active it is a start.
    Restart,
    /// As the service's `reload` says.
    Reload,
    /// Sends this signal to the main process.
    Signal(u8),
    /// Forgets `failed`, `skipped`, `done`.
    Reset,
    /// Drops the admin hold and lifts the mark.
    Release,
    /// Restart in place, with all that needs them.
    RestartWithDependents,
    /// This one (the last of them) and nothing else. Of the bundle `shutdown` it is the shutdown.
    Switch,
}

/// A service that a command names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<'i> {
    /// A service, or a run-time instance that exists.
    Slot(SlotId),
    /// An instance that does not exist yet, of a template that does. Only `start`, `restart` and `switch` make it.
    New {
        /// The template.
        template: SlotId,
        /// The part behind `@`.
        name: &'i [u8],
    },
}

/// Who sent a condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sender {
    /// Process id.
    pub pid: u32,
    /// User id.
    pub uid: u32,
}

/// Why an input was refused. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No such slot, or a free instance slot.
    NoSuchService,
    /// A template has no processes; an instance of it has.
    Template(SlotId),
    /// Only `start`, `restart` and `switch` make an instance.
    NoSuchInstance(SlotId),
    /// The instance's name is empty, too long or has bytes that no name may have.
    BadInstanceName,
    /// Reload or signal of what has no process.
    NotUp(SlotId),
    /// The signal before is not known to be sent yet: there is room for one.
    Signalling(SlotId),
    /// The file has no `reload`.
    NoReload(SlotId),
    /// A signal or a reload of a bundle.
    Bundle(SlotId),
    /// Nothing is started any more.
    ShuttingDown,
    /// The name of a condition or event: letters, digits, `-`, `_`, `.`; not empty.
    BadFactName,
    /// An attribute that is not `KEY=VALUE`, or has control characters, or comes twice.
    BadAttribute,
    /// More than `ATTRIBUTES_MAX` attributes.
    TooManyAttributes,
    /// More than `FACT_BYTES_MAX` bytes.
    FactTooLong,
    /// `CONDITIONS_MAX` are on.
    ConditionsFull,
    /// What is to be changing is not on.
    NotOn,
    /// `INSTANCES_MAX` instances exist.
    InstancesFull,
    /// As many transactions, or services in them, are under way as can be followed.
    TransactionsFull,
}

impl Refusal {
    /// In words, for the answer to whoever asked; without the number at the end.
    #[inline(never)]
    pub fn text(self) -> &'static str {
        // By the numbers that the journal has.
        const TEXTS: &str = "no such service\n\
            a template; name an instance of it, as in NAME@INSTANCE\n\
            no such instance; only start and restart make one\n\
            an instance name has 1 to 63 letters, digits, or any of :_.-\n\
            not up\n\
            the signal before is still on its way; try again\n\
            its file has no reload\n\
            a bundle has no process\n\
            the machine is shutting down\n\
            a condition or event is named by letters, digits, or any of -_.\n\
            an attribute is KEY=VALUE, each key once, without control characters\n\
            more than 16 attributes\n\
            name and attributes take more than 240 bytes\n\
            as many conditions are on as there is room for: \n\
            this condition is not on\n\
            as many instances exist as there is room for: \n\
            as many commands are under way as there is room for; try again";
        nth(TEXTS, b'\n', number_of_refusal(self) as usize)
    }

    /// The service that it is about.
    pub const fn slot(self) -> Option<SlotId> {
        match self {
            Refusal::Template(slot)
            | Refusal::NoSuchInstance(slot)
            | Refusal::NotUp(slot)
            | Refusal::Signalling(slot)
            | Refusal::NoReload(slot)
            | Refusal::Bundle(slot) => Some(slot),
            _ => None,
        }
    }
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        to.write_str(self.text())?;
        match self {
            Refusal::ConditionsFull => CONDITIONS_MAX.fmt(to),
            Refusal::InstancesFull => INSTANCES_MAX.fmt(to),
            _ => Ok(()),
        }
    }
}

const _: () = assert!(ATTRIBUTES_MAX == 16 && FACT_BYTES_MAX == 240, "the texts say so");

/// What became of one service of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Outcome {
    /// Still under way.
    #[default]
    Pending = 0,
    /// Up.
    Up = 1,
    /// Down.
    Down = 2,
    /// Ended for good, well.
    Done = 3,
    /// A precondition was not met.
    Skipped = 4,
    /// Gave up.
    Failed = 5,
    /// Wished up and settled elsewhere; its blocker says why.
    Waiting = 6,
    /// A later command contradicted it.
    Superseded = 7,
}

impl Outcome {
    /// The word of the protocol.
    pub fn name(self) -> &'static str {
        nth("pending up down done skipped failed waiting superseded", b' ', self as usize)
    }

    pub(super) const fn from_number(number: u32) -> Outcome {
        match number {
            1 => Outcome::Up,
            2 => Outcome::Down,
            3 => Outcome::Done,
            4 => Outcome::Skipped,
            5 => Outcome::Failed,
            6 => Outcome::Waiting,
            7 => Outcome::Superseded,
            _ => Outcome::Pending,
        }
    }

    pub(super) const fn of_phase(phase: Phase) -> Outcome {
        match phase {
            Phase::Down => Outcome::Down,
            Phase::Up => Outcome::Up,
            Phase::Failed => Outcome::Failed,
            Phase::Skipped => Outcome::Skipped,
            Phase::Done => Outcome::Done,
            Phase::Waiting | Phase::Starting | Phase::Restarting | Phase::Stopping => Outcome::Waiting,
        }
    }
}

/// How a transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Standing {
    /// Some of its services are under way.
    Running = 0,
    /// All reached.
    Done = 1,
    /// Not all reached.
    Failed = 2,
    /// A later command contradicted it.
    Superseded = 3,
    /// There was no room to follow all of it; nothing of what was followed has failed.
    Full = 4,
    /// Too old, or never there.
    Unknown = 5,
}

impl Standing {
    /// The word of the protocol; `Running` has none there.
    pub fn name(self) -> &'static str {
        nth("running done failed superseded full unknown", b' ', self as usize)
    }
}

/// How many of each the engine has room for, beside the slots. Memory is sized by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacities {
    /// Conditions that are on, each holder's counted.
    pub conditions: u32,
    /// Transactions remembered, those that ended last included.
    pub transactions: u32,
    /// Services in them, all together.
    pub entries: u32,
}

impl Capacities {
    /// What a machine gets: `limits`. Of the entries an eighth is kept for services that commands name; the rest lets
    /// seven transactions move every slot at once. Memory is touched only as far as it is used.
    pub fn of(image: &Image<'_>) -> Capacities {
        let slots = image.services() + INSTANCES_MAX;
        let entries = crate::limits::TRANSACTION_ENTRIES_MAX.max(8 * (slots + 1));
        Capacities { conditions: CONDITIONS_MAX, transactions: crate::limits::TRANSACTIONS_MAX, entries }
    }

    /// Words of the journal: a block for two transactions, a power of two of them.
    pub(super) const fn journal_words(self) -> u32 {
        match self.transactions / 2 {
            0 => 0,
            blocks => blocks.next_power_of_two() * crate::limits::JOURNAL_BLOCK_WORDS,
        }
    }
}

const _: () = {
    use crate::limits::{SLOTS_MAX, TRANSACTIONS_MAX};
    let counts = [SLOTS_MAX, CONDITIONS_MAX, TRANSACTIONS_MAX];
    let mut at = 0;
    while at < counts.len() {
        assert!(counts[at] <= super::bits::MEMBERS_MAX, "more than a set of the engine can have");
        at += 1;
    }
};

/// What of a slot is to be written to the board.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dirty {
    /// The slot.
    pub slot: SlotId,
    /// Its order: write the text row first (`Engine::text`), then the order.
    pub order: bool,
    /// Its published row changed (instance name rows too, for an instance slot).
    pub published: bool,
    /// Its phase changed: tell who follows or waits.
    pub phase: bool,
    /// Its reasons changed (`Engine::reasons`).
    pub reasons: bool,
}
