//! `[[instance_host]]` and `[[array]]`.

use crate::health::HealthPolicy;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use usher_policy::Services;
use usher_policy::identity::LoginTemplate;
use usher_policy::pick::Balance;

/// `[[instance_host]]`: a backend that owns the archives of some users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceHost {
    /// Its name in the directory and in logs; without pins, also the name that its certificate must have.
    pub name: String,
    /// How its services are reached.
    #[serde(flatten)]
    pub services: Services<MailEndpoint, HttpEndpoint>,
    /// The pins of its certificate; if empty, the certificate is verified against the system's roots and `name`.
    pub pins: Vec<Pin>,
    /// Which user name it is given at login.
    pub login_as: LoginAs,
    /// Whether usher's own certificate is shown to it.
    pub client_certificate: ClientCertificate,
    /// Most sessions at a time; `None`: no bound.
    pub max_sessions: Option<u32>,
    /// How it comes back after a restart of usher.
    pub initial_state: InitialState,
    /// Who lets in users there who have shown a certificate; `None`: the host itself, by what a PROXY header says of it.
    pub external: Option<MasterUser>,
    /// `[instance_host.health]`.
    pub health: HealthPolicy,
}

/// Somebody who may open others' archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MasterUser {
    /// The name.
    pub user: String,
    /// The file with the password.
    pub password_file: PathBuf,
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
    /// How it is told the client's address, in addition to `Forwarded`; never [`ClientAddress::ImapId`]. With a PROXY
    /// header, no connection serves two clients.
    pub client_address: ClientAddress,
    /// The version of HTTP that it speaks.
    pub version: HttpVersion,
    /// Whether, without TLS, the URLs that clients and backend send each other are translated.
    pub rewrite: bool,
    /// Most connections at a time; `None`: unlimited.
    pub max_connections: Option<u32>,
}

/// Which HTTP a backend speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[serde(rename = "1.1")]
    One,
    /// HTTP/2, except for upgrades and for logins that belong to a connection.
    #[serde(rename = "2")]
    Two,
}

/// A member's TCP service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TcpEndpoint {
    /// An address or a name.
    pub host: String,
    /// Its port; `None`: the port that the client connected to.
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
    /// The port for probes of members that have none: the first port of the first listener that spreads over the array.
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
    /// Its name in logs and for operators' holds; without pins, also the name that its certificate must have.
    pub name: String,
    /// How its TCP service is reached.
    pub tcp: Option<TcpEndpoint>,
    /// How its web service is reached.
    pub http: Option<HttpEndpoint>,
    /// `host:port` of an agent that says how it is, in HAProxy's text protocol.
    pub agent: Option<String>,
    /// Its share of the sessions relative to other members; at least 1.
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
    /// If the backend lists no authorities, or lists the one that signed it.
    #[default]
    Auto,
    /// Whatever authorities it names.
    Always,
    /// Not at all.
    Never,
}

/// A backend's mail service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MailEndpoint {
    /// `host:port`, an address or a name.
    pub address: String,
    /// How TLS begins.
    pub tls: BackendTls,
    /// How the client's address is told.
    pub client_address: ClientAddress,
}

impl MailEndpoint {
    /// Whether it is told of clients' certificates, by PROXY headers. Behind TLS it would look at usher's own.
    pub fn tells_certificates(&self) -> bool {
        self.client_address == ClientAddress::ProxyV2 && self.tls == BackendTls::None
    }
}

/// How TLS towards a backend begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendTls {
    /// At once.
    Implicit,
    /// With STARTTLS; nothing is sent without it.
    StartTls,
    /// Never: the network in between is trusted.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginAs {
    /// As the client typed it.
    Typed,
    /// The normalised key.
    Canonical,
    /// Made of its parts.
    Template(LoginTemplate),
}

impl Serialize for LoginAs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Typed => serializer.serialize_str("typed"),
            Self::Canonical => serializer.serialize_str("canonical"),
            Self::Template(template) => serializer.collect_str(template),
        }
    }
}

/// A fingerprint that a backend's certificate must match.
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
