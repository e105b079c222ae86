//! The active configuration, which a reload replaces as a whole.

use crate::rule_book::RuleBook;
use crate::tls::ServerConfigs;
use arc_swap::{ArcSwap, Guard};
use rustls::sign::CertifiedKey;
use std::net::SocketAddr;
use std::sync::Arc;
use usher_config::Snapshot;
use usher_config::snapshot::Listener;

/// A configuration, and what was made from it. Until a connection is relayed, it keeps the one that it began with.
pub(crate) struct ActiveConfig {
    pub(crate) snapshot: Snapshot,
    /// The text that it was read from.
    pub(crate) text: Arc<str>,
    /// TLS towards clients.
    pub(crate) tls: ServerConfigs,
    /// Signs configuration profiles for mail clients.
    pub(crate) profiles: Option<Arc<CertifiedKey>>,
    /// Who may come in.
    pub(crate) access: Arc<RuleBook>,
}

/// A listener, and the configuration that it is part of.
#[derive(Clone)]
pub(crate) struct ListenerContext {
    pub(crate) active: Arc<ActiveConfig>,
    at: usize,
    /// The listener's address as configured, for people and labels.
    pub(crate) name: Arc<str>,
}

impl ListenerContext {
    /// The listener.
    pub(crate) fn listener(&self) -> &Listener {
        &self.active.snapshot.listeners[self.at]
    }
}

/// The active configuration.
pub(crate) struct CurrentConfig(ArcSwap<ActiveConfig>);

impl CurrentConfig {
    pub(crate) fn new(active: ActiveConfig) -> Self {
        Self(ArcSwap::from_pointee(active))
    }

    /// The configuration as it is now, for a moment.
    pub(crate) fn load(&self) -> Guard<Arc<ActiveConfig>> {
        self.0.load()
    }

    /// The configuration as it is now, to be kept.
    pub(crate) fn load_full(&self) -> Arc<ActiveConfig> {
        self.0.load_full()
    }

    /// Activates another configuration.
    pub(crate) fn replace(&self, active: ActiveConfig) {
        self.0.store(Arc::new(active));
    }

    /// The listener on `address` as it is configured now; `None` if it no longer exists.
    pub(crate) fn listener(&self, address: SocketAddr, name: &Arc<str>) -> Option<ListenerContext> {
        let active = self.load_full();
        let at = active.snapshot.listeners.iter().position(|listener| {
            listener.address.ip() == address.ip() && listener.ports().contains(&address.port())
        })?;
        Some(ListenerContext { active, at, name: name.clone() })
    }
}
