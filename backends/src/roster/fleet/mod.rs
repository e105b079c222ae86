//! The only writer of the roster. Readers use the roster as it is; whoever changes it publishes a new one.

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
use crate::hold::{AgentWord, HoldKind, KeyHold, MoveEnds, OperatorHold, now};
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

/// Why a change was not made. In this case nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// There is no backend of this name.
    #[error("there is no host or member {0:?}")]
    Unknown(String),
    /// The file defines it.
    #[error("{0:?} is defined in the configuration file; change it there and reload")]
    InFile(String),
    /// There is one already.
    #[error("there is already a host {0:?}")]
    Exists(String),
    /// It cannot be saved.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The definition cannot be used.
    #[error(transparent)]
    Definition(#[from] AddedHostFault),
    /// TLS with a host of the file cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The hosts and arrays, and every change to them.
pub struct Fleet {
    publisher: Arc<Publisher>,
    /// One change at a time, from checking whether it may be made until the roster contains it.
    store: Mutex<Box<dyn Store>>,
}

impl Fleet {
    /// Makes the first roster from the file's hosts and arrays, and from what the store keeps. `stopped`: what has been
    /// stopped since the start of a process that this one succeeds; without it, `initial_state` applies.
    ///
    /// # Errors
    /// When the store cannot be read, or no TLS can be made towards a host.
    pub fn open(
        mut store: Box<dyn Store>,
        hosts: &[InstanceHost],
        arrays: &[Array],
        identity: Identity,
        observer: Arc<dyn Observer>,
        stopped: Option<Vec<String>>,
    ) -> Result<Self, FleetError> {
        let publisher = Arc::new(Publisher::new(identity, observer));
        let follower = publisher.clone();
        let kept = store.watch(Box::new(move |change| follower.follow([change])))?;
        publisher.follow(kept);
        let fleet = Self { publisher, store: Mutex::new(store) };
        let prepared = fleet.prepare(hosts, arrays)?;
        fleet.put_in_place(prepared);
        match stopped {
            None => fleet.restore()?,
            Some(stopped) => {
                let mut builder = fleet.publisher.builder();
                builder.boot.extend(stopped);
                builder.publish(&fleet.publisher.roster);
            }
        }
        Ok(fleet)
    }

    /// Returns when the roster has changed.
    pub async fn changed(&self) {
        self.publisher.changed.notified().await;
    }

    /// The current roster.
    pub fn roster(&self) -> Guard<Arc<Roster>> {
        self.publisher.roster.load()
    }

    /// What has been stopped since the start, because `initial_state` says so.
    pub fn stopped_since_start(&self) -> Vec<String> {
        self.publisher.builder().boot.iter().cloned().collect()
    }

    /// Reads again what the store keeps: another process has changed it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look(&self) -> Result<(), FleetError> {
        let store = self.store();
        let kept = store.read()?;
        let gone = self.publisher.missing_from(&kept);
        self.publisher.follow(gone.into_iter().chain(self.publisher.news_of(kept)));
        drop(store);
        Ok(())
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

    /// Puts a configuration in place. Hosts that were added at run time stay. Returns the names of the hosts that have
    /// gone.
    pub fn put_in_place(&self, prepared: Prepared) -> Vec<String> {
        let mut builder = self.publisher.builder();
        let former = builder.names();
        builder.file = prepared.hosts;
        builder.arrays = prepared.arrays;
        builder.publish(&self.publisher.roster);
        let now = builder.names();
        former.difference(&now).cloned().collect()
    }

    /// Takes the machine called `name` out of service, durably once this returns.
    ///
    /// # Errors
    /// If there is nothing of this name, or the hold cannot be saved.
    pub fn hold(&self, name: &str, kind: HoldKind, by: &str, why: &str) -> Result<(), FleetError> {
        let mut store = self.store();
        self.known(name)?;
        let hold = OperatorHold { kind, since: now(), by: by.to_owned(), why: why.to_owned() };
        Ok(store.append(FleetChange::Hold { name: name.to_owned(), hold })?)
    }

    /// Removes every operator's hold on the machine called `name`. Returns what still holds it.
    ///
    /// # Errors
    /// If there is nothing of this name, or the change cannot be saved.
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

    /// Holds the logins of `key`, durably once this returns.
    ///
    /// # Errors
    /// When the hold cannot be kept.
    pub fn hold_key(&self, key: &ArchiveKey, by: &str, why: &str) -> Result<(), FleetError> {
        let hold = KeyHold { since: now(), by: by.to_owned(), why: why.to_owned(), ends: None };
        Ok(self.store().append(FleetChange::HoldKey { key: key.clone(), hold })?)
    }

    /// Holds the logins of `key` while usher moves it, durably once this returns. False if something holds them already.
    ///
    /// # Errors
    /// When the hold cannot be kept.
    pub fn begin_move(&self, key: &ArchiveKey, ends: MoveEnds, by: &str) -> Result<bool, FleetError> {
        let mut store = self.store();
        if self.publisher.builder().moving.contains_key(key) {
            return Ok(false);
        }
        let why = format!("moving from {} to {}", ends.from, ends.to);
        let hold = KeyHold { since: now(), by: by.to_owned(), why, ends: Some(ends) };
        store.append(FleetChange::HoldKey { key: key.clone(), hold })?;
        Ok(true)
    }

    /// Releases the logins of `key`. False if nothing held them.
    ///
    /// # Errors
    /// When the change cannot be kept.
    pub fn release_key(&self, key: &ArchiveKey) -> Result<bool, FleetError> {
        let mut store = self.store();
        let held = self.publisher.builder().moving.contains_key(key);
        store.append(FleetChange::ReleaseKey { key: key.clone() })?;
        Ok(held)
    }

    /// Adds the host `name`, or with `replace` changes one that was added; durably once this returns.
    ///
    /// # Errors
    /// If the file has a host of that name, if there already is one or there is none to replace, or if it cannot be
    /// used or saved.
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
        // What cannot be used must not be saved.
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

    /// Removes a host that was added at run time, durably once this returns. Its sessions continue; it gets no new
    /// ones.
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

    /// Takes `service` of a backend out of service for as long as health says so.
    pub fn take_out(&self, id: &BackendId, out: Out) {
        let mut builder = self.publisher.builder();
        let Some(kept) = builder.kept.get_mut(id) else { return };
        kept.out.retain(|former| former.service != out.service);
        kept.returning.retain(|returning| returning.service != out.service);
        kept.out.push(out);
        builder.publish_one(&self.publisher.roster, id);
    }

    /// Puts `service` of a backend back into service: gradually over `ramp`, if given.
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
