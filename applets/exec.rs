//! `pintle-exec`, the chain-loader: the part of a spawn that is not safe beside the supervisor's memory, in an address
//! space of its own. `host::exec_plan` says how it is called and makes the call. It may allocate: it is no part of
//! process 1, and gone at the exec.
//!
//! The order is that of `ACTS`. What needs root comes first; a directory that root may not enter is entered as the user.
//! A failure is told as (step, errno) on the status pipe, a reason that an errno cannot say also on standard error, which
//! is the service's log.

use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Write;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::exit;
use super::options::Given;
use crate::host::apart;
use crate::host::forked::{Forked, Ways};
use crate::host::setup::{self, Together};
use crate::sys::entry::{self, Arguments};
use crate::sys::output::Shown;
use crate::sys::reap::Outcome;
use crate::sys::signals::{self, SignalSet};
use crate::sys::spawn::Step;
use crate::sys::{
    AsFd, Errno, OwnedFd, cgroup, errno, file, heap, namespaces, output, privileges, process, removal, whole,
};
use pintle::env_file;
use pintle::lang::diagnostic::told;
use pintle::limits::{ARGUMENTS_MAX, SOURCE_BYTES_MAX};
use pintle::packed;
use pintle::text::{parts, small_number as number};

/// Where a failure is told.
static STATUS: AtomicU32 = AtomicU32::new(0);

/// Variables of an environment with its files: `ARGUMENTS_MAX` of the service's own, and as many again.
const VARIABLES_MAX: usize = 2 * ARGUMENTS_MAX + 1;

/// What could not be done (`Step::at`), and why. What an errno cannot say has been written to standard error.
type Failure = (u32, Errno);

/// What is done with the value of each letter, in this order.
const ACTS: [(u8, Step); 40] = [
    // The limits of the group come before it is entered.
    (b'M', Step::Setup),
    (b'h', Step::Setup),
    (b'w', Step::Setup),
    (b'q', Step::Setup),
    (b'f', Step::Setup),
    (b'W', Step::Setup),
    (b'x', Step::Setup),
    (b'C', Step::Cgroup),
    (b'o', Step::OomScore),
    (b'e', Step::EnvironmentFile),
    (b'U', Step::Setup),
    (b'i', Step::Setup),
    (b's', Step::Setup),
    (b'c', Step::Setup),
    (b'p', Step::Setup),
    (b't', Step::Setup),
    // By the machine's file.
    (b'H', Step::Setup),
    (b'J', Step::Setup),
    (b'D', Step::Setup),
    (b'Z', Step::Setup),
    (b'l', Step::Setup),
    (b'P', Step::Setup),
    (b'I', Step::Setup),
    (b'T', Step::Setup),
    // Each mount over what was mounted before; then the root, in which nobody sees the rest.
    (b'N', Step::Setup),
    (b'B', Step::Setup),
    (b'r', Step::Setup),
    (b'X', Step::Setup),
    (b'R', Step::Setup),
    (b'd', Step::Directory),
    // The bounding set while we may still make it smaller; what is kept over the change of user behind that, the bits
    // last, because one of them forbids it.
    (b'k', Step::Setup),
    (b'G', Step::Groups),
    (b'g', Step::Group),
    (b'u', Step::User),
    (b'a', Step::Setup),
    (b'S', Step::Setup),
    (b'n', Step::Setup),
    // Another namespace of users has undone these.
    (b'k', Step::Setup),
    (b'a', Step::Setup),
    (b'S', Step::Setup),
];

/// Where in `ACTS` ends what is done before all else, by whoever waits for another one, too.
const GROUPED: usize = 8;
/// Where begins what is done by who has process numbers of its own: behind `N`.
const APART: usize = 25;
/// Where begins what is done again.
const AGAIN: usize = 37;

/// Letters of what is no act of the process itself: where its supervisor listens, the names of the descriptors that it
/// has kept, how long what has gone into the background has to end, and what is removed behind it.
const BESIDE: &[u8] = b"AEFz";

/// The options up to `--`, each of which is a letter and a value.
#[derive(Clone)]
struct Options {
    rest: Arguments,
    /// How many of them are `Step::Setup`'s so far: in the order of the database, which is how a failure says which one.
    setup: u8,
}

impl Options {
    /// The next value of this letter.
    fn next(&mut self, letter: u8) -> Option<&'static CStr> {
        loop {
            let option = self.rest.next_c_str()?.to_bytes();
            if option == b"--" {
                return None;
            }
            let value = self.rest.next_c_str()?;
            let is_setup = |(known, step): &(u8, Step)| option == [b'-', *known] && *step == Step::Setup;
            self.setup = self.setup.saturating_add(u8::from(ACTS.iter().any(is_setup)));
            if option == [b'-', letter] {
                return Some(value);
            }
        }
    }

    fn has(&self, letter: u8) -> bool {
        self.clone().next(letter).is_some()
    }

    /// Whether this is one of the letter's values.
    fn says(&self, letter: u8, value: &CStr) -> bool {
        let mut all = self.clone();
        core::iter::from_fn(|| all.next(letter)).any(|one| one == value)
    }
}

/// Goes over the options; `false` if they are not as they should be.
#[inline(never)]
fn pass(arguments: &mut Arguments) -> bool {
    loop {
        match arguments.next_c_str().map(CStr::to_bytes) {
            Some(b"--") => return true,
            Some([b'-', letter]) if ACTS.iter().any(|(known, _)| known == letter) || BESIDE.contains(letter) => {}
            Some(_) | None => return false,
        }
        if arguments.next_c_str().is_none() {
            return false;
        }
    }
}

/// Before anything that takes memory: want of it is a failure like others.
pub fn begin(mut arguments: Arguments) {
    let status = arguments.find_map(number); // nothing before it is one
    STATUS.store(status.unwrap_or_default(), Relaxed);
    heap::before_the_end(|errno| {
        if let Ok(status) = process::take_inherited(STATUS.load(Relaxed) as i32) {
            tell(&status, (Step::Execute as u32, errno));
        }
    });
}

pub fn run(given: &Given) -> i32 {
    let Some(mut arguments) = given.behind.clone() else { return exit::MISUSE };
    let status = arguments.next_c_str().and_then(|text| number(text.to_bytes()));
    let Some(status) = status.and_then(|number| process::take_inherited(number as i32).ok()) else {
        given.misuse(packed!("STATUS is not an open descriptor"));
    };
    let options = Options { rest: arguments.clone(), setup: 0 };
    let failure = if pass(&mut arguments) {
        match (enter_group(&options), options.clone().next(b'F')) {
            (Err(failure), _) => failure,
            (Ok(()), Some(grace)) => return stand_by(status, options, arguments, grace),
            (Ok(()), None) if options.has(b'z') => return clean_up(status, options, arguments),
            (Ok(()), None) => become_it(&status, options, arguments),
        }
    } else {
        complain(&"it was not called as it should be");
        (Step::Execute as u32, Errno::INVAL)
    };
    tell(&status, failure)
}

/// The control group with its limits, in which are also those that wait for a daemon.
#[inline(never)]
fn enter_group(options: &Options) -> Result<(), Failure> {
    let group = options.clone().next(b'C');
    for (letter, step) in ACTS.into_iter().take(GROUPED) {
        let mut values = options.clone();
        while let Some(value) = values.next(letter) {
            match step {
                Step::Cgroup => cgroup::enter(value.to_bytes()).map_err(|errno| (step as u32, errno))?,
                _ => setup::limit(letter, value, group).map_err(|errno| (step.at(values.setup), errno))?,
            }
        }
    }
    Ok(())
}

/// Lets a copy of ours become it, where it is to be anything, and behind that removes what is named.
#[inline(never)]
fn clean_up(status: OwnedFd, mut options: Options, arguments: Arguments) -> i32 {
    let mut outcome = Outcome::Exited(0);
    if arguments.clone().next_c_str().is_some() {
        let given = options.clone();
        let ended = apart::wait_for(&mut |_| tell(&status, become_it(&status, given.clone(), arguments.clone())));
        outcome = ended.unwrap_or(Outcome::Exited(exit::SYSTEM as u8));
    }
    drop(status);
    while let Some(word) = options.next(b'z') {
        let path = word.to_str().ok().and_then(setup::removed);
        if let Some((path, Err(errno))) = path.map(|path| (path, removal::remove_all(path.as_bytes()))) {
            complain(&format_args!("cannot remove {}: {}", Shown(path.as_bytes()), errno::Words(errno)));
            outcome = Outcome::Exited(exit::SYSTEM as u8);
        }
    }
    apart::end_as(outcome)
}

/// Lets a copy of ours become it, and waits for what comes out of that. See `host::forked`.
#[inline(never)]
fn stand_by(status: OwnedFd, options: Options, arguments: Arguments, grace: &CStr) -> i32 {
    let (Some(address), Some(grace_ms)) = (options.clone().next(b'A'), number(grace.to_bytes())) else {
        return tell(&status, (Step::Execute as u32, Errno::INVAL));
    };
    signals::block(SignalSet::FULL);
    let ways = match Ways::open(address) {
        Ok(ways) => ways,
        Err(errno) => return tell(&status, (Step::NotifySocket as u32, errno)),
    };
    let first = process::become_subreaper().and_then(|()| {
        process::copy(&mut || {
            signals::set_mask(SignalSet::EMPTY);
            tell(&status, become_it(&status, options.clone(), arguments.clone()))
        })
    });
    match first {
        Ok(first) => {
            drop(status); // the copy has its own
            let pid_file = options.clone().next(b'P');
            Forked { address, pid_file, grace_ms }.watch(ways, first).map_or_else(
                |errno| {
                    complain(&errno::Words(errno));
                    exit::SYSTEM
                },
                i32::from,
            )
        }
        Err(errno) => tell(&status, (Step::Execute as u32, errno)),
    }
}

/// Returns only with what went wrong.
#[inline(never)]
fn become_it(status: &OwnedFd, options: Options, arguments: Arguments) -> Failure {
    // Nothing is given back: it is all gone at the exec.
    let mut it = ManuallyDrop::new(Becoming {
        options,
        arguments,
        variables: all(entry::environment()),
        together: Together::default(),
        late: None,
    });
    it.begin();
    if it.together.numbered.is_none() {
        return it.go_on(GROUPED..ACTS.len());
    }
    if let Err(failure) = it.act(GROUPED..APART) {
        return failure;
    }
    let failed = |it: &Becoming, errno| (Step::Setup.at(it.together.numbered.unwrap_or_default()), errno);
    let errno = apart::stay_outside(it.together.is_beside(), &mut |begun| {
        let failure = match begun.and_then(|()| it.enter()) {
            Ok(()) => it.go_on(APART..ACTS.len()),
            Err(errno) => failed(&it, errno),
        };
        tell(status, failure)
    });
    failed(&it, errno)
}

/// A process on its way.
struct Becoming {
    options: Options,
    arguments: Arguments,
    variables: Vec<&'static CStr>,
    together: Together,
    /// A directory that is entered as the user.
    late: Option<&'static CStr>,
}

impl Becoming {
    /// What several acts need.
    #[inline(never)]
    fn begin(&mut self) {
        let Becoming { options, together, variables, .. } = self;
        let id = |letter| options.clone().next(letter).and_then(|text| number(text.to_bytes()));
        (together.uid, together.gid) = (id(b'u'), id(b'g'));
        if let Some(Ok(groups)) = options.clone().next(b'G').map(numbers) {
            together.groups = groups;
        }
        together.supervisor = options.clone().next(b'A');
        together.root = options.clone().next(b'R');
        together.numbered = options.says(b'N', c"pid").then_some(0); // its turn says which word it is
        if let Some(Ok(names)) = options.clone().next(b'E').map(CStr::to_str) {
            (together.stored, together.count) = (names.into(), parts(names, b':').count());
        }
        together.notify = notify_socket(variables).filter(|path| path.starts_with(b"@") || hides(options));
    }

    /// The rest, and then the program.
    fn go_on(&mut self, turns: Range<usize>) -> Failure {
        match self.act(turns) {
            Ok(()) => self.execute(),
            Err(failure) => failure,
        }
    }

    /// In a process that has numbers of its own, as its parent has not: what they are to who knows ours.
    fn enter(&mut self) -> Result<(), Errno> {
        const INSIDE: [&CStr; 2] = [c"MAINPID=2", c"WATCHDOG_PID=2"];
        for variable in INSIDE {
            if self.variables.iter().any(|other| name_of(other) == name_of(variable)) {
                self.variables.push(variable);
            }
        }
        self.together.enter()?;
        if self.together.is_beside() {
            return Ok(());
        }
        process::new_session()?;
        if self.options.has(b'T') { namespaces::control_terminal() } else { Ok(()) }
    }

    #[inline(never)]
    fn act(&mut self, turns: Range<usize>) -> Result<(), Failure> {
        let Becoming { options, together, variables, late, .. } = self;
        // What is to be used behind the change of user has to stay over it.
        let keeps = options.has(b'a') || options.has(b'S');
        for (turn, (letter, step)) in ACTS.into_iter().enumerate().take(turns.end).skip(turns.start) {
            if turn >= AGAIN && !together.is_another_user {
                break;
            }
            let (mut values, mut count) = (options.clone(), 0_u8);
            while let Some(value) = values.next(letter) {
                count = count.saturating_add(1);
                together.at = values.setup;
                let done = match step {
                    Step::Setup => setup::act(letter, value, together),
                    Step::User if keeps => privileges::keep_over_user().and_then(|()| act(letter, value, variables)),
                    _ => act(letter, value, variables),
                };
                match (done, step) {
                    (Ok(()), _) => {}
                    // Perhaps the user may.
                    (Err(Errno::ACCESS), Step::Directory) if options.has(b'u') => *late = Some(value),
                    (Err(errno), Step::EnvironmentFile) => return Err((step.at(count), errno)),
                    (Err(errno), Step::Setup) => return Err((step.at(values.setup), errno)),
                    (Err(errno), _) => return Err((step as u32, errno)),
                }
            }
            together.finish(letter)?;
        }
        Ok(())
    }

    /// Executes the program, with the environment as it is to be.
    #[inline(never)]
    fn execute(&mut self) -> Failure {
        let Becoming { options, arguments, variables, together, late } = self;
        if let Some(Err(errno)) = late.map(process::set_directory) {
            return (Step::Directory as u32, errno);
        }
        if together.count > 0 {
            // See sd_listen_fds(3).
            for text in [
                told(format_args!("LISTEN_PID={}", process::pid())),
                told(format_args!("LISTEN_FDS={}", together.count)),
                told(format_args!("LISTEN_FDNAMES={}", together.stored)),
            ] {
                variables.push(whole::lasting(text.into()));
            }
        }
        // The last one of a name counts, and stands alone: not every program looks for a second one.
        let mut environment = ManuallyDrop::new(Vec::new());
        for (at, variable) in variables.iter().enumerate() {
            let later = &variables[at + 1..];
            let mut unset = options.clone();
            let is_unset = core::iter::from_fn(|| unset.next(b'U')).any(|name| name.to_bytes() == name_of(variable));
            if !is_unset && !later.iter().any(|later| name_of(later) == name_of(variable)) {
                environment.push(*variable);
            }
        }
        if environment.len() >= VARIABLES_MAX {
            return (Step::EnvironmentFile as u32, Errno::TOOBIG);
        }
        let arguments = ManuallyDrop::new(all(arguments.clone()));
        let errno = match arguments.first() {
            None => Errno::INVAL,
            Some(_) if arguments.len() > ARGUMENTS_MAX => Errno::TOOBIG,
            Some(program) => process::execute(program, &arguments, Some(&environment)),
        };
        (Step::Execute as u32, errno)
    }
}

/// Whether a path outside may not be there inside.
fn hides(options: &Options) -> bool {
    let is_private = |name| options.says(b'N', name);
    b"BXR".iter().any(|letter| options.has(*letter)) || is_private(c"tmp") || is_private(c"dev")
}

/// Where the service says that it is ready.
fn notify_socket(variables: &[&'static CStr]) -> Option<&'static [u8]> {
    variables.iter().find_map(|variable| variable.to_bytes().strip_prefix(b"NOTIFY_SOCKET="))
}

#[inline(never)]
fn act(letter: u8, value: &'static CStr, variables: &mut Vec<&'static CStr>) -> Result<(), Errno> {
    let identity = || number(value.to_bytes()).ok_or(Errno::INVAL);
    match letter {
        // See proc_pid_oom_score_adj(5).
        b'o' => file::write_value(c"/proc/self/oom_score_adj", value.to_bytes()),
        b'e' => read_file(value.to_bytes(), variables),
        b'd' => process::set_directory(value),
        b'G' => process::set_groups(&numbers(value)?), // EINVAL for too many
        b'g' => process::set_group(identity()?),
        _ => process::set_user(identity()?),
    }
}

#[inline(never)]
fn all(mut texts: Arguments) -> Vec<&'static CStr> {
    let mut all = Vec::new();
    while let Some(text) = texts.next_c_str() {
        all.push(text);
    }
    all
}

/// `GID,GID...`, which may be empty.
#[inline(never)]
fn numbers(list: &CStr) -> Result<Vec<u32>, Errno> {
    let mut groups = Vec::new();
    for digits in list.to_bytes().split(|byte| *byte == b',') {
        if !digits.is_empty() {
            groups.push(number(digits).ok_or(Errno::INVAL)?);
        }
    }
    Ok(groups)
}

/// Adds the variables of a file.
#[inline(never)]
fn read_file(path: &[u8], variables: &mut Vec<&'static CStr>) -> Result<(), Errno> {
    let (path, may_be_missing) = path.strip_prefix(b"-").map_or((path, false), |path| (path, true));
    let shown = Shown(path);
    let mut text = Vec::new();
    match read_whole(path, &mut text) {
        Ok(()) => {}
        Err(Errno::NOENT) if may_be_missing => return Ok(()),
        Err(errno) => {
            complain(&format_args!("cannot read {shown}: {}", errno::Words(errno)));
            return Err(errno);
        }
    }
    let mut room = vec![0; text.len()];
    // They live as long as this process, until the exec. The parser lets no NUL through.
    let read = env_file::parse(&text, &mut room, &mut |variable| variables.push(whole::lasting(variable.to_vec())));
    read.map_err(|problem| {
        complain(&format_args!("{shown}:{}: {}", problem.line, problem.what));
        Errno::INVAL
    })
}

#[inline(never)]
fn read_whole(path: &[u8], to: &mut Vec<u8>) -> Result<(), Errno> {
    whole::all(&file::open_read(path)?, 0, SOURCE_BYTES_MAX + 1, to)?;
    if to.len() > SOURCE_BYTES_MAX { Err(Errno::FBIG) } else { Ok(()) }
}

fn name_of(variable: &CStr) -> &[u8] {
    let bytes = variable.to_bytes();
    bytes.split(|byte| *byte == b'=').next().unwrap_or(bytes)
}

fn complain(what: &dyn core::fmt::Display) {
    let _ = writeln!(output::stderr(), "pintle-exec: {what}");
}

/// Tells the supervisor, in the machine's byte order, and gives the exit status of a spawn that failed.
#[inline(never)]
fn tell(status: &OwnedFd, (step, errno): Failure) -> i32 {
    let mut record = [0; 8];
    let (number, code) = record.split_at_mut(4);
    number.copy_from_slice(&step.to_ne_bytes());
    code.copy_from_slice(&errno.number().to_ne_bytes());
    let _ = output::write_all(status.as_fd(), &record);
    exit::SYSTEM
}
