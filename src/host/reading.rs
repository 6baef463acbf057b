//! What the commands that look read: copies of the database, the reports and what the engine publishes, made with
//! pread, so that neither a truncated file nor a dead engine can harm a reader. Asks nobody. Allocates.

use alloc::vec::Vec;
use core::fmt::Display;
use core::mem::ManuallyDrop;
use core::sync::atomic::AtomicU32;
use pintle::board::Geometry;
use pintle::board::published::{self, Published};
use pintle::board::reports::{self, Reports};
use pintle::board::words::{self, ROWS};
use pintle::database::{Image, NONE, exec, service};
use pintle::packed;
use pintle::packed::Packed;
use pintle::status::{SystemWords, View};

use super::control::Control;
use super::failure::Failure;
use super::refuse::{refuse, refuse_text};
use super::run_directory::{self, DATABASE, PUBLISHED, Place, REPORTS, RunDirectory};
use crate::sys::clock;
use crate::sys::mapping::FileView;
use crate::sys::output::Shown;

/// How often a row that is being written is read again.
const TRIES: usize = 64;
const ONLY_COMMANDS: Packed = packed!(
    "status and its kin need a run directory, and this supervisor could make none: only commands work (PINTLE_RUN or \
     supervise --run names a directory that can be written)"
);
const NO_DIRECTORY: Packed =
    packed!("there is no run directory: is a supervisor running? (PINTLE_RUN names its directory)");

/// The run directory, which may be `given`. Ends the process with the reason where there is none.
#[inline(never)]
pub fn directory(given: Option<&'static [u8]>) -> RunDirectory {
    match run_directory::find(given) {
        Ok(Place::Directory(directory)) => directory,
        // Commands go by the abstract socket, if somebody listens there.
        Ok(Place::Abstract(_)) if Control::connect().is_ok() => refuse(1, format_args!("{ONLY_COMMANDS}")),
        Ok(Place::Abstract(_)) => refuse(111, format_args!("{NO_DIRECTORY}")),
        Err(problem) => refuse_text(problem),
    }
}

/// What there is to see, of copies made at one instant, and the run directory, which may be `given`. Ends the process
/// with the reason where there is nothing. The copies stay for the life of the process.
#[inline(never)]
pub fn look(given: Option<&'static [u8]>) -> (View<'static>, &'static [u8]) {
    let directory = directory(given);
    let (now, wall_ns) = (clock::now(), clock::realtime_ns());
    let (database, reports) = copies(&directory, true).unwrap_or_default();
    let image = Image::open_copy(database.leak()).unwrap_or_else(|error| cannot_use(&directory, DATABASE, &error));
    let reports = &*reports.leak();
    let geometry = Geometry::of(&image);
    // An engine that has never run has published nothing.
    let mut published = Vec::new();
    if let Ok(file) = directory.open(PUBLISHED) {
        let mut starts = starts(&geometry, published::ROW).map(|at| (at, published::ROW));
        published = rows(&FileView::new(file), published::words(&geometry), &mut starts);
        if !words::is_of(&published, published::LAYOUT, &geometry) {
            published.clear();
        }
    }
    let published = &*published.leak();
    let reports = Reports::new(reports, geometry);
    let word = |at| words::load(reports.head(), at);
    // A process of its number says nothing: that may be a zombie, another one by now, or of another pid namespace.
    let supervisor_alive = directory.directory().is_locked(REPORTS);
    let view = View {
        image,
        reports,
        published: Published::new(published, geometry),
        now,
        wall_ns,
        supervisor_alive,
        engine_alive: supervisor_alive && word(reports::own::ENGINE_PID) != 0 && !published.is_empty(),
        words: SYSTEM_WORDS,
    };
    (view, directory.path())
}

/// How a service or an instance is logged (`Log`), as the database says that this run directory has.
#[inline(never)]
pub fn log_kind(directory: &RunDirectory, name: &[u8]) -> Option<u32> {
    let database = FileView::new(directory.open(DATABASE).ok()?).read_all().ok()?;
    let image = Image::open(&database).ok()?;
    let template = name.split_inclusive(|byte| *byte == b'@').next().unwrap_or_default();
    let record = image.service(image.find(name).or_else(|| image.find(template))?, service::EXEC);
    (record != NONE).then(|| image.exec(record, exec::LOG))
}

/// How far the reports say that the shutdown is (`reports::own::SHUTDOWN`); `None` where there are none to be read.
#[inline(never)]
pub fn shutdown() -> Option<u32> {
    // The process ends soon: nothing is to be tidied up.
    let place = ManuallyDrop::new(run_directory::find(None));
    let Ok(Place::Directory(directory)) = &*place else { return None };
    head_word(directory, REPORTS, reports::own::SHUTDOWN)
}

/// A word of the head of the reports or of what is published, of whichever version these are.
pub fn head_word(directory: &RunDirectory, name: &str, at: usize) -> Option<u32> {
    let mut word = [0; 4];
    let file = FileView::new(directory.open(name).ok()?);
    file.read_at(at as u64 * 4, &mut word).ok().map(|_| u32::from_ne_bytes(word))
}

/// Copies of the database and of the reports of this run directory, which belong together. Where there are none it ends
/// the process with the reason, or gives nothing.
#[inline(never)]
pub fn copies(directory: &RunDirectory, ends: bool) -> Option<(Vec<u8>, Vec<AtomicU32>)> {
    let read = |name| {
        let file = directory.open(name).map(FileView::new);
        file.inspect_err(|error| {
            if ends {
                directory.refuse("open", name, *error)
            }
        })
        .ok()
    };
    let database = read(DATABASE)?.read_all();
    let database = database
        .inspect_err(|error| {
            if ends {
                directory.refuse("read", DATABASE, *error)
            }
        })
        .ok()?;
    let image = Image::open(&database);
    let image = image
        .inspect_err(|error| {
            if ends {
                cannot_use(directory, DATABASE, error)
            }
        })
        .ok()?;
    let geometry = Geometry::of(&image);
    let reports = read(REPORTS)?;
    let count = reports::words(&geometry);
    let slots = starts(&geometry, reports::ROW);
    let statuses = reports::statuses(&geometry).step_by(reports::STATUS_ROW);
    let reports = rows(
        &reports,
        count,
        &mut slots.map(|at| (at, reports::ROW)).chain(statuses.map(|at| (at, reports::STATUS_ROW))),
    );
    if !words::is_of(&reports, reports::LAYOUT, &geometry) {
        if ends {
            cannot_use(directory, REPORTS, &packed!("not the reports of this database, or another version's"));
        }
        return None;
    }
    Some((database, reports))
}

#[cold]
fn cannot_use(directory: &RunDirectory, name: &str, why: &dyn Display) -> ! {
    refuse(111, format_args!("{}: {why}", Shown(directory.file(name))))
}

/// The words of this system, for `pintle::status`.
pub const SYSTEM_WORDS: SystemWords = SystemWords { failure: |word, to| write!(to, "{}", Failure(word)) };

/// Where the rows of the slots begin.
fn starts(geometry: &Geometry, row: usize) -> impl Iterator<Item = usize> {
    (0..geometry.slots() as usize).map(move |slot| ROWS + slot * row)
}

/// Copies `count` words. A file that is shorter gives zeros behind its end. Rows (where each begins, and its words) that
/// were being written are read again; one that is never whole reads as being written.
#[inline(never)]
fn rows(file: &FileView, count: usize, starts: &mut dyn Iterator<Item = (usize, usize)>) -> Vec<AtomicU32> {
    let (copy, again) = (file.read_words(0, count), file.read_words(0, count));
    // The counter comes first in a row: the same even one in both copies, and the first copy is whole.
    let whole = |copy: &[AtomicU32], again: &[AtomicU32], at: usize| {
        let counter = words::load(copy, at);
        counter & 1 == 0 && counter == words::load(again, at)
    };
    for (at, row) in starts {
        let mut tries = if whole(&copy, &again, at) { 0 } else { TRIES };
        while tries > 0 {
            tries -= 1;
            if tries < TRIES / 2 {
                clock::sleep_ms(1); // the writer may have been interrupted inside
            }
            words::store(&copy, at, 1); // odd: being written
            let (fresh, again) = (file.read_words(at, row), file.read_words(at, 1));
            if whole(&fresh, &again, 0) {
                for offset in 0..row {
                    words::store(&copy, at + offset, words::load(&fresh, offset));
                }
                break;
            }
        }
    }
    copy
}
