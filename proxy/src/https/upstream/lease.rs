//! The right to use a backend.

use super::Destination;
use crate::https::client::Client;
use crate::https::message::refusal::Refusal;
use crate::https::record::Held;
use usher_backends::roster::{BackendId, Service};
use usher_policy::route::ArrayPermit;

/// A lease of the request's destination; of an array, never a member in `tried`.
pub(super) fn lease(
    client: &Client,
    destination: &Destination,
    tried: &[BackendId],
) -> Result<Held, Refusal> {
    match destination {
        Destination::Home(permit) => {
            if client.server.router.is_moving(permit) {
                return Err(Refusal::unavailable("moving"));
            }
            let leased = client.server.router.lease(permit, Service::Http);
            leased.map(Held::Host).map_err(|unavailable| Refusal::unavailable(unavailable.name()))
        }
        Destination::Array { permit, member } => of_member(client, permit, member.as_deref(), tried),
    }
}

fn of_member(
    client: &Client,
    permit: &ArrayPermit,
    member: Option<&str>,
    tried: &[BackendId],
) -> Result<Held, Refusal> {
    let roster = client.server.fleet.roster();
    let none = Refusal::unavailable("no-member");
    let array = roster.array(permit.array()).ok_or(none)?;
    // A client that has logged in on a connection stays with its member.
    let own = array.members.iter().find(|member| {
        member.http.as_ref().is_some_and(|target| client.has_own_to(target)) && !tried.contains(&member.id)
    });
    let wanted = own.map(|member| &*member.id.name).or(member);
    let wanted = wanted.filter(|wanted| tried.iter().all(|tried| &*tried.name != *wanted));
    let there = wanted.and_then(|wanted| roster.lease_of(permit, Service::Http, wanted));
    let source = client.ends.client.ip().to_canonical();
    let lease = there.or_else(|| roster.lease_any(permit, Service::Http, source, tried)).ok_or(none)?;
    Ok(Held::Member(lease))
}
