//! Where certificates come from.

use super::loaded::{CertificateError, Loaded, load};
use std::path::Path;
use usher_backends::connect::identity;
use usher_config::snapshot::Certificate;

/// Where a certificate and its key come from.
pub(crate) enum CertificateSource<'s> {
    /// Files that the operator provides.
    Files(&'s Certificate),
    /// One of usher's own for a name, created if it does not exist yet.
    SelfSigned {
        /// Where it is kept.
        state_dir: &'s Path,
        /// Whom it is for.
        name: &'s str,
    },
}

impl CertificateSource<'_> {
    /// Reads it.
    ///
    /// # Errors
    /// If a file cannot be read or written or contains no PEM, or the two do not belong together.
    pub(crate) fn load(&self) -> Result<Loaded, CertificateError> {
        match self {
            Self::Files(files) => load(files),
            Self::SelfSigned { state_dir, name } => {
                let (chain, key) = identity::ensure(state_dir, &format!("self-signed-{name}"), name)?;
                load(&Certificate { chain, key, key_password_file: None, span: 0..0 })
            }
        }
    }
}
