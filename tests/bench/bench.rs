//! `make bench`: what pintle costs, as ratios to a bare spawn loop in the same run (tests/programs/bare.c), and beside
//! it the service managers that are installed. Every number is the median of interleaved runs; wall time from the start
//! of the manager to the last mark, CPU time and memory as the kernel charges them to the run's own control group.
//! Needs root, or a control group of one's own.
//!
//!     make bench BENCH='--runs 7 --only pintle,dinit --part start,memory'

#[path = "../blackbox/bare.rs"]
mod bare;
mod cgroup;
mod events;
mod guard;
mod lives;
mod logs;
mod managers;
mod place;

use cgroup::Group;
use managers::{ALL, Log, Manager, Plan, Stop, Workload};
use place::{Place, count_marks};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Managers whose single run takes longer than this are run once, not `runs` times.
const SLOW: Duration = Duration::from_secs(20);

struct Settings {
    runs: usize,
    idle_seconds: u64,
    only: Option<Vec<String>>,
    parts: Option<Vec<String>>,
    programs: PathBuf,
    pintle: String,
}

impl Settings {
    fn from_arguments() -> Result<Settings, String> {
        let variable =
            |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set: run this with 'make bench'"));
        let mut settings = Settings {
            runs: 5,
            idle_seconds: 30,
            only: None,
            parts: None,
            programs: PathBuf::from(variable("PINTLE_PROGRAMS")?),
            pintle: variable("PINTLE_BIN")?,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            // cargo adds this one.
            if argument == "--bench" {
                continue;
            }
            let value = arguments.next().ok_or(format!("{argument} needs a value"))?;
            let list = || Some(value.split(',').map(str::to_string).collect());
            match argument.as_str() {
                "--runs" => settings.runs = value.parse().map_err(|_| "--runs takes a number")?,
                "--idle" => settings.idle_seconds = value.parse().map_err(|_| "--idle takes a number of seconds")?,
                "--only" => settings.only = list(),
                "--part" => settings.parts = list(),
                _ => return Err(format!("unknown option {argument}: there are --runs --idle --only --part")),
            }
        }
        Ok(settings)
    }

    fn wants(&self, manager: Manager) -> bool {
        matches!(manager, Manager::Bare | Manager::Sessions)
            || self.only.as_ref().is_none_or(|only| only.iter().any(|name| manager.name().starts_with(name.as_str())))
    }

    fn wants_part(&self, part: &str) -> bool {
        self.parts.as_ref().is_none_or(|parts| parts.iter().any(|name| name == part))
    }
}

/// A manager that runs a workload, in its control group. Dropping it kills what is left.
struct Running {
    place: Place,
    group: Group,
    child: Child,
    watcher: Option<Child>,
    stop: Stop,
    start: Spent,
}

#[derive(Clone, Copy, Default)]
struct Spent {
    wall_ms: f64,
    cpu_ms: f64,
}

impl Running {
    /// Starts the manager and waits for every mark. Ok(None): it cannot express the workload.
    fn start(settings: &Settings, manager: Manager, workload: Workload) -> Result<Option<Running>, String> {
        let place = Place::new(manager.name().split(' ').next().unwrap_or("x"), &settings.programs, &settings.pintle)?;
        let Some(plan) = manager.prepare(&place, workload)? else { return Ok(None) };
        Running::run(manager, place, plan, workload.bytes()).map(Some)
    }

    /// Runs what is prepared, and waits for so many marks.
    fn run(manager: Manager, place: Place, plan: Plan, marks: usize) -> Result<Running, String> {
        let mut fifo = place.open_fifo()?;
        let group = Group::new()?;
        let begin = Instant::now();
        let child = spawn(&plan.command, &plan, &group, None)?;
        let watcher = plan.watcher.as_ref().map(|command| spawn(command, &plan, &group, None)).transpose()?;
        let limit = manager.time_limit();
        let mut running = Running { place, group, child, watcher, stop: plan.stop, start: Spent::default() };
        if let Err(seen) = count_marks(&mut fifo, marks, limit) {
            return Err(format!("{}: {seen} of {marks} programs had begun after {limit:?}", manager.name()));
        }
        running.start.wall_ms = milliseconds(begin.elapsed());
        running.start.cpu_ms = running.group.cpu_ns_at_rest() as f64 / 1e6;
        Ok(running)
    }

    /// Stops it in its own way, until no process is left.
    fn stop(mut self, manager: Manager) -> Result<Spent, String> {
        if matches!(self.stop, Stop::Kill) {
            return Ok(Spent { wall_ms: f64::NAN, cpu_ms: f64::NAN });
        }
        let limit = manager.time_limit();
        let cpu = self.group.cpu_ns();
        let begin = Instant::now();
        match &self.stop {
            Stop::Kill => {}
            // SAFETY: kill takes numbers; the child has not been waited for.
            Stop::Signal(signal) => unsafe {
                libc::kill(self.child.id() as i32, *signal);
            },
            Stop::Command(command) => {
                let plan = Plan { command: vec![], environment: vec![], stop: Stop::Signal(0), watcher: None };
                let mut stopper = spawn(command, &plan, &self.group, Some(self.child.id()))?;
                stopper.wait().map_err(|error| error.to_string())?;
            }
        }
        let end = begin + limit;
        while self.child.try_wait().map_err(|error| error.to_string())?.is_none() {
            if Instant::now() > end {
                return Err(format!("{}: did not end within {limit:?} of its stop", manager.name()));
            }
            sleep(Duration::from_micros(500));
        }
        if !self.group.wait_empty(limit) {
            return Err(format!("{}: left {} processes", manager.name(), self.group.pids().len()));
        }
        Ok(Spent { wall_ms: milliseconds(begin.elapsed()), cpu_ms: (self.group.cpu_ns_at_rest() - cpu) as f64 / 1e6 })
    }

    /// The manager's own processes: what runs in the group and is none of the small programs, but for the bare loop.
    fn own_processes(&self) -> Vec<i32> {
        let is_own = |pid: &i32| match fs::read_link(format!("/proc/{pid}/exe")) {
            Ok(program) => !program.starts_with(self.place.programs()) || program.ends_with("bare"),
            Err(_) => false,
        };
        self.group.pids().into_iter().filter(is_own).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in [Some(&mut self.child), self.watcher.as_mut()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs a command in the group, from its first instruction on, with a clean environment and nothing on its descriptors.
fn spawn(words: &[String], plan: &Plan, group: &Group, manager: Option<u32>) -> Result<Child, String> {
    let doors: Vec<_> = group.doors().iter().map(|door| c_string(door)).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs(plan.environment.iter().cloned());
    if let Some(pid) = manager {
        command.env("MANAGER", pid.to_string());
    }
    let quiet = std::env::var_os("BENCH_VERBOSE").is_none();
    command.stdin(Stdio::null());
    if quiet {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    // SAFETY: between fork and exec only open, write, close, setsid: all async-signal-safe, nothing allocated.
    unsafe {
        command.pre_exec(move || {
            for door in &doors {
                let fd = libc::open(door.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                if fd < 0 || libc::write(fd, c"0".as_ptr().cast(), 1) != 1 {
                    return Err(std::io::Error::last_os_error());
                }
                libc::close(fd);
            }
            libc::setsid();
            Ok(())
        });
    }
    command.spawn().map_err(|error| format!("{}: {error}", words[0]))
}

fn c_string(path: &Path) -> std::ffi::CString {
    std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("made here, without a null byte")
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// What was measured for one manager: one list of values for each column.
type Columns = Vec<Vec<f64>>;

/// Runs the managers in turn, `runs` times; `one` gives a row of columns. A manager that fails is named and dropped,
/// one that is slow is run once.
fn interleaved(
    settings: &Settings,
    managers: &[Manager],
    runs: usize,
    mut one: impl FnMut(Manager) -> Result<Option<Vec<f64>>, String>,
) -> BTreeMap<usize, Columns> {
    let mut all: BTreeMap<usize, Columns> = BTreeMap::new();
    let mut dropped = vec![false; managers.len()];
    for run in 0..runs {
        for (index, &manager) in managers.iter().enumerate() {
            if dropped[index] || !settings.wants(manager) {
                continue;
            }
            let begin = Instant::now();
            match one(manager) {
                Ok(Some(row)) => {
                    let columns = all.entry(index).or_insert_with(|| vec![vec![]; row.len()]);
                    row.iter().zip(columns).for_each(|(value, column)| column.push(*value));
                    dropped[index] = run == 0 && begin.elapsed() > SLOW;
                }
                Ok(None) => dropped[index] = true,
                Err(error) => {
                    println!("  {error}");
                    dropped[index] = true;
                    all.remove(&index);
                }
            }
        }
    }
    all
}

/// A limit that the issue of a number sets for pintle; `over` collects those that were not kept.
struct Verdicts {
    over: Vec<String>,
}

impl Verdicts {
    fn check(&mut self, what: &str, value: f64, limit: f64) -> &'static str {
        if value <= limit {
            return "ok";
        }
        self.over.push(format!("{what}: {value:.2}, at most {limit}"));
        "OVER"
    }

    fn at_least(&mut self, what: &str, value: f64, limit: f64) -> &'static str {
        if value >= limit {
            return "ok";
        }
        self.over.push(format!("{what}: {value:.2}, at least {limit}"));
        "UNDER"
    }
}

/// Start and stop of one workload: a table of times and of their ratios to the bare loop's.
fn times(
    settings: &Settings,
    verdicts: &mut Verdicts,
    managers: &[Manager],
    title: &str,
    workload: Workload,
    limits: [Option<f64>; 4],
) {
    println!("\n{title}");
    let mut all = interleaved(settings, managers, settings.runs, |manager| {
        let Some(running) = Running::start(settings, manager, workload)? else { return Ok(None) };
        let start = running.start;
        let mut row = vec![start.wall_ms, start.cpu_ms];
        if workload.stays() {
            let stop = running.stop(manager)?;
            row.extend([stop.wall_ms, stop.cpu_ms]);
        }
        Ok(Some(row))
    });
    let names = ["start wall", "start cpu", "stop wall", "stop cpu"];
    let columns = if workload.stays() { 4 } else { 2 };
    print!("  {:<12}", "");
    names.iter().take(columns).for_each(|name| print!("{:>12} ms {:>7}", name, "ratio"));
    println!();
    let medians: BTreeMap<usize, Vec<f64>> = all
        .iter_mut()
        .map(|(index, columns)| (*index, columns.iter_mut().map(|column| median(column)).collect()))
        .collect();
    let Some(base) = medians.get(&0).cloned() else { return };
    for (index, row) in &medians {
        print!("  {:<12}", managers[*index].name());
        row.iter().zip(&base).for_each(|(value, base)| print!("{value:>15.1} {:>7.2}", value / base));
        println!("{}", if all[index][0].len() < settings.runs { "  (one run)" } else { "" });
        if managers[*index] == Manager::Pintle {
            print!("  {:<12}", "  limit");
            for column in 0..columns {
                match limits[column] {
                    Some(limit) => {
                        let what = format!("{title}: {}", names[column]);
                        print!("{:>15} {limit:>7.2}", verdicts.check(&what, row[column] / base[column], limit));
                    }
                    None => print!("{:>23}", ""),
                }
            }
            println!();
        }
    }
}

/// CPU time per service with few and with many.
fn growth(settings: &Settings, verdicts: &mut Verdicts, managers: &[Manager]) {
    const FEW: usize = 100;
    const MANY: usize = 5000;
    println!("\nCPU per service, {FEW} and {MANY} independent longruns (microseconds)");
    let mut all = interleaved(settings, managers, settings.runs, |manager| {
        let mut row = vec![];
        for count in [FEW, MANY] {
            let Some(running) = Running::start(settings, manager, Workload::Longruns { count, log: Log::Null })? else {
                return Ok(None);
            };
            row.push(running.start.cpu_ms * 1000.0 / count as f64);
        }
        Ok(Some(row))
    });
    println!("  {:<12}{FEW:>12}{MANY:>12}{:>10}", "", "growth");
    for (index, columns) in &mut all {
        let (few, many) = (median(&mut columns[0]), median(&mut columns[1]));
        print!("  {:<12}{few:>12.1}{many:>12.1}{:>10.2}", managers[*index].name(), many / few);
        if managers[*index] == Manager::Pintle {
            print!("   limit 1.20 {}", verdicts.check("CPU per service from 100 to 5000, growth", many / few, 1.2));
        }
        println!();
    }
}

/// Sum of a line of every process's status or smaps file.
fn sum_of(pids: &[i32], file: &str, keys: &[&str]) -> u64 {
    let one = |pid: &i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let value = |line: &str| {
            keys.iter().find_map(|key| line.strip_prefix(key))?.split_whitespace().next()?.parse::<u64>().ok()
        };
        text.lines().filter_map(value).sum::<u64>()
    };
    pids.iter().map(one).sum()
}

/// Times that a process stopped running, of all its threads.
fn switches(pids: &[i32]) -> u64 {
    let keys = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
    let threads = |pid: &i32| -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        entries.map(|entry| format!("{pid}/task/{}", entry.file_name().to_string_lossy())).collect()
    };
    pids.iter()
        .flat_map(threads)
        .map(|thread| {
            let text = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
            let value = |line: &str| keys.iter().find_map(|key| line.strip_prefix(key))?.trim().parse::<u64>().ok();
            text.lines().filter_map(value).sum::<u64>()
        })
        .sum()
}

/// Memory with 1,000 longruns up, and wake-ups while nothing happens.
fn memory(settings: &Settings, verdicts: &mut Verdicts, managers: &[Manager]) {
    const COUNT: usize = 1000;
    for (log, title, limit) in [(Log::Null, "log = null", 4.0), (Log::File, "log = file", 8.0)] {
        println!("\nMemory with 1,000 longruns up, {title} (MB)");
        let mut all = interleaved(settings, managers, settings.runs, |manager| {
            if log == Log::File && !matches!(manager, Manager::Bare | Manager::Pintle | Manager::Dinit) {
                return Ok(None);
            }
            let Some(running) = Running::start(settings, manager, Workload::Longruns { count: COUNT, log })? else {
                return Ok(None);
            };
            // Memory of what has ended is given back a moment later.
            sleep(Duration::from_millis(300));
            let own = running.own_processes();
            let pss = sum_of(&own, "smaps_rollup", &["Pss:"]) as f64 / 1024.0;
            let (memory, kernel) = running.group.memory_bytes();
            Ok(Some(vec![own.len() as f64, pss, memory as f64 / 1048576.0, kernel as f64 / 1048576.0]))
        });
        let medians: BTreeMap<usize, Vec<f64>> = all
            .iter_mut()
            .map(|(index, columns)| (*index, columns.iter_mut().map(|column| median(column)).collect()))
            .collect();
        let Some(base) = medians.get(&0).map(|row| row[2]) else { continue };
        println!(
            "  {:<12}{:>11}{:>12}{:>12}{:>12}{:>14}",
            "", "processes", "PSS", "charged", "of kernel", "above bare"
        );
        for (index, row) in &medians {
            let above = row[2] - base;
            print!(
                "  {:<12}{:>11}{:>12.2}{:>12.2}{:>12.2}{above:>14.2}",
                managers[*index].name(),
                row[0],
                row[1],
                row[2],
                row[3]
            );
            if managers[*index] == Manager::Pintle {
                // With log files the logger is a third process, which the limit does not mean.
                if log == Log::Null {
                    print!("   PSS limit 1 {}", verdicts.check("PSS of supervisor and engine, MB", row[1], 1.0));
                }
                print!(
                    ", above bare limit {limit} {}",
                    verdicts.check(&format!("memory above the bare loop, {title}, MB"), above, limit)
                );
            }
            println!();
        }
    }
}

/// 10,000 independent longruns: the start, and the memory of supervisor and engine with all of them up. What a session
/// takes grows with their number, and is the kernel's: the bare loop is measured with and without.
fn many(settings: &Settings, verdicts: &mut Verdicts) {
    const COUNT: usize = 10_000;
    let managers = [Manager::Bare, Manager::Sessions, Manager::Pintle];
    println!("\n10,000 independent longruns, until every process has begun; RSS of the manager's processes then");
    let mut all = interleaved(settings, &managers, settings.runs, |manager| {
        let workload = Workload::Longruns { count: COUNT, log: Log::Null };
        let Some(running) = Running::start(settings, manager, workload)? else { return Ok(None) };
        // Memory of what has ended is given back a moment later.
        sleep(Duration::from_millis(300));
        let rss = sum_of(&running.own_processes(), "status", &["VmRSS:"]) as f64 / 1024.0;
        // Nobody keeps the database mapped while nothing happens, but it is there.
        let database = running.place.run_directory()?.join("boot.db");
        let database = fs::metadata(database).map_or(0.0, |data| data.len() as f64 / 1048576.0);
        let start = running.start;
        running.stop(manager)?;
        Ok(Some(vec![start.wall_ms, start.cpu_ms, rss, database]))
    });
    let medians: Vec<Vec<f64>> =
        all.values_mut().map(|columns| columns.iter_mut().map(|column| median(column)).collect()).collect();
    let [base, sessions, own] = &medians[..] else { return };
    println!("  {:<12}{:>12} ms   ratio {:>12} ms   ratio {:>9} MB", "", "start wall", "start cpu", "RSS");
    for (manager, row) in managers.iter().zip([base, sessions, own]) {
        print!("  {:<12}{:>15.1} {:>7.2} ", manager.name(), row[0], row[0] / base[0]);
        println!("{:>15.1} {:>7.2} {:>12.2}", row[1], row[1] / base[1], row[2]);
    }
    let (ratio, memory) = (own[0] / base[0], own[2] + own[3]);
    print!("  wall limit 1.5 {}", verdicts.check("start of 10,000, wall", ratio, 1.5));
    print!("; RSS and the database {memory:.2} MB, limit 6 ");
    println!("{}", verdicts.check("RSS of supervisor and engine with 10,000 up, and the database, MB", memory, 6.0));
}

/// All managers idle at the same time, each with 1,000 longruns up.
fn idle(settings: &Settings, verdicts: &mut Verdicts, managers: &[Manager]) {
    println!("\nWake-ups of the manager's processes in {} idle seconds, 1,000 longruns up", settings.idle_seconds);
    let mut running = vec![];
    for &manager in managers.iter().filter(|&&manager| settings.wants(manager) && manager != Manager::Openrc) {
        match Running::start(settings, manager, Workload::Longruns { count: 1000, log: Log::Null }) {
            Ok(Some(one)) => running.push((manager, one)),
            Ok(None) => {}
            Err(error) => println!("  {error}"),
        }
    }
    sleep(Duration::from_secs(2));
    let before: Vec<(Vec<i32>, u64)> = running
        .iter()
        .map(|(_, one)| {
            let own = one.own_processes();
            let count = switches(&own);
            (own, count)
        })
        .collect();
    sleep(Duration::from_secs(settings.idle_seconds));
    for ((manager, one), (own, before)) in running.iter().zip(&before) {
        let wakes = switches(own) - before;
        print!("  {:<12}{wakes:>12}", manager.name());
        if *manager == Manager::Pintle {
            print!("   limit 0 {}", verdicts.check("wake-ups while idle", wakes as f64, 0.0));
            match allocations(one) {
                Ok(count) => {
                    let verdict = verdicts.check("heap allocations after start", count as f64, 0.0);
                    print!("; heap allocations after start {count}, limit 0 {verdict}");
                }
                Err(error) => verdicts.over.push(error),
            }
        }
        println!();
    }
}

/// Heap allocations of supervisor and engine after their start, as `pintle status` tells them.
fn allocations(running: &Running) -> Result<u64, String> {
    let run = running.place.run_directory()?;
    let output = Command::new(&running.place.pintle).arg("status").env("PINTLE_RUN", run).output();
    let text = String::from_utf8_lossy(&output.map_err(|error| error.to_string())?.stdout).into_owned();
    let counts: Vec<u64> = text
        .lines()
        .filter_map(|line| line.split_once(" allocations after start")?.0.rsplit(' ').next()?.parse().ok())
        .collect();
    // One line each: a word changed in `status` must not pass for "none".
    if counts.len() == 2 {
        Ok(counts.iter().sum())
    } else {
        Err(format!("pintle status tells no allocations:\n{text}"))
    }
}

fn size(settings: &Settings, verdicts: &mut Verdicts) {
    let bytes = fs::metadata(&settings.pintle).map(|data| data.len()).unwrap_or(0);
    println!(
        "\nSize of the binary: {bytes} bytes   limit 458752 {}",
        verdicts.check("size, bytes", bytes as f64, 458_752.0)
    );
}

fn run() -> Result<Verdicts, String> {
    let settings = Settings::from_arguments()?;
    // Keeps the guard's pipe open until this process is gone.
    let _guard = guard::start()?;
    let mut verdicts = Verdicts { over: vec![] };
    let mut managers = vec![];
    for manager in ALL {
        match manager.missing() {
            None => managers.push(manager),
            Some(hint) if settings.wants(manager) => {
                println!("{} is not measured: not installed ({hint})", manager.name())
            }
            Some(_) => {}
        }
    }
    // Fails early, with the reason.
    drop(Group::new()?);
    println!("medians of {} interleaved runs; ratios to the bare loop", settings.runs);

    if settings.wants_part("start") {
        let workload = Workload::Longruns { count: 1000, log: Log::Null };
        let limits = [Some(1.5), Some(1.5), Some(1.2), Some(1.2)];
        times(
            &settings,
            &mut verdicts,
            &managers,
            "1,000 independent longruns, until every process has begun; until all are gone",
            workload,
            limits,
        );
    }
    if settings.wants_part("ready") {
        let limits = [Some(1.8), Some(1.8), None, None];
        times(
            &settings,
            &mut verdicts,
            &managers,
            "1,000 longruns with readiness by descriptor, until all are up",
            Workload::Ready { count: 1000 },
            limits,
        );
    }
    if settings.wants_part("chain") {
        let limits = [Some(1.6), Some(1.6), None, None];
        times(
            &settings,
            &mut verdicts,
            &managers,
            "A chain of 1,000 oneshots",
            Workload::Layers { layers: 1000, width: 1 },
            limits,
        );
    }
    if settings.wants_part("layers") {
        let limits = [Some(1.6), Some(1.6), None, None];
        let title = "10 layers of 100 oneshots, each needing all of the layer before";
        times(&settings, &mut verdicts, &managers, title, Workload::Layers { layers: 10, width: 100 }, limits);
    }
    if settings.wants_part("growth") {
        growth(&settings, &mut verdicts, &managers);
    }
    if settings.wants_part("memory") {
        memory(&settings, &mut verdicts, &managers);
    }
    if settings.wants_part("many") && settings.wants(Manager::Pintle) {
        many(&settings, &mut verdicts);
    }
    if settings.wants_part("replacement") && settings.wants(Manager::Pintle) {
        lives::replacement(&settings, &mut verdicts, &managers)?;
    }
    if settings.wants_part("environment") && settings.wants(Manager::Pintle) {
        lives::environment(&settings, &mut verdicts)?;
    }
    if settings.wants_part("share") && settings.wants(Manager::Pintle) {
        lives::share(&settings, &mut verdicts)?;
    }
    if settings.wants_part("events") && settings.wants(Manager::Pintle) {
        events::measure(&settings, &mut verdicts)?;
    }
    if settings.wants_part("logs") && settings.wants(Manager::Pintle) {
        logs::measure(&settings, &mut verdicts)?;
    }
    if settings.wants_part("idle") {
        idle(&settings, &mut verdicts, &managers);
    }
    if settings.wants_part("size") {
        size(&settings, &mut verdicts);
    }
    Ok(verdicts)
}

/// 0: every limit kept; 1: one or more not kept; 100: misuse or a machine that cannot measure.
fn main() -> ExitCode {
    if let Some(bench) = guard::asked_for() {
        return guard::wait_and_clean(&bench);
    }
    match run() {
        Ok(verdicts) if verdicts.over.is_empty() => ExitCode::SUCCESS,
        Ok(verdicts) => {
            println!("\nNot kept:");
            verdicts.over.iter().for_each(|line| println!("  {line}"));
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(100)
        }
    }
}
