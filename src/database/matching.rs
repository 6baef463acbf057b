//! Whether a leaf of an expression means a fact: for the engine, which decides by it, and for those who tell of it.

use super::image::Image;
use super::{NONE, service};
use crate::expand::{Piece, pieces, placeholder_at};
use crate::fact::{self, Written};
use crate::glob::glob_matches;
use crate::ident::SlotId;
use crate::text::cut;

impl Image<'_> {
    /// Whether a `FACT` leaf matches a fact: name and every attribute. `KEY!=GLOB` also matches where there is no KEY.
    /// Globs for places come first in a leaf (`Image::open` has checked that), so that the place is the index. In a
    /// run-time instance `${INSTANCE}` in a glob stands for its name.
    #[inline(never)]
    pub fn leaf_matches(&self, leaf: u32, instance: Option<&[u8]>, text: &[u8]) -> bool {
        let [_, _, own, attributes, _] = self.node_record(leaf);
        if !self.is_string(own, fact::name(text)) {
            return false;
        }
        if attributes == NONE {
            return true;
        }
        let list = self.list(attributes);
        (0..list.len() / 3).all(|index| {
            let negated = list.get(index * 3 + 1) != 0;
            let glob = self.text(list.get(index * 3 + 2));
            let written;
            let glob = match instance {
                Some(name) if placeholder_at(glob).is_some() => {
                    written = expand_glob(glob, name);
                    written.text()
                }
                Some(_) | None => glob.as_bytes(),
            };
            let value = match list.get(index * 3) {
                0 => fact::value_at(text, index),
                key => fact::attribute(text, self.bytes_of(key)),
            };
            value.is_some_and(|value| glob_matches(glob, value)) != negated
        })
    }

    /// Whether a fact makes this instance by `for-each` of its template; `service` is the template, or the static
    /// instance, whose name says which it is.
    #[inline(never)]
    pub fn makes(&self, service: SlotId, instance: &str, text: &[u8]) -> bool {
        let (template, instance) = match self.service(service, service::TEMPLATE) {
            NONE => (service, instance),
            of => (SlotId(of), cut(self.name(service), b'@').unwrap_or_default().1),
        };
        let leaf = self.service(template, service::FOR_EACH);
        if !self.leaf_matches(leaf, Some(instance.as_bytes()), text) {
            return false;
        }
        let mut rest = instance.as_bytes();
        for piece in pieces(self.text(self.service(template, service::INSTANCE))) {
            let part = match piece {
                Piece::Literal(literal) | Piece::Unclosed(literal) => Some(literal.as_bytes()),
                Piece::Placeholder(key) => fact::attribute(text, key.as_bytes()),
            };
            match part.and_then(|part| rest.strip_prefix(part)) {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

fn expand_glob(text: &str, instance: &[u8]) -> Written {
    let mut written = Written::named(b"");
    for piece in pieces(text) {
        written.add(match piece {
            Piece::Literal(literal) | Piece::Unclosed(literal) => literal.as_bytes(),
            Piece::Placeholder("INSTANCE") => instance,
            Piece::Placeholder(_) => b"",
        });
    }
    written
}
