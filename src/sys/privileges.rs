//! What this process may do that others may not: capabilities(7) and their switches. Of this thread: for programs of
//! one thread.

use super::{Errno, Result, raw};

const PR_SET_KEEPCAPS: usize = 8;
const PR_CAPBSET_READ: usize = 23;
const PR_CAPBSET_DROP: usize = 24;
const PR_GET_SECUREBITS: usize = 27;
const PR_SET_SECUREBITS: usize = 28;
const PR_CAP_AMBIENT: usize = 47;
const PR_CAP_AMBIENT_RAISE: usize = 2;

/// _LINUX_CAPABILITY_VERSION_3 of capget(2): sets of 64 bits, in two halves.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// A half of the three sets.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn control(what: usize, a: usize, b: usize) -> Result<u32> {
    // SAFETY: none of these options involves memory; prctl(2) asks for zeros behind their arguments.
    unsafe { raw::call(raw::nr::PRCTL, what, a, b, 0, 0) }
}

/// Whether the kernel knows a capability of this number and lets us ever have it. EINVAL: it knows none such.
pub fn is_bounding(capability: u32) -> Result<bool> {
    Ok(control(PR_CAPBSET_READ, capability as usize, 0)? != 0)
}

/// Neither we nor what we execute can ever have a capability without its bit here. EPERM: that takes CAP_SETPCAP.
pub fn set_bounding(kept: u64) -> Result<()> {
    for capability in 0..u64::BITS {
        match is_bounding(capability) {
            Ok(true) if kept >> capability & 1 == 0 => drop(control(PR_CAPBSET_DROP, capability as usize, 0)?),
            Ok(_) => {}
            Err(_) => break, // it was the last one
        }
    }
    Ok(())
}

/// Becoming another user leaves us what we may have, but until exec.
pub fn keep_over_user() -> Result<()> {
    control(PR_SET_KEEPCAPS, 1, 0).map(drop)
}

/// All that we may have counts, and these can be handed on.
fn use_all(handed_on: u64) -> Result<()> {
    let header = Header { version: VERSION, pid: 0 };
    let mut halves = [Half::default(); 2];
    let (header, sets) = (&raw const header as usize, halves.as_mut_ptr() as usize);
    // SAFETY: the kernel writes two halves in this version.
    unsafe { raw::call(raw::nr::CAPGET, header, sets, 0, 0, 0) }?;
    for (half, bits) in halves.iter_mut().zip([handed_on as u32, (handed_on >> 32) as u32]) {
        half.effective = half.permitted;
        half.inheritable |= bits;
    }
    let sets = halves.as_ptr() as usize;
    // SAFETY: it reads as much.
    unsafe { raw::call(raw::nr::CAPSET, header, sets, 0, 0, 0) }.map(drop)
}

/// What we execute has this capability, too. EPERM: we have not.
pub fn set_ambient(capability: u32) -> Result<()> {
    use_all(1_u64.checked_shl(capability).ok_or(Errno::INVAL)?)?;
    control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability as usize).map(drop)
}

/// Sets this bit, too. EPERM: that takes CAP_SETPCAP, or it is locked.
pub fn set_secure_bit(bit: u32) -> Result<()> {
    use_all(0)?;
    let before = control(PR_GET_SECUREBITS, 0, 0)? as usize;
    control(PR_SET_SECUREBITS, before | 1 << bit, 0).map(drop)
}
