//! An expression as a service file has it: for a dump, and for those who tell what it is now. No allocation.
//!
//! What is read may be garbled (a copy of a database that nobody checks again), so that as many nodes are looked at as
//! an expression may have. What `out` refuses is `out`'s to remember.

use core::fmt::{self, Write};

use super::{Image, NONE, node};
use crate::expand::{Piece, pieces};
use crate::ident::SlotId;
use crate::lang::is_operator;
use crate::limits::{EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX};
use crate::text::put;
use crate::words::{write_in_quotes, write_inner};

/// Something to be said behind the leaf at this node.
pub type LeafValue<'a> = &'a dyn Fn(&mut dyn Write, u32);

/// Writes the expression, or the part of one, below `root`; what parts its words are blanks that come by `write_char`.
/// `tests` and `globs`: texts of tests, or globs, have placeholders. Parentheses that say no more than the order from
/// left to right does are written too, where there is room for all of them.
pub fn write(image: &Image<'_>, root: u32, [tests, globs]: [bool; 2], value: LeafValue<'_>, out: &mut dyn Write) {
    let left = EXPRESSION_NODES_MAX;
    let mut writer = Writer { image, tests, globs, plain: true, left, value: &|_, _| {}, out: &mut Nowhere };
    let plain = writer.node(root, NONE, false) <= EXPRESSION_DEPTH_MAX;
    Writer { plain, left, value, out, ..writer }.node(root, NONE, false);
}

struct Writer<'w> {
    image: &'w Image<'w>,
    tests: bool,
    globs: bool,
    /// With parentheses around what stands on the left of another operator.
    plain: bool,
    /// Nodes that may still come.
    left: usize,
    value: LeafValue<'w>,
    out: &'w mut dyn Write,
}

impl Writer<'_> {
    /// A node, which stands below one of the kind `around`, and not as its first of two if it is `last`. Gives how deep
    /// parentheses and `not` nest in it.
    fn node(&mut self, at: u32, around: u32, last: bool) -> usize {
        let Some(left) = self.left.checked_sub(1) else { return 0 };
        self.left = left;
        let [kind, a, b] = [node::KIND, node::A, node::B].map(|field| self.image.node(at, field));
        let opens = kind <= node::OR && around != NONE && (last || self.plain && kind != around);
        if opens {
            self.put(&["("]);
        }
        let nested = match kind {
            node::AND | node::OR => {
                let nested = self.node(a, kind, false);
                self.blank();
                self.put(&[if kind == node::AND { "and" } else { "or" }]);
                self.blank();
                nested.max(self.node(b, kind, true))
            }
            node::NOT => {
                self.put(&["not"]);
                self.blank();
                1 + self.node(a, kind, true)
            }
            _ => {
                self.leaf(kind, a, b);
                (self.value)(self.out, at);
                0
            }
        };
        if opens {
            self.put(&[")"]);
        }
        nested + usize::from(opens)
    }

    #[inline(never)]
    fn leaf(&mut self, kind: u32, a: u32, b: u32) {
        let image = self.image;
        if kind == node::UP || kind == node::FAILED {
            let state = if kind == node::UP { "up(" } else { "failed(" };
            return self.put(&[state, image.name(SlotId(a)), ")"]);
        }
        let is_test = kind != node::FACT;
        if is_test {
            self.put(&[TESTS.get(kind.wrapping_sub(node::PATH) as usize).unwrap_or(&"?")]);
            self.blank();
        }
        self.word(image.text(a), is_test && self.tests);
        // A test has none.
        let attributes = image.list(b);
        let mut at = 0;
        while at < attributes.len() {
            let (key, glob) = (image.text(attributes.get(at)), image.text(attributes.get(at + 2)));
            self.blank();
            if key.is_empty() {
                self.word(glob, self.globs);
            } else {
                self.put(&[key, if attributes.get(at + 1) == 0 { "=" } else { "!=" }]);
                write_part(self.out, glob, self.globs);
            }
            at += 3;
        }
    }

    /// A word of its own. In quotes, it is no operator and no part of one.
    #[inline(never)]
    fn word(&mut self, text: &str, expands: bool) {
        if is_operator(text) {
            let _ = write_in_quotes(self.out, text);
        } else {
            write_word(self.out, text, expands);
        }
    }

    #[inline(never)]
    fn blank(&mut self) {
        let _ = self.out.write_char(' ');
    }

    #[inline(never)]
    fn put(&mut self, parts: &[&str]) {
        put(self.out, parts);
    }
}

/// The words of tests, in the order of the numbers of their nodes.
static TESTS: [&str; 3] = ["path", "env", "kernel"];

/// Takes everything.
struct Nowhere;

impl Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

/// A word as it is written: placeholders as they are, where it `expands`, all else quoted where it must be.
#[inline(never)]
pub fn write_word(out: &mut dyn Write, text: &str, expands: bool) {
    if text.is_empty() {
        put(out, &["''"]);
    }
    write_part(out, text, expands);
}

/// A part of a word, of which nothing is left where it is empty.
#[inline(never)]
fn write_part(out: &mut dyn Write, text: &str, expands: bool) {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+:,./@%^~*?[]!=".contains(&byte);
    let mut plain = (!expands).then_some(Piece::Literal(text));
    let mut pieces = pieces(if expands { text } else { "" });
    let mut quoted = false;
    while let Some(piece) = plain.take().or_else(|| pieces.next()) {
        let quotes = match piece {
            Piece::Placeholder(_) => false,
            // Of two that stand together the first ends with a `$`: both are in the same quotes.
            Piece::Literal(text) | Piece::Unclosed(text) => {
                quoted || text.starts_with("=") || !text.bytes().all(harmless)
            }
        };
        if quotes != quoted {
            put(out, &["'"]);
        }
        quoted = quotes;
        match piece {
            Piece::Placeholder(name) => put(out, &["${", name, "}"]),
            Piece::Literal(text) | Piece::Unclosed(text) => drop(write_inner(out, text)),
        }
    }
    if quoted {
        put(out, &["'"]);
    }
}
