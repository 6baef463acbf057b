//! The same for programs: JSON (RFC 8259), one writer, every string escaped.

use core::fmt::{self, Write};

use super::{MARKS, Row, View, goal_name, why};
use crate::board::reports::{self, Exit};
use crate::board::{published, words as shared};
use crate::database::{policy, service};
use crate::graph::Phase;
use crate::lang::definition::Kind;
use crate::time::Instant;

/// Writes JSON. The caller keeps objects and arrays in order; commas and escapes are kept here. Members have names, elements
/// of an array have none: "". What `out` refuses is `out`'s to remember.
pub struct Json<'w> {
    out: &'w mut dyn Write,
    first: bool,
}

impl<'w> Json<'w> {
    /// To `out`.
    pub fn new(out: &'w mut dyn Write) -> Json<'w> {
        Json { out, first: true }
    }

    /// What comes before a value.
    fn name(&mut self, name: &str) {
        if !core::mem::take(&mut self.first) {
            let _ = self.out.write_char(',');
        }
        if !name.is_empty() {
            let _ = write!(self.out, "\"{name}\":");
        }
    }

    /// `{` or `[`.
    pub fn open(&mut self, name: &str, bracket: char) {
        self.name(name);
        self.first = true;
        let _ = self.out.write_char(bracket);
    }

    /// `}` or `]`.
    pub fn close(&mut self, bracket: char) {
        self.first = false;
        let _ = self.out.write_char(bracket);
    }

    /// A string.
    pub fn text(&mut self, name: &str, text: &dyn fmt::Display) {
        self.name(name);
        let _ = self.out.write_char('"');
        let _ = write!(Escaped(self.out), "{text}");
        let _ = self.out.write_char('"');
    }

    /// A number; `null` where there is none.
    pub fn number(&mut self, name: &str, number: Option<i64>) {
        self.name(name);
        let _ = match number {
            Some(number) => write!(self.out, "{number}"),
            None => self.out.write_str("null"),
        };
    }

    /// A truth value.
    pub fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        let _ = self.out.write_str(if value { "true" } else { "false" });
    }
}

struct Escaped<'w>(&'w mut dyn Write);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => self.0.write_char('\\').and_then(|()| self.0.write_char(character)),
                '\n' => self.0.write_str("\\n"),
                '\t' => self.0.write_str("\\t"),
                '\0'..' ' | '\x7f' => write!(self.0, "\\u{:04x}", character as u32),
                plain => self.0.write_char(plain),
            }?;
        }
        Ok(())
    }
}

impl View<'_> {
    /// One service as an object. Times are seconds since 1970 (UTC), `null` where there is none.
    pub fn write_service_json(&self, json: &mut Json<'_>, row: &Row<'_>, log: &dyn fmt::Display) {
        let (definition, report) = (row.definition, &row.report);
        json.open("", '{');
        json.text("name", &row.name);
        json.text("type", &kind_name(self.kind(definition)));
        json.text("phase", &row.phase.name());
        json.number("since", self.time(row.since));
        json.text("goal", &goal_name(row.goal));
        json.open("holds", '[');
        for hold in row.holds.names() {
            json.text("", &hold);
        }
        json.close(']');
        json.open("marks", '[');
        for ((mark, _), name) in MARKS.iter().zip(["admin", "conflict", "shutdown"]) {
            if row.holds.0 & mark != 0 {
                json.text("", &name);
            }
        }
        json.close(']');
        json.number("pid", some(report.pid).filter(|pid| *pid != 0));
        json.text("why", &Why(self, row));
        if report.exit == Exit::None {
            json.number("last_exit", None);
        } else {
            json.open("last_exit", '{');
            match report.exit {
                Exit::Code(code) => json.number("code", some(code.into())),
                Exit::Signal(signal) => json.number("signal", some(signal.into())),
                Exit::NotSpawned => json.flag("spawned", false),
                Exit::TimedOut => json.flag("timed_out", true),
                Exit::Unknown | Exit::None => {}
            }
            json.text("text", &self.exit(row));
            json.close('}');
        }
        let policy = |field| some(self.policy(definition, field));
        json.number("restarts", some(report.restarts));
        json.number("lives", some(report.life.0));
        json.number("start_timeout_ms", policy(policy::START_TIMEOUT_MS));
        json.number("stop_timeout_ms", policy(policy::STOP_TIMEOUT_MS));
        json.number("deadline_in_ms", self.left_ms(row).map(|ms| ms as i64));
        for (name, field) in [("description", service::DESCRIPTION), ("file", service::ORIGIN)] {
            json.text(name, &self.image.text(self.image.service(definition, field)));
        }
        json.text("log", log);
        json.close('}');
    }

    /// The machine as an object.
    pub fn write_machine_json(&self, json: &mut Json<'_>) {
        let (own, said) = (self.reports.words(), self.published.words());
        json.open("", '{');
        match self.boot() {
            None => json.number("boot", None),
            Some((name, reached)) => {
                json.open("boot", '{');
                json.text("bundle", &name);
                json.flag("reached", reached > 0);
                json.flag("good", reached == 2);
                json.number("since", self.time(Instant(shared::load_u64(said, published::own::BOOT_SINCE))));
                json.close('}');
            }
        }
        json.flag("shutting_down", self.shuts_down());
        json.open("services", '{');
        for (phase, count) in Phase::ALL.iter().zip(self.counts()) {
            json.number(phase.name(), some(count));
        }
        json.close('}');
        json.open("failed", '[');
        for row in self.rows(false) {
            if row.phase == Phase::Failed {
                json.text("", &row.name);
            }
        }
        json.close(']');
        let words = |json: &mut Json<'_>, from, names: &[(&str, usize)]| {
            for (name, at) in names {
                json.number(name, some(shared::load(from, *at)));
            }
        };
        json.open("supervisor", '{');
        json.flag("alive", self.supervisor_alive);
        let names = [
            ("pid", reports::own::SUPERVISOR_PID),
            ("recoveries", reports::own::RECOVERIES),
            ("allocations", reports::own::ALLOCATIONS),
            ("orphans", reports::own::ORPHANS),
        ];
        words(json, own, &names);
        json.number("since", self.time(Instant(shared::load_u64(own, reports::own::STARTED))));
        json.close('}');
        json.open("engine", '{');
        json.flag("alive", self.engine_alive);
        words(json, own, &[("pid", reports::own::ENGINE_PID), ("lives", reports::own::ENGINE_LIVES)]);
        words(json, said, &[("allocations", published::own::ALLOCATIONS)]);
        json.close('}');
        json.flag("one_uid", shared::load(own, reports::own::ONE_UID) == 1);
        json.close('}');
    }

    fn time(&self, instant: Instant) -> Option<i64> {
        (instant != Instant::default()).then(|| self.clock(instant).at)
    }
}

fn some(number: u32) -> Option<i64> {
    Some(number.into())
}

struct Why<'v, 'a, 'r>(&'v View<'a>, &'r Row<'a>);

impl fmt::Display for Why<'_, '_, '_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        why::write(self.0, to, self.1)
    }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Longrun => "longrun",
        Kind::Oneshot => "oneshot",
        Kind::Bundle => "bundle",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn strings_are_escaped_and_commas_stand_between() {
        let mut out = String::new();
        let mut json = Json::new(&mut out);
        json.open("", '{');
        json.text("a", &"q\" b\\ n\n t\t e\x1b d\x7f \u{e4}\u{20ac}");
        json.open("b", '[');
        json.number("", Some(1));
        json.flag("", true);
        json.number("", None);
        json.open("", '{');
        json.close('}');
        json.text("", &"");
        json.close(']');
        json.close('}');
        let expected = "{\"a\":\"q\\\" b\\\\ n\\n t\\t e\\u001b d\\u007f \u{e4}\u{20ac}\",\"b\":[1,true,null,{},\"\"]}";
        assert_eq!(out, expected);
    }
}
