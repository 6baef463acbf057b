//! When a service lives again, by the clock of the machine and with real processes. What follows from which end, and when
//! delays begin anew, is in `tests/pure/supervision`.

use crate::environment::{read, up};
use crate::harness::{Folder, Machine, program};
use std::path::Path;

/// The times in its trace, in milliseconds since boot.
fn times(trace: &Path) -> Vec<u64> {
    let seconds = |line: &str| (line.split(' ').next()?.parse::<f64>().ok()).map(|time| (time * 1000.0) as u64);
    read(trace).lines().filter_map(seconds).collect()
}

/// How long the machine has been up, in milliseconds.
fn uptime() -> u64 {
    times("/proc/uptime".as_ref())[0]
}

#[test]
fn delays_grow_up_to_the_greatest_and_the_last_death_fails() {
    let folder = Folder::new();
    let trace = folder.0.join("trace");
    let text = format!(
        "restart-delay = 100ms\nrestart-delay-max = 400ms\nrestart-limit = 6\n\
         command = /bin/sh -c 'cat /proc/uptime >>{}; exit 3'\n",
        trace.display()
    );
    let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
    machine.wait_phase("s", "failed");
    let times = times(&trace);
    let between: Vec<u64> = times.windows(2).map(|two| two[1] - two[0]).collect();
    // (What the shell and the clock's hundredths take off; what they put on has no bound.)
    let least = [100, 200, 400, 400, 400];
    assert!(between.len() == 5 && between.iter().zip(least).all(|(is, least)| *is + 30 >= least), "{between:?}");
    assert!(between.iter().min() == Some(&between[0]), "{between:?}");
}

#[test]
fn a_life_that_was_longer_than_its_delay_is_followed_at_once_though_the_engine_stands_still() {
    let text = format!("restart-delay = 500ms\nrestart-delay-max = 1h\ncommand = {}\n", program("pause"));
    let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
    let (first, began) = (up(&machine), uptime());
    machine.wait("its delay is past", |_| uptime() > began + 600);
    machine.kill(machine.engine(), libc::SIGSTOP);
    machine.kill(first, libc::SIGKILL);
    machine.wait("another life has begun", |machine| {
        // The reports alone say so.
        crate::harness::children(machine, "pause").iter().any(|pid| *pid != first)
    });
    machine.kill(machine.engine(), libc::SIGCONT);
    machine.wait_new_life("s", first);
    // The death after it is the second in a row, and waits.
    let second = machine.pid("s");
    machine.kill(second, libc::SIGKILL);
    machine.wait_phase("s", "restarting");
}

#[test]
fn what_restart_says_follows_from_how_it_ended() {
    for (restart, script, expected) in [
        ("always", "exit 0", None),
        ("always", "kill -KILL $$", None),
        ("on-failure", "exit 0", Some("done")),
        ("on-failure", "exit 1", None),
        ("on-failure", "kill -TERM $$", None),
        ("never", "exit 0", Some("done")),
        ("never", "exit 1", Some("failed")),
        ("never", "kill -KILL $$", Some("failed")),
    ] {
        let folder = Folder::new();
        let trace = folder.0.join("trace");
        // The second life stays.
        let text = format!(
            "ready = fd 3\nrestart = {restart}\nrestart-delay = 0s\n\
             command = /bin/sh -c 'echo life >>{0}; [ $(wc -l <{0}) = 1 ] || {{ echo >&3; exec {1}; }}; {script}'\n",
            trace.display(),
            program("pause")
        );
        let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
        machine.wait_phase("s", expected.unwrap_or("up"));
        let lives = read(&trace).lines().count();
        assert_eq!(lives, if expected.is_some() { 1 } else { 2 }, "{restart}: {script}");
    }
}

#[test]
fn who_says_that_it_reloads_or_stops_is_what_it_was() {
    let notify = crate::harness::binary();
    let notify = notify.display();
    let text = format!(
        "ready = notify\ncommand = /bin/sh -c '{notify} notify --ready; {notify} notify --reloading --status again; \
         {notify} notify --stopping --status leaving; exec {}'\n",
        program("pause")
    );
    let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
    let pid = up(&machine);
    machine.wait("it has said both", |machine| machine.run(&["status", "--lines", "0", "s"]).out.contains("leaving"));
    assert_eq!((machine.phase("s"), machine.pid("s")), ("up".into(), pid));
}

#[test]
fn without_a_run_directory_nobody_else_speaks_for_a_service() {
    if crate::environment::refused_without_root() {
        return;
    }
    let folder = Folder::new();
    let at = |name: &str| folder.0.join(name).display().to_string();
    for name in ["named", "go", "done"] {
        let path = std::ffi::CString::new(at(name)).expect("no NUL");
        // SAFETY: it ends in NUL.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    }
    let (binary, trace) = (crate::harness::binary().display().to_string(), at("trace"));
    let speaks = format!(
        "ready = notify\nlog = null\ncommand = /bin/sh -c 'echo $NOTIFY_SOCKET >{}; read x <{}; echo said >>{trace}; exec {}'\n",
        at("named"),
        at("go"),
        program("notify")
    );
    let hears = format!(
        "needs = speaks\ntype = oneshot\nlog = null\ncommand = /bin/sh -c 'echo heard >>{trace}; echo >{}'\n",
        at("done")
    );
    folder.compile(&[
        ("speaks", &speaks),
        ("hears", &hears),
        ("between", "type = oneshot\nlog = null\ncommand = /bin/true\n"),
        ("default", "type = bundle\nwants = hears\n"),
    ]);
    // Names of its own, and no place for a run directory.
    let script = format!(
        "mount -t tmpfs -o ro none /run && mount -t tmpfs -o ro none /dev/shm || exit 9\n\
         {binary} supervise --db {} & supervisor=$!\n\
         read name <{}; echo ${{name%%[0-9/]*}}\n\
         NOTIFY_SOCKET=$name setpriv --reuid 65534 --clear-groups {binary} notify --ready; echo another $?\n\
         {binary} start --wait between >/dev/null || exit 8\n\
         echo >{}; read x <{}\nkill $supervisor; wait $supervisor; echo end $?",
        at("boot.db"),
        at("named"),
        at("go"),
        at("done")
    );
    let done = std::process::Command::new("unshare")
        .args(["-m", "-n", "/bin/sh", "-c", &script])
        .env_remove("PINTLE_RUN")
        .output()
        .expect("unshare of util-linux");
    let (said, complained) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(said, "@pintle-\nanother 0\nend 0\n", "{complained}");
    assert_eq!(read(trace.as_ref()), "said\nheard\n");
}
