//! What a child really gets, seen with /bin/sh and /proc; and that stacks come back.

use super::*;
use crate::sys::reap::{self, Child, Outcome};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::AsRawFd;

/// Both ends wait.
fn pipe() -> (OwnedFd, OwnedFd) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe can be made");
    (read.into(), write.into())
}

fn read_to_end(fd: OwnedFd) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match rustix::io::read(&fd, &mut buffer) {
            Ok(0) => return String::from_utf8(text).expect("the tests' programs write text"),
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(error) => panic!("cannot read: {error}"),
        }
    }
}

fn wait_readable(fd: &OwnedFd) {
    while rustix::event::poll(&mut [PollFd::new(fd, PollFlags::IN)], None) == Err(rustix::io::Errno::INTR) {}
}

fn wait_news(spawner: &mut Spawner, pending: &Pending) -> News {
    loop {
        match spawner.news(pending) {
            News::None => match &pending.status {
                Some(status) => wait_readable(status),
                None => wait_readable(&end_of(pending.pid)), // these tests' children end
            },
            news => return news,
        }
    }
}

fn end_of(pid: u32) -> OwnedFd {
    crate::sys::signals::pidfd_open(pid).expect("an unreaped child has a pidfd")
}

fn wait_end(pid: u32) -> Outcome {
    wait_readable(&end_of(pid));
    match reap::reap(pid) {
        Child::Ended(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

/// Runs a script with /bin/sh, its output piped to us: (news, output, outcome).
fn run(
    spawner: &mut Spawner,
    forked: bool,
    script: &str,
    change: impl FnOnce(&mut Plan<'_>),
) -> (News, String, Outcome) {
    let (output, output_of_child) = pipe();
    let descriptors = [1, 2].map(|target| Pass { source: output_of_child.as_fd(), target });
    let word = AtomicU32::new(0);
    let mut draft = if forked { spawner.draft_forked() } else { spawner.draft().expect("a stack is free") };
    for argument in ["sh", "-c", script] {
        let text = draft.text(&[argument.as_bytes()]);
        draft.argument(text);
    }
    for variable in [&[b"A=".as_slice(), b"one"][..], &[b"PATH=/usr/bin:/bin"]] {
        let text = draft.text(variable);
        draft.variable(text);
    }
    let program = Some(Text::lasting(c"/bin/sh"));
    let mut plan = Plan { program, descriptors: &descriptors, ..Plan::default() };
    change(&mut plan);
    let pending = draft.spawn(&plan, &word).expect("a child can be made");
    drop(output_of_child);
    assert_eq!(word.load(Ordering::Relaxed), pending.pid);
    let news = wait_news(spawner, &pending);
    let output = read_to_end(output);
    (news, output, wait_end(pending.pid))
}

const DONE: Outcome = Outcome::Exited(0);

#[test]
fn a_child_gets_arguments_environment_and_its_own_session() {
    let mut spawner = Spawner::new().expect("memory");
    for forked in [false, true] {
        let script = r#"echo "$0 $A"; read x x x x pgrp session x < /proc/self/stat; [ $session = $$ ] && echo leader"#;
        let answer = run(&mut spawner, forked, script, |_| {});
        assert_eq!(answer, (News::Executed, "sh one\nleader\n".into(), DONE));
    }
}

#[test]
fn a_child_has_no_descriptors_but_those_passed() {
    let mut spawner = Spawner::new().expect("memory");
    let held = rustix::pipe::pipe().expect("a pipe can be made"); // not close-on-exec
    for forked in [false, true] {
        let script = "for n in $(seq 0 99); do [ ! -e /proc/$$/fd/$n ] || echo $n; done";
        assert_eq!(run(&mut spawner, forked, script, |_| {}).1, "0\n1\n2\n");
    }
    drop(held);
}

#[test]
fn a_child_looks_for_paths_before_all_else_and_goes_where_they_lead() {
    let mut spawner = Spawner::new().expect("memory");
    let look = |path, missing, there| Look { path: Text::lasting(path), then: [missing, there] };
    // There, and not there.
    let both = vec![look(c"/proc/self", FAILS | 1, 1), look(c"/no/such/path", GOES_ON, FAILS | 2)].leak();
    // Either; what could not be done otherwise comes after.
    let either = vec![look(c"/no/such/path", 1, GOES_ON), look(c"/dev/null/x", FAILS | 7, GOES_ON)].leak();
    for forked in [false, true] {
        assert_eq!(run(&mut spawner, forked, "echo yes", |plan| plan.looks = both).1, "yes\n");
        let answer = run(&mut spawner, forked, "echo yes", |plan| {
            plan.looks = either;
            plan.directory = Some(Text::lasting(c"/no/such/directory"));
        });
        assert_eq!(answer, (News::Failed(Step::Look, errno::from_number(7), 0), String::new(), Outcome::Exited(111)));
    }
}

#[test]
fn descriptors_can_change_places() {
    let mut spawner = Spawner::new().expect("memory");
    let made = [(); 2].map(|()| pipe());
    let [(read_a, a), (read_b, b)] = made;
    // Each where the other stands now, and the status pipe, which takes the next number, in the way.
    let (at_a, at_b) = (a.as_raw_fd(), b.as_raw_fd());
    let script = format!("echo a > /proc/self/fd/{at_b}; echo b > /proc/self/fd/{at_a}");
    let script: &'static str = script.leak();
    let word = AtomicU32::new(0);
    let mut draft = spawner.draft().expect("a stack is free");
    for argument in ["sh", "-c", script] {
        let text = draft.text(&[argument.as_bytes()]);
        draft.argument(text);
    }
    let mut descriptors = vec![Pass { source: a.as_fd(), target: at_b }, Pass { source: b.as_fd(), target: at_a }];
    descriptors.extend((at_b + 1..at_b + 6).map(|target| Pass { source: a.as_fd(), target }));
    let plan = Plan { program: Some(Text::lasting(c"/bin/sh")), descriptors: &descriptors, ..Plan::default() };
    let pending = draft.spawn(&plan, &word).expect("a child can be made");
    assert_eq!(wait_news(&mut spawner, &pending), News::Executed);
    drop((a, b));
    assert_eq!((read_to_end(read_a), read_to_end(read_b)), ("a\n".into(), "b\n".into()));
    assert_eq!(wait_end(pending.pid), DONE);
}

#[test]
fn a_step_that_fails_is_named() {
    let mut spawner = Spawner::new().expect("memory");
    for forked in [false, true] {
        let absent = Some(Text::lasting(c"/nonexistent/place"));
        let answer = run(&mut spawner, forked, "", |plan| plan.directory = absent);
        assert_eq!(answer, (News::Failed(Step::Directory, Errno::NOENT, 0), String::new(), Outcome::Exited(111)));
        let answer = run(&mut spawner, forked, "", |plan| plan.program = absent);
        assert_eq!(answer.0, News::Failed(Step::Execute, Errno::NOENT, 0));
        let answer = run(&mut spawner, forked, "", |plan| plan.root = absent);
        assert_eq!(answer.0, News::Failed(Step::Root, Errno::NOENT, 0));
    }
}

#[test]
fn a_chain_loader_tells_its_own_steps_through_the_same_pipe() {
    let mut spawner = Spawner::new().expect("stacks");
    let record = if cfg!(target_endian = "little") { r"\017\0\0\0\002\0\0\0" } else { r"\0\0\0\017\0\0\0\002" };
    let (news, _, outcome) =
        run(&mut spawner, false, &format!("printf '{record}' >&9; exit 111"), |plan| plan.status_target = Some(9));
    assert_eq!((news, outcome), (News::Failed(Step::OomScore, Errno::NOENT, 0), Outcome::Exited(111)));
    let (news, output, _) = run(&mut spawner, false, "exec 9>&-; echo on", |plan| plan.status_target = Some(9));
    assert_eq!((news, output.as_str()), (News::Executed, "on\n"));
}

#[test]
fn limits_umask_nice_and_directory_are_the_childs_alone() {
    let mut spawner = Spawner::new().expect("memory");
    let limits = [Limit { soft: 77, hard: 99, resource: 7 }];
    let script = "umask; ulimit -Sn; ulimit -Hn; nice; pwd";
    // Less than its own nobody may have for sure.
    let nice = rustix::process::nice(0).expect("we have one").max(5);
    let answer = run(&mut spawner, false, script, |plan| {
        // The borrow must outlive the plan, which is why it is static.
        plan.limits = Vec::from(limits).leak();
        (plan.umask, plan.nice, plan.directory) = (Some(0o27), Some(nice), Some(Text::lasting(c"/usr")));
    });
    assert_eq!(answer, (News::Executed, format!("0027\n77\n99\n{nice}\n/usr\n"), DONE));
    assert_ne!(std::env::current_dir().expect("there is one"), std::path::Path::new("/usr"));
}

#[test]
fn signals_are_default_and_unblocked_in_the_child() {
    let mut spawner = Spawner::new().expect("memory");
    let before = crate::sys::signals::block(crate::sys::signals::SignalSet::all_but_fatal());
    // A supervisor has reset what it was started with; here std's start-up ignored 13, and who called us maybe others.
    let own = std::fs::read_to_string("/proc/self/status").expect("there is /proc");
    let ignored = own.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).expect("the mask");
    let ignored = u64::from_str_radix(ignored, 16).expect("a number");
    for signal in (1..=64).filter(|signal| ignored >> (signal - 1) & 1 == 1) {
        crate::sys::signals::set_default(signal).expect("it may be reset");
    }
    let answer = run(&mut spawner, false, "grep -E 'SigBlk|SigIgn' /proc/self/status", |_| {});
    crate::sys::signals::set_mask(before);
    assert_eq!(answer.1, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

#[test]
fn stacks_come_back_after_a_thousand_children() {
    let mut spawner = Spawner::new().expect("memory");
    for _ in 0..1000 / 50 {
        let children: Vec<u32> = (0..50).map(|_| start_true(&mut spawner)).collect();
        for pid in children {
            assert_eq!(wait_end(pid), DONE);
        }
    }
    assert!(spawner.is_unused());
}

/// On a free stack as soon as there is one.
fn start_true(spawner: &mut Spawner) -> u32 {
    loop {
        if let Some(mut draft) = spawner.draft() {
            draft.argument(Text::lasting(c"true"));
            let plan = Plan { program: Some(Text::lasting(c"/bin/true")), ..Plan::default() };
            return draft.spawn(&plan, &AtomicU32::new(0)).expect("a child can be made").pid;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_child_that_hangs_keeps_its_stack_and_a_forked_one_goes_on() {
    let mut spawner = Spawner::new().expect("memory");
    // The word is all that says that a stack is taken.
    for index in 0..STACKS {
        spawner.stacks.words(Some(index)).taken.store(1, Ordering::Relaxed);
    }
    assert!(spawner.draft().is_none());
    assert_eq!(run(&mut spawner, true, "echo here", |_| {}), (News::Executed, "here\n".into(), DONE));
    spawner.stacks.words(Some(3)).taken.store(0, Ordering::Relaxed);
    assert_eq!(run(&mut spawner, false, "echo there", |_| {}), (News::Executed, "there\n".into(), DONE));
}

const ABSENT: Option<Text> = Some(Text::lasting(c"/nonexistent/place"));
const NOT_THERE: News = News::Failed(Step::Execute, Errno::NOENT, 0);

#[test]
fn a_quiet_child_has_no_pipe_and_the_same_news() {
    let mut spawner = Spawner::new().expect("memory");
    for forked in [false, true] {
        let script = "for n in $(seq 0 99); do [ ! -e /proc/$$/fd/$n ] || echo $n; done";
        let answer = run(&mut spawner, forked, script, |plan| plan.quiet = true);
        assert_eq!(answer, (News::Executed, "0\n1\n2\n".into(), DONE));
        let answer = run(&mut spawner, forked, "", |plan| (plan.quiet, plan.program) = (true, ABSENT));
        assert_eq!(answer, (NOT_THERE, String::new(), Outcome::Exited(111)));
    }
    let pending = quiet(&mut spawner, ABSENT);
    assert!(pending.status.is_none());
    assert_eq!((wait_news(&mut spawner, &pending), spawner.news(&pending)), (NOT_THERE, News::Executed));
    wait_end(pending.pid);
}

#[test]
fn what_a_quiet_child_left_stays_until_it_is_read() {
    let mut spawner = Spawner::new().expect("memory");
    let failed = [quiet(&mut spawner, ABSENT), quiet(&mut spawner, ABSENT)];
    for pending in &failed {
        wait_end(pending.pid);
    }
    assert!(!spawner.is_unused());
    spawner.release_memory();
    for _ in 0..2 * STACKS {
        let other = quiet(&mut spawner, Some(Text::lasting(c"/bin/true")));
        wait_end(other.pid);
        assert!(failed.iter().all(|pending| pending.owned.0 != other.owned.0));
    }
    for pending in &failed {
        assert_eq!((spawner.news(pending), spawner.news(pending)), (NOT_THERE, News::Executed));
    }
    assert!(spawner.is_unused());
    let other = quiet(&mut spawner, Some(Text::lasting(c"/bin/true")));
    assert_eq!(other.owned.0, failed[0].owned.0);
    assert_eq!(spawner.news(&failed[0]), News::Executed); // not the other's
    wait_end(other.pid);
}

fn quiet(spawner: &mut Spawner, program: Option<Text>) -> Pending {
    let mut draft = spawner.draft().expect("a stack is free");
    draft.argument(Text::lasting(c"it"));
    let plan = Plan { program, quiet: true, ..Plan::default() };
    draft.spawn(&plan, &AtomicU32::new(0)).expect("a child can be made")
}

#[test]
fn too_much_text_is_refused_and_nothing_started() {
    let mut spawner = Spawner::new().expect("memory");
    let mut draft = spawner.draft().expect("a stack is free");
    let text = draft.text(&[b"x"]);
    let taken = (0..1000).take_while(|_| {
        draft.argument(text);
        draft.refused().is_none()
    });
    assert_eq!(taken.count(), pintle::limits::ARGUMENTS_MAX);
    let plan = Plan { program: Some(Text::lasting(c"/bin/true")), ..Plan::default() };
    assert_eq!(draft.spawn(&plan, &AtomicU32::new(0)).err(), Some(Errno::TOOBIG));
    let mut draft = spawner.draft().expect("a stack is free");
    draft.text(&[&[b'x'; 50_000]]);
    assert_eq!(draft.refused(), Some(Refused::TooLong));
    assert!(spawner.is_unused());
}

/// In a process of its own, where the low numbers are free: with `PINTLE_TEST_ALONE` this is that process.
#[test]
fn a_child_of_a_shared_descriptor_table_gets_its_own() {
    if std::env::var_os("PINTLE_TEST_ALONE").is_none() {
        let name = "sys::spawn::tests::a_child_of_a_shared_descriptor_table_gets_its_own";
        let program = std::env::current_exe().expect("a test has a file");
        let mut command = std::process::Command::new(program);
        let done = command.args(["--exact", name, "--test-threads=1"]).env("PINTLE_TEST_ALONE", "1").output();
        let done = done.expect("it can be started again");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        return;
    }
    let mut spawner = Spawner::new().expect("memory");
    let (filler, _other) = crate::sys::pipe::nonblocking().expect("a pipe can be made");
    spawner.reserve_low_descriptors(filler.as_fd()).expect("nothing is at 16 or above yet");
    assert_eq!(spawner.reserve_low_descriptors(filler.as_fd()), Err(Errno::BUSY));
    // More than are kept, and the script sees; no more than 256 may be allowed.
    let held: Vec<_> = (0..60).map(|_| rustix::pipe::pipe().expect("a pipe can be made")).collect();
    let held: &'static [_] = held.leak(); // this process ends with the test
    let count = || std::fs::read_dir("/proc/self/fd").expect("there is /proc").count();
    let before = count();
    let script = "for n in $(seq 0 99); do [ ! -e /proc/$$/fd/$n ] || echo $n; done";
    for _ in 0..2 * STACKS {
        let answer = run(&mut spawner, false, script, |plan| plan.share_descriptors = true);
        assert_eq!(answer, (News::Executed, "0\n1\n2\n".into(), DONE));
    }
    let answer = run(&mut spawner, false, "", |plan| (plan.share_descriptors, plan.program) = (true, ABSENT));
    assert_eq!(answer.0, NOT_THERE);
    // More descriptors than there are low numbers: the table is copied, and the child has them all.
    let extra: Vec<_> = held.iter().take(6).map(|(read, _)| read.as_fd()).collect();
    let extra: Vec<_> = extra.iter().zip(3..).map(|(source, target)| Pass { source: *source, target }).collect();
    let answer = run(&mut spawner, false, script, |plan| {
        let all: Vec<_> = plan.descriptors.iter().copied().chain(extra.iter().copied()).collect();
        (plan.share_descriptors, plan.descriptors) = (true, all.leak());
    });
    assert_eq!(answer, (News::Executed, "0\n1\n2\n3\n4\n5\n6\n7\n8\n".into(), DONE));
    assert_eq!(count(), before);
    // Whatever does not fit, and wherever that is seen, nothing stays in the low numbers.
    // SAFETY: the numbers are kept, and nobody closes them.
    let inode = |number| rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(number) }).map(|stat| stat.st_ino);
    let filler = inode(filler.as_raw_fd());
    let (mut fitted, mut refused) = (0, 0);
    let longest = [b'x'; 64 * 1024];
    for length in (24 * 1024..longest.len()).step_by(64) {
        let mut draft = spawner.draft().expect("a stack is free");
        let text = draft.text(&[&longest[..length]]);
        draft.argument(text);
        let program = Some(Text::lasting(c"/bin/true"));
        let plan = Plan { program, share_descriptors: true, ..Plan::default() };
        match draft.spawn(&plan, &AtomicU32::new(0)) {
            Ok(pending) => {
                assert_eq!((wait_news(&mut spawner, &pending), wait_end(pending.pid)), (News::Executed, DONE));
                fitted += 1;
            }
            Err(error) => {
                assert_eq!(error, Errno::TOOBIG);
                refused += 1;
            }
        }
        assert!((LOW_FIRST..LOW_END).all(|number| inode(number) == filler), "{length} bytes");
    }
    assert!(fitted > 0 && refused > 0, "{fitted} fitted, {refused} did not");
}

#[test]
fn a_child_becomes_its_user_or_says_at_which_step_it_may_not() {
    let mut spawner = Spawner::new().expect("memory");
    let (news, output, outcome) = run(&mut spawner, false, "id -u; id -g; id -G; umask", |plan| {
        (plan.uid, plan.gid, plan.groups) = (Some(4711), Some(4712), Some([4712, 4713].as_slice()));
        (plan.umask, plan.no_new_privileges) = (Some(0o77), true);
    });
    if crate::sys::process::uid() == 0 {
        assert_eq!((news, output, outcome), (News::Executed, "4711\n4712\n4712 4713\n0077\n".into(), DONE));
    } else {
        assert_eq!((news, outcome), (News::Failed(Step::Groups, Errno::PERM, 0), Outcome::Exited(111)));
    }
}

#[test]
fn the_news_of_a_killed_child_are_its_end() {
    let mut spawner = Spawner::new().expect("memory");
    let mut draft = spawner.draft().expect("a stack is free");
    draft.argument(Text::lasting(c"sleep"));
    draft.argument(Text::lasting(c"1000"));
    let plan = Plan { program: Some(Text::lasting(c"/bin/sleep")), ..Plan::default() };
    let pending = draft.spawn(&plan, &AtomicU32::new(0)).expect("a child can be made");
    let group = crate::sys::signals::Target::Process(pending.pid);
    crate::sys::signals::send(group, crate::sys::signals::SIGKILL).expect("it is ours");
    assert_eq!(wait_news(&mut spawner, &pending), News::Executed);
    assert_eq!(wait_end(pending.pid), Outcome::Killed { signal: 9, core: false });
}
