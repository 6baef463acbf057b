//! The table: every state by every input. What each does is said in `supervision/mod.rs`.

use super::{Cause, Clears, KILL_GRACE_MS, LATE_MS, Policy, RETRY_MS, RETRY_MS_MAX, Ready, Record, Trouble};
use crate::board::orders::Wish;
use crate::board::reports::{Exit, ReportRow, State};
use crate::ident::{Life, Order};
use crate::lang::definition::{Kind, Restart};
use crate::supervision::Means;
use crate::time::Instant;

/// A command other than the main one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The stop command.
    Stop = 1,
    /// The reload command.
    Reload,
    /// The cleanup command.
    Cleanup,
    /// The check of `ready = check`.
    Check,
    /// A health check.
    Health,
    /// The pre-start command.
    PreStart,
}

/// News for one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// An order whose number is not the one acted on last.
    Ordered(Order, Wish),
    /// The engine's reload number has changed.
    ReloadAsked,
    /// The engine's signal number has changed: this signal to the main process.
    SignalAsked(u8),
    /// The main process has been cloned, with this pid.
    Cloned(u32),
    /// The main process was not cloned: step and errno as in `ReportRow::failure`.
    Refused(u32, Trouble),
    /// A command has been cloned.
    AuxiliaryCloned(u32),
    /// It could not be. As for `Refused`.
    AuxiliaryRefused(u32, Trouble),
    /// The main process has executed its program.
    Executed,
    /// The main process could not take this step before its program, and is about to end. As for `Refused`.
    StepFailed(u32, Trouble),
    /// The main process has ended; what is left of its group has been killed.
    Ended(Exit),
    /// A command has ended.
    AuxiliaryEnded(Exit),
    /// There are processes of it beside these two. Told before the input that may be its last one's end.
    Occupied,
    /// There are none.
    Emptied,
    /// The service says that it is ready.
    Ready,
    /// It asks for this many milliseconds from now.
    Extend(u32),
    /// It tells its watchdog that it is well.
    Ping,
    /// It tells its watchdog that it is not.
    Trigger,
    /// Its watchdog is to wait this many milliseconds from now on; 0 is for ever.
    Watchdog(u32),
    /// The deadline of the report is past.
    Deadline,
    /// The bound of the shutdown is past: everything ends now.
    Kill,
}

/// What is to be done, in the order of the fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Requests {
    /// Take a spawn of this slot out of the queue.
    pub cancel: bool,
    /// Send the definition's stop signals to the main process, in turn.
    pub stop_signals: bool,
    /// Send the definition's reload signals to the main process, in turn.
    pub reload_signals: bool,
    /// Send this signal to the main process; 0 is none.
    pub signal: u8,
    /// SIGKILL to the main process and its group.
    pub kill: bool,
    /// SIGKILL to the command and its group.
    pub kill_auxiliary: bool,
    /// Spawn the main process.
    pub spawn: bool,
    /// Spawn this command.
    pub spawn_auxiliary: Option<Role>,
    /// SIGKILL to all that is left of it; `Emptied` when that is gone.
    pub kill_rest: bool,
}

const SIGABRT: u8 = 6;
const SIGTERM: u8 = 15;
/// Tells who waits for a daemon that goes into the background that it is to end, whatever signals that takes: behind them.
pub const SIGENDS: u8 = 58;

/// A slot with all that a step needs and changes.
pub struct Slot<'a> {
    /// What is reported.
    pub row: ReportRow,
    /// What is remembered.
    pub record: Record,
    /// What the database says.
    pub policy: &'a Policy,
    /// The time.
    pub now: Instant,
    /// The counter that stamps `began` and `ready`; the last one given.
    pub stamp: u64,
    /// Something that differs from slot to slot, for the jitter of delays.
    pub salt: u32,
    /// What is to be done.
    pub requests: Requests,
}

/// Whether a step, by what it was given and what it made of it, changed nothing that the engine acts on: a slot is on
/// the way from nothing to a life, or by an order to nothing. Such a row is written without waking anybody.
pub fn is_on_the_way(before: &ReportRow, row: &ReportRow, input: Input) -> bool {
    let from_nothing = !before.state.has_process() || before.state == State::Spawning;
    let to_a_life = from_nothing && matches!(row.state, State::Queued | State::Spawning | State::Starting);
    let to_nothing = row.state == State::Stopping && matches!(input, Input::Ordered(_, Wish::Down));
    // What the engine knows nothing of: commands come and go.
    if (ReportRow { auxiliary: row.auxiliary, ..*before }) == *row {
        return true;
    }
    (to_a_life || to_nothing) && row.reloaded == before.reloaded && row.signalled == before.signalled
}

/// Takes one input. Afterwards `row`, `record`, `stamp` and `requests` say what follows.
#[inline(never)]
pub fn step(slot: &mut Slot<'_>, input: Input) {
    use State::{Delayed, Done, Down, Failed, Queued, Skipped, Spawning, Starting, Stopping, Up};
    match (slot.row.state, input) {
        (Down | Done | Failed | Skipped | Delayed, Input::Ordered(number, wish)) => {
            slot.take(number, wish);
            match wish {
                Wish::Up => slot.begin(),
                Wish::Down if slot.record.keeps => slot.gone_if_all_ended(),
                Wish::Down => slot.set(Down),
            }
        }
        (Queued, Input::Ordered(number, wish)) => {
            slot.take(number, wish);
            if wish == Wish::Down {
                slot.requests.cancel = true;
                slot.gone_if_all_ended(); // what its pre-start has done is cleaned up after
            }
        }
        (Spawning | Starting | Up, Input::Ordered(number, wish)) => {
            slot.take(number, wish);
            slot.stop();
        }
        // The stop that is under way finishes; what comes after it has changed.
        (Stopping, Input::Ordered(number, wish)) => {
            slot.take(number, wish);
            slot.record.cause = Cause::Ordered;
        }

        (Up, Input::ReloadAsked) => slot.reload(),
        // Nothing that could reload: a start reads its files anyway.
        (Down | Queued | Spawning | Starting | Delayed | Stopping | Failed | Done | Skipped, Input::ReloadAsked) => {}

        (Spawning | Starting | Up | Stopping, Input::SignalAsked(signal)) => slot.requests.signal = signal,
        (Down | Queued | Delayed | Failed | Done | Skipped, Input::SignalAsked(_)) => {}

        (Queued, Input::Cloned(pid)) => slot.cloned(pid),
        // Only a queued slot is spawned.
        (Down | Spawning | Starting | Up | Delayed | Stopping | Failed | Done | Skipped, Input::Cloned(_)) => {}

        (Queued, Input::Refused(failure, trouble)) => {
            slot.came_to_nothing(failure, trouble);
            slot.note_end(Exit::NotSpawned);
            slot.ended(Exit::NotSpawned);
        }
        (Down | Spawning | Starting | Up | Delayed | Stopping | Failed | Done | Skipped, Input::Refused(..)) => {}

        (_, Input::AuxiliaryCloned(pid)) => slot.row.auxiliary = pid,
        (_, Input::AuxiliaryRefused(failure, trouble)) => {
            match slot.record.role {
                Some(Role::PreStart) => slot.came_to_nothing(failure, trouble), // no life can begin without
                // Its end is `NotSpawned` for this.
                Some(Role::Stop) if slot.row.pid == 0 => slot.row.failure = failure,
                Some(Role::Cleanup) if slot.row.failure == 0 => slot.row.failure = failure,
                Some(Role::Stop | Role::Cleanup | Role::Reload | Role::Check | Role::Health) | None => {}
            }
            slot.auxiliary_gone(None);
        }
        (_, Input::AuxiliaryEnded(exit)) => slot.auxiliary_gone(Some(exit)),

        (Spawning, Input::Executed) => match (slot.policy.kind, slot.policy.ready) {
            (Kind::Longrun, Ready::Executed) => slot.ready(),
            (Kind::Longrun, Ready::Check) => {
                slot.set_until(Starting, slot.row.deadline);
                slot.check(Role::Check);
            }
            (Kind::Longrun, Ready::Descriptor(_) | Ready::Notify | Ready::Forked)
            | (Kind::Oneshot | Kind::Bundle, _) => {
                slot.set_until(Starting, slot.row.deadline);
            }
        },
        (Down | Queued | Starting | Up | Delayed | Stopping | Failed | Done | Skipped, Input::Executed) => {}

        // Its end is near; what is to be done then is decided there.
        (Spawning | Starting | Up | Stopping, Input::StepFailed(failure, trouble)) => {
            slot.came_to_nothing(failure, trouble);
        }
        (Down | Queued | Delayed | Failed | Done | Skipped, Input::StepFailed(..)) => {}

        (Spawning | Starting | Up, Input::Ended(exit)) => {
            slot.note_end(exit);
            if slot.has_succeeded(exit) && slot.policy.remain { slot.ready() } else { slot.ended(exit) }
        }
        (Stopping, Input::Ended(exit)) => {
            slot.note_end(exit);
            let record = &slot.record;
            let ordered = record.cause == Cause::Ordered && !record.killed && record.role.is_none();
            if ordered && slot.policy.stop == Means::Command && slot.has_succeeded(exit) {
                // It was told to end when it had all but ended: what it has brought up is taken down.
                slot.stop_by_command();
            } else {
                slot.gone_if_all_ended();
            }
        }
        (Down | Queued | Delayed | Failed | Done | Skipped, Input::Ended(_)) => {}

        (_, Input::Occupied) => slot.record.rest = true,
        (Stopping, Input::Emptied) => {
            slot.record.rest = false;
            slot.gone_if_all_ended();
        }
        (Down | Queued | Spawning | Starting | Up | Delayed | Failed | Done | Skipped, Input::Emptied) => {
            slot.record.rest = false;
        }

        (Spawning | Starting, Input::Ready) => match slot.policy.kind {
            Kind::Longrun if slot.row.pid == 0 => {} // it says so of an earlier life
            Kind::Longrun => slot.ready(),
            Kind::Oneshot | Kind::Bundle => {} // its end says it
        },
        (Down | Queued | Up | Delayed | Stopping | Failed | Done | Skipped, Input::Ready) => {}

        (Spawning | Starting | Stopping, Input::Extend(ms)) => {
            if slot.row.deadline != Instant::NEVER && !slot.record.killed {
                slot.row.deadline = slot.row.deadline.max(slot.now.plus_ms(ms));
            }
        }
        (Down | Queued | Up | Delayed | Failed | Done | Skipped, Input::Extend(_)) => {}

        (Up, Input::Ping) => slot.wind_watchdog(),
        (Down | Queued | Spawning | Starting | Delayed | Stopping | Failed | Done | Skipped, Input::Ping) => {}

        (Spawning | Starting | Up, Input::Trigger) => slot.bite(),
        (Down | Queued | Delayed | Stopping | Failed | Done | Skipped, Input::Trigger) => {}

        (Spawning | Starting | Up, Input::Watchdog(ms)) => {
            slot.record.watchdog_ms = ms;
            slot.wind_watchdog();
        }
        (Down | Queued | Delayed | Stopping | Failed | Done | Skipped, Input::Watchdog(_)) => {}

        (Spawning | Starting, Input::Deadline) if slot.row.deadline > slot.now => slot.mind_check(),
        (Spawning | Starting, Input::Deadline) => {
            if slot.policy.ready == Ready::Forked {
                // What has left its group is ended by who waits for it, and by nobody else.
                slot.begin_to_stop(Cause::TimedOut);
                slot.tell_to_end(true);
                slot.gone_if_all_ended();
            } else {
                slot.kill();
                slot.record.cause = Cause::TimedOut;
            }
        }
        (Stopping, Input::Deadline) if slot.record.killed => {
            slot.row.stuck = true;
            slot.row.deadline = Instant::NEVER;
        }
        (Stopping, Input::Deadline) => slot.kill(),
        (Up, Input::Deadline) if slot.row.deadline > slot.now => {
            slot.mind_watchdog();
            slot.mind_check();
        }
        // The reload command has had its time.
        (Up, Input::Deadline) => {
            slot.row.deadline = Instant::NEVER;
            slot.end_auxiliary();
        }
        (Delayed, Input::Deadline) => {
            slot.row.restarts = slot.row.restarts.wrapping_add(1);
            slot.begin();
        }
        (Down | Queued | Failed | Done | Skipped, Input::Deadline) => slot.row.deadline = Instant::NEVER,

        (Down | Queued | Delayed | Failed | Done | Skipped, Input::Kill) => {
            slot.record.wish = Wish::Down;
            slot.requests.cancel = true;
            slot.requests.kill_auxiliary = slot.record.role.is_some();
            (slot.record.dirty, slot.record.keeps) = (false, false);
            slot.set(Down);
        }
        (Spawning | Starting | Up | Stopping, Input::Kill) => {
            slot.record.wish = Wish::Down;
            slot.record.cause = Cause::Ordered;
            (slot.record.dirty, slot.record.keeps) = (false, false);
            slot.kill();
        }
    }
}

impl Slot<'_> {
    #[inline(never)]
    fn take(&mut self, number: Order, wish: Wish) {
        self.row.order = number;
        self.row.attempt = 0;
        self.row.deaths = 0;
        self.row.delay_ms = 0;
        self.record.in_a_row = 0;
        self.record.wish = wish;
    }

    fn set(&mut self, state: State) {
        self.set_until(state, Instant::NEVER);
    }

    /// The one place where the state changes.
    #[inline(never)]
    fn set_until(&mut self, state: State, deadline: Instant) {
        if self.row.state != state {
            self.row.since = self.now;
            self.row.stuck = false;
        }
        self.row.state = state;
        self.row.deadline = deadline;
    }

    /// Asks for a main process.
    #[inline(never)]
    fn begin(&mut self) {
        self.record.cause = Cause::Ordered;
        self.record.killed = false;
        self.record.trouble = None;
        self.record.reload_again = false;
        if !self.policy.pre_start {
            return self.queue();
        }
        self.row.spawned = self.now;
        self.row.failure = 0;
        self.record.dirty = self.policy.cleans_each();
        self.record.check = Instant(0);
        self.set_until(State::Starting, self.now.plus_ms(self.policy.start_timeout_ms));
        self.auxiliary(Role::PreStart);
    }

    fn queue(&mut self) {
        self.set(State::Queued);
        self.requests.spawn = true;
    }

    fn cloned(&mut self, pid: u32) {
        self.stamp += 1;
        self.row.pid = pid;
        self.row.life = Life(self.row.life.0.wrapping_add(1));
        self.row.attempt = self.row.attempt.saturating_add(1);
        self.row.began = self.stamp;
        self.row.ready = 0;
        self.row.failure = 0;
        self.row.spawned = self.now;
        self.record.dirty = self.policy.cleans_each();
        self.record.watchdog_ms = self.policy.watchdog_ms;
        self.record.check = Instant(0);
        self.record.sick = 0;
        self.set_until(State::Spawning, self.now.plus_ms(self.policy.start_timeout_ms));
    }

    fn ready(&mut self) {
        if self.row.exit == Exit::NotSpawned {
            self.record.in_a_row = 0; // they were tries, and no lives
        }
        self.stamp += 1;
        self.row.ready = self.stamp;
        self.set(State::Up);
        self.wind_watchdog();
        self.next_check();
    }

    /// Runs a check, which has so long.
    fn check(&mut self, role: Role) {
        let ms = if role == Role::Check { self.policy.check_interval_ms } else { self.policy.health_timeout_ms };
        self.record.check = self.now.plus_ms(ms);
        self.auxiliary(role);
    }

    /// The next check comes after its interval, if there is to be one.
    fn next_check(&mut self) {
        self.record.check = match self.row.state {
            State::Up if self.policy.health_failures > 0 => self.now.plus_ms(self.policy.health_interval_ms),
            State::Starting if self.policy.ready == Ready::Check => self.now.plus_ms(self.policy.check_interval_ms),
            State::Down
            | State::Queued
            | State::Spawning
            | State::Starting
            | State::Up
            | State::Delayed
            | State::Stopping
            | State::Failed
            | State::Done
            | State::Skipped => Instant(0),
        };
    }

    /// Looks whether a check is due, or has had its time.
    fn mind_check(&mut self) {
        let checked = matches!(self.row.state, State::Starting | State::Up);
        if !checked || self.record.check == Instant(0) || self.record.check > self.now {
            return;
        }
        match self.record.role {
            None => self.check(if self.row.state == State::Up { Role::Health } else { Role::Check }),
            Some(Role::Check | Role::Health) => {
                self.record.check = Instant(0);
                self.end_auxiliary();
            }
            // It waits for the reload.
            Some(Role::Reload | Role::Stop | Role::Cleanup | Role::PreStart) => self.next_check(),
        }
    }

    /// What a health check has said; nothing where it could not be spawned, or nobody has seen how it ended.
    fn take_health(&mut self, exit: Option<Exit>) {
        match exit {
            None | Some(Exit::Unknown) => {}
            Some(Exit::Code(0)) => self.record.sick = 0,
            Some(_) => self.record.sick = self.record.sick.saturating_add(1),
        }
        if self.policy.health_failures > 0 && self.record.sick >= self.policy.health_failures {
            self.end_row_of_deaths();
            self.stop();
            self.record.cause = Cause::Unhealthy;
            self.row.exit = Exit::Unhealthy; // as the watchdog does
            return;
        }
        self.next_check();
        if core::mem::take(&mut self.record.reload_again) {
            self.reload();
        }
    }

    /// The watchdog waits anew. It means something while the service is up.
    fn wind_watchdog(&mut self) {
        if self.record.watchdog_ms != 0 {
            self.record.watchdog = self.now.plus_ms(self.record.watchdog_ms);
        }
    }

    /// Looks whether the watchdog has waited long enough.
    fn mind_watchdog(&mut self) {
        if self.record.watchdog_ms == 0 || self.record.watchdog > self.now {
            return;
        }
        if self.now.ms_since(self.record.watchdog) > LATE_MS { self.wind_watchdog() } else { self.bite() }
    }

    /// The watchdog ends the life.
    fn bite(&mut self) {
        if self.row.pid == 0 {
            return; // there is nothing that it watches
        }
        self.end_row_of_deaths();
        self.begin_to_stop(Cause::Watchdog);
        self.row.exit = Exit::Watchdog; // said at once, and again when it is gone
        self.requests.signal = SIGABRT;
    }

    fn begin_to_stop(&mut self, cause: Cause) {
        self.record.cause = cause;
        self.record.killed = false;
        self.set_until(State::Stopping, self.now.plus_ms(self.policy.stop_timeout_ms));
        self.forget_queued_auxiliary();
        self.requests.kill_auxiliary = self.record.role.is_some();
    }

    /// Takes down what runs.
    fn stop(&mut self) {
        let starting = self.row.state != State::Up;
        self.begin_to_stop(Cause::Ordered);
        let reloading = self.record.role.is_some();
        match self.policy.stop {
            // Behind the reload command, see `auxiliary_gone`.
            Means::Command if reloading && !starting => {}
            Means::Command if !starting => self.stop_by_command(),
            Means::Command | Means::Nothing | Means::Signals => self.tell_to_end(starting),
        }
        self.gone_if_all_ended(); // a oneshot that is up and has nothing to do
    }

    /// The signals that end it.
    fn tell_to_end(&mut self, starting: bool) {
        let signals = self.policy.stop == Means::Signals;
        self.requests.stop_signals = signals && self.row.pid != 0;
        self.requests.signal = match (self.row.pid, signals) {
            (0, _) => 0,
            (_, false) => SIGTERM,
            (_, true) if starting && self.policy.ready == Ready::Forked => SIGENDS,
            (_, true) => 0,
        };
    }

    fn stop_by_command(&mut self) {
        self.set_until(State::Stopping, self.now.plus_ms(self.policy.stop_timeout_ms));
        self.auxiliary(Role::Stop);
    }

    fn auxiliary(&mut self, role: Role) {
        self.record.role = Some(role);
        self.row.auxiliary = 0;
        self.requests.spawn_auxiliary = Some(role);
    }

    /// A command has had its time.
    fn end_auxiliary(&mut self) {
        if self.record.role.is_some() && self.row.auxiliary == 0 {
            // It still was in the queue, and says nothing. Spawned now, nothing would bound it any more.
            self.requests.cancel = true;
            self.auxiliary_gone(None);
        } else {
            self.requests.kill_auxiliary = true;
        }
    }

    /// The last means. What is still there afterwards stays `Stopping`, and is stuck after a while.
    fn kill(&mut self) {
        self.record.killed = true;
        self.set_until(State::Stopping, self.now.plus_ms(KILL_GRACE_MS));
        self.requests.kill = self.row.pid != 0;
        self.forget_queued_auxiliary();
        self.requests.kill_auxiliary = self.record.role.is_some();
        self.gone_if_all_ended();
    }

    /// A command that still is in the queue is not spawned any more.
    fn forget_queued_auxiliary(&mut self) {
        if self.record.role.is_some() && self.row.auxiliary == 0 {
            if self.record.role.take() == Some(Role::Cleanup) {
                self.row.cleanup = Exit::NotSpawned;
            }
            self.requests.cancel = true;
        }
    }

    fn reload(&mut self) {
        match (self.policy.reload, self.record.role) {
            (Means::Nothing, _) => {}
            (Means::Signals, _) => self.requests.reload_signals = true,
            (Means::Command, Some(_)) => self.record.reload_again = true,
            (Means::Command, None) => {
                self.row.deadline = self.now.plus_ms(self.policy.start_timeout_ms);
                self.auxiliary(Role::Reload);
            }
        }
    }

    /// The command has ended, or (`None`) could not be spawned.
    fn auxiliary_gone(&mut self, exit: Option<Exit>) {
        let role = self.record.role.take();
        self.row.auxiliary = 0;
        match (self.row.state, role) {
            (State::Stopping, Some(Role::Stop)) => {
                if self.row.pid == 0 {
                    self.row.exit = exit.unwrap_or(Exit::NotSpawned);
                } else if exit != Some(Exit::Code(0)) && !self.record.killed {
                    self.requests.signal = SIGTERM;
                }
                self.gone_if_all_ended();
            }
            (State::Stopping, Some(Role::Cleanup)) => {
                self.row.cleanup = exit.unwrap_or(Exit::NotSpawned);
                self.gone_if_all_ended();
            }
            (State::Stopping, Some(Role::Check | Role::PreStart)) => self.gone_if_all_ended(),
            (State::Starting, Some(Role::PreStart)) if exit == Some(Exit::Code(0)) => self.queue(),
            (State::Starting, Some(Role::PreStart)) => {
                // What could not be spawned has its trouble.
                self.note_end(exit.and_then(Exit::status).map_or(Exit::Unknown, Exit::PreStart));
                self.ended(self.row.exit);
            }
            (State::Starting, Some(Role::Check)) if exit == Some(Exit::Code(0)) => self.ready(),
            (State::Starting, Some(Role::Check)) => self.next_check(),
            (State::Up, Some(Role::Health)) => self.take_health(exit),
            // It was in the way of the stop command.
            (State::Stopping, Some(Role::Reload | Role::Health)) => {
                let up = self.row.pid != 0 || self.policy.kind == Kind::Oneshot;
                let ordered = self.record.cause == Cause::Ordered;
                let wanted = ordered && self.policy.stop == Means::Command && !self.record.killed && up;
                if wanted { self.auxiliary(Role::Stop) } else { self.gone_if_all_ended() }
            }
            (State::Up, Some(Role::Reload)) => {
                self.row.deadline = Instant::NEVER;
                if core::mem::take(&mut self.record.reload_again) {
                    self.reload();
                }
            }
            (
                State::Down
                | State::Queued
                | State::Spawning
                | State::Starting
                | State::Up
                | State::Delayed
                | State::Failed
                | State::Done
                | State::Skipped,
                _,
            )
            | (State::Stopping, None) => {}
        }
    }

    fn gone_if_all_ended(&mut self) {
        if self.row.pid != 0 || self.record.role.is_some() {
            return;
        }
        if self.record.rest {
            self.record.killed = true;
            self.set_until(State::Stopping, self.now.plus_ms(KILL_GRACE_MS));
            self.requests.kill_rest = true;
            return;
        }
        let clears = self.has_to_clear();
        if core::mem::take(&mut self.record.dirty) || clears {
            self.record.keeps &= !clears;
            self.record.killed = false;
            self.row.stuck = false;
            self.set_until(State::Stopping, self.now.plus_ms(self.policy.stop_timeout_ms));
            self.auxiliary(Role::Cleanup);
            return;
        }
        match (self.record.wish, self.record.cause) {
            (Wish::Down, _) => self.set(State::Down),
            (Wish::Up, Cause::Ordered) => self.begin(),
            (Wish::Up, _) => self.died(self.death()),
        }
    }

    /// As what a life has ended that nobody told to end.
    fn death(&self) -> Exit {
        match self.record.cause {
            Cause::TimedOut => Exit::TimedOut,
            Cause::Watchdog => Exit::Watchdog,
            Cause::Unhealthy => Exit::Unhealthy,
            Cause::Ordered | Cause::Died => self.row.exit,
        }
    }

    /// Of the cleanup that is to come: whether what it had at run time only is removed. (Decided once: a start that comes
    /// meanwhile begins anew.)
    pub fn clears(&self) -> bool {
        match self.policy.clears {
            Clears::Nothing => false,
            Clears::EachLife => true,
            Clears::LastLife => !self.record.keeps,
        }
    }

    /// Whether something was kept for a life that does not come.
    fn has_to_clear(&self) -> bool {
        self.record.keeps && self.is_last()
    }

    /// Whether no life follows this one, as it is now.
    fn is_last(&self) -> bool {
        match (self.record.wish, self.record.cause) {
            (Wish::Down, _) => true,
            (Wish::Up, Cause::Ordered) => false,
            (Wish::Up, _) => self.end(self.death()).is_some(),
        }
    }

    /// Whether an end is that of a oneshot that did what it is for.
    fn has_succeeded(&self, exit: Exit) -> bool {
        self.policy.kind == Kind::Oneshot && self.policy.succeeds(exit) && self.record.trouble.is_none()
    }

    /// The program did not run: there is nothing to clean up, but what was done before it.
    fn came_to_nothing(&mut self, failure: u32, trouble: Trouble) {
        let prepared = self.policy.pre_start && self.record.role != Some(Role::PreStart);
        self.row.failure = failure;
        self.record.trouble = Some(trouble);
        // (Directories may have been made on the way to the program.)
        self.record.dirty &= prepared || self.policy.clears == Clears::EachLife && trouble != Trouble::Unmet;
    }

    /// The main process is gone.
    fn note_end(&mut self, exit: Exit) {
        self.end_row_of_deaths();
        self.row.pid = 0;
        self.record.keeps |= self.policy.clears == Clears::LastLife && self.record.trouble != Some(Trouble::Unmet);
        match self.record.trouble {
            None => self.row.exit = exit,
            Some(Trouble::Lasting | Trouble::Passing) => self.row.exit = Exit::NotSpawned,
            Some(Trouble::Unmet) => {} // it was no life
        }
    }

    /// A life that was up for long enough is about to end.
    fn end_row_of_deaths(&mut self) {
        let stable_ms = u64::from(self.policy.stable_ms());
        if self.row.state == State::Up && self.now.ms_since(self.row.since) >= stable_ms {
            self.record.in_a_row = 0;
        }
    }

    /// The main process is gone by itself.
    fn ended(&mut self, exit: Exit) {
        self.record.cause = Cause::Died;
        self.forget_queued_auxiliary();
        self.requests.kill_auxiliary = self.record.role.is_some();
        // A check is not to speak for the next life.
        let checks = matches!(self.record.role, Some(Role::Check | Role::Health));
        if !self.record.dirty && !checks && !self.record.rest && !self.has_to_clear() {
            return self.died(exit);
        }
        self.set_until(State::Stopping, self.now.plus_ms(self.policy.stop_timeout_ms));
        self.gone_if_all_ended();
    }

    /// Whether a death that nobody asked for is the end, and which; none where another life follows.
    fn end(&self, exit: Exit) -> Option<State> {
        let gives_up = self.policy.no_restart.have(exit);
        let again = match (self.record.trouble, self.policy.kind, self.policy.restart) {
            (Some(Trouble::Unmet), ..) => return Some(State::Skipped),
            (Some(Trouble::Passing), ..) => return None,
            (Some(Trouble::Lasting), ..) => false,
            (None, Kind::Longrun, Restart::Always) if !gives_up => true,
            (None, Kind::Longrun, Restart::Always | Restart::OnFailure | Restart::Never)
                if self.policy.succeeds(exit) =>
            {
                return Some(State::Done);
            }
            (None, Kind::Longrun, Restart::OnFailure) => !gives_up,
            (None, Kind::Longrun, Restart::Always | Restart::Never) => false,
            (None, Kind::Oneshot | Kind::Bundle, _) if self.has_succeeded(exit) => return Some(State::Done),
            // As often as `limit` says.
            (None, Kind::Oneshot | Kind::Bundle, _) => !gives_up,
        };
        let often = self.policy.limit != 0 && self.deaths_with_this() >= self.policy.limit;
        (!again || often).then_some(State::Failed)
    }

    /// Deaths in the window, this one too.
    fn deaths_with_this(&self) -> u32 {
        if self.begins_window() { 1 } else { self.row.deaths.saturating_add(1) }
    }

    /// Whether a death is the first one in a window.
    fn begins_window(&self) -> bool {
        let longrun = self.policy.kind == Kind::Longrun;
        let window_ms = if longrun { u64::from(self.policy.window_ms) } else { u64::MAX };
        self.row.deaths == 0 || self.now.ms_since(self.record.window) > window_ms
    }

    /// A death that nobody asked for, and all that follows it is over.
    fn died(&mut self, exit: Exit) {
        let end = self.end(exit);
        // Nothing that never lived has died: a machine without memory for a while does not fail its services.
        let lived = self.record.trouble.is_none();
        let exit = if lived { exit } else { Exit::NotSpawned };
        let longrun = self.policy.kind == Kind::Longrun;
        match end {
            Some(end @ (State::Skipped | State::Done)) => return self.set(end),
            _ => self.row.exit = exit,
        }
        if lived {
            let deaths = self.deaths_with_this();
            if self.begins_window() {
                self.record.window = self.now;
            }
            self.row.deaths = deaths;
        }
        if let Some(end) = end {
            return self.set(end);
        }
        let in_a_row = if longrun { self.record.in_a_row } else { 0 };
        let delay = self.policy.delay_ms(in_a_row, self.salt ^ self.row.life.0);
        // What was never cloned was last tried now.
        let (delay, from) = match exit {
            Exit::NotSpawned => (delay.min(RETRY_MS_MAX.max(self.policy.delay_ms)).max(RETRY_MS), self.now),
            _ if !longrun => (delay, self.now),
            Exit::None
            | Exit::Code(_)
            | Exit::Signal(_)
            | Exit::TimedOut
            | Exit::Unknown
            | Exit::Watchdog
            | Exit::Unhealthy
            | Exit::PreStart(_) => (delay, self.row.spawned),
        };
        self.record.in_a_row = self.record.in_a_row.saturating_add(1);
        self.row.delay_ms = delay;
        let due = from.plus_ms(delay);
        if due <= self.now {
            self.row.restarts = self.row.restarts.wrapping_add(1);
            self.begin();
        } else {
            self.set_until(State::Delayed, due);
        }
    }
}
