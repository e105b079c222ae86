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
    #[error(transparent)]
    Tls(#[from] TlsFault),
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

/// Why there is no TLS with a backend.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// rustls' error, or the alert that the backend has sent.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// The backend is called by what no certificate can be for.
    #[error(transparent)]
    Name(#[from] rustls::pki_types::InvalidDnsNameError),
    /// It shows no certificate that can be read.
    #[error("no certificate that can be read")]
    NoCertificate,
    /// HTTP/2 was wanted.
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
