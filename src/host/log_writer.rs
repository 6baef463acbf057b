//! One service's log file: lines in, stamped text out, turned over by size. No heap.
//!
//! A line is written as soon as a part of it is there, so that nothing waits in this process; the next part goes on
//! behind it. What cannot be written (a full disk, a directory that is not there) is dropped and counted, and said on
//! the first line that can be written again.

use super::log_files::LogPath;
use super::log_link::LOG_NAME_BYTES_MAX;
use crate::sys::errno::Words;
use crate::sys::{AsFd, Errno, OwnedFd, Result, file};
use core::fmt::Write;
use heapless::Vec;
use pintle::stamp::STAMP_BYTES;
use pintle::words::Short;

/// Bytes of one line without its stamp; a longer one is split, with `...` where it was.
pub const LINE_BYTES_MAX: usize = 8192;
/// What ends a piece of a split line, and begins the next one.
const SPLIT: &[u8] = b"...";
/// Room that `Output` needs before a piece is put into it.
const PIECE_BYTES_MAX: usize = LINE_BYTES_MAX + STAMP_BYTES + 1 + 2 * SPLIT.len() + 1;

/// Where the files are and how large they get.
pub struct Settings<'a> {
    pub directory: &'a [u8],
    /// Bytes of a file before it is turned over.
    pub bytes_max: u64,
    /// Files kept beside the current one, at least 1.
    pub keep: u32,
}

/// What all writers have in common: one buffer for text on its way to a file, allocated once.
pub struct Output<'a> {
    pub settings: Settings<'a>,
    /// Of the time at which the text was read that is written now.
    pub stamp: [u8; STAMP_BYTES],
    /// How many files are open.
    pub files: usize,
    bytes: alloc::vec::Vec<u8>,
}

impl<'a> Output<'a> {
    /// At least twice the longest piece.
    pub fn new(bytes: usize, settings: Settings<'a>) -> Output<'a> {
        let bytes = alloc::vec::Vec::with_capacity(bytes.max(2 * PIECE_BYTES_MAX));
        Output { settings, stamp: [b' '; STAMP_BYTES], files: 0, bytes }
    }

    #[inline(never)]
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes); // within the capacity: `has_room` was asked
    }

    /// Begins a line.
    #[inline(never)]
    fn put_stamp(&mut self) {
        self.bytes.extend_from_slice(&self.stamp);
        self.put(b" ");
    }

    fn has_room(&self) -> bool {
        self.bytes.capacity() - self.bytes.len() >= PIECE_BYTES_MAX
    }
}

/// The log of one service.
#[derive(Default)]
pub struct Writer {
    name: Vec<u8, LOG_NAME_BYTES_MAX>,
    file: Option<OwnedFd>,
    /// Length of the file.
    bytes: u64,
    /// Bytes of the line that is not finished; none: the next byte begins a line.
    line: Option<u32>,
    /// The file's last byte is not a newline though no line goes on: to be ended first.
    torn: bool,
    /// An earlier logger read from this pipe: what the file ends with may go on.
    continues: bool,
    /// Lines that could not be written since the last one that could, and why.
    lost: u64,
    lost_errno: Option<Errno>,
    /// The output begins with the line that tells of them, which is none of the service's.
    telling: bool,
    /// When it was used last, in rounds of the logger: for closing the one not used for longest.
    pub used: u32,
}

impl Writer {
    pub fn new(name: &[u8], continues: bool) -> Writer {
        let mut writer = Writer { continues, ..Writer::default() };
        let _ = writer.name.extend_from_slice(&name[..name.len().min(LOG_NAME_BYTES_MAX)]); // there is room
        writer
    }

    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Closes the file; the next line opens it again.
    pub fn close(&mut self, output: &mut Output<'_>) {
        output.files -= usize::from(self.file.take().is_some());
    }

    /// Takes what was read from the pipe and writes it, one system call for as much as the output holds. Gives an error
    /// where this text is the first that is lost.
    pub fn take(&mut self, mut text: &[u8], output: &mut Output<'_>) -> Result<()> {
        let mut result = self.open(output);
        if result.is_err() {
            return self.lose(lines(text), result);
        }
        self.say_what_was_lost(output);
        while !text.is_empty() {
            if !output.has_room() {
                result = result.and(self.flush(output));
            }
            text = self.piece(text, output);
        }
        result.and(self.flush(output))
    }

    /// Whoever wrote has ended: its unfinished line is finished.
    pub fn end_line(&mut self, output: &mut Output<'_>) -> Result<()> {
        if self.line.take().is_none() {
            return Ok(());
        }
        self.open(output)?;
        output.put(b"\n");
        self.flush(output)
    }

    /// Puts one line or a part of one into the output; gives the rest of the text.
    fn piece<'a>(&mut self, text: &'a [u8], output: &mut Output<'_>) -> &'a [u8] {
        let done = match self.line {
            Some(done) => done as usize,
            None => {
                output.put_stamp();
                0
            }
        };
        let room = LINE_BYTES_MAX.saturating_sub(done);
        let near = text.get(..text.len().min(room + 1)).unwrap_or(text);
        let length = match newline(near) {
            Some(at) => {
                self.line = None;
                at + 1
            }
            None if near.len() > room => {
                // Full, and the line goes on: it is split here.
                let (piece, rest) = text.split_at(room);
                output.put(piece);
                output.put(b"...\n");
                output.put_stamp();
                output.put(SPLIT);
                self.line = Some(0);
                return rest;
            }
            None => {
                self.line = Some((done + near.len()) as u32); // at most LINE_BYTES_MAX
                near.len()
            }
        };
        let (piece, rest) = text.split_at(length);
        output.put(piece);
        rest
    }

    fn open(&mut self, output: &mut Output<'_>) -> Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let directory = output.settings.directory;
        let mut room = LogPath::new();
        let path = room.of(directory, &self.name, 0)?;
        let mut opened = file::open_append(path, 0o640);
        if let Err(Errno::NOENT) = opened {
            // The directory went away, or was never there.
            file::make_directories(directory, 0o755)?;
            opened = file::open_append(path, 0o640);
        }
        let opened = opened?;
        self.bytes = file::length(opened.as_fd())?;
        let mut last = [b'\n'];
        if self.bytes > 0 && self.line.is_none() {
            file::read_at(&opened, self.bytes - 1, &mut last)?;
        }
        match (last[0] == b'\n', self.continues) {
            (true, _) => {}
            (false, true) => self.line = Some(0),
            (false, false) => self.torn = true,
        }
        self.continues = false;
        self.file = Some(opened);
        output.files += 1;
        Ok(())
    }

    /// Ends a torn line, and tells of a loss, before anything else is written.
    fn say_what_was_lost(&mut self, output: &mut Output<'_>) {
        if core::mem::take(&mut self.torn) {
            output.put(b"\n");
        }
        if let Some(errno) = self.lost_errno.take() {
            let mut count = Short::new();
            // 20 digits and the longest error fit; if not, the text ends early.
            let _ = writeln!(count, "pintle-log: {} lines lost: {}", self.lost, Words(errno));
            output.put_stamp();
            output.put(count.as_bytes());
            self.telling = true;
        }
    }

    /// Writes the output, in one call if the system takes it whole, and empties it. Turns the file over first if it
    /// would grow beyond its size; not in the middle of a line, unless it is twice too large.
    fn flush(&mut self, output: &mut Output<'_>) -> Result<()> {
        let length = output.bytes.len() as u64;
        let at_line =
            output.bytes.get(STAMP_BYTES) == Some(&b' ') && output.bytes.first().is_some_and(u8::is_ascii_digit);
        let size = self.bytes + length;
        let bytes_max = output.settings.bytes_max;
        if self.bytes > 0 && size > bytes_max && (at_line || self.bytes > 2 * bytes_max) {
            self.turn_over(output);
            if let Err(error) = self.open(output) {
                let lost = lines(&output.bytes);
                output.bytes.clear();
                return self.lose(lost, Err(error));
            }
        }
        let mut rest = output.bytes.as_slice();
        let mut result = Ok(());
        while let (Some(file), false) = (&self.file, rest.is_empty()) {
            match file::write(file, rest) {
                Ok(0) => result = Err(Errno::NOSPC),
                Ok(count) => {
                    self.bytes += count as u64;
                    self.torn = rest.get(count - 1).is_some_and(|byte| *byte != b'\n');
                    rest = rest.get(count..).unwrap_or_default();
                    continue;
                }
                Err(error) => result = Err(error),
            }
            break;
        }
        if result.is_err() {
            let lost = lines(rest).saturating_sub(usize::from(core::mem::take(&mut self.telling)));
            output.bytes.clear();
            return self.lose(lost, result);
        }
        output.bytes.clear();
        self.torn = false;
        self.telling = false;
        self.lost = 0;
        Ok(())
    }

    /// Counts what was lost. The next text begins a line of its own.
    fn lose(&mut self, lines: usize, result: Result<()>) -> Result<()> {
        let first = self.lost == 0;
        self.lost = self.lost.saturating_add(lines as u64);
        self.lost_errno = result.err().or(self.lost_errno);
        self.line = None;
        if first { result } else { Ok(()) }
    }

    /// NAME.log.2 to .3, .1 to .2, NAME.log to .1. A step that fails leaves that file where it is; if it is the last
    /// step, the current file just goes on.
    fn turn_over(&mut self, output: &mut Output<'_>) {
        let (mut from, mut to) = (LogPath::new(), LogPath::new());
        let directory = output.settings.directory;
        for number in (0..output.settings.keep).rev() {
            if let (Ok(from), Ok(to)) =
                (from.of(directory, &self.name, number), to.of(directory, &self.name, number + 1))
            {
                let _ = file::rename(from, to);
            }
        }
        self.close(output);
    }
}

/// How many lines there are, an unfinished one included.
fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count() + usize::from(text.last().is_some_and(|byte| *byte != b'\n'))
}

/// Where the first newline is: eight bytes at a time.
fn newline(text: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, tail) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let difference = u64::from_ne_bytes(*word) ^ (ONES * b'\n' as u64);
        // A byte of zero sets its high bit here, and no other byte does before it (little end first) or at all alone.
        if difference.wrapping_sub(ONES) & !difference & (ONES << 7) != 0 {
            return word.iter().position(|byte| *byte == b'\n').map(|at| index * 8 + at);
        }
    }
    tail.iter().position(|byte| *byte == b'\n').map(|at| words.len() * 8 + at)
}

#[cfg(test)]
mod tests;
