//! Whether a leaf of an expression means a fact: for the engine, which decides by it, and for those who tell of it.

use super::image::Image;
use super::node;
use crate::expand::{Piece, pieces, placeholder_at};
use crate::fact;
use crate::glob::glob_matches;
use crate::limits::FACT_BYTES_MAX;

impl Image<'_> {
    /// Whether a `FACT` leaf matches a fact: name and every attribute. `KEY!=GLOB` also matches where there is no KEY. Globs
    /// for places come first in a leaf (`Image::open` has checked that), so that the place is the index. In a run-time
    /// instance `${INSTANCE}` in a glob stands for its name.
    pub fn leaf_matches(&self, leaf: u32, instance: Option<&[u8]>, text: &[u8]) -> bool {
        if !self.is_string(self.node(leaf, node::A), fact::name(text)) {
            return false;
        }
        let list = self.list(self.node(leaf, node::B));
        (0..list.len() / 3).all(|index| {
            let negated = list.get(index * 3 + 1) != 0;
            let glob = self.text(list.get(index * 3 + 2));
            let mut buffer = [0; FACT_BYTES_MAX];
            let glob = match instance {
                Some(name) if placeholder_at(glob).is_some() => expand_glob(glob, name, &mut buffer),
                Some(_) | None => glob.as_bytes(),
            };
            let value = match list.get(index * 3) {
                0 => fact::value_at(text, index),
                key => fact::attribute(text, self.bytes_of(key)),
            };
            value.is_some_and(|value| glob_matches(glob, value)) != negated
        })
    }
}

fn expand_glob<'b>(text: &str, instance: &[u8], buffer: &'b mut [u8; FACT_BYTES_MAX]) -> &'b [u8] {
    let mut length = 0;
    for piece in pieces(text) {
        let bytes = match piece {
            Piece::Literal(literal) | Piece::Unclosed(literal) => literal.as_bytes(),
            Piece::Placeholder("INSTANCE") => instance,
            Piece::Placeholder(_) => b"",
        };
        let count = bytes.len().min(buffer.len() - length);
        buffer[length..length + count].copy_from_slice(&bytes[..count]);
        length += count;
    }
    &buffer[..length]
}
