//! `pintle emit` (`pintle-emit`): tells the engine of conditions and events.
//!
//! A condition that is held is on while a connection lives. With a command, this process becomes the command, and a
//! copy of it keeps the connection for as long as it lives; the copy connects again when the engine dies.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::options::Given;
use super::running::{self, ask, connect, quote};
use super::{dry_run, exit, failed, failed_at};
use crate::host::control::{Control, Next};
use crate::sys::entry::{self, Arguments};
use crate::sys::poll::{Interest, Poll};
use crate::sys::process;
use crate::sys::{AsFd, AsRawFd, Errno, OwnedFd, clock, file, signals};
use pintle::database::ENVIRONMENT;
use pintle::limits::ARGUMENTS_MAX;
use pintle::packed;
use pintle::packed::Packed;
use pintle::text::parts;
use pintle::time::Instant;

pub fn run(given: &Given) -> i32 {
    let misuse = |what: Packed| -> ! { given.misuse(what) };
    let mut verb = "emit";
    for option in parts("--on --off --changing --hold", b' ') {
        if given.has(option) {
            if verb != "emit" {
                misuse(packed!("only one of --on, --off, --changing, --hold"));
            }
            verb = option.split_at(2).1;
        }
    }
    let (holds, wait) = (verb == "hold", given.has("--wait"));
    let words = given.texts();
    if words.is_empty() {
        misuse(packed!("which event or condition?"));
    }
    if given.behind.is_some() && !holds {
        misuse(packed!("a command goes with --hold"));
    }
    if wait && holds {
        misuse(packed!("--wait does not go with --hold"));
    }
    let mut line = String::from(verb);
    match given.value("--for").map(|time| str::from_utf8(time).ok()) {
        None if verb == "changing" => line.push_str(" 30s"),
        None => {}
        Some(Some(time)) if verb == "changing" => quote(given, &mut line, time),
        Some(_) => misuse(packed!("--for TIME goes with --changing")),
    }
    for word in &words {
        quote(given, &mut line, word);
    }
    if given.has("--dry-run") {
        if holds {
            misuse(packed!("--dry-run does not go with --hold"));
        }
        return dry_run::show(&[line]);
    }
    if !holds {
        return running::run(&[line], wait, false, &[]);
    }
    match &given.behind {
        Some(command) => hold_for(given, &line, command.clone()),
        None => keep(hold(&line), &line, None),
    }
}

/// Connects, and lets the condition be on for as long as the connection is there.
fn hold(line: &str) -> Control {
    let mut control = connect();
    ask(&mut control, line);
    control
}

/// Keeps the condition on until this process is ended, or until the one that it is kept for has.
#[inline(never)]
fn keep(mut control: Control, line: &str, watched: Option<&OwnedFd>) -> i32 {
    loop {
        let poll = Poll::new().and_then(|poll| {
            poll.add(control.as_fd(), 0, Interest::READ)?;
            watched.iter().try_for_each(|fd| poll.add(fd.as_fd(), 1, Interest::READ))?;
            Ok(poll)
        });
        let mut poll = poll.unwrap_or_else(|error| failed(packed!("cannot wait"), error));
        let mut ended = false;
        for at in 0..poll.wait(Instant::NEVER) {
            match poll.news(at).token {
                1 => return exit::DONE,
                _ => ended = true,
            }
        }
        // A line would be news of something that was not asked: it is dropped. The end: the engine is dead.
        if ended && control.next(clock::now()) == Next::Ended {
            control = running::reconnect();
            ask(&mut control, line);
        }
    }
}

/// Leaves a copy of this process behind, which keeps the condition on for as long as this one lives, and becomes the
/// command.
fn hold_for(given: &Given, line: &str, mut command: Arguments) -> i32 {
    let Some(program) = command.clone().next_c_str() else { given.misuse(packed!("which command?")) };
    let mut arguments = Vec::new();
    while let Some(argument) = command.next_c_str() {
        arguments.push(argument);
    }
    if arguments.len() > ARGUMENTS_MAX {
        given.misuse(packed!("too many arguments"));
    }
    let mut control = Some(hold(line));
    let copied = signals::pidfd_open(process::pid()).and_then(|own| {
        process::run_in_copy(&mut || {
            // Of all that the command has open, the copy must keep nothing from its end.
            let _ = null_input_and_output();
            let Some(control) = control.take() else { return exit::SYSTEM };
            let mut kept = [control.as_fd(), control.poll(), own.as_fd()].map(|fd| fd.as_raw_fd() as u32);
            kept.sort_unstable();
            let _ = process::close_all_but(3, &kept);
            keep(control, line, Some(&own))
        })
    });
    copied.unwrap_or_else(|error| failed(packed!("cannot start the process that holds the condition"), error));
    let error = execute(program, &arguments);
    failed_at(packed!("cannot execute "), program.to_bytes(), error)
}

fn null_input_and_output() -> Result<(), Errno> {
    let null = file::open_both(c"/dev/null")?;
    process::place_at(null.as_fd(), 0, true)?;
    process::place_at(null.as_fd(), 1, true)
}

/// Becomes the program, which is looked for along PATH as a shell does.
#[inline(never)]
fn execute(program: &CStr, arguments: &[&CStr]) -> Errno {
    let become_it = |program: &CStr| process::execute(program, arguments, None);
    if program.to_bytes().contains(&b'/') {
        return become_it(program);
    }
    let path = entry::variable(b"PATH").unwrap_or(ENVIRONMENT[0].split_at(5).1.as_bytes());
    let (mut worst, mut whole) = (Errno::NOENT, Vec::new());
    for directory in path.split(|byte| *byte == b':') {
        let directory = if directory.is_empty() { &b"."[..] } else { directory };
        whole.clear();
        for part in [directory, b"/", program.to_bytes_with_nul()] {
            whole.extend_from_slice(part);
        }
        match CStr::from_bytes_until_nul(&whole).map_or(Errno::NOENT, become_it) {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => worst = Errno::ACCESS,
            error => return error,
        }
    }
    worst
}
