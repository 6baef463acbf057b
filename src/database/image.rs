//! The checked view of a database's bytes. `open` checks everything once; accessors are total: what is out of range
//! reads as 0 or as empty, so that no reader, process 1 among them, can fail on one.

use core::ffi::CStr;

use super::{
    EXEC_WORDS, ImageError, LEAF_WORDS, NODE_WORDS, NONE, POLICY_WORDS, SECTIONS, SERVICE_WORDS, Section, header, leaf,
    service,
};
use crate::fact;
use crate::graph::Relation;
use crate::graph::relation::Edge;
use crate::ident::SlotId;
use crate::nearest::among;

/// A database in memory. Copy it freely; it is a view.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    offsets: [u32; SECTIONS],
    lengths: [u32; SECTIONS],
    services: u32,
}

impl<'a> Image<'a> {
    /// Checks all of it and gives the view.
    pub fn open(bytes: &'a [u8]) -> Result<Image<'a>, ImageError> {
        super::verify::sums(bytes)?;
        let opened = Image::open_copy(bytes);
        if let Ok(image) = &opened {
            super::verify::records(image)?;
        }
        opened
    }

    /// Opens a copy of what `open` has accepted: only the table of sections is looked at. In other bytes what is read
    /// may be nonsense, never out of bounds.
    pub fn open_copy(bytes: &'a [u8]) -> Result<Image<'a>, ImageError> {
        let (offsets, lengths) = super::verify::header(bytes)?;
        Ok(Image { bytes, offsets, lengths, services: word_at(bytes, header::SERVICES) })
    }

    /// All bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A word of the header.
    pub fn header(&self, word: usize) -> u32 {
        word_at(self.bytes, word)
    }

    /// Number of services; their slots are `0..services()`.
    pub fn services(&self) -> u32 {
        self.services
    }

    /// Length of a section in records of `words` words.
    pub fn count(&self, section: Section, words: usize) -> u32 {
        self.lengths[section as usize] / (words as u32 * 4)
    }

    /// Length of a section in bytes.
    pub fn length(&self, section: Section) -> u32 {
        self.lengths[section as usize]
    }

    /// All bytes of a section.
    pub(super) fn section(&self, section: Section) -> &'a [u8] {
        let start = self.offsets[section as usize] as usize;
        self.bytes.get(start..start + self.lengths[section as usize] as usize).unwrap_or(&[])
    }

    /// Word `index` of a section; 0 behind its end.
    #[inline]
    pub fn word(&self, section: Section, index: usize) -> u32 {
        if index >= self.lengths[section as usize] as usize / 4 {
            return 0;
        }
        let at = self.offsets[section as usize] as usize + index * 4;
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |four| u32::from_le_bytes(*four))
    }

    /// Field of a service's record (`service::*`).
    #[inline(never)]
    pub fn service(&self, slot: SlotId, field: usize) -> u32 {
        self.service_record(slot).map_or(0, |record| word_at(record, field))
    }

    #[inline(always)]
    fn service_record(&self, slot: SlotId) -> Option<&'a [u8; SERVICE_WORDS * 4]> {
        self.section(Section::Services).as_chunks().0.get(slot.index())
    }

    /// Field of an exec record (`exec::*`).
    pub fn exec(&self, index: u32, field: usize) -> u32 {
        self.word(Section::Execs, (index as usize).saturating_mul(EXEC_WORDS).saturating_add(field))
    }

    /// Field of a policy record (`policy::*`).
    pub fn policy(&self, index: u32, field: usize) -> u32 {
        self.word(Section::Policies, (index as usize).saturating_mul(POLICY_WORDS).saturating_add(field))
    }

    /// All fields of a policy record; zeros where there is none.
    pub fn policy_record(&self, index: u32) -> [u32; POLICY_WORDS] {
        let mut record = [0; POLICY_WORDS];
        self.record(Section::Policies, index, &mut record);
        record
    }

    /// All fields of an exec record; zeros where there is none.
    pub fn exec_record(&self, index: u32, record: &mut [u32; EXEC_WORDS]) {
        self.record(Section::Execs, index, record);
    }

    #[inline(never)]
    fn record(&self, section: Section, index: u32, record: &mut [u32]) {
        let first = (index as usize).saturating_mul(record.len() * 4);
        let bytes = self.section(section).get(first..).and_then(|rest| rest.get(..record.len() * 4));
        for (word, four) in record.iter_mut().zip(bytes.unwrap_or_default().as_chunks().0) {
            *word = u32::from_le_bytes(*four);
        }
    }

    /// Field of an expression node (`node::*`).
    pub fn node(&self, index: u32, field: usize) -> u32 {
        self.word(Section::Nodes, (index as usize).saturating_mul(NODE_WORDS).saturating_add(field))
    }

    /// All fields of an expression node.
    pub fn node_record(&self, index: u32) -> [u32; NODE_WORDS] {
        let mut record = [0; NODE_WORDS];
        self.record(Section::Nodes, index, &mut record);
        record
    }

    /// All fields of a leaf record.
    pub fn leaf(&self, index: u32) -> [u32; LEAF_WORDS] {
        let mut record = [0; LEAF_WORDS];
        self.record(Section::Leaves, index, &mut record);
        record
    }

    /// Number of leaf records.
    pub fn leaves(&self) -> u32 {
        self.count(Section::Leaves, LEAF_WORDS)
    }

    /// The leaves of facts of this name.
    #[inline(never)]
    pub fn leaves_named(&self, name: &[u8]) -> core::ops::Range<u32> {
        let leaves = self.section(Section::Leaves).as_chunks::<{ LEAF_WORDS * 4 }>().0;
        let hash_of = |record: &[u8]| word_at(record, leaf::ROLE) & leaf::HASH;
        let hash = fact::hash(name) & leaf::HASH;
        // Names that have the same hash stand one behind the other.
        let is_it = |at: usize| {
            let record = leaves.get(at).filter(|record| hash_of(*record) == hash)?;
            Some(self.is_string(word_at(record, leaf::NAME), name))
        };
        let mut first = leaves.partition_point(|record| hash_of(record) < hash);
        while is_it(first) == Some(false) {
            first += 1;
        }
        let mut last = first;
        while is_it(last) == Some(true) {
            last += 1;
        }
        first as u32..last as u32
    }

    /// A service's flags and kind.
    pub fn flags(&self, slot: SlotId) -> u32 {
        self.service(slot, service::KIND_FLAGS)
    }

    /// A service's name.
    pub fn name(&self, slot: SlotId) -> &'a str {
        self.text(self.service(slot, service::NAME))
    }

    /// The name that was likely meant by one that no service has.
    #[inline(never)]
    pub fn nearest(&self, name: &str) -> Option<&'a str> {
        let image = *self;
        among(name, &mut (0..self.services()).map(|slot| image.name(SlotId(slot))))
    }

    /// The service of this name.
    pub fn find(&self, name: &[u8]) -> Option<SlotId> {
        let at = search(self.services(), &|at| self.bytes_of(self.service(SlotId(at), service::NAME)) < name);
        (at < self.services() && self.is_string(self.service(SlotId(at), service::NAME), name)).then_some(SlotId(at))
    }

    /// The service of this name, or the one that provides it. (Where several do, a choice has the name.)
    pub fn find_provider(&self, name: &[u8]) -> Option<SlotId> {
        let provides = |at: &SlotId| {
            let names = self.list(self.service(*at, service::PROVIDES));
            names.iter().any(|word| self.is_string(word, name)) && self.flags(*at) & service::flags::TEMPLATE == 0
        };
        self.find(name).or_else(|| (0..self.services()).map(SlotId).find(provides))
    }

    /// The string at this offset, with its NUL, as exec takes it.
    pub fn cstr(&self, offset: u32) -> &'a CStr {
        let start = self.offsets[Section::Strings as usize] as usize;
        let end = start + self.lengths[Section::Strings as usize] as usize;
        self.bytes
            .get(start.saturating_add(offset as usize)..end)
            .and_then(|rest| CStr::from_bytes_until_nul(rest).ok())
            .unwrap_or(c"")
    }

    /// The string at this offset without its NUL.
    pub fn bytes_of(&self, offset: u32) -> &'a [u8] {
        self.cstr(offset).to_bytes()
    }

    /// Whether the string at this offset is this one, which has no NUL.
    pub fn is_string(&self, offset: u32, text: &[u8]) -> bool {
        let behind = self.section(Section::Strings).get(offset as usize..);
        behind.and_then(|behind| behind.strip_prefix(text)).is_some_and(|behind| behind.first() == Some(&0))
    }

    /// The string at this offset as text.
    pub fn text(&self, offset: u32) -> &'a str {
        core::str::from_utf8(self.bytes_of(offset)).unwrap_or("")
    }

    /// The words of the list at this offset of LISTS (without its count); empty for `NONE`.
    pub fn list(&self, offset: u32) -> List<'a> {
        if offset == NONE {
            return List { words: &[], count: 0 };
        }
        let start = (offset as usize + 1).saturating_mul(4);
        let words = self.section(Section::Lists).get(start..).unwrap_or_default();
        List { words, count: self.word(Section::Lists, offset as usize) }
    }

    /// Edges of a service, from its own end.
    pub fn edges(&self, slot: SlotId) -> Edges<'a> {
        self.edges_in(Section::Edges, slot, service::EDGES, service::EDGES_COUNT)
    }

    /// Edges whose target is this service; each edge's slot is the source.
    pub fn reverse(&self, slot: SlotId) -> Edges<'a> {
        self.edges_in(Section::Reverse, slot, service::REVERSE, service::REVERSE_COUNT)
    }

    fn edges_in(&self, section: Section, slot: SlotId, first: usize, count: usize) -> Edges<'a> {
        let Some(record) = self.service_record(slot) else { return Edges { words: &[] } };
        let bytes = |word| (word_at(record, word) as usize).saturating_mul(4);
        let words = self.section(section).get(bytes(first)..).unwrap_or_default();
        Edges { words: words.get(..bytes(count)).unwrap_or_default() }
    }
}

/// Words of one list.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    /// The section from the list's first word on.
    words: &'a [u8],
    count: u32,
}

impl List<'_> {
    /// How many words.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Word `index`; 0 behind the end.
    pub fn get(&self, index: usize) -> u32 {
        if index < self.count as usize { word_at(self.words, index) } else { 0 }
    }

    /// All words in turn.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.count as usize).map(|index| self.get(index))
    }
}

/// Edges in turn.
#[derive(Clone, Debug)]
pub struct Edges<'a> {
    words: &'a [u8],
}

impl Edges<'_> {
    /// How many.
    pub fn len(&self) -> u32 {
        (self.words.len() / 4) as u32
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// All but the last `count`.
    pub fn but_last(self, count: u32) -> Self {
        let left = self.words.len().saturating_sub((count as usize).saturating_mul(4));
        Edges { words: self.words.get(..left).unwrap_or_default() }
    }

    /// The one at this place; behind the last one that to a slot that there is not.
    pub fn one(self, place: u32) -> Self {
        const NOTHING: Edge = Edge { relation: Relation::Alternative, slot: SlotId(u32::MAX) };
        static NONE: [u8; 4] = NOTHING.to_word().to_le_bytes();
        Edges { words: self.words.as_chunks::<4>().0.get(place as usize).unwrap_or(&NONE) }
    }

    /// Those of one relation: they stand together, since edges are in order of relation and slot.
    pub fn only(self, relation: Relation) -> Self {
        let words = self.words;
        let count = (words.len() / 4) as u32;
        let first = partition(count, |at| word_at(words, at as usize) >> 28 < relation as u32) as usize * 4;
        let end = partition(count, |at| word_at(words, at as usize) >> 28 <= relation as u32) as usize * 4;
        Edges { words: words.get(first..end).unwrap_or_default() }
    }
}

impl Iterator for Edges<'_> {
    type Item = Edge;

    #[inline(always)] // where many thousands are gone through, the call would be most of it
    fn next(&mut self) -> Option<Edge> {
        let (word, rest) = self.words.split_first_chunk()?;
        self.words = rest;
        Edge::from_word(u32::from_le_bytes(*word))
    }
}

impl DoubleEndedIterator for Edges<'_> {
    fn next_back(&mut self) -> Option<Edge> {
        let (rest, word) = self.words.split_last_chunk()?;
        self.words = rest;
        Edge::from_word(u32::from_le_bytes(*word))
    }
}

/// The first index for which `before` is false, where it is true up to some index and false from there on.
#[inline]
fn partition(count: u32, before: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// `partition` as code of its own, where no time is short.
#[inline(never)]
pub(super) fn search(count: u32, before: &dyn Fn(u32) -> bool) -> u32 {
    partition(count, before)
}

/// Word `index` of these bytes; 0 behind their end.
#[inline]
pub(super) fn word_at(bytes: &[u8], index: usize) -> u32 {
    let behind = bytes.get(index.saturating_mul(4)..).unwrap_or_default();
    behind.first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}
