//! The source tree keeps its own rules: arrows between layers never turn back, unsafe code has one home, process 1 has
//! no "cannot happen".

use std::fs;
use std::path::{Path, PathBuf};

/// The library's modules, each allowed to name only those before it (and itself).
const LIBRARY: [&str; 28] = [
    "limits",
    "ident",
    "time",
    "stamp",
    "glob",
    "crc32",
    "text",
    "packed",
    "words",
    "names",
    "nearest",
    "signals",
    "setup",
    "expand",
    "env_file",
    "fact",
    "graph",
    "lang",
    "database",
    "board",
    "engine",
    "supervision",
    "protocol",
    "access",
    "access_file",
    "status",
    "simulation",
    "lib",
];

/// Modules of the library that run in the supervisor or the engine: they have no heap.
const WITHOUT_HEAP: [&str; 22] = [
    "limits",
    "ident",
    "time",
    "stamp",
    "glob",
    "crc32",
    "text",
    "packed",
    "words",
    "names",
    "nearest",
    "signals",
    "setup",
    "expand",
    "env_file",
    "fact",
    "graph",
    "board",
    "engine",
    "supervision",
    "protocol",
    "access",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(below: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(below).expect("a source directory").map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn all(below: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in below {
        sources(&root().join(folder), &mut found);
    }
    assert!(found.len() > 20, "the source tree was not found");
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("readable"))
        })
        .collect()
}

/// The code of a file: comments and everything behind its unit tests left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or("")))
}

/// The library's module that a file belongs to, `None` for the binary's.
fn library_module(file: &str) -> Option<&str> {
    let rest = file.strip_prefix("src/")?;
    let module = rest.split(['/', '.']).next()?;
    (!matches!(module, "main" | "sys" | "host")).then_some(module)
}

fn is_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let around = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !around(line[..at].chars().next_back()) && !around(line[at + word.len()..].chars().next())
    })
}

#[test]
fn the_librarys_arrows_never_turn_back() {
    let mut wrong = Vec::new();
    for (file, text) in all(&["src"]) {
        let Some(module) = library_module(&file) else { continue };
        let Some(place) = LIBRARY.iter().position(|m| *m == module) else {
            wrong.push(format!("{file}: module {module} has no place in the order of layers (tests/pure/tidy.rs)"));
            continue;
        };
        for (at, line) in code(&text) {
            for later in &LIBRARY[place + 1..] {
                if line.contains(&format!("crate::{later}::")) || line.trim() == format!("use crate::{later};") {
                    wrong.push(format!("{file}:{at}: {module} names the later layer {later}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_library_knows_no_system() {
    let mut wrong = Vec::new();
    for (file, text) in all(&["src"]) {
        if library_module(&file).is_none() {
            continue;
        }
        for (at, line) in code(&text) {
            if ["rustix", "std", "libc", "unsafe"].iter().any(|word| is_word(line, word)) && !line.contains("forbid(") {
                wrong.push(format!("{file}:{at}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_runs_in_supervisor_and_engine_has_no_heap() {
    let mut wrong = Vec::new();
    for (file, text) in all(&["src"]) {
        if !library_module(&file).is_some_and(|module| WITHOUT_HEAP.contains(&module)) {
            continue;
        }
        for (at, line) in code(&text) {
            if line.contains("alloc::") {
                wrong.push(format!("{file}:{at}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_has_one_home() {
    let mut wrong = Vec::new();
    for (file, text) in all(&["src", "applets"]) {
        // main.rs is the C entry point: an exported name, and pointers from libc handed to `sys::entry` at once.
        if file.starts_with("src/sys/") || file == "src/main.rs" {
            continue;
        }
        for (at, line) in code(&text) {
            if is_word(line, "unsafe")
                && !line.contains("forbid(unsafe_code)")
                && !line.contains("#[unsafe(no_mangle)]")
            {
                wrong.push(format!("{file}:{at}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sys_knows_no_service_and_only_applets_know_applets() {
    let mut wrong = Vec::new();
    for (file, text) in all(&["src/sys", "src/host"]) {
        for (at, line) in code(&text) {
            let names_service = line.split("pintle::").skip(1).any(|rest| {
                !["time", "limits", "text", "packed", "words"].iter().any(|allowed| rest.starts_with(allowed))
            });
            if file.starts_with("src/sys/") && (names_service || line.contains("crate::host")) {
                wrong.push(format!("{file}:{at}: sys names {}", line.trim()));
            }
            if line.contains("crate::applets") {
                wrong.push(format!("{file}:{at}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_unfinished_stands_in_the_code() {
    let mut wrong = Vec::new();
    for (file, text) in all(&["src", "applets", "tests"]) {
        let checked = file.starts_with("src") || file.starts_with("applets");
        for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            if file.ends_with("tidy.rs") {
                continue;
            }
            for word in ["todo!(", "unimplemented!(", "#[ignore", "dbg!("] {
                if line.contains(word) {
                    wrong.push(format!("{file}:{at}: {word}"));
                }
            }
            if checked && line.contains(".unwrap()") {
                wrong.push(format!("{file}:{at}: unwrap()"));
            }
            // The bench watches an idle machine for a time; a test waits for a state.
            if file.starts_with("tests") && !file.starts_with("tests/bench") && line.contains("thread::sleep") {
                wrong.push(format!("{file}:{at}: a test that sleeps; wait for the state"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_binary_has_two_dependencies() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let mut names: Vec<&str> = manifest
        .split("[dependencies]")
        .nth(1)
        .expect("a dependencies table")
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim()))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["heapless", "rustix"]);
}

#[test]
fn a_source_file_has_one_job() {
    let long: Vec<String> = all(&["src", "applets", "tests"])
        .into_iter()
        .filter(|(_, text)| text.lines().count() > 900)
        .map(|(file, text)| format!("{file}: {} lines: is it two files?", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// The bugs of `make mutants` are edits of the sources: `== NAME FILE`, a sentence, lines that go (`- `), lines that
/// come (`+ `).
#[test]
fn each_mutant_fits_the_sources() {
    let list = fs::read_to_string(root().join("tests/mutants")).expect("the list is there");
    let mutants: Vec<&str> = list.split("\n== ").skip(1).collect();
    assert!(mutants.len() >= 30, "{} mutants", mutants.len());
    for mutant in mutants {
        let (name, file) = mutant.lines().next().and_then(|head| head.split_once(' ')).expect("a name and a file");
        let gone: Vec<&str> = mutant.lines().filter_map(|line| line.strip_prefix("- ")).map(str::trim).collect();
        let source = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{name}: {file}: {error}"));
        let lines: Vec<&str> = source.lines().map(str::trim).collect();
        let places = lines.windows(gone.len().max(1)).filter(|window| *window == gone).count();
        assert_eq!(places, 1, "{name}: its text stands in {file} {places} times");
    }
}

/// Limits are told to people as numbers; what they are called in `limits.rs` says nothing to them.
#[test]
fn no_message_shows_the_name_of_a_limit() {
    for (path, text) in all(&["src", "applets"]) {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let named = line.split(" (").skip(1).any(|rest| {
                let (name, _) = rest.split_once([')', ',']).unwrap_or_default();
                name.ends_with("_MAX") && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            });
            assert!(!named || !line.contains('"'), "{path}: {line}");
        }
    }
}
