//! Whole files, for commands that read and write them at leisure. Takes heap.

use super::file::Status;
use super::path::{self, PATH_MAX, Room};
use super::{AsFd, Errno, OwnedFd, Result, file, process, raw};
use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use pintle::text::{digits, nth};
use rustix::fs::{CWD, FileType, OFlags, RawDir};

/// Links that are followed one after the other, as many as the kernel would.
const LINKS_MAX: u32 = 40;

/// What something in a file system is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    File,
    Directory,
    Fifo,
    Socket,
    Device,
    Other,
}

impl Kind {
    /// With its article, for messages.
    pub fn words(self) -> &'static str {
        // In their order.
        nth("a file,a directory,a FIFO,a socket,a device,something else", b',', self as usize)
    }

    fn of(status: &Status) -> Kind {
        match FileType::from_raw_mode(status.mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice | FileType::BlockDevice => Kind::Device,
            FileType::Symlink | FileType::Unknown => Kind::Other,
        }
    }
}

/// What is at a path, links followed: its kind, and device and inode, which no two have in common.
pub fn look(path: &[u8]) -> Result<(Kind, (u64, u64))> {
    let status = path::stat(path)?;
    Ok((Kind::of(&status), (status.identity.device, status.identity.inode)))
}

/// The directory of a path, empty where it names none, and the name in it, which is what is behind the last slash.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.split_at(path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1))
}

/// The path as it is for a process that is elsewhere at home.
pub fn absolute(path: &[u8]) -> Vec<u8> {
    let (mut whole, mut here) = (Vec::new(), [0u8; path::PATH_MAX]);
    // SAFETY: the buffer is as long as it is said to be.
    let got = unsafe { raw::call(raw::nr::GETCWD, here.as_mut_ptr() as usize, here.len(), 0, 0, 0) };
    if !path.starts_with(b"/")
        && let Ok(1..) = got
    {
        whole.extend(here.iter().take_while(|byte| **byte != 0));
        whole.push(b'/');
    }
    whole.extend_from_slice(path.strip_prefix(b"./").unwrap_or(path));
    whole
}

/// Text that stays for ever, for the kernel and for arguments. An earlier NUL ends it.
pub fn lasting(mut text: Vec<u8>) -> &'static CStr {
    text.push(0);
    CStr::from_bytes_until_nul(text.leak()).unwrap_or(c"")
}

/// Reads a regular file, at most so much of it; anything else is only named, and never waited for.
pub fn read(path: &[u8], bytes_max: usize) -> Result<core::result::Result<Vec<u8>, Kind>> {
    let from = file::open_read(path)?;
    let status = file::status(from.as_fd())?;
    let kind = Kind::of(&status);
    if kind != Kind::File {
        return Ok(Err(kind));
    }
    // One byte more than there should be: its end is then seen without growing.
    let expected = usize::try_from(status.identity.bytes).unwrap_or(0).saturating_add(1);
    let mut bytes = Vec::new();
    all(&from, expected, bytes_max, &mut bytes).map(|()| Ok(bytes))
}

/// Adds all that can be read there, at most so much of it.
#[inline(never)]
pub fn all(from: &OwnedFd, expected: usize, bytes_max: usize, to: &mut Vec<u8>) -> Result<()> {
    loop {
        let filled = to.len();
        let room = expected.saturating_sub(filled).max(512);
        to.resize(filled.saturating_add(room).min(bytes_max), 0);
        let count = file::read(from, to.get_mut(filled..).unwrap_or_default())?;
        to.truncate(filled + count);
        if count == 0 {
            return Ok(());
        }
    }
}

/// What a name, or a path from there on, is in a directory. It stays for ever.
#[inline(never)]
pub fn joined(directory: &[u8], name: &[u8]) -> &'static [u8] {
    let mut path = Vec::new();
    if !name.starts_with(b"/") {
        path.extend_from_slice(directory);
        if !path.is_empty() && !path.ends_with(b"/") {
            path.push(b'/');
        }
    }
    path.extend_from_slice(name);
    path.leak()
}

/// The names in a directory, in no order; `.` and `..` too. They stay for ever.
#[inline(never)]
pub fn names(path: &[u8]) -> Result<Vec<&'static [u8]>> {
    let directory = path::open(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    let mut buffer = [const { MaybeUninit::uninit() }; 4096];
    let (mut entries, mut names) = (RawDir::new(directory, &mut buffer), Vec::new());
    while let Some(entry) = entries.next() {
        names.push(Vec::from(entry?.file_name().to_bytes()).leak() as &[u8]);
    }
    Ok(names)
}

/// Replaces a file so that at any time, also after a loss of power, either the old or the new one is whole: written
/// beside it, synced, renamed, and the directory synced. Where `target` is a link, what it points to is replaced.
#[inline(never)]
pub fn replace(target: &[u8], bytes: &[u8]) -> Result<()> {
    let target = followed(target)?;
    let (directory, name) = split(target);
    if name.is_empty() {
        return Err(Errno::ISDIR);
    }
    let mut fresh = Vec::from(b".");
    fresh.extend_from_slice(name);
    fresh.push(b'.');
    fresh.extend_from_slice(digits(process::pid(), &mut [0; 10]));
    let fresh = joined(directory, &fresh);
    let written = write(fresh, bytes).and_then(|()| {
        path::rename(fresh, target)?;
        let directory = if directory.is_empty() { b"." } else { directory };
        Ok(rustix::fs::fsync(file::open_read(directory)?)?)
    });
    if written.is_err() {
        // After the rename it is gone already.
        let _ = path::remove(CWD, fresh);
    }
    written
}

fn write(fresh: &[u8], mut bytes: &[u8]) -> Result<()> {
    let to = path::open(fresh, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0o644)?;
    while !bytes.is_empty() {
        let count = file::write(&to, bytes)?;
        bytes = bytes.get(count..).unwrap_or_default();
    }
    Ok(rustix::fs::fsync(&to)?)
}

/// Where a link leads, which may be another one. EINVAL: it is none. The path stays for ever.
#[inline(never)]
pub fn link(path: &[u8]) -> Result<&'static [u8]> {
    let mut to = [const { MaybeUninit::uninit() }; PATH_MAX];
    let (to, _) = rustix::fs::readlinkat_raw(CWD, Room::new().put(path)?, &mut to)?;
    Ok(joined(split(path).0, to))
}

/// What a link leads to in the end; the path itself where it is none, or leads nowhere.
fn followed(target: &[u8]) -> Result<&[u8]> {
    let mut path = target;
    for _ in 0..LINKS_MAX {
        match link(path) {
            Ok(to) => path = to,
            Err(Errno::INVAL) => return Ok(path),
            Err(Errno::NOENT) => return Ok(target),
            Err(error) => return Err(error),
        }
    }
    Err(Errno::LOOP)
}
