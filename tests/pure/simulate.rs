//! The simulator: whole worlds from seeds. The engine, the supervisor's decisions and the board between them are real;
//! processes, time, doorbells and clients are simulated. See docs/testing.md.

mod cases;
pub mod generate;
mod host;
mod invariants;
mod kernel;
mod mutants;
pub mod plan;
mod programs;
pub mod random;
mod rest;
mod shrink;
mod supervisor;
mod torn;
mod world;

use generate::generate;
use plan::Plan;
use shrink::{attempt, shrink};
use world::{Broken, Mutant, Stats, Trace};

/// Worlds; `make check` has 1000: `PINTLE_SIM_SEEDS` and `PINTLE_SIM_FIRST` say otherwise.
const SEEDS: u64 = 100;

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}

/// What a person gets: the seed, the smallest world that breaks the same, and what happens in it.
fn explain(plan: &Plan, mutant: Option<Mutant>, broken: &Broken) -> String {
    let (small, how) = shrink(plan, mutant, broken);
    let mut trace = Trace(Some(Vec::new()));
    let _ = attempt(&small, mutant, &mut trace);
    let lines = trace.0.unwrap_or_default();
    let skipped = lines.len().saturating_sub(150);
    let tail = lines[skipped..].join("\n");
    format!(
        "seed {}: {broken}\nPINTLE_SIM_FIRST={} PINTLE_SIM_SEEDS=1 cargo test --test pure simulate::worlds\n\
         the smallest world that breaks so: {how}\n\n{small}\n{skipped} lines of its trace are left out\n{tail}\n",
        plan.seed, plan.seed
    )
}

#[test]
fn worlds() {
    let (first, count) = (from_environment("PINTLE_SIM_FIRST", 0), from_environment("PINTLE_SIM_SEEDS", SEEDS));
    let (mut total, mut broken) = (Stats::default(), Vec::new());
    for seed in (first..).take(count as usize) {
        let plan = generate(seed);
        let mut trace = Trace(std::env::var_os("PINTLE_SIM_TRACE").map(|_| Vec::new()));
        let result = attempt(&plan, None, &mut trace);
        if let Some(lines) = &trace.0 {
            println!("{plan}{}", lines.join("\n"));
        }
        match result {
            Ok(stats) => {
                total.steps += stats.steps;
                total.pieces += stats.pieces;
                total.spawns += stats.spawns;
                total.deaths_of_the_engine += stats.deaths_of_the_engine;
                total.crashes_of_the_supervisor += stats.crashes_of_the_supervisor;
            }
            Err(how) => broken.push((plan, how)),
        }
        if broken.len() >= 20 {
            break;
        }
    }
    println!("{count} worlds from seed {first}: {total:?}");
    if let Some((plan, how)) = broken.iter().min_by_key(|(plan, _)| plan.services.len() + plan.actions.len()) {
        let others: Vec<String> = broken.iter().map(|(plan, how)| format!("seed {}: {how}", plan.seed)).collect();
        panic!("{}\nall that broke:\n{}", explain(plan, None, how), others.join("\n"));
    }
    assert!(
        count < 100
            || total.spawns > count && total.deaths_of_the_engine.min(total.crashes_of_the_supervisor) > count / 10,
        "nothing happened"
    );
}
