//! Bugs made on purpose: a simulator that finds none of them could not fail.

use super::generate::generate;
use super::shrink::attempt;
use super::world::{Mutant, Trace};

/// Worlds in which a bug has to show.
const WORLDS: u64 = 300;

#[test]
fn every_bug_made_on_purpose_is_found() {
    let mut unseen = Vec::new();
    for mutant in [
        Mutant::StaleLife,
        Mutant::RingToSupervisorLost,
        Mutant::RingToEngineLost,
        Mutant::DeathLost,
        Mutant::KillForgotten,
        Mutant::HeirForgotten,
        Mutant::OrderTwice,
        Mutant::ReadyEarly,
        Mutant::MemoryLost,
        Mutant::OwedForgotten,
        Mutant::EdgeForgotten("needs"),
        Mutant::EdgeForgotten("binds"),
        Mutant::EdgeForgotten("needs-to-start"),
        Mutant::EdgeForgotten("wants"),
        Mutant::EdgeForgotten("conflicts"),
        Mutant::EdgeForgotten("while"),
    ] {
        let found = (0..WORLDS).find_map(|seed| {
            let broken = attempt(&generate(seed), Some(mutant), &mut Trace::default()).err()?;
            // A plan that does not compile without its conflicts or edges finds nothing.
            (broken.kind() != "plan").then_some((seed, broken))
        });
        match found {
            Some((seed, broken)) => println!("{mutant:?}: seed {seed}: {broken}"),
            None => unseen.push(mutant),
        }
    }
    assert!(unseen.is_empty(), "not found in {WORLDS} worlds: {unseen:?}");
}
