//! The writer: resolved services and merged edges to bytes. The format is in `database`.

use alloc::string::String;
use alloc::vec::Vec;

use super::super::places::{EXEC, PLACES, POLICY, Record, SWITCHES};
use super::super::verify::header_crc;
use super::super::{
    EXEC_WORDS, HEADER_WORDS, LEAF_WORDS, MAGIC, NODE_WORDS, NONE, POLICY_WORDS, SECTIONS, SERVICE_WORDS, Section,
    VERSION, action, exec, header, leaf, node, policy, service,
};
use super::edges::Edges;
use super::resolve::{Resolved, Service};
use super::strings::{Names, Pool, set_word};
use super::{ENVIRONMENT, NOWHERE, too_many};
use crate::crc32::{Crc32, crc32};
use crate::fact;
use crate::graph::Relation;
use crate::lang::attribute;
use crate::lang::definition::{Kind, Restart, Token, Word};
use crate::lang::diagnostic::{Diagnostic, Part, Source, error};
use crate::lang::keys::{self, KEYS, Value};
use crate::lang::order::order;
use crate::{limits, names, packed, signals};

/// The bytes of the database, or a finding if something does not fit.
#[inline(never)]
pub fn write(
    resolved: &Resolved,
    edges: &Edges,
    rules: &[String],
    sources: &[Source],
    findings: &mut Vec<Diagnostic>,
) -> Option<Vec<u8>> {
    let pools = [const { Pool::new() }; SECTIONS];
    let mut writer = Writer { resolved, pools, leaves: Vec::new(), said: Crc32::default() };
    // "" is the first string.
    writer.pool(Section::Strings).text("");
    let mut head = [0u32; HEADER_WORDS];
    head[header::ENVIRONMENT] = writer.texts(&mut ENVIRONMENT.into_iter());
    head[header::ACCESS] = writer.texts(&mut rules.iter().map(String::as_str));
    head[header::ACCOUNTS] = writer.accounts(findings)?;
    let (first_reverse, reverse) = edges.reverse();
    writer.pool(Section::Reverse).add(&reverse);
    for (slot, service) in resolved.services.iter().enumerate() {
        let origin = sources.get(service.definition.origin.file as usize).map_or("", |source| source.path.as_str());
        let mut record = writer.service(slot as u32, service, edges);
        record[service::ORIGIN] = writer.pool(Section::Strings).text(origin);
        let own = edges.range(slot as u32);
        record[service::EDGES] = own.start as u32;
        record[service::EDGES_COUNT] = own.len() as u32;
        record[service::REVERSE] = first_reverse[slot];
        record[service::REVERSE_COUNT] = first_reverse[slot + 1] - first_reverse[slot];
        writer.pool(Section::Services).add(&record);
        head[header::TEMPLATES] += u32::from(names::is_template(service.definition.name));
    }
    for link in edges.all() {
        writer.pool(Section::Edges).add(&[link.word()]);
    }
    let mut leaves = core::mem::take(&mut writer.leaves);
    // The rest of the record follows hash and name in the order of the words.
    let strings = writer.pool(Section::Strings);
    for record in &mut leaves {
        record[leaf::ROLE] |= fact::hash(strings.text_at(record[leaf::NAME])) & leaf::HASH;
    }
    let key = |at: usize| {
        let record = &leaves[at];
        (record[leaf::ROLE] & leaf::HASH, strings.text_at(record[leaf::NAME]), &record[1..])
    };
    for &at in &order(leaves.len(), &|a, b| key(a).cmp(&key(b))) {
        writer.pool(Section::Leaves).add(&leaves[at as usize]);
    }

    head[header::MAGIC] = MAGIC;
    head[header::VERSION] = VERSION;
    head[header::SERVICES] = resolved.services.len() as u32;
    let mut bytes = alloc::vec![0u8; HEADER_WORDS * 4];
    for (section, pool) in writer.pools.iter().enumerate() {
        let entry = header::SECTIONS + section * 2;
        (head[entry], head[entry + 1]) = (bytes.len() as u32, pool.bytes().len() as u32);
        bytes.extend_from_slice(pool.bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    if bytes.len() > u32::MAX as usize {
        let parts = [Part::Number(bytes.len() as i64)];
        error(findings, &NOWHERE, packed!("the database would have % bytes, more than 4 GiB"), &parts);
        return None;
    }
    head[header::LENGTH] = bytes.len() as u32;
    head[header::CRC] = crc32(&bytes[HEADER_WORDS * 4..]);
    for (at, word) in head.iter().enumerate() {
        set_word(&mut bytes, at, *word);
    }
    let sum = header_crc(&bytes);
    set_word(&mut bytes, header::HEADER_CRC, sum);
    Some(bytes)
}

struct Writer<'a> {
    resolved: &'a Resolved,
    /// The sections in the order of the file.
    pools: [Pool; SECTIONS],
    /// To be sorted.
    leaves: Vec<[u32; LEAF_WORDS]>,
    /// The sum over what the service says that is being written.
    said: Crc32,
}

impl Writer<'_> {
    fn pool(&mut self, section: Section) -> &mut Pool {
        &mut self.pools[section as usize]
    }

    /// The sorted list of all names of users and groups.
    fn accounts(&mut self, findings: &mut Vec<Diagnostic>) -> Option<u32> {
        let mut known = Names::new();
        for service in &self.resolved.services {
            for given in &service.definition.given {
                if let (Value::Account, [name]) = (given.key.value, given.words)
                    && known.find(name.text).is_none()
                {
                    known.add(name.text, 0);
                }
            }
        }
        let accounts = known.all();
        if accounts.len() > limits::ACCOUNTS_MAX {
            let what = "different users and groups";
            too_many(findings, accounts.len(), limits::ACCOUNTS_MAX as u32, what, "");
            return None;
        }
        let order = order(accounts.len(), &|a, b| accounts[a].0.as_bytes().cmp(accounts[b].0.as_bytes()));
        Some(self.texts(&mut order.into_iter().map(|at| accounts[at as usize].0)))
    }

    /// Offset of a list; its first word is kept for its length.
    fn list(&mut self, mut list: Vec<u32>) -> u32 {
        list[0] = list.len() as u32 - 1;
        self.pool(Section::Lists).words(&list)
    }

    /// As `list`, but `NONE` for an empty one.
    fn list_some(&mut self, list: Vec<u32>) -> u32 {
        if list.len() == 1 { NONE } else { self.list(list) }
    }

    fn texts(&mut self, texts: &mut dyn Iterator<Item = &str>) -> u32 {
        let mut list = new_list();
        for text in texts {
            list.push(self.pool(Section::Strings).text(text));
        }
        self.list(list)
    }

    /// A number that is said.
    fn number(&mut self, number: u32) -> u32 {
        self.said.update(&number.to_le_bytes());
        number
    }

    /// A text that is said.
    fn text(&mut self, text: &str) -> u32 {
        self.number(text.len() as u32);
        self.said.update(text.as_bytes());
        self.pool(Section::Strings).text(text)
    }

    /// The record of a service, but for where its edges are and where it comes from. Its hash is over what is said:
    /// neither where that stands nor what others say of it goes in, so it changes exactly when the meaning of the
    /// service's own file does.
    #[inline(never)]
    fn service(&mut self, slot: u32, of: &Service, edges: &Edges) -> [u32; SERVICE_WORDS] {
        let definition = &of.definition;
        let mut record: Record = [0; POLICY + POLICY_WORDS];
        for (key, &place) in KEYS.iter().zip(&PLACES) {
            if key.value.is_indexed() {
                record[usize::from(place)] = NONE;
            }
        }
        record[service::CHECK] = NONE;
        self.said = Crc32::default();
        record[service::NAME] = self.text(definition.name);
        record[service::KIND_FLAGS] = self.number(kind_flags(of));
        // What others say goes not into the sum.
        record[service::KIND_FLAGS] |= if of.input { service::flags::INPUT } else { 0 };
        record[service::TEMPLATE] = of.template;
        record[POLICY + policy::RESTART] = Restart::Never as u32;
        let (mut limits, mut written, mut setup) = (new_list(), new_list(), new_list());
        for given in &definition.given {
            if !matches!(given.key.value, Value::Relation(_)) {
                self.number(u32::from(given.key.number));
            }
            let place = usize::from(PLACES[usize::from(given.key.number)]);
            let words = given.words;
            let numbers = given.numbers.map(|number| number as u32);
            match given.key.value {
                // In the flags.
                Value::Switch | Value::Choice(0) => {}
                Value::Ready => {
                    record[place] = self.number(numbers[0]);
                    record[place + 1] = self.number(numbers[1]);
                    if numbers[0] == policy::CHECK {
                        record[service::CHECK] = self.words(new_list(), words);
                    }
                }
                Value::Log => {
                    record[place] = self.number(numbers[0]);
                    for word in words {
                        self.text(word.text);
                        record[EXEC + exec::LOG_TO] = self.slot(word.text) + 1;
                    }
                }
                Value::Choice(_) | Value::Duration(_) | Value::Integer(..) | Value::Bytes(..) | Value::Umask => {
                    record[place] = self.number(numbers[0]);
                }
                Value::Limit(resource) => {
                    limits.push(u32::from(resource));
                    for number in given.numbers {
                        limits.push(self.number(number as u32));
                        limits.push(self.number((number >> 32) as u32));
                    }
                }
                Value::Setup(letter, _) => {
                    self.number(words.len() as u32);
                    for word in words {
                        setup.push(letter.into());
                        setup.push(self.text(word.text));
                    }
                }
                Value::Text | Value::Instance | Value::Account | Value::Directory => {
                    for word in words {
                        record[place] = self.text(word.text);
                    }
                }
                Value::Command | Value::Pass | Value::Provides | Value::Environment | Value::EnvironmentFiles => {
                    record[place] = self.words(new_list(), words);
                }
                Value::Stop | Value::Reload => {
                    let mut list = new_list();
                    list.push(self.number(numbers[0]));
                    if numbers[0] == action::COMMAND {
                        record[place] = self.words(list, words);
                    } else {
                        for word in words {
                            list.push(self.number(signals::number(word.text).unwrap_or_default()));
                        }
                        record[place] = self.list(list);
                    }
                }
                Value::Exits => {
                    let mut list = new_list();
                    for word in words {
                        let code = word.text.parse::<u8>().ok().map(|code| policy::EXIT_CODE | u32::from(code));
                        let signal = || policy::EXIT_SIGNAL | signals::number(word.text).unwrap_or_default();
                        list.push(self.number(code.unwrap_or_else(signal)));
                    }
                    record[place] = self.list(list);
                }
                // No leaf of tests is looked up by its name, so their role is nobody's.
                Value::Expression(_) | Value::Tests | Value::ForEach => {
                    record[place] = self.expression(slot, (place - service::WHILE) as u32, words);
                }
                // What is left of them is in the edges.
                Value::Relation(_) => {}
                Value::Inverse(relation) => {
                    for &at in &order(words.len(), &|a, b| words[a].text.as_bytes().cmp(words[b].text.as_bytes())) {
                        written.push(relation as u32);
                        written.push(self.text(words[at as usize].text));
                    }
                }
            }
        }
        for link in edges.of(slot) {
            // What was written in another's file counts there; a conflict is both's.
            if !link.turned || link.relation == Relation::Conflicts {
                self.number(link.relation as u32);
                self.text(self.resolved.name(link.target));
            }
        }
        record[service::WRITTEN] = self.list_some(written);
        record[EXEC + exec::LIMITS] = self.list_some(limits);
        record[EXEC + exec::SETUP] = self.list_some(setup);
        let keeps = definition.words(keys::KEEP_RUNTIME).iter().any(|word| word.text == "yes");
        if definition.given(keys::RUNTIME_DIRECTORY).is_some() {
            record[EXEC + exec::CLEARS] = 1 + u32::from(keeps);
        }
        let lists = [exec::ENV_FILES, exec::SETUP];
        let chain_loader = record[EXEC + exec::OOM] != 0
            || record[POLICY + policy::READY] == policy::FORK
            || record[POLICY + policy::FD_STORE_MAX] > 1
            || lists.iter().any(|list| record[EXEC + list] != NONE);
        record[EXEC + exec::RICH] = u32::from(chain_loader);
        (record[service::EXEC], record[service::POLICY]) = (NONE, NONE);
        if definition.kind != Kind::Bundle {
            record[service::EXEC] = self.pool(Section::Execs).words(&record[EXEC..POLICY]) / EXEC_WORDS as u32;
            record[service::POLICY] = self.pool(Section::Policies).words(&record[POLICY..]) / POLICY_WORDS as u32;
        }
        record[service::HASH] = self.said.sum();
        *record.first_chunk().expect("a service's record is the first part")
    }

    /// Offset of this list with these words behind what it has.
    fn words(&mut self, mut list: Vec<u32>, words: &[Word]) -> u32 {
        self.number(words.len() as u32);
        for word in words {
            list.push(self.text(word.text));
        }
        self.list(list)
    }

    fn slot(&self, name: &str) -> u32 {
        self.resolved.slot(name).expect("a name that cannot be resolved is an error before this")
    }

    /// Writes an expression in preorder and gives the index of its root.
    fn expression(&mut self, slot: u32, role: u32, words: &[Word]) -> u32 {
        let next = |writer: &Self| (writer.pools[Section::Nodes as usize].bytes().len() / (NODE_WORDS * 4)) as u32;
        let root = next(self);
        let mut latch = 0;
        // The parents of the nodes that are still to come, the next one's last.
        let mut parents = Vec::new();
        parents.push(NONE);
        let mut words = words;
        while let Some((word, rest)) = words.split_first() {
            words = rest;
            let at = next(self);
            let parent = parents.pop().expect("an expression has as many nodes as it needs");
            if parent != NONE && parent + 1 != at {
                self.pool(Section::Nodes).set(parent as usize * NODE_WORDS + node::B, at);
            }
            let mut record = [NONE; NODE_WORDS];
            record[node::KIND] = self.number(word.token as u32);
            record[node::PARENT] = parent;
            match word.token {
                Token::And | Token::Or | Token::Not => {
                    record[node::A] = at + 1;
                    let children = if word.token == Token::Not { 1 } else { 2 };
                    parents.resize(parents.len() + children, at);
                }
                _ => {
                    record[node::LEAF] = latch;
                    latch += 1;
                    let named = matches!(word.token, Token::Up | Token::Failed);
                    let service = named.then(|| self.slot(word.text));
                    let name = service.map(|slot| self.resolved.name(slot));
                    let text = self.text(name.unwrap_or(word.text));
                    record[node::A] = service.unwrap_or(text);
                }
            }
            if let Token::Fact = word.token {
                let mut list = new_list();
                while let Some((Word { text, token: Token::Attribute, .. }, rest)) = words.split_first() {
                    words = rest;
                    let (key, negated, glob) = attribute(text);
                    list.push(self.text(key));
                    list.push(self.number(u32::from(negated)));
                    list.push(self.text(glob));
                }
                record[node::B] = self.list_some(list);
                self.leaves.push([record[node::A], slot, role, at]);
            }
            self.pool(Section::Nodes).add(&record);
        }
        root
    }
}

/// A list with its first word, which `Writer::list` sets.
#[inline(never)]
fn new_list() -> Vec<u32> {
    alloc::vec![0]
}

fn kind_flags(of: &Service) -> u32 {
    use service::flags::{CHOICE, EXPANDS, TEMPLATE};
    let definition = &of.definition;
    let flag = |holds: bool, flag: u32| if holds { flag } else { 0 };
    let mut flags = definition.kind as u32;
    for (number, bit, no) in &SWITCHES {
        flags |= flag(definition.given(*number).is_some_and(|given| (given.numbers[0] == 0) == *no), *bit);
    }
    flags
        | flag(names::is_template(definition.name), TEMPLATE)
        | flag(definition.expands, EXPANDS)
        | flag(!of.alternatives.is_empty(), CHOICE)
}
