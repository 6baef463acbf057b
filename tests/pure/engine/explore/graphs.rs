//! The graphs that are explored, each once.
//!
//! A graph is a relation (or none) for each pair of services, a kind for each, and at most one `while = net`. Its services
//! have numbers; each relation goes from the higher to the lower, so that there is no cycle, and every acyclic graph is one
//! of these under some numbering. Of all that are the same but for the numbering one is kept, and it must be connected: a
//! graph of several parts behaves as each of them by itself. Slots go by name, and names are given in the order of the
//! numbers, and once more the other way round.

use super::super::world::try_database;

/// What one service has to do with another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Link {
    None,
    Needs,
    Binds,
    NeedsToStart,
    Wants,
    After,
    Conflicts,
    Contains,
    WhileUp,
    WhileNotFailed,
}

impl Link {
    const ALL: [Link; 10] = [
        Link::None,
        Link::Needs,
        Link::Binds,
        Link::NeedsToStart,
        Link::Wants,
        Link::After,
        Link::Conflicts,
        Link::Contains,
        Link::WhileUp,
        Link::WhileNotFailed,
    ];
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Longrun,
    /// A oneshot that remains.
    Oneshot,
    /// One that does not.
    Once,
    Bundle,
    /// A longrun that may be skipped.
    Skips,
    /// ... and counts as up then.
    SkipsWell,
}

impl Kind {
    /// Stays, and lives again.
    pub fn is_longrun(self) -> bool {
        matches!(self, Kind::Longrun | Kind::Skips | Kind::SkipsWell)
    }

    pub fn is_oneshot(self) -> bool {
        matches!(self, Kind::Oneshot | Kind::Once)
    }

    pub fn skips(self) -> bool {
        matches!(self, Kind::Skips | Kind::SkipsWell)
    }
}

pub const MOST: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Graph {
    pub count: usize,
    /// `links[from][to]`, `from` above `to`.
    links: [[Link; MOST]; MOST],
    kinds: [Kind; MOST],
    gate: Option<usize>,
    /// Names are given the other way round.
    backwards: bool,
}

/// Which kinds and conditions a family of graphs has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Every kind and every place of the condition; of what may be skipped one, among longruns and bundles, without it.
    Full,
    /// Longruns (bundles where they contain something); then, one after the other, the condition at each place, and each
    /// service that others lean on as a oneshot, and as one that may be skipped.
    Single,
    /// Longruns and bundles alone.
    Plain,
}

impl Graph {
    /// All of `count` services, in an order that never changes; or of the choices of relations one in so many.
    pub fn all(count: usize, family: Family, every: usize) -> Vec<Graph> {
        let pairs: Vec<(usize, usize)> = (1..count).flat_map(|from| (0..from).map(move |to| (from, to))).collect();
        let mut found = Vec::new();
        for mut choice in (0..Link::ALL.len().pow(pairs.len() as u32)).step_by(every) {
            let mut links = [[Link::None; MOST]; MOST];
            for (from, to) in &pairs {
                links[*from][*to] = Link::ALL[choice % Link::ALL.len()];
                choice /= Link::ALL.len();
            }
            let mut graph = Graph { count, links, kinds: [Kind::Longrun; MOST], gate: None, backwards: false };
            for (kind, links) in graph.kinds.iter_mut().zip(&links) {
                if links.contains(&Link::Contains) {
                    *kind = Kind::Bundle;
                }
            }
            if graph.is_connected() && (family == Family::Full || graph.is_first()) {
                graph.variants(family, &mut found);
            }
        }
        found
    }

    /// This one with kinds and conditions, and with names both ways.
    fn variants(self, family: Family, found: &mut Vec<Graph>) {
        let mut all = vec![self];
        match family {
            Family::Plain => {}
            Family::Single => {
                for at in 0..self.count {
                    all.push(Graph { gate: Some(at), ..self });
                    let leant_on = self.links.iter().any(|links| !matches!(links[at], Link::None | Link::Conflicts));
                    if leant_on && self.kinds[at] == Kind::Longrun {
                        // One or the other.
                        for kind in [Kind::Oneshot, if at % 2 == 0 { Kind::SkipsWell } else { Kind::Skips }] {
                            let mut kinds = self.kinds;
                            kinds[at] = kind;
                            all.push(Graph { kinds, ..self });
                        }
                    }
                }
            }
            Family::Full => {
                const KINDS: [Kind; 6] =
                    [Kind::Longrun, Kind::Oneshot, Kind::Once, Kind::Bundle, Kind::Skips, Kind::SkipsWell];
                for mut choice in 0..KINDS.len().pow(self.count as u32) {
                    let mut kinds = self.kinds;
                    for kind in &mut kinds[..self.count] {
                        *kind = KINDS[choice % KINDS.len()];
                        choice /= KINDS.len();
                    }
                    let skips = kinds.iter().filter(|kind| kind.skips()).count();
                    if skips > 1 || skips == 1 && kinds.iter().any(|kind| kind.is_oneshot()) {
                        continue;
                    }
                    if (0..self.count).all(|at| self.kinds[at] != Kind::Bundle || kinds[at] == Kind::Bundle) {
                        for gate in [None, Some(0), Some(1)].into_iter().take(if skips == 0 { 3 } else { 1 }) {
                            all.push(Graph { kinds, gate, ..self });
                        }
                    }
                }
                all.retain(|graph| graph.gate.is_none_or(|at| at < self.count) && graph.is_first());
                all.sort_by_key(|graph| graph.code(&[0, 1, 2, 3]));
                all.dedup();
            }
        }
        for graph in all {
            found.push(graph);
            if self.count > 1 {
                found.push(Graph { backwards: true, ..graph });
            }
        }
    }

    /// Whether it is not left out where only the order of names differs: that decides which of two equals comes first, and
    /// with that something only between two that conflict.
    pub fn has_another_order(&self) -> bool {
        !self.backwards || self.links.iter().flatten().any(|link| *link == Link::Conflicts)
    }

    fn is_connected(&self) -> bool {
        let mut reached = vec![0];
        let mut at = 0;
        while let Some(one) = reached.get(at).copied() {
            at += 1;
            for other in 0..self.count {
                let linked = self.links[one][other] != Link::None || self.links[other][one] != Link::None;
                if linked && !reached.contains(&other) {
                    reached.push(other);
                }
            }
        }
        reached.len() == self.count
    }

    /// All that there is to say about it, services renumbered.
    fn code(&self, numbers: &[usize; MOST]) -> u64 {
        let mut code = 0;
        for from in 0..self.count {
            for to in 0..self.count {
                let (from, to) = (numbers[from], numbers[to]);
                let mut link = self.links[from][to];
                if self.links[to][from] == Link::Conflicts {
                    link = Link::Conflicts;
                }
                if from != to {
                    code = code * Link::ALL.len() as u64 + link as u64;
                }
            }
        }
        for at in &numbers[..self.count] {
            code = code * 16 + self.kinds[*at] as u64 * 2 + u64::from(self.gate == Some(*at));
        }
        code
    }

    /// Whether no other numbering of the same graph, with its relations downwards too, comes before it.
    fn is_first(&self) -> bool {
        let own = self.code(&[0, 1, 2, 3]);
        let mut numbers = [0, 1, 2, 3];
        permutations(&mut numbers, self.count, 0, &mut |numbers| {
            let downwards = (0..self.count).all(|from| {
                (from..self.count)
                    .all(|to| matches!(self.links[numbers[from]][numbers[to]], Link::None | Link::Conflicts))
            });
            !downwards || self.code(numbers) >= own
        })
    }

    /// The slot of a number, or the number of a slot; where names go the other way, the last has the first slot.
    pub fn slot(&self, number: usize) -> usize {
        if self.backwards { self.count - 1 - number } else { number }
    }

    pub fn kind(&self, slot: usize) -> Kind {
        self.kinds[self.slot(slot)]
    }

    /// Has `while = net`.
    pub fn is_gated(&self, slot: usize) -> bool {
        self.gate == Some(self.slot(slot))
    }

    /// The other leaves of its `while`: of whom, and whether `not failed()` rather than `up()`.
    pub fn observed(&self, slot: usize) -> Vec<(usize, bool)> {
        let links = &self.links[self.slot(slot)];
        let all = [(Link::WhileUp, false), (Link::WhileNotFailed, true)];
        let of = |to: usize| all.iter().find(|(link, _)| links[to] == *link).map(|(_, not)| (self.slot(to), *not));
        (0..self.count).filter_map(of).collect()
    }

    fn name(&self, number: usize) -> &'static str {
        ["a", "b", "c", "d"][self.slot(number)]
    }

    /// The service files.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for at in 0..self.count {
            let mut keys: Vec<String> = Vec::new();
            match self.kinds[at] {
                Kind::Longrun => {}
                Kind::Oneshot => keys.push("type = oneshot".into()),
                Kind::Once => keys.push("type = oneshot; remain = no".into()),
                Kind::Bundle => keys.push("type = bundle".into()),
                Kind::Skips => keys.push("only-if = path /x".into()),
                Kind::SkipsWell => keys.push("only-if = path /x; skip-ok = yes".into()),
            }
            let mut gate: Vec<String> = Vec::new();
            if self.gate == Some(at) {
                gate.push("net".into());
            }
            for (link, key) in [
                (Link::Needs, "needs"),
                (Link::Binds, "binds"),
                (Link::NeedsToStart, "needs-to-start"),
                (Link::Wants, "wants"),
                (Link::After, "after"),
                (Link::Conflicts, "conflicts"),
                (Link::Contains, "contains"),
            ] {
                let names: Vec<&str> =
                    (0..at).filter(|to| self.links[at][*to] == link).map(|to| self.name(to)).collect();
                if !names.is_empty() {
                    keys.push(format!("{key} = {}", names.join(" ")));
                }
            }
            for to in 0..at {
                match self.links[at][to] {
                    Link::WhileUp => gate.push(format!("up({})", self.name(to))),
                    Link::WhileNotFailed => gate.push(format!("not failed({})", self.name(to))),
                    _ => {}
                }
            }
            if !gate.is_empty() {
                keys.push(format!("while = {}", gate.join(" and ")));
            }
            text += &format!("{}: {}\n", self.name(at), keys.join("; "));
        }
        text
    }

    /// The database, where the compiler takes it: nothing may need what it conflicts with, or what is gone at once.
    pub fn compile(&self) -> Option<Vec<u8>> {
        try_database(&self.text()).ok()
    }
}

/// Calls with each order of the first `count`; stops, and says so, where one is refused.
fn permutations(
    numbers: &mut [usize; MOST],
    count: usize,
    done: usize,
    takes: &mut dyn FnMut(&[usize; MOST]) -> bool,
) -> bool {
    if done == count {
        return takes(numbers);
    }
    for at in done..count {
        numbers.swap(done, at);
        let goes_on = permutations(numbers, count, done + 1, takes);
        numbers.swap(done, at);
        if !goes_on {
            return false;
        }
    }
    true
}
