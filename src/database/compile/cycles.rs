//! What can never come up: cycles in the order of starts, and services that need what they conflict with.
//!
//! Nothing here recurses: a chain may be as long as there are services.

use alloc::vec::Vec;

use super::super::NONE;
use super::edges::{Edges, Link};
use crate::graph::Relation;

/// Whether the source can only start with the target up, or may come to that.
const fn requires(relation: Relation) -> bool {
    match relation {
        Relation::Needs | Relation::Binds | Relation::NeedsToStart | Relation::Contains | Relation::Alternative => true,
        Relation::Wants | Relation::After | Relation::Conflicts | Relation::Observes | Relation::Listens => false,
    }
}

/// Edges that are looked at while a shorter cycle is searched for: enough for every component of a usual size.
const SEARCH_EDGES_MAX: usize = 4_000_000;

/// One cycle for each strongly connected component of the order graph, each a path of edges that ends where it begins;
/// the shortest one, in a component of moderate size. It begins with its service of the lowest number.
#[inline(never)]
pub fn find(edges: &Edges, found: &mut dyn FnMut(&[Link])) {
    let nodes = components(edges);
    // For each component the length of the shortest cycle that is known, and where it begins. The starts go up, and a
    // cycle that is shorter than all from lower starts goes through none of them: each begins with its lowest member.
    let mut best = alloc::vec![(0, 0); nodes.len()];
    let mut search = Search::new(edges);
    let inside = |link: &Link| {
        let component = |service: u32| nodes[service as usize].component;
        link.relation.is_in(Relation::ORDERS) && component(link.target) == component(link.source)
    };
    for start in 0..nodes.len() {
        let best = &mut best[nodes[start].component as usize];
        if best.0 == 1 || best.0 > 0 && search.budget == 0 {
            continue;
        }
        let limit = if best.0 == 0 { usize::MAX } else { best.0 };
        if let Some(last) = search.run(start as u32, limit, &inside) {
            *best = (search.path(start as u32, last).len(), start);
        }
    }
    for node in &nodes {
        let (length, start) = core::mem::take(&mut best[node.component as usize]);
        if length > 0
            && let Some(last) = search.run(start as u32, usize::MAX, &inside)
        {
            found(&search.path(start as u32, last));
        }
    }
}

/// What Tarjan's algorithm knows of a service.
#[derive(Clone, Copy)]
struct Node {
    /// When it was visited; `NONE` for not yet.
    number: u32,
    low: u32,
    /// `NONE` until it is known.
    component: u32,
    /// The edge to be looked at next.
    next: u32,
    /// From where it was visited.
    caller: u32,
    /// The one that was visited before it and whose component is not known yet.
    below: u32,
}

/// Tarjan's strongly connected components (1972), with its two stacks as links between the services.
#[inline(never)]
fn components(edges: &Edges) -> Vec<Node> {
    let unknown = Node { number: NONE, low: 0, component: NONE, next: 0, caller: NONE, below: NONE };
    let mut nodes = alloc::vec![unknown; edges.services()];
    let (mut visited, mut count, mut open) = (0, 0, NONE);
    for root in 0..nodes.len() as u32 {
        let (mut service, mut caller) = (root, NONE);
        while service != NONE {
            let range = edges.range(service);
            let node = &mut nodes[service as usize];
            if node.number == NONE {
                let next = range.start as u32;
                *node = Node { number: visited, low: visited, next, caller, below: open, ..unknown };
                visited += 1;
                open = service;
            }
            if node.component != NONE {
                // A root that was visited from another one.
                break;
            }
            if (node.next as usize) < range.end {
                let link = &edges.all()[node.next as usize];
                node.next += 1;
                let target = nodes[link.target as usize];
                if !link.relation.is_in(Relation::ORDERS) {
                } else if target.number == NONE {
                    (service, caller) = (link.target, service);
                } else if target.component == NONE {
                    let node = &mut nodes[service as usize];
                    node.low = node.low.min(target.number);
                }
                continue;
            }
            let done = *node;
            if done.low == done.number {
                loop {
                    let member = &mut nodes[open as usize];
                    member.component = count;
                    if core::mem::replace(&mut open, member.below) == service {
                        break;
                    }
                }
                count += 1;
            }
            service = done.caller;
            if let Some(caller) = nodes.get_mut(service as usize) {
                caller.low = caller.low.min(done.low);
            }
        }
    }
    nodes
}

/// Breadth-first searches. `reached` is for each service the edge by which it was reached.
struct Search<'a> {
    edges: &'a Edges,
    reached: Vec<u32>,
    queue: Vec<u32>,
    budget: usize,
}

impl<'a> Search<'a> {
    fn new(edges: &'a Edges) -> Search<'a> {
        let reached = alloc::vec![NONE; edges.services()];
        Search { edges, reached, queue: Vec::new(), budget: SEARCH_EDGES_MAX }
    }

    /// Follows these edges from `start` until one leads back to it: that one, if it is within fewer than `limit` steps.
    fn run(&mut self, start: u32, limit: usize, follow: &dyn Fn(&Link) -> bool) -> Option<usize> {
        for &service in &self.queue {
            self.reached[service as usize] = NONE;
        }
        self.queue.clear();
        self.queue.push(start);
        let (mut head, mut level_end, mut steps) = (0, 1, 1);
        while head < self.queue.len() && steps < limit {
            for at in self.edges.range(self.queue[head]) {
                self.budget = self.budget.saturating_sub(1);
                let link = &self.edges.all()[at];
                if !follow(link) {
                    continue;
                }
                if link.target == start {
                    return Some(at);
                }
                if self.reached[link.target as usize] == NONE {
                    self.reached[link.target as usize] = at as u32;
                    self.queue.push(link.target);
                }
            }
            head += 1;
            if head == level_end {
                (level_end, steps) = (self.queue.len(), steps + 1);
            }
        }
        None
    }

    /// The path from `start` whose last edge is `last`.
    fn path(&self, start: u32, mut last: usize) -> Vec<Link> {
        let mut path = Vec::new();
        loop {
            let link = self.edges.all()[last];
            path.push(link);
            if link.source == start {
                path.reverse();
                return path;
            }
            last = self.reached[link.source as usize] as usize;
        }
    }
}

/// Each pair of a service and a conflict of its own with something that it requires, over however many steps: the path
/// of edges to that one, and the conflict. Each pair once, from its lower end first.
#[inline(never)]
pub fn contradictions(edges: &Edges, found: &mut dyn FnMut(&[Link], &Link)) {
    let mut search = Search::new(edges);
    for service in 0..edges.services() as u32 {
        let mut searched = false;
        for conflict in edges.of(service) {
            if conflict.relation != Relation::Conflicts {
                continue;
            }
            if !searched {
                // Where there are very many conflicts in a very large graph, only direct needs are looked at.
                let limit = if search.budget == 0 { 2 } else { usize::MAX };
                search.run(service, limit, &|link| requires(link.relation) && link.target != service);
                searched = true;
            }
            let last = search.reached[conflict.target as usize];
            if last != NONE {
                found(&search.path(service, last as usize), conflict);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::definition::Position;

    fn graph(services: usize, pairs: &[(u32, Relation, u32)]) -> Edges {
        let link = |&(source, relation, target)| Link {
            source,
            target,
            relation,
            turned: false,
            position: Position::default(),
        };
        Edges::new(services, pairs.iter().map(link).collect())
    }

    fn cycles(services: usize, pairs: &[(u32, Relation, u32)]) -> Vec<Vec<u32>> {
        let mut found = Vec::new();
        let sources = |cycle: &[Link]| cycle.iter().map(|link| link.source).collect();
        find(&graph(services, pairs), &mut |cycle| found.push(sources(cycle)));
        found
    }

    #[test]
    fn one_shortest_cycle_a_component() {
        use Relation::*;
        let pairs = [
            (0, Needs, 1),
            (1, After, 2),
            (2, Wants, 3),
            (3, Binds, 0),
            (3, Contains, 2),
            (4, After, 4),
            (5, Observes, 6),
            (6, NeedsToStart, 5),
            (7, Needs, 0),
        ];
        assert_eq!(cycles(8, &pairs), [alloc::vec![2, 3], alloc::vec![4], alloc::vec![5, 6]]);
    }

    #[test]
    fn what_does_not_order_makes_no_cycle() {
        use Relation::*;
        let pairs = [(0, Conflicts, 1), (1, Conflicts, 0), (2, Listens, 2), (0, Needs, 2), (1, Needs, 2)];
        assert_eq!(cycles(3, &pairs), Vec::<Vec<u32>>::new());
    }

    #[test]
    fn a_long_chain_is_walked_without_recursion() {
        let count = 100_000;
        let mut pairs: Vec<_> = (1..count).map(|n| (n - 1, Relation::Needs, n)).collect();
        assert!(cycles(count as usize, &pairs).is_empty());
        pairs.push((count - 1, Relation::After, 0));
        let found = cycles(count as usize, &pairs);
        assert_eq!((found.len(), found[0].len()), (1, count as usize));
        assert!(found[0].iter().enumerate().all(|(at, &service)| at == service as usize));
    }

    #[test]
    fn what_is_needed_and_in_conflict_is_found_over_steps() {
        use Relation::*;
        let edges = graph(4, &[(0, Needs, 1), (1, Contains, 2), (0, Conflicts, 2), (2, Conflicts, 0), (3, Wants, 0)]);
        let mut found = Vec::new();
        contradictions(&edges, &mut |path, conflict| {
            let path: Vec<_> = path.iter().map(|link| (link.source, link.target)).collect();
            found.push((path, conflict.target));
        });
        assert_eq!(found, [(alloc::vec![(0, 1), (1, 2)], 2)]);
    }
}
