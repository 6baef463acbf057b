//! What a trigger does that fires while a oneshot with `remain = no` runs: `overlap`.

use super::fact::Fact;
use super::memory::{Set, Table, queued, text};
use super::slot::state;
use super::transaction::Wanted;
use super::{Engine, Outcome};
use crate::board::orders::PASS_BYTES_MAX;
use crate::database::service::flags;
use crate::database::{policy, service};
use crate::graph::Hold;
use crate::ident::SlotId;
use crate::lang::definition::Overlap;

impl Engine<'_> {
    /// A trigger has fired and laid its hold: the start takes the fact's attributes, or the run that is under way goes
    /// by `overlap`.
    pub(super) fn begin_or_overlap(&mut self, at: SlotId, fact: Option<Fact<'_>>) {
        let (process, record) = (self.process(at), self.record(at));
        let lives = process.active() && process.wished_up();
        let (mut table, mut field, mut wanted) = (Table::Texts, text::PASS, Wanted::Up);
        if lives {
            if self.image.flags(record) & flags::NO_REMAIN == 0 {
                // What is up is what was asked for, as it is.
                return self.note(at, wanted);
            }
            match self.image.policy(self.image.service(record, service::POLICY), policy::OVERLAP) {
                word if word == Overlap::Skip as u32 => return,
                word if word == Overlap::Restart as u32 => {
                    self.memory.put_state(at, self.memory.state(at) | state::RESTART_WANTED);
                    self.memory.insert(Set::Stop, at);
                }
                _ => {
                    self.memory.put_state(at, self.memory.state(at) | state::QUEUED);
                    self.mark_published(at);
                    (table, field, wanted) = (Table::Queued, queued::PASS, Wanted::Next);
                }
            }
        }
        // What is queued without any takes none of an earlier run's.
        if fact.is_some() || wanted == Wanted::Next {
            self.keep_pass(at, fact.map_or(b"", Fact::text), table, field);
        }
        self.note(at, wanted);
    }

    /// A run has ended, and the one that was queued is due. It is told as an end and a beginning, though nobody sees it
    /// down.
    pub(super) fn run_again(&mut self, at: SlotId) {
        let phase = self.phase(at);
        self.tell_phase(at, phase);
        self.end_run(at, Outcome::of_phase(phase));
        self.drop_holds_of_done(at, Hold::Trigger as u32);
        self.drop_queued(at);
        self.memory.put_state(at, self.memory.state(at) | state::FORGIVEN);
        if let Some(row) = self.text_row(at) {
            for word in 0..PASS_BYTES_MAX / 4 {
                let value = self.memory.word(Table::Queued, row, queued::PASS + word);
                self.memory.put(Table::Texts, row, text::PASS + word, value);
            }
        }
    }

    /// Whatever was queued is not wanted any more.
    pub(super) fn drop_queued(&self, at: SlotId) {
        self.memory.put_state(at, self.memory.state(at) & !state::QUEUED);
        self.mark_published(at);
    }
}
