//! Where a running pintle is found: `$PINTLE_RUN`, `/run/pintle`, `/dev/shm/pintle-UID`, else nothing but an abstract
//! socket. The supervisor makes the place, everyone else looks for it; both go through the same list.
//!
//! Nothing in it is ever executed, and a directory that somebody else could have planted is not believed in: unless it was
//! named, it must belong to root or to the one who looks, and be writable by its owner alone.

use super::refuse::refuse;
use crate::sys::directory::Directory;
use crate::sys::output::Shown;
use crate::sys::socket::Address;
use crate::sys::{Errno, OwnedFd, entry, errno, process, whole};
use core::fmt;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The supervisor's private copy of the database.
pub const DATABASE: &str = "boot.db";
/// What each slot's processes are (`board::reports`).
pub const REPORTS: &str = "reports";
/// What the engine publishes (`board::published`).
pub const PUBLISHED: &str = "published";
/// The control socket.
pub const CONTROL: &str = "control";
/// Locked by the supervisor for as long as it lives; holds its pid in decimal.
pub const LOCK: &str = "lock";
/// The directory of the notify sockets, one for each service that asks, named by its slot.
pub const NOTIFY: &str = "notify";

/// The verb of a directory that is not believed in.
const TRUST: &str = "trust";

/// Where pintle is.
pub enum Place {
    /// A directory with the files named above.
    Directory(RunDirectory),
    /// No directory could be made or found: an abstract socket by this name (without the leading NUL) is all there is.
    /// Whoever connects checks that the other side runs as root or as itself (SO_PEERCRED), for anyone can take a name.
    Abstract(Vec<u8>),
}

impl Place {
    /// The address of the control socket. ENAMETOOLONG if the path has more than 107 bytes.
    pub fn control_address(&self) -> Result<Address, Errno> {
        match self {
            Place::Directory(directory) => Address::path(directory.path.join(CONTROL).as_os_str().as_bytes()),
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
    path: PathBuf,
}

/// What went wrong, with the path: `cannot open /run/pintle: Permission denied`.
#[derive(Debug)]
pub struct Problem {
    verb: &'static str,
    path: PathBuf,
    errno: Errno,
}

impl Problem {
    /// `verb` is what could not be done: "open", "create".
    pub fn new(verb: &'static str, path: &Path, errno: Errno) -> Problem {
        Problem { verb, path: path.to_path_buf(), errno }
    }

    /// Ends the process with it.
    #[cold]
    pub fn refuse(&self) -> ! {
        refuse(111, format_args!("{self}"))
    }

    /// The error.
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Shown(self.path.as_os_str());
        if self.verb == TRUST {
            return write!(to, "cannot trust {path}: it must be root's or your own, and only its owner's to write");
        }
        write!(to, "cannot {} {path}: {}", self.verb, errno::Words(self.errno))
    }
}

impl RunDirectory {
    /// Its path, for messages and socket addresses.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory itself.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Opens a file of it to read, never through a symbolic link.
    pub fn open(&self, name: &str) -> Result<OwnedFd, Problem> {
        self.directory.open_file(name).map_err(|errno| self.problem("open", name, errno))
    }

    /// Makes a file of it anew, empty, to read and write; an old one of the name goes away but stays valid for those
    /// who have it open.
    /// For the supervisor: it cannot start without.
    pub fn create(&self, name: &str, mode: u32) -> OwnedFd {
        self.directory.create_file(name, mode).unwrap_or_else(|errno| self.refuse("create", name, errno))
    }

    /// A problem with a file of it.
    pub fn problem(&self, verb: &'static str, name: &str, errno: Errno) -> Problem {
        Problem { verb, path: self.path.join(name), errno }
    }

    /// Ends the process with it.
    #[cold]
    pub fn refuse(&self, verb: &'static str, name: &str, errno: Errno) -> ! {
        self.problem(verb, name, errno).refuse()
    }

    /// Believes in a directory, or not.
    fn trusted(directory: Directory, path: &Path) -> Result<RunDirectory, Problem> {
        match directory.is_trusted() {
            Ok(true) => Ok(RunDirectory { directory, path: path.to_path_buf() }),
            Ok(false) => Err(Problem::new(TRUST, path, Errno::PERM)),
            Err(errno) => Err(Problem::new("open", path, errno)),
        }
    }

    fn open_at(path: &Path) -> Result<RunDirectory, Problem> {
        let directory = Directory::open(path).map_err(|errno| Problem::new("open", path, errno))?;
        RunDirectory::trusted(directory, path)
    }

    fn make_at(path: &Path) -> Result<RunDirectory, Problem> {
        let directory = Directory::make(path, 0o755).map_err(|errno| Problem::new("create", path, errno))?;
        let made = RunDirectory::trusted(directory, path)?;
        made.directory.check_writable().map_err(|errno| Problem::new("write in", path, errno))?;
        Ok(made)
    }
}

/// For those who look: the first of the list in which a supervisor has been. `given` (`--run DIR`) or `$PINTLE_RUN`
/// alone count where they are given.
pub fn find(given: Option<&OsStr>) -> Result<Place, Problem> {
    if let Some(path) = named(given) {
        // Who names a place believes in it; what is read there is not trusted anyway.
        let directory = Directory::open(&path).map_err(|errno| Problem::new("open", &path, errno))?;
        return Ok(Place::Directory(RunDirectory { directory, path }));
    }
    for path in &usual() {
        // One that is not pintle's, or not ours to believe in: the next.
        if let Ok(found) = RunDirectory::open_at(path)
            && found.directory.has(CONTROL)
        {
            return Ok(Place::Directory(found));
        }
    }
    Ok(Place::Abstract(abstract_name()))
}

/// For the supervisor: makes the first of the list that can be made. `given` (`--run DIR`) or `$PINTLE_RUN` alone count
/// where they are given, and failing there is an error.
#[inline(never)]
pub fn make(given: Option<&OsStr>) -> Result<Place, Problem> {
    if let Some(path) = named(given) {
        // Services and the logger, elsewhere at home, get it as well.
        let path = whole::absolute(path.as_os_str().as_bytes());
        return RunDirectory::make_at(Path::new(OsStr::from_bytes(&path))).map(Place::Directory);
    }
    for path in &usual() {
        if let Ok(made) = RunDirectory::make_at(path) {
            return Ok(Place::Directory(made));
        }
    }
    Ok(Place::Abstract(abstract_name()))
}

fn named(given: Option<&OsStr>) -> Option<PathBuf> {
    let variable = || entry::variable(b"PINTLE_RUN").filter(|value| !value.is_empty()).map(OsStr::from_bytes);
    given.or_else(variable).map(PathBuf::from)
}

fn usual() -> [PathBuf; 2] {
    let uid = process::uid();
    [PathBuf::from("/run/pintle"), PathBuf::from(format!("/dev/shm/pintle-{uid}"))]
}

fn abstract_name() -> Vec<u8> {
    format!("pintle-{}", process::uid()).into_bytes()
}
