//! What is needed to accept connections.

use crate::active::CurrentConfig;
use crate::memory::MemoryPressure;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::workers::Workers;
use crate::{https, login, tcp};
use std::sync::Arc;
use usher_backends::roster::AdmissionCounter;

/// Shared by all listening sockets.
pub(crate) struct Acceptor {
    pub(crate) config: Arc<CurrentConfig>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) memory: Arc<MemoryPressure>,
    pub(crate) workers: Workers,
    pub(crate) shutdown: Arc<Shutdown>,
    pub(crate) admission: Admission,
    pub(crate) imap: Arc<login::Server>,
    pub(crate) https: Arc<https::Server>,
    pub(crate) tcp: Arc<tcp::Server>,
}

/// Counts connections.
#[derive(Clone, Default)]
pub(crate) struct Admission {
    /// All of them.
    pub(crate) connections: Arc<AdmissionCounter>,
    /// Those that are not relayed yet.
    pub(crate) before_login: Arc<AdmissionCounter>,
}
