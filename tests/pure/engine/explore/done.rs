//! Which graphs are done: `make explore` takes hours, and goes on where it was ended. With
//! `PINTLE_EXPLORE_DONE=DIRECTORY` a file for each kind of graphs says what was found out about each; it holds for the
//! very program that has written it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::sync::Mutex;

use super::Found;

/// A line without it was not finished.
const END: &str = ".";

/// What is written to; nothing where no directory is named.
pub struct Done(Option<Mutex<File>>);

impl Done {
    /// For graphs of this kind: and what an earlier run has found out, by the graph's place.
    pub fn open(kind: &str) -> (Done, HashMap<usize, Found>) {
        let Some(directory) = std::env::var_os("PINTLE_EXPLORE_DONE") else { return (Done(None), HashMap::new()) };
        let program = std::env::current_exe().and_then(fs::read).expect("the program can be read");
        let name = format!("{}-{:08x}", kind.replace([' ', ','], "-"), crc32fast::hash(&program));
        let path = std::path::Path::new(&directory).join(name);
        fs::create_dir_all(&directory).expect("the directory can be made");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut open = OpenOptions::new();
        let mut file = open.create(true).append(true).open(&path).expect("the file can be written");
        if !text.is_empty() && !text.ends_with('\n') {
            writeln!(file).expect("the file can be written"); // that line was not finished: it is done again
        }
        (Done(Some(Mutex::new(file))), text.lines().filter_map(found).collect())
    }

    /// This graph is done.
    pub fn write(&self, at: usize, Found { states, moves, longest }: &Found) {
        if let Done(Some(file)) = self {
            let line = format!("{at} {states} {moves} {longest} {END}\n");
            file.lock().expect("nobody panics with it").write_all(line.as_bytes()).expect("the file can be written");
        }
    }
}

fn found(line: &str) -> Option<(usize, Found)> {
    let numbers: Vec<usize> = line.strip_suffix(END)?.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [at, states, moves, longest] = numbers[..] else { return None };
    Some((at, Found { states, moves, longest: longest as u32 }))
}
