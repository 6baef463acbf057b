//! Directories that are a service's only while it runs: made for it, and removed behind it, whoever has done what in them.

use crate::environment::{is_root, read, refused_without_root, up};
use crate::harness::{Folder, Machine, kill, lives, program};
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

/// The user of the services: somebody else, where we may.
fn user() -> &'static str {
    if is_root() { "user = 65534\ngroup = 65533\n" } else { "" }
}

/// A service that writes how many files it finds in its directory, and has one more then.
fn machine(run: &Path, trace: &Path, keys: &str) -> Machine {
    std::fs::write(trace, "").expect("ours");
    std::fs::set_permissions(trace, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("ours");
    let (run, trace) = (run.display(), trace.display());
    let text = format!(
        "{}runtime-directory = {run}:750\nrestart-delay = 0s\n{keys}\
         command = /bin/sh -c 'ls -A {run} | wc -l >>{trace}; mkdir -p {run}/a/b/c; touch {run}/a/b/c/d; exec {}'\n",
        user(),
        program("pause")
    );
    Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")])
}

/// Waits until it has run so often, and is.
fn settled(machine: &Machine, run: &Path, trace: &Path, lives: usize) {
    machine.wait("it has written", |machine| {
        read(trace).lines().count() == lives && machine.phase("s") == "up" && run.join("a/b/c/d").exists()
    });
}

#[test]
fn what_is_there_at_run_time_goes_behind_each_life() {
    let folder = Folder::new();
    let (run, trace, seen) = (folder.0.join("above/run"), folder.0.join("trace"), folder.write("seen", ""));
    std::fs::set_permissions(&seen, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("ours");
    let cleanup = format!("cleanup = /bin/sh -c 'ls {} >>{}; exit 4'\n", run.display(), seen.display());
    let machine = machine(&run, &trace, &cleanup);
    settled(&machine, &run, &trace, 1);
    let status = std::fs::metadata(&run).expect("it is there");
    assert_eq!(status.mode() & 0o7777, 0o750);
    if is_root() {
        assert_eq!((status.uid(), status.gid()), (65534, 65533));
    }
    kill(machine.pid("s"), libc::SIGKILL);
    settled(&machine, &run, &trace, 2);
    machine.expect(&["restart", "--wait", "s"]);
    settled(&machine, &run, &trace, 3);
    machine.expect(&["stop", "--wait", "s"]);
    assert_eq!((read(&trace).split_whitespace().collect::<Vec<_>>(), &*read(&seen)), (vec!["0"; 3], "a\na\na\n"));
    assert!(!run.exists() && folder.0.join("above").exists(), "what is above stays");
    let said = machine.run(&["status", "--lines", "0", "s"]).out;
    assert!(said.contains("cleanup    exit 4"), "the end of the command is that of the cleanup: {said}");
}

#[test]
fn what_is_kept_for_another_life_goes_behind_the_last() {
    let folder = Folder::new();
    let (run, trace) = (folder.0.join("run"), folder.0.join("trace"));
    for cleanup in ["", "cleanup = /bin/true\n"] {
        let machine = machine(&run, &trace, &format!("keep-runtime = yes\nrestart-limit = 3\n{cleanup}"));
        settled(&machine, &run, &trace, 1);
        kill(machine.pid("s"), libc::SIGKILL);
        settled(&machine, &run, &trace, 2);
        machine.expect(&["restart", "--wait", "s"]);
        settled(&machine, &run, &trace, 3);
        machine.expect(&["stop", "--wait", "s"]);
        assert!(!run.exists());
        machine.expect(&["start", "--wait", "s"]);
        settled(&machine, &run, &trace, 4);
        assert_eq!(read(&trace).split_whitespace().collect::<Vec<_>>(), ["0", "1", "1", "0"]);
        // A death too many is the last one, too.
        for lives in [5, 6, 0] {
            assert!(run.exists());
            kill(machine.pid("s"), libc::SIGKILL);
            if lives > 0 {
                settled(&machine, &run, &trace, lives);
            }
        }
        machine.wait_phase("s", "failed");
        assert!(!run.exists());
    }
}

#[test]
fn what_is_kept_for_a_life_that_does_not_come_goes() {
    let folder = Folder::new();
    for cleanup in ["", "cleanup = /bin/true\n"] {
        let late = folder.0.join("late");
        let text = format!(
            "runtime-directory = {0}\nkeep-runtime = yes\nrestart-delay = 1h\nrestart-delay-max = 1h\n{cleanup}command = {1}\n",
            late.display(),
            program("pause")
        );
        let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
        kill(up(&machine), libc::SIGKILL);
        machine.wait_phase("s", "restarting");
        assert!(late.exists());
        machine.expect(&["stop", "--wait", "s"]);
        assert!(!late.exists());
    }
}

#[test]
fn a_program_that_cannot_run_leaves_no_directory() {
    let folder = Folder::new();
    let run = folder.0.join("run");
    let text = format!("runtime-directory = {}\ncommand = /no/such\n", run.display());
    let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
    machine.wait_phase("s", "failed");
    assert!(!run.exists());
    let said = machine.run(&["status", "--lines", "0", "s"]).out;
    assert!(said.contains("/no/such: No such file or directory"), "{said}");
}

#[test]
fn nobody_leads_the_removal_to_somewhere_else() {
    let folder = Folder::new();
    let at = |name: &str| folder.0.join(name);
    folder.write("victim/file", "text\n");
    std::fs::create_dir(at("own")).expect("a folder");
    let paths = format!("{} {}", at("run").display(), at("own/run").display());
    let text = format!("runtime-directory = {paths}\ncommand = {}\n", program("pause"));
    let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
    let pid = up(&machine);
    // Links in it; and one in its place.
    symlink(at("victim"), at("run/link")).expect("a link");
    symlink(at("victim/file"), at("run/file")).expect("a link");
    std::fs::remove_dir(at("own/run")).expect("ours");
    symlink(at("victim"), at("own/run")).expect("a link");
    if is_root() {
        chown(at("own"), Some(65534), Some(65534)).expect("root may");
    }
    machine.expect(&["stop", "--wait", "s"]);
    assert_eq!((at("run").exists(), &*read(&at("victim/file"))), (false, "text\n"));
    assert!(at("own/run").is_symlink() && !lives(pid));
    machine.wait("it is said", |machine| {
        machine.run(&["log", "s"]).out.contains(&format!("cannot remove {}: Not a directory", at("own/run").display()))
    });
}

#[test]
fn what_is_mounted_in_it_stays() {
    if refused_without_root() {
        return;
    }
    let folder = Folder::new();
    let at = |name: &str| folder.0.join(name);
    folder.write("victim/file", "text\n");
    let text = format!("runtime-directory = {}\ncommand = {}\n", at("run").display(), program("pause"));
    let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
    up(&machine);
    let places = ["run/deep/mounted", "run/mounted"];
    for place in places {
        std::fs::create_dir_all(at(place)).expect("a folder");
    }
    folder.write("run/deep/other", "");
    let path = |name: &str| std::ffi::CString::new(at(name).to_str().expect("UTF-8")).expect("no NUL");
    let from = path("victim");
    for to in places.map(path) {
        // SAFETY: both end in NUL.
        let mounted =
            unsafe { libc::mount(from.as_ptr(), to.as_ptr(), std::ptr::null(), libc::MS_BIND, std::ptr::null()) };
        assert_eq!(mounted, 0, "{}", std::io::Error::last_os_error());
    }
    machine.expect(&["stop", "--wait", "s"]);
    let stays = places.map(|place| read(&at(place).join("file")));
    for to in places.map(path) {
        // SAFETY: it ends in NUL.
        unsafe { libc::umount2(to.as_ptr(), libc::MNT_DETACH) };
    }
    assert_eq!((at("run/deep/other").exists(), stays), (false, ["text\n", "text\n"].map(String::from)));
}

#[test]
fn it_may_be_deeper_than_there_are_descriptors_and_paths() {
    let folder = Folder::new();
    let run = folder.0.join("run");
    let text = format!("runtime-directory = {}\nlimit-nofile = 16\ncommand = {}\n", run.display(), program("pause"));
    let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
    up(&machine);
    let start = std::ffi::CString::new(run.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: names end in NUL, and each descriptor is ours.
    unsafe {
        let mut at = libc::open(start.as_ptr(), libc::O_DIRECTORY);
        for _ in 0..3000 {
            assert_eq!(libc::mkdirat(at, c"d".as_ptr(), 0o700), 0);
            let next = libc::openat(at, c"d".as_ptr(), libc::O_DIRECTORY);
            assert!(next >= 0);
            libc::close(at);
            at = next;
        }
        libc::close(at);
    }
    machine.expect(&["stop", "--wait", "s"]);
    assert!(!run.exists());
}

#[test]
fn a_crash_in_the_middle_leaves_nothing_and_a_command_that_hangs_holds_nobody_up() {
    let folder = Folder::new();
    let (run, trace, gate) = (folder.0.join("run"), folder.0.join("trace"), folder.0.join("gate"));
    let path = std::ffi::CString::new(gate.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: it ends in NUL.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o666) }, 0);
    std::fs::set_permissions(&gate, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("ours");
    let waits = format!("cleanup = /bin/sh -c 'read x <{}'\n", gate.display());
    let crashes = machine(&run, &trace, &waits);
    settled(&crashes, &run, &trace, 1);
    crashes.expect(&["stop", "s"]);
    // It can be written to when the command reads.
    let mut open = None;
    crashes.wait("the cleanup runs", |_| {
        let opened =
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut std::fs::OpenOptions::new(), libc::O_NONBLOCK)
                .write(true)
                .open(&gate);
        open = opened.ok();
        open.is_some()
    });
    crashes.kill(crashes.supervisor(), libc::SIGSEGV);
    crashes.wait("it has recovered", |machine| machine.status()["supervisor"]["recoveries"] == 1);
    assert!(run.exists());
    drop(open); // it reads the end
    crashes.wait_phase("s", "down");
    assert!(!run.exists());
    drop(crashes);
    // One that hangs is killed, with who waits for it.
    let hangs = machine(&run, &trace, &format!("{waits}stop-timeout = 100ms\n"));
    settled(&hangs, &run, &trace, 1);
    hangs.expect(&["stop", "--wait", "s"]);
    assert!(run.exists());
}

#[test]
fn an_instance_has_one_of_its_own() {
    let folder = Folder::new();
    let run = folder.0.join("run");
    let text = format!(
        "start-on = plug\ninstance = ${{NAME}}\npass = NAME\nruntime-directory = {}/${{INSTANCE}}:700\ncommand = {}\n",
        run.display(),
        program("pause")
    );
    let machine = Machine::new(&[("s@", &text), ("default", "type = bundle\n")]);
    machine.wait_phase("default", "up");
    for name in ["a", "b"] {
        machine.expect(&["emit", "--wait", "plug", &format!("NAME={name}")]);
    }
    assert!(run.join("a").is_dir() && run.join("b").is_dir());
    machine.expect(&["stop", "--wait", "s@a"]);
    assert!(!run.join("a").exists() && run.join("b").is_dir());
}

#[test]
fn what_is_kept_goes_where_the_next_life_may_not_begin() {
    let folder = Folder::new();
    let (run, gate) = (folder.0.join("run"), folder.write("gate", ""));
    let text = format!(
        "runtime-directory = {}\nkeep-runtime = yes\nonly-if = path {}\ncommand = {}\n",
        run.display(),
        gate.display(),
        program("pause")
    );
    let machine = Machine::new(&[("s", &text), ("default", "type = bundle\nwants = s\n")]);
    up(&machine);
    assert!(run.exists());
    std::fs::remove_file(&gate).expect("ours");
    machine.run(&["restart", "--wait", "s"]);
    machine.wait_phase("s", "skipped");
    assert!(!run.exists());
}
