//! The logger: reads what all services write and puts it into their files. One process for all of them.
//!
//! Pipes come over the socket of `log_link`; each is read when there is something, up to 64 KB at once, and written
//! before anything else is done. That its death loses nothing is `log_journal`'s. Everything is allocated at the start: 16 KB
//! of addresses a hundred services, of which only what is used becomes memory (200 bytes a service).
//!
//! It ends when the supervisor's end of the socket is closed and every pipe has ended, or with SIGTERM when the pipes
//! are empty. SIGHUP closes all files, so that they are opened anew where they belong by now.

use super::log_journal::{Journal, READ_BYTES, Texts};
use super::log_link::{CONTINUES, ENDED, MESSAGE_BYTES, PIPE, Record, first_record};
use super::log_writer::{Output, Settings, Writer};
use super::refuse::OrRefuse;
use crate::sys::errno::Words;
use crate::sys::poll::{Interest, Poll};
use crate::sys::signals::{self, SIGHUP, SIGINT, SIGTERM, SignalSet};
use crate::sys::{AsFd, Errno, OwnedFd, Result, clock, file, output, pipe, process, socket};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::Write;
use pintle::limits::SLOTS_MAX;
use pintle::packed;
use pintle::packed::Packed;
use pintle::time::Instant;

/// Bytes of one write: a full read of lines of 30 bytes and more, with their stamps.
const WRITE_BYTES: usize = 2 * READ_BYTES;
/// Files open at once, where the limit of descriptors allows. Opening one costs three system calls.
const FILES_MAX: usize = 512;
/// Descriptors kept free for what comes next.
const SPARE: usize = 64;
/// How long dropped lines are counted before they are told of, milliseconds.
const TELL_MS: u32 = 1000;
/// A pipe is made as small as it can be; where so much was in it at once it is given the usual room.
const FULL_BYTES: usize = 4096;
/// Pipes at once: one a slot, and those of slots that were given to another instance whose writers still live.
const PIPES_MAX: usize = SLOTS_MAX as usize + 1024;
/// How long a SIGTERM waits for services that write on and on, milliseconds.
const LAST_WORDS_MS: u32 = 2000;

/// What has failed where it cannot even start.
pub const START: Packed = packed!("cannot start the logger");

const SOCKET: u64 = u64::MAX;
const SIGNALS: u64 = u64::MAX - 1;

/// A pipe and where its lines go.
#[derive(Default)]
struct Source {
    pipe: Option<OwnedFd>,
    slot: u32,
    /// The pipe has been given more room.
    grown: bool,
    writer: Writer,
}

/// The whole of it.
pub struct Logger<'a> {
    poll: Poll,
    socket: Option<OwnedFd>,
    signals: OwnedFd,
    sources: Vec<Source>,
    /// Index into `sources` plus one of each slot's newest pipe.
    by_slot: Box<[u32; SLOTS_MAX as usize]>,
    /// Sources that have a pipe.
    pipes: usize,
    texts: Texts,
    output: Output<'a>,
    round: u32,
    /// The error that was told last: one message for a full disk, not one a service.
    told: Option<Errno>,
    ending: bool,
    /// When somebody is told of dropped lines.
    tell: Instant,
}

impl<'a> Logger<'a> {
    /// Allocates everything, or ends the process and says why. `socket` is the logger's end of the link,
    /// `held` the other one, in which it finds what an earlier one has left.
    pub fn new(socket: OwnedFd, held: Option<OwnedFd>, settings: Settings<'a>) -> Logger<'a> {
        let watched = SignalSet::of(&[SIGTERM, SIGINT, SIGHUP]);
        // None of the others, meant for somebody else, ends what every service writes to.
        signals::block(SignalSet::all_but_fatal());
        let poll = Poll::new().or_refuse(START);
        let signals = signals::signal_fd(watched).or_refuse(START);
        file::set_nonblocking(&socket).or_refuse(START);
        poll.add(&socket, SOCKET, Interest::READ).or_refuse(START);
        poll.add(&signals, SIGNALS, Interest::READ).or_refuse(START);
        process::raise_descriptor_limit();
        process::set_umask(0o027);
        let (journal, texts) = Journal::open(&socket, held).or_refuse(START);
        let mut logger = Logger {
            poll,
            socket: Some(socket),
            signals,
            sources: Vec::with_capacity(PIPES_MAX),
            by_slot: Box::new([0; SLOTS_MAX as usize]),
            pipes: 0,
            texts,
            output: Output::new(WRITE_BYTES, settings, journal),
            round: 0,
            told: None,
            ending: false,
            tell: Instant::NEVER,
        };
        logger.take_up();
        logger
    }

    /// Writes what an earlier logger had in hand.
    #[inline(never)]
    fn take_up(&mut self) {
        let Some((name, owner, count, cursor)) = self.output.journal.left(&mut self.texts) else { return };
        self.output.set_time(clock::realtime_ns());
        let mut writer = Writer::new(&name, &owner.words, true);
        writer.take_up(&cursor, &mut self.output);
        let (text, part) = self.texts.of(owner.slot, count);
        let _ = writer.take(text.get(cursor.done as usize..).unwrap_or_default(), part, &mut self.output);
        keep_part(part, &writer);
        self.output.journal.end();
        writer.close(&mut self.output);
    }

    /// Until the end. Errors: what epoll_wait cannot bring.
    #[inline(never)]
    pub fn run(&mut self) {
        let mut last = Instant::NEVER;
        while self.socket.is_some() || self.pipes > 0 {
            if self.ending {
                // What is there is still read; when nothing is, that was all.
                last = last.min(clock::now().plus_ms(LAST_WORDS_MS));
                if clock::now() >= last {
                    break;
                }
            }
            let news = self.poll.wait(if self.ending { Instant(0) } else { self.tell });
            if news == 0 && self.ending {
                break;
            }
            self.round = self.round.wrapping_add(1);
            self.output.set_time(clock::realtime_ns());
            if self.tell != Instant::NEVER && clock::now() >= self.tell {
                self.tell_what_was_dropped();
            }
            for at in 0..news {
                match self.poll.news(at).token {
                    SOCKET => self.take_messages(),
                    SIGNALS => self.take_signals(),
                    index => {
                        self.read_once(index as usize);
                    }
                }
            }
        }
    }

    #[inline(never)]
    fn tell_what_was_dropped(&mut self) {
        let mut all = true;
        for source in &mut self.sources {
            all &= source.writer.say_what_was_dropped(&mut self.output);
        }
        self.tell = if all { Instant::NEVER } else { clock::now().plus_ms(TELL_MS) };
    }

    #[inline(never)]
    fn take_signals(&mut self) {
        while let Some(caught) = signals::read_signal(self.signals.as_fd()) {
            if caught.signal == SIGHUP {
                self.sources.iter_mut().for_each(|source| source.writer.close(&mut self.output));
            } else {
                self.ending = true;
            }
        }
    }

    #[inline(never)]
    fn take_messages(&mut self) {
        let mut buffer = [0; MESSAGE_BYTES];
        while let Some(link) = &self.socket {
            let received = match socket::receive(link.as_fd(), &mut buffer) {
                Ok(received) if received.length > 0 => received,
                Err(Errno::AGAIN) => return,
                // Once, where it is closed with what we keep in it; what it had sent before still comes.
                Err(Errno::CONNRESET) => continue,
                // Closed: no more pipes will come; those that there are go on to their ends.
                Ok(_) | Err(_) => {
                    let _ = self.poll.remove(link);
                    self.socket = None;
                    return;
                }
            };
            if received.truncated {
                output::say(format_args!(
                    "{}",
                    packed!("pintle-log: too many open files: some services are not logged")
                ));
            }
            let mut pipes = received.descriptors.into_iter();
            let mut rest = buffer.get(..received.length).unwrap_or_default();
            while let Some((record, behind)) = first_record(rest) {
                match record.kind {
                    PIPE => self.add(&record, pipes.next()),
                    ENDED => self.ended(record.slot),
                    _ => {} // of a newer supervisor
                }
                rest = behind;
            }
        }
    }

    /// A pipe of a slot, new or once more.
    #[inline(never)]
    fn add(&mut self, record: &Record<'_>, pipe: Option<OwnedFd>) {
        let Some(pipe) = pipe else { return };
        let Some(place) = self.by_slot.get(record.slot as usize) else { return };
        if let Some(index) = (*place as usize).checked_sub(1)
            && let Some(source) = self.sources.get_mut(index)
            && source.pipe.is_some()
            && source.writer.name() == record.name
        {
            if record.flags & CONTINUES != 0 {
                // The same pipe, told again.
                source.writer.change(&record.words, &mut self.output);
                self.output.journal.forget(index);
                return;
            }
            // A new pipe of the same service: what the old one still holds comes first.
            self.read_all(index);
            self.end(index);
        }
        if file::set_nonblocking(&pipe).is_err() {
            return;
        }
        // A source whose pipe has ended is used again.
        let unused = if self.pipes < self.sources.len() {
            self.sources.iter().position(|source| source.pipe.is_none())
        } else {
            None
        };
        if unused.is_none() && self.sources.len() == self.sources.capacity() {
            output::say(format_args!("{}", packed!("pintle-log: too many services: one is not logged")));
            return;
        }
        let index = unused.unwrap_or(self.sources.len());
        if let Err(error) = self.poll.add(&pipe, index as u64, Interest::READ) {
            output::say(format_args!("pintle-log: cannot watch a pipe: {}", Words(error)));
            return;
        }
        let mut writer = Writer::new(record.name, &record.words, record.flags & CONTINUES != 0);
        if writer.goes_to_syslog()
            && let ([low, high, ..], true) = (self.texts.of(record.slot, 0).1, record.flags & CONTINUES != 0)
        {
            writer.part = u16::from_le_bytes([*low, *high]).into();
        }
        self.output.journal.forget(index);
        if unused.is_none() {
            self.sources.push(Source::default()); // within the capacity: asked above
        }
        self.sources[index] = Source { pipe: Some(pipe), slot: record.slot, grown: false, writer };
        self.pipes += 1;
        if let Some(place) = self.by_slot.get_mut(record.slot as usize) {
            *place = index as u32 + 1;
        }
    }

    fn ended(&mut self, slot: u32) {
        let place = self.by_slot.get(slot as usize).copied().unwrap_or(0) as usize;
        let Some(index) = place.checked_sub(1) else { return };
        self.read_all(index);
        self.finish_line(index);
    }

    fn finish_line(&mut self, index: usize) {
        let Some(source) = self.sources.get_mut(index) else { return };
        let part = self.texts.of(source.slot, 0).1;
        let result = source.writer.end_line(part, &mut self.output);
        keep_part(part, &source.writer);
        self.note(index, result);
    }

    /// Reads a pipe until it is empty, at most as much as a pipe can hold by default a few times over: a service that
    /// never stops writing holds nobody up.
    fn read_all(&mut self, index: usize) {
        let mut tries = 4;
        while tries > 0 && self.read_once(index) {
            tries -= 1;
        }
    }

    /// One read and its write. False if there was nothing.
    fn read_once(&mut self, index: usize) -> bool {
        let Some(source) = self.sources.get_mut(index) else { return false };
        let Some(pipe) = &source.pipe else { return false };
        source.writer.begin(index, source.slot, 0, &mut self.output);
        let count = match self.output.journal.take(pipe, &mut self.texts) {
            Err(Errno::AGAIN) => return false,
            Ok(count @ 1..) => count,
            // Its end; or no pipe: nothing to be had from it.
            end => {
                if end.is_ok() {
                    self.finish_line(index);
                }
                self.end(index);
                return false;
            }
        };
        if count == FULL_BYTES && !core::mem::replace(&mut source.grown, true) {
            pipe::grow(pipe, READ_BYTES);
        }
        if !source.writer.is_open() {
            self.make_room();
        }
        let Some(source) = self.sources.get_mut(index) else { return false };
        source.writer.used = self.round;
        let (text, part) = self.texts.of(source.slot, count);
        let result = source.writer.take(text, part, &mut self.output);
        keep_part(part, &source.writer);
        self.output.journal.end();
        if source.writer.dropped > 0 && self.tell == Instant::NEVER {
            self.tell = clock::now().plus_ms(TELL_MS);
        }
        self.note(index, result);
        true
    }

    /// Tells of the first error of its kind.
    fn note(&mut self, index: usize, result: Result<()>) {
        let (Some(source), Err(error)) = (self.sources.get(index), result) else { return };
        if self.told == Some(error) {
            return;
        }
        self.told = Some(error);
        let mut out = output::stderr();
        out.bytes(b"pintle-log: cannot write ");
        source.writer.write_place(&mut out, &self.output);
        let _ = writeln!(out, ": {}; going on without", Words(error));
    }

    /// Closes the file not used for longest if there are too many.
    fn make_room(&mut self) {
        let left =
            usize::try_from(process::descriptor_limit()).unwrap_or(usize::MAX).saturating_sub(self.pipes + SPARE);
        if self.output.files < left.clamp(1, FILES_MAX) {
            return;
        }
        let (mut oldest, mut most) = (0, 0);
        for (at, source) in self.sources.iter().enumerate().filter(|(_, source)| source.writer.is_open()) {
            let age = self.round.wrapping_sub(source.writer.used);
            if age >= most {
                (oldest, most) = (at, age);
            }
        }
        if let Some(source) = self.sources.get_mut(oldest) {
            source.writer.close(&mut self.output);
        }
    }

    /// A pipe has ended.
    fn end(&mut self, index: usize) {
        let Some(source) = self.sources.get_mut(index) else { return };
        if let Some(pipe) = source.pipe.take() {
            // The supervisor may hold it too, and then closing alone would not remove it.
            let _ = self.poll.remove(&pipe);
            self.pipes -= 1;
        }
        source.writer.say_what_was_dropped(&mut self.output);
        source.writer.close(&mut self.output);
        self.output.journal.forget(index);
        if let Some(place) = self.by_slot.get_mut(source.slot as usize)
            && *place as usize == index + 1
        {
            *place = 0;
        }
    }
}

/// Keeps how long the part of a line is, for the logger after this one.
fn keep_part(part: &mut [u8], writer: &Writer) {
    // What is not touched is no memory.
    if let (Some(length), true) = (part.first_chunk_mut(), writer.goes_to_syslog()) {
        *length = (writer.part as u16).to_le_bytes();
    }
}

#[cfg(test)]
mod tests;
