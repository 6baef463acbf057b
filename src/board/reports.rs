//! Reports: what each slot's processes are. Written by the supervisor alone, in a file of the run directory that
//! everyone may read; the engine maps it read-only.

use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use super::orders::four;
use super::words::{self, Head, ROWS};
use super::{Geometry, SPARE};
use crate::ident::{Life, Order, SlotId};
use crate::time::Instant;

/// "PNTR".
const MAGIC: u32 = u32::from_le_bytes(*b"PNTR");
/// Layout version.
const VERSION: u32 = 6 + SPARE as u32;
/// How it is laid out.
pub const LAYOUT: words::Layout = [MAGIC, VERSION, ROW as u32];

/// Header words of its own.
pub mod own {
    use crate::board::words::header::OWN;
    /// Process id of the supervisor.
    pub const SUPERVISOR_PID: usize = OWN;
    /// Process id of the engine, 0 while there is none.
    pub const ENGINE_PID: usize = OWN + 1;
    /// How many engines there have been.
    pub const ENGINE_LIVES: usize = OWN + 2;
    /// How often the supervisor has recovered from its own crash.
    pub const RECOVERIES: usize = OWN + 3;
    /// Heap allocations of the supervisor since it froze its heap: 0.
    pub const ALLOCATIONS: usize = OWN + 4;
    /// 0; 1 when a shutdown is wanted (by signal); 2 when its bound has passed and everything is killed; 3 when it is
    /// over, in order; 4 when it is over, and what was left at the bound was killed.
    pub const SHUTDOWN: usize = OWN + 5;
    /// The service to boot, `NONE` for none.
    pub const BOOT: usize = OWN + 6;
    /// CRC-32 of the database in use (its header's), and its length in bytes.
    pub const DATABASE_CRC: usize = OWN + 7;
    /// See `DATABASE_CRC`.
    pub const DATABASE_LENGTH: usize = OWN + 8;
    /// Two words: when the supervisor started, nanoseconds of CLOCK_MONOTONIC.
    pub const STARTED: usize = OWN + 9;
    /// Two words: the counter that stamps `began` and `ready`.
    pub const STAMP: usize = OWN + 11;
    /// 1 where supervisor and engine share one uid: separation is against faults only.
    pub const ONE_UID: usize = OWN + 13;
    /// Processes reaped that were nobody's main process.
    pub const ORPHANS: usize = OWN + 14;
    /// A checksum of the boot and the pid namespace in which the pids mean something; 0 where that is not known.
    pub const SPACE: usize = OWN + 15;
    /// How many services may be starting at once; 0 is no limit.
    pub const PARALLEL: usize = OWN + 16;
    /// Upgrades: how many were asked for (high 16 bits), and the errno of the last one (low ones), 0: it was done.
    pub const UPGRADES: usize = OWN + 17;
    /// 1 where services have control groups.
    pub const GROUPS: usize = OWN + 18;
}

/// Words of a row.
pub const ROW: usize = 38 + SPARE;
/// A word of a row.
pub const STATE: usize = 1;
/// A word of a row.
pub const ORDER: usize = 2;
const LIFE: usize = 3;
/// A word of a row.
pub const ATTEMPT: usize = 4;
/// The word that clone writes the child's pid into (CLONE_PARENT_SETTID), so that a crash right after it loses nothing.
pub const PID: usize = 5;
/// The same for a command before, beside or behind it: stop, reload, cleanup, pre-start, or a check.
pub const AUXILIARY: usize = 6;
const EXIT: usize = 7;
/// A word of a row.
pub const FAILURE: usize = 8;
const RESTARTS: usize = 9;
const BEGAN: usize = 10;
const READY: usize = 12;
const SINCE: usize = 14;
const SPAWNED: usize = 16;
const DEADLINE: usize = 18;
/// A word of a row.
pub const DEATHS: usize = 20;
/// A word of a row.
pub const RELOADED: usize = 21;
/// A word of a row.
pub const SIGNALLED: usize = 22;
const DELAY: usize = 23;
const STUCK: usize = 24;
const CLEANUP: usize = 25;
/// Words of a row that mean something to others.
pub const USED: usize = 26;
/// The rest of a row: what the supervisor keeps of a slot for itself, and for its successor if it crashes. Nobody else
/// reads it.
pub const KEPT: usize = USED;
/// The template that an instance slot was last ordered with.
pub const TEMPLATE: usize = 29;
/// The text row of that order plus one, 0 for none.
pub const TEXT: usize = 30;
/// The process that the service named as its main one; 0 for none.
pub const HEIR: usize = 31;
/// What the supervisor remembers of the time that a life has.
pub const TIMES: usize = 32;

/// At the end: the change of a row that is under way. The slot plus one, 0 for none; what follows from the change and may
/// not be done yet; the row as it is to be, last, since it is as wide as rows are.
const CHANGE: usize = 2 + ROW;

/// Bytes that are kept of what a service says of itself (`STATUS=`).
pub const STATUS_BYTES: usize = 252;
/// Behind the rows, for those who can say something: a counter, then the text with NULs behind it.
pub const STATUS_ROW: usize = 1 + STATUS_BYTES / 4;

/// What a slot's processes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum State {
    /// Nothing runs and nothing is to. Also a oneshot that is down.
    #[default]
    Down = 0,
    /// A start is due but has not been spawned yet: no stack was free, or the kernel refused for now.
    Queued = 1,
    /// Cloned; exec has not been seen yet.
    Spawning = 2,
    /// Runs, not ready yet. A oneshot whose command runs.
    Starting = 3,
    /// Ready. A oneshot that ended well and remains.
    Up = 4,
    /// Between two lives, or two attempts: dead, and the delay before the next is not past.
    Delayed = 5,
    /// Told to end and not gone yet; or the stop command of a oneshot runs, or a cleanup.
    Stopping = 6,
    /// Gave up under this order; `exit` and `failure` say why. Nothing runs.
    Failed = 7,
    /// Ended well and for good under this order. Nothing runs.
    Done = 8,
    /// A precondition did not hold; `failure` says which. Nothing runs.
    Skipped = 9,
}

impl State {
    /// All states, in the order of their numbers.
    pub const ALL: [State; 10] = [
        State::Down,
        State::Queued,
        State::Spawning,
        State::Starting,
        State::Up,
        State::Delayed,
        State::Stopping,
        State::Failed,
        State::Done,
        State::Skipped,
    ];

    /// Those in which the order came to its end by itself: a bit for each, at its number.
    pub const ENDED: u32 = State::set(&[State::Failed, State::Done, State::Skipped]);

    /// Those in which nothing runs, and nothing is on its way to.
    pub const DOWN: u32 = State::ENDED | State::set(&[State::Down]);
    /// Those in which a life has begun and is not told to end.
    pub const BEGUN: u32 = State::set(&[State::Spawning, State::Starting, State::Up]);

    /// Such a set.
    pub const fn set(states: &[State]) -> u32 {
        let (mut bits, mut at) = (0, 0);
        while at < states.len() {
            bits |= 1 << states[at] as u32;
            at += 1;
        }
        bits
    }

    /// Whether it is one of these.
    pub const fn is_in(self, set: u32) -> bool {
        set >> self as u32 & 1 == 1
    }

    /// The state with this number; `Down` where there is none.
    pub const fn from_number(number: u32) -> State {
        if number < State::ALL.len() as u32 { State::ALL[number as usize] } else { State::Down }
    }

    /// Whether a process of the slot may exist.
    pub const fn has_process(self) -> bool {
        self.is_in(State::set(&[State::Spawning, State::Starting, State::Up, State::Stopping]))
    }

    /// Whether the order came to its end by itself: nothing runs, and nothing will under this order.
    pub const fn has_ended(self) -> bool {
        self.is_in(State::ENDED)
    }

    /// Whether nothing runs, and nothing is on its way to.
    pub const fn is_down(self) -> bool {
        self.is_in(State::DOWN)
    }
}

/// How the last life (or stop command) ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Exit {
    /// None has ended yet.
    #[default]
    None,
    /// exit(2) with this code.
    Code(u8),
    /// Killed by this signal.
    Signal(u8),
    /// It could not be spawned: `failure` has step and errno.
    NotSpawned,
    /// Not ready (or not ended, for a oneshot) within `start-timeout`, then killed.
    TimedOut,
    /// Gone while nobody could look.
    Unknown,
    /// Its watchdog was not told in time that it is well, or was told that it is not.
    Watchdog,
    /// Its health checks failed.
    Unhealthy,
    /// What was to run before it has failed.
    PreStart(Status),
}

/// How a process ended, by its own word or a signal's. See wait(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// exit(2) with this code.
    Code(u8),
    /// Killed by this signal.
    Signal(u8),
}

impl Exit {
    /// Kind in bits 8 to 15, code or signal below.
    pub const fn to_word(self) -> u32 {
        match self {
            Exit::None => 0,
            Exit::Code(code) => 1 << 8 | code as u32,
            Exit::Signal(signal) => 2 << 8 | signal as u32,
            Exit::NotSpawned => 3 << 8,
            Exit::TimedOut => 4 << 8,
            Exit::Unknown => 5 << 8,
            Exit::Watchdog => 6 << 8,
            Exit::Unhealthy => 7 << 8,
            Exit::PreStart(Status::Code(code)) => 8 << 8 | code as u32,
            Exit::PreStart(Status::Signal(signal)) => 9 << 8 | signal as u32,
        }
    }

    /// See `to_word`; a number that has no meaning is `Unknown`.
    pub const fn from_word(word: u32) -> Exit {
        match word >> 8 {
            0 => Exit::None,
            1 => Exit::Code(word as u8),
            2 => Exit::Signal(word as u8),
            3 => Exit::NotSpawned,
            4 => Exit::TimedOut,
            6 => Exit::Watchdog,
            7 => Exit::Unhealthy,
            8 => Exit::PreStart(Status::Code(word as u8)),
            9 => Exit::PreStart(Status::Signal(word as u8)),
            _ => Exit::Unknown,
        }
    }

    /// What the life's own process has ended with; none where something else is its end.
    pub fn status(self) -> Option<Status> {
        match self {
            Exit::Code(code) => Some(Status::Code(code)),
            Exit::Signal(signal) => Some(Status::Signal(signal)),
            Exit::None
            | Exit::NotSpawned
            | Exit::TimedOut
            | Exit::Unknown
            | Exit::Watchdog
            | Exit::Unhealthy
            | Exit::PreStart(_) => None,
        }
    }
}

/// One row. Its pid words are written by clone itself, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReportRow {
    /// What is.
    pub state: State,
    /// The order acted on last.
    pub order: Order,
    /// Lives ever.
    pub life: Life,
    /// Lives under this order; more than one means that policy restarted it.
    pub attempt: u32,
    /// The main process; 0 for none.
    pub pid: u32,
    /// A stop, reload, cleanup or pre-start command, or a check; 0 for none.
    pub auxiliary: u32,
    /// How the last life ended.
    pub exit: Exit,
    /// Step (high 16 bits, `sys` names them) and errno (low 16 bits) of the last spawn that failed; 0 for none.
    pub failure: u32,
    /// Restarts by policy, ever.
    pub restarts: u32,
    /// Stamp of the current life's beginning: one counter for all slots, so that "began before" can be asked.
    pub began: u64,
    /// Stamp at which the current life became ready; 0 while it has not.
    pub ready: u64,
    /// When `state` last changed.
    pub since: Instant,
    /// When the current or last life was spawned.
    pub spawned: Instant,
    /// When the state's time limit ends; `NEVER` if it has none.
    pub deadline: Instant,
    /// Deaths counted against `restart-limit` in its window.
    pub deaths: u32,
    /// The `reload` number acted on last.
    pub reloaded: u32,
    /// The `signal` number acted on last.
    pub signalled: u32,
    /// The delay that the next policy restart will keep, milliseconds.
    pub delay_ms: u32,
    /// While it is `Stopping`: a process is still there, a while after it was killed. Nobody can say for how long.
    pub stuck: bool,
    /// How the last cleanup ended.
    pub cleanup: Exit,
}

impl ReportRow {
    /// What the words of a row say.
    pub fn of(row: &[u32; ROW]) -> ReportRow {
        let wide = |at: usize| u64::from(row[at]) | u64::from(row[at + 1]) << 32;
        ReportRow {
            state: State::from_number(row[STATE]),
            order: Order(row[ORDER]),
            life: Life(row[LIFE]),
            attempt: row[ATTEMPT],
            pid: row[PID],
            auxiliary: row[AUXILIARY],
            exit: Exit::from_word(row[EXIT]),
            failure: row[FAILURE],
            restarts: row[RESTARTS],
            began: wide(BEGAN),
            ready: wide(READY),
            since: Instant(wide(SINCE)),
            spawned: Instant(wide(SPAWNED)),
            deadline: Instant(wide(DEADLINE)),
            deaths: row[DEATHS],
            reloaded: row[RELOADED],
            signalled: row[SIGNALLED],
            delay_ms: row[DELAY],
            stuck: row[STUCK] != 0,
            cleanup: Exit::from_word(row[CLEANUP]),
        }
    }

    /// Puts it into a row, behind the counter.
    pub fn put(&self, row: &mut [u32; ROW]) {
        row[STATE] = self.state as u32;
        row[ORDER] = self.order.0;
        row[LIFE] = self.life.0;
        row[ATTEMPT] = self.attempt;
        row[PID] = self.pid;
        row[AUXILIARY] = self.auxiliary;
        row[EXIT] = self.exit.to_word();
        row[FAILURE] = self.failure;
        row[RESTARTS] = self.restarts;
        row[DEATHS] = self.deaths;
        row[RELOADED] = self.reloaded;
        row[SIGNALLED] = self.signalled;
        row[DELAY] = self.delay_ms;
        row[STUCK] = self.stuck.into();
        row[CLEANUP] = self.cleanup.to_word();
        let mut wide = |at: usize, value: u64| (row[at], row[at + 1]) = (value as u32, (value >> 32) as u32);
        wide(BEGAN, self.began);
        wide(READY, self.ready);
        wide(SINCE, self.since.0);
        wide(SPAWNED, self.spawned.0);
        wide(DEADLINE, self.deadline.0);
    }
}

/// Words that reports take.
pub const fn words(geometry: &Geometry) -> usize {
    statuses(geometry).end + CHANGE
}

/// Where the rows of `STATUS_ROW` are.
pub const fn statuses(geometry: &Geometry) -> Range<usize> {
    let start = ROWS + geometry.slots() as usize * ROW;
    start..start + (geometry.statuses + geometry.instance_statuses) as usize * STATUS_ROW
}

/// The reports, whoever looks. Only the supervisor calls what writes.
#[derive(Clone, Copy, Debug)]
pub struct Reports<'a> {
    head: &'a Head,
    words: &'a [AtomicU32],
    geometry: Geometry,
}

impl<'a> Reports<'a> {
    /// Over `words(geometry)` words.
    pub fn new(words: &'a [AtomicU32], geometry: Geometry) -> Reports<'a> {
        Reports { head: words::head(words), words, geometry }
    }

    /// Fills in the header of a fresh mapping.
    pub fn format(&self) {
        words::format(self.words, LAYOUT, &self.geometry);
    }

    /// The words of the header.
    pub fn head(&self) -> &'a Head {
        self.head
    }

    /// All words, for the ring (`Follower`).
    pub fn words(&self) -> &'a [AtomicU32] {
        self.words
    }

    /// Where the board's rows are.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The word that clone writes the pid of this slot's main process (`PID`) or command (`AUXILIARY`) into.
    pub fn pid_word(&self, slot: SlotId, word: usize) -> Option<&'a AtomicU32> {
        self.words.get(ROWS + slot.index() * ROW + word)
    }

    /// The row of a slot; `None` while it is being written, or behind the last slot.
    pub fn read(&self, slot: SlotId) -> Option<ReportRow> {
        let mut row = [0; ROW];
        let used = &mut row[..USED];
        let read = slot.0 < self.geometry.slots() && words::read_row(self.words, ROWS + slot.index() * ROW, used);
        read.then(|| ReportRow::of(&row))
    }

    /// The same; a fresh row for `None`.
    #[inline(never)]
    pub fn get(&self, slot: SlotId) -> ReportRow {
        self.read(slot).unwrap_or_default()
    }

    /// The whole row, for its one writer.
    pub fn read_words(&self, slot: SlotId, row: &mut [u32; ROW]) -> bool {
        slot.0 < self.geometry.slots() && words::read_row(self.words, ROWS + slot.index() * ROW, row)
    }

    /// Writes the row of a slot, its pid included, and says so in the ring. The doorbell is the caller's.
    pub fn write(&self, slot: SlotId, report: &ReportRow) {
        self.write_public(slot, report, true);
    }

    /// The same without a word in the ring: for what only lookers see, such as the moment between clone and exec.
    pub fn write_quietly(&self, slot: SlotId, report: &ReportRow) {
        self.write_public(slot, report, false);
    }

    fn write_public(&self, slot: SlotId, report: &ReportRow, says_so: bool) {
        let mut row = [0; ROW];
        for (at, word) in row.iter_mut().enumerate().skip(KEPT) {
            *word = self.word(slot, at);
        }
        report.put(&mut row);
        self.write_words(slot, &row, says_so, 0);
        self.done();
    }

    /// Writes a whole row. Until `done`, whoever takes over after a crash finds what is `owed` for it; see `take_over`.
    pub fn write_words(&self, slot: SlotId, row: &[u32; ROW], says_so: bool, owed: u32) {
        if slot.0 >= self.geometry.slots() {
            return;
        }
        let change = self.change();
        words::store(self.words, change + 1, owed);
        for (at, word) in row.iter().enumerate() {
            words::store(self.words, change + 2 + at, *word);
        }
        compiler_fence(Ordering::SeqCst);
        words::store(self.words, change, slot.0 + 1);
        compiler_fence(Ordering::SeqCst);
        words::write_row(self.words, ROWS + slot.index() * ROW, &row[1..]);
        if says_so {
            words::push_change(self.words, slot);
        }
    }

    /// What followed from the row written last has been done.
    pub fn done(&self) {
        compiler_fence(Ordering::SeqCst);
        words::store(self.words, self.change(), 0);
    }

    /// For a writer that takes over: finishes the row that the one before was writing, if it was, and gives its slot
    /// and what was owed for it. The followers of the ring are to look at everything. `done` when that is done.
    pub fn take_over(&self) -> Option<(SlotId, u32)> {
        let change = self.change();
        let slot = SlotId(words::load(self.words, change).checked_sub(1)?);
        let owed = words::load(self.words, change + 1);
        let mut row = [0; ROW];
        for (at, word) in row.iter_mut().enumerate() {
            *word = words::load(self.words, change + 2 + at);
        }
        if slot.0 < self.geometry.slots() {
            words::write_row(self.words, ROWS + slot.index() * ROW, &row[1..]);
        }
        Some((slot, owed))
    }

    fn change(&self) -> usize {
        statuses(&self.geometry).end
    }

    /// One word of a row (`ORDER` and so on); 0 where there is none. It is whole only for the one writer.
    #[inline(never)]
    pub fn word(&self, slot: SlotId, word: usize) -> u32 {
        words::load(self.words, ROWS + slot.index() * ROW + word)
    }

    /// Sets one of the words that only the supervisor reads (`TEMPLATE` and so on).
    pub fn keep(&self, slot: SlotId, word: usize, value: u32) {
        words::store(self.words, ROWS + slot.index() * ROW + word, value);
    }

    /// Writes what a service says of itself, into its row (see `Geometry::has_status`): the whole characters of its first
    /// `STATUS_BYTES`.
    pub fn write_status(&self, row: u32, text: &[u8]) {
        let text = &text[..text.len().min(STATUS_BYTES)];
        let whole = core::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len);
        let words: [u32; STATUS_ROW - 1] = core::array::from_fn(|word| four(&text[..whole], word));
        if row < self.geometry.statuses + self.geometry.instance_statuses {
            words::write_row(self.words, self.status_at(row), &words);
        }
    }

    /// Copies it. Empty while it is being written, or where there is none.
    pub fn read_status<'t>(&self, row: u32, to: &'t mut [u8; STATUS_BYTES]) -> &'t str {
        let mut words = [0; STATUS_ROW];
        let rows = self.geometry.statuses + self.geometry.instance_statuses;
        if row >= rows || !words::read_row(self.words, self.status_at(row), &mut words) {
            return "";
        }
        for (to, word) in to.chunks_exact_mut(4).zip(&words[1..]) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        let text = to.split(|byte| *byte == 0).next().unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }

    fn status_at(&self, row: u32) -> usize {
        statuses(&self.geometry).start + row as usize * STATUS_ROW
    }

    /// The next stamp.
    pub fn stamp(&self) -> u64 {
        let next = words::load_u64(self.words, own::STAMP) + 1;
        words::store_u64(self.words, own::STAMP, next);
        next
    }
}
