//! The checked whole. Immutable: a change is a new snapshot.

use crate::domains::Domains;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that the operator's file says, with defaults filled in.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// `[server]`.
    pub server: Server,
    /// `[log]`.
    pub log: LogFormat,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<Listener>,
    /// `[[certificate]]`; the first is the default. None: self-signed.
    pub certificates: Vec<Certificate>,
    /// `[[instance_host]]`.
    pub hosts: Vec<InstanceHost>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[[domain]]`.
    pub domains: Domains,
}

/// `[server]`.
#[derive(Debug, Clone)]
pub struct Server {
    /// The name in greetings.
    pub name: String,
    /// Where `directory.db` and `state.db` are.
    pub state_dir: PathBuf,
    /// How long sessions may go on after SIGTERM.
    pub drain_deadline: Duration,
    /// How long a login is held while its home host is out.
    pub login_wait: Duration,
    /// What such a login gets in the end.
    pub outage_reply: OutageReply,
}

/// What a client is told when its home host is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageReply {
    /// `* BYE [UNAVAILABLE]`, and the connection ends: no client takes that for a wrong password.
    Bye,
    /// `NO [UNAVAILABLE]`, and the connection stays.
    No,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[[listener]]`.
#[derive(Debug, Clone)]
pub struct Listener {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: SocketAddr,
    /// Networks that may log in without TLS. Only on [`Protocol::Imap`].
    pub plaintext_from: Vec<IpNet>,
    /// Demand the PROXY header, from these senders only; `None`: no header.
    pub proxy_from: Option<Vec<IpNet>>,
    /// Refuse handshakes that ask for a name no certificate has.
    pub strict_sni: bool,
    /// Where it stands in the file.
    pub span: Range<usize>,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// IMAP with STARTTLS.
    Imap,
    /// IMAP with implicit TLS.
    Imaps,
}

impl Protocol {
    /// The word of the configuration, for logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Imaps => "imaps",
        }
    }
}

/// `[[certificate]]`.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain, PEM, leaf first.
    pub chain: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Where it stands in the file.
    pub span: Range<usize>,
}

/// `[[instance_host]]`: a backend that owns the archives of some users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceHost {
    /// Its name: in the directory, in logs, and for its certificate where there are no pins.
    pub name: String,
    /// How its IMAP is reached.
    pub imap: ImapEndpoint,
    /// Pins of its certificate; empty: verified against the system's roots and `name`.
    pub pins: Vec<Pin>,
    /// The user name that is sent on.
    pub login_as: LoginAs,
    /// Most sessions at a time; `None`: no bound.
    pub max_sessions: Option<u32>,
}

/// A backend's IMAP service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImapEndpoint {
    /// `host:port`, an address or a name.
    pub address: String,
    /// How TLS begins.
    pub tls: BackendTls,
    /// How the client's address is told.
    pub client_address: ClientAddress,
}

/// How TLS towards a backend begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendTls {
    /// At once.
    Implicit,
    /// By STARTTLS, without which nothing is sent.
    StartTls,
    /// Never: the network between is trusted.
    None,
}

/// How a backend learns the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// `[limits]`: every deadline and cap.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first octet due of a PROXY header to its last.
    pub proxy_header: Duration,
    /// For a TLS handshake with a client.
    pub tls_handshake: Duration,
    /// Without an octet from the client before login.
    pub silence_before_login: Duration,
    /// From the connection to the login, waiting for a home host not counted in.
    pub before_login: Duration,
    /// Without an octet either way after login.
    pub idle: Duration,
    /// With octets for a peer that does not read.
    pub stalled: Duration,
    /// Logins held at a time for home hosts that are out.
    pub held_logins: u32,
    /// Over which goodbyes are spread.
    pub goodbye_window: Duration,
    /// After a goodbye, for the peer to close.
    pub farewell: Duration,
    /// To a backend: dialling, TLS, greeting and capabilities together.
    pub backend_connect: Duration,
    /// For a backend's answer to a login.
    pub backend_login: Duration,
    /// Between two tries of a held login.
    pub retry: Duration,
    /// Silence on a TCP connection before a keepalive probe.
    pub tcp_keepalive: Duration,
    /// Unacknowledged octets or probes on a TCP connection before it is given up.
    pub tcp_unreachable: Duration,
}
