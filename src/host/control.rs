//! The commands' end of the control socket: lines out, lines in. Outlives an engine: the listening end is the
//! supervisor's, so a connection made while no engine runs waits for the next one.

use alloc::string::String;
use alloc::vec::Vec;
use pintle::limits::LINE_BYTES_MAX;

use super::run_directory;
use crate::sys::poll::{Interest, Poll};
use crate::sys::{AsFd, BorrowedFd, Errno, OwnedFd, clock, output, process, socket};
use pintle::text::write_lossy;
use pintle::time::Instant;

/// A connection to the engine.
pub struct Control {
    fd: OwnedFd,
    poll: Poll,
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    line: String,
}

/// What `next` brings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A line: see `Control::line`.
    Line,
    /// Nothing until the deadline.
    Nothing,
    /// The engine is gone, or it has dropped this connection.
    Ended,
}

impl Control {
    /// Connects. The error is a message for people.
    #[inline(never)]
    pub fn connect() -> Result<Control, String> {
        let place = run_directory::find(None)?;
        let shown = place.control();
        let address = place.address(shown);
        let connected = address.and_then(|address| Control::connect_to(&address, place.directory().is_none()));
        connected.map_err(|error| {
            let hint = match error {
                Errno::NOENT | Errno::CONNREFUSED => "; is a supervisor running? (PINTLE_RUN names its directory)",
                _ => "",
            };
            run_directory::problem("connect to", shown, error) + hint
        })
    }

    fn connect_to(address: &socket::Address, is_anyones: bool) -> Result<Control, Errno> {
        let fd = socket::connect(address)?;
        // Anyone may take an abstract name: what listens there must be root's or our own.
        if is_anyones {
            let peer = socket::peer(fd.as_fd())?;
            if peer.uid != 0 && peer.uid != process::uid() {
                return Err(Errno::PERM);
            }
        }
        let poll = Poll::new()?;
        poll.add(fd.as_fd(), 0, Interest::READ)?;
        Ok(Control { fd, poll, buffer: Vec::new(), start: 0, line: String::new() })
    }

    /// Sends one line; `line` has no newline.
    pub fn send(&mut self, line: &str) -> Result<(), Errno> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let count = socket::write(self.fd.as_fd(), rest)?;
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// The next line, waiting for it until `deadline` (`NEVER`: without end).
    pub fn next(&mut self, deadline: Instant) -> Next {
        loop {
            if let Some(length) = self.buffer[self.start..].iter().position(|byte| *byte == b'\n') {
                let end = self.start + length;
                self.line.clear();
                let _ = write_lossy(&self.buffer[self.start..end], &mut self.line); // a String takes everything
                self.start = end + 1;
                return Next::Line;
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            if deadline != Instant::NEVER && self.poll.wait(deadline) == 0 {
                if clock::now() >= deadline {
                    return Next::Nothing;
                }
                continue;
            }
            let mut chunk = [0; LINE_BYTES_MAX];
            match socket::read(self.fd.as_fd(), &mut chunk) {
                Err(Errno::AGAIN) => {}
                Ok(0) | Err(_) => return Next::Ended,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// The line that `next` has brought, without its newline.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Asks for a copy of the engine's memory: the answer is the next line, and this what came along.
    pub fn memory(&mut self) -> Result<Option<OwnedFd>, Errno> {
        self.send("memory")?;
        self.poll.wait(Instant::NEVER);
        let mut chunk = [0; LINE_BYTES_MAX];
        let mut received = socket::receive(self.fd.as_fd(), &mut chunk)?;
        self.buffer.extend_from_slice(chunk.get(..received.length).unwrap_or_default());
        match self.next(Instant::NEVER) {
            Next::Line => Ok(received.descriptors.pop()),
            Next::Nothing | Next::Ended => Err(Errno::PIPE),
        }
    }

    /// The socket.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The descriptor that waits for it.
    pub fn poll(&self) -> BorrowedFd<'_> {
        self.poll.as_fd()
    }
}

/// Prints `pintle: MESSAGE`; gives the exit code for a failed system call.
pub fn complain(message: &dyn core::fmt::Display) {
    output::say(format_args!("pintle: {message}"));
}
