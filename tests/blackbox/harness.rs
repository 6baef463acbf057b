//! A machine to test on: service files, a database, a supervisor, and the commands.

#![allow(dead_code)] // Not every test uses everything.

use serde_json::Value;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long a state is waited for: much longer than it takes, since machines are slow at times, or stand still.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("PINTLE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_pintle").into());
    std::path::absolute(path).expect("a path")
}

/// The binary, with nothing of pintle's in its environment.
pub fn command() -> Command {
    command_at(&binary())
}

fn command_at(path: &Path) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PINTLE_")) {
        command.env_remove(name);
    }
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// The same as another user, in this group alone, runs it, for root's tests. What is executed is a descriptor: where the
/// binary was built (in /root, say) others may not get to its name.
pub fn command_of(uid: u32, gid: u32) -> Command {
    const BINARY: i32 = 99;
    let path = std::ffi::CString::new(binary().into_os_string().into_encoded_bytes()).expect("no NUL");
    let mut other = command_at(Path::new(&format!("/proc/self/fd/{BINARY}")));
    other.arg0("pintle");
    // SAFETY: between fork and exec only open, dup2, setgroups, setgid, setuid: all async-signal-safe, nothing is allocated.
    unsafe {
        other.pre_exec(move || {
            let opened = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            let dropped = opened >= 0
                && libc::dup2(opened, BINARY) == BINARY
                && libc::setgroups(0, std::ptr::null()) == 0
                && libc::setgid(gid) == 0
                && libc::setuid(uid) == 0;
            if dropped { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        })
    };
    other
}

/// Does something as another user, in these groups, the first of which is the user's own, for root's tests: in a thread
/// of its own, which alone changes.
pub fn as_user<T: Send>(uid: u32, groups: &[u32], work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let working = scope.spawn(|| {
            let (own, keep) = (groups[0], u32::MAX);
            // SAFETY: the kernel reads the list; libc's functions would change all threads.
            unsafe {
                assert_eq!(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()), 0, "only root can");
                assert_eq!(libc::syscall(libc::SYS_setresgid, own, own, keep), 0);
                assert_eq!(libc::syscall(libc::SYS_setresuid, uid, uid, keep), 0);
            }
            work()
        });
        working.join().expect("it was done")
    })
}

/// One of the small programs of `tests/programs`: from `$PINTLE_PROGRAMS`, else compiled here with cc.
pub fn program(name: &str) -> String {
    if let Some(folder) = std::env::var_os("PINTLE_PROGRAMS") {
        let path = std::path::absolute(Path::new(&folder).join(name)).expect("a path");
        return path.to_str().expect("a path in UTF-8").to_string();
    }
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
    std::fs::create_dir_all(&made).expect("a folder for programs");
    let (target, fresh) = (made.join(name), made.join(format!("{name}.{}.{}", std::process::id(), next())));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/programs/{name}.c"));
    let age = |path: &Path| std::fs::metadata(path).and_then(|status| status.modified()).ok();
    if age(&target) < age(&source).max(age(&source.with_file_name("common.h"))) {
        let done = Command::new("cc").args(["-std=c11", "-O1", "-o"]).arg(&fresh).arg(&source).status().expect("cc");
        assert!(done.success(), "cc {}", source.display());
        // Several tests may make it at the same time; each puts a whole one there.
        std::fs::rename(&fresh, &target).expect("renamed");
    }
    target.to_str().expect("a path in UTF-8").to_string()
}

/// The file of a service that stays until it is stopped, with these lines.
pub fn pause(keys: &str) -> String {
    format!("command = {}\n{keys}\n", program("pause"))
}

fn next() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Relaxed)
}

/// A directory of its own, removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    /// A fresh one, which other users may look into: daemons are users of their own.
    pub fn new() -> Folder {
        // SAFETY: no memory is involved.
        unsafe { libc::umask(0o022) };
        Folder::inside(&temporary())
    }

    /// The same in this directory.
    pub fn inside(place: &Path) -> Folder {
        loop {
            let path = place.join(format!("pintle-test-{}-{}", std::process::id(), next()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Folder(path),
                // Left by a test that was killed, whose process had our number.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    /// Writes a file; parents are made.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Writes these service files, and `access`, which is none, and compiles all that there are to `boot.db`.
    pub fn compile(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            let suffix = if *name == "access" { "" } else { ".svc" };
            self.write(&format!("services/{name}{suffix}"), text);
        }
        let (services, database) = (self.0.join("services"), self.0.join("boot.db"));
        let (services, database) = (services.to_str().expect("UTF-8"), database.to_str().expect("UTF-8"));
        let compiled = pintle(&["compile", services, "-o", database], &[]);
        assert_eq!(compiled.code, 0, "compile: {}{}", compiled.out, compiled.err);
    }
}

/// Where temporary directories are made: `$TMPDIR` or /tmp, or where other users do not get there or sockets' paths
/// would be too long (unix(7)), the usual place.
fn temporary() -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let open = |path: &Path| std::fs::metadata(path).is_ok_and(|status| status.permissions().mode() & 1 == 1);
    let wanted = std::path::absolute(std::env::temp_dir()).expect("a path");
    let good = wanted.as_os_str().len() <= 50 && wanted.ancestors().all(open);
    if good { wanted } else { PathBuf::from("/tmp") }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs the binary, with nothing of pintle's in the environment but what is given.
pub fn pintle(arguments: &[&str], environment: &[(&str, &OsStr)]) -> Ran {
    pintle_at(&binary(), arguments, environment)
}

/// The same of another file.
pub fn pintle_at(program: &Path, arguments: &[&str], environment: &[(&str, &OsStr)]) -> Ran {
    let command = &mut command_at(program);
    let output = command.args(arguments).envs(environment.iter().copied()).output().expect("the binary runs");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A supervisor with its engine and services.
pub struct Machine {
    pub folder: Folder,
    supervisor: RefCell<Child>,
    follow: RefCell<Option<UnixStream>>,
}

impl Machine {
    /// Compiles `NAME.svc` files and supervises the bundle `default` (made of all that is not in another bundle's name
    /// if `default` is not among the files). Returns when commands can be given.
    pub fn new(files: &[(&str, &str)]) -> Machine {
        Machine::with(files, &["default"])
    }

    /// The same with other arguments for `supervise`.
    pub fn with(files: &[(&str, &str)], arguments: &[&str]) -> Machine {
        Machine::of_program(&binary(), files, arguments)
    }

    /// With a supervisor that is another file.
    pub fn of_program(program: &Path, files: &[(&str, &str)], arguments: &[&str]) -> Machine {
        Machine::of(Folder::new(), command_at(program), files, arguments)
    }

    /// In a folder that is there already.
    pub fn inside(folder: Folder, files: &[(&str, &str)], arguments: &[&str]) -> Machine {
        Machine::of(folder, command(), files, arguments)
    }

    /// With this command, which is to become pintle, for its supervisor.
    pub fn of(folder: Folder, command: Command, files: &[(&str, &str)], arguments: &[&str]) -> Machine {
        if !files.iter().any(|(name, _)| *name == "default") {
            folder.write("services/default.svc", "type = bundle\n");
        }
        folder.compile(files);
        let supervisor = Machine::supervise(command, &folder, arguments);
        Machine { folder, supervisor: RefCell::new(supervisor), follow: RefCell::new(None) }
    }

    fn supervise(mut command: Command, folder: &Folder, arguments: &[&str]) -> Child {
        let (mut ready, told) = std::io::pipe().expect("a pipe");
        let told_number = told.as_raw_fd();
        let output = std::fs::OpenOptions::new().create(true).append(true).open(folder.0.join("supervisor.log"));
        let output = output.expect("a file for messages");
        command
            .arg("supervise")
            .args(["--db".as_ref(), folder.0.join("boot.db").as_os_str()])
            .args(["--run".as_ref(), folder.0.join("run").as_os_str()])
            .args(["--shutdown-timeout", "60s", "--ready-fd", "9"])
            .args(arguments)
            .stdout(output.try_clone().expect("a copy"))
            .stderr(output);
        // SAFETY: only system calls that may stand between fork and exec.
        unsafe {
            command.pre_exec(move || {
                // As a careless shell starts it.
                for signal in [libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGPIPE, 40] {
                    libc::signal(signal, libc::SIG_IGN);
                }
                let mut blocked = std::mem::zeroed();
                libc::sigemptyset(&mut blocked);
                libc::sigaddset(&mut blocked, libc::SIGTERM);
                libc::sigprocmask(libc::SIG_BLOCK, &blocked, std::ptr::null_mut());
                // Nothing is to outlive a test that is killed.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                // The pipe may be there already: then it only has to survive the exec.
                let placed =
                    if told_number == 9 { libc::fcntl(9, libc::F_SETFD, 0) } else { libc::dup2(told_number, 9) };
                if placed < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
            });
        }
        let child = command.spawn().expect("the supervisor starts");
        drop(told);
        let mut text = Vec::new();
        ready.read_to_end(&mut text).expect("readable");
        let log = || std::fs::read_to_string(folder.0.join("supervisor.log")).unwrap_or_default();
        assert_eq!(text, b"\n", "the supervisor did not come up:\n{}", log());
        child
    }

    /// The run directory.
    pub fn run_directory(&self) -> PathBuf {
        self.folder.0.join("run")
    }

    /// A command on this machine.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        pintle(arguments, &[("PINTLE_RUN", self.run_directory().as_os_str())])
    }

    /// The same, which is to succeed: what it prints.
    pub fn expect(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "pintle {arguments:?}: {}{}{}", ran.out, ran.err, self.messages());
        ran.out
    }

    /// A command that goes on by itself.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = command();
        command.args(arguments).env("PINTLE_RUN", self.run_directory());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
    }

    /// What supervisor, engine and services with `log = console` have said.
    pub fn messages(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("supervisor.log")).unwrap_or_default()
    }

    /// `pintle list --json`.
    pub fn services(&self) -> Vec<Value> {
        let text = self.expect(&["list", "--json"]);
        match serde_json::from_str(&text) {
            Ok(Value::Array(services)) => services,
            other => panic!("list --json gave {other:?}: {text}"),
        }
    }

    /// One of them.
    pub fn service(&self, name: &str) -> Value {
        let found = self.services().into_iter().find(|service| service["name"] == name);
        found.unwrap_or_else(|| panic!("no service {name}:\n{}", self.expect(&["list"])))
    }

    /// The phase of a service; empty where there is none of that name (an instance that is gone).
    pub fn phase(&self, name: &str) -> String {
        let found = self.services().into_iter().find(|service| service["name"] == name);
        found.and_then(|service| service["phase"].as_str().map(String::from)).unwrap_or_default()
    }

    /// The main process of a service, 0 for none.
    pub fn pid(&self, name: &str) -> u32 {
        self.service(name)["pid"].as_u64().unwrap_or(0) as u32
    }

    /// `pintle status --json`.
    pub fn status(&self) -> Value {
        let ran = self.run(&["status", "--json"]);
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("status --json: {error}: {}{}", ran.out, ran.err))
    }

    /// The engine's process. A new engine may answer before the supervisor has told its number: it is waited for.
    pub fn engine(&self) -> u32 {
        let mut pid = 0;
        self.wait("there is an engine", |machine| {
            // The run directory may be made anew just now.
            let told = serde_json::from_str(&machine.run(&["status", "--json"]).out).unwrap_or(Value::Null);
            pid = told["engine"]["pid"].as_u64().unwrap_or(0) as u32;
            pid != 0
        });
        pid
    }

    /// Waits until there is another engine than that process.
    pub fn wait_new_engine(&self, before: u32) {
        self.wait("there is another engine", |machine| machine.engine() != before);
    }

    /// The supervisor's process.
    pub fn supervisor(&self) -> u32 {
        self.supervisor.borrow().id()
    }

    /// Whether the supervisor has ended, and with which code.
    pub fn ended(&self) -> Option<i32> {
        let status = self.supervisor.borrow_mut().try_wait().expect("it is our child");
        status.map(|status| status.code().unwrap_or(-1))
    }

    /// Waits for a state: looks whenever a phase changes, and now and then.
    pub fn wait(&self, what: &str, mut reached: impl FnMut(&Machine) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !reached(self) {
            assert!(
                Instant::now() < end,
                "waited in vain until {what}:\n{}\n{}",
                self.run(&["list"]).out,
                self.messages()
            );
            self.news();
        }
    }

    /// Returns when something has changed, or after a moment.
    fn news(&self) {
        const MOMENT: Duration = Duration::from_millis(50);
        let mut follow = self.follow.borrow_mut();
        if follow.is_none() {
            let fresh = UnixStream::connect(self.run_directory().join("control")).ok();
            *follow = fresh.and_then(|mut stream| {
                stream.set_read_timeout(Some(MOMENT)).ok()?;
                stream.write_all(b"follow\n").ok()?;
                Some(stream)
            });
        }
        let mut bytes = [0; 4096];
        match follow.as_mut().map(|stream| stream.read(&mut bytes)) {
            Some(Ok(0)) => *follow = None, // the engine has ended
            Some(Ok(_)) => {}
            Some(Err(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Some(Err(_)) => *follow = None,
            // There is nobody to ask: the supervisor is gone, or not there yet.
            None => std::thread::park_timeout(MOMENT),
        }
    }

    /// Waits until a service is in a phase.
    pub fn wait_phase(&self, name: &str, phase: &str) {
        self.wait(&format!("{name} is {phase}"), |machine| machine.phase(name) == phase);
    }

    /// Waits until a service is up in another life than that of this process: seen in one look, for it may be up in the
    /// old life at one and begin the new one at the next.
    pub fn wait_new_life(&self, name: &str, before: u32) {
        self.wait(&format!("{name} is up in a new life"), |machine| {
            let service = machine.service(name);
            service["phase"] == "up" && service["pid"].as_u64().is_some_and(|pid| pid != u64::from(before))
        });
    }

    /// A connection to the control socket that reads with patience.
    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.run_directory().join("control")).expect("the control socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream
    }

    /// What is answered to one request, as who asks.
    pub fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(format!("{request}\n").as_bytes()).expect("sent");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("an answer");
        answer.trim_end().to_string()
    }

    /// Kills a process of this machine.
    pub fn kill(&self, pid: u32, signal: i32) {
        kill(pid, signal);
    }

    /// Starts a supervisor again on the same directory, after it has ended or was killed.
    pub fn supervise_again(&self, arguments: &[&str]) {
        let mut supervisor = self.supervisor.borrow_mut();
        let _ = supervisor.wait();
        *supervisor = Machine::supervise(command(), &self.folder, arguments);
        *self.follow.borrow_mut() = None;
    }
}

/// Sends a signal.
pub fn kill(pid: u32, signal: i32) {
    assert!(pid > 1, "no process to signal");
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid as i32, signal) };
}

/// Whether a process exists and is no zombie.
pub fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
}

impl Drop for Machine {
    fn drop(&mut self) {
        let listed = self.run(&["list", "--json"]).out;
        let mut supervisor = self.supervisor.borrow_mut();
        if matches!(supervisor.try_wait(), Ok(None)) {
            kill(supervisor.id(), libc::SIGTERM);
            let end = Instant::now() + PATIENCE;
            while matches!(supervisor.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            let _ = supervisor.kill();
            let _ = supervisor.wait();
        }
        // What a supervisor that was killed has left.
        if let Ok(groups) = std::fs::read_link(self.run_directory().join("cgroup")) {
            let _ = std::fs::write(groups.join("cgroup.kill"), "1");
            for entry in std::fs::read_dir(&groups).into_iter().flatten().flatten() {
                let _ = std::fs::remove_dir(entry.path());
            }
            let _ = std::fs::remove_dir(&groups);
        }
        if let Ok(Value::Array(services)) = serde_json::from_str(&listed) {
            for pid in services.iter().filter_map(|service| service["pid"].as_u64()) {
                let environment = std::fs::read(format!("/proc/{pid}/stat")).is_ok();
                if environment && pid > 1 && parent(pid as u32) == 1 {
                    kill(pid as u32, libc::SIGKILL);
                }
            }
        }
    }
}

/// Our own oom_score_adj: less not everybody may have, nor root in every container (proc_pid_oom_score_adj(5)).
pub fn own_oom_score_adj() -> i32 {
    let text = std::fs::read_to_string("/proc/self/oom_score_adj").expect("/proc");
    text.trim().parse().expect("a number")
}

/// The parent of a process, 0 if it is gone.
pub fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or("");
    behind_name.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The supervisor's children that have this name: orphans that it has adopted, and its own.
pub fn children(machine: &Machine, name: &str) -> Vec<u32> {
    let supervisor = machine.supervisor();
    let text = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).unwrap_or_default();
    let named = |pid: &u32| {
        let found = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        found.trim_end() == name && lives(*pid)
    };
    text.split_whitespace().map(|pid| pid.parse().expect("a number")).filter(named).collect()
}
