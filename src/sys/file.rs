//! Files and directories, without heap: what the logger and the supervisor do with them. Paths may be `&CStr`, which
//! never takes heap, or text without NUL (EINVAL otherwise), which takes none up to 255 bytes.

use super::{AsFd, Errno, OwnedFd, Result};
use rustix::fs::{Mode, OFlags, Stat, inotify};
use rustix::path::Arg;
use std::os::fd::BorrowedFd;

/// Opens for reading. Never a terminal that becomes ours, never waits for a fifo's writer.
pub fn open_read(path: impl Arg + Copy) -> Result<OwnedFd> {
    open(path, OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK, 0)
}

/// Opens what is there for reading and writing: a device.
pub fn open_both(path: impl Arg + Copy) -> Result<OwnedFd> {
    open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK, 0)
}

/// Opens for reading and for writing at its end; makes it, with these permissions less the umask, where it is missing.
pub fn open_append(path: impl Arg + Copy, mode: u32) -> Result<OwnedFd> {
    open(
        path,
        OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW,
        mode,
    )
}

/// Opens for writing what is there, as files of /proc.
pub fn open_write(path: impl Arg + Copy) -> Result<OwnedFd> {
    open(path, OFlags::WRONLY | OFlags::NOCTTY, 0)
}

fn open(path: impl Arg + Copy, flags: OFlags, mode: u32) -> Result<OwnedFd> {
    rustix::io::retry_on_intr(|| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode)))
}

/// What tells whether a file is still the one that it was: device, inode, length, and the time of its last change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    pub bytes: u64,
    pub changed_s: i64,
    pub changed_ns: u64,
}

impl Identity {
    /// Of the file at this path; the default one where there is none.
    #[allow(clippy::unnecessary_cast)] // the widths differ between architectures
    pub fn of_path(path: impl Arg) -> Identity {
        rustix::fs::stat(path).map_or(Identity::default(), |stat| Identity::of(&stat))
    }

    /// Of an open file.
    pub fn of_file(file: impl AsFd) -> Result<Identity> {
        rustix::fs::fstat(file).map(|stat| Identity::of(&stat))
    }

    #[allow(clippy::unnecessary_cast)]
    fn of(stat: &Stat) -> Identity {
        Identity {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            bytes: stat.st_size as u64,
            changed_s: stat.st_ctime as i64,
            changed_ns: stat.st_ctime_nsec as u64,
        }
    }
}

/// The user whom the file at this path belongs to.
pub fn owner(path: impl Arg) -> Result<u32> {
    rustix::fs::stat(path).map(|stat| stat.st_uid)
}

/// Reads what is there, once. 0 is the end.
pub fn read(file: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match rustix::io::read(&file, &mut *buffer) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Writes once; gives how much of it.
pub fn write(file: impl AsFd, bytes: &[u8]) -> Result<usize> {
    rustix::io::retry_on_intr(|| rustix::io::write(&file, bytes))
}

/// Gives a file another name, in the place of what had it.
pub fn rename(from: impl Arg, to: impl Arg) -> Result<()> {
    rustix::fs::rename(from, to)
}

/// Makes a directory and the ones above it that are missing. One that is there already is well.
pub fn make_directories(path: &[u8], mode: u32) -> Result<()> {
    let mode = Mode::from_raw_mode(mode);
    let made = |at: usize| match rustix::fs::mkdir(path.get(..at).unwrap_or(path), mode) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    };
    for at in (1..path.len()).filter(|at| path.get(*at) == Some(&b'/')) {
        // What is above may be read-only or closed to us and all there: only the last one tells.
        let _ = made(at);
    }
    made(path.len())
}

/// Reads at an offset, once. 0: the file ends before it.
pub fn read_at(file: impl AsFd, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match rustix::io::pread(&file, &mut *buffer, offset) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Makes reads and writes return EAGAIN instead of waiting: for every holder of this end.
pub fn set_nonblocking(file: impl AsFd) -> Result<()> {
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags | OFlags::NONBLOCK)
}

/// A descriptor that is readable when something happened to what it watches; reading it waits. See inotify(7).
pub fn watcher() -> Result<OwnedFd> {
    inotify::init(inotify::CreateFlags::CLOEXEC)
}

/// Watches a file (its text, its name), or with `names` a directory (which names appear in it). Watching the same again
/// does nothing.
pub fn watch(watcher: BorrowedFd<'_>, path: impl Arg, names: bool) -> Result<()> {
    use inotify::WatchFlags;
    let file = WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
    let flags = if names { WatchFlags::CREATE | WatchFlags::MOVED_TO } else { file };
    inotify::add_watch(watcher, path, flags).map(|_| ())
}
