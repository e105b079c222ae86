//! Where a user is, for others.

use super::Service;
use crate::boxed::boxed;
use crate::route::{Answer, Decided};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::lookup_host;
use usher_backends::roster::Host;
use usher_config::snapshot::{BackendTls, LookupProtocol};
use usher_policy::identity::{Arrival, Says};
use usher_policy::route::Decision;

/// What others are told.
pub(super) enum Told {
    /// Here.
    On(Place),
    /// Nobody has this name.
    Nobody,
    /// That cannot be said now, or the archive is being moved.
    Later,
}

/// Where a user is.
pub(super) struct Place {
    pub(super) host: Arc<Host>,
    /// The name by which the host knows the user, if it is another one.
    pub(super) login: Option<String>,
}

impl Service {
    /// Where the user is whom somebody calls `name`.
    pub(super) async fn look_up(&self, protocol: LookupProtocol, name: &[u8]) -> Told {
        let key = {
            let active = self.server.config.load();
            let named = active.snapshot.domains.named(name, Arrival::default());
            named.filter(|named| named.says == Says::Own).map(|named| named.key)
        };
        let told = match key {
            None => Told::Nobody,
            Some(key) => {
                let Decided { decision, answer, .. } = boxed(|| self.server.router.explain(&key, None)).await;
                match decision {
                    Decision::Permitted(permit) => match self.server.router.host(&permit) {
                        Some(host) => Told::On(Place { host, login: permit.login().map(ToOwned::to_owned) }),
                        None => Told::Later,
                    },
                    // A host may have somebody whom the directory does not know yet.
                    Decision::Nobody if self.server.config.load().snapshot.directory.peers.is_some() => {
                        Told::Later
                    }
                    Decision::Nobody => Told::Nobody,
                    Decision::Denied | Decision::Concealed(_) | Decision::Outage(_) => {
                        if let Answer::Failed(error) = answer {
                            tracing::warn!(user = %key, %error, "somebody who asks where a user is has to ask again");
                        }
                        Told::Later
                    }
                }
            }
        };
        let result = match &told {
            Told::On(_) => "found",
            Told::Nobody => "nobody",
            Told::Later => "later",
        };
        self.server.metrics.answered(protocol.name(), result);
        told
    }

    /// What Postfix is told of a host.
    pub(super) fn transport(&self, place: &Place) -> String {
        let name = &place.host.config.name;
        let address = place.address().map_or(name.as_str(), |(address, _)| address);
        self.listener.transport.replace("{host}", name).replace("{address}", address)
    }
}

impl Place {
    /// The address and the port of its mail, as they are configured.
    pub(super) fn address(&self) -> Option<(&str, u16)> {
        let mail = self.host.services.mail(usher_backends::roster::Service::Imap)?;
        let (address, port) = mail.endpoint.address.rsplit_once(':')?;
        Some((address.trim_matches(['[', ']']), port.parse().ok()?))
    }

    /// How TLS with it begins.
    pub(super) fn tls(&self) -> BackendTls {
        let mail = self.host.services.mail(usher_backends::roster::Service::Imap);
        mail.map_or(BackendTls::None, |mail| mail.endpoint.tls)
    }

    /// The same as numbers.
    pub(super) async fn resolved(&self) -> Option<(IpAddr, u16)> {
        let (address, port) = self.address()?;
        match address.parse() {
            Ok(ip) => Some((ip, port)),
            Err(_) => lookup_host((address, port)).await.ok()?.next().map(|found| (found.ip(), port)),
        }
    }
}
