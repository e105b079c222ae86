//! A new configuration for a running program: load, check, prepare, swap. On any fault nothing changes, and
//! whoever asked is told.

mod watch;

pub(crate) use watch::{Content, content, follow_files, follow_hangups};

use crate::listen::{self, Bound, Sockets};
use crate::prepare::{self, Config};
use crate::shared::{Setting, Shared};
use rustls::server::ProducesTickets;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use usher_backends::connect::Deadlines;
use usher_backends::connect::tls::TlsError;
use usher_backends::health::secret;
use usher_backends::roster::{HostOrigin, Prepared};
use usher_config::Snapshot;
use usher_config::health::ImapProbe;
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

/// Somebody who wants a reload, and waits for what comes of it.
pub(crate) type Request = oneshot::Sender<Reloaded>;

/// What reloads need beside what all share.
pub(crate) struct Reloader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) path: PathBuf,
    pub(crate) ticketer: Arc<dyn ProducesTickets>,
    pub(crate) sockets: Sockets,
}

/// A configuration that only has to be put in place.
struct Ready {
    setting: Setting,
    fleet: Prepared,
    bound: Vec<Bound>,
    needs_restart: Vec<&'static str>,
}

impl Reloader {
    /// Serves requests until usher stops; those that come while one is under way share the next. Returns the
    /// sockets.
    pub(crate) async fn serve(mut self, mut requests: mpsc::Receiver<Request>) -> Sockets {
        loop {
            let first = tokio::select! {
                biased;
                () = self.shared.stopped() => return self.sockets,
                first = requests.recv() => first,
            };
            let Some(first) = first else { return self.sockets };
            let mut waiting = vec![first];
            while let Ok(other) = requests.try_recv() {
                waiting.push(other);
            }
            let reloaded = Box::pin(self.reload()).await;
            for request in waiting {
                let _ = request.send(reloaded.clone());
            }
        }
    }

    async fn reload(&mut self) -> Reloaded {
        let (shared, path, ticketer) = (self.shared.clone(), self.path.clone(), self.ticketer.clone());
        let open = self.sockets.addresses();
        let preparing = tokio::task::spawn_blocking(move || prepare(&shared, &path, &open, &ticketer));
        let prepared = preparing.await.unwrap_or_else(|error| Err(error.to_string()));
        let reloaded = match prepared {
            Ok(_) if self.shared.is_stopping() => refused("usher stops".to_owned()),
            Ok(ready) => self.swap(ready).await,
            Err(faults) => refused(faults),
        };
        self.shared.meter.reloaded(reloaded.applied);
        match &reloaded.faults {
            None => tracing::info!(needs_restart = ?reloaded.needs_restart, "configuration reloaded"),
            Some(faults) => {
                tracing::error!(faults, "configuration not reloaded: the former one stays");
            }
        }
        for warning in &reloaded.warnings {
            tracing::warn!("{warning}");
        }
        reloaded
    }

    async fn swap(&mut self, ready: Ready) -> Reloaded {
        let shared = &self.shared;
        // The last thing that may fail.
        let watched = match listen::watch(&shared.spawner, ready.bound) {
            Ok(watched) => watched,
            Err(error) => return refused(format!("new listeners cannot be watched: {error}")),
        };
        let listeners = ready.setting.snapshot.listeners.clone();
        let deadlines = Deadlines::from(&ready.setting.snapshot.limits);
        let gone = shared.fleet.put_in_place(ready.fleet);
        shared.settings.store(Arc::new(ready.setting));
        shared.health.reconcile(deadlines);
        self.sockets.follow(shared, watched, &listeners).await;
        let directory = shared.clone();
        let still_named = tokio::task::spawn_blocking(move || {
            gone.into_iter().filter(|host| directory.directory.names_host(host).unwrap_or(false)).collect()
        });
        let still_named: Vec<String> = still_named.await.unwrap_or_default();
        let warnings = still_named.iter().map(|host| {
            format!("{host} is no longer configured, but the directory has users there; their logins wait")
        });
        Reloaded {
            applied: true,
            faults: None,
            needs_restart: ready.needs_restart.iter().map(ToString::to_string).collect(),
            warnings: warnings.collect(),
        }
    }
}

fn refused(faults: String) -> Reloaded {
    Reloaded { applied: false, faults: Some(faults), needs_restart: Vec::new(), warnings: Vec::new() }
}

/// Everything that may fail. What it has bound is closed again when it does.
fn prepare(
    shared: &Shared,
    path: &Path,
    open: &[std::net::SocketAddr],
    ticketer: &Arc<dyn ProducesTickets>,
) -> Result<Ready, String> {
    let running = shared.settings.load_full();
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let config = Config::load(path, false).map_err(|error| text(&error))?;
    let read = config.certificates(Some(&running.tls.ends), false).map_err(|error| text(&error))?;
    let bound = config.sockets(open, shared.spawner.workers(), false).map_err(|error| text(&error))?;
    let mut snapshot = config.snapshot;
    secrets_are_readable(&snapshot)?;
    let needs_restart = snapshot.keep_what_needs_a_restart(&running.snapshot);
    let fleet =
        shared.fleet.prepare(&snapshot.hosts, &snapshot.arrays).map_err(|error: TlsError| text(&error))?;
    let setting = prepare::setting(snapshot, read, ticketer).map_err(|error| text(&error))?;
    Ok(Ready { setting, fleet, bound, needs_restart })
}

/// The files of passwords that probes use; read for each probe, and looked at before.
pub(crate) fn secrets_are_readable(snapshot: &Snapshot) -> Result<(), String> {
    let unreadable: Vec<_> = snapshot
        .hosts
        .iter()
        .filter_map(|host| match &host.health.imap {
            ImapProbe::Login { password_file, .. } => Some(password_file),
            ImapProbe::None | ImapProbe::Tcp | ImapProbe::Tls | ImapProbe::Greeting => None,
        })
        .filter_map(|path| {
            let fault = secret::read(path, &HostOrigin::File, None).err()?;
            Some(format!("{fault}; name a file that usher may read"))
        })
        .collect();
    if unreadable.is_empty() { Ok(()) } else { Err(unreadable.join("\n")) }
}
