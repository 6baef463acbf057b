//! What readers are told: computed from the database, the reports and what the engine publishes, asking nobody.
//!
//! It works on copies, which may be old, cut off or garbled: a row that makes no sense reads as nothing, every walk is
//! bounded. It must not decide anything for the machine. Text goes to a `fmt::Write`; nothing here knows a terminal.

mod fields;
mod say;
pub use say::write_json_text;
pub mod tree;
pub mod why;
pub mod words;

use core::fmt::{self, Write};

use crate::board::published::{Blocker, ConditionRow, EIGHTH_NS, Published, PublishedRow};
use crate::board::reports::{self, ReportRow, Reports, State};
use crate::board::{published, words as shared};
use crate::database::{Image, NONE, exec, service};
use crate::graph::{Goal, Holds, Phase, Relation};
use crate::ident::SlotId;
use crate::lang::definition::Kind;
use crate::limits::{CONDITIONS_MAX, INSTANCE_BYTES_MAX};
use crate::text::{cut, nth};
use crate::time::Instant;
use words::Age;

/// Words that only the system knows.
#[derive(Clone, Copy)]
pub struct SystemWords {
    /// Why a spawn failed, by the report's `failure` word: `chdir: No such file or directory`, `no such user`.
    pub failure: fn(u32, &mut dyn Write) -> fmt::Result,
}

/// Everything there is to look at, at one instant.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The database in use.
    pub image: Image<'a>,
    /// A copy of the reports.
    pub reports: Reports<'a>,
    /// A copy of what the engine publishes.
    pub published: Published<'a>,
    /// When the copies were made.
    pub now: Instant,
    /// The wall clock then: nanoseconds since 1970, UTC.
    pub wall_ns: u64,
    /// Whether the supervisor of the reports runs.
    pub supervisor_alive: bool,
    /// Whether the engine runs: else its phases are old and the reports count.
    pub engine_alive: bool,
    /// Words of the system.
    pub words: SystemWords,
}

/// The name of a slot: a service's, or a template's with the instance behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    base: &'a str,
    instance: [u8; INSTANCE_BYTES_MAX + 1],
}

impl Name<'_> {
    fn instance(&self) -> &str {
        let length = self.instance.iter().position(|byte| *byte == 0).unwrap_or(0);
        self.instance.get(..length).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("?")
    }

    /// Whether this is how `text` writes it.
    pub fn is(&self, text: &str) -> bool {
        text.strip_prefix(self.base) == Some(self.instance())
    }

    /// Its two parts.
    pub fn write(&self, out: &mut dyn Write) {
        crate::text::put(out, &[self.base, self.instance()]);
    }
}

/// One slot as it is told.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Which.
    pub slot: SlotId,
    /// Its definition: itself, or the template of an instance.
    pub definition: SlotId,
    /// Its name.
    pub name: Name<'a>,
    /// What it is.
    pub phase: Phase,
    /// What is wished.
    pub goal: Goal,
    /// Why.
    pub holds: Holds,
    /// When the phase changed.
    pub since: Instant,
    /// What keeps it from its goal.
    pub blocker: Blocker,
    /// Latches of its `start-on` that are set.
    pub latches: u32,
    /// Another run follows the one that is under way.
    pub queued: bool,
    /// What the supervisor says.
    pub report: ReportRow,
    /// What is asked of it is not why it is not up, but why it is wished up: by way of what it pulls up.
    pub wished: bool,
}

impl Row<'_> {
    /// The marks that keep it down.
    pub fn marks(&self) -> impl Iterator<Item = &'static (u32, &'static str, &'static str)> {
        MARKS.iter().filter(|(mark, ..)| self.holds.0 & mark != 0)
    }
}

impl<'a> View<'a> {
    /// Number of slots, free instance slots included.
    pub fn slots(&self) -> u32 {
        self.reports.geometry().slots()
    }

    /// The slot with this name.
    #[inline(never)]
    pub fn find(&self, name: &str) -> Option<SlotId> {
        if let Some(slot) = self.image.find_provider(name.as_bytes()) {
            return Some(slot);
        }
        let (_, instance) = cut(name, b'@')?;
        let template = name.strip_suffix(instance)?;
        let template = self.image.find(template.as_bytes())?;
        (self.image.services()..self.slots()).map(SlotId).find(|slot| {
            self.published.read(*slot).is_some_and(|row| row.exists)
                && self
                    .published
                    .read_instance(*slot)
                    .is_some_and(|(of, name)| of == template && Name { base: "", instance: name }.is(instance))
        })
    }

    /// One slot; `None` where there is no such slot, or nothing in it.
    #[inline(never)] // It is in every walk.
    pub fn row(&self, slot: SlotId) -> Option<Row<'a>> {
        let services = self.image.services();
        if slot.0 >= self.slots() {
            return None;
        }
        let said = self.published.get(slot);
        if slot.0 >= services && !said.exists {
            return None;
        }
        let (definition, name) = self.name(slot)?;
        let report = self.reports.get(slot);
        let (phase, since) = self.phase(definition, &said, &report);
        let (goal, holds, blocker) = (said.goal, said.holds, said.blocker);
        Some(Row {
            slot,
            definition,
            name,
            phase,
            goal,
            holds,
            since,
            blocker,
            latches: said.latches,
            queued: said.queued,
            report,
            wished: false,
        })
    }

    /// Definition and name of a slot; of a free one, those of the last instance that was in it. `None` if there never
    /// was one.
    pub fn name(&self, slot: SlotId) -> Option<(SlotId, Name<'a>)> {
        let (mut definition, mut instance) = (slot, [0; INSTANCE_BYTES_MAX + 1]);
        if slot.0 >= self.image.services() {
            (definition, instance) = self.published.read_instance(slot).filter(|(_, name)| name[0] != 0)?;
        }
        (definition.0 < self.image.services())
            .then(|| (definition, Name { base: self.image.name(definition), instance }))
    }

    /// All rows that exist, templates left out unless asked for.
    pub fn rows<'v>(&'v self, templates: bool) -> Rows<'v, 'a> {
        Rows { view: self, at: 0, templates }
    }

    /// Whether this is a template's own slot, which never starts.
    pub fn is_template(&self, slot: SlotId) -> bool {
        slot.0 < self.image.services() && self.image.flags(slot) & service::flags::TEMPLATE != 0
    }

    /// Whether this is a choice, a kind of bundle.
    pub fn is_choice(&self, definition: SlotId) -> bool {
        self.image.flags(definition) & service::flags::CHOICE != 0
    }

    /// `longrun`, `oneshot` or `bundle`.
    pub fn kind(&self, definition: SlotId) -> Kind {
        match self.image.flags(definition) & 0xff {
            number if number == Kind::Bundle as u32 => Kind::Bundle,
            number if number == Kind::Oneshot as u32 => Kind::Oneshot,
            _ => Kind::Longrun,
        }
    }

    /// The phase to tell: the engine's, unless it is dead and the supervisor knows better. An `up` that the supervisor
    /// contradicts is old too: the engine has not looked yet, and nobody is to ask a life for answers that is not
    /// ready.
    #[inline(never)]
    fn phase(&self, definition: SlotId, said: &PublishedRow, report: &ReportRow) -> (Phase, Instant) {
        let between_lives = matches!(report.state, State::Queued | State::Spawning | State::Starting | State::Delayed);
        let behind = said.phase == Phase::Up && between_lives;
        if (self.engine_alive && !behind) || self.kind(definition) == Kind::Bundle {
            return (said.phase, said.since);
        }
        let going_down = said.phase == Phase::Stopping;
        // The attempts of a oneshot are one start.
        let oneshot = self.kind(definition) == Kind::Oneshot;
        let seen = match report.state {
            State::Down => match said.phase {
                Phase::Waiting | Phase::Skipped | Phase::Down => said.phase,
                Phase::Starting | Phase::Up | Phase::Restarting | Phase::Stopping | Phase::Failed | Phase::Done => {
                    Phase::Down
                }
            },
            State::Queued | State::Spawning | State::Starting | State::Delayed if oneshot => Phase::Starting,
            State::Queued | State::Spawning | State::Starting if report.attempt > 1 => Phase::Restarting,
            State::Queued | State::Spawning | State::Starting => Phase::Starting,
            State::Up if going_down => Phase::Stopping,
            State::Up => Phase::Up,
            State::Delayed => Phase::Restarting,
            State::Stopping => Phase::Stopping,
            State::Failed => Phase::Failed,
            State::Done => Phase::Done,
            State::Skipped => Phase::Skipped,
        };
        if seen == said.phase { (seen, said.since) } else { (seen, report.since) }
    }

    /// A field of a definition's policy record; 0 for a bundle.
    pub fn policy(&self, definition: SlotId, field: usize) -> u32 {
        match self.image.service(definition, service::POLICY) {
            NONE => 0,
            index => self.image.policy(index, field),
        }
    }

    /// A field of a definition's exec record; 0 for a bundle.
    pub fn exec(&self, definition: SlotId, field: usize) -> u32 {
        match self.image.service(definition, service::EXEC) {
            NONE => 0,
            index => self.image.exec(index, field),
        }
    }

    /// Gives the conditions that are on or changing to `each`.
    pub fn conditions(&self, each: &mut dyn FnMut(&ConditionRow)) {
        for row in (0..CONDITIONS_MAX).filter_map(|at| self.published.read_condition(at)) {
            if row.value != 0 {
                each(&row);
            }
        }
    }

    /// The row of the times of a slot's latches, where its definition has `within`.
    pub fn latch_row(&self, row: &Row<'_>) -> Option<u32> {
        let is_timed = |at: u32| self.image.service(SlotId(at), service::WITHIN) != 0;
        let rows_below = |end: u32| (0..end).filter(|at| is_timed(*at)).count() as u32;
        let services = self.image.services();
        is_timed(row.definition.0).then(|| match row.slot.0.checked_sub(services) {
            Some(index) => rows_below(services) + index,
            None => rows_below(row.slot.0),
        })
    }

    /// What the service in this slot said of itself last.
    pub fn said<'t>(&self, slot: SlotId, to: &'t mut [u8; reports::STATUS_BYTES]) -> &'t str {
        let geometry = self.reports.geometry();
        let has = |slot: &u32| geometry.has_status(&self.image, SlotId(*slot));
        let row = if has(&slot.0) { (0..slot.0).filter(has).count() as u32 } else { u32::MAX };
        self.reports.read_status(row, to)
    }

    /// Who pulls this slot up and is wished up, given to `each` until it says no: what its `need` hold stands for.
    pub fn pulled_by(&self, row: &Row<'_>, each: &mut dyn FnMut(&Row<'a>) -> bool) {
        // Edges lead to definitions: what an instance needs is its template's.
        for edge in self.image.reverse(row.definition) {
            // Its slots: itself, or all instances of a template.
            let slots = match self.is_template(edge.slot) {
                _ if !edge.relation.is_in(Relation::PULLS) => 0..0,
                true => self.image.services()..self.slots(),
                false => edge.slot.0..edge.slot.0 + 1,
            };
            for slot in slots {
                match &self.row(SlotId(slot)) {
                    Some(by) if edge.relation == Relation::Alternative && why::blocking(by) != Some(row.slot) => {}
                    Some(by) if by.definition == edge.slot && by.goal == Goal::Up => {
                        if !each(by) {
                            return;
                        }
                    }
                    Some(_) | None => {}
                }
            }
        }
    }

    /// The first of these.
    pub fn first_that_pulls(&self, row: &Row<'_>) -> Option<SlotId> {
        let mut first = None;
        self.pulled_by(row, &mut |by| {
            first = Some(by.slot);
            false
        });
        first
    }

    /// Writes the name of what is in a slot; says whether there is anything.
    #[inline(never)]
    pub fn write_name(&self, out: &mut dyn Write, slot: SlotId) -> bool {
        self.row(slot).as_ref().inspect(|row| row.name.write(out)).is_some()
    }

    /// Milliseconds to the deadline that the supervisor keeps, if there is one.
    pub fn left_ms(&self, row: &Row<'_>) -> Option<u64> {
        let deadline = row.report.deadline;
        (deadline != Instant::NEVER && deadline > self.now).then(|| deadline.ms_since(self.now))
    }

    /// Whether everything has been taken down.
    fn has_shut_down(&self) -> bool {
        shared::load(self.reports.head(), reports::own::SHUTDOWN) >= 3
    }

    /// Whether everything is being taken down.
    fn shuts_down(&self) -> bool {
        shared::load(self.published.head(), published::own::SHUTDOWN) == 1
            || shared::load(self.reports.head(), reports::own::SHUTDOWN) != 0
    }

    /// How long ago.
    pub fn age(&self, instant: Instant) -> Age {
        Age(self.now.ms_since(instant) / 1000)
    }

    /// When, on the wall clock. Instants count in eighths of a second, as those of reasons do, so that each look tells
    /// the same.
    pub fn clock(&self, instant: Instant) -> words::Clock {
        const SECOND_NS: i64 = 1_000_000_000;
        let ago = self.now.0.saturating_sub(instant.0 - instant.0 % EIGHTH_NS);
        let at = (self.wall_ns as i64).saturating_sub(ago as i64);
        words::Clock { at: at.div_euclid(SECOND_NS), now: self.wall_ns as i64 / SECOND_NS }
    }

    /// How many services are in each phase, by the phase's number.
    pub fn counts(&self) -> [u32; Phase::ALL.len()] {
        let mut counts = [0; Phase::ALL.len()];
        for row in self.rows(false) {
            counts[row.phase as usize] += 1;
        }
        counts
    }

    /// The bundle that was booted, and how far it is (`published::own::BOOT`).
    pub fn boot(&self) -> Option<(&'a str, u32)> {
        let slot = SlotId(shared::load(self.reports.head(), reports::own::BOOT));
        let name = (slot.0 < self.image.services()).then(|| self.image.name(slot))?;
        Some((name, shared::load(self.published.head(), published::own::BOOT)))
    }

    /// What has the boot hold: what was booted, or has been switched to.
    pub fn current(&self) -> Option<SlotId> {
        shared::load(self.published.head(), published::own::CURRENT).checked_sub(1).map(SlotId)
    }

    /// The log of a service: its kind.
    pub fn log(&self, definition: SlotId) -> u32 {
        self.exec(definition, exec::LOG)
    }

    /// The name of the service that another's output goes to.
    pub fn log_to(&self, definition: SlotId) -> &'a str {
        self.image.name(SlotId(self.exec(definition, exec::LOG_TO).wrapping_sub(1)))
    }
}

/// All rows of a view in turn.
pub struct Rows<'v, 'a> {
    view: &'v View<'a>,
    at: u32,
    templates: bool,
}

impl<'a> Iterator for Rows<'_, 'a> {
    type Item = Row<'a>;

    #[inline(never)] // It is in every walk.
    fn next(&mut self) -> Option<Row<'a>> {
        while self.at < self.view.slots() {
            let slot = SlotId(self.at);
            self.at += 1;
            if self.templates || !self.view.is_template(slot) {
                let row = self.view.row(slot);
                if row.is_some() {
                    return row;
                }
            }
        }
        None
    }
}

/// Marks, as programs and as people read them.
pub const MARKS: [(u32, &str, &str); 4] = [
    (Holds::MARK_ADMIN, "admin", "held down by an administrator"),
    (Holds::MARK_CONFLICT, "conflict", "kept down by a conflicting service"),
    (Holds::MARK_SHUTDOWN, "shutdown", "down for the shutdown"),
    (Holds::MARK_ASIDE, "switch", "held by a condition that a switch has set aside"),
];

/// Whether phases are coloured (ECMA-48).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paint {
    /// Plain.
    Plain,
    /// Coloured.
    Coloured,
}

/// A phase's name, coloured or not.
pub struct Painted(pub Phase, pub Paint);

impl Painted {
    /// Writes it.
    pub fn write(&self, out: &mut dyn Write) {
        let _ = write!(out, "{self}");
    }
}

impl fmt::Display for Painted {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == Paint::Plain {
            return to.write_str(self.0.name());
        }
        // By the phase's number: what is not there is faint, what is under way yellow, what is well green.
        let colour = nth("2 33 33 32 33 33 31 2 32", b' ', self.0 as usize);
        write!(to, "\x1b[{colour}m{}\x1b[0m", self.0.name())
    }
}
