//! Why a backend could not be used.

use usher_wire::imap::login::Fault;

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
    /// The system reported an error.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The backend closed the connection.
    #[error("the backend closed the connection")]
    Closed,
    /// The certificate is none of the pinned ones.
    #[error("the certificate does not match any of the pins")]
    Pin,
    /// TLS failed otherwise.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The backend broke the protocol.
    #[error("protocol: {}", .0.name())]
    Protocol(Fault),
    /// The backend broke HTTP; the word says where.
    #[error("http: {0}")]
    Http(&'static str),
    /// There are as many connections as the operator allows.
    #[error("the limit `max_connections` has been reached")]
    Full,
    /// The backend says that it cannot serve.
    #[error("the backend answered {0}")]
    Unavailable(&'static str),
}

/// Why TLS with a backend failed.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// An error of rustls, or the alert that the backend has sent.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// The backend's name is not one that a certificate can be issued for.
    #[error(transparent)]
    Name(#[from] rustls::pki_types::InvalidDnsNameError),
    /// The backend shows no readable certificate.
    #[error("no readable certificate")]
    NoCertificate,
    /// HTTP/2 was required.
    #[error("the backend does not speak HTTP/2")]
    NoHttp2,
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

    pub(crate) fn no_certificate() -> Self {
        Self::at(Stage::Tls, TlsFault::NoCertificate)
    }
}
