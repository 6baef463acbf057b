//! The fields of templates (`say.rs`): what each letter has to say of a service, and of the machine.

use core::fmt::Write;

use super::say::Said::{self, Done, Text, Value};
use super::say::{How, Saying};
use super::{Painted, Row, why, words, write_json_text};
use crate::board::published::{self, Blocker, ConditionRow};
use crate::board::reports::{self, Exit, Status};
use crate::board::words as shared;
use crate::database::{policy, service};
use crate::graph::{Goal, Phase};
use crate::lang::definition::Kind;
use crate::packed;
use crate::packed::Packed;
use crate::text::put;
use crate::text::{Hex, cut};
use crate::time::Instant;
use crate::words::write_quoted;

impl Saying<'_> {
    /// A field of a service.
    #[inline(never)]
    pub(super) fn of_service<'s>(&'s self, out: &mut dyn Write, row: &'s Row<'s>, field: u8) -> Said<'s> {
        let (view, report, definition) = (self.view, &row.report, row.definition);
        let kind = view.kind(definition);
        let policy = |field| view.policy(definition, field);
        let text = |field| Text(view.image.text(view.image.service(definition, field)));
        let limit = policy(policy::LIMIT);
        if let Some((_, how, at)) = POLICY.iter().find(|(letter, ..)| *letter == field) {
            return Value(*how, policy((*at).into()).into());
        }
        let (how, value) = match field {
            b'k' => return Text(if view.is_choice(definition) { "choice" } else { kind_name(kind) }),
            b'P' => return Text(row.phase.name()),
            b'a' => (How::Age, row.since.0),
            b'c' => (How::Clock, row.since.0),
            b'u' => (How::Unix, row.since.0),
            b'8' => return Text(if row.queued { "one more run" } else { "" }),
            b'9' => return flag(row.queued),
            b'7' => (How::Clock, report.spawned.0),
            b'D' => return text(service::DESCRIPTION),
            b'f' => return text(service::ORIGIN),
            b'G' => return Text(self.known),
            b'i' => (How::Count, report.pid.into()),
            b'I' => (How::Number, report.pid.into()),
            b'x' => (How::Count, report.auxiliary.into()),
            b'g' => return Text(goal_name(row.goal)),
            // Why it is what it is: where that cannot be seen; in any case; one link of it.
            b'b' if row.phase == Phase::Up => return Done(false),
            b'b' if row.blocker == Blocker::Nothing && !matches!(row.phase, Phase::Failed | Phase::Skipped) => {
                return Done(false);
            }
            b'3' => (How::Count, view.published.read_reasons(row.slot).newest().transaction.into()),
            // For a list: how it failed; why it is not up, if it is to be.
            b'X' if row.phase != Phase::Failed => return Done(false),
            b'Z' if matches!(row.phase, Phase::Failed | Phase::Up | Phase::Done)
                || row.phase == Phase::Down && !row.holds.marked() =>
            {
                return Done(false);
            }
            // The time to the deadline: rounded down and up; in milliseconds.
            b'l' | b'L' | b'j' => {
                let Some(left) = view.left_ms(row) else { return Done(false) };
                match field {
                    b'l' => (How::Seconds, left / 1000),
                    b'L' => (How::Seconds, left.div_ceil(1000)),
                    _ => (How::Number, left),
                }
            }
            // How it ended: if it has; in any case; for programs.
            b'e' | b'K' if report.exit == Exit::None => return Done(false),
            b'r' if kind != Kind::Longrun => return Done(false),
            b'r' | b'R' => (How::Number, report.restarts.into()),
            b'N' => (How::Number, shared::load(view.reports.head(), reports::own::PARALLEL).into()),
            b'y' => (How::Number, report.life.0.into()),
            // Deaths: where they are counted; where they were too many.
            b'd' if kind != Kind::Longrun || limit == 0 => return Done(false),
            // Of a oneshot, attempts: the one that runs, ran last, or comes next; how many have failed in the end.
            b'A' | b'U' if kind != Kind::Oneshot || limit < 2 || report.life.0 == 0 => return Done(false),
            b'A' => (How::Number, (report.deaths + 1).min(limit).into()),
            b'U' => (How::Number, report.deaths.into()),
            // A cleanup that did not end well.
            b'O' => match report.cleanup {
                Exit::None | Exit::Code(0) => return Done(false),
                Exit::NotSpawned => return Text("could not be spawned"),
                exit => {
                    words::write_exit(view, out, row, exit);
                    return Done(true);
                }
            },
            b'F' if kind != Kind::Longrun || limit == 0 || report.deaths < limit || report.exit == Exit::NotSpawned => {
                return Done(false);
            }
            // The watchdog's time: for people; for programs.
            b'+' | b'=' if policy(policy::WATCHDOG_MS) == 0 => return Done(false),
            b'+' => (How::Span, policy(policy::WATCHDOG_MS).into()),
            b'=' => (How::Number, policy(policy::WATCHDOG_MS).into()),
            b'd' | b'F' => (How::Number, report.deaths.into()),
            b'B' => return Done(kind != Kind::Bundle),
            _ => return Done(self.write_of_service(out, row, field)),
        };
        Value(how, value)
    }

    /// Those that are more than a word or a number.
    fn write_of_service(&self, out: &mut dyn Write, row: &Row<'_>, field: u8) -> bool {
        let (view, exit) = (self.view, row.report.exit);
        match field {
            b'n' => row.name.write(out),
            // The phase, painted.
            b'p' => Painted(row.phase, self.paint).write(out),
            // Holds and marks for people; holds, marks for programs.
            b'h' => self.write_holds(out, row),
            b'H' => write_list(out, &mut row.holds.names()),
            b'm' => write_list(out, &mut row.marks().map(|(_, name, _)| *name)),
            b'b' | b'w' => why::write(view, out, row),
            b's' | b'Z' => why::write_step(view, out, row),
            b'e' | b'E' | b'X' => words::write_exit(view, out, row, exit),
            // What it says of itself: for people; for programs.
            b'0' | b'!' => {
                let mut room = [0; reports::STATUS_BYTES];
                let said = view.said(row.slot, &mut room);
                for character in said.chars() {
                    // Nothing that a service says steers a terminal.
                    let _ = match field == b'0' && character.is_control() {
                        true => write!(out, "\\u{}", Hex(character.into(), 4)),
                        false => out.write_char(character),
                    };
                }
                return !said.is_empty();
            }
            b'K' => write_exit_kind(out, exit),
            _ => return why::field(view, out, row, field),
        }
        true
    }

    /// A field of the machine.
    #[inline(never)]
    pub(super) fn of_machine<'s>(&'s self, out: &mut dyn Write, field: u8) -> Said<'s> {
        let view = self.view;
        let (own, said) = (view.reports.head(), view.published.head());
        let started = shared::load_u64(own, reports::own::STARTED);
        let since = shared::load_u64(said, published::own::BOOT_SINCE);
        let (booted, reached) = view.boot().unwrap_or_default();
        let one_uid = shared::load(own, reports::own::ONE_UID) == 1;
        let grouped = shared::load(own, reports::own::GROUPS) == 1;
        let (how, value) = match field {
            // The boot: no bundle; one that is under way; one that is reached; one of these two.
            b'0' => return Done(booted.is_empty()),
            b'1' if reached != 0 => return Done(false),
            b'2' if reached == 0 => return Done(false),
            b'1' | b'2' | b'b' => return Text(booted),
            b'R' => return flag(reached > 0),
            b'g' => return flag(reached == 2),
            b'G' if reached == 2 => return Text("good"),
            b'G' => return Text("reached, but an essential service is not up"),
            b'A' => (How::Age, started),
            b'U' => (How::Unix, started),
            b'a' => (How::Seconds, Instant(since).ms_since(Instant(started)) / 1000),
            b'c' => (How::Clock, since),
            b'u' => (How::Unix, since),
            // What the machine has been switched to: where that is not what was booted; in any case.
            b'C' | b'B' => {
                let current = view.current().and_then(|slot| view.name(slot));
                let Some((_, name)) = &current else { return Done(false) };
                let shown = field == b'B' || !name.is(booted);
                if shown {
                    name.write(out);
                }
                return Done(shown);
            }
            b'd' => {
                return Text(match (view.has_shut_down(), view.shuts_down()) {
                    (true, _) => "; shut down",
                    (false, true) => "; shutting down",
                    (false, false) => "",
                });
            }
            b'x' if view.has_shut_down() => return Text(": everything was shut down"),
            b'X' if !view.has_shut_down() => return Text("; services run on"),
            b'D' => return flag(view.shuts_down()),
            b'n' => (How::Number, view.counts().iter().sum::<u32>().into()),
            b's' | b'S' => {
                self.write_counts(out, field == b's');
                return Done(true);
            }
            // Services that have failed.
            b'f' | b'F' => {
                let (between, template) =
                    if field == b'f' { ("", packed!("\nfailed      $n: $E")) } else { (",", packed!("%n")) };
                self.write_failed(out, between, template);
                return Done(true);
            }
            // The supervisor: where it runs.
            b'v' if !view.supervisor_alive => return Done(false),
            b'V' => return flag(view.supervisor_alive),
            b'e' if !view.engine_alive => return Done(false),
            b'E' => return flag(view.engine_alive),
            b'k' => (How::Number, shared::load(said, published::own::ALLOCATIONS).into()),
            b'N' => return Done(one_uid),
            b'O' => return flag(one_uid),
            b'w' if !grouped => return Text("; no control groups"),
            b'W' => return flag(grouped),
            b'z' => return Text(self.known),
            _ => match NUMBERS.iter().find(|(letter, ..)| *letter == field) {
                Some((_, how, at)) => (*how, shared::load(own, (*at).into()).into()),
                None => return Done(false),
            },
        };
        Value(how, value)
    }

    /// A field of a condition.
    pub(super) fn of_condition<'s>(&'s self, out: &mut dyn Write, row: &'s ConditionRow, field: u8) -> Said<'s> {
        let (how, value) = match field {
            // The fact as the protocol takes it; its name; its attributes for programs.
            b'f' | b'n' | b'A' => {
                write_fact(out, row, field);
                return Done(true);
            }
            b'v' => return Text(if row.value == 2 { "changing" } else { "on" }),
            b'a' => (How::Age, row.since.0),
            b'c' => (How::Clock, row.since.0),
            b'u' => (How::Unix, row.since.0),
            b'i' => (How::Number, row.pid.into()),
            b'o' => (How::Number, row.uid.into()),
            b'g' => (How::Number, row.generation.into()),
            b'P' => return Text(self.known),
            b'l' => return Done(row.leased),
            b'L' => return flag(row.leased),
            _ => return Done(false),
        };
        Value(how, value)
    }

    /// Services that have failed, each as the template says.
    fn write_failed(&self, out: &mut dyn Write, between: &str, template: Packed) {
        let mut before = "";
        for row in self.view.rows(false) {
            if row.phase == Phase::Failed {
                let _ = out.write_str(before);
                self.view.say(out, &row, template);
                before = between;
            }
        }
    }

    /// `: boot, need (app, db)`, marks behind; conditions with what they are.
    #[inline(never)]
    fn write_holds(&self, out: &mut dyn Write, row: &Row<'_>) {
        let mut before = ": ";
        for name in row.holds.names().chain(row.marks().map(|(_, _, text)| *text)) {
            put(out, &[before, name]);
            before = ", ";
            if name == "condition" {
                why::write_makers(self.view, out, row);
            }
            if name != "need" {
                continue;
            }
            let mut count = 0;
            self.view.pulled_by(row, &mut |by| {
                count += 1;
                if count <= 4 {
                    let _ = out.write_str(if count == 1 { " (" } else { ", " });
                    by.name.write(out);
                }
                true
            });
            if count > 4 {
                let _ = write!(out, " and {} more", count - 4);
            }
            let _ = out.write_str(if count == 0 { "" } else { ")" });
        }
    }

    /// How many services are in each phase.
    #[inline(never)]
    fn write_counts(&self, out: &mut dyn Write, for_people: bool) {
        let (mut before, next) = if for_people { (": ", ", ") } else { ("", ",") };
        for (phase, count) in Phase::ALL.iter().zip(&self.view.counts()) {
            if for_people && *count == 0 {
                continue;
            }
            let _ = if for_people {
                write!(out, "{before}{count} {}", Painted(*phase, self.paint))
            } else {
                write!(out, "{before}\"{}\":{count}", phase.name())
            };
            before = next;
        }
    }
}

/// Fields that are a number of the service's policy.
const POLICY: [(u8, How, u8); 6] = [
    (b'M', How::Number, policy::LIMIT as u8),
    (b'W', How::Span, policy::WINDOW_MS as u8),
    (b'S', How::Span, policy::START_TIMEOUT_MS as u8),
    (b'T', How::Span, policy::STOP_TIMEOUT_MS as u8),
    (b'1', How::Number, policy::START_TIMEOUT_MS as u8),
    (b'2', How::Number, policy::STOP_TIMEOUT_MS as u8),
];

/// Numbers in the header of the reports: of the supervisor and of the engine.
const NUMBERS: [(u8, How, u8); 8] = [
    (b'v', How::Number, reports::own::SUPERVISOR_PID as u8),
    (b'r', How::Number, reports::own::RECOVERIES as u8),
    (b'm', How::Number, reports::own::ALLOCATIONS as u8),
    (b'o', How::Count, reports::own::ORPHANS as u8),
    (b'e', How::Number, reports::own::ENGINE_PID as u8),
    (b'l', How::Number, reports::own::ENGINE_LIVES as u8),
    (b'P', How::Number, reports::own::PARALLEL as u8),
    (b'L', How::Count, reports::own::PARALLEL as u8),
];

fn write_fact(out: &mut dyn Write, row: &ConditionRow, field: u8) {
    for (at, word) in row.words().enumerate() {
        // A copy that is garbled may be no text.
        let word = core::str::from_utf8(word).unwrap_or("?");
        if field == b'A' && at > 0 {
            let (key, value) = cut(word, b'=').unwrap_or_default();
            let _ = out.write_str(if at > 1 { "," } else { "" });
            write_json_text(out, key);
            let _ = out.write_char(':');
            write_json_text(out, value);
        } else if field == b'n' && at == 0 {
            let _ = out.write_str(word);
        } else if field == b'f' {
            let _ = out.write_str(if at > 0 { " " } else { "" });
            let _ = write_quoted(out, word);
        }
    }
}

/// Words that need no escapes, as elements of an array.
fn write_list(out: &mut dyn Write, words: &mut dyn Iterator<Item = &'static str>) {
    let mut before = "";
    for word in words {
        let _ = write!(out, "{before}\"{word}\"");
        before = ",";
    }
}

/// `"code":3,`; nothing where that is not known.
fn write_exit_kind(out: &mut dyn Write, exit: Exit) {
    let _ = match exit {
        Exit::Code(code) => write!(out, "\"code\":{code},"),
        Exit::Signal(signal) => write!(out, "\"signal\":{signal},"),
        Exit::NotSpawned => out.write_str("\"spawned\":false,"),
        Exit::TimedOut => out.write_str("\"timed_out\":true,"),
        Exit::Unhealthy => out.write_str("\"healthy\":false,"),
        Exit::PreStart(Status::Code(code)) => write!(out, "\"pre_start\":{{\"code\":{code}}},"),
        Exit::PreStart(Status::Signal(signal)) => write!(out, "\"pre_start\":{{\"signal\":{signal}}},"),
        Exit::Watchdog => out.write_str("\"watchdog\":true,"),
        Exit::Unknown | Exit::None => Ok(()),
    };
}

fn flag(value: bool) -> Said<'static> {
    Text(if value { "true" } else { "false" })
}

const fn goal_name(goal: Goal) -> &'static str {
    match goal {
        Goal::Up => "up",
        Goal::Down => "down",
    }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Longrun => "longrun",
        Kind::Oneshot => "oneshot",
        Kind::Bundle => "bundle",
    }
}
