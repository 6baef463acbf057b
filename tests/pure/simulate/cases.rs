//! Worlds that broke once, made small.

use super::plan::Plan;
use super::shrink::attempt;
use super::world::Trace;

fn holds(text: &str) {
    let plan = Plan::parse(text);
    if let Err(broken) = attempt(&plan, None, &mut Trace::default()) {
        panic!("{broken}\n{plan}");
    }
}

/// What a slot waits for was not looked at again when something began to pull it.
#[test]
fn a_marked_service_says_so_when_it_is_pulled() {
    holds(
        "seed 1
         service a:
         service b: wants = a
         +5 stop a
         +5 start b",
    );
}

#[test]
fn a_plan_is_what_its_text_says() {
    for seed in 0..50 {
        let plan = super::generate::generate(seed);
        assert_eq!(Plan::parse(&plan.to_string()), plan, "seed {seed}");
    }
}
