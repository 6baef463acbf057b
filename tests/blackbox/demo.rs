//! `make demo` happens as it says.

use crate::harness::{binary, program};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn everything_that_the_demo_shows_happens() {
    let programs = ["pause", "ready", "crash", "tell", "httpd", "httpget"].map(program);
    let folder = Path::new(&programs[0]).parent().expect("programs are in a folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo/demo.sh");
    let mut command = Command::new("sh");
    command.arg(script).env("PINTLE_BIN", binary()).env("PINTLE_PROGRAMS", folder).env_remove("KEEP");
    let output = command.stdin(Stdio::null()).output().expect("there is a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
