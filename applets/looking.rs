//! The commands that look: `status list tree why conditions`. They read copies and ask nobody, so they work while the
//! engine is dead and cost it nothing.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use pintle::board::published::ConditionRow;
use pintle::graph::Phase;
use pintle::ident::SlotId;
use pintle::lang::definition::{Kind, Log};
use pintle::lang::diagnostic::Meant;
use pintle::lang::keys::CHOICES;
use pintle::packed;
use pintle::status::{Paint, Row, View, tree, why};
use pintle::text::nth;

use super::log::put;
use super::options::Given;
use super::strays::{name_of as program_name, strays};
use super::{exit, finish};
use crate::host::log_files::{self, LogPath};
use crate::host::reading;
use crate::host::refuse::refuse;
use crate::sys::output::{self, Shown, Text};
use crate::sys::{entry, process};

/// What a command looks at, and where it writes.
struct Look {
    view: View<'static>,
    /// The run directory.
    run: &'static [u8],
    out: Text<'static>,
}

/// Looks, or ends the process with the reason why not.
#[inline(never)]
fn look() -> Look {
    let (view, run) = reading::look(None);
    Look { view, run, out: output::stdout() }
}

impl Look {
    /// Ends the process, with this exit code if all could be written. Nothing is to be tidied up behind a look.
    #[inline(never)]
    fn end(&mut self, code: i32) -> ! {
        let code = match finish(&mut self.out) {
            exit::DONE => code,
            failed => failed,
        };
        if !self.view.supervisor_alive {
            output::say(format_args!("pintle: no supervisor runs: this was reported last"));
        }
        process::exit(code as u8)
    }
}

/// The services that were named; or a message and the exit code.
pub fn named(view: &View<'_>, given: &Given) -> Vec<SlotId> {
    let mut slots = Vec::new();
    for name in given.texts() {
        let Some(slot) = view.find(name).filter(|slot| view.row(*slot).is_some()) else {
            refuse(exit::MISUSE as u8, format_args!("no service \"{name}\"{}", Meant(view.image.nearest(name))));
        };
        slots.push(slot);
    }
    slots
}

/// Colours on a terminal, unless NO_COLOR says no (https://no-color.org).
pub fn paint() -> Paint {
    let plain = entry::variable(b"NO_COLOR").is_some_and(|value| !value.is_empty()) || !can_be_steered();
    if plain { Paint::Plain } else { Paint::Coloured }
}

/// Whether standard output is a terminal that does what it is told.
#[inline(never)]
pub fn can_be_steered() -> bool {
    entry::variable(b"TERM") != Some(b"dumb") && output::is_terminal()
}

pub fn status(given: &Given) -> i32 {
    let lines = given.number("--lines", 10, u64::MAX) as usize;
    let json = given.has("--json");
    let mut look = look();
    let Look { view, run, out } = &mut look;
    let mut code = if view.supervisor_alive { exit::DONE } else { exit::NO };
    if given.words.is_empty() {
        let strays = strays(view, json);
        if json {
            view.write_machine_json(out, &strays);
            out.bytes(b"\n");
        } else {
            view.write_machine(out, &strays, paint());
        }
    } else {
        let slots = named(view, given);
        if json {
            write_json(view, run, out, &slots);
        }
        for row in slots.iter().filter_map(|slot| view.row(*slot)) {
            if row.phase != Phase::Up {
                code = exit::NO;
            }
            if !json {
                view.write_service(out, &row, paint());
                write_log(view, run, out, &row, lines);
            }
        }
    }
    look.end(code)
}

/// What makes an array of JSON of what is written, if that is wanted.
struct Array {
    json: bool,
    /// What stands before the next one.
    before: &'static [u8],
}

impl Array {
    fn new(json: bool) -> Array {
        Array { json, before: b"[" }
    }

    /// Before each of its elements.
    #[inline(never)]
    fn next(&mut self, out: &mut Text<'_>) {
        if self.json {
            out.bytes(self.before);
            self.before = b",";
        }
    }

    /// Behind the last one.
    #[inline(never)]
    fn end(&mut self, out: &mut Text<'_>) {
        if self.json {
            out.bytes(if self.before == b"[" { b"[]\n" } else { b"]\n" });
        }
    }
}

fn write_json(view: &View<'_>, run: &[u8], out: &mut Text<'_>, slots: &[SlotId]) {
    let mut array = Array::new(true);
    let logs = log_files::directory(run);
    for row in slots.iter().filter_map(|slot| view.row(*slot)) {
        array.next(out);
        view.write_service_json(out, &row, &log_of(view, logs, &row).0);
    }
    array.end(out);
}

fn name_of(row: &Row<'_>) -> String {
    let mut name = String::new();
    row.name.write(&mut name);
    name
}

/// The path of a service's log if it has one of its own, else where its output goes; and whether there are lines of it.
fn log_of(view: &View<'_>, logs: &[u8], row: &Row<'_>) -> (String, bool) {
    let log = view.log(row.definition);
    if view.kind(row.definition) == Kind::Bundle {
        return ("none".to_string(), false);
    }
    if log == Log::File as u32
        && let Ok(path) = LogPath::new().of(logs, name_of(row).as_bytes(), 0)
    {
        return (Shown(path).to_string(), true);
    }
    let mut text = nth(CHOICES[2], b',', log as usize).to_string();
    if log == Log::Pipe as u32 {
        text.truncate(5); // "pipe "
        text.push_str(view.log_to(row.definition));
    }
    (text, Log::is_kept(log))
}

#[inline(never)]
fn write_log(view: &View<'_>, run: &[u8], out: &mut Text<'_>, row: &Row<'_>, lines: usize) {
    if view.kind(row.definition) == Kind::Bundle {
        return;
    }
    let logs = log_files::directory(run);
    let (text, has_lines) = log_of(view, logs, row);
    let _ = write!(out, "  log        {text}");
    if !has_lines {
        return out.bytes(b"\n");
    }
    let (mut begins, mut any) = (true, false);
    let kept = log_files::kept(run);
    let directories = if Log::is_kept(view.log(row.definition)) { &[kept][..] } else { &[logs, log_files::lost(kept)] };
    for directory in directories {
        let told = log_files::tail(directory, name_of(row).as_bytes(), lines, 0, &mut |bytes| {
            for byte in bytes {
                if core::mem::take(&mut begins) {
                    out.bytes(b"\n    ");
                }
                match *byte {
                    b'\n' => begins = true,
                    byte => put(out, &[byte], false),
                }
            }
        });
        begins = true;
        match told {
            Ok(told) => any |= told.is_some(),
            Err(error) => {
                any = true;
                let _ = write!(out, ": {}", crate::sys::errno::Words(error));
            }
        }
    }
    out.bytes(if any { b"\n" } else { b" (nothing yet)\n" });
}

pub fn list(given: &Given) -> i32 {
    let phase = given.value("--phase").map(|name| {
        let known = str::from_utf8(name).ok().and_then(Phase::named);
        known.unwrap_or_else(|| given.misuse_of(packed!("no phase"), name))
    });
    let mut look = look();
    let Look { view, run, out } = &mut look;
    let mut slots = Vec::new();
    for row in view.rows(given.has("--all")) {
        if phase.is_none_or(|phase| phase == row.phase) {
            slots.push(row.slot);
        }
    }
    if given.has("--json") {
        write_json(view, run, out, &slots);
    } else {
        view.write_lines(out, &slots, paint());
    }
    look.end(exit::DONE)
}

pub fn tree_command(given: &Given) -> i32 {
    let mut look = look();
    let Look { view, out, .. } = &mut look;
    let roots = if given.words.is_empty() { tree::roots(view) } else { named(view, given) };
    let strokes = if speaks_utf8() { &tree::LINES } else { &tree::ASCII };
    tree::write(view, out, &roots, strokes, paint());
    look.end(exit::DONE)
}

/// Whether the locale's character set is UTF-8, by the first of its variables that is set (locale(7)).
#[inline(never)]
fn speaks_utf8() -> bool {
    let mut locale = &b""[..];
    for name in &[&b"LC_ALL"[..], b"LC_CTYPE", b"LANG"] {
        if locale.is_empty() {
            locale = entry::variable(name).unwrap_or_default();
        }
    }
    // `utf8` or `UTF-8`: no other one of its kind is a locale's.
    locale.windows(3).any(|part| part.eq_ignore_ascii_case(b"utf"))
}

pub fn why_command(given: &Given) -> i32 {
    if given.words.is_empty() {
        given.misuse(packed!("which service?"));
    }
    let mut look = look();
    let Look { view, out, .. } = &mut look;
    let json = given.has("--json");
    let mut array = Array::new(json);
    for row in named(view, given).iter().filter_map(|slot| view.row(*slot)) {
        array.next(out);
        if json {
            why::write_json(view, out, &row);
        } else {
            why::write(view, out, &row);
            out.bytes(b"\n");
        }
    }
    array.end(out);
    look.end(exit::DONE)
}

pub fn conditions(given: &Given) -> i32 {
    let json = given.has("--json");
    let mut look = look();
    let Look { view, out, .. } = &mut look;
    let mut array = Array::new(json);
    view.conditions(&mut |row| {
        array.next(out);
        view.write_condition(out, row, &program_of(row).unwrap_or_default(), json);
    });
    array.end(out);
    look.end(exit::DONE)
}

/// The name of the program that holds a condition, where that can be read. Of who has only said that it is on nothing
/// is known any more: its number may be another's by now.
#[inline(never)]
fn program_of(row: &ConditionRow) -> Option<String> {
    row.leased.then(|| program_name(row.pid))
}
