//! Bytes that may hold a password: wiped on drop, and when they move to a larger buffer.

use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A byte string that is wiped on drop and never shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes a copy of `bytes`; the caller's own copy stays the caller's to wipe.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The bytes, for the one place that needs them: what is sent to the backend.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Bytes that a buffer has room for from its first one on, so that a login seldom has to be moved and wiped.
const LEAST: usize = 128;

/// A growing buffer whose old allocations are wiped when it grows and when it is dropped.
#[derive(Default)]
pub struct SecretBuf(Vec<u8>);

impl SecretBuf {
    /// Appends `bytes`, wiping the old allocation if a larger one is needed.
    pub fn extend(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.next_power_of_two().max(LEAST));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// Forgets the first `count` bytes (at most all of them), and wipes the space that they leave.
    pub fn discard(&mut self, count: usize) {
        let kept = self.0.len().saturating_sub(count);
        let from = self.0.len() - kept;
        self.0.copy_within(from.., 0);
        if let Some(stale) = self.0.get_mut(kept..) {
            stale.zeroize();
        }
        self.0.truncate(kept);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }
}

impl std::ops::Deref for SecretBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for SecretBuf {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_bytes() {
        assert_eq!(format!("{:?}", Secret::copy_of(b"hunter2")), "Secret(…)");
    }

    #[test]
    fn discarding_keeps_the_rest() {
        let mut buf = SecretBuf::default();
        buf.extend(b"abcdef");
        buf.discard(2);
        assert_eq!(&*buf, b"cdef");
        buf.discard(99);
        assert!(buf.is_empty());
    }
}
