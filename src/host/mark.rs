//! The mark of a service's processes: a variable of their environment, which they hand down unless they mean not to.

use crate::sys::{Errno, Result, process, whole};
use alloc::vec::Vec;

/// The name of the variable, and the `=` behind it.
pub const MARK: &[u8] = b"PINTLE_SERVICE=";

/// No environment that is read is longer. Bytes.
const BYTES_MAX: usize = 1 << 22;

/// The service that a process is of by its mark; `None` where it has none. This may wait for that process, which may
/// hold the lock on its memory. Fails where it is not for us to read. Allocates.
#[inline(never)]
pub fn of(pid: u32) -> Result<Option<Vec<u8>>> {
    let path = process::path(pid, "environ");
    let read = || whole::read(path.as_str().as_ref(), BYTES_MAX);
    let environment = match read() {
        // Without CAP_SYS_PTRACE, as in most containers, root has to look as whoever it is of.
        Err(Errno::ACCESS) => process::as_owner(pid, &mut || read())?,
        done => done?,
    };
    let environment = environment.unwrap_or_default();
    let mark = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(MARK));
    Ok(mark.map(Vec::from))
}
