//! `--dry-run`: what a command would do. The engine hands over a copy of its memory; here, another one goes on from it
//! in simulated time, with programs that do well. Nothing of it is seen by anybody, and the engine waits for nobody.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use pintle::board::reports;
use pintle::board::words::load;
use pintle::engine::{Capacities, Engine, Outcome, Sender, Standing, words_needed};
use pintle::graph::Phase;
use pintle::ident::SlotId;
use pintle::limits::LINE_BYTES_MAX;
use pintle::packed;
use pintle::packed::Packed;
use pintle::protocol;
use pintle::simulation::{Program, Simulation, Transition};
use pintle::status::{View, why};

use super::running::{connect, understand};
use super::{exit, failed, finish};
use crate::host::engine::asking::take;
use crate::host::reading;
use crate::host::refuse::refuse;
use crate::sys::{AsFd, mapping, output};

/// Names that a transition is shown to have waited for.
const NAMES_MAX: u32 = 8;

/// Shows what these requests, taken one after the other, would lead to, and gives the exit code that they would have.
pub fn show(lines: &[String]) -> i32 {
    const CANNOT: Packed = packed!("cannot use the copy of the engine's memory");
    let mut control = connect();
    let memory = control.memory().unwrap_or_else(|error| failed(CANNOT, error));
    understand(control.line());
    let (view, _) = reading::look(None);
    let (image, geometry) = (view.image, view.reports.geometry());
    let capacities = Capacities::of(&image);
    let count = words_needed(&image, geometry, capacities);
    let words = memory.and_then(|memory| mapping::shared_words(memory.as_fd(), count).ok());
    let Some(mut engine) = words.and_then(|words| Engine::open(image, geometry, capacities, words)) else {
        refuse(exit::SYSTEM as u8, format_args!("{CANNOT}: it is another version's, or another database's"));
    };
    engine.limit_starts(load(view.reports.head(), reports::own::PARALLEL));
    let notes =
        mapping::anonymous_shared_words(Simulation::words(geometry)).unwrap_or_else(|error| failed(CANNOT, error));
    let well = |_: SlotId| Program::Well;
    let mut simulation = Simulation::new(engine, image, view.reports, view.published, notes, &well);
    simulation.begin(view.now);
    let mut numbers = Vec::new();
    for line in lines {
        let mut room = [0; LINE_BYTES_MAX];
        let mut answer = String::new();
        let request = protocol::parse(line.as_bytes(), &mut room)
            .unwrap_or_else(|bad| refuse(exit::MISUSE as u8, format_args!("{bad}")));
        let (now, sender) = (simulation.now(), (Sender::default(), 0));
        match take(&mut simulation.engine, &image, &request, sender, true, now, &mut answer) {
            Ok(number) => numbers.push(number),
            Err(()) => drop(understand(&answer)),
        }
        simulation.look();
    }
    let mut out = output::stdout();
    let mut round = 0;
    while let Some(transition) = simulation.next_transition() {
        let first = round != transition.round;
        round = transition.round;
        let _ = if first { write!(out, "{round:>4}  ") } else { out.write_str("      ") };
        write_transition(&mut out, &view, &simulation, &transition);
    }
    let code = write_result(&mut out, &view, &simulation, &numbers);
    match finish(&mut out) {
        exit::DONE => code,
        failed => failed,
    }
}

/// `start web  after cache, db`.
#[inline(never)]
fn write_transition(out: &mut dyn Write, view: &View<'_>, simulation: &Simulation<'_>, transition: &Transition) {
    let _ = write!(out, "{} ", transition.change.name());
    write_name(out, view, transition.slot);
    let mut count = 0;
    simulation.waited_for(transition, &mut |slot| {
        count += 1;
        if count <= NAMES_MAX {
            let _ = out.write_str(if count == 1 { "  after " } else { ", " });
            write_name(out, view, slot);
        }
    });
    let _ = if count > NAMES_MAX { writeln!(out, " and {} more", count - NAMES_MAX) } else { writeln!(out) };
}

fn write_name(out: &mut dyn Write, view: &View<'_>, slot: SlotId) {
    if let Some((_, name)) = view.name(slot) {
        name.write(out);
    }
}

/// `done: 5 up, 2 down`, `failed: 2 up, 1 waiting; app waits for db; db has failed`.
#[inline(never)]
fn write_result(out: &mut dyn Write, view: &View<'_>, simulation: &Simulation<'_>, numbers: &[u32]) -> i32 {
    let engine = &simulation.engine;
    let mut standing = Standing::Done;
    for number in numbers {
        let this = if *number == 0 { Standing::Done } else { engine.transaction(*number) };
        if standing == Standing::Done {
            standing = this;
        }
    }
    let standing = if simulation.was_cut() { "without end" } else { standing.name() };
    let mut counts = [0u32; Phase::ALL.len()];
    for slot in (0..view.slots()).map(SlotId).filter(|slot| simulation.has_moved(*slot)) {
        // An instance that nothing keeps is no more.
        counts[view.row(slot).map_or(Phase::Down, |row| row.phase) as usize] += 1;
    }
    let _ = out.write_str(standing);
    let mut before = ": ";
    for phase in Phase::ALL.iter().rev().filter(|phase| counts[**phase as usize] > 0) {
        let _ = write!(out, "{before}{} {}", counts[*phase as usize], phase.name());
        before = ", ";
    }
    if before == ": " {
        let _ = out.write_str(": nothing would change");
    }
    let done = standing == "done";
    for number in numbers.iter().filter(|_| !done) {
        let mut cursor = 0;
        while let Some((slot, outcome)) = engine.transaction_next(*number, &mut cursor) {
            if matches!(outcome, Outcome::Waiting | Outcome::Failed)
                && let Some(row) = view.row(slot)
            {
                let _ = out.write_str("; ");
                why::write(view, out, &row);
            }
        }
    }
    let _ = writeln!(out);
    if done { exit::DONE } else { exit::NO }
}
