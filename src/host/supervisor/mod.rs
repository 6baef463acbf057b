//! The supervisor: one loop over what the engine orders, what becomes of processes, and deadlines. It knows no
//! dependency.
//!
//! What to do about a slot is decided in `pintle::supervision`; here it is done. After `start` nothing allocates, and
//! nothing waits: not for a child, a pipe, the engine or the logger.
//!
//! One round: orders, deadlines, up to `SPAWNS` spawns, the doorbell, then news from the kernel. A row of the reports
//! is written before the death that it tells of is reaped, and after everything that it says has happened.

mod cgroups;
mod children;
mod deadlines;
mod held;
mod helpers;
mod launch;
mod orphans;
mod pids;
mod rare;
mod readiness;
mod recovery;
mod renewal;
mod rescue;
mod shortage;
mod shutdown;
mod start;
mod store;
mod survivors;

pub use held::{Found, Held};
pub use rescue::{clear_ruins, mind_habit};
pub use start::{Options, first_acts, start};
pub use survivors::space;

use crate::host::descriptors;
use crate::host::failure::Failure;
use crate::host::log_link::LogLink;
use crate::host::run_directory::Place;
use crate::sys::accounts::Account;
use crate::sys::poll::{Doorbell, News, Poll};
use crate::sys::signals::{self, Target};
use crate::sys::socket::Address;
use crate::sys::spawn::Spawner;
use crate::sys::{OwnedFd, clock, heap, process, residence};
use alloc::vec::Vec;
use cgroups::{Cgroups, Grouped};
use children::{Flight, Queue};
use deadlines::Deadlines;
use held::Of;
use helpers::Helper;
use launch::{Common, Variables};
use orphans::{Left, Orphans};
use pids::Pids;
use pintle::board::orders::{self, Orders, Wish};
use pintle::board::reports::{self, Exit, Reports, State};
use pintle::board::words::{self, Change, Follower};
use pintle::database::{action, service};
use pintle::ident::{Order, SlotId};
use pintle::lang::definition::KillMode;
use pintle::limits::{INSTANCE_BYTES_MAX, RING_ENTRIES};
use pintle::supervision::{Input, Policy, Record, Requests, Slot, is_on_the_way, step};
use pintle::time::Instant;

/// Spawns in one round, before the kernel's news are looked at again.
const SPAWNS: usize = 16;
/// Children between clone and exec that are watched at once; more stay queued.
const FLIGHTS: usize = 128;

/// What is kept of a slot beside its report.
#[derive(Default)]
struct Private {
    /// Where the service tells that it is ready, while it has not.
    ready: Option<OwnedFd>,
    /// Its log pipe, reading and writing end.
    log: Option<(OwnedFd, OwnedFd)>,
    /// The next slot of the queue plus one.
    next: u32,
    /// What it has of `Supervisor::rare`, plus one; 0 for nothing.
    rare: u32,
    /// Of its control group: while its end is waited for.
    events: Option<OwnedFd>,
    grouped: Grouped,
    /// Where there are no control groups.
    left: Left,
    /// That of the main process that ended last, while `left` is not nothing.
    session: u32,
    queued: bool,
    wants_main: bool,
    wants_auxiliary: bool,
    /// For want of something: its command is not in the queue, what it says is not watched. See `shortage`.
    put_off: bool,
    unwatched: bool,
    /// Of why its command cannot be spawned, as it was said, one byte; 0 where it can.
    lacks: u8,
}

const _: () = assert!(size_of::<Private>() <= 36, "each service has one: see what `rare` is for");

/// The template and the instance's name, NUL behind it.
type InstanceName = [u8; 4 + INSTANCE_BYTES_MAX + 1];

/// A sleeping engine is woken no more often than this: in a storm of deaths each waking costs as much as the death.
const BELL_PAUSE_NS: u64 = 50_000;

/// Everything. What is used most comes first: its place then fits into a byte of each instruction that uses it.
#[repr(C)]
pub struct Supervisor {
    slots: Vec<Private>,
    rare: Vec<rare::Rare>,
    /// What is kept for services, see `store`.
    stored: Vec<Option<OwnedFd>>,
    reports: Reports<'static>,
    /// None: there is no cgroup v2 to write.
    cgroups: Option<Cgroups>,
    /// Below this slot there may be groups that nobody needs.
    empty_groups: u32,
    orphans: Orphans,
    now: Instant,
    common: &'static mut Common,
    /// The engine has something to read.
    dirty: bool,
    /// How many children there are between clone and exec.
    flying: usize,
    /// There may be more deaths than one round takes.
    more_deaths: bool,
    /// The link waits to be writable.
    log_full: bool,
    /// When the logger is told what it could not be told for want of something.
    log_again: Instant,
    /// So for what is put off.
    again: Instant,
    queue: Queue,
    orders: Orders<'static>,
    poll: Poll,
    held: Held,
    pids: Pids,
    engine: Helper,
    logger: Helper,
    /// No stack has been free for what is queued: when it goes without. `NEVER` else.
    stuck: Instant,
    shutdown: shutdown::Progress,
    deadlines: Deadlines,
    /// None: there is nowhere to log to.
    link: Option<LogLink>,
    /// Of each instance slot: as what its log is known.
    instances: &'static mut [InstanceName],
    /// See `orders::own::RESTS`: what it was when memory was last given back.
    rests: u32,
    signals: OwnedFd,
    /// Those that ask for the end.
    ends: OwnedFd,
    /// A pipe to look at what is in another.
    scratch: (OwnedFd, OwnedFd),
    follower: Follower,
    /// The engine rings it.
    bell: Doorbell,
    to_engine: Doorbell,
    /// When it was last woken for what there is to read.
    rung: Instant,
    shutdown_timeout_ms: u32,
    engine_descriptors: [OwnedFd; descriptors::ALL.len()],
    log_dir: Option<&'static core::ffi::CStr>,
    /// The file that our program came from.
    program: &'static [u8],
    place: Place,
    /// Of the control socket.
    control: Option<Address>,
    /// Held for the lock on it.
    _lock: Option<OwnedFd>,
    spawner: Spawner,
    /// As whom the engine runs, if not as we do.
    engine_account: Option<Account>,
    /// As many as there were at once, `flying` of which are in use.
    flights: heapless::Vec<Option<Flight>, FLIGHTS>,
}

/// What an epoll token stands for.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Orders,
    Logger,
    Flight(u32),
    Ready(u32),
    Notify(u32),
    Ends,
    /// The control group of this slot.
    Group(u32),
    /// What is kept for a service at this place.
    Stored(u32),
}

impl Source {
    fn token(self) -> u64 {
        let (kind, index) = match self {
            Source::Signals => (0, 0),
            Source::Orders => (1, 0),
            Source::Logger => (2, 0),
            Source::Flight(at) => (3, at),
            Source::Ready(slot) => (4, slot),
            Source::Notify(slot) => (5, slot),
            Source::Ends => (6, 0),
            Source::Stored(at) => (7, at),
            Source::Group(slot) => (8, slot),
        };
        kind << 32 | u64::from(index)
    }

    fn of(token: u64) -> Option<Source> {
        let index = token as u32;
        match token >> 32 {
            0 => Some(Source::Signals),
            1 => Some(Source::Orders),
            2 => Some(Source::Logger),
            3 => Some(Source::Flight(index)),
            4 => Some(Source::Ready(index)),
            5 => Some(Source::Notify(index)),
            6 => Some(Source::Ends),
            7 => Some(Source::Stored(index)),
            8 => Some(Source::Group(index)),
            _ => None,
        }
    }
}

impl Supervisor {
    /// Runs until everything is down; gives the exit code.
    pub fn run(&mut self) -> u8 {
        self.look_at_all();
        loop {
            self.now = clock::now();
            self.follow_orders();
            self.meet_deadlines();
            self.look_at_flights();
            let more = self.spawn_some() || self.more_deaths;
            self.flush_log();
            let bell = self.ring();
            if let Some(code) = self.ended() {
                return code;
            }
            let soon = if more { Instant(0) } else { self.before_sleep() };
            let tidies = self.empty_groups != 0;
            let until = if tidies { Instant(0) } else { soon.min(bell).min(self.next_deadline()) };
            if !more {
                words::set_asleep(self.reports.head(), true);
            }
            let late = !more && self.follower.behind(self.orders.words());
            let rests = words::load(self.orders.head(), orders::own::RESTS);
            if !more && !late && rests != self.rests {
                self.rests = rests;
                self.spawner.release_memory();
                residence::release_before_sleep();
            }
            let news = self.poll.wait(if late { Instant(0) } else { until });
            if !more {
                words::set_asleep(self.reports.head(), false);
            }
            if tidies && news == 0 {
                self.remove_groups();
            }
            self.now = clock::now();
            if self.more_deaths {
                self.take_deaths();
            }
            for at in 0..news {
                self.take(self.poll.news(at));
            }
        }
    }

    fn take(&mut self, news: News) {
        match Source::of(news.token) {
            Some(Source::Signals) => self.take_signals(),
            Some(Source::Ends) => self.take_end(),
            Some(Source::Orders) => {
                self.bell.answer();
            }
            Some(Source::Logger) => {} // writable again: `flush_log` comes in every round
            Some(Source::Flight(at)) => self.look_at_flight(at as usize),
            Some(Source::Ready(slot)) => self.read_ready(SlotId(slot)),
            Some(Source::Notify(slot)) => {
                self.read_notices(SlotId(slot), false);
            }
            Some(Source::Group(slot)) => {
                self.look_for_rest(SlotId(slot));
            }
            Some(Source::Stored(at)) => self.mind_stored(at as usize),
            None => {}
        }
    }

    fn take_signals(&mut self) {
        // One: where there are more, the poll says so again at once.
        let Some(caught) = signals::read_signal(crate::sys::AsFd::as_fd(&self.signals)) else { return };
        match caught.signal {
            signals::SIGCHLD => self.take_deaths(),
            signals::SIGUPGRADE => self.upgrade(),
            _ => {}
        }
    }

    /// A signal that asks for the end. A crash behind its reading does not lose it.
    fn take_end(&mut self) {
        self.held.put_word(held::TOLD, 1);
        let caught = signals::read_signal(crate::sys::AsFd::as_fd(&self.ends));
        match caught.map(|caught| caught.signal) {
            Some(signals::SIGINT) if self.shutdown.interrupted() => self.kill_everything(),
            Some(_) => self.begin_shutdown(),
            None => {}
        }
        self.held.put_word(held::TOLD, 0);
    }

    fn meet_deadlines(&mut self) {
        while let Some(slot) = self.deadlines.take_due(self.now) {
            // What was said in time counts, also where we are late.
            self.read_ready(slot);
            self.read_all_notices(slot);
            if !self.look_where_none_runs(slot) {
                self.feed(slot, Input::Deadline);
            }
        }
        self.mind_orphans();
        self.mind_shortage();
        self.mind_helpers();
        self.mind_shutdown();
    }

    fn next_deadline(&self) -> Instant {
        let helpers = self.engine.due().min(self.logger.due());
        self.deadlines
            .first()
            .min(helpers)
            .min(self.orphans.due())
            .min(self.shutdown.due())
            .min(self.stuck)
            .min(self.log_again)
            .min(self.again)
    }

    /// Tells the engine, if there is something to tell and it sleeps. (Awake, it looks before it sleeps.) When it was
    /// told a moment ago it waits for a moment, since more is likely to come: gives the end of that moment, else
    /// `NEVER`.
    fn ring(&mut self) -> Instant {
        words::store(self.reports.head(), reports::own::ALLOCATIONS, heap::allocations_after_freeze() as u32);
        if self.dirty && words::is_asleep(self.orders.head()) {
            let due = Instant(self.rung.0.saturating_add(BELL_PAUSE_NS));
            if self.now < due {
                return due;
            }
            self.rung = self.now;
            self.to_engine.ring();
        }
        self.dirty = false;
        Instant::NEVER
    }

    // Orders.

    fn follow_orders(&mut self) {
        // As many as the ring holds, so that an engine that writes without end does not keep the rest waiting.
        for _ in 0..RING_ENTRIES {
            match self.follower.next(self.orders.words()) {
                Some(Change::Slot(slot)) => self.look_at(slot),
                Some(Change::All) => {
                    self.look_at_all();
                    break; // an engine that overruns the ring without end would have us look at all as often
                }
                None => break,
            }
        }
        if words::load(self.orders.head(), orders::own::MACHINE) == 1 {
            self.begin_shutdown();
        }
    }

    fn look_at_all(&mut self) {
        for slot in 0..self.reports.geometry().slots() {
            self.look_at(SlotId(slot));
        }
    }

    /// Acts on what is new in the order of a slot. A row that makes no sense is no news.
    fn look_at(&mut self, slot: SlotId) {
        let Some(order) = self.orders.read(slot).filter(|order| order.number != Order(0)) else { return };
        let acted_on = |word| self.reports.word(slot, word);
        let (number, reloaded, signalled) =
            (acted_on(reports::ORDER), acted_on(reports::RELOADED), acted_on(reports::SIGNALLED));
        if order.number.0 != number && !self.shutdown.kills() {
            if !State::from_number(acted_on(reports::STATE)).has_process() {
                if acted_on(reports::TEMPLATE) != order.service {
                    // They belong to the user of the template before.
                    self.drop_stored(slot);
                    self.held.hold(slot, Of::Notify, None);
                    if let Some(rare) = rare::of_mut(&self.slots, &mut self.rare, slot) {
                        rare.notify = None;
                    }
                }
                self.forget_group(slot);
                self.reports.keep(slot, reports::TEMPLATE, order.service);
                self.reports.keep(slot, reports::TEXT, order.text);
            }
            self.look_where_none_runs(slot);
            let definition = self.definition(slot);
            if definition.is_some_and(|at| Policy::is_there(&self.common.image, at)) {
                self.feed(slot, Input::Ordered(order.number, order.wish));
            } else if let Some(mut row) = self.reports.read(slot) {
                row.order = order.number;
                row.since = self.now;
                row.state = if order.wish == Wish::Up { State::Failed } else { State::Down };
                row.exit = Exit::NotSpawned;
                row.failure = Failure::NO_DEFINITION.0;
                self.reports.write(slot, &row);
                self.drop_stored(slot);
                self.dirty = true;
            }
        }
        if order.reload != reloaded {
            self.feed_and(slot, Input::ReloadAsked, &|row| row.reloaded = order.reload);
        }
        if order.signal != signalled {
            self.feed_and(slot, Input::SignalAsked(order.signal as u8), &|row| row.signalled = order.signal);
        }
    }

    // One slot.

    /// The definition that a slot runs: itself, or its template; `None` for what is neither.
    fn definition(&self, slot: SlotId) -> Option<SlotId> {
        let image = &self.common.image;
        let is_template = |slot| image.flags(slot) & service::flags::TEMPLATE != 0;
        if slot.0 < image.services() {
            return (!is_template(slot)).then_some(slot);
        }
        let template = SlotId(self.reports.word(slot, reports::TEMPLATE));
        (template.0 < image.services() && is_template(template)).then_some(template)
    }

    fn policy(&self, slot: SlotId) -> Option<Policy> {
        Policy::of(&self.common.image, self.definition(slot)?)
    }

    fn feed(&mut self, slot: SlotId, input: Input) {
        self.feed_and(slot, input, &|_| {});
    }

    /// Takes one input for a slot, writes what is now, does what follows.
    #[inline(never)]
    fn feed_and(&mut self, slot: SlotId, input: Input, change: &dyn Fn(&mut reports::ReportRow)) {
        let mut words_before = [0; reports::ROW];
        let (true, Some(policy)) = (self.reports.read_words(slot, &mut words_before), &self.policy(slot)) else {
            return;
        };
        let before = reports::ReportRow::of(&words_before);
        let stamp = words::load_u64(self.reports.head(), reports::own::STAMP);
        let mut taken = Slot {
            row: before,
            record: Record::of_words(&words_before),
            policy,
            now: self.now,
            stamp,
            salt: slot.0,
            requests: Requests::default(),
        };
        step(&mut taken, input);
        change(&mut taken.row);
        if taken.stamp != stamp {
            words::store_u64(self.reports.head(), reports::own::STAMP, taken.stamp);
        }
        let row = &taken.row;
        let due = taken.record.due(row);
        if due != Record::of_words(&words_before).due(&before) || input == Input::Deadline {
            self.deadlines.set(slot, due);
        }
        let is_news = !is_on_the_way(&before, row, input);
        let lets_go = row.state.is_down() && !before.state.is_down();
        let mut fresh = words_before;
        row.put(&mut fresh);
        taken.record.put(&mut fresh);
        self.write(slot, &words_before, &fresh, &taken.requests, is_news);
        if lets_go {
            self.drop_stored(slot);
        }
    }

    /// Whether the cleanup that is to come removes what a slot has at run time only.
    fn clears(&self, slot: SlotId) -> bool {
        let mut words = [0; reports::ROW];
        let (true, Some(policy)) = (self.reports.read_words(slot, &mut words), &self.policy(slot)) else {
            return false;
        };
        let taken = Slot {
            row: reports::ReportRow::of(&words),
            record: Record::of_words(&words),
            policy,
            now: self.now,
            stamp: 0,
            salt: 0,
            requests: Requests::default(),
        };
        taken.clears()
    }

    /// Writes what a slot is now, where that has changed, and does what follows from it.
    fn write(
        &mut self,
        slot: SlotId,
        before: &[u32; reports::ROW],
        fresh: &[u32; reports::ROW],
        requests: &Requests,
        is_news: bool,
    ) {
        let owed = requests.to_word();
        if fresh[1..] == before[1..] && owed == 0 {
            return;
        }
        let is_news = is_news && fresh[1..reports::KEPT] != before[1..reports::KEPT];
        self.reports.write_words(slot, fresh, is_news, owed);
        self.dirty |= is_news;
        if owed != 0 {
            self.perform(slot, requests, fresh[reports::PID], fresh[reports::AUXILIARY]);
        }
        self.reports.done();
        self.mind_group(slot, fresh[reports::STATE]);
    }

    /// What is remembered of a slot.
    fn record(&self, slot: SlotId) -> Record {
        let mut row = [0; reports::ROW];
        self.reports.read_words(slot, &mut row); // we alone write it: it can be read
        Record::of_words(&row)
    }

    fn perform(&mut self, slot: SlotId, requests: &Requests, pid: u32, auxiliary: u32) {
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
        if cancel && let Some(private) = self.slots.get_mut(slot.index()) {
            private.wants_main = false;
            private.wants_auxiliary = false;
            private.put_off = false;
        }
        if stop_signals {
            self.send_all(slot, service::STOP, pid);
        }
        if reload_signals {
            self.send_all(slot, service::RELOAD, pid);
        }
        if signal != 0 {
            let _ = signals::send(Target::Process(pid), signal);
        }
        if kill {
            self.kill_main(slot, pid);
        }
        if kill_rest {
            self.kill_group_of(slot, true);
        }
        if kill_auxiliary {
            self.kill_group(auxiliary);
        }
        if spawn {
            self.enqueue(slot, true);
        }
        if spawn_auxiliary.is_some() {
            self.enqueue(slot, false);
        }
    }

    /// Sends a process the signals of this list of its definition, in turn.
    fn send_all(&self, slot: SlotId, list: usize, pid: u32) {
        let Some(definition) = self.definition(slot) else { return };
        let signals = self.common.image.list(self.common.image.service(definition, list));
        if signals.get(0) == action::SIGNALS {
            for at in 1..signals.len() {
                let _ = signals::send(Target::Process(pid), signals.get(at) as u8); // gone already: its death is on the way
            }
        }
    }

    /// Reads the texts of the slot's order. False while they are being written: the order that they are for is on its
    /// way.
    fn read_variables(&self, slot: SlotId, variables: &mut Variables) -> bool {
        let text = self.reports.word(slot, reports::TEXT);
        let Some(row) = text.checked_sub(1).filter(|row| *row < self.reports.geometry().texts) else { return true };
        self.orders.read_text(row, variables.text())
    }

    /// SIGKILL to what is left of the group of a process that is dead and not reaped yet: of its own, and of the one that
    /// it is in, which a daemon has from a process that has long ended. One of another service's is not meant.
    fn kill_rest(&self, pid: u32) {
        let _ = signals::send(Target::Group(pid), signals::SIGKILL);
        // Before its setsid a child of ours still is in our own.
        let other = process::group(pid).filter(|group| *group != pid && Some(*group) != process::group(0));
        if let Some(group) = other.filter(|group| self.pids.get(*group).is_none()) {
            let _ = signals::send(Target::Group(group), signals::SIGKILL);
        }
    }

    /// SIGKILL to a main process, and to what is killed with it.
    fn kill_main(&mut self, slot: SlotId, pid: u32) {
        let mode = self.policy(slot).map_or(KillMode::All, |policy| policy.kill_mode);
        let _ = signals::send(Target::Process(pid), signals::SIGKILL);
        if mode != KillMode::Process {
            self.kill_rest(pid);
        }
        if mode == KillMode::All {
            self.kill_group_of(slot, false);
        }
    }

    /// SIGKILL to a process that has not been reaped, and to its group (which a child that has not come to setsid yet has
    /// not got).
    fn kill_group(&self, pid: u32) {
        let _ = signals::send(Target::Process(pid), signals::SIGKILL);
        self.kill_rest(pid);
    }
}
