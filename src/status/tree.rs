//! Dependencies as a tree, with the phase of each.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;

use super::say::{About, Saying};
use super::{Paint, Row, View};
use crate::graph::Relation;
use crate::ident::SlotId;

/// The strokes of a tree: for a member with others behind it, the last member, below the first, below the last.
pub type Strokes = [&'static str; 4];
/// For terminals of UTF-8.
pub const LINES: Strokes = ["\u{251c}\u{2500} ", "\u{2514}\u{2500} ", "\u{2502}  ", "   "];
/// For everything else.
pub const ASCII: Strokes = ["|- ", "`- ", "|  ", "   "];

/// Writes what `roots` depend on, each service with its own dependencies once; where it comes again, `...` stands.
pub fn write(view: &View<'_>, out: &mut dyn Write, roots: &[Row<'_>], strokes: &Strokes, paint: Paint) {
    let mut shown = vec![false; view.slots() as usize];
    let mut stamps = Stamps { of: vec![0; view.slots() as usize], last: 0 };
    // The members still to come of all levels, last first, and where each level begins. Their depth is that of the graph.
    let (mut members, mut levels): (Vec<Member>, Vec<usize>) = (Vec::new(), Vec::new());
    for root in roots {
        write_node(view, out, root, None, paint);
        mark(&mut shown, root.slot);
        levels.push(members.len());
        stamps.members(view, root.definition, &mut members);
        while let Some(begin) = levels.last() {
            if members.len() <= *begin {
                levels.pop();
                continue;
            }
            let Some((relation, slot)) = members.pop() else { break };
            let Some(row) = view.row(slot) else { continue };
            for (depth, begin) in levels.iter().enumerate() {
                let (end, stroke) = levels.get(depth + 1).map_or((members.len(), 0), |end| (*end, 2));
                // The last one of a level has the next stroke.
                let _ = out.write_str(strokes[stroke + usize::from(*begin == end)]);
            }
            let again = shown.get(slot.index()).copied().unwrap_or(true);
            let end = members.len();
            stamps.members(view, row.definition, &mut members);
            write_node(view, out, &row, Some((relation, again && members.len() > end)), paint);
            if again {
                members.truncate(end);
            } else {
                mark(&mut shown, slot);
                levels.push(end);
            }
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

fn mark(shown: &mut [bool], slot: SlotId) {
    if let Some(place) = shown.get_mut(slot.index()) {
        *place = true;
    }
}

fn write_node(view: &View<'_>, out: &mut dyn Write, row: &Row<'_>, below: Option<(Relation, bool)>, paint: Paint) {
    let saying = Saying { view, about: About::Service(row), paint, known: "" };
    saying.say(out, "$n $p< $i>< by $Y>");
    match below {
        Some((Relation::Needs | Relation::Contains, _)) | None => {}
        Some((relation, _)) => {
            let _ = write!(out, " ({})", relation.name());
        }
    }
    saying.say(out, if matches!(below, Some((_, true))) { "<: $X> ...\n" } else { "<: $X>\n" });
}

/// Where trees begin: what is booted or switched to, and whatever nothing depends on.
pub fn roots<'a>(view: &View<'a>) -> Vec<Row<'a>> {
    let mut roots = Vec::new();
    let current = view.current();
    if let Some(row) = current.and_then(|slot| view.row(slot)) {
        roots.push(row);
    }
    for row in view.rows(false) {
        let needed = row.slot == row.definition
            && view.image.reverse(row.definition).any(|edge| {
                !matches!(edge.relation, Relation::After | Relation::Conflicts | Relation::Observes | Relation::Listens)
            });
        if !needed && Some(row.slot) != current {
            roots.push(row);
        }
    }
    roots
}
