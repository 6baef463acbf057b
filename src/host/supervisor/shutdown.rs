//! The end: asked for by a signal or the engine, in order by the engine, bounded by the supervisor alone.

use super::Supervisor;
use super::held::{self, Held};
use crate::sys::poll::{self, Interest};
use crate::sys::signals::{self, Target};
use crate::sys::{AsFd, Errno, children, clock, process, reap};
use pintle::board::orders;
use pintle::board::reports;
use pintle::board::words;
use pintle::ident::SlotId;
use pintle::supervision::Input;
use pintle::time::Instant;

/// How long what was killed may take to be gone. Milliseconds.
pub const GRACE_MS: u32 = 2000;
/// How long the logger may take to write what is in the pipes. Milliseconds.
const LOGGER_MS: u32 = 5000;

/// How far the end has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// It has not begun.
    Running,
    /// The engine takes everything down.
    Wanted,
    /// The bound is past: everything is killed.
    Killing,
    /// Something cannot even be killed.
    GivenUp,
}

/// See `Stage`.
pub struct Progress {
    stage: Stage,
    due: Instant,
}

impl Progress {
    pub const fn new() -> Progress {
        Progress { stage: Stage::Running, due: Instant::NEVER }
    }

    /// As it was written down.
    pub fn taken_over(held: &Held) -> Progress {
        let stage = match held.word(held::STAGE) {
            0 => Stage::Running,
            1 => Stage::Wanted,
            2 => Stage::Killing,
            _ => Stage::GivenUp,
        };
        Progress { stage, due: if stage == Stage::Running { Instant::NEVER } else { held.time(held::STAGE_DUE) } }
    }

    /// An interrupt has come before: the next one kills.
    pub fn interrupted(&self) -> bool {
        self.stage == Stage::Wanted
    }

    /// Nothing is started any more.
    pub fn kills(&self) -> bool {
        matches!(self.stage, Stage::Killing | Stage::GivenUp)
    }

    pub fn due(&self) -> Instant {
        self.due
    }
}

impl Supervisor {
    fn turn_to(&mut self, stage: Stage, due: Instant) {
        self.held.put_time(held::STAGE_DUE, due);
        self.held.put_word(held::STAGE, stage as u32);
        self.shutdown = Progress { stage, due };
    }

    /// Everything is to go down in order.
    pub fn begin_shutdown(&mut self) {
        if self.shutdown.stage != Stage::Running {
            return;
        }
        self.turn_to(Stage::Wanted, self.now.plus_ms(self.shutdown_timeout_ms));
        words::store(self.reports.head(), reports::own::SHUTDOWN, 1);
        self.to_engine.ring();
    }

    /// Everything is to be gone now.
    pub fn kill_everything(&mut self) {
        self.turn_to(Stage::Killing, self.now.plus_ms(GRACE_MS));
        words::store(self.reports.head(), reports::own::SHUTDOWN, 2);
        for slot in (0..self.reports.geometry().slots()).map(SlotId) {
            self.look_where_none_runs(slot);
            self.feed(slot, Input::Kill);
        }
        self.to_engine.ring();
    }

    pub fn mind_shutdown(&mut self) {
        if self.shutdown.due > self.now {
            return;
        }
        match self.shutdown.stage {
            Stage::Running | Stage::GivenUp => self.shutdown.due = Instant::NEVER,
            Stage::Wanted => self.kill_everything(),
            Stage::Killing => self.turn_to(Stage::GivenUp, Instant::NEVER),
        }
    }

    /// The exit code, once all is over.
    pub fn ended(&mut self) -> Option<u8> {
        let live = self.services_live();
        let all_down = words::load(self.orders.head(), orders::own::ALL_DOWN) == 1;
        let code = match self.shutdown.stage {
            Stage::Running => return None,
            Stage::Wanted => (all_down && !live).then_some(0),
            Stage::Killing => (!live).then_some(1),
            Stage::GivenUp => Some(1),
        }?;
        self.finish();
        if !live {
            words::store(self.reports.head(), reports::own::SHUTDOWN, 3 + u32::from(code));
        }
        Some(code)
    }

    /// Services are down; what else there is goes too: engine, what services left behind, logger.
    #[inline(never)]
    fn finish(&mut self) {
        self.flush_log();
        self.kill_group(self.engine.pid());
        // Nobody is listened to any more.
        self.slots.iter_mut().for_each(|private| private.ready = None);
        self.rare.iter_mut().for_each(|rare| rare.notify = None);
        if let Some(cgroups) = &self.cgroups {
            cgroups.kill_all();
        }
        let logger = self.logger.pid();
        let until = clock::now().plus_ms(GRACE_MS);
        // Killing a process makes its children ours, so it takes as many turns as they are deep.
        while kill_children(logger) != Ok(false) && clock::now() < until {
            self.wait_for_death(until);
        }
        // With every writing end closed (ours here, theirs by death) the logger sees the end of each log.
        for private in &mut self.slots {
            private.log = None;
        }
        let until = clock::now().plus_ms(LOGGER_MS);
        // It may have ended meanwhile, and its number be another's.
        let lives = || logger != 0 && reap::look(logger) == reap::Child::Alive;
        if lives() {
            let _ = signals::send(Target::Process(logger), signals::SIGTERM);
        }
        while lives() && clock::now() < until {
            self.wait_for_death(until);
        }
        if process::pid() == 1 {
            // Process 1 of a pid namespace: whatever is left in it.
            let _ = signals::send(Target::Everything, signals::SIGKILL);
        }
        reap_all();
        if let Some(cgroups) = self.cgroups.take() {
            cgroups.end();
        }
    }

    /// Reaps what is dead, then waits for the next signal.
    fn wait_for_death(&self, until: Instant) {
        reap_all();
        let left_ms = until.ms_since(clock::now()) as u32 + 1; // a few seconds at most
        poll::wait_for(Some(self.signals.as_fd()), Interest::READ, left_ms);
        while signals::read_signal(self.signals.as_fd()).is_some() {}
    }
}

pub fn reap_all() {
    while let Some(death) = reap::peek() {
        reap::reap(death.pid);
    }
}

/// SIGKILL to our children but one; says whether there were any, and none where the kernel never tells. Adopted orphans
/// are among them. Errors: it is not known now.
#[inline(never)]
pub fn kill_children(but: u32) -> Result<bool, Errno> {
    let mut found = false;
    let read = children::each(children::OWN, &mut |pid| {
        if pid > 1 && pid != but && reap::look(pid) == reap::Child::Alive {
            let _ = signals::send(Target::Process(pid), signals::SIGKILL);
            found = true;
        }
    });
    match read {
        Err(error) if error.may_pass() => Err(error),
        read => Ok(read.is_ok() && found),
    }
}
