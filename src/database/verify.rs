//! Checks a database once, when it is opened: checksums, section table, and every index, offset and list in every record.
//! Runs in process 1, so it allocates nothing, never fails otherwise than by its result, and takes time in proportion to
//! the size of the file (the lists that many records share are bounded by `limits`).

mod expressions;

use core::fmt;

use super::image::word_at;
use super::{
    EXEC_WORDS, HEADER_WORDS, Image, LEAF_WORDS, MAGIC, NODE_WORDS, NONE, POLICY_WORDS, SECTIONS, SERVICE_WORDS,
    Section, VERSION, action, exec, policy, service,
};
use crate::crc32::{Crc32, crc32};
use crate::graph::Relation;
use crate::graph::relation::Edge;
use crate::ident::SlotId;
use crate::limits;

/// Why a file is not a database that can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageError {
    /// Shorter than a header, or than the header says; or longer.
    Length {
        /// Bytes that the header asks for (at least a header).
        expected: u32,
        /// Bytes that there are.
        found: u32,
    },
    /// Does not begin with the magic.
    NotADatabase,
    /// Another version of the format.
    Version {
        /// Version of the file.
        found: u32,
    },
    /// The checksum of the header or of what is behind it does not match.
    Checksum {
        /// What the header says.
        expected: u32,
        /// What the bytes give.
        found: u32,
    },
    /// A section is not where it must be, or has not the length it must have.
    Layout {
        /// Which.
        section: Section,
    },
    /// More of something than this build holds.
    Capacity {
        /// Which section's count.
        section: Section,
        /// How many there are.
        found: u32,
        /// How many may be.
        limit: u32,
    },
    /// A record that does not hold together; only a faulty writer makes one.
    Record {
        /// The section it is in.
        section: Section,
        /// Its index.
        index: u32,
    },
}

impl Section {
    /// All sections in the order of the file.
    pub const ALL: [Section; SECTIONS] = [
        Section::Services,
        Section::Execs,
        Section::Policies,
        Section::Edges,
        Section::Reverse,
        Section::Nodes,
        Section::Leaves,
        Section::Lists,
        Section::Strings,
    ];

    /// The word for people.
    pub const fn name(self) -> &'static str {
        match self {
            Section::Services => "services",
            Section::Execs => "execs",
            Section::Policies => "policies",
            Section::Edges => "edges",
            Section::Reverse => "reverse edges",
            Section::Nodes => "expression nodes",
            Section::Leaves => "leaves",
            Section::Lists => "lists",
            Section::Strings => "strings",
        }
    }

    /// Bytes of one record of it.
    const fn record_bytes(self) -> u32 {
        match self {
            Section::Services => SERVICE_WORDS as u32 * 4,
            Section::Execs => EXEC_WORDS as u32 * 4,
            Section::Policies => POLICY_WORDS as u32 * 4,
            Section::Nodes => NODE_WORDS as u32 * 4,
            Section::Leaves => LEAF_WORDS as u32 * 4,
            Section::Edges | Section::Reverse | Section::Lists => 4,
            Section::Strings => 1,
        }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ImageError::Length { expected, found } if found < expected => {
                write!(out, "database is truncated: {found} of {expected} bytes")
            }
            ImageError::Length { expected, found } => {
                write!(out, "database has {found} bytes, its header says {expected}: damaged, or something was added")
            }
            ImageError::NotADatabase => out.write_str("not a pintle database"),
            ImageError::Version { found } if found > VERSION => {
                write!(out, "made by a newer pintle (format {found}, this one reads up to {VERSION})")
            }
            ImageError::Version { found } => {
                write!(out, "format {found} is not one that this pintle reads (it reads {VERSION})")
            }
            ImageError::Checksum { .. } => out.write_str("checksum does not match: altered or damaged"),
            ImageError::Layout { section } => {
                write!(out, "database is malformed: the section of {} is out of place", section.name())
            }
            ImageError::Capacity { section, found, limit } => {
                write!(out, "database has {found} {}, this pintle holds at most {limit}", section.name())
            }
            ImageError::Record { section, index } => {
                write!(out, "database is malformed: record {index} of {} does not hold together", section.name())
            }
        }
    }
}

/// Byte offsets and lengths of the sections.
type Table = ([u32; SECTIONS], [u32; SECTIONS]);

/// The CRC-32 of a header, its own word taken as 0. `bytes` begin with a header.
pub(super) fn header_crc(bytes: &[u8]) -> u32 {
    use super::header::HEADER_CRC;
    let mut sum = Crc32::default();
    sum.update(bytes.get(..HEADER_CRC * 4).unwrap_or(&[]));
    sum.update(&[0; 4]);
    sum.update(bytes.get(HEADER_CRC * 4 + 4..HEADER_WORDS * 4).unwrap_or(&[]));
    sum.sum()
}

/// Checks magic, version, length and both checksums.
pub(super) fn sums(bytes: &[u8]) -> Result<(), ImageError> {
    use super::header::{CRC, HEADER_CRC};
    begins(bytes)?;
    let behind = bytes.get(HEADER_WORDS * 4..).unwrap_or_default();
    for (expected, found) in [(word_at(bytes, HEADER_CRC), header_crc(bytes)), (word_at(bytes, CRC), crc32(behind))] {
        if expected != found {
            return Err(ImageError::Checksum { expected, found });
        }
    }
    Ok(())
}

/// Checks magic, version and length; gives the length.
fn begins(bytes: &[u8]) -> Result<u32, ImageError> {
    use super::header::{LENGTH, VERSION as FORMAT};
    let found = bytes.len().min(u32::MAX as usize) as u32;
    let minimum = (HEADER_WORDS * 4) as u32;
    let magic = MAGIC.to_le_bytes();
    let compared = bytes.len().min(magic.len());
    if bytes[..compared] != magic[..compared] {
        return Err(ImageError::NotADatabase);
    }
    if found < minimum {
        return Err(ImageError::Length { expected: minimum, found });
    }
    if word_at(bytes, FORMAT) != VERSION {
        return Err(ImageError::Version { found: word_at(bytes, FORMAT) });
    }
    let expected = word_at(bytes, LENGTH);
    if expected != found {
        return Err(ImageError::Length { expected, found });
    }
    Ok(found)
}

/// Checks magic, version, length and the section table.
pub(super) fn header(bytes: &[u8]) -> Result<Table, ImageError> {
    use super::header::{SECTIONS as TABLE, SERVICES};
    let found = begins(bytes)?;
    let (mut offsets, mut lengths) = ([0; SECTIONS], [0; SECTIONS]);
    let mut end = (HEADER_WORDS * 4) as u32;
    for section in Section::ALL {
        let (offset, length) =
            (word_at(bytes, TABLE + section as usize * 2), word_at(bytes, TABLE + section as usize * 2 + 1));
        // Each begins where the one before ends, rounded up to a word.
        let fits = offset == end && length.is_multiple_of(section.record_bytes());
        match offset.checked_add(length).and_then(|end| end.checked_next_multiple_of(4)) {
            Some(next) if fits && next <= found => end = next,
            _ => return Err(ImageError::Layout { section }),
        }
        offsets[section as usize] = offset;
        lengths[section as usize] = length;
    }
    if end != found {
        return Err(ImageError::Layout { section: Section::Strings });
    }
    if u64::from(word_at(bytes, SERVICES)) * (SERVICE_WORDS as u64 * 4)
        != u64::from(lengths[Section::Services as usize])
    {
        return Err(ImageError::Layout { section: Section::Services });
    }
    Ok((offsets, lengths))
}

/// All records hold together, or which one does not. The header is checked already.
pub(super) fn records(image: &Image<'_>) -> Result<(), ImageError> {
    let check = Check::new(image)?;
    check.capacities()?;
    check.header_lists()?;
    for index in 0..check.execs {
        check.require(check.exec(index).is_some(), Section::Execs, index)?;
    }
    for index in 0..check.policies {
        check.require(check.policy(index).is_some(), Section::Policies, index)?;
    }
    check.services()?;
    check.edges()?;
    expressions::verify(&check)
}

/// The image with what is looked up often.
struct Check<'a> {
    image: &'a Image<'a>,
    strings: &'a [u8],
    services: u32,
    execs: u32,
    policies: u32,
    lists: u32,
}

impl<'a> Check<'a> {
    /// Checks the strings as a whole: text, and ended.
    fn new(image: &'a Image<'a>) -> Result<Check<'a>, ImageError> {
        let strings = image.section(Section::Strings);
        // Every string is ended, the one at 0 is "", all is UTF-8: then each string from a start is, too.
        if strings.first() != Some(&0) || strings.last() != Some(&0) || core::str::from_utf8(strings).is_err() {
            return Err(ImageError::Record { section: Section::Strings, index: 0 });
        }
        Ok(Check {
            image,
            strings,
            services: image.services(),
            execs: image.count(Section::Execs, EXEC_WORDS),
            policies: image.count(Section::Policies, POLICY_WORDS),
            lists: image.count(Section::Lists, 1),
        })
    }

    fn require(&self, holds: bool, section: Section, index: u32) -> Result<(), ImageError> {
        if holds { Ok(()) } else { Err(ImageError::Record { section, index }) }
    }

    /// A database made for another build may hold more than this one. Where there are templates, slots are kept for their
    /// instances.
    fn capacities(&self) -> Result<(), ImageError> {
        let kept = if self.image.header(super::header::TEMPLATES) > 0 { limits::INSTANCES_MAX } else { 0 };
        for (section, found, limit) in [
            (Section::Services, self.services, limits::SLOTS_MAX.saturating_sub(kept)),
            (Section::Edges, self.image.count(Section::Edges, 1), limits::EDGES_MAX),
        ] {
            if found > limit {
                return Err(ImageError::Capacity { section, found, limit });
            }
        }
        Ok(())
    }

    /// The base environment and the account names.
    fn header_lists(&self) -> Result<(), ImageError> {
        let environment = self.image.header(super::header::ENVIRONMENT);
        let accounts = self.image.header(super::header::ACCOUNTS);
        for (list, limit) in [(environment, limits::ARGUMENTS_MAX), (accounts, limits::ACCOUNTS_MAX)] {
            self.require(self.strings_list(list, 0, limit).is_some(), Section::Lists, list)?;
        }
        for at in 1..self.image.list(accounts).len() {
            let (one, next) = (self.image.list(accounts).get(at - 1), self.image.list(accounts).get(at));
            self.require(self.image.bytes_of(one) < self.image.bytes_of(next), Section::Lists, accounts)?;
        }
        Ok(())
    }

    /// Whether a string begins at this offset.
    fn string(&self, offset: u32) -> Option<()> {
        let at = offset as usize;
        (at == 0 || at < self.strings.len() && self.strings[at - 1] == 0).then_some(())
    }

    /// Count of the list at this offset, where it lies inside and has at most `limit` words.
    fn list(&self, offset: u32, limit: usize) -> Option<u32> {
        if offset >= self.lists {
            return None;
        }
        let count = self.image.word(Section::Lists, offset as usize);
        (count as usize <= limit && count < self.lists - offset).then_some(count)
    }

    /// A list whose words from `first` on are strings.
    fn strings_list(&self, offset: u32, first: usize, limit: usize) -> Option<u32> {
        let count = self.list(offset, limit + first)?;
        for at in first..count as usize {
            self.string(self.image.word(Section::Lists, offset as usize + 1 + at))?;
        }
        Some(count)
    }

    /// As `strings_list`, or none.
    fn optional_strings(&self, offset: u32) -> Option<()> {
        if offset != NONE {
            self.strings_list(offset, 0, limits::ARGUMENTS_MAX)?;
        }
        Some(())
    }

    /// Whether this account's name is in the header's list (or there is no name).
    fn account(&self, name: u32) -> Option<()> {
        self.string(name)?;
        let list = self.image.list(self.image.header(super::header::ACCOUNTS));
        let name = self.image.bytes_of(name);
        let (mut low, mut high) = (0, list.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.image.bytes_of(list.get(middle)) < name { low = middle + 1 } else { high = middle }
        }
        (name.is_empty() || low < list.len() && self.image.bytes_of(list.get(low)) == name).then_some(())
    }

    fn exec(&self, index: u32) -> Option<()> {
        let field = |field| self.image.exec(index, field);
        self.account(field(exec::USER))?;
        self.account(field(exec::GROUP))?;
        self.string(field(exec::DIRECTORY))?;
        self.optional_strings(field(exec::ENV))?;
        self.optional_strings(field(exec::ENV_FILES))?;
        if field(exec::LIMITS) != NONE {
            // RLIM_NLIMITS of setrlimit(2) is 16.
            let list = self.image.list(field(exec::LIMITS));
            let count = self.list(field(exec::LIMITS), 16 * 5)?;
            let known = (0..count as usize).step_by(5).all(|at| list.get(at) < 16);
            (count.is_multiple_of(5) && known).then_some(())?;
        }
        let nice = field(exec::NICE);
        let oom = field(exec::OOM);
        let sound = field(exec::UMASK) <= 0o777
            && (nice == 0 || (80..=119).contains(&nice))
            && (oom == 0 || (1000..=3000).contains(&oom))
            && field(exec::LOG) <= 2
            && field(exec::RICH) <= 1
            && (exec::RICH + 1..EXEC_WORDS).all(|spare| field(spare) == 0);
        sound.then_some(())
    }

    fn policy(&self, index: u32) -> Option<()> {
        let field = |field| self.image.policy(index, field);
        let sound = field(policy::READY) <= 2
            && field(policy::READY_DESCRIPTOR) <= 255
            && field(policy::RESTART) <= 2
            && (policy::STOP_TIMEOUT_MS + 1..POLICY_WORDS).all(|spare| field(spare) == 0);
        sound.then_some(())
    }

    /// Service records, but for edges and expressions.
    fn services(&self) -> Result<(), ImageError> {
        let mut before: &[u8] = &[];
        let mut templates = 0;
        for index in 0..self.services {
            let holds = self.service(SlotId(index)).is_some();
            let name = self.image.bytes_of(self.image.service(SlotId(index), service::NAME));
            self.require(holds && name > before, Section::Services, index)?;
            before = name;
            templates += u32::from(self.image.flags(SlotId(index)) & service::flags::TEMPLATE != 0);
        }
        let counted = templates == self.image.header(super::header::TEMPLATES);
        self.require(counted, Section::Services, self.services)
    }

    fn service(&self, slot: SlotId) -> Option<()> {
        let field = |field| self.image.service(slot, field);
        for text in [service::NAME, service::DESCRIPTION, service::INSTANCE, service::ORIGIN] {
            self.string(field(text))?;
        }
        let name = self.image.bytes_of(field(service::NAME));
        (name.len() <= limits::NAME_BYTES_MAX + limits::INSTANCE_BYTES_MAX).then_some(())?;
        let (kind, flags) = (field(service::KIND_FLAGS) & 0xff, field(service::KIND_FLAGS) & !0xff);
        let template = flags & service::flags::TEMPLATE != 0;
        (kind <= 2 && flags & !service::flags::ALL == 0 && template == name.ends_with(b"@")).then_some(())?;
        let bundle = kind == crate::lang::definition::Kind::Bundle as u32;
        let longrun = kind == crate::lang::definition::Kind::Longrun as u32;

        let process = [field(service::COMMAND), field(service::EXEC), field(service::POLICY)];
        if bundle {
            process.iter().all(|&word| word == NONE).then_some(())?;
        } else {
            (field(service::EXEC) < self.execs && field(service::POLICY) < self.policies).then_some(())?;
            let count = self.strings_list(field(service::COMMAND), 0, limits::ARGUMENTS_MAX)?;
            (count > 0).then_some(())?;
        }
        (!longrun || field(service::STOP) != NONE).then_some(())?;
        self.action(field(service::STOP))?;
        self.action(field(service::RELOAD))?;

        match field(service::TEMPLATE) {
            NONE => {}
            of => {
                let is_template = of < self.services && self.image.flags(SlotId(of)) & service::flags::TEMPLATE != 0;
                (is_template && !template).then_some(())?;
            }
        }
        self.optional_strings(field(service::PASS))?;
        self.written(field(service::WRITTEN))?;
        (service::WRITTEN + 1..SERVICE_WORDS).all(|spare| field(spare) == 0).then_some(())
    }

    fn action(&self, offset: u32) -> Option<()> {
        if offset == NONE {
            return Some(());
        }
        let count = self.list(offset, limits::ARGUMENTS_MAX + 1)?;
        let list = self.image.list(offset);
        (count > 1).then_some(())?;
        match list.get(0) {
            action::SIGNALS => (1..count as usize).all(|at| (1..=64).contains(&list.get(at))).then_some(()),
            action::COMMAND => self.strings_list(offset, 1, limits::ARGUMENTS_MAX).map(|_| ()),
            _ => None,
        }
    }

    fn written(&self, offset: u32) -> Option<()> {
        if offset == NONE {
            return Some(());
        }
        let count = self.list(offset, self.lists as usize)?;
        let list = self.image.list(offset);
        for at in (0..count as usize).step_by(2) {
            Relation::from_number(list.get(at))?;
            self.string(list.get(at + 1))?;
        }
        count.is_multiple_of(2).then_some(())
    }

    /// Both directions: each service's edges behind those of the service before it, each edge known, inside and in order,
    /// and one direction the other turned round.
    fn edges(&self) -> Result<(), ImageError> {
        let forward = self.direction(Section::Edges, service::EDGES, service::EDGES_COUNT)?;
        let reverse = self.direction(Section::Reverse, service::REVERSE, service::REVERSE_COUNT)?;
        let same = forward.sum == reverse.sum && forward.edges == reverse.edges;
        self.require(same, Section::Reverse, reverse.edges)?;
        // A conflict stands in both directions.
        self.require(forward.conflicts == reverse.conflicts, Section::Edges, forward.edges)
    }

    fn direction(&self, section: Section, first: usize, count: usize) -> Result<Sums, ImageError> {
        let total = self.image.count(section, 1);
        let words = self.image.section(section);
        let mut sums = Sums { reverse: section == Section::Reverse, ..Sums::default() };
        for slot in 0..self.services {
            let own = self.image.service(SlotId(slot), count);
            let inside = self.image.service(SlotId(slot), first) == sums.edges && own <= total - sums.edges;
            self.require(inside, Section::Services, slot)?;
            let (mut before, end) = (None, sums.edges as usize + own as usize);
            let words = words.get(sums.edges as usize * 4..end * 4).unwrap_or(&[]);
            for (at, four) in words.chunks_exact(4).enumerate() {
                let word = word_at(four, 0);
                let known = Edge::from_word(word).filter(|edge| edge.slot.0 < self.services);
                let Some(edge) = known.filter(|_| before.is_none_or(|before| before < word)) else {
                    return Err(ImageError::Record { section, index: sums.edges + at as u32 });
                };
                before = Some(word);
                sums.add(edge, slot);
            }
            sums.edges += own;
        }
        self.require(sums.edges == total, section, sums.edges)?;
        Ok(sums)
    }
}

/// Sums over all edges of a direction, each edge taken as (source, relation, target). Edges are in strict order, so none is
/// there twice; where as many edges have the same sum of 64-bit mixes, they are the same edges (but for an accident of one in
/// 2^64, and a faulty writer besides).
#[derive(Default)]
struct Sums {
    /// Lists are of the targets.
    reverse: bool,
    edges: u32,
    sum: u64,
    /// The sum over all conflicts, each taken from the end that the list is of: the same in both directions where each
    /// conflict stands in both services.
    conflicts: u64,
}

impl Sums {
    fn add(&mut self, edge: Edge, slot: u32) {
        let (own, other) = (u64::from(slot), u64::from(edge.slot.0));
        let (source, target) = if self.reverse { (other, own) } else { (own, other) };
        let relation = (edge.relation as u64) << 60;
        self.sum = self.sum.wrapping_add(mix(relation | source << 30 | target));
        if edge.relation == Relation::Conflicts {
            self.conflicts = self.conflicts.wrapping_add(mix(relation | own << 30 | other));
        }
    }
}

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection in which every bit of the input moves every bit.
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
