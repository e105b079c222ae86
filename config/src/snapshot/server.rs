//! `[server]`, `[admin]` and `[log]`.

use crate::shown;
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
    /// How long a login is held while its home host is out.
    #[serde(with = "shown::duration")]
    pub login_wait: Duration,
    /// What such a login gets in the end.
    pub outage_reply: OutageReply,
    /// From the moment when it is said that usher stops to the end of its listeners, for those who ask before they
    /// connect.
    #[serde(with = "shown::duration")]
    pub stop_delay: Duration,
}

/// What a client is told when its home host is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutageReply {
    /// `* BYE [UNAVAILABLE]`, and the connection ends: no client takes that for a wrong password.
    Bye,
    /// `NO [UNAVAILABLE]` and `* BYE [UNAVAILABLE]`, and the connection ends.
    NoBye,
    /// `NO [UNAVAILABLE]`, and the connection stays.
    No,
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// The Unix socket of the API; who may open it may do everything.
    pub socket: PathBuf,
    /// A TCP address of the same API: reads, and changes with the token.
    pub listen: Option<SocketAddr>,
    /// Holds the token. Without it nothing is changed over TCP, and nothing is read beyond loopback.
    pub token_file: Option<PathBuf>,
    /// Where passwords of probes lie for hosts that are added at run time; `None`: such hosts have none.
    pub secrets_dir: Option<PathBuf>,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
