//! One file a family of commands; this file is the list, and the way from a name to a command.
//!
//! Every command is `pintle NAME` and `pintle-NAME`, matched exactly, and answers `--help` and `--version`.
//! An applet gets its arguments without its own name, reads options with `lexopt::Parser::from_args`, writes with
//! `sys::output`, and returns an exit code of `exit`.

mod compile;
mod dump;
mod emit;
mod engine;
mod exec;
mod log;
mod looking;
mod progress;
mod running;
mod sources;
mod supervise;

use core::fmt::Write;
use pintle::nearest::Nearest;

use crate::sys::entry::Arguments;
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
    /// The rest of `--help`: one sentence, options in order, an example; 80 columns; ends with a newline.
    pub help: &'static str,
    /// Its arguments may be another program's: `--help` and `--version` count only as the first one.
    pub raw: bool,
    /// Does it; gives the exit code.
    pub run: fn(Arguments) -> i32,
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
    let called = arguments.next().and_then(|name| name.to_str()).unwrap_or("pintle");
    let base = called.rsplit('/').next().unwrap_or(called);
    if let Some(name) = base.strip_prefix("pintle-") {
        return match find(name) {
            Some(applet) => run(applet, arguments),
            None => unknown(name),
        };
    }
    let Some(first) = arguments.next() else { return list() };
    match first.to_str() {
        Some("--help" | "-h") => list(),
        Some("--version" | "-V") => version(),
        Some("--links") => links(),
        Some(name) => match find(name) {
            Some(applet) => run(applet, arguments),
            None => unknown(name),
        },
        None => unknown("?"),
    }
}

fn find(name: &str) -> Option<&'static Applet> {
    APPLETS.iter().find(|applet| applet.name == name).copied()
}

fn run(applet: &Applet, arguments: Arguments) -> i32 {
    let asked = if applet.raw { 1 } else { usize::MAX };
    for argument in arguments.clone().take(asked) {
        match argument.to_str() {
            Some("--") => break,
            Some("--help" | "-h") => return help(applet),
            Some("--version") => return version(),
            _ => {}
        }
    }
    (applet.run)(arguments)
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
    let _ = out
        .write_str("usage: pintle COMMAND [ARGUMENT...]\nA service manager: starts, supervises and stops services.\n");
    for (family, title) in FAMILIES {
        let mut members = APPLETS.iter().filter(|applet| applet.family == family).peekable();
        if members.peek().is_some() {
            let _ = writeln!(out, "\n{title}");
        }
        for applet in members {
            let _ = writeln!(out, "  {:<12}{}", applet.name, applet.summary);
        }
    }
    let _ = out.write_str("\npintle COMMAND --help says more; pintle --version, pintle --links\n");
    finish(out)
}

fn help(applet: &Applet) -> i32 {
    let mut out = output::stdout();
    let _ = write!(out, "usage: pintle {} {}\n{}", applet.name, applet.usage, applet.help);
    finish(out)
}

fn version() -> i32 {
    let mut out = output::stdout();
    let _ = out.write_str(concat!("pintle ", env!("CARGO_PKG_VERSION"), "\n"));
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
    let _ = writeln!(output::stderr(), "pintle: {what}: {}", crate::sys::errno::Words(error));
    exit::SYSTEM
}

/// `pintle COMMAND: WHAT`, where to read more, and the exit code for it.
pub fn misuse(command: &str, what: &dyn core::fmt::Display) -> i32 {
    let _ = writeln!(output::stderr(), "pintle {command}: {what}\ntry: pintle {command} --help");
    exit::MISUSE
}
