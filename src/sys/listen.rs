//! Sockets that listen for others, as sd_listen_fds(3) has them: blocking, bound, and listening where their kind does.
//! Opening one may wait for a file system: not for process 1.

use super::path;
use super::socket::Address;
use super::{Errno, OwnedFd, Result, directory};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use rustix::fs::{AtFlags, CWD, Mode};
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
    let fd = match net::socket_with(family, kind, SocketFlags::CLOEXEC, None) {
        Err(rustix::io::Errno::AFNOSUPPORT) if both => {
            return self::net(kind, (IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()).into(), false);
        }
        opened => opened?,
    };
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, !both)?;
    }
    if kind == Kind::STREAM {
        // Connections of an earlier life that are not over yet are in nobody's way.
        sockopt::set_socket_reuseaddr(&fd, true)?;
    }
    net::bind(&fd, &address)?;
    listening(kind, fd.into())
}

/// At a path, or behind `@` under a name. The file gets these permissions and this owner; one that is there, and at which
/// nobody listens, is replaced. EADDRINUSE: somebody does, or it is no socket.
#[inline(never)]
pub fn path(kind: Kind, file: &[u8], mode: u32, uid: Option<u32>, gid: Option<u32>) -> Result<OwnedFd> {
    let name = file.strip_prefix(b"@");
    let address = name.map_or_else(|| Address::path(file), Address::abstract_name)?;
    let open = || net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
    let fd = open()?;
    match net::bind(&fd, &address) {
        Err(rustix::io::Errno::ADDRINUSE) if name.is_none() => {
            let is_socket = path::stat(file)?.mode & 0o170000 == 0o140000;
            if !is_socket || net::connect(open()?, &address) != Err(rustix::io::Errno::CONNREFUSED) {
                return Err(Errno::ADDRINUSE);
            }
            super::file::remove(file)?;
            net::bind(&fd, &address)?;
        }
        bound => bound?,
    }
    if name.is_none() {
        // Nobody can connect before it listens.
        rustix::fs::chmodat(CWD, file, Mode::from_raw_mode(mode), AtFlags::empty())?;
        if uid.is_some() || gid.is_some() {
            directory::give(file, uid, gid)?;
        }
    }
    listening(kind, fd.into())
}

fn listening(kind: Kind, fd: OwnedFd) -> Result<OwnedFd> {
    if kind != Kind::DGRAM {
        net::listen(&fd, BACKLOG)?;
    }
    Ok(fd)
}
