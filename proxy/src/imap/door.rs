//! What is known of a connection before its login.

use crate::shared::{Id, Listening, Shared};
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::Instant;
use usher_config::Snapshot;
use usher_config::snapshot::Listener;

/// One connection before its login.
pub(crate) struct Door {
    pub(crate) shared: Arc<Shared>,
    /// The configuration that it began with, and its listener in it.
    pub(crate) at: Listening,
    pub(crate) id: Id,
    /// The client, as the PROXY header tells where one is demanded.
    pub(crate) client: SocketAddr,
    /// The address of usher's that it connected to.
    pub(crate) local: SocketAddr,
    pub(crate) begun: Instant,
}

impl Door {
    /// The configuration.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.at.setting.snapshot
    }

    /// The listener's configuration.
    pub(crate) fn config(&self) -> &Listener {
        self.at.listener()
    }

    /// TLS as the listener wants it.
    pub(super) fn tls(&self) -> &Arc<ServerConfig> {
        let configs = &self.at.setting.tls;
        configs.imap.choose(self.config().strict_sni)
    }
}
