//! The sockets on which others ask.

use crate::listen::SocketSource;
use crate::service_manager;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use usher_config::snapshot::{Limits, LookupAddress, LookupListener};

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

/// A listener with its socket, at which nobody is answered yet.
pub(crate) struct Bound {
    listener: LookupListener,
    socket: Ready,
}

enum Ready {
    Tcp { address: SocketAddr, socket: TcpListener, is_new: bool },
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

/// One that others reach.
pub(super) enum Socket {
    Tcp(Arc<tokio::net::TcpListener>),
    Unix(tokio::net::UnixListener),
}

impl Bound {
    /// Lets others in.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open(self) -> io::Result<(LookupListener, Socket)> {
        let socket = match self.socket {
            Ready::Tcp { address, socket, is_new } => {
                let socket = Arc::new(tokio::net::TcpListener::from_std(socket)?);
                if is_new {
                    service_manager::keep(address, std::slice::from_ref(&socket));
                }
                Socket::Tcp(socket)
            }
            // Whatever is there: whoever asks finds one at any moment.
            Ready::Unix(socket, placing) => {
                let socket = tokio::net::UnixListener::from_std(socket)?;
                std::fs::rename(&placing.next, &placing.path)?;
                Socket::Unix(socket)
            }
        };
        Ok((self.listener, socket))
    }
}

/// Takes the addresses: what `source` has of them, so that nobody is turned away who came to a process that this one
/// succeeds.
///
/// # Errors
/// [`LookupError`].
pub(crate) fn bind(
    listeners: &[LookupListener],
    source: &SocketSource,
    limits: &Limits,
) -> Result<Vec<Bound>, LookupError> {
    let bound = listeners.iter().map(|listener| {
        let (shown, socket) = match &listener.address {
            LookupAddress::Tcp(address) => (address.to_string(), tcp(*address, source, limits)),
            LookupAddress::Unix(path) => (path.display().to_string(), unix(path)),
        };
        let socket = socket.map_err(|source| LookupError::Address { address: shown, source })?;
        Ok(Bound { listener: listener.clone(), socket })
    });
    bound.collect()
}

fn tcp(address: SocketAddr, source: &SocketSource, limits: &Limits) -> io::Result<Ready> {
    let (socket, is_new) = source.open_one(address, limits)?;
    Ok(Ready::Tcp { address, socket, is_new })
}

/// A socket beside its place: those who ask a process that this one succeeds are answered there until this one serves.
fn unix(path: &Path) -> io::Result<Ready> {
    let next = PathBuf::from(format!("{}.{}", path.display(), std::process::id()));
    let _ = std::fs::remove_file(&next);
    let socket = UnixListener::bind(&next)?;
    let placing = Placing { next, path: path.to_owned() };
    socket.set_nonblocking(true)?;
    // Whoever may enter its directory may ask, as with sockets of other mail servers.
    std::fs::set_permissions(&placing.next, std::fs::Permissions::from_mode(0o666))?;
    Ok(Ready::Unix(socket, placing))
}
