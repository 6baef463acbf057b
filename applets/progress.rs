//! What a command shows while it waits: one line that is rewritten on a terminal, plain lines elsewhere.

use core::fmt::Write;
use pintle::graph::Phase;
use pintle::status::{Paint, Painted};
use pintle::time::Instant;

use super::looking::paint;
use crate::sys::{clock, output};

/// Least time between two drawings, milliseconds.
const DRAW_EVERY_MS: u32 = 50;

/// Services that are under way, and what has been told.
pub struct Progress {
    named: Vec<String>,
    /// Only on a terminal.
    live: bool,
    paint: Paint,
    /// Services that are under way, with their phases, oldest first.
    under_way: Vec<(String, String)>,
    finished: u32,
    /// Results that are told only if the whole ends badly: the name, and the line.
    doubtful: Vec<(String, String)>,
    /// Something has changed that is not drawn; when it may be.
    draws: Option<Instant>,
    drawn: bool,
}

impl Progress {
    /// For a command that names these.
    pub fn new(named: &[String]) -> Progress {
        Progress {
            named: named.to_vec(),
            live: rustix::termios::isatty(rustix::stdio::stdout()),
            paint: paint(),
            under_way: Vec::new(),
            finished: 0,
            doubtful: Vec::new(),
            draws: None,
            drawn: false,
        }
    }

    /// When `draw` is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.draws
    }

    /// A service has changed its phase.
    pub fn phase(&mut self, name: &str, phase: &str, text: &str) {
        if !self.live {
            let mut out = output::stdout();
            let _ = write!(out, "{name} {phase}");
            let _ = if text.is_empty() { out.write_char('\n') } else { writeln!(out, ": {text}") };
            return;
        }
        let at = self.under_way.iter().position(|(known, _)| known == name);
        let moving = matches!(phase, "waiting" | "starting" | "restarting" | "stopping");
        match (at, moving) {
            (Some(at), true) => self.under_way[at].1 = phase.to_string(),
            (Some(at), false) => {
                self.under_way.remove(at);
                self.finished += 1;
            }
            (None, true) => self.under_way.push((name.to_string(), phase.to_string())),
            (None, false) => self.finished += 1,
        }
        if self.draws.is_none() {
            self.draws = Some(clock::now().plus_ms(DRAW_EVERY_MS));
        }
    }

    /// Rewrites the line.
    pub fn draw(&mut self) {
        self.draws = None;
        if !self.live {
            return;
        }
        let width = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).map_or(80, |size| size.ws_col.max(20));
        let mut line = format!("{} done", self.finished);
        for (name, phase) in &self.under_way {
            let next = format!("{} {name} {phase}", if line.ends_with("done") { ";" } else { "," });
            if line.chars().count() + next.chars().count() + 5 > usize::from(width) {
                line.push_str(", ...");
                break;
            }
            line.push_str(&next);
        }
        let mut out = output::stdout();
        let _ = write!(out, "\r\x1b[K{line}");
        self.drawn = true;
    }

    /// Wipes the line away.
    fn clear(&mut self) {
        if core::mem::take(&mut self.drawn) {
            let _ = output::stdout().write_str("\r\x1b[K");
        }
    }

    /// The end of one service. Those that were not named are told where something is wrong, which the end of the whole
    /// says: what is not up may be just what was asked for, as after a condition went off.
    pub fn result(&mut self, name: &str, result: &str, text: &str) {
        let well = matches!(result, "up" | "down" | "done" | "skipped");
        let phase = Phase::ALL.into_iter().find(|phase| phase.name() == result);
        let paint = if well { self.paint } else { Paint::Plain };
        let mut line = String::new();
        let _ = match phase {
            Some(phase) => write!(line, "{name}: {}", Painted(phase, paint)),
            None => write!(line, "{name}: {result}"),
        };
        if !text.is_empty() {
            let _ = write!(line, ": {text}");
        }
        if !well {
            self.doubtful.push((name.to_string(), line));
        } else if self.is_told(name) {
            self.clear();
            let _ = writeln!(output::stdout(), "{line}");
        }
    }

    /// Whether the result of this one is told even if all is well.
    fn is_told(&self, name: &str) -> bool {
        self.live && self.named.iter().any(|named| named == name)
    }

    /// The end of the whole, `well` or not.
    pub fn results(&mut self, well: bool) {
        self.clear();
        for (name, line) in core::mem::take(&mut self.doubtful) {
            if !well {
                crate::host::control::complain(&line);
            } else if self.is_told(&name) {
                let _ = writeln!(output::stdout(), "{line}");
            }
        }
    }

    /// All that was told of results is told again: the engine has died.
    pub fn again(&mut self) {
        self.doubtful.clear();
    }

    /// A message.
    pub fn say(&mut self, message: &str) {
        self.clear();
        crate::host::control::complain(message);
    }

    /// All is told.
    pub fn end(&mut self) {
        self.clear();
    }
}
