//! The one table of keys: parser, diagnostics, manual page and completion all come from it.
//!
//! To add a key: a line here, its place in a database (`database::source`), and, if its values are of a new kind, an
//! arm in `value.rs`.

use alloc::string::String;

use super::definition::Kind;
use super::diagnostic::filled;
use crate::graph::Relation;
use crate::nearest::Nearest;
use crate::packed;
use crate::packed::Packed;
use crate::setup::Form;
use crate::text::{cut, parts};

/// Kinds of service that a key applies to: bits.
pub type Kinds = u8;
/// `longrun`.
pub const LONGRUN: Kinds = 1;
/// `oneshot`.
pub const ONESHOT: Kinds = 2;
/// `bundle`.
pub const BUNDLE: Kinds = 4;
/// What has processes.
pub const PROCESS: Kinds = LONGRUN | ONESHOT;
/// All.
pub const ALL: Kinds = LONGRUN | ONESHOT | BUNDLE;
/// Only in a template, `NAME@.svc`, of whatever kind.
pub const TEMPLATE: Kinds = 8 | ALL;

/// What a value is. What is said of numbers is what `Given::numbers` has; the others are words.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// One of these words of `CHOICES`: its index.
    Choice(u8),
    /// `yes` or `no`: 1 or 0.
    Switch,
    /// How readiness is told: 0 none, 1 a descriptor and its number, 2 notify, 3 check, with a command in words, 4 fork.
    Ready,
    /// Where output goes: its index in `CHOICES`; of `pipe` the name of a service in words.
    Log,
    /// Bytes, between these powers of two.
    Bytes(u8, u8),
    /// A time, from this on, in milliseconds.
    Duration(u16),
    /// A whole number between these bounds, with this added to it.
    Integer(i16, i16, u16),
    /// Octal permission bits.
    Umask,
    /// SOFT[:HARD] of this RLIMIT_* number of setrlimit(2), generic numbering. `unlimited` is `u64::MAX`.
    Limit(u8),
    /// One line for people.
    Text,
    /// The program and its arguments, or a script.
    Command,
    /// For `stop`, signals in turn (the number is 0) or a command (1).
    Stop,
    /// For `reload`, a signal (the number is 0) or a command (1).
    Reload,
    /// Names of services, and what this one has to them.
    Relation(Relation),
    /// Names of services, and what they have to this one.
    Inverse(Relation),
    /// An expression over conditions and events, and what this one has to the services in it.
    Expression(Relation),
    /// Tests of paths, of the supervisor's environment and of the kernel's command line.
    Tests,
    /// One condition with attributes.
    ForEach,
    /// The text that names an instance.
    Instance,
    /// Names that are not those of services.
    Provides,
    /// Names of attributes.
    Pass,
    /// A name or a number of passwd(5), group(5).
    Account,
    /// An absolute path.
    Directory,
    /// NAME=VALUE words.
    Environment,
    /// Absolute paths, a `-` before one that may be missing.
    EnvironmentFiles,
    /// Exit codes and names of signals.
    Exits,
    /// Words for the chain-loader, each behind the option of this letter.
    Setup(u8, Form),
}

/// Of `Value::Ready`: notify.
pub const NOTIFY: u32 = 2;
/// Of `Value::Ready`: check, and words.
pub const CHECK: u32 = 3;
/// Of `Value::Ready`: fork.
pub const FORK: u32 = 4;

/// The words of each `Value::Choice`, in the order of the numbers of `Kind`, `Restart`, `Log`, `Overlap`, `Stamp`,
/// `KillMode`.
pub const CHOICES: [&str; 6] = [
    "longrun,oneshot,bundle",
    "always,on-failure,never",
    "file,console,null,syslog,keep,pipe SERVICE",
    "queue,skip,restart",
    "iso8601,tai64n,none",
    "all,group,process",
];

/// What each kind of service says unless its file says otherwise, in the order of the numbers of `Kind`.
static DEFAULTS: [Packed; 3] = [
    packed!(
        "type = longrun\nstop = signal TERM\nready = none\nrestart = always\nrestart-delay = 1s\nrestart-delay-max = 60s\n\
     restart-limit = 10\nrestart-window = 5m\nstart-timeout = 60s\nstop-timeout = 10s\nkill-mode = all\nskip-ok = no\nessential = no\n\
     umask = 022\nlog = file\nlog-stamp = iso8601"
    ),
    packed!(
        "start-timeout = 5m\nstop-timeout = 10s\nkill-mode = all\nretries = 0\nretry-delay = 1s\nremain = yes\nskip-ok = no\nessential = no\n\
     umask = 022\nlog = file\nlog-stamp = iso8601"
    ),
    packed!("essential = no"),
];

/// The text of a service file that says what this kind of service says unless its own says otherwise.
pub fn defaults(kind: Kind) -> String {
    filled(DEFAULTS[kind as usize], &[])
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where its name begins in `NAMES`, above the 5 bits of its length. (A `&str` would be as much as all of the
    /// rest.)
    name: u16,
    /// What its value is.
    pub value: Value,
    /// What it applies to.
    pub kinds: Kinds,
    /// Its index in `KEYS`.
    pub number: u8,
}

impl Key {
    /// As it is written.
    #[inline(never)]
    pub const fn name(&self) -> &'static str {
        NAMES.split_at((self.name >> 5) as usize).1.split_at((self.name & 31) as usize).0
    }
}

/// A key: its name, what it applies to, its value, and one sentence about it.
type Line = (&'static str, Kinds, Value, &'static str);

const fn key(name: &'static str, kinds: Kinds, value: Value, doc: &'static str) -> Line {
    (name, kinds, value, doc)
}

const fn limit(name: &'static str, resource: u8, doc: &'static str) -> Line {
    key(name, PROCESS, Value::Limit(resource), doc)
}

const fn setup(name: &'static str, letter: u8, form: Form, doc: &'static str) -> Line {
    key(name, PROCESS, Value::Setup(letter, form), doc)
}

/// The longest time that any key takes: 30 days.
pub const TIME_MS_MAX: u32 = 30 * 86_400_000;

/// All keys with their sentences, in the order in which people should read about them.
#[rustfmt::skip]
const TABLE: [Line; 111] = [
    key("description", ALL, Value::Text,
        "One line that says what the service is, as written; `#` behind a blank begins a comment."),
    key("type", ALL, Value::Choice(0),
        "`longrun` is a daemon that stays in the foreground, `oneshot` a command that brings something up and ends, `bundle` a name for a set of services."),
    key("command", PROCESS, Value::Command,
        "The program, by its absolute path, and its arguments; or a script, `<<END`, run by /bin/sh -c or by the program that follows END."),
    key("stop", PROCESS, Value::Stop,
        "How it is stopped: `signal NAME...` sends these signals in turn, anything else is a command; of a oneshot, the command that takes down what `command` brought up."),
    key("reload", PROCESS, Value::Reload,
        "How it is told to read its configuration again: `signal NAME`, or a command."),
    key("needs", ALL, Value::Relation(Relation::Needs),
        "Services pulled up that must be up before this one starts; it stops before they do, and when one of them fails. `a|b` is one of them: that which is up, or the first."),
    key("binds", ALL, Value::Relation(Relation::Binds),
        "As `needs`, and it is stopped and started again whenever one of them ends and is started again."),
    key("needs-to-start", ALL, Value::Relation(Relation::NeedsToStart),
        "Services pulled up that must be up before this one starts, and do not matter afterwards."),
    key("wants", ALL, Value::Relation(Relation::Wants),
        "Services pulled up and waited for while they are starting; their failure does not matter."),
    key("after", ALL, Value::Relation(Relation::After),
        "Services waited for while they are starting, if something else pulls them up."),
    key("before", ALL, Value::Inverse(Relation::After),
        "`after`, written from the other end."),
    key("conflicts", ALL, Value::Relation(Relation::Conflicts),
        "Services that are never up at the same time as this one."),
    key("needed-by", ALL, Value::Inverse(Relation::Needs),
        "`needs`, written from the other end: these services need this one."),
    key("wanted-by", ALL, Value::Inverse(Relation::Wants),
        "`wants`, written from the other end: these services want this one."),
    key("provides", ALL, Value::Provides,
        "Names that it stands for, as `needs` and the like name them; where several services provide one, that is a choice of these."),
    key("contains", BUNDLE, Value::Relation(Relation::Contains),
        "The services that a bundle stands for."),
    key("while", ALL, Value::Expression(Relation::Observes),
        "It may be up only while this holds: conditions, `up(SERVICE)`, `failed(SERVICE)`, `and`, `or`, `not`, parentheses."),
    key("start-on", ALL, Value::Expression(Relation::Listens),
        "The events and conditions that start it."),
    key("stop-on", ALL, Value::Expression(Relation::Listens),
        "The events and conditions that take away what `start-on` gave."),
    key("within", ALL, Value::Duration(1),
        "How long an event that happened counts in `start-on` and `stop-on`, where they ask for more than it; without, until it is used."),
    key("for-each", TEMPLATE, Value::ForEach,
        "One condition with attributes: for each that is on and matches, there is an instance."),
    key("instance", TEMPLATE, Value::Instance,
        "The name of an instance, made of attributes: `${IFACE}`."),
    key("pre-start", LONGRUN, Value::Command,
        "A command that is run before each life, behind `only-if`, as its user; it has `start-timeout`. Where it does not exit with 0, that life has failed before it began, and `restart` says what follows. What runs behind each life is `cleanup`."),
    key("pass", PROCESS, Value::Pass,
        "Attributes of the condition or event that become environment variables, and expand as `${NAME}` in commands, `env` and paths."),
    key("only-if", PROCESS, Value::Tests,
        "Looked at once, when a start is due; if it does not hold, the service is skipped: `path /etc/x` (it is there), `env NAME` or `env NAME=VALUE` (of the environment of pintle), `kernel WORD` or `kernel KEY=VALUE` (of the kernel's command line), `and`, `or`, `not`, parentheses."),
    key("skip-ok", PROCESS, Value::Switch,
        "Whether what needs it may be up while it is skipped."),
    key("ready", LONGRUN, Value::Ready,
        "How it says that it does its job now: `none` (once its program runs), `fd N` (a newline written to descriptor N), `notify` (sd_notify), `check COMMAND` (once this program, by its absolute path, exits with 0; it is run until then), `fork` (it goes into the background: see FORKING)."),
    key("pid-file", LONGRUN, Value::Setup(b'P', Form::Path),
        "With `ready = fork`: the file in which it writes the pid of its main process. What is left of it is removed before each start."),
    key("check-interval", LONGRUN, Value::Duration(1),
        "With `ready = check`: the time between a check that fails and the next, and the longest that one may take; without, 1s."),
    key("health", LONGRUN, Value::Command,
        "A command that is run again and again while it is up: when too many in a row do not exit with 0, it is stopped and its life has failed."),
    key("health-interval", LONGRUN, Value::Duration(1),
        "The time between a health check and the next; without, 30s."),
    key("health-timeout", LONGRUN, Value::Duration(1),
        "How long a health check may take; then it is killed and has failed; without, 10s."),
    key("health-failures", LONGRUN, Value::Integer(1, 1000, 1),
        "How many health checks in a row have to fail; without, 3."),
    key("watchdog", LONGRUN, Value::Duration(1),
        "With `ready = notify`: once it is up it has to send WATCHDOG=1 again and again, never later than this after the last; else it gets SIGABRT, after `stop-timeout` SIGKILL, and its life has failed."),
    key("listen", LONGRUN, Value::Setup(b'l', Form::Listen),
        "Sockets that are opened before its first life and kept until it is down, so that nobody is turned away between two lives: see SOCKETS. Each is `tcp:PORT`, `tcp:ADDRESS:PORT`, the same with `udp`, or `unix:PATH` or `unix:PATH:MODE` (octal, 666 where it is not said), the same with `unix-dgram` and `unix-seqpacket`; before it `NAME=`, without which it is called by its kind."),
    key("fd-store-max", LONGRUN, Value::Integer(0, 32, 1),
        "With `ready = notify`: how many descriptors it may give into keeping (FDSTORE=1), to have them again in its next life; without, 0."),
    key("restart", LONGRUN, Value::Choice(1),
        "Whether it is started again when it ends: `always`, `on-failure` (not after exit 0), `never`."),
    key("success-exit", PROCESS, Value::Exits,
        "Exit codes and names of signals that are as good an end as exit 0."),
    key("no-restart-exit", PROCESS, Value::Exits,
        "Exit codes and names of signals after which it is not started again, whatever `restart` and `retries` say: it has failed, or where `success-exit` has them too, it is done."),
    key("restart-delay", LONGRUN, Value::Duration(0),
        "The least time between two starts; what ran longer is started again at once."),
    key("restart-delay-max", LONGRUN, Value::Duration(0),
        "The delay doubles with each death in a row, up to this."),
    key("restart-limit", LONGRUN, Value::Integer(0, 1000, 0),
        "With so many deaths within `restart-window` it has failed and is left down; 0 is no limit."),
    key("restart-window", LONGRUN, Value::Duration(1),
        "The time in which deaths are counted for `restart-limit`."),
    key("start-timeout", PROCESS, Value::Duration(1),
        "How long it may take until it is ready, or a oneshot's command until it ends; then it is killed and the start has failed."),
    key("stop-timeout", PROCESS, Value::Duration(1),
        "How long it may take to stop; then it is killed, and what `kill-mode` says."),
    key("kill-mode", PROCESS, Value::Choice(5),
        "What is killed with its main process: `all` that it has started (see LEFT BEHIND), `group`, which is its process group and leaves what has gone out of it, as the sessions of an sshd, or `process`, nothing else."),
    key("retries", ONESHOT, Value::Integer(0, 1000, 1),
        "How often its command is tried again, in one start, after it failed or took too long."),
    key("retry-delay", ONESHOT, Value::Duration(0),
        "The time between a failed attempt and the next."),
    key("cleanup", PROCESS, Value::Command,
        "A command that runs after each life and each failed attempt, before the next; it has `stop-timeout`, and whether it fails does not matter."),
    key("remain", ONESHOT, Value::Switch,
        "Whether it counts as up after its command succeeded, or as done."),
    key("overlap", ONESHOT, Value::Choice(3),
        "With `remain = no`: what a trigger does that fires while it runs. `queue`, as if nothing is said, lets one run more follow, with the attributes of the newest event; `skip` does nothing; `restart` ends the run and begins another."),
    key("essential", ALL, Value::Switch,
        "Whether a boot in which it is not up is a failed boot."),
    key("user", PROCESS, Value::Account,
        "The user, by name or number, that its processes run as; not given, the one of pintle."),
    key("group", PROCESS, Value::Account,
        "The group, by name or number; not given, the user's."),
    setup("groups", b'H', Form::Groups,
        "Groups, by name or number, that it is in beside those that /etc/group has its user in."),
    key("directory", PROCESS, Value::Directory,
        "The working directory; not given, `/`."),
    key("umask", PROCESS, Value::Umask,
        "The permission bits that new files do not get, in octal."),
    key("env", PROCESS, Value::Environment,
        "Environment variables, NAME=VALUE each."),
    key("env-file", PROCESS, Value::EnvironmentFiles,
        "Files of NAME=VALUE lines, read at each start; one with `-` before its path may be missing."),
    setup("unset-env", b'U', Form::Variables,
        "Environment variables that it does not have, though the database's environment or `env-file` says so."),
    key("nice", PROCESS, Value::Integer(-20, 19, 100),
        "Scheduling priority, from -20 (first) to 19."),
    key("oom-score-adj", PROCESS, Value::Integer(-1000, 1000, 2000),
        "How likely it is killed when memory is short, from -1000 (never) to 1000."),
    setup("memory-max", b'M', Form::Memory,
        "Bytes of memory (with `K`, `M`, `G` or `T`) that it and all that it starts may have together, or `max`; beyond, the kernel kills one of them. This and the next six keys take a cgroup v2."),
    setup("memory-high", b'h', Form::Memory,
        "Bytes of memory above which it is slowed down and has to give memory back, or `max`."),
    setup("cpu-weight", b'w', Form::Weight,
        "Its share of processor time among services that want more than there is, from 1 to 10000; without, 100."),
    setup("cpu-max", b'q', Form::Percent,
        "The most processor time that it may have, in per cent of one processor, as `50%` or `200%`, or `max`."),
    setup("pids-max", b'f', Form::Count,
        "How many processes and threads it may have, or `max`."),
    setup("io-weight", b'W', Form::Weight,
        "Its share of reading and writing among services that want more than there is, from 1 to 10000; without, 100."),
    setup("io-max", b'x', Form::Devices,
        "What it may read and write in a second: `DEVICE:LIMIT=NUMBER` with the path of a block device and `rbps`, `wbps` (bytes, with `K`, `M`, `G` or `T`), `riops` or `wiops` (operations), or `max` for the number."),
    setup("io-priority", b'i', Form::IoPriority,
        "Priority of its reading and writing: `realtime:LEVEL`, `best-effort:LEVEL` (0 is first, 7 last) or `idle`."),
    setup("scheduler", b's', Form::Scheduler,
        "How it gets processor time: `other`, `batch`, `idle`, or in real time `fifo:PRIORITY` or `rr:PRIORITY` (1 to 99)."),
    setup("cpus", b'c', Form::Processors,
        "The processors that it may run on, as `0-3,5`."),
    setup("personality", b'p', Form::Personality,
        "How the kernel shows itself to it: `linux32`, `addr-no-randomize` and the other words of setarch(8)."),
    setup("timer-slack", b't', Form::Slack,
        "By how much its waits may be longer, so that the machine wakes less often: a number with `ns`, `us`, `ms` or `s`."),
    setup("capabilities", b'k', Form::Capabilities,
        "The capabilities that it and what it executes can ever have, by their names in capabilities(7) (the bounding set); `none` for none. Not given, those of pintle."),
    setup("ambient-capabilities", b'a', Form::Ambient,
        "Capabilities that it keeps though `user` is not root, and hands on to what it executes."),
    setup("secure-bits", b'S', Form::SecureBits,
        "What user 0 is not worth any more, see capabilities(7): `noroot`, `no-setuid-fixup`, `no-cap-ambient-raise`, `keep-caps`, each also with `-locked` behind it."),
    setup("no-new-privileges", b'n', Form::Switch,
        "Whether it can gain nothing by executing what is set-user-ID or has capabilities. Not given, `no`."),
    setup("private", b'N', Form::Private,
        "What of the machine is its own: `net` (a network with nothing but loopback), `ipc`, `uts` (the host name), `mount`, `user` (its user and group are the only ones that are not nobody) are namespaces, `pid` is one in which its processes are all that there are (see NUMBERS OF ITS OWN), `tmp` is an empty /tmp and /var/tmp in memory, `dev` a /dev with nothing but null, zero, full, random, urandom, tty, ptmx, pts, log, an empty shm and links for its descriptors. The commands of `stop`, `reload`, `health` and `ready = check` go into those of its process."),
    setup("bind", b'B', Form::Binds,
        "Paths that are mounted for it alone: `FROM:TO`, which has to be there and is not `/`; a `-` before one that may be missing. Of these and the next two the paths are those of the machine, not of `root`."),
    setup("read-only", b'r', Form::Paths,
        "Paths at which and below which it cannot write, whatever is mounted there, `/` for all; a `-` before one that may be missing."),
    setup("inaccessible", b'X', Form::Paths,
        "Paths at which there is nothing for it; a `-` before one that may be missing."),
    setup("root", b'R', Form::Path,
        "The directory that is `/` for it: `command` and `directory` are inside."),
    setup("make-directory", b'D', Form::Directories,
        "Directories made before each start, those above them, too, each as `PATH` or `PATH:MODE` (octal, 755 where it is not said); they belong to its user and group, those above to pintle's, with 755. Only links that are root's, in directories of root's, are followed to them."),
    setup("runtime-directory", b'Z', Form::Directories,
        "Directories that are made as those of `make-directory`, and removed with all that is in them when a life has ended, behind `cleanup`, so that the next one finds them empty: see DIRECTORIES."),
    setup("keep-runtime", b'K', Form::Switch,
        "Whether what is in `runtime-directory` stays from one life to the next, and is removed only when the service is down, done, skipped or has failed. Not given, `no`."),
    setup("stdin", b'I', Form::Input,
        "What it reads from: a file, or `null`, as if nothing is said."),
    setup("tty", b'T', Form::Path,
        "The terminal that it has, as a getty: it is opened, becomes the session's, and is where it reads and writes, whatever `log` says."),
    key("log", PROCESS, Value::Log,
        "Where its output goes: `file` (its own, by way of the logger), `console` (where pintle's own goes), `null`, `syslog` (/dev/log), `keep` (its last lines alone, in memory), `pipe SERVICE` (the standard input of this one, which it then also wants)."),
    key("log-size", PROCESS, Value::Bytes(12, 31),
        "The file of its log is turned over before it grows beyond so many bytes, 4K to 2G; without, 1M."),
    key("log-keep", PROCESS, Value::Integer(1, 99, 1),
        "How many files are kept beside the current one; without, 3."),
    key("log-age", PROCESS, Value::Duration(1000),
        "The file is also turned over, at the next line, when it was begun so long ago."),
    key("log-rate", PROCESS, Value::Integer(1, 30000, 1),
        "Lines a second, and at once after a silence; what comes beyond is dropped, and counted in a line of its own. Without, no limit."),
    key("log-line", PROCESS, Value::Bytes(6, 16),
        "A line of more bytes than this is split, 64 to 64K; without, 8K; of `syslog` never more than 800."),
    key("log-stamp", PROCESS, Value::Choice(4),
        "What each line begins with: the time as `iso8601` (UTC, microseconds) or `tai64n`, or `none`."),
    limit("limit-as", 9, "Bytes of address space."),
    limit("limit-core", 4, "Bytes of a core file."),
    limit("limit-cpu", 0, "Seconds of processor time."),
    limit("limit-data", 2, "Bytes of data segment."),
    limit("limit-fsize", 1, "Bytes of a file that it writes."),
    limit("limit-locks", 10, "File locks."),
    limit("limit-memlock", 8, "Bytes of memory that it may lock."),
    limit("limit-msgqueue", 12, "Bytes of POSIX message queues."),
    limit("limit-nice", 13, "20 less the lowest nice value that it may take."),
    limit("limit-nofile", 7, "Open descriptors."),
    limit("limit-nproc", 6, "Processes and threads of its user."),
    limit("limit-rss", 5, "Bytes of resident memory; Linux does not look at it."),
    limit("limit-rtprio", 14, "Real-time priority that it may take."),
    limit("limit-rttime", 15, "Microseconds of real-time processor time without a blocking call."),
    limit("limit-sigpending", 11, "Signals queued for its user."),
    limit("limit-stack", 3, "Bytes of stack."),
];

/// All keys, in the order in which people should read about them.
pub static KEYS: &[Key] = &{
    let first = Key { name: 0, value: Value::Text, kinds: ALL, number: 0 };
    let (mut keys, mut at, mut name_at) = ([first; TABLE.len()], 0, 0);
    while at < keys.len() {
        let (name, kinds, value, _) = TABLE[at];
        assert!(name.len() < 32 && name_at < 1 << 11, "a name has its room in a key");
        keys[at] = Key { name: name_at << 5 | name.len() as u16, value, kinds, number: at as u8 };
        name_at += name.len() as u16;
        at += 1;
    }
    keys
};

/// All names, one behind the other.
const NAMES: &str = {
    const BYTES: [u8; names_bytes()] = {
        let (mut bytes, mut at, mut row) = ([0; names_bytes()], 0, 0);
        while row < TABLE.len() {
            let name = TABLE[row].0.as_bytes();
            let mut from = 0;
            while from < name.len() {
                bytes[at] = name[from];
                (at, from) = (at + 1, from + 1);
            }
            row += 1;
        }
        bytes
    };
    match core::str::from_utf8(&BYTES) {
        Ok(names) => names,
        Err(_) => panic!("names are texts"),
    }
};

const fn names_bytes() -> usize {
    let (mut bytes, mut row) = (0, 0);
    while row < TABLE.len() {
        bytes += TABLE[row].0.len();
        row += 1;
    }
    bytes
}

/// The sentences about them, in the same order: for the manual page. The program says nothing of them and has none.
pub static DOCS: &[&str] = &{
    let (mut docs, mut at) = ([""; TABLE.len()], 0);
    while at < docs.len() {
        docs[at] = TABLE[at].3;
        at += 1;
    }
    docs
};

/// Words that people bring from elsewhere, and the key that they mean. (One text: a table would be as much again.)
const ALIASES: Packed = packed!(
    "\
    depends=needs,depends-on=needs,dependencies=needs,require=needs,requires=needs,required-by=needed-by,\
    binds-to=binds,part-of=binds,waits-for=wants,use=wants,exec=command,exec-start=command,run=command,\
    script=command,start=command,exec-stop=stop,stop-command=stop,stop-signal=stop,kill-signal=stop,\
    exec-reload=reload,reload-signal=reload,members=contains,condition=while,when=while,respawn=restart,\
    notification-fd=ready,readiness=ready,pidfile=pid-file,listen-stream=listen,socket=listen,file-descriptor-store-max=fd-store-max,timeout=start-timeout,timeout-start=start-timeout,\
    timeout-stop=stop-timeout,kill-timeout=stop-timeout,remain-after-exit=remain,run-as=user,uid=user,\
    gid=group,supplementary-groups=groups,chdir=directory,cwd=directory,working-directory=directory,workdir=directory,environment=env,\
    environment-file=env-file,oom-score-adjust=oom-score-adj,priority=nice,output=log,stdout=log,standard-output=log,logfile=log,\
    log-max-size=log-size,log-rotate=log-keep,log-rate-limit=log-rate,line-max=log-line,timestamp=log-stamp,\
    nofile=limit-nofile,precondition=only-if,condition-path-exists=only-if,exec-stop-post=cleanup,\
    post-stop=cleanup,exec-start-pre=pre-start,start-pre=pre-start,success-exit-status=success-exit,restart-prevent-exit-status=no-restart-exit,\
    healthcheck=health,health-cmd=health,liveness=health,\
    watchdog-sec=watchdog,watchdog-timeout=watchdog,\
    capability-bounding-set=capabilities,cap-bound=capabilities,\
    capability-ambient-set=ambient-capabilities,securebits=secure-bits,no-new-privs=no-new-privileges,\
    ionice=io-priority,io-scheduling-class=io-priority,cpu-affinity=cpus,affinity=cpus,\
    root-directory=root,chroot=root,tty-path=tty,standard-input=stdin,input=stdin,bind-paths=bind,\
    read-only-paths=read-only,inaccessible-paths=inaccessible,private-tmp=private,private-devices=private,\
    unset-environment=unset-env,private-network=private,private-users=private,private-pids=private,runtime-directory-preserve=keep-runtime,state-directory=make-directory,\
    cache-directory=make-directory,logs-directory=make-directory,cpu-scheduling-policy=scheduler,\
    timer-slack-nsec=timer-slack,memory-limit=memory-max,cpu-quota=cpu-max,cpu-shares=cpu-weight,\
    tasks-max=pids-max,pids-limit=pids-max,block-io-weight=io-weight"
);

/// `ALIASES`, word by word.
fn aliases(text: &str) -> impl Iterator<Item = (&str, &str)> {
    parts(text, b',').filter_map(|pair| cut(pair, b'='))
}

/// Numbers of keys that the program itself asks for.
pub const TYPE: u8 = number("type");
/// `command`.
pub const COMMAND: u8 = number("command");
/// `contains`.
pub const CONTAINS: u8 = number("contains");
/// `provides`.
pub const PROVIDES: u8 = number("provides");
/// `start-on`.
pub const START_ON: u8 = number("start-on");
/// `stop-on`.
pub const STOP_ON: u8 = number("stop-on");
/// `within`.
pub const WITHIN: u8 = number("within");
/// `for-each`.
pub const FOR_EACH: u8 = number("for-each");
/// `instance`.
pub const INSTANCE: u8 = number("instance");
/// `pass`.
pub const PASS: u8 = number("pass");
/// `restart-delay`.
pub const RESTART_DELAY: u8 = number("restart-delay");
/// `restart-delay-max`.
pub const RESTART_DELAY_MAX: u8 = number("restart-delay-max");
/// `ready`.
pub const READY: u8 = number("ready");
/// `listen`.
pub const LISTEN: u8 = number("listen");
/// `fd-store-max`.
pub const FD_STORE_MAX: u8 = number("fd-store-max");
/// `pid-file`.
pub const PID_FILE: u8 = number("pid-file");
/// `check-interval`.
pub const CHECK_INTERVAL: u8 = number("check-interval");
/// `health`.
pub const HEALTH: u8 = number("health");
/// `health-interval`.
pub const HEALTH_INTERVAL: u8 = number("health-interval");
/// `health-timeout`.
pub const HEALTH_TIMEOUT: u8 = number("health-timeout");
/// `health-failures`.
pub const HEALTH_FAILURES: u8 = number("health-failures");
/// `watchdog`.
pub const WATCHDOG: u8 = number("watchdog");
/// `overlap`.
pub const OVERLAP: u8 = number("overlap");
/// `remain`.
pub const REMAIN: u8 = number("remain");
/// `essential`.
pub const ESSENTIAL: u8 = number("essential");
/// `capabilities`.
pub const CAPABILITIES: u8 = number("capabilities");
/// `ambient-capabilities`.
pub const AMBIENT: u8 = number("ambient-capabilities");
/// `log`.
pub const LOG: u8 = number("log");
/// `log-age`: the last of those behind `log` that say how a file is turned over.
pub const LOG_AGE: u8 = number("log-age");
/// `log-stamp`: the last of those that say how lines are logged.
pub const LOG_STAMP: u8 = number("log-stamp");
/// `stdin`.
pub const STDIN: u8 = number("stdin");
/// `tty`.
pub const TTY: u8 = number("tty");
/// `inaccessible`.
pub const INACCESSIBLE: u8 = number("inaccessible");
/// `private`.
pub const PRIVATE: u8 = number("private");
/// `kill-mode`.
pub const KILL_MODE: u8 = number("kill-mode");
/// `runtime-directory`.
pub const RUNTIME_DIRECTORY: u8 = number("runtime-directory");
/// `keep-runtime`.
pub const KEEP_RUNTIME: u8 = number("keep-runtime");
/// `skip-ok`.
pub const SKIP_OK: u8 = number("skip-ok");

/// The number of the key with this name: for constants and tests.
///
/// # Panics
/// Where there is no such key.
pub const fn number(name: &str) -> u8 {
    let mut at = 0;
    while !same(TABLE[at].0, name) {
        at += 1;
    }
    at as u8
}

/// `==`, for constants.
pub(crate) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// The key with this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name() == name)
}

/// The key of the words behind the chain-loader's option of this letter.
#[inline(never)]
pub fn of_letter(letter: u32) -> Option<&'static Key> {
    KEYS.iter().find(|key| matches!(key.value, Value::Setup(other, _) if u32::from(other) == letter))
}

/// The key that is likely meant by a word that is none.
#[inline(never)]
pub fn meant(word: &str) -> Option<&'static str> {
    let mut near = Nearest::to(word);
    for key in KEYS {
        near.offer(key.name());
    }
    let text = filled(ALIASES, &[]);
    for (alias, _) in aliases(&text) {
        near.offer(alias);
    }
    let found = near.found()?;
    find(aliases(&text).find(|(alias, _)| *alias == found).map_or(found, |(_, key)| key)).map(Key::name)
}

impl Value {
    /// Whether placeholders expand in its words.
    pub const fn expands(self) -> bool {
        matches!(
            self,
            Value::Command
                | Value::Ready
                | Value::Stop
                | Value::Reload
                | Value::Environment
                | Value::EnvironmentFiles
                | Value::Setup(..)
                | Value::Directory
                | Value::Tests
        )
    }

    /// Whether a database has it by an index, which is none where the key says nothing.
    pub const fn is_indexed(self) -> bool {
        matches!(
            self,
            Value::Command
                | Value::Stop
                | Value::Reload
                | Value::Expression(_)
                | Value::Tests
                | Value::ForEach
                | Value::Pass
                | Value::Provides
                | Value::Environment
                | Value::EnvironmentFiles
                | Value::Exits
        )
    }

    /// What is expected, behind the word "expected". Bounds and choices are said by the finding itself.
    pub const fn expected(self) -> Packed {
        match self {
            Value::Text => packed!("a text"),
            Value::Choice(..) => packed!("one word"),
            Value::Command => packed!("a program by its absolute path and its arguments, or a script: <<END"),
            Value::Stop => packed!("signals (signal TERM) or a command by its absolute path"),
            Value::Reload => packed!("a signal (signal HUP) or a command by its absolute path"),
            Value::Relation(_) | Value::Inverse(_) => packed!("names of services, parted by blanks"),
            Value::Provides => packed!("names that no service has, parted by blanks"),
            Value::Expression(_) => packed!("conditions or events, as: net-up IFACE=eth* and not maintenance"),
            Value::Tests => packed!("tests, as: path /etc/x and not kernel quiet and env NAME=VALUE"),
            Value::ForEach => packed!("one condition, as: net-up IFACE=wl*"),
            Value::Instance => packed!("a name made of attributes, as: ${IFACE}"),
            Value::Pass => packed!("names of attributes, parted by blanks"),
            Value::Ready => packed!("none, fd N (3 to 255), notify, fork, or check and a program by its absolute path"),
            Value::Duration(..) => packed!("a number with ms, s, m, h or d, as 500ms or 20s"),
            Value::Integer(..) => packed!("a whole number"),
            Value::Switch => packed!("yes or no"),
            Value::Account => packed!("a name or a number"),
            Value::Directory => packed!("an absolute path"),
            Value::Umask => packed!("octal permission bits from 0 to 777, as 022"),
            Value::Environment => packed!("NAME=VALUE words"),
            Value::EnvironmentFiles => packed!("absolute paths, a \"-\" before one that may be missing"),
            Value::Exits => packed!("exit codes from 0 to 255 and names of signals, as: 143 TERM"),
            Value::Setup(_, form) => match form {
                Form::Capabilities => packed!("names of capabilities, as NET_BIND_SERVICE, or none alone"),
                Form::Ambient => packed!("names of capabilities, as NET_BIND_SERVICE"),
                Form::Processors => packed!("numbers of processors below 8192, as 0-3,5"),
                Form::Slack => packed!("a number with ns, us, ms or s, from 1ns to 4s"),
                Form::Path => packed!("an absolute path"),
                Form::Input => packed!("an absolute path, or null"),
                Form::Paths => packed!("absolute paths, a \"-\" before one that may be missing"),
                Form::Binds => {
                    packed!("absolute paths, as /srv/data or /srv/data:/data, a \"-\" before one that may be missing")
                }
                Form::Variables => packed!("names of environment variables"),
                Form::Groups => packed!("names or numbers of groups"),
                Form::Memory => packed!("bytes, with K, M, G or T or without, as 64M, or max"),
                Form::Count => packed!("a whole number from 1 on, or max"),
                Form::Weight => packed!("a whole number from 1 to 10000"),
                Form::Percent => packed!("per cent of a processor, as 50%, or max"),
                Form::Devices => packed!("devices and limits, as /dev/sda:rbps=10M"),
                Form::Listen => {
                    packed!("sockets, as tcp:80, http=tcp:127.0.0.1:8080, udp:[::1]:53, unix:/run/web.sock:0660")
                }
                Form::Directories => packed!("absolute paths, as /run/web or /run/web:0750"),
                // Said by the finding itself.
                Form::Switch | Form::IoPriority | Form::Scheduler => packed!("one word"),
                Form::SecureBits | Form::Personality | Form::Private => packed!("words"),
            },
            Value::Log => packed!("one word, or pipe and the name of a service"),
            Value::Bytes(..) => packed!("a number, with K, M or G"),
            Value::Limit(_) => packed!("SOFT or SOFT:HARD, each a number (with K, M or G) or unlimited"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_distinct_and_documented() {
        for (index, (key, doc)) in KEYS.iter().zip(DOCS).enumerate() {
            assert!(KEYS[..index].iter().all(|other| other.name() != key.name()), "{}", key.name());
            assert!(doc.ends_with('.') && key.kinds & ALL != 0, "{}", key.name());
            assert!(key.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", key.name());
        }
    }

    #[test]
    fn defaults_are_of_keys_of_their_kind_and_once() {
        for (kind, text) in DEFAULTS.iter().map(|text| filled(*text, &[])).enumerate() {
            for (at, line) in text.lines().enumerate() {
                let (name, value) = line.split_once(" = ").expect("a line of a service file");
                let key = find(name).expect("a key");
                assert!(key.kinds >> kind & 1 != 0 && !value.is_empty(), "{line}");
                assert!(
                    text.lines().skip(at + 1).all(|other| !other.starts_with(&alloc::format!("{name} = "))),
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn aliases_are_no_keys_and_mean_keys() {
        for (alias, key) in aliases(&filled(ALIASES, &[])) {
            assert!(find(alias).is_none(), "{alias}");
            assert!(find(key).is_some(), "{key}");
        }
    }

    #[test]
    fn what_is_meant() {
        let table = [
            ("depnds", Some("needs")),
            ("depends", Some("needs")),
            ("Requires", Some("needs")),
            ("exec", Some("command")),
            ("ExecStart", Some("command")),
            ("comand", Some("command")),
            ("stop_timeout", Some("stop-timeout")),
            ("limit-nofiles", Some("limit-nofile")),
            ("frobnicate", None),
            ("x", None),
        ];
        for (word, key) in table {
            assert_eq!(meant(word), key, "{word}");
        }
    }
}
