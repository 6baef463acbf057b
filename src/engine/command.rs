//! Commands of people: all of a command's targets are looked at before anything changes.

use super::memory::{Set, machine, slot};
use super::slot::{HARD, MEMBERS, state, told};
use super::transaction::{Cause, Wanted};
use super::{Engine, Refusal, Target, Verb};
use crate::board::published::{Event, Reasons};
use crate::database::{NONE, service};
use crate::graph::{Hold, Holds, Phase};
use crate::ident::SlotId;
use crate::limits::INSTANCE_BYTES_MAX;
use crate::names;

/// Whether it wishes something up that may not be there yet.
fn starts(verb: Verb) -> bool {
    matches!(verb, Verb::Start | Verb::Restart | Verb::RestartWithDependents | Verb::Switch)
}

impl Engine<'_> {
    #[inline(never)]
    pub(super) fn command(&mut self, verb: Verb, targets: &[Target<'_>]) -> Result<(), Refusal> {
        let mut fresh = 0;
        for (index, target) in targets.iter().enumerate() {
            match *target {
                Target::Slot(at) => {
                    self.check_slot(verb, at)?;
                    self.memory.insert(Set::Named, at);
                }
                Target::New { template, name } => {
                    self.check_new(verb, template, name)?;
                    fresh += u32::from(!targets[..index].contains(target));
                }
            }
        }
        if self.shutting_down() && starts(verb) {
            return Err(Refusal::ShuttingDown);
        }
        if verb == Verb::Switch && self.shutdown_slot().is_some_and(|at| targets.last() == Some(&Target::Slot(at))) {
            self.shut_down();
            return Ok(());
        }
        if fresh > 0 && fresh > self.free_instances() {
            return Err(Refusal::InstancesFull);
        }
        let waitable = !matches!(verb, Verb::Reload | Verb::Signal(_));
        if waitable {
            self.cause = match verb {
                Verb::Restart | Verb::RestartWithDependents => Cause::Restart,
                Verb::Switch => Cause::Switch,
                _ => Cause::Command,
            };
            if self.make_room(targets.len() as u32) {
                self.open_transaction();
            } else if !matches!(verb, Verb::Stop | Verb::Release | Verb::Switch) {
                return Err(Refusal::TransactionsFull);
            } else {
                self.unfollowed = true;
            }
        }
        while self.take_lifted().is_some() {}
        for target in targets {
            let at = match *target {
                Target::Slot(at) => at,
                Target::New { template, name } => {
                    match self.named_instance(template, name).or_else(|| self.make_instance(template, name)) {
                        Some(at) => at,
                        // There is room.
                        None => continue,
                    }
                }
            };
            self.obey(verb, at);
        }
        Ok(())
    }

    #[inline(never)]
    fn check_slot(&self, verb: Verb, at: SlotId) -> Result<(), Refusal> {
        if at.0 >= self.memory.layout.geometry.slots() {
            return Err(Refusal::NoSuchService);
        }
        if self.is_template(at) {
            return Err(Refusal::Template(at));
        }
        if !self.lives(at) {
            return Err(Refusal::NoSuchService);
        }
        let bundle = self.is_bundle(at);
        match verb {
            Verb::Start
            | Verb::Stop
            | Verb::Restart
            | Verb::RestartWithDependents
            | Verb::Reset
            | Verb::Release
            | Verb::Switch => Ok(()),
            Verb::Reload | Verb::Signal(_) if bundle => Err(Refusal::Bundle(at)),
            Verb::Reload if self.image.service(self.record(at), service::RELOAD) == NONE => Err(Refusal::NoReload(at)),
            Verb::Reload if self.phase(at) != Phase::Up => Err(Refusal::NotUp(at)),
            Verb::Reload => Ok(()),
            Verb::Signal(_) if !self.process(at).report().has_process() => Err(Refusal::NotUp(at)),
            Verb::Signal(_) if self.memory.is_told(at, told::ONESHOT) && self.phase(at) == Phase::Up => {
                Err(Refusal::NotUp(at))
            }
            Verb::Signal(_) if self.memory.state(at) & state::SIGNALLING != 0 => Err(Refusal::Signalling(at)),
            Verb::Signal(_) => Ok(()),
        }
    }

    #[inline(never)]
    fn check_new(&self, verb: Verb, template: SlotId, name: &[u8]) -> Result<(), Refusal> {
        if !self.is_template(template) {
            return Err(Refusal::NoSuchService);
        }
        if !starts(verb) {
            return Err(Refusal::NoSuchInstance(template));
        }
        let text = core::str::from_utf8(name).map_err(|_| Refusal::BadInstanceName)?;
        match names::check_instance(text) {
            Ok(()) if name.len() <= INSTANCE_BYTES_MAX => Ok(()),
            Ok(()) | Err(_) => Err(Refusal::BadInstanceName),
        }
    }

    #[inline(never)]
    fn obey(&mut self, verb: Verb, at: SlotId) {
        match verb {
            Verb::Start => {
                self.supersede(at, Wanted::Up);
                self.start(at, Hold::Admin);
                self.note(at, Wanted::Up);
            }
            Verb::Stop => {
                self.supersede(at, Wanted::Down);
                self.put_holds(at, Holds::MARK_ADMIN, Hold::Admin as u32);
                self.drop_queued(at);
                self.note(at, Wanted::Down);
            }
            Verb::Switch => {
                self.supersede(at, Wanted::Up);
                self.switch(Some(at));
                self.note(at, Wanted::Up);
            }
            Verb::Restart | Verb::RestartWithDependents => {
                self.supersede(at, Wanted::Up);
                // A bundle has no process, but members that have.
                let active = self.is_bundle(at) && !self.is_choice(at) || self.memory.is_told(at, told::ACTIVE);
                if !active || !self.memory.is_told(at, told::GOAL) {
                    self.start(at, Hold::Admin);
                }
                self.note_reason(at, Reasons::PERSON, Event::Restarted, 0);
                self.ask_restart(at, verb == Verb::RestartWithDependents);
                self.note(at, Wanted::Up);
            }
            Verb::Reload => {
                let asked = self.memory.slot(at, slot::ASKED);
                self.memory.put_slot(at, slot::ASKED, asked.wrapping_add(1 << 20));
                self.mark_order(at);
            }
            Verb::Signal(signal) => {
                let asked = self.memory.slot(at, slot::ASKED);
                let count = (asked >> 8).wrapping_add(1) & 0xfff;
                self.memory.put_slot(at, slot::ASKED, asked & 0xfff0_0000 | count << 8 | u32::from(signal));
                self.memory.put_state(at, self.memory.state(at) | state::SIGNALLING);
                self.mark_order(at);
            }
            Verb::Reset => {
                self.forgive(at);
                self.retry(at);
                self.retry_choices(at);
                self.note(at, Wanted::Any);
            }
            Verb::Release => {
                self.put_holds(at, 0, Hold::Admin as u32 | Holds::MARK_ADMIN);
                self.note(at, Wanted::Any);
            }
        }
        self.memory.insert(Set::Work, at);
        self.memory.insert(Set::Tell, at);
    }

    /// A start lays the hold, and lifts marks and resets failures on the service and on its hard dependencies.
    #[inline(never)]
    fn start(&mut self, at: SlotId, hold: Hold) {
        self.walk(at, true, &mut |engine, at| {
            if engine.memory.slot(at, slot::HOLDS) & Holds::MARK_ADMIN != 0 {
                engine.memory.insert(Set::Lifted, at);
                engine.supersede(at, Wanted::Up);
            }
            engine.put_holds(at, 0, Holds::MARK_ADMIN | Holds::MARK_CONFLICT | Holds::MARK_ASIDE);
            engine.forgive(at);
            engine.retry(at);
        });
        self.retry_choices(at);
        self.put_holds(at, hold as u32, 0);
        // Of what is named it is no news.
        self.memory.remove(Set::Lifted, at);
    }

    /// The next service from which the newest command has taken a person's mark without naming it, each once: for the
    /// answer to whoever gave it.
    pub fn take_lifted(&mut self) -> Option<SlotId> {
        self.memory.pop(Set::Lifted)
    }

    /// Nothing holds but the boot hold, and that holds this one, if any.
    fn switch(&mut self, to: Option<SlotId>) {
        let to_word = to.map_or(0, |at| at.0 + 1);
        let home = to.is_some() && to_word == self.memory.machine(machine::BOOT);
        let left = match self.memory.machine(machine::BOOT_LEFT) {
            _ if home => 0,
            0 => 1 + u32::from(self.missing == 0),
            left => left,
        };
        self.memory.put_machine(machine::BOOT_LEFT, left);
        self.memory.put_machine(machine::CURRENT, to_word);
        let dropped = Hold::Boot as u32
            | Hold::Admin as u32
            | Hold::Trigger as u32
            | Hold::Demand as u32
            | Hold::Schedule as u32
            | if home { Holds::MARK_ASIDE } else { 0 };
        for at in (0..self.memory.layout.geometry.slots()).map(SlotId) {
            let by_condition = self.memory.slot(at, slot::HOLDS) & Hold::Condition as u32 != 0;
            self.put_holds(at, if by_condition && !home { Holds::MARK_ASIDE } else { 0 }, dropped);
        }
        if let Some(at) = to {
            self.start(at, Hold::Boot);
        }
    }

    /// The bundle that a shutdown switches to, where there is one of that name.
    fn shutdown_slot(&self) -> Option<SlotId> {
        self.image.find(b"shutdown")
    }

    /// Switches to the bundle `shutdown`. From now on no hold counts but the boot hold.
    pub(super) fn shut_down(&mut self) {
        if self.shutting_down() {
            return;
        }
        self.own_event(b"shutdown");
        self.cause = Cause::Switch;
        self.switch(self.shutdown_slot());
        self.memory.put_machine(machine::SHUTDOWN, 1);
        for at in (0..self.memory.layout.geometry.slots()).map(SlotId) {
            // What is down already has another reason for it now.
            self.mark_wish(at);
        }
    }

    /// A restart in place; of a bundle: of its members.
    #[inline(never)]
    fn ask_restart(&mut self, at: SlotId, with_dependents: bool) {
        let asked = state::RESTART_WANTED | if with_dependents { state::WITH_DEPENDENTS } else { 0 };
        self.walk(at, false, &mut |engine, at| {
            let process = engine.process(at);
            if engine.is_bundle(at) {
                return;
            }
            if process.active() && process.wished_up() {
                engine.memory.put_state(at, engine.memory.state(at) | asked);
                engine.memory.insert(Set::Stop, at);
            } else if engine.memory.is_told(at, told::GOAL) {
                engine.forgive(at);
            }
            engine.memory.insert(Set::Work, at);
        });
    }

    /// Visits a slot and what it needs (or only its members), each once.
    fn walk(&mut self, at: SlotId, needs: bool, visit: &mut dyn FnMut(&mut Self, SlotId)) {
        self.memory.insert(Set::Ahead, at);
        while let Some(at) = self.memory.pop(Set::Ahead) {
            self.memory.insert(Set::Seen, at);
            visit(self, at);
            let edges = if needs && self.is_choice(at) { self.to_start(at) } else { self.edges(at) };
            for edge in edges {
                let follow = edge.relation.is_in(if needs { HARD } else { MEMBERS });
                if follow && self.lives(edge.slot) && !self.memory.contains(Set::Seen, edge.slot) {
                    self.memory.insert(Set::Ahead, edge.slot);
                }
            }
        }
        while self.memory.pop(Set::Seen).is_some() {}
    }
}
