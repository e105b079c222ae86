//! Makes the next roster after every change, and puts it in place of the former one.

use super::HostOrigin;
use super::builder::{HostDraft, RosterBuilder};
use super::prepared::host_draft;
use crate::Observer;
use crate::connect::identity::Identity;
use crate::connect::tls::TlsError;
use crate::roster::Roster;
use crate::store::{AddedHost, FleetChange};
use arc_swap::ArcSwap;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use usher_config::Fault;

/// Why a host that was added cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddedHostFault {
    /// This version does not understand its definition.
    #[error("{}", .0.first().map_or("no host", |fault| fault.what.as_str()))]
    Unreadable(Vec<Fault>),
    /// TLS with it cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The current roster, and what the next one is made of.
pub(super) struct Publisher {
    pub(super) roster: ArcSwap<Roster>,
    /// Notified when the roster has changed.
    pub(super) changed: Arc<Notify>,
    /// Held while a new roster is made, never while a file is written.
    builder: Mutex<RosterBuilder>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) identity: Identity,
}

impl Publisher {
    pub(super) fn new(identity: Identity, observer: Arc<dyn Observer>) -> Self {
        let builder = RosterBuilder::default();
        let changed = builder.changed.clone();
        Self { roster: ArcSwap::default(), changed, builder: Mutex::new(builder), observer, identity }
    }

    pub(super) fn builder(&self) -> MutexGuard<'_, RosterBuilder> {
        self.builder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the roster that results from `changes`.
    pub(super) fn follow(&self, changes: impl IntoIterator<Item = FleetChange>) {
        let mut builder = self.builder();
        for change in changes {
            self.apply(&mut builder, change);
        }
        builder.publish(&self.roster);
    }

    /// What has to be undone, as `kept` has it no longer.
    pub(super) fn missing_from(&self, kept: &[FleetChange]) -> Vec<FleetChange> {
        let (mut holds, mut keys, mut hosts) = (HashSet::new(), HashSet::new(), HashSet::new());
        for change in kept {
            match change {
                FleetChange::Hold { name, .. } => drop(holds.insert(name.as_str())),
                FleetChange::HoldKey { key, .. } => drop(keys.insert(key)),
                FleetChange::PutHost(host) => drop(hosts.insert(host.name.as_str())),
                FleetChange::Release { .. }
                | FleetChange::ReleaseKey { .. }
                | FleetChange::RemoveHost { .. } => {}
            }
        }
        let builder = self.builder();
        let released = builder.operator.keys().filter(|name| !holds.contains(name.as_str()));
        let released = released.map(|name| FleetChange::Release { name: name.clone() });
        let moved = builder.moving.keys().filter(|key| !keys.contains(key));
        let moved = moved.map(|key| FleetChange::ReleaseKey { key: key.clone() });
        let removed = builder.definitions.keys().filter(|name| !hosts.contains(name.as_str()));
        let removed = removed.map(|name| FleetChange::RemoveHost { name: name.clone(), released: false });
        released.chain(moved).chain(removed).collect()
    }

    /// What of `kept` is new: hosts that are as they were keep what they have.
    pub(super) fn news_of(&self, kept: Vec<FleetChange>) -> Vec<FleetChange> {
        let builder = self.builder();
        let is_known = |change: &FleetChange| match change {
            FleetChange::PutHost(host) => builder.definitions.get(&host.name) == Some(&host.definition),
            _ => false,
        };
        kept.into_iter().filter(|change| !is_known(change)).collect()
    }

    fn apply(&self, builder: &mut RosterBuilder, change: FleetChange) {
        match change {
            FleetChange::Hold { name, hold } => {
                builder.operator.insert(name, hold);
            }
            FleetChange::Release { name } => builder.release(&name),
            FleetChange::HoldKey { key, hold } => {
                builder.moving.insert(key, hold);
            }
            FleetChange::ReleaseKey { key } => {
                builder.moving.remove(&key);
            }
            FleetChange::PutHost(host) => {
                builder.remove_added(&host.name);
                match self.draft(&host) {
                    Ok(draft) => builder.added.push(draft),
                    // Another version may have accepted other keys.
                    Err(fault) => self.observer.added_host_unusable(&host.name, &fault.to_string()),
                }
                builder.definitions.insert(host.name, host.definition);
            }
            FleetChange::RemoveHost { name, released } => {
                builder.remove_added(&name);
                if released {
                    builder.release(&name);
                }
            }
        }
    }

    /// A host that was added, with its targets prepared.
    pub(super) fn draft(&self, host: &AddedHost) -> Result<HostDraft, AddedHostFault> {
        let config = usher_config::load_host(&host.definition).map_err(AddedHostFault::Unreadable)?;
        let origin = HostOrigin::Added { since: host.since, by: host.by.clone() };
        Ok(host_draft(config, origin, &self.identity, &self.observer)?)
    }
}
