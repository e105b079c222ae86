//! Why a reload has not changed anything.

use crate::load::{ConfigError, TlsSetupError};
use std::net::IpAddr;
use usher_backends::connect::tls::TlsError;

/// Why a reload has changed nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// The configuration is at fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// TLS with a host cannot be set up.
    #[error(transparent)]
    Hosts(#[from] TlsError),
    /// TLS with clients cannot be set up.
    #[error(transparent)]
    Clients(#[from] TlsSetupError),
    /// The workers cannot register the new sockets.
    #[error("new listeners cannot be registered: {0}")]
    Listeners(std::io::Error),
    /// Whoever applies it would be locked out.
    #[error(
        "the access rule {rule:?} would lock out {address}, where this is applied from; if that is meant, use --force"
    )]
    LockedOut {
        /// Where they are.
        address: IpAddr,
        /// The rule that denies it.
        rule: String,
    },
    /// Nothing is put in place any more, because usher is stopping.
    #[error("usher is stopping")]
    Stopping,
    /// The task that prepared it has died.
    #[error("{0}")]
    Task(#[from] tokio::task::JoinError),
}
