//! Slots and the definitions they follow: services, run-time instances of templates, and their making and freeing.
//!
//! An instance slot takes record and edges of its template. A template's own slot never lives; what reaches it by an
//! edge reaches its run-time instances. (Static instances, named by some file, are ordinary services.)

use core::sync::atomic::Ordering;

use super::expression::Role;
use super::fact::{self, Fact};
use super::memory::{Set, Table, derived, slot, text};
use super::slot::{Counter, OF_TARGETS, Recount, state, told};
use super::{Engine, Name, Target};
use crate::database::image::Edges;
use crate::database::service::flags;
use crate::database::{NONE, service};
use crate::expand::{Piece, pieces};
use crate::graph::{Phase, Relation};
use crate::ident::SlotId;
use crate::lang::definition::Kind;
use crate::limits::INSTANCE_BYTES_MAX;
use crate::names;

/// The slots that an edge's end stands for: itself, or for a template its run-time instances.
#[derive(Clone, Copy)]
pub struct Live {
    next: Option<SlotId>,
    chain: bool,
}

impl Live {
    #[inline(always)]
    pub fn next(&mut self, engine: &Engine<'_>) -> Option<SlotId> {
        let at = self.next?;
        self.next = if self.chain { engine.next_instance(at) } else { None };
        Some(at)
    }
}

impl<'a> Engine<'a> {
    pub(super) fn services(&self) -> u32 {
        self.image.services()
    }

    /// The service whose definition a slot follows; behind the last service for a free instance slot.
    pub(super) fn record(&self, at: SlotId) -> SlotId {
        if at.0 < self.services() {
            return at;
        }
        match self.memory.slot(at, slot::TEMPLATE) {
            0 => SlotId(self.services()),
            template => SlotId(template - 1),
        }
    }

    pub(super) fn is_template(&self, at: SlotId) -> bool {
        self.memory.is_told(at, told::TEMPLATE)
    }

    /// Whether the slot can ever be up: a service that is no template, or an instance that exists.
    pub(super) fn lives(&self, at: SlotId) -> bool {
        self.memory.is_told(at, told::LIVES)
    }

    /// Notes what the definition of a slot says of it: `told::DEFINED`.
    pub(super) fn define(&mut self, at: SlotId) {
        let definition = self.image.flags(self.record(at));
        let is_template = at.0 < self.services() && definition & flags::TEMPLATE != 0;
        let lives = !is_template && (at.0 < self.services() || self.memory.slot(at, slot::TEMPLATE) != 0);
        let edges = self.image.edges(self.record(at));
        let has = |relation| edges.clone().only(relation).next().is_some();
        let (rivals, binds) = (has(Relation::Conflicts), has(Relation::Binds));
        let mut bits = self.memory.told(at) & !told::DEFINED;
        for (bit, so) in &[
            (told::TEMPLATE, is_template),
            (told::LIVES, lives),
            (told::BUNDLE, definition & 0xff == Kind::Bundle as u32),
            (told::ONESHOT, definition & 0xff == Kind::Oneshot as u32),
            (told::RIVALS, rivals),
            (told::BINDS, binds),
            (told::CHOICE, definition & flags::CHOICE != 0),
        ] {
            bits |= if *so { *bit } else { 0 };
        }
        self.memory.set_told(at, bits);
    }

    /// Forward edges; of a choice that to what it has chosen.
    pub(super) fn edges(&self, at: SlotId) -> Edges<'a> {
        if self.is_choice(at) { self.chosen(at) } else { self.image.edges(self.record(at)) }
    }

    #[inline(always)]
    pub(super) fn live(&self, at: SlotId) -> Live {
        let row = self.memory.near(at);
        if row[derived::TOLD].load(Ordering::Relaxed) & told::TEMPLATE == 0 {
            Live { next: Some(at), chain: false }
        } else {
            Live { next: self.instance_at(row[derived::HEAD].load(Ordering::Relaxed)), chain: true }
        }
    }

    /// The first of what an edge's end stands for of which something is so.
    pub(super) fn find_live(&self, end: SlotId, is: &dyn Fn(SlotId) -> bool) -> Option<SlotId> {
        let mut slots = self.live(end);
        while let Some(at) = slots.next(self) {
            if is(at) {
                return Some(at);
            }
        }
        None
    }

    /// The instance slot of an index plus one.
    fn instance_at(&self, plus_one: u32) -> Option<SlotId> {
        plus_one.checked_sub(1).map(|index| SlotId(self.services() + index))
    }

    fn next_instance(&self, at: SlotId) -> Option<SlotId> {
        let index = at.0.checked_sub(self.services())?;
        self.instance_at(self.memory.word(Table::InstanceNext, index, 0))
    }

    pub(super) fn link_instance(&mut self, at: SlotId) {
        let Some(index) = at.0.checked_sub(self.services()) else { return };
        let template = self.record(at);
        let head = self.memory.derived(template, derived::HEAD);
        self.memory.set(self.memory.row(Table::InstanceNext, index), head);
        self.memory.set_derived(template, derived::HEAD, index + 1);
    }

    fn unlink_instance(&mut self, at: SlotId) {
        let Some(index) = at.0.checked_sub(self.services()) else { return };
        let template = self.record(at);
        let next_word = |at: u32| self.memory.row(Table::InstanceNext, at);
        let after = self.memory.get(next_word(index));
        let mut before = self.memory.derived(template, derived::HEAD);
        if before == index + 1 {
            self.memory.set_derived(template, derived::HEAD, after);
            return;
        }
        while before != 0 {
            let next = self.memory.get(next_word(before - 1));
            if next == index + 1 {
                self.memory.set(next_word(before - 1), after);
                return;
            }
            before = next;
        }
    }

    /// Template and instance name (the part behind `@`) of a run-time instance that exists.
    pub fn instance(&self, at: SlotId) -> Option<(SlotId, Name)> {
        self.is_instance(at).then(|| (self.record(at), self.instance_part(at)))
    }

    pub(super) fn is_instance(&self, at: SlotId) -> bool {
        (self.services()..self.memory.layout.geometry.slots()).contains(&at.0)
            && self.memory.slot(at, slot::TEMPLATE) != 0
    }

    /// The instance's part of the name of a run-time instance; empty for all else.
    #[inline(never)]
    pub(super) fn instance_part(&self, at: SlotId) -> Name {
        if !self.is_instance(at) {
            return Name::default();
        }
        let mut bytes = [0; INSTANCE_BYTES_MAX + 1];
        let row = self.memory.row(Table::Texts, at.0 - self.services());
        self.memory.read_bytes(row + text::NAME, &mut bytes);
        Name::joined(&[fact::name(&bytes)])
    }

    /// The whole name of a slot, `NAME@INSTANCE` for an instance.
    pub fn name(&self, at: SlotId) -> Name {
        let template = if self.is_instance(at) { self.record(at) } else { at };
        self.instance_of_name(template, self.instance_part(at).as_bytes())
    }

    /// The name of a template (or service) and of an instance, together.
    pub(super) fn instance_of_name(&self, template: SlotId, instance: &[u8]) -> Name {
        Name::joined(&[self.image.name(template).as_bytes(), instance])
    }

    /// The service or instance of this name, for a command. `NAME@INSTANCE` of a template that exists gives
    /// `Target::New` where there is no such instance yet.
    pub fn target<'n>(&self, name: &'n [u8]) -> Option<Target<'n>> {
        if let Some(at) = self.image.find_provider(name) {
            return Some(Target::Slot(at));
        }
        let split = name.iter().position(|byte| *byte == b'@')? + 1;
        let template = self.image.find(&name[..split]).filter(|at| self.is_template(*at))?;
        let instance = &name[split..];
        Some(match self.runtime_instance(template, instance) {
            Some(at) => Target::Slot(at),
            None => Target::New { template, name: instance },
        })
    }

    /// The run-time instance of this name.
    fn runtime_instance(&self, template: SlotId, name: &[u8]) -> Option<SlotId> {
        self.find_live(template, &|at| self.instance_part(at).as_bytes() == name)
    }

    /// The instance of this name, static or not.
    pub(super) fn named_instance(&self, template: SlotId, name: &[u8]) -> Option<SlotId> {
        self.static_instance(template, name).or_else(|| self.runtime_instance(template, name))
    }

    /// The static instance of this name.
    fn static_instance(&self, template: SlotId, name: &[u8]) -> Option<SlotId> {
        self.image.find(self.instance_of_name(template, name).as_bytes())
    }

    /// The name of the instance that a fact makes: the template's `instance` with the fact's attributes. Empty if one
    /// is missing, or the result is not a name.
    #[inline(never)]
    pub(super) fn instance_name(&self, template: SlotId, fact: Fact<'_>) -> Name {
        let mut name = Name::default();
        if !self.write_name(template, fact, &mut name) || names::check_instance(name.as_str()).is_err() {
            name = Name::default();
        }
        name
    }

    /// Whether a fact has all attributes that are to name an instance of this template, valid or not.
    pub(super) fn says_name(&self, template: SlotId, fact: Fact<'_>) -> bool {
        self.image.service(template, service::INSTANCE) != NONE && self.write_name(template, fact, &mut Name::default())
    }

    /// What `instance` of the template gives, valid or not. False if an attribute is missing.
    #[inline(never)]
    fn write_name(&self, template: SlotId, fact: Fact<'_>, name: &mut Name) -> bool {
        for piece in pieces(self.image.text(self.image.service(template, service::INSTANCE))) {
            let part = match piece {
                Piece::Literal(literal) => Some(literal.as_bytes()),
                Piece::Placeholder(key) => fact::attribute(fact.text(), key.as_bytes()),
                Piece::Unclosed(_) => None,
            };
            match part {
                Some(part) => name.push(part),
                None => return false,
            }
        }
        true
    }

    fn is_free(&self, at: SlotId) -> bool {
        self.memory.slot(at, slot::TEMPLATE) == 0 && !self.process(at).active()
    }

    /// Failed and held by nothing: kept for people to look at, until its slot is needed, but not by what names it, too.
    fn is_spent(&self, at: SlotId) -> bool {
        self.memory.slot(at, slot::TEMPLATE) != 0 && self.is_idle(at) && !self.memory.contains(Set::Named, at)
    }

    /// How many instances can be made.
    pub(super) fn free_instances(&self) -> u32 {
        let slots = self.services()..self.memory.layout.geometry.slots();
        slots.filter(|at| self.is_free(SlotId(*at)) || self.is_spent(SlotId(*at))).count() as u32
    }

    /// Makes an instance. The caller has made sure that there is a slot: `free_instances`.
    pub(super) fn make_instance(&mut self, template: SlotId, name: &[u8]) -> Option<SlotId> {
        let slots = || (self.services()..self.memory.layout.geometry.slots()).map(SlotId);
        let at = match slots().find(|at| self.is_free(*at)) {
            Some(at) => at,
            None => {
                let spent = slots().find(|at| self.is_spent(*at))?;
                self.free_instance(spent);
                spent
            }
        };
        self.forget_reasons(at);
        self.memory.put_slot(at, slot::TEMPLATE, template.0 + 1);
        self.memory.put_state(at, self.memory.state(at) & !state::PHASE | state::FORGIVEN);
        self.memory.put_bytes(Table::Texts, at.0 - self.services(), text::NAME, text::ROW - text::NAME, name);
        self.define(at);
        self.link_instance(at);
        self.count_anew(at);
        self.look_at_while(at);
        self.memory.insert(Set::Work, at);
        self.mark_published(at);
        if self.risen_rival(at).is_some() {
            self.put_holds(at, crate::graph::Holds::MARK_CONFLICT, 0);
        }
        Some(at)
    }

    /// Whether nothing speaks for keeping this instance: no hold, no mark of a person, no latch, no process, nobody
    /// waits, and no event of it is still to be told, by its name.
    fn is_idle(&self, at: SlotId) -> bool {
        self.memory.slot(at, slot::HOLDS) & !crate::graph::Holds::MARK_CONFLICT == 0
            && self.latches(at, Role::StartOn) | self.latches(at, Role::StopOn) == 0
            && !self.is_awaited(at)
            && !self.memory.is_told(at, told::GOAL | told::ACTIVE | told::EVENTS)
            && !self.process(at).active()
    }

    /// Frees an instance slot that nothing speaks for; one that failed stays to be looked at.
    pub(super) fn free_if_idle(&mut self, at: SlotId, phase: Phase) {
        let exists = at.0 >= self.services() && self.memory.slot(at, slot::TEMPLATE) != 0;
        if exists && phase != Phase::Failed && self.is_idle(at) {
            self.free_instance(at);
        }
    }

    fn free_instance(&mut self, at: SlotId) {
        self.unlink_instance(at);
        // Latches may have been left, too old to count.
        for field in &[slot::HOLDS, slot::LATCH_START, slot::LATCH_STOP, slot::TEMPLATE] {
            self.memory.put_slot(at, *field, 0);
        }
        self.memory.put_state(at, self.memory.state(at) & !(state::PHASE | state::QUEUED));
        self.memory.set_told(at, self.memory.told(at) & told::COMPUTED);
        self.memory.set_derived(at, derived::BLOCKER, 0);
        self.memory.insert(Set::Work, at);
        self.mark_published(at);
        self.memory.insert(Set::DirtyPhase, at);
    }

    /// Counters of a slot from what its targets have told. Its sources count by themselves.
    pub(super) fn count_anew(&mut self, at: SlotId) {
        for word in 0..derived::TOLD {
            self.memory.set_derived(at, word, 0);
        }
        // Neighbours are mostly alike.
        let (mut bits, mut recount) = (0, Recount::of(&OF_TARGETS, None, Some(0)));
        for edge in self.edges(at) {
            let told = self.memory.told(edge.slot);
            if told != bits {
                (bits, recount) = (told, Recount::of(&OF_TARGETS, None, Some(told)));
            }
            recount.apply_once(self.memory.near(at), edge.relation);
        }
        self.find_rival(at, &|rival| {
            if self.is_in_the_way(rival) {
                self.memory.count(at, Counter::Rivals, true);
            }
            false
        });
    }

    /// The row of the times of a slot's latches, where its definition has `within`.
    pub(super) fn latch_row(&self, at: SlotId) -> Option<u32> {
        let is_timed = self.image.service(self.record(at), service::WITHIN) != 0;
        is_timed.then(|| match at.0.checked_sub(self.services()) {
            Some(index) => self.memory.layout.geometry.timed + index,
            None => self.memory.rank(Set::Timed, at),
        })
    }

    /// The text row of a slot, if it has one.
    pub(super) fn text_row(&self, at: SlotId) -> Option<u32> {
        match at.0.checked_sub(self.services()) {
            Some(index) => (at.0 < self.memory.layout.geometry.slots()).then_some(index),
            None => (self.image.service(at, service::PASS) != NONE)
                .then(|| self.memory.layout.geometry.instances + self.memory.rank(Set::Passing, at)),
        }
    }
}
