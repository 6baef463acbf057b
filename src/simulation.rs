//! A machine in simulated time: the real engine over boards of its own, and in the supervisor's place programs that do
//! as the caller says. `--dry-run` shows with it what a command would do; whoever vets a database can boot it so.
//!
//! Time passes in *rounds*. What is ordered together is begun together and ends together, a moment later; what that
//! leads to is the next round. A process-less slot turns in the round whose last end let it. The engine is told of ends
//! in slot order. The supervisor's own ways (delays, further attempts) are left out: a program that fails has failed
//! for good.
//!
//! It must not touch anything but what it is given, and allocates nothing. It ends: at rest, or after so many steps
//! that something must be going round for ever.

use core::sync::atomic::AtomicU32;

use crate::board::Geometry;
use crate::board::orders::Wish;
use crate::board::published::Published;
use crate::board::reports::{Exit, ReportRow, Reports, State};
use crate::board::words::{load, load_u64, store, store_u64};
use crate::database::{Image, NONE, policy, service};
use crate::engine::bits::Bits;
use crate::engine::{Engine, Input};
use crate::graph::{Phase, Relation};
use crate::ident::SlotId;
use crate::lang::definition::Kind;
use crate::text::nth;
use crate::time::Instant;

/// How the start of a service goes. (Stops always end.)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// It becomes ready; a oneshot ends well.
    Well,
    /// It ends at once, and for good.
    Fails,
    /// Nothing comes of it until `start-timeout` is past, and then it has failed. Without one: for ever.
    Hangs,
}

/// What becomes of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Its process is started.
    Start,
    /// Its process is ended, and started again.
    Restart,
    /// Its process is ended.
    Stop,
    /// It has no process, and is up.
    Up,
    /// It has no process, and is down.
    Down,
}

impl Change {
    /// The word for people.
    pub fn name(self) -> &'static str {
        // In their order.
        nth("start restart stop up down", b' ', self as usize)
    }
}

/// One change of one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition {
    /// Counted from 1. Those of a round do not wait for each other, but for process-less ones that came before.
    pub round: u32,
    /// What.
    pub change: Change,
    /// Of which slot.
    pub slot: SlotId,
}

/// How long anything takes.
const MOMENT_MS: u32 = 1;
/// An engine that wants to be woken later than this has nothing under way.
const PATIENCE_MS: u32 = 1000;

/// Sets of slots in the notes, and behind them a row for each slot.
const ORDERED: usize = 0;
const TURNED: usize = 1;
const DUE: usize = 2;
const MOVING: usize = 3;
const LATER: usize = 4;
const SETS: usize = 5;
/// Round in which it moved last.
const MOVED: usize = 0;
/// 1 for a process-less slot that is up.
const IS_UP: usize = 1;
/// Two words: when what was begun ends.
const ENDS: usize = 2;
const ROW: usize = 4;

/// A simulated machine.
pub struct Simulation<'a> {
    /// Its engine. After each of its steps: `look`.
    pub engine: Engine<'a>,
    image: Image<'a>,
    reports: Reports<'a>,
    published: Published<'a>,
    notes: &'a [AtomicU32],
    program: &'a dyn Fn(SlotId) -> Program,
    now: Instant,
    round: u32,
    /// The ends of a round are being told.
    telling: bool,
    steps_left: u32,
}

impl<'a> Simulation<'a> {
    /// Words of notes that it takes.
    pub fn words(geometry: Geometry) -> usize {
        SETS * Bits::words(geometry.slots()) as usize + geometry.slots() as usize * ROW
    }

    /// Over an engine, copies of the boards (those of what is published may be empty), and notes that are all zero.
    #[inline(never)]
    pub fn new(
        engine: Engine<'a>,
        image: Image<'a>,
        reports: Reports<'a>,
        published: Published<'a>,
        notes: &'a [AtomicU32],
        program: &'a dyn Fn(SlotId) -> Program,
    ) -> Simulation<'a> {
        let steps_left = 1024 + 32 * reports.geometry().slots();
        let now = Instant::default();
        let mut simulation =
            Simulation { engine, image, reports, published, notes, program, now, round: 1, telling: false, steps_left };
        simulation.look();
        simulation
    }

    /// Tells the engine all reports, as when it begins. What is under way goes on from here, and is no transition.
    #[inline(never)]
    pub fn begin(&mut self, now: Instant) {
        self.now = now;
        for slot in self.slots() {
            let row = self.row(slot);
            if row.state != State::Up && !row.state.is_down() {
                self.set_moving(slot);
            }
            self.tell(slot, &row);
        }
        while self.pop(TURNED).is_some() {}
        while let Some(slot) = self.pop(ORDERED) {
            self.set_moving(slot);
        }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Whether it was given up, since something goes round for ever.
    pub fn was_cut(&self) -> bool {
        self.steps_left == 0
    }

    /// Takes over what a step of the engine has changed.
    pub fn look(&mut self) {
        while let Some(dirty) = self.engine.take_dirty() {
            let slot = dirty.slot;
            if dirty.published {
                if let Some((template, name)) = self.engine.instance(slot) {
                    self.published.write_instance(slot, template, name.as_bytes());
                }
                let row = self.engine.published(slot);
                self.published.write(slot, &row);
                let up = u32::from(matches!(row.phase, Phase::Up | Phase::Restarting));
                if self.has_no_process(slot) && load(self.notes, self.note(slot) + IS_UP) != up {
                    store(self.notes, self.note(slot) + IS_UP, up);
                    self.insert(TURNED, slot);
                }
            }
            if dirty.order && self.engine.order(slot).number != self.row(slot).order {
                self.insert(ORDERED, slot);
            }
        }
        while let Some((index, row)) = self.engine.take_condition() {
            self.published.write_condition(index, &row);
        }
        while self.engine.take_ended().is_some() {}
    }

    /// The next transition; none at rest, or where it was cut.
    #[inline(never)]
    pub fn next_transition(&mut self) -> Option<Transition> {
        loop {
            let found = if let Some(slot) = self.pop(TURNED) {
                let up = load(self.notes, self.note(slot) + IS_UP) != 0;
                Some((slot, if up { Change::Up } else { Change::Down }))
            } else if let Some(slot) = self.pop(DUE) {
                self.end(slot);
                None
            } else {
                // What the ends have led to is another round.
                self.round += u32::from(core::mem::take(&mut self.telling));
                match self.pop(ORDERED) {
                    Some(slot) => self.act_on(slot).map(|change| (slot, change)),
                    None if self.steps_left > 0 && self.pass_time() => None,
                    None => return None,
                }
            };
            if let Some((slot, change)) = found {
                store(self.notes, self.note(slot) + MOVED, self.round);
                return Some(Transition { round: self.round, change, slot });
            }
        }
    }

    /// Whether a slot has been in a transition.
    pub fn has_moved(&self, slot: SlotId) -> bool {
        load(self.notes, self.note(slot) + MOVED) != 0
    }

    /// Gives `each` what a transition, the newest one of its slot, has waited for.
    #[inline(never)]
    pub fn waited_for(&self, transition: &Transition, each: &mut dyn FnMut(SlotId)) {
        let before = |slot: SlotId| {
            let moved = load(self.notes, self.note(slot) + MOVED);
            let at_once = self.has_no_process(slot) || self.has_no_process(transition.slot);
            moved != 0 && moved < transition.round + u32::from(at_once) && slot != transition.slot
        };
        let definition = self.definition(transition.slot);
        let comes = matches!(transition.change, Change::Start | Change::Up);
        let edges = if comes { self.image.edges(definition) } else { self.image.reverse(definition) };
        for edge in edges {
            let orders = edge.relation.is_in(Relation::ORDERS) || comes && edge.relation == Relation::Conflicts;
            if orders && before(edge.slot) {
                each(edge.slot);
            }
        }
    }

    /// The supervisor has seen an order.
    #[inline(never)]
    fn act_on(&mut self, slot: SlotId) -> Option<Change> {
        let (order, state) = (self.engine.order(slot), self.row(slot).state);
        self.set_moving(slot);
        match order.wish {
            Wish::Down if state.is_down() => None,
            Wish::Down => Some(Change::Stop),
            Wish::Up if state.is_down() || state == State::Stopping => Some(Change::Start),
            Wish::Up => Some(Change::Restart),
        }
    }

    fn set_moving(&self, slot: SlotId) {
        let comes = self.engine.order(slot).wish == Wish::Up;
        let ends = match if comes { (self.program)(slot) } else { Program::Well } {
            Program::Well | Program::Fails => self.now.plus_ms(MOMENT_MS),
            Program::Hangs => match self.policy(slot, policy::START_TIMEOUT_MS) {
                0 => Instant::NEVER,
                timeout => self.now.plus_ms(timeout),
            },
        };
        store_u64(self.notes, self.note(slot) + ENDS, ends.0);
        self.insert(MOVING, slot);
    }

    /// What was begun has come to its end, unless something newer is ordered.
    #[inline(never)]
    fn end(&mut self, slot: SlotId) {
        if self.set(ORDERED).contains(slot.0) {
            return;
        }
        let order = self.engine.order(slot);
        let mut row = self.row(slot);
        row.order = order.number;
        if order.wish == Wish::Down {
            row.state = State::Down;
        } else {
            row.life.0 = row.life.0.wrapping_add(1);
            (row.attempt, row.began) = (1, self.reports.stamp());
            match (self.program)(slot) {
                Program::Well if self.flags(slot) & service::flags::NO_REMAIN != 0 => row.state = State::Done,
                Program::Well => (row.state, row.ready) = (State::Up, self.reports.stamp()),
                Program::Fails => (row.state, row.exit) = (State::Failed, Exit::Code(1)),
                Program::Hangs => (row.state, row.exit) = (State::Failed, Exit::TimedOut),
            }
        }
        self.tell(slot, &row);
    }

    fn tell(&mut self, slot: SlotId, row: &ReportRow) {
        self.reports.write_quietly(slot, row);
        // The engine refuses no report.
        let _ = self.engine.step(self.now, Input::Report(slot, row));
        self.look();
        self.steps_left = self.steps_left.saturating_sub(1);
    }

    /// Goes on to the next time at which something ends, or at which the engine wants to be woken. False at rest.
    #[inline(never)]
    fn pass_time(&mut self) -> bool {
        let mut next = Instant::NEVER;
        while let Some(slot) = self.pop(MOVING) {
            next = next.min(self.ends(slot));
            self.insert(LATER, slot);
        }
        let wake = self.engine.next_deadline().max(self.now);
        let wakes = wake <= next.min(self.now.plus_ms(PATIENCE_MS));
        while let Some(slot) = self.pop(LATER) {
            let is_due = !wakes && self.ends(slot) <= next && next != Instant::NEVER;
            self.insert(if is_due { DUE } else { MOVING }, slot);
        }
        if !wakes && next == Instant::NEVER {
            return false;
        }
        self.now = if wakes { wake } else { next };
        self.steps_left -= 1;
        // Nothing, where the engine has nothing to be woken for.
        let _ = self.engine.step(self.now, Input::Tick);
        self.look();
        self.telling = true;
        true
    }

    fn slots(&self) -> impl Iterator<Item = SlotId> + use<> {
        (0..self.reports.geometry().slots()).map(SlotId)
    }

    fn row(&self, slot: SlotId) -> ReportRow {
        self.reports.get(slot)
    }

    fn ends(&self, slot: SlotId) -> Instant {
        Instant(load_u64(self.notes, self.note(slot) + ENDS))
    }

    /// Where the row of a slot is in the notes.
    fn note(&self, slot: SlotId) -> usize {
        SETS * Bits::words(self.reports.geometry().slots()) as usize + slot.index() * ROW
    }

    fn set(&self, set: usize) -> Bits<'a> {
        let slots = self.reports.geometry().slots();
        Bits::new(self.notes.get(set * Bits::words(slots) as usize..).unwrap_or_default(), slots)
    }

    #[inline(never)]
    fn insert(&self, set: usize, slot: SlotId) {
        self.set(set).insert(slot.0);
    }

    /// Takes out the lowest.
    #[inline(never)]
    fn pop(&self, set: usize) -> Option<SlotId> {
        self.set(set).pop().map(SlotId)
    }

    fn definition(&self, slot: SlotId) -> SlotId {
        self.engine.instance(slot).map_or(slot, |(template, _)| template)
    }

    fn flags(&self, slot: SlotId) -> u32 {
        self.image.flags(self.definition(slot))
    }

    fn has_no_process(&self, slot: SlotId) -> bool {
        self.flags(slot) & 0xff == Kind::Bundle as u32
    }

    fn policy(&self, slot: SlotId, field: usize) -> u32 {
        match self.image.service(self.definition(slot), service::POLICY) {
            NONE => 0,
            index => self.image.policy(index, field),
        }
    }
}
