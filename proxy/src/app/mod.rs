//! The process: from a configuration to the end of the last connection.

mod background;
mod build;
mod descriptors;
mod error;
mod report;
mod sweep;

pub(crate) use error::RunError;

pub(crate) use self::build::{Parts, build};
use crate::admin::Admin;
use crate::drain;
use crate::listen::SocketSource;
use crate::listen::{self, Bound, Sockets};
use crate::load::{Config, secrets_are_readable};
use crate::reload::{self, Content, Reloader};
use crate::tls;
use crate::workers::Workers;
use rustls::server::ProducesTickets;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use usher_backends::state_dir::StateDir;

/// Reloads that may be queued; senders of further ones have to wait.
const RELOADS: usize = 16;

/// Where the configuration is, and how it is followed.
struct Following {
    path: PathBuf,
    /// What was read, if changes to it are to be followed.
    watched: Option<Content>,
    ticketer: Arc<dyn ProducesTickets>,
}

/// Serves until it is told to stop; with `watched`, changed files cause a reload.
///
/// # Errors
/// [`RunError`], before anything is served.
pub(crate) fn run(config: Config, watched: bool) -> Result<(), RunError> {
    // Before the certificates are read, so that changes from here on are noticed.
    let watched = watched.then(|| reload::content(config.text().as_bytes(), &config.snapshot));
    let read = config.certificates(None)?;
    let admin = &config.snapshot.admin.socket;
    let state_dir = config.snapshot.server.state_dir.clone();
    // Before anything there is read, and until the end.
    let (_alone, tightened) = StateDir::take(&state_dir, admin.parent() == Some(&state_dir))?;
    for path in tightened {
        tracing::warn!(path = %path.display(), "was accessible to other users of this machine; its permissions have been tightened");
    }
    descriptors::raise_limit(config.snapshot.limits.connections);
    let workers = Workers::start()?;
    let bound = config.sockets(&[], workers.count(), &SocketSource::Bind)?;
    let following = Following { path: config.path().to_owned(), watched, ticketer: tls::ticket_keys()? };
    secrets_are_readable(&config.snapshot)?;
    let parts = build(config.snapshot, read, workers, &following.ticketer)?;
    // For everything but connections: the admin API, reloads and background tasks.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Box::pin(serve(parts, bound, following)))?;
    end(runtime);
    Ok(())
}

async fn serve(parts: Parts, bound: Vec<Bound>, following: Following) -> Result<(), RunError> {
    let Parts { enforcer, acceptor, drainer, mover, directory, fleet, health } = parts;
    // Before anybody is let in.
    if let Err(error) = mover.recover() {
        tracing::error!(%error, "moves that were under way cannot be finished or undone; their logins wait");
    }
    let mut signals = Signals::new()?;
    let hangups = signal(SignalKind::hangup())?;
    let (reloads, requests) = mpsc::channel(RELOADS);
    // Before anybody can be served, so that whoever sees usher serving can query it.
    let _socket =
        Admin::serve(&acceptor, drainer.clone(), directory.clone(), mover.clone(), reloads.clone())?;
    let mut sockets = Sockets::default();
    let listeners = acceptor.config.load().snapshot.listeners.clone();
    sockets.follow(&acceptor, listen::watch(&acceptor.workers, bound)?, &listeners).await;
    let Following { path, watched, ticketer } = following;
    let followed = path.clone();
    let reloader = Reloader {
        acceptor: acceptor.clone(),
        directory: directory.clone(),
        enforcer: enforcer.clone(),
        fleet,
        health,
        path,
        ticketer,
        sockets,
    };
    let reloading = tokio::spawn(reloader.serve(requests));
    tokio::spawn(reload::follow_hangups(hangups, reloads.clone()));
    if let Some(loaded) = watched {
        tokio::spawn(reload::follow_files(acceptor.config.clone(), followed, loaded, reloads));
    }
    background::start(&acceptor, directory, enforcer, mover);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving");
    if let Asked::AtOnce = signals.next().await {
        return Ok(());
    }
    // Those who ask before they connect are told first.
    acceptor.shutdown.announce();
    let delay = acceptor.config.load().snapshot.server.stop_delay;
    if !delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            asked = signals.next() => if let Asked::AtOnce = asked { return Ok(()) },
        }
    }
    // Clients before login are told, and the listening sockets are closed.
    acceptor.shutdown.begin();
    let stopped = async {
        if let Ok(sockets) = reloading.await {
            sockets.closed().await;
        }
        drain::stop(&drainer).await;
    };
    let stopped = async {
        stopped.await;
        acceptor.imap.router.remembered.save();
    };
    tokio::select! {
        () = stopped => tracing::info!("stopped"),
        _ = signals.next() => tracing::warn!(sessions = drainer.sessions.len(), "stopped at once"),
    }
    Ok(())
}

/// The signals that ask usher to stop.
struct Signals {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
}

/// How a signal asks for it.
enum Asked {
    /// After sessions have been drained.
    Gently,
    AtOnce,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Gently,
            _ = self.quit.recv() => Asked::Gently,
            _ = self.interrupt.recv() => Asked::AtOnce,
        }
    }
}

/// Ends the runtime and whatever is still running on it. Those who had to be told of the stop have been waited for.
fn end(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_millis(100));
}
