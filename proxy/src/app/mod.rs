//! The process: from a configuration to the end of the last connection.

mod background;
mod begin;
mod build;
mod descriptors;
mod error;
mod report;
mod sweep;

pub(crate) use error::RunError;

pub(crate) use self::build::build;
use crate::acme;
use crate::admin::Inherited;
use crate::drain::{self, Drainer};
use crate::listen::{Acceptor, Bound, SocketSource, Sockets};
use crate::load::{Config, secrets_are_readable};
use crate::lookup::{self, Lookups};
use crate::parts::Parts;
use crate::reload::{self, Content};
use crate::service_manager;
use crate::session::Session;
use crate::spans;
use crate::succession::{self, Program};
use crate::takeover::{Inheritance, Successor};
use crate::tls::{Lasting, Tickets};
use crate::version;
use crate::workers::Workers;
use begin::{Begun, begin};
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use usher_backends::state_dir::StateDir;

/// How long sessions may take to end where others wait to be served by the next process.
const SOON: Duration = Duration::from_millis(700);

/// How long others may take to be answered where users are.
const SETTLING: Duration = Duration::from_secs(5);

/// What a process has before it serves.
struct Prepared {
    /// Where the configuration is.
    path: PathBuf,
    /// Whether changes of the configuration are put in force by themselves.
    watched: bool,
    /// What it and its files held.
    loaded: Content,
    lasting: Lasting,
    bound: Vec<Bound>,
    lookups: Vec<lookup::Bound>,
    state_dir: StateDir,
    program: Program,
    admin: Option<Inherited>,
    /// Where somebody else listened, and nobody does any longer.
    unwanted: Vec<SocketAddr>,
}

/// What a predecessor leaves, as far as it is not files.
struct Left {
    source: SocketSource,
    lock: Option<File>,
    admin: Option<Inherited>,
    tickets: Option<Tickets>,
    /// What has been stopped since its start.
    stopped: Option<Vec<String>>,
}

/// Serves until it is told to stop; with `watched`, changed files cause a reload. With `successor`, what another process
/// leaves is taken over.
///
/// # Errors
/// [`RunError`], before anything is served.
pub(crate) fn run(config: Config, watched: bool, mut successor: Option<Successor>) -> Result<(), RunError> {
    let ran = prepare(config, watched, &mut successor);
    let (parts, prepared) = ran.inspect_err(|error| fail(successor.as_ref(), error))?;
    // For everything but connections: the admin API, reloads and background tasks.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Box::pin(serve(parts, prepared, successor)))?;
    end(runtime);
    Ok(())
}

fn fail(successor: Option<&Successor>, error: &RunError) {
    successor.into_iter().for_each(|successor| successor.failed(&error.to_string()));
}

fn prepare(
    config: Config,
    watched: bool,
    successor: &mut Option<Successor>,
) -> Result<(Parts, Prepared), RunError> {
    let program = Program::of_this_process();
    // Before the certificates are read, so that changes from here on are noticed.
    let text = if watched { config.text().as_bytes() } else { b"" };
    let loaded = reload::content(text, &config.snapshot);
    let read = config.certificates(None)?;
    let left = match successor {
        Some(successor) => inherit(successor.inherit()?)?,
        None => Left {
            source: SocketSource::of(service_manager::sockets())?,
            lock: None,
            admin: None,
            tickets: None,
            stopped: None,
        },
    };
    let dir = config.snapshot.server.state_dir.clone();
    let socket_inside = config.snapshot.admin.socket.parent() == Some(&dir);
    // Before anything there is read, and until the end.
    let (state_dir, tightened) = match left.lock {
        Some(lock) => StateDir::take_over(&dir, socket_inside, lock)?,
        None => StateDir::take(&dir, socket_inside)?,
    };
    for path in tightened {
        tracing::warn!(path = %path.display(), "was accessible to other users of this machine; its permissions have been tightened");
    }
    descriptors::raise_limit(config.snapshot.limits.connections);
    let workers = Workers::start()?;
    let bound = config.sockets(&[], workers.count(), &left.source)?;
    let lookups = lookup::bind(&config.snapshot.lookups, &left.source, &config.snapshot.limits)?;
    let unwanted = left.source.unwanted();
    for address in &unwanted {
        tracing::warn!(%address, "nothing listens here any longer: the configuration has no such listener");
    }
    let tickets = left.tickets.or_else(Tickets::new).ok_or(RunError::Tickets)?;
    secrets_are_readable(&config.snapshot)?;
    let path = config.path().to_owned();
    let lasting = Lasting::new(tickets);
    acme::restore(&config.snapshot, &lasting.acquired);
    let parts = build(config.snapshot, read, workers, &lasting, left.stopped)?;
    let admin = left.admin;
    Ok((
        parts,
        Prepared { path, watched, loaded, lasting, bound, lookups, state_dir, program, admin, unwanted },
    ))
}

fn inherit(inheritance: Inheritance) -> Result<Left, RunError> {
    let Inheritance { lock, admin_socket, admin_listen, listeners, ticket_keys, stopped } = inheritance;
    Ok(Left {
        source: SocketSource::of(listeners)?,
        lock: Some(lock),
        admin: Some(Inherited { socket: admin_socket, listen: admin_listen }),
        tickets: Tickets::continuing(&ticket_keys),
        stopped: Some(stopped),
    })
}

async fn serve(parts: Parts, prepared: Prepared, mut successor: Option<Successor>) -> Result<(), RunError> {
    let started = spans::start(parts.acceptor.config.load().snapshot.tracing.as_ref());
    let started = started.map_err(RunError::Tracing);
    started.inspect_err(|error| fail(successor.as_ref(), error))?;
    let mut signals = Signals::new()?;
    let (hangups, upgrades) = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined2())?);
    let begun = begin(&parts, prepared, &mut successor).await;
    let Begun { orders, admin, lookups, reloading, watched, loaded, path, bulk, unwanted } =
        begun.inspect_err(|error| fail(successor.as_ref(), error))?;
    let Parts { enforcer, acceptor, drainer, mover, sources, formers, keeper, .. } = parts;
    tokio::spawn(reload::follow_hangups(hangups, orders.reloads.clone()));
    tokio::spawn(succession::follow_signal(upgrades, orders.upgrades.clone()));
    let (config, reloads) = (acceptor.config.clone(), orders.reloads.clone());
    tokio::spawn(reload::follow_files(config, path, loaded, watched, reloads));
    background::start(&acceptor, sources, enforcer, mover.clone(), formers, orders.changes.clone(), keeper);
    drop(orders);
    service_manager::ready();
    successor.iter().for_each(Successor::serving);
    drop(successor);
    unwanted.into_iter().for_each(service_manager::forget);
    bulk.into_iter().for_each(|bulk| mover.go_on(bulk));
    tracing::info!(version = version::VERSION, commit = version::COMMIT, "serving");
    let retired = acceptor.shutdown.clone();
    tokio::select! {
        asked = signals.next() => if let Asked::AtOnce = asked { return Ok(()) },
        () = retired.retired() => {
            tokio::select! {
                () = drain::retire(&drainer) => {}
                asked = signals.next() => if let Asked::AtOnce = asked { return Ok(()) },
            }
        }
    }
    if acceptor.shutdown.is_retired() {
        // Those who are left are told now.
        begin_to_stop(&acceptor);
        tokio::select! {
            () = drain::stop(&drainer, Some(SOON)) => tracing::info!("nobody is left here"),
            _ = signals.next() => tracing::warn!(sessions = drainer.sessions.len(), "stopped at once"),
        }
        lookups.settled(SETTLING).await;
        admin.settled().await;
        return Ok(());
    }
    stop(&acceptor, &drainer, &lookups, reloading, &mut signals).await;
    // It waits for what this runtime sends.
    let _ = tokio::task::spawn_blocking(spans::finish).await;
    Ok(())
}

/// Ends everything here, because usher is told to stop.
async fn stop(
    acceptor: &Acceptor,
    drainer: &Arc<Drainer>,
    lookups: &Lookups,
    reloading: JoinHandle<Sockets>,
    signals: &mut Signals,
) {
    // Those who ask before they connect are told first.
    acceptor.shutdown.announce();
    service_manager::stopping();
    // Whoever comes meanwhile waits for the next process, if the service manager has the listeners.
    let deadline = service_manager::is_there().then_some(SOON);
    let delay = acceptor.config.load().snapshot.server.stop_delay;
    if !delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            asked = signals.next() => if let Asked::AtOnce = asked { return },
        }
    }
    let has_successor = acceptor.shutdown.is_retired();
    if deadline.is_some() {
        // Nobody is accepted from here on, and whoever has been is let in before the sessions end.
        acceptor.shutdown.retire();
        drain::let_in(drainer, SOON).await;
    }
    // Clients before login are told, and the listening sockets are closed.
    begin_to_stop(acceptor);
    let stopped = async {
        if let Ok(sockets) = reloading.await {
            sockets.closed().await;
        }
        drain::stop(drainer, deadline).await;
        lookups.settled(deadline.unwrap_or(SETTLING)).await;
        if !has_successor {
            acceptor.imap.router.remembered.save();
            acceptor.imap.router.sources.keep();
        }
    };
    tokio::select! {
        () = stopped => tracing::info!("stopped"),
        _ = signals.next() => tracing::warn!(sessions = drainer.sessions.len(), "stopped at once"),
    }
}

/// Lets nobody in any more. Logins under way look at that when they are woken.
fn begin_to_stop(acceptor: &Acceptor) {
    acceptor.shutdown.begin();
    acceptor.imap.sessions.for_each(Session::wake);
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
