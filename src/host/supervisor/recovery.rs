//! After a crash: the program has executed itself anew, and goes on from the board and from what is held. Processes,
//! pipes and doorbells are as they were; all else that was known is worked out again from rows that are never half
//! written. What a row owed is done once more rather than never.

use super::Supervisor;
use super::held::{Of, TOLD};
use super::pids::Owner;
use super::shutdown::Progress;
use super::{rare, survivors};
use crate::host::failure::Failure;
use crate::sys::Errno;
use crate::sys::errno::Words;
use crate::sys::output::Shown;
use crate::sys::signals::{self, SIGKILL, Target};
use crate::sys::spawn::Pending;
use crate::sys::{clock, output, process, reap};
use pintle::board::reports::{self, State};
use pintle::board::words;
use pintle::ident::SlotId;
use pintle::supervision::{Found, Record, Requests, Slot, recover};
use pintle::time::Instant;

/// So long the children of before may take to their exec, all together. Milliseconds.
const EXEC_MS: u32 = 50;

impl Supervisor {
    /// Goes on. Nothing has been done since the start but to take over descriptors.
    #[inline(never)]
    pub(super) fn go_on(&mut self) {
        self.now = clock::now();
        let head = self.reports.head();
        words::set_asleep(head, false);
        if self.held.was_upgrade() {
            if self.held.came_back() {
                self.report_upgrade(Errno::NOEXEC.number());
                output::say_now(format_args!(
                    "pintle: {} cannot go on: the program of before does",
                    Shown(self.program)
                ));
            } else {
                self.report_upgrade(0);
                output::say_now(format_args!("pintle: goes on as {}", Shown(self.program)));
            }
        } else {
            let recoveries = words::load(head, reports::own::RECOVERIES).wrapping_add(1);
            words::store(head, reports::own::RECOVERIES, recoveries);
            output::say_now(format_args!("pintle: goes on after a crash, the {recoveries}. of its life"));
        }
        self.shutdown = Progress::taken_over(&self.held);
        if self.held.word(TOLD) != 0 {
            self.begin_shutdown();
            self.held.put_word(TOLD, 0);
        }
        self.take_over_helpers();
        self.take_over_stored();
        if self.held.was_upgrade() {
            self.renew_helpers();
        }
        self.finish_change();
        words::push_all(self.reports.words());
        for slot in (0..self.reports.geometry().slots()).map(SlotId) {
            self.take_over_slot(slot);
        }
        // Nobody knows of which deaths the signals were read.
        self.more_deaths = true;
        self.dirty = true;
        self.to_engine.ring();
        self.held.is_taken_over();
    }

    /// Asked to: executes the file that our program came from, which may be another one by now.
    #[inline(never)]
    pub(super) fn upgrade(&mut self) {
        let opened = process::open_program(self.program);
        let error = opened.map_or_else(|error| error, |program| self.held.upgrade(program));
        output::say_now(format_args!("pintle: cannot execute {}: {}", Shown(self.program), Words(error)));
        self.report_upgrade(error.number());
    }

    fn report_upgrade(&self, error: u32) {
        let head = self.reports.head();
        let asked = words::load(head, reports::own::UPGRADES) >> 16;
        words::store(head, reports::own::UPGRADES, asked.wrapping_add(1) << 16 | error & 0xffff);
    }

    /// The row that was being written is whole now; what followed from it is done again.
    fn finish_change(&mut self) {
        let Some((slot, owed)) = self.reports.take_over() else { return };
        self.remember_instance(slot);
        let row = self.reports.get(slot);
        self.perform(slot, &Requests::of(owed), row.pid, row.auxiliary);
        self.reports.done();
    }

    #[inline(never)]
    fn take_over_slot(&mut self, slot: SlotId) {
        self.take_over_descriptors(slot);
        let mut before = [0; reports::ROW];
        let (true, Some(policy)) = (self.reports.read_words(slot, &mut before), &self.policy(slot)) else { return };
        let row = reports::ReportRow::of(&before);
        let stamp = words::load_u64(self.reports.head(), reports::own::STAMP);
        let mut taken = Slot {
            row,
            record: Record::of_words(&before),
            policy,
            now: self.now,
            stamp,
            salt: slot.0,
            requests: Requests::default(),
        };
        let main = self.news_of(slot, &row);
        self.take_over_group(&mut taken, slot, row.pid == 0 || main == Found::Gone);
        recover(&mut taken, main, found(row.auxiliary), Failure::LOST.0);
        if taken.stamp != stamp {
            words::store_u64(self.reports.head(), reports::own::STAMP, taken.stamp);
        }
        // What is gone is nobody's, and its number may be anybody's.
        if taken.row.pid != 0 {
            self.pids.insert(taken.row.pid, Owner::Main(slot));
        }
        if taken.row.auxiliary != 0 {
            self.pids.insert(taken.row.auxiliary, Owner::Auxiliary(slot));
        }
        // 0 in a row that was never written.
        if taken.row.deadline != Instant(0) {
            self.deadlines.set(slot, taken.record.due(&taken.row));
        }
        if row.auxiliary != 0
            && let Some(status) = self.held.take_of(slot, Of::CommandStatus)
        {
            self.watch(Owner::Auxiliary(slot), Pending::taken_over(row.auxiliary, status), false);
        }
        let mut fresh = before;
        taken.row.put(&mut fresh);
        taken.record.put(&mut fresh);
        self.write(slot, &before, &fresh, &taken.requests, true);
        if taken.row.state.is_down() {
            self.drop_stored(slot);
        }
    }

    fn take_over_descriptors(&mut self, slot: SlotId) {
        let Supervisor { held, link, slots, rare, .. } = self;
        let input = held.take_of(slot, Of::InputRead).zip(held.take_of(slot, Of::InputWrite));
        let has_input = input.is_some();
        if let Some(rare) = rare::of_mut(slots, rare, slot) {
            (rare.input, rare.notify) = (input, held.take_of(slot, Of::Notify));
        }
        let Some(private) = slots.get_mut(slot.index()) else { return };
        private.ready = held.take_of(slot, Of::Ready);
        private.log = held.take_of(slot, Of::LogRead).zip(held.take_of(slot, Of::LogWrite));
        for (is_there, ends) in
            [(private.log.is_some(), [Of::LogRead, Of::LogWrite]), (has_input, [Of::InputRead, Of::InputWrite])]
        {
            // Nothing has one end of a pipe.
            for end in ends.into_iter().filter(|_| !is_there) {
                held.hold(slot, end, None);
            }
        }
        if private.log.is_some() {
            if let Some(link) = link {
                link.known(slot);
            }
            self.remember_instance(slot);
        }
        self.watch_what_it_says(slot);
    }

    /// What became of the main process of a row. One that is on the way to its exec, without a pipe that would tell, is
    /// waited for, for a moment; where it hangs it is ended.
    fn news_of(&mut self, slot: SlotId, row: &reports::ReportRow) -> Found {
        let status = self.held.take_of(slot, Of::Status);
        let found = found(row.pid);
        if found == Found::Gone || row.pid == 0 || !matches!(row.state, State::Queued | State::Spawning) {
            self.held.hold(slot, Of::Status, None);
            return found;
        }
        if let Some(status) = status {
            self.watch(Owner::Main(slot), Pending::taken_over(row.pid, status), true);
            return Found::Unread;
        }
        loop {
            let ended = matches!(reap::look(row.pid), reap::Child::Ended(_));
            if survivors::has_executed(row.pid) {
                return Found::There;
            }
            if ended {
                return Found::Unexecuted;
            }
            if clock::now() > self.now.plus_ms(EXEC_MS) {
                let _ = signals::send(Target::Process(row.pid), SIGKILL);
                return Found::Unexecuted;
            }
            clock::sleep_ms(1);
        }
    }
}

fn found(pid: u32) -> Found {
    if pid != 0 && reap::look(pid) == reap::Child::Unknown { Found::Gone } else { Found::There }
}
