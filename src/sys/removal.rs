//! Removing a directory with all that is in it, though who may write there is not trusted: no link is followed, nothing
//! that is mounted in it is entered, and however deep it is, two descriptors and no path are held. Cut short, it is as far
//! as it came, and whoever begins anew goes on.

use super::namespaces::{above, if_there};
use super::path::{self, PATH_MAX, Room};
use super::{AsFd, AsRawFd, BorrowedFd, Errno, OwnedFd, Result, raw};
use core::mem::MaybeUninit;
use pintle::text::digits;
use rustix::fs::{AtFlags, OFlags, RawDir};

/// Removes a directory. One that is not there is well. ELOOP: a link above it is neither root's nor ours. ENOTDIR: it is a
/// link, or no directory. EXDEV: it, or something in it, is mounted there, and stays.
pub fn remove_all(path: &[u8]) -> Result<()> {
    if_there(above(path, false).and_then(|(directory, name)| {
        empty(enter(directory.as_fd(), name)?.as_fd())?;
        remove_directory(directory.as_fd(), name)
    }))
}

/// Empties a directory. Those in its directories are moved up into it, so that all is two deep.
fn empty(top: BorrowedFd<'_>) -> Result<()> {
    let mut moved = 0;
    loop {
        let (mut gone, mut failed) = (false, Ok(()));
        each(top, &mut |name| match remove(top, name, &mut moved) {
            Ok(()) => gone = true,
            error => failed = error,
        })?;
        if !gone {
            return failed;
        }
    }
}

/// Removes what has this name at the top.
fn remove(top: BorrowedFd<'_>, name: &[u8], moved: &mut u32) -> Result<()> {
    if is_gone(path::remove(top, name))? {
        return Ok(());
    }
    let inner = enter(top, name)?;
    let mut failed = Ok(());
    each(inner.as_fd(), &mut |name| {
        let done = match is_gone(path::remove(inner.as_fd(), name)) {
            Ok(false) => move_up(top, inner.as_fd(), name, moved),
            done => done.map(drop),
        };
        if done.is_err() {
            failed = done;
        }
    })?;
    match remove_directory(top, name) {
        // Why it is not empty. (Else somebody has put something there: the next time.)
        Err(Errno::NOTEMPTY) if failed.is_err() => failed,
        done => done,
    }
}

/// Removes a directory if it is empty, else has it be one at the top.
fn move_up(top: BorrowedFd<'_>, from: BorrowedFd<'_>, name: &[u8], moved: &mut u32) -> Result<()> {
    loop {
        match remove_directory(from, name) {
            Err(Errno::NOTEMPTY) => {}
            done => return done,
        }
        *moved = moved.checked_add(1).ok_or(Errno::NOTEMPTY)?;
        let mut digits_room = [0; 10];
        let fresh = [b".", digits(*moved, &mut digits_room)].concat();
        match rustix::fs::renameat(from, Room::new().put(name)?, top, Room::new().put(&fresh)?) {
            // Somebody has called one so that is not empty.
            Err(rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST) => {}
            done => return Ok(done?),
        }
    }
}

/// Opens a directory that is in another one, by a name, and in the same mount.
fn enter(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    const RESOLVE_NO_XDEV: u64 = 1;
    const RESOLVE_NO_SYMLINKS: u64 = 4;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::LARGEFILE;
    // struct open_how of openat2(2).
    let how = [u64::from(flags.bits()), 0, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS];
    let mut room = Room::new();
    let (at, name) = (at.as_raw_fd() as usize, room.put(name)?.as_ptr() as usize);
    // SAFETY: the name ends in NUL, and the kernel reads as many bytes of `how`.
    unsafe { raw::open(raw::nr::OPENAT2, at, name, how.as_ptr() as usize, size_of_val(&how)) }
}

/// Calls with each name.
fn each(directory: BorrowedFd<'_>, call: &mut dyn FnMut(&[u8])) -> Result<()> {
    let opened = path::open_at(directory, b".", OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    let mut buffer = [const { MaybeUninit::uninit() }; PATH_MAX];
    let mut entries = RawDir::new(opened, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            call(name);
        }
    }
    Ok(())
}

/// Whether a name has been removed, or was not there; `false`: it is that of a directory.
fn is_gone(removed: Result<()>) -> Result<bool> {
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove_directory(at: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    if_there(Ok(rustix::fs::unlinkat(at, Room::new().put(name)?, AtFlags::REMOVEDIR)?))
}
