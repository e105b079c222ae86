//! The only place where the parts are built and joined.

use crate::admin::{self, Admin};
use crate::drain;
use crate::https::{Cookies, Idlers, RetryBudget};
use crate::listen::{self, Bound, Sockets};
use crate::meter::Meter;
use crate::prepare::{self, Config, ConfigError, TlsSetupError};
use crate::pressure::Pressure;
use crate::progress::Drains;
use crate::refusals::Refusals;
use crate::reload::{self, Content, Reloader};
use crate::report::Reporter;
use crate::session::{Table, sweep};
use crate::shared::{Ids, Shared};
use crate::spawn::Spawner;
use crate::tls;
use arc_swap::ArcSwap;
use rustls::server::ProducesTickets;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use usher_backends::Observer;
use usher_backends::connect::Deadlines;
use usher_backends::connect::identity::{Identity, SelfMadeError};
use usher_backends::directory::{Directory, DirectoryError};
use usher_backends::health::Health;
use usher_backends::http::Pool;
use usher_backends::roster::{Fleet, FleetError};
use usher_backends::state_dir::{StateDir, StateDirError};

/// Reloads that may wait; those beyond wait to wait.
const RELOADS: usize = 16;
/// Between two times at which metrics are tidied up.
const TIDY: Duration = Duration::from_secs(5);

/// Between two looks at the memory that is left.
const MEMORY: Duration = Duration::from_millis(500);
/// Between two looks at what other processes have changed in the directory.
const FOLLOW: Duration = Duration::from_millis(500);

/// Files that are open for other reasons than connections.
const OTHER_FILES: u64 = 200;

/// Why usher does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The configuration is at fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The directory cannot be used.
    #[error("the directory: {0}")]
    Directory(#[from] DirectoryError),
    /// `state.db` cannot be used, or there is no TLS towards hosts.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// No TLS towards clients.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// No tickets.
    #[error("TLS tickets: {0}")]
    Tickets(#[from] rustls::Error),
    /// `state_dir` cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// No certificate of its own.
    #[error(transparent)]
    Identity(#[from] SelfMadeError),
    /// Nothing can be counted.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// The admin API cannot be served.
    #[error(transparent)]
    Admin(#[from] admin::AdminError),
    /// The system refuses something else.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Where the configuration is, and how it is followed.
pub(crate) struct Following {
    path: PathBuf,
    /// What was read, where changes of it are to be followed.
    watched: Option<Content>,
    ticketer: Arc<dyn ProducesTickets>,
}

/// Serves until it is told to stop; with `watched`, changed files are reloaded.
///
/// # Errors
/// [`RunError`], before anything is served.
pub(crate) fn run(config: Config, watched: bool, colour: bool) -> Result<(), RunError> {
    // Before the certificates are read: what changes from here on is seen to have changed.
    let watched = watched.then(|| reload::content(config.text().as_bytes(), &config.snapshot));
    let read = config.certificates(None, colour)?;
    let admin = &config.snapshot.admin.socket;
    let state_dir = config.snapshot.server.state_dir.clone();
    // Before anything is looked at there, and until the end.
    let (_alone, tightened) = StateDir::take(&state_dir, admin.parent() == Some(&state_dir))?;
    for path in tightened {
        tracing::warn!(path = %path.display(), "was open to other users of this machine; it is closed to them now");
    }
    raise_descriptor_limit(config.snapshot.limits.connections);
    let spawner = Spawner::start()?;
    let bound = config.sockets(&[], spawner.workers(), colour)?;
    let ticketer = tls::ticket_keys()?;
    let following = Following { path: config.path().to_owned(), watched, ticketer };
    let snapshot = config.snapshot;
    reload::secrets_are_readable(&snapshot).map_err(ConfigError::Faults)?;
    let state_dir = &state_dir;
    let cookies = Cookies::open(state_dir);
    let directory = Directory::remembering(state_dir, snapshot.limits.remembered_placements)?;
    // From here on: before the first look-up, so that nothing of what is remembered has to be forgotten for it.
    let _ = directory.follow_changes();
    let meter = Arc::new(Meter::new()?);
    let observer: Arc<dyn Observer> = Arc::new(Reporter(meter.clone()));
    let identity = Identity::load_or_make(state_dir, &snapshot.server.name)?;
    let fleet = Fleet::open(state_dir, &snapshot.hosts, &snapshot.arrays, identity, observer.clone())?;
    let fleet = Arc::new(fleet);
    // For everything but connections: the admin API, reloads and what looks after things.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let deadlines = Deadlines::from(&snapshot.limits);
    let secrets_dir = snapshot.admin.secrets_dir.clone();
    let health = Health::new(fleet.clone(), observer.clone(), deadlines, secrets_dir, apart()?);
    health.reconcile(deadlines);
    let (stop, stopping) = watch::channel(false);
    let shared = Arc::new(Shared {
        settings: ArcSwap::from_pointee(prepare::setting(snapshot, read, &following.ticketer)?),
        directory,
        fleet,
        health,
        observer,
        meter,
        sessions: Arc::new(Table::new()),
        drains: Drains::default(),
        web: (0..spawner.workers()).map(|_| Pool::default()).collect(),
        cookies,
        retries: RetryBudget::default(),
        idlers: Idlers::default(),
        connections: Arc::default(),
        doors: Arc::default(),
        held_logins: Arc::default(),
        pressure: Pressure::default(),
        leaving: AtomicBool::new(false),
        spawner,
        stopping,
        refusals: Refusals::open(state_dir.join("refusals.imap"))?,
        web_refusals: Refusals::open(state_dir.join("refusals.https"))?,
        ids: Ids::default(),
    });
    runtime.block_on(Box::pin(serve(shared, bound, following, &stop)))?;
    end(runtime);
    Ok(())
}

async fn serve(
    shared: Arc<Shared>,
    bound: Vec<Bound>,
    following: Following,
    stop: &watch::Sender<bool>,
) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let hangups = signal(SignalKind::hangup())?;
    let (reloads, requests) = mpsc::channel(RELOADS);
    // Before anybody can be served, so that whoever sees usher serve can ask it.
    let _socket = Admin::serve(shared.clone(), reloads.clone())?;
    let mut sockets = Sockets::default();
    let listeners = shared.setting().snapshot.listeners.clone();
    sockets.follow(&shared, listen::watch(&shared.spawner, bound)?, &listeners).await;
    let Following { path, watched, ticketer } = following;
    let followed = path.clone();
    let reloader = Reloader { shared: shared.clone(), path, ticketer, sockets };
    let reloading = tokio::spawn(reloader.serve(requests));
    tokio::spawn(reload::follow_hangups(hangups, reloads.clone()));
    if let Some(loaded) = watched {
        tokio::spawn(reload::follow_files(shared.clone(), followed, loaded, reloads));
    }
    tokio::spawn(sweep(shared.clone()));
    tokio::spawn(watch_memory(shared.clone()));
    tokio::spawn(tidy_up(shared.clone()));
    tokio::spawn(follow_directory(shared.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = quit.recv() => {}
        _ = interrupt.recv() => return Ok(()),
    }
    // Whoever asks before they connect hears of it first.
    shared.leaving.store(true, Ordering::Release);
    let delay = shared.setting().snapshot.server.stop_delay;
    tokio::select! {
        () = tokio::time::sleep(delay), if !delay.is_zero() => {}
        () = std::future::ready(()), if delay.is_zero() => {}
        _ = terminate.recv() => {}
        _ = quit.recv() => {}
        _ = interrupt.recv() => return Ok(()),
    }
    // Those before login hear of it, and the listening sockets are closed.
    stop.send_replace(true);
    let stopped = async {
        if let Ok(sockets) = reloading.await {
            sockets.closed().await;
        }
        drain::stop(&shared).await;
    };
    tokio::select! {
        () = stopped => tracing::info!("stopped"),
        _ = terminate.recv() => tracing::warn!(sessions = shared.sessions.len(), "stopped at once"),
        _ = quit.recv() => tracing::warn!(sessions = shared.sessions.len(), "stopped at once"),
        _ = interrupt.recv() => tracing::warn!(sessions = shared.sessions.len(), "stopped at once"),
    }
    Ok(())
}

/// A runtime on a thread of its own, so that looking after many hosts keeps no session waiting.
fn apart() -> std::io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("health".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

async fn tidy_up(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(TIDY).await;
        shared.meter.tidy_up();
        let setting = shared.setting();
        shared.web.iter().for_each(|pool| pool.sweep(setting.snapshot.limits.http_backend_idle));
        shared.cookies.rotate(setting.snapshot.https.cookie_age);
        let roster = shared.fleet.roster();
        for refusals in [&shared.refusals, &shared.web_refusals] {
            refusals.keep(|host| roster.standings(host).next().is_some());
        }
    }
}

async fn watch_memory(shared: Arc<Shared>) {
    loop {
        shared.pressure.look(shared.setting().snapshot.limits.memory);
        tokio::time::sleep(MEMORY).await;
    }
}

/// Forgets what other processes change in the directory.
async fn follow_directory(shared: Arc<Shared>) {
    loop {
        let directory = shared.clone();
        // One that cannot be read is told where logins ask it.
        let _ = tokio::task::spawn_blocking(move || directory.directory.follow_changes()).await;
        tokio::time::sleep(FOLLOW).await;
    }
}

/// Ends the runtime and whatever still runs on it; those who were to hear of the stop have been waited for.
fn end(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_millis(100));
}

/// A front door needs two descriptors a session; the soft limit is often far below what is allowed.
fn raise_descriptor_limit(connections: u32) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!(limit = ?limit.current, "the limit of open files could not be raised");
    }
    // One for the client and one for the host, and some for everything else.
    let needed = u64::from(connections) * 2 + OTHER_FILES;
    if limit.maximum.is_some_and(|most| most < needed) {
        tracing::warn!(
            limit = ?limit.maximum,
            needed,
            connections,
            "the limit of open files does not bear [limits] connections; those beyond are shed"
        );
    }
}
