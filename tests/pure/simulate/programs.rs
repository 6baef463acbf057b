//! What simulated programs do: some start slowly, lie, crash, hang, leave early, do not hear signals. A program's
//! character depends on the seed, its service's name and which of its spawns it is, so it stays when other services go.

use pintle::board::reports::Exit;
use pintle::supervision::Trouble;

use super::plan::Plan;
use super::random::{Random, hash};

/// Which command of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    Main,
    Stop,
    Reload,
    Cleanup,
    /// None: what its main process has started, and what stays when that ends.
    Stray,
}

/// How a spawn goes. All times in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Clone itself is refused.
    pub refused: Option<Trouble>,
    /// From clone to exec, or to the step that fails.
    pub exec_us: u64,
    /// A step before exec fails.
    pub step_fails: Option<Trouble>,
    /// From exec to the word that it is ready; never, if none.
    pub ready_us: Option<u64>,
    /// From exec to its end, by itself.
    pub end: Option<(u64, Exit)>,
    /// From a signal to its end; none is deaf.
    pub on_signal: Option<(u64, Exit)>,
    /// From SIGKILL to its end.
    pub on_kill_us: u64,
    /// Asks for more time: when, and how many milliseconds.
    pub extend: Option<(u64, u32)>,
    /// Once ready by notification, it has named another process (MAINPID) that lives on when it ends.
    pub hands_over: bool,
    /// So many strays it starts when it is executed.
    pub leaves: u32,
}

impl Program {
    /// One that runs, and does nothing by itself.
    pub fn still() -> Program {
        Program {
            refused: None,
            exec_us: 0,
            step_fails: None,
            ready_us: None,
            end: None,
            on_signal: None,
            on_kill_us: 0,
            extend: None,
            hands_over: false,
            leaves: 0,
        }
    }
}

fn trouble(passes: bool) -> Trouble {
    if passes { Trouble::Passing } else { Trouble::Lasting }
}

const FAILURES: [Exit; 5] = [Exit::Code(1), Exit::Code(0), Exit::Signal(11), Exit::Code(111), Exit::Signal(9)];

/// The program of a service's spawn number `nth`. `calm`: faults have stopped.
/// `looks`: it has preconditions, and this is when they are looked at.
pub fn program(
    plan: &Plan,
    service: &str,
    nth: u32,
    command: Command,
    oneshot: bool,
    calm: bool,
    looks: bool,
) -> Program {
    let mut random = Random::new(hash(service, &[plan.seed, u64::from(nth), command as u64]));
    let ends_alone = command != Command::Main || oneshot;
    // Some are always well, some often ill: else nothing of a large world ever comes up.
    let temper = Random::new(hash(service, &[plan.seed])).below(4) * 18;
    let slow = !calm && plan.has("slow") && random.chance(25);
    let mut take = |most: u64| if slow { random.below(most * 400) } else { random.below(most) };
    let mut program = Program {
        refused: None,
        exec_us: 10 + take(800),
        step_fails: None,
        ready_us: Some(take(5_000)),
        end: None,
        on_signal: Some((take(3_000), Exit::Signal(15))),
        on_kill_us: 1 + take(300),
        extend: None,
        hands_over: false,
        leaves: 0,
    };
    if ends_alone {
        program.end = Some((take(8_000), Exit::Code(0)));
    }
    let mut fault = |name: &str| !calm && plan.has(name) && random.chance(temper);
    let (refused, exec, die, hang, lie, deaf) =
        (fault("refuse"), fault("exec"), fault("die"), fault("hang"), fault("lie"), fault("deaf"));
    if refused {
        program.refused = Some(trouble(random.chance(70)));
    }
    if exec {
        program.step_fails = Some(trouble(random.chance(50)));
    }
    if die {
        let exit = *random.pick(&FAILURES);
        let when = *random.pick(&[0, 500, 4_000, 60_000, 3_000_000]);
        program.end = Some((random.below(when + 1), exit));
    }
    if hang {
        program.ready_us = None;
        if ends_alone {
            program.end = None;
        }
        if random.chance(50) {
            program.extend = Some((random.below(100_000), 1 + random.below(2_000) as u32));
        }
    }
    if lie {
        // Says at once that it is ready, then is not.
        program.ready_us = Some(0);
        program.end = Some((random.below(2_000), *random.pick(&FAILURES)));
    }
    if deaf {
        program.on_signal = None;
        if random.chance(20) {
            // Some hang in the kernel until long after anybody may hope that they go.
            let us = random.below(4_000_000);
            program.on_kill_us = if us.is_multiple_of(8) { us * 10 } else { us };
        }
    } else if random.chance(20) {
        program.on_signal = Some((random.below(20_000), *random.pick(&[Exit::Code(0), Exit::Code(1)])));
    }
    // Some can be told without a child.
    match random.below(5) {
        0 if looks => program.refused = Some(Trouble::Unmet),
        1 if looks => program.step_fails = Some(Trouble::Unmet),
        _ => {}
    }
    program.hands_over = command == Command::Main && !oneshot && !calm && plan.has("die") && random.chance(25);
    if command == Command::Main && !calm && plan.has("leave") && random.chance(30) {
        program.leaves = 1 + random.below(2) as u32;
    }
    program
}
