//! The sockets of the API.

use super::caller::Caller;
use super::console::watch_over;
use super::keys::{Keys, TokenError};
use super::{Context, Orders, router};
use crate::parts::Parts;
use crate::succession::private_socket;
use axum::Router;
use futures_util::future::join_all;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use usher_config::snapshot;

/// Concurrent connections, over TCP and over the socket each.
const CONNECTIONS: usize = 256;
/// Time for the headers of a request.
const HEADERS: Duration = Duration::from_secs(10);
/// Time for answers before the process ends.
const SETTLING: Duration = Duration::from_secs(5);
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
    #[error("[admin]: {0}")]
    Token(#[source] TokenError),
}

/// The API while it is being served; its sockets are removed when this is dropped, unless a successor has them.
pub(crate) struct Admin {
    path: PathBuf,
    /// Gone once a successor has them: whoever comes must not wait in the queue of a process that does not answer.
    doors: Mutex<Option<Doors>>,
    router: Router,
    /// Requests that are being answered, by socket and by TCP.
    places: [Arc<Semaphore>; 2],
    serving: Mutex<Vec<JoinHandle<()>>>,
    /// Where a successor asks.
    private: PathBuf,
    privately: Mutex<Option<JoinHandle<()>>>,
    has_retired: AtomicBool,
}

/// Where the API is served.
#[derive(Clone)]
pub(crate) struct Doors {
    pub(crate) socket: Arc<UnixListener>,
    pub(crate) listen: Option<(SocketAddr, Arc<TcpListener>)>,
    keys: Arc<Keys>,
}

/// The sockets of a predecessor, and where they are.
pub(crate) struct Inherited {
    pub(crate) socket: (PathBuf, std::os::unix::net::UnixListener),
    pub(crate) listen: Option<(SocketAddr, std::net::TcpListener)>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        if !self.has_retired.load(Ordering::Acquire) {
            let _ = std::fs::remove_file(&self.path);
        }
        if lock(&self.privately).is_some() {
            let _ = std::fs::remove_file(&self.private);
        }
    }
}

impl Doors {
    /// Opens them: what is `inherited` where that is what is configured. Nothing that may fail is left to [`Admin::serve`].
    ///
    /// # Errors
    /// [`AdminError`].
    pub(crate) fn open(config: &snapshot::Admin, inherited: Option<Inherited>) -> Result<Self, AdminError> {
        let keys = Arc::new(Keys::read(config).map_err(AdminError::Token)?);
        let (socket, listen) = inherited.map(|inherited| (inherited.socket, inherited.listen)).unzip();
        let socket = match socket.filter(|(path, _)| *path == config.socket) {
            Some((path, socket)) => adopt(socket).map_err(|source| AdminError::Socket { path, source })?,
            None => bind_socket(&config.socket)?,
        };
        let listen = match (config.listen, listen.flatten()) {
            (Some(address), Some((there, listener))) if there == address => Some((address, Ok(listener))),
            (Some(address), _) => Some((address, std::net::TcpListener::bind(address))),
            (None, _) => None,
        };
        let listen = listen.map(|(address, listener)| {
            let listener = listener.and_then(|listener| {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)
            });
            let listener = listener.map_err(|source| AdminError::Listen { address, source })?;
            Ok((address, Arc::new(listener)))
        });
        Ok(Self { socket: Arc::new(socket), listen: listen.transpose()?, keys })
    }
}

impl Admin {
    /// Serves the API until the runtime ends.
    pub(crate) fn serve(parts: &Parts, orders: Orders, doors: Doors) -> Self {
        let (path, state_dir) = {
            let snapshot = &parts.acceptor.config.load().snapshot;
            (snapshot.admin.socket.clone(), snapshot.server.state_dir.clone())
        };
        let context = Arc::new(Context::new(parts, orders, doors.keys.clone()));
        // It ends by itself when this process has a successor.
        tokio::spawn(watch_over(context.clone()));
        let router = router(context);
        let places = [(); 2].map(|()| Arc::new(Semaphore::new(CONNECTIONS)));
        let [by_socket, by_tcp] = places.clone();
        let by_socket = serve_socket(doors.socket.clone(), by_socket, router.clone(), who);
        let mut serving = vec![tokio::spawn(by_socket)];
        if let Some((address, listener)) = &doors.listen {
            tracing::info!(%address, "admin API");
            serving.push(tokio::spawn(serve_tcp(listener.clone(), by_tcp, router.clone())));
        }
        Self {
            path,
            doors: Mutex::new(Some(doors)),
            router,
            places,
            serving: Mutex::new(serving),
            private: private_socket(&state_dir, std::process::id()),
            privately: Mutex::default(),
            has_retired: AtomicBool::new(false),
        }
    }

    /// Where the API is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The sockets, for a successor; `None`: one has them.
    pub(crate) fn doors(&self) -> Option<Doors> {
        lock(&self.doors).clone()
    }

    /// Serves a successor at a socket of this process's own.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open_private(&self) -> std::io::Result<()> {
        let _ = std::fs::remove_file(&self.private);
        let socket = UnixListener::bind(&self.private)?;
        std::fs::set_permissions(&self.private, std::fs::Permissions::from_mode(0o600))?;
        let serving = tokio::spawn(serve_socket(
            Arc::new(socket),
            Arc::new(Semaphore::new(CONNECTIONS)),
            self.router.clone(),
            |_| Caller::Successor,
        ));
        *lock(&self.privately) = Some(serving);
        Ok(())
    }

    /// There is no successor after all.
    pub(crate) fn close_private(&self) {
        if let Some(serving) = lock(&self.privately).take() {
            serving.abort();
            let _ = std::fs::remove_file(&self.private);
        }
    }

    /// Waits a moment for those who are still being answered.
    pub(crate) async fn settled(&self) {
        let all = join_all(self.places.iter().map(|places| places.acquire_many(CONNECTIONS as u32)));
        let _ = tokio::time::timeout(SETTLING, all).await;
    }

    /// Leaves the sockets to a successor. Whoever has been answered halfway is answered.
    pub(crate) fn retire(&self) {
        self.has_retired.store(true, Ordering::Release);
        lock(&self.serving).drain(..).for_each(|serving| serving.abort());
        lock(&self.doors).take();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn adopt(socket: std::os::unix::net::UnixListener) -> std::io::Result<UnixListener> {
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket)
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

async fn serve_socket(
    listener: Arc<UnixListener>,
    places: Arc<Semaphore>,
    router: Router,
    who: fn(&UnixStream) -> Caller,
) {
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

async fn serve_tcp(listener: Arc<TcpListener>, places: Arc<Semaphore>, router: Router) {
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
