//! Children, as the kernel lists them: who has lost its parent is among those of the nearest subreaper.

use super::path::AsPath;
use super::{Result, file};

/// Of the thread that asks, which made them or adopted them.
pub const OWN: &str = "/proc/thread-self/children";

/// Calls with the pid of each child of a list, those that are not reaped yet among them. See
/// proc_pid_task_tid_children(5): it is whole as long as its owner reaps none of them. Fails where the kernel has none
/// (CONFIG_PROC_CHILDREN).
#[inline(never)]
pub fn each(list: impl AsPath, call: &mut dyn FnMut(u32)) -> Result<()> {
    let list = file::open_read(list)?;
    let (mut pid, mut buffer) = (0u32, [0; 4096]);
    loop {
        let count = file::read(&list, &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        for byte in &buffer[..count] {
            match byte {
                b'0'..=b'9' => pid = pid.wrapping_mul(10).wrapping_add(u32::from(byte - b'0')),
                _ => call(core::mem::take(&mut pid)),
            }
        }
    }
}
