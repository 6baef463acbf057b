//! The control protocol: lines of text over a Unix stream socket (`control` in the run directory). Its one home.
//!
//! A line is words divided by blanks and ended by a newline, at most `LINE_BYTES_MAX` bytes. Words may be quoted as in a
//! POSIX shell, without expansion. Requests are answered in order, each by one line:
//!
//! ```text
//! ok N [TEXT]   accepted and kept; N is the number of its transaction, 0 where nothing can be waited for
//! no TEXT       understood and refused, or it failed; nothing has changed
//! bad TEXT      not understood: unknown verb, no such service, malformed attribute; nothing has changed
//! ```
//!
//! | request | does |
//! |---|---|
//! | `start NAME...` | lays the admin hold; lifts marks and resets failures on them and on their hard dependencies |
//! | `stop NAME...` | drops the admin hold and lays the mark |
//! | `restart NAME...` | restart in place, one transaction; of what has no process: as `start` |
//! | `reload NAME...` | as the service's `reload` says; `no` where it says nothing or it is not up |
//! | `signal SIGNAL NAME...` | sends a signal to the main process |
//! | `reset NAME...` | forgets `failed`, `skipped`, `done`: what is still wished starts again |
//! | `release NAME...` | drops the admin hold and lifts the mark |
//! | `on FACT [KEY=VALUE...]` | the condition is on |
//! | `off FACT [KEY=VALUE...]` | the condition is off |
//! | `hold FACT [KEY=VALUE...]` | on for as long as this connection lives |
//! | `emit FACT [KEY=VALUE...]` | the event happened |
//! | `shutdown` | everything goes down in order, then the supervisor ends |
//! | `wait REQUEST` | as REQUEST, then reports its transaction until it ends, see below |
//! | `await N` | reports transaction N until it ends: for a client whose engine died while it waited |
//! | `follow` | every change of a phase from now on, until the connection ends |
//!
//! After the `ok N` of `wait` and `await` come, as they happen, and `end` comes last:
//!
//! ```text
//! phase NAME PHASE [TEXT]    a service of the transaction changed its phase
//! result NAME RESULT [TEXT]  at the end, for each service of the transaction: up, down, done, skipped, failed,
//!                            waiting, superseded; TEXT says why
//! end N RESULT               done: all reached; failed: not all; superseded: a later request contradicted it;
//!                            unknown: this number is too old
//! ```
//!
//! A client that is slow to read is told the newest phases when it reads again, not each one that it missed. One that sends
//! more than a line's bytes without a newline, or reads nothing for ten seconds while answers wait for it, is dropped; and
//! when all places are taken, the one that has been idle longest makes room. `CLIENTS_KEPT` of them are never taken by those
//! who wait, follow or hold: one more of these is told `no`. Requests of one client wait for each other.

use crate::limits::FACT_BYTES_MAX;
use crate::words::{self, Fault};

/// Words of one line. A client that has more names to say says them in several lines.
pub const WORDS_MAX: usize = 512;

/// A line, split into words.
pub struct Line<'a> {
    text: &'a [u8],
    ranges: [(u16, u16); WORDS_MAX],
    count: usize,
}

impl<'a> Line<'a> {
    /// Splits a line without its newline; its bytes are changed (quotes go).
    pub fn split(text: &'a mut [u8]) -> Result<Line<'a>, Bad<'static>> {
        let mut ranges = [(0, 0); WORDS_MAX];
        let count = words::split_in_place(text, &mut ranges).map_err(|fault| match fault {
            Fault::TooLong => Bad::TooManyWords,
            Fault::UnclosedSingle | Fault::UnclosedDouble | Fault::TrailingBackslash => Bad::Quoting(fault),
        })?;
        Ok(Line { text, ranges, count })
    }

    /// Word `at`. A word that is not UTF-8 or holds a control character is `None`, as one behind the last.
    pub fn word(&self, at: usize) -> Option<&str> {
        let (start, end) = *self.ranges.get(..self.count)?.get(at)?;
        let text = core::str::from_utf8(self.text.get(usize::from(start)..usize::from(end))?).ok()?;
        (!text.bytes().any(|byte| byte < b' ' || byte == 0x7f)).then_some(text)
    }

    /// How many words.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// What is asked of services.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServiceVerb {
    /// `start`.
    Start,
    /// `stop`.
    Stop,
    /// `restart`.
    Restart,
    /// `reload`.
    Reload,
    /// `signal`, with the signal as it was written: a name or a number.
    Signal,
    /// `reset`.
    Reset,
    /// `release`.
    Release,
}

/// What is said of a fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FactVerb {
    /// The condition is on.
    On,
    /// The condition is off.
    Off,
    /// On while the connection lives.
    Hold,
    /// The event happened.
    Emit,
}

/// What a line asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Something of the services named by the words from `first` on; for `Signal` the word before is the signal.
    Services {
        /// What.
        verb: ServiceVerb,
        /// Index of the first name among the line's words.
        first: usize,
    },
    /// A fact, whose name is the word `first` and whose attributes are those behind.
    Fact {
        /// What.
        verb: FactVerb,
        /// Index of the fact's name among the line's words.
        first: usize,
    },
    /// Everything goes down.
    Shutdown,
    /// Report this transaction.
    Await(u32),
    /// Report every change of a phase.
    Follow,
}

/// Why a line is `bad`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bad<'a> {
    /// Nothing on it.
    Empty,
    /// Quotes that do not end.
    Quoting(Fault),
    /// More than `WORDS_MAX` words.
    TooManyWords,
    /// A word that is not UTF-8, or has control characters.
    NotText,
    /// No such verb.
    Verb(&'a str),
    /// A service or a fact must be named.
    NothingNamed,
    /// Words behind a request that takes none (or, for `await`, not one number).
    Arguments,
    /// `wait` before a request that has no transaction.
    NothingToWaitFor,
    /// Longer than `FACT_BYTES_MAX`.
    FactTooLong,
}

impl core::fmt::Display for Bad<'_> {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Bad::Empty => to.write_str("empty line"),
            Bad::Quoting(fault) => to.write_str(fault.text()),
            Bad::TooManyWords => write!(to, "more than {WORDS_MAX} words"),
            Bad::NotText => to.write_str("a word is not text"),
            Bad::Verb(word) => write!(to, "no verb \"{word}\""),
            Bad::NothingNamed => to.write_str("nothing is named"),
            Bad::Arguments => to.write_str("wrong arguments"),
            Bad::NothingToWaitFor => to.write_str("this cannot be waited for"),
            Bad::FactTooLong => write!(to, "name and attributes take more than {FACT_BYTES_MAX} bytes"),
        }
    }
}

const VERBS: [(&str, Request); 14] = [
    ("start", Request::Services { verb: ServiceVerb::Start, first: 1 }),
    ("stop", Request::Services { verb: ServiceVerb::Stop, first: 1 }),
    ("restart", Request::Services { verb: ServiceVerb::Restart, first: 1 }),
    ("reload", Request::Services { verb: ServiceVerb::Reload, first: 1 }),
    ("signal", Request::Services { verb: ServiceVerb::Signal, first: 2 }),
    ("reset", Request::Services { verb: ServiceVerb::Reset, first: 1 }),
    ("release", Request::Services { verb: ServiceVerb::Release, first: 1 }),
    ("on", Request::Fact { verb: FactVerb::On, first: 1 }),
    ("off", Request::Fact { verb: FactVerb::Off, first: 1 }),
    ("hold", Request::Fact { verb: FactVerb::Hold, first: 1 }),
    ("emit", Request::Fact { verb: FactVerb::Emit, first: 1 }),
    ("shutdown", Request::Shutdown),
    ("await", Request::Await(0)),
    ("follow", Request::Follow),
];

/// What a line asks, and whether its transaction is to be reported (`wait`).
pub fn parse<'l>(line: &'l Line<'_>) -> Result<(Request, bool), Bad<'l>> {
    if line.count() == 0 {
        return Err(Bad::Empty);
    }
    if (0..line.count()).any(|at| line.word(at).is_none()) {
        return Err(Bad::NotText);
    }
    let waits = line.word(0) == Some("wait");
    let skipped = usize::from(waits);
    let verb = line.word(skipped).ok_or(Bad::NothingNamed)?;
    let (_, request) = VERBS.iter().find(|(name, _)| *name == verb).ok_or(Bad::Verb(verb))?;
    let behind = line.count() - skipped - 1;
    let request = match *request {
        Request::Services { verb, first } => Request::Services { verb, first: first + skipped },
        Request::Fact { verb, first } => Request::Fact { verb, first: first + skipped },
        Request::Await(_) => {
            let number = line.word(skipped + 1).and_then(|word| word.parse().ok());
            Request::Await(number.filter(|_| behind == 1).ok_or(Bad::Arguments)?)
        }
        plain @ (Request::Shutdown | Request::Follow) => {
            if behind > 0 {
                return Err(Bad::Arguments);
            }
            plain
        }
    };
    match request {
        Request::Services { first, .. } | Request::Fact { first, .. } if line.count() <= first => {
            Err(Bad::NothingNamed)
        }
        Request::Await(_) | Request::Follow | Request::Fact { verb: FactVerb::Hold, .. } if waits => {
            Err(Bad::NothingToWaitFor)
        }
        request => Ok((request, waits)),
    }
}

/// The fact that begins at word `first`, as the engine takes it: name and `KEY=VALUE` words divided by NUL.
pub fn fact<'b>(line: &Line<'_>, first: usize, buffer: &'b mut [u8; FACT_BYTES_MAX]) -> Result<&'b [u8], Bad<'static>> {
    let mut length = 0;
    for at in first..line.count() {
        let word = line.word(at).ok_or(Bad::NotText)?;
        let start = if at > first { length + 1 } else { 0 };
        let place = buffer.get_mut(length..start + word.len()).ok_or(Bad::FactTooLong)?;
        let (divider, place) = place.split_at_mut(start - length);
        divider.fill(0);
        place.copy_from_slice(word.as_bytes());
        length = start + word.len();
    }
    Ok(&buffer[..length])
}

/// One line that the engine sends, as a client reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer<'a> {
    /// `ok N [TEXT]`.
    Ok(u32, &'a str),
    /// `no TEXT`.
    No(&'a str),
    /// `bad TEXT`.
    Bad(&'a str),
    /// `phase NAME PHASE [TEXT]`.
    Phase {
        /// The service.
        name: &'a str,
        /// The phase's name.
        phase: &'a str,
        /// What is said with it.
        text: &'a str,
    },
    /// `result NAME RESULT [TEXT]`.
    Result {
        /// The service.
        name: &'a str,
        /// The result's name.
        result: &'a str,
        /// Why.
        text: &'a str,
    },
    /// `end N RESULT`.
    End(u32, &'a str),
}

impl<'a> Answer<'a> {
    /// What a line without its newline says; `None` if it is none of the engine's.
    pub fn parse(line: &'a str) -> Option<Answer<'a>> {
        let (kind, rest) = cut(line);
        match kind {
            "ok" => {
                let (number, text) = cut(rest);
                Some(Answer::Ok(number.parse().ok()?, text))
            }
            "no" => Some(Answer::No(rest)),
            "bad" => Some(Answer::Bad(rest)),
            "phase" => {
                let (name, rest) = cut(rest);
                let (phase, text) = cut(rest);
                Some(Answer::Phase { name, phase, text })
            }
            "result" => {
                let (name, rest) = cut(rest);
                let (result, text) = cut(rest);
                Some(Answer::Result { name, result, text })
            }
            "end" => {
                let (number, result) = cut(rest);
                Some(Answer::End(number.parse().ok()?, result))
            }
            _ => None,
        }
    }
}

/// The first word and what is behind its blank.
fn cut(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    fn read(text: &str) -> String {
        let mut bytes = Vec::from(text.as_bytes());
        let line = match Line::split(&mut bytes) {
            Ok(line) => line,
            Err(bad) => return bad.to_string(),
        };
        match parse(&line) {
            Ok((Request::Fact { verb, first }, waits)) => match fact(&line, first, &mut [0; FACT_BYTES_MAX]) {
                Ok(fact) => format!("{verb:?} {:?} {waits}", core::str::from_utf8(fact)),
                Err(bad) => bad.to_string(),
            },
            Ok((Request::Services { verb, first }, waits)) => {
                let names: Vec<_> = (first..line.count()).filter_map(|at| line.word(at)).collect();
                format!("{verb:?} {names:?} {waits}")
            }
            Ok(other) => format!("{other:?}"),
            Err(bad) => bad.to_string(),
        }
    }

    #[test]
    fn requests_are_read() {
        let table = [
            ("start web db", r#"Start ["web", "db"] false"#),
            ("wait stop web", r#"Stop ["web"] true"#),
            ("signal HUP web", r#"Signal ["web"] false"#),
            ("signal HUP", "nothing is named"),
            ("start", "nothing is named"),
            ("wait", "nothing is named"),
            ("", "empty line"),
            ("  ", "empty line"),
            ("Start web", "no verb \"Start\""),
            ("on net-up IFACE=eth0", r#"On Ok("net-up\0IFACE=eth0") false"#),
            ("on net-up B='x y' A=1", r#"On Ok("net-up\0B=x y\0A=1") false"#),
            ("emit x", r#"Emit Ok("x") false"#),
            ("hold", "nothing is named"),
            ("wait hold x", "this cannot be waited for"),
            ("await 12", "(Await(12), false)"),
            ("await", "wrong arguments"),
            ("await 12 13", "wrong arguments"),
            ("await -1", "wrong arguments"),
            ("wait await 1", "this cannot be waited for"),
            ("shutdown", "(Shutdown, false)"),
            ("shutdown now", "wrong arguments"),
            ("follow", "(Follow, false)"),
            ("start 'web", "a ' is not closed on its line"),
            ("start a\u{1}b", "a word is not text"),
        ];
        for (line, expected) in table {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(read(&"a ".repeat(WORDS_MAX + 1)), format!("more than {WORDS_MAX} words"));
        assert_eq!(read(&format!("emit x A={}", "v".repeat(FACT_BYTES_MAX))), Bad::FactTooLong.to_string());
        let mut bytes = *b"start \xff\xfe";
        assert_eq!(parse(&Line::split(&mut bytes).expect("two words")).err(), Some(Bad::NotText));
    }

    #[test]
    fn no_line_of_any_bytes_is_more_than_refused() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..seed % 40 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let alphabet = b"start on wait emit hold=' \"\\\t\xc3\xa4\x00ab1-";
                bytes.push(alphabet[(seed >> 33) as usize % alphabet.len()]);
            }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if let Ok(line) = Line::split(&mut bytes)
                && let Ok((Request::Fact { first, .. }, _)) = parse(&line)
            {
                let _ = fact(&line, first, &mut [0; FACT_BYTES_MAX]);
            }
        }
    }

    #[test]
    fn answers_are_read() {
        let table = [
            ("ok 7", Some(Answer::Ok(7, ""))),
            ("ok 0 said", Some(Answer::Ok(0, "said"))),
            ("no web is held down", Some(Answer::No("web is held down"))),
            ("bad no verb", Some(Answer::Bad("no verb"))),
            ("phase web up", Some(Answer::Phase { name: "web", phase: "up", text: "" })),
            ("result web failed exit 3", Some(Answer::Result { name: "web", result: "failed", text: "exit 3" })),
            ("end 7 done", Some(Answer::End(7, "done"))),
            ("end x done", None),
            ("what", None),
            ("", None),
        ];
        for (line, expected) in table {
            assert_eq!(Answer::parse(line), expected, "{line}");
        }
    }
}
