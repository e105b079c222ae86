//! `state.db`: what operators have decided at run time and what must outlive a restart.
//!
//! Apart from the directory, because it is small, changes by hand, and belongs to this node alone.

use rusqlite::{Connection, OptionalExtension};
use std::path::Path;
use std::time::Duration;

/// The version of the tables.
const SCHEMA: u32 = 1;

/// An operator's hold on a host: no new sessions, until it is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorHold {
    /// The instance host.
    pub host: String,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub why: String,
}

/// The file.
pub struct State(Connection);

impl State {
    /// Opens `state.db` in `state_dir`, making it where there is none.
    ///
    /// # Errors
    /// When it cannot be opened, or another version of usher wrote it.
    pub fn open(state_dir: &Path) -> Result<Self, rusqlite::Error> {
        let connection = Connection::open(state_dir.join("state.db"))?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS operator_hold (
                 host TEXT PRIMARY KEY, since INTEGER NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL
             ) WITHOUT ROWID;",
        )?;
        let written: Option<u32> = connection
            .query_row("SELECT value FROM meta WHERE name = 'schema'", [], |row| row.get(0))
            .optional()?;
        match written {
            Some(SCHEMA) => {}
            Some(other) => return Err(rusqlite::Error::IntegralValueOutOfRange(0, i64::from(other))),
            None => {
                connection.execute("INSERT INTO meta VALUES ('schema', ?1)", [SCHEMA])?;
            }
        }
        Ok(Self(connection))
    }

    /// The holds that operators have set.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn operator_holds(&self) -> Result<Vec<OperatorHold>, rusqlite::Error> {
        let mut select = self.0.prepare("SELECT host, since, by, why FROM operator_hold ORDER BY host")?;
        let holds = select.query_map([], |row| {
            Ok(OperatorHold { host: row.get(0)?, since: row.get(1)?, by: row.get(2)?, why: row.get(3)? })
        })?;
        holds.collect()
    }

    /// Sets a hold, for good once this returns.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn hold(&self, hold: &OperatorHold) -> Result<(), rusqlite::Error> {
        self.0.execute(
            "INSERT OR REPLACE INTO operator_hold VALUES (?1, ?2, ?3, ?4)",
            (&hold.host, hold.since, &hold.by, &hold.why),
        )?;
        Ok(())
    }
}
