//! Single entries: look up, set, remove, list.

use super::version::Version;
use super::{Directory, DirectoryError};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use usher_policy::ArchiveKey;
use usher_policy::access::Attributes;

/// The directory's answer to one look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The instance host's name.
    pub host: String,
    /// The key that was found: the user's own, or the domain's.
    pub found_by: ArchiveKey,
    /// What the entry says besides, as it is stored.
    pub attributes: Option<Arc<str>>,
    /// The port of the host, if the source says more of it than its name or address.
    pub port: Option<u16>,
    /// The name by which the host knows the user, if it has another one.
    pub login: Option<Arc<str>>,
}

impl Placement {
    /// What the entry says besides, as access rules compare it.
    pub fn attributes(&self) -> Attributes {
        self.attributes.as_ref().map(|stored| pairs(stored).into_iter().collect()).unwrap_or_default()
    }
}

/// What an entry says besides its host: names and values as they were set.
pub type Pairs = BTreeMap<String, String>;

/// Longest name or value of an attribute, in bytes.
pub const ATTRIBUTE_CAP: usize = 256;

/// The name of an attribute in lower case; `None`: no attribute can have this name.
pub fn attribute_name(written: &str) -> Option<String> {
    let name = written.trim().to_lowercase();
    let is_name = !name.is_empty() && name.len() <= ATTRIBUTE_CAP && !name.contains('=');
    (is_name && !name.chars().any(char::is_control)).then_some(name)
}

/// One entry, with its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is looked up.
    pub key: ArchiveKey,
    /// The instance host's name.
    pub host: String,
    /// When it was set, in seconds since 1970.
    pub set_at: i64,
    /// By whom.
    pub set_by: String,
    /// What it says besides.
    pub attributes: Pairs,
}

const ENTRIES: &str = "SELECT e.kind, e.key, h.name, c.at, c.by, e.attributes FROM entry e \
     JOIN host h ON h.id = e.host JOIN change c ON c.id = e.change";

impl Directory {
    /// Where the archive of `key` is: under its own name or under that of its domain. `None`: nowhere.
    ///
    /// This takes microseconds, so it may be called where sessions run.
    ///
    /// # Errors
    /// If the file cannot be read. Then nothing is known, which does not mean that the key is nowhere.
    pub fn look_up(&self, key: &ArchiveKey) -> Result<Option<Placement>, DirectoryError> {
        self.look_up_in(self.versions.now(&self.path), key)
    }

    /// Where the archive of `key` is in state `now` of the directory, or in a later one.
    pub(super) fn look_up_in(
        &self,
        now: Option<Version>,
        key: &ArchiveKey,
    ) -> Result<Option<Placement>, DirectoryError> {
        // One statement, so that it sees one state of the directory: between two, an import could be swapped in. The
        // second look-up runs only if the first finds nothing; the digit says which one it was.
        let sql = "SELECT coalesce(
            (SELECT '0' || h.name || char(10) || coalesce(e.attributes, '')
                FROM entry e JOIN host h ON h.id = e.host WHERE e.kind = ?1 AND e.key = ?2),
            (SELECT '1' || h.name || char(10) || coalesce(e.attributes, '')
                FROM entry e JOIN host h ON h.id = e.host WHERE e.kind = ?3 AND e.key = ?4))";
        let wider = key.domain();
        let (wider_kind, wider_name) = match &wider {
            Some(domain) => (Some(kind(domain)), Some(domain.name())),
            None => (None, None),
        };
        let found: Option<String> = self.read(now, |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row((kind(key), key.name(), wider_kind, wider_name), |row| row.get(0))
        })?;
        Ok(found.map(|found| {
            let (which, attributes) = found.split_once('\n').unwrap_or((&found, ""));
            let attributes = (!attributes.is_empty()).then(|| attributes.into());
            let (host, found_by) = match (which.strip_prefix('0'), wider) {
                (None, Some(found_by)) => (&which[1..], found_by),
                (own, _) => (own.unwrap_or_default(), key.clone()),
            };
            Placement { host: host.to_owned(), found_by, attributes, port: None, login: None }
        }))
    }

    /// The entry of exactly this key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn get(&self, key: &ArchiveKey) -> Result<Option<Entry>, DirectoryError> {
        self.with(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("{ENTRIES} WHERE e.kind = ?1 AND e.key = ?2"))?;
            Ok(statement.query_row((kind(key), key.name()), entry).optional()?)
        })
    }

    /// Puts `key` on `host`, durably once this returns. `by` says who asked for it.
    ///
    /// Returns the host it was on before.
    ///
    /// # Errors
    /// When the file cannot be written; nothing has changed then.
    pub fn set(&self, key: &ArchiveKey, host: &str, by: &str) -> Result<Option<String>, DirectoryError> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let before = host_of(&transaction, key)?;
            let host = host_id(&transaction, host)?;
            let change = new_change(&transaction, by, Some(key))?;
            transaction.execute(
                "INSERT INTO entry (kind, key, host, change) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (kind, key) DO UPDATE SET host = excluded.host, change = excluded.change",
                (kind(key), key.name(), host, change),
            )?;
            transaction.commit()?;
            self.remembered.forget(Some(key));
            Ok(before)
        })
    }

    /// Puts `key` on `host` if it has no entry, durably once this returns. Returns the host of the entry that it has.
    ///
    /// # Errors
    /// When the file cannot be written; nothing has changed then.
    pub fn add(&self, key: &ArchiveKey, host: &str, by: &str) -> Result<Option<String>, DirectoryError> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let there = host_of(&transaction, key)?;
            if there.is_none() {
                let host = host_id(&transaction, host)?;
                let change = new_change(&transaction, by, Some(key))?;
                transaction.execute(
                    "INSERT INTO entry (kind, key, host, change) VALUES (?1, ?2, ?3, ?4)",
                    (kind(key), key.name(), host, change),
                )?;
            }
            transaction.commit()?;
            self.remembered.forget(Some(key));
            Ok(there)
        })
    }

    /// Sets attributes of `key`, or removes them where the value is `None`; `by` says who asked for it. The names are in
    /// lower case. False if the directory does not have the key.
    ///
    /// # Errors
    /// When the file cannot be written; nothing has changed then.
    pub fn set_attributes(
        &self,
        key: &ArchiveKey,
        changes: &[(String, Option<String>)],
        by: &str,
    ) -> Result<bool, DirectoryError> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let sql = "SELECT attributes FROM entry WHERE kind = ?1 AND key = ?2";
            let stored: Option<Option<String>> =
                transaction.query_row(sql, (kind(key), key.name()), |row| row.get(0)).optional()?;
            let Some(stored) = stored else { return Ok(false) };
            let mut now = stored.map(|stored| pairs(&stored)).unwrap_or_default();
            for (name, value) in changes {
                match value {
                    Some(value) => now.insert(name.clone(), value.clone()),
                    None => now.remove(name),
                };
            }
            let change = new_change(&transaction, by, Some(key))?;
            transaction.execute(
                "UPDATE entry SET attributes = ?3, change = ?4 WHERE kind = ?1 AND key = ?2",
                (kind(key), key.name(), stored_as(&now), change),
            )?;
            transaction.commit()?;
            self.remembered.forget(Some(key));
            Ok(true)
        })
    }

    /// Removes `key`. Returns the host it was on.
    ///
    /// # Errors
    /// When the file cannot be written; nothing has changed then.
    pub fn remove(&self, key: &ArchiveKey, by: &str) -> Result<Option<String>, DirectoryError> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let before = host_of(&transaction, key)?;
            if before.is_some() {
                new_change(&transaction, by, Some(key))?;
                transaction
                    .execute("DELETE FROM entry WHERE kind = ?1 AND key = ?2", (kind(key), key.name()))?;
            }
            transaction.commit()?;
            self.remembered.forget(Some(key));
            Ok(before)
        })
    }

    /// Whether any key is on `host`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn names_host(&self, host: &str) -> Result<bool, DirectoryError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM entry e JOIN host h ON h.id = e.host WHERE h.name = ?1)";
        self.with(|connection| Ok(connection.query_row(sql, [host], |row| row.get(0))?))
    }

    /// How many keys have an entry.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn count(&self) -> Result<u64, DirectoryError> {
        self.with(|connection| Ok(connection.query_row("SELECT count(*) FROM entry", [], |row| row.get(0))?))
    }

    /// At most `most` entries after `after` in key order; only those on `host`, if given.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn page(
        &self,
        host: Option<&str>,
        after: Option<&ArchiveKey>,
        most: u32,
    ) -> Result<Vec<Entry>, DirectoryError> {
        let sql = format!(
            "{ENTRIES} WHERE (e.kind, e.key) > (?1, ?2) AND (?3 IS NULL OR h.name = ?3) \
             ORDER BY e.kind, e.key LIMIT ?4"
        );
        let (after_kind, after_name) = after.map_or((0, ""), |key| (kind(key), key.name()));
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let entries = statement.query_map((after_kind, after_name, host, most), entry)?;
            Ok(entries.collect::<Result<_, _>>()?)
        })
    }

    /// Calls `visit` for every entry in key order (only those on `host`, if given) until it returns false.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn scan(
        &self,
        host: Option<&str>,
        mut visit: impl FnMut(Entry) -> bool,
    ) -> Result<(), DirectoryError> {
        self.with(|connection| {
            let mut statement = connection
                .prepare(&format!("{ENTRIES} WHERE ?1 IS NULL OR h.name = ?1 ORDER BY e.kind, e.key"))?;
            let mut rows = statement.query([host])?;
            while let Some(row) = rows.next()? {
                if !visit(entry(row)?) {
                    break;
                }
            }
            Ok(())
        })
    }
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key: key_of(row.get(0)?, row.get(1)?),
        host: row.get(2)?,
        set_at: row.get(3)?,
        set_by: row.get(4)?,
        attributes: row.get::<_, Option<String>>(5)?.map(|stored| pairs(&stored)).unwrap_or_default(),
    })
}

/// How attributes are stored; `None`: there are none.
pub(crate) fn stored_as(attributes: &Pairs) -> Option<String> {
    (!attributes.is_empty()).then(|| serde_json::to_string(attributes).unwrap_or_default())
}

/// Reads what is stored; what cannot be read says nothing.
pub(crate) fn pairs(stored: &str) -> Pairs {
    serde_json::from_str(stored).unwrap_or_default()
}

/// How a key's kind is stored.
pub(crate) fn kind(key: &ArchiveKey) -> u8 {
    match key {
        ArchiveKey::User(_) => 0,
        ArchiveKey::Tenant(_) => 1,
        ArchiveKey::Domain(_) => 2,
    }
}

/// The key that is stored as `kind` and `name`.
pub(crate) fn key_of(kind: u8, name: String) -> ArchiveKey {
    match kind {
        0 => ArchiveKey::User(name),
        1 => ArchiveKey::Tenant(name),
        _ => ArchiveKey::Domain(name),
    }
}

pub(super) fn host_of(connection: &Connection, key: &ArchiveKey) -> Result<Option<String>, DirectoryError> {
    let sql = "SELECT h.name FROM entry e JOIN host h ON h.id = e.host WHERE e.kind = ?1 AND e.key = ?2";
    Ok(connection.query_row(sql, (kind(key), key.name()), |row| row.get(0)).optional()?)
}

/// The number of the host called `name`, which is assigned if it has none.
pub(super) fn host_id(connection: &Connection, name: &str) -> Result<i64, DirectoryError> {
    connection.execute("INSERT INTO host (name) VALUES (?1) ON CONFLICT (name) DO NOTHING", [name])?;
    Ok(connection.query_row("SELECT id FROM host WHERE name = ?1", [name], |row| row.get(0))?)
}

/// Records a change of `key`, or of many keys at once.
pub(super) fn new_change(
    connection: &Connection,
    by: &str,
    key: Option<&ArchiveKey>,
) -> Result<i64, DirectoryError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    connection.execute(
        "INSERT INTO change (at, by, kind, key) VALUES (?1, ?2, ?3, ?4)",
        (now, by, key.map(kind), key.map(ArchiveKey::name)),
    )?;
    Ok(connection.last_insert_rowid())
}
