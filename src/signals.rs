//! Signals by name and number: signal(7), the generic numbering of Linux (all architectures but alpha, mips, parisc and
//! sparc, which pintle does not run on).

use crate::text::{parts, small_number};

/// Names without `SIG`, in the order of their numbers, from 1 on.
const NAMES: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN \
                     TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";

/// The last signal, SIGRTMAX.
pub const SIGNAL_MAX: u32 = 64;

/// The number of `TERM`, `SIGTERM` or `15`; capital letters as signal(7) writes them. `None` if there is no such
/// signal.
pub fn number(text: &str) -> Option<u32> {
    if let Some(number) = small_number(text.as_bytes()) {
        return Some(number).filter(|number| (1..=SIGNAL_MAX).contains(number));
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    names().position(|known| known == name).map(|index| index as u32 + 1)
}

/// The name without `SIG`; `None` for a real-time signal (32 to 64) and for what is no signal.
pub fn name(number: u32) -> Option<&'static str> {
    names().nth(number.checked_sub(1)? as usize)
}

/// All names, for suggestions.
pub fn names() -> impl Iterator<Item = &'static str> {
    parts(NAMES, b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        assert_eq!(number("TERM"), Some(15));
        assert_eq!(number("SIGHUP"), Some(1));
        assert_eq!(number("64"), Some(64));
        for bad in ["", "0", "65", "term", "SIG", "SIG15", "15x", "-1"] {
            assert_eq!(number(bad), None, "{bad}");
        }
        for signal in 1..=31 {
            assert_eq!(name(signal).and_then(number), Some(signal));
        }
        assert_eq!((name(0), name(32)), (None, None));
    }
}
