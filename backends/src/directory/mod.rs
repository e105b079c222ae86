//! Which instance host holds an archive key.
//!
//! The embedded form: one SQLite file that other processes may read and write while usher serves from it.

mod entries;
mod export;
mod flip;
mod import;
mod ledger;
mod merge;
mod outcome;
mod readers;
mod remembered;
mod rename;
mod schema;
mod version;

pub use entries::{ATTRIBUTE_CAP, Entry, Pairs, Placement, attribute_name};
pub(crate) use entries::{key_of, kind, pairs, stored_as};
pub use export::export;
pub use flip::Flip;
pub use ledger::{Ledger, ReadOnly};
pub use outcome::{Conflict, ConflictKind, ImportOptions, ImportPhase, Imported, Sync};
pub use remembered::Found;
pub use rename::Renamed;

use readers::{Reader, Readers};
use remembered::Remembered;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use version::{Version, Versions};

/// What went wrong with the directory. For operators, never for clients.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// An error of SQLite.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file was written by another version of usher.
    #[error("{path}: {what}")]
    Version {
        /// The file.
        path: PathBuf,
        /// How it differs.
        what: String,
    },
    /// A file beside the directory, or the file to be imported, could not be used.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody says yes, and some cannot be asked.
    #[error("who has the user cannot be found out: {0}")]
    Unsure(String),
    /// Several hosts have the user.
    #[error("several hosts have the user: {}; decide with: usher user set", .0.join(", "))]
    Twice(Vec<String>),
    /// A source that is elsewhere has no answer.
    #[error("{0}")]
    Source(String),
    /// A source that is elsewhere was told to make a change, and has not said that it has.
    #[error("{0}; whether it is changed is not known: look before you try again")]
    InDoubt(String),
    /// There is no source that can be written.
    #[error("none of the directory's sources can be written: change it where it is kept")]
    ReadOnly,
    /// Another import is under way.
    #[error("another import is in progress; wait until it has finished")]
    ImportUnderWay,
}

impl DirectoryError {
    /// Whether there was no room for a change.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            Self::Version { .. }
            | Self::Unsure(_)
            | Self::Twice(_)
            | Self::Source(_)
            | Self::InDoubt(_)
            | Self::ReadOnly
            | Self::ImportUnderWay => false,
        }
    }
}

/// The embedded directory.
pub struct Directory {
    path: PathBuf,
    /// Connections that are not in use, for everything but look-ups.
    idle: Mutex<Vec<Connection>>,
    readers: Readers,
    /// How often the directory was replaced by another file: connections to the former one are useless.
    files: AtomicU64,
    remembered: Remembered,
    versions: Versions,
}

impl Directory {
    /// Opens `directory.db` in `state_dir`, creating it if it does not exist.
    ///
    /// # Errors
    /// When the file cannot be opened or was written by a version that this one does not know.
    pub fn open(state_dir: &Path) -> Result<Self, DirectoryError> {
        Self::remembering(state_dir, 1)
    }

    /// Like [`Self::open`], but remembers the last known places of up to `remember` users.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn remembering(state_dir: &Path, remember: u32) -> Result<Self, DirectoryError> {
        let path = state_dir.join("directory.db");
        let connection = schema::open(&path)?;
        let (idle, remembered) = (Mutex::new(vec![connection]), Remembered::new(remember));
        let (readers, files, versions) = Default::default();
        Ok(Self { path, idle, readers, files, remembered, versions })
    }

    /// Runs `work` on state `now` of the directory, or on a later one.
    fn read<T>(
        &self,
        now: Option<Version>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DirectoryError> {
        let files = self.files.load(Ordering::SeqCst);
        let mut reader = match self.readers.take() {
            Some(reader) => reader,
            None => Reader::new(schema::open(&self.path)?),
        };
        let may_stay = self.readers.is_settled(now);
        let result = reader.read(now, may_stay, || self.versions.now(&self.path), work);
        // Whatever went wrong, the next look-up starts over.
        let is_good = result.is_ok() || reader.end().is_ok();
        if is_good && self.files.load(Ordering::SeqCst) == files {
            self.readers.put(reader);
        }
        Ok(result?)
    }

    /// Closes every connection; those in use are closed as soon as they are free.
    fn let_go(&self) {
        self.files.fetch_add(1, Ordering::SeqCst);
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
        self.readers.let_go();
    }

    /// Runs `work` on a connection that nobody else uses.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, DirectoryError>,
    ) -> Result<T, DirectoryError> {
        let files = self.files.load(Ordering::SeqCst);
        let idle = || self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut connection = match idle().pop() {
            Some(connection) => connection,
            None => schema::open(&self.path)?,
        };
        let result = work(&mut connection);
        if self.files.load(Ordering::SeqCst) == files {
            idle().push(connection);
        }
        result
    }
}
