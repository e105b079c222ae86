//! Who comes, from where and how, as far as rules look at it.

use crate::session::Session;
use std::net::SocketAddr;
use usher_config::snapshot::Protocol;
use usher_policy::access::{Attributes, Facts, Name};

/// Somebody who wants to come in, or is here already.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) protocol: Protocol,
    pub(crate) client: SocketAddr,
    /// How they log in; `None`: they name nobody.
    pub(crate) mechanism: Option<&'static str>,
    /// Whom they name: whose archive it is first.
    pub(crate) names: Vec<Name>,
    /// They have shown a certificate that is trusted.
    pub(crate) has_certificate: bool,
}

impl Visit {
    /// Somebody of whom only the address is known.
    pub(crate) fn from(client: SocketAddr, protocol: Protocol) -> Self {
        Self { protocol, client, mechanism: None, names: Vec::new(), has_certificate: false }
    }

    /// Whoever has this session.
    pub(crate) fn of(session: &Session) -> Self {
        let about = &session.about;
        let names = match (&about.names, &*about.user) {
            (Some(names), _) => names.to_vec(),
            (None, "") => Vec::new(),
            (None, user) => vec![Name::written(user)],
        };
        let mechanism = about.mechanism.filter(|_| !names.is_empty());
        let has_certificate = about.has_certificate;
        Self { protocol: about.protocol, client: about.client, mechanism, names, has_certificate }
    }

    /// The facts, at `now` in seconds since 1970.
    pub(super) fn facts<'f>(&'f self, attributes: &'f Attributes, now: i64) -> Facts<'f> {
        Facts {
            protocol: self.protocol.name(),
            client: self.client,
            mechanism: self.mechanism,
            names: &self.names,
            attributes,
            now,
            country: None,
            has_certificate: self.has_certificate,
        }
    }
}
