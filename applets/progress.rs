//! What a command shows while it waits: one line that is rewritten on a terminal, plain lines elsewhere and on a
//! dumb one.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use pintle::graph::Phase;
use pintle::lang::diagnostic::told;
use pintle::protocol::{Answer, cut};
use pintle::status::{Paint, Painted};
use pintle::text::put;
use pintle::time::Instant;

use super::is;
use super::looking::{can_be_steered, paint};
use crate::host::control::{Control, Next};
use crate::sys::{clock, output, process};

/// Least time between two drawings, milliseconds.
const DRAW_EVERY_MS: u32 = 50;

/// Services that are under way, and what has been told.
pub struct Progress<'a> {
    named: &'a [&'a str],
    /// Only on a terminal that can be steered.
    live: bool,
    paint: Paint,
    /// Services that are under way with their phases, `web starting`, oldest first.
    under_way: Vec<String>,
    finished: u32,
    /// Lines with results that are told if the whole ends badly; those that were named, even if it ends well.
    doubtful: Vec<String>,
    /// Something has changed that is not drawn; when it may be.
    draws: Instant,
    drawn: bool,
}

impl<'a> Progress<'a> {
    /// For a command that names these.
    pub fn new(named: &'a [&'a str]) -> Progress<'a> {
        Progress {
            named,
            live: can_be_steered(),
            paint: paint(),
            under_way: Vec::new(),
            finished: 0,
            doubtful: Vec::new(),
            draws: Instant::NEVER,
            drawn: false,
        }
    }

    /// Goes on to the next line that is neither a phase nor a result, which are shown; `false` where the engine has
    /// ended.
    pub fn next(&mut self, control: &mut Control) -> bool {
        loop {
            match control.next(self.draws) {
                Next::Nothing => self.draw(),
                Next::Ended => return false,
                Next::Line => match Answer::parse(control.line()) {
                    Some(Answer::Phase { name, phase, text }) => self.phase(name, phase, text),
                    Some(Answer::Result { .. }) => self.result(control.line()),
                    Some(
                        Answer::Ok(..)
                        | Answer::No(_)
                        | Answer::Bad(_)
                        | Answer::End(..)
                        | Answer::Event(..)
                        | Answer::Missed(_),
                    )
                    | None => return true,
                },
            }
        }
    }

    /// A service has changed its phase.
    #[inline(never)]
    fn phase(&mut self, name: &str, phase: &str, text: &str) {
        if !self.live {
            let colon = if text.is_empty() { "" } else { ": " };
            let _ = writeln!(output::stdout(), "{name} {phase}{colon}{text}");
            return;
        }
        let known = self.under_way.iter().position(|line| cut(line).0 == name);
        let at = known.unwrap_or(self.under_way.len());
        if is(phase.as_bytes(), "waiting starting restarting stopping") {
            if known.is_none() {
                self.under_way.push(String::new());
            }
            self.under_way[at].clear();
            put(&mut self.under_way[at], &[name, " ", phase]);
        } else {
            if known.is_some() {
                self.under_way.remove(at);
            }
            self.finished += 1;
        }
        self.draws = self.draws.min(clock::now().plus_ms(DRAW_EVERY_MS));
    }

    /// Rewrites the line.
    #[inline(never)]
    fn draw(&mut self) {
        self.draws = Instant::NEVER;
        if !self.live {
            return;
        }
        let width = rustix::termios::tcgetwinsize(process::standard_output()).map_or(80, |size| size.ws_col.max(20));
        let mut line = told(format_args!("\r\x1b[K{} done", self.finished));
        // What steers the terminal takes no room there.
        let width = usize::from(width) + 4;
        let mut before = "; ";
        for next in &self.under_way {
            // All of it is ASCII.
            if line.len() + before.len() + next.len() + 5 > width {
                line.push_str(", ...");
                break;
            }
            line.push_str(before);
            line.push_str(next);
            before = ", ";
        }
        output::stdout().bytes(line.as_bytes());
        self.drawn = true;
    }

    /// Wipes the line away.
    pub fn clear(&mut self) {
        if core::mem::take(&mut self.drawn) {
            output::stdout().bytes(b"\r\x1b[K");
        }
    }

    /// The end of one service. Those that were not named are told where something is wrong, which the end of the whole
    /// says: what is not up may be just what was asked for, as after a condition went off. What is down and has a reason
    /// was not asked to be.
    #[inline(never)]
    fn result(&mut self, line: &str) {
        let (name, result) = cut(cut(line).1);
        let (result, text) = cut(result);
        if !text.is_empty() || !is(result.as_bytes(), "up down done") {
            self.doubtful.push(String::from(line));
        } else if self.is_named(name) {
            self.tell(line, true);
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.live && self.named.contains(&name)
    }

    /// The end of the whole, `well` or not.
    pub fn results(&mut self, well: bool) {
        for line in core::mem::take(&mut self.doubtful) {
            if !well || self.is_named(cut(cut(&line).1).0) {
                self.tell(&line, well);
            }
        }
    }

    /// Shows a result, or complains of it.
    #[inline(never)]
    fn tell(&mut self, line: &str, well: bool) {
        self.clear();
        let (name, rest) = cut(cut(line).1);
        let (result, text) = cut(rest);
        let (mut out, before) = if well { (output::stdout(), "") } else { (output::stderr(), "pintle: ") };
        let _ = write!(out, "{before}{name}: ");
        match Phase::named(result).filter(|_| well) {
            Some(phase) => Painted(phase, self.paint).write(&mut out),
            None => out.bytes(result.as_bytes()),
        }
        let colon = if text.is_empty() { "" } else { ": " };
        let _ = writeln!(out, "{colon}{text}");
    }

    /// All that was told of results is told again.
    pub fn forget_results(&mut self) {
        self.doubtful.clear();
    }
}
