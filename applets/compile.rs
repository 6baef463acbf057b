//! `pintle compile`: service files to a database, wholly or not at all.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::sources::Sources;
use super::{Applet, Family, exit, misuse};
use crate::sys::entry::Arguments;
use crate::sys::errno::Words;
use crate::sys::output;
use crate::sys::whole::{self, Kind};

pub static APPLET: Applet = Applet {
    name: "compile",
    family: Family::Configuring,
    summary: "makes a database of service files",
    usage: "SRC... -o FILE",
    help: "Checks service files and makes a database of them. SRC is a file NAME.svc or a\n\
           directory, of which all NAME.svc are taken, or what pintle dump has written.\n\
           If anything is wrong all of it is said and FILE is left as it is; else FILE is\n\
           replaced at once, and is on disk.\n\
           \n\
           \x20 -o, --output FILE  the database\n\
           \n\
           Example: pintle compile /etc/pintle/services -o /etc/pintle/boot.db\n",
    raw: false,
    run,
};

fn run(arguments: Arguments) -> i32 {
    let (given, target) = match options(arguments) {
        Ok(options) => options,
        Err(message) => return misuse("compile", &message),
    };
    if whole::look(&target).is_ok_and(|(kind, _)| kind != Kind::File) {
        let _ = writeln!(output::stderr(), "pintle: {} is not a file that can be replaced", target.display());
        return exit::MISUSE;
    }
    let mut sources = Sources::read(&given);
    let unread: Vec<&str> = sources.unread.iter().map(String::as_str).collect();
    let definitions = std::mem::take(&mut sources.definitions);
    let made = pintle::database::compile_beside(&sources.broken, definitions, &sources.texts, &unread);
    let (bytes, findings) = match made {
        Ok(bytes) => (Some(bytes), Vec::new()),
        Err(findings) => (None, findings),
    };
    let errors = sources.report(findings);
    let name = target.display();
    let Some(bytes) = bytes.filter(|_| errors == 0) else {
        let plural = if errors == 1 { "" } else { "s" };
        let _ = writeln!(output::stderr(), "pintle compile: {errors} error{plural}, {name} is left as it is");
        return exit::MISUSE;
    };
    match whole::replace(&target, &bytes) {
        Ok(()) => exit::DONE,
        Err(error) => {
            let _ = writeln!(output::stderr(), "pintle: cannot write {name}: {}", Words(error));
            exit::SYSTEM
        }
    }
}

/// What to read and what to write.
fn options(arguments: Arguments) -> Result<(Vec<PathBuf>, PathBuf), String> {
    use lexopt::prelude::{Long, Short, Value};
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut given, mut target) = (Vec::new(), None);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Short('o') | Long("output") => {
                let value: OsString = parser.value().map_err(|error| error.to_string())?;
                if target.replace(PathBuf::from(value)).is_some() {
                    return Err("-o stands twice".into());
                }
            }
            Value(value) => given.push(PathBuf::from(value)),
            other => return Err(other.unexpected().to_string()),
        }
    }
    match target {
        _ if given.is_empty() => Err("no service files are given".into()),
        None => Err("no file to write to is given: -o FILE".into()),
        Some(target) => Ok((given, target)),
    }
}
