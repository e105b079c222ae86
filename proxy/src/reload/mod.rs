//! Applies a new configuration to a running program: load, check, prepare, swap. On any fault nothing changes, and
//! whoever asked is told.

mod error;
mod watch;

pub(crate) use watch::{Content, content, follow_files, follow_hangups};

use crate::access::{Hearing, Visit};
use crate::active::ActiveConfig;
use crate::enforce::Enforcer;
use crate::listen::{self, Acceptor, Bound, SocketSource, Sockets};
use crate::load::{self, Config, secrets_are_readable};
use crate::route::registered;
use crate::succession::Formers;
use crate::tls::Lasting;
use error::ReloadError;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use usher_backends::connect::Deadlines;
use usher_backends::directory::Ledger;
use usher_backends::health::Health;
use usher_backends::roster::{Fleet, Prepared};
use usher_config::snapshot::Listener;
use utoipa::ToSchema;

/// What a reload came to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Reloaded {
    /// Whether the configuration was applied.
    pub(crate) applied: bool,
    /// Every fault, as text, where it was not.
    pub(crate) faults: Option<String>,
    /// What differs and needs a restart.
    pub(crate) needs_restart: Vec<String>,
    /// What the operator should look at.
    pub(crate) warnings: Vec<String>,
}

/// Somebody who wants a reload and waits for its result.
pub(crate) struct Request {
    /// Where they work from, if that is known.
    pub(crate) from: Option<IpAddr>,
    /// Even if they are locked out by it.
    pub(crate) force: bool,
    /// Gets the result.
    pub(crate) answer: oneshot::Sender<Reloaded>,
}

impl Request {
    /// Of somebody who works from nowhere that is known.
    pub(crate) fn new() -> (Self, oneshot::Receiver<Reloaded>) {
        let (answer, result) = oneshot::channel();
        (Self { from: None, force: false, answer }, result)
    }
}

/// What reloads need in addition to what all share.
pub(crate) struct Reloader {
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) directory: Arc<dyn Ledger>,
    pub(crate) enforcer: Arc<Enforcer>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) health: Arc<Health>,
    pub(crate) path: PathBuf,
    pub(crate) lasting: Lasting,
    pub(crate) sockets: Sockets,
    pub(crate) formers: Arc<Formers>,
}

/// A configuration that is ready to be put in place.
struct Ready {
    active: ActiveConfig,
    fleet: Prepared,
    bound: Vec<Bound>,
    needs_restart: Vec<&'static str>,
}

impl Reloader {
    /// Serves `first` and those that have come meanwhile.
    pub(crate) async fn answer(&mut self, first: Request, requests: &mut mpsc::Receiver<Request>) {
        let mut waiting = vec![first];
        while let Ok(other) = requests.try_recv() {
            waiting.push(other);
        }
        let from = waiting.iter().filter(|request| !request.force).filter_map(|request| request.from);
        let reloaded = Box::pin(self.reload(from.collect())).await;
        if reloaded.applied && !self.acceptor.shutdown.is_retired() {
            let formers = self.formers.clone();
            tokio::spawn(async move { formers.reload().await });
        }
        for request in waiting {
            let _ = request.answer.send(reloaded.clone());
        }
    }

    /// Reloads, unless that would lock out somebody at one of the addresses `from`.
    async fn reload(&mut self, from: Vec<IpAddr>) -> Reloaded {
        let (acceptor, fleet) = (self.acceptor.clone(), self.fleet.clone());
        let (path, lasting) = (self.path.clone(), self.lasting.clone());
        // A successor has all of them.
        let open = (!acceptor.shutdown.is_retired()).then(|| self.sockets.addresses());
        let preparing = tokio::task::spawn_blocking(move || {
            prepare(&acceptor, &fleet, &path, open.as_deref(), &lasting, &from)
        });
        let prepared = preparing.await.unwrap_or_else(|error| Err(error.into()));
        let swapped = match prepared {
            Ok(_) if self.acceptor.shutdown.has_begun() => Err(ReloadError::Stopping),
            Ok(ready) => Box::pin(self.swap(ready)).await,
            Err(error) => Err(error),
        };
        let reloaded = swapped.unwrap_or_else(|error| Reloaded {
            applied: false,
            faults: Some(error.to_string()),
            needs_restart: Vec::new(),
            warnings: Vec::new(),
        });
        self.acceptor.metrics.reloaded(reloaded.applied);
        match &reloaded.faults {
            None => tracing::info!(needs_restart = ?reloaded.needs_restart, "configuration reloaded"),
            Some(faults) => {
                tracing::error!(faults, "configuration not reloaded: the previous one stays in force");
            }
        }
        for warning in &reloaded.warnings {
            tracing::warn!("{warning}");
        }
        reloaded
    }

    async fn swap(&mut self, ready: Ready) -> Result<Reloaded, ReloadError> {
        // The last step that may fail.
        let watched = listen::watch(&self.acceptor.workers, ready.bound).map_err(ReloadError::Listeners)?;
        let listeners = ready.active.snapshot.listeners.clone();
        let deadlines = Deadlines::from(&ready.active.snapshot.limits);
        let before = self.fleet.roster();
        let gone = self.fleet.put_in_place(ready.fleet);
        self.acceptor.config.replace(ready.active);
        self.enforcer.look();
        self.health.reconcile(deadlines);
        self.sockets.follow(&self.acceptor, watched, &listeners).await;
        let directory = self.directory.clone();
        let still_named = tokio::task::spawn_blocking(move || {
            let is_named = |host: &String| {
                let mut written = registered::spellings(&before, host).into_iter();
                written.any(|written| directory.names_host(&written).unwrap_or(false))
            };
            gone.into_iter().filter(is_named).collect()
        });
        let still_named: Vec<String> = still_named.await.unwrap_or_default();
        let warnings = still_named.iter().map(|host| {
            format!("{host} is no longer configured, but the directory has users there; their logins wait")
        });
        Ok(Reloaded {
            applied: true,
            faults: None,
            needs_restart: ready.needs_restart.iter().map(ToString::to_string).collect(),
            warnings: warnings.collect(),
        })
    }
}

/// Everything that may fail. If it does, what it has bound is closed again.
fn prepare(
    acceptor: &Acceptor,
    fleet: &Fleet,
    path: &Path,
    // `None`: it listens nowhere any longer.
    open: Option<&[SocketAddr]>,
    lasting: &Lasting,
    from: &[IpAddr],
) -> Result<Ready, ReloadError> {
    let running = acceptor.config.load_full();
    let config = Config::load(path)?;
    let read = config.certificates(Some(&running.tls.ends))?;
    let source = SocketSource::default();
    let bound = open.map(|open| config.sockets(open, acceptor.workers.count(), &source)).transpose()?;
    let mut snapshot = config.snapshot;
    secrets_are_readable(&snapshot)?;
    let needs_restart = snapshot.keep_what_needs_a_restart(&running.snapshot);
    let fleet = fleet.prepare(&snapshot.hosts, &snapshot.arrays)?;
    let active = load::activate(snapshot, read, lasting)?;
    for address in from {
        not_locked_out(*address, &running, &active)?;
    }
    Ok(Ready { active, fleet, bound: bound.unwrap_or_default(), needs_restart })
}

/// A port such as clients have.
const PORT: u16 = 50_000;

/// Makes sure that `next` does not turn away everybody at `address` whom `running` lets in.
fn not_locked_out(address: IpAddr, running: &ActiveConfig, next: &ActiveConfig) -> Result<(), ReloadError> {
    for protocol in next.snapshot.listeners.iter().map(Listener::protocol) {
        let verdict = |active: &ActiveConfig| {
            let visit = Visit::from(SocketAddr::new(address, PORT), protocol);
            Hearing::new(active.access.clone(), visit).by_address()
        };
        let denied = verdict(next);
        if denied.denies() && !verdict(running).denies() {
            let rule = denied.by.and_then(|at| next.access.rule(at)).map(|rule| rule.name.to_string());
            return Err(ReloadError::LockedOut { address, rule: rule.unwrap_or_default() });
        }
    }
    Ok(())
}
