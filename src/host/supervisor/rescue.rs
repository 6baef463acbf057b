//! Where going on after a crash does not help: a person's program runs first, or everything is begun anew.

use super::held::{self, Held};
use super::helpers::OTHER_PID;
use super::shutdown::{GRACE_MS, kill_children, reap_all};
use crate::sys::errno::Words;
use crate::sys::output::Shown;
use crate::sys::poll::{self, Interest};
use crate::sys::signals::{self, SIGCHLD, SignalSet};
use crate::sys::spawn::{Plan, Spawner, Text};
use crate::sys::{AsFd, Errno, clock, entry, output, process, reap, whole};
use alloc::vec::Vec;

/// Crashes that have become a habit are followed by a pause of so many milliseconds, or by the rescue program.
const PAUSE_MS: u32 = 1000;
/// A rescue program that ends sooner was none. Milliseconds.
const YOUNG_MS: u64 = 1000;

/// A supervisor that has crashed is about to go on. Where that has become a habit, the rescue program runs on the
/// standard descriptors, in a session of its own that has descriptor 0, if it is a terminal, as its controlling one; the
/// supervisor does nothing else until it has ended. Services live on meanwhile, and what dies waits.
pub fn mind_habit(held: &Held, program: Option<&[u8]>) {
    let began = clock::now();
    if held.was_upgrade() || !held.goes_on(began) {
        return;
    }
    if let Some(program) = program {
        output::say(format_args!("pintle: it crashes again and again: {} runs first", Shown(program)));
        if let Err(error) = run(program) {
            output::say(format_args!("pintle: {}: {}", Shown(program), Words(error)));
        }
    }
    if clock::now().ms_since(began) < YOUNG_MS {
        clock::sleep_ms(PAUSE_MS);
    }
}

/// Runs it, and waits for its end.
#[inline(never)]
fn run(program: &[u8]) -> Result<(), Errno> {
    let path = whole::lasting(Vec::from(program));
    let mut spawner = Spawner::new()?;
    let mut draft = spawner.draft_or_fork();
    let text = Text::lasting(path);
    draft.argument(text);
    let mut variables = entry::environment();
    while let Some(variable) = variables.next_c_str() {
        if variable.to_bytes().starts_with(held::NAME.to_bytes()) {
            continue;
        }
        let text = Text::lasting(variable);
        draft.variable(text);
    }
    let plan = Plan {
        program: Some(text),
        controlling_terminal: rustix::termios::isatty(process::standard_input()),
        ..Plan::default()
    };
    let pending = draft.spawn(&plan, &OTHER_PID)?;
    let deaths = signals::signal_fd(SignalSet::of(&[SIGCHLD]))?;
    while reap::look(pending.pid) == reap::Child::Alive {
        poll::wait_for(Some(deaths.as_fd()), Interest::READ, PAUSE_MS);
        while signals::read_signal(deaths.as_fd()).is_some() {}
    }
    reap::reap(pending.pid);
    Ok(())
}

/// Nothing is known of the children that there are: they end, so that no service ever has two copies.
#[inline(never)]
pub fn clear_ruins() {
    output::say(format_args!("pintle: it cannot go on after its crashes: everything is ended, and begun anew"));
    let until = clock::now().plus_ms(GRACE_MS);
    while kill_children(0) && clock::now() < until {
        reap_all();
        clock::sleep_ms(1);
    }
    reap_all();
}
