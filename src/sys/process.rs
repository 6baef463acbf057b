//! This process: what it may do, what it becomes, who it is.

use super::{AsFd, BorrowedFd, Errno, OwnedFd, Result, entry, file, mapping, path, raw, whole};
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Write;
use pintle::words::Short;
use rustix::fd::AsRawFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

/// Ours, in our own pid namespace: 1 is the process that must not end.
pub fn pid() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get() as u32
}

/// Our parent; 0 if it is outside our pid namespace.
pub fn parent() -> u32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get() as u32)
}

/// The process group of a process (0: of ours), also of one that is dead and not reaped. See getpgid(2).
pub fn group(pid: u32) -> Option<u32> {
    let group = rustix::process::getpgid(rustix::process::Pid::from_raw(pid as i32)).ok()?;
    Some(group.as_raw_nonzero().get() as u32)
}

/// The session of a process, also of one that is not reaped; 0 where it is outside our pid namespace, or there is no such
/// process. See getsid(2).
pub fn session(pid: u32) -> u32 {
    // (rustix's getsid takes 0, a session outside our pid namespace, for a pid.)
    // SAFETY: no memory is involved.
    unsafe { raw::call(raw::nr::GETSID, pid as usize, 0, 0, 0, 0) }.unwrap_or_default()
}

/// Does `work` with the file system's user and group of a process: what it may read of itself can be read then. See
/// setfsuid(2).
pub fn as_owner<T>(pid: u32, work: &mut dyn FnMut() -> Result<T>) -> Result<T> {
    let owner = rustix::fs::stat(path(pid, "").as_str())?;
    let become_ = |uid: u32, gid: u32| {
        for (call, id) in [(raw::nr::SETFSGID, gid), (raw::nr::SETFSUID, uid)] {
            // SAFETY: no memory is involved. Refused, all stays as it is.
            let _ = unsafe { raw::call(call, id as usize, 0, 0, 0, 0) };
        }
    };
    become_(owner.st_uid, owner.st_gid);
    let done = work();
    become_(uid(), gid());
    done
}

/// The path of what the kernel tells of a process in this file. See proc_pid(5).
#[inline(never)]
pub fn path(pid: u32, file: &str) -> Short {
    let mut path = Short::new();
    let _ = write!(path, "/proc/{pid}/{file}"); // fits
    path
}

/// Some of what /proc/PID/stat says of a process. See proc_pid_stat(5).
pub struct Stat {
    state: u8,
    pub session: u32,
    /// PF_*.
    pub flags: u32,
    /// Nanoseconds since boot, in whole hundredths of a second.
    pub began_ns: u64,
}

impl Stat {
    /// None: /proc does not tell, or there is no such process.
    #[inline(never)]
    pub fn of(pid: u32) -> Option<Stat> {
        let mut bytes = [0; 1024];
        let text = file::read_start(path(pid, "stat").as_str(), &mut bytes).ok()?;
        // The name, in parentheses, may hold anything.
        let behind = text.get(text.iter().rposition(|byte| *byte == b')')? + 2..)?;
        let mut fields = [0; 3];
        for (at, field) in behind.split(|byte| *byte == b' ').enumerate() {
            // Counted from the third.
            if let Some(place) = [3, 6, 19].iter().position(|wanted| *wanted == at) {
                fields[place] = number(field);
            }
        }
        let [session, flags, began] = fields;
        let began_ns = began.wrapping_mul(10_000_000);
        (began != 0).then(|| Stat { state: behind[0], session: session as u32, flags: flags as u32, began_ns })
    }

    /// Whether it is no zombie.
    pub fn lives(&self) -> bool {
        self.state != b'Z' && self.state != b'X'
    }
}

fn number(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |number: u64, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0'))))
}

/// Descriptor 0, which `entry::begin` made valid and which nobody closes.
pub fn standard_input() -> BorrowedFd<'static> {
    // SAFETY: open as long as the process lives, see above; so the two below.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// Descriptor 1, as valid.
pub fn standard_output() -> BorrowedFd<'static> {
    // SAFETY: see above.
    unsafe { BorrowedFd::borrow_raw(1) }
}

/// Descriptor 2, as valid.
pub fn standard_error() -> BorrowedFd<'static> {
    // SAFETY: see above.
    unsafe { BorrowedFd::borrow_raw(2) }
}

/// The name that `ps -e` and `top` show; of one that was executed through /proc/self/exe it would be "exe".
pub fn set_name(name: &CStr) {
    let _ = rustix::thread::set_name(name); // only a name
}

/// The effective user.
pub fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The effective group.
pub fn gid() -> u32 {
    rustix::process::getegid().as_raw()
}

/// Whether others of our user may look into our memory. The supervisor says no before its first child: a child that
/// shares memory is otherwise a way into it. Lost at exec.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    let behavior = if dumpable { DumpableBehavior::Dumpable } else { DumpableBehavior::NotDumpable };
    Ok(rustix::process::set_dumpable_behavior(behavior)?)
}

/// What `take_precedence` asks for, as a number and as text.
const PRECEDENCE: (i32, &[u8]) = (-10, b"-10");
/// SCHED_FLAG_RESET_ON_FORK.
const RESET_ON_FORK: u64 = 1;

/// struct sched_attr in its first version.
#[repr(C)]
#[derive(Default)]
pub(super) struct Scheduling {
    pub size: u32,
    /// 0 is the usual one, SCHED_OTHER.
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub times: [u64; 3],
}

/// Lets us come to our work where what we supervise takes all processors: a nice value of -10, which children do not
/// get (they begin with 0), and the same for our session among sessions where it is ours: see sched_setattr(2) and
/// "autogroup" in sched(7). Where we may not, or somebody has set a policy or a nice value for us, all stays as it is.
pub fn take_precedence() {
    let size = size_of::<Scheduling>();
    let mut is = Scheduling::default();
    // SAFETY: the kernel writes at most `size` bytes, and any bytes are numbers.
    let got = unsafe { raw::call(raw::nr::SCHED_GETATTR, 0, &raw mut is as usize, size, 0, 0) };
    if got.is_err() || is.policy != 0 || is.nice != 0 {
        return;
    }
    let to = Scheduling { size: size as u32, flags: RESET_ON_FORK, nice: PRECEDENCE.0, ..Scheduling::default() };
    // SAFETY: the kernel reads `size` bytes.
    let set = unsafe { raw::call(raw::nr::SCHED_SETATTR, 0, &raw const to as usize, 0, 0, 0) };
    if set.is_ok() && session(0) == pid() {
        let _ = file::write_value(c"/proc/self/autogroup", PRECEDENCE.1); // there may be no /proc
    }
}

/// Makes orphaned descendants our children. Kept at exec.
pub fn become_subreaper() -> Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Lets the kernel send us SIGKILL when our parent ends (to be exact: the thread that made us). Lost at setuid.
/// Afterwards look at `parent()`: it may have ended before.
pub fn die_with_parent() -> Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// No exec of ours or of our children gains privileges any more.
pub fn set_no_new_privileges() -> Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Raises the number of descriptors that we may have to the hard limit; gives (soft before, hard), which children get
/// back. `u64::MAX` is none.
pub fn raise_descriptor_limit() -> (u64, u64) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX))
}

/// Whether no number is free for one more descriptor.
pub fn lacks_descriptors() -> bool {
    rustix::io::fcntl_dupfd_cloexec(standard_input(), 0).is_err()
}

/// How many descriptors we may have now.
pub fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// New permissions are without these bits; gives the bits before.
pub fn set_umask(mask: u32) -> u32 {
    rustix::process::umask(Mode::from_raw_mode(mask)).as_raw_mode()
}

/// Becomes the leader of a new session, without a terminal. EPERM: it leads a group already.
pub fn new_session() -> Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Our supplementary groups. This thread's: for programs of one thread. EPERM: only root may.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the kernel reads so many numbers there. (rustix's are of a type that is as large, but is none.)
    unsafe { raw::call(raw::nr::SETGROUPS, groups.len(), groups.as_ptr() as usize, 0, 0, 0) }.map(drop)
}

/// Our real, effective and saved group, for ever unless we are root. As `set_groups`.
pub fn set_group(gid: u32) -> Result<()> {
    set_identity(raw::nr::SETRESGID, gid)
}

/// Our real, effective and saved user, for ever. As `set_groups`.
pub fn set_user(uid: u32) -> Result<()> {
    set_identity(raw::nr::SETRESUID, uid)
}

fn set_identity(number: usize, id: u32) -> Result<()> {
    // Of all numbers this one means "as before".
    if id == u32::MAX {
        return Err(Errno::INVAL);
    }
    let id = id as usize;
    // SAFETY: no memory is involved.
    unsafe { raw::call(number, id, id, id, 0, 0) }.map(drop)
}

/// Where relative paths begin.
pub fn set_directory(path: &CStr) -> Result<()> {
    Ok(rustix::process::chdir(path)?)
}

/// Becomes another program, with the given environment or our own. Returns only with the reason why not. Allocates.
#[inline(never)]
pub fn execute(program: &CStr, arguments: &[&CStr], environment: Option<&[&CStr]>) -> Errno {
    let arguments = pointers(arguments);
    let own = environment.map(pointers);
    let variables = own.as_ref().map_or(entry::environment().as_pointers(), |own| own.as_ptr());
    let (at, arguments, variables) = (program.as_ptr() as usize, arguments.as_ptr() as usize, variables as usize);
    // SAFETY: both vectors end in a null, and their texts outlive them.
    unsafe { raw::call(raw::nr::EXECVE, at, arguments, variables, 0, 0) }.err().unwrap_or(Errno::IO)
}

/// As the kernel takes them: a null behind the last.
fn pointers(texts: &[&CStr]) -> Vec<*const u8> {
    let mut pointers = Vec::with_capacity(texts.len() + 1);
    for text in texts {
        pointers.push(text.as_ptr().cast());
    }
    pointers.push(core::ptr::null());
    pointers
}

/// What to execute to get our own program again: what the kernel says that it is, even if the file was replaced; where
/// there is no /proc, the path that we were executed by (AT_EXECFN of getauxval(3)). Allocates then: call at start
/// only.
pub fn own_program() -> &'static CStr {
    const AT_EXECFN: usize = 31;
    const KERNELS: &CStr = c"/proc/self/exe";
    if rustix::fs::access(KERNELS, rustix::fs::Access::EXISTS).is_ok() {
        return KERNELS;
    }
    let path = entry::auxiliary(AT_EXECFN) as *const core::ffi::c_char;
    if path.is_null() {
        return KERNELS;
    }
    // SAFETY: the kernel's text lies above our stack and is there for as long as we are.
    let path = unsafe { CStr::from_ptr(path) };
    whole::lasting(whole::absolute(path.to_bytes()))
}

/// Our own program as a mere place (O_PATH): it can be executed after the file was replaced, and without /proc.
pub fn open_self() -> Result<OwnedFd> {
    path::open(own_program().to_bytes(), OFlags::PATH, 0)
}

/// A program's file as a mere place (O_PATH).
pub fn open_program(file: &[u8]) -> Result<OwnedFd> {
    path::open(file, OFlags::PATH, 0)
}

/// The path of the program that a process runs, as it was when that began. Allocates. EACCES where we may not know, or
/// /proc is not there: see proc_pid_exe(5).
pub fn path_of_program(pid: u32) -> Result<Vec<u8>> {
    let mut link = pintle::words::Short::new();
    let _ = write!(link, "/proc/{pid}/exe"); // fits
    let mut room = [0; path::PATH_MAX];
    let count = rustix::fs::readlinkat_raw(rustix::fs::CWD, link.as_str(), &mut room)?;
    let path = room.get(..count).unwrap_or_default();
    Ok(Vec::from(path.strip_suffix(b" (deleted)").unwrap_or(path)))
}

/// Whether a descriptor stays open at exec.
pub fn set_inherited(fd: impl AsFd, inherited: bool) -> Result<()> {
    let flags = if inherited { rustix::io::FdFlags::empty() } else { rustix::io::FdFlags::CLOEXEC };
    Ok(rustix::io::fcntl_setfd(fd, flags)?)
}

/// Takes over a descriptor that was inherited at a fixed number; EBADF if nothing is open there. Makes it
/// close-on-exec. Call once for each number: it must have no other owner.
pub fn take_inherited(number: i32) -> Result<OwnedFd> {
    use rustix::fd::FromRawFd;
    // SAFETY: only asked whether it is open.
    let there = unsafe { BorrowedFd::borrow_raw(number) };
    set_inherited(there, false)?;
    // SAFETY: open, and the caller's promise that nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Moves a descriptor out of the low numbers. Close-on-exec.
pub fn move_up(fd: OwnedFd) -> Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 128)?.into())
}

/// Makes a copy of a descriptor at exactly this number (closing what was there), open across exec or not. The copy has
/// no owner: it stays for the life of the process. Numbers below 3, and those that nobody else uses, are meant.
pub fn place_at(source: BorrowedFd<'_>, number: i32, inherited: bool) -> Result<()> {
    if source.as_raw_fd() == number {
        return set_inherited(source, inherited);
    }
    const O_CLOEXEC: usize = 0o2000000;
    let flags = if inherited { 0 } else { O_CLOEXEC };
    // SAFETY: no memory is involved; who owned the number before is the caller's care.
    let placed = unsafe { raw::call(raw::nr::DUP3, source.as_raw_fd() as usize, number as usize, flags, 0, 0) };
    // The source is one: it is the number that is beyond the limit.
    placed.map(drop).map_err(|error| if error == Errno::BADF { Errno::MFILE } else { error })
}

/// Closes every descriptor from `first` on but marks none: for a program that inherited who knows what.
pub fn close_from(first: u32) -> Result<()> {
    // SAFETY: no memory is involved; meant for the very start, when nothing above `first` has an owner.
    unsafe { raw::call(raw::nr::CLOSE_RANGE, first as usize, u32::MAX as usize, 0, 0, 0)? };
    Ok(())
}

/// Closes every descriptor from `first` on that is not among these, which are sorted. As `close_from`.
pub fn close_all_but(mut first: u32, kept: &[u32]) -> Result<()> {
    for next in kept {
        if *next > first {
            let (first, last) = (first as usize, *next as usize - 1);
            // SAFETY: no memory is involved; that nobody uses them any more is the caller's care.
            unsafe { raw::call(raw::nr::CLOSE_RANGE, first, last, 0, 0, 0)? };
        }
        first = *next + 1;
    }
    close_from(first)
}

/// Does `work` in a copy of this process, see `copy`, which has a process group of its own: what a terminal sends to ours
/// does not end it.
pub fn run_in_copy(work: &mut dyn FnMut() -> i32) -> Result<()> {
    let copy = rustix::process::Pid::from_raw(copy(work)? as i32);
    let _ = rustix::process::setpgid(copy, copy); // it has ended: well
    Ok(())
}

/// Does `work` in a copy of this process, as fork(2) makes, which then ends with the code that it gives. Its pid. For
/// programs of one thread.
#[inline(never)]
pub fn copy(mut work: &mut dyn FnMut() -> i32) -> Result<u32> {
    const SIGCHLD: usize = 17;
    extern "C" fn begin(work: usize) -> ! {
        // SAFETY: the copy of what is passed below, which is there for as long as the copy of the process.
        let work = unsafe { &mut *(work as *mut &mut dyn FnMut() -> i32) };
        exit(work() as u8)
    }
    let top = mapping::private_bytes(1 << 17)?.as_ptr_range().end as usize;
    let (unused, work) = (0, &raw mut work as usize);
    // SAFETY: nothing is shared, the stack is nobody's, and `begin` does not return.
    raw::answer(unsafe { raw::clone_onto(SIGCHLD, top, &unused, &unused, begin, work) })
}

/// Ends the process at once, without libc's farewells.
pub fn exit(status: u8) -> ! {
    loop {
        // SAFETY: no memory is involved.
        unsafe { raw::syscall(raw::nr::EXIT_GROUP, status as usize, 0, 0, 0, 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_has_a_place_for_the_end() {
        assert_eq!(pointers(&[c"a", c"b"])[2], core::ptr::null());
        assert_eq!(pointers(&[]), [core::ptr::null()]);
    }

    #[test]
    fn an_exec_that_fails_says_why_and_we_go_on() {
        assert_eq!(execute(c"/nonexistent/place", &[], Some(&[])), Errno::NOENT);
        assert!(open_self().is_ok());
    }
}
