//! The way to a backend's mail service.

use rustls::ClientConfig;
use std::sync::Arc;
use usher_config::snapshot::{BackendTls, MailEndpoint};

/// How a mail service of a backend is reached.
pub struct MailTarget {
    /// The backend's name.
    pub name: String,
    /// What the operator says of it.
    pub endpoint: MailEndpoint,
    /// How TLS towards it is made; a configuration of its own, so that no session of another host or of other pins is
    /// ever resumed with it. `None`: no TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl MailTarget {
    /// The way to `endpoint` of the backend called `name`, with TLS as in `tls` where it speaks TLS.
    pub(crate) fn new(name: &str, endpoint: &MailEndpoint, tls: Option<&Arc<ClientConfig>>) -> Arc<Self> {
        let tls = tls.filter(|_| endpoint.tls != BackendTls::None).cloned();
        Arc::new(Self { name: name.to_owned(), endpoint: endpoint.clone(), tls })
    }
}
