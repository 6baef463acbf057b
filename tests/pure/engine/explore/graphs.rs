//! The graphs that are explored, each once.
//!
//! A graph is a relation (or none) for each pair of services, a kind for each, and at most one `while = net`. Its
//! services have numbers; each relation goes from the higher to the lower, so that there is no cycle, and every acyclic
//! graph is one of these under some numbering. Of all that are the same but for the numbering one is kept, and it must
//! be connected: a graph of several parts behaves as each of them by itself. Slots go by name, and names are given in
//! the order of the numbers, and once more the other way round.
//!
//! A choice is one more node, with a relation to each of its alternatives, two at least. Nobody contains or follows it
//! or conflicts with it: such a name means all that provide it, and these relations are there already. One way round it
//! is a name that its alternatives provide; the other way it is written as a list by all who lean on it, where such a
//! list may be written. What is liked better comes first by name: so of two each is liked better once; of three or more
//! the order is that of the numbers, once up and once down.

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
    /// Of a choice.
    Alternative,
}

impl Link {
    /// Those to a choice.
    const TO_CHOICE: [Link; 7] =
        [Link::None, Link::Needs, Link::Binds, Link::NeedsToStart, Link::Wants, Link::WhileUp, Link::WhileNotFailed];
    const OF_CHOICE: [Link; 2] = [Link::None, Link::Alternative];
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
    /// Not a service, but a slot.
    Choice,
}

impl Kind {
    /// Stays, and lives again.
    pub fn is_longrun(self) -> bool {
        matches!(self, Kind::Longrun | Kind::Skips | Kind::SkipsWell)
    }

    pub fn is_oneshot(self) -> bool {
        matches!(self, Kind::Oneshot | Kind::Once)
    }

    /// Without a process.
    pub fn is_bundle(self) -> bool {
        matches!(self, Kind::Bundle | Kind::Choice)
    }

    pub fn skips(self) -> bool {
        matches!(self, Kind::Skips | Kind::SkipsWell)
    }
}

/// Four services and a choice.
pub const MOST: usize = 5;
const IN_ORDER: [usize; MOST] = [0, 1, 2, 3, 4];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Graph {
    pub count: usize,
    /// `links[from][to]`, `from` above `to`.
    links: [[Link; MOST]; MOST],
    kinds: [Kind; MOST],
    gate: Option<usize>,
    /// Names are given the other way round.
    backwards: bool,
    /// The condition may be changing, too.
    pub changes: bool,
}

/// Which kinds and conditions a family of graphs has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Every kind and every place of the condition; of what may be skipped one, among longruns and bundles, without it.
    Full,
    /// Longruns (bundles where they contain something); then, one after the other, the condition at each place, and
    /// each service that others lean on as a oneshot, and as one that may be skipped.
    Single,
    /// Longruns and bundles alone.
    Plain,
}

impl Graph {
    /// All of `count` services, in an order that never changes; or of the choices of relations one in so many.
    pub fn all(count: usize, family: Family, every: usize) -> Vec<Graph> {
        let mut found = Vec::new();
        Graph::add(count, None, family, every, &mut found);
        found
    }

    /// The same with one choice besides.
    pub fn with_a_choice(services: usize, family: Family, every: usize) -> Vec<Graph> {
        let mut found = Vec::new();
        for choice in 2..=services {
            Graph::add(services + 1, Some(choice), family, every, &mut found);
        }
        found
    }

    fn add(count: usize, the_choice: Option<usize>, family: Family, every: usize, found: &mut Vec<Graph>) {
        let pairs: Vec<(usize, usize)> = (1..count).flat_map(|from| (0..from).map(move |to| (from, to))).collect();
        let links_of = |(from, to): (usize, usize)| match the_choice {
            Some(choice) if choice == from => &Link::OF_CHOICE[..],
            Some(choice) if choice == to => &Link::TO_CHOICE,
            _ => &Link::ALL,
        };
        for mut choice in (0..pairs.iter().map(|pair| links_of(*pair).len()).product()).step_by(every) {
            let mut links = [[Link::None; MOST]; MOST];
            for pair in &pairs {
                let all = links_of(*pair);
                links[pair.0][pair.1] = all[choice % all.len()];
                choice /= all.len();
            }
            let mut graph =
                Graph { count, links, kinds: [Kind::Longrun; MOST], gate: None, backwards: false, changes: true };
            for (kind, links) in graph.kinds.iter_mut().zip(&links) {
                if links.contains(&Link::Contains) {
                    *kind = Kind::Bundle;
                }
            }
            if let Some(at) = the_choice {
                graph.kinds[at] = Kind::Choice;
                if links[at].iter().filter(|link| **link == Link::Alternative).count() < 2 {
                    continue;
                }
            }
            if graph.is_connected() && (family == Family::Full || graph.is_first()) {
                graph.variants(family, found);
            }
        }
    }

    /// This one with kinds and conditions, and with names both ways.
    fn variants(self, family: Family, found: &mut Vec<Graph>) {
        let mut all = vec![self];
        match family {
            Family::Plain => {}
            Family::Single => {
                for at in (0..self.count).filter(|at| self.kinds[*at] != Kind::Choice) {
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
                        *kind = if *kind == Kind::Choice { *kind } else { KINDS[choice % KINDS.len()] };
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
                all.retain(|graph| {
                    graph.gate.is_none_or(|at| at < self.count && self.kinds[at] != Kind::Choice) && graph.is_first()
                });
                all.sort_by_key(|graph| graph.code(&IN_ORDER));
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

    /// Whether it is not left out where only the order of names differs: that decides which of two equals comes first,
    /// and with that something only between two that conflict, or are alternatives.
    pub fn has_another_order(&self) -> bool {
        let ordered = |link: &Link| matches!(link, Link::Conflicts | Link::Alternative);
        !self.backwards || self.links.iter().flatten().any(ordered)
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
    fn code(&self, numbers: &[usize; MOST]) -> u128 {
        let mut code = 0;
        for from in 0..self.count {
            for to in 0..self.count {
                let (from, to) = (numbers[from], numbers[to]);
                let mut link = self.links[from][to];
                if self.links[to][from] == Link::Conflicts {
                    link = Link::Conflicts;
                }
                if from != to {
                    code = code * 16 + link as u128;
                }
            }
        }
        for at in &numbers[..self.count] {
            code = code * 16 + self.kinds[*at] as u128 * 2 + u128::from(self.gate == Some(*at));
        }
        code
    }

    /// Whether no other numbering of the same graph, with its relations downwards too, comes before it.
    fn is_first(&self) -> bool {
        let own = self.code(&IN_ORDER);
        let mut numbers = IN_ORDER;
        permutations(&mut numbers, self.count, 0, &mut |numbers| {
            let downwards = (0..self.count).all(|from| {
                (from..self.count)
                    .all(|to| matches!(self.links[numbers[from]][numbers[to]], Link::None | Link::Conflicts))
            });
            !downwards || self.code(numbers) >= own
        })
    }

    /// The number of each slot: slots go by name.
    pub fn numbers(&self) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..self.count).collect();
        numbers.sort_by_key(|number| self.name(*number));
        numbers
    }

    /// How many services it has.
    pub fn services(&self) -> usize {
        self.kinds[..self.count].iter().filter(|kind| **kind != Kind::Choice).count()
    }

    pub fn kind(&self, number: usize) -> Kind {
        self.kinds[number]
    }

    /// Has `while = net`.
    pub fn is_gated(&self, number: usize) -> bool {
        self.gate == Some(number)
    }

    /// The other leaves of its `while`: of whom, and whether `not failed()` rather than `up()`.
    pub fn observed(&self, number: usize) -> Vec<(usize, bool)> {
        let links = &self.links[number];
        let all = [(Link::WhileUp, false), (Link::WhileNotFailed, true)];
        let of = |to: usize| all.iter().find(|(link, _)| links[to] == *link).map(|(_, not)| (to, *not));
        (0..self.count).filter_map(of).collect()
    }

    /// A choice that is written as a list by whoever leans on it.
    fn is_list(&self, number: usize) -> bool {
        let mut to = self.links.iter().map(|links| links[number]).filter(|link| *link != Link::None).peekable();
        self.backwards
            && self.kinds[number] == Kind::Choice
            && to.peek().is_some()
            && to.all(|link| !matches!(link, Link::WhileUp | Link::WhileNotFailed))
    }

    fn name(&self, number: usize) -> String {
        if self.is_list(number) {
            let alternatives = (0..number).filter(|to| self.links[number][*to] == Link::Alternative);
            let mut names: Vec<String> = alternatives.map(|to| self.name(to)).collect();
            names.sort();
            return names.join("|");
        }
        let place = if self.backwards { self.count - 1 - number } else { number };
        ["a", "b", "c", "d", "e"][place].to_string()
    }

    /// The service files.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for at in 0..self.count {
            let mut keys: Vec<String> = Vec::new();
            match self.kinds[at] {
                Kind::Choice => continue,
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
                let names: Vec<String> =
                    (0..at).filter(|to| self.links[at][*to] == link).map(|to| self.name(to)).collect();
                if !names.is_empty() {
                    keys.push(format!("{key} = {}", names.join(" ")));
                }
            }
            let chosen_by = (at..self.count).filter(|from| self.links[*from][at] == Link::Alternative);
            keys.extend(
                chosen_by.filter(|from| !self.is_list(*from)).map(|from| format!("provides = {}", self.name(from))),
            );
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
