//! `events`: the engine's journal, and what comes, a line each. An engine that dies meanwhile is waited for: the next one has
//! the same journal, and is asked for what comes behind the last line that was shown.

use core::fmt::Write;
use pintle::protocol::{Answer, cut};
use pintle::status::write_json_text;

use super::exit;
use super::options::Given;
use super::running::{ask, connect, reconnect};
use crate::host::control::Next;
use crate::sys::Errno;
use crate::sys::output;

pub fn run(given: &Given) -> i32 {
    let (names, json) = (given.texts(), given.has("--json"));
    let verb = if given.has("--no-follow") { "journal " } else { "events " };
    let count = given.number("--lines", 10, u32::MAX.into());
    let mut line = if given.has("--all") { format!("{verb}0") } else { format!("{verb}last {count}") };
    let mut control = connect();
    loop {
        let next = ask(&mut control, &line);
        if verb == "events " {
            // Where nothing is there to be shown first.
            go_on(&mut line, verb, next);
        }
        loop {
            let answer = match control.next(None) {
                Next::Line(answer) => answer,
                Next::Nothing => continue,
                Next::Ended => break,
            };
            let shown = match Answer::parse(&answer) {
                Some(Answer::Event(number, _)) => {
                    go_on(&mut line, verb, number.wrapping_add(1));
                    is_about(&answer, &names)
                }
                Some(Answer::Missed(_)) => true,
                Some(Answer::End(..)) => return exit::DONE,
                Some(
                    Answer::Ok(..) | Answer::No(_) | Answer::Bad(_) | Answer::Phase { .. } | Answer::Result { .. },
                )
                | None => false,
            };
            if shown && !show(&answer, json) {
                return exit::DONE;
            }
        }
        control = reconnect();
    }
}

/// What is asked of the next engine.
#[inline(never)]
fn go_on(line: &mut String, verb: &str, number: u32) {
    line.clear();
    let _ = write!(line, "{verb}{number}");
}

/// Number, time, transaction, kind, name and text of a line.
fn parts(line: &str) -> [&str; 6] {
    let mut parts = [""; 6];
    let mut rest = cut(line).1;
    for part in &mut parts[..5] {
        (*part, rest) = cut(rest);
    }
    parts[5] = rest;
    parts
}

/// Whether a line is about one of these services, if any are named.
fn is_about(line: &str, names: &[&str]) -> bool {
    let [_, _, _, kind, name, text] = parts(line);
    let is = |wanted: &&str| name == *wanted || kind == "command" && text.split(' ').any(|word| word == *wanted);
    names.is_empty() || names.iter().any(is)
}

/// Shows one line. Gives `false` when nobody reads any more.
fn show(line: &str, json: bool) -> bool {
    let mut out = output::stdout();
    let [number, time, transaction, kind, name, text] = parts(line);
    let (kind_of_line, count) = cut(line);
    let missed = kind_of_line == "missed";
    let pieces: &[&str] = match (missed, json) {
        (true, true) => &["{\"missed\":", count, "}"],
        (true, false) => &["(", count, " lines are gone)"],
        (false, true) => &[
            "{\"number\":",
            number,
            ",\"time\":\"",
            time,
            "\",\"transaction\":",
            transaction,
            ",\"kind\":\"",
            kind,
            "\",\"service\":",
        ],
        (false, false) => {
            let (name, colon) = if name == "-" { ("", "") } else { (name, ": ") };
            let own = transaction == "0" || kind == "begin" || kind == "end";
            let (open, of, close) = if own { ("", "", "") } else { (" (transaction ", transaction, ")") };
            &[time, " ", number, " ", name, colon, text, open, of, close]
        }
    };
    for piece in pieces {
        out.bytes(piece.as_bytes());
    }
    if json && !missed {
        if name == "-" {
            out.bytes(b"null");
        } else {
            write_json_text(&mut out, name);
        }
        out.bytes(b",\"text\":");
        write_json_text(&mut out, text);
        out.bytes(b"}");
    }
    out.bytes(b"\n");
    !matches!(out.flush(), Err(Errno::PIPE))
}
