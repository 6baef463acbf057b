//! Pools: each string, each list of words, each record stored once. And the hash table under them.

use crate::fact::{hash, name};
use alloc::vec::Vec;

use super::super::NONE;

/// Numbers by hash: open addressing, linear probing, at most half full. The keys themselves are the caller's.
struct Table {
    /// Two words a place: the hash, and the number, which is `NONE` in a free place.
    words: Vec<u32>,
    used: usize,
}

impl Table {
    const fn new() -> Table {
        Table { words: Vec::new(), used: 0 }
    }

    /// The first place that is free, or for whose number of this hash `is_it` says yes; `None` in an empty table.
    #[inline(never)]
    fn place(&self, hash: u32, is_it: &dyn Fn(u32) -> bool) -> Option<usize> {
        let mask = (self.words.len() / 2).checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let number = self.words[at * 2 + 1];
            if number == NONE || self.words[at * 2] == hash && is_it(number) {
                return Some(at * 2);
            }
            at = (at + 1) & mask;
        }
    }

    /// The number with this hash for which `is_it` says yes.
    fn find(&self, hash: u32, is_it: &dyn Fn(u32) -> bool) -> Option<u32> {
        self.place(hash, is_it).map(|at| self.words[at + 1]).filter(|&number| number != NONE)
    }

    /// Adds a number that is not in it yet.
    #[inline(never)]
    fn insert(&mut self, hash: u32, number: u32) {
        if self.used * 4 >= self.words.len() {
            let larger = alloc::vec![NONE; (self.words.len() * 2).max(128)];
            let smaller = core::mem::replace(&mut self.words, larger);
            for two in smaller.chunks_exact(2) {
                if two[1] != NONE {
                    self.put(two[0], two[1]);
                }
            }
        }
        self.put(hash, number);
        self.used += 1;
    }

    fn put(&mut self, hash: u32, number: u32) {
        let at = self.place(hash, &|_| false).expect("there is room");
        (self.words[at], self.words[at + 1]) = (hash, number);
    }
}

/// A section of things that show by themselves where they end, each stored once.
pub struct Pool {
    bytes: Vec<u8>,
    table: Table,
}

impl Pool {
    /// Empty.
    pub const fn new() -> Pool {
        Pool { bytes: Vec::new(), table: Table::new() }
    }

    /// Where this thing begins.
    fn put(&mut self, thing: &[u8]) -> u32 {
        let hash = hash(thing);
        let bytes = &self.bytes;
        let found = self.table.find(hash, &|at| bytes[at as usize..].starts_with(thing));
        found.unwrap_or_else(|| {
            let at = self.bytes.len() as u32;
            self.bytes.extend_from_slice(thing);
            self.table.insert(hash, at);
            at
        })
    }

    /// Offset of this string. Everything from a NUL on is cut off (the checks have refused such a string).
    pub fn text(&mut self, text: &str) -> u32 {
        let mut bytes = Vec::from(text);
        bytes.push(0);
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(0);
        self.put(&bytes[..end + 1])
    }

    /// Offset in words of these, which say by themselves how many they are.
    pub fn words(&mut self, words: &[u32]) -> u32 {
        let mut bytes = Vec::with_capacity(words.len() * 4);
        put_words(&mut bytes, words);
        self.put(&bytes) / 4
    }

    /// Adds words, whether they are there already or not.
    pub fn add(&mut self, words: &[u32]) {
        put_words(&mut self.bytes, words);
    }

    /// Gives a word another value.
    pub fn set(&mut self, at: usize, word: u32) {
        set_word(&mut self.bytes, at, word);
    }

    /// The section.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The string at an offset that `text` gave.
    pub fn text_at(&self, at: u32) -> &[u8] {
        name(&self.bytes[at as usize..])
    }
}

/// Writes a word in the order of its bytes in a file.
pub fn set_word(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at * 4..at * 4 + 4].copy_from_slice(&word.to_le_bytes());
}

/// Adds words in the order of their bytes in a file.
fn put_words(bytes: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
}

/// Numbers by name.
pub struct Names {
    names: Vec<(&'static str, u32)>,
    table: Table,
}

impl Names {
    /// Empty.
    pub const fn new() -> Names {
        Names { names: Vec::new(), table: Table::new() }
    }

    /// The number of this name.
    #[inline(never)]
    pub fn find(&self, name: &str) -> Option<u32> {
        let at = self.table.find(hash(name.as_bytes()), &|at| self.names[at as usize].0 == name)?;
        Some(self.names[at as usize].1)
    }

    /// Adds a name that is not in it yet.
    #[inline(never)]
    pub fn add(&mut self, name: &'static str, number: u32) {
        self.table.insert(hash(name.as_bytes()), self.names.len() as u32);
        self.names.push((name, number));
    }

    /// All names, in the order in which they were added.
    pub fn all(&self) -> &[(&'static str, u32)] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_string_is_stored_once() {
        let mut strings = Pool::new();
        assert_eq!(strings.text(""), 0);
        let offsets: Vec<u32> = (0..1000).map(|n| strings.text(&alloc::format!("s{}", n % 300))).collect();
        for (n, &at) in offsets.iter().enumerate() {
            assert_eq!(strings.text_at(at), alloc::format!("s{}", n % 300).as_bytes());
            assert_eq!(at, offsets[n % 300]);
        }
        assert_eq!(strings.text("\0x"), 0);
    }

    #[test]
    fn each_list_is_stored_once() {
        let mut lists = Pool::new();
        let first = lists.words(&[3, 1, 2, 3]);
        let other = lists.words(&[2, 1, 2]);
        assert_eq!((first, other), (0, 4));
        assert_eq!((lists.words(&[3, 1, 2, 3]), lists.words(&[2, 1, 2])), (first, other));
        assert_eq!(lists.bytes().len(), 7 * 4);
    }
}
