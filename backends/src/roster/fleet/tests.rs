//! Holds, leases and definitions, over changes of the roster.

use super::*;
use crate::connect::ConnectFault;
use crate::health::Report;
use crate::roster::{Host, Unavailable};
use crate::state::State;
use std::path::Path;

struct Deaf;

impl Observer for Deaf {
    fn connected(&self, _: &str, _: Duration) {}
    fn connect_failed(&self, _: &str, _: &ConnectFault) {}
    fn pinned_certificate_ends(&self, _: &str, _: i64, _: bool) {}
    fn added_host_unusable(&self, _: &str, _: &str) {}
    fn probed(&self, _: &BackendId, _: Service, _: &Report) {}
    fn health_turned(&self, _: &BackendId, _: Service, _: Option<&str>) {}
    fn checker_suspected(&self, _: bool) {}
    fn agent_said(&self, _: &BackendId, _: AgentWord) {}
}

fn definition(name: &str) -> String {
    format!("[[instance_host]]\nname = \"{name}\"\nimap = {{ address = \"127.0.0.1:1\", tls = \"none\" }}\n")
}

fn host(name: &str) -> InstanceHost {
    usher_config::load_host(&definition(name)).unwrap()
}

fn store(dir: &Path) -> Box<dyn Store> {
    Box::new(State::open(dir).unwrap())
}

fn fleet(dir: &Path) -> Fleet {
    let identity = Identity::load_or_make(dir, "mail.test").unwrap();
    Fleet::open(store(dir), &[host("a"), host("b")], &[], identity, Arc::new(Deaf), None).unwrap()
}

fn lease(fleet: &Fleet, name: &str) -> Result<crate::roster::Lease<Host>, Unavailable> {
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
    assert!(matches!(old.lease(Service::Imap), Err(Unavailable::Draining)));
    assert!(matches!(lease(&fleet, "a"), Err(Unavailable::Stopped)));
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
    assert!(matches!(lease(&fleet, "a"), Err(Unavailable::Draining)));
    fleet.take_out(&id, Out { service: Service::Imap, since: 0, why: "gone".into(), passive: false });
    assert_eq!(fleet.start("a").unwrap(), ["health"]);
    assert!(matches!(lease(&fleet, "a"), Err(Unavailable::Unhealthy)));
    fleet.take_back(&id, Service::Imap, None);
    assert!(lease(&fleet, "a").is_ok());
    assert!(matches!(fleet.hold("nobody", HoldKind::Stop, "x", "y"), Err(FleetError::Unknown(_))));
}

/// The file's host goes before one that was added under the same name, which is there again after it.
#[test]
fn the_file_goes_before_what_was_added() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = fleet(dir.path());
    let seven = definition("late") + "max_sessions = 7\n";
    fleet.put_host("late", seven.clone(), "x", false).unwrap();
    assert!(matches!(fleet.put_host("late", seven, "x", false), Err(FleetError::Exists(_))));
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
    let fleet = Fleet::open(store(dir.path()), &[], &arrays, identity, Arc::new(Deaf), None).unwrap();
    fleet.put_host("late", definition("late"), "x", false).unwrap();
    fleet.hold("late", HoldKind::Stop, "x", "y").unwrap();
    assert_eq!(fleet.roster().standings("late").filter(|(_, standing)| standing.holds.stopped()).count(), 2);
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
    assert!(matches!(lease(&fleet, "a"), Err(Unavailable::Full)));
    assert!(matches!(lease(&fleet, "b"), Err(Unavailable::Draining)));
    assert!(lease(&fleet, "c").is_ok());
    drop(leased);
    let _leased = lease(&fleet, "a").ok().unwrap();
    let old = fleet.roster().host("a").unwrap().clone();
    let prepared = fleet.prepare(&[host("b")], &[]).unwrap();
    assert_eq!(fleet.put_in_place(prepared), ["a", "c"]);
    let held = lease(&fleet, "b").err();
    assert_eq!(held, Some(Unavailable::Draining));
    assert!(old.lease(Service::Imap).is_err(), "it is gone for old pictures as well");
    let back = fleet.prepare(&[host("a"), host("b")], &[]).unwrap();
    fleet.put_in_place(back);
    assert_eq!(fleet.roster().host("a").unwrap().standing.leases(), 1, "whose session is still there");
}

/// A change that somebody else has written to the log takes effect like one that was made here.
#[test]
fn the_roster_follows_the_log() {
    type Elsewhere = Arc<Mutex<Option<crate::store::Follower>>>;
    struct Shared(Elsewhere);
    impl Store for Shared {
        fn watch(&mut self, follower: crate::store::Follower) -> Result<Vec<FleetChange>, StoreError> {
            *self.0.lock().unwrap() = Some(follower);
            let hold = OperatorHold { kind: HoldKind::Drain, since: 0, by: "x".into(), why: "y".into() };
            Ok(vec![FleetChange::Hold { name: "a".into(), hold }])
        }
        fn read(&self) -> Result<Vec<FleetChange>, StoreError> {
            Ok(Vec::new())
        }
        fn append(&mut self, _: FleetChange) -> Result<(), StoreError> {
            Err(StoreError::Full)
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::load_or_make(dir.path(), "mail.test").unwrap();
    let elsewhere = Elsewhere::default();
    let store = Box::new(Shared(elsewhere.clone()));
    let fleet = Fleet::open(store, &[host("a")], &[], identity, Arc::new(Deaf), None).unwrap();
    assert!(matches!(lease(&fleet, "a"), Err(Unavailable::Draining)));
    assert!(matches!(fleet.start("a"), Err(FleetError::Store(StoreError::Full))));
    assert!(matches!(lease(&fleet, "a"), Err(Unavailable::Draining)), "nothing has changed");
    let added = AddedHost { name: "late".into(), definition: definition("late"), since: 0, by: "x".into() };
    for change in [FleetChange::Release { name: "a".into() }, FleetChange::PutHost(added)] {
        elsewhere.lock().unwrap().as_ref().unwrap()(change);
    }
    assert!(lease(&fleet, "a").is_ok());
    assert!(lease(&fleet, "late").is_ok());
}

/// Two processes have the same file: what one changes, the other has once it looks.
#[test]
fn what_another_process_changes_is_seen_at_a_look() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (fleet(dir.path()), fleet(dir.path()));
    let key = ArchiveKey::User("anna@example.com".into());
    one.hold("a", HoldKind::Drain, "x", "y").unwrap();
    one.begin_move(&key, MoveEnds { from: "a".into(), to: "b".into() }, "x").unwrap();
    one.put_host("late", definition("late"), "x", false).unwrap();
    assert!(lease(&other, "a").is_ok());
    other.look().unwrap();
    assert!(matches!(lease(&other, "a"), Err(Unavailable::Draining)));
    assert!(other.roster().moving(&key, None).is_some());
    assert!(lease(&other, "late").is_ok());
    one.start("a").unwrap();
    one.release_key(&key).unwrap();
    one.remove_host("late").unwrap();
    other.look().unwrap();
    assert!(lease(&other, "a").is_ok());
    assert!(other.roster().moving(&key, None).is_none());
    assert!(other.roster().host("late").is_none());
}
