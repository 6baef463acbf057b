//! What a choice has to choose: that part of the semantics once more.

use pintle::engine::Engine;
use pintle::graph::Phase;
use pintle::ident::SlotId;
use pintle::limits::ALTERNATIVES_MAX;

use super::explorer::CHOICE;
use super::graphs::{Kind, MOST};
use super::spec::{BARRED, Edges, START_OK, Spec};

/// What a choice remembers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Choice {
    pub chosen: Option<usize>,
    /// A bit for each alternative, in the order in which they are liked.
    tried: u32,
}

impl Edges {
    pub fn has_choice(&self) -> bool {
        self.kinds.contains(&Kind::Choice)
    }

    pub fn choice(&self, engine: &Engine<'_>, at: usize) -> Choice {
        if self.kinds.get(at) != Some(&Kind::Choice) {
            return Choice::default();
        }
        let word = engine.facts(SlotId(at as u32))[CHOICE];
        let place = (word >> ALTERNATIVES_MAX).checked_sub(1);
        let chosen = place.map(|place| self.targets[at][place as usize].1);
        Choice { chosen, tried: word & ((1 << ALTERNATIVES_MAX) - 1) }
    }
}

/// A service as an alternative.
#[derive(Clone, Copy, Default, Debug)]
struct Offer {
    /// Has not ended for good, or is as good as up all the same, and has no mark.
    usable: bool,
    up: bool,
    barred: bool,
}

/// How well an alternative may be chosen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    Up,
    Untried,
    /// Not tried, but barred.
    Barred,
    Never,
}

impl Offer {
    fn rank(self, untried: bool) -> Rank {
        match self {
            Offer { usable: false, .. } => Rank::Never,
            Offer { up: true, .. } => Rank::Up,
            _ if !untried => Rank::Never,
            Offer { barred: true, .. } => Rank::Barred,
            _ => Rank::Untried,
        }
    }
}

/// What was chosen and could be before a step.
pub struct Before {
    pub choices: [Choice; MOST],
    offers: [Offer; MOST],
}

impl Before {
    pub fn of(edges: &Edges, engine: &Engine<'_>) -> Before {
        let offer = |at: usize| {
            if at >= edges.kinds.len() || !edges.has_choice() {
                return Offer::default();
            }
            let (row, told) = (engine.published(SlotId(at as u32)), engine.told_bits(SlotId(at as u32)));
            let up = told & START_OK != 0;
            let usable = !(has_ended(row.phase) && !up || row.holds.marked());
            Offer { usable, up, barred: told & BARRED != 0 }
        };
        Before { choices: std::array::from_fn(|at| edges.choice(engine, at)), offers: std::array::from_fn(offer) }
    }
}

fn has_ended(phase: Phase) -> bool {
    matches!(phase, Phase::Failed | Phase::Done | Phase::Skipped)
}

impl Spec<'_> {
    fn offer(&self, at: usize) -> Offer {
        let seen = &self.seen[at];
        let usable = !(has_ended(seen.phase) && !seen.start_ok || seen.holds.marked());
        Offer { usable, up: seen.start_ok, barred: seen.barred }
    }

    /// Its alternatives, the one that is liked best first, and whether each was tried.
    fn alternatives(&self, at: usize) -> impl Iterator<Item = (usize, bool)> {
        let tried = self.choices[at].tried;
        (0..).zip(&self.edges.targets[at]).map(move |(place, (_, to))| (*to, tried >> place & 1 != 0))
    }

    /// That bars only while it is wished: left, it is no more.
    fn needs_what_is_skipped(&self, at: usize) -> bool {
        let mut targets = self.edges.targets[at].iter();
        targets.any(|(_, to)| self.seen[*to].phase == Phase::Skipped || self.needs_what_is_skipped(*to))
    }

    /// In every state: what it has chosen it may have.
    pub fn check_choice(&self, at: usize) -> Result<(), String> {
        let seen = &self.seen[at];
        if self.edges.kinds[at] != Kind::Choice || !seen.goal && seen.phase != Phase::Down {
            return Ok(());
        }
        if !seen.goal {
            let forgotten = self.choices[at] == Choice::default();
            return if forgotten { Ok(()) } else { Err(format!("is down and remembers {:?}", self.choices[at])) };
        }
        let chosen = self.choices[at].chosen;
        // What needs it goes down before it turns to what is not up.
        let least = match chosen.map(|chosen| self.offer(chosen)) {
            Some(Offer { usable: true, barred: false, .. }) => return Ok(()),
            Some(_) if seen.up_bundle => Rank::Up,
            Some(Offer { usable: true, .. }) => Rank::Untried,
            Some(_) => return Err(format!("stays with {chosen:?}, and may not")),
            None => Rank::Barred,
        };
        let better = |(to, tried): &(usize, bool)| Some(*to) != chosen && self.offer(*to).rank(!tried) <= least;
        match self.alternatives(at).find(better) {
            Some((better, _)) => Err(format!("stays with {chosen:?}, and there is {better}")),
            None => Ok(()),
        }
    }

    /// From one state to the next: `rises` if it may have begun anew. It looks in the middle of the step, when an
    /// alternative may be as it was before, or already as it is behind it.
    pub fn check_turn(&self, before: &Before, at: usize, rises: bool) -> Result<(), String> {
        if self.edges.kinds[at] != Kind::Choice || !self.seen[at].goal {
            return Ok(());
        }
        let (was, now) = (before.choices[at], self.choices[at]);
        if !rises && was.tried & !now.tried != 0 {
            return Err(format!("{was:?} became {now:?}: what was tried is forgotten"));
        }
        if was.chosen == now.chosen {
            return Ok(());
        }
        if let Some(left) = was.chosen.filter(|_| !rises) {
            let (offer, marked) = (self.offer(left), self.seen[left].holds.marked());
            if offer.usable && !offer.barred && !self.needs_what_is_skipped(left) {
                return Err(format!("leaves {left}, which may stay"));
            }
            let is_tried = self.alternatives(at).any(|(to, tried)| to == left && tried);
            if !marked && !is_tried {
                return Err(format!("leaves {left}, and may try it again"));
            }
        }
        let ranks = |(to, tried): (usize, bool)| {
            let both = [before.offers[to].rank(!tried), self.offer(to).rank(!tried)];
            (to, both[0].min(both[1]), both[0].max(both[1]))
        };
        let mut rank = Rank::Never;
        if let Some((to, best, _)) = self.alternatives(at).map(ranks).find(|(to, ..)| Some(*to) == now.chosen) {
            rank = best;
            if best == Rank::Never || best != Rank::Up && self.seen[at].up_bundle {
                return Err(format!("turns to {to}, which it may not have"));
            }
        }
        // Of two that are as good the first is taken.
        let mut behind = false;
        for (other, _, surely) in self.alternatives(at).map(ranks) {
            behind |= Some(other) == now.chosen;
            if surely < rank || surely == rank && !behind && surely != Rank::Never {
                return Err(format!("turns to {:?}, and not to {other}", now.chosen));
            }
        }
        Ok(())
    }
}
