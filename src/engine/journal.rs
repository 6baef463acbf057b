//! The journal: what the engine was told, what it decided, what moved, in order. See `graph/mod.rs`.
//!
//! It is a ring of words in blocks. A block begins with the number of the first line in it, and repeats what its
//! records stand in (time, transaction, a name), so that it can be read without the one before; a record lies in one
//! block. Where the ring ends and the next line's number are facts, written once a step; the records themselves are not
//! logged: what a step that is undone has written lies behind the end. What it has overwritten is gone: `JOURNAL_BEGIN`
//! moves before a block is taken anew, and never back. Where that is behind the end, nothing is left. (A step that dies
//! before it has changed any fact, as one that is refused, may stand here all the same: it is told again.)
//!
//! It decides nothing, and whoever reads it bears with any words.

use core::cell::Cell;
use core::sync::atomic::{Ordering, compiler_fence};

use super::memory::{JOURNAL_BEGIN, SEALS, STEP, next_word};
use super::{Engine, Input, Name, Refusal, Target};
use crate::graph::Phase;
use crate::ident::SlotId;
use crate::limits::{FACT_BYTES_MAX, INSTANCE_BYTES_MAX, JOURNAL_BLOCK_WORDS};
use crate::time::Instant;

mod record;

pub(super) use record::number_of_refusal;
pub use record::{Cursor, Kind, Record, Text};
use record::{EXTRA, EXTRA_SHIFT, KIND_SHIFT, KINDS, NOBODY, SLOT, WORDS_MAX, first_word, number_of};

const BLOCK: u32 = JOURNAL_BLOCK_WORDS;

/// What is being written. Positions count words without end.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    end: Cell<u32>,
    /// Number of the next line.
    number: Cell<u32>,
    /// This step has written, in this block.
    stepped: Cell<bool>,
    /// The input, if there was one.
    told: Cell<Option<Kind>>,
    /// What is repeated where a block begins: the transaction, and the slot that was named (plus one).
    within: Cell<u32>,
    named: Cell<u32>,
    /// Which of the two seals is the newest.
    newest: Cell<usize>,
}

impl Writer {
    /// Whether this step's input was a fact, which what follows is about.
    pub(super) fn was_told_fact(&self) -> bool {
        self.told.get().is_some_and(Kind::has_fact)
    }
}

impl<'a> Engine<'a> {
    /// Goes on where the last finished step ended.
    #[inline(never)]
    pub(super) fn open_journal(&mut self) {
        let newest = self.memory.newest_seal();
        self.journal.newest.set(newest);
        let [begin, end, number] =
            [JOURNAL_BEGIN, SEALS[newest] + 1, SEALS[newest] + 2].map(|word| self.memory.get(word));
        let lost = end.wrapping_sub(begin) > self.memory.ring.len() as u32;
        self.journal.end.set(if lost { begin } else { end });
        self.journal.number.set(number.max(1));
    }

    /// What this step has written counts, if the step does.
    #[inline(always)]
    pub(super) fn seal_journal(&self) {
        if self.journal.stepped.get() {
            self.seal_what_is_written();
        }
    }

    #[inline(never)]
    fn seal_what_is_written(&self) {
        let journal = &self.journal;
        // Something was moved by the time, before an input of which nothing came.
        if journal.told.take().is_none() {
            self.jot_input(Kind::Tick, 0, NOBODY, &[], b"");
            journal.told.set(None);
        }
        journal.stepped.set(false);
        journal.within.set(0);
        journal.named.set(0);
        let seal = 1 - journal.newest.get();
        journal.newest.set(seal);
        self.memory.set(SEALS[seal] + 1, journal.end.get());
        self.memory.set(SEALS[seal] + 2, journal.number.get());
        compiler_fence(Ordering::SeqCst);
        self.memory.set(SEALS[seal], self.memory.get(STEP));
    }

    /// Writes words at the end, where there is room for them.
    fn put_journal(&self, words: &[u32]) {
        let end = self.journal.end.get();
        let at = end as usize & self.memory.ring.len().wrapping_sub(1);
        if let Some(places) = self.memory.ring.get(at..at + words.len()) {
            for (place, word) in places.iter().zip(words) {
                place.store(*word, Ordering::Relaxed);
            }
        }
        self.journal.end.set(end.wrapping_add(words.len() as u32));
    }

    #[inline(always)]
    fn put_word(&self, word: u32) {
        let end = self.journal.end.get();
        if let Some(place) = self.memory.ring.get(end as usize & self.memory.ring.len().wrapping_sub(1)) {
            place.store(word, Ordering::Relaxed);
        }
        self.journal.end.set(end.wrapping_add(1));
    }

    /// Begins a block unless so many words fit in this one.
    #[inline(always)]
    fn make_journal_room(&self, words: u32) {
        let used = self.journal.end.get() % BLOCK;
        if used == 0 || used + words > BLOCK {
            self.begin_block();
        }
    }

    #[inline(never)]
    fn begin_block(&self) {
        let end = self.journal.end.get();
        let length = self.memory.ring.len() as u32;
        let start = end.wrapping_add(BLOCK - 1) & !(BLOCK - 1);
        if start != end {
            self.put_journal(&[0]);
            self.journal.end.set(start);
        }
        let oldest = start.wrapping_sub(length - BLOCK);
        if oldest.wrapping_sub(self.memory.get(JOURNAL_BEGIN)) as i32 > 0 {
            self.memory.set(JOURNAL_BEGIN, oldest);
            compiler_fence(Ordering::SeqCst);
        }
        self.put_journal(&[self.journal.number.get()]);
        self.journal.named.set(0);
        if self.journal.stepped.get() {
            let within = self.journal.within.get();
            self.put_going();
            if within != 0 {
                self.put_within(within);
            }
        }
    }

    /// The step goes on without an input, or in a new block.
    fn put_going(&self) {
        self.put_record(Kind::Going, 0, NOBODY, &[], b"");
        self.journal.within.set(0);
    }

    fn put_within(&self, number: u32) {
        self.put_record(Kind::Within, 0, NOBODY, &[number], b"");
        self.journal.within.set(number);
    }

    fn count_line(&self) {
        self.journal.number.set(self.journal.number.get().wrapping_add(1));
    }

    #[inline(always)]
    fn is_journal_off(&self) -> bool {
        self.memory.ring.is_empty()
    }

    /// An input.
    #[inline(never)]
    pub(super) fn jot_input(&self, kind: Kind, extra: u32, slot: SlotId, words: &[u32], text: &[u8]) {
        if self.is_journal_off() {
            return;
        }
        self.make_journal_room(3 + words.len() as u32 + text.len().div_ceil(4) as u32);
        self.journal.stepped.set(true);
        self.journal.told.set(Some(kind));
        self.journal.within.set(0);
        self.put_record(kind, extra, slot, words, text);
    }

    /// A record, for which there is room.
    #[inline(never)]
    fn put_record(&self, kind: Kind, extra: u32, slot: SlotId, words: &[u32], text: &[u8]) {
        self.put_word(first_word(kind, if text.is_empty() { extra } else { text.len() as u32 }, slot));
        if kind.has_time() {
            self.put_journal(&[self.now.0 as u32, (self.now.0 >> 32) as u32]);
        }
        self.put_journal(words);
        self.put_text(text);
        if kind.is_line() {
            self.count_line();
        }
    }

    /// A decision, a move, or more of an input.
    #[inline(never)]
    pub(super) fn jot(&self, kind: Kind, extra: u32, slot: SlotId, words: &[u32], text: &[u8]) {
        if self.is_journal_off() {
            return;
        }
        self.begin_jot(1 + words.len() as u32 + text.len().div_ceil(4) as u32);
        self.put_record(kind, extra, slot, words, text);
    }

    /// Makes room for so many words of a step that goes on.
    #[inline(always)]
    fn begin_jot(&self, words: u32) {
        self.make_journal_room(words + 3);
        if !self.journal.stepped.get() {
            self.journal.stepped.set(true);
            self.put_going();
        }
    }

    fn put_text(&self, mut text: &[u8]) {
        while !text.is_empty() {
            self.put_word(next_word(&mut text));
        }
    }

    /// A line about a slot, with its transaction and, of an instance, its name.
    #[inline(never)]
    pub(super) fn jot_of(&self, kind: Kind, extra: u32, slot: SlotId, transaction: u32, words: &[u32]) {
        if self.is_journal_off() {
            return;
        }
        // In one block with what it refers to.
        self.begin_jot(2 + 2 + INSTANCE_BYTES_MAX.div_ceil(4) as u32 + 1 + words.len() as u32);
        self.jot_within(transaction);
        if self.journal.named.get() != slot.0 + 1 && self.is_instance(slot) {
            self.jot(Kind::Named, 0, slot, &[self.record(slot).0], self.instance_part(slot).as_bytes());
            self.journal.named.set(slot.0 + 1);
        }
        self.jot(kind, extra, slot, words, b"");
    }

    /// A change of a phase. They are many.
    #[inline(never)]
    pub(super) fn jot_phase(&self, at: SlotId, old: Phase, new: Phase) {
        // A report goes on saying it in the next life.
        let has_ended = self.exit_of == Some(at) && matches!(new, Phase::Restarting | Phase::Failed);
        let ended = if has_ended { self.exit.to_word() >> 8 & 15 } else { 0 };
        let (extra, transaction) = (old as u32 | (new as u32) << 4 | ended << 8, self.transaction_of(at));
        if at.0 >= self.services() || transaction != self.journal.within.get() || self.is_journal_off() {
            return self.jot_of(Kind::Phase, extra, at, transaction, &[]);
        }
        self.begin_jot(1);
        self.put_word(first_word(Kind::Phase, extra, at));
        self.count_line();
    }

    pub(super) fn jot_within(&self, number: u32) {
        if self.journal.within.get() != number {
            self.jot(Kind::Within, 0, NOBODY, &[number], b"");
            self.journal.within.set(number);
        }
    }

    /// An input as it comes, before anything is done about it. A report is recorded when it is known what it changes.
    #[inline(never)]
    pub(super) fn jot_told(&self, input: &Input<'_>) {
        let (kind, words, fact): (Kind, &[u32], &[u8]) = match *input {
            Input::Report(..) | Input::Boot(_) | Input::Shutdown(_) | Input::LeaseGone(_) | Input::Tick => return,
            Input::Command { verb, targets, uid } => {
                self.jot_input(Kind::Command, number_of(verb), NOBODY, &[uid], b"");
                for target in targets {
                    match *target {
                        Target::Slot(at) if self.is_instance(at) => {
                            self.jot_of(Kind::Target, 0, at, 0, &[]);
                        }
                        Target::Slot(at) => self.jot(Kind::Target, 0, at, &[], b""),
                        Target::New { template, name } => {
                            let name = name.get(..name.len().min(INSTANCE_BYTES_MAX + 1)).unwrap_or_default();
                            self.jot(Kind::NewTarget, 0, template, &[], name);
                        }
                    }
                }
                return;
            }
            Input::On { fact, sender, lease } => (Kind::On, &[sender.pid, sender.uid, lease], fact),
            Input::Changing { fact, for_ms } => (Kind::Changing, &[for_ms], fact),
            Input::Off { fact } => (Kind::Off, &[], fact),
            Input::Event { fact } => (Kind::Event, &[], fact),
        };
        self.jot_input(kind, 0, NOBODY, words, &fact[..fact.len().min(FACT_BYTES_MAX + 4)]);
    }

    #[inline(never)]
    pub(super) fn jot_refusal(&self, refusal: Refusal) {
        self.jot(Kind::Refused, number_of_refusal(refusal), NOBODY, &[], b"");
    }

    /// The number of the next line: a reader that has all before it has read everything.
    pub fn journal_number(&self) -> u32 {
        self.journal.number.get()
    }

    /// The place of the line with this number, of the next one to come where there is none yet; 0 is the oldest one.
    /// Before a line that is gone is a place, too: `journal_missed`.
    pub fn journal_at(&self, number: u32) -> Cursor {
        let mut cursor = self.oldest();
        if number != 0 && (cursor.number.wrapping_sub(number) as i32) > 0 {
            return Cursor { position: cursor.position.wrapping_sub(BLOCK), number, ..cursor };
        }
        let mut block = cursor;
        // By blocks, then by records.
        while self.journal.end.get().wrapping_sub(block.position) as i32 > 0 {
            block.number = self.journal_word(block.position);
            if number.wrapping_sub(block.number) as i32 >= 0 {
                cursor = block;
            }
            block.position = block.position.wrapping_add(BLOCK);
        }
        loop {
            let before = cursor;
            match self.journal_next(&mut cursor) {
                Some(record) if (number.wrapping_sub(record.number) as i32) > 0 || !record.kind.is_line() => {}
                Some(_) => return before,
                None => return cursor,
            }
        }
    }

    fn oldest(&self) -> Cursor {
        let position = self.memory.get(JOURNAL_BEGIN);
        let number =
            if position == self.journal.end.get() { self.journal_number() } else { self.journal_word(position) };
        Cursor { position, number, ..Cursor::default() }
    }

    /// How many lines are gone that the reader has not read; then it goes on with the oldest that there is.
    pub fn journal_missed(&self, cursor: &mut Cursor) -> u32 {
        let begin = self.memory.get(JOURNAL_BEGIN);
        if cursor.position.wrapping_sub(begin) as i32 >= 0 {
            return 0;
        }
        let number = cursor.number;
        *cursor = self.oldest();
        cursor.number.wrapping_sub(number)
    }

    fn journal_word(&self, position: u32) -> u32 {
        let ring = self.memory.ring;
        ring.get(position as usize % ring.len().max(1)).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// The next record; `None` at the end.
    pub fn journal_next(&self, cursor: &mut Cursor) -> Option<Record> {
        let end = self.journal.end.get();
        loop {
            if end.wrapping_sub(cursor.position) as i32 <= 0 {
                return None;
            }
            if cursor.position.is_multiple_of(BLOCK) {
                cursor.number = self.journal_word(cursor.position);
                cursor.position = cursor.position.wrapping_add(1);
                (cursor.named, cursor.fact) = (0, 0);
                continue;
            }
            let at = cursor.position;
            let first = self.journal_word(at);
            let next_block = cursor.position.wrapping_add(BLOCK) & !(BLOCK - 1);
            let Some((kind, count, has_text)) = KINDS.get((first >> KIND_SHIFT) as usize).copied() else {
                cursor.position = next_block;
                continue;
            };
            if kind == Kind::Rest {
                cursor.position = next_block;
                continue;
            }
            let extra = first >> EXTRA_SHIFT & EXTRA;
            let mut words = [0; WORDS_MAX];
            for (index, word) in words.iter_mut().enumerate().take(count.into()) {
                *word = self.journal_word(at.wrapping_add(1 + index as u32));
            }
            if kind.has_time() {
                cursor.time = Instant(u64::from(words[0]) | u64::from(words[1]) << 32);
                words.copy_within(2.., 0);
                if kind != Kind::Going {
                    cursor.fact = 0;
                }
                cursor.within = 0;
            }
            let text = (at.wrapping_add(1 + u32::from(count)), if has_text { extra } else { 0 });
            cursor.position = text.0.wrapping_add(text.1.div_ceil(4));
            let record = Record {
                kind,
                number: cursor.number,
                time: cursor.time,
                transaction: cursor.within,
                slot: SlotId(first & SLOT),
                extra,
                words,
                text,
                named: cursor.named,
                fact: cursor.fact,
                next: cursor.position,
            };
            match kind {
                Kind::Within => cursor.within = words[0],
                Kind::Named => cursor.named = at,
                Kind::Derived => cursor.fact = at,
                _ if kind.has_fact() && text.1 > 0 => cursor.fact = at,
                _ => {}
            }
            if kind.is_line() {
                cursor.number = cursor.number.wrapping_add(1);
            }
            return Some(record);
        }
    }

    /// The text of a record.
    pub fn journal_text(&self, record: &Record) -> Text {
        let mut text = Text { bytes: [0; FACT_BYTES_MAX + 4], length: 0 };
        text.length = (record.text.1 as usize).min(text.bytes.len());
        for (index, four) in text.bytes.chunks_mut(4).enumerate() {
            let bytes = self.journal_word(record.text.0.wrapping_add(index as u32)).to_le_bytes();
            four.copy_from_slice(&bytes[..four.len()]);
        }
        text
    }

    /// The record at a place that another one refers to.
    fn referred(&self, position: u32) -> Option<Record> {
        let mut cursor = Cursor { position, ..Cursor::default() };
        if position == 0 { None } else { self.journal_next(&mut cursor) }
    }

    /// The name that the record's slot had then.
    pub fn journal_name(&self, record: &Record) -> Name {
        match self.referred(record.named) {
            Some(named) if named.kind == Kind::Named && named.slot == record.slot => {
                let text = self.journal_text(&named);
                let template = SlotId(named.words[0].min(self.services().saturating_sub(1)));
                self.instance_of_name(template, text.as_bytes())
            }
            Some(_) | None if record.slot.0 < self.services() => self.name(record.slot),
            Some(_) | None => Name::joined(&[b"?"]),
        }
    }

    /// The fact that was told or derived before this record, in its step; `None` if that is not known any more.
    pub fn journal_fact(&self, record: &Record) -> Option<Record> {
        self.referred(record.fact)
    }
}
