//! The way to a backend's mail service.

use rustls::ClientConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use usher_config::snapshot::{BackendTls, MailEndpoint};

/// How to reach a backend's mail service.
pub struct MailTarget {
    /// The backend's name.
    pub name: String,
    /// Its configuration.
    pub endpoint: MailEndpoint,
    /// Where it is, if the configuration says so by an address and not by a name.
    pub(crate) at: Option<SocketAddr>,
    /// TLS settings for it. Every backend has its own, so that no session of another host or under other pins is ever
    /// resumed with it. `None`: no TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl MailTarget {
    /// The target `endpoint` of the backend called `name`, with TLS as in `tls` if the backend speaks TLS.
    pub(crate) fn new(name: &str, endpoint: &MailEndpoint, tls: Option<&Arc<ClientConfig>>) -> Arc<Self> {
        let tls = tls.filter(|_| endpoint.tls != BackendTls::None).cloned();
        let at = endpoint.address.parse().ok();
        Arc::new(Self { name: name.to_owned(), endpoint: endpoint.clone(), at, tls })
    }
}
