//! What the chain-loader does for each word of the keys that it knows by a letter (`lang::keys`): from the word to the
//! system call. It may allocate, and wait: it runs in a process of its own.

use crate::host::forked::connect;
use crate::sys::namespaces::{self, if_there};
use crate::sys::socket::send;
use crate::sys::{AsFd, AsRawFd, Errno, Result, file, listen, privileges, process, scheduling};
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
    /// Bits that stay in the bounding set.
    capabilities: Option<(u64, u8)>,
    /// Namespaces to be left.
    spaces: Vec<(u32, u8)>,
    /// /tmp is to be its own.
    temporary: Option<u8>,
    /// The namespace of mounts is its own already.
    mounts: bool,
    /// Descriptors that it is passed, from 3 on: their names, with a `:` between.
    pub stored: String,
    /// How many.
    pub count: usize,
    /// Where the supervisor takes what it is to keep.
    pub supervisor: Option<&'static CStr>,
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
            namespaces::join(pid, namespaces::all_kinds())
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
        b'D' => {
            let (path, mode) = setup::directory(word).ok_or(Errno::INVAL)?;
            namespaces::make_directory(path.as_bytes(), mode, all.uid, all.gid)
        }
        b'l' => all.listen(word),
        b'P' => if_there(file::remove(word)),
        b'I' => namespaces::set_input(if word == "null" { "/dev/null" } else { word }.as_bytes()),
        b'T' => namespaces::set_terminal(word.as_bytes()),
        b'N' => match find(Form::Private)? {
            (setup::TEMPORARY, _) => {
                all.temporary = Some(all.at);
                Ok(())
            }
            (bit, _) => {
                all.spaces.push((1 << bit, all.at));
                Ok(())
            }
        },
        b'B' => {
            let (from, to) = cut(path, b':').unwrap_or((path, path));
            all.own_mounts()?;
            namespaces::bind(from.as_bytes(), to.as_bytes())
        }
        b'r' => all.own_mounts().and_then(|()| namespaces::make_read_only(path.as_bytes())),
        b'X' => all.own_mounts().and_then(|()| namespaces::hide(path.as_bytes())),
        b'R' => namespaces::set_root(value),
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
        b'n' => match find(Form::Switch)? {
            (0, _) => Ok(()),
            _ => process::set_no_new_privileges(),
        },
        _ => Err(Errno::INVAL),
    };
    if may_be_missing { if_there(done) } else { done }
}

impl Together {
    /// Opens a socket that listens, unless that was done in an earlier life, and has the supervisor keep it.
    #[inline(never)]
    fn listen(&mut self, word: &str) -> Result<()> {
        let socket = setup::socket(word).map_err(|_| Errno::INVAL)?;
        if self.count > 0 && parts(&self.stored, b':').any(|name| name == socket.name) {
            return Ok(());
        }
        let is_datagram = socket.kind == setup::UDP || socket.kind == setup::UNIX + 1;
        let kind = match (is_datagram, socket.kind) {
            (true, _) => listen::Kind::DGRAM,
            (false, 4) => listen::Kind::SEQPACKET,
            (false, _) => listen::Kind::STREAM,
        };
        let opened = match socket.where_it_is().ok_or(Errno::INVAL)? {
            setup::Place::Net(address, both) => listen::net(kind, address, both),
            setup::Place::Path(path, mode) => listen::path(kind, path.as_bytes(), mode, self.uid, self.gid),
        }?;
        let keeper = connect(self.supervisor.ok_or(Errno::INVAL)?)?;
        let text = told(format_args!("FDSTORE=1\nFDPOLL=0\nFDNAME={}", socket.name));
        send(keeper.as_fd(), text.as_bytes(), &[opened.as_fd()])?;
        let number = 3 + self.count as i32;
        process::place_at(opened.as_fd(), number, true)?;
        if opened.as_raw_fd() == number {
            core::mem::forget(opened); // it is the service's
        }
        put(&mut self.stored, &[if self.count > 0 { ":" } else { "" }, socket.name]);
        self.count += 1;
        Ok(())
    }

    /// Behind the last word of a letter, whether there was one or not. An error comes with the word that it is about.
    #[inline(never)]
    pub fn finish(&mut self, letter: u8) -> core::result::Result<(), (u8, Errno)> {
        match letter {
            b'N' => {
                let root = process::uid() == 0;
                // Whoever is not root may do the rest only in a namespace of users of its own; root has to be another
                // user before there is no other one.
                for users in [true, false] {
                    for (kind, at) in self.spaces.clone() {
                        if (kind == namespaces::USERS) == users && !(users && root) {
                            self.leave(kind).map_err(|errno| (at, errno))?;
                        }
                    }
                }
                self.spaces.retain(|(kind, _)| root && *kind == namespaces::USERS);
            }
            b'R' => {
                if let Some(at) = self.temporary.take() {
                    let paths = [c"/tmp", c"/var/tmp"];
                    let done = self.own_mounts().and_then(|()| {
                        paths.iter().try_for_each(|path| if_there(namespaces::mount_temporary(path.to_bytes())))
                    });
                    done.map_err(|errno| (at, errno))?;
                }
            }
            b'k' => {
                if let Some((kept, at)) = self.capabilities.take() {
                    privileges::set_bounding(kept).map_err(|errno| (at, errno))?;
                }
            }
            b'n' => {
                for (kind, at) in core::mem::take(&mut self.spaces) {
                    self.leave(kind).map_err(|errno| (at, errno))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn leave(&mut self, kind: u32) -> Result<()> {
        match kind {
            namespaces::MOUNTS => self.own_mounts(),
            namespaces::USERS => namespaces::leave_users(),
            namespaces::NETWORK => namespaces::leave(kind).and_then(|()| namespaces::raise_loopback()),
            _ => namespaces::leave(kind),
        }
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
