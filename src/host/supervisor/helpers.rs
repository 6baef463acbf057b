//! The two processes of pintle's own: the engine and the logger. Both are started again when they die, for ever.

use super::Supervisor;
use super::pids::Owner;
use crate::host::descriptors;
use crate::host::failure::Failure;
use crate::host::log_link::{RESTART_DELAY_MS, Source};
use crate::sys::poll::Interest;
use crate::sys::spawn::{Pass, Pending, Plan, Text};
use crate::sys::{AsFd, Errno, process};
use pintle::board::reports;
use pintle::board::words;
use pintle::database::service;
use pintle::ident::SlotId;
use pintle::time::Instant;

/// An engine that lives shorter than this has died young. Milliseconds.
const YOUNG_MS: u64 = 1000;
/// The longest delay before an engine that keeps dying young is started again. Milliseconds.
const DELAY_MS_MAX: u32 = 5000;

/// A process of pintle's own.
#[derive(Default)]
pub struct Helper {
    pid: u32,
    began: Instant,
    /// When to start it, if it is to be started.
    due: Option<Instant>,
    /// Deaths in a row that came young.
    young: u32,
    lives: u32,
}

impl Helper {
    pub fn is_alive(&self) -> bool {
        self.pid != 0
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// To be started in the next round.
    pub fn start_now() -> Helper {
        Helper { due: Some(Instant(0)), ..Helper::default() }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.pid == 0 && self.due.is_some_and(|due| due <= now)
    }

    fn ended(&mut self, now: Instant, delay_ms: impl FnOnce(u32) -> u32) {
        self.pid = 0;
        self.young = if now.ms_since(self.began) < YOUNG_MS { self.young.saturating_add(1) } else { 0 };
        self.due = Some(now.plus_ms(delay_ms(self.young)));
    }
}

/// The first young death costs no time: it may be a person's SIGKILL.
fn delay_ms(young: u32) -> u32 {
    match young {
        0 | 1 => 0,
        more => (50u32 << more.min(16)).min(DELAY_MS_MAX),
    }
}

impl Supervisor {
    /// Starts what is due.
    pub fn mind_helpers(&mut self) {
        if self.engine.is_due(self.now) {
            let started = self.spawn_engine();
            self.engine.began = self.now;
            match started {
                Ok(pending) => {
                    self.engine.due = None;
                    self.engine.lives += 1;
                    self.engine.pid = self.watch(Owner::Engine, pending);
                }
                Err(_) => self.engine.ended(self.now, |_| 100), // no memory: soon again
            }
            self.report_engine();
        }
        if self.logger.is_due(self.now) {
            self.start_logger();
        }
    }

    fn spawn_engine(&mut self) -> Result<Pending, Failure> {
        let mut passes = [Pass { source: process::standard_input(), target: 0 }; descriptors::ALL.len()];
        for (place, given) in passes.iter_mut().zip(self.engine_descriptors.iter().zip(descriptors::ALL)) {
            *place = Pass { source: given.0.as_fd(), target: given.1 };
        }
        let plan = Plan {
            program: Some(Text::lasting(self.common.program)),
            directory: Some(Text::lasting(c"/")),
            descriptors: &passes,
            uid: self.engine_account.as_ref().map(|account| account.uid),
            gid: self.engine_account.as_ref().map(|account| account.gid),
            groups: self.engine_account.as_ref().map(|account| account.groups.as_slice()),
            // Another user's process has no capability; this keeps it so.
            no_new_privileges: true,
            ..Plan::default()
        };
        let draft = with_arguments(self.spawner.draft_or_fork(), &[c"pintle-engine"])?;
        draft.spawn(&plan, self.pid_word).map_err(Failure::of_clone)
    }

    fn report_engine(&self) {
        words::store(self.reports.words(), reports::own::ENGINE_PID, self.engine.pid);
        words::store(self.reports.words(), reports::own::ENGINE_LIVES, self.engine.lives);
    }

    pub fn engine_ended(&mut self) {
        self.engine.ended(self.now, delay_ms);
        self.report_engine();
    }

    // The logger.

    /// There is something to log: it is started if it does not run.
    pub fn logger_is_needed(&mut self) {
        if !self.logger.is_alive() && self.logger.due.is_none() {
            self.logger.due = Some(self.now);
        }
    }

    pub fn logger_ended(&mut self) {
        self.logger.ended(self.now, |_| 0);
        let again = self.logger.began.plus_ms(RESTART_DELAY_MS);
        self.logger.due = Some(again.max(self.now));
    }

    fn start_logger(&mut self) {
        let (Some(link), Some(directory)) = (&mut self.link, &self.log_dir) else {
            self.logger.due = None;
            return;
        };
        link.restart();
        let passes = [Pass { source: link.logger_end(), target: 3 }];
        let plan = Plan {
            program: Some(Text::lasting(self.common.program)),
            descriptors: &passes,
            umask: Some(0o027),
            directory: Some(Text::lasting(c"/")),
            ..Plan::default()
        };
        let arguments = [c"pintle-log", c"--serve", c"3", c"--dir", directory];
        let started = with_arguments(self.spawner.draft_or_fork(), &arguments)
            .and_then(|draft| draft.spawn(&plan, self.pid_word).map_err(Failure::of_clone));
        self.logger.began = self.now;
        match started {
            Ok(pending) => {
                self.logger.due = None;
                self.logger.lives += 1;
                self.logger.pid = self.watch(Owner::Logger, pending);
            }
            Err(_) => self.logger.ended(self.now, |_| RESTART_DELAY_MS),
        }
    }

    /// Tells the logger what it has to know.
    pub fn flush_log(&mut self) {
        let Supervisor { link: Some(link), slots, common, instances, poll, log_full, .. } = self else { return };
        if !self.logger.is_alive() {
            return;
        }
        let image = common.image;
        let services = image.services();
        let result = link.flush(|slot| {
            let private = slots.get(slot.index())?;
            let (pipe, _) = private.log.as_ref()?;
            if slot.0 < services {
                return Some(Source { name: [image.name(slot).as_bytes(), b""], pipe: pipe.as_fd() });
            }
            let instance = instances.get((slot.0 - services) as usize)?.split(|byte| *byte == 0).next()?;
            Some(Source { name: [image.name(SlotId(private.template)).as_bytes(), instance], pipe: pipe.as_fd() })
        });
        // What could not be told for want of memory is told in another round.
        let wants = link.wants_write() || result.is_err_and(|error| error != Errno::PIPE);
        if wants != *log_full {
            *log_full = wants;
            let interest = if wants { Interest::WRITE } else { Interest::NONE };
            let _ = poll.change(link.socket(), super::Source::Logger.token(), interest);
        }
    }

    /// Whether a definition logs through the logger.
    pub fn logs_to_file(image: &pintle::database::Image<'_>, slot: SlotId) -> bool {
        let record = image.service(slot, service::EXEC);
        record != pintle::database::NONE && image.exec(record, pintle::database::exec::LOG) == 0
    }
}

fn with_arguments<'s>(
    mut draft: crate::sys::spawn::Draft<'s>,
    arguments: &[&core::ffi::CStr],
) -> Result<crate::sys::spawn::Draft<'s>, Failure> {
    for argument in arguments {
        let text = draft.text(&[argument.to_bytes()])?;
        draft.argument(text)?;
    }
    Ok(draft)
}
