//! Which state the directory is in, without asking SQLite.
//!
//! In WAL mode each commit, by whichever process, writes a new header into the WAL index, the file beside the
//! database whose name ends in `-shm` (the format is SQLite's, documented, and the same for all its versions). As
//! long as the header is the same, so is everything that a look-up would find.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_128;

/// Octets of the header. It stands there twice, and both are the same unless it is just being written.
const HEADER: usize = 48;

/// One state of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(u128);

/// Where the state can be seen.
#[derive(Default)]
pub(super) struct Versions(OnceLock<Option<File>>);

impl Versions {
    /// The state that the database at `path` is in; a look-up that is begun now sees this one or a later one.
    /// `None`: that cannot be told.
    pub(super) fn now(&self, path: &Path) -> Option<Version> {
        let index = self.0.get_or_init(|| {
            let mut name = path.as_os_str().to_owned();
            name.push("-shm");
            File::open(name).ok()
        });
        let mut twice = [0; 2 * HEADER];
        index.as_ref()?.read_exact_at(&mut twice, 0).ok()?;
        let (first, second) = twice.split_at(HEADER);
        let is_written = first == second && first.iter().any(|octet| *octet != 0);
        is_written.then(|| Version(xxh3_128(first)))
    }
}
