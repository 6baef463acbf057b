//! The logger against s6-log on the same lines in the same run: how fast one service's lines are taken, and what 100
//! services cost that each say a line now and then. s6-log is one process a service. Both write files with ISO 8601
//! stamps, turned over at 1 MB.

use crate::bare::Bare;
use crate::place::Place;
use crate::{Settings, Verdicts, median};
use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LINE: &[u8] = b"203.0.113.7 - - GET /index.html HTTP/1.1 200 5120 some agent of about this length\n";
/// Lines of one service that says as much as it can, 64 MB.
const LINES: usize = 800_000;
/// Services that say a line each, so often, with a pause between: a busy machine, not a flood.
const SERVICES: usize = 100;
const ROUNDS: usize = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// Seconds until all has been taken, and seconds of processor time of all loggers.
type Cost = [f64; 2];

pub fn measure(settings: &Settings, verdicts: &mut Verdicts) -> Result<(), String> {
    if Command::new("s6-log").arg("1").stdin(Stdio::null()).status().is_err() {
        println!("\ns6-log is not measured: not installed (apt-get install --no-install-recommends s6)");
        return Ok(());
    }
    println!("\nLogs: pintle-log, and s6-log with a process a service");
    let flood = |pipes: &mut [File]| {
        let many = LINE.repeat(100);
        (0..LINES / 100).try_for_each(|_| pipes[0].write_all(&many))
    };
    let trickle = |pipes: &mut [File]| {
        (0..ROUNDS).try_for_each(|_| {
            std::thread::sleep(PAUSE);
            pipes.iter_mut().try_for_each(|pipe| pipe.write_all(LINE))
        })
    };
    type Say<'s> = &'s dyn Fn(&mut [File]) -> std::io::Result<()>;
    let parts: [(&str, usize, Say<'_>, usize); 2] = [
        ("one service, 800,000 lines, seconds", 1, &flood, 0),
        ("100 services, 200 lines each, processor seconds", SERVICES, &trickle, 1),
    ];
    for (title, services, say, which) in parts {
        let mut costs = [vec![], vec![]];
        for _ in 0..settings.runs {
            costs[0].push(ours(settings, services, say)?[which]);
            costs[1].push(theirs(settings, services, say)?[which]);
        }
        let [ours, theirs] = costs.map(|mut costs| median(&mut costs));
        let (ratio, limit) = (ours / theirs, [1.0, 0.5][which]);
        println!(
            "  {title:<50}{ours:>8.3}{theirs:>8.3}   ratio {ratio:.2}, limit {limit} {}",
            verdicts.check(title, ratio, limit)
        );
    }
    Ok(())
}

fn ours(
    settings: &Settings,
    services: usize,
    say: &dyn Fn(&mut [File]) -> std::io::Result<()>,
) -> Result<Cost, String> {
    let place = Place::new("logs", &settings.programs, &settings.pintle)?;
    let bare = Bare::new(services);
    let directory = place.directory("pintle")?;
    let logger = bare.start(Command::new(&settings.pintle), &directory, &[0; 8], false);
    let mut pipes = vec![];
    for [_, write] in &bare.pipes {
        pipes.push(File::from(write.try_clone().expect("a descriptor")));
    }
    let start = Instant::now();
    let said = say(&mut pipes).map_err(|error| error.to_string());
    drop(pipes);
    bare.close();
    let cpu = ended(logger)?;
    said?;
    Ok([start.elapsed().as_secs_f64(), cpu])
}

fn theirs(
    settings: &Settings,
    services: usize,
    say: &dyn Fn(&mut [File]) -> std::io::Result<()>,
) -> Result<Cost, String> {
    let place = Place::new("logs", &settings.programs, &settings.pintle)?;
    let (mut loggers, mut pipes) = (vec![], vec![]);
    for service in 0..services {
        let directory = place.directory(&format!("s6-{service}"))?;
        let mut logger = Command::new("s6-log");
        logger.args(["T", "s1048576", "n3"]).arg(directory).stdin(Stdio::piped());
        let mut logger = logger.spawn().map_err(|error| error.to_string())?;
        pipes.push(File::from(std::os::fd::OwnedFd::from(logger.stdin.take().expect("piped"))));
        loggers.push(logger);
    }
    let start = Instant::now();
    say(&mut pipes).map_err(|error| error.to_string())?;
    drop(pipes);
    let cpu = loggers.into_iter().try_fold(0.0, |sum, logger| Ok::<f64, String>(sum + ended(logger)?))?;
    Ok([start.elapsed().as_secs_f64(), cpu])
}

/// Waits for the end of a logger; gives the processor time of its life, in seconds.
fn ended(logger: Child) -> Result<f64, String> {
    // SAFETY: the kernel fills in both; zeros are valid.
    let (status, usage) = unsafe {
        let (mut status, mut usage) = (0, std::mem::zeroed::<libc::rusage>());
        assert!(libc::wait4(logger.id() as i32, &raw mut status, 0, &raw mut usage) > 0, "our child");
        (status, usage)
    };
    if status != 0 {
        return Err(format!("a logger ended with {status}"));
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}
