//! Starting processes without waiting for them, without heap, and without the cost of a copied address space.
//!
//! A child is made by `clone` with CLONE_VM, on one of [`limits::STACKS`] stacks of our own, and runs beside its parent
//! until it executes or exits; the kernel then clears the stack's word (CLONE_CHILD_CLEARTID), and only after that is
//! the stack used again. With every stack taken (children that hang in a tty open or a network file system) the caller
//! waits for one, or asks for [`Spawner::draft_forked`]: the same child with a copy of the address space.
//!
//! What the child needs (arguments, environment, a [`Plan`]) is put into the memory of its own stack by a [`Draft`],
//! so nothing that the parent does afterwards can change it. What it does then is in `child`.
//!
//! The caller is one thread, has every signal blocked that it does not want handled in the child for an instant, and
//! has called `process::set_dumpable(false)` where children run as other users.
//!
//! News of a child come by a close-on-exec pipe of its own, as records of 8 bytes (step, errno) in the machine's byte
//! order, the step with which one of several above its low 8 bits: `Step::Unshared` means that the descriptor table is
//! its own (handled here); any other is the step that failed; end of file means that it has executed its program, or was
//! killed before (then the reap says by what). Of a child whose exec nobody waits for ([`Plan::quiet`]) the one record
//! there can be is left beside the stack's word, and read when the word is clear: that saves the pipe.

mod child;
mod draft;
mod stacks;
mod step;

#[cfg(test)]
mod tests;

pub use draft::{Draft, FAILS, GOES_ON, Limit, Look, Pass, Plan, Refused, Text};
pub use step::Step;

use super::{AsFd, BorrowedFd, Errno, OwnedFd, Result, errno, raw};
use core::sync::atomic::{AtomicU32, Ordering};
use pintle::limits::STACKS;
use rustix::fd::AsRawFd;
use stacks::Stacks;

/// The first number of the descriptors that are kept for stacks in shared-descriptor mode: stack K has the
/// `LOW_PER_STACK` numbers from `LOW_FIRST + LOW_PER_STACK * K` on. Those below it are for what the program holds at
/// fixed numbers: a child can be given them without taking a low number.
pub const LOW_FIRST: i32 = 16;
/// See `LOW_FIRST`. The first is for the status pipe; the others for what the child is to have.
pub const LOW_PER_STACK: i32 = 4;
/// The end of the kept numbers: the child's own table is a copy of what is below.
pub const LOW_END: i32 = LOW_FIRST + LOW_PER_STACK * STACKS as i32;

/// Makes processes. One for each program: it keeps numbers of descriptors.
pub struct Spawner {
    stacks: Stacks,
    /// A descriptor of no interest that keeps the low numbers taken; none: shared-descriptor mode is off.
    filler: Option<OwnedFd>,
    /// The ticket of the last child of each stack.
    owner: [u32; STACKS],
    last_ticket: u32,
    /// Bit K: the low numbers of stack K hold its child's descriptors.
    holds_low: u32,
    /// The system refused to share memory between processes.
    only_fork: bool,
}

/// A child between clone and exec. Dropping it forgets the child, which goes on; a quiet one's news are to be read
/// first. Take it out of the poll first: other children may hold copies of `status` for a moment.
#[derive(Debug)]
pub struct Pending {
    pub pid: u32,
    /// Readable when there is something for [`Spawner::news`]. Nonblocking, close-on-exec. None: a quiet child.
    pub status: Option<OwnedFd>,
    /// Stack and ticket; of a forked child, a stack that there is not.
    owned: (u32, u32),
}

impl Pending {
    /// One of a supervisor that was this process: it has this status pipe.
    pub fn taken_over(pid: u32, status: OwnedFd) -> Pending {
        Pending { pid, status: Some(status), owned: (u32::MAX, 0) }
    }
}

/// What is known of a child between clone and exec.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// Nothing yet.
    None,
    /// It has executed its program, or was killed before it could: the reap says so.
    Executed,
    /// This step failed, and it has exited with status 111 without executing anything.
    /// Of several things that the step does one after the other, the last says which, from 1 on; 0 where it does not.
    Failed(Step, Errno, u8),
}

impl Spawner {
    /// Maps the stacks: some 2 MB of addresses, of which one or two pages of each used stack become real.
    pub fn new() -> Result<Spawner> {
        Ok(Spawner {
            stacks: Stacks::new()?,
            filler: None,
            owner: [0; STACKS],
            last_ticket: 0,
            holds_low: 0,
            only_fork: false,
        })
    }

    /// Takes the numbers `LOW_FIRST..LOW_END` for shared-descriptor mode ([`Plan::share_descriptors`]), which makes
    /// spawning independent of how many descriptors this process has: worth it from about 200 on. Call before any of
    /// these numbers is in use, else EBUSY, and nothing has changed. `filler` may be any descriptor, as of /dev/null.
    pub fn reserve_low_descriptors(&mut self, filler: BorrowedFd<'_>) -> Result<()> {
        // SAFETY: only asked whether they are open.
        let free =
            |number| rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }) == Err(rustix::io::Errno::BADF);
        if !(LOW_FIRST..LOW_END).all(free) {
            return Err(Errno::BUSY);
        }
        // EINVAL: such a number is beyond the limit.
        let filler = rustix::io::fcntl_dupfd_cloexec(filler, LOW_END).map_err(|_| Errno::MFILE)?;
        for number in LOW_FIRST..LOW_END {
            place(filler.as_fd(), number)?;
        }
        self.filler = Some(filler.into());
        Ok(())
    }

    /// Whether a stack is free now. One is not while what a quiet child left there is not read.
    pub fn has_free_stack(&self) -> bool {
        (0..STACKS).any(|index| self.stacks.is_free(index))
    }

    /// Whether all are: no child is between clone and exec, and nothing is to be read.
    pub fn is_unused(&self) -> bool {
        (0..STACKS).all(|index| self.stacks.is_free(index))
    }

    /// Gives the memory of the stacks back to the kernel if no child is on any: after a storm of spawns, for the next
    /// use of each costs a few page faults.
    pub fn release_memory(&mut self) {
        if self.is_unused() {
            self.stacks.release_pages();
        }
    }

    /// Begins a child on a free stack; none if every stack is taken.
    pub fn draft(&mut self) -> Option<Draft<'_>> {
        let index = self.take_stack()?;
        Some(Draft::new(self, Some(index)))
    }

    /// Begins a child on a free stack, or if there is none, with a copy of this process's address space.
    pub fn draft_or_fork(&mut self) -> Draft<'_> {
        let index = self.take_stack();
        Draft::new(self, index)
    }

    fn take_stack(&mut self) -> Option<usize> {
        // The first free one, whose pages are most likely there already.
        let index = (0..STACKS).find(|index| self.stacks.is_free(*index))?;
        // Of the last child here, whose news are not read yet: it is gone, or has a table of its own.
        self.release_low(index);
        self.last_ticket = self.last_ticket.wrapping_add(1);
        self.owner[index] = self.last_ticket;
        Some(index)
    }

    /// Begins a child with a copy of this process's address space: slower, never refused.
    pub fn draft_forked(&mut self) -> Draft<'_> {
        Draft::new(self, None)
    }

    /// Reads the news of a child. After `Executed` or `Failed` there is no more; drop the `Pending`.
    pub fn news(&mut self, pending: &Pending) -> News {
        let (stack, ticket) = pending.owned;
        let (stack, is_its) = (stack as usize, self.owner.get(stack as usize) == Some(&ticket));
        loop {
            let [step, errno] = match &pending.status {
                Some(status) => {
                    let mut record = [0; 8];
                    match rustix::io::read(status, &mut record) {
                        Ok(8) => {}
                        Err(rustix::io::Errno::INTR) => continue,
                        Err(rustix::io::Errno::AGAIN) => return News::None,
                        Ok(_) | Err(_) => return News::Executed,
                    }
                    let [a, b, c, d, e, f, g, h] = record;
                    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
                }
                None if is_its && !self.stacks.is_clear(stack) => return News::None,
                None if !is_its => [0, 0], // it had let go
                None => {
                    let words = self.stacks.words(Some(stack));
                    [words.step.swap(0, Ordering::Relaxed), words.errno.load(Ordering::Relaxed)]
                }
            };
            match Step::from_number(step & 0xff) {
                Some(Step::Unshared) if is_its => self.release_low(stack),
                Some(Step::Unshared) => {}
                Some(failed) => return News::Failed(failed, errno::from_number(errno), (step >> 8) as u8),
                None => return News::Executed, // no child of ours writes such a record
            }
        }
    }

    /// Gives the low numbers of a stack back to the filler, which closes the child's descriptors on our side.
    fn release_low(&mut self, stack: usize) {
        if let (Some(filler), true) = (&self.filler, self.holds_low & 1 << stack != 0) {
            self.holds_low &= !(1 << stack);
            let first = low_of(stack);
            for number in first..first + LOW_PER_STACK {
                let _ = place(filler.as_fd(), number); // dup3 onto an open number fails only with EINTR, tried again
            }
        }
    }

    /// Puts the status pipe and the sources of passes into the low numbers of the stack, in the order in which they are
    /// in `sources` then; says so. If they do not fit, or sharing is off, nothing has changed.
    fn share(
        &mut self,
        stack: usize,
        status: i32,
        passes: &[Pass<'_>],
        sources: &mut heapless::Vec<i32, { LOW_PER_STACK as usize }>,
    ) -> Result<bool> {
        if self.filler.is_none() {
            return Ok(false);
        }
        let _ = sources.push(status); // it is empty
        for pass in passes {
            // What is below is there for the child anyway. Several targets may have one source (output and error).
            let source = pass.source.as_raw_fd();
            if source >= LOW_FIRST && sources.iter().all(|other| *other != source) && sources.push(source).is_err() {
                sources.clear();
                return Ok(false);
            }
        }
        self.holds_low |= 1 << stack;
        for (number, source) in (low_of(stack)..).zip(sources.iter()) {
            // SAFETY: the caller's descriptors are open; see `Pass` and `Draft::spawn`.
            place(unsafe { BorrowedFd::borrow_raw(*source) }, number)?;
        }
        Ok(true)
    }

    /// The clone itself. `task` lies in the memory of the stack.
    fn start(&mut self, index: Option<usize>, task: &child::Task<'_>, top: usize, pid_word: &AtomicU32) -> Result<u32> {
        const SIGCHLD: usize = 17;
        // The kernel wants to know both ends; there is more.
        const STACK_BYTES: u64 = 4096;
        let files = if task.unshare_from != 0 { raw::CLONE_FILES } else { 0 };
        let word = &self.stacks.words(index).taken;
        loop {
            let shares = index.is_some() && !self.only_fork;
            let sharing = if shares { raw::CLONE_VM | raw::CLONE_CHILD_CLEARTID | files } else { 0 };
            let flags = sharing | raw::CLONE_PARENT_SETTID;
            word.store(u32::from(shares), Ordering::Relaxed); // "taken"; the kernel stores 0 when the child has let go
            let argument = task as *const _ as usize;
            // SAFETY: the stack below `top` is free (its word said so) or, without CLONE_VM, copied; `child::run` never
            // returns and is written for this; the word of the stack stays for ever, and the pid word, which is
            // borrowed, is written before clone returns.
            let answer = raw::answer(match task.plan.cgroup {
                // SAFETY: as above.
                None => unsafe {
                    raw::clone_onto(flags | SIGCHLD, top, pid_word.as_ptr(), word.as_ptr(), child::run, argument)
                },
                Some(group) => {
                    let arguments = raw::CloneArguments {
                        flags: flags as u64 | raw::CLONE_INTO_CGROUP,
                        pidfd: 0,
                        child_tid: word.as_ptr() as u64,
                        parent_tid: pid_word.as_ptr() as u64,
                        exit_signal: SIGCHLD as u64,
                        stack: top as u64 - STACK_BYTES,
                        stack_size: STACK_BYTES,
                        tls: 0,
                        set_tid: 0,
                        set_tid_size: 0,
                        cgroup: group.as_raw_fd() as u64,
                    };
                    // SAFETY: as above; the kernel reads the arguments.
                    unsafe { raw::clone3_onto(&arguments, child::run, argument) }
                }
            });
            match answer {
                Ok(pid) => {
                    // The kernel has written it before the child began; qemu's user mode writes it into the child's
                    // copy only.
                    pid_word.store(pid, Ordering::Relaxed);
                    return Ok(pid);
                }
                Err(error) => {
                    word.store(0, Ordering::Relaxed);
                    if !shares || error != Errno::INVAL {
                        return Err(error);
                    }
                }
            }
            // An emulator (qemu's user mode) that cannot share memory between processes. So it will be next time.
            self.only_fork = true;
        }
    }
}

/// The first of the low numbers of a stack.
fn low_of(stack: usize) -> i32 {
    LOW_FIRST + LOW_PER_STACK * stack as i32
}

/// Makes `number` a close-on-exec copy of `source`, closing what it was. EBUSY passes: see dup(2).
fn place(source: BorrowedFd<'_>, number: i32) -> Result<()> {
    loop {
        match super::process::place_at(source, number, false) {
            Err(Errno::BUSY) => {}
            other => return other,
        }
    }
}
