//! A machine of its own, with a real kernel under qemu: what takes a whole cgroup v2, and a process 1 that the machine
//! depends on. One boot; what is looked at in it is in `tests/guest`, and each line that it prints is a claim.

use crate::harness::Folder;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CHECKS: [&str; 15] = [
    "each service has a group of its own",
    "limits are the kernel's",
    "too much memory ends the service alone",
    "no memory for an exec hits the service alone",
    "too many processes are refused",
    "descendants with sessions of their own end with the service",
    "a service that dies leaves nothing for its next life",
    "a service that forks for ever can be stopped",
    "a service may make groups",
    "what a oneshot has left goes when it is taken down",
    "a crash of the supervisor forgets no group",
    "what is no service's is not touched",
    "a service whose group takes no process is stopped by its command and lives again",
    "no memory for an exec does not hit a supervisor that the kernel may kill",
    "in the end a group is as it was found",
];

const SERVICES: [(&str, &str); 14] = [
    ("default", "type = bundle\nwants = plain limited hog small many strays dies nested brings again hands\n"),
    ("plain", "command = /pause\n"),
    (
        "limited",
        "command = /pause\nmemory-max = 64M\nmemory-high = 48M\ncpu-weight = 200\ncpu-max = 50%\npids-max = 100\n\
         io-weight = 300\nio-max = /dev/ram0:rbps=1M /dev/ram0:wiops=20\n",
    ),
    ("hog", "command = /bin/dd if=/dev/zero of=/dev/null bs=100M\nmemory-max = 16M\nrestart = never\n"),
    ("small", "command = /pause\nmemory-max = 4K\nrestart-limit = 2\nrestart-delay = 1ms\n"),
    ("many", "command = /forker 10\npids-max = 5\nrestart = never\n"),
    ("strays", "command = /bin/sh -c '/forker 3; exec /pause'\n"),
    ("dies", "command = /bin/sh -c '/forker 3; exec /pause'\nrestart-delay = 0s\n"),
    ("bomb", "command = /bin/sh -c 'f() { f & f; }; : fork-for-ever; f'\npids-max = 100\nmemory-max = 100M\n"),
    (
        "nested",
        "command = /bin/sh -c 'cd /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); mkdir -p a/b; echo 0 >a/b/cgroup.procs; \
         /forker 2; exec /pause'\n",
    ),
    ("brings", "type = oneshot\ncommand = /forker 2\n"),
    ("second", "type = bundle\nwants = plain limited small\n"),
    (
        "hands",
        "command = /bin/sh -c 'cd /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); mkdir in; echo 0 >in/cgroup.procs; \
         echo +memory >cgroup.subtree_control; exec /pause'\nstop = /bin/sh -c 'echo >/run/stopped; kill $MAINPID'\n\
         restart-delay = 0s\n",
    ),
    ("again", "command = /bin/sh -c '/forker 2; exec /pause'\n"),
];

/// A file of an initial file system, as the kernel's document initramfs-buffer-format has it.
fn put(archive: &mut Vec<u8>, name: &str, mode: u32, bytes: &[u8]) {
    let fields = [0, mode, 0, 0, 1, 0, bytes.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    archive.extend_from_slice(b"070701");
    for field in fields {
        write!(archive, "{field:08x}").expect("memory");
    }
    let pad = |archive: &mut Vec<u8>| archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(bytes);
    pad(archive);
}

/// What `make check` has built: a machine without libraries takes static programs, not those of `cargo test` alone.
fn built(name: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("build");
    let path = match (name, std::env::var_os("PINTLE_BIN"), std::env::var_os("PINTLE_PROGRAMS")) {
        ("pintle", Some(binary), _) => binary.into(),
        ("pause" | "forker", _, Some(programs)) => Path::new(&programs).join(name),
        ("pause" | "forker", _, None) => built.join("programs").join(name),
        _ => built.join(name),
    };
    assert!(path.exists(), "{} is not there: make all build/guest/vmlinuz", path.display());
    path
}

#[test]
fn a_machine_with_control_groups() {
    let folder = Folder::new();
    folder.compile(&SERVICES);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest");
    let mut archive = Vec::new();
    put(&mut archive, "dev", 0o40755, b"");
    for (name, path) in [
        ("pintle", built("pintle")),
        ("pause", built("pause")),
        ("forker", built("forker")),
        ("busybox", built("guest/busybox")),
        ("brd.ko", built("guest/brd.ko")),
        ("boot.db", folder.0.join("boot.db")),
        ("init", sources.join("init")),
        ("checks", sources.join("checks")),
    ] {
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        put(&mut archive, name, 0o100755, &bytes);
    }
    put(&mut archive, "TRAILER!!!", 0, b"");
    let initial = folder.0.join("initial");
    std::fs::write(&initial, &archive).expect("a file");
    let machine = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
    // Without an end of its own it would hang with the machine.
    let output = Command::new("timeout")
        .args(["300", &format!("qemu-system-{machine}")])
        .args(["-accel", "tcg", "-cpu", "max", "-m", "256", "-nographic", "-no-reboot", "-nic", "none"])
        .args(["-append", "console=ttyS0 panic=-1 quiet"])
        .args(["-kernel".as_ref(), built("guest/vmlinuz").as_os_str(), "-initrd".as_ref(), initial.as_os_str()])
        .stdin(Stdio::null())
        .output()
        .expect("qemu, which apt-get install --no-install-recommends qemu-system-x86 brings");
    let text = String::from_utf8_lossy(&output.stdout);
    let said: Vec<&str> = text.lines().map(str::trim).collect();
    if std::env::var_os("PINTLE_GUEST_SHOW").is_some() {
        println!("{text}");
    }
    for check in CHECKS {
        assert!(said.contains(&&*format!("ok {check}")), "not said: ok {check}\n{text}");
    }
    assert!(said.contains(&"checked"), "{text}");
}
