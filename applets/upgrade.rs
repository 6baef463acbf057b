//! `pintle upgrade`: the supervisor goes on as the program that its file is by now.

use pintle::board::published;
use pintle::board::reports::own;
use pintle::database::Image;
use pintle::engine::MEMORY_LAYOUT;
use pintle::packed;

use super::exit;
use super::options::Given;
use crate::host::control::complain;
use crate::host::reading;
use crate::host::run_directory::{DATABASE, LOCK, PUBLISHED, REPORTS};
use crate::sys::errno::{Words, from_number};
use crate::sys::file::Identity;
use crate::sys::mapping::FileView;
use crate::sys::output::Shown;
use crate::sys::signals::{self, SIGUPGRADE, Target};
use crate::sys::{clock, process};

/// How long it may take, and how often it is looked at. Milliseconds.
const LIMIT_MS: u32 = 10_000;
const LOOK_MS: u32 = 10;

pub fn run(_given: &Given) -> i32 {
    let directory = reading::directory(None);
    if !directory.directory().is_locked(LOCK) {
        complain(&packed!("no supervisor runs"));
        return exit::NO;
    }
    // Who could not go on from what there is would have to begin anew.
    let database = directory.open(DATABASE).and_then(|file| FileView::new(file).read_all());
    let database = database.unwrap_or_else(|error| directory.refuse("read", DATABASE, error));
    if let Err(error) = Image::open(&database) {
        complain(&format_args!("cannot go on with what runs: {}: {error}", Shown(directory.file(DATABASE))));
        return exit::NO;
    }
    let word = |name, at| reading::head_word(&directory, name, at);
    let layout = word(PUBLISHED, published::own::ENGINE_LAYOUT).unwrap_or_default();
    if layout != 0 && layout != MEMORY_LAYOUT {
        complain(&format_args!(
            "cannot go on with what the engine knows: its layout is {layout}, ours {MEMORY_LAYOUT}"
        ));
        return exit::NO;
    }
    let [supervisor, before] = [own::SUPERVISOR_PID, own::UPGRADES].map(|at| word(REPORTS, at).unwrap_or_default());
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
        if let Some(said) = word(REPORTS, own::UPGRADES).filter(|said| *said != before) {
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
