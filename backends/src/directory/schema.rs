//! The file's tables, and opening it.

use super::DirectoryError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;
use std::time::Duration;
use usher_policy::identity::NORMALISATION;

/// The version of the tables below.
const SCHEMA: u32 = 1;

/// How long a writer waits for another one. Imports hold the lock for a chunk at a time.
const BUSY: Duration = Duration::from_secs(30);

/// Page cache of a connection in KiB: enough for all inner pages of ten million entries, so that a look-up reads a
/// single leaf. Allocated on demand.
const CACHE: i64 = 16 * 1024;

/// `change` says when and by whom. Each entry refers to its change, so that ten million entries of one import share one
/// row. A change of a single key names the key as well, which makes the table a log that an import can replay and a
/// follower can read. `kind`: 0 user, 1 tenant, 2 domain. `attributes` is JSON.
const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE host (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE change (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        by TEXT NOT NULL,
        kind INTEGER,
        key TEXT
    );
";

/// The table of entries under the name `table`: imports build the next one beside the one in use.
pub(super) fn entry_table(table: &str) -> String {
    format!(
        "CREATE TABLE {table} (
            kind INTEGER NOT NULL,
            key TEXT NOT NULL,
            host INTEGER NOT NULL,
            change INTEGER NOT NULL,
            attributes TEXT,
            PRIMARY KEY (kind, key)
        ) WITHOUT ROWID;"
    )
}

pub(super) fn open(path: &Path) -> Result<Connection, DirectoryError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // An acknowledged change survives a power cut, not only a crash of the process.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    // Query plans must not depend on what is looked up, or each look-up would be planned again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    if !has_tables(&connection)? {
        // Several processes may find the file empty; one of them creates the tables.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !has_tables(&transaction)? {
            transaction.execute_batch(TABLES)?;
            transaction.execute_batch(&entry_table("entry"))?;
            for (name, value) in [("schema", SCHEMA), ("normalisation", NORMALISATION)] {
                transaction.execute("INSERT INTO meta VALUES (?1, ?2)", (name, value))?;
            }
        }
        transaction.commit()?;
    }
    for (name, ours) in [("schema", SCHEMA), ("normalisation", NORMALISATION)] {
        let theirs: u32 =
            connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))?;
        if theirs != ours {
            let what = format!("its {name} version is {theirs}, but this usher supports only version {ours}");
            return Err(DirectoryError::Version { path: path.to_owned(), what });
        }
    }
    Ok(connection)
}

fn has_tables(connection: &Connection) -> Result<bool, DirectoryError> {
    let count: u32 =
        connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |row| row.get(0))?;
    Ok(count > 0)
}
