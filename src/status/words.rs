//! Times, ends of processes and expressions in words.

use core::fmt::{self, Write};

use crate::board::reports::{Exit, Status};
use crate::database::expression::{self, LeafValue};
use crate::database::{Image, exec, service};
use crate::lang::keys::{KEYS, Key, Value, of_letter};
use crate::packed;
use crate::stamp::{EPOCH, civil};
use crate::status::{Row, View};
use crate::text::{cut, put};
use crate::words::Short;

/// A duration in seconds, in its two largest units: `3 h 12 min`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Age(pub u64);

impl fmt::Display for Age {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0;
        match s {
            0..60 => write!(to, "{s} s"),
            60..3600 => two(to, s / 60, "min", s % 60, "s"),
            3600..86400 => two(to, s / 3600, "h", s % 3600 / 60, "min"),
            _ => two(to, s / 86400, "d", s % 86400 / 3600, "h"),
        }
    }
}

/// A time in milliseconds as a text: `700 ms`, `20 s`, `1 min 30 s`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub u32);

impl fmt::Display for Span {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        // What people write in milliseconds is short.
        if ms < 60_000 && !ms.is_multiple_of(1000) { write!(to, "{ms} ms") } else { Age(u64::from(ms / 1000)).fmt(to) }
    }
}

/// Two units, the second left out where it is 0.
fn two(to: &mut fmt::Formatter<'_>, large: u64, unit: &str, small: u64, small_unit: &str) -> fmt::Result {
    write!(to, "{large} {unit}")?;
    if small == 0 { Ok(()) } else { write!(to, " {small} {small_unit}") }
}

/// An instant on the wall clock, in seconds since 1970: the time of day in UTC (as the lines of a log have it) on the
/// same day, else with the date. Local time would take a reader of time zones, and of their files, into every process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    /// When.
    pub at: i64,
    /// Now.
    pub now: i64,
}

impl fmt::Display for Clock {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        // From 0000-03-01 on, before which nothing is.
        let [at, now] = [self.at, self.now].map(|at| (at + i64::from(EPOCH) * 86400) as u64);
        let (day, second) = ((at / 86400) as u32, (at % 86400) as u32);
        if day != (now / 86400) as u32 {
            let (year, month, day) = civil(day);
            write!(to, "{year}-{month:02}-{day:02} ")?;
        }
        write!(to, "{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
    }
}

fn write_status(out: &mut dyn Write, status: Status) {
    let _ = match status {
        Status::Code(code) => write!(out, "exit {code}"),
        Status::Signal(signal) => match crate::signals::name(signal.into()) {
            Some(name) => write!(out, "killed by signal {signal} ({name})"),
            None => write!(out, "killed by signal {signal}"),
        },
    };
}

/// How a life (the last one), or a cleanup, of a service ended: `exit 3`, `killed by signal 9 (KILL)`, `chdir /srv/www:
/// No such file or directory`.
pub fn write_exit(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>, exit: Exit) {
    let text = match exit {
        Exit::Code(code) => return write_status(out, Status::Code(code)),
        Exit::Signal(signal) => return write_status(out, Status::Signal(signal)),
        Exit::PreStart(status) => {
            view.say(out, row, packed!("its pre-start command failed: "));
            return write_status(out, status);
        }
        Exit::NotSpawned => return write_failure(view, out, row),
        Exit::None => packed!("it has not ended yet"),
        Exit::TimedOut => packed!("not ready within $S"),
        Exit::Unhealthy => packed!("its health checks failed"),
        Exit::Watchdog => packed!("ended by its watchdog"),
        Exit::Unknown => packed!("ended while nobody could look"),
    };
    view.say(out, row, text);
}

/// What the steps of a spawn are about: fields of the exec record.
const ABOUT: [(&str, usize); 9] = [
    ("chdir", exec::DIRECTORY),
    ("setuid", exec::USER),
    ("no such user", exec::USER),
    ("setgid", exec::GROUP),
    ("setgid", exec::USER),
    ("setgroups", exec::GROUP),
    ("setgroups", exec::USER),
    ("no such group", exec::GROUP),
    ("no such group", exec::USER),
];

/// The key that sets the limit of this resource.
fn limit(resource: u32) -> Option<&'static str> {
    let is_it = |key: &&Key| matches!(key.value, Value::Limit(number) if u32::from(number) == resource);
    KEYS.iter().find(is_it).map(Key::name)
}

/// As the system says it, with what the step was about: `chdir /srv/www: No such file or directory`.
#[inline(never)]
fn write_failure(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) {
    let mut said = Short::new();
    // What does not fit is cut: these are our own short words.
    let (image, definition) = (&view.image, row.definition);
    let _ = (view.words.failure)(row.report.failure, &mut said);
    let (mut step, reason) = cut(&said, b':').unwrap_or((&said, ""));
    let mut about = "";
    // Of what is done one after the other it says which one, from 1 on.
    if let Some(which) = (row.report.failure >> 24).checked_sub(1) {
        match step {
            "setrlimit" => step = limit(which).unwrap_or(step),
            "env-file" => {
                let path = image.text(image.list(view.exec(definition, exec::ENV_FILES)).get(which as usize));
                about = path.strip_prefix("-").unwrap_or(path);
            }
            "setup" => {
                let (list, at) = (image.list(view.exec(definition, exec::SETUP)), which as usize * 2);
                step = of_letter(list.get(at)).map_or(step, |key| key.name());
                about = image.text(list.get(at + 1));
            }
            _ => {}
        }
    }
    if step == "exec" {
        about = image.text(image.list(image.service(definition, service::COMMAND)).get(0));
    }
    // Where there is no group, it is the user's.
    for (_, field) in ABOUT.iter().filter(|(about, _)| *about == step) {
        if about.is_empty() {
            about = image.text(view.exec(definition, *field));
        }
    }
    let (blank, colon) = (if about.is_empty() { "" } else { " " }, if reason.is_empty() { "" } else { ":" });
    put(out, &[step, blank, about, colon, reason]);
}

/// Writes an expression as a service file has it, with `value(node)` behind each leaf.
pub fn write_expression(image: &Image<'_>, out: &mut dyn Write, root: u32, value: LeafValue<'_>) {
    // Whose it is is not known here. A text that has no placeholder shows none.
    expression::write(image, root, [true, true], value, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn durations_are_told_in_two_units() {
        let table = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min 59 s"),
            (3600, "1 h"),
            (3660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ];
        for (seconds, expected) in table {
            assert_eq!(Age(seconds).to_string(), expected);
        }
    }

    #[test]
    fn the_date_is_told_when_it_is_another_day() {
        let now = 1_795_219_200; // 2026-11-21 00:00:00
        assert_eq!(Clock { at: now + 50_520, now }.to_string(), "14:02:00Z");
        assert_eq!(Clock { at: now - 1, now }.to_string(), "2026-11-20 23:59:59Z");
        assert_eq!(Clock { at: -1, now }.to_string(), "1969-12-31 23:59:59Z");
        assert_eq!(civil(EPOCH + 11_016), (2000, 2, 29));
    }
}
