//! x86_64: number in rax; arguments in rdi, rsi, rdx, r10, r8; rcx and r11 are lost. See syscall(2).

use core::arch::asm;

pub mod nr {
    pub const ACCEPT4: usize = 288;
    pub const CAPGET: usize = 125;
    pub const CAPSET: usize = 126;
    pub const CHDIR: usize = 80;
    pub const CHROOT: usize = 161;
    pub const CLOCK_GETTIME: usize = 228;
    pub const CLOSE: usize = 3;
    pub const DUP3: usize = 292;
    pub const EPOLL_CTL: usize = 233;
    pub const EPOLL_PWAIT: usize = 281;
    pub const EXECVE: usize = 59;
    pub const EXECVEAT: usize = 322;
    pub const EXIT_GROUP: usize = 231;
    pub const FACCESSAT: usize = 269;
    pub const FCNTL: usize = 72;
    pub const GETCWD: usize = 79;
    pub const GETSID: usize = 124;
    pub const GETSOCKOPT: usize = 55;
    pub const SETSOCKOPT: usize = 54;
    pub const IOCTL: usize = 16;
    pub const IOPRIO_SET: usize = 251;
    pub const KILL: usize = 62;
    pub const MOUNT: usize = 165;
    pub const OPENAT: usize = 257;
    pub const OPENAT2: usize = 437;
    pub const PERSONALITY: usize = 135;
    pub const PIPE2: usize = 293;
    pub const PRCTL: usize = 157;
    pub const PRLIMIT64: usize = 302;
    pub const READ: usize = 0;
    pub const RECVMSG: usize = 47;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const SCHED_GETATTR: usize = 315;
    pub const SCHED_SETAFFINITY: usize = 203;
    pub const SCHED_SETATTR: usize = 314;
    pub const SENDMSG: usize = 46;
    pub const SETGROUPS: usize = 116;
    pub const SETNS: usize = 308;
    pub const SETPRIORITY: usize = 141;
    pub const SETRESGID: usize = 119;
    pub const SETRESUID: usize = 117;
    pub const SETFSGID: usize = 123;
    pub const SETFSUID: usize = 122;
    pub const SETSID: usize = 112;
    pub const SIGALTSTACK: usize = 131;
    pub const SIGNALFD4: usize = 289;
    pub const SOCKET: usize = 41;
    pub const SOCKETPAIR: usize = 53;
    pub const TGKILL: usize = 234;
    pub const UMASK: usize = 95;
    pub const UNSHARE: usize = 272;
    pub const WAITID: usize = 247;
    pub const WRITE: usize = 1;
}

/// Where a signal handler returns to: rt_sigreturn(2).
///
/// # Safety
/// Not to be called; only for `sigaction`.
#[unsafe(naked)]
pub unsafe extern "C" fn restorer() {
    core::arch::naked_asm!("mov eax, 15", "syscall")
}

/// An instruction that raises `signals::PANIC`.
#[inline(always)]
pub fn trap() -> ! {
    // SAFETY: it goes no further.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
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
        asm!("syscall", inlateout("rax") number => answer, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            in("r8") e, out("rcx") _, out("r11") _, options(nostack));
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
    // SAFETY: the caller's; the child leaves this block only through `entry`.
    unsafe {
        asm!("syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "mov rdi, r12", "call r13", "ud2", "2:",
            inlateout("rax") 56usize => answer, in("rdi") flags, in("rsi") top, in("rdx") parent_tid,
            in("r10") child_tid, in("r8") 0usize, in("r12") argument, in("r13") entry,
            out("rcx") _, out("r11") _);
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
        asm!("syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "mov rdi, r12", "call r13", "ud2", "2:",
            inlateout("rax") super::nr::CLONE3 => answer, in("rdi") arguments, in("rsi") size, in("r12") argument,
            in("r13") entry, out("rcx") _, out("r11") _);
    }
    answer
}
