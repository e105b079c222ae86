//! What is kept over restarts, as a log of changes.
//!
//! The roster is made of what the log tells and of nothing else, so that a change that was made elsewhere takes effect
//! as one that was made here does.

use crate::hold::{KeyHold, OperatorHold};
use usher_policy::ArchiveKey;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetChange {
    /// Takes the machine called `name` out.
    Hold {
        /// Of a host or member.
        name: String,
        /// By whom and why.
        hold: OperatorHold,
    },
    /// Takes the hold on the machine called `name` back.
    Release {
        /// Of a host or member.
        name: String,
    },
    /// Lets the logins of `key` wait.
    HoldKey {
        /// Whose archive is being moved.
        key: ArchiveKey,
        /// By whom and why.
        hold: KeyHold,
    },
    /// Lets the logins of `key` go on.
    ReleaseKey {
        /// Whose archive was being moved.
        key: ArchiveKey,
    },
    /// Adds a host, or gives one that was added another definition.
    PutHost(AddedHost),
    /// Removes a host that was added.
    RemoveHost {
        /// Its name.
        name: String,
        /// Whether a hold on the machine goes as well.
        released: bool,
    },
}

/// A host that was added at run time.
#[derive(Clone, PartialEq, Eq)]
pub struct AddedHost {
    /// Its name.
    pub name: String,
    /// Its `[[instance_host]]` section.
    pub definition: String,
    /// When it was added or last changed, in seconds since 1970.
    pub since: i64,
    /// By whom.
    pub by: String,
}

impl std::fmt::Debug for AddedHost {
    /// Without the definition, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddedHost").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a change cannot be kept, or what is kept cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room for the change; nothing has changed.
    #[error("state.db: the disk is full")]
    Full,
    /// SQLite's error.
    #[error("state.db: {0}")]
    Sqlite(rusqlite::Error),
    /// Another version of usher wrote it.
    #[error("{path}: its schema has version {found}, this usher knows version {known}")]
    Version {
        /// The file.
        path: std::path::PathBuf,
        /// Its version.
        found: u32,
        /// The latest version that this usher reads.
        known: u32,
    },
}

/// Is told of every change, in the order of the log and one at a time. Must not call the store.
pub type Follower = Box<dyn Fn(FleetChange) + Send>;

/// A log of changes, kept over restarts.
pub trait Store: Send {
    /// Returns what is kept, as the changes that lead to it. `follower` is told of every later one.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    fn watch(&mut self, follower: Follower) -> Result<Vec<FleetChange>, StoreError>;

    /// Adds a change. Once this returns, it is kept and the follower has been told.
    ///
    /// # Errors
    /// When it cannot be kept. Nothing has changed then.
    fn append(&mut self, change: FleetChange) -> Result<(), StoreError>;
}
