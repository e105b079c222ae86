//! Why a connection ended: one closed set of reasons for logs and, later, metrics.

use crate::shared::Id;
use std::net::SocketAddr;
use std::time::Duration;

/// Who ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The client.
    Client,
    /// The instance host.
    Backend,
    /// usher, by its limits and rules.
    Usher,
    /// Whoever stopped usher.
    Operator,
}

/// How far it had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Reading the PROXY header.
    ProxyHeader,
    /// The TLS handshake.
    Tls,
    /// Before a login was tried or between two.
    Preauth,
    /// While a login waited for its host's answer.
    Login,
    /// After login.
    Relay,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A clean end of the connection.
    Closed,
    /// LOGOUT before login.
    Logout,
    /// The TCP connection ended without TLS's own end: what came may be cut off.
    Truncated,
    /// The connection broke.
    Reset,
    /// The peer answered nothing any more (TCP keepalive, TCP user timeout).
    Unreachable,
    /// No octet for too long.
    Idle,
    /// Octets wait for a peer that does not read.
    Stalled,
    /// Longer than all of it may take.
    TooLong,
    /// The peer broke the protocol; the word says how.
    Protocol(&'static str),
    /// The TLS handshake failed.
    Handshake,
    /// The sender may send no PROXY header, or sent a broken one.
    ProxyHeader,
    /// The home host is out.
    Unavailable,
    /// usher stops.
    Stopping,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Usher => "usher",
            Self::Operator => "operator",
        }
    }
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::ProxyHeader => "proxy-header",
            Self::Tls => "tls",
            Self::Preauth => "preauth",
            Self::Login => "login",
            Self::Relay => "relay",
        }
    }
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Logout => "logout",
            Self::Truncated => "truncated",
            Self::Reset => "reset",
            Self::Unreachable => "unreachable",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::TooLong => "too-long",
            Self::Protocol(how) => how,
            Self::Handshake => "handshake",
            Self::ProxyHeader => "bad-proxy-header",
            Self::Unavailable => "unavailable",
            Self::Stopping => "stopping",
        }
    }

    /// What an error of a connection means.
    pub(crate) fn of(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Truncated,
            std::io::ErrorKind::TimedOut => Self::Unreachable,
            std::io::ErrorKind::InvalidData => Self::Protocol("tls"),
            _ => Self::Reset,
        }
    }
}

/// The close record of a connection.
pub(crate) struct Record<'a> {
    /// Its id.
    pub(crate) session: Id,
    /// The listener's protocol.
    pub(crate) protocol: &'static str,
    /// The client's address.
    pub(crate) client: SocketAddr,
    /// Who logged in; empty before login.
    pub(crate) user: &'a str,
    /// Where; empty before login.
    pub(crate) host: &'a str,
    /// Who ended it.
    pub(crate) by: By,
    /// How far it had come.
    pub(crate) stage: Stage,
    /// Why.
    pub(crate) cause: Cause,
    /// Octets from the client after login.
    pub(crate) from_client: u64,
    /// Octets from the backend after login.
    pub(crate) from_backend: u64,
    /// From the connection to its end.
    pub(crate) lasted: Duration,
}

impl Record<'_> {
    /// Writes it down.
    pub(crate) fn write(&self) {
        let (client, session) = (self.client, self.session);
        let (by, stage, cause) = (self.by.name(), self.stage.name(), self.cause.name());
        tracing::info!(
            %client,
            %session,
            protocol = self.protocol,
            user = self.user,
            host = self.host,
            by,
            stage,
            cause,
            bytes_from_client = self.from_client,
            bytes_from_backend = self.from_backend,
            seconds = self.lasted.as_secs_f64(),
            "closed"
        );
    }
}
