//! From a request to a step of the engine, or to the answer that says why not. The engine's process takes requests so, and
//! `--dry-run` does with an engine of its own.

use core::fmt::Write;
use pintle::database::Image;
use pintle::engine::{Engine, Input, Refusal, Sender, Target, Verb};
use pintle::lang::diagnostic::Meant;
use pintle::protocol::{Request, Verb as Asked, WORDS_MAX};
use pintle::time::Instant;

/// Takes a request of this sender, with the number of its lease. Gives the number of the transaction; where it is refused,
/// the answer is written.
#[inline(never)]
pub fn take(
    engine: &mut Engine<'_>,
    image: &Image<'_>,
    request: &Request<'_>,
    (sender, lease): (Sender, u32),
    now: Instant,
    answer: &mut dyn Write,
) -> Result<u32, ()> {
    let fact = request.fact();
    let verb = match request.verb {
        Asked::Start => Verb::Start,
        Asked::Stop => Verb::Stop,
        Asked::Restart => Verb::Restart,
        Asked::RestartWithDependents => Verb::RestartWithDependents,
        Asked::Switch => Verb::Switch,
        Asked::Reload => Verb::Reload,
        Asked::Reset => Verb::Reset,
        Asked::Release => Verb::Release,
        Asked::Signal => {
            let word = request.words().next().unwrap_or_default();
            let Some(signal) = pintle::signals::number(word) else {
                let _ = write!(answer, "bad no signal \"{word}\"");
                return Err(());
            };
            Verb::Signal(signal as u8)
        }
        Asked::On => return step(engine, Input::On { fact, sender, lease: 0 }, now, answer),
        Asked::Hold => return step(engine, Input::On { fact, sender, lease }, now, answer),
        Asked::Off => return step(engine, Input::Off { fact }, now, answer),
        Asked::Changing => return step(engine, Input::Changing { fact, for_ms: request.number }, now, answer),
        Asked::Emit => return step(engine, Input::Event { fact }, now, answer),
        Asked::Shutdown => return step(engine, Input::Shutdown(sender.uid), now, answer),
        Asked::Await | Asked::Follow | Asked::Events | Asked::Journal | Asked::Memory => return Ok(request.number),
    };
    command(engine, image, verb, request, sender.uid, now, answer)
}

/// A command about services. For a signal, the first word is that.
#[inline(never)]
fn command(
    engine: &mut Engine<'_>,
    image: &Image<'_>,
    verb: Verb,
    request: &Request<'_>,
    uid: u32,
    now: Instant,
    answer: &mut dyn Write,
) -> Result<u32, ()> {
    let mut targets: heapless::Vec<Target<'_>, WORDS_MAX> = heapless::Vec::new();
    for name in request.words().skip(usize::from(matches!(verb, Verb::Signal(_)))) {
        let Some(target) = engine.target(name.as_bytes()) else {
            unknown(image, name, answer);
            return Err(());
        };
        // As many as a line has words: there is always room.
        let _ = targets.push(target);
    }
    step(engine, Input::Command { verb, targets: &targets, uid }, now, answer)
}

fn step(engine: &mut Engine<'_>, input: Input<'_>, now: Instant, answer: &mut dyn Write) -> Result<u32, ()> {
    engine.step(now, input).map_err(|refusal| {
        let kind = match refusal {
            Refusal::NoSuchService
            | Refusal::Template(_)
            | Refusal::NoSuchInstance(_)
            | Refusal::BadInstanceName
            | Refusal::BadFactName
            | Refusal::BadAttribute
            | Refusal::TooManyAttributes
            | Refusal::FactTooLong => "bad",
            Refusal::NotUp(_)
            | Refusal::Signalling(_)
            | Refusal::NoReload(_)
            | Refusal::Bundle(_)
            | Refusal::ShuttingDown
            | Refusal::ConditionsFull
            | Refusal::NotOn
            | Refusal::InstancesFull
            | Refusal::TransactionsFull => "no",
        };
        let _ = match refusal.slot() {
            Some(slot) => write!(answer, "{kind} {}: {}", engine.name(slot).as_str(), refusal),
            None => write!(answer, "{kind} {refusal}"),
        };
    })
}

fn unknown(image: &Image<'_>, name: &str, answer: &mut dyn Write) {
    let _ = write!(answer, "bad no service \"{name}\"{}", Meant(image.nearest(name)));
}
