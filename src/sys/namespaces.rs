//! What this process sees of the machine: namespaces(7), mounts, its root. For a process of its own that becomes
//! another program: nothing here can be taken back.

use super::path::{self, AsPath, Room};
use super::{AsFd, AsRawFd, Errno, OwnedFd, Result, file, process, raw};
use core::ffi::CStr;
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};

/// CLONE_NEW* of namespaces(7).
pub const MOUNTS: u32 = 0x0002_0000;
pub const HOST_NAME: u32 = 0x0400_0000;
pub const IPC: u32 = 0x0800_0000;
pub const USERS: u32 = 0x1000_0000;
pub const NETWORK: u32 = 0x4000_0000;

const AT_EMPTY_PATH: usize = 0x1000;
const AT_RECURSIVE: usize = 0x8000;
const MS_RDONLY: usize = 1;
const MS_NOSUID: usize = 2;
const MS_NODEV: usize = 4;
const MS_REC: usize = 0x4000;
const MS_SLAVE: usize = 1 << 19;
const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NODEV: u64 = 4;

/// Gets a namespace of this kind of its own. EPERM: that takes CAP_SYS_ADMIN, which a namespace of users of its own
/// gives.
pub fn leave(kind: u32) -> Result<()> {
    // SAFETY: no memory is involved; nothing of ours lives in what is left.
    unsafe { raw::call(raw::nr::UNSHARE, kind as usize, 0, 0, 0, 0) }.map(drop)
}

/// Goes into the namespaces of these kinds in which that process is.
pub fn join(pid: u32, kinds: u32) -> Result<()> {
    // SAFETY: no memory is involved.
    unsafe {
        let of = raw::open(raw::nr::PIDFD_OPEN, pid as usize, 0, 0, 0)?;
        raw::call(raw::nr::SETNS, of.as_raw_fd() as usize, kinds as usize, 0, 0, 0).map(drop)
    }
}

/// Mounts of its own: what is mounted outside later on is seen, what is mounted here stays here.
pub fn leave_mounts() -> Result<()> {
    leave(MOUNTS)?;
    mount(c"none", b"/", c"none", MS_REC | MS_SLAVE, c"")
}

/// A namespace of users of its own, in which our user and our group are the only ones, under their own numbers. Needs
/// /proc.
pub fn leave_users() -> Result<()> {
    let (uid, gid) = (process::uid(), process::gid());
    leave(USERS)?;
    // Whoever has changed its user does not own its files in /proc.
    process::set_dumpable(true)?;
    file::write_value(c"/proc/self/setgroups", b"deny")?;
    for (path, id) in [(c"/proc/self/uid_map", uid), (c"/proc/self/gid_map", gid)] {
        let mut room = [0; 10];
        let digits = pintle::text::digits(id, &mut room);
        file::write_value(path, &[digits, b" ", digits, b" 1\n"].concat())?;
    }
    Ok(())
}

/// The loopback device of a new network is there, but down.
pub fn raise_loopback() -> Result<()> {
    const AF_INET: usize = 2;
    const SOCK_DGRAM_CLOEXEC: usize = 2 | 0o2000000;
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: u16 = 1;
    /// struct ifreq of netdevice(7).
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: u16,
        rest: [u8; 22],
    }
    let mut request = Request { name: [0; 16], flags: IFF_UP, rest: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    // SAFETY: the kernel reads what is one of its own.
    unsafe {
        let socket = raw::open(raw::nr::SOCKET, AF_INET, SOCK_DGRAM_CLOEXEC, 0, 0)?;
        raw::call(raw::nr::IOCTL, socket.as_raw_fd() as usize, SIOCSIFFLAGS, &raw const request as usize, 0, 0)
    }
    .map(drop)
}

fn mount(what: &CStr, at: &[u8], kind: &CStr, flags: usize, options: &CStr) -> Result<()> {
    let mut room = Room::new();
    let (what, at, kind) = (what.as_ptr() as usize, room.put(at)?.as_ptr() as usize, kind.as_ptr() as usize);
    // SAFETY: texts that end in NUL and outlive the call.
    unsafe { raw::call(raw::nr::MOUNT, what, at, kind, flags, options.as_ptr() as usize) }.map(drop)
}

/// A copy of what is at a path, with all that is mounted below it: as yet nowhere.
fn copy(path: &[u8]) -> Result<OwnedFd> {
    const OPEN_TREE_CLONE: usize = 1;
    const CLOEXEC: usize = 0o2000000;
    let (mut room, at) = (Room::new(), CWD.as_raw_fd() as usize);
    let path = room.put(path)?.as_ptr() as usize;
    // SAFETY: the path ends in NUL and outlives the call.
    unsafe { raw::open(raw::nr::OPEN_TREE, at, path, OPEN_TREE_CLONE | CLOEXEC | AT_RECURSIVE, 0) }
}

/// Mounts such a copy.
fn place(copy: OwnedFd, path: &[u8]) -> Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
    let (mut room, to) = (Room::new(), CWD.as_raw_fd() as usize);
    let (nothing, path) = (c"".as_ptr() as usize, room.put(path)?.as_ptr() as usize);
    // SAFETY: paths that end in NUL and outlive the call.
    unsafe {
        raw::call(raw::nr::MOVE_MOUNT, copy.as_raw_fd() as usize, nothing, to, path, MOVE_MOUNT_F_EMPTY_PATH).map(drop)
    }
}

/// Sets attributes of a copy and of all below it. ENOSYS: the kernel is older than 5.12.
fn set(copy: &OwnedFd, attributes: u64) -> Result<()> {
    // struct mount_attr: what is set, what is cleared, propagation, a namespace of users.
    let attributes = [attributes, 0, 0, 0];
    let (empty, size) = (c"".as_ptr() as usize, size_of_val(&attributes));
    let (at, flags) = (copy.as_raw_fd() as usize, AT_EMPTY_PATH | AT_RECURSIVE);
    // SAFETY: the kernel reads the path, and `size` bytes.
    unsafe { raw::call(raw::nr::MOUNT_SETATTR, at, empty, flags, attributes.as_ptr() as usize, size).map(drop) }
}

/// What is at `from` is at `to`, too, which has to be there.
pub fn bind(from: impl AsPath, to: impl AsPath) -> Result<()> {
    place(copy(from.path())?, to.path())
}

/// Nothing can be written at this path or below it.
pub fn make_read_only(path: impl AsPath) -> Result<()> {
    let copy = copy(path.path())?;
    set(&copy, MOUNT_ATTR_RDONLY)?;
    place(copy, path.path())
}

/// Nothing is at this path: a directory is empty and closed, anything else cannot be opened.
pub fn hide(path: impl AsPath) -> Result<()> {
    const S_IFMT: u32 = 0o170000;
    const S_IFDIR: u32 = 0o040000;
    let path = path.path();
    if path::stat(path)?.mode & S_IFMT == S_IFDIR {
        return mount(c"tmpfs", path, c"tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, c"mode=000");
    }
    // A device where devices are none.
    let copy = copy(b"/dev/null")?;
    set(&copy, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV)?;
    place(copy, path)
}

/// An empty directory in memory over this one, for everybody to write.
pub fn mount_temporary(path: impl AsPath) -> Result<()> {
    mount(c"tmpfs", path.path(), c"tmpfs", MS_NOSUID | MS_NODEV, c"mode=1777")
}

/// This directory is the root.
pub fn set_root(path: &CStr) -> Result<()> {
    // SAFETY: the path ends in NUL.
    unsafe { raw::call(raw::nr::CHROOT, path.as_ptr() as usize, 0, 0, 0, 0) }?;
    process::set_directory(c"/")
}

/// Makes a directory, and those above it that are missing; it gets these permissions and this owner also where it was
/// there. ELOOP, ENOTDIR: what is there is a link, or no directory.
pub fn make_directory(path: &[u8], mode: u32, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    file::make_directories(path, 0o755)?;
    let made = path::open(path, OFlags::DIRECTORY | OFlags::NOFOLLOW, 0)?;
    rustix::fs::fchown(&made, uid.map(Uid::from_raw), gid.map(Gid::from_raw))?;
    Ok(rustix::fs::fchmod(made.as_fd(), Mode::from_raw_mode(mode))?)
}

/// Descriptor 0 is this file.
pub fn set_input(path: impl AsPath) -> Result<()> {
    let opened = path::open(path.path(), OFlags::RDONLY | OFlags::NOCTTY, 0)?;
    process::place_at(opened.as_fd(), 0, true)
}

/// This terminal is the session's own, and descriptors 0 to 2. Waits for a line that is not connected. EPERM: another
/// session has it. ENOTTY: it is none.
pub fn set_terminal(path: impl AsPath) -> Result<()> {
    const TIOCSCTTY: usize = 0x540e;
    let opened = path::open(path.path(), OFlags::RDWR | OFlags::NOCTTY, 0)?;
    // SAFETY: no memory is involved.
    unsafe { raw::call(raw::nr::IOCTL, opened.as_raw_fd() as usize, TIOCSCTTY, 0, 0, 0) }?;
    (0..3).try_for_each(|number| process::place_at(opened.as_fd(), number, true))
}

/// All that `join` goes into: those of users only where we may not go into the others without.
pub fn all_kinds() -> u32 {
    let others = MOUNTS | HOST_NAME | IPC | NETWORK;
    if process::uid() == 0 { others } else { others | USERS }
}

/// ENOENT passes.
pub fn if_there(done: Result<()>) -> Result<()> {
    if done == Err(Errno::NOENT) { Ok(()) } else { done }
}
