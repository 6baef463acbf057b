//! The journal for those who read it: each line in words, from the engine's ring to whoever asked, as fast as that one reads.

use core::fmt::Write;
use pintle::engine::journal::{Kind, Record, Text};
use pintle::graph::{Holds, write_change};
use pintle::ident::SlotId;
use pintle::limits::CLIENTS_MAX;
use pintle::stamp::stamp;
use pintle::status::{MARKS, words};
use pintle::time::Instant;
use pintle::words::write_quoted;

use super::super::clients::{Answer, Talk};
use super::Host;
use crate::sys::clock;

impl Host {
    /// Tells those who read the journal what they have not read.
    pub(super) fn tell_events(&mut self, now: Instant) {
        for at in 0..CLIENTS_MAX {
            while let Talk::Reading(mut cursor, follows) = self.clients.talk(at) {
                if !self.clients.has_room(at, now) {
                    break;
                }
                let mut answer = Answer::new();
                let missed = self.engine.journal_missed(&mut cursor);
                if missed > 0 {
                    let _ = write!(answer, "missed {missed}");
                } else if let Some(record) = self.engine.journal_next(&mut cursor) {
                    self.write_event(&record, &mut answer);
                } else if follows {
                    self.clients.go_on_reading(at, cursor);
                    break;
                } else {
                    let _ = answer.write_str("end 0 done");
                    self.clients.set_talk(at, Talk::Idle);
                }
                self.clients.say(at, &mut answer);
                self.clients.go_on_reading(at, cursor);
            }
            self.clients.send(at, now);
        }
    }

    /// `event NUMBER TIME TRANSACTION KIND NAME TEXT`; nothing for a record that is no line.
    fn write_event(&self, record: &Record, out: &mut Answer) {
        let (engine, words) = (&self.engine, &record.words);
        let (kind, named) = match record.kind {
            Kind::Phase => ("phase", true),
            Kind::Holds => ("holds", true),
            Kind::Fired => ("fired", true),
            Kind::CameOn => ("on", false),
            Kind::WentOff => ("off", false),
            Kind::Changes => ("changing", false),
            Kind::Happened => ("event", false),
            Kind::Begun => ("begin", false),
            Kind::Ended => ("end", false),
            Kind::Refused => ("refused", false),
            Kind::Command => ("command", false),
            Kind::Boot => ("boot", true),
            Kind::Shutdown => ("shutdown", false),
            Kind::Rest
            | Kind::Report
            | Kind::On
            | Kind::Changing
            | Kind::Off
            | Kind::Event
            | Kind::LeaseGone
            | Kind::Tick
            | Kind::Going
            | Kind::Target
            | Kind::NewTarget
            | Kind::Within
            | Kind::Named
            | Kind::Derived => return,
        };
        let ago = clock::now().0.saturating_sub(record.time.0);
        let time = stamp(clock::realtime_ns().saturating_sub(ago));
        let name = engine.journal_name(record);
        let _ = write!(
            out,
            "event {} {} {} {kind} {} ",
            record.number,
            core::str::from_utf8(&time).unwrap_or_default(),
            record.transaction,
            if named { name.as_str() } else { "-" },
        );
        let _ = match record.kind {
            Kind::Phase => {
                let (from, to) = record.phases();
                write_change(out, from, to)
            }
            Kind::Holds => write_holds(out, words[0], words[1]),
            Kind::Fired => {
                let _ = out.write_str(if record.extra == 0 { "start-on" } else { "stop-on" });
                let _ = out.write_str(" fired by ");
                self.write_cause(record, out)
            }
            Kind::CameOn | Kind::WentOff | Kind::Changes | Kind::Happened => {
                let end = if record.kind == Kind::Happened { ("event ", "") } else { ("condition ", kind) };
                let _ = out.write_str(end.0);
                let fact = engine.journal_fact(record).unwrap_or(*record);
                write_fact(out, &engine.journal_text(&fact));
                if end.1.is_empty() { Ok(()) } else { write!(out, " is {kind}") }
            }
            Kind::Begun => {
                let _ = write!(out, "transaction {} begins", words[0]);
                if words[1] == 0 { Ok(()) } else { write!(out, ", set in motion by transaction {}", words[1]) }
            }
            Kind::Ended => write!(out, "transaction {} ends: {}", words[0], record.standing().name()),
            Kind::Refused => write!(out, "refused: {}", record.refusal().text()),
            Kind::Command => self.write_command(record, out),
            Kind::Boot => out.write_str("the machine is booted into it"),
            _ => out.write_str("everything goes down"),
        };
    }

    /// What fired a trigger: what was told; a derived event; else the leaf as it is written.
    fn write_cause(&self, record: &Record, out: &mut Answer) -> core::fmt::Result {
        match self.engine.journal_fact(record) {
            Some(fact) if fact.kind == Kind::Derived => {
                let event = pintle::engine::DERIVED.get(fact.extra as usize).copied().unwrap_or_default();
                out.write_str(core::str::from_utf8(event).unwrap_or_default())?;
                write!(out, " SERVICE={}", self.engine.journal_name(&fact).as_str())
            }
            Some(fact) => {
                write_fact(out, &self.engine.journal_text(&fact));
                Ok(())
            }
            None => {
                words::write_expression(&self.view.image, out, record.words[0], &|_, _| ());
                Ok(())
            }
        }
    }

    /// A command as it was given: the records behind it are its targets.
    fn write_command(&self, record: &Record, out: &mut Answer) -> core::fmt::Result {
        let engine = &self.engine;
        out.write_str(record.verb().map_or("?", |verb| verb.name()))?;
        if let Some(pintle::engine::Verb::Signal(signal)) = record.verb() {
            write!(out, " {signal}")?;
        }
        let mut cursor = record.behind();
        while let Some(target) = engine.journal_next(&mut cursor) {
            match target.kind {
                Kind::Target => write!(out, " {}", engine.journal_name(&target).as_str())?,
                Kind::NewTarget => {
                    let name = engine.journal_text(&target);
                    let instance = core::str::from_utf8(name.as_bytes()).unwrap_or_default();
                    let template = self.view.image.name(SlotId(target.slot.0.min(self.view.image.services() - 1)));
                    write!(out, " {template}{instance}")?;
                }
                Kind::Named | Kind::Going | Kind::Within => {}
                _ => break,
            }
        }
        Ok(())
    }
}

/// A fact as people write it.
fn write_fact(out: &mut Answer, text: &Text) {
    let mut blank = "";
    for word in text.as_bytes().split(|byte| *byte == 0) {
        let _ = out.write_str(blank);
        blank = " ";
        let _ = write_quoted(out, core::str::from_utf8(word).unwrap_or("?"));
    }
}

/// `held by admin, no longer held by trigger`.
fn write_holds(out: &mut Answer, laid: u32, dropped: u32) -> core::fmt::Result {
    let mut comma = "";
    for (bits, held, marked) in [(laid, "held by ", "mark laid: "), (dropped, "no longer held by ", "mark lifted: ")] {
        let marks = MARKS.iter().filter(|(mark, ..)| bits & mark != 0).map(|(_, name, _)| (marked, *name));
        for (how, name) in Holds(bits).names().map(|name| (held, name)).chain(marks) {
            write!(out, "{comma}{how}{name}")?;
            comma = ", ";
        }
    }
    Ok(())
}
