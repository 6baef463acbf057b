//! x86: number in eax; arguments in ebx, ecx, edx, esi, edi. See syscall(2). Users and groups are the 32-bit calls.

use core::arch::asm;

pub mod nr {
    pub const ACCEPT4: usize = 364;
    pub const CAPGET: usize = 184;
    pub const CAPSET: usize = 185;
    pub const CHDIR: usize = 12;
    pub const CHROOT: usize = 61;
    pub const CLOCK_GETTIME: usize = 403; // the one with 64 bits
    pub const CLOSE: usize = 6;
    pub const DUP3: usize = 330;
    pub const EPOLL_CTL: usize = 255;
    pub const EPOLL_PWAIT: usize = 319;
    pub const EXECVE: usize = 11;
    pub const EXECVEAT: usize = 358;
    pub const EXIT_GROUP: usize = 252;
    pub const FACCESSAT: usize = 307;
    pub const FCNTL: usize = 221;
    pub const GETCWD: usize = 183;
    pub const GETSID: usize = 147;
    pub const GETSOCKOPT: usize = 365;
    pub const SETSOCKOPT: usize = 366;
    pub const IOCTL: usize = 54;
    pub const IOPRIO_SET: usize = 289;
    pub const KILL: usize = 37;
    pub const MOUNT: usize = 21;
    pub const OPENAT: usize = 295;
    pub const OPENAT2: usize = 437;
    pub const PERSONALITY: usize = 136;
    pub const PIPE2: usize = 331;
    pub const PRCTL: usize = 172;
    pub const PRLIMIT64: usize = 340;
    pub const READ: usize = 3;
    pub const RECVMSG: usize = 372;
    pub const RT_SIGACTION: usize = 174;
    pub const RT_SIGPROCMASK: usize = 175;
    pub const SCHED_GETATTR: usize = 352;
    pub const SCHED_SETAFFINITY: usize = 241;
    pub const SCHED_SETATTR: usize = 351;
    pub const SENDMSG: usize = 370;
    pub const SETGROUPS: usize = 206;
    pub const SETNS: usize = 346;
    pub const SETPRIORITY: usize = 97;
    pub const SETRESGID: usize = 210;
    pub const SETRESUID: usize = 208;
    pub const SETFSGID: usize = 216;
    pub const SETFSUID: usize = 215;
    pub const SETSID: usize = 66;
    pub const SIGALTSTACK: usize = 186;
    pub const SIGNALFD4: usize = 327;
    pub const SOCKET: usize = 359;
    pub const SOCKETPAIR: usize = 360;
    pub const TGKILL: usize = 270;
    pub const UMASK: usize = 60;
    pub const UNSHARE: usize = 310;
    pub const WAITID: usize = 284;
    pub const WRITE: usize = 4;
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
    let last = [d, e]; // esi cannot be an operand: the compiler keeps it
    // SAFETY: the caller's; the kernel changes no other register.
    unsafe {
        asm!("push esi", "mov esi, [edi]", "mov edi, [edi + 4]", "int 0x80", "pop esi",
            inlateout("eax") number => answer, in("ebx") a, in("ecx") b, in("edx") c,
            inlateout("edi") last.as_ptr() => _);
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
    // There is no register left for entry and argument: they lie on the child's stack, the argument where a function
    // expects it, aligned to 16. The fourth (esi) is the thread's storage: unused without 120_SETTLS.
    let stack = top.wrapping_sub(20) as *mut usize;
    // SAFETY: the caller's; the child leaves this block only through `entry`.
    unsafe {
        stack.write(entry as usize);
        stack.add(1).write(argument);
        asm!("int 0x80", "test eax, eax", "jnz 2f", "xor ebp, ebp", "pop eax", "call eax", "ud2", "2:",
            inlateout("eax") 120usize => answer, in("ebx") flags, in("ecx") stack, in("edx") parent_tid,
            in("edi") child_tid);
    }
    answer
}
