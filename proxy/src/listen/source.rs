//! Where listening sockets come from.

use socket2::{Domain, Protocol, Socket, Type};
use std::net::{SocketAddr, TcpListener};
use usher_backends::connect::keep_alive;
use usher_config::snapshot::Limits;

/// Connections that the system queues until they are accepted.
const BACKLOG: i32 = 4096;

/// Provides the sockets of an address, which are already listening.
pub(crate) enum SocketSource {
    /// The system, which is asked for the address.
    Bind,
}

impl SocketSource {
    /// `count` sockets with the options that `limits` give; the system spreads connections over them. `[::]` accepts
    /// IPv4 as well.
    ///
    /// # Errors
    /// Those of the system: the address is in use or not one of this machine's, or this user may not use the port.
    pub(super) fn open(
        &self,
        address: SocketAddr,
        count: usize,
        limits: &Limits,
    ) -> std::io::Result<Vec<TcpListener>> {
        match self {
            Self::Bind => bind(address, count, limits),
        }
    }
}

fn bind(address: SocketAddr, count: usize, limits: &Limits) -> std::io::Result<Vec<TcpListener>> {
    // Alone at first, so that it fails if anybody else has the address, including another usher.
    let first = socket(address, limits)?;
    first.bind(&address.into())?;
    first.listen(BACKLOG)?;
    first.set_reuse_port(true)?;
    let bound = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count {
        let other = socket(address, limits)?;
        other.set_reuse_port(true)?;
        other.bind(&bound)?;
        other.listen(BACKLOG)?;
        sockets.push(other);
    }
    Ok(sockets.into_iter().map(TcpListener::from).collect())
}

fn socket(address: SocketAddr, limits: &Limits) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait until the previous process's connections have timed out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // Before listening: connections that wait to be accepted inherit the options.
    keep_alive(&socket, limits.tcp_keepalive, limits.tcp_unreachable)?;
    Ok(socket)
}
