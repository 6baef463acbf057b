//! Orders: what each slot's processes are to be. Written by the engine alone; the supervisor maps them read-only and
//! does only what the database says that a slot may do.

use core::sync::atomic::AtomicU32;

use super::words::{self, Head, ROWS};
use super::{Geometry, SPARE};
use crate::ident::{Order, SlotId};
use crate::limits::INSTANCE_BYTES_MAX;

/// "PNTO".
const MAGIC: u32 = u32::from_le_bytes(*b"PNTO");
/// Layout version.
const VERSION: u32 = 3 + SPARE as u32;
/// How it is laid out.
pub const LAYOUT: words::Layout = [MAGIC, VERSION, ROW as u32];

/// Header words of its own.
pub mod own {
    use crate::board::words::header::OWN;
    /// 1: everything is down as a shutdown asked; the supervisor may end.
    pub const ALL_DOWN: usize = OWN;
    /// What a person asked of the machine: 0 nothing, 1 a shutdown.
    pub const MACHINE: usize = OWN + 1;
    /// How often the engine has come to rest after a busy time: the supervisor gives memory back then, too.
    pub const RESTS: usize = OWN + 2;
}

/// Words of a row.
pub const ROW: usize = 8 + SPARE;
const NUMBER: usize = 1;
const WISH: usize = 2;
const RELOAD: usize = 3;
const SIGNAL: usize = 4;
const SERVICE: usize = 5;
const TEXT: usize = 6;
const RESTART_FLAG: u32 = 1 << 8;

/// Words of a text row: a sequence counter, then the text.
pub const TEXT_ROW: usize = 1 + TEXT_WORDS;
/// Words of a text: the instance's name, then the attributes to pass, little-endian.
pub const TEXT_WORDS: usize = TEXT_NAME + TEXT_PASS;
/// Words of the instance's name: `INSTANCE_BYTES_MAX` bytes and a NUL.
const TEXT_NAME: usize = (INSTANCE_BYTES_MAX + 1) / 4;
/// Words of the attributes: `KEY=VALUE` strings, each ended by NUL, then NUL.
const TEXT_PASS: usize = 64;
/// Bytes of the attributes with their NULs.
pub const PASS_BYTES_MAX: usize = TEXT_PASS * 4;
/// Bytes of both.
pub const TEXT_BYTES: usize = TEXT_WORDS * 4;

/// What the engine wishes of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Wish {
    /// No process; what is up is taken down.
    #[default]
    Down,
    /// Up, with a life begun for this order or by policy after it. A life of an earlier order is ended first.
    Up,
}

/// One row.
///
/// An order is acted on when its number differs from the one in the slot's report. With `Wish::Up` and a process (or an
/// up oneshot) of an earlier order, the supervisor takes that down as its definition says, then starts anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OrderRow {
    /// Number of this order.
    pub number: Order,
    /// What is wished.
    pub wish: Wish,
    /// The order is a restart in place: what runs meanwhile counts as `restarting`.
    pub restart: bool,
    /// Grows by one each time that the service is to reload.
    pub reload: u32,
    /// Signal to send in the low 8 bits; the rest grows by one with each one.
    pub signal: u32,
    /// Index of the definition: the slot itself for a service, the template for an instance slot.
    pub service: u32,
    /// Index of the text row plus one; 0 is none.
    pub text: u32,
}

/// Words that orders take.
pub const fn words(geometry: &Geometry) -> usize {
    ROWS + geometry.slots() as usize * ROW + geometry.texts as usize * TEXT_ROW
}

/// The orders, whoever looks. Only the engine calls what writes.
#[derive(Clone, Copy, Debug)]
pub struct Orders<'a> {
    head: &'a Head,
    words: &'a [AtomicU32],
    geometry: Geometry,
}

impl<'a> Orders<'a> {
    /// Over `words(geometry)` words.
    pub fn new(words: &'a [AtomicU32], geometry: Geometry) -> Orders<'a> {
        Orders { head: words::head(words), words, geometry }
    }

    /// Fills in the header of a fresh mapping.
    pub fn format(&self) {
        words::format(self.words, LAYOUT, &self.geometry);
    }

    /// The words of the header.
    pub fn head(&self) -> &'a Head {
        self.head
    }

    /// All words, for the ring (`Follower`).
    pub fn words(&self) -> &'a [AtomicU32] {
        self.words
    }

    /// The row of a slot; `None` while it is being written or where it makes no sense.
    pub fn read(&self, slot: SlotId) -> Option<OrderRow> {
        if slot.0 >= self.geometry.slots() {
            return None;
        }
        let mut row = [0; ROW];
        if !words::read_row(self.words, ROWS + slot.index() * ROW, &mut row) {
            return None;
        }
        Some(OrderRow {
            number: Order(row[NUMBER]),
            wish: match row[WISH] & 0xff {
                0 => Wish::Down,
                1 => Wish::Up,
                _ => return None,
            },
            restart: row[WISH] & RESTART_FLAG != 0,
            reload: row[RELOAD],
            signal: row[SIGNAL],
            service: row[SERVICE],
            text: row[TEXT],
        })
    }

    /// Writes the row of a slot and says so in the ring. The doorbell is the caller's.
    pub fn write(&self, slot: SlotId, order: &OrderRow) {
        if slot.0 >= self.geometry.slots() {
            return;
        }
        let wish = match order.wish {
            Wish::Down => 0,
            Wish::Up => 1,
        };
        let mut row = [0; ROW];
        row[NUMBER] = order.number.0;
        row[WISH] = wish | if order.restart { RESTART_FLAG } else { 0 };
        row[RELOAD] = order.reload;
        row[SIGNAL] = order.signal;
        row[SERVICE] = order.service;
        row[TEXT] = order.text;
        words::write_row(self.words, ROWS + slot.index() * ROW, &row[1..]);
        words::push_change(self.words, slot);
    }

    /// Writes a text row: before the order that names it. An order that stands may name it already, and its next life
    /// reads the one or the other text, never parts of both.
    pub fn write_text(&self, text: u32, words: &[u32; TEXT_WORDS]) {
        if text < self.geometry.texts {
            words::write_row(self.words, self.text_at(text), words);
        }
    }

    fn text_at(&self, text: u32) -> usize {
        ROWS + self.geometry.slots() as usize * ROW + text as usize * TEXT_ROW
    }

    /// Copies a text row: the instance's name, and `INSTANCE_BYTES_MAX + 1` bytes from where it began the attributes
    /// (`KEY=VALUE` NUL ...). What the engine wrote there is not trusted: lengths are bounded here, contents are the
    /// caller's to check. `false` while it is being written, or where there is none.
    pub fn read_text(&self, text: u32, to: &mut [u8; TEXT_BYTES]) -> bool {
        let mut row = [0; TEXT_ROW];
        if text >= self.geometry.texts || !words::read_row(self.words, self.text_at(text), &mut row) {
            return false;
        }
        for (to, word) in to.chunks_exact_mut(4).zip(&row[1..]) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        for end in [INSTANCE_BYTES_MAX, TEXT_BYTES - 2, TEXT_BYTES - 1] {
            to[end] = 0;
        }
        true
    }
}

/// Word `word` of a text, zeros behind its end.
pub fn four(text: &[u8], word: usize) -> u32 {
    let mut bytes = [0; 4];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = text.get(word * 4 + at).copied().unwrap_or(0);
    }
    u32::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_text_is_read_whole_or_not_at_all() {
        let geometry = Geometry { services: 1, instances: 2, texts: 2, timed: 0, statuses: 0, instance_statuses: 0 };
        let memory: Vec<AtomicU32> = (0..words(&geometry)).map(|_| AtomicU32::new(0)).collect();
        let orders = Orders::new(&memory, geometry);
        let mut read = [1; TEXT_BYTES];
        for name in [&b"eth0"[..], b"wl", &[b'x'; 100]] {
            let mut text = [0; TEXT_WORDS];
            for (word, to) in text.iter_mut().enumerate() {
                *to = if word < TEXT_NAME { four(name, word) } else { u32::from_ne_bytes([b'v'; 4]) };
            }
            orders.write_text(1, &text);
            assert!(orders.read_text(1, &mut read));
            let (instance, pass) = read.split_at(INSTANCE_BYTES_MAX + 1);
            let length = name.len().min(INSTANCE_BYTES_MAX);
            assert_eq!((&instance[..length], instance[length]), (&name[..length], 0));
            assert_eq!(pass.iter().position(|byte| *byte == 0), Some(PASS_BYTES_MAX - 2));
        }
        let counter = orders.text_at(1);
        words::store(&memory, counter, words::load(&memory, counter) | 1);
        assert!(!orders.read_text(1, &mut read), "it is being written");
        assert!(!orders.read_text(2, &mut read), "there is none");
    }
}
