//! One file a family of commands; this file is the list, and the way from a name to a command.
//!
//! Every command is `pintle NAME` and `pintle-NAME`, matched exactly, and answers `--help` and `--version`.
//! An applet has a table of its options (`options.rs`), gets what was given of them, writes with `sys::output`, and returns
//! an exit code of `exit`.

mod compile;
mod dump;
mod emit;
mod engine;
mod exec;
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

use self::options::{Choice, Given};
use crate::sys::entry::Arguments;
use crate::sys::output::Shown;
use crate::sys::{Errno, output};

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

/// Where a command stands in the list that `pintle` prints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Running,
    Looking,
    Configuring,
    Events,
    Machine,
}

/// One command.
pub struct Applet {
    /// `NAME` of `pintle NAME` and `pintle-NAME`.
    pub name: &'static str,
    /// Heading of the list.
    pub family: Family,
    /// One line for the list, without a full stop, at most 58 characters.
    pub summary: &'static str,
    /// What stands behind the name in the usage line: `[--wait] NAME...`.
    pub usage: &'static str,
    /// One sentence or some of `--help`; 80 columns; ends with a newline.
    pub help: &'static str,
    /// Its options, in order; `--help` shows them behind the sentence.
    pub options: &'static [Choice],
    /// The rest of `--help`: exit codes, an example.
    pub more: &'static str,
    /// What it takes beside options.
    pub words: Words,
    /// Does it; gives the exit code, as an error where that ends it early.
    pub run: fn(&Given) -> Result<i32, i32>,
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

/// The list. A new command is a line here.
#[rustfmt::skip] // A line each, so that two additions do not meet.
static APPLETS: &[&Applet] = &[
    &running::START,
    &running::STOP,
    &running::RESTART,
    &running::RELOAD,
    &running::SIGNAL,
    &running::RESET,
    &running::RELEASE,
    &looking::STATUS,
    &looking::LIST,
    &looking::TREE,
    &looking::WHY,
    &log::APPLET,
    &compile::APPLET,
    &dump::APPLET,
    &emit::APPLET,
    &looking::CONDITIONS,
    &supervise::APPLET,
    &running::SHUTDOWN,
    &engine::APPLET,
    &exec::APPLET,
];

const FAMILIES: [(Family, &str); 5] = [
    (Family::Running, "running"),
    (Family::Looking, "looking"),
    (Family::Configuring, "configuring"),
    (Family::Events, "events"),
    (Family::Machine, "machine"),
];

/// The program: finds the command by the name it was called by, or by the first argument.
pub fn main(mut arguments: Arguments) -> i32 {
    let mut next = || arguments.next().map(|argument| argument.to_str().unwrap_or("?"));
    let called = next().unwrap_or("pintle");
    let base = called.rfind('/').map_or(called, |slash| &called[slash + 1..]);
    let name = match base.strip_prefix("pintle-") {
        Some(name) => name,
        None => match next() {
            None | Some("--help" | "-h") => return list(),
            Some("--version" | "-V") => return version(),
            Some("--links") => return links(),
            Some(name) => name,
        },
    };
    match APPLETS.iter().find(|applet| applet.name == name) {
        Some(applet) => run(applet, arguments),
        None => unknown(name),
    }
}

fn run(applet: &Applet, arguments: Arguments) -> i32 {
    let raw = applet.words == Words::Raw;
    for argument in arguments.clone() {
        match argument.as_encoded_bytes() {
            b"--" => break,
            b"--help" | b"-h" => return help(applet),
            b"--version" => return version(),
            _ if raw => break,
            _ => {}
        }
    }
    let (Ok(code) | Err(code)) = Given::read(applet, arguments).and_then(|given| (applet.run)(&given));
    code
}

fn unknown(name: &str) -> i32 {
    let mut nearest = Nearest::to(name);
    for applet in APPLETS {
        nearest.offer(applet.name);
    }
    let mut out = output::stderr();
    let _ = write!(out, "pintle: no command \"{name}\"");
    let _ = match nearest.found() {
        Some(near) => writeln!(out, ", did you mean \"{near}\"?"),
        None => writeln!(out, "; pintle --help lists them"),
    };
    exit::MISUSE
}

fn list() -> i32 {
    let mut out = output::stdout();
    out.bytes(b"usage: pintle COMMAND [ARGUMENT...]\nA service manager: starts, supervises and stops services.\n");
    for (family, title) in FAMILIES {
        let _ = writeln!(out, "\n{title}");
        for applet in APPLETS {
            if applet.family == family {
                let _ = writeln!(out, "  {:<12}{}", applet.name, applet.summary);
            }
        }
    }
    out.bytes(b"\npintle COMMAND --help says more; pintle --version, pintle --links\n");
    finish(out)
}

fn help(applet: &Applet) -> i32 {
    let mut out = output::stdout();
    let _ = write!(out, "usage: pintle {} {}\n{}", applet.name, applet.usage, applet.help);
    let _ = options::write(applet.options, &mut out);
    if !applet.more.is_empty() {
        let _ = write!(out, "\n{}", applet.more);
    }
    finish(out)
}

fn version() -> i32 {
    let mut out = output::stdout();
    out.bytes(concat!("pintle ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
    finish(out)
}

/// Names that `make install` links to the one file.
fn links() -> i32 {
    let mut out = output::stdout();
    for applet in APPLETS {
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

/// `pintle: WHAT: Permission denied`, and the exit code for it.
pub fn failed(what: &str, error: Errno) -> i32 {
    failed_at(what, "".as_ref(), error)
}

/// `pintle: WHAT PATH: Permission denied`, and the exit code for it.
pub fn failed_at(what: &str, path: &OsStr, error: Errno) -> i32 {
    let _ = writeln!(output::stderr(), "pintle: {what}{}: {}", Shown(path), crate::sys::errno::Words(error));
    exit::SYSTEM
}
