//! The checked configuration as a whole. Immutable: a change makes a new snapshot.
//!
//! Serialised, it is the effective configuration as the admin API shows it; it names files that hold secrets
//! and never holds a secret itself.

mod access;
pub(crate) mod acme;
mod backends;
mod directory;
mod domain;
mod guessing;
mod limits;
mod listener;
mod lookup;
mod server;
mod sources;
mod tls;

pub use crate::certificate::Certificate;
pub use access::Access;
pub use acme::{Acme, AcmeFile, AcmeKey, ExternalAccount};
pub use backends::{
    Affinity, Array, BackendTls, ClientAddress, ClientCertificate, HttpEndpoint, HttpVersion, InitialState,
    InstanceHost, LoginAs, MailEndpoint, MasterUser, Member, Pin, TcpEndpoint,
};
pub use directory::{AskPeers, Directory, Peers};
pub use domain::{DomainMechanisms, OAuth};
pub use guessing::Guessing;
pub use limits::Limits;
pub use listener::{
    HttpsListener, ImapListener, Listener, Offered, Protocol, RedirectListener, Serves, TcpListener,
};
pub use lookup::{LookupAddress, LookupListener, LookupProtocol};
pub use server::{Admin, Log, LogFormat, OldSessions, OutageReply, Server, Tracing, TrustedProxy};
pub use sources::{
    At, Http, HttpStyle, Ldap, Postgres, Redis, RedisDeployment, Source, SourceAccess, SourceCache,
};
pub use tls::{Tls, TlsVersion};
pub use usher_policy::pick::Balance;

use crate::https::{ClientCa, ClientSetup, Https};
use serde::Serialize;
use std::sync::Arc;
use usher_policy::identity::Domains;

/// Everything in the operator's file, with defaults filled in.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// `[server]`.
    pub server: Server,
    /// `[admin]`.
    pub admin: Admin,
    /// `[log]`.
    pub log: Log,
    /// `[tracing]`; `None`: nothing is exported.
    pub tracing: Option<Tracing>,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<Listener>,
    /// `[[certificate]]`; the first is the default. If there are none, usher uses a self-signed one.
    pub certificates: Vec<Certificate>,
    /// `[tls]`.
    pub tls: Tls,
    /// `[acme]`; `None`: certificates are those of files alone.
    pub acme: Option<Acme>,
    /// `[[instance_host]]`.
    pub hosts: Vec<InstanceHost>,
    /// `[[array]]`.
    pub arrays: Vec<Array>,
    /// `[https]`.
    pub https: Https,
    /// `[client_setup]`; `None`: the requests of mail clients are left to backends.
    pub client_setup: Option<ClientSetup>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[access]` and `[[access_rule]]`.
    pub access: Access,
    /// `[guessing]`.
    pub guessing: Arc<Guessing>,
    /// Those listeners that answer others where a user is.
    pub lookups: Vec<LookupListener>,
    /// `[directory]`.
    pub directory: Directory,
    /// `oauth` of each `[[domain]]` that has it.
    pub oauth: Vec<OAuth>,
    /// `mechanisms` of each `[[domain]]` that has it.
    pub domain_mechanisms: Vec<DomainMechanisms>,
    /// `[[domain]]`.
    #[serde(skip)]
    pub domains: Domains,
}

impl Snapshot {
    /// Every `client_ca`.
    pub fn client_cas(&self) -> impl Iterator<Item = &ClientCa> {
        let of_imap = self.listeners.iter().filter_map(|listener| match &listener.serves {
            Serves::Imap(imap) => imap.client_ca.as_ref(),
            Serves::Https(_) | Serves::HttpRedirect(_) | Serves::Tcp(_) => None,
        });
        self.https.client_ca.iter().chain(of_imap)
    }
}
