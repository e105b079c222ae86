//! An array as it stands: any of its members can serve anyone.

use super::standing::Standing;
use super::{BackendId, Lease, Service};
use crate::connect::HttpTarget;
use quick_cache::sync::Cache;
use rustls::ClientConfig;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use usher_config::snapshot::{Affinity, Array, Member as MemberConfig};
use usher_policy::pick::{self, Candidate, Draw};

/// Most clients whose member is remembered, per array.
const REMEMBERED: usize = 100_000;

/// A member as it stands.
pub struct Member {
    /// Its array and its name.
    pub id: BackendId,
    /// What the operator says of it.
    pub config: Arc<MemberConfig>,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// How its web service is reached.
    pub http: Option<Arc<HttpTarget>>,
    /// How it stands.
    pub standing: Standing,
}

/// An array as it stands.
pub struct ArrayInService {
    /// What the operator says of it.
    pub config: Arc<Array>,
    /// Its members, in the order of preference.
    pub members: Vec<Arc<Member>>,
    pub(super) memory: Arc<Memory>,
}

/// What an array remembers from one choice to the next, even if the roster changes.
pub(super) struct Memory {
    turn: AtomicU64,
    at: Cache<IpAddr, Arc<str>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { turn: AtomicU64::new(0), at: Cache::new(REMEMBERED) }
    }
}

impl ArrayInService {
    /// The same array with one member's standing replaced.
    pub(super) fn with_standing(&self, id: &BackendId, standing: &Standing) -> Self {
        let member = |member: &Arc<Member>| {
            if member.id != *id {
                return member.clone();
            }
            let (id, config, tls) = (member.id.clone(), member.config.clone(), member.tls.clone());
            Arc::new(Member { id, config, tls, http: member.http.clone(), standing: standing.clone() })
        };
        let members = self.members.iter().map(member).collect();
        Self { config: self.config.clone(), members, memory: self.memory.clone() }
    }

    /// Takes a lease of the member called `name` if it is in service and not full.
    pub(super) fn lease_of(&self, service: Service, name: &str) -> Option<Lease<Member>> {
        let member = self.members.iter().find(|member| &*member.id.name == name)?;
        member.standing.serves(service).then(|| take(member)).flatten()
    }

    /// Chooses a member that is not in `tried` for a client at `source`, and takes a lease of it.
    ///
    /// `None`: no member is left that is in service and not full.
    pub(super) fn lease(
        &self,
        service: Service,
        source: IpAddr,
        tried: &[BackendId],
    ) -> Option<Lease<Member>> {
        let mut left: Vec<&Arc<Member>> = self
            .members
            .iter()
            .filter(|member| member.standing.serves(service) && !tried.contains(&member.id))
            .collect();
        let stays = self.config.affinity == Affinity::Address;
        if stays
            && let Some(name) = self.memory.at.get(&source)
            && let Some(member) = left.iter().find(|member| member.id.name == name)
            && let Some(lease) = take(member)
        {
            return Some(lease);
        }
        let draw = Draw { turn: self.memory.turn.fetch_add(1, Ordering::Relaxed), source };
        while !left.is_empty() {
            let candidates: Vec<_> = left.iter().map(|member| candidate(member, service)).collect();
            let at = pick::choose(self.config.balance, &candidates, draw)?;
            let member = left.swap_remove(at);
            if let Some(lease) = take(member) {
                if stays {
                    self.memory.at.insert(source, member.id.name.clone());
                }
                return Some(lease);
            }
            left.sort_by_key(|member| self.members.iter().position(|other| Arc::ptr_eq(other, member)));
        }
        None
    }
}

/// The reduced share of a returning member is part of its weight already, so only its gate decides.
fn take(member: &Arc<Member>) -> Option<Lease<Member>> {
    member.standing.gate.enter(member.config.max_sessions).ok()?;
    Some(Lease { backend: member.clone(), gate: member.standing.gate.clone() })
}

fn candidate(member: &Member, service: Service) -> Candidate<'_> {
    let percent = f64::from(member.standing.holds.agent.percent) / 100.0;
    Candidate {
        name: &member.id.name,
        weight: f64::from(member.config.weight) * percent * member.standing.share(service),
        sessions: member.standing.leases(),
    }
}
