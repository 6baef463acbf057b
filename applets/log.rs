//! `pintle-log`: shows the log of a service, and, as the supervisor starts it, is the logger that writes all of them.

use alloc::boxed::Box;
use core::fmt::Write;
use pintle::lang::duration_ms;
use pintle::packed;
use pintle::stamp;

use super::looking::named;
use super::options::Given;
use super::{exit, failed, finish};
use crate::host::log_files::{self, LogPath};
use crate::host::log_writer::Settings;
use crate::host::logger::{Logger, START};
use crate::host::reading;
use crate::host::refuse::{OrRefuse, refuse};
use crate::host::run_directory;
use crate::host::syslog;
use crate::sys::file::Identity;
use crate::sys::output::Shown;
use crate::sys::{AsFd, BorrowedFd, Errno, OwnedFd, clock, file, heap, output, process};

/// Bytes of a file before it is turned over.
const BYTES_MAX: u64 = 1 << 20;
/// Files kept beside the current one: a service's logs take at most 4 MB.
const KEEP: u64 = 3;
/// Lines shown.
const LINES: u64 = 20;

pub fn run(given: &Given) -> i32 {
    let given_directory = given.value("--dir");
    match (given.has("--serve"), given.words.first(), given_directory) {
        (true, None, Some(directory)) => serve(directory, given),
        (false, Some(name), Some(directory)) => show(directory, name, given),
        (false, Some(name), None) => {
            let place = run_directory::find(given.value("--run")).ok();
            let Some(run) = place.as_ref().and_then(run_directory::Place::directory) else {
                given.misuse(packed!("there is no run directory: --dir DIR says where logs are"))
            };
            show(log_files::where_it_is(run.path(), reading::log_kind(run, name), name), name, given)
        }
        (true, None, None) => given.misuse(packed!("there is no run directory: --dir DIR says where logs are")),
        (true, Some(_), _) | (false, None, _) => given.misuse(packed!("the name of one service is needed")),
    }
}

#[inline(never)]
fn serve(directory: &[u8], given: &Given) -> i32 {
    let number = given.number("--serve", 0, i32::MAX as u64) as i32;
    let kept = given.value("--kept").filter(|kept| !kept.is_empty());
    let settings = Settings {
        directory,
        kept: kept.unwrap_or_default(),
        lost: kept.map_or(&[], log_files::lost),
        syslog: syslog::PATH,
        bytes_max: given.number("--size", BYTES_MAX, u64::MAX),
        keep: given.number("--keep", KEEP, u32::MAX.into()).clamp(1, 99) as u32,
    };
    let socket = process::take_inherited(number).or_refuse(START);
    let held = given.has("--held").then(|| given.number("--held", 0, i32::MAX as u64) as i32);
    let held = held.map(|number| process::take_inherited(number).or_refuse(START));
    let logger = Box::leak(Box::new(Logger::new(socket, held, settings)));
    // Who signals what has this name finds it ready for that.
    process::set_name(c"pintle-log");
    heap::freeze();
    logger.run();
    let allocations = heap::allocations_after_freeze();
    if allocations > 0 {
        let _ = writeln!(output::stderr(), "pintle-log: {allocations} allocations after start");
    }
    exit::DONE
}

#[inline(never)]
fn show(directory: &[u8], name: &[u8], given: &Given) -> i32 {
    let since = given.value("--since").map_or(0, |text| {
        let now = clock::realtime_ns();
        let ago =
            str::from_utf8(text).ok().and_then(duration_ms).map(|ms| now.saturating_sub(ms.saturating_mul(1_000_000)));
        ago.or_else(|| stamp::parse(text))
            .unwrap_or_else(|| given.misuse_of(packed!("no time (10m, 2h, 2026-11-21T00:05:59)"), text))
    });
    let lines = given.number("--lines", if since > 0 { u64::MAX } else { LINES }, u64::MAX) as usize;
    let mut out = output::stdout();
    let plain = !output::is_terminal();
    let shown = log_files::tail(directory, name, lines, since, &mut |bytes| put(&mut out, bytes, plain));
    let shown = shown.unwrap_or_else(|error| {
        let _ = out.flush();
        failed(packed!("cannot read the log"), error)
    });
    let follows = given.has("--follow");
    // An instance that is followed may be there later.
    if shown.is_none() && !given.has("--dir") && !(follows && name.contains(&b'@')) {
        named(&reading::look(given.value("--run")).0, given);
    }
    if follows {
        let _ = out.flush();
        return follow(directory, name, shown, plain);
    }
    if shown.is_none() {
        refuse(exit::NO as u8, format_args!("nothing is logged by that name in {}", Shown(directory)));
    }
    finish(&mut out)
}

/// Control characters of a service must not steer the terminal of whoever looks.
pub fn put(out: &mut output::Text<'_>, bytes: &[u8], plain: bool) {
    for byte in bytes {
        let steers = !plain && byte.is_ascii_control() && !b"\n\t".contains(byte);
        out.bytes(&[if steers { b'?' } else { *byte }]);
    }
}

/// Watches a directory, or where it is not there yet the nearest one above it that is: its path.
fn nearest<'d>(watcher: BorrowedFd<'_>, directory: &'d [u8]) -> Result<&'d [u8], Errno> {
    let mut path = directory;
    loop {
        match file::watch(watcher, path, true) {
            Err(Errno::NOENT) if path.len() > 1 => {
                let end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at.max(1));
                path = if end > 0 { &path[..end] } else { b"." };
            }
            watched => return watched.map(|()| path),
        }
    }
}

/// Goes on with what is written, over to the next file when this one is turned over.
#[inline(never)]
fn follow(directory: &[u8], name: &[u8], mut shown: Option<(OwnedFd, u64)>, plain: bool) -> i32 {
    let mut room = LogPath::new();
    let path = room.of(directory, name, 0).unwrap_or_else(|error| failed(packed!("cannot read the log"), error));
    let cannot_watch = |error| -> ! { failed(packed!("cannot watch the log"), error) };
    let watcher = file::watcher().unwrap_or_else(|error| cannot_watch(error));
    let mut watched = b"".as_slice();
    let mut events = [0; 4096];
    loop {
        // The logger makes the directory when there is something to write: until then that is waited for.
        while watched.len() < directory.len() {
            let nearest = nearest(watcher.as_fd(), directory).unwrap_or_else(|error| cannot_watch(error));
            if core::mem::replace(&mut watched, nearest) == nearest {
                break;
            }
        }
        // Watched before it is looked at, so that nothing is missed.
        let _ = file::watch(watcher.as_fd(), path, false);
        let mut out = output::stdout();
        loop {
            let mut own = Identity::default();
            if let Some((current, told)) = &mut shown {
                own = Identity::of_file(&*current).unwrap_or_default();
                let end = if own == Identity::default() { *told } else { own.bytes };
                let _ = log_files::copy(current, *told, end, &mut |bytes| put(&mut out, bytes, plain));
                *told = end;
            }
            // Another file by this name: the one before has been told to its end.
            let now = Identity::of_path(path);
            if (own.device, own.inode) == (now.device, now.inode) || now == Identity::default() {
                break;
            }
            // That may have been turned over as well by now: the one that came behind ours is next.
            let mut room = LogPath::new();
            let mut is_ours = |number| {
                let found = room.of(directory, name, number).map(Identity::of_path).unwrap_or_default();
                (found.device, found.inode) == (own.device, own.inode)
            };
            let ours = (1..100).find(|number| is_ours(*number)).filter(|_| shown.is_some()).unwrap_or(1);
            match room.of(directory, name, ours - 1).and_then(file::open_read) {
                Ok(next) => shown = Some((next, 0)),
                Err(_) => break,
            }
        }
        if out.flush().is_err() {
            return exit::SYSTEM; // nobody reads any more
        }
        drop(out);
        file::read(&watcher, &mut events).unwrap_or_else(|error| cannot_watch(error));
    }
}
