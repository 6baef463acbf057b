//! Signals: sets, the mask, signalfd, dispositions, sending, and the handlers of the fatal ones.
//!
//! Made on the kernel's own interface, with its sets of 8 bytes: libc's are 128 bytes long and leave some signals out.
//! A program that uses this is one thread.

use super::{Errno, OwnedFd, Result, raw};
use rustix::fd::{AsRawFd, BorrowedFd};

pub const SIGHUP: u8 = 1;
pub const SIGINT: u8 = 2;
pub const SIGQUIT: u8 = 3;
pub const SIGILL: u8 = 4;
pub const SIGTRAP: u8 = 5;
pub const SIGABRT: u8 = 6;
pub const SIGBUS: u8 = 7;
pub const SIGFPE: u8 = 8;
pub const SIGKILL: u8 = 9;
pub const SIGUSR1: u8 = 10;
pub const SIGSEGV: u8 = 11;
pub const SIGUSR2: u8 = 12;
pub const SIGPIPE: u8 = 13;
pub const SIGALRM: u8 = 14;
pub const SIGTERM: u8 = 15;
pub const SIGCHLD: u8 = 17;
/// Asks the supervisor to execute its program's file anew: what is SIGRTMIN+25 to glibc, as systemd(1) has it.
pub const SIGUPGRADE: u8 = 59;
pub const SIGCONT: u8 = 18;
pub const SIGSTOP: u8 = 19;
pub const SIGTSTP: u8 = 20;
pub const SIGWINCH: u8 = 28;
pub const SIGPWR: u8 = 30;

/// The signals whose handlers `install_fatal` sets. A fault raises them on the spot, so they are never blocked.
pub const FATAL: [u8; 5] = [SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGFPE];

/// What a panic raises (`raw::trap`, llvm.trap). Where it is blocked, its handler would not be asked.
const PANIC: u8 = if cfg!(any(target_arch = "aarch64", target_arch = "powerpc64")) { SIGTRAP } else { SIGILL };

/// A set of signals, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignalSet(u64);

impl SignalSet {
    pub const EMPTY: SignalSet = SignalSet(0);
    pub const FULL: SignalSet = SignalSet(!0);

    /// The set of these signals.
    pub const fn of(signals: &[u8]) -> SignalSet {
        let mut set = SignalSet::EMPTY;
        let mut at = 0;
        while at < signals.len() {
            set = set.with(signals[at]);
            at += 1;
        }
        set
    }

    /// Everything but the fatal ones: what a supervisor blocks and takes from a signalfd.
    pub const fn all_but_fatal() -> SignalSet {
        SignalSet(!SignalSet::of(&FATAL).with(PANIC).0)
    }

    /// This set and one more; a number outside 1..=64 adds nothing.
    pub const fn with(self, signal: u8) -> SignalSet {
        if signal >= 1 && signal <= 64 { SignalSet(self.0 | 1 << (signal - 1)) } else { self }
    }

    /// This set without those of the other one.
    pub const fn without(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 & !other.0)
    }

    pub const fn contains(self, signal: u8) -> bool {
        signal >= 1 && signal <= 64 && self.0 & 1 << (signal - 1) != 0
    }

    /// As the kernel reads it: an array of words, the low signals first.
    pub(super) const fn words(self) -> [usize; KERNEL_SET_WORDS] {
        let mut words = [0; KERNEL_SET_WORDS];
        let mut at = 0;
        while at < KERNEL_SET_WORDS {
            words[at] = (self.0 >> (at as u32 * usize::BITS)) as usize;
            at += 1;
        }
        words
    }

    fn from_words(words: [usize; KERNEL_SET_WORDS]) -> SignalSet {
        let parts = words.iter().enumerate().map(|(at, word)| (*word as u64) << (at as u32 * usize::BITS));
        SignalSet(parts.fold(0, |all, part| all | part))
    }
}

pub(super) const KERNEL_SET_BYTES: usize = 8;
const KERNEL_SET_WORDS: usize = KERNEL_SET_BYTES / size_of::<usize>();
const SIG_BLOCK: usize = 0;
const SIG_UNBLOCK: usize = 1;
pub(super) const SIG_SETMASK: usize = 2;

/// Replaces the mask of blocked signals; gives the old one.
pub fn set_mask(set: SignalSet) -> SignalSet {
    change_mask(SIG_SETMASK, set)
}

/// Blocks these too; gives the old mask.
pub fn block(set: SignalSet) -> SignalSet {
    change_mask(SIG_BLOCK, set)
}

/// Unblocks these; gives the old mask.
pub fn unblock(set: SignalSet) -> SignalSet {
    change_mask(SIG_UNBLOCK, set)
}

fn change_mask(how: usize, set: SignalSet) -> SignalSet {
    let new = set.words();
    let mut old = [0; KERNEL_SET_WORDS];
    let (new, old_at) = (new.as_ptr() as usize, old.as_mut_ptr() as usize);
    // SAFETY: both are kernel sets of the size given. The call cannot fail with a valid `how`.
    let _ = unsafe { raw::call(raw::nr::RT_SIGPROCMASK, how, new, old_at, KERNEL_SET_BYTES, 0) };
    SignalSet::from_words(old)
}

/// A descriptor from which blocked signals are read: nonblocking, close-on-exec. See signalfd(2).
pub fn signal_fd(set: SignalSet) -> Result<OwnedFd> {
    const SFD_NONBLOCK_CLOEXEC: usize = 0o4000 | 0o2000000;
    let words = set.words();
    // SAFETY: a kernel set of the size given; a new descriptor is ours.
    unsafe {
        let set = words.as_ptr() as usize;
        raw::open(raw::nr::SIGNALFD4, usize::MAX, set, KERNEL_SET_BYTES, SFD_NONBLOCK_CLOEXEC)
    }
}

/// One signal that came. Several of one kind may have become one.
#[derive(Clone, Copy, Debug)]
pub struct Caught {
    pub signal: u8,
    /// Who sent it; 0 for the kernel.
    pub pid: u32,
    pub uid: u32,
}

/// The next signal of a signalfd; none when all are read.
pub fn read_signal(fd: BorrowedFd<'_>) -> Option<Caught> {
    let mut record = [0u8; 128]; // signalfd_siginfo: signo, errno, code, pid, uid, ... as 32-bit words
    match rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut record)) {
        Ok(128) => {
            let word = |at: usize| u32::from_ne_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
            Some(Caught { signal: word(0) as u8, pid: word(12), uid: word(16) })
        }
        Ok(_) | Err(_) => None,
    }
}

/// What the kernel calls sigaction.
#[repr(C)]
struct Action {
    handler: usize,
    flags: usize,
    #[cfg(not(target_arch = "riscv64"))]
    restorer: usize,
    mask: [usize; KERNEL_SET_WORDS],
}

const SIG_DFL: usize = 0;

fn set_action(signal: u8, handler: usize, flags: usize) -> Result<()> {
    const SA_RESTORER: usize = 0x0400_0000;
    // x86_64 refuses to deliver without a restorer, which a handler returns to; elsewhere the kernel has its own.
    #[cfg(target_arch = "x86_64")]
    let (needs_restorer, restorer) = (handler != SIG_DFL, raw::restorer as *const () as usize);
    #[cfg(not(target_arch = "x86_64"))]
    let (needs_restorer, restorer) = (false, 0);
    let action = Action {
        handler,
        flags: flags | if needs_restorer { SA_RESTORER } else { 0 },
        #[cfg(not(target_arch = "riscv64"))]
        restorer: if needs_restorer { restorer } else { 0 },
        mask: SignalSet::EMPTY.words(),
    };
    // SAFETY: `action` has the kernel's layout and the set size is its own; the handler is a valid one of this program.
    unsafe { raw::call(raw::nr::RT_SIGACTION, signal as usize, &raw const action as usize, 0, KERNEL_SET_BYTES, 0) }
        .map(drop)
}

/// The kernel's default for this signal.
pub fn set_default(signal: u8) -> Result<()> {
    set_action(signal, SIG_DFL, 0)
}

/// Every signal to its default, nothing blocked: what a program that is executed deserves, and what the supervisor
/// does first, since it may have been started with signals ignored. Takes the handler of a panic away, too: see
/// `entry::report_our_end`.
pub fn reset_all() {
    for signal in 1..=64 {
        let _ = set_default(signal); // SIGKILL and SIGSTOP refuse, and need nothing
    }
    set_mask(SignalSet::EMPTY);
}

/// What a panic raises: an undefined instruction, or on some processors a trap.
pub const TRAPS: [u8; 2] = [SIGILL, SIGTRAP];

/// Gets the number, the siginfo_t and the context.
pub type Handler = extern "C" fn(signal: i32, information: *const i32, context: usize);

/// Sets a handler, on the alternate stack if there is one, with the signal itself not blocked in it.
pub fn set_trap(signal: u8, handler: Handler) -> Result<()> {
    const SA_SIGINFO: usize = 4;
    const SA_ONSTACK: usize = 0x0800_0000;
    const SA_RESTART: usize = 0x1000_0000;
    const SA_NODEFER: usize = 0x4000_0000;
    set_action(signal, handler as usize, SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER)
}

/// Ends this process as the signal's default action would, whatever was done about it.
pub fn die_of(signal: u8) -> ! {
    let _ = set_default(signal);
    set_mask(SignalSet::EMPTY);
    let _ = send(Target::Process(super::process::pid()), signal);
    super::process::exit(128 + signal)
}

/// Sets `handler` for the five fatal signals, on an alternate stack of 16 pages, with none of them blocked in it (a
/// fault within must be fatal to the handler's successor, not to the kernel). The handler gets the siginfo_t, too, and
/// must not return: it executes something else or exits. It must first compare its pid with the supervisor's: in a
/// sharing child, only exit. Maps memory; call at start only.
pub fn install_fatal(handler: Handler) -> Result<()> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    #[repr(C)]
    struct AlternateStack {
        base: usize,
        flags: i32,
        size: usize,
    }
    let size = 65536;
    // SAFETY: a fresh mapping, kept for ever; the record has the layout of stack_t; `handler` lives as long as we do.
    unsafe {
        let base = mmap_anonymous(core::ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?;
        let stack = AlternateStack { base: base as usize, flags: 0, size };
        raw::call(raw::nr::SIGALTSTACK, &raw const stack as usize, 0, 0, 0, 0)?;
    }
    FATAL.iter().try_for_each(|signal| set_trap(*signal, handler))
}

/// To whom a signal goes.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// One process.
    Process(u32),
    /// A process group.
    Group(u32),
    /// Everything that may be signalled, but for process 1 and the caller.
    Everything,
}

/// Sends a signal (0 only asks whether it could be sent). ESRCH: nobody is there. See kill(2).
pub fn send(target: Target, signal: u8) -> Result<()> {
    let pid = match target {
        // 0 and 1 would mean our own group and everything: never what is meant.
        Target::Process(0) | Target::Group(0 | 1) => return Err(Errno::SRCH),
        Target::Process(pid) | Target::Group(pid) if pid > i32::MAX as u32 => return Err(Errno::SRCH),
        Target::Process(pid) => pid as i32,
        Target::Group(pid) => -(pid as i32),
        Target::Everything => -1,
    };
    // SAFETY: no memory is involved.
    unsafe { raw::call(raw::nr::KILL, pid as usize, signal as usize, 0, 0, 0)? };
    Ok(())
}

/// A descriptor that stands for a process, readable when it has ended. See pidfd_open(2).
pub fn pidfd_open(pid: u32) -> Result<OwnedFd> {
    // SAFETY: no memory is involved; a new descriptor is ours.
    unsafe { raw::open(raw::nr::PIDFD_OPEN, pid as usize, 0, 0, 0) }
}

/// Sends a signal to the process that a pidfd stands for.
pub fn pidfd_send(pidfd: BorrowedFd<'_>, signal: u8) -> Result<()> {
    let fd = pidfd.as_raw_fd() as usize;
    // SAFETY: no signal information is passed.
    unsafe { raw::call(raw::nr::PIDFD_SEND_SIGNAL, fd, signal as usize, 0, 0, 0)? };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::reap::{Child, Outcome, look, reap};
    use rustix::fd::AsFd;

    #[test]
    fn sets_hold_the_signals_put_into_them() {
        let set = SignalSet::of(&[SIGHUP, 64, 0, 65]);
        assert!(set.contains(SIGHUP) && set.contains(64) && !set.contains(0) && !set.contains(65) && !set.contains(2));
        assert_eq!(SignalSet::from_words(set.words()), set);
        assert!(!SignalSet::all_but_fatal().contains(PANIC) && !SignalSet::all_but_fatal().contains(SIGSEGV));
        assert!(SignalSet::all_but_fatal().contains(SIGCHLD));
    }

    #[test]
    fn a_blocked_signal_is_read_from_its_descriptor() {
        let set = SignalSet::of(&[SIGUSR1]);
        let before = block(set);
        let fd = signal_fd(set).expect("a descriptor");
        assert!(read_signal(fd.as_fd()).is_none());
        let me = std::process::id();
        // To this thread, since the other tests' threads do not block it.
        let thread = rustix::thread::gettid().as_raw_nonzero().get() as usize;
        // SAFETY: no memory is involved.
        unsafe { raw::call(raw::nr::TGKILL, me as usize, thread, SIGUSR1 as usize, 0, 0) }.expect("we are there");
        let caught = read_signal(fd.as_fd()).expect("it is pending");
        assert_eq!((caught.signal, caught.pid), (SIGUSR1, me));
        assert!(set_mask(before).contains(SIGUSR1));
    }

    #[test]
    fn nobody_is_signalled_by_the_numbers_that_mean_everybody() {
        for target in [Target::Process(0), Target::Group(0), Target::Group(1)] {
            assert_eq!(send(target, 0), Err(Errno::SRCH));
        }
        assert_eq!(send(Target::Process(std::process::id()), 0), Ok(()));
        assert_eq!(send(Target::Process(i32::MAX as u32 + 5), 0), Err(Errno::SRCH));
    }

    extern "C" fn leave(signal: i32, _information: *const i32, _context: usize) {
        crate::sys::process::exit(100 + signal as u8)
    }

    #[test]
    fn a_fault_runs_the_fatal_handler_on_its_own_stack() {
        unsafe extern "C" {
            fn fork() -> i32;
        }
        // SAFETY: the child makes only system calls of ours.
        let pid = unsafe { fork() };
        if pid == 0 {
            if install_fatal(leave).is_err() {
                crate::sys::process::exit(1);
            }
            // SAFETY: not at all: that is the point; the handler ends the process.
            unsafe { core::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
            crate::sys::process::exit(2);
        }
        let pid = pid as u32;
        let pidfd = pidfd_open(pid).expect("an unreaped child has a pidfd");
        assert_eq!(pidfd_send(pidfd.as_fd(), 0), Ok(()));
        let mut poll = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        while rustix::event::poll(&mut poll, None) == Err(rustix::io::Errno::INTR) {}
        assert_eq!(look(pid), Child::Ended(Outcome::Exited(100 + SIGSEGV)));
        assert_eq!(reap(pid), Child::Ended(Outcome::Exited(100 + SIGSEGV)));
        assert_eq!(reap(pid), Child::Unknown);
    }
}
