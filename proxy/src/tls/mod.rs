//! TLS with clients: certificates by name, tickets, and the handshake within its deadline.

mod acquired;
mod certificates;
mod handshake;
mod lasting;
mod loaded;
mod proof;
mod provider;
mod secured;
mod source;
mod stream;
mod tickets;

pub(crate) use acquired::{Acquired, Proof};
pub(crate) use certificates::{Certificates, client_verifier, named_in, read_roots};
pub(crate) use handshake::{HandshakeFault, accept};
pub(crate) use lasting::Lasting;
pub(crate) use loaded::{CertificateError, Loaded};
pub(crate) use proof::proof_of;
pub(crate) use source::CertificateSource;
pub(crate) use stream::ClientStream;
pub(crate) use tickets::Tickets;

use provider::{provider, versions};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use usher_config::snapshot::Tls;

/// TLS for one protocol.
pub(crate) struct Choice {
    /// Gives the default certificate to clients that ask for an unknown name.
    lenient: Arc<ServerConfig>,
    /// Refuses them.
    strict: Arc<ServerConfig>,
}

impl Choice {
    /// The configuration for listeners that are `strict` about names, or the lenient one.
    pub(crate) fn choose(&self, strict: bool) -> &Arc<ServerConfig> {
        if strict { &self.strict } else { &self.lenient }
    }
}

/// The server configurations of one set of certificates.
pub(crate) struct ServerConfigs {
    imap: Choice,
    /// The same asking for certificates, by the files of those who sign them.
    imap_asking: HashMap<PathBuf, Choice>,
    pub(crate) https: Choice,
    /// Those that usher has ordered, and what it proves.
    pub(crate) acquired: Arc<Acquired>,
    /// All certificates that they choose from.
    pub(crate) certificates: Arc<Certificates>,
    /// The files of the certificates and when they expire, in seconds since 1970.
    pub(crate) ends: Vec<(String, i64)>,
}

impl ServerConfigs {
    /// TLS for IMAP; clients are asked for a certificate that somebody in the file `client_ca` has signed.
    pub(crate) fn imap(&self, client_ca: Option<&Path>) -> &Choice {
        client_ca.and_then(|file| self.imap_asking.get(file)).unwrap_or(&self.imap)
    }
}

/// Who verifies certificates of clients, by the files of those who sign them.
pub(crate) type Verifiers = HashMap<PathBuf, Arc<dyn ClientCertVerifier>>;

/// What server configurations are made of.
pub(crate) struct Making<'m> {
    /// Versions and cipher suites.
    pub(crate) tls: &'m Tls,
    pub(crate) certificates: &'m Arc<Certificates>,
    /// The files of the certificates and when they expire, in seconds since 1970.
    pub(crate) ends: Vec<(String, i64)>,
    /// Under which sessions are resumed.
    pub(crate) tickets: &'m Arc<Tickets>,
    /// Whose certificates HTTPS asks for.
    pub(crate) clients: Option<&'m Arc<dyn ClientCertVerifier>>,
    /// And IMAP.
    pub(crate) verifiers: &'m Verifiers,
}

/// Builds the configurations: ALPN `imap` or `h2` and `http/1.1`, and tickets. With `clients`, HTTPS asks clients for a
/// certificate, and so does IMAP with each of `verifiers`. Then there are no tickets: a resumed session would not be asked
/// again, even if trust has changed by then.
///
/// # Errors
/// rustls'.
pub(crate) fn server_configs(making: Making<'_>) -> Result<ServerConfigs, rustls::Error> {
    let Making { tls, certificates, ends, tickets, clients, verifiers } = making;
    let (provider, versions) = (Arc::new(provider(tls)), versions(tls));
    let build = |strict, protocols: &[&[u8]], clients: Option<&Arc<dyn ClientCertVerifier>>| {
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions)?;
        let builder = match clients {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(certificates.resolver(strict));
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Each connection gets another, resumed ones too: a second one per connection would only cost.
        config.send_tls13_tickets = 1;
        if clients.is_none() {
            config.ticketer = tickets.clone();
        }
        Ok::<_, rustls::Error>(Arc::new(config))
    };
    let choice = |protocols: &[&[u8]], clients| {
        Ok::<_, rustls::Error>(Choice {
            lenient: build(false, protocols, clients)?,
            strict: build(true, protocols, clients)?,
        })
    };
    let mut imap_asking = HashMap::new();
    for (file, verifier) in verifiers {
        imap_asking.insert(file.clone(), choice(&[b"imap"], Some(verifier))?);
    }
    Ok(ServerConfigs {
        imap: choice(&[b"imap"], None)?,
        imap_asking,
        https: choice(&[b"h2", b"http/1.1", b"http/1.0", proof::PROTOCOL], clients)?,
        acquired: certificates.acquired().clone(),
        certificates: certificates.clone(),
        ends,
    })
}
