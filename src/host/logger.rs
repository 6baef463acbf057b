//! The logger: reads what all services write and puts it into their files. One process for all of them.
//!
//! Pipes come over the socket of `log_link`; each is read when there is something, up to 64 KB at once, and written
//! before anything else is done. Nothing is waited for but a file: where syslog has too much unread, the pipes of those
//! who write to it are left alone until it takes more, or has read nothing for a while. That its death loses nothing is
//! `log_journal`'s. Everything is allocated at the start: 16 KB of addresses a hundred services, of which only what is
//! used becomes memory (200 bytes a service).
//!
//! It ends when the supervisor's end of the socket is closed and every pipe has ended, or with SIGTERM when the pipes
//! are empty. SIGHUP closes all files, so that they are opened anew where they belong by now.

use super::log_journal::{Journal, QUEUES, READ_BYTES, Texts};
use super::log_link::{CONTINUES, ENDED, MESSAGE_BYTES, PIPE, Record, first_record};
use super::log_queue;
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
/// A pipe is made as small as it can be; where so much was in it at once it is given the usual room: half a page, since a
/// write goes into what is left of the page only where it fits whole.
const FULL_BYTES: usize = 2048;
/// What could not be had is tried again after this, milliseconds.
const AGAIN_MS: u32 = 1000;
/// How long a syslog that reads nothing is waited for before lines are lost, milliseconds.
const PATIENCE_MS: u32 = 1000;
/// How long a SIGTERM waits for services that write on and on, milliseconds.
const LAST_WORDS_MS: u32 = 2000;

const ENDED_WORDS: usize = (SLOTS_MAX as usize).div_ceil(32);

/// What has failed where it cannot even start.
pub const START: Packed = packed!("cannot start the logger");

const SOCKET: u64 = u64::MAX;
const SIGNALS: u64 = u64::MAX - 1;
const SYSLOG: u64 = u64::MAX - 2;

/// A pipe and where its lines go.
#[derive(Default)]
struct Source {
    pipe: Option<OwnedFd>,
    slot: u32,
    /// Its queue: the slot, but for one whose slot is another's by now.
    area: u32,
    /// The pipe has been given more room.
    grown: bool,
    /// Syslog does not take its lines now. The pipe is not in the poll.
    blocked: bool,
    /// Whoever wrote has ended, which counts when syslog has taken what came before.
    ended: bool,
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
    /// A bit of each slot: who wrote has ended, of a pipe that has not come yet (again).
    ended: Box<[u32; ENDED_WORDS]>,
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
    /// What could not be had is tried again then: a pipe that came, or a watch of one.
    again: Instant,
    /// How many sources are blocked, which one's turn it is, and when they go on without syslog if it reads nothing.
    blocked: usize,
    turn: usize,
    patience: Instant,
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
            sources: Vec::with_capacity(QUEUES),
            by_slot: Box::new([0; SLOTS_MAX as usize]),
            ended: Box::new([0; ENDED_WORDS]),
            pipes: 0,
            texts,
            output: Output::new(WRITE_BYTES, settings, journal),
            round: 0,
            told: None,
            ending: false,
            tell: Instant::NEVER,
            again: Instant::NEVER,
            blocked: 0,
            turn: 0,
            patience: Instant::NEVER,
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
        if let Some((text, mut queue)) = self.texts.of(owner.area, count) {
            writer.take_up(&cursor, &mut queue, &mut self.output);
            let _ = writer.take(text.get(cursor.done as usize..).unwrap_or_default(), &mut queue, &mut self.output);
        }
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
            let until = match (self.ending, self.blocked) {
                (true, 0) => Instant(0),
                (true, _) => last.min(self.patience),
                (false, _) => self.tell.min(self.patience).min(self.again),
            };
            let news = self.poll.wait(until);
            if news == 0 && until == Instant(0) {
                break;
            }
            self.round = self.round.wrapping_add(1);
            self.output.set_time(clock::realtime_ns());
            if self.tell != Instant::NEVER && clock::now() >= self.tell {
                self.tell_what_was_dropped();
            }
            if self.patience != Instant::NEVER && clock::now() >= self.patience {
                self.output.syslog.is_stuck = true; // until it takes a line again: what it does not take is lost
                self.send_more();
            }
            if clock::now() >= self.again {
                self.try_again();
            }
            for at in 0..news {
                match self.poll.news(at).token {
                    SOCKET => self.take_messages(),
                    SIGNALS => self.take_signals(),
                    SYSLOG => self.send_more(),
                    index => {
                        self.read_once(index as usize);
                    }
                }
            }
        }
    }

    #[inline(never)]
    fn tell_what_was_dropped(&mut self) {
        self.tell = Instant::NEVER;
        for source in self.sources.iter_mut().filter(|source| source.writer.drops()) {
            source.writer.say_what_was_dropped(&mut self.output);
        }
    }

    #[inline(never)]
    fn take_signals(&mut self) {
        while let Some(caught) = signals::read_signal(self.signals.as_fd()) {
            if caught.signal == SIGHUP {
                self.close_files();
            } else {
                self.ending = true;
            }
        }
    }

    #[inline(never)]
    fn take_messages(&mut self) {
        let mut buffer = [0; MESSAGE_BYTES];
        while let Some(link) = &self.socket {
            // It stays there until all has been done that it asks for, for the logger after us.
            let received = match socket::look(link.as_fd(), &mut buffer) {
                Ok(received) if received.length > 0 => received,
                Err(Errno::AGAIN) => return,
                // Once, where it is closed with what we keep in it; what it had sent before still comes.
                Err(Errno::CONNRESET) => continue,
                Err(error) if error.may_pass() => return self.try_later(),
                // Closed: no more pipes will come; those that there are go on to their ends.
                Ok(_) | Err(_) => {
                    let _ = self.poll.remove(link);
                    self.socket = None;
                    return;
                }
            };
            if received.truncated && self.output.files > 0 {
                // No number is left for a pipe: files make room.
                self.close_files();
                continue;
            }
            if received.truncated {
                if self.told.replace(Errno::MFILE) != Some(Errno::MFILE) {
                    const LATER: Packed = packed!("pintle-log: too many open files: some services are logged later");
                    output::say_now(format_args!("{LATER}"));
                }
                return self.try_later(); // it stays where it is
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
            if let Some(link) = &self.socket {
                let _ = socket::receive(link.as_fd(), &mut [0]);
            }
        }
    }

    fn try_later(&mut self) {
        self.again = clock::now().plus_ms(AGAIN_MS);
        if let Some(link) = &self.socket {
            let _ = self.poll.remove(link); // its end would wake us, too
        }
    }

    /// What was short may be there again.
    #[inline(never)]
    fn try_again(&mut self) {
        self.again = Instant::NEVER;
        let pipes = self.sources.iter().map(|source| source.pipe.as_ref().filter(|_| !source.blocked));
        let ways = (0..).zip(pipes).chain([(SOCKET, self.socket.as_ref())]);
        let mut watched = true;
        for (token, way) in ways {
            let added = way.map(|way| self.poll.add(way, token, Interest::READ));
            watched &= matches!(added, None | Some(Ok(()) | Err(Errno::EXIST))); // there already
        }
        if !watched {
            self.try_later();
        }
    }

    /// A pipe of a slot, new or once more.
    #[inline(never)]
    fn add(&mut self, record: &Record<'_>, pipe: Option<OwnedFd>) {
        let Some(pipe) = pipe else { return };
        let Some(place) = self.by_slot.get(record.slot as usize) else { return };
        let continues = record.flags & CONTINUES != 0;
        if let Some(index) = (*place as usize).checked_sub(1)
            && let Some(source) = self.sources.get_mut(index)
            && source.pipe.is_some()
        {
            if source.writer.name() == record.name && continues {
                // The same pipe, told again.
                source.writer.change(&record.words, &mut self.output);
                self.output.journal.forget(index);
                return;
            }
            // A new pipe: what the old one still holds comes first, and then what those write who still have it.
            self.read_all(index);
            self.finish_line(index);
            self.part_with(index);
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
            output::say_now(format_args!("{}", packed!("pintle-log: too many services: one is not logged")));
            return;
        }
        let index = unused.unwrap_or(self.sources.len());
        if let Err(error) = self.poll.add(&pipe, index as u64, Interest::READ) {
            output::say_now(format_args!("pintle-log: cannot watch a pipe: {}", Words(error)));
            self.try_later();
        }
        let mut writer = Writer::new(record.name, &record.words, continues);
        // What is not touched is no memory.
        if writer.goes_to_syslog()
            && let Some((_, mut queue)) = self.texts.of(record.slot, 0)
        {
            writer.take_queue(&mut queue);
        }
        self.output.journal.forget(index);
        if unused.is_none() {
            self.sources.push(Source::default()); // within the capacity: asked above
        }
        let (pipe, slot) = (Some(pipe), record.slot);
        self.sources[index] = Source { pipe, slot, area: slot, grown: false, blocked: false, ended: false, writer };
        self.pipes += 1;
        if let Some(place) = self.by_slot.get_mut(slot as usize) {
            *place = index as u32 + 1;
        }
        self.send(index);
        let (word, bit) = (slot as usize / 32, 1 << (slot % 32));
        if let Some(ended) = self.ended.get_mut(word)
            && *ended & bit != 0
        {
            *ended &= !bit;
            if continues {
                self.ended(slot);
            }
        }
    }

    /// The slot of this source is another's: it has a queue for itself.
    #[inline(never)]
    fn part_with(&mut self, index: usize) {
        // There are as many queues as sources.
        let is_used = |area: &u32| self.sources.iter().any(|source| source.pipe.is_some() && source.area == *area);
        let Some(area) = (SLOTS_MAX..QUEUES as u32).find(|area| !is_used(area)) else { return };
        let Some(source) = self.sources.get_mut(index) else { return };
        if source.writer.goes_to_syslog() {
            self.texts.copy_queue(source.area, area);
        }
        source.area = area;
        self.output.journal.forget(index);
    }

    fn ended(&mut self, slot: u32) {
        let place = self.by_slot.get(slot as usize).copied().unwrap_or(0) as usize;
        match place.checked_sub(1) {
            Some(index) => {
                self.read_all(index);
                self.finish_line(index);
            }
            // The pipe comes, for the one before us knew it.
            None => {
                if let Some(ended) = self.ended.get_mut(slot as usize / 32) {
                    *ended |= 1 << (slot % 32);
                }
            }
        }
    }

    /// The line under way has ended, if what came before it has gone.
    #[inline(never)]
    fn finish_line(&mut self, index: usize) {
        let Some(source) = self.sources.get_mut(index) else { return };
        source.ended = source.blocked;
        let Some((_, mut queue)) = self.texts.of(source.area, 0).filter(|_| !source.ended) else { return };
        let result = source.writer.end_line(&mut queue, &mut self.output);
        self.note(index, result);
        self.send(index);
    }

    /// Reads a pipe until it is empty, at most as much as a pipe can hold by default a few times over: a service that
    /// never stops writing holds nobody up.
    fn read_all(&mut self, index: usize) {
        let mut left = 4 * READ_BYTES;
        while left > 0 {
            match self.read_once(index) {
                0 => return,
                count => left = left.saturating_sub(count),
            }
        }
    }

    /// One read and its write; gives how many bytes it was.
    fn read_once(&mut self, index: usize) -> usize {
        let Some(source) = self.sources.get_mut(index) else { return 0 };
        let Some(pipe) = source.pipe.as_ref().filter(|_| !source.blocked) else { return 0 };
        let most = if source.writer.goes_to_syslog() { log_queue::TEXT_BYTES } else { READ_BYTES };
        source.writer.begin(index, source.area, 0, &mut self.output);
        let count = match self.output.journal.take(pipe, most, &mut self.texts) {
            Err(Errno::AGAIN) => return 0,
            Ok(count @ 1..) => count,
            Err(error) if error.may_pass() => {
                let _ = self.poll.remove(pipe);
                self.try_later();
                return 0;
            }
            // Its end; or no pipe: nothing to be had from it.
            end => {
                if end.is_ok() {
                    self.finish_line(index);
                }
                if !self.sources.get(index).is_some_and(|source| source.blocked) {
                    self.end(index);
                }
                return 0;
            }
        };
        if count >= FULL_BYTES && !core::mem::replace(&mut source.grown, true) {
            pipe::grow(pipe, READ_BYTES);
        }
        if !source.writer.is_open() {
            self.make_room();
        }
        let Some(source) = self.sources.get_mut(index) else { return 0 };
        let Some((text, mut queue)) = self.texts.of(source.area, count) else { return 0 };
        source.writer.used = self.round;
        let result = source.writer.take(text, &mut queue, &mut self.output);
        self.output.journal.end();
        if source.writer.drops() && self.tell == Instant::NEVER {
            self.tell = clock::now().plus_ms(TELL_MS);
        }
        self.note(index, result);
        self.send(index);
        count
    }

    /// Sends what is queued of a source, and says whether syslog has taken all of it; where it has not, the source waits.
    #[inline(never)]
    fn send(&mut self, index: usize) -> bool {
        let Some(source) = self.sources.get_mut(index) else { return true };
        if !source.writer.goes_to_syslog() && !source.blocked {
            return true;
        }
        let (Some(pipe), Some((_, mut queue))) = (&source.pipe, self.texts.of(source.area, 0)) else { return true };
        let all = source.writer.send(&mut queue, &mut self.output);
        if all == source.blocked {
            source.blocked = !all;
            if all {
                let _ = self.poll.add(pipe, index as u64, Interest::READ);
                self.blocked -= 1;
            } else {
                let _ = self.poll.remove(pipe);
                self.blocked += 1;
            }
            if self.blocked == 0 {
                self.patience = Instant::NEVER;
            } else if self.patience == Instant::NEVER {
                self.patience = clock::now().plus_ms(PATIENCE_MS);
            }
        }
        self.output.syslog.watch(&self.poll, SYSLOG, self.blocked > 0);
        all
    }

    /// Syslog takes more, or has taken nothing for too long: one source after the other goes on.
    #[inline(never)]
    fn send_more(&mut self) {
        let before = self.output.syslog.taken;
        for turn in 0..self.sources.len() {
            let index = (self.turn + turn) % self.sources.len();
            if !self.sources[index].blocked {
                continue;
            }
            if !self.send(index) {
                self.turn = index + 1;
                break;
            }
            if core::mem::take(&mut self.sources[index].ended) {
                self.read_all(index);
                self.finish_line(index);
            }
        }
        if self.blocked > 0 && self.output.syslog.taken != before {
            self.patience = clock::now().plus_ms(PATIENCE_MS);
        }
    }

    /// Tells of the first error of its kind.
    fn note(&mut self, index: usize, result: Result<()>) {
        let (Some(source), Err(error)) = (self.sources.get(index), result) else { return };
        if self.told == Some(error) {
            return;
        }
        self.told = Some(error);
        if !output::is_ready(process::standard_error()) {
            return;
        }
        let mut out = output::stderr();
        out.bytes(b"pintle-log: cannot write ");
        source.writer.write_place(&mut out, &self.output);
        let _ = writeln!(out, ": {}; going on without", Words(error));
    }

    fn close_files(&mut self) {
        self.sources.iter_mut().for_each(|source| source.writer.close(&mut self.output));
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
        if source.writer.drops() {
            source.writer.say_what_was_dropped(&mut self.output);
        }
        source.writer.close(&mut self.output);
        self.output.journal.forget(index);
        if let Some(place) = self.by_slot.get_mut(source.slot as usize)
            && *place as usize == index + 1
        {
            *place = 0;
        }
    }
}

#[cfg(test)]
mod tests;
