//! Users and groups from /etc/passwd and /etc/group, read directly: libc's name service allocates, loads modules and
//! may ask the network, and none of that belongs beside process 1. Lines of any length; no heap.

use super::{Errno, OwnedFd};
use heapless::Vec;
use pintle::limits::GROUPS_MAX;
use rustix::fs::OFlags;

/// A user as a service needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
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
pub fn user(name: &[u8]) -> core::result::Result<Account, Unknown> {
    user_of(&FILES, name)
}

/// The same in other files.
pub fn user_of(files: &Files, name: &[u8]) -> core::result::Result<Account, Unknown> {
    user_in(name, &mut open(files.users)?, open(files.groups))
}

/// Finds a group by name or by number; a number needs no line.
pub fn group(name: &[u8]) -> core::result::Result<u32, Unknown> {
    group_of(&FILES, name)
}

/// The same in another file.
pub fn group_of(files: &Files, name: &[u8]) -> core::result::Result<u32, Unknown> {
    match (number(name), open(files.groups)) {
        (found, Ok(mut lines)) => group_in(name, &mut lines).or(found.ok_or(Unknown::Absent)),
        (Some(found), Err(_)) => Ok(found),
        (None, Err(error)) => Err(error),
    }
}

/// The name of a user, as far as it fits into `buffer`; for messages.
pub fn user_name(uid: u32, buffer: &mut [u8]) -> Option<usize> {
    let mut lines = open("/etc/passwd").ok()?;
    while let Some(line) = lines.passwd_line(b"") {
        if line.uid == Some(uid) {
            let name = line.name.as_slice();
            buffer.get_mut(..name.len())?.copy_from_slice(name);
            return Some(name.len());
        }
    }
    None
}

fn open(path: &str) -> core::result::Result<Lines, Unknown> {
    super::path::open(path.as_bytes(), OFlags::RDONLY, 0).map(Lines::new).map_err(Unknown::Unreadable)
}

fn number(text: &[u8]) -> Option<u32> {
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
    groups: core::result::Result<Lines, Unknown>,
) -> core::result::Result<Account, Unknown> {
    let by_number = number(name);
    let mut found = None;
    let mut line_of_number = None;
    while let (None, Some(line)) = (&found, passwd.passwd_line(name)) {
        if line.matches && line.uid.is_some() {
            found = Some(line);
        } else if by_number.is_some() && line.uid == by_number && line_of_number.is_none() {
            line_of_number = Some(line);
        }
    }
    if let Some(error) = passwd.error {
        return Err(Unknown::Unreadable(error));
    }
    let (uid, gid, member) = match (found.or(line_of_number), by_number) {
        (Some(Passwd { uid: Some(uid), gid, name, .. }), _) => (uid, gid.ok_or(Unknown::Absent)?, name),
        (_, Some(uid)) => (uid, uid, Vec::new()),
        (_, None) => return Err(Unknown::Absent),
    };
    let mut account = Account { uid, gid, groups: Vec::new() };
    let _ = account.groups.push(gid); // the first of GROUPS_MAX
    let Ok(mut groups) = groups else { return Ok(account) }; // an image without groups is a small machine
    while let Some(line) = groups.group_line(b"", &member) {
        if let (true, Some(gid)) = (line.has_member, line.gid)
            && !account.groups.contains(&gid)
        {
            account.groups.push(gid).map_err(|_| Unknown::TooManyGroups)?;
        }
    }
    groups.error.map_or(Ok(account), |error| Err(Unknown::Unreadable(error)))
}

fn group_in(name: &[u8], lines: &mut Lines) -> core::result::Result<u32, Unknown> {
    while let Some(line) = lines.group_line(name, b"") {
        if let (true, Some(gid)) = (line.matches, line.gid) {
            return Ok(gid);
        }
    }
    Err(lines.error.map_or(Unknown::Absent, Unknown::Unreadable))
}

/// What matters of `name:password:uid:gid:...`; see passwd(5).
struct Passwd {
    matches: bool,
    /// A name longer than this is no member of any group that we find.
    name: Vec<u8, 64>,
    uid: Option<u32>,
    gid: Option<u32>,
}

/// What matters of `name:password:gid:member,member`; see group(5).
struct Group {
    matches: bool,
    gid: Option<u32>,
    has_member: bool,
}

/// A field, followed as it is read: the text is compared and kept as far as it fits.
#[derive(Default)]
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

    /// Reads up to one of `:`, `,` (if `commas`) or the end of the line; says what ended it. None: the file's end.
    fn field(&mut self, commas: bool) -> (Field, Option<u8>) {
        let mut field = Field::default();
        loop {
            match self.byte() {
                Some(end @ (b':' | b'\n')) => return (field, Some(end)),
                Some(b',') if commas => return (field, Some(b',')),
                Some(byte) => field.too_long |= field.text.push(byte).is_err(),
                None => return (field, None),
            }
        }
    }

    fn passwd_line(&mut self, name: &[u8]) -> Option<Passwd> {
        let mut line = Passwd { matches: false, name: Vec::new(), uid: None, gid: None };
        for at in 0.. {
            let (field, end) = self.field(false);
            match at {
                0 if field.text.is_empty() && end.is_none() => return None,
                0 => (line.matches, line.name) = (field.is(name), field.text),
                2 => line.uid = field.number(),
                3 => line.gid = field.number(),
                _ => {} // password, comment, home and shell do not concern us
            }
            if end != Some(b':') {
                break;
            }
        }
        Some(line)
    }

    fn group_line(&mut self, name: &[u8], member: &[u8]) -> Option<Group> {
        let mut line = Group { matches: false, gid: None, has_member: false };
        let mut at = 0;
        loop {
            let (field, end) = self.field(at == 3);
            match at {
                0 if field.text.is_empty() && end.is_none() => return None,
                0 => line.matches = field.is(name),
                2 => line.gid = field.number(),
                3 => line.has_member |= field.is(member),
                _ => {} // password
            }
            match end {
                Some(b':') => at += 1,
                Some(b',') => {}
                Some(_) | None => return Some(line),
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

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\n\n+\nbroken:x:\nwww-data:x:33:34::/var/www:/bin/false\n1000:x:7:8::/:";

    fn find(name: &str, groups: &str) -> core::result::Result<(u32, u32, std::vec::Vec<u32>), Unknown> {
        let found = user_in(name.as_bytes(), &mut lines(PASSWD), Ok(lines(groups)))?;
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
        for absent in ["nobody", "broken", "", "+", "www", "99999999999"] {
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
