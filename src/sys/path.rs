//! Paths as the kernel takes them, with a NUL behind, and the calls that take one: made once, whatever a caller's path
//! is. No heap.

use super::file::Status;
use super::{AsRawFd, BorrowedFd, Errno, OwnedFd, Result, raw};
use core::ffi::CStr;
use core::mem::MaybeUninit;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// With the NUL; see path_resolution(7).
pub(super) const PATH_MAX: usize = 4096;

/// What can be a path.
pub trait AsPath {
    fn path(&self) -> &[u8];
}

impl AsPath for &[u8] {
    fn path(&self) -> &[u8] {
        self
    }
}

impl AsPath for &str {
    fn path(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsPath for &CStr {
    fn path(&self) -> &[u8] {
        self.to_bytes()
    }
}

#[cfg(test)]
impl AsPath for &std::path::Path {
    fn path(&self) -> &[u8] {
        self.as_os_str().as_encoded_bytes()
    }
}

/// Room for a path and its NUL.
pub(super) struct Room([MaybeUninit<u8>; PATH_MAX]);

impl Room {
    pub const fn new() -> Room {
        Room([const { MaybeUninit::uninit() }; PATH_MAX])
    }

    /// EINVAL: there is a NUL in it. ENAMETOOLONG: it has 4096 bytes or more.
    #[inline(never)]
    pub fn put(&mut self, path: &[u8]) -> Result<&CStr> {
        if path.len() >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        let place = self.0.as_mut_ptr().cast::<u8>();
        // SAFETY: there is room for so many bytes and one more; they are written before they are read.
        let bytes = unsafe {
            place.copy_from_nonoverlapping(path.as_ptr(), path.len());
            place.add(path.len()).write(0);
            core::slice::from_raw_parts(place, path.len() + 1)
        };
        CStr::from_bytes_with_nul(bytes).map_err(|_| Errno::INVAL)
    }
}

/// Opens, close-on-exec. `mode` is for what is made.
#[inline(never)]
pub(super) fn open_at(directory: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: u32) -> Result<OwnedFd> {
    let mut room = Room::new();
    let path = room.put(path)?;
    let flags = (flags | OFlags::CLOEXEC | OFlags::LARGEFILE).bits() as usize;
    let (at, path) = (directory.as_raw_fd() as usize, path.as_ptr() as usize);
    // SAFETY: the path ends in a NUL and outlives the call.
    unsafe { raw::open(raw::nr::OPENAT, at, path, flags, mode as usize) }
}

/// The same from where we are.
pub(super) fn open(path: &[u8], flags: OFlags, mode: u32) -> Result<OwnedFd> {
    open_at(CWD, path, flags, mode)
}

/// What is at a path, links followed.
#[inline(never)]
pub(super) fn stat(path: &[u8]) -> Result<Status> {
    Status::of(rustix::fs::stat(Room::new().put(path)?))
}

/// Makes a directory, `mode` less the umask. One that is there already is well.
#[inline(never)]
pub(super) fn make_directory(at: BorrowedFd<'_>, path: &[u8], mode: u32) -> Result<()> {
    match rustix::fs::mkdirat(at, Room::new().put(path)?, Mode::from_raw_mode(mode)) {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        other => Ok(other?),
    }
}

/// Removes a name.
#[inline(never)]
pub(super) fn remove(at: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
    Ok(rustix::fs::unlinkat(at, Room::new().put(path)?, AtFlags::empty())?)
}

/// Gives a file another name, in the place of what had it.
#[inline(never)]
pub(super) fn rename(from: &[u8], to: &[u8]) -> Result<()> {
    Ok(rustix::fs::rename(Room::new().put(from)?, Room::new().put(to)?)?)
}
