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

/// A listener with its socket, which nobody reaches yet.
pub(crate) struct Bound {
    pub(super) listener: LookupListener,
    socket: Ready,
}

enum Ready {
    Tcp(RawSocket),
    Unix(UnixListener, Placing),
}

/// A socket that is to be put in its place.
struct Placing {
    next: PathBuf,
    path: PathBuf,
}

impl Drop for Placing {
    fn drop(&mut self) {
        // There only if it was not put in its place.
        let _ = std::fs::remove_file(&self.next);
    }
}

pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Bound {
    /// Lets others in.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open(self) -> io::Result<(LookupListener, Socket)> {
        let socket = match self.socket {
            Ready::Tcp(socket) => {
                socket.listen(BACKLOG)?;
                Socket::Tcp(TcpListener::from_std(socket.into())?)
            }
            // Whatever is there: whoever asks finds one at any moment.
            Ready::Unix(socket, placing) => {
                std::fs::rename(&placing.next, &placing.path)?;
                Socket::Unix(socket)
            }
        };
        Ok((self.listener, socket))
    }
}

/// Takes the addresses. A process that this one succeeds has them too, and answers until this one does.
///
/// # Errors
/// [`LookupError`].
pub(crate) fn bind(listeners: &[LookupListener]) -> Result<Vec<Bound>, LookupError> {
    let bound = listeners.iter().map(|listener| {
        let (shown, socket) = match &listener.address {
            LookupAddress::Tcp(address) => (address.to_string(), tcp(*address).map(Ready::Tcp)),
            LookupAddress::Unix(path) => {
                (path.display().to_string(), unix(path).map(|(socket, placing)| Ready::Unix(socket, placing)))
            }
        };
        let socket = socket.map_err(|source| LookupError::Address { address: shown, source })?;
        Ok(Bound { listener: listener.clone(), socket })
    });
    bound.collect()
}

fn tcp(address: SocketAddr) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn unix(path: &Path) -> io::Result<(UnixListener, Placing)> {
    let next = PathBuf::from(format!("{}.{}", path.display(), std::process::id()));
    let _ = std::fs::remove_file(&next);
    let socket = UnixListener::bind(&next)?;
    // Whoever may enter its directory may ask, as with sockets of other mail servers.
    std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o666))?;
    Ok((socket, Placing { next, path: path.to_owned() }))
}
