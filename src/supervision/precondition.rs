//! `only-if`: in which order its tests are looked at, and what they say of the supervisor's environment and of the
//! kernel's command line. What a path test says is for others to find out: it may take for ever.

use crate::database::{Image, NONE, node};
use crate::limits::EXPRESSION_NODES_MAX;

/// What comes after a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The test at this node.
    Test(u32),
    /// The whole holds, or does not.
    End(bool),
}

/// The test that is looked at first, of the expression at this node.
pub fn first(image: &Image<'_>, mut at: u32) -> u32 {
    for _ in 0..EXPRESSION_NODES_MAX {
        match image.node(at, node::KIND) {
            node::AND | node::OR | node::NOT => at = image.node(at, node::A),
            _ => break,
        }
    }
    at
}

/// What comes after a test that holds, or does not: as in most languages, no test is looked at of which nothing
/// depends.
pub fn after(image: &Image<'_>, mut at: u32, mut holds: bool) -> Next {
    for _ in 0..EXPRESSION_NODES_MAX + 1 {
        let parent = image.node(at, node::PARENT);
        if parent == NONE {
            return Next::End(holds);
        }
        let goes_on = match image.node(parent, node::KIND) {
            node::AND => holds,
            node::OR => !holds,
            _ => {
                holds = !holds;
                false
            }
        };
        if goes_on && image.node(parent, node::A) == at {
            return Next::Test(first(image, image.node(parent, node::B)));
        }
        at = parent;
    }
    Next::End(false) // nothing that `Image::open` accepts is as deep
}

/// Whether a word, `NAME` or `NAME=VALUE`, is what these parts together ask for: the same, or its name. Bytes of it
/// that are `ignored` are no part of it.
#[inline(never)]
pub fn says(word: &[u8], ignored: Option<u8>, parts: &[&[u8]]) -> bool {
    let mut word = word.iter().filter(|byte| Some(**byte) != ignored);
    let mut with_value = false;
    for part in parts {
        for byte in *part {
            if word.next() != Some(byte) {
                return false;
            }
            with_value |= *byte == b'=';
        }
    }
    word.next().is_none_or(|byte| *byte == b'=' && !with_value)
}

/// Whether the kernel's command line (bootparam(7)) has such a word. Blanks stand in double quotes, which are no part
/// of it.
pub fn kernel_says(line: &[u8], parts: &[&[u8]]) -> bool {
    let (mut quoted, mut start) = (false, 0);
    for at in 0..=line.len() {
        let byte = line.get(at).copied();
        quoted ^= byte == Some(b'"');
        if byte.is_none_or(|byte| byte.is_ascii_whitespace() && !quoted) {
            let word = line.get(start..at).unwrap_or_default();
            if !word.is_empty() && says(word, Some(b'"'), parts) {
                return true;
            }
            start = at + 1;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_asked_for_whole_or_by_its_name() {
        let line = b"BOOT_IMAGE=/vmlinuz quiet  root=/dev/sda1 x=\"a b\" \"y z\" -- last\n";
        for (asked, found) in [
            ("quiet", true),
            ("qui", false),
            ("quiets", false),
            ("root", true),
            ("root=/dev/sda1", true),
            ("root=/dev/sda", false),
            ("root=", false),
            ("x=a b", true),
            ("x", true),
            ("a", false),
            ("y z", true),
            ("last", true),
            ("last=", false),
        ] {
            assert_eq!(kernel_says(line, &[asked.as_bytes()]), found, "{asked}");
            let (front, back) = asked.as_bytes().split_at(asked.len() / 2);
            assert_eq!(kernel_says(line, &[front, b"", back]), found, "{asked} in parts");
        }
        assert!(!kernel_says(b"", &[b"quiet"]) && !kernel_says(b" \n", &[b"quiet"]));
    }
}
