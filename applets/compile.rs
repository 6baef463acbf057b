//! `pintle compile`: service files to a database, wholly or not at all.

use core::fmt::Write as _;

use pintle::database::compile_with;
use pintle::packed;

use super::options::Given;
use super::sources::Sources;
use super::{exit, failed_at};
use crate::sys::output::{self, Shown};
use crate::sys::whole::{self, Kind};

pub fn run(given: &Given) -> i32 {
    if given.words.is_empty() {
        given.misuse(packed!("no service files are given"));
    }
    let mut targets = given.all("-o");
    let (target, name) = match (targets.next(), targets.next()) {
        (Some(name), None) => (name, Shown(name)),
        (None, _) => given.misuse(packed!("no file to write to is given: -o FILE")),
        (Some(_), Some(_)) => given.misuse(packed!("-o stands twice")),
    };
    if whole::look(target).is_ok_and(|(kind, _)| kind != Kind::File) {
        let _ = writeln!(output::stderr(), "pintle: {name} is not a file that can be replaced");
        return exit::MISUSE;
    }
    let sources = Sources::read(&given.words);
    let definitions = core::mem::take(&mut sources.definitions);
    let made = compile_with(definitions, &sources.rules, &sources.texts, &mut sources.findings);
    let errors = sources.report();
    let Some(bytes) = made else {
        let plural = if errors == 1 { "" } else { "s" };
        let _ = writeln!(output::stderr(), "pintle compile: {errors} error{plural}, {name} is left as it is");
        return exit::MISUSE;
    };
    whole::replace(target, &bytes).unwrap_or_else(|error| failed_at(packed!("cannot write "), name.0, error));
    exit::DONE
}
