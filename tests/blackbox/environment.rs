//! What a process is made before its program runs: what /proc says of real ones. As root what is asked for is there;
//! without, what root alone may is refused by name, and the rest is there all the same.

use crate::harness::{Machine, program};

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
