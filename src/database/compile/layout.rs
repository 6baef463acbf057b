//! The writer: resolved services and merged edges to bytes. The format is in `database`.

use alloc::string::String;
use alloc::vec::Vec;

use super::super::verify::header_crc;
use super::super::{
    EXEC_WORDS, HEADER_WORDS, LEAF_WORDS, MAGIC, NODE_WORDS, NONE, POLICY_WORDS, SECTIONS, SERVICE_WORDS, Section,
    VERSION, action, exec, header, leaf, node, policy, service,
};
use super::edges::Edges;
use super::resolve::{Resolved, Service};
use super::strings::{Lists, Records, Strings};
use super::{ENVIRONMENT, NOWHERE, too_many};
use crate::crc32::{Crc32, crc32};
use crate::graph::Relation;
use crate::lang::definition::{Action, Definition, Expression, Kind, Readiness};
use crate::lang::diagnostic::{Diagnostic, Source};
use crate::{limits, names};

/// The bytes of the database, or what does not fit.
pub fn write(resolved: &Resolved, edges: &Edges, sources: &[Source]) -> Result<Vec<u8>, Diagnostic> {
    let mut writer = Writer {
        resolved,
        strings: Strings::new(),
        lists: Lists::new(),
        execs: Records::new(),
        policies: Records::new(),
        nodes: Vec::new(),
        leaves: Vec::new(),
    };
    let environment = writer.strings_list(&ENVIRONMENT);
    let environment = writer.lists.put(&environment);
    let accounts = writer.accounts()?;
    let (first_reverse, reverse) = edges.reverse();
    let mut services: Vec<[u32; SERVICE_WORDS]> = Vec::with_capacity(resolved.services.len());
    for (slot, service) in resolved.services.iter().enumerate() {
        let origin = sources.get(service.definition.origin.file as usize).map_or("", |source| source.path.as_str());
        let mut record = writer.service(slot as u32, service, edges, origin);
        let (own, back) = (edges.range(slot as u32), &first_reverse[slot..slot + 2]);
        record[service::EDGES] = own.start as u32;
        record[service::EDGES_COUNT] = own.len() as u32;
        record[service::REVERSE] = back[0];
        record[service::REVERSE_COUNT] = back[1] - back[0];
        services.push(record);
    }
    writer.sort_leaves();

    let mut head = [0u32; HEADER_WORDS];
    head[header::MAGIC] = MAGIC;
    head[header::VERSION] = VERSION;
    head[header::SERVICES] = services.len() as u32;
    head[header::TEMPLATES] =
        resolved.services.iter().filter(|service| names::is_template(&service.definition.name)).count() as u32;
    head[header::ENVIRONMENT] = environment;
    head[header::ACCOUNTS] = accounts;

    let mut bytes = alloc::vec![0u8; HEADER_WORDS * 4];
    let mut table: Vec<(usize, usize)> = Vec::with_capacity(SECTIONS);
    for section in Section::ALL {
        let start = bytes.len();
        match section {
            Section::Services => put_words(&mut bytes, services.as_flattened()),
            Section::Execs => put_words(&mut bytes, writer.execs.records().as_flattened()),
            Section::Policies => put_words(&mut bytes, writer.policies.records().as_flattened()),
            Section::Edges => edges.all().iter().for_each(|link| bytes.extend(link.word().to_le_bytes())),
            Section::Reverse => put_words(&mut bytes, &reverse),
            Section::Nodes => put_words(&mut bytes, writer.nodes.as_flattened()),
            Section::Leaves => put_words(&mut bytes, writer.leaves.as_flattened()),
            Section::Lists => put_words(&mut bytes, writer.lists.words()),
            Section::Strings => bytes.extend_from_slice(writer.strings.bytes()),
        }
        table.push((start, bytes.len() - start));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    if bytes.len() > u32::MAX as usize {
        let message = format_args!("the database would have {} bytes, more than 4 GiB", bytes.len());
        return Err(Diagnostic::error("too-large", NOWHERE, message));
    }
    for (section, (start, length)) in table.into_iter().enumerate() {
        head[header::SECTIONS + section * 2] = start as u32;
        head[header::SECTIONS + section * 2 + 1] = length as u32;
    }
    head[header::LENGTH] = bytes.len() as u32;
    head[header::CRC] = crc32(&bytes[HEADER_WORDS * 4..]);
    put_header(&mut bytes, &head);
    head[header::HEADER_CRC] = header_crc(&bytes);
    put_header(&mut bytes, &head);
    Ok(bytes)
}

fn put_words(bytes: &mut Vec<u8>, words: &[u32]) {
    bytes.reserve(words.len() * 4);
    words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
}

fn put_header(bytes: &mut [u8], head: &[u32; HEADER_WORDS]) {
    for (at, word) in head.iter().enumerate() {
        bytes[at * 4..at * 4 + 4].copy_from_slice(&word.to_le_bytes());
    }
}

struct Writer<'a> {
    resolved: &'a Resolved,
    strings: Strings,
    lists: Lists,
    execs: Records<EXEC_WORDS>,
    policies: Records<POLICY_WORDS>,
    nodes: Vec<[u32; NODE_WORDS]>,
    leaves: Vec<[u32; LEAF_WORDS]>,
}

impl Writer<'_> {
    /// The sorted list of all names of users and groups.
    fn accounts(&mut self) -> Result<u32, Diagnostic> {
        let definitions = self.resolved.services.iter().map(|service| &service.definition);
        let mut accounts: Vec<&str> = definitions.flat_map(|of| [of.user.as_str(), of.group.as_str()]).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts.retain(|name| !name.is_empty());
        if accounts.len() > limits::ACCOUNTS_MAX {
            let what = "different users and groups";
            return Err(too_many(accounts.len(), limits::ACCOUNTS_MAX as u32, what, "ACCOUNTS_MAX"));
        }
        let list = self.strings_list(&accounts);
        Ok(self.lists.put(&list))
    }

    fn strings_list<T: AsRef<str>>(&mut self, texts: &[T]) -> Vec<u32> {
        texts.iter().map(|text| self.strings.put(text.as_ref())).collect()
    }

    /// The record of a service, but for where its edges are.
    fn service(&mut self, slot: u32, of: &Service, edges: &Edges, origin: &str) -> [u32; SERVICE_WORDS] {
        let definition = &of.definition;
        let mut record = [0; SERVICE_WORDS];
        record[service::NAME] = self.strings.put(&definition.name);
        record[service::DESCRIPTION] = self.strings.put(&definition.description);
        record[service::KIND_FLAGS] = kind_flags(of);
        let process = definition.kind != Kind::Bundle;
        let command = self.strings_list(&definition.command);
        record[service::COMMAND] = if process { self.lists.put(&command) } else { NONE };
        record[service::STOP] = self.stop(definition);
        record[service::RELOAD] = match &definition.reload {
            Some(reload) if process => self.action(core::slice::from_ref(reload)),
            _ => NONE,
        };
        record[service::EXEC] = if process { self.exec(definition) } else { NONE };
        record[service::POLICY] = if process { self.policies.put(policy_record(definition)) } else { NONE };
        for (role, (field, expression)) in [
            (service::WHILE, &definition.while_on),
            (service::START_ON, &definition.start_on),
            (service::STOP_ON, &definition.stop_on),
            (service::FOR_EACH, &definition.for_each),
        ]
        .into_iter()
        .enumerate()
        {
            record[field] = match expression {
                Some(expression) => self.expression(slot, role as u32, &expression.value),
                None => NONE,
            };
        }
        record[service::INSTANCE] = self.strings.put(&definition.instance);
        record[service::TEMPLATE] = of.template;
        let pass = self.strings_list(&definition.pass);
        record[service::PASS] = self.lists.put_some(&pass);
        record[service::ORIGIN] = self.strings.put(origin);
        let written: Vec<u32> =
            of.written.iter().flat_map(|(relation, name)| [*relation as u32, self.strings.put(name)]).collect();
        record[service::WRITTEN] = self.lists.put_some(&written);
        record[service::HASH] = hash(of, self.resolved, slot, edges);
        record
    }

    /// A longrun always has a way to be stopped; a oneshot only where a command takes down what it brought up.
    fn stop(&mut self, definition: &Definition) -> u32 {
        let command = definition.stop.iter().any(|action| matches!(action, Action::Command(_)));
        match definition.kind {
            Kind::Longrun if definition.stop.is_empty() => self.lists.put(&[action::SIGNALS, SIGTERM]),
            Kind::Longrun => self.action(&definition.stop),
            Kind::Oneshot if command => self.action(&definition.stop),
            Kind::Oneshot | Kind::Bundle => NONE,
        }
    }

    fn action(&mut self, actions: &[Action]) -> u32 {
        let mut list = alloc::vec![action::SIGNALS];
        for one in actions {
            match one {
                Action::Signal(signal) => list.push(*signal),
                Action::Command(words) => {
                    list = alloc::vec![action::COMMAND];
                    list.extend(self.strings_list(words));
                }
            }
        }
        self.lists.put(&list)
    }

    fn exec(&mut self, definition: &Definition) -> u32 {
        let mut record = [0; EXEC_WORDS];
        record[exec::USER] = self.strings.put(&definition.user);
        record[exec::GROUP] = self.strings.put(&definition.group);
        record[exec::DIRECTORY] = self.strings.put(&definition.directory);
        record[exec::UMASK] = definition.umask;
        record[exec::NICE] = definition.nice.map_or(0, |nice| nice.wrapping_add(100) as u32);
        record[exec::OOM] = definition.oom_score_adj.map_or(0, |adjust| adjust.wrapping_add(2000) as u32);
        let low_high = |value: u64| [value as u32, (value >> 32) as u32];
        let limits: Vec<u32> = definition
            .limits
            .iter()
            .flat_map(|limit| {
                let ([a, b], [c, d]) = (low_high(limit.soft), low_high(limit.hard));
                [limit.resource, a, b, c, d]
            })
            .collect();
        record[exec::LIMITS] = self.lists.put_some(&limits);
        let env = self.strings_list(&definition.env);
        record[exec::ENV] = self.lists.put_some(&env);
        let files = self.strings_list(&definition.env_file);
        record[exec::ENV_FILES] = self.lists.put_some(&files);
        record[exec::LOG] = definition.log as u32;
        record[exec::RICH] = u32::from(!definition.env_file.is_empty() || definition.oom_score_adj.is_some());
        self.execs.put(record)
    }

    /// Writes an expression in preorder and gives the index of its root.
    fn expression(&mut self, slot: u32, role: u32, expression: &Expression) -> u32 {
        let root = self.nodes.len() as u32;
        let mut latch = 0;
        // What is still to be written: the expression, its parent, and whether it is the parent's right child.
        let mut pending: Vec<(&Expression, u32, bool)> = alloc::vec![(expression, NONE, false)];
        while let Some((expression, parent, right)) = pending.pop() {
            let at = self.nodes.len() as u32;
            if right {
                self.nodes[parent as usize][node::B] = at;
            }
            let mut record = [NONE; NODE_WORDS];
            record[node::PARENT] = parent;
            match expression {
                Expression::And(left, other) | Expression::Or(left, other) => {
                    let and = matches!(expression, Expression::And(..));
                    record[node::KIND] = if and { node::AND } else { node::OR };
                    record[node::A] = at + 1;
                    pending.push((other, at, true));
                    pending.push((left, at, false));
                }
                Expression::Not(inner) => {
                    record[node::KIND] = node::NOT;
                    record[node::A] = at + 1;
                    pending.push((inner, at, false));
                }
                Expression::Fact { name, attributes } => {
                    record[node::KIND] = node::FACT;
                    record[node::A] = self.strings.put(&name.value);
                    let list: Vec<u32> = attributes
                        .iter()
                        .flat_map(|of| [self.strings.put(&of.key), u32::from(of.negated), self.strings.put(&of.glob)])
                        .collect();
                    record[node::B] = self.lists.put_some(&list);
                    self.leaves.push([record[node::A], slot, role, at]);
                }
                Expression::Up(name) | Expression::Failed(name) => {
                    let up = matches!(expression, Expression::Up(_));
                    record[node::KIND] = if up { node::UP } else { node::FAILED };
                    record[node::A] = self
                        .resolved
                        .slot(&name.value)
                        .expect("a name that cannot be resolved is an error before this");
                }
            }
            if matches!(expression, Expression::Fact { .. } | Expression::Up(_) | Expression::Failed(_)) {
                record[node::LEAF] = latch;
                latch += 1;
            }
            self.nodes.push(record);
        }
        root
    }

    fn sort_leaves(&mut self) {
        let strings = &self.strings;
        self.leaves.sort_unstable_by(|a, b| {
            let rest = |of: &[u32; LEAF_WORDS]| [of[leaf::SERVICE], of[leaf::ROLE], of[leaf::NODE]];
            (strings.get(a[leaf::NAME]), rest(a)).cmp(&(strings.get(b[leaf::NAME]), rest(b)))
        });
    }
}

/// SIGTERM, see signal(7); the same number on every architecture of Linux.
const SIGTERM: u32 = 15;

fn kind_flags(of: &Service) -> u32 {
    use service::flags::{ESSENTIAL, EXPANDS, NO_REMAIN, TEMPLATE};
    let definition = &of.definition;
    let mut word = definition.kind as u32;
    for (holds, flag) in [
        (names::is_template(&definition.name), TEMPLATE),
        (definition.essential, ESSENTIAL),
        (definition.kind == Kind::Oneshot && !definition.remain, NO_REMAIN),
        (definition.expands, EXPANDS),
    ] {
        if holds {
            word |= flag;
        }
    }
    word
}

fn policy_record(definition: &Definition) -> [u32; POLICY_WORDS] {
    let mut record = [0; POLICY_WORDS];
    (record[policy::READY], record[policy::READY_DESCRIPTOR]) = match definition.ready {
        Readiness::None => (0, 0),
        Readiness::Descriptor(descriptor) => (1, descriptor),
        Readiness::Notify => (2, 0),
    };
    record[policy::RESTART] = definition.restart as u32;
    record[policy::DELAY_MS] = definition.restart_delay_ms;
    record[policy::DELAY_MS_MAX] = definition.restart_delay_ms_max;
    record[policy::LIMIT] = definition.restart_limit;
    record[policy::WINDOW_MS] = definition.restart_window_ms;
    record[policy::START_TIMEOUT_MS] = definition.start_timeout_ms;
    record[policy::STOP_TIMEOUT_MS] = definition.stop_timeout_ms;
    record
}

/// The CRC-32 of what a definition says. Neither where it stands nor what others say of it goes in, so it changes exactly
/// when the meaning of its own file does.
fn hash(of: &Service, resolved: &Resolved, slot: u32, edges: &Edges) -> u32 {
    let definition = &of.definition;
    let mut digest = Digest(Crc32::default());
    digest.text(&definition.name);
    digest.text(&definition.description);
    digest.number(kind_flags(of));
    if definition.kind != Kind::Bundle {
        digest.texts(&definition.command);
        digest.number(definition.stop.len() as u32);
        for action in definition.stop.iter().chain(&definition.reload) {
            match action {
                Action::Signal(signal) => digest.number(*signal),
                Action::Command(words) => digest.texts(words),
            }
        }
        policy_record(definition).iter().for_each(|&word| digest.number(word));
        [&definition.user, &definition.group, &definition.directory].into_iter().for_each(|text| digest.text(text));
        digest.number(definition.umask);
        digest.number(definition.nice.map_or(NONE, |nice| nice as u32));
        digest.number(definition.oom_score_adj.map_or(NONE, |adjust| adjust as u32));
        digest.texts(&definition.env);
        digest.texts(&definition.env_file);
        for limit in &definition.limits {
            digest.number(limit.resource);
            [limit.soft, limit.hard].into_iter().for_each(|value| digest.0.update(&value.to_le_bytes()));
        }
        digest.number(definition.log as u32);
    }
    digest.text(&definition.instance);
    digest.texts(&definition.pass);
    for expression in [&definition.while_on, &definition.start_on, &definition.stop_on, &definition.for_each] {
        digest.number(u32::from(expression.is_some()));
        if let Some(expression) = expression {
            digest.expression(&expression.value);
        }
    }
    for link in edges.of(slot) {
        // What was written in another's file counts there (`written`); a conflict is both's.
        if !link.turned || link.relation == Relation::Conflicts {
            digest.number(link.relation as u32);
            digest.text(&resolved.services[link.target as usize].definition.name);
        }
    }
    for (relation, name) in &of.written {
        digest.number(*relation as u32 | 1 << 8);
        digest.text(name);
    }
    digest.0.sum()
}

struct Digest(Crc32);

impl Digest {
    fn number(&mut self, number: u32) {
        self.0.update(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.update(text.as_bytes());
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len() as u32);
        texts.iter().for_each(|text| self.text(text));
    }

    fn expression(&mut self, expression: &Expression) {
        let mut pending = alloc::vec![expression];
        while let Some(expression) = pending.pop() {
            match expression {
                Expression::And(left, right) => {
                    self.number(node::AND);
                    pending.extend([&**right, &**left]);
                }
                Expression::Or(left, right) => {
                    self.number(node::OR);
                    pending.extend([&**right, &**left]);
                }
                Expression::Not(inner) => {
                    self.number(node::NOT);
                    pending.push(inner);
                }
                Expression::Fact { name, attributes } => {
                    self.number(node::FACT);
                    self.text(&name.value);
                    self.number(attributes.len() as u32);
                    for of in attributes {
                        self.text(&of.key);
                        self.number(u32::from(of.negated));
                        self.text(&of.glob);
                    }
                }
                Expression::Up(name) => {
                    self.number(node::UP);
                    self.text(&name.value);
                }
                Expression::Failed(name) => {
                    self.number(node::FAILED);
                    self.text(&name.value);
                }
            }
        }
    }
}
