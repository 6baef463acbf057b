//! The kernel's errors in words, as people know them, without libc's table (which allocates and is long).

use super::Errno;
use core::fmt;

/// What this error means: `Permission denied`. Numbers that no call of ours brings are `unknown error`.
pub fn text(errno: Errno) -> &'static str {
    TABLE.iter().find(|(known, _)| *known == errno).map_or("unknown error", |(_, text)| text)
}

/// The same for a number that came from another process, such as the errno of a spawn that failed.
pub fn text_of(number: i32) -> &'static str {
    text(from_number(number))
}

/// The error with this number; a number that no error can have (1 to 4095 can) becomes EIO.
pub fn from_number(number: i32) -> Errno {
    if (1..=4095).contains(&number) { Errno::from_raw_os_error(number) } else { Errno::IO }
}

/// Shows an error in words, with its number where the table has no words for it.
pub struct Words(pub Errno);

impl fmt::Display for Words {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match text(self.0) {
            "unknown error" => write!(to, "error {}", self.0.raw_os_error()),
            words => to.write_str(words),
        }
    }
}

const TABLE: &[(Errno, &str)] = &[
    (Errno::PERM, "Operation not permitted"),
    (Errno::NOENT, "No such file or directory"),
    (Errno::SRCH, "No such process"),
    (Errno::INTR, "Interrupted system call"),
    (Errno::IO, "Input/output error"),
    (Errno::NXIO, "No such device or address"),
    (Errno::TOOBIG, "Argument list too long"),
    (Errno::NOEXEC, "Not a program (exec format)"),
    (Errno::BADF, "Bad file descriptor"),
    (Errno::CHILD, "No child processes"),
    (Errno::AGAIN, "Resource temporarily unavailable"),
    (Errno::NOMEM, "Cannot allocate memory"),
    (Errno::ACCESS, "Permission denied"),
    (Errno::FAULT, "Bad address"),
    (Errno::NOTBLK, "Block device required"),
    (Errno::BUSY, "Device or resource busy"),
    (Errno::EXIST, "File exists"),
    (Errno::XDEV, "Invalid cross-device link"),
    (Errno::NODEV, "No such device"),
    (Errno::NOTDIR, "Not a directory"),
    (Errno::ISDIR, "Is a directory"),
    (Errno::INVAL, "Invalid argument"),
    (Errno::NFILE, "Too many open files in system"),
    (Errno::MFILE, "Too many open files"),
    (Errno::NOTTY, "Inappropriate ioctl for device"),
    (Errno::TXTBSY, "Program file is being written"),
    (Errno::FBIG, "File too large"),
    (Errno::NOSPC, "No space left on device"),
    (Errno::SPIPE, "Illegal seek"),
    (Errno::ROFS, "Read-only file system"),
    (Errno::MLINK, "Too many links"),
    (Errno::PIPE, "Broken pipe"),
    (Errno::DOM, "Numerical argument out of domain"),
    (Errno::RANGE, "Numerical result out of range"),
    (Errno::DEADLK, "Resource deadlock avoided"),
    (Errno::NAMETOOLONG, "File name too long"),
    (Errno::NOSYS, "Function not implemented"),
    (Errno::NOTEMPTY, "Directory not empty"),
    (Errno::LOOP, "Too many levels of symbolic links"),
    (Errno::OVERFLOW, "Value too large for defined data type"),
    (Errno::ILSEQ, "Invalid or incomplete multibyte or wide character"),
    (Errno::USERS, "Too many users"),
    (Errno::NOTSOCK, "Socket operation on non-socket"),
    (Errno::DESTADDRREQ, "Destination address required"),
    (Errno::MSGSIZE, "Message too long"),
    (Errno::PROTOTYPE, "Protocol wrong type for socket"),
    (Errno::NOPROTOOPT, "Protocol not available"),
    (Errno::PROTONOSUPPORT, "Protocol not supported"),
    (Errno::OPNOTSUPP, "Operation not supported"),
    (Errno::AFNOSUPPORT, "Address family not supported by protocol"),
    (Errno::ADDRINUSE, "Address already in use"),
    (Errno::ADDRNOTAVAIL, "Cannot assign requested address"),
    (Errno::NETDOWN, "Network is down"),
    (Errno::NETUNREACH, "Network is unreachable"),
    (Errno::CONNABORTED, "Software caused connection abort"),
    (Errno::CONNRESET, "Connection reset by peer"),
    (Errno::NOBUFS, "No buffer space available"),
    (Errno::ISCONN, "Transport endpoint is already connected"),
    (Errno::NOTCONN, "Transport endpoint is not connected"),
    (Errno::TIMEDOUT, "Connection timed out"),
    (Errno::CONNREFUSED, "Connection refused"),
    (Errno::HOSTDOWN, "Host is down"),
    (Errno::HOSTUNREACH, "No route to host"),
    (Errno::ALREADY, "Operation already in progress"),
    (Errno::INPROGRESS, "Operation now in progress"),
    (Errno::STALE, "Stale file handle"),
    (Errno::DQUOT, "Disk quota exceeded"),
    (Errno::NOMEDIUM, "No medium found"),
    (Errno::CANCELED, "Operation canceled"),
    (Errno::PROTO, "Protocol error"),
    (Errno::NODATA, "No data available"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_words_that_people_know() {
        assert_eq!(text(Errno::ACCESS), "Permission denied");
        assert_eq!(text_of(2), "No such file or directory");
        assert_eq!(Words(Errno::from_raw_os_error(1234)).to_string(), "error 1234");
    }
}
