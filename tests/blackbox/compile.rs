//! `pintle compile` and `pintle dump`: all that is wrong is said, and a database is replaced wholly or not at all.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::harness::{Folder, Ran, binary, pintle};

/// Compiles these sources of the folder into its `boot.db`.
fn compile(folder: &Folder, sources: &[&str]) -> Ran {
    let path = |name: &str| folder.0.join(name).to_str().expect("UTF-8").to_string();
    let mut arguments = vec!["compile".to_string()];
    arguments.extend(sources.iter().map(|name| path(name)));
    arguments.extend(["-o".to_string(), path("boot.db")]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    pintle(&arguments, &[])
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_good_set_is_compiled_and_dumped_and_compiled_again() {
    let folder = Folder::new();
    folder.write("services/web.svc", "command = /bin/web\nneeds = dhcp@eth0\nlog = pipe sink\n");
    let log = "log-size = 64K\nlog-keep = 7\nlog-age = 1d\nlog-rate = 100\nlog-line = 1000\nlog-stamp = tai64n\n";
    let syslog = "log = syslog\nlog-rate = 10\n";
    folder.write("services/sink.svc", &format!("command = /bin/sink\n{log}"));
    folder.write("services/other.svc", &format!("command = /bin/other\n{syslog}"));
    folder.write("services/dhcp@.svc", "command = /bin/dhcp ${INSTANCE}\n");
    folder.write("services/README", "not a service");
    folder.write("services/.hidden.svc", "not a service");
    folder.write("services/web.svc~", "not a service");
    let made = compile(&folder, &["services"]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let database = folder.0.join("boot.db");
    let first = std::fs::read(&database).expect("a database");
    let shown = pintle(&["dump", database.to_str().expect("UTF-8")], &[]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for said in ["\nneeds = dhcp@eth0\n", "\nlog = pipe sink\n", log, syslog] {
        assert!(shown.out.contains(said), "{}", shown.out);
    }
    folder.write("all.txt", &shown.out);
    let again = compile(&folder, &["all.txt"]);
    assert_eq!((again.code, again.err.as_str()), (0, ""));
    assert!(std::fs::read(&database).expect("a database") == first, "{}", shown.out);
    assert_eq!(names(&folder.0), ["all.txt", "boot.db", "services"], "nothing is left beside it");
}

#[test]
fn everything_that_is_wrong_is_said_and_nothing_is_changed() {
    let folder = Folder::new();
    folder.write("boot.db", "the old one");
    folder.write("s/web.svc", "command = /bin/web\nneeds = db nowhere\n");
    folder.write("s/db.svc", "comand = /bin/db\nneeds = nobody\nwants = web tty@one\nwhile = up(noone)\n");
    folder.write("s/dhcp@.svc", "command = /bin/dhcp ${NOTHING}\n");
    folder.write("s/tty@.svc", "command = /bin/tty\nafter = dhcp@eth0 db\n");
    folder.write("s/a.svc", "command = /bin/a\nafter = b\n");
    folder.write("s/b.svc", "command = /bin/b\nafter = a\n");
    folder.write("s/binary.svc", "command = /bin/\u{1}\n");
    folder.write("s/long.svc", &"x".repeat(1_000_000));
    folder.write("plain.txt", "command = /bin/x\n");
    std::fs::create_dir(folder.0.join("s/folder.svc")).expect("a folder");
    let fifo = CString::new(folder.0.join("s/fifo.svc").as_os_str().as_bytes()).expect("no NUL");
    // SAFETY: the path is a string that lives through the call.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    let ran = compile(&folder, &["s", "s/../s", "plain.txt", "none.svc"]);
    assert_eq!(ran.code, 100, "{}", ran.err);
    for said in [
        "web.svc:2:12: there is no service \"nowhere\", which web names in needs",
        "db.svc:1:1: unknown key \"comand\", did you mean \"command\"?",
        "db.svc:2:9: there is no service \"nobody\", which db names in needs",
        "db.svc:4:12: there is no service \"noone\", which db names in while",
        "nothing is known as ${NOTHING}",
        "dependency cycle: a after b (",
        "binary.svc:1:16: a control character: this is not a text",
        "long.svc:1:1: a line of 1000000 bytes",
        "plain.txt: neither called NAME.svc nor a dump of a database",
        "none.svc: cannot open: No such file or directory",
        "s/../s: the same directory as",
        "folder.svc: a directory, not a file",
        "fifo.svc: a FIFO, not a file",
        "boot.db is left as it is",
    ] {
        assert!(ran.err.contains(said), "not said: {said}\n{}", ran.err);
    }
    for there in ["db", "web", "tty@one", "dhcp@eth0"] {
        let missing = format!("no service \"{there}\"");
        assert!(!ran.err.contains(&missing), "{there} has a file, though perhaps a broken one:\n{}", ran.err);
    }
    assert_eq!(std::fs::read(folder.0.join("boot.db")).expect("a file"), b"the old one");
    assert_eq!(names(&folder.0), ["boot.db", "plain.txt", "s"]);
}

#[test]
fn a_hundred_thousand_services_are_too_many() {
    let folder = Folder::new();
    let services = folder.0.join("services");
    std::fs::create_dir(&services).expect("a folder");
    let first = folder.write("services/s0.svc", "command = /bin/true\n");
    // Links, which are made faster than files.
    for number in 1..100_000 {
        let name = services.join(format!("s{number}.svc"));
        if std::fs::hard_link(&first, &name).is_err() {
            std::fs::write(&name, "command = /bin/true\n").expect("a file");
        }
    }
    let ran = compile(&folder, &["services"]);
    assert_eq!(ran.code, 100);
    assert!(ran.err.starts_with("pintle: 100000 service files are more than this pintle holds: "), "{}", ran.err);
}

#[test]
fn misuse_and_what_cannot_be_written_have_their_codes() {
    let folder = Folder::new();
    let source = folder.write("a.svc", "command = /bin/a\n");
    let source = source.to_str().expect("UTF-8");
    let into = |target: &str| pintle(&["compile", source, "-o", target], &[]);
    assert_eq!(pintle(&["compile"], &[]).code, 100);
    assert_eq!(pintle(&["compile", source], &[]).code, 100);
    assert_eq!(pintle(&["compile", "--wrong", source], &[]).code, 100);
    assert_eq!(into("/dev/null").code, 100, "a device is not replaced");
    let nowhere = into("/nonexistent/boot.db");
    assert_eq!(
        (nowhere.code, nowhere.err.as_str()),
        (111, "pintle: cannot write /nonexistent/boot.db: No such file or directory\n")
    );
}

#[test]
fn what_is_no_database_is_refused_by_name() {
    let folder = Folder::new();
    folder.write("a.svc", "command = /bin/a\n");
    assert_eq!(compile(&folder, &["a.svc"]).code, 0);
    let good = std::fs::read(folder.0.join("boot.db")).expect("a database");
    let says = |bytes: &[u8]| {
        let path = folder.0.join("other.db");
        std::fs::write(&path, bytes).expect("a file");
        let ran = pintle(&["dump", path.to_str().expect("UTF-8")], &[]);
        assert_eq!((ran.code, ran.out.as_str()), (100, ""));
        ran.err
    };
    assert!(says(b"#!/bin/sh\n").ends_with("not a pintle database\n"));
    assert!(says(&good[..good.len() / 2]).contains("database is truncated: "));
    let mut altered = good.clone();
    altered[200] ^= 1;
    assert!(says(&altered).ends_with("checksum does not match: altered or damaged\n"));
    let missing = pintle(&["dump", "/nonexistent.db"], &[]);
    assert_eq!(
        (missing.code, missing.err.as_str()),
        (111, "pintle: cannot open /nonexistent.db: No such file or directory\n")
    );
}

#[test]
fn one_file_and_its_links_are_installed_and_removed() {
    let folder = Folder::new();
    let built = binary();
    let place = format!("B={}", built.parent().expect("a folder").display());
    let make = |goal: &str| {
        let mut make = std::process::Command::new("make");
        // The binary under test is up to date whatever its sources are.
        make.args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), "-o"]).arg(&built).args([&place, goal]);
        make.arg(format!("DESTDIR={}", folder.0.display())).arg("PREFIX=/usr");
        let output = make.env_remove("MAKEFLAGS").output().expect("make runs");
        assert!(output.status.success(), "make {goal}: {}", String::from_utf8_lossy(&output.stderr));
    };
    make("install");
    let sbin = folder.0.join("usr/sbin");
    let installed = || -> Vec<String> {
        let entries = std::fs::read_dir(&sbin).expect("the folder").filter_map(Result::ok);
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let links = pintle(&["--links"], &[]).out;
    let mut wanted: Vec<&str> = links.lines().chain(["pintle"]).collect();
    wanted.sort();
    assert_eq!(installed(), wanted);
    for link in links.lines() {
        assert_eq!(std::fs::read_link(sbin.join(link)).expect("a link"), std::path::Path::new("pintle"));
    }
    let emit = std::process::Command::new(sbin.join("pintle-emit")).arg("--version").output().expect("it runs");
    assert!(emit.status.success());
    // A name that another package owns by now stays.
    std::fs::remove_file(sbin.join("pintle-emit")).expect("removed");
    std::fs::write(sbin.join("pintle-emit"), "another's").expect("a file");
    make("uninstall");
    assert_eq!(installed(), ["pintle-emit"]);
}

/// `needs = a|b`, names that several services provide: what cannot be is told where it stands, and changes nothing.
#[test]
fn what_is_wrong_with_alternatives_is_said() {
    let folder = Folder::new();
    folder.write("boot.db", "the old one");
    let service = |name: &str, text: &str| folder.write(&format!("s/{name}.svc"), &format!("command = /bin/x\n{text}"));
    service("a", "");
    service("b", "needs = c\n");
    service("c", "");
    service("nowhere", "needs = a|nobody|b\nwants = none|nobody\n");
    service("itself", "needs = itself|a\n");
    service("ring", "needs = a|round\n");
    service("round", "wants = ring\n");
    service("mail1", "provides = mta a\n");
    service("mail2", "provides = mta\nneeds = reader\n");
    service("reader", "needs = mta\n");
    service("enemy", "needs = a|b\nconflicts = c\n");
    service("once", "type = oneshot\nremain = no\n");
    service("again", "wants = once|a\n");
    service("dhcp@", "");
    service("link", "needs = a|dhcp@\n");
    folder.write("s/set.svc", "type = bundle\ncontains = mta\n");
    let long = ["l".repeat(90), "m".repeat(79)];
    for name in &long {
        service(name, "");
    }
    service("few", &format!("needs = {}|{}\nwants = a|crowd\n", long[0], long[1]));
    for number in 0..25 {
        service(&format!("many{number:02}"), "provides = crowd\n");
    }
    let ran = compile(&folder, &["s"]);
    assert_eq!(ran.code, 100, "{}", ran.err);
    for said in [
        "nowhere.svc:2:11: there is no service \"nobody\", which nowhere names in needs",
        "nowhere.svc:3:9: there is no service \"none\", which nowhere names in wants",
        "nowhere.svc:3:14: there is no service \"nobody\", which nowhere names in wants",
        "itself.svc:2:9: \"needs\" names this service itself",
        "dependency cycle: a|round may choose round (s/ring.svc:2), round wants ring (s/round.svc:2), ring needs a|round",
        "dependency cycle: mail2 needs reader (s/mail2.svc:3), reader needs mta (s/reader.svc:2), mta may choose mail2",
        "mail1.svc:2:16: mail1 provides \"a\", which is a service",
        "enemy.svc:2:9: enemy conflicts with what it may choose: enemy needs a|b (s/enemy.svc:2), a|b may choose b",
        "again.svc:2:9: once|a may choose once, which is never up: it has remain = no",
        "link.svc:2:11: \"dhcp@\" is a template, not a service",
        "set.svc:2:12: contains of set names \"mta\", which 2 services provide",
        "many00.svc:2:12: \"crowd\" has 25, more than 24 alternatives",
        "few.svc:2:9: ",
        " has 170, more than 159 bytes",
        "few.svc:3:9: ",
        "more than 24 alternatives",
    ] {
        assert!(ran.err.replace(&format!("{}/", folder.0.display()), "").contains(said), "{said}\n{}", ran.err);
    }
    assert_eq!(std::fs::read(folder.0.join("boot.db")).expect("a file"), b"the old one");
}

#[test]
fn choices_are_shown_in_a_dump_and_made_again_of_it() {
    let folder = Folder::new();
    folder.write("s/exim.svc", "command = /bin/exim\nprovides = mta sendmail\nconflicts = mta\n");
    folder.write("s/postfix.svc", "command = /bin/postfix\nprovides = mta\nconflicts = mta\n");
    folder.write("s/reader.svc", "command = /bin/reader\nneeds = mta tty@a|exim\nwhile = up(sendmail)\n");
    folder.write("s/tty@.svc", "command = /bin/tty\nprovides = screen\n");
    folder.write(
        "s/list.svc",
        "command = /bin/list\nbinds = mta|tty@b|exim\nafter = exim|reader screen\nwants = sendmail\n",
    );
    let made = compile(&folder, &["s"]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let database = folder.0.join("boot.db");
    let first = std::fs::read(&database).expect("a database");
    let shown = pintle(&["dump", database.to_str().expect("UTF-8")], &[]);
    for said in [
        "\n# mta, a choice of exim postfix\n",
        "\n# mta|tty@b|exim, a choice of exim postfix tty@b\n",
        "\n# screen, a choice of tty@a tty@b\n",
        "\nbinds = mta|tty@b|exim\n",
        "\nprovides = mta sendmail\n",
        "\nneeds = mta tty@a|exim\n",
        "\nwhile = up(exim)\n",
    ] {
        assert!(shown.out.contains(said), "{said}\n{}", shown.out);
    }
    folder.write("all.txt", &shown.out);
    let again = compile(&folder, &["all.txt"]);
    assert_eq!((again.code, again.err.as_str()), (0, ""));
    assert!(std::fs::read(&database).expect("a database") == first, "{}", shown.out);
}
