//! A login as it is remembered.

use super::digest::Names;
use crate::access::Visit;
use std::net::{IpAddr, SocketAddr};
use usher_config::snapshot::Protocol;
use usher_policy::access::Name;

/// Who logged in, from where and how. Equal logins are remembered once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Login {
    pub(crate) names: Vec<Name>,
    /// The names are digests.
    pub(crate) is_digested: bool,
    pub(crate) address: IpAddr,
    pub(crate) protocol: &'static str,
    pub(crate) mechanism: &'static str,
    pub(crate) has_certificate: bool,
}

impl Login {
    /// That of a visit, with digests of its names if there is a `digester`.
    pub(super) fn of(visit: Visit, digester: Option<&Names>) -> Self {
        Self {
            names: match digester {
                Some(digester) => visit.names.iter().map(|name| digester.name(name)).collect(),
                None => visit.names,
            },
            is_digested: digester.is_some(),
            address: visit.client.ip(),
            protocol: visit.protocol.name(),
            mechanism: visit.mechanism.unwrap_or_default(),
            has_certificate: visit.has_certificate,
        }
    }

    /// The visit that it was, from this port of the client's.
    pub(super) fn visit(&self, port: u16) -> Option<Visit> {
        let protocols = [Protocol::Imap, Protocol::Imaps, Protocol::Https, Protocol::Tcp];
        Some(Visit {
            protocol: protocols.into_iter().find(|known| known.name() == self.protocol)?,
            client: SocketAddr::new(self.address, port),
            mechanism: Some(self.mechanism),
            names: self.names.clone(),
            has_certificate: self.has_certificate,
        })
    }
}
