//! `pintle-exec`, the chain-loader: the part of a spawn that is not safe beside the supervisor's memory, in an address
//! space of its own. `host::exec_plan` says how it is called and makes the call. It may allocate: it is no part of
//! process 1, and gone at the exec.
//!
//! The order: score, files of the environment, directory, groups, group, user, exec. What needs root comes first; a
//! directory that root may not enter is entered as the user. A failure is told as (step, errno) on the status pipe, a
//! reason that an errno cannot say also on standard error, which is the service's log.

use core::ffi::CStr;
use core::fmt::Write;
use std::ffi::CString;
use std::os::fd::AsFd;

use super::{Applet, Family, exit};
use crate::sys::entry::{self, Arguments};
use crate::sys::errno::Words;
use crate::sys::process::Vector;
use crate::sys::spawn::Step;
use crate::sys::{Errno, OwnedFd, file, output, process};
use pintle::env_file;
use pintle::limits::{ARGUMENTS_MAX, GROUPS_MAX, SOURCE_BYTES_MAX};

/// The command.
pub static APPLET: Applet = Applet {
    name: "exec",
    family: Family::Machine,
    summary: "finish setting up a process, then become it",
    usage: "STATUS [OPTION]... -- PROGRAM [ARGUMENT...]",
    help: "The supervisor's chain-loader: does what is not safe beside process 1, then\n\
           executes PROGRAM. STATUS is the descriptor on which a failure is told.\n\
           \n\
           -o SCORE        oom-score-adj, -1000 to 1000\n\
           -e FILE         adds the NAME=VALUE lines of FILE; -FILE may be missing\n\
           -d DIRECTORY    where it runs\n\
           -G GID,GID...   supplementary groups\n\
           -g GID, -u UID  group and user\n\
           \n\
           example: pintle exec 2 -o -500 -e /etc/default/cron -- /usr/sbin/cron -f\n",
    raw: true,
    run,
};

/// Variables of an environment with its files: `ARGUMENTS_MAX` of the service's own, and as many again.
const VARIABLES_MAX: usize = 2 * ARGUMENTS_MAX + 1;

#[derive(Default)]
struct Options {
    score: Option<&'static CStr>,
    files: Vec<&'static CStr>,
    directory: Option<&'static CStr>,
    groups: Option<Vec<u32>>,
    gid: Option<u32>,
    uid: Option<u32>,
}

fn run(mut arguments: Arguments) -> i32 {
    let status = arguments.next_c_str().and_then(number).and_then(|number| process::take_inherited(number as i32).ok());
    let Some(status) = status else { return super::misuse("exec", &"STATUS is not an open descriptor") };
    let Some(options) = options(&mut arguments) else {
        return tell(&status, Step::Execute, Errno::INVAL, "pintle-exec was not called as it should be");
    };
    let (Ok(problem) | Err(problem)) = become_it(&options, &mut arguments);
    tell(&status, problem.step, problem.errno, &problem.text)
}

struct Problem {
    step: Step,
    errno: Errno,
    /// Empty where step and errno say all.
    text: String,
}

impl From<(Step, Errno)> for Problem {
    fn from((step, errno): (Step, Errno)) -> Problem {
        Problem { step, errno, text: String::new() }
    }
}

fn options(arguments: &mut Arguments) -> Option<Options> {
    let mut options = Options::default();
    loop {
        let option = arguments.next_c_str()?;
        if option == c"--" {
            return Some(options);
        }
        let value = arguments.next_c_str()?;
        match option.to_bytes() {
            b"-o" => options.score = Some(value),
            b"-e" => options.files.push(value),
            b"-d" => options.directory = Some(value),
            b"-g" => options.gid = Some(number(value)?),
            b"-u" => options.uid = Some(number(value)?),
            b"-G" => {
                let numbers = value.to_bytes().split(|byte| *byte == b',').filter(|digits| !digits.is_empty());
                let groups: Option<Vec<u32>> = numbers.map(decimal).collect();
                options.groups = Some(groups.filter(|groups| groups.len() <= GROUPS_MAX)?);
            }
            _ => return None,
        }
    }
}

/// Returns only with what went wrong, either way.
fn become_it(options: &Options, arguments: &mut Arguments) -> Result<Problem, Problem> {
    if let Some(score) = options.score {
        set_score(score).map_err(|errno| (Step::OomScore, errno))?;
    }
    let mut added = Vec::new();
    for path in &options.files {
        read_file(path.to_bytes(), &mut added)?;
    }
    // The last one of a name counts, and stands alone: not every program looks for a second one.
    let mut variables: Vector<'_, VARIABLES_MAX> = Vector::new();
    let mut environment = entry::environment();
    let own = core::iter::from_fn(|| environment.next_c_str());
    let too_many = |errno| (Step::EnvironmentFile, errno);
    for variable in own {
        if !added.iter().any(|other: &CString| name_of(other.to_bytes()) == name_of(variable.to_bytes())) {
            variables.push(variable).map_err(too_many)?;
        }
    }
    for (at, variable) in added.iter().enumerate() {
        if !added.iter().skip(at + 1).any(|later| name_of(later.to_bytes()) == name_of(variable.to_bytes())) {
            variables.push(variable).map_err(too_many)?;
        }
    }
    let entered = match options.directory.map(process::set_directory) {
        None | Some(Ok(())) => true,
        Some(Err(Errno::ACCESS)) if options.uid.is_some() => false,
        Some(Err(errno)) => return Err((Step::Directory, errno).into()),
    };
    if let Some(groups) = &options.groups {
        process::set_groups(groups).map_err(|errno| (Step::Groups, errno))?;
    }
    if let Some(gid) = options.gid {
        process::set_group(gid).map_err(|errno| (Step::Group, errno))?;
    }
    if let Some(uid) = options.uid {
        process::set_user(uid).map_err(|errno| (Step::User, errno))?;
    }
    if let (false, Some(directory)) = (entered, options.directory) {
        process::set_directory(directory).map_err(|errno| (Step::Directory, errno))?;
    }
    let mut vector: Vector<'_, { ARGUMENTS_MAX + 1 }> = Vector::new();
    let program = arguments.next_c_str().ok_or((Step::Execute, Errno::INVAL))?;
    vector.push(program).map_err(|errno| (Step::Execute, errno))?;
    while let Some(argument) = arguments.next_c_str() {
        vector.push(argument).map_err(|errno| (Step::Execute, errno))?;
    }
    Ok((Step::Execute, process::execute(program, &vector, Some(&variables))).into())
}

/// See proc_pid_oom_score_adj(5).
fn set_score(score: &CStr) -> Result<(), Errno> {
    let file = file::open_write("/proc/self/oom_score_adj")?;
    output::write_all(file.as_fd(), score.to_bytes())
}

fn read_file(path: &[u8], added: &mut Vec<CString>) -> Result<(), Problem> {
    let (path, may_be_missing) = path.strip_prefix(b"-").map_or((path, false), |path| (path, true));
    let shown = String::from_utf8_lossy(path);
    let failed = |errno: Errno| Problem {
        step: Step::EnvironmentFile,
        errno,
        text: format!("cannot read {shown}: {}", Words(errno)),
    };
    let file = match file::open_read(path) {
        Err(Errno::NOENT) if may_be_missing => return Ok(()),
        other => other.map_err(failed)?,
    };
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match file::read(&file, &mut chunk).map_err(failed)? {
            0 => break,
            count => text.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
        if text.len() > SOURCE_BYTES_MAX {
            return Err(failed(Errno::FBIG));
        }
    }
    let mut room = vec![0; text.len()];
    // The parser lets no NUL through.
    env_file::parse(&text, &mut room, |variable| added.extend(CString::new(variable).ok())).map_err(|problem| Problem {
        step: Step::EnvironmentFile,
        errno: Errno::INVAL,
        text: format!("{shown}:{}: {}", problem.line, problem.what),
    })
}

fn name_of(variable: &[u8]) -> &[u8] {
    variable.split(|byte| *byte == b'=').next().unwrap_or(variable)
}

fn number(text: &CStr) -> Option<u32> {
    decimal(text.to_bytes())
}

fn decimal(digits: &[u8]) -> Option<u32> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// Tells the supervisor, in the machine's byte order, and gives the exit status of a spawn that failed.
fn tell(status: &OwnedFd, step: Step, errno: Errno, text: &str) -> i32 {
    if !text.is_empty() {
        let _ = writeln!(output::stderr(), "pintle-exec: {text}");
    }
    let mut record = [0; 8];
    let (number, code) = record.split_at_mut(4);
    number.copy_from_slice(&(step as u32).to_ne_bytes());
    code.copy_from_slice(&errno.raw_os_error().to_ne_bytes());
    let _ = output::write_all(status.as_fd(), &record);
    exit::SYSTEM
}
