//! Sockets that listen for others, as sd_listen_fds(3) has them: blocking, bound, and listening where their kind does.
//! Opening one may wait for a file system: not for process 1.

use super::socket::Address;
use super::{AsFd, Errno, OwnedFd, Result, directory, file, namespaces, path, process};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use rustix::fs::OFlags;
use rustix::net::{self, AddressFamily, SocketFlags, sockopt};

/// Of sockets.
pub type Kind = net::SocketType;

/// As many as the kernel lets wait (net.core.somaxconn).
const BACKLOG: i32 = i32::MAX;

/// At an address of the network; `both`: an unspecified one of IPv6 stands for IPv4, too, and where there is no IPv6, for
/// that alone. EADDRINUSE: somebody listens there. EADDRNOTAVAIL: it is not this machine's.
#[inline(never)]
pub fn net(kind: Kind, address: SocketAddr, both: bool) -> Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let fd: OwnedFd = match net::socket_with(family, kind, SocketFlags::CLOEXEC, None) {
        Err(rustix::io::Errno::AFNOSUPPORT) if both => {
            return self::net(kind, (IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()).into(), false);
        }
        opened => opened?.into(),
    };
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, !both)?;
    }
    if kind == Kind::STREAM {
        // Connections of an earlier life that are not over yet are in nobody's way.
        sockopt::set_socket_reuseaddr(&fd, true)?;
    }
    net::bind(&fd, &address)?;
    listening(kind, fd)
}

/// At a path, or behind `@` under a name. The file gets these permissions and this owner; one that is there, and at which
/// nobody listens, is replaced. EADDRINUSE: somebody does, or it is no socket. ELOOP: a link on the way is neither root's nor
/// ours. For a process of its own: it goes to that directory, and then to `/`.
#[inline(never)]
pub fn path(kind: Kind, file: &[u8], mode: u32, uid: Option<u32>, gid: Option<u32>) -> Result<OwnedFd> {
    if let Some(name) = file.strip_prefix(b"@") {
        let fd = socket(kind)?;
        net::bind(&fd, &Address::abstract_name(name)?)?;
        return listening(kind, fd);
    }
    let (directory, name) = namespaces::above(file, false)?;
    // From here on the directory is what it is, whoever may write in those above it.
    rustix::process::fchdir(&directory)?;
    // Nobody gets there with more permissions, not for a moment: datagrams come in once it is bound.
    let mask = process::set_umask(0o777 & !mode);
    let made = bound(kind, name, uid, gid);
    process::set_umask(mask);
    process::set_directory(c"/")?;
    listening(kind, made?)
}

fn bound(kind: Kind, name: &[u8], uid: Option<u32>, gid: Option<u32>) -> Result<OwnedFd> {
    const KIND: u32 = 0o170000;
    const SOCKET: u32 = 0o140000;
    let address = Address::path(name)?;
    let fd = socket(kind)?;
    let there = || path::open(name, OFlags::PATH | OFlags::NOFOLLOW, 0);
    let is_socket = |file: &OwnedFd| file::status(file.as_fd()).is_ok_and(|status| status.mode & KIND == SOCKET);
    match net::bind(&fd, &address) {
        Err(rustix::io::Errno::ADDRINUSE) => {
            if !is_socket(&there()?) || net::connect(socket(kind)?, &address) != Err(rustix::io::Errno::CONNREFUSED) {
                return Err(Errno::ADDRINUSE);
            }
            file::remove(name)?;
            net::bind(&fd, &address)?;
        }
        bound => bound?,
    }
    if uid.is_some() || gid.is_some() {
        let file = there()?;
        // In a directory of the service's it may be another's by now.
        if !is_socket(&file) {
            return Err(Errno::ADDRINUSE);
        }
        directory::give_open(&file, uid, gid)?;
    }
    Ok(fd)
}

fn socket(kind: Kind) -> Result<OwnedFd> {
    Ok(net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?.into())
}

fn listening(kind: Kind, fd: OwnedFd) -> Result<OwnedFd> {
    if kind != Kind::DGRAM {
        net::listen(&fd, BACKLOG)?;
    }
    Ok(fd)
}
