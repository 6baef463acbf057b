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
use super::log_queue::{QUEUE_BYTES, Queue};
use crate::sys::{AsFd, Errno, OwnedFd, Result, file, mapping, pipe, socket};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Release};
use pintle::limits::SLOTS_MAX;

/// Bytes of one read: what a pipe holds by default.
pub const READ_BYTES: usize = 65536;
/// Queues (`log_queue`): one a slot, and those of slots that were given to another instance whose writers still live.
pub const QUEUES: usize = SLOTS_MAX as usize + 1024;

/// Words of the beginning: "PNTJ" and the version of the layout, how many bytes of the text count, the two cursors and
/// which of them counts, whose text it is.
const MAGIC: u32 = u32::from_le_bytes(*b"PJ\x02\0");
const COUNT: usize = 1;
const WHICH: usize = 2;
const CURSORS: usize = 4;
const CURSOR_WORDS: usize = 4;
const AREA: usize = 12;
const OWNER: usize = 13;
const NAME_BYTES: usize = OWNER + WORDS;
const NAME: usize = NAME_BYTES + 1;
/// Bytes of the beginning; the text is behind it, and then the queues, of which only those in use are memory.
const HEAD_BYTES: usize = 4096;
const TEXT_END: usize = HEAD_BYTES + READ_BYTES;
const BYTES: usize = TEXT_END + QUEUES * QUEUE_BYTES;
const _: () = assert!((NAME + LOG_NAME_BYTES_MAX) * 4 <= HEAD_BYTES);

/// Where a text stands that is on its way into a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    /// Bytes of the text that have gone.
    pub done: u32,
    /// Length of the file.
    pub file: u64,
    /// Where what is queued of it ends.
    pub queued: u16,
}

/// Whose text it is.
pub struct Owner<'a> {
    /// Index of its queue.
    pub area: u32,
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

/// The text, and the queues.
pub struct Texts {
    bytes: &'static mut [u8],
}

impl Journal {
    /// That of the logger before, or a fresh one. `held` is the other end of `link`, the supervisor's own. Where it is
    /// there, but cannot be had now, that is an error: it has somebody's lines, and another logger comes soon.
    #[inline(never)]
    pub fn open(link: &OwnedFd, held: Option<OwnedFd>) -> Result<(Journal, Texts)> {
        if let Some(held) = &held {
            while let Ok(message) = socket::look(held.as_fd(), &mut [0]) {
                if message.truncated && message.descriptors.len() < 3 {
                    return Err(Errno::MFILE);
                }
                if let Ok([memory, read, write]) = message.descriptors.into_array()
                    && mapping::is_sealed(memory.as_fd(), BYTES as u64)
                {
                    let (journal, texts) = Journal::of(&memory, (read, write))?;
                    if journal.word(0) == MAGIC {
                        return Ok((journal, texts));
                    }
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
            self.put(AREA, owner.area);
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
        for (at, word) in
            (at..).zip([cursor.done, cursor.file as u32, (cursor.file >> 32) as u32, cursor.queued.into()])
        {
            self.put(at, word);
        }
        self.put(WHICH, which);
    }

    /// The text has gone, all of it.
    pub fn end(&mut self) {
        self.put(COUNT, 0);
    }

    /// Takes what is in a pipe, so many bytes at most. Errors: EAGAIN, there is nothing; 0: it has ended.
    pub fn take(&mut self, pipe: &OwnedFd, bytes: usize, texts: &mut Texts) -> Result<usize> {
        let text = &mut texts.bytes[HEAD_BYTES..HEAD_BYTES + bytes.min(READ_BYTES)];
        let count = match pipe::transfer(pipe, &self.stage.1, text.len()) {
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
        self.read_stage(text, 0);
        Ok(count)
    }

    /// Reads the stage until it is empty, nobody else writes to it, behind so many bytes of the text that are there.
    fn read_stage(&self, text: &mut [u8], mut count: usize) {
        let all = self.word(COUNT) as usize;
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
            // It was killed before it could say how many bytes there are; or while it read them, and had some. Until they
            // have been written they are still left, for the one after us.
            let before = (self.word(COUNT) as usize).saturating_sub(staged as usize);
            self.put(COUNT, before as u32 + staged as u32);
            self.read_stage(&mut texts.bytes[HEAD_BYTES..TEXT_END], before);
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
        let cursor = Cursor { done: self.word(at), file, queued: self.word(at + 3) as u16 };
        Some((name, Owner { area: self.word(AREA), words, name: &[] }, count.min(READ_BYTES), cursor))
    }
}

impl Texts {
    /// What was taken, and this queue.
    pub fn of(&mut self, area: u32, count: usize) -> Option<(&[u8], Queue<'_>)> {
        let (texts, queues) = self.bytes.split_at_mut(TEXT_END);
        let at = area as usize * QUEUE_BYTES;
        Some((texts.get(HEAD_BYTES..HEAD_BYTES + count)?, Queue::of(queues.get_mut(at..at + QUEUE_BYTES)?)?))
    }

    /// Copies a queue in the place of another one.
    pub fn copy_queue(&mut self, from: u32, to: u32) {
        let at = |area: u32| TEXT_END + area as usize * QUEUE_BYTES;
        if (from as usize) < QUEUES && (to as usize) < QUEUES {
            self.bytes.copy_within(at(from)..at(from) + QUEUE_BYTES, at(to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> (Journal, Texts, OwnedFd) {
        let (near, far) = socket::pair().expect("a pair");
        let held = rustix::io::fcntl_dupfd_cloexec(&near, 0).expect("a descriptor").into();
        let (journal, texts) = Journal::open(&far, Some(held)).expect("memory");
        drop(far);
        (journal, texts, near)
    }

    #[test]
    fn what_had_been_read_before_the_kill_and_what_had_not_are_left() {
        // How many bytes were in the stage, how many of these had been read, and whether their number was known.
        for (read, counted) in [(0, false), (0, true), (1, true), (8, true), (11, true), (12, true)] {
            let (mut journal, mut texts, _link) = journal();
            crate::sys::output::write_all(journal.stage.1.as_fd(), b"twelve bytes").expect("written");
            let text = &mut texts.bytes[HEAD_BYTES..][..read];
            if read > 0 {
                assert_eq!(file::read(&journal.stage.0, text), Ok(read));
            }
            journal.put(COUNT, if counted { 12 } else { 0 });
            let left = journal.left(&mut texts).map(|(_, _, count, _)| count);
            assert_eq!(left, Some(12), "{read}");
            assert_eq!(texts.of(0, 12).map(|(text, _)| text.to_vec()).as_deref(), Some(&b"twelve bytes"[..]), "{read}");
        }
    }

    #[test]
    fn what_cannot_be_had_now_stays_for_the_next_logger() {
        let (near, far) = socket::pair().expect("a pair");
        let held = || Some(rustix::io::fcntl_dupfd_cloexec(&near, 0).expect("a descriptor").into());
        // Cut off, and one of three descriptors, as where no number is left for the others.
        let (read, _write) = pipe::nonblocking().expect("a pipe");
        socket::send(far.as_fd(), b"hh", &[read.as_fd()]).expect("sent");
        for _ in 0..2 {
            assert_eq!(Journal::open(&far, held()).map(drop), Err(Errno::MFILE));
        }
        // Whole, but no memory of ours: of another version.
        let _ = socket::receive(near.as_fd(), &mut [0]);
        socket::send(far.as_fd(), b"h", &[read.as_fd(), read.as_fd(), read.as_fd()]).expect("sent");
        let (journal, _) = Journal::open(&far, held()).expect("memory");
        journal.put(COUNT, 3);
        let (journal, _) = Journal::open(&far, held()).expect("the same");
        assert_eq!(journal.word(COUNT), 3);
    }
}
