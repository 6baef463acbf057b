//! `pintle supervise`: becomes the supervisor.

use pintle::packed;

use super::options::Given;
use crate::host::supervisor::{self, Found, Held, Options};
use crate::sys::{Errno, OwnedFd, process};

pub fn run(given: &Given) -> i32 {
    // Of a supervisor that was this process and has crashed. Before anything else: it may crash again.
    let found = Held::find();
    supervisor::first_acts(!matches!(found, Found::Held(_)));
    let options = options(given, matches!(found, Found::Nothing));
    let held = match found {
        Found::Nothing => None,
        Found::Held(held) => {
            supervisor::mind_habit(&held, options.rescue);
            Some(held)
        }
        Found::Ruins(again) => {
            supervisor::clear_ruins(again, options.rescue);
            None
        }
    };
    // What it holds ends with the process.
    process::exit(supervisor::start(options, held).run())
}

fn options(given: &Given, begins: bool) -> Options {
    let mut shutdown_timeout_ms = 60_000;
    if let Some(time) = given.value("--shutdown-timeout") {
        let ms = str::from_utf8(time).ok().and_then(pintle::lang::duration_ms).and_then(|ms| u32::try_from(ms).ok());
        shutdown_timeout_ms = ms.unwrap_or_else(|| given.misuse_of(packed!("not a time such as 90s:"), time));
    }
    // Out of the way of the numbers that the supervisor has for itself; what else was inherited is nobody's.
    let mut ready = None;
    if let Some(shown) = given.value("--ready-fd").filter(|_| begins) {
        let number = given.number("--ready-fd", 0, i32::MAX as u64) as i32;
        ready = Some(keep(number).unwrap_or_else(|_| given.misuse_of(packed!("no such descriptor is open:"), shown)));
    }
    Options {
        database: given.value("--db").unwrap_or(b"/etc/pintle/boot.db"),
        run: given.value("--run"),
        log_dir: given.value("--log-dir"),
        shutdown_timeout_ms,
        parallel: given.number("--parallel", 0, u32::MAX.into()) as u32,
        engine_user: given.value("--engine-user"),
        cgroups: !given.has("--no-cgroups"),
        rescue: given.value("--rescue").or((process::pid() == 1).then_some(b"/sbin/sulogin")),
        ready,
        bundle: given.words.first().copied().unwrap_or(b"default"),
    }
}

fn keep(number: i32) -> Result<OwnedFd, Errno> {
    let given = if number > 2 { process::take_inherited(number) } else { Err(Errno::BADF) };
    process::move_up(given?)
}
