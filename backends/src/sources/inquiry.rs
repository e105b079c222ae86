//! A question to the sources.

use rustls::CipherSuite;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use usher_policy::ArchiveKey;
use usher_wire::secret::Secret;

/// Who is asked about, and by whom.
#[derive(Clone, Copy)]
pub struct Inquiry<'i> {
    /// Whose archive it is.
    pub key: &'i ArchiveKey,
    /// When somebody came who wants to know: what was changed before has been heard of by the embedded directory.
    pub asked: Instant,
    /// How old an answer may be, if it has to be younger than others.
    pub freshness: Option<Duration>,
    /// Who comes, for services that want to know.
    pub visitor: Option<&'i Arc<Visitor>>,
}

impl<'i> Inquiry<'i> {
    /// About `key`, by nobody in particular.
    pub fn about(key: &'i ArchiveKey) -> Self {
        Self { key, asked: Instant::now(), freshness: None, visitor: None }
    }
}

/// Somebody who logs in.
pub struct Visitor {
    /// The name as it was typed.
    pub login: Vec<u8>,
    /// The password, if there is one.
    pub password: Option<Secret>,
    /// The SASL mechanism in lower case; login commands are "plain".
    pub mechanism: String,
    /// "imap" or "http".
    pub protocol: &'static str,
    /// Where they are.
    pub client: SocketAddr,
    /// Which login of this connection it is, from 1 on.
    pub attempt: u32,
    /// The version of TLS and the cipher suite, if there is TLS.
    pub tls: Option<(&'static str, CipherSuite)>,
}
