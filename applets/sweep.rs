//! `pintle-sweep`: the supervisor's search for what services have left behind, see `host/supervisor/orphans.rs`. In a
//! process of its own, which may hang in another one's memory.

use alloc::vec::Vec;

use super::exit;
use super::options::Given;
use crate::host::mark;
use crate::sys::poll::{self, Interest};
use crate::sys::signals::{self, SIGKILL};
use crate::sys::{AsFd, Errno, children, process};
use pintle::lang::diagnostic::told;

/// How long it waits for the end of one that it has killed before it looks at the next. Milliseconds.
const END_MS: u32 = 200;

/// SIGKILL to our parent's children that have the mark of one of these services, until there are none: 0. 1: not all could
/// be looked at.
pub fn run(given: &Given) -> i32 {
    process::set_name(c"pintle-sweep");
    let parent = process::parent();
    let list = told(format_args!("/proc/{parent}/task/{parent}/children"));
    loop {
        let (mut killed, mut whole) = (Vec::new(), true);
        let read = children::each(list.as_str(), &mut |pid| {
            // First what stands for a process, then what it is, so that it cannot be another one's.
            let done = signals::pidfd_open(pid).and_then(|process| {
                if pid != process::pid() && mark::of(pid)?.is_some_and(|name| given.words.contains(&&name[..])) {
                    signals::pidfd_send(process.as_fd(), SIGKILL)?;
                    killed.push(process);
                }
                Ok(())
            });
            // It is gone, or is not for us to look at.
            whole &=
                matches!(done, Ok(()) | Err(Errno::SRCH | Errno::NOENT | Errno::ACCESS | Errno::PERM | Errno::NOSYS));
        });
        if process::parent() != parent {
            return exit::NO;
        }
        if read.is_err() || killed.is_empty() {
            return if read.is_ok() && whole { exit::DONE } else { exit::NO };
        }
        for process in &killed {
            poll::wait_for(Some(process.as_fd()), Interest::READ, END_MS);
        }
    }
}
