//! What the directory last said, for when it cannot be read: its outage affects nobody who has been here before.
//!
//! The danger is a user who has been moved since: remembered at the old host, they would be sent to the wrong archive.
//! So usher follows every change recorded in the directory, by whichever process, and forgets what it affects.

use super::version::Version;
use super::{Directory, DirectoryError, Placement, key_of};
use quick_cache::sync::Cache;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;
use usher_policy::ArchiveKey;

/// Changes that are processed one by one; if there are more, everything is forgotten.
const ONE_BY_ONE: usize = 10_000;

/// An answer, and whether it is the directory's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The directory's answer now.
    Now(Option<Placement>),
    /// The directory cannot be read; this is what it last said.
    Remembered(Placement),
}

/// A place, and the state of the directory in which it was found.
#[derive(Clone)]
struct Known {
    placement: Placement,
    version: Option<Version>,
}

/// The last known places, as many as fit.
pub(super) struct Remembered {
    places: Cache<ArchiveKey, Known>,
    /// How often something was forgotten. A look-up that was in progress at the time may have found what is no longer
    /// true.
    forgotten: AtomicU64,
    /// The last change that has been followed.
    followed: Mutex<Option<i64>>,
}

impl Remembered {
    pub(super) fn new(most: u32) -> Self {
        Self { places: Cache::new(most as usize), forgotten: AtomicU64::new(0), followed: Mutex::new(None) }
    }

    /// Forgets where `key` was; for the key of a domain, or for many keys, everything.
    pub(super) fn forget(&self, key: Option<&ArchiveKey>) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        match key {
            Some(key @ (ArchiveKey::User(_) | ArchiveKey::Tenant(_))) => {
                self.places.remove(key);
            }
            Some(ArchiveKey::Domain(_)) | None => self.places.clear(),
        }
    }

    /// Remembers the result of a look-up that began when the counter was at `forgotten`, unless it has advanced since:
    /// either this notices that, or whoever forgets notices the entry.
    fn remember(&self, key: &ArchiveKey, known: Known, forgotten: u64) {
        self.places.insert(key.clone(), known);
        if self.forgotten.load(Ordering::SeqCst) != forgotten {
            self.places.remove(key);
        }
    }
}

impl Directory {
    /// Where the archive of `key` is, or last was as far as is known, for somebody who asked at `asked`: a change that was
    /// made before then has been heard of.
    ///
    /// # Errors
    /// When the file cannot be read and nothing is remembered of this key.
    pub fn find(&self, key: &ArchiveKey, asked: Instant) -> Result<Found, DirectoryError> {
        let places = &self.remembered.places;
        // Read before the look-up, so that what is found is at least as new.
        let forgotten = self.remembered.forgotten.load(Ordering::SeqCst);
        let version = self.versions.since(&self.path, asked);
        if let Some(known) = places.get(key).filter(|known| version.is_some() && known.version == version) {
            return Ok(Found::Now(Some(known.placement)));
        }
        match self.look_up_in(version, key) {
            Ok(Some(placement)) => {
                let known = Known { placement: placement.clone(), version };
                self.remembered.remember(key, known, forgotten);
                Ok(Found::Now(Some(placement)))
            }
            Ok(None) => {
                places.remove(key);
                Ok(Found::Now(None))
            }
            Err(error) => places.get(key).map(|known| Found::Remembered(known.placement)).ok_or(error),
        }
    }

    /// Forgets where `key` was: its archive is being moved.
    pub fn forget(&self, key: &ArchiveKey) {
        self.remembered.forget(Some(key));
    }

    /// Forgets what has been changed since the last call, by whichever process, and ends all idle read transactions.
    /// Returns whether anything has been.
    ///
    /// # Errors
    /// When the file cannot be read; what is remembered stays as it is then.
    pub fn follow_changes(&self) -> Result<bool, DirectoryError> {
        if self.versions.is_another_file(&self.path) {
            // Somebody has put another file in its place: nothing that was opened or remembered belongs to this one.
            self.let_go();
            self.remembered.forget(None);
        }
        self.readers.rest(self.versions.now(&self.path));
        let mut followed = self.remembered.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = self.last_change()?;
        // What was remembered so far may be older than a change that nobody has followed, or newer than all of them, if
        // an older directory was restored.
        let Some(last) = followed.filter(|last| *last <= newest) else {
            *followed = Some(newest);
            self.remembered.forget(None);
            return Ok(true);
        };
        let changes = self.with(|connection| {
            let mut select = connection
                .prepare_cached("SELECT id, kind, key FROM change WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            let changes = select.query_map((last, ONE_BY_ONE), |row| {
                let kind: Option<u8> = row.get(1)?;
                let key: Option<String> = row.get(2)?;
                Ok((row.get::<_, i64>(0)?, kind.zip(key).map(|(kind, key)| key_of(kind, key))))
            })?;
            Ok(changes.collect::<Result<Vec<_>, _>>()?)
        })?;
        if changes.len() == ONE_BY_ONE {
            *followed = Some(newest);
            self.remembered.forget(None);
            return Ok(true);
        }
        let are_some = !changes.is_empty();
        for (id, key) in changes {
            self.remembered.forget(key.as_ref());
            *followed = Some(id);
        }
        Ok(are_some)
    }

    fn last_change(&self) -> Result<i64, DirectoryError> {
        self.with(|connection| {
            Ok(connection.query_row("SELECT coalesce(max(id), 0) FROM change", [], |row| row.get(0))?)
        })
    }
}

#[cfg(test)]
mod tests;
