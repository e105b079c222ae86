//! What is kept across restarts, as a log of changes.
//!
//! The roster is made from the log and nothing else, so that a change made elsewhere takes effect like one made here.

use crate::hold::{KeyHold, OperatorHold};
use usher_policy::ArchiveKey;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetChange {
    /// Takes the machine called `name` out of service.
    Hold {
        /// Of a host or member.
        name: String,
        /// By whom and why.
        hold: OperatorHold,
    },
    /// Removes the hold on the machine called `name`.
    Release {
        /// Of a host or member.
        name: String,
    },
    /// Makes the logins of `key` wait.
    HoldKey {
        /// Whose archive is being moved.
        key: ArchiveKey,
        /// By whom and why.
        hold: KeyHold,
    },
    /// Lets the logins of `key` continue.
    ReleaseKey {
        /// Whose archive was being moved.
        key: ArchiveKey,
    },
    /// Adds a host, or gives one that was added a different definition.
    PutHost(AddedHost),
    /// Removes a host that was added.
    RemoveHost {
        /// Its name.
        name: String,
        /// Whether a hold on the machine is removed too.
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
    /// Omits the definition, which may contain secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddedHost").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a change cannot be saved, or why what was saved cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full; nothing has changed.
    #[error("state.db: the disk is full")]
    Full,
    /// An error of SQLite.
    #[error("state.db: {0}")]
    Sqlite(rusqlite::Error),
    /// Another version of usher wrote it.
    #[error("{path}: its schema has version {found}, this usher knows version {known}")]
    Version {
        /// The file.
        path: std::path::PathBuf,
        /// Its version.
        found: u32,
        /// The latest version that this usher can read.
        known: u32,
    },
}

/// Called with every change, in the order of the log and one at a time. Must not call the store.
pub type Follower = Box<dyn Fn(FleetChange) + Send>;

/// A log of changes that survives restarts.
pub trait Store: Send {
    /// Returns what is kept as a list of the changes that led to it. `follower` is called with every later one.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    fn watch(&mut self, follower: Follower) -> Result<Vec<FleetChange>, StoreError>;

    /// What is kept now, as the changes that would lead to it.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self) -> Result<Vec<FleetChange>, StoreError>;

    /// Appends a change. Once this returns, it has been saved and the follower has been called.
    ///
    /// # Errors
    /// If it cannot be saved. In this case nothing has changed.
    fn append(&mut self, change: FleetChange) -> Result<(), StoreError>;
}
