//! `pintle upgrade`: the supervisor goes on as the program that its file is by now.

use pintle::board::reports::own;
use pintle::board::words;
use pintle::packed;

use super::exit;
use super::options::Given;
use crate::host::control::complain;
use crate::host::reading;
use crate::sys::errno::{Words, from_number};
use crate::sys::file::Identity;
use crate::sys::output::Shown;
use crate::sys::signals::{self, SIGUPGRADE, Target};
use crate::sys::{clock, process};

/// How long it may take, and how often it is looked at. Milliseconds.
const LIMIT_MS: u32 = 10_000;
const LOOK_MS: u32 = 10;

pub fn run(_given: &Given) -> i32 {
    // A board of another version than ours is refused here: then nobody could go on from it.
    let (view, _) = reading::look(None);
    if !view.supervisor_alive {
        complain(&packed!("no supervisor runs"));
        return exit::NO;
    }
    let word = |at| words::load(view.reports.head(), at);
    let (supervisor, before) = (word(own::SUPERVISOR_PID), word(own::UPGRADES));
    // What it would execute is what runs here, and so does run. Who may not know what it runs may not signal it, either.
    if let Ok(path) = process::path_of_program(supervisor) {
        let own_file = process::path_of_program(process::pid()).unwrap_or_default();
        if Identity::of_path(path.as_slice()) != Identity::of_path(own_file.as_slice()) {
            complain(&format_args!("the supervisor's program is {}: call that one's upgrade", Shown(&path)));
            return exit::NO;
        }
    }
    if let Err(error) = signals::send(Target::Process(supervisor), SIGUPGRADE) {
        complain(&format_args!("cannot signal the supervisor, process {supervisor}: {}", Words(error)));
        return exit::NO;
    }
    for _ in 0..LIMIT_MS / LOOK_MS {
        if let Some(said) = reading::said(own::UPGRADES).filter(|said| *said != before) {
            if said & 0xffff == 0 {
                return exit::DONE;
            }
            complain(&format_args!("the supervisor cannot execute its program: {}", Words(from_number(said & 0xffff))));
            return exit::NO;
        }
        clock::sleep_ms(LOOK_MS);
    }
    complain(&packed!("the supervisor does not go on"));
    exit::NO
}
