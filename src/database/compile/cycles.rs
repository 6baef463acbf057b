//! What can never come up: cycles in the order of starts, and services that need what they conflict with.
//!
//! Nothing here recurses: a chain may be as long as there are services.

use alloc::vec::Vec;

use super::super::NONE;
use super::edges::{Edges, Link};
use crate::graph::Relation;

/// Whether a start of the source waits for something of the target: the relations of which a cycle can never be started.
pub const fn orders(relation: Relation) -> bool {
    match relation {
        Relation::Needs
        | Relation::Binds
        | Relation::NeedsToStart
        | Relation::Wants
        | Relation::After
        | Relation::Contains
        | Relation::Observes => true,
        Relation::Conflicts | Relation::Listens => false,
    }
}

/// Whether the source can only start with the target up.
const fn requires(relation: Relation) -> bool {
    match relation {
        Relation::Needs | Relation::Binds | Relation::NeedsToStart | Relation::Contains => true,
        Relation::Wants | Relation::After | Relation::Conflicts | Relation::Observes | Relation::Listens => false,
    }
}

/// Edges that are looked at while a shorter cycle is searched for: enough for every component of a usual size.
const SEARCH_EDGES_MAX: usize = 4_000_000;

/// One cycle for each strongly connected component of the order graph, each a path of edges that ends where it begins;
/// the shortest one, in a component of moderate size. It begins with its service of the lowest number.
pub fn find(edges: &Edges) -> Vec<Vec<Link>> {
    let components = components(edges);
    let mut best: Vec<Vec<Link>> = Vec::new();
    best.resize(components.count as usize, Vec::new());
    let mut search = Search::new(edges);
    for (start, &component) in components.of.iter().enumerate() {
        let known = best[component as usize].len();
        if known == 1 || known > 0 && search.budget == 0 {
            continue;
        }
        let inside = |link: &Link| orders(link.relation) && components.of[link.target as usize] == component;
        let limit = if known == 0 { usize::MAX } else { known };
        if let Some(last) = search.run(start as u32, limit, &inside) {
            best[component as usize] = search.path(start as u32, last);
        }
    }
    let mut found = Vec::new();
    for &component in &components.of {
        let mut cycle = core::mem::take(&mut best[component as usize]);
        // The starts go up, so a cycle found from its lowest member begins there already; a shorter one may not.
        let mut lowest = 0;
        for at in 1..cycle.len() {
            if cycle[at].source < cycle[lowest].source {
                lowest = at;
            }
        }
        if !cycle.is_empty() {
            cycle.rotate_left(lowest);
            found.push(cycle);
        }
    }
    found
}

/// The component of each service.
struct Components {
    of: Vec<u32>,
    count: u32,
}

/// Tarjan's strongly connected components (1972) with the stack of calls as a vector.
fn components(edges: &Edges) -> Components {
    let services = edges.services();
    let mut number = alloc::vec![NONE; services];
    let mut low = alloc::vec![0u32; services];
    let mut of = alloc::vec![NONE; services];
    let mut open: Vec<u32> = Vec::new();
    let mut calls: Vec<(u32, usize)> = Vec::new();
    let (mut visited, mut count) = (0, 0);
    for root in 0..services as u32 {
        if number[root as usize] != NONE {
            continue;
        }
        calls.push((root, edges.range(root).start));
        number[root as usize] = visited;
        low[root as usize] = visited;
        visited += 1;
        open.push(root);
        while let Some(&mut (service, ref mut next)) = calls.last_mut() {
            if *next < edges.range(service).end {
                let link = edges.all()[*next];
                *next += 1;
                let target = link.target as usize;
                if !orders(link.relation) {
                    continue;
                }
                if number[target] == NONE {
                    calls.push((link.target, edges.range(link.target).start));
                    number[target] = visited;
                    low[target] = visited;
                    visited += 1;
                    open.push(link.target);
                } else if of[target] == NONE {
                    low[service as usize] = low[service as usize].min(number[target]);
                }
                continue;
            }
            calls.pop();
            if let Some(&(caller, _)) = calls.last() {
                low[caller as usize] = low[caller as usize].min(low[service as usize]);
            }
            if low[service as usize] == number[service as usize] {
                while let Some(member) = open.pop() {
                    of[member as usize] = count;
                    if member == service {
                        break;
                    }
                }
                count += 1;
            }
        }
    }
    Components { of, count }
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

/// Each pair of a service and a conflict of its own with something that it requires, over however many steps: the path of
/// edges to that one, and the conflict. Each pair once, from its lower end first.
pub fn contradictions(edges: &Edges) -> Vec<(Vec<Link>, Link)> {
    let mut found = Vec::new();
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
                found.push((search.path(service, last as usize), *conflict));
            }
        }
    }
    found
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
        find(&graph(services, pairs)).iter().map(|cycle| cycle.iter().map(|link| link.source).collect()).collect()
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
        let found = contradictions(&edges);
        assert_eq!(found.len(), 1);
        let path: Vec<_> = found[0].0.iter().map(|link| (link.source, link.target)).collect();
        assert_eq!((path, found[0].1.target), (alloc::vec![(0, 1), (1, 2)], 2));
    }
}
