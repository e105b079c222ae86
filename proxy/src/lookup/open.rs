//! The sockets on which others ask.

use socket2::{Domain, Socket as RawSocket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};
use usher_config::snapshot::{LookupAddress, LookupListener};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Why others cannot ask.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    /// The address cannot be had.
    #[error("[[listener]] with protocol \"lookup\" at {address}: {source}")]
    Address {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
}

/// A listener with its socket.
pub(crate) struct Bound {
    pub(super) listener: LookupListener,
    pub(super) socket: Socket,
}

pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Opens the sockets. A process that this one succeeds may have them too: nobody is refused while both do.
///
/// # Errors
/// [`LookupError`].
pub(crate) fn bind(listeners: &[LookupListener]) -> Result<Vec<Bound>, LookupError> {
    let bound = listeners.iter().map(|listener| {
        let (shown, socket) = match &listener.address {
            LookupAddress::Tcp(address) => (address.to_string(), tcp(*address).map(Socket::Tcp)),
            LookupAddress::Unix(path) => (path.display().to_string(), unix(path).map(Socket::Unix)),
        };
        let socket = socket.map_err(|source| LookupError::Address { address: shown, source })?;
        Ok(Bound { listener: listener.clone(), socket })
    });
    bound.collect()
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Puts the socket in its place when it is ready, whatever is there: whoever asks finds one at any moment.
fn unix(path: &Path) -> io::Result<UnixListener> {
    let next = PathBuf::from(format!("{}.{}", path.display(), std::process::id()));
    let _ = std::fs::remove_file(&next);
    let socket = UnixListener::bind(&next)?;
    // Whoever may enter its directory may ask, as with sockets of other mail servers.
    std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o666))?;
    std::fs::rename(&next, path)?;
    Ok(socket)
}
