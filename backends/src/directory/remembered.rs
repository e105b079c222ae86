//! What the directory last said, for when it cannot be read: an outage of it stops nobody who was here
//! before.

use super::{Directory, DirectoryError, Placement};
use quick_cache::sync::Cache;
use usher_config::ArchiveKey;

/// An answer, and whether it is the directory's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The directory's answer now.
    Now(Option<Placement>),
    /// The directory cannot be read; this is what it last said.
    Remembered(Placement),
}

/// The last known places, as many as fit.
pub(super) struct Remembered(Cache<ArchiveKey, Placement>);

impl Remembered {
    pub(super) fn new(most: u32) -> Self {
        Self(Cache::new(most as usize))
    }
}

impl Directory {
    /// Where the archive of `key` is, or last was as far as is known.
    ///
    /// # Errors
    /// When the file cannot be read and nothing is remembered of this key.
    pub fn find(&self, key: &ArchiveKey) -> Result<Found, DirectoryError> {
        let memory = &self.remembered.0;
        match self.look_up(key) {
            Ok(Some(placement)) => {
                if memory.get(key).as_ref() != Some(&placement) {
                    memory.insert(key.clone(), placement.clone());
                }
                Ok(Found::Now(Some(placement)))
            }
            Ok(None) => {
                memory.remove(key);
                Ok(Found::Now(None))
            }
            Err(error) => memory.get(key).map(Found::Remembered).ok_or(error),
        }
    }
}
