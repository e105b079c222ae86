//! The sockets of the API.

use super::guard::{Caller, Token, TokenError};
use super::{Context, router};
use crate::drain::Drainer;
use crate::listen::Acceptor;
use crate::moves::Mover;
use crate::reload;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use usher_backends::directory::Directory;

/// Concurrent connections, over TCP and over the socket each.
const CONNECTIONS: usize = 256;
/// Time for the headers of a request.
const HEADERS: Duration = Duration::from_secs(10);
/// Wait after a system error before the next attempt.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// Another process serves it.
    #[error("{0}: another usher is already serving here; stop it, or give this one its own [admin] socket")]
    Taken(PathBuf),
    /// The socket cannot be had.
    #[error("[admin] socket {path}: {source}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The TCP address cannot be had.
    #[error("[admin] listen {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// There is no token.
    #[error("[admin] token_file: {0}")]
    Token(#[source] TokenError),
}

/// The API while it is being served; its socket is removed when this is dropped.
pub(crate) struct Admin {
    socket: PathBuf,
}

impl Drop for Admin {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Admin {
    /// Serves the API until the runtime ends.
    ///
    /// # Errors
    /// [`AdminError`].
    pub(crate) fn serve(
        acceptor: &Acceptor,
        drainer: Arc<Drainer>,
        directory: Arc<Directory>,
        mover: Arc<Mover>,
        reloads: mpsc::Sender<reload::Request>,
    ) -> Result<Self, AdminError> {
        let config = acceptor.config.load().snapshot.admin.clone();
        let token = config.token_file.as_deref().map(Token::read).transpose().map_err(AdminError::Token)?;
        let socket = bind_socket(&config.socket)?;
        let context = Context::new(acceptor, drainer, directory, mover, reloads, token);
        let router = router(Arc::new(context));
        if let Some(address) = config.listen {
            let failed = |source| AdminError::Listen { address, source };
            let listener = std::net::TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let listener = TcpListener::from_std(listener).map_err(failed)?;
            tracing::info!(%address, "admin API");
            tokio::spawn(serve_tcp(listener, router.clone()));
        }
        tokio::spawn(serve_socket(socket, router));
        Ok(Self { socket: config.socket })
    }
}

/// Binds the socket for its owner and group alone. A leftover of a previous process is removed, unless somebody answers
/// there.
fn bind_socket(path: &Path) -> Result<UnixListener, AdminError> {
    let failed = |source| AdminError::Socket { path: path.to_owned(), source };
    if let Ok(there) = std::fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            let source = std::io::Error::other("there is a file that is not a socket");
            return Err(failed(source));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(AdminError::Taken(path.to_owned()));
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    // Created under a name that nobody knows, so that its permissions are set before anybody can open it.
    let hidden = path.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&hidden);
    let listener = UnixListener::bind(&hidden).map_err(failed)?;
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    std::fs::rename(&hidden, path).map_err(failed)?;
    Ok(listener)
}

async fn serve_socket(listener: UnixListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let caller = who(&stream);
                let router = router.clone();
                tokio::spawn(async move {
                    converse(stream, caller, router).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(BACK_OFF).await,
        }
    }
}

fn who(stream: &UnixStream) -> Caller {
    let (uid, pid) = stream.peer_cred().map_or((u32::MAX, 0), |cred| (cred.uid(), cred.pid().unwrap_or(0)));
    Caller::Socket { uid, pid }
}

async fn serve_tcp(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Ok(local) = stream.local_addr() else { continue };
                let router = router.clone();
                tokio::spawn(async move {
                    converse(stream, Caller::Tcp { peer, local }, router).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(BACK_OFF).await,
        }
    }
}

/// Serves one connection to its end.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    caller: Caller,
    router: Router,
) {
    let service = TowerToHyperService::new(router.layer(axum::Extension(caller)));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // Nobody occupies a connection by doing nothing.
        .keep_alive(false)
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%caller, %error, "admin connection");
    }
}
