//! The mark of a service's processes: a variable of their environment, which they hand down unless they mean not to.

use crate::sys::{Result, process, whole};
use alloc::vec::Vec;

/// The name of the variable, and the `=` behind it.
pub const MARK: &[u8] = b"PINTLE_SERVICE=";

/// No environment that is read is longer. Bytes.
const BYTES_MAX: usize = 1 << 22;

/// The service that a process is of by its mark; `None` where it has none. This may take as long as that process wants:
/// its memory may be a file that hangs. Fails where it is not for us to read. Allocates.
#[inline(never)]
pub fn of(pid: u32) -> Result<Option<Vec<u8>>> {
    let environment = whole::read(process::path(pid, "environ").as_str().as_ref(), BYTES_MAX)?.unwrap_or_default();
    let mark = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(MARK));
    Ok(mark.map(Vec::from))
}
