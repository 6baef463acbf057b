//! Unix sockets: streams for commands, datagrams for readiness, packets with descriptors for the logger.
//!
//! Messages are received by our own call and parser, since a sender in another pid namespace has pid 0, which
//! rustix's types cannot hold. Descriptors that come unasked are closed when the `Received` is dropped.

use super::{BorrowedFd, Errno, OwnedFd, Result, raw};
use core::ffi::CStr;
use heapless::Vec;
use rustix::fd::{AsRawFd, FromRawFd};
use rustix::fs::{AtFlags, CWD, Mode};
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{SocketFlags, SocketType};

/// Descriptors that one message can bring or take. The kernel closes what goes beyond.
pub const DESCRIPTORS_MAX: usize = 32;

/// Where a socket is: struct sockaddr_un, and how much of it counts.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Address {
    family: u16,
    path: [u8; PATH_BYTES],
    length: u32,
}

const PATH_BYTES: usize = 108;

impl Address {
    /// A path of at most 107 bytes (ENAMETOOLONG beyond).
    pub fn path(path: &[u8]) -> Result<Address> {
        Address::new(0, path)
    }

    /// A name of at most 107 bytes that is in no file system, seen by everyone in the same network namespace: check
    /// the peer's credentials.
    pub fn abstract_name(name: &[u8]) -> Result<Address> {
        Address::new(1, name)
    }

    /// A path, or behind `@` a name: as $NOTIFY_SOCKET has it, see sd_notify(3).
    pub fn named(text: &[u8]) -> Result<Address> {
        text.strip_prefix(b"@").map_or_else(|| Address::path(text), Address::abstract_name)
    }

    /// A path has a NUL behind it, a name before it.
    fn new(at: usize, text: &[u8]) -> Result<Address> {
        let mut address =
            Address { family: AF_UNIX, path: [0; PATH_BYTES], length: (size_of::<u16>() + text.len() + 1) as u32 };
        match address.path.get_mut(at..at + text.len()) {
            Some(_) if text.len() >= PATH_BYTES => Err(Errno::NAMETOOLONG),
            None => Err(Errno::NAMETOOLONG),
            Some(_) if text.contains(&0) => Err(Errno::INVAL),
            Some(place) => {
                place.copy_from_slice(text);
                Ok(address)
            }
        }
    }

    /// The file, where it is one.
    fn file(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(&self.path).ok().filter(|path| !path.is_empty())
    }
}

// SAFETY: the address is a struct sockaddr_un, of which `length` bytes count.
unsafe impl SocketAddrArg for Address {
    unsafe fn with_sockaddr<R>(&self, call: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        call((&raw const *self).cast(), self.length)
    }
}

/// Who is at the other end, as the kernel says. A pid of 0 is one that cannot be seen from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
}

fn socket(kind: SocketType, flags: SocketFlags) -> Result<OwnedFd> {
    let kind = kind.as_raw() | (flags | SocketFlags::CLOEXEC).bits();
    // SAFETY: no memory is involved.
    unsafe { raw::open(raw::nr::SOCKET, AF_UNIX.into(), kind as usize, 0, 0) }
}

/// A socket that is bound, nonblocking. It replaces one that an earlier process left at the path, and the file gets its
/// permissions.
#[inline(never)]
fn bound(kind: SocketType, address: &Address, mode: u32) -> Result<OwnedFd> {
    let fd = socket(kind, SocketFlags::NONBLOCK)?;
    if kind == SocketType::DGRAM {
        rustix::net::sockopt::set_socket_passcred(&fd, true)?;
    }
    let path = address.file();
    let mut left = path;
    while let Err(error) = rustix::net::bind(&fd, address) {
        let old = left.take().filter(|_| error == rustix::io::Errno::ADDRINUSE).ok_or(error)?;
        rustix::fs::unlink(old)?;
    }
    if let Some(path) = path {
        // Nobody can connect before `listen`, so there is no moment of looser permissions. Abstract ones have none.
        rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty())?;
    }
    Ok(fd)
}

/// A listening stream socket, nonblocking. A socket file that is already at the path is replaced: hold the lock of the
/// directory. `mode` as 0o666.
pub fn listen(address: &Address, mode: u32) -> Result<OwnedFd> {
    let fd = bound(SocketType::STREAM, address, mode)?;
    refuse_descriptors(&fd);
    rustix::net::listen(&fd, 128)?;
    Ok(fd)
}

/// The next connection, nonblocking. EAGAIN: nobody waits.
pub fn accept(listening: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = (SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).bits() as usize;
    loop {
        // SAFETY: whose address it is is not asked for.
        match unsafe { raw::open(raw::nr::ACCEPT4, listening.as_raw_fd() as usize, 0, 0, flags) } {
            Err(Errno::CONNABORTED) => {}
            other => return other,
        }
    }
}

/// A stream connected to a listening socket, blocking. ECONNREFUSED: a file is there but nobody listens.
pub fn connect(address: &Address) -> Result<OwnedFd> {
    let fd = socket(SocketType::STREAM, SocketFlags::empty())?;
    rustix::io::retry_on_intr(|| rustix::net::connect(&fd, address))?;
    Ok(fd)
}

/// A socket that datagrams (as of sd_notify) come to, nonblocking; each message brings its sender's credentials.
pub fn bind_datagrams(address: &Address, mode: u32) -> Result<OwnedFd> {
    bound(SocketType::DGRAM, address, mode)
}

/// A socket that sends datagrams to an address, blocking.
pub fn connect_datagrams(address: &Address) -> Result<OwnedFd> {
    let fd = socket(SocketType::DGRAM, SocketFlags::empty())?;
    rustix::io::retry_on_intr(|| rustix::net::connect(&fd, address))?;
    Ok(fd)
}

/// Two ends of a connection of packets (SOCK_SEQPACKET), nonblocking.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let kind = SocketType::SEQPACKET.as_raw() | flags.bits();
    // SAFETY: socketpair(2) writes both ends into its last argument.
    unsafe { raw::open_two(raw::nr::SOCKETPAIR, [AF_UNIX.into(), kind as usize, 0, 0], 3) }
}

/// Reads from a stream; 0 at its end. EAGAIN: there is nothing now.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    super::file::read(fd, buffer)
}

/// Writes to a stream as much as it takes. EAGAIN: nothing now. EPIPE (without SIGPIPE): nobody reads.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    send_message(fd, bytes, &[]).map(|count| count as usize)
}

/// Who connected (SO_PEERCRED): the credentials at the time of connect. See unix(7).
pub fn peer(fd: BorrowedFd<'_>) -> Result<Peer> {
    const SO_PEERCRED: usize = if cfg!(target_arch = "powerpc64") { 21 } else { 17 };
    // struct ucred.
    let [pid, uid, gid] = option(fd, SO_PEERCRED)?;
    Ok(Peer { pid, uid, gid })
}

/// Groups of who connected: the one of its user, and supplementary ones.
pub type Groups = heapless::Vec<u32, GROUPS>;
/// How many there can be.
pub const GROUPS: usize = SUPPLEMENTARY_MAX + 1;
const SUPPLEMENTARY_MAX: usize = 64;

/// They (SO_PEERGROUPS, Linux 4.13), at the time of connect. Of one who is in more than 64 besides, his own alone.
pub fn groups(fd: BorrowedFd<'_>) -> Groups {
    const SO_PEERGROUPS: usize = 59;
    let mut groups = Groups::new();
    let mut words = [0u32; SUPPLEMENTARY_MAX];
    let mut length = size_of_val(&words) as u32;
    let (at, length_at) = (words.as_mut_ptr() as usize, &raw mut length as usize);
    // SAFETY: the buffer is there, and its length is passed: no more is written.
    let got =
        unsafe { raw::call(raw::nr::GETSOCKOPT, fd.as_raw_fd() as usize, SOL_SOCKET, SO_PEERGROUPS, at, length_at) };
    let count = if got.is_ok() { length as usize / size_of::<u32>() } else { 0 };
    groups.extend(words.into_iter().take(count));
    if let Ok(peer) = peer(fd) {
        let _ = groups.push(peer.gid); // there is room for one more
    }
    groups
}

/// Whether something that was sent is still to be read (SO_MEMINFO, SK_MEMINFO_WMEM_ALLOC); no where the kernel does
/// not say.
pub fn has_unread(fd: BorrowedFd<'_>) -> bool {
    const SO_MEMINFO: usize = 55;
    // It counts memory. While it tells us that all was read, the kernel keeps one of it back (sock_wfree).
    option(fd, SO_MEMINFO).is_ok_and(|[_, _, sent]| sent > 1)
}

/// The first words of an option.
fn option(fd: BorrowedFd<'_>, name: usize) -> Result<[u32; 3]> {
    let mut words = [0u32; 3];
    let mut length = size_of_val(&words) as u32;
    let (at, length_at) = (words.as_mut_ptr() as usize, &raw mut length as usize);
    // SAFETY: the buffer is there, and its length is passed: no more is written.
    unsafe { raw::call(raw::nr::GETSOCKOPT, fd.as_raw_fd() as usize, SOL_SOCKET, name, at, length_at)? };
    Ok(words)
}

/// One message and what came with it.
#[derive(Debug)]
pub struct Received {
    /// Bytes in the buffer; 0 from a connection of packets: the other side is gone.
    pub length: usize,
    /// The message was longer than the buffer, or had descriptors for which there was no room (or no number left in
    /// this process); the rest is lost.
    pub truncated: bool,
    /// Present on sockets made by `bind_datagrams`.
    pub sender: Option<Peer>,
    /// Close-on-exec; closed when dropped.
    pub descriptors: Vec<OwnedFd, DESCRIPTORS_MAX>,
}

const AF_UNIX: u16 = 1;
const SOL_SOCKET: usize = 1;
const SCM_RIGHTS: i32 = 1;
const SCM_CREDENTIALS: i32 = 2;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const MSG_PEEK: usize = 2;
const MSG_DONTWAIT: usize = 0x40;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_TRUNC: u32 = 0x20;
const MSG_CTRUNC: u32 = 8;
/// cmsghdr as the kernel has it: a length of a word, level and type.
const HEADER: usize = size_of::<usize>() + 8;
const WORD: usize = size_of::<usize>();
/// Room for the credentials, in words: as much as the kernel takes for them.
const CREDENTIALS_WORDS: usize = (HEADER + 12).div_ceil(WORD);
/// Room for the credentials and for the descriptors, in words: for as many as the kernel takes (SCM_MAX_FD). What it has
/// no room for it closes itself, and whoever receives waits for that.
const CONTROL_WORDS: usize = (2 * HEADER + 16 + 4 * 254) / WORD;

/// struct cmsghdr with descriptors behind it.
#[repr(C)]
struct Rights {
    length: usize,
    level: i32,
    kind: i32,
    numbers: [i32; DESCRIPTORS_MAX],
}

/// struct iovec.
#[repr(C)]
struct Slice {
    at: usize,
    length: usize,
}

/// struct user_msghdr, as the kernel has it.
#[repr(C)]
struct Message {
    name: usize,
    name_length: i32,
    slices: usize,
    slice_count: usize,
    control: usize,
    control_length: usize,
    flags: u32,
}

/// The next message. EAGAIN: there is none now.
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received> {
    receive_with(fd, buffer, 0, CONTROL_WORDS)
}

/// The same without the descriptors that come along: they are received, and let go at once. Gives how much was read. Of
/// a stream 0 is the end.
pub fn receive_alone(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    let received = receive_with(fd, buffer, 0, CONTROL_WORDS)?;
    received.descriptors.into_iter().for_each(close_foreign);
    Ok(received.length)
}

/// Nothing that is sent here brings descriptors any more (SO_PASSRIGHTS, Linux 6.16): nobody has to close them. Before
/// that, `close_foreign` is what there is, and who closes a file of FUSE waits for who serves it.
fn refuse_descriptors(fd: &OwnedFd) {
    const SO_PASSRIGHTS: usize = 83;
    let (number, no) = (fd.as_raw_fd() as usize, 0u32);
    let at = &raw const no as usize;
    // SAFETY: the kernel reads one word.
    let _ = unsafe { raw::call(raw::nr::SETSOCKOPT, number, SOL_SOCKET, SO_PASSRIGHTS, at, size_of_val(&no)) };
}

/// `receive`, and it stays the next one.
pub fn look(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received> {
    receive_with(fd, buffer, MSG_PEEK, CONTROL_WORDS)
}

/// `receive_alone`, and it stays the next one.
pub fn look_alone(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received> {
    receive_with(fd, buffer, MSG_PEEK, CREDENTIALS_WORDS)
}

/// Lets a descriptor go that somebody else has made: a socket's last close does not wait until all is sent, whatever was
/// set (SO_LINGER in socket(7)).
pub fn close_foreign(fd: OwnedFd) {
    let _ = rustix::net::sockopt::set_socket_linger(&fd, None); // ENOTSOCK
}

#[inline(never)]
fn receive_with(fd: BorrowedFd<'_>, buffer: &mut [u8], flags: usize, control_words: usize) -> Result<Received> {
    let mut control = [0usize; CONTROL_WORDS];
    let slice = Slice { at: buffer.as_mut_ptr() as usize, length: buffer.len() };
    let mut message = Message {
        name: 0,
        name_length: 0,
        slices: &raw const slice as usize,
        slice_count: 1,
        control: control.as_mut_ptr() as usize,
        control_length: control_words * WORD,
        flags: 0,
    };
    let (number, flags) = (fd.as_raw_fd() as usize, flags | MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    // SAFETY: the message names the two buffers with their lengths, and they outlive the call.
    let length = unsafe { raw::call(raw::nr::RECVMSG, number, &raw mut message as usize, flags, 0, 0)? };
    let length = buffer.len().min(length as usize);
    let truncated = message.flags & (MSG_TRUNC | MSG_CTRUNC) != 0;
    let mut received = Received { length, truncated, sender: None, descriptors: Vec::new() };
    let filled = message.control_length.min(size_of_val(&control)).div_ceil(WORD);
    // SAFETY: plain words, seen as bytes.
    let bytes = unsafe { core::slice::from_raw_parts(control.as_ptr().cast::<u8>(), filled * WORD) };
    take_control(bytes, &mut received);
    Ok(received)
}

fn take_control(mut bytes: &[u8], received: &mut Received) {
    let int = |bytes: &[u8], at: usize| bytes.get(at..at + 4)?.try_into().map(i32::from_ne_bytes).ok();
    while let (Some(length), Some(level), Some(kind)) = (bytes.get(..WORD), int(bytes, WORD), int(bytes, WORD + 4)) {
        let length = length.try_into().map_or(0, usize::from_ne_bytes);
        let Some(data) = bytes.get(HEADER..length.min(bytes.len())) else { return };
        match (level as usize, kind) {
            (SOL_SOCKET, SCM_RIGHTS) => data.chunks_exact(4).filter_map(|number| int(number, 0)).for_each(|number| {
                // SAFETY: the kernel made this descriptor for us just now; nobody else owns it.
                let fd = unsafe { OwnedFd::from_raw_fd(number) };
                if let Err(fd) = received.descriptors.push(fd) {
                    close_foreign(fd);
                }
            }),
            (SOL_SOCKET, SCM_CREDENTIALS) => {
                let word = |at| int(data, at).unwrap_or(0) as u32;
                received.sender = Some(Peer { pid: word(0), uid: word(4), gid: word(8) });
            }
            _ => {} // nothing else was asked for
        }
        bytes = bytes.get(length.next_multiple_of(WORD)..).unwrap_or_default();
    }
}

/// Sends one message with up to `DESCRIPTORS_MAX` descriptors (EINVAL beyond) over a connected socket. Where
/// descriptors go along there must be at least one byte. EAGAIN: the other side has too much unread already.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    send_message(fd, bytes, descriptors).map(|_| ())
}

/// The same; gives how many bytes of it went.
#[inline(never)]
fn send_message(fd: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<u32> {
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(Errno::INVAL);
    }
    let mut control = Rights { length: 0, level: SOL_SOCKET as i32, kind: SCM_RIGHTS, numbers: [0; DESCRIPTORS_MAX] };
    let length = HEADER + 4 * descriptors.len();
    control.length = length;
    for (number, fd) in control.numbers.iter_mut().zip(descriptors) {
        *number = fd.as_raw_fd();
    }
    let slice = Slice { at: bytes.as_ptr() as usize, length: bytes.len() };
    let message = Message {
        name: 0,
        name_length: 0,
        slices: &raw const slice as usize,
        slice_count: 1,
        control: if descriptors.is_empty() { 0 } else { &raw const control as usize },
        control_length: if descriptors.is_empty() { 0 } else { length },
        flags: 0,
    };
    let (number, at) = (fd.as_raw_fd() as usize, &raw const message as usize);
    // SAFETY: the message names the two buffers with their lengths, and they outlive the call.
    unsafe { raw::call(raw::nr::SENDMSG, number, at, MSG_NOSIGNAL, 0, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;

    fn name(of: &str) -> Address {
        Address::abstract_name(format!("pintle-test-{}-{of}", std::process::id()).as_bytes()).expect("short")
    }

    #[test]
    fn a_client_is_known_by_its_credentials() {
        let listening = listen(&name("listen"), 0o600).expect("the name is free");
        assert!(accept(listening.as_fd()).is_err_and(|error| error == Errno::AGAIN));
        let client = connect(&name("listen")).expect("it listens");
        let server = accept(listening.as_fd()).expect("one waits");
        let who = peer(server.as_fd()).expect("it is connected");
        assert_eq!((who.pid, who.uid), (std::process::id(), rustix::process::getuid().as_raw()));
        let mut buffer = [0; 8];
        assert_eq!(read(server.as_fd(), &mut buffer), Err(Errno::AGAIN));
        assert_eq!(write(client.as_fd(), b"hello"), Ok(5));
        assert_eq!(read(server.as_fd(), &mut buffer), Ok(5));
        drop(client);
        assert_eq!(read(server.as_fd(), &mut buffer), Ok(0));
        assert_eq!(write(server.as_fd(), b"late"), Err(Errno::PIPE));
    }

    #[test]
    fn a_datagram_names_its_sender_and_a_long_one_says_so() {
        let socket = bind_datagrams(&name("notify"), 0o666).expect("the name is free");
        let sender = connect_datagrams(&name("notify")).expect("it is bound");
        send(sender.as_fd(), b"READY=1", &[]).expect("there is room");
        send(sender.as_fd(), &[b'x'; 99], &[]).expect("there is room");
        let mut buffer = [0; 16];
        let first = receive(socket.as_fd(), &mut buffer).expect("one came");
        assert_eq!((buffer.get(..first.length), first.truncated), (Some(&b"READY=1"[..]), false));
        assert_eq!(first.sender.map(|who| who.pid), Some(std::process::id()));
        let second = receive(socket.as_fd(), &mut buffer).expect("one came");
        assert_eq!((second.length, second.truncated), (16, true));
        assert!(receive(socket.as_fd(), &mut buffer).is_err_and(|error| error == Errno::AGAIN));
    }

    #[test]
    fn descriptors_go_along_and_too_many_are_closed() {
        let (left, right) = pair().expect("a pair can be made");
        let fds = [left.as_fd(); DESCRIPTORS_MAX];
        send(left.as_fd(), b"take", &fds).expect("there is room");
        assert_eq!(send(left.as_fd(), b"more", &[left.as_fd(); DESCRIPTORS_MAX + 1]), Err(Errno::INVAL));
        let message = receive(right.as_fd(), &mut [0; 16]).expect("one came");
        assert_eq!((message.length, message.descriptors.len()), (4, DESCRIPTORS_MAX));
        for fd in &message.descriptors {
            assert!(rustix::io::fcntl_getfd(fd).expect("open").contains(rustix::io::FdFlags::CLOEXEC));
        }
        drop((message, left));
        assert_eq!(receive(right.as_fd(), &mut [0; 16]).map(|end| end.length), Ok(0));
    }
}
