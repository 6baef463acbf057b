//! The commands that change what runs: `start stop restart reload signal reset release switch`, and `shutdown`. Each is
//! one line to the engine and, where it is waited for, what the engine tells until the end. An engine that dies
//! meanwhile is waited for.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use pintle::lang::diagnostic;
use pintle::limits::LINE_BYTES_MAX;
use pintle::packed;
use pintle::protocol::{Answer, WORDS_MAX};
use pintle::text::small_number;
use pintle::time::Instant;
use pintle::words::write_quoted;

use super::options::Given;
use super::progress::Progress;
use super::{dry_run, exit, finish};
use crate::host::control::{Control, Next, complain};
use crate::host::reading;
use crate::host::refuse::refuse;
use crate::sys::{clock, output};

/// How long a supervisor may take to have a listening socket again, and how often it is tried.
const RECONNECT_MS: u32 = 3_000;
const RECONNECT_EVERY_MS: u32 = 50;

pub fn services(given: &Given) -> i32 {
    let words = given.texts();
    let is_signal = given.command == "signal";
    let needed = if is_signal { 2 } else { 1 };
    if words.len() < needed {
        let which = if is_signal { packed!("which signal, to which service?") } else { packed!("which service?") };
        given.misuse(which);
    }
    let (head, names) = words.split_at(needed - 1);
    // Only what has these options takes time that can be waited for.
    let wait = match given.last(&["--wait", "--no-wait"]) {
        None => given.knows("--wait") && output::is_terminal(),
        Some(option) => option == "--wait",
    };
    if given.command == "switch" && *names == ["shutdown"] {
        // Whether there is a bundle of that name or not.
        return shutdown(given);
    }
    let lines = lines(given, head, names);
    if given.has("--dry-run") {
        return dry_run::show(&lines);
    }
    let prints = given.last(&["--wait", "--no-wait"]) == Some("--no-wait");
    run(&lines, wait, prints, names)
}

/// Requests that fit a line each.
fn lines(given: &Given, head: &[&str], names: &[&str]) -> Vec<String> {
    // `wait ` may come before, a newline behind.
    const BYTES_MAX: usize = LINE_BYTES_MAX - 6;
    let mut first = String::from(given.command);
    if given.has("--with-dependents") {
        first.push_str("-with-dependents");
    }
    for part in head {
        quote(given, &mut first, part);
    }
    let (mut lines, mut room): (Vec<String>, usize) = (Vec::new(), 0);
    for name in names {
        let mut word = String::new();
        quote(given, &mut word, name);
        if first.len() + word.len() > BYTES_MAX {
            given.misuse(packed!("a name is too long"));
        }
        match lines.last_mut() {
            Some(line) if room > 0 && line.len() + word.len() <= BYTES_MAX => {
                line.push_str(&word);
                room -= 1;
            }
            _ => {
                lines.push(diagnostic::told(format_args!("{first}{word}")));
                // The verb, `wait` before it, and this name.
                room = WORDS_MAX - 3 - head.len();
            }
        }
    }
    lines
}

/// Adds a blank and a word as a line has it.
pub fn quote(given: &Given, line: &mut String, word: &str) {
    if word.chars().any(char::is_control) {
        given.misuse_of(packed!("a control character is in"), word.as_ref());
    }
    line.push(' ');
    let _ = write_quoted(line, word); // a String takes everything
}

/// Connects, or ends the process with the reason.
#[inline(never)]
pub fn connect() -> Control {
    Control::connect().unwrap_or_else(|message| refuse(exit::SYSTEM as u8, format_args!("{message}")))
}

/// Sends requests, waits for their transactions or prints their numbers where that is asked, and gives the exit code.
/// `named` are those whose results are told even if all is well.
pub fn run(lines: &[String], wait: bool, prints: bool, named: &[&str]) -> i32 {
    let mut control = connect();
    let mut numbers = Vec::new();
    // One request reports its own transaction from its beginning; several are waited for one after the other.
    let single = wait && lines.len() == 1;
    for line in lines {
        let told = diagnostic::told(format_args!("wait {line}"));
        numbers.push(ask(&mut control, if single { &told } else { line }));
    }
    if !wait {
        let mut out = output::stdout();
        for number in numbers.iter().filter(|number| prints && **number != 0) {
            let _ = writeln!(out, "{number}");
        }
        return finish(&mut out);
    }
    let mut progress = Progress::new(named);
    let mut worst = exit::DONE;
    for number in numbers {
        worst = worst.max(follow(&mut control, number, single, &mut progress));
    }
    progress.clear();
    worst
}

/// Sends one request; gives the number of its transaction, or ends the process with what was answered. An engine that
/// ends before it has answered is asked again, if asking twice is no harm.
#[inline(never)]
pub fn ask(control: &mut Control, line: &str) -> u32 {
    while control.send(line).is_err() || control.next(Instant::NEVER) != Next::Line {
        if ["signal", "emit", "wait emit"].iter().any(|verb| line.starts_with(verb)) {
            let unknown = packed!("the engine ended before it answered: it is not known whether this was done");
            refuse(exit::SYSTEM as u8, format_args!("{unknown}"))
        }
        *control = reconnect();
    }
    understand(control.line())
}

/// The number of an `ok`; ends the process with what else was answered.
pub fn understand(answer: &str) -> u32 {
    let (message, code) = match Answer::parse(answer) {
        Some(Answer::Ok(number, text)) => {
            // What it adds to its `ok`.
            if !text.is_empty() {
                complain(&format_args!("note: {text}"));
            }
            return number;
        }
        Some(Answer::No(text)) => (text, exit::NO),
        Some(Answer::Bad(text)) => (text, exit::MISUSE),
        Some(
            Answer::Phase { .. } | Answer::Result { .. } | Answer::End(..) | Answer::Event(..) | Answer::Missed(_),
        )
        | None => ("the engine gave an answer that makes no sense", exit::SYSTEM),
    };
    refuse(code as u8, format_args!("{message}"))
}

/// Connects again, for as long as a supervisor may need to come back; as `connect` then.
#[inline(never)]
pub fn reconnect() -> Control {
    let end = clock::now().plus_ms(RECONNECT_MS);
    while clock::now() < end {
        match Control::connect() {
            Ok(control) => return control,
            Err(_) => clock::sleep_ms(RECONNECT_EVERY_MS),
        }
    }
    connect()
}

/// `await`: transactions that were begun before.
pub fn wait_for(given: &Given) -> i32 {
    let (words, mut control) = (given.texts(), connect());
    let mut progress = Progress::new(&[]);
    let mut worst = exit::DONE;
    for word in &words {
        let number = small_number(word.as_bytes())
            .unwrap_or_else(|| given.misuse_of(packed!("no number of a transaction:"), word.as_ref()));
        worst = worst.max(follow(&mut control, number, false, &mut progress));
    }
    if words.is_empty() {
        given.misuse(packed!("which transaction?"));
    }
    progress.clear();
    worst
}

/// Follows a transaction to its end. `told`: the engine already reports it on this connection.
fn follow(control: &mut Control, number: u32, mut told: bool, progress: &mut Progress) -> i32 {
    if number == 0 && !told {
        return exit::DONE;
    }
    loop {
        if !told {
            ask(control, &diagnostic::told(format_args!("await {number}")));
            told = true;
        }
        if !progress.next(control) {
            progress.forget_results();
            *control = reconnect();
            told = false;
            continue;
        }
        let message = match Answer::parse(control.line()) {
            Some(Answer::End(_, how)) => {
                progress.results(how == "done");
                match how {
                    "done" => return exit::DONE,
                    "superseded" => "a later command contradicted this one",
                    "full" => "more is under way than there is room to follow; see pintle status",
                    "unknown" => "the engine does not know any more what became of it; see pintle status",
                    _ => return exit::NO,
                }
            }
            Some(Answer::No(text) | Answer::Bad(text)) => text,
            Some(
                Answer::Ok(..) | Answer::Event(..) | Answer::Missed(_) | Answer::Phase { .. } | Answer::Result { .. },
            )
            | None => continue,
        };
        progress.clear();
        complain(&message);
        return exit::NO;
    }
}

pub fn shutdown(given: &Given) -> i32 {
    let line = "shutdown";
    if given.has("--dry-run") {
        return dry_run::show(&[String::from(line)]);
    }
    let mut control = connect();
    ask(&mut control, line);
    if given.last(&["--wait", "--no-wait"]) == Some("--no-wait") {
        return exit::DONE;
    }
    let mut progress = Progress::new(&[]);
    loop {
        // It is over when the supervisor is gone; until then every change is of interest.
        let _ = control.send("follow");
        // Its last line is no end: then the supervisor ends, and with it this connection.
        while progress.next(&mut control) {}
        // Perhaps only the engine has ended. Where nobody listens any more, the supervisor has, too.
        match Control::connect() {
            Ok(again) => control = again,
            Err(_) => break,
        }
    }
    progress.clear();
    // Without a run directory nothing is known of it.
    if matches!(reading::shutdown(), None | Some(3)) {
        return exit::DONE;
    }
    complain(&packed!("not all went down in order: services were killed, or the supervisor was"));
    exit::NO
}
