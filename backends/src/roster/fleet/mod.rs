//! The one writer of the roster. Readers take the picture as it is; whoever changes it makes a new one.

mod builder;
mod prepared;
mod publisher;
#[cfg(test)]
mod tests;

use super::standing::{Out, Returning};
use super::{BackendId, Roster, Service};
use crate::Observer;
use crate::connect::identity::Identity;
use crate::connect::tls::TlsError;
use crate::hold::{AgentWord, HoldKind, KeyHold, OperatorHold, now};
use crate::store::{AddedHost, FleetChange, Store, StoreError};
use arc_swap::Guard;
pub use prepared::Prepared;
pub use publisher::AddedHostFault;
use publisher::Publisher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use usher_config::snapshot::{Array, InitialState, InstanceHost};
use usher_policy::ArchiveKey;

/// Where a host is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostOrigin {
    /// In the configuration file.
    File,
    /// At run time, in `state.db`.
    Added {
        /// When, in seconds since 1970.
        since: i64,
        /// By whom.
        by: String,
    },
}

/// Why a change was not made. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// Nobody is called so.
    #[error("there is no host or member {0:?}")]
    Unknown(String),
    /// The file defines it.
    #[error("{0:?} is defined in the configuration file; change it there and reload")]
    InFile(String),
    /// There is one already.
    #[error("there is a host {0:?} already")]
    Exists(String),
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The definition cannot be used.
    #[error(transparent)]
    Definition(#[from] AddedHostFault),
    /// No TLS towards a host of the file.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The hosts and arrays, and every change of them.
pub struct Fleet {
    publisher: Arc<Publisher>,
    /// One change at a time, from the question whether it may be made until the roster has it.
    store: Mutex<Box<dyn Store>>,
}

impl Fleet {
    /// Makes the first roster: of the file's hosts and arrays, and of what the store keeps.
    ///
    /// # Errors
    /// When the store cannot be read, or no TLS can be made towards a host.
    pub fn open(
        mut store: Box<dyn Store>,
        hosts: &[InstanceHost],
        arrays: &[Array],
        identity: Identity,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, FleetError> {
        let publisher = Arc::new(Publisher::new(identity, observer));
        let follower = publisher.clone();
        let kept = store.watch(Box::new(move |change| follower.follow([change])))?;
        publisher.follow(kept);
        let fleet = Self { publisher, store: Mutex::new(store) };
        let prepared = fleet.prepare(hosts, arrays)?;
        fleet.put_in_place(prepared);
        fleet.restore()?;
        Ok(fleet)
    }

    /// Returns when the picture is another one.
    pub async fn changed(&self) {
        self.publisher.changed.notified().await;
    }

    /// The picture as it is now.
    pub fn roster(&self) -> Guard<Arc<Roster>> {
        self.publisher.roster.load()
    }

    /// Applies `initial_state` after a restart.
    fn restore(&self) -> Result<(), StoreError> {
        let mut forgotten = Vec::new();
        {
            let mut builder = self.publisher.builder();
            for (name, initial) in builder.initial_states() {
                match initial {
                    InitialState::Remembered => {}
                    InitialState::Started => {
                        if builder.operator.contains_key(&name) {
                            forgotten.push(name);
                        }
                    }
                    InitialState::Stopped => {
                        builder.boot.insert(name);
                    }
                }
            }
            builder.publish(&self.publisher.roster);
        }
        let mut store = self.store();
        forgotten.into_iter().try_for_each(|name| store.append(FleetChange::Release { name }))
    }

    /// Puts a configuration in place. Hosts that were added at run time stay. Returns the names of hosts that
    /// are gone.
    pub fn put_in_place(&self, prepared: Prepared) -> Vec<String> {
        let mut builder = self.publisher.builder();
        let former = builder.names();
        builder.file = prepared.hosts;
        builder.arrays = prepared.arrays;
        builder.publish(&self.publisher.roster);
        let now = builder.names();
        former.difference(&now).cloned().collect()
    }

    /// Takes the machine called `name` out, for good once this returns.
    ///
    /// # Errors
    /// When nobody is called so, or the hold cannot be kept.
    pub fn hold(&self, name: &str, kind: HoldKind, by: &str, why: &str) -> Result<(), FleetError> {
        let mut store = self.store();
        self.known(name)?;
        let hold = OperatorHold { kind, since: now(), by: by.to_owned(), why: why.to_owned() };
        Ok(store.append(FleetChange::Hold { name: name.to_owned(), hold })?)
    }

    /// Takes every operator's hold on the machine called `name` back. Returns what still holds it.
    ///
    /// # Errors
    /// When nobody is called so, or the change cannot be kept.
    pub fn start(&self, name: &str) -> Result<Vec<&'static str>, FleetError> {
        let mut store = self.store();
        self.known(name)?;
        store.append(FleetChange::Release { name: name.to_owned() })?;
        let mut left = Vec::new();
        for (_, standing) in self.roster().standings(name) {
            left.extend(standing.holds.agent.hold().map(|_| "agent"));
            left.extend(standing.out.first().map(|_| "health"));
        }
        left.dedup();
        Ok(left)
    }

    /// Holds the logins of `key`, for good once this returns.
    ///
    /// # Errors
    /// When the hold cannot be kept.
    pub fn hold_key(&self, key: &ArchiveKey, by: &str, why: &str) -> Result<(), FleetError> {
        let hold = KeyHold { since: now(), by: by.to_owned(), why: why.to_owned() };
        Ok(self.store().append(FleetChange::HoldKey { key: key.clone(), hold })?)
    }

    /// Lets the logins of `key` go on. False when nothing held them.
    ///
    /// # Errors
    /// When the change cannot be kept.
    pub fn release_key(&self, key: &ArchiveKey) -> Result<bool, FleetError> {
        let mut store = self.store();
        let held = self.publisher.builder().moving.contains_key(key);
        store.append(FleetChange::ReleaseKey { key: key.clone() })?;
        Ok(held)
    }

    /// Adds the host `name`, or with `replace` changes one that was added; for good once this returns.
    ///
    /// # Errors
    /// When the file has a host of that name, there is one already or none, or it cannot be used or kept.
    pub fn put_host(
        &self,
        name: &str,
        definition: String,
        by: &str,
        replace: bool,
    ) -> Result<(), FleetError> {
        let mut store = self.store();
        match (self.roster().host(name).map(|host| host.origin.clone()), replace) {
            (Some(HostOrigin::File), _) => return Err(FleetError::InFile(name.to_owned())),
            (Some(HostOrigin::Added { .. }), false) => return Err(FleetError::Exists(name.to_owned())),
            (None, true) => return Err(FleetError::Unknown(name.to_owned())),
            (Some(HostOrigin::Added { .. }), true) | (None, false) => {}
        }
        let host = AddedHost { name: name.to_owned(), definition, since: now(), by: by.to_owned() };
        // What could not be used must not be kept.
        self.publisher.draft(&host)?;
        Ok(store.append(FleetChange::PutHost(host))?)
    }

    /// The definition of a host that was added at run time.
    ///
    /// # Errors
    /// When there is none, or the file defines it.
    pub fn definition(&self, name: &str) -> Result<String, FleetError> {
        if self.roster().host(name).is_some_and(|host| host.origin == HostOrigin::File) {
            return Err(FleetError::InFile(name.to_owned()));
        }
        let found = self.publisher.builder().definitions.get(name).cloned();
        found.ok_or_else(|| FleetError::Unknown(name.to_owned()))
    }

    /// Removes a host that was added at run time, for good once this returns. Its sessions go on; nobody new
    /// gets there.
    ///
    /// # Errors
    /// When there is none, the file defines it, or the change cannot be kept.
    pub fn remove_host(&self, name: &str) -> Result<(), FleetError> {
        let mut store = self.store();
        match self.roster().host(name).map(|host| host.origin.clone()) {
            Some(HostOrigin::File) => return Err(FleetError::InFile(name.to_owned())),
            None => return Err(FleetError::Unknown(name.to_owned())),
            Some(HostOrigin::Added { .. }) => {}
        }
        // A member of that name is the same machine, and stays held.
        let alone = self.roster().standings(name).count() == 1;
        Ok(store.append(FleetChange::RemoveHost { name: name.to_owned(), released: alone })?)
    }

    /// Takes `service` of a backend out, for as long as health says so.
    pub fn take_out(&self, id: &BackendId, out: Out) {
        let mut builder = self.publisher.builder();
        let Some(kept) = builder.kept.get_mut(id) else { return };
        kept.out.retain(|former| former.service != out.service);
        kept.returning.retain(|returning| returning.service != out.service);
        kept.out.push(out);
        builder.publish_one(&self.publisher.roster, id);
    }

    /// Takes `service` of a backend back in: little by little over `ramp`, where one is given.
    pub fn take_back(&self, id: &BackendId, service: Service, ramp: Option<Duration>) {
        let mut builder = self.publisher.builder();
        let Some(kept) = builder.kept.get_mut(id) else { return };
        kept.out.retain(|out| out.service != service);
        kept.returning.retain(|returning| returning.service != service);
        if let Some(over) = ramp {
            kept.returning.push(Returning { service, since: Instant::now(), over });
            if service == Service::Imap {
                kept.standing.logins.begin();
            }
        }
        builder.publish_one(&self.publisher.roster, id);
    }

    /// Notes what a backend's agent says.
    pub fn note_agent(&self, id: &BackendId, word: AgentWord) {
        let mut builder = self.publisher.builder();
        let Some(kept) = builder.kept.get_mut(id) else { return };
        if kept.agent != word {
            kept.agent = word;
            builder.publish_one(&self.publisher.roster, id);
        }
    }

    fn known(&self, name: &str) -> Result<(), FleetError> {
        match self.roster().standings(name).next() {
            Some(_) => Ok(()),
            None => Err(FleetError::Unknown(name.to_owned())),
        }
    }

    fn store(&self) -> MutexGuard<'_, Box<dyn Store>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
