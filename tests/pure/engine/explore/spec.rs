//! What the engine has to think and to order in a state: the semantics of `graph/mod.rs` once more, written for
//! clarity, by recursion over the edges and without a counter. It knows of the engine only facts, orders and reports.

use pintle::board::orders::{OrderRow, Wish};
use pintle::board::reports::State;
use pintle::engine::Engine;
use pintle::graph::{Goal, Hold, Holds, Phase, Relation};
use pintle::ident::SlotId;

use super::choices::Choice;
use super::graphs::{Kind, MOST};
use super::moves::{Net, Row};

/// The edges of a graph, from each end, and an order in which targets come first.
pub struct Edges {
    pub targets: Vec<Vec<(Relation, usize)>>,
    pub sources: Vec<Vec<(Relation, usize)>>,
    pub targets_first: Vec<usize>,
    pub kinds: Vec<Kind>,
    /// Has `while = net`.
    pub gated: Vec<bool>,
    /// The other leaf of its `while`: of whom, and whether it is `not failed()` rather than `up()`.
    pub observed: Vec<Vec<(usize, bool)>>,
}

/// What is known of a slot.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub phase: Phase,
    pub goal: bool,
    pub holds: Holds,
    pub active: bool,
    pub ordered_down: bool,
    restart_wanted: bool,
    /// ... and takes along all that needs it.
    with_dependents: bool,
    restarts_by_command: bool,
    gate: Gate,
    pub must_stop: bool,
    pub start_ok: bool,
    keep_ok: bool,
    under_way: bool,
    pub up_bundle: bool,
    /// A bundle that was told as down: what becomes of its members does not concern it.
    was_down: bool,
    was_restarting: bool,
    broken: bool,
    /// Skipped and wished: to a bundle as good as up.
    skipped: bool,
    /// It was, and is not up yet.
    was_skipped: bool,
    /// Killed long ago, and still there.
    pub stuck: bool,
    /// Somebody has to repair something before it can come up.
    pub barred: bool,
    /// What conflicts with it is.
    pub waits_for_stuck: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Gate {
    Off,
    Changing,
    On,
}

const HARD: [Relation; 5] =
    [Relation::Needs, Relation::Binds, Relation::NeedsToStart, Relation::Contains, Relation::Alternative];
const FOLLOWS: [Relation; 4] = [Relation::Needs, Relation::Binds, Relation::Contains, Relation::Alternative];
const SOFT: [Relation; 5] =
    [Relation::Wants, Relation::After, Relation::Contains, Relation::Observes, Relation::Alternative];
const ORDERS: [Relation; 4] = [Relation::NeedsToStart, Relation::Wants, Relation::After, Relation::Observes];

/// A state as the semantics have it.
pub struct Spec<'s> {
    pub edges: &'s Edges,
    pub seen: [Seen; MOST],
    pub choices: [Choice; MOST],
    /// When a choice became ready last: what it had chosen then may have been left.
    ready: [u32; MOST],
}

/// Facts that only tests read: see `Engine::facts`.
const STATE: usize = 1;
const READY: usize = 6;
const RETRIED: u32 = 1 << 5;
const RESTART_WANTED: u32 = 1 << 8;
const WITH_DEPENDENTS: u32 = 1 << 17;
const FORGIVEN: u32 = 1 << 9;
const STUCK: u32 = 1 << 19;
const VIRTUAL_UP: u32 = 1 << 14;
const PHASE_SHIFT: u32 = 10;
const WAS_SKIPPED: u32 = 1 << 20;

/// What neighbours are told: see `Engine::told_bits`.
const ACTIVE: u32 = 1 << 2;
const MUST_STOP: u32 = 1 << 4;
pub const START_OK: u32 = 1 << 5;
const KEEP_OK: u32 = 1 << 6;
const UNDER_WAY: u32 = 1 << 7;
pub const BARRED: u32 = 1 << 25;

impl<'s> Spec<'s> {
    pub fn of(edges: &'s Edges, engine: &Engine<'_>, orders: &[OrderRow; MOST], rows: &[Row], net: Net) -> Spec<'s> {
        let nothing = Seen {
            phase: Phase::Down,
            goal: false,
            holds: Holds(0),
            active: false,
            ordered_down: false,
            restart_wanted: false,
            with_dependents: false,
            restarts_by_command: false,
            gate: Gate::On,
            must_stop: false,
            start_ok: false,
            keep_ok: false,
            under_way: false,
            up_bundle: false,
            was_down: false,
            was_restarting: false,
            broken: false,
            skipped: false,
            was_skipped: false,
            stuck: false,
            barred: false,
            waits_for_stuck: false,
        };
        let choices = std::array::from_fn(|at| edges.choice(engine, at));
        let mut spec = Spec { edges, seen: [nothing; MOST], choices, ready: [0; MOST] };
        for at in 0..rows.len() {
            let published = engine.published(SlotId(at as u32));
            spec.seen[at].holds = published.holds;
            spec.ready[at] = engine.facts(SlotId(at as u32))[READY];
        }
        spec.find_goals(engine.shutting_down());
        for at in 0..rows.len() {
            spec.look_at_process(at, engine.facts(SlotId(at as u32))[STATE], &orders[at], &rows[at]);
            let bound = edges.targets[at].iter().filter(|(relation, _)| *relation == Relation::Binds);
            let newer = |to: usize| spec.ready_of(to, rows) > rows[at].began;
            let living = orders[at].wish == Wish::Up
                && rows[at].order == orders[at].number.0
                && matches!(rows[at].state, State::Starting | State::Up);
            spec.seen[at].broken = living && bound.clone().any(|(_, to)| newer(*to));
        }
        for at in edges.targets_first.clone() {
            spec.look_at(at, net);
        }
        spec
    }

    /// When it became ready last: a bundle when the last of its members did.
    fn ready_of(&self, at: usize, rows: &[Row]) -> u32 {
        if self.edges.kinds[at] == Kind::Choice {
            return self.ready[at];
        }
        let members = self.edges.targets[at].iter().filter(|(relation, _)| *relation == Relation::Contains);
        members.map(|(_, to)| self.ready_of(*to, rows)).max().unwrap_or(rows[at].ready)
    }

    /// Whether this edge counts: of those of a choice only that to the chosen one does.
    fn counts(&self, relation: Relation, from: usize, to: usize) -> bool {
        relation != Relation::Alternative || self.choices[from].chosen == Some(to)
    }

    /// What this one has to do with others, and others with it.
    fn targets(&self, at: usize) -> impl Iterator<Item = &(Relation, usize)> {
        self.edges.targets[at].iter().filter(move |(relation, to)| self.counts(*relation, at, *to))
    }

    fn sources(&self, at: usize) -> impl Iterator<Item = &(Relation, usize)> {
        self.edges.sources[at].iter().filter(move |(relation, from)| self.counts(*relation, *from, at))
    }

    /// A choice that has chosen nothing: what it needs there is not.
    fn lacks_all(&self, at: usize) -> bool {
        self.edges.kinds[at] == Kind::Choice && self.choices[at].chosen.is_none()
    }

    /// Goals: the least set that holds, marks and pulls give.
    fn find_goals(&mut self, shutting_down: bool) {
        let own = !(Hold::Need as u32) & 0xffff;
        loop {
            let before = self.seen.map(|seen| seen.goal);
            for at in 0..self.edges.targets.len() {
                let holds = self.seen[at].holds.0;
                let pulled = self.sources(at).any(|(relation, from)| {
                    (HARD.contains(relation) || *relation == Relation::Wants) && self.seen[*from].goal
                });
                let held = holds & own != 0 && !shutting_down;
                self.seen[at].goal = (held || pulled) && holds & (Holds::MARK_ADMIN | Holds::MARK_CONFLICT) == 0;
            }
            if self.seen.map(|seen| seen.goal) == before {
                break;
            }
        }
    }

    fn look_at_process(&mut self, at: usize, facts: u32, order: &OrderRow, row: &Row) {
        let seen = &mut self.seen[at];
        if self.edges.kinds[at].is_bundle() {
            seen.up_bundle = facts & VIRTUAL_UP != 0;
            seen.was_down = facts >> PHASE_SHIFT & 0xf == Phase::Down as u32;
            seen.was_restarting = facts >> PHASE_SHIFT & 0xf == Phase::Restarting as u32;
            seen.active = seen.up_bundle;
            // A choice that has moved: to what binds to it that is a new life.
            seen.restart_wanted = seen.active && facts & RESTART_WANTED != 0;
            return;
        }
        let (ordered, current, up) = (order.number.0 != 0, order.number.0 == row.order, order.wish == Wish::Up);
        let has_ended = current && up && matches!(row.state, State::Failed | State::Done | State::Skipped);
        let at_rest = matches!(row.state, State::Down | State::Failed | State::Done | State::Skipped);
        let is_down = current && !up && at_rest;
        let active = ordered && !has_ended && !is_down;
        seen.stuck = active && facts & STUCK != 0;
        seen.active = active && !seen.stuck;
        seen.ordered_down = active && !up;
        seen.restart_wanted = seen.active && facts & RESTART_WANTED != 0;
        seen.with_dependents = seen.restart_wanted && facts & WITH_DEPENDENTS != 0;
        // The attempts of a oneshot are one start.
        let retried = facts & RETRIED != 0 || current && row.state == State::Delayed;
        let first = !retried || self.edges.kinds[at].is_oneshot();
        seen.was_skipped = facts & WAS_SKIPPED != 0;
        seen.restarts_by_command = order.restart && first;
        seen.phase = match (active, row.state) {
            (false, State::Failed) if has_ended && facts & FORGIVEN == 0 => Phase::Failed,
            (false, State::Done) if has_ended && facts & FORGIVEN == 0 => Phase::Done,
            (false, State::Skipped) if has_ended && facts & FORGIVEN == 0 => Phase::Skipped,
            (false, _) => {
                if seen.goal {
                    Phase::Waiting
                } else {
                    Phase::Down
                }
            }
            (true, _) if !up || seen.stuck => Phase::Stopping,
            (true, State::Up) if current => Phase::Up,
            (true, _) if order.restart || current && !first => Phase::Restarting,
            (true, _) => Phase::Starting,
        };
    }

    /// All that depends on targets, which come first.
    fn look_at(&mut self, at: usize, net: Net) {
        let targets = || self.targets(at);
        let any = |relations: &[Relation], is: &dyn Fn(&Seen) -> bool| {
            targets().any(|(relation, to)| relations.contains(relation) && is(&self.seen[*to]))
        };
        let mut seen = self.seen[at];
        let bundle = self.edges.kinds[at].is_bundle();
        let lacks_all = self.lacks_all(at);
        if bundle {
            let leaving = any(&[Relation::Contains, Relation::Alternative], &|member| member.leaving());
            seen.phase = if seen.up_bundle {
                let whole = !any(&[Relation::Contains], &|member| !member.start_ok && !member.skipped)
                    && !any(&[Relation::Alternative], &|chosen| !chosen.start_ok)
                    && !lacks_all;
                let restarts = (!whole || seen.restart_wanted) && (seen.goal || seen.was_restarting);
                if restarts { Phase::Restarting } else { Phase::Up }
            } else if seen.goal {
                Phase::Waiting
            } else if leaving && !seen.was_down {
                Phase::Stopping
            } else {
                Phase::Down
            };
        }
        seen.gate = match net {
            _ if !self.edges.gated[at] => Gate::On,
            Net::Off => Gate::Off,
            Net::Changing => Gate::Changing,
            Net::On => Gate::On,
        };
        for (of, not_failed) in &self.edges.observed[at] {
            let value = match (self.seen[*of].phase, not_failed) {
                (Phase::Failed, true) => Gate::Off,
                (_, true) | (Phase::Up, false) => Gate::On,
                (Phase::Restarting, false) => Gate::Changing,
                (_, false) => Gate::Off,
            };
            seen.gate = seen.gate.min(value);
        }
        seen.skipped = seen.phase == Phase::Skipped && seen.goal;
        let lost = lacks_all
            || any(&[Relation::Needs, Relation::Alternative], &|to| !to.keep_ok)
            || any(&[Relation::Contains], &|to| !to.keep_ok && !to.skipped)
            || any(&[Relation::Binds], &|to| !to.start_ok)
            || seen.broken;
        seen.must_stop =
            (seen.active || seen.stuck) && !seen.ordered_down && (!seen.goal || seen.gate == Gate::Off || lost);
        let stays = seen.active && !seen.ordered_down && !seen.must_stop;
        let as_good = seen.skipped && self.edges.kinds[at] == Kind::SkipsWell;
        seen.start_ok = as_good || stays && seen.phase == Phase::Up && !seen.restart_wanted;
        let oneshot = self.edges.kinds[at].is_oneshot();
        seen.keep_ok = stays
            && match seen.phase {
                Phase::Up => !(seen.with_dependents || oneshot && seen.restart_wanted),
                Phase::Restarting => !oneshot && !seen.with_dependents,
                _ => false,
            };
        seen.waits_for_stuck = any(&[Relation::Conflicts], &|to| to.stuck) && seen.gate == Gate::On;
        let waits_for_what_moves = match seen.gate {
            Gate::On => {
                let hopeless = |(relation, to): &(Relation, usize)| {
                    let to = &self.seen[*to];
                    HARD.contains(relation) && !to.lets_start(*relation) && !to.under_way
                };
                !lacks_all && !targets().any(hopeless)
            }
            Gate::Off | Gate::Changing => any(&[Relation::Observes], &|to| to.under_way),
        };
        let moves = match seen.phase {
            Phase::Starting => true,
            Phase::Restarting if !bundle && seen.restarts_by_command => true,
            Phase::Stopping => seen.goal && !seen.stuck,
            Phase::Waiting => waits_for_what_moves && !seen.waits_for_stuck,
            Phase::Restarting | Phase::Up | Phase::Down | Phase::Failed | Phase::Skipped | Phase::Done => false,
        };
        seen.keep_ok |= as_good || seen.goal && seen.was_skipped && moves && !seen.must_stop;
        seen.under_way = moves
            || seen.restart_wanted
            || seen.must_stop && seen.goal && !seen.stuck
            || bundle && seen.goal && seen.phase != Phase::Up && any(&SOFT, &|to| to.under_way);
        let ended = matches!(seen.phase, Phase::Failed | Phase::Done);
        let all_are = || self.edges.targets[at].iter().all(|(_, to)| self.seen[*to].barred);
        let lacks = if self.edges.kinds[at] == Kind::Choice { all_are() } else { self.lacks_barred(at) };
        let marked = seen.holds.0 & Holds::MARK_ADMIN != 0;
        seen.barred = !seen.start_ok && (ended || marked || !stays && lacks);
        self.seen[at] = seen;
    }

    /// Something that it needs is barred, or is skipped and that is not as good.
    fn lacks_barred(&self, at: usize) -> bool {
        self.edges.targets[at].iter().any(|(relation, to)| {
            let to = &self.seen[*to];
            HARD.contains(relation) && (to.barred || to.skipped && !to.start_ok && *relation != Relation::Contains)
        })
    }

    /// Invariant 5, for a start.
    pub fn may_start(&self, at: usize) -> bool {
        self.seen[at].phase == Phase::Waiting && !self.seen[at].active && self.nothing_against_start(at)
    }

    fn nothing_against_start(&self, at: usize) -> bool {
        self.seen[at].goal
            && self.seen[at].gate == Gate::On
            && !self.lacks_all(at)
            && self.targets(at).all(|(relation, to)| {
                let to = &self.seen[*to];
                (!HARD.contains(relation) || to.lets_start(*relation))
                    && (!SOFT.contains(relation) || !to.under_way)
                    && (*relation != Relation::Conflicts || !to.active && !to.stuck)
            })
            && self.sources(at).all(|(relation, from)| !FOLLOWS.contains(relation) || !self.seen[*from].is_going())
    }

    /// ... for a stop.
    pub fn may_stop(&self, at: usize) -> bool {
        self.seen[at].must_stop && self.nothing_against_stop(at)
    }

    fn nothing_against_stop(&self, at: usize) -> bool {
        self.sources(at).all(|(relation, from)| {
            let from = &self.seen[*from];
            (!FOLLOWS.contains(relation) || !from.active) && (!ORDERS.contains(relation) || !from.is_going())
        })
    }

    /// ... for a restart in place.
    pub fn may_restart(&self, at: usize) -> bool {
        self.seen[at].restart_wanted && !self.seen[at].must_stop && self.nothing_against_restart(at)
    }

    fn nothing_against_restart(&self, at: usize) -> bool {
        let seen = &self.seen[at];
        let oneshot = self.edges.kinds[at].is_oneshot();
        let follows = |relation: &Relation| {
            if oneshot || seen.with_dependents { FOLLOWS.contains(relation) } else { *relation == Relation::Binds }
        };
        self.sources(at).all(|(relation, from)| !follows(relation) || !self.seen[*from].active)
    }

    /// The other way round: what was ordered just now was allowed.
    pub fn allows(&self, at: usize, order: &OrderRow) -> bool {
        match (order.wish, order.restart) {
            (Wish::Up, false) => self.nothing_against_start(at),
            (Wish::Up, true) => self.nothing_against_restart(at),
            // What observes it may have to go only since it does.
            (Wish::Down, _) => !self.edges.observed.iter().all(Vec::is_empty) || self.nothing_against_stop(at),
        }
    }

    /// What is wrong with how the engine sees this state, and with what it has asked for in it.
    pub fn check(&self, engine: &Engine<'_>, may_wait: bool, limit: usize) -> Result<(), String> {
        let starting = self.seen.iter().filter(|seen| seen.phase == Phase::Starting).count();
        if limit != 0 && starting > limit {
            return Err(format!("5: {starting} start, and {limit} may"));
        }
        let all_places_are_taken = limit != 0 && starting == limit;
        for at in 0..self.edges.targets.len() {
            let (seen, name) = (&self.seen[at], engine.name(SlotId(at as u32)));
            let (name, row) = (name.as_str(), engine.published(SlotId(at as u32)));
            if seen.phase != row.phase {
                return Err(format!("phase: {name} is {:?}, and shown {:?}", seen.phase, row.phase));
            }
            if seen.goal != (row.goal == Goal::Up) {
                return Err(format!("goal: that of {name} is up: {}, and shown otherwise", seen.goal));
            }
            let told = engine.told_bits(SlotId(at as u32));
            for (what, bit, is) in [
                ("is active", ACTIVE, seen.active),
                ("has to stop", MUST_STOP, seen.must_stop),
                ("lets others start", START_OK, seen.start_ok),
                ("lets others stay", KEEP_OK, seen.keep_ok),
                ("is under way", UNDER_WAY, seen.under_way),
                ("is barred", BARRED, seen.barred),
            ] {
                if (told & bit != 0) != is {
                    return Err(format!("told: that {name} {what}: {is}, and others are told otherwise"));
                }
            }
            let rivals = self.edges.targets[at].iter().filter(|(relation, _)| *relation == Relation::Conflicts);
            let risen = rivals.filter(|(_, to)| self.seen[*to].goal).count() > 0;
            if risen && seen.goal {
                return Err(format!("conflict: {name} is wished together with what it conflicts with"));
            }
            if row.holds.0 & Holds::MARK_CONFLICT != 0 && !risen {
                return Err(format!("conflict: {name} is marked for nothing"));
            }
            self.check_choice(at).map_err(|fault| format!("choice: {name} {fault}"))?;
            let bundle = self.edges.kinds[at].is_bundle();
            if bundle && may_wait {
                continue;
            }
            if self.may_start(at) && (bundle || !all_places_are_taken) {
                return Err(format!("5: {name} may start, and waits"));
            }
            if self.may_stop(at) {
                return Err(format!("5: {name} has to stop and may, and is not told to"));
            }
            if self.may_restart(at) {
                return Err(format!("5: {name} is to restart and may, and is not told to"));
            }
        }
        Ok(())
    }
}

impl Seen {
    /// Has to go down, or does.
    fn is_going(&self) -> bool {
        (self.must_stop || self.ordered_down) && !self.stuck
    }

    /// What has this relation to it may start.
    fn lets_start(&self, relation: Relation) -> bool {
        self.start_ok || self.skipped && relation == Relation::Contains
    }

    fn leaving(&self) -> bool {
        !self.goal && !self.stuck && (self.active || self.phase == Phase::Stopping)
    }

    /// Nothing moves here: no start, no stop.
    pub fn is_at_rest(&self) -> bool {
        !self.under_way && !self.leaving()
    }
}
