//! `[server]`, `[admin]` and `[log]`.

use crate::shown;
use ipnet::IpNet;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[server]`.
#[derive(Debug, Clone, Serialize)]
pub struct Server {
    /// The name in greetings.
    pub name: String,
    /// Where `directory.db` and `state.db` are.
    pub state_dir: PathBuf,
    /// How long sessions may go on after SIGTERM.
    #[serde(with = "shown::duration")]
    pub drain_deadline: Duration,
    /// How long a login is held while its home host is out of service.
    #[serde(with = "shown::duration")]
    pub login_wait: Duration,
    /// What the client of such a login is told in the end.
    pub outage_reply: OutageReply,
    /// Time between the announcement that usher is stopping and the closing of its listeners, for clients that ask
    /// before they connect.
    #[serde(with = "shown::duration")]
    pub stop_delay: Duration,
    /// What becomes of sessions when another process takes over; those that are left are ended after `drain_deadline`.
    pub old_sessions: OldSessions,
}

/// What becomes of the sessions of a process that another one succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OldSessions {
    /// Quiet ones are told goodbye one after the other.
    Drain,
    /// They go on until they end.
    Keep,
}

/// What a client is told when its home host is out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutageReply {
    /// `* BYE [UNAVAILABLE]`, and the connection ends: no client mistakes that for a wrong password.
    Bye,
    /// `NO [UNAVAILABLE]` and `* BYE [UNAVAILABLE]`, and the connection ends.
    NoBye,
    /// `NO [UNAVAILABLE]`, and the connection stays.
    No,
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// The API's Unix socket; whoever may open it may do everything.
    pub socket: PathBuf,
    /// A TCP address of the same API: reads, and changes with the token.
    pub listen: Option<SocketAddr>,
    /// The file with the token. Without it, nothing can be changed over TCP, and nothing read from beyond loopback.
    pub token_file: Option<PathBuf>,
    /// The file with a token that may read everything and change nothing.
    pub reader_token_file: Option<PathBuf>,
    /// The proxies that say who their people are.
    pub trusted_proxy: Option<TrustedProxy>,
    /// Directory of the probes' passwords for hosts that are added at run time; `None`: such hosts have none.
    pub secrets_dir: Option<PathBuf>,
}

/// Proxies in front of the admin API that have asked people who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrustedProxy {
    /// Where they are.
    pub from: Vec<IpNet>,
    /// The header in which they name somebody, in lower case.
    pub user_header: String,
    /// Who may change things; all others that are named may read.
    pub operators: Vec<String>,
    /// The file with what the proxy shows in `X-Usher-Proxy`; without it, its address is enough.
    pub secret_file: Option<PathBuf>,
}

/// `[log]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Log {
    /// How lines are written.
    pub format: LogFormat,
    /// From when on a login, a request or a connection to a host is logged as slow; `None`: never.
    #[serde(serialize_with = "shown::some_duration")]
    pub slow: Option<Duration>,
    /// What is in the lines of requests, in this order; `None`: everything.
    pub request_fields: Option<Vec<&'static str>>,
}

impl Log {
    /// Everything that the line of a request can have.
    pub const REQUEST_FIELDS: [&'static str; 16] = [
        "client",
        "session",
        "protocol",
        "user",
        "identity",
        "host",
        "method",
        "path",
        "version",
        "status",
        "by",
        "stage",
        "cause",
        "bytes_from_client",
        "bytes_from_backend",
        "seconds",
    ];
}

/// `[tracing]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tracing {
    /// The collector's address, without the path of OTLP.
    pub otlp: String,
    /// Of a hundred logins and requests that are not part of a trace yet, so many are made one.
    pub percent: u32,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}
