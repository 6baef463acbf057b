//! powerpc64, ELFv2 (musl, or little-endian): number in r0; arguments in r3 to r7; an error is a flag and a positive
//! number.

use core::arch::asm;

pub mod nr {
    pub const ACCEPT4: usize = 344;
    pub const CAPGET: usize = 183;
    pub const CAPSET: usize = 184;
    pub const CHDIR: usize = 12;
    pub const CHROOT: usize = 61;
    pub const CLOCK_GETTIME: usize = 246;
    pub const CLOSE: usize = 6;
    pub const DUP3: usize = 316;
    pub const EPOLL_CTL: usize = 237;
    pub const EPOLL_PWAIT: usize = 303;
    pub const EXECVE: usize = 11;
    pub const EXECVEAT: usize = 362;
    pub const EXIT_GROUP: usize = 234;
    pub const FACCESSAT: usize = 298;
    pub const FCNTL: usize = 55;
    pub const GETCWD: usize = 182;
    pub const GETSID: usize = 147;
    pub const GETSOCKOPT: usize = 340;
    pub const SETSOCKOPT: usize = 339;
    pub const IOCTL: usize = 54;
    pub const IOPRIO_SET: usize = 273;
    pub const KILL: usize = 37;
    pub const MOUNT: usize = 21;
    pub const OPENAT: usize = 286;
    pub const OPENAT2: usize = 437;
    pub const PERSONALITY: usize = 136;
    pub const PIPE2: usize = 317;
    pub const PRCTL: usize = 171;
    pub const PRLIMIT64: usize = 325;
    pub const READ: usize = 3;
    pub const RECVMSG: usize = 342;
    pub const RT_SIGACTION: usize = 173;
    pub const RT_SIGPROCMASK: usize = 174;
    pub const SCHED_GETATTR: usize = 356;
    pub const SCHED_SETAFFINITY: usize = 222;
    pub const SCHED_SETATTR: usize = 355;
    pub const SENDMSG: usize = 341;
    pub const SETGROUPS: usize = 81;
    pub const SETNS: usize = 350;
    pub const SETPRIORITY: usize = 97;
    pub const SETRESGID: usize = 169;
    pub const SETRESUID: usize = 164;
    pub const SETFSGID: usize = 139;
    pub const SETFSUID: usize = 138;
    pub const SETSID: usize = 66;
    pub const SIGALTSTACK: usize = 185;
    pub const SIGNALFD4: usize = 313;
    pub const SOCKET: usize = 326;
    pub const SOCKETPAIR: usize = 333;
    pub const TGKILL: usize = 250;
    pub const UMASK: usize = 60;
    pub const UNSHARE: usize = 282;
    pub const WAITID: usize = 272;
    pub const WRITE: usize = 4;
}

/// An instruction that raises `signals::PANIC`.
#[inline(always)]
pub fn trap() -> ! {
    // SAFETY: it goes no further.
    unsafe { asm!("trap", options(noreturn, nomem, nostack)) }
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
        asm!("sc", "bns 2f", "neg 3, 3", "2:", inlateout("r0") number => _, inlateout("r3") a => answer,
            inlateout("r4") b => _, inlateout("r5") c => _, inlateout("r6") d => _, inlateout("r7") e => _,
            out("r8") _, out("r9") _, out("r10") _,
            out("r11") _, out("r12") _, out("cr0") _, out("ctr") _, out("xer") _, options(nostack));
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
    // The fourth is the thread's storage: unused without 120_SETTLS. A function expects its caller's frame above it,
    // and its own address in r12.
    // SAFETY: the caller's; the child leaves this block only through `entry`.
    unsafe {
        asm!("sc", "bns 2f", "neg 3, 3", "2:", "cmpdi 3, 0", "bne 3f",
            "li 0, 0", "stdu 0, -64(1)", "mr 3, 14", "mr 12, 15", "mtctr 12", "bctrl", "trap", "3:",
            inlateout("r0") 120usize => _, inlateout("r3") flags => answer, inlateout("r4") top => _,
            inlateout("r5") parent_tid => _, inlateout("r6") 0usize => _, inlateout("r7") child_tid => _,
            in("r14") argument, in("r15") entry, out("r8") _,
            out("r9") _, out("r10") _,
            out("r11") _, out("r12") _, out("cr0") _, out("ctr") _, out("xer") _);
    }
    answer
}
