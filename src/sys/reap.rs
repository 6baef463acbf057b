//! Deaths of children, in two steps so that none is lost: [`peek`] (WNOWAIT), write it down, then [`reap`].

use super::{Errno, Result, raw};

/// How a process ended. See waitid(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It called exit with this status, 0 to 255.
    Exited(u8),
    /// A signal ended it; `core` says whether it left a core file.
    Killed { signal: u8, core: bool },
}

/// A child that has ended and is not yet reaped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Death {
    pub pid: u32,
    pub outcome: Outcome,
}

/// What became of one child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Child {
    /// It runs.
    Alive,
    /// It has ended and waits to be reaped (or has just been reaped, by [`reap`]).
    Ended(Outcome),
    /// There is no such child.
    Unknown,
}

const P_ALL: usize = 0;
const P_PID: usize = 1;
const WNOHANG: usize = 1;
const WEXITED: usize = 4;
const WNOWAIT: usize = 0x0100_0000;
const WALL: usize = 0x4000_0000;

/// The next child that has ended, left in place; none if no child has ended or there is no child.
pub fn peek() -> Option<Death> {
    wait(P_ALL, 0, WNOWAIT).ok().flatten()
}

/// Looks at one child without reaping it.
pub fn look(pid: u32) -> Child {
    child(wait(P_PID, pid, WNOWAIT))
}

/// Whether there is any child, alive or not reaped.
pub fn has_children() -> bool {
    wait(P_ALL, 0, WNOWAIT).is_ok()
}

/// Removes one child that has ended; its pid is free for reuse from here on.
pub fn reap(pid: u32) -> Child {
    child(wait(P_PID, pid, 0))
}

fn child(answer: Result<Option<Death>>) -> Child {
    match answer {
        Ok(Some(death)) => Child::Ended(death.outcome),
        Ok(None) => Child::Alive,
        Err(_) => Child::Unknown, // ECHILD; EINVAL is a pid of 0
    }
}

fn wait(kind: usize, pid: u32, flags: usize) -> Result<Option<Death>> {
    // siginfo_t: 128 bytes; signo, errno and code as ints, then (aligned to a word) pid, uid and status.
    let mut info = [0usize; 128 / size_of::<usize>()];
    let options = WEXITED | WNOHANG | WALL | flags;
    // SAFETY: `info` has room for a siginfo_t and is aligned for it; no resource usage is asked for.
    unsafe { raw::call(raw::nr::WAITID, kind, pid as usize, info.as_mut_ptr() as usize, options, 0)? };
    // SAFETY: plain bytes, read as the ints that they are.
    let ints: &[i32; 32] = unsafe { &*info.as_ptr().cast() };
    let at = if cfg!(target_pointer_width = "64") { 4 } else { 3 };
    let (code, pid, status) = (ints[2], ints[at], ints[at + 2]);
    if pid == 0 {
        return Ok(None);
    }
    let outcome = match code {
        1 => Outcome::Exited(status as u8),                                 // CLD_EXITED
        2 | 3 => Outcome::Killed { signal: status as u8, core: code == 3 }, // CLD_KILLED, CLD_DUMPED
        _ => return Err(Errno::INVAL),                                      // WEXITED brings no other
    };
    Ok(Some(Death { pid: pid as u32, outcome }))
}
