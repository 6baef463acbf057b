//! Users and groups: names to numbers, from /etc/passwd and /etc/group alone, without libc's name service (which loads
//! libraries, asks the network, and allocates: nothing for process 1).
//!
//! The names that a database uses are kept resolved; a lookup costs two stat(2), and the files are read again when one
//! of them has changed. A name that is not kept (more than `ACCOUNTS_MAX`, or expanded for an instance) is looked for in
//! the files each time: slower, never wrong. Nothing allocates.

use crate::sys::fields::{self, Field};
use crate::sys::file::Identity;
use crate::sys::{Errno, Result};
use core::fmt;
use pintle::database::{Image, header};
use pintle::limits::{ACCOUNTS_MAX, GROUPS_MAX};

/// Memberships of all kept users together; beyond it the files are read at each lookup.
const MEMBERSHIPS_MAX: usize = 1024;
/// No next membership.
const END: u16 = u16::MAX;

/// As whom a process is to run: what `sys::spawn::Plan` takes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Account {
    /// None: unchanged.
    pub uid: Option<u32>,
    /// None: unchanged.
    pub gid: Option<u32>,
    groups: heapless::Vec<u32, GROUPS_MAX>,
}

impl Account {
    /// The supplementary groups, of which `gid` is one; none: unchanged.
    pub fn groups(&self) -> Option<&[u32]> {
        self.gid.map(|_| self.groups.as_slice())
    }

    /// This account for a process that already runs as (`uid`, `gid`): nothing is to change where nothing would, so
    /// that a service may name the user who runs everything, who may have no right to call setgroups(2).
    pub fn seen_from(self, uid: u32, gid: u32) -> Account {
        if self.uid.is_none_or(|own| own == uid) && self.gid == Some(gid) { Account::default() } else { self }
    }
}

/// Why an account cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// No such user, by name; the name is the caller's.
    User,
    /// No such group.
    Group,
    /// It is in more than `GROUPS_MAX` groups.
    TooManyGroups,
    /// The files could not be read (EMFILE, EIO, ...): may pass.
    Unreadable(Errno),
}

impl fmt::Display for Unknown {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unknown::User => to.write_str("no such user"),
            Unknown::Group => to.write_str("no such group"),
            Unknown::TooManyGroups => to.write_str("the user is in too many groups"),
            Unknown::Unreadable(errno) => write!(to, "users cannot be read: {}", crate::sys::errno::Words(*errno)),
        }
    }
}

/// What the files say about one name.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: &'static [u8],
    /// uid and primary gid, if it is a user.
    user: Option<(u32, u32)>,
    /// gid, if it is a group.
    group: Option<u32>,
    /// First of its memberships.
    memberships: u16,
}

/// The cache.
pub struct Accounts {
    passwd: &'static str,
    group: &'static str,
    seen: Option<[Identity; 2]>,
    entries: heapless::Vec<Entry, ACCOUNTS_MAX>,
    memberships: heapless::Vec<(u32, u16), MEMBERSHIPS_MAX>,
    /// The memberships did not all fit.
    overflowed: bool,
}

impl Default for Accounts {
    fn default() -> Accounts {
        Accounts::over("/etc/passwd", "/etc/group")
    }
}

impl Accounts {
    /// Over these two files; see passwd(5) and group(5).
    pub const fn over(passwd: &'static str, group: &'static str) -> Accounts {
        Accounts {
            passwd,
            group,
            seen: None,
            entries: heapless::Vec::new(),
            memberships: heapless::Vec::new(),
            overflowed: false,
        }
    }

    /// Takes the names of a database (again). Nothing is read yet.
    pub fn take(&mut self, image: &Image<'static>) {
        let image = *image;
        let names = image.list(image.header(header::ACCOUNTS));
        self.take_names(names.iter().map(|name| image.bytes_of(name)));
    }

    fn take_names(&mut self, names: impl Iterator<Item = &'static [u8]>) {
        self.entries.clear();
        for name in names {
            // Beyond the table: looked up each time.
            let _ = self.entries.push(Entry { name, user: None, group: None, memberships: END });
        }
        self.seen = None;
    }

    /// As whom to run for `user` and `group` of a service, each a name, a decimal number, or empty (unchanged; of the
    /// group: the user's).
    ///
    /// The supplementary groups are those that name the user, and the primary one, nothing else. A number that no user
    /// has is a user all the same, with the group of the same number where none is given.
    pub fn resolve(&mut self, user: &[u8], group: &[u8]) -> core::result::Result<Account, Unknown> {
        if user.is_empty() && group.is_empty() {
            return Ok(Account::default());
        }
        self.refresh().map_err(Unknown::Unreadable)?;
        let mut found = self.find(user, group);
        if found.is_none() {
            found = Some(look_up(self.passwd, self.group, user, group).map_err(Unknown::Unreadable)?);
        }
        let Found { user: own, group: own_group, mut groups, too_many } = found.unwrap_or_default();
        if !user.is_empty() && own.is_none() {
            return Err(Unknown::User);
        }
        if !group.is_empty() && own_group.is_none() {
            return Err(Unknown::Group);
        }
        let gid = own_group.or(own.map(|(_, gid)| gid));
        let complete = gid.is_none_or(|gid| groups.contains(&gid) || groups.push(gid).is_ok());
        if too_many || !complete {
            return Err(Unknown::TooManyGroups);
        }
        Ok(Account { uid: own.map(|(uid, _)| uid), gid, groups })
    }

    /// What is kept about them; none if not everything about them is.
    fn find(&self, user: &[u8], group: &[u8]) -> Option<Found> {
        let entry = |name: &[u8]| self.entries.iter().find(|entry| entry.name == name);
        let mut found = Found::default();
        if !user.is_empty() {
            // Numbers may belong to a name, whose groups count: that is looked for in the files.
            let entry = entry(user).filter(|_| !self.overflowed && fields::number(user).is_none())?;
            found.user = entry.user;
            let mut at = entry.memberships;
            while let Some((gid, next)) = self.memberships.get(at as usize) {
                found.add(*gid);
                at = *next;
            }
        }
        if !group.is_empty() {
            found.group = match fields::number(group) {
                Some(gid) => Some(gid),
                None => entry(group)?.group,
            };
        }
        Some(found)
    }

    /// Reads the files if they are not those that were read last.
    fn refresh(&mut self) -> Result<()> {
        let now = [self.passwd, self.group].map(|path| Identity::of_path(path.as_bytes()));
        if self.seen == Some(now) {
            return Ok(());
        }
        self.seen = None;
        self.memberships.clear();
        self.overflowed = false;
        for entry in &mut self.entries {
            (entry.user, entry.group, entry.memberships) = (None, None, END);
        }
        let entries = &mut self.entries;
        each_user(self.passwd, |name, uid, gid| {
            // The first line of a name counts, as everywhere.
            let unset = |entry: &&mut Entry| entry.user.is_none() && entry.name == name;
            if let Some(entry) = entries.iter_mut().find(unset) {
                entry.user = Some((uid, gid));
            }
        })?;
        each_group(self.group, |gid, line| match line {
            GroupLine::Name(name) => {
                let unset = |entry: &&mut Entry| entry.group.is_none() && entry.name == name;
                if let Some(entry) = entries.iter_mut().find(unset) {
                    entry.group = Some(gid);
                }
            }
            GroupLine::Member(name) => {
                if let Some(entry) = entries.iter_mut().find(|entry| entry.name == name) {
                    match self.memberships.push((gid, entry.memberships)) {
                        Ok(()) => entry.memberships = self.memberships.len() as u16 - 1, // MEMBERSHIPS_MAX < END
                        Err(_) => self.overflowed = true,
                    }
                }
            }
        })?;
        self.seen = Some(now);
        Ok(())
    }
}

/// What the files say about a user and a group.
#[derive(Default)]
struct Found {
    user: Option<(u32, u32)>,
    group: Option<u32>,
    groups: heapless::Vec<u32, GROUPS_MAX>,
    too_many: bool,
}

impl Found {
    fn add(&mut self, gid: u32) {
        self.too_many |= !self.groups.contains(&gid) && self.groups.push(gid).is_err();
    }
}

/// Reads the files for one pair.
fn look_up(passwd: &str, group_file: &str, user: &[u8], group: &[u8]) -> Result<Found> {
    let mut found = Found { group: fields::number(group), ..Found::default() };
    let wanted = fields::number(user);
    let mut own_name: heapless::Vec<u8, { fields::FIELD_BYTES_MAX }> = heapless::Vec::new();
    if !user.is_empty() {
        each_user(passwd, |name, uid, gid| {
            if found.user.is_none() && wanted.map_or(name == user, |wanted| wanted == uid) {
                found.user = Some((uid, gid));
                let _ = own_name.extend_from_slice(name); // a field is never longer
            }
        })?;
        if found.user.is_none() {
            found.user = wanted.map(|uid| (uid, uid));
        }
    }
    each_group(group_file, |gid, line| match line {
        GroupLine::Name(name) if found.group.is_none() && name == group => found.group = Some(gid),
        GroupLine::Name(_) => {}
        GroupLine::Member(name) if !own_name.is_empty() && name == own_name.as_slice() => found.add(gid),
        GroupLine::Member(_) => {}
    })?;
    Ok(found)
}

/// Every user of a passwd file: name, uid, gid. Lines that are none are passed over.
fn each_user(path: &str, mut each: impl FnMut(&[u8], u32, u32)) -> Result<()> {
    let mut name: heapless::Vec<u8, { fields::FIELD_BYTES_MAX }> = heapless::Vec::new();
    let mut uid = None;
    fields::read(path.as_bytes(), |Field { number, text, .. }| {
        match number {
            0 => {
                name.clear();
                let _ = name.extend_from_slice(text); // a field is never longer
                uid = None;
            }
            2 => uid = fields::number(text),
            3 => {
                if let (Some(uid), Some(gid), false) = (uid.take(), fields::number(text), name.is_empty()) {
                    each(&name, uid, gid);
                }
            }
            _ => {}
        }
        true
    })
}

/// What a line of a group file says about its group.
enum GroupLine<'a> {
    Name(&'a [u8]),
    Member(&'a [u8]),
}

/// Every group of a group file: its name, then its members.
fn each_group(path: &str, mut each: impl FnMut(u32, GroupLine<'_>)) -> Result<()> {
    let mut name: heapless::Vec<u8, { fields::FIELD_BYTES_MAX }> = heapless::Vec::new();
    let mut gid = None;
    fields::read(path.as_bytes(), |Field { number, text, .. }| {
        match (number, gid) {
            (0, _) => {
                name.clear();
                let _ = name.extend_from_slice(text); // a field is never longer
                gid = None;
            }
            (2, _) => {
                gid = fields::number(text);
                if let (Some(gid), false) = (gid, name.is_empty()) {
                    each(gid, GroupLine::Name(&name));
                }
            }
            (3, Some(gid)) if !text.is_empty() => each(gid, GroupLine::Member(text)),
            _ => {}
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:\n# not a line\nwww:x:99:99::/:\n";
    const GROUP: &str = "root:x:0:\nwww:x:33:\nssl-cert:x:110:postgres,www\nlog:x:4:www";

    struct Files {
        directory: PathBuf,
        accounts: Accounts,
    }

    impl Files {
        fn new(name: &str) -> Files {
            let directory = std::env::temp_dir().join(format!("pintle-accounts-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&directory).expect("a directory can be made");
            let path = |file| -> &'static str { directory.join(file).to_str().expect("text").to_string().leak() };
            let files = Files { accounts: Accounts::over(path("passwd"), path("group")), directory };
            files.write("passwd", PASSWD);
            files.write("group", GROUP);
            files
        }

        /// As the tools do it: a new file in the place of the old one.
        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.directory.join("new"), text).expect("a file can be written");
            std::fs::rename(self.directory.join("new"), self.directory.join(name)).expect("and renamed");
        }

        fn resolve(&mut self, user: &str, group: &str) -> core::result::Result<Account, Unknown> {
                if self.accounts.entries.is_empty() {
                self.accounts.take_names([&b"www"[..], b"log", b"late"].into_iter());
            }
            self.accounts.resolve(user.as_bytes(), group.as_bytes())
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }

    fn account(uid: Option<u32>, gid: u32, groups: &[u32]) -> core::result::Result<Account, Unknown> {
        Ok(Account { uid, gid: Some(gid), groups: groups.iter().copied().collect() })
    }

    fn sorted(account: core::result::Result<Account, Unknown>) -> core::result::Result<Account, Unknown> {
        account.map(|mut account| {
            account.groups.sort_unstable();
            account
        })
    }

    #[test]
    fn names_and_numbers_give_user_group_and_memberships() {
        let mut files = Files::new("names");
        for (user, group, expected) in [
            ("", "", Ok(Account::default())),
            ("www", "", account(Some(33), 33, &[4, 33, 110])),
            ("www", "log", account(Some(33), 4, &[4, 110])),
            ("", "log", account(None, 4, &[4])),
            ("33", "", account(Some(33), 33, &[4, 33, 110])),
            ("www", "7", account(Some(33), 7, &[4, 7, 110])),
            ("1234", "", account(Some(1234), 1234, &[1234])),
            ("1234", "root", account(Some(1234), 0, &[0])), // "root" is not in the table
            ("root", "", account(Some(0), 0, &[0])),
            ("late", "", Err(Unknown::User)),
            ("www", "late", Err(Unknown::Group)),
            ("absent", "log", Err(Unknown::User)),
            ("4294967296", "", Err(Unknown::User)),
        ] {
            assert_eq!(sorted(files.resolve(user, group)), expected, "{user} {group}");
        }
    }

    #[test]
    fn a_user_added_later_is_found_and_one_removed_is_gone() {
        let mut files = Files::new("later");
        assert_eq!(files.resolve("late", ""), Err(Unknown::User));
        files.write("passwd", &format!("{PASSWD}late:x:500:501::/:\n"));
        assert_eq!(files.resolve("late", ""), account(Some(500), 501, &[501]));
        files.write("group", "late:x:502:late\n");
        assert_eq!(sorted(files.resolve("late", "")), account(Some(500), 501, &[501, 502]));
        assert_eq!(sorted(files.resolve("late", "late")), account(Some(500), 502, &[502]));
        files.write("passwd", "");
        assert_eq!(files.resolve("late", ""), Err(Unknown::User));
    }

    #[test]
    fn more_groups_than_a_process_is_given_is_said() {
        let mut files = Files::new("many");
        let lines: String = (0..=GROUPS_MAX).map(|n| format!("g{n}:x:{}:www\n", 1000 + n)).collect();
        files.write("group", &lines);
        assert_eq!(files.resolve("www", ""), Err(Unknown::TooManyGroups));
    }

    #[test]
    fn who_runs_already_as_that_user_changes_nothing() {
        let mut files = Files::new("seen");
        let www = files.resolve("www", "").expect("known");
        assert_eq!(www.clone().seen_from(33, 33), Account::default());
        assert_eq!(www.clone().seen_from(33, 0), www);
    }
}
