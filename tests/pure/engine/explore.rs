//! Every reachable state of every small graph, breadth first, with the invariants of the design at each state.
//!
//! What is a graph, and which are left out since they are the same as others: `explore/graphs.rs`. What can happen:
//! `explore/moves.rs`: every command on every service that means something in its phase, and on every choice; the
//! condition on, off, changing, and changing for too long; a shutdown; of one or two services a boot, switches, and
//! restarts with dependents; the supervisor acts on orders sooner or later; processes become ready, die, fail, end, are
//! not ready in time, live again unseen, in any order, those of an earlier order too. At each state:
//!
//! 1. nothing was ordered to start while something that it needs was not up by the reports,
//! 2. nothing was ordered to stop while something that needs it was not down,
//! 3. at rest, what is up may be, and what is wished and is not up has a reason,
//! 4. every way through moves that are no inputs and no deaths ends, in any order of them, and where it ends is rest,
//! 5. all that may start, has to stop, or is to restart and may, is told to: by the semantics written once more
//!    (`explore/spec.rs`), with which goals and phases agree too,
//! 6. an engine that takes over the memory thinks the same, bit for bit in all that is derived; and one that takes over
//!    after a step that was killed before its commit finds the facts from before it,
//! 7. what is refused changes nothing,
//! 8. (what a step costs is looked at elsewhere: `cost.rs` for what it writes, `make bench` for its time,)
//! 9. of two that conflict never both have processes; one that is told again what is known, or what is of an earlier order,
//!    changes nothing.
//!
//! Two states are the same where all that decides anything is: see `Explorer::key`. Transactions decide nothing, and
//! are forgotten after each move; the simulator follows them.
//!
//! | services | graphs | `make check` | `make explore` |
//! |---|---|---|---|
//! | one, two | every kind and every place of the condition | all states there are; of two, the condition is changing in one graph of 13 | in all |
//! | three | one condition, or one oneshot, at a time | paths with two inputs or deaths, with three where there is neither | all states there are |
//! | two, three | one place to start, and what is unkillable | paths with three; some, with two | all states of two; three |
//! | four | longruns and bundles | one of 211 choices of relations, two inputs or deaths | every choice, two |
//! | two and a choice | every kind and every place of the condition | paths with three | all states there are |
//! | three and a choice | one condition, or one oneshot, at a time | one of 83 choices of relations, two | every choice, three |
//! | four and a choice | longruns and bundles | one of 200,003, two | one of 1,009, two |
//!
//! By hand (`cargo test`) there is less of each. Where inputs and deaths on a path are bounded, a state is looked at
//! when it is first reached, which is by the fewest of these; everything that follows without them is always looked at.

mod checks;
mod choices;
mod done;
mod explorer;
mod graphs;
mod moves;
mod spec;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use done::Done;
use explorer::{CAPACITIES, Explorer, Saved};
use graphs::{Family, Graph};
use moves::{Move, orders};
use pintle::board::Geometry;
use pintle::database::Image;
use pintle::engine::words_needed;
use spec::Spec;

/// Moves after which a world without inputs and deaths must be at rest.
const BOUND: u32 = 60;
/// States of one graph, where there is no other bound.
const STATES_MAX: usize = 20_000_000;

/// How it came about: from which state, by what.
#[derive(Clone, Copy)]
struct Step {
    from: u32,
    by: Move,
}

/// What was found out about a graph.
#[derive(Clone, Copy, Default, Debug)]
struct Found {
    states: usize,
    moves: usize,
    longest: u32,
}

/// Keys are hashes.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

type Known = HashMap<u128, u32, BuildHasherDefault<Plain>>;

impl<'e> Explorer<'e> {
    /// All states.
    fn explore(&mut self, budget: Option<u32>) -> Result<Found, String> {
        let mut known = Known::default();
        let mut steps: Vec<Step> = Vec::new();
        let mut ways: Vec<(u32, u32)> = Vec::new();
        let mut todo: VecDeque<Saved<'e>> = VecDeque::new();
        let (mut count, mut moves) = (0, Vec::new());
        known.insert(self.key(), 0);
        steps.push(Step { from: u32::MAX, by: Move::Tick });
        todo.push_back(self.save(self.key(), 0, 0));
        while let Some(from) = todo.pop_front() {
            self.restore(&from);
            let seen = orders(&self.engine, self.count());
            let spec = Spec::of(&self.edges, &self.engine, &seen, &self.rows[..self.count()], self.net);
            let mut result = self.check_state(&spec);
            self.moves(budget.is_none_or(|budget| from.used < budget), &mut moves);
            if result.is_ok() && moves.iter().all(|next| next.is_input()) {
                result = self.check_rest(&spec);
            }
            result = result.and_then(|()| self.check_successor());
            if result.is_ok() && self.thorough {
                self.restore(&from);
                result = self.check_told_again();
            }
            result.map_err(|fault| format!("{fault}\n{}{}", self.graph.text(), path(&steps, from.index, None)))?;
            for next in moves.iter().copied() {
                self.restore(&from);
                count += 1;
                let mut result = Ok(());
                match self.step(next) {
                    Err(fault) => result = Err(fault),
                    Ok(answer) => {
                        let key = self.key();
                        if let Err(refusal) = answer
                            && key != from.key
                        {
                            result = Err(format!("7: refused ({}), and something has changed", refusal.text()));
                        }
                        let index = match known.get(&key) {
                            Some(index) => *index,
                            None => {
                                let index = steps.len() as u32;
                                known.insert(key, index);
                                steps.push(Step { from: from.index, by: next });
                                let saved = self.save(key, index, from.used + u32::from(next.is_input()));
                                // Those that take no input first: so each state is first reached by the fewest.
                                if next.is_input() {
                                    todo.push_back(saved)
                                } else {
                                    todo.push_front(saved)
                                }
                                if !self.thorough && result.is_ok() {
                                    result = self.check_killed(&from, next);
                                }
                                index
                            }
                        };
                        if !next.is_input() && index != from.index {
                            ways.push((from.index, index));
                        }
                        if self.thorough && result.is_ok() {
                            result = self.check_killed(&from, next);
                        }
                    }
                }
                result.map_err(|fault| {
                    format!("{fault}\n{}{}", self.graph.text(), path(&steps, from.index, Some(next)))
                })?;
            }
            if steps.len() > STATES_MAX {
                return Err(format!("more than {STATES_MAX} states:\n{}", self.graph.text()));
            }
        }
        let longest = longest_way(steps.len(), &ways).map_err(|at| {
            let ahead = ways.iter().filter(|(from, _)| *from == at).map(|(_, to)| steps[*to as usize].by);
            let ahead: Vec<Move> = ahead.collect();
            format!("4: it never comes to rest\n{}{}\nthen {ahead:?}", self.graph.text(), path(&steps, at, None))
        })?;
        if longest > BOUND {
            return Err(format!("4: {longest} moves to rest\n{}", self.graph.text()));
        }
        Ok(Found { states: steps.len(), moves: count, longest })
    }
}

/// The longest way through moves that are no inputs; where there is a circle, a state on it.
fn longest_way(states: usize, ways: &[(u32, u32)]) -> Result<u32, u32> {
    let mut first = vec![0u32; states + 1];
    let mut into = vec![0u32; states];
    for (from, to) in ways {
        first[*from as usize + 1] += 1;
        into[*to as usize] += 1;
    }
    for at in 0..states {
        first[at + 1] += first[at];
    }
    let mut to_of = vec![0u32; ways.len()];
    let mut next = first.clone();
    for (from, to) in ways {
        to_of[next[*from as usize] as usize] = *to;
        next[*from as usize] += 1;
    }
    let mut length = vec![0u32; states];
    let mut open: Vec<u32> = (0..states as u32).filter(|at| into[*at as usize] == 0).collect();
    let mut done = 0;
    while let Some(at) = open.pop() {
        done += 1;
        for to in &to_of[first[at as usize] as usize..first[at as usize + 1] as usize] {
            length[*to as usize] = length[*to as usize].max(length[at as usize] + 1);
            into[*to as usize] -= 1;
            if into[*to as usize] == 0 {
                open.push(*to);
            }
        }
    }
    let Some(left) = into.iter().position(|left| *left > 0).filter(|_| done < states) else {
        return Ok(length.into_iter().max().unwrap_or(0));
    };
    // Each that is left has one before it that is left: going back leads onto the circle.
    let mut at = left as u32;
    for _ in 0..states {
        let before = ways.iter().find(|(from, to)| *to == at && into[*from as usize] > 0);
        at = before.map_or(at, |(from, _)| *from);
    }
    Err(at)
}

fn path(steps: &[Step], mut index: u32, last: Option<Move>) -> String {
    let mut moves: Vec<Move> = last.into_iter().collect();
    while steps[index as usize].from != u32::MAX {
        moves.push(steps[index as usize].by);
        index = steps[index as usize].from;
    }
    moves.iter().rev().map(|step| format!("\n  {step:?}")).collect()
}

/// Explores one graph, in memory that is given back.
fn explore_graph(graph: &Graph, budget: Option<u32>, limit: u32, thorough: bool) -> Option<Result<Found, String>> {
    let bytes = graph.compile()?;
    let image = Image::open(&bytes).expect("the compiler makes good databases");
    let words = words_needed(&image, Geometry::of(&image), CAPACITIES);
    let memory: Vec<AtomicU32> = (0..words).map(|_| AtomicU32::new(0)).collect();
    Some(Explorer::new(graph, image, &memory, limit, thorough).explore(budget))
}

/// Graphs, and what was found out about all of them; one without states is none.
fn add(total: &mut (usize, Found), found: &Found) {
    total.0 += usize::from(found.states > 0);
    total.1.states += found.states;
    total.1.moves += found.moves;
    total.1.longest = total.1.longest.max(found.longest);
}

/// Explores these graphs in turn, some at a time.
fn explore(name: &str, graphs: &[Graph], budget: Option<u32>, thorough: bool) {
    explore_limited(name, graphs, budget, 0, thorough);
}

/// ... with a limit on parallel starts, and with processes that are unkillable.
fn explore_limited(name: &str, graphs: &[Graph], budget: Option<u32>, limit: u32, thorough: bool) {
    let threads = if effort() == Effort::All { 2 } else { 1 };
    let next = AtomicUsize::new(0);
    let (done, earlier) = Done::open(name);
    let mut so_far = (0, Found::default());
    earlier.values().for_each(|found| add(&mut so_far, found));
    let total = Mutex::new(so_far);
    let last_word = Mutex::new(std::time::Instant::now());
    let broken: Mutex<Option<String>> = Mutex::new(None);
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(graph) = graphs.get(at) else { break };
                    if broken.lock().expect("nobody panics with it").is_some() {
                        break;
                    }
                    if earlier.contains_key(&at) {
                        continue;
                    }
                    match explore_graph(graph, budget, limit, thorough) {
                        None => done.write(at, &Found::default()),
                        Some(Ok(found)) => {
                            done.write(at, &found);
                            let mut total = total.lock().expect("nobody panics with it");
                            add(&mut total, &found);
                            let mut last_word = last_word.lock().expect("nobody panics with it");
                            if last_word.elapsed().as_secs() >= 60 {
                                *last_word = std::time::Instant::now();
                                let (count, so_far) = (total.0, total.1.states);
                                println!("{name}: {count} of {} graphs, {so_far} states so far", graphs.len());
                            }
                        }
                        Some(Err(fault)) => *broken.lock().expect("nobody panics with it") = Some(fault),
                    }
                }
            });
        }
    });
    if let Some(fault) = broken.into_inner().expect("nobody panics with it") {
        panic!("{fault}");
    }
    let (count, Found { states, moves, longest }) = total.into_inner().expect("nobody panics with it");
    let bound = budget.map_or("any inputs and deaths".to_string(), |budget| format!("{budget} inputs and deaths"));
    let seconds = begun.elapsed().as_secs_f64();
    let earlier = if earlier.is_empty() { String::new() } else { format!(" ({} from an earlier run)", earlier.len()) };
    println!(
        "{name}: {count} graphs{earlier}, {bound}: {states} states, {moves} moves, {longest} to rest at most; {seconds:.1} s, \
         {:.0} states/s",
        states as f64 / seconds
    );
}

/// How much is explored: `PINTLE_EXPLORE` is `some`, `check` or `all`, else it is little.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    Little,
    Some,
    Check,
    All,
}

fn effort() -> Effort {
    match std::env::var("PINTLE_EXPLORE").as_deref() {
        Ok("all") => Effort::All,
        Ok("some") => Effort::Some,
        Ok("check") => Effort::Check,
        Ok(other) => panic!("PINTLE_EXPLORE is some, check or all, not {other}"),
        Err(_) => Effort::Little,
    }
}

#[test]
fn states_of_one_service() {
    explore("one service", &Graph::all(1, Family::Full, 1), None, true);
}

#[test]
fn states_of_two_services() {
    let budget = match effort() {
        Effort::Little => Some(1),
        Effort::Some => Some(3),
        Effort::Check | Effort::All => None,
    };
    let mut graphs = Graph::all(2, Family::Full, 1);
    for (at, graph) in graphs.iter_mut().enumerate() {
        graph.changes = effort() != Effort::Check || at % 13 == 0;
    }
    explore("two services", &graphs, budget, false);
}

#[test]
fn states_of_three_services() {
    match effort() {
        Effort::Little => explore("three services", &Graph::all(3, Family::Single, 19), Some(1), false),
        Effort::Some => explore("three services", &Graph::all(3, Family::Plain, 1), Some(3), false),
        Effort::Check => {
            explore("three services", &Graph::all(3, Family::Single, 1), Some(2), false);
            explore("three services, longruns and bundles", &Graph::all(3, Family::Plain, 1), Some(3), false);
        }
        Effort::All => {
            let mut graphs = Graph::all(3, Family::Single, 1);
            graphs.retain(Graph::has_another_order);
            explore("three services", &graphs, None, false);
        }
    }
}

#[test]
fn states_of_four_services() {
    let (every, budget) = match effort() {
        Effort::Little | Effort::Some => (9973, 1),
        Effort::Check => (211, 2),
        Effort::All => (1, 2),
    };
    explore("four services", &Graph::all(4, Family::Plain, every), Some(budget), false);
}

#[test]
fn states_with_one_place_to_start_and_unkillable_processes() {
    let (two, three) = match effort() {
        Effort::Little | Effort::Some => ((7, Some(2)), (101, 2)),
        Effort::Check => ((1, Some(3)), (7, 2)),
        Effort::All => ((1, None), (1, 3)),
    };
    explore_limited("two services, one place", &Graph::all(2, Family::Full, two.0), two.1, 1, true);
    explore_limited("three services, one place", &Graph::all(3, Family::Plain, three.0), Some(three.1), 1, false);
}

#[test]
fn states_with_a_choice() {
    let (two, three, four) = match effort() {
        Effort::Little => ((31, Some(1)), (997, 1), (1_000_003, 1)),
        Effort::Some => ((1, Some(1)), (197, 2), (1_000_003, 1)),
        Effort::Check => ((1, Some(3)), (83, 2), (200_003, 2)),
        Effort::All => ((1, None), (1, 3), (1009, 2)),
    };
    explore("two services and a choice", &Graph::with_a_choice(2, Family::Full, two.0), two.1, false);
    explore("three services and a choice", &Graph::with_a_choice(3, Family::Single, three.0), Some(three.1), false);
    explore("four services and a choice", &Graph::with_a_choice(4, Family::Plain, four.0), Some(four.1), false);
}
