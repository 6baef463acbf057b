//! Why a service is what it is: a finite chain that ends in a cause.
//! `app waits for db; db is held down by an administrator since 14:02:11Z`.

use core::fmt::{self, Write};

use super::{MARKS, Name, Row, View, words};
use crate::board::published::{Blocker, ConditionRow};
use crate::board::reports::{Exit, State};
use crate::database::{NONE, node, policy, service};
use crate::glob;
use crate::graph::{Goal, Hold, Phase, Relation};
use crate::ident::SlotId;
use crate::lang::definition::Kind;
use crate::time::Instant;
use words::{Age, Span};

/// Links of a chain that are told; a graph has no cycles, but a copy of it may be garbled.
const LINKS_MAX: usize = 64;

/// The whole chain, links divided by `; `, without a newline.
pub fn write(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) -> fmt::Result {
    let mut row = *row;
    for link in 0..LINKS_MAX {
        if link > 0 {
            out.write_str("; ")?;
        }
        write!(out, "{} ", row.name)?;
        write_step(view, out, &row)?;
        match next(view, &row).and_then(|slot| view.row(slot)) {
            Some(other) if other.slot != row.slot => row = other,
            _ => return Ok(()),
        }
    }
    out.write_str("; and so on")
}

/// Where the chain goes on.
fn next(view: &View<'_>, row: &Row<'_>) -> Option<SlotId> {
    match (row.phase, row.blocker) {
        (Phase::Up, _) => {
            // Up for its own sake, or for somebody's.
            let own = row.holds.0 & 0xffff & !(Hold::Need as u32);
            if own != 0 { None } else { view.first_that_pulls(row).map(|by| by.slot) }
        }
        (Phase::Failed | Phase::Skipped | Phase::Done, _) => None,
        (
            _,
            Blocker::NeedsUp(slot) | Blocker::Settles(slot) | Blocker::Conflict(slot) | Blocker::DependentStops(slot),
        ) => Some(slot),
        (_, Blocker::Marked) if row.holds.0 & crate::graph::Holds::MARK_CONFLICT != 0 => conflicting(view, row),
        (_, Blocker::Nothing | Blocker::WhileOff | Blocker::Marked | Blocker::StartLimit | Blocker::Ordered) => {
            if view.kind(row.definition) == Kind::Bundle { member_in_the_way(view, row) } else { None }
        }
    }
}

/// The conflicting service that is wished up.
fn conflicting(view: &View<'_>, row: &Row<'_>) -> Option<SlotId> {
    let mut edges = view.image.edges(row.definition).filter(|edge| edge.relation == Relation::Conflicts);
    edges.find(|edge| view.row(edge.slot).is_some_and(|other| other.goal == Goal::Up)).map(|edge| edge.slot)
}

/// The member that keeps a bundle from being up.
fn member_in_the_way(view: &View<'_>, row: &Row<'_>) -> Option<SlotId> {
    if row.goal == Goal::Down {
        return None;
    }
    let mut edges = view.image.edges(row.definition).filter(|edge| edge.relation == Relation::Contains);
    edges
        .find(|edge| view.row(edge.slot).is_some_and(|member| !matches!(member.phase, Phase::Up | Phase::Skipped)))
        .map(|edge| edge.slot)
}

/// One link, without the name: `waits for db`.
pub fn write_step(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) -> fmt::Result {
    match row.phase {
        Phase::Up => write_up(view, out, row),
        Phase::Failed => write_failed(view, out, row),
        Phase::Skipped => out.write_str("is skipped: a precondition was not met"),
        Phase::Done => write!(out, "is done: it ended well{}", Since(view, row.since)),
        Phase::Down | Phase::Waiting | Phase::Starting | Phase::Restarting | Phase::Stopping => {
            write_blocked(view, out, row)
        }
    }
}

/// What people read for holds.
const HOLDS: [(&str, &str); 4] = [
    ("boot", "the machine was booted into it"),
    ("admin", "an administrator started it"),
    ("trigger", "an event fired its start-on"),
    ("condition", "a condition made this instance"),
];

fn write_up(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) -> fmt::Result {
    out.write_str("is up")?;
    let mut before = ": ";
    for name in row.holds.names() {
        let by = if name == "need" { view.first_that_pulls(row) } else { None };
        match by {
            Some(by) => write!(out, "{before}{} needs it", by.name)?,
            None => {
                let known = HOLDS.iter().find(|(known, _)| *known == name);
                let other = if name == "need" { "something needs it" } else { name };
                write!(out, "{before}{}", known.map_or(other, |(_, text)| text))?;
            }
        }
        before = ", ";
    }
    Ok(())
}

fn write_failed(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) -> fmt::Result {
    if view.kind(row.definition) == Kind::Bundle {
        return out.write_str("has failed");
    }
    write!(out, "has failed: {}", view.exit(row))?;
    let limit = view.policy(row.definition, policy::LIMIT);
    if limit > 0 && row.report.deaths >= limit && row.report.exit != Exit::NotSpawned {
        let window = Span(view.policy(row.definition, policy::WINDOW_MS));
        write!(out, ", {} deaths within {window}", row.report.deaths)?;
    }
    write!(out, "{}", Since(view, row.since))
}

fn write_blocked(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) -> fmt::Result {
    let (before, slot, behind) = match row.blocker {
        Blocker::NeedsUp(slot) => ("waits for ", slot, ""),
        Blocker::Settles(slot) => ("waits until ", slot, " is no longer under way"),
        Blocker::Conflict(slot) => ("waits until ", slot, ", with which it conflicts, is down"),
        Blocker::DependentStops(slot) => ("stops after ", slot, ", which needs it"),
        Blocker::StartLimit => return out.write_str("waits for its turn: as many services start as may at once"),
        Blocker::WhileOff => {
            out.write_str("waits for its while: ")?;
            let root = view.image.service(row.definition, service::WHILE);
            return words::write_expression(&view.image, out, root, &|leaf| leaf_value(view, leaf));
        }
        Blocker::Marked => return write_mark(view, out, row),
        Blocker::Ordered | Blocker::Nothing => return write_under_way(view, out, row),
    };
    write!(out, "{before}{}{behind}", Other(view.row(slot).map(|row| row.name)))
}

/// What keeps it down in spite of its holds.
fn write_mark(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) -> fmt::Result {
    let mark = MARKS.iter().find(|(mark, _)| row.holds.0 & mark != 0);
    write!(out, "is {}{}", mark.map_or("held down", |(_, text)| *text), Since(view, row.since))
}

/// The supervisor is at it, or nothing is wished.
fn write_under_way(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) -> fmt::Result {
    let (report, kind, phase) = (&row.report, view.kind(row.definition), row.phase.name());
    if kind == Kind::Bundle && row.goal == Goal::Up {
        return match member_in_the_way(view, row).and_then(|slot| view.row(slot)) {
            Some(member) => write!(out, "is {phase} until {} is up", member.name),
            None => write!(out, "is {phase}"),
        };
    }
    if row.holds.marked() && row.phase == Phase::Down {
        return write_mark(view, out, row);
    }
    let left = Left(view, row, ", ", " left");
    // What is said before the process, and behind it.
    let (before, behind) = match report.state {
        State::Delayed => {
            return write!(out, "died ({}) and starts again{}", view.exit(row), Left(view, row, " in ", ""));
        }
        State::Queued => return out.write_str("is about to be spawned"),
        State::Spawning => return write!(out, "is being executed{left}"),
        State::Starting if kind == Kind::Oneshot => ("runs as process ", ""),
        State::Starting => ("runs as process ", " and is not ready yet"),
        State::Stopping if report.pid != 0 => ("was told to end, and process ", " has not yet"),
        State::Stopping => return write!(out, "is being taken down{left}"),
        State::Down | State::Up | State::Failed | State::Done => {
            return match (row.phase, row.goal) {
                (Phase::Down, Goal::Down) if !row.holds.held() => out.write_str("is down: nothing wants it up"),
                (_, goal) => write!(out, "is {phase}, and wished {}", super::goal_name(goal)),
            };
        }
    };
    write!(out, "{before}{}{behind}{left}", report.pid)
}

/// ` (on)` or ` (off)` behind a leaf.
fn leaf_value(view: &View<'_>, leaf: u32) -> &'static str {
    let word = |on: bool| if on { " (on)" } else { " (off)" };
    let a = view.image.node(leaf, node::A);
    match view.image.node(leaf, node::KIND) {
        node::UP => word(view.row(SlotId(a)).is_some_and(|row| row.phase == Phase::Up)),
        node::FAILED => word(view.row(SlotId(a)).is_some_and(|row| row.phase == Phase::Failed)),
        _ => {
            let mut found = 0;
            view.conditions(&mut |condition| {
                if found == 0 && matches(view, leaf, condition) {
                    found = condition.value;
                }
            });
            if found == 2 { " (changing)" } else { word(found != 0) }
        }
    }
}

/// Whether a condition that is on is one that this leaf means.
fn matches(view: &View<'_>, leaf: u32, condition: &ConditionRow) -> bool {
    let mut text = condition.words();
    if text.next() != Some(view.image.bytes_of(view.image.node(leaf, node::A))) {
        return false;
    }
    let wanted = match view.image.node(leaf, node::B) {
        NONE => return true,
        list => view.image.list(list),
    };
    (0..wanted.len() / 3).all(|at| {
        let (key, negated) = (view.image.bytes_of(wanted.get(at * 3)), wanted.get(at * 3 + 1) != 0);
        let pattern = view.image.bytes_of(wanted.get(at * 3 + 2));
        let names = |word: &[u8]| word.strip_prefix(key).is_some_and(|rest| rest.first() == Some(&b'='));
        let found = text.clone().find(|word| names(word));
        let matched = found.is_some_and(|word| glob::glob_matches(pattern, &word[key.len() + 1..]));
        matched != negated
    })
}

struct Other<'a>(Option<Name<'a>>);

impl fmt::Display for Other<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(to, "{name}"),
            None => to.write_str("another service"),
        }
    }
}

/// ` since 14:02:11Z`, or nothing where that is not known.
struct Since<'v, 'a>(&'v View<'a>, Instant);

impl fmt::Display for Since<'_, '_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == Instant::default() { Ok(()) } else { write!(to, " since {}", self.0.clock(self.1)) }
    }
}

/// The time to the deadline between two words, or nothing where there is none.
struct Left<'v, 'a>(&'v View<'a>, &'v Row<'v>, &'static str, &'static str);

impl fmt::Display for Left<'_, '_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.left_ms(self.1) {
            Some(ms) => write!(to, "{}{}{}", self.2, Age(ms.div_ceil(1000)), self.3),
            None => Ok(()),
        }
    }
}
