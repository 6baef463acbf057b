//! An engine killed in the middle of a step: its memory with some of the step's stores done.
//!
//! A step's first change of a row puts the row into the undo log, which still stands there when the step is over. So
//! each moment in the middle can be made from the memory before and after: a first part of the log, and of its rows any
//! words new, any old. What is derived may be anything.

use std::sync::atomic::{AtomicU32, Ordering};

use pintle::board::Geometry;
use pintle::engine::{Capacities, log_range};

use super::random::Random;

/// Words of the header, see `memory.rs` of the engine.
const LOG_LENGTH: usize = 8;
const STEP: usize = 9;

pub fn tear(memory: &[AtomicU32], before: &[u32], geometry: Geometry, capacities: Capacities, random: &mut Random) {
    let log = log_range(geometry, capacities);
    let load = |at: usize| memory.get(at).map_or(0, |word| word.load(Ordering::Relaxed));
    let step = load(STEP);
    let mut entries: Vec<(usize, usize)> = Vec::new();
    let mut at = log.start;
    while at + 2 < log.end {
        let (row, length) = (load(at) as usize, load(at + 1) as usize);
        let fits = length > 0 && row + length <= log.start && at + 2 + length <= log.end;
        if !fits
            || load(row) != step
            || entries.iter().any(|(known, _)| *known == row)
            || (0..length).any(|word| load(at + 2 + word) != before[row + word])
        {
            break;
        }
        entries.push((row, length));
        at += 2 + length;
    }
    let done = random.below(entries.len() as u64 + 1) as usize;
    let mut used = 0;
    for (at, (row, length)) in entries.iter().enumerate() {
        for word in *row..row + length {
            let logged = at < done;
            // The stamp is set behind the log's length: only of the last row it may be missing.
            let stamp = word == *row && at + 1 < done;
            if !logged || !stamp && random.chance(50) {
                memory[word].store(before[word], Ordering::Relaxed);
            }
        }
        used += if at < done { 2 + length } else { 0 };
    }
    memory[LOG_LENGTH].store(used as u32, Ordering::Relaxed);
    if random.chance(50) {
        for word in &memory[log.end..] {
            word.store(random.next() as u32, Ordering::Relaxed);
        }
    }
}
