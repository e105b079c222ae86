//! The one writer of the roster. Readers take the picture as it is; whoever changes it makes a new one.

use super::array::Memory;
use super::hold::{AgentWord, HoldKind, Holds, KeyHold, OperatorHold, now};
use super::standing::{Out, Returning, Service, Standing};
use super::{ArrayInService, BackendId, Host, Member, Roster};
use crate::Observer;
use crate::connect::identity::Identity;
use crate::connect::tls::{self, TlsError};
use crate::state::{AddedHost, State, StateError};
use arc_swap::{ArcSwap, Guard};
use rustls::ClientConfig;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use usher_config::ArchiveKey;
use usher_config::snapshot::{Array, InitialState, InstanceHost, Pin};

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
    /// What the picture is made of. Held while a new picture is made, never while a file is written.
    desk: Mutex<Desk>,
    /// One change of what is kept at a time, from the file to the picture.
    state: Mutex<State>,
    observer: Arc<dyn Observer>,
    identity: Arc<Identity>,
}

/// Everything that the roster is made of.
struct Desk {
    /// The configuration file's hosts.
    file: Vec<HostDraft>,
    /// Those that were added at run time. Where the file has one of the same name, that one counts, and this
    /// one again when the file has it no more.
    added: Vec<HostDraft>,
    arrays: Vec<ArrayDraft>,
    /// Holds by the name of the machine.
    operator: HashMap<String, OperatorHold>,
    boot: HashSet<String>,
    moving: HashMap<ArchiveKey, KeyHold>,
    /// What lasts from one roster to the next, by backend.
    kept: HashMap<BackendId, Kept>,
    /// The same of backends that are gone and still have sessions.
    departed: HashMap<BackendId, Kept>,
}

#[derive(Clone)]
struct HostDraft {
    config: Arc<InstanceHost>,
    origin: HostOrigin,
    tls: Option<Arc<ClientConfig>>,
}

#[derive(Clone)]
struct ArrayDraft {
    config: Arc<Array>,
    /// One a member, in the same order.
    tls: Vec<Option<Arc<ClientConfig>>>,
    memory: Arc<Memory>,
}

#[derive(Default)]
struct Kept {
    /// Its gate and its counter, which all rosters share.
    standing: Standing,
    agent: AgentWord,
    out: Vec<Out>,
    returning: Vec<Returning>,
}

/// Hosts and arrays of a configuration, with their TLS made, ready to be put in place.
pub struct Prepared {
    hosts: Vec<HostDraft>,
    arrays: Vec<ArrayDraft>,
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
        let mut desk = Desk {
            file: Vec::new(),
            added: Vec::new(),
            arrays: Vec::new(),
            operator: state.operator_holds()?.into_iter().collect(),
            boot: HashSet::new(),
            moving: state.key_holds()?.into_iter().collect(),
            kept: HashMap::new(),
            departed: HashMap::new(),
        };
        let added = state.hosts()?;
        let (roster, state, identity) = (ArcSwap::default(), Mutex::new(state), Arc::new(identity));
        for host in added {
            match usher_config::load_host(&host.definition) {
                Ok(config) => {
                    let tls = host_tls(&config, &identity, &observer)?;
                    let origin = HostOrigin::Added { since: host.since, by: host.by };
                    desk.added.push(HostDraft { config: Arc::new(config), origin, tls });
                }
                // Another version may have known other keys.
                Err(faults) => observer.added_host_unreadable(&host.name, &faults),
            }
        }
        let fleet = Self { roster, desk: Mutex::new(desk), state, observer, identity };
        let prepared = fleet.prepare(hosts, arrays)?;
        fleet.put_in_place(prepared);
        fleet.restore()?;
        Ok(fleet)
    }

    /// The picture as it is now.
    pub fn roster(&self) -> Guard<Arc<Roster>> {
        self.roster.load()
    }

    /// usher's own certificate towards backends.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Applies `initial_state` after a restart.
    fn restore(&self) -> Result<(), StateError> {
        let mut forgotten = Vec::new();
        {
            let mut desk = self.desk();
            for (name, initial) in desk.initial_states() {
                match initial {
                    InitialState::Remembered => {}
                    InitialState::Started => {
                        if desk.operator.remove(&name).is_some() {
                            forgotten.push(name);
                        }
                    }
                    InitialState::Stopped => {
                        desk.boot.insert(name);
                    }
                }
            }
            self.publish(&mut desk);
        }
        let state = self.state();
        forgotten.iter().try_for_each(|name| state.release(name))
    }

    /// Makes TLS for a configuration's hosts and members; what has not changed keeps its own.
    ///
    /// # Errors
    /// When no TLS can be made towards one of them.
    pub fn prepare(&self, hosts: &[InstanceHost], arrays: &[Array]) -> Result<Prepared, TlsError> {
        let (former_hosts, former_arrays) = {
            let desk = self.desk();
            (desk.file.clone(), desk.arrays.clone())
        };
        let former_hosts: HashMap<_, _> =
            former_hosts.iter().map(|former| (former.config.name.as_str(), former)).collect();
        let draft = |config: &InstanceHost| {
            let former = former_hosts.get(config.name.as_str());
            let (config, tls) = match former.filter(|former| *former.config == *config) {
                Some(former) => (former.config.clone(), former.tls.clone()),
                None => (Arc::new(config.clone()), host_tls(config, &self.identity, &self.observer)?),
            };
            Ok(HostDraft { config, origin: HostOrigin::File, tls })
        };
        let array = |config: &Array| {
            let former = former_arrays.iter().find(|former| former.config.name == config.name);
            if let Some(former) = former.filter(|former| *former.config == *config) {
                return Ok(former.clone());
            }
            let tls = config.members.iter().map(|member| {
                let wants = member.http.as_ref().is_some_and(|http| http.tls);
                self.tls_of(&member.name, &member.pins, wants)
            });
            Ok(ArrayDraft {
                tls: tls.collect::<Result<_, _>>()?,
                config: Arc::new(config.clone()),
                memory: former.map_or_else(Arc::default, |former| former.memory.clone()),
            })
        };
        Ok(Prepared {
            hosts: hosts.iter().map(draft).collect::<Result<_, TlsError>>()?,
            arrays: arrays.iter().map(array).collect::<Result<_, TlsError>>()?,
        })
    }

    /// Puts a configuration in place. Hosts that were added at run time stay. Returns the names of hosts that
    /// are gone.
    pub fn put_in_place(&self, prepared: Prepared) -> Vec<String> {
        let mut desk = self.desk();
        let former = desk.names();
        desk.file = prepared.hosts;
        desk.arrays = prepared.arrays;
        self.publish(&mut desk);
        let now = desk.names();
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
        let mut desk = self.desk();
        desk.operator.insert(name.to_owned(), hold);
        self.publish(&mut desk);
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
        let mut desk = self.desk();
        desk.operator.remove(name);
        desk.boot.remove(name);
        self.publish(&mut desk);
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
        let mut desk = self.desk();
        desk.moving.insert(key.clone(), hold);
        self.publish(&mut desk);
        Ok(())
    }

    /// Lets the logins of `key` go on. False when nothing held them.
    ///
    /// # Errors
    /// When the change cannot be kept.
    pub fn release_key(&self, key: &ArchiveKey) -> Result<bool, FleetError> {
        let state = self.state();
        state.release_key(key)?;
        let mut desk = self.desk();
        let held = desk.moving.remove(key).is_some();
        self.publish(&mut desk);
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
        let tls = host_tls(&config, &self.identity, &self.observer)?;
        let added = AddedHost { name: name.clone(), definition, since: now(), by: by.to_owned() };
        state.put_host(&added)?;
        let origin = HostOrigin::Added { since: added.since, by: added.by };
        let mut desk = self.desk();
        desk.added.retain(|host| host.config.name != name);
        desk.added.push(HostDraft { config: Arc::new(config), origin, tls });
        self.publish(&mut desk);
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
        let mut desk = self.desk();
        desk.added.retain(|host| host.config.name != name);
        if alone {
            desk.operator.remove(name);
            desk.boot.remove(name);
        }
        self.publish(&mut desk);
        Ok(())
    }

    /// Takes `service` of a backend out, for as long as health says so.
    pub fn take_out(&self, id: &BackendId, out: Out) {
        let mut desk = self.desk();
        let Some(kept) = desk.kept.get_mut(id) else { return };
        kept.out.retain(|former| former.service != out.service);
        kept.returning.retain(|returning| returning.service != out.service);
        kept.out.push(out);
        self.publish_one(&mut desk, id);
    }

    /// Takes `service` of a backend back in: little by little over `ramp`, where one is given.
    pub fn take_back(&self, id: &BackendId, service: Service, ramp: Option<Duration>) {
        let mut desk = self.desk();
        let Some(kept) = desk.kept.get_mut(id) else { return };
        kept.out.retain(|out| out.service != service);
        kept.returning.retain(|returning| returning.service != service);
        if let Some(over) = ramp {
            kept.returning.push(Returning { service, since: Instant::now(), over });
        }
        self.publish_one(&mut desk, id);
    }

    /// Notes what a backend's agent says.
    pub fn note_agent(&self, id: &BackendId, word: AgentWord) {
        let mut desk = self.desk();
        let Some(kept) = desk.kept.get_mut(id) else { return };
        if kept.agent != word {
            kept.agent = word;
            self.publish_one(&mut desk, id);
        }
    }

    fn known(&self, name: &str) -> Result<(), FleetError> {
        match self.roster.load().standings(name).next() {
            Some(_) => Ok(()),
            None => Err(FleetError::Unknown(name.to_owned())),
        }
    }

    fn tls_of(&self, name: &str, pins: &[Pin], wants: bool) -> Result<Option<Arc<ClientConfig>>, TlsError> {
        wants.then(|| tls::client_config(name, pins, &self.identity, &self.observer)).transpose()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a new picture that differs in how one backend stands.
    fn publish_one(&self, desk: &mut Desk, id: &BackendId) {
        let mut kept = HashMap::new();
        let standing = desk.stand(id, &mut kept);
        desk.kept.extend(kept);
        let mut roster = Roster::clone(&self.roster.load());
        let in_service = !standing.holds.any();
        let gate = standing.gate.clone();
        match &id.array {
            None => {
                if let Some(host) = roster.hosts.get_mut(&id.name) {
                    *host = Arc::new(host.standing_so(standing));
                }
            }
            Some(array) => {
                if let Some(array) = roster.arrays.get_mut(array) {
                    *array = Arc::new(array.standing_so(id, &standing));
                }
            }
        }
        self.roster.store(Arc::new(roster));
        if in_service {
            gate.open();
        }
    }

    /// Makes a new picture of what is on the desk. Gates close before it can be seen that they do, and open
    /// after, so that nobody gets in by an old one.
    fn publish(&self, desk: &mut Desk) {
        let mut roster = Roster { moving: Arc::new(desk.moving.clone()), ..Roster::default() };
        let mut kept = HashMap::new();
        for draft in desk.hosts() {
            let id = BackendId { array: None, name: draft.config.name.as_str().into() };
            let standing = desk.stand(&id, &mut kept);
            let name = id.name.clone();
            let host = Host { id, config: draft.config, origin: draft.origin, tls: draft.tls, standing };
            roster.hosts.insert(name, Arc::new(host));
        }
        for draft in desk.arrays.clone() {
            let array: Arc<str> = draft.config.name.as_str().into();
            let members = draft.config.members.iter().zip(draft.tls).map(|(config, tls)| {
                let id = BackendId { array: Some(array.clone()), name: config.name.as_str().into() };
                let standing = desk.stand(&id, &mut kept);
                Arc::new(Member { id, config: Arc::new(config.clone()), tls, standing })
            });
            let members = members.collect();
            let array_in_service = ArrayInService { config: draft.config, members, memory: draft.memory };
            roster.arrays.insert(array, Arc::new(array_in_service));
        }
        // Those that are gone take nobody any more. Their sessions still count, and count again for a backend
        // that comes back under their name.
        for (id, gone) in std::mem::take(&mut desk.kept) {
            gone.standing.gate.close();
            if gone.standing.gate.count() > 0 {
                desk.departed.insert(id, gone);
            }
        }
        desk.departed.retain(|_, gone| gone.standing.gate.count() > 0);
        desk.kept = kept;
        self.roster.store(Arc::new(roster));
        for kept in desk.kept.values().filter(|kept| !kept.standing.holds.any()) {
            kept.standing.gate.open();
        }
    }
}

impl Desk {
    /// The hosts that count.
    fn hosts(&self) -> Vec<HostDraft> {
        let named: HashSet<&str> = self.file.iter().map(|host| host.config.name.as_str()).collect();
        let added = self.added.iter().filter(|host| !named.contains(host.config.name.as_str()));
        self.file.iter().chain(added).cloned().collect()
    }

    fn names(&self) -> BTreeSet<String> {
        let all = self.file.iter().chain(&self.added);
        all.map(|host| host.config.name.clone()).collect()
    }

    /// How `id` stands now; what lasts is moved on to `kept`.
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

    fn initial_states(&self) -> Vec<(String, InitialState)> {
        let hosts = self.hosts();
        let hosts = hosts.iter().map(|host| (host.config.name.clone(), host.config.initial_state));
        let members = self.arrays.iter().flat_map(|array| &array.config.members);
        hosts.chain(members.map(|member| (member.name.clone(), member.initial_state))).collect()
    }
}

fn host_tls(
    config: &InstanceHost,
    identity: &Identity,
    observer: &Arc<dyn Observer>,
) -> Result<Option<Arc<ClientConfig>>, TlsError> {
    use usher_config::snapshot::BackendTls;
    let imap = config.imap.tls != BackendTls::None;
    let http = config.http.as_ref().is_some_and(|http| http.tls);
    (imap || http).then(|| tls::client_config(&config.name, &config.pins, identity, observer)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::ConnectFault;
    use crate::health::Report;
    use crate::roster::Shut;

    struct Deaf;

    impl Observer for Deaf {
        fn connected(&self, _: &str, _: Duration) {}
        fn connect_failed(&self, _: &str, _: &ConnectFault) {}
        fn pinned_certificate_ends(&self, _: &str, _: i64, _: bool) {}
        fn added_host_unreadable(&self, _: &str, _: &[usher_config::Fault]) {}
        fn probed(&self, _: &BackendId, _: Service, _: &Report) {}
        fn health_turned(&self, _: &BackendId, _: Service, _: Option<&str>) {}
        fn checker_suspected(&self, _: bool) {}
        fn agent_said(&self, _: &BackendId, _: AgentWord) {}
    }

    fn host(name: &str) -> InstanceHost {
        let text = format!(
            "[[instance_host]]\nname = \"{name}\"\nimap = {{ address = \"127.0.0.1:1\", tls = \"none\" }}"
        );
        usher_config::load_host(&text).unwrap()
    }

    fn fleet(dir: &Path) -> Fleet {
        let identity = Identity::load_or_make(dir, "mail.test").unwrap();
        Fleet::open(dir, &[host("a"), host("b")], &[], identity, Arc::new(Deaf)).unwrap()
    }

    fn lease(fleet: &Fleet, name: &str) -> Result<crate::roster::Lease<Host>, Shut> {
        fleet.roster().host(name).unwrap().lease(Service::Imap)
    }

    #[test]
    fn a_lease_goes_with_the_session_that_panics() {
        let dir = tempfile::tempdir().unwrap();
        let fleet = fleet(dir.path());
        let leased = lease(&fleet, "a").ok().unwrap();
        let session = std::thread::spawn(move || {
            let _leased = leased;
            panic!("a session's bug");
        });
        assert!(session.join().is_err());
        assert_eq!(fleet.roster().host("a").unwrap().standing.leases(), 0);
    }

    /// A picture from before a hold lets nobody in after it.
    #[test]
    fn old_pictures_let_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let fleet = fleet(dir.path());
        let old = fleet.roster().host("a").unwrap().clone();
        fleet.hold("a", HoldKind::Stop, "x", "y").unwrap();
        assert!(matches!(old.lease(Service::Imap), Err(Shut::Draining)));
        assert!(matches!(lease(&fleet, "a"), Err(Shut::Stopped)));
        assert!(lease(&fleet, "b").is_ok());
        assert_eq!(fleet.start("a").unwrap(), Vec::<&str>::new());
        assert!(old.lease(Service::Imap).is_ok());
    }

    /// What health says never undoes what an operator has said, nor the other way round.
    #[test]
    fn holds_are_apart() {
        let dir = tempfile::tempdir().unwrap();
        let fleet = fleet(dir.path());
        let id = fleet.roster().host("a").unwrap().id.clone();
        let out = Out { service: Service::Imap, since: 0, why: "gone".into(), passive: false };
        fleet.hold("a", HoldKind::Drain, "x", "y").unwrap();
        fleet.take_out(&id, out);
        fleet.take_back(&id, Service::Imap, None);
        assert!(matches!(lease(&fleet, "a"), Err(Shut::Draining)));
        fleet.take_out(&id, Out { service: Service::Imap, since: 0, why: "gone".into(), passive: false });
        assert_eq!(fleet.start("a").unwrap(), ["health"]);
        assert!(matches!(lease(&fleet, "a"), Err(Shut::Unhealthy)));
        fleet.take_back(&id, Service::Imap, None);
        assert!(lease(&fleet, "a").is_ok());
        assert!(matches!(fleet.hold("nobody", HoldKind::Stop, "x", "y"), Err(FleetError::Unknown(_))));
    }

    /// The file's host goes before one that was added under the same name, which is there again after it.
    #[test]
    fn the_file_goes_before_what_was_added() {
        let dir = tempfile::tempdir().unwrap();
        let fleet = fleet(dir.path());
        let mut late = host("late");
        late.max_sessions = Some(7);
        let definition = "[[instance_host]]\nname = \"late\"\nimap = { address = \"127.0.0.1:1\", tls = \"none\" }\nmax_sessions = 7";
        fleet.put_host(late.clone(), definition.to_owned(), "x", false).unwrap();
        assert!(matches!(fleet.put_host(late, String::new(), "x", false), Err(FleetError::Exists(_))));
        let most = |fleet: &Fleet| fleet.roster().host("late").map(|host| host.config.max_sessions);
        assert_eq!(most(&fleet), Some(Some(7)));
        let prepared = fleet.prepare(&[host("a"), host("late")], &[]).unwrap();
        assert_eq!(fleet.put_in_place(prepared), ["b"]);
        assert_eq!(most(&fleet), Some(None));
        assert!(matches!(fleet.remove_host("late"), Err(FleetError::InFile(_))));
        let prepared = fleet.prepare(&[host("a")], &[]).unwrap();
        assert!(fleet.put_in_place(prepared).is_empty());
        assert_eq!(most(&fleet), Some(Some(7)));
        fleet.remove_host("late").unwrap();
        assert_eq!(most(&fleet), None);
    }

    /// A machine that is a member as well stays held when the host of its name is removed.
    #[test]
    fn a_removed_host_leaves_its_machine_held() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[server]\nname = \"x\"\nstate_dir = \"/x\"\n[[listener]]\nprotocol = \"tcp\"\n\
            address = \"[::]:1\"\narray = \"a\"\n[[array]]\nname = \"a\"\n\
            members = [{ name = \"late\", tcp = { address = \"127.0.0.1\" } }]";
        let arrays = usher_config::load(text).unwrap().arrays;
        let identity = Identity::load_or_make(dir.path(), "mail.test").unwrap();
        let fleet = Fleet::open(dir.path(), &[], &arrays, identity, Arc::new(Deaf)).unwrap();
        fleet.put_host(host("late"), String::new(), "x", false).unwrap();
        fleet.hold("late", HoldKind::Stop, "x", "y").unwrap();
        assert_eq!(
            fleet.roster().standings("late").filter(|(_, standing)| standing.holds.stopped()).count(),
            2
        );
        fleet.remove_host("late").unwrap();
        let roster = fleet.roster();
        let member = roster.standings("late").next().unwrap().1;
        assert!(member.holds.stopped());
    }

    #[test]
    fn what_is_reconfigured_keeps_its_leases_and_holds() {
        let dir = tempfile::tempdir().unwrap();
        let fleet = fleet(dir.path());
        let leased = lease(&fleet, "a").ok().unwrap();
        fleet.hold("b", HoldKind::Drain, "x", "y").unwrap();
        let mut changed = host("a");
        changed.max_sessions = Some(1);
        let prepared = fleet.prepare(&[changed, host("b"), host("c")], &[]).unwrap();
        assert!(fleet.put_in_place(prepared).is_empty());
        assert!(matches!(lease(&fleet, "a"), Err(Shut::Full)));
        assert!(matches!(lease(&fleet, "b"), Err(Shut::Draining)));
        assert!(lease(&fleet, "c").is_ok());
        drop(leased);
        let _leased = lease(&fleet, "a").ok().unwrap();
        let old = fleet.roster().host("a").unwrap().clone();
        let prepared = fleet.prepare(&[host("b")], &[]).unwrap();
        assert_eq!(fleet.put_in_place(prepared), ["a", "c"]);
        let held = lease(&fleet, "b").err();
        assert_eq!(held, Some(Shut::Draining));
        assert!(old.lease(Service::Imap).is_err(), "it is gone for old pictures as well");
        let back = fleet.prepare(&[host("a"), host("b")], &[]).unwrap();
        fleet.put_in_place(back);
        assert_eq!(fleet.roster().host("a").unwrap().standing.leases(), 1, "whose session is still there");
    }
}
