//! System calls in our own instructions, and the one thing no libc gives: `clone` onto a stack of our choice.
//!
//! Between clone and exec nothing else may run (no libc wrapper: those write the parent's errno and take its locks).
//! Each architecture gives `syscall` (five arguments at most), `clone_onto` and the numbers in `nr` that differ.

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "x86", path = "x86.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
#[cfg_attr(target_arch = "arm", path = "arm.rs")]
#[cfg_attr(target_arch = "riscv64", path = "riscv64.rs")]
#[cfg_attr(target_arch = "powerpc64", path = "powerpc64.rs")]
#[cfg_attr(target_arch = "s390x", path = "s390x.rs")]
mod arch;

use super::{Errno, OwnedFd, Result};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
pub use arch::clone3_onto;
#[cfg(target_arch = "x86_64")]
pub use arch::restorer;
#[cfg(not(test))]
pub use arch::trap;
pub use arch::{clone_onto, syscall};
use rustix::fd::FromRawFd;

/// Numbers of system calls. Those above 402 are the same everywhere.
pub mod nr {
    pub use super::arch::nr::*;
    pub const PIDFD_SEND_SIGNAL: usize = 424;
    pub const OPEN_TREE: usize = 428;
    pub const MOVE_MOUNT: usize = 429;
    pub const PIDFD_OPEN: usize = 434;
    pub const CLONE3: usize = 435;
    pub const CLOSE_RANGE: usize = 436;
    pub const EPOLL_PWAIT2: usize = 441;
    pub const MOUNT_SETATTR: usize = 442;
}

/// Whether there is `clone3_onto`.
pub const HAS_CLONE3: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"));

/// `clone3` where there is no stub for it.
///
/// # Safety
/// It does nothing.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub unsafe fn clone3_onto(_: &CloneArguments, _: extern "C" fn(usize) -> !, _: usize) -> isize {
    -38 // ENOSYS
}

/// struct clone_args of clone3(2).
#[repr(C)]
pub struct CloneArguments {
    pub flags: u64,
    pub pidfd: u64,
    pub child_tid: u64,
    pub parent_tid: u64,
    pub exit_signal: u64,
    /// The lowest address, not the top.
    pub stack: u64,
    pub stack_size: u64,
    pub tls: u64,
    pub set_tid: u64,
    pub set_tid_size: u64,
    pub cgroup: u64,
}

pub const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
pub const CLONE_VM: usize = 0x100;
pub const CLONE_FILES: usize = 0x400;
pub const CLONE_PARENT_SETTID: usize = 0x0010_0000;
pub const CLONE_CHILD_CLEARTID: usize = 0x0020_0000;

/// The kernel's answer as a result: values from -4095 to -1 are errors.
/// No call of ours answers with more than 32 bits.
pub fn answer(value: isize) -> Result<u32> {
    if (-4095..0).contains(&value) {
        // SAFETY: it is an error.
        return Err(unsafe { Errno::answered(value as i32) });
    }
    Ok(value as u32)
}

/// `syscall` with its answer as a result, tried again after EINTR. Not for use between clone and exec.
///
/// # Safety
/// As for the system call itself.
pub unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize) -> Result<u32> {
    loop {
        // SAFETY: the caller's.
        match answer(unsafe { syscall(number, a, b, c, d, e) }) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// `call` for what answers with a new descriptor.
///
/// # Safety
/// As for the system call itself, which is one of those.
#[inline(never)]
pub unsafe fn open(number: usize, a: usize, b: usize, c: usize, d: usize) -> Result<OwnedFd> {
    // SAFETY: the caller's; nobody else has it yet.
    unsafe { call(number, a, b, c, d, 0).map(|fd| OwnedFd::from_raw_fd(fd as i32)) }
}

/// `call` for what writes two new descriptors into its argument of this index.
///
/// # Safety
/// As for the system call itself, which is one of those.
#[inline(never)]
pub unsafe fn open_two(number: usize, mut arguments: [usize; 4], at: usize) -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0i32; 2];
    arguments[at] = ends.as_mut_ptr() as usize;
    let [a, b, c, d] = arguments;
    // SAFETY: the caller's; nobody else has them yet.
    unsafe {
        call(number, a, b, c, d, 0)?;
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}
