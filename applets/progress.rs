//! What a command shows while it waits: one line that is rewritten on a terminal, plain lines elsewhere.

use core::fmt::{Display, Write};
use pintle::graph::Phase;
use pintle::protocol::cut;
use pintle::status::{Paint, Painted};
use pintle::time::Instant;

use super::is;
use super::looking::paint;
use crate::sys::{clock, output};

/// Least time between two drawings, milliseconds.
const DRAW_EVERY_MS: u32 = 50;

/// Services that are under way, and what has been told.
pub struct Progress<'a> {
    named: &'a [&'a str],
    /// Only on a terminal.
    live: bool,
    paint: Paint,
    /// Services that are under way with their phases, `web starting`, oldest first.
    under_way: Vec<String>,
    finished: u32,
    /// Results that are told if the whole ends badly.
    doubtful: Vec<String>,
    /// Those of them that are told even if it ends well.
    told: Vec<String>,
    /// Something has changed that is not drawn; when it may be.
    pub draws: Option<Instant>,
    drawn: bool,
}

impl<'a> Progress<'a> {
    /// For a command that names these.
    pub fn new(named: &'a [&'a str]) -> Progress<'a> {
        Progress {
            named,
            live: output::is_terminal(),
            paint: paint(),
            under_way: Vec::new(),
            finished: 0,
            doubtful: Vec::new(),
            told: Vec::new(),
            draws: None,
            drawn: false,
        }
    }

    /// A service has changed its phase.
    pub fn phase(&mut self, name: &str, phase: &str, text: &str) {
        if !self.live {
            let colon = if text.is_empty() { "" } else { ": " };
            let _ = writeln!(output::stdout(), "{name} {phase}{colon}{text}");
            return;
        }
        let known = self.under_way.iter().position(|line| cut(line).0 == name);
        match (known, is(phase.as_bytes(), "waiting starting restarting stopping")) {
            (Some(at), true) => self.under_way[at] = format!("{name} {phase}"),
            (None, true) => self.under_way.push(format!("{name} {phase}")),
            (Some(at), false) => {
                self.under_way.remove(at);
                self.finished += 1;
            }
            (None, false) => self.finished += 1,
        }
        self.draws = self.draws.or_else(|| Some(clock::now().plus_ms(DRAW_EVERY_MS)));
    }

    /// Rewrites the line.
    pub fn draw(&mut self) {
        self.draws = None;
        if !self.live {
            return;
        }
        let width = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).map_or(80, |size| size.ws_col.max(20));
        let mut line = format!("\r\x1b[K{} done", self.finished);
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
    /// says: what is not up may be just what was asked for, as after a condition went off.
    pub fn result(&mut self, name: &str, result: &str, text: &str) {
        let well = is(result.as_bytes(), "up down done skipped");
        let colon = if text.is_empty() { "" } else { ": " };
        let phase = Phase::ALL.iter().find(|phase| well && phase.name() == result);
        let painted = phase.map(|phase| Painted(*phase, self.paint));
        let result: &dyn Display = painted.as_ref().map_or(&result, |painted| painted);
        let line = format!("{name}: {result}{colon}{text}");
        let told = self.live && self.named.contains(&name);
        if well && told {
            self.clear();
            let _ = writeln!(output::stdout(), "{line}");
        } else if !well {
            if told {
                self.told.push(line.clone());
            }
            self.doubtful.push(line);
        }
    }

    /// The end of the whole, `well` or not.
    pub fn results(&mut self, well: bool) {
        self.clear();
        let lines = if well { &self.told } else { &self.doubtful };
        for line in lines {
            if well {
                let _ = writeln!(output::stdout(), "{line}");
            } else {
                crate::host::control::complain(line);
            }
        }
        self.forget_results();
    }

    /// All that was told of results is told again.
    pub fn forget_results(&mut self) {
        self.doubtful.clear();
        self.told.clear();
    }
}
