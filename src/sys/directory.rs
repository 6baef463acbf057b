//! Open directories and the files in them, so that nobody can put another directory in between.

use super::{AsFd, BorrowedFd, Errno, OwnedFd, Result};
use rustix::fs::{Access, AtFlags, FlockOperation, Mode, OFlags};
use std::path::Path;

/// An open directory.
pub struct Directory {
    fd: OwnedFd,
}

impl Directory {
    /// Opens one.
    pub fn open(path: &Path) -> Result<Directory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Directory { fd: rustix::fs::open(path, flags, Mode::empty())? })
    }

    /// Makes one (`mode` less the umask) if there is none, and opens it.
    pub fn make(path: &Path, mode: u32) -> Result<Directory> {
        match rustix::fs::mkdir(path, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => Directory::open(path),
            Err(error) => Err(error),
        }
    }

    /// Makes a directory in it (`mode` less the umask) if there is none.
    pub fn make_inside(&self, name: &str, mode: u32) -> Result<()> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode)) {
            Err(Errno::EXIST) => Ok(()),
            other => other,
        }
    }

    /// Whether it belongs to root or to us, and nobody but its owner may write in it.
    pub fn is_trusted(&self) -> Result<bool> {
        let stat = rustix::fs::fstat(&self.fd)?;
        let own = rustix::process::geteuid().as_raw();
        Ok((stat.st_uid == 0 || stat.st_uid == own) && stat.st_mode & 0o022 == 0)
    }

    /// EACCES, EROFS: nothing can be made in it by us.
    pub fn check_writable(&self) -> Result<()> {
        rustix::fs::accessat(&self.fd, c".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
    }

    /// Whether something has this name in it.
    pub fn has(&self, name: &str) -> bool {
        rustix::fs::accessat(&self.fd, name, Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Opens a file of it to read: never through a symbolic link, never waiting for a fifo's writer.
    pub fn open_file(&self, name: &str) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        rustix::fs::openat(&self.fd, name, flags, Mode::empty())
    }

    /// Makes a file of it anew, empty, to read and write, with exactly this mode. An old one of the name goes away, but
    /// stays as it is for those who have it open.
    pub fn create_file(&self, name: &str, mode: u32) -> Result<OwnedFd> {
        let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
        let mode = Mode::from_raw_mode(mode);
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::CREATE | OFlags::EXCL;
        let fd = rustix::fs::openat(&self.fd, name, flags, mode)?;
        rustix::fs::fchmod(&fd, mode)?; // whatever the umask is
        Ok(fd)
    }

    /// Opens a file of it, made if there is none, and locks it (flock(2)) for as long as the descriptor lives. EAGAIN:
    /// somebody else has it; the descriptor to read who comes with it.
    pub fn lock_file(&self, name: &str) -> Result<core::result::Result<OwnedFd, OwnedFd>> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::CREATE;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o644))?;
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Ok(fd)),
            Err(Errno::AGAIN) => Ok(Err(fd)),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Gives a file of the file system to this user and group.
pub fn give(path: &[u8], uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let (uid, gid) = (uid.map(rustix::fs::Uid::from_raw), gid.map(rustix::fs::Gid::from_raw));
    rustix::fs::chownat(rustix::fs::CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
}

/// The permissions of an open file.
pub fn mode(file: impl AsFd) -> Result<u32> {
    Ok(rustix::fs::fstat(file)?.st_mode & 0o7777)
}

/// Empties a file.
pub fn empty(file: impl AsFd) -> Result<()> {
    rustix::fs::ftruncate(file, 0)
}
