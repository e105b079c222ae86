//! Another name for an entry.

use super::entries::{host_of, kind, new_change};
use super::{Directory, DirectoryError};
use rusqlite::TransactionBehavior;
use usher_policy::ArchiveKey;

/// What became of a new name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renamed {
    /// The entry, which is on this host, has it.
    Done(String),
    /// There is no entry of the former name.
    Nobody,
    /// Somebody has the new name, on this host.
    Taken(String),
}

impl Directory {
    /// Gives the entry of `from` to `to`, if the one has an entry and the other has none; `by` says who asked for it.
    ///
    /// # Errors
    /// When the file cannot be written; nothing has changed then.
    pub fn rename(&self, from: &ArchiveKey, to: &ArchiveKey, by: &str) -> Result<Renamed, DirectoryError> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(host) = host_of(&transaction, from)? else { return Ok(Renamed::Nobody) };
            if let Some(host) = host_of(&transaction, to)? {
                return Ok(Renamed::Taken(host));
            }
            // Both names are in the log of changes: whoever remembers either forgets it.
            new_change(&transaction, by, Some(from))?;
            let change = new_change(&transaction, by, Some(to))?;
            transaction.execute(
                "UPDATE entry SET kind = ?3, key = ?4, change = ?5 WHERE kind = ?1 AND key = ?2",
                (kind(from), from.name(), kind(to), to.name(), change),
            )?;
            transaction.commit()?;
            self.remembered.forget(Some(from));
            self.remembered.forget(Some(to));
            Ok(Renamed::Done(host))
        })
    }
}
