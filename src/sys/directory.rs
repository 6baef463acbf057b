//! Open directories and the files in them, so that nobody can put another directory in between.

use super::file::Status;
use super::path::{Room, make_directory, open_at, remove};
use super::{AsFd, AsRawFd, BorrowedFd, Errno, OwnedFd, Result, file, raw};
use core::ffi::CStr;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};

/// An open directory.
pub struct Directory {
    fd: OwnedFd,
}

impl Directory {
    /// Opens one.
    pub fn open(path: &[u8]) -> Result<Directory> {
        Ok(Directory { fd: open_at(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY, 0)? })
    }

    /// One that is open.
    pub fn of(fd: OwnedFd) -> Directory {
        Directory { fd }
    }

    /// What it is.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Makes one (`mode` less the umask) if there is none, and opens it.
    pub fn make(path: &[u8], mode: u32) -> Result<Directory> {
        make_directory(CWD, path, mode)?;
        Directory::open(path)
    }

    /// Makes a directory in it (`mode` less the umask) if there is none.
    pub fn make_inside(&self, name: &str, mode: u32) -> Result<()> {
        make_directory(self.as_fd(), name.as_bytes(), mode)
    }

    /// Whether it belongs to root or to us, and nobody but its owner may write in it.
    pub fn is_trusted(&self) -> bool {
        let own = rustix::process::geteuid().as_raw();
        let is_ours = |status: Status| (status.uid == 0 || status.uid == own) && status.mode & 0o022 == 0;
        file::status(self.as_fd()).is_ok_and(is_ours)
    }

    /// EACCES, EROFS: nothing can be made in it by us.
    pub fn check_writable(&self) -> Result<()> {
        Ok(rustix::fs::accessat(&self.fd, c".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
    }

    /// Whether something has this name in it.
    pub fn has(&self, name: &str) -> bool {
        let there = |name: &CStr| rustix::fs::accessat(&self.fd, name, Access::EXISTS, AtFlags::empty());
        Room::new().put(name.as_bytes()).is_ok_and(|name| there(name).is_ok())
    }

    /// Opens a file of it to read: never through a symbolic link, never waiting for a fifo's writer.
    pub fn open_file(&self, name: &str) -> Result<OwnedFd> {
        open_at(self.as_fd(), name.as_bytes(), OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK, 0)
    }

    /// Makes a file of it anew, empty, to read and write, with exactly this mode. An old one of the name goes away, but
    /// stays as it is for those who have it open.
    pub fn create_file(&self, name: &str, mode: u32) -> Result<OwnedFd> {
        let _ = remove(self.as_fd(), name.as_bytes());
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CREATE | OFlags::EXCL;
        let fd = open_at(self.as_fd(), name.as_bytes(), flags, mode)?;
        set_mode(&fd, mode)?; // whatever the umask is
        Ok(fd)
    }

    /// Gives a file of it another name, in the place of what had it.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (mut one, mut other) = (Room::new(), Room::new());
        Ok(rustix::fs::renameat(&self.fd, one.put(from.as_bytes())?, &self.fd, other.put(to.as_bytes())?)?)
    }

    /// Makes a symbolic link in it, in the place of an earlier one.
    pub fn link(&self, to: &CStr, name: &CStr) -> Result<()> {
        let _ = remove(self.as_fd(), name.to_bytes());
        Ok(rustix::fs::symlinkat(to, &self.fd, name)?)
    }

    /// Opens a file of it, made if there is none, and locks it for as long as the descriptor lives, by an open file
    /// description lock (fcntl_locking(2)). `Err` within: somebody else has it; the descriptor to read who. Its user
    /// alone may open it: who can read a file can keep others from locking it.
    pub fn lock_file(&self, name: &str) -> Result<core::result::Result<OwnedFd, OwnedFd>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CREATE;
        let fd = open_at(self.as_fd(), name.as_bytes(), flags, 0o600)?;
        set_mode(&fd, 0o600)?;
        match lock(&fd, F_OFD_SETLK) {
            Ok(_) => Ok(Ok(fd)),
            // Somebody who could read what an earlier pintle has left: he keeps that.
            Err(Errno::AGAIN) if lock(&fd, F_OFD_GETLK) == Ok(F_RDLCK) => {
                let fresh = self.create_file(name, 0o600)?;
                lock(&fresh, F_OFD_SETLK).map(|_| Ok(fresh))
            }
            Err(Errno::AGAIN) => Ok(Err(fd)),
            Err(error) => Err(error),
        }
    }

    /// Gives a file of it, which only we can have put there, its permissions.
    pub fn set_mode_of(&self, name: &str, mode: u32) -> Result<()> {
        let mut room = Room::new();
        Ok(rustix::fs::chmodat(&self.fd, room.put(name.as_bytes())?, Mode::from_raw_mode(mode), AtFlags::empty())?)
    }

    /// Whether somebody who may write this file of it has locked it; what is locked by readers is not. The kernel is
    /// asked, no lock is tried: who asks is in nobody's way. Where it cannot tell, somebody may have.
    pub fn is_locked(&self, name: &str) -> bool {
        let found = self.open_file(name).and_then(|fd| lock(&fd, F_OFD_GETLK));
        !matches!(found, Ok(F_UNLCK | F_RDLCK))
    }
}

/// Locks an open file, as `Directory::lock_file` does. EAGAIN: somebody else has.
pub fn lock_open(file: &OwnedFd) -> Result<()> {
    lock(file, F_OFD_SETLK).map(drop)
}

/// Operations of fcntl(2), and kinds of locks.
const F_OFD_GETLK: usize = 36;
const F_OFD_SETLK: usize = 37;
const F_RDLCK: i16 = 0;
const F_WRLCK: i16 = 1;
const F_UNLCK: i16 = 2;

/// struct flock, with offsets of 64 bits everywhere.
#[repr(C)]
struct Lock {
    kind: i16,
    whence: i16,
    start: i64,
    length: i64,
    pid: i32,
}

/// Takes all of an open file, or asks whether that could be done: `F_UNLCK`.
#[inline(never)]
fn lock(file: &OwnedFd, operation: usize) -> Result<i16> {
    let mut lock = Lock { kind: F_WRLCK, whence: 0, start: 0, length: 0, pid: 0 };
    let (fd, at) = (file.as_raw_fd() as usize, &raw mut lock as usize);
    // SAFETY: the kernel reads and writes what is one of its own.
    unsafe { raw::call(raw::nr::FCNTL, fd, operation, at, 0, 0) }?;
    Ok(lock.kind)
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Gives a file of the file system to this user and group.
pub fn give(path: &[u8], uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let (uid, gid) = (uid.map(rustix::fs::Uid::from_raw), gid.map(rustix::fs::Gid::from_raw));
    Ok(rustix::fs::chownat(CWD, Room::new().put(path)?, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// The same for what is open, by O_PATH, too.
pub fn give_open(file: &OwnedFd, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let (uid, gid) = (uid.map(rustix::fs::Uid::from_raw), gid.map(rustix::fs::Gid::from_raw));
    Ok(rustix::fs::chownat(file, c"", uid, gid, AtFlags::EMPTY_PATH)?)
}

/// Gives an open file its permissions.
pub fn set_mode(file: &OwnedFd, mode: u32) -> Result<()> {
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?)
}

/// The permissions of an open file.
pub fn mode(file: impl AsFd) -> Result<u32> {
    Ok(file::status(file.as_fd())?.mode & 0o7777)
}

/// Empties a file.
pub fn empty(file: impl AsFd) -> Result<()> {
    Ok(rustix::fs::ftruncate(file, 0)?)
}
