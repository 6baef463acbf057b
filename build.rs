//! Passes build-time capacities (PINTLE_SLOTS_MAX and its kin, see src/limits.rs) to the compiler and rebuilds when they
//! change; packs the help texts, which `src/packed.rs` unpacks.

use std::collections::HashMap;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["PINTLE_SLOTS_MAX", "PINTLE_INSTANCES_MAX", "PINTLE_CONDITIONS_MAX", "PINTLE_EDGES_MAX"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let help = fs::read_to_string("applets/help.txt").expect("applets/help.txt is there");
    let mut codes: Vec<u16> = Vec::new();
    // Pages, each of which begins behind a line `%% NAME`.
    for page in help.split("%% ").skip(1) {
        let (_, page) = page.split_once('\n').expect("a page begins with its name");
        assert!(page.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "applets/help.txt: printable ASCII");
        codes.extend(page.bytes().map(u16::from));
        codes.push(END);
    }
    let pages = codes.len();
    for directory in ["src", "applets"] {
        println!("cargo:rerun-if-changed={directory}");
        packed_literals(Path::new(directory), &mut codes);
    }
    let (pairs, packed) = pack(codes, pages);
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    for (name, codes) in [("help.pairs", pairs), ("help.packed", packed)] {
        fs::write(Path::new(&out).join(name), bits(&codes)).expect("OUT_DIR can be written");
    }
}

/// Codes have so many bits. Those below `PAIR` are characters; `END`, in no pair, is behind each page and text. These are
/// `src/packed.rs`'s, too.
const BITS: usize = 9;
const PAIR: u16 = 128;
const END: u16 = 0;

/// Adds the texts of `packed!("...")` in the sources here and below, in the order of their names. They are packed by the
/// compiler; here they have their say in which pairs there are. What is no such literal is left out.
fn packed_literals(directory: &Path, codes: &mut Vec<u16>) {
    let mut entries: Vec<_> =
        fs::read_dir(directory).expect("sources").map(|entry| entry.expect("one").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            packed_literals(&path, codes);
            continue;
        }
        let source = if path.extension().is_some_and(|end| end == "rs") { fs::read_to_string(&path) } else { continue };
        for behind in source.expect("a source").split("packed!(").skip(1) {
            let Some(literal) = behind.trim_start().strip_prefix('"') else { continue };
            let mut bytes = literal.bytes().peekable();
            while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
                if byte != b'\\' {
                    codes.push(byte.into());
                    continue;
                }
                match bytes.next() {
                    Some(b'n') => codes.push(b'\n'.into()),
                    Some(b'0') => codes.push(END),
                    // The text goes on behind the indentation of the next line.
                    Some(b'\n') => while bytes.next_if(u8::is_ascii_whitespace).is_some() {},
                    other => codes.extend(other.map(u16::from)),
                }
            }
            codes.push(END);
        }
    }
}

/// Packs texts as pairs (byte pair encoding): again and again the two codes that stand together most often become one that
/// is not used yet. Gives what the codes from `PAIR` on stand for, and the first `pages` codes, packed.
fn pack(mut codes: Vec<u16>, mut pages: usize) -> (Vec<u16>, Vec<u16>) {
    let mut pairs = Vec::new();
    for code in PAIR..1 << BITS {
        let mut counts: HashMap<[u16; 2], usize> = HashMap::new();
        for pair in codes.windows(2) {
            *counts.entry([pair[0], pair[1]]).or_default() += usize::from(!pair.contains(&END));
        }
        // Of equally frequent ones the same one in each build.
        let Some((pair, _)) = counts.into_iter().max_by_key(|(pair, count)| (*count, *pair)) else { break };
        let mut shorter = Vec::new();
        let mut at = 0;
        while at < codes.len() {
            if at == pages {
                pages = shorter.len();
            }
            let found = codes[at..].starts_with(&pair);
            shorter.push(if found { code } else { codes[at] });
            at += if found { 2 } else { 1 };
        }
        codes = shorter;
        pairs.extend(pair);
    }
    codes.truncate(pages);
    (pairs, codes)
}

/// Codes one behind the other, the lowest bits first.
fn bits(codes: &[u16]) -> Vec<u8> {
    let mut bytes = vec![0; (codes.len() * BITS).div_ceil(8)];
    for (at, code) in codes.iter().enumerate() {
        let word = code << (at * BITS % 8);
        let place = at * BITS / 8;
        bytes[place] |= word as u8;
        bytes[place + 1] |= (word >> 8) as u8;
    }
    bytes
}
