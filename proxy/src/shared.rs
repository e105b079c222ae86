//! What all connections share.

use crate::session::Table;
use crate::spawn::Spawner;
use crate::tls::ServerConfigs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, watch};
use usher_backends::Observer;
use usher_backends::directory::Directory;
use usher_backends::roster::{Gate, Roster};
use usher_config::Snapshot;

/// Built once in [`crate::run`]; no globals beside it.
pub(crate) struct Shared {
    /// The configuration.
    pub(crate) snapshot: Snapshot,
    /// TLS towards clients.
    pub(crate) tls: ServerConfigs,
    /// Who holds what.
    pub(crate) directory: Directory,
    /// The instance hosts.
    pub(crate) roster: Roster,
    /// Hears what happens with backends.
    pub(crate) observer: Arc<dyn Observer>,
    /// The sessions.
    pub(crate) sessions: Arc<Table>,
    /// Counts the connections that are not relayed yet.
    pub(crate) doors: Arc<Gate>,
    /// Places for logins that wait for a host that is out.
    pub(crate) held_logins: Semaphore,
    /// Starts sessions.
    pub(crate) spawner: Spawner,
    /// True once usher stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// How long a refusal takes.
    pub(crate) pace: Pace,
    /// Ids of connections.
    pub(crate) ids: Ids,
}

impl Shared {
    /// Returns once usher stops.
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as the program; without it there is nothing to serve either.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }
}

/// How long backends take to refuse a login, so that a name nobody has is refused no faster.
#[derive(Default)]
pub(crate) struct Pace(AtomicU64);

impl Pace {
    /// Weighs in one more refusal.
    pub(crate) fn note(&self, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).min(60_000);
        let weigh = |former: u64| Some(if former == 0 { millis } else { (former * 7 + millis) / 8 });
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, weigh);
    }

    /// What a refusal takes now; nothing before the first.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Gives every connection an id that is unique over restarts.
pub(crate) struct Ids(AtomicU64);

impl Default for Ids {
    fn default() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self(AtomicU64::new(since << 28))
    }
}

impl Ids {
    /// The next one.
    pub(crate) fn next(&self) -> Id {
        Id(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// The id of a connection, the same in logs and at the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(u64);

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
