//! Conditions and events as people say and see them, and what becomes of bad ones.

use std::io::{BufRead, BufReader, Write};

use serde_json::{Value, json};

use super::harness::{Folder, Machine, pause, pintle};

/// One connection, on which each line is answered by one.
struct Client(BufReader<std::os::unix::net::UnixStream>);

impl Client {
    fn new(machine: &Machine) -> Client {
        Client(BufReader::new(machine.connect()))
    }

    fn ask(&mut self, line: &[u8]) -> String {
        self.0.get_mut().write_all(&[line, b"\n"].concat()).expect("the engine reads");
        let mut answer = String::new();
        self.0.read_line(&mut answer).expect("an answer");
        answer.trim_end().to_string()
    }
}

fn conditions(machine: &Machine) -> Vec<Value> {
    serde_json::from_str(&machine.expect(&["conditions", "--json"])).expect("an array")
}

/// All that is shown of the machine, but for times, which are told in whole seconds of another clock.
fn picture(machine: &Machine) -> Vec<String> {
    let of = |row: &Value, keys: &[&str]| keys.iter().map(|key| row[key].to_string()).collect::<Vec<_>>().join(" ");
    let services = machine.services();
    let services = services.iter().map(|row| of(row, &["name", "phase", "goal", "holds", "pid"]));
    let conditions = conditions(machine);
    let conditions = conditions.iter().map(|row| of(row, &["name", "attributes", "value", "generation", "pid"]));
    services.chain(conditions).collect()
}

#[test]
fn jobs_of_upstart_mean_what_they_meant() {
    let machine = Machine::new(&[
        ("rc", "type = oneshot\nremain = no\ncommand = /bin/true\nstart-on = runlevel [0-6]\npass = RUNLEVEL\n"),
        (
            "job",
            &pause(
                "start-on = starting rc RUNLEVEL=[2345] and (net-device-up IFACE!=lo or local-filesystems)\n\
                 stop-on = runlevel [!2345]",
            ),
        ),
        ("next", &pause("start-on = started job\nstop-on = stopped job ok")),
        ("tty@", &pause("start-on = runlevel [23] and tty-added TTY=tty*\ninstance = ${TTY}")),
    ]);
    machine.expect(&["emit", "net-device-up", "IFACE=lo"]);
    machine.expect(&["emit", "--wait", "runlevel", "RUNLEVEL=2", "PREVLEVEL=N"]);
    assert_eq!(
        machine.expect(&["why", "job"]),
        "job is down: nothing wants it up; its start-on: starting rc RUNLEVEL=[2345] (happened) and \
         (net-device-up IFACE!=lo (off) or local-filesystems (off))\n"
    );
    machine.expect(&["emit", "net-device-up", "IFACE=eth0"]);
    machine.wait_phase("job", "up");
    machine.wait_phase("next", "up");
    machine.expect(&["emit", "--wait", "runlevel", "RUNLEVEL=1", "PREVLEVEL=2"]);
    machine.wait_phase("job", "down");
    machine.wait_phase("next", "down");
    // The level is said of no terminal in particular, so that it is for those there are.
    machine.expect(&["emit", "tty-added", "TTY=tty1"]);
    machine.expect(&["emit", "tty-added", "TTY=pts0"]);
    machine.expect(&["emit", "runlevel", "RUNLEVEL=3"]);
    machine.wait_phase("tty@tty1", "up");
    assert_eq!(machine.phase("tty@pts0"), "");
}

#[test]
fn what_is_changing_is_kept_for_a_time_and_shown() {
    let machine = Machine::new(&[("nic", &pause("while = net-up IFACE=eth*")), ("other", &pause("while = net-up"))]);
    machine.expect(&["start", "--no-wait", "nic"]);
    assert_eq!(machine.run(&["emit", "--changing", "net-up", "IFACE=eth0"]).err, "pintle: this condition is not on\n");
    let mut holder = machine.spawn(&["emit", "--hold", "net-up", "IFACE=eth0"]);
    machine.wait_phase("nic", "up");
    let first = conditions(&machine);
    assert_eq!(first.len(), 1);
    for (key, value) in [
        ("name", json!("net-up")),
        ("attributes", json!({"IFACE": "eth0"})),
        ("value", json!("on")),
        ("pid", json!(holder.id())),
        ("leased", json!(true)),
        ("program", json!("pintle")),
    ] {
        assert_eq!(first[0][key], value, "{key} of {first:?}");
    }
    let shown = machine.expect(&["conditions"]);
    let by = format!("by process {} (pintle) of uid ", holder.id());
    assert!(shown.starts_with("net-up IFACE=eth0  on for ") && shown.contains(&by), "{shown}");

    machine.expect(&["emit", "--changing", "--for", "1h", "net-up", "IFACE=eth0"]);
    assert_eq!(conditions(&machine)[0]["value"], "changing");
    machine.expect(&["start", "--no-wait", "other"]);
    assert_eq!(machine.expect(&["why", "other"]), "other waits for its while: net-up (changing)\n");
    // Its owner restarts, and the engine, too.
    holder.kill().expect("it runs");
    holder.wait().expect("it ends");
    machine.wait("its lease has ended", |machine| conditions(machine)[0]["leased"] == false);
    let (engine, pid) = (machine.engine(), machine.pid("nic"));
    machine.kill(engine, libc::SIGKILL);
    machine.wait_new_engine(engine);
    machine.expect(&["emit", "--wait", "something-else"]);
    assert_eq!((machine.phase("nic").as_str(), machine.pid("nic")), ("up", pid));
    assert_eq!(conditions(&machine)[0]["value"], "changing");
    machine.expect(&["emit", "--on", "net-up", "IFACE=eth0"]);
    machine.wait_phase("other", "up");
    let again = conditions(&machine);
    assert_eq!((again.len(), machine.pid("nic")), (1, pid));
    let generation = |rows: &[Value]| rows[0]["generation"].as_u64().expect("a number");
    assert!(generation(&again) > generation(&first));
    assert_eq!((&again[0]["leased"], &again[0]["program"]), (&json!(false), &Value::Null));

    machine.expect(&["emit", "--changing", "--for", "1ms", "net-up", "IFACE=eth0"]);
    machine.wait_phase("nic", "waiting");
    assert_eq!(machine.expect(&["conditions", "--json"]), "[]\n");
    machine.expect(&["emit", "--on", "net-up", "IFACE=wlan0"]);
    assert_eq!(
        machine.expect(&["why", "nic"]),
        "nic waits for its while: net-up IFACE=eth* (on only with other attributes)\n"
    );
    let misused = [
        (&["emit", "--changing", "--on", "x"][..], "pintle emit: only one of --on, --off, --changing, --hold"),
        (&["emit", "--for", "1s", "x"], "pintle emit: --for TIME goes with --changing"),
        (&["emit", "--changing", "--for", "2h", "x"], "pintle: expected a time from 1ms to 1h, not \"2h\""),
    ];
    for (arguments, message) in misused {
        let ran = machine.run(arguments);
        assert_eq!((ran.code, ran.err.lines().next()), (100, Some(message)), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_taken_is_refused_by_name_and_changes_nothing() {
    let machine = Machine::new(&[
        ("nic", &pause("while = net-up")),
        ("m@", "type = bundle\nstart-on = disk\ninstance = ${DEV}\n"),
        ("c@", "type = bundle\nfor-each = link\ninstance = ${IFACE}\n"),
    ]);
    machine.expect(&["emit", "--on", "net-up"]);
    machine.expect(&["start", "--wait", "nic"]);
    let mut client = Client::new(&machine);
    assert_eq!(client.ask(b"emit nobody-hears-this A=1"), "ok 0 no service listens to nobody-hears-this");
    let before = picture(&machine);
    let many: String = (0..17).map(|number| format!(" K{number}=v")).collect();
    let words = "x ".repeat(600);
    let long = format!("on net-up A={}", "v".repeat(240));
    let too_long = "bad name and attributes take more than 240 bytes";
    let not_text = "bad a word is not text (UTF-8 without control characters)";
    let bad_name = "bad a condition or event is named by letters, digits, or any of -_.";
    let bad_attribute = "bad an attribute is KEY=VALUE, each key once, without control characters";
    let table: [(&[u8], &str); 14] = [
        (&[b"off net-up".as_slice(), many.as_bytes()].concat(), "bad more than 16 attributes"),
        (long.as_bytes(), too_long),
        (&[b"start ".as_slice(), words.as_bytes()].concat(), "bad more than 512 words"),
        (b"emit a\xff", not_text),
        (b"off net-up \xc3\x28=1", not_text),
        (b"on net-up IFACE=\xf0\x28\x8c\x28", not_text),
        (b"emit a/b", bad_name),
        (b"emit ''", bad_name),
        (b"off net-up eth0", bad_attribute),
        (b"off net-up A=1 A=2", bad_attribute),
        (b"off net-up 1A=1", bad_attribute),
        (b"changing 1s nothing", "no this condition is not on"),
        (b"changing 1d net-up", "bad expected a time from 1ms to 1h, not \"1d\""),
        (b"emit", "bad nothing is named"),
    ];
    for (line, answer) in table {
        assert_eq!(client.ask(line), answer, "{}", String::from_utf8_lossy(line));
    }
    assert_eq!(picture(&machine), before);

    // Instances that events make: as many as there is room for, and no more.
    let mut made = 0;
    let refused = loop {
        let answer = client.ask(format!("emit disk DEV=d{made}").as_bytes());
        if !answer.starts_with("ok ") {
            break answer;
        }
        made += 1;
    };
    assert_eq!((made, refused.as_str()), (256, "no as many instances exist as there is room for: 256"));
    machine.wait_phase("m@d255", "up");
    let before = picture(&machine);
    assert_eq!(before.iter().filter(|row| row.starts_with("\"m@")).count(), 256);
    assert_eq!(client.ask(b"on link IFACE=eth0"), refused);
    assert_eq!(client.ask(b"start c@one"), refused);
    assert!(client.ask(b"emit disk DEV=d7").starts_with("ok "), "it is there already");
    assert_eq!(picture(&machine), before);

    // Conditions.
    let mut on = 1;
    let refused = loop {
        let answer = client.ask(format!("on c{on}").as_bytes());
        if !answer.starts_with("ok ") {
            break answer;
        }
        on += 1;
    };
    assert_eq!((on, refused.as_str()), (256, "no as many conditions are on as there is room for: 256"));
    let before = picture(&machine);
    assert_eq!(client.ask(b"hold more"), refused);
    assert_eq!(client.ask(b"on net-up"), "ok 0", "it is on already");
    assert_eq!(picture(&machine), before);
    assert_eq!(client.ask(b"off c7"), "ok 0 no service listens to c7");
    assert_eq!(client.ask(b"hold more"), "ok 0 no service listens to more");
    assert_eq!(machine.status()["engine"]["allocations"], 0);
}

#[test]
fn who_says_what_no_file_names_is_told_so_and_it_is_taken() {
    let machine = Machine::new(&[
        ("gated", &pause("while = a-while and not not-while")),
        ("triggered", &pause("start-on = begin and up(gated)\nstop-on = end")),
        ("made@", &pause("for-each = made-by N=*\ninstance = ${N}")),
    ]);
    for words in [&["a-while"][..], &["not-while"], &["begin", "A=1"], &["end"], &["made-by", "N=1"], &["made-by"]] {
        for how in ["--on", "--off", "--wait"] {
            let ran = machine.run(&[&["emit", how], words].concat());
            assert!(ran.code == 0 && !ran.err.contains("listens"), "{how} {words:?}: {ran:?}");
        }
    }
    let told = "pintle: note: no service listens to a-whil\n";
    for how in [&[][..], &["--wait"], &["--on"], &["--on", "--wait"], &["--off"]] {
        let ran = machine.run(&[&["emit"], how, &["a-whil", "A=1"]].concat());
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", told), "{how:?}");
    }
    let held = machine.run(&["emit", "--hold", "a-whil", "--", "/bin/sh", "-c", "exit 7"]);
    assert_eq!((held.code, held.err.as_str()), (7, told));
}

#[test]
fn a_storm_of_conditions_ends_where_it_should() {
    const LINES: usize = 100_000;
    let machine = Machine::new(&[
        ("dhcp@", &pause("for-each = net-up IFACE=*\ninstance = ${IFACE}\npass = IFACE")),
        ("nic", &pause("while = net-up IFACE=e0")),
    ]);
    machine.expect(&["start", "--no-wait", "nic"]);
    let stream = machine.connect();
    let answers = stream.try_clone().expect("a copy");
    // Each of eight links goes on and off in turn; the last three stay on.
    let writer = std::thread::spawn(move || {
        let mut out = std::io::BufWriter::new(stream);
        for line in 0..LINES {
            let verb = if line / 8 % 2 == 0 || line + 3 >= LINES { "on" } else { "off" };
            writeln!(out, "{verb} net-up IFACE=e{}", line % 8).expect("the engine reads");
        }
        out.flush().expect("the engine reads");
    });
    for (number, answer) in BufReader::new(answers).lines().take(LINES).enumerate() {
        let answer = answer.expect("an answer");
        assert!(answer.starts_with("ok "), "line {number}: {answer}");
    }
    writer.join().expect("it has written all");
    machine.wait("three instances are left, and up", |machine| {
        let instances: Vec<_> = machine
            .services()
            .into_iter()
            .filter(|service| service["name"].as_str().is_some_and(|name| name.starts_with("dhcp@")))
            .map(|service| (service["name"].clone(), service["phase"].clone()))
            .collect();
        let is_up = |name: &&str| instances.contains(&(json!(name), json!("up")));
        instances.len() == 3 && ["dhcp@e5", "dhcp@e6", "dhcp@e7"].iter().all(is_up)
    });
    machine.wait_phase("nic", "waiting");
    let mut on: Vec<_> = conditions(&machine).iter().map(|row| row["attributes"]["IFACE"].clone()).collect();
    on.sort_by_key(Value::to_string);
    assert_eq!(on, [json!("e5"), json!("e6"), json!("e7")]);
    let status = machine.status();
    assert_eq!((&status["engine"]["allocations"], &status["supervisor"]["allocations"]), (&0.into(), &0.into()));
    assert_eq!(status["engine"]["lives"], 1);
}

#[test]
fn an_expression_nested_a_thousand_deep_is_a_finding_and_the_old_database_stays() {
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).to_str().expect("UTF-8").to_string();
    folder.write("deep.svc", "command = /bin/true\n");
    assert_eq!(pintle(&["compile", &path("deep.svc"), "-o", &path("boot.db")], &[]).code, 0);
    let old = std::fs::read(path("boot.db")).expect("a database");
    for nested in [format!("{}a{}", "(".repeat(1_000), ")".repeat(1_000)), format!("{}a", "not ".repeat(1_000))] {
        folder.write("deep.svc", &format!("command = /bin/true\nwhile = {nested}\n"));
        let ran = pintle(&["compile", &path("deep.svc"), "-o", &path("boot.db")], &[]);
        assert_ne!(ran.code, 0);
        let finding = format!("{}{}", ran.out, ran.err);
        assert!(finding.contains("nested more than 32 deep"), "{finding}");
        assert_eq!(std::fs::read(path("boot.db")).expect("a database"), old);
    }
}

#[test]
fn a_run_that_is_queued_is_shown() {
    let gate = Folder::new();
    let script = format!("/bin/sh -c 'until [ -e {}/open ]; do sleep 0.01; done'", gate.0.display());
    let machine = Machine::new(&[(
        "job",
        &format!("type = oneshot\nremain = no\nstart-on = go\ncommand = {script}\nlog = null\n"),
    )]);
    let shown = |machine: &Machine| {
        let text = machine.run(&["status", "job"]).out;
        assert_eq!(text.contains("\n  queued     one more run\n"), machine.service("job")["queued"] == true);
        text.contains("queued")
    };
    machine.expect(&["emit", "go"]);
    machine.wait_phase("job", "starting");
    assert!(!shown(&machine));
    machine.expect(&["emit", "go"]);
    machine.wait("another run is queued", shown);
    gate.write("open", "");
    machine.wait_phase("job", "done");
    assert!(!shown(&machine));
}

/// A restart by command: the end of the life is told when it has ended, with how, and once.
#[test]
fn a_restart_is_told_as_an_end_when_the_life_has_ended() {
    let folder = Folder::new();
    let (trace, go) = (folder.0.join("trace"), folder.0.join("go"));
    let slow = format!(
        "command = <<END\n  trap 'while [ ! -e {} ]; do sleep 0.02; done; exit 7' TERM\n  while :; do sleep 0.02; done\nEND\n",
        go.display()
    );
    let ear = format!(
        "type = oneshot\nremain = no\nstart-on = stopped slow or other\npass = RESULT EXIT_STATUS N\n\
         command = /bin/sh -c 'echo $N$RESULT $EXIT_STATUS >>{}'\n",
        trace.display()
    );
    let machine = Machine::new(&[("slow", &slow), ("ear", &ear), ("default", "type = bundle\nwants = slow\n")]);
    machine.wait_phase("slow", "up");
    let pid = machine.pid("slow");
    machine.expect(&["restart", "slow"]);
    machine.wait_phase("slow", "restarting");
    // What comes behind it is heard, and nothing was before.
    machine.expect(&["emit", "--wait", "other", "N=1"]);
    let said = || std::fs::read_to_string(&trace).unwrap_or_default();
    assert_eq!(said(), "1\n");
    std::fs::write(&go, "").expect("a file");
    machine.wait_new_life("slow", pid);
    machine.wait("the end is told", |_| said().lines().count() == 2);
    assert_eq!(said(), "1\nfailed 7\n");
}
