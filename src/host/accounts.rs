//! Users and groups of services, kept resolved: a lookup costs two stat(2), and the files are read again when one of
//! them has changed. A name that is not kept (more than `ACCOUNTS_MAX`, or expanded for an instance) is looked for in
//! the files each time: slower, never wrong.

use crate::sys::accounts::{self, FILES, Files};
use crate::sys::file::Identity;
use core::fmt;
use heapless::Vec;
use pintle::database::{Image, header};
use pintle::limits::{ACCOUNTS_MAX, GROUPS_MAX};

/// As whom a process is to run: what `sys::spawn::Plan` takes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Account {
    /// None: unchanged.
    pub uid: Option<u32>,
    /// None: unchanged.
    pub gid: Option<u32>,
    groups: Vec<u32, GROUPS_MAX>,
}

impl Account {
    /// The supplementary groups, of which `gid` is one; none: unchanged.
    pub fn groups(&self) -> Option<&[u32]> {
        self.gid.map(|_| self.groups.as_slice())
    }

    /// Makes it one for a process that already runs as (`uid`, `gid`): nothing is to change where nothing would, so
    /// that a service may name the user who runs everything, who may have no right to call setgroups(2).
    pub fn seen_from(&mut self, uid: u32, gid: u32) {
        if self.uid.is_none_or(|own| own == uid) && self.gid == Some(gid) {
            *self = Account::default();
        }
    }
}

/// Why an account cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// The user; the name is the caller's.
    User(accounts::Unknown),
    /// The group.
    Group(accounts::Unknown),
}

impl fmt::Display for Unknown {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, why) = match self {
            Unknown::User(why) => ("user", why),
            Unknown::Group(why) => ("group", why),
        };
        match why {
            accounts::Unknown::Absent => write!(to, "no such {what}"),
            accounts::Unknown::TooManyGroups => write!(to, "the {what} is in more than {GROUPS_MAX} groups"),
            accounts::Unknown::Unreadable(error) => {
                write!(to, "{what}s cannot be read: {}", crate::sys::errno::Words(*error))
            }
        }
    }
}

/// What the files said about one name, as far as they were asked.
#[derive(Default)]
struct Entry {
    name: &'static [u8],
    /// Whether there is such a user, who is in `account` then.
    user: Option<Result<(), accounts::Unknown>>,
    account: accounts::Account,
    group: Option<Result<u32, accounts::Unknown>>,
}

/// What is known of it holds until a file changes. (One that could not be read may be read next time.)
fn is_known<T>(answer: &Option<Result<T, accounts::Unknown>>) -> bool {
    matches!(answer, Some(Ok(_) | Err(accounts::Unknown::Absent | accounts::Unknown::TooManyGroups)))
}

/// The cache.
pub struct Accounts {
    files: Files,
    seen: [Identity; 2],
    /// One for each name that is kept; the last is for any other, and forgotten with the next.
    entries: alloc::vec::Vec<Entry>,
    /// What was resolved last.
    account: Account,
}

impl Accounts {
    /// For the names of a database. Makes room for them, the only time that it allocates; nothing is read yet.
    pub fn of(image: &Image<'static>) -> Accounts {
        let names = image.list(image.header(header::ACCOUNTS));
        Accounts::over(FILES, names.len(), &|at| image.bytes_of(names.get(at)))
    }

    /// Over these two files, for so many names. What is beyond the table is looked up each time.
    fn over(files: Files, names: usize, name: &dyn Fn(usize) -> &'static [u8]) -> Accounts {
        let kept = names.min(ACCOUNTS_MAX);
        let mut entries = alloc::vec::Vec::with_capacity(kept + 1);
        for at in 0..=kept {
            entries.push(Entry { name: if at < kept { name(at) } else { b"" }, ..Entry::default() });
        }
        Accounts { files, seen: [Identity::default(); 2], entries, account: Account::default() }
    }

    /// As whom to run for `user` and `group` of a service, each a name, a decimal number, or empty (unchanged; of the
    /// group: the user's).
    ///
    /// The supplementary groups are those that name the user, and the primary one, nothing else. A number that no user
    /// has is a user all the same, with the group of the same number where none is given.
    #[inline(never)]
    pub fn resolve(&mut self, user: &[u8], group: &[u8]) -> Result<&mut Account, Unknown> {
        self.account = Account::default();
        if user.is_empty() && group.is_empty() {
            return Ok(&mut self.account);
        }
        self.forget_if_changed();
        let Accounts { files, entries, account, .. } = self;
        if !user.is_empty() {
            let entry = entry(entries, user);
            if !is_known(&entry.user) {
                entry.user = Some(accounts::user_of(files, user, &mut entry.account));
            }
            entry.user.unwrap_or(Err(accounts::Unknown::Absent)).map_err(Unknown::User)?;
            (account.uid, account.gid) = (Some(entry.account.uid), Some(entry.account.gid));
            let _ = account.groups.extend_from_slice(&entry.account.groups); // as long, and empty
        }
        if !group.is_empty() {
            let entry = entry(entries, group);
            if !is_known(&entry.group) {
                entry.group = Some(accounts::group_of(files, group));
            }
            let gid = entry.group.unwrap_or(Err(accounts::Unknown::Absent)).map_err(Unknown::Group)?;
            account.gid = Some(gid);
            // The user's own group is first, if there is a user: this one takes its place.
            match account.groups.first_mut() {
                Some(own) => *own = gid,
                None => drop(account.groups.push(gid)), // it is empty
            }
            if let Some(at) = account.groups.iter().skip(1).position(|member| *member == gid) {
                account.groups.swap_remove(at + 1);
            }
        }
        Ok(account)
    }

    fn forget_if_changed(&mut self) {
        let now = [Identity::of_path(self.files.users), Identity::of_path(self.files.groups)];
        if self.seen != now {
            self.seen = now;
            for entry in &mut self.entries {
                (entry.user, entry.group) = (None, None);
            }
        }
    }
}

/// What is kept of a name, or a place for it that is forgotten with the next.
#[inline(never)]
fn entry<'a>(entries: &'a mut [Entry], name: &[u8]) -> &'a mut Entry {
    let other = entries.len() - 1;
    let at = entries.iter().position(|entry| entry.name == name).unwrap_or(other);
    let entry = &mut entries[at];
    if at == other {
        (entry.user, entry.group) = (None, None);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:\n# not a line\nwww:x:99:99::/:\n";
    const GROUP: &str = "root:x:0:\nwww:x:33:\nssl-cert:x:110:postgres,www\nlog:x:4:www";

    struct Machine {
        directory: PathBuf,
        accounts: Accounts,
    }

    impl Machine {
        fn new(name: &str) -> Machine {
            let directory = std::env::temp_dir().join(format!("pintle-accounts-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&directory).expect("a directory can be made");
            let path = |file| -> &'static str { directory.join(file).to_str().expect("text").to_string().leak() };
            let files = Files { users: path("passwd"), groups: path("group") };
            let names = [&b"www"[..], b"log", b"late"];
            let files = Machine { accounts: Accounts::over(files, names.len(), &|at| names[at]), directory };
            files.write("passwd", PASSWD);
            files.write("group", GROUP);
            files
        }

        /// As the tools do it: a new file in the place of the old one.
        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.directory.join("new"), text).expect("a file can be written");
            std::fs::rename(self.directory.join("new"), self.directory.join(name)).expect("and renamed");
        }

        fn resolve(&mut self, user: &str, group: &str) -> Result<Account, Unknown> {
            self.accounts.resolve(user.as_bytes(), group.as_bytes()).cloned()
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }

    fn account(uid: Option<u32>, gid: u32, groups: &[u32]) -> Result<Account, Unknown> {
        Ok(Account { uid, gid: Some(gid), groups: groups.iter().copied().collect() })
    }

    fn sorted(account: Result<Account, Unknown>) -> Result<Account, Unknown> {
        account.map(|mut account| {
            account.groups.sort_unstable();
            account
        })
    }

    #[test]
    fn names_and_numbers_give_user_group_and_memberships() {
        let mut files = Machine::new("names");
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
            ("late", "", Err(Unknown::User(accounts::Unknown::Absent))),
            ("www", "late", Err(Unknown::Group(accounts::Unknown::Absent))),
            ("absent", "log", Err(Unknown::User(accounts::Unknown::Absent))),
            ("4294967296", "", Err(Unknown::User(accounts::Unknown::Absent))),
        ] {
            assert_eq!(sorted(files.resolve(user, group)), expected, "{user} {group}");
        }
    }

    #[test]
    fn a_user_added_later_is_found_and_one_removed_is_gone() {
        let mut files = Machine::new("later");
        assert_eq!(files.resolve("late", ""), Err(Unknown::User(accounts::Unknown::Absent)));
        files.write("passwd", &format!("{PASSWD}late:x:500:501::/:\n"));
        assert_eq!(files.resolve("late", ""), account(Some(500), 501, &[501]));
        files.write("group", "late:x:502:late\n");
        assert_eq!(sorted(files.resolve("late", "")), account(Some(500), 501, &[501, 502]));
        assert_eq!(sorted(files.resolve("late", "late")), account(Some(500), 502, &[502]));
        files.write("passwd", "");
        assert_eq!(files.resolve("late", ""), Err(Unknown::User(accounts::Unknown::Absent)));
    }

    #[test]
    fn more_groups_than_a_process_is_given_is_said() {
        let mut files = Machine::new("many");
        let lines: String = (0..=GROUPS_MAX).map(|n| format!("g{n}:x:{}:www\n", 1000 + n)).collect();
        files.write("group", &lines);
        assert_eq!(files.resolve("www", ""), Err(Unknown::User(accounts::Unknown::TooManyGroups)));
    }

    #[test]
    fn who_runs_already_as_that_user_changes_nothing() {
        let mut files = Machine::new("seen");
        let www = files.resolve("www", "").expect("known");
        for (gid, expected) in [(33, &Account::default()), (0, &www)] {
            let mut seen = www.clone();
            seen.seen_from(33, gid);
            assert_eq!(&seen, expected);
        }
    }
}
