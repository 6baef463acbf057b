//! News of the supervisor.

use core::sync::atomic::Ordering;

use super::journal::Kind;
use super::memory::{Set, slot};
use super::slot::{state, told};
use super::trigger::{STARTED, STOPPED};
use super::{Engine, Refusal};
use crate::board::reports::{Exit, ReportRow, State};
use crate::ident::SlotId;

impl Engine<'_> {
    /// The facts that a report changes.
    fn reported(&self, at: SlotId) -> [u32; 6] {
        let facts = self.memory.facts(at);
        [slot::STATE, slot::ORDER, slot::ASKED, slot::BEGAN, slot::READY, slot::LIFE]
            .map(|field| facts[field].load(Ordering::Relaxed))
    }

    /// For the journal: a report that has changed anything.
    #[inline(never)]
    fn jot_report(&self, at: SlotId, row: &ReportRow, earlier: [u32; 6]) {
        if self.reported(at) == earlier {
            return;
        }
        let words = [
            row.exit.to_word(),
            row.order.0,
            row.began as u32,
            row.ready as u32,
            row.signalled & 0xf_ffff | row.reloaded << 20,
            row.life.0,
        ];
        let extra = row.state as u32 | row.attempt.min(2) << 4 | u32::from(row.stuck) << 6;
        self.jot_input(Kind::Report, extra, at, &words, b"");
    }

    /// Takes the report of a slot. News of an earlier order than the newest changes nothing: until the supervisor has
    /// seen the newest one, the slot counts as not down and as not up.
    #[inline(never)]
    pub(super) fn report(&mut self, at: SlotId, row: &ReportRow) -> Result<(), Refusal> {
        if at.0 >= self.memory.layout.geometry.slots() {
            return Err(Refusal::NoSuchService);
        }
        if self.is_template(at) || self.is_bundle(at) {
            return Ok(());
        }
        self.caused_by(at);
        let earlier = self.reported(at);
        let mut mine = self.memory.slot(at, slot::ORDER);
        let known = self.memory.state(at);
        let mut bits = known;
        let adopted = (row.order.0.wrapping_sub(mine) as i32) > 0;
        if adopted {
            // An engine that has lost its memory takes over what its predecessor had ordered.
            mine = row.order.0;
            self.memory.put_slot(at, slot::ORDER, mine);
            let down = matches!(row.state, State::Down | State::Stopping);
            bits = if down { bits & !state::WISH_UP } else { bits | state::WISH_UP };
            bits = bits & !(state::FORGIVEN | state::RETRIED) | state::ORDERED;
            self.memory.put_slot(at, slot::ASKED, row.signalled & 0xf_ffff | row.reloaded << 20);
        }
        if row.signalled == self.memory.slot(at, slot::ASKED) & 0xf_ffff {
            bits &= !state::SIGNALLING;
            self.memory.put_state(at, self.memory.state(at) & !state::SIGNALLING);
        }
        if row.order.0 != mine {
            self.jot_report(at, row, earlier);
            return Ok(());
        }
        let before = bits;
        let was_up = bits & (state::REPORT | state::CURRENT) == State::Up as u32 | state::CURRENT;
        bits = bits & !(state::REPORT | state::STUCK) | row.state as u32 | state::CURRENT;
        if row.stuck {
            bits |= state::STUCK;
        }
        // A life of this order has ended, or could not be spawned: what comes is not the first. One that stops without
        // an order and was not up was not ready in time, and whether another comes is not known yet. The attempts of a
        // oneshot are one start, but for those that are refused: there is no end of these.
        let between = match row.state {
            State::Queued | State::Delayed => true,
            State::Stopping => was_up || before & state::RETRIED != 0,
            State::Spawning
            | State::Starting
            | State::Up
            | State::Down
            | State::Failed
            | State::Done
            | State::Skipped => false,
        };
        let again = row.attempt > 1 || row.attempt == 1 && between || row.state == State::Delayed;
        let refused = row.state == State::Delayed && row.exit == Exit::NotSpawned;
        if refused || again && !self.memory.is_told(at, told::ONESHOT) {
            bits |= state::RETRIED;
        }
        let life = row.life.0;
        let over = |state: State| u32::from(!state.has_process());
        let lives = life.wrapping_sub(self.memory.slot(at, slot::LIFE));
        let over_before = over(State::from_number(known & state::REPORT));
        self.ends = lives.wrapping_add(over(row.state)).wrapping_sub(over_before);
        self.memory.put_slot(at, slot::LIFE, life);
        (self.exit, self.exit_of) = (row.exit, Some(at));
        match row.state {
            State::Skipped => bits |= state::WAS_SKIPPED,
            State::Up | State::Down | State::Failed | State::Done => bits &= !state::WAS_SKIPPED,
            State::Queued | State::Spawning | State::Starting | State::Delayed | State::Stopping => {}
        }
        let ended = row.state.has_ended();
        let restarts = ended && bits & state::RESTART_WANTED != 0;
        if restarts {
            // It ended before its restart's turn came: then the restart is a start.
            bits = bits & !(state::RESTART_WANTED | state::WITH_DEPENDENTS) | state::FORGIVEN;
        }
        let new_life = was_up && row.state == State::Up && self.memory.slot(at, slot::READY) != row.ready as u32;
        self.memory.put_state(at, bits);
        self.count_start(known, bits);
        if (known ^ bits) & state::STUCK != 0 {
            self.tell_rivals_of_stuck(at, row.stuck);
        }
        self.memory.put_slot(at, slot::BEGAN, row.began as u32);
        if row.state == State::Up {
            self.memory.put_slot(at, slot::READY, row.ready as u32);
        }
        self.jot_report(at, row, earlier);
        let seen = state::REPORT | state::CURRENT;
        if ended && bits & state::WISH_UP != 0 && before & seen != bits & seen {
            if bits & state::QUEUED != 0 {
                self.run_again(at);
            } else if row.state == State::Done && !restarts {
                self.drop_holds_of_done(at, 0);
            }
        }
        // The attempts of a oneshot are one start: what ends between them is none of its lives.
        let attempt = row.attempt > 0 && bits & state::WISH_UP != 0 && !ended && self.memory.is_told(at, told::ONESHOT);
        let mut events = if self.ends != 0 && !adopted && !attempt { STOPPED } else { 0 };
        if new_life {
            // Lives that nobody saw: they are told as one end and one beginning.
            self.memory.insert(Set::NewLife, at);
            events = STOPPED | STARTED;
        }
        self.raise(at, events, lives != 0 && row.state.has_process());
        self.look_at_binds(at);
        if before != bits || self.memory.is_told(at, told::BROKEN) {
            self.memory.insert(Set::Work, at);
        }
        Ok(())
    }
}
