//! What a record of the journal is, and how it stands in words.

use super::super::{Refusal, Standing, Verb};
use super::BLOCK;
use crate::board::reports::{Exit, ReportRow, State};
use crate::graph::Phase;
use crate::ident::{Life, Order, SlotId};
use crate::limits::{FACT_BYTES_MAX, INSTANCE_BYTES_MAX};
use crate::time::Instant;

/// What a record is. Those up to `Shutdown` are lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// The rest of a block that nothing fitted in.
    Rest = 0,
    /// A slot's phase changed: `Record::phases`.
    Phase,
    /// Holds and marks (`Holds`) of a slot: words 0 laid, 1 dropped.
    Holds,
    /// A trigger of a slot fired: word 0 is the leaf, in `extra` 1 for `stop-on`. By the fact that the step was told or
    /// that was derived last, else by the leaf itself.
    Fired,
    /// A condition came on: the fact that the step was told, or the text.
    CameOn,
    /// It went off.
    WentOff,
    /// It is changing.
    Changes,
    /// An event happened.
    Happened,
    /// A transaction began: its number, its parent's.
    Begun,
    /// A transaction ended: its number; `extra` is the `Standing`.
    Ended,
    /// The input was refused: `extra` is the `Refusal`'s number.
    Refused,
    /// Input: a command, `Record::verb`, word 0 the user id; its targets follow as records.
    Command,
    /// Input: booted into the slot.
    Boot,
    /// Input: the machine goes down; word 0 is the user id.
    Shutdown,
    /// Input: a report, `Record::report`.
    Report,
    /// Input: a fact; words 0 to 2 pid, uid, lease.
    On,
    /// Input: a fact; word 0 is for how long, in milliseconds.
    Changing,
    /// Input: a fact.
    Off,
    /// Input: a fact.
    Event,
    /// Input: a lease, word 0.
    LeaseGone,
    /// Input: only the time.
    Tick,
    /// No input: what the time alone has moved, or the same step in a new block.
    Going,
    /// A target of the command before.
    Target,
    /// One that does not exist yet: its template, the name.
    NewTarget,
    /// What follows belongs to transaction word 0.
    Within,
    /// Records of this instance slot follow: the template is word 0, its name the text.
    Named,
    /// A derived event of the slot was taken; `extra` is its number.
    Derived,
}

/// What a record of a kind has: words behind the first (a time is two of them), and whether a text follows.
pub(super) const KINDS: [(Kind, u8, bool); 27] = [
    (Kind::Rest, 0, false),
    (Kind::Phase, 0, false),
    (Kind::Holds, 2, false),
    (Kind::Fired, 1, false),
    (Kind::CameOn, 0, true),
    (Kind::WentOff, 0, true),
    (Kind::Changes, 0, true),
    (Kind::Happened, 0, true),
    (Kind::Begun, 2, false),
    (Kind::Ended, 1, false),
    (Kind::Refused, 0, false),
    (Kind::Command, 3, false),
    (Kind::Boot, 2, false),
    (Kind::Shutdown, 3, false),
    (Kind::Report, 8, false),
    (Kind::On, 5, true),
    (Kind::Changing, 3, true),
    (Kind::Off, 2, true),
    (Kind::Event, 2, true),
    (Kind::LeaseGone, 3, false),
    (Kind::Tick, 2, false),
    (Kind::Going, 2, false),
    (Kind::Target, 0, false),
    (Kind::NewTarget, 0, true),
    (Kind::Within, 1, false),
    (Kind::Named, 1, true),
    (Kind::Derived, 0, false),
];
pub(super) const WORDS_MAX: usize = 8;
const _: () = {
    let mut at = 0;
    while at < KINDS.len() {
        assert!(KINDS[at].0 as usize == at && KINDS[at].1 as usize <= WORDS_MAX, "a row for each, in order");
        at += 1;
    }
    // The number of the first line; time, transaction and name again; the longest record.
    assert!(
        BLOCK as usize > 1 + 3 + 2 + 2 + INSTANCE_BYTES_MAX.div_ceil(4) + 1 + WORDS_MAX + FACT_BYTES_MAX.div_ceil(4)
    );
    assert!(BLOCK.is_power_of_two(), "positions wrap");
};

impl Kind {
    pub(super) fn is_line(self) -> bool {
        self as u32 <= Kind::Shutdown as u32
    }

    /// Whether it begins a step's records: its first two words are the time.
    pub(super) fn has_time(self) -> bool {
        matches!(self as u32, first if first >= Kind::Command as u32 && first <= Kind::Going as u32)
    }

    pub(in crate::engine) fn has_fact(self) -> bool {
        matches!(
            self,
            Kind::On
                | Kind::Changing
                | Kind::Off
                | Kind::Event
                | Kind::CameOn
                | Kind::WentOff
                | Kind::Changes
                | Kind::Happened
        )
    }
}

/// The first word: kind, extra, slot; where a text follows, its length is the extra.
pub(super) const KIND_SHIFT: u32 = 27;
pub(super) const EXTRA_SHIFT: u32 = 15;
pub(super) const EXTRA: u32 = 0xfff;
pub(super) const SLOT: u32 = 0x7fff;

/// A reader's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    pub(super) position: u32,
    /// Number of the next line.
    pub(super) number: u32,
    pub(super) time: Instant,
    pub(super) within: u32,
    /// Where the name and the fact stand that records refer to; 0 for none: no record stands there.
    pub(super) named: u32,
    pub(super) fact: u32,
}

impl Cursor {
    /// The number of the next line.
    pub fn number(&self) -> u32 {
        self.number
    }
}

/// A record as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// What it is.
    pub kind: Kind,
    /// Its number, if it is a line; of the next line else.
    pub number: u32,
    /// When.
    pub time: Instant,
    /// The transaction; 0 for none.
    pub transaction: u32,
    /// The slot it is about, if it is about one.
    pub slot: SlotId,
    /// See `Kind`.
    pub extra: u32,
    /// See `Kind`; without the time.
    pub words: [u32; WORDS_MAX],
    /// Position of the text, and its length.
    pub(super) text: (u32, u32),
    pub(super) named: u32,
    pub(super) fact: u32,
    pub(super) next: u32,
}

/// A text of the journal.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    pub(super) bytes: [u8; FACT_BYTES_MAX + 4],
    pub(super) length: usize,
}

impl Text {
    /// As it was told.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Record {
    /// The place behind it.
    pub fn behind(&self) -> Cursor {
        Cursor { position: self.next, ..Cursor::default() }
    }

    /// Of a change of a phase: before and after.
    pub fn phases(&self) -> (Phase, Phase) {
        (Phase::from_number(self.extra & 0xf), Phase::from_number(self.extra >> 4 & 0xf))
    }

    /// The same: how the life ended that it came of, without code and signal; `None` where it came of none.
    pub fn ended(&self) -> Exit {
        Exit::from_word((self.extra >> 8 & 15) << 8)
    }

    /// Of a command.
    pub fn verb(&self) -> Option<Verb> {
        match VERBS.get(self.extra as usize & 0xf).map(|(verb, _)| *verb) {
            Some(Verb::Signal(_)) => Some(Verb::Signal((self.extra >> 4) as u8)),
            verb => verb,
        }
    }

    /// Its word.
    pub fn verb_name(&self) -> &'static str {
        VERBS.get(self.extra as usize & 0xf).map_or("?", |(_, name)| name)
    }

    /// Of an end.
    pub fn standing(&self) -> Standing {
        const ALL: [Standing; 5] =
            [Standing::Running, Standing::Done, Standing::Failed, Standing::Superseded, Standing::Full];
        ALL.get(self.extra as usize).copied().unwrap_or(Standing::Unknown)
    }

    /// Of a refusal.
    pub fn refusal(&self) -> Refusal {
        REFUSALS.get(self.extra as usize).copied().unwrap_or(Refusal::NoSuchService)
    }

    /// What the engine used of a report; all else is as in a fresh row.
    pub fn report(&self) -> ReportRow {
        let [exit, order, began, ready, signalled, life, ..] = self.words;
        ReportRow {
            state: State::from_number(self.extra & 0xf),
            attempt: self.extra >> 4 & 3,
            stuck: self.extra >> 6 & 1 == 1,
            life: Life(life),
            exit: Exit::from_word(exit),
            order: Order(order),
            began: began.into(),
            ready: ready.into(),
            signalled: signalled & 0xf_ffff,
            reloaded: signalled >> 20,
            ..ReportRow::default()
        }
    }
}

/// Verbs by number, with the words of the protocol. The signal stands behind the number.
const VERBS: [(Verb, &str); 9] = [
    (Verb::Start, "start"),
    (Verb::Stop, "stop"),
    (Verb::Restart, "restart"),
    (Verb::Reload, "reload"),
    (Verb::Reset, "reset"),
    (Verb::Release, "release"),
    (Verb::RestartWithDependents, "restart-with-dependents"),
    (Verb::Switch, "switch"),
    (Verb::Signal(0), "signal"),
];

/// The number of a verb.
pub(super) fn number_of(verb: Verb) -> u32 {
    let is = |known: &(Verb, &str)| core::mem::discriminant(&known.0) == core::mem::discriminant(&verb);
    let number = VERBS.iter().position(is).unwrap_or_default() as u32;
    if let Verb::Signal(signal) = verb { number | u32::from(signal) << 4 } else { number }
}

/// Refusals by number; of which slot is not kept.
pub(super) const NOBODY: SlotId = SlotId(0);
const REFUSALS: [Refusal; 17] = [
    Refusal::NoSuchService,
    Refusal::Template(NOBODY),
    Refusal::NoSuchInstance(NOBODY),
    Refusal::BadInstanceName,
    Refusal::NotUp(NOBODY),
    Refusal::Signalling(NOBODY),
    Refusal::NoReload(NOBODY),
    Refusal::Bundle(NOBODY),
    Refusal::ShuttingDown,
    Refusal::BadFactName,
    Refusal::BadAttribute,
    Refusal::TooManyAttributes,
    Refusal::FactTooLong,
    Refusal::ConditionsFull,
    Refusal::NotOn,
    Refusal::InstancesFull,
    Refusal::TransactionsFull,
];

/// The number of a refusal.
pub(in crate::engine) fn number_of_refusal(refusal: Refusal) -> u32 {
    let is = |known: &Refusal| core::mem::discriminant(known) == core::mem::discriminant(&refusal);
    REFUSALS.iter().position(is).unwrap_or_default() as u32
}

pub(super) const fn first_word(kind: Kind, extra: u32, slot: SlotId) -> u32 {
    (kind as u32) << KIND_SHIFT | (extra & EXTRA) << EXTRA_SHIFT | slot.0 & SLOT
}
