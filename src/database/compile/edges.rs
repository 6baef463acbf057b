//! Edges of all services, in one array by source, merged; and from the target's end.

use alloc::vec::Vec;

use crate::graph::Relation;
use crate::graph::relation::Edge;
use crate::ident::SlotId;
use crate::lang::definition::Position;
use crate::lang::order::{order, sort};

/// One edge and who asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// Who has the edge.
    pub source: u32,
    /// To whom.
    pub target: u32,
    /// What is asked.
    pub relation: Relation,
    /// Written from the target's end.
    pub turned: bool,
    /// Where it was written.
    pub position: Position,
}

impl Link {
    /// The word of EDGES.
    pub fn word(&self) -> u32 {
        Edge { relation: self.relation, slot: SlotId(self.target) }.to_word()
    }
}

/// All edges, by source, then by relation and target (those of a choice as they were given); each once.
pub struct Edges {
    /// For each source the index of its first link, and one more: the number of links.
    first: Vec<u32>,
    links: Vec<Link>,
}

impl Edges {
    /// Sorts and merges: to each target the strongest of those that imply one another, and each other one once. What is
    /// written at both ends counts as written at the target's. The links' ends are below `services`.
    #[inline(never)]
    pub fn new(services: usize, mut links: Vec<Link>) -> Edges {
        let rank = |link: &Link| strength(link.relation).unwrap_or(5 + link.relation as u32);
        // Slots have 28 bits.
        let ends = |link: &Link| u64::from(link.source) << 28 | u64::from(link.target);
        let key = |link: &Link| {
            // A choice has no others, and they are distinct.
            let place = if link.relation == Relation::Alternative { u64::from(link.source) << 28 } else { ends(link) };
            place << 8 | u64::from(rank(link) << 1) | u64::from(!link.turned)
        };
        sort(&mut links, &|a, b| key(a).cmp(&key(b)));
        let mut kept = 0;
        for at in 0..links.len() {
            let link = links[at];
            let merges = |stronger: &Link| {
                let implied = strength(link.relation).is_some() && strength(stronger.relation).is_some();
                ends(&link) == ends(stronger) && (link.relation == stronger.relation || implied)
            };
            if !links[..kept].last().is_some_and(merges) {
                links[kept] = link;
                kept += 1;
            }
        }
        links.truncate(kept);
        let word = |link: &Link| if link.relation == Relation::Alternative { 0 } else { link.word() };
        let key = |link: &Link| u64::from(link.source) << 32 | u64::from(word(link));
        sort(&mut links, &|a, b| key(a).cmp(&key(b)));
        Edges { first: starts(services, &links, &|link| link.source), links }
    }

    /// Number of edges.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Number of services.
    pub fn services(&self) -> usize {
        self.first.len() - 1
    }

    /// All edges.
    pub fn all(&self) -> &[Link] {
        &self.links
    }

    /// Indices of the edges of one source.
    pub fn range(&self, source: u32) -> core::ops::Range<usize> {
        self.first[source as usize] as usize..self.first[source as usize + 1] as usize
    }

    /// Edges of one source.
    pub fn of(&self, source: u32) -> &[Link] {
        &self.links[self.range(source)]
    }

    /// For each target the index of its first edge, and the words from its end, sorted.
    pub fn reverse(&self) -> (Vec<u32>, Vec<u32>) {
        let word = |link: &Link| Edge { relation: link.relation, slot: SlotId(link.source) }.to_word();
        let key = |at: usize| u64::from(self.links[at].target) << 32 | u64::from(word(&self.links[at]));
        let mut words = order(self.links.len(), &|a, b| key(a).cmp(&key(b)));
        for at in &mut words {
            *at = word(&self.links[*at as usize]);
        }
        (starts(self.services(), &self.links, &|link| link.target), words)
    }
}

/// Where the links of each service begin, once they are sorted by it; and one more.
fn starts(services: usize, links: &[Link], service: &dyn Fn(&Link) -> u32) -> Vec<u32> {
    let mut starts = alloc::vec![0u32; services + 1];
    for link in links {
        starts[service(link) as usize + 1] += 1;
    }
    for at in 0..services {
        starts[at + 1] += starts[at];
    }
    starts
}

/// Of `binds`, `needs`, `needs-to-start`, `wants`, `after` each asks for all that those behind it ask for. The others
/// stand alone.
const fn strength(relation: Relation) -> Option<u32> {
    match relation {
        Relation::Binds => Some(0),
        Relation::Needs => Some(1),
        Relation::NeedsToStart => Some(2),
        Relation::Wants => Some(3),
        Relation::After => Some(4),
        Relation::Conflicts | Relation::Contains | Relation::Observes | Relation::Listens | Relation::Alternative => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(source: u32, relation: Relation, target: u32, turned: bool) -> Link {
        Link { source, target, relation, turned, position: Position::default() }
    }

    #[test]
    fn the_stronger_relation_stays_and_others_stand_alone() {
        use Relation::*;
        let links = alloc::vec![
            link(1, After, 0, false),
            link(1, Needs, 0, false),
            link(1, Needs, 0, true),
            link(1, Wants, 0, false),
            link(1, Observes, 0, false),
            link(1, Conflicts, 2, false),
            link(1, Conflicts, 2, false),
            link(0, After, 2, true),
        ];
        let edges = Edges::new(3, links);
        assert_eq!(edges.of(0), [link(0, After, 2, true)]);
        let kept = [link(1, Needs, 0, true), link(1, Conflicts, 2, false), link(1, Observes, 0, false)];
        assert_eq!(edges.of(1), kept);
        assert_eq!(edges.of(2), []);
        let (first, words) = edges.reverse();
        assert_eq!(first, [0, 2, 2, 4]);
        let word = |relation, slot| Edge { relation, slot: SlotId(slot) }.to_word();
        assert_eq!(words, [word(Needs, 1), word(Observes, 1), word(After, 0), word(Conflicts, 1)]);
    }
}
