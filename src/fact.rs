//! The text of a condition or an event: words divided by NUL, the name first, then `KEY=VALUE` each, perhaps zeros
//! behind.

use crate::limits::FACT_BYTES_MAX;
use core::sync::atomic::{AtomicU32, Ordering};

/// What stands before the `=`.
pub fn key_of(attribute: &[u8]) -> &[u8] {
    before(attribute, b'=')
}

/// What stands before the first of these bytes, or all.
#[inline(never)]
fn before(text: &[u8], end: u8) -> &[u8] {
    let length = text.iter().position(|byte| *byte == end);
    text.get(..length.unwrap_or(text.len())).unwrap_or_default()
}

/// Name and attributes.
pub fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == 0)
}

/// The name in a fact's text, which may have zeros behind it.
pub fn name(text: &[u8]) -> &[u8] {
    before(text, 0)
}

/// FNV-1a of a name, so that most comparisons of names are one of words. The database has it, too.
#[inline(never)]
pub fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The value of an attribute.
pub fn attribute<'t>(text: &'t [u8], key: &[u8]) -> Option<&'t [u8]> {
    words(text).skip(1).find_map(|word| word.strip_prefix(key)?.strip_prefix(b"="))
}

/// The value in this place, from 0.
pub fn value_at(text: &[u8], place: usize) -> Option<&[u8]> {
    let word = words(text).nth(place + 1)?;
    word.get(key_of(word).len() + 1..)
}

/// The text of a fact that is put together, or that the engine's memory has: zeros behind its end.
pub struct Written {
    bytes: [u8; FACT_BYTES_MAX],
    length: usize,
}

impl Written {
    /// Begins with a name.
    pub fn named(name: &[u8]) -> Written {
        let mut written = Written { bytes: [0; FACT_BYTES_MAX], length: 0 };
        written.add(name);
        written
    }

    /// Of words, little-endian, up to one that is zero: no word of a fact's text is empty.
    #[inline(never)]
    pub fn of_words(words: &[AtomicU32]) -> Written {
        let mut written = Written { bytes: [0; FACT_BYTES_MAX], length: 0 };
        for (index, (four, word)) in written.bytes.as_chunks_mut().0.iter_mut().zip(words).enumerate() {
            let word = word.load(Ordering::Relaxed);
            if word == 0 {
                break;
            }
            *four = word.to_le_bytes();
            written.length = index * 4 + 4 - word.leading_zeros() as usize / 8;
        }
        written
    }

    /// Adds `KEY=` and its value (one text in two parts), or nothing where there is no room.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        if self.length + 1 + key.len() + value.len() > FACT_BYTES_MAX {
            return;
        }
        self.length += 1;
        self.add(key);
        self.add(value);
    }

    /// As much as there is room for.
    #[inline(never)]
    pub fn add(&mut self, bytes: &[u8]) {
        let places = self.bytes.get_mut(self.length..).unwrap_or_default();
        for (place, byte) in places.iter_mut().zip(bytes) {
            *place = *byte;
            self.length += 1;
        }
    }

    /// All of it.
    #[inline(never)]
    pub fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// With zeros behind.
    pub fn padded(&self) -> &[u8; FACT_BYTES_MAX] {
        &self.bytes
    }
}
