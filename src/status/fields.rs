//! The fields of templates (`say.rs`): what each letter has to say of a service, and of the machine.

use core::fmt::Write;

use super::say::Said::{self, Count, Done, Number, Seconds, Text};
use super::say::Saying;
use super::{Painted, Row, why, words, write_json_text};
use crate::board::published::{self, Blocker, ConditionRow};
use crate::board::reports::{self, Exit, ReportRow};
use crate::board::words as shared;
use crate::database::{policy, service};
use crate::graph::{Goal, Phase};
use crate::lang::definition::Kind;
use crate::text::cut;
use crate::time::Instant;
use crate::words::write_quoted;

impl Saying<'_> {
    /// A field of a service.
    pub(super) fn of_service<'s>(&'s self, out: &mut dyn Write, row: &'s Row<'s>, field: u8) -> Said<'s> {
        let (view, report, definition) = (self.view, &row.report, row.definition);
        let kind = view.kind(definition);
        let policy = |field| view.policy(definition, field);
        let text = |field| Text(view.image.text(view.image.service(definition, field)));
        let (limit, left) = (policy(policy::LIMIT), view.left_ms(row));
        match field {
            b'n' => row.name.write(out),
            b'k' => return Text(if view.is_choice(definition) { "choice" } else { kind_name(kind) }),
            // The phase, painted and plain.
            b'p' => Painted(row.phase, self.paint).write(out),
            b'P' => return Text(row.phase.name()),
            b'a' => return Said::Age(row.since),
            b'c' => return Said::Clock(row.since),
            b'u' => return Said::Unix(row.since),
            b'8' => return Text(if row.queued { "one more run" } else { "" }),
            b'9' => return flag(row.queued),
            b'7' => return Said::Clock(report.spawned),
            b'D' => return text(service::DESCRIPTION),
            b'f' => return text(service::ORIGIN),
            b'G' => return Text(self.known),
            b'i' => return Count(report.pid),
            b'I' => return Number(report.pid.into()),
            b'x' => return Count(report.auxiliary),
            b'g' => return Text(goal_name(row.goal)),
            // Holds and marks for people; holds, marks for programs.
            b'h' => self.write_holds(out, row),
            b'H' => write_list(out, &mut row.holds.names()),
            b'm' => write_list(out, &mut row.marks().map(|(_, name, _)| *name)),
            // Why it is what it is: where that cannot be seen; in any case; one link of it.
            b'b' if row.phase == Phase::Up => return Done(false),
            b'b' if row.blocker == Blocker::Nothing && !matches!(row.phase, Phase::Failed | Phase::Skipped) => {
                return Done(false);
            }
            b'3' => return Count(view.published.read_reasons(row.slot).newest().transaction),
            b'b' | b'w' => why::write(view, out, row),
            b's' => why::write_step(view, out, row),
            b'o' | b'V' | b'q' | b't' | b'v' | b'z' | b'C' | b'J' | b'Y' | b'Q' | b'4' | b'5' | b'6' => {
                return Done(why::field(view, out, row, field));
            }
            // For a list: how it failed; why it is not up, if it is to be.
            b'X' if row.phase != Phase::Failed => return Done(false),
            b'Z' => match row.phase {
                Phase::Waiting | Phase::Stopping | Phase::Restarting | Phase::Starting | Phase::Skipped => {
                    why::write_step(view, out, row);
                }
                Phase::Down if row.holds.marked() => why::write_step(view, out, row),
                Phase::Down | Phase::Failed | Phase::Up | Phase::Done => return Done(false),
            },
            // The time to the deadline: rounded down and up; in milliseconds.
            b'l' => return left.map_or(Done(false), |ms| Seconds(ms / 1000)),
            b'L' => return left.map_or(Done(false), |ms| Seconds(ms.div_ceil(1000))),
            b'j' => return left.map_or(Done(false), |ms| Number(ms as i64)),
            // How it ended: if it has; in any case; for programs.
            b'e' | b'K' if report.exit == Exit::None => return Done(false),
            b'e' | b'E' | b'X' => words::write_exit(view, out, row),
            b'K' => write_exit_kind(out, report.exit),
            b'r' if kind != Kind::Longrun => return Done(false),
            b'r' | b'R' => return Number(report.restarts.into()),
            b'N' => return Number(shared::load(view.reports.words(), reports::own::PARALLEL).into()),
            b'y' => return Number(report.life.0.into()),
            // Deaths: where they are counted; where they were too many.
            b'd' if kind != Kind::Longrun || limit == 0 => return Done(false),
            // Of a oneshot, attempts: the one that runs, ran last, or comes next; how many have failed in the end.
            b'A' | b'U' if kind != Kind::Oneshot || limit < 2 || report.life.0 == 0 => return Done(false),
            b'A' => return Number(i64::from(report.deaths + 1).min(limit.into())),
            b'U' => return Number(report.deaths.into()),
            // A cleanup that did not end well.
            b'O' => match report.cleanup {
                Exit::None | Exit::Code(0) => return Done(false),
                Exit::NotSpawned => return Text("could not be spawned"),
                exit => words::write_exit(view, out, &Row { report: ReportRow { exit, ..*report }, ..*row }),
            },
            b'F' if kind != Kind::Longrun || limit == 0 || report.deaths < limit || report.exit == Exit::NotSpawned => {
                return Done(false);
            }
            b'd' | b'F' => return Number(report.deaths.into()),
            b'M' => return Number(limit.into()),
            b'W' => return Said::Span(policy(policy::WINDOW_MS)),
            b'B' => return Done(kind != Kind::Bundle),
            b'S' => return Said::Span(policy(policy::START_TIMEOUT_MS)),
            b'T' => return Said::Span(policy(policy::STOP_TIMEOUT_MS)),
            b'1' => return Number(policy(policy::START_TIMEOUT_MS).into()),
            b'2' => return Number(policy(policy::STOP_TIMEOUT_MS).into()),
            _ => return Done(false),
        }
        Done(true)
    }

    /// A field of the machine.
    pub(super) fn of_machine<'s>(&'s self, out: &mut dyn Write, field: u8) -> Said<'s> {
        let view = self.view;
        let (own, said) = (view.reports.words(), view.published.words());
        let started = Instant(shared::load_u64(own, reports::own::STARTED));
        let since = Instant(shared::load_u64(said, published::own::BOOT_SINCE));
        let (booted, reached) = view.boot().unwrap_or_default();
        let number = |words, at| Number(shared::load(words, at).into());
        match field {
            // The boot: no bundle; one that is under way; one that is reached; one of these two.
            b'0' => return Done(booted.is_empty()),
            b'1' if reached != 0 => return Done(false),
            b'2' if reached == 0 => return Done(false),
            b'1' | b'2' | b'b' => return Text(booted),
            b'R' => return flag(reached > 0),
            b'g' => return flag(reached == 2),
            b'G' if reached == 2 => return Text("good"),
            b'G' => return Text("reached, but an essential service is not up"),
            b'A' => return Said::Age(started),
            b'U' => return Said::Unix(started),
            b'a' => return Seconds(since.ms_since(started) / 1000),
            b'c' => return Said::Clock(since),
            b'u' => return Said::Unix(since),
            // What the machine has been switched to: where that is not what was booted; in any case.
            b'C' | b'B' => {
                let current = view.current().and_then(|slot| view.name(slot));
                let Some((_, name)) = current.filter(|(_, name)| field == b'B' || !name.is(booted)) else {
                    return Done(false);
                };
                name.write(out);
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
            b'n' => return Number(view.counts().iter().sum::<u32>().into()),
            b's' | b'S' => self.write_counts(out, field == b's'),
            // Services that have failed.
            b'f' => self.write_failed(out, "", "\nfailed      $n: $E"),
            b'F' => self.write_failed(out, ",", "%n"),
            // The supervisor: where it runs.
            b'v' if !view.supervisor_alive => return Done(false),
            b'V' => return flag(view.supervisor_alive),
            b'e' if !view.engine_alive => return Done(false),
            b'E' => return flag(view.engine_alive),
            b'k' => return number(said, published::own::ALLOCATIONS),
            b'L' => return Count(shared::load(own, reports::own::PARALLEL)),
            b'N' => return Done(shared::load(own, reports::own::ONE_UID) == 1),
            b'O' => return flag(shared::load(own, reports::own::ONE_UID) == 1),
            _ => {
                let found = NUMBERS.iter().find(|(letter, _)| *letter == field);
                return found.map_or(Done(false), |(_, at)| number(own, *at));
            }
        }
        Done(true)
    }

    /// A field of a condition.
    pub(super) fn of_condition<'s>(&'s self, out: &mut dyn Write, row: &'s ConditionRow, field: u8) -> Said<'s> {
        match field {
            // The fact as the protocol takes it; its name; its attributes for programs.
            b'f' | b'n' | b'A' => write_fact(out, row, field),
            b'v' => return Text(if row.value == 2 { "changing" } else { "on" }),
            b'a' => return Said::Age(row.since),
            b'c' => return Said::Clock(row.since),
            b'u' => return Said::Unix(row.since),
            b'i' => return Number(row.pid.into()),
            b'o' => return Number(row.uid.into()),
            b'g' => return Number(row.generation.into()),
            b'P' => return Text(self.known),
            b'l' => return Done(row.leased),
            b'L' => return flag(row.leased),
            _ => return Done(false),
        }
        Done(true)
    }

    /// Services that have failed, each as the template says.
    fn write_failed(&self, out: &mut dyn Write, between: &str, template: &str) {
        let mut before = "";
        for row in self.view.rows(false) {
            if row.phase == Phase::Failed {
                let _ = out.write_str(before);
                self.view.say(out, &row, template);
                before = between;
            }
        }
    }

    /// `: boot, need (app, db)`, marks behind.
    fn write_holds(&self, out: &mut dyn Write, row: &Row<'_>) {
        let mut before = ": ";
        for name in row.holds.names().chain(row.marks().map(|(_, _, text)| *text)) {
            let _ = out.write_str(before).and_then(|()| out.write_str(name));
            before = ", ";
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
            let _ = match count {
                0 => Ok(()),
                1..=4 => out.write_char(')'),
                more => write!(out, " and {} more)", more - 4),
            };
        }
    }

    /// How many services are in each phase.
    fn write_counts(&self, out: &mut dyn Write, for_people: bool) {
        let mut before = if for_people { ": " } else { "" };
        let counts = self.view.counts();
        for (phase, count) in Phase::ALL.iter().zip(&counts) {
            let (phase, count) = (*phase, *count);
            if for_people && count > 0 {
                let _ = write!(out, "{before}{count} {}", Painted(phase, self.paint));
                before = ", ";
            } else if !for_people {
                let _ = write!(out, "{before}\"{}\":{count}", phase.name());
                before = ",";
            }
        }
    }
}

/// Numbers in the header of the reports: of the supervisor and of the engine.
const NUMBERS: [(u8, usize); 9] = [
    (b'v', reports::own::SUPERVISOR_PID),
    (b'p', reports::own::SUPERVISOR_PID),
    (b'r', reports::own::RECOVERIES),
    (b'm', reports::own::ALLOCATIONS),
    (b'o', reports::own::ORPHANS),
    (b'e', reports::own::ENGINE_PID),
    (b'q', reports::own::ENGINE_PID),
    (b'l', reports::own::ENGINE_LIVES),
    (b'P', reports::own::PARALLEL),
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
        for part in &[before, "\"", word, "\""] {
            let _ = out.write_str(part);
        }
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
