//! The supervisor's host for the simulated kernel: `src/host/supervisor` without descriptors. What is decided, is
//! decided by the library; the order of things is that of the host's loop, one small piece at a time.

use std::collections::VecDeque;

use pintle::board::orders::{self, Orders, Wish};
use pintle::board::reports::{self, Exit, ReportRow, Reports, State};
use pintle::board::words::{self, Change, Follower};
use pintle::database::{Image, action, service};
use pintle::ident::{Order, SlotId};
use pintle::lang::definition::Kind;
use pintle::supervision::{
    Clears, Found, Input, Means, Policy, Ready, Record, Requests, Role, Slot, Trouble, is_on_the_way, recover, step,
};
use pintle::time::Instant;

use super::kernel::{Kernel, Process, Status};
use super::plan::Plan;
use super::programs::{Command, program};
use super::random::Random;
use super::world::{Broken, Mutant, Trace};

/// Where the loop stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    Orders,
    Deadlines,
    Spawns(u32),
    Ring,
    Drowse,
    LastLook,
    Asleep,
    News,
}

/// What goes with a crash, but for the judge's.
#[derive(Default)]
struct Private {
    queued: bool,
    wants_main: bool,
    wants_auxiliary: bool,
    deadline: Option<Instant>,
    spawns: u32,
    /// How the last program of it ended, and whether it was cleaned up after, for the judge.
    ended: Option<Exit>,
    owed: bool,
    /// Whether what its lives have at run time only may be there.
    litter: bool,
}

/// Whether a cleanup that was not spawned yet was given up, since its time is past.
fn gives_up_cleanup(before: &Record, row: &ReportRow, taken: &Slot<'_>) -> bool {
    let queued = before.role == Some(Role::Cleanup) && row.auxiliary == 0;
    queued && taken.requests.cancel && row.deadline <= taken.now
}

pub struct Supervisor<'a> {
    image: Image<'a>,
    plan: &'a Plan,
    orders: Orders<'a>,
    pub reports: Reports<'a>,
    slots: Vec<Private>,
    queue: VecDeque<SlotId>,
    follower: Follower,
    pub at: At,
    /// Its doorbell has arrived.
    pub rung: bool,
    /// The engine has something to read.
    dirty: bool,
    /// It wants to ring the engine's doorbell.
    pub rings: bool,
    /// The reports of lives that nobody may see twice, for the mutants.
    pub mutant: Option<Mutant>,
    /// It crashes at the so manyth place from here where it may; 0: not.
    pub crashes_in: u32,
    pub crashes: u64,
}

/// What a crash looks like to those who called.
const CRASHED: &str = "the supervisor has crashed";

impl<'a> Supervisor<'a> {
    pub fn new(image: Image<'a>, plan: &'a Plan, orders: Orders<'a>, reports: Reports<'a>) -> Supervisor<'a> {
        reports.format();
        let slots = (0..reports.geometry().slots()).map(|_| Private::default()).collect();
        Supervisor {
            image,
            plan,
            orders,
            reports,
            slots,
            queue: VecDeque::new(),
            follower: Follower::default(),
            at: At::Orders,
            rung: false,
            dirty: false,
            rings: false,
            mutant: None,
            crashes_in: 0,
            crashes: 0,
        }
    }

    /// When it wakes by itself.
    pub fn next_deadline(&self) -> Option<u64> {
        self.slots.iter().filter_map(|slot| slot.deadline).min().map(|due| due.0)
    }

    pub fn can_run(&self, kernel: &Kernel) -> bool {
        self.at != At::Asleep
            || self.rung
            || kernel.processes.values().any(|process| process.has_news())
            || self.next_deadline().is_some_and(|due| due <= kernel.now)
    }

    pub fn begin_shutdown(&mut self) {
        words::store(self.reports.words(), reports::own::SHUTDOWN, 1);
        self.rings = true;
    }

    /// One small piece of its loop. Where it crashes, it goes on at once: nobody else sees that it was away.
    pub fn run(&mut self, kernel: &mut Kernel, random: &mut Random, trace: &mut Trace) -> Result<(), Broken> {
        let mut done = self.piece(kernel, random, trace);
        while done.as_ref().is_err_and(|broken| broken.0 == CRASHED) {
            self.crashes += 1;
            trace.say(kernel.now, || "supervisor: crashes".to_string());
            if random.chance(30) {
                self.crashes_in = 1 + random.below(6) as u32; // soon again
            }
            done = self.recover(kernel, trace);
        }
        done
    }

    /// A place at which it may crash.
    fn may_crash(&mut self) -> Result<(), Broken> {
        if self.crashes_in > 0 {
            self.crashes_in -= 1;
            if self.crashes_in == 0 {
                return Err(Broken(CRASHED.to_string()));
            }
        }
        Ok(())
    }

    /// Goes on from the board: what the process had to itself is gone, what its rows keep is taken over.
    fn recover(&mut self, kernel: &mut Kernel, trace: &mut Trace) -> Result<(), Broken> {
        self.queue.clear();
        for private in &mut self.slots {
            let Private { spawns, ended, owed, litter, .. } = *private;
            *private = Private { spawns, ended, owed, litter, ..Private::default() };
        }
        // Pipes between clone and exec went with it.
        for process in kernel.processes.values_mut() {
            process.status = None;
        }
        (self.at, self.rings, self.rung) = (At::Orders, true, true);
        words::set_asleep(self.reports.words(), false);
        if let Some((slot, owed)) = self.reports.take_over() {
            let row = self.reports.read(slot).unwrap_or_default();
            let definition = self.policy(slot);
            if definition.is_some() && self.mutant != Some(Mutant::OwedForgotten) {
                self.perform(slot, &Requests::of(owed), &row, kernel)?;
            }
            self.reports.done();
        }
        // The dead that no row knows any more are in nobody's way from here on.
        kernel.processes.retain(|pid, process| {
            let row = self.reports.read(process.slot).unwrap_or_default();
            process.is_alive() || [row.pid, row.auxiliary].contains(pid)
        });
        words::push_all(self.reports.words());
        self.follower = Follower::at_head(self.orders.words());
        for slot in (0..self.reports.geometry().slots()).map(SlotId) {
            self.may_crash()?;
            let Some(policy) = self.policy(slot) else { continue };
            let mut before = [0; reports::ROW];
            if !self.reports.read_words(slot, &mut before) {
                return Err(Broken(format!("slot {} cannot be read after a crash", slot.0)));
            }
            let mut taken = self.taken(&before, &policy, slot, kernel);
            let on_the_way = matches!(taken.row.state, State::Queued | State::Spawning);
            let found = |pid: u32, waits: bool| match kernel.processes.get(&pid) {
                None => Found::Gone,
                Some(process) if waits && !process.executed => Found::Unexecuted,
                Some(_) => Found::There,
            };
            let (main, command) = (found(taken.row.pid, on_the_way), found(taken.row.auxiliary, false));
            if main == Found::Unexecuted {
                kernel.kill(taken.row.pid); // it hangs
            }
            if taken.row.life.0 != 0 || taken.row.state.has_process() {
                let alone = taken.row.pid == 0 || main == Found::Gone;
                match kernel.strays(slot).is_empty() {
                    true => step(&mut taken, Input::Emptied),
                    false if alone => step(&mut taken, Input::Occupied),
                    false => {}
                }
            }
            recover(&mut taken, main, command, 0);
            // 0 in a row that was never written.
            let deadline = Some(taken.row.deadline).filter(|due| *due != Instant::NEVER && due.0 != 0);
            self.slots[slot.index()].deadline = deadline;
            self.write(slot, &before, &taken, true, kernel)?;
        }
        for slot in (0..self.reports.geometry().slots()).map(SlotId) {
            self.look_at(slot, kernel, trace)?;
        }
        Ok(())
    }

    /// One small piece of its loop.
    fn piece(&mut self, kernel: &mut Kernel, random: &mut Random, trace: &mut Trace) -> Result<(), Broken> {
        let own = self.reports.words();
        match self.at {
            At::Orders => match self.follower.next(self.orders.words()) {
                Some(Change::Slot(slot)) => self.look_at(slot, kernel, trace)?,
                Some(Change::All) => {
                    for slot in 0..self.reports.geometry().slots() {
                        self.look_at(SlotId(slot), kernel, trace)?;
                    }
                }
                None => self.at = At::Deadlines,
            },
            At::Deadlines => {
                let now = Instant(kernel.now);
                let due = |slot: &Private| slot.deadline.is_some_and(|due| due <= now);
                match self.slots.iter().position(due) {
                    Some(slot) => {
                        self.slots[slot].deadline = None;
                        let slot = SlotId(slot as u32);
                        if !self.look_where_none_runs(slot, kernel, trace)? {
                            self.feed(slot, Input::Deadline, kernel, trace)?;
                        }
                    }
                    None => self.at = At::Spawns(16),
                }
            }
            At::Spawns(left) => match (left, self.queue.pop_front()) {
                (0, Some(slot)) => {
                    self.queue.push_front(slot);
                    self.at = At::Ring;
                }
                (_, Some(slot)) => {
                    self.at = At::Spawns(left - 1);
                    self.spawn(slot, kernel, trace)?;
                }
                (_, None) => self.at = At::Ring,
            },
            At::Ring => {
                if self.dirty && words::is_asleep(self.orders.words()) {
                    self.rings = true;
                }
                self.dirty = false;
                self.at = if self.queue.is_empty() { At::Drowse } else { At::News };
            }
            At::Drowse => {
                words::set_asleep(own, true);
                self.at = At::LastLook;
            }
            At::LastLook => {
                if self.follower.behind(self.orders.words()) {
                    words::set_asleep(own, false);
                    self.at = At::News;
                } else {
                    self.at = At::Asleep;
                }
            }
            At::Asleep => {
                self.rung = false;
                words::set_asleep(own, false);
                self.at = At::News;
            }
            At::News => {
                // The kernel says in any order who has news; how long it goes on before it looks at orders again, too.
                let pids: Vec<u32> =
                    kernel.processes.iter().filter(|(_, process)| process.has_news()).map(|(pid, _)| *pid).collect();
                if pids.is_empty() || random.chance(5) {
                    self.at = At::Orders;
                } else {
                    let pid = *random.pick(&pids);
                    self.take_news(pid, kernel, random, trace)?;
                }
            }
        }
        Ok(())
    }

    fn take_news(
        &mut self,
        pid: u32,
        kernel: &mut Kernel,
        random: &mut Random,
        trace: &mut Trace,
    ) -> Result<(), Broken> {
        let Some(process) = kernel.processes.get(&pid) else { return Ok(()) };
        let (exit, other) = (process.exit, random.chance(50));
        let status = process.status.is_some_and(|status| status != Status::Nothing);
        let ready = process.ready_unread || process.extend_unread.is_some();
        if status && (other || exit.is_none() && !ready) {
            self.read_status(pid, kernel, trace)
        } else if ready && (other || exit.is_none()) {
            self.read_ready(pid, kernel, trace)
        } else if let Some(exit) = exit {
            self.take_death(pid, exit, kernel, trace)
        } else {
            Ok(())
        }
    }

    fn read_status(&mut self, pid: u32, kernel: &mut Kernel, trace: &mut Trace) -> Result<(), Broken> {
        let Some(process) = kernel.processes.get_mut(&pid) else { return Ok(()) };
        let (slot, command) = (process.slot, process.command);
        let status = process.status.take();
        match (command, status) {
            (Command::Main, Some(Status::Failed(trouble))) => {
                self.feed(slot, Input::StepFailed(0x10_0002, trouble), kernel, trace)
            }
            (Command::Main, Some(Status::Executed | Status::Nothing)) => {
                self.feed(slot, Input::Executed, kernel, trace)
            }
            (Command::Main | Command::Stop | Command::Reload | Command::Cleanup | Command::Stray, _) => Ok(()),
        }
    }

    fn read_ready(&mut self, pid: u32, kernel: &mut Kernel, trace: &mut Trace) -> Result<(), Broken> {
        let Some(process) = kernel.processes.get_mut(&pid) else { return Ok(()) };
        let slot = process.slot;
        let (ready, extend) = (process.ready_unread, process.extend_unread);
        let listens = self.policy(slot).map(|policy| policy.ready);
        if let (Some(ms), Some(Ready::Notify)) = (extend, listens) {
            self.feed(slot, Input::Extend(ms), kernel, trace)?;
        }
        if ready && matches!(listens, Some(Ready::Descriptor(_) | Ready::Notify)) {
            self.feed(slot, Input::Ready, kernel, trace)?;
        }
        // Only now is it read: after a crash it is heard once more.
        if let Some(process) = kernel.processes.get_mut(&pid) {
            (process.ready_unread, process.extend_unread) = (false, None);
        }
        Ok(())
    }

    fn take_death(&mut self, pid: u32, exit: Exit, kernel: &mut Kernel, trace: &mut Trace) -> Result<(), Broken> {
        let Some(process) = kernel.processes.get(&pid) else { return Ok(()) };
        let (slot, command, ran) = (process.slot, process.command, process.executed);
        if self.mutant == Some(Mutant::DeathLost) && command == Command::Main {
            self.mutant = None;
            kernel.processes.remove(&pid);
            return Ok(());
        }
        if process.status.is_some() {
            self.read_status(pid, kernel, trace)?;
        }
        // Whose it was before a crash that came behind the row is nobody's.
        let row = self.reports.read(slot).unwrap_or_default();
        if pid != if command == Command::Main { row.pid } else { row.auxiliary } {
            kernel.processes.remove(&pid);
            // Whoever waits for the end of strays looks again.
            if command == Command::Stray && row.state == State::Stopping {
                self.look_where_none_runs(slot, kernel, trace)?;
            }
            return Ok(());
        }
        trace.say(kernel.now, || format!("supervisor: {} {command:?} {pid} ended: {exit:?}", slot.0));
        if command == Command::Main {
            let cleans = self.policy(slot).is_some_and(|policy| policy.cleans_each());
            let litters = self.policy(slot).is_some_and(|policy| policy.clears != Clears::Nothing);
            let private = &mut self.slots[slot.index()];
            private.ended = ran.then_some(exit);
            private.owed |= ran && cleans;
            private.litter |= ran && litters;
            self.read_ready(pid, kernel, trace)?;
            if !self.hand_over(slot, pid, kernel, trace)? {
                self.look_behind(slot, exit, kernel, trace)?;
                self.feed(slot, Input::Ended(exit), kernel, trace)?;
            }
        } else {
            self.look_where_none_runs(slot, kernel, trace)?;
            self.feed(slot, Input::AuxiliaryEnded(exit), kernel, trace)?;
        }
        self.may_crash()?;
        // Only now is its number free.
        kernel.processes.remove(&pid);
        Ok(())
    }

    /// See `Supervisor::main_ended` of the host: whether another process is the main one now.
    fn hand_over(&mut self, slot: SlotId, pid: u32, kernel: &mut Kernel, trace: &mut Trace) -> Result<bool, Broken> {
        let Some(policy) = self.policy(slot) else { return Ok(false) };
        // What it had named is remembered over a crash.
        let named = self.reports.word(slot, reports::HEIR);
        let heir = match policy.ready {
            Ready::Notify if named != 0 => Some(named),
            Ready::Notify => kernel.heir(pid),
            Ready::Executed | Ready::Descriptor(_) | Ready::Check | Ready::Forked => None,
        };
        let Some(heir) = heir else { return Ok(false) };
        self.reports.keep(slot, reports::HEIR, heir);
        trace.say(kernel.now, || format!("supervisor: {} goes on with {heir}", slot.0));
        let mut before = [0; reports::ROW];
        self.reports.read_words(slot, &mut before);
        before[reports::HEIR] = 0;
        let mut taken = self.taken(&before, &policy, slot, kernel);
        taken.row.pid = heir;
        if taken.row.state == State::Stopping && self.mutant != Some(Mutant::HeirForgotten) {
            let killed = taken.record.killed;
            let signals = policy.stop == Means::Signals && !killed;
            taken.requests = Requests { stop_signals: signals, kill: killed, ..Requests::default() };
        }
        self.write(slot, &before, &taken, true, kernel)?;
        Ok(true)
    }

    /// See `Supervisor::main_ended` of the host: whether the end of a main process is a time to look for strays.
    fn look_behind(&mut self, slot: SlotId, exit: Exit, kernel: &mut Kernel, trace: &mut Trace) -> Result<(), Broken> {
        let (Some(policy), Some(row)) = (self.policy(slot), self.reports.read(slot)) else { return Ok(()) };
        let stops = row.state == State::Stopping;
        let brings = policy.kind == Kind::Oneshot && policy.remain && policy.succeeds(exit);
        let is_done = brings && (!stops || policy.stop == Means::Command);
        if !is_done && (!stops || row.auxiliary == 0) {
            self.look_for_rest(slot, kernel, trace)?;
        }
        Ok(())
    }

    fn look_for_rest(&mut self, slot: SlotId, kernel: &mut Kernel, trace: &mut Trace) -> Result<bool, Broken> {
        if !kernel.strays(slot).is_empty() {
            self.feed(slot, Input::Occupied, kernel, trace)?;
            return Ok(false);
        }
        let mut row = [0; reports::ROW];
        self.reports.read_words(slot, &mut row);
        let was = Record::of_words(&row).rest;
        if was {
            self.feed(slot, Input::Emptied, kernel, trace)?;
        }
        Ok(was)
    }

    /// See the host.
    fn look_where_none_runs(&mut self, slot: SlotId, kernel: &mut Kernel, trace: &mut Trace) -> Result<bool, Broken> {
        let row = self.reports.read(slot).unwrap_or_default();
        if !row.state.has_process() || row.pid != 0 {
            return Ok(false);
        }
        self.look_for_rest(slot, kernel, trace)
    }

    /// See `Supervisor::look_at` of the host.
    fn look_at(&mut self, slot: SlotId, kernel: &mut Kernel, trace: &mut Trace) -> Result<(), Broken> {
        let (Some(order), Some(row)) = (self.orders.read(slot), self.reports.read(slot)) else { return Ok(()) };
        let again = self.mutant == Some(Mutant::OrderTwice);
        if (order.number != row.order || again) && order.number != Order(0) {
            if !row.state.has_process() {
                self.reports.keep(slot, reports::TEMPLATE, order.service);
            }
            if self.policy(slot).is_none() {
                return Err(Broken(format!("an order for slot {} which has no definition", slot.0)));
            }
            self.look_where_none_runs(slot, kernel, trace)?;
            self.feed(slot, Input::Ordered(order.number, order.wish), kernel, trace)?;
        }
        if order.reload != row.reloaded {
            self.feed_and(slot, Input::ReloadAsked, kernel, trace, |row| row.reloaded = order.reload)?;
        }
        if order.signal != row.signalled {
            let input = Input::SignalAsked(order.signal as u8);
            self.feed_and(slot, input, kernel, trace, |row| row.signalled = order.signal)?;
        }
        Ok(())
    }

    fn definition(&self, slot: SlotId) -> SlotId {
        if slot.0 < self.image.services() { slot } else { SlotId(self.reports.word(slot, reports::TEMPLATE)) }
    }

    fn policy(&self, slot: SlotId) -> Option<Policy> {
        Policy::of(&self.image, self.definition(slot))
    }

    fn feed(&mut self, slot: SlotId, input: Input, kernel: &mut Kernel, trace: &mut Trace) -> Result<(), Broken> {
        self.feed_and(slot, input, kernel, trace, |_| {})
    }

    /// See `Supervisor::feed_and` of the host.
    fn feed_and(
        &mut self,
        slot: SlotId,
        input: Input,
        kernel: &mut Kernel,
        trace: &mut Trace,
        change: impl FnOnce(&mut ReportRow),
    ) -> Result<(), Broken> {
        let mut words_before = [0; reports::ROW];
        let (true, Some(policy)) = (self.reports.read_words(slot, &mut words_before), self.policy(slot)) else {
            return Err(Broken(format!("slot {} cannot be read by its own writer", slot.0)));
        };
        let mut taken = self.taken(&words_before, &policy, slot, kernel);
        let (before, record) = (taken.row, taken.record);
        step(&mut taken, input);
        change(&mut taken.row);
        if self.mutant == Some(Mutant::ReadyEarly) && input == Input::Executed && policy.kind == Kind::Longrun {
            taken.row.state = State::Up;
        }
        let private = &mut self.slots[slot.index()];
        if gives_up_cleanup(&record, &before, &taken) {
            (private.owed, private.litter) = (false, false); // it was in the queue for all of its time
        }
        words::store_u64(self.reports.words(), reports::own::STAMP, taken.stamp);
        let row = taken.row;
        trace.say(kernel.now, || {
            format!("supervisor: {} {input:?}: {:?} -> {:?}, order {}", slot.0, before.state, row.state, row.order.0)
        });
        if row.deadline != before.deadline || input == Input::Deadline {
            private.deadline = (row.deadline != Instant::NEVER).then_some(row.deadline);
        }
        self.write(slot, &words_before, &taken, !is_on_the_way(&before, &row, input), kernel)
    }

    fn taken<'p>(&self, before: &[u32; reports::ROW], policy: &'p Policy, slot: SlotId, kernel: &Kernel) -> Slot<'p> {
        Slot {
            row: ReportRow::of(before),
            record: Record::of_words(before),
            policy,
            now: Instant(kernel.now),
            stamp: words::load_u64(self.reports.words(), reports::own::STAMP),
            salt: slot.0,
            requests: Requests::default(),
        }
    }

    /// See `Supervisor::write` of the host.
    fn write(
        &mut self,
        slot: SlotId,
        before: &[u32; reports::ROW],
        taken: &Slot<'_>,
        is_news: bool,
        kernel: &mut Kernel,
    ) -> Result<(), Broken> {
        let mut fresh = *before;
        taken.row.put(&mut fresh);
        taken.record.put(&mut fresh);
        let owed = taken.requests.to_word();
        if fresh[1..] == before[1..] && owed == 0 {
            return Ok(());
        }
        self.may_crash()?;
        let is_news = is_news && fresh[1..reports::KEPT] != before[1..reports::KEPT];
        self.reports.write_words(slot, &fresh, is_news, owed);
        if self.crashes_in == 1 {
            self.tear(slot, before);
        }
        self.may_crash()?;
        self.dirty |= is_news;
        self.perform(slot, &taken.requests, &taken.row, kernel)?;
        self.may_crash()?;
        self.reports.done();
        Ok(())
    }

    /// A row that was being written: its counter is odd, and its second half is that of before.
    fn tear(&self, slot: SlotId, before: &[u32; reports::ROW]) {
        let at = words::ROWS + slot.index() * reports::ROW;
        let own = self.reports.words();
        words::store(own, at, words::load(own, at).wrapping_sub(1));
        for (word, value) in before.iter().enumerate().skip(reports::ROW / 2) {
            words::store(own, at + word, *value);
        }
    }

    fn perform(
        &mut self,
        slot: SlotId,
        requests: &Requests,
        row: &ReportRow,
        kernel: &mut Kernel,
    ) -> Result<(), Broken> {
        let Requests {
            cancel,
            stop_signals,
            reload_signals,
            signal,
            kill,
            kill_auxiliary,
            spawn,
            spawn_auxiliary,
            kill_rest,
        } = *requests;
        let definition = self.definition(slot);
        let private = &mut self.slots[slot.index()];
        if cancel {
            private.wants_main = false;
            private.wants_auxiliary = false;
        }
        // Only what is not reaped, and this slot's, is ever signalled.
        let ours = |pid: u32| kernel.processes.get(&pid).is_some_and(|process| process.slot == slot);
        for (asked, pid) in [(stop_signals || reload_signals || signal != 0 || kill, row.pid)] {
            if asked && pid != 0 && !ours(pid) {
                return Err(Broken(format!("slot {} signals process {pid}, which is not its own", slot.0)));
            }
        }
        if kill_auxiliary && row.auxiliary != 0 && !ours(row.auxiliary) {
            return Err(Broken(format!("slot {} kills command {}, which is not its own", slot.0, row.auxiliary)));
        }
        let terminates = |number: u32| matches!(number, 2 | 3 | 15);
        if stop_signals {
            let signals = self.image.list(self.image.service(definition, service::STOP));
            if signals.get(0) == action::SIGNALS && signals.iter().skip(1).any(terminates) {
                kernel.signal(row.pid);
            }
        }
        if signal != 0 && terminates(u32::from(signal)) {
            kernel.signal(row.pid);
        }
        if kill && self.mutant != Some(Mutant::KillForgotten) {
            kernel.kill(row.pid);
        }
        if kill_auxiliary {
            kernel.kill(row.auxiliary);
        }
        if kill || kill_rest {
            kernel.strays(slot).into_iter().for_each(|pid| kernel.kill(pid));
        }
        if spawn {
            private.wants_main = true;
        }
        if spawn_auxiliary.is_some() {
            private.wants_auxiliary = true;
        }
        if (spawn || spawn_auxiliary.is_some()) && !std::mem::replace(&mut private.queued, true) {
            self.queue.push_back(slot);
        }
        Ok(())
    }

    /// The turn of a slot in the queue.
    fn spawn(&mut self, slot: SlotId, kernel: &mut Kernel, trace: &mut Trace) -> Result<(), Broken> {
        let private = &mut self.slots[slot.index()];
        private.queued = false;
        let main = std::mem::take(&mut private.wants_main);
        let auxiliary = std::mem::take(&mut private.wants_auxiliary);
        let mut row = [0; reports::ROW];
        self.reports.read_words(slot, &mut row);
        if auxiliary && let Some(role) = Record::of_words(&row).role {
            let command = match role {
                Role::Stop => Command::Stop,
                Role::Reload => Command::Reload,
                Role::Cleanup => Command::Cleanup,
                Role::Check | Role::Health | Role::PreStart => {
                    return Err(Broken("it checks, which no simulated service does".into()));
                }
            };
            let input = match self.clone(slot, command, kernel, trace)? {
                Ok(pid) => Input::AuxiliaryCloned(pid),
                Err(trouble) => {
                    self.look_where_none_runs(slot, kernel, trace)?;
                    Input::AuxiliaryRefused(0x10_000b, trouble)
                }
            };
            self.feed(slot, input, kernel, trace)?;
        }
        if main && self.reports.read(slot).is_some_and(|row| row.state == State::Queued) {
            let input = match self.clone(slot, Command::Main, kernel, trace)? {
                Ok(pid) => Input::Cloned(pid),
                Err(trouble) => Input::Refused(0x10_000b, trouble),
            };
            self.feed(slot, input, kernel, trace)?;
        }
        Ok(())
    }

    /// Invariant 9, by the processes that there really are.
    fn clone(
        &mut self,
        slot: SlotId,
        command: Command,
        kernel: &mut Kernel,
        trace: &mut Trace,
    ) -> Result<Result<u32, Trouble>, Broken> {
        let definition = self.definition(slot);
        let name = self.image.name(definition);
        // (A stray that is dead is in nobody's way; whose others are is in a row.)
        let there = |process: &&Process| process.command != Command::Stray || process.is_alive();
        for (pid, process) in kernel.of(slot).filter(|(_, process)| there(process)) {
            let beside = (command, process.command);
            // What stays of a life goes before the cleanup and the next life.
            let fine = matches!(
                beside,
                (Command::Stop | Command::Reload, Command::Main | Command::Stray) | (Command::Main, Command::Reload)
            );
            if !fine {
                let other = process.command;
                return Err(Broken(format!("9: {name} ({}) gets {command:?} beside {other:?} {pid}", slot.0)));
            }
        }
        let Some(policy) = self.policy(slot) else { return Err(Broken(format!("{name} has no policy"))) };
        let oneshot = policy.kind == Kind::Oneshot;
        let row = self.reports.read(slot).unwrap_or_default();
        let mut words = [0; reports::ROW];
        self.reports.read_words(slot, &mut words);
        let clears = command == Command::Cleanup && self.taken(&words, &policy, slot, kernel).clears();
        let private = &mut self.slots[slot.index()];
        private.litter &= !clears;
        let broken = |what: &str| Err(Broken(format!("attempts: {name} ({}) {what}", slot.0)));
        match command {
            Command::Main if private.owed => return broken("begins before it is cleaned up after"),
            Command::Main if oneshot && row.deaths >= policy.limit => return broken("has had all its attempts"),
            Command::Stop if oneshot && private.ended != Some(Exit::Code(0)) => return broken("never was up"),
            Command::Main if private.litter && policy.clears == Clears::EachLife => {
                return broken("finds what was left");
            }
            Command::Cleanup if !policy.cleanup && !clears => return broken("has no cleanup"),
            Command::Main | Command::Stop | Command::Reload | Command::Stray => {}
            Command::Cleanup => private.owed = false,
        }
        private.spawns += 1;
        let (nth, image) = (private.spawns, self.image);
        let looks = command == Command::Main
            && row.attempt == 0
            && image.service(definition, service::ONLY_IF) != pintle::database::NONE;
        let name = if slot.0 < image.services() { name.to_string() } else { format!("{name}{}", slot.0) };
        let program = program(self.plan, &name, nth, command, oneshot, kernel.calm, looks);
        if let Some(trouble) = program.refused {
            trace.say(kernel.now, || format!("kernel: {name} {command:?} is refused: {trouble:?}"));
            return Ok(Err(trouble));
        }
        let pid = kernel.spawn(slot, command, program);
        let word = if command == Command::Main { reports::PID } else { reports::AUXILIARY };
        self.reports.keep(slot, word, pid);
        trace.say(kernel.now, || format!("kernel: {name} ({}) {command:?} is {pid}: {program:?}", slot.0));
        self.may_crash()?;
        Ok(Ok(pid))
    }

    /// Of what the newest order wishes, for the judge.
    pub fn wish(&self, slot: SlotId) -> Wish {
        let mut row = [0; reports::ROW];
        self.reports.read_words(slot, &mut row);
        Record::of_words(&row).wish
    }

    /// Whether it should have been cleaned up after, and was not.
    pub fn owes_cleanup(&self, slot: SlotId) -> bool {
        self.slots[slot.index()].owed || self.slots[slot.index()].litter
    }

    /// Whether nothing waits to be spawned.
    pub fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    /// What of the orders it has been told.
    pub fn all_down(&self) -> bool {
        words::load(self.orders.words(), orders::own::ALL_DOWN) == 1
    }
}
