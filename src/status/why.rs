//! Why a service is what it is: a finite chain that ends in a cause.
//! `app waits for db; db is held down by an administrator since 14:02:11Z`.

use core::fmt::Write;

use super::{Row, View, words};
use crate::board::published::{Blocker, EIGHTH_NS, Event, Reason, Reasons};
use crate::board::reports::{Exit, State};
use crate::database::{NONE, node, policy, service};
use crate::graph::{Goal, Hold, Holds, Phase, Relation};
use crate::ident::SlotId;
use crate::lang::definition::Kind;
use crate::limits::EXPRESSION_NODES_MAX;
use crate::packed;
use crate::packed::Packed;
use crate::time::Instant;

/// Links of a chain that are told; of a longer one those in front of the last are left out.
const LINKS_MAX: u32 = 16;

/// The whole chain, links divided by `; `, without a newline.
pub fn write(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) {
    let mut before = "";
    links(view, row, &mut |row, skipped| {
        let _ = out.write_str(before);
        before = "; ";
        if skipped > 0 {
            let _ = write!(out, "and so on through {skipped} more; ");
        }
        match row {
            Some(row) => view.say(out, row, packed!("$n $s")),
            None => {
                let _ = out.write_str("and so on");
            }
        }
    });
}

/// The same for programs: an object.
pub fn write_json(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) {
    view.say(out, row, packed!("{\"service\":%n,\"chain\":"));
    let mut before = "[";
    links(view, row, &mut |row, _| {
        if let Some(row) = row {
            let _ = out.write_str(before);
            view.say(out, row, packed!("{\"service\":%n,\"phase\":%P,\"why\":%s}"));
            before = ",";
        }
    });
    let _ = out.write_str("]}");
}

/// Gives the links of a chain to `each`, with how many before it were left out; none in the end of one that has no end.
/// A graph has no cycles, but a copy of it may be garbled: no chain has more links than there are slots.
fn links<'a>(view: &View<'a>, row: &Row<'a>, each: &mut dyn FnMut(Option<&Row<'a>>, u32)) {
    let step = |row: &Row<'a>| {
        let next = next(view, row).and_then(|slot| view.row(slot)).filter(|next| next.slot != row.slot)?;
        let pulls = row.wished || row.phase == Phase::Up && blocking(row) != Some(next.slot);
        Some(Row { wished: pulls && next.phase != Phase::Up, ..next })
    };
    let (mut last, mut length) = (*row, 1);
    while let Some(next) = step(&last)
        && length <= view.slots()
    {
        (last, length) = (next, length + 1);
    }
    let endless = length > view.slots();
    let (mut row, shown) = (*row, length.min(LINKS_MAX));
    for index in 1..=shown {
        if index == LINKS_MAX && length > LINKS_MAX && !endless {
            return each(Some(&last), length - LINKS_MAX);
        }
        each(Some(&row), 0);
        row = step(&row).unwrap_or(row);
    }
    if endless {
        each(None, 0);
    }
}

/// Where the chain goes on.
#[inline(never)]
fn next(view: &View<'_>, row: &Row<'_>) -> Option<SlotId> {
    // Up for its own sake, or for somebody's.
    let pulling = || {
        let own = row.holds.counted() & !(Hold::Need as u32);
        if own != 0 { None } else { view.first_that_pulls(row) }
    };
    match row.phase {
        _ if row.wished => pulling(),
        Phase::Up if matches!(row.blocker, Blocker::DependentStops(_)) => blocking(row),
        Phase::Up => pulling(),
        Phase::Failed | Phase::Skipped | Phase::Done => None,
        Phase::Down | Phase::Waiting | Phase::Starting | Phase::Restarting | Phase::Stopping => match blocking(row) {
            Some(slot) => Some(slot),
            None if row.blocker == Blocker::StartLimit => starting(view),
            None if row.phase == Phase::Down && row.holds.0 & Holds::MARK_CONFLICT != 0 => conflicting(view, row),
            // What is gone may be waiting for this one to stop: then it is told why this one does, and the chain ends.
            None if row.phase == Phase::Stopping && row.goal == Goal::Up => lost(view, row).filter(|slot| {
                view.row(*slot).as_ref().is_some_and(|other| !matches!(other.blocker, Blocker::DependentStops(_)))
            }),
            None if view.kind(row.definition) == Kind::Bundle && row.goal == Goal::Up => member_in_the_way(view, row),
            None if row.holds.marked() => None,
            None => unneeded(view, row),
        },
    }
}

/// The service whose need was the last reason to be up.
fn unneeded(view: &View<'_>, row: &Row<'_>) -> Option<SlotId> {
    let newest = view.published.read_reasons(row.slot).newest();
    (row.goal == Goal::Down && newest.event == Event::Unneeded).then_some(SlotId(newest.of))
}

/// Something that it needs and that is gone, which is why it stops though it is wanted.
fn lost(view: &View<'_>, row: &Row<'_>) -> Option<SlotId> {
    const NEEDS: u32 = Relation::set(&[Relation::Needs, Relation::Binds]);
    find(view, row, NEEDS, &|row| !matches!(row.phase, Phase::Up | Phase::Restarting))
}

/// The first that this one has one of these relations to and of which this is so.
#[inline(never)]
fn find(view: &View<'_>, row: &Row<'_>, relations: u32, is: &dyn Fn(&Row<'_>) -> bool) -> Option<SlotId> {
    for edge in view.image.edges(row.definition) {
        if edge.relation.is_in(relations) && view.row(edge.slot).as_ref().is_some_and(is) {
            return Some(edge.slot);
        }
    }
    None
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
    find(view, row, Relation::set(&[Relation::Conflicts]), &|other| other.goal == Goal::Up)
}

/// The member that keeps a bundle from being up.
fn member_in_the_way(view: &View<'_>, row: &Row<'_>) -> Option<SlotId> {
    if row.goal == Goal::Down {
        return None;
    }
    const CONTAINS: u32 = Relation::set(&[Relation::Contains]);
    find(view, row, CONTAINS, &|member| !matches!(member.phase, Phase::Up | Phase::Skipped))
}

/// One link, without the name: `waits for db`.
pub fn write_step(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) {
    view.say(out, row, template(view, row));
}

/// What keeps it down in spite of its holds.
const MARKED: Packed = packed!("is $q< since $c>$Q");

/// What is to stop and has to wait.
const STOPS_AFTER: Packed = packed!("stops after $o, which needs it<: $5>");

#[inline(never)]
fn template(view: &View<'_>, row: &Row<'_>) -> Packed {
    match row.phase {
        _ if row.wished => packed!("is wished up$z"),
        Phase::Up if matches!(row.blocker, Blocker::DependentStops(_)) => STOPS_AFTER,
        Phase::Up if matches!(row.blocker, Blocker::Chosen(_)) => packed!("is up by $o$z"),
        Phase::Up => packed!("is up$z"),
        Phase::Failed if view.kind(row.definition) == Kind::Bundle => packed!("has failed"),
        Phase::Failed => packed!("has failed: $E<, $F deaths within $W><, $U attempts>< since $c>"),
        Phase::Skipped => packed!("is skipped< since $c>: <$J does not hold|a precondition does not hold>"),
        Phase::Done => packed!("is done: it ended well< since $c>"),
        Phase::Down | Phase::Waiting | Phase::Starting | Phase::Restarting | Phase::Stopping => match row.blocker {
            Blocker::NeedsUp(slot) if view.is_choice(row.definition) && view.row(slot).is_none() => {
                packed!("finds nothing to choose: $C")
            }
            Blocker::NeedsUp(_) => packed!("waits for $o"),
            Blocker::Chosen(_) => packed!("is $P with $o"),
            Blocker::Settles(_) => packed!("waits until $o is no longer under way"),
            Blocker::Conflict(_) => packed!("waits until $o, with which it conflicts, is down"),
            Blocker::DependentStops(_) => STOPS_AFTER,
            Blocker::StartLimit => packed!("waits for one of $N start slots"),
            Blocker::WhileOff => packed!("waits for its while: $v"),
            Blocker::Marked => MARKED,
            Blocker::Ordered | Blocker::Nothing => under_way(view, row),
        },
    }
}

/// The supervisor is at it, or nothing is wished.
#[inline(never)]
fn under_way(view: &View<'_>, row: &Row<'_>) -> Packed {
    let (report, kind) = (&row.report, view.kind(row.definition));
    if kind == Kind::Bundle && row.goal == Goal::Up {
        return packed!("is $P< until $t is up>");
    }
    if row.holds.marked() && row.phase == Phase::Down {
        return MARKED;
    }
    match report.state {
        State::Delayed if kind == Kind::Oneshot => {
            packed!("failed ($E) and is tried again< in $L><, attempt $A of $M>")
        }
        State::Delayed => packed!("died ($E) and starts again< in $L>"),
        State::Queued => packed!("is about to be spawned"),
        State::Spawning if kind == Kind::Longrun && view.policy(row.definition, policy::READY) == 0 => {
            packed!("is being executed<, $L of $S left>")
        }
        State::Starting if report.pid == 0 => packed!("runs its pre-start command< since $7><, $L of $S left>"),
        // The supervisor asks when it has been executed only of those that are up then.
        State::Spawning | State::Starting if kind == Kind::Oneshot => {
            packed!("runs as process $I< since $7><, $L of $S left><, attempt $A of $M>")
        }
        State::Spawning | State::Starting => {
            packed!("runs as process $I< since $7> and is not ready yet<, $L of $S left><: $5>")
        }
        State::Stopping if report.stuck => {
            packed!("<was killed, and process $i|was killed, and its command> is still there<: $5>")
        }
        State::Stopping if report.pid != 0 => packed!("was told to end, and process $I has not yet<, $L left><: $5>"),
        State::Stopping => packed!("is being taken down<, $L left><: $5>"),
        State::Down | State::Up | State::Failed | State::Done | State::Skipped => match (row.phase, row.goal) {
            (Phase::Down, Goal::Down) if !row.holds.held() => {
                packed!("is down: nothing wants it up<: $4><; its start-on: $V>")
            }
            (Phase::Stopping, _) => packed!("is about to be told to end<: $5>"),
            (Phase::Starting | Phase::Restarting, _) => packed!("is $P: the supervisor has not answered yet"),
            _ => packed!("is $P, and wished $g"),
        },
    }
}

/// The fields of templates that are about others: in its way, the member in a bundle's way; about itself: its mark, its
/// `while`, and why it is up.
#[inline(never)]
pub fn field(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>, field: u8) -> bool {
    match field {
        b'o' => return write_other(view, out, row),
        b't' => return member_in_the_way(view, row).is_some_and(|slot| view.write_name(out, slot)),
        b'C' => {
            let mut before = "";
            for edge in view.image.edges(row.definition) {
                let _ = out.write_str(before);
                if let Some(alternative) = &view.row(edge.slot) {
                    view.say(out, alternative, packed!("$n $s"));
                }
                before = ", ";
            }
        }
        b'Y' => match row.blocker {
            Blocker::Chosen(_) => return write_other(view, out, row),
            _ => return false,
        },
        b'q' => {
            let mark = row.marks().next().map_or("held down", |(_, _, text)| text);
            let _ = out.write_str(mark);
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
        b'Q' | b'4' | b'5' | b'6' => return write_asked(view, out, row, field),
        b'z' => write_reasons(view, out, row),
        _ => return false,
    }
    true
}

/// Whether a service goes down by it.
fn takes(event: Event) -> bool {
    match event {
        Event::Stopped
        | Event::Released
        | Event::StopFired
        | Event::Switched
        | Event::Unneeded
        | Event::ConditionOff
        | Event::Ended => true,
        Event::Never | Event::Started | Event::Restarted | Event::Fired | Event::Booted => false,
    }
}

/// Whether the newest that was asked of what is in a slot, or was, is that it goes down, by this transaction.
#[inline(never)]
pub fn was_taken_down(view: &View<'_>, slot: SlotId, transaction: u32) -> bool {
    let newest = view.published.read_reasons(slot).newest();
    newest.transaction == transaction && takes(newest.event)
}

/// Who asked for it, and when: behind a mark; for what is down; for what moves; the newest.
fn write_asked(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>, field: u8) -> bool {
    let reasons = view.published.read_reasons(row.slot);
    let (person, newest) = (reasons.all[Reasons::PERSON], reasons.newest());
    let takes = newest.event != Event::Stopped && takes(newest.event);
    match field {
        b'Q' if row.holds.0 & Holds::MARK_ADMIN == 0 || person.event != Event::Stopped => true,
        b'Q' if row.since == Instant::default() => write_when(view, out, person, true),
        b'Q' => write_when(view, out, person, false),
        b'6' => write_reason(view, out, newest),
        b'4' => takes && write_reason(view, out, newest),
        _ if row.phase == Phase::Restarting && person.event == Event::Restarted => write_reason(view, out, person),
        _ if row.phase == Phase::Restarting && row.report.exit != Exit::None => {
            let _ = out.write_str("its last life: ");
            words::write_exit(view, out, row, row.report.exit);
            true
        }
        _ if matches!(row.phase, Phase::Restarting | Phase::Starting) => false,
        _ if row.holds.0 & Holds::MARK_ADMIN != 0 && person.event == Event::Stopped => write_reason(view, out, person),
        _ => match row.marks().next() {
            Some((_, _, text)) => out.write_str(text).is_ok(),
            None if row.goal == Goal::Down => takes && write_reason(view, out, newest),
            None => match lost(view, row).and_then(|slot| view.row(slot)) {
                Some(other) => {
                    other.name.write(out);
                    out.write_str(" is gone, which it needs").is_ok()
                }
                None if person.event == Event::Restarted && reasons.newest == 0 => write_reason(view, out, person),
                None => false,
            },
        },
    }
}

/// `an administrator started it (transaction 17, 14:02:11Z)`; `false` where there is nothing to tell.
fn write_reason(view: &View<'_>, out: &mut dyn Write, reason: Reason) -> bool {
    let text = match reason.event {
        Event::Never => return false,
        Event::Started => packed!("an administrator started it"),
        Event::Stopped => packed!("an administrator stopped it"),
        Event::Released => packed!("an administrator released it"),
        Event::Restarted => packed!("an administrator restarted it"),
        Event::Fired | Event::StopFired => {
            words::write_expression(&view.image, out, reason.of, &|_, _| ());
            if reason.event == Event::Fired { packed!(" fired its start-on") } else { packed!(" fired its stop-on") }
        }
        Event::Booted => packed!("the machine was booted into it"),
        Event::Switched => packed!("the machine was switched to something else"),
        Event::Unneeded => {
            if !view.write_name(out, SlotId(reason.of)) {
                let _ = out.write_str("something");
            }
            packed!(" no longer needs it")
        }
        Event::ConditionOff => packed!("its condition went off"),
        Event::Ended => packed!("it ended for good"),
    };
    let _ = text.write_part(0, out);
    write_when(view, out, reason, true)
}

/// ` (transaction 17, 14:02:11Z, uid 1000)`, of what is known; the time only if it is `timed`.
fn write_when(view: &View<'_>, out: &mut dyn Write, reason: Reason, timed: bool) -> bool {
    let mut before = " (";
    if reason.transaction != 0 {
        let _ = write!(out, "{before}transaction {}", reason.transaction);
        before = ", ";
    }
    if timed {
        let _ = write!(out, "{before}{}", view.clock(Instant(u64::from(reason.eighths) * EIGHTH_NS)));
        before = ", ";
    }
    let by_person = matches!(reason.event, Event::Started | Event::Stopped | Event::Released | Event::Restarted);
    if by_person && reason.of != Reason::NOBODY {
        let _ = write!(out, "{before}uid {}", reason.of);
        before = ", ";
    }
    before == " (" || out.write_char(')').is_ok()
}

/// The name of the service that it waits for.
fn write_other(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) -> bool {
    if !blocking(row).is_some_and(|slot| view.write_name(out, slot)) {
        let _ = out.write_str("another service");
    }
    true
}

/// The part of `only-if` that does not hold, as the file has it.
#[inline(never)]
fn write_unmet(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) -> bool {
    let (image, root) = (&view.image, view.image.service(row.definition, service::ONLY_IF));
    if row.report.state != State::Skipped || root == NONE {
        return false;
    }
    // Tests are counted from 1 there.
    let test = (row.report.failure & 0xffff).wrapping_sub(1);
    let nodes = root..root.saturating_add(EXPRESSION_NODES_MAX as u32);
    let found = nodes.into_iter().find(|at| test != NONE && image.node(*at, node::LEAF) == test);
    let Some(mut at) = found else { return false };
    // What was looked at last decides, with all that stands beside it but by an `and` of the whole. (Parents stand in
    // front.)
    let mut above = at;
    while above > root {
        above = image.node(above, node::PARENT).min(above - 1);
        at = if image.node(above, node::KIND) == node::AND { at } else { above };
    }
    words::write_expression(image, out, at, &|_, _| {});
    true
}

/// Holds: where in the reasons stands how they came, which events it can be (`Never`: it is not known), and what people
/// read else.
const HOLDS: [(Hold, usize, [Event; 2], Packed); 7] = [
    (Hold::Boot, Reasons::OTHER, [Event::Booted; 2], packed!("the machine was booted into it")),
    (Hold::Admin, Reasons::PERSON, [Event::Started, Event::Restarted], packed!("an administrator started it")),
    (Hold::Trigger, Reasons::TRIGGER, [Event::Fired; 2], packed!("an event fired its start-on")),
    (Hold::Condition, Reasons::OTHER, [Event::Never; 2], packed!("a condition made this instance")),
    (Hold::Need, Reasons::OTHER, [Event::Never; 2], packed!("something needs it")),
    (Hold::Demand, Reasons::OTHER, [Event::Never; 2], packed!("demand")),
    (Hold::Schedule, Reasons::OTHER, [Event::Never; 2], packed!("schedule")),
];

/// `: app needs it, an administrator started it (transaction 17, 14:02:11Z)`.
fn write_reasons(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) {
    let reasons = view.published.read_reasons(row.slot);
    let mut before = ": ";
    for (hold, place, events, text) in &HOLDS {
        if row.holds.counted() & *hold as u32 == 0 {
            continue;
        }
        let _ = out.write_str(before);
        before = ", ";
        let (mut text, reason) = (*text, reasons.all[*place]);
        let known = events[0] == reason.event || events[1] == reason.event;
        let switched = *hold == Hold::Boot
            && view.current() == Some(row.slot)
            && view.boot().is_none_or(|(of, _)| !row.name.is(of));
        if switched {
            text = packed!("the machine was switched to it");
        } else if known && write_reason(view, out, reason) {
            continue;
        }
        if *hold == Hold::Need
            && let Some(by) = view.first_that_pulls(row)
        {
            view.write_name(out, by);
            text = packed!(" needs it");
        }
        let _ = text.write_part(0, out);
        if switched && known {
            write_when(view, out, reason, true);
        }
        if *hold == Hold::Condition {
            write_makers(view, out, row);
        }
    }
}

/// The conditions that have made an instance and hold it: ` (net-up IFACE=eth0, on since 14:02:11Z, by process 12 of uid
/// 0)`.
#[inline(never)]
pub(super) fn write_makers(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>) {
    view.conditions(&mut |condition| {
        if view.image.makes(row.definition, row.name.instance(), &condition.text) {
            let text = packed!(" ($f, $v since $c, by process $i of uid $o<$l, while it lives>)");
            view.say_condition(out, condition, "", text);
        }
    });
}

/// What a leaf is now, behind it. `latches`: those that are set in its expression.
#[inline(never)]
fn write_leaf(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>, leaf: u32, latches: u32) {
    let [a, latch] = [node::A, node::LEAF].map(|field| view.image.node(leaf, field));
    let phase = || view.row(SlotId(a)).as_ref().map(|row| row.phase);
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
    let _ = write!(out, " ({word})");
}

/// That the event of a latch has happened, and when, where that counts.
#[inline(never)]
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
