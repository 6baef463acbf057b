//! Connections to the engine: a fixed number of places with fixed buffers, none of which can hold up another.
//!
//! What always holds: a request is read only when its answer has room; what is said of phases is state (one bit for
//! each slot while a reader is behind), so a slow reader costs nothing and loses nothing but intermediate phases;
//! nothing is allocated after `new`. A place's buffers are touched only when it is used, the lowest free place first.

mod answer;
mod client;

pub use answer::{ANSWER_BYTES_MAX, Answer};

use alloc::vec::Vec;
use client::{BUFFER_BYTES, Client};
use pintle::engine::Sender;
use pintle::engine::journal::Cursor;
use pintle::ident::SlotId;
use pintle::limits::{ACCESS_RULES_MAX, CLIENTS_KEPT, CLIENTS_MAX};
use pintle::packed;
use pintle::packed::Packed;
use pintle::time::Instant;

use super::refuse::OrRefuse;
use crate::sys::poll::{Interest, Poll};
use crate::sys::socket::Groups;
use crate::sys::{AsFd, BorrowedFd, Errno, OwnedFd, mapping, socket};

/// Copies of the engine's memory that may wait to be received: they are large, and nobody else can end them.
const COPIES_MAX: usize = 4;
/// A reader that takes nothing for this long is dropped.
const STALLED_MS: u32 = 10_000;
const _: () = assert!(CLIENTS_MAX == 64, "a bit for each place in one word");
/// Places for those who may not do everything.
const OTHERS_MAX: usize = CLIENTS_MAX / 2;
/// First token of the connections in epoll; the others are below.
pub const TOKENS: u64 = 16;

/// The sets of a place.
const WAITED: usize = 0;
/// See `WAITED`.
const UNTOLD: usize = 1;

/// A bit for each rule of `access`.
pub type Rules = [u64; ACCESS_RULES_MAX / 64];
const NO_RULES: Rules = [0; ACCESS_RULES_MAX / 64];

/// Gives the slots next to one, one after the other.
pub type Neighbours<'n> = &'n dyn Fn(SlotId, &mut dyn FnMut(SlotId));

/// What a connection is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Talk {
    /// Between requests.
    Idle,
    /// Waits for this transaction to end.
    Waiting(u32),
    /// The transaction has ended: its services behind this one (`Engine::transaction_next`) are still to be told.
    Telling(u32, u32),
    /// Is told every change of a phase.
    Following,
    /// Reads the journal from `Clients::cursor` on; whether it goes on with what comes, or ends where the journal does.
    Reading(bool),
}

/// See `Clients::room`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// There is some.
    Free,
    /// If this place is ended: it has been idle longest.
    Ending(usize),
    /// Every place is busy.
    None,
}

/// All places.
pub struct Clients {
    /// `CLIENTS_MAX`.
    places: Vec<Client>,
    /// A bit for each slot: those that a place waits for, then those that it has to be told of; both of each place.
    sets: &'static mut [u32],
    set_words: usize,
    requests: u64,
    /// Places that are taken.
    count: usize,
    /// Places that wait or follow.
    watching: usize,
    /// Places that read the journal.
    reading: usize,
    /// The place that is looked at first next time.
    turn: u32,
}

impl Clients {
    /// Room for connections to an engine of `slots` slots; ends the process where there is none.
    #[inline(never)]
    pub fn new(slots: u32) -> Clients {
        const ROOM: Packed = packed!("the engine cannot make room for connections");
        let set_words = slots.div_ceil(32) as usize;
        let bytes = mapping::private_bytes(CLIENTS_MAX * 2 * BUFFER_BYTES).or_refuse(ROOM);
        let sets = mapping::private_words(CLIENTS_MAX * 2 * set_words).or_refuse(ROOM);
        let buffers = bytes.as_chunks_mut::<BUFFER_BYTES>().0.as_chunks_mut().0;
        Clients {
            places: buffers.iter_mut().map(Client::new).collect(),
            sets,
            set_words,
            requests: 0,
            count: 0,
            watching: 0,
            reading: 0,
            turn: 0,
        }
    }

    /// The connection in a place.
    #[inline(never)]
    fn client(&mut self, at: usize) -> Option<&mut Client> {
        self.places.get_mut(at).filter(|client| client.fd.is_some())
    }

    /// What makes room for one more connection. Those that may not do everything never have more than half of the places
    /// together, and one user of them a quarter of these, so that they keep out nobody who may do more, nor one another.
    pub fn room(&self, trusted: bool, uid: u32) -> Room {
        let is_own = |client: &Client| !client.trusted && client.sender.uid == uid;
        let (mut others, mut own) = (0, 0);
        for client in &self.places {
            others += usize::from(!client.trusted);
            own += usize::from(is_own(client));
        }
        let has_share = !trusted && own >= OTHERS_MAX / 4;
        if self.count < CLIENTS_MAX && (trusted || others < OTHERS_MAX) && !has_share {
            return Room::Free;
        }
        let mut idle = None;
        for (at, client) in self.places.iter().enumerate() {
            let may_end = client.fd.is_some() && !client.stays() && (trusted || !client.trusted);
            let may_end = may_end && (!has_share || is_own(client));
            if may_end && idle.is_none_or(|(used, _)| client.used < used) {
                idle = Some((client.used, at));
            }
        }
        idle.map_or(Room::None, |(_, at)| Room::Ending(at))
    }

    /// Whether anything can make room, whoever comes.
    pub fn is_full(&self) -> bool {
        matches!(self.room(true, 0), Room::None)
    }

    /// Whether a place may wait, follow or hold: of those there are never so many that a plain command finds no place.
    /// Those that may not do everything have a third of that, and one user of them a quarter of it.
    pub fn may_stay(&self, at: usize) -> bool {
        const STAYING_MAX: usize = CLIENTS_MAX - CLIENTS_KEPT;
        const _: () = assert!(STAYING_MAX == 48, "the refusal says so");
        let Some(own) = self.places.get(at) else { return false };
        let (mut staying, mut others, mut same) = (0, 0, 0);
        for client in self.places.iter().filter(|client| client.stays()) {
            staying += 1;
            others += usize::from(!client.trusted);
            same += usize::from(!client.trusted && client.sender.uid == own.sender.uid);
        }
        let has_share = others < STAYING_MAX / 3 && same < STAYING_MAX / 12;
        own.stays() || (staying < STAYING_MAX && (own.trusted || has_share))
    }

    /// The rules that are for who is in a place, a bit each: found out by `find` from his groups at his first question.
    pub fn rules(&mut self, at: usize, find: &mut dyn FnMut(&Groups, &mut Rules)) -> Rules {
        let Some(client) = self.client(at) else { return NO_RULES };
        let Some(fd) = &client.fd else { return NO_RULES };
        *client.rules.get_or_insert_with(|| {
            let mut rules = NO_RULES;
            find(&socket::groups(fd.as_fd()), &mut rules);
            rules
        })
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether anybody waits or follows.
    pub fn are_watching(&self) -> bool {
        self.watching > 0
    }

    /// How many read the journal.
    pub fn reading(&self) -> usize {
        self.reading
    }

    /// Where a place reads the journal.
    pub fn cursor(&mut self, at: usize) -> &mut Cursor {
        &mut self.places[at].cursor
    }

    /// Puts a connection into the lowest free place.
    pub fn add(&mut self, poll: &Poll, fd: OwnedFd, trusted: bool, sender: Sender) {
        let Some(at) = self.places.iter().position(|client| client.fd.is_none()) else { return };
        if poll.add(fd.as_fd(), TOKENS + at as u64, Interest::READ).is_err() {
            return; // the connection is closed
        }
        self.requests += 1;
        self.count += 1;
        let client = &mut self.places[at];
        (client.fd, client.trusted, client.sender) = (Some(fd), trusted, sender);
        (client.used, client.interest) = (self.requests, Interest::READ);
    }

    /// Ends a connection. Gives whether it held conditions: its lease is over.
    pub fn end(&mut self, at: usize) -> bool {
        self.set_talk(at, Talk::Idle);
        let Some(client) = self.client(at) else { return false };
        (client.fd, client.trusted, client.copied, client.rules) = (None, true, false, None);
        (client.ended, client.deaf, client.stalled) = (false, false, Instant::NEVER);
        client.input.clear();
        client.output.clear();
        let held = core::mem::take(&mut client.leases);
        self.count -= 1;
        held
    }

    /// News of the connection in this place: reads what there is. `false`: it is to be ended.
    pub fn news(&mut self, at: usize, readable: bool, hung_up: bool) -> bool {
        if hung_up {
            self.deafen(at); // what was asked before still counts
        }
        !(readable || hung_up) || self.client(at).is_none_or(Client::read)
    }

    /// Nobody is told any more.
    fn deafen(&mut self, at: usize) {
        if let Some(client) = self.client(at) {
            client.deaf = true;
            client.output.clear();
            self.set_talk(at, Talk::Idle);
        }
    }

    /// Takes the next line of a place, without its newline. `None`: there is no whole line, the one before is not done
    /// yet, or its answer would have no room.
    pub fn next_line(&mut self, at: usize) -> Option<&[u8]> {
        let client = self.places.get_mut(at).filter(|client| client.may_ask())?;
        let line = client.input.take_line()?;
        self.requests += 1;
        client.used = self.requests;
        Some(line)
    }

    /// Whether nothing more can come of this connection, or it has broken the rules.
    pub fn is_over(&self, at: usize, now: Instant) -> bool {
        let Some(client) = self.places.get(at) else { return false };
        let has_line = client.has_line();
        let flood = client.input.length() == BUFFER_BYTES && !has_line;
        let answered = client.is_idle() && client.output.is_empty();
        let finished = client.ended && !has_line && (answered || client.deaf) && !client.has_copy();
        flood || finished || now >= client.stalled.plus_ms(STALLED_MS)
    }

    /// Whether any place has a line that can be taken now.
    pub fn has_work(&self) -> bool {
        !self.is_empty() && self.places.iter().any(|client| client.may_ask() && client.has_line())
    }

    /// The places that have sent something, a bit each.
    #[inline(never)]
    pub fn asking(&self) -> u64 {
        let mut asking = 0;
        for (at, client) in self.places.iter().enumerate() {
            asking |= u64::from(!client.input.is_empty()) << at;
        }
        asking
    }

    /// The place among these whose turn it is: each time behind the one before.
    pub fn next_of(&mut self, places: u64) -> Option<usize> {
        let behind = places & (u64::MAX << self.turn);
        let next = if behind != 0 { behind } else { places };
        let at = next.trailing_zeros();
        self.turn = (at + 1) % CLIENTS_MAX as u32;
        (next != 0).then_some(at as usize)
    }

    /// Who is in a place, and whether everything may be asked by it.
    pub fn who(&self, at: usize) -> Option<(Sender, bool)> {
        self.places.get(at).filter(|client| client.fd.is_some()).map(|client| (client.sender, client.trusted))
    }

    /// Puts a line into the output of a place; nothing where nothing is said. One that has no room is dropped: see
    /// `has_room`.
    pub fn say(&mut self, at: usize, answer: &mut Answer) {
        let Some(client) = self.client(at) else { return };
        if client.deaf || answer.is_empty() {
            return;
        }
        let line = answer.line();
        if let Some(place) = client.output.room(line.len()).get_mut(..line.len()) {
            place.copy_from_slice(line);
            client.output.end += line.len();
        }
    }

    /// Whether a place may have a copy of the engine's memory: one of its own at a time, and few of all together.
    pub fn may_copy(&self, at: usize) -> bool {
        let own = self.places.get(at).is_some_and(Client::has_copy);
        !own && self.places.iter().filter(|client| client.has_copy()).count() < COPIES_MAX
    }

    /// Sends a line with a copy of the engine's memory. EAGAIN where something is to be read before it.
    pub fn hand_over(&mut self, at: usize, line: &[u8], descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
        match self.client(at) {
            Some(Client { fd: Some(fd), output, deaf: false, copied, .. }) if output.is_empty() => {
                *copied = true;
                socket::send(fd.as_fd(), line, &[descriptor])
            }
            _ => Err(Errno::AGAIN),
        }
    }

    /// Whether one more line fits, after an attempt to send what is there.
    pub fn has_room(&mut self, at: usize, now: Instant) -> bool {
        if self.client(at).is_some_and(|client| !client.has_room()) {
            self.send(at, now);
        }
        self.client(at).is_some_and(|client| client.has_room())
    }

    /// Sends what waits in a place, as much as goes.
    pub fn send(&mut self, at: usize, now: Instant) {
        if self.client(at).is_some_and(|client| !client.send(now)) {
            self.deafen(at);
        }
    }

    /// Asks epoll for what each place needs now.
    #[inline(never)]
    pub fn update_interest(&mut self, poll: &Poll) {
        for (at, client) in self.places.iter_mut().enumerate() {
            let Some(fd) = &client.fd else { continue };
            let mut interest = Interest::NONE;
            if !client.ended && client.input.length() < BUFFER_BYTES {
                interest = Interest::READ;
            }
            if !client.output.is_empty() {
                interest = interest.and(Interest::WRITE);
            }
            // Whose copy is received when it has said all is let go then.
            if client.ended && client.has_copy() {
                interest = interest.and(Interest::WRITE).and(Interest::EDGE);
            }
            if interest != client.interest && poll.change(fd, TOKENS + at as u64, interest).is_ok() {
                client.interest = interest;
            }
        }
    }

    /// When the next stalled reader is to be dropped.
    #[inline(never)]
    pub fn next_deadline(&self) -> Instant {
        let mut next = Instant::NEVER;
        for client in &self.places {
            next = next.min(client.stalled.plus_ms(STALLED_MS));
        }
        next
    }

    /// What a place is at.
    pub fn talk(&self, at: usize) -> Talk {
        self.places.get(at).map_or(Talk::Idle, |client| client.talk)
    }

    /// Sets what a place is at. What it watches is empty again.
    pub fn set_talk(&mut self, at: usize, talk: Talk) {
        let Some(client) = self.places.get_mut(at) else { return };
        let talk = if client.deaf { Talk::Idle } else { talk };
        let watches = |talk| usize::from(matches!(talk, Talk::Waiting(_) | Talk::Following));
        let reads = |talk| usize::from(matches!(talk, Talk::Reading(_)));
        self.watching = self.watching + watches(talk) - watches(client.talk);
        self.reading = self.reading + reads(talk) - reads(client.talk);
        client.talk = talk;
        client.behind = false;
        // Only what was written is touched again: untouched pages stay unused.
        for set in [WAITED, UNTOLD] {
            for word in self.set(at, set) {
                if *word != 0 {
                    *word = 0;
                }
            }
        }
    }

    /// Whether this process holds conditions by a connection.
    pub fn holds(&self, pid: u32) -> bool {
        self.places.iter().any(|client| client.leases && client.sender.pid == pid)
    }

    /// This place's life holds conditions from now on.
    pub fn set_leases(&mut self, at: usize) {
        if let Some(client) = self.client(at) {
            client.leases = true;
        }
    }

    /// A waiting place is told of the phases of this slot and of all that `neighbours` lead to from it. The set of
    /// those that it has to be told of, which is empty now, serves as the list of what is still to be looked at.
    pub fn watch(&mut self, at: usize, slot: SlotId, neighbours: Neighbours<'_>) {
        let mut next = Some(slot);
        while let Some(slot) = next {
            if let Some((word, bit)) = self.bit(at, WAITED, slot) {
                *word |= bit;
            }
            if let Some((word, bit)) = self.bit(at, UNTOLD, slot) {
                *word &= !bit;
            }
            neighbours(slot, &mut |other| {
                let known = self.bit(at, WAITED, other).is_none_or(|(word, bit)| *word & bit != 0);
                if let Some((word, bit)) = self.bit(at, UNTOLD, other).filter(|_| !known) {
                    *word |= bit;
                }
            });
            let first = self.set(at, UNTOLD).iter().enumerate().find(|(_, word)| **word != 0);
            next = first.map(|(at, word)| SlotId(at as u32 * 32 + word.trailing_zeros()));
        }
    }

    /// One of the sets of a place.
    #[inline(never)]
    fn set(&mut self, at: usize, set: usize) -> &mut [u32] {
        let start = (at * 2 + set) * self.set_words;
        self.sets.get_mut(start..start + self.set_words).unwrap_or_default()
    }

    /// The word and the bit of a slot in one of the sets of a place.
    #[inline(never)]
    fn bit(&mut self, at: usize, set: usize, slot: SlotId) -> Option<(&mut u32, u32)> {
        let word = self.set(at, set).get_mut((slot.0 / 32) as usize)?;
        Some((word, 1 << (slot.0 % 32)))
    }

    /// The phase of a slot has changed: `line` writes what is said of it. It is said at once to whoever has room, and
    /// later, with the phase of then, to who has not.
    pub fn changed(&mut self, slot: SlotId, now: Instant, line: &mut dyn FnMut(&mut Answer)) {
        let mut answer = Answer::new();
        for at in 0..CLIENTS_MAX {
            let told = match self.places[at].talk {
                Talk::Following => true,
                Talk::Waiting(_) => self.bit(at, WAITED, slot).is_some_and(|(word, bit)| *word & bit != 0),
                Talk::Idle | Talk::Telling(..) | Talk::Reading(_) => false,
            };
            if !told {
                continue;
            }
            if !self.places[at].behind && self.has_room(at, now) {
                if answer.is_empty() {
                    line(&mut answer);
                }
                self.say(at, &mut answer);
                continue;
            }
            if let Some((word, bit)) = self.bit(at, UNTOLD, slot) {
                *word |= bit;
                self.places[at].behind = true;
            }
        }
    }

    /// Tells a place that was behind what it has missed, as far as there is room. `true`: it is behind no more.
    pub fn catch_up(&mut self, at: usize, now: Instant, line: &mut dyn FnMut(SlotId, &mut Answer)) -> bool {
        let mut word = 0;
        while self.client(at).is_some_and(|client| client.behind) {
            let Some(bits) = self.set(at, UNTOLD).get(word).copied() else {
                self.places[at].behind = false;
                break;
            };
            if bits == 0 {
                word += 1;
                continue;
            }
            if !self.has_room(at, now) {
                return false;
            }
            let mut answer = Answer::new();
            line(SlotId(word as u32 * 32 + bits.trailing_zeros()), &mut answer);
            self.say(at, &mut answer);
            self.set(at, UNTOLD)[word] = bits & (bits - 1);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_hold_conditions_leave_places_for_others() {
        let poll = Poll::new().expect("a descriptor");
        let mut clients = Clients::new(1);
        for at in 0..CLIENTS_MAX {
            let (fd, _) = socket::pair().expect("a pair");
            clients.add(&poll, fd, true, Sender::default());
            assert_eq!(clients.may_stay(at), at < CLIENTS_MAX - CLIENTS_KEPT, "place {at}");
            if clients.may_stay(at) {
                clients.set_leases(at);
            }
        }
        assert!(clients.may_stay(0) && !clients.is_full());
    }
}
