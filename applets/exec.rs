//! `pintle-exec`, the chain-loader: the part of a spawn that is not safe beside the supervisor's memory, in an address
//! space of its own. `host::exec_plan` says how it is called and makes the call. It may allocate: it is no part of
//! process 1, and gone at the exec.
//!
//! The order: score, files of the environment, directory, groups, group, user, exec. What needs root comes first; a
//! directory that root may not enter is entered as the user. A failure is told as (step, errno) on the status pipe, a
//! reason that an errno cannot say also on standard error, which is the service's log.

use core::ffi::CStr;
use core::fmt::Write;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use super::exit;
use super::options::Given;
use crate::sys::entry::{self, Arguments};
use crate::sys::output::Shown;
use crate::sys::spawn::Step;
use crate::sys::{Errno, OwnedFd, errno, file, output, process};
use pintle::env_file;
use pintle::limits::{ARGUMENTS_MAX, SOURCE_BYTES_MAX};
use pintle::text::small_number as number;

/// Variables of an environment with its files: `ARGUMENTS_MAX` of the service's own, and as many again.
const VARIABLES_MAX: usize = 2 * ARGUMENTS_MAX + 1;

/// What could not be done, and why. What an errno cannot say has been written to standard error.
type Failure = (Step, Errno);

/// The options: each a letter and a value, up to `--`.
#[derive(Clone)]
struct Options(Arguments);

impl Options {
    /// Goes over them; none if they are not as they should be.
    fn read(arguments: &mut Arguments) -> Option<Options> {
        let options = Options(arguments.clone());
        loop {
            match *arguments.next_c_str()?.to_bytes() {
                [b'-', b'-'] => return Some(options),
                [b'-', b'o' | b'e' | b'd' | b'g' | b'u' | b'G'] => {
                    arguments.next_c_str()?;
                }
                _ => return None,
            }
        }
    }

    /// The next value of this letter.
    fn next(&mut self, letter: u8) -> Option<&'static CStr> {
        loop {
            match *self.0.next_c_str()?.to_bytes() {
                [_, b'-'] => return None,
                [_, found] if found == letter => return self.0.next_c_str(),
                _ => self.0.next_c_str()?,
            };
        }
    }

    /// The last one.
    #[inline(never)]
    fn last(&self, letter: u8) -> Option<&'static CStr> {
        let (mut options, mut last) = (self.clone(), None);
        while let Some(value) = options.next(letter) {
            last = Some(value);
        }
        last
    }
}

pub fn run(given: &Given) -> i32 {
    let Some(mut arguments) = given.behind.clone() else { return exit::MISUSE };
    let status = arguments.next_c_str().and_then(|text| number(text.to_bytes()));
    let Some(status) = status.and_then(|number| process::take_inherited(number as i32).ok()) else {
        given.misuse("STATUS is not an open descriptor", "".as_ref());
    };
    let failure = match Options::read(&mut arguments) {
        Some(options) => {
            let (Ok(failure) | Err(failure)) = become_it(options, arguments);
            failure
        }
        None => {
            complain(&"it was not called as it should be");
            (Step::Execute, Errno::INVAL)
        }
    };
    tell(&status, failure)
}

/// Returns only with what went wrong, either way.
fn become_it(options: Options, arguments: Arguments) -> Result<Failure, Failure> {
    if let Some(score) = options.last(b'o') {
        set_score(score).map_err(|errno| (Step::OomScore, errno))?;
    }
    let mut variables = all(entry::environment());
    let mut files = options.clone();
    while let Some(path) = files.next(b'e') {
        read_file(path.to_bytes(), &mut variables).map_err(|errno| (Step::EnvironmentFile, errno))?;
    }
    // The last one of a name counts, and stands alone: not every program looks for a second one.
    let mut environment = Vec::new();
    for (at, variable) in variables.iter().enumerate() {
        let later = &variables[at + 1..];
        if !later.iter().any(|later| name_of(later) == name_of(variable)) {
            environment.push(*variable);
        }
    }
    if environment.len() >= VARIABLES_MAX {
        return Err((Step::EnvironmentFile, Errno::TOOBIG));
    }
    let (directory, user) = (options.last(b'd'), options.last(b'u'));
    let enter = || directory.map_or(Ok(()), process::set_directory).map_err(|errno| (Step::Directory, errno));
    let entered = match enter() {
        Err((_, Errno::ACCESS)) if user.is_some() => false,
        entered => entered.map(|()| true)?,
    };
    if let Some(list) = options.last(b'G') {
        set_groups(list).map_err(|errno| (Step::Groups, errno))?;
    }
    if let Some(gid) = options.last(b'g') {
        identity(gid).and_then(process::set_group).map_err(|errno| (Step::Group, errno))?;
    }
    if let Some(uid) = user {
        identity(uid).and_then(process::set_user).map_err(|errno| (Step::User, errno))?;
    }
    if !entered {
        enter()?;
    }
    let arguments = all(arguments);
    let Some(program) = arguments.first() else { return Err((Step::Execute, Errno::INVAL)) };
    if arguments.len() > ARGUMENTS_MAX {
        return Err((Step::Execute, Errno::TOOBIG));
    }
    Ok((Step::Execute, process::execute(program, &arguments, Some(&environment))))
}

#[inline(never)]
fn all(mut texts: Arguments) -> Vec<&'static CStr> {
    let mut all = Vec::new();
    while let Some(text) = texts.next_c_str() {
        all.push(text);
    }
    all
}

/// See proc_pid_oom_score_adj(5).
fn set_score(score: &CStr) -> Result<(), Errno> {
    file::write_value(c"/proc/self/oom_score_adj", score.to_bytes())
}

/// `GID,GID...`, which may be empty.
fn set_groups(list: &CStr) -> Result<(), Errno> {
    let mut groups = Vec::new();
    for digits in list.to_bytes().split(|byte| *byte == b',') {
        if !digits.is_empty() {
            groups.push(number(digits).ok_or(Errno::INVAL)?);
        }
    }
    process::set_groups(&groups) // EINVAL for too many
}

fn identity(text: &CStr) -> Result<u32, Errno> {
    number(text.to_bytes()).ok_or(Errno::INVAL)
}

/// Adds the variables of a file.
fn read_file(path: &[u8], variables: &mut Vec<&'static CStr>) -> Result<(), Errno> {
    let (path, may_be_missing) = path.strip_prefix(b"-").map_or((path, false), |path| (path, true));
    let shown = Shown(OsStr::from_bytes(path));
    let text = match read_whole(path) {
        Ok(text) => text,
        Err(Errno::NOENT) if may_be_missing => return Ok(()),
        Err(errno) => {
            complain(&format_args!("cannot read {shown}: {}", errno::Words(errno)));
            return Err(errno);
        }
    };
    let mut room = vec![0; text.len()];
    let read = env_file::parse(&text, &mut room, &mut |variable| {
        // It lives as long as this process, until the exec. The parser lets no NUL through.
        let mut text = variable.to_vec();
        text.push(0);
        if let Ok(text) = CStr::from_bytes_until_nul(text.leak()) {
            variables.push(text);
        }
    });
    read.map_err(|problem| {
        complain(&format_args!("{shown}:{}: {}", problem.line, problem.what));
        Errno::INVAL
    })
}

fn read_whole(path: &[u8]) -> Result<Vec<u8>, Errno> {
    let file = file::open_read(path)?;
    let mut text = Vec::new();
    loop {
        let filled = text.len();
        text.resize(filled + 4096, 0);
        let count = file::read(&file, &mut text[filled..])?;
        text.truncate(filled + count);
        if count == 0 {
            return Ok(text);
        }
        if text.len() > SOURCE_BYTES_MAX {
            return Err(Errno::FBIG);
        }
    }
}

fn name_of(variable: &CStr) -> &[u8] {
    let bytes = variable.to_bytes();
    bytes.split(|byte| *byte == b'=').next().unwrap_or(bytes)
}

fn complain(what: &dyn core::fmt::Display) {
    let _ = writeln!(output::stderr(), "pintle-exec: {what}");
}

/// Tells the supervisor, in the machine's byte order, and gives the exit status of a spawn that failed.
fn tell(status: &OwnedFd, (step, errno): Failure) -> i32 {
    let mut record = [0; 8];
    let (number, code) = record.split_at_mut(4);
    number.copy_from_slice(&(step as u32).to_ne_bytes());
    code.copy_from_slice(&errno.raw_os_error().to_ne_bytes());
    let _ = output::write_all(status.as_fd(), &record);
    exit::SYSTEM
}
