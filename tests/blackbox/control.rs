//! Commands, their exit codes, and clients that misbehave.

use crate::harness::pintle;

#[test]
fn every_command_says_what_it_is_for() {
    let links = pintle(&["--links"], &[]);
    assert_eq!(links.code, 0);
    assert!(links.out.lines().count() > 10);
    for link in links.out.lines() {
        let name = link.strip_prefix("pintle-").expect("every link begins with pintle-");
        let help = pintle(&[name, "--help"], &[]);
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{name}");
        assert!(help.out.starts_with(&format!("usage: pintle {name}")), "{}", help.out);
        assert!(help.out.lines().all(|line| line.chars().count() <= 80), "{}", help.out);
        let version = pintle(&[name, "--version"], &[]);
        assert_eq!((version.code, version.out.as_str()), (0, concat!("pintle ", env!("CARGO_PKG_VERSION"), "\n")));
    }
    let list = pintle(&[], &[]);
    assert_eq!(list.code, 0);
    assert!(list.out.lines().all(|line| line.chars().count() <= 80), "{}", list.out);
}

#[test]
fn a_command_is_matched_exactly() {
    for (arguments, expected) in [
        (&["strat"][..], "pintle: no command \"strat\", did you mean \"start\"?\n"),
        (&["Start"], "pintle: no command \"Start\", did you mean \"start\"?\n"),
        (&["xyzzy"], "pintle: no command \"xyzzy\"; pintle --help lists them\n"),
    ] {
        let ran = pintle(arguments, &[]);
        assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (100, expected, ""));
    }
}

#[test]
fn misuse_is_told_with_exit_code_100() {
    for arguments in [
        &["start"][..],
        &["start", "--nonsense", "x"],
        &["signal", "HUP"],
        &["status", "--lines", "x"],
        &["list", "--phase", "sideways"],
        &["why"],
        &["emit"],
        &["emit", "--on", "--off", "x"],
        &["emit", "--on", "x", "--", "true"],
        &["shutdown", "now"],
    ] {
        let ran = pintle(arguments, &[]);
        assert_eq!(ran.code, 100, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.starts_with("pintle ") && ran.out.is_empty(), "{arguments:?}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn without_a_supervisor_commands_fail_with_exit_code_111() {
    let nowhere = [("PINTLE_RUN", "/nonexistent/pintle".as_ref())];
    for arguments in [&["status"][..], &["list"], &["start", "x"], &["emit", "x"], &["shutdown"]] {
        let ran = pintle(arguments, &nowhere);
        assert_eq!(ran.code, 111, "{arguments:?}: {}{}", ran.out, ran.err);
        assert_eq!(ran.err, "pintle: cannot open /nonexistent/pintle: No such file or directory\n", "{arguments:?}");
    }
}
