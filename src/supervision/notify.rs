//! The datagrams of sd_notify(3), as much of them as is understood. Lines of `NAME=VALUE`; what is unknown is passed
//! over, as the protocol wants.

use crate::lang::keys::TIME_MS_MAX;
use crate::setup::is_stored_name;
use crate::text::number;

/// What one datagram says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Notice<'d> {
    /// `READY=1`.
    pub ready: bool,
    /// `RELOADING=1`: up all the same.
    pub reloading: bool,
    /// `STOPPING=1`: it ends by itself; policy decides when it has.
    pub stopping: bool,
    /// `MAINPID=`: another process of it is the main one.
    pub main_pid: Option<u32>,
    /// `EXTEND_TIMEOUT_USEC=`, in milliseconds, rounded up, at most `EXTEND_MS_MAX`.
    pub extend_ms: Option<u32>,
    /// `WATCHDOG=1`: it is well.
    pub ping: bool,
    /// `WATCHDOG=trigger`: it is not.
    pub trigger: bool,
    /// `WATCHDOG_USEC=`, in milliseconds, rounded up.
    pub watchdog_ms: Option<u32>,
    /// `FDSTORE=1`: the descriptors that come along are to be kept.
    pub fd_store: bool,
    /// `FDSTOREREMOVE=1`: those of this name are not.
    pub fd_remove: bool,
    /// `FDNAME=`, where it is a name.
    pub fd_name: Option<&'d [u8]>,
    /// `FDPOLL=0`: they are kept when they are hung up, too.
    pub fd_stays: bool,
    /// `STATUS=`: what it says of itself, as it came.
    pub status: Option<&'d [u8]>,
}

/// The most that one message can ask for: an hour.
pub const EXTEND_MS_MAX: u32 = 3_600_000;

static NAMES: [&[u8]; 12] = [
    b"READY=",
    b"RELOADING=",
    b"STOPPING=",
    b"MAINPID=",
    b"EXTEND_TIMEOUT_USEC=",
    b"STATUS=",
    b"WATCHDOG=",
    b"WATCHDOG_USEC=",
    b"FDSTORE=",
    b"FDSTOREREMOVE=",
    b"FDNAME=",
    b"FDPOLL=",
];

/// Reads a datagram. Total: garbage says nothing.
#[inline(never)]
pub fn parse(datagram: &[u8]) -> Notice<'_> {
    let mut notice = Notice::default();
    for line in datagram.split(|byte| *byte == b'\n') {
        // What is not among them is passed over: it is not ours to know.
        for (at, name) in NAMES.iter().enumerate() {
            let Some(value) = line.strip_prefix(*name) else { continue };
            let (is_one, number) = (value == b"1", number(value));
            match at {
                0 => notice.ready |= is_one,
                1 => notice.reloading |= is_one,
                2 => notice.stopping |= is_one,
                3 => notice.main_pid = number.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 1),
                4 => notice.extend_ms = number.map(|us| us.div_ceil(1000).min(u64::from(EXTEND_MS_MAX)) as u32),
                5 => notice.status = Some(value),
                6 => (notice.ping, notice.trigger) = (notice.ping | is_one, notice.trigger | (value == b"trigger")),
                8 => notice.fd_store |= is_one,
                9 => notice.fd_remove |= is_one,
                10 => notice.fd_name = Some(value).filter(|name| is_stored_name(name)),
                11 => notice.fd_stays = value == b"0",
                _ => notice.watchdog_ms = number.map(|us| us.div_ceil(1000).min(u64::from(TIME_MS_MAX)) as u32),
            }
        }
    }
    notice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_lines_of_which_the_known_ones_count() {
        let nothing = Notice::default();
        let table: [(&[u8], Notice<'_>); 18] = [
            (b"READY=1", Notice { ready: true, ..nothing }),
            (b"READY=1\n", Notice { ready: true, ..nothing }),
            (
                b"STATUS=half way\nREADY=1\nMAINPID=77",
                Notice { ready: true, main_pid: Some(77), status: Some(b"half way"), ..nothing },
            ),
            (b"WATCHDOG=1", Notice { ping: true, ..nothing }),
            (b"WATCHDOG=trigger\nWATCHDOG_USEC=0", Notice { trigger: true, watchdog_ms: Some(0), ..nothing }),
            (b"WATCHDOG=2\nWATCHDOG_USEC=1001", Notice { watchdog_ms: Some(2), ..nothing }),
            (b"STATUS=one\nSTATUS=", Notice { status: Some(b""), ..nothing }),
            (b"RELOADING=1\nMONOTONIC_USEC=5", Notice { reloading: true, ..nothing }),
            (b"STOPPING=1", Notice { stopping: true, ..nothing }),
            (b"EXTEND_TIMEOUT_USEC=1500001", Notice { extend_ms: Some(1501), ..nothing }),
            (b"EXTEND_TIMEOUT_USEC=18446744073709551615", Notice { extend_ms: Some(EXTEND_MS_MAX), ..nothing }),
            (b"EXTEND_TIMEOUT_USEC=-1\nMAINPID=1", nothing),
            (b"MAINPID=99999999999\nMAINPID", nothing),
            (b"READY=0\nREADY=\nREADY=11", nothing),
            (
                b"FDSTORE=1\nFDNAME=a b\nFDPOLL=0",
                Notice { fd_store: true, fd_name: Some(b"a b"), fd_stays: true, ..nothing },
            ),
            (b"FDSTOREREMOVE=1\nFDSTORE=0\nFDNAME=a:b\nFDPOLL=1", Notice { fd_remove: true, ..nothing }),
            (b"XREADY=1", nothing),
            (b"\xff\x00=\xff\n==\n", nothing),
        ];
        for (datagram, expected) in table {
            assert_eq!(parse(datagram), expected, "{:?}", core::str::from_utf8(datagram));
        }
    }
}
