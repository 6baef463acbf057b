//! The journal for those who read it: each line in words, from the engine's ring to whoever asked, as fast as that one
//! reads.

use core::fmt::Write;
use pintle::board::reports::Exit;
use pintle::engine::journal::{Kind, Record, Text};
use pintle::engine::{NOBODY, Verb};
use pintle::graph::{Holds, write_change};
use pintle::limits::CLIENTS_MAX;
use pintle::packed;
use pintle::packed::Packed;
use pintle::stamp::stamp;
use pintle::status::{MARKS, words};
use pintle::text::{cut, parts};
use pintle::time::Instant;
use pintle::words::{Short, write_quoted};

use super::super::clients::{Answer, Talk};
use super::Host;

impl Host {
    /// Tells those who read the journal what they have not read: of what this turn has left, each as much as the
    /// others.
    pub(super) fn tell_events(&mut self, now: Instant) {
        self.unread = false;
        let readers = self.clients.reading();
        if readers == 0 {
            return;
        }
        self.look(&mut false);
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
                    answer.bytes(b"missed ");
                    answer.number(missed);
                } else if let Some(record) = self.engine.journal_next(&mut cursor) {
                    self.write_event(&record, trusted, &mut answer);
                } else if follows {
                    *self.clients.cursor(at) = cursor;
                    break;
                } else {
                    answer.bytes(b"end 0 done");
                    self.clients.set_talk(at, Talk::Idle);
                }
                self.clients.say(at, &mut answer);
                *self.clients.cursor(at) = cursor;
            }
            self.lines_left -= share - left;
            self.clients.send(at, now);
        }
    }

    /// `event NUMBER TIME TRANSACTION KIND NAME TEXT`; nothing for a record that is no line. Values of attributes are
    /// for those who are trusted.
    #[inline(never)]
    fn write_event(&self, record: &Record, trusted: bool, out: &mut Answer) {
        let line = (record.kind as usize).wrapping_sub(1);
        if line >= Kind::Shutdown as usize {
            return;
        }
        let mut template = Short::new();
        let _ = LINES.write_part(line, &mut template); // the longest has room
        let ago = self.view.now.0.saturating_sub(record.time.0);
        out.bytes(b"event ");
        out.number(record.number);
        out.bytes(b" ");
        out.bytes(&stamp(self.view.wall_ns.saturating_sub(ago)));
        out.bytes(b" ");
        out.number(record.transaction);
        out.bytes(b" ");
        let mut is_field = false;
        for part in parts(&template, b'$') {
            let mut rest = part.as_bytes();
            if is_field && let Some((field, behind)) = rest.split_first() {
                self.write_field(record, *field, trusted, out);
                rest = behind;
            }
            is_field = true;
            out.bytes(rest);
        }
    }

    /// A field of the templates below.
    #[inline(never)]
    fn write_field(&self, record: &Record, field: u8, trusted: bool, out: &mut Answer) {
        let (engine, [first, second, ..]) = (&self.engine, record.words);
        match field {
            b'n' => out.bytes(engine.journal_name(record).as_str().as_bytes()),
            b'm' => {
                let (from, to) = record.phases();
                let _ = write_change(out, from, to);
                // Why it ended, where neither it nor a person has ended it.
                out.bytes(match record.ended() {
                    Exit::TimedOut => b" (not ready in time)",
                    Exit::PreStart(_) => b" (its pre-start command failed)",
                    Exit::Watchdog => b" (ended by its watchdog)",
                    Exit::Unhealthy => b" (its health checks failed)",
                    Exit::None | Exit::Code(_) | Exit::Signal(_) | Exit::NotSpawned | Exit::Unknown => b"",
                });
            }
            b'h' => write_holds(out, [first, second]),
            b'r' => out.bytes(if record.extra == 0 { b"start-on" } else { b"stop-on" }),
            b'c' => self.write_cause(record, trusted, out),
            b'x' => write_fact(out, &engine.journal_text(&engine.journal_fact(record).unwrap_or(*record)), trusted),
            b't' => out.number(first),
            b'u' if first != NOBODY => write_uid(out, first),
            // Who said so, if somebody did in this step.
            b'w' => match engine.journal_fact(record) {
                Some(fact) if fact.kind == Kind::On => write_uid(out, fact.words[1]),
                Some(_) | None => {}
            },
            b'p' if second != 0 => {
                out.bytes(b", set in motion by transaction ");
                out.number(second);
            }
            b's' => out.bytes(record.standing().name().as_bytes()),
            b'e' => drop(write!(out, "{}", record.refusal())),
            b'k' => self.write_command(record, out),
            _ => {}
        }
    }

    /// What fired a trigger: what was told; a derived event; else the leaf as it is written.
    #[inline(never)]
    fn write_cause(&self, record: &Record, trusted: bool, out: &mut Answer) {
        match self.engine.journal_fact(record) {
            Some(fact) if fact.kind == Kind::Derived => {
                out.bytes(pintle::engine::DERIVED.get(fact.extra as usize).copied().unwrap_or_default());
                out.bytes(b" SERVICE=");
                out.bytes(self.engine.journal_name(&fact).as_str().as_bytes());
            }
            Some(fact) => write_fact(out, &self.engine.journal_text(&fact), trusted),
            None => words::write_expression(&self.view.image, out, record.words[0], &|_, _| ()),
        }
    }

    /// A command as it was given: the records behind it are its targets.
    #[inline(never)]
    fn write_command(&self, record: &Record, out: &mut Answer) {
        out.bytes(record.verb_name().as_bytes());
        if let Some(Verb::Signal(signal)) = record.verb() {
            out.bytes(b" ");
            out.number(signal.into());
        }
        let mut cursor = record.behind();
        while let Some(target) = self.engine.journal_next(&mut cursor) {
            match target.kind {
                Kind::Target | Kind::NewTarget => {
                    out.bytes(b" ");
                    out.bytes(self.engine.journal_name(&target).as_str().as_bytes());
                    // Of one that does not exist yet, that is its template's.
                    out.bytes(self.engine.journal_text(&target).as_bytes());
                }
                Kind::Named | Kind::Going | Kind::Within => {}
                _ => break,
            }
        }
    }
}

/// What is said of each kind of line, in their order up to `Shutdown`: its word, the service or `-`, the text.
const LINES: Packed = packed!(
    "\
    phase $n $m\0\
    holds $n $h\0\
    fired $n $r fired by $c\0\
    on - condition $x is on$w\0\
    off - condition $x is off\0\
    changing - condition $x is changing\0\
    event - event $x\0\
    begin - transaction $t begins$p\0\
    end - transaction $t ends: $s\0\
    refused - refused: $e\0\
    command - $k$u\0\
    boot $n the machine is booted into it\0\
    shutdown - everything goes down$u"
);

#[inline(never)]
fn write_uid(out: &mut Answer, uid: u32) {
    out.bytes(b" (uid ");
    out.number(uid);
    out.bytes(b")");
}

/// A fact as people write it; `IFACE=...` where values are not told.
#[inline(never)]
fn write_fact(out: &mut Answer, text: &Text, values: bool) {
    let (mut blank, mut end) = ("", "");
    for word in parts(core::str::from_utf8(text.as_bytes()).unwrap_or("?"), 0) {
        out.bytes(blank.as_bytes());
        let shown = match cut(word, b'=') {
            Some((name, _)) if !values => word.get(..=name.len()).unwrap_or(name),
            Some(_) | None => word,
        };
        let _ = write_quoted(out, shown);
        out.bytes(end.as_bytes());
        (blank, end) = (" ", if values { "" } else { "..." });
    }
}

/// `held by admin, mark laid: conflict`: what has come, and what is no more.
#[inline(never)]
fn write_holds(out: &mut Answer, bits: [u32; 2]) {
    let mut comma = "";
    let mut say = |how: &str, name: &str| {
        for part in [comma, how, name] {
            out.bytes(part.as_bytes());
        }
        comma = ", ";
    };
    for (bits, (held, marked)) in
        bits.iter().zip(&[("held by ", "mark laid: "), ("no longer held by ", "mark lifted: ")])
    {
        Holds(*bits).names().for_each(|name| say(held, name));
        for (mark, name, ..) in &MARKS {
            if bits & mark != 0 {
                say(marked, name);
            }
        }
    }
}
