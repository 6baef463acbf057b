//! Control groups of version 2: cgroups(7), and the kernel's document cgroup-v2. Which one is ours, and groups below an
//! open one. No heap but in `own`.

use super::path::{make_directory, open_at};
use super::{AsFd, BorrowedFd, Errno, OwnedFd, Result, file, output, raw, whole};
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use rustix::fs::{AtFlags, FileType, OFlags, RawDir};

/// So deep are groups below one that is removed: whoever nests deeper keeps his.
const DEPTH_MAX: u32 = 16;

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

/// Calls with the name of each group in this one.
#[inline(never)]
pub fn each(group: BorrowedFd<'_>, call: &mut dyn FnMut(&[u8])) -> Result<()> {
    let directory = open_in(group, b".")?; // it is read from its beginning
    let mut room = [const { MaybeUninit::uninit() }; 2048];
    let mut entries = RawDir::new(directory, &mut room);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if entry.file_type() == FileType::Directory && !name.starts_with(b".") {
            call(name);
        }
    }
    Ok(())
}

/// Removes a group with all that are in it. EBUSY: there is a process. One that is gone is well.
pub fn remove(group: impl AsFd, name: &[u8]) -> Result<()> {
    remove_at(group.as_fd(), name, DEPTH_MAX)
}

#[inline(never)]
fn remove_at(group: BorrowedFd<'_>, name: &[u8], depth: u32) -> Result<()> {
    let mut room = super::path::Room::new();
    let path = room.put(name)?;
    let gone = || match rustix::fs::unlinkat(group, path, AtFlags::REMOVEDIR) {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        other => Ok(other?),
    };
    match gone() {
        Err(Errno::BUSY) if depth > 0 => {
            let inner = open_in(group, name)?;
            let mut all = Ok(());
            each(inner.as_fd(), &mut |name| all = all.and(remove_at(inner.as_fd(), name, depth - 1)))?;
            all.and_then(|()| gone())
        }
        other => other,
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
