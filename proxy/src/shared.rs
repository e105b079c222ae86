//! What all connections share.

use crate::https::{Cookies, Idlers, RequestBody, RetryBudget};
use crate::meter::Meter;
use crate::pressure::Pressure;
use crate::progress::Drains;
use crate::refusals::Refusals;
use crate::session::Table;
use crate::spawn::Spawner;
use crate::tls::ServerConfigs;
use arc_swap::{ArcSwap, Guard};
use rustls::sign::CertifiedKey;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use usher_backends::Observer;
use usher_backends::connect::HttpTarget;
use usher_backends::directory::Directory;
use usher_backends::health::Health;
use usher_backends::http::Pool;
use usher_backends::roster::{AdmissionCounter, Fleet};
use usher_config::Snapshot;
use usher_config::snapshot::Listener;

/// Built once in [`crate::run`]; no globals beside it.
pub(crate) struct Shared {
    /// What a reload replaces.
    pub(crate) settings: ArcSwap<Setting>,
    /// Who holds what.
    pub(crate) directory: Directory,
    /// The instance hosts and arrays.
    pub(crate) fleet: Arc<Fleet>,
    /// Whether they are fit.
    pub(crate) health: Arc<Health>,
    /// Hears what happens with backends.
    pub(crate) observer: Arc<dyn Observer>,
    /// Counts.
    pub(crate) meter: Arc<Meter>,
    /// The sessions.
    pub(crate) sessions: Arc<Table>,
    /// The drains that are under way.
    pub(crate) drains: Drains,
    /// Requests to backends: connections that wait for the next one, those of each worker apart.
    pub(crate) web: Box<[Pool<RequestBody>]>,
    /// Seals usher's own cookies.
    pub(crate) cookies: Cookies,
    /// How many requests may be sent a second time.
    pub(crate) retries: RetryBudget,
    /// Connections of HTTP/2 that may be idle.
    pub(crate) idlers: Idlers,
    /// Counts the connections.
    pub(crate) connections: Arc<AdmissionCounter>,
    /// Counts the connections that are not relayed yet.
    pub(crate) doors: Arc<AdmissionCounter>,
    /// Counts the logins that wait for a host that is out.
    pub(crate) held_logins: Arc<AdmissionCounter>,
    /// How much memory is left.
    pub(crate) pressure: Pressure,
    /// Starts sessions.
    pub(crate) spawner: Spawner,
    /// usher is about to stop, and says so to whoever asks before they connect.
    pub(crate) leaving: AtomicBool,
    /// True once usher stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// When refusals of logins leave.
    pub(crate) refusals: Refusals,
    /// When refusals of requests leave.
    pub(crate) web_refusals: Refusals,
    /// Ids of connections.
    pub(crate) ids: Ids,
}

/// A configuration, and what was made of it. A connection keeps the one that it began with until it is
/// relayed.
pub(crate) struct Setting {
    pub(crate) snapshot: Snapshot,
    /// TLS towards clients.
    pub(crate) tls: ServerConfigs,
    /// By which configuration profiles for mail clients are signed.
    pub(crate) profiles: Option<Arc<CertifiedKey>>,
}

/// A setting, and a listener in it.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) setting: Arc<Setting>,
    at: usize,
    /// The listener's address as it is configured, for people and labels.
    pub(crate) name: Arc<str>,
}

impl Listening {
    /// The listener.
    pub(crate) fn listener(&self) -> &Listener {
        &self.setting.snapshot.listeners[self.at]
    }
}

impl Shared {
    /// The setting now.
    pub(crate) fn setting(&self) -> Guard<Arc<Setting>> {
        self.settings.load()
    }

    /// The listener on `address` as it is configured now; `None`: there is none any more.
    pub(crate) fn listening(&self, address: SocketAddr, name: &Arc<str>) -> Option<Listening> {
        let setting = self.settings.load_full();
        let at = setting.snapshot.listeners.iter().position(|listener| {
            let (first, last) = (listener.address.port(), listener.last_port);
            listener.address.ip() == address.ip() && (first..=last).contains(&address.port())
        })?;
        Some(Listening { setting, at, name: name.clone() })
    }

    /// The connections to `target` that wait for the caller: those of its worker, or, where there is a bound, those of
    /// all workers.
    pub(crate) fn pool(&self, target: &HttpTarget) -> Option<&Pool<RequestBody>> {
        self.web.get(if target.bound.is_some() { 0 } else { Spawner::here() })
    }

    /// Returns once usher stops.
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as the program; without it there is nothing to serve either.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// Whether usher is about to stop, though those who come are still served.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire) || self.is_stopping()
    }

    /// Whether usher stops.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// A counted place, given up when it is dropped.
pub(crate) struct Place(Arc<AdmissionCounter>);

impl Place {
    /// Takes one of `most`; `None`: there is none left.
    pub(crate) fn take(gate: &Arc<AdmissionCounter>, most: Option<u32>) -> Option<Self> {
        gate.enter(most).ok().map(|()| Self(gate.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
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

/// The id of a connection, the same in logs, in the admin API and at the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(u64);

impl Id {
    /// Sixteen digits, as it is written everywhere.
    pub(crate) fn digits(self) -> [u8; 16] {
        std::array::from_fn(|at| {
            let digit = (self.0 >> (60 - 4 * at)) & 0xf;
            char::from_digit(digit as u32, 16).map_or(b'0', |digit| digit as u8)
        })
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl std::str::FromStr for Id {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}
