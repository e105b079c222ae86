//! Which state the directory is in, determined without asking SQLite.
//!
//! In WAL mode each commit, by whichever process, writes a new header into the WAL index, the file next to the database
//! whose name ends in `-shm` (SQLite documents the format, which is the same in all its versions). As long as the
//! header is the same, so is everything that a look-up would find.

use mmap_io::{MemoryMappedFile, MmapIoError};
use rustix::io::Errno;
use std::cell::Cell;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
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
    database: Option<FileId>,
    index: Option<Index>,
}

/// The WAL index, which stays open: to close it would end the locks that SQLite has on it in this process (POSIX.1-2017,
/// `fcntl`).
struct Index {
    /// Which file it is.
    id: FileId,
    /// In memory, as SQLite itself has it: to read it takes no call of the system. SQLite cuts it to three octets when
    /// nobody else has the database open, and then writes another header into the same page. `None`: it cannot be had so,
    /// which is not tried again.
    memory: Option<MemoryMappedFile>,
}

/// Its device and its number there.
type FileId = (u64, u64);

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
        if seen.database.is_none() {
            seen.database = which(path);
        }
        if seen.index.is_none() && seen.database.is_some() {
            seen.index = open(&index_of(path));
        }
        version(seen.index.as_ref()?)
    }

    /// Whether the database was replaced by another file, which is watched from now on.
    pub(super) fn is_another_file(&self, path: &Path) -> bool {
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_another = |known: Option<FileId>, path: &Path| {
            known.is_some_and(|known| which(path).is_some_and(|now| now != known))
        };
        if is_another(seen.database, path) {
            *seen = Seen::default();
            return true;
        }
        // One that belonged to the former file, and was there for a moment after it: nobody else has locks on it.
        if is_another(seen.index.as_ref().map(|index| index.id), &index_of(path)) {
            seen.index = None;
        }
        false
    }
}

fn index_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-shm");
    name.into()
}

/// The index, once its header is there; until then it is not opened, since that could not be undone.
fn open(path: &Path) -> Option<Index> {
    let there = std::fs::metadata(path).ok().filter(|there| there.len() >= 2 * HEADER as u64)?;
    let id = (there.dev(), there.ino());
    match MemoryMappedFile::open_ro(path) {
        Ok(memory) => Some(Index { id, memory: Some(memory) }),
        // It was not even opened, for lack of descriptors or because it has just gone.
        Err(MmapIoError::Io(error))
            if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NOENT)) =>
        {
            None
        }
        Err(_) => Some(Index { id, memory: None }),
    }
}

/// Which file is at `path`.
fn which(path: &Path) -> Option<FileId> {
    std::fs::metadata(path).ok().map(|there| (there.dev(), there.ino()))
}

fn version(index: &Index) -> Option<Version> {
    let mut twice = [0; 2 * HEADER];
    index.memory.as_ref()?.read_into(0, &mut twice).ok()?;
    let (first, second) = twice.split_at(HEADER);
    let is_written = first == second && first.iter().any(|octet| *octet != 0);
    is_written.then(|| Version(xxh3_128(first)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    const PAGE: usize = 4096;

    /// A database in a directory of its own, whose index has these octets.
    fn database(index: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("directory.db");
        fs::write(&path, "").unwrap();
        fs::write(directory.path().join("directory.db-shm"), index).unwrap();
        (directory, path)
    }

    #[test]
    fn an_index_is_opened_once_its_header_is_there() {
        // What SQLite leaves of it before it writes a new one.
        let (directory, path) = database(&[0; 3]);
        let versions = Versions::default();
        assert_eq!(versions.now(&path), None);
        assert!(versions.0.read().unwrap().index.is_none(), "it could only be closed again");
        let mut index =
            OpenOptions::new().append(true).open(directory.path().join("directory.db-shm")).unwrap();
        index.write_all(&[0; PAGE - 3]).unwrap();
        assert_eq!(versions.now(&path), None, "the header is not written yet");
        fs::write(directory.path().join("directory.db-shm"), [7; PAGE]).unwrap();
        let version = versions.now(&path);
        assert!(version.is_some());
        assert_eq!(versions.now(&path), version);
    }

    #[test]
    fn an_index_that_is_cut_and_written_again_is_followed() {
        let (directory, path) = database(&[7; PAGE]);
        let versions = Versions::default();
        let before = versions.now(&path).unwrap();
        let index = OpenOptions::new().write(true).open(directory.path().join("directory.db-shm")).unwrap();
        index.set_len(3).unwrap();
        assert_eq!(versions.now(&path), None);
        index.set_len(PAGE as u64).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&index, &[8; 2 * HEADER], 0).unwrap();
        assert_ne!(versions.now(&path).unwrap(), before);
    }

    #[test]
    fn an_index_that_belonged_to_a_former_file_is_let_go() {
        let (directory, path) = database(&[7; PAGE]);
        let versions = Versions::default();
        let before = versions.now(&path).unwrap();
        let (index, other) = (directory.path().join("directory.db-shm"), directory.path().join("other"));
        fs::write(&other, [8; PAGE]).unwrap();
        fs::rename(&other, &index).unwrap();
        assert_eq!(versions.now(&path), Some(before));
        assert!(!versions.is_another_file(&path));
        assert_ne!(versions.now(&path).unwrap(), before);
    }

    #[test]
    fn half_a_header_is_none() {
        let mut octets = [7; 2 * HEADER];
        octets[HEADER] = 8;
        let (_directory, path) = database(&octets);
        assert_eq!(Versions::default().now(&path), None);
    }
}
