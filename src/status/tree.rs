//! Dependencies as a tree, with the phase of each.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::{Paint, Painted, Row, View};
use crate::graph::Relation;
use crate::ident::SlotId;

/// The strokes of a tree: for a member with others behind it, the last member, below the first, below the last.
pub type Strokes = [&'static str; 4];
/// For terminals of UTF-8.
pub const LINES: Strokes = ["\u{251c}\u{2500} ", "\u{2514}\u{2500} ", "\u{2502}  ", "   "];
/// For everything else.
pub const ASCII: Strokes = ["|- ", "`- ", "|  ", "   "];

/// Writes what `roots` depend on, each service with its own dependencies once; where it comes again, `...` stands.
pub fn write(view: &View<'_>, out: &mut dyn Write, roots: &[SlotId], strokes: &Strokes, paint: Paint) -> fmt::Result {
    let mut shown = vec![false; view.slots() as usize];
    // One entry a level: the members still to come. Its depth is that of the graph.
    let mut levels: Vec<Level> = Vec::new();
    for root in roots {
        let Some(row) = view.row(*root) else { continue };
        write_node(view, out, &row, None, paint)?;
        mark(&mut shown, row.slot);
        levels.push(Level { of: row.definition, at: 0 });
        while let Some(level) = levels.last_mut() {
            let Some((relation, slot)) = level.next(view) else {
                levels.pop();
                continue;
            };
            let Some(row) = view.row(slot) else { continue };
            for (depth, level) in levels.iter().enumerate() {
                let last = level.clone().next(view).is_none();
                let stroke = match (depth + 1 == levels.len(), last) {
                    (true, false) => 0,
                    (true, true) => 1,
                    (false, false) => 2,
                    (false, true) => 3,
                };
                out.write_str(strokes[stroke])?;
            }
            let again = shown.get(slot.index()).copied().unwrap_or(true);
            let leaf = Level { of: row.definition, at: 0 }.next(view).is_none();
            write_node(view, out, &row, Some((relation, again && !leaf)), paint)?;
            if !again {
                mark(&mut shown, slot);
                levels.push(Level { of: row.definition, at: 0 });
            }
        }
    }
    Ok(())
}

fn mark(shown: &mut [bool], slot: SlotId) {
    if let Some(place) = shown.get_mut(slot.index()) {
        *place = true;
    }
}

fn write_node(
    view: &View<'_>,
    out: &mut dyn Write,
    row: &Row<'_>,
    below: Option<(Relation, bool)>,
    paint: Paint,
) -> fmt::Result {
    write!(out, "{} {}", row.name, Painted(row.phase, paint))?;
    if row.report.pid != 0 {
        write!(out, " {}", row.report.pid)?;
    }
    match below {
        Some((Relation::Needs | Relation::Contains, _)) | None => {}
        Some((relation, _)) => write!(out, " ({})", relation.name())?,
    }
    if matches!(row.phase, crate::graph::Phase::Failed) {
        write!(out, ": {}", view.exit(row))?;
    }
    out.write_str(if matches!(below, Some((_, true))) { " ...\n" } else { "\n" })
}

/// The members of one node that are still to come.
#[derive(Clone)]
struct Level {
    of: SlotId,
    at: usize,
}

impl Level {
    /// The next dependency. A service that is needed and wanted comes once, by the strongest relation.
    fn next(&mut self, view: &View<'_>) -> Option<(Relation, SlotId)> {
        loop {
            let edge = view.image.edges(self.of).nth(self.at)?;
            self.at += 1;
            let earlier = view.image.edges(self.of).take(self.at - 1);
            let shows = |relation| {
                matches!(
                    relation,
                    Relation::Needs | Relation::Binds | Relation::NeedsToStart | Relation::Wants | Relation::Contains
                )
            };
            if shows(edge.relation) && !earlier.clone().any(|other| other.slot == edge.slot && shows(other.relation)) {
                return Some((edge.relation, edge.slot));
            }
        }
    }
}

/// Where trees begin: the boot bundle, and whatever nothing depends on.
pub fn roots(view: &View<'_>) -> Vec<SlotId> {
    let boot = view.boot_slot();
    let mut roots: Vec<SlotId> = boot.into_iter().collect();
    for row in view.rows(false) {
        let needed = row.slot == row.definition
            && view.image.reverse(row.definition).any(|edge| {
                !matches!(edge.relation, Relation::After | Relation::Conflicts | Relation::Observes | Relation::Listens)
            });
        if !needed && Some(row.slot) != boot {
            roots.push(row.slot);
        }
    }
    roots
}
