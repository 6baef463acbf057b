//! Unbuffered text to descriptors, without heap: for messages of processes that must not allocate.
//!
//! A line is put together in a small buffer on the stack and written at once, so that lines of several processes do
//! not mix.

use super::{BorrowedFd, Errno, Result, process};
use core::fmt::{self, Write};

/// Writes all of it, however many calls it takes.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match super::file::write(fd, bytes)? {
            0 => return Err(Errno::IO),
            count => bytes = bytes.get(count..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Whether a short text can be written now without waiting: a console may be stopped, a pipe full.
pub fn is_ready(fd: BorrowedFd<'_>) -> bool {
    super::poll::wait_for(Some(fd), super::poll::Interest::WRITE, 0)
}

/// A writer with a buffer of 512 bytes that is flushed when it is full, at `flush`, and when dropped.
pub struct Text<'a> {
    fd: BorrowedFd<'a>,
    length: usize,
    buffer: [u8; 512],
    error: Option<Errno>,
}

impl<'a> Text<'a> {
    // A hundred callers need not each have the code that clears a buffer.
    #[inline(never)]
    pub fn to(fd: BorrowedFd<'a>) -> Text<'a> {
        Text { fd, length: 0, buffer: [0; 512], error: None }
    }

    /// Bytes as they are, text or not.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.length == self.buffer.len() {
                self.write_out();
            }
            if let Some(place) = self.buffer.get_mut(self.length) {
                *place = *byte;
                self.length += 1;
            }
        }
    }

    /// Writes what is buffered. The first error that there was is kept and told each time (EPIPE, ENOSPC, ...).
    pub fn flush(&mut self) -> Result<()> {
        self.write_out();
        self.error.map_or(Ok(()), Err)
    }

    fn write_out(&mut self) {
        let full = self.buffer.get(..self.length).unwrap_or_default();
        if self.error.is_none() {
            self.error = write_all(self.fd, full).err();
        }
        self.length = 0;
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        self.write_out();
    }
}

/// Text that may not be UTF-8, such as a path, for people.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        pintle::text::write_lossy(self.0, to)
    }
}

/// Standard output.
pub fn stdout() -> Text<'static> {
    Text::to(process::standard_output())
}

/// Whether a person looks at standard output.
pub fn is_terminal() -> bool {
    rustix::termios::isatty(process::standard_output())
}

/// Standard error.
pub fn stderr() -> Text<'static> {
    Text::to(process::standard_error())
}

/// A line on standard error.
#[cold]
#[inline(never)]
pub fn say(text: fmt::Arguments<'_>) {
    let _ = writeln!(stderr(), "{text}");
}

/// The same, of a process that is not to wait: where a console is stopped or a pipe full, it is not said.
#[cold]
#[inline(never)]
pub fn say_now(text: fmt::Arguments<'_>) {
    if is_ready(process::standard_error()) {
        say(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;

    #[test]
    fn a_full_pipe_is_not_ready() {
        let (_reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).expect("a pipe");
        assert!(is_ready(writer.as_fd()));
        while rustix::io::write(&writer, &[0; 4096]).is_ok() {}
        assert!(!is_ready(writer.as_fd()));
    }
}
