//! One slot: its facts as bits, its counters, and the pure function from facts to phase.

use core::sync::atomic::Ordering;

use super::memory::{Derived, Memory, derived, slot};
use crate::board::reports::State;
use crate::graph::{Phase, Relation};
use crate::ident::SlotId;

/// Bits of the fact word `slot::STATE`.
pub mod state {
    /// The report's state.
    pub const REPORT: u32 = 0xf;
    /// The report is of the newest order.
    pub const CURRENT: u32 = 1 << 4;
    /// A life under this order has ended, or ends by itself: policy restarts it.
    pub const RETRIED: u32 = 1 << 5;
    /// The order wishes it up.
    pub const WISH_UP: u32 = 1 << 6;
    /// The order is a restart in place.
    pub const RESTART: u32 = 1 << 7;
    /// A restart in place was asked for, and waits until what binds to it is down.
    pub const RESTART_WANTED: u32 = 1 << 8;
    /// `failed`, `skipped` or `done` under this order is forgotten.
    pub const FORGIVEN: u32 = 1 << 9;
    /// The phase that was told last.
    pub const PHASE_SHIFT: u32 = 10;
    /// See `PHASE_SHIFT`.
    pub const PHASE: u32 = 0xf << PHASE_SHIFT;
    /// A bundle that is up: it has no process and no order.
    pub const VIRTUAL_UP: u32 = 1 << 14;
    /// A signal was asked for that the supervisor has not reported yet: there is room for one.
    pub const SIGNALLING: u32 = 1 << 15;
    /// Something was ordered once.
    pub const ORDERED: u32 = 1 << 16;
    /// The restart that was asked for takes along all that needs the service.
    pub const WITH_DEPENDENTS: u32 = 1 << 17;
    /// Another run follows the one that is under way: `overlap = queue`.
    pub const QUEUED: u32 = 1 << 18;
    /// A process is still there some time after SIGKILL.
    pub const STUCK: u32 = 1 << 19;
    /// It was skipped, and has not been up, down or failed since.
    pub const WAS_SKIPPED: u32 = 1 << 20;
    /// It was told to be `starting`, or a life has begun, and `stopped` was not told since. Decides nothing else.
    pub const BEGUN: u32 = 1 << 21;
}

/// Bits of the derived word `derived::TOLD`: what neighbours go by.
pub mod told {
    /// The goal is up: it pulls.
    pub const GOAL: u32 = 1 << 0;
    /// What the goal was when this step began.
    pub const GOAL_BEFORE: u32 = 1 << 1;
    /// It has processes, or may have, or is ordered to.
    pub const ACTIVE: u32 = 1 << 2;
    /// It is active and has to go down, or does.
    pub const GOING: u32 = 1 << 3;
    /// It has to go down and is not ordered to yet.
    pub const MUST_STOP: u32 = 1 << 4;
    /// What needs it may start.
    pub const START_OK: u32 = 1 << 5;
    /// What needs it may stay.
    pub const KEEP_OK: u32 = 1 << 6;
    /// See the semantics: a soft wait waits while this is so.
    pub const UNDER_WAY: u32 = 1 << 7;
    /// Its goal is down, and it is not down yet.
    pub const LEAVING: u32 = 1 << 8;
    /// The value of `up()`, two bits.
    pub const UP_SHIFT: u32 = 9;
    /// See `UP_SHIFT`.
    pub const UP: u32 = 3 << UP_SHIFT;
    /// `failed()`.
    pub const FAILED: u32 = 1 << 11;
    /// `essential`, and not up.
    pub const MISSING: u32 = 1 << 12;
    /// The value of its own `while`, two bits.
    pub const WHILE_SHIFT: u32 = 13;
    /// See `WHILE_SHIFT`.
    pub const WHILE: u32 = 3 << WHILE_SHIFT;
    /// What it binds to has had a new life since its own began.
    pub const BROKEN: u32 = 1 << 15;
    /// Derived events that are due, one bit each.
    pub const EVENT_SHIFT: u32 = 16;
    /// See `EVENT_SHIFT`.
    pub const EVENTS: u32 = 0x1f << EVENT_SHIFT;
    /// It can ever be up: a service that is no template, or an instance that exists. This and what follows is of its
    /// definition, kept here since each look at a slot asks for it.
    pub const LIVES: u32 = 1 << 21;
    /// A template's own slot: its run-time instances stand for it.
    pub const TEMPLATE: u32 = 1 << 22;
    /// A bundle.
    pub const BUNDLE: u32 = 1 << 23;
    /// A oneshot.
    pub const ONESHOT: u32 = 1 << 24;
    /// It has ended for good, a person's mark keeps it down, or something that it needs is barred: it comes up only
    /// when a person, or a trigger, has repaired that.
    pub const BARRED: u32 = 1 << 25;
    /// It conflicts with something.
    pub const RIVALS: u32 = 1 << 26;
    /// It binds to something.
    pub const BINDS: u32 = 1 << 28;
    /// A restart in place was asked for and waits; as of the last `refresh`.
    pub const RESTARTING: u32 = 1 << 27;
    /// It is wished up: held or pulled, and no person's mark keeps it down. As of the last look at its goal.
    pub const WISHED: u32 = 1 << 29;
    /// A choice, which is a bundle, too.
    pub const CHOICE: u32 = 1 << 30;
    /// It is skipped, which does not count as up, and its goal is up.
    pub const SKIPPED: u32 = 1 << 31;
    /// Those of its definition.
    pub const DEFINED: u32 = LIVES | TEMPLATE | BUNDLE | ONESHOT | RIVALS | BINDS | CHOICE;
    /// One of these comes: the slot begins to move.
    pub const MOVING: u32 = UNDER_WAY | GOING | LEAVING;
    /// Those that `refresh` computes.
    pub const COMPUTED: u32 = ACTIVE
        | GOING
        | MUST_STOP
        | START_OK
        | KEEP_OK
        | UNDER_WAY
        | LEAVING
        | UP
        | FAILED
        | MISSING
        | RESTARTING
        | SKIPPED
        | BARRED;
}

/// The counters of a slot, each 16 bits: at most four edges to each of 16,383 others. Those that change together stand
/// together, two in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Counter {
    /// Hard targets that do not let it start.
    Unmet = 0,
    /// Targets without which it may not stay.
    Lost = 1,
    /// Hard targets that do not let it start and are not under way either.
    Hopeless = 2,
    /// Soft targets (for a bundle, members too) that are under way.
    Unsettled = 3,
    /// Hard sources that are active.
    Dependents = 4,
    /// Hard sources that are going down.
    Leaving = 5,
    /// Sources with their goal up that pull.
    Pulls = 6,
    /// Observed targets that are under way.
    Observed = 7,
    /// Soft sources that are going down.
    SoftLeaving = 8,
    /// Conflicting ones that are active.
    Rivals = 9,
    /// Members of a bundle that are leaving.
    MembersLeaving = 10,
    /// Members of a bundle that do not let a dependent start.
    MembersUnready = 11,
    /// Hard targets that are barred.
    Barred = 12,
}

/// What a counter counts: neighbours by one of these relations that have one of these told bits, or that have none.
#[derive(Clone, Copy)]
pub struct Counts {
    counter: Counter,
    relations: u32,
    bits: u32,
    having: bool,
}

// Of the alternatives of a choice only the chosen one has an edge, see `choice.rs`.
pub const HARD: u32 = NEEDED | CONTAINS;
const NEEDED: u32 = Relation::set(&[Relation::Needs, Relation::Binds, Relation::NeedsToStart, Relation::Alternative]);
const NEEDS: u32 = Relation::set(&[Relation::Needs, Relation::Alternative]);
const CONTAINS: u32 = Relation::set(&[Relation::Contains]);
const ALTERNATIVES: u32 = Relation::set(&[Relation::Alternative]);
pub const BINDS: u32 = Relation::set(&[Relation::Binds]);
pub const MEMBERS: u32 = Relation::set(&[Relation::Contains, Relation::Alternative]);
const OBSERVES: u32 = Relation::set(&[Relation::Observes]);
/// Relations by which a source does nothing but count.
pub const COUNTED: u32 = Relation::set(&[Relation::Needs, Relation::NeedsToStart, Relation::Wants, Relation::After]);
pub const SETTLES: u32 = Relation::set(&[Relation::Wants, Relation::After, Relation::Observes]) | MEMBERS;
pub const FOLLOWS: u32 = Relation::set(&[Relation::Needs, Relation::Binds]) | MEMBERS;
pub const ORDERED: u32 = Relation::set(&[Relation::NeedsToStart, Relation::Wants, Relation::After, Relation::Observes]);

const fn counts(counter: Counter, relations: u32, bits: u32, having: bool) -> Counts {
    Counts { counter, relations, bits, having }
}

/// One of these has what lets a bundle that contains it be up.
pub const MEMBER_OK: u32 = told::START_OK | told::SKIPPED;

/// What a slot counts of its targets.
pub const OF_TARGETS: [Counts; 14] = [
    counts(Counter::Unmet, NEEDED, told::START_OK, false),
    counts(Counter::Unmet, CONTAINS, MEMBER_OK, false),
    counts(Counter::Hopeless, NEEDED, told::START_OK | told::UNDER_WAY, false),
    counts(Counter::Hopeless, CONTAINS, MEMBER_OK | told::UNDER_WAY, false),
    counts(Counter::Lost, NEEDS, told::KEEP_OK, false),
    counts(Counter::Lost, CONTAINS, told::KEEP_OK | told::SKIPPED, false),
    counts(Counter::Lost, BINDS, told::START_OK, false),
    counts(Counter::Unsettled, SETTLES, told::UNDER_WAY, true),
    counts(Counter::Observed, OBSERVES, told::UNDER_WAY, true),
    counts(Counter::MembersLeaving, MEMBERS, told::LEAVING, true),
    counts(Counter::MembersUnready, CONTAINS, MEMBER_OK, false),
    counts(Counter::MembersUnready, ALTERNATIVES, told::START_OK, false),
    counts(Counter::Barred, NEEDED, told::BARRED | told::SKIPPED, true),
    counts(Counter::Barred, CONTAINS, told::BARRED, true),
];

/// What a slot counts of its sources. (Rivals are counted one by one: a template stands for several.)
pub const OF_SOURCES: [Counts; 3] = [
    counts(Counter::Dependents, FOLLOWS, told::ACTIVE, true),
    counts(Counter::Leaving, FOLLOWS, told::GOING, true),
    counts(Counter::SoftLeaving, ORDERED, told::GOING, true),
];

/// What neighbours have to count, one way or the other, when told bits change: worked out once for those of a relation.
pub struct Recount<'t> {
    table: &'t [Counts],
    /// None for one that was not counted at all, or is not any more.
    old: Option<u32>,
    new: Option<u32>,
    /// The relation that `deltas` is for.
    relation: Option<Relation>,
    deltas: heapless::Vec<Delta, { derived::TOLD }>,
}

/// What to add to a word of two counters, and the highest bits of those that it changes.
#[derive(Clone, Copy)]
pub struct Delta {
    word: usize,
    add: u32,
    counters: u32,
}

const LOW: u32 = 0xffff;
/// The highest bit of each counter.
const HIGHEST: u32 = 0x8000_8000;

/// The highest bit of each of the two counters in a word that is not zero.
#[inline(always)]
const fn above_zero(word: u32) -> u32 {
    (((word & !HIGHEST) + !HIGHEST) | word) & HIGHEST
}

impl Delta {
    /// One up or down.
    pub fn of(counter: Counter, up: bool) -> Delta {
        let one = if (counter as u32).is_multiple_of(2) { 1 } else { LOW + 1 };
        Delta { word: counter as usize / 2, add: if up { one } else { one.wrapping_neg() }, counters: one << 15 }
    }

    /// Says whether a counter became or left zero.
    #[inline(always)]
    pub fn add_to(&self, row: &Derived) -> bool {
        let before = row[self.word].load(Ordering::Relaxed);
        let after = before.wrapping_add(self.add);
        row[self.word].store(after, Ordering::Relaxed);
        // Of a counter that does not change both are or are not zero, and that is no news.
        self.counters & !(above_zero(before) & above_zero(after)) != 0
    }
}

impl<'t> Recount<'t> {
    /// `old` is none for one that was not counted at all, `new` for one that is not any more.
    pub fn of(table: &'t [Counts], old: Option<u32>, new: Option<u32>) -> Recount<'t> {
        Recount { table, old, new, relation: None, deltas: heapless::Vec::new() }
    }

    /// A neighbour by this relation counts. Says whether a counter became or left zero. For very many edges, of which
    /// those of one relation come in a row.
    #[inline(always)]
    pub fn apply(&mut self, row: &Derived, relation: Relation) -> bool {
        if self.relation != Some(relation) {
            self.turn_to(relation);
        }
        let mut crossed = false;
        for delta in &self.deltas {
            crossed |= delta.add_to(row);
        }
        crossed
    }

    /// The same, for few edges.
    #[inline(never)]
    pub fn apply_once(&mut self, row: &Derived, relation: Relation) {
        self.apply(row, relation);
    }

    #[inline(never)]
    fn turn_to(&mut self, relation: Relation) {
        self.relation = Some(relation);
        self.deltas.clear();
        let changed = match (self.old, self.new) {
            (Some(old), Some(new)) => old ^ new,
            _ => u32::MAX,
        };
        for row in self.table {
            if row.bits & changed == 0 || !relation.is_in(row.relations) {
                continue;
            }
            let is_counted = |bits: u32| (bits & row.bits != 0) == row.having;
            let (before, after) = (self.old.is_some_and(is_counted), self.new.is_some_and(is_counted));
            if before == after {
                continue;
            }
            let new = Delta::of(row.counter, after);
            match self.deltas.iter_mut().find(|delta| delta.word == new.word) {
                Some(delta) => {
                    delta.add = delta.add.wrapping_add(new.add);
                    delta.counters |= new.counters;
                }
                // There is a place for every word of counters.
                None => drop(self.deltas.push(new)),
            }
        }
    }
}

/// A counter in what is derived of a slot.
#[inline(always)]
pub fn counted(row: &Derived, counter: Counter) -> u32 {
    row[counter as usize / 2].load(Ordering::Relaxed) >> (counter as u32 % 2 * 16) & LOW
}

impl Memory<'_> {
    #[inline(never)]
    pub fn counter(&self, at: SlotId, counter: Counter) -> u32 {
        counted(self.near(at), counter)
    }

    /// Counts up or down by one; says whether it became or left zero.
    pub fn count(&self, at: SlotId, counter: Counter, up: bool) -> bool {
        Delta::of(counter, up).add_to(self.near(at))
    }

    #[inline(never)]
    pub fn state(&self, at: SlotId) -> u32 {
        self.facts(at)[slot::STATE].load(Ordering::Relaxed)
    }

    pub fn put_state(&self, at: SlotId, value: u32) {
        self.put_slot(at, slot::STATE, value);
    }

    #[inline(never)]
    pub fn told(&self, at: SlotId) -> u32 {
        self.near(at)[derived::TOLD].load(Ordering::Relaxed)
    }

    pub fn set_told(&self, at: SlotId, value: u32) {
        self.set_derived(at, derived::TOLD, value);
    }

    #[inline(never)] // and without a call of its own: nothing is asked more often
    pub fn is_told(&self, at: SlotId, bit: u32) -> bool {
        self.near(at)[derived::TOLD].load(Ordering::Relaxed) & bit != 0
    }
}

/// The facts about a service that has processes which decide what it is now.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Fact bits.
    pub bits: u32,
}

impl Process {
    pub fn report(self) -> State {
        State::from_number(self.bits & state::REPORT)
    }

    /// Whether the report is in this set of states.
    #[inline(always)]
    fn reports(self, states: u32) -> bool {
        states >> (self.bits & state::REPORT) & 1 == 1
    }

    pub fn wished_up(self) -> bool {
        self.bits & state::WISH_UP != 0
    }

    /// Whether it ended for good under its newest order, and that is not forgotten.
    pub fn ended(self) -> bool {
        self.gave_up() && self.bits & state::FORGIVEN == 0
    }

    fn gave_up(self) -> bool {
        const ALL: u32 = state::ORDERED | state::WISH_UP | state::CURRENT;
        self.bits & ALL == ALL && self.reports(State::ENDED)
    }

    /// Whether a process may exist, or is ordered to.
    pub fn active(self) -> bool {
        if self.bits & state::ORDERED == 0 || self.gave_up() {
            return false;
        }
        self.wished_up() || self.bits & state::CURRENT == 0 || !self.reports(State::DOWN)
    }

    /// Whether a process is still there though it was killed.
    pub fn stuck(self) -> bool {
        self.bits & state::STUCK != 0 && self.active()
    }

    /// Whether the current life has begun under the newest order.
    pub fn living(self) -> bool {
        const LIVING: u32 = state::WISH_UP | state::CURRENT;
        self.bits & LIVING == LIVING && self.reports(State::BEGUN)
    }

    /// The phase: a pure function of facts, order and report.
    pub fn phase(self, goal_up: bool) -> Phase {
        const UP: u32 = State::set(&[State::Up]);
        if !self.active() {
            return match self.report() {
                State::Failed if self.ended() => Phase::Failed,
                State::Done if self.ended() => Phase::Done,
                State::Skipped if self.ended() => Phase::Skipped,
                _ if goal_up => Phase::Waiting,
                _ => Phase::Down,
            };
        }
        if !self.wished_up() || self.bits & state::STUCK != 0 {
            return Phase::Stopping;
        }
        let current = self.bits & state::CURRENT != 0;
        if current && self.reports(UP) {
            return Phase::Up;
        }
        let again = current && self.bits & state::RETRIED != 0;
        if again || self.bits & state::RESTART != 0 { Phase::Restarting } else { Phase::Starting }
    }
}
