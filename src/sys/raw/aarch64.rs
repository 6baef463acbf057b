//! aarch64: number in x8; arguments in x0 to x4. See syscall(2).

use core::arch::asm;

pub mod nr {
    pub const ACCEPT4: usize = 242;
    pub const CAPGET: usize = 90;
    pub const CAPSET: usize = 91;
    pub const CHDIR: usize = 49;
    pub const CHROOT: usize = 51;
    pub const CLOCK_GETTIME: usize = 113;
    pub const CLOSE: usize = 57;
    pub const DUP3: usize = 24;
    pub const EPOLL_CTL: usize = 21;
    pub const EPOLL_PWAIT: usize = 22;
    pub const EXECVE: usize = 221;
    pub const EXECVEAT: usize = 281;
    pub const EXIT_GROUP: usize = 94;
    pub const FACCESSAT: usize = 48;
    pub const FCNTL: usize = 25;
    pub const GETCWD: usize = 17;
    pub const GETSID: usize = 156;
    pub const GETSOCKOPT: usize = 209;
    pub const SETSOCKOPT: usize = 208;
    pub const IOCTL: usize = 29;
    pub const IOPRIO_SET: usize = 30;
    pub const KILL: usize = 129;
    pub const MOUNT: usize = 40;
    pub const OPENAT: usize = 56;
    pub const OPENAT2: usize = 437;
    pub const PERSONALITY: usize = 92;
    pub const PIPE2: usize = 59;
    pub const PRCTL: usize = 167;
    pub const PRLIMIT64: usize = 261;
    pub const READ: usize = 63;
    pub const RECVMSG: usize = 212;
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const SCHED_GETATTR: usize = 275;
    pub const SCHED_SETAFFINITY: usize = 122;
    pub const SCHED_SETATTR: usize = 274;
    pub const SENDMSG: usize = 211;
    pub const SETGROUPS: usize = 159;
    pub const SETNS: usize = 268;
    pub const SETPRIORITY: usize = 140;
    pub const SETRESGID: usize = 149;
    pub const SETRESUID: usize = 147;
    pub const SETFSGID: usize = 152;
    pub const SETFSUID: usize = 151;
    pub const SETSID: usize = 157;
    pub const SIGALTSTACK: usize = 132;
    pub const SIGNALFD4: usize = 74;
    pub const SOCKET: usize = 198;
    pub const SOCKETPAIR: usize = 199;
    pub const TGKILL: usize = 131;
    pub const UMASK: usize = 166;
    pub const UNSHARE: usize = 97;
    pub const WAITID: usize = 95;
    pub const WRITE: usize = 64;
}

/// An instruction that raises `signals::PANIC`.
#[inline(always)]
pub fn trap() -> ! {
    // SAFETY: it goes no further.
    unsafe { asm!("brk 1", options(noreturn, nomem, nostack)) }
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
        asm!("svc 0", in("x8") number, inlateout("x0") a => answer, in("x1") b, in("x2") c, in("x3") d, in("x4") e,
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
    // The fourth is the thread's storage: unused without 220_SETTLS.
    // SAFETY: the caller's; the child leaves this block only through `entry`.
    unsafe {
        asm!("svc 0", "cbnz x0, 2f", "mov x29, xzr", "mov x30, xzr", "mov x0, x20", "blr x21", "brk 1", "2:",
            in("x8") 220usize, inlateout("x0") flags => answer, in("x1") top, in("x2") parent_tid, in("x3") 0usize,
            in("x4") child_tid, in("x20") argument, in("x21") entry);
    }
    answer
}

/// The same by `clone3`.
///
/// # Safety
/// As for `clone_onto`, with the stack and the words that the arguments name.
#[inline(never)]
pub unsafe fn clone3_onto(
    arguments: &super::CloneArguments,
    entry: extern "C" fn(usize) -> !,
    argument: usize,
) -> isize {
    let answer: isize;
    let size = size_of::<super::CloneArguments>();
    // SAFETY: the caller's; the child leaves this block only through `entry`.
    unsafe {
        asm!("svc 0", "cbnz x0, 2f", "mov x29, xzr", "mov x30, xzr", "mov x0, x20", "blr x21", "brk 1", "2:",
            in("x8") super::nr::CLONE3, inlateout("x0") arguments as *const _ as usize => answer, in("x1") size,
            in("x20") argument, in("x21") entry);
    }
    answer
}
