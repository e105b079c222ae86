//! The instance hosts and array members and how they stand: one immutable value, replaced as a whole.
//!
//! Readers never lock. [`Fleet`] is the only writer; sessions must never call it.

mod admission;
mod array;
mod fleet;
mod queue;
mod standing;

pub use crate::backend::{BackendId, Service};
pub use crate::hold::{AgentHold, AgentWord, HoldKind, Holds, KeyHold, MoveEnds, OperatorHold, now};
pub use admission::{AdmissionCounter, Denied};
pub use array::{ArrayInService, Member};
pub use fleet::{AddedHostFault, Fleet, FleetError, HostOrigin, Prepared};
pub use queue::{Logins, UnderWay};
pub use standing::{Out, ServiceState, Standing, Unavailable};

use crate::connect::{HttpTarget, MailTarget};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use usher_config::snapshot::InstanceHost;
use usher_policy::route::{ArrayPermit, Permit};
use usher_policy::{ArchiveKey, Services};

/// How to reach each service of a host.
pub type HostServices = Arc<Services<Arc<MailTarget>, Arc<HttpTarget>>>;

/// One instance host as it stands.
pub struct Host {
    /// Its name.
    pub id: BackendId,
    /// Its configuration.
    pub config: Arc<InstanceHost>,
    /// Where its definition is.
    pub origin: HostOrigin,
    /// How its services are reached.
    pub services: HostServices,
    /// How it stands.
    pub standing: Standing,
}

/// The right to use a backend for one session or request. Counted until it is dropped.
pub struct Lease<B> {
    backend: Arc<B>,
    gate: Arc<AdmissionCounter>,
}

impl<B> Lease<B> {
    /// The backend as it stood when the lease was taken.
    pub fn backend(&self) -> &Arc<B> {
        &self.backend
    }
}

impl<B> Drop for Lease<B> {
    fn drop(&mut self) {
        self.gate.leave();
    }
}

impl Host {
    /// The same host with its standing replaced.
    fn with_standing(&self, standing: Standing) -> Self {
        let (id, config, origin) = (self.id.clone(), self.config.clone(), self.origin.clone());
        Self { id, config, origin, services: self.services.clone(), standing }
    }

    fn lease(self: &Arc<Self>, service: Service) -> Result<Lease<Self>, Unavailable> {
        self.standing.enter(service, self.config.max_sessions)?;
        Ok(Lease { backend: self.clone(), gate: self.standing.gate.clone() })
    }
}

/// All backends and holds.
#[derive(Default, Clone)]
pub struct Roster {
    hosts: BTreeMap<Arc<str>, Arc<Host>>,
    arrays: BTreeMap<Arc<str>, Arc<ArrayInService>>,
    moving: Arc<HashMap<ArchiveKey, KeyHold>>,
}

impl Roster {
    /// The host called `name`.
    pub fn host(&self, name: &str) -> Option<&Arc<Host>> {
        self.hosts.get(name)
    }

    /// Takes a lease of the host of `permit` for `service`. If the host has just come back, logins wait for their turn
    /// first; requests, which cannot wait, are let in.
    ///
    /// # Errors
    /// [`Unavailable`], if anything holds the host or it has all the sessions that it may have: there is no other home.
    pub fn lease(&self, permit: &Permit, service: Service) -> Result<Lease<Host>, Unavailable> {
        self.hosts.get(permit.host()).ok_or(Unavailable::Gone)?.lease(service)
    }

    /// Takes a lease of the member called `name` of the array of `permit` if it is in service and not full.
    pub fn lease_of(&self, permit: &ArrayPermit, service: Service, name: &str) -> Option<Lease<Member>> {
        self.arrays.get(permit.array())?.lease_of(service, name)
    }

    /// Chooses a member of the array of `permit` that is not in `tried` for a client at `source`, and takes a lease of
    /// it.
    ///
    /// `None`: no member is left that is in service and not full.
    pub fn lease_any(
        &self,
        permit: &ArrayPermit,
        service: Service,
        source: IpAddr,
        tried: &[BackendId],
    ) -> Option<Lease<Member>> {
        self.arrays.get(permit.array())?.lease(service, source, tried)
    }

    /// All hosts, by name.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        self.hosts.values()
    }

    /// The array called `name`.
    pub fn array(&self, name: &str) -> Option<&Arc<ArrayInService>> {
        self.arrays.get(name)
    }

    /// All arrays, by name.
    pub fn arrays(&self) -> impl Iterator<Item = &Arc<ArrayInService>> {
        self.arrays.values()
    }

    /// How the backends called `name` stand, as hosts and as members.
    pub fn standings<'r>(&'r self, name: &'r str) -> impl Iterator<Item = (&'r BackendId, &'r Standing)> {
        let host = self.hosts.get(name).map(|host| (&host.id, &host.standing));
        let members = self.arrays.values().flat_map(|array| &array.members);
        let members = members.filter(move |member| &*member.id.name == name);
        host.into_iter().chain(members.map(|member| (&member.id, &member.standing)))
    }

    /// How `id` stands.
    pub fn standing(&self, id: &BackendId) -> Option<&Standing> {
        match &id.array {
            None => self.hosts.get(&id.name).map(|host| &host.standing),
            Some(array) => {
                let member = self.arrays.get(array)?.members.iter().find(|member| member.id == *id)?;
                Some(&member.standing)
            }
        }
    }

    /// The hold on this key, or on the key `found_by` which the directory finds it: a hold on a domain is one on those
    /// whom the domain's entry places.
    pub fn moving(&self, key: &ArchiveKey, found_by: Option<&ArchiveKey>) -> Option<&KeyHold> {
        if self.moving.is_empty() {
            return None;
        }
        self.moving.get(key).or_else(|| self.moving.get(found_by?))
    }

    /// All holds on keys.
    pub fn moving_keys(&self) -> impl Iterator<Item = (&ArchiveKey, &KeyHold)> {
        self.moving.iter()
    }
}
