//! A logger by itself: for the tests that kill it, and for the bench.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

/// A logger by itself, with pipes as the supervisor hands them over (`host::log_link`).
pub struct Bare {
    /// The supervisor's end of the link and the logger's.
    link: [OwnedFd; 2],
    /// Of each service, the end that the logger reads and the other.
    pub pipes: Vec<[OwnedFd; 2]>,
}

/// The words that say how a service is logged, from `log` to `log-stamp`, with the pid before them.
pub type Words = [u32; 8];

impl Bare {
    pub fn new(services: usize) -> Bare {
        let mut ends = [0; 2];
        // SAFETY: the kernel writes two descriptors, which nobody else owns.
        let pair = |made: i32, ends: [i32; 2]| {
            assert_eq!(made, 0);
            ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) })
        };
        // SAFETY: there is room for two.
        let made =
            unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) };
        let link = pair(made, ends);
        let pipes = (0..services).map(|_| {
            // SAFETY: there is room for two.
            let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
            pair(made, ends)
        });
        Bare { link, pipes: pipes.collect() }
    }

    /// Starts `command` as the logger, in this directory, and hands it the pipes.
    pub fn start(&self, mut logger: Command, place: &Path, words: &Words, continues: bool) -> Child {
        for (slot, [read, _]) in self.pipes.iter().enumerate() {
            let name = format!("s{slot:03}");
            let head = [1, slot as u32, u32::from(continues), name.len() as u32];
            let mut message: Vec<u8> = head.iter().chain(words).flat_map(|word| word.to_ne_bytes()).collect();
            message.extend_from_slice(name.as_bytes());
            let mut control = [0usize; 3];
            let mut slice = libc::iovec { iov_base: message.as_mut_ptr().cast(), iov_len: message.len() };
            // SAFETY: plain memory, for which zeros are valid; what it points to outlives the call.
            unsafe {
                let mut sent: libc::msghdr = std::mem::zeroed();
                (sent.msg_iov, sent.msg_iovlen) = (&raw mut slice, 1);
                (sent.msg_control, sent.msg_controllen) = (control.as_mut_ptr().cast(), libc::CMSG_SPACE(4) as _);
                let rights = libc::CMSG_FIRSTHDR(&raw const sent);
                ((*rights).cmsg_level, (*rights).cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
                (*rights).cmsg_len = libc::CMSG_LEN(4) as _;
                libc::CMSG_DATA(rights).cast::<i32>().write_unaligned(read.as_raw_fd());
                assert!(libc::sendmsg(self.link[0].as_raw_fd(), &raw const sent, 0) > 0);
            }
        }
        let ends = [self.link[1].as_raw_fd(), self.link[0].as_raw_fd()];
        logger.arg0("pintle-log").args(["--serve", "3", "--held", "4", "--dir", "log", "--kept", "kept"]);
        logger.current_dir(place);
        // SAFETY: between fork and exec only dup and dup2: async-signal-safe, nothing is allocated.
        unsafe {
            logger.pre_exec(move || {
                let [far, near] = ends.map(|end| libc::fcntl(end, libc::F_DUPFD_CLOEXEC, 10));
                let moved = libc::dup2(far, 3) == 3 && libc::dup2(near, 4) == 4;
                if moved { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            })
        };
        logger.spawn().expect("a logger")
    }

    /// Closes what the supervisor has: the logger ends when all is read.
    pub fn close(self) {
        drop((self.link, self.pipes));
    }
}
