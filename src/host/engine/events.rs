//! The journal for those who read it: each line in words, from the engine's ring to whoever asked, as fast as that one reads.

use core::fmt::Write;
use pintle::engine::journal::{Kind, Record, Text};
use pintle::engine::{NOBODY, Verb};
use pintle::graph::{Holds, write_change};
use pintle::limits::CLIENTS_MAX;
use pintle::stamp::stamp;
use pintle::status::{MARKS, words};
use pintle::time::Instant;
use pintle::words::write_quoted;

use super::super::clients::{Answer, Talk};
use super::Host;
use crate::sys::clock;

impl Host {
    /// Tells those who read the journal what they have not read: of what this turn has left, each as much as the others.
    pub(super) fn tell_events(&mut self, now: Instant) {
        self.unread = false;
        let readers = self.clients.reading();
        if readers == 0 {
            return;
        }
        let share = self.lines_left / readers;
        for at in 0..CLIENTS_MAX {
            let mut left = share;
            let trusted = self.clients.who(at).is_some_and(|(_, trusted)| trusted);
            while let Talk::Reading(follows) = self.clients.talk(at) {
                let mut cursor = *self.clients.cursor(at);
                if !self.clients.has_room(at, now) {
                    break;
                }
                if left == 0 {
                    self.unread = true;
                    break;
                }
                left -= 1;
                let mut answer = Answer::new();
                let missed = self.engine.journal_missed(&mut cursor);
                if missed > 0 {
                    let _ = answer.write_str("missed ");
                    answer.number(missed);
                } else if let Some(record) = self.engine.journal_next(&mut cursor) {
                    self.write_event(&record, trusted, &mut answer);
                } else if follows {
                    *self.clients.cursor(at) = cursor;
                    break;
                } else {
                    let _ = answer.write_str("end 0 done");
                    self.clients.set_talk(at, Talk::Idle);
                }
                self.clients.say(at, &mut answer);
                *self.clients.cursor(at) = cursor;
            }
            self.lines_left -= share - left;
            self.clients.send(at, now);
        }
    }

    /// `event NUMBER TIME TRANSACTION KIND NAME TEXT`; nothing for a record that is no line. Values of attributes are for
    /// those who are trusted.
    fn write_event(&self, record: &Record, trusted: bool, out: &mut Answer) {
        let Some(template) = LINES.get((record.kind as usize).wrapping_sub(1)) else { return };
        let ago = clock::now().0.saturating_sub(record.time.0);
        let time = stamp(clock::realtime_ns().saturating_sub(ago));
        let _ = out.write_str("event ");
        out.number(record.number);
        let _ = out.write_str(" ");
        let _ = out.write_str(core::str::from_utf8(&time).unwrap_or_default());
        let _ = out.write_str(" ");
        out.number(record.transaction);
        let mut is_field = false;
        for part in template.as_bytes().split(|byte| *byte == b'$') {
            let rest = match part.split_first() {
                Some((field, rest)) if is_field => {
                    self.write_field(record, *field, trusted, out);
                    rest
                }
                Some(_) | None => part,
            };
            is_field = true;
            let _ = out.write_str(core::str::from_utf8(rest).unwrap_or_default());
        }
    }

    /// A field of the templates below.
    fn write_field(&self, record: &Record, field: u8, trusted: bool, out: &mut Answer) {
        let (engine, [first, second, ..]) = (&self.engine, record.words);
        let _ = match field {
            b'n' => out.write_str(engine.journal_name(record).as_str()),
            b'm' => {
                let (from, to) = record.phases();
                write_change(out, from, to)
            }
            b'h' => {
                write_holds(out, first, ["held by ", "mark laid: "], "");
                write_holds(out, second, ["no longer held by ", "mark lifted: "], if first == 0 { "" } else { ", " });
                Ok(())
            }
            b'r' => out.write_str(if record.extra == 0 { "start-on" } else { "stop-on" }),
            b'c' => {
                self.write_cause(record, trusted, out);
                Ok(())
            }
            b'x' => {
                write_fact(out, &engine.journal_text(&engine.journal_fact(record).unwrap_or(*record)), trusted);
                Ok(())
            }
            b't' => {
                out.number(first);
                Ok(())
            }
            b'u' if first != NOBODY => write!(out, " (uid {first})"),
            // Who said so, if somebody did in this step.
            b'w' => match engine.journal_fact(record) {
                Some(fact) if fact.kind == Kind::On => write!(out, " (uid {})", fact.words[1]),
                Some(_) | None => Ok(()),
            },
            b'p' if second != 0 => {
                let _ = out.write_str(", set in motion by transaction ");
                out.number(second);
                Ok(())
            }
            b's' => out.write_str(record.standing().name()),
            b'e' => write!(out, "{}", record.refusal()),
            b'k' => {
                self.write_command(record, out);
                Ok(())
            }
            _ => Ok(()),
        };
    }

    /// What fired a trigger: what was told; a derived event; else the leaf as it is written.
    fn write_cause(&self, record: &Record, trusted: bool, out: &mut Answer) {
        match self.engine.journal_fact(record) {
            Some(fact) if fact.kind == Kind::Derived => {
                let event = pintle::engine::DERIVED.get(fact.extra as usize).copied().unwrap_or_default();
                let name = self.engine.journal_name(&fact);
                for part in [core::str::from_utf8(event).unwrap_or_default(), " SERVICE=", name.as_str()] {
                    let _ = out.write_str(part);
                }
            }
            Some(fact) => write_fact(out, &self.engine.journal_text(&fact), trusted),
            None => words::write_expression(&self.view.image, out, record.words[0], &|_, _| ()),
        }
    }

    /// A command as it was given: the records behind it are its targets.
    fn write_command(&self, record: &Record, out: &mut Answer) {
        let _ = out.write_str(record.verb_name());
        if let Some(Verb::Signal(signal)) = record.verb() {
            let _ = out.write_str(" ");
            out.number(signal.into());
        }
        let mut cursor = record.behind();
        while let Some(target) = self.engine.journal_next(&mut cursor) {
            match target.kind {
                Kind::Target | Kind::NewTarget => {
                    let _ = out.write_str(" ");
                    let _ = out.write_str(self.engine.journal_name(&target).as_str());
                    // Of one that does not exist yet, that is its template's.
                    let instance = self.engine.journal_text(&target);
                    let _ = out.write_str(core::str::from_utf8(instance.as_bytes()).unwrap_or_default());
                }
                Kind::Named | Kind::Going | Kind::Within => {}
                _ => break,
            }
        }
    }
}

/// What is said of each kind of line, in their order: its word, the service or `-`, the text.
const LINES: [&str; Kind::Shutdown as usize] = [
    " phase $n $m",
    " holds $n $h",
    " fired $n $r fired by $c",
    " on - condition $x is on$w",
    " off - condition $x is off",
    " changing - condition $x is changing",
    " event - event $x",
    " begin - transaction $t begins$p",
    " end - transaction $t ends: $s",
    " refused - refused: $e",
    " command - $k$u",
    " boot $n the machine is booted into it",
    " shutdown - everything goes down$u",
];

/// A fact as people write it; `IFACE=...` where values are not told.
fn write_fact(out: &mut Answer, text: &Text, values: bool) {
    let (mut blank, mut end) = ("", "");
    for word in text.as_bytes().split(|byte| *byte == 0) {
        let _ = out.write_str(blank);
        let length = word.iter().position(|byte| *byte == b'=' && !values).map_or(word.len(), |at| at + 1);
        let _ = write_quoted(out, core::str::from_utf8(&word[..length]).unwrap_or("?"));
        let _ = out.write_str(end);
        (blank, end) = (" ", if values { "" } else { "..." });
    }
}

/// `held by admin, mark laid: conflict`.
fn write_holds(out: &mut Answer, bits: u32, [held, marked]: [&str; 2], mut comma: &'static str) {
    let mut say = |how: &str, name: &str| {
        for part in [comma, how, name] {
            let _ = out.write_str(part);
        }
        comma = ", ";
    };
    if bits != 0 {
        Holds(bits).names().for_each(|name| say(held, name));
        MARKS.iter().filter(|(mark, ..)| bits & mark != 0).for_each(|(_, name, _)| say(marked, name));
    }
}
