//! Real daemons from Debian's packages, with Debian's own configurations: adapted only where they name a port or a path
//! that belongs to the machine, since tests run beside it. As root each runs as its own user; otherwise as ours.
//!
//! Each: up when it says so (by notify where it speaks it), answers a client, reloads, comes back after SIGKILL, stops.

use crate::harness::{Folder, Machine, PATIENCE, kill, lives, own_oom_score_adj, parent};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn is_root() -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::geteuid() == 0 }
}

/// uid and gid of a user of this machine.
pub fn account(name: &str) -> (u32, u32) {
    let text = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = text.lines().find(|line| line.starts_with(&format!("{name}:")));
    let fields: Vec<&str> = line.unwrap_or_else(|| panic!("no user {name}: run tests/needs")).split(':').collect();
    (fields[2].parse().expect("a number"), fields[3].parse().expect("a number"))
}

/// Daemons write to disks, which may be slow.
const LIMITS: &str = "start-timeout = 5m\nstop-timeout = 1m\n";

/// The line of a service file for its user: none where we may not choose.
fn user_line(name: &str) -> String {
    if is_root() { format!("user = {name}\n") } else { String::new() }
}

/// Makes a directory that belongs to this user.
fn home(folder: &Folder, name: &str, user: &str) -> PathBuf {
    let path = folder.0.join(name);
    std::fs::create_dir_all(&path).expect("a directory");
    if is_root() {
        let (uid, gid) = account(user);
        chown(&path, Some(uid), Some(gid)).expect("root may");
    }
    path
}

/// A port of 127.0.0.1 that nobody has and nobody is given meanwhile: other tests respect the name that stands for it,
/// and the kernel gives none from below its range of its own accord (ip(7)).
pub struct Port {
    pub number: u16,
    _name: UnixListener,
}

impl Port {
    pub fn free() -> Port {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let first = range.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(32_768);
        // A range that begins very low leaves only ports that may be given to others.
        let all = if first > 12_000 { 10_000..first } else { 20_000..60_000 };
        let claimed = |number: u16| {
            let address = SocketAddr::from_abstract_name(format!("pintle-test-port-{number}")).expect("short");
            let name = UnixListener::bind_addr(&address).ok()?;
            TcpListener::bind(("127.0.0.1", number)).ok().map(|_| Port { number, _name: name })
        };
        all.into_iter().find_map(claimed).expect("a free port of 127.0.0.1")
    }
}

fn connect(port: u16) -> Option<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    Some(stream)
}

/// Debian's configuration file. Some may be read by root and the daemon alone: then nothing, and the daemon's defaults.
fn debian(path: &str) -> String {
    match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && !is_root() => String::new(),
        Err(error) => panic!("{path}: {error}: run tests/needs"),
    }
}

/// How many descriptors we may have at most.
fn own_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the place is ours.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    limit.rlim_max
}

/// Processes whose parent this is.
fn children(pid: u32) -> Vec<u32> {
    let processes =
        std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter(|child| parent(*child) == pid).collect()
}

fn owner(pid: u32) -> u32 {
    std::fs::metadata(format!("/proc/{pid}")).map_or(u32::MAX, |status| status.uid())
}

/// Kills the main process and waits for the next one.
fn crash(machine: &Machine, name: &str) {
    let before = machine.pid(name);
    kill(before, libc::SIGKILL);
    machine.wait_new_life(name, before);
}

/// Stops it and looks that nothing of it is left.
fn stop(machine: &Machine, name: &str) {
    let main = machine.pid(name);
    let mut all = children(main);
    all.push(main);
    machine.expect(&["stop", "--wait", name]);
    assert_eq!(machine.phase(name), "down");
    assert!(!lives(main), "{name} still runs");
    // Connections of sshd have sessions of their own and are meant to outlive it; ours are closed, so they end.
    machine.wait(&format!("nothing of {name} is left"), |_| !all.iter().any(|pid| lives(*pid)));
}

// --- nginx: a web server; no notify, so it is up when it runs
// ----------------------------------------------------------

struct Nginx {
    port: Port,
    folder: PathBuf,
}

impl Nginx {
    fn new(folder: &Folder) -> Nginx {
        let nginx = Nginx { port: Port::free(), folder: folder.0.join("nginx") };
        for page in ["one", "two"] {
            folder.write(&format!("nginx/{page}/index.html"), page);
        }
        let place = nginx.folder.to_str().expect("UTF-8");
        let main = debian("/etc/nginx/nginx.conf")
            .replace("/run/nginx.pid", &format!("{place}/nginx.pid"))
            .replace("/var/log/nginx", place)
            .replace("/etc/nginx/sites-enabled", &format!("{place}/sites"))
            .replace("/etc/nginx/conf.d", &format!("{place}/conf.d"));
        folder.write("nginx/nginx.conf", &main);
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String = kinds.iter().map(|kind| format!("{kind}_temp_path {place}/{kind};\n")).collect();
        folder.write("nginx/conf.d/places.conf", &temporary);
        nginx.write_site("one");
        nginx
    }

    fn write_site(&self, page: &str) {
        let site = debian("/etc/nginx/sites-available/default")
            .lines()
            .filter(|line| !line.contains("listen [::]"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
            .replace("listen 80", &format!("listen 127.0.0.1:{}", self.port.number))
            .replace("/var/www/html", &format!("{}/{page}", self.folder.display()));
        std::fs::create_dir_all(self.folder.join("sites")).expect("a directory");
        std::fs::write(self.folder.join("sites/default"), site).expect("a file");
    }

    fn service(&self, more: &str) -> String {
        format!(
            "command = /usr/sbin/nginx -c {}/nginx.conf -g 'daemon off;'\n\
             reload = signal HUP\n\
             stop = signal QUIT\n\
             restart-delay = 100ms\n{LIMITS}{more}",
            self.folder.display()
        )
    }

    /// The page that it serves, if it serves one.
    fn get(&self) -> Option<String> {
        let mut stream = connect(self.port.number)?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("nginx"), "{head}");
        Some(body.to_string())
    }

    fn wait_page(&self, machine: &Machine, page: &str) {
        machine.wait(&format!("page {page} is served"), |_| self.get().as_deref() == Some(page));
    }
}

#[test]
fn nginx() {
    let folder = Folder::new();
    let nginx = Nginx::new(&folder);
    let machine = Machine::new(&[("nginx", &nginx.service("")), ("default", "type = bundle\ncontains = nginx\n")]);
    machine.wait_phase("nginx", "up");
    nginx.wait_page(&machine, "one");
    let master = machine.pid("nginx");
    if is_root() {
        // One worker may serve before the next has given up root.
        let www = account("www-data").0;
        machine.wait("the workers are www-data's", |_| {
            let workers = children(master);
            !workers.is_empty() && workers.iter().all(|worker| owner(*worker) == www)
        });
    }
    nginx.write_site("two");
    machine.expect(&["reload", "nginx"]);
    nginx.wait_page(&machine, "two");
    assert_eq!(machine.pid("nginx"), master);
    // Its workers hold the port: they have to be gone before the next master begins.
    crash(&machine, "nginx");
    nginx.wait_page(&machine, "two");
    stop(&machine, "nginx");
    assert_eq!(nginx.get(), None);
    machine.expect(&["start", "--wait", "nginx"]);
    nginx.wait_page(&machine, "two");
}

// --- redis: a store; speaks notify
// -------------------------------------------------------------------------------------

struct Redis {
    port: Port,
    folder: PathBuf,
}

impl Redis {
    fn new(folder: &Folder) -> Redis {
        let redis = Redis { port: Port::free(), folder: home(folder, "redis", "redis") };
        let place = redis.folder.display();
        // The last of two lines counts.
        let text = debian("/etc/redis/redis.conf")
            + &format!(
                "\nport {}\nbind 127.0.0.1\ndir {place}\npidfile {place}/redis.pid\nlogfile \"\"\n\
                 daemonize no\nsupervised systemd\n",
                redis.port.number
            );
        folder.write("redis/redis.conf", &text);
        redis
    }

    fn service(&self, more: &str) -> String {
        format!(
            "command = /usr/bin/redis-server {}/redis.conf\n\
             reload = /usr/bin/redis-cli -p {} config set maxmemory 100mb\n\
             ready = notify\n\
             umask = 077\n\
             limit-nofile = {}\n\
             restart-delay = 100ms\n{LIMITS}{}{more}",
            self.folder.display(),
            self.port.number,
            // More than ours not everybody may have.
            own_limit().min(4096),
            user_line("redis"),
        )
    }

    /// The first line of the answer to a request, and what follows it: RESP, see redis.io/docs/reference/protocol-spec.
    fn ask(&self, request: &str) -> Vec<String> {
        let mut stream = connect(self.port.number).expect("it is ready, so it listens");
        stream.write_all(format!("{request}\r\nQUIT\r\n").as_bytes()).expect("sent");
        BufReader::new(stream).lines().map_while(Result::ok).collect()
    }
}

#[test]
fn redis() {
    let folder = Folder::new();
    let redis = Redis::new(&folder);
    let machine = Machine::new(&[("redis", &redis.service("")), ("default", "type = bundle\ncontains = redis\n")]);
    machine.wait_phase("redis", "up");
    // Up means that it answers: nothing is tried twice here.
    assert_eq!(redis.ask("PING"), ["+PONG", "+OK"]);
    if is_root() {
        assert_eq!(owner(machine.pid("redis")), account("redis").0);
    }
    machine.expect(&["reload", "redis"]);
    machine.wait("the limit has changed", |_| redis.ask("CONFIG GET maxmemory").contains(&"104857600".to_string()));
    assert_eq!(redis.ask("SET colour green"), ["+OK", "+OK"]);
    assert_eq!(redis.ask("SAVE"), ["+OK", "+OK"]);
    crash(&machine, "redis");
    assert_eq!(redis.ask("GET colour"), ["$5", "green", "+OK"]);
    machine.expect(&["restart", "--wait", "redis"]);
    assert_eq!(redis.ask("GET colour"), ["$5", "green", "+OK"]);
    stop(&machine, "redis");
    assert!(connect(redis.port.number).is_none());
}

// --- postgresql: a database made by a oneshot; speaks notify
// -----------------------------------------------------------

struct Postgres {
    port: Port,
    folder: PathBuf,
    programs: PathBuf,
}

impl Postgres {
    fn new(folder: &Folder) -> Postgres {
        let versions = std::fs::read_dir("/usr/lib/postgresql").expect("no postgresql: run tests/needs");
        // Where only the client of a newer one is, its folder has no server.
        let servers = versions.filter_map(|entry| entry.ok()).filter(|entry| entry.path().join("bin/initdb").exists());
        let newest = servers.map(|entry| entry.file_name()).max_by_key(|name| name.to_str()?.parse::<u32>().ok());
        let newest = newest.expect("no postgresql: run tests/needs");
        let programs = Path::new("/usr/lib/postgresql").join(&newest).join("bin");
        let version = newest.to_str().expect("UTF-8");
        let postgres = Postgres { port: Port::free(), folder: home(folder, "postgres", "postgres"), programs };
        home(folder, "postgres/conf.d", "postgres");
        let place = postgres.folder.display();
        let main = format!("/etc/postgresql/{version}/main/postgresql.conf");
        // The last of two lines counts.
        let text = debian(&main)
            + &format!(
                "\ndata_directory = '{place}/data'\nexternal_pid_file = '{place}/pid'\n\
                 unix_socket_directories = '{place}'\nport = {}\nlisten_addresses = '127.0.0.1'\n\
                 hba_file = '/etc/postgresql/{version}/main/pg_hba.conf'\n\
                 ident_file = '/etc/postgresql/{version}/main/pg_ident.conf'\n{}",
                postgres.port.number,
                if is_root() { "" } else { "ssl = off\nhba_file = 'hba'\nident_file = '/dev/null'\n" },
            );
        folder.write("postgres/postgresql.conf", &text);
        if !is_root() {
            folder.write("postgres/hba", "local all all peer\n");
        }
        postgres
    }

    /// The oneshot that makes the cluster, and the server.
    fn services(&self, more: &str) -> [String; 2] {
        let (place, programs, user) = (self.folder.display(), self.programs.display(), user_line("postgres"));
        [
            format!(
                "type = oneshot\n{user}start-timeout = 5m\ncommand = <<END\n  \
                 [ -e {place}/data/PG_VERSION ] || exec {programs}/initdb --no-sync --auth=peer -D {place}/data\nEND\n"
            ),
            format!(
                "command = {programs}/postgres -D {place}/data -c config_file={place}/postgresql.conf\n\
                 needs = postgres-data\n\
                 directory = {place}\n\
                 ready = notify\n\
                 reload = signal HUP\n\
                 stop = signal INT\n\
                 oom-score-adj = {}\n\
                 restart-delay = 100ms\n{LIMITS}{user}{more}",
                own_oom_score_adj()
            ),
        ]
    }

    /// The answer of the server over its socket, by Debian's psql, as the user whose name the server knows.
    fn ask(&self, query: &str) -> Result<String, String> {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-A", "-t", "-d", "postgres", "-c", query]);
        command.arg("-h").arg(&self.folder).args(["-p", &self.port.number.to_string()]);
        command.current_dir("/").env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        if is_root() {
            let (uid, gid) = account("postgres");
            command.uid(uid).gid(gid);
        }
        let output = command.output().expect("psql: run tests/needs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

#[test]
fn postgresql() {
    let folder = Folder::new();
    let postgres = Postgres::new(&folder);
    let [data, server] = postgres.services("");
    let machine = Machine::new(&[
        ("postgres-data", &data),
        ("postgres", &server),
        ("default", "type = bundle\ncontains = postgres\n"),
    ]);
    machine.wait_phase("postgres", "up");
    assert_eq!(postgres.ask("select 6 * 7"), Ok("42".to_string()));
    if is_root() {
        assert_eq!(owner(machine.pid("postgres")), account("postgres").0);
    }
    let configuration = postgres.folder.join("postgresql.conf");
    let text = std::fs::read_to_string(&configuration).expect("readable") + "work_mem = '5MB'\n";
    std::fs::write(&configuration, text).expect("a file");
    machine.expect(&["reload", "postgres"]);
    machine.wait("the setting has changed", |_| postgres.ask("show work_mem").as_deref() == Ok("5MB"));
    assert_eq!(postgres.ask("create table colours (name text)"), Ok(String::new()));
    assert_eq!(postgres.ask("insert into colours values ('green')"), Ok(String::new()));
    // Its processes have sessions of their own, and its memory is refused to a new server while one of them lives.
    crash(&machine, "postgres");
    assert_eq!(postgres.ask("select name from colours"), Ok("green".to_string()));
    stop(&machine, "postgres");
    assert!(postgres.ask("select 1").is_err());
    machine.expect(&["start", "--wait", "postgres"]);
    assert_eq!(postgres.ask("select name from colours"), Ok("green".to_string()));
}

// --- sshd: speaks notify (Debian's patch), replaces itself at SIGHUP
// ---------------------------------------------------

struct Sshd {
    port: Port,
    folder: PathBuf,
}

impl Sshd {
    fn new(folder: &Folder) -> Sshd {
        let sshd = Sshd { port: Port::free(), folder: folder.0.join("ssh") };
        std::fs::create_dir_all(&sshd.folder).expect("a directory");
        let key = sshd.folder.join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.expect("ssh-keygen: run tests/needs").success());
        sshd.write_configuration("");
        sshd
    }

    fn write_configuration(&self, more: &str) {
        let place = self.folder.display();
        // The first of two lines counts.
        let own =
            format!("{more}ListenAddress 127.0.0.1:{}\nHostKey {place}/key\nPidFile {place}/pid\n", self.port.number);
        std::fs::write(self.folder.join("sshd_config"), own + &debian("/etc/ssh/sshd_config")).expect("a file");
    }

    fn services(&self, more: &str) -> [String; 2] {
        [
            // The directory for its unprivileged part is Debian's, and below a file system made anew at each boot.
            "type = oneshot\ncommand = <<END\n  [ -d /run/sshd ] || mkdir -m 755 /run/sshd || [ $(id -u) != 0 ]\nEND\n"
                .to_string(),
            format!(
                "command = /usr/sbin/sshd -D -e -f {}/sshd_config\n\
                 needs = sshd-place\n\
                 ready = notify\n\
                 reload = signal HUP\n\
                 restart-delay = 100ms\n{LIMITS}{more}",
                self.folder.display()
            ),
        ]
    }

    /// What it says first, RFC 4253 section 4.2; none if it does not listen.
    fn banner(&self) -> Option<String> {
        let mut line = String::new();
        BufReader::new(connect(self.port.number)?).read_line(&mut line).ok()?;
        Some(line.trim_end().to_string())
    }
}

#[test]
fn sshd() {
    let folder = Folder::new();
    let sshd = Sshd::new(&folder);
    let [place, server] = sshd.services("");
    let machine =
        Machine::new(&[("sshd-place", &place), ("sshd", &server), ("default", "type = bundle\ncontains = sshd\n")]);
    machine.wait_phase("sshd", "up");
    let banner = sshd.banner().expect("it is ready, so it listens");
    assert!(banner.starts_with("SSH-2.0-OpenSSH_"), "{banner}");
    let before = machine.pid("sshd");
    sshd.write_configuration("VersionAddendum reloaded\n");
    machine.expect(&["reload", "sshd"]);
    machine.wait("the banner has changed", |_| sshd.banner().is_some_and(|banner| banner.ends_with(" reloaded")));
    assert_eq!((machine.pid("sshd"), machine.phase("sshd").as_str()), (before, "up"));
    crash(&machine, "sshd");
    assert!(sshd.banner().is_some());
    stop(&machine, "sshd");
    assert_eq!(sshd.banner(), None);
}

// --- the same, in the background
// ---------------------------------------------------------------------------------------

/// The text of a service as one that goes into the background.
fn forking(text: &str, foreground: &str, pid_file: Option<&Path>) -> String {
    assert!(text.contains(foreground), "{text}");
    let text = text.replace(foreground, "").replace("ready = notify\n", "");
    let pid_file = pid_file.map_or(String::new(), |path| format!("pid-file = {}\n", path.display()));
    format!("{text}ready = fork\n{pid_file}")
}

/// What is up is the process that the daemon has written down, a child of the supervisor's: it lives through a crash of
/// that, and its death and its stop are the service's.
fn is_supervised(machine: &Machine, name: &str, pid_file: &Path, serves: &dyn Fn() -> bool) {
    machine.wait_phase(name, "up");
    let main = machine.pid(name);
    machine.wait("it serves and has written down its pid", |_| {
        serves() && std::fs::read_to_string(pid_file).is_ok_and(|text| text.trim() == main.to_string())
    });
    assert_eq!(parent(main), machine.supervisor());
    kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait("the supervisor goes on", |machine| machine.status()["supervisor"]["recoveries"] == 1);
    assert_eq!((machine.phase(name).as_str(), machine.pid(name)), ("up", main));
    crash(machine, name);
    assert_eq!(parent(machine.pid(name)), machine.supervisor());
    machine.wait("it serves again", |_| serves());
    stop(machine, name);
    assert!(!serves());
}

#[test]
fn nginx_in_the_background() {
    for named in [true, false] {
        let folder = Folder::new();
        let nginx = Nginx::new(&folder);
        let pid_file = nginx.folder.join("nginx.pid");
        // Of a machine that went down hard: the pid is anybody's.
        std::fs::write(&pid_file, std::process::id().to_string()).expect("a file");
        let text = forking(&nginx.service(""), " -g 'daemon off;'", named.then_some(&pid_file));
        let machine = Machine::new(&[("nginx", &text), ("default", "type = bundle\ncontains = nginx\n")]);
        is_supervised(&machine, "nginx", &pid_file, &|| nginx.get().as_deref() == Some("one"));
    }
}

#[test]
fn redis_in_the_background() {
    for named in [true, false] {
        let folder = Folder::new();
        let redis = Redis::new(&folder);
        let (pid_file, configuration) = (redis.folder.join("redis.pid"), redis.folder.join("redis.conf"));
        let text = std::fs::read_to_string(&configuration).expect("readable") + "daemonize yes\nsupervised no\n";
        std::fs::write(&configuration, text).expect("a file");
        let text = forking(&redis.service(""), "", named.then_some(&pid_file));
        let machine = Machine::new(&[("redis", &text), ("default", "type = bundle\ncontains = redis\n")]);
        is_supervised(&machine, "redis", &pid_file, &|| connect(redis.port.number).is_some());
    }
}

#[test]
fn sshd_in_the_background() {
    for named in [true, false] {
        let folder = Folder::new();
        let sshd = Sshd::new(&folder);
        let [place, server] = sshd.services("");
        let pid_file = sshd.folder.join("pid");
        let server = forking(&server, " -D -e", named.then_some(&pid_file));
        let machine =
            Machine::new(&[("sshd-place", &place), ("sshd", &server), ("default", "type = bundle\ncontains = sshd\n")]);
        is_supervised(&machine, "sshd", &pid_file, &|| sshd.banner().is_some());
    }
}

// --- all of them
// -------------------------------------------------------------------------------------------------------

#[test]
fn four_daemons_come_up_and_go_down_in_order() {
    let folder = Folder::new();
    let (nginx, redis, postgres, sshd) =
        (Nginx::new(&folder), Redis::new(&folder), Postgres::new(&folder), Sshd::new(&folder));
    let ([data, database], [place, shell]) = (postgres.services(""), sshd.services("after = nginx\n"));
    let machine = Machine::with(
        &[
            ("nginx", &nginx.service("needs = redis postgres\n")),
            ("redis", &redis.service("")),
            ("postgres-data", &data),
            ("postgres", &database),
            ("sshd-place", &place),
            ("sshd", &shell),
            ("default", "type = bundle\ncontains = nginx sshd\n"),
        ],
        &["--shutdown-timeout", "60s", "default"],
    );
    for name in ["redis", "postgres", "nginx", "sshd", "default"] {
        machine.wait_phase(name, "up");
    }
    nginx.wait_page(&machine, "one");
    assert_eq!(redis.ask("PING"), ["+PONG", "+OK"]);
    assert_eq!(postgres.ask("select 1"), Ok("1".to_string()));
    assert!(sshd.banner().is_some());

    let mut follow = machine.connect();
    follow.write_all(b"follow\n").expect("sent");
    let mut lines = BufReader::new(follow).lines().map_while(Result::ok);
    assert!(lines.next().is_some_and(|line| line.starts_with("ok")));
    kill(machine.supervisor(), libc::SIGTERM);
    let down: Vec<String> = lines
        .filter_map(|line| {
            let mut words = line.split(' ').map(String::from);
            let (Some(_), Some(name), Some(phase)) = (words.next(), words.next(), words.next()) else { return None };
            (phase == "down").then_some(name)
        })
        .collect();
    let at = |name: &str| down.iter().position(|other| other == name).unwrap_or_else(|| panic!("{name}: {down:?}"));
    assert!(at("sshd") < at("nginx"), "{down:?}");
    assert!(at("nginx") < at("redis") && at("nginx") < at("postgres"), "{down:?}");
    assert!(at("postgres") < at("postgres-data"), "{down:?}");
    machine.wait("the supervisor has ended", |machine| machine.ended().is_some());
    assert_eq!(machine.ended(), Some(0), "{}", machine.messages());
}
