//! Who is asked where an archive is.

use super::{Directory, DirectoryError, Flip, Found};
use std::sync::Arc;
use tokio::time::Instant;
use usher_policy::ArchiveKey;

/// A source of placements. Must not block a worker; one within this process answers at once.
pub enum Source {
    /// The embedded directory.
    Embedded(Arc<Directory>),
}

impl Source {
    /// Where the archive of `key` is, for somebody who asked at `asked`.
    ///
    /// # Errors
    /// [`DirectoryError`], if there is no answer.
    pub async fn find(&self, key: &ArchiveKey, asked: Instant) -> Result<Found, DirectoryError> {
        match self {
            Self::Embedded(directory) => directory.find(key, asked),
        }
    }

    /// Moves `key` from the host `from` to `to`, which a referral names, unless somebody else has moved it meanwhile.
    ///
    /// # Errors
    /// [`DirectoryError`], if it cannot be written.
    pub async fn learn(&self, key: &ArchiveKey, from: &str, to: &str) -> Result<Flip, DirectoryError> {
        match self {
            Self::Embedded(directory) => {
                let (directory, key) = (directory.clone(), key.clone());
                let (from, to) = (from.to_owned(), to.to_owned());
                let learning = move || directory.flip(&key, &from, &to, &format!("referral of {from}"));
                // The disk is waited for where that delays nobody else.
                let learnt = tokio::task::spawn_blocking(learning).await;
                learnt.unwrap_or_else(|error| Err(DirectoryError::Unsure(error.to_string())))
            }
        }
    }

    /// A word of a closed set, for people and labels.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
        }
    }
}
