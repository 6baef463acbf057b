//! Files and directories, without heap: what the logger and the supervisor do with them. Paths have no NUL within
//! (EINVAL otherwise) and at most 4095 bytes (ENAMETOOLONG).

use super::path::{self, AsPath, Room};
use super::{AsFd, AsRawFd, BorrowedFd, OwnedFd, Result, output, raw};
use core::ffi::CStr;
use core::fmt::Write;
use rustix::fs::{CWD, OFlags, Stat, inotify};

/// Opens for reading. Never a terminal that becomes ours, never waits for a fifo's writer.
pub fn open_read(path: impl AsPath) -> Result<OwnedFd> {
    path::open(path.path(), OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK, 0)
}

/// Opens what is there for reading and writing: a device.
pub fn open_both(path: impl AsPath) -> Result<OwnedFd> {
    path::open(path.path(), OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK, 0)
}

/// Opens for reading and for writing at its end; makes it, with these permissions less the umask, where it is missing.
pub fn open_append(path: impl AsPath, mode: u32) -> Result<OwnedFd> {
    path::open(
        path.path(),
        OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW,
        mode,
    )
}

/// Opens for writing what is there, as files of /proc.
pub fn open_write(path: impl AsPath) -> Result<OwnedFd> {
    path::open(path.path(), OFlags::WRONLY | OFlags::NOCTTY, 0)
}

/// Writes a file of the kernel's, which takes it as one value.
pub fn write_value(path: &CStr, value: &[u8]) -> Result<()> {
    output::write_all(open_write(path)?.as_fd(), value)
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

/// What the kernel says of a file, as far as anybody asks.
#[derive(Clone, Copy)]
pub(super) struct Status {
    pub identity: Identity,
    pub mode: u32,
    pub uid: u32,
}

impl Status {
    #[allow(clippy::unnecessary_cast)] // the widths differ between architectures
    pub fn of(stat: rustix::io::Result<Stat>) -> Result<Status> {
        let stat = &stat?;
        let identity = Identity {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            bytes: stat.st_size as u64,
            changed_s: stat.st_ctime as i64,
            changed_ns: stat.st_ctime_nsec as u64,
        };
        Ok(Status { identity, mode: stat.st_mode, uid: stat.st_uid })
    }
}

impl Identity {
    /// Of the file at this path; the default one where there is none.
    pub fn of_path(path: impl AsPath) -> Identity {
        Identity::at(path.path())
    }

    #[inline(never)]
    fn at(path: &[u8]) -> Identity {
        path::stat(path).map_or(Identity::default(), |status| status.identity)
    }

    /// Of an open file.
    pub fn of_file(file: impl AsFd) -> Result<Identity> {
        status(file.as_fd()).map(|status| status.identity)
    }
}

/// The numbers of the block device at this path. EINVAL: it is none.
pub fn device(path: impl AsPath) -> Result<(u32, u32)> {
    const S_IFMT: u32 = 0o170000;
    const S_IFBLK: u32 = 0o060000;
    let stat = rustix::fs::stat(Room::new().put(path.path())?)?;
    if stat.st_mode & S_IFMT != S_IFBLK {
        return Err(super::Errno::INVAL);
    }
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)] // the width differs between architectures
    let device = stat.st_rdev as u64;
    Ok((rustix::fs::major(device), rustix::fs::minor(device)))
}

/// Whether two descriptors surely stand for the same file or socket, and are open alike: the ends of a pipe are not. Of
/// those that have no inode of their own (eventfd(2), epoll(7) and so on) nobody can say.
pub fn is_same(a: &OwnedFd, b: &OwnedFd) -> bool {
    const KIND: u32 = 0o170000;
    let are_alike = || rustix::fs::fcntl_getfl(a).ok() == rustix::fs::fcntl_getfl(b).ok();
    match (status(a.as_fd()), status(b.as_fd())) {
        (Ok(a), Ok(b)) => {
            let at = |status: &Status| (status.identity.device, status.identity.inode);
            a.mode & KIND != 0 && at(&a) == at(&b) && are_alike()
        }
        _ => false,
    }
}

/// Whether to look at a descriptor and to close it never waits for anybody: a socket, a pipe, memory (memfd_create(2)), or
/// what has no file (eventfd(2), pidfd_open(2) and so on), for which /proc is needed. Files may lie with a server that does
/// not answer, and devices wait until all is sent.
#[inline(never)]
pub fn is_prompt(fd: &OwnedFd) -> bool {
    let has_no_file = || {
        let mut path = pintle::words::Short::new();
        let _ = write!(path, "/proc/self/fd/{}", fd.as_raw_fd()); // it has room for that
        let mut place = [0; 32];
        let link = rustix::fs::readlinkat_raw(rustix::fs::CWD, path.as_str(), &mut place);
        link.is_ok_and(|count| place[..count].starts_with(b"anon_inode:"))
    };
    rustix::net::sockopt::socket_type(fd).is_ok()
        || rustix::pipe::fcntl_getpipe_size(fd).is_ok()
        || rustix::fs::fcntl_get_seals(fd).is_ok()
        || has_no_file()
}

/// The user whom an open file belongs to.
pub fn owner_of(file: impl AsFd) -> Result<u32> {
    status(file.as_fd()).map(|status| status.uid)
}

/// The user whom the file at this path belongs to.
pub fn owner(path: impl AsPath) -> Result<u32> {
    path::stat(path.path()).map(|status| status.uid)
}

/// Reads what is there, once. 0 is the end.
pub fn read(file: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
    read_once(file.as_fd(), buffer).map(|count| count as usize)
}

#[inline(never)]
fn read_once(file: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<u32> {
    // SAFETY: the kernel writes within the buffer.
    unsafe { raw::call(raw::nr::READ, file.as_raw_fd() as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0) }
}

/// Reads as much of the beginning of the file at this path as the kernel gives at once: of its own small ones, all.
#[inline(never)]
pub fn read_start<'b>(path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let count = read(open_read(path)?, buffer)?;
    Ok(buffer.get(..count).unwrap_or_default())
}

/// Writes once; gives how much of it.
pub fn write(file: impl AsFd, bytes: &[u8]) -> Result<usize> {
    write_once(file.as_fd(), bytes).map(|count| count as usize)
}

#[inline(never)]
fn write_once(file: BorrowedFd<'_>, bytes: &[u8]) -> Result<u32> {
    // SAFETY: the kernel reads within the bytes.
    unsafe { raw::call(raw::nr::WRITE, file.as_raw_fd() as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0) }
}

/// What the kernel says of an open file.
#[inline(never)]
pub(super) fn status(file: BorrowedFd<'_>) -> Result<Status> {
    Status::of(rustix::fs::fstat(file))
}

/// How long an open file is now, in bytes.
#[inline(never)]
pub fn length(file: BorrowedFd<'_>) -> Result<u64> {
    status(file).map(|status| status.identity.bytes)
}

/// Cuts a file off at so many bytes.
pub fn cut(file: impl AsFd, bytes: u64) -> Result<()> {
    Ok(rustix::fs::ftruncate(file, bytes)?)
}

/// Whether there is something at this path.
pub fn exists(path: impl AsPath) -> bool {
    Identity::of_path(path) != Identity::default()
}

/// Removes a file.
pub fn remove(path: impl AsPath) -> Result<()> {
    path::remove(CWD, path.path())
}

/// Gives a file another name, in the place of what had it.
pub fn rename(from: impl AsPath, to: impl AsPath) -> Result<()> {
    path::rename(from.path(), to.path())
}

/// Makes a directory. One that is there already is well.
pub fn make_directory(path: &[u8], mode: u32) -> Result<()> {
    path::make_directory(CWD, path, mode)
}

/// Makes a directory and the ones above it that are missing. One that is there already is well.
pub fn make_directories(path: &[u8], mode: u32) -> Result<()> {
    let made = |at: usize| path::make_directory(CWD, path.get(..at).unwrap_or(path), mode);
    for at in (1..path.len()).filter(|at| path.get(*at) == Some(&b'/')) {
        // What is above may be read-only or closed to us and all there: only the last one tells.
        let _ = made(at);
    }
    made(path.len())
}

/// Reads at an offset, once. 0: the file ends before it.
pub fn read_at(file: impl AsFd, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    read_once_at(file.as_fd(), offset, buffer).map(|count| count as usize)
}

#[inline(never)]
fn read_once_at(file: BorrowedFd<'_>, offset: u64, buffer: &mut [u8]) -> Result<u32> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *buffer, offset))? as u32)
}

/// Makes reads and writes return EAGAIN instead of waiting: for every holder of this end.
pub fn set_nonblocking(file: impl AsFd) -> Result<()> {
    let file = file.as_fd();
    let flags = rustix::fs::fcntl_getfl(file)?;
    Ok(rustix::fs::fcntl_setfl(file, flags | OFlags::NONBLOCK)?)
}

/// A descriptor that is readable when something happened to what it watches; reading it waits. See inotify(7).
pub fn watcher() -> Result<OwnedFd> {
    Ok(inotify::init(inotify::CreateFlags::CLOEXEC)?.into())
}

/// Watches a file (its text, its name), or with `names` a directory (which names appear in it). Watching the same again
/// does nothing.
pub fn watch(watcher: BorrowedFd<'_>, path: impl AsPath, names: bool) -> Result<()> {
    use inotify::WatchFlags;
    let file = WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
    let flags = if names { WatchFlags::CREATE | WatchFlags::MOVED_TO } else { file };
    inotify::add_watch(watcher, Room::new().put(path.path())?, flags)?;
    Ok(())
}
