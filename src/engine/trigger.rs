//! What facts set in motion: conditions that change, events from outside and those that the engine derives.
//!
//! For one fact, in this order: latches, `while` and `for-each`, `stop-on`, `start-on`; goals come after all of them.

use core::ops::Range;

use super::expression::{Role, Value};
use super::fact::{self, Fact, Written};
use super::journal::Kind;
use super::memory::{Set, Table, condition, slot, text};
use super::slot::{state, told};
use super::transaction::Wanted;
use super::{Engine, Name, Refusal};
use crate::board::orders::PASS_BYTES_MAX;
use crate::board::published::{Event, Reasons};
use crate::board::reports::{Exit, Status};
use crate::database::{NONE, action, node, policy, service};
use crate::graph::{Hold, Holds, Phase};
use crate::ident::SlotId;

/// Names of derived events by bit, in the order in which they are taken.
pub const DERIVED: [&[u8]; 5] = [b"stopping", b"stopped", b"failed", b"starting", b"started"];

/// Their bits.
const STOPPING: u32 = 1;
/// See `STOPPING`.
pub const STOPPED: u32 = 1 << 1;
const FAILED: u32 = 1 << 2;
const STARTING: u32 = 1 << 3;
/// See `STOPPING`.
pub const STARTED: u32 = 1 << 4;

/// What is done for one fact, in this order: latches, `while` and `for-each`; `stop-on`; `start-on`.
pub const TURNS: [Option<Role>; 3] = [None, Some(Role::StopOn), Some(Role::StartOn)];

/// How a fact came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    On,
    Off,
    Changing,
    Event,
}

impl Engine<'_> {
    #[inline(never)]
    pub(super) fn event(&mut self, fact: Fact<'_>) -> Result<(), Refusal> {
        let leaves = self.leaves(fact);
        self.check_room(fact, leaves.clone())?;
        self.jot_news(Kind::Happened, fact);
        self.take_news(fact, leaves, News::Event);
        Ok(())
    }

    /// A condition has changed, or an event happened. The text is left out where the input has it.
    pub(super) fn jot_news(&self, kind: Kind, fact: Fact<'_>) {
        self.jot(kind, 0, SlotId(0), &[], if self.journal.was_told_fact() { b"" } else { fact.text() });
    }

    /// The leaves that name a fact.
    pub(super) fn leaves(&self, fact: Fact<'_>) -> Range<u32> {
        self.image.leaves_named(fact.name())
    }

    /// Refuses a fact that would make more instances than there is room for, before anything has changed. Those that it
    /// names and that exist are not spent by what it makes.
    pub(super) fn check_room(&self, fact: Fact<'_>, leaves: Range<u32>) -> Result<(), Refusal> {
        let (mut wanted, mut last) = (0, SlotId(NONE));
        for index in leaves {
            let (service, role, node) = self.leaf_record(index);
            if !matches!(role, Role::ForEach | Role::StartOn) || !self.is_template(service) {
                continue;
            }
            let name = self.instance_name(service, fact);
            if name.is_empty() || !self.leaf_matches(&name, node, fact) {
                continue;
            }
            match self.named_instance(service, name.as_bytes()) {
                Some(at) => self.memory.insert(Set::Named, at),
                // The leaves of a service stand together.
                None => wanted += u32::from(service != core::mem::replace(&mut last, service)),
            }
        }
        if wanted > 0 && wanted > self.free_instances() { Err(Refusal::InstancesFull) } else { Ok(()) }
    }

    /// A fact that has changed or happened, wholly applied but for goals.
    pub(super) fn take_news(&mut self, fact: Fact<'_>, leaves: Range<u32>, news: News) {
        for turn in &TURNS {
            self.take_turn(fact, leaves.clone(), news, *turn);
        }
    }

    pub(super) fn take_turn(&mut self, fact: Fact<'_>, leaves: Range<u32>, news: News, turn: Option<Role>) {
        for index in leaves {
            let (service, role, node) = self.leaf_record(index);
            match (turn, role) {
                (None, Role::While) if news != News::Event => self.look_at_gates(service, node, fact),
                (None, Role::ForEach) if matches!(news, News::On | News::Off) => {
                    self.for_each(service, node, fact, news);
                }
                (None, Role::While | Role::ForEach) => {}
                (None, Role::StartOn | Role::StopOn) if news == News::Event => {
                    self.each_touched(service, role, node, fact, news, true);
                }
                (None, Role::StartOn | Role::StopOn) => {}
                // What is changing fires nothing.
                (Some(_), _) if news == News::Changing => {}
                (Some(turn), _) if turn == role => self.each_touched(service, role, node, fact, news, false),
                (Some(_), _) => {}
            }
        }
    }

    /// A condition changed that the `while` of a service, or of instances of it, looks at.
    #[inline(never)]
    fn look_at_gates(&mut self, service: SlotId, node: u32, fact: Fact<'_>) {
        let mut slots = self.live(service);
        while let Some(at) = slots.next(self) {
            if self.slot_matches(at, node, fact) {
                self.look_at_while(at);
                if self.memory.is_told(at, told::GOAL) {
                    self.note(at, Wanted::Any);
                }
            }
        }
    }

    /// The slots whose leaf a fact touches. In a template it is the instance that the fact's attributes name, made
    /// where `start-on` asks for it; a fact that does not name one touches all there are. What names another touches no
    /// static one.
    fn each_touched(&mut self, service: SlotId, role: Role, node: u32, fact: Fact<'_>, news: News, latches: bool) {
        let is_template = self.is_template(service);
        let makes = news != News::Off && role == Role::StartOn && is_template;
        // Of a static instance its template says what the fact names.
        let template = if is_template { service } else { SlotId(self.image.service(service, service::TEMPLATE)) };
        let name = if template.0 == NONE { Name::default() } else { self.instance_name(template, fact) };
        if name.is_empty() {
            if makes && self.says_name(service, fact) && self.leaf_matches(&name, node, fact) {
                self.nameless = Some(service);
            }
        } else if is_template {
            let mut found = self.named_instance(service, name.as_bytes());
            // A static instance has leaves of its own.
            if found.is_some_and(|at| at.0 < self.services()) || !self.leaf_matches(&name, node, fact) {
                return;
            }
            if found.is_none() && makes {
                found = self.make_instance(service, name.as_bytes());
            }
            if let Some(at) = found {
                self.latch_or_touch(at, role, node, fact, news, latches);
                self.memory.insert(Set::Tell, at);
            }
            return;
        } else if !self.image.is_string(self.image.service(service, service::INSTANCE), name.as_bytes()) {
            return;
        }
        let mut slots = self.live(service);
        while let Some(at) = slots.next(self) {
            if self.slot_matches(at, node, fact) {
                self.latch_or_touch(at, role, node, fact, news, latches);
            }
        }
    }

    /// An event sets the leaf's latch, or then fires the trigger. What goes off touches no leaf that is still on.
    fn latch_or_touch(&mut self, at: SlotId, role: Role, node: u32, fact: Fact<'_>, news: News, latches: bool) {
        if !latches {
            if news != News::Off || self.value(at, role, node, 0) == Value::Off {
                self.touch(at, role, node, Some(fact));
            }
            return;
        }
        let bit = self.image.node(node, node::LEAF);
        if let Some(field) = role.latch_field()
            && bit < 32
        {
            self.put_latches(at, field, self.memory.slot(at, field) | 1 << bit);
            if let Some(row) = self.latch_row(at) {
                self.memory.put_time(Table::Latches, row, role.latch_time(bit), self.now);
            }
        }
    }

    /// Sets the word of latches of `start-on` or `stop-on`.
    pub(super) fn put_latches(&self, at: SlotId, field: usize, latches: u32) {
        // What is set again changes nothing but its time, where that is kept.
        if latches != self.memory.slot(at, field) || latches != 0 && self.latch_row(at).is_some() {
            self.memory.put_slot(at, field, latches);
            self.mark_published(at);
        }
    }

    /// An input touched this leaf of a trigger: it fires, or not.
    fn touch(&mut self, at: SlotId, role: Role, node: u32, fact: Option<Fact<'_>>) {
        if !self.fires(at, role, node) {
            return;
        }
        if let Some(field) = role.latch_field() {
            self.put_latches(at, field, 0);
        }
        let stops = role == Role::StopOn;
        if stops {
            self.note(at, Wanted::Any);
        } else {
            self.forgive(at);
            self.memory.insert(Set::Work, at);
            self.begin_or_overlap(at, fact);
        }
        self.jot_of(Kind::Fired, stops.into(), at, self.transaction_here(at), &[node]);
        let event = if stops { Event::StopFired } else { Event::Fired };
        self.note_reason(at, Reasons::TRIGGER, event, node);
        let hold = Hold::Trigger as u32;
        self.put_holds(at, if stops { 0 } else { hold }, if stops { hold } else { 0 });
    }

    #[inline(never)]
    fn for_each(&mut self, template: SlotId, node: u32, fact: Fact<'_>, news: News) {
        let name = self.instance_name(template, fact);
        if !self.is_template(template) || !self.leaf_matches(&name, node, fact) {
            return;
        }
        if name.is_empty() {
            if news == News::On {
                self.nameless = Some(template);
            }
            return;
        }
        let found = self.named_instance(template, name.as_bytes());
        if news == News::On {
            if let Some(at) = found.or_else(|| self.make_instance(template, name.as_bytes())) {
                self.note(at, Wanted::Up);
                self.put_holds(at, Hold::Condition as u32, Holds::MARK_ASIDE);
            }
        } else if let Some(at) = found
            && self.oldest_of(template, node, &name).is_none()
        {
            self.note(at, Wanted::Any);
            self.put_holds(at, 0, Hold::Condition as u32 | Holds::MARK_ASIDE);
        }
    }

    /// The oldest condition that is on and makes the instance of this name: its row.
    fn oldest_of(&self, template: SlotId, node: u32, name: &Name) -> Option<u32> {
        let (mut oldest, mut least, mut next) = (None, 0, 0);
        let hash = fact::hash(self.image.bytes_of(self.image.node(node, node::A)));
        while let Some(index) = self.next_condition(hash, &mut next) {
            let written = self.memory.condition_fact(index);
            let fact = Fact::known(written.text());
            let generation = self.memory.condition(index, condition::GENERATION);
            if (oldest.is_none() || generation < least)
                && self.leaf_matches(name, node, fact)
                && self.instance_name(template, fact).as_bytes() == name.as_bytes()
            {
                (oldest, least) = (Some(index), generation);
            }
        }
        oldest
    }

    /// The text that goes with a start: an instance made by `for-each` takes the oldest condition's attributes.
    pub(super) fn write_text(&mut self, at: SlotId) {
        if self.memory.slot(at, slot::HOLDS) & Hold::Condition as u32 == 0 {
            return;
        }
        let record = self.record(at);
        let template = match self.image.service(record, service::TEMPLATE) {
            NONE => record,
            template => SlotId(template),
        };
        let Some(root) = self.root(template, Role::ForEach) else { return };
        let name = Name::joined(&[self.name(at).parts().1.unwrap_or(b"")]);
        if let Some(index) = self.oldest_of(template, root, &name) {
            self.keep_pass(at, self.memory.condition_fact(index).text(), Table::Texts, text::PASS);
        }
    }

    /// Keeps the attributes that the service's file names in `pass`, for its next start or for the run that is queued.
    pub(super) fn keep_pass(&mut self, at: SlotId, fact: &[u8], table: Table, field: usize) {
        let Some(row) = self.text_row(at) else { return };
        let mut pass = [0; PASS_BYTES_MAX];
        let mut length = 0;
        for offset in self.image.list(self.image.service(self.record(at), service::PASS)).iter() {
            let key = self.image.bytes_of(offset);
            let Some(value) = fact::attribute(fact, key) else { continue };
            // Two bytes stay zero: the end of the last string, and of all.
            if length + key.len() + value.len() + 2 > PASS_BYTES_MAX - 1 {
                continue;
            }
            for part in &[key, b"=", value, b"\0"] {
                pass[length..length + part.len()].copy_from_slice(part);
                length += part.len();
            }
        }
        self.memory.put_bytes(table, row, field, PASS_BYTES_MAX / 4, &pass);
    }

    /// What was passed to a service is in its events, too, where its key is not taken: `starting rc RUNLEVEL=2`.
    #[inline(never)]
    fn add_passed(&self, at: SlotId, fact: &mut Written) {
        let Some(row) = self.text_row(at) else { return };
        let mut pass = [0; PASS_BYTES_MAX];
        self.memory.read_bytes(self.memory.row(Table::Texts, row) + text::PASS, &mut pass);
        for word in fact::words(&pass).take_while(|word| !word.is_empty()) {
            if fact::attribute(fact.text(), fact::key_of(word)).is_none() {
                fact.push(word, b"");
            }
        }
    }

    /// `up()` or `failed()` of something changed that this one's triggers listen to.
    #[inline(never)]
    pub(super) fn listen(&mut self, at: SlotId) {
        for role in &[Role::StopOn, Role::StartOn] {
            let role = *role;
            let Some(root) = self.root(at, role) else { continue };
            for node in root..self.last_node(root) + 1 {
                let set = match self.image.node(node, node::KIND) {
                    node::UP => Set::UpFlipped,
                    node::FAILED => Set::FailedFlipped,
                    _ => continue,
                };
                if self.memory.contains(set, SlotId(self.image.node(node, node::A))) {
                    self.touch(at, role, node, None);
                }
            }
        }
    }

    /// Asks for the derived events of a change to this phase. A service's lives end in its reports: what of it ends
    /// here was given up before it lived. A bundle ends with the first of its members that does.
    pub(super) fn raise_change(&mut self, at: SlotId, new: Phase) {
        let bundle = self.is_bundle(at);
        let (ends, events) = match new {
            Phase::Down | Phase::Waiting | Phase::Done | Phase::Skipped => (true, 0),
            Phase::Failed => (true, FAILED),
            Phase::Stopping => (false, STOPPING),
            Phase::Starting => (false, STARTING),
            Phase::Restarting => (bundle, 0),
            Phase::Up => (false, STARTED),
        };
        let ended = ends && self.memory.state(at) & state::BEGUN != 0;
        let begins = events == STARTING || bundle && events == STARTED;
        self.raise(at, events | if ended { STOPPED } else { 0 }, begins);
    }

    /// Asks for derived events of a slot, where anybody listens, and notes what of it was told to have begun.
    #[inline(never)]
    pub(super) fn raise(&mut self, at: SlotId, events: u32, begins: bool) {
        let before = self.memory.state(at);
        let kept = if events & STOPPED != 0 { before & !state::BEGUN } else { before };
        let bits = if begins { kept | state::BEGUN } else { kept };
        if bits != before {
            self.memory.put_state(at, bits);
        }
        let heard = events & self.heard;
        if heard != 0 {
            self.memory.set_told(at, self.memory.told(at) | heard << told::EVENT_SHIFT);
            self.memory.insert(Set::Event, at);
        }
    }

    /// Takes the derived events of a slot.
    #[inline(never)]
    pub(super) fn take_events(&mut self, at: SlotId) {
        let bits = (self.memory.told(at) & told::EVENTS) >> told::EVENT_SHIFT;
        self.memory.set_told(at, self.memory.told(at) & !told::EVENTS);
        // An instance may have been kept for them alone, and is until all are taken.
        self.memory.insert(Set::Tell, at);
        self.memory.insert(Set::Named, at);
        for (index, name) in DERIVED.iter().enumerate() {
            let event = 1 << index;
            if bits & event == 0 {
                continue;
            }
            let mut fact = Written::named(name);
            let whole = self.name(at);
            let (service, instance) = whole.parts();
            fact.push(b"SERVICE=", service);
            if let Some(instance) = instance {
                fact.push(b"INSTANCE=", instance);
            }
            if event & (STOPPED | FAILED) != 0 {
                let exit = if self.exit_of == Some(at) { self.exit } else { Exit::None };
                let failed = self.phase(at) == Phase::Failed || self.is_failure(at, exit);
                fact.push(b"RESULT=", if failed { b"failed" } else { b"ok" });
                let mut digits = [0; 3];
                match exit.status() {
                    Some(Status::Code(code)) => fact.push(b"EXIT_STATUS=", decimal(code, &mut digits)),
                    Some(Status::Signal(signal)) => fact.push(b"EXIT_SIGNAL=", decimal(signal, &mut digits)),
                    None => {}
                }
            }
            // Several lives that nobody saw are one end, and one beginning.
            if event & (STOPPED | STARTED) != 0 && self.exit_of == Some(at) && self.ends > 1 {
                fact.push(b"COUNT=", decimal(self.ends.min(255) as u8, &mut [0; 3]));
            }
            self.add_passed(at, &mut fact);
            let fact = Fact::known(fact.text());
            let leaves = self.leaves(fact);
            // What it would make and there is no room for is not made; all else hears it.
            let _ = self.check_room(fact, leaves.clone());
            self.jot_of(Kind::Derived, index as u32, at, 0, &[]);
            self.take_news(fact, leaves, News::Event);
        }
    }

    /// Whether a life that ended like this failed. By SIGTERM, or by what its file says, services are told to go.
    fn is_failure(&self, at: SlotId, exit: Exit) -> bool {
        let index = self.image.service(self.record(at), service::POLICY);
        if index != NONE {
            let good = self.image.list(self.image.policy(index, policy::SUCCESS_EXIT));
            if (0..good.len()).any(|place| good.get(place) == exit.to_word()) {
                return false;
            }
        }
        match exit.status() {
            Some(Status::Code(0) | Status::Signal(15)) => false,
            Some(Status::Signal(signal)) => {
                let told = self.image.list(self.image.service(self.record(at), service::STOP));
                told.get(0) != action::SIGNALS || !(1..told.len()).any(|at| told.get(at) == signal.into())
            }
            Some(Status::Code(_)) => true,
            None => exit != Exit::None,
        }
    }

    /// Which derived events any leaf names.
    #[inline(never)]
    pub(super) fn heard_events(&self) -> u32 {
        let mut heard = 0;
        for (index, name) in DERIVED.iter().enumerate() {
            let mut leaves = self.leaves(Fact::known(name));
            heard |= u32::from(leaves.any(|at| self.leaf_record(at).1 != Role::While)) << index;
        }
        heard
    }

    /// An event of the machine itself: `boot`, `shutdown`.
    pub(super) fn own_event(&mut self, name: &[u8]) {
        let fact = Fact::known(name);
        self.take_news(fact, self.leaves(fact), News::Event);
    }
}

fn decimal(number: u8, digits: &mut [u8; 3]) -> &[u8] {
    *digits = [b'0' + number / 100, b'0' + number / 10 % 10, b'0' + number % 10];
    let skip = usize::from(number < 100) + usize::from(number < 10);
    &digits[skip..]
}
