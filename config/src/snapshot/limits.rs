//! `[limits]`.

use crate::shown;
use serde::Serialize;
use std::time::Duration;
use usher_wire::http1::Caps;

/// `[limits]`: every deadline and cap.
#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    /// Time from the first byte of a PROXY header, once it is due, to its last.
    #[serde(with = "shown::duration")]
    pub proxy_header: Duration,
    /// Longest PROXY header in bytes.
    pub proxy_header_size: usize,
    /// Longest head of an HTTP request in bytes, including its request line.
    pub http_head: usize,
    /// Longest target of an HTTP request in bytes.
    pub http_target: usize,
    /// Most fields of an HTTP request.
    pub http_fields: usize,
    /// Bytes of a request body that are kept until an HTTP/2 backend answers, in case it refuses the request.
    pub http_replay: usize,
    /// Timeout of a TLS handshake with a client.
    #[serde(with = "shown::duration")]
    pub tls_handshake: Duration,
    /// Longest time without a byte from the client before login.
    #[serde(with = "shown::duration")]
    pub silence_before_login: Duration,
    /// Time from connection to login, not counting the wait for a home host.
    #[serde(with = "shown::duration")]
    pub before_login: Duration,
    /// Longest time without a byte in either direction after login.
    #[serde(with = "shown::duration")]
    pub idle: Duration,
    /// How long bytes may wait for a peer that does not read.
    #[serde(with = "shown::duration")]
    pub stalled: Duration,
    /// Most logins held at a time because their home hosts are out of service.
    pub held_logins: u32,
    /// Time over which goodbyes are spread.
    #[serde(with = "shown::duration")]
    pub goodbye_window: Duration,
    /// Time that a peer has to close after a goodbye.
    #[serde(with = "shown::duration")]
    pub farewell: Duration,
    /// Time to reach a backend: TCP, TLS, greeting and capabilities together.
    #[serde(with = "shown::duration")]
    pub backend_connect: Duration,
    /// For a backend's answer to a login.
    #[serde(with = "shown::duration")]
    pub backend_login: Duration,
    /// Time between two attempts of a held login.
    #[serde(with = "shown::duration")]
    pub retry: Duration,
    /// Silence on a TCP connection before a keepalive probe.
    #[serde(with = "shown::duration")]
    pub tcp_keepalive: Duration,
    /// How long data or probes on a TCP connection may go unacknowledged before it is given up.
    #[serde(with = "shown::duration")]
    pub tcp_unreachable: Duration,
    /// For the header of an HTTP request, from its first byte.
    #[serde(with = "shown::duration")]
    pub http_header: Duration,
    /// Time without a request after which an HTTPS connection is closed.
    #[serde(with = "shown::duration")]
    pub http_idle: Duration,
    /// Longest time without progress on a body that somebody is waiting for.
    #[serde(with = "shown::duration")]
    pub http_stalled: Duration,
    /// Least rate of a body in bytes per second. Applies once the body has been waited for as long as `http_stalled`.
    pub http_min_rate: u64,
    /// Requests at a time on an HTTP/2 connection.
    pub http_streams: u32,
    /// How long an idle connection to a backend is kept for the next request.
    #[serde(with = "shown::duration")]
    pub http_backend_idle: Duration,
    /// Time without a byte and without a pending command after which a session is among the first that a drain ends.
    #[serde(with = "shown::duration")]
    pub quiet: Duration,
    /// Most connections at a time; further ones are turned away.
    pub connections: u32,
    /// Resident memory in bytes near which usher accepts no more connections; `None`: the limit of the control group.
    pub memory: Option<u64>,
    /// Users whose last known place is remembered for when the directory cannot be read.
    pub remembered_placements: u32,
}

impl Limits {
    /// How large the head of an HTTP request may be.
    pub fn request_caps(&self) -> Caps {
        Caps { head: self.http_head, fields: self.http_fields, target: self.http_target }
    }
}
