//! The processes of pintle's own: the engine and the logger, both of which are started again when they die, for ever; and
//! `pintle-sweep`.

use super::children::helper_failed;
use super::held::{LOGGER_PID, Of, SWEEPER_PID};
use super::launch::{Common, before};
use super::orphans::{NAMES, Name};
use super::pids::Owner;
use super::renewal::SPOILED_DEATHS;
use super::{InstanceName, Private, Supervisor};
use crate::host::descriptors;
use crate::host::failure::Failure;
use crate::host::log_link::{RESTART_DELAY_MS, Source, WORDS};
use crate::host::run_directory::KEPT;
use crate::sys::accounts::Account;
use crate::sys::poll::Interest;
use crate::sys::signals::{self, SIGBUS, SIGKILL, SIGTERM, Target};
use crate::sys::spawn::{Pass, Pending, Plan, Spawner, Text};
use crate::sys::{AsFd, Errno, pipe, process, reap};
use core::sync::atomic::{AtomicU32, Ordering};
use pintle::board::reports::{self, Exit, Reports};
use pintle::board::words;
use pintle::database::{Image, exec, service};
use pintle::ident::SlotId;
use pintle::lang::definition::Log;
use pintle::time::Instant;

/// An engine that lives shorter than this has died young. Milliseconds.
const YOUNG_MS: u64 = 1000;
/// The longest delay before an engine that keeps dying young is started again. Milliseconds.
const DELAY_MS_MAX: u32 = 5000;
/// Where there is no memory for an engine, it is tried again after this. Milliseconds.
const ENGINE_AGAIN_MS: u32 = 100;

/// So is what the logger could not be told. Milliseconds.
const LOG_AGAIN_MS: u32 = 100;

/// Where the kernel writes the pids that have no word in the reports.
pub static OTHER_PID: AtomicU32 = AtomicU32::new(0);

/// A process of pintle's own.
pub struct Helper {
    pid: u32,
    began: Instant,
    /// When to start it; `NEVER` if it is not to be started.
    due: Instant,
    /// Deaths in a row that came young.
    young: u32,
    /// Those of them that what it has inherited may be the cause of.
    spoiled: u32,
    lives: u32,
    /// It was said that it cannot be made.
    missed: bool,
}

impl Helper {
    pub fn is_alive(&self) -> bool {
        self.pid != 0
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    pub fn due(&self) -> Instant {
        self.due
    }

    /// To be started then.
    pub fn new(due: Instant) -> Helper {
        Helper { pid: 0, began: Instant(0), due, young: 0, spoiled: 0, lives: 0, missed: false }
    }

    /// After a crash: the process that there was, if it is still ours.
    fn take_over(&mut self, pid: u32, now: Instant) -> bool {
        let ours = pid != 0 && reap::look(pid) != reap::Child::Unknown;
        if ours {
            (self.pid, self.began, self.due) = (pid, now, Instant::NEVER);
        }
        ours
    }

    fn is_due(&self, now: Instant) -> bool {
        self.pid == 0 && self.due <= now
    }

    fn ended(&mut self, now: Instant, again: Instant) {
        self.pid = 0;
        self.young = if now.ms_since(self.began) < YOUNG_MS { self.young.saturating_add(1) } else { 0 };
        self.due = again.max(now);
    }

    /// Whether its successor would die of the same.
    fn is_spoiled(&mut self, exit: Exit) -> bool {
        let of_itself = match exit {
            Exit::Code(code) => code == descriptors::SPOILED,
            // (SIGBUS is a page without memory, or a file that was made shorter, which the next one finds out.)
            Exit::Signal(signal) => signal != SIGBUS && signals::FATAL.contains(&signal),
            _ => false,
        };
        // What is short now, or who kills it, says nothing about that.
        self.spoiled = if self.young == 0 { 0 } else { self.spoiled + u32::from(of_itself) };
        if self.spoiled < SPOILED_DEATHS {
            return false;
        }
        self.spoiled = 0;
        true
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
            self.start_engine();
            self.report_engine();
        }
        if self.logger.is_due(self.now) {
            self.start_logger();
        }
    }

    #[inline(never)]
    fn start_engine(&mut self) {
        let mut passes = [Pass { source: process::standard_input(), target: 0 }; descriptors::ALL.len()];
        for (place, given) in passes.iter_mut().zip(self.engine_descriptors.iter().zip(&descriptors::ALL)) {
            *place = Pass { source: given.0.as_fd(), target: *given.1 };
        }
        let account = self.engine_account.as_ref();
        // It reads which engine it is, perhaps before the call that makes it has come back.
        words::store(self.reports.head(), reports::own::ENGINE_LIVES, self.engine.lives + 1);
        let word = self.reports.head().get(reports::own::ENGINE_PID).unwrap_or(&OTHER_PID);
        let started = spawn(&mut self.spawner, self.common, &[&[b"pintle-engine"]], &passes, account, word);
        self.begin(Owner::Engine, started, ENGINE_AGAIN_MS);
    }

    /// A helper has been spawned, or not: then it is tried again after a while.
    fn begin(&mut self, owner: Owner, started: Result<Pending, Errno>, again_ms: u32) {
        let started = started.map(|pending| self.watch(owner, pending, false));
        let now = self.now;
        let helper = if owner == Owner::Engine { &mut self.engine } else { &mut self.logger };
        helper.began = now;
        let missed = core::mem::replace(&mut helper.missed, started.is_err());
        match started {
            Ok(pid) => {
                helper.pid = pid;
                helper.due = Instant::NEVER;
                helper.lives += 1;
            }
            Err(error) => {
                (helper.pid, helper.due) = (0, now.plus_ms(again_ms));
                if !missed {
                    helper_failed(owner, Failure::of_clone(error));
                }
            }
        }
    }

    /// After a crash.
    pub fn take_over_helpers(&mut self) {
        let word = |at| words::load(self.reports.head(), at);
        self.engine.lives = word(reports::own::ENGINE_LIVES);
        let (engine, logger) = (word(reports::own::ENGINE_PID), self.held.word(LOGGER_PID));
        self.end_sweeper();
        if self.engine.take_over(engine, self.now) {
            self.pids.insert(engine, Owner::Engine);
        }
        if self.logger.take_over(logger, self.now) {
            self.pids.insert(logger, Owner::Logger);
        } else if self.link.is_some() {
            // There may have been none just then, as behind its death.
            self.logger.due = self.now;
        }
    }

    /// They run the program of before: the next ones are ours. The logger writes what is in its pipes first.
    pub fn renew_helpers(&mut self) {
        for (helper, signal) in [(&self.engine, SIGKILL), (&self.logger, SIGTERM)] {
            if helper.pid != 0 {
                let _ = signals::send(Target::Process(helper.pid), signal);
            }
        }
    }

    fn report_engine(&self) {
        words::store(self.reports.head(), reports::own::ENGINE_PID, self.engine.pid);
        words::store(self.reports.head(), reports::own::ENGINE_LIVES, self.engine.lives);
    }

    pub fn engine_ended(&mut self, exit: Exit) {
        self.engine.ended(self.now, self.now);
        self.engine.due = self.now.plus_ms(delay_ms(self.engine.young));
        if self.engine.is_spoiled(exit) {
            self.renew_engine();
        }
        self.report_engine();
    }

    // The logger.

    /// There is something to log: it is started if it does not run.
    pub fn logger_is_needed(&mut self) {
        if !self.logger.is_alive() && self.logger.due == Instant::NEVER {
            self.logger.due = self.now;
        }
    }

    pub fn logger_ended(&mut self) {
        self.held.put_word(LOGGER_PID, 0);
        self.logger.ended(self.now, self.logger.began.plus_ms(RESTART_DELAY_MS));
    }

    #[inline(never)]
    fn start_logger(&mut self) {
        let (Some(link), Some(directory)) = (&mut self.link, self.log_dir) else {
            self.logger.due = Instant::NEVER;
            return;
        };
        link.restart();
        let passes = [Pass { source: link.logger_end(), target: 3 }, Pass { source: link.socket(), target: 4 }];
        // What it keeps is in the run directory, which may be gone: it starts all the same.
        let kept: &[&[u8]] = match self.place.directory() {
            Some(run) => &[b"--kept=", run.path(), b"/", KEPT.to_bytes()],
            None => &[b"--kept="],
        };
        let plain =
            [c"pintle-log", c"--serve", c"3", c"--held", c"4", c"--dir", directory].map(|word| [word.to_bytes()]);
        let plain = plain.each_ref().map(|word| &word[..]);
        let [name, serve, three, held, four, dir, directory] = plain;
        let arguments = [name, serve, three, held, four, dir, directory, kept];
        let word = self.held.pid_word(LOGGER_PID);
        let started = spawn(&mut self.spawner, self.common, &arguments, &passes, None, word);
        self.begin(Owner::Logger, started, RESTART_DELAY_MS);
    }

    /// Starts the search for what has the mark of these services; gives its pid.
    #[inline(never)]
    pub(super) fn start_sweeper(&mut self, names: &[Name]) -> Option<u32> {
        let program: &[&[u8]] = &[b"pintle-sweep"];
        let names: heapless::Vec<[&[u8]; 1], NAMES> = names.iter().map(|name| [&name[..]]).collect();
        let mut arguments: heapless::Vec<&[&[u8]], { NAMES + 1 }> = heapless::Vec::new();
        arguments.extend(core::iter::once(program).chain(names.iter().map(|name| &name[..])));
        let word = self.held.pid_word(SWEEPER_PID);
        let started = spawn(&mut self.spawner, self.common, &arguments, &[], None, word).ok()?;
        Some(self.watch(Owner::Sweeper, started, false))
    }

    /// Tells the logger what it has to know.
    pub fn flush_log(&mut self) {
        let Supervisor { link: Some(link), slots, reports, common, instances, poll, log_full, log_again, .. } = self
        else {
            return;
        };
        // What is told to nobody is told to the next one.
        let told = match self.logger.is_alive() {
            true => link.flush(&|slot| log_source(slot, slots, instances, &common.image, reports)),
            false => Ok(()),
        };
        // What could not be told for want of memory is told after a while.
        let fails = told.is_err_and(|error| error != Errno::PIPE && error != Errno::AGAIN);
        *log_again = if fails { self.now.plus_ms(LOG_AGAIN_MS) } else { Instant::NEVER };
        let wants = link.wants_write() && self.logger.is_alive() && !fails;
        if wants != *log_full {
            *log_full = wants;
            let interest = if wants { Interest::WRITE } else { Interest::NONE };
            let _ = poll.change(link.socket(), super::Source::Logger.token(), interest);
        }
    }

    /// The slot is another instance's now. What the one before has left goes to the logger with its pipe, or waits for the
    /// next one on the way there.
    #[inline(never)]
    pub(super) fn leave_log(&mut self, slot: SlotId) -> Result<(), Failure> {
        let Supervisor { link, slots, reports, common, instances, held, .. } = self;
        if let Some(link) = link
            && let Some(source) = log_source(slot, slots, instances, &common.image, reports)
        {
            if let Err(error) = link.leave(slot, &source)
                && pipe::unread(source.pipe) != Ok(0)
            {
                return Err(Failure::of_pipe(error));
            }
            link.closed(slot);
        }
        if let Some(private) = slots.get_mut(slot.index()).filter(|private| private.log.is_some()) {
            held.hold(slot, Of::LogRead, None);
            held.hold(slot, Of::LogWrite, None);
            private.log = None;
        }
        Ok(())
    }

    /// Whether a definition logs through the logger.
    pub fn is_logged(image: &Image<'_>, slot: SlotId) -> bool {
        let record = image.service(slot, service::EXEC);
        let is_logged = |log| log == Log::File as u32 || Log::is_kept(log);
        record != pintle::database::NONE && is_logged(image.exec(record, exec::LOG))
    }
}

/// What the logger is told of a slot's pipe; none where it has none.
#[inline(never)]
fn log_source<'s>(
    slot: SlotId,
    slots: &'s [Private],
    instances: &'s [InstanceName],
    image: &Image<'static>,
    reports: &Reports<'_>,
) -> Option<Source<'s>> {
    let (pipe, _) = slots.get(slot.index())?.log.as_ref()?;
    let (mut definition, mut instance) = (slot, &b""[..]);
    if let Some(at) = slot.0.checked_sub(image.services()) {
        let (template, name) = instances.get(at as usize)?.split_first_chunk()?;
        (definition, instance) = (SlotId(u32::from_ne_bytes(*template)), before(name, 0));
    }
    let record = image.service(definition, service::EXEC);
    let mut words = [reports.word(slot, reports::PID); WORDS];
    for (at, word) in words[1..].iter_mut().enumerate() {
        *word = image.exec(record, exec::LOG + at);
    }
    Some(Source { name: [image.name(definition).as_bytes(), instance], words, pipe: pipe.as_fd() })
}

/// With arguments that are put together from parts. An error: no process can be made now.
#[inline(never)]
fn spawn(
    spawner: &mut Spawner,
    common: &Common,
    arguments: &[&[&[u8]]],
    passes: &[Pass<'_>],
    account: Option<&Account>,
    pid: &AtomicU32,
) -> Result<Pending, Errno> {
    let mut draft = spawner.draft_or_fork();
    for argument in arguments {
        let text = draft.text(argument);
        draft.argument(text);
    }
    let plan = Plan {
        program: Some(Text::lasting(common.program)),
        descriptors: passes,
        uid: account.map(|account| account.uid),
        gid: account.map(|account| account.gid),
        groups: account.map(|account| account.groups.as_slice()),
        // Another user's process has no capability; this keeps it so.
        no_new_privileges: true,
        ..Plan::default()
    };
    let spawned = draft.spawn(&plan, pid);
    if spawned.is_err() {
        pid.store(0, Ordering::Relaxed);
    }
    spawned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::signals::SIGSEGV;

    #[test]
    fn an_engine_that_dies_for_want_of_something_is_not_spoiled() {
        let after = |exit, deaths| {
            let mut helper = Helper::new(Instant(0));
            (0..deaths).any(|_| {
                helper.ended(Instant(0), Instant(0));
                helper.is_spoiled(exit)
            })
        };
        for exit in [Exit::Signal(SIGKILL), Exit::Signal(SIGBUS), Exit::Code(111)] {
            assert!(!after(exit, 20), "{exit:?}");
        }
        for exit in [Exit::Signal(SIGSEGV), Exit::Code(descriptors::SPOILED)] {
            assert!(!after(exit, SPOILED_DEATHS - 1) && after(exit, SPOILED_DEATHS), "{exit:?}");
        }
    }
}
