//! How the supervisor calls the chain-loader, `pintle-exec`: what is not safe in a child that shares process 1's memory
//! (a file to read, an oom-score-adj, which such a child would set for the supervisor too) is done in an address space
//! of its own. See `applets/exec.rs` for the other side.
//!
//! ```text
//! pintle-exec STATUS [-C GROUP] [-o SCORE] [-e FILE]... [-d DIRECTORY] [-G GID,GID...] [-g GID] [-u UID] [-J PID]
//!             [-A SOCKET [-E NAME:NAME...] [-F MS]] [-LETTER WORD]... -- PROGRAM [ARGUMENT...]
//! ```
//!
//! SOCKET is where the supervisor takes notices of this service, and NAMEs are those of the descriptors from 3 on that
//! it has kept. With `-F`, PROGRAM goes into the background (`host::forked`), and MS is what that waits between the
//! signal that ends it and SIGKILL.
//!
//! STATUS is the number of the spawn's status pipe (`Plan::status_target`). Everything is passed as arguments,
//! expanded, so that nothing is looked up or checked twice. The fast path has made session, descriptors, limits, nice,
//! umask and environment already; identity and directory are left to the chain-loader (`Plan`'s `uid`, `gid`, `groups`
//! and `directory` are none), because what comes before them may need root.
//!
//! Failures go through the status pipe as (step, errno); end of file means that PROGRAM runs.

use super::accounts::Account;
use crate::sys::spawn::{Draft, Text};
use core::ffi::CStr;
use heapless::Vec;
use pintle::limits::GROUPS_MAX;
use pintle::text::digits;

/// The number of the status pipe in a service whose readiness is told on descriptor `ready`, and for which so many
/// descriptors can be kept.
pub fn status_target(ready: Option<i32>, stored: usize) -> i32 {
    let first = 3 + stored as i32;
    if ready == Some(first) { first + 1 } else { first }
}

/// Begins the arguments: argument 0, the status pipe, the score, the directory, the identity. Then come
/// `environment_file` for each file, `end`, and the service's own arguments.
#[inline(never)]
pub fn begin(
    draft: &mut Draft<'_>,
    status: i32,
    oom_score_adj: Option<i32>,
    directory: Option<Text>,
    account: &Account,
) {
    draft.argument(Text::lasting(c"pintle-exec"));
    number(draft, i64::from(status));
    if let Some(directory) = directory {
        draft.argument(Text::lasting(c"-d"));
        draft.argument(directory);
    }
    if let Some(groups) = account.groups() {
        // Ten digits and a comma each.
        let mut list: Vec<u8, { GROUPS_MAX * 11 + 1 }> = Vec::new();
        for group in groups {
            let _ = list.extend_from_slice(digits(*group, &mut [0; 10]));
            let _ = list.push(b',');
        }
        draft.argument(Text::lasting(c"-G"));
        let text = draft.text(&[&list]);
        draft.argument(text);
    }
    option(draft, c"-o", oom_score_adj.map(i64::from));
    option(draft, c"-g", account.gid.map(i64::from));
    option(draft, c"-u", account.uid.map(i64::from));
}

#[inline(never)]
fn option(draft: &mut Draft<'_>, option: &'static CStr, value: Option<i64>) {
    if let Some(value) = value {
        draft.argument(Text::lasting(option));
        number(draft, value);
    }
}

/// One file of the environment, in order; a leading `-` says that it may be missing.
pub fn environment_file(draft: &mut Draft<'_>, path: Text) {
    draft.argument(Text::lasting(c"-e"));
    draft.argument(path);
}

/// A word of a key that the chain-loader knows by its letter (`lang::keys`), in the order of the database.
pub fn setup(draft: &mut Draft<'_>, letter: u8, word: Text) {
    let option = draft.text(&[b"-", &[letter]]);
    draft.argument(option);
    draft.argument(word);
}

/// It goes into the namespaces of this process.
pub fn join(draft: &mut Draft<'_>, pid: u32) {
    option(draft, c"-J", Some(pid.into()));
}

/// Where the supervisor listens, the names of what it has kept, and for a service that goes into the background how
/// long it has to end, in milliseconds.
#[inline(never)]
pub fn beside(draft: &mut Draft<'_>, socket: &[u8], stored: &[u8], forks: Option<u32>) {
    for (option, value) in [(c"-A", socket), (c"-E", stored)] {
        if !value.is_empty() {
            draft.argument(Text::lasting(option));
            let text = draft.text(&[value]);
            draft.argument(text);
        }
    }
    option(draft, c"-F", forks.map(i64::from));
}

/// The service's own arguments follow.
pub fn end(draft: &mut Draft<'_>) {
    draft.argument(Text::lasting(c"--"));
}

/// Of 32 bits and a sign.
fn number(draft: &mut Draft<'_>, value: i64) {
    let sign: &[u8] = if value < 0 { b"-" } else { b"" };
    let text = draft.text(&[sign, digits(value.unsigned_abs() as u32, &mut [0; 10])]);
    draft.argument(text);
}
