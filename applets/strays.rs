//! What `status` says of processes that services have left behind: children of the supervisor for which no service that
//! is up answers. Asks the kernel, not the supervisor, which only knows of those that it looks for.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use super::exit;
use crate::host::mark;
use crate::sys::output::{self, Shown};
use crate::sys::poll::{self, Interest};
use crate::sys::signals::{self, SIGKILL, Target};
use crate::sys::{AsFd, Errno, children, file, pipe, process, whole};
use pintle::board::reports::own;
use pintle::board::words;
use pintle::graph::Phase;
use pintle::lang::diagnostic::told;
use pintle::status::{View, write_json_text};

/// Our own processes that are no services.
const OWN: [&str; 2] = ["pintle-log", "pintle-sweep"];
/// Of the paths of control groups. See `host/supervisor/cgroups.rs`.
const GROUPS: &[u8] = b"/pintle-";
const SUFFIX: &[u8] = b".svc";

/// How long the next one may take to tell of itself. Milliseconds.
const LOOK_MS: u32 = 1000;

/// All of them, in words or as objects of JSON. Whose mark we may not read is left out. A copy of us looks, since one of
/// them may have its environment where nobody can read it in time.
#[inline(never)]
pub fn strays(view: &View<'_>, json: bool) -> String {
    let mut text = Vec::new();
    let ends = if view.supervisor_alive { pipe::pair().ok() } else { None };
    let Some((read, write)) = ends else { return String::new() };
    let mut tell = |stray: String| {
        let _ = output::write_all(write.as_fd(), stray.as_bytes()); // it is read, or nobody waits any more
    };
    let Ok(copy) = process::copy(&mut || look(view, json, &mut tell)) else { return String::new() };
    drop(write);
    let mut room = [0; 1024];
    loop {
        match file::read(&read, &mut room) {
            Ok(count @ 1..) => text.extend_from_slice(&room[..count]),
            Err(Errno::AGAIN) if poll::wait_for(Some(read.as_fd()), Interest::READ, LOOK_MS) => {}
            Ok(0) | Err(_) => break,
        }
    }
    let _ = signals::send(Target::Process(copy), SIGKILL); // not reaped: its number is its own
    String::from_utf8(text).unwrap_or_default()
}

/// Looks for them, and tells of each at once.
#[inline(never)]
fn look(view: &View<'_>, json: bool, tell: &mut dyn FnMut(String)) -> i32 {
    let mut before = "";
    let word = |at| words::load(view.reports.head(), at);
    let supervisor = word(own::SUPERVISOR_PID);
    let mut known = Vec::from([word(own::ENGINE_PID)]);
    for row in view.rows(false) {
        known.extend([row.report.pid, row.report.auxiliary]);
    }
    let _ = children::each(told(format_args!("/proc/{supervisor}/task/{supervisor}/children")).as_str(), &mut |pid| {
        let lives = |session| session != 0 && known.contains(&session);
        let gone = || process::Stat::of(pid).is_none_or(|stat| !stat.lives() || lives(stat.session));
        let program = name_of(pid);
        if known.contains(&pid) || OWN.contains(&program.as_str()) || gone() {
            return;
        }
        let Some(service) = group_of(pid).map_or_else(|| mark::of(pid).ok(), |name| Some(Some(name))) else { return };
        let service = service.map(|name| Shown(&name).to_string()).unwrap_or_default();
        let row = view.find(&service).and_then(|slot| view.row(slot));
        if row.is_some_and(|row| row.report.pid != 0 || row.phase == Phase::Up) {
            return;
        }
        let mut text = String::from(before);
        before = if json { "," } else { ", " };
        if json {
            let _ = write!(text, "{{\"pid\":{pid},\"program\":");
            write_json_text(&mut text, &program);
            text.push_str(",\"service\":");
            if service.is_empty() {
                text.push_str("null")
            } else {
                write_json_text(&mut text, &service)
            }
            text.push('}');
        } else {
            let _ = write!(text, "{pid} {program}");
            if !service.is_empty() {
                let _ = write!(text, " of {service}");
            }
        }
        tell(text);
    });
    exit::DONE
}

/// The name of a process's program, fit for a terminal; empty where that cannot be read.
#[inline(never)]
pub fn name_of(pid: u32) -> String {
    let name = whole::read(process::path(pid, "comm").as_str().as_ref(), 64);
    name.ok().and_then(Result::ok).map(|name| Shown(name.trim_ascii_end()).to_string()).unwrap_or_default()
}

/// The service in whose control group it is.
#[inline(never)]
fn group_of(pid: u32) -> Option<Vec<u8>> {
    let text = whole::read(process::path(pid, "cgroup").as_str().as_ref(), 1 << 16).ok()?.ok()?;
    let path = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
    let at = path.windows(GROUPS.len()).position(|part| part == GROUPS)?;
    let name = path.get(at + GROUPS.len()..)?.split(|byte| *byte == b'/').nth(1)?;
    name.strip_suffix(SUFFIX).map(Vec::from)
}
