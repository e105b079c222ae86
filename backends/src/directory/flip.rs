//! Moves a key from the host that has it to another, unless somebody else has done so meanwhile.

use super::entries::{host_id, host_of, kind, new_change};
use super::{Directory, DirectoryError};
use rusqlite::TransactionBehavior;
use usher_policy::ArchiveKey;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flip {
    /// The key is on the other host, durably.
    Done,
    /// It is not where it was expected, but there, or nowhere. Nothing has changed.
    Elsewhere(Option<String>),
}

impl Directory {
    /// Moves `key` from the host `from` to the host `to`, durably once this returns; `by` says who asked for it. A user who
    /// is found by the entry of the domain gets one, with the same attributes.
    ///
    /// # Errors
    /// When the file cannot be written; nothing has changed then.
    pub fn flip(&self, key: &ArchiveKey, from: &str, to: &str, by: &str) -> Result<Flip, DirectoryError> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let found_by = match host_of(&transaction, key)? {
                Some(_) => Some(key.clone()),
                None => key.domain(),
            };
            let there = match &found_by {
                Some(found_by) => host_of(&transaction, found_by)?,
                None => None,
            };
            let Some(found_by) = found_by.filter(|_| there.as_deref() == Some(from)) else {
                return Ok(Flip::Elsewhere(there));
            };
            let host = host_id(&transaction, to)?;
            let change = new_change(&transaction, by, Some(key))?;
            transaction.execute(
                "INSERT INTO entry (kind, key, host, change, attributes)
                 SELECT ?1, ?2, ?3, ?4, attributes FROM entry WHERE kind = ?5 AND key = ?6
                 ON CONFLICT (kind, key) DO UPDATE SET host = excluded.host, change = excluded.change",
                (kind(key), key.name(), host, change, kind(&found_by), found_by.name()),
            )?;
            transaction.commit()?;
            self.remembered.forget(Some(key));
            Ok(Flip::Done)
        })
    }
}
