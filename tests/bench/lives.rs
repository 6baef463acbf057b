//! What a life of a service costs beside the plain one: from its death until the next has begun, with an environment of
//! its own, and in memory of the supervisor.

use crate::managers::{self, Log, Manager, Plan, Stop, Workload};
use crate::place::{Place, count_marks};
use crate::{Running, Settings, Verdicts, median, milliseconds, sum_of};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A death with nothing else to do in between.
const REST: Duration = Duration::from_millis(5);
/// s6 and runit start nothing twice within a second.
const LONG_REST: Duration = Duration::from_millis(2_100);
/// Deaths of each in a run.
const DEATHS: usize = 200;
const FEW_DEATHS: usize = 4;

/// Kill to replacement running, without a delay: all of them up at the same time, each killed in its turn.
pub fn replacement(settings: &Settings, verdicts: &mut Verdicts, all: &[Manager]) -> Result<(), String> {
    println!("\nFrom the SIGKILL of a service until the next process has begun (milliseconds)");
    println!("  {:<12}{:>10}{:>10}{:>10}{:>10}", "", "deaths", "median", "99th", "ratio");
    let is_meant = |manager: &Manager| {
        !matches!(manager, Manager::Sessions | Manager::Groups | Manager::Openrc) && settings.wants(*manager)
    };
    let mut running = vec![];
    for manager in all.iter().copied().filter(is_meant) {
        let one = replaced(settings, manager).and_then(|(place, plan)| Running::run(manager, place, plan, 1))?;
        let marks = one.place.open_fifo()?;
        running.push((manager, one, marks, vec![]));
    }
    for round in 0..DEATHS * settings.runs {
        let is_slow = round % (DEATHS / FEW_DEATHS) == 0;
        sleep(if is_slow { LONG_REST } else { REST });
        for (manager, one, marks, times) in &mut running {
            if is_slow || !matches!(manager, Manager::S6 | Manager::Runit) {
                times.push(once(manager, one, marks)?);
            }
        }
    }
    let mut base = f64::NAN;
    for (manager, _, _, times) in &mut running {
        let middle = median(times); // which sorts them
        let late = times[(times.len() * 99).div_ceil(100) - 1];
        if *manager == Manager::Bare {
            base = middle;
        }
        let ratio = middle / base;
        print!("  {:<12}{:>10}{middle:>10.3}{late:>10.3}{ratio:>10.2}", manager.name(), times.len());
        if *manager == Manager::Pintle {
            print!("   limit 1.50 {}", verdicts.check("kill to replacement, of a bare loop that does it", ratio, 1.5));
        }
        println!();
    }
    Ok(())
}

/// One service that is started again at once, whenever and however often it dies.
fn replaced(settings: &Settings, manager: Manager) -> Result<(Place, Plan), String> {
    let place = Place::new(manager.name().split(' ').next().unwrap_or("x"), &settings.programs, &settings.pintle)?;
    let (program, fifo) = (place.program("pause"), place.fifo());
    let plan = match manager {
        Manager::Pintle => {
            let text = format!("command = {program} {fifo}\nlog = null\nrestart-delay = 0\nrestart-limit = 0\n");
            managers::write(&place.directory("services")?.join("s.svc"), &text)?;
            managers::pintle_of(&place, &["s".to_string()])?
        }
        Manager::Bare => {
            let command = ["again", "1", &program, &fifo].map(str::to_string);
            let command = [place.program("bare")].into_iter().chain(command).collect();
            Plan { command, environment: vec![], stop: Stop::Kill, watcher: None }
        }
        Manager::Dinit => {
            let workload = Workload::Longruns { count: 1, log: Log::Null };
            let plan = manager.prepare(&place, workload)?;
            let file = place.directory("services")?.join("s0000");
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            managers::write(&file, &(text + "restart-limit-count = 0\n"))?;
            plan.ok_or("dinit has longruns")?
        }
        _ => manager.prepare(&place, Workload::Longruns { count: 1, log: Log::Null })?.ok_or("it has longruns")?,
    };
    Ok((place, plan))
}

/// Kills the service and waits for the mark of the next process. Milliseconds.
fn once(manager: &Manager, one: &Running, marks: &mut File) -> Result<f64, String> {
    let program = one.place.program("pause");
    let is_service =
        |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.as_os_str() == &*program);
    let service = one.group.pids().into_iter().find(is_service).ok_or(format!("{}: no service", manager.name()))?;
    let begin = Instant::now();
    // SAFETY: a pid, which the manager has not waited for, since it lives.
    unsafe { libc::kill(service, libc::SIGKILL) };
    let mut poll = libc::pollfd { fd: marks.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, which lives here.
    unsafe { libc::poll(&raw mut poll, 1, 10_000) };
    let time = milliseconds(begin.elapsed());
    count_marks(marks, 1, Duration::from_secs(1)).map_err(|_| format!("{}: no next life", manager.name()))?;
    Ok(time)
}

/// The keys of a service whose process is set up in the memory that it shares with the supervisor.
const FAST: &str = "user = nobody\ngroup = nogroup\ndirectory = /usr\numask = 027\n\
                    limit-nofile = 512\nlimit-core = 0\n";
/// More of them: the chain-loader's, without namespaces.
const RICH: &str = "oom-score-adj = 100\nnice = 5\nio-priority = best-effort:5\nscheduler = batch\ncpus = 0-1\n\
                    personality = addr-no-randomize\ntimer-slack = 1ms\ncapabilities = NET_BIND_SERVICE\n\
                    ambient-capabilities = NET_BIND_SERVICE\nno-new-privileges = yes\nunset-env = NOTHING\n\
                    make-directory = /dev/shm/pintle-bench-made\n";
/// Besides, a view of the files of its own.
const APART: &str = "private = ipc uts tmp\nread-only = /usr\ninaccessible = /boot\n";
/// The same and what the kernel takes long for.
const ALONE: &str = "private = ipc uts tmp net dev\nread-only = /usr\ninaccessible = /boot\n";

/// A start of 1,000 services with ever more of an environment, of the start of as many without.
pub fn environment(settings: &Settings, verdicts: &mut Verdicts) -> Result<(), String> {
    const COUNT: usize = 1000;
    println!("\nThe start of 1,000 longruns with an environment of their own, of the plain start");
    println!("  {:<34}{:>12} ms   ratio{:>12} ms   ratio", "", "wall", "cpu");
    let kinds: [(&str, &[&str], Option<f64>); 5] = [
        ("plain", &[], None),
        ("user, groups, limits and such", &[FAST], Some(1.2)),
        ("what the chain-loader does", &[FAST, RICH], Some(2.5)),
        ("with mounts of its own", &[FAST, RICH, APART], Some(2.5)),
        ("with a network and a /dev", &[FAST, RICH, ALONE], None),
    ];
    let mut spent = kinds.map(|_| [vec![], vec![]]);
    for _ in 0..settings.runs {
        for ((_, keys, _), spent) in kinds.iter().zip(&mut spent) {
            let place = Place::new("lives", &settings.programs, &settings.pintle)?;
            let source = place.directory("services")?;
            // Other users may not get to where it was built, nor see what is below /tmp where that is private.
            let (program, fifo) = (place.path("pause"), place.fifo());
            fs::copy(place.program("pause"), &program).map_err(|error| error.to_string())?;
            let keys = keys.concat();
            let inside = if keys.contains("private") {
                format!("bind = {0}:{0}", place.path("").display())
            } else {
                String::new()
            };
            let mut names = vec![];
            for at in 0..COUNT {
                let text = format!("command = {} {fifo}\nlog = null\n{inside}\n{keys}", program.display());
                names.push(format!("s{at:04}"));
                managers::write(&source.join(format!("s{at:04}.svc")), &text)?;
            }
            let plan = managers::pintle_of(&place, &names)?;
            let running = Running::run(Manager::Pintle, place, plan, COUNT)?;
            spent[0].push(running.start.wall_ms);
            spent[1].push(running.start.cpu_ms);
            running.stop(Manager::Pintle)?;
        }
    }
    let medians = spent.map(|spent| spent.map(|mut values| median(&mut values)));
    for ((name, _, limit), row) in kinds.iter().zip(medians) {
        let ratios = [row[0] / medians[0][0], row[1] / medians[0][1]];
        print!("  {name:<34}{:>15.1} {:>7.2}{:>15.1} {:>7.2}", row[0], ratios[0], row[1], ratios[1]);
        if let Some(limit) = limit {
            let verdict = verdicts.check(&format!("start {name}, of the plain one, wall"), ratios[0], *limit);
            print!("   limit {limit} {verdict}");
        }
        println!();
    }
    Ok(())
}

/// Memory of the supervisor's own by the service: what more of them take.
pub fn share(settings: &Settings, verdicts: &mut Verdicts) -> Result<(), String> {
    const COUNTS: [usize; 3] = [1_000, 5_000, 10_000];
    println!("\nMemory of the supervisor, and CPU of the start by the service");
    println!("  {:>8}{:>14}{:>22}{:>14}", "services", "PSS, bytes", "bytes a service more", "us a service");
    let mut before: Option<(usize, f64)> = None;
    let mut first = None;
    for count in COUNTS {
        let (mut sizes, mut times) = (vec![], vec![]);
        for _ in 0..settings.runs {
            let workload = Workload::Longruns { count, log: Log::Null };
            let running = Running::start(settings, Manager::Pintle, workload)?.ok_or("it has longruns")?;
            sleep(Duration::from_millis(300)); // what has ended gives its memory back
            let supervisor = [running.child.id() as i32];
            sizes.push(sum_of(&supervisor, "smaps_rollup", &["Pss:"]) as f64 * 1024.0);
            times.push(running.start.cpu_ms * 1000.0 / count as f64);
            running.stop(Manager::Pintle)?;
        }
        let (size, time) = (median(&mut sizes), median(&mut times));
        print!("  {count:>8}{size:>14.0}");
        if let Some((fewer, less)) = before {
            let each = (size - less) / (count - fewer) as f64;
            print!("{each:>22.1}{time:>14.1}   limit 256 ");
            print!("{}", verdicts.check(&format!("memory of a service more, bytes, at {count}"), each, 256.0));
        } else {
            print!("{:>22}{time:>14.1}", "");
        }
        println!();
        before = Some((count, size));
        first.get_or_insert(time);
    }
    Ok(())
}
