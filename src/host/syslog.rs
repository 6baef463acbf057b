//! Lines to the machine's syslog: datagrams to /dev/log as RFC 3164 has them, `<30>Nov 21 00:05:59 nginx[815]: text`,
//! the time in UTC. No heap.

use crate::sys::poll::{Interest, wait_for};
use crate::sys::socket::{self, Address};
use crate::sys::{AsFd, Errno, OwnedFd, Result, file};
use core::fmt::Write;
use pintle::stamp::{EPOCH, civil};

/// The usual socket.
pub const PATH: &[u8] = b"/dev/log";
/// Bytes of a line; a packet has at most 1024 (RFC 3164, 4.1).
pub const LINE_BYTES_MAX: usize = 800;
/// How long a syslog that has too much unread is waited for before lines are lost. Milliseconds.
const PATIENCE_MS: u32 = 1000;
/// Facility daemon, severity informational.
const PRIORITY: u32 = 3 << 3 | 6;

/// The way to it.
#[derive(Default)]
pub struct Syslog {
    socket: Option<OwnedFd>,
    /// It did not read in time: until it has read something, nobody waits for it again.
    stuck: bool,
}

impl Syslog {
    /// Sends one line of a service's process (0: not known). Errors: nobody listens, or what sending brings; EAGAIN, it
    /// does not read.
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
        let mut again = true;
        loop {
            let socket = match &self.socket {
                Some(socket) => socket,
                None => {
                    again = false;
                    let socket = socket::connect_datagrams(&Address::path(path)?)?;
                    file::set_nonblocking(&socket)?;
                    self.socket.insert(socket)
                }
            };
            match socket::send(socket.as_fd(), &packet, &[]) {
                Ok(()) => {
                    self.stuck = false;
                    return Ok(());
                }
                Err(Errno::AGAIN) if !self.stuck => {
                    self.stuck = !wait_for(Some(socket.as_fd()), Interest::WRITE, PATIENCE_MS);
                }
                Err(Errno::AGAIN) => return Err(Errno::AGAIN),
                // Another one listens there by now.
                Err(error) => {
                    self.socket = None;
                    if !again {
                        return Err(error);
                    }
                }
            }
        }
    }
}
