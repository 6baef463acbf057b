//! `events`: the engine's journal, and what comes, a line each. An engine that dies meanwhile is waited for: the next
//! one has the same journal, and is asked for what comes behind the last line that was shown.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use pintle::protocol::{Answer, cut};
use pintle::status::write_json_text;
use pintle::time::Instant;

use super::options::Given;
use super::running::{ask, connect, reconnect};
use super::{exit, is};
use crate::host::control::Next;
use crate::sys::Errno;
use crate::sys::output;

pub fn run(given: &Given) -> i32 {
    let (names, json) = (given.texts(), given.has("--json"));
    let verb = if given.has("--no-follow") { "journal " } else { "events " };
    let count = given.number("--lines", 10, u32::MAX.into());
    // The last lines about somebody are found here, among all that there are.
    let mut seeks = !names.is_empty() && !given.has("--all");
    let all = seeks || given.has("--all");
    let mut line = String::from(verb);
    let _ = if all { line.write_str("0") } else { write!(line, "last {count}") };
    let (mut held, mut ends) = (Vec::new(), false);
    let mut control = connect();
    loop {
        let next = ask(&mut control, &line);
        if verb == "events " {
            // Where nothing is there to be shown first.
            go_on(&mut line, verb, next);
        }
        while control.next(Instant::NEVER) == Next::Line {
            let answer = control.line();
            let mut sought = seeks;
            let shown = match Answer::parse(answer) {
                Some(Answer::Event(number, _)) => {
                    go_on(&mut line, verb, number.wrapping_add(1));
                    sought &= number < next;
                    seeks &= number.wrapping_add(1) < next;
                    is_about(answer, &names)
                }
                Some(Answer::Missed(_)) => true,
                Some(Answer::End(..)) => {
                    (seeks, ends) = (false, true);
                    false
                }
                Some(
                    Answer::Ok(..) | Answer::No(_) | Answer::Bad(_) | Answer::Phase { .. } | Answer::Result { .. },
                )
                | None => false,
            };
            if shown {
                held.push(String::from(answer));
            }
            if !seeks {
                // Of those that were looked for, the last ones.
                let first = if sought { held.len().saturating_sub(count as usize) } else { 0 };
                let goes_on = held[first..].iter().all(|line| show(line, json));
                held.clear();
                if ends || !goes_on {
                    return exit::DONE;
                }
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
#[inline(never)]
fn is_about(line: &str, names: &[&str]) -> bool {
    let [_, _, _, kind, name, text] = parts(line);
    let named = |wanted: &str| name == wanted || kind == "command" && is(wanted.as_bytes(), text);
    names.is_empty() || names.iter().any(|wanted| named(wanted))
}

/// Shows one line. Gives `false` when nobody reads any more.
#[inline(never)]
fn show(line: &str, json: bool) -> bool {
    let mut parts = parts(line);
    let mut out = output::stdout();
    let [_, _, transaction, kind, name, _] = parts;
    if line.starts_with("missed") {
        parts[0] = cut(line).1;
        say(&mut out, if json { "{\"missed\":$0}" } else { "($0 lines are gone)" }, &parts);
    } else if json {
        say(&mut out, "{\"number\":$0,\"time\":%1,\"transaction\":$2,\"kind\":%3,\"service\":", &parts);
        say(&mut out, if name == "-" { "null" } else { "%4" }, &parts);
        say(&mut out, ",\"text\":%5}", &parts);
    } else {
        say(&mut out, if name == "-" { "$1 $0 $5" } else { "$1 $0 $4: $5" }, &parts);
        if transaction != "0" && !is(kind.as_bytes(), "begin end") {
            say(&mut out, " (transaction $2)", &parts);
        }
    }
    out.bytes(b"\n");
    !matches!(out.flush(), Err(Errno::PIPE))
}

/// A template: `$` and a number is a part, `%` a part as a string of JSON.
fn say(out: &mut output::Text<'_>, template: &str, parts: &[&str; 6]) {
    let mut rest = template.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'$' && byte != b'%' {
            out.bytes(&[byte]);
            continue;
        }
        let number = rest.next().unwrap_or_default().wrapping_sub(b'0');
        let part = parts.get(usize::from(number)).copied().unwrap_or_default();
        if byte == b'$' {
            out.bytes(part.as_bytes());
        } else {
            write_json_text(out, part);
        }
    }
}
