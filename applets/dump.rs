//! `pintle dump`: a database as text.

use alloc::vec::Vec;
use core::fmt::Write;

use pintle::database::{Image, dump};
use pintle::packed;

use super::options::Given;
use super::{exit, failed_at, finish};
use crate::sys::output::Shown;
use crate::sys::whole::{self, Kind};
use crate::sys::{Errno, output};

pub fn run(given: &Given) -> i32 {
    let Some(file) = given.words.first() else {
        given.misuse(packed!("no database is given"));
    };
    let bytes = read(file).unwrap_or_else(|error| failed_at(packed!("cannot open "), file, error));
    match Image::open(&bytes) {
        Ok(image) => {
            let mut out = output::stdout();
            // What cannot be written is told by `finish`.
            let _ = dump(&image, &mut out);
            finish(&mut out)
        }
        Err(error) => {
            let _ = writeln!(output::stderr(), "pintle: {}: {error}", Shown(file));
            exit::MISUSE
        }
    }
}

/// A regular file; a FIFO or a device would be waited for.
fn read(file: &[u8]) -> Result<Vec<u8>, Errno> {
    whole::read(file, usize::MAX)?.map_err(|kind| match kind {
        Kind::Directory => Errno::ISDIR,
        Kind::File | Kind::Fifo | Kind::Socket | Kind::Device | Kind::Other => Errno::INVAL,
    })
}
