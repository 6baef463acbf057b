//! The commands that look: `status list tree why conditions`. They read copies and ask nobody, so they work while the
//! engine is dead and cost it nothing.

use core::fmt::Write;
use lexopt::prelude::*;
use pintle::graph::Phase;
use pintle::lang::definition::{Kind, Log};
use pintle::nearest::Nearest;
use pintle::status::json::Json;
use pintle::status::{Paint, Row, View, tree, why};
use pintle::words::write_quoted;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Applet, Family, exit, finish, misuse};
use crate::host::control::complain;
use crate::host::log_files::{self, LogPath};
use crate::host::reading::Copies;
use crate::sys::entry::{self, Arguments};
use crate::sys::output::{self, Text};

pub static STATUS: Applet = Applet {
    name: "status",
    family: Family::Looking,
    summary: "the machine at a glance, or everything about a service",
    usage: "[--json] [NAME...]",
    help: "Shows the machine at a glance, or all there is to know of the services named.\n\
           \n\
           --json      for programs; with names, an array of objects\n\
           --lines N   how many of the last lines of the log, 10 unless told\n\
           \n\
           Exit code with names: 0 if all are up, 1 if not, 100 if one is unknown.\n\
           example: pintle status nginx\n",
    raw: false,
    run: status,
};

pub static LIST: Applet = Applet {
    name: "list",
    family: Family::Looking,
    summary: "all services, one line each",
    usage: "[--json] [--all] [--phase PHASE]",
    help: "Lists services: name, phase, since when, process, and why if not up.\n\
           \n\
           --json          for programs: an array of objects\n\
           --all           templates too\n\
           --phase PHASE   only those that are down, waiting, starting, up, restarting,\n\
           \x20               stopping, failed, skipped or done\n\
           \n\
           example: pintle list --phase failed\n",
    raw: false,
    run: list,
};

pub static TREE: Applet = Applet {
    name: "tree",
    family: Family::Looking,
    summary: "what depends on what, and how each is",
    usage: "[NAME...]",
    help: "Shows what the services named depend on, with phases; without names, from the\n\
           booted bundle and whatever nothing depends on. `...` stands where a service\n\
           with dependencies was shown before.\n\
           \n\
           example: pintle tree default\n",
    raw: false,
    run: tree_command,
};

pub static WHY: Applet = Applet {
    name: "why",
    family: Family::Looking,
    summary: "why a service is what it is",
    usage: "NAME...",
    help: "Says why a service is up, or why it is not: a chain that ends in a cause.\n\
           \n\
           example: pintle why app\n\
           \x20        app waits for db; db is held down by an administrator since 14:02:11Z\n",
    raw: false,
    run: why_command,
};

pub static CONDITIONS: Applet = Applet {
    name: "conditions",
    family: Family::Events,
    summary: "the conditions that are on",
    usage: "",
    help: "Lists the conditions that are on: name and attributes, since when, who set each,\n\
           and whether it ends with its sender.\n",
    raw: false,
    run: conditions,
};

/// What the commands here take.
#[derive(Default)]
struct Options {
    json: bool,
    all: bool,
    phase: Option<Phase>,
    lines: Option<usize>,
    names: Vec<String>,
}

/// Reads the options that are in `allowed`.
fn options(command: &str, allowed: &[&str], arguments: Arguments) -> Result<Options, i32> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut options = Options::default();
    let complain = |error: &dyn core::fmt::Display| misuse(command, error);
    loop {
        let argument = match parser.next() {
            Ok(None) => return Ok(options),
            Ok(Some(argument)) => argument,
            Err(error) => return Err(complain(&error)),
        };
        match argument {
            Long(name) if !allowed.contains(&name) => return Err(complain(&argument.unexpected())),
            Long("json") => options.json = true,
            Long("all") => options.all = true,
            Long("phase") => {
                let value = parser.value().map_err(|error| complain(&error))?;
                let phase = Phase::ALL.into_iter().find(|phase| *phase.name() == *value);
                options.phase = Some(phase.ok_or_else(|| complain(&format!("no phase {}", value.to_string_lossy())))?);
            }
            Long("lines") => {
                let value = parser.value().map_err(|error| complain(&error))?;
                let number = value.to_str().and_then(|text| text.parse().ok());
                options.lines = Some(number.ok_or_else(|| complain(&format!("{value:?} is not a number")))?);
            }
            Value(name) if allowed.contains(&"NAME") => options.names.push(text(name)),
            other => return Err(complain(&other.unexpected())),
        }
    }
}

fn text(value: OsString) -> String {
    value.to_string_lossy().into_owned()
}

/// Looks, and gives the view and the run directory to `show`.
fn look(show: &dyn Fn(&View<'_>, &Path) -> i32) -> i32 {
    match Copies::read() {
        Ok(copies) => match copies.view() {
            Some(view) => show(&view, copies.run()),
            None => exit::SYSTEM,
        },
        Err(trouble) => {
            complain(&trouble.text);
            if trouble.runs { exit::NO } else { exit::SYSTEM }
        }
    }
}

/// The row of a service, or a message and the exit code.
fn named<'a>(view: &View<'a>, name: &str) -> Result<Row<'a>, i32> {
    if let Some(row) = view.find(name).and_then(|slot| view.row(slot)) {
        return Ok(row);
    }
    let mut nearest = Nearest::to(name);
    for slot in 0..view.image.services() {
        nearest.offer(view.image.name(pintle::ident::SlotId(slot)));
    }
    complain(&match nearest.found() {
        Some(near) => format!("no service \"{name}\", did you mean \"{near}\"?"),
        None => format!("no service \"{name}\""),
    });
    Err(exit::MISUSE)
}

/// Colours on a terminal, unless NO_COLOR says no (https://no-color.org).
pub fn paint() -> Paint {
    let plain = entry::variable(b"NO_COLOR").is_some_and(|value| !value.is_empty())
        || entry::variable(b"TERM") == Some(b"dumb")
        || !rustix::termios::isatty(rustix::stdio::stdout());
    if plain { Paint::Plain } else { Paint::Coloured }
}

fn status(arguments: Arguments) -> i32 {
    let options = match options("status", &["json", "lines", "NAME"], arguments) {
        Ok(options) => options,
        Err(code) => return code,
    };
    look(&|view, run| {
        let mut out = output::stdout();
        let code = if options.names.is_empty() {
            // Writing to a descriptor is checked at the end, see `finish`.
            let _ = if options.json {
                view.write_machine_json(&mut Json::new(&mut out)).and_then(|()| out.write_char('\n'))
            } else {
                view.write_machine(&mut out, paint())
            };
            if view.supervisor_alive { exit::DONE } else { exit::NO }
        } else {
            status_of(view, &log_files::directory(run), &mut out, &options)
        };
        match finish(out) {
            exit::DONE => code,
            failed => failed,
        }
    })
}

fn status_of(view: &View<'_>, logs: &OsStr, out: &mut Text<'_>, options: &Options) -> i32 {
    let mut rows = Vec::new();
    for name in &options.names {
        match named(view, name) {
            Ok(row) => rows.push(row),
            Err(code) => return code,
        }
    }
    if options.json {
        write_rows_json(view, logs, out, rows.iter());
    } else {
        for row in &rows {
            let _ = view.write_service(out, row, paint());
            write_log(view, logs, out, row, options.lines.unwrap_or(10));
        }
    }
    if rows.iter().all(|row| row.phase == Phase::Up) { exit::DONE } else { exit::NO }
}

fn write_rows_json<'r, 'a: 'r>(
    view: &View<'a>,
    logs: &OsStr,
    out: &mut Text<'_>,
    rows: impl Iterator<Item = &'r Row<'a>>,
) {
    let mut json = Json::new(out);
    let _ = json.open('[');
    for row in rows {
        let log = log_path(view, logs, row);
        let _ = view.write_service_json(&mut json, row, &log.as_deref().unwrap_or(log_name(view, row)));
    }
    let _ = json.close(']');
    let _ = out.write_char('\n');
}

/// The path of a service's log, if it has one of its own.
fn log_path(view: &View<'_>, logs: &OsStr, row: &Row<'_>) -> Option<String> {
    let has_file = view.kind(row.definition) != Kind::Bundle && view.log(row.definition) == Log::File as u32;
    let path = LogPath::new(logs.as_bytes(), row.name.to_string().as_bytes(), 0);
    path.ok().filter(|_| has_file).map(|path| path.as_c_str().to_string_lossy().into_owned())
}

fn log_name(view: &View<'_>, row: &Row<'_>) -> &'static str {
    match view.log(row.definition) {
        _ if view.kind(row.definition) == Kind::Bundle => "none",
        log if log == Log::Console as u32 => "console",
        log if log == Log::Null as u32 => "null",
        _ => "file",
    }
}

fn write_log(view: &View<'_>, logs: &OsStr, out: &mut Text<'_>, row: &Row<'_>, lines: usize) {
    let Some(path) = log_path(view, logs, row) else {
        if view.kind(row.definition) != Kind::Bundle {
            let _ = writeln!(out, "  log        {}", log_name(view, row));
        }
        return;
    };
    let _ = write!(out, "  log        {path}");
    let mut begins = true;
    let told = log_files::tail(logs.as_bytes(), row.name.to_string().as_bytes(), lines, &mut |bytes| {
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
    let _ = match told {
        Ok(Some(_)) => out.write_char('\n'),
        Ok(None) => out.write_str(" (nothing yet)\n"),
        Err(error) => writeln!(out, ": {}", crate::sys::errno::Words(error)),
    };
}

fn list(arguments: Arguments) -> i32 {
    let options = match options("list", &["json", "all", "phase"], arguments) {
        Ok(options) => options,
        Err(code) => return code,
    };
    look(&|view, run| {
        let wanted = |row: &Row<'_>| options.phase.is_none_or(|phase| row.phase == phase);
        let rows: Vec<Row<'_>> = view.rows(options.all).filter(wanted).collect();
        let mut out = output::stdout();
        if options.json {
            write_rows_json(view, &log_files::directory(run), &mut out, rows.iter());
        } else {
            let width = rows.iter().map(|row| row.name.width()).max().unwrap_or(0);
            for row in &rows {
                let _ = view.write_line(&mut out, row, width, paint());
            }
        }
        finish(out)
    })
}

fn tree_command(arguments: Arguments) -> i32 {
    let options = match options("tree", &["NAME"], arguments) {
        Ok(options) => options,
        Err(code) => return code,
    };
    look(&|view, _| {
        let mut roots = Vec::new();
        for name in &options.names {
            match named(view, name) {
                Ok(row) => roots.push(row.slot),
                Err(code) => return code,
            }
        }
        if options.names.is_empty() {
            roots = tree::roots(view);
        }
        let mut out = output::stdout();
        let strokes = if speaks_utf8() { &tree::LINES } else { &tree::ASCII };
        let _ = tree::write(view, &mut out, &roots, strokes, paint());
        finish(out)
    })
}

/// Whether the locale's character set is UTF-8, by the first of its variables that is set (locale(7)).
fn speaks_utf8() -> bool {
    let locale = [&b"LC_ALL"[..], b"LC_CTYPE", b"LANG"]
        .into_iter()
        .find_map(|name| entry::variable(name).filter(|value| !value.is_empty()));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.windows(4).any(|part| part == b"utf8") || locale.windows(5).any(|part| part == b"utf-8")
}

fn why_command(arguments: Arguments) -> i32 {
    let options = match options("why", &["NAME"], arguments) {
        Ok(options) if options.names.is_empty() => return misuse("why", &"which service?"),
        Ok(options) => options,
        Err(code) => return code,
    };
    look(&|view, _| {
        let mut out = output::stdout();
        for name in &options.names {
            match named(view, name) {
                Ok(row) => {
                    let _ = why::write(view, &mut out, &row);
                    let _ = out.write_char('\n');
                }
                Err(code) => return code,
            }
        }
        finish(out)
    })
}

fn conditions(arguments: Arguments) -> i32 {
    if let Err(code) = options("conditions", &[], arguments) {
        return code;
    }
    look(&|view, _| {
        let mut out = output::stdout();
        for row in view.conditions() {
            // As the protocol takes them.
            for (at, word) in row.words().enumerate() {
                let _ = out.write_str(if at == 0 { "" } else { " " });
                let _ = write_quoted(&mut out, &String::from_utf8_lossy(word));
            }
            let value = if row.value == 2 { "changing" } else { "on" };
            let _ = write!(out, "  {value} for {}, since {}", view.age(row.since), view.clock(row.since));
            let _ = write!(out, ", by process {} of uid {}", row.pid, row.uid);
            let _ = out.write_str(if row.leased { ", while it lives\n" } else { "\n" });
        }
        finish(out)
    })
}
