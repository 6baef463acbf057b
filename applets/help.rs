//! The help texts: `help.txt`, packed by `build.rs`, which halves them.

use alloc::string::String;
use pintle::packed::Packed;

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/help.packed"));

/// A page of `help.txt`, counted from 0: the list of commands, then the page of each command, in the order of the list.
pub fn page(number: usize) -> &'static str {
    let mut text = String::new();
    let _ = Packed(PACKED).write_part(number, &mut text); // a String takes everything
    text.leak()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pintle::text::ended;

    #[test]
    fn every_command_has_its_page() {
        let mut pages = include_str!("help.txt").split("%% ").skip(1);
        let names = ended(crate::applets::NAMES, b' ');
        for (number, name) in core::iter::once("pintle").chain(names).enumerate() {
            let expected = pages.next().and_then(|page| page.strip_prefix(name)?.strip_prefix('\n'));
            let found = page(number);
            assert_eq!(expected, Some(found));
        }
        assert_eq!(pages.next(), None);
    }

    #[test]
    fn the_list_has_every_command() {
        let list = page(0);
        let listed: Vec<_> = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
        let names: Vec<_> = ended(crate::applets::NAMES, b' ').collect();
        assert_eq!(listed, names);
    }
}
