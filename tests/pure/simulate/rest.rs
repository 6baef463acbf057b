//! What must hold at rest: nobody runs, nothing is under way, no deadline is armed.

use std::collections::BTreeSet;

use pintle::board::orders::Wish;
use pintle::board::reports::State;
use pintle::engine::{Engine, Standing};
use pintle::graph::{Goal, Phase, Relation};
use pintle::ident::SlotId;
use pintle::lang::definition::Kind;

use super::host::Host;
use super::invariants::{Judge, Value, sorted};
use super::kernel::Kernel;
use super::programs::Command;
use super::supervisor::Supervisor;
use super::world::{Broken, is_shutting_down, tells_ready};

/// Invariants 3, 5 and 6, and that board, engine, supervisor and kernel say the same.
pub fn check<'a>(
    host: &mut Host<'a>,
    judge: &Judge<'a>,
    supervisor: &Supervisor<'a>,
    kernel: &Kernel,
) -> Result<(), Broken> {
    let Some(engine) = &host.engine else { return Err(Broken("rest: there is no engine".to_string())) };
    if supervisor.has_queue() {
        return Err(Broken("rest: something waits to be spawned for ever".to_string()));
    }
    for at in judge.slots() {
        check_board(engine, judge, supervisor, kernel, at)?;
        if judge.lives(engine, at) {
            check_phase(engine, judge, at)?;
            // A run that is queued is never forgotten: it comes when the one before it has ended.
            let (queued, phase) = (engine.facts(at)[1] >> 18 & 1 == 1, engine.published(at).phase);
            if queued && matches!(phase, Phase::Done | Phase::Failed) {
                let name = engine.name(at);
                return Err(Broken(format!(
                    "overlap: a run of {} is queued, and it is {}",
                    name.as_str(),
                    phase.name()
                )));
            }
        }
    }
    if !host.requests.is_empty() {
        return Err(Broken("rest: requests were never taken".to_string()));
    }
    for number in &host.accepted {
        if engine.transaction(*number) == Standing::Running {
            return Err(Broken(format!("transactions: {number} never ends")));
        }
    }
    check_conditions(host, judge)?;
    if let (Some(boot), false) = (judge.image.find(b"boot"), engine.shutting_down())
        && engine.published(boot).goal == Goal::Up
        && engine.boot().state == 0
    {
        return Err(Broken("boot: nothing is under way, and it is not reached".to_string()));
    }
    check_successor(host, judge)
}

fn check_board(
    engine: &Engine<'_>,
    judge: &Judge<'_>,
    supervisor: &Supervisor<'_>,
    kernel: &Kernel,
    at: SlotId,
) -> Result<(), Broken> {
    let name = engine.name(at);
    let name = name.as_str();
    let broken = |why: String| Err(Broken(format!("rest: {name} ({}): {why}", at.0)));
    let Some(row) = supervisor.reports.read(at) else { return broken("its report cannot be read".to_string()) };
    let order = engine.order(at);
    if row.order != order.number {
        return broken(format!("order {} was never acted on, {} was", order.number.0, row.order.0));
    }
    let seen = judge.seen[at.index()];
    if (seen.order, seen.state, seen.life, seen.ready) != (row.order, row.state, row.life, row.ready) {
        return broken(format!("{:?} is not what the engine knows: {:?}", row.state, seen.state));
    }
    // What is up may have strays, and nothing else.
    let all = kernel.of(at).filter(|(_, process)| row.state != State::Up || process.command != Command::Stray);
    let processes: Vec<(u32, Command)> = all.map(|(pid, process)| (pid, process.command)).collect();
    let expected = if row.pid == 0 { Vec::new() } else { vec![(row.pid, Command::Main)] };
    if processes != expected {
        return broken(format!("is {:?} with process {}, and has {processes:?}", row.state, row.pid));
    }
    let oneshot = judge.kind(engine, at) == Kind::Oneshot as u32;
    match (row.state, kernel.processes.get(&row.pid)) {
        (State::Up, Some(process)) => {
            let record = engine.instance(at).map_or(at, |(template, _)| template);
            let ready = process.executed && (process.said_ready || !tells_ready(&judge.image, record));
            if !ready || oneshot {
                return broken("is reported up, and never was".to_string());
            }
        }
        (State::Up, None) if oneshot => {}
        (State::Down | State::Failed | State::Done | State::Skipped, None) if supervisor.owes_cleanup(at) => {
            return broken(format!("is {:?}, and was not cleaned up after", row.state));
        }
        (State::Down | State::Failed | State::Done | State::Skipped, None) => {}
        (state, process) => {
            return broken(format!("is left {state:?}, with a process: {}", process.is_some()));
        }
    }
    if (order.wish == Wish::Up) != (supervisor.wish(at) == Wish::Up) {
        return broken(format!("{:?} is wished, the supervisor goes by {:?}", order.wish, supervisor.wish(at)));
    }
    Ok(())
}

/// Invariants 3 and 5.
fn check_phase(engine: &Engine<'_>, judge: &Judge<'_>, at: SlotId) -> Result<(), Broken> {
    let name = engine.name(at);
    let name = name.as_str();
    let row = engine.published(at);
    let gate = judge.gate(engine, at);
    let targets = judge.targets(engine, at);
    let unmet = |all: &[Relation]| {
        let found =
            targets.iter().find(|(relation, to)| all.contains(relation) && !judge.satisfies(engine, *relation, *to));
        found.map(|(_, to)| engine.name(*to).as_str().to_string())
    };
    let broken = |why: String| Err(Broken(format!("3: {name} is {} at rest, {why}", row.phase.name())));
    match row.phase {
        Phase::Up => {
            if row.goal != Goal::Up {
                return broken("and its goal is down".to_string());
            }
            if gate == Value::Off {
                return broken("and its while is off".to_string());
            }
            if let Some(other) = unmet(&[Relation::Needs, Relation::Binds, Relation::Contains, Relation::Alternative]) {
                return broken(format!("and {other} is not up"));
            }
            if !judge.is_up(engine, at) {
                return broken("and is not, by its report".to_string());
            }
            for (relation, to) in &targets {
                let bound = *relation == Relation::Binds && !judge.is_bundle(engine, *to);
                if bound && judge.seen[to.index()].ready > judge.seen[at.index()].began {
                    return broken(format!("and binds to a later life of {}", engine.name(*to).as_str()));
                }
            }
        }
        Phase::Waiting => {
            let hard =
                [Relation::Needs, Relation::Binds, Relation::NeedsToStart, Relation::Contains, Relation::Alternative];
            if judge.is_choice(at) && judge.chosen(engine, at).is_none() {
                return judge.check_none_is_left(engine, at);
            }
            if gate == Value::On && unmet(&hard).is_none() {
                return Err(Broken(format!("5: {name} waits at rest, and could start")));
            }
        }
        Phase::Down => {
            if row.goal == Goal::Up {
                return broken("and its goal is up".to_string());
            }
        }
        Phase::Failed | Phase::Skipped | Phase::Done => {}
        Phase::Starting | Phase::Restarting | Phase::Stopping => return broken("so it is no rest".to_string()),
    }
    Ok(())
}

fn check_conditions(host: &Host<'_>, judge: &Judge<'_>) -> Result<(), Broken> {
    let shown: BTreeSet<String> = host
        .conditions
        .iter()
        .flatten()
        .map(|row| sorted(&String::from_utf8_lossy(&row.text).trim_end_matches('\0').replace('\0', " ")))
        .collect();
    let known: BTreeSet<String> = judge.facts.iter().map(|(fact, _)| fact.clone()).collect();
    if shown == known {
        return Ok(());
    }
    Err(Broken(format!("conditions: {shown:?} are shown, {known:?} are on")))
}

/// Invariant 6 at rest: another engine over the same memory changes nothing.
fn check_successor(host: &mut Host<'_>, judge: &Judge<'_>) -> Result<(), Broken> {
    let Some(engine) = host.engine.take() else { return Ok(()) };
    let before = judge.picture(&engine);
    let Some(mut next) = pintle::engine::Engine::open(host.image, host.geometry, host.capacities, host.memory) else {
        return Err(Broken("6: the engine does not know its own memory".to_string()));
    };
    next.limit_starts(host.parallel);
    for (at, (before, after)) in before.into_iter().zip(judge.picture(&next)).enumerate() {
        // Of several that it waits for, any may be named.
        let mut named = before;
        if std::mem::discriminant(&named.2.blocker) == std::mem::discriminant(&after.2.blocker) {
            named.2.blocker = after.2.blocker;
        }
        if named != after {
            let name = next.name(SlotId(at as u32));
            return Err(Broken(format!("6: {} is {before:?}, to the next engine {after:?}", name.as_str())));
        }
    }
    host.engine = Some(next);
    Ok(())
}

/// After a shutdown: everything is down but the shutdown bundle and what it needs.
pub fn check_end(
    host: &Host<'_>,
    judge: &Judge<'_>,
    supervisor: &Supervisor<'_>,
    kernel: &Kernel,
) -> Result<(), Broken> {
    let Some(engine) = &host.engine else { return Err(Broken("rest: there is no engine".to_string())) };
    if !is_shutting_down(&supervisor.reports) || !engine.shutting_down() {
        return Err(Broken("shutdown: nobody knows of it".to_string()));
    }
    if !supervisor.all_down() {
        return Err(Broken("shutdown: it is not told that all is down".to_string()));
    }
    let mut kept: BTreeSet<SlotId> = BTreeSet::new();
    let mut open: Vec<SlotId> = judge.image.find(b"shutdown").into_iter().collect();
    while let Some(at) = open.pop() {
        if kept.insert(at) {
            let pulls = judge.targets(engine, at).into_iter().filter(|(relation, _)| {
                !matches!(relation, Relation::After | Relation::Conflicts | Relation::Observes | Relation::Listens)
            });
            open.extend(pulls.map(|(_, to)| to));
        }
    }
    match kernel.processes.values().find(|process| !kept.contains(&process.slot)) {
        Some(process) => Err(Broken(format!("shutdown: {} still has a process", engine.name(process.slot).as_str()))),
        None => Ok(()),
    }
}
