//! `pintle-log`: shows the log of a service, and, as the supervisor starts it, is the logger that writes all of them.

use core::fmt::Write;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::{Applet, Family, exit, failed, finish, misuse};
use crate::host::log_files::{self, LogPath};
use crate::host::log_writer::Settings;
use crate::host::logger::Logger;
use crate::host::run_directory;
use crate::sys::entry::Arguments;
use crate::sys::file::Identity;
use crate::sys::{alloc, file, output, process};

/// The command.
pub static APPLET: Applet = Applet {
    name: "log",
    family: Family::Looking,
    summary: "show the last lines of a service's log",
    usage: "[-n LINES] [-f] [--dir DIR] NAME",
    help: "Shows the last lines of what a service wrote, each with its time (UTC).\n\
           \n\
           -n, --lines LINES  how many (20)\n\
           -f, --follow       goes on with what comes, until interrupted\n\
           --dir DIR          where logs are ($PINTLE_LOG, /var/log/pintle, or log in\n\
           \x20                  the run directory)\n\
           --run DIR          the run directory\n\
           \n\
           As the supervisor calls it, it writes the logs of all services:\n\
           --serve FD         takes pipes from socket FD, writes in --dir\n\
           --size BYTES       of a file before it is turned over (1048576)\n\
           --keep FILES       kept beside the current one (3)\n\
           \n\
           example: pintle log -f nginx\n",
    raw: false,
    run,
};

/// Bytes of a file before it is turned over.
const BYTES_MAX: u64 = 1 << 20;
/// Files kept beside the current one: a service's logs take at most 4 MB.
const KEEP: u32 = 3;
/// Lines shown.
const LINES: usize = 20;

struct Options {
    name: Option<OsString>,
    lines: usize,
    follow: bool,
    directory: Option<OsString>,
    run: Option<OsString>,
    serve: Option<i32>,
    bytes_max: u64,
    keep: u32,
}

fn run(arguments: Arguments) -> i32 {
    let options = match options(arguments) {
        Ok(options) => options,
        Err(error) => return misuse("log", &error),
    };
    let Some(directory) = options.directory.clone().or_else(|| usual_directory(&options)) else {
        return misuse("log", &"there is no run directory: --dir DIR says where logs are");
    };
    match (options.serve, &options.name) {
        (Some(number), None) => serve(number, &directory, &options),
        (None, Some(name)) => show(&directory, name, &options),
        (Some(_), Some(_)) | (None, None) => misuse("log", &"the name of one service is needed"),
    }
}

fn options(arguments: Arguments) -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        name: None,
        lines: LINES,
        follow: false,
        directory: None,
        run: None,
        serve: None,
        bytes_max: BYTES_MAX,
        keep: KEEP,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('n') | Long("lines") => options.lines = parser.value()?.parse()?,
            Short('f') | Long("follow") => options.follow = true,
            Long("dir") => options.directory = Some(parser.value()?),
            Long("run") => options.run = Some(parser.value()?),
            Long("serve") => options.serve = Some(parser.value()?.parse()?),
            Long("size") => options.bytes_max = parser.value()?.parse()?,
            Long("keep") => {
                options.keep = parser.value()?.parse_with(|text| text.parse().map(|keep: u32| keep.clamp(1, 99)))?
            }
            Value(name) if options.name.is_none() => options.name = Some(name),
            Short(_) | Long(_) | Value(_) => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

fn usual_directory(options: &Options) -> Option<OsString> {
    let place = run_directory::find(options.run.as_deref()).ok()?;
    place.directory().map(|run| log_files::directory(run.path()))
}

fn serve(number: i32, directory: &OsString, options: &Options) -> i32 {
    process::set_name(c"pintle-log");
    let settings = Settings { directory: directory.as_bytes(), bytes_max: options.bytes_max, keep: options.keep };
    let logger = process::take_inherited(number).and_then(|socket| Logger::new(socket, settings));
    match logger {
        Ok(mut logger) => {
            alloc::freeze();
            logger.run();
            let allocations = alloc::allocations_after_freeze();
            if allocations > 0 {
                let _ = writeln!(output::stderr(), "pintle-log: {allocations} allocations after start");
            }
            exit::DONE
        }
        Err(error) => failed("cannot start the logger", error),
    }
}

fn show(directory: &OsString, name: &OsString, options: &Options) -> i32 {
    let (directory, name) = (directory.as_bytes(), name.as_bytes());
    let mut out = output::stdout();
    let plain = !output::is_terminal();
    let mut print = |bytes: &[u8]| put(&mut out, bytes, plain);
    let shown = match log_files::tail(directory, name, options.lines, &mut print) {
        Ok(shown) => shown,
        Err(error) => return failed("cannot read the log", error),
    };
    if options.follow {
        let _ = out.flush();
        return follow(directory, name, shown);
    }
    if shown.is_none() {
        let directory = OsString::from_vec(directory.to_vec());
        let _ = writeln!(output::stderr(), "pintle: nothing is logged by that name in {}", directory.display());
        return exit::NO;
    }
    finish(out)
}

/// Control characters of a service must not steer the terminal of whoever looks.
fn put(out: &mut output::Text<'_>, bytes: &[u8], plain: bool) {
    if plain {
        return out.bytes(bytes);
    }
    for piece in bytes.chunk_by(|one, two| is_control(*one) == is_control(*two)) {
        match piece.first() {
            Some(first) if is_control(*first) => piece.iter().for_each(|_| out.bytes(b"?")),
            Some(_) | None => out.bytes(piece),
        }
    }
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\n' && byte != b'\t'
}

/// Goes on with what is written, over to the next file when this one is turned over.
fn follow(directory: &[u8], name: &[u8], mut shown: Option<(OwnedFd, u64)>) -> i32 {
    let path = match LogPath::new(directory, name, 0) {
        Ok(path) => path,
        Err(error) => return failed("cannot read the log", error),
    };
    let watched = file::watcher().and_then(|watcher| {
        file::watch(watcher.as_fd(), directory, true)?;
        Ok(watcher)
    });
    let watcher = match watched {
        Ok(watcher) => watcher,
        Err(error) => return failed("cannot watch the log", error),
    };
    let plain = !output::is_terminal();
    let mut events = [0; 4096];
    loop {
        // Watched before it is looked at, so that nothing is missed.
        let _ = file::watch(watcher.as_fd(), path.as_c_str(), false);
        let mut out = output::stdout();
        let mut print = |bytes: &[u8]| put(&mut out, bytes, plain);
        loop {
            if let Some((current, told)) = &mut shown {
                let end = Identity::of_file(&*current).map_or(*told, |identity| identity.bytes);
                let _ = log_files::copy(current, *told, end, &mut print);
                *told = end;
            }
            // Another file by this name: the one before has been told to its end.
            let now = Identity::of_path(path.as_c_str());
            let same = shown.as_ref().is_some_and(|(current, _)| {
                Identity::of_file(current).is_ok_and(|own| (own.device, own.inode) == (now.device, now.inode))
            });
            if same || now == Identity::default() {
                break;
            }
            match file::open_read(path.as_c_str()) {
                Ok(next) => shown = Some((next, 0)),
                Err(_) => break,
            }
        }
        if out.flush().is_err() {
            return exit::SYSTEM; // nobody reads any more
        }
        drop(out);
        if let Err(error) = file::read(&watcher, &mut events) {
            return failed("cannot watch the log", error);
        }
    }
}
