//! The listening socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted: a burst of callers arrives faster than it is accepted. The kernel caps it at
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Listens on IPv6 and IPv4 together, on IPv4 alone where the kernel has no IPv6: so many non-blocking sockets on one
/// port, among which the kernel shares out the connections.
///
/// # Errors
/// When the port cannot be bound.
pub(super) fn listen(port: u16, sockets: NonZeroUsize) -> io::Result<Vec<TcpListener>> {
    let ip = match bind(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port, false) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        // The next ones would share the port with another process too: this one has told whether there is any.
        alone => alone.map(|_| IpAddr::V6(Ipv6Addr::UNSPECIFIED))?,
    };
    (0..sockets.get()).map(|_| bind(ip, port, true)).collect()
}

fn bind(ip: IpAddr, port: u16, shared: bool) -> io::Result<TcpListener> {
    let address = SocketAddr::new(ip, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if ip.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
