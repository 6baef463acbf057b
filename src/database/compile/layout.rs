//! The writer: resolved services and merged edges to bytes. The format is in `database`.

use alloc::string::String;
use alloc::vec::Vec;

use super::super::verify::header_crc;
use super::super::{
    EXEC_WORDS, HEADER_WORDS, LEAF_WORDS, MAGIC, NODE_WORDS, NONE, POLICY_WORDS, SERVICE_WORDS, Section, VERSION,
    action, exec, header, leaf, node, policy, service,
};
use super::edges::Edges;
use super::resolve::{Resolved, Service};
use super::strings::{Names, Pool, put_words};
use super::{ENVIRONMENT, NOWHERE, too_many};
use crate::crc32::{Crc32, crc32};
use crate::graph::Relation;
use crate::lang::definition::{Action, At, Definition, Expression, Kind, Readiness};
use crate::lang::diagnostic::{Diagnostic, Source, error};
use crate::lang::order::sort;
use crate::{limits, names};

/// The bytes of the database, or a finding if something does not fit.
pub fn write(
    resolved: &Resolved,
    edges: &Edges,
    sources: &[Source],
    findings: &mut Vec<Diagnostic>,
) -> Option<Vec<u8>> {
    let mut writer = Writer {
        resolved,
        strings: Pool::new(),
        lists: Pool::new(),
        execs: Pool::new(),
        policies: Pool::new(),
        nodes: Vec::new(),
        leaves: Vec::new(),
    };
    // "" is the first string.
    writer.strings.text("");
    let mut head = [0u32; HEADER_WORDS];
    let environment = ENVIRONMENT.map(String::from);
    head[header::ENVIRONMENT] = writer.texts(&environment);
    head[header::ACCOUNTS] = writer.accounts(findings)?;
    let (first_reverse, reverse) = edges.reverse();
    let mut services = Vec::new();
    for (slot, service) in resolved.services.iter().enumerate() {
        let origin = sources.get(service.definition.origin.file as usize).map_or("", |source| source.path.as_str());
        let mut record = [0; SERVICE_WORDS];
        writer.service(slot as u32, service, origin, &mut record);
        record[service::HASH] = hash(service, resolved, slot as u32, edges);
        let own = edges.range(slot as u32);
        record[service::EDGES] = own.start as u32;
        record[service::EDGES_COUNT] = own.len() as u32;
        record[service::REVERSE] = first_reverse[slot];
        record[service::REVERSE_COUNT] = first_reverse[slot + 1] - first_reverse[slot];
        put_words(&mut services, &record);
        head[header::TEMPLATES] += u32::from(names::is_template(&service.definition.name));
    }
    let strings = &writer.strings;
    sort(&mut writer.leaves, &|a, b| {
        // The rest of the record follows the name in the order of the words.
        (strings.text_at(a[leaf::NAME]), &a[1..]).cmp(&(strings.text_at(b[leaf::NAME]), &b[1..]))
    });
    let mut edge_words = Vec::new();
    for link in edges.all() {
        put_words(&mut edge_words, &[link.word()]);
    }
    let (mut reverse_words, mut leaf_words, mut node_words) = (Vec::new(), Vec::new(), Vec::new());
    put_words(&mut reverse_words, &reverse);
    put_words(&mut leaf_words, writer.leaves.as_flattened());
    put_words(&mut node_words, writer.nodes.as_flattened());

    head[header::MAGIC] = MAGIC;
    head[header::VERSION] = VERSION;
    head[header::SERVICES] = resolved.services.len() as u32;
    let mut bytes = alloc::vec![0u8; HEADER_WORDS * 4];
    for section in Section::ALL {
        let content: &[u8] = match section {
            Section::Services => &services,
            Section::Execs => writer.execs.bytes(),
            Section::Policies => writer.policies.bytes(),
            Section::Edges => &edge_words,
            Section::Reverse => &reverse_words,
            Section::Nodes => &node_words,
            Section::Leaves => &leaf_words,
            Section::Lists => writer.lists.bytes(),
            Section::Strings => writer.strings.bytes(),
        };
        let entry = header::SECTIONS + section as usize * 2;
        (head[entry], head[entry + 1]) = (bytes.len() as u32, content.len() as u32);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    if bytes.len() > u32::MAX as usize {
        let message = format_args!("the database would have {} bytes, more than 4 GiB", bytes.len());
        error(findings, NOWHERE, message);
        return None;
    }
    head[header::LENGTH] = bytes.len() as u32;
    head[header::CRC] = crc32(&bytes[HEADER_WORDS * 4..]);
    put_header(&mut bytes, &head);
    head[header::HEADER_CRC] = header_crc(&bytes);
    put_header(&mut bytes, &head);
    Some(bytes)
}

fn put_header(bytes: &mut [u8], head: &[u32; HEADER_WORDS]) {
    for (at, word) in head.iter().enumerate() {
        bytes[at * 4..at * 4 + 4].copy_from_slice(&word.to_le_bytes());
    }
}

struct Writer<'a> {
    resolved: &'a Resolved,
    strings: Pool,
    lists: Pool,
    execs: Pool,
    policies: Pool,
    nodes: Vec<[u32; NODE_WORDS]>,
    leaves: Vec<[u32; LEAF_WORDS]>,
}

impl Writer<'_> {
    /// The sorted list of all names of users and groups.
    fn accounts(&mut self, findings: &mut Vec<Diagnostic>) -> Option<u32> {
        let (mut known, mut accounts) = (Names::new(), Vec::new());
        for service in &self.resolved.services {
            for name in [&service.definition.user, &service.definition.group] {
                if !name.is_empty() && known.find(name).is_none() {
                    known.add(name);
                    accounts.push(name.clone());
                }
            }
        }
        if accounts.len() > limits::ACCOUNTS_MAX {
            let what = "different users and groups";
            too_many(findings, accounts.len(), limits::ACCOUNTS_MAX as u32, what, "ACCOUNTS_MAX");
            return None;
        }
        sort(&mut accounts, &|a, b| a.as_bytes().cmp(b.as_bytes()));
        Some(self.texts(&accounts))
    }

    /// Offset of a list; its first word is kept for its length.
    fn list(&mut self, mut list: Vec<u32>) -> u32 {
        list[0] = list.len() as u32 - 1;
        self.lists.words(&list)
    }

    /// As `list`, but `NONE` for an empty one.
    fn list_some(&mut self, list: Vec<u32>) -> u32 {
        if list.len() == 1 { NONE } else { self.list(list) }
    }

    fn add_texts(&mut self, list: &mut Vec<u32>, texts: &[String]) {
        for text in texts {
            list.push(self.strings.text(text));
        }
    }

    fn texts(&mut self, texts: &[String]) -> u32 {
        let mut list = alloc::vec![0];
        self.add_texts(&mut list, texts);
        self.list(list)
    }

    fn texts_some(&mut self, texts: &[String]) -> u32 {
        if texts.is_empty() { NONE } else { self.texts(texts) }
    }

    /// The record of a service, but for where its edges are.
    #[inline(never)]
    fn service(&mut self, slot: u32, of: &Service, origin: &str, record: &mut [u32; SERVICE_WORDS]) {
        let definition = &of.definition;
        record[service::NAME] = self.strings.text(&definition.name);
        record[service::DESCRIPTION] = self.strings.text(&definition.description);
        record[service::KIND_FLAGS] = kind_flags(of);
        for field in [service::COMMAND, service::STOP, service::RELOAD, service::EXEC, service::POLICY] {
            record[field] = NONE;
        }
        if definition.kind != Kind::Bundle {
            record[service::COMMAND] = self.texts(&definition.command);
            record[service::STOP] = self.stop(definition);
            if let Some(reload) = &definition.reload {
                record[service::RELOAD] = self.action(core::slice::from_ref(reload));
            }
            record[service::EXEC] = self.exec(definition);
            record[service::POLICY] = self.policies.words(&policy_record(definition)) / POLICY_WORDS as u32;
        }
        for (role, expression) in expressions(definition).into_iter().enumerate() {
            record[service::WHILE + role] = match expression {
                Some(expression) => self.expression(slot, role as u32, &expression.value),
                None => NONE,
            };
        }
        record[service::INSTANCE] = self.strings.text(&definition.instance);
        record[service::TEMPLATE] = of.template;
        record[service::PASS] = self.texts_some(&definition.pass);
        record[service::ORIGIN] = self.strings.text(origin);
        let mut written = alloc::vec![0];
        for (relation, name) in &of.written {
            written.extend_from_slice(&[*relation as u32, self.strings.text(name)]);
        }
        record[service::WRITTEN] = self.list_some(written);
    }

    /// A longrun always has a way to be stopped; a oneshot only where a command takes down what it brought up.
    fn stop(&mut self, definition: &Definition) -> u32 {
        let longrun = definition.kind == Kind::Longrun;
        if longrun && definition.stop.is_empty() {
            return self.action(&[Action::Signal(SIGTERM)]);
        }
        let command = matches!(definition.stop.first(), Some(Action::Command(_)));
        if longrun || command { self.action(&definition.stop) } else { NONE }
    }

    fn action(&mut self, actions: &[Action]) -> u32 {
        let mut list = alloc::vec![0, action::SIGNALS];
        for one in actions {
            match one {
                Action::Signal(signal) => list.push(*signal),
                Action::Command(words) => {
                    list[1] = action::COMMAND;
                    self.add_texts(&mut list, words);
                }
            }
        }
        self.list(list)
    }

    fn exec(&mut self, definition: &Definition) -> u32 {
        let mut record = [0; EXEC_WORDS];
        record[exec::USER] = self.strings.text(&definition.user);
        record[exec::GROUP] = self.strings.text(&definition.group);
        record[exec::DIRECTORY] = self.strings.text(&definition.directory);
        record[exec::UMASK] = definition.umask;
        record[exec::NICE] = definition.nice.map_or(0, |nice| nice.wrapping_add(100) as u32);
        record[exec::OOM] = definition.oom_score_adj.map_or(0, |adjust| adjust.wrapping_add(2000) as u32);
        let mut limits = alloc::vec![0];
        for limit in &definition.limits {
            let (soft, hard) = (limit.soft, limit.hard);
            limits.push(limit.resource);
            limits.extend_from_slice(&[soft as u32, (soft >> 32) as u32, hard as u32, (hard >> 32) as u32]);
        }
        record[exec::LIMITS] = self.list_some(limits);
        record[exec::ENV] = self.texts_some(&definition.env);
        record[exec::ENV_FILES] = self.texts_some(&definition.env_file);
        record[exec::LOG] = definition.log as u32;
        record[exec::RICH] = u32::from(!definition.env_file.is_empty() || definition.oom_score_adj.is_some());
        self.execs.words(&record) / EXEC_WORDS as u32
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
            record[node::KIND] = node_kind(expression);
            record[node::PARENT] = parent;
            let (left, other) = children(expression);
            if let Some(other) = other {
                pending.push((other, at, true));
            }
            match left {
                Some(left) => {
                    record[node::A] = at + 1;
                    pending.push((left, at, false));
                }
                None => {
                    record[node::LEAF] = latch;
                    latch += 1;
                }
            }
            match expression {
                Expression::Fact { name, attributes } => {
                    record[node::A] = self.strings.text(&name.value);
                    let mut list = alloc::vec![0];
                    for of in attributes {
                        list.push(self.strings.text(&of.key));
                        list.push(u32::from(of.negated));
                        list.push(self.strings.text(&of.glob));
                    }
                    record[node::B] = self.list_some(list);
                    self.leaves.push([record[node::A], slot, role, at]);
                }
                Expression::Up(name) | Expression::Failed(name) => {
                    record[node::A] = self
                        .resolved
                        .slot(&name.value)
                        .expect("a name that cannot be resolved is an error before this");
                }
                Expression::And(..) | Expression::Or(..) | Expression::Not(_) => {}
            }
            self.nodes.push(record);
        }
        root
    }
}

/// The expressions of a definition in the order of `leaf::ROLE` and of the fields from `service::WHILE` on.
pub fn expressions(definition: &Definition) -> [&Option<At<Expression>>; 4] {
    [&definition.while_on, &definition.start_on, &definition.stop_on, &definition.for_each]
}

/// What stands below: nothing below a leaf.
pub fn children(expression: &Expression) -> (Option<&Expression>, Option<&Expression>) {
    match expression {
        Expression::And(left, right) | Expression::Or(left, right) => (Some(left), Some(right)),
        Expression::Not(inner) => (Some(inner), None),
        Expression::Fact { .. } | Expression::Up(_) | Expression::Failed(_) => (None, None),
    }
}

fn node_kind(expression: &Expression) -> u32 {
    match expression {
        Expression::And(..) => node::AND,
        Expression::Or(..) => node::OR,
        Expression::Not(_) => node::NOT,
        Expression::Fact { .. } => node::FACT,
        Expression::Up(_) => node::UP,
        Expression::Failed(_) => node::FAILED,
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
#[inline(never)]
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
        for text in [&definition.user, &definition.group, &definition.directory] {
            digest.text(text);
        }
        digest.number(definition.umask);
        digest.number(definition.nice.map_or(NONE, |nice| nice as u32));
        digest.number(definition.oom_score_adj.map_or(NONE, |adjust| adjust as u32));
        digest.texts(&definition.env);
        digest.texts(&definition.env_file);
        for limit in &definition.limits {
            digest.number(limit.resource);
            digest.0.update(&limit.soft.to_le_bytes());
            digest.0.update(&limit.hard.to_le_bytes());
        }
        digest.number(definition.log as u32);
    }
    digest.text(&definition.instance);
    digest.texts(&definition.pass);
    for expression in expressions(definition) {
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
            self.number(node_kind(expression));
            let (left, right) = children(expression);
            pending.extend(right);
            pending.extend(left);
            match expression {
                Expression::Fact { name, attributes } => {
                    self.text(&name.value);
                    self.number(attributes.len() as u32);
                    for of in attributes {
                        self.text(&of.key);
                        self.number(u32::from(of.negated));
                        self.text(&of.glob);
                    }
                }
                Expression::Up(name) | Expression::Failed(name) => self.text(&name.value),
                Expression::And(..) | Expression::Or(..) | Expression::Not(_) => {}
            }
        }
    }
}
