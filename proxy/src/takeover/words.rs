//! What predecessor and successor say to each other. Both may be of other versions: what one does not know, it leaves.

use crate::succession::{BulkUnderWay, MoveUnderWay};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What a predecessor says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromPredecessor {
    /// What a successor needs to be ready. The files: the lock of the state directory, the admin socket, its TCP socket if
    /// there is one, and the listening sockets. The octets: the keys of TLS tickets.
    Estate(Estate),
    /// What has happened meanwhile; from now on, the successor serves. The octets: what has failed by guessing.
    Rest(Rest),
}

/// What a successor says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromSuccessor {
    /// Nothing that may fail is left.
    Ready,
    /// It accepts connections.
    Serving,
    /// It cannot, and this is why.
    Failed(String),
}

/// What goes with the files.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Estate {
    /// Where the admin socket is.
    pub(super) admin_socket: PathBuf,
    /// Where the admin API is served by TCP.
    pub(super) admin_listen: Option<SocketAddr>,
    /// What has been stopped since the predecessor's start.
    #[serde(default)]
    pub(super) stopped: Vec<String>,
}

/// What has happened while a successor made itself ready.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Rest {
    /// The configuration may have been changed since it was read: somebody wants it to be read again.
    pub(super) reload: bool,
    /// Keys that are being moved.
    pub(super) moves: Vec<MoveUnderWay>,
    /// The move of many keys.
    pub(super) bulk: Option<BulkUnderWay>,
}
