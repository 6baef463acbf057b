//! Everything up to the first round: the place, the database's copy, the board, descriptors at their numbers. May allocate
//! and may fail; says what failed in words. Nothing after it does either.

use super::children::{Queue, STORM};
use super::deadlines::Deadlines;
use super::helpers::{ENGINE_DESCRIPTORS, Helper};
use super::launch::Common;
use super::pids::Pids;
use super::shutdown::Progress;
use super::survivors::{self, Survivors};
use super::{Private, Source, Supervisor};
use crate::host::accounts::{Accounts, Unknown};
use crate::host::descriptors;
use crate::host::log_link::LogLink;
use crate::host::run_directory::{self, DATABASE, LOCK, NOTIFY, PUBLISHED, Place, Problem, REPORTS};
use crate::sys::errno::Words;
use crate::sys::poll::{Doorbell, Interest, Poll};
use crate::sys::signals::{self, SignalSet};
use crate::sys::spawn::{LOW_END, LOW_FIRST, Spawner};
use crate::sys::{
    AsFd, Errno, OwnedFd, accounts, alloc, clock, directory, file, mapping, output, process, socket, whole,
};
use core::sync::atomic::AtomicU32;
use pintle::board::words::{self, Follower};
use pintle::board::{Geometry, orders, published, reports};
use pintle::database::{Image, header};
use pintle::engine::{Capacities, words_needed};
use pintle::ident::SlotId;
use pintle::limits::INSTANCE_BYTES_MAX;
use pintle::supervision::{Policy, Ready};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// What `pintle supervise` was asked for.
pub struct Options {
    /// The database.
    pub database: &'static OsStr,
    /// The run directory; none: the usual ones.
    pub run: Option<&'static OsStr>,
    /// Where logs go; none: the usual place.
    pub log_dir: Option<&'static OsStr>,
    /// The bound of a shutdown.
    pub shutdown_timeout_ms: u32,
    /// As whom the engine runs; none: as whoever runs this.
    pub engine_user: Option<&'static OsStr>,
    /// A newline goes here once commands can be given.
    pub ready: Option<OwnedFd>,
    /// The service to boot.
    pub bundle: &'static OsStr,
}

/// Why it does not start, and the exit code for it.
pub struct Refusal {
    pub text: String,
    pub code: i32,
}

impl Refusal {
    fn input(text: String) -> Refusal {
        Refusal { text, code: 100 }
    }

    fn system(what: &str, error: Errno) -> Refusal {
        Refusal { text: format!("{what}: {}", Words(error)), code: 111 }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        Refusal { text: problem.to_string(), code: 111 }
    }
}

/// Descriptors beside those of slots: standard ones, the engine's, the stacks', the supervisor's own.
const DESCRIPTORS_OWN: u64 = 256;
/// From so many held descriptors on, sharing the table with a child is cheaper than copying it.
const DESCRIPTORS_SHARE: u64 = 200;

/// The first acts of the process, before it opens anything: nobody looks into its memory, signals are as a child's.
pub fn first_acts() {
    let _ = process::set_dumpable(false);
    signals::reset_all();
    signals::block(SignalSet::all_but_fatal());
    process::set_umask(0o022);
}

/// Makes the supervisor. `first_acts` have been done, and nothing but descriptors 0 to 2 and `options.ready` is open.
pub fn start(options: Options) -> Result<Supervisor, Refusal> {
    keep_numbers().map_err(|error| Refusal::system("cannot keep descriptors", error))?;
    let place = run_directory::make(options.run)?;
    let lock = lock(&place)?;
    // Looked at before anything of an earlier supervisor's is replaced, ended once it is sure that we go on.
    let earlier = place.directory().and_then(Survivors::find);
    let (database, image) = copy_database(&place, Path::new(options.database))?;
    let boot = image.find(options.bundle.as_bytes()).ok_or_else(|| {
        let (database, bundle) = (Path::new(options.database).display(), Path::new(options.bundle).display());
        Refusal::input(format!("{database}: no service \"{bundle}\" to boot"))
    })?;
    let geometry = Geometry::of(&image);

    if let Some(earlier) = earlier {
        earlier.end()?;
    }

    // The board.
    let failed = |what: &'static str| move |error| Refusal::system(what, error);
    let bytes = |words: usize| words as u64 * 4;
    let (reports_fd, report_words) = own_reports(&place, reports::words(&geometry))?;
    let published_fd = shared_file(&place, PUBLISHED, bytes(published::words(&geometry)))?;
    let orders_words = orders::words(&geometry);
    let orders_fd =
        mapping::sealed_memory(c"pintle-orders", bytes(orders_words)).map_err(failed("cannot make the orders"))?;
    let state = words_needed(&image, geometry, Capacities::of(&image));
    let state_fd =
        mapping::sparse_memory(c"pintle-engine", bytes(state)).map_err(failed("cannot make the engine's state"))?;
    let orders = orders::Orders::new(
        mapping::shared_words_read_only(orders_fd.as_fd(), orders_words).map_err(failed("cannot map the orders"))?,
        geometry,
    );
    let reports = reports::Reports::new(report_words, geometry);
    fill_header(&reports, &image, boot);

    let engine_account = options.engine_user.map(|name| engine_account(name.as_bytes())).transpose()?;
    let one_uid = engine_account.as_ref().is_none_or(|account| account.uid == process::uid());
    words::store(reports.words(), reports::own::ONE_UID, u32::from(one_uid));

    let address = place.control_address().map_err(failed("the run directory's path is too long for a socket"))?;
    let control = socket::listen(&address, 0o660).map_err(failed("cannot listen on the control socket"))?;
    let (bell, to_supervisor) = Doorbell::pair().map_err(failed("cannot make a doorbell"))?;
    let (engines_bell, to_engine) = Doorbell::pair().map_err(failed("cannot make a doorbell"))?;
    for (fd, number) in [
        (database.as_fd(), descriptors::DATABASE),
        (orders_fd.as_fd(), descriptors::ORDERS),
        (reports_fd.as_fd(), descriptors::REPORTS),
        (published_fd.as_fd(), descriptors::PUBLISHED),
        (state_fd.as_fd(), descriptors::STATE),
        (control.as_fd(), descriptors::CONTROL),
        (to_supervisor.as_fd(), descriptors::TO_SUPERVISOR),
        (engines_bell.as_fd(), descriptors::TO_ENGINE),
    ] {
        process::place_at(fd, number, false).map_err(failed("cannot place a descriptor"))?;
    }
    let engine_descriptors = ENGINE_DESCRIPTORS
        .iter()
        .map(|number| process::take_inherited(*number))
        .collect::<Result<Vec<OwnedFd>, Errno>>()
        .map_err(failed("cannot place a descriptor"))?;

    // Descriptors that services will take.
    let wanted = descriptors_wanted(&image, geometry);
    let limit = if process::descriptor_limit() < wanted { Some(process::raise_descriptor_limit()) } else { None };
    let mut spawner = Spawner::new().map_err(failed("cannot make stacks"))?;
    let share = wanted > DESCRIPTORS_SHARE + DESCRIPTORS_OWN;
    give_back_numbers();
    if share {
        let filler = process::standard_input();
        spawner.reserve_low_descriptors(filler).map_err(failed("cannot keep descriptors for children"))?;
    }

    let log_dir = log_directory(&options, &place);
    let has_logs = (0..image.services()).any(|slot| Supervisor::logs_to_file(&image, SlotId(slot)));
    let link = if has_logs && log_dir.is_some() {
        Some(LogLink::new(geometry.slots()).map_err(failed("cannot make the way to the logger"))?)
    } else {
        None
    };
    let poll = Poll::new().map_err(failed("cannot make an epoll"))?;
    let signals = signals::signal_fd(SignalSet::all_but_fatal()).map_err(failed("cannot make a signalfd"))?;
    let watch = |fd, source: Source, interest| poll.add(fd, source.token(), interest).map_err(failed("cannot poll"));
    watch(signals.as_fd(), Source::Signals, Interest::READ)?;
    watch(bell.as_fd(), Source::Orders, Interest::READ)?;
    if let Some(link) = &link {
        watch(link.socket(), Source::Logger, Interest::NONE)?;
    }
    if process::pid() != 1 {
        process::become_subreaper().map_err(failed("cannot adopt orphans"))?;
    }
    let mut known = Accounts::default();
    known.take(&image);

    let supervisor = Supervisor {
        common: Common {
            image,
            accounts: known,
            program: process::own_program(),
            uid: process::uid(),
            gid: process::gid(),
            descriptor_limit: limit,
            share_descriptors: share,
        },
        place,
        orders,
        reports,
        slots: (0..geometry.slots()).map(|_| Private::default()).collect(),
        deadlines: Deadlines::new(geometry.slots()),
        pids: Pids::new(geometry.slots()),
        queue: Queue::default(),
        flights: Supervisor::no_flights(),
        spawner,
        more_deaths: false,
        // To have started is as much as a storm.
        spawned: STORM,
        stuck: None,
        poll,
        signals,
        follower: Follower::at_head(orders.words()),
        bell,
        to_engine,
        link,
        log_full: false,
        instances: vec![[0; INSTANCE_BYTES_MAX + 1]; geometry.instances as usize],
        engine_descriptors,
        engine_account,
        log_dir,
        engine: Helper::start_now(),
        logger: Helper::default(),
        pid_word: Box::leak(Box::default()),
        now: clock::now(),
        dirty: false,
        rung: pintle::time::Instant(0),
        shutdown: Progress::new(),
        shutdown_timeout_ms: options.shutdown_timeout_ms,
        _lock: lock,
    };
    if let Some(ready) = options.ready {
        let _ = output::write_all(ready.as_fd(), b"\n"); // who asked may be gone
    }
    alloc::freeze();
    Ok(supervisor)
}

/// Takes the numbers that the engine's descriptors and the stacks will have, so that nothing else gets them.
fn keep_numbers() -> Result<(), Errno> {
    make_input_null();
    (3..LOW_END).try_for_each(|number| process::place_at(process::standard_input(), number, false))
}

/// Frees those of the stacks: they are the spawner's to take.
fn give_back_numbers() {
    for number in LOW_FIRST..LOW_END {
        drop(process::take_inherited(number)); // `keep_numbers` opened it
    }
}

/// Descriptor 0 is /dev/null, for us and for every service. Where there is none, it stays what it is.
fn make_input_null() {
    if let Ok(null) = file::open_both("/dev/null") {
        let _ = process::place_at(null.as_fd(), 0, true);
    }
}

fn lock(place: &Place) -> Result<Option<OwnedFd>, Refusal> {
    let Some(run) = place.directory() else { return Ok(None) }; // the abstract name is its own lock
    match run.directory().lock_file(LOCK) {
        Ok(Ok(lock)) => {
            let pid = format!("{}\n", process::pid());
            let _ = directory::empty(&lock);
            let _ = output::write_all(lock.as_fd(), pid.as_bytes());
            run.directory().make_inside(NOTIFY, 0o755).map_err(|error| run.problem("create", NOTIFY, error))?;
            Ok(Some(lock))
        }
        Ok(Err(held)) => {
            let mut buffer = [0; 16];
            let count = file::read(&held, &mut buffer).unwrap_or(0);
            let pid = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).trim().to_string();
            let text = format!("{}: another supervisor runs here, process {pid}", run.path().display());
            Err(Refusal { text, code: 1 })
        }
        Err(error) => Err(run.problem("lock", LOCK, error).into()),
    }
}

/// Copies the database to where only we write, checks the copy, and maps it.
fn copy_database(place: &Place, path: &Path) -> Result<(OwnedFd, Image<'static>), Refusal> {
    let problem = |verb, error| Refusal::from(Problem::new(verb, path, error));
    let source = file::open_read(path.as_os_str().as_bytes()).map_err(|error| problem("open", error))?;
    let mode = directory::mode(&source).map_err(|error| problem("open", error))?;
    let source = mapping::FileView::new(source);
    let length = source.length().map_err(|error| problem("read", error))?;
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| problem("read", Errno::FBIG))?];
    let count = source.read_at(0, &mut bytes).map_err(|error| problem("read", error))?;
    let bytes = bytes.get(..count).unwrap_or_default();
    // Before anything of an earlier supervisor's is replaced.
    Image::open(bytes).map_err(|error| Refusal::input(format!("{}: {error}", path.display())))?;
    let copied = |error| Refusal::system("cannot copy the database", error);
    let copy = match place {
        // What the original lets be read, at most.
        Place::Directory(run) => {
            let written = run.create(DATABASE, mode & 0o644 | 0o600)?;
            let failed = |error| run.problem("make room for", DATABASE, error);
            mapping::preallocate(&written, bytes.len() as u64).map_err(failed)?;
            output::write_all(written.as_fd(), bytes).map_err(failed)?;
            run.open(DATABASE)?
        }
        Place::Abstract(_) => {
            // Whoever gets it, the engine above all, can only read it.
            mapping::frozen_memory(c"pintle-database", bytes).map_err(copied)?
        }
    };
    let mapped = mapping::Image::open(copy.as_fd()).map_err(copied)?;
    let image = Image::open(mapped.bytes).map_err(|error| Refusal::input(format!("{}: {error}", path.display())))?;
    Ok((copy, image))
}

/// A file of the run directory with all its blocks, or memory where there is none.
fn shared_file(place: &Place, name: &str, bytes: u64) -> Result<OwnedFd, Refusal> {
    match place {
        Place::Directory(run) => {
            let fd = run.create(name, 0o644)?;
            mapping::preallocate(&fd, bytes).map_err(|error| run.problem("make room for", name, error))?;
            Ok(fd)
        }
        Place::Abstract(_) => mapping::sealed_memory(c"pintle-board", bytes)
            .map_err(|error| Refusal::system("cannot make memory for the board", error)),
    }
}

/// The reports mapped to write, and a descriptor with which others can only read them.
fn own_reports(place: &Place, words: usize) -> Result<(OwnedFd, &'static [AtomicU32]), Refusal> {
    let failed = |error| Refusal::system("cannot make the board", error);
    match place {
        Place::Directory(run) => {
            let written = shared_file(place, REPORTS, words as u64 * 4)?;
            let mapped = mapping::shared_words(written.as_fd(), words).map_err(failed)?;
            Ok((run.open(REPORTS)?, mapped))
        }
        Place::Abstract(_) => mapping::own_memory(c"pintle-reports", words).map_err(failed),
    }
}

fn fill_header(reports: &reports::Reports<'_>, image: &Image<'_>, boot: SlotId) {
    reports.format();
    let words = reports.words();
    for (at, value) in [
        (reports::own::SUPERVISOR_PID, process::pid()),
        (reports::own::BOOT, boot.0),
        (reports::own::DATABASE_CRC, image.header(header::CRC)),
        (reports::own::DATABASE_LENGTH, image.header(header::LENGTH)),
        (reports::own::SPACE, survivors::space()),
    ] {
        words::store(words, at, value);
    }
    words::store_u64(words, reports::own::STARTED, clock::now().0);
}

fn engine_account(name: &[u8]) -> Result<accounts::Account, Refusal> {
    accounts::user(name).map_err(|unknown| {
        let name = String::from_utf8_lossy(name);
        Refusal::input(format!("--engine-user {name}: {}", Unknown::User(unknown)))
    })
}

/// How many descriptors there may be at once: two of a log pipe and two for readiness, as far as the definitions say.
fn descriptors_wanted(image: &Image<'_>, geometry: Geometry) -> u64 {
    let of = |slot| {
        let logs = if Supervisor::logs_to_file(image, slot) { 2 } else { 0 };
        let ready = match Policy::of(image, slot).map(|policy| policy.ready) {
            Some(Ready::Descriptor(_) | Ready::Notify) => 1,
            Some(Ready::Executed) | None => 0,
        };
        logs + ready
    };
    let services: u64 = (0..image.services()).map(|slot| of(SlotId(slot))).sum();
    services + u64::from(geometry.instances) * 3 + DESCRIPTORS_OWN
}

/// `--log-dir`, else the usual place. A link in the run directory leads readers to another one.
fn log_directory(options: &Options, place: &Place) -> Option<CString> {
    let directory = match (&options.log_dir, place.directory()) {
        (Some(given), _) => given.to_os_string(),
        (None, Some(run)) => crate::host::log_files::directory(run.path()),
        (None, None) => return None,
    };
    // The logger is not where we are.
    CString::new(whole::absolute(directory.into()).into_os_string().into_vec()).ok()
}
