//! What all processes of services have in common, and nobody else's doing changes: not the shell from which the supervisor
//! was started, not the one from which somebody starts a service, not whether it is the first time.

use crate::environment::{field, is_root, link, read, up};
use crate::harness::{Folder, Machine, binary, pintle_at, program};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A program that becomes another one, behind what a shell does before.
fn behind(folder: &Folder, name: &str, script: &str) -> PathBuf {
    let path = folder.write(name, &format!("#!/bin/sh\n{script}\nexec {} \"$@\"\n", binary().display()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

/// What a shell that means no good leaves to whom it starts: its directory, mask, variables, open files and ignored
/// signals, its place among processes, and how the kernel sees it.
const HOSTILE: &str = "cd /usr; umask 777\n\
    export PATH=/nowhere LD_PRELOAD=/nowhere.so IFS=x PINTLE_SERVICE=other NOTIFY_SOCKET=@other LISTEN_FDS=3 MAINPID=1\n\
    export A=hostile HOME=/nowhere LC_ALL=C.UTF-8 WATCHDOG_USEC=1\n\
    trap '' HUP INT QUIT USR1 USR2 TERM CHLD PIPE TSTP TTIN TTOU WINCH ALRM\n\
    exec 4</etc/passwd 5<>/dev/null 8</etc/group";

/// The lines of a file of /proc that say what a process was made, less what differs from one process to the next.
fn lines(pid: u32, name: &str) -> Vec<String> {
    let text = read(format!("/proc/{pid}/{name}").as_ref());
    let differs = |line: &&str| {
        // Its numbers, what it has used, and how large its table of files happens to be.
        const DIFFERENT: [&str; 16] = [
            "Pid:",
            "Tgid:",
            "Ngid:",
            "PPid:",
            "NStgid:",
            "NSpid:",
            "NSpgid:",
            "NSsid:",
            "Vm",
            "Rss",
            "voluntary",
            "nonvoluntary",
            "HugetlbPages",
            "FDSize:",
            "SigQ:",
            "State:",
        ];
        DIFFERENT.iter().any(|name| line.starts_with(name))
    };
    text.split(['\n', '\0']).filter(|line| !line.is_empty() && !differs(line)).map(String::from).collect()
}

/// All that /proc says of how a process was made.
fn made(pid: u32) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for name in [
        "status",
        "limits",
        "environ",
        "cmdline",
        "comm",
        "personality",
        "oom_score_adj",
        "timerslack_ns",
        "loginuid",
        "setgroups",
        "uid_map",
        "gid_map",
        "coredump_filter",
        "autogroup",
        "mountinfo",
        "cgroup",
    ] {
        all.insert(name.into(), lines(pid, name));
    }
    for name in [
        "cwd",
        "root",
        "exe",
        "ns/mnt",
        "ns/net",
        "ns/pid",
        "ns/user",
        "ns/uts",
        "ns/ipc",
        "ns/cgroup",
        "ns/pid_for_children",
    ] {
        all.insert(name.into(), vec![link(pid, name)]);
    }
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("readable").flatten();
    let open = open.map(|entry| {
        let number = entry.file_name().into_string().expect("a number");
        let to = link(pid, &format!("fd/{number}"));
        // Which pipe it is, is another one's business.
        let flags = read(format!("/proc/{pid}/fdinfo/{number}").as_ref());
        let flags = flags.lines().find(|line| line.starts_with("flags:")).unwrap_or_default().to_string();
        format!("{number} {} {flags}", to.split('[').next().unwrap_or_default())
    });
    let mut open: Vec<String> = open.collect();
    open.sort();
    all.insert("fd".into(), open);
    // Behind the name: group, session (which are its own), terminal, its foreground group, and scheduling.
    let stat = read(format!("/proc/{pid}/stat").as_ref());
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    assert_eq!([fields[2], fields[3]], [&*pid.to_string(); 2], "it leads a session: {stat}");
    let rest = [4, 5, 15, 16, 37, 38].map(|at| fields[at].to_string());
    all.insert("stat".into(), rest.to_vec());
    // Autogroups have numbers.
    if let Some(group) = all.get_mut("autogroup").and_then(|lines| lines.first_mut()) {
        *group = group.rsplit(' ').next().unwrap_or_default().into();
    }
    all
}

#[test]
fn a_service_is_made_the_same_at_boot_and_by_hand_whatever_the_shell() {
    let folder = Folder::new();
    let plain = format!("command = {}\nenv = A=1 PATH=/bin\nlimit-core = 0\n", program("pause"));
    let user = if is_root() { "user = 65534\ngroup = 65533\nnice = 3\n" } else { "" };
    // By the short way, and by the chain-loader's.
    let rich =
        format!("{plain}{user}umask = 027\ntimer-slack = 1ms\nno-new-privileges = yes\nunset-env = LD_PRELOAD\n");
    let text = [("plain", plain.as_str()), ("rich", &rich), ("default", "type = bundle\nwants = plain rich\n")];
    let hostile = behind(&folder, "hostile", HOSTILE);
    let mut first: BTreeMap<&str, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for supervisor in [binary(), hostile.clone()] {
        let machine = Machine::of_program(&supervisor, &text, &["default"]);
        machine.wait("both are up", |machine| ["plain", "rich"].iter().all(|name| machine.phase(name) == "up"));
        for way in ["boot", "restart", "start", "death", "recovery"] {
            for name in ["plain", "rich"] {
                let before = machine.pid(name);
                let by_hand = |verb: &str| {
                    let done = pintle_at(
                        &hostile,
                        &[verb, "--wait", name],
                        &[("PINTLE_RUN", machine.run_directory().as_os_str())],
                    );
                    assert_eq!(done.code, 0, "{verb} {name}: {}{}", done.out, done.err);
                };
                match way {
                    "boot" => {}
                    "restart" => by_hand("restart"),
                    "start" => ["stop", "start"].into_iter().for_each(by_hand),
                    "death" => {
                        machine.kill(before, libc::SIGKILL);
                        machine.wait_new_life(name, before);
                    }
                    _ => {
                        let recoveries = &machine.status()["supervisor"]["recoveries"];
                        let recoveries = recoveries.as_u64().expect("a number") + 1;
                        machine.kill(machine.supervisor(), libc::SIGSEGV);
                        machine.wait("it has recovered", |machine| {
                            machine.status()["supervisor"]["recoveries"] == recoveries
                        });
                        by_hand("restart");
                    }
                }
                let mut made = made(machine.pid(name));
                // Its group is called by the run directory.
                let groups = made.get_mut("cgroup").expect("it was read");
                groups.iter_mut().for_each(|line| *line = line.rsplit('/').next().unwrap_or_default().into());
                let expected = first.entry(name).or_insert_with(|| made.clone());
                for (what, is) in &made {
                    assert_eq!(is, &expected[what], "{name} by {way}, {}: {what}", supervisor.display());
                }
            }
        }
    }
    // And what that is.
    let plain = &first["plain"];
    assert_eq!(plain["environ"], ["A=1", "PATH=/bin", "PINTLE_SERVICE=plain"].map(String::from).to_vec());
    assert_eq!((&*plain["cwd"][0], plain["fd"].len()), ("/", 3));
    let none = "0000000000000000";
    for mask in ["SigBlk", "SigIgn", "SigCgt"] {
        assert!(plain["status"].contains(&format!("{mask}:\t{none}")), "{mask}: {plain:?}");
    }
}

#[test]
fn all_limits_of_resources_are_those_of_the_file() {
    // By the names of proc_pid_limits(5), with what is written and what it is; below what anybody has.
    let table = [
        ("as", "900M:1G", "Max address space", "943718400 1073741824"),
        ("core", "0:4K", "Max core file size", "0 4096"),
        ("cpu", "1000:2000", "Max cpu time", "1000 2000"),
        ("data", "64M:65M", "Max data size", "67108864 68157440"),
        ("fsize", "1M:2M", "Max file size", "1048576 2097152"),
        ("locks", "11:12", "Max file locks", "11 12"),
        ("memlock", "8K:16K", "Max locked memory", "8192 16384"),
        ("msgqueue", "1000:2000", "Max msgqueue size", "1000 2000"),
        ("nice", "0", "Max nice priority", "0 0"),
        ("nofile", "33:44", "Max open files", "33 44"),
        ("nproc", "3000:3001", "Max processes", "3000 3001"),
        ("rss", "5M:6M", "Max resident set", "5242880 6291456"),
        ("rtprio", "0", "Max realtime priority", "0 0"),
        ("rttime", "5000:6000", "Max realtime timeout", "5000 6000"),
        ("sigpending", "100:101", "Max pending signals", "100 101"),
        ("stack", "1M:2M", "Max stack size", "1048576 2097152"),
    ];
    let limits: String = table.iter().map(|(key, value, ..)| format!("limit-{key} = {value}\n")).collect();
    for way in ["", "timer-slack = 1ms\n"] {
        let text = format!("{limits}{way}command = {}\n", program("pause"));
        let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
        let told = read(format!("/proc/{}/limits", up(&machine)).as_ref());
        assert_eq!(told.lines().count(), 1 + table.len(), "{told}");
        for (key, _, name, expected) in table {
            let line =
                told.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {told}"));
            let is: Vec<&str> = line.split_whitespace().take(2).collect();
            assert_eq!(is.join(" "), expected, "limit-{key}");
        }
    }
}

#[test]
fn a_service_has_the_groups_that_name_its_user() {
    if !is_root() {
        // Its own it may not leave.
        let text = format!("user = 65534\nrestart-limit = 1\ncommand = {}\n", program("pause"));
        let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
        machine.wait_phase("s", "failed");
        let said = machine.run(&["status", "--lines", "0", "s"]).out;
        return assert!(said.contains("Operation not permitted"), "{said}");
    }
    let folder = Folder::new();
    let users =
        folder.write("passwd", "root:x:0:0::/:/bin/sh\nweb:x:4001:4010::/:/bin/sh\nalone:x:4002:4020::/:/bin/sh\n");
    let groups = folder.write(
        "group",
        "root:x:0:\nweb:x:4010:\nmore:x:4012:a,web,b\nextra:x:4011:web\nother:x:4013:webs\nalone:x:4020:web\n",
    );
    // Files of its own, for the supervisor alone.
    let script = format!(
        "[ \"$APART\" ] || APART=1 exec unshare -m \"$0\" \"$@\"\nmount --bind {} /etc/passwd; mount --bind {} /etc/group",
        users.display(),
        groups.display()
    );
    let supervisor = behind(&folder, "supervisor", &script);
    folder.write("root/etc/group", "other:x:9999:\n");
    let root = folder.0.join("root");
    std::fs::copy(program("pause"), root.join("pause")).expect("a copy");
    let jail = format!("root = {}\n", root.display());
    for way in ["", "timer-slack = 1ms\n"] {
        let service = |keys: &str| {
            let program = if keys.contains("root = ") { "/pause".into() } else { program("pause") };
            format!("{keys}{way}command = {program}\n")
        };
        let files = [
            ("web", service("user = web\n")),
            ("grouped", service("user = web\ngroup = extra\n")),
            ("alone", service("user = alone\n")),
            ("number", service("user = 4001\ngroup = 7\n")),
            ("nobody", service("user = 4999\n")),
            // By the machine's file, though its root has another one.
            ("added", service(&format!("user = web\ngroups = other 4321 more\n{jail}"))),
            ("root", service("groups = extra\n")),
            ("unknown", service("groups = extra nosuch\nrestart-limit = 1\n")),
            ("default", "type = bundle\nwants = web grouped alone number nobody added root unknown\n".into()),
        ];
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let machine = Machine::of_program(&supervisor, &files, &["default"]);
        for (name, uid, gid, groups) in [
            ("web", 4001, 4010, "4010 4011 4012 4020"),
            ("grouped", 4001, 4011, "4011 4012 4020"),
            ("alone", 4002, 4020, "4020"),
            ("number", 4001, 7, "7 4011 4012 4020"),
            ("nobody", 4999, 4999, "4999"),
            ("added", 4001, 4010, "4010 4011 4012 4013 4020 4321"),
            ("root", 0, 0, "4011"),
        ] {
            machine.wait("it is up", |machine| machine.phase(name) == "up");
            let pid = machine.pid(name);
            let four = |id: u32| [id.to_string().as_str(); 4].join("\t");
            let mut has: Vec<u32> =
                field(pid, "Groups").split(' ').map(|group| group.parse().expect("a number")).collect();
            has.sort();
            let has = has.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
            assert_eq!((field(pid, "Uid"), field(pid, "Gid"), &*has), (four(uid), four(gid), groups), "{name} {way}");
        }
        machine.wait_phase("unknown", "failed");
        let said = machine.run(&["status", "--lines", "0", "unknown"]).out;
        assert!(said.contains("groups nosuch: Invalid argument"), "{said}");
    }
}
