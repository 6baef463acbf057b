//! Processes with numbers of their own (`private = pid`, see pid_namespaces(7)).
//!
//! Who was started cannot get other numbers itself: it stays outside, is who the supervisor knows, hands on each signal and
//! ends as the service does. Inside, process 1 is ours, too, since nothing reaches a process 1 that it does not ask for,
//! SIGTERM at a program without a handler among it: it hands on what comes to the main process, which is number 2, and reaps.
//! When that has ended it ends, and the kernel ends all that is left in there. Both wait for signals and do nothing else.

use super::forked::reap_all;
use crate::sys::poll::{self, Interest};
use crate::sys::reap::Outcome;
use crate::sys::signals::{self, SIGCHLD, SignalSet, Target};
use crate::sys::{AsFd, AsRawFd, Errno, OwnedFd, Result, file, pipe, process};

/// The number of a service's first process inside: the first child of process 1.
pub const MAIN: u32 = 2;
/// The exit code where nobody can be made inside.
const CODE: u8 = 111;

/// Who goes on, inside; `Err` where it cannot begin. Ends its process.
type Inside<'a> = &'a mut dyn FnMut(Result<()>) -> i32;

/// Children of ours are in another namespace of pids: the first one makes the second one, which goes on as `inside`. With
/// `beside` there are others already, and the first one goes on. Returns only with an error.
pub fn stay_outside(beside: bool, inside: Inside<'_>) -> Errno {
    match wait_outside(beside, inside) {
        Err(errno) => errno,
        Ok(outcome) => end_as(outcome),
    }
}

/// Ends as another process did.
pub fn end_as(outcome: Outcome) -> ! {
    match outcome {
        Outcome::Exited(code) => process::exit(code),
        Outcome::Killed { signal, .. } => {
            let _ = process::set_dumpable(false); // our memory says nothing about it
            signals::die_of(signal)
        }
    }
}

/// Lets a copy of ours go on, and waits until it has ended. Whatever comes meanwhile is for that one.
#[inline(never)]
pub fn wait_for(goes_on: Inside<'_>) -> Result<Outcome> {
    signals::block(SignalSet::FULL);
    let caught = signals::signal_fd(SignalSet::FULL)?;
    let first = process::copy(&mut || go_on(goes_on))?;
    let _ = process::close_all_but(3, &[caught.as_raw_fd() as u32]); // the pipe that says when it executes, above all
    Ok(tend(first, &caught))
}

#[inline(never)]
fn wait_outside(beside: bool, inside: Inside<'_>) -> Result<Outcome> {
    signals::block(SignalSet::FULL);
    let caught = signals::signal_fd(SignalSet::FULL)?;
    let (told, tells) = pipe::pair()?;
    let mut told = Some(told);
    let first = process::copy(&mut || {
        drop(told.take()); // the other one has its own
        if beside { go_on(inside) } else { be_first(&tells, inside) }
    })?;
    let Some(told) = told else { return Err(Errno::PIPE) };
    keep_alone(&caught, &told);
    let outcome = tend(first, &caught);
    // What process 1 cannot say by its own end.
    let mut said = [0; 2];
    match file::read(&told, &mut said) {
        Ok(2) if said[0] != 0 => Ok(Outcome::Killed { signal: said[0], core: false }),
        Ok(2) => Ok(Outcome::Exited(said[1])),
        Ok(_) | Err(_) => Ok(outcome),
    }
}

/// Process 1. `tells` is where it says how the main one has ended.
#[inline(never)]
fn be_first(tells: &OwnedFd, inside: Inside<'_>) -> i32 {
    // Whoever is outside may be killed: then nobody is to be here. (It may have been just now.)
    let made = process::die_with_parent()
        .and_then(|()| if poll::is_hung_up(tells.as_fd()) { Err(Errno::PIPE) } else { Ok(()) })
        .and_then(|()| signals::signal_fd(SignalSet::FULL))
        .and_then(|caught| Ok((process::copy(&mut || go_on(inside))?, caught)));
    let (main, caught) = match made {
        Ok(made) => made,
        Err(errno) => return inside(Err(errno)),
    };
    keep_alone(&caught, tells);
    let said = match tend(main, &caught) {
        Outcome::Exited(code) => [0, code],
        Outcome::Killed { signal, .. } => [signal, 0],
    };
    let _ = file::write(tells, &said); // whoever reads it has ended, or has it
    CODE.into()
}

fn go_on(inside: Inside<'_>) -> i32 {
    signals::set_mask(SignalSet::EMPTY);
    inside(Ok(()))
}

/// Nothing else is held open by who only waits.
fn keep_alone(one: &OwnedFd, other: &OwnedFd) {
    let (one, other) = (one.as_raw_fd() as u32, other.as_raw_fd() as u32);
    let _ = process::close_all_but(0, &[one.min(other), one.max(other)]);
}

/// Hands on to a child whatever comes, and reaps, until it has ended.
fn tend(child: u32, caught: &OwnedFd) -> Outcome {
    loop {
        let mut ended = None;
        reap_all(&mut |death| {
            if death.pid == child {
                ended = Some(death.outcome);
            }
        });
        if let Some(outcome) = ended {
            return outcome;
        }
        poll::wait_for(Some(caught.as_fd()), Interest::READ, i32::MAX as u32);
        while let Some(one) = signals::read_signal(caught.as_fd()) {
            if one.signal != SIGCHLD {
                let _ = signals::send(Target::Process(child), one.signal); // it ends just now: well
            }
        }
    }
}
