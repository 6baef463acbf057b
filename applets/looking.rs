//! The commands that look: `status list tree why conditions`. They read copies and ask nobody, so they work while the
//! engine is dead and cost it nothing.

use core::fmt::Write;
use pintle::board::published::ConditionRow;
use pintle::graph::Phase;
use pintle::lang::definition::{Kind, Log};
use pintle::nearest::Nearest;
use pintle::status::{Paint, Row, View, tree, why, write_json_text};
use pintle::text::cut;
use pintle::words::write_quoted;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::options::Given;
use super::{exit, finish};
use crate::host::log_files::{self, LogPath};
use crate::host::reading;
use crate::host::refuse::refuse;
use crate::sys::output::{self, Shown, Text};
use crate::sys::{entry, whole};

/// Looks, and gives the view, the run directory and standard output to `show`, which gives the exit code.
fn look(show: &dyn Fn(&View<'_>, &Path, &mut Text<'_>) -> i32) -> i32 {
    let (view, run) = reading::look();
    let mut out = output::stdout();
    // Writing to a descriptor is checked at the end, see `finish`.
    let code = show(&view, run, &mut out);
    match finish(out) {
        exit::DONE => code,
        failed => failed,
    }
}

/// The rows of the services that were named; or a message and the exit code.
fn named<'a>(view: &View<'a>, given: &Given) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for name in given.texts() {
        let Some(row) = view.find(name).and_then(|slot| view.row(slot)) else {
            let mut nearest = Nearest::to(name);
            for slot in 0..view.image.services() {
                nearest.offer(view.image.name(pintle::ident::SlotId(slot)));
            }
            let (guess, near, end) = nearest.found().map_or(("", "", ""), |near| (", did you mean \"", near, "\"?"));
            refuse(exit::MISUSE as u8, format_args!("no service \"{name}\"{guess}{near}{end}"));
        };
        rows.push(row);
    }
    rows
}

/// Colours on a terminal, unless NO_COLOR says no (https://no-color.org).
pub fn paint() -> Paint {
    let plain = entry::variable(b"NO_COLOR").is_some_and(|value| !value.is_empty())
        || entry::variable(b"TERM") == Some(b"dumb")
        || !output::is_terminal();
    if plain { Paint::Plain } else { Paint::Coloured }
}

pub fn status(given: &Given) -> i32 {
    let lines = given.number("--lines", 10, u64::MAX) as usize;
    let json = given.has("--json");
    look(&|view, run, out| {
        if given.words.is_empty() {
            if json {
                view.write_machine_json(out);
                out.bytes(b"\n");
            } else {
                view.write_machine(out, paint());
            }
            return if view.supervisor_alive { exit::DONE } else { exit::NO };
        }
        let rows = named(view, given);
        if json {
            write_json(view, run, out, &rows);
        } else {
            for row in &rows {
                view.write_service(out, row, paint());
                write_log(view, run, out, row, lines);
            }
        }
        if rows.iter().all(|row| row.phase == Phase::Up) { exit::DONE } else { exit::NO }
    })
}

fn write_json(view: &View<'_>, run: &Path, out: &mut Text<'_>, rows: &[Row<'_>]) {
    let mut before = "[";
    for row in rows {
        let _ = out.write_str(before);
        view.write_service_json(out, row, &log_of(view, &log_files::directory(run), row).0);
        before = ",";
    }
    out.bytes(if rows.is_empty() { b"[]\n" } else { b"]\n" });
}

fn name_of(row: &Row<'_>) -> String {
    let mut name = String::new();
    row.name.write(&mut name);
    name
}

/// The path of a service's log and true if it has one of its own, else where its output goes.
fn log_of(view: &View<'_>, logs: &OsStr, row: &Row<'_>) -> (String, bool) {
    let word = match view.log(row.definition) {
        _ if view.kind(row.definition) == Kind::Bundle => "none",
        log if log == Log::Console as u32 => "console",
        log if log == Log::Null as u32 => "null",
        _ => match LogPath::new(logs.as_bytes(), name_of(row).as_bytes(), 0) {
            Ok(path) => return (Shown(OsStr::from_bytes(path.as_c_str().to_bytes())).to_string(), true),
            Err(_) => "file",
        },
    };
    (word.to_string(), false)
}

fn write_log(view: &View<'_>, run: &Path, out: &mut Text<'_>, row: &Row<'_>, lines: usize) {
    if view.kind(row.definition) == Kind::Bundle {
        return;
    }
    let logs = log_files::directory(run);
    let (text, is_path) = log_of(view, &logs, row);
    let _ = write!(out, "  log        {text}");
    if !is_path {
        return out.bytes(b"\n");
    }
    let mut begins = true;
    let told = log_files::tail(logs.as_bytes(), name_of(row).as_bytes(), lines, &mut |bytes| {
        for byte in bytes {
            if core::mem::take(&mut begins) {
                out.bytes(b"\n    ");
            }
            match *byte {
                b'\n' => begins = true,
                // What a service wrote must not steer the terminal.
                byte if byte < b' ' && byte != b'\t' || byte == 0x7f => out.bytes(b"?"),
                byte => out.bytes(&[byte]),
            }
        }
    });
    match told {
        Ok(Some(_)) => out.bytes(b"\n"),
        Ok(None) => out.bytes(b" (nothing yet)\n"),
        Err(error) => {
            let _ = writeln!(out, ": {}", crate::sys::errno::Words(error));
        }
    }
}

pub fn list(given: &Given) -> i32 {
    let phase = given.value("--phase");
    if let Some(phase) = phase
        && !Phase::ALL.iter().any(|known| *phase == *known.name())
    {
        given.misuse("no phase", phase);
    }
    look(&|view, run, out| {
        let mut rows = Vec::new();
        for row in view.rows(given.has("--all")) {
            if phase.is_none_or(|phase| *phase == *row.phase.name()) {
                rows.push(row);
            }
        }
        if given.has("--json") {
            write_json(view, run, out, &rows);
        } else {
            view.write_lines(out, &rows, paint());
        }
        exit::DONE
    })
}

pub fn tree_command(given: &Given) -> i32 {
    look(&|view, _, out| {
        let roots = if given.words.is_empty() { tree::roots(view) } else { named(view, given) };
        let strokes = if speaks_utf8() { &tree::LINES } else { &tree::ASCII };
        tree::write(view, out, &roots, strokes, paint());
        exit::DONE
    })
}

/// Whether the locale's character set is UTF-8, by the first of its variables that is set (locale(7)).
fn speaks_utf8() -> bool {
    let mut locale = &b""[..];
    for name in &[&b"LC_ALL"[..], b"LC_CTYPE", b"LANG"] {
        if locale.is_empty() {
            locale = entry::variable(name).unwrap_or_default();
        }
    }
    let has = |name: &[u8]| locale.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
    has(b"utf8") || has(b"utf-8")
}

pub fn why_command(given: &Given) -> i32 {
    if given.words.is_empty() {
        given.misuse("which service?", "".as_ref());
    }
    look(&|view, _, out| {
        let json = given.has("--json");
        let mut before: &[u8] = b"[";
        for row in named(view, given) {
            if json {
                out.bytes(before);
                before = b",";
                why::write_json(view, out, &row);
            } else {
                why::write(view, out, &row);
                out.bytes(b"\n");
            }
        }
        if json {
            out.bytes(b"]\n");
        }
        exit::DONE
    })
}

pub fn conditions(given: &Given) -> i32 {
    let json = given.has("--json");
    look(&|view, _, out| {
        let mut before = "[";
        view.conditions(&mut |row| {
            if json {
                let _ = out.write_str(before);
                before = ",";
                write_condition_json(view, out, row);
            } else {
                write_condition(view, out, row);
            }
        });
        if json {
            let _ = out.write_str(if before == "[" { "[]\n" } else { "]\n" });
        }
        exit::DONE
    })
}

/// The value of a condition that is not off.
fn value_of(row: &ConditionRow) -> &'static str {
    if row.value == 2 { "changing" } else { "on" }
}

#[inline(never)]
fn write_condition(view: &View<'_>, out: &mut Text<'_>, row: &ConditionRow) {
    let mut blank: &[u8] = b"";
    // As the protocol takes them.
    for word in row.words() {
        out.bytes(blank);
        blank = b" ";
        let _ = write_quoted(out, &Shown(OsStr::from_bytes(word)).to_string());
    }
    let (value, age, clock) = (value_of(row), view.age(row.since), view.clock(row.since));
    let (pid, uid, generation) = (row.pid, row.uid, row.generation);
    let _ = write!(out, "  {value} for {age}, since {clock}, by process {pid}");
    if let Some(program) = program_of(row) {
        let _ = write!(out, " ({program})");
    }
    let lives = if row.leased { ", while it lives" } else { "" };
    let _ = writeln!(out, " of uid {uid}{lives}; generation {generation}");
}

#[inline(never)]
fn write_condition_json(view: &View<'_>, out: &mut Text<'_>, row: &ConditionRow) {
    let mut words = row.words();
    out.bytes(b"{\"name\":");
    write_json_text(out, text(words.next().unwrap_or_default()));
    out.bytes(b",\"attributes\":{");
    let mut before: &[u8] = b"";
    for word in words {
        let (key, value) = cut(text(word), b'=').unwrap_or_default();
        out.bytes(before);
        before = b",";
        write_json_text(out, key);
        out.bytes(b":");
        write_json_text(out, value);
    }
    out.bytes(b"},\"value\":");
    write_json_text(out, value_of(row));
    let since = view.clock(row.since).at;
    let numbers =
        [("since", since), ("generation", row.generation.into()), ("pid", row.pid.into()), ("uid", row.uid.into())];
    for (name, number) in numbers {
        let _ = write!(out, ",\"{name}\":{number}");
    }
    let _ = write!(out, ",\"leased\":{},\"program\":", row.leased);
    match program_of(row) {
        Some(program) => write_json_text(out, &program),
        None => out.bytes(b"null"),
    }
    out.bytes(b"}");
}

/// A copy that is garbled may be no text.
fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or("?")
}

/// The name of the program that holds a condition, where that can be read. Of who has only said that it is on nothing is
/// known any more: its number may be another's by now.
#[inline(never)]
fn program_of(row: &ConditionRow) -> Option<String> {
    if !row.leased {
        return None;
    }
    let name = whole::read(Path::new(&format!("/proc/{}/comm", row.pid)), 64).ok()?.ok()?;
    Some(Shown(OsStr::from_bytes(name.trim_ascii_end())).to_string())
}
