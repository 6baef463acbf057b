//! Nothing is left of a bench that was interrupted: a second process of the same program waits until the first is gone,
//! in whatever way, then kills what its control groups hold and removes them and its directories.

use crate::cgroup;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, ExitCode, Stdio};

const ARGUMENT: &str = "--guard-of";

/// Starts the guard. What it returns is to be kept: its end is the sign.
pub fn start() -> Result<ChildStdin, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args([ARGUMENT, &std::process::id().to_string()]).stdin(Stdio::piped()).stdout(Stdio::null());
    // SAFETY: setsid is async-signal-safe. A session of its own, so that what kills the bench's group spares the guard.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            Ok(())
        });
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    child.stdin.take().ok_or_else(|| "the guard has no standard input".into())
}

/// The pid of the bench to guard, if this process is a guard.
pub fn asked_for() -> Option<String> {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == ARGUMENT)?;
    arguments.get(at + 1).cloned()
}

pub fn wait_and_clean(bench: &str) -> ExitCode {
    let mut nothing = [0u8; 1];
    while matches!(std::io::stdin().read(&mut nothing), Ok(1)) {}
    let prefix = format!("pintle-bench-{bench}-");
    cgroup::kill_all(&prefix);
    for directory in [std::env::temp_dir(), "/dev/shm".into()] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
    ExitCode::SUCCESS
}
