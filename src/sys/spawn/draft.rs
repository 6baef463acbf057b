//! Putting a child's arguments, environment and plan into the memory of its stack.
//!
//! Layout of an area, from the top down: the vector of pointers (arguments, null, environment, null; it grows up from
//! a fixed place), copied text (grows down from there), the task with its groups, limits and moves, then the stack.
//! Neighbours on purpose: a child touches one or two pages in all.

use super::child::{Move, PASSES_MAX, PID_DIGITS, Task};
use super::stacks::{AREA_BYTES, STACK_BYTES_MIN};
use super::{Errno, LOW_END, Pending, Result, Spawner, low_of};
use crate::sys::pipe;
use core::ffi::CStr;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::AtomicU32;
use heapless::Vec;
use pintle::limits::{ARGUMENTS_MAX, GROUPS_MAX};
use rustix::fd::{AsRawFd, BorrowedFd};

/// Pointers in a vector: arguments and environment of `ARGUMENTS_MAX` each, and a null behind both.
const POINTERS: usize = 2 * (ARGUMENTS_MAX + 1);
const POINTER_BYTES: usize = POINTERS * size_of::<*const u8>();

/// Resource limits that can be set for one child: there are sixteen in all.
const LIMITS_MAX: usize = 16;

/// NUL-terminated text that a child can see. Valid for the draft that made it, and for ever if by `Text::lasting`.
#[derive(Clone, Copy, Debug)]
pub struct Text(NonNull<u8>);

impl Text {
    /// Text that stays where it is, such as in a mapped database: not copied.
    pub const fn lasting(text: &'static CStr) -> Text {
        match NonNull::new(text.as_ptr().cast_mut().cast()) {
            Some(text) => Text(text),
            None => Text(NonNull::dangling()), // no reference is null
        }
    }

    pub(super) fn as_ptr(self) -> *const u8 {
        self.0.as_ptr()
    }
}

/// Why a draft cannot take more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// More than `ARGUMENTS_MAX` arguments or variables, or an argument after the first variable.
    TooMany,
    /// All text together is longer than some 40 KB.
    TooLong,
}

/// One descriptor that the child gets: `source` of ours as its number `target`. Numbers 0 to 2 that no pass names are
/// inherited; everything else is closed.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    pub source: BorrowedFd<'a>,
    pub target: i32,
}

/// One resource limit. Numbers as in getrlimit(2) of this architecture; `u64::MAX` is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
    pub resource: u32,
}

/// A path to look for, and where it leads if it is missing (first) or there: to the look of this index, to `GOES_ON`,
/// or to `FAILS` and, in its low bits, an errno to tell, not 0.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub path: Text,
    pub then: [u32; 2],
}

/// The child goes on.
pub const GOES_ON: u32 = u32::MAX;
/// The child tells `Step::Look` and ends.
pub const FAILS: u32 = 1 << 31;

/// What a child is to be. Always: no signal blocked and none with a handler, a session of its own. What the caller
/// ignores stays ignored: see `signals::reset_all`.
#[derive(Clone, Copy, Default)]
pub struct Plan<'a> {
    /// The program file; required. No search along PATH.
    pub program: Option<Text>,
    /// Where it runs, tried with our rights first, then with its own. None: where we are.
    pub directory: Option<Text>,
    /// Its root directory (chroot), entered before `directory`.
    pub root: Option<Text>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Supplementary groups; `Some(&[])` drops all, None keeps ours. At most `GROUPS_MAX`.
    pub groups: Option<&'a [u32]>,
    /// Paths that the child looks for, with our rights, before anything else that it does for its program: at the first
    /// one, then where that leads.
    pub looks: &'a [Look],
    /// At most 16.
    pub limits: &'a [Limit],
    /// At most `PASSES_MAX`; no target twice.
    pub descriptors: &'a [Pass<'a>],
    pub umask: Option<u32>,
    /// -20 (much time) to 19 (little).
    pub nice: Option<i32>,
    pub no_new_privileges: bool,
    /// Makes descriptor 0, a terminal, the session's controlling one.
    pub controlling_terminal: bool,
    /// Do not copy our descriptor table: for a parent with many. Needs `Spawner::reserve_low_descriptors`; where that
    /// was not done, or too many descriptors are passed, the table is copied all the same.
    pub share_descriptors: bool,
    /// The program is a chain-loader: the status pipe stays open in it under this number (no pass's target), so that
    /// the news are those of the program that it executes in the end.
    pub status_target: Option<i32>,
    /// The control group that it is in from its first instruction on; none: ours. It shares our memory there until it
    /// executes, so there is to be no limit of memory that it could meet. Only where `cgroup::can_clone_into`.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Nobody has to be woken when it executes or fails before that: its news are there at the next look. It has no
    /// status pipe then, where it has a stack and none of `share_descriptors` and `status_target` is asked for.
    pub quiet: bool,
}

/// A child being described. Without `spawn`, it never was; after it there is nothing more to describe. What does not
/// fit refuses the whole draft.
pub struct Draft<'s> {
    spawner: &'s mut Spawner,
    index: Option<usize>,
    vector: *mut *const u8,
    /// Pointers in the vector, nulls included.
    count: usize,
    /// Where the environment begins in the vector, once it has.
    environment_at: Option<usize>,
    /// Lowest byte in use.
    low: *mut u8,
    floor: *mut u8,
    /// Where the child is to write its pid.
    own_pid: Option<NonNull<u8>>,
    refused: Option<Refused>,
}

impl<'s> Draft<'s> {
    pub(super) fn new(spawner: &'s mut Spawner, index: Option<usize>) -> Draft<'s> {
        let top = spawner.stacks.top(index);
        // SAFETY: within the area, which is `AREA_BYTES` long and page-aligned.
        let (vector, floor) = unsafe { (top.sub(POINTER_BYTES), top.sub(AREA_BYTES - STACK_BYTES_MIN)) };
        Draft {
            spawner,
            index,
            vector: vector.cast(),
            count: 0,
            environment_at: None,
            low: vector,
            floor,
            own_pid: None,
            refused: None,
        }
    }

    /// Copies text, put together from parts, and ends it with NUL.
    pub fn text(&mut self, parts: &[&[u8]]) -> Text {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let Some(start) = self.reserve(length.saturating_add(1), 1) else { return Text::lasting(c"") };
        let mut to = start.as_ptr();
        for part in parts {
            // SAFETY: `reserve` gave room for all parts and the NUL.
            unsafe {
                ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
                to = to.add(part.len());
            }
        }
        // SAFETY: as above.
        unsafe { to.write(0) };
        Text(start)
    }

    /// Adds the next argument, beginning with argument 0.
    pub fn argument(&mut self, text: Text) {
        if self.environment_at.is_some() || self.count >= ARGUMENTS_MAX {
            return self.refuse(Refused::TooMany);
        }
        self.push(text.as_ptr());
    }

    /// Adds a variable, `NAME=VALUE`. After all arguments.
    pub fn variable(&mut self, text: Text) {
        self.end_arguments();
        if self.count - self.environment_at.unwrap_or(0) >= ARGUMENTS_MAX {
            return self.refuse(Refused::TooMany);
        }
        self.push(text.as_ptr());
    }

    /// Adds a variable, `NAME=`, whose value is the child's own pid. Once.
    pub fn own_pid(&mut self, name: &[u8]) {
        let text = self.text(&[name, &[0; PID_DIGITS]]);
        if self.refused.is_none() {
            // SAFETY: the name lies there, with room behind it.
            self.own_pid = Some(unsafe { text.0.add(name.len()) });
        }
        self.variable(text);
    }

    /// What it was first that did not fit, if anything did not: nothing will be started.
    pub fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// There is more than the caller can pass.
    pub fn refuse(&mut self, why: Refused) {
        self.refused = self.refused.or(Some(why));
    }

    /// Starts the child. The kernel writes its pid into `pid_word` before the child runs, so that a crash of ours loses
    /// none. It does not wait for the child. Errors: EAGAIN, ENOMEM (no process can be made); EMFILE, ENFILE (no pipe);
    /// EINVAL (no program, or more of something than [`Plan`] allows); E2BIG (no room left for the plan).
    pub fn spawn(&mut self, plan: &Plan<'_>, pid_word: &AtomicU32) -> Result<Pending> {
        self.end_arguments();
        self.push(ptr::null());
        if self.refused.is_some() {
            return Err(Errno::TOOBIG);
        }
        let groups = plan.groups.unwrap_or_default();
        let too_many = groups.len() > GROUPS_MAX || plan.limits.len() > LIMITS_MAX;
        if too_many || plan.descriptors.len() > PASSES_MAX || plan.program.is_none() {
            return Err(Errno::INVAL);
        }
        let plain = !plan.share_descriptors && plan.status_target.is_none();
        let quiet = plan.quiet && plain && self.index.is_some() && !self.spawner.only_fork;
        let (mut status, mut status_of_child, mut status_number) = (None, None, -1);
        if !quiet {
            let (read, write) = pipe::nonblocking()?;
            status_number = write.as_raw_fd();
            (status, status_of_child) = (Some(read), Some(write));
        }
        let (first, mut shared, mut shares) = (self.index.map_or(0, low_of), Vec::new(), false);
        if let (Some(stack), true) = (self.index, plan.share_descriptors) {
            let answer = self.spawner.share(stack, status_number, plan.descriptors, &mut shared);
            shares = answer.inspect_err(|_| self.release_low())?;
        }
        let low = |number| shared.iter().position(|source| *source == number).map_or(number, |at| first + at as i32);
        status_number = low(status_number);
        let mut moves: Vec<Move, { PASSES_MAX + 1 }> = Vec::new();
        for pass in plan.descriptors {
            let _ = moves.push(Move { source: low(pass.source.as_raw_fd()), target: pass.target }); // asked above
        }
        if let Some(target) = plan.status_target {
            let _ = moves.push(Move { source: status_number, target }); // one more than passes
        }
        let answer = self.start(plan, &moves, status_number, shares, pid_word);
        if answer.is_err() {
            self.release_low();
        }
        // Our end of the child's pipe closes here; the low one, if there is one, when the child has its own table.
        drop(status_of_child);
        let owned = self.index.map_or((u32::MAX, 0), |stack| (stack as u32, self.spawner.owner[stack]));
        Ok(Pending { pid: answer?, status, owned })
    }

    /// Copies the plan to the child's stack and makes the child.
    #[inline(always)]
    fn start(
        &mut self,
        plan: &Plan<'_>,
        moves: &[Move],
        status: i32,
        shares: bool,
        pid_word: &AtomicU32,
    ) -> Result<u32> {
        let task = Task {
            plan: *plan,
            arguments: self.vector,
            // SAFETY: within the vector.
            environment: unsafe { self.vector.add(self.environment_at.unwrap_or(0)) },
            moves: ptr::null_mut(),
            move_count: moves.len(),
            own_pid: self.own_pid,
            status,
            left: self.spawner.stacks.words(self.index),
            unshare_from: if shares { LOW_END } else { 0 },
        };
        // SAFETY: the copies go to the child with its task, and the area is given back when it is gone or never was.
        unsafe {
            if let Some(task) = self.copy(slice::from_ref(&task)).first_mut() {
                task.moves = self.copy(moves).as_mut_ptr();
                task.plan.limits = self.copy(plan.limits);
                task.plan.looks = self.copy(plan.looks);
                task.plan.groups = plan.groups.map(|groups| &*self.copy(groups));
                let top = self.low as usize & !63;
                if self.refused.is_none() {
                    return self.spawner.start(self.index, task, top, pid_word);
                }
            }
        }
        Err(Errno::TOOBIG)
    }

    fn release_low(&mut self) {
        self.index.into_iter().for_each(|stack| self.spawner.release_low(stack));
    }

    fn end_arguments(&mut self) {
        if self.environment_at.is_none() {
            self.push(ptr::null());
            self.environment_at = Some(self.count);
        }
    }

    #[inline(never)]
    fn push(&mut self, text: *const u8) {
        if self.count >= POINTERS {
            return self.refuse(Refused::TooMany);
        }
        // SAFETY: the vector has room for `POINTERS`.
        unsafe { self.vector.add(self.count).write(text) };
        self.count += 1;
    }

    fn reserve(&mut self, bytes: usize, align: usize) -> Option<NonNull<u8>> {
        let room = self.low as usize - self.floor as usize;
        let waste = (self.low as usize).wrapping_sub(bytes) % align;
        if bytes > room || bytes + waste > room {
            self.refuse(Refused::TooLong);
            return None;
        }
        // SAFETY: that many bytes are free between `floor` and `low`.
        self.low = unsafe { self.low.sub(bytes + waste) };
        NonNull::new(self.low)
    }

    /// A copy in the area; empty, and the draft refused, where there is no room.
    ///
    /// # Safety
    ///
    /// What it gives is used by the child, or before the area is given back.
    unsafe fn copy<'c, T: Copy>(&mut self, items: &[T]) -> &'c mut [T] {
        let to = self.copy_bytes(items.as_ptr().cast(), size_of_val(items), align_of::<T>());
        // SAFETY: aligned, so many, and just written; no two reservations overlap.
        to.map_or(&mut [], |to| unsafe { slice::from_raw_parts_mut(to.cast().as_ptr(), items.len()) })
    }

    #[inline(never)]
    fn copy_bytes(&mut self, from: *const u8, bytes: usize, align: usize) -> Option<NonNull<u8>> {
        let to = self.reserve(bytes, align)?;
        // SAFETY: `reserve` gave the room, aligned; `copy` has so many bytes of plain data there.
        unsafe { ptr::copy_nonoverlapping(from, to.as_ptr(), bytes) };
        Some(to)
    }
}
