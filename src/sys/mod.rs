//! The only unsafe code and the only system calls. Knows no service: it gives safe building blocks to `host` and
//! `applets`.
//!
//! What always holds: every descriptor made here is close-on-exec; every call is tried again after EINTR; nothing here
//! allocates unless its documentation says so; every error is an [`Errno`], and [`errno::Words`] says it in words.
//! The oldest kernel is Linux 5.11 (`close_range` with CLOSE_RANGE_CLOEXEC, `epoll_pwait2`).

#![allow(dead_code)] // Building blocks; the users arrive one by one.

pub mod accounts;
pub mod cgroup;
pub mod children;
pub mod clock;
pub mod directory;
pub mod entry;
pub mod errno;
pub mod file;
pub mod heap;
pub mod listen;
pub mod mapping;
pub mod namespaces;
pub mod output;
mod owned;
pub mod path;
pub mod pipe;
pub mod poll;
pub mod privileges;
pub mod process;
mod raw;
pub mod reap;
pub mod rebirth;
pub mod removal;
pub mod residence;
pub mod scheduling;
pub mod signals;
pub mod socket;
pub mod spawn;
#[cfg(not(test))]
mod start;
mod vdso;
pub mod whole;

pub use errno::Errno;
pub use owned::OwnedFd;
pub use rustix::fd::{AsFd, AsRawFd, BorrowedFd};

/// What every call here returns.
pub type Result<T> = core::result::Result<T, Errno>;
