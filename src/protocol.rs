//! The control protocol: lines of text over a Unix stream socket (`control` in the run directory). Its one home.
//!
//! A line is words divided by blanks and ended by a newline, at most `LINE_BYTES_MAX` bytes. Words may be quoted as in
//! a POSIX shell, without expansion. Requests are answered in order, each by one line:
//!
//! ```text
//! ok N [TEXT]   accepted and kept; N is the number of its transaction, 0 where nothing can be waited for
//! no TEXT       understood and refused, or it failed; nothing has changed
//! bad TEXT      not understood: unknown verb, no such service, malformed attribute; nothing has changed
//! ```
//!
//! | request | does |
//! |---|---|
//! | `start NAME...` | lays the admin hold; lifts marks and resets failures on them and on their hard dependencies; TEXT says on which |
//! | `stop NAME...` | drops the admin hold and lays the mark |
//! | `restart NAME...` | restart in place, one transaction; of what has no process: as `start` |
//! | `restart-with-dependents NAME...` | the same, with all that needs them: down before, up after them, in order |
//! | `switch NAME` | this service (usually a bundle) and nothing else: every other hold drops; of `shutdown` it is the shutdown |
//! | `reload NAME...` | as the service's `reload` says; `no` where it says nothing or it is not up |
//! | `signal SIGNAL NAME...` | sends a signal to the main process |
//! | `reset NAME...` | forgets `failed`, `skipped`, `done`: what is still wished starts again |
//! | `release NAME...` | drops the admin hold and lifts the mark |
//! | `on FACT [KEY=VALUE...]` | the condition is on |
//! | `off FACT [KEY=VALUE...]` | the condition is off |
//! | `changing TIME FACT [KEY=VALUE...]` | what is on is changing; off after TIME (1ms to 1h) unless `on` or `hold` says it again |
//! | `hold FACT [KEY=VALUE...]` | on for as long as this connection lives |
//! | `emit FACT [KEY=VALUE...]` | the event happened |
//! | `shutdown` | everything goes down in order, then the supervisor ends |
//! | `wait REQUEST` | as REQUEST, then reports its transaction until it ends, see below |
//! | `await N` | reports transaction N until it ends: for a client whose engine died while it waited |
//! | `follow` | every change of a phase from now on, until the connection ends |
//! | `events` | the journal's lines from now on, until the connection ends; N is the number of the next one |
//! | `events N`, `events last N` | the same from line N on (0: all there are), or with the last N |
//! | `journal [N]`, `journal last N` | the lines that there are, then `end 0 done` |
//! | `memory` | with the byte `o` of the answer comes a descriptor (SCM_RIGHTS): a copy of the engine's memory, for `--dry-run` |
//!
//! After the `ok N` of `wait` and `await` come, as they happen, and `end` comes last:
//!
//! ```text
//! phase NAME PHASE [TEXT]    a service of the transaction changed its phase
//! result NAME RESULT [TEXT]  at the end, for each service of the transaction: up, down, done, skipped, failed,
//!                            waiting, superseded; TEXT says why, but of what this transaction has taken down
//! end N RESULT               done: all reached; failed: not all; superseded: a later request contradicted it;
//!                            unknown: this number is too old
//! ```
//!
//! The journal's lines, which have numbers without gaps:
//!
//! ```text
//! event N TIME TRANSACTION KIND NAME TEXT    TIME as in a log; TRANSACTION 0 and NAME - where there is none; KIND is phase,
//!                            holds, fired, on, off, changing, event, begin, end, refused, command, boot, shutdown
//! missed COUNT               so many lines are gone: they are too old, or this client reads too slowly
//! ```
//!
//! A client whose engine dies connects again and asks for `events N` with the number behind the last one that it has
//! read: the next engine has the same journal. Holds, marks and conditions of the journal are those of `pintle why`.
//!
//! A client that is slow to read is told the newest phases when it reads again, not each one that it missed. One that
//! sends more than a line's bytes without a newline, or reads nothing for ten seconds while answers wait for it, is
//! dropped; and when all places are taken, the one that has been idle longest makes room. `CLIENTS_KEPT` of them are
//! never taken by those who wait, follow or hold: one more of these is told `no`. Requests of one client wait for each
//! other.

use crate::lang::duration_ms;
use crate::limits::{CHANGING_MS_MAX, FACT_BYTES_MAX, LINE_BYTES_MAX};
use crate::text::{self, ended, small_number};
use crate::words;

/// Words of one line. A client that has more names to say says them in several lines.
pub const WORDS_MAX: usize = 512;

/// What a line asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// `start`.
    Start,
    /// `stop`.
    Stop,
    /// `restart`.
    Restart,
    /// `restart-with-dependents`.
    RestartWithDependents,
    /// `switch`.
    Switch,
    /// `reload`.
    Reload,
    /// `signal`: the first word is the signal as it was written, a name or a number.
    Signal,
    /// `reset`.
    Reset,
    /// `release`.
    Release,
    /// The condition is on.
    On,
    /// The condition is off.
    Off,
    /// The condition is changing. `Request::number` is for how long, in milliseconds.
    Changing,
    /// On while the connection lives.
    Hold,
    /// The event happened.
    Emit,
    /// Everything goes down.
    Shutdown,
    /// Report a transaction.
    Await,
    /// Report every change of a phase.
    Follow,
    /// Tell the journal's lines, and those that come.
    Events,
    /// Tell the journal's lines.
    Journal,
    /// Hand over a copy of the engine's memory.
    Memory,
}

impl Verb {
    /// Those that may come by the thousand first.
    const ALL: [Verb; 20] = [
        Verb::Emit,
        Verb::On,
        Verb::Off,
        Verb::Hold,
        Verb::Changing,
        Verb::Start,
        Verb::Stop,
        Verb::Restart,
        Verb::RestartWithDependents,
        Verb::Switch,
        Verb::Reload,
        Verb::Signal,
        Verb::Reset,
        Verb::Release,
        Verb::Shutdown,
        Verb::Await,
        Verb::Follow,
        Verb::Events,
        Verb::Journal,
        Verb::Memory,
    ];
    /// In the same order, what each takes: how many words at least, then at most (`MANY`); and of what kind they are.
    const TAKES: [[u8; 3]; 20] = [
        [1, MANY, FACT],
        [1, MANY, FACT],
        [1, MANY, FACT],
        [1, MANY, FACT | ALONE],
        [2, MANY, FACT],
        [1, MANY, NAMES],
        [1, MANY, NAMES],
        [1, MANY, NAMES],
        [1, MANY, NAMES],
        [1, 1, NAMES],
        [1, MANY, NAMES],
        [2, MANY, NAMES],
        [1, MANY, NAMES],
        [1, MANY, NAMES],
        [0, 0, 0],
        [1, 1, NUMBER | ALONE],
        [0, 0, ALONE],
        [0, 2, NUMBER | ALONE],
        [0, 2, NUMBER | ALONE],
        [0, 0, ALONE],
    ];
    /// In the same order.
    const NAMES: &str = "emit on off hold changing start stop restart restart-with-dependents switch reload signal reset \
                         release shutdown await follow events journal memory";

    /// All of them, as they are written.
    pub fn names() -> text::Parts<'static> {
        text::parts(Verb::NAMES, b' ')
    }

    /// The verb that is written so.
    #[inline(never)]
    pub fn named(name: &str) -> Option<Verb> {
        let at = Verb::names().position(|known| known == name)?;
        Verb::ALL.get(at).copied()
    }

    /// Whether it asks for nothing but to be told.
    pub fn looks(self) -> bool {
        matches!(self, Verb::Await | Verb::Follow | Verb::Events | Verb::Journal)
    }

    /// Whether its request has a `Request::fact`.
    pub fn has_fact(self) -> bool {
        matches!(self, Verb::On | Verb::Off | Verb::Hold | Verb::Changing | Verb::Emit)
    }
}

/// No bound but that of the line.
const MANY: u8 = u8::MAX;
/// Names of services.
const NAMES: u8 = 1;
/// A fact, of `FACT_BYTES_MAX` at most.
const FACT: u8 = 2;
/// A number, if there are any; of two words, behind `last`.
const NUMBER: u8 = 4;
/// There is nothing to wait for.
const ALONE: u8 = 8;

/// A line that is understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// What is asked.
    pub verb: Verb,
    /// Whether its transaction is to be reported (`wait`).
    pub waits: bool,
    /// The number of the transaction, for `Await`; milliseconds, for `Changing`.
    pub number: u32,
    /// The words behind the verb, each ended by NUL.
    words: &'a str,
}

impl<'a> Request<'a> {
    /// The words behind the verb.
    pub fn words(&self) -> impl Iterator<Item = &'a str> {
        ended(self.words, b'\0')
    }

    /// The words as a fact, as the engine takes it: name and `KEY=VALUE` divided by NUL.
    pub fn fact(&self) -> &'a [u8] {
        self.words.as_bytes().split_last().map_or(&[], |(_, fact)| fact)
    }
}

/// Why a line is `bad`: what is wrong, and the word that it is about, where there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bad<'a>(&'static str, &'a str);

impl core::fmt::Display for Bad<'_> {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let quote = if self.1.is_empty() { "" } else { "\"" };
        [self.0, quote, self.1, quote].iter().try_for_each(|part| to.write_str(part))
    }
}

const EMPTY: &str = "empty line";
const TOO_MANY_WORDS: &str = "more than 512 words";
const NOT_TEXT: &str = "a word is not text (UTF-8 without control characters)";
const NO_VERB: &str = "no verb ";
const NOTHING_NAMED: &str = "nothing is named";
const ARGUMENTS: &str = "wrong arguments";
const NOTHING_TO_WAIT_FOR: &str = "this cannot be waited for";
const BAD_TIME: &str = "expected a time from 1ms to 1h, not ";
const FACT_TOO_LONG: &str = "name and attributes take more than 240 bytes";
const _: () = assert!(WORDS_MAX == 512 && FACT_BYTES_MAX == 240 && CHANGING_MS_MAX == 3_600_000, "the texts say so");

/// Reads a line without its newline; `room` is for its words.
pub fn parse<'a>(line: &[u8], room: &'a mut [u8; LINE_BYTES_MAX]) -> Result<Request<'a>, Bad<'a>> {
    let bad = |text| Bad(text, "");
    let (length, count) = words::split(line, room).map_err(|fault| bad(fault.text()))?;
    if count > WORDS_MAX {
        return Err(bad(TOO_MANY_WORDS));
    }
    let text = core::str::from_utf8(room.get(..length).unwrap_or_default()).map_err(|_| bad(NOT_TEXT))?;
    if text.bytes().any(|byte| (byte < b' ' && byte != 0) || byte == 0x7f) {
        return Err(bad(NOT_TEXT));
    }
    let (mut verb, mut words) = cut_first(text).ok_or(bad(EMPTY))?;
    let waits = verb == "wait";
    if waits {
        (verb, words) = cut_first(words).ok_or(bad(NOTHING_NAMED))?;
    }
    let mut names = Verb::NAMES.as_bytes().split(|byte| *byte == b' ');
    let at = names.position(|name| name == verb.as_bytes());
    let known = at.and_then(|at| Some((*Verb::ALL.get(at)?, *Verb::TAKES.get(at)?)));
    let (verb, [least, most, kind]) = known.ok_or(Bad(NO_VERB, verb))?;
    let behind = count - 1 - usize::from(waits);
    if behind < least.into() || (most != MANY && behind > most.into()) {
        return Err(bad(if kind & (NAMES | FACT) != 0 { NOTHING_NAMED } else { ARGUMENTS }));
    }
    let mut request = Request { verb, waits, number: 0, words };
    if kind & NUMBER != 0 && behind > 0 {
        let number = if behind == 2 { words.strip_prefix("last\0").unwrap_or_default() } else { words };
        request.number =
            cut_first(number).and_then(|(digits, _)| small_number(digits.as_bytes())).ok_or(bad(ARGUMENTS))?;
    }
    if verb == Verb::Changing {
        let (time, fact) = cut_first(words).ok_or(bad(ARGUMENTS))?;
        let ms = duration_ms(time).filter(|ms| (1..=CHANGING_MS_MAX.into()).contains(ms));
        request.number = ms.ok_or(Bad(BAD_TIME, time))? as u32;
        request.words = fact;
    }
    if kind & FACT != 0 && request.fact().len() > FACT_BYTES_MAX {
        return Err(bad(FACT_TOO_LONG));
    }
    if waits && kind & ALONE != 0 {
        return Err(bad(NOTHING_TO_WAIT_FOR));
    }
    Ok(request)
}

/// The first word and what is behind its NUL.
fn cut_first(words: &str) -> Option<(&str, &str)> {
    text::cut(words, 0)
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
    /// `event N ...`: its number, and all that is behind it.
    Event(u32, &'a str),
    /// `missed COUNT`.
    Missed(u32),
}

impl<'a> Answer<'a> {
    /// What a line without its newline says; `None` if it is none of the engine's.
    #[inline(never)]
    pub fn parse(line: &'a str) -> Option<Answer<'a>> {
        let (kind, rest) = cut(line);
        let (first, behind) = cut(rest);
        let (second, text) = cut(behind);
        match kind {
            "no" => return Some(Answer::No(rest)),
            "bad" => return Some(Answer::Bad(rest)),
            "phase" => return Some(Answer::Phase { name: first, phase: second, text }),
            "result" => return Some(Answer::Result { name: first, result: second, text }),
            _ => {}
        }
        let number = small_number(first.as_bytes())?;
        match kind {
            "ok" => Some(Answer::Ok(number, behind)),
            "end" => Some(Answer::End(number, behind)),
            "event" => Some(Answer::Event(number, behind)),
            "missed" => Some(Answer::Missed(number)),
            _ => None,
        }
    }
}

/// The first word and what is behind its blank.
#[inline(never)]
pub fn cut(text: &str) -> (&str, &str) {
    text::cut(text, b' ').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    fn read(text: &str) -> String {
        match parse(text.as_bytes(), &mut [0; LINE_BYTES_MAX]) {
            Ok(request @ Request { verb, waits, number, .. }) => match verb {
                Verb::Changing => format!("{verb:?} {number} {:?}", core::str::from_utf8(request.fact())),
                Verb::On | Verb::Off | Verb::Hold | Verb::Emit => {
                    format!("{verb:?} {:?} {waits}", core::str::from_utf8(request.fact()))
                }
                Verb::Shutdown | Verb::Follow | Verb::Await | Verb::Events | Verb::Journal => {
                    format!("{verb:?} {number}")
                }
                _ => format!("{verb:?} {:?} {waits}", request.words().collect::<Vec<_>>()),
            },
            Err(bad) => bad.to_string(),
        }
    }

    #[test]
    fn requests_are_read() {
        let table = [
            ("start web db", r#"Start ["web", "db"] false"#),
            ("wait stop web", r#"Stop ["web"] true"#),
            ("signal HUP web", r#"Signal ["HUP", "web"] false"#),
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
            ("changing 30s net-up IFACE=eth0", r#"Changing 30000 Ok("net-up\0IFACE=eth0")"#),
            ("changing 30s", "nothing is named"),
            ("changing net-up IFACE=eth0", "expected a time from 1ms to 1h, not \"net-up\""),
            ("changing 2h x", "expected a time from 1ms to 1h, not \"2h\""),
            ("changing 0 x", "expected a time from 1ms to 1h, not \"0\""),
            ("wait hold x", "this cannot be waited for"),
            ("await 12", "Await 12"),
            ("await", "wrong arguments"),
            ("await 12 13", "wrong arguments"),
            ("await -1", "wrong arguments"),
            ("wait await 1", "this cannot be waited for"),
            ("shutdown", "Shutdown 0"),
            ("shutdown now", "wrong arguments"),
            ("follow", "Follow 0"),
            ("events", "Events 0"),
            ("events 12", "Events 12"),
            ("events last 5", "Events 5"),
            ("events first 5", "wrong arguments"),
            ("journal last", "wrong arguments"),
            ("journal 1 2 3", "wrong arguments"),
            ("wait events", "this cannot be waited for"),
            ("start 'web", "a ' is not closed on its line"),
            ("start a\u{1}b", NOT_TEXT),
            ("start a\0b", NOT_TEXT),
        ];
        for (line, expected) in table {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(read(&"a ".repeat(WORDS_MAX + 1)), TOO_MANY_WORDS);
        assert_eq!(read(&format!("emit x A={}", "v".repeat(FACT_BYTES_MAX))), FACT_TOO_LONG);
        assert_eq!(parse(b"start \xff\xfe", &mut [0; LINE_BYTES_MAX]).err(), Some(Bad(NOT_TEXT, "")));
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
            if let Ok(request) = parse(&bytes, &mut [0; LINE_BYTES_MAX]) {
                assert!(request.words().all(|word| !word.contains(char::is_control)));
                assert!(request.fact().len() <= FACT_BYTES_MAX);
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
