//! The supervisor's end of the way to the logger: hands it the reading end of each service's log pipe.
//!
//! The supervisor holds both ends of every pipe and both ends of the socket pair, so that the death of a logger loses
//! nothing but what that one had read and not yet written (it writes before it does anything else). When it dies:
//! spawn it again and call [`LogLink::restart`]; every pipe is handed over once more.
//!
//! What has to be told is one bit a slot and kind, so nothing can overflow and telling twice is once. Nothing is sent
//! before [`LogLink::flush`], once in each round of the supervisor's loop: many slots go in one message.
//!
//! The logger is spawned as `pintle-log --serve N --dir DIR` with [`LogLink::logger_end`] as its descriptor N, with
//! [`RESTART_DELAY_MS`] between two starts. It runs until the socket is closed or SIGTERM comes: then it writes what is
//! in the pipes, and ends with 0.
//!
//! A message is one or more records in the machine's byte order: kind, slot, flags, length of the name, and the words
//! that say how it is logged (32 bits each), then the name, filled up with zeros to a multiple of 4. The records of kind `PIPE` take the message's descriptors
//! in turn.

use super::refuse::OrRefuse;
use crate::sys::{AsFd, BorrowedFd, Errno, OwnedFd, Result, mapping, socket};
use heapless::Vec;
use pintle::database::exec;
use pintle::ident::SlotId;
use pintle::limits::{INSTANCE_BYTES_MAX, NAME_BYTES_MAX};
use pintle::packed;
use pintle::packed::Packed;

/// Bytes of a name with its instance.
pub const LOG_NAME_BYTES_MAX: usize = NAME_BYTES_MAX + INSTANCE_BYTES_MAX + 1;
/// Least time between two starts of the logger, milliseconds.
pub const RESTART_DELAY_MS: u32 = 1000;
/// Bytes of a message: both records of each slot, with the longest name.
pub const MESSAGE_BYTES: usize = socket::DESCRIPTORS_MAX * (2 * RECORD_BYTES + LOG_NAME_BYTES_MAX.next_multiple_of(4));
const RECORD_BYTES: usize = 16 + 4 * WORDS;
/// Words that say how a service is logged: the pid of its process, and those of `database::exec` from `LOG` on.
pub const WORDS: usize = 1 + exec::LOG_STAMP - exec::LOG + 1;

/// Kind of record: here is a pipe to read, by this name.
pub const PIPE: u32 = 1;
/// Kind of record: what wrote to this slot's pipe has ended; a line that it did not finish ends here.
pub const ENDED: u32 = 2;
/// Flag of `PIPE`: an earlier logger has read from it, so a line that it did not finish may go on.
pub const CONTINUES: u32 = 1;

/// What the link asks of the supervisor about a slot.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The name, in parts that are put together (`dhcp@`, `eth0`); what is over `LOG_NAME_BYTES_MAX` is cut off.
    pub name: [&'a [u8]; 2],
    pub words: [u32; WORDS],
    /// The reading end of its pipe.
    pub pipe: BorrowedFd<'a>,
}

/// The link. Three bits a slot.
pub struct LogLink {
    near: OwnedFd,
    far: OwnedFd,
    /// For 32 slots each: `FRESH`, `OVER`, `KNOWN`.
    bits: &'static mut [[u32; 3]],
    /// Whether any bit of `FRESH` or `OVER` is set.
    pending: bool,
    /// The socket was full: wait for it to become writable.
    full: bool,
}

const MAKE: Packed = packed!("cannot make the way to the logger");

/// Its pipe is to be handed over.
const FRESH: usize = 0;
/// Say that its writer has ended.
const OVER: usize = 1;
/// The pipe was handed to some logger before.
const KNOWN: usize = 2;

impl LogLink {
    /// For a board of this many slots. Maps 3 bits each, or ends the process; allocates nothing later.
    #[inline(never)]
    pub fn new(slots: u32) -> LogLink {
        let (near, far) = socket::pair().or_refuse(MAKE);
        LogLink::taken_over(slots, near, far)
    }

    /// That of a supervisor that has crashed: which pipes the logger has is not known, and telling it again is no harm.
    #[inline(never)]
    pub fn taken_over(slots: u32, near: OwnedFd, far: OwnedFd) -> LogLink {
        let bits = mapping::private_words(3 * slots.div_ceil(32) as usize).or_refuse(MAKE);
        LogLink { near, far, bits: bits.as_chunks_mut().0, pending: false, full: false }
    }

    /// What is said of this slot is to be said again: it has changed.
    pub fn again(&mut self, slot: SlotId) {
        self.set(slot, FRESH);
    }

    /// There is a pipe of this slot that a logger may have.
    pub fn known(&mut self, slot: SlotId) {
        self.set(slot, FRESH);
        self.set(slot, KNOWN);
    }

    /// Both ends, to be taken over.
    pub fn ends(&self) -> (&OwnedFd, &OwnedFd) {
        (&self.near, &self.far)
    }

    /// What the logger gets as its descriptor N.
    pub fn logger_end(&self) -> BorrowedFd<'_> {
        self.far.as_fd()
    }

    /// Our end, to be watched for writing while `wants_write`.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.near.as_fd()
    }

    /// Whether `flush` has to be called again when the socket is writable.
    pub fn wants_write(&self) -> bool {
        self.full
    }

    /// This slot has a new pipe. Call when the pipe has been made, not at each spawn.
    pub fn opened(&mut self, slot: SlotId) {
        self.closed(slot);
        self.set(slot, FRESH);
    }

    /// The main process of this slot has ended: the line that it may have left unfinished is finished by the logger.
    /// Without this call the next life's first line would stand behind it on the same line.
    pub fn ended(&mut self, slot: SlotId) {
        self.set(slot, OVER);
    }

    fn set(&mut self, slot: SlotId, which: usize) {
        if let Some(bits) = self.bits.get_mut(slot.index() / 32) {
            bits[which] |= 1 << (slot.0 % 32);
        }
        self.pending = true;
    }

    /// The supervisor closes both ends of this slot's pipe (the slot is given to another instance, or is no more):
    /// nothing more is said about it. The logger sees the end of file when the last writer is gone.
    #[inline(never)]
    pub fn closed(&mut self, slot: SlotId) {
        for bits in self.bits.get_mut(slot.index() / 32).into_iter().flatten() {
            *bits &= !(1 << (slot.0 % 32));
        }
    }

    /// The supervisor closes both ends of this slot's pipe, and what is in it belongs to this source: a message of its own
    /// at once, in which it outlives whoever reads messages. What wrote has ended.
    #[inline(never)]
    pub fn leave(&mut self, slot: SlotId, source: &Source<'_>) -> Result<()> {
        let is_known = self.bits.get(slot.index() / 32).is_some_and(|bits| bits[KNOWN] >> (slot.0 % 32) & 1 != 0);
        let mut message: Vec<u8, MESSAGE_BYTES> = Vec::new();
        record(&mut message, PIPE, slot, if is_known { CONTINUES } else { 0 }, &source.words, source.name);
        record(&mut message, ENDED, slot, 0, &[0; WORDS], [b"", b""]);
        socket::send(self.near.as_fd(), &message, &[source.pipe])
    }

    /// The logger has died: all pipes will be handed to the next one. Slots that `source` has no pipe for do not
    /// matter. Call it when the next one is spawned (or before).
    pub fn restart(&mut self) {
        // What the dead one did not take is still in the socket and reaches the next one: told twice is once.
        for bits in self.bits.iter_mut() {
            bits[FRESH] |= bits[KNOWN];
        }
        self.pending = true;
        self.full = false;
    }

    /// Sends what is pending; `source` says what a slot's pipe and name are, `None` if it has no pipe (any more).
    /// Costs nothing when nothing is pending, else one system call for 32 slots. Errors but EAGAIN (then see
    /// `wants_write`) and EPIPE (the logger is dead; keeps everything for the next one) are returned with everything
    /// kept: ETOOMANYREFS, ENOMEM, ENOBUFS; call again later.
    #[inline(never)]
    pub fn flush<'a>(&mut self, source: &dyn Fn(SlotId) -> Option<Source<'a>>) -> Result<()> {
        let words = if self.pending { self.bits.len() } else { 0 };
        let mut end = 0;
        while end < words {
            let start = end;
            let mut message: Vec<u8, MESSAGE_BYTES> = Vec::new();
            let mut pipes: Vec<BorrowedFd<'a>, { socket::DESCRIPTORS_MAX }> = Vec::new();
            // Whole words, as many as there is surely room for: a word has no more slots than a message has room for.
            let mut room = socket::DESCRIPTORS_MAX as u32;
            while end < words {
                let [fresh, over, known] = self.bits[end];
                let mut bits = fresh | over;
                let Some(left) = room.checked_sub(bits.count_ones()) else { break };
                room = left;
                while bits != 0 {
                    let at = bits.trailing_zeros();
                    let bit = 1 << at;
                    bits ^= bit;
                    let slot = SlotId(end as u32 * 32 + at);
                    let Some(source) = source(slot) else { continue };
                    if fresh & bit != 0 {
                        let flags = if known & bit != 0 { CONTINUES } else { 0 };
                        record(&mut message, PIPE, slot, flags, &source.words, source.name);
                        let _ = pipes.push(source.pipe); // there is room: asked above
                    }
                    if over & bit != 0 {
                        record(&mut message, ENDED, slot, 0, &[0; WORDS], [b"", b""]);
                    }
                }
                end += 1;
            }
            if !message.is_empty() {
                match socket::send(self.near.as_fd(), &message, &pipes) {
                    Ok(()) => self.full = false,
                    Err(Errno::AGAIN) => {
                        self.full = true;
                        return Ok(());
                    }
                    Err(Errno::PIPE | Errno::CONNRESET) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            for bits in &mut self.bits[start..end] {
                *bits = [0, 0, bits[KNOWN] | bits[FRESH]];
            }
        }
        self.pending = false;
        Ok(())
    }
}

/// Appends a record; the caller has made sure that there is room.
#[inline(never)]
fn record(
    message: &mut Vec<u8, MESSAGE_BYTES>,
    kind: u32,
    slot: SlotId,
    flags: u32,
    words: &[u32; WORDS],
    name: [&[u8]; 2],
) {
    let mut whole: Vec<u8, LOG_NAME_BYTES_MAX> = Vec::new();
    for part in name {
        for byte in part {
            let _ = whole.push(*byte); // what is over is cut off
        }
    }
    for word in [kind, slot.0, flags, whole.len() as u32].iter().chain(words) {
        let _ = message.extend_from_slice(&word.to_ne_bytes());
    }
    let _ = message.extend_from_slice(&whole);
    while !message.len().is_multiple_of(4) {
        let _ = message.push(0);
    }
}

/// One record as the logger reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    pub kind: u32,
    pub slot: u32,
    pub flags: u32,
    pub words: [u32; WORDS],
    pub name: &'a [u8],
}

/// The first record of a message and the rest of it; none where there is no whole one.
pub fn first_record(message: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let word = |at: usize| {
        let four = message.get(at * 4..at * 4 + 4)?;
        Some(u32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
    };
    let length = word(3)? as usize;
    let mut words = [0; WORDS];
    for (at, place) in words.iter_mut().enumerate() {
        *place = word(4 + at)?;
    }
    let rest = message.get(RECORD_BYTES..)?;
    let name = rest.get(..length).filter(|name| name.len() <= LOG_NAME_BYTES_MAX)?;
    Some((
        Record { kind: word(0)?, slot: word(1)?, flags: word(2)?, words, name },
        rest.get(length.next_multiple_of(4)..)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kind, slot, flags, name of each record, and how many descriptors there were.
    type Message = (std::vec::Vec<(u32, u32, u32, String)>, usize);

    fn receive(link: &LogLink) -> Option<Message> {
        let mut buffer = [0; MESSAGE_BYTES];
        let received = socket::receive(link.logger_end(), &mut buffer).ok()?;
        let mut rest = &buffer[..received.length];
        let mut records = std::vec::Vec::new();
        while let Some((record, behind)) = first_record(rest) {
            let name = String::from_utf8_lossy(record.name).into_owned();
            records.push((record.kind, record.slot, record.flags, name));
            rest = behind;
        }
        assert!(rest.is_empty());
        Some((records, received.descriptors.len()))
    }

    #[test]
    fn what_is_pending_goes_in_one_message_and_again_to_the_next_logger() {
        let (pipe, _writer) = rustix::pipe::pipe().expect("a pipe");
        let source = |slot: SlotId| {
            (slot.0 != 7).then_some(Source {
                name: [b"dhcp@", if slot.0 == 3 { b"eth0" } else { b"" }],
                words: [0; WORDS],
                pipe: pipe.as_fd(),
            })
        };
        let mut link = LogLink::new(100);
        assert_eq!(link.flush(&source), Ok(()));
        assert!(receive(&link).is_none());
        link.opened(SlotId(3));
        link.opened(SlotId(99));
        link.opened(SlotId(7)); // whose pipe is gone before it was sent
        link.ended(SlotId(3));
        assert_eq!(link.flush(&source), Ok(()));
        let (first, last) = ("dhcp@eth0".to_string(), "dhcp@".to_string());
        let expected = vec![(PIPE, 3, 0, first.clone()), (ENDED, 3, 0, String::new()), (PIPE, 99, 0, last.clone())];
        assert_eq!(receive(&link), Some((expected, 2)));
        assert!(receive(&link).is_none());

        link.restart();
        link.closed(SlotId(99));
        assert_eq!(link.flush(&source), Ok(()));
        assert_eq!(receive(&link), Some((vec![(PIPE, 3, CONTINUES, first)], 1)));
    }

    #[test]
    fn a_socket_that_is_full_keeps_the_rest_for_later() {
        let (pipe, _writer) = rustix::pipe::pipe().expect("a pipe");
        let source = |_| Some(Source { name: [&[b'n'; 90], &[b'i'; 63]], words: [0; WORDS], pipe: pipe.as_fd() });
        let mut link = LogLink::new(16384);
        (0..16384).for_each(|slot| link.opened(SlotId(slot)));
        let mut seen = 0;
        for _round in 0..16384 {
            // The test runner may allow few descriptors under way; that is an error which keeps everything.
            let _ = link.flush(&source);
            while let Some((records, pipes)) = receive(&link) {
                assert_eq!(records.len(), pipes);
                for (_, slot, _, _) in records {
                    assert_eq!(slot, seen);
                    seen += 1;
                }
            }
            if seen == 16384 {
                break;
            }
        }
        assert_eq!((seen, link.pending), (16384, false));
    }
}
