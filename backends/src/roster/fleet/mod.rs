//! The one writer of the roster. Readers take the picture as it is; whoever changes it makes a new one.

mod builder;
mod prepared;
#[cfg(test)]
mod tests;

use super::standing::{Out, Returning};
use super::{BackendId, Roster, Service};
use crate::Observer;
use crate::connect::identity::Identity;
use crate::connect::tls::TlsError;
use crate::hold::{AgentWord, HoldKind, KeyHold, OperatorHold, now};
use crate::state::{AddedHost, State, StateError};
use arc_swap::{ArcSwap, Guard};
use builder::RosterBuilder;
pub use prepared::Prepared;
use prepared::host_draft;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
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
    State(#[from] StateError),
    /// No TLS towards it.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The writer, and the picture that it last made.
pub struct Fleet {
    roster: ArcSwap<Roster>,
    /// Told when it is another one.
    changed: Arc<Notify>,
    /// What the picture is made of. Held while a new picture is made, never while a file is written.
    builder: Mutex<RosterBuilder>,
    /// One change of what is kept at a time, from the file to the picture.
    state: Mutex<State>,
    observer: Arc<dyn Observer>,
    identity: Arc<Identity>,
}

impl Fleet {
    /// Opens `state.db` and makes the first roster: of the file's hosts and arrays, the hosts that were added
    /// at run time, and the holds that are to come back.
    ///
    /// # Errors
    /// When the file cannot be used, or no TLS can be made towards a host.
    pub fn open(
        state_dir: &Path,
        hosts: &[InstanceHost],
        arrays: &[Array],
        identity: Identity,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, FleetError> {
        let state = State::open(state_dir)?;
        let mut builder = RosterBuilder {
            operator: state.operator_holds()?.into_iter().collect(),
            moving: state.key_holds()?.into_iter().collect(),
            ..RosterBuilder::default()
        };
        let added = state.hosts()?;
        let (roster, state, identity) = (ArcSwap::default(), Mutex::new(state), Arc::new(identity));
        for host in added {
            match usher_config::load_host(&host.definition) {
                Ok(config) => {
                    let origin = HostOrigin::Added { since: host.since, by: host.by };
                    builder.added.push(host_draft(config, origin, &identity, &observer)?);
                }
                // Another version may have known other keys.
                Err(faults) => observer.added_host_unreadable(&host.name, &faults),
            }
        }
        let changed = builder.changed.clone();
        let fleet = Self { roster, changed, builder: Mutex::new(builder), state, observer, identity };
        let prepared = fleet.prepare(hosts, arrays)?;
        fleet.put_in_place(prepared);
        fleet.restore()?;
        Ok(fleet)
    }

    /// Returns when the picture is another one.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The picture as it is now.
    pub fn roster(&self) -> Guard<Arc<Roster>> {
        self.roster.load()
    }

    /// Applies `initial_state` after a restart.
    fn restore(&self) -> Result<(), StateError> {
        let mut forgotten = Vec::new();
        {
            let mut builder = self.builder();
            for (name, initial) in builder.initial_states() {
                match initial {
                    InitialState::Remembered => {}
                    InitialState::Started => {
                        if builder.operator.remove(&name).is_some() {
                            forgotten.push(name);
                        }
                    }
                    InitialState::Stopped => {
                        builder.boot.insert(name);
                    }
                }
            }
            builder.publish(&self.roster);
        }
        let state = self.state();
        forgotten.iter().try_for_each(|name| state.release(name))
    }

    /// Puts a configuration in place. Hosts that were added at run time stay. Returns the names of hosts that
    /// are gone.
    pub fn put_in_place(&self, prepared: Prepared) -> Vec<String> {
        let mut builder = self.builder();
        let former = builder.names();
        builder.file = prepared.hosts;
        builder.arrays = prepared.arrays;
        builder.publish(&self.roster);
        let now = builder.names();
        former.difference(&now).cloned().collect()
    }

    /// Takes the machine called `name` out, for good once this returns.
    ///
    /// # Errors
    /// When nobody is called so, or the hold cannot be kept.
    pub fn hold(&self, name: &str, kind: HoldKind, by: &str, why: &str) -> Result<(), FleetError> {
        let state = self.state();
        self.known(name)?;
        let hold = OperatorHold { kind, since: now(), by: by.to_owned(), why: why.to_owned() };
        state.hold(name, &hold)?;
        let mut builder = self.builder();
        builder.operator.insert(name.to_owned(), hold);
        builder.publish(&self.roster);
        Ok(())
    }

    /// Takes every operator's hold on the machine called `name` back. Returns what still holds it.
    ///
    /// # Errors
    /// When nobody is called so, or the change cannot be kept.
    pub fn start(&self, name: &str) -> Result<Vec<&'static str>, FleetError> {
        let state = self.state();
        self.known(name)?;
        state.release(name)?;
        let mut builder = self.builder();
        builder.operator.remove(name);
        builder.boot.remove(name);
        builder.publish(&self.roster);
        let roster = self.roster.load();
        let mut left = Vec::new();
        for (_, standing) in roster.standings(name) {
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
        let state = self.state();
        let hold = KeyHold { since: now(), by: by.to_owned(), why: why.to_owned() };
        state.hold_key(key, &hold)?;
        let mut builder = self.builder();
        builder.moving.insert(key.clone(), hold);
        builder.publish(&self.roster);
        Ok(())
    }

    /// Lets the logins of `key` go on. False when nothing held them.
    ///
    /// # Errors
    /// When the change cannot be kept.
    pub fn release_key(&self, key: &ArchiveKey) -> Result<bool, FleetError> {
        let state = self.state();
        state.release_key(key)?;
        let mut builder = self.builder();
        let held = builder.moving.remove(key).is_some();
        builder.publish(&self.roster);
        Ok(held)
    }

    /// Adds a host, or with `replace` changes one that was added; for good once this returns.
    ///
    /// # Errors
    /// When the file has a host of that name, there is one already or none, or it cannot be kept.
    pub fn put_host(
        &self,
        config: InstanceHost,
        definition: String,
        by: &str,
        replace: bool,
    ) -> Result<(), FleetError> {
        let state = self.state();
        let name = config.name.clone();
        match (self.roster.load().host(&name).map(|host| host.origin.clone()), replace) {
            (Some(HostOrigin::File), _) => return Err(FleetError::InFile(name)),
            (Some(HostOrigin::Added { .. }), false) => return Err(FleetError::Exists(name)),
            (None, true) => return Err(FleetError::Unknown(name)),
            (Some(HostOrigin::Added { .. }), true) | (None, false) => {}
        }
        let added = AddedHost { name: name.clone(), definition, since: now(), by: by.to_owned() };
        let origin = HostOrigin::Added { since: added.since, by: by.to_owned() };
        let draft = host_draft(config, origin, &self.identity, &self.observer)?;
        state.put_host(&added)?;
        let mut builder = self.builder();
        builder.added.retain(|host| host.config.name != name);
        builder.added.push(draft);
        builder.publish(&self.roster);
        Ok(())
    }

    /// The definition of a host that was added at run time.
    ///
    /// # Errors
    /// When there is none, or the file defines it.
    pub fn definition(&self, name: &str) -> Result<String, FleetError> {
        let found = self.state().hosts()?.into_iter().find(|host| host.name == name);
        match (found, self.roster.load().host(name)) {
            (_, Some(host)) if host.origin == HostOrigin::File => Err(FleetError::InFile(name.to_owned())),
            (Some(host), _) => Ok(host.definition),
            (None, _) => Err(FleetError::Unknown(name.to_owned())),
        }
    }

    /// Removes a host that was added at run time, for good once this returns. Its sessions go on; nobody new
    /// gets there.
    ///
    /// # Errors
    /// When there is none, the file defines it, or the change cannot be kept.
    pub fn remove_host(&self, name: &str) -> Result<(), FleetError> {
        let mut state = self.state();
        match self.roster.load().host(name).map(|host| host.origin.clone()) {
            Some(HostOrigin::File) => return Err(FleetError::InFile(name.to_owned())),
            None => return Err(FleetError::Unknown(name.to_owned())),
            Some(HostOrigin::Added { .. }) => {}
        }
        // A member of that name is the same machine, and stays held.
        let alone = self.roster.load().standings(name).count() == 1;
        state.remove_host(name, alone)?;
        let mut builder = self.builder();
        builder.added.retain(|host| host.config.name != name);
        if alone {
            builder.operator.remove(name);
            builder.boot.remove(name);
        }
        builder.publish(&self.roster);
        Ok(())
    }

    /// Takes `service` of a backend out, for as long as health says so.
    pub fn take_out(&self, id: &BackendId, out: Out) {
        let mut builder = self.builder();
        let Some(kept) = builder.kept.get_mut(id) else { return };
        kept.out.retain(|former| former.service != out.service);
        kept.returning.retain(|returning| returning.service != out.service);
        kept.out.push(out);
        builder.publish_one(&self.roster, id);
    }

    /// Takes `service` of a backend back in: little by little over `ramp`, where one is given.
    pub fn take_back(&self, id: &BackendId, service: Service, ramp: Option<Duration>) {
        let mut builder = self.builder();
        let Some(kept) = builder.kept.get_mut(id) else { return };
        kept.out.retain(|out| out.service != service);
        kept.returning.retain(|returning| returning.service != service);
        if let Some(over) = ramp {
            kept.returning.push(Returning { service, since: Instant::now(), over });
            if service == Service::Imap {
                kept.standing.logins.begin();
            }
        }
        builder.publish_one(&self.roster, id);
    }

    /// Notes what a backend's agent says.
    pub fn note_agent(&self, id: &BackendId, word: AgentWord) {
        let mut builder = self.builder();
        let Some(kept) = builder.kept.get_mut(id) else { return };
        if kept.agent != word {
            kept.agent = word;
            builder.publish_one(&self.roster, id);
        }
    }

    fn known(&self, name: &str) -> Result<(), FleetError> {
        match self.roster.load().standings(name).next() {
            Some(_) => Ok(()),
            None => Err(FleetError::Unknown(name.to_owned())),
        }
    }

    fn builder(&self) -> MutexGuard<'_, RosterBuilder> {
        self.builder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
