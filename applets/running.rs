//! The commands that change what runs: `start stop restart reload signal reset release`, and `shutdown`. Each is one line
//! to the engine and, where it is waited for, what the engine tells until the end. An engine that dies meanwhile is
//! waited for.

use lexopt::prelude::*;
use pintle::limits::LINE_BYTES_MAX;
use pintle::protocol::{Answer, WORDS_MAX};
use pintle::words::write_quoted;

use super::progress::Progress;
use super::{Applet, Family, exit, misuse};
use crate::host::control::{Control, Next, complain};
use crate::sys::clock;
use crate::sys::entry::Arguments;

/// How long a supervisor may take to have a listening socket again, and how often it is tried.
const RECONNECT_MS: u32 = 3_000;
const RECONNECT_EVERY_MS: u32 = 50;

macro_rules! command {
    ($constant:ident, $name:literal, $summary:literal, $usage:literal, $help:literal, $run:expr) => {
        pub static $constant: Applet = Applet {
            name: $name,
            family: Family::Running,
            summary: $summary,
            usage: $usage,
            help: $help,
            raw: false,
            run: $run,
        };
    };
}

command!(
    START,
    "start",
    "wish services up, and what they need",
    "[--wait | --no-wait] NAME...",
    "Wishes services up. What they need comes up first; what a person had taken down\n\
     or had failed among it is wished up again.\n\
     \n\
     --wait      wait until they are up, or cannot be; usual on a terminal\n\
     --no-wait   only say that it is wished\n\
     \n\
     Exit code: 0 all up, 1 not all, 100 no such service, 111 no supervisor.\n\
     example: pintle start nginx\n",
    |arguments| services("start", arguments)
);
command!(
    STOP,
    "stop",
    "take services down, and keep them down",
    "[--wait | --no-wait] NAME...",
    "Takes services down and keeps them down until start or release. What needs them\n\
     stops before them, waits, and comes back with them.\n\
     \n\
     --wait      wait until they are down; usual on a terminal\n\
     --no-wait   only say that it is wished\n\
     \n\
     example: pintle stop nginx\n",
    |arguments| services("stop", arguments)
);
command!(
    RESTART,
    "restart",
    "restart services in place",
    "[--wait | --no-wait] NAME...",
    "Restarts services without stopping what needs them (what binds to them follows).\n\
     What is not running is started.\n\
     \n\
     --wait      wait until they are up again; usual on a terminal\n\
     --no-wait   only say that it is wished\n\
     \n\
     example: pintle restart nginx\n",
    |arguments| services("restart", arguments)
);
command!(
    RELOAD,
    "reload",
    "let services read their configuration again",
    "NAME...",
    "Does what the service's file says under reload: a signal or a command.\n\
     \n\
     Exit code: 0 told, 1 not up or without reload.\n\
     example: pintle reload nginx\n",
    |arguments| services("reload", arguments)
);
command!(
    SIGNAL,
    "signal",
    "send a signal to the main process of services",
    "SIGNAL NAME...",
    "Sends a signal, by name (HUP, SIGHUP) or number, to the main process.\n\
     \n\
     example: pintle signal USR1 nginx\n",
    |arguments| services("signal", arguments)
);
command!(
    RESET,
    "reset",
    "forget that services have failed",
    "[--wait | --no-wait] NAME...",
    "Forgets failed, skipped and done: what is still wished up starts again.\n\
     \n\
     example: pintle reset nginx\n",
    |arguments| services("reset", arguments)
);
command!(
    RELEASE,
    "release",
    "take back start and stop",
    "[--wait | --no-wait] NAME...",
    "Takes back what start and stop have said: services are up if something else\n\
     (the boot, a need, an event) holds them, and down if not.\n\
     \n\
     example: pintle release nginx\n",
    |arguments| services("release", arguments)
);

pub static SHUTDOWN: Applet = Applet {
    name: "shutdown",
    family: Family::Machine,
    summary: "take everything down in order, then end the supervisor",
    usage: "[--no-wait]",
    help: "Takes all services down in order; then the supervisor ends.\n\
           \n\
           --no-wait   do not wait for it\n",
    raw: false,
    run: shutdown,
};

fn services(verb: &'static str, arguments: Arguments) -> i32 {
    let (words, wait) = match read(verb, arguments) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let needed = if verb == "signal" { 2 } else { 1 };
    if words.len() < needed {
        return misuse(verb, &if verb == "signal" { "which signal, to which service?" } else { "which service?" });
    }
    // Only these take time that can be waited for.
    let waits = matches!(verb, "start" | "stop" | "restart" | "reset" | "release");
    let on_terminal = rustix::termios::isatty(rustix::stdio::stdout());
    let (head, names) = words.split_at(needed - 1);
    let lines = match lines(verb, head, names) {
        Ok(lines) => lines,
        Err(message) => return misuse(verb, &message),
    };
    run(&lines, waits && wait.unwrap_or(on_terminal), names)
}

/// The words, and whether to wait.
fn read(command: &str, arguments: Arguments) -> Result<(Vec<String>, Option<bool>), i32> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut words, mut wait) = (Vec::new(), None);
    loop {
        match parser.next() {
            Ok(None) => return Ok((words, wait)),
            Ok(Some(Long("wait"))) => wait = Some(true),
            Ok(Some(Long("no-wait"))) => wait = Some(false),
            Ok(Some(Value(word))) => match word.into_string() {
                Ok(word) => words.push(word),
                Err(word) => return Err(misuse(command, &format!("{word:?} is not text"))),
            },
            Ok(Some(other)) => return Err(misuse(command, &other.unexpected())),
            Err(error) => return Err(misuse(command, &error)),
        }
    }
}

/// Requests that fit a line each.
fn lines(verb: &str, head: &[String], names: &[String]) -> Result<Vec<String>, String> {
    // `wait ` may come before, a newline behind.
    const BYTES_MAX: usize = LINE_BYTES_MAX - 6;
    let (mut lines, mut line, mut count) = (Vec::new(), String::new(), 0);
    for name in names {
        let mut word = String::new();
        quote(&mut word, name)?;
        if line.len() + 1 + word.len() > BYTES_MAX || count + head.len() + 3 > WORDS_MAX {
            lines.push(core::mem::take(&mut line));
        }
        if line.is_empty() {
            line.push_str(verb);
            for part in head {
                line.push(' ');
                quote(&mut line, part)?;
            }
            count = 0;
        }
        line.push(' ');
        line.push_str(&word);
        count += 1;
    }
    lines.push(line);
    if lines.iter().any(|line| line.len() > BYTES_MAX) { Err("a name is too long".into()) } else { Ok(lines) }
}

/// Adds a word as a line has it.
pub fn quote(line: &mut String, word: &str) -> Result<(), String> {
    if word.chars().any(char::is_control) {
        return Err(format!("{word:?} has a control character"));
    }
    write_quoted(line, word).map_err(|_| "not text".into())
}

/// Sends requests, waits for their transactions where that is asked, and gives the exit code. `named` are those whose
/// results are told even if all is well.
pub fn run(lines: &[String], wait: bool, named: &[String]) -> i32 {
    let mut control = match Control::connect() {
        Ok(control) => control,
        Err(message) => {
            complain(&message);
            return exit::SYSTEM;
        }
    };
    let mut numbers = Vec::new();
    let mut first_is_told = false;
    for line in lines {
        // One request reports its own transaction from its beginning; several are waited for one after the other.
        let single = wait && lines.len() == 1;
        let sent = if single { format!("wait {line}") } else { line.clone() };
        match ask(&mut control, &sent) {
            Ok(number) => numbers.push(number),
            Err(code) => return code,
        }
        first_is_told = single;
    }
    if !wait {
        return exit::DONE;
    }
    let mut progress = Progress::new(named);
    let mut worst = exit::DONE;
    for number in numbers {
        worst = worst.max(follow(&mut control, number, first_is_told, &mut progress));
    }
    progress.end();
    worst
}

/// Sends one request; gives the number of its transaction, or the exit code after a message. An engine that ends before
/// it has answered is asked again, if asking twice is no harm.
fn ask(control: &mut Control, line: &str) -> Result<u32, i32> {
    loop {
        let next = match control.send(line) {
            Ok(()) => control.next(None),
            Err(_) => Next::Ended,
        };
        match next {
            Next::Line(answer) => {
                let (message, code) = match Answer::parse(&answer) {
                    Some(Answer::Ok(number, text)) => {
                        note(text);
                        return Ok(number);
                    }
                    Some(Answer::No(text)) => (text, exit::NO),
                    Some(Answer::Bad(text)) => (text, exit::MISUSE),
                    _ => ("the engine gave an answer that makes no sense", exit::SYSTEM),
                };
                complain(message);
                return Err(code);
            }
            Next::Nothing => {}
            Next::Ended => {
                let once = ["signal", "emit", "wait emit"].iter().any(|verb| line.starts_with(verb));
                if once {
                    complain("the engine ended before it answered: it is not known whether this was done");
                    return Err(exit::SYSTEM);
                }
                *control = reconnect()?;
            }
        }
    }
}

/// Shows what the engine adds to its `ok`, if anything.
pub fn note(text: &str) {
    if !text.is_empty() {
        complain(&format!("note: {text}"));
    }
}

/// Connects again, for as long as a supervisor may need to come back.
pub fn reconnect() -> Result<Control, i32> {
    let end = clock::now().plus_ms(RECONNECT_MS);
    loop {
        match Control::connect() {
            Ok(control) => return Ok(control),
            Err(message) if clock::now() >= end => {
                complain(&message);
                return Err(exit::SYSTEM);
            }
            Err(_) => clock::sleep_ms(RECONNECT_EVERY_MS),
        }
    }
}

/// Follows a transaction to its end. `told`: the engine already reports it on this connection.
fn follow(control: &mut Control, number: u32, told: bool, progress: &mut Progress) -> i32 {
    if number == 0 && !told {
        return exit::DONE;
    }
    let mut told = told;
    loop {
        if !told {
            if let Err(code) = ask(control, &format!("await {number}")) {
                return code;
            }
            told = true;
        }
        match control.next(progress.deadline()) {
            Next::Nothing => progress.draw(),
            Next::Ended => {
                progress.again();
                *control = match reconnect() {
                    Ok(control) => control,
                    Err(code) => return code,
                };
                told = false;
            }
            Next::Line(line) => match Answer::parse(&line) {
                Some(Answer::Phase { name, phase, text }) => progress.phase(name, phase, text),
                Some(Answer::Result { name, result, text }) => progress.result(name, result, text),
                Some(Answer::End(_, "done")) => {
                    progress.results(true);
                    return exit::DONE;
                }
                Some(Answer::End(_, "superseded")) => {
                    progress.results(false);
                    progress.say("a later command contradicted this one");
                    return exit::NO;
                }
                Some(Answer::End(_, "unknown")) => {
                    progress.results(false);
                    progress.say("the engine does not know any more what became of it; see pintle status");
                    return exit::NO;
                }
                Some(Answer::End(..)) => {
                    progress.results(false);
                    return exit::NO;
                }
                Some(Answer::Ok(..)) | None => {}
                Some(Answer::No(text) | Answer::Bad(text)) => {
                    progress.say(text);
                    return exit::NO;
                }
            },
        }
    }
}

fn shutdown(arguments: Arguments) -> i32 {
    let wait = match read("shutdown", arguments) {
        Ok((words, _)) if !words.is_empty() => return misuse("shutdown", &"it takes no names"),
        Ok((_, wait)) => wait.unwrap_or(true),
        Err(code) => return code,
    };
    let mut control = match Control::connect() {
        Ok(control) => control,
        Err(message) => {
            complain(&message);
            return exit::SYSTEM;
        }
    };
    if let Err(code) = ask(&mut control, "shutdown") {
        return code;
    }
    if !wait {
        return exit::DONE;
    }
    // It is over when the supervisor is gone; until then every change is of interest.
    let _ = control.send("follow");
    let mut progress = Progress::new(&[]);
    loop {
        match control.next(progress.deadline()) {
            Next::Nothing => progress.draw(),
            Next::Line(line) => {
                // The last line is no end: then the supervisor ends, and with it this connection.
                if let Some(Answer::Phase { name, phase, text }) = Answer::parse(&line) {
                    progress.phase(name, phase, text);
                }
            }
            // Perhaps only the engine has ended. Where nobody listens any more, the supervisor has, too.
            Next::Ended => match Control::connect() {
                Ok(mut again) => {
                    let _ = again.send("follow");
                    control = again;
                }
                Err(_) => break,
            },
        }
    }
    progress.end();
    exit::DONE
}
