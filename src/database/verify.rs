//! Checks a database once, when it is opened: checksums, section table, and every index, offset and list in every
//! record. Runs in process 1, so it allocates nothing, never fails otherwise than by its result, and takes time in
//! proportion to the size of the file (the lists that many records share are bounded by `limits`).

mod expressions;

use core::cell::Cell;
use core::fmt;

use super::image::{search, word_at};
use super::places::{EXEC, POLICY};
use super::{
    EXEC_WORDS, HEADER_WORDS, Image, LEAF_WORDS, MAGIC, NODE_WORDS, NONE, POLICY_WORDS, SECTIONS, SERVICE_WORDS,
    Section, VERSION, action, exec, policy, service,
};
use crate::crc32::{Crc32, crc32};
use crate::graph::Relation;
use crate::graph::relation::Edge;
use crate::ident::SlotId;
use crate::lang::definition::Kind;
use crate::lang::diagnostic::Part::{self, Number, Text};
use crate::lang::diagnostic::fill;
use crate::lang::keys::of_letter;
use crate::limits;
use crate::packed;
use crate::setup::ALL_WORDS_MAX;
use crate::text::nth;

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
    pub fn name(self) -> &'static str {
        const NAMES: &str = "services,execs,policies,edges,reverse edges,expression nodes,leaves,lists,strings";
        nth(NAMES, b',', self as usize)
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
        let number = |number: u32| Number(number.into());
        let name = |section: Section| Text(section.name());
        let (text, parts) = match *self {
            ImageError::Length { expected, found } => {
                let text = if found < expected {
                    packed!("database is truncated: % of % bytes")
                } else {
                    packed!("database has % bytes, its header says %: damaged, or something was added")
                };
                (text, [number(found), number(expected), Text("")])
            }
            ImageError::NotADatabase => (packed!("not a pintle database"), NOTHING),
            ImageError::Version { found } => {
                let text = if found > VERSION {
                    packed!("made by a newer pintle (format %, this one reads up to %)")
                } else {
                    packed!("format % is not one that this pintle reads (it reads %)")
                };
                (text, [number(found), number(VERSION), Text("")])
            }
            ImageError::Checksum { .. } => (packed!("checksum does not match: altered or damaged"), NOTHING),
            ImageError::Layout { section } => {
                let text = packed!("database is malformed: the section of % is out of place");
                (text, [name(section), Text(""), Text("")])
            }
            ImageError::Capacity { section, found, limit } => {
                let text = packed!("database has % %, this pintle holds at most %");
                (text, [number(found), name(section), number(limit)])
            }
            ImageError::Record { section, index } => {
                let text = packed!("database is malformed: record % of % does not hold together");
                (text, [number(index), name(section), Text("")])
            }
        };
        fill(out, text, &parts);
        Ok(())
    }
}

/// No parts.
const NOTHING: [Part<'_>; 3] = [Text(""); 3];

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
    let (mut expected, mut found) = (word_at(bytes, HEADER_CRC), header_crc(bytes));
    if expected == found {
        (expected, found) = (word_at(bytes, CRC), crc32(behind));
    }
    if expected == found { Ok(()) } else { Err(ImageError::Checksum { expected, found }) }
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
    for &section in &Section::ALL {
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
    let services = image.services();
    // A database made for another build may hold more than this one. Where there are templates, slots are kept for
    // their instances.
    let kept = if image.header(super::header::TEMPLATES) > 0 { limits::INSTANCES_MAX } else { 0 };
    let most = |section, found, limit| match found > limit {
        true => Err(ImageError::Capacity { section, found, limit }),
        false => Ok(()),
    };
    most(Section::Services, services, limits::SLOTS_MAX.saturating_sub(kept))?;
    most(Section::Edges, image.count(Section::Edges, 1), limits::EDGES_MAX)?;
    let check = Check {
        image,
        strings: image.section(Section::Strings),
        services,
        execs: image.count(Section::Execs, EXEC_WORDS),
        policies: image.count(Section::Policies, POLICY_WORDS),
        lists: image.count(Section::Lists, 1),
        at: Cell::new((Section::Strings, 0)),
    };
    check.all().ok_or_else(|| {
        let (section, index) = check.at.get();
        ImageError::Record { section, index }
    })
}

/// What a word of a record, or of a list, must be.
#[derive(Clone, Copy)]
enum Rule {
    /// Looked at elsewhere, or any number.
    Any,
    /// 0, or between these.
    Number(u16, u16),
    /// One more than a slot, or 0.
    Slot,
    /// A string.
    Text,
    /// The empty string or one of the header's accounts.
    Account,
    /// A list of strings, or none.
    Texts,
    /// A list of ends, or none.
    Exits,
    /// One of them.
    Exit,
    /// How to stop or reload, or none.
    Action,
    /// A list of limits of resources, or none. RLIM_NLIMITS of setrlimit(2) is 16.
    Limits,
    /// The letter of a key that the chain-loader is told of.
    Letter,
    /// A list of what it is told, or none.
    Setup,
    /// A list of relations and names, or none.
    Written,
    /// A list of the attributes of a fact, or none.
    Attributes,
}

/// The rules for the words of a service's record, its exec record and its policy record. Those behind the last have no
/// meaning yet, and are 0.
static RULES: [Rule; POLICY + POLICY_WORDS] = {
    let mut rules = [Rule::Any; POLICY + POLICY_WORDS];
    let mut spare = service::PRE_START + 1;
    while spare < rules.len() {
        if spare < EXEC || spare > EXEC + exec::CLEARS && spare < POLICY || spare > POLICY + policy::KILL_MODE {
            rules[spare] = Rule::Number(0, 0);
        }
        spare += 1;
    }
    rules[service::NAME] = Rule::Text;
    rules[service::DESCRIPTION] = Rule::Text;
    rules[service::COMMAND] = Rule::Texts;
    rules[service::STOP] = Rule::Action;
    rules[service::RELOAD] = Rule::Action;
    rules[service::INSTANCE] = Rule::Text;
    rules[service::PASS] = Rule::Texts;
    rules[service::PROVIDES] = Rule::Texts;
    rules[service::ORIGIN] = Rule::Text;
    rules[service::WRITTEN] = Rule::Written;
    rules[service::CLEANUP] = Rule::Texts;
    rules[service::CHECK] = Rule::Texts;
    rules[service::HEALTH] = Rule::Texts;
    rules[service::PRE_START] = Rule::Texts;
    rules[EXEC + exec::USER] = Rule::Account;
    rules[EXEC + exec::GROUP] = Rule::Account;
    rules[EXEC + exec::DIRECTORY] = Rule::Text;
    rules[EXEC + exec::UMASK] = Rule::Number(0, 0o777);
    rules[EXEC + exec::NICE] = Rule::Number(80, 119);
    rules[EXEC + exec::OOM] = Rule::Number(1000, 3000);
    rules[EXEC + exec::LIMITS] = Rule::Limits;
    rules[EXEC + exec::ENV] = Rule::Texts;
    rules[EXEC + exec::ENV_FILES] = Rule::Texts;
    rules[EXEC + exec::LOG] = Rule::Number(0, 5);
    rules[EXEC + exec::LOG_KEEP] = Rule::Number(2, 100);
    rules[EXEC + exec::LOG_RATE] = Rule::Number(2, 30001);
    rules[EXEC + exec::LOG_STAMP] = Rule::Number(0, 2);
    rules[EXEC + exec::LOG_TO] = Rule::Slot;
    rules[EXEC + exec::CLEARS] = Rule::Number(0, 2);
    rules[EXEC + exec::RICH] = Rule::Number(0, 1);
    rules[EXEC + exec::SETUP] = Rule::Setup;
    rules[POLICY + policy::READY] = Rule::Number(0, policy::FORK as u16);
    rules[POLICY + policy::READY_DESCRIPTOR] = Rule::Number(0, 255);
    rules[POLICY + policy::RESTART] = Rule::Number(0, 2);
    rules[POLICY + policy::SUCCESS_EXIT] = Rule::Exits;
    rules[POLICY + policy::NO_RESTART_EXIT] = Rule::Exits;
    rules[POLICY + policy::FD_STORE_MAX] = Rule::Number(1, limits::STORED_MAX as u16 + 1);
    rules[POLICY + policy::OVERLAP] = Rule::Number(0, 2);
    rules[POLICY + policy::KILL_MODE] = Rule::Number(0, 2);
    rules
};

/// Some if it holds.
fn holds(holds: bool) -> Option<()> {
    holds.then_some(())
}

/// The image with what is looked up often. What does not hold is `None`, and then `at` is the record.
struct Check<'a> {
    image: &'a Image<'a>,
    strings: &'a [u8],
    services: u32,
    execs: u32,
    policies: u32,
    lists: u32,
    at: Cell<(Section, u32)>,
}

impl Check<'_> {
    fn all(&self) -> Option<()> {
        let (image, strings) = (self.image, self.strings);
        // Every string is ended, the one at 0 is "", all is UTF-8: then each string from a start is, too.
        let ended = strings.first() == Some(&0) && strings.last() == Some(&0);
        holds(ended && core::str::from_utf8(strings).is_ok())?;
        let environment = image.header(super::header::ENVIRONMENT);
        self.at.set((Section::Lists, environment));
        self.list(environment, &[Rule::Text], limits::ARGUMENTS_MAX)?;
        let rules = image.header(super::header::ACCESS);
        self.at.set((Section::Lists, rules));
        self.list(rules, &[Rule::Text], limits::ACCESS_RULES_MAX)?;
        let accounts = image.header(super::header::ACCOUNTS);
        self.at.set((Section::Lists, accounts));
        self.list(accounts, &[Rule::Text], limits::ACCOUNTS_MAX)?;
        let mut before: &[u8] = &[];
        let accounts = image.list(accounts);
        for at in 0..accounts.len() {
            let account = image.bytes_of(accounts.get(at));
            holds(account > before)?;
            before = account;
        }
        for index in 0..self.execs {
            self.record(Section::Execs, index, &RULES[EXEC..POLICY])?;
        }
        for index in 0..self.policies {
            self.record(Section::Policies, index, &RULES[POLICY..])?;
        }
        let mut before: &[u8] = &[];
        let mut templates = 0;
        for slot in (0..self.services).map(SlotId) {
            self.record(Section::Services, slot.0, &RULES[..EXEC])?;
            self.service(slot)?;
            let name = image.bytes_of(image.service(slot, service::NAME));
            holds(name > before)?;
            before = name;
            templates += u32::from(image.flags(slot) & service::flags::TEMPLATE != 0);
        }
        holds(templates == image.header(super::header::TEMPLATES))?;
        self.edges()?;
        expressions::verify(self)
    }

    /// Each word of a record by its rule.
    #[inline(never)]
    fn record(&self, section: Section, index: u32, rules: &[Rule]) -> Option<()> {
        self.at.set((section, index));
        for (at, rule) in rules.iter().enumerate() {
            self.word(*rule, self.image.word(section, index as usize * rules.len() + at))?;
        }
        Some(())
    }

    fn word(&self, rule: Rule, word: u32) -> Option<()> {
        let at = word as usize;
        match rule {
            Rule::Any => Some(()),
            Rule::Number(least, most) => holds(word == 0 || (u32::from(least)..=u32::from(most)).contains(&word)),
            Rule::Slot => holds(word <= self.services),
            Rule::Text => holds(at == 0 || at < self.strings.len() && self.strings[at - 1] == 0),
            Rule::Account => {
                self.word(Rule::Text, word)?;
                let list = self.image.list(self.image.header(super::header::ACCOUNTS));
                let name = self.image.bytes_of(word);
                let at = search(list.len() as u32, &|at| self.image.bytes_of(list.get(at as usize)) < name);
                holds(
                    name.is_empty() || (at as usize) < list.len() && self.image.is_string(list.get(at as usize), name),
                )
            }
            Rule::Letter => holds(of_letter(word).is_some()),
            _ if word == NONE => Some(()),
            Rule::Setup => self.list(word, &[Rule::Letter, Rule::Text], 2 * ALL_WORDS_MAX),
            Rule::Texts => self.list(word, &[Rule::Text], limits::ARGUMENTS_MAX),
            Rule::Exits => self.list(word, &[Rule::Exit], limits::ARGUMENTS_MAX),
            Rule::Exit => holds(word & !0xff == policy::EXIT_CODE || (1..=64).contains(&(word ^ policy::EXIT_SIGNAL))),
            Rule::Limits => self.list(word, &[Rule::Number(0, 15), Rule::Any, Rule::Any, Rule::Any, Rule::Any], 16 * 5),
            Rule::Written => {
                self.list(word, &[Rule::Number(0, Relation::ALL.len() as u16 - 1), Rule::Text], self.lists as usize)
            }
            Rule::Attributes => {
                self.list(word, &[Rule::Text, Rule::Number(0, 1), Rule::Text], limits::ATTRIBUTES_MAX * 3)
            }
            Rule::Action => {
                let list = self.image.list(word);
                let of = if list.get(0) == action::COMMAND { Rule::Text } else { Rule::Number(1, 64) };
                self.list(word, &[Rule::Any], limits::ARGUMENTS_MAX + 1)?;
                holds(list.len() > 1 && list.get(0) <= action::COMMAND)?;
                for at in 1..list.len() {
                    self.word(of, list.get(at))?;
                }
                Some(())
            }
        }
    }

    /// The list at this offset lies inside, has at most `limit` words, and is made of groups of words of these rules.
    fn list(&self, offset: u32, rules: &[Rule], limit: usize) -> Option<()> {
        holds(offset < self.lists)?;
        let list = self.image.list(offset);
        holds(list.len() <= limit && list.len() < (self.lists - offset) as usize)?;
        holds(list.len().is_multiple_of(rules.len()))?;
        for at in 0..list.len() {
            self.word(rules[at % rules.len()], list.get(at))?;
        }
        Some(())
    }

    /// What the rules for single words of a service's record do not say, but for edges and expressions.
    fn service(&self, slot: SlotId) -> Option<()> {
        let field = |field| self.image.service(slot, field);
        let name = self.image.bytes_of(field(service::NAME));
        holds(name.len() <= limits::NAME_BYTES_MAX + limits::INSTANCE_BYTES_MAX)?;
        let (kind, flags) = (field(service::KIND_FLAGS) & 0xff, field(service::KIND_FLAGS) & !0xff);
        let template = flags & service::flags::TEMPLATE != 0;
        holds(kind <= 2 && flags & !service::flags::ALL == 0 && template == name.ends_with(b"@"))?;
        let (command, exec, policy) = (field(service::COMMAND), field(service::EXEC), field(service::POLICY));
        if flags & service::flags::CHOICE != 0 {
            let alternatives = 1..=limits::ALTERNATIVES_MAX as u32;
            holds(kind == Kind::Bundle as u32 && alternatives.contains(&field(service::EDGES_COUNT)))?;
        }
        if kind == Kind::Bundle as u32 {
            holds(command == NONE && exec == NONE && policy == NONE && field(service::ONLY_IF) == NONE)?;
        } else {
            holds(!self.image.list(command).is_empty() && exec < self.execs && policy < self.policies)?;
        }
        holds(kind != Kind::Longrun as u32 || field(service::STOP) != NONE)?;
        let of = field(service::TEMPLATE);
        let of_template = of < self.services && self.image.flags(SlotId(of)) & service::flags::TEMPLATE != 0;
        holds(of == NONE || of_template && !template)
    }

    /// Both directions: each service's edges behind those of the service before it, each edge known, inside and in
    /// order, and one direction the other turned round.
    fn edges(&self) -> Option<()> {
        let forward = self.direction(Section::Edges, service::EDGES)?;
        let reverse = self.direction(Section::Reverse, service::REVERSE)?;
        holds(forward.sum == reverse.sum && forward.edges == reverse.edges)?;
        // A conflict stands in both directions.
        self.at.set((Section::Edges, forward.edges));
        holds(forward.conflicts == reverse.conflicts)
    }

    /// `first` is the field of a service that has its first edge; their number is behind it.
    fn direction(&self, section: Section, first: usize) -> Option<Sums> {
        let total = self.image.count(section, 1);
        let words = self.image.section(section);
        let mut sums = Sums { reverse: section == Section::Reverse, ..Sums::default() };
        for slot in 0..self.services {
            let own = self.image.service(SlotId(slot), first + 1);
            self.at.set((Section::Services, slot));
            holds(self.image.service(SlotId(slot), first) == sums.edges && own <= total - sums.edges)?;
            let mut before = None;
            let words = words.get(sums.edges as usize * 4..(sums.edges + own) as usize * 4).unwrap_or(&[]);
            for four in words.chunks_exact(4) {
                self.at.set((section, sums.edges));
                let word = word_at(four, 0);
                let edge = Edge::from_word(word)?;
                // Alternatives stand as they are chosen, those of the other direction in order, and the sums are the
                // same.
                let chosen = !sums.reverse && edge.relation == Relation::Alternative;
                holds(edge.slot.0 < self.services && before.is_none_or(|before| before < word || chosen))?;
                before = Some(word);
                let (source, target) = if sums.reverse { (edge.slot, slot) } else { (SlotId(slot), edge.slot.0) };
                let is_choice = self.image.flags(source) & service::flags::CHOICE != 0;
                let apart = self.image.flags(SlotId(target)) & (service::flags::CHOICE | service::flags::TEMPLATE) == 0;
                let is_alternative = edge.relation == Relation::Alternative;
                holds(is_choice == is_alternative && (apart || !is_alternative))?;
                sums.add(edge, slot);
            }
        }
        self.at.set((section, sums.edges));
        holds(sums.edges == total)?;
        Some(sums)
    }
}

/// Sums over all edges of a direction, each edge taken as (source, relation, target). Edges are in strict order, so
/// none is there twice; where as many edges have the same sum of 64-bit mixes, they are the same edges (but for an
/// accident of one in 2^64, and a faulty writer besides).
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
        self.edges += 1;
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
