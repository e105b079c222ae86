//! Which state the directory is in, determined without asking SQLite.
//!
//! In WAL mode each commit, by whichever process, writes a new header into the WAL index, the file next to the database
//! whose name ends in `-shm` (SQLite documents the format, which is the same in all its versions). As long as the
//! header is the same, so is everything that a look-up would find.

use mmap_io::MemoryMappedFile;
use std::cell::Cell;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of the header. There are two copies, which are equal unless the header is just being written.
const HEADER: usize = 48;

/// One state of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(u128);

/// Where the state can be seen.
#[derive(Default)]
pub(super) struct Versions(RwLock<Seen>);

/// The files, as they were when they were first looked at.
#[derive(Default)]
struct Seen {
    /// Which file the database is.
    database: Option<(u64, u64)>,
    /// In memory, as SQLite itself has it: to read it takes no call of the system. SQLite never makes it shorter than the
    /// page with the header.
    index: Option<MemoryMappedFile>,
}

thread_local! {
    /// What this thread has last seen: of which directory, and since when it was so at the latest.
    static LAST: Cell<Option<(usize, Instant, Version)>> = const { Cell::new(None) };
}

impl Versions {
    /// The state of the database at `path` at `asked` or later. Of many that were asked for before one was looked up, each
    /// gets that one's: all of them are answered by a state from after they were asked.
    pub(super) fn since(&self, path: &Path, asked: Instant) -> Option<Version> {
        let this = std::ptr::from_ref(self).addr();
        if let Some((directory, seen, version)) = LAST.get()
            && directory == this
            && seen >= asked
        {
            return Some(version);
        }
        // Before the look: what is seen may be younger than it is said to be, and never older.
        let seen = Instant::now();
        let version = self.now(path)?;
        LAST.set(Some((this, seen, version)));
        Some(version)
    }

    /// The current state of the database at `path`; a look-up that begins now sees this state or a later one. `None`:
    /// it cannot be determined.
    pub(super) fn now(&self, path: &Path) -> Option<Version> {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &seen.index {
            return version(index);
        }
        drop(seen);
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if seen.index.is_none() {
            let mut name = path.as_os_str().to_owned();
            name.push("-shm");
            *seen =
                Seen { database: which(path), index: MemoryMappedFile::open_ro(name).ok().filter(is_there) };
        }
        version(seen.index.as_ref()?)
    }

    /// Whether the database was replaced by another file, which is watched from now on.
    pub(super) fn is_another_file(&self, path: &Path) -> bool {
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_another = seen.database.is_some_and(|known| which(path).is_some_and(|now| now != known));
        if is_another {
            *seen = Seen::default();
        }
        is_another
    }
}

/// Whether the header was there already when the file was looked at.
fn is_there(index: &MemoryMappedFile) -> bool {
    index.len() >= 2 * HEADER as u64
}

/// Which file is at `path`.
fn which(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|there| (there.dev(), there.ino()))
}

fn version(index: &MemoryMappedFile) -> Option<Version> {
    let mut twice = [0; 2 * HEADER];
    index.read_into(0, &mut twice).ok()?;
    let (first, second) = twice.split_at(HEADER);
    let is_written = first == second && first.iter().any(|octet| *octet != 0);
    is_written.then(|| Version(xxh3_128(first)))
}
