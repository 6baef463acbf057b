//! Processes: the queue of spawns, children between clone and exec, deaths.

use super::held::Of;
use super::helpers::OTHER_PID;
use super::launch::{Child, Command, Output, Variables, launch};
use super::pids::Owner;
use super::store::{self, Stored};
use super::{FLIGHTS, InstanceName, SPAWNS, Source, Supervisor};
use super::{rare, survivors};
use crate::host::failure::Failure;
use crate::sys::poll::Interest;
use crate::sys::reap::{self, Outcome};
use crate::sys::signals::{SIGKILL, SIGTERM};
use crate::sys::spawn::{News, Pending};
use crate::sys::{AsFd, Errno, OwnedFd, clock, output, pipe};
use core::sync::atomic::Ordering;
use pintle::board::reports::{self, Exit, State};
use pintle::board::words;
use pintle::database::{exec, service};
use pintle::ident::SlotId;
use pintle::lang::definition::{KillMode, Kind, Log};
use pintle::limits::STORED_NAME_BYTES;
use pintle::supervision::{Input, Means, Policy, Ready, Record, Requests, Role};
use pintle::time::Instant;

/// How long a spawn waits for a free stack before it goes the slow way. Milliseconds.
pub const STUCK_MS: u32 = 50;

/// How long to wait for stacks to become free while more is to be spawned, microseconds: being woken by each one's exec
/// costs more than all the rest of a spawn here.
const STACKS_US: u64 = 150;
/// Deaths in one round.
const DEATHS: usize = 256;

/// Pipes are watched for changes: one that is closed here while a child between clone and exec still holds a copy stays
/// watched for that moment, and its hang-up would wake us over and over.
pub(super) const EDGE: Interest = Interest::READ.and(Interest::EDGE);

/// A child between clone and exec.
pub struct Flight {
    pub owner: Owner,
    pub pending: Pending,
    /// Its exec changes something: it is up then. What became of another is looked at when something else happens.
    awaited: bool,
    /// Its status pipe is in the poll.
    watched: bool,
}

/// Slots that wait for a spawn, first come first served. The links are in `Private`.
#[derive(Default)]
pub struct Queue {
    /// Slot plus one; 0 for none.
    first: u32,
    last: u32,
}

const CONSOLE: u32 = Log::Console as u32;
const NULL: u32 = Log::Null as u32;
const SYSLOG: u32 = Log::Syslog as u32;
const PIPE: u32 = Log::Pipe as u32;

impl Supervisor {
    /// Puts a slot at the end of the queue, if it is not in it: for its main process, or for a command.
    #[inline(never)]
    pub(super) fn enqueue(&mut self, slot: SlotId, main: bool) {
        let Some(private) = self.slots.get_mut(slot.index()) else { return };
        private.wants_main |= main;
        private.wants_auxiliary |= !main;
        private.put_off &= main;
        if core::mem::replace(&mut private.queued, true) {
            return;
        }
        private.next = 0;
        match self.queue.last.checked_sub(1) {
            Some(last) => self.slots[last as usize].next = slot.0 + 1,
            None => self.queue.first = slot.0 + 1,
        }
        self.queue.last = slot.0 + 1;
    }

    fn take_first(&mut self) -> Option<SlotId> {
        let slot = self.queue.first.checked_sub(1)?;
        let private = self.slots.get_mut(slot as usize)?;
        private.queued = false;
        self.queue.first = private.next;
        if self.queue.first == 0 {
            self.queue.last = 0;
        }
        Some(SlotId(slot))
    }

    /// Spawns what can be spawned in one round; says whether there is more that need not wait for anything.
    pub fn spawn_some(&mut self) -> bool {
        for _ in 0..SPAWNS {
            if self.queue.first == 0 {
                self.stuck = Instant::NEVER;
                return false;
            }
            if !self.flights_have_room() {
                self.stuck = Instant::NEVER; // it is not for want of a stack
                return false; // the next news makes room
            }
            if !self.spawner.has_free_stack() {
                // Children hang in a terminal or a network file system. Their news may come; if not, it goes without a
                // stack.
                self.stuck = self.stuck.min(self.now.plus_ms(STUCK_MS));
                if self.now < self.stuck {
                    return false;
                }
            } else {
                self.stuck = Instant::NEVER;
            }
            let Some(slot) = self.take_first() else { return false };
            let Some(private) = self.slots.get_mut(slot.index()) else { continue };
            let main = core::mem::take(&mut private.wants_main);
            let auxiliary = core::mem::take(&mut private.wants_auxiliary);
            if auxiliary {
                self.spawn_auxiliary(slot);
            }
            if main && State::from_number(self.reports.word(slot, reports::STATE)) == State::Queued {
                self.reports.keep(slot, reports::HEIR, 0); // of an earlier life
                self.write_status(slot, b"");
                self.spawn_as(slot, Command::Main);
            }
        }
        self.queue.first != 0
    }

    /// For what one slot may ask for: one main process and one command.
    fn flights_have_room(&self) -> bool {
        self.flying + 2 <= FLIGHTS
    }

    fn spawn_auxiliary(&mut self, slot: SlotId) {
        let role = self.record(slot).role;
        let pid = self.reports.word(slot, reports::PID);
        let command = match role {
            Some(Role::Stop) => Command::Stop(pid),
            Some(Role::Reload) => Command::Reload(pid),
            Some(Role::Cleanup) => Command::Cleanup { clears: self.clears(slot) },
            Some(Role::Check) => Command::Check(pid),
            Some(Role::Health) => Command::Health(pid),
            Some(Role::PreStart) => Command::PreStart,
            None => return,
        };
        self.spawn_as(slot, command);
    }

    /// Spawns, and says what has come of it.
    #[inline(never)]
    fn spawn_as(&mut self, slot: SlotId, command: Command) {
        let input = match (command == Command::Main, self.spawn(slot, command)) {
            (true, Ok(pid)) => Input::Cloned(pid),
            (true, Err(failure)) => Input::Refused(failure.0, failure.trouble()),
            (false, Ok(pid)) => {
                self.slots[slot.index()].lacks = 0;
                Input::AuxiliaryCloned(pid)
            }
            (false, Err(failure)) => {
                if self.puts_off(slot, failure) {
                    return;
                }
                self.look_where_none_runs(slot);
                Input::AuxiliaryRefused(failure.0, failure.trouble())
            }
        };
        self.feed(slot, input);
    }

    /// Makes the pipes that the child needs, and the child.
    fn spawn(&mut self, slot: SlotId, command: Command) -> Result<u32, Failure> {
        let made = self.spawn_in_group(slot, command, false);
        match made {
            // A group that hands down controllers, as that of a service that has groups of its own, takes none.
            Err(failure) if failure.is_of_clone(&[Errno::BUSY, Errno::OPNOTSUPP]) => {
                self.spawn_in_group(slot, command, true)
            }
            made => made,
        }
    }

    #[inline(never)]
    fn spawn_in_group(&mut self, slot: SlotId, command: Command, enters: bool) -> Result<u32, Failure> {
        let Some(definition) = self.definition(slot) else { return Err(Failure::NO_DEFINITION) };
        let Some(policy) = &Policy::of(&self.common.image, definition) else { return Err(Failure::NO_DEFINITION) };
        let mut variables = Variables::NONE;
        if !self.read_variables(slot, &mut variables) {
            return Err(Failure::of_clone(Errno::AGAIN));
        }
        if !variables.are_valid() || slot.0 >= self.common.image.services() && variables.instance().is_empty() {
            return Err(Failure::BAD_INSTANCE);
        }
        let is_main = command == Command::Main;
        let goes_on = matches!(policy.ready, Ready::Executed | Ready::Check);
        let awaited = is_main && policy.kind == Kind::Longrun && goes_on;
        let ready = if is_main { self.ready_for(slot, policy)? } else { None };
        let mut path = [0; super::readiness::PATH_BYTES];
        let room = if is_main { store::room(&self.common.image, definition) } else { 0 };
        let speaks = is_main && policy.ready == Ready::Notify;
        let forks = is_main && policy.ready == Ready::Forked;
        let told = speaks || forks || room > 0;
        if told {
            self.open_notify(slot, definition, policy)?;
        }
        let socket = if told { self.notify_path(slot, &mut path) } else { &[] };
        let notify = if speaks { socket } else { &[] };
        let log = self.log_for(slot, definition, &variables)?;
        let image = self.common.image;
        let record = image.service(definition, service::EXEC);
        let to = SlotId(image.exec(record, exec::LOG_TO).wrapping_sub(1));
        if log == Log::Pipe {
            self.open_input(to)?;
        }
        let reads = is_main && image.flags(definition) & service::flags::INPUT != 0;
        if reads {
            self.open_input(slot)?;
        }
        let group = self.group_for(slot, definition, enters)?;
        let places = self.places(slot).take(room);
        let Supervisor { spawner, common, slots, rare, reports, stored, held, cgroups, .. } = self;
        let input_of = |slot| rare::of(slots, rare, slot).and_then(|rare| rare.input.as_ref());
        let mut kept = Stored { room, ..Stored::default() };
        for (at, fd) in places.filter_map(|at| Some((at, stored.get(at)?.as_ref()?))) {
            let _ = kept.descriptors.push(fd.as_fd()); // there is room for all, here and below
            let _ = kept.names.extend_from_slice(if kept.names.is_empty() { b"" } else { b":" });
            let _ = kept.names.extend_from_slice(held.stored_name(at, &mut [0; STORED_NAME_BYTES]));
        }
        let Some(private) = slots.get(slot.index()) else { return Err(Failure::NO_DEFINITION) };
        if is_main {
            // An earlier life, or another writer, may have asked for the contrary.
            let others = (log == Log::Pipe).then(|| input_of(to)).flatten();
            let own = input_of(slot).filter(|_| reads).map(|(read, _)| read);
            for end in [private.log.as_ref().map(|(_, write)| write), others.map(|(_, write)| write), own] {
                end.into_iter().for_each(pipe::make_blocking);
            }
        }
        let output = match (log, &private.log) {
            (Log::File, Some((_, write))) => Output::Pipe(write.as_fd()),
            (Log::Console, _) => Output::Inherit,
            (Log::Pipe, _) => match input_of(to) {
                Some((_, write)) => Output::Pipe(write.as_fd()),
                None => Output::Null,
            },
            (Log::Null | Log::File | Log::Syslog | Log::Keep, _) => Output::Null,
        };
        let child = Child {
            definition,
            command,
            // Once for an order, before anything of its first life.
            looks: (if policy.pre_start { command == Command::PreStart } else { is_main })
                && reports.word(slot, reports::ATTEMPT) == 0
                && reports.word(slot, reports::DEATHS) == 0,
            awaited,
            variables: &variables,
            output,
            input: input_of(slot).filter(|_| reads).map(|(read, _)| read.as_fd()),
            ready: ready.as_ref().map(|(fd, number)| (fd.as_fd(), *number)),
            notify,
            group: &group,
            groups: cgroups.as_ref().map_or(&[], |cgroups| cgroups.path),
            stored: kept,
            socket: if forks || room > 0 { socket } else { &[] },
            forks: forks.then_some(policy.stop_timeout_ms / 4 * 3),
            watchdog_ms: if notify.is_empty() { 0 } else { policy.watchdog_ms },
        };
        let mut draft = spawner.draft_or_fork();
        let (word, owner) = match is_main {
            true => (reports::PID, Owner::Main(slot)),
            false => (reports::AUXILIARY, Owner::Auxiliary(slot)),
        };
        let word = reports.pid_word(slot, word).unwrap_or(&OTHER_PID);
        let result = launch(common, &mut draft, &child, word);
        drop(child);
        match result {
            Ok(pending) => {
                self.hold_status(owner, pending.status.as_ref());
                Ok(self.watch(owner, pending, awaited))
            }
            Err(failure) => {
                word.store(0, Ordering::Relaxed);
                self.close_ready(slot);
                self.doubt_group(slot);
                Err(failure)
            }
        }
    }

    /// Keeps a new child: whose it is, and where its news are.
    pub fn watch(&mut self, owner: Owner, pending: Pending, awaited: bool) -> u32 {
        let pid = pending.pid;
        self.pids.insert(pid, owner);
        if self.flying == self.flights.len() {
            let _ = self.flights.push(None); // full: see below
        }
        match self.flights.iter_mut().find(|flight| flight.is_none()) {
            Some(place) => {
                *place = Some(Flight { owner, pending, awaited, watched: false });
                self.flying += 1;
            }
            // Its exec is taken as done, its death tells the rest.
            None => {
                self.hold_status(owner, None);
                self.settle(owner, News::Executed);
            }
        }
        pid
    }

    /// Looks at all children that are not watched. They are few: clone to exec takes a tenth of a millisecond.
    pub fn look_at_flights(&mut self) {
        if self.flying == 0 {
            return;
        }
        for at in 0..self.flights.len() {
            if self.flights[at].as_ref().is_some_and(|flight| !flight.watched) {
                self.look_at_flight(at);
            }
        }
    }

    /// Before a sleep. With more to spawn and no stack free, it is a short one; else awaited children are watched, and
    /// where there are so many that no more can be made, all that have a pipe; the others are looked at again soon.
    pub fn before_sleep(&mut self) -> Instant {
        let more = self.queue.first != 0;
        if more && self.flights_have_room() {
            return Instant(clock::now().0.saturating_add(STACKS_US * 1000));
        }
        let mut retry = Instant::NEVER;
        if self.flying == 0 {
            return retry;
        }
        for (at, place) in self.flights.iter_mut().enumerate() {
            let Some(flight) = place.as_mut().filter(|flight| (flight.awaited || more) && !flight.watched) else {
                continue;
            };
            let token = Source::Flight(at as u32).token();
            let status = flight.pending.status.as_ref();
            flight.watched = status.is_some_and(|status| self.poll.add(status, token, EDGE).is_ok());
            if !flight.watched {
                retry = self.now.plus_ms(STUCK_MS); // no pipe, or no memory for now
            }
        }
        retry
    }

    /// The log of a definition, with its pipe made.
    fn log_for(&mut self, slot: SlotId, definition: SlotId, variables: &Variables) -> Result<Log, Failure> {
        let image = &self.common.image;
        let log = match image.exec(image.service(definition, service::EXEC), exec::LOG) {
            CONSOLE => Log::Console,
            PIPE => Log::Pipe,
            NULL => Log::Null,
            // By way of the logger, which knows what to do with it.
            kind if self.link.is_some() => {
                if let Some(link) = self.link.as_mut().filter(|_| kind == SYSLOG) {
                    link.again(slot); // it names the process
                }
                Log::File
            }
            _ => Log::Null,
        };
        self.name_instance(slot, definition, variables)?;
        let Some(private) = self.slots.get_mut(slot.index()) else { return Ok(Log::Null) };
        if log == Log::File && private.log.is_none() {
            let ends = pipe::pair().map_err(Failure::of_pipe)?;
            pipe::shrink(&ends.0);
            self.held.hold(slot, Of::LogRead, Some(&ends.0));
            self.held.hold(slot, Of::LogWrite, Some(&ends.1));
            private.log = Some(ends);
            if let Some(link) = &mut self.link {
                link.opened(slot);
            }
            self.logger_is_needed();
        }
        Ok(log)
    }

    /// Makes the pipe to a service's standard input. It is kept for ever: neither the end of those who write nor that of
    /// the one who reads loses what is in it.
    #[inline(never)]
    fn open_input(&mut self, slot: SlotId) -> Result<(), Failure> {
        let rare = rare::of_mut(&self.slots, &mut self.rare, slot).filter(|rare| rare.input.is_none());
        let Some(rare) = rare else { return Ok(()) };
        let ends = pipe::blocking().map_err(Failure::of_pipe)?;
        self.held.hold(slot, Of::InputRead, Some(&ends.0));
        self.held.hold(slot, Of::InputWrite, Some(&ends.1));
        rare.input = Some(ends);
        Ok(())
    }

    /// The log of an instance slot is known as this from now on.
    #[inline(never)]
    fn name_instance(&mut self, slot: SlotId, definition: SlotId, variables: &Variables) -> Result<(), Failure> {
        let Some(at) = slot.0.checked_sub(self.common.image.services()) else { return Ok(()) };
        let mut fresh: InstanceName = [0; _];
        let (template, name) = fresh.split_at_mut(4);
        template.copy_from_slice(&definition.0.to_ne_bytes());
        name.copy_from_slice(variables.name());
        if self.instances.get(at as usize).is_some_and(|known| *known != fresh) {
            self.leave_log(slot)?;
            self.instances[at as usize] = fresh;
        }
        Ok(())
    }

    /// After a crash: as what it was known.
    #[inline(never)]
    pub(super) fn remember_instance(&mut self, slot: SlotId) {
        let mut variables = Variables::NONE;
        if let Some(definition) = self.definition(slot)
            && self.read_variables(slot, &mut variables)
        {
            let log = self.slots.get_mut(slot.index()).and_then(|private| private.log.take());
            let _ = self.name_instance(slot, definition, &variables); // nothing is left where there is no log
            if let Some(private) = self.slots.get_mut(slot.index()) {
                private.log = log;
            }
        }
    }

    /// The writing end for readiness by descriptor.
    fn ready_for(&mut self, slot: SlotId, policy: &Policy) -> Result<Option<(OwnedFd, i32)>, Failure> {
        match (policy.kind, policy.ready) {
            (Kind::Longrun, Ready::Descriptor(number)) => {
                let (read, write) = pipe::pair().map_err(Failure::of_pipe)?;
                self.poll.add(&read, Source::Ready(slot.0).token(), EDGE).map_err(Failure::of_pipe)?;
                if let Some(private) = self.slots.get_mut(slot.index()) {
                    self.held.hold(slot, Of::Ready, Some(&read));
                    private.ready = Some(read);
                }
                Ok(Some((write, number as i32)))
            }
            (Kind::Longrun, Ready::Executed | Ready::Check | Ready::Notify | Ready::Forked)
            | (Kind::Oneshot | Kind::Bundle, _) => Ok(None),
        }
    }

    /// Reads the news of a child.
    pub fn look_at_flight(&mut self, at: usize) {
        let Some(Some(flight)) = self.flights.get(at) else { return };
        let owner = flight.owner;
        match self.spawner.news(&flight.pending) {
            News::None => {}
            news @ (News::Executed | News::Failed(..)) => {
                self.let_go(at, owner);
                self.settle(owner, news);
            }
        }
    }

    fn settle(&mut self, owner: Owner, news: News) {
        match (owner, news) {
            (Owner::Main(slot), News::Executed) => self.feed(slot, Input::Executed),
            (Owner::Main(slot), News::Failed(step, error, which)) => {
                let failure = Failure::of_step(step, error, which);
                self.feed(slot, Input::StepFailed(failure.0, failure.trouble()));
            }
            (Owner::Engine | Owner::Logger, News::Failed(step, error, which)) => {
                helper_failed(owner, Failure::of_step(step, error, which));
            }
            // No life can begin without it. How another command ends says enough.
            (Owner::Auxiliary(slot), News::Failed(step, error, which))
                if self.record(slot).role == Some(Role::PreStart) =>
            {
                let failure = Failure::of_step(step, error, which);
                self.feed(slot, Input::StepFailed(failure.0, failure.trouble()));
            }
            (Owner::Auxiliary(_) | Owner::Sweeper, _)
            | (Owner::Engine | Owner::Logger, News::Executed)
            | (_, News::None) => {}
        }
    }

    /// Takes deaths. SIGCHLD may stand for several; a service whose orphans die without end does not keep others
    /// waiting.
    pub fn take_deaths(&mut self) {
        for _ in 0..DEATHS {
            self.more_deaths = false;
            let Some(death) = reap::peek() else { return };
            self.more_deaths = true;
            let exit = exit_of(death.outcome);
            let owner = self.pids.get(death.pid);
            if let Some(owner) = owner.filter(|_| self.flying > 0) {
                self.close_flight(owner, death.pid);
            }
            if let (Some(Owner::Main(slot) | Owner::Auxiliary(slot)), Exit::Signal(SIGKILL)) = (owner, exit) {
                self.doubt_group(slot); // it may be somebody's who kills all that is made in it from now on
            }
            match owner {
                Some(Owner::Main(slot)) => self.main_ended(slot, death.pid, exit),
                Some(Owner::Auxiliary(slot)) => {
                    self.kill_rest(death.pid);
                    self.look_where_none_runs(slot);
                    self.feed(slot, Input::AuxiliaryEnded(exit));
                }
                // One that was not ours any more may have left others, which hold what it held.
                Some(Owner::Engine) => self.kill_rest(death.pid),
                Some(Owner::Logger | Owner::Sweeper) | None => {}
            }
            self.pids.remove(death.pid);
            reap::reap(death.pid);
            match owner {
                Some(Owner::Engine) => self.engine_ended(exit),
                Some(Owner::Logger) => self.logger_ended(),
                Some(Owner::Sweeper) => self.sweeper_ended(exit),
                Some(Owner::Main(_) | Owner::Auxiliary(_)) => {}
                None => {
                    self.orphans.ended();
                    let orphans = words::load(self.reports.head(), reports::own::ORPHANS);
                    words::store(self.reports.head(), reports::own::ORPHANS, orphans.wrapping_add(1));
                }
            }
        }
    }

    /// What a dead child has told comes before its death.
    fn close_flight(&mut self, owner: Owner, pid: u32) {
        let found =
            self.flights.iter().position(|flight| flight.as_ref().is_some_and(|flight| flight.pending.pid == pid));
        let Some(at) = found else { return };
        self.look_at_flight(at);
        if self.flights[at].is_some() {
            self.let_go(at, owner);
            self.settle(owner, News::Executed); // killed before it could say anything
        }
    }

    fn let_go(&mut self, at: usize, owner: Owner) {
        self.hold_status(owner, None);
        self.flights[at] = None;
        self.flying -= 1;
    }

    /// Whose status pipe is there after a crash, too, as long as it is not read to its end.
    fn hold_status(&self, owner: Owner, status: Option<&OwnedFd>) {
        match owner {
            Owner::Main(slot) => self.held.hold(slot, Of::Status, status),
            Owner::Auxiliary(slot) => self.held.hold(slot, Of::CommandStatus, status),
            Owner::Engine | Owner::Logger | Owner::Sweeper => {} // begun anew
        }
    }

    fn main_ended(&mut self, slot: SlotId, pid: u32, exit: Exit) {
        // So does what it said about its readiness.
        self.read_ready(slot);
        self.read_all_notices(slot);
        self.close_ready(slot);
        self.mind_lost(slot, pid);
        let heir = self.reports.word(slot, reports::HEIR);
        let mut exit = exit;
        if heir != 0 && self.pids.get(heir).is_none() {
            match reap::look(heir) {
                reap::Child::Alive => return self.hand_over(slot, heir),
                // The one that we have waited for, and its end is what counts.
                reap::Child::Ended(outcome) if exit == Exit::Code(0) => exit = exit_of(outcome),
                reap::Child::Ended(_) | reap::Child::Unknown => {}
            }
        }
        let stops = State::from_number(self.reports.word(slot, reports::STATE)) == State::Stopping;
        // What a oneshot has brought up stays until it is taken down.
        let is_done = |policy: &Policy| {
            let brings = policy.kind == Kind::Oneshot && policy.remain && policy.succeeds(exit);
            brings && (!stops || policy.stop == Means::Command)
        };
        if let Some(policy) = self.policy(slot).filter(|policy| !is_done(policy)) {
            if policy.kill_mode != KillMode::Process {
                self.kill_rest(pid);
            }
            self.note_session(slot, pid);
            // Else the stop command's end is the last.
            if !stops || self.reports.word(slot, reports::AUXILIARY) == 0 {
                self.look_for_rest(slot);
            }
        }
        if let Some(link) = self.link.as_mut().filter(|_| self.slots[slot.index()].log.is_some()) {
            link.ended(slot);
        }
        self.feed(slot, Input::Ended(exit));
    }

    /// What was taken for a child that executes nothing, after a crash, and ended, has come to its exec before that: it was a
    /// life like any other.
    fn mind_lost(&mut self, slot: SlotId, pid: u32) {
        if self.reports.word(slot, reports::FAILURE) != Failure::LOST.0 || !survivors::has_executed(pid) {
            return;
        }
        let mut before = [0; reports::ROW];
        if !self.reports.read_words(slot, &mut before) {
            return;
        }
        let (mut fresh, mut record) = (before, Record::of_words(&before));
        fresh[reports::FAILURE] = 0;
        (record.trouble, record.dirty) = (None, self.policy(slot).is_some_and(|policy| policy.cleans_each()));
        record.put(&mut fresh);
        self.write(slot, &before, &fresh, &Requests::default(), false);
    }

    /// The main process had named another one, which is ours now, and has ended.
    #[inline(never)]
    fn hand_over(&mut self, slot: SlotId, heir: u32) {
        let mut before = [0; reports::ROW];
        if !self.reports.read_words(slot, &mut before) {
            return;
        }
        let mut fresh = before;
        (fresh[reports::PID], fresh[reports::HEIR]) = (heir, 0);
        self.pids.insert(heir, Owner::Main(slot));
        let state = State::from_number(before[reports::STATE]);
        if state.is_in(State::set(&[State::Spawning, State::Starting]))
            && self.policy(slot).is_some_and(|policy| policy.ready == Ready::Forked)
        {
            // It is what the first process was to bring up. An heir that ends is its own no more: see `main_ended`.
            self.feed_and(slot, Input::Ready, &|row| row.pid = heir);
            return self.reports.keep(slot, reports::HEIR, 0);
        }
        let mut again = Requests::default();
        if state == State::Stopping {
            // What was meant for the one before is meant for this one.
            let by_signals = self.policy(slot).is_some_and(|policy| policy.stop == Means::Signals);
            again.kill = Record::of_words(&fresh).killed;
            again.stop_signals = by_signals && !again.kill;
            if !by_signals && !again.kill && Record::of_words(&fresh).role.is_none() {
                again.signal = SIGTERM; // a stop command would come too late
            }
        }
        self.write(slot, &before, &fresh, &again, true);
    }

    /// For the shutdown: whether a service's process lives.
    pub fn services_live(&self) -> bool {
        let ours = [self.engine.is_alive(), self.logger.is_alive(), self.orphans.is_sweeping()];
        self.pids.len() > ours.into_iter().map(usize::from).sum()
    }
}

fn exit_of(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Exited(code) => Exit::Code(code),
        Outcome::Killed { signal, .. } => Exit::Signal(signal),
    }
}

/// Without the engine nothing is decided and nobody can ask: the one thing to say aloud.
pub fn helper_failed(owner: Owner, failure: Failure) {
    let name = if owner == Owner::Engine { "engine" } else { "log" };
    output::say_now(format_args!("pintle: cannot start pintle-{name}: {failure}"));
}
