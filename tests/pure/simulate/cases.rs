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

/// A bundle that was up counted as under way again while what it wants was restarted, and kept others waiting.
#[test]
fn a_bundle_that_is_up_does_not_wait_for_a_restart_of_what_it_wants() {
    holds(
        "seed 15926622423
         service u2: type = oneshot
         service n4:
         service w6: type = bundle; wants = u2
         service j8: wants = w6; binds = n4
         service boot: wants = u2
         +27 start j8
         +0 restart u2",
    );
}

/// What a conflict kept down was not said to be down for the shutdown, when there was one.
#[test]
fn a_shutdown_is_the_reason_of_all_that_is_down() {
    holds(
        "seed 42470972523
         service v1:
         service v2:
         service x5: conflicts = v2
         service shutdown: type = bundle; contains = v2
         +0 start x5
         +0 start v1 v2",
    );
}

#[test]
fn a_plan_is_what_its_text_says() {
    for seed in 0..50 {
        let plan = super::generate::generate(seed);
        assert_eq!(Plan::parse(&plan.to_string()), plan, "seed {seed}");
    }
}
