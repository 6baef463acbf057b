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
    let names = given.texts();
    let verb = if given.has("--no-follow") { "journal" } else { "events" };
    let mut line = match given.number("--lines", 10, u32::MAX.into()) {
        _ if given.has("--all") => format!("{verb} 0"),
        count => format!("{verb} last {count}"),
    };
    let mut control = connect();
    loop {
        let next = ask(&mut control, &line);
        if verb == "events" {
            // Where nothing is there to be shown first.
            line = format!("{verb} {next}");
        }
        loop {
            let answer = match control.next(None) {
                Next::Line(answer) => answer,
                Next::Nothing => continue,
                Next::Ended => break,
            };
            match Answer::parse(&answer) {
                Some(Answer::Event(number, rest)) => {
                    line = format!("{verb} {}", number.wrapping_add(1));
                    if !show(given, &names, number, rest) {
                        return exit::DONE;
                    }
                }
                Some(Answer::Missed(count)) => {
                    let mut out = output::stdout();
                    let _ = if given.has("--json") {
                        writeln!(out, "{{\"missed\":{count}}}")
                    } else {
                        writeln!(out, "({count} lines are gone)")
                    };
                }
                Some(Answer::End(..)) => return exit::DONE,
                Some(
                    Answer::Ok(..) | Answer::No(_) | Answer::Bad(_) | Answer::Phase { .. } | Answer::Result { .. },
                )
                | None => {}
            }
        }
        control = reconnect();
    }
}

/// Shows one line, if it is about one of these services. Gives `false` when nobody reads any more.
fn show(given: &Given, names: &[&str], number: u32, rest: &str) -> bool {
    let (time, rest) = cut(rest);
    let (transaction, rest) = cut(rest);
    let (kind, rest) = cut(rest);
    let (name, text) = cut(rest);
    let is_about = |wanted: &&str| name == *wanted || kind == "command" && text.split(' ').any(|word| word == *wanted);
    if !names.is_empty() && !names.iter().any(is_about) {
        return true;
    }
    let mut out = output::stdout();
    if given.has("--json") {
        let _ =
            write!(out, "{{\"number\":{number},\"time\":\"{time}\",\"transaction\":{transaction},\"kind\":\"{kind}\"");
        for (key, value) in [(",\"service\":", name), (",\"text\":", text)] {
            let _ = out.write_str(key);
            if value == "-" {
                out.bytes(b"null");
            } else {
                write_json_text(&mut out, value);
            }
        }
        out.bytes(b"}\n");
    } else {
        let (name, colon) = if name == "-" { ("", "") } else { (name, ": ") };
        let _ = write!(out, "{time} {number} {name}{colon}{text}");
        if transaction != "0" && kind != "begin" && kind != "end" {
            let _ = write!(out, " (transaction {transaction})");
        }
        out.bytes(b"\n");
    }
    !matches!(out.flush(), Err(Errno::PIPE))
}
