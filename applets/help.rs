//! The help texts: `help.txt`, packed by `build.rs`, which halves them.

/// Bytes from here on (behind 255 comes 0) stand for two others each. These three are `build.rs`'s, too.
const PAIR: u8 = 127;
const NEWLINE: u8 = 31;
const END: u8 = 30;

static PAIRS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/help.pairs"));
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/help.packed"));

/// A page of `help.txt`, counted from 0: the list of commands, then the page of each command, in the order of the list.
pub fn page(number: usize) -> &'static str {
    let mut text = Vec::new();
    for code in PACKED.split(|code| *code == END).nth(number).unwrap_or_default() {
        unpack(*code, &mut text);
    }
    // `build.rs` lets nothing but ASCII in.
    str::from_utf8(text.leak()).unwrap_or_default()
}

fn unpack(code: u8, text: &mut Vec<u8>) {
    let at = 2 * usize::from(code.wrapping_sub(PAIR));
    match PAIRS.get(at..at + 2) {
        Some(pair) => pair.iter().for_each(|code| unpack(*code, text)),
        None => text.push(if code == NEWLINE { b'\n' } else { code }),
    }
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
