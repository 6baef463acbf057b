//! What runs in the child, from the stub to exec: on a small stack, beside a parent whose memory it shares.
//!
//! So here there is nothing but raw system calls on plain data: no libc (it would write the parent's errno and take its
//! locks), no allocation, nothing that can panic, no store outside the own stack and its words. All of it is undone for
//! the parent by not being shared: dispositions, mask, descriptors, directory, limits and credentials are the child's
//! own. Handlers of the fatal signals, the only ones there are, stay until exec takes them away: they report, and end the
//! process that they run in.

use super::draft::{FAILS, GOES_ON, Look, Plan};
use super::stacks::Words;
use super::step::Step;
use crate::sys::raw::{nr, syscall};
use crate::sys::signals::{KERNEL_SET_BYTES, SIG_SETMASK, SignalSet};
use core::ptr::NonNull;
use core::sync::atomic::Ordering;
use pintle::limits::STORED_MAX;

/// Descriptors that one child can be given.
pub const PASSES_MAX: usize = 4 + STORED_MAX;

/// The most that a pid has.
pub const PID_DIGITS: usize = 10;

/// Everything that the child does. Plain data in the memory of its stack, the plan's slices too.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    pub plan: Plan<'a>,
    pub arguments: *const *const u8,
    pub environment: *const *const u8,
    pub moves: *mut Move,
    pub move_count: usize,
    /// Where its own pid is to stand: `PID_DIGITS` bytes and a NUL, in the memory of its stack.
    pub own_pid: Option<NonNull<u8>>,
    /// The write end of the status pipe, -1 if there is none. With `unshare_from`, the first of the stack's own low
    /// numbers.
    pub status: i32,
    /// The words of the stack, where a child without a pipe leaves what it has to tell.
    pub left: *const Words,
    /// Not 0: the descriptor table is still the parent's; a copy of what is below this number is to become ours.
    pub unshare_from: i32,
}

/// One descriptor to put somewhere else.
#[derive(Clone, Copy)]
pub struct Move {
    pub source: i32,
    pub target: i32,
}

const F_DUPFD_CLOEXEC: usize = 1030;
const F_SETFD: usize = 2;
const FD_CLOEXEC: usize = 1;
const CLOSE_RANGE_UNSHARE: usize = 2;
const CLOSE_RANGE_CLOEXEC: usize = 4;
const TIOCSCTTY: usize = 0x540e;
const PR_SET_NO_NEW_PRIVS: usize = 38;
const EACCES: isize = 13;
const AT_FDCWD: usize = -100_isize as usize;
const F_OK: usize = 0;
const EXIT_STATUS: usize = 111;

/// The child: what it does, and where it tells that it cannot.
struct Child<'a> {
    task: &'a Task<'a>,
    /// Follows the pipe where it moves.
    status: i32,
}

/// Where the child begins. `task` is the address of a `Task`.
pub extern "C" fn run(task: usize) -> ! {
    // SAFETY: `Draft::spawn` passes a task in the memory of this stack, which nobody else touches while we run.
    unsafe {
        let task = &*(task as *const Task<'_>);
        Child { task, status: task.status }.follow()
    }
}

/// A number in decimal, with a NUL behind it.
unsafe fn put_digits(mut number: u32, place: NonNull<u8>) {
    let (mut count, mut rest) = (1_usize, number / 10);
    while rest > 0 {
        (count, rest) = (count.wrapping_add(1), rest / 10);
    }
    // SAFETY: there is room for so many digits; see `Task::own_pid`.
    unsafe {
        place.add(count).write(0);
        while count > 0 {
            count = count.wrapping_sub(1);
            place.add(count).write(b'0' | (number % 10) as u8);
            number /= 10;
        }
    }
}

impl Child<'_> {
    /// Tells the parent. Eight bytes into an empty pipe: at once, and in one piece.
    unsafe fn tell(&self, step: u32, errno: u32) {
        let record = [step, errno];
        // SAFETY: the record outlives the call.
        unsafe { syscall(nr::WRITE, self.status as usize, record.as_ptr() as usize, 8, 0, 0) };
    }

    /// The end: it tells where, and why.
    #[inline(never)]
    unsafe fn fail(&self, step: u32, errno: u32) -> ! {
        // SAFETY: the two words are there for it; see `stacks::Words`.
        unsafe {
            // Volatile: else each caller of a step passes both of our fields, 150 bytes of code in all.
            if (&raw const self.status).read_volatile() < 0 {
                let left = &*self.task.left;
                left.errno.store(errno, Ordering::Relaxed);
                left.step.store(step, Ordering::Relaxed); // last: killed in between, it has told nothing
            } else {
                self.tell(step, errno);
            }
            loop {
                syscall(nr::EXIT_GROUP, EXIT_STATUS, 0, 0, 0, 0);
            }
        }
    }

    /// What a system call has answered; an error is the end.
    unsafe fn check(&self, step: u32, answer: isize) -> usize {
        if (-4095..0).contains(&answer) {
            // SAFETY: no memory of anybody else's is involved.
            unsafe { self.fail(step, answer.wrapping_neg() as u32) };
        }
        answer as usize
    }

    /// One system call as a step, with three arguments and zeros behind them. Where it fails, that is the end.
    #[inline(never)]
    unsafe fn take(&self, step: Step, number: usize, a: usize, b: usize, c: usize) -> usize {
        // SAFETY: the caller's.
        unsafe { self.check(step as u32, syscall(number, a, b, c, 0, 0)) }
    }

    /// Everything, in the order of `Step`.
    unsafe fn follow(mut self) -> ! {
        let task = self.task;
        let plan = &task.plan;
        // SAFETY: every pointer of the task is valid for the calls; see `run`.
        unsafe {
            if task.unshare_from != 0 {
                self.unshare();
            }
            let pid = self.take(Step::Session, nr::SETSID, 0, 0, 0); // the session has the number of its leader
            if let Some(place) = task.own_pid {
                put_digits(pid as u32, place);
            }
            self.descriptors();
            self.look(plan.looks);
            if plan.controlling_terminal {
                self.take(Step::Terminal, nr::IOCTL, 0, TIOCSCTTY, 0);
            }
            for limit in plan.limits {
                let values = &raw const *limit as usize; // soft and hard come first, as in struct rlimit64
                let answer = syscall(nr::PRLIMIT64, 0, limit.resource as usize, values, 0, 0);
                self.check(Step::Limits.at(limit.resource.wrapping_add(1) as u8), answer);
            }
            if let Some(nice) = plan.nice {
                self.take(Step::Nice, nr::SETPRIORITY, 0, 0, nice as usize);
            }
            if let Some(umask) = plan.umask {
                syscall(nr::UMASK, umask as usize, 0, 0, 0, 0); // cannot fail
            }
            if let Some(root) = plan.root {
                self.take(Step::Root, nr::CHROOT, root.as_ptr() as usize, 0, 0);
                self.take(Step::Root, nr::CHDIR, c"/".as_ptr() as usize, 0, 0);
            }
            // First with the parent's rights; where even root may not (a network file system), with the child's.
            let mut directory = plan.directory.map_or(0, |directory| directory.as_ptr() as usize);
            if directory != 0 {
                let answer = syscall(nr::CHDIR, directory, 0, 0, 0, 0);
                if answer != -EACCES || plan.uid.is_none() {
                    self.check(Step::Directory as u32, answer);
                    directory = 0;
                }
            }
            if plan.no_new_privileges {
                self.take(Step::NoNewPrivileges, nr::PRCTL, PR_SET_NO_NEW_PRIVS, 1, 0);
            }
            if let Some(groups) = plan.groups {
                self.take(Step::Groups, nr::SETGROUPS, groups.len(), groups.as_ptr() as usize, 0);
            }
            if let Some(gid) = plan.gid {
                self.take(Step::Group, nr::SETRESGID, gid as usize, gid as usize, gid as usize);
            }
            if let Some(uid) = plan.uid {
                self.take(Step::User, nr::SETRESUID, uid as usize, uid as usize, uid as usize);
            }
            if directory != 0 {
                self.take(Step::Directory, nr::CHDIR, directory, 0, 0);
            }
            let nothing_blocked = SignalSet::EMPTY.words();
            syscall(nr::RT_SIGPROCMASK, SIG_SETMASK, nothing_blocked.as_ptr() as usize, 0, KERNEL_SET_BYTES, 0);
            let (arguments, environment) = (task.arguments as usize, task.environment as usize);
            let program = plan.program.map_or(0, |program| program.as_ptr() as usize); // `Draft::spawn` refuses none
            let errno = self.take(Step::Execute, nr::EXECVE, program, arguments, environment);
            self.fail(Step::Execute as u32, errno as u32) // never
        }
    }

    /// From look to look. A path on a dead network file system holds up nobody but us.
    unsafe fn look(&self, looks: &[Look]) {
        let mut at = 0;
        while let Some(look) = looks.get(at as usize) {
            let path = look.path.as_ptr() as usize;
            // SAFETY: NUL-terminated text; see `Text`.
            let missing = unsafe { syscall(nr::FACCESSAT, AT_FDCWD, path, F_OK, 0, 0) } != 0;
            at = if missing { look.then[0] } else { look.then[1] };
        }
        if at & FAILS != 0 && at != GOES_ON {
            // SAFETY: the caller's.
            unsafe { self.fail(Step::Look as u32, at & !FAILS) };
        }
    }

    /// Makes the descriptor table our own, then closes what the low numbers hold of other children: a pipe of theirs
    /// that we kept open would not end for its reader.
    unsafe fn unshare(&self) {
        let (all, first) = (u32::MAX as usize, self.status as usize);
        let behind = first.wrapping_add(super::LOW_PER_STACK as usize);
        // SAFETY: no memory is involved.
        unsafe {
            self.take(Step::Unshare, nr::CLOSE_RANGE, self.task.unshare_from as usize, all, CLOSE_RANGE_UNSHARE);
            self.tell(Step::Unshared as u32, 0);
            if first > super::LOW_FIRST as usize {
                self.take(Step::Unshare, nr::CLOSE_RANGE, super::LOW_FIRST as usize, first.wrapping_sub(1), 0);
            }
            self.take(Step::Unshare, nr::CLOSE_RANGE, behind, all, 0);
        }
    }

    /// Puts descriptors in place; everything else above 2 closes at exec.
    unsafe fn descriptors(&mut self) {
        // SAFETY: the moves lie in the memory of our stack, and nobody else has them; see `run`.
        unsafe {
            let moves = core::slice::from_raw_parts_mut(self.task.moves, self.task.move_count);
            let mut free = 3;
            for to in moves.iter() {
                if to.target >= free {
                    free = to.target.wrapping_add(1);
                }
            }
            // What stands where something else is to go moves out of the way first, above all targets.
            for at in 0..moves.len() {
                let Some(Move { source, target }) = moves.get(at).copied() else { break };
                let moved = if source == target { source } else { self.moved_up(moves, source, free) };
                if let Some(place) = moves.get_mut(at) {
                    place.source = moved;
                }
            }
            self.status = self.moved_up(moves, self.status, free);
            self.mark_all_close_on_exec();
            for to in moves.iter() {
                let (source, target) = (to.source as usize, to.target as usize);
                if source == target {
                    self.take(Step::Descriptors, nr::FCNTL, source, F_SETFD, 0);
                } else {
                    self.take(Step::Descriptors, nr::DUP3, source, target, 0);
                }
            }
        }
    }

    /// Where a descriptor is from now on: as it was, or from `free` on if something is to go to its number.
    #[inline(never)]
    unsafe fn moved_up(&self, moves: &[Move], number: i32, free: i32) -> i32 {
        for to in moves {
            if to.target == number {
                // SAFETY: no memory is involved.
                let moved =
                    unsafe { self.take(Step::Descriptors, nr::FCNTL, number as usize, F_DUPFD_CLOEXEC, free as usize) };
                return moved as i32;
            }
        }
        number
    }

    /// In one call; where a sandbox does not know it, one by one as far as the limit of descriptors goes.
    unsafe fn mark_all_close_on_exec(&self) {
        // SAFETY: no memory is involved but the limit, which outlives the call.
        unsafe {
            let marked = syscall(nr::CLOSE_RANGE, 3, u32::MAX as usize, CLOSE_RANGE_CLOEXEC, 0, 0);
            const RLIMIT_NOFILE: usize = 7; // the same on every architecture that we have
            let mut limit = [0u64; 2];
            if marked == 0
                || self.task.unshare_from != 0
                || syscall(nr::PRLIMIT64, 0, RLIMIT_NOFILE, 0, limit.as_mut_ptr() as usize, 0) != 0
            {
                self.check(Step::Descriptors as u32, marked);
                return;
            }
            let mut number = 3;
            while number < limit[0] && number < 1 << 20 {
                syscall(nr::FCNTL, number as usize, F_SETFD, FD_CLOEXEC, 0, 0); // EBADF where nothing is open
                number = number.wrapping_add(1);
            }
        }
    }
}
