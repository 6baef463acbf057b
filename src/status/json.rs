//! The same for programs: JSON (RFC 8259), one writer, every string escaped.

use core::fmt::{self, Write};

use super::{MARKS, Row, View, goal_name, why};
use crate::board::reports::{self, Exit};
use crate::board::{published, words as shared};
use crate::database::{policy, service};
use crate::graph::Phase;
use crate::lang::definition::Kind;
use crate::time::Instant;

/// Writes JSON. The caller keeps objects and arrays in order; commas and escapes are kept here.
pub struct Json<'w> {
    out: &'w mut dyn Write,
    first: bool,
}

impl<'w> Json<'w> {
    /// To `out`.
    pub fn new(out: &'w mut dyn Write) -> Json<'w> {
        Json { out, first: true }
    }

    fn comma(&mut self) -> fmt::Result {
        let first = core::mem::replace(&mut self.first, false);
        if first { Ok(()) } else { self.out.write_char(',') }
    }

    /// `{` or `[`, as an element of what is open.
    pub fn open(&mut self, bracket: char) -> fmt::Result {
        self.comma()?;
        self.first = true;
        self.out.write_char(bracket)
    }

    /// `}` or `]`.
    pub fn close(&mut self, bracket: char) -> fmt::Result {
        self.first = false;
        self.out.write_char(bracket)
    }

    /// A member's name.
    pub fn key(&mut self, name: &str) -> fmt::Result {
        self.text(&name)?;
        self.first = true;
        self.out.write_char(':')
    }

    /// A string.
    pub fn text(&mut self, text: &dyn fmt::Display) -> fmt::Result {
        self.comma()?;
        self.out.write_char('"')?;
        write!(Escaped(self.out), "{text}")?;
        self.out.write_char('"')
    }

    /// A number, `true`, `false` or `null`.
    pub fn plain(&mut self, value: &dyn fmt::Display) -> fmt::Result {
        self.comma()?;
        write!(self.out, "{value}")
    }

    /// A member that is a string.
    pub fn pair(&mut self, name: &str, text: &dyn fmt::Display) -> fmt::Result {
        self.key(name)?;
        self.text(text)
    }

    /// A member that is a number or a truth value.
    pub fn pair_plain(&mut self, name: &str, value: &dyn fmt::Display) -> fmt::Result {
        self.key(name)?;
        self.plain(value)
    }
}

struct Escaped<'w>(&'w mut dyn Write);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(|c: char| c < ' ' || matches!(c, '"' | '\\' | '\x7f')) {
            let special =
                part.bytes().next_back().filter(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\' | b'\x7f'));
            let Some(byte) = special else {
                self.0.write_str(part)?;
                continue;
            };
            self.0.write_str(&part[..part.len() - 1])?;
            match byte {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                b'\t' => self.0.write_str("\\t")?,
                other => write!(self.0, "\\u{other:04x}")?,
            }
        }
        Ok(())
    }
}

impl View<'_> {
    /// One service as an object. Times are seconds since 1970 (UTC), `null` where there is none.
    pub fn write_service_json(&self, json: &mut Json<'_>, row: &Row<'_>, log: &dyn fmt::Display) -> fmt::Result {
        let definition = row.definition;
        json.open('{')?;
        json.pair("name", &row.name)?;
        json.pair("type", &kind_name(self.kind(definition)))?;
        json.pair("phase", &row.phase.name())?;
        self.time(json, "since", row.since)?;
        json.pair("goal", &goal_name(row.goal))?;
        json.key("holds")?;
        json.open('[')?;
        for hold in row.holds.names() {
            json.text(&hold)?;
        }
        json.close(']')?;
        json.key("marks")?;
        json.open('[')?;
        for ((mark, _), name) in MARKS.iter().zip(["admin", "conflict", "shutdown"]) {
            if row.holds.0 & mark != 0 {
                json.text(&name)?;
            }
        }
        json.close(']')?;
        json.key("pid")?;
        match row.report.pid {
            0 => json.plain(&"null")?,
            pid => json.plain(&pid)?,
        }
        json.pair("why", &Why(self, row))?;
        json.key("last_exit")?;
        match row.report.exit {
            Exit::None => json.plain(&"null")?,
            exit => {
                json.open('{')?;
                match exit {
                    Exit::Code(code) => json.pair_plain("code", &code)?,
                    Exit::Signal(signal) => json.pair_plain("signal", &signal)?,
                    Exit::NotSpawned => json.pair_plain("spawned", &false)?,
                    Exit::TimedOut => json.pair_plain("timed_out", &true)?,
                    Exit::Unknown | Exit::None => {}
                }
                json.pair("text", &self.exit(row))?;
                json.close('}')?;
            }
        }
        json.pair_plain("restarts", &row.report.restarts)?;
        json.pair_plain("lives", &row.report.life.0)?;
        json.pair_plain("start_timeout_ms", &self.policy(definition, policy::START_TIMEOUT_MS))?;
        json.pair_plain("stop_timeout_ms", &self.policy(definition, policy::STOP_TIMEOUT_MS))?;
        json.key("deadline_in_ms")?;
        match row.report.deadline {
            deadline if deadline != Instant::NEVER && deadline > self.now => {
                json.plain(&deadline.ms_since(self.now))?
            }
            _ => json.plain(&"null")?,
        }
        json.pair("description", &self.image.text(self.image.service(definition, service::DESCRIPTION)))?;
        json.pair("file", &self.image.text(self.image.service(definition, service::ORIGIN)))?;
        json.pair("log", log)?;
        json.close('}')
    }

    /// The machine as an object.
    pub fn write_machine_json(&self, json: &mut Json<'_>) -> fmt::Result {
        let (own, said) = (self.reports.words(), self.published.words());
        json.open('{')?;
        json.key("boot")?;
        match self.boot() {
            None => json.plain(&"null")?,
            Some((name, reached)) => {
                json.open('{')?;
                json.pair("bundle", &name)?;
                json.pair_plain("reached", &(reached > 0))?;
                json.pair_plain("good", &(reached == 2))?;
                self.time(json, "since", Instant(shared::load_u64(said, published::own::BOOT_SINCE)))?;
                json.close('}')?;
            }
        }
        let down = shared::load(said, published::own::SHUTDOWN) == 1 || shared::load(own, reports::own::SHUTDOWN) != 0;
        json.pair_plain("shutting_down", &down)?;
        json.key("services")?;
        json.open('{')?;
        for (phase, count) in Phase::ALL.iter().zip(self.counts()) {
            json.pair_plain(phase.name(), &count)?;
        }
        json.close('}')?;
        json.key("failed")?;
        json.open('[')?;
        for row in self.rows(false).filter(|row| row.phase == Phase::Failed) {
            json.text(&row.name)?;
        }
        json.close(']')?;
        json.key("supervisor")?;
        json.open('{')?;
        json.pair_plain("alive", &self.supervisor_alive)?;
        for (name, at) in [
            ("pid", reports::own::SUPERVISOR_PID),
            ("recoveries", reports::own::RECOVERIES),
            ("allocations", reports::own::ALLOCATIONS),
            ("orphans", reports::own::ORPHANS),
        ] {
            json.pair_plain(name, &shared::load(own, at))?;
        }
        self.time(json, "since", Instant(shared::load_u64(own, reports::own::STARTED)))?;
        json.close('}')?;
        json.key("engine")?;
        json.open('{')?;
        json.pair_plain("alive", &self.engine_alive)?;
        json.pair_plain("pid", &shared::load(own, reports::own::ENGINE_PID))?;
        json.pair_plain("lives", &shared::load(own, reports::own::ENGINE_LIVES))?;
        json.pair_plain("allocations", &shared::load(said, published::own::ALLOCATIONS))?;
        json.close('}')?;
        json.pair_plain("one_uid", &(shared::load(own, reports::own::ONE_UID) == 1))?;
        json.close('}')
    }

    fn time(&self, json: &mut Json<'_>, name: &str, instant: Instant) -> fmt::Result {
        json.key(name)?;
        if instant == Instant::default() {
            return json.plain(&"null");
        }
        json.plain(&self.clock(instant).at)
    }
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
        let mut write = || {
            json.open('{')?;
            json.pair("a", &"q\" b\\ n\n t\t e\x1b d\x7f \u{e4}\u{20ac}")?;
            json.key("b")?;
            json.open('[')?;
            json.plain(&1)?;
            json.plain(&true)?;
            json.open('{')?;
            json.close('}')?;
            json.text(&"")?;
            json.close(']')?;
            json.close('}')
        };
        write().expect("a String takes everything");
        assert_eq!(out, "{\"a\":\"q\\\" b\\\\ n\\n t\\t e\\u001b d\\u007f \u{e4}\u{20ac}\",\"b\":[1,true,{},\"\"]}");
    }
}
