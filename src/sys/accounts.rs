//! Users and groups from /etc/passwd and /etc/group, read directly: libc's name service allocates, loads modules and
//! may ask the network, and none of that belongs beside process 1. Lines of any length; no heap.

use super::{Errno, OwnedFd};
use heapless::Vec;
use pintle::limits::GROUPS_MAX;
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
    user_in(name, &mut open(files.users)?, open(files.groups), account)
}

/// Finds a group by name or by number; a number needs no line.
pub fn group(name: &[u8]) -> Result<u32, Unknown> {
    group_of(&FILES, name)
}

/// The same in another file.
pub fn group_of(files: &Files, name: &[u8]) -> Result<u32, Unknown> {
    match (number(name), open(files.groups)) {
        (found, Ok(mut lines)) => group_in(name, &mut lines).or(found.ok_or(Unknown::Absent)),
        (Some(found), Err(_)) => Ok(found),
        (None, Err(error)) => Err(error),
    }
}

fn open(path: &str) -> Result<Lines, Unknown> {
    super::path::open(path.as_bytes(), OFlags::RDONLY, 0).map(Lines::new).map_err(Unknown::Unreadable)
}

/// The number that decimal digits, and nothing else, stand for.
pub fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add((byte - b'0').into()),
        _ => None,
    })
}

fn user_in(
    name: &[u8],
    passwd: &mut Lines,
    groups: Result<Lines, Unknown>,
    account: &mut Account,
) -> Result<(), Unknown> {
    let by_number = number(name);
    // User, group and name of the line; a line of the number counts where none has the name.
    let mut found = by_number.map(|uid| (uid, Some(uid), Field::default()));
    let (mut line, mut has_line) = (Line::default(), false);
    while passwd.next(&mut line, None) {
        let Some(uid) = line.fields[2].number() else { continue };
        let is_named = line.fields[0].is(name);
        if is_named || !has_line && Some(uid) == by_number {
            found = Some((uid, line.fields[3].number(), line.fields[0].clone()));
            has_line = true;
        }
        if is_named {
            break;
        }
    }
    if let Some(error) = passwd.error {
        return Err(Unknown::Unreadable(error));
    }
    let Some((uid, Some(gid), member)) = found else { return Err(Unknown::Absent) };
    (account.uid, account.gid) = (uid, gid);
    account.groups.clear();
    let _ = account.groups.push(gid); // the first of GROUPS_MAX
    let Ok(mut groups) = groups else { return Ok(()) }; // an image without groups is a small machine
    while groups.next(&mut line, Some(if member.too_long { b"" } else { &member.text })) {
        if let (true, Some(gid)) = (line.is_member, line.fields[2].number())
            && !account.groups.contains(&gid)
        {
            account.groups.push(gid).map_err(|_| Unknown::TooManyGroups)?;
        }
    }
    groups.error.map_or(Ok(()), |error| Err(Unknown::Unreadable(error)))
}

fn group_in(name: &[u8], lines: &mut Lines) -> Result<u32, Unknown> {
    let mut line = Line::default();
    while lines.next(&mut line, None) {
        if let (true, Some(gid)) = (line.fields[0].is(name), line.fields[2].number()) {
            return Ok(gid);
        }
    }
    Err(lines.error.map_or(Unknown::Absent, Unknown::Unreadable))
}

/// What matters of a line: `name:password:uid:gid:...` of passwd(5), `name:password:gid:member,member` of group(5).
#[derive(Default)]
struct Line {
    fields: [Field; 4],
    is_member: bool,
}

/// A field, kept as far as it fits. (A name longer than this is no member of any group that we find.)
#[derive(Default, Clone)]
struct Field {
    text: Vec<u8, 64>,
    too_long: bool,
}

impl Field {
    fn is(&self, name: &[u8]) -> bool {
        !self.too_long && !name.is_empty() && self.text == name
    }

    fn number(&self) -> Option<u32> {
        if self.too_long { None } else { number(&self.text) }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.too_long = false;
    }
}

/// A file, byte by byte through a small buffer.
struct Lines {
    fd: OwnedFd,
    buffer: [u8; 1024],
    at: usize,
    filled: usize,
    error: Option<Errno>,
}

impl Lines {
    fn new(fd: OwnedFd) -> Lines {
        Lines { fd, buffer: [0; 1024], at: 0, filled: 0, error: None }
    }

    fn byte(&mut self) -> Option<u8> {
        if self.at == self.filled {
            let read = super::file::read(&self.fd, &mut self.buffer);
            self.error = read.err();
            (self.at, self.filled) = (0, read.unwrap_or(0));
        }
        let byte = self.buffer.get(..self.filled)?.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    /// Reads the next line; `false` at the file's end. With `member`, the fourth field is a list, in which that is looked
    /// for.
    fn next(&mut self, line: &mut Line, member: Option<&[u8]>) -> bool {
        line.fields.iter_mut().for_each(Field::clear);
        line.is_member = false;
        let (mut at, mut any) = (0, false);
        loop {
            let byte = self.byte();
            any |= byte.is_some();
            let is_end = match byte {
                None | Some(b':' | b'\n') => true,
                Some(b',') => member.is_some() && at == 3,
                Some(_) => false,
            };
            match byte {
                Some(byte) if !is_end => {
                    if let Some(field) = line.fields.get_mut(at) {
                        field.too_long |= field.text.push(byte).is_err();
                    }
                    continue;
                }
                Some(_) | None => {}
            }
            if let (3, Some(member)) = (at, member) {
                line.is_member |= line.fields[3].is(member);
                line.fields[3].clear();
            }
            match byte {
                Some(b':') => at += 1,
                Some(b',') => {}
                Some(_) | None => return any,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Lines {
        let fd = rustix::fs::memfd_create("accounts", rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
        crate::sys::output::write_all(std::os::fd::AsFd::as_fd(&fd), text.as_bytes()).expect("memory");
        rustix::fs::seek(&fd, rustix::fs::SeekFrom::Start(0)).expect("memory");
        Lines::new(fd)
    }

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\n+\nbroken:x:\ncomma:x:3,3:1\nwww-data:x:33:34::/var/www:/bin/false\n1000:x:7:8::/:";

    fn find(name: &str, groups: &str) -> Result<(u32, u32, std::vec::Vec<u32>), Unknown> {
        let mut found = Account::default();
        user_in(name.as_bytes(), &mut lines(PASSWD), Ok(lines(groups)), &mut found)?;
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
        assert_eq!(group_in(b"g7", &mut lines("g77:x:1:\ng7:x:2:\n")), Ok(2));
        assert_eq!(group_in(b"g8", &mut lines("g77:x:1:\ng7:x:2:\n")), Err(Unknown::Absent));
    }
}
