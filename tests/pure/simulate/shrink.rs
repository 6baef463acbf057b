//! Makes a failing plan small: fewer services, keys, words, actions and faults, as long as the same invariant breaks.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::time::{Duration, Instant};

use super::plan::Plan;
use super::world::{Broken, Mutant, Stats, Trace, run};

/// Time that shrinking may take. What is printed then breaks too, it only could be smaller.
const TIME_MAX: Duration = Duration::from_secs(60);
/// Seeds that are tried for each smaller plan: another world needs another schedule to break. One while it is large.
const SEEDS: u64 = 3;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a plan; a panic is a broken invariant too.
pub fn attempt(plan: &Plan, mutant: Option<Mutant>, trace: &mut Trace) -> Result<Stats, Broken> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| run(plan, mutant, trace)));
    QUIET.set(false);
    result.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        Err(Broken(format!("panic: {}", text.unwrap_or("without a word"))))
    })
}

/// The smallest plan found that breaks the same, and how.
pub fn shrink(plan: &Plan, mutant: Option<Mutant>, broken: &Broken) -> (Plan, Broken) {
    let (mut best, mut how) = (plan.clone(), broken.clone());
    let begun = Instant::now();
    loop {
        let mut smaller = false;
        for candidate in Candidates::of(&best) {
            if begun.elapsed() > TIME_MAX {
                return (best, how);
            }
            if candidate.compile().is_err() {
                continue;
            }
            let seeds = (0..if best.services.len() > 12 { 1 } else { SEEDS })
                .map(|more| best.seed.wrapping_add(more.wrapping_mul(0x9e37_79b9)));
            let found = seeds.into_iter().find_map(|seed| {
                let candidate = Plan { seed, ..candidate.clone() };
                let broken = attempt(&candidate, mutant, &mut Trace::default()).err()?;
                (broken.kind() == how.kind()).then_some((candidate, broken))
            });
            if let Some(found) = found {
                (best, how) = found;
                smaller = true;
                break;
            }
        }
        if !smaller {
            return (best, how);
        }
    }
}

/// Smaller plans, the much smaller first.
struct Candidates(std::vec::IntoIter<Plan>);

impl Candidates {
    fn of(plan: &Plan) -> Candidates {
        let mut all = Vec::new();
        let mut size = (plan.services.len() / 2).max(1);
        while size > 0 {
            for start in (0..plan.services.len()).step_by(size) {
                all.push(without(plan, start..(start + size).min(plan.services.len())));
            }
            size /= 2;
        }
        let mut size = (plan.actions.len() / 2).max(1);
        while size > 0 && !plan.actions.is_empty() {
            for start in (0..plan.actions.len()).step_by(size) {
                let mut smaller = plan.clone();
                smaller.actions.drain(start..(start + size).min(plan.actions.len()));
                all.push(smaller);
            }
            size /= 2;
        }
        for fault in &plan.faults {
            let mut smaller = plan.clone();
            smaller.faults.retain(|one| one != fault);
            all.push(smaller);
        }
        for (service, of) in plan.services.iter().enumerate() {
            for (key, (_, words)) in of.keys.iter().enumerate() {
                let mut smaller = plan.clone();
                smaller.services[service].keys.remove(key);
                all.push(smaller);
                for word in 0..if words.len() > 1 { words.len() } else { 0 } {
                    let mut smaller = plan.clone();
                    smaller.services[service].keys[key].1.remove(word);
                    all.push(smaller);
                }
            }
        }
        for (at, action) in plan.actions.iter().enumerate() {
            if action.after_ms > 0 {
                let mut smaller = plan.clone();
                smaller.actions[at].after_ms = 0;
                all.push(smaller);
            }
        }
        Candidates(all.into_iter())
    }
}

impl Iterator for Candidates {
    type Item = Plan;

    fn next(&mut self) -> Option<Plan> {
        self.0.next()
    }
}

/// The plan without some services, and without what names them.
fn without(plan: &Plan, gone: std::ops::Range<usize>) -> Plan {
    let mut smaller = plan.clone();
    let names: Vec<String> = smaller.services.drain(gone).map(|service| service.name).collect();
    let names_gone = |text: &str| {
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '@' || c == '-'));
        words
            .into_iter()
            .any(|word| names.iter().any(|name| word == name || name.ends_with('@') && word.starts_with(name.as_str())))
    };
    for service in &mut smaller.services {
        for (_, words) in &mut service.keys {
            words.retain(|word| !names_gone(word));
        }
        service.keys.retain(|(_, words)| !words.is_empty());
    }
    smaller.actions.retain(|action| !names_gone(&action.what));
    smaller
}
