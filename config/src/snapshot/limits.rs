//! `[limits]`.

use crate::shown;
use serde::Serialize;
use std::time::Duration;
use usher_wire::http1::Caps;

/// `[limits]`: every deadline and cap.
#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    /// From the first octet due of a PROXY header to its last.
    #[serde(with = "shown::duration")]
    pub proxy_header: Duration,
    /// Longest PROXY header in octets.
    pub proxy_header_size: usize,
    /// Longest head of an HTTP request in octets, its request line included.
    pub http_head: usize,
    /// Longest target of an HTTP request in octets.
    pub http_target: usize,
    /// Most fields of an HTTP request.
    pub http_fields: usize,
    /// Octets of a request's body that are kept until a backend of HTTP/2 answers, in case it turns the request away.
    pub http_replay: usize,
    /// For a TLS handshake with a client.
    #[serde(with = "shown::duration")]
    pub tls_handshake: Duration,
    /// Without an octet from the client before login.
    #[serde(with = "shown::duration")]
    pub silence_before_login: Duration,
    /// From the connection to the login, waiting for a home host not counted in.
    #[serde(with = "shown::duration")]
    pub before_login: Duration,
    /// Without an octet either way after login.
    #[serde(with = "shown::duration")]
    pub idle: Duration,
    /// With octets for a peer that does not read.
    #[serde(with = "shown::duration")]
    pub stalled: Duration,
    /// Logins held at a time for home hosts that are out.
    pub held_logins: u32,
    /// Over which goodbyes are spread.
    #[serde(with = "shown::duration")]
    pub goodbye_window: Duration,
    /// After a goodbye, for the peer to close.
    #[serde(with = "shown::duration")]
    pub farewell: Duration,
    /// To a backend: dialling, TLS, greeting and capabilities together.
    #[serde(with = "shown::duration")]
    pub backend_connect: Duration,
    /// For a backend's answer to a login.
    #[serde(with = "shown::duration")]
    pub backend_login: Duration,
    /// Between two tries of a held login.
    #[serde(with = "shown::duration")]
    pub retry: Duration,
    /// Silence on a TCP connection before a keepalive probe.
    #[serde(with = "shown::duration")]
    pub tcp_keepalive: Duration,
    /// Unacknowledged octets or probes on a TCP connection before it is given up.
    #[serde(with = "shown::duration")]
    pub tcp_unreachable: Duration,
    /// For the header of an HTTP request, from its first octet.
    #[serde(with = "shown::duration")]
    pub http_header: Duration,
    /// Without a request on an HTTPS connection, after which it is closed.
    #[serde(with = "shown::duration")]
    pub http_idle: Duration,
    /// Without progress on a body that somebody waits for.
    #[serde(with = "shown::duration")]
    pub http_stalled: Duration,
    /// Octets a second that a body must come or be taken at, as soon as it has been waited for as long as
    /// `http_stalled`.
    pub http_min_rate: u64,
    /// Requests at a time on an HTTP/2 connection.
    pub http_streams: u32,
    /// Idle connections to a backend that are kept for the next request, and for how long.
    #[serde(with = "shown::duration")]
    pub http_backend_idle: Duration,
    /// Without an octet and without a command under way, after which a session is ended first in a drain.
    #[serde(with = "shown::duration")]
    pub quiet: Duration,
    /// Connections at a time; those beyond are sent away.
    pub connections: u32,
    /// Resident memory in octets, near which usher takes no more connections; `None`: the control group's.
    pub memory: Option<u64>,
    /// Last known places of users, for when the directory cannot be read.
    pub remembered_placements: u32,
}

impl Limits {
    /// How large the head of an HTTP request may be.
    pub fn request_caps(&self) -> Caps {
        Caps { head: self.http_head, fields: self.http_fields, target: self.http_target }
    }
}
