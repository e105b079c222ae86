//! The configuration in force, which a reload replaces as a whole.

use crate::tls::ServerConfigs;
use arc_swap::{ArcSwap, Guard};
use rustls::sign::CertifiedKey;
use std::net::SocketAddr;
use std::sync::Arc;
use usher_config::Snapshot;
use usher_config::snapshot::Listener;

/// A configuration, and what was made of it. A connection keeps the one that it began with until it is relayed.
pub(crate) struct ActiveConfig {
    pub(crate) snapshot: Snapshot,
    /// TLS towards clients.
    pub(crate) tls: ServerConfigs,
    /// By which configuration profiles for mail clients are signed.
    pub(crate) profiles: Option<Arc<CertifiedKey>>,
}

/// A listener, and the configuration that it is part of.
#[derive(Clone)]
pub(crate) struct ListenerContext {
    pub(crate) active: Arc<ActiveConfig>,
    at: usize,
    /// The listener's address as it is configured, for people and labels.
    pub(crate) name: Arc<str>,
}

impl ListenerContext {
    /// The listener.
    pub(crate) fn listener(&self) -> &Listener {
        &self.active.snapshot.listeners[self.at]
    }
}

/// The configuration now.
pub(crate) struct CurrentConfig(ArcSwap<ActiveConfig>);

impl CurrentConfig {
    pub(crate) fn new(active: ActiveConfig) -> Self {
        Self(ArcSwap::from_pointee(active))
    }

    /// As it is, for a moment.
    pub(crate) fn load(&self) -> Guard<Arc<ActiveConfig>> {
        self.0.load()
    }

    /// As it is, to be kept.
    pub(crate) fn load_full(&self) -> Arc<ActiveConfig> {
        self.0.load_full()
    }

    /// Puts another in force.
    pub(crate) fn replace(&self, active: ActiveConfig) {
        self.0.store(Arc::new(active));
    }

    /// The listener on `address` as it is configured now; `None`: there is none any more.
    pub(crate) fn listener(&self, address: SocketAddr, name: &Arc<str>) -> Option<ListenerContext> {
        let active = self.load_full();
        let at = active.snapshot.listeners.iter().position(|listener| {
            listener.address.ip() == address.ip() && listener.ports().contains(&address.port())
        })?;
        Some(ListenerContext { active, at, name: name.clone() })
    }
}
