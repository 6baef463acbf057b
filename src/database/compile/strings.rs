//! Pools: each string, each list of words, each record stored once. And the hash table under them.

use alloc::string::String;
use alloc::vec::Vec;

use super::super::NONE;

/// Numbers by hash: open addressing, linear probing, at most half full. The keys themselves are the caller's.
pub struct Table {
    slots: Vec<u32>,
    used: usize,
}

impl Table {
    /// An empty table.
    pub fn new() -> Table {
        Table { slots: alloc::vec![NONE; 64], used: 0 }
    }

    /// The number with this hash for which `is_it` says yes.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != NONE {
            if is_it(self.slots[at]) {
                return Some(self.slots[at]);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// Adds a number that is not in it yet; `hash_of` gives the hash of any number in it.
    pub fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.used + 1) * 2 > self.slots.len() {
            let old = core::mem::take(&mut self.slots);
            self.slots = alloc::vec![NONE; old.len() * 2];
            for number in old.into_iter().filter(|&number| number != NONE) {
                self.place(hash_of(number), number);
            }
        }
        self.place(hash, number);
        self.used += 1;
    }

    fn place(&mut self, hash: u64, number: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != NONE {
            at = (at + 1) & mask;
        }
        self.slots[at] = number;
    }
}

/// FNV-1a with 64 bits, folded so that the low bits depend on all.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for &byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^ hash >> 32
}

fn hash_words(words: &[u32]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for &word in words {
        hash = (hash ^ u64::from(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    hash ^ hash >> 32
}

/// The STRINGS section in the making.
pub struct Strings {
    bytes: Vec<u8>,
    table: Table,
}

impl Strings {
    /// With "" at offset 0.
    pub fn new() -> Strings {
        Strings { bytes: alloc::vec![0], table: Table::new() }
    }

    /// Offset of this string. Everything from a NUL on is cut off (the checks have refused such a string).
    pub fn put(&mut self, text: &str) -> u32 {
        let text = text.split('\0').next().unwrap_or("").as_bytes();
        if text.is_empty() {
            return 0;
        }
        let hash = hash_bytes(text);
        let bytes = &self.bytes;
        if let Some(at) = self.table.find(hash, |at| until_nul(bytes, at) == text) {
            return at;
        }
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        let bytes = &self.bytes;
        self.table.insert(hash, at, |at| hash_bytes(until_nul(bytes, at)));
        at
    }

    /// The string at an offset that `put` gave.
    pub fn get(&self, at: u32) -> &[u8] {
        until_nul(&self.bytes, at)
    }

    /// The section.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn until_nul(bytes: &[u8], at: u32) -> &[u8] {
    bytes[at as usize..].split(|&byte| byte == 0).next().unwrap_or(&[])
}

/// The LISTS section in the making.
pub struct Lists {
    words: Vec<u32>,
    table: Table,
}

impl Lists {
    /// Empty.
    pub fn new() -> Lists {
        Lists { words: Vec::new(), table: Table::new() }
    }

    /// Offset of this list.
    pub fn put(&mut self, list: &[u32]) -> u32 {
        let hash = hash_words(list);
        let words = &self.words;
        if let Some(at) = self.table.find(hash, |at| list_at(words, at) == list) {
            return at;
        }
        let at = self.words.len() as u32;
        self.words.push(list.len() as u32);
        self.words.extend_from_slice(list);
        let words = &self.words;
        self.table.insert(hash, at, |at| hash_words(list_at(words, at)));
        at
    }

    /// As `put`, but `NONE` for an empty one.
    pub fn put_some(&mut self, list: &[u32]) -> u32 {
        if list.is_empty() { NONE } else { self.put(list) }
    }

    /// The section.
    pub fn words(&self) -> &[u32] {
        &self.words
    }
}

fn list_at(words: &[u32], at: u32) -> &[u32] {
    let start = at as usize + 1;
    &words[start..start + words[at as usize] as usize]
}

/// A section of equal records, each stored once.
pub struct Records<const N: usize> {
    records: Vec<[u32; N]>,
    table: Table,
}

impl<const N: usize> Records<N> {
    /// Empty.
    pub fn new() -> Records<N> {
        Records { records: Vec::new(), table: Table::new() }
    }

    /// Index of this record.
    pub fn put(&mut self, record: [u32; N]) -> u32 {
        let hash = hash_words(&record);
        let records = &self.records;
        if let Some(at) = self.table.find(hash, |at| records[at as usize] == record) {
            return at;
        }
        let at = self.records.len() as u32;
        self.records.push(record);
        let records = &self.records;
        self.table.insert(hash, at, |at| hash_words(&records[at as usize]));
        at
    }

    /// The section.
    pub fn records(&self) -> &[[u32; N]] {
        &self.records
    }
}

/// Services by name, numbered in the order in which they were added.
pub struct Names {
    names: Vec<String>,
    table: Table,
}

impl Names {
    /// Empty.
    pub fn new() -> Names {
        Names { names: Vec::new(), table: Table::new() }
    }

    /// The number of this name.
    pub fn find(&self, name: &str) -> Option<u32> {
        let names = &self.names;
        self.table.find(hash_bytes(name.as_bytes()), |at| names[at as usize] == name)
    }

    /// Adds a name that is not in it yet and gives its number.
    pub fn add(&mut self, name: &str) -> u32 {
        let at = self.names.len() as u32;
        self.names.push(String::from(name));
        let names = &self.names;
        self.table.insert(hash_bytes(name.as_bytes()), at, |at| hash_bytes(names[at as usize].as_bytes()));
        at
    }

    /// All names in the order of their numbers.
    pub fn all(&self) -> &[String] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_string_is_stored_once() {
        let mut strings = Strings::new();
        let offsets: Vec<u32> = (0..1000).map(|n| strings.put(&alloc::format!("s{}", n % 300))).collect();
        for (n, &at) in offsets.iter().enumerate() {
            assert_eq!(strings.get(at), alloc::format!("s{}", n % 300).as_bytes());
            assert_eq!(at, offsets[n % 300]);
        }
        assert_eq!(strings.put(""), 0);
    }

    #[test]
    fn each_list_and_record_is_stored_once() {
        let mut lists = Lists::new();
        let first = lists.put(&[1, 2, 3]);
        let other = lists.put(&[1, 2]);
        assert_eq!((lists.put(&[1, 2, 3]), lists.put(&[1, 2])), (first, other));
        assert_eq!(lists.words(), [3, 1, 2, 3, 2, 1, 2]);
        assert_eq!(lists.put_some(&[]), NONE);
        let mut records = Records::<2>::new();
        assert_eq!((records.put([1, 2]), records.put([2, 1]), records.put([1, 2])), (0, 1, 0));
    }
}
