//! Reaches a backend: dial, PROXY header, TLS with pins, the greeting, STARTTLS, and the login.
//!
//! Sessions and health probes take the same path. No credential is sent before the backend has been authenticated.

mod bound;
mod dial;
mod dialogue;
pub mod fingerprint;
mod http;
pub mod identity;
mod mail_target;
pub mod pair;
mod read;
mod stream;
pub mod tls;

pub use crate::fault::{Cause, ConnectFault, Stage, TlsFault};
pub use crate::learnt::Learnt;
pub use bound::{Bound, Slot};
pub(crate) use bound::{Counted, USERS};
use dial::dial_unwatched;
pub use dial::{connect_briefly, dial, keep_alive};
pub use dialogue::{Conversation, LoggedIn, LoginFault, LoginOutcome, Ready};
pub use http::{HttpTarget, open_http};
pub use mail_target::MailTarget;
pub use read::read_once;
pub use stream::BackendStream;

use crate::Observer;
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use usher_config::snapshot::ClientAddress;
use usher_config::snapshot::Limits;
pub use usher_wire::proxy_header::ShownCertificate;

/// On whose behalf a backend is contacted.
#[derive(Debug, Clone, Copy)]
pub struct OnBehalf<'a> {
    /// The client's address.
    pub source: SocketAddr,
    /// usher's address that it connected to.
    pub destination: SocketAddr,
    /// The session's id, at most 64 bytes.
    pub session: &'a str,
    /// The certificate that the client has shown, under the name that the host is given.
    pub certificate: Option<ShownCertificate<'a>>,
}

/// The deadlines for connecting.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From the dial to the backend's capabilities.
    pub connect: Duration,
    /// For the answer to a login.
    pub login: Duration,
    /// TCP keepalive.
    pub keepalive: Duration,
    /// TCP user timeout.
    pub unreachable: Duration,
}

impl From<&Limits> for Deadlines {
    fn from(limits: &Limits) -> Self {
        Self {
            connect: limits.backend_connect,
            login: limits.backend_login,
            keepalive: limits.tcp_keepalive,
            unreachable: limits.tcp_unreachable,
        }
    }
}

/// Formats `host:port`, with an IPv6 address in brackets.
pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Connects to `address`, with TLS if `tls` is given, to the backend called `name`.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn reach(
    address: &str,
    name: &str,
    tls: Option<&Arc<ClientConfig>>,
    until: Instant,
) -> Result<BackendStream, ConnectFault> {
    let tcp = connect_briefly(address, until).await?;
    Ok(match tls {
        Some(config) => BackendStream::Tls(tls::handshake(tcp, name, config, until).await?),
        None => BackendStream::Plain(tcp),
    })
}

/// Connects as [`open`] does, but on nobody's behalf, for a probe, and without telling an observer.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn look(target: &MailTarget, deadlines: &Deadlines) -> Result<Ready, ConnectFault> {
    let until = Instant::now() + deadlines.connect;
    let tcp = connect_briefly(&target.endpoint.address, until).await?;
    dialogue::open(tcp, target, None, until).await
}

/// Connects to `address` for a client of plain TCP, and passes on the client's address as `told` says.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn open_tcp(
    address: &str,
    told: ClientAddress,
    on_behalf: OnBehalf<'_>,
    deadlines: &Deadlines,
) -> Result<TcpStream, ConnectFault> {
    let until = Instant::now() + deadlines.connect;
    let mut tcp = dial(address, deadlines, until).await?;
    dialogue::send_proxy_header(&mut tcp, told, on_behalf, until).await?;
    Ok(tcp)
}

/// Connects to a backend until it is ready for a login, and tells `observer`. Of a session that lasts, the socket is to be
/// taught to notice a peer that has gone silently, by [`BackendStream::keep_alive`].
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn open(
    target: &MailTarget,
    on_behalf: OnBehalf<'_>,
    deadlines: &Deadlines,
    observer: &Arc<dyn Observer>,
) -> Result<Ready, ConnectFault> {
    let begun = Instant::now();
    let until = begun + deadlines.connect;
    let opened = async {
        let tcp = dial_unwatched(target, until).await?;
        dialogue::open(tcp, target, Some(on_behalf), until).await
    };
    match opened.await {
        Ok(ready) => {
            observer.connected(&target.name, begun.elapsed());
            Ok(ready)
        }
        Err(fault) => {
            observer.connect_failed(&target.name, &fault);
            Err(fault)
        }
    }
}
