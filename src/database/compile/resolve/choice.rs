//! Choices: a slot for each list `a|b` and for each name that several services provide; a name that one service provides is
//! that service.

use alloc::vec::Vec;

use super::super::super::NONE;
use super::super::NOWHERE;
use super::super::edges::Link;
use super::{Asked, Asker, Resolver, Service, asked};
use crate::graph::Relation;
use crate::lang::definition::{Definition, Kind, Position, Word, alternatives};
use crate::lang::diagnostic::{Diagnostic, Shown, error};
use crate::lang::order::order;
use crate::limits::{ALTERNATIVES_MAX, INSTANCE_BYTES_MAX, NAME_BYTES_MAX};
use crate::names;

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
    /// Makes the instances of templates that a service names.
    pub(super) fn instances(&mut self, number: u32) {
        let mut named = Vec::new();
        for Asked { name, .. } in asked(&self.services[number as usize].definition.given) {
            if name.text.as_bytes().contains(&b'@') {
                named.append(&mut alternatives(name));
            }
        }
        named.iter().for_each(|name| self.instance_of_name(name));
    }

    /// What the names stand for that services provide.
    #[inline(never)]
    pub(super) fn provided(&mut self) {
        let name = |at: usize| self.services[at].definition.name.as_bytes();
        let mut providers: Vec<Vec<Alternative>> = Vec::new();
        for number in order(self.services.len(), &|a, b| name(a).cmp(name(b))) {
            let definition = &self.services[number as usize].definition;
            for word in definition.words("provides") {
                if let Some(other) = self.names.find(&word.text) {
                    let (who, text) = (&definition.name, Shown(&word.text));
                    error(self.findings, word.position, format_args!("{who} provides {text}, which is a service"))
                        .related(self.services[other as usize].definition.origin, "that is here");
                } else if !names::is_template(&definition.name) {
                    let at = self.provided.find(&word.text).unwrap_or_else(|| {
                        providers.push(Vec::new());
                        self.provided.add(&word.text)
                    });
                    providers[at as usize].push((number, word.position));
                }
            }
        }
        for (at, several) in providers.iter().enumerate() {
            let number = match several[..] {
                [(only, _)] => only,
                _ => {
                    let name = self.provided.all()[at].clone();
                    self.choice(&name, several)
                }
            };
            self.standing_for.push(number);
        }
    }

    /// The choice of this name, made where it is not there yet.
    fn choice(&mut self, name: &str, found: &[Alternative]) -> u32 {
        if let Some(number) = self.names.find(name) {
            return number;
        }
        let position = found[0].1;
        if found.len() > ALTERNATIVES_MAX {
            too_many(self.findings, position, name, found.len(), ALTERNATIVES_MAX, "alternatives");
        }
        if name.len() > NAME_MAX {
            too_many(self.findings, position, name, name.len(), NAME_MAX, "bytes");
        }
        let mut definition = Definition::new(name, NOWHERE);
        definition.kind = Kind::Bundle;
        let source = self.names.add(name);
        let mut alternatives = Vec::new();
        for &(target, position) in found {
            self.links.push(Link { source, target, relation: Relation::Alternative, turned: false, position });
            alternatives.push(target);
        }
        self.services.push(Service { definition, template: NONE, alternatives });
        source
    }

    /// The services that a word means to who names it: several only where all of them are meant.
    #[inline(never)]
    pub(super) fn meant(
        &mut self,
        asker: &Asker<'_>,
        relation: Relation,
        turned: bool,
        word: &Word,
        meant: &mut Vec<u32>,
    ) {
        let (mut found, mut missing): (Vec<Alternative>, bool) = (Vec::new(), false);
        let mut add = |number: u32, position: Position| {
            // What conflicts with a name that it provides itself conflicts with the others.
            let itself = relation == Relation::Conflicts && number == asker.number;
            if !itself && found.iter().all(|(known, _)| *known != number) {
                found.push((number, position));
            }
        };
        for name in alternatives(word) {
            match self.lookup(asker, &name) {
                None => missing = true,
                Some(number) => match &self.services[number as usize].alternatives[..] {
                    [] => add(number, name.position),
                    its => its.iter().for_each(|one| add(*one, name.position)),
                },
            }
        }
        let all = found.len() < 2 || !chooses(relation, turned);
        if missing {
        } else if all {
            meant.extend(found.iter().map(|(number, _)| *number));
        } else if relation == Relation::Contains {
            let who = &self.services[asker.number as usize].definition.name;
            let (text, key, count) = (Shown(&word.text), asker.key, found.len());
            error(
                self.findings,
                word.position,
                format_args!("{key} of {who} names {text}, which {count} services provide"),
            )
            .help(format_args!("a bundle is for all that it contains; \"needs\" is for one of several"));
        } else {
            meant.push(self.choice(&word.text, &found));
        }
    }
}

#[inline(never)]
fn too_many(findings: &mut Vec<Diagnostic>, position: Position, name: &str, count: usize, limit: usize, what: &str) {
    error(findings, position, format_args!("{} has {count}, more than {limit} {what}", Shown(name)));
}
