//! The service managers that are measured, each told the same thing in its own language: which programs to run, in
//! which order. Restart delays are zero everywhere. What is done before the clock starts is what each of them does
//! before a boot (compiling a database, writing directories).

use crate::Place;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What is to run. Programs append a byte to the place's FIFO when they have begun (or all are up), and the clock stops
/// at the last byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Independent daemons; a byte from each that has begun.
    Longruns { count: usize, log: Log },
    /// Daemons that tell readiness by descriptor 3; one byte when all are up.
    Ready { count: usize },
    /// Layers of commands that end at once, each needing every one of the layer before; a byte from each.
    Layers { layers: usize, width: usize },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Log {
    Null,
    File,
}

impl Workload {
    pub fn bytes(&self) -> usize {
        match *self {
            Workload::Longruns { count, .. } => count,
            Workload::Ready { .. } => 1,
            Workload::Layers { layers, width } => layers * width,
        }
    }

    /// True if something keeps running, so that there is something to stop.
    pub fn stays(&self) -> bool {
        !matches!(self, Workload::Layers { .. })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    Bare,
    /// The bare loop with a session for each program, as service managers have them: what the kernel takes for that.
    Sessions,
    Pintle,
    /// Pintle with a control group for each service, which none of the others makes.
    Groups,
    Dinit,
    Runit,
    S6,
    Openrc,
}

pub const ALL: [Manager; 8] = [
    Manager::Bare,
    Manager::Sessions,
    Manager::Pintle,
    Manager::Groups,
    Manager::Dinit,
    Manager::Runit,
    Manager::S6,
    Manager::Openrc,
];

/// How to run what was prepared.
pub struct Plan {
    pub command: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub stop: Stop,
    /// A command run beside the manager, whose end is the byte of `Workload::Ready` where the manager cannot write it.
    pub watcher: Option<Vec<String>>,
}

pub enum Stop {
    /// The manager ends everything on this signal.
    Signal(i32),
    /// This command ends everything.
    Command(Vec<String>),
    /// Not measured: everything is killed.
    Kill,
}

impl Manager {
    pub fn name(&self) -> &'static str {
        match self {
            Manager::Bare => "bare loop",
            Manager::Sessions => "  sessions",
            Manager::Pintle => "pintle",
            Manager::Groups => "  groups",
            Manager::Dinit => "dinit",
            Manager::Runit => "runit",
            Manager::S6 => "s6-svscan",
            Manager::Openrc => "openrc",
        }
    }

    /// None if it can be measured here, else how to get it.
    pub fn missing(&self) -> Option<&'static str> {
        let (program, hint) = match self {
            Manager::Bare | Manager::Sessions | Manager::Pintle | Manager::Groups => return None,
            Manager::Dinit => ("dinit", "apt-get install dinit (Debian 13), or apk add dinit"),
            Manager::Runit => ("runsvdir", "apt-get install --no-install-recommends runit"),
            Manager::S6 => ("s6-svscan", "apt-get install --no-install-recommends s6"),
            Manager::Openrc => ("openrc-run", "apt-get install openrc, in a machine that may change its init"),
        };
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        if path.split(':').any(|directory| Path::new(directory).join(program).exists()) { None } else { Some(hint) }
    }

    /// How long a start or a stop may take before the manager is given up.
    pub fn time_limit(&self) -> Duration {
        Duration::from_secs(if *self == Manager::Openrc { 180 } else { 60 })
    }

    /// Writes what the manager reads. Ok(None): it has no way to express the workload.
    pub fn prepare(&self, place: &Place, workload: Workload) -> Result<Option<Plan>, String> {
        let made = match self {
            Manager::Bare => Ok(Some(bare(place, workload, "spawn"))),
            Manager::Sessions if matches!(workload, Workload::Longruns { log: Log::Null, .. }) => {
                Ok(Some(bare(place, workload, "sessions")))
            }
            Manager::Sessions => Ok(None),
            Manager::Pintle => pintle(place, workload).map(Some),
            Manager::Groups if matches!(workload, Workload::Longruns { log: Log::Null, .. }) => pintle(place, workload)
                .map(|mut plan| {
                    plan.command.retain(|word| word != NO_GROUPS);
                    Some(plan)
                }),
            Manager::Groups => Ok(None),
            Manager::Dinit => dinit(place, workload).map(Some),
            Manager::Runit => runit(place, workload),
            Manager::S6 => s6(place, workload),
            Manager::Openrc => openrc(place, workload),
        };
        made.map_err(|error| format!("{}: {error}", self.name()))
    }
}

/// What is measured against a bare loop makes no more than that.
const NO_GROUPS: &str = "--no-cgroups";

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| word.to_string()).collect()
}

fn io_error(error: io::Error) -> String {
    error.to_string()
}

pub fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn write_script(path: &Path, text: &str) -> Result<(), String> {
    write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(io_error)
}

fn bare(place: &Place, workload: Workload, mode: &str) -> Plan {
    let bare = place.program("bare");
    let fifo = place.fifo();
    let command = match workload {
        Workload::Longruns { count, .. } => words(&[&bare, mode, &count.to_string(), &place.program("pause"), &fifo]),
        Workload::Ready { count } => words(&[&bare, "ready", &count.to_string(), &fifo, &place.program("ready"), "3"]),
        Workload::Layers { layers, width } => {
            words(&[&bare, "layers", &layers.to_string(), &width.to_string(), &place.program("exit"), "0", &fifo])
        }
    };
    Plan { command, environment: vec![], stop: Stop::Signal(libc::SIGTERM), watcher: None }
}

fn pintle(place: &Place, workload: Workload) -> Result<Plan, String> {
    let source = place.directory("services")?;
    let fifo = place.fifo();
    let mut names = vec![];
    let mut service = |name: String, text: String| -> Result<(), String> {
        write(&source.join(format!("{name}.svc")), &text)?;
        names.push(name);
        Ok(())
    };
    match workload {
        Workload::Longruns { count, log } => {
            let log = match log {
                Log::Null => "null",
                Log::File => "file",
            };
            for i in 0..count {
                let text = format!("type = longrun\ncommand = {} {fifo}\nlog = {log}\n", place.program("pause"));
                service(format!("s{i:04}"), text)?;
            }
        }
        Workload::Ready { count } => {
            let mut all = String::new();
            for i in 0..count {
                let text =
                    format!("type = longrun\ncommand = {} 3\nready = fd 3\nlog = null\n", place.program("ready"));
                service(format!("s{i:04}"), text)?;
                all += &format!(" s{i:04}");
            }
            // A long value goes on in indented lines.
            let all = all.replace(" s", "\n    s");
            let text =
                format!("type = oneshot\ncommand = {} 0 {fifo}\nlog = null\nneeds ={all}\n", place.program("exit"));
            service("all".into(), text)?;
        }
        Workload::Layers { layers, width } => {
            for layer in 0..layers {
                let needs: String = match layer {
                    0 => String::new(),
                    _ => {
                        "needs =".to_string()
                            + &(0..width).map(|i| format!("\n    s{:03}-{i:03}", layer - 1)).collect::<String>()
                            + "\n"
                    }
                };
                for i in 0..width {
                    let text =
                        format!("type = oneshot\ncommand = {} 0 {fifo}\nlog = null\n{needs}", place.program("exit"));
                    service(format!("s{layer:03}-{i:03}"), text)?;
                }
            }
        }
    }
    pintle_of(place, &names)
}

/// Pintle over the service files that are written already, booted into all of these.
pub fn pintle_of(place: &Place, names: &[String]) -> Result<Plan, String> {
    let source = place.directory("services")?;
    let contains: String = names.iter().map(|name| format!("\n    {name}")).collect();
    write(&source.join("default.svc"), &format!("type = bundle\ncontains ={contains}\n"))?;

    let database = place.path("boot.db");
    let compile =
        Command::new(&place.pintle).arg("compile").arg(&source).arg("-o").arg(&database).output().map_err(io_error)?;
    if !compile.status.success() {
        let text = String::from_utf8_lossy(&compile.stderr);
        return Err(format!("compile failed: {}", text.lines().take(12).collect::<Vec<_>>().join("\n")));
    }
    let (run, logs) = (place.run_directory()?, place.directory("logs")?);
    let text = |path: &Path| path.display().to_string();
    let command = words(&[
        &place.pintle,
        "supervise",
        "--db",
        &text(&database),
        "--run",
        &text(&run),
        "--log-dir",
        &text(&logs),
        NO_GROUPS,
        "default",
    ]);
    let environment = vec![("PINTLE_RUN".to_string(), text(&run))];
    Ok(Plan { command, environment, stop: Stop::Signal(libc::SIGTERM), watcher: None })
}

fn dinit(place: &Place, workload: Workload) -> Result<Plan, String> {
    let source = place.directory("services")?;
    let fifo = place.fifo();
    let mut boot = String::from("type = internal\n");
    match workload {
        Workload::Longruns { count, log } => {
            for i in 0..count {
                let mut text = format!(
                    "type = process\ncommand = {} {fifo}\nrestart = true\nrestart-delay = 0\n",
                    place.program("pause")
                );
                if log == Log::File {
                    text += &format!("logfile = {}/s{i:04}.log\n", place.directory("logs")?.display());
                }
                write(&source.join(format!("s{i:04}")), &text)?;
                boot += &format!("waits-for = s{i:04}\n");
            }
        }
        Workload::Ready { count } => {
            let mut all = format!("type = scripted\ncommand = {} 0 {fifo}\n", place.program("exit"));
            for i in 0..count {
                let text = format!(
                    "type = process\ncommand = {} 3\nready-notification = pipefd:3\nrestart-delay = 0\n",
                    place.program("ready")
                );
                write(&source.join(format!("s{i:04}")), &text)?;
                all += &format!("depends-on = s{i:04}\n");
            }
            write(&source.join("all"), &all)?;
            boot += "waits-for = all\n";
        }
        Workload::Layers { layers, width } => {
            for layer in 0..layers {
                let needs: String = match layer {
                    0 => String::new(),
                    _ => (0..width).map(|i| format!("depends-on = s{:03}-{i:03}\n", layer - 1)).collect(),
                };
                for i in 0..width {
                    let text = format!("type = scripted\ncommand = {} 0 {fifo}\n{needs}", place.program("exit"));
                    write(&source.join(format!("s{layer:03}-{i:03}")), &text)?;
                    boot += &format!("waits-for = s{layer:03}-{i:03}\n");
                }
            }
        }
    }
    write(&source.join("boot"), &boot)?;
    let socket = place.path("dinit.socket").display().to_string();
    let command = words(&["dinit", "-u", "-q", "-d", &source.display().to_string(), "-p", &socket, "boot"]);
    Ok(Plan { command, environment: vec![], stop: Stop::Signal(libc::SIGTERM), watcher: None })
}

/// Scan directories, as runit and s6 have them, in memory as /run/service is. `run` is the program itself, not a shell
/// script that executes it: the manager is measured, not the shell.
fn scan_directory(place: &Place, count: usize, program: &str) -> Result<std::path::PathBuf, String> {
    let scan = place.run_directory()?.join("scan");
    for i in 0..count {
        let service = scan.join(format!("s{i:04}"));
        fs::create_dir_all(&service).map_err(io_error)?;
        symlink(place.program(program), service.join("run")).map_err(io_error)?;
    }
    Ok(scan)
}

/// Where programs that get no arguments put their mark.
fn mark_variable(place: &Place) -> Vec<(String, String)> {
    vec![("MARK".to_string(), place.fifo())]
}

fn runit(place: &Place, workload: Workload) -> Result<Option<Plan>, String> {
    // runsvdir looks after 1,000 directories at most, and its programs tell no readiness.
    let Workload::Longruns { count: count @ ..=1000, log: Log::Null } = workload else { return Ok(None) };
    let scan = scan_directory(place, count, "pause")?;
    // runsvdir itself leaves the runsv processes behind when it ends; sv asks each of them to end its service and
    // itself.
    let exit = format!("sv -w 30 force-shutdown {}/*", scan.display());
    let stop = Stop::Command(words(&["/bin/sh", "-c", &format!("kill $MANAGER; {exit}")]));
    Ok(Some(Plan {
        command: words(&["runsvdir", &scan.display().to_string()]),
        environment: mark_variable(place),
        stop,
        watcher: None,
    }))
}

fn s6(place: &Place, workload: Workload) -> Result<Option<Plan>, String> {
    let (scan, watcher) = match workload {
        Workload::Longruns { count: count @ ..=1000, log: Log::Null } => (scan_directory(place, count, "pause")?, None),
        Workload::Ready { count: count @ ..=1000 } => {
            let scan = scan_directory(place, count, "ready")?;
            for i in 0..count {
                write(&scan.join(format!("s{i:04}/notification-fd")), "3\n")?;
            }
            // s6-svwait needs the directories that s6-supervise makes, so it asks again until they are there.
            let wait = format!(
                "cd {} && until s6-svwait -U -t 60000 * 2>/dev/null; do sleep 0.02; done; exec {} 0 {}",
                scan.display(),
                place.program("exit"),
                place.fifo()
            );
            (scan, Some(words(&["/bin/sh", "-c", &wait])))
        }
        _ => return Ok(None),
    };
    let command = words(&["s6-svscan", "-c", "1000", &scan.display().to_string()]);
    Ok(Some(Plan { command, environment: mark_variable(place), stop: Stop::Signal(libc::SIGTERM), watcher }))
}

/// OpenRC reads only /etc and /run, and moves what it starts into control groups of its own: it gets a mount namespace,
/// where those are not to be seen, and a pid namespace, so that nothing of it is left. Its daemons are run by
/// supervise-daemon, whose restart delay is zero unless set; only the daemons are asked for, since it takes its time.
fn openrc(place: &Place, workload: Workload) -> Result<Option<Plan>, String> {
    let Workload::Longruns { count, log: Log::Null } = workload else { return Ok(None) };
    let source = place.directory("init.d")?;
    let levels = place.directory("runlevels")?;
    for level in ["boot", "default", "sysinit", "shutdown", "nonetwork"] {
        fs::create_dir_all(levels.join(level)).map_err(io_error)?;
    }
    for i in 0..count {
        let text = format!(
            "#!/sbin/openrc-run\nsupervisor=supervise-daemon\ncommand={}\ncommand_args={}\n",
            place.program("pause"),
            place.fifo()
        );
        write_script(&source.join(format!("s{i:04}")), &text)?;
        symlink(format!("/etc/init.d/s{i:04}"), levels.join(format!("default/s{i:04}"))).map_err(io_error)?;
    }
    let script = format!(
        "mount -t tmpfs none /run && mount -t tmpfs none /sys/fs/cgroup && mount --bind {} /etc/init.d && mount --bind {} /etc/runlevels && mkdir -p /run/openrc && \
         echo boot >/run/openrc/softlevel && openrc default; exec sleep 1000",
        source.display(),
        levels.display()
    );
    let namespaces = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let mut command = words(&["unshare"]);
    command.extend(words(&namespaces));
    command.extend(words(&["/bin/sh", "-c", &script]));
    Ok(Some(Plan { command, environment: vec![], stop: Stop::Kill, watcher: None }))
}
