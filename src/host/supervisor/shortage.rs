//! What is put off for want of something that may be there again soon: it is tried again every `RETRY_MS`, and we sleep
//! in between. What cannot begin at all is a death that policy knows (`Trouble::Passing`), and none of this.

use super::children::EDGE;
use super::{Source, Supervisor, rare};
use crate::host::failure::Failure;
use crate::sys::output::{self, Shown};
use crate::sys::poll::Interest;
use pintle::ident::SlotId;
use pintle::supervision::{RETRY_MS, Role, Trouble};
use pintle::time::Instant;

impl Supervisor {
    /// A command of a slot could not be spawned: says so, once, and whether it is tried again instead of being given up,
    /// which would lose what it is for. Not where a process is to end by it, and half of the time for that is over: that is
    /// told to end, and has the other half.
    #[inline(never)]
    pub(super) fn puts_off(&mut self, slot: SlotId, failure: Failure) -> bool {
        let row = self.reports.get(slot);
        let Some((policy, role)) = self.policy(slot).zip(self.record(slot).role) else { return false };
        let stays_ms = if role == Role::Stop && row.pid != 0 { policy.stop_timeout_ms / 2 } else { RETRY_MS };
        let what = match role {
            Role::PreStart => return false, // without it there is no life, and policy has its reason
            Role::Stop => "stop",
            Role::Reload => "reload",
            Role::Cleanup => "cleanup",
            Role::Check => "ready",
            Role::Health => "health",
        };
        let name = self.name_of(slot);
        let private = &mut self.slots[slot.index()];
        let lacks = failure.0.to_le_bytes().into_iter().fold(0, |sum, byte| sum ^ byte).max(1);
        if core::mem::replace(&mut private.lacks, lacks) != lacks {
            output::say_now(format_args!("pintle: {}: {what}: {failure}", Shown(&name)));
        }
        // Checks come again in any case.
        let again = !matches!(role, Role::Check | Role::Health) && failure.trouble() == Trouble::Passing;
        private.put_off = again && self.now.plus_ms(stays_ms) < row.deadline;
        if private.put_off {
            self.again = self.again.min(self.now.plus_ms(RETRY_MS));
        }
        private.put_off
    }

    /// What a service says is looked at after a while.
    pub(super) fn watch_later(&mut self, slot: SlotId) {
        let Some(private) = self.slots.get_mut(slot.index()) else { return };
        private.unwatched = true;
        self.again = self.again.min(self.now.plus_ms(RETRY_MS));
        if let Some(notify) = rare::of(&self.slots, &self.rare, slot).and_then(|rare| rare.notify.as_ref()) {
            let _ = self.poll.change(notify, Source::Notify(slot.0).token(), Interest::NONE);
        }
    }

    /// Puts the ways on which a service says something into the poll.
    #[inline(never)]
    pub(super) fn watch_what_it_says(&mut self, slot: SlotId) {
        let Supervisor { slots, rare, poll, .. } = self;
        let Some(private) = slots.get(slot.index()) else { return };
        let ready = private.ready.as_ref().map(|fd| (fd, Source::Ready(slot.0), EDGE));
        let notify = rare::of(slots, rare, slot).and_then(|rare| rare.notify.as_ref());
        let notify = notify.map(|fd| (fd, Source::Notify(slot.0), Interest::READ));
        let mut ways = ready.into_iter().chain(notify);
        // Each is there already, or is not.
        let fails = ways.any(|(fd, source, interest)| {
            poll.change(fd, source.token(), interest).or_else(|_| poll.add(fd, source.token(), interest)).is_err()
        });
        if fails {
            self.watch_later(slot);
        }
    }

    /// Tries again what was put off.
    pub(super) fn mind_shortage(&mut self) {
        if self.now < self.again {
            return;
        }
        self.again = Instant::NEVER;
        for slot in (0..self.slots.len() as u32).map(SlotId) {
            let Some(private) = self.slots.get_mut(slot.index()) else { return };
            let unwatched = core::mem::take(&mut private.unwatched);
            if core::mem::take(&mut private.put_off) {
                self.enqueue(slot, false);
            }
            if unwatched {
                self.watch_what_it_says(slot);
                self.read_ready(slot);
            }
        }
    }
}
