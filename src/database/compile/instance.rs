//! Static instances: what a template says, said for one instance that some file names.

use alloc::string::String;
use alloc::vec::Vec;

use crate::expand::{Piece, pieces};
use crate::lang::definition::{Action, Definition};

/// The placeholder for the instance.
const INSTANCE: &str = "INSTANCE";

/// The definition of `template` (its name ends in `@`) for this instance.
///
/// `for-each` makes instances at run time and is left behind; so are `start-on` and `stop-on` where the template says
/// which instance an event makes (`instance =`): the event finds this one by its name.
pub fn instance_of(template: &Definition, instance: &str) -> Definition {
    let mut made = template.clone();
    made.name.push_str(instance);
    if made.expands {
        expand_strings(&mut made, instance);
    }
    made.for_each = None;
    if !made.instance.is_empty() {
        made.start_on = None;
        made.stop_on = None;
    }
    made.instance = String::from(instance);
    made
}

/// Expands what the supervisor would. Where other placeholders remain (`pass`), it still expands those, so `$${` stays as
/// it is; where none do, the strings become plain.
fn expand_strings(made: &mut Definition, instance: &str) {
    let mut texts: Vec<&mut String> = Vec::new();
    texts.extend(made.command.iter_mut());
    for action in made.stop.iter_mut().chain(&mut made.reload) {
        match action {
            Action::Command(words) => texts.extend(words.iter_mut()),
            Action::Signal(_) => {}
        }
    }
    texts.extend(made.env.iter_mut());
    texts.extend(made.env_file.iter_mut());
    texts.push(&mut made.directory);
    let others = texts
        .iter()
        .any(|text| pieces(text).any(|piece| matches!(piece, Piece::Placeholder(name) if name != INSTANCE)));
    for text in texts {
        *text = if others { replaced(text, instance) } else { expanded(text, instance) };
    }
    made.expands = others;
}

/// `${INSTANCE}` expanded, and `$${` made plain.
fn expanded(text: &str, instance: &str) -> String {
    let mut out = String::with_capacity(text.len() + instance.len());
    for piece in pieces(text) {
        match piece {
            Piece::Literal(literal) => out.push_str(literal),
            Piece::Placeholder(INSTANCE) => out.push_str(instance),
            Piece::Placeholder(name) => out.extend(["${", name, "}"]),
            Piece::Unclosed(rest) => out.push_str(rest),
        }
    }
    out
}

/// `${INSTANCE}` expanded, all else as it was.
fn replaced(text: &str, instance: &str) -> String {
    let mut out = String::with_capacity(text.len() + instance.len());
    let mut after_literal = false;
    for piece in pieces(text) {
        match piece {
            Piece::Literal(literal) => {
                // Two literals in turn: `$${` was between them, and `pieces` took out one of its dollars.
                if after_literal {
                    out.push('$');
                }
                out.push_str(literal);
            }
            Piece::Placeholder(INSTANCE) => out.push_str(instance),
            Piece::Placeholder(name) => out.extend(["${", name, "}"]),
            Piece::Unclosed(rest) => out.push_str(rest),
        }
        after_literal = matches!(piece, Piece::Literal(_));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_instance_is_replaced() {
        let text = "a ${INSTANCE} $${INSTANCE} ${IFACE} $$ $HOME $";
        assert_eq!(replaced(text, "e0"), "a e0 $${INSTANCE} ${IFACE} $$ $HOME $");
        assert_eq!(expanded(text, "e0"), "a e0 ${INSTANCE} ${IFACE} $$ $HOME $");
        assert_eq!(replaced("$${a}$${b}", "e0"), "$${a}$${b}");
    }
}
