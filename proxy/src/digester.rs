//! Digests under a key that is kept in a file: who reads what is remembered by them learns no names from it.

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use zeroize::Zeroizing;

/// Bytes of a key that is made here.
const KEY: usize = 32;
/// Fewest bytes of a key that somebody else has made.
const LEAST: usize = 16;

/// A digest.
pub(crate) type Digest = [u8; 32];

/// Makes digests.
pub(crate) struct Digester {
    file: PathBuf,
    key: OnceLock<Key>,
}

impl Digester {
    /// One whose key is in `file`; the first digest makes it.
    pub(crate) fn with_key_in(file: PathBuf) -> Self {
        Self { file, key: OnceLock::new() }
    }

    /// The digest of `parts`, which are kept apart.
    pub(crate) fn digest(&self, parts: &[&[u8]]) -> Digest {
        let key = self.key.get_or_init(|| Key::new(HMAC_SHA256, &self.read_or_make()));
        let mut context = Context::with_key(key);
        for (at, part) in parts.iter().enumerate() {
            // No name and no address has this in it.
            if at > 0 {
                context.update(&[0xff]);
            }
            context.update(part);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }

    fn read_or_make(&self) -> Zeroizing<Vec<u8>> {
        if let Ok(key) = std::fs::read(&self.file)
            && key.len() >= LEAST
        {
            return Zeroizing::new(key);
        }
        let mut key = Zeroizing::new(vec![0; KEY]);
        let made = aws_lc_rs::rand::fill(&mut key).map_err(|_| std::io::Error::other("no random bytes"));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let kept = made.and_then(|()| options.open(&self.file)?.write_all(&key));
        if let Err(error) = kept {
            tracing::warn!(file = %self.file.display(), %error, "the key of digests cannot be kept");
        }
        key
    }
}
