//! Static instances: what a template says, said for one instance that some file names.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::expand::{Piece, pieces};
use crate::lang::definition::{Definition, Given, Token, Word, with_texts};
use crate::lang::keys::{self, KEYS, Value};
use crate::text::put;

/// The placeholder for the instance.
const INSTANCE: &str = "INSTANCE";

/// The definition of `template` (its name ends in `@`) for the instance of this name, of which `instance` is the part
/// behind the `@`.
///
/// `for-each` makes instances at run time and is left behind: a condition finds this one by its name. An event that
/// names another instance (`instance =`) touches none of the leaves of this one.
#[inline(never)]
pub fn instance_of(template: &Definition, name: &'static str, instance: &'static str) -> &'static Definition {
    let expands = |given: &Given| template.expands && given.key.value.expands();
    // Where other placeholders remain (`pass`), the supervisor still expands those, so `$${` stays as it is; where none
    // do, the strings become plain.
    let mut later = false;
    for given in &template.given {
        let expanding = if expands(given) { given.words } else { &[] };
        for word in expanding {
            for piece in pieces(word.text) {
                later |= matches!(piece, Piece::Placeholder(name) if name != INSTANCE);
            }
        }
    }
    let made = Box::leak(Box::new(Definition { name, expands: later, given: Vec::new(), ..*template }));
    for given in &template.given {
        if matches!(given.key.value, Value::ForEach) {
            continue;
        }
        let expands = expands(given);
        let words = with_texts(given.words, &|word| {
            // Globs of a template have no other placeholders.
            let glob = word.token == Token::Attribute;
            if expands || glob { expanded(word.text, instance, later && !glob) } else { word.text }
        });
        made.given.push(Given { words, ..*given });
    }
    let key = &KEYS[usize::from(keys::INSTANCE)];
    let words = alloc::vec![Word::new(instance, made.origin)].leak();
    made.put(Given { key, position: made.origin, numbers: [0; 2], words });
    made
}

/// `${INSTANCE}` expanded; `$${` as it was where other placeholders are expanded later, else made plain.
fn expanded(text: &str, instance: &str, later: bool) -> &'static str {
    let mut out = String::new();
    let mut after_literal = false;
    for piece in pieces(text) {
        let literal = matches!(piece, Piece::Literal(_));
        // Two literals in turn: `$${` was between them, and `pieces` took out one of its dollars.
        if literal && after_literal && later {
            out.push('$');
        }
        after_literal = literal;
        match piece {
            Piece::Placeholder(INSTANCE) => out.push_str(instance),
            Piece::Placeholder(name) => put(&mut out, &["${", name, "}"]),
            Piece::Literal(part) | Piece::Unclosed(part) => out.push_str(part),
        }
    }
    out.leak()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_instance_is_replaced() {
        let text = "a ${INSTANCE} $${INSTANCE} ${IFACE} $$ $HOME $";
        assert_eq!(expanded(text, "e0", true), "a e0 $${INSTANCE} ${IFACE} $$ $HOME $");
        assert_eq!(expanded(text, "e0", false), "a e0 ${INSTANCE} ${IFACE} $$ $HOME $");
        assert_eq!(expanded("$${a}$${b}", "e0", true), "$${a}$${b}");
    }
}
