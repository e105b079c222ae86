//! The countries of addresses, by a file in MaxMind's format.

use maxminddb::{Reader, path};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use usher_policy::access::Country;

/// The file, in memory.
pub(crate) struct Countries(Reader<Vec<u8>>);

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub(crate) struct CountriesError {
    path: PathBuf,
    source: maxminddb::MaxMindDbError,
}

impl Countries {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or has another format.
    pub(crate) fn read(path: &Path) -> Result<Self, CountriesError> {
        Reader::open_readfile(path)
            .map(Self)
            .map_err(|source| CountriesError { path: path.to_owned(), source })
    }

    /// The country of `address`; `None`: the file does not say.
    pub(crate) fn of(&self, address: IpAddr) -> Option<Country> {
        let found = self.0.lookup(address.to_canonical()).ok()?;
        let code: Option<&str> = found.decode_path(&path!["country", "iso_code"]).ok()?;
        code?.parse().ok()
    }
}
