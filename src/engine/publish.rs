//! What the engine shows: orders, texts, published rows, conditions, and what each slot waits for.

use super::expression::Value;
use super::memory::{Set, condition, derived, machine, slot, text};
use super::slot::{Counter, state, told};
use super::{Boot, Dirty, Engine, Text};
use crate::board::orders::{OrderRow, PASS_BYTES_MAX, Wish};
use crate::board::published::{Blocker, ConditionRow, PublishedRow};
use crate::graph::{Goal, Hold, Holds, Phase, Relation};
use crate::ident::{Order, SlotId};
use crate::limits::{FACT_BYTES_MAX, INSTANCE_BYTES_MAX};
use crate::time::Instant;

impl Engine<'_> {
    pub(super) fn mark_published(&mut self, at: SlotId) {
        self.memory.insert(Set::DirtyPublished, at);
        self.memory.insert(Set::Dirty, at);
    }

    pub(super) fn mark_order(&mut self, at: SlotId) {
        self.memory.insert(Set::DirtyOrder, at);
        self.memory.insert(Set::Dirty, at);
    }

    /// The next slot of which something is to be written, each once.
    pub fn take_dirty(&mut self) -> Option<Dirty> {
        let at = self.memory.pop(Set::Dirty)?;
        Some(Dirty {
            slot: at,
            order: self.memory.remove(Set::DirtyOrder, at),
            published: self.memory.remove(Set::DirtyPublished, at),
            phase: self.memory.remove(Set::DirtyPhase, at),
        })
    }

    /// The next condition row that is to be written.
    pub fn take_condition(&mut self) -> Option<(u32, ConditionRow)> {
        let index = self.memory.dirty_conditions().pop()?;
        let get = |field| self.memory.condition(index, field);
        let mut text = [0; FACT_BYTES_MAX];
        if get(condition::VALUE) != 0 {
            self.memory.read_bytes(self.memory.condition_row(index) + condition::TEXT, &mut text);
        }
        let row = ConditionRow {
            // The board's numbers: 1 on, 2 changing.
            value: match get(condition::VALUE) {
                0 => 0,
                value if value == Value::On as u32 => 1,
                _ => 2,
            },
            since: Instant(u64::from(get(condition::SINCE)) | u64::from(get(condition::SINCE + 1)) << 32),
            generation: get(condition::GENERATION),
            pid: get(condition::PID),
            uid: get(condition::UID),
            leased: get(condition::LEASE) != 0,
            text,
        };
        Some((index, row))
    }

    /// What the slot's order row is to be.
    pub fn order(&self, at: SlotId) -> OrderRow {
        let bits = self.memory.state(at);
        let asked = self.memory.slot(at, slot::ASKED);
        OrderRow {
            number: Order(self.memory.slot(at, slot::ORDER)),
            wish: if bits & state::WISH_UP != 0 { Wish::Up } else { Wish::Down },
            restart: bits & state::RESTART != 0,
            reload: asked >> 20,
            signal: asked & 0xf_ffff,
            service: self.record(at).0,
            text: self.text_row(at).map_or(0, |row| row + 1),
        }
    }

    /// The text that goes with the slot's order, if any.
    pub fn text(&self, at: SlotId) -> Option<Text> {
        let row = self.text_row(at)?;
        let words = self.memory.text_row(row);
        let mut found = Text { row, instance: [0; INSTANCE_BYTES_MAX + 1], pass: [0; PASS_BYTES_MAX] };
        self.memory.read_bytes(words + text::NAME, &mut found.instance);
        self.memory.read_bytes(words + text::PASS, &mut found.pass);
        Some(found)
    }

    /// What the slot's published row is to be.
    pub fn published(&self, at: SlotId) -> PublishedRow {
        let holds = self.memory.slot(at, slot::HOLDS);
        let pulled = self.memory.counter(at, Counter::Pulls) > 0;
        let shutdown = self.shutting_down() && self.goal(at) == Goal::Down;
        let since = [self.memory.slot(at, slot::SINCE), self.memory.slot(at, slot::SINCE + 1)];
        PublishedRow {
            phase: self.told_phase(at),
            goal: self.goal(at),
            holds: Holds(
                holds | if pulled { Hold::Need as u32 } else { 0 } | if shutdown { Holds::MARK_SHUTDOWN } else { 0 },
            ),
            since: Instant(u64::from(since[0]) | u64::from(since[1]) << 32),
            blocker: self.known_blocker(at),
            exists: self.lives(at) || self.is_template(at),
        }
    }

    pub(super) fn goal(&self, at: SlotId) -> Goal {
        if self.memory.is_told(at, told::GOAL) { Goal::Up } else { Goal::Down }
    }

    /// How far the boot has come.
    pub fn boot(&self) -> Boot {
        let get = |field| self.memory.machine(field);
        let reached = get(machine::BOOT_STATE) != 0;
        Boot {
            state: if reached { 1 + u32::from(self.missing == 0) } else { 0 },
            since: Instant(u64::from(get(machine::BOOT_SINCE)) | u64::from(get(machine::BOOT_SINCE + 1)) << 32),
        }
    }

    /// Whether a shutdown has taken everything down: `orders::own::ALL_DOWN`.
    pub fn all_down(&self) -> bool {
        self.shutting_down() && self.leaving == 0 && self.under_way == 0
    }

    fn known_blocker(&self, at: SlotId) -> Blocker {
        let word = self.memory.derived(at, derived::BLOCKER);
        let slot = SlotId(word & 0x0fff_ffff);
        match word >> 28 {
            1 => Blocker::NeedsUp(slot),
            2 => Blocker::Settles(slot),
            3 => Blocker::WhileOff,
            4 => Blocker::Marked,
            5 => Blocker::Conflict(slot),
            6 => Blocker::DependentStops(slot),
            7 => Blocker::StartLimit,
            8 => Blocker::Ordered,
            _ => Blocker::Nothing,
        }
    }

    /// Finds anew what keeps the slot from its goal; says whether that changed.
    pub(super) fn look_at_blocker(&mut self, at: SlotId) -> bool {
        let blocker = self.find_blocker(at);
        let word = match blocker {
            Blocker::Nothing => 0,
            Blocker::NeedsUp(slot) => 1 << 28 | slot.0,
            Blocker::Settles(slot) => 2 << 28 | slot.0,
            Blocker::WhileOff => 3 << 28 | 0x0fff_ffff,
            Blocker::Marked => 4 << 28 | 0x0fff_ffff,
            Blocker::Conflict(slot) => 5 << 28 | slot.0,
            Blocker::DependentStops(slot) => 6 << 28 | slot.0,
            Blocker::StartLimit => 7 << 28 | 0x0fff_ffff,
            Blocker::Ordered => 8 << 28 | 0x0fff_ffff,
        };
        let changed = self.memory.derived(at, derived::BLOCKER) != word;
        self.memory.set_derived(at, derived::BLOCKER, word);
        changed
    }

    fn find_blocker(&self, at: SlotId) -> Blocker {
        if !self.lives(at) {
            return Blocker::Nothing;
        }
        let bits = self.memory.told(at);
        let has = |counter| self.memory.counter(at, counter) > 0;
        if bits & told::MUST_STOP != 0 {
            return self.find_dependent(at, false).map_or(Blocker::Ordered, Blocker::DependentStops);
        }
        if bits & told::ACTIVE != 0 && self.memory.state(at) & state::RESTART_WANTED != 0 {
            return self.bound_source(at).map_or(Blocker::Ordered, Blocker::DependentStops);
        }
        match self.phase(at) {
            Phase::Up | Phase::Failed | Phase::Skipped | Phase::Done => Blocker::Nothing,
            Phase::Starting | Phase::Restarting | Phase::Stopping => Blocker::Ordered,
            Phase::Down => {
                let holds = Holds(self.memory.slot(at, slot::HOLDS));
                if !holds.held() && !has(Counter::Pulls) {
                    Blocker::Nothing
                } else if holds.0 & Holds::MARK_ADMIN != 0 || self.shutting_down() {
                    Blocker::Marked
                } else {
                    self.risen_rival(at).map_or(Blocker::Marked, Blocker::Conflict)
                }
            }
            Phase::Waiting => {
                if self.gate(at) != Value::On {
                    Blocker::WhileOff
                } else if has(Counter::Unmet) {
                    self.find_target(at, true).map_or(Blocker::Nothing, Blocker::NeedsUp)
                } else if has(Counter::Rivals) {
                    self.find_rival(at, told::ACTIVE).map_or(Blocker::Nothing, Blocker::Conflict)
                } else if has(Counter::Leaving) {
                    self.find_dependent(at, true).map_or(Blocker::Nothing, Blocker::DependentStops)
                } else if has(Counter::Unsettled) {
                    self.find_target(at, false).map_or(Blocker::Nothing, Blocker::Settles)
                } else {
                    Blocker::StartLimit
                }
            }
        }
    }

    /// The first target, from the one found last time on, that a start waits for. Targets come up roughly in their order,
    /// so that all searches of one start together cost about one pass over its edges.
    fn find_target(&self, at: SlotId, hard: bool) -> Option<SlotId> {
        let cursor = self.memory.derived(at, derived::CURSOR) as usize;
        let waits = |relation: Relation, target: SlotId| {
            let bits = self.memory.told(target);
            match relation {
                Relation::Needs | Relation::Binds | Relation::NeedsToStart | Relation::Contains if hard => {
                    bits & told::START_OK == 0
                }
                Relation::Contains | Relation::Wants | Relation::After | Relation::Observes if !hard => {
                    bits & told::UNDER_WAY != 0
                }
                _ => false,
            }
        };
        let find =
            |skip: usize| self.edges(at).enumerate().skip(skip).find(|(_, edge)| waits(edge.relation, edge.slot));
        let (place, edge) = find(cursor).or_else(|| find(0))?;
        self.memory.set_derived(at, derived::CURSOR, place as u32);
        Some(edge.slot)
    }

    /// The first source that a stop (or, `going`, a start) waits for.
    fn find_dependent(&self, at: SlotId, going: bool) -> Option<SlotId> {
        if at.0 >= self.services() {
            return None;
        }
        let holds_up = |relation: Relation, source: SlotId| {
            let bit = match relation {
                Relation::Needs | Relation::Binds | Relation::Contains if !going => told::ACTIVE,
                Relation::Needs | Relation::Binds | Relation::Contains => told::GOING,
                Relation::NeedsToStart | Relation::Wants | Relation::After | Relation::Observes if !going => {
                    told::GOING
                }
                Relation::NeedsToStart
                | Relation::Wants
                | Relation::After
                | Relation::Observes
                | Relation::Conflicts
                | Relation::Listens => return None,
            };
            let mut sources = self.live(source);
            while let Some(source) = sources.next(self) {
                if self.memory.is_told(source, bit) {
                    return Some(source);
                }
            }
            None
        };
        let find = |skip: usize| {
            let mut edges = self.image.reverse(at).enumerate().skip(skip);
            edges.find_map(|(place, edge)| Some((place, holds_up(edge.relation, edge.slot)?)))
        };
        let (place, source) = find(self.memory.derived(at, derived::CURSOR) as usize).or_else(|| find(0))?;
        self.memory.set_derived(at, derived::CURSOR, place as u32);
        Some(source)
    }
}
