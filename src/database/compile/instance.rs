//! Static instances: what a template says, said for one instance that some file names.

use alloc::string::String;

use crate::expand::{Piece, pieces};
use crate::lang::definition::{Definition, Given, Token, Word};
use crate::lang::each_text;
use crate::lang::keys;

/// The placeholder for the instance.
const INSTANCE: &str = "INSTANCE";

/// The definition of `template` (its name ends in `@`) for this instance.
///
/// `for-each` makes instances at run time and is left behind: a condition finds this one by its name. An event that names
/// another instance (`instance =`) touches none of the leaves of this one.
pub fn instance_of(template: &Definition, instance: &str) -> Definition {
    let mut made = template.clone();
    made.name.push_str(instance);
    if made.expands {
        expand_strings(&mut made, instance);
    }
    // Globs of a template have no other placeholders.
    for word in made.given.iter_mut().flat_map(|given| &mut given.words) {
        if word.token == Token::Attribute {
            word.text = expanded(&word.text, instance, false);
        }
    }
    made.take_back("for-each");
    let key = keys::find("instance").expect("it is in the table");
    let word = Word::new(String::from(instance), made.origin);
    made.put(Given { key, position: made.origin, numbers: [0; 2], words: alloc::vec![word] });
    made
}

/// Expands what the supervisor would. Where other placeholders remain (`pass`), it still expands those, so `$${` stays as
/// it is; where none do, the strings become plain.
fn expand_strings(made: &mut Definition, instance: &str) {
    let mut others = false;
    each_text(made, &mut |text| {
        for piece in pieces(text) {
            others |= matches!(piece, Piece::Placeholder(name) if name != INSTANCE);
        }
    });
    each_text(made, &mut |text| *text = expanded(text, instance, others));
    made.expands = others;
}

/// `${INSTANCE}` expanded; `$${` as it was where other placeholders are expanded later, else made plain.
fn expanded(text: &str, instance: &str, later: bool) -> String {
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
            Piece::Placeholder(name) => out.extend(["${", name, "}"]),
            Piece::Literal(part) | Piece::Unclosed(part) => out.push_str(part),
        }
    }
    out
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
