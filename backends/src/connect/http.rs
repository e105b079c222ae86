//! The way to a backend's web service.

use super::{BackendStream, ConnectFault, Deadlines, OnBehalf, Stage, TlsFault, dial, dialogue, tls};
use super::{Bound, USERS};
use rustls::ClientConfig;
use std::sync::Arc;
use tokio::time::Instant;
use usher_config::snapshot::{ClientAddress, HttpEndpoint, HttpVersion};

/// How to reach a backend's web service. Recreated when anything about it changes, so that no old connection serves a
/// new request.
pub struct HttpTarget {
    /// The backend's name.
    pub name: String,
    /// Its configuration.
    pub endpoint: HttpEndpoint,
    /// TLS with ALPN for HTTP/1.1 and for HTTP/2; `None`: no TLS.
    tls: Option<(Arc<ClientConfig>, Arc<ClientConfig>)>,
    /// How many connections there may be.
    pub bound: Option<Bound>,
}

impl HttpTarget {
    /// The target `endpoint` of the backend called `name`, with TLS as in `tls` if the backend speaks TLS.
    pub(crate) fn new(name: &str, endpoint: &HttpEndpoint, tls: Option<&Arc<ClientConfig>>) -> Arc<Self> {
        let with = |config: &Arc<ClientConfig>, protocol: &[u8]| {
            let mut config = ClientConfig::clone(config);
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        let tls = tls.filter(|_| endpoint.tls);
        let tls = tls.map(|config| (with(config, b"http/1.1"), with(config, b"h2")));
        let bound = endpoint.max_connections.map(|most| Bound::new(most, endpoint.version, USERS));
        Arc::new(Self { name: name.to_owned(), endpoint: endpoint.clone(), tls, bound })
    }

    /// Whether a connection may serve one client only, because it begins with the client's address.
    pub fn is_private(&self) -> bool {
        self.endpoint.client_address != ClientAddress::None
    }
}

/// Connects to a web service, with TLS and pins if they are configured, to speak `version`; without `on_behalf`, for a
/// probe, which connects on its own behalf.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn open_http(
    target: &HttpTarget,
    version: HttpVersion,
    on_behalf: Option<OnBehalf<'_>>,
    deadlines: &Deadlines,
) -> Result<BackendStream, ConnectFault> {
    let until = Instant::now() + deadlines.connect;
    let endpoint = &target.endpoint;
    let mut tcp = dial(&endpoint.address, deadlines, until).await?;
    let on_behalf = match on_behalf {
        Some(on_behalf) => on_behalf,
        None => dialogue::own_addresses(&tcp).map_err(|error| ConnectFault::at(Stage::ProxyHeader, error))?,
    };
    dialogue::send_proxy_header(&mut tcp, endpoint.client_address, on_behalf, until).await?;
    let Some((one, two)) = &target.tls else { return Ok(BackendStream::Plain(tcp)) };
    let config = if version == HttpVersion::Two { two } else { one };
    let stream = tls::handshake(tcp, &target.name, config, until).await?;
    if version == HttpVersion::Two && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(ConnectFault::at(Stage::Tls, TlsFault::NoHttp2));
    }
    Ok(BackendStream::Tls(stream))
}
