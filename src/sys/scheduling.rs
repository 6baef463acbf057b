//! When and where this process runs, and what of the kernel it sees: ioprio_set(2), sched(7), sched_setaffinity(2),
//! personality(2), PR_SET_TIMERSLACK of prctl(2).

use super::process::Scheduling;
use super::{Errno, Result, raw};
use alloc::vec::Vec;

/// The class, 1 to 3, and the level in it. EPERM: real time takes CAP_SYS_ADMIN.
pub fn set_io_priority(class: u32, level: u32) -> Result<()> {
    const IOPRIO_WHO_PROCESS: usize = 1;
    let priority = (class << 13 | level) as usize;
    // SAFETY: no memory is involved.
    unsafe { raw::call(raw::nr::IOPRIO_SET, IOPRIO_WHO_PROCESS, 0, priority, 0, 0) }.map(drop)
}

/// SCHED_* and the priority, 0 where that is not real time. The nice value stays. EPERM: real time takes CAP_SYS_NICE or
/// RLIMIT_RTPRIO.
pub fn set_scheduler(policy: u32, priority: u32) -> Result<()> {
    let size = size_of::<Scheduling>();
    let mut is = Scheduling::default();
    // SAFETY: the kernel writes at most `size` bytes, and any bytes are numbers.
    unsafe { raw::call(raw::nr::SCHED_GETATTR, 0, &raw mut is as usize, size, 0, 0) }?;
    let to = Scheduling { size: size as u32, policy, priority, nice: is.nice, ..Scheduling::default() };
    // SAFETY: it reads `size` bytes.
    unsafe { raw::call(raw::nr::SCHED_SETATTR, 0, &raw const to as usize, 0, 0, 0) }.map(drop)
}

/// Runs on these processors alone. EINVAL: none of them is there. Allocates.
pub fn set_processors(all: &[u32]) -> Result<()> {
    const BITS: usize = usize::BITS as usize;
    let mut mask = Vec::new();
    for processor in all {
        let at = *processor as usize;
        if at / BITS >= mask.len() {
            mask.resize(at / BITS + 1, 0_usize);
        }
        mask[at / BITS] |= 1 << (at % BITS);
    }
    let bytes = mask.len() * size_of::<usize>();
    // SAFETY: the kernel reads so many bytes.
    unsafe { raw::call(raw::nr::SCHED_SETAFFINITY, 0, bytes, mask.as_ptr() as usize, 0, 0) }.map(drop)
}

/// Sets this bit, too.
pub fn set_personality(bit: u32) -> Result<()> {
    const ASKED: usize = u32::MAX as usize;
    // SAFETY: no memory is involved.
    unsafe {
        let before = raw::call(raw::nr::PERSONALITY, ASKED, 0, 0, 0, 0)?;
        raw::call(raw::nr::PERSONALITY, (before | 1 << bit) as usize, 0, 0, 0, 0).map(drop)
    }
}

/// By how much our waits may be longer.
pub fn set_timer_slack(nanoseconds: u64) -> Result<()> {
    const PR_SET_TIMERSLACK: usize = 29;
    let nanoseconds = usize::try_from(nanoseconds).map_err(|_| Errno::INVAL)?;
    // SAFETY: no memory is involved.
    unsafe { raw::call(raw::nr::PRCTL, PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0) }.map(drop)
}
