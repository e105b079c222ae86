//! By which door a request has come.

use std::net::SocketAddr;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller {
    /// A process of this machine, by the socket.
    Socket {
        /// Its user.
        uid: u32,
        /// Its id.
        pid: i32,
    },
    /// The process that has succeeded this one.
    Successor,
    /// Somebody over TCP.
    Tcp {
        /// Their address.
        peer: SocketAddr,
        /// The address they connected to.
        local: SocketAddr,
    },
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket { uid, pid } => write!(f, "socket uid={uid} pid={pid}"),
            Self::Successor => f.write_str("successor"),
            Self::Tcp { peer, .. } => peer.fmt(f),
        }
    }
}
