//! Where a running pintle is found: `$PINTLE_RUN`, `/run/pintle`, `/dev/shm/pintle-UID`, else nothing but an abstract
//! socket. The supervisor makes the place, everyone else looks for it; both go through the same list.
//!
//! Nothing in it is ever executed, and a directory that somebody else could have planted is not believed in: unless it
//! was named, it must belong to root or to the one who looks, and be writable by its owner alone.

use super::refuse::refuse_text;
use crate::sys::directory::Directory;
use crate::sys::output::Shown;
use crate::sys::socket::Address;
use crate::sys::{Errno, OwnedFd, entry, errno, process, whole};
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use pintle::lang::diagnostic::told;

/// The supervisor's private copy of the database.
pub const DATABASE: &str = "boot.db";
/// What each slot's processes are (`board::reports`).
pub const REPORTS: &str = "reports";
/// What the engine publishes (`board::published`).
pub const PUBLISHED: &str = "published";
/// Both, while they are made in place of others.
pub const REPORTS_NEW: &str = "reports.new";
/// See `REPORTS_NEW`.
pub const PUBLISHED_NEW: &str = "published.new";
/// The control socket.
pub const CONTROL: &str = "control";
/// Locked by the supervisor for as long as it lives; holds its pid in decimal.
pub const LOCK: &str = "lock";
/// The directory of the notify sockets, one for each service that asks, named by its slot.
pub const NOTIFY: &str = "notify";
/// The directory of the last lines of services that have no file among the logs, and of what was lost of those that
/// have. The logger makes it.
pub const KEPT: &CStr = c"kept";
/// A symbolic link to where the supervisor's logs go, for those who look. No directory of logs has this name.
pub const LOG_DIR: &CStr = c"log-dir";

/// The verb of a directory that is not believed in.
const TRUST: &str = "trust";

/// Where pintle is.
pub enum Place {
    /// A directory with the files named above.
    Directory(RunDirectory),
    /// No directory could be made or found: an abstract socket by this name (without the leading NUL) is all there is.
    /// Whoever connects checks that the other side runs as root or as itself (SO_PEERCRED), for anyone can take a name.
    Abstract(&'static [u8]),
}

impl Place {
    /// The control socket as people see it. It stays for ever.
    pub fn control(&self) -> &'static [u8] {
        match self {
            Place::Directory(directory) => directory.file(CONTROL),
            Place::Abstract(name) => {
                let mut shown = Vec::from(b"@");
                shown.extend_from_slice(name);
                shown.leak()
            }
        }
    }

    /// The address of this, which is `control`. ENAMETOOLONG if a path has more than 107 bytes.
    pub fn address(&self, control: &[u8]) -> Result<Address, Errno> {
        match self {
            Place::Directory(_) => Address::path(control),
            Place::Abstract(name) => Address::abstract_name(name),
        }
    }

    /// The directory, if there is one.
    pub fn directory(&self) -> Option<&RunDirectory> {
        match self {
            Place::Directory(directory) => Some(directory),
            Place::Abstract(_) => None,
        }
    }
}

/// A run directory, open.
pub struct RunDirectory {
    directory: Directory,
    path: &'static [u8],
}

/// What went wrong, for people: `cannot open /run/pintle: Permission denied`. `verb` is what could not be done.
#[cold]
#[inline(never)]
pub fn problem(verb: &str, path: &[u8], errno: Errno) -> String {
    let path = Shown(path);
    if verb == TRUST {
        return told(format_args!("cannot trust {path}: it must be root's or your own, and only its owner's to write"));
    }
    told(format_args!("cannot {verb} {path}: {}", errno::Words(errno)))
}

/// Ends the process with it.
#[cold]
#[inline(never)]
pub fn refuse_path(verb: &str, path: &[u8], errno: Errno) -> ! {
    refuse_text(problem(verb, path, errno))
}

impl RunDirectory {
    /// Its path, for messages and socket addresses.
    pub fn path(&self) -> &'static [u8] {
        self.path
    }

    /// The directory itself.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The path of a file of it. It stays for ever.
    pub fn file(&self, name: &str) -> &'static [u8] {
        whole::joined(self.path, name.as_bytes())
    }

    /// Opens a file of it to read, never through a symbolic link.
    pub fn open(&self, name: &str) -> Result<OwnedFd, Errno> {
        self.directory.open_file(name)
    }

    /// Makes a file of it anew, empty, to read and write; an old one of the name goes away but stays valid for those
    /// who have it open.
    /// For the supervisor: it cannot start without.
    pub fn create(&self, name: &str, mode: u32) -> OwnedFd {
        self.directory.create_file(name, mode).unwrap_or_else(|errno| self.refuse("create", name, errno))
    }

    /// Ends the process: this could not be done to a file of it.
    #[cold]
    pub fn refuse(&self, verb: &str, name: &str, errno: Errno) -> ! {
        refuse_path(verb, self.file(name), errno)
    }

    /// Opens it, or makes it, which has to succeed in being writable. Whether it must be one to believe in, or was
    /// named by somebody who does. Where it fails, `verb` is what could not be done.
    fn at(path: &'static [u8], makes: bool, named: bool, verb: &mut &'static str) -> Result<RunDirectory, Errno> {
        *verb = if makes { "create" } else { "open" };
        let directory = if makes { Directory::make(path, 0o755)? } else { Directory::open(path)? };
        if (makes || !named) && !directory.is_trusted() {
            *verb = TRUST;
            return Err(Errno::PERM);
        }
        if makes {
            *verb = "write in";
            directory.check_writable()?;
        }
        Ok(RunDirectory { directory, path })
    }
}

/// For a supervisor that goes on: the directory that it had, which may have another path by now, or the name.
pub fn taken_over(fd: Option<OwnedFd>, path: &'static [u8]) -> Place {
    match fd {
        Some(fd) => Place::Directory(RunDirectory { directory: Directory::of(fd), path }),
        None => Place::Abstract(path),
    }
}

/// For those who look: the first of the list in which a supervisor has been. `given` (`--run DIR`) or `$PINTLE_RUN`
/// alone count where they are given: who names a place believes in it, and what is read there is not trusted anyway.
/// The error is for people.
pub fn find(given: Option<&'static [u8]>) -> Result<Place, String> {
    place(given, false)
}

/// For the supervisor: makes the first of the list that can be made. `given` (`--run DIR`) or `$PINTLE_RUN` alone count
/// where they are given, and failing there is an error, for people.
pub fn make(given: Option<&'static [u8]>) -> Result<Place, String> {
    place(given, true)
}

#[inline(never)]
fn place(given: Option<&'static [u8]>, makes: bool) -> Result<Place, String> {
    let mut verb = "";
    let variable = || entry::variable(b"PINTLE_RUN").filter(|value| !value.is_empty());
    if let Some(named) = given.or_else(variable) {
        // Services and the logger, elsewhere at home, get it as well.
        let path = if makes { whole::absolute(named).leak() } else { named };
        return match RunDirectory::at(path, makes, true, &mut verb) {
            Ok(found) => Ok(Place::Directory(found)),
            Err(errno) => Err(problem(verb, path, errno)),
        };
    }
    const SHARED: &str = "/dev/shm/";
    let own = told(format_args!("{SHARED}pintle-{}", process::uid())).leak();
    for path in ["/run/pintle", own] {
        // One that is not pintle's, or not ours to believe in: the next.
        if let Ok(found) = RunDirectory::at(path.as_bytes(), makes, false, &mut verb)
            && (makes || found.directory.has(CONTROL))
        {
            return Ok(Place::Directory(found));
        }
    }
    Ok(Place::Abstract(&own.as_bytes()[SHARED.len()..]))
}
