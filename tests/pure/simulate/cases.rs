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

/// A switch that takes a choice's goal down and up again has it choose anew, and the judge took that for a move.
#[test]
fn a_choice_that_is_switched_to_anew_may_choose_what_is_up() {
    holds(
        "seed 18581051334
         capacities 4 7 9 6 0
         service l3: provides = any7
         service z4@: only-if = path /x; needs = l3; for-each = link IFACE=*; instance = ${IFACE}
         service h5: binds = z4@a; provides = any7
         service y7: needs = any7; provides = any8
         service n8: needs = any8
         service e9: needs-to-start = n8
         service w13: conflicts = n8
         +0 switch any8
         +55 start any15
         +43 switch e9",
    );
}

/// In one step a service was reported up and its condition's time was over: it was up, and is taken down.
#[test]
fn what_the_time_moves_comes_behind_what_is_reported() {
    holds(
        "seed 23889957123
         faults lost
         capacities 10 2 10 2 0
         service f4: while = c0
         service a8:
         +0 switch f4
         +545 on c0 K=x
         +0 changing 380 c0 K=x
         +406 stop a8",
    );
}

#[test]
fn a_plan_is_what_its_text_says() {
    for seed in 0..50 {
        let plan = super::generate::generate(seed);
        assert_eq!(Plan::parse(&plan.to_string()), plan, "seed {seed}");
    }
}

/// No two copies of a oneshot, and no attempt too many, however the engine dies around its runs (at any piece of its
/// loop, in the middle of a step, while it writes an order) and the supervisor crashes. The judge looks at each spawn.
#[test]
fn a_oneshot_runs_once_at_a_time_while_the_engine_dies() {
    let starts = "+3 start once\n+1 emit go\n+2 restart kept\n+1 stop kept\n+4 start kept\n";
    for seed in 0..150 {
        holds(&format!(
            "seed {seed}
             faults kill torn late spurious slow die hang refuse crash
             service once: type = oneshot; remain = no; start-on = go; retries = 2; retry-delay = 10ms; start-timeout = 50ms
             service kept: type = oneshot; retries = 1; retry-delay = 0ms; cleanup = /bin/cleanup; stop = /bin/stop
             service user: needs = kept; only-if = path /x; skip-ok = yes
             +0 start user
             {}",
            starts.repeat(6)
        ));
    }
}

/// A choice looked at an alternative that had just been skipped, and is as good as up, before that was told, and left
/// it.
#[test]
fn a_choice_stays_with_what_was_skipped_and_is_as_good_as_up() {
    holds(
        "seed 28506
         faults die deaf kill torn late spurious lost jump crash
         capacities 10 10 12 2 0
         service u0: ready = notify; provides = any18
         service a1: only-if = path /x; skip-ok = yes; binds = u0
         service h2: needs = u0|a1
         service j3:
         service h4: after = a1; provides = any18
         service w5:
         service v6: wants = h4|u0; needs = a1|h2|h4
         service u7:
         service j23:
         service c24:
         service v25:
         service boot: type = bundle; contains = v6
         +0 stop c24
         +273 changing 2472 c0
         +137 restart-with-dependents a1
         +573 switch boot
         +583 restart-with-dependents a1",
    );
}

/// What binds to a choice was not told that the one it had turned to became ready after its own life began.
#[test]
fn what_binds_to_a_choice_hears_of_the_new_life_that_it_turns_to() {
    holds(
        "seed 10617801635
         faults refuse die deaf slow kill spurious jump
         capacities 9 2 22 2 1
         service y1: type = bundle
         service x2: ready = notify; restart = never; provides = any8
         service s3: ready = notify; binds = y1|x2; provides = any5 any9
         service m5: type = oneshot; stop = /bin/stop; retry-delay = 100ms; binds = any5; needs = y1; provides = any8
         service d6@: binds = x2|m5; for-each = link IFACE=* UP=1; instance = ${IFACE}
         service t8: wants = m5; needs = any8; provides = any9
         service boot: type = bundle; contains = x2 t8
         +460 start x2|m5
         +220 start x2
         +528 start y1
         +325 stop y1
         +615 signal s3",
    );
}
