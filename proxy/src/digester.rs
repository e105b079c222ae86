//! Digests under a key that is kept in a file: who reads what is remembered by them learns no names from it.

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes of a key that is made here.
const KEY: usize = 32;
/// Fewest bytes of a key that somebody else has made.
const LEAST: usize = 16;

/// A digest.
pub(crate) type Digest = [u8; 32];

/// Makes digests.
pub(crate) struct Digester(Key);

impl Digester {
    /// One whose key is in `file`, where it is made if there is none; what is there is never replaced.
    ///
    /// # Errors
    /// When the file cannot be read or made, or is too short.
    pub(crate) fn with_key_in(file: &Path) -> io::Result<Self> {
        let made = match make(file) {
            // Somebody was first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
            made => Some(made?),
        };
        let key = match made {
            Some(key) => key,
            None => Zeroizing::new(std::fs::read(file)?),
        };
        if key.len() < LEAST {
            let what = format!("a key of {} bytes is too short; it needs {LEAST}", key.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Self(Key::new(HMAC_SHA256, &key)))
    }

    /// The same, or one that nobody knows after the next start if the file is of no use.
    pub(crate) fn with_key_in_or_none(file: &Path) -> Self {
        Self::with_key_in(file).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), %error, "the key of digests cannot be kept");
            let mut key = Zeroizing::new([0; KEY]);
            let _ = aws_lc_rs::rand::fill(&mut *key);
            Self(Key::new(HMAC_SHA256, &*key))
        })
    }

    /// The digest of `parts`, which are kept apart.
    pub(crate) fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut context = Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

/// Makes a key in a file that is not there yet.
fn make(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options.write(true).create_new(true).mode(0o600).open(file)?;
    let mut key = Zeroizing::new(vec![0; KEY]);
    aws_lc_rs::rand::fill(&mut key).map_err(|_| io::Error::other("no random bytes"))?;
    opened.write_all(&key)?;
    opened.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        let digest = || Digester::with_key_in(&file).unwrap().digest(&[b"a", b"b"]);
        let first = digest();
        assert_eq!(first, digest());
        assert_ne!(first, Digester::with_key_in(&file).unwrap().digest(&[b"ab"]));
        std::fs::write(&file, "short").unwrap();
        assert!(Digester::with_key_in(&file).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"short");
    }
}
