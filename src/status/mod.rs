//! What readers are told: computed from the database, the reports and what the engine publishes, asking nobody.
//!
//! It works on copies, which may be old, cut off or garbled: a row that makes no sense reads as nothing, every walk is
//! bounded. It must not decide anything for the machine. Text goes to a `fmt::Write`; nothing here knows a terminal.

pub mod json;
pub mod tree;
pub mod why;
pub mod words;

use core::fmt::{self, Write};

use crate::board::published::{Blocker, ConditionRow, Published, PublishedRow};
use crate::board::reports::{self, Exit, ReportRow, Reports, State};
use crate::board::{published, words as shared};
use crate::database::{Image, NONE, exec, policy, service};
use crate::graph::{Goal, Holds, Phase, Relation};
use crate::ident::SlotId;
use crate::lang::definition::Kind;
use crate::limits::{CONDITIONS_MAX, INSTANCE_BYTES_MAX};
use crate::time::Instant;
use words::{Age, ExitText, Span};

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
    /// The wall clock then: seconds since 1970, UTC.
    pub wall: i64,
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

    /// How many characters it takes.
    pub fn width(&self) -> usize {
        self.base.chars().count() + self.instance().chars().count()
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.base)?;
        to.write_str(self.instance())
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
    /// What the supervisor says.
    pub report: ReportRow,
}

impl<'a> View<'a> {
    /// Number of slots, free instance slots included.
    pub fn slots(&self) -> u32 {
        self.reports.geometry().slots()
    }

    /// The slot with this name.
    #[inline(never)]
    pub fn find(&self, name: &str) -> Option<SlotId> {
        if let Some(slot) = self.image.find(name.as_bytes()) {
            return Some(slot);
        }
        let (template, instance) = name.split_at(name.find('@')? + 1);
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
        let said = self.published.read(slot);
        let (definition, name) = if slot.0 < services {
            (slot, Name { base: self.image.name(slot), instance: [0; INSTANCE_BYTES_MAX + 1] })
        } else {
            let (template, instance) = self.published.read_instance(slot)?;
            if template.0 >= services || !said?.exists {
                return None;
            }
            (template, Name { base: self.image.name(template), instance })
        };
        let said = said.unwrap_or_default();
        let report = self.reports.read(slot).unwrap_or_default();
        let (phase, since) = self.phase(definition, &said, &report);
        let (goal, holds, blocker) = (said.goal, said.holds, said.blocker);
        Some(Row { slot, definition, name, phase, goal, holds, since, blocker, report })
    }

    /// All rows that exist, templates left out unless asked for.
    pub fn rows<'v>(&'v self, templates: bool) -> Rows<'v, 'a> {
        Rows { view: self, at: 0, templates }
    }

    /// Whether this is a template's own slot, which never starts.
    pub fn is_template(&self, slot: SlotId) -> bool {
        slot.0 < self.image.services() && self.image.flags(slot) & service::flags::TEMPLATE != 0
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
    /// contradicts is old too: the engine has not looked yet, and nobody is to ask a life for answers that is not ready.
    fn phase(&self, definition: SlotId, said: &PublishedRow, report: &ReportRow) -> (Phase, Instant) {
        let between_lives = matches!(report.state, State::Queued | State::Spawning | State::Starting | State::Delayed);
        let behind = said.phase == Phase::Up && between_lives;
        if (self.engine_alive && !behind) || self.kind(definition) == Kind::Bundle {
            return (said.phase, said.since);
        }
        let going_down = said.phase == Phase::Stopping;
        let seen = match report.state {
            State::Down => match said.phase {
                Phase::Waiting | Phase::Skipped | Phase::Down => said.phase,
                Phase::Starting | Phase::Up | Phase::Restarting | Phase::Stopping | Phase::Failed | Phase::Done => {
                    Phase::Down
                }
            },
            State::Queued | State::Spawning | State::Starting if report.attempt > 1 => Phase::Restarting,
            State::Queued | State::Spawning | State::Starting => Phase::Starting,
            State::Up if going_down => Phase::Stopping,
            State::Up => Phase::Up,
            State::Delayed => Phase::Restarting,
            State::Stopping => Phase::Stopping,
            State::Failed => Phase::Failed,
            State::Done => Phase::Done,
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

    /// Who pulls this slot up and is wished up, given to `each` until it says no: what its `need` hold stands for.
    pub fn pulled_by(&self, row: &Row<'_>, each: &mut dyn FnMut(&Row<'a>) -> bool) {
        // Edges lead to definitions: what an instance needs is its template's.
        for edge in self.image.reverse(row.definition) {
            let pulls = matches!(
                edge.relation,
                Relation::Needs | Relation::Binds | Relation::NeedsToStart | Relation::Wants | Relation::Contains
            );
            // Its slots: itself, or all instances of a template.
            let slots = match self.is_template(edge.slot) {
                _ if !pulls => 0..0,
                true => self.image.services()..self.slots(),
                false => edge.slot.0..edge.slot.0 + 1,
            };
            for slot in slots {
                match self.row(SlotId(slot)) {
                    Some(by) if by.definition == edge.slot && by.goal == Goal::Up => {
                        if !each(&by) {
                            return;
                        }
                    }
                    Some(_) | None => {}
                }
            }
        }
    }

    /// The first of these.
    pub fn first_that_pulls(&self, row: &Row<'_>) -> Option<Row<'a>> {
        let mut first = None;
        self.pulled_by(row, &mut |by| {
            first = Some(*by);
            false
        });
        first
    }

    /// How the last life ended, in words.
    pub fn exit<'v>(&'v self, row: &'v Row<'_>) -> ExitText<'v> {
        ExitText { view: self, row }
    }

    /// Milliseconds to the deadline that the supervisor keeps, if there is one.
    pub fn left_ms(&self, row: &Row<'_>) -> Option<u64> {
        let deadline = row.report.deadline;
        (deadline != Instant::NEVER && deadline > self.now).then(|| deadline.ms_since(self.now))
    }

    /// Whether everything is being taken down.
    fn shuts_down(&self) -> bool {
        shared::load(self.published.words(), published::own::SHUTDOWN) == 1
            || shared::load(self.reports.words(), reports::own::SHUTDOWN) != 0
    }

    /// How long ago.
    pub fn age(&self, instant: Instant) -> Age {
        Age(self.now.ms_since(instant) / 1000)
    }

    /// When, on the wall clock.
    pub fn clock(&self, instant: Instant) -> words::Clock {
        let ago = (self.now.ms_since(instant) / 1000) as i64;
        words::Clock { at: self.wall - ago, now: self.wall }
    }

    /// Everything about one service, without the lines of its log. What `out` refuses is `out`'s to remember, here and in
    /// the next ones.
    pub fn write_service(&self, out: &mut dyn Write, row: &Row<'_>, paint: Paint) {
        let Row { definition, report, .. } = row;
        let policy = |field| self.policy(*definition, field);
        let _ = write!(out, "{}: {}", row.name, Painted(row.phase, paint));
        if row.since != Instant::default() {
            let _ = write!(out, " for {}, since {}", self.age(row.since), self.clock(row.since));
        }
        let description = self.image.text(self.image.service(*definition, service::DESCRIPTION));
        let before = if description.is_empty() { "" } else { "\n  " };
        let _ = writeln!(out, "{before}{description}");
        if report.pid != 0 {
            let _ = writeln!(out, "  process    {}", report.pid);
        }
        if report.auxiliary != 0 {
            let _ = writeln!(out, "  command    {} (stop or reload)", report.auxiliary);
        }
        let _ = write!(out, "  goal       {}", goal_name(row.goal));
        self.write_holds(out, row);
        if row.phase != Phase::Up && (row.blocker != Blocker::Nothing || row.phase == Phase::Failed) {
            let _ = out.write_str("\n  because    ");
            let _ = why::write(self, out, row);
        }
        if let Some(left) = self.left_ms(row) {
            let _ = write!(out, "\n  deadline   in {}", Age(left / 1000));
        }
        if report.exit != Exit::None {
            let _ = write!(out, "\n  last exit  {}", self.exit(row));
        }
        let kind = self.kind(*definition);
        if kind == Kind::Longrun {
            let _ = write!(out, "\n  restarts   {}", report.restarts);
            let limit = policy(policy::LIMIT);
            if limit > 0 {
                let window = Span(policy(policy::WINDOW_MS));
                let _ = write!(out, "; {} of {limit} deaths within {window}", report.deaths);
            }
        }
        if kind != Kind::Bundle {
            let (start, stop) = (Span(policy(policy::START_TIMEOUT_MS)), Span(policy(policy::STOP_TIMEOUT_MS)));
            let _ = write!(out, "\n  limits     start {start}, stop {stop}");
        }
        let file = self.image.text(self.image.service(*definition, service::ORIGIN));
        let _ = writeln!(out, "\n  file       {}", if file.is_empty() { "none" } else { file });
    }

    /// `: boot, need (app, db)`, marks behind.
    fn write_holds(&self, out: &mut dyn Write, row: &Row<'_>) {
        let mut before = ": ";
        for name in row.holds.names() {
            let _ = write!(out, "{before}{name}");
            before = ", ";
            if name == "need" {
                let mut count = 0;
                self.pulled_by(row, &mut |by| {
                    count += 1;
                    if count <= 4 {
                        let before = if count == 1 { " (" } else { ", " };
                        let _ = write!(out, "{before}{}", by.name);
                    }
                    true
                });
                let _ = match count {
                    0 => Ok(()),
                    1..=4 => out.write_char(')'),
                    more => write!(out, " and {} more)", more - 4),
                };
            }
        }
        for (mark, text) in MARKS {
            if row.holds.0 & mark != 0 {
                let _ = write!(out, "{before}{text}");
                before = ", ";
            }
        }
    }

    /// The machine at a glance.
    pub fn write_machine(&self, out: &mut dyn Write, paint: Paint) {
        let (own, said) = (self.reports.words(), self.published.words());
        let word = |at| shared::load(own, at);
        let started = Instant(shared::load_u64(own, reports::own::STARTED));
        let _ = out.write_str("boot        ");
        let _ = match self.boot() {
            None => out.write_str("no bundle was booted"),
            Some((name, 0)) => write!(out, "{name}: under way for {}", self.age(started)),
            Some((name, reached)) => {
                let since = Instant(shared::load_u64(said, published::own::BOOT_SINCE));
                let good = if reached == 2 { "good" } else { "reached, but an essential service is not up" };
                let after = Age(since.ms_since(started) / 1000);
                write!(out, "{name}: {good}, {after} after start, at {}", self.clock(since))
            }
        };
        let down = if self.shuts_down() { "; shutting down" } else { "" };
        let counts = self.counts();
        let _ = write!(out, "{down}\nservices    {}", counts.iter().sum::<u32>());
        let mut before = ": ";
        for phase in Phase::ALL {
            let count = counts[phase as usize];
            if count > 0 {
                let _ = write!(out, "{before}{count} {}", Painted(phase, paint));
                before = ", ";
            }
        }
        for row in self.rows(false) {
            if row.phase == Phase::Failed {
                let _ = write!(out, "\nfailed      {}: {}", row.name, self.exit(&row));
            }
        }
        let _ = out.write_str("\nsupervisor  ");
        let _ = if self.supervisor_alive {
            write!(out, "process {} for {}", word(reports::own::SUPERVISOR_PID), self.age(started))
        } else {
            out.write_str("not running; this is what it reported last")
        };
        let (recoveries, allocations) = (word(reports::own::RECOVERIES), word(reports::own::ALLOCATIONS));
        let _ = write!(out, "; {recoveries} recoveries, {allocations} allocations after start\nengine      ");
        let _ = if self.engine_alive {
            write!(out, "process {}", word(reports::own::ENGINE_PID))
        } else {
            out.write_str("not running; services run on")
        };
        let (lives, allocations) = (word(reports::own::ENGINE_LIVES), shared::load(said, published::own::ALLOCATIONS));
        let _ = writeln!(out, "; {lives} so far, {allocations} allocations after start");
        if word(reports::own::ONE_UID) == 1 {
            let _ = out.write_str(
                "note        supervisor and engine share one uid: they are separated against faults, not attack\n",
            );
        }
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
        let slot = SlotId(shared::load(self.reports.words(), reports::own::BOOT));
        let name = (slot.0 < self.image.services()).then(|| self.image.name(slot))?;
        Some((name, shared::load(self.published.words(), published::own::BOOT)))
    }

    /// Where the boot bundle is, as a slot.
    pub fn boot_slot(&self) -> Option<SlotId> {
        let slot = SlotId(shared::load(self.reports.words(), reports::own::BOOT));
        (slot.0 < self.image.services()).then_some(slot)
    }

    /// One line a service: name, phase, age, process, and why it is not up. `width` is that of the longest name.
    pub fn write_line(&self, out: &mut dyn Write, row: &Row<'_>, width: usize, paint: Paint) {
        let (beside, behind) = (width.saturating_sub(row.name.width()), 10usize.saturating_sub(row.phase.name().len()));
        let _ = write!(out, "{}{:beside$}  {}{:behind$}", row.name, "", Painted(row.phase, paint), "");
        let aged = row.since != Instant::default();
        let age = if aged { self.age(row.since).text() } else { crate::words::Short::new() };
        let _ = write!(out, "  {age:>12}");
        let _ = match row.report.pid {
            0 => write!(out, "  {:>7}", ""),
            pid => write!(out, "  {pid:>7}"),
        };
        let says_why = match row.phase {
            Phase::Waiting | Phase::Stopping | Phase::Restarting | Phase::Starting => true,
            Phase::Down => row.holds.marked(),
            Phase::Failed | Phase::Up | Phase::Skipped | Phase::Done => false,
        };
        if row.phase == Phase::Failed {
            let _ = write!(out, "  {}", self.exit(row));
        }
        if says_why {
            let _ = out.write_str("  ");
            let _ = why::write_step(self, out, row);
        }
        let _ = out.write_char('\n');
    }

    /// The log of a service: its kind.
    pub fn log(&self, definition: SlotId) -> u32 {
        self.exec(definition, exec::LOG)
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

/// Marks and what people read for them.
pub const MARKS: [(u32, &str); 3] = [
    (Holds::MARK_ADMIN, "held down by an administrator"),
    (Holds::MARK_CONFLICT, "kept down by a conflicting service"),
    (Holds::MARK_SHUTDOWN, "down for the shutdown"),
];

/// `up` or `down`.
pub const fn goal_name(goal: Goal) -> &'static str {
    match goal {
        Goal::Up => "up",
        Goal::Down => "down",
    }
}

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

impl fmt::Display for Painted {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = match self.0 {
            _ if self.1 == Paint::Plain => return to.write_str(self.0.name()),
            Phase::Up | Phase::Done => "32",
            Phase::Failed => "31",
            Phase::Waiting | Phase::Starting | Phase::Restarting | Phase::Stopping => "33",
            Phase::Down | Phase::Skipped => "2",
        };
        write!(to, "\x1b[{colour}m{}\x1b[0m", self.0.name())
    }
}
