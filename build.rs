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
    println!("cargo:rerun-if-changed=applets/help.txt");
    let text = fs::read_to_string("applets/help.txt").expect("applets/help.txt is there");
    let (pairs, packed) = pack(&text);
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    for (name, bytes) in [("help.pairs", pairs), ("help.packed", packed)] {
        fs::write(Path::new(&out).join(name), bytes).expect("OUT_DIR can be written");
    }
}

/// These are known to `src/packed.rs` and `applets/help.rs`, too.
const PAIR: u8 = 127;
const NEWLINE: u8 = 31;
const END: u8 = 30;

/// Packs pages, each of which begins behind a line `%% NAME`, as pairs of bytes (byte pair encoding): again and again the
/// two bytes that stand together most often become one that is not used yet. Gives what the bytes from `PAIR` on (behind
/// 255 comes 0) stand for, and the packed pages, `END` behind each.
fn pack(text: &str) -> (Vec<u8>, Vec<u8>) {
    let mut packed = Vec::new();
    for page in text.split("%% ").skip(1) {
        let (_, page) = page.split_once('\n').expect("a page begins with its name");
        packed.extend(page.bytes().map(|byte| match byte {
            b'\n' => NEWLINE,
            b' '..=b'~' => byte,
            _ => panic!("applets/help.txt: not a printable character of ASCII: {byte:#x}"),
        }));
        packed.push(END);
    }
    let mut pairs = Vec::new();
    for code in (PAIR..=255).chain(0..END) {
        let mut counts: HashMap<[u8; 2], usize> = HashMap::new();
        for pair in packed.windows(2) {
            *counts.entry([pair[0], pair[1]]).or_default() += usize::from(!pair.contains(&END));
        }
        // Of equally frequent ones the same one in each build.
        let Some((pair, count)) = counts.into_iter().max_by_key(|(pair, count)| (*count, *pair)) else { break };
        // A pair takes two bytes itself.
        if count <= 3 {
            break;
        }
        let mut rest = packed.as_slice();
        let mut shorter = Vec::new();
        while let Some(first) = rest.first() {
            let found = rest.starts_with(&pair);
            shorter.push(if found { code } else { *first });
            rest = &rest[if found { 2 } else { 1 }..];
        }
        packed = shorter;
        pairs.extend(pair);
    }
    (pairs, packed)
}
