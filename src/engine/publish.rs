//! What the engine shows: orders, texts, published rows, conditions, and what each slot waits for.

use core::sync::atomic::Ordering;

use super::expression::{Role, Value};
use super::memory::{Set, Table, condition, derived, machine, reasons, slot, text};
use super::slot::{Counter, FOLLOWS, HARD, MEMBER_OK, ORDERED, SETTLES, counted, state, told};
use super::transaction::Cause;
use super::{Boot, Dirty, Engine, Text};
use crate::board::orders::{OrderRow, TEXT_WORDS, Wish};
use crate::board::published::{Blocker, ConditionRow, EIGHTH_NS, Event, PublishedRow, Reason, Reasons};
use crate::database::image::Edges;
use crate::graph::relation::Edge;
use crate::graph::{Goal, Hold, Holds, Phase, Relation};
use crate::ident::{Order, SlotId};
use crate::limits::FACT_BYTES_MAX;
use crate::time::Instant;

impl Engine<'_> {
    pub(super) fn mark_published(&self, at: SlotId) {
        self.memory.insert(if self.is_bundle(at) { Set::DirtyBundle } else { Set::DirtyPublished }, at);
    }

    pub(super) fn mark_order(&self, at: SlotId) {
        self.memory.insert(Set::DirtyOrder, at);
    }

    pub(super) fn mark_condition(&self, index: u32) {
        self.memory.insert(Set::DirtyCondition, SlotId(index));
    }

    /// The next slot of which something is to be written: orders first, then all else, each slot once, what has come to
    /// an end before bundles, and those before what begins.
    pub fn take_dirty(&mut self) -> Option<Dirty> {
        loop {
            let (set, slot) = self.memory.pop_first(Set::DIRTY)?;
            if set == Set::DirtyPublished as u32 && begins(self.told_phase(slot)) {
                self.memory.insert(Set::DirtyBeginning, slot);
                continue;
            }
            let (order, only_reasons) = (set == Set::DirtyOrder as u32, set == Set::DirtyReasons as u32);
            let published = !order && !only_reasons;
            let is = |set: Set| published && self.memory.remove(set, slot);
            let (phase, reasons) = (is(Set::DirtyPhase), only_reasons || is(Set::DirtyReasons));
            return Some(Dirty { slot, order, published, phase, reasons });
        }
    }

    /// The slot's reasons, as they are published.
    pub fn reasons(&self, at: SlotId) -> [u32; Reasons::WORDS] {
        core::array::from_fn(|word| self.memory.word(Table::Reasons, at.0, reasons::FIRST + word))
    }

    /// Something has made the slot's goal what it is from now on, or may have: one of the places of `Reasons`.
    pub(super) fn note_reason(&self, at: SlotId, place: usize, event: Event, of: u32) {
        let of = if place == Reasons::PERSON { self.asker.min(Reason::NOBODY) } else { of };
        let eighths = (self.now.0 / EIGHTH_NS) as u32;
        let reason = Reason { event, of, transaction: self.transaction_here(at), eighths };
        for (word, value) in reason.to_words().iter().enumerate() {
            self.memory.put(Table::Reasons, at.0, reasons::FIRST + place * Reason::WORDS + word, *value);
        }
        self.memory.put(Table::Reasons, at.0, reasons::FIRST + Reasons::WORDS - 1, place as u32);
        self.memory.insert(Set::DirtyReasons, at);
    }

    /// The same of holds and marks that are laid and dropped.
    pub(super) fn note_holds(&self, at: SlotId, laid: u32, dropped: u32) {
        let admin = Hold::Admin as u32;
        let (place, event) = match self.cause {
            _ if laid & Holds::MARK_ADMIN != 0 => (Reasons::PERSON, Event::Stopped),
            _ if laid & admin != 0 => (Reasons::PERSON, Event::Started),
            _ if laid & Hold::Boot as u32 != 0 => (Reasons::OTHER, Event::Booted),
            _ if laid != 0 || dropped & !Holds::MARK_CONFLICT == 0 => return,
            Cause::Switch => (Reasons::OTHER, Event::Switched),
            Cause::Report(_) => (Reasons::OTHER, Event::Ended),
            Cause::Command | Cause::Restart => (Reasons::PERSON, Event::Released),
            _ if dropped & Hold::Condition as u32 != 0 => (Reasons::OTHER, Event::ConditionOff),
            Cause::Fact | Cause::Derived | Cause::Nothing => return,
        };
        self.note_reason(at, place, event, 0);
    }

    /// A new instance is in this slot.
    pub(super) fn forget_reasons(&self, at: SlotId) {
        for word in reasons::FIRST..reasons::ROW {
            self.memory.put(Table::Reasons, at.0, word, 0);
        }
        self.memory.insert(Set::DirtyReasons, at);
    }

    /// Whether an order or a phase has changed, or a transaction has ended, that was not taken yet.
    pub fn has_moved(&self) -> bool {
        const MOVED: u32 = 1 << Set::DirtyOrder as u32 | 1 << Set::DirtyPhase as u32 | 1 << Set::Ended as u32;
        self.memory.has_any(MOVED)
    }

    /// The next condition row that is to be written.
    pub fn take_condition(&mut self) -> Option<(u32, ConditionRow)> {
        let SlotId(index) = self.memory.pop(Set::DirtyCondition)?;
        let get = |field| self.memory.condition(index, field);
        let is_free = get(condition::VALUE) == 0;
        let text = if is_free { [0; FACT_BYTES_MAX] } else { *self.memory.condition_fact(index).padded() };
        let row = ConditionRow {
            // The board's numbers: 1 on, 2 changing.
            value: match get(condition::VALUE) {
                0 => 0,
                value if value == Value::On as u32 => 1,
                _ => 2,
            },
            since: self.memory.time(Table::Conditions, index, condition::SINCE),
            generation: get(condition::GENERATION),
            pid: get(condition::PID),
            uid: get(condition::UID),
            leased: !matches!(get(condition::LEASE), 0 | condition::ORPHAN),
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
        let mut found = Text { row, words: [0; TEXT_WORDS] };
        self.memory.read_words(self.memory.row(Table::Texts, row) + text::NAME, &mut found.words);
        Some(found)
    }

    /// What the slot's published row is to be.
    pub fn published(&self, at: SlotId) -> PublishedRow {
        let (row, own) = (self.memory.near(at), self.memory.facts(at));
        let holds = own[slot::HOLDS].load(Ordering::Relaxed);
        let pulled = counted(row, Counter::Pulls) > 0;
        let goal = self.goal(at);
        let shutdown = goal == Goal::Down && self.shutting_down();
        PublishedRow {
            phase: self.told_phase(at),
            goal,
            holds: Holds(
                holds | if pulled { Hold::Need as u32 } else { 0 } | if shutdown { Holds::MARK_SHUTDOWN } else { 0 },
            ),
            since: self.memory.time(Table::Slots, at.0, slot::SINCE),
            blocker: self.known_blocker(at),
            exists: self.lives(at) || self.is_template(at),
            latches: self.memory.slot(at, slot::LATCH_START),
            queued: self.memory.state(at) & state::QUEUED != 0,
        }
    }

    /// Gives the times of the slot's latches that are set and of which times are kept to `write`, with row and latch.
    pub fn latch_times(&self, at: SlotId, write: &mut dyn FnMut(u32, u32, Instant)) {
        let Some(row) = self.latch_row(at) else { return };
        let mut set = self.memory.slot(at, slot::LATCH_START);
        while set != 0 {
            let bit = set.trailing_zeros();
            write(row, bit, self.memory.time(Table::Latches, row, Role::StartOn.latch_time(bit)));
            set &= set - 1;
        }
    }

    pub(super) fn goal(&self, at: SlotId) -> Goal {
        if self.memory.is_told(at, told::GOAL) { Goal::Up } else { Goal::Down }
    }

    /// How far the boot has come.
    pub fn boot(&self) -> Boot {
        let reached = self.memory.machine(machine::BOOT_STATE) != 0;
        let good = match self.memory.machine(machine::BOOT_LEFT) {
            0 => self.missing == 0,
            // What is missing after a switch does not count.
            left => left == 2,
        };
        Boot {
            state: if reached { 1 + u32::from(good) } else { 0 },
            since: self.memory.time(Table::Machine, 0, machine::BOOT_SINCE),
        }
    }

    /// Whether a shutdown has taken everything down: `orders::own::ALL_DOWN`.
    pub fn all_down(&self) -> bool {
        self.shutting_down() && self.leaving == 0 && self.under_way == 0
    }

    fn known_blocker(&self, at: SlotId) -> Blocker {
        let word = self.memory.derived(at, derived::BLOCKER);
        Blocker::from_words(word >> 28, word & 0x0fff_ffff)
    }

    /// Finds anew what keeps the slot from its goal; says whether that changed.
    pub(super) fn look_at_blocker(&mut self, at: SlotId, phase: Phase) -> bool {
        let (code, slot) = self.find_blocker(at, phase).to_words();
        let word = code << 28 | slot;
        let shown = &self.memory.near(at)[derived::BLOCKER];
        let changed = shown.load(Ordering::Relaxed) != word;
        shown.store(word, Ordering::Relaxed);
        changed
    }

    fn find_blocker(&self, at: SlotId, phase: Phase) -> Blocker {
        let row = self.memory.near(at);
        let bits = row[derived::TOLD].load(Ordering::Relaxed);
        if bits & told::LIVES == 0 {
            return Blocker::Nothing;
        }
        let has = |counter| counted(row, counter) > 0;
        if bits & told::MUST_STOP != 0 {
            return self.find_dependent(at, false).map_or(Blocker::Ordered, Blocker::DependentStops);
        }
        if bits & told::ACTIVE != 0 && self.memory.state(at) & state::RESTART_WANTED != 0 {
            return self.bound_source(at).map_or(Blocker::Ordered, Blocker::DependentStops);
        }
        match phase {
            Phase::Up | Phase::Restarting if bits & told::CHOICE != 0 => {
                self.edges(at).next().map_or(Blocker::Nothing, |edge| Blocker::Chosen(edge.slot))
            }
            Phase::Up | Phase::Failed | Phase::Skipped | Phase::Done => Blocker::Nothing,
            Phase::Starting | Phase::Restarting | Phase::Stopping => Blocker::Ordered,
            Phase::Down => {
                let holds = Holds(self.memory.slot(at, slot::HOLDS));
                let aside = holds.0 & Holds::MARK_ASIDE;
                if !holds.held() && !has(Counter::Pulls) && aside == 0 {
                    Blocker::Nothing
                } else if holds.0 & Holds::MARK_ADMIN | aside != 0 || self.shutting_down() {
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
                    self.find_rival(at, &|rival| self.is_in_the_way(rival)).map_or(Blocker::Nothing, Blocker::Conflict)
                } else if has(Counter::Leaving) {
                    self.find_dependent(at, true).map_or(Blocker::Nothing, Blocker::DependentStops)
                } else if has(Counter::Unsettled) {
                    self.find_target(at, false).map_or(Blocker::Nothing, Blocker::Settles)
                } else if self.place_in_line(at) != 0 {
                    Blocker::StartLimit
                } else {
                    Blocker::Nothing
                }
            }
        }
    }

    /// The last target that a start waits for.
    fn find_target(&self, at: SlotId, hard: bool) -> Option<SlotId> {
        let (relations, is) = if hard { (HARD, false) } else { (SETTLES, true) };
        self.find_last(at, self.edges(at), &|edge| {
            let bits = match (hard, edge.relation) {
                (false, _) => told::UNDER_WAY,
                (true, Relation::Contains) => MEMBER_OK,
                (true, _) => told::START_OK,
            };
            let waits = edge.relation.is_in(relations) && self.memory.is_told(edge.slot, bits) == is;
            waits.then_some(edge.slot)
        })
    }

    /// The last source that a stop (or, `going`, a start) waits for.
    fn find_dependent(&self, at: SlotId, going: bool) -> Option<SlotId> {
        if at.0 >= self.services() {
            return None;
        }
        self.find_last(at, self.image.reverse(at), &|edge| {
            let bit = match (edge.relation.is_in(FOLLOWS), going) {
                (true, false) => told::ACTIVE,
                (false, false) if edge.relation.is_in(ORDERED) => told::GOING,
                (true, true) => told::GOING,
                (false, _) => return None,
            };
            self.find_live(edge.slot, &|source| {
                self.memory.is_told(source, bit) && self.counts(edge.relation, source, at)
            })
        })
    }

    /// The last of these edges by which something is waited for. The search goes on backwards where it ended last time,
    /// and begins again only if it finds nothing: neighbours come up roughly in their order, so the last one stays what
    /// is waited for, and all searches of one start together cost about one pass.
    fn find_last(&self, at: SlotId, edges: Edges<'_>, waits: &dyn Fn(Edge) -> Option<SlotId>) -> Option<SlotId> {
        for skip in &[self.memory.derived(at, derived::CURSOR), 0] {
            let mut left = edges.clone().but_last(*skip);
            while let Some(edge) = left.next_back() {
                if let Some(end) = waits(edge) {
                    self.memory.set_derived(at, derived::CURSOR, edges.len() - left.len() - 1);
                    return Some(end);
                }
            }
        }
        None
    }

    /// The first source of which something is so.
    pub(super) fn find_source(&self, at: SlotId, is: &dyn Fn(Relation, SlotId) -> bool) -> Option<SlotId> {
        if at.0 >= self.services() {
            return None;
        }
        self.image.reverse(at).find_map(|edge| {
            let relation = edge.relation;
            self.find_live(edge.slot, &|source| self.counts(relation, source, at) && is(relation, source))
        })
    }
}

/// Whether what is in this phase is told behind what made it possible.
pub(super) fn begins(phase: Phase) -> bool {
    matches!(phase, Phase::Starting | Phase::Restarting | Phase::Stopping)
}
