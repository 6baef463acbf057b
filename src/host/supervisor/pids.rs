//! Whose process a pid is: open addressing with room for two processes of every slot, so that it can never be full.
//! Nothing here allocates after `new`.

use alloc::vec;
use alloc::vec::Vec;
use pintle::ident::SlotId;

/// Whose process it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The slot's main process.
    Main(SlotId),
    /// Its stop or reload command.
    Auxiliary(SlotId),
    /// The engine.
    Engine,
    /// The logger.
    Logger,
    /// See `orphans`.
    Sweeper,
}

const ENGINE: u32 = u32::MAX;
const LOGGER: u32 = u32::MAX - 1;
const SWEEPER: u32 = u32::MAX - 2;

impl Owner {
    fn to_word(self) -> u32 {
        match self {
            Owner::Main(slot) => slot.0 << 1,
            Owner::Auxiliary(slot) => slot.0 << 1 | 1,
            Owner::Engine => ENGINE,
            Owner::Logger => LOGGER,
            Owner::Sweeper => SWEEPER,
        }
    }

    fn from_word(word: u32) -> Owner {
        match word {
            ENGINE => Owner::Engine,
            LOGGER => Owner::Logger,
            SWEEPER => Owner::Sweeper,
            main if main & 1 == 0 => Owner::Main(SlotId(main >> 1)),
            auxiliary => Owner::Auxiliary(SlotId(auxiliary >> 1)),
        }
    }
}

/// The table.
pub struct Pids {
    /// (pid, owner); pid 0 is a free place.
    places: Vec<(u32, u32)>,
    count: usize,
}

impl Pids {
    /// For this many slots.
    pub fn new(slots: u32) -> Pids {
        // Two for each slot, the engine and the logger, and always a free place to end a search.
        let places = 2 * slots as usize + 8;
        Pids { places: vec![(0, 0); places], count: 0 }
    }

    /// How many processes there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whose process this is.
    pub fn get(&self, pid: u32) -> Option<Owner> {
        let place = self.places[self.find(pid)?];
        Some(Owner::from_word(place.1))
    }

    /// Adds one; a pid that is there already (it cannot be: it has not been reaped) gets the new owner.
    pub fn insert(&mut self, pid: u32, owner: Owner) {
        if pid == 0 {
            return;
        }
        let mut at = self.home(pid);
        while self.places[at].0 != 0 && self.places[at].0 != pid {
            at = self.after(at);
        }
        self.count += usize::from(self.places[at].0 == 0);
        self.places[at] = (pid, owner.to_word());
    }

    /// Removes one.
    pub fn remove(&mut self, pid: u32) {
        let Some(mut hole) = self.find(pid) else { return };
        self.count -= 1;
        // What was pushed along by the removed one moves back, so that no search ends at the hole.
        let mut at = self.after(hole);
        while self.places[at].0 != 0 {
            let home = self.home(self.places[at].0);
            if self.way(home, at) >= self.way(hole, at) {
                self.places[hole] = self.places[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.places[hole] = (0, 0);
    }

    fn find(&self, pid: u32) -> Option<usize> {
        let mut at = self.home(pid);
        while self.places[at].0 != 0 {
            if self.places[at].0 == pid {
                return Some(at);
            }
            at = self.after(at);
        }
        None
    }

    /// Pids come in runs. As they are, a run would fill places side by side, and to remove one is to go through what
    /// stands behind it: a multiplication keeps them apart (Fibonacci hashing).
    fn home(&self, pid: u32) -> usize {
        ((u64::from(pid.wrapping_mul(0x9e37_79b1)) * self.places.len() as u64) >> 32) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 < self.places.len() { at + 1 } else { 0 }
    }

    /// How many places it is from one to another.
    fn way(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.places.len() - from }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_are_found_whatever_was_removed_before() {
        let mut pids = Pids::new(20);
        let mut expected = std::collections::BTreeMap::new();
        let mut random = 1u32;
        for round in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let pid = 1 + (random >> 8) % 100;
            let owner = match random >> 30 {
                0 => Owner::Main(SlotId(random & 0xf)),
                1 => Owner::Auxiliary(SlotId(random & 0xf)),
                2 => Owner::Engine,
                _ => Owner::Logger,
            };
            if expected.len() < 40 && random >> 29 & 1 == 0 {
                pids.insert(pid, owner);
                expected.insert(pid, owner);
            } else {
                pids.remove(pid);
                expected.remove(&pid);
            }
            assert_eq!(pids.len(), expected.len(), "round {round}");
            for pid in 1..=100 {
                assert_eq!(pids.get(pid), expected.get(&pid).copied(), "round {round}, pid {pid}");
            }
        }
    }
}
