//! From a request to a step of the engine, or to the answer that says why not. The engine's process takes requests so,
//! and `--dry-run` does with an engine of its own.

use core::fmt::Write;
use pintle::database::Image;
use pintle::engine::{Engine, Input, Refusal, Sender, Target, Verb};
use pintle::lang::diagnostic::Meant;
use pintle::protocol::{Request, Verb as Asked, WORDS_MAX};
use pintle::time::Instant;

/// Takes a request of this sender, with the number of its lease. Gives the number of the transaction; where it is
/// refused, the answer is written; with `hints` it says which service may have been meant.
#[inline(never)]
pub fn take(
    engine: &mut Engine<'_>,
    image: &Image<'_>,
    request: &Request<'_>,
    (sender, lease): (Sender, u32),
    hints: bool,
    now: Instant,
    answer: &mut dyn Write,
) -> Result<u32, ()> {
    let (fact, mut words) = (request.fact(), request.words());
    let mut told = |input| step(engine, input, now, answer);
    let verb = match request.verb {
        Asked::On => return told(Input::On { fact, sender, lease: 0 }),
        Asked::Hold => return told(Input::On { fact, sender, lease }),
        Asked::Off => return told(Input::Off { fact }),
        Asked::Changing => return told(Input::Changing { fact, for_ms: request.number }),
        Asked::Emit => return told(Input::Event { fact }),
        Asked::Shutdown => return told(Input::Shutdown(sender.uid)),
        Asked::Await | Asked::Follow | Asked::Events | Asked::Journal | Asked::Memory => return Ok(request.number),
        Asked::Start => Verb::Start,
        Asked::Stop => Verb::Stop,
        Asked::Restart => Verb::Restart,
        Asked::RestartWithDependents => Verb::RestartWithDependents,
        Asked::Switch => Verb::Switch,
        Asked::Reload => Verb::Reload,
        Asked::Reset => Verb::Reset,
        Asked::Release => Verb::Release,
        // The first word is which.
        Asked::Signal => {
            let word = words.next().unwrap_or_default();
            let Some(signal) = pintle::signals::number(word) else {
                let _ = write!(answer, "bad no signal \"{word}\"");
                return Err(());
            };
            Verb::Signal(signal as u8)
        }
    };
    let mut targets: heapless::Vec<Target<'_>, WORDS_MAX> = heapless::Vec::new();
    for name in words {
        let Some(target) = engine.target(name.as_bytes()) else {
            let _ = write!(answer, "bad no service \"{name}\"{}", Meant(image.nearest(name).filter(|_| hints)));
            return Err(());
        };
        // As many as a line has words: there is always room.
        let _ = targets.push(target);
    }
    step(engine, Input::Command { verb, targets: &targets, uid: sender.uid }, now, answer)
}

#[inline(never)]
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
