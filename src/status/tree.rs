//! Dependencies as a tree, with the phase of each.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;

use super::say::{About, Saying};
use super::{Paint, Row, View};
use crate::graph::Relation;
use crate::ident::SlotId;
use crate::packed;

/// The strokes of a tree: for a member with others behind it, the last member, below the first, below the last.
pub type Strokes = [&'static str; 4];
/// For terminals of UTF-8.
pub const LINES: Strokes = ["\u{251c}\u{2500} ", "\u{2514}\u{2500} ", "\u{2502}  ", "   "];
/// For everything else.
pub const ASCII: Strokes = ["|- ", "`- ", "|  ", "   "];

/// Writes what `roots` depend on, each service with its own dependencies once; where it comes again, `...` stands.
#[inline(never)]
pub fn write(view: &View<'_>, out: &mut dyn Write, roots: &[SlotId], strokes: &Strokes, paint: Paint) {
    let mut shown = vec![false; view.slots() as usize];
    let mut stamps = Stamps { of: vec![0; view.slots() as usize], last: 0 };
    // The members still to come of all levels, last first, and where each level begins. Their depth is that of the
    // graph. The roots are the members of the first level, in which no strokes are.
    let (mut members, mut levels): (Vec<Member>, Vec<usize>) = (Vec::new(), Vec::new());
    for root in roots.iter().rev() {
        members.push((Relation::Contains, *root));
    }
    levels.push(0);
    while let Some(begin) = levels.last() {
        if members.len() <= *begin {
            levels.pop();
            continue;
        }
        let Some((relation, slot)) = members.pop() else { break };
        let Some(row) = view.row(slot) else { continue };
        for (depth, begin) in levels.iter().enumerate().skip(1) {
            let (end, stroke) = levels.get(depth + 1).map_or((members.len(), 0), |end| (*end, 2));
            // The last one of a level has the next stroke.
            let _ = out.write_str(strokes[stroke + usize::from(*begin == end)]);
        }
        let place = shown.get_mut(slot.index());
        let again = place.is_none_or(|shown| core::mem::replace(shown, true)) && levels.len() > 1;
        let end = members.len();
        stamps.members(view, row.definition, &mut members);
        write_node(view, out, &row, relation, again && members.len() > end, paint);
        if again {
            members.truncate(end);
        } else {
            levels.push(end);
        }
    }
}

type Member = (Relation, SlotId);

/// Which slots have been taken as members of the service that is looked at now.
struct Stamps {
    of: Vec<u32>,
    last: u32,
}

impl Stamps {
    /// Adds what a service depends on, last first, each once by its strongest relation.
    #[inline(never)]
    fn members(&mut self, view: &View<'_>, of: SlotId, members: &mut Vec<Member>) {
        self.last += 1;
        let begin = members.len();
        for edge in view.image.edges(of) {
            let shows = edge.relation.is_in(Relation::PULLS);
            // Edges come by relation, the strongest first.
            if let Some(stamp) = self.of.get_mut(edge.slot.index()).filter(|stamp| shows && **stamp != self.last) {
                *stamp = self.last;
                members.push((edge.relation, edge.slot));
            }
        }
        members[begin..].reverse();
    }
}

fn write_node(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>, by: Relation, again: bool, paint: Paint) {
    let saying = Saying { view, about: About::Service(row), paint, known: "" };
    saying.say(out, packed!("$n $p< $i>< by $Y>"));
    if !matches!(by, Relation::Needs | Relation::Contains) {
        for part in &[" (", by.name(), ")"] {
            let _ = out.write_str(part);
        }
    }
    saying.say(out, if again { packed!("<: $X> ...\n") } else { packed!("<: $X>\n") });
}

/// Where trees begin: what is booted or switched to, and whatever nothing depends on.
#[inline(never)]
pub fn roots(view: &View<'_>) -> Vec<SlotId> {
    let mut roots = Vec::new();
    let current = view.current();
    roots.extend(current);
    for row in view.rows(false) {
        let needed = row.slot == row.definition
            && view.image.reverse(row.definition).any(|edge| {
                !matches!(edge.relation, Relation::After | Relation::Conflicts | Relation::Observes | Relation::Listens)
            });
        if !needed && Some(row.slot) != current {
            roots.push(row.slot);
        }
    }
    roots
}
