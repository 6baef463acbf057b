//! Where going on after a crash does not help: a person's program runs first, or everything is begun anew.

use super::held::Held;
use super::helpers::OTHER_PID;
use super::shutdown::{GRACE_MS, kill_children, reap_all};
use crate::host::failure::Failure;
use crate::host::refuse::insist;
use crate::sys::output::Shown;
use crate::sys::poll::{self, Interest};
use crate::sys::signals::{self, SIGCHLD, SIGKILL, SignalSet, Target};
use crate::sys::spawn::{News, Pass, Plan, Spawner, Text};
use crate::sys::{AsFd, clock, entry, file, output, process, reap, rebirth, whole};
use alloc::vec::Vec;
use pintle::packed;

/// Crashes that have become a habit are followed by a pause of so many milliseconds, or by the rescue program.
const PAUSE_MS: u32 = 1000;
/// A rescue program that ends sooner was none. Milliseconds.
const YOUNG_MS: u64 = 1000;

/// A supervisor that has crashed is about to go on. Where that has become a habit, the rescue program runs first, in a
/// session of its own: as a child of process 1 on the console, which is its controlling terminal; else on the standard
/// descriptors. The supervisor does nothing else until it has ended. Services live on meanwhile, and what dies waits.
pub fn mind_habit(held: &Held, program: Option<&[u8]>) {
    if !held.was_upgrade() && held.goes_on(clock::now()) {
        output::say_now(format_args!("pintle: it crashes again and again"));
        rest(program);
    }
}

/// Nothing is known of the children that there are: they end, so that no service ever has two copies. Everything is
/// begun anew then, where that has failed already (`again`) behind a rest.
#[inline(never)]
pub fn clear_ruins(again: bool, program: Option<&[u8]>) {
    Held::survive_without();
    output::say_now(format_args!("pintle: it cannot go on after its crashes: everything is ended, and begun anew"));
    let until = clock::now().plus_ms(GRACE_MS);
    let is_first = process::pid() == 1;
    loop {
        if is_first {
            // Whatever is left in its pid namespace, also where /proc does not tell.
            let _ = signals::send(Target::Everything, SIGKILL);
        }
        let found = insist(packed!("cannot see what is to be ended"), || kill_children(0)) == Ok(true);
        reap_all();
        if !(found || is_first && reap::has_children()) || clock::now() >= until {
            break;
        }
        clock::sleep_ms(1);
    }
    if again {
        rest(program);
    }
}

fn rest(program: Option<&[u8]>) {
    let began = clock::now();
    if let Some(program) = program {
        output::say_now(format_args!("pintle: {} runs first", Shown(program)));
        if let Err(failure) = run(program) {
            output::say_now(format_args!("pintle: {}: {failure}", Shown(program)));
        }
    }
    if clock::now().ms_since(began) < YOUNG_MS {
        clock::sleep_ms(PAUSE_MS);
    }
}

/// Runs it, and waits for its end.
#[inline(never)]
fn run(program: &[u8]) -> Result<(), Failure> {
    let path = whole::lasting(Vec::from(program));
    let mut spawner = Spawner::new().map_err(Failure::of_clone)?;
    let console = if process::pid() == 1 { file::open_both(c"/dev/console").ok() } else { None };
    let passes = console.as_ref().map(|console| [0, 1, 2].map(|target| Pass { source: console.as_fd(), target }));
    let mut draft = spawner.draft_or_fork();
    let text = Text::lasting(path);
    draft.argument(text);
    let mut variables = entry::environment();
    while let Some(variable) = variables.next_c_str() {
        if variable.to_bytes().starts_with(rebirth::NAME.to_bytes()) {
            continue;
        }
        let text = Text::lasting(variable);
        draft.variable(text);
    }
    let plan = Plan {
        program: Some(text),
        descriptors: passes.as_ref().map_or(&[][..], |passes| passes),
        controlling_terminal: console.as_ref().is_some_and(rustix::termios::isatty),
        ..Plan::default()
    };
    let pending = draft.spawn(&plan, &OTHER_PID).map_err(Failure::of_clone)?;
    let deaths = signals::signal_fd(SignalSet::of(&[SIGCHLD])).map_err(Failure::of_clone)?;
    while reap::look(pending.pid) == reap::Child::Alive {
        poll::wait_for(Some(deaths.as_fd()), Interest::READ, PAUSE_MS);
        while signals::read_signal(deaths.as_fd()).is_some() {}
    }
    reap::reap(pending.pid);
    match spawner.news(&pending) {
        News::Failed(step, error, which) => Err(Failure::of_step(step, error, which)),
        News::None | News::Executed => Ok(()),
    }
}
