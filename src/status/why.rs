//! Why a service is what it is: a finite chain that ends in a cause.
//! `app waits for db; db is held down by an administrator since 14:02:11Z`.

use core::fmt::Write;

use super::{Row, View, words};
use crate::board::published::Blocker;
use crate::board::reports::State;
use crate::database::{NONE, node, service};
use crate::graph::{Goal, Hold, Holds, Phase, Relation};
use crate::ident::SlotId;
use crate::lang::definition::Kind;
use crate::limits::EXPRESSION_NODES_MAX;

/// Links of a chain that are told; a graph has no cycles, but a copy of it may be garbled.
const LINKS_MAX: usize = 64;

/// The whole chain, links divided by `; `, without a newline.
pub fn write(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) {
    let mut row = *row;
    for _ in 0..LINKS_MAX {
        view.say(out, &row, "$n $s");
        match next(view, &row).and_then(|slot| view.row(slot)) {
            Some(other) if other.slot != row.slot => row = other,
            _ => return,
        }
        let _ = out.write_str("; ");
    }
    let _ = out.write_str("and so on");
}

/// Where the chain goes on.
fn next(view: &View<'_>, row: &Row<'_>) -> Option<SlotId> {
    match row.phase {
        Phase::Up => {
            // Up for its own sake, or for somebody's.
            let own = row.holds.counted() & !(Hold::Need as u32);
            if own != 0 { None } else { view.first_that_pulls(row).map(|by| by.slot) }
        }
        Phase::Failed | Phase::Skipped | Phase::Done => None,
        Phase::Down | Phase::Waiting | Phase::Starting | Phase::Restarting | Phase::Stopping => match blocking(row) {
            Some(slot) => Some(slot),
            None if row.blocker == Blocker::StartLimit => starting(view),
            None if row.blocker == Blocker::Marked && row.holds.0 & Holds::MARK_CONFLICT != 0 => conflicting(view, row),
            None if view.kind(row.definition) == Kind::Bundle => member_in_the_way(view, row),
            None => None,
        },
    }
}

/// The service that it waits for, or that a choice has chosen.
pub(super) fn blocking(row: &Row<'_>) -> Option<SlotId> {
    match row.blocker {
        Blocker::NeedsUp(slot)
        | Blocker::Settles(slot)
        | Blocker::Conflict(slot)
        | Blocker::DependentStops(slot)
        | Blocker::Chosen(slot) => Some(slot),
        Blocker::Nothing | Blocker::WhileOff | Blocker::Marked | Blocker::StartLimit | Blocker::Ordered => None,
    }
}

/// One of those that have a place to start.
fn starting(view: &View<'_>) -> Option<SlotId> {
    let mut rows = view.rows(false);
    rows.find(|row| row.phase == Phase::Starting).map(|row| row.slot)
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
pub fn write_step(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) {
    view.say(out, row, template(view, row));
}

/// What keeps it down in spite of its holds.
const MARKED: &str = "is $q< since $c>";

fn template(view: &View<'_>, row: &Row<'_>) -> &'static str {
    match row.phase {
        Phase::Up if matches!(row.blocker, Blocker::Chosen(_)) => "is up by $o$z",
        Phase::Up => "is up$z",
        Phase::Failed if view.kind(row.definition) == Kind::Bundle => "has failed",
        Phase::Failed => "has failed: $E<, $F deaths within $W><, $U attempts>< since $c>",
        Phase::Skipped => "is skipped< since $c>: <$J does not hold|a precondition does not hold>",
        Phase::Done => "is done: it ended well< since $c>",
        Phase::Down | Phase::Waiting | Phase::Starting | Phase::Restarting | Phase::Stopping => match row.blocker {
            Blocker::NeedsUp(slot) if view.is_choice(row.definition) && view.row(slot).is_none() => {
                "finds nothing to choose: $C"
            }
            Blocker::NeedsUp(_) => "waits for $o",
            Blocker::Chosen(_) => "is $P with $o",
            Blocker::Settles(_) => "waits until $o is no longer under way",
            Blocker::Conflict(_) => "waits until $o, with which it conflicts, is down",
            Blocker::DependentStops(_) => "stops after $o, which needs it",
            Blocker::StartLimit => "waits for one of $N start slots",
            Blocker::WhileOff => "waits for its while: $v",
            Blocker::Marked => MARKED,
            Blocker::Ordered | Blocker::Nothing => under_way(view, row),
        },
    }
}

/// The supervisor is at it, or nothing is wished.
fn under_way(view: &View<'_>, row: &Row<'_>) -> &'static str {
    let (report, kind) = (&row.report, view.kind(row.definition));
    if kind == Kind::Bundle && row.goal == Goal::Up {
        return "is $P< until $t is up>";
    }
    if row.holds.marked() && row.phase == Phase::Down {
        return MARKED;
    }
    match report.state {
        State::Delayed if kind == Kind::Oneshot => "failed ($E) and is tried again< in $L><, attempt $A of $M>",
        State::Delayed => "died ($E) and starts again< in $L>",
        State::Queued => "is about to be spawned",
        State::Spawning => "is being executed<, $L left>",
        State::Starting if kind == Kind::Oneshot => "runs as process $I<, $L left><, attempt $A of $M>",
        State::Starting => "runs as process $I and is not ready yet<, $L left>",
        State::Stopping if report.stuck => "<was killed, and process $i|was killed, and its command> is still there",
        State::Stopping if report.pid != 0 => "was told to end, and process $I has not yet<, $L left>",
        State::Stopping => "is being taken down<, $L left>",
        State::Down | State::Up | State::Failed | State::Done | State::Skipped => match (row.phase, row.goal) {
            (Phase::Down, Goal::Down) if !row.holds.held() => "is down: nothing wants it up<; its start-on: $V>",
            _ => "is $P, and wished $g",
        },
    }
}

/// The fields of templates that are about others: in its way, the member in a bundle's way; about itself: its mark, its
/// `while`, and why it is up.
pub fn field(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>, field: u8) -> bool {
    match field {
        b'o' => return write_other(view, out, row),
        b't' => match member_in_the_way(view, row).and_then(|slot| view.row(slot)) {
            Some(member) => member.name.write(out),
            None => return false,
        },
        b'C' => {
            let mut before = "";
            for edge in view.image.edges(row.definition) {
                let _ = out.write_str(before);
                view.row(edge.slot).inspect(|alternative| view.say(out, alternative, "$n $s"));
                before = ", ";
            }
        }
        b'Y' => match row.blocker {
            Blocker::Chosen(_) => return write_other(view, out, row),
            _ => return false,
        },
        b'q' => {
            let mark = row.marks().next().map_or("held down", |(_, _, text)| text);
            return out.write_str(mark).is_ok();
        }
        b'J' => return write_unmet(view, out, row),
        b'v' => {
            let root = view.image.service(row.definition, service::WHILE);
            words::write_expression(&view.image, out, root, &|out, leaf| write_leaf(view, out, row, leaf, 0));
        }
        b'V' => {
            let root = view.image.service(row.definition, service::START_ON);
            if root == NONE {
                return false;
            }
            let latches = row.latches;
            words::write_expression(&view.image, out, root, &|out, leaf| write_leaf(view, out, row, leaf, latches));
        }
        _ => write_reasons(view, out, row),
    }
    true
}

/// The name of the service that it waits for.
fn write_other(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) -> bool {
    match blocking(row).and_then(|slot| view.row(slot)) {
        Some(other) => other.name.write(out),
        None => return out.write_str("another service").is_ok(),
    }
    true
}

/// The test of `only-if` that does not hold, as the file has it.
fn write_unmet(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) -> bool {
    let (image, root) = (&view.image, view.image.service(row.definition, service::ONLY_IF));
    if row.report.state != State::Skipped || root == NONE {
        return false;
    }
    // Tests are counted from 1 there.
    let test = (row.report.failure & 0xffff).wrapping_sub(1);
    let nodes = root..root.saturating_add(EXPRESSION_NODES_MAX as u32);
    let Some(mut at) = nodes.into_iter().find(|at| image.node(*at, node::LEAF) == test) else { return false };
    let parent = image.node(at, node::PARENT);
    if parent != NONE && image.node(parent, node::KIND) == node::NOT {
        at = parent;
    }
    words::write_expression(image, out, at, &|_, _| {});
    true
}

/// What people read for holds.
const HOLDS: [(&str, &str); 4] = [
    ("boot", "the machine was booted into it"),
    ("admin", "an administrator started it"),
    ("trigger", "an event fired its start-on"),
    ("condition", "a condition made this instance"),
];

/// `: app needs it, an administrator started it`.
fn write_reasons(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) {
    let mut before = ": ";
    for name in row.holds.names() {
        let _ = out.write_str(before);
        before = ", ";
        let mut text = HOLDS.iter().find(|(known, _)| *known == name).map_or(name, |(_, text)| text);
        if name == "need" {
            text = "something needs it";
            if let Some(by) = view.first_that_pulls(row) {
                by.name.write(out);
                text = " needs it";
            }
        }
        let _ = out.write_str(text);
    }
}

/// What a leaf is now, behind it. `latches`: those that are set in its expression.
fn write_leaf(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>, leaf: u32, latches: u32) {
    let [a, latch] = [node::A, node::LEAF].map(|field| view.image.node(leaf, field));
    let phase = || view.row(SlotId(a)).map(|row| row.phase);
    let word = match view.image.node(leaf, node::KIND) {
        node::UP if phase() == Some(Phase::Restarting) => "changing",
        node::UP if phase() == Some(Phase::Up) => "on",
        node::FAILED if phase() == Some(Phase::Failed) => "on",
        node::FACT if latches.checked_shr(latch).is_some_and(|bits| bits & 1 == 1) => {
            return write_latch(view, out, row, latch);
        }
        node::FACT => {
            let (mut value, mut other) = (0, "off");
            view.conditions(&mut |condition| {
                if view.image.leaf_matches(leaf, Some(row.name.instance().as_bytes()), &condition.text) {
                    value = if value == 1 { 1 } else { condition.value };
                } else if condition.words().next() == Some(view.image.bytes_of(a)) {
                    other = "on only with other attributes";
                }
            });
            match value {
                0 => other,
                1 => "on",
                _ => "changing",
            }
        }
        _ => "off",
    };
    for part in [" (", word, ")"] {
        let _ = out.write_str(part);
    }
}

/// That the event of a latch has happened, and when, where that counts.
fn write_latch(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>, latch: u32) {
    let within = view.image.service(row.definition, service::WITHIN);
    let Some(set) = view.latch_row(row).map(|at| view.published.read_latch(at, latch)) else {
        let _ = out.write_str(" (happened)");
        return;
    };
    let _ = write!(out, " (happened {} ago", view.age(set));
    if set.plus_ms(within) < view.now {
        let _ = write!(out, ", which no longer counts: within {}", words::Span(within));
    }
    let _ = out.write_str(")");
}
