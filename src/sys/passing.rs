//! Handing open descriptors to another process over a socket pair that keeps messages apart (SOCK_SEQPACKET).
//! See unix(7). Nothing allocates.

use super::{Errno, OwnedFd, Result};
use core::mem::MaybeUninit;
use heapless::Vec;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, socketpair,
};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;

/// Descriptors of one message. The kernel's own bound is 253.
pub const PASSED_MAX: usize = 32;

/// Two ends that are connected: close-on-exec, the first nonblocking, the second too.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

/// Sends one message, whole or not at all. EAGAIN: the other side has not read enough yet; ETOOMANYREFS: too many
/// descriptors are under way; EPIPE: nobody has the other end.
pub fn send(socket: BorrowedFd<'_>, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PASSED_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::INVAL);
    }
    let parts = [IoSlice::new(message)];
    rustix::io::retry_on_intr(|| rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// What `receive` brought.
pub struct Received {
    /// Bytes of the message; 0: the other end is closed.
    pub bytes: usize,
    /// The message was longer than the buffer, or descriptors were lost because this process may have no more.
    pub truncated: bool,
}

/// Takes one message and its descriptors, close-on-exec. EAGAIN: there is none now.
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd, PASSED_MAX>,
) -> Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PASSED_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(buffer)];
    let answer = loop {
        match rustix::net::recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut truncated = answer.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            for descriptor in passed {
                truncated |= descriptors.push(descriptor).is_err(); // dropped, and so closed
            }
        }
    }
    Ok(Received { bytes: answer.bytes, truncated })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_pipe_handed_over_still_carries_what_is_written_to_it() {
        let (near, far) = pair().expect("a socket pair");
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        send(near.as_fd(), b"take this", &[reader.as_fd()]).expect("sent");
        drop(reader);
        let mut text = [0; 64];
        let mut passed = Vec::new();
        let received = receive(far.as_fd(), &mut text, &mut passed).expect("received");
        assert_eq!((&text[..received.bytes], received.truncated, passed.len()), (&b"take this"[..], false, 1));
        rustix::io::write(&writer, b"hello").expect("written");
        let mut hello = [0; 8];
        assert_eq!(rustix::io::read(&passed[0], &mut hello), Ok(5));
        assert_eq!(receive(far.as_fd(), &mut text, &mut passed).err(), Some(Errno::AGAIN));
        drop(near);
        assert_eq!(receive(far.as_fd(), &mut text, &mut passed).map(|end| end.bytes), Ok(0));
    }
}
