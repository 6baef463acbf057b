//! One service's log: lines in, stamped text out, turned over by size and age. No heap.
//!
//! A line is written as soon as a part of it is there, so that nothing waits in this process; the next part goes on
//! behind it. What cannot be written (a full disk, a directory that is not there) is dropped and counted, and said on
//! the first line that can be written again; until then `kept/NAME.log` in the run directory says it, whoever asks and
//! whichever logger comes next. A service that goes to syslog, or is only kept, has its last lines in that file.

use super::log_files::LogPath;
use super::log_journal::{Cursor, Journal, Owner, PART_BYTES};
use super::log_link::{LOG_NAME_BYTES_MAX, WORDS};
use super::syslog::{self, Syslog};
use crate::sys::errno::Words;
use crate::sys::{AsFd, Errno, OwnedFd, Result, file, output};
use core::fmt::Write;
use heapless::Vec;
use pintle::database::exec;
use pintle::lang::definition::{Log, Stamp};
use pintle::stamp::{self, STAMP_BYTES, TAI64N_BYTES};
use pintle::words::Short;

/// Bytes of one line without its stamp, if nothing is said; a longer one is split, with `...` where it was.
pub const LINE_BYTES: u32 = 8192;
/// The most that can be said.
pub const LINE_BYTES_MAX: usize = 65536;
/// What ends a piece of a split line, and begins the next one.
const SPLIT: &[u8] = b"...";
/// Room that `Output` needs before a piece is put into it.
const PIECE_BYTES_MAX: usize = LINE_BYTES_MAX + STAMP_BYTES + 1 + 2 * SPLIT.len() + 1;
/// Bytes of a file in the run directory, which is memory. There is one beside it.
const KEPT_BYTES: u64 = 4096;

/// Where the files are and how large they get where a service says nothing.
pub struct Settings<'a> {
    pub directory: &'a [u8],
    /// The directory of what is kept; empty: there is none.
    pub kept: &'a [u8],
    /// Bytes of a file before it is turned over.
    pub bytes_max: u64,
    /// Files kept beside the current one, at least 1.
    pub keep: u32,
    /// The socket of syslog.
    pub syslog: &'a [u8],
}

/// What all writers have in common: one buffer for text on its way to a file, allocated once.
pub struct Output<'a> {
    pub settings: Settings<'a>,
    pub journal: Journal,
    /// When the text was read that is written now: nanoseconds since 1970, and as a stamp.
    pub now: u64,
    stamp: [u8; STAMP_BYTES],
    /// How many files are open.
    pub files: usize,
    /// Bytes of the text that are in the buffer or have gone.
    done: u32,
    syslog: Syslog,
    bytes: alloc::vec::Vec<u8>,
}

impl<'a> Output<'a> {
    /// At least twice the longest piece.
    pub fn new(bytes: usize, settings: Settings<'a>, journal: Journal) -> Output<'a> {
        let bytes = alloc::vec::Vec::with_capacity(bytes.max(2 * PIECE_BYTES_MAX));
        let (stamp, syslog) = ([b' '; STAMP_BYTES], Syslog::default());
        Output { settings, journal, now: 0, stamp, files: 0, done: 0, syslog, bytes }
    }

    /// It is this late now.
    pub fn set_time(&mut self, now: u64) {
        self.now = now;
        self.stamp = stamp::stamp(now);
    }

    #[inline(never)]
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes); // within the capacity: `has_room` was asked
    }

    fn has_room(&self) -> bool {
        self.bytes.capacity() - self.bytes.len() >= PIECE_BYTES_MAX
    }
}

/// The log of one service.
#[derive(Default)]
pub struct Writer {
    name: Vec<u8, LOG_NAME_BYTES_MAX>,
    words: [u32; WORDS],
    file: Option<OwnedFd>,
    /// Length of the file, and when it was begun.
    bytes: u64,
    begun: u64,
    /// Bytes of the line that is not finished; none: the next byte begins a line.
    line: Option<u32>,
    /// That line is dropped.
    dropping: bool,
    /// The file's last byte is not a newline though no line goes on: to be ended first.
    torn: bool,
    /// An earlier logger read from this pipe: what the file ends with may go on.
    continues: bool,
    /// Bytes of the part of a line that goes on whole.
    pub part: u32,
    /// Lines that could not be written since the last one that could, and why.
    lost: u64,
    lost_errno: Option<Errno>,
    /// The output begins with the line that tells of them, which is none of the service's.
    telling: bool,
    /// Lines beyond the rate that nobody has been told of; how many there may be now, as of when.
    pub dropped: u64,
    allowed: u32,
    allowed_at: u64,
    /// When it was used last, in rounds of the logger: for closing the one not used for longest.
    pub used: u32,
}

impl Writer {
    pub fn new(name: &[u8], words: &[u32; WORDS], continues: bool) -> Writer {
        let mut writer = Writer { continues, words: *words, ..Writer::default() };
        let _ = writer.name.extend_from_slice(&name[..name.len().min(LOG_NAME_BYTES_MAX)]); // there is room
        writer
    }

    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Where its lines go.
    #[inline(never)]
    pub fn write_place(&self, out: &mut output::Text<'_>, output: &Output<'_>) {
        if self.goes_to_syslog() {
            out.bytes(output.settings.syslog);
        } else {
            for part in [self.directory(output), b"/", &self.name, b".log"] {
                out.bytes(part);
            }
        }
    }

    /// It is logged so from now on.
    pub fn change(&mut self, words: &[u32; WORDS], output: &mut Output<'_>) {
        if self.words != *words {
            self.words = *words;
            self.close(output);
        }
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    fn word(&self, field: usize) -> u32 {
        self.words[1 + field - exec::LOG]
    }

    fn has_file(&self) -> bool {
        self.word(exec::LOG) == Log::File as u32
    }

    pub fn goes_to_syslog(&self) -> bool {
        self.word(exec::LOG) == Log::Syslog as u32
    }

    fn directory<'a>(&self, output: &Output<'a>) -> &'a [u8] {
        if self.has_file() { output.settings.directory } else { output.settings.kept }
    }

    fn bytes_max(&self, output: &Output<'_>) -> u64 {
        match self.word(exec::LOG_SIZE) {
            0 => output.settings.bytes_max,
            bytes => bytes.into(),
        }
    }

    fn line_max(&self) -> usize {
        let most = match self.word(exec::LOG_LINE) {
            0 => LINE_BYTES,
            bytes => bytes,
        };
        (most as usize).min(if self.goes_to_syslog() { syslog::LINE_BYTES_MAX } else { LINE_BYTES_MAX })
    }

    /// Closes the file; the next line opens it again.
    pub fn close(&mut self, output: &mut Output<'_>) {
        output.files -= usize::from(self.file.take().is_some());
    }

    /// A text comes that the journal knows, from this byte on.
    pub fn begin(&mut self, index: usize, slot: u32, done: u32, output: &mut Output<'_>) {
        output.done = done;
        let owner = Owner { slot, words: self.words, name: &self.name };
        output.journal.begin(index, &owner, self.cursor(done));
    }

    fn cursor(&self, done: u32) -> Cursor {
        Cursor { done, file: if self.is_open() { self.bytes } else { u64::MAX }, part: self.part }
    }

    /// What the logger before has begun: the file as it was then.
    #[inline(never)]
    pub fn take_up(&mut self, cursor: &Cursor, output: &mut Output<'_>) {
        let path = &mut LogPath::new();
        if let Ok(path) = path.of(self.directory(output), &self.name, 0)
            && file::Identity::of_path(path).bytes > cursor.file
            && let Ok(file) = file::open_append(path, 0o640)
        {
            let _ = file::cut(&file, cursor.file);
        }
        (self.part, output.done) = (cursor.part, cursor.done);
    }

    /// Takes what was read from the pipe and writes it, one system call for as much as the output holds; `part` is where
    /// a line is kept that is not whole. Gives an error where this text is the first that is lost.
    pub fn take(&mut self, mut text: &[u8], part: &mut [u8], output: &mut Output<'_>) -> Result<()> {
        let mut result = self.open(output);
        if result.is_err() {
            if !self.goes_to_syslog() {
                output.done += text.len() as u32;
                return self.lose(lines(text), result, output);
            }
            result = Ok(()); // what is kept of it is no loss
        }
        self.allow(output);
        if self.line.is_none() && self.is_old(output) {
            result = self.turn_over(output);
        }
        self.say_what_was_lost(output);
        while !text.is_empty() {
            if !output.has_room() {
                result = result.and(self.flush(output));
            }
            let before = text.len();
            text = self.piece(text, part, &mut result, output);
            output.done += (before - text.len()) as u32;
        }
        let result = result.and(self.flush(output));
        // What is lost on the way elsewhere can be told here at once.
        if self.lost > 0 && self.goes_to_syslog() && self.line.is_none() {
            self.say_what_was_lost(output);
            let _ = self.flush(output);
        }
        result
    }

    /// Whoever wrote has ended: its unfinished line is finished.
    pub fn end_line(&mut self, part: &mut [u8], output: &mut Output<'_>) -> Result<()> {
        if self.line.take().is_none() || core::mem::take(&mut self.dropping) {
            return Ok(());
        }
        let result = self.forward(b"", true, false, part, output);
        if !self.goes_to_syslog() {
            self.open(output)?;
        }
        output.put(b"\n");
        result.and(self.flush(output))
    }

    /// Says how many lines were beyond the rate, if no line is under way; says whether all has been said.
    #[inline(never)]
    pub fn say_what_was_dropped(&mut self, output: &mut Output<'_>) -> bool {
        if self.dropped > 0 && (self.line.is_none() || self.dropping) && self.open(output).is_ok() {
            let mut text = Short::new();
            let rate = self.word(exec::LOG_RATE).wrapping_sub(1);
            let _ = write!(text, "pintle-log: {} lines dropped: more than {rate} a second", self.dropped);
            self.put_stamp(output);
            output.put(text.as_bytes());
            output.put(b"\n");
            if self.goes_to_syslog() {
                let _ = self.send(text.as_bytes(), output);
            }
            self.dropped = 0;
            let _ = self.flush(output);
        }
        self.dropped == 0
    }

    /// How many lines there may be now.
    fn allow(&mut self, output: &Output<'_>) {
        let Some(rate) = self.word(exec::LOG_RATE).checked_sub(1) else { return };
        // A clock that was set back begins anew.
        let past = output.now.checked_sub(self.allowed_at).unwrap_or(u64::MAX);
        let more = u128::from(past) * u128::from(rate) / 1_000_000_000;
        if more > 0 {
            self.allowed = rate.min(self.allowed.saturating_add(more.min(u32::MAX.into()) as u32));
            self.allowed_at = output.now;
        }
    }

    /// Puts one line or a part of one into the output; gives the rest of the text.
    fn piece<'t>(
        &mut self,
        text: &'t [u8],
        part: &mut [u8],
        result: &mut Result<()>,
        output: &mut Output<'_>,
    ) -> &'t [u8] {
        let done = self.line.unwrap_or(0) as usize;
        let room = self.line_max().saturating_sub(done);
        let near = text.get(..text.len().min(room + 1)).unwrap_or(text);
        let end = newline(near);
        let length = end.map_or(near.len(), |at| at + 1);
        let begins = self.line.is_none();
        if begins {
            if self.word(exec::LOG_RATE) != 0 {
                self.dropping = self.allowed == 0;
                self.allowed -= u32::from(!self.dropping);
                self.dropped += u64::from(self.dropping);
            }
            let before = self.bytes + output.bytes.len() as u64;
            let after = before + (self.stamp_bytes() + length) as u64;
            let full = match self.has_file() {
                true => before > 0 && after > self.bytes_max(output),
                // Of more only the end is written.
                false => self.bytes >= KEPT_BYTES && output.bytes.is_empty(),
            };
            if full && !self.dropping {
                let (flushed, turned) = (self.flush(output), self.turn_over(output));
                *result = result.and(flushed).and(turned);
            }
            if !self.dropping {
                self.put_stamp(output);
            }
        }
        let splits = end.is_none() && near.len() > room;
        let (piece, rest) = text.split_at(if splits { room } else { length });
        if splits {
            // Full, and the line goes on: it is split here.
            self.line = Some(0);
        } else {
            // At most what `line_max` says.
            self.line = if end.is_some() { None } else { Some((done + near.len()) as u32) };
        }
        if self.dropping {
            return rest;
        }
        output.put(piece);
        if splits {
            output.put(b"...\n");
            self.put_stamp(output);
            output.put(SPLIT);
        }
        let forwarded = self.forward(piece, end.is_some(), splits, part, output);
        *result = result.and(forwarded);
        rest
    }

    /// What goes to syslog, whole lines: one ends here, or is split here.
    #[inline(never)]
    fn forward(
        &mut self,
        piece: &[u8],
        ends: bool,
        splits: bool,
        part: &mut [u8],
        output: &mut Output<'_>,
    ) -> Result<()> {
        if !self.goes_to_syslog() {
            return Ok(());
        }
        let mark = if splits { SPLIT } else { b"" };
        let mut end = 2 + self.part as usize;
        for bytes in [piece.strip_suffix(b"\n").unwrap_or(piece), mark] {
            let Some(place) = part.get_mut(end..end + bytes.len()) else { return Ok(()) }; // a line of syslog is shorter
            place.copy_from_slice(bytes);
            end += bytes.len();
        }
        self.part = end as u32 - 2;
        if !ends && !splits {
            return Ok(());
        }
        let mut result = Ok(());
        if end > 2
            && let Err(error) = self.send(part.get(2..end).unwrap_or_default(), output)
        {
            result = self.lose(1, Err(error), output);
        }
        if let Some(place) = part.get_mut(2..2 + mark.len()) {
            place.copy_from_slice(mark);
        }
        self.part = mark.len() as u32;
        // The file has only its last lines, and not what is still in the buffer: those do not count.
        output.journal.went(self.cursor(output.done + piece.len() as u32));
        result
    }

    fn send(&self, text: &[u8], output: &mut Output<'_>) -> Result<()> {
        output.syslog.send(output.settings.syslog, output.now, &self.name, self.words[0], text)
    }

    fn stamp_bytes(&self) -> usize {
        match self.word(exec::LOG_STAMP) {
            ISO8601 => STAMP_BYTES + 1,
            TAI64N => TAI64N_BYTES + 1,
            _ => 0,
        }
    }

    /// Begins a line.
    #[inline(never)]
    fn put_stamp(&self, output: &mut Output<'_>) {
        match self.word(exec::LOG_STAMP) {
            ISO8601 => output.bytes.extend_from_slice(&output.stamp),
            TAI64N => output.bytes.extend_from_slice(&stamp::tai64n(output.now)),
            _ => return,
        }
        output.put(b" ");
    }

    /// Whether the file was begun too long ago.
    fn is_old(&self, output: &Output<'_>) -> bool {
        let age = u64::from(self.word(exec::LOG_AGE_MS)) * 1_000_000;
        age > 0 && self.has_file() && self.bytes > 0 && output.now.saturating_sub(self.begun) >= age
    }

    fn open(&mut self, output: &mut Output<'_>) -> Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let directory = self.directory(output);
        if directory.is_empty() {
            return Err(Errno::NOENT);
        }
        let mut room = LogPath::new();
        let path = room.of(directory, &self.name, 0)?;
        let mut opened = file::open_append(path, 0o640);
        if let Err(Errno::NOENT) = opened {
            // The directory went away, or was never there.
            file::make_directories(directory, if self.has_file() { 0o755 } else { 0o750 })?;
            opened = file::open_append(path, 0o640);
        }
        let opened = opened?;
        self.bytes = file::length(opened.as_fd())?;
        self.begun = output.now;
        let mut last = [b'\n'];
        if self.bytes > 0 {
            let mut first = [0; STAMP_BYTES];
            let count = file::read_at(&opened, 0, &mut first)?;
            let word = first[..count].split(|byte| *byte == b' ').next().unwrap_or_default();
            self.begun = stamp::parse(word).unwrap_or(output.now);
            if self.line.is_none() {
                file::read_at(&opened, self.bytes - 1, &mut last)?;
            }
        }
        match (last[0] == b'\n', self.continues) {
            (true, _) => {}
            (false, true) => self.line = Some(0),
            (false, false) => self.torn = true,
        }
        if core::mem::take(&mut self.continues) && self.has_file() {
            self.find_what_was_lost(output);
        }
        self.file = Some(opened);
        output.files += 1;
        output.journal.went(self.cursor(output.done));
        Ok(())
    }

    /// Ends a torn line, and tells of a loss, before anything else is written.
    fn say_what_was_lost(&mut self, output: &mut Output<'_>) {
        if core::mem::take(&mut self.torn) {
            output.put(b"\n");
        }
        if self.lost > 0 && self.is_open() {
            if self.line.take().is_some() {
                output.put(b"\n");
            }
            self.put_stamp(output);
            output.put(self.loss().as_bytes());
            self.telling = true;
        }
    }

    /// The line that tells of a loss.
    fn loss(&self) -> Short {
        let mut text = Short::new();
        // 20 digits and the longest error fit; if not, the text ends early.
        let _ = write!(text, "pintle-log: {} lines lost", self.lost);
        if let Some(errno) = self.lost_errno {
            let _ = write!(text, ": {}", Words(errno));
        }
        let _ = text.push('\n');
        text
    }

    /// Writes the output, in one call if the system takes it whole, and empties it.
    fn flush(&mut self, output: &mut Output<'_>) -> Result<()> {
        let mut rest = output.bytes.as_slice();
        // Of what is only kept, the last lines will do.
        if !self.has_file()
            && let Some(over) = rest.len().checked_sub(KEPT_BYTES as usize)
        {
            rest = rest.get(over + newline(&rest[over..]).map_or(0, |at| at + 1)..).unwrap_or_default();
        }
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
        let told = core::mem::take(&mut self.telling);
        let lost = lines(rest).saturating_sub(usize::from(told));
        output.bytes.clear();
        output.journal.went(self.cursor(output.done));
        if result.is_err() {
            return self.lose(lost, result, output);
        }
        self.torn = false;
        if told {
            (self.lost, self.lost_errno) = (0, None);
            if self.has_file() {
                self.note(b"", output);
            }
        }
        Ok(())
    }

    /// Counts what was lost, and notes it. The next text begins a line of its own.
    #[inline(never)]
    fn lose(&mut self, lines: usize, result: Result<()>, output: &mut Output<'_>) -> Result<()> {
        let first = self.lost == 0;
        self.lost = self.lost.saturating_add(lines as u64);
        self.lost_errno = result.err().or(self.lost_errno);
        self.line = None;
        if self.has_file() {
            self.note(self.loss().as_bytes(), output);
        }
        if first { result } else { Ok(()) }
    }

    /// What `kept/NAME.log` says of a service that has a log of its own; no text: there is no such file.
    #[inline(never)]
    fn note(&self, text: &[u8], output: &Output<'_>) {
        let (kept, mut room) = (output.settings.kept, LogPath::new());
        let Ok(path) = room.of(kept, &self.name, 0) else { return };
        if kept.is_empty() {
            return;
        }
        if text.is_empty() {
            let _ = file::remove(path);
            return;
        }
        let _ = file::make_directories(kept, 0o750);
        if let Ok(file) = file::open_append(path, 0o640) {
            let _ = file::cut(&file, 0);
            let mut line: Vec<u8, 192> = Vec::new();
            for part in [&output.stamp[..], b" ", text] {
                let _ = line.extend_from_slice(part); // there is room
            }
            let _ = output::write_all(file.as_fd(), &line);
        }
    }

    /// What an earlier logger has noted.
    #[inline(never)]
    fn find_what_was_lost(&mut self, output: &Output<'_>) {
        let (mut room, mut text) = (LogPath::new(), [0; 192]);
        let Ok(path) = room.of(output.settings.kept, &self.name, 0) else { return };
        let Ok(count) = file::open_read(path).and_then(|file| file::read(file, &mut text)) else { return };
        let mut words = text.get(..count).unwrap_or_default().split(|byte| *byte == b' ');
        let number = words.nth(2).and_then(|word| str::from_utf8(word).ok()?.parse().ok());
        self.lost += number.unwrap_or(0);
    }

    /// NAME.log.2 to .3, .1 to .2, NAME.log to .1, up to the first that is not there: a logger that is killed in the
    /// middle leaves a gap, and nothing is thrown away for it. A step that fails leaves that file where it is; if it is
    /// the last step, the current file just goes on.
    #[inline(never)]
    fn turn_over(&mut self, output: &mut Output<'_>) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let (mut from, mut to) = (LogPath::new(), LogPath::new());
        let directory = self.directory(output);
        let most = match self.word(exec::LOG_KEEP) {
            _ if !self.has_file() => 1,
            0 => output.settings.keep,
            more => more - 1,
        };
        let mut number = 1;
        while number < most && from.of(directory, &self.name, number).is_ok_and(file::exists) {
            number += 1;
        }
        for number in (0..number).rev() {
            if let (Ok(from), Ok(to)) =
                (from.of(directory, &self.name, number), to.of(directory, &self.name, number + 1))
            {
                let _ = file::rename(from, to);
            }
        }
        self.close(output);
        self.open(output)
    }
}

const ISO8601: u32 = Stamp::Iso8601 as u32;
const TAI64N: u32 = Stamp::Tai64n as u32;
const _: () = assert!(syslog::LINE_BYTES_MAX + 2 + 2 * SPLIT.len() <= PART_BYTES);

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
