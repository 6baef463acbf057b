//! What a process is made before its program runs: what /proc says of real ones. As root what is asked for is there;
//! without, what root alone may is refused by name, and the rest is there all the same.

use crate::harness::{Folder, Machine, command, command_of, program};

/// The value of a line of /proc/PID/status.
pub fn field(pid: u32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("{name} in {text}")).trim().to_string()
}

pub fn is_root() -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::geteuid() == 0 }
}

/// Where we are not root: whether that takes it is for another test to say.
pub fn refused_without_root() -> bool {
    !is_root()
}

/// A machine with this service alone, which runs a program that waits.
fn machine(text: &str) -> Machine {
    machine_of(&program("pause"), text)
}

fn machine_of(program: &str, text: &str) -> Machine {
    let text = format!("{text}restart-limit = 1\ncommand = {program}\n");
    Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")])
}

/// A copy of a test program where nobody's own /tmp or /var/tmp hides it, as they may hide what was built there. Takes
/// root.
fn outside_tmp(name: &str) -> (Folder, String) {
    let folder = Folder::inside("/var/lib".as_ref());
    let copy = folder.0.join(name);
    std::fs::copy(program(name), &copy).expect("a copy");
    let copy = copy.to_str().expect("UTF-8").to_string();
    (folder, copy)
}

/// Its process.
pub fn up(machine: &Machine) -> u32 {
    machine.wait("it is up or has failed", |machine| matches!(&*machine.phase("s"), "up" | "failed"));
    assert_eq!(machine.phase("s"), "up", "{}", machine.run(&["status", "s"]).out);
    machine.pid("s")
}

/// It fails, and `status` says this.
pub fn fails(text: &str, reason: &str) {
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
pub fn link(pid: u32, name: &str) -> String {
    let link = std::fs::read_link(format!("/proc/{pid}/{name}")).expect("readable");
    link.to_str().expect("UTF-8").to_string()
}

pub fn read(path: &std::path::Path) -> String {
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
    let (_folder, pause) = outside_tmp("pause");
    let text = format!("private = tmp\nread-only = /usr\nrestart-limit = 1\ncommand = {pause}\n");
    let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
    let pid = up(&machine);
    for place in ["tmp", "var/tmp"] {
        let mut entries = std::fs::read_dir(format!("/proc/{pid}/root/{place}")).expect("it is there");
        assert!(entries.next().is_none(), "{place}");
    }
    assert!(machine.folder.0.exists() && mounts() == before);
}

#[test]
fn a_private_dev_has_what_programs_need_and_nothing_else() {
    if !is_root() {
        return fails("private = dev\n", "private dev: Operation not permitted");
    }
    let (_folder, pause) = outside_tmp("pause");
    for text in ["private = dev\numask = 077\n", "private = dev user tmp\nread-only = /\nuser = 65534\ngroup = 65534\n"]
    {
        let machine = machine_of(&pause, text);
        let pid = up(&machine);
        let dev = std::path::PathBuf::from(format!("/proc/{pid}/root/dev"));
        let names = std::fs::read_dir(&dev).expect("it is there").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().expect("UTF-8")).collect();
        names.sort();
        let all = "fd full log null ptmx pts random shm stderr stdin stdout tty urandom zero";
        let there = |name: &&str| {
            ["fd", "shm", "stderr", "stdin", "stdout"].contains(name)
                || std::path::Path::new("/dev").join(name).exists()
        };
        assert_eq!(names, all.split(' ').filter(there).collect::<Vec<_>>());
        let mut zeros = [1; 4];
        std::io::Read::read_exact(&mut std::fs::File::open(dev.join("zero")).expect("a device"), &mut zeros)
            .expect("zeros");
        std::fs::write(dev.join("null"), "text").expect("a device");
        assert_eq!((zeros, std::fs::read_dir(dev.join("shm")).expect("a directory").count()), ([0; 4], 0));
    }
}

#[test]
fn what_is_bound_or_closed_below_a_private_dev_is_so_there() {
    if !is_root() {
        return fails("private = dev\n", "private dev: Operation not permitted");
    }
    let machine = machine(
        "private = dev\nbind = /dev/kmsg /etc:/dev/etc -/dev/is-not-there\nread-only = /dev/zero\ninaccessible = /dev/pts\n",
    );
    let dev = std::path::PathBuf::from(format!("/proc/{}/root/dev", up(&machine)));
    let number = |path: &std::path::Path| std::os::unix::fs::MetadataExt::rdev(&path.metadata().expect("it is there"));
    assert_eq!(number(&dev.join("kmsg")), number("/dev/kmsg".as_ref()));
    assert!(dev.join("etc/passwd").exists());
    assert_eq!(std::fs::read_dir(dev.join("pts")).expect("a directory").count(), 0);
    let mounts = read(format!("/proc/{}/mountinfo", up(&machine)).as_ref());
    let zero = mounts.lines().find(|line| line.contains(" /dev/zero ")).expect("a mount");
    assert!(zero.split(' ').nth(5).is_some_and(|options| options.starts_with("ro")), "{zero}");
}

#[test]
fn binds_come_in_turn_and_into_what_is_its_own() {
    if !is_root() {
        return fails("bind = /etc:/tmp\n", "bind /etc:/tmp: Operation not permitted");
    }
    // Outside of what becomes its own.
    let folder = Folder::inside("/dev/shm".as_ref());
    let path = |name: &str| folder.0.join(name).display().to_string();
    for name in ["a/sub", "b", "c", "jail"] {
        std::fs::create_dir_all(path(name)).expect("a directory");
    }
    folder.write("a/sub/file", "in a");
    // What is bound is there for the next; a directory of its own takes what is bound below it.
    let (_place, pause) = outside_tmp("pause");
    let text = format!(
        "private = tmp\nbind = {}:{} {}:{} {}:/tmp/deep/er /etc:/var/tmp/etc\nread-only = /tmp/deep/er\n",
        path("a"),
        path("b"),
        path("b/sub"),
        path("c"),
        path("c"),
    );
    let machine = machine_of(&pause, &text);
    let root = format!("/proc/{}/root", up(&machine));
    assert_eq!(read(format!("{root}{}/file", path("c")).as_ref()), "in a");
    assert_eq!(read(format!("{root}/tmp/deep/er/file").as_ref()), "in a");
    assert!(std::path::Path::new(&format!("{root}/var/tmp/etc/passwd")).exists());
    assert!(!std::path::Path::new("/tmp/deep").exists() && !std::path::Path::new("/var/tmp/etc").exists());
    // A root that is bound.
    for name in ["root/dev", "root/tmp", "root/etc"] {
        std::fs::create_dir_all(path(name)).expect("a directory");
    }
    folder.write("root/tmp/secret", "of the machine");
    let pause = std::fs::read(program("pause")).expect("a program");
    std::fs::write(path("root/pause"), pause).expect("ours");
    std::fs::set_permissions(path("root/pause"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let text = format!(
        "command = /pause\nroot = {0}/\nprivate = tmp dev\nbind = {1}:{0} /etc:{0}/dev/etc /etc:{0}/tmp/etc\nlog = null\n",
        path("jail"),
        path("root"),
    );
    let machine = Machine::new(&[("web", &text), ("default", "type = bundle\nwants = web\n")]);
    machine.wait_phase("web", "up");
    let root = format!("/proc/{}/root", machine.pid("web"));
    for (there, name) in [(true, "dev/null"), (true, "dev/etc/passwd"), (true, "tmp/etc/passwd"), (false, "tmp/secret")]
    {
        assert_eq!(std::path::Path::new(&format!("{root}/{name}")).exists(), there, "{name}");
    }
}

#[test]
fn a_variable_can_be_taken_out_of_the_environment() {
    let folder = Folder::new();
    let file = folder.write("env", "ONE=1\nTWO=2\nTWO=3\n");
    let machine = machine(&format!("env = THREE=3 FOUR=4\nenv-file = {}\nunset-env = TWO FOUR PATH\n", file.display()));
    let environment = read(format!("/proc/{}/environ", up(&machine)).as_ref());
    let mut names: Vec<_> = environment.split_terminator('\0').map(|variable| variable.split('=').next()).collect();
    names.sort();
    assert_eq!(names, [Some("ONE"), Some("PINTLE_SERVICE"), Some("THREE")]);
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
fn all_that_there_is_can_be_read_only() {
    for private in ["", "private = user net\n"] {
        let text = format!("read-only = /\n{private}");
        if !is_root() {
            return fails(&text, "read-only /: Operation not permitted");
        }
        let machine = machine(&text);
        let pid = up(&machine);
        let inside = format!("/proc/{pid}/root{}/new", machine.folder.0.display());
        let written = std::fs::write(&inside, "").map_err(|error| error.raw_os_error());
        assert_eq!(written, Err(Some(libc::EROFS)), "{private}");
        // What is mounted below it, too.
        let ended = std::fs::write(format!("/proc/{pid}/root/dev/shm/pintle-test"), "");
        assert!(ended.is_err(), "{private}");
    }
}

#[test]
fn a_namespace_of_users_takes_nothing_back() {
    let text = "private = user\ncapabilities = NET_BIND_SERVICE CHOWN\nambient-capabilities = NET_BIND_SERVICE\n\
                user = 65534\ngroup = 65534\nno-new-privileges = yes\n";
    if !is_root() {
        return fails(text, "Operation not permitted");
    }
    let other = machine(text);
    let pid = up(&other);
    let sets = ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb", "NoNewPrivs"].map(|set| field(pid, set));
    let one = "0000000000000400";
    assert_eq!(sets, ["0000000000000401", one, one, one, one, "1"]);
    let root = machine("private = user\nsecure-bits = noroot noroot-locked\n");
    let pid = up(&root);
    assert_eq!(
        (link(pid, "ns/user") == link(std::process::id(), "ns/user"), field(pid, "CapEff")),
        (false, "0".repeat(16))
    );
}

#[test]
fn commands_beside_a_service_are_in_its_namespace_of_users() {
    use std::os::unix::fs::PermissionsExt;
    if !is_root() {
        return fails("private = user\ncapabilities = none\nuser = 65534\n", "Operation not permitted");
    }
    let folder = Folder::new();
    let told = |name: &str| {
        let path = folder.write(name, "");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("it is ours");
        path
    };
    let (stop, reload, health) = (told("stop"), told("reload"), told("health"));
    let tell = |path: &std::path::Path| {
        let path = path.display();
        format!("/bin/sh -c 'echo $(readlink /proc/self/ns/user) $(grep CapBnd /proc/self/status) >{path}")
    };
    let root = folder.0.join("root");
    let jail = jail(&root, &["/proc", folder.0.to_str().expect("UTF-8")]);
    for jail in ["", &jail] {
        let machine = machine(&format!(
            "{jail}private = user\nuser = 65534\ngroup = 65534\ncapabilities = none\nhealth-interval = 100ms\n\
             health = {}'\nreload = {}'\nstop = {}; kill $MAINPID'\n",
            tell(&health),
            tell(&reload),
            tell(&stop),
        ));
        let pid = up(&machine);
        let expected = format!("{} CapBnd: 0000000000000000\n", link(pid, "ns/user"));
        machine.wait("its health was looked at", |_| read(&health) == expected);
        machine.expect(&["reload", "s"]);
        machine.wait("it was told to reload", |_| read(&reload) == expected);
        machine.expect(&["stop", "--wait", "s"]);
        assert_eq!(read(&stop), expected);
    }
}

/// The keys for a root in which programs run: what they and the tests' own are made of is bound there.
fn jail(root: &std::path::Path, more: &[&str]) -> String {
    let root = root.display();
    let programs = program("pause");
    let (programs, _) = programs.rsplit_once('/').expect("an absolute path");
    let mut text = format!("root = {root}\nbind =");
    let all = ["/usr", "/lib", "/lib64", "/bin", programs];
    for path in all.iter().chain(more).filter(|path| std::path::Path::new(path).exists()) {
        std::fs::create_dir_all(format!("{root}{path}")).expect("a folder");
        text.push_str(&format!(" {path}:{root}{path}"));
    }
    text + "\n"
}

#[test]
fn a_service_is_ready_though_its_root_hides_the_socket() {
    let ready = |text: &str, notify: &str| {
        let text = format!("{text}ready = notify\nrestart-limit = 1\ncommand = {notify}\n");
        Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")])
    };
    if !is_root() {
        let machine = ready("private = tmp\n", &program("notify"));
        machine.wait_phase("s", "failed");
        let said = machine.run(&["status", "--lines", "0", "s"]).out;
        return assert!(said.contains("private tmp: Operation not permitted"), "{said}");
    }
    let folder = Folder::new();
    let (elsewhere, notify) = outside_tmp("notify");
    let jail = jail(&folder.0.join("root"), &[elsewhere.0.to_str().expect("UTF-8")]);
    let user = "user = 65534\ngroup = 65534\numask = 077\n";
    for text in [
        format!("{jail}{user}"),
        // What was made for the one before is there; and /proc is not.
        format!("{jail}{user}private = user net\n"),
        format!("{jail}private = tmp\n"),
        // The run directory of a test is in /tmp.
        format!("private = tmp\n{user}"),
        "read-only = /\n".to_string(),
    ] {
        let machine = ready(&text, &notify);
        up(&machine);
    }
}

/// What the chain-loader tells when it cannot execute: the step, above its low 8 bits which word, and the errno.
fn refusal(arguments: &[&str], notify: &str) -> [i32; 2] {
    let (mut reads, writes) = std::io::pipe().expect("a pipe");
    let mut command = command();
    // The status pipe is descriptor 0.
    command.args(["exec", "0"]).args(arguments).env("NOTIFY_SOCKET", notify).stdin(writes);
    assert_eq!(command.status().expect("it runs").code(), Some(111));
    drop(command);
    let mut said = [0; 8];
    std::io::Read::read_exact(&mut reads, &mut said).expect("it has told");
    [0, 4].map(|at| i32::from_ne_bytes(said[at..at + 4].try_into().expect("four")))
}

const EXECUTE: i32 = 14;
const SETUP: i32 = 18;
const NOTIFY_SOCKET: i32 = 19;

#[test]
fn a_plain_directory_can_be_the_root_of_who_has_its_own_tmp() {
    let folder = Folder::new();
    folder.write("root/tmp/old", "");
    let root = folder.0.join("root").display().to_string();
    // In an empty /tmp it is not found; where it is still there it cannot be executed.
    let expected = if is_root() { [EXECUTE, libc::ENOENT] } else { [SETUP | 1 << 8, libc::EPERM] };
    assert_eq!(refusal(&["-N", "tmp", "-R", &root, "--", "/tmp/old"], ""), expected);
}

#[test]
fn a_socket_that_cannot_be_brought_along_is_told() {
    let folder = Folder::new();
    let socket = folder.0.join("run/socket");
    std::fs::create_dir(folder.0.join("run")).expect("a folder");
    let _bound = std::os::unix::net::UnixDatagram::bind(&socket).expect("bound");
    let closed = folder.0.join("run").display().to_string();
    for (notify, arguments, expected) in [
        (socket.to_str().expect("UTF-8"), ["-N", "uts", "-X", &closed], [NOTIFY_SOCKET, libc::EROFS]),
        ("@pintle-test", ["-N", "uts", "-N", "net"], [SETUP | 2 << 8, libc::EOPNOTSUPP]),
    ] {
        // Whoever is not root is told of what takes root, which is the first word.
        let expected = if is_root() { expected } else { [SETUP | 1 << 8, libc::EPERM] };
        assert_eq!(refusal(&[&arguments[..], &["--", "/bin/true"]].concat(), notify), expected, "{notify}");
    }
}

#[test]
fn directories_have_their_modes_whatever_the_umask_is() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let user = if is_root() { "user = 65534\ngroup = 65534\n" } else { "" };
    let made = folder.0.join("above/made");
    let machine = machine(&format!("{user}umask = 077\nmake-directory = {}:770\ndirectory = {0}\n", made.display()));
    let pid = up(&machine);
    let of = |path: &std::path::Path| std::fs::metadata(path).map(|status| status.permissions().mode() & 0o7777);
    assert_eq!((of(&folder.0.join("above")).expect("made"), of(&made).expect("made")), (0o755, 0o770));
    assert_eq!((link(pid, "cwd"), field(pid, "Umask")), (made.display().to_string(), "0077".into()));
}

#[test]
fn nobody_leads_a_directory_to_somewhere_else() {
    use std::os::unix::fs::{chown, lchown, symlink};
    let folder = Folder::new();
    let at = |name: &str| folder.0.join(name);
    for name in ["own", "victim", "real"] {
        std::fs::create_dir(at(name)).expect("a folder");
    }
    symlink(at("victim"), at("own/a")).expect("a link");
    symlink("real", at("run")).expect("a link");
    symlink("loop", at("loop")).expect("a link");
    let user = if is_root() { "user = 65534\ngroup = 65534\n" } else { "" };
    if is_root() {
        let reason = "own/a/sub:700: Too many levels of symbolic links";
        let text = format!("{user}make-directory = {}:700\n", at("own/a/sub").display());
        // Another one's link, and one that lies where another one may put it.
        lchown(at("own/a"), Some(65534), Some(65534)).expect("root may");
        fails(&text, reason);
        lchown(at("own/a"), Some(0), Some(0)).expect("root may");
        chown(at("own"), Some(65534), Some(65534)).expect("root may");
        fails(&text, reason);
        assert_eq!(std::fs::read_dir(at("victim")).expect("readable").count(), 0);
    }
    fails(&format!("make-directory = {}\n", at("loop/x").display()), "Too many levels of symbolic links");
    // The machine's own links lead on, as /var/run does.
    up(&machine(&format!("{user}make-directory = {}/x/y\n", at("run").display())));
    assert!(at("real/x/y").is_dir());
}

#[test]
fn an_attribute_names_no_other_directory() {
    let folder = Folder::new();
    let made = folder.0.join("made").display().to_string();
    let text = format!(
        "pass = FOO\nstart-on = plug\nmake-directory = {made}/${{FOO}}:750\nrestart-limit = 1\ncommand = {}\n",
        program("pause")
    );
    let told = |attribute: &str| {
        let machine = Machine::new(&[("s", &text), ("default", "type = bundle\n")]);
        machine.wait_phase("default", "up");
        machine.expect(&["emit", "plug", attribute]);
        machine.wait("it is up or has failed", |machine| matches!(&*machine.phase("s"), "up" | "failed"));
        (machine.phase("s"), machine.run(&["status", "--lines", "0", "s"]).out)
    };
    for bad in ["FOO=../x", "FOO=..", "FOO=x:4777", "FOO="] {
        let (phase, said) = told(bad);
        assert_eq!(phase, "failed", "{bad}");
        assert!(said.contains(&format!("make-directory {made}/${{FOO}}:750: Invalid argument")), "{bad}: {said}");
        assert!(!folder.0.join("x").exists() && !folder.0.join("made").exists(), "{bad}");
    }
    assert_eq!(told("FOO=a/b").0, "up");
    assert!(folder.0.join("made/a/b").is_dir());
}

#[test]
fn without_root_a_namespace_of_users_gives_the_rest() {
    let mut command = if is_root() { command_of(65534, 65534) } else { command() };
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
