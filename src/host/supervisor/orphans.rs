//! Where there are no control groups: what services leave behind. Who loses its parent becomes our child, since we are
//! the subreaper; so what there is of a service beside its main process and its commands is found among our children,
//! however deep it was. What is of the session of the main process is killed here, by its number, which it keeps until we
//! reap it. What has a session of its own is killed by a process of our own, `pintle-sweep`, which looks for the mark in
//! its environment: to read another one's memory may wait for that one. Without the mark it is nobody's: a
//! stray, which `status` shows.

use super::Supervisor;
use super::held::SWEEPER_PID;
use super::launch::before;
use super::pids::Owner;
use crate::sys::signals::{self, SIGKILL, Target};
use crate::sys::{Errno, children, clock, process, reap};
use heapless::Vec;
use pintle::board::reports::Exit;
use pintle::ident::SlotId;
use pintle::limits::{INSTANCE_BYTES_MAX, NAME_BYTES_MAX};
use pintle::supervision::{Input, Slot, step};
use pintle::time::Instant;

/// How long it may take to look for marks. Milliseconds.
const SWEEP_MS: u32 = 1000;
/// When it is looked again at what cannot be watched. Milliseconds.
const AGAIN_MS: u32 = 50;
/// For so many services at once.
pub const NAMES: usize = 16;
/// So many who wait have their turn at once.
const TURN: usize = 64;
/// To look takes at most one part of so many of our time, since that grows with the number of children.
const PARTS: u64 = 10;

/// A service by its name and its instance's.
pub type Name = Vec<u8, { NAME_BYTES_MAX + INSTANCE_BYTES_MAX + 32 }>;

/// What is known of who waits for the end of what it has left.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum Left {
    /// It does not wait.
    #[default]
    Nothing,
    /// Nobody has looked for its mark.
    Waits,
    /// It is being looked for.
    Sought,
    /// Whoever had it is gone.
    Swept,
}

/// Those that wait, and `pintle-sweep`.
#[derive(Default)]
pub struct Orphans {
    waiting: u32,
    /// An orphan has ended, or a search.
    news: bool,
    /// Not to be looked at before that.
    next: Instant,
    /// 0: none.
    sweeper: u32,
    /// When it has had its time; `NEVER`: it has.
    due: Instant,
    /// An orphan has ended since it began.
    helps: bool,
}

/// A session whose processes are to end, and whether there are any.
#[derive(Clone, Copy, Default)]
struct Session {
    number: u32,
    lives: bool,
}

impl Orphans {
    /// When there is something to do.
    pub fn due(&self) -> Instant {
        let next = if self.news && self.waiting > 0 { self.next } else { Instant::NEVER };
        if self.sweeper == 0 { next } else { next.min(self.due) }
    }

    /// A child has ended that is nobody's.
    pub fn ended(&mut self) {
        (self.news, self.helps) = (true, true);
    }

    pub fn is_sweeping(&self) -> bool {
        self.sweeper != 0
    }
}

impl Supervisor {
    /// How many orphans live, all of them; SIGKILL to those of these sessions. None: they cannot be counted now.
    fn end_sessions(&mut self, sessions: &mut [Session]) -> Option<u32> {
        let (began, mut count) = (clock::now(), 0);
        let Supervisor { pids, .. } = self;
        let read = children::each(children::OWN, &mut |pid| {
            if pids.get(pid).is_some() || reap::look(pid) != reap::Child::Alive {
                return;
            }
            count += 1;
            let number = process::session(pid);
            for session in sessions.iter_mut().filter(|session| number != 0 && session.number == number) {
                session.lives |= signals::send(Target::Process(pid), SIGKILL).is_ok();
            }
        });
        let ended = clock::now();
        self.orphans.next = Instant(ended.0 + (PARTS - 1) * (ended.0 - began.0));
        match read {
            Ok(()) => Some(count),
            // The kernel has no list of them, or there is no /proc: they are not looked for.
            Err(Errno::NOENT) => Some(0),
            Err(_) => {
                self.orphans.next = ended.plus_ms(AGAIN_MS);
                None
            }
        }
    }

    /// Whoever is in the session of a main process that has ended, and is not reaped, ends with it.
    pub(super) fn note_session(&mut self, slot: SlotId, pid: u32) {
        let session = process::session(pid);
        if let Some(private) = self.slots.get_mut(slot.index()) {
            private.session = if session == process::session(0) { 0 } else { session };
        }
    }

    /// What `look_for_rest` is without control groups.
    #[inline(never)]
    pub(super) fn look_among_orphans(&mut self, slot: SlotId) {
        let waits = self.slots.get(slot.index()).is_none_or(|private| private.left != Left::Nothing);
        if waits {
            return;
        }
        let number = self.slots[slot.index()].session;
        // Where that would be too often, it is done later for all who wait.
        if clock::now() >= self.orphans.next && self.end_sessions(&mut [Session { number, lives: false }]) == Some(0) {
            self.slots[slot.index()].session = 0;
            return;
        }
        self.feed(slot, Input::Occupied);
    }

    /// What the slot has left is to be ended, and then said to be.
    #[inline(never)]
    pub(super) fn end_orphans_of(&mut self, slot: SlotId) {
        if self.cgroups.is_some() {
            self.orphans.next = self.now.plus_ms(AGAIN_MS);
        }
        let Some(private) = self.slots.get_mut(slot.index()) else { return };
        if private.left == Left::Nothing {
            private.left = Left::Waits;
            self.orphans.waiting += 1;
        }
        self.orphans.news = true;
    }

    /// Goes on with those that wait.
    pub fn mind_orphans(&mut self) {
        if self.orphans.sweeper != 0 && self.orphans.due <= self.now {
            self.orphans.due = Instant::NEVER;
            let _ = signals::send(Target::Process(self.orphans.sweeper), SIGKILL);
        }
        if self.orphans.news && self.orphans.waiting > 0 && self.orphans.next <= self.now {
            self.look_who_waits();
        }
    }

    #[inline(never)]
    fn look_who_waits(&mut self) {
        self.orphans.news = false;
        if self.cgroups.is_some() {
            return self.look_unwatched();
        }
        // So many in one turn; the others have the next one.
        let mut turn: Vec<SlotId, TURN> = Vec::new();
        for (slot, private) in (0..).map(SlotId).zip(&self.slots) {
            if private.left != Left::Nothing && turn.push(slot).is_err() {
                self.orphans.news = true;
                break;
            }
        }
        let mut sessions = [Session::default(); TURN];
        for (slot, session) in turn.iter().zip(&mut sessions) {
            session.number = self.slots[slot.index()].session;
        }
        let Some(count) = self.end_sessions(&mut sessions) else { return self.orphans.news = true };
        let mut names: Vec<Name, NAMES> = Vec::new();
        for (slot, session) in turn.into_iter().zip(sessions) {
            let Some(private) = self.slots.get_mut(slot.index()) else { continue };
            if session.lives {
                continue; // their ends are news
            }
            // A number without anybody may be given away.
            private.session = 0;
            match private.left {
                Left::Sought => {} // so is the end of the search
                Left::Waits if count > 0 => {
                    if self.orphans.sweeper == 0 && names.push(self.name_of(slot)).is_ok() {
                        self.slots[slot.index()].left = Left::Sought;
                    }
                }
                Left::Waits | Left::Swept | Left::Nothing => {
                    private.left = Left::Nothing;
                    self.orphans.waiting -= 1;
                    self.feed(slot, Input::Emptied);
                }
            }
        }
        if names.is_empty() {
            return;
        }
        let started = self.start_sweeper(&names);
        self.orphans.helps = false;
        (self.orphans.due, self.orphans.sweeper) = (self.now.plus_ms(SWEEP_MS), started.unwrap_or_default());
        if started.is_none() {
            // Nobody knows who is left: it is tried until it can be known.
            self.turn_sought(Left::Waits);
            self.orphans.next = self.now.plus_ms(AGAIN_MS);
        }
    }

    /// Where there are control groups: those whose end could not be watched, for want of something.
    #[inline(never)]
    fn look_unwatched(&mut self) {
        self.orphans.next = self.now.plus_ms(AGAIN_MS);
        for at in 0..self.slots.len() {
            if core::mem::take(&mut self.slots[at].left) != Left::Nothing {
                self.orphans.waiting -= 1;
                let slot = SlotId(at as u32);
                if !self.look_for_rest(slot) && self.record(slot).rest {
                    self.kill_group_of(slot, true);
                }
            }
        }
    }

    fn turn_sought(&mut self, to: Left) {
        for private in self.slots.iter_mut().filter(|private| private.left == Left::Sought) {
            private.left = to;
        }
        self.orphans.news = true;
    }

    /// `pintle-sweep` has ended. Whom it has not come to in its time is sought again as long as it gets on.
    pub(super) fn sweeper_ended(&mut self, exit: Exit) {
        self.orphans.sweeper = 0;
        self.held.put_word(SWEEPER_PID, 0);
        let hangs = self.orphans.due == Instant::NEVER && !self.orphans.helps;
        if exit == Exit::Code(0) || hangs {
            return self.turn_sought(Left::Swept);
        }
        self.turn_sought(Left::Waits);
        if self.orphans.due != Instant::NEVER {
            self.orphans.next = self.now.plus_ms(AGAIN_MS); // it could not look
        }
    }

    /// After a crash: nobody waits for it any more, and it is not to meet what is started next.
    pub(super) fn end_sweeper(&mut self) {
        let pid = self.held.word(SWEEPER_PID);
        if pid != 0 && reap::look(pid) == reap::Child::Alive {
            self.pids.insert(pid, Owner::Sweeper);
            self.orphans.sweeper = pid;
            let _ = signals::send(Target::Process(pid), SIGKILL);
        }
    }

    /// Whether the slot has left anybody. `alone`: no process of it is known.
    pub(super) fn take_over_orphans(&mut self, taken: &mut Slot<'_>, slot: SlotId, alone: bool) {
        if alone && taken.row.state.has_process() {
            self.remember_instance(slot);
            step(taken, Input::Occupied); // it will be seen
        }
    }

    /// The slot's service, as its mark says it.
    pub(super) fn name_of(&self, slot: SlotId) -> Name {
        let image = &self.common.image;
        let mut name = Name::new();
        let instance = slot.0.checked_sub(image.services()).and_then(|at| self.instances.get(at as usize));
        let service = self.definition(slot).map_or("", |definition| image.name(definition));
        for part in [service.as_bytes(), instance.map_or(&[], |name| before(&name[4..], 0))] {
            let _ = name.extend_from_slice(part); // `Name` has room for all
        }
        name
    }
}
