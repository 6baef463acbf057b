//! One service's log: lines in, stamped text out, turned over by size and age. No heap.
//!
//! A line is written as soon as a part of it is there, so that nothing waits in this process; the next part goes on
//! behind it. What cannot be written (a full disk, a directory that is not there) is dropped and counted, and said on
//! the first line that can be written again; until then `kept/lost/NAME.log` in the run directory says it, whoever asks
//! and whichever logger comes next. A service that goes to syslog, or is only kept, has its last lines in `kept/NAME.log`;
//! lines for syslog are queued (`log_queue`), and whoever has given the text sends them then.

use super::log_files::LogPath;
use super::log_journal::{Cursor, Journal, Owner};
use super::log_link::{LOG_NAME_BYTES_MAX, WORDS};
use super::log_queue::Queue;
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
const SPLIT_END: &[u8] = b"...\n";
/// Room that `Output` needs before a piece is put into it, and what we tell before that.
const PIECE_BYTES_MAX: usize = LINE_BYTES_MAX + STAMP_BYTES + 1 + 2 * SPLIT.len() + 1 + 1024;
/// Bytes of a file in the run directory, which is memory. There is one beside it.
const KEPT_BYTES: u64 = 4096;

/// Where the files are and how large they get where a service says nothing.
pub struct Settings<'a> {
    pub directory: &'a [u8],
    /// The directory of what is kept, and of what says how much was lost; empty: there is none.
    pub kept: &'a [u8],
    pub lost: &'a [u8],
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
    pub syslog: Syslog,
    /// When the text was read that is written now: nanoseconds since 1970, and as a stamp.
    pub now: u64,
    stamp: [u8; STAMP_BYTES],
    /// How many files are open.
    pub files: usize,
    /// Bytes of the text that are in the buffer or have gone, and those that have gone.
    done: u32,
    gone: u32,
    bytes: alloc::vec::Vec<u8>,
    /// So many bytes at the beginning of the buffer are ours and none of the service's, and tell of so many lines dropped.
    own: usize,
    own_dropped: u64,
    /// This text has brought lines of ours, or has tried.
    told: bool,
}

impl<'a> Output<'a> {
    /// At least twice the longest piece.
    pub fn new(bytes: usize, settings: Settings<'a>, journal: Journal) -> Output<'a> {
        Output {
            settings,
            journal,
            syslog: Syslog::default(),
            now: 0,
            stamp: [b' '; STAMP_BYTES],
            files: 0,
            done: 0,
            gone: 0,
            bytes: alloc::vec::Vec::with_capacity(bytes.max(2 * PIECE_BYTES_MAX)),
            own: 0,
            own_dropped: 0,
            told: false,
        }
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

/// Where a line is that comes in parts.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Line {
    /// The next byte begins one.
    #[default]
    Begins,
    /// The next byte begins a piece of one that was too long.
    Split,
    /// So many bytes of it, or of its piece, are there.
    Has(u32),
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
    /// The file's last byte is no newline.
    ragged: bool,
    line: Line,
    /// That line is dropped.
    dropping: bool,
    /// An earlier logger read from this pipe: what the file ends with may go on.
    continues: bool,
    /// It is known what was lost before.
    knows: bool,
    /// Where the next line for syslog ends in its queue.
    queued: u16,
    /// Lines that could not be written since the last one that could, and why.
    lost: u64,
    lost_errno: Option<Errno>,
    /// The last of them is not whole, and what comes may go on with it.
    lost_part: bool,
    /// Lines beyond the rate that nobody has been told of; it is time to; how many there may be now, as of when.
    dropped: u64,
    overdue: bool,
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
            self.knows &= self.lost > 0;
            self.close(output);
        }
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Somebody is to be told of dropped lines, and it is not due yet.
    pub fn drops(&self) -> bool {
        self.dropped > 0 && !self.overdue
    }

    fn word(&self, field: usize) -> u32 {
        self.words[1 + field - exec::LOG]
    }

    /// Also what is logged no more, but has something in its pipe.
    fn has_file(&self) -> bool {
        !Log::is_kept(self.word(exec::LOG))
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
    pub fn begin(&mut self, index: usize, area: u32, done: u32, output: &mut Output<'_>) {
        (output.done, output.gone) = (done, done);
        let owner = Owner { area, words: self.words, name: &self.name };
        output.journal.begin(index, &owner, self.cursor(output));
    }

    fn cursor(&self, output: &Output<'_>) -> Cursor {
        Cursor { done: output.gone, file: if self.is_open() { self.bytes } else { u64::MAX }, queued: self.queued }
    }

    /// What the logger before has begun: the file as it was then.
    #[inline(never)]
    pub fn take_up(&mut self, cursor: &Cursor, queue: &mut Queue<'_>, output: &mut Output<'_>) {
        let path = &mut LogPath::new();
        if let Ok(path) = path.of(self.directory(output), &self.name, 0)
            && file::Identity::of_path(path).bytes > cursor.file
            && let Ok(file) = file::open_append(path, 0o640)
        {
            let _ = file::cut(&file, cursor.file);
        }
        self.queued = cursor.queued;
        self.go_on(queue);
        (output.done, output.gone) = (cursor.done, cursor.done);
    }

    /// The pipe of a service whose lines an earlier logger has queued.
    pub fn take_queue(&mut self, queue: &mut Queue<'_>) {
        match self.continues {
            true => {
                self.queued = queue.end();
                self.go_on(queue);
            }
            false => queue.clear(),
        }
    }

    /// With the line that is half in the queue: the rest of it has no more room than it had.
    fn go_on(&mut self, queue: &mut Queue<'_>) {
        let part = if self.goes_to_syslog() { queue.part(self.queued) } else { 0 };
        if part > 0 {
            self.line = Line::Has(part.min(self.line_max()) as u32);
        }
    }

    /// Takes what was read from the pipe and writes it, one system call for as much as the output holds; lines for syslog
    /// are queued. Gives an error where this text is the first that is lost.
    pub fn take(&mut self, mut text: &[u8], queue: &mut Queue<'_>, output: &mut Output<'_>) -> Result<()> {
        let opened = self.open(output);
        // What is kept of what goes to syslog is no loss.
        if let (Err(error), false) = (opened, self.goes_to_syslog()) {
            output.done += text.len() as u32;
            output.gone = output.done;
            let lines = self.count(text);
            return self.lose(lines, error, output);
        }
        self.allow(output);
        output.told = false;
        let mut result = Ok(());
        while !text.is_empty() {
            if !output.has_room() {
                result = result.and(self.flush(output));
            }
            let before = text.len();
            text = self.piece(text, queue, &mut result, output);
            output.done += (before - text.len()) as u32;
        }
        result = result.and(self.flush(output));
        // The queue of another is not touched, and no memory.
        if self.goes_to_syslog() {
            queue.commit(self.queued);
        }
        result
    }

    /// Whoever wrote has ended: its unfinished line is finished.
    pub fn end_line(&mut self, queue: &mut Queue<'_>, output: &mut Output<'_>) -> Result<()> {
        if self.goes_to_syslog() && queue.part(self.queued) > 0 {
            queue.put(&mut self.queued, b"\n");
            queue.commit(self.queued);
        }
        // An earlier logger may have written its beginning.
        if self.continues && LogPath::new().of(self.directory(output), &self.name, 0).is_ok_and(file::exists) {
            let _ = self.open(output);
        }
        (self.line, self.dropping) = (Line::Begins, false);
        if !self.ragged {
            return Ok(());
        }
        self.tell(output);
        self.flush(output)
    }

    /// It is time to say how many lines were beyond the rate: at once if no line is under way, else before the next.
    #[inline(never)]
    pub fn say_what_was_dropped(&mut self, output: &mut Output<'_>) {
        self.overdue = self.dropped > 0;
        if self.overdue && (self.line == Line::Begins || self.dropping) && self.open(output).is_ok() {
            self.tell(output);
            let _ = self.flush(output);
        }
    }

    /// Sends what is queued for syslog, whole lines. False: it does not take more now.
    #[inline(never)]
    pub fn send(&mut self, queue: &mut Queue<'_>, output: &mut Output<'_>) -> bool {
        let mut all = true;
        while let Some(line) = queue.first() {
            match output.syslog.send(output.settings.syslog, output.now, &self.name, self.words[0], line) {
                Err(Errno::AGAIN) if !output.syslog.is_stuck => {
                    all = false;
                    break;
                }
                Ok(()) => {}
                Err(error) => {
                    self.lost = self.lost.saturating_add(1);
                    self.lost_errno = Some(error);
                }
            }
            queue.took_first();
        }
        // What is lost on the way can be told in what is kept.
        if self.lost > 0 && self.line == Line::Begins && self.open(output).is_ok() {
            self.tell(output);
            let _ = self.flush(output);
        }
        all
    }

    /// How many lines there may be now.
    fn allow(&mut self, output: &Output<'_>) {
        let Some(rate) = self.word(exec::LOG_RATE).checked_sub(1) else { return };
        // A clock that was set back begins anew.
        let past = output.now.checked_sub(self.allowed_at).unwrap_or(u64::MAX);
        let more = u128::from(past) * u128::from(rate) / SECOND;
        if more >= u128::from(rate.saturating_sub(self.allowed)) {
            (self.allowed, self.allowed_at) = (rate, output.now);
        } else {
            self.allowed += more as u32; // less than `rate`
            // The fraction of a line that is left over counts the next time.
            self.allowed_at += (more * SECOND / u128::from(rate)) as u64;
        }
    }

    /// Puts one line or a part of one into the output; gives the rest of the text.
    fn piece<'t>(
        &mut self,
        text: &'t [u8],
        queue: &mut Queue<'_>,
        result: &mut Result<()>,
        output: &mut Output<'_>,
    ) -> &'t [u8] {
        let done = if let Line::Has(done) = self.line { done as usize } else { 0 };
        let room = self.line_max().saturating_sub(done);
        let near = text.get(..text.len().min(room + 1)).unwrap_or(text);
        let end = newline(near);
        // Full, and the line goes on: it is split here.
        let splits = end.is_none() && near.len() > room;
        let (piece, rest) = text.split_at(if splits { room } else { end.map_or(near.len(), |at| at + 1) });
        let goes_on = self.line == Line::Split;
        if !matches!(self.line, Line::Has(_)) {
            *result = result.and(self.begin_line(piece.len() + if splits { SPLIT.len() + 1 } else { 0 }, output));
        }
        // At most what `line_max` says.
        let after = Line::Has((done + piece.len()) as u32);
        self.line = if splits { Line::Split } else { end.map_or(after, |_| Line::Begins) };
        if self.dropping {
            return rest;
        }
        if goes_on {
            output.put(SPLIT);
        }
        output.put(piece);
        if splits {
            output.put(SPLIT_END);
        }
        if self.goes_to_syslog() {
            let marks = [if goes_on { SPLIT } else { b"" }, if splits { SPLIT_END } else { b"" }];
            for part in [marks[0], piece, marks[1]] {
                queue.put(&mut self.queued, part);
            }
        }
        rest
    }

    /// What comes before a line, or a piece of a split one, of so many bytes, unless it is dropped.
    fn begin_line(&mut self, length: usize, output: &mut Output<'_>) -> Result<()> {
        if self.word(exec::LOG_RATE) != 0 {
            self.dropping = self.allowed == 0;
            self.allowed -= u32::from(!self.dropping);
            self.dropped += u64::from(self.dropping);
            if self.dropping {
                return Ok(());
            }
        }
        let mark = if self.line == Line::Split { SPLIT.len() } else { 0 };
        let before = self.bytes + output.bytes.len() as u64;
        let after = before + (self.stamp_bytes() + mark + length) as u64;
        let full = match self.has_file() {
            true => before > 0 && (after > self.bytes_max(output) || self.is_old(output)),
            // Of more only the end is written.
            false => self.bytes >= KEPT_BYTES,
        };
        let mut result = Ok(());
        if full {
            result = self.flush(output);
            result = result.and(self.turn_over(output));
        }
        let tells = (self.lost > 0 || self.overdue) && !output.told;
        if tells || self.ragged && output.bytes.is_empty() {
            result = result.and(self.flush(output));
            self.tell(output);
        }
        self.put_stamp(output);
        result
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
        age > 0 && output.now.saturating_sub(self.begun) >= age
    }

    fn open(&mut self, output: &mut Output<'_>) -> Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        // Before anything that it loses is noted.
        if !core::mem::replace(&mut self.knows, true) && self.has_file() {
            self.find_what_was_lost(output);
        }
        let directory = self.directory(output);
        if directory.is_empty() {
            return Err(Errno::NOENT);
        }
        let mut room = LogPath::new();
        let path = room.of(directory, &self.name, 0)?;
        let mut opened = file::open_append(path, 0o640);
        if let Err(Errno::NOENT) = opened {
            // The directory went away, or was never there. What is kept is in the run directory, or nowhere.
            match self.has_file() {
                true => file::make_directories(directory, 0o750)?,
                false => file::make_directory(directory, 0o750)?,
            }
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
            file::read_at(&opened, self.bytes - 1, &mut last)?;
        }
        self.ragged = last[0] != b'\n';
        // What was lost was behind that.
        if core::mem::take(&mut self.continues) && self.ragged && self.line == Line::Begins && self.lost == 0 {
            self.line = Line::Has(0);
        }
        self.file = Some(opened);
        output.files += 1;
        output.journal.went(self.cursor(output));
        Ok(())
    }

    /// Ends a line that nothing goes on with, and tells of what was lost and dropped, before anything else is written: the
    /// buffer is empty.
    #[inline(never)]
    fn tell(&mut self, output: &mut Output<'_>) {
        output.told = true;
        if self.ragged {
            output.put(b"\n");
        }
        if self.lost > 0 {
            self.put_stamp(output);
            output.put(self.loss().as_bytes());
        }
        if self.overdue {
            let mut text = Short::new();
            let rate = self.word(exec::LOG_RATE).wrapping_sub(1);
            let _ = writeln!(text, "pintle-log: {} lines dropped: more than {rate} a second", self.dropped);
            self.put_stamp(output);
            output.put(text.as_bytes());
            output.own_dropped = self.dropped;
            if self.goes_to_syslog() {
                let text = text.trim_end().as_bytes();
                let _ = output.syslog.send(output.settings.syslog, output.now, &self.name, self.words[0], text);
            }
        }
        output.own = output.bytes.len();
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
        // A file that was turned over and could not be opened then is tried again.
        let mut result = if output.bytes.is_empty() { Ok(()) } else { self.open(output) };
        let mut rest = output.bytes.as_slice();
        // Of what is only kept, the last lines will do.
        if !self.has_file()
            && let Some(over) = rest.len().checked_sub(KEPT_BYTES as usize)
        {
            rest = rest.get(over + newline(&rest[over..]).map_or(0, |at| at + 1)..).unwrap_or_default();
        }
        while let (Some(file), false) = (&self.file, rest.is_empty()) {
            match file::write(file, rest) {
                Ok(0) => result = Err(Errno::NOSPC),
                Ok(count) => {
                    self.bytes += count as u64;
                    self.ragged = rest.get(count - 1).is_some_and(|byte| *byte != b'\n');
                    rest = rest.get(count..).unwrap_or_default();
                    continue;
                }
                Err(error) => result = Err(error),
            }
            break;
        }
        let own = core::mem::take(&mut output.own);
        let own_left = own.saturating_sub(output.bytes.len() - rest.len());
        let lines = if result.is_err() { self.count(rest.get(own_left..).unwrap_or_default()) } else { 0 };
        let wrote = rest.len() < output.bytes.len();
        output.bytes.clear();
        output.gone = output.done;
        output.journal.went(self.cursor(output));
        let dropped = core::mem::take(&mut output.own_dropped);
        if own > 0 && own_left == 0 {
            self.dropped -= dropped;
            self.overdue &= dropped == 0;
            if self.lost > 0 {
                (self.lost, self.lost_errno) = (0, None);
                self.note(b"", output);
            }
        }
        match result {
            Err(_) if self.goes_to_syslog() => Ok(()),
            Err(error) => self.lose(lines, error, output),
            Ok(()) => {
                self.lost_part &= !wrote;
                Ok(())
            }
        }
    }

    /// How many lines of a text are lost with it, of which one may have been counted before.
    fn count(&mut self, text: &[u8]) -> u64 {
        let Some(last) = text.last() else { return 0 };
        let before = core::mem::replace(&mut self.lost_part, *last != b'\n');
        let lines = text.iter().filter(|byte| **byte == b'\n').count() + usize::from(self.lost_part);
        (lines - usize::from(before)) as u64
    }

    /// Counts what was lost, and notes it.
    #[inline(never)]
    fn lose(&mut self, lines: u64, error: Errno, output: &mut Output<'_>) -> Result<()> {
        self.line = Line::Begins;
        if lines == 0 {
            return Ok(()); // only what we had to say, which we say later
        }
        let first = self.lost == 0;
        self.lost = self.lost.saturating_add(lines);
        self.lost_errno = Some(error);
        self.note(self.loss().as_bytes(), output);
        if first { Err(error) } else { Ok(()) }
    }

    /// What the run directory says of what was lost of a service with a file; no text: nothing.
    #[inline(never)]
    fn note(&self, text: &[u8], output: &Output<'_>) {
        let (directory, mut room) = (output.settings.lost, LogPath::new());
        let Ok(path) = room.of(directory, &self.name, 0) else { return };
        if directory.is_empty() || !self.has_file() {
            return;
        }
        if text.is_empty() {
            let _ = file::remove(path);
            return;
        }
        for made in [output.settings.kept, directory] {
            let _ = file::make_directory(made, 0o750);
        }
        if let Ok(file) = file::open_append(path, 0o640) {
            let _ = file::cut(&file, 0);
            let mut line: Vec<u8, 192> = Vec::new();
            for part in [&output.stamp[..], b" ", text] {
                let _ = line.extend_from_slice(part); // there is room
            }
            let _ = output::write_all(file.as_fd(), &line);
        }
    }

    /// What an earlier logger has noted, also one of an earlier supervisor.
    #[inline(never)]
    fn find_what_was_lost(&mut self, output: &Output<'_>) {
        let (mut room, mut text) = (LogPath::new(), [0; 192]);
        let Ok(path) = room.of(output.settings.lost, &self.name, 0) else { return };
        let Ok(count) = file::open_read(path).and_then(|file| file::read(file, &mut text)) else { return };
        let mut words = text.get(..count).unwrap_or_default().split(|byte| *byte == b' ');
        let number = words.nth(2).and_then(|word| str::from_utf8(word).ok()?.parse().ok());
        self.lost = self.lost.saturating_add(number.unwrap_or(0));
    }

    /// NAME.log.2 to .3, .1 to .2, NAME.log to .1, up to the first that is not there: a logger that is killed in the
    /// middle leaves a gap, and nothing is thrown away for it. A step that fails leaves that file where it is, and all that
    /// are newer: the current file just goes on.
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
        // Of when more were kept.
        let mut over = most + 1;
        while from.of(directory, &self.name, over).and_then(file::remove).is_ok() {
            over += 1;
        }
        for number in (0..number).rev() {
            let (from, to) = (from.of(directory, &self.name, number)?, to.of(directory, &self.name, number + 1)?);
            if file::rename(from, to).is_err_and(|error| error != Errno::NOENT) {
                break;
            }
        }
        self.close(output);
        self.open(output)
    }
}

const ISO8601: u32 = Stamp::Iso8601 as u32;
const TAI64N: u32 = Stamp::Tai64n as u32;
/// A second in nanoseconds.
const SECOND: u128 = 1_000_000_000;

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
