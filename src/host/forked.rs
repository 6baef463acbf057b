//! Who waits for a service with `ready = fork`: the parent of its first process, and what the kernel gives the rest of
//! its processes to, so that they are those of this service and no other's. When the main process is known it is named
//! to the supervisor (`MAINPID=`), and we end, by which that becomes the supervisor's child.
//!
//! Only children of our own are named or signalled, and none of them is reaped before: a number is nobody else's.
//! What is waited for stands in `STATUS=`; the time that it may take is the supervisor's to measure.

use super::apart::end_as;
use crate::sys::poll::{self, Interest};
use crate::sys::reap::{self, Child, Outcome};
use crate::sys::signals::{self, SignalSet, Target};
use crate::sys::socket::{self, Address};
use crate::sys::{AsFd, Errno, OwnedFd, children, clock, errno, file, process};
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;
use pintle::lang::diagnostic::told;
use pintle::supervision::SIGENDS;
use pintle::text::small_number;
use pintle::time::Instant;

/// Between two looks for the main process. Milliseconds.
const LOOK_MS: u32 = 20;
/// A process that is the only one left for so long is no step between the first process and the main one. Milliseconds.
const SETTLED_MS: u64 = 50;
/// The longest time from there to SIGKILL where our supervisor has gone. Milliseconds.
const ORPHAN_MS: u32 = 3_000;
/// Of a service that is not there though its command has exited with 0.
const CODE: u8 = 111;
/// Signals that end a service, as a rule, whoever sends them to us. The supervisor sends SIGENDS behind those of `stop`.
const ENDING: SignalSet = SignalSet::of(&[signals::SIGTERM, signals::SIGINT, signals::SIGQUIT, signals::SIGABRT]);

/// What it was told.
pub struct Forked<'a> {
    /// Where the supervisor listens.
    pub address: &'a CStr,
    /// Where the service writes which process is the main one.
    pub pid_file: Option<&'a CStr>,
    /// From the first signal that is to end it to SIGKILL for all that is left. Milliseconds.
    pub grace_ms: u32,
}

/// A socket to the supervisor: a path, or after `@` a name.
pub fn connect(address: &CStr) -> Result<OwnedFd, Errno> {
    socket::connect_datagrams(&Address::named(address.to_bytes())?)
}

/// What has to be there before there is anything to watch: news come by the one, and go by the other.
pub struct Ways {
    caught: OwnedFd,
    socket: OwnedFd,
}

impl Ways {
    /// To the supervisor that listens there.
    pub fn open(address: &CStr) -> Result<Ways, Errno> {
        Ok(Ways { caught: signals::signal_fd(SignalSet::FULL)?, socket: connect(address)? })
    }
}

/// How far a service has come.
struct Watch<'a> {
    told: &'a Forked<'a>,
    socket: OwnedFd,
    /// What was said last, so that nothing is said twice: some number of it.
    said: u32,
    /// The only one that is left, and since when.
    only: (u32, Instant),
}

impl Forked<'_> {
    /// Waits until the main process is known, or there is none to come. All signals are blocked. Gives the exit code;
    /// where the first process was ended by a signal, so are we. Whatever goes wrong, nothing of it is left behind.
    pub fn watch(&self, ways: Ways, first: u32) -> Result<u8, Errno> {
        let supervisor = process::parent();
        let done = self.watch_until(ways, first, supervisor);
        if done.is_err() {
            // Nobody will know of it: the next life is not to stand beside this one.
            while children(&mut |pid| signal(pid, signals::SIGKILL)) && reap::has_children() {
                reap_all(&mut |_| {});
                poll::wait_for(None, Interest::READ, LOOK_MS);
            }
        }
        done
    }

    fn watch_until(&self, ways: Ways, first: u32, supervisor: u32) -> Result<u8, Errno> {
        let Ways { caught, socket } = ways;
        let mut watch = Watch { told: self, socket, said: 0, only: (0, Instant(0)) };
        // `ending`: it is to end, and when it gets SIGKILL.
        let (mut ended, mut ending, mut told) = (None, None, Told::default());
        loop {
            reap_all(&mut |death| {
                if death.pid == first {
                    ended = Some(death.outcome);
                }
            });
            if ending.is_some() {
                told.tell_others();
            }
            let late = ending.is_some_and(|kills| clock::now() >= kills);
            if let Some(outcome) = ended {
                let is_well = outcome == Outcome::Exited(0);
                if is_well && ending.is_none() && watch.find_main()? {
                    return Ok(0);
                }
                // What a command that fails by itself has begun is not to go on without it.
                let kills = late || ending.is_none() && !is_well;
                let left = reap::has_children();
                if !left || kills && !children(&mut |pid| signal(pid, signals::SIGKILL)) {
                    return match outcome {
                        Outcome::Exited(0) => {
                            if ending.is_none() {
                                watch.say(1, format_args!("the command has exited with 0 and left no process"))?;
                            }
                            Ok(CODE)
                        }
                        Outcome::Exited(code) => Ok(code),
                        killed @ Outcome::Killed { .. } => end_as(killed),
                    };
                }
            } else if late {
                children(&mut |pid| signal(pid, signals::SIGKILL));
            }
            let waits = ended.is_some() || ending.is_some();
            poll::wait_for(Some(caught.as_fd()), Interest::READ, if waits { LOOK_MS } else { i32::MAX as u32 });
            while let Some(one) = signals::read_signal(caught.as_fd()) {
                if one.signal == signals::SIGCHLD {
                    continue;
                }
                if one.signal != SIGENDS {
                    told.add(one.signal);
                }
                if ending.is_none() && (one.signal == SIGENDS || ENDING.contains(one.signal)) {
                    // Who takes over behind a supervisor that was killed does not wait as long.
                    let is_orphan = process::parent() != supervisor;
                    let grace_ms = if is_orphan { self.grace_ms.min(ORPHAN_MS) } else { self.grace_ms };
                    ending = Some(clock::now().plus_ms(grace_ms));
                }
            }
        }
    }
}

/// The signals that have come, which are for all of them.
#[derive(Default)]
struct Told {
    signals: Vec<u8>,
    /// Who has had all of these.
    by: Vec<u32>,
}

impl Told {
    fn add(&mut self, one: u8) {
        children(&mut |pid| signal(pid, one));
        if !self.signals.contains(&one) {
            self.signals.push(one);
        }
        self.by.clear();
        children(&mut |pid| self.by.push(pid));
    }

    /// Those that have been left to us since.
    fn tell_others(&mut self) {
        if self.signals.is_empty() {
            return self.add(signals::SIGTERM);
        }
        let Told { signals, by } = self;
        children(&mut |pid| {
            if !by.contains(&pid) {
                by.push(pid);
                signals.iter().for_each(|one| signal(pid, *one));
            }
        });
    }
}

/// Reaps whoever has ended, each after its turn.
pub fn reap_all(each: &mut dyn FnMut(reap::Death)) {
    while let Some(death) = reap::peek() {
        reap::reap(death.pid);
        each(death);
    }
}

impl Watch<'_> {
    /// Names the main process, if it is known now.
    fn find_main(&mut self) -> Result<bool, Errno> {
        let found = match self.told.pid_file {
            Some(path) => self.read(path)?,
            None => self.only_one()?,
        };
        let Some(pid) = found else { return Ok(false) };
        self.say(u32::MAX, format_args!("\nMAINPID={pid}"))?;
        Ok(true)
    }

    /// The one that the pid file names, if that is ours.
    fn read(&mut self, path: &CStr) -> Result<Option<u32>, Errno> {
        let mut buffer = [0; 64];
        let shown = crate::sys::output::Shown(path.to_bytes());
        let text = path.to_str().map_or(Err(Errno::INVAL), |path| file::read_start(path, &mut buffer));
        match text.map(|text| small_number(text.trim_ascii())) {
            Err(error) => self.say(error.number(), format_args!("{shown}: {}", errno::Words(error)))?,
            Ok(None) => self.say(u32::MAX - 1, format_args!("{shown} has no number"))?,
            Ok(Some(pid)) if pid > 1 && reap::look(pid) == Child::Alive => return Ok(Some(pid)),
            Ok(Some(pid)) => {
                self.say(pid.saturating_add(1 << 16), format_args!("{shown} names {pid}, no process of this service"))?;
            }
        }
        Ok(None)
    }

    /// The one child that is left.
    fn only_one(&mut self) -> Result<Option<u32>, Errno> {
        let (mut count, mut last) = (0, 0);
        let known = children(&mut |pid| (count, last) = (count + 1, pid));
        let now = clock::now();
        if !known {
            self.say(2, format_args!("the kernel does not say what is left: name a pid-file"))?;
        } else if count == 1 && self.only.0 == last {
            return Ok(Some(last).filter(|_| now.ms_since(self.only.1) >= SETTLED_MS));
        } else if count > 1 {
            self.say(2 + count, format_args!("{count} processes are left, one of them the main one: name a pid-file"))?;
        }
        self.only = (if count == 1 { last } else { 0 }, now);
        Ok(None)
    }

    /// Tells the supervisor what it waits for.
    fn say(&mut self, number: u32, text: fmt::Arguments<'_>) -> Result<(), Errno> {
        if core::mem::replace(&mut self.said, number) == number {
            return Ok(());
        }
        socket::send(self.socket.as_fd(), told(format_args!("STATUS={text}")).as_bytes(), &[])
    }
}

/// Gives each child of ours its turn; `false` where the kernel does not tell (CONFIG_PROC_CHILDREN).
fn children(each: &mut dyn FnMut(u32)) -> bool {
    children::each(children::OWN, each).is_ok()
}

fn signal(pid: u32, signal: u8) {
    let _ = signals::send(Target::Process(pid), signal); // it ends just now: well
}
