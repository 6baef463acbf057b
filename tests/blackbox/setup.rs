//! How processes are set up by the chain-loader: files of environment, oom-score-adj, and that a failure says which
//! step.

use crate::harness::{Folder, Machine, own_oom_score_adj};

/// What `pintle status` says about a service.
fn status(machine: &Machine, name: &str) -> String {
    machine.run(&["status", "--lines", "0", name]).out
}

#[test]
fn environment_files_are_read_at_each_start() {
    let folder = Folder::new();
    let (first, out) =
        (folder.write("first", "# of the first\nexport A='one two'\nB=file\nC=first\n"), folder.0.join("out"));
    let second = folder.write("second", "C=\"second\"\n");
    let score = own_oom_score_adj().max(300);
    let service = format!(
        "env-file = {} {} -/nonexistent/file\nenv = B=key D=key\noom-score-adj = {score}\n\
         command = <<END\n  echo \"$A|$B|$C|$D|$(cat /proc/self/oom_score_adj)\" >{}\n  exec sleep 1000\nEND\n",
        first.display(),
        second.display(),
        out.display(),
    );
    let machine = Machine::new(&[("s", &service), ("default", "type = bundle\ncontains = s\n")]);
    let said = |text: &str| {
        let text = format!("{text}|{score}");
        machine.wait(&text, |_| std::fs::read_to_string(&out).is_ok_and(|found| found.trim_end() == text));
    };
    said("one two|file|second|key");
    folder.write("second", "C=third\n");
    machine.expect(&["restart", "--wait", "s"]);
    said("one two|file|third|key");
}

#[test]
fn a_step_that_fails_in_the_chain_loader_is_told_by_name() {
    let folder = Folder::new();
    let broken = folder.write("broken", "A=1\nnonsense\n");
    let missing = "env-file = -/nonexistent/first /nonexistent/file\nrestart-limit = 1\ncommand = /bin/sleep 1000\n";
    let broken = format!("env-file = {}\nrestart-limit = 1\ncommand = /bin/sleep 1000\n", broken.display());
    // By way of the chain-loader, and nothing that not everybody may do.
    let loaded = format!("oom-score-adj = {}\nrestart-limit = 1\n", own_oom_score_adj());
    let program = format!("{loaded}command = /nonexistent/program\n");
    let place = format!("{loaded}directory = /nonexistent\ncommand = /bin/sleep 1000\n");
    let machine = Machine::new(&[
        ("missing", missing),
        ("broken", &broken),
        ("program", &program),
        ("place", &place),
        ("default", "type = bundle\nwants = missing broken program place\n"),
    ]);
    for (name, step, reason) in [
        ("missing", "env-file /nonexistent/file: ", "No such file or directory"),
        ("broken", "/broken: ", "Invalid argument"),
        ("program", "exec", "No such file or directory"),
        ("place", "chdir", "No such file or directory"),
    ] {
        machine.wait_phase(name, "failed");
        let text = status(&machine, name);
        assert!(text.contains(step) && text.contains(reason), "{text}");
    }
    machine.wait("the line of the file is told", |machine| {
        machine.run(&["log", "broken"]).out.contains("broken:2: expected NAME=VALUE")
    });
}

#[test]
fn an_account_that_does_not_exist_fails_that_service_alone() {
    let machine = Machine::new(&[
        ("user", "user = nobody-of-this-name\nrestart-limit = 1\ncommand = /bin/sleep 1000\n"),
        ("group", "group = no-such-group\nrestart-limit = 1\ncommand = /bin/sleep 1000\n"),
        ("after-it", "needs = user\ncommand = /bin/sleep 1000\n"),
        ("well", "command = /bin/sleep 1000\n"),
        ("default", "type = bundle\nwants = user group after-it well\n"),
    ]);
    machine.wait_phase("user", "failed");
    machine.wait_phase("group", "failed");
    machine.wait_phase("well", "up");
    assert!(status(&machine, "user").contains("no such user"), "{}", status(&machine, "user"));
    assert!(status(&machine, "group").contains("no such group"), "{}", status(&machine, "group"));
    machine.wait_phase("after-it", "waiting");
}

#[test]
fn a_limit_that_may_not_be_set_is_named() {
    // Nobody may have more descriptors than fs.nr_open.
    let text = "limit-core = 0\nlimit-nofile = 4000000000\nrestart-limit = 1\ncommand = /bin/sleep 1000\n";
    let machine = Machine::new(&[("s", text), ("default", "type = bundle\nwants = s\n")]);
    machine.wait_phase("s", "failed");
    let text = status(&machine, "s");
    assert!(text.contains("limit-nofile: Operation not permitted"), "{text}");
}
