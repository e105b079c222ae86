//! The right to use a backend.

use super::Destination;
use crate::https::client::Client;
use crate::https::message::refusal::Refusal;
use crate::https::record::Held;
use usher_backends::roster::{BackendId, Service};

/// The right to use a backend.
pub(super) fn lease(
    client: &Client,
    destination: &Destination,
    tried: &[BackendId],
) -> Result<Held, Refusal> {
    let roster = client.shared.fleet.roster();
    match destination {
        Destination::Home { host, key } => {
            if roster.moving(key).is_some() {
                return Err(Refusal::unavailable("moving"));
            }
            let Some(found) = roster.host(host) else {
                tracing::error!(user = key.name(), host, "the directory names a host that is not configured");
                return Err(Refusal::unavailable("unknown-host"));
            };
            found.lease(Service::Http).map(Held::Host).map_err(|shut| Refusal::unavailable(shut.name()))
        }
        Destination::Array { name, member } => {
            let none = Refusal::unavailable("no-member");
            let array = roster.array(name).ok_or(none)?;
            // Whoever has logged in on a connection stays with it.
            let own = array.members.iter().find(|member| {
                member.http.as_ref().is_some_and(|target| client.has_own_to(target))
                    && !tried.contains(&member.id)
            });
            let wanted = own.map(|member| &*member.id.name).or(member.as_deref());
            let wanted = wanted.filter(|wanted| tried.iter().all(|tried| &*tried.name != *wanted));
            let there = wanted.and_then(|wanted| array.lease_of(Service::Http, wanted));
            let source = client.ends.0.ip().to_canonical();
            let lease = there.or_else(|| array.lease(Service::Http, source, tried)).ok_or(none)?;
            Ok(Held::Member(lease))
        }
    }
}
