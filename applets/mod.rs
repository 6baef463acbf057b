//! One file a family of commands; this file is the list, and the way from a name to a command.
//!
//! Every command is `pintle NAME` and `pintle-NAME`, matched exactly, and answers `--help` and `--version`. An applet
//! has a page of help (`help.txt`), by which its options are read (`options.rs`). It gets what was given, writes with
//! `sys::output`, and returns an exit code of `exit`.

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
mod notify;
mod options;
mod progress;
mod running;
mod sources;
mod strays;
mod supervise;
mod sweep;
mod upgrade;

use core::fmt::Write;
use pintle::lang::diagnostic::Meant;
use pintle::nearest::among;
use pintle::packed;
use pintle::packed::Packed;
use pintle::text::ended;

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

/// Names, a blank behind each; what each takes; what does it, and gives the exit code where it does not end the process
/// itself. Apart, since a row of all three would be three times as long.
macro_rules! applets {
    ($($name:literal $words:ident $run:path;)*) => {
        const NAMES: &str = concat!($($name, " "),*);
        static WORDS: &[Words] = &[$(Words::$words),*];
        static RUN: &[fn(&Given) -> i32] = &[$($run),*];
    };
}

// The list, in the order of the pages of help. A new command is a line here, and a page there.
applets! {
    "start" Any running::services;
    "stop" Any running::services;
    "restart" Any running::services;
    "reload" Any running::services;
    "signal" Any running::services;
    "reset" Any running::services;
    "release" Any running::services;
    "switch" One running::services;
    "await" Any running::wait_for;
    "status" Any looking::status;
    "list" None looking::list;
    "tree" Any looking::tree_command;
    "why" Any looking::why_command;
    "log" One log::run;
    "compile" Any compile::run;
    "dump" One dump::run;
    "emit" AndCommand emit::run;
    "notify" Any notify::run;
    "conditions" None looking::conditions;
    "events" Any events::run;
    "supervise" One supervise::run;
    "shutdown" None running::shutdown;
    "upgrade" None upgrade::run;
    "engine" Raw engine::run;
    "exec" Raw exec::run;
    "sweep" Any sweep::run;
}

/// The program: finds the command by the name it was called by, or by the first argument.
pub fn main(mut arguments: Arguments) -> i32 {
    let called = arguments.next().unwrap_or_default();
    let base = called.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let name = match base.strip_prefix(b"pintle-") {
        Some(name) => name,
        None => match arguments.next() {
            None => return show(help::page(0)),
            Some(first) if is(first, HELP) => return show(help::page(0)),
            Some(first) if is(first, "--version -V") => return version(),
            Some(first) if is(first, "--links") => return links(),
            Some(name) => name,
        },
    };
    match ended(NAMES, b' ').enumerate().find(|(_, known)| known.as_bytes() == name) {
        Some((number, name)) => run(number, name, arguments),
        None => unknown(name),
    }
}

fn run(number: usize, name: &'static str, arguments: Arguments) -> i32 {
    if name == "exec" {
        exec::begin(arguments.clone());
    }
    let (page, words) = (help::page(number + 1), WORDS[number]);
    for argument in arguments.clone() {
        if is(argument, HELP) {
            return show(page);
        }
        if is(argument, "--version") {
            return version();
        }
        if words == Words::Raw || is(argument, "--") {
            break;
        }
    }
    RUN[number](&Given::read(name, words, page, arguments))
}

const HELP: &str = "--help -h";

/// Whether a word is one of these, which blanks divide. (A match of several is code for each of them.)
#[inline(never)]
pub fn is(word: &[u8], words: &str) -> bool {
    words.as_bytes().split(|byte| *byte == b' ').any(|known| known == word)
}

fn unknown(name: &[u8]) -> ! {
    let near = among(str::from_utf8(name).unwrap_or_default(), &mut ended(NAMES, b' '));
    let hint = if near.is_some() { "" } else { "; pintle --help lists them" };
    refuse(exit::MISUSE as u8, format_args!("no command \"{}\"{}{hint}", Shown(name), Meant(near)))
}

/// Writes a text that is all there is to say.
fn show(text: &str) -> i32 {
    let mut out = output::stdout();
    out.bytes(text.as_bytes());
    finish(&mut out)
}

fn version() -> i32 {
    show(concat!("pintle ", env!("CARGO_PKG_VERSION"), "\n"))
}

/// Names that `make install` links to the one file.
fn links() -> i32 {
    let mut out = output::stdout();
    for name in ended(NAMES, b' ') {
        let _ = writeln!(out, "pintle-{name}");
    }
    finish(&mut out)
}

/// Writes what is left and says whether all could be written. A reader that has gone away is no message.
pub fn finish(out: &mut output::Text<'_>) -> i32 {
    match out.flush() {
        Ok(()) => exit::DONE,
        Err(Errno::PIPE) => exit::SYSTEM,
        Err(error) => failed(packed!("cannot write the output"), error),
    }
}

/// Ends the process with `pintle: WHAT: Permission denied`.
pub fn failed(what: Packed, error: Errno) -> ! {
    failed_at(what, "".as_ref(), error)
}

/// Ends the process with `pintle: WHAT PATH: Permission denied`.
pub fn failed_at(what: Packed, path: &[u8], error: Errno) -> ! {
    refuse(exit::SYSTEM as u8, format_args!("{what}{}: {}", Shown(path), errno::Words(error)))
}
