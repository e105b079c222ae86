//! TLS towards clients: certificates by name, tickets, and the handshake within its deadline.

mod certificates;
mod handshake;
mod stream;

pub(crate) use certificates::{CertificateError, Certificates, Loaded, load, load_or_make_self_signed};
pub(crate) use handshake::{HandshakeFault, accept, upgrade};
pub(crate) use stream::ClientStream;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use std::sync::Arc;

/// The server configurations of one set of certificates.
pub(crate) struct ServerConfigs {
    /// Hands the default certificate to clients that ask for an unknown name.
    pub(crate) lenient: Arc<ServerConfig>,
    /// Refuses them.
    pub(crate) strict: Arc<ServerConfig>,
    /// The files of the certificates, and when those end, in seconds since 1970.
    pub(crate) ends: Vec<(String, i64)>,
}

/// The keys of tickets: one set for the life of the process, so that a reload ends no client's sessions. They
/// rotate every six hours and live in memory only.
///
/// # Errors
/// rustls', when the system gives no randomness.
pub(crate) fn ticket_keys() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    Ticketer::new()
}

/// Builds the configurations: TLS 1.2 and 1.3, ALPN `imap`, and tickets under `ticketer`.
///
/// # Errors
/// rustls'.
pub(crate) fn server_configs(
    certificates: &Arc<Certificates>,
    ends: Vec<(String, i64)>,
    ticketer: &Arc<dyn ProducesTickets>,
) -> Result<ServerConfigs, rustls::Error> {
    let build = |strict| {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates.resolver(strict));
        config.alpn_protocols = vec![b"imap".to_vec()];
        config.ticketer = ticketer.clone();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok::<_, rustls::Error>(Arc::new(config))
    };
    Ok(ServerConfigs { lenient: build(false)?, strict: build(true)?, ends })
}
