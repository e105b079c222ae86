//! `state.db`: what operators have decided at run time and what must outlive a restart.
//!
//! Apart from the directory, because it is small, changes by hand, and belongs to this node alone. Every
//! change is on the disk once the call returns.

use crate::bans::Bans;
use crate::directory::{key_of, kind};
use crate::hold::{HoldKind, KeyHold, MoveEnds, OperatorHold};
use crate::store::{AddedHost, FleetChange, Follower, Store, StoreError};
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use usher_policy::ArchiveKey;

/// The version of the tables.
const SCHEMA: u32 = 4;

const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE operator_hold (
        name TEXT PRIMARY KEY, since INTEGER NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL, kind TEXT NOT NULL
    ) WITHOUT ROWID;
";

/// What version 2 brought.
const SECOND: &str = "
    CREATE TABLE key_hold (
        kind INTEGER NOT NULL, key TEXT NOT NULL, since INTEGER NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    CREATE TABLE host (
        name TEXT PRIMARY KEY, definition TEXT NOT NULL, since INTEGER NOT NULL, by TEXT NOT NULL
    ) WITHOUT ROWID;
";

/// What version 3 brought: from where to where usher moves a key, if it does.
const THIRD: &str = "
    ALTER TABLE key_hold ADD COLUMN from_host TEXT;
    ALTER TABLE key_hold ADD COLUMN to_host TEXT;
";

/// What version 4 brought: whose logins are refused.
const FOURTH: &str = "
    CREATE TABLE ban (
        kind INTEGER NOT NULL, subject TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER, by TEXT, why TEXT NOT NULL,
        PRIMARY KEY (kind, subject)
    ) WITHOUT ROWID;
";

/// What each version has brought, from the second on.
const LATER: [&str; 3] = [SECOND, THIRD, FOURTH];

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Sqlite(error),
        }
    }
}

/// The file, which is the store of a single node.
pub struct State {
    file: Arc<Mutex<Connection>>,
    follower: Option<Follower>,
}

impl State {
    /// Opens `state.db` in `state_dir`, making it where there is none and renewing an older version's.
    ///
    /// # Errors
    /// When it cannot be opened, or a later version of usher wrote it.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let path = state_dir.join("state.db");
        let mut connection = Connection::open(&path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let from = match version(&transaction)? {
            Some(found) if found > SCHEMA => return Err(StoreError::Version { path, found, known: SCHEMA }),
            Some(found) => found,
            None => {
                transaction.execute_batch(TABLES)?;
                transaction.execute("INSERT INTO meta VALUES ('schema', ?1)", [SCHEMA])?;
                0
            }
        };
        if from == 1 {
            // Version 1 knew one kind of hold, under which logins were sent away at once.
            transaction.execute_batch(
                "ALTER TABLE operator_hold RENAME COLUMN host TO name;
                 ALTER TABLE operator_hold ADD COLUMN kind TEXT NOT NULL DEFAULT 'stop';",
            )?;
        }
        for brought in LATER.iter().skip(from.saturating_sub(1) as usize) {
            transaction.execute_batch(brought)?;
        }
        if from != SCHEMA {
            transaction.execute("UPDATE meta SET value = ?1 WHERE name = 'schema'", [SCHEMA])?;
        }
        transaction.commit()?;
        Ok(Self { file: Arc::new(Mutex::new(connection)), follower: None })
    }

    /// The bans in it, over the same connection: each takes three descriptors.
    pub fn bans(&self) -> Bans {
        Bans::in_file(self.file.clone())
    }

    fn file(&self) -> MutexGuard<'_, Connection> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The holds of operators, by the names of hosts and members.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn operator_holds(&self) -> Result<Vec<(String, OperatorHold)>, StoreError> {
        let file = self.file();
        let mut select =
            file.prepare("SELECT name, since, by, why, kind FROM operator_hold ORDER BY name")?;
        let holds = select.query_map([], |row| {
            let kind: String = row.get(4)?;
            let kind = if kind == HoldKind::Drain.name() { HoldKind::Drain } else { HoldKind::Stop };
            Ok((row.get(0)?, OperatorHold { kind, since: row.get(1)?, by: row.get(2)?, why: row.get(3)? }))
        })?;
        Ok(holds.collect::<Result<_, _>>()?)
    }

    /// The holds on keys.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn key_holds(&self) -> Result<Vec<(ArchiveKey, KeyHold)>, StoreError> {
        let file = self.file();
        let mut select =
            file.prepare("SELECT kind, key, since, by, why, from_host, to_host FROM key_hold")?;
        let holds = select.query_map([], |row| {
            let ends = row.get::<_, Option<String>>(5)?.zip(row.get(6)?);
            let ends = ends.map(|(from, to)| MoveEnds { from, to });
            let hold = KeyHold { since: row.get(2)?, by: row.get(3)?, why: row.get(4)?, ends };
            Ok((key_of(row.get(0)?, row.get(1)?), hold))
        })?;
        Ok(holds.collect::<Result<_, _>>()?)
    }

    /// The hosts that were added at run time, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn hosts(&self) -> Result<Vec<AddedHost>, StoreError> {
        let file = self.file();
        let mut select = file.prepare("SELECT name, definition, since, by FROM host ORDER BY name")?;
        let hosts = select.query_map([], |row| {
            Ok(AddedHost { name: row.get(0)?, definition: row.get(1)?, since: row.get(2)?, by: row.get(3)? })
        })?;
        Ok(hosts.collect::<Result<_, _>>()?)
    }

    fn write(&self, change: &FleetChange) -> Result<(), StoreError> {
        let mut file = self.file();
        match change {
            FleetChange::Hold { name, hold } => file.execute(
                "INSERT OR REPLACE INTO operator_hold (name, since, by, why, kind) VALUES (?1, ?2, ?3, ?4, ?5)",
                (name, hold.since, &hold.by, &hold.why, hold.kind.name()),
            )?,
            FleetChange::Release { name } => {
                file.execute("DELETE FROM operator_hold WHERE name = ?1", [name])?
            }
            FleetChange::HoldKey { key, hold } => file.execute(
                "INSERT OR REPLACE INTO key_hold VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    kind(key),
                    key.name(),
                    hold.since,
                    &hold.by,
                    &hold.why,
                    hold.ends.as_ref().map(|ends| &ends.from),
                    hold.ends.as_ref().map(|ends| &ends.to),
                ),
            )?,
            FleetChange::ReleaseKey { key } => file
                .execute("DELETE FROM key_hold WHERE kind = ?1 AND key = ?2", (kind(key), key.name()))?,
            FleetChange::PutHost(host) => file.execute(
                "INSERT OR REPLACE INTO host VALUES (?1, ?2, ?3, ?4)",
                (&host.name, &host.definition, host.since, &host.by),
            )?,
            FleetChange::RemoveHost { name, released } => {
                let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let removed = transaction.execute("DELETE FROM host WHERE name = ?1", [name])?;
                if *released {
                    transaction.execute("DELETE FROM operator_hold WHERE name = ?1", [name])?;
                }
                transaction.commit()?;
                removed
            }
        };
        Ok(())
    }
}

impl Store for State {
    fn watch(&mut self, follower: Follower) -> Result<Vec<FleetChange>, StoreError> {
        let kept = self.read()?;
        self.follower = Some(follower);
        Ok(kept)
    }

    fn read(&self) -> Result<Vec<FleetChange>, StoreError> {
        let operators =
            self.operator_holds()?.into_iter().map(|(name, hold)| FleetChange::Hold { name, hold });
        let keys = self.key_holds()?.into_iter().map(|(key, hold)| FleetChange::HoldKey { key, hold });
        let hosts = self.hosts()?.into_iter().map(FleetChange::PutHost);
        Ok(operators.chain(keys).chain(hosts).collect())
    }

    fn append(&mut self, change: FleetChange) -> Result<(), StoreError> {
        self.write(&change)?;
        if let Some(follower) = &self.follower {
            follower(change);
        }
        Ok(())
    }
}

fn version(connection: &Connection) -> Result<Option<u32>, StoreError> {
    let there: u32 =
        connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |row| row.get(0))?;
    if there == 0 {
        return Ok(None);
    }
    let found = connection
        .query_row("SELECT value FROM meta WHERE name = 'schema'", [], |row| row.get(0))
        .optional()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_version_1_keeps_its_holds() {
        let dir = tempfile::tempdir().unwrap();
        let old = Connection::open(dir.path().join("state.db")).unwrap();
        old.execute_batch(
            "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
             INSERT INTO meta VALUES ('schema', 1);
             CREATE TABLE operator_hold (
                 host TEXT PRIMARY KEY, since INTEGER NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL
             ) WITHOUT ROWID;
             INSERT INTO operator_hold VALUES ('ih1', 5, 'anna', 'disks');",
        )
        .unwrap();
        drop(old);
        for _ in 0..2 {
            let state = State::open(dir.path()).unwrap();
            let hold =
                OperatorHold { kind: HoldKind::Stop, since: 5, by: "anna".into(), why: "disks".into() };
            assert_eq!(state.operator_holds().unwrap(), [("ih1".to_owned(), hold)]);
            assert!(state.hosts().unwrap().is_empty());
        }
    }

    #[test]
    fn a_later_version_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        state.file().execute("UPDATE meta SET value = 99", []).unwrap();
        drop(state);
        assert!(matches!(State::open(dir.path()), Err(StoreError::Version { found: 99, .. })));
    }
}
