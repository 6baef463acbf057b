//! `pintle emit` (`pintle-emit`): tells the engine of conditions and events.
//!
//! A condition that is held is on while a connection lives. With a command, this process becomes the command, and a
//! small second one keeps the connection for as long as the first one lives; it connects again when the engine dies.

use core::ffi::CStr;
use core::sync::atomic::AtomicU32;
use lexopt::prelude::*;
use std::ffi::{CString, OsStr};

use super::running::{self, quote};
use super::{Applet, Family, exit, failed, misuse};
use crate::host::control::{Control, Next, complain};
use crate::sys::entry::{self, Arguments};
use crate::sys::poll::{Interest, Poll};
use crate::sys::process::{self, Vector};
use crate::sys::spawn::{News, Plan, Refused, Spawner, Text};
use crate::sys::{AsFd, Errno, OwnedFd, clock, signals};
use pintle::limits::ARGUMENTS_MAX;
use pintle::protocol::Answer;

pub static APPLET: Applet = Applet {
    name: "emit",
    family: Family::Events,
    summary: "say that something happened, or that a condition is on or off",
    usage: "[--on | --off | --hold] [--wait] FACT [KEY=VALUE...]\n              [-- COMMAND...]",
    help: "Without --on, --off, --hold: the event FACT happens, once.\n\
           \n\
           --on      the condition FACT is on from now on\n\
           --off     it is off, whoever had set it\n\
           --hold    it is on while this command lives; with COMMAND, while that lives\n\
           --wait    wait until what this sets in motion has come to rest\n\
           \n\
           Exit code: 0 taken (with --wait: and all of it went well), 1 not, 100 misuse.\n\
           example: pintle-emit --on net-up IFACE=eth0\n",
    raw: false,
    run,
};

/// Hidden argument of the second process: keep the condition for this process.
const KEEPER: &str = "--keep-for";

fn run(arguments: Arguments) -> i32 {
    let own = arguments.clone().take_while(|argument| *argument != OsStr::new("--"));
    let mut command = arguments.clone();
    let has_command = command.by_ref().any(|argument| argument == OsStr::new("--"));
    let mut parser = lexopt::Parser::from_args(own);
    let (mut verb, mut wait, mut keep_for, mut words) = ("emit", false, None, Vec::new());
    loop {
        match parser.next() {
            Ok(None) => break,
            Ok(Some(Long(name @ ("on" | "off" | "hold")))) => {
                if verb != "emit" {
                    return misuse("emit", &"only one of --on, --off, --hold");
                }
                verb = match name {
                    "on" => "on",
                    "off" => "off",
                    _ => "hold",
                };
            }
            Ok(Some(Long("wait"))) => wait = true,
            Ok(Some(Long("keep-for"))) => match parser.value().map(|value| value.to_str().and_then(|v| v.parse().ok()))
            {
                Ok(Some(pid)) => keep_for = Some(pid),
                Ok(None) | Err(_) => return misuse("emit", &"--keep-for takes a process id"),
            },
            Ok(Some(Value(word))) => match word.into_string() {
                Ok(word) => words.push(word),
                Err(word) => return misuse("emit", &format!("{word:?} is not text")),
            },
            Ok(Some(other)) => return misuse("emit", &other.unexpected()),
            Err(error) => return misuse("emit", &error),
        }
    }
    if words.is_empty() {
        return misuse("emit", &"which event or condition?");
    }
    if has_command && verb != "hold" {
        return misuse("emit", &"a command goes with --hold");
    }
    if wait && verb == "hold" {
        return misuse("emit", &"--wait does not go with --hold");
    }
    let mut line = String::from(verb);
    for word in &words {
        line.push(' ');
        if let Err(message) = quote(&mut line, word) {
            return misuse("emit", &message);
        }
    }
    match (verb, keep_for) {
        ("hold", Some(pid)) => keep(&line, Some(pid)),
        ("hold", None) if has_command => hold_for(&line, &words, command),
        ("hold", None) => keep(&line, None),
        _ => running::run(&[line], wait, &[]),
    }
}

/// Holds on a connection: sends the line, and gives the connection once the engine has taken it.
fn hold(mut control: Control, line: &str) -> Result<Control, i32> {
    loop {
        let next = match control.send(line) {
            Ok(()) => control.next(None),
            Err(_) => Next::Ended,
        };
        match next {
            Next::Line(answer) => match Answer::parse(&answer) {
                Some(Answer::Ok(_, text)) => {
                    running::note(text);
                    return Ok(control);
                }
                Some(Answer::No(text)) => {
                    complain(text);
                    return Err(exit::NO);
                }
                Some(Answer::Bad(text)) => {
                    complain(text);
                    return Err(exit::MISUSE);
                }
                _ => {
                    complain("the engine gave an answer that makes no sense");
                    return Err(exit::SYSTEM);
                }
            },
            Next::Nothing => {}
            Next::Ended => control = running::reconnect()?,
        }
    }
}

fn connect() -> Result<Control, i32> {
    Control::connect().map_err(|message| {
        complain(&message);
        exit::SYSTEM
    })
}

/// Keeps the condition on until this process is ended, or until the one that it is kept for has.
fn keep(line: &str, pid: Option<u32>) -> i32 {
    let watched: Option<OwnedFd> = match pid.map(signals::pidfd_open) {
        None => None,
        Some(Ok(fd)) => Some(fd),
        Some(Err(Errno::SRCH)) => return exit::DONE, // it has ended already
        Some(Err(error)) => return failed("cannot watch the process", error),
    };
    let mut control = match connect().and_then(|control| hold(control, line)) {
        Ok(control) => control,
        Err(code) => return code,
    };
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
        let mut poll = match poll {
            Ok(poll) => poll,
            Err(error) => return failed("cannot wait", error),
        };
        let mut ended = false;
        for news in poll.wait(None) {
            match news.token {
                1 => return exit::DONE,
                _ => ended = true,
            }
        }
        // A line would be news of something that was not asked: it is dropped. The end: the engine is dead.
        if ended && matches!(control.next(Some(clock::now())), Next::Ended) {
            control = match running::reconnect().and_then(|again| hold(again, line)) {
                Ok(again) => again,
                Err(code) => return code,
            };
        }
    }
}

/// Lets go of the pipe to the first process.
fn null_output() -> Result<(), Errno> {
    let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())?;
    process::place_at(null.as_fd(), 1, true)
}

/// Starts a keeper for this process, waits until the condition is on, and becomes the command.
fn hold_for(line: &str, words: &[String], command: Arguments) -> i32 {
    let mut arguments: Vector<'_, { ARGUMENTS_MAX + 1 }> = Vector::new();
    let mut program = None;
    let mut rest = command;
    while let Some(argument) = rest.next_c_str() {
        program = program.or(Some(argument));
        if arguments.push(argument).is_err() {
            return misuse("emit", &"too many arguments");
        }
    }
    let Some(program) = program else { return misuse("emit", &"which command?") };
    // Whatever is wrong with the request is told here, before there is a second process.
    if let Err(code) = connect().and_then(|control| hold(control, line)) {
        return code;
    }
    if let Err((what, error)) = start_keeper(words) {
        return failed(what, error);
    }
    let error = execute(program, &arguments);
    let name = program.to_string_lossy();
    failed(&format!("cannot execute {name}"), error)
}

fn start_keeper(words: &[String]) -> Result<(), (&'static str, Errno)> {
    let what = "cannot start the process that holds the condition";
    let trouble = |error| (what, error);
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(trouble)?;
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    let null = null.map_err(trouble)?;
    let mut spawner = Spawner::new().map_err(trouble)?;
    let mut draft = spawner.draft_forked();
    let too_long = |_: Refused| (what, Errno::TOOBIG);
    let own = process::pid().to_string();
    let fixed = ["pintle-emit", "--hold", KEEPER, &own];
    for word in fixed.into_iter().chain(words.iter().map(String::as_str)) {
        let text = draft.text(&[word.as_bytes()]).map_err(too_long)?;
        draft.argument(text).map_err(too_long)?;
    }
    let mut environment = entry::environment();
    while let Some(variable) = environment.next_c_str() {
        draft.variable(Text::lasting(variable)).map_err(too_long)?;
    }
    let passes = [
        crate::sys::spawn::Pass { source: null.as_fd(), target: 0 },
        crate::sys::spawn::Pass { source: write.as_fd(), target: 1 },
    ];
    let plan = Plan { program: Some(Text::lasting(process::own_program())), descriptors: &passes, ..Plan::default() };
    let pid = AtomicU32::new(0);
    let pending = draft.spawn(&plan, &pid).map_err(trouble)?;
    drop(write);
    let mut byte = [0];
    match rustix::io::retry_on_intr(|| rustix::io::read(&read, &mut byte)) {
        Ok(1) => Ok(()),
        Ok(_) => match spawner.news(&pending) {
            News::Failed(_, error) => Err((what, error)),
            // It has said itself what is wrong.
            News::None | News::Executed => Err((what, Errno::PIPE)),
        },
        Err(error) => Err((what, error)),
    }
}

/// Becomes the program, which is looked for along PATH as a shell does.
fn execute(program: &CStr, arguments: &Vector<'_, { ARGUMENTS_MAX + 1 }>) -> Errno {
    if program.to_bytes().contains(&b'/') {
        return process::execute::<{ ARGUMENTS_MAX + 1 }, 1>(program, arguments, None);
    }
    let path = entry::variable(b"PATH").unwrap_or(b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut worst = Errno::NOENT;
    for directory in path.split(|byte| *byte == b':') {
        let directory = if directory.is_empty() { &b"."[..] } else { directory };
        let Ok(whole) = CString::new([directory, b"/", program.to_bytes()].concat()) else { continue };
        match process::execute::<{ ARGUMENTS_MAX + 1 }, 1>(&whole, arguments, None) {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => worst = Errno::ACCESS,
            error => return error,
        }
    }
    worst
}
