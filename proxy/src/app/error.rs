//! Why usher cannot serve.

use crate::admin;
use crate::load::{ConfigError, TlsSetupError};
use crate::lookup::LookupError;
use usher_backends::connect::identity::SelfMadeError;
use usher_backends::directory::DirectoryError;
use usher_backends::roster::FleetError;
use usher_backends::state_dir::StateDirError;
use usher_backends::store::StoreError;

/// Why usher does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The configuration is at fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Spans cannot be exported.
    #[error("{0}")]
    Tracing(String),
    /// The directory cannot be used.
    #[error("the directory: {0}")]
    Directory(#[from] DirectoryError),
    /// `state.db` cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The contents of `state.db` cannot be read, or TLS with hosts cannot be set up.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// TLS with clients cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// There are no keys for TLS tickets.
    #[error("TLS tickets: the system gives no randomness")]
    Tickets,
    /// `state_dir` cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// usher's own certificate is missing.
    #[error(transparent)]
    Identity(#[from] SelfMadeError),
    /// Metrics cannot be set up.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// The admin API cannot be served.
    #[error(transparent)]
    Admin(#[from] admin::AdminError),
    /// Others cannot ask where users are.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Another error of the system.
    #[error("{0}")]
    System(#[from] std::io::Error),
}
