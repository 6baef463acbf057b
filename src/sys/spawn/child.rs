//! What runs in the child, from the stub to exec: on a small stack, beside a parent whose memory it shares.
//!
//! So here there is nothing but raw system calls on plain data: no libc (it would write the parent's errno and take its
//! locks), no allocation, nothing that can panic, no store outside the own stack. All of it is undone for the parent by
//! not being shared: dispositions, mask, descriptors, directory, limits and credentials are the child's own.

use super::draft::{FAILS, GOES_ON, Look, Plan, Text};
use super::step::Step;
use crate::sys::raw::{nr, syscall};
use crate::sys::signals::{KERNEL_SET_BYTES, SIG_SETMASK, SignalSet};

/// Descriptors that one child can be given.
pub const PASSES_MAX: usize = 16;

/// Everything that the child does. Plain data in the memory of its stack, the plan's slices too.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    pub plan: &'a Plan<'a>,
    pub arguments: *const *const u8,
    pub environment: *const *const u8,
    pub moves: *mut Move,
    pub move_count: usize,
    /// The write end of the status pipe. With `unshare_from`, the first of the stack's own low numbers.
    pub status: i32,
    /// Not 0: the descriptor table is still the parent's; a copy of what is below this number is to become ours.
    pub unshare_from: i32,
    /// Bit N-1: signal N is not at its default.
    pub signals_changed: u64,
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
const EACCES: i32 = 13;
const AT_FDCWD: usize = -100_isize as usize;
const F_OK: usize = 0;
const EXIT_STATUS: usize = 111;

/// A step and the errno with which it failed.
struct Failure(Step, i32);

/// Where the child begins. `task` is the address of a `Task`.
pub extern "C" fn run(task: usize) -> ! {
    // SAFETY: `Draft::spawn` passes a task in the memory of this stack, which nobody else touches while we run.
    unsafe {
        let task = &*(task as *const Task<'_>);
        let mut status = task.status;
        // `follow` returns only with a failure.
        if let Err(Failure(step, errno)) = follow(task, &mut status) {
            tell(status, step, errno);
        }
        loop {
            syscall(nr::EXIT_GROUP, EXIT_STATUS, 0, 0, 0, 0);
        }
    }
}

/// Tells the parent. Eight bytes into an empty pipe: at once, and in one piece.
unsafe fn tell(status: i32, step: Step, errno: i32) {
    let record = [step as u32, errno as u32];
    // SAFETY: the record outlives the call.
    unsafe { syscall(nr::WRITE, status as usize, record.as_ptr() as usize, 8, 0, 0) };
}

/// One system call as a step, with three arguments and zeros behind them.
#[inline(never)]
unsafe fn take(step: Step, number: usize, a: usize, b: usize, c: usize) -> Result<usize, Failure> {
    // SAFETY: the caller's.
    match unsafe { syscall(number, a, b, c, 0, 0) } {
        error if (-4095..0).contains(&error) => Err(Failure(step, error.wrapping_neg() as i32)),
        value => Ok(value as usize),
    }
}

/// Everything, in the order of `Step`. `status` follows the pipe where it moves.
unsafe fn follow(task: &Task<'_>, status: &mut i32) -> Result<(), Failure> {
    // SAFETY: every pointer of the task is valid for the calls; see `run`.
    unsafe {
        reset_handlers(task.signals_changed);
        if task.unshare_from != 0 {
            unshare(task, *status)?;
        }
        take(Step::Session, nr::SETSID, 0, 0, 0)?;
        descriptors(task, status)?;
        let plan = task.plan;
        look(plan.looks)?;
        if plan.controlling_terminal {
            take(Step::Terminal, nr::IOCTL, 0, TIOCSCTTY, 0)?;
        }
        for limit in plan.limits {
            let values = &raw const *limit as usize; // soft and hard come first, as in struct rlimit64
            take(Step::Limits, nr::PRLIMIT64, 0, limit.resource as usize, values)?;
        }
        if let Some(nice) = plan.nice {
            take(Step::Nice, nr::SETPRIORITY, 0, 0, nice as usize)?;
        }
        if let Some(umask) = plan.umask {
            syscall(nr::UMASK, umask as usize, 0, 0, 0, 0); // cannot fail
        }
        if let Some(root) = plan.root {
            take(Step::Root, nr::CHROOT, root.as_ptr() as usize, 0, 0)?;
            take(Step::Root, nr::CHDIR, c"/".as_ptr() as usize, 0, 0)?;
        }
        // First with the parent's rights; where even root may not (a network file system), with the child's.
        let entered = match enter(plan.directory) {
            Err(Failure(_, EACCES)) if plan.uid.is_some() => false,
            other => other.map(|()| true)?,
        };
        if plan.no_new_privileges {
            take(Step::NoNewPrivileges, nr::PRCTL, PR_SET_NO_NEW_PRIVS, 1, 0)?;
        }
        if let Some(groups) = plan.groups {
            take(Step::Groups, nr::SETGROUPS, groups.len(), groups.as_ptr() as usize, 0)?;
        }
        if let Some(gid) = plan.gid {
            take(Step::Group, nr::SETRESGID, gid as usize, gid as usize, gid as usize)?;
        }
        if let Some(uid) = plan.uid {
            take(Step::User, nr::SETRESUID, uid as usize, uid as usize, uid as usize)?;
        }
        if !entered {
            enter(plan.directory)?;
        }
        let nothing_blocked = SignalSet::EMPTY.words();
        syscall(nr::RT_SIGPROCMASK, SIG_SETMASK, nothing_blocked.as_ptr() as usize, 0, KERNEL_SET_BYTES, 0);
        let (arguments, environment) = (task.arguments as usize, task.environment as usize);
        let program = plan.program.map_or(0, |program| program.as_ptr() as usize); // `Draft::spawn` refuses none
        take(Step::Execute, nr::EXECVE, program, arguments, environment)?;
    }
    Ok(())
}

/// From look to look. A path on a dead network file system holds up nobody but us.
unsafe fn look(looks: &[Look]) -> Result<(), Failure> {
    let mut at = 0;
    while let Some(look) = looks.get(at as usize) {
        let path = look.path.as_ptr() as usize;
        // SAFETY: NUL-terminated text; see `Text`.
        let missing = unsafe { syscall(nr::FACCESSAT, AT_FDCWD, path, F_OK, 0, 0) } != 0;
        at = if missing { look.then[0] } else { look.then[1] };
    }
    if at & FAILS != 0 && at != GOES_ON { Err(Failure(Step::Look, (at & !FAILS) as i32)) } else { Ok(()) }
}

unsafe fn enter(directory: Option<Text>) -> Result<(), Failure> {
    if let Some(directory) = directory {
        // SAFETY: NUL-terminated text; see `Text`.
        unsafe { take(Step::Directory, nr::CHDIR, directory.as_ptr() as usize, 0, 0)? };
    }
    Ok(())
}

/// Handlers first: they are the parent's functions. (Exec would reset handlers, but not what is ignored.)
unsafe fn reset_handlers(mut changed: u64) {
    let default = [0usize; 5]; // the longest kernel sigaction there is: SIG_DFL, no flags, no restorer, empty mask
    while changed != 0 {
        let signal = changed.trailing_zeros() as usize + 1;
        changed &= changed.wrapping_sub(1);
        // SAFETY: all zeros is a valid action.
        unsafe { syscall(nr::RT_SIGACTION, signal, default.as_ptr() as usize, 0, KERNEL_SET_BYTES, 0) };
    }
}

/// Makes the descriptor table our own, then closes what the low numbers hold of other children: a pipe of theirs that
/// we kept open would not end for its reader.
unsafe fn unshare(task: &Task<'_>, first: i32) -> Result<(), Failure> {
    let all = u32::MAX as usize;
    let (low, high) = (first as usize, (first as usize).wrapping_add(super::LOW_PER_STACK as usize));
    // SAFETY: no memory is involved.
    unsafe {
        take(Step::Unshare, nr::CLOSE_RANGE, task.unshare_from as usize, all, CLOSE_RANGE_UNSHARE)?;
        tell(first, Step::Unshared, 0);
        if low > super::LOW_FIRST as usize {
            take(Step::Unshare, nr::CLOSE_RANGE, super::LOW_FIRST as usize, low.wrapping_sub(1), 0)?;
        }
        take(Step::Unshare, nr::CLOSE_RANGE, high, all, 0)?;
    }
    Ok(())
}

/// Puts descriptors in place; everything else above 2 closes at exec.
unsafe fn descriptors(task: &Task<'_>, status: &mut i32) -> Result<(), Failure> {
    // SAFETY: the moves lie in the memory of our stack; see `run`.
    unsafe {
        let end = task.moves.add(task.move_count);
        let mut free = 3;
        let mut at = task.moves;
        while at != end {
            if (*at).target >= free {
                free = (*at).target.wrapping_add(1);
            }
            at = at.add(1);
        }
        // What stands where something else is to go moves out of the way first, above all targets.
        let mut at = task.moves;
        while at != end {
            if (*at).source != (*at).target && is_target(task, (*at).source) {
                (*at).source = move_up((*at).source, free)?;
            }
            at = at.add(1);
        }
        if is_target(task, *status) {
            *status = move_up(*status, free)?;
        }
        mark_all_close_on_exec(task)?;
        let mut at = task.moves;
        while at != end {
            let (source, target) = ((*at).source as usize, (*at).target as usize);
            if source == target {
                take(Step::Descriptors, nr::FCNTL, source, F_SETFD, 0)?;
            } else {
                take(Step::Descriptors, nr::DUP3, source, target, 0)?;
            }
            at = at.add(1);
        }
    }
    Ok(())
}

/// Whether something is to go to this number.
unsafe fn is_target(task: &Task<'_>, number: i32) -> bool {
    // SAFETY: as in `descriptors`.
    unsafe {
        let end = task.moves.add(task.move_count);
        let mut at = task.moves;
        while at != end {
            if (*at).target == number {
                return true;
            }
            at = at.add(1);
        }
    }
    false
}

unsafe fn move_up(number: i32, free: i32) -> Result<i32, Failure> {
    // SAFETY: no memory is involved.
    let moved = unsafe { take(Step::Descriptors, nr::FCNTL, number as usize, F_DUPFD_CLOEXEC, free as usize)? };
    Ok(moved as i32)
}

/// In one call; where a sandbox does not know it, one by one as far as the limit of descriptors goes.
unsafe fn mark_all_close_on_exec(task: &Task<'_>) -> Result<(), Failure> {
    // SAFETY: no memory is involved but the limit, which outlives the call.
    unsafe {
        let marked = take(Step::Descriptors, nr::CLOSE_RANGE, 3, u32::MAX as usize, CLOSE_RANGE_CLOEXEC);
        if marked.is_ok() || task.unshare_from != 0 {
            return marked.map(|_| ());
        }
        const RLIMIT_NOFILE: usize = 7; // the same on every architecture that we have
        let mut limit = [0u64; 2];
        if syscall(nr::PRLIMIT64, 0, RLIMIT_NOFILE, 0, limit.as_mut_ptr() as usize, 0) != 0 {
            return marked.map(|_| ());
        }
        let mut number = 3;
        while number < limit[0] && number < 1 << 20 {
            syscall(nr::FCNTL, number as usize, F_SETFD, FD_CLOEXEC, 0, 0); // EBADF where nothing is open
            number = number.wrapping_add(1);
        }
    }
    Ok(())
}
