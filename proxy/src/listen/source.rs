//! Where listening sockets come from.

use socket2::{Domain, Protocol, Socket, Type};
use std::net::{SocketAddr, TcpListener};
use usher_backends::connect::keep_alive;
use usher_config::snapshot::Limits;

/// Connections that the system keeps while they wait to be accepted.
const BACKLOG: i32 = 4096;

/// Gives the sockets of an address. They listen already.
pub(crate) enum SocketSource {
    /// The system, which is asked for the address.
    Bind,
}

impl SocketSource {
    /// `count` sockets that behave as `limits` say: the system spreads connections over them. `[::]` takes IPv4 as well.
    ///
    /// # Errors
    /// The system's: the address is in use, is none of this machine's, or its port is not for this user.
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
    // Alone, so that it fails where anybody else has the address, another usher among them.
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
    // A restart must not wait for the former process's connections to fade away.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // Before it listens: connections that wait to be accepted have it already.
    keep_alive(&socket, limits.tcp_keepalive, limits.tcp_unreachable)?;
    Ok(socket)
}
