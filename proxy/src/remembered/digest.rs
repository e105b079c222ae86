//! Digests of names: who reads the file of logins learns no names from it.

use crate::digester::Digester;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use usher_policy::access::Name;

/// Bytes of a digest that are kept.
const KEPT: usize = 16;

/// Makes digests of names.
pub(super) struct Names {
    file: PathBuf,
    /// Made when it is needed first: most keep names as they are.
    digester: OnceLock<Digester>,
}

impl Names {
    /// With a key in `state_dir`.
    pub(super) fn of(state_dir: &Path) -> Self {
        Self { file: state_dir.join("logins.key"), digester: OnceLock::new() }
    }

    pub(super) fn digest(&self, text: &str) -> String {
        let mut digest = String::with_capacity(KEPT * 2);
        let digester = self.digester.get_or_init(|| Digester::with_key_in_or_none(&self.file));
        for octet in digester.digest(&[text.as_bytes()]).iter().take(KEPT) {
            let _ = write!(digest, "{octet:02x}");
        }
        digest
    }

    pub(super) fn name(&self, name: &Name) -> Name {
        name.digested(&|text| self.digest(text))
    }
}
