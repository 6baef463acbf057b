//! Pipes.

use super::{AsFd, OwnedFd, Result, raw};
use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;

/// A pipe: its reading end nonblocking, its writing end blocking (for a child, whose standard output must block).
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let ends = ends(PipeFlags::empty())?;
    rustix::fs::fcntl_setfl(&ends.0, OFlags::NONBLOCK)?;
    Ok(ends)
}

/// Both ends blocking: between two children.
pub fn blocking() -> Result<(OwnedFd, OwnedFd)> {
    ends(PipeFlags::empty())
}

/// Both ends nonblocking.
pub fn nonblocking() -> Result<(OwnedFd, OwnedFd)> {
    ends(PipeFlags::NONBLOCK)
}

#[inline(never)]
fn ends(flags: PipeFlags) -> Result<(OwnedFd, OwnedFd)> {
    let flags = (PipeFlags::CLOEXEC | flags).bits() as usize;
    // SAFETY: pipe2(2) writes both ends into its first argument.
    unsafe { raw::open_two(raw::nr::PIPE2, [0, flags, 0, 0], 0) }
}

/// Reads and writes of whoever has this end wait from now on, whatever was asked for.
pub fn make_blocking(end: &OwnedFd) {
    let _ = rustix::fs::fcntl_setfl(end, OFlags::empty());
}

/// Copies what is in a pipe, `bytes` at most, into another one and leaves it there; gives how much that was. 0: it has
/// ended. EAGAIN: there is nothing now, or no room.
pub fn copy(from: impl AsFd, to: impl AsFd, bytes: usize) -> Result<usize> {
    Ok(rustix::pipe::tee(from, to, bytes, rustix::pipe::SpliceFlags::NONBLOCK)?)
}

/// Moves what is in a pipe, `bytes` at most, into another one; gives how much that was. Each page of it is in one of the
/// two, whenever we are killed. 0: it has ended. EAGAIN: there is nothing now, or no room.
pub fn transfer(from: impl AsFd, to: impl AsFd, bytes: usize) -> Result<usize> {
    Ok(rustix::pipe::splice(from, None, to, None, bytes, rustix::pipe::SpliceFlags::NONBLOCK)?)
}

/// How many bytes are in a pipe.
pub fn unread(pipe: impl AsFd) -> Result<u64> {
    Ok(rustix::io::ioctl_fionread(pipe)?)
}

/// Gives a pipe room for so many bytes. Refused, it stays as it is.
pub fn grow(pipe: impl AsFd, bytes: usize) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, bytes);
}

/// Makes a pipe as small as the kernel lets it be, one page: an empty one then charges least. Refused, it stays as it
/// is.
pub fn shrink(pipe: impl AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, 1);
}
