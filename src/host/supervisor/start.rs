//! Everything up to the first round: the place, the database's copy, the board, descriptors at their numbers. May
//! allocate and may fail; says what failed in words. Nothing after it does either.

use super::cgroups::Cgroups;
use super::children::Queue;
use super::deadlines::Deadlines;
use super::held::{HANDED_DOWN, Held, Own};
use super::helpers::Helper;
use super::launch::{Common, UMASK};
use super::pids::Pids;
use super::shutdown::Progress;
use super::store;
use super::survivors::{self, Survivors};
use super::{Private, Source, Supervisor, rare};
use crate::host::accounts::{Accounts, Unknown};
use crate::host::descriptors;
use crate::host::log_files;
use crate::host::log_link::LogLink;
use crate::host::refuse::{OrRefuse, refuse, refuse_text};
use crate::host::run_directory::{
    self, CONTROL, DATABASE, LOCK, LOG_DIR, NOTIFY, PUBLISHED, PUBLISHED_NEW, Place, REPORTS, REPORTS_NEW, refuse_path,
};
use crate::sys::output::Shown;
use crate::sys::poll::{Doorbell, Interest, Poll};
use crate::sys::signals::{self, SIGINT, SIGPWR, SIGTERM, SignalSet};
use crate::sys::spawn::{LOW_END, LOW_FIRST, Spawner};
use crate::sys::{
    AsFd, AsRawFd, Errno, OwnedFd, accounts, clock, directory, entry, file, heap, mapping, output, pipe, process,
    socket, whole,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Write;
use core::sync::atomic::AtomicU32;
use pintle::access;
use pintle::board::words::{self, Follower};
use pintle::board::{Geometry, orders, published, reports};
use pintle::database::{Image, header, service};
use pintle::engine::{Capacities, words_needed};
use pintle::ident::SlotId;
use pintle::packed;
use pintle::packed::Packed;
use pintle::supervision::{Policy, Ready};
use pintle::time::Instant;

/// What `pintle supervise` was asked for.
pub struct Options {
    /// The database.
    pub database: &'static [u8],
    /// The run directory; none: the usual ones.
    pub run: Option<&'static [u8]>,
    /// Where logs go; none: the usual place.
    pub log_dir: Option<&'static [u8]>,
    /// The bound of a shutdown.
    pub shutdown_timeout_ms: u32,
    /// How many services may be starting at once; 0 is no limit.
    pub parallel: u32,
    /// What runs where the supervisor crashes again and again.
    pub rescue: Option<&'static [u8]>,
    /// As whom the engine runs; none: as whoever runs this.
    pub engine_user: Option<&'static [u8]>,
    /// A newline goes here once commands can be given.
    pub ready: Option<OwnedFd>,
    /// Services have control groups where that can be.
    pub cgroups: bool,
    /// The service to boot.
    pub bundle: &'static [u8],
}

/// Descriptors beside those of slots: standard ones, the engine's, the stacks', the supervisor's own.
const DESCRIPTORS_OWN: u64 = 256;
/// From so many held descriptors on, sharing the table with a child is cheaper than copying it.
const DESCRIPTORS_SHARE: u64 = 200;

/// The first acts of the process, before it opens anything: nobody looks into its memory, signals are as a child's.
/// A supervisor that goes on has its handlers already, and nothing else to reset.
pub fn first_acts(begins: bool) {
    let _ = process::set_dumpable(false);
    if begins {
        signals::reset_all();
        entry::report_our_end();
    }
    signals::block(SignalSet::all_but_fatal());
    process::set_umask(UMASK);
    process::take_precedence();
}

/// What the supervisor works on: made anew, or taken over from a supervisor that has crashed.
struct Machine {
    place: Place,
    lock: Option<OwnedFd>,
    image: Image<'static>,
    orders: orders::Orders<'static>,
    reports: reports::Reports<'static>,
    engine_descriptors: [OwnedFd; descriptors::ALL.len()],
    bell: Doorbell,
    to_engine: Doorbell,
    link: Option<LogLink>,
    log_dir: Option<&'static CStr>,
    program: &'static [u8],
    /// What children have for a limit of descriptors, where ours is another.
    limit: Option<(u64, u64)>,
    held: Held,
}

/// Makes the supervisor, or ends the process and says why. `first_acts` have been done. `held` is what a supervisor has
/// left that was this process and crashed; else nothing but descriptors 0 to 2 and `options.ready` is open.
#[inline(never)]
pub fn start(options: Options, held: Option<Held>) -> Supervisor {
    let ready = options.ready;
    let options = Options { ready: None, ..options };
    let goes_on = held.is_some();
    let machine = match held {
        Some(held) => take_over(held),
        None => make(&options),
    };
    let mut supervisor = assemble(options, machine, goes_on);
    if goes_on {
        supervisor.go_on();
    } else {
        supervisor.held.survive().or_refuse(packed!("cannot make sure to go on after a crash"));
    }
    if let Some(ready) = ready {
        let _ = output::write_all(ready.as_fd(), b"\n"); // who asked may be gone
    }
    heap::freeze();
    supervisor
}

#[inline(never)]
fn make(options: &Options) -> Machine {
    keep_numbers();
    let place = run_directory::make(options.run).unwrap_or_else(|problem| refuse_text(problem));
    let lock = lock(&place);
    // Looked at before anything of an earlier supervisor's is replaced, ended once it is sure that we go on.
    let earlier = place.directory().and_then(Survivors::find);
    let (database, image) = copy_database(&place, options.database);
    let Some(boot) = image.find(options.bundle) else {
        let (database, bundle) = (Shown(options.database), Shown(options.bundle));
        refuse(100, format_args!("{database}: no service \"{bundle}\" to boot"));
    };
    let geometry = Geometry::of(&image);
    if let Some(earlier) = earlier {
        earlier.end();
    }

    // The board.
    let seen = access::file_mode(&image);
    let published_fd = shared_file(&place, PUBLISHED, seen, published::words(&geometry));
    let held = Held::new(geometry.slots(), store::rooms(&image, geometry.slots()).sum());
    let (reports_fd, written, report_words) = own_reports(&place, REPORTS, seen, reports::words(&geometry));
    if let Some(written) = written {
        hold_reports(written, &held);
    }
    let orders_words = orders::words(&geometry);
    let orders_fd = mapping::sealed_memory(c"pintle-orders", orders_words).or_refuse(packed!("cannot make the orders"));
    let state = words_needed(&image, geometry, Capacities::of(&image));
    let state_fd = mapping::sparse_memory(c"pintle-engine", state).or_refuse(packed!("cannot make the engine's state"));
    let orders = map_orders(&orders_fd, geometry);
    let reports = reports::Reports::new(report_words, geometry);
    fill_header(&reports, &image, boot);
    words::store(reports.head(), reports::own::PARALLEL, options.parallel);

    let address = place.address(place.control());
    let address = address.or_refuse(packed!("the run directory's path is too long for a socket"));
    let control =
        socket::listen(&address, control_mode(&image)).or_refuse(packed!("cannot listen on the control socket"));
    let (bell, to_supervisor) = Doorbell::pair().or_refuse(packed!("cannot make a doorbell"));
    let (engines_bell, to_engine) = Doorbell::pair().or_refuse(packed!("cannot make a doorbell"));
    // In the order of `descriptors::ALL`.
    let mut engine_descriptors =
        [database, orders_fd, reports_fd, published_fd, state_fd, control, to_supervisor.into(), engines_bell.into()];
    for (fd, number) in engine_descriptors.iter_mut().zip(&descriptors::ALL) {
        // `keep_numbers` has kept it.
        let moved = process::place_at(fd.as_fd(), *number, false).and_then(|()| process::take_inherited(*number));
        *fd = moved.or_refuse(packed!("cannot place a descriptor"));
        process::set_inherited(&*fd, true).or_refuse(packed!("cannot place a descriptor"));
    }

    // Descriptors that services will take.
    let wanted = descriptors_wanted(&image, geometry);
    let limit = if process::descriptor_limit() < wanted { Some(process::raise_descriptor_limit()) } else { None };
    let log_dir = log_directory(options, &place);
    let has_logs = (0..image.services()).any(|slot| Supervisor::is_logged(&image, SlotId(slot)));
    let link = (has_logs && log_dir.is_some()).then(|| LogLink::new(geometry.slots()));
    give_back_numbers();

    held.put_limit(limit);
    held.keep(Own::Bell, bell.fd());
    held.keep(Own::ToEngine, to_engine.fd());
    if let Some(link) = &link {
        held.keep(Own::LinkNear, link.ends().0);
        held.keep(Own::LinkFar, link.ends().1);
    }
    if let Some(lock) = &lock {
        held.keep(Own::Lock, lock);
    }
    let path = match &place {
        Place::Directory(run) => {
            held.keep(Own::Run, run.directory().fd());
            run.path()
        }
        Place::Abstract(name) => name,
    };
    let program = process::path_of_program(process::pid()).map_or(&b""[..], |path| path.leak());
    held.put_paths([path, log_dir.map_or(b"", |path| path.to_bytes()), program]);
    Machine {
        place,
        lock,
        image,
        orders,
        reports,
        engine_descriptors,
        bell,
        to_engine,
        link,
        log_dir,
        program,
        limit,
        held,
    }
}

/// All that a supervisor has left which was this process and crashed. Where it cannot be made sense of, that is a crash
/// like any other, and after some of them it is given up.
#[inline(never)]
fn take_over(held: Held) -> Machine {
    held.close_others(descriptors::ALL[descriptors::ALL.len() - 1] + 1);
    let own = |which| held.take_own(which).ok_or(Errno::BADF);
    let engine_descriptors = descriptors::ALL.map(|number| {
        let fd = process::take_inherited(number).or_refuse(LOST);
        process::set_inherited(&fd, true).or_refuse(LOST);
        fd
    });
    let [database, orders, reads, published, ..] = &engine_descriptors;
    let mapped = mapping::Image::open(database.as_fd()).or_refuse(LOST);
    let image = Image::open_copy(mapped.bytes).map_err(|_| Errno::INVAL).or_refuse(LOST);
    let geometry = Geometry::of(&image);
    let [run, logs, program] = held.paths();
    let place = run_directory::taken_over(held.take_own(Own::Run), run);
    if held.was_upgrade() {
        settle_permissions(&image, &engine_descriptors, &place);
        lay_out_orders(orders, geometry);
        lay_out_published(published, &place, access::file_mode(&image), geometry);
    }
    let orders = map_orders(orders, geometry);
    let mut report_fd = own(Own::Reports).or_refuse(LOST);
    let mut report_words = all_words(&report_fd);
    if held.was_upgrade() && !words::is_of(report_words, reports::LAYOUT, &geometry) {
        (report_fd, report_words) = lay_out_reports(report_words, reads, &place, access::file_mode(&image), geometry);
    }
    let _ = directory::lock_open(&report_fd); // an earlier pintle did not
    let fits = words::is_of(report_words, reports::LAYOUT, &geometry)
        && report_words.len() >= reports::words(&geometry)
        && held.slots() == geometry.slots();
    fits.then_some(()).ok_or(Errno::INVAL).or_refuse(LOST);
    hold_reports(report_fd, &held);
    let reports = reports::Reports::new(report_words, geometry);
    let link = match (held.take_own(Own::LinkNear), held.take_own(Own::LinkFar)) {
        (Some(near), Some(far)) => Some(LogLink::taken_over(geometry.slots(), near, far)),
        _ => None,
    };
    Machine {
        place,
        lock: held.take_own(Own::Lock),
        image,
        orders,
        reports,
        engine_descriptors,
        bell: Doorbell::from_fd(own(Own::Bell).or_refuse(LOST)),
        to_engine: Doorbell::from_fd(own(Own::ToEngine).or_refuse(LOST)),
        link,
        log_dir: (!logs.is_empty()).then(|| whole::lasting(Vec::from(logs))),
        program,
        limit: held.limit(),
        held,
    }
}

const LOST: Packed = packed!("what the supervisor held is not whole");

// Boards that a program of another version has left, as we lay them out. Whatever of it a crash cuts off, in each place is
// something whole, of the one or the other.

/// Permissions are as this pintle has them.
fn settle_permissions(image: &Image<'_>, descriptors: &[OwnedFd], place: &Place) {
    let Place::Directory(run) = place else { return };
    let [database, _, reports, published, ..] = descriptors else { return };
    let seen = access::file_mode(image);
    for file in [database, reports, published] {
        let _ = directory::mode(file).and_then(|mode| directory::set_mode(file, mode & seen | 0o600));
    }
    let _ = run.directory().set_mode_of(CONTROL, control_mode(image));
    let _ = run.directory().set_mode_of(LOCK, 0o600);
}

/// Maps all that there is.
fn all_words(fd: &OwnedFd) -> &'static [AtomicU32] {
    let count = file::length(fd.as_fd()).map_or(0, |bytes| bytes as usize / 4);
    mapping::shared_words(fd.as_fd(), count).or_refuse(LOST)
}

fn carry_over(old: &[AtomicU32], new: &[AtomicU32], layout: words::Layout, geometry: Geometry) {
    let widths = [words::load(old, words::header::ROW), layout[2]].map(|width| width as usize);
    words::carry_over(old, new, words::ROWS, geometry.slots() as usize, widths);
    words::format(new, layout, &geometry);
}

/// The descriptor's number becomes that of this file.
fn replace(fd: &OwnedFd, fresh: &OwnedFd) {
    process::place_at(fresh.as_fd(), fd.as_raw_fd(), true).or_refuse(LOST);
}

#[inline(never)]
fn lay_out_orders(fd: &OwnedFd, geometry: Geometry) {
    let old = all_words(fd);
    if words::is_of(old, orders::LAYOUT, &geometry) {
        return;
    }
    let count = orders::words(&geometry);
    let fresh = mapping::sealed_memory(c"pintle-orders", count).or_refuse(LOST);
    // An engine that has not begun yet has given no orders.
    if words::is_kin(old, orders::LAYOUT[0], &geometry) {
        carry_over(old, mapping::shared_words(fresh.as_fd(), count).or_refuse(LOST), orders::LAYOUT, geometry);
    }
    replace(fd, &fresh);
}

/// What the engine publishes it will publish again.
#[inline(never)]
fn lay_out_published(fd: &OwnedFd, place: &Place, mode: u32, geometry: Geometry) {
    if !words::is_of(all_words(fd), published::LAYOUT, &geometry) {
        replace(fd, &shared_file(place, PUBLISHED_NEW, mode, published::words(&geometry)));
        put_in_place(place, PUBLISHED_NEW, PUBLISHED);
    }
}

#[inline(never)]
fn lay_out_reports(
    old: &[AtomicU32],
    engines: &OwnedFd,
    place: &Place,
    mode: u32,
    geometry: Geometry,
) -> (OwnedFd, &'static [AtomicU32]) {
    words::is_kin(old, reports::LAYOUT[0], &geometry).then_some(()).ok_or(Errno::INVAL).or_refuse(LOST);
    let (read, written, fresh) = own_reports(place, REPORTS_NEW, mode, reports::words(&geometry));
    carry_over(old, fresh, reports::LAYOUT, geometry);
    replace(engines, &read);
    put_in_place(place, REPORTS_NEW, REPORTS);
    (written.ok_or(Errno::BADF).or_refuse(LOST), fresh)
}

fn put_in_place(place: &Place, from: &str, to: &str) {
    if let Place::Directory(run) = place {
        file::rename(run.file(from), run.file(to)).or_refuse(LOST);
    }
}

fn map_orders(fd: &OwnedFd, geometry: Geometry) -> orders::Orders<'static> {
    let mapped = mapping::shared_words_read_only(fd.as_fd(), orders::words(&geometry));
    orders::Orders::new(mapped.or_refuse(packed!("cannot map the orders")), geometry)
}

#[inline(never)]
fn assemble(options: Options, machine: Machine, goes_on: bool) -> Supervisor {
    let Machine {
        place,
        lock,
        image,
        orders,
        reports,
        engine_descriptors,
        bell,
        to_engine,
        link,
        log_dir,
        program,
        limit,
        held,
    } = machine;
    let geometry = Geometry::of(&image);
    let engine_account = options.engine_user.map(engine_account);
    let one_uid = engine_account.as_ref().is_none_or(|account| account.uid == process::uid());
    words::store(reports.head(), reports::own::ONE_UID, u32::from(one_uid));

    let mut spawner = Spawner::new().or_refuse(packed!("cannot make stacks"));
    let share = descriptors_wanted(&image, geometry) > DESCRIPTORS_SHARE + DESCRIPTORS_OWN;
    if share {
        let filler = process::standard_input();
        spawner.reserve_low_descriptors(filler).or_refuse(packed!("cannot keep descriptors for children"));
    }
    let poll = Poll::new().or_refuse(packed!("cannot make an epoll"));
    const ENDS: SignalSet = SignalSet::of(&[SIGTERM, SIGPWR, SIGINT]);
    let signal_fd = |set| signals::signal_fd(set).or_refuse(packed!("cannot make a signalfd"));
    let (signals, ends) = (signal_fd(SignalSet::all_but_fatal().without(ENDS)), signal_fd(ENDS));
    let watch = |fd, source: Source, interest| poll.add(fd, source.token(), interest).or_refuse(packed!("cannot poll"));
    watch(signals.as_fd(), Source::Signals, Interest::READ);
    watch(ends.as_fd(), Source::Ends, Interest::READ);
    watch(bell.as_fd(), Source::Orders, Interest::READ);
    if let Some(link) = &link {
        watch(link.socket(), Source::Logger, Interest::NONE);
    }
    if process::pid() != 1 {
        process::become_subreaper().or_refuse(packed!("cannot adopt orphans"));
    }
    let mut slots = Vec::new();
    slots.resize_with(geometry.slots() as usize, Private::default);
    let (rare, places) = rare::make(&image, &geometry, &mut slots);
    let mut stored = Vec::new();
    stored.resize_with(places, || None);
    let instances = geometry.instances as usize * size_of::<super::InstanceName>();
    let instances = mapping::private_bytes(instances).or_refuse(packed!("cannot make room for instances"));

    // All paths are known now. Nobody's file system is kept busy, and a service that begins there needs no call for it.
    process::set_directory(c"/").or_refuse(packed!("cannot enter /"));
    let mut cgroups = Cgroups::begin(&place, &image, !goes_on, options.cgroups);
    if let Some(cgroups) = &mut cgroups {
        // After a crash what is handed down may be by us.
        if goes_on {
            cgroups.before = held.word(HANDED_DOWN);
        }
        held.put_word(HANDED_DOWN, cgroups.before);
    }
    words::store(reports.head(), reports::own::GROUPS, u32::from(cgroups.is_some()));
    Supervisor {
        cgroups,
        empty_groups: 0,
        orphans: Default::default(),
        common: common(&image, limit, share),
        control: place.address(place.control()).ok(),
        place,
        orders,
        reports,
        slots,
        rare,
        stored,
        deadlines: Deadlines::new(geometry.slots()),
        pids: Pids::new(geometry.slots()),
        queue: Queue::default(),
        flights: heapless::Vec::new(),
        flying: 0,
        spawner,
        more_deaths: false,
        // To have started is as much as a storm.
        rests: 0,
        stuck: Instant::NEVER,
        poll,
        held,
        signals,
        ends,
        scratch: pipe::nonblocking().or_refuse(packed!("cannot make a pipe")),
        follower: Follower::at_head(orders.words()),
        bell,
        to_engine,
        link,
        log_full: false,
        log_again: Instant::NEVER,
        again: Instant::NEVER,
        instances: instances.as_chunks_mut().0,
        engine_descriptors,
        engine_account,
        log_dir,
        program,
        engine: Helper::new(Instant(0)),
        logger: Helper::new(Instant::NEVER),
        now: clock::now(),
        dirty: false,
        rung: Instant(0),
        shutdown: Progress::new(),
        shutdown_timeout_ms: options.shutdown_timeout_ms,
        _lock: lock,
    }
}

/// What all children will have in common.
#[inline(never)]
fn common(
    image: &Image<'static>,
    descriptor_limit: Option<(u64, u64)>,
    share_descriptors: bool,
) -> &'static mut Common {
    Box::leak(Box::new(Common {
        accounts: Accounts::of(image),
        image: *image,
        program: process::own_program(),
        uid: process::uid(),
        gid: process::gid(),
        descriptor_limit,
        kernel: kernel_line(),
        share_descriptors,
    }))
}

/// The kernel's command line, which never changes; empty where /proc is not there.
fn kernel_line() -> &'static [u8] {
    match whole::read("/proc/cmdline".as_ref(), 1 << 16) {
        Ok(Ok(line)) => line.leak(),
        Ok(Err(_)) | Err(_) => &[],
    }
}

/// Takes the numbers that the engine's descriptors and the stacks will have, so that nothing else gets them.
fn keep_numbers() {
    make_input_null();
    for number in 3..LOW_END {
        process::place_at(process::standard_input(), number, false).or_refuse(packed!("cannot keep descriptors"));
    }
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

#[inline(never)]
fn lock(place: &Place) -> Option<OwnedFd> {
    let run = place.directory()?; // the abstract name is its own lock
    match run.directory().lock_file(LOCK) {
        Ok(Ok(lock)) => {
            let _ = directory::empty(&lock);
            let _ = writeln!(output::Text::to(lock.as_fd()), "{}", process::pid());
            run.directory().make_inside(NOTIFY, 0o711).unwrap_or_else(|error| run.refuse("create", NOTIFY, error));
            Some(lock)
        }
        Ok(Err(held)) => {
            let mut buffer = [0; 16];
            let count = file::read(&held, &mut buffer).unwrap_or(0);
            let pid = Shown(buffer.get(..count).unwrap_or_default().trim_ascii());
            refuse(1, format_args!("{}: another supervisor runs here, process {pid}", Shown(run.path())))
        }
        Err(error) => run.refuse("lock", LOCK, error),
    }
}

/// Copies the database to where only we write, checks the copy, and maps it.
#[inline(never)]
fn copy_database(place: &Place, path: &[u8]) -> (OwnedFd, Image<'static>) {
    let failed = |verb, error| -> ! { refuse_path(verb, path, error) };
    let invalid = |error| -> ! { refuse(100, format_args!("{}: {error}", Shown(path))) };
    let source = file::open_read(path).unwrap_or_else(|error| failed("open", error));
    let mode = directory::mode(&source).unwrap_or_else(|error| failed("open", error));
    let bytes = mapping::FileView::new(source).read_all().unwrap_or_else(|error| failed("read", error));
    // Before anything of an earlier supervisor's is replaced.
    let seen = Image::open(&bytes).map_or_else(|error| invalid(error), |image| access::file_mode(&image));
    let copy = match place {
        // What the original lets be read, at most.
        Place::Directory(run) => {
            let written = run.create(DATABASE, mode & seen | 0o600);
            let filled = mapping::preallocate(&written, bytes.len() as u64);
            let filled = filled.and_then(|()| output::write_all(written.as_fd(), &bytes));
            filled.unwrap_or_else(|error| run.refuse("make room for", DATABASE, error));
            run.open(DATABASE).unwrap_or_else(|error| run.refuse("open", DATABASE, error))
        }
        // Whoever gets it, the engine above all, can only read it.
        Place::Abstract(_) => mapping::frozen_memory(c"pintle-database", &bytes).or_refuse(COPY),
    };
    let mapped = mapping::Image::open(copy.as_fd()).or_refuse(COPY);
    let image = Image::open_copy(mapped.bytes).unwrap_or_else(|error| invalid(error));
    (copy, image)
}

const COPY: Packed = packed!("cannot copy the database");

/// A file of the run directory with all its blocks, or memory where there is none.
fn shared_file(place: &Place, name: &str, mode: u32, words: usize) -> OwnedFd {
    match place {
        Place::Directory(run) => {
            let fd = run.create(name, mode);
            mapping::preallocate(&fd, words as u64 * 4)
                .unwrap_or_else(|error| run.refuse("make room for", name, error));
            fd
        }
        Place::Abstract(_) => {
            mapping::sealed_memory(c"pintle-board", words).or_refuse(packed!("cannot make memory for the board"))
        }
    }
}

/// The permissions of the control socket. Where our user is one of those that have no number here, all of them look alike
/// to the engine: then the file lets ourselves alone in.
pub fn control_mode(image: &Image<'_>) -> u32 {
    if accounts::strangers()[0] == Some(process::uid()) { 0o600 } else { access::socket_mode(image) }
}

/// The reports: a descriptor with which others can only read them, ours, and mapped to write.
#[inline(never)]
fn own_reports(place: &Place, name: &str, mode: u32, words: usize) -> (OwnedFd, Option<OwnedFd>, &'static [AtomicU32]) {
    const MAKE: Packed = packed!("cannot make the board");
    let written = shared_file(place, name, 0o600, words);
    let read = match place {
        Place::Directory(run) => {
            // That it is locked shows everybody that we live. Nobody else can lock what he cannot open yet.
            let locked = directory::lock_open(&written).and_then(|()| directory::set_mode(&written, mode));
            locked.unwrap_or_else(|error| run.refuse("lock", name, error));
            run.open(name).unwrap_or_else(|error| run.refuse("open", name, error))
        }
        Place::Abstract(_) => match mapping::read_only(&written) {
            Ok(read) => read,
            // Without /proc it can be made read-only for all that come later, us after a crash among them: nobody can
            // take it over.
            Err(_) => {
                let (read, mapped) = mapping::own_memory(c"pintle-reports", words).or_refuse(MAKE);
                return (read, None, mapped);
            }
        },
    };
    let mapped = mapping::shared_words(written.as_fd(), words).or_refuse(MAKE);
    (read, Some(written), mapped)
}

/// They are there after a crash, too.
fn hold_reports(fd: OwnedFd, held: &Held) {
    held.keep(Own::Reports, &fd);
    core::mem::forget(fd); // as long as we live
}

#[inline(never)]
fn fill_header(reports: &reports::Reports<'_>, image: &Image<'_>, boot: SlotId) {
    reports.format();
    let words = reports.head();
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

#[inline(never)]
fn engine_account(name: &[u8]) -> accounts::Account {
    accounts::user(name).unwrap_or_else(|unknown| {
        let name = Shown(name);
        refuse(100, format_args!("--engine-user {name}: {}", Unknown::User(unknown)))
    })
}

/// How many descriptors there may be at once: two of a log pipe, one for readiness, and what is kept from life to life, as
/// far as the definitions say.
#[inline(never)]
fn descriptors_wanted(image: &Image<'_>, geometry: Geometry) -> u64 {
    let of = |slot| {
        let logs = if Supervisor::is_logged(image, slot) { 2 } else { 0 };
        let ready = match Policy::of(image, slot).map(|policy| policy.ready) {
            Some(Ready::Descriptor(_) | Ready::Notify | Ready::Forked) => 1,
            Some(Ready::Executed | Ready::Check) | None => 0,
        };
        let input = if image.flags(slot) & service::flags::INPUT != 0 { 2 } else { 0 };
        let room = store::room(image, slot);
        logs + ready + input + room as u64 + u64::from(room > 0)
    };
    let services: u64 = (0..image.services()).map(|slot| of(SlotId(slot))).sum();
    let instance = store::templates(image).map(of).max().unwrap_or(0);
    services + u64::from(geometry.instances) * instance + DESCRIPTORS_OWN
}

/// `--log-dir`, else the usual place. A link in the run directory leads readers there.
#[inline(never)]
fn log_directory(options: &Options, place: &Place) -> Option<&'static CStr> {
    let run = place.directory();
    let directory = options.log_dir.or_else(|| Some(log_files::own_directory(run?.path())))?;
    // The logger is not where we are.
    let directory = whole::lasting(whole::absolute(directory));
    if let Some(run) = run {
        let _ = run.directory().link(directory, LOG_DIR); // readers take the usual place
    }
    Some(directory)
}
