//! What `status` says of processes that services have left behind: children of the supervisor for which no service that
//! is up answers. Asks the kernel, not the supervisor, which only knows of those that it looks for.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use super::exit;
use crate::host::mark;
use crate::host::supervisor::space;
use crate::sys::output::{self, Shown};
use crate::sys::poll::{self, Interest};
use crate::sys::signals::{self, SIGKILL, Target};
use crate::sys::{AsFd, Errno, children, file, pipe, process, whole};
use pintle::board::reports::own;
use pintle::board::words;
use pintle::graph::Phase;
use pintle::lang::diagnostic::told;
use pintle::limits::{INSTANCE_BYTES_MAX, NAME_BYTES_MAX};
use pintle::status::{View, write_json_text};

/// Our own processes that are no services.
const OWN: [&str; 2] = ["pintle-log", "pintle-sweep"];
/// Of the names of control groups. See `host/supervisor/cgroups.rs`.
const SUFFIX: &[u8] = b".svc";
const SELF: &[u8] = b"/self";

/// How long the next one may take to tell of itself. Milliseconds.
const LOOK_MS: u32 = 1000;

/// All of them, in words or as objects of JSON. Whose mark we may not read is left out. A copy of us looks, since one of
/// them may let nobody read its environment for a while.
#[inline(never)]
pub fn strays(view: &View<'_>, json: bool) -> String {
    let mut text = Vec::new();
    // Its number means something where it was given.
    let is_here = words::load(view.reports.head(), own::SPACE) == space();
    let ends = if view.supervisor_alive && is_here { pipe::pair().ok() } else { None };
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
            Ok(0) => break,
            Err(_) => {
                let _ = signals::send(Target::Process(copy), SIGKILL); // it has not ended
                break;
            }
        }
    }
    String::from_utf8(text).unwrap_or_default()
}

/// Looks for them, and tells of each at once.
#[inline(never)]
fn look(view: &View<'_>, json: bool, tell: &mut dyn FnMut(String)) -> i32 {
    let mut before = "";
    let word = |at| words::load(view.reports.head(), at);
    let supervisor = word(own::SUPERVISOR_PID);
    let groups = path_of_group(supervisor).and_then(|path| path.strip_suffix(SELF).map(Vec::from)).unwrap_or_default();
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
        let marked = || match mark::of(pid) {
            Ok(name) => Some(name),
            Err(_) => (process::uid() == 0).then_some(None), // nobody can say whose it is
        };
        let Some(service) = group_of(pid, &groups).map_or_else(marked, |name| Some(Some(name))) else { return };
        // A mark is what its process makes of it.
        let service =
            service.and_then(|name| String::from_utf8(name).ok()).filter(|name| is_shown(name)).unwrap_or_default();
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

fn is_shown(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX + INSTANCE_BYTES_MAX && !name.contains(char::is_control)
}

/// The name of a process's program, fit for a terminal; empty where that cannot be read.
#[inline(never)]
pub fn name_of(pid: u32) -> String {
    let name = whole::read(process::path(pid, "comm").as_str().as_ref(), 64);
    let name = name.ok().and_then(Result::ok).map(|name| Shown(name.trim_ascii_end()).to_string()).unwrap_or_default();
    name.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

/// The path of its control group of version 2.
fn path_of_group(pid: u32) -> Option<Vec<u8>> {
    let text = whole::read(process::path(pid, "cgroup").as_str().as_ref(), 1 << 16).ok()?.ok()?;
    text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::")).map(Vec::from)
}

/// The service in whose control group it is, `groups` being that which has all of them.
#[inline(never)]
fn group_of(pid: u32, groups: &[u8]) -> Option<Vec<u8>> {
    let path = path_of_group(pid)?;
    let name = path.strip_prefix(groups)?.strip_prefix(b"/")?.split(|byte| *byte == b'/').next()?;
    name.strip_suffix(SUFFIX).map(Vec::from)
}
