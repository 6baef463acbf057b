//! What the chain-loader does for each word of the keys that it knows by a letter (`lang::keys`): from the word to the
//! system call. It may allocate, and wait: it runs in a process of its own.

use crate::host::apart;
use crate::host::forked::connect;
use crate::sys::namespaces::{self, if_there};
use crate::sys::socket::send;
use crate::sys::spawn::Step;
use crate::sys::{
    AsFd, AsRawFd, Errno, OwnedFd, Result, accounts, cgroup, file, listen, privileges, process, scheduling, signals,
    whole,
};
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use pintle::lang::diagnostic::told;
use pintle::setup::{self, Form};
use pintle::text::{cut, parts, put, small_number};

/// What counts only when all words of a key are known, or at another turn; each with which word it was.
#[derive(Default)]
pub struct Together {
    /// The word that is its turn, counted from 1 on.
    pub at: u8,
    /// Who the process will be: the owner of what is made for it.
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// The notify socket, where mounts of its own or a root can hide its path.
    pub notify: Option<&'static [u8]>,
    /// The namespace of users has been left behind the last letter: what is about capabilities is to be done again.
    pub is_another_user: bool,
    /// The process into whose namespaces it goes instead of leaving any.
    beside: Option<OwnedFd>,
    /// Its number.
    beside_pid: u32,
    /// See `namespaces::proc`.
    proc: Option<OwnedFd>,
    /// What the path of `notify` leads to.
    socket: Option<OwnedFd>,
    /// Bits that stay in the bounding set.
    capabilities: Option<(u64, u8)>,
    /// Namespaces to be left.
    spaces: Vec<(u32, u8)>,
    /// /tmp is to be its own.
    temporary: Option<u8>,
    /// /dev is to be its own.
    devices: Option<u8>,
    /// What is to be in it.
    kept: namespaces::Devices,
    /// What is about a /tmp or /dev that is not there yet.
    late: Vec<Later>,
    /// Its processes are to have numbers of their own: which word says so.
    pub numbered: Option<u8>,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
    /// What adds to them.
    grouped: Option<u8>,
    /// The namespace of mounts is its own already.
    mounts: bool,
    /// Descriptors that it is passed, from 3 on: their names, with a `:` between.
    pub stored: String,
    /// How many.
    pub count: usize,
    /// What becomes the root.
    pub root: Option<&'static CStr>,
    /// Where the supervisor takes what it is to keep.
    pub supervisor: Option<&'static CStr>,
}

/// A word of `bind`, `read-only` or `inaccessible` that waits for what it is about.
struct Later {
    letter: u8,
    copy: Option<OwnedFd>,
    /// In the root.
    path: String,
    word: u8,
    may_be_missing: bool,
}

/// Does what a word says, or keeps it for `finish`.
#[inline(never)]
pub fn act(letter: u8, value: &CStr, all: &mut Together) -> Result<()> {
    let word = value.to_str().map_err(|_| Errno::INVAL)?;
    // Words that the compiler has not let through come only from people who try it out.
    let find = |form: Form| form.find(word).ok_or(Errno::INVAL);
    // `-` before it: it may be missing.
    let (path, may_be_missing) = word.strip_prefix("-").map_or((word, false), |path| (path, true));
    let done = match letter {
        b'J' => {
            let pid = small_number(word.as_bytes()).ok_or(Errno::INVAL)?;
            all.beside_pid = pid;
            signals::pidfd_open(pid).map(|process| all.beside = Some(process))
        }
        b'i' => find(Form::IoPriority).and_then(|(class, level)| scheduling::set_io_priority(class, level)),
        b's' => find(Form::Scheduler).and_then(|(policy, priority)| scheduling::set_scheduler(policy, priority)),
        b'c' => {
            let mut list = Vec::new();
            setup::processors(word, &mut |processor| list.push(processor)).ok_or(Errno::INVAL)?;
            scheduling::set_processors(&list)
        }
        b'p' => scheduling::set_personality(find(Form::Personality)?.0),
        b't' => scheduling::set_timer_slack(setup::nanoseconds(word).ok_or(Errno::INVAL)?),
        b'D' | b'Z' => {
            let (path, mode) = setup::directory(word).ok_or(Errno::INVAL)?;
            namespaces::make_directory(path.as_bytes(), mode, all.uid, all.gid)
        }
        b'H' => {
            all.grouped = Some(all.at);
            let group = accounts::group(word.as_bytes()).map_err(|_| Errno::INVAL)?;
            if !all.groups.contains(&group) {
                all.groups.push(group);
            }
            Ok(())
        }
        b'l' => all.listen(word),
        b'P' => namespaces::remove(word.as_bytes()),
        b'I' => namespaces::set_input(if word == "null" { "/dev/null" } else { word }.as_bytes()),
        b'T' => {
            namespaces::set_terminal(word.as_bytes())?;
            // Who has numbers of its own has a session of its own, too.
            if all.numbered.is_some() { Ok(()) } else { namespaces::control_terminal() }
        }
        b'N' => match find(Form::Private)? {
            (setup::TEMPORARY, _) => {
                all.temporary = Some(all.at);
                Ok(())
            }
            (setup::DEVICES, _) => {
                all.devices = Some(all.at);
                Ok(())
            }
            (bit, _) => {
                match 1 << bit {
                    namespaces::PIDS => all.numbered = Some(all.at),
                    kind => all.spaces.push((kind, all.at)),
                }
                Ok(())
            }
        },
        b'B' => {
            let (from, to) = cut(path, b':').unwrap_or((path, path));
            all.own_mounts()?;
            match namespaces::copy(from.as_bytes()) {
                // Over it: not for who is in it already.
                _ if setup::is_root(to) => Err(Errno::INVAL),
                Ok(copy) if all.inside(letter, to).is_some() => all.later(letter, Some(copy), to, may_be_missing),
                Ok(copy) => namespaces::place(&copy, to.as_bytes()),
                Err(errno) => Err(errno),
            }
        }
        b'X' if setup::is_root(path) => Err(Errno::INVAL),
        b'r' | b'X' if all.inside(letter, path).is_some() => all.later(letter, None, path, may_be_missing),
        b'r' => all.own_mounts().and_then(|()| namespaces::make_read_only(path.as_bytes())),
        b'X' => all.own_mounts().and_then(|()| namespaces::hide(path.as_bytes())),
        b'R' => match (all.spaces.is_empty(), &all.beside) {
            (true, _) => namespaces::set_root(value),
            // The namespace of users is to be left yet.
            (false, None) => all.own_mounts().and_then(|()| namespaces::set_root_of_mounts(value)),
            (false, Some(_)) => Ok(()), // it has come with the mounts
        },
        b'k' => {
            let (kept, _) = all.capabilities.get_or_insert((0, all.at));
            if word != "none" {
                let capability = setup::capability(word).ok_or(Errno::INVAL)?;
                privileges::is_bounding(capability)?;
                *kept |= 1 << capability;
            }
            Ok(())
        }
        b'a' => privileges::set_ambient(setup::capability(word).ok_or(Errno::INVAL)?),
        b'S' => privileges::set_secure_bit(find(Form::SecureBits)?.0),
        b'U' => Ok(()), // where the environment is put together
        b'n' => match find(Form::Switch)? {
            (0, _) => Ok(()),
            _ => process::set_no_new_privileges(),
        },
        _ => Err(Errno::INVAL),
    };
    if may_be_missing { if_there(done) } else { done }
}

/// The path that a word of `runtime-directory` names.
pub fn removed(word: &str) -> Option<&str> {
    setup::directory(word).map(|(path, _)| path)
}

/// Writes a limit into the control group. EOPNOTSUPP: there is none, or not this controller in it.
#[inline(never)]
pub fn limit(letter: u8, value: &CStr, group: Option<&CStr>) -> Result<()> {
    let (Some(group), Some((_, file))) = (group, setup::controller(letter)) else { return Err(Errno::OPNOTSUPP) };
    let word = value.to_str().map_err(|_| Errno::INVAL)?;
    let mut value = Vec::new();
    let mut text = word;
    let form = match letter {
        b'M' | b'h' => Form::Memory,
        b'w' | b'W' => Form::Weight,
        b'f' => Form::Count,
        b'q' => Form::Percent,
        _ => {
            let (path, name, number) = setup::device(word).ok_or(Errno::INVAL)?;
            let (major, minor) = file::device(path)?;
            value.extend_from_slice(told(format_args!("{major}:{minor} {name}=")).as_bytes());
            text = number;
            Form::Devices
        }
    };
    match setup::group_value(form, text).ok_or(Errno::INVAL)? {
        (u64::MAX, _) => value.extend_from_slice(b"max"),
        (number, behind) => value.extend_from_slice(told(format_args!("{number}{behind}")).as_bytes()),
    }
    match cgroup::write_at(&[group.to_bytes(), b"/", file.as_bytes()].concat(), &value) {
        Err(Errno::NOENT) => Err(Errno::OPNOTSUPP),
        done => done,
    }
}

impl Together {
    /// What a path of the machine is in the root, where it is in a /tmp, /dev or /proc that will be its own. (Its /proc is
    /// there when all is bound.)
    fn inside<'p>(&self, letter: u8, path: &'p str) -> Option<&'p str> {
        let path = path.strip_prefix(self.root_path()).filter(|path| path.starts_with('/'))?;
        let below =
            |directory: &str| path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let temporary = self.temporary.is_some() && (below("/tmp") || below("/var/tmp"));
        let processes = letter == b'B' && self.numbered.is_some() && below("/proc");
        (temporary || processes || self.devices.is_some() && below("/dev")).then_some(path)
    }

    /// What stands before a path in the root.
    fn root_path(&self) -> &'static str {
        self.root.and_then(|root| root.to_str().ok()).unwrap_or_default().trim_end_matches('/')
    }

    /// For when that is there.
    fn later(&mut self, letter: u8, copy: Option<OwnedFd>, path: &str, may_be_missing: bool) -> Result<()> {
        let path = self.inside(letter, path).unwrap_or(path).into();
        self.late.push(Later { letter, copy, path, word: self.at, may_be_missing });
        Ok(())
    }

    /// Opens a socket that listens, unless that was done in an earlier life, and has the supervisor keep it.
    #[inline(never)]
    fn listen(&mut self, word: &str) -> Result<()> {
        let socket = setup::socket(word).map_err(|_| Errno::INVAL)?;
        if self.count > 0 && parts(&self.stored, b':').any(|name| name == socket.name) {
            return Ok(());
        }
        let kind = match socket.kind {
            setup::UDP | setup::UNIX_DGRAM => listen::Kind::DGRAM,
            setup::UNIX_SEQPACKET => listen::Kind::SEQPACKET,
            _ => listen::Kind::STREAM,
        };
        let opened = match socket.where_it_is().ok_or(Errno::INVAL)? {
            setup::Place::Net(address, both) => listen::net(kind, address, both),
            setup::Place::Path(path, mode) => listen::path(kind, path.as_bytes(), mode, self.uid, self.gid),
        }?;
        let keeper = connect(self.supervisor.ok_or(Errno::INVAL)?)?;
        let text = told(format_args!("FDSTORE=1\nFDPOLL=0\nFDNAME={}", socket.name));
        send(keeper.as_fd(), text.as_bytes(), &[opened.as_fd()])?;
        drop(keeper); // it may have the number
        let number = 3 + self.count as i32;
        process::place_at(opened.as_fd(), number, true)?;
        if opened.as_raw_fd() == number {
            core::mem::forget(opened); // it is the service's
        }
        put(&mut self.stored, &[if self.count > 0 { ":" } else { "" }, socket.name]);
        self.count += 1;
        Ok(())
    }

    /// Behind the last word of a letter, whether there was one or not. An error comes with the step that it is about.
    #[inline(never)]
    pub fn finish(&mut self, letter: u8) -> core::result::Result<(), (u32, Errno)> {
        let at = |at: u8| move |errno| (Step::Setup.at(at), errno);
        let of_socket = |errno| (Step::NotifySocket as u32, errno);
        match letter {
            b'N' => {
                self.leave_all().map_err(|(word, errno)| (Step::Setup.at(word), errno))?;
                if let Some(path) = self.notify.filter(|path| path.starts_with(b"/")) {
                    self.own_mounts().map_err(of_socket)?;
                    self.socket = Some(namespaces::copy(path).map_err(of_socket)?);
                }
            }
            // It is to be as read-only as what is around it.
            b'B' => {
                if let (Some(word), None) = (self.numbered, &self.beside) {
                    let path = whole::joined(self.root_path().as_bytes(), b"proc");
                    let path = if self.root_path().is_empty() { b"/proc" } else { path };
                    if_there(namespaces::mount_processes(path)).map_err(at(word))?;
                }
            }
            b'R' => {
                if let Some(word) = self.temporary.take() {
                    let mut paths = [c"/tmp", c"/var/tmp"].iter();
                    let done = paths.try_for_each(|path| if_there(namespaces::mount_temporary(path.to_bytes())));
                    done.map_err(at(word))?;
                }
                if let Some(word) = self.devices.take() {
                    namespaces::mount_devices(&self.kept).map_err(at(word))?;
                }
                for later in core::mem::take(&mut self.late) {
                    let path = later.path.as_bytes();
                    let done = match (later.letter, &later.copy) {
                        (_, Some(copy)) => namespaces::place_new(copy, path),
                        (b'r', None) => namespaces::make_read_only(path),
                        (_, None) => namespaces::hide(path),
                    };
                    let done = if later.may_be_missing { if_there(done) } else { done };
                    done.map_err(at(later.word))?;
                }
                if let (Some(socket), Some(path)) = (self.socket.take(), self.notify) {
                    namespaces::bring(&socket, path).map_err(of_socket)?;
                }
            }
            b'G' => {
                if let Some(word) = self.grouped {
                    process::set_groups(&self.groups).map_err(at(word))?;
                }
            }
            b'k' => {
                if let Some((kept, word)) = self.capabilities.take() {
                    privileges::set_bounding(kept).map_err(at(word))?;
                }
            }
            b'n' => {
                for (_, word) in core::mem::take(&mut self.spaces) {
                    self.leave(namespaces::USERS).map_err(at(word))?;
                    self.is_another_user = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Leaves all namespaces but, where we are root, that of users, which is left behind everything else: root has to be
    /// another user before there is no other one. Whoever is not root may do the rest only in one of its own.
    fn leave_all(&mut self) -> core::result::Result<(), (u8, Errno)> {
        let is_root = process::uid() == 0;
        let users = self.spaces.iter().find(|(kind, _)| *kind == namespaces::USERS).copied();
        if let Some((_, word)) = users {
            self.proc = Some(namespaces::proc().map_err(|errno| (word, errno))?);
        }
        if let Some(beside) = &self.beside {
            let kinds = if users.is_some() && !is_root { namespaces::USERS } else { 0 };
            let joined = match self.numbered {
                None => namespaces::join(beside, namespaces::OTHERS | kinds),
                // The rest is done by who is in it, see `enter`.
                Some(_) => self.join_pids(beside, kinds),
            };
            joined.map_err(|errno| (self.at, errno))?;
            (self.temporary, self.devices) = (None, None);
        } else {
            for of_users in [true, false] {
                for (kind, word) in self.spaces.clone() {
                    if (kind == namespaces::USERS) == of_users && !(of_users && is_root) {
                        self.leave(kind).map_err(|errno| (word, errno))?;
                    }
                }
            }
            if let Some(word) = self.temporary.or(self.devices).or(self.numbered) {
                self.own_mounts().map_err(|errno| (word, errno))?;
            }
            if let Some(word) = self.numbered {
                namespaces::leave(namespaces::PIDS).map_err(|errno| (word, errno))?;
            }
            if let Some(word) = self.devices {
                self.kept = namespaces::devices().map_err(|errno| (word, errno))?;
            }
        }
        self.spaces.retain(|(kind, _)| is_root && *kind == namespaces::USERS);
        Ok(())
    }

    /// Has what we make be in the namespace of pids in which the children of the process beside us are.
    fn join_pids(&self, beside: &OwnedFd, users: u32) -> Result<()> {
        let pids = namespaces::pids(self.beside_pid)?;
        if users != 0 {
            namespaces::join(beside, users)?;
        }
        namespaces::join(&pids, namespaces::PIDS)
    }

    /// In a process that has numbers of its own, and whose parent has not: with whom it shares them, that is beside it.
    pub fn enter(&mut self) -> Result<()> {
        if self.beside.is_some() {
            let main = signals::pidfd_open(apart::MAIN)?;
            namespaces::join(&main, namespaces::OTHERS)?;
            self.beside = Some(main);
        }
        Ok(())
    }

    /// Whether it goes into namespaces that are there.
    pub fn is_beside(&self) -> bool {
        self.beside.is_some()
    }

    fn leave(&mut self, kind: u32) -> Result<()> {
        match (kind, &self.beside, &self.proc) {
            (namespaces::USERS, Some(beside), _) => namespaces::join(beside, kind),
            (namespaces::USERS, None, Some(proc)) => namespaces::leave_users(proc),
            (namespaces::MOUNTS, ..) => self.own_mounts(),
            (namespaces::NETWORK, ..) => self.leave_network(),
            _ => namespaces::leave(kind),
        }
    }

    /// An abstract socket is of one network: from another one nobody would be heard.
    fn leave_network(&self) -> Result<()> {
        if self.notify.is_some_and(|path| path.starts_with(b"@")) {
            return Err(Errno::OPNOTSUPP);
        }
        namespaces::leave(namespaces::NETWORK)?;
        namespaces::raise_loopback()
    }

    /// Nothing is mounted for others.
    fn own_mounts(&mut self) -> Result<()> {
        if !self.mounts {
            namespaces::leave_mounts()?;
            self.mounts = true;
        }
        Ok(())
    }
}
