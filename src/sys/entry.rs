//! The first moments of the program, with its own C `main`, and its end where it breaks.

use super::{output, signals};
use core::ffi::CStr;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use rustix::fd::{BorrowedFd, IntoRawFd};
use rustix::fs::{Mode, OFlags};

static ARGUMENTS: AtomicPtr<*const u8> = AtomicPtr::new(ptr::null_mut());
static ENVIRONMENT: AtomicPtr<*const u8> = AtomicPtr::new(ptr::null_mut());
static LAST_RITES: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// The arguments of the program, argument 0 first. They live as long as the process.
#[derive(Clone)]
pub struct Arguments {
    at: *const *const u8,
}

impl Arguments {
    /// The next one as it was passed, with its NUL: for handing on to an exec.
    pub fn next_c_str(&mut self) -> Option<&'static CStr> {
        if self.at.is_null() {
            return None;
        }
        // SAFETY: `at` stands within the vector that the kernel made, which ends in a null pointer and is never freed.
        unsafe {
            let text = *self.at;
            if text.is_null() {
                return None;
            }
            self.at = self.at.add(1);
            Some(CStr::from_ptr(text.cast()))
        }
    }
}

impl Arguments {
    /// The vector itself, ended by a null pointer; may be null where `begin` was not called (in tests).
    pub(super) fn as_pointers(&self) -> *const *const u8 {
        self.at
    }
}

impl Iterator for Arguments {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        self.next_c_str().map(|text| text.to_bytes())
    }
}

/// All arguments as they were passed to the program, argument 0 first.
pub(super) fn arguments() -> Arguments {
    Arguments { at: ARGUMENTS.load(Relaxed) }
}

/// The environment as it was passed to the program, `NAME=VALUE` each.
pub fn environment() -> Arguments {
    Arguments { at: ENVIRONMENT.load(Relaxed) }
}

/// The value of one variable of the environment, without allocating.
pub fn variable(name: &[u8]) -> Option<&'static [u8]> {
    environment().find_map(|entry| entry.strip_prefix(name)?.strip_prefix(b"="))
}

/// What the kernel says to the program in numbers, see getauxval(3): pairs of a kind and a value, which stand behind
/// the environment and end with kind 0. 0 for what it does not say.
#[cfg(not(test))]
pub(super) fn auxiliary(kind: usize) -> usize {
    let mut environment = environment();
    while environment.next_c_str().is_some() {}
    if environment.at.is_null() {
        return 0;
    }
    let mut pairs = environment.at.cast::<[usize; 2]>();
    // SAFETY: the null pointer that ends the environment, then the pairs: all of it lives as long as the process.
    unsafe {
        pairs = pairs.byte_add(size_of::<usize>());
        loop {
            match pairs.read() {
                [0, _] => return 0,
                [known, value] if known == kind => return value,
                _ => pairs = pairs.add(1),
            }
        }
    }
}

/// In tests, which begin otherwise, libc knows.
#[cfg(test)]
pub(super) fn auxiliary(kind: usize) -> usize {
    // SAFETY: a question.
    unsafe { libc::getauxval(kind as libc::c_ulong) as usize }
}

/// The C entry point, called by `start`: begins the program and hands the arguments on.
macro_rules! program {
    ($run:path) => {
        /// See main(3p): how many arguments, the arguments, the environment.
        ///
        /// # Safety
        /// Called by `start` alone.
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C" fn main(count: i32, arguments: *const *const u8, environment: *const *const u8) -> i32 {
            // SAFETY: `start` passed these.
            $run(unsafe { $crate::sys::entry::begin(count, arguments, environment) })
        }
    };
}
pub(crate) use program;

/// Begins the program: descriptors 0 to 2 become valid, a panic is reported on one line and runs the last rites.
/// Call first of all, once.
///
/// # Safety
/// The three are what `start` passed to `main`.
pub unsafe fn begin(_count: i32, arguments: *const *const u8, environment: *const *const u8) -> Arguments {
    ARGUMENTS.store(arguments.cast_mut(), Relaxed);
    ENVIRONMENT.store(environment.cast_mut(), Relaxed);
    make_standard_descriptors_valid();
    report_our_end();
    Arguments { at: arguments }
}

/// What to do when this process has broken, after the report and before it ends. Nothing by default.
pub(super) fn set_last_rites(rites: fn()) {
    LAST_RITES.store(rites as *mut (), Relaxed);
}

/// A panic is one instruction that traps, without a text; this has its address reported. `begin` has done it; to be
/// done again after `signals::reset_all`.
pub fn report_our_end() {
    for signal in signals::TRAPS {
        let _ = signals::set_trap(signal, trapped);
    }
}

/// Where core comes built, every panic comes through one place in it, so the place in the source is told. Its text is
/// not looked at and left out by the compiler.
#[cfg(not(test))]
#[panic_handler]
fn panicked(panic: &core::panic::PanicInfo<'_>) -> ! {
    if let Some(place) = panic.location() {
        output::say_now(format_args!("pintle: internal error in line {} of {}", place.line(), place.file()));
    }
    super::raw::trap()
}

/// The address told is of the instruction, or of what it reached for: `addr2line -e build/pintle.symbols -fi` names the
/// function of the first.
pub(super) extern "C" fn trapped(signal: i32, information: *const i32, _context: usize) {
    // SAFETY: the kernel's siginfo_t: number, error, code, then the address, where the word size wants it.
    let (code, address) = unsafe {
        let address = information.cast::<usize>().add(if cfg!(target_pointer_width = "64") { 2 } else { 3 });
        (information.add(2).read(), address.read())
    };
    // Sent by somebody (SI_USER and the like): nothing to a process 1, nor to us, but to whom it is as good as a fault.
    let rites = LAST_RITES.load(Relaxed);
    let sent = code <= 0;
    if sent && (rites.is_null() || signal == i32::from(signals::SIGTRAP) || super::rebirth::is_under_way()) {
        return;
    }
    if sent {
        output::say_now(format_args!("pintle: signal {signal} was sent to it"));
    } else {
        output::say_now(format_args!("pintle: internal error at 0x{}", pintle::text::Hex(address as u64, 1)));
    }
    if !rites.is_null() {
        // SAFETY: only `set_last_rites` stores here, and only a `fn()`.
        let rites: fn() = unsafe { core::mem::transmute(rites) };
        rites();
    }
    signals::die_of(signal as u8)
}

/// Opens what is closed of descriptors 0 to 2: /dev/null, or where there is none, the root directory as a mere place
/// (O_PATH: reading and writing give EBADF, but no later descriptor can take the number).
fn make_standard_descriptors_valid() {
    for number in 0..3 {
        // SAFETY: only asked whether it is open; the answer for a closed one is EBADF.
        let standard = unsafe { BorrowedFd::borrow_raw(number) };
        if rustix::io::fcntl_getfd(standard) != Err(rustix::io::Errno::BADF) {
            continue;
        }
        let opened = rustix::fs::open(c"/dev/null", OFlags::RDWR, Mode::empty())
            .or_else(|_| rustix::fs::open(c"/", OFlags::PATH, Mode::empty()));
        // Lower numbers are all open, so this is the number wanted, and stays open.
        let _ = opened.map(IntoRawFd::into_raw_fd);
    }
}
