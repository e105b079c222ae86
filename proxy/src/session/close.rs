//! Why a connection ended: one closed set of reasons for logs and metrics.

use super::order::Why;
use crate::id::Id;
use crate::metrics::{Metrics, Used};
use std::net::SocketAddr;
use tokio::time::Instant;
use usher_config::snapshot::Protocol;

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
    /// A response that was passed on as a whole.
    Complete,
    /// LOGOUT before login.
    Logout,
    /// The TCP connection ended without a TLS close: what came may be truncated.
    Truncated,
    /// The connection broke.
    Reset,
    /// The peer stopped responding (TCP keepalive, TCP user timeout).
    Unreachable,
    /// No byte for too long.
    Idle,
    /// Bytes wait for a peer that does not read.
    Stalled,
    /// The whole took longer than it may.
    TooLong,
    /// The peer broke the protocol; the word says how.
    Protocol(&'static str),
    /// The TLS handshake failed.
    Handshake,
    /// The sender is not allowed to send a PROXY header, or sent a broken one.
    ProxyHeader,
    /// The home host is unavailable.
    Unavailable,
    /// usher is stopping.
    Stopping,
    /// The host is being drained.
    Drained,
    /// The host has been stopped.
    Stopped,
    /// An operator ended this session.
    Kicked,
    /// An access rule denies it.
    Denied,
    /// The archive is moved to another host.
    Moved,
}

impl By {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Usher => "usher",
            Self::Operator => "operator",
        }
    }
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
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
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Complete => "complete",
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
            Self::Drained => "drained",
            Self::Stopped => "stopped",
            Self::Kicked => "kicked",
            Self::Denied => "denied",
            Self::Moved => "moved",
        }
    }

    /// Who ends a session that has been told to end, and why.
    pub(crate) fn ordered(why: Why) -> (By, Self) {
        match why {
            Why::Idle => (By::Usher, Self::Idle),
            Why::Stalled => (By::Usher, Self::Stalled),
            Why::Moved => (By::Operator, Self::Moved),
            Why::Denied => (By::Usher, Self::Denied),
            Why::Drained => (By::Operator, Self::Drained),
            Why::Stopped => (By::Operator, Self::Stopped),
            Why::Kicked => (By::Operator, Self::Kicked),
            Why::Stopping => (By::Operator, Self::Stopping),
        }
    }

    /// The cause that an error of a connection stands for.
    pub(crate) fn of(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Truncated,
            std::io::ErrorKind::TimedOut => Self::Unreachable,
            std::io::ErrorKind::InvalidData => Self::Protocol("tls"),
            _ => Self::Reset,
        }
    }
}

/// How a connection or a session ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) by: By,
    pub(crate) stage: Stage,
    pub(crate) cause: Cause,
}

impl Ended {
    pub(crate) fn new(by: By, stage: Stage, cause: Cause) -> Self {
        Self { by, stage, cause }
    }

    /// Ended because reading or writing failed.
    pub(crate) fn broken(stage: Stage, error: &std::io::Error) -> Self {
        Self::new(By::Client, stage, Cause::of(error))
    }
}

/// The record of a closed connection while it is being made.
pub(crate) struct Record {
    session: Id,
    protocol: Protocol,
    client: SocketAddr,
    begun: Instant,
}

impl Record {
    /// Of a connection that began at `begun`.
    pub(crate) fn new(session: Id, protocol: Protocol, client: SocketAddr, begun: Instant) -> Self {
        Self { session, protocol, client, begun }
    }

    /// Writes it. `user` and `host` are empty before login; `octets` are those sent by the client and by the backend
    /// after login.
    pub(crate) fn write(self, metrics: &Metrics, user: &str, host: &str, ended: Ended, octets: (u64, u64)) {
        let (client, session) = (self.client, self.session);
        let (by, stage, cause) = (ended.by.name(), ended.stage.name(), ended.cause.name());
        metrics.closed(self.protocol, by, stage, cause);
        let is_proper = matches!(ended.cause, Cause::Closed | Cause::Complete | Cause::Logout);
        let is_broken = matches!(ended.by, By::Backend) && !is_proper;
        metrics.host_session(host, Used { from_client: octets.0, from_backend: octets.1, is_broken });
        tracing::info!(
            %client,
            %session,
            protocol = self.protocol.name(),
            user,
            host,
            by,
            stage,
            cause,
            bytes_from_client = octets.0,
            bytes_from_backend = octets.1,
            seconds = self.begun.elapsed().as_secs_f64(),
            "closed"
        );
    }
}
