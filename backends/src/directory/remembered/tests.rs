use super::*;
use tokio::time::Instant;

fn remembered(directory: &Directory, key: &ArchiveKey) -> Option<String> {
    directory.remembered.places.get(key).map(|known| known.placement.host)
}

#[test]
fn a_user_who_has_moved_is_not_remembered_at_the_old_host() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) =
        (Directory::remembering(dir.path(), 100).unwrap(), Directory::open(dir.path()).unwrap());
    let user = |name: &str| ArchiveKey::User(format!("{name}@example.com"));
    let domain = ArchiveKey::Domain("example.com".to_owned());
    theirs.set(&domain, "ih0", "x").unwrap();
    for name in ["anna", "bert"] {
        theirs.set(&user(name), "ih1", "x").unwrap();
    }
    ours.follow_changes().unwrap();
    let look = || ["anna", "bert", "carl"].map(|name| ours.find(&user(name), Instant::now()).unwrap());
    look();
    theirs.set(&user("anna"), "ih2", "x").unwrap();
    ours.follow_changes().unwrap();
    assert_eq!(remembered(&ours, &user("anna")), None);
    assert_eq!(remembered(&ours, &user("bert")).as_deref(), Some("ih1"), "others are");
    look();
    // This process's own changes at once.
    ours.set(&user("bert"), "ih3", "x").unwrap();
    assert_eq!(remembered(&ours, &user("bert")), None);
    ours.remove(&user("anna"), "x").unwrap();
    assert_eq!(remembered(&ours, &user("anna")), None);
    // A domain's entry stands for users that nobody has listed.
    assert_eq!(remembered(&ours, &user("carl")).as_deref(), Some("ih0"));
    theirs.set(&domain, "ih4", "x").unwrap();
    ours.follow_changes().unwrap();
    assert_eq!(remembered(&ours, &user("carl")), None);
}

/// A move that is committed while a look-up is on its way from reading to remembering.
#[test]
fn what_a_look_up_found_before_a_move_is_not_remembered_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::remembering(dir.path(), 100).unwrap();
    let anna = ArchiveKey::User("anna@example.com".to_owned());
    directory.set(&anna, "ih1", "x").unwrap();
    let forgotten = directory.remembered.forgotten.load(Ordering::SeqCst);
    let placement = directory.look_up(&anna).unwrap().unwrap();
    directory.set(&anna, "ih2", "x").unwrap();
    directory.remembered.remember(&anna, Known { placement, version: None }, forgotten);
    assert_eq!(remembered(&directory, &anna), None);
}

/// A backup that is put back says where users were, and what was learnt since is not true any more.
#[test]
fn an_older_directory_that_is_put_back_makes_all_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::remembering(dir.path(), 100).unwrap();
    let anna = ArchiveKey::User("anna@example.com".to_owned());
    let host = || match directory.find(&anna, Instant::now()).unwrap() {
        Found::Now(placement) => placement.map(|placement| placement.host),
        Found::Remembered(_) => panic!("the directory can be read"),
    };
    directory.set(&anna, "ih1", "x").unwrap();
    let (file, backup) = (dir.path().join("directory.db"), dir.path().join("backup"));
    directory
        .with(|connection| Ok(connection.execute("VACUUM INTO ?1", [backup.to_str().unwrap()])?))
        .unwrap();
    directory.set(&anna, "ih2", "x").unwrap();
    directory.follow_changes().unwrap();
    assert_eq!(host().as_deref(), Some("ih2"));
    std::fs::rename(&backup, &file).unwrap();
    // The log of the former file goes with it.
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.path().join(format!("directory.db{end}")));
    }
    directory.follow_changes().unwrap();
    assert_eq!(remembered(&directory, &anna), None);
    assert_eq!(host().as_deref(), Some("ih1"));
    directory.set(&anna, "ih3", "x").unwrap();
    assert_eq!(host().as_deref(), Some("ih3"));
}

/// What was found before is the answer as long as nothing at all has changed, and never once it has: here
/// another process moves a user two thousand times, and each look-up after it must see the move.
#[test]
fn a_change_by_anybody_is_seen_by_the_next_look_up() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) =
        (Directory::remembering(dir.path(), 100).unwrap(), Directory::open(dir.path()).unwrap());
    let anna = ArchiveKey::User("anna@example.com".to_owned());
    let ben = ArchiveKey::User("ben@example.com".to_owned());
    theirs.set(&ben, "ih0", "x").unwrap();
    let host = |key: &ArchiveKey| match ours.find(key, Instant::now()).unwrap() {
        Found::Now(placement) => placement.map(|placement| placement.host),
        Found::Remembered(_) => panic!("the directory can be read"),
    };
    assert_eq!(host(&anna), None);
    for at in 0..2000 {
        let name = format!("ih{}", at % 7);
        theirs.set(&anna, &name, "x").unwrap();
        for _ in 0..3 {
            assert_eq!(host(&anna).as_deref(), Some(name.as_str()));
            assert_eq!(host(&ben).as_deref(), Some("ih0"));
        }
    }
    let before = ours.versions.now(&ours.path).unwrap();
    assert_eq!(ours.versions.now(&ours.path), Some(before));
    theirs.remove(&anna, "x").unwrap();
    assert_ne!(ours.versions.now(&ours.path), Some(before));
    assert_eq!(host(&anna), None);
    // A checkpoint moves everything into the database and begins the log anew: while there are changes nobody
    // goes on looking at what is in it.
    ours.look_up(&ben).unwrap();
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let busy =
        theirs.with(|connection| Ok(connection.query_row(checkpoint, (), |row| row.get::<_, bool>(0))?));
    assert!(!busy.unwrap());
    assert_eq!(host(&ben).as_deref(), Some("ih0"));
    theirs.set(&ben, "ih9", "x").unwrap();
    assert_eq!(host(&ben).as_deref(), Some("ih9"));
}

/// A directory that is quiet is looked at on and on; that ends with a change, and when nobody asks.
#[test]
fn a_quiet_directory_is_held_and_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) =
        (Directory::remembering(dir.path(), 100).unwrap(), Directory::open(dir.path()).unwrap());
    let user = |name: &str| ArchiveKey::User(format!("{name}@example.com"));
    let host = |name: &str| ours.look_up(&user(name)).unwrap().map(|placement| placement.host);
    let is_held = || {
        let checkpoint = "PRAGMA wal_checkpoint(RESTART)";
        let busy = |connection: &mut rusqlite::Connection| {
            connection.busy_timeout(std::time::Duration::ZERO)?;
            Ok(connection.query_row(checkpoint, (), |row| row.get::<_, bool>(0))?)
        };
        theirs.with(busy).unwrap()
    };
    theirs.set(&user("anna"), "ih1", "x").unwrap();
    assert_eq!(host("anna").as_deref(), Some("ih1"));
    assert!(!is_held(), "it has just changed");
    ours.follow_changes().unwrap();
    ours.follow_changes().unwrap();
    assert_eq!(host("anna").as_deref(), Some("ih1"));
    // Something to be cleared.
    theirs.set(&user("ben"), "ih2", "x").unwrap();
    assert!(is_held());
    assert_eq!(host("ben").as_deref(), Some("ih2"), "a change is seen at once");
    assert!(!is_held(), "and nothing is held after it");
    ours.follow_changes().unwrap();
    ours.follow_changes().unwrap();
    assert_eq!(host("ben").as_deref(), Some("ih2"));
    theirs.set(&user("carl"), "ih3", "x").unwrap();
    assert!(is_held());
    ours.follow_changes().unwrap();
    assert!(!is_held(), "nobody asks");
}

/// Moves and look-ups at the same time, from threads: who looks after a move has been acknowledged sees it.
#[test]
fn no_look_up_is_older_than_an_acknowledged_move() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) =
        (Directory::remembering(dir.path(), 100).unwrap(), Directory::open(dir.path()).unwrap());
    let anna = ArchiveKey::User("anna@example.com".to_owned());
    theirs.set(&anna, "ih0", "x").unwrap();
    let acknowledged = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let least = acknowledged.load(Ordering::Acquire);
                        let Found::Now(Some(found)) = ours.find(&anna, Instant::now()).unwrap() else {
                            panic!("gone")
                        };
                        let at: u64 = found.host.strip_prefix("ih").unwrap().parse().unwrap();
                        assert!(at >= least, "{at} is older than {least}");
                        if least == 1000 {
                            return;
                        }
                    }
                })
            })
            .collect();
        for at in 1..=1000 {
            theirs.set(&anna, &format!("ih{at}"), "x").unwrap();
            acknowledged.store(at, Ordering::Release);
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}
