//! The way to a backend's mail service.

use rustls::ClientConfig;
use std::sync::Arc;
use usher_config::snapshot::{BackendTls, ImapEndpoint};

/// How a backend's IMAP is reached.
pub struct ImapTarget {
    /// The backend's name.
    pub name: String,
    /// What the operator says of it.
    pub endpoint: ImapEndpoint,
    /// How TLS towards it is made; a configuration of its own, so that no session of another host or of other pins is
    /// ever resumed with it. `None`: no TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl ImapTarget {
    /// The way to `endpoint` of the backend called `name`, with TLS as in `tls` where it speaks TLS.
    pub(crate) fn new(name: &str, endpoint: &ImapEndpoint, tls: Option<&Arc<ClientConfig>>) -> Arc<Self> {
        let tls = tls.filter(|_| endpoint.tls != BackendTls::None).cloned();
        Arc::new(Self { name: name.to_owned(), endpoint: endpoint.clone(), tls })
    }
}
