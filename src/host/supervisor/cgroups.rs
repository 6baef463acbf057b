//! Control groups: where the machine has a cgroup v2 that we may write, each service has one of its own, so that nothing
//! that it starts gets away. See "A control group for each service" in docs/decisions.md.
//!
//! Below the group that we were started in there is `pintle-XXXXXXXX`, named by the run directory, and in it `self`, where
//! we, the engine and the logger are, and `NAME.svc` for each service that has or had a process. Nothing outside of it is
//! ever changed, but for the controllers that services ask for, which the group that we were started in has to hand down.

use super::orphans::Name;
use super::{Source, Supervisor};
use crate::host::failure::Failure;
use crate::host::refuse::{refuse, refuse_call};
use crate::host::run_directory::{Place, RunDirectory};
use crate::sys::output::Shown;
use crate::sys::poll::Interest;
use crate::sys::spawn::Step;
use crate::sys::{AsFd, BorrowedFd, Errno, OwnedFd, cgroup, clock, file, process, whole};
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Write;
use pintle::board::reports::{self, State};
use pintle::crc32::Crc32;
use pintle::database::{Image, exec, service};
use pintle::ident::{Life, SlotId};
use pintle::lang::definition::KillMode;
use pintle::packed;
use pintle::setup;
use pintle::supervision::{Input, Slot, step};
use pintle::text::parts;
use pintle::words::Short;

const CONTROLS: &[u8] = b"cgroup.subtree_control";
/// Where we are ourselves.
const SELF: &[u8] = b"self";
/// Behind the name of a service, so that none is called as a file of the kernel's.
const SUFFIX: &[u8] = b".svc";
/// A symbolic link in the run directory to our groups.
const LINK: &CStr = c"cgroup";
/// How long what an earlier supervisor has left may take to end after SIGKILL. Milliseconds.
const LEFT_MS: u32 = 5000;

/// So many groups are removed before the kernel's news are looked at.
const REMOVALS: u32 = 8;

/// Our groups.
pub struct Cgroups {
    /// The one that has all others in it.
    all: OwnedFd,
    /// Its path.
    pub path: &'static [u8],
    /// The one that we were started in.
    outer: OwnedFd,
    /// Processes can be made in a group.
    pub clones: bool,
    /// What the one that we were started in had handed down before, by bits of `setup::CONTROLLERS`.
    pub before: u32,
}

/// Whether a slot has a group.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum Grouped {
    /// It has none.
    #[default]
    No,
    /// It has.
    Yes,
    /// It has had, and perhaps all that was in it has been killed. For the next life it is made anew: from Linux 6.14 on
    /// the kernel kills what is made in a group (CLONE_INTO_CGROUP) that was ever killed.
    Killed,
}

/// In which group a child is to be.
pub enum Group {
    /// Ours.
    Ours,
    /// This one, from its first instruction on.
    Into(OwnedFd),
    /// The one of this name, which the chain-loader enters: what has limits is not to meet them in our memory.
    Enter(Name),
}

impl Cgroups {
    /// Makes them, and goes into `self`. None: there is no cgroup v2 that we may write, or none with cgroup.kill (Linux
    /// 5.14), or nobody wants them. `begins`: what an earlier supervisor of the same run directory has left there is killed
    /// first.
    #[inline(never)]
    pub fn begin(place: &Place, image: &Image<'_>, begins: bool, wants: bool) -> Option<Cgroups> {
        let mut name = Short::new();
        let _ = write!(name, "pintle-{:08x}", key(place)); // fits
        let own_end = [b"/", name.as_bytes(), b"/", SELF].concat();
        let own = cgroup::own()?;
        // After a crash we are there already.
        let outer_path = own.strip_suffix(&own_end[..]).unwrap_or(&own);
        let path = whole::joined(outer_path, name.as_bytes());
        if let Some(run) = place.directory().filter(|_| begins) {
            end_earlier(run, &name, path);
        }
        if !wants {
            return None;
        }
        let outer = cgroup::open(outer_path).map_err(|error| mind_shortage(begins, error)).ok()?;
        cgroup::make(&outer, name.as_bytes()).ok()?;
        let made = || {
            let all = cgroup::open_in(&outer, name.as_bytes())?;
            // One in which all were killed is not to be ours: see `Grouped::Killed`.
            let is_fresh = !begins || wait_until_removed(&all, SELF);
            cgroup::make(&all, SELF)?;
            if !cgroup::has(&all, b"self/cgroup.kill") {
                return Err(Errno::NOSYS);
            }
            cgroup::write(&all, b"self/cgroup.procs", b"0")?;
            Ok((all, is_fresh && cgroup::can_clone_into()))
        };
        let Ok((all, clones)) = made().map_err(|error| mind_shortage(begins, error)) else {
            let _ = cgroup::remove(&outer, name.as_bytes());
            return None;
        };
        // Only those that are asked for, since each costs something; not to be had, the services that ask say so.
        let before = handed_down(&outer);
        for controller in wanted(image) {
            let word = [b"+", controller.as_bytes()].concat();
            let _ = cgroup::write(&outer, CONTROLS, &word);
            let _ = cgroup::write(&all, CONTROLS, &word);
        }
        if let Some(run) = place.directory() {
            let _ = run.directory().link(whole::lasting(Vec::from(path)), LINK); // for people, and the next one
        }
        Some(Cgroups { all, path, outer, clones, before })
    }

    fn each_service(&self, call: &mut dyn FnMut(&[u8])) {
        each_service(self.all.as_fd(), call);
    }

    /// SIGKILL to all that there is in them but ourselves.
    pub fn kill_all(&self) {
        self.each_service(&mut |name| {
            kill(&self.all, name);
        });
    }

    /// They are not needed any more. What cannot be removed stays: the next supervisor goes on with it.
    #[inline(never)]
    pub fn end(self) {
        self.each_service(&mut |name| while cgroup::remove(&self.all, name) == Err(Errno::AGAIN) {});
        let leave = || cgroup::write(&self.outer, b"cgroup.procs", b"0");
        if leave().is_err() {
            // A group that hands down controllers has no processes.
            for (at, controller) in setup::CONTROLLERS.iter().enumerate() {
                let word = [b"-", controller.as_bytes()].concat();
                let _ = cgroup::write(&self.all, CONTROLS, &word);
                if self.before >> at & 1 == 0 {
                    let _ = cgroup::write(&self.outer, CONTROLS, &word);
                }
            }
            let _ = leave();
        }
        let name = whole::split(self.path).1;
        let _ = cgroup::remove(&self.outer, name);
    }
}

/// To begin without groups for want of something would be for ever; and where a supervisor goes on, services are in them.
fn mind_shortage(begins: bool, error: Errno) {
    if matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOMEM) || !begins && error.may_pass() {
        refuse_call(packed!("cannot have control groups"), error);
    }
}

/// What the run directory is, in one word: no two supervisors have the same at one time.
fn key(place: &Place) -> u32 {
    let mut sum = Crc32::default();
    match place {
        Place::Directory(run) => {
            let identity = file::Identity::of_file(run.directory().fd()).unwrap_or_default();
            sum.update(&identity.device.to_le_bytes());
            sum.update(&identity.inode.to_le_bytes());
        }
        Place::Abstract(name) => {
            sum.update(name);
            sum.update(&process::pid().to_le_bytes());
            sum.update(&file::Identity::of_path("/proc/self/ns/pid").inode.to_le_bytes());
        }
    }
    sum.sum()
}

/// The controllers that a group hands down, by bits of `setup::CONTROLLERS`.
fn handed_down(group: &OwnedFd) -> u32 {
    let mut room = [0; 256];
    let read = || file::read(cgroup::open_file(group, CONTROLS)?, &mut room);
    let count = { read }().unwrap_or_default();
    let text = str::from_utf8(&room[..count]).unwrap_or_default().trim_ascii_end();
    let has = |controller| parts(text, b' ').any(|one| one == controller);
    (0..).zip(setup::CONTROLLERS).map(|(at, controller)| u32::from(has(controller)) << at).sum()
}

/// Removes a group whose processes are about to end; `false` where they do not for a while.
fn wait_until_removed(all: &OwnedFd, name: &[u8]) -> bool {
    let until = clock::now().plus_ms(LEFT_MS);
    while cgroup::remove(all, name).is_err() {
        if clock::now() >= until {
            return false;
        }
        clock::sleep_ms(1);
    }
    true
}

/// The controllers that limits of services take.
fn wanted(image: &Image<'_>) -> impl Iterator<Item = &'static str> {
    let mut bits = 0;
    for slot in (0..image.services()).map(SlotId) {
        let list = image.list(image.exec(image.service(slot, service::EXEC), exec::SETUP));
        for at in (0..list.len()).step_by(2) {
            bits |= setup::controller(list.get(at) as u8).map_or(0, |(at, _)| 1 << at);
        }
    }
    setup::CONTROLLERS.iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1).map(|(_, name)| *name)
}

fn each_service(all: BorrowedFd<'_>, call: &mut dyn FnMut(&[u8])) {
    let _ = cgroup::each(all, &mut |name| {
        if name.ends_with(SUFFIX) {
            call(name);
        }
        true
    });
}

/// Whether all in a group have got SIGKILL. One that is gone is well.
fn kill(all: &OwnedFd, name: &[u8]) -> bool {
    let done = cgroup::write(all, &in_group(name, b"/cgroup.kill"), b"1");
    matches!(done, Ok(()) | Err(Errno::NOENT | Errno::NODEV))
}

fn in_group(name: &[u8], file: &[u8]) -> Name {
    let mut path = Name::new();
    let _ = path.extend_from_slice(name).and_then(|()| path.extend_from_slice(file)); // `Name` has room for both
    path
}

/// What a supervisor of this run directory that was killed outright has left in its groups is ended. Whoever it is, we
/// hold its lock.
#[inline(never)]
fn end_earlier(run: &RunDirectory, name: &str, path: &[u8]) {
    let link = whole::link(whole::joined(run.path(), LINK.to_bytes())).unwrap_or(path);
    let earlier = if link.ends_with(name.as_bytes()) { link } else { path };
    for path in [earlier, path] {
        let Ok(all) = cgroup::open(path) else { continue };
        each_service(all.as_fd(), &mut |name| {
            kill(&all, name);
        });
        let until = clock::now().plus_ms(LEFT_MS);
        each_service(all.as_fd(), &mut |name| {
            while cgroup::is_occupied(&all, name) {
                if clock::now() >= until {
                    let (path, name) = (Shown(path), Shown(name));
                    refuse(
                        111,
                        format_args!("what an earlier supervisor has left behind in {path}/{name} cannot be ended"),
                    );
                }
                clock::sleep_ms(1);
            }
            let _ = cgroup::remove(&all, name);
        });
    }
}

impl Supervisor {
    /// The name of the slot's group.
    fn name_of_group(&self, slot: SlotId) -> Name {
        let mut name = self.name_of(slot);
        let _ = name.extend_from_slice(SUFFIX); // `Name` has room
        name
    }

    /// The group in which a process of the slot is to be, made where it is not there. `enters`: it was tried to make one in
    /// it.
    #[inline(never)]
    pub(super) fn group_for(&mut self, slot: SlotId, definition: SlotId, enters: bool) -> Result<Group, Failure> {
        let failed = |error| Failure::of_step(Step::Cgroup, error, 0);
        let name = self.name_of_group(slot);
        let word = |word| self.reports.word(slot, word);
        let lives = word(reports::PID) != 0 || word(reports::AUXILIARY) != 0;
        let Some(cgroups) = &self.cgroups else { return Ok(Group::Ours) };
        let Some(private) = self.slots.get_mut(slot.index()) else { return Ok(Group::Ours) };
        // Where there is somebody, or it takes too long, who comes now goes in by himself: that is not what kills.
        let mut enters = enters || !cgroups.clones;
        if private.grouped == Grouped::Killed {
            enters |= lives || cgroup::remove(&cgroups.all, &name).is_err();
        }
        if private.grouped != Grouped::Yes {
            cgroup::make(&cgroups.all, &name).map_err(failed)?;
            if !lives {
                private.grouped = if enters { Grouped::Killed } else { Grouped::Yes };
            }
        }
        // (Once a definition can change under a slot, limits of the one before count, too.)
        let image = &self.common.image;
        let list = image.list(image.exec(image.service(definition, service::EXEC), exec::SETUP));
        let limited = (0..list.len()).step_by(2).any(|at| setup::controller(list.get(at) as u8).is_some());
        if limited || enters {
            return Ok(Group::Enter(name));
        }
        let opened = cgroup::open_in(&cgroups.all, &name).map(Group::Into).map_err(failed);
        if opened.is_err() {
            private.grouped = Grouped::Killed; // somebody has removed it
        }
        opened
    }

    /// Where the slot has no process any more, its group goes when there is nothing else to do.
    pub(super) fn mind_group(&mut self, slot: SlotId, state: u32) {
        let grouped = self.slots.get(slot.index()).is_some_and(|private| private.grouped != Grouped::No);
        if grouped && State::from_number(state).is_in(State::DOWN) {
            self.empty_groups = self.empty_groups.max(slot.0 + 1);
        }
    }

    /// Removes some groups that nobody needs. One where somebody is to stay stays.
    #[inline(never)]
    pub(super) fn remove_groups(&mut self) {
        let mut left = REMOVALS;
        while let Some(slot) = self.empty_groups.checked_sub(1).map(SlotId).filter(|_| left > 0) {
            self.empty_groups = slot.0;
            let is_down = State::from_number(self.reports.word(slot, reports::STATE)).is_in(State::DOWN);
            if is_down && self.slots[slot.index()].grouped != Grouped::No {
                left -= 1;
                if self.remove_group(slot) == Err(Errno::AGAIN) {
                    self.empty_groups = slot.0 + 1;
                }
            }
        }
    }

    fn remove_group(&mut self, slot: SlotId) -> Result<(), Errno> {
        let name = self.name_of_group(slot);
        let Some(cgroups) = &self.cgroups else { return Ok(()) };
        cgroup::remove(&cgroups.all, &name)?;
        self.slots[slot.index()].grouped = Grouped::No;
        Ok(())
    }

    /// SIGKILL to all that is in the slot's group; with `watches` its end is waited for.
    #[inline(never)]
    pub(super) fn kill_group_of(&mut self, slot: SlotId, watches: bool) {
        if self.cgroups.is_none() && watches {
            return self.end_orphans_of(slot);
        }
        let name = self.name_of_group(slot);
        let Supervisor { cgroups: Some(cgroups), slots, poll, .. } = self else { return };
        let Some(private) = slots.get_mut(slot.index()) else { return };
        private.grouped = Grouped::Killed;
        let killed = kill(&cgroups.all, &name);
        if watches
            && private.events.is_none()
            && let Ok(events) = cgroup::open_file(&cgroups.all, &in_group(&name, b"/cgroup.events"))
            // Not read yet, so that it is news at once.
            && poll.add(&events, Source::Group(slot.0).token(), Interest::FAULT).is_ok()
        {
            private.events = Some(events);
        }
        if watches && (private.events.is_none() || !killed) {
            self.end_orphans_of(slot); // it is tried again and again
        }
    }

    /// Whether there is anybody in the slot's group; `None`: it has none.
    #[inline(never)]
    fn is_occupied(&self, slot: SlotId) -> Option<bool> {
        let cgroups = self.cgroups.as_ref()?;
        let private = self.slots.get(slot.index())?;
        if private.grouped == Grouped::No && private.events.is_none() {
            return None;
        }
        // Read, it is no news any more. What cannot be read is gone.
        let seems = private.events.as_ref().is_none_or(|events| cgroup::is_populated(events) == Ok(true));
        Some(seems && cgroup::is_occupied(&cgroups.all, &self.name_of_group(slot)))
    }

    /// Looks whether there is anybody left of a slot, and says so. True where somebody was and is not any more.
    #[inline(never)]
    pub(super) fn look_for_rest(&mut self, slot: SlotId) -> bool {
        if !self.is_killed_whole(slot) {
            return false;
        }
        if self.cgroups.is_none() {
            self.look_among_orphans(slot);
            return false;
        }
        match self.is_occupied(slot) {
            Some(true) => {
                self.feed(slot, Input::Occupied);
            }
            Some(false) => {
                if let Some(events) = self.slots[slot.index()].events.take() {
                    let _ = self.poll.remove(&events); // it may be gone
                }
                if self.record(slot).rest {
                    self.feed(slot, Input::Emptied);
                    return true;
                }
            }
            None => {}
        }
        false
    }

    fn is_killed_whole(&self, slot: SlotId) -> bool {
        self.policy(slot).is_some_and(|policy| policy.kill_mode == KillMode::All)
    }

    /// Before an input that may be a slot's last: one that has no process, but perhaps has left some.
    pub(super) fn look_where_none_runs(&mut self, slot: SlotId) -> bool {
        let word = |word| self.reports.word(slot, word);
        State::from_number(word(reports::STATE)).has_process() && word(reports::PID) == 0 && self.look_for_rest(slot)
    }

    /// Before an order to a slot that has no process: an instance may get another name.
    pub(super) fn forget_group(&mut self, slot: SlotId) {
        let grouped = self.slots.get(slot.index()).is_some_and(|private| private.grouped != Grouped::No);
        if grouped && slot.0 >= self.common.image.services() {
            let _ = self.remove_group(slot); // what stays goes in the end
            self.slots[slot.index()].grouped = Grouped::No;
        }
    }

    /// No process could be made there, or one was killed: perhaps the group is gone, or somebody has killed all that was in
    /// it. The next one finds it made anew, where nobody is in it.
    pub(super) fn doubt_group(&mut self, slot: SlotId) {
        if let Some(private) = self.slots.get_mut(slot.index()).filter(|private| private.grouped == Grouped::Yes) {
            private.grouped = Grouped::Killed;
        }
    }
}

impl Supervisor {
    /// After a crash: whether the slot has left anybody. `alone`: no process of it is known.
    pub(super) fn take_over_group(&mut self, taken: &mut Slot<'_>, slot: SlotId, alone: bool) {
        if taken.row.life == Life(0) && !taken.row.state.has_process() {
            return;
        }
        let all = taken.policy.kill_mode == KillMode::All;
        if self.cgroups.is_none() {
            return if all {
                self.take_over_orphans(taken, slot, alone)
            };
        }
        self.remember_instance(slot);
        if let Some(private) = self.slots.get_mut(slot.index()) {
            // Nobody knows; but where somebody lives nobody was killed.
            private.grouped = if alone { Grouped::Killed } else { Grouped::Yes };
        }
        if !all {
            return;
        }
        match self.is_occupied(slot) {
            Some(true) if alone => step(taken, Input::Occupied),
            Some(false) => step(taken, Input::Emptied),
            Some(true) | None => {}
        }
    }
}
