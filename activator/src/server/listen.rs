//! The listening socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that may wait to be accepted: a burst of callers arrives faster than it is accepted. The kernel caps it at
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Listens on IPv6 and IPv4 together; on IPv4 alone where the kernel has no IPv6.
///
/// # Errors
/// When the port cannot be bound.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    match bind(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => bind(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
        bound => bound,
    }
}

fn bind(ip: IpAddr, port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::new(ip, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if ip.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
