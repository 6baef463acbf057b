//! The engine's process: reports and requests in, steps, orders and what is published out. Decides nothing itself. What
//! is said on connections is in `engine/requests.rs`.
//!
//! It needs no privilege: everything it works with it inherits as descriptors (`descriptors.rs`). What it opens are the
//! files of users and groups, where rules of `access` name some.
//! It may be killed at any instruction; the next one goes on from its recoverable state. It allocates nothing once it
//! runs. Reports come first, then connections in turn, one request each as long as there are any, then what is due;
//! then it sleeps.

pub mod asking;
mod events;
mod requests;

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use pintle::board::Geometry;
use pintle::board::orders::{self, Orders};
use pintle::board::published::{self, Published};
use pintle::board::reports::{self, Reports};
use pintle::board::words::{self, Change, Follower};
use pintle::database::{Image, NONE};
use pintle::engine::{Capacities, Engine, Input, MEMORY_LAYOUT, NOBODY, Sender};
use pintle::ident::SlotId;
use pintle::limits::CLIENTS_MAX;
use pintle::packed;
use pintle::packed::Packed;
use pintle::status::View;
use pintle::time::Instant;

use super::clients::{Clients, Room, TOKENS, Talk};
use super::refuse::{OrRefuse, refuse, refuse_call};
use super::{descriptors, reading};
use crate::sys::errno::Words;
use crate::sys::poll::{Doorbell, Interest, News, Poll};
use crate::sys::signals::{self, SignalSet};
use crate::sys::{AsFd, Errno, OwnedFd, accounts, clock, file, heap, mapping, process, residence, socket};

/// Reports that are taken before orders are written: enough to share the work, few enough that the supervisor can
/// begin.
const REPORTS_A_TURN: usize = 32;
/// Reports after which, once everything is at rest, memory that only they needed is given back.
const STORM: u32 = 16;
/// How often that is done before the connections have their turn.
const REPORT_TURNS: usize = 32;
/// How long the leases of connections that died with an earlier engine are kept for their senders to connect again,
/// also where a sender has ended meanwhile. Behind it, for as long as a sender lives that has not: it may be stopped.
const LEASE_GRACE_MS: u32 = 2_000;
/// Lines of the journal that are told in a turn, to all together: a millisecond or two of work.
const LINES_A_TURN: usize = 1_024;

/// What could not be had is tried again after this. Milliseconds.
const AGAIN_MS: u32 = 100;

/// The clock was set if it is so far from where it should be.
const CLOCK_SET_NS: u64 = 1_000_000;
const TIE: Packed = packed!("the engine cannot tie itself to the supervisor");
const WAIT: Packed = packed!("the engine cannot set up waiting");

const TOKEN_DOORBELL: u64 = 0;
const TOKEN_LISTENING: u64 = 1;
/// And the number of a lease.
const TOKEN_HOLDER: u64 = 1 << 32;

/// Everything of the process. What is used most comes first: its place then fits into a byte of each instruction that
/// uses it.
#[repr(C)]
struct Host {
    clients: Clients,
    orders: Orders<'static>,
    /// Lines of the journal that may still be told in this turn.
    lines_left: usize,
    engine: Engine<'static>,
    /// The database, the reports and what is published; for what is told, `look` brings its times up to date.
    view: View<'static>,
    follower: Follower,
    poll: Poll,
    listening: OwnedFd,
    /// Whether new connections are looked for.
    accepts: bool,
    /// There was no descriptor for one, or no memory: not before this.
    accepts_from: Instant,
    /// Reports taken since memory was given back last.
    busy_for: u32,
    to_supervisor: Doorbell,
    to_engine: Doorbell,
    /// Who may do everything, beside root.
    owners: [u32; 2],
    /// The numbers that stand for each user, and for each group, that has none in our namespace.
    strangers: [Option<u32>; 2],
    /// Which engine this is, for the numbers of leases.
    life: u32,
    /// When the leases of earlier engines are looked at.
    grace: Instant,
    /// Those that last as long as the process that holds them, which each has a pidfd of.
    held: heapless::Vec<(u32, OwnedFd), CLIENTS_MAX>,
    /// Somebody has not read all of the journal that could.
    unread: bool,
}

/// Runs the engine until its supervisor ends it. The descriptors are those of `descriptors.rs`.
pub fn run() -> i32 {
    // Nobody steers the engine by signals, and none that was meant for others (a broadcast, a terminal's) ends it.
    signals::block(SignalSet::all_but_fatal());
    Host::new().run()
}

/// One of those that the supervisor has given.
fn take(number: i32) -> OwnedFd {
    process::take_inherited(number)
        .or_refuse(packed!("the engine lacks a descriptor; the supervisor starts this program"))
}

impl Host {
    /// Ends the process, and says why, where it cannot be made.
    #[inline(never)]
    fn new() -> Host {
        process::die_with_parent().or_refuse(TIE);
        let [database, orders_fd, reports_fd, published_fd, state_fd, listening, to_supervisor, to_engine] =
            descriptors::ALL.map(take);
        let (to_supervisor, to_engine) = (Doorbell::from_fd(to_supervisor), Doorbell::from_fd(to_engine));

        let bytes =
            mapping::Image::open(database.as_fd()).or_refuse(packed!("the engine cannot map the database")).bytes;
        // The supervisor has checked it.
        let image = Image::open_copy(bytes)
            .unwrap_or_else(|error| refuse(111, format_args!("the engine cannot use the database: {error}")));
        let geometry = Geometry::of(&image);
        // An engine before us may have been another's: what it has left is not to hold us up for ever.
        for fd in [&listening, to_supervisor.fd(), to_engine.fd()] {
            let _ = file::set_nonblocking(fd);
        }
        let shared = |fd: &OwnedFd, count| match mapping::shared_words(fd.as_fd(), count) {
            Ok(words) => words,
            // It was shortened, or sealed.
            Err(error @ (Errno::INVAL | Errno::PERM | Errno::ACCESS)) => {
                refuse(descriptors::SPOILED, format_args!("the engine cannot map the board: {}", Words(error)))
            }
            Err(error) => refuse_call(packed!("the engine cannot map the board"), error),
        };
        let orders = Orders::new(shared(&orders_fd, orders::words(&geometry)), geometry);
        let published = Published::new(shared(&published_fd, published::words(&geometry)), geometry);
        let reports = mapping::shared_words_read_only(reports_fd.as_fd(), reports::words(&geometry));
        let reports = Reports::new(reports.or_refuse(packed!("the engine cannot map the reports")), geometry);
        // It may have died before we were tied to it.
        if words::load(reports.head(), reports::own::SUPERVISOR_PID) != process::parent() {
            refuse_call(TIE, Errno::SRCH);
        }
        orders.format();
        published.format();

        let capacities = Capacities::of(&image);
        let state = shared(&state_fd, pintle::engine::words_needed(&image, geometry, capacities));
        let Some(mut engine) = open_engine(image, geometry, capacities, state) else {
            refuse(descriptors::SPOILED, format_args!("the engine cannot use its state"));
        };

        engine.limit_starts(words::load(reports.head(), reports::own::PARALLEL));

        let poll = Poll::new().or_refuse(WAIT);
        poll.add(to_engine.as_fd(), TOKEN_DOORBELL, Interest::READ).or_refuse(WAIT);
        poll.add(listening.as_fd(), TOKEN_LISTENING, Interest::READ).or_refuse(WAIT);
        let clients = Clients::new(geometry.slots());
        // The supervisor made the reports, so their owner is its user.
        let supervisor = file::owner_of(&reports_fd).unwrap_or(0);
        let life = words::load(reports.head(), reports::own::ENGINE_LIVES);
        Host {
            engine,
            orders,
            view: View {
                image,
                reports,
                published,
                now: Instant::default(),
                wall_ns: 0,
                supervisor_alive: true,
                engine_alive: true,
                words: reading::SYSTEM_WORDS,
            },
            follower: Follower::at_head(reports.words()),
            clients,
            poll,
            listening,
            accepts: true,
            accepts_from: Instant(0),
            // To have started is as much.
            busy_for: STORM,
            to_supervisor,
            to_engine,
            owners: [process::uid(), supervisor],
            strangers: accounts::strangers(),
            life,
            grace: if life > 1 { clock::now().plus_ms(LEASE_GRACE_MS) } else { Instant::NEVER },
            held: heapless::Vec::new(),
            lines_left: LINES_A_TURN,
            unread: false,
        }
    }

    #[inline(never)]
    fn run(&mut self) -> i32 {
        heap::freeze();
        let head = self.view.published.head();
        words::store(head, published::own::ENGINE_PID, process::pid());
        words::store(head, published::own::ENGINE_LAYOUT, MEMORY_LAYOUT);
        let now = clock::now();
        for slot in 0..self.view.reports.geometry().slots() {
            self.take_report(SlotId(slot), now);
        }
        let boot = words::load(self.view.reports.head(), reports::own::BOOT);
        if boot != NONE && boot < self.view.image.services() {
            // A refusal (a template) leaves a machine without a boot bundle, as published.
            let _ = self.engine.step(now, Input::Boot(SlotId(boot)));
        }
        self.flush(now);
        loop {
            let mut now = clock::now();
            self.lines_left = LINES_A_TURN;
            for _ in 0..REPORT_TURNS {
                if !self.take_reports(now) {
                    break;
                }
                self.flush(now);
                now = clock::now();
            }
            self.take_shutdown(now);
            self.take_requests(now);
            self.take_deadlines(now);
            self.flush(now);
            self.tell(now);
            self.end_connections(now);
            self.sleep();
        }
    }

    /// Takes some of the reports that have changed. `false`: there was none.
    fn take_reports(&mut self, now: Instant) -> bool {
        for turn in 0..REPORTS_A_TURN {
            match self.follower.next(self.view.reports.words()) {
                None => return turn > 0,
                Some(Change::Slot(slot)) => self.take_report(slot, now),
                Some(Change::All) => {
                    for slot in 0..self.view.reports.geometry().slots() {
                        self.take_report(SlotId(slot), now);
                    }
                }
            }
        }
        true
    }

    fn take_report(&mut self, slot: SlotId, now: Instant) {
        self.busy_for = self.busy_for.saturating_add(1);
        // A row that is being written is pushed on the ring when it is done.
        if let Some(report) = self.view.reports.read(slot) {
            // The engine refuses no report; one of a slot that it does not have is nothing to it.
            let _ = self.engine.step(now, Input::Report(slot, &report));
        }
    }

    /// The supervisor was told by a signal to take the machine down.
    fn take_shutdown(&mut self, now: Instant) {
        let asked = words::load(self.view.reports.head(), reports::own::SHUTDOWN) != 0;
        if asked && !self.engine.shutting_down() {
            let _ = self.engine.step(now, Input::Shutdown(NOBODY));
        }
    }

    #[inline(never)]
    fn take_deadlines(&mut self, now: Instant) {
        if self.engine.next_deadline() <= now {
            let _ = self.engine.step(now, Input::Tick);
        }
        if self.grace <= now {
            self.grace = Instant::NEVER;
            let mut next = 0;
            while let Some((lease, pid)) = self.earlier_lease(next) {
                next = lease + 1;
                self.end_or_keep(lease, pid, now);
            }
        }
    }

    /// The first from this number on that no connection of this engine's holds, and the process that did.
    fn earlier_lease(&self, from: u32) -> Option<(u32, u32)> {
        let own = |held| (0..CLIENTS_MAX).any(|place| lease(self.life, place) == held);
        let mut first = None;
        for (held, pid) in self.engine.leases() {
            if held >= from && first.is_none_or(|(other, _)| held < other) && !own(held) {
                first = Some((held, pid));
            }
        }
        first
    }

    /// Who has connected again has said by now what it still holds; else the lease ends with the process.
    #[cold]
    fn end_or_keep(&mut self, lease: u32, pid: u32, now: Instant) {
        if !self.clients.holds(pid) {
            if self.held.iter().any(|(held, _)| *held == lease) {
                return;
            }
            match self.watch_holder(lease, pid) {
                Ok(()) => return,
                // Nobody knows whether it lives.
                Err(error) if error.may_pass() => return self.grace = now.plus_ms(AGAIN_MS),
                Err(_) => {}
            }
        }
        self.end_lease(lease, now);
    }

    /// The lease lasts as long as this process.
    fn watch_holder(&mut self, lease: u32, pid: u32) -> Result<(), Errno> {
        let process = signals::pidfd_open(pid)?;
        if self.held.is_full() {
            return Err(Errno::NOLCK); // more than there are connections: it ends
        }
        self.poll.add(process.as_fd(), TOKEN_HOLDER + u64::from(lease), Interest::READ)?;
        let _ = self.held.push((lease, process)); // there is room
        Ok(())
    }

    fn end_lease(&mut self, lease: u32, now: Instant) {
        if let Some(at) = self.held.iter().position(|(held, _)| *held == lease) {
            let (_, process) = self.held.swap_remove(at);
            let _ = self.poll.remove(process.as_fd());
        }
        let _ = self.engine.step(now, Input::LeaseGone(lease));
    }

    /// Ends the connections of which nothing more can come; after `tell`, which may have said their last word.
    fn end_connections(&mut self, now: Instant) {
        if self.clients.is_empty() {
            return;
        }
        for at in 0..CLIENTS_MAX {
            if self.clients.is_over(at, now) {
                self.end(at, now);
            }
        }
        self.flush(now);
    }

    fn end(&mut self, at: usize, now: Instant) {
        if self.clients.end(at) {
            let _ = self.engine.step(now, Input::LeaseGone(lease(self.life, at)));
        }
    }

    /// Writes what the steps have changed, and wakes the supervisor if it sleeps: at the first order, so that it begins
    /// while the rest is written, and where there were more once again at the end, if it sleeps then.
    fn flush(&mut self, now: Instant) {
        let (mut ordered, mut looked) = (0u32, false);
        while let Some(dirty) = self.engine.take_dirty() {
            let slot = dirty.slot;
            if let Some((template, name)) = self.engine.instance(slot) {
                self.view.published.write_instance(slot, template, name.as_bytes());
            }
            if dirty.order {
                if let Some(text) = self.engine.text(slot) {
                    self.orders.write_text(text.row, &text.words);
                }
                self.orders.write(slot, &self.engine.order(slot));
                ordered += 1;
                if ordered == 1 {
                    self.wake_supervisor();
                }
            }
            if dirty.published {
                let published = self.view.published;
                self.engine.latch_times(slot, &mut |row, latch, set| published.write_latch(row, latch, set));
                published.write(slot, &self.engine.published(slot));
            }
            if dirty.reasons {
                self.view.published.write_reasons(slot, &self.engine.reasons(slot));
            }
            if dirty.phase && self.clients.are_watching() {
                self.look(&mut looked);
                self.clients.changed(slot, now, &mut |answer| requests::write_phase(&self.view, slot, answer));
            }
        }
        self.tell_events(now);
        while let Some((index, condition)) = self.engine.take_condition() {
            self.view.published.write_condition(index, &condition);
        }
        while let Some(number) = self.engine.take_ended() {
            for at in 0..CLIENTS_MAX {
                if matches!(self.clients.talk(at), Talk::Waiting(of) if of == number) {
                    self.finish_waiting(at, number, now);
                }
            }
        }
        self.write_headers();
        // When all is down the supervisor ends this process: whoever waits is told before.
        let shutting_down = self.engine.shutting_down();
        if shutting_down {
            self.tell(now);
        }
        let all_down = u32::from(shutting_down && self.engine.all_down());
        while all_down == 1 && self.unread {
            self.lines_left = LINES_A_TURN;
            self.tell_events(now);
        }
        let shutting_down = u32::from(shutting_down);
        let told = [orders::own::MACHINE, orders::own::ALL_DOWN].map(|at| words::load(self.orders.head(), at));
        if told != [shutting_down, all_down] {
            words::store(self.orders.head(), orders::own::MACHINE, shutting_down);
            words::store(self.orders.head(), orders::own::ALL_DOWN, all_down);
            self.to_supervisor.ring();
        } else if ordered > 1 {
            self.wake_supervisor();
        }
    }

    /// Awake, it looks before it sleeps.
    #[inline(never)]
    fn wake_supervisor(&self) {
        if words::is_asleep(self.view.reports.head()) {
            self.to_supervisor.ring();
        }
    }

    #[inline(never)]
    fn write_headers(&self) {
        let said = self.view.published.head();
        let boot = self.engine.boot();
        // As they lie, what boot has reached behind when it did.
        let words = [
            self.engine.newest_transaction(),
            boot.since.0 as u32,
            (boot.since.0 >> 32) as u32,
            boot.state,
            u32::from(self.engine.shutting_down()),
            self.engine.current().map_or(0, |at| at.0 + 1),
            heap::allocations_after_freeze() as u32,
        ];
        for (at, value) in (published::own::TRANSACTION..).zip(words) {
            // An unchanged page stays clean.
            if words::load(said, at) != value {
                words::store(said, at, value);
            }
        }
    }

    /// Something is to be told now: looks at the clocks, unless it has.
    fn look(&mut self, looked: &mut bool) {
        if core::mem::replace(looked, true) {
            return;
        }
        let (now, wall_ns) = (clock::now(), clock::realtime_ns());
        // What is between the two clocks stays as it was first seen, so that an instant is told as the same time each
        // time, until the clock has been set.
        let kept_ns = self.view.wall_ns.wrapping_add(now.0.saturating_sub(self.view.now.0));
        let was_set = kept_ns.abs_diff(wall_ns) > CLOCK_SET_NS;
        (self.view.now, self.view.wall_ns) = (now, if was_set { wall_ns } else { kept_ns });
    }

    /// Sleeps until there is news or something is due, then takes in what the sockets brought.
    #[inline(never)]
    fn sleep(&mut self) {
        let own = self.orders.head();
        words::set_asleep(own, true);
        let busy = self.follower.behind(self.view.reports.words()) || self.clients.has_work() || self.unread;
        let deadline = self.engine.next_deadline().min(self.grace).min(self.clients.next_deadline());
        let mut deadline = if busy { Instant::default() } else { deadline };
        // (Nothing where the machine goes down: nothing will be left.)
        if !busy
            && self.busy_for >= STORM
            && self.engine.at_rest()
            && words::load(self.orders.head(), orders::own::MACHINE) == 0
        {
            self.busy_for = 0;
            let rests = words::load(self.orders.head(), orders::own::RESTS);
            words::store(self.orders.head(), orders::own::RESTS, rests.wrapping_add(1));
            // Only asleep: a ring would wake it again when it has given its memory back.
            self.wake_supervisor();
            // Between steps the undo log is empty: only a large step needs much of it.
            residence::forget(self.engine.undo_log());
            residence::release_before_sleep();
        }
        if !self.clients.is_empty() {
            self.clients.update_interest(&self.poll);
        }
        if !self.accepts && !self.clients.is_full() {
            // Somebody has gone, or is idle and can be made to; or what was short may be there again.
            if clock::now() >= self.accepts_from {
                self.accepts = self.poll.change(self.listening.as_fd(), TOKEN_LISTENING, Interest::READ).is_ok();
            } else {
                deadline = deadline.min(self.accepts_from);
            }
        }
        let mut listening = false;
        let count = self.poll.wait(deadline);
        words::set_asleep(own, false);
        for at in 0..count {
            let News { token, readable, hung_up, .. } = self.poll.news(at);
            match token {
                TOKEN_DOORBELL => {
                    self.to_engine.answer();
                }
                // Somebody has shut it down: nobody can be heard here any more, neither by us nor by the next engine.
                TOKEN_LISTENING if hung_up => {
                    refuse(descriptors::SPOILED, format_args!("the control socket was shut down"))
                }
                TOKEN_LISTENING => listening = true,
                TOKEN_HOLDER.. => self.end_lease((token - TOKEN_HOLDER) as u32, clock::now()),
                TOKENS.. => {
                    let at = (token - TOKENS) as usize;
                    if !self.clients.news(at, readable, hung_up) {
                        self.end(at, clock::now());
                    }
                }
                2..TOKENS => {}
            }
        }
        // Last, so that no news of an old connection is taken for a new one's in its place.
        if listening {
            self.accept();
        }
    }

    /// Who comes waits in the backlog.
    fn stop_accepting(&mut self) {
        self.accepts = self.poll.change(self.listening.as_fd(), TOKEN_LISTENING, Interest::NONE).is_err();
    }

    /// Takes one new connection; the next is taken in the next turn.
    fn accept(&mut self) {
        if self.clients.is_full() {
            return self.stop_accepting(); // until somebody goes
        }
        let fd = match socket::accept(self.listening.as_fd()) {
            Ok(fd) => fd,
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return,
            Err(_) => {
                self.accepts_from = clock::now().plus_ms(AGAIN_MS);
                return self.stop_accepting();
            }
        };
        let Ok(peer) = socket::peer(fd.as_fd()) else { return };
        // Where our own user has no number nobody else can connect: see `control_mode`.
        let trusted = peer.uid == 0 || self.owners.contains(&peer.uid);
        match self.clients.room(trusted, peer.uid) {
            Room::Free => {}
            Room::Ending(idle) => self.end(idle, clock::now()),
            Room::None => return,
        }
        self.clients.add(&self.poll, fd, trusted, Sender { pid: peer.pid, uid: peer.uid });
    }
}

/// Opens the engine's state, or begins anew where it is another database's.
#[inline(never)]
fn open_engine(
    image: Image<'static>,
    geometry: Geometry,
    capacities: Capacities,
    state: &'static [AtomicU32],
) -> Option<Engine<'static>> {
    Engine::open(image, geometry, capacities, state).or_else(|| {
        for word in state {
            word.store(0, Relaxed);
        }
        Engine::open(image, geometry, capacities, state)
    })
}

/// The number of the lease of a place in one engine's life: no two of the last lives' are the same. Never 0, nor the
/// greatest, which is that of none that lives.
#[inline(never)]
fn lease(life: u32, place: usize) -> u32 {
    life.wrapping_mul(CLIENTS_MAX as u32).wrapping_add(place as u32).wrapping_add(1).clamp(1, u32::MAX - 1)
}
