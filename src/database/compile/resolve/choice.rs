//! Choices: a slot for each list `a|b` and for each name that several services provide; a name that one service
//! provides is that service.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::super::super::NONE;
use super::super::NOWHERE;
use super::super::edges::Link;
use super::{Asked, Resolver, Service};
use crate::graph::Relation;
use crate::lang::definition::{Definition, Kind, Position, Word, alternatives};
use crate::lang::diagnostic::Part::{Number, Text};
use crate::lang::diagnostic::{Diagnostic, error};
use crate::lang::keys;
use crate::lang::order::order;
use crate::limits::{ALTERNATIVES_MAX, INSTANCE_BYTES_MAX, NAME_BYTES_MAX};
use crate::{names, packed};

/// Bytes of the name of a choice: as many as the longest other name has.
const NAME_MAX: usize = NAME_BYTES_MAX + INSTANCE_BYTES_MAX;

/// A service that may be chosen, and where that is said.
type Alternative = (u32, Position);

/// Whether one of several is meant by a relation, and not each of them.
const fn chooses(relation: Relation, turned: bool) -> bool {
    match relation {
        Relation::Needs
        | Relation::Binds
        | Relation::NeedsToStart
        | Relation::Wants
        | Relation::Contains
        | Relation::Observes
        | Relation::Listens => !turned,
        Relation::After | Relation::Conflicts | Relation::Alternative => false,
    }
}

impl Resolver<'_> {
    /// What the names stand for that services provide.
    #[inline(never)]
    pub(super) fn provided(&mut self) {
        let name = |at: usize| self.services[at].definition.name.as_bytes();
        let mut provided: Vec<(&Word, u32)> = Vec::new();
        for &number in &order(self.services.len(), &|a, b| name(a).cmp(name(b))) {
            let definition = self.services[number as usize].definition;
            for word in definition.words(keys::PROVIDES) {
                if let Some(other) = self.names.find(word.text) {
                    let text = packed!("% provides ~, which is a service\n\nthat is here");
                    error(self.findings, &word.position, text, &[Text(definition.name), Text(word.text)])
                        .related(&self.services[other as usize].definition.origin);
                } else if !names::is_template(definition.name) {
                    provided.push((word, number));
                }
            }
        }
        // Those of one name, one behind the other.
        let mut several = Vec::new();
        let text = |at: usize| provided[at].0.text.as_bytes();
        let sorted = order(provided.len(), &|a, b| text(a).cmp(text(b)));
        for (at, &place) in sorted.iter().enumerate() {
            let (word, number) = provided[place as usize];
            several.push((number, word.position));
            if sorted.get(at + 1).is_some_and(|next| text(*next as usize) == word.text.as_bytes()) {
                continue;
            }
            if several.len() > 1 {
                self.choice(word.text, &several);
            } else {
                self.names.add(word.text, number);
            }
            several.clear();
        }
    }

    /// The choice of this name, made where it is not there yet.
    #[inline(never)]
    fn choice(&mut self, name: &'static str, found: &[Alternative]) -> u32 {
        if let Some(number) = self.names.find(name) {
            return number;
        }
        if found.len() > ALTERNATIVES_MAX {
            too_many(self.findings, &found[0].1, name, found.len(), ALTERNATIVES_MAX, "alternatives");
        }
        if name.len() > NAME_MAX {
            too_many(self.findings, &found[0].1, name, name.len(), NAME_MAX, "bytes");
        }
        let source = self.services.len() as u32;
        let mut alternatives = Vec::new();
        for &(target, position) in found {
            self.links.push(Link { source, target, relation: Relation::Alternative, turned: false, position });
            alternatives.push(target);
        }
        self.names.add(name, source);
        let definition = Definition { kind: Kind::Bundle, ..Definition::new(name, NOWHERE) };
        let definition = Box::leak(Box::new(definition));
        self.services.push(Service { definition, template: NONE, alternatives: alternatives.leak(), input: false });
        source
    }

    /// Links to the services that a word means: to several only where all of them are meant.
    #[inline(never)]
    pub(super) fn meant(&mut self, asked: &Asked) {
        let (mut found, mut missing): (Vec<Alternative>, bool) = (Vec::new(), false);
        for name in alternatives(asked.name) {
            let Some(number) = self.lookup(asked, name) else {
                missing = true;
                continue;
            };
            let itself = [number];
            let its = match self.services[number as usize].alternatives {
                [] => &itself,
                its => its,
            };
            for &number in its {
                // What conflicts with a name that it provides itself conflicts with the others.
                let itself = asked.relation == Relation::Conflicts && number == asked.number;
                if !itself && found.iter().all(|(known, _)| *known != number) {
                    found.push((number, name.position));
                }
            }
        }
        let all = found.len() < 2 || !chooses(asked.relation, asked.turned);
        if missing {
        } else if all {
            for &(number, _) in &found {
                self.link(asked, number);
            }
        } else if asked.relation == Relation::Contains {
            let text = packed!(
                "% of % names ~, which % services provide\n\
                 a bundle is for all that it contains; \"needs\" is for one of several"
            );
            let count = Number(found.len() as i64);
            let parts = [Text(asked.key.name()), Text(asked.who), Text(asked.name.text), count];
            error(self.findings, &asked.name.position, text, &parts);
        } else {
            let choice = self.choice(asked.name.text, &found);
            self.link(asked, choice);
        }
    }
}

#[inline(never)]
fn too_many(findings: &mut Vec<Diagnostic>, position: &Position, name: &str, count: usize, limit: usize, what: &str) {
    let parts = [Text(name), Number(count as i64), Number(limit as i64), Text(what)];
    error(findings, position, packed!("~ has %, more than % %"), &parts);
}
