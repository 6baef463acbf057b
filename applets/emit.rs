//! `pintle emit` (`pintle-emit`): tells the engine of conditions and events.
//!
//! A condition that is held is on while a connection lives. With a command, this process becomes the command, and a
//! small second one keeps the connection for as long as the first one lives; it connects again when the engine dies.

use core::ffi::CStr;
use core::sync::atomic::AtomicU32;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::options::Given;
use super::running::{self, ask, connect, quote};
use super::{Applet, Family, Words, exit, failed, failed_at};
use crate::host::control::Next;
use crate::sys::entry::{self, Arguments};
use crate::sys::poll::{Interest, Poll};
use crate::sys::process;
use crate::sys::spawn::{News, Pass, Plan, Spawner, Text};
use crate::sys::{AsFd, Errno, OwnedFd, clock, file, signals};
use pintle::limits::ARGUMENTS_MAX;

pub static APPLET: Applet = Applet {
    name: "emit",
    family: Family::Events,
    summary: "say that something happened, or that a condition is on or off",
    usage: "[--on | --off | --hold] [--wait] FACT [KEY=VALUE...]\n              [-- COMMAND...]",
    help: "Without --on, --off, --hold: the event FACT happens, once.\n",
    options: &[
        ("--on", "the condition FACT is on from now on"),
        ("--off", "it is off, whoever had set it"),
        ("--hold", "it is on while this command lives; with COMMAND, while that lives"),
        ("--wait", "wait until what this sets in motion has come to rest"),
        // Of the second process: keep the condition for this one.
        ("--keep-for PID", ""),
    ],
    more: "Exit code: 0 taken (with --wait: and all of it went well), 1 not, 100 misuse.\n\
           example: pintle-emit --on net-up IFACE=eth0\n",
    words: Words::AndCommand,
    run,
};

fn run(given: &Given) -> Result<i32, i32> {
    let misuse = |what: &str| Err(given.misuse(what, "".as_ref()));
    let mut verb = "emit";
    for (option, name) in [("--on", "on"), ("--off", "off"), ("--hold", "hold")] {
        if given.has(option) {
            if verb != "emit" {
                return misuse("only one of --on, --off, --hold");
            }
            verb = name;
        }
    }
    let (holds, wait) = (verb == "hold", given.has("--wait"));
    let words = given.texts()?;
    if words.is_empty() {
        return misuse("which event or condition?");
    }
    if given.behind.is_some() && !holds {
        return misuse("a command goes with --hold");
    }
    if wait && holds {
        return misuse("--wait does not go with --hold");
    }
    let mut line = String::from(verb);
    for word in &words {
        quote(given, &mut line, word)?;
    }
    if !holds {
        return running::run(&[line], wait, &[]);
    }
    match &given.behind {
        _ if given.has("--keep-for") => keep(&line, Some(given.number("--keep-for", 0, i32::MAX as u64)? as u32)),
        Some(command) => hold_for(given, &line, &words, command.clone()),
        None => keep(&line, None),
    }
}

/// Keeps the condition on until this process is ended, or until the one that it is kept for has.
fn keep(line: &str, pid: Option<u32>) -> Result<i32, i32> {
    let watched: Option<OwnedFd> = match pid.map(signals::pidfd_open) {
        None => None,
        Some(Ok(fd)) => Some(fd),
        Some(Err(Errno::SRCH)) => return Ok(exit::DONE), // it has ended already
        Some(Err(error)) => return Err(failed("cannot watch the process", error)),
    };
    let mut control = connect()?;
    ask(&mut control, line)?;
    if watched.is_some() {
        // The first process waits for this: from here on the condition is on. Nobody else reads our output.
        let _ = rustix::io::write(rustix::stdio::stdout(), b"\n");
        let _ = null_output();
    }
    loop {
        let poll = Poll::new().and_then(|poll| {
            poll.add(control.as_fd(), 0, Interest::READ)?;
            watched.iter().try_for_each(|fd| poll.add(fd.as_fd(), 1, Interest::READ))?;
            Ok(poll)
        });
        let mut poll = poll.map_err(|error| failed("cannot wait", error))?;
        let mut ended = false;
        for at in 0..poll.wait(None) {
            match poll.news(at).token {
                1 => return Ok(exit::DONE),
                _ => ended = true,
            }
        }
        // A line would be news of something that was not asked: it is dropped. The end: the engine is dead.
        if ended && matches!(control.next(Some(clock::now())), Next::Ended) {
            control = running::reconnect()?;
            ask(&mut control, line)?;
        }
    }
}

/// Lets go of the pipe to the first process.
fn null_output() -> Result<(), Errno> {
    process::place_at(file::open_both(c"/dev/null")?.as_fd(), 1, true)
}

/// Starts a keeper for this process, waits until the condition is on, and becomes the command.
fn hold_for(given: &Given, line: &str, words: &[&str], mut command: Arguments) -> Result<i32, i32> {
    let Some(program) = command.clone().next_c_str() else { return Err(given.misuse("which command?", "".as_ref())) };
    let mut arguments = Vec::new();
    while let Some(argument) = command.next_c_str() {
        arguments.push(argument);
    }
    if arguments.len() > ARGUMENTS_MAX {
        return Err(given.misuse("too many arguments", "".as_ref()));
    }
    // Whatever is wrong with the request is told here, before there is a second process.
    let mut control = connect()?;
    ask(&mut control, line)?;
    start_keeper(words).map_err(|error| failed("cannot start the process that holds the condition", error))?;
    let error = execute(program, &arguments);
    Ok(failed_at("cannot execute ", OsStr::from_bytes(program.to_bytes()), error))
}

fn start_keeper(words: &[&str]) -> Result<(), Errno> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let null = file::open_both(c"/dev/null")?;
    let mut spawner = Spawner::new()?;
    let mut draft = spawner.draft_forked();
    let own = process::pid().to_string();
    let fixed = ["pintle-emit", "--hold", "--keep-for", &own];
    for word in fixed.iter().chain(words) {
        let text = draft.text(&[word.as_bytes()]);
        draft.argument(text);
    }
    let mut environment = entry::environment();
    while let Some(variable) = environment.next_c_str() {
        draft.variable(Text::lasting(variable));
    }
    let passes = [Pass { source: null.as_fd(), target: 0 }, Pass { source: write.as_fd(), target: 1 }];
    let plan = Plan { program: Some(Text::lasting(process::own_program())), descriptors: &passes, ..Plan::default() };
    let pid = AtomicU32::new(0);
    let pending = draft.spawn(&plan, &pid)?;
    drop(write);
    let mut byte = [0];
    match file::read(&read, &mut byte)? {
        1 => Ok(()),
        _ => match spawner.news(&pending) {
            News::Failed(_, error) => Err(error),
            // It has said itself what is wrong.
            News::None | News::Executed => Err(Errno::PIPE),
        },
    }
}

/// Becomes the program, which is looked for along PATH as a shell does.
fn execute(program: &CStr, arguments: &[&CStr]) -> Errno {
    let become_it = |program: &CStr| process::execute(program, arguments, None);
    if program.to_bytes().contains(&b'/') {
        return become_it(program);
    }
    let path = entry::variable(b"PATH").unwrap_or(b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
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
