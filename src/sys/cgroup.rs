//! Control groups of version 2: cgroups(7), and the kernel's document cgroup-v2. Which one is ours, and groups below an
//! open one. No heap but in `own`.

use super::path::{make_directory, open_at};
use super::{AsFd, BorrowedFd, Errno, OwnedFd, Result, file, output, raw, whole};
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use rustix::fs::{AtFlags, FileType, OFlags, RawDir};

/// So many groups are removed in one call: it is not for them to say how long that takes.
const REMOVALS_MAX: u32 = 64;
/// Where a process goes in whose group only groups may have processes. Not the name of a file of the kernel's.
const INNER: &[u8] = b"pintle";

/// The path of our group's directory. None: there is no cgroup v2, or it is mounted where ours is not to be seen.
/// Allocates.
#[inline(never)]
pub fn own() -> Option<Vec<u8>> {
    let read = |path: &str| whole::read(path.as_ref(), 1 << 20).ok()?.ok();
    let (groups, mounts) = (read("/proc/self/cgroup")?, read("/proc/self/mountinfo")?);
    let group = lines(&groups).find_map(|line| line.strip_prefix(b"0::"))?;
    // A blank in a path is written as an octal number: such a one is not followed.
    lines(&mounts).find_map(|line| directory(line, group)).filter(|path| !path.contains(&b'\\'))
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// Where a line of proc_pid_mountinfo(5) has this group, if it is one of a cgroup v2.
fn directory(line: &[u8], group: &[u8]) -> Option<Vec<u8>> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (root, at) = (fields.nth(3)?, fields.next()?);
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    let below = group.strip_prefix(root.strip_suffix(b"/").unwrap_or(root))?;
    let below = below.strip_suffix(b"/").unwrap_or(below);
    (kind == b"cgroup2" && matches!(below, [] | [b'/', ..])).then(|| [at, below].concat())
}

/// Whether a process can be made in a group (CLONE_INTO_CGROUP of clone3(2)). Some sandboxes do not know that call, and
/// not all of our architectures have the stub.
pub fn can_clone_into() -> bool {
    // SAFETY: nothing is read: the size is refused before.
    let answer = raw::answer(unsafe { raw::syscall(raw::nr::CLONE3, 0, 0, 0, 0, 0) });
    raw::HAS_CLONE3 && answer == Err(Errno::INVAL)
}

/// Opens a group.
pub fn open(path: &[u8]) -> Result<OwnedFd> {
    open_at(rustix::fs::CWD, path, OFlags::RDONLY | OFlags::DIRECTORY, 0)
}

/// The same, one in another.
pub fn open_in(group: impl AsFd, name: &[u8]) -> Result<OwnedFd> {
    open_at(group.as_fd(), name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, 0)
}

/// Makes a group in another one, if it is not there.
pub fn make(group: impl AsFd, name: &[u8]) -> Result<()> {
    make_directory(group.as_fd(), name, 0o755)
}

/// Writes a value into a file of a group: `path` leads there from this one.
pub fn write(group: impl AsFd, path: &[u8], value: &[u8]) -> Result<()> {
    output::write_all(open_at(group.as_fd(), path, OFlags::WRONLY, 0)?.as_fd(), value)
}

/// The same by the file's whole path.
pub fn write_at(path: &[u8], value: &[u8]) -> Result<()> {
    write(rustix::fs::CWD, path, value)
}

/// Whether there is such a file.
pub fn has(group: impl AsFd, path: &[u8]) -> bool {
    open_at(group.as_fd(), path, OFlags::PATH, 0).is_ok()
}

/// Opens such a file: of cgroup.events an epoll says EPOLLERR once it has changed since it was read.
pub fn open_file(group: impl AsFd, path: &[u8]) -> Result<OwnedFd> {
    open_at(group.as_fd(), path, OFlags::RDONLY, 0)
}

/// Whether there is a process in the group of this cgroup.events, or in one below.
#[inline(never)]
pub fn is_populated(events: &OwnedFd) -> Result<bool> {
    let mut room = [0; 128];
    let count = file::read_at(events, 0, &mut room)?;
    let text = room.get(..count).unwrap_or_default();
    Ok(text.split(|byte| *byte == b'\n').any(|line| line == b"populated 1"))
}

/// Calls with the name of each group in this one, until it says no.
#[inline(never)]
pub fn each(group: BorrowedFd<'_>, call: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
    let directory = open_in(group, b".")?; // it is read from its beginning
    let mut room = [const { MaybeUninit::uninit() }; 2048];
    let mut entries = RawDir::new(directory, &mut room);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if entry.file_type() == FileType::Directory && name != b"." && name != b".." && !call(name) {
            break;
        }
    }
    Ok(())
}

/// Enters a group, or, where it hands down controllers and may have no process, one of ours in it.
#[inline(never)]
pub fn enter(path: &[u8]) -> Result<()> {
    let group = open(path)?;
    match write(&group, b"cgroup.procs", b"0") {
        Err(Errno::BUSY | Errno::OPNOTSUPP) => {
            make(&group, INNER)?;
            write(open_in(&group, INNER)?, b"cgroup.procs", b"0")
        }
        done => done,
    }
}

/// Whether there is a process in a group, or in one below. Of one that is gone nobody is; what cannot be opened for
/// another reason may be anybody's.
pub fn is_occupied(group: impl AsFd, name: &[u8]) -> bool {
    let found = || -> Result<bool> {
        let group = open_in(group.as_fd(), name)?;
        if !is_populated(&open_file(&group, b"cgroup.events")?)? {
            return Ok(false);
        }
        // From Linux 7.0 on one that is ending counts until it is gone from its processor.
        let mut room = [0; 256];
        let mut read = |file: &[u8]| -> Result<usize> { file::read_at(open_file(&group, file)?, 0, &mut room) };
        let empty = read(b"cgroup.procs")? == 0 && {
            let count = read(b"cgroup.stat")?;
            room.get(..count).is_some_and(|text| text.starts_with(b"nr_descendants 0\n"))
        };
        Ok(!empty)
    };
    found().unwrap_or_else(|error| error != Errno::NOENT && error != Errno::NODEV)
}

/// Removes a group with all that are in it, where there is no process in any of them. EBUSY: there is one. EAGAIN: it
/// is to be called again, since there are so many. One that is gone is well.
#[inline(never)]
pub fn remove(group: impl AsFd, name: &[u8]) -> Result<()> {
    let group = group.as_fd();
    match remove_one(group, name) {
        Err(Errno::BUSY) if !is_occupied(group, name) => {}
        done => return done,
    }
    // Down to those that have no others, and up again: by descriptors, however deep that is.
    let (mut at, mut depth) = (open_in(group, name)?, 1);
    for _ in 0..REMOVALS_MAX {
        let mut inner = Name::new();
        each(at.as_fd(), &mut |name| {
            let _ = inner.extend_from_slice(name); // NAME_MAX
            false
        })?;
        if inner.is_empty() {
            depth -= 1;
            if depth == 0 {
                return remove_one(group, name);
            }
            at = open_in(&at, b"..")?;
            continue;
        }
        match remove_one(at.as_fd(), &inner) {
            Err(Errno::BUSY) => (at, depth) = (open_in(&at, &inner)?, depth + 1),
            done => done?,
        }
    }
    Err(Errno::AGAIN)
}

type Name = heapless::Vec<u8, 255>;

#[inline(never)]
fn remove_one(group: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    let mut room = super::path::Room::new();
    match rustix::fs::unlinkat(group, room.put(name)?, AtFlags::REMOVEDIR) {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_group_is_found_where_it_is_mounted() {
        let line = |root, at| format!("30 24 0:26 {root} {at} rw,nosuid shared:9 - cgroup2 cgroup2 rw");
        let found = |root, group: &str| {
            directory(line(root, "/sys/fs/cgroup").as_bytes(), group.as_bytes())
                .map(|path| String::from_utf8(path).expect("UTF-8"))
        };
        for (root, group, path) in [
            ("/", "/", Some("/sys/fs/cgroup")),
            ("/", "/a/b", Some("/sys/fs/cgroup/a/b")),
            ("/a", "/a", Some("/sys/fs/cgroup")),
            ("/a", "/a/b", Some("/sys/fs/cgroup/b")),
            ("/a", "/ab", None),
            ("/a", "/", None),
            ("/..", "/", None),
        ] {
            assert_eq!(found(root, group).as_deref(), path, "{root} {group}");
        }
        assert_eq!(directory(b"30 24 0:26 / /proc rw - proc proc rw", b"/"), None);
    }
}
