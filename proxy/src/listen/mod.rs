//! The listening sockets: bound before anything is served, and accepting until usher stops.

mod accept;
mod open;
mod reserve;

use accept::accept;
pub(crate) use open::{Bound, Sockets, bind_missing, watch};

use socket2::{Domain, Protocol, Socket, Type};
use std::net::{SocketAddr, TcpListener};

/// Connections that the system keeps while they wait to be accepted.
const BACKLOG: i32 = 4096;

/// Binds a socket and listens. `[::]` takes IPv4 as well.
///
/// # Errors
/// The system's: the address is in use, is none of this machine's, or its port is not for this user.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the former process's connections to fade away.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
