//! arm, EABI: number in r7; arguments in r0 to r4. See syscall(2). Users and groups are the 32-bit calls.

use core::arch::asm;

pub mod nr {
    pub const ACCEPT4: usize = 366;
    pub const CAPGET: usize = 184;
    pub const CAPSET: usize = 185;
    pub const CHDIR: usize = 12;
    pub const CHROOT: usize = 61;
    pub const CLOCK_GETTIME: usize = 403; // the one with 64 bits
    pub const CLOSE: usize = 6;
    pub const DUP3: usize = 358;
    pub const EPOLL_CTL: usize = 251;
    pub const EPOLL_PWAIT: usize = 346;
    pub const EXECVE: usize = 11;
    pub const EXECVEAT: usize = 387;
    pub const EXIT_GROUP: usize = 248;
    pub const FACCESSAT: usize = 334;
    pub const FCNTL: usize = 221;
    pub const GETCWD: usize = 183;
    pub const GETSID: usize = 147;
    pub const GETSOCKOPT: usize = 295;
    pub const SETSOCKOPT: usize = 294;
    pub const IOCTL: usize = 54;
    pub const IOPRIO_SET: usize = 314;
    pub const KILL: usize = 37;
    pub const MOUNT: usize = 21;
    pub const OPENAT: usize = 322;
    pub const OPENAT2: usize = 437;
    pub const PERSONALITY: usize = 136;
    pub const PIPE2: usize = 359;
    pub const PRCTL: usize = 172;
    pub const PRLIMIT64: usize = 369;
    pub const READ: usize = 3;
    pub const RECVMSG: usize = 297;
    pub const RT_SIGACTION: usize = 174;
    pub const RT_SIGPROCMASK: usize = 175;
    pub const SCHED_GETATTR: usize = 381;
    pub const SCHED_SETAFFINITY: usize = 241;
    pub const SCHED_SETATTR: usize = 380;
    pub const SENDMSG: usize = 296;
    pub const SETGROUPS: usize = 206;
    pub const SETNS: usize = 375;
    pub const SETPRIORITY: usize = 97;
    pub const SETRESGID: usize = 210;
    pub const SETRESUID: usize = 208;
    pub const SETFSGID: usize = 216;
    pub const SETFSUID: usize = 215;
    pub const SETSID: usize = 66;
    pub const SIGALTSTACK: usize = 186;
    pub const SIGNALFD4: usize = 355;
    pub const SOCKET: usize = 281;
    pub const SOCKETPAIR: usize = 288;
    pub const TGKILL: usize = 268;
    pub const UMASK: usize = 60;
    pub const UNSHARE: usize = 337;
    pub const WAITID: usize = 280;
    pub const WRITE: usize = 4;
}

/// An instruction that raises `signals::PANIC`.
#[inline(always)]
pub fn trap() -> ! {
    // SAFETY: it goes no further.
    unsafe { asm!("udf #0", options(noreturn, nomem, nostack)) }
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
        asm!("svc 0", in("r7") number, inlateout("r0") a => answer, in("r1") b, in("r2") c, in("r3") d, in("r4") e,
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
    // The fourth is the thread's storage: unused without 120_SETTLS.
    // SAFETY: the caller's; the child leaves this block only through `entry`.
    unsafe {
        asm!("svc 0", "cmp r0, #0", "bne 2f", "mov r11, #0", "mov r0, r8", "blx r5", "udf #0", "2:",
            in("r7") 120usize, inlateout("r0") flags => answer, in("r1") top, in("r2") parent_tid, in("r3") 0usize,
            in("r4") child_tid, in("r5") entry, in("r8") argument);
    }
    answer
}
