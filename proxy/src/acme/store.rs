//! Where the account and the certificates are kept. Several processes may share a store: what is in it is replaced as a
//! whole.

use crate::whole_file;
use aws_lc_rs::digest::{SHA256, digest};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Octets of a digest that name a directory.
const NAME: usize = 8;

/// What outlives the process, of one authority.
pub(super) trait Store: Send + Sync {
    /// The account's credentials.
    ///
    /// # Errors
    /// When they cannot be read.
    fn account(&self) -> io::Result<Option<Vec<u8>>>;

    /// Keeps them.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn keep_account(&self, credentials: &[u8]) -> io::Result<()>;

    /// Forgets them.
    ///
    /// # Errors
    /// When they cannot be removed.
    fn forget_account(&self) -> io::Result<()>;

    /// Makes sure that something can be kept: what an authority has given must not be lost.
    ///
    /// # Errors
    /// When nothing can.
    fn try_to_keep(&self) -> io::Result<()>;

    /// The certificate for `name`: its key and its chain, PEM.
    ///
    /// # Errors
    /// When it cannot be read.
    fn certificate(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Keeps it.
    ///
    /// # Errors
    /// When it cannot be kept; then there is still the former one.
    fn keep_certificate(&self, name: &str, pem: &[u8]) -> io::Result<()>;

    /// What the certificate for `name` is called in messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// Files in the state directory.
pub(super) struct Files(PathBuf);

impl Files {
    /// Those of the authority whose directory is at `directory`: another one is another authority.
    pub(super) fn new(state_dir: &Path, directory: &str) -> Self {
        let mut name = String::new();
        for octet in digest(&SHA256, directory.as_bytes()).as_ref().iter().take(NAME) {
            name.push_str(&format!("{octet:02x}"));
        }
        Self(state_dir.join("acme").join(name))
    }

    fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.0.join(file)) {
            Ok(octets) => Ok(Some(octets)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(&self, file: &str, octets: &[u8]) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        whole_file::replace(&self.0.join(file), octets)
    }
}

const ACCOUNT: &str = "account.json";
const TRIAL: &str = "trial-";
/// More than a key and its chain need.
const TRIAL_SIZE: usize = 64 * 1024;

impl Store for Files {
    fn account(&self) -> io::Result<Option<Vec<u8>>> {
        self.read(ACCOUNT)
    }

    fn keep_account(&self, credentials: &[u8]) -> io::Result<()> {
        self.replace(ACCOUNT, credentials)
    }

    fn forget_account(&self) -> io::Result<()> {
        std::fs::remove_file(self.0.join(ACCOUNT))
    }

    fn try_to_keep(&self) -> io::Result<()> {
        // One of its own: others may try at the same time.
        static TRIALS: AtomicU64 = AtomicU64::new(0);
        let trial = format!("{TRIAL}{}", TRIALS.fetch_add(1, Ordering::Relaxed));
        self.replace(&trial, &vec![0; TRIAL_SIZE])?;
        std::fs::remove_file(self.0.join(trial))
    }

    fn certificate(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.read(&format!("{name}.pem"))
    }

    fn keep_certificate(&self, name: &str, pem: &[u8]) -> io::Result<()> {
        self.replace(&format!("{name}.pem"), pem)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.pem"))
    }
}
