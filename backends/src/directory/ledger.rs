//! A directory that can be written, wherever it is.

use super::{
    Conflict, Directory, DirectoryError, Entry, Flip, ImportOptions, ImportPhase, Imported, Placement,
    Renamed,
};
use std::io::Read;
use usher_policy::ArchiveKey;

/// Entries that can be changed. Each call may wait for a disk or for another server, so they belong where that delays
/// nobody else. What was changed is durable once the call returns; `by` says who asked for it.
///
/// All of them fail with [`DirectoryError`] when the directory cannot be read or written. Nothing has changed then, unless it is
/// [`DirectoryError::InDoubt`].
#[allow(clippy::missing_errors_doc)]
pub trait Ledger: Send + Sync {
    /// The name of the source.
    fn name(&self) -> &'static str;

    /// Where the archive of `key` is: under its own name or under that of its domain.
    fn look_up(&self, key: &ArchiveKey) -> Result<Option<Placement>, DirectoryError>;

    /// The same, if no change of `key` is under way; [`DirectoryError::InDoubt`] if one is.
    fn settled(&self, key: &ArchiveKey) -> Result<Option<Placement>, DirectoryError> {
        // Where no change is under way once its call has returned.
        self.look_up(key)
    }

    /// The entry of exactly this key.
    fn get(&self, key: &ArchiveKey) -> Result<Option<Entry>, DirectoryError>;

    /// Puts `key` on `host`. Returns the host it was on before.
    fn set(&self, key: &ArchiveKey, host: &str, by: &str) -> Result<Option<String>, DirectoryError>;

    /// Puts `key` on `host` if it has no entry. Returns the host of the entry that it has.
    fn add(&self, key: &ArchiveKey, host: &str, by: &str) -> Result<Option<String>, DirectoryError>;

    /// Sets attributes of `key`, or removes them where the value is `None`. The names are in lower case. False if the
    /// directory does not have the key.
    fn set_attributes(
        &self,
        key: &ArchiveKey,
        changes: &[(String, Option<String>)],
        by: &str,
    ) -> Result<bool, DirectoryError>;

    /// Removes `key`. Returns the host it was on.
    fn remove(&self, key: &ArchiveKey, by: &str) -> Result<Option<String>, DirectoryError>;

    /// Moves `key` from the host `from` to the host `to`, unless somebody else has moved it. A user who is found by the
    /// entry of the domain gets one, with the same attributes.
    fn flip(&self, key: &ArchiveKey, from: &str, to: &str, by: &str) -> Result<Flip, DirectoryError>;

    /// Gives the entry of `from` to `to`, if the one has an entry and the other has none.
    fn rename(&self, from: &ArchiveKey, to: &ArchiveKey, by: &str) -> Result<Renamed, DirectoryError>;

    /// Whether any key is on `host`.
    fn names_host(&self, host: &str) -> Result<bool, DirectoryError>;

    /// How many keys have an entry.
    fn count(&self) -> Result<u64, DirectoryError>;

    /// At most `most` entries after `after` in key order; only those on `host`, if given.
    fn page(
        &self,
        host: Option<&str>,
        after: Option<&ArchiveKey>,
        most: u32,
    ) -> Result<Vec<Entry>, DirectoryError>;

    /// Calls `visit` for every entry in key order (only those on `host`, if given) until it returns false.
    fn scan(&self, host: Option<&str>, visit: &mut dyn FnMut(Entry) -> bool) -> Result<(), DirectoryError>;

    /// Imports `user,host` lines. Every conflict is reported; if there are any, nothing changes unless the options say so.
    /// Readers see all of it or nothing.
    fn import(
        &self,
        source: &mut dyn Read,
        options: &ImportOptions<'_>,
        conflict: &mut dyn FnMut(&Conflict),
        progress: &mut dyn FnMut(ImportPhase),
    ) -> Result<Imported, DirectoryError>;
}

impl Ledger for Directory {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn look_up(&self, key: &ArchiveKey) -> Result<Option<Placement>, DirectoryError> {
        self.look_up(key)
    }

    fn get(&self, key: &ArchiveKey) -> Result<Option<Entry>, DirectoryError> {
        self.get(key)
    }

    fn set(&self, key: &ArchiveKey, host: &str, by: &str) -> Result<Option<String>, DirectoryError> {
        self.set(key, host, by)
    }

    fn add(&self, key: &ArchiveKey, host: &str, by: &str) -> Result<Option<String>, DirectoryError> {
        self.add(key, host, by)
    }

    fn set_attributes(
        &self,
        key: &ArchiveKey,
        changes: &[(String, Option<String>)],
        by: &str,
    ) -> Result<bool, DirectoryError> {
        self.set_attributes(key, changes, by)
    }

    fn remove(&self, key: &ArchiveKey, by: &str) -> Result<Option<String>, DirectoryError> {
        self.remove(key, by)
    }

    fn flip(&self, key: &ArchiveKey, from: &str, to: &str, by: &str) -> Result<Flip, DirectoryError> {
        self.flip(key, from, to, by)
    }

    fn rename(&self, from: &ArchiveKey, to: &ArchiveKey, by: &str) -> Result<Renamed, DirectoryError> {
        self.rename(from, to, by)
    }

    fn names_host(&self, host: &str) -> Result<bool, DirectoryError> {
        self.names_host(host)
    }

    fn count(&self) -> Result<u64, DirectoryError> {
        self.count()
    }

    fn page(
        &self,
        host: Option<&str>,
        after: Option<&ArchiveKey>,
        most: u32,
    ) -> Result<Vec<Entry>, DirectoryError> {
        self.page(host, after, most)
    }

    fn scan(&self, host: Option<&str>, visit: &mut dyn FnMut(Entry) -> bool) -> Result<(), DirectoryError> {
        self.scan(host, visit)
    }

    fn import(
        &self,
        source: &mut dyn Read,
        options: &ImportOptions<'_>,
        conflict: &mut dyn FnMut(&Conflict),
        progress: &mut dyn FnMut(ImportPhase),
    ) -> Result<Imported, DirectoryError> {
        self.import(source, options, conflict, progress)
    }
}

/// Where all sources are kept by others: nothing can be changed or listed.
pub struct ReadOnly;

impl Ledger for ReadOnly {
    fn name(&self) -> &'static str {
        "none"
    }

    fn look_up(&self, _: &ArchiveKey) -> Result<Option<Placement>, DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }

    fn get(&self, _: &ArchiveKey) -> Result<Option<Entry>, DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }

    fn set(&self, _: &ArchiveKey, _: &str, _: &str) -> Result<Option<String>, DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }

    fn add(&self, _: &ArchiveKey, _: &str, _: &str) -> Result<Option<String>, DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }

    fn set_attributes(
        &self,
        _: &ArchiveKey,
        _: &[(String, Option<String>)],
        _: &str,
    ) -> Result<bool, DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }

    fn remove(&self, _: &ArchiveKey, _: &str) -> Result<Option<String>, DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }

    fn flip(&self, _: &ArchiveKey, _: &str, _: &str, _: &str) -> Result<Flip, DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }

    fn rename(&self, _: &ArchiveKey, _: &ArchiveKey, _: &str) -> Result<Renamed, DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }

    /// Nobody knows.
    fn names_host(&self, _: &str) -> Result<bool, DirectoryError> {
        Ok(false)
    }

    fn count(&self) -> Result<u64, DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }

    fn page(&self, _: Option<&str>, _: Option<&ArchiveKey>, _: u32) -> Result<Vec<Entry>, DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }

    fn scan(&self, _: Option<&str>, _: &mut dyn FnMut(Entry) -> bool) -> Result<(), DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }

    fn import(
        &self,
        _: &mut dyn Read,
        _: &ImportOptions<'_>,
        _: &mut dyn FnMut(&Conflict),
        _: &mut dyn FnMut(ImportPhase),
    ) -> Result<Imported, DirectoryError> {
        Err(DirectoryError::ReadOnly)
    }
}
