//! Users and groups from /etc/passwd and /etc/group, read directly: libc's name service allocates, loads modules and
//! may ask the network, and none of that belongs beside process 1. Lines of any length; no heap.

use super::{Errno, OwnedFd};
use heapless::Vec;
use pintle::limits::GROUPS_MAX;
use pintle::text::small_number;
use rustix::fs::OFlags;

/// A user as a service needs it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Account {
    pub uid: u32,
    /// The user's own group.
    pub gid: u32,
    /// All groups, `gid` first, each once.
    pub groups: Vec<u32, GROUPS_MAX>,
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// No line has this name.
    Absent,
    /// In more than `GROUPS_MAX` groups.
    TooManyGroups,
    /// The file cannot be read.
    Unreadable(Errno),
}

/// Where users and groups are; see passwd(5) and group(5).
#[derive(Clone, Copy, Debug)]
pub struct Files {
    pub users: &'static str,
    pub groups: &'static str,
}

/// The machine's own.
pub const FILES: Files = Files { users: "/etc/passwd", groups: "/etc/group" };

/// Finds a user by name or by number. A number that has no line is a user all the same, in a group of that number.
pub fn user(name: &[u8]) -> Result<Account, Unknown> {
    let mut account = Account::default();
    user_of(&FILES, name, &mut account).map(|()| account)
}

/// The same in other files, into `account`.
pub fn user_of(files: &Files, name: &[u8], account: &mut Account) -> Result<(), Unknown> {
    user_in(name, open(files.users), open(files.groups), account)
}

/// The user, and the group, that stand for all that have no number in our user namespace (user_namespaces(7)); `None`
/// where these are users and groups like others. Where that cannot be found out, they are strangers.
#[inline(never)]
pub fn strangers() -> [Option<u32>; 2] {
    ["uid", "gid"].map(|kind| {
        let number = |path: &str| small_number(super::file::read_start(path, &mut [0; 16]).ok()?.trim_ascii());
        let path = |kind| if kind == "uid" { "/proc/sys/kernel/overflowuid" } else { "/proc/sys/kernel/overflowgid" };
        let stranger = number(path(kind)).unwrap_or(65534);
        let map = if kind == "uid" { "/proc/self/uid_map" } else { "/proc/self/gid_map" };
        let mut buffer = [0; 1024];
        let text = super::file::read_start(map, &mut buffer).unwrap_or_default();
        let is_mapped = text.split(|byte| *byte == b'\n').any(|line| {
            let mut numbers = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).map(small_number);
            let (first, _, count) = (numbers.next().flatten(), numbers.next(), numbers.next().flatten());
            first.zip(count).is_some_and(|(first, count)| (first..first.saturating_add(count)).contains(&stranger))
        });
        (!is_mapped).then_some(stranger)
    })
}

/// Gives the names of a user and of groups to `each`, which is told whether one is a group's. One pass over each file;
/// of what cannot be read there are none.
#[inline(never)]
pub fn names(uid: u32, gids: &[u32], each: &mut dyn FnMut(bool, &[u8])) {
    for (path, is_group) in [(FILES.users, false), (FILES.groups, true)] {
        let _ = each_line(open(path), None, &mut |line| {
            let is_meant = |number| if is_group { gids.contains(&number) } else { number == uid };
            if line.fields[2].number().is_some_and(is_meant) {
                each(is_group, line.fields[0].text());
            }
            true
        });
    }
}

/// Finds a group by name or by number; a number needs no line.
pub fn group(name: &[u8]) -> Result<u32, Unknown> {
    group_of(&FILES, name)
}

/// The same in another file.
pub fn group_of(files: &Files, name: &[u8]) -> Result<u32, Unknown> {
    group_in(name, open(files.groups))
}

fn open(path: &str) -> super::Result<OwnedFd> {
    super::path::open(path.as_bytes(), OFlags::RDONLY, 0)
}

#[inline(never)]
fn user_in(
    name: &[u8],
    users: super::Result<OwnedFd>,
    groups: super::Result<OwnedFd>,
    account: &mut Account,
) -> Result<(), Unknown> {
    let by_number = small_number(name);
    // User and group of the line, and its name; a line of the number counts where none has the name.
    let mut found = by_number.map(|uid| (uid, Some(uid)));
    let (mut member, mut has_line) = (Field::EMPTY, false);
    each_line(users, None, &mut |line| {
        let Some(uid) = line.fields[2].number() else { return true };
        let is_named = line.fields[0].is(name);
        if is_named || !has_line && Some(uid) == by_number {
            found = Some((uid, line.fields[3].number()));
            member = line.fields[0];
            has_line = true;
        }
        !is_named
    })
    .map_err(Unknown::Unreadable)?;
    let Some((uid, Some(gid))) = found else { return Err(Unknown::Absent) };
    (account.uid, account.gid) = (uid, gid);
    account.groups.clear();
    let _ = account.groups.push(gid); // the first of GROUPS_MAX
    if groups.is_err() {
        return Ok(()); // an image without groups is a small machine
    }
    let mut all = true;
    let read = each_line(groups, Some(member.text()), &mut |line| {
        if let (true, Some(gid)) = (line.is_member, line.fields[2].number())
            && !account.groups.contains(&gid)
        {
            all = account.groups.push(gid).is_ok();
        }
        all
    });
    if all { read.map_err(Unknown::Unreadable) } else { Err(Unknown::TooManyGroups) }
}

fn group_in(name: &[u8], groups: super::Result<OwnedFd>) -> Result<u32, Unknown> {
    let mut found = None;
    let read = each_line(groups, None, &mut |line| {
        if line.fields[0].is(name) {
            found = line.fields[2].number();
        }
        found.is_none()
    });
    match (found.or(small_number(name)), read) {
        (Some(gid), _) => Ok(gid),
        (None, Ok(())) => Err(Unknown::Absent),
        (None, Err(error)) => Err(Unknown::Unreadable(error)),
    }
}

/// What matters of a line: `name:password:uid:gid:...` of passwd(5), `name:password:gid:member,member` of group(5).
struct Line {
    fields: [Field; 4],
    is_member: bool,
}

/// A field, kept as far as it fits: what is longer is the name of nobody, and no number.
#[derive(Clone, Copy)]
struct Field {
    text: [u8; 64],
    length: usize,
}

impl Field {
    const EMPTY: Field = Field { text: [0; 64], length: 0 };

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
    }

    fn text(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }

    fn is(&self, name: &[u8]) -> bool {
        !name.is_empty() && self.text() == name
    }

    fn number(&self) -> Option<u32> {
        small_number(self.text())
    }
}

/// Gives the lines of a file to `each` until that has enough. With `member`, the fourth field is a list, in which that
/// is looked for.
#[inline(never)]
fn each_line(
    file: super::Result<OwnedFd>,
    member: Option<&[u8]>,
    each: &mut dyn FnMut(&Line) -> bool,
) -> super::Result<()> {
    let file = file?;
    let mut line = Line { fields: [Field::EMPTY; 4], is_member: false };
    let (mut buffer, mut at, mut any) = ([0; 1024], 0, false);
    loop {
        let count = super::file::read(&file, &mut buffer)?;
        // The end of the file ends a line.
        let bytes = if count == 0 { b"\n" } else { buffer.get(..count).unwrap_or_default() };
        for byte in bytes {
            let is_item = *byte == b',' && at == 3 && member.is_some();
            if !is_item && *byte != b':' && *byte != b'\n' {
                if let Some(field) = line.fields.get_mut(at) {
                    field.push(*byte);
                }
                any = true;
                continue;
            }
            if let (3, Some(member)) = (at, member) {
                line.is_member |= line.fields[3].is(member);
                line.fields[3].length = 0;
            }
            at += usize::from(*byte == b':');
            if *byte == b'\n' {
                if any && !each(&line) {
                    return Ok(());
                }
                line.fields.iter_mut().for_each(|field| field.length = 0);
                (line.is_member, at, any) = (false, 0, false);
            }
        }
        if count == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> crate::sys::Result<OwnedFd> {
        let fd = rustix::fs::memfd_create("accounts", rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
        crate::sys::output::write_all(rustix::fd::AsFd::as_fd(&fd), text.as_bytes()).expect("memory");
        rustix::fs::seek(&fd, rustix::fs::SeekFrom::Start(0)).expect("memory");
        Ok(fd.into())
    }

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\n+\nbroken:x:\ncomma:x:3,3:1\nwww-data:x:33:34::/var/www:/bin/false\n1000:x:7:8::/:";

    fn find(name: &str, groups: &str) -> Result<(u32, u32, std::vec::Vec<u32>), Unknown> {
        let mut found = Account::default();
        user_in(name.as_bytes(), lines(PASSWD), lines(groups), &mut found)?;
        Ok((found.uid, found.gid, found.groups.to_vec()))
    }

    #[test]
    fn a_user_is_found_by_name_then_by_number() {
        let groups =
            "root:x:0:\nweb:x:34:www-data\nssl:x:50:other,www-data\nother:x:51:www-data2,www-dat\nlog:x:52:www-data";
        assert_eq!(find("www-data", groups), Ok((33, 34, vec![34, 50, 52])));
        assert_eq!(find("33", groups), Ok((33, 34, vec![34, 50, 52])));
        assert_eq!(find("1000", groups), Ok((7, 8, vec![8]))); // a name made of digits comes first
        assert_eq!(find("4711", groups), Ok((4711, 4711, vec![4711])));
        for absent in ["nobody", "broken", "comma", "", "+", "www", "99999999999"] {
            assert_eq!(find(absent, groups), Err(Unknown::Absent), "{absent}");
        }
    }

    #[test]
    fn long_lines_and_many_groups_are_no_danger() {
        let members = "x".repeat(5000) + "," + &"someone,".repeat(1000) + "www-data";
        assert_eq!(find("www-data", &format!("long:x:60:{members}\n")), Ok((33, 34, vec![34, 60])));
        let many: String = (100..140).map(|gid| format!("g{gid}:x:{gid}:www-data\n")).collect();
        assert_eq!(find("www-data", &many), Err(Unknown::TooManyGroups));
        assert_eq!(group_in(b"g7", lines("g77:x:1:\ng7:x:2:\n")), Ok(2));
        assert_eq!(group_in(b"g8", lines("g77:x:1:\ng7:x:2:\n")), Err(Unknown::Absent));
    }
}
