//! `pintle supervise`: becomes the supervisor.

use core::fmt::Write;
use std::ffi::OsString;

use super::{Applet, Family, exit, misuse};
use crate::host::supervisor::{self, Options};
use crate::sys::entry::Arguments;
use crate::sys::{OwnedFd, output, process};

/// The command.
pub static APPLET: Applet = Applet {
    name: "supervise",
    family: Family::Machine,
    summary: "bring a machine up and keep it so",
    usage: "[OPTION]... [BUNDLE]",
    help: "Starts what BUNDLE (default) stands for, in order, and supervises it until\n\
           SIGTERM or `pintle shutdown` takes everything down again. Stays in the\n\
           foreground.\n\
           \n\
           --db FILE             the database (/etc/pintle/boot.db)\n\
           --run DIR             the run directory ($PINTLE_RUN, /run/pintle, or\n\
           \x20                     /dev/shm/pintle-UID)\n\
           --log-dir DIR         where logs go ($PINTLE_LOG, /var/log/pintle, or log in\n\
           \x20                     the run directory)\n\
           --engine-user NAME    as whom the engine runs, which needs no privilege\n\
           --shutdown-timeout T  after it all is killed: 500ms, 60s (the default), 2m\n\
           --ready-fd N          writes a newline to descriptor N once commands can be\n\
           \x20                     given, and closes it\n\
           \n\
           A second SIGINT kills everything at once.\n\
           \n\
           example: pintle supervise --db ./boot.db --run /tmp/pintle web\n",
    raw: false,
    run,
};

fn run(arguments: Arguments) -> i32 {
    supervisor::first_acts();
    let options = match options(arguments) {
        Ok(options) => options,
        Err(error) => return misuse("supervise", &error),
    };
    let mut supervisor = match supervisor::start(options) {
        Ok(supervisor) => supervisor,
        Err(refusal) => {
            let _ = writeln!(output::stderr(), "pintle: {}", refusal.text);
            return refusal.code;
        }
    };
    // What it holds ends with the process.
    process::exit(supervisor.run())
}

fn options(arguments: Arguments) -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut database = OsString::from("/etc/pintle/boot.db");
    let (mut run, mut log_dir, mut engine_user, mut ready, mut bundle) = (None, None, None, None, None);
    let mut shutdown_timeout_ms = 60_000;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("db") => database = parser.value()?,
            Long("run") => run = Some(parser.value()?),
            Long("engine-user") => engine_user = Some(parser.value()?),
            Long("log-dir") => log_dir = Some(parser.value()?),
            Long("shutdown-timeout") => {
                let text = parser.value()?.string()?;
                let time = pintle::lang::duration_ms(&text).and_then(|ms| u32::try_from(ms).ok());
                shutdown_timeout_ms = time.ok_or_else(|| format!("\"{text}\" is not a time such as 90s"))?;
            }
            Long("ready-fd") => ready = Some(parser.value()?.parse::<i32>()?),
            Value(name) if bundle.is_none() => bundle = Some(name),
            other => return Err(other.unexpected()),
        }
    }
    // Out of the way of the numbers that the supervisor has for itself; what else was inherited is nobody's.
    let ready = ready.map(keep).transpose()?;
    Ok(Options {
        database,
        run,
        log_dir,
        shutdown_timeout_ms,
        engine_user,
        ready,
        bundle: bundle.unwrap_or_else(|| OsString::from("default")),
    })
}

fn keep(number: i32) -> Result<OwnedFd, String> {
    let refused = |_| format!("descriptor {number} is not open");
    let given = if number > 2 { process::take_inherited(number) } else { Err(crate::sys::Errno::BADF) };
    process::move_up(given.map_err(refused)?).map_err(refused)
}

/// Exit codes are those of all commands.
const _: i32 = exit::DONE;
