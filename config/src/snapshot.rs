//! The checked whole. Immutable: a change is a new snapshot.
//!
//! Serialised, it is the effective configuration as the admin API shows it; it names files that hold secrets
//! and never holds a secret itself.

pub use crate::certificate::Certificate;
pub use usher_policy::pick::Balance;

use crate::health::HealthPolicy;
use crate::https::{ClientSetup, Https};
use crate::shown;
use ipnet::IpNet;
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use usher_policy::identity::Domains;
use usher_wire::http1::Caps;

/// Everything that the operator's file says, with defaults filled in.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// `[server]`.
    pub server: Server,
    /// `[admin]`.
    pub admin: Admin,
    /// `[log]`.
    pub log: LogFormat,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<Listener>,
    /// `[[certificate]]`; the first is the default. None: self-signed.
    pub certificates: Vec<Certificate>,
    /// `[[instance_host]]`.
    pub hosts: Vec<InstanceHost>,
    /// `[[array]]`.
    pub arrays: Vec<Array>,
    /// `[https]`.
    pub https: Https,
    /// `[client_setup]`; `None`: what mail clients ask for is left to backends.
    pub client_setup: Option<ClientSetup>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[[domain]]`.
    #[serde(skip)]
    pub domains: Domains,
}

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

/// `[[listener]]`.
#[derive(Debug, Clone, Serialize)]
pub struct Listener {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: SocketAddr,
    /// The last port of a range that begins with that of `address`.
    pub last_port: u16,
    /// Only its first port is listened on; the firewall redirects the others there. Only on [`Protocol::Tcp`].
    pub redirected: bool,
    /// Over whose members it spreads. Only on [`Protocol::Tcp`], and there always.
    pub array: Option<String>,
    /// Networks that may log in without TLS. Only on [`Protocol::Imap`].
    pub plaintext_from: Vec<IpNet>,
    /// Demand the PROXY header, from these senders only; `None`: no header.
    pub proxy_from: Option<Vec<IpNet>>,
    /// Refuse handshakes that ask for a name no certificate has.
    pub strict_sni: bool,
    /// `Strict-Transport-Security` for so long; `None`: not at all. Only on [`Protocol::Https`].
    #[serde(serialize_with = "shown::some_duration")]
    pub hsts: Option<Duration>,
    /// What IMAP clients are offered before login beside what usher has itself.
    pub capabilities: Offered,
    /// The port that requests in the clear are sent to. Only on [`Protocol::HttpRedirect`], and there always.
    pub redirect_to: Option<u16>,
    /// Where it stands in the file.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// Capabilities of the hosts that are offered before login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offered {
    /// `IDLE`, as soon as all hosts have it.
    #[default]
    Idle,
    /// All that all hosts have.
    Shared,
    /// These, separated by spaces.
    These(String),
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// IMAP with STARTTLS.
    Imap,
    /// IMAP with implicit TLS.
    Imaps,
    /// HTTP/1.1 and HTTP/2 over TLS.
    Https,
    /// HTTP/1.1 in the clear, which is sent to HTTPS.
    HttpRedirect,
    /// Anything over TCP, spread over an array.
    Tcp,
}

impl Limits {
    /// How large the head of an HTTP request may be.
    pub fn request_caps(&self) -> Caps {
        Caps { head: self.http_head, fields: self.http_fields, target: self.http_target }
    }
}

impl Protocol {
    /// The word of the configuration, for logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Https => "https",
            Self::HttpRedirect => "http-redirect",
            Self::Tcp => "tcp",
        }
    }
}

/// `[[instance_host]]`: a backend that owns the archives of some users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceHost {
    /// Its name: in the directory, in logs, and for its certificate where there are no pins.
    pub name: String,
    /// How its IMAP is reached.
    pub imap: ImapEndpoint,
    /// How its web access is reached.
    pub http: Option<HttpEndpoint>,
    /// Pins of its certificate; empty: verified against the system's roots and `name`.
    pub pins: Vec<Pin>,
    /// The user name that is sent on.
    pub login_as: LoginAs,
    /// Whether usher's own certificate is shown to it.
    pub client_certificate: ClientCertificate,
    /// Most sessions at a time; `None`: no bound.
    pub max_sessions: Option<u32>,
    /// How it comes back after a restart of usher.
    pub initial_state: InitialState,
    /// `[instance_host.health]`.
    pub health: HealthPolicy,
}

/// How a host comes back after a restart of usher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitialState {
    /// As an operator left it.
    Remembered,
    /// In service, whatever an operator did before.
    Started,
    /// Out of service until an operator starts it.
    Stopped,
}

/// A backend's web service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpEndpoint {
    /// `host:port`, an address or a name.
    pub address: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// How the client's address is told beside `Forwarded`; never [`ClientAddress::ImapId`]. With a PROXY
    /// header no connection serves two clients.
    pub client_address: ClientAddress,
    /// What is spoken.
    pub version: HttpVersion,
    /// Without TLS, URLs that clients and backend name to each other are translated.
    pub rewrite: bool,
    /// Connections at a time; `None`: no bound.
    pub max_connections: Option<u32>,
}

/// Which HTTP a backend speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[serde(rename = "1.1")]
    One,
    /// HTTP/2, but for upgrades and for logins that belong to a connection.
    #[serde(rename = "2")]
    Two,
}

/// A member's TCP service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TcpEndpoint {
    /// An address or a name.
    pub host: String,
    /// Its port; `None`: the one that the client connected to.
    pub port: Option<u16>,
    /// How the client's address is told; never [`ClientAddress::ImapId`].
    pub client_address: ClientAddress,
}

/// `[[array]]`: equal servers, any of which can serve anyone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Array {
    /// Its name.
    pub name: String,
    /// Which member a new session goes to.
    pub balance: Balance,
    /// What keeps a client at its member.
    pub affinity: Affinity,
    /// Its members, in the order of preference.
    pub members: Vec<Member>,
    /// `[array.health]`.
    pub health: HealthPolicy,
    /// The port that probes of members without one use: the first of the first listener that spreads over it.
    pub probe_port: Option<u16>,
}

/// What keeps a client at its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Affinity {
    /// Nothing.
    None,
    /// Its address.
    Address,
    /// A cookie, on HTTPS.
    Cookie,
}

/// One server of an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its name: in logs, for operators' holds, and for its certificate where there are no pins.
    pub name: String,
    /// How its TCP service is reached.
    pub tcp: Option<TcpEndpoint>,
    /// How its web service is reached.
    pub http: Option<HttpEndpoint>,
    /// `host:port` of an agent that says how it is, in HAProxy's text protocol.
    pub agent: Option<String>,
    /// Its share of the sessions against other members'; from 1.
    pub weight: u32,
    /// Pins of its certificate.
    pub pins: Vec<Pin>,
    /// Whether usher's own certificate is shown to it.
    pub client_certificate: ClientCertificate,
    /// Most sessions at a time; `None`: no bound.
    pub max_sessions: Option<u32>,
    /// How it comes back after a restart of usher.
    pub initial_state: InitialState,
}

/// When usher shows its own certificate to a backend that asks for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificate {
    /// Where the backend names no authorities, or the one that signed it.
    #[default]
    Auto,
    /// Whatever authorities it names.
    Always,
    /// Not at all.
    Never,
}

/// A backend's IMAP service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImapEndpoint {
    /// `host:port`, an address or a name.
    pub address: String,
    /// How TLS begins.
    pub tls: BackendTls,
    /// How the client's address is told.
    pub client_address: ClientAddress,
}

/// How TLS towards a backend begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendTls {
    /// At once.
    Implicit,
    /// By STARTTLS, without which nothing is sent.
    StartTls,
    /// Never: the network between is trusted.
    None,
}

/// How a backend learns the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAddress {
    /// Not at all.
    None,
    /// PROXY protocol, version 1.
    ProxyV1,
    /// PROXY protocol, version 2.
    ProxyV2,
    /// IMAP ID with `x-originating-ip` and its like.
    ImapId,
}

/// The user name that a backend is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginAs {
    /// As the client typed it.
    Typed,
    /// The normalised key.
    Canonical,
}

/// A fingerprint that a backend's certificate must have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pin {
    /// SHA-256 of the certificate in DER.
    Certificate([u8; 32]),
    /// SHA-256 of its SubjectPublicKeyInfo in DER.
    Key([u8; 32]),
}

impl fmt::Display for Pin {
    /// As the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, octets) = match self {
            Self::Certificate(octets) => ("sha256", octets),
            Self::Key(octets) => ("spki-sha256", octets),
        };
        write!(f, "{kind}:")?;
        octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl Serialize for Pin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

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
