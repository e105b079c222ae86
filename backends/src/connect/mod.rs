//! Reaches a backend: dial, PROXY header, TLS with pins, the greeting, STARTTLS, and the login.
//!
//! One way for sessions and health probes. No credential is sent before the backend has proven to be the one
//! that is meant.

mod dial;
mod dialogue;
pub mod fingerprint;
mod http;
pub mod identity;
pub mod pair;
mod stream;
pub mod tls;

pub use dial::{dial, keep_alive, knock};
pub use dialogue::{LoggedIn, LoginFault, LoginOutcome, Ready};
pub use http::{HttpTarget, open_http};
pub use stream::BackendStream;

use crate::Observer;
use crate::roster::Host;
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use usher_config::snapshot::ClientAddress;
use usher_config::snapshot::Limits;
use usher_wire::imap::login::Fault;

/// For whom a backend is contacted.
#[derive(Debug, Clone, Copy)]
pub struct OnBehalf<'a> {
    /// The client's address.
    pub source: SocketAddr,
    /// The address of usher's that it connected to.
    pub destination: SocketAddr,
    /// The session's id, at most 64 octets.
    pub session: &'a str,
}

/// The deadlines that connecting keeps to.
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

/// How far the connection had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looking up the host's address.
    Resolve,
    /// The TCP connection.
    Dial,
    /// Sending the PROXY header.
    ProxyHeader,
    /// The TLS handshake, with the pins.
    Tls,
    /// The greeting, capabilities and STARTTLS.
    Greeting,
    /// The login.
    Login,
    /// The answer to a request.
    Response,
}

impl Stage {
    /// A word of a closed set, for logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Dial => "dial",
            Self::ProxyHeader => "proxy-header",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::Login => "login",
            Self::Response => "response",
        }
    }
}

/// Why a backend could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The deadline passed.
    #[error("no answer in time")]
    TimedOut,
    /// The system's word.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The backend closed the connection.
    #[error("the backend closed the connection")]
    Closed,
    /// The certificate is none of the pinned ones.
    #[error("the certificate is none of the pinned ones")]
    Pin,
    /// TLS failed otherwise.
    #[error("{0}")]
    Tls(String),
    /// The backend broke the protocol.
    #[error("protocol: {}", .0.name())]
    Protocol(Fault),
    /// The backend broke HTTP; the word says where.
    #[error("http: {0}")]
    Http(&'static str),
    /// There are as many connections as the operator allows.
    #[error("as many connections as `max_connections` allows")]
    Full,
    /// The backend says that it cannot serve.
    #[error("the backend answered {0}")]
    Unavailable(&'static str),
}

/// Why a backend could not be used, and how far the connection had come.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", .stage.name())]
pub struct ConnectFault {
    /// How far.
    pub stage: Stage,
    /// Why.
    pub cause: Cause,
}

impl ConnectFault {
    pub(crate) fn at(stage: Stage, cause: impl Into<Cause>) -> Self {
        Self { stage, cause: cause.into() }
    }

    fn no_certificate() -> Self {
        Self::at(Stage::Tls, Cause::Tls("no certificate that can be read".to_owned()))
    }
}

/// What can be learnt of a backend on the way to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Its capabilities before login, separated by spaces.
    pub capabilities: Option<String>,
    /// The end of its certificate's validity, in seconds since 1970.
    pub certificate_ends: Option<i64>,
}

impl Learnt {
    /// What is not known here, from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            capabilities: self.capabilities.or(other.capabilities),
            certificate_ends: self.certificate_ends.or(other.certificate_ends),
        }
    }
}

/// `host:port` as addresses are written, an IPv6 address in brackets.
pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Connects to `address`, with TLS where `tls` says how, to the backend called `name`.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn reach(
    address: &str,
    name: &str,
    tls: Option<&Arc<ClientConfig>>,
    until: Instant,
) -> Result<BackendStream, ConnectFault> {
    let tcp = knock(address, until).await?;
    Ok(match tls {
        Some(config) => BackendStream::Tls(tls::handshake(tcp, name, config, until).await?),
        None => BackendStream::Plain(tcp),
    })
}

/// Goes the way of [`open`] on nobody's behalf, for a probe: nobody is told.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn look(host: &Host, deadlines: &Deadlines) -> Result<Ready, ConnectFault> {
    let until = Instant::now() + deadlines.connect;
    let tcp = knock(&host.config.imap.address, until).await?;
    dialogue::open(tcp, host, None, until).await
}

/// Connects to `address` for a client of plain TCP, and tells its address where `told` says so.
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

/// Goes from nothing to a backend that is ready for a login, and tells `observer`.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn open(
    host: &Host,
    on_behalf: OnBehalf<'_>,
    deadlines: &Deadlines,
    observer: &Arc<dyn Observer>,
) -> Result<Ready, ConnectFault> {
    let begun = Instant::now();
    let until = begun + deadlines.connect;
    let opened = async {
        let tcp = dial(&host.config.imap.address, deadlines, until).await?;
        dialogue::open(tcp, host, Some(on_behalf), until).await
    };
    match opened.await {
        Ok(ready) => {
            observer.connected(&host.config.name, begun.elapsed());
            Ok(ready)
        }
        Err(fault) => {
            observer.connect_failed(&host.config.name, &fault);
            Err(fault)
        }
    }
}
