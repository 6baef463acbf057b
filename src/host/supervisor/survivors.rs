//! What an earlier supervisor of the same run directory left behind when it was killed outright. It is ended before
//! anything is started, so that no service ever has two copies. Only what is surely one of its processes is touched:
//! the same boot and pid namespace, a session of its own, and its mark or the time at which it began.

use crate::host::mark;
use crate::host::reading::copies;
use crate::host::refuse::refuse;
use crate::host::run_directory::RunDirectory;
use crate::sys::signals::{self, Target};
use crate::sys::{clock, file, output, process};
use alloc::vec::Vec;
use pintle::board::words;
use pintle::board::{Geometry, reports};
use pintle::crc32::Crc32;
use pintle::database::Image;
use pintle::ident::SlotId;
use pintle::packed;

/// How long they may take to end after SIGTERM, and then after SIGKILL (`true`). Milliseconds.
static GRACE: [(u32, bool); 2] = [(5000, false), (2000, true)];
/// How often they are looked at meanwhile. Milliseconds.
const LOOK_MS: u32 = 10;
/// How far apart the time of a spawn and the kernel's time of the process's beginning may be. Nanoseconds.
const APART_NS: u64 = 2_000_000_000;

/// Processes that live, and when each began by the kernel's word.
pub struct Survivors(Vec<(u32, u64)>);

impl Survivors {
    /// Those of the run directory's last supervisor, which is gone: we hold its lock. `None`: there are none.
    #[inline(never)]
    pub fn find(run: &RunDirectory) -> Option<Survivors> {
        let (database, copy) = copies(run, false)?;
        let image = Image::open_copy(&database).ok()?;
        let geometry = Geometry::of(&image);
        let said = words::load(&copy, reports::own::SPACE);
        if said == 0 || said != space() {
            return None;
        }
        let rows = reports::Reports::new(&copy, geometry);
        let asleep_ns = clock::since_boot().0.saturating_sub(clock::now().0);
        let mut found = Vec::new();
        for slot in (0..geometry.slots()).map(SlotId) {
            let row = rows.read(slot).unwrap_or_default();
            // The kernel writes these words; the row may not have been written any more.
            for pid in &[rows.word(slot, reports::PID), rows.word(slot, reports::AUXILIARY)] {
                if let 2.. = *pid
                    && let Some((session, began_ns)) = look(*pid)
                    && session == *pid
                    && (is_within(began_ns.wrapping_sub(asleep_ns), &row)
                        || mark::of(*pid).is_ok_and(|name| name.is_some()))
                {
                    found.push((*pid, began_ns));
                }
            }
        }
        (!found.is_empty()).then_some(Survivors(found))
    }

    /// Ends them: SIGTERM, and after a while SIGKILL to their groups. What cannot be ended is a reason not to go on.
    #[inline(never)]
    pub fn end(mut self) {
        let count = self.0.len();
        let what = packed!("processes that an earlier supervisor has left behind are ended first");
        output::say(format_args!("pintle: {what}: {count}"));
        for (grace_ms, kills) in &GRACE {
            for (pid, _) in &self.0 {
                let target = if *kills { Target::Group(*pid) } else { Target::Process(*pid) };
                let _ = signals::send(target, if *kills { signals::SIGKILL } else { signals::SIGTERM }); // gone: well
            }
            // Counted in looks: a machine that stands still for a while leaves as many.
            for _ in 0..grace_ms / LOOK_MS {
                let mut at = 0;
                while let Some((pid, began_ns)) = self.0.get(at).copied() {
                    if look(pid).is_some_and(|(_, its)| its == began_ns) {
                        at += 1;
                    } else {
                        // What it has left in its group.
                        let _ = signals::send(Target::Group(pid), signals::SIGKILL);
                        self.0.swap_remove(at);
                    }
                }
                if at == 0 {
                    break;
                }
                clock::sleep_ms(LOOK_MS);
            }
        }
        if let Some((pid, _)) = self.0.first() {
            refuse(111, format_args!("process {pid}, left behind by an earlier supervisor, cannot be ended"));
        }
    }
}

/// A checksum of this boot and our pid namespace; 0 where /proc does not tell.
pub fn space() -> u32 {
    let mut boot = [0; 64];
    let there = file::read_start("/proc/sys/kernel/random/boot_id", &mut boot).is_ok_and(|text| !text.is_empty());
    let inode = file::Identity::of_path("/proc/self/ns/pid").inode;
    if !there || inode == 0 {
        return 0;
    }
    let mut sum = Crc32::default();
    sum.update(&boot);
    sum.update(&inode.to_le_bytes());
    sum.sum().max(1)
}

/// Whether a process began with the life of this row, or before that was up: as one that goes into the background does.
fn is_within(began_ns: u64, row: &reports::ReportRow) -> bool {
    let last = if row.ready == 0 { row.spawned } else { row.since.max(row.spawned) };
    row.spawned.0.saturating_sub(APART_NS) < began_ns && began_ns < last.0.saturating_add(APART_NS)
}

/// Of a process that is no zombie: its session, and when it began, in nanoseconds since boot.
#[inline(never)]
fn look(pid: u32) -> Option<(u32, u64)> {
    let stat = process::Stat::of(pid)?;
    stat.lives().then_some((stat.session, stat.began_ns))
}

/// Whether a child that may be a zombie has executed a program since it was cloned. It has, where /proc does not tell.
pub fn has_executed(pid: u32) -> bool {
    const PF_FORKNOEXEC: u32 = 0x40; // linux/sched.h
    process::Stat::of(pid).is_none_or(|stat| stat.flags & PF_FORKNOEXEC == 0)
}
