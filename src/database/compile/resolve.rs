//! Names to services: every name in a relation or an expression is looked up, and what names an instance of a template
//! makes it.

mod choice;

use alloc::vec::Vec;

use super::super::NONE;
use super::edges::Link;
use super::instance::instance_of;
use super::strings::Names;
use crate::graph::Relation;
use crate::lang::definition::{Definition, Kind, Token, Word, alternatives};
use crate::lang::diagnostic::Part::{Number, Text};
use crate::lang::diagnostic::{Diagnostic, error};
use crate::lang::keys::{self, Key, Value};
use crate::lang::order::{arrange, order};
use crate::nearest::Nearest;
use crate::{limits, names, packed};

/// For at most this many missing names the nearest one is searched for: each looks at all names.
const SUGGESTIONS_MAX: usize = 20;

/// A service with what resolving found out about it.
#[derive(Clone, Copy)]
pub struct Service {
    /// What it says; its relations are in the links, too.
    pub definition: &'static Definition,
    /// The template that a static instance was made from, or `NONE`.
    pub template: u32,
    /// Of a choice: the numbers of what it may choose, in this order. Of others none.
    pub alternatives: &'static [u32],
    /// Another's output comes to its standard input.
    pub input: bool,
}

/// All services sorted by name, and the edges between them.
pub struct Resolved {
    /// In the order of their slots.
    pub services: Vec<Service>,
    /// Ends are slots.
    pub links: Vec<Link>,
    names: Names,
    /// Slot of each number.
    slots: Vec<u32>,
}

impl Resolved {
    /// The name of the service in this slot.
    #[inline(never)]
    pub fn name(&self, slot: u32) -> &'static str {
        self.services[slot as usize].definition.name
    }

    /// The slot that this name stands for.
    pub fn slot(&self, name: &str) -> Option<u32> {
        self.names.find(name).map(|number| self.slots[number as usize])
    }
}

/// Looks up all names. Relations that cannot be resolved are reported and left out. Of refused definitions nothing is
/// made, but names in them that are missing are reported, and their own names are not missing.
#[inline(never)]
pub fn resolve(definitions: &'static [Definition], findings: &mut Vec<Diagnostic>) -> Resolved {
    let mut resolver = Resolver {
        services: Vec::new(),
        links: Vec::new(),
        names: Names::new(),
        refused: Names::new(),
        asked: Vec::new(),
        findings,
        suggestions: 0,
        full: false,
    };
    let mut refused = Vec::new();
    for definition in definitions {
        if definition.refused {
            resolver.refused.add(definition.name, NONE);
            for word in definition.words(keys::PROVIDES) {
                resolver.refused.add(word.text, NONE);
            }
            ask(definition, NONE, &mut refused);
        } else {
            resolver.add(definition, NONE);
        }
    }
    // Instances, and what they ask, are added at the end while this goes on.
    let mut at = 0;
    while let Some(asked) = resolver.asked.get(at) {
        resolver.instances(asked.name);
        at += 1;
    }
    resolver.provided();
    for asked in &refused {
        resolver.look_into(asked);
    }
    for asked in core::mem::take(&mut resolver.asked).leak() {
        resolver.relate(asked);
    }
    resolver.sorted()
}

struct Resolver<'a> {
    services: Vec<Service>,
    links: Vec<Link>,
    /// The numbers of services, by their names and, where one alone provides a name, by that.
    names: Names,
    refused: Names,
    /// What all services ask.
    asked: Vec<Asked>,
    findings: &'a mut Vec<Diagnostic>,
    suggestions: usize,
    full: bool,
}

impl Resolver<'_> {
    #[inline(never)]
    fn add(&mut self, definition: &'static Definition, template: u32) {
        if let Some(first) = self.names.find(definition.name) {
            let text = packed!("a second definition of ~\n\nthe first is here");
            error(self.findings, &definition.origin, text, &[Text(definition.name)])
                .related(&self.services[first as usize].definition.origin);
            return;
        }
        let number = self.services.len() as u32;
        self.names.add(definition.name, number);
        self.services.push(Service { definition, template, alternatives: &[], input: false });
        ask(definition, number, &mut self.asked);
    }

    /// Makes links of what is asked.
    #[inline(never)]
    fn relate(&mut self, asked: &Asked) {
        let Asked { relation, name, .. } = *asked;
        // There may be very many that mean one service.
        let plain = !name.text.as_bytes().contains(&b'|') && relation != Relation::Conflicts;
        let plain = plain && !names::is_template(name.text);
        match self.names.find(name.text).filter(|_| plain) {
            Some(one) if self.services[one as usize].alternatives.is_empty() => self.link(asked, one),
            _ => self.meant(asked),
        }
    }

    #[inline(never)]
    fn link(&mut self, asked: &Asked, other: u32) {
        let Asked { number, relation, turned, name: &Word { position, .. }, .. } = *asked;
        // A template is never up, so nobody can need or want it; but to come after it is harmless, and its instances of
        // the run time are ordered by it.
        if turned && relation != Relation::After && names::is_template(asked.who) {
            return;
        }
        if let Value::Log = asked.key.value {
            let to = &mut self.services[other as usize];
            to.input = true;
            if to.definition.kind != Kind::Longrun {
                let text = packed!("~ cannot read what % writes: it is no longrun");
                error(self.findings, &position, text, &[Text(to.definition.name), Text(asked.who)]);
            }
            let reads = |number: u8| {
                to.definition.given(number).filter(|given| given.words.iter().any(|word| word.text != "null"))
            };
            if let Some(other) = reads(keys::STDIN).or_else(|| reads(keys::TTY)) {
                let text = packed!("~ cannot read what % writes: it reads from its ~\n\nthat is here");
                let parts = [Text(to.definition.name), Text(asked.who), Text(other.key.name())];
                error(self.findings, &position, text, &parts).related(&other.position);
            }
        }
        let (source, target) = if turned { (other, number) } else { (number, other) };
        self.links.push(Link { source, target, relation, turned, position });
        if relation == Relation::Conflicts {
            self.links.push(Link { source: target, target: source, relation, turned: true, position });
        }
    }

    /// Reports what is missing for a definition that has findings already.
    fn look_into(&mut self, asked: &Asked) {
        for name in alternatives(asked.name) {
            if !name.text.is_empty() && !self.names.has(name.text) {
                self.missing(asked, name);
            }
        }
    }

    /// The service of this name, or what stands for it.
    fn lookup(&mut self, asked: &Asked, name: &Word) -> Option<u32> {
        let known = self.names.find(name.text);
        if known.is_some() && names::is_template(name.text) {
            let text = packed!("% of % names a template without its instance: ~\nwrite which one, as in %eth0");
            let parts = [Text(asked.key.name()), Text(asked.who), Text(name.text), Text(name.text)];
            error(self.findings, &name.position, text, &parts);
            return None;
        }
        // An instance that there could be has been refused already.
        if known.is_none() && self.template_of(name.text).is_none() {
            self.missing(asked, name);
        }
        known
    }

    /// The template of an instance's name, if there is one.
    fn template_of(&self, name: &str) -> Option<u32> {
        let (template, instance) = parted(name);
        self.names.find(template).filter(|_| names::check_instance(instance).is_ok())
    }

    /// Makes the instances of templates that a word names and that are not there yet.
    fn instances(&mut self, word: &'static Word) {
        for name in alternatives(word) {
            if name.text.as_bytes().contains(&b'@')
                && self.names.find(name.text).is_none()
                && let Some(template) = self.template_of(name.text)
            {
                self.instance(template, name);
            }
        }
    }

    #[inline(never)]
    fn instance(&mut self, template: u32, name: &Word) {
        if self.services.len() >= limits::SLOTS_MAX as usize {
            if !core::mem::replace(&mut self.full, true) {
                let text = packed!(
                    "with the instances of templates there are more than % services\n\
                     PINTLE_SLOTS_MAX sets this limit when pintle is built"
                );
                error(self.findings, &name.position, text, &[Number(limits::SLOTS_MAX.into())]);
            }
            return;
        }
        let made = instance_of(self.services[template as usize].definition, name.text, parted(name.text).1);
        self.add(made, template);
    }

    /// Reports a name, unless it is that of a service whose file was refused, or of an instance of one.
    #[inline(never)]
    fn missing(&mut self, asked: &Asked, name: &Word) {
        if self.refused.has(name.text) {
            return;
        }
        let mut found = None;
        self.suggestions += 1;
        if self.suggestions <= SUGGESTIONS_MAX {
            let mut near = Nearest::to(name.text);
            for (name, _) in self.names.all() {
                if !names::is_template(name) {
                    near.offer(name);
                }
            }
            found = near.found();
        }
        let text = match found {
            Some(_) => packed!("there is no service ~, which % names in %\ndid you mean ~?"),
            None => packed!("there is no service ~, which % names in %"),
        };
        let (key, near) = (asked.key.name(), found.unwrap_or_default());
        error(self.findings, &name.position, text, &[Text(name.text), Text(asked.who), Text(key), Text(near)]);
    }

    /// Numbers become slots: the order of names.
    #[inline(never)]
    fn sorted(self) -> Resolved {
        let Resolver { mut services, mut links, names, .. } = self;
        let name = |number: usize| services[number].definition.name.as_bytes();
        let order = order(services.len(), &|a, b| name(a).cmp(name(b)));
        let mut slots = alloc::vec![NONE; order.len()];
        for (slot, &number) in order.iter().enumerate() {
            slots[number as usize] = slot as u32;
        }
        arrange(order, &mut |a, b| services.swap(a, b));
        for service in &mut services {
            if service.template != NONE {
                service.template = slots[service.template as usize];
            }
        }
        for link in &mut links {
            link.source = slots[link.source as usize];
            link.target = slots[link.target as usize];
        }
        Resolved { services, links, names, slots }
    }
}

/// The name of the template (or the name) and the instance of a service's name.
fn parted(name: &str) -> (&str, &str) {
    match name.bytes().position(|byte| byte == b'@') {
        Some(at) => name.split_at(at + 1),
        None => (name, ""),
    }
}

impl Names {
    /// Whether there is a service of this name, or a template that makes it.
    fn has(&self, name: &str) -> bool {
        self.find(name).is_some() || self.find(parted(name).0).is_some()
    }
}

/// A service that a definition names.
struct Asked {
    /// Who names it: number and name.
    number: u32,
    who: &'static str,
    key: &'static Key,
    relation: Relation,
    /// Asked of the named one, not of the one that names it.
    turned: bool,
    name: &'static Word,
}

/// Adds all services that a definition names, in relations and expressions.
#[inline(never)]
fn ask(definition: &Definition, number: u32, asked: &mut Vec<Asked>) {
    for given in &definition.given {
        let (relation, turned) = match given.key.value {
            Value::Relation(relation) | Value::Expression(relation) => (relation, false),
            Value::Log => (Relation::Wants, false),
            Value::Inverse(relation) => (relation, true),
            _ => continue,
        };
        for name in given.words {
            // In a relation all are texts, those of bad names empty; in an expression the others are no services.
            if !name.text.is_empty() && matches!(name.token, Token::Text | Token::Up | Token::Failed) {
                asked.push(Asked { number, who: definition.name, key: given.key, relation, turned, name });
            }
        }
    }
}

/// The key that writes a relation from the other end.
pub fn turned_name(relation: Relation) -> &'static str {
    match relation {
        Relation::Needs => "needed-by",
        Relation::Wants => "wanted-by",
        Relation::After => "before",
        // No key writes these from the other end, but for `conflicts`, which is the same from both.
        other => other.name(),
    }
}
