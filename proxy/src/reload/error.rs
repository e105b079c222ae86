//! Why a reload has changed nothing.

use crate::load::{ConfigError, TlsSetupError};
use usher_backends::connect::tls::TlsError;

/// Why a reload has changed nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// The configuration is at fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No TLS towards a host.
    #[error(transparent)]
    Hosts(#[from] TlsError),
    /// No TLS towards clients.
    #[error(transparent)]
    Clients(#[from] TlsSetupError),
    /// The workers do not take the new sockets.
    #[error("new listeners cannot be watched: {0}")]
    Listeners(std::io::Error),
    /// Nothing is put in place any more.
    #[error("usher stops")]
    Stopping,
    /// The task that prepared it is gone.
    #[error("{0}")]
    Task(#[from] tokio::task::JoinError),
}
