//! riscv64: number in a7; arguments in a0 to a4; vector registers are lost. See syscall(2).

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
    unsafe { asm!("unimp", options(noreturn, nomem, nostack)) }
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
        asm!("ecall", in("a7") number, inlateout("a0") a => answer, in("a1") b, in("a2") c, in("a3") d, in("a4") e,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _,
            out("v6") _, out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _, out("v16") _, out("v17") _,
            out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _,
            out("v30") _, out("v31") _,
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
        asm!("ecall", "bnez a0, 2f", "li s0, 0", "li ra, 0", "mv a0, s2", "jalr s3", "ebreak", "2:",
            in("a7") 220usize, inlateout("a0") flags => answer, in("a1") top, in("a2") parent_tid, in("a3") 0usize,
            in("a4") child_tid, in("s2") argument, in("s3") entry,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _,
            out("v6") _, out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _, out("v16") _, out("v17") _,
            out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _,
            out("v30") _, out("v31") _);
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
        asm!("ecall", "bnez a0, 2f", "li s0, 0", "li ra, 0", "mv a0, s2", "jalr s3", "ebreak", "2:",
            in("a7") super::nr::CLONE3, inlateout("a0") arguments as *const _ as usize => answer, in("a1") size,
            in("s2") argument, in("s3") entry,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _,
            out("v6") _, out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _, out("v16") _, out("v17") _,
            out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _,
            out("v30") _, out("v31") _);
    }
    answer
}
