//! Lines to the machine's syslog: datagrams to /dev/log as RFC 3164 has them, `<30>Nov 21 00:05:59 nginx[815]: text`,
//! the time in UTC. No heap, and nobody waits here: what it does not take now is told to whoever sends.

use crate::sys::poll::{Interest, Poll};
use crate::sys::socket::{self, Address};
use crate::sys::{AsFd, Errno, OwnedFd, Result, file};
use core::fmt::Write;
use pintle::stamp::{EPOCH, civil};

/// The usual socket.
pub const PATH: &[u8] = b"/dev/log";
/// Bytes of a line; a packet has at most 1024 (RFC 3164, 4.1).
pub const LINE_BYTES_MAX: usize = 800;
/// Facility daemon, severity informational.
const PRIORITY: u32 = 3 << 3 | 6;

/// The way to it.
#[derive(Default)]
pub struct Syslog {
    socket: Option<OwnedFd>,
    /// Its socket is in the poll.
    is_watched: bool,
    /// It did not read in time: until it has read something, nobody waits for it again.
    pub is_stuck: bool,
    /// Lines that it has taken.
    pub taken: u32,
}

impl Syslog {
    /// Sends one line of a service's process (0: not known). Errors: nobody listens, or what sending brings; EAGAIN, it
    /// has too much unread.
    #[inline(never)]
    pub fn send(&mut self, path: &[u8], now: u64, name: &[u8], pid: u32, text: &[u8]) -> Result<()> {
        let mut packet: heapless::Vec<u8, 1024> = heapless::Vec::new();
        let seconds = now / 1_000_000_000;
        let (_, month, day) = civil(EPOCH + (seconds / 86_400) as u32);
        let month = b"JanFebMarAprMayJunJulAugSepOctNovDec".as_chunks::<3>().0[(month as usize).wrapping_sub(1) % 12];
        let month = str::from_utf8(&month).unwrap_or_default();
        let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
        let _ = write!(packet, "<{PRIORITY}>{month} {day:2} {hour:02}:{minute:02}:{second:02} ");
        let _ = packet.extend_from_slice(name);
        if pid != 0 {
            let _ = write!(packet, "[{pid}]");
        }
        // The longest name and the longest line fit.
        let _ = packet.extend_from_slice(b": ");
        let _ = packet.extend_from_slice(text);
        // Where another one listens by now, with a new socket.
        let mut again = self.socket.is_some();
        loop {
            let socket = match &self.socket {
                Some(socket) => socket,
                None => {
                    let socket = socket::connect_datagrams(&Address::path(path)?)?;
                    file::set_nonblocking(&socket)?;
                    self.socket.insert(socket)
                }
            };
            match socket::send(socket.as_fd(), &packet, &[]) {
                Ok(()) => {
                    (self.is_stuck, self.taken) = (false, self.taken.wrapping_add(1));
                    return Ok(());
                }
                Err(Errno::AGAIN) => return Err(Errno::AGAIN),
                Err(error) => {
                    (self.socket, self.is_watched) = (None, false);
                    if !core::mem::take(&mut again) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Has the poll tell when it can take more, or no longer.
    pub fn watch(&mut self, poll: &Poll, token: u64, wanted: bool) {
        let Some(socket) = self.socket.as_ref().filter(|_| self.is_watched != wanted) else { return };
        let done = if wanted { poll.add(socket, token, Interest::WRITE) } else { poll.remove(socket) };
        self.is_watched = wanted && done.is_ok();
    }
}
