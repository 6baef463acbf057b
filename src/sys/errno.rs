//! The kernel's errors in words, as people know them, without libc's table (which allocates and is long).

use core::fmt;
use core::num::NonZero;
use pintle::packed;
use pintle::packed::Packed;

/// An error as the kernel answers it: a number from -4095 to -1. A result that has nothing else is one register, and no
/// call has to bring it into another form (rustix's has 16 bits).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(NonZero<i32>);

impl Errno {
    /// What the kernel has answered.
    ///
    /// # Safety
    /// It is one of these numbers.
    #[inline(always)]
    pub(super) unsafe fn answered(answer: i32) -> Errno {
        // SAFETY: the caller's: it is below 0.
        Errno(unsafe { NonZero::new_unchecked(answer) })
    }

    /// Its number, 1 to 4095.
    pub fn number(self) -> u32 {
        self.0.get().unsigned_abs()
    }

    /// Whether the reason may pass by itself: something is short for now, or in use.
    pub fn may_pass(self) -> bool {
        const PASSING: [Errno; 16] = [
            Errno::AGAIN,
            Errno::NOMEM,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::TOOMANYREFS,
            Errno::TXTBSY,
            Errno::BUSY,
            Errno::INTR,
            Errno::IO,
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::ROFS,
            Errno::STALE,
            Errno::TIMEDOUT,
            Errno::USERS,
        ];
        PASSING.contains(&self)
    }

    const fn of(error: rustix::io::Errno) -> Errno {
        Errno(NonZero::new(-error.raw_os_error()).expect("no error is 0"))
    }
}

impl From<rustix::io::Errno> for Errno {
    #[inline(always)]
    fn from(error: rustix::io::Errno) -> Errno {
        // SAFETY: rustix's are from 1 to 4095.
        unsafe { Errno::answered(-error.raw_os_error()) }
    }
}

/// The error with this number; a number that no error can have (1 to 4095 can) becomes EIO.
pub fn from_number(number: u32) -> Errno {
    let known = if (1..=4095).contains(&number) { NonZero::new(-(number as i32)) } else { None };
    known.map_or(Errno::IO, Errno)
}

/// Shows an error in words, `Permission denied`, or by its number where no call of ours brings it.
pub struct Words(pub Errno);

impl fmt::Display for Words {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.number();
        match NUMBERS.iter().position(|known| u32::from(*known) == number) {
            Some(at) => TEXTS.write_part(at, to),
            None => write!(to, "error {number}"),
        }
    }
}

/// One text with a part for each number: a reference to each would be longer than the words.
macro_rules! table {
    ($($name:ident $text:literal)*) => {
        impl Errno {
            $(pub const $name: Errno = Errno::of(rustix::io::Errno::$name);)*
        }
        const NUMBERS: &[u8] = &[$(rustix::io::Errno::$name.raw_os_error() as u8),*];
        const TEXTS: Packed = packed!(concat!($($text, "\0"),*));
    };
}

table! {
    PERM "Operation not permitted"
    NOENT "No such file or directory"
    SRCH "No such process"
    INTR "Interrupted system call"
    IO "Input/output error"
    NXIO "No such device or address"
    TOOBIG "Argument list too long"
    NOEXEC "Not a program (exec format)"
    BADF "Bad file descriptor"
    CHILD "No child processes"
    AGAIN "Resource temporarily unavailable"
    NOMEM "Cannot allocate memory"
    ACCESS "Permission denied"
    FAULT "Bad address"
    BUSY "Device or resource busy"
    EXIST "File exists"
    XDEV "Invalid cross-device link"
    NODEV "No such device"
    NOTDIR "Not a directory"
    ISDIR "Is a directory"
    INVAL "Invalid argument"
    NFILE "Too many open files in system"
    MFILE "Too many open files"
    NOTTY "Inappropriate ioctl for device"
    TXTBSY "Program file is being written"
    FBIG "File too large"
    NOSPC "No space left on device"
    SPIPE "Illegal seek"
    ROFS "Read-only file system"
    MLINK "Too many links"
    PIPE "Broken pipe"
    RANGE "Numerical result out of range"
    DEADLK "Resource deadlock avoided"
    NAMETOOLONG "File name too long"
    NOLCK "No locks available"
    NOSYS "Function not implemented"
    NOTEMPTY "Directory not empty"
    LOOP "Too many levels of symbolic links"
    NODATA "No data available"
    PROTO "Protocol error"
    BADMSG "Bad message"
    OVERFLOW "Value too large for defined data type"
    LIBBAD "Accessing a corrupted shared library"
    ILSEQ "Invalid or incomplete multibyte or wide character"
    USERS "Too many users"
    NOTSOCK "Socket operation on non-socket"
    MSGSIZE "Message too long"
    PROTOTYPE "Protocol wrong type for socket"
    NOPROTOOPT "Protocol not available"
    PROTONOSUPPORT "Protocol not supported"
    OPNOTSUPP "Operation not supported"
    AFNOSUPPORT "Address family not supported by protocol"
    ADDRINUSE "Address already in use"
    ADDRNOTAVAIL "Cannot assign requested address"
    NETDOWN "Network is down"
    NETUNREACH "Network is unreachable"
    CONNABORTED "Software caused connection abort"
    CONNRESET "Connection reset by peer"
    NOBUFS "No buffer space available"
    TOOMANYREFS "Too many references: cannot splice"
    NOTCONN "Transport endpoint is not connected"
    TIMEDOUT "Connection timed out"
    CONNREFUSED "Connection refused"
    HOSTDOWN "Host is down"
    HOSTUNREACH "No route to host"
    STALE "Stale file handle"
    UCLEAN "Structure needs cleaning"
    REMOTEIO "Remote I/O error"
    DQUOT "Disk quota exceeded"
    NOMEDIUM "No medium found"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_words_that_people_know() {
        assert_eq!(Words(Errno::PERM).to_string(), "Operation not permitted"); // the first of the table
        assert_eq!(Words(from_number(2)).to_string(), "No such file or directory");
        assert_eq!(Words(Errno::NOMEDIUM).to_string(), "No medium found"); // the last
        assert_eq!(Words(from_number(1234)).to_string(), "error 1234");
    }
}
