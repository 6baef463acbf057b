//! What outlives a crash of the supervisor beside the board: a memory of its own, at a fixed descriptor, in which the
//! numbers of all others that it holds are written down. The program that goes on takes them over from there; what is
//! open and not written down is closed by it, and what is written down and not open is nothing.
//!
//! Descriptors that are written down stay open at exec; every child drops them by itself.

use crate::host::refuse::{OrRefuse, insist};
use crate::sys::{AsFd, AsRawFd, Errno, OwnedFd, file, mapping, process, rebirth};
use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;
use pintle::board::orders::four;
use pintle::board::{SPARE, words};
use pintle::ident::SlotId;
use pintle::limits::STORED_NAME_BYTES;
use pintle::packed;
use pintle::packed::Packed;
use pintle::time::Instant;

/// "PNTH", and the version of the layout behind it. It changes only where somebody who knows the one before could not read
/// it: words are put behind others, and rows may become wider.
const MAGIC: u32 = u32::from_le_bytes(*b"PNTH");
const VERSION: u32 = 1;

/// Words of the beginning.
const HEAD: usize = 32;
const LAYOUT: usize = 1;
/// How many slots there are; their words follow the beginning.
const SLOTS: usize = 2;
const PID: usize = 3;
/// Words: the logger's pid, and how far a shutdown has come with the end of that, two words.
pub const LOGGER_PID: usize = 4;
pub const STAGE: usize = 5;
pub const STAGE_DUE: usize = 6;
/// When it went on last, two words, and how often in a row.
const WENT_ON: usize = 8;
const IN_A_ROW: usize = 10;
/// How often somebody has begun to take over since it was done last.
const TRIES: usize = 15;
/// 1: it was no crash, another program is to go on. 2: it has begun to. 3: it could not, and the one before it goes on.
const UPGRADES: usize = 28;
/// 1: a signal that asks for the end is being taken.
pub const TOLD: usize = 29;
/// See `Cgroups::before`.
pub const HANDED_DOWN: usize = 26;
/// The pid of `pintle-sweep`.
pub const SWEEPER_PID: usize = 27;
/// Words of a slot.
const WIDTH: usize = 30;
/// How many places there are for what is kept for services.
const STORES: usize = 31;
/// The limit of descriptors that children get back, soft and hard, two words each; hard is 0 where ours is theirs.
const LIMIT: usize = 11;
/// Descriptors, one word each: the number plus one.
const DESCRIPTORS: usize = 16;

/// Which of the supervisor's own.
#[derive(Clone, Copy)]
pub enum Own {
    Program,
    Run,
    Lock,
    /// The reports, to write.
    Reports,
    Bell,
    ToEngine,
    LinkNear,
    LinkFar,
    /// The program of before an upgrade, until the new one has taken over.
    Before,
}

/// How many there are of these.
const OWN: usize = Own::Before as usize + 1;
const _: () = assert!(DESCRIPTORS + OWN <= HANDED_DOWN && STORES < HEAD);

/// Words of a slot: one for each of `Of`.
const ROW: usize = 8 + SPARE;

/// Which of a slot's.
#[derive(Clone, Copy)]
pub enum Of {
    Ready,
    Notify,
    LogRead,
    LogWrite,
    /// The status pipe of the main process, while it may be on the way to its exec; of its command.
    Status,
    CommandStatus,
    /// Of the pipe that another service writes into.
    InputRead,
    InputWrite,
}

/// Crashes that are less than this apart come in a row. Milliseconds.
const HABIT_MS: u64 = 10_000;
/// More than so many in a row are a habit.
const IN_A_ROW_MAX: u32 = 3;
/// What cannot be taken over in so many tries is given up.
const TRIES_MAX: u32 = 5;

/// Words of text behind the slots: the paths of the run directory, of the logs and of the program's file, each with a
/// NUL.
const TEXT: usize = 3 * 4096 / 4;

/// Words of such a place, behind the text: the descriptor, 1 where it stays though it is hung up, its name with NULs
/// behind it.
const STORED: usize = 2 + STORED_NAME_BYTES / 4;

/// The memory.
pub struct Held {
    words: &'static [AtomicU32],
    fd: OwnedFd,
}

const MAKE: Packed = packed!("cannot make memory for descriptors");
const PROGRAM: Packed = packed!("cannot open the own program");

/// What a program that begins finds of a supervisor that was this process and crashed.
pub enum Found {
    /// Nothing: it is the first.
    Nothing,
    /// What it takes over.
    Held(Held),
    /// What nobody can take over, and is closed: there may be children of whom nothing is known. Whether to begin anew has
    /// failed already.
    Ruins(bool),
}

impl Held {
    /// Fresh, for a board of this many slots and so many descriptors that are kept for them. Or the process ends.
    pub fn new(slots: u32, stores: usize) -> Held {
        Held::made(slots, stores).or_refuse(MAKE)
    }

    /// With all its pages: we are to meet no page without memory.
    #[inline(never)]
    fn made(slots: u32, stores: usize) -> Result<Held, Errno> {
        let count = HEAD + slots as usize * ROW + TEXT + stores * STORED;
        let fd = mapping::sealed_memory(c"pintle-held", count)?;
        process::set_inherited(&fd, true)?;
        let held = Held { words: mapping::shared_words(fd.as_fd(), count)?, fd };
        held.format();
        for (at, value) in [(SLOTS, slots), (STORES, stores as u32), (PID, process::pid())] {
            words::store(held.words, at, value);
        }
        Ok(held)
    }

    fn format(&self) {
        for (at, value) in [(0, MAGIC), (LAYOUT, VERSION), (WIDTH, ROW as u32)] {
            words::store(self.words, at, value);
        }
    }

    /// The one of the program that executed us, where it was this process, a supervisor that has crashed.
    #[inline(never)]
    pub fn find() -> Found {
        let Some(number) = rebirth::left() else { return Found::Nothing };
        let number: Option<i32> = str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        if let Some(held) = number.and_then(Held::inherited) {
            let tries = held.word(TRIES).saturating_add(1);
            held.put_word(TRIES, tries);
            if tries <= TRIES_MAX && held.survive().is_ok() {
                rebirth::count_in([TRIES, IN_A_ROW].map(|at| &held.words[at]));
                return Found::Held(held);
            }
        }
        let _ = process::close_all_but(3, &[]); // those from 3 on
        Found::Ruins(number == Some(0))
    }

    #[inline(never)]
    fn inherited(number: i32) -> Option<Held> {
        let fd = process::take_inherited(Some(number).filter(|number| *number > 2)?).ok()?;
        let count = usize::try_from(file::length(fd.as_fd()).ok()? / 4).ok()?;
        if !mapping::is_sealed(fd.as_fd(), HEAD as u64 * 4) {
            return None;
        }
        let words = insist(MAKE, || mapping::shared_words(fd.as_fd(), count)).ok()?;
        let held = Held { words, fd };
        let is_ours = [(0, MAGIC), (LAYOUT, VERSION), (PID, process::pid())]
            .iter()
            .all(|(at, value)| words::load(held.words, *at) == *value);
        let (slots, width) = (held.slots() as usize, held.word(WIDTH) as usize);
        let rows = slots.checked_mul(width);
        let behind = held.stores().checked_mul(STORED).and_then(|stored| stored.checked_add(HEAD + TEXT));
        if !is_ours || rows.zip(behind).and_then(|(rows, behind)| rows.checked_add(behind)) != Some(count) {
            return None;
        }
        process::set_inherited(&held.fd, true).ok()?;
        if width == ROW {
            return Some(held);
        }
        let ours = insist(MAKE, || Held::made(held.slots(), held.stores())).ok()?;
        words::carry_over(held.words, ours.words, HEAD, slots, [width, ROW]);
        ours.format();
        core::mem::forget(held.fd); // a crash before we have prepared for one finds it
        Some(ours)
    }

    /// In ruins, too: whatever stands in the way of beginning anew, the process does not end.
    pub fn survive_without() {
        if let Ok(program) = insist(PROGRAM, process::open_self)
            && rebirth::prepare(&program, 0).is_ok()
        {
            core::mem::forget(program); // as long as we live
        }
    }

    /// How many slots it is for.
    pub fn slots(&self) -> u32 {
        words::load(self.words, SLOTS)
    }

    /// How many descriptors can be kept for services.
    pub fn stores(&self) -> usize {
        words::load(self.words, STORES) as usize
    }

    /// Where the text begins.
    fn text_at(&self) -> usize {
        HEAD + self.slots() as usize * ROW
    }

    fn stored_at(&self, at: usize) -> usize {
        self.text_at() + TEXT + at * STORED
    }

    /// Writes down one that is kept for a service.
    #[inline(never)]
    pub fn store(&self, at: usize, fd: &OwnedFd, name: &[u8], stays: bool) {
        let place = self.stored_at(at);
        words::store(self.words, place + 1, stays.into());
        for word in 0..STORED - 2 {
            words::store(self.words, place + 2 + word, four(name, word));
        }
        self.put(place, Some(fd)); // the last: without it there is none
    }

    /// Writes down, before it is closed, that there is none.
    pub fn forget_stored(&self, at: usize) {
        self.put(self.stored_at(at), None);
    }

    /// Takes over one of those. Once. And whether it stays though it is hung up.
    pub fn take_stored(&self, at: usize) -> (Option<OwnedFd>, bool) {
        let place = self.stored_at(at);
        (self.take(place), words::load(self.words, place + 1) != 0)
    }

    /// Its name.
    #[inline(never)]
    pub fn stored_name<'n>(&self, at: usize, room: &'n mut [u8; STORED_NAME_BYTES]) -> &'n [u8] {
        for (word, bytes) in room.chunks_exact_mut(4).enumerate() {
            bytes.copy_from_slice(&words::load(self.words, self.stored_at(at) + 2 + word).to_le_bytes());
        }
        super::launch::before(room, 0)
    }

    /// From now on a crash executes the program anew, with this memory. Allocates.
    ///
    /// Behind an upgrade it is the program of before, until everything is taken over: it has to do what we cannot.
    pub fn survive(&self) -> Result<(), Errno> {
        let program = self.take_own(Own::Program).map_or_else(process::open_self, Ok)?;
        self.keep(Own::Program, &program);
        let mut next = program.as_fd();
        let before = self.take_own(Own::Before);
        match (self.word(UPGRADES), &before) {
            (1, Some(before)) => {
                self.put_word(UPGRADES, 2);
                next = before.as_fd();
            }
            (2, Some(before)) => {
                // The new one has crashed, or has refused: this is the one before it.
                self.put_word(UPGRADES, 3);
                self.keep(Own::Program, before);
                self.put(DESCRIPTORS + Own::Before as usize, None);
                next = before.as_fd();
            }
            _ => {}
        }
        rebirth::prepare(next, self.fd.as_raw_fd() as u32)?;
        core::mem::forget((program, before)); // as long as we live
        Ok(())
    }

    fn put(&self, at: usize, fd: Option<&OwnedFd>) {
        // First that it stays open: what is written down is there.
        if let Some(fd) = fd {
            let _ = process::set_inherited(fd, true); // it is open
        }
        words::store(self.words, at, fd.map_or(0, |fd| fd.as_raw_fd() as u32 + 1));
    }

    /// Writes down one of the supervisor's own.
    pub fn keep(&self, which: Own, fd: &OwnedFd) {
        self.put(DESCRIPTORS + which as usize, Some(fd));
    }

    /// Writes down one of a slot's, or before it is closed that there is none.
    pub fn hold(&self, slot: SlotId, which: Of, fd: Option<&OwnedFd>) {
        if slot.0 < self.slots() {
            self.put(HEAD + slot.index() * ROW + which as usize, fd);
        }
    }

    fn take(&self, at: usize) -> Option<OwnedFd> {
        let number = words::load(self.words, at).checked_sub(1)?;
        let fd = process::take_inherited(number as i32).ok();
        self.put(at, fd.as_ref());
        fd
    }

    /// Takes over one of the supervisor's own. Once.
    pub fn take_own(&self, which: Own) -> Option<OwnedFd> {
        self.take(DESCRIPTORS + which as usize)
    }

    /// Takes over one of a slot's. Once.
    pub fn take_of(&self, slot: SlotId, which: Of) -> Option<OwnedFd> {
        self.take(HEAD + slot.index() * ROW + which as usize)
    }

    /// Closes what is open from 3 on and neither written down nor below `kept`.
    #[inline(never)]
    pub fn close_others(&self, kept: i32) {
        let slots = HEAD..self.text_at();
        let stored = (0..self.stores()).map(|at| self.stored_at(at));
        let numbers = (DESCRIPTORS..DESCRIPTORS + OWN).chain(slots).chain(stored).map(|at| words::load(self.words, at));
        let mut numbers: Vec<u32> = numbers.filter(|number| *number > kept as u32).map(|number| number - 1).collect();
        numbers.push(self.fd.as_raw_fd() as u32);
        numbers.sort_unstable();
        let _ = process::close_all_but(kept as u32, &numbers);
    }

    /// The paths: of the run directory, of the logs, of the program's file.
    #[inline(never)]
    pub fn put_paths(&self, paths: [&[u8]; 3]) {
        let mut at = self.text_at() * 4;
        for path in paths {
            for byte in path.iter().chain(b"\0") {
                let word = words::load(self.words, at / 4);
                words::store(self.words, at / 4, word | u32::from(*byte) << (at % 4 * 8));
                at += 1;
            }
        }
    }

    /// See `put_paths`. Allocates.
    #[inline(never)]
    pub fn paths(&self) -> [&'static [u8]; 3] {
        let text = &self.words[self.text_at()..][..TEXT];
        let bytes: Vec<u8> = (0..text.len()).flat_map(|at| words::load(text, at).to_le_bytes()).collect();
        let mut paths = bytes.leak().split(|byte| *byte == 0);
        core::array::from_fn(|_| paths.next().unwrap_or_default())
    }

    /// A word of those named above.
    pub fn word(&self, at: usize) -> u32 {
        words::load(self.words, at)
    }

    /// See `word`.
    pub fn put_word(&self, at: usize, value: u32) {
        words::store(self.words, at, value);
    }

    /// The word that clone writes a helper's pid into.
    pub fn pid_word(&self, at: usize) -> &'static AtomicU32 {
        &self.words[at]
    }

    /// Two of them.
    pub fn time(&self, at: usize) -> Instant {
        Instant(words::load_u64(self.words, at))
    }

    /// See `time`.
    pub fn put_time(&self, at: usize, time: Instant) {
        words::store_u64(self.words, at, time.0);
    }

    /// The limit of descriptors for children; none where it is ours.
    pub fn limit(&self) -> Option<(u64, u64)> {
        let (soft, hard) = (words::load_u64(self.words, LIMIT), words::load_u64(self.words, LIMIT + 2));
        (hard != 0).then_some((soft, hard))
    }

    /// See `limit`.
    pub fn put_limit(&self, limit: Option<(u64, u64)>) {
        let (soft, hard) = limit.unwrap_or_default();
        words::store_u64(self.words, LIMIT, soft);
        words::store_u64(self.words, LIMIT + 2, hard);
    }

    /// Notes that we go on after a crash; says whether that has become a habit, which then begins anew.
    pub fn goes_on(&self, now: Instant) -> bool {
        let often = now.ms_since(self.time(WENT_ON)) < HABIT_MS;
        let in_a_row = if often { self.word(IN_A_ROW).saturating_add(1) } else { 1 };
        let is_habit = in_a_row > IN_A_ROW_MAX;
        self.put_word(IN_A_ROW, if is_habit { 0 } else { in_a_row });
        self.put_time(WENT_ON, now);
        is_habit
    }

    /// Another program goes on from here. Comes back where it cannot.
    pub fn upgrade(&self, program: OwnedFd) -> Errno {
        let own = self.take_own(Own::Program);
        self.put(DESCRIPTORS + Own::Before as usize, own.as_ref());
        self.keep(Own::Program, &program);
        self.put_word(UPGRADES, 1);
        let error = rebirth::become_program(&program);
        self.put_word(UPGRADES, 0);
        self.put(DESCRIPTORS + Own::Program as usize, own.as_ref());
        self.put(DESCRIPTORS + Own::Before as usize, None);
        core::mem::forget(own);
        error
    }

    /// Whether it was no crash that we go on after.
    pub fn was_upgrade(&self) -> bool {
        self.word(UPGRADES) != 0
    }

    /// Whether another program was to go on, and could not.
    pub fn came_back(&self) -> bool {
        self.word(UPGRADES) == 3
    }

    /// Everything has been taken over: the next crash executes this program.
    pub fn is_taken_over(&self) {
        if let Some(program) = self.take_own(Own::Program) {
            rebirth::set_program(&program);
            core::mem::forget(program);
        }
        self.put_word(UPGRADES, 0);
        self.put_word(TRIES, 0);
        if let Some(before) = self.take_own(Own::Before) {
            self.put(DESCRIPTORS + Own::Before as usize, None);
            drop(before);
        }
    }
}
