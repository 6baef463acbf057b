//! `pintle dump`: a database as text.

use std::fmt::Write;
use std::path::Path;

use pintle::database::{Image, dump};

use super::{Applet, Family, exit, finish, misuse};
use crate::sys::entry::Arguments;
use crate::sys::errno::Words;
use crate::sys::whole::{self, Kind};
use crate::sys::{Errno, Result, output};

pub static APPLET: Applet = Applet {
    name: "dump",
    family: Family::Configuring,
    summary: "shows a database as text",
    usage: "FILE",
    help: "Shows all that a database says, each service as the text of its file with all\n\
           keys that apply. pintle compile makes the same database of it again.\n\
           \n\
           Example: pintle dump /etc/pintle/boot.db\n",
    raw: false,
    run,
};

fn run(arguments: Arguments) -> i32 {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut file = None;
    loop {
        match parser.next() {
            Ok(None) => break,
            Ok(Some(lexopt::Arg::Value(value))) if file.is_none() => file = Some(value),
            Ok(Some(lexopt::Arg::Value(_))) => return misuse("dump", &"one file at a time"),
            Ok(Some(other)) => return misuse("dump", &other.unexpected()),
            Err(error) => return misuse("dump", &error),
        }
    }
    let Some(file) = file else { return misuse("dump", &"no database is given") };
    let (file, mut errors) = (Path::new(&file), output::stderr());
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let _ = writeln!(errors, "pintle: cannot open {}: {}", file.display(), Words(error));
            return exit::SYSTEM;
        }
    };
    match Image::open(&bytes) {
        Ok(image) => {
            let mut out = output::stdout();
            // What cannot be written is told by `finish`.
            let _ = dump(&image, &mut out);
            finish(out)
        }
        Err(error) => {
            let _ = writeln!(errors, "pintle: {}: {error}", file.display());
            exit::MISUSE
        }
    }
}

/// A regular file; a FIFO or a device would be waited for.
fn read(file: &Path) -> Result<Vec<u8>> {
    whole::read(file, usize::MAX)?.map_err(|kind| match kind {
        Kind::Directory => Errno::ISDIR,
        Kind::File | Kind::Fifo | Kind::Socket | Kind::Device | Kind::Other => Errno::INVAL,
    })
}
