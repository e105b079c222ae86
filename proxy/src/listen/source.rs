//! Where listening sockets come from.

use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};
use usher_backends::connect::keep_alive;
use usher_config::snapshot::Limits;

/// Connections that the system queues until they are accepted.
const BACKLOG: i32 = 4096;

/// Provides the sockets of an address, which are already listening: those that others have left or, where there are none,
/// new ones.
#[derive(Default)]
pub(crate) struct SocketSource {
    left: Mutex<BTreeMap<SocketAddr, Vec<TcpListener>>>,
}

/// The sockets of one address.
pub(super) struct Provided {
    pub(super) sockets: Vec<TcpListener>,
    /// Nobody else has them.
    pub(super) are_new: bool,
}

impl SocketSource {
    /// A source of sockets that a predecessor or the service manager has left.
    ///
    /// # Errors
    /// The system's, when one does not tell its address.
    pub(crate) fn of(left: Vec<TcpListener>) -> std::io::Result<Self> {
        let mut by_address: BTreeMap<SocketAddr, Vec<TcpListener>> = BTreeMap::new();
        for socket in left {
            socket.set_nonblocking(true)?;
            // The service manager may have given it room for fewer connections.
            rustix::net::listen(&socket, BACKLOG)?;
            by_address.entry(socket.local_addr()?).or_default().push(socket);
        }
        Ok(Self { left: Mutex::new(by_address) })
    }

    /// The addresses of those that nobody has asked for.
    pub(crate) fn unwanted(&self) -> Vec<SocketAddr> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// A socket that one task alone accepts from, and whether nobody else has it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_one(
        &self,
        address: SocketAddr,
        limits: &Limits,
    ) -> std::io::Result<(TcpListener, bool)> {
        let Provided { sockets, are_new } = self.open(address, 1, limits)?;
        let first = sockets.into_iter().next().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        Ok((first, are_new))
    }

    /// At least `count` sockets with the options that `limits` give; the system spreads connections over them. `[::]`
    /// accepts IPv4 as well.
    ///
    /// # Errors
    /// Those of the system: the address is in use or not one of this machine's, or this user may not use the port.
    pub(super) fn open(
        &self,
        address: SocketAddr,
        count: usize,
        limits: &Limits,
    ) -> std::io::Result<Provided> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner).remove(&address);
        match left {
            Some(sockets) => Ok(Provided { sockets: for_each_worker(sockets, count)?, are_new: false }),
            None => Ok(Provided { sockets: bind(address, count, limits)?, are_new: true }),
        }
    }
}

/// Where there are fewer than workers, several accept from the same. None may be missing: each has connections of its own
/// waiting.
fn for_each_worker(mut sockets: Vec<TcpListener>, count: usize) -> std::io::Result<Vec<TcpListener>> {
    for at in sockets.len()..count {
        sockets.push(sockets[at % sockets.len()].try_clone()?);
    }
    Ok(sockets)
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
