//! Placeholders in strings of a service: `${NAME}` stands for an attribute or the instance, `$${` for the two
//! characters `${`. Everything else, `$NAME` too, is plain text. Nothing is expanded twice, so what an attribute says
//! is never read as a placeholder. No allocation.

use crate::text::cut;

/// A part of a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// Text that stands for itself.
    Literal(&'a str),
    /// The name in `${NAME}`.
    Placeholder(&'a str),
    /// A `${` without its `}`: the rest of the string. Not found in a string that `lang` accepted.
    Unclosed(&'a str),
}

/// The parts of a string in order.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    rest: &'a str,
}

/// Where the first `${` of a text is.
pub fn placeholder_at(text: &str) -> Option<usize> {
    // By bytes: searching a text for a text is a large machine in core.
    text.as_bytes().windows(2).position(|two| two == b"${")
}

/// The parts of `text` in order.
pub const fn pieces(text: &str) -> Pieces<'_> {
    Pieces { rest: text }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let at = placeholder_at(self.rest).unwrap_or(self.rest.len());
        if at > 0 {
            let (literal, mut rest) = self.rest.split_at(at);
            // `$${`: all up to the first `$`, then jump over the second: what follows begins with `{`.
            if literal.ends_with("$") && !rest.is_empty() {
                rest = &rest[1..];
            }
            self.rest = rest;
            return Some(Piece::Literal(literal));
        }
        let whole = core::mem::take(&mut self.rest);
        match cut(whole, b'}') {
            Some((name, rest)) => {
                self.rest = rest;
                Some(Piece::Placeholder(&name[2..]))
            }
            None => Some(Piece::Unclosed(whole)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn a_string_falls_into_its_pieces() {
        let table = [
            ("plain $HOME", "plain $HOME"),
            ("${A}", "<A>"),
            ("x${A}y${B}", "x<A>y<B>"),
            ("$${A}", "${A}"),
            ("a$${A}${B}", "a${A}<B>"),
            ("$$${A}", "$${A}"),
            ("${}", "<>"),
            ("$$", "$$"),
            ("$", "$"),
            ("${A", "!${A"),
            ("\u{e4}${\u{e4}}", "\u{e4}<\u{e4}>"),
        ];
        for (text, expected) in table {
            let mut shown = String::new();
            for piece in pieces(text) {
                match piece {
                    Piece::Literal(literal) => shown.push_str(literal),
                    Piece::Placeholder(name) => shown.extend(["<", name, ">"]),
                    Piece::Unclosed(rest) => shown.extend(["!", rest]),
                }
            }
            assert_eq!(shown, expected, "{text}");
        }
    }
}
