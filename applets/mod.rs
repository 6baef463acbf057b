//! One file a family of commands; this file is the list, and the way from a name to a command.
//!
//! Every command is `pintle NAME` and `pintle-NAME`, matched exactly, and answers `--help` and `--version`.
//! An applet has a page of help (`help.txt`), by which its options are read (`options.rs`). It gets what was given, writes
//! with `sys::output`, and returns an exit code of `exit`.

mod compile;
mod dry_run;
mod dump;
mod emit;
mod engine;
mod events;
mod exec;
mod help;
mod log;
mod looking;
mod options;
mod progress;
mod running;
mod sources;
mod supervise;

use core::fmt::Write;
use pintle::nearest::Nearest;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use self::options::Given;
use crate::host::refuse::refuse;
use crate::sys::entry::Arguments;
use crate::sys::output::Shown;
use crate::sys::{Errno, errno, output};

/// Exit codes of every command.
pub mod exit {
    /// Yes, or done.
    pub const DONE: i32 = 0;
    /// No, or it failed.
    pub const NO: i32 = 1;
    /// Misuse, or bad input.
    pub const MISUSE: i32 = 100;
    /// A system call failed.
    pub const SYSTEM: i32 = 111;
}

/// One command.
pub struct Applet {
    /// `NAME` of `pintle NAME` and `pintle-NAME`.
    pub name: &'static str,
    /// What it takes beside options.
    pub words: Words,
    /// Does it; gives the exit code, where it does not end the process itself.
    pub run: fn(&Given) -> i32,
}

/// What a command takes beside options.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// Nothing.
    None,
    /// One word at most.
    One,
    /// Words.
    Any,
    /// Words, and another command behind `--`.
    AndCommand,
    /// It reads its arguments itself: `--help` and `--version` count only as the first one.
    Raw,
}

/// The list, in the order of the pages of help. A new command is a line here, and a page there.
#[rustfmt::skip] // A line each, so that two additions do not meet.
static APPLETS: [Applet; 23] = [
    Applet { name: "start", words: Words::Any, run: running::services },
    Applet { name: "stop", words: Words::Any, run: running::services },
    Applet { name: "restart", words: Words::Any, run: running::services },
    Applet { name: "reload", words: Words::Any, run: running::services },
    Applet { name: "signal", words: Words::Any, run: running::services },
    Applet { name: "reset", words: Words::Any, run: running::services },
    Applet { name: "release", words: Words::Any, run: running::services },
    Applet { name: "switch", words: Words::One, run: running::services },
    Applet { name: "await", words: Words::Any, run: running::wait_for },
    Applet { name: "status", words: Words::Any, run: looking::status },
    Applet { name: "list", words: Words::None, run: looking::list },
    Applet { name: "tree", words: Words::Any, run: looking::tree_command },
    Applet { name: "why", words: Words::Any, run: looking::why_command },
    Applet { name: "log", words: Words::One, run: log::run },
    Applet { name: "compile", words: Words::Any, run: compile::run },
    Applet { name: "dump", words: Words::One, run: dump::run },
    Applet { name: "emit", words: Words::AndCommand, run: emit::run },
    Applet { name: "conditions", words: Words::None, run: looking::conditions },
    Applet { name: "events", words: Words::Any, run: events::run },
    Applet { name: "supervise", words: Words::One, run: supervise::run },
    Applet { name: "shutdown", words: Words::None, run: running::shutdown },
    Applet { name: "engine", words: Words::Raw, run: engine::run },
    Applet { name: "exec", words: Words::Raw, run: exec::run },
];

/// The program: finds the command by the name it was called by, or by the first argument.
pub fn main(mut arguments: Arguments) -> i32 {
    let called = arguments.next().map_or(&b""[..], OsStr::as_bytes);
    let base = called.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let name = match base.strip_prefix(b"pintle-") {
        Some(name) => name,
        None => match arguments.next().map(OsStr::as_bytes) {
            None => return show(&help::page(0)),
            Some(first) if is(first, HELP) => return show(&help::page(0)),
            Some(first) if is(first, "--version -V") => return version(),
            Some(first) if is(first, "--links") => return links(),
            Some(name) => name,
        },
    };
    match APPLETS.iter().position(|applet| applet.name.as_bytes() == name) {
        Some(number) => run(number, arguments),
        None => unknown(OsStr::from_bytes(name)),
    }
}

fn run(number: usize, arguments: Arguments) -> i32 {
    let applet = &APPLETS[number];
    let page = || help::page(number + 1);
    let raw = applet.words == Words::Raw;
    for argument in arguments.clone() {
        let argument = argument.as_bytes();
        if is(argument, HELP) {
            return show(&page());
        }
        if is(argument, "--version") {
            return version();
        }
        if raw || is(argument, "--") {
            break;
        }
    }
    (applet.run)(&Given::read(applet, page(), arguments))
}

const HELP: &str = "--help -h";

/// Whether a word is one of these, which blanks divide. (A match of several is code for each of them.)
#[inline(never)]
pub fn is(word: &[u8], words: &str) -> bool {
    words.as_bytes().split(|byte| *byte == b' ').any(|known| known == word)
}

fn unknown(name: &OsStr) -> i32 {
    let mut nearest = Nearest::to(name.to_str().unwrap_or_default());
    for applet in &APPLETS {
        nearest.offer(applet.name);
    }
    let mut out = output::stderr();
    let _ = write!(out, "pintle: no command \"{}\"", Shown(name));
    let _ = match nearest.found() {
        Some(near) => writeln!(out, ", did you mean \"{near}\"?"),
        None => writeln!(out, "; pintle --help lists them"),
    };
    exit::MISUSE
}

/// Writes a text that is all there is to say.
fn show(text: &[u8]) -> i32 {
    let mut out = output::stdout();
    out.bytes(text);
    finish(out)
}

fn version() -> i32 {
    show(concat!("pintle ", env!("CARGO_PKG_VERSION"), "\n").as_bytes())
}

/// Names that `make install` links to the one file.
fn links() -> i32 {
    let mut out = output::stdout();
    for applet in &APPLETS {
        let _ = writeln!(out, "pintle-{}", applet.name);
    }
    finish(out)
}

/// Writes what is left and says whether all could be written. A reader that has gone away is no message.
pub fn finish(mut out: output::Text<'_>) -> i32 {
    match out.flush() {
        Ok(()) => exit::DONE,
        Err(Errno::PIPE) => exit::SYSTEM,
        Err(error) => failed("cannot write the output", error),
    }
}

/// Ends the process with `pintle: WHAT: Permission denied`.
pub fn failed(what: &str, error: Errno) -> ! {
    failed_at(what, "".as_ref(), error)
}

/// Ends the process with `pintle: WHAT PATH: Permission denied`.
pub fn failed_at(what: &str, path: &OsStr, error: Errno) -> ! {
    refuse(exit::SYSTEM as u8, format_args!("{what}{}: {}", Shown(path), errno::Words(error)))
}
