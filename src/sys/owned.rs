//! Descriptors that belong to somebody: closed when they are dropped.

use super::raw;
use core::fmt;
use core::mem::forget;
use core::num::NonZeroU32;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};

/// An open descriptor of ours. What is kept is the complement of its number, which is never 0, so that an
/// `Option<OwnedFd>` is no larger. (rustix's has no such value without std.)
pub struct OwnedFd(NonZeroU32);

impl fmt::Debug for OwnedFd {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "descriptor {}", self.as_raw_fd())
    }
}

impl FromRawFd for OwnedFd {
    unsafe fn from_raw_fd(number: RawFd) -> OwnedFd {
        // SAFETY: an open descriptor is not -1.
        OwnedFd(unsafe { NonZeroU32::new_unchecked(!number as u32) })
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        !self.0.get() as RawFd
    }
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: open as long as this is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

impl IntoRawFd for OwnedFd {
    fn into_raw_fd(self) -> RawFd {
        let number = self.as_raw_fd();
        forget(self);
        number
    }
}

impl From<rustix::fd::OwnedFd> for OwnedFd {
    fn from(fd: rustix::fd::OwnedFd) -> OwnedFd {
        // SAFETY: it is ours from here on.
        unsafe { OwnedFd::from_raw_fd(fd.into_raw_fd()) }
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more. Never tried again: it is closed, even where an error is told.
        unsafe { raw::syscall(raw::nr::CLOSE, self.as_raw_fd() as usize, 0, 0, 0, 0) };
    }
}
