//! The simulated kernel: processes, their ends, and time. Numbers of reaped processes are given away again at once, so
//! that whoever keeps a stale one is found out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use pintle::board::reports::Exit;
use pintle::ident::SlotId;
use pintle::supervision::Trouble;

use super::programs::{Command, Program};

/// What a process does by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Act {
    Exec,
    Ready,
    Extend,
    /// By itself.
    End,
    /// Since a signal told it to.
    Obey,
    Killed,
}

/// What the status pipe of a spawn says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Nothing,
    Executed,
    Failed(Trouble),
}

pub struct Process {
    serial: u64,
    pub slot: SlotId,
    pub command: Command,
    pub program: Program,
    pub executed: bool,
    /// Unread; none once it was.
    pub status: Option<Status>,
    /// It has said that it is ready.
    pub said_ready: bool,
    /// ... and that was not read yet.
    pub ready_unread: bool,
    pub extend_unread: Option<u32>,
    pub exit: Option<Exit>,
    told_to_end: bool,
    killed: bool,
}

impl Process {
    pub fn is_alive(&self) -> bool {
        self.exit.is_none()
    }

    /// Whether the supervisor has something to read of it.
    pub fn has_news(&self) -> bool {
        self.exit.is_some()
            || self.ready_unread
            || self.extend_unread.is_some()
            || self.status.is_some_and(|status| status != Status::Nothing)
    }
}

#[derive(Default)]
pub struct Kernel {
    /// Nanoseconds.
    pub now: u64,
    pub processes: BTreeMap<u32, Process>,
    acts: BinaryHeap<Reverse<(u64, u64, u32, Act)>>,
    serial: u64,
    /// Faults have stopped: nobody ends by itself any more, but what has to.
    pub calm: bool,
}

const US: u64 = 1_000;

impl Kernel {
    /// At this time.
    pub fn new(now: u64) -> Kernel {
        Kernel { now, ..Kernel::default() }
    }

    pub fn spawn(&mut self, slot: SlotId, command: Command, program: Program) -> u32 {
        self.serial += 1;
        let pid = (2..).find(|pid| !self.processes.contains_key(pid)).expect("there is always a higher number");
        let process = Process {
            serial: self.serial,
            slot,
            command,
            program,
            executed: false,
            status: Some(Status::Nothing),
            said_ready: false,
            ready_unread: false,
            extend_unread: None,
            exit: None,
            told_to_end: false,
            killed: false,
        };
        self.processes.insert(pid, process);
        self.after(pid, program.exec_us, Act::Exec);
        pid
    }

    /// The process that this dead one had handed over to: it runs already, and is ready.
    pub fn heir(&mut self, pid: u32) -> Option<u32> {
        let dead = self.processes.get(&pid)?;
        if !dead.program.hands_over || !dead.said_ready {
            return None;
        }
        let program =
            Program { on_signal: dead.program.on_signal, on_kill_us: dead.program.on_kill_us, ..Program::still() };
        let heir = self.spawn(dead.slot, dead.command, program);
        let process = self.processes.get_mut(&heir)?;
        (process.executed, process.status, process.said_ready) = (true, None, true);
        // It has nothing to do by itself.
        process.serial += 1;
        self.serial += 1;
        Some(heir)
    }

    /// A process that outlives the one which starts it.
    fn leave(&mut self, pid: u32) {
        let slot = self.processes[&pid].slot;
        let on_kill_us = self.processes[&pid].program.on_kill_us;
        let program = Program { on_kill_us, ..Program::still() };
        let stray = self.spawn(slot, Command::Stray, program);
        if let Some(process) = self.processes.get_mut(&stray) {
            (process.executed, process.status) = (true, None);
            // It has nothing to do by itself.
            process.serial += 1;
            self.serial += 1;
        }
    }

    /// The strays of a slot that live.
    pub fn strays(&self, slot: SlotId) -> Vec<u32> {
        let stray =
            |(pid, process): (u32, &Process)| (process.command == Command::Stray && process.is_alive()).then_some(pid);
        self.of(slot).filter_map(stray).collect()
    }

    fn after(&mut self, pid: u32, us: u64, act: Act) {
        let serial = self.processes[&pid].serial;
        self.acts.push(Reverse((self.now + us * US, serial, pid, act)));
    }

    /// When the next process does something.
    pub fn next(&mut self) -> Option<u64> {
        while let Some(Reverse((due, serial, pid, act))) = self.acts.peek().copied() {
            let stands = self.processes.get(&pid).is_some_and(|process| {
                let by_itself =
                    act == Act::End && self.calm && process.program.end.is_some_and(|(_, exit)| exit != Exit::Code(0));
                process.serial == serial && process.is_alive() && !by_itself
            });
            if stands {
                return Some(due);
            }
            self.acts.pop();
        }
        None
    }

    /// The next act, if it is due: whose, and what.
    pub fn act(&mut self) -> Option<(u32, Act)> {
        if self.next()? > self.now {
            return None;
        }
        let Reverse((_, _, pid, act)) = self.acts.pop()?;
        let program = self.processes[&pid].program;
        let process = self.processes.get_mut(&pid)?;
        let (mut follow, mut left): (Vec<(u64, Act)>, _) = (Vec::new(), 0);
        match act {
            Act::Exec if process.killed => {} // what it gets to first is its end
            Act::Exec => match program.step_fails {
                Some(trouble) => {
                    process.status = Some(Status::Failed(trouble));
                    process.exit = Some(Exit::Code(127));
                }
                None => {
                    process.executed = true;
                    process.status = Some(Status::Executed);
                    follow.extend(program.ready_us.map(|us| (us, Act::Ready)));
                    follow.extend(program.end.map(|(us, _)| (us, Act::End)));
                    follow.extend(program.extend.map(|(us, _)| (us, Act::Extend)));
                    left = program.leaves;
                }
            },
            Act::Ready => {
                process.said_ready = true;
                process.ready_unread = process.command == Command::Main;
            }
            Act::Extend => process.extend_unread = program.extend.map(|(_, ms)| ms),
            Act::End => process.exit = program.end.map(|(_, exit)| exit),
            // Before its exec it has no handler, and what is not executed cannot succeed.
            Act::Obey if !process.executed => process.exit = Some(Exit::Signal(15)),
            Act::Obey => process.exit = program.on_signal.map(|(_, exit)| exit),
            Act::Killed => process.exit = Some(Exit::Signal(9)),
        }
        for (us, act) in follow {
            self.after(pid, us, act);
        }
        for _ in 0..left {
            self.leave(pid);
        }
        Some((pid, act))
    }

    /// A signal that tells it to end.
    pub fn signal(&mut self, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if let (Some((us, _)), false, true) = (process.program.on_signal, process.told_to_end, process.is_alive()) {
            process.told_to_end = true;
            self.after(pid, us, Act::Obey);
        }
    }

    pub fn kill(&mut self, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if process.is_alive() && !process.killed {
            process.killed = true;
            let us = process.program.on_kill_us;
            self.after(pid, us, Act::Killed);
        }
    }

    /// Those of a slot that are not reaped.
    pub fn of(&self, slot: SlotId) -> impl Iterator<Item = (u32, &Process)> {
        self.processes.iter().filter(move |(_, process)| process.slot == slot).map(|(pid, process)| (*pid, process))
    }
}
