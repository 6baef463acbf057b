//! What this process sees of the machine: namespaces(7), mounts, its root. For a process of its own that becomes
//! another program: nothing here can be taken back.

use super::path::{self, AsPath, Room};
use super::{AsFd, AsRawFd, BorrowedFd, Errno, OwnedFd, Result, file, output, process, raw, whole};
use alloc::vec::Vec;
use core::ffi::CStr;
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};

/// CLONE_NEW* of namespaces(7).
pub const MOUNTS: u32 = 0x0002_0000;
pub const HOST_NAME: u32 = 0x0400_0000;
pub const IPC: u32 = 0x0800_0000;
pub const USERS: u32 = 0x1000_0000;
pub const PIDS: u32 = 0x2000_0000;
pub const NETWORK: u32 = 0x4000_0000;
/// All of those that `join` goes into but that of users and that of pids, which is one of children.
pub const OTHERS: u32 = MOUNTS | HOST_NAME | IPC | NETWORK;

const AT_EMPTY_PATH: usize = 0x1000;
const AT_RECURSIVE: usize = 0x8000;
const MS_RDONLY: usize = 1;
const MS_NOSUID: usize = 2;
const MS_NODEV: usize = 4;
const MS_NOEXEC: usize = 8;
const MS_REC: usize = 0x4000;
const MS_SLAVE: usize = 1 << 19;
const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NODEV: u64 = 4;
const S_IFMT: u32 = 0o170000;
const S_IFDIR: u32 = 0o040000;
const S_IFLNK: u32 = 0o120000;

/// Gets a namespace of this kind of its own. EPERM: that takes CAP_SYS_ADMIN, which a namespace of users of its own
/// gives.
pub fn leave(kind: u32) -> Result<()> {
    // SAFETY: no memory is involved; nothing of ours lives in what is left.
    unsafe { raw::call(raw::nr::UNSHARE, kind as usize, 0, 0, 0, 0) }.map(drop)
}

/// Goes into the namespaces of these kinds in which that process (`signals::pidfd_open`) is, or into that of `pids`. EINVAL:
/// we are in its namespace of users.
pub fn join(process: &OwnedFd, kinds: u32) -> Result<()> {
    // SAFETY: no memory is involved.
    unsafe { raw::call(raw::nr::SETNS, process.as_raw_fd() as usize, kinds as usize, 0, 0, 0) }.map(drop)
}

/// The namespace of pids in which children of this process are.
pub fn pids(of: u32) -> Result<OwnedFd> {
    file::open_read(process::path(of, "ns/pid_for_children").as_str())
}

/// Mounts of its own: what is mounted outside later on is seen, what is mounted here stays here.
pub fn leave_mounts() -> Result<()> {
    leave(MOUNTS)?;
    mount(c"none", b"/", c"none", MS_REC | MS_SLAVE, c"")
}

/// /proc, for `leave_users`: there and to write in whatever becomes of our mounts and our root.
pub fn proc() -> Result<OwnedFd> {
    path::open(b"/proc", OFlags::PATH | OFlags::DIRECTORY, 0)
}

/// A namespace of users of its own, in which our user and our group are the only ones, under their own numbers, and we
/// may do everything: the bounding set is full again, no secure bit is set and no capability is ambient.
pub fn leave_users(proc: &OwnedFd) -> Result<()> {
    let (uid, gid) = (process::uid(), process::gid());
    leave(USERS)?;
    // Whoever has changed its user does not own its files in /proc.
    process::set_dumpable(true)?;
    let write = |name: &[u8], value: &[u8]| {
        output::write_all(path::open_at(proc.as_fd(), name, OFlags::WRONLY, 0)?.as_fd(), value)
    };
    write(b"self/setgroups", b"deny")?;
    for (name, id) in [(&b"self/uid_map"[..], uid), (b"self/gid_map", gid)] {
        let mut room = [0; 10];
        let digits = pintle::text::digits(id, &mut room);
        write(name, &[digits, b" ", digits, b" 1\n"].concat())?;
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

/// A copy of what is at a path, with all that is mounted below it: as yet nowhere, and nothing can hide it.
pub fn copy(path: &[u8]) -> Result<OwnedFd> {
    const OPEN_TREE_CLONE: usize = 1;
    const CLOEXEC: usize = 0o2000000;
    let (mut room, at) = (Room::new(), CWD.as_raw_fd() as usize);
    let path = room.put(path)?.as_ptr() as usize;
    // SAFETY: the path ends in NUL and outlives the call.
    unsafe { raw::open(raw::nr::OPEN_TREE, at, path, OPEN_TREE_CLONE | CLOEXEC | AT_RECURSIVE, 0) }
}

/// Mounts such a copy.
fn place_at(copy: &OwnedFd, at: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
    let (mut room, to) = (Room::new(), at.as_raw_fd() as usize);
    let (nothing, path) = (c"".as_ptr() as usize, room.put(path)?.as_ptr() as usize);
    // SAFETY: paths that end in NUL and outlive the call.
    unsafe {
        raw::call(raw::nr::MOVE_MOUNT, copy.as_raw_fd() as usize, nothing, to, path, MOVE_MOUNT_F_EMPTY_PATH).map(drop)
    }
}

/// Sets attributes of what is mounted there and of all below it. EINVAL: nothing is mounted there, it is a place like
/// others. ENOSYS: the kernel is older than 5.12.
fn set(at: BorrowedFd<'_>, path: &[u8], attributes: u64) -> Result<()> {
    // struct mount_attr: what is set, what is cleared, propagation, a namespace of users.
    let attributes = [attributes, 0, 0, 0];
    let (mut room, size) = (Room::new(), size_of_val(&attributes));
    let (path, flags) = (room.put(path)?.as_ptr() as usize, AT_EMPTY_PATH | AT_RECURSIVE);
    let (at, attributes) = (at.as_raw_fd() as usize, attributes.as_ptr() as usize);
    // SAFETY: the kernel reads the path, which ends in NUL, and `size` bytes.
    unsafe { raw::call(raw::nr::MOUNT_SETATTR, at, path, flags, attributes, size).map(drop) }
}

/// Mounts a copy at a path, which has to be there.
pub fn place(copy: &OwnedFd, path: &[u8]) -> Result<()> {
    place_at(copy, CWD, path)
}

/// The same at a path that is made where it is not there, with the directories that lead to it.
pub fn place_new(copy: &OwnedFd, path: &[u8]) -> Result<()> {
    let made = without_umask(&mut || file::make_directories(whole::split(path).0, 0o755));
    made?;
    let made = without_umask(&mut || match file::status(copy.as_fd())?.mode & S_IFMT {
        S_IFDIR => path::make_directory(CWD, path, 0o755),
        _ => path::open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0o644).map(drop),
    });
    match made {
        Ok(()) | Err(Errno::EXIST) => place(copy, path),
        failed => failed,
    }
}

/// Nothing can be written at this path or below it.
pub fn make_read_only(path: impl AsPath) -> Result<()> {
    let path = path.path();
    // Where something is mounted it is that which changes: a copy over `/` would be where nobody gets to.
    match set(CWD, path, MOUNT_ATTR_RDONLY) {
        Err(Errno::INVAL) => {
            let copy = copy(path)?;
            set(copy.as_fd(), b"", MOUNT_ATTR_RDONLY)?;
            place(&copy, path)
        }
        done => done,
    }
}

/// Nothing is at this path: a directory is empty and closed, anything else cannot be opened.
pub fn hide(path: impl AsPath) -> Result<()> {
    let path = path.path();
    if path::stat(path)?.mode & S_IFMT == S_IFDIR {
        return mount(c"tmpfs", path, c"tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, c"mode=000");
    }
    // A device where devices are none.
    let copy = copy(b"/dev/null")?;
    set(copy.as_fd(), b"", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV)?;
    place(&copy, path)
}

/// What the kernel tells of the processes of our namespace, over this directory.
pub fn mount_processes(path: impl AsPath) -> Result<()> {
    mount(c"proc", path.path(), c"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, c"")
}

/// An empty directory in memory over this one, for everybody to write.
pub fn mount_temporary(path: impl AsPath) -> Result<()> {
    mount(c"tmpfs", path.path(), c"tmpfs", MS_NOSUID | MS_NODEV, c"mode=1777")
}

/// What of /dev every program may ask for, of what is there.
#[derive(Default)]
pub struct Devices {
    all: Vec<(Vec<u8>, OwnedFd)>,
    /// To where /dev/log leads: who listens there may come and go.
    log: Option<&'static [u8]>,
}

/// Takes it along, for `mount_devices`.
pub fn devices() -> Result<Devices> {
    const NAMES: &str = "null zero full random urandom tty ptmx pts log";
    let mut devices = Devices { all: Vec::new(), log: whole::link(b"/dev/log").ok() };
    for name in pintle::text::parts(NAMES, b' ') {
        let path = [b"/dev/", name.as_bytes()].concat();
        match copy(&path) {
            _ if name == "log" && devices.log.is_some() => {}
            Ok(copy) => devices.all.push((path, copy)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(devices)
}

/// A /dev with these alone, and what is made of nothing.
pub fn mount_devices(devices: &Devices) -> Result<()> {
    // Nobody needs another device in it: those that are there are mounts of their own.
    mount(c"tmpfs", b"/dev", c"tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, c"mode=755")?;
    for (path, device) in &devices.all {
        place_new(device, path)?;
    }
    if let Some(to) = devices.log {
        rustix::fs::symlink(Room::new().put(to)?, c"/dev/log")?;
    }
    without_umask(&mut || {
        path::make_directory(CWD, b"/dev/shm", 0o755)?;
        mount_temporary("/dev/shm")?;
        for (to, link) in [
            (c"/proc/self/fd", c"/dev/fd"),
            (c"/proc/self/fd/0", c"/dev/stdin"),
            (c"/proc/self/fd/1", c"/dev/stdout"),
            (c"/proc/self/fd/2", c"/dev/stderr"),
        ] {
            rustix::fs::symlink(to, link)?;
        }
        Ok(())
    })
}

/// This directory is the root.
pub fn set_root(path: &CStr) -> Result<()> {
    // SAFETY: the path ends in NUL.
    unsafe { raw::call(raw::nr::CHROOT, path.as_ptr() as usize, 0, 0, 0, 0) }?;
    process::set_directory(c"/")
}

/// The same for a namespace of mounts of our own as a whole, for who leaves that of users behind it, which nobody may in
/// a root that is another one, or goes into it.
pub fn set_root_of_mounts(path: &CStr) -> Result<()> {
    let copy = copy(path.to_bytes())?;
    place(&copy, b"/")?;
    rustix::process::fchdir(&copy)?;
    set_root(c".")
}

/// What was copied is at this path, if it is not there any more: all that it takes is made.
pub fn bring(kept: &OwnedFd, path: &[u8]) -> Result<()> {
    let is_there = file::Identity::of_file(kept)? == file::Identity::of_path(path);
    if is_there { Ok(()) } else { without_umask(&mut || bring_anew(kept, path)) }
}

fn bring_anew(kept: &OwnedFd, path: &[u8]) -> Result<()> {
    let (directory, name) = above(path, true)?;
    match path::open_at(directory.as_fd(), name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0) {
        Ok(_) | Err(Errno::EXIST) => place_at(kept, directory.as_fd(), name),
        Err(errno) => Err(errno),
    }
}

/// Makes a directory, and those above it that are missing (755); it gets these permissions and this owner also where it
/// was there. ENOTDIR: what is there is a link, or no directory. ELOOP: a link above it is neither root's nor ours.
pub fn make_directory(path: &[u8], mode: u32, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    without_umask(&mut || {
        let (directory, name) = above(path, true)?;
        path::make_directory(directory.as_fd(), name, 0o700)?;
        let made = path::open_at(directory.as_fd(), name, OFlags::DIRECTORY | OFlags::NOFOLLOW, 0)?;
        rustix::fs::fchown(&made, uid.map(Uid::from_raw), gid.map(Gid::from_raw))?;
        Ok(rustix::fs::fchmod(&made, Mode::from_raw_mode(mode))?)
    })
}

/// Removes a file, where there is one. ELOOP as for `make_directory`.
pub fn remove(path: &[u8]) -> Result<()> {
    if_there(above(path, false).and_then(|(directory, name)| path::remove(directory.as_fd(), name)))
}

fn without_umask(make: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let mask = process::set_umask(0);
    let made = make();
    process::set_umask(mask);
    made
}

/// A way from the root, and whether directories are made that are missing on it, and how many links may still lead on.
struct Way {
    makes: bool,
    links: u32,
}

/// The directory that a path is in, made where it is missing if it is to be, and the path's last name. ENOENT: it is `/`.
pub(super) fn above(path: &[u8], makes: bool) -> Result<(OwnedFd, &[u8])> {
    let end = path.iter().rposition(|byte| *byte != b'/').ok_or(Errno::NOENT)?;
    let path = &path[..=end];
    let (above, name) = path.split_at(path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1));
    Ok((descend(root()?, above, &mut Way { makes, links: 40 })?, name)) // so many does the kernel follow, too
}

fn root() -> Result<OwnedFd> {
    path::open(b"/", OFlags::PATH | OFlags::DIRECTORY, 0)
}

/// Goes from one name of a path to the next, so that nobody can put anything else in between.
fn descend(mut at: OwnedFd, path: &[u8], way: &mut Way) -> Result<OwnedFd> {
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        at = enter(at, name, way)?;
    }
    Ok(at)
}

/// The directory of this name in another one. A link leads on only where it and the directory
/// that it lies in are root's or ours: nobody else says where something is made.
fn enter(at: OwnedFd, name: &[u8], way: &mut Way) -> Result<OwnedFd> {
    const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::DIRECTORY);
    let mut entered = path::open_at(at.as_fd(), name, DIRECTORY, 0);
    if way.makes && matches!(entered, Err(Errno::NOENT)) {
        path::make_directory(at.as_fd(), name, 0o755)?;
        entered = path::open_at(at.as_fd(), name, DIRECTORY, 0);
    }
    let Err(Errno::NOTDIR) = entered else { return entered };
    let link = path::open_at(at.as_fd(), name, OFlags::PATH | OFlags::NOFOLLOW, 0)?;
    let status = file::status(link.as_fd())?;
    if status.mode & S_IFMT != S_IFLNK {
        return entered;
    }
    let own = process::uid();
    let is_trusted = |uid: u32| uid == 0 || uid == own;
    if !is_trusted(status.uid) || !is_trusted(file::owner_of(&at)?) {
        return Err(Errno::LOOP);
    }
    way.links = way.links.checked_sub(1).ok_or(Errno::LOOP)?;
    let mut room = [0; path::PATH_MAX];
    let count = rustix::fs::readlinkat_raw(&link, c"", &mut room)?;
    let to = room.get(..count).unwrap_or_default();
    descend(if to.starts_with(b"/") { root()? } else { at }, to, way)
}

/// Descriptor 0 is this file.
pub fn set_input(path: impl AsPath) -> Result<()> {
    let opened = path::open(path.path(), OFlags::RDONLY | OFlags::NOCTTY, 0)?;
    process::place_at(opened.as_fd(), 0, true)
}

/// This terminal is descriptors 0 to 2. Waits for a line that is not connected.
pub fn set_terminal(path: impl AsPath) -> Result<()> {
    let opened = path::open(path.path(), OFlags::RDWR | OFlags::NOCTTY, 0)?;
    (0..3).try_for_each(|number| process::place_at(opened.as_fd(), number, true))
}

/// Descriptor 0 is the session's terminal. EPERM: another session has it, or we lead none. ENOTTY: it is none.
pub fn control_terminal() -> Result<()> {
    const TIOCSCTTY: usize = 0x540e;
    // SAFETY: no memory is involved.
    unsafe { raw::call(raw::nr::IOCTL, 0, TIOCSCTTY, 0, 0, 0) }.map(drop)
}

/// ENOENT passes.
pub fn if_there(done: Result<()>) -> Result<()> {
    if done == Err(Errno::NOENT) { Ok(()) } else { done }
}
