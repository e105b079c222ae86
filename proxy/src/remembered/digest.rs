//! Digests of names, by a key that only this usher has: who reads the file of logins learns no names from it.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use usher_policy::access::Name;

/// Bytes of the key, and of the part of a digest that is kept.
const KEY: usize = 32;
const KEPT: usize = 16;

/// Makes digests.
pub(super) struct Digester {
    file: PathBuf,
    key: OnceLock<Key>,
}

impl Digester {
    /// One whose key is in `state_dir`; the first digest makes it.
    pub(super) fn of(state_dir: &Path) -> Self {
        Self { file: state_dir.join("logins.key"), key: OnceLock::new() }
    }

    pub(super) fn digest(&self, text: &str) -> String {
        let key = self.key.get_or_init(|| Key::new(HMAC_SHA256, &self.read_or_make()));
        let digest = sign(key, text.as_bytes());
        digest.as_ref().iter().take(KEPT).map(|octet| format!("{octet:02x}")).collect()
    }

    pub(super) fn name(&self, name: &Name) -> Name {
        name.digested(&|text| self.digest(text))
    }

    fn read_or_make(&self) -> Vec<u8> {
        if let Ok(key) = std::fs::read(&self.file)
            && key.len() == KEY
        {
            return key;
        }
        let mut key = vec![0; KEY];
        let made = aws_lc_rs::rand::fill(&mut key).map_err(|_| std::io::Error::other("no random bytes"));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let kept = made.and_then(|()| options.open(&self.file)?.write_all(&key));
        if let Err(error) = kept {
            tracing::warn!(file = %self.file.display(), %error, "the key of remembered names cannot be kept");
        }
        key
    }
}
