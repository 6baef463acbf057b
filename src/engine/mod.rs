//! The engine: one total function from inputs to what each slot's processes are to be. Semantics: `graph/mod.rs`.
//!
//! It has no clock, no heap and makes no system call: the same state, time and input give the same outputs. All its
//! state lies in memory that the caller gives (a private shared mapping that survives the engine's death).
//!
//! How a host uses it:
//!
//! ```text
//! open      finish or undo what a predecessor had begun, recompute what is derived, mark everything dirty
//! step      Report for every slot whose report there is, then Boot (harmless if done before), then what comes
//! after each step: `take_dirty` (text row, order, published row), `take_condition`, `take_ended`, the headers; doorbell
//! sleep     until news, or until `next_deadline`, then `Input::Tick`
//! ```
//!
//! Outputs are state marked dirty, not a queue: nothing overflows, and a host may look later or twice.

pub(crate) mod bits;
mod choice;
mod command;
mod condition;
mod expression;
mod fact;
mod input;
mod instance;
pub mod journal;
mod line;
mod memory;
mod overlap;
#[doc(hidden)]
pub mod probe;
mod propagate;
mod publish;
mod rebuild;
mod report;
mod settle;
mod slot;
mod transaction;
mod trigger;

pub use input::{Capacities, Dirty, Input, NOBODY, Outcome, Refusal, Sender, Standing, Target, Verb};
pub use memory::VERSION as MEMORY_LAYOUT;
pub use trigger::DERIVED;

use core::sync::atomic::AtomicU32;

use crate::board::Geometry;
use crate::board::orders::TEXT_WORDS;
use crate::board::reports::Exit;
use crate::database::Image;
use crate::graph::{Goal, Hold, Phase};
use crate::ident::SlotId;
use crate::limits::{INSTANCE_BYTES_MAX, NAME_BYTES_MAX};
use crate::time::Instant;
use fact::Fact;
use journal::Kind;
use memory::{Layout, Memory, Set, Table, machine};
use slot::{Process, state, told};
use transaction::Cause;

/// The number of all transactions for which there was no room: `Standing::Full`.
pub const UNFOLLOWED: u32 = u32::MAX;

/// Bytes of a slot's whole name, `NAME@INSTANCE`.
pub const FULL_NAME_BYTES_MAX: usize = NAME_BYTES_MAX + INSTANCE_BYTES_MAX + 1;

/// A name of a slot, or the instance's part of one.
#[derive(Clone, Debug, Default)]
pub struct Name(heapless::Vec<u8, FULL_NAME_BYTES_MAX>);

impl Name {
    /// The name.
    #[inline(never)]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }

    /// What stands before `@`, and behind it.
    fn parts(&self) -> (&[u8], Option<&[u8]>) {
        let name = self.as_bytes();
        // That of a choice has none, though its alternatives may.
        match name.iter().position(|byte| *byte == b'@').filter(|_| !name.contains(&b'|')) {
            Some(at) => (&name[..at], Some(&name[at + 1..])),
            None => (name, None),
        }
    }

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline(never)]
    fn joined(parts: &[&[u8]]) -> Name {
        let mut name = Name::default();
        for part in parts {
            name.push(part);
        }
        name
    }

    /// Adds bytes, as many as there is room for.
    fn push(&mut self, bytes: &[u8]) {
        let room = self.0.capacity() - self.0.len();
        let _ = self.0.extend_from_slice(&bytes[..bytes.len().min(room)]); // it fits
    }
}

/// The text that goes with an order: the instance's name and the attributes to pass.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Index of the text row.
    pub row: u32,
    /// As `Orders::write_text` takes it.
    pub words: [u32; TEXT_WORDS],
}

/// How far the boot has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Boot {
    /// 0 under way (or none), 1 reached, 2 reached and good: `published::own::BOOT`.
    pub state: u32,
    /// When it was reached.
    pub since: Instant,
}

/// Words of memory that an engine over this database takes.
pub fn words_needed(_image: &Image<'_>, geometry: Geometry, capacities: Capacities) -> usize {
    Layout::of(geometry, capacities).end()
}

/// Where the undo log lies in the memory; what is behind it is derived. For the simulator, which makes what a death in
/// the middle of a step leaves.
#[doc(hidden)]
pub fn log_range(geometry: Geometry, capacities: Capacities) -> core::ops::Range<usize> {
    let layout = Layout::of(geometry, capacities);
    layout.start(Table::Log)..layout.start(Table::Derived)
}

/// The engine over a database and its memory. What is not in the memory is derived from it.
// In this order, so that what is used most has the shortest addresses.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Engine<'a> {
    memory: Memory<'a>,
    image: Image<'a>,
    /// Condition rows that may be on: those below this.
    conditions_used: u32,
    /// Some of them may be changing.
    changing: bool,
    /// Entries of no transaction, and the first of them that was used before, plus one.
    free_entries: u32,
    free_entry: u32,
    /// There was no room for this step's transaction.
    unfollowed: bool,
    /// Row of the transaction that this step opened.
    open: Option<u32>,
    /// The transactions that cause what moves now.
    cause: Cause,
    /// Who has given the last command.
    asker: u32,
    /// Once derived events are taken: what this step's own transaction was. And whose children are opened by them.
    number: u32,
    parent: u32,
    /// Derived events that some leaf names.
    heard: u32,
    /// False while derived state is made anew: nothing fires then.
    live_triggers: bool,
    /// How many slots have these told bits.
    under_way: u32,
    leaving: u32,
    missing: u32,
    /// How many are `starting`, and may be; 0 is no limit.
    starting: u32,
    starts_max: u32,
    /// When a process-less slot may move again.
    deadline: Instant,
    /// Time of this step, and how the last life of the slot that it reports on ended.
    now: Instant,
    exit: Exit,
    exit_of: Option<SlotId>,
    /// How many lives of it ended since the report before.
    ends: u32,
    /// The template of which this step's fact should have made an instance, and could not for want of a name.
    nameless: Option<SlotId>,
    journal: journal::Writer,
}

impl<'a> Engine<'a> {
    /// Over memory of `words_needed` words that is all zero (fresh), or that an engine over the same database used
    /// before: then a step that was not finished is undone, and everything is marked dirty. `None` if the memory is too
    /// small or belongs to another database or version: give zeroed memory then.
    pub fn open(
        image: Image<'a>,
        geometry: Geometry,
        capacities: Capacities,
        memory: &'a [AtomicU32],
    ) -> Option<Engine<'a>> {
        let (memory, had_predecessor) = Memory::open(&image, Layout::of(geometry, capacities), memory)?;
        let mut engine = Engine {
            image,
            memory,
            conditions_used: 0,
            changing: had_predecessor,
            free_entries: 0,
            free_entry: 0,
            unfollowed: false,
            open: None,
            cause: Cause::Nothing,
            asker: NOBODY,
            number: 0,
            parent: 0,
            heard: 0,
            live_triggers: false,
            under_way: 0,
            leaving: 0,
            missing: 0,
            starting: 0,
            starts_max: 0,
            deadline: Instant::NEVER,
            now: Instant(0),
            exit: Exit::None,
            exit_of: None,
            ends: 0,
            nameless: None,
            journal: journal::Writer::default(),
        };
        engine.open_journal();
        engine.rebuild(had_predecessor);
        Some(engine)
    }

    /// Takes one input. `Ok` is the number of the transaction, 0 where there is nothing to wait for, `UNFOLLOWED` where
    /// there was no room for it.
    pub fn step(&mut self, now: Instant, input: Input<'_>) -> Result<u32, Refusal> {
        let number = self.work(now, input);
        self.memory.commit();
        number
    }

    /// A step that is killed just before its commit: for tests of what a successor makes of it.
    #[doc(hidden)]
    pub fn step_and_die(mut self, now: Instant, input: Input<'_>) {
        let _ = self.work(now, input);
    }

    /// A step but for its commit. What the time moves comes before what is asked for, and behind what is reported: a
    /// report is news of something that has been already, and nothing is to begin in spite of it.
    #[inline(always)]
    fn work(&mut self, now: Instant, input: Input<'_>) -> Result<u32, Refusal> {
        self.now = now;
        self.exit_of = None;
        self.memory.begin();
        let is_late = self.changing || now >= self.deadline;
        let is_news = matches!(input, Input::Report(..));
        if is_late && !is_news {
            self.wake();
        }
        self.nameless = None;
        let taken = self.take(input);
        let nameless = self.nameless;
        if is_late && is_news {
            self.work_off(Set::STEP);
            self.close_transaction();
            self.exit_of = None;
            self.wake();
        }
        self.run();
        // Of what was told, not of the events that came of it.
        self.nameless = nameless;
        let number = self.close_transaction();
        self.look_at_boot();
        self.seal_journal();
        taken.map(|()| number)
    }

    #[inline(never)]
    fn take(&mut self, input: Input<'_>) -> Result<(), Refusal> {
        self.jot_told(&input);
        let taken = self.obey_input(input);
        if let Err(refusal) = taken
            && !matches!(input, Input::Boot(_) | Input::Report(..))
        {
            self.jot_refusal(refusal);
        }
        taken
    }

    #[inline(never)]
    fn obey_input(&mut self, input: Input<'_>) -> Result<(), Refusal> {
        match input {
            Input::Report(at, row) => self.report(at, row),
            Input::Boot(at) => self.boot_into(at),
            Input::Command { verb, targets, uid } => {
                self.asker = uid;
                self.command(verb, targets)
            }
            Input::On { fact, sender, lease } => {
                let fact = self.hear(fact)?;
                self.condition_on(fact, sender, lease)
            }
            Input::Off { fact } => {
                let fact = self.hear(fact)?;
                self.condition_off(fact);
                Ok(())
            }
            Input::Changing { fact, for_ms } => {
                let fact = self.hear(fact)?;
                self.condition_changing(fact, for_ms)
            }
            Input::Event { fact } => {
                let fact = self.hear(fact)?;
                self.event(fact)
            }
            Input::LeaseGone(lease) => {
                self.lease_gone(lease);
                Ok(())
            }
            Input::Shutdown(uid) => {
                if !self.shutting_down() {
                    self.jot_input(Kind::Shutdown, 0, SlotId(0), &[uid], b"");
                }
                self.shut_down();
                Ok(())
            }
            Input::Tick => Ok(()),
        }
    }

    /// A fact that somebody tells: what moves from now on is caused by it.
    #[inline(never)]
    fn hear<'f>(&mut self, fact: &'f [u8]) -> Result<Fact<'f>, Refusal> {
        self.cause = Cause::Fact;
        Fact::parse(fact)
    }

    /// What its time has come for: conditions that were changing for too long; process-less slots that had to wait and
    /// move again, each as if that were reported of it.
    #[inline(never)]
    fn wake(&mut self) {
        if self.changing {
            self.end_changing();
        }
        if self.now >= self.deadline {
            self.deadline = Instant::NEVER;
            // One that has to wait again is not looked at twice.
            while let Some(at) = self.memory.pop(Set::Later) {
                self.memory.insert(Set::Due, at);
            }
            while let Some(at) = self.memory.pop(Set::Due) {
                self.caused_by(at);
                self.memory.insert(Set::Work, at);
                self.work_off(Set::STEP);
                self.close_transaction();
            }
        }
    }

    /// What moves from now on is caused by what is said of this slot.
    fn caused_by(&mut self, at: SlotId) {
        self.cause = Cause::Report(at);
        self.parent = self.transaction_of(at);
    }

    /// Everything that follows from what was taken: goals, neighbours, transitions, what is told, derived events.
    fn run(&mut self) {
        self.work_off(Set::STEP);
        while self.memory.pop_first(Set::ONCE).is_some() {}
    }

    /// Until these sets are empty: each time the lowest slot of the first that is not. So every transition is asked for
    /// when goals and neighbours are settled, what is shown follows when nothing moves any more, and events come last.
    fn work_off(&mut self, sets: u32) {
        const GOAL: u32 = Set::Goal as u32;
        const FALL: u32 = Set::Fall as u32;
        const RISE: u32 = Set::Rise as u32;
        const TURNED: u32 = Set::Turned as u32;
        const CHOOSE: u32 = Set::Choose as u32;
        const WORK: u32 = Set::Work as u32;
        const NEW_LIFE: u32 = Set::NewLife as u32;
        const STOP: u32 = Set::Stop as u32;
        const START: u32 = Set::Start as u32;
        const TELL: u32 = Set::Tell as u32;
        const TELL_BUNDLE: u32 = Set::TellBundle as u32;
        const TELL_BEGINNING: u32 = Set::TellBeginning as u32;
        const LISTEN: u32 = Set::Listen as u32;
        while let Some((set, at)) = self.memory.pop_first(sets) {
            match set {
                GOAL => self.look_at_goal(at),
                FALL => self.turn_if(at, false),
                RISE => self.turn_if(at, true),
                TURNED => self.look_at_turned(at),
                CHOOSE => self.choose(at, false),
                WORK => self.refresh(at),
                NEW_LIFE => self.tell_new_life(at),
                STOP => self.try_stop(at),
                START => self.try_start(at),
                TELL | TELL_BUNDLE | TELL_BEGINNING => self.tell(at, set),
                LISTEN => {
                    self.begin_child();
                    self.listen(at);
                    if self.memory.is_empty(Set::Listen) {
                        while self.memory.pop_first(Set::FLIPPED).is_some() {}
                    }
                }
                _ => {
                    self.begin_child();
                    self.take_events(at);
                }
            }
        }
    }

    /// A slot's phase, blocker and transactions, after everything has settled.
    fn tell(&mut self, at: SlotId, set: u32) {
        let new = self.phase(at);
        if set == Set::Tell as u32 {
            if self.is_bundle(at) {
                return self.memory.insert(Set::TellBundle, at);
            }
            if publish::begins(new) {
                return self.memory.insert(Set::TellBeginning, at);
            }
        }
        self.tell_phase(at, new);
        if self.look_at_blocker(at, new) {
            self.mark_published(at);
        }
        self.settle_entries(at, new);
        if at.0 >= self.services() {
            self.free_if_idle(at, new);
        }
    }

    fn tell_phase(&mut self, at: SlotId, new: Phase) {
        let old = self.told_phase(at);
        if old != new {
            self.jot_phase(at, old, new);
            let bits = self.memory.state(at) & !state::PHASE;
            self.memory.put_state(at, bits | (new as u32) << state::PHASE_SHIFT);
            self.memory.put_time(Table::Slots, at.0, memory::slot::SINCE, self.now);
            self.mark_published(at);
            self.memory.insert(Set::DirtyPhase, at);
            self.raise_change(at, new);
        }
    }

    /// The phase when it was last told.
    pub(super) fn told_phase(&self, at: SlotId) -> Phase {
        Phase::from_number((self.memory.state(at) & state::PHASE) >> state::PHASE_SHIFT)
    }

    fn process(&self, at: SlotId) -> Process {
        Process { bits: self.memory.state(at) }
    }

    #[inline(never)]
    fn boot_into(&mut self, at: SlotId) -> Result<(), Refusal> {
        if at.0 >= self.services() || self.is_template(at) {
            return Err(Refusal::NoSuchService);
        }
        let before = self.memory.machine(machine::BOOT);
        if before == at.0 + 1 || self.shutting_down() {
            return Ok(());
        }
        self.jot_input(Kind::Boot, 0, at, &[], b"");
        if let Some(current) = self.current() {
            self.put_holds(current, 0, Hold::Boot as u32);
        }
        self.memory.put_machine(machine::BOOT, at.0 + 1);
        self.memory.put_machine(machine::CURRENT, at.0 + 1);
        self.memory.put_machine(machine::BOOT_LEFT, 0);
        self.memory.put_machine(machine::BOOT_STATE, 0);
        self.put_holds(at, Hold::Boot as u32, 0);
        self.own_event(b"boot");
        Ok(())
    }

    /// Boot is reached when no member of the boot bundle is under way, and stays reached.
    fn look_at_boot(&mut self) {
        let Some(at) = self.memory.machine(machine::BOOT).checked_sub(1).map(SlotId) else { return };
        if self.memory.machine(machine::BOOT_STATE) == 0
            && self.goal(at) == Goal::Up
            && !self.memory.is_told(at, told::UNDER_WAY)
        {
            self.memory.put_machine(machine::BOOT_STATE, 1);
            self.memory.put_time(Table::Machine, 0, machine::BOOT_SINCE, self.now);
        }
    }

    /// The memory as far as it says anything that is not derived: another engine may go on from a copy of it, zeros
    /// behind.
    pub fn kept(&self) -> &'a [AtomicU32] {
        self.memory.kept()
    }

    /// What has the boot hold: what the machine was booted into, or has been switched to.
    pub fn current(&self) -> Option<SlotId> {
        self.memory.machine(machine::CURRENT).checked_sub(1).map(SlotId)
    }

    /// The template of which the newest input, a fact, makes no instance since its attributes give none a valid name.
    /// For the answer to whoever sent it; the step is done all the same.
    pub fn nameless(&self) -> Option<SlotId> {
        self.nameless
    }

    /// Whether nothing is under way: no start, no stop, no wait for either.
    pub fn at_rest(&self) -> bool {
        self.under_way == 0 && self.leaving == 0
    }

    /// The memory of what a step may have to undo: between steps it may be forgotten.
    pub fn undo_log(&self) -> &'a [AtomicU32] {
        self.memory.log_words()
    }

    /// When the engine wants a `Tick`.
    pub fn next_deadline(&self) -> Instant {
        self.first_changing().map_or(self.deadline, |(until, _)| self.deadline.min(until))
    }
}
