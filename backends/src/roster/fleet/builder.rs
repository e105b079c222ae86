//! What a roster is made of, and how one roster becomes the next.

use super::HostOrigin;
use crate::connect::HttpTarget;
use crate::hold::{AgentWord, Holds, KeyHold, OperatorHold};
use crate::roster::array::Memory;
use crate::roster::standing::{Out, Returning, Standing};
use crate::roster::{ArrayInService, BackendId, Host, HostServices, Member, Roster};
use arc_swap::ArcSwap;
use rustls::ClientConfig;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::Notify;
use usher_config::snapshot::{Array, InitialState, InstanceHost};
use usher_policy::ArchiveKey;

/// Everything that the roster is made of.
#[derive(Default)]
pub(super) struct RosterBuilder {
    /// The configuration file's hosts.
    pub(super) file: Vec<HostDraft>,
    /// Those that were added at run time. If the file has one of the same name, that one takes precedence, and this one
    /// is used again once the file no longer has it.
    pub(super) added: Vec<HostDraft>,
    /// The original definitions of the hosts that were added, by name.
    pub(super) definitions: HashMap<String, String>,
    pub(super) arrays: Vec<ArrayDraft>,
    /// Holds by the name of the machine.
    pub(super) operator: HashMap<String, OperatorHold>,
    pub(super) boot: HashSet<String>,
    pub(super) moving: HashMap<ArchiveKey, KeyHold>,
    /// Notified when the roster has changed.
    pub(super) changed: Arc<Notify>,
    /// What lasts from one roster to the next, by backend.
    pub(super) kept: HashMap<BackendId, Kept>,
    /// The same for backends that are gone but still have sessions.
    pub(super) departed: HashMap<BackendId, Kept>,
}

#[derive(Clone)]
pub(super) struct HostDraft {
    pub(super) config: Arc<InstanceHost>,
    pub(super) origin: HostOrigin,
    pub(super) services: HostServices,
}

#[derive(Clone)]
pub(super) struct ArrayDraft {
    pub(super) config: Arc<Array>,
    /// One per member, in the same order.
    pub(super) tls: Vec<Option<Arc<ClientConfig>>>,
    /// The same.
    pub(super) http: Vec<Option<Arc<HttpTarget>>>,
    pub(super) memory: Arc<Memory>,
}

#[derive(Default)]
pub(super) struct Kept {
    /// Its gate and its counter, which all rosters share.
    pub(super) standing: Standing,
    pub(super) agent: AgentWord,
    pub(super) out: Vec<Out>,
    pub(super) returning: Vec<Returning>,
}

impl RosterBuilder {
    /// Publishes a roster that differs only in the standing of one backend.
    pub(super) fn publish_one(&mut self, roster: &ArcSwap<Roster>, id: &BackendId) {
        let mut kept = HashMap::new();
        let standing = self.stand(id, &mut kept);
        self.kept.extend(kept);
        let mut next = Roster::clone(&roster.load());
        let in_service = !standing.holds.any();
        let gate = standing.gate.clone();
        match &id.array {
            None => {
                if let Some(host) = next.hosts.get_mut(&id.name) {
                    *host = Arc::new(host.with_standing(standing));
                }
            }
            Some(array) => {
                if let Some(array) = next.arrays.get_mut(array) {
                    *array = Arc::new(array.with_standing(id, &standing));
                }
            }
        }
        roster.store(Arc::new(next));
        if in_service {
            gate.open();
        }
        self.changed.notify_waiters();
    }

    /// Publishes a new roster. Gates close before that becomes visible and open after it, so that nobody gets in by an
    /// old roster.
    pub(super) fn publish(&mut self, roster: &ArcSwap<Roster>) {
        let mut next = Roster { moving: Arc::new(self.moving.clone()), ..Roster::default() };
        let mut kept = HashMap::new();
        for draft in self.hosts() {
            let id = BackendId { array: None, name: draft.config.name.as_str().into() };
            let standing = self.stand(&id, &mut kept);
            let name = id.name.clone();
            let HostDraft { config, origin, services } = draft;
            let host = Host { id, config, origin, services, standing };
            next.hosts.insert(name, Arc::new(host));
        }
        for draft in self.arrays.clone() {
            let array: Arc<str> = draft.config.name.as_str().into();
            let ways = draft.tls.into_iter().zip(draft.http);
            let members = draft.config.members.iter().zip(ways).map(|(config, (tls, http))| {
                let id = BackendId { array: Some(array.clone()), name: config.name.as_str().into() };
                let standing = self.stand(&id, &mut kept);
                Arc::new(Member { id, config: Arc::new(config.clone()), tls, http, standing })
            });
            let members = members.collect();
            let array_in_service = ArrayInService { config: draft.config, members, memory: draft.memory };
            next.arrays.insert(array, Arc::new(array_in_service));
        }
        // Backends that are gone take nobody new. Their sessions still count, and count again for a backend that
        // returns under the same name.
        for (id, gone) in std::mem::take(&mut self.kept) {
            gone.standing.gate.close();
            if gone.standing.gate.count() > 0 {
                self.departed.insert(id, gone);
            }
        }
        self.departed.retain(|_, gone| gone.standing.gate.count() > 0);
        self.kept = kept;
        roster.store(Arc::new(next));
        for kept in self.kept.values().filter(|kept| !kept.standing.holds.any()) {
            kept.standing.gate.open();
        }
        self.changed.notify_waiters();
    }

    /// Removes an operator's hold on the machine called `name`, whether it was set by a command or at the start.
    pub(super) fn release(&mut self, name: &str) {
        self.operator.remove(name);
        self.boot.remove(name);
    }

    pub(super) fn remove_added(&mut self, name: &str) {
        self.added.retain(|host| host.config.name != name);
        self.definitions.remove(name);
    }

    /// The hosts in effect.
    fn hosts(&self) -> Vec<HostDraft> {
        let named: HashSet<&str> = self.file.iter().map(|host| host.config.name.as_str()).collect();
        let added = self.added.iter().filter(|host| !named.contains(host.config.name.as_str()));
        self.file.iter().chain(added).cloned().collect()
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        let all = self.file.iter().chain(&self.added);
        all.map(|host| host.config.name.clone()).collect()
    }

    /// The current standing of `id`; its lasting state is moved to `kept`.
    fn stand(&mut self, id: &BackendId, kept: &mut HashMap<BackendId, Kept>) -> Standing {
        let mut lasting = self.kept.remove(id).or_else(|| self.departed.remove(id)).unwrap_or_default();
        lasting.standing.holds = Holds {
            operator: self.operator.get(&*id.name).cloned(),
            agent: lasting.agent,
            boot: self.boot.contains(&*id.name),
        };
        lasting.standing.out.clone_from(&lasting.out);
        lasting.standing.returning.clone_from(&lasting.returning);
        if lasting.standing.holds.any() {
            lasting.standing.gate.close();
        }
        let standing = lasting.standing.clone();
        kept.insert(id.clone(), lasting);
        standing
    }

    pub(super) fn initial_states(&self) -> Vec<(String, InitialState)> {
        let hosts = self.hosts();
        let hosts = hosts.iter().map(|host| (host.config.name.clone(), host.config.initial_state));
        let members = self.arrays.iter().flat_map(|array| &array.config.members);
        hosts.chain(members.map(|member| (member.name.clone(), member.initial_state))).collect()
    }
}
