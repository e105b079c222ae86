//! How a backend's health is found out.

use crate::shown;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// `[instance_host.health]` or `[array.health]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthPolicy {
    /// Time between two probes of a protocol.
    #[serde(with = "shown::duration")]
    pub interval: Duration,
    /// Timeout of one probe.
    #[serde(with = "shown::duration")]
    pub timeout: Duration,
    /// Consecutive successes that bring a protocol back.
    pub rise: u32,
    /// Consecutive failures that take it out.
    pub fall: u32,
    /// Time over which the share of new sessions grows from a tenth to all of them after its return.
    #[serde(with = "shown::duration")]
    pub ramp: Duration,
    /// `host:port` of an agent that reports the state of the host, in the protocol of HAProxy's agent checks.
    pub agent: Option<String>,
    /// How IMAP is probed.
    pub imap: ImapProbe,
    /// How HTTP is probed.
    pub http: HttpProbe,
    /// How plain TCP is probed.
    pub tcp: TcpProbe,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            ramp: Duration::from_secs(30),
            agent: None,
            imap: ImapProbe::Greeting,
            http: HttpProbe::Tls,
            tcp: TcpProbe::Tcp,
        }
    }
}

/// How far a probe of IMAP goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "probe")]
pub enum ImapProbe {
    /// Not at all: this protocol is never taken out.
    None,
    /// To the TCP connection.
    Tcp,
    /// Through the TLS handshake, with pins.
    Tls,
    /// To the greeting and the capabilities.
    Greeting,
    /// Through a login.
    Login {
        /// The user.
        user: String,
        /// Holds the password.
        password_file: PathBuf,
    },
}

/// How far a probe of HTTP goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "probe")]
pub enum HttpProbe {
    /// Not at all: this protocol is never taken out.
    None,
    /// To the TCP connection.
    Tcp,
    /// Through the TLS handshake, with pins.
    Tls,
    /// Through a request.
    Get {
        /// The path to request.
        path: String,
        /// The status that is expected.
        status: u16,
        /// What the first 64 KiB of the body must contain.
        body: Option<String>,
    },
}

/// How far a probe of plain TCP goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "probe")]
pub enum TcpProbe {
    /// Not at all: this protocol is never taken out.
    None,
    /// To the TCP connection.
    Tcp,
}
