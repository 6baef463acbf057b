//! Choices: a slot for each list `a|b` and for each name that several services provide; a name that one service provides is
//! that service.

use alloc::vec::Vec;

use super::super::super::NONE;
use super::super::NOWHERE;
use super::super::edges::Link;
use super::{Asked, Asker, Resolver, Service, asked};
use crate::graph::Relation;
use crate::lang::definition::{Definition, Kind, Position, Word, alternatives};
use crate::lang::diagnostic::{Shown, error};
use crate::lang::order::sort;
use crate::limits::ALTERNATIVES_MAX;
use crate::names;

/// A service that provides a name, and where that is said.
#[derive(Clone, Copy)]
struct Provider {
    /// Of the name among those that are provided.
    name: u32,
    service: u32,
    position: Position,
}

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
        let mut providers = Vec::new();
        for (number, service) in (0..).zip(&self.services) {
            let definition = &service.definition;
            for word in definition.words("provides") {
                if let Some(other) = self.names.find(&word.text) {
                    let (who, text) = (&definition.name, Shown(&word.text));
                    error(self.findings, word.position, format_args!("{who} provides {text}, which is a service"))
                        .related(self.services[other as usize].definition.origin, "that is here");
                } else if !names::is_template(&definition.name) {
                    let name = self.provided.find(&word.text).unwrap_or_else(|| self.provided.add(&word.text));
                    providers.push(Provider { name, service: number, position: word.position });
                }
            }
        }
        let names = |at: &Provider| self.services[at.service as usize].definition.name.as_bytes();
        sort(&mut providers, &|a, b| a.name.cmp(&b.name).then_with(|| names(a).cmp(names(b))));
        for several in providers.chunk_by(|a, b| a.name == b.name) {
            let number = match several {
                [only] => only.service,
                _ => {
                    let name = self.provided.all()[several[0].name as usize].clone();
                    if let Some(more) = several.get(ALTERNATIVES_MAX) {
                        let count = several.len();
                        let message =
                            format_args!("{count} services provide {}, more than {ALTERNATIVES_MAX}", Shown(&name));
                        error(self.findings, more.position, message)
                            .help(format_args!("the limit is ALTERNATIVES_MAX"));
                    }
                    let found: Vec<_> = several.iter().map(|one| (one.service, one.position)).collect();
                    self.choice(&name, &found)
                }
            };
            self.standing_for.push(number);
        }
    }

    /// The choice of this name, made where it is not there yet.
    fn choice(&mut self, name: &str, found: &[(u32, Position)]) -> u32 {
        if let Some(number) = self.names.find(name) {
            return number;
        }
        let mut definition = Definition::new(name, NOWHERE);
        definition.kind = Kind::Bundle;
        let source = self.names.add(name);
        for &(target, position) in found {
            self.links.push(Link { source, target, relation: Relation::Alternative, turned: false, position });
        }
        let alternatives = found.iter().map(|(number, _)| *number).collect();
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
        // There may be very many of these.
        if !word.text.as_bytes().contains(&b'|') {
            match self.lookup(asker, word) {
                None => return,
                Some(number) if self.services[number as usize].alternatives.is_empty() => {
                    return meant
                        .extend(Some(number).filter(|_| relation != Relation::Conflicts || number != asker.number));
                }
                Some(_) => {}
            }
        }
        let mut found: Vec<(u32, Position)> = Vec::new();
        let mut missing = false;
        for name in &alternatives(word) {
            let Some(number) = self.lookup(asker, name) else {
                missing = true;
                continue;
            };
            let its = &self.services[number as usize].alternatives;
            for &one in if its.is_empty() { core::slice::from_ref(&number) } else { its } {
                // What conflicts with a name that it provides itself conflicts with the others.
                let itself = relation == Relation::Conflicts && one == asker.number;
                if !itself && found.iter().all(|(known, _)| *known != one) {
                    found.push((one, name.position));
                }
            }
        }
        if missing {
            return;
        }
        if found.len() < 2 || !chooses(relation, turned) {
            meant.extend(found.iter().map(|(number, _)| *number));
            return;
        }
        let who = &self.services[asker.number as usize].definition.name;
        let (text, key, count) = (Shown(&word.text), asker.key, found.len());
        if relation == Relation::Contains {
            let message = format_args!("{key} of {who} names {text}, which {count} services provide");
            error(self.findings, word.position, message)
                .help(format_args!("a bundle is for all that it contains; \"needs\" is for one of several"));
        } else if count > ALTERNATIVES_MAX {
            let message = format_args!("{key} of {who} names {count} alternatives, more than {ALTERNATIVES_MAX}");
            error(self.findings, word.position, message).help(format_args!("the limit is ALTERNATIVES_MAX"));
        } else {
            meant.push(self.choice(&word.text, &found));
        }
    }
}
