//! s390x: number in r1; arguments in r2 to r6. See syscall(2).

use core::arch::asm;

pub mod nr {
    pub const ACCEPT4: usize = 364;
    pub const CAPGET: usize = 184;
    pub const CAPSET: usize = 185;
    pub const CHDIR: usize = 12;
    pub const CHROOT: usize = 61;
    pub const CLOCK_GETTIME: usize = 260;
    pub const CLOSE: usize = 6;
    pub const DUP3: usize = 326;
    pub const EPOLL_CTL: usize = 250;
    pub const EPOLL_PWAIT: usize = 312;
    pub const EXECVE: usize = 11;
    pub const EXECVEAT: usize = 354;
    pub const EXIT_GROUP: usize = 248;
    pub const FACCESSAT: usize = 300;
    pub const FCNTL: usize = 55;
    pub const GETCWD: usize = 183;
    pub const GETSID: usize = 147;
    pub const GETSOCKOPT: usize = 365;
    pub const SETSOCKOPT: usize = 366;
    pub const IOCTL: usize = 54;
    pub const IOPRIO_SET: usize = 282;
    pub const KILL: usize = 37;
    pub const MOUNT: usize = 21;
    pub const OPENAT: usize = 288;
    pub const OPENAT2: usize = 437;
    pub const PERSONALITY: usize = 136;
    pub const PIPE2: usize = 325;
    pub const PRCTL: usize = 172;
    pub const PRLIMIT64: usize = 334;
    pub const READ: usize = 3;
    pub const RECVMSG: usize = 372;
    pub const RT_SIGACTION: usize = 174;
    pub const RT_SIGPROCMASK: usize = 175;
    pub const SCHED_GETATTR: usize = 346;
    pub const SCHED_SETAFFINITY: usize = 239;
    pub const SCHED_SETATTR: usize = 345;
    pub const SENDMSG: usize = 370;
    pub const SETGROUPS: usize = 206;
    pub const SETNS: usize = 339;
    pub const SETPRIORITY: usize = 97;
    pub const SETRESGID: usize = 210;
    pub const SETRESUID: usize = 208;
    pub const SETFSGID: usize = 216;
    pub const SETFSUID: usize = 215;
    pub const SETSID: usize = 66;
    pub const SIGALTSTACK: usize = 186;
    pub const SIGNALFD4: usize = 322;
    pub const SOCKET: usize = 359;
    pub const SOCKETPAIR: usize = 360;
    pub const TGKILL: usize = 241;
    pub const UMASK: usize = 60;
    pub const UNSHARE: usize = 303;
    pub const WAITID: usize = 281;
    pub const WRITE: usize = 4;
}

/// An instruction that raises `signals::PANIC`.
#[inline(always)]
pub fn trap() -> ! {
    // SAFETY: it goes no further.
    unsafe { asm!("j .+2", options(noreturn, nomem, nostack)) }
}

/// One system call.
///
/// # Safety
/// As for the system call itself.
#[inline(always)]
pub unsafe fn syscall(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize) -> isize {
    let answer: isize;
    // SAFETY: the caller's; the kernel changes no other register.
    unsafe {
        asm!("svc 0", in("r1") number, inlateout("r2") a => answer, in("r3") b, in("r4") c, in("r5") d, in("r6") e,
            options(nostack));
    }
    answer
}

/// `clone` whose child begins at `entry(argument)` on the stack that ends at `top`. In the parent: the pid, or -errno.
///
/// # Safety
/// `top` is 16-byte aligned and the end of memory that only the child uses; `entry` never returns and is fit to run
/// beside its parent; the two words outlive what `flags` does with them.
#[inline(never)]
pub unsafe fn clone_onto(
    flags: usize,
    top: usize,
    parent_tid: *const u32,
    child_tid: *const u32,
    entry: extern "C" fn(usize) -> !,
    argument: usize,
) -> isize {
    let answer: isize;
    // Here the stack comes before the flags. A function saves registers in the 160 bytes above its stack pointer.
    let stack = top.wrapping_sub(160);
    // SAFETY: the caller's; the child leaves this block only through `entry`.
    unsafe {
        asm!("svc 0", "ltgr %r2, %r2", "jne 2f", "lgr %r2, %r8", "basr %r14, %r9", "j .+2", "2:",
            in("r1") 120usize, inlateout("r2") stack => answer, in("r3") flags, in("r4") parent_tid,
            in("r5") child_tid, in("r6") 0usize, in("r8") argument, in("r9") entry, out("r14") _);
    }
    answer
}
