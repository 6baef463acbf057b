//! What a process is made before its program runs: what /proc says of real ones. As root what is asked for is there;
//! without, what root alone may is refused by name, and the rest is there all the same.

use crate::harness::{Folder, Machine, command, command_of, program};

/// The value of a line of /proc/PID/status.
fn field(pid: u32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("{name} in {text}")).trim().to_string()
}

fn is_root() -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::geteuid() == 0 }
}

/// A machine with this service alone, which runs a program that waits.
fn machine(text: &str) -> Machine {
    let text = format!("{text}restart-limit = 1\ncommand = {}\n", program("pause"));
    Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")])
}

/// Its process.
fn up(machine: &Machine) -> u32 {
    machine.wait("it is up or has failed", |machine| matches!(&*machine.phase("s"), "up" | "failed"));
    assert_eq!(machine.phase("s"), "up", "{}", machine.run(&["status", "s"]).out);
    machine.pid("s")
}

/// It fails, and `status` says this.
fn fails(text: &str, reason: &str) {
    let machine = machine(text);
    machine.wait_phase("s", "failed");
    let said = machine.run(&["status", "--lines", "0", "s"]).out;
    assert!(said.contains(reason), "{text}{said}");
}

#[test]
fn scheduling_is_as_the_file_says() {
    let allowed = field(std::process::id(), "Cpus_allowed_list");
    let processor = allowed.split(['-', ',']).next().expect("one at least");
    let machine = machine(&format!(
        "io-priority = best-effort:6\nscheduler = batch\ncpus = {processor}\npersonality = addr-no-randomize\n\
         timer-slack = 123us\nnice = 7\n"
    ));
    let pid = up(&machine);
    assert_eq!(field(pid, "Cpus_allowed_list"), processor);
    // SAFETY: no memory is involved.
    let (policy, priority, nice) = unsafe {
        let pid = pid as i32;
        let priority = libc::syscall(libc::SYS_ioprio_get, 1, pid);
        (libc::sched_getscheduler(pid), priority, libc::getpriority(libc::PRIO_PROCESS, pid as u32))
    };
    assert_eq!((policy, priority, nice), (libc::SCHED_BATCH, 2 << 13 | 6, 7));
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).expect("readable");
    assert_eq!(read("personality").trim(), "00040000");
    assert_eq!(read("timerslack_ns").trim(), "123000");
}

#[test]
fn real_time_is_for_who_may() {
    let text = "scheduler = rr:3\n";
    if !is_root() {
        return fails(text, "scheduler rr:3: Operation not permitted");
    }
    let machine = machine(text);
    let pid = up(&machine) as i32;
    let mut parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameter is ours.
    let policy = unsafe {
        libc::sched_getparam(pid, &mut parameter);
        libc::sched_getscheduler(pid)
    };
    assert_eq!((policy, parameter.sched_priority), (libc::SCHED_RR, 3));
}

#[test]
fn a_service_has_the_capabilities_that_it_is_given_and_no_others() {
    let bounds = "capabilities = NET_BIND_SERVICE CAP_CHOWN\n";
    if !is_root() {
        return fails(bounds, "capabilities NET_BIND_SERVICE: Operation not permitted");
    }
    let user = "user = 65534\ngroup = 65534\n";
    let other =
        machine(&format!("{bounds}{user}ambient-capabilities = 10\nno-new-privileges = yes\nsecure-bits = noroot\n"));
    let pid = up(&other);
    let sets = ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"].map(|set| field(pid, set));
    assert_eq!(
        sets,
        ["0000000000000401", "0000000000000400", "0000000000000400", "0000000000000400", "0000000000000400"]
    );
    assert_eq!((field(pid, "NoNewPrivs"), field(pid, "Uid")), ("1".into(), "65534\t65534\t65534\t65534".into()));
    // Root is bounded, too; and without `capabilities` nothing is.
    let none = machine("capabilities = none\n");
    let pid = up(&none);
    assert_eq!((field(pid, "CapBnd"), field(pid, "CapEff")), ("0000000000000000".into(), "0000000000000000".into()));
    let same = machine("no-new-privileges = no\ntimer-slack = 1ms\n");
    let pid = up(&same);
    let same = ["CapBnd", "NoNewPrivs"].map(|name| field(pid, name) == field(std::process::id(), name));
    assert_eq!(same, [true; 2]);
}

#[test]
fn secure_bits_make_root_like_others() {
    let text = "secure-bits = noroot noroot-locked\n";
    if !is_root() {
        return fails(text, "secure-bits noroot: Operation not permitted");
    }
    let machine = machine(text);
    let pid = up(&machine);
    assert_eq!((field(pid, "Uid"), field(pid, "CapEff")), ("0\t0\t0\t0".into(), "0000000000000000".into()));
}

#[test]
fn what_fails_is_told_with_its_key_and_its_word() {
    fails("capabilities = CHOWN 63 KILL\n", "capabilities 63: Invalid argument");
    fails("timer-slack = 1ms\ncpus = 8191\n", "cpus 8191: Invalid argument");
    if !is_root() {
        fails("ambient-capabilities = SYSLOG\n", "ambient-capabilities SYSLOG: Operation not permitted");
    }
}

/// The namespace of a process, or its root, or a descriptor of it.
fn link(pid: u32, name: &str) -> String {
    let link = std::fs::read_link(format!("/proc/{pid}/{name}")).expect("readable");
    link.to_str().expect("UTF-8").to_string()
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_service_reads_its_file() {
    let folder = Folder::new();
    let file = folder.write("in", "one\n");
    let reads = machine(&format!("stdin = {}\n", file.display()));
    assert_eq!(link(up(&reads), "fd/0"), file.to_str().expect("UTF-8"));
    let nothing = machine("stdin = null\n");
    assert_eq!(link(up(&nothing), "fd/0"), "/dev/null");
    fails("stdin = /no/such\n", "stdin /no/such: No such file or directory");
}

#[test]
fn a_getty_has_its_terminal() {
    let (mut master, mut slave, mut name) = (0, 0, [0; 64]);
    // SAFETY: all of it is ours, and the name of a terminal is short.
    let opened = unsafe {
        libc::openpty(&mut master, &mut slave, name.as_mut_ptr(), std::ptr::null_mut(), std::ptr::null_mut())
    };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: it ends in NUL.
    let name = unsafe { std::ffi::CStr::from_ptr(name.as_ptr()) }.to_str().expect("UTF-8");
    let machine = machine(&format!("tty = {name}\n"));
    let pid = up(&machine);
    assert_eq!(["fd/0", "fd/1", "fd/2"].map(|at| link(pid, at)), [name; 3]);
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("readable");
    let (_, behind) = status.rsplit_once(") ").expect("a name");
    let fields: Vec<&str> = behind.split(' ').collect();
    assert!(fields[3] == pid.to_string() && fields[4] != "0", "its session has a terminal: {status}");
    fails("tty = /dev/null\n", "tty /dev/null: ");
}

#[test]
fn what_is_private_is_not_the_machines() {
    if !is_root() {
        return fails("private = net\n", "private net: Operation not permitted");
    }
    let folder = Folder::new();
    let told = folder.0.join("told");
    let (text, told_text) = ("private = net ipc uts mount\n", told.display());
    let machine = machine(&format!(
        "{text}stop = /bin/sh -c 'readlink /proc/self/ns/net /proc/self/ns/mnt >{told_text}; kill $MAINPID'\n"
    ));
    let pid = up(&machine);
    for (space, is_own) in [("net", true), ("ipc", true), ("uts", true), ("mnt", true), ("user", false), ("pid", false)]
    {
        let space = format!("ns/{space}");
        assert_eq!(link(pid, &space) != link(std::process::id(), &space), is_own, "{space}");
    }
    assert!(read(format!("/proc/{pid}/net/fib_trie").as_ref()).contains("127.0.0.1"), "loopback is up");
    // Beside it, a command sees the same.
    let seen = ["ns/net", "ns/mnt"].map(|space| link(pid, space));
    machine.expect(&["stop", "--wait", "s"]);
    assert_eq!(read(&told).lines().collect::<Vec<_>>(), seen);
}

#[test]
fn a_private_tmp_is_empty_and_nobody_elses() {
    if !is_root() {
        return fails("private = tmp\n", "private tmp: Operation not permitted");
    }
    let mounts = || read("/proc/self/mountinfo".as_ref()).lines().count();
    let before = mounts();
    let machine = machine("private = tmp\nread-only = /usr\n");
    let pid = up(&machine);
    for place in ["tmp", "var/tmp"] {
        let mut entries = std::fs::read_dir(format!("/proc/{pid}/root/{place}")).expect("it is there");
        assert!(entries.next().is_none(), "{place}");
    }
    assert!(machine.folder.0.exists() && mounts() == before);
}

#[test]
fn users_can_be_nobody_but_one() {
    let (text, id) = match is_root() {
        true => ("private = user\nuser = 65534\ngroup = 65534\n", "65534".to_string()),
        // SAFETY: no memory is involved.
        false => ("private = net user\n", unsafe { libc::geteuid() }.to_string()),
    };
    let machine = machine(text);
    machine.wait("it is up or has failed", |machine| matches!(&*machine.phase("s"), "up" | "failed"));
    if machine.phase("s") == "failed" {
        // Some machines let nobody have one.
        let said = machine.run(&["status", "--lines", "0", "s"]).out;
        return assert!(said.contains("private user: ") && !is_root(), "{said}");
    }
    let pid = machine.pid("s");
    let map = read(format!("/proc/{pid}/uid_map").as_ref());
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), [&id, &id, "1"]);
    assert_eq!(field(pid, "CapEff"), "0000000000000000");
}

#[test]
fn paths_are_bound_closed_and_read_only_for_one_service() {
    let folder = Folder::new();
    let at = |name: &str| folder.0.join(name).display().to_string();
    for file in ["from/file", "to/other", "closed/secret", "secret", "fixed/file"] {
        folder.write(file, "text\n");
    }
    let text = format!(
        "bind = {}:{} -/no/such:/no\nread-only = {} -/no/such\ninaccessible = {} {}\n",
        at("from"),
        at("to"),
        at("fixed"),
        at("closed"),
        at("secret"),
    );
    if !is_root() {
        return fails(&text, &format!("bind {}:{}: Operation not permitted", at("from"), at("to")));
    }
    let machine = machine(&text);
    let pid = up(&machine);
    let inside = |name: &str| std::path::PathBuf::from(format!("/proc/{pid}/root{}", at(name)));
    assert_eq!((read(&inside("to/file")), read(&folder.0.join("to/file"))), ("text\n".into(), String::new()));
    let written = std::fs::write(inside("fixed/new"), "").expect_err("it is read-only").raw_os_error();
    assert_eq!(written, Some(libc::EROFS));
    assert_eq!(std::fs::read_dir(inside("closed")).expect("root may look").count(), 0);
    let opened = std::fs::File::open(inside("secret")).expect_err("nobody may").raw_os_error();
    assert_eq!(opened, Some(libc::EACCES));
    assert!(std::fs::write(folder.0.join("fixed/new"), "").is_ok() && read(&folder.0.join("secret")) == "text\n");
    fails("read-only = /usr /no/such\n", "read-only /no/such: No such file or directory");
    fails("inaccessible = /no/such\n", "inaccessible /no/such: No such file or directory");
}

#[test]
fn a_service_has_the_root_that_it_is_given() {
    let folder = Folder::new();
    let root = folder.0.join("root");
    std::fs::create_dir(&root).expect("a directory");
    if !is_root() {
        return fails(&format!("root = {}\n", root.display()), "Operation not permitted");
    }
    let text = format!("bind = /:{0}\nroot = {0}\ndirectory = /usr\n", root.display());
    let machine = machine(&text);
    let pid = up(&machine);
    assert_eq!(
        (link(pid, "root"), link(pid, "cwd")),
        (root.display().to_string(), root.join("usr").display().to_string())
    );
    fails("root = /no/such\n", "root /no/such: No such file or directory");
}

#[test]
fn directories_are_made_for_their_user() {
    use std::os::unix::fs::MetadataExt;
    let folder = Folder::new();
    let made = folder.0.join("above/made");
    let user = if is_root() { "user = 65534\ngroup = 65533\n" } else { "" };
    let machine =
        machine(&format!("{user}make-directory = {}:2770 {}\n", made.display(), folder.0.join("plain").display()));
    up(&machine);
    let of = |path: &std::path::Path| {
        std::fs::metadata(path).map(|status| (status.mode() & 0o7777, status.uid(), status.gid()))
    };
    if is_root() {
        assert_eq!(of(&made).expect("it is there"), (0o2770, 65534, 65533));
    }
    assert_eq!(of(&folder.0.join("plain")).expect("it is there").0, 0o755);
    assert_eq!(of(&folder.0.join("above")).expect("it is there").0, 0o755);
    // Where a link or a file stands, nothing is given to anybody.
    std::os::unix::fs::symlink("/", folder.0.join("link")).expect("a link");
    fails(&format!("make-directory = {}\n", folder.0.join("link").display()), "link: Not a directory");
}

#[test]
fn without_root_a_namespace_of_users_gives_the_rest() {
    let mut command = if is_root() { command_of(65534) } else { command() };
    // The status pipe is descriptor 0, of which nobody reads here.
    command.args(["exec", "0", "-N", "net", "-N", "user", "-N", "tmp", "-r", "/usr", "--", "/bin/sh", "-c"]);
    let script = "read inside outside count < /proc/self/uid_map; echo $inside $outside $count; ls -A /tmp; \
                  touch /usr/pintle-test 2>/dev/null || echo read-only; tail -n +3 /proc/net/dev | cut -d: -f1";
    let done = command.arg(script).output().expect("it runs");
    let restricted = read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns".as_ref()).trim() == "1";
    if restricted || read("/proc/sys/kernel/unprivileged_userns_clone".as_ref()).trim() == "0" {
        return assert_eq!(done.status.code(), Some(111));
    }
    // SAFETY: no memory is involved.
    let uid = if is_root() { 65534 } else { unsafe { libc::geteuid() } };
    let said = String::from_utf8_lossy(&done.stdout);
    assert_eq!(
        said.split_whitespace().collect::<Vec<_>>(),
        [&uid.to_string(), &uid.to_string(), "1", "read-only", "lo"]
    );
}
