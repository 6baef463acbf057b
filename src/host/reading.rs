//! What the commands that look read: copies of the database, the reports and what the engine publishes, made with pread,
//! so that neither a truncated file nor a dead engine can harm a reader. Asks nobody. Allocates.

use core::sync::atomic::AtomicU32;
use pintle::board::Geometry;
use pintle::board::published::{self, Published};
use pintle::board::reports::{self, Reports};
use pintle::board::words::{self, ROWS, header};
use pintle::database::Image;
use pintle::status::{SystemWords, View};
use pintle::time::Instant;

use std::path::{Path, PathBuf};

use super::control::Control;
use super::failure::Failure;
use super::run_directory::{self, Place, RunDirectory};
use crate::sys::mapping::FileView;
use crate::sys::output::Shown;
use crate::sys::signals::{self, Target};
use crate::sys::{Errno, clock};

/// How often a row that is being written is read again.
const TRIES: usize = 64;

/// Copies of everything, made at one instant.
pub struct Copies {
    database: Vec<u8>,
    reports: Vec<AtomicU32>,
    published: Vec<AtomicU32>,
    now: Instant,
    run: PathBuf,
}

/// Why there is nothing to read.
pub struct Trouble {
    /// For people.
    pub text: String,
    /// A supervisor runs nevertheless.
    pub runs: bool,
}

impl From<String> for Trouble {
    fn from(text: String) -> Trouble {
        Trouble { text, runs: false }
    }
}

impl Copies {
    /// From the run directory.
    pub fn read() -> Result<Copies, Trouble> {
        let place = run_directory::find(None).map_err(|problem| problem.to_string())?;
        let Place::Directory(directory) = place else {
            // Commands go by the abstract socket, if somebody listens there.
            let runs = Control::connect().is_ok();
            let text = if runs {
                "status and its kin need a run directory, and this supervisor could make none: only commands work \
                 (PINTLE_RUN or supervise --run names a directory that can be written)"
            } else {
                "there is no run directory: is a supervisor running? (PINTLE_RUN names its directory)"
            };
            return Err(Trouble { text: text.into(), runs });
        };
        let database = file(&directory, run_directory::DATABASE)?;
        let bytes = database.read_all().map_err(|error| problem(&directory, run_directory::DATABASE, error))?;
        let image = Image::open(&bytes).map_err(|error| {
            let path = directory.path().join(run_directory::DATABASE);
            format!("{}: {error}", Shown(path.as_os_str()))
        })?;
        let geometry = Geometry::of(&image);
        let now = clock::now();
        let reports =
            rows(&file(&directory, run_directory::REPORTS)?, reports::words(&geometry), reports::ROW, &geometry);
        let published = match file(&directory, run_directory::PUBLISHED) {
            Ok(file) => rows(&file, published::words(&geometry), published::ROW, &geometry),
            // An engine that has never run has published nothing.
            Err(_) => Vec::new(),
        };
        let said = |words: &[AtomicU32], magic| {
            words::load(words, header::MAGIC) == magic
                && words::load(words, header::SERVICES) == geometry.services
                && words::load(words, header::INSTANCES) == geometry.instances
        };
        if !said(&reports, reports::MAGIC) {
            let path = directory.path().join(run_directory::REPORTS);
            return Err(format!("{}: these are not the reports of this database", Shown(path.as_os_str())).into());
        }
        let published = if said(&published, published::MAGIC) { published } else { Vec::new() };
        Ok(Copies { database: bytes, reports, published, now, run: directory.path().to_path_buf() })
    }

    /// The run directory.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// What there is to see; `None` cannot happen after `read` and is treated as nothing to see.
    pub fn view(&self) -> Option<View<'_>> {
        let image = Image::open(&self.database).ok()?;
        let geometry = Geometry::of(&image);
        let word = |at| words::load(&self.reports, at);
        let supervisor_alive = is_alive(word(reports::own::SUPERVISOR_PID));
        let engine = word(reports::own::ENGINE_PID);
        let seconds = clock::realtime_seconds() as i64;
        Some(View {
            image,
            reports: Reports::new(&self.reports, geometry),
            published: Published::new(&self.published, geometry),
            now: self.now,
            wall: seconds,
            supervisor_alive,
            engine_alive: supervisor_alive && engine != 0 && !self.published.is_empty(),
            words: SYSTEM_WORDS,
        })
    }
}

/// The words of this system, for `pintle::status`.
pub const SYSTEM_WORDS: SystemWords = SystemWords { failure: |word, to| write!(to, "{}", Failure(word)) };

fn file(directory: &RunDirectory, name: &str) -> Result<FileView, String> {
    directory.open(name).map(FileView::new).map_err(|problem| problem.to_string())
}

fn problem(directory: &RunDirectory, name: &str, error: Errno) -> String {
    directory.problem("read", name, error).to_string()
}

/// Copies `count` words. A file that is shorter gives zeros behind its end. Rows of `row` words that were being written
/// are read again; one that is never whole reads as being written.
#[inline(never)]
fn rows(file: &FileView, count: usize, row: usize, geometry: &Geometry) -> Vec<AtomicU32> {
    let (copy, again) = (read_words(file, 0, count), read_words(file, 0, count));
    // The counter comes first in a row: the same even one in both copies, and the first copy is whole.
    let whole = |copy: &[AtomicU32], again: &[AtomicU32], at: usize| {
        let counter = words::load(copy, at);
        counter & 1 == 0 && counter == words::load(again, at)
    };
    for slot in 0..geometry.slots() as usize {
        let at = ROWS + slot * row;
        let mut tries = if whole(&copy, &again, at) { 0 } else { TRIES };
        while tries > 0 {
            tries -= 1;
            words::store(&copy, at, 1); // odd: being written
            let (fresh, again) = (read_words(file, at, row), read_words(file, at, 1));
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

/// `count` words from word `at` on, zeros behind the end of the file.
#[inline(never)]
pub fn read_words(file: &FileView, at: usize, count: usize) -> Vec<AtomicU32> {
    let mut bytes = vec![0; count * 4];
    let got = file.read_at(at as u64 * 4, &mut bytes).unwrap_or(0);
    if let Some(rest) = bytes.get_mut(got / 4 * 4..) {
        rest.fill(0);
    }
    bytes.as_chunks().0.iter().map(|four| AtomicU32::new(u32::from_ne_bytes(*four))).collect()
}

fn is_alive(pid: u32) -> bool {
    pid != 0 && matches!(signals::send(Target::Process(pid), 0), Ok(()) | Err(Errno::PERM))
}
