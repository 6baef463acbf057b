//! What outlives a logger that is killed, so that no line is lost or doubled.
//!
//! What a service has written is moved out of its pipe into a pipe of ours (the stage) and read from there into memory
//! that is not ours alone; then it is written to the file. At every instant it is in the service's pipe, in the stage, in
//! the memory, or in the file, and whoever comes next sees where: the stage is empty or has all of it, the memory says
//! how many bytes count, up to which of these the file has them, and how long the file was then. What the file has
//! beyond that is cut off and written again.
//!
//! Memory and stage are in a message that the first logger sends over the link and nobody ever takes out: the supervisor
//! holds both ends, and each further logger looks at it (MSG_PEEK makes descriptors of it anew).

use super::log_link::{LOG_NAME_BYTES_MAX, WORDS};
use crate::sys::{AsFd, Errno, OwnedFd, Result, file, mapping, pipe, socket};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Release};
use pintle::ident::SlotId;
use pintle::limits::SLOTS_MAX;

/// Bytes of one read: what a pipe holds by default.
pub const READ_BYTES: usize = 65536;
/// Bytes of a line that is not whole yet, of a service whose lines go on whole.
pub const PART_BYTES: usize = 1024;

/// Words of the beginning: "PNTJ" and the version of the layout, how many bytes of the text count, the two cursors and
/// which of them counts, whose text it is.
const MAGIC: u32 = u32::from_le_bytes(*b"PJ\x01\0");
const COUNT: usize = 1;
const WHICH: usize = 2;
const CURSORS: usize = 4;
const CURSOR_WORDS: usize = 4;
const SLOT: usize = 12;
const OWNER: usize = 13;
const NAME_BYTES: usize = OWNER + WORDS;
const NAME: usize = NAME_BYTES + 1;
/// Bytes of the beginning; the text is behind it, and then the parts of lines of each slot, of which only those in use
/// are memory.
const HEAD_BYTES: usize = 4096;
const TEXT_END: usize = HEAD_BYTES + READ_BYTES;
const BYTES: usize = TEXT_END + SLOTS_MAX as usize * PART_BYTES;
const _: () = assert!((NAME + LOG_NAME_BYTES_MAX) * 4 <= HEAD_BYTES);

/// Where a text stands that is on its way into a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    /// Bytes of the text that have gone.
    pub done: u32,
    /// Length of the file.
    pub file: u64,
    /// Bytes of the part of a line.
    pub part: u32,
}

/// Whose text it is.
pub struct Owner<'a> {
    pub slot: u32,
    pub words: [u32; WORDS],
    pub name: &'a [u8],
}

/// The words at the beginning, and the stage.
pub struct Journal {
    head: &'static [AtomicU32],
    stage: (OwnedFd, OwnedFd),
    /// Whose text came last, so that it need not be written down again: index of the logger's, plus one.
    owner: usize,
}

/// The text, and the parts of lines.
pub struct Texts {
    bytes: &'static mut [u8],
}

impl Journal {
    /// That of the logger before, or a fresh one. `held` is the other end of `link`, the supervisor's own.
    #[inline(never)]
    pub fn open(link: &OwnedFd, held: Option<OwnedFd>) -> Result<(Journal, Texts)> {
        if let Some(held) = &held {
            while let Ok(message) = socket::look(held.as_fd(), &mut [0]) {
                if let Ok([memory, read, write]) = message.descriptors.into_array()
                    && mapping::is_sealed(memory.as_fd(), BYTES as u64)
                    && let Ok((journal, texts)) = Journal::of(&memory, (read, write))
                    && journal.word(0) == MAGIC
                {
                    return Ok((journal, texts));
                }
                let _ = socket::receive(held.as_fd(), &mut [0]); // of another version, which nobody reads any more
            }
        }
        let memory = mapping::sparse_memory(c"pintle-log", BYTES / 4)?;
        let stage = pipe::nonblocking()?;
        if held.is_some() {
            let _ = socket::send(link.as_fd(), b"h", &[memory.as_fd(), stage.0.as_fd(), stage.1.as_fd()]);
        }
        let (journal, texts) = Journal::of(&memory, stage)?;
        journal.put(0, MAGIC);
        Ok((journal, texts))
    }

    fn of(memory: &OwnedFd, stage: (OwnedFd, OwnedFd)) -> Result<(Journal, Texts)> {
        let head = mapping::shared_words(memory.as_fd(), HEAD_BYTES / 4)?;
        Ok((Journal { head, stage, owner: 0 }, Texts { bytes: mapping::own_bytes(memory.as_fd())? }))
    }

    fn word(&self, at: usize) -> u32 {
        self.head[at].load(Acquire)
    }

    fn put(&self, at: usize, word: u32) {
        self.head[at].store(word, Release);
    }

    /// A text of this source follows, whose file is so long.
    pub fn begin(&mut self, index: usize, owner: &Owner<'_>, cursor: Cursor) {
        if self.owner != index + 1 {
            self.owner = index + 1;
            self.put(SLOT, owner.slot);
            for (at, word) in owner.words.iter().enumerate() {
                self.put(OWNER + at, *word);
            }
            self.put(NAME_BYTES, owner.name.len() as u32);
            for (at, byte) in owner.name.iter().enumerate() {
                self.put(NAME + at, (*byte).into());
            }
        }
        self.went(cursor);
    }

    /// What is known of the source with this index has changed.
    pub fn forget(&mut self, index: usize) {
        if self.owner == index + 1 {
            self.owner = 0;
        }
    }

    /// So much of the text has gone. The one of the two that does not count is written, and then counts.
    pub fn went(&mut self, cursor: Cursor) {
        let which = 1 - (self.word(WHICH) & 1);
        let at = CURSORS + which as usize * CURSOR_WORDS;
        for (at, word) in (at..).zip([cursor.done, cursor.file as u32, (cursor.file >> 32) as u32, cursor.part]) {
            self.put(at, word);
        }
        self.put(WHICH, which);
    }

    /// The text has gone, all of it.
    pub fn end(&mut self) {
        self.put(COUNT, 0);
    }

    /// Takes what is in a pipe. Errors: EAGAIN, there is nothing; 0: it has ended.
    pub fn take(&mut self, pipe: &OwnedFd, texts: &mut Texts) -> Result<usize> {
        let text = &mut texts.bytes[HEAD_BYTES..TEXT_END];
        let count = match pipe::transfer(pipe, &self.stage.1, READ_BYTES) {
            Ok(count) => count,
            Err(Errno::AGAIN) => return Err(Errno::AGAIN),
            // Not on every system; then what was read last is lost with us.
            Err(_) => {
                let count = file::read(pipe, text)?;
                self.put(COUNT, count as u32);
                return Ok(count);
            }
        };
        self.put(COUNT, count as u32);
        self.read_stage(text);
        Ok(count)
    }

    /// Reads the stage until it is empty: nobody else writes to it.
    fn read_stage(&self, text: &mut [u8]) {
        let (mut count, all) = (0, self.word(COUNT) as usize);
        while let Some(rest) = text.get_mut(count..all).filter(|rest| !rest.is_empty()) {
            let Ok(more @ 1..) = file::read(&self.stage.0, rest) else { break };
            count += more;
        }
    }

    /// What the logger before has left: the name of whose text it is, how many bytes of the text there are, and how far
    /// it had come.
    #[inline(never)]
    pub fn left(
        &mut self,
        texts: &mut Texts,
    ) -> Option<(heapless::Vec<u8, LOG_NAME_BYTES_MAX>, Owner<'static>, usize, Cursor)> {
        if let Ok(staged @ 1..) = pipe::unread(&self.stage.0) {
            // Until it has been written it is still left, for the one after us.
            self.put(COUNT, staged as u32);
            self.read_stage(&mut texts.bytes[HEAD_BYTES..TEXT_END]);
        }
        let count = self.word(COUNT) as usize;
        if count == 0 {
            return None;
        }
        let mut name = heapless::Vec::new();
        for at in 0..(self.word(NAME_BYTES) as usize).min(LOG_NAME_BYTES_MAX) {
            let _ = name.push(self.word(NAME + at) as u8); // there is room
        }
        let words = core::array::from_fn(|at| self.word(OWNER + at));
        let at = CURSORS + (self.word(WHICH) & 1) as usize * CURSOR_WORDS;
        let file = u64::from(self.word(at + 1)) | u64::from(self.word(at + 2)) << 32;
        let cursor = Cursor { done: self.word(at), file, part: self.word(at + 3) };
        Some((name, Owner { slot: self.word(SLOT), words, name: &[] }, count.min(READ_BYTES), cursor))
    }
}

impl Texts {
    /// What was taken, and the part of a line of this slot, whose first two bytes are its length between two texts.
    pub fn of(&mut self, slot: u32, count: usize) -> (&[u8], &mut [u8]) {
        let (texts, parts) = self.bytes.split_at_mut(TEXT_END);
        let at = SlotId(slot).index() * PART_BYTES;
        (
            texts.get(HEAD_BYTES..HEAD_BYTES + count).unwrap_or_default(),
            parts.get_mut(at..at + PART_BYTES).unwrap_or_default(),
        )
    }
}
