//! A process that breaks and goes on: it executes its own program anew, with the same process id, children and
//! arguments, and with all descriptors that are not close-on-exec.

use super::entry::{self, Arguments, set_last_rites, trapped};
use super::signals::{self, FATAL, SIGTRAP, SignalSet};
use super::{AsFd, Errno, OwnedFd, Result, clock, process, raw};
use alloc::vec::Vec;
use core::ffi::CStr;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};
use rustix::fd::AsRawFd;

/// The variable that says to the program that goes on what it is to go on with, with its `=`.
pub const NAME: &CStr = c"PINTLE_HELD=";

/// Who is to go on; 0: nobody. A child that shares our memory is somebody else.
static WHO: AtomicU32 = AtomicU32::new(0);
/// The descriptor of the program.
static PROGRAM: AtomicU32 = AtomicU32::new(0);
static ENVIRONMENT: AtomicPtr<*const u8> = AtomicPtr::new(ptr::null_mut());
/// What is sent on the way is of no matter any more; a fault there has it tried again.
static UNDER_WAY: AtomicU32 = AtomicU32::new(0);

/// Words that count what is tried in vain; null: none.
static COUNTS: [AtomicPtr<AtomicU32>; 2] = [const { AtomicPtr::new(ptr::null_mut()) }; 2];

/// Where the program cannot be executed now, it is tried again after this. Milliseconds.
const AGAIN_MS: u32 = 1000;

/// From now on the five fatal signals (sent or of a fault) and a panic have this process execute `program` (an O_PATH
/// descriptor, which has to stay open) with its own arguments and environment, and with the variable `NAME` set to
/// `value`. Allocates, once; call at start only. Who has nothing blocked that is fatal.
pub fn prepare(program: impl AsFd, value: u32) -> Result<()> {
    let mut digits = [0; 10];
    let mut marker = Vec::from(NAME.to_bytes());
    marker.extend_from_slice(pintle::text::digits(value, &mut digits));
    marker.push(0);
    let mut variables = Vec::new();
    let mut others: Arguments = entry::environment();
    while let Some(variable) = others.next_c_str() {
        if !variable.to_bytes().starts_with(NAME.to_bytes()) {
            variables.push(variable.as_ptr().cast::<u8>());
        }
    }
    variables.extend_from_slice(&[marker.leak().as_ptr(), ptr::null()]);
    ENVIRONMENT.store(variables.leak().as_mut_ptr(), Relaxed);
    set_program(program);
    WHO.store(process::pid(), Relaxed);
    set_last_rites(go_on);
    signals::install_fatal(trapped)?;
    signals::set_trap(SIGTRAP, trapped)
}

/// Whether this process executes itself anew instead of ending.
pub fn is_prepared() -> bool {
    process::pid() == WHO.load(Relaxed)
}

/// What the program that was this process has left to go on with, in decimal; none where there was none.
pub fn left() -> Option<&'static [u8]> {
    entry::environment().find_map(|variable| variable.strip_prefix(NAME.to_bytes()))
}

/// Whether it is about to.
pub fn is_under_way() -> bool {
    is_prepared() && UNDER_WAY.load(Relaxed) != 0
}

/// Another program (an O_PATH descriptor that stays open) is to be executed from now on.
pub fn set_program(program: impl AsFd) {
    PROGRAM.store(program.as_fd().as_raw_fd() as u32, Relaxed);
}

/// Goes on where `prepare` was called; else does nothing.
pub fn crash() {
    go_on();
}

/// One try has been counted in each of these words: `crash_later` takes it back.
pub fn count_in(words: [&'static AtomicU32; 2]) {
    for (count, word) in COUNTS.iter().zip(words) {
        count.store(ptr::from_ref(word).cast_mut(), Relaxed);
    }
}

/// As `crash`, but for want of something: it begins after a while, and does not count.
pub fn crash_later() {
    for count in &COUNTS {
        // SAFETY: null, or what `count_in` was given, which lives as long as we do.
        if let Some(word) = unsafe { count.load(Relaxed).as_ref() } {
            word.store(word.load(Relaxed).saturating_sub(1), Relaxed);
        }
    }
    clock::sleep_ms(AGAIN_MS);
    go_on();
}

/// Executes another program (an O_PATH descriptor that stays open) as a crash executes ours. Comes back with why it
/// cannot be done; then everything is as before. Only where `prepare` was called.
pub fn become_program(program: &OwnedFd) -> Errno {
    execute(program.as_raw_fd() as usize)
}

fn execute(program: usize) -> Errno {
    const AT_EMPTY_PATH: usize = 0x1000;
    let environment = ENVIRONMENT.load(Relaxed) as usize;
    let (path, arguments) = (c"".as_ptr() as usize, entry::arguments().as_pointers() as usize);
    // SAFETY: both vectors end in a null, and they and their texts live as long as we do.
    match unsafe { raw::call(raw::nr::EXECVEAT, program, path, arguments, environment, AT_EMPTY_PATH) } {
        Ok(_) => Errno::NOEXEC, // it does not come back
        Err(error) => error,
    }
}

/// Called in a signal handler: system calls only.
fn go_on() {
    if !is_prepared() {
        return;
    }
    UNDER_WAY.store(1, Relaxed);
    // Else the next fault cannot be caught, which is the end of a process 1, and of the machine.
    signals::unblock(SignalSet::of(&FATAL).with(SIGTRAP));
    loop {
        execute(PROGRAM.load(Relaxed) as usize);
        // No memory, perhaps. What dies meanwhile waits to be reaped, and nothing is lost.
        clock::sleep_ms(AGAIN_MS);
    }
}
