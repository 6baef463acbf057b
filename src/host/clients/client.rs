//! One connection and its buffers.

use super::{ANSWER_BYTES_MAX, Rules, Talk};
use crate::sys::poll::Interest;
use crate::sys::{AsFd, Errno, OwnedFd, socket};
use pintle::engine::Sender;
use pintle::engine::journal::Cursor;
use pintle::limits::LINE_BYTES_MAX;
use pintle::time::Instant;

/// Bytes of a line, or of answers that wait for their reader.
pub const BUFFER_BYTES: usize = LINE_BYTES_MAX;

/// Bytes on their way.
pub struct Buffer {
    bytes: &'static mut [u8; BUFFER_BYTES],
    /// Where what waits begins and ends.
    pub start: usize,
    pub end: usize,
}

impl Buffer {
    /// What nobody has taken yet.
    #[inline(never)]
    pub fn waiting(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub fn length(&self) -> usize {
        self.end - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Takes the first line, without its newline; `None` where there is no whole one.
    pub fn take_line(&mut self) -> Option<&[u8]> {
        let start = self.start;
        let length = self.waiting().iter().position(|byte| *byte == b'\n')?;
        self.start += length + 1;
        self.bytes.get(start..start + length)
    }

    /// The room behind it, at least so many bytes if there are as many.
    #[inline(never)]
    pub fn room(&mut self, wanted: usize) -> &mut [u8] {
        if BUFFER_BYTES - self.end < wanted {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.length());
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }
}

/// One place. A free one is as one of which nothing can be said.
pub struct Client {
    /// None: the place is free.
    pub fd: Option<OwnedFd>,
    pub sender: Sender,
    pub trusted: bool,
    pub talk: Talk,
    /// Where it reads the journal.
    pub cursor: Cursor,
    /// Whether it holds conditions by its life.
    pub leases: bool,
    /// Whether it was sent a copy of the engine's memory.
    pub copied: bool,
    /// The rules of `access` that are for it, once that was asked.
    pub rules: Option<Rules>,
    /// What it has sent.
    pub input: Buffer,
    /// What it is to be sent.
    pub output: Buffer,
    /// The end of its input has been read.
    pub ended: bool,
    /// Nobody reads what it is sent.
    pub deaf: bool,
    /// Since when its reader has taken nothing; `NEVER` where it takes what there is.
    pub stalled: Instant,
    /// Number of the request that it sent last, of all connections.
    pub used: u64,
    /// Slots of which it has to be told.
    pub behind: bool,
    pub interest: Interest,
}

impl Client {
    /// A free one, with its input and its output.
    pub fn new([input, output]: &'static mut [[u8; BUFFER_BYTES]; 2]) -> Client {
        let buffer = |bytes| Buffer { bytes, start: 0, end: 0 };
        Client {
            fd: None,
            sender: Sender::default(),
            trusted: true,
            talk: Talk::Idle,
            cursor: Cursor::default(),
            leases: false,
            copied: false,
            rules: None,
            input: buffer(input),
            output: buffer(output),
            ended: false,
            deaf: false,
            stalled: Instant::NEVER,
            used: 0,
            behind: false,
            interest: Interest::READ,
        }
    }

    /// Its last request is done.
    pub fn is_idle(&self) -> bool {
        matches!(self.talk, Talk::Idle)
    }

    /// It waits, follows or holds conditions, or has not received what would outlive its connection.
    pub fn stays(&self) -> bool {
        !self.is_idle() || self.leases || self.has_copy()
    }

    /// A copy of the engine's memory waits for it.
    pub fn has_copy(&self) -> bool {
        self.copied && self.fd.as_ref().is_some_and(|fd| socket::has_unread(fd.as_fd()))
    }

    /// Its last request is done, and the answer to the next will have room.
    pub fn may_ask(&self) -> bool {
        self.is_idle() && BUFFER_BYTES - self.output.length() >= 2 * ANSWER_BYTES_MAX
    }

    pub fn has_line(&self) -> bool {
        self.input.waiting().contains(&b'\n')
    }

    /// One more line fits.
    pub fn has_room(&self) -> bool {
        BUFFER_BYTES - self.output.length() >= ANSWER_BYTES_MAX
    }

    /// Reads what there is. `false`: it is to be ended.
    pub fn read(&mut self) -> bool {
        // What is left of earlier lines is short, unless its client does not read the answers.
        let room = self.input.room(BUFFER_BYTES);
        let Some(fd) = self.fd.as_ref().filter(|_| !room.is_empty() && !self.ended) else { return true };
        match socket::receive_alone(fd.as_fd(), room) {
            Ok(count) => {
                self.ended = count == 0;
                self.input.end += count;
                true
            }
            Err(error) => error == Errno::AGAIN,
        }
    }

    /// Sends what waits, as much as goes. `false`: nobody reads it.
    pub fn send(&mut self, now: Instant) -> bool {
        while let (false, Some(fd)) = (self.output.is_empty(), &self.fd) {
            match socket::write(fd.as_fd(), self.output.waiting()) {
                Ok(count) => {
                    self.output.start += count;
                    self.stalled = Instant::NEVER;
                }
                Err(Errno::AGAIN) => {
                    self.stalled = self.stalled.min(now);
                    return true;
                }
                Err(_) => return false,
            }
        }
        self.output.clear();
        self.stalled = Instant::NEVER;
        true
    }
}
