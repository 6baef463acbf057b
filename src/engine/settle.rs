//! Settle: what a slot is to its neighbours is told along its edges, and every transition that is allowed now is asked
//! for now, stops before starts, in slot order.

use core::sync::atomic::Ordering;

use super::Engine;
use super::expression::{Role, Value};
use super::memory::{Derived, Set, derived, slot};
use super::slot::{
    BINDS, COUNTED, Counter, FOLLOWS, MEMBERS, OF_SOURCES, OF_TARGETS, Process, Recount, counted, state, told,
};
use super::transaction::{Cause, Wanted};
use crate::database::service;
use crate::graph::{Holds, Phase, Relation};
use crate::ident::{Order, SlotId};

/// Values of `told::WHILE` where they stand there.
const WHILE_OFF: u32 = (Value::Off as u32) << told::WHILE_SHIFT;
const WHILE_ON: u32 = (Value::On as u32) << told::WHILE_SHIFT;

impl Engine<'_> {
    pub(super) fn is_bundle(&self, at: SlotId) -> bool {
        self.memory.is_told(at, told::BUNDLE)
    }

    fn is_oneshot(&self, at: SlotId) -> bool {
        self.memory.is_told(at, told::ONESHOT)
    }

    /// The phase as facts and counters have it.
    pub(super) fn phase(&self, at: SlotId) -> Phase {
        let (row, facts) = (self.memory.near(at), self.memory.state(at));
        let bits = row[derived::TOLD].load(Ordering::Relaxed);
        let goal_up = bits & told::GOAL != 0;
        if bits & told::BUNDLE == 0 {
            return Process { bits: facts }.phase(goal_up);
        }
        if facts & state::VIRTUAL_UP != 0 {
            let unready = counted(row, Counter::MembersUnready) > 0 || facts & state::RESTART_WANTED != 0;
            // With its goal down its members have to go, and wait for it. Until it does it is what it was.
            let restarts = unready && (goal_up || self.told_phase(at) == Phase::Restarting);
            return if restarts { Phase::Restarting } else { Phase::Up };
        }
        match (goal_up, counted(row, Counter::MembersLeaving) > 0) {
            (true, _) => Phase::Waiting,
            // One that is down already has no part in what others have let go of.
            (false, true) if self.told_phase(at) != Phase::Down => Phase::Stopping,
            (false, _) => Phase::Down,
        }
    }

    /// The value of its `while`, as told; on where it has none.
    pub(super) fn gate(&self, at: SlotId) -> Value {
        Value::from_number((self.memory.told(at) & told::WHILE) >> told::WHILE_SHIFT)
    }

    /// Evaluates its `while` anew.
    pub(super) fn look_at_while(&self, at: SlotId) {
        let value = match self.root(at, Role::While) {
            Some(root) => self.value(at, Role::While, root, 0),
            None => Value::On,
        };
        let bits = self.memory.told(at);
        let after = bits & !told::WHILE | (value as u32) << told::WHILE_SHIFT;
        if after != bits {
            self.memory.set_told(at, after);
            self.memory.insert(Set::Work, at);
            self.memory.insert(Set::Tell, at);
        }
    }

    /// What its neighbours are to go by: the `told::COMPUTED` bits.
    fn compute(&self, at: SlotId) -> u32 {
        // Nothing is asked more often: each row is looked for once.
        let (row, own) = (self.memory.near(at), self.memory.facts(at));
        let (facts, bits) = (own[slot::STATE].load(Ordering::Relaxed), row[derived::TOLD].load(Ordering::Relaxed));
        if bits & told::LIVES == 0 {
            return 0;
        }
        let has = |counter| counted(row, counter) > 0;
        let (bundle, goal_up) = (bits & told::BUNDLE != 0, bits & told::GOAL != 0);
        let process = Process { bits: facts };
        let phase = if bundle { self.phase(at) } else { process.phase(goal_up) };
        let active = if bundle { facts & state::VIRTUAL_UP != 0 } else { process.active() };
        let ordered_down = active && !bundle && !process.wished_up();
        let gate = bits & told::WHILE;
        // (What is stuck is nothing to others but in the way of what conflicts with it.)
        let stuck = process.stuck();
        let must_stop = active
            && !ordered_down
            && (!goal_up || gate == WHILE_OFF || bits & told::BROKEN != 0 || has(Counter::Lost));
        let under_way = match phase {
            Phase::Stopping => goal_up && !stuck,
            Phase::Restarting => !bundle && facts & (state::RESTART | state::RETRIED) == state::RESTART,
            Phase::Waiting if gate != WHILE_ON => has(Counter::Observed),
            Phase::Waiting => !(has(Counter::Hopeless) || has(Counter::Rivals) && self.stuck_rival(at).is_some()),
            _ => phase == Phase::Starting,
        };
        let mut is = match phase {
            Phase::Up => told::START_OK | told::KEEP_OK | (Value::On as u32) << told::UP_SHIFT,
            Phase::Restarting => told::KEEP_OK | (Value::Changing as u32) << told::UP_SHIFT,
            Phase::Failed => told::FAILED,
            _ => 0,
        };
        if must_stop || ordered_down || !active {
            is &= !(told::START_OK | told::KEEP_OK);
        }
        let (active, must_move) = (active && !stuck, must_stop && !stuck);
        let restart_wanted = facts & state::RESTART_WANTED != 0;
        let restarts = restart_wanted && active;
        if restarts {
            is &= !told::START_OK;
        }
        let with_all = facts & state::WITH_DEPENDENTS != 0 && restarts;
        if with_all || bits & told::ONESHOT != 0 && (restarts || phase == Phase::Restarting) {
            is &= !told::KEEP_OK;
        }
        if goal_up && facts & state::WAS_SKIPPED != 0 {
            is |= match phase {
                Phase::Skipped if self.has_flag(at, service::flags::SKIP_OK) => told::START_OK | told::KEEP_OK,
                Phase::Skipped => told::SKIPPED,
                // What stayed with it while it was skipped stays while it comes up.
                _ if under_way && !must_stop => told::KEEP_OK,
                _ => 0,
            };
        }
        // Up, a bundle has passed its soft waits: they are not taken again in that life.
        let settling = bundle && goal_up && phase != Phase::Up && has(Counter::Unsettled);
        // Skipped is said by itself: a bundle takes that for up.
        let barred = is & told::START_OK == 0
            && (process.ended() && phase != Phase::Skipped
                || own[slot::HOLDS].load(Ordering::Relaxed) & Holds::MARK_ADMIN != 0
                || (must_stop || ordered_down || !active) && self.lacks_barred(at));
        let mut add = |bit: u32, so: bool| is |= if so { bit } else { 0 };
        add(told::BARRED, barred);
        add(told::ACTIVE, active);
        add(told::MUST_STOP, must_stop);
        add(told::GOING, must_move || ordered_down && active);
        add(told::UNDER_WAY, under_way || restarts || must_move && goal_up || settling);
        add(told::LEAVING, !goal_up && !stuck && (active || phase == Phase::Stopping));
        add(told::MISSING, phase != Phase::Up && self.has_flag(at, service::flags::ESSENTIAL));
        add(told::RESTARTING, restart_wanted);
        is
    }

    /// Whether a flag stands in its definition.
    #[inline(never)]
    pub(super) fn has_flag(&self, at: SlotId, flag: u32) -> bool {
        self.image.flags(self.record(at)) & flag != 0
    }

    /// Whether something that it needs is barred; of a choice: all alternatives.
    pub(super) fn lacks_barred(&self, at: SlotId) -> bool {
        if !self.is_choice(at) {
            return self.memory.counter(at, Counter::Barred) > 0;
        }
        self.image.edges(at).all(|edge| self.memory.is_told(edge.slot, told::BARRED))
    }

    /// Tells the neighbours what has changed of this slot.
    #[inline(never)]
    pub(super) fn refresh(&mut self, at: SlotId) {
        let word = &self.memory.near(at)[derived::TOLD];
        let old = word.load(Ordering::Relaxed);
        // Whether one that is in doubt is barred its alternatives say, whichever it chooses. The rest comes when that
        // is done.
        let doubtful = old & told::CHOICE != 0 && self.memory.contains(Set::NewLife, at);
        let told = if doubtful { told::BARRED } else { told::COMPUTED };
        let new = old & !told | self.compute(at) & told;
        let changed = old ^ new;
        word.store(new, Ordering::Relaxed);
        self.memory.insert(Set::Tell, at);
        if changed & new & told::MOVING != 0 {
            let follows = self.cause == Cause::Restart && changed & new & told::GOING != 0 && new & told::GOAL != 0;
            self.join(at, if follows { Wanted::Up } else { Wanted::Any });
        }
        if new & (told::MUST_STOP | told::RESTARTING) != 0 {
            self.memory.insert(Set::Stop, at);
        }
        if new & (told::GOAL | told::ACTIVE) == told::GOAL {
            self.memory.insert(Set::Start, at);
        } else if self.starts_max != 0 {
            self.leave_line(at);
        }
        if changed & (told::UNDER_WAY | told::LEAVING | told::MISSING) != 0 {
            let count = |total: &mut u32, bit: u32| {
                *total = total.saturating_add(u32::from(new & bit != 0)).saturating_sub(u32::from(old & bit != 0));
            };
            count(&mut self.under_way, told::UNDER_WAY);
            count(&mut self.leaving, told::LEAVING);
            count(&mut self.missing, told::MISSING);
        }
        if changed & (told::ACTIVE | told::GOING) != 0 {
            if new & told::CHOICE != 0 {
                self.memory.insert(Set::Choose, at);
            }
            let mut recount = Recount::of(&OF_SOURCES, Some(old), Some(new));
            for edge in self.edges(at) {
                self.tell_target(at, edge.slot, edge.relation, &mut recount);
            }
        }
        // What is stuck counts as it did before.
        if changed & told::ACTIVE != 0 && new & told::RIVALS != 0 && !self.process(at).stuck() {
            self.find_rival(at, &|rival| {
                self.memory.count(rival, Counter::Rivals, new & told::ACTIVE != 0);
                self.memory.insert(Set::Start, rival);
                self.memory.insert(Set::Tell, rival);
                false
            });
        }
        const FOR_SOURCES: u32 = told::START_OK
            | told::KEEP_OK
            | told::UNDER_WAY
            | told::LEAVING
            | told::UP
            | told::FAILED
            | told::SKIPPED
            | told::BARRED;
        if changed & FOR_SOURCES != 0 && at.0 < self.services() {
            let mut recount = Recount::of(&OF_TARGETS, Some(old), Some(new));
            for edge in self.image.reverse(at) {
                let mut sources = self.live(edge.slot);
                while let Some(source) = sources.next(self) {
                    self.tell_source(at, source, edge.relation, &mut recount, old, new);
                }
            }
        }
    }

    /// It is stuck, or (the process is gone) no longer: what conflicts with it waits for it like for what failed, or
    /// goes on.
    pub(super) fn tell_rivals_of_stuck(&self, at: SlotId, stuck: bool) {
        self.find_rival(at, &|rival| {
            if !stuck {
                self.memory.count(rival, Counter::Rivals, false);
            }
            self.memory.insert(Set::Work, rival);
            false
        });
    }

    fn stuck_rival(&self, at: SlotId) -> Option<SlotId> {
        self.find_rival(at, &|rival| self.process(rival).stuck())
    }

    /// Whether it has processes, for what conflicts with it.
    pub(super) fn is_in_the_way(&self, at: SlotId) -> bool {
        self.memory.is_told(at, told::ACTIVE) || self.process(at).stuck()
    }

    #[inline(always)]
    fn tell_target(&self, at: SlotId, target: SlotId, relation: Relation, recount: &mut Recount) {
        let memory = &self.memory;
        let row = memory.near(target);
        let bits = row[derived::TOLD].load(Ordering::Relaxed);
        let mut crossed = recount.apply(row, relation);
        // A restart in place waits for some of those that follow it, not for all.
        crossed |= bits & told::RESTARTING != 0 && relation.is_in(FOLLOWS);
        // Nothing else waits for its sources.
        let stops = bits & (told::MUST_STOP | told::RESTARTING) != 0;
        let moves = crossed && (stops || bits & (told::GOAL | told::ACTIVE) == told::GOAL);
        if moves {
            memory.insert(if stops { Set::Stop } else { Set::Start }, target);
        }
        if moves || is_blocked_by(row, at) {
            memory.insert(Set::Tell, target);
        }
    }

    #[inline(always)]
    fn tell_source(&self, at: SlotId, source: SlotId, relation: Relation, recount: &mut Recount, old: u32, new: u32) {
        let memory = &self.memory;
        let row = memory.near(source);
        if !relation.is_in(COUNTED) && !self.tell_otherwise(at, source, relation, old ^ new, new) {
            return;
        }
        let crossed = recount.apply(row, relation);
        if crossed {
            memory.insert(Set::Work, source);
        } else if is_blocked_by(row, at) {
            memory.insert(Set::Tell, source);
        }
    }

    /// What a source by this relation goes by, beside what it counts; says whether it counts.
    #[inline(never)]
    fn tell_otherwise(&self, at: SlotId, source: SlotId, relation: Relation, changed: u32, new: u32) -> bool {
        let flipped = changed & (told::UP | told::FAILED) != 0;
        let ready = changed & new & told::START_OK != 0;
        match relation {
            Relation::Observes if flipped => self.look_at_while(source),
            Relation::Listens if flipped && self.live_triggers => {
                for (bits, set) in &[(told::UP, Set::UpFlipped), (told::FAILED, Set::FailedFlipped)] {
                    if changed & *bits != 0 {
                        self.memory.insert(*set, at);
                    }
                }
                self.memory.insert(Set::Listen, source);
            }
            Relation::Binds if ready => self.look_at_binds(source),
            Relation::Contains if ready => {
                self.pass_on_ready(at, source);
            }
            Relation::Alternative => {
                self.memory.insert(Set::Choose, source);
                if changed & told::BARRED != 0 {
                    self.memory.insert(Set::Work, source);
                    // What a person, or the world outside, has repaired can be tried again.
                    let repaired = matches!(self.cause, Cause::Command | Cause::Restart | Cause::Switch | Cause::Fact);
                    if new & told::BARRED == 0 && repaired {
                        self.forget_trial(source, at);
                    }
                }
                let chosen = self.counts(relation, source, at);
                if chosen && ready {
                    self.pass_on_ready(at, source);
                }
                return chosen;
            }
            _ => {}
        }
        true
    }

    /// Whether something it binds to became ready after its own current life began.
    pub(super) fn look_at_binds(&self, at: SlotId) {
        if !self.memory.is_told(at, told::BINDS) {
            return;
        }
        let began = self.memory.slot(at, slot::BEGAN);
        let bits = self.memory.told(at);
        let living = bits & told::BUNDLE == 0 && self.process(at).living();
        let broken = living
            && self
                .edges(at)
                .only(Relation::Binds)
                .any(|edge| (self.memory.slot(edge.slot, slot::READY).wrapping_sub(began) as i32) > 0);
        let after = if broken { bits | told::BROKEN } else { bits & !told::BROKEN };
        if after != bits {
            self.memory.set_told(at, after);
            self.memory.insert(Set::Work, at);
        }
    }

    /// This slot became ready anew without its neighbours having seen it go: what binds to it has to look.
    #[inline(never)]
    pub(super) fn tell_new_life(&mut self, at: SlotId) {
        if self.is_choice(at) {
            self.choose(at, true);
            self.memory.insert(Set::Work, at);
        }
        self.tell_ready(at);
    }

    /// When it became ready has changed: what binds to it has to look, and a bundle that has it.
    pub(super) fn tell_ready(&self, at: SlotId) {
        self.find_source(at, &|relation, source| {
            if relation == Relation::Binds {
                self.look_at_binds(source);
            } else if relation.is_in(MEMBERS) && self.pass_on_ready(at, source) {
                self.memory.insert(Set::NewLife, source);
            }
            false
        });
    }

    /// What binds to a bundle binds to its members: a bundle became ready when the last of them did.
    pub(super) fn pass_on_ready(&self, member: SlotId, bundle: SlotId) -> bool {
        let ready = self.memory.slot(member, slot::READY);
        // While derived state is made anew, it is as the facts say.
        let newer = self.live_triggers && (ready.wrapping_sub(self.memory.slot(bundle, slot::READY)) as i32) > 0;
        if newer {
            self.memory.put_slot(bundle, slot::READY, ready);
        }
        newer
    }

    #[inline(never)]
    pub(super) fn try_stop(&mut self, at: SlotId) {
        let bits = self.memory.told(at);
        if bits & told::MUST_STOP == 0 {
            if self.memory.state(at) & state::RESTART_WANTED != 0 {
                self.try_restart(at);
            }
            return;
        }
        let row = self.memory.near(at);
        if counted(row, Counter::Dependents) | counted(row, Counter::SoftLeaving) != 0 {
            return;
        }
        if bits & told::BUNDLE != 0 {
            self.move_bundle(at, false);
        } else {
            self.give_order(at, false, false);
        }
    }

    /// A restart in place: what binds to it (for a oneshot: all that need it) has gone down first.
    fn try_restart(&mut self, at: SlotId) {
        if !self.memory.is_told(at, told::ACTIVE) || self.bound_source(at).is_some() {
            return;
        }
        if self.is_bundle(at) {
            // A choice that has moved.
            self.memory.put_state(at, self.memory.state(at) & !state::RESTART_WANTED);
            self.memory.insert(Set::Work, at);
        } else {
            self.give_order(at, true, true);
        }
    }

    /// The first active source that follows a restart in place of this slot.
    pub(super) fn bound_source(&self, at: SlotId) -> Option<SlotId> {
        let with_all = self.is_oneshot(at) || self.memory.state(at) & state::WITH_DEPENDENTS != 0;
        let following = if with_all { FOLLOWS } else { BINDS };
        let follows =
            |relation: Relation, source| relation.is_in(following) && self.memory.is_told(source, told::ACTIVE);
        self.find_source(at, &follows)
    }

    #[inline(never)]
    pub(super) fn try_start(&mut self, at: SlotId) {
        if !self.may_start(at) {
            self.leave_line(at);
        } else if self.is_bundle(at) {
            self.move_bundle(at, true);
        } else if self.has_turn(at) {
            self.give_order(at, true, false);
        }
    }

    fn may_start(&self, at: SlotId) -> bool {
        let row = self.memory.near(at);
        let bits = row[derived::TOLD].load(Ordering::Relaxed);
        if bits & (told::GOAL | told::ACTIVE) != told::GOAL || self.phase(at) != Phase::Waiting {
            return false;
        }
        let has = |counter| counted(row, counter) > 0;
        bits & told::WHILE == WHILE_ON
            && !has(Counter::Unmet)
            && !has(Counter::Unsettled)
            && !has(Counter::Rivals)
            && !has(Counter::Leaving)
    }

    /// A transition without a process: at once, but only one in a step, so that a loop of triggers cannot spin.
    fn move_bundle(&mut self, at: SlotId, up: bool) {
        if self.memory.contains(Set::Moved, at) {
            self.memory.insert(Set::Later, at);
            self.deadline = self.deadline.min(self.now.plus_ms(1000));
            return;
        }
        self.memory.insert(Set::Moved, at);
        let bits = self.memory.state(at) & !(state::VIRTUAL_UP | state::RESTART_WANTED);
        self.memory.put_state(at, if up { bits | state::VIRTUAL_UP } else { bits });
        if up {
            self.clear_latches_of_start(at);
        }
        self.memory.insert(Set::Work, at);
    }

    fn give_order(&mut self, at: SlotId, up: bool, restart: bool) {
        let number = Order(self.memory.slot(at, slot::ORDER)).next();
        self.memory.put_slot(at, slot::ORDER, number.0);
        let before = self.memory.state(at);
        let mut bits = before
            & !(state::CURRENT
                | state::RETRIED
                | state::WISH_UP
                | state::RESTART
                | state::RESTART_WANTED
                | state::WITH_DEPENDENTS
                | state::FORGIVEN);
        bits |= state::ORDERED;
        if up {
            bits |= state::WISH_UP;
        }
        if restart {
            bits |= state::RESTART;
        }
        self.memory.put_state(at, bits);
        self.count_start(before, bits);
        if up {
            if !restart {
                self.clear_latches_of_start(at);
            }
            self.write_text(at);
        }
        self.look_at_binds(at);
        self.memory.insert(Set::Work, at);
        self.mark_order(at);
    }

    /// A start uses up the latches of `stop-on`, and those of `start-on`; but a trigger did that when it fired.
    fn clear_latches_of_start(&mut self, at: SlotId) {
        self.put_latches(at, slot::LATCH_STOP, 0);
        if self.memory.slot(at, slot::HOLDS) & crate::graph::Hold::Trigger as u32 == 0 {
            self.put_latches(at, slot::LATCH_START, 0);
        }
    }
}

/// Whether what is shown as its blocker is this one.
#[inline(always)]
fn is_blocked_by(row: &Derived, by: SlotId) -> bool {
    let word = row[derived::BLOCKER].load(Ordering::Relaxed);
    word != 0 && word & 0x0fff_ffff == by.0
}
