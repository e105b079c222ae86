//! Digests of names: who reads the file of logins learns no names from it.

use crate::digester::Digester;
use std::fmt::Write;
use std::path::Path;
use usher_policy::access::Name;

/// Bytes of a digest that are kept.
const KEPT: usize = 16;

/// Makes digests of names.
pub(super) struct Names(Digester);

impl Names {
    /// With a key in `state_dir`.
    pub(super) fn of(state_dir: &Path) -> Self {
        Self(Digester::with_key_in(state_dir.join("logins.key")))
    }

    pub(super) fn digest(&self, text: &str) -> String {
        let mut digest = String::with_capacity(KEPT * 2);
        for octet in self.0.digest(&[text.as_bytes()]).iter().take(KEPT) {
            let _ = write!(digest, "{octet:02x}");
        }
        digest
    }

    pub(super) fn name(&self, name: &Name) -> Name {
        name.digested(&|text| self.digest(text))
    }
}
