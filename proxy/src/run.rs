//! The only place where the parts are built and joined.

use crate::drain;
use crate::listen;
use crate::prepare::{self, Config, ConfigError, TlsSetupError};
use crate::session::{Table, sweep};
use crate::shared::{Ids, Pace, Shared};
use crate::spawn::Spawner;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use usher_backends::Observer;
use usher_backends::connect::{Cause, ConnectFault};
use usher_backends::directory::{Directory, DirectoryError};
use usher_backends::roster::Roster;
use usher_backends::state::State;

/// Why usher does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The configuration is at fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The directory cannot be used.
    #[error("the directory: {0}")]
    Directory(#[from] DirectoryError),
    /// `state.db` cannot be used.
    #[error("state.db: {0}")]
    State(#[from] rusqlite::Error),
    /// No TLS towards clients.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// No TLS towards hosts.
    #[error(transparent)]
    Hosts(#[from] usher_backends::connect::tls::TlsError),
    /// The system refuses something else.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Serves until it is told to stop.
///
/// # Errors
/// [`RunError`], before anything is served.
pub(crate) fn run(config: Config, colour: bool) -> Result<(), RunError> {
    let loaded = config.certificates(colour)?;
    let sockets = config.sockets(colour)?;
    let snapshot = config.snapshot;
    raise_descriptor_limit();
    std::fs::create_dir_all(&snapshot.server.state_dir)?;
    let tls = prepare::server_configs(&snapshot, loaded)?;
    let directory = Directory::open(&snapshot.server.state_dir)?;
    let holds = State::open(&snapshot.server.state_dir)?.operator_holds()?;
    let observer: Arc<dyn Observer> = Arc::new(Log);
    let roster = Roster::new(&snapshot.hosts, &holds, &observer)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (stop, stopping) = watch::channel(false);
    let shared = Arc::new(Shared {
        held_logins: Semaphore::new(snapshot.limits.held_logins as usize),
        snapshot,
        tls,
        directory,
        roster,
        observer,
        sessions: Arc::new(Table::new()),
        doors: Arc::default(),
        spawner: Spawner::new(runtime.handle().clone()),
        stopping,
        pace: Pace::default(),
        ids: Ids::default(),
    });
    runtime.block_on(serve(shared, sockets, &stop))?;
    end(runtime);
    Ok(())
}

async fn serve(
    shared: Arc<Shared>,
    sockets: Vec<TcpListener>,
    stop: &watch::Sender<bool>,
) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    tokio::spawn(ignore_hangups(signal(SignalKind::hangup())?));
    tokio::spawn(sweep(shared.clone()));
    let mut listeners = Vec::new();
    for (at, socket) in sockets.into_iter().enumerate() {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let address = socket.local_addr()?;
        tracing::info!(%address, protocol = shared.snapshot.listeners[at].protocol.name(), "listening");
        listeners.push(tokio::spawn(listen::accept(shared.clone(), at, socket)));
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = quit.recv() => {}
        _ = interrupt.recv() => return Ok(()),
    }
    // Those before login hear of it, and the listening sockets are closed.
    stop.send_replace(true);
    for listener in listeners {
        let _ = listener.await;
    }
    tokio::select! {
        () = drain::drain(&shared) => tracing::info!("stopped"),
        _ = terminate.recv() => tracing::warn!(sessions = shared.sessions.len(), "stopped at once"),
        _ = quit.recv() => tracing::warn!(sessions = shared.sessions.len(), "stopped at once"),
        _ = interrupt.recv() => tracing::warn!(sessions = shared.sessions.len(), "stopped at once"),
    }
    Ok(())
}

/// Ends the runtime and whatever still runs on it; those who were to hear of the stop have been waited for.
fn end(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_millis(100));
}

/// A hangup ends no sessions: there is nothing to be reloaded, and the operator is told so.
async fn ignore_hangups(mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        tracing::warn!("SIGHUP does nothing: changes of the configuration need a restart");
    }
}

/// A front door needs two descriptors a session; the soft limit is often far below what is allowed.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!(limit = ?limit.current, "the limit of open files could not be raised");
    }
}

/// Writes down what happens with backends.
struct Log;

impl Observer for Log {
    fn connected(&self, host: &str, took: Duration) {
        tracing::debug!(host, milliseconds = took.as_secs_f64() * 1e3, "connected");
    }

    fn connect_failed(&self, host: &str, fault: &ConnectFault) {
        let (stage, cause) = (fault.stage.name(), &fault.cause);
        match cause {
            Cause::Pin => tracing::error!(host, stage, %cause, security = true, "instance host refused"),
            _ => tracing::warn!(host, stage, %cause, "instance host failed"),
        }
    }

    fn pinned_certificate_expired(&self, host: &str, not_after: i64) {
        tracing::warn!(host, not_after, "the instance host's pinned certificate has expired");
    }
}
